"""Sessions and the loop: what a session outlives, and what of it the loop sees."""

import contextlib
import errno
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import unittest.mock

import looop
from tests.support import (
    PATIENCE,
    ROOT,
    Case,
    heavy,
    kill_all,
    needs_linux,
    needs_proc,
    needs_root,
    processes_with,
    wait_until,
)


class Fleet(Case):
    def ls(self):
        return {row["id"]: row for row in json.loads(self.looop("ls", "--json"))}


class Outliving(Fleet):
    @needs_proc
    def test_a_session_outlives_the_runner_that_started_it(self):
        self.profile(goals={"a": "0\n"})
        begun = os.path.join(self.home, "begun")
        start = '"$LOOOP_BIN" start-session w --command "exec sleep 100"'
        self.runner(f"{start}; touch {begun}; exec sleep 100", mode="direct")
        tick = self.start("tick")
        wait_until(lambda: os.path.exists(begun), "the session")
        self.assertEqual(self.terminate(tick), 143)
        self.assertTrue(self.ls()["w"]["alive"])
        theirs = f"LOOOP_DATA_DIR={self.data}"
        wait_until(lambda: len(processes_with(theirs)) == 2, "its supervisor and its command, and nobody else")

    def test_a_session_outlives_the_session_that_it_was_started_from(self):
        self.looop("start-session", "outer", "--command", "bash")
        self.looop("send", "outer", "--", " ".join([*self.quoted("start-session", "inner", "--command", "sleep 100")]))
        self.looop("expect", "outer", "inner runs")
        self.looop("kill", "outer")
        self.assertEqual({name: row["alive"] for name, row in self.ls().items()}, {"outer": False, "inner": True})

    def quoted(self, *words):
        return [looop.quoted(word) for word in self.command(*words)]


class Table(Fleet):
    def test_every_health_has_a_colour(self):
        self.looop("start-session", "box", "--command", "cat")
        self.looop("flag", "box", "which branch?")
        out = self.looop("ls", env={"LOOOP_COLOR": "1"})
        self.assertIn("\x1b[33mflagged\x1b[0m", out)
        self.assertIn("which branch?", out)
        for health, colour in looop._HEALTH_COLOURS.items():
            self.assertIn(colour, looop._COLOURS, health)


