"""What the system refuses: room on a disk, descriptors, processes, permissions; and paths that nobody would choose."""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import unittest

import looop
from tests.faults.injector import LONG, Faults
from tests.faults.test_kill import SHELL
from tests.starts import LOADED
from tests.support import heavy, needs_root

NOBODY = 65534
READING = ("status", "status --json", "ls", "ls --json", "asks", "asks --json", "why", "why now", "cost", "cost all",
           "sensor list", "claims")  # fmt: skip


def limit(which, soft):
    """Return what sets a limit in a child."""

    def before():
        if which == resource.RLIMIT_FSIZE:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))

    return before


class Limits(Faults):
    def started(self, move=SHELL):
        """Make a profile that has decided once."""
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{\"signal\":1}'"})
        self.decides(move)
        self.assertEqual(self.verb("tick").code, 0)

    def told(self, done, words=""):
        """Demand that a verb worked, or said in one line why it did not."""
        said = [line for line in done.err.split("\n") if line.startswith("looop: ") and " warning: " not in line]
        self.assertIn(done.code, (0, 1), done)
        reason = json.loads(done.out).get("reason") if done.code and done.out.startswith("{") else None
        self.assertEqual(len(said) + bool(reason), done.code, done)
        if done.code:
            self.assertIn(words, (said or [reason])[0])

    def goes_on(self):
        """Demand that nothing is lost, and that the next beat works."""
        self.edit()
        done = self.verb("tick", "--json")
        self.assertEqual((done.code, json.loads(done.out)["outcome"]), (0, "acted"), done)
        for line in self.promised(torn=True):
            self.assertRegex(line, r"tick-\d{8}-\d{6}-[0-9a-f]{4}")


@heavy
class FullDisks(Limits):
    @needs_root
    def test_a_file_system_that_fills_up(self):
        os.makedirs(self.data)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={16 if LONG else 2}m,mode=700", "tmpfs", self.data]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", "-l", self.data], check=False)
        self.addCleanup(self.end_sessions)
        self.started()
        room = os.statvfs(self.data)
        for left in (0, 28, 128, 300) if not LONG else range(0, 320, 4):
            with self.subTest(left=left):
                size = room.f_bsize * os.statvfs(self.data).f_bavail - left * 1024
                with open(self.path("ballast"), "wb") as file:
                    file.write(b"x" * size)
                self.edit()
                paid = len(self.rows("cost.jsonl"))
                done = self.verb("tick", "--json")
                self.told(done)
                if left < 200:
                    self.assertEqual((done.code, len(self.rows("cost.jsonl"))), (1, paid), "nobody pays for nothing")
                    self.assertIn("make room", done.err)
                for words in ("status", "asks", "why now", "cost", "pause 1h", "resume"):
                    self.told(self.verb(*words.split()))
                os.unlink(self.path("ballast"))
                self.verb("resume")
                self.goes_on()

    def test_files_that_may_not_grow(self):
        self.started()
        ledger = self.rows("cost.jsonl")
        for size in (0, 300, 5000):
            with self.subTest(size=size):
                self.edit()
                self.told(self.verb("tick", "--json", before=limit(resource.RLIMIT_FSIZE, size)))
                for words in ("pause 1h", "cost add session w pi 0.5", "claim c --session w", "status"):
                    self.told(self.verb(*words.split(), before=limit(resource.RLIMIT_FSIZE, size)))
                self.verb("resume")
                self.goes_on()
        self.assertEqual(self.rows("cost.jsonl", torn=True)[: len(ledger)], ledger)


@heavy
class FewOfThem(Limits):
    def test_few_descriptors(self):
        self.started()
        for count in (4, 6, 8, 10, 14) if not LONG else range(4, 40):
            with self.subTest(count=count):
                few = limit(resource.RLIMIT_NOFILE, count)
                self.edit()
                self.told(self.verb("tick", "--json", before=few))
                for words in ("status", "ls", "start-session w --command cat", "pause 1h", "resume", "cost all"):
                    self.told(self.verb(*words.split(), before=few))
                if looop.read_session(self.opened(), "w"):
                    self.verb("kill", "w")
                    self.assertEqual(self.verb("prune").code, 0)
                self.verb("resume")
                self.goes_on()

    @needs_root
    def test_few_processes(self):
        self.started()
        self.goes_on()
        self.given_away()

        def few():
            for name in LOADED:  # they may lie where that user cannot read
                importlib.import_module(name)
            os.setgid(NOBODY)
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            os.setuid(NOBODY)

        self.edit()
        os.chown(self.path("goals/a.md"), NOBODY, NOBODY)
        done = self.verb("tick", "--json", before=few)
        self.told(done)
        self.assertEqual(done.code, 1, done)
        self.assertIn("could not be started: Resource temporarily unavailable", json.loads(done.out)["reason"])
        self.told(self.verb("start-session", "w", "--command", "cat", before=few), "ulimit -u")
        self.assertEqual(json.loads(self.verb("ls", "--json", before=few).out), [])
        self.assertEqual(self.verb("status", before=few).code, 0)
        self.told(self.verb("up", before=few), "ulimit -u")

    def given_away(self):
        """Give all of it to somebody who is not root."""
        for folder, names, files in os.walk(self.home):
            for name in (".", *names, *files):
                os.chown(os.path.join(folder, name), NOBODY, NOBODY, follow_symlinks=False)


