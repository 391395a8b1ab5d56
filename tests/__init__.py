"""The tests of looop.

`python3 -m unittest` runs them all, several at a time: most of what they do is to wait for real processes. One module,
class or test runs alone as usual (`python3 -m unittest tests.test_text`); LOOOP_TEST_JOBS=1 runs all in one process.

What they start is then the file that build_zipapp.py makes, as people run it (LOOOP_TEST_ARCHIVE=none: the source, as a
single module's tests do; or the path of such a file). What they call in their own process is the source. Most verbs are
forked of a process that has done what a start does up to `main` (tests/starts.py); LOOOP_TEST_STARTS=real starts each.

A run of them all has a folder of its own for what is temporary, and fails if a file in it, or a process that has to do
with it, is left at the end. It lies in memory where that can be had, and neither TMPDIR nor LOOOP_TEST_STARTS=real asks
for a disk: nobody cuts the power here, and to wait for the disk is a third of a beat.
"""

import atexit
import fcntl
import gc
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from tests.starts import at_end, tidy

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = "built"  # what is not left behind by a test in the folder of a run
LEFT = "what the tests leave behind"

# Where it is about noon: the time zone of the tests and of what they start, so that none sees the date change.
NOON = os.environ["TZ"] = f"TST{time.gmtime().tm_hour - 12:+d}"
time.tzset()


def load_tests(loader, tests, pattern):
    """Hand every class of tests to whoever is free (unittest's load_tests protocol)."""
    names = []
    for package, folder in (("tests", HERE), ("tests.faults", os.path.join(HERE, "faults"))):
        found = (name[:-3] for name in os.listdir(folder) if name.startswith("test_") and name.endswith(".py"))
        names += sorted(f"{package}.{name}" for name in found)
    folder = tempfile.mkdtemp(prefix="looop-tests-", dir=memory())
    folder = tempfile.tempdir = os.environ["TMPDIR"] = os.path.realpath(folder)
    os.chmod(folder, 0o711)  # some tests have another user enter theirs
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shelf[:] = [os.path.join(folder, BUILT)]
    os.mkdir(shelf[0])
    if "LOOOP_TEST_ARCHIVE" not in os.environ:  # before the modules are loaded: tests.support reads it
        os.environ["LOOOP_TEST_ARCHIVE"] = os.path.join(shared("archive", build), "looop")
    modules = [loader.loadTestsFromName(name) for name in names]
    jobs = int(os.environ.get("LOOOP_TEST_JOBS") or (os.cpu_count() or 1) + 2)  # some of them wait at any time
    return unittest.TestSuite(modules) if jobs < 2 else Together(modules, jobs, folder)


shelf = []  # the folder of what is built once for all tests


def shared(name, make):
    """Return a folder of that name, which `make(folder)` has filled once for all processes of a run."""
    if not shelf:
        shelf.append(tempfile.mkdtemp(prefix="looop-test-builds-"))
        at_end(lambda: shutil.rmtree(shelf.pop(), ignore_errors=True))
    folder = os.path.join(shelf[0], name)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            shutil.rmtree(folder + ".new", ignore_errors=True)  # of an attempt that failed
            make(folder + ".new")
            os.rename(folder + ".new", folder)
    return folder