@heavy
class Faults(Fleet):
    """What went wrong once."""

    def begin(self, name, command, words=(), **options):
        self.looop("start-session", name, "--command", command, *words, **options)

    def test_a_data_dir_that_is_moved_while_the_log_turns(self):
        self.begin("a", "read x; seq 100000; echo the end; read x", env={"LOOOP_LOG_MAX_BYTES": "100000"})
        moved = self.data + "-moved"
        os.rename(self.data, moved)
        self.env["LOOOP_DATA_DIR"] = self.data = moved
        self.looop("key", "a", "Enter")
        self.looop("expect", "a", "the end")
        self.assertEqual(self.ls()["a"]["state"], "running")

    def test_a_command_that_closes_its_terminal_and_opens_it_again(self):
        self.begin("a", "exec </dev/null >/dev/null 2>&1; sleep 0.3; echo hello >/dev/tty; sleep 100")
        self.assertEqual(self.looop("expect", "a", "hello"), "hello\n")

    def test_a_flood_of_carriage_returns_is_read_in_time(self):
        text = looop.PlainText()
        self.assertEqual(text.feed(b"\r" * 300_000 + b"x", last=True).strip("\n"), "x")

    def test_a_restart_that_cannot_start(self):
        folder = os.path.join(self.home, "gone")
        os.mkdir(folder)
        command = f"trap 'rm -r {folder}; exit' HUP; echo READY; while sleep 0.05; do :; done"
        self.begin("a", command, words=("--cwd", folder), constants={"HUP_GRACE": PATIENCE})
        self.looop("expect", "a", "READY")
        self.looop("restart", "a", code=1)
        self.assertIn(f"restart: {folder}: No such file or directory", self.stderr)
        self.assertEqual(self.ls()["a"]["state"], "failed")

    def test_a_restart_that_cannot_start_is_refused_before_anything_is_ended(self):
        folder = os.path.join(self.home, "gone")
        os.mkdir(folder)
        self.begin("a", "cat", words=("--cwd", folder))
        os.rmdir(folder)
        pid = self.json("sessions", "a", "status.json")["pid"]
        self.looop("restart", "a", code=1)
        self.assertRegex(self.stderr, f"^looop: restart: a: {folder}: is not there any more.*: put it back first")
        self.assertEqual((self.ls()["a"]["state"], self.json("sessions", "a", "status.json")["pid"]), ("running", pid))

    def buggy(self, code, *words):
        """Start a looop after a piece of code; return (its exit code, what it said)."""
        start = f"import os, sys; sys.path.insert(0, {ROOT!r}); import looop\n{code}\nsys.exit(looop.main())"
        done = subprocess.run(
            [sys.executable, "-SIc", start, *words], env=self.env, cwd=self.home, capture_output=True, check=False
        )
        return done.returncode, done.stderr.decode()

    def test_what_keeps_a_supervisor_from_beginning_is_told(self):
        folder = os.path.join(self.home, "left")
        os.mkdir(folder)
        second_fork = f"""
fork, count = os.fork, []
def failing():
    count.append(1)
    if len(count) == 2:
        raise OSError({errno.EAGAIN}, os.strerror({errno.EAGAIN}))
    return fork()
os.fork = failing"""
        full_disk = """
import resource
real = looop.set_subreaper
def full(*args):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
    real(*args)
looop.set_subreaper = full"""
        folder_goes = f"""
real = looop.set_subreaper
def gone(*args):
    os.rmdir({folder!r})
    real(*args)
looop.set_subreaper = gone"""
        for code, words in (
            (second_fork, f"{os.strerror(errno.EAGAIN)}: nothing was started: raise the limit of processes"),
            (full_disk, f"{os.strerror(errno.EFBIG)}: nothing was started: make room"),
            (folder_goes, f"{folder}: No such file or directory: nothing was started"),
        ):
            status, said = self.buggy(code, "start-session", "a", "--command", "cat", "--cwd", folder)
            self.assertEqual((status, said.count("\n")), (1, 1), said)
            self.assertIn(words, said)
            self.assertEqual(self.ls(), {})

    def test_folders_and_corrupt_files_in_the_store(self):
        for name in ("a", "b"):
            self.begin(name, "read x")
        self.write("sessions/a/meta.json", "{")
        self.assertEqual((self.ls()["a"]["alive"], self.ls()["a"]["cmd"]), (True, None))
        self.looop("start-session", "a", "--command", "cat", code=1)
        self.looop("kill", "a")
        self.looop("kill", "b")
        os.makedirs(self.path("sessions", "b", "folder", "within"))
        self.assertEqual(self.looop("prune"), "removed: a, b\n")
        self.assertEqual(os.listdir(self.path("sessions")), [".lock"])

    def test_values_of_odd_kinds_in_the_files_of_a_session(self):
        self.begin("a", "echo READY; exit 3")
        self.looop("wait", "a", code=3)
        profile = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        wait_until(lambda: not looop.supervisor_pid(looop.read_session(profile, "a")), "the supervisor's end")
        meta, status = (self.json("sessions", "a", name) for name in ("meta.json", "status.json"))
        odd, tried = (None, "", "x", -1, 1e308, 10**30, True, [], [[]], {}, {"a": []}), 0
        for name, fields in (("meta.json", meta), ("status.json", status)):
            for field in fields:
                for value in (*odd, self):
                    more = {key: old for key, old in fields.items() if value is not self or key != field}
                    more.update({} if value is self else {field: value})
                    self.write(f"sessions/a/{name}", json.dumps(more))
                    session = looop.read_session(profile, "a")
                    now, tried = time.time(), tried + 1
                    rows = looop.session_rows(profile, [session], now)
                    self.assertTrue(looop.session_table(rows, now, looop.Paint(self.env, sys.stdout)))
                    self.assertTrue(json.dumps(looop.told_worker(session)))
                    self.assertTrue(looop.ended_words(session))
                    self.assertIsInstance(session.code, int)
                    self.assertEqual(looop.supervisor_pid(session), 0)
                    self.assertTrue(looop.screen_lines(looop.replayed_screen(session)))
                    self.assertEqual(looop.prune_sessions(profile, 0.0, now, dry=True), ["a"], (field, value))
            self.write(f"sessions/a/{name}", json.dumps(fields))
        self.assertGreater(tried, 200)
        self.write("sessions/a/meta.json", '{"cmd": "x"}')
        self.assertIn("a ", self.looop("ls"))

    def test_a_system_that_tells_no_boot_is_not_taken_for_restarted(self):
        self.begin("a", "cat")
        profile = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        self.write("sessions/a/meta.json", json.dumps({**self.json("sessions", "a", "meta.json"), "boot": None}))
        kill_all([looop.read_session(profile, "a").supervisor])
        wait_until(lambda: not looop.read_session(profile, "a").alive, "its end")
        self.assertEqual(looop.read_session(profile, "a").reason, looop.REBOOTED)
        with unittest.mock.patch.object(looop, "boot_id", lambda: ""):
            self.assertEqual(looop.read_session(profile, "a").reason, "its supervisor died")

    def test_a_stray_file_among_the_sessions(self):
        self.begin("a", "cat")
        self.write("sessions/b", "")
        self.assertEqual(set(self.ls()), {"a"})
        self.assertEqual(self.stderr, "looop: warning: sessions/b: is a file, and no session: move it away\n")
        self.looop("send", "b", "x", code=1)
        self.assertIn("there is no such session", self.stderr)
        self.looop("start-session", "b", "--command", "cat", code=1)
        self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
        self.assertRegex(self.stderr, "^looop: start-session: b: .*sessions/b: is a file")
        self.looop("kill", "a")
        self.assertEqual(self.looop("prune"), "removed: a\n")
        os.unlink(self.path("sessions", "b"))

    def test_what_a_failing_start_has_removed_stops_no_prune(self):
        self.begin("a", "true")
        self.looop("wait", "a")
        listed = os.listdir
        profile = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        with unittest.mock.patch.object(os, "listdir", lambda path: [*listed(path), f".new-gone.{os.getpid()}.tmp"]):
            self.assertEqual(looop.prune_sessions(profile, 0.0, time.time()), ["a"])

    def test_who_has_ended_is_pruned_while_a_viewer_is_told_so_slowly(self):
        self.begin("a", "read x; seq 1 60000")
        session = looop.read_session(looop.open_profile(self.env, os.path.join(ROOT, "looop.py")), "a")
        with looop.Channel(session) as viewer:
            viewer.send(b'{"op": "attach", "cols": 80, "rows": 24, "read_only": true, "scrollback": 0}\n')
            self.assertTrue(select.select([viewer.sock], [], [], PATIENCE)[0])
            self.assertIn(b'"ok":true', viewer.sock.recv(4096))
            self.looop("send", "a", "go")
            self.looop("wait", "a")
            self.assertEqual(self.looop("prune"), "removed: a\n")

    def test_who_says_farewell_for_ever_is_not_waited_for_and_not_removed(self):
        self.begin("a", "true")
        self.looop("wait", "a")
        with looop.Lock(self.path("sessions", "a", "lock")) as lock:  # as its supervisor, stopped, would hold it
            self.assertTrue(lock.acquire(PATIENCE, "supervisor of a"))
            self.assertEqual(self.looop("prune", constants={"FAREWELL": 0.1}), "removed: nothing\n")
            self.assertTrue(os.path.exists(self.path("sessions", "a", "status.json")))
        self.assertEqual(self.looop("prune"), "removed: a\n")

    def test_what_ended_in_a_later_time_is_pruned(self):
        self.begin("a", "true")
        self.looop("wait", "a")
        status = self.json("sessions", "a", "status.json")
        self.write("sessions/a/status.json", json.dumps({**status, "changed": looop.utc_text(time.time() + 86400)}))
        self.assertEqual(self.looop("prune"), "removed: a\n")

    def test_no_worker_types_for_the_person(self):
        self.begin("mine", "cat")
        self.begin("its", "cat", env={"LOOOP_CHILD": "1"})
        for verb in ("send", "key"):
            self.looop(verb, "mine", "x", code=1, env={"LOOOP_CHILD": "1"})
            self.assertIn("mine: is the person's own session", self.stderr)
            self.looop(verb, "its", "x", env={"LOOOP_CHILD": "1"})
            self.looop(verb, "mine", "x")

    def test_raw_text_is_matched_as_it_was_typed(self):
        self.begin("a", "printf 'h\\303\\251 \\033[1mbold\\n'; read x")
        self.assertEqual(self.looop("expect", "a", "--raw", "hé .*bold").split("\\x1b")[0], "hé ")
        self.assertEqual(self.looop("log", "a", "--raw", "--grep", "bold"), "hé \x1b[1mbold\r\n")


