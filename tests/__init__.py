"""The tests of looop.

`python3 -m unittest` runs them all, several at a time: most of what they do is to wait for real processes. One module,
class or test runs alone as usual (`python3 -m unittest tests.test_text`); LOOOP_TEST_JOBS=1 runs all in one process.

What they start is then the file that build_zipapp.py makes, as people run it (LOOOP_TEST_ARCHIVE=none: the source, as a
single module's tests do; or the path of such a file). What they call in their own process is the source.
"""

import atexit
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import unittest


def load_tests(loader, tests, pattern):
    """Hand every class of tests to whoever is free (unittest's load_tests protocol)."""
    here = os.path.dirname(__file__)
    names = []
    for package, folder in (("tests", here), ("tests.faults", os.path.join(here, "faults"))):
        found = (name[:-3] for name in os.listdir(folder) if name.startswith("test_") and name.endswith(".py"))
        names += sorted(f"{package}.{name}" for name in found)
    if "LOOOP_TEST_ARCHIVE" not in os.environ:  # before the modules are loaded: tests.support reads it
        folder = tempfile.mkdtemp(prefix="looop-test-archive-")
        atexit.register(shutil.rmtree, folder)
        build = [sys.executable, os.path.join(os.path.dirname(here), "build_zipapp.py"), "--only", "--out", folder]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        os.environ["LOOOP_TEST_ARCHIVE"] = os.path.join(folder, "looop")
    modules = [loader.loadTestsFromName(name) for name in names]
    jobs = int(os.environ.get("LOOOP_TEST_JOBS") or (os.cpu_count() or 1) + 2)  # some of them wait at any time
    return unittest.TestSuite(modules) if jobs < 2 else Together(modules, jobs)


class Together(unittest.TestSuite):
    """Run suites in processes of their own, as many at a time as there are jobs."""

    def __init__(self, tests, jobs):
        super().__init__(tests)
        self.jobs = jobs

    def run(self, result, debug=False):
        """Fork the workers, give each the next class when it is free, and collect what they report."""
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


def work(queue, report, classes):
    """Be a worker: run classes until none is left. It does not return."""
    code = 1
    try:
        index = os.read(queue, 2)
        while index:
            classes[int.from_bytes(index, "big")].run(Relay(report))
            index = os.read(queue, 2)
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
