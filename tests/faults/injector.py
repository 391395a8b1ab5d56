"""Run a verb of looop, from its source, in a child of the test, and strike at the N-th thing that it does to files.

The functions of `os` that change files are wrapped in that child alone: looop itself knows nothing of it. A first run
counts the points of each generation: 0 is the verb's own process, 1 what it forks, 2 what that forks (a supervisor).
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import random
import re
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
from typing import NamedTuple

import looop
from tests.support import LONG, PATIENCE, Case, figure, processes_with, wait_until

SEED = 20260102
LINE = re.compile(r"- \d{4}-\d\d-\d\d \d\d:\d\d \S.*")
CHANGES = "write pwrite rename link unlink mkdir rmdir ftruncate truncate mkfifo fsync open".split()
GROWING = {"write", "pwrite", "mkdir", "mkfifo", "link", "open"}  # what a full disk refuses
GENERATIONS = 4


class Injector:
    """Strike at a point (0: only count): kill the process, or have it fail, once or (`lasting`) from there on."""

    def __init__(self, at=0, generation=0, error=0, lasting=False):
        self.at, self.generation, self.error, self.lasting = at, generation, error, lasting
        self.here = 0  # the generation of this process
        self.halved = False  # the disk took half of a write, and takes no more
        self.shared = mmap.mmap(-1, 4096)  # a count for each generation, and where it struck

    def counts(self):
        """Return how many points each generation has passed."""
        return struct.unpack_from(f"{GENERATIONS}i", self.shared)

    def struck(self):
        """Return where it struck, "" when it did not."""
        return self.shared[64:512].rstrip(b"\0").decode("utf-8", "replace")

    def install(self):
        """Wrap the functions of os in this process and in what it forks."""
        fork = os.fork
        for name in CHANGES:
            setattr(os, name, self._wrapped(name, getattr(os, name)))

        def forked():
            pid = fork()
            self.here += pid == 0
            return pid

        os.fork = forked

    def _wrapped(self, name, real):
        def call(*args, **options):
            reads = name == "open" and not args[1] & os.O_CREAT
            says = name == "write" and args[0] < 3
            if reads or says or not self._hits(name, args):
                return real(*args, **options)
            if not self.error:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.error == errno.ENOSPC and name == "write" and len(args[1]) > 1 and not self.halved:
                self.halved = True  # a disk takes what it has room for, and refuses the rest
                return real(args[0], args[1][: len(args[1]) // 2])
            self.halved = False
            raise OSError(self.error, os.strerror(self.error), args[0] if isinstance(args[0], str) else None)

        return call

    def _hits(self, name, args):
        """Count a point; tell whether it is one to strike at."""
        if (not self.error and name == "fsync") or (self.error == errno.ENOSPC and name not in GROWING):
            return False
        place = 4 * min(self.here, GENERATIONS - 1)
        count = struct.unpack_from("i", self.shared, place)[0] + 1
        struct.pack_into("i", self.shared, place, count)
        if self.here != self.generation or not self.at or count < self.at:
            return False
        if count == self.at:
            self.shared[64:512] = f"{name} {args[0]!s:.300}".encode("utf-8", "replace")[:448].ljust(448, b"\0")
        return count == self.at or self.lasting or self.halved


class Done(NamedTuple):
    """Say how a verb in a child ended."""

    code: int  # or minus the signal
    out: str
    err: str
    secs: float


class Faults(Case):
    """A test with a profile that can be put back as it was, and verbs in children."""

    def setUp(self):
        super().setUp()
        self.env["LOOOP_RUNS_KEEP"] = "0"
        self.rng = random.Random(SEED)
        self.edits = 0

    # --- the profile

    def keep(self):
        """Keep the data dir as it is, for `back`."""
        shutil.copytree(self.data, os.path.join(self.home, "kept"), symlinks=True)

    def back(self):
        """Put the data dir back as it was kept."""
        shutil.rmtree(self.data)
        shutil.copytree(os.path.join(self.home, "kept"), self.data, symlinks=True)

    def decides(self, move, mode="typed", script=""):
        """Make a runner that makes a move, in which RUN stands for the run; each call costs 0.001."""
        message = {
            "role": "assistant",
            "usage": {"input": 1, "output": 1, "cost": {"total": 0.001}},
            "content": [{"type": "text", "text": json_text(move)}],
        }
        path = os.path.join(self.home, "template")
        with open(path, "w", encoding="utf-8") as file:
            file.write(json_text({"type": "message_end", "message": message}) + "\n")
        gate = {"shell": "never"} if move.get("reversible") else {}  # what is about the beat runs without walls
        self.runner(f'cat >/dev/null; {script} sed "s/RUN/$LOOOP_RUN_ID/g" {path}', mode, gate=gate, output="pi")

    def edit(self):
        """Change the world as a person would."""
        self.edits += 1
        self.write("goals/a.md", f"edit {self.edits}\n")

    # --- verbs

    def verb(self, *words, injector=None, before=None, stdin=b"", timeout=PATIENCE, env=None):
        """Run a verb in a child and return how it ended; `before`: what the child does first."""
        with contextlib.ExitStack() as stack:  # pipes, as no limit of what it may write is to meet them
            given = stack.enter_context(tempfile.TemporaryFile())
            given.write(stdin)
            given.seek(0)
            readers, writers = zip(os.pipe(), os.pipe())
            for fd in readers:
                stack.callback(os.close, fd)
            began = time.monotonic()
            pid = os.fork()
            if pid == 0:
                self._be_looop((given.fileno(), *writers), words, injector, before, {**self.env, **(env or {})})
            for fd in writers:
                os.close(fd)
            said, code = heard(pid, readers, timeout)
        if code is None:
            self.fail(f"{words} did not end within {timeout} s: {said}")
        self.assertNotIn("Traceback", said[1], words)
        if injector and injector.struck():
            figure("writes that the system refused" if injector.error else "kill -9 at a change of a file", 1)
        return Done(code, *said, time.monotonic() - began)

    def _be_looop(self, streams, words, injector, before, env):
        """Be looop, in a process that was forked for it. It does not return."""
        code = 99
        try:
            os.setsid()
            for target, fd in enumerate(streams):
                os.dup2(fd, target)
            sys.stdin = open(0, closefd=False)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
            os.closerange(3, 256)
            os.environ.clear()
            os.environ.update(env)
            time.tzset()
            os.chdir(self.home)
            os.fsync = lambda fd: None  # nobody cuts the power here, and it is what takes time
            looop.__file__ = self.launcher
            if before:
                before()
            if injector:
                injector.install()
            code = looop.main(list(words))
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    # --- what is promised

    def promised(self, named=True, torn=False):
        """Hold the files against the promises, now that a beat has settled what was.

        `named`: each line of the journal names its run. `torn`: logs of looop's own may hold halves of lines.
        """
        journal = self.read("journal.md") if os.path.exists(self.path("journal.md")) else ""
        self.assertTrue(journal.endswith("\n") or not journal, journal[-200:])
        lines = journal.split("\n")[:-1]
        for line in lines:
            self.assertRegex(line, LINE)
            self.assertEqual(len(LINE.findall(line)), 1, line)
        paid = [row["run"] for row in self.rows("cost.jsonl", torn) if row["kind"] == "tick"]
        self.assertEqual(len(paid), len(set(paid)), "a call is paid twice")
        effects = self.read("effects").split() if os.path.exists(self.path("effects")) else []
        self.assertEqual(len(effects), len(set(effects)), "an effect happened twice")
        self.rows("events.jsonl", torn)
        for run in self.runs():
            files = os.listdir(self.path("runs", run))
            about = [line for line in lines if run in line]
            if "intent.json" in files and named:
                outcome = self.json("runs", run, "result.json")["outcome"]
                if outcome == "interrupted" and self.json("runs", run, "wake.json")["mode"] == "direct":
                    about = about[-1:]  # what its runner had written by then stays
                    self.assertIn("interrupted: ", about[0])
                self.assertEqual(len(about), outcome != "failed", f"{run}, {outcome}: {about} of {lines[-3:]}")
            if run in effects:
                self.assertIn("intent.json", files)
            if "output.log" in files and os.path.getsize(self.path("runs", run, "output.log")):
                self.assertIn(run, paid)
            self.assertTrue("result.json" in files or not files, (run, files))
        return lines

    def rows(self, name, torn=False):
        """Return the rows of a log; `torn`: some of its lines may be halves."""
        rows = []
        for line in self.read(name).split("\n") if os.path.exists(self.path(name)) else ():
            try:
                rows += [looop.parse_json(line)] if line else []
            except ValueError:
                self.assertTrue(torn, line)
        return rows

    def opened(self):
        """Return the profile, for what looks into it with looop's own functions."""
        return looop.open_profile(self.env, self.launcher)

    def supervised(self):
        """Wait until nothing runs any more that a session or its supervisor has left."""

        def left():
            folder = self.path("sessions")
            names = os.listdir(folder) if os.path.isdir(folder) else []
            locks = [path for path in (f"{folder}/{name}/lock" for name in names) if os.path.isfile(path)]
            return processes_with(self.home) or any(map(looop.lock_is_held, locks))

        wait_until(lambda: not left(), "the end of what was started")

    def points(self, count, few):
        """Return some of the points 1…count, the last among them; all of them with LOOOP_LONG=1."""
        if LONG or count <= few:
            return range(1, count + 1)
        early = range(1, count - count // 4)  # of the next run, too, which may come to fewer
        return sorted({count, *self.rng.sample(early, few - 1)})


def json_text(value):
    """Write JSON on one line."""
    import json

    return json.dumps(value)


def heard(pid, readers, timeout):
    """Return what a child said on its pipes, and its exit code, minus its signal; None: it was ended at its deadline.

    What it leaves running may hold the pipes open.
    """
    deadline = time.monotonic() + timeout
    said = dict.fromkeys(readers, b"")
    open_ones, code = list(readers), None
    while open_ones or code is None:
        if code is None:
            done, status = os.waitpid(pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if done else None
        ready = select.select(open_ones, [], [], 0 if code is not None else 0.002)[0]
        for fd in ready:
            data = os.read(fd, 65536)
            said[fd] += data
            if not data:
                open_ones.remove(fd)
        if code is not None and not ready:
            break
        if code is None and time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
    return [data.decode("utf-8", "replace") for data in said.values()], code