def command_line(pid):
    """Return the words of a process as they stand in /proc; b"" when it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
    return b""


class WhatIsShown(Fleet):
    starts = True  # a fork of a starter has the starter's command line

    @needs_linux
    def test_a_session_that_is_replaced_while_it_is_read_is_the_new_one(self):
        self.profile()
        opened, real = looop.open_profile(self.env, "looop.py"), looop.read_fields

        def make(started):
            os.makedirs(self.path("sessions", "a"), 0o700)
            said = {"started": started, "started_at": "2026-01-01T00:00:00Z"}
            self.write("sessions/a/meta.json", json.dumps(said))
            self.write("sessions/a/status.json", json.dumps({"state": "exited", "exit_code": 0}))

        for name in ("meta.json", "status.json", "spend.json"):
            for whole in (False, True):
                make(1.5)
                folder = looop.Directory(self.path("sessions", "a"))

                replaced = []

                def read(path, at=None, name=name, whole=whole, replaced=replaced):
                    if path == name and os.path.isdir(self.path("sessions", "a")) and not replaced:
                        replaced.append(1)
                        tree = looop.remove_tree if whole else lambda path: None
                        with unittest.mock.patch.object(looop, "remove_tree", tree):
                            looop.remove_session(opened, "a")
                        make(2.5)
                    return real(path, at)

                with unittest.mock.patch.object(looop, "read_fields", read):
                    found = looop.read_session(opened, "a")
                self.assertEqual((replaced, found.state), ([1], "exited"), name)
                self.assertEqual(found.generation, 1.5 if name == "spend.json" else 2.5)
                self.assertEqual(looop.session_in(folder, "a", "").started_at, "")
                folder.close()
                shutil.rmtree(self.path("sessions"))

    def test_more_sessions_than_a_process_may_have_files_open(self):
        self.profile()
        for number in range(60):
            os.makedirs(self.path("sessions", f"s{number}"), 0o700)
            self.write(
                f"sessions/s{number}/meta.json", json.dumps({"started": 1.5, "started_at": "2026-01-01T00:00:00Z"})
            )
            self.write(f"sessions/s{number}/status.json", json.dumps({"state": "exited", "exit_code": number}))
        opened = looop.open_profile(self.env, "looop.py")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 20, limits[1]))
        try:
            found = looop.list_sessions(opened)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertEqual(sorted(session.code for session in found), [*range(60)])
        self.assertEqual(found[0].renewed(), found[0])
        again = os.path.join(self.path("sessions"), found[0].id)
        shutil.rmtree(again)
        self.assertEqual(found[0].renewed().state, "lost")
        shutil.copytree(self.path("sessions", found[1].id), again)
        self.write(f"sessions/{found[0].id}/meta.json", json.dumps({"started": 2.5}))
        self.assertEqual(found[1].renewed().code, found[1].code)
        self.assertEqual(looop.LogView(".", found[1].fd).end, 0)
        found[0].directory.close()
        self.assertEqual(found[0].renewed().code, 137, "another session has its id")
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 20, limits[1]))
        try:
            removed = looop.prune_sessions(opened, 0.0, time.time())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertEqual(len(removed), 60)

    @needs_proc
    def test_no_process_shows_a_task_or_a_question(self):
        """ps(1) shows everybody on the machine what a process was started with, for as long as it lives."""
        told = os.path.join(self.home, "told")
        with open(os.path.join(self.bin, "claude"), "w") as file:
            file.write(f'#!/bin/sh\nprintf "%s\\n" "$@" >{told}\nexec sleep 99\n')
        os.chmod(os.path.join(self.bin, "claude"), 0o700)
        self.looop("start-session", "w", "rehearse-the-merger", "claude")
        ask = self.start("ask", "how-about-the-merger?", "--session", "w")
        wait_until(lambda: json.loads(self.looop("asks", "--json")), "the question")
        wait_until(lambda: b"looop ask" in command_line(ask.pid), "a title")
        supervisor = self.json("sessions", "w", "meta.json")["pid"]
        self.assertEqual(command_line(supervisor).rstrip(b"\0"), b"looop-worker w")
        shown = [command_line(pid) for pid in processes_with(self.home)]
        self.assertGreater(len(shown), 2)
        self.assertEqual([line for line in shown if b"merger" in line], [])
        wait_until(lambda: os.path.exists(told) and os.path.getsize(told), "the agent")
        with open(told) as file:
            words = file.read().splitlines()
        self.assertEqual(words[-1], f"Follow the brief in {self.path('prompts', 'w.md')}")
        self.assertIn("rehearse-the-merger", self.read("prompts", "w.md"))


class Privacy(Fleet):
    def test_a_folder_that_others_can_enter_is_refused(self):
        self.looop("start-session", "a", "--command", "cat")
        os.chmod(self.path("sessions", "a"), 0o755)
        for words in (("send", "a", "x"), ("shot", "a"), ("kill", "a")):
            self.looop(*words, code=1)
            self.assertIn("is not private to you", self.stderr)
        os.chmod(self.path("sessions", "a"), 0o700)
        names = {
            name: os.stat(self.path("sessions", "a", name)).st_mode & 0o777
            for name in os.listdir(self.path("sessions", "a"))
        }
        self.assertGreater(len(names), 4)
        self.assertEqual(set(names.values()), {0o600}, names)

    @needs_linux
    def test_a_brief_may_be_longer_than_an_argument(self):
        for name, runner in looop.DEFAULT_RUNNERS.items():
            if "interactive" in runner:
                with open(os.path.join(self.bin, name), "w") as file:
                    file.write("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
                os.chmod(os.path.join(self.bin, name), 0o700)
                self.looop("start-session", name, "-", name, stdin=b"x" * 300_000)
                self.looop("wait", name)
                self.assertIn(self.path("prompts", f"{name}.md"), self.looop("log", name))

    @needs_root
    def test_another_user_is_hung_up_on(self):
        folder = os.path.join(self.home, "open")
        os.mkdir(folder)
        for path in (self.home, folder):
            os.chmod(path, 0o755)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(folder, "sock"))
            os.chmod(os.path.join(folder, "sock"), 0o777)
            listener.listen()
            listener.settimeout(120)
            pid = os.fork()
            if pid == 0:
                try:
                    os.setuid(12345)
                    with socket.socket(socket.AF_UNIX) as stranger:
                        stranger.connect(os.path.join(folder, "sock"))
                        os._exit(0 if stranger.recv(1) == b"" else 1)
                finally:
                    os._exit(2)
            theirs = listener.accept()[0].detach()
            self.assertEqual(looop.peer_user(theirs), 12345)
            board = looop.Clients("a")
            board._welcome(theirs)
            self.assertEqual((board.peers, os.waitpid(pid, 0)[1]), ({}, 0))
            ours, _theirs = socket.socketpair()
            self.addCleanup(_theirs.close)
            board._welcome(ours.fileno())
            self.assertEqual(list(board.peers), [ours.fileno()])
            ours.close()

    def test_meta_json_names_the_supervisor(self):
        self.looop("start-session", "a", "--command", "cat")
        meta = self.json("sessions", "a", "meta.json")
        self.assertEqual((meta["id"], meta["cmd"], meta["protocol"], meta["version"]), ("a", "cat", 1, looop.VERSION))
        self.assertEqual(looop.start_time(meta["pid"]), meta["start"])
        self.assertTrue({"cwd", "cols", "rows", "boot"} <= set(meta))

    def test_who_is_told_what(self):
        """A person's own terminal speaks for the person, a worker's for nobody."""
        wanted = {"LOOOP_DATA_DIR": self.data, "TERM": "xterm-256color", "LOOOP_CLAIMS_DIR": self.path("claims")}
        agent = {"CLAUDECODE": "1", "CLAUDE_CODE_MESSAGING_TOKEN": "t", "GIT_CONFIG_GLOBAL": "/x", "NO_COLOR": "1"}
        strange = {
            **agent,
            "TMUX": "/tmp/x,1,0",
            "LINES": "5",
            "TERM": "dumb",
            "LOOOP_RUN_ID": "tick-1",
            "LOOOP_COLOR": "1",
        }
        interactive = "exec env #{{prompt_file}}"
        self.config({"default": "fake", "runners": {"fake": {"tick": "true", "interactive": interactive}}})
        os.makedirs(self.path("runs", "tick-1"), 0o700)
        self.write("state.json", '{"open": "tick-1"}')
        for name, words, run in (("mine", ("--command", "env"), ""), ("worker", ("a prompt",), "tick-1")):
            self.looop("start-session", name, *words, env={**strange, "LOOOP_RUN_ID": run})
            self.looop("wait", name)
            env = dict(line.split("=", 1) for line in self.looop("log", name).splitlines() if "=" in line)
            self.assertEqual({key: env.get(key) for key in wanted}, wanted)
            self.assertEqual(env["LOOOP_SESSION_ID"], name)
            self.assertTrue(os.access(env["LOOOP_BIN"], os.X_OK))
            self.assertEqual(set(env) & {*agent, "TMUX", "LINES", "LOOOP_RUN_ID", "LOOOP_COLOR"}, set())
            self.assertEqual(env.get("LOOOP_CHILD"), {"mine": None, "worker": "1"}[name])

    def test_ls_goes_on_looking(self):
        process = self.start("ls", "-w", "--interval", "100ms", "--json")
        self.assertEqual(process.stdout.readline(), b"[]\n")
        self.looop("start-session", "a", "--command", "cat")
        row = {}
        while not row:
            row = next(iter(json.loads(process.stdout.readline())), None)
        self.assertEqual(row["id"], "a")
        keys = (
            "id cmd state alive health exit_code signal started_at last_change last_output note flagged verify claims"
        )
        self.assertEqual(
            list(row),
            [*keys.split(), *"size kind cwd by question last_text cost_usd goal where unreachable_since".split()],
        )


@heavy
class Kinds(Fleet):
    """A worker has a task, and the loop's moves reach it; what a person starts for themselves is theirs alone."""

    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})

    def begin(self, name, command, words=(), **options):
        self.looop("start-session", name, *words, "--command", command, **options)

    def moves(self, reply):
        """Decide on this move, and return what the beat says."""
        path = os.path.join(self.home, "reply")
        with open(path, "w") as file:
            json.dump(reply, file)
        runner = {"mode": "typed", "tick": f"cat >{self.home}/asked; cat {path}", "unmetered": True}
        runner["interactive"] = "cat {{prompt_file}}; exec cat"
        self.config({"default": "fake", "runners": {"fake": runner}, "gate": self.gate})
        return self.tick()

    def test_what_is_a_worker(self):
        self.moves({"move": "noop"})
        self.looop("start-session", "task", "do it")
        self.begin("mine", "cat")
        self.begin("told", "cat", ("do it",))
        self.begin("checked", "cat", ("--verify", "true"))
        self.begin("child", "cat", env={"LOOOP_CHILD": "1"})
        kinds = {name: row["kind"] for name, row in self.ls().items()}
        self.assertEqual(kinds, {"mine": "session", **dict.fromkeys(("task", "told", "checked", "child"), "worker")})
        self.assertEqual(self.json("sessions", "mine", "meta.json")["kind"], "session")
        for name, worker, kind in (("task", True, "worker"), ("mine", False, "session")):  # as looop 0.6 wrote it
            meta = self.json("sessions", name, "meta.json")
            del meta["kind"]
            self.write(f"sessions/{name}/meta.json", json.dumps({**meta, "worker": worker}))
            self.assertEqual(self.ls()[name]["kind"], kind)
        self.assertEqual(self.looop("down", "--workers").count("mine"), 1)
        self.assertEqual([name for name, row in self.ls().items() if row["alive"]], ["mine"])

    def test_the_persons_own_is_in_no_world(self):
        self.moves({"move": "noop"})
        self.begin("db", "sleep 99 # mysql -phunter2")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.write("goals/a.md", "1\n")
        self.assertEqual(self.tick()["outcome"], "noop")
        with open(f"{self.home}/asked") as file:
            self.assertNotIn("hunter2", file.read())
        self.assertEqual(json.loads(self.looop("status", "--json"))["workers"], [])
        self.looop("flag", "db", "look at this")  # for the person, and no reason to decide
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertIn("look at this", self.looop("asks"))
        self.looop("kill", "db")
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_the_persons_own_counts_for_no_limit(self):
        self.env["LOOOP_MAX_WORKERS"] = "1"
        self.begin("mine", "cat")
        self.assertEqual(self.moves({"move": "start_worker", "id": "w", "prompt": "p"})["outcome"], "acted")

    def test_no_move_reaches_the_persons_own(self):
        self.gate = {"shell": "never"}  # behind the walls it would not get that far
        self.begin("box", "printf 'a secret of mine'; exec cat")
        self.looop("expect", "box", "secret")
        pid = self.json("sessions", "box", "status.json")["pid"]
        verbs = """kill restart detach resize~80x24 shot log watch expect~secret wait~--timeout=1s wait-idle
            send~x key~x flag unflag attach""".split()
        lines = [f'"$LOOOP_BIN" {" ".join([verb.split("~")[0], "box", *verb.split("~")[1:]])}' for verb in verbs]
        lines += ['"$LOOOP_BIN" ask "why?" --session box', '"$LOOOP_BIN" claim x --session box']
        out = self.moves({"move": "shell", "command": "\n".join(lines), "reversible": True})
        self.assertEqual(out["outcome"], "acted")
        log = self.read("runs", out["run"], "shell.log")
        self.assertEqual(log.count("is the person's own session"), len(lines), log)
        self.assertNotIn("a secret of mine", log)
        self.assertEqual(self.json("sessions", "box", "status.json")["pid"], pid)
        for move in ("kill_worker", "restart_worker"):
            self.write("goals/a.md", move)
            self.assertIn("box: is a person's own session", self.moves({"move": move, "id": "box"})["reason"])

    def test_no_move_takes_the_id_or_the_log_of_the_persons_own(self):
        self.begin("box", "true")
        self.looop("wait", "box")
        out = self.moves({"move": "start_worker", "id": "box", "prompt": "p"})
        self.assertIn("box: is the id of the person's own session", out["reason"])
        child = {"LOOOP_CHILD": "1"}
        self.begin("box", "true", code=1, env=child)
        self.assertEqual(self.ls()["box"]["kind"], "session")
        self.assertEqual(json.loads(self.looop("ls", "--json", env=child)), [])
        self.looop("shot", "bo", code=1, env=child)
        self.assertNotIn("box", self.stderr.replace("own", ""))

    def test_verbs_that_only_a_person_may_run(self):
        config = self.read_config()
        for child in ({"LOOOP_CHILD": "1"}, {"LOOOP_RUN_ID": "tick-1"}):
            for words in ("prune", "init builtin", "tick --dry-run=decide", "up", "run a", "doctor --ask", "resume"):
                self.looop(*words.split(), code=1, env=child)
                self.assertIn(
                    f"looop: {words.split()[0]}: only a person may run it ({next(iter(child))} is ", self.stderr
                )
            self.looop("tick", "--dry-run", env=child)
            self.looop("prune", "--dry-run", env=child)
        self.assertEqual(self.read_config(), config)
        self.looop("prune", env={"LOOOP_SESSION_ID": "box"})  # a person types in a session of their own

    def read_config(self):
        path = os.path.join(self.home, ".config", "looop.json")
        return open(path).read() if os.path.exists(path) else None

    def test_workers_reach_workers(self):
        self.begin("a", "printf hello; exec cat", ("a task",))
        child = {"LOOOP_CHILD": "1"}
        self.assertEqual(self.looop("expect", "a", "hello", env=child), "hello\n")
        self.looop("restart", "a", env=child)
        self.looop("kill", "a", env=child)

    def test_a_command_starts_where_the_person_is_and_a_worker_in_its_own_folder(self):
        here = os.path.join(self.home, "src")
        os.makedirs(here)
        self.looop("start-session", "mine", "--command", "pwd", cwd=here)
        self.looop("start-session", "its", "a task", "--command", "pwd", cwd=here)
        for name, folder in (("mine", here), ("its", self.path("work", "its"))):
            self.looop("wait", name)
            self.assertEqual(self.looop("log", name), f"{os.path.realpath(folder)}\n")
            self.assertEqual(self.ls()[name]["cwd"], folder)

    def test_what_is_done_and_not_checked_is_no_idle_one(self):
        self.begin("w", "true", ("--verify", "true"))
        self.looop("wait", "w")
        self.assertEqual((self.ls()["w"]["verify"], self.ls()["w"]["health"]), ("pending", "unchecked"))
        self.assertIn("unchecked", self.looop("ls"))
        self.moves({"move": "noop"})
        self.assertEqual(self.ls()["w"]["health"], "done")

    def test_ls_shows_the_living_first_and_ends_with_what_it_leaves_out(self):
        self.begin("alive", "exec sleep 99 # a command")
        for number in range(12):
            self.begin(f"dead{number:02}", "true")
        for number in range(12):
            self.looop("wait", f"dead{number:02}")
        lines = self.looop("ls").splitlines()
        self.assertEqual(lines[0].split(), "ID KIND HEALTH AGE IDLE COMMAND FLAG".split())
        self.assertEqual(lines[1].split()[:2], ["alive", "session"])
        self.assertIn("exec sleep 99 # a command", lines[1])
        self.assertEqual(lines[-1], "2 more ended: `looop ls -a` lists them, `looop prune` removes them")
        self.assertEqual(len(lines), 13)
        self.assertEqual(len(self.looop("ls", "-a").splitlines()), 14)
        self.assertEqual(len(self.ls()), 13)


