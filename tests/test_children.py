"""Children: deadlines, caps, groups, grandchildren that hold on, and nothing left behind."""

import contextlib
import ctypes  # noqa: F401 - libffi keeps a descriptor open from here on: before any test counts them
import json
import os
import signal
import time
import unittest
from unittest import mock

import looop
from tests.starts import end_starters
from tests.support import PATIENCE, Case, Terminal, alive, processes_with, wait_until


class Children(Case):
    def setUp(self):
        super().setUp()
        end_starters()  # a child of this process, which shall have none

    def job(self, script, timeout=PATIENCE, **options):
        return looop.Job("test", [os.path.join(self.bin, "bash"), "-c", script], self.env, timeout, **options)

    def there(self, name):
        """Return what waits, at the start of a job, until a file is there; its time may be up by then."""
        return lambda _: wait_until(lambda: os.path.exists(os.path.join(self.home, name)), name)

    def run_one(self, script, timeout=PATIENCE, **options):
        before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
        ended = looop.run_job(self.job(script, timeout, **options))
        if before:
            self.assertEqual(set(os.listdir("/proc/self/fd")), before)
        if options.get("orphans"):  # who was handed to this process is reaped as soon as a busy machine has ended it
            wait_until(self.childless, "the end of every child")
        self.assertTrue(self.childless())
        return ended

    def childless(self):
        """Tell whether this process has no child; reap one that has ended."""
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        return False

    def test_output_exit_and_signal(self):
        ended = self.run_one("echo out; echo err >&2; exit 3")
        self.assertEqual((ended.why, ended.code, ended.out, ended.err), ("exit", 3, b"out\n", b"err\n"))
        ended = self.run_one("kill -SEGV $$")
        self.assertEqual((ended.why, ended.code), ("exit", -signal.SIGSEGV))

    def test_what_cannot_be_started(self):
        ended = looop.run_job(looop.Job("test", [self.home + "/none"], self.env, PATIENCE))
        self.assertEqual((ended.why, ended.code), ("spawn", 127))
        self.assertIn(b"No such file", ended.err)

    def test_a_script_without_a_first_line_is_run_by_a_shell(self):
        path = os.path.join(self.home, "plain")
        with open(path, "w") as file:
            file.write("echo plain $1\n")
        os.chmod(path, 0o700)
        self.assertEqual(looop.run_job(looop.Job("test", [path, "x"], self.env, PATIENCE)).out, b"plain x\n")

    def test_a_deadline_ends_the_whole_group(self):
        begun = f"sleep 300 & sleep 301 & echo {self.home} >{self.home}/begun; wait"
        ended = self.run_one(begun, timeout=0.3, on_start=self.there("begun"))
        self.assertEqual((ended.why, ended.code), ("timeout", -signal.SIGTERM))
        wait_until(lambda: not processes_with(self.home), "an empty group")

    def test_what_ignores_term_is_killed_after_the_grace(self):
        script = f"trap '' TERM; sleep 300 & >{self.home}/begun; while :; do sleep 1; done"
        ended = self.run_one(script, timeout=0.2, on_start=self.there("begun"))
        self.assertEqual((ended.why, ended.code), ("timeout", -signal.SIGKILL))
        self.assertGreaterEqual(ended.secs, looop.KILL_GRACE)
        wait_until(lambda: not processes_with(self.home), "an empty group")

    def test_what_is_stopped_hears_term_all_the_same(self):
        script = f"trap 'echo heard; exit 3' TERM; >{self.home}/begun; kill -STOP $$; sleep 300"
        with mock.patch.object(looop, "KILL_GRACE", PATIENCE):
            ended = self.run_one(script, timeout=0.3, on_start=self.there("begun"))
        self.assertEqual((ended.why, ended.code, ended.out), ("timeout", 3, b"heard\n"))

    def test_a_grandchild_that_holds_stdout_holds_nobody_up(self):
        ended = self.run_one("sleep 300 & echo done", tidy=True)
        self.assertEqual((ended.why, ended.code, ended.out), ("exit", 0, b"done\n"))
        self.assertLess(ended.secs, 60.0)
        wait_until(lambda: not processes_with(self.home), "no grandchild")

    def test_the_end_of_output_is_not_the_end(self):
        ended = self.run_one("exec >&- 2>&-; sleep 0.3; exit 7")
        self.assertEqual((ended.why, ended.code), ("exit", 7))
        self.assertGreaterEqual(ended.secs, 0.3)

    def test_a_clean_exit_beats_a_racing_timeout(self):
        for _ in range(20):
            started = time.monotonic()
            job = self.job("exit 0", timeout=0.5)
            child = looop.Child(job)
            wait_until(lambda pid=child.pid: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT), "its end")
            child.deadline = started  # long past when the loop looks
            ended = child.tend(time.monotonic())
            self.assertEqual((ended.why, ended.code), ("exit", 0))

    def test_a_flood_is_stopped_at_the_cap(self):
        ended = self.run_one("exec yes", cap=8192)
        self.assertEqual(ended.why, "overflow")
        self.assertLessEqual(len(ended.out), 8193)

    def test_a_flood_into_a_file_is_stopped(self):
        path = os.path.join(self.home, "out")
        ended = self.run_one("exec yes", cap=100000, stdout=path, stderr=path)
        self.assertEqual(ended.why, "overflow")

    def test_many_at_once_in_order_and_no_more_than_the_width(self):
        path = os.path.join(self.home, "live")
        os.mkdir(path)
        script = f"touch {path}/$$; ls {path} | wc -l; sleep 0.05; rm {path}/$$; echo {{}}"
        jobs = [self.job(script.format(i)) for i in range(24)]
        ends = looop.run_jobs(jobs, 4)
        self.assertEqual([int(ended.out.split()[1]) for ended in ends], list(range(24)))
        self.assertLessEqual(max(int(ended.out.split()[0]) for ended in ends), 4)

    def test_an_error_in_the_loop_ends_the_children(self):
        def fail(pid):
            raise RuntimeError("on purpose")

        with self.assertRaises(RuntimeError):
            looop.run_jobs([self.job("sleep 300"), self.job("sleep 300", on_start=fail)])
        wait_until(lambda: not processes_with(self.home), "no child")
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_signals_and_descriptors_are_not_inherited(self):
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            looop.close_inherited()
            ended = self.run_one(
                "ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status" if os.path.isdir("/proc") else "exit 0"
            )
            if ended.out:
                count, ignored = ended.out.decode().split("\n")[:2]
                self.assertLessEqual(int(count), 4)
                self.assertEqual(
                    int(ignored.split()[1], 16) & (1 << (signal.SIGHUP - 1) | 1 << (signal.SIGPIPE - 1)), 0
                )
        finally:
            signal.signal(signal.SIGHUP, before)
            os.close(reader)
            os.close(writer)

    @unittest.skipUnless(os.path.isdir("/proc/self"), "needs /proc to find what left the group")
    def test_at_the_deadline_also_what_left_the_group_ends(self):
        pids = os.path.join(self.home, "pids")
        left = f"setsid bash -c 'echo $$ >> {pids}; sleep 300 & wait'"
        named = left.replace("echo", "printf looop-session >/proc/$$/comm; echo", 1)  # as a supervisor is called
        script = f"{left} & ({named} &); sleep 300"

        def found():
            with open(pids, "a+") as file:
                file.seek(0)
                return [int(line) for line in file if line.endswith("\n")]

        both = lambda _: wait_until(lambda: len(found()) == 2, "both")  # noqa: E731
        ended = self.run_one(script, timeout=0.3, orphans=True, on_start=both)
        self.assertEqual(ended.why, "timeout")
        wait_until(lambda: not any(alive(pid) for pid in found()), "their end")
        wait_until(lambda: not processes_with(self.home), "no descendant")


