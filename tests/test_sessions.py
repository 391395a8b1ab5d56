"""Sessions: what begins, types into, watches and ends them, with real terminals, process trees and sockets."""

import contextlib
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import tty
import unittest
import unittest.mock

import looop
from tests.support import (
    FAKES,
    HEAVY,
    LONG,
    PATIENCE,
    ROOT,
    Case,
    alive,
    figure,
    heavy,
    kill_all,
    needs,
    needs_linux,
    needs_root,
    patient,
    processes_with,
    wait_until,
)

LINUX = os.path.isdir("/proc/self")
PLAIN = {"LOOOP_LOG_MAX_BYTES": str(64 << 20)}


class Viewer:
    """Be a client that is attached: it reads in a thread, and answers questions as terminals do when it is told to."""

    ANSWERS = {
        b"\x1b[c": b"\x1b[?62;22c",
        b"\x1b[6n": b"\x1b[7;9R",
        b"\x1b[?u": b"\x1b[?0u",
        b"\x1b[>0q": b"\x1bP>|viewer(1)\x1b\\",
        b"\x1b[?2004$p": b"\x1b[?2004;2$y",
        b"\x1b]11;?\x07": b"\x1b]11;rgb:1111/1111/1111\x07",
        b"\x1b[5n": b"\x1b[0n",
    }

    def __init__(self, session, cols=80, rows=24, read_only=False, answers=False, reading=True):
        self.channel = looop.Channel(session)
        request = {"op": "attach", "cols": cols, "rows": rows, "read_only": read_only, "from the future": [1]}
        self.channel.send(json.dumps(request).encode() + b"\n")
        self.reply = self.channel.line(120.0)
        self.output, self.ended, self.left, self.gone = b"", None, False, False
        self.answers, self.answered = answers, 0
        self.pictures = 0  # fresh ones
        self.frames = looop.Frames()
        self.thread = threading.Thread(target=self._read, daemon=True)
        if reading:
            self.thread.start()

    def _read(self):
        data, self.channel.buffer = self.channel.buffer, b""
        while True:
            for kind, body in self.frames.feed(data):
                if kind == b"o":
                    self.output += body
                    self._answer()
                elif kind == b"z":
                    self.pictures += 1
                elif kind == b"e":
                    self.ended = json.loads(body)
                elif kind == b"d":
                    self.left = True
            try:
                data = self.channel.receive(None)
            except (looop.Gone, OSError):
                self.gone = True
                return

    def _answer(self):
        if not self.answers:
            return
        asked = self.output[self.answered :]
        for question, answer in self.ANSWERS.items():
            for _ in range(asked.count(question)):
                self.type(answer)
                self.answered = len(self.output)

    def send(self, data):
        """Hand bytes over; not by the channel, whose timeout is the reading thread's too."""
        view, sock = memoryview(data), self.channel.sock
        while view:
            if not select.select([], [sock], [], PATIENCE)[1]:
                raise AssertionError("nothing is taken")
            try:
                view = view[sock.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue

    def type(self, data):
        self.send(looop.frame(b"i", data))

    def resize(self, cols, rows):
        self.send(looop.size_frame(cols, rows))

    def close(self):
        with contextlib.suppress(OSError):
            self.channel.sock.shutdown(socket.SHUT_RDWR)
        if self.thread.is_alive():
            self.thread.join(120)
        self.channel.close()


class Sessions(Case):
    """A test with sessions, none of which outlives it."""

    starts = True  # most verbs run in the process of the test: where that is not enough, a start it is

    def setUp(self):
        super().setUp()
        self.opened = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        self.addCleanup(self.end_all)

    def end_all(self):
        """End the sessions; whatever is left of them then is a fault."""
        for session in looop.list_sessions(self.opened):
            crash = os.path.join(session.folder, "crash.txt")
            if os.path.exists(crash):
                with open(crash) as file:
                    self.fail(f"the supervisor of {session.id} died: {file.read()}")
            if session.alive:
                looop.kill_session(session)
        locks = [os.path.join(session.folder, "lock") for session in looop.list_sessions(self.opened)]
        try:
            wait_until(lambda: not any(map(looop.lock_is_held, locks)), "the end of the supervisors")
            wait_until(lambda: not processes_with(self.home), "no process")
        finally:
            kill_all(processes_with(self.home))

    def looop(self, *words, code=0, env=None, stdin=None, timeout=PATIENCE):
        """Run a looop, in a process of its own where that makes a difference."""
        if code is None or stdin is not None or "--raw" in words:
            return super().looop(*words, code=code, env=env, stdin=stdin, timeout=timeout)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.code = looop.guarded({**self.env, **(env or {})}, [str(word) for word in patient(words)])
        self.stderr = err.getvalue()
        self.assertEqual(self.code, code, f"{words}: {out.getvalue()}\n{self.stderr}")
        return out.getvalue()

    def begin(self, name, command, *options, apart=False, **more):
        """Start a session of a command, and return it; `apart`: from a process of its own."""
        run = super().looop if apart else self.looop
        run("start-session", name, "--command", command, *options, **more)
        return self.session(name)

    def fake(self, program, *words):
        """Return the command line of one of the fakes."""
        return " ".join(["exec", "python3", "-SI", os.path.join(FAKES, program), *words])

    def session(self, name):
        return looop.read_session(self.opened, name)

    def runs_of(self, name):
        """Return how often a session's command was started."""
        return self.json("sessions", name, "status.json")["starts"]

    def wait_for(self, session, pattern, since=0, timeout=PATIENCE):
        """Wait until a session has written something; return the offset after it."""
        compiled = re.compile(pattern, re.MULTILINE)
        hunt = looop.expect(session, compiled, since=since, timeout=timeout, raw=False)
        self.assertIsNotNone(hunt.matched, f"{pattern} did not come: {self.output(session)[-2000:]!r}")
        return hunt.offset

    def output(self, session):
        """Return what a session's log holds."""
        with looop.LogView(session.folder) as log:
            data, place = b"", log.start
            while True:
                piece = log.read(place, 1 << 20)
                if not piece:
                    return data
                data, place = data + piece, place + len(piece)

    def supervisor(self, session):
        """Return the pid of a session's supervisor."""
        pid = looop.supervisor_pid(session)
        self.assertTrue(pid)
        return pid

    def viewer(self, session, *words, **options):
        viewer = Viewer(session, *words, **options)
        self.addCleanup(viewer.close)
        return viewer

    def ended(self, session, timeout=PATIENCE):
        """Wait until a session has ended, and return it."""
        found = looop.wait_for_end(session, timeout)
        self.assertIsNotNone(found, "it did not end")
        return found

    def first_of(self, process):
        """Wait for what a process writes first, and return it."""
        self.assertTrue(select.select([process.stdout], [], [], PATIENCE)[0], "it writes nothing")
        return os.read(process.stdout.fileno(), 4096)

    def connect(self, session):
        channel = looop.Channel(session)
        self.addCleanup(channel.close)
        return channel

    def ask(self, session, line):
        """Send a line as it is, and return the reply."""
        with looop.Channel(session) as channel:
            channel.send(line + b"\n")
            return channel.line(120.0)


class Beginning(Sessions):
    def test_a_path_of_a_command_is_looked_for_where_it_is_to_run(self):
        folder = os.path.join(self.home, "project")
        os.mkdir(folder)
        with open(f"{folder}/run", "w") as file:
            file.write("#!/bin/sh\nexit 7\n")
        os.chmod(f"{folder}/run", 0o755)
        super().looop("start-session", "a", "--cwd", folder, "--command", "./run")
        self.assertEqual(self.ended(self.session("a")).code, 7)
        shutil.copy(f"{folder}/run", f"{self.home}/run")  # that is where it is started from
        process = self.start("start-session", "b", "a task", "--command", "./run")
        self.assertIn(b"./run: command not found", process.communicate(timeout=120)[1])
        self.assertEqual(process.returncode, 127)
        self.assertIsNone(self.session("b"), "there is no such thing in the data dir")

    def test_a_start_in_a_substitution_returns_and_hands_no_descriptor_on(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        command = "echo READY; read x"
        quoted = " ".join(looop.quoted(word) for word in self.command("start-session", "a", "--command", command))
        script = f'exec 8>&1 9</dev/null; x=$({quoted}); echo "<$x>"'
        done = subprocess.run(
            ["bash", "-c", script],
            env=self.env, cwd=self.home, input=b"x" * 1000, capture_output=True, pass_fds=(writing,), timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        os.close(writing)
        self.assertIn(b"<a runs", done.stdout, done.stderr)
        self.assertEqual(select.select([reading], [], [], PATIENCE)[0], [reading], "somebody holds the pipe open")
        self.assertEqual(os.read(reading, 1), b"")
        self.assertTrue(self.session("a").alive)
        if LINUX:
            self.wait_for(self.session("a"), "READY")  # before that, the loader has its libraries open
            child = self.session("a").child
            self.assertEqual({int(name) for name in os.listdir(f"/proc/{child}/fd")}, {0, 1, 2})
            kinds = [os.readlink(f"/proc/{child}/fd/{number}") for number in (0, 1, 2)]
            self.assertEqual({kind[:9] for kind in kinds}, {"/dev/pts/"})

    def test_the_end_of_the_starter_and_of_its_terminal_ends_nothing(self):
        pid, master = pty.fork()
        if pid == 0:
            words = self.command("start-session", "a", "--command", "echo READY; cat")
            os.execve("/bin/sh", ["sh", "-c", '"$@"; sleep 300', "sh", *words], self.env)
        seen = b""
        while b"a runs" not in seen:
            self.assertTrue(select.select([master], [], [], PATIENCE)[0], seen)
            seen += os.read(master, 4096)
        os.close(master)  # the kernel hangs up on everybody in it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        session = self.session("a")
        self.wait_for(session, "READY")
        looop.send_text(session, b"still here\r", raw=True)
        self.wait_for(session, "still here\n.*still here")

    def test_nothing_odd_of_the_starter_reaches_the_command(self):
        def odd():
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGQUIT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            os.umask(0o027)

        command = "umask; pwd; cat /proc/self/status; echo READY; read x; exit 7"
        folder = os.path.join(self.home, "a folder")
        os.mkdir(folder)
        process = self.start("start-session", "a", "--command", command, "--cwd", folder, preexec_fn=odd)
        _, err = process.communicate(timeout=120)
        self.assertEqual((process.returncode, err), (0, b""))
        session = self.session("a")
        self.wait_for(session, "READY")
        lines = self.output(session).decode().replace("\r", "").split("\n")
        self.assertEqual(lines[:2], ["0027", folder])
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        if LINUX:
            self.assertEqual({int(fields[name], 16) for name in ("SigBlk", "SigIgn")}, {0})
        looop.send_keys(session, ["Enter"])
        self.assertEqual(self.ended(session).code, 7)
        mode = {
            stat.S_IMODE(os.stat(os.path.join(session.folder, name)).st_mode) for name in os.listdir(session.folder)
        }
        self.assertEqual((mode, stat.S_IMODE(os.stat(session.folder).st_mode)), ({0o600}, 0o700))

    def test_a_starter_without_streams(self):
        quoted = " ".join(looop.quoted(word) for word in self.command("start-session", "a", "--command", "cat"))
        for closing in ("<&- >&- 2>&-", "<&-", ">&-"):
            command = ["bash", "-c", f"{quoted} {closing}"]
            subprocess.run(command, env=self.env, cwd=self.home, check=True, stdout=subprocess.DEVNULL)
            session = self.session("a")
            self.assertTrue(session.alive, closing)
            looop.send_text(session, b"hello\r", raw=True)
            self.wait_for(session, "hello\nhello")
            looop.kill_session(session)

    def test_replacing_the_file_under_a_session_harms_nothing(self):
        copy = os.path.join(self.home, "copy.py")
        shutil.copy(os.path.join(ROOT, "looop.py"), copy)
        words = [sys.executable, "-SI", copy, "start-session", "a", "--command", "echo READY; cat"]
        subprocess.run(words, env=self.env, check=True, capture_output=True, timeout=PATIENCE)
        with open(copy, "w") as file:
            file.write("raise SystemExit('not this one')\n")
        os.unlink(copy)
        session = self.session("a")
        self.wait_for(session, "READY")
        self.looop("send", "a", "after", "the", "upgrade")
        self.wait_for(session, "upgrade\n.*upgrade")
        self.assertIn("after the upgrade", self.looop("shot", "a"))
        self.looop("resize", "a", "90x30")
        self.looop("restart", "a")
        self.looop("kill", "a")
        self.assertFalse(self.session("a").alive)

    def test_what_is_not_known_is_ignored_or_answered(self):
        session = self.begin("a", "echo READY; cat")
        self.wait_for(session, "READY")
        reply = self.ask(session, b'{"op":"status","new":{"deep":[1]},"other":null}')
        self.assertEqual((reply["ok"], reply["protocol"], reply["id"]), (True, looop.PROTOCOL, "a"))
        self.assertEqual(reply["version"], looop.VERSION)
        for line in (
            b'{"op":"teleport"}', b'{"op":"_request"}', b'{"op":""}', b'{"op":7}', b"{}", b"[]", b'"op"', b"not json",
            b"\xff\xfe", b'{"op":"type"}', b'{"op":"keys"}', b'{"op":"keys","keys":[["a","b"]]}',
            b'{"op":"keys","keys":null}', b'{"op":"keys","keys":[""]}',
            b'{"op":"type","enter":true,"bytes":1}',  # of a looop that does not look first
            b'{"op":"resize","cols":1e999,"rows":5}', b'{"op":"input","bytes":1e999}', b'{"op":"input","bytes":"x"}',
            b'{"op":"attach","cols":80,"rows":-1e999}', b'{"op":"attach","cols":80,"rows":24,"scrollback":1e999}',
            b'{"op":"\\ud800"}', b'{"op":"resize","cols":null,"rows":[]}', b"[" * 100000,
        ):  # fmt: skip
            reply = self.ask(session, line)
            self.assertFalse(reply["ok"], line)
            self.assertTrue(reply["error"], line)
        viewer = self.viewer(session)
        viewer.send(looop.frame(b"z", b"from the future") + looop.frame(b"s", b"") + looop.frame(b"i", b"on\r"))
        self.wait_for(session, "on\non")
        self.assertTrue(self.session("a").alive)

    def test_a_request_that_cannot_be_met_during_a_flood(self):
        session = self.begin("a", "yes 'ab\x1b[31mcd'")
        self.wait_for(session, "cd")
        for _ in range(5):
            self.assertFalse(self.ask(session, b'{"op":"keys"}')["ok"])
        self.assertTrue(self.session("a").alive)

    def test_a_long_data_dir_and_ids_at_their_limits(self):
        data = os.path.join(self.home, *["d" * 40] * ((200 - len(self.home)) // 41 - 1))
        data = os.path.join(data, "e" * (199 - len(data)))
        self.assertEqual(len(data), 200)
        self.env["LOOOP_DATA_DIR"] = data
        self.opened = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        for name in ("a" * 64, "0.lock..-_", "Z"):
            session = self.begin(name, "echo READY; cat")
            self.wait_for(session, "READY")
            self.looop("send", name, "hello")
            self.wait_for(session, "hello\nhello")
            self.assertIn("hello", self.looop("shot", name))
        self.assertEqual(len(json.loads(self.looop("ls", "--json"))), 3)

    def test_hostile_ids_are_refused(self):
        bad = [
            "../x",
            "a/b",
            ".",
            "..",
            ".hidden",
            "a" * 65,
            "a b",
            "a\nb",
            "é",
            "pulse",
            "_x",
            "a\x1b[31m",
            "$(x)",
            "*",
        ]
        for name in bad:
            self.looop("start-session", "--command", "cat", "--", name, code=2)
            self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
        self.looop("start-session", "--command", "cat", "--", "", code=2)
        self.assertEqual(looop.list_sessions(self.opened), [])
        for name in ("../x", "a/../b", "..", "a" * 300):
            for verb in ("shot", "kill", "log", "wait"):
                self.looop(verb, "--", name, code=1)
                self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)

    @heavy
    def test_of_many_starts_of_one_id_exactly_one_wins(self):
        for count, command in ((2, "cat"), (20, "sleep 300"), (2, "sleep 301")):
            starts = [self.start("start-session", "a", "--command", command) for _ in range(count)]
            codes = sorted((start.wait(120), b"already running" in start.stderr.read()) for start in starts)
            self.assertEqual(codes, [(0, False)] + [(1, True)] * (count - 1))
            self.assertEqual(sorted(os.listdir(self.path("sessions"))), [".lock", "a"])
            self.assertEqual(self.session("a").cmd, command)
            looop.kill_session(self.session("a"))

    def test_a_start_that_fails_leaves_nothing(self):
        missing = os.path.join(self.home, "none")
        plain = os.path.join(self.home, "plain")
        with open(plain, "w") as file:
            file.write("")
        for words, code in (
            (("--command", "cat", "--cwd", missing), 1),
            (("--command", "cat", "--cwd", plain), 1),
            (("--command", "no-such-command-here"), 127),
            (("--command", missing), 127),
            (("--command", plain), 127),
            (("--command", "   "), 2),
            (("--command", "cat", "--size", "0x0"), 2),
            (("--command", "cat", "--size", "wide"), 2),
            ((), 2),
        ):
            self.looop("start-session", "a", *words, code=code)
            self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
            self.assertIsNone(self.session("a"))
        self.assertEqual([name for name in self.tree() if name.startswith(("sessions/a", "sessions/.", "prompts"))
                          and not name.endswith(".lock")], [])  # fmt: skip

    def test_a_live_id_is_refused_and_what_its_worker_was_told_stays(self):
        interactive = "echo READY; cat {{prompt_file}}; exec cat"
        runner = {"mode": "typed", "tick": "true", "interactive": interactive}
        self.config({"default": "fake", "runners": {"fake": runner}})
        self.looop("start-session", "a", "the first brief")
        session = self.session("a")
        self.wait_for(session, "the first brief")
        self.looop("start-session", "a", "the second brief", code=1)
        self.assertIn("already running", self.stderr)
        self.assertEqual(self.read("prompts", "a.md").count("the first brief"), 1)
        self.assertNotIn("second", self.read("prompts", "a.md"))
        looop.kill_session(session)
        self.looop("start-session", "a", "-", stdin=b"the third brief\n")
        self.wait_for(self.session("a"), "the third brief")

    def test_a_command_that_fails_late_is_failed(self):
        session = self.begin("a", "true && no-such-command-here")
        self.looop("wait", "a", code=127)
        self.assertEqual(self.session("a").state, "failed")
        session = self.begin("b", f"true; {self.home}")
        self.looop("wait", "b", code=126)
        self.assertEqual(self.session(session.id).state, "failed")


class Ending(Sessions):
    def test_a_supervisor_that_was_killed_is_lost_and_its_id_is_free_at_once(self):
        for round_ in range(2):
            session = self.begin("a", "echo READY; exec cat")
            self.wait_for(session, "READY")
            waiter = self.start("wait", "a")
            follower = wait_until(lambda s=session: looop.ask_session(s, "status"), "an answer")
            child = follower["child"]
            os.kill(self.supervisor(session), signal.SIGKILL)
            self.assertEqual(waiter.wait(120), 137)
            row = json.loads(self.looop("ls", "--json"))[0]
            self.assertEqual((row["state"], row["alive"], row["health"]), ("lost", False, "dead"))
            self.looop("wait", "a", code=137)
            self.looop("send", "a", "x", code=1)
            self.assertIn("lost", self.stderr)
            self.assertIn("READY", self.looop("shot", "a"))
            wait_until(lambda child=child: not alive(child), "the end of a command whose terminal is gone")
            self.assertTrue(os.path.exists(os.path.join(session.folder, "sock")), f"round {round_}")
        self.looop("kill", "a")
        self.begin("a", "cat")

    @needs_linux
    def test_what_outlived_a_killed_supervisor_is_ended_and_named_before_its_id_is_used_again(self):
        for verb in ("start-session", "restart", "kill"):
            session = self.begin("a", "trap '' HUP; sleep 300 & echo READY; wait")
            self.wait_for(session, "READY")
            pids = looop.descendants(session.supervisor)
            self.assertEqual(len(pids), 2)
            os.kill(session.supervisor, signal.SIGKILL)
            wait_until(lambda s=session: not s.has_supervisor(), "its end")
            if verb == "kill":
                self.assertEqual(self.looop("prune"), "removed: nothing\n")
                self.assertRegex(self.stderr, r"a: is kept: pids \d+, \d+ outlived its\s+supervisor: `\S+ kill a`")
            said = self.looop(verb, "a", *(("--command", "exec cat") if verb == "start-session" else ()))
            self.assertRegex(said + self.stderr, r"ended pids \d+, \d+ that\s+outlived\s+its\s+supervisor")
            self.assertEqual([pid for pid in pids if alive(pid)], [])
            self.looop("kill", "a")
            self.assertNotIn("outlived", self.stderr)

    def test_a_stopped_supervisor_is_ended_all_the_same(self):
        session = self.begin("a", "echo READY; trap '' HUP; sleep 300")
        self.wait_for(session, "READY")
        os.kill(self.supervisor(session), signal.SIGSTOP)
        self.looop("kill", "a")
        self.assertFalse(self.session("a").alive)

    def test_a_busy_supervisor_is_not_taken_for_a_dead_one(self):
        session = self.begin("a", "echo READY; read x; exit 5")
        self.wait_for(session, "READY")
        pid = self.supervisor(session)
        os.kill(pid, signal.SIGSTOP)
        waiting = []
        for _ in range(200):  # more than wait to be accepted
            sock = socket.socket(socket.AF_UNIX)
            self.addCleanup(sock.close)
            sock.setblocking(False)
            try:
                sock.connect(f"/proc/self/fd/{self.folder_fd(session)}/sock")
            except BlockingIOError:
                break
            waiting.append(sock)
        else:
            self.skipTest("this system's sockets take any number")
        waiter = self.start("wait", "a")
        sender = self.start("send", "a", "x")
        with self.assertRaises(subprocess.TimeoutExpired):
            waiter.wait(0.5)
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(sender.wait(120), 0, sender.stderr.read())
        self.assertEqual(waiter.wait(120), 5)

    def folder_fd(self, session):
        fd = os.open(session.folder, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        return fd

    def test_stubborn_trees_leave_no_survivor(self):
        count = 200 if LONG else 6
        names = [f"t{number}" for number in range(count)]
        for name in names:
            self.begin(name, self.fake("stubborn.py"))
        for name in names:
            self.wait_for(self.session(name), "READY")
        if LINUX:  # the command and what it has started, one of which is always on its way
            self.assertGreaterEqual(len(processes_with(self.home)), count * 5)
        begun = time.monotonic()
        kills = [self.start("kill", name, constants={"TERM_GRACE": PATIENCE}) for name in names]
        for kill in kills:
            self.assertEqual(kill.wait(120), 0, kill.stderr.read())
        figure(f"most seconds until {count} stubborn trees had ended at once", round(time.monotonic() - begun, 1))
        wait_until(lambda: not processes_with(self.home), "the last of what was killed")
        figure("stubborn trees ended without a survivor", count)
        for name in names:
            session = self.session(name)
            self.assertEqual((session.state, session.signal), ("killed", signal.SIGKILL))
            self.begin(name, "true") if name == "t0" else None  # its id is free at once

    def test_from_inside_kill_is_a_finish(self):
        quoted = " ".join(looop.quoted(word) for word in self.command("kill", "a"))
        session = self.begin("a", f"echo READY; read x; {quoted}; sleep 300")
        self.wait_for(session, "READY")
        looop.send_keys(session, ["Enter"])
        session = self.ended(session)
        self.assertEqual((session.state, session.code, session.signal), ("exited", 0, None))
        self.assertEqual(json.loads(self.looop("ls", "--json"))[0]["health"], "done")

    def test_a_session_that_a_session_has_started_is_none_of_its_tree(self):
        words = " ".join(looop.quoted(w) for w in self.command("start-session", "b", "--command", "echo READY; cat"))
        outer = self.begin("a", f"{words}; echo READY; sleep 300")
        self.wait_for(outer, "^READY")
        inner = self.session("b")
        before = self.supervisor(inner)
        self.looop("restart", "a")
        wait_until(lambda: self.output(outer).count(b"READY") == 2, "the second start")
        looop.send_text(inner, b"still here\r", raw=True)
        self.wait_for(inner, "still here\n.*still here")
        self.looop("kill", "a")
        looop.send_text(inner, b"and here\r", raw=True)
        self.wait_for(inner, "and here\n.*and here")
        self.assertEqual(self.supervisor(inner), before)
        self.looop("kill", "b")

    def test_only_what_runs_inside_ends_itself(self):
        session = self.begin("a", "exec cat")
        self.looop("kill", "a", env={"LOOOP_SESSION_ID": "a"})
        self.assertEqual(self.session("a").state, "killed")
        session = self.begin("a", " ".join(map(looop.quoted, self.command("kill", "a"))) + "; sleep 100")
        session = self.ended(session)
        self.assertEqual((session.state, session.code), ("exited", 0))

    def test_a_session_is_not_attached_to_itself(self):
        session = self.begin("a", " ".join(map(looop.quoted, self.command("attach", "a"))))
        self.assertEqual(self.ended(session).code, 1)
        self.assertIn(b"is the session that this runs in", self.output(session))

    @needs("ps")
    def test_processes_are_found_without_proc(self):
        def known(table):
            return {pid: table[pid] for pid in (os.getpid(), os.getppid()) if pid in table}

        self.assertEqual(known(looop.listed_parents())[os.getpid()], os.getppid())
        self.assertEqual(known(looop.listed_parents()), known(looop.parents()))

    @needs_linux
    def test_the_tree_below_a_process_is_walked_without_a_look_at_every_process(self):
        """A supervisor looks while it ends its command: with a thousand processes on the machine as with ten."""
        session = self.begin("a", "(setsid sleep 300 & sleep 300) & echo READY; wait")
        self.wait_for(session, "READY")
        walked = looop.descendants(session.supervisor)
        with unittest.mock.patch.object(looop, "children_of", lambda pid: []):
            self.assertEqual(set(looop.descendants(session.supervisor)), set(walked))
        with unittest.mock.patch.object(looop, "parents", side_effect=AssertionError("it looked at every process")):
            self.assertEqual(looop.descendants(session.supervisor), walked)
        self.assertNotIn(session.supervisor, looop.children_of(1) + looop.descendants(os.getpid()))
        self.looop("kill", "a")
        self.assertEqual([pid for pid in walked if alive(pid)], [])

    def test_wait_tells_how_it_ended(self):
        for script, code, state in (("exit 7", 7, "exited"), ("kill -TERM $$", 143, "killed"), ("true", 0, "exited")):
            self.begin("a", script)
            self.looop("wait", "a", code=code)
            self.looop("wait", "a", code=code)
            self.assertEqual(self.session("a").state, state)
        session = self.begin("b", "echo READY; exec cat")
        self.looop("wait", "b", "--timeout", "100ms", code=124)
        waiter = self.start("wait", "b", "--timeout", "0")
        with self.assertRaises(subprocess.TimeoutExpired):
            waiter.wait(0.3)
        os.kill(session.child, signal.SIGTERM)
        self.assertEqual(waiter.wait(120), 143)
        self.looop("wait", "none", code=1)

    def test_the_last_output_is_never_lost(self):
        script = "head -c 200000 /dev/zero | tr '\\0' x; echo END"
        for number in range(30 if LONG else 10):
            self.begin("a", script)
            self.ended(self.session("a"))
            out = self.output(self.session("a"))
            self.assertEqual((len(out), out[-5:]), (200005, b"END\r\n"), number)

    def test_a_supervisor_that_was_late_loses_no_output(self):
        session = self.begin("a", "echo READY; read x; head -c 3000 /dev/zero | tr '\\0' x; "
                                  "head -c 40000 /dev/zero | tr '\\0' y; echo END")  # fmt: skip
        self.wait_for(session, "READY")
        pid, child = self.supervisor(session), session.child
        with looop.Channel(session) as channel:
            channel.send(b'{"op":"input","bytes":1}\n\n')
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.3)  # long past every patience of the supervisor
        os.kill(pid, signal.SIGCONT)
        self.assertTrue(child)
        self.ended(session)
        self.assertEqual(self.output(session)[-5:], b"END\r\n")
        self.assertEqual(self.output(session).count(b"y"), 40000)

    def test_a_grandchild_that_holds_the_terminal_holds_nobody_up(self):
        for holding in ("setsid sleep 99 &", "(trap '' HUP; exec sleep 99) &", "(trap '' HUP; exec yes) &"):
            self.begin("a", f"{holding} echo END; exit 3")
            session = self.ended(self.session("a"))
            self.assertEqual((session.state, session.code), ("exited", 3), holding)
            self.assertIn(b"END", self.output(session))
            kill_all(processes_with(self.home))


class Output(Sessions):
    @heavy
    def test_a_stopped_viewer_holds_nobody_up(self):
        size = (100 if LONG else 6) << 20
        command = f"echo READY; read x; yes 0123456789abcdef | head -c {size}; echo; echo END; read x"
        session = self.begin("a", command, env=PLAIN, apart=True)
        self.wait_for(session, "READY")
        stopped = self.viewer(session, reading=False)
        live = self.viewer(session)
        looop.send_keys(session, ["Enter"])
        self.wait_for(session, "END")
        wait_until(lambda: b"END" in live.output[-200:], "the end at the viewer who reads")
        if LINUX:
            pid = self.supervisor(session)
            with open(f"/proc/{pid}/status") as file:
                rss = next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
            self.assertLess(rss, 60)
            figure(f"most MB of a supervisor while {size >> 20} MB passed a stopped viewer", round(rss))
        stopped.thread.start()  # it goes on, and gets a fresh screen
        wait_until(lambda: b"END" in stopped.output[-5000:], "a fresh screen for the viewer who was stopped")
        self.assertGreater(stopped.pictures, 1)
        self.assertLess(len(stopped.output), 3 << 20)
        with looop.LogView(session.folder) as log:
            self.assertGreater(log.end, size)
            self.assertLessEqual(log.end - log.start, 64 << 20)

    def test_the_log_holds_its_cap_and_tells_what_it_dropped(self):
        lines = 60000
        session = self.begin("a", f"seq {lines}; echo END; read x", env={"LOOOP_LOG_MAX_BYTES": "100000"})
        self.wait_for(session, "END")
        whole = b"".join(b"%d\r\n" % number for number in range(1, lines + 1)) + b"END\r\n"
        kept = self.output(session)
        self.assertEqual(kept, whole[-len(kept) :])
        self.assertGreater(len(kept), 30000)
        sizes = sum(os.stat(os.path.join(session.folder, name)).st_size for name in os.listdir(session.folder)
                    if name.startswith("output"))  # fmt: skip
        self.assertLessEqual(sizes, 100000)
        with looop.LogView(session.folder) as log:
            start, end = log.start, log.end
        self.assertEqual(end, len(whole))
        self.assertEqual(start, len(whole) - len(kept))
        self.looop("log", "a", "--since", "0")
        self.assertIn("truncated", self.stderr)
        out = json.loads(self.looop("log", "a", "--since", "0", "--json"))
        self.assertEqual((out["truncated"], out["offset"], out["done"]), (True, end, False))
        place = end - 1000
        out = json.loads(self.looop("log", "a", "--since", str(place), "--json"))
        self.assertEqual((out["truncated"], out["text"]), (False, whole[place:].decode().replace("\r\n", "\n")))
        self.assertEqual(self.stderr, "")
        self.assertEqual(self.looop("log", "a", "--tail", "3"), f"{lines - 1}\n{lines}\nEND\n")
        out = json.loads(self.looop("expect", "a", f"^{lines}$", "--since", "0", "--json"))
        self.assertEqual(whole[: out["offset"]].rsplit(b"\n", 1)[1], str(lines).encode())
        out = json.loads(self.looop("log", "a", "--since", str(end + 1000), "--json"))
        self.assertEqual((out["text"], out["offset"]), ("", end))
        looop.send_keys(session, ["Enter"])
        self.ended(session)
        out = self.looop("log", "a", "-f", "--since", "0", "--json").split("\n")
        self.assertEqual([json.loads(line)["truncated"] for line in out[:-1]], [True] + [False] * (len(out) - 2))
        out = self.looop("log", "a", "-f", "--since", "0")
        self.assertTrue(out.endswith("END\n\n"), out[-20:])
        self.assertEqual(self.stderr.count("truncated"), 1)

    def test_who_is_overtaken_by_the_cap_is_told(self):
        command = "echo READY; read x; seq 60000; echo END; read x"
        session = self.begin("a", command, env={"LOOOP_LOG_MAX_BYTES": "100000"})
        self.wait_for(session, "READY")
        followers = [self.start("log", "a", "-f", *words) for words in ((), ("--json",), ("--raw",))]
        for follower in followers:
            self.assertIn(b"READY", self.first_of(follower))
            follower.send_signal(signal.SIGSTOP)
        looop.send_keys(session, ["Enter"])
        self.wait_for(session, "END")
        looop.kill_session(session)
        for follower in followers:
            follower.send_signal(signal.SIGCONT)
        (plain, plain_words), (rows, row_words), (raw, raw_words) = (one.communicate(timeout=120) for one in followers)
        self.assertEqual([json.loads(row)["truncated"] for row in rows.splitlines()].count(True), 1)
        self.assertEqual(row_words, b"")
        for out, words in ((plain, plain_words), (raw, raw_words)):
            self.assertTrue(out.replace(b"\r", b"").endswith(b"60000\nEND\n"), out[-40:])
            self.assertRegex(words, rb"^looop: log: a: truncated: \d+ bytes were dropped before they were read\n$")

    def test_a_follower_reads_on_while_the_log_turns(self):
        lines = 200000 if LONG else 40000
        command = f"echo READY; read x; seq {lines}; echo END"
        session = self.begin("a", command, env={"LOOOP_LOG_MAX_BYTES": "8000000"})
        self.wait_for(session, "READY")
        follower = self.start("log", "a", "-f")
        with looop.Follower(session, 0) as reading:
            looop.send_keys(session, ["Enter"])
            data = b""
            while not reading.ended or reading.log.end > reading.offset:
                piece = reading.read()
                data += piece
                if not piece and not reading.ended:
                    self.assertTrue(reading.wait(PATIENCE))
        out = follower.communicate(timeout=120)[0].decode()
        self.assertTrue(data.endswith(b"END\r\n"))
        self.assertEqual(out, data.decode().replace("\r\n", "\n"))
        numbers = [int(line) for line in out.split("\n") if line.isdigit()]
        self.assertEqual(numbers, list(range(1, lines + 1)))

    def test_a_full_disk_does_not_stop_the_command(self):
        import resource

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

        Case.looop(self, "version")  # who is limited so cannot write bytecode, and would leave the half of it
        command = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo END; read x; exit 4"
        process = self.start("start-session", "a", "--command", command, preexec_fn=limit)
        self.assertEqual(process.wait(120), 0, process.stderr.read())
        session = self.session("a")
        viewer = self.viewer(session)
        wait_until(lambda: b"END" in viewer.output, "the end")
        self.assertLessEqual(len(self.output(session)), 20000)
        self.assertIn("END", self.looop("shot", "a"))
        self.looop("expect", "a", "END", "--since", "0", code=1)
        self.assertIn("expect: a: its log lacks output, for which the disk had no room", self.stderr)
        self.looop("expect", "a", "xxx", "--since", "0")
        looop.send_keys(session, ["Enter"])
        self.assertEqual(self.ended(session).code, 4)

    @needs_root
    def test_a_file_system_that_is_full_does_not_stop_the_command(self):
        os.makedirs(self.data)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", self.data],
                                 capture_output=True, check=False)  # fmt: skip
        if mounted.returncode:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", "-l", self.data], check=False)
        self.addCleanup(self.end_all)
        session = self.begin("a", "echo READY; read x; seq 100000; echo END; read x; exit 4")
        self.wait_for(session, "READY")
        viewer = self.viewer(session)
        looop.send_keys(session, ["Enter"])
        wait_until(lambda: b"END" in viewer.output, "the end")
        looop.send_keys(session, ["Enter"])
        self.assertEqual(self.ended(session).code, 4)
        wait_until(lambda: viewer.ended, "the viewer to be told")
        self.assertEqual(viewer.ended["exit_code"], 4)


class Handed(Sessions):
    """An id that a later session takes while somebody still reads the earlier one's output."""

    def session_of(self, command, word):
        if self.session("x") and self.session("x").alive:
            looop.kill_session(self.session("x"))
        session = self.begin("x", command)
        self.wait_for(session, word)
        return session

    def swapping(self, pattern, begin=True):
        """Return a pattern during whose first search the session ends, and another begins under its id."""
        case, search = self, re.compile(pattern).search

        class Swapping:
            swapped = False

            def search(self, text, place=0):
                if not self.swapped:
                    self.swapped = True
                    case.swap(begin)
                    return None
                return search(text, place)

        return Swapping()

    def swap(self, begin=True):
        if begin:
            self.session_of("echo is it DEPLOYED; exec cat", "DEPLOYED")
        else:
            looop.kill_session(self.session("x"))
            self.assertEqual(self.looop("prune"), "removed: x\n")

    def test_expect_looks_at_its_own_session_alone(self):
        def expect(session, pattern, timeout):
            return looop.expect(session, pattern, since=0, timeout=timeout, raw=False)

        for way, begin in ((looop.expect_screen, True), (expect, True), (expect, False)):
            session = self.session_of("echo READY; exec cat", "READY")
            hunt = way(session, self.swapping("DEPLOYED", begin), PATIENCE)
            self.assertEqual((hunt.matched, hunt.ended), (None, True))

    def test_a_follower_reads_its_own_session_alone(self):
        for begin in (False, True):
            self.session_of("echo READY; exec cat", "READY")
            follower = self.start("log", "x", "-f")
            self.assertIn(b"READY", self.first_of(follower))
            follower.send_signal(signal.SIGSTOP)
            self.swap(begin)
            follower.send_signal(signal.SIGCONT)
            self.assertEqual(follower.communicate(timeout=120), (b"", b""))
            self.assertEqual(follower.returncode, 0)

    def test_who_comes_too_late_reads_nothing(self):
        session = self.session_of("echo READY; exec cat", "READY")
        self.swap()
        with looop.Follower(session, 0) as follower:
            self.assertTrue(follower.ended)
            self.assertEqual(follower.read(), b"")
            self.assertEqual(follower.session.state, "lost")
        with self.assertRaises(looop.Gone):
            looop.screen_of(session)


class Typing(Sessions):
    def reader(self, *options, name="a", **more):
        """Start a program that records what it reads; return (the session, the file, the program's pid)."""
        path = os.path.join(self.home, f"read-{name}")
        session = self.begin(name, self.fake("reader.py", path, *options), **more)
        self.wait_for(session, "READY")
        return session, path

    def bytes_of(self, path):
        with open(path, "rb") as file:
            return file.read()

    def wait_for_bytes(self, path, count, timeout=PATIENCE):
        with contextlib.suppress(AssertionError):
            wait_until(lambda: os.path.exists(path) and os.path.getsize(path) >= count, "bytes", timeout)
        return self.bytes_of(path)

    def fill(self, session, sock, data):
        """Send what a session takes before it makes who sends wait; return how many bytes that are."""
        sent, turns = 0, 0
        while turns < 10:
            if select.select([], [sock], [], 0)[1]:
                with contextlib.suppress(BlockingIOError):
                    sent += sock.send(data[sent:], socket.MSG_DONTWAIT)
                turns = 0
            looop.ask_session(session, "status")  # the supervisor has had another turn, and takes no more
            turns += 1
        self.assertLess(sent, len(data), "it takes any number")
        return sent

    def times(self, path):
        """Return the (time, size) of every read."""
        return [(float(line.split()[0]), int(line.split()[1])) for line in self.bytes_of(path + ".reads").splitlines()]

    def noise(self, size, seed=1):
        """Return bytes of every value, but for sequences that a terminal would answer with."""
        import random

        return random.Random(seed).getrandbits(8 * size).to_bytes(size, "big").replace(b"\x1b", b"\x1a")

    def test_a_megabyte_arrives_as_it_was(self):
        data = self.noise(1 << 20)
        for number, options in enumerate(((), ("--pause", "300000"))):
            session, path = self.reader(*options, name=f"r{number}")
            out = self.looop("send", session.id, "--raw", "-", "--json", stdin=data)
            self.assertEqual(json.loads(out)["sent"], len(data))
            self.assertTrue(self.wait_for_bytes(path, len(data)) == data, options)

    def test_a_megabyte_of_a_viewer_arrives_as_it_was(self):
        data = self.noise(1 << 20, 2)
        session, path = self.reader("--pause", "300000")
        viewer = self.viewer(session)
        for place in range(0, len(data), 50000):
            viewer.type(data[place : place + 50000])
        self.assertTrue(self.wait_for_bytes(path, len(data)) == data)

    def test_a_slow_reader_gets_it_all(self):
        data = self.noise(300000, 3)
        session, path = self.reader("--slow")
        self.assertEqual(looop.send_text(session, data, raw=True)["sent"], len(data))
        self.assertTrue(self.wait_for_bytes(path, len(data)) == data)

    def test_senders_at_once_do_not_mix(self):
        session, path = self.reader("--slow")
        texts = [bytes([65 + number]) * 200000 for number in range(3)]
        channels = [self.connect(session) for _ in texts]

        def send(channel, text):
            channel.send(b'{"op":"input","bytes":%d}\n' % len(text))
            for place in range(0, len(text), 5000):  # as a pipe hands it on
                channel.send(text[place : place + 5000])

        threads = [threading.Thread(target=send, args=pair) for pair in zip(channels, texts)]
        for thread in threads:
            thread.start()
        got = self.wait_for_bytes(path, 600000)
        for thread in threads:
            thread.join(120)
        runs = [(match[0][0], len(match[0])) for match in re.finditer(rb"(.)\1*", got)]
        self.assertEqual(sorted(runs), [(65 + number, 200000) for number in range(3)])

    def test_a_sender_that_hangs_does_not_hold_others_up_for_ever(self):
        session, path = self.reader()
        with looop.Channel(session) as channel:
            channel.send(b'{"op":"input","bytes":100}\nhalf')
            self.assertEqual(self.wait_for_bytes(path, 4), b"half")
            looop.send_text(session, b"other", raw=True)
            self.assertEqual(self.wait_for_bytes(path, 9), b"halfother")

    def test_who_waits_behind_a_sender_that_hangs_makes_nothing_spin(self):
        master, slave = os.openpty()
        self.addCleanup(os.close, slave)
        self.addCleanup(os.close, master)
        tty.setraw(slave)
        os.set_blocking(master, False)
        loop, done = looop.Loop(), []
        keyboard = looop.Keyboard(loop, lambda: None)
        keyboard.pty, keyboard.wrote = master, lambda data, echoed: None
        hangs, waits = looop.Typing(b"", 90001), looop.Typing(b"other")
        hangs.done = lambda error: done.append((hangs.size, error))
        waits.done = lambda error: done.append((waits.size, error))
        keyboard.hand_in(hangs, looop.PASTE_BEGIN + b"x" * 89994)
        self.assertTrue(loop.writers)
        keyboard.add(waits)
        keyboard.answer(b"\x1b[0n")
        read = b""
        while keyboard.size > len("other"):
            read += os.read(slave, 1 << 16)
            loop.turn(0.02)
        self.assertEqual((loop.writers, done), ({}, []))
        while not read.endswith(b"other"):
            loop.turn(0.05)
            if select.select([slave], [], [], 0.05)[0]:
                read += os.read(slave, 1 << 16)
        self.assertEqual(read[-16:], b"x" + looop.PASTE_END + b"\x1b[0n" + b"other")
        self.assertEqual([size for size, _ in done], [90000, 5])
        self.assertIn("silent", done[0][1])

    def test_a_program_that_reads_nothing(self):
        session, path = self.reader("--hold")
        with self.assertRaises(looop.Failure) as caught:
            looop.send_text(session, b"x" * (1 << 20), True, timeout=0.7)
        self.assertIn("does not read", caught.exception.message)
        self.assertLess(looop.ask_session(session, "status")["offset"], 1000)
        self.assertIn("READY", self.looop("shot", "a"))
        viewer = self.viewer(session, 70, 20)
        wait_until(lambda: b"READY" in viewer.output, "the screen")
        self.looop("resize", "a", "100x30")
        with self.assertRaises(looop.Failure):
            looop.send_keys(session, ["Enter"], timeout=0.3)
        pid = session.child
        wait_until(lambda: self.waiting(session) == 0, "what was not read to be taken back")
        os.kill(pid, signal.SIGUSR1)
        looop.send_text(session, b"END", True)
        wait_until(lambda: self.bytes_of(path).endswith(b"END"), "what was typed after it")
        self.assertLess(len(self.bytes_of(path)), 200000)  # what the kernel had taken

    def waiting(self, session):
        """Return how many clients wait with their typing, by the descriptors of the supervisor."""
        if not LINUX:
            return 0
        pid = self.supervisor(session)
        viewers = looop.ask_session(session, "status")["viewers"]
        names = os.listdir(f"/proc/{pid}/fd")
        links = []
        for name in names:
            with contextlib.suppress(OSError):
                links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        return sum(link.startswith("socket:") for link in links) - 1 - viewers

    def test_a_viewer_that_has_hung_up_is_none_and_what_it_typed_is_typed(self):
        session, path = self.reader("--hold")
        stays = self.viewer(session, 80, 24)
        before = looop.ask_session(session, "status")
        leaves = self.viewer(session, 100, 30)
        size = 60000 * (self.fill(session, leaves.channel.sock, looop.frame(b"i", b"x" * 60000) * 30) // 60005)
        self.assertGreater(size, looop.TYPING_MAX)
        self.assertEqual(looop.ask_session(session, "status")["viewers"], 2)
        leaves.close()

        def forgotten():
            status = looop.ask_session(session, "status")
            return status["viewers"] == before["viewers"] and status["status"]["cols"] == before["status"]["cols"]

        wait_until(forgotten, "the viewer to be forgotten")
        os.kill(session.child, signal.SIGUSR1)
        self.assertFalse(stays.gone)
        looop.send_text(session, b"END", True)
        wait_until(lambda: self.bytes_of(path).endswith(b"END"), "what was typed after it")
        self.assertGreaterEqual(len(self.bytes_of(path)), size)

    def test_looks_for_who_has_hung_up_do_not_multiply(self):
        board, pair = looop.Clients("a"), socket.socketpair()
        for sock in pair:
            self.addCleanup(sock.close)
        peer = board.peers[pair[0].fileno()] = looop.Peer(pair[0].fileno())
        peer.viewer, board.keyboard.size = True, looop.TYPING_MAX
        for _ in range(50):
            board._hear()
        self.assertEqual(len(board.loop._timers), 1)

    def test_brackets_that_were_opened_are_closed_when_a_sender_gives_up(self):
        session, path = self.reader("--hold", "--paste")
        with looop.Channel(session) as channel:
            self.fill(session, channel.sock, b'{"op":"type","bytes":1000000}\n' + b"x" * 1000000)
        os.kill(session.child, signal.SIGUSR1)
        looop.send_text(session, b"END", True)
        wait_until(lambda: self.bytes_of(path).endswith(b"END"), "what was typed after it")
        got = self.bytes_of(path)
        self.assertTrue(got.startswith(looop.PASTE_BEGIN + b"xxx"))
        self.assertTrue(got.endswith(b"x" + looop.PASTE_END + b"END"), got[-40:])

    def test_typing_goes_on_after_a_restart_that_met_a_full_keyboard(self):
        script = f"if test -e {self.home}/again; then stty raw -echo; echo AGAIN; exec cat; fi; "
        session = self.begin("a", script + f"touch {self.home}/again; stty raw; echo READY; exec sleep 300")
        self.wait_for(session, "READY")
        viewer = self.viewer(session)
        typed = looop.frame(b"i", b"x" * 100000) * 20
        rest = typed[self.fill(session, viewer.channel.sock, typed) :]
        self.looop("restart", "a")
        self.wait_for(session, "AGAIN")
        viewer.send(rest + looop.frame(b"i", b"hello"))
        self.wait_for(session, "hello")

    def test_a_long_text_is_pasted_and_submitted(self):
        text = "\n".join(f"line {number} of a long text, with ünïcödé" for number in range(66))
        self.assertGreater(len(text.encode()), 2400)
        for options, before, after in (((), b"", b""), (("--paste",), looop.PASTE_BEGIN, looop.PASTE_END)):
            name = f"p{len(options)}"
            path = self.reader("--echo", *options, name=name)[1]
            out = json.loads(self.looop("send", name, "-", "--json", stdin=(text + "\n").encode()))
            wanted = before + text.encode() + after + b"\r"
            self.assertEqual(self.wait_for_bytes(path, len(wanted)), wanted)
            self.assertEqual(out["sent"], len(wanted))
            reads = self.times(path)
            self.assertEqual(reads[-1][1], 1, "CR came with the text")
            self.assertGreaterEqual(reads[-1][0] - reads[-2][0], 0.15)
            self.looop("send", name, "-n", "two words")
            self.looop("send", name, "")
            wanted += before + b"two words" + after + b"\r"
            self.assertEqual(self.wait_for_bytes(path, len(wanted)), wanted)
            evil = b"a\x1b[201~b\x1b[200~c\x1b\x1b[201~[201~d\x1b\x1b\x1b[201~"
            self.looop("send", name, "-n", "-", stdin=evil)
            length = len(wanted)
            got = self.wait_for_bytes(path, length + len(before) + len(after) + len(looop.defused(evil)))[length:]
            inner = got[len(before) : len(got) - len(after)]
            self.assertEqual(got, before + inner + after)
            self.assertNotIn(looop.PASTE_END, inner)
            self.assertNotIn(looop.PASTE_BEGIN, inner)

    def test_keys_follow_the_modes_of_the_program(self):
        session, path = self.reader()
        self.looop("key", "a", "Up", "C-c", "M-x", "F5", "S-Tab")
        wanted = b"\x1b[A\x03\x1bx\x1b[15~\x1b[Z"
        self.assertEqual(self.wait_for_bytes(path, len(wanted)), wanted)
        self.looop("key", "a", "Hyper-Q", code=2)
        self.looop("key", "a", code=2)
        script = "stty raw -echo; printf '\\033[?1h\\033[>1uREADY'; exec dd bs=1 count=8 of=" + self.home + "/keys"
        session = self.begin("b", script)
        self.wait_for(session, "READY")
        self.looop("key", "b", "Up", "Esc")
        self.ended(session)
        self.assertEqual(self.bytes_of(os.path.join(self.home, "keys")), b"\x1bOA\x1b[27u")

    def test_where_output_is_cut_changes_nothing_of_what_is_sent(self):
        """The rest of a mode's sequence comes later: before the text is sent, or while somebody wants to send it."""
        with unittest.mock.patch.object(looop, "SEQUENCE_TIME", PATIENCE):  # of the supervisors that are forked
            for name in ("before", "while"):
                path, go = os.path.join(self.home, name), os.path.join(self.home, f"go-{name}")
                rest = f"until [ -e {go} ]; do sleep 0.01; done; printf 'hON'; exec cat >{path}"
                session = self.begin(name, f"stty raw -echo; printf 'READY\\033[?2004'; {rest}")
                self.wait_for(session, "READY")
                channel = self.connect(session)
                if name == "while":
                    channel.send(b'{"op":"type","bytes":4}\ntext')
                    for _ in range(3):
                        looop.ask_session(session, "status")  # it has had turns to hear of it
                with open(go, "w"):
                    pass
                self.wait_for(session, "ON")
                if name == "before":
                    channel.send(b'{"op":"type","bytes":4}\ntext')
                self.assertTrue(channel.line(PATIENCE)["ok"])
                wanted = looop.PASTE_BEGIN + b"text" + looop.PASTE_END
                self.assertEqual(self.wait_for_bytes(path, len(wanted)), wanted)


class Questions(Sessions):
    ASKED = {
        b"\x1b[c": rb"\x1b\[\?\d[\d;]*c",
        b"\x1b[6n": rb"\x1b\[\d+;\d+R",
        b"\x1b[?u": rb"\x1b\[\?\d+u",
        b"\x1b[>0q": rb"\x1bP>\|looop[^\x1b]*\x1b\\",
        b"\x1b[?2004$p": rb"\x1b\[\?2004;[12]\$y",
        b"\x1b]11;?\x07": rb"\x1b\]11;rgb:[0-9a-f/]+(\x07|\x1b\\)",
        b"\x1b]11;?\x1b\\": rb"\x1b\]11;rgb:[0-9a-f/]+(\x07|\x1b\\)",
        b"\x1bP$qm\x1b\\": rb"\x1bP1\$r[0-9;]*m\x1b\\",
    }

    def test_questions_are_answered_exactly_once(self):
        patient = unittest.mock.patch.object(looop, "ANSWER_TIME", PATIENCE)  # of the supervisors that are forked
        patient.start()
        self.addCleanup(patient.stop)
        times, asking_now = {}, []
        for count in (0, 1, 3):
            path = os.path.join(self.home, f"q{count}.json")
            words = [question.hex() for question in self.ASKED]
            session = self.begin(f"q{count}", self.fake("asker.py", path, *words))
            asking_now.append((count, path, session))
        for count, path, session in asking_now:
            self.wait_for(session, "READY")
            viewers = [self.viewer(session, answers=True) for _ in range(count)]
            looop.send_text(session, b"g", raw=True)
            self.wait_for(session, "ASKED")
            with open(path) as file:
                found = json.load(file)
            self.assertEqual(found["late"], "", bytes.fromhex(found["late"]))
            self.assertEqual(len(found["asked"]), 2 * len(self.ASKED))
            for asking in found["asked"]:
                question, answer = bytes.fromhex(asking["question"]), bytes.fromhex(asking["answer"])
                self.assertRegex(answer, rb"\A" + self.ASKED[question] + rb"\Z", (count, question))
                self.assertEqual(bytes.fromhex(asking["end"]), b"\x1b[0n")
                self.assertNotIn(b"viewer", answer)
            millis = sorted(asking["ms"] for asking in found["asked"])
            times[count] = (millis[len(millis) // 2], millis[-1])
            for viewer in viewers:
                wait_until(lambda v=viewer: v.answered, "the viewers' answers")
        if LONG:
            words = (f"{n} viewers {half:.1f} ms, {most:.1f} at most" for n, (half, most) in times.items())
            sys.stderr.write(f"\nanswers: {'; '.join(words)}\n")


class Drawing(Sessions):
    """The screen inside the supervisor is current, whether or not somebody looks."""

    def test_what_was_drawn_once_stays_when_nobody_looks(self):
        bar = "\\r" + "#" * 78
        loop = f"i=0; while [ $i -lt 130 ]; do printf '{bar * 70}'; i=$((i+1)); sleep 0.005; done"
        session = self.begin("draws", f"printf 'HEADER drawn once\\r\\n'; {loop}; printf '\\rdone'; exec cat")
        self.wait_for(session, "done")
        self.assertGreater(len(self.output(session)), 700_000)
        partial = json.loads(self.looop("shot", "draws", "--json"))["partial"]
        words = self.looop("shot", "draws").split()
        self.assertEqual(words[:3], ["HEADER", "drawn", "once"])
        self.assertTrue(partial or words[3] == "done" + "#" * 74, words)  # who is too busy to draw all of it says so

    def test_a_burst_that_is_not_drawn_whole_is_told(self):
        with open(os.path.join(self.home, "burst"), "w") as file:
            file.write("HEADER drawn once\r\n" + "".join(f"\033[{3 + n % 9};{1 + n % 70}H{n}" for n in range(90000)))
        self.begin("bursts", f"cat {self.home}/burst; printf '\033[12Hdone'; exec cat")
        self.looop("expect", "bursts", "--screen", "done")
        whole = looop.Screen(120, 40)
        with open(os.path.join(self.home, "burst"), "rb") as file:
            whole.feed(file.read() + b"\033[12Hdone")
        shown, partial = self.looop("shot", "bursts"), json.loads(self.looop("shot", "bursts", "--json"))["partial"]
        self.assertTrue(shown.startswith("HEADER drawn once\n"))
        self.looop("shot", "bursts")
        self.assertEqual(partial, "looop: shot: bursts: partial: too much output" in self.stderr)
        self.assertTrue(partial or shown == looop.picture_plain(whole))

    def test_what_a_screen_shows_is_told_with_the_offset_of_the_log(self):
        session = self.begin("text", "printf one; read -r x; printf two; exec sleep 300")
        self.wait_for(session, "one")
        reply = self.ask(session, b'{"op": "text"}')
        self.assertEqual((reply["lines"][0], reply["offset"]), ("one", 3))
        self.looop("key", "text", "Enter")
        self.wait_for(session, "two")
        reply = self.ask(session, b'{"op": "text"}')
        self.assertEqual((reply["lines"][:2], reply["offset"]), (["one", "two"], len(self.output(session))))

    def test_who_waits_for_a_screen_is_told_of_a_new_size(self):
        session = self.begin("a", "printf 1234567890abc; exec sleep 300", "--size", "40x6")
        self.wait_for(session, "abc")
        with looop.Follower(session, -1) as follower:
            self.looop("resize", "a", "10x6")
            self.assertTrue(follower.wait(120.0))
        self.assertEqual(looop.expect_screen(session, re.compile("(?m)0$"), 120.0).matched, "0")


class Painted(Sessions):
    """The screen as it is sent to who asks, and kept when the session has ended."""

    def test_a_screen_is_sent_with_the_history_that_is_wanted_and_kept(self):
        secret = "s3cr3t-" * 9
        command = f"seq 2500; printf '\\033[?2004h%s\\n' {secret}; echo READY; exec cat"
        session = self.begin("a", command, "--size", "40x6", env={"APP_KEY": secret})
        self.wait_for(session, "READY")
        screen = looop.screen_of(session, 3)
        lines = looop.screen_lines(screen, 3)
        self.assertEqual(lines[:4], ["2496", "2497", "2498", "2499"])
        self.assertIn(secret[:40], lines)
        self.assertTrue(screen.bracketed_paste)
        self.assertEqual(len(looop.screen_of(session, 5000).history), 2000)
        replayed = looop.replayed_screen(session)  # as that of a supervisor of the version before is drawn
        self.assertEqual(looop.screen_lines(replayed, 2000), looop.screen_lines(looop.screen_of(session, 2000), 2000))
        with self.assertRaises(looop.Failure) as caught:  # as a looop of the version before asks for it
            looop.ask_session(session, "screen")
        self.assertIn("a newer looop runs this session", str(caught.exception))
        looop.kill_session(session)
        kept = looop.screen_of(self.session("a"), 5000)
        self.assertEqual(looop.screen_lines(kept, 3)[:4], ["2496", "2497", "2498", "2499"])
        self.assertEqual(looop.screen_lines(kept)[-4:], ["*" * 40, "*" * 23, "READY", ""])
        with open(os.path.join(session.folder, "screen.ansi"), "rb") as file:
            self.assertNotIn(b"s3cr3t", file.read())
        os.remove(os.path.join(session.folder, "screen.ansi"))  # as what ended before had none
        self.assertIn("READY", looop.screen_lines(looop.screen_of(self.session("a"))))

    def test_output_that_comes_while_a_history_is_painted_is_not_torn(self):
        session = self.begin("a", "seq 3000; echo READY; read go; seq 4000 9000; echo END; exec cat", "--size", "40x6")
        self.wait_for(session, "READY")
        with looop.Channel(session) as channel:
            channel.ask({"op": "attach", "cols": 40, "rows": 6, "scrollback": 2000})
            drawn = looop.Screen(40, 6, 20000)
            for kind, body in channel.frames():
                if kind == b"o":
                    if not drawn.history:
                        channel.send(looop.frame(b"i", b"\r"))
                    drawn.feed(body)
                if any("END" in line for line in looop.screen_lines(drawn)):
                    break
        rows = [line for line in looop.screen_lines(drawn, 20000) if line.isdigit()]
        self.assertEqual(rows, [str(n) for n in (*range(int(rows[0]), 3001), *range(4000, 9001))])
        self.assertGreater(len(rows), 5500)


class LastInputs(unittest.TestCase):
    """Where the answer to a line begins, from what a terminal wrote and when Enter was pressed."""

    def answer(self, steps, late=False, echoed=True):
        """Return what counts of the output of steps: what was typed (bytes), or what was written (text)."""
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/output.log", "wb") as file:
                last = looop.LastInput(0)
                for step in steps:
                    if isinstance(step, bytes):
                        last.typed(step, file.tell(), echoed, 1.0)
                    else:
                        file.write(step.encode())
            with looop.LogView(folder) as log:
                offset = last.answer_offset(log, late)
                return None if offset is None else log.read(offset, 1 << 20).decode()

    def test_the_echo_does_not_count(self):
        for steps, answer in (
            (("old $ ", b"echo hi", "echo hi", b"\r", "\r\nhi\r\n$ "), "hi\r\n$ "),  # a terminal's, dash's
            (("$ ", b"echo hi", b"\r", "echo hi\r\nhi\r\n"), "hi\r\n"),  # late
            (("$ ", b"echo hi\n", "echo hi\r\nhi\r\n"), "hi\r\n"),  # at once
            (("$ ", b"hi", "\x1b[7mhi\x1b[27m", b"\r", "\r\x1b[C\x1b[Chi\r\n\x1b[?2004lhi\r\n"), "\x1b[?2004lhi\r\n"),
            (("$ ", b"\x1b[200~", b"hi", b"\x1b[201~", "hi", b"\r", "\r\nhi"), "hi"),
            (("$ ", b"h", "h", b"i", "i", b"\r", "\r\nhi"), "hi"),
            (("$ ", b"a\nhi", "a\r\n> hi", b"\r", "\r\nhi"), "hi"),
            (("$ ", b"x" * 60 + b"y" * 20, "x" * 60 + "y \ry" + "y" * 18, b"\r", "\r\nhi"), "hi"),  # wrapped
            (("hi", b"hi", "hi", b"\r", "\r\n", b"hi", "hi", b"\r", "\r\nhi"), "hi"),  # the second time
            (("old", b"\r", "\r\n$ "), "\r\n$ "),
            (("old", b"\x03", "^C\r\n$ "), "^C\r\n$ "),
            (("$ ", b"hi", "h\x1b[1mi new"), " new"),  # no Enter yet
            (("$ ", b"hi", "hi", b"\r", "\r\nhi", b"\x1b[A", b"\x1b[<0;1;1M", "more"), "himore"),
        ):
            self.assertEqual(self.answer(steps), answer, steps)

    def test_what_is_not_echoed_counts_from_the_enter(self):
        self.assertEqual(self.answer(("old", b"hi", b"\r", "got hi"), echoed=False), "got hi")
        steps = ("old", b"secret", "*****", b"\r", "ok\r\n")
        self.assertIsNone(self.answer(steps))
        self.assertEqual(self.answer(steps, late=True), "ok\r\n")
        self.assertEqual(self.answer(("old", b"hi", "[hi]", b"\r", "answer"), late=True), "answer")


class Waiting(Sessions):
    def test_send_and_expect_are_right_the_second_time_too(self):
        for name in ("bash --norc --noprofile", "dash", "zsh -f", "fish", "python3 -q")[: 5 if HEAVY else 1]:
            program = sys.executable if name[0] == "p" else shutil.which(name.split()[0], path=os.environ["PATH"])
            if not program:
                continue
            session = self.begin("a", " ".join(["exec", program, *name.split()[1:]]))
            self.wait_for(session, "[$#%>] ")
            self.looop("wait-idle", "a", "--settle", "1s") if HEAVY else None
            line = "sleep 1; echo {}" if name[0] != "p" else "import time; time.sleep(1); print({!r})"
            begun = time.monotonic()
            for word in ("passed", "passed", "failed"):
                self.looop("send", "a", line.format(word))
                self.assertEqual(self.looop("expect", "a", "passed|failed|no"), f"{word}\n", name)
            self.assertGreater(time.monotonic() - begun, 2.9, name)
            self.looop("kill", "a")
            self.ended(session)

    def types(self, text):
        """Type a text and Enter into `a`, whose program shows nothing of it."""
        self.looop("send", "a", "-n", text)
        return json.loads(self.looop("key", "a", "Enter", "--json"))

    def test_what_is_read_without_an_echo(self):
        self.begin("a", "stty -echo; echo READY; read x; echo got $x; stty echo; echo NOW; exec cat")
        self.looop("expect", "a", "READY")
        self.types("it")
        self.assertEqual(self.looop("expect", "a", "got it"), "got it\n")
        self.looop("expect", "a", "NOW")  # it echoes by now
        self.looop("send", "a", "that")
        self.assertEqual(self.looop("expect", "a", "^that$"), "that\n")
        self.looop("send", "a", "-n", "more")
        self.looop("expect", "a", "more", "--timeout", "200ms", code=124)
        self.looop("key", "a", "Enter")
        self.looop("expect", "a", "^more$")

    def test_after_a_restart_and_an_end_the_input_before_is_over(self):
        self.begin("a", "stty -echo; echo READY; read x; echo got $x; read y")
        self.looop("expect", "a", "READY")
        self.types("it")
        self.looop("expect", "a", "READY", "--timeout", "200ms", code=124)
        self.looop("restart", "a")
        self.looop("expect", "a", "READY")
        self.looop("expect", "a", "got", "--timeout", "200ms", code=124)
        self.types("this")
        self.looop("expect", "a", "got this")
        self.looop("kill", "a")
        self.looop("expect", "a", "got this")
        self.looop("expect", "a", "READY", code=1)
        self.looop("expect", "a", "READY", "--since", "0")
        self.looop("restart", "a")
        self.looop("expect", "a", "READY")

    def test_expect_finds_what_came_before_and_what_comes(self):
        session = self.begin("a", 'stty -echo; echo before; while read x; do echo "got $x"; done')
        self.assertEqual(self.looop("expect", "a", "bef.re"), "before\n")
        waiting = self.start("expect", "a", "^got (a|b)$", "--json")
        self.types("a")
        first = json.loads(waiting.communicate(timeout=120)[0])
        self.assertEqual((waiting.returncode, first["matched"]), (0, "got a"))
        self.looop("expect", "a", "got a", "--since", str(first["offset"]), "--timeout", "200ms", code=124)
        self.assertEqual(len(self.stderr.splitlines()), 1)
        sent = self.types("b")
        second = json.loads(self.looop("expect", "a", "got (a|b)", "--since", str(sent["offset"]), "--json"))
        self.assertEqual(second["matched"], "got b")
        self.assertEqual(self.output(session)[: second["offset"]][-5:], b"got b")
        self.looop("expect", "a", "got", "--from-now", "--timeout", "200ms", code=124)
        self.looop("expect", "a", "got b", "--screen")
        self.looop("expect", "a", "never", "--screen", "--timeout", "200ms", code=124)
        self.looop("expect", "a", "(", code=2)
        self.assertEqual(len(self.stderr.splitlines()), 1)
        never = self.start("expect", "a", "got c", "--timeout", "0")
        with self.assertRaises(subprocess.TimeoutExpired):
            never.wait(0.4)
        self.types("c")
        self.assertEqual(never.wait(120), 0)
        ends = self.start("expect", "a", "never", "--timeout", "0")
        self.looop("key", "a", "C-d")
        self.assertEqual(ends.wait(120), 1)
        self.looop("expect", "a", "never", code=1)
        self.looop("expect", "a", "got c", code=1)
        self.assertEqual(self.looop("expect", "a", "got c", "--since", "0"), "got c\n")

    def test_expect_takes_no_middle_of_a_line_for_its_beginning(self):
        """Not where what was searched before is forgotten either."""
        size = looop.EXPECT_OVERLAP
        with open(f"{self.home}/line", "wb") as file:
            file.write((b"x" * size + b"\x1b[m") * 4 + b"y" * size + b"\x1b[m")
        session = self.begin("a", "cat line", "--cwd", self.home)
        self.ended(session)
        self.looop("expect", "a", "--since", "0", "y$")
        self.looop("expect", "a", "--since", "0", "^y", code=1)

    def test_expect_matches_across_pieces(self):
        script = "stty -echo raw; read x; for part in '$'\\''naï'\\'' v\\303'; do :; done"
        pieces = [b"na\xc3", b"\xafve \x1b[3", b"1mred\x1b[0", b"m \xf0\x9f", b"\x98", b"\x80 end\r", b"\nnext"]
        octal = ["".join(f"\\{byte:03o}" for byte in piece) for piece in pieces]
        script = "; ".join(f"printf '{piece}'; sleep 0.05" for piece in octal) + "; sleep 0.2"
        session = self.begin("a", script)
        hunt = json.loads(self.looop("expect", "a", "naïve red \U0001f600 end\nnext", "--json"))
        whole = b"".join(pieces)
        self.assertEqual(hunt["matched"], "naïve red \U0001f600 end\nnext")
        self.ended(session)
        out = self.output(session)
        self.assertEqual(hunt["offset"], len(out))
        self.assertEqual(out.replace(b"\r\r", b"\r"), whole)
        hunt = json.loads(self.looop("expect", "a", "naïve red", "--json"))
        self.assertEqual(out[: hunt["offset"]], b"na\xc3\xafve \x1b[31mred")
        self.looop("expect", "a", r"\x1b\[31mred\x1b", "--raw")
        self.looop("expect", "a", r"\x1b", code=1)

    @heavy
    def test_time_is_up_in_a_flood_too(self):
        capped = {"LOOOP_LOG_MAX_BYTES": "2000000"}  # what is there already is searched whatever the time
        session = self.begin("a", "exec yes", env=capped)
        self.wait_for(session, "y")
        for words in (
            ("expect", "a", "never", "--timeout", "200ms"),
            ("expect", "a", "never", "--timeout", "200ms", "--screen"),
            ("wait-idle", "a", "--timeout", "200ms"),
            ("wait-idle", "a", "--timeout", "200ms", "--screen", "--ignore", "z"),
            ("wait-idle", "a", "--timeout", "200ms", "--ignore", "z"),
            ("wait", "a", "--timeout", "200ms"),
        ):
            begun = time.monotonic()
            self.looop(*words, code=124)
            self.assertLess(time.monotonic() - begun, 30.0, words)  # a flood never ends
        self.looop("kill", "a")

    def test_who_was_held_up_has_not_been_quiet(self):
        session = self.begin("a", "exec yes")
        self.wait_for(session, "y")
        pid = self.supervisor(session)
        os.kill(pid, signal.SIGSTOP)
        started, call = time.monotonic(), looop.Channel  # the supervisor answers when it was silent for long enough

        def late(*args):
            threading.Timer(1.5, os.kill, (pid, signal.SIGCONT)).start()
            return call(*args)

        with unittest.mock.patch.object(looop, "Channel", late):
            self.looop("wait-idle", "a", "--settle", "1s", "--timeout", "2s", code=124)
        self.assertGreater(time.monotonic() - started, 1.0)
        self.looop("kill", "a")

    def test_wait_idle(self):
        session = self.begin("a", "while :; do echo tick; sleep 0.1; done")
        self.wait_for(session, "tick")
        self.looop("wait-idle", "a", "--settle", "10s", "--timeout", "100ms", code=124)
        self.looop("wait-idle", "a", "--settle", "300ms", "--timeout", "120s", "--ignore", "tick|\\n")
        self.looop("kill", "a")
        self.looop("wait-idle", "a", "--settle", "10s")
        session = self.begin("b", 'i=0; while :; do i=$((i+1)); printf "\\r$i s "; sleep 0.1; done')
        self.wait_for(session, "2 s")
        self.looop("wait-idle", "b", "--settle", "300ms", "--timeout", "120s", "--screen", "--ignore", r"\d+ s")
        self.looop("kill", "b")
        self.begin("c", "sleep 300")
        begun = time.monotonic()
        self.looop("wait-idle", "c", "--settle", "300ms", "--timeout", "0")
        self.assertGreaterEqual(time.monotonic() - begun, 0.3)

    def test_who_goes_on_is_not_idle(self):
        """They pause for less than a tenth of what is waited for, however busy the machine is."""
        ticks = self.begin("a", "while :; do echo tick; sleep 0.1; done")
        counts = self.begin("b", 'i=0; while :; do i=$((i+1)); printf "\\r$i s "; sleep 0.1; done')
        spins = self.begin("d", r'while :; do for c in \| / - =; do printf "\r$c"; sleep 0.05; done; done')
        for session in (ticks, counts, spins):
            self.wait_for(session, ".")
        times = ("--settle", "4s", "--timeout", "4500ms")
        waits = [self.start("wait-idle", *words, *times) for words in (("a",), ("b", "--screen"), ("d", "--screen"))]
        self.assertEqual([wait.wait(PATIENCE) for wait in waits], [124] * 3)

    def test_a_stopped_supervisor_is_no_ended_session(self):
        session = self.begin("a", "echo READY; exec cat")
        self.wait_for(session, "READY")
        pid = self.supervisor(session)
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        short = unittest.mock.patch.object(looop.open_channel, "__defaults__", (0.3,))  # instead of 20 s
        with short, self.assertRaises(looop.Failure) as caught:
            looop.wait_for_end(session, None)
        self.assertIn("does not answer", caught.exception.message)


class Sizes(Sessions):
    def test_who_typed_last_decides_and_a_pin_ends_that(self):
        session = self.begin("a", self.fake("winch.py"), "--size", "100x30")
        self.wait_for(session, "SIZE 100x30")
        one = self.viewer(session, 80, 24)
        self.wait_for(session, "SIZE 80x24")
        two = self.viewer(session, 90, 25)
        self.wait_for(session, "SIZE 90x25")
        three = self.viewer(session, 60, 20, read_only=True)
        three.resize(61, 21)
        three.type(b"x")
        one.type(b"x")
        place = self.wait_for(session, "SIZE 80x24", since=self.wait_for(session, "SIZE 90x25"))
        two.resize(95, 26)  # it did not type last
        one.resize(82, 22)
        place = self.wait_for(session, "SIZE 82x22", since=place)
        one.close()
        place = self.wait_for(session, "SIZE 95x26", since=place)
        self.looop("resize", "a", "111x33")
        place = self.wait_for(session, "SIZE 111x33", since=place)
        two.type(b"x")
        two.resize(96, 27)
        four = self.viewer(session, 50, 10)
        four.type(b"y")
        status = wait_until(lambda: looop.ask_session(session, "status"), "status")["status"]
        self.assertEqual((status["cols"], status["rows"], status["pinned"]), (111, 33, True))
        self.assertEqual(json.loads(self.looop("ls", "--json"))[0]["size"], "111x33")
        sizes = set(re.findall(rb"SIZE (\S+)", self.output(session)))
        jiggled = {b"%dx%d" % (cols, rows + 1) for cols, rows in ((80, 24), (90, 25), (111, 33), (82, 22), (95, 26))}
        self.assertEqual(sizes - jiggled, {b"100x30", b"80x24", b"90x25", b"82x22", b"95x26", b"111x33"})
        for size in ("0x0", "x", "10", "-5x5", "999999x2x2"):
            self.looop("resize", "--", "a", size, code=2)
            self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
        self.assertNotIn(
            b"x", self.output(session).replace(b"SIZE ", b"").split(b"\r\n")[0:1][0].replace(b"READY", b"")
        )

    def test_restart_keeps_size_and_offset(self):
        session = self.begin("a", self.fake("winch.py"))
        self.wait_for(session, "READY")
        self.looop("resize", "a", "77x17")
        place = self.wait_for(session, "SIZE 77x17")
        before = self.session("a")
        viewer = self.viewer(session, 50, 10)
        self.looop("restart", "a")
        self.wait_for(session, "READY\n+SIZE 77x1[78]$", since=place)
        after = self.session("a")
        self.assertNotEqual(before.child, after.child)
        self.assertFalse(alive(before.child))
        self.assertEqual((after.state, self.runs_of("a")), ("running", 2))
        self.assertEqual((after.supervisor, after.cmd), (before.supervisor, before.cmd))
        wait_until(lambda: viewer.output.count(b"READY") == 2, "the viewer to see it")
        self.assertFalse(viewer.gone)

    def test_detach_makes_every_viewer_leave(self):
        session = self.begin("a", "echo READY; exec cat")
        viewers = [self.viewer(session), self.viewer(session, read_only=True)]
        self.assertIn("2 viewers", self.looop("detach", "a"))
        for viewer in viewers:
            wait_until(lambda viewer=viewer: viewer.left and viewer.gone, "it to leave")
        self.assertTrue(self.session("a").alive)
        self.assertIn("0 viewers", self.looop("detach", "a"))

    def test_a_viewer_that_was_made_leave_is_none_though_it_is_stopped(self):
        session = self.begin("a", "echo READY; read x; yes 0123456789 | head -c 600000; echo END; read x")
        self.wait_for(session, "READY")
        self.viewer(session, 100, 30, reading=False)
        looop.send_keys(session, ["Enter"])
        self.wait_for(session, "END")
        self.assertEqual(self.looop("detach", "a"), "1 viewer left a\n")
        self.assertEqual(self.looop("detach", "a"), "0 viewers left a\n")
        self.assertEqual(looop.ask_session(session, "status")["viewers"], 0)
        self.viewer(session, 80, 24)
        self.assertEqual(looop.ask_session(session, "status")["status"]["cols"], 80)

    def test_viewers_see_the_end(self):
        session = self.begin("a", "echo READY; read x; exit 9")
        viewer = self.viewer(session)
        self.wait_for(session, "READY")
        viewer.type(b"\r")
        wait_until(lambda: viewer.gone, "the end")
        self.assertEqual((viewer.ended["state"], viewer.ended["exit_code"]), ("exited", 9))

    def test_a_read_only_viewer_types_nothing(self):
        session = self.begin("a", "echo READY; exec cat")
        self.wait_for(session, "READY")
        viewer = self.viewer(session, read_only=True)
        viewer.type(b"secret\r")
        looop.send_text(session, b"open\r", raw=True)
        self.wait_for(session, "open\nopen")
        self.assertNotIn(b"secret", self.output(session))


class Lines(Sessions):
    def test_no_last_lines_are_none(self):
        session = self.begin("a", "printf 'one\\ntwo'; read x")
        self.wait_for(session, "two")
        for words in ((), ("--raw",), ("--json",)):
            out = self.looop("log", "a", "--tail", "0", *words)
            self.assertEqual(json.loads(out)["text"] if "--json" in words else out, "", words)
        self.assertEqual(self.looop("log", "a", "--tail", "1", "--raw"), "two")

    def test_an_expression_that_python_warns_of(self):
        session = self.begin("a", "echo '[a]'; read x")
        self.wait_for(session, "a")
        self.assertEqual(super().looop("expect", "a", "[[a]"), "[\n")
        self.assertEqual(self.stderr, "")


class Bugs(Sessions):
    """A bug in the renderer, put there before the supervisor is forked away."""

    CODE = """
import sys; sys.path.insert(0, {!r}); import looop
for name in ("feed", "resize"):
    def buggy(self, *args, real=getattr(looop.Screen, name)):
        if args[0] == 77 or b"BUG" in (args[0] if isinstance(args[0], bytes) else b""):
            raise RuntimeError("a bug")
        real(self, *args)
    setattr(looop.Screen, name, buggy)
sys.exit(looop.main())
"""

    def test_a_bug_in_drawing_costs_what_met_it_and_not_the_session(self):
        words = [sys.executable, "-SIc", self.CODE.format(ROOT), "start-session", "a", "--size", "80x24", "--command"]
        script = "echo READY; read x; echo BUG; echo after; read x; echo BUG; exit 3"
        subprocess.run([*words, script], env=self.env, cwd=self.home, check=True, capture_output=True, timeout=PATIENCE)
        self.looop("expect", "a", "READY")
        self.looop("resize", "a", "77x24")
        for word in ("after", "BUG"):
            self.looop("key", "a", "Enter")
            self.looop("expect", "a", f"^{word}")
            if word == "after":
                self.looop("shot", "a")
                self.assertEqual(self.looop("send", "a", "--no-enter", "x"), "")
        self.looop("wait", "a", code=3)
        self.assertIn("READY", self.looop("shot", "a"))
        self.assertEqual(self.json("sessions", "a", "status.json")["exit_code"], 3)
        self.assertIn("RuntimeError: a bug", self.read("sessions", "a", "crash.txt"))
        os.unlink(self.path("sessions", "a", "crash.txt"))  # else the end of every test finds it


class NonBlocking(Sessions):
    """Pipes that whoever had them before has left non-blocking, as event loops do."""

    def test_what_is_typed_is_read_to_its_end(self):
        session = self.begin("a", "echo READY; exec cat")
        self.wait_for(session, "READY")
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        process = self.start("send", "a", "-", stdin=ours)
        os.write(theirs, b"first, ")
        wait_until(lambda: os.get_blocking(ours), "its start")
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.3)
        os.write(theirs, b"second")
        os.close(theirs)
        self.assertEqual(process.wait(120), 0)
        self.assertFalse(os.get_blocking(ours), "it is left as it was")
        os.close(ours)
        self.wait_for(session, "^first, second$")

    def test_what_is_printed_is_printed_whole(self):
        session = self.begin("a", "seq 1 50000; echo END")
        self.ended(session)
        for words in (("log", "a"), ("log", "a", "--raw"), ("log", "a", "--tail", "40000")):
            ours, theirs = os.pipe()
            os.set_blocking(theirs, False)
            process = self.start(*words, stdout=theirs)
            os.close(theirs)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.5)  # it waits for its reader
            with open(ours, "rb") as file:
                lines = file.read().split()
            self.assertEqual((process.wait(120), lines[-2:]), (0, [b"50000", b"END"]))
            self.assertEqual(len(lines), 40000 if "--tail" in words else 50001)


class Removed(Sessions):
    """A session whose folder is removed by hand: no `ls` shows it any more, and no `kill` reaches it."""

    CODE = "import sys; sys.path.insert(0, {!r}); import looop; looop.FOLDER_EVERY = 0.1; sys.exit(looop.main())"

    def test_it_ends_with_its_tree_once_nobody_is_attached(self):
        words = [sys.executable, "-SIc", self.CODE.format(ROOT), "start-session"]
        script = "sleep 300 & echo READY; exec cat"
        for name in ("a", "b"):
            start = [*words, name, "--command", script]
            subprocess.run(start, env=self.env, cwd=self.home, check=True, capture_output=True, timeout=PATIENCE)
            self.wait_for(self.session(name), "READY")
        session, folder, moved = self.session("a"), self.session("b").folder, f"{self.home}/moved"
        os.rename(folder, moved)  # that is not removed
        self.addCleanup(lambda: self.assertTrue(self.session("b").alive))
        self.addCleanup(os.rename, moved, folder)
        supervisor = self.supervisor(session)
        tree = looop.descendants(supervisor)
        self.assertEqual(len(tree), 2)
        viewer = self.viewer(session)
        wait_until(lambda: viewer.pictures, "its picture")  # status.json is written before
        shutil.rmtree(session.folder)
        self.assertEqual(self.looop("ls", "--json"), "[]\n")
        for number in range(10):
            viewer.type(b"line %d\r" % number)
            wait_until(lambda n=number: b"line %d" % n in viewer.output, "its echo")
            time.sleep(0.05)
        viewer.close()
        wait_until(lambda: not alive(supervisor), "the end of the supervisor")
        self.assertFalse([pid for pid in tree if alive(pid)])


class Huge(Case):
    def test_a_file_that_a_worker_made_huge_is_not_read_whole(self):
        folder = os.path.join(self.home, "huge")
        os.makedirs(folder)
        for name in ("status.json", "note"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b'{"state": "%s"}' % (b"x" * (8 << 20)))
        with unittest.mock.patch.object(looop, "FIELDS_MAX", 4096):
            self.assertEqual(looop.read_fields(os.path.join(folder, "status.json")), {})
        directory = looop.Directory(folder)
        self.assertLess(len(looop.session_in(directory, "huge", folder).note), 2 << 20)
        directory.close()


class Watchers(Case):
    """Who asks a supervisor for changes, however it behaves."""

    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.home)  # a supervisor lives in its session's folder
        start = looop.Session("x", cols=200, rows=50, folder=self.home, log_cap=1 << 20)
        self.supervisor = looop.Supervisor(start)
        self.supervisor.prepare()
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.peer = looop.Peer(ours.detach())
        os.set_blocking(self.peer.fd, False)
        self.supervisor.peers[self.peer.fd] = self.peer
        self.supervisor._listen_to(self.peer)

    def tearDown(self):
        self.theirs.close()
        self.supervisor._drop(self.peer)
        os.close(self.supervisor.log.fd)
        super().tearDown()

    def test_what_is_typed_into_a_flood_waits_for_the_rest_of_a_sequence(self):
        told = []
        self.supervisor._output(b"text\r\n" * 20000 + b"\x1b[?20")
        then = lambda: told.append(self.supervisor.canvas.screen.bracketed_paste)  # noqa: E731
        with unittest.mock.patch.object(looop, "SEQUENCE_TIME", PATIENCE):
            self.supervisor._when_modes_known(self.peer, then)
        self.supervisor._output(b"0")
        self.supervisor.loop.turn(0.01)
        self.assertEqual(told, [])
        self.supervisor._output(b"4h")
        deadline = time.monotonic() + PATIENCE
        while not told and time.monotonic() < deadline:
            self.supervisor.step()
        self.assertEqual(told, [True])

    def test_no_turn_draws_and_paints(self):
        canvas = self.supervisor.canvas
        canvas.screen.feed(b"\x1b[31ma\x1b[32mb line\r\n" * 2000)
        self.peer.state = "waiting"
        self.supervisor._op_attach(self.peer, {"cols": 200, "rows": 50, "scrollback": 2000}, b"")
        painted, drawn, both = 0, 0, 0
        deadline = time.monotonic() + PATIENCE
        while painted < 10 or drawn < 10:
            before = canvas._drawn
            self.supervisor._output(b"x")
            time.sleep(0.002)  # so that drawing is due now and then
            self.supervisor.step()
            with contextlib.suppress(BlockingIOError):
                slices = len(self.theirs.recv(1 << 20)) > 1000
                painted += slices
                both += slices and canvas._drawn > before
            drawn += canvas._drawn > before
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(both, 0)

    def test_a_viewer_of_a_partial_screen_is_told_and_given_a_whole_one_later(self):
        screen, got, deadline = self.supervisor.canvas.screen, b"", time.monotonic() + PATIENCE
        whole, partial = (looop.size_frame(200, 50, b"z", more) for more in (b"\0", b"\1"))
        screen.mark_partial()
        with unittest.mock.patch.object(looop, "REPAINT_EVERY", 0.01):
            self.supervisor._op_attach(self.peer, {"cols": 200, "rows": 50}, b"")
            while whole not in got and time.monotonic() < deadline:
                self.supervisor.loop.after(0.01, lambda: None)
                self.supervisor.step()
                with contextlib.suppress(BlockingIOError):
                    got += self.theirs.recv(1 << 20)
                if partial in got and screen.partial:
                    self.assertNotIn(whole, got)
                    self.supervisor._output(b"\x1b[2J")
        self.assertEqual((got.count(partial), got.count(whole), screen.partial), (1, 1, False))

    def test_last_output_that_takes_long_to_draw_is_left_out_and_the_session_ends(self):
        supervisor, draw, deadline = self.supervisor, looop.Canvas.draw, time.monotonic() + PATIENCE
        slow = lambda canvas, until: None if canvas.pending else draw(canvas)  # noqa: E731
        supervisor._output(b"late")
        with unittest.mock.patch.multiple(looop, LAST_TIME=0.01):
            with unittest.mock.patch.object(looop.Canvas, "draw", slow):
                supervisor._finish("kill")
                while not supervisor.finished and time.monotonic() < deadline:
                    supervisor.step()
        self.assertTrue(supervisor.finished and supervisor.canvas.screen.partial)
        with open("screen.ansi", "rb") as kept, open("status.json") as status:
            self.assertEqual(len(json.loads(kept.readline())["partial"]), 50)
            self.assertEqual(json.load(status)["state"], "killed")

    def test_a_function_that_waits_already_is_called_once_and_not_later(self):
        loop, told = looop.Loop(), []
        call = lambda: told.append(time.monotonic())  # noqa: E731
        begun = time.monotonic()
        loop.after(0.02, call)
        for _ in range(5):
            loop.after(PATIENCE, call)
        loop.turn(PATIENCE)
        loop.turn(0.05)
        self.assertEqual(len(told), 1)
        self.assertLess(told[0] - begun, PATIENCE)


class Abuse(Sessions):
    def fds(self, session):
        return len(os.listdir(f"/proc/{self.supervisor(session)}/fd"))

    @unittest.skipUnless(LINUX, "counts descriptors in /proc")
    def test_a_session_outlives_what_clients_do(self):
        session = self.begin("a", "echo READY; exec cat")
        self.wait_for(session, "READY")
        looop.ask_session(session, "status")
        before = wait_until(lambda: self.fds(session), "its descriptors")
        for data in (
            b"x" * (2 << 20),
            b'{"op":"input","bytes":100}\n' + b"y" * 50,
            b'{"op":"sta',
            b"\0\xff" * 5000 + b"\n",
            b'{"op":"attach","cols":80,"rows":24}\n' + b"i\xff\xff\xff\xff" + b"z" * 100,
            b'{"op":"attach","cols":80,"rows":24}\n' + looop.frame(b"i", b"half")[:-2],
            b'{"op":"follow"}\n{"op":"follow"}\n',
            b'{"op":"status"}\n{"op":"status"}\n',
            b'{"op":"teleport"}\n' + b"x" * 300000,
            b'{"op":"input","bytes":-5}\nx',
            b"\n\n\n",
            b"",
        ):
            channel = self.connect(session)
            with contextlib.suppress(looop.Gone):
                channel.send(data)
            channel.close()
            self.assertTrue(looop.ask_session(session, "status")["ok"], data[:40])
        crowd = [self.connect(session) for _ in range(100)]
        for number, channel in enumerate(crowd):
            channel.send(b'{"op":"status"}\n' if number % 2 else b'{"op":"follow"}\n')
        for channel in crowd:
            self.assertTrue(channel.line(120.0)["ok"])
        self.assertTrue(looop.ask_session(session, "status")["ok"])
        for channel in crowd:
            channel.close()
        wait_until(lambda: self.fds(session) <= before, "no descriptor more than before")
        looop.send_text(session, b"hello\r", raw=True)
        self.wait_for(session, "hello\n.*hello")

    def test_there_is_no_room_for_one_more_client(self):
        session = self.begin("a", "echo READY; exec cat")
        self.wait_for(session, "READY")
        crowd = [self.connect(session) for _ in range(looop.PEERS_MAX)]
        crowd[-1].send(b'{"op":"follow"}\n')
        self.assertTrue(crowd[-1].line(120.0)["ok"], "all of them were taken in")
        for words in (
            ("send", "a", "x"),
            ("key", "a", "Enter"),
            ("shot", "a"),
            ("resize", "a", "80x24"),
            ("wait", "a"),
        ):
            self.looop(*words, code=1)
            self.assertRegex(self.stderr, r"^looop: .*a: 200 clients are connected, and no more can be: end some")
        self.assertIn("has ended (killed: ", self.looop("kill", "a"))
        self.assertEqual(self.session("a").state, "killed")

    @unittest.skipUnless(LINUX, "looks at processor time in /proc")
    def test_more_connections_than_descriptors(self):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 3000:
            self.skipTest("too few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        session = self.begin("a", "echo READY; exec cat")
        self.wait_for(session, "READY")
        crowd = []
        for _ in range(1100):
            try:
                crowd.append(self.connect(session))
            except looop.Gone:
                break
        self.assertGreater(len(crowd), 1000)
        self.assertTrue(self.session("a").alive)
        for channel in crowd:
            channel.close()

        def answers():
            with contextlib.suppress(looop.Failure):  # not all of them are known to have left
                return looop.ask_session(session, "status")["ok"]

        wait_until(answers, "an answer")

    def test_one_line_and_the_right_code(self):
        self.begin("fix-ci", "sleep 300")
        self.begin("fix-cd", "true")
        self.ended(self.session("fix-cd"))
        drives = (("send", "x"), ("key", "Enter"), ("resize", "80x24"), ("restart",), ("attach",), ("detach",))
        for verb, *more in (*drives, ("shot",), ("log",), ("kill",), ("wait",), ("wait-idle",), ("expect", "x"),
                            ("watch",), ("flag", "x"), ("unflag",)):  # fmt: skip
            self.looop(verb, "fix-cu", *more, code=1)
            self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
            self.assertRegex(self.stderr, r"^looop: .*fix-cu: there is no such session.*did you mean fix-c. or fix-c.")
        for verb, *more in (drive for drive in drives if drive != ("restart",)):  # it starts what has ended
            self.looop(verb, "fix-cd", *more, code=1)
            self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
            self.assertIn("has ended (exit 0)", self.stderr)
        self.looop("shot", "fix-c", code=2)
        self.assertIn("fix-cd, fix-ci", self.stderr)
        for verb, *more in (*drives, ("kill",), ("flag", "x"), ("unflag",)):
            self.looop(verb, "pulse", *more, code=1)
            self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
        self.looop("watch", "pulse", "--json", code=1)
        self.assertRegex(self.stderr, r"^looop: watch: pulse: does not run: `\S*looop\S* up` starts it\n$")
        self.looop("expect", "fix-ci", "[", code=2)
        self.looop("log", "fix-ci", "--grep", "[", code=2)
        self.looop("wait-idle", "fix-ci", "--ignore", "[", code=2)
        self.looop("key", "fix-ci", "Entr", code=2)
        self.assertIn("Enter", self.stderr)
        self.looop("kill", "fix-cd")

    def test_ids_may_be_shortened(self):
        self.begin("fix-ci", "echo READY; exec cat")
        self.begin("fix-ci-2", "true")
        self.looop("send", "fix-ci", "hello")
        self.looop("wait", "fix-ci-2")
        self.assertIn("fix-ci-2 had ended", self.looop("kill", "fix-ci-"))
        self.looop("kill", "fix-ci")
        self.assertFalse(self.session("fix-ci").alive)


@heavy
class Beats(Sessions):
    def fleet(self, reply, interactive="echo READY; cat {{prompt_file}}; exec cat", **more):
        """Have a runner that answers with a move, and whose workers read their brief."""
        path = os.path.join(self.home, "reply")
        with open(path, "w") as file:
            json.dump(reply, file)
        runner = {"mode": "typed", "tick": f"cat >/dev/null; cat {path}", "unmetered": True, "interactive": interactive}
        self.config({"default": "fake", "runners": {"fake": runner}, **more})

    def beat(self, reply, outcome="acted", **more):
        """Make the world new, and have one beat answer with a move; the next one finds nothing new."""
        self.fleet(reply, **more)
        self.write("goals/g.md", f"# {time.monotonic()}\n")
        out = self.tick()
        self.assertEqual(out["outcome"], outcome, out)
        return out

    def settled(self):
        """Let the decider answer that nothing is to be done, until the world stands still."""
        self.fleet({"move": "noop"})
        for _ in range(3):
            if self.tick()["outcome"] == "unchanged":
                return
        self.fail("the world does not stand still")

    def test_moves_drive_workers_and_do_not_wake_again(self):
        self.profile(goals={"g": "# g\n"})
        self.beat({"move": "start_worker", "id": "w", "prompt": "tidy the attic"})
        session = self.session("w")
        self.wait_for(session, "tidy the attic")
        self.assertEqual(self.tick()["outcome"], "unchanged", "its own start woke it")
        self.assertIn("started worker w: tidy the attic", self.journal()[-1])
        self.beat({"move": "send", "id": "w", "text": "two\nlines"})
        self.wait_for(session, "^lines$")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        looop.send_text(session, b"hi", raw=True)
        self.beat({"move": "key", "id": "w", "keys": ["Enter"], "journal": "pressed it"})
        self.wait_for(session, "hi\n+hi")
        self.assertIn("pressed it", self.journal()[-1])
        self.assertEqual(self.tick()["outcome"], "unchanged", "output woke it")
        self.beat({"move": "start_worker", "id": "w", "prompt": "again"}, "failed")
        self.assertTrue(self.session("w").alive)
        self.assertIn("tidy the attic", self.read("prompts", "w.md"))
        self.env["LOOOP_MAX_WORKERS"] = "1"
        self.beat({"move": "start_worker", "id": "v", "prompt": "more"}, "failed")
        self.assertIsNone(self.session("v"))
        self.beat({"move": "send", "id": "nobody", "text": "x"}, "failed")
        self.beat({"move": "key", "id": "w", "keys": ["Hyper-X"]}, "failed")
        self.beat({"move": "restart_worker", "id": "w"})
        self.assertEqual(self.runs_of("w"), 2)
        self.assertEqual(self.tick()["outcome"], "unchanged", "its own restart woke it")
        self.beat({"move": "kill_worker", "id": "w"})
        self.assertEqual(self.session("w").state, "killed")
        self.assertEqual(self.tick()["outcome"], "unchanged", "its own kill woke it")
        self.assertIn("ended worker w", self.journal()[-1])

    def test_no_move_drives_or_ends_a_terminal_of_the_persons_own(self):
        self.profile(goals={"g": "# g\n"})
        self.beat({"move": "start_worker", "id": "worker-1", "prompt": "tidy the attic"})
        self.begin("box", "sleep 300")
        for move in (
            {"move": "send", "id": "box", "text": "x"},
            {"move": "key", "id": "box", "keys": ["Enter"]},
            {"move": "restart_worker", "id": "box"},
            {"move": "kill_worker", "id": "box"},
            {"move": "kill_worker", "id": "bo"},
            {"move": "kill_worker", "id": "work"},
        ):
            self.beat(move, "failed")
        self.assertTrue(self.session("box").alive and self.session("worker-1").alive)
        self.assertEqual(self.runs_of("box"), 1)
        self.beat({"move": "kill_worker", "id": "worker-1"})

    def test_what_wakes_a_beat(self):
        self.profile()
        self.fleet({"move": "noop"})
        session = self.begin("w", "stty -echo; echo READY; while read x; do echo $x; done; exit 3", "a task")
        self.wait_for(session, "READY")
        self.settled()
        looop.send_text(session, b"some output\r", raw=True)
        self.wait_for(session, "some output")
        self.assertEqual(self.tick()["outcome"], "unchanged", "output woke it")
        self.looop("resize", "w", "70x20")
        self.assertEqual(self.tick()["outcome"], "unchanged", "a size woke it")
        self.looop("flag", "w", "which", "branch?")
        row = json.loads(self.looop("ls", "--json"))[0]
        self.assertEqual((row["flagged"], row["note"], row["health"]), (True, "which branch?", "flagged"))
        self.assertIn("which branch?", self.looop("ls"))
        self.assertEqual(self.tick()["outcome"], "noop", "a flag did not wake it")
        self.assertEqual(self.tick()["outcome"], "unchanged", "a flag woke it twice")
        self.looop("unflag", "w")
        self.assertFalse(json.loads(self.looop("ls", "--json"))[0]["flagged"])
        self.settled()
        looop.send_keys(session, ["C-d"])
        self.assertEqual(self.ended(session).code, 3)
        self.assertEqual(self.tick()["outcome"], "noop", "a worker's end did not wake it")
        self.assertIn("worker w ended with 3", self.prompt())
        self.assertEqual(self.tick()["outcome"], "unchanged", "a worker's end woke it twice")
        self.assertIn("w", self.looop("prune", "--dry-run"))
        self.assertIsNotNone(self.session("w"))
        self.assertEqual(json.loads(self.looop("prune", "--json"))["removed"], ["w"])
        self.assertIsNone(self.session("w"))
        self.assertEqual(self.tick()["outcome"], "unchanged", "pruning woke it")
        self.begin("x", "true")
        self.ended(self.session("x"))
        self.settled()
        self.env["LOOOP_SESSION_TTL"] = "1ms"
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertIsNone(self.session("x"))
        self.assertEqual([event["session"] for event in self.events("session_reaped")], ["x"])
        self.begin("y", "sleep 300")
        self.tick()
        self.assertTrue(self.session("y").alive, "retention removed what lives")

    def test_a_worker_with_a_verify_shows_it(self):
        self.profile()
        self.fleet({"move": "noop"})
        self.begin("w", "true", "--verify", "test -e done")
        self.assertEqual(json.loads(self.looop("ls", "--json"))[0]["verify"], "pending")


class Verbs(Sessions):
    def test_ls_and_log_and_watch(self):
        session = self.begin("a", "printf '\\033[1mone\\033[0m\\r\\ntwo\\n'; read x; echo three; read x; exit 0")
        self.wait_for(session, "two")
        row = json.loads(self.looop("ls", "--json"))[0]
        wanted = "id cmd state alive health exit_code signal started_at last_change last_output note flagged verify"
        self.assertEqual(set(wanted.split()) - set(row), set())
        self.assertEqual((row["id"], row["state"], row["alive"], row["size"]), ("a", "running", True, "120x40"))
        self.assertEqual(self.looop("log", "a"), "one\ntwo\n")
        self.assertIn("\x1b[1mone", self.looop("log", "a", "--raw"))
        self.assertEqual(self.looop("log", "a", "--grep", "^t"), "two\n")
        self.assertEqual(self.looop("log", "a", "--tail", "1"), "two\n")
        self.assertEqual(self.looop("log", "a", "--tail", "0"), "")
        watching = self.start("watch", "a", "--json")
        following = self.start("log", "a", "-f", "--grep", "e$")
        for word in ("watch", "-f") if LINUX else ():
            wait_until(lambda word=word: {*processes_with(word)} & {*processes_with(self.home)}, "the watchers")
        looop.send_keys(session, ["Enter"])
        self.wait_for(session, "three")
        looop.send_keys(session, ["Enter"])
        lines = [json.loads(line) for line in watching.communicate(timeout=120)[0].decode().split("\n") if line]
        self.assertEqual(watching.returncode, 0)
        self.assertTrue(lines[-1]["done"])
        self.assertEqual(lines[-1]["offset"], len(self.output(session)))
        self.assertEqual(following.communicate(timeout=120)[0].decode(), "one\nthree\n")
        self.assertEqual(json.loads(self.looop("log", "a", "--json"))["done"], True)


if __name__ == "__main__":
    unittest.main()