class Again(Fleet):
    """A session that has ended is started again from what its files tell."""

    def test_a_lost_worker_and_one_that_ended(self):
        folder = os.path.join(self.home, "src")
        os.makedirs(folder)
        words = ("count", "--command", 'echo "$LOOOP_CHILD"; pwd; stty size; read x', "--verify", "true")
        self.looop("start-session", "w", *words, "--size", "90x20", "--cwd", folder)
        self.looop("expect", "w", "20 90")
        self.looop("resize", "w", "70x10")
        meta = self.json("sessions", "w", "meta.json")
        brief = self.read("prompts", "w.md")
        for state in ("lost", "exited"):
            end = self.looop("log", "w", "--json")
            if state == "lost":
                os.kill(meta["pid"], signal.SIGKILL)
            else:
                self.looop("key", "w", "Enter")
            wait_until(lambda: not self.ls()["w"]["alive"], "the end")
            self.assertEqual(self.ls()["w"]["state"], state)
            row = json.loads(self.looop("restart", "w", "--json"))
            self.assertEqual((row["alive"], row["kind"], row["size"], row["cwd"]), (True, "worker", "70x10", folder))
            self.looop(
                "expect", "w", f"1\n{os.path.realpath(folder)}\n10 70", "--since", str(json.loads(end)["offset"])
            )
        again = self.json("sessions", "w", "meta.json")
        self.assertEqual({key: again[key] for key in ("cmd", "verify")}, {key: meta[key] for key in ("cmd", "verify")})
        self.assertEqual(self.read("prompts", "w.md"), brief)
        self.assertIn("20 90", self.looop("log", "w"))  # the log goes on
        self.assertNotIn("20 90", self.looop("shot", "w"))

    def test_what_its_log_had_turned_to_stays_too(self):
        self.looop("start-session", "a", "--command", "seq 30000", env={"LOOOP_LOG_MAX_BYTES": "100000"})
        self.looop("wait", "a")
        before = json.loads(self.looop("log", "a", "--json"))
        self.looop("restart", "a", env={"LOOOP_LOG_MAX_BYTES": "200000"})
        self.looop("wait", "a")
        after = json.loads(self.looop("log", "a", "--json"))
        self.assertEqual(after["offset"], 2 * before["offset"] + 2)

    def test_what_cannot_be_started_again(self):
        secret = {"DEPLOY_TOKEN": "abcdefgh12345678"}
        self.looop("start-session", "a", "--command", "true abcdefgh12345678", env=secret)
        self.looop("wait", "a")
        self.looop("restart", "a", code=1)
        self.assertIn("restart: a: its command held a secret, which is not kept: `looop start-session a", self.stderr)
        self.looop("start-session", "b", "--command", "exit 3", "--cwd", self.home)
        self.looop("wait", "b", code=3)
        meta = self.json("sessions", "b", "meta.json")
        self.write("sessions/b/meta.json", json.dumps({**meta, "cwd": "/nowhere"}))
        self.looop("restart", "b", code=1)
        self.assertIn("/nowhere: is not a directory", self.stderr)
        self.assertEqual(self.ls()["b"]["exit_code"], 3)
        self.looop("restart", "nobody", code=1)
        self.assertIn("there is no such session: `looop ls` lists them", self.stderr)

    def test_a_worker_starts_none_again_over_the_limit(self):
        self.looop("start-session", "a", "a task", "--command", "true")
        self.looop("wait", "a")
        self.looop("restart", "a", code=1, env={"LOOOP_CHILD": "1", "LOOOP_MAX_WORKERS": "0"})
        self.assertIn("0 workers alive, and 0 are allowed", self.stderr)

    def test_attach_without_an_id(self):
        self.looop("attach", code=1)
        self.assertIn("attach: no session runs", self.stderr)
        self.looop("start-session", "a", "--command", "cat")
        self.looop("attach", code=1)
        self.assertIn("attach: stdin and stdout must be a terminal: `looop shot a`", self.stderr)
        self.looop("start-session", "b", "--command", "cat")
        self.looop("attach", code=2)
        self.assertEqual(self.stderr, "looop: attach: which one? a, b: looop attach ID\n")