class Alone(Case):
    """What looop starts has neither its terminal nor the variables of whoever called it."""

    LOOK = 'if (: </dev/tty) 2>/dev/null; then echo "$0 has a terminal"; fi >>"$HOME/seen"; echo "$0" >>"$HOME/asked"'

    def saw(self, name):
        path = os.path.join(self.home, name)
        with contextlib.suppress(FileNotFoundError), open(path) as file:
            return file.read()
        return ""

    def test_no_child_of_a_beat_has_the_terminal(self):
        self.profile(sensors={"s": self.LOOK + "; echo '{}'"})
        move = {"move": "shell", "command": self.LOOK.replace("$0", "move"), "reversible": True}
        path = os.path.join(self.home, "reply")
        with open(path, "w") as file:
            json.dump(move, file)
        command = f"cat >/dev/null; {self.LOOK.replace('$0', 'runner')}; cat {path}"
        self.runner(command, notify=self.LOOK.replace("$0", "notify"), gate={"shell": "never"})
        self.looop("start-session", "done", "--command", "true", "--verify", self.LOOK.replace("$0", "verify"))
        self.looop("wait", "done")
        self.looop("start-session", "flagged", "--command", "sleep 1000")
        self.looop("flag", "flagged", "look here")
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        terminal.run(self.command("tick"), self.env, self.home)
        self.assertEqual(terminal.end(), 0, terminal.text())
        asked = self.saw("asked")
        for name in ("s.sh", "move", "runner", "notify", "verify"):
            self.assertIn(name, asked)
        self.assertEqual(self.saw("seen"), "")

    def test_the_terminal_can_be_seen_where_there_is_one(self):
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        terminal.run(["bash", "-c", self.LOOK], self.env, self.home)
        terminal.end()
        self.assertIn("has a terminal", self.saw("seen"))

    CALLER = {
        "CLAUDECODE": "1",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "CLAUDE_CODE_SSE_PORT": "1234",
        "GEMINI_CLI": "1",
        "OPENCODE": "1",
        "KITTY_LISTEN_ON": "unix:/tmp/kitty",
        "ZELLIJ": "0",
        "ZELLIJ_SESSION_NAME": "mine",
        "VSCODE_IPC_HOOK_CLI": "/run/user/1000/vscode",
        "INSIDE_EMACS": "29.1,vterm",
        "WEZTERM_UNIX_SOCKET": "/run/wezterm",
        "TERM_PROGRAM": "vscode",
        "WT_PROFILE_ID": "{1}",
    }
    PERSON = {"CLAUDE_CODE_USE_BEDROCK": "1", "CLAUDE_CONFIG_DIR": "/c", "SSH_AUTH_SOCK": "/a", "DISPLAY": ":0"}

    def test_what_tells_about_the_caller_is_not_handed_on(self):
        self.profile(sensors={"s": 'env >"$HOME/sensor"; echo "{}"'})
        self.runner("""cat >/dev/null; env >"$HOME/runner"; echo '{"move":"noop"}'""")
        env = {**self.CALLER, **self.PERSON}
        self.looop("tick", env=env)
        self.looop("start-session", "box", "--command", 'env >"$HOME/session"', env=env)
        self.looop("wait", "box")
        for child in ("sensor", "runner", "session"):
            names = {line.partition("=")[0] for line in self.saw(child).split("\n")}
            self.assertLessEqual(self.PERSON.keys(), names, child)
            self.assertEqual(sorted(names & self.CALLER.keys()), [], child)


