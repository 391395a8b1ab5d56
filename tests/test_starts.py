"""What a starter forks is what a start makes; and what a run of the tests leaves behind is named."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

import tests
from tests.starts import Starter
from tests.support import ROOT, START, Case, alive, heavy

spec = importlib.util.spec_from_file_location("build_zipapp", os.path.join(ROOT, "build_zipapp.py"))
build_zipapp = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_zipapp)

# A looop that tells all that it can see of how it was started.
PROBE = b"""\
VERSION = "1.2.3"
import os
import sys


def stream(file):
    return [file.fileno(), file.encoding, file.errors, file.newlines, file.line_buffering, file.isatty(), file.mode]


def seen():
    import gc, json, resource, signal, time

    return json.dumps({
        "argv": sys.argv[1:], "file": __file__, "python": sys.executable, "path": sys.path, "flags": list(sys.flags),
        "env": sorted([k, v] for k, v in os.environ.items() if k not in SHELL),
        "cwd": os.getcwd(), "umask": os.umask(0),
        "time": [time.tzname, time.timezone], "fds": sorted(map(int, os.listdir("/dev/fd")))[:-1],
        "signals": [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "wakeup": signal.set_wakeup_fd(-1),
        "group": os.getpgrp() - os.getpid() if os.getpgrp() == os.getpid() else "ours",
        "leads": os.getsid(0) == os.getpid(), "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "streams": [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
        "same": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "gc": [gc.isenabled(), gc.get_threshold()], "hooks": [sys.gettrace(), sys.getprofile()],
        "limit": sys.getrecursionlimit(),
        "threads": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self") else 1,
        "encoding": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()],
        "stdin": sys.stdin.read(), "state": len(STATE),
    })


STATE = []
SHELL = ("_", "SHLVL", "OLDPWD")  # what some shells add, as /bin/sh of the built file


def main():
    STATE.append(1)
    word = (sys.argv + ["", ""])[1]
    if word == "exit":
        sys.exit("a word")
    if word == "raise":
        raise ValueError("a bug")
    if word == "kill":
        os.kill(os.getpid(), 9)
    if word == "wait":
        import time
        print("READY", flush=True)
        time.sleep(60)
    print(seen())
    sys.stderr.write("said\\n")
    return 7