class World(Fleet):
    worker = "exec bash --norc -c 'cat {{prompt_file}}; read x; echo got $x; exit 3'"

    def outcomes(self, *expected):
        for outcome in expected:
            self.assertEqual(self.tick()["outcome"], outcome)

    def decide(self, reply):
        """Answer every decision with this move."""
        path = os.path.join(self.home, "reply")
        with open(path, "w") as file:
            json.dump(reply, file)
        runner = {"mode": "typed", "tick": f"cat >/dev/null; cat {path}", "interactive": self.worker, "unmetered": True}
        self.config({"default": "fake", "runners": {"fake": runner}, "budget": {"max_workers": 2}})

    def test_moves_act_and_what_they_do_wakes_nobody(self):
        self.profile(goals={"a": "0\n"})
        self.decide({"move": "start_worker", "id": "w", "prompt": "count the stars"})
        self.outcomes("acted", "unchanged")
        self.assertIn("count the stars", self.looop("expect", "w", "count the stars"))
        self.assertTrue(self.journal()[-1].endswith("started worker w: count the stars"))
        self.decide({"move": "restart_worker", "id": "w"})
        self.write("goals/a.md", "1\n")
        self.outcomes("acted", "unchanged")
        self.decide({"move": "key", "id": "w", "keys": ["BSpace"]})
        self.write("goals/a.md", "2\n")
        self.outcomes("acted", "unchanged")
        self.decide({"move": "send", "id": "w", "text": "42"})
        self.write("goals/a.md", "3\n")
        self.outcomes("acted")
        self.looop("wait", "w", code=3)
        self.assertIn("got 42", self.looop("log", "w"))
        self.decide({"move": "noop"})
        out = self.tick()
        self.assertEqual(out["outcome"], "noop")
        self.assertIn("worker w", out["reason"])
        self.assertIn("- w: failed, ended with 3 ", self.prompt())
        self.outcomes("unchanged")
        self.looop("prune")
        self.outcomes("unchanged")

    def test_a_flag_wakes_once_and_output_never(self):
        self.profile(goals={"a": "0\n"})
        self.decide({"move": "noop"})
        self.outcomes("noop")
        self.looop("start-session", "box", "a task", "--command", "cat")
        self.outcomes("noop", "unchanged")
        self.looop("send", "box", "hello")
        self.looop("expect", "box", "hello")
        self.outcomes("unchanged")
        self.looop("flag", "box", "which branch?")
        self.outcomes("noop", "unchanged")
        self.assertIn("which branch?", self.prompt())
        supervisor = looop.supervisor_pid(looop.read_session(looop.open_profile(self.env, ""), "box"))
        wait_until(lambda: self.tick()["outcome"] == "unchanged" and os.path.exists(self.path(".quiet")), ".quiet")
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: self.ls()["box"]["state"] == "lost", "the loss")
        self.outcomes("noop", "unchanged")

    def test_there_are_limits_to_starting(self):
        self.profile(goals={"a": "0\n"})
        for name in ("x", "y"):
            self.looop("start-session", name, "a task", "--command", "cat")
        self.decide({"move": "start_worker", "id": "z", "prompt": "p"})
        self.assertIn("2 workers alive, and 2 are allowed: x, y", self.tick()["reason"])
        self.looop("kill", "y")
        self.decide({"move": "start_worker", "id": "x", "prompt": "p"})
        self.write("goals/a.md", "1\n")
        self.assertIn("x: is already running", self.tick()["reason"])
        self.assertEqual(sorted(self.ls()), ["x", "y"])

    def test_retention_removes_what_has_ended_and_wakes_nobody(self):
        self.profile(goals={"a": "0\n"})
        self.decide({"move": "noop"})
        self.looop("start-session", "old", "--command", "true")
        self.looop("wait", "old")
        self.looop("start-session", "live", "--command", "cat")
        self.outcomes("noop", "unchanged")
        for span, kept in (("0", {"old", "live"}), ("1ms", {"live"})):  # 0: for ever
            out = self.tick(env={"LOOOP_SESSION_TTL": span})
            self.assertEqual((out["outcome"], set(self.ls())), ("unchanged", kept))


if __name__ == "__main__":
    unittest.main()