@heavy
class NotOurs(Limits):
    def as_nobody(self):
        import shlex  # noqa: F401  # Python's library may lie where only its owner can read it
        import unicodedata  # noqa: F401

        os.setgid(NOBODY)
        os.setuid(NOBODY)

    @needs_root
    def test_a_data_dir_that_is_read_only(self):
        os.makedirs(self.data)
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", self.data]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", "-l", self.data], check=False)
        self.started({"move": "ask", "question": "Which?"})
        subprocess.run(["mount", "-o", "remount,ro", self.data], check=True)
        for words in READING:
            done = self.verb(*words.split())
            self.assertEqual((done.code, done.err), (0, ""), words)
        for words in ("tick", "pause 1h", "answer 1 x", "start-session w --command cat", "up", "asks --wait 1s",
                      "cost add session w pi 1", "sensor add disk", "run a"):  # fmt: skip
            done = self.verb(*words.split())
            if words.startswith("asks"):
                self.assertEqual(done.code, 0)
            else:
                self.told(done, "Read-only file system")
                self.assertEqual(done.code, 1, words)
                self.assertIn("LOOOP_DATA_DIR", done.err)
        subprocess.run(["mount", "-o", "remount,rw", self.data], check=True)
        self.edit()
        self.assertEqual(self.verb("tick").code, 0)

    @needs_root
    def test_what_may_not_be_read(self):
        self.started({"move": "ask", "question": "Which?"})
        self.verb("flag", "w", "x")
        for folder, names, files in os.walk(self.home):
            for name in (".", *names, *files):
                os.chown(os.path.join(folder, name), NOBODY, NOBODY, follow_symlinks=False)
        names = "state.json cost.jsonl events.jsonl journal.md asks/1.json asks goals sessions runs snapshots".split()
        for name in names:
            path = self.path(name)
            mode = os.stat(path).st_mode & 0o777
            os.chmod(path, 0)
            with self.subTest(name=name):
                said = ""
                for words in ("status", "ls", "asks", "why", "cost", "tick --dry-run", "tick"):
                    done = self.verb(*words.split(), before=self.as_nobody)
                    said += done.err + done.out * (words == "asks")
                    self.told(done)
                self.assertIn("ermission denied", said, "it is told")
            os.chmod(path, mode)
        self.assertEqual(self.verb("tick", before=self.as_nobody).code, 0)


@heavy
class OddPaths(Faults):
    def test_a_data_dir_whose_path_holds_anything(self):
        odd = os.fsdecode("a b\n'q\" $HOME `x` ;*\xe9 ".encode("latin-1") + b"\xff")
        try:
            os.mkdir(os.path.join(self.home, odd))
        except OSError as error:
            self.skipTest(f"this file system refuses such a name: {error}")
        self.data = os.path.join(self.home, odd, "data")
        self.env["LOOOP_DATA_DIR"] = self.data
        self.profile(goals={"a": "0\n"}, sensors={"s": "pwd >&2; echo '{\"signal\":1}'"})
        self.decides({"move": "shell", "command": 'pwd > where; echo "$LOOOP_DATA_DIR" > env', "reversible": True})
        self.assertEqual(self.verb("tick").code, 0)
        for name in ("where", "env"):
            with open(self.path(name), "rb") as file:
                self.assertEqual(file.read(), os.fsencode(self.data) + b"\n")
        self.decides({"move": "ask", "question": "Which?"})
        self.edit()
        self.assertEqual(self.verb("tick").code, 0)
        start = ("start-session", "w", "--cwd", self.data, "--command", "pwd; read x; exit 5")
        self.assertEqual(self.verb(*start).code, 0)
        self.assertEqual(self.verb("expect", "w", "data").code, 0)
        self.assertEqual(self.verb("send", "w", "x").code, 0)
        self.assertEqual(self.verb("wait", "w", "--timeout", "120s").code, 5)
        self.assertEqual(self.verb("start-session", "setup", "look", "builtin").code, 0)
        self.assertEqual(self.verb("kill", "setup").code, 0)
        verbs = """doctor|config show|answer 1 red|log w|shot w|replay last|up|service print cron|service print systemd|
        service print launchd|down|prune|pause 1h|resume"""
        for words in (*READING, *(words.strip() for words in verbs.split("|"))):
            done = self.verb(*words.split())
            self.assertIn(done.code, (0, 1) if words.startswith(("doctor", "service")) else (0,), (words, done))
            if done.code and not words.startswith("doctor"):
                self.assertEqual(done.err.count("\n"), 1, (words, done))
        self.assertEqual(self.verb("tick").code, 0)
        self.assertIn("answer: red", self.prompt())


if __name__ == "__main__":
    unittest.main()