"""


@heavy
class Forked(Case):
    """Each test does the same in both ways, for the built file and for the source."""

    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.realpath(tempfile.mkdtemp(prefix="looop-test-probe-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.built = os.path.join(cls.folder, "built")
        with open(cls.built, "wb") as file:
            file.write(build_zipapp.archive_of(PROBE, dict([build_zipapp.compiled(PROBE, sys.executable)])))
        os.chmod(cls.built, 0o700)
        with open(os.path.join(cls.folder, "looop.py"), "wb") as file:
            file.write(PROBE)
        cls.starters = {"built": Starter(cls.built, ROOT), "source": Starter("", cls.folder)}
        for starter in cls.starters.values():
            cls.addClassCleanup(starter.close)

    def both(self, words=(), given=b"", kind="built", **options):
        """Return what (exit code, stdout, stderr) a start gives, and a fork."""
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        python = os.path.join(self.bin, "python3") if kind == "built" else sys.executable
        program = [self.built] if kind == "built" else [python, "-SI", "-c", START.format(self.folder, self.built)]
        found = []
        for start in (  # one after the other: their streams may be the same
            lambda: subprocess.Popen([*program, *words], env=self.env, cwd=self.home, **piped),
            lambda: self.starters[kind].start(words, self.built, python, self.env, self.home, **piped),
        ):
            process = start()
            out, err = process.communicate(given, timeout=120)
            found.append((process.returncode, out, err))
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        return found

    def check(self, *words, **options):
        """Demand that both ways see the same; return what they see."""
        for kind in ("source", "built"):
            started, forked = self.both(words, kind=kind, **options)
            self.assertEqual((started[0], started[2]), (7, b"said\n"))
            self.assertEqual(json.loads(forked[1]), json.loads(started[1]))
            self.assertEqual(forked, started)
        return json.loads(started[1])

    def test_it_sees_what_a_start_sees(self):
        self.env["ODD"] = os.fsdecode(b"\xff\n=")
        old = os.umask(0o027)
        self.addCleanup(os.umask, old)
        seen = self.check("a b", "", "\u00e9", os.fsdecode(b"\xff"), given=b"x" * 200000)
        self.assertEqual((seen["umask"], seen["cwd"], len(seen["stdin"])), (0o027, self.home, 200000))
        self.assertEqual((seen["state"], seen["fds"], len(seen["argv"])), (1, [0, 1, 2], 4))
        self.assertGreater(len(seen), 20)

    def test_a_session_of_its_own(self):
        self.assertTrue(self.check(start_new_session=True)["leads"])
        self.assertFalse(self.check()["leads"])

    def test_its_streams(self):
        self.assertEqual(self.check(stdin=subprocess.DEVNULL)["stdin"], "")
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        for kind in ("source", "built"):
            self.both(kind=kind, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT)
            text = b""
            while text.count(b"said\r\n") < 2:
                text += os.read(ours, 65536)
            started, forked, _ = text.split(b"said\r\n")
            self.assertEqual(forked, started)
            self.assertIn(b'true, "w"', started)
        path = os.path.join(self.home, "out")
        with open(path, "wb") as file:
            self.both(stdout=file, stderr=file)
        with open(path) as file:
            lines = file.read().split("\n")
        self.assertEqual((lines[:2], len(lines)), (lines[2:4], 5))

    def test_ways_to_end(self):
        for word, code, words in (
            ("exit", 1, b"a word\n"),
            ("raise", 1, b"ValueError: a bug"),
            ("kill", -signal.SIGKILL, b""),
        ):
            for kind in ("source", "built"):
                for way, (found, out, err) in zip(("start", "fork"), self.both([word], kind=kind)):
                    self.assertEqual((found, out), (code, b""), (word, kind, way, err))
                    self.assertIn(words, err, (word, kind, way))

    def test_what_is_forked_is_waited_for_and_ended(self):
        starter = self.starters["built"]
        many = [
            starter.start(["wait"], self.built, sys.executable, self.env, self.home, -3, subprocess.PIPE, -3)
            for _ in range(5)
        ]
        for process in many:
            self.assertEqual(process.stdout.readline(), b"READY\n")
            self.assertTrue(alive(process.pid))
            self.assertIsNone(process.poll())
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.01)
        many[0].terminate()
        self.assertEqual(many[0].wait(120), -signal.SIGTERM)
        for process in reversed(many):
            process.kill()
            self.assertIn(process.wait(120), (-signal.SIGTERM, -signal.SIGKILL))
            self.assertFalse(alive(process.pid))
            process.stdout.close()

    def test_threads_may_ask_at_once(self):
        codes = []

        def ask():
            done = self.starters["source"].start([], self.built, sys.executable, self.env, self.home, -3, -3, -3)
            codes.append(done.wait(120))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(codes, [7] * 8)

    def test_a_starter_ends_with_who_has_it(self):
        starter = Starter(self.built, ROOT)
        starter.socket.close()
        self.assertEqual(starter.process.wait(120), 0)


class LeftBehind(unittest.TestCase):
    """The check at the end of a run of all tests."""

    def test_files_and_processes_are_named(self):
        folder = os.path.realpath(tempfile.mkdtemp(prefix="looop-test-left-"))
        self.addCleanup(shutil.rmtree, folder)
        os.mkdir(os.path.join(folder, tests.BUILT))
        self.assertEqual(tests.left_behind(folder)[0], "success")
        with open(os.path.join(folder, "forgotten"), "w"):
            pass
        os.mkdir(os.path.join(folder, "home"))
        with open(os.path.join(folder, "home", "late"), "w"):
            pass
        code = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('a'); print('READY', flush=True); input()"
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        by_env = subprocess.Popen([sys.executable, "-c", code], cwd=folder, env={"HOME": folder}, **options)
        inside = os.path.join(folder, "forgotten")
        with open(inside) as held:
            by_file = subprocess.Popen(["sleep", "60"], stdin=held, cwd="/")
        self.addCleanup(by_file.wait)
        self.addCleanup(by_file.kill)
        self.assertEqual(by_env.stdout.readline(), b"READY\n")
        home = os.path.join(folder, "home")
        kind, _, text = tests.left_behind(folder, patience=0.0, homes={home: "test_of_it"})
        self.assertEqual(kind, "failure")
        self.assertIn(f"file {inside}\n", text)
        self.assertIn(f"file {folder}/a\n", text)
        self.assertIn(f"file {home} of test_of_it\n", text)
        self.assertRegex(text, rf"\d s ago: {home}/late\n")
        if os.path.isdir("/proc/self"):
            self.assertIn(f"process {by_env.pid}: {sys.executable}", text)
            self.assertIn(f"process {by_file.pid}: sleep 60", text)
        by_env.communicate(b"\n")


if __name__ == "__main__":
    unittest.main()