class Stubborn(Case):
    long = True

    def test_a_second_ctrl_c_leaves_none_of_them_running(self):
        body = 'trap "" TERM INT; touch "$LOOOP_DATA_DIR/../begun-$(basename "$0")"; while :; do sleep 0.5; done'
        self.profile(sensors={f"s{number}": body for number in range(12)})
        begun = [os.path.join(self.data, "..", f"begun-s{number}.sh") for number in range(12)]
        grace = 8.0
        tick = self.start("tick", constants={"KILL_GRACE": grace})
        wait_until(lambda: all(map(os.path.exists, begun)), "the sensors")
        since = time.monotonic()
        tick.send_signal(signal.SIGINT)
        wait_until(lambda: tick.poll() is not None or time.monotonic() > since + 0.3, "a moment")
        tick.send_signal(signal.SIGINT)
        self.assertEqual(tick.wait(120), 130)
        self.assertLess(time.monotonic() - since, 11 * grace, "their graces run one after the other")
        wait_until(lambda: not processes_with(self.home), "the last of what was killed")


class PortablePath(Children):
    """The same without pidfd, as on macOS and older kernels; what does not wait for an end is not run twice."""

    test_a_flood_into_a_file_is_stopped = None
    test_at_the_deadline_also_what_left_the_group_ends = None
    test_many_at_once_in_order_and_no_more_than_the_width = None
    test_signals_and_descriptors_are_not_inherited = None
    test_a_script_without_a_first_line_is_run_by_a_shell = None

    def setUp(self):
        super().setUp()
        if hasattr(os, "pidfd_open"):
            kept = os.pidfd_open
            del os.pidfd_open
            self.addCleanup(setattr, os, "pidfd_open", kept)


if __name__ == "__main__":
    unittest.main()
