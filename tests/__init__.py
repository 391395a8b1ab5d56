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
import collections
import contextlib
import fcntl
import gc
import importlib.util
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from tests.starts import at_end, starter_pids, tidy

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = "built"  # what is not left behind by a test in the folder of a run
LEFT = "what the tests leave behind"
BUDGET = 150  # seconds of processor time that a whole run may take: no test fails over it

# Where it is about noon: the time zone of the tests and of what they start, so that none sees the date change.
NOON = os.environ["TZ"] = f"TST{time.gmtime().tm_hour - 12:+d}"
time.tzset()


def compile_ahead():
    """See to it that there is bytecode of looop.py: who compiles it is 70 MB larger from then on, as is each fork."""
    path = os.path.normpath(os.path.join(HERE, os.pardir, "looop.py"))
    found = os.stat(path)
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            flags, *fresh = struct.unpack("<4xLLL", file.read(16))
    except (OSError, struct.error):
        flags, fresh = 0, []
    if not flags and fresh != [int(found.st_mtime) & 0xFFFFFFFF, found.st_size & 0xFFFFFFFF]:  # flags: a mutant's
        code = "import py_compile, sys; py_compile.compile(sys.argv[1])"
        subprocess.run([sys.executable, "-SI", "-c", code, path], check=False, stderr=subprocess.DEVNULL)


compile_ahead()


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
    jobs = int(os.environ.get("LOOOP_TEST_JOBS") or (os.cpu_count() or 1) * 3)  # most of them wait at any time
    return Whole(modules) if jobs < 2 else Together(modules, jobs, folder)


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
    """Build the archive of this tree: for this Python, and for that of schedulers where heavy tests have them start it.

    Each of those starts would compile it: that takes longer than to do so here, once.
    """
    pythons = [sys.executable]
    there = shutil.which("python3", path="/usr/bin:/bin") if os.environ.get("LOOOP_LONG") else None
    if there:
        told = subprocess.run([there, "-c", "import sys; print(*sys.version_info[:2])"], stdout=-1, check=False).stdout
        version = tuple(map(int, told.split()))
        pythons += [there] if version >= (3, 9) and version != sys.version_info[:2] else []
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import build_zipapp as b; b.build(*sys.argv[2:4], sys.argv[4:])"
    )
    words = [sys.executable, "-SI", "-c", code, os.path.join(HERE, os.pardir), folder, "", *pythons]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def memory():
    """Return a folder in memory that has room and may hold programs, None where there is none, or none is wanted."""
    folder = "/dev/shm"
    if "TMPDIR" in os.environ or os.environ.get("LOOOP_TEST_STARTS") == "real" or not os.access(folder, os.W_OK):
        return None
    found = os.statvfs(folder)
    roomy = found.f_bavail * found.f_frsize >= 1 << 30
    return folder if roomy and not found.f_flag & os.ST_NOEXEC else None


def spent():
    """Return the processor seconds of this process, of its starters of verbs, and of all that they waited for."""
    total = sum(os.times()[:4])
    for pid in starter_pids():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
            ticks = file.read().rpartition(b")")[2].split()[11:15]
            total += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return total


def epilogue(result, costs, seconds):
    """Return the lines that end a run: what was skipped and why, each reason once, and what the run took.

    `costs`: the processor seconds of each class and test; LOOOP_TEST_TIMES=N names the N that cost most.
    """
    reasons = collections.Counter(reason for _, reason in result.skipped)
    lines = [f"skipped {count}: {reason}" for reason, count in reasons.most_common()]
    dearest = sorted(costs.items(), key=lambda item: -item[1])[: int(os.environ.get("LOOOP_TEST_TIMES") or 0)]
    lines += [f"{cost:7.1f} s of processor time: {name}" for name, cost in dearest]
    return [*lines, f"processor time {seconds:.0f} s, of {BUDGET} that a run may take (CONTRIBUTING.md)"]


class Whole(unittest.TestSuite):
    """All tests, one after the other in this process."""

    def __init__(self, tests):
        super().__init__(tests)
        self.costs = {}  # the processor seconds of each class and test
        self.homes = {}  # the folder of a test, and the test

    def run(self, result, debug=False):
        """Run them and print the epilogue."""
        before = spent()
        self.run_all(result, debug)
        stream = getattr(result, "stream", sys.stderr)
        stream.write("\n" + "\n".join(epilogue(result, self.costs, spent() - before)) + "\n")
        stream.flush()
        return result

    def run_all(self, result, debug):
        """Run them."""
        super().run(result, debug)


class Together(Whole):
    """All tests, in several processes at a time, as many as there are jobs."""

    def __init__(self, tests, jobs, folder):
        super().__init__(tests)
        self.jobs, self.folder = jobs, folder

    def run_all(self, result, debug):
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
        tell(result, *left_behind(self.folder, homes=self.homes))

    def collect(self, reports, result):
        """Pass on what the workers report until all have ended."""
        rest = dict.fromkeys(reports, b"")
        while rest:
            for fd in select.select(list(rest), [], [])[0]:
                data = os.read(fd, 65536)
                *lines, rest[fd] = (rest[fd] + data).split(b"\n")
                for kind, name, text in map(json.loads, lines):
                    if kind == "cost":
                        self.costs[name] = text
                    elif kind == "home":
                        self.homes[text] = name
                    else:
                        tell(result, kind, name, text)
                if not data:
                    os.close(fd)
                    del rest[fd]
                    if os.waitpid(reports[fd], 0)[1]:
                        tell(result, "error", "a worker of the tests", "it died")


def left_behind(folder, patience=60.0, homes=None):
    """Return as a test's result whether files are left in a folder, or processes that have to do with it (Linux).

    `homes`: the test whose home a folder in it was.
    """
    from tests.support import processes_with, traits

    deadline = time.monotonic() + patience
    while processes_with(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [described(os.path.join(folder, name), homes or {}) for name in sorted(os.listdir(folder)) if name != BUILT]
    for pid in processes_with(folder):
        told = [text.replace(b"\0", b" ").decode("utf-8", "replace") for text in traits(pid)]
        left.append(f"process {pid}: {told[0] if told else ''}: " + ", ".join(x for x in told if folder in x)[:500])
    return ("failure", LEFT, "\n".join(left)) if left else ("success", LEFT, "")


def described(path, homes, most=20):
    """Return what is left at a path: whose home it was, and what is in it, with when each was written."""
    lines = [f"file {path}" + (f" of {homes[path]}" if path in homes else "")]
    for folder, _, names in os.walk(path):
        for name in [".", *names]:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(folder, name))
                lines.append(f"  {time.time() - found.st_mtime:.1f} s ago: {os.path.normpath(f'{folder}/{name}')}")
    return "\n".join(lines[: most + 1])


def work(queue, report, classes):
    """Be a worker: run classes until none is left. It does not return."""
    code = 1
    try:
        index = os.read(queue, 2)
        while index:
            group, relay, before = classes[int.from_bytes(index, "big")], Relay(report), spent()
            name = unittest.util.strclass(type(next(iter(group))))
            group.run(relay)
            relay.say("cost", name, spent() - before)
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

    def startTest(self, test):
        super().startTest(test)
        self.before = spent()

    def stopTest(self, test):
        super().stopTest(test)
        self.say("cost", test, spent() - self.before)
        if hasattr(test, "home"):
            self.say("home", test, test.home)

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
    """A test that another process has run: its name is all that a report has of it."""

    def __init__(self, name):
        super().__init__("runTest")
        self.name = name

    def runTest(self):
        raise AssertionError("another process runs it")

    def shortDescription(self):
        return None

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