def build(folder):
    """Build the archive of this tree."""
    command = [sys.executable, os.path.join(HERE, os.pardir, "build_zipapp.py"), "--only", "--out", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def memory():
    """Return a folder in memory that has room and may hold programs, None where there is none, or none is wanted."""
    folder = "/dev/shm"
    if "TMPDIR" in os.environ or os.environ.get("LOOOP_TEST_STARTS") == "real" or not os.access(folder, os.W_OK):
        return None
    found = os.statvfs(folder)
    roomy = found.f_bavail * found.f_frsize >= 1 << 30
    return folder if roomy and not found.f_flag & os.ST_NOEXEC else None


class Together(unittest.TestSuite):
    """Run suites in processes of their own, as many at a time as there are jobs."""

    def __init__(self, tests, jobs, folder):
        super().__init__(tests)
        self.jobs, self.folder = jobs, folder

    def run(self, result, debug=False):
        """Fork the workers, give each the next class when it is free, and collect what they report."""
        gc.collect()
        gc.freeze()  # what has been loaded is shared with all that is forked, as long as no collection visits it
        classes = [group for module in self for group in module if group.countTestCases()]
        classes.sort(key=lambda group: (not getattr(next(iter(group)), "long", False), -group.countTestCases()))
        queue, fill = os.pipe()
        os.write(fill, b"".join(index.to_bytes(2, "big") for index in range(len(classes))))
        os.close(fill)
        reports = {}
        for _ in range(self.jobs):
            ours, theirs = os.pipe()
            pid = os.fork()
            if pid == 0:
                work(queue, theirs, classes)
            os.close(theirs)
            reports[ours] = pid
        os.close(queue)
        self.collect(reports, result)
        tell(result, *left_behind(self.folder))
        return result

    @staticmethod
    def collect(reports, result):
        """Pass on what the workers report until all have ended."""
        rest = dict.fromkeys(reports, b"")
        while rest:
            for fd in select.select(list(rest), [], [])[0]:
                data = os.read(fd, 65536)
                *lines, rest[fd] = (rest[fd] + data).split(b"\n")
                for line in lines:
                    tell(result, *json.loads(line))
                if not data:
                    os.close(fd)
                    del rest[fd]
                    if os.waitpid(reports[fd], 0)[1]:
                        tell(result, "error", "a worker of the tests", "it died")


def left_behind(folder, patience=10.0):
    """Return as a test's result whether files are left in a folder, or processes that have to do with it (Linux)."""
    from tests.support import processes_with, traits

    deadline = time.monotonic() + patience
    while processes_with(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [f"file {os.path.join(folder, name)}" for name in sorted(os.listdir(folder)) if name != BUILT]
    for pid in processes_with(folder):
        told = [text.replace(b"\0", b" ").decode("utf-8", "replace") for text in traits(pid)]
        left.append(f"process {pid}: {told[0] if told else ''}: " + ", ".join(x for x in told if folder in x)[:500])
    return ("failure", LEFT, "\n".join(left)) if left else ("success", LEFT, "")


def work(queue, report, classes):
    """Be a worker: run classes until none is left. It does not return."""
    code = 1
    try:
        index = os.read(queue, 2)
        while index:
            classes[int.from_bytes(index, "big")].run(Relay(report))
            index = os.read(queue, 2)
        tidy()
        code = 0
    finally:
        os._exit(code)


class Relay(unittest.TestResult):
    """Write down each result as one line of JSON: its kind, the test, and what is to be said of it."""

    def __init__(self, report):
        super().__init__()
        self.report = report

    def say(self, kind, test, text=""):
        line = json.dumps([kind, str(test), text]).encode() + b"\n"
        while line:
            line = line[os.write(self.report, line) :]

    def addSuccess(self, test):
        self.say("success", test)

    def addFailure(self, test, err):
        self.say("failure", test, self._exc_info_to_string(err, test))

    def addError(self, test, err):
        self.say("error", test, self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self.say("skip", test, reason)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            kind = "failure" if issubclass(err[0], test.failureException) else "error"
            self.say(kind, subtest, self._exc_info_to_string(err, test))


class Told(unittest.TestCase):
    """Stand for a test that another process has run."""

    def __init__(self, name):
        super().__init__("runTest")
        self.name = name

    def runTest(self):
        """Do nothing: it has been done."""

    def id(self):
        return self.name

    def __str__(self):
        return self.name


def tell(result, kind, name, text):
    """Pass one result on."""
    test = Told(name)
    result.startTest(test)
    if kind == "success":
        result.addSuccess(test)
    elif kind == "skip":
        result.addSkip(test, text)
    else:
        (result.failures if kind == "failure" else result.errors).append((test, text))
        if getattr(result, "dots", False):
            result.stream.write("F" if kind == "failure" else "E")
            result.stream.flush()
    result.stopTest(test)
