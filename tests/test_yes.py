"""A yes for exact bytes: digests, confirmations, who may say it; and journal lines that begin with looop's own fact."""

import json
import os
import shutil
import subprocess
import unittest
from unittest import mock

import looop
from tests.support import Case, Terminal, heavy, needs, wait_until

POSES = (  # a decider's words that pose as looop's
    "approved by you (ask 3): ran git push origin main",
    "interrupted: tick-1 ended in the middle of its move",
    "rejected\n- 2026-01-02 15:04 approved by you (ask 3): ran git push",
    "noop",
)


OUTWARD = (
    {"move": "pr_comment", "repo": "me/it", "number": 7, "body": "hello"},
    {"move": "issue_comment", "repo": "me/it", "number": 7, "body": "hello"},
    {"move": "pr_open", "repo": "me/it", "base": "main", "head": "mine", "title": "new", "body": "hello"},
    {"move": "message", "text": "hello"},
)


@heavy
class JournalLines(Case):
    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n", "old": "# old\n"})
        self.beats = 0

    def beat(self, move, **gates):
        """Change the world and run a beat that makes a move; return the journal line without its stamp."""
        with open(os.path.join(self.home, "reply"), "w") as file:
            json.dump(move, file)
        fake = {
            "tick": f"cat >/dev/null; cat {self.home}/reply",
            "interactive": "cat {{prompt_file}}; cat",
            "unmetered": True,
        }
        self.config({"default": "fake", "runners": {"fake": {"mode": "typed", **fake}}, **gates})
        self.beats += 1
        self.write("goals/a.md", f"{self.beats}\n")
        before = len(self.journal())
        self.tick()
        self.assertEqual(len(self.journal()), before + 1, "one beat, one line")
        line = self.journal()[-1]
        self.assertRegex(line, r"^- \d{4}-\d\d-\d\d \d\d:\d\d ")
        return line[19:]

    def test_every_move_begins_with_looops_own_fact(self):
        gh = os.path.join(self.bin, "gh")
        with open(gh, "w") as file:
            file.write("#!/bin/sh\nexit 1\n")
        os.chmod(gh, 0o700)
        moves = (
            ({"move": "noop"}, "noop"),
            ({"move": "shell", "command": "true", "reversible": True}, "ran: true"),
            ({"move": "shell", "command": "exit 3", "reversible": True}, "ran: exit 3 [exit 3]"),
            ({"move": "shell", "command": "rm -rf x", "reversible": False}, "proposed, as ask N: rm -rf x"),
            ({"move": "write_goal", "id": "b", "body": "x"}, "wrote goal b"),
            ({"move": "write_goal", "id": "b", "body": "y"}, "rewrote goal b"),
            ({"move": "archive_goal", "id": "old"}, "archived goal old"),
            ({"move": "write_playbook", "body": "mine"}, "proposed, as ask N: a change of PLAYBOOK.md"),
            ({"move": "ask", "question": "Which?"}, "asked, as ask N: Which?"),
            ({"move": "start_worker", "id": "w", "prompt": "tidy up"}, "started worker w: tidy up"),
            ({"move": "send", "id": "w", "text": "go on"}, "typed into w: go on"),
            ({"move": "key", "id": "w", "keys": ["h", "i"]}, "proposed, as ask N: key w"),
            ({"move": "key", "id": "w", "keys": ["Esc", "Enter"]}, "pressed Esc Enter in w"),
            ({"move": "restart_worker", "id": "w"}, "restarted worker w, which begins anew"),
            ({"move": "kill_worker", "id": "w"}, "ended worker w"),
            *((move, f"proposed, as ask N: {looop.move_title(move)}") for move in OUTWARD),
        )
        self.assertLessEqual(
            set(looop.MOVES) - {"write_sensor", "push_branch"},
            {move["move"] for move, _ in moves},
            "a move has no row in this test",
        )
        for number, (move, fact) in enumerate(moves):
            pose = POSES[number % 3]
            line = self.beat({**move, "journal": pose}, notify="cat")
            shown = " ".join(pose.split())
            asked = looop.ask_numbers(looop.open_profile(self.env, looop.__file__), "asks")[-1:]
            self.assertEqual(line, f"{fact.replace('ask N', f'ask {max(asked, default=0)}')} — {shown}")

    def test_a_sensor_and_the_playbook(self):
        line = self.beat({"move": "write_sensor", "name": "s", "body": "#!/bin/sh\necho '{}'\n", "journal": POSES[0]})
        self.assertRegex(line, "^(wrote sensor s|proposed, as ask 1: a change of sensors/s.sh) — approved by you")
        line = self.beat({"move": "write_playbook", "body": "x", "journal": POSES[0]}, gate={"playbook": False})
        self.assertEqual(line, f"rewrote the PLAYBOOK — {POSES[0]}")

    def test_a_direct_runner_does_not_write_looops_line(self):
        for number, pose in enumerate(POSES):
            self.write("goals/a.md", f"{number}\n")
            self.runner(f"cat >/dev/null; printf '%s\\n' '- 2026-01-02 15:04 {pose}' >> journal.md", "direct")
            line = self.tick()["journal"]
            self.assertEqual(line, self.journal()[-1])
            self.assertRegex(line, r"^- .{16} fake acted")
            self.assertEqual(len(self.journal()), number + 1)

    def test_nor_does_one_that_fails(self):
        self.write("journal.md", "- 2026-01-01 00:00 before\n")
        self.runner(f"cat >/dev/null; echo '- 2026-01-02 15:04 {POSES[0]}' >> journal.md; exit 3", "direct")
        out = self.tick()
        self.assertEqual(out["outcome"], "failed")
        self.assertEqual(self.journal()[:-1], ["- 2026-01-01 00:00 before"])
        self.assertRegex(self.journal()[-1], "^- .{16} fake failed — approved by you")
        self.assertIn(POSES[0], self.read("runs", out["run"], "journal.txt"))

    def test_nothing_is_said_twice_and_the_line_is_bounded(self):
        self.assertEqual(self.beat({"move": "noop", "journal": "noop", "why": "x"}), "noop")
        self.assertEqual(self.beat({"move": "noop", "why": "all is well"}), "noop — all is well")
        self.assertEqual(
            self.beat(
                {"move": "shell", "command": "make test || true", "reversible": True, "journal": "Ran: make test"}
            ),
            "ran: make test || true",
        )
        line = self.beat({"move": "shell", "command": f"true {'x' * 900}", "reversible": True, "journal": "y" * 900})
        self.assertRegex(line, "^ran: true x+… — y+…$")
        self.assertLessEqual(len(line), 520)

    def test_no_half_of_a_secret_is_told(self):
        self.env["CI_TOKEN"] = secret = "abcdefgh12345678"
        for at in range(170, 200, 7):
            move = {
                "move": "shell",
                "command": f"true {'x' * at}{secret}",
                "reversible": True,
                "journal": f"z {secret}",
            }
            self.assertNotIn(secret[:4], self.beat(move))


PUSH = {"move": "shell", "command": "echo once >> ran; echo git push", "reversible": False, "journal": "all is well"}


class ProposalCase(Case):
    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})
        self.beats = 0

    def propose(self, move):
        """Have a beat propose a move; return the ask as its file has it."""
        self.replies(move)
        self.beats += 1
        self.write("goals/a.md", f"{self.beats}\n")
        out = self.tick()
        self.assertEqual(out["outcome"], "proposed", out)
        return self.json("asks", f"{self.beats}.json")

    def runner(self, command, mode="typed", unmetered=True, **more):
        """Make a command line the runner, which also starts workers."""
        runner = {"mode": mode, "tick": command, "interactive": "cat {{prompt_file}}", "unmetered": unmetered}
        self.config({"default": "fake", "runners": {"fake": runner}, **more})

    def swap(self, ask, **fields):
        """Rewrite a proposal's file, so that it shows what it would do, but not what was proposed."""
        swapped = {**ask, **fields, "move": {**ask["move"], **fields}}
        self.write(f"asks/{ask['n']}.json", json.dumps(swapped))

    def ran(self):
        return os.path.exists(self.path("ran"))

    def terminal(self, *words, rows=40, **env):
        """Run a verb in a terminal."""
        terminal = Terminal(150, rows)
        self.addCleanup(terminal.close)
        return terminal.run(self.command(*words), {**self.env, "TERM": "xterm", "NO_COLOR": "1", **env}, self.home)


class ExactBytes(ProposalCase):
    def test_the_digest_stands_wherever_a_yes_is_asked_for(self):
        notified = os.path.join(self.home, "notified")
        self.replies(PUSH)
        reply = os.path.join(self.home, "reply")
        self.runner(f"cat >/dev/null; cat {reply}", notify=f"cat >>{notified}")
        self.assertEqual(self.tick()["outcome"], "proposed")
        told = self.stderr
        self.assertIn("NEEDS YOU", told)
        digest = self.digest(1)
        self.assertRegex(digest, "^[0-9a-f]{8}$")
        step = f"looop approve 1 {digest}"
        self.assertIn(step, " ".join(told.split()))
        for words in (("asks",), ("asks", "1"), ("status",)):
            self.assertIn(step, " ".join(self.looop(*words).split()), words)
        with open(notified) as file:
            self.assertIn(step, file.read())
        self.assertNotIn(digest, self.read("asks", "1.json"), "it is computed from what is shown")
        self.write("goals/a.md", "more\n")
        self.replies({"move": "ask", "question": "Which?"})
        self.tick()
        self.assertIsNone(json.loads(self.looop("asks", "2", "--json"))[0]["digest"], "a question has none")

    def test_off_a_terminal_the_digest_is_demanded(self):
        self.propose(PUSH)
        digest = self.digest(1)
        self.looop("approve", "1", code=2)
        self.assertIn("looop asks 1", self.stderr)
        self.assertIn("looop approve 1 DIGEST", self.stderr)
        self.assertNotIn(digest, self.stderr)
        self.looop("approve", "1", "12345678", code=1)
        self.assertIn(
            "ask 1 is not what you saw: 12345678 is not its digest: `looop asks 1` shows it anew", self.stderr
        )
        self.assertNotIn(digest, self.stderr)
        self.assertFalse(self.ran())
        out = self.looop("approve", "1", digest.upper())
        self.assertIn(" approved by you (ask 1): ran echo once >> ran; echo git push — all is well\nexit 0\n", out)
        self.assertEqual(self.read("ran"), "once\n")
        self.assertEqual(self.journal()[-1][2:], out.splitlines()[0], "what was printed is what is journaled")

    def test_bytes_that_were_swapped_after_the_look_do_not_run(self):
        ask = self.propose(PUSH)
        seen = self.digest(1)
        self.swap(ask, command="touch ran")
        self.looop("approve", "1", seen, code=1)
        self.assertIn("ask 1 is not what you saw", self.stderr)
        self.looop("approve", "1", self.digest(1), code=1)
        self.assertIn(f"ask 1: is not what {ask['run']} proposed: it was changed since: looop reject 1", self.stderr)
        self.swap(ask, question="may I run the tests?", command=ask["command"])
        self.looop("approve", "1", seen, code=1)
        self.assertIn("ask 1 is not what you saw", self.stderr)
        self.assertFalse(self.ran())
        shutil.rmtree(self.path("runs", ask["run"]))
        self.swap(ask, command="touch ran")
        self.looop("approve", "1", seen, code=1)
        self.assertFalse(self.ran(), "the capsule is gone: the digest alone counts")
        self.approve(1)
        self.assertTrue(self.ran())

    def test_a_file_that_was_swapped(self):
        self.write("PLAYBOOK.md", "one\n")
        ask = self.propose({"move": "write_playbook", "body": "one\ntwo\n"})
        seen = self.digest(1)
        body = "one\nevil\n"
        diff = looop.text_diff("one\n", body, "PLAYBOOK.md")
        self.write("asks/1.json", json.dumps({**ask, "diff": diff, "move": {**ask["move"], "body": body}}))
        self.looop("approve", "1", seen, code=1)
        self.assertIn("ask 1 is not what you saw", self.stderr)
        self.approve(1, code=1)
        self.assertIn("proposed: it was changed since", self.stderr)
        self.write("asks/1.json", json.dumps({**ask, "base": looop.digest_of(b"other\n")}))
        self.looop("approve", "1", seen, "--force", code=1)
        self.assertIn("ask 1 is not what you saw", self.stderr, "the base is part of it")
        self.assertEqual(self.read("PLAYBOOK.md"), "one\n")

    def test_a_script_that_a_confined_command_rewrote_does_not_run(self):
        os.makedirs(self.path("reports"), exist_ok=True)
        self.write("reports/deploy.sh", "echo fine >> ran\n")
        for n, command in enumerate(
            ("sh reports/deploy.sh", "cd reports && sh deploy.sh", "sh $LOOOP_DATA_DIR/reports/deploy.sh"), 1
        ):
            self.write("reports/deploy.sh", "cd $LOOOP_DATA_DIR; echo fine >> ran\n")
            self.propose({"move": "shell", "command": command, "reversible": False})
            shown = self.looop("asks", str(n))
            self.assertIn("reports/deploy.sh, 1 line:\n      cd $LOOOP_DATA_DIR; echo fine >> ran\n", shown)
            self.assertEqual("reports: what it runs there can change until you approve" in shown, "cd" in command)
            self.assertIn(f"    $ {command}\n", shown)
            seen = self.digest(n)
            self.write("reports/deploy.sh", "touch evil\n")
            self.assertIn("reports/deploy.sh was changed since it was proposed", self.looop("asks", str(n)))
            self.looop("approve", str(n), seen, code=1)
            self.assertIn(f"ask {n}: reports/deploy.sh was changed since it was proposed", self.stderr)
            self.write("reports/deploy.sh", "cd $LOOOP_DATA_DIR; echo fine >> ran\n")
            self.looop("approve", str(n), seen)
            self.assertEqual(self.read("ran"), "fine\n" * n)
        self.propose({"move": "shell", "command": "sh reports/later.sh", "reversible": False})
        self.assertIn("reports/later.sh: it is not there", self.looop("asks", "4"))
        self.write("reports/later.sh", "touch evil\n")
        self.looop("approve", "4", self.digest(4), code=1)
        self.assertIn("reports/later.sh was changed since", self.stderr)
        os.symlink("../PLAYBOOK.md", self.path("reports/link"))
        self.propose({"move": "shell", "command": "sh reports/link", "reversible": False})
        self.assertIn("reports/link: what it runs there can change until you approve", self.looop("asks", "5"))
        os.symlink("..", self.path("reports/up"))
        self.propose({"move": "shell", "command": "sh reports/up/PLAYBOOK.md", "reversible": False})
        self.assertIn("reports/up/PLAYBOOK.md: what it runs there can change", self.looop("asks", "6"))
        ask = self.propose({"move": "write_sensor", "name": "s", "body": "git push; sh reports/x.sh\n"})
        self.assertIn(
            "(it looks irreversible: git push; confined commands can change reports/x.sh at any", ask["question"]
        )

    def test_a_playbook_that_was_put_back_is_what_its_run_proposed(self):
        self.replies({"move": "shell", "command": "echo push freely >PLAYBOOK.md", "reversible": True})
        self.config({**self.settings(), "gate": {"shell": "never"}})
        self.tick()
        self.approve(1)
        self.assertEqual(self.read("PLAYBOOK.md"), "push freely\n")

    def settings(self):
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            return json.load(file)

    def test_a_worker_is_shown_whole(self):
        """What a proposal would do is more than the check for which it is asked."""
        self.propose({"move": "start_worker", "id": "w", "prompt": "fix it\nverify: true", "verify": "git push"})
        shown = self.looop("asks")
        for line in ("start_worker", "id: w", "prompt:", "  fix it", "  verify: true", "verify: git push"):
            self.assertIn(f"\n    {line}\n", shown)
        self.write("asks/1.json", json.dumps({**self.json("asks/1.json"), "text": "start_worker\nid: w\nprompt: rest"}))
        self.approve(1, code=1)
        self.assertIn("would do something else than it shows", self.stderr)


@heavy
class OnATerminal(ProposalCase):
    def asked(self, *words, **options):
        terminal = self.terminal("approve", "1", *words, **options)
        terminal.wait_text("go on? [y/N]")
        self.assertFalse(self.ran())
        return terminal

    def test_yes(self):
        self.propose(PUSH)
        terminal = self.asked()
        self.assertIn("    $ echo once >> ran; echo git push\n", terminal.text())
        terminal.type(b"y\r")
        self.assertEqual(terminal.end(), 0)
        self.assertIn("approved by you (ask 1): ran echo once >> ran; echo git push — all is well", terminal.text())
        self.assertEqual(self.read("ran"), "once\n")

    def test_whatever_is_no_yes(self):
        self.propose(PUSH)
        for typed, code in ((b"n\r", 1), (b"\r", 1), (b"maybe\r", 1), (b"\x04", 1), (b"\x03", 130)):
            terminal = self.asked()
            terminal.type(typed)
            try:
                terminal.process.wait(5)
            except subprocess.TimeoutExpired:  # Python blocks in read(2) when a signal came just before it
                terminal.type(typed)
            self.assertEqual(terminal.end(), code, (typed, terminal.text()))
            self.assertFalse(self.ran(), typed)
        self.assertEqual(json.loads(self.looop("asks", "--json"))[0]["state"], "open")

    def test_with_the_digest_nothing_is_asked(self):
        self.propose(PUSH)
        terminal = self.terminal("approve", "1", self.digest(1))
        self.assertEqual(terminal.end(), 0, terminal.text())
        self.assertNotIn("y/N", terminal.text())
        self.assertTrue(self.ran())

    def test_a_pipe_is_no_terminal(self):
        self.propose(PUSH)
        script = "looop approve 1 | cat; echo y | looop approve 1"
        terminal = Terminal(150, 40)
        self.addCleanup(terminal.close)
        terminal.run(["sh", "-c", script], {**self.env, "TERM": "xterm"}, self.home)
        self.assertEqual(terminal.end(), 2)
        self.assertEqual(terminal.text().count("this is not a terminal"), 2)
        self.assertFalse(self.ran())

    def test_bytes_that_are_swapped_while_it_asks_do_not_run(self):
        ask = self.propose(PUSH)
        terminal = self.asked()
        self.swap(ask, command="touch ran")
        terminal.type(b"y\r")
        self.assertEqual(terminal.end(), 1)
        self.assertIn("ask 1 is not what you saw", terminal.text())
        self.assertFalse(self.ran())

    def test_what_is_long_or_cannot_be_seen(self):
        self.propose(
            {**PUSH, "command": "touch ran; git push\n" + "\n" * 120 + "echo a\u202eb\x1b[2J\n" + "true\n" * 3}
        )
        terminal = self.asked()
        text = terminal.text(past=True)
        self.assertIn("125 lines, ", text)
        self.assertIn("(118 more blank lines)", text)
        self.assertIn("echo a\\u202eb\\x1b[2J", text)
        self.assertLess(text.index("125 lines"), text.index("$ touch ran"))
        self.assertIn("touch ran", terminal.text(), "the top is not pushed out of sight")
        self.assertIn("(118 more blank lines)", self.looop("asks"), "asks shows the same")

    def test_a_diff_is_the_one_that_would_be_made_now(self):
        self.write("PLAYBOOK.md", "one\n")
        self.propose({"move": "write_playbook", "body": "one\ntwo\n"})
        self.write("PLAYBOOK.md", "one\nthe person's\n")
        terminal = self.terminal("approve", "1")
        self.assertEqual(terminal.end(), 1)
        self.assertIn("approving would write over it", terminal.text())
        terminal = self.asked("--force")
        self.assertIn("    -the person's\n    +two\n", terminal.text())
        terminal.type(b"y\r")
        self.assertEqual(terminal.end(), 0, terminal.text())
        self.assertEqual(self.read("PLAYBOOK.md"), "one\ntwo\n")


CLEAN = "env -u LOOOP_CHILD -u LOOOP_RUN_ID -u LOOOP_SESSION_ID"


class WhoSpeaks(ProposalCase):
    """The chain of parents: who is below a worker or a beat is no person, whatever its environment says."""

    def setUp(self):
        super().setUp()
        self.propose(PUSH)
        self.yes = f"looop approve 1 {self.digest(1)}"
        self.out = os.path.join(self.home, "out")

    def worker(self, script, own=False):
        """Run a script in a session, a worker's or a person's own, and return what it printed."""
        path = os.path.join(self.home, "script.sh")
        with open(path, "w") as file:
            file.write(script)
        words = () if own else ("--verify", "true")
        command = f"sh {path} >{self.out}.part 2>&1; mv {self.out}.part {self.out}; cat"
        self.looop("start-session", "w", "--command", command, *words)
        wait_until(lambda: os.path.exists(self.out), "the script")
        with open(self.out) as file:
            return file.read()

    def test_a_worker_with_a_clean_environment(self):
        said = self.worker(f"{CLEAN} {self.yes}; {CLEAN} looop answer 1 x; {CLEAN} looop init builtin")
        for verb in ("approve", "answer", "init"):
            self.assertIn(f"looop: {verb}: only a person may run it (it descends from worker w)", said)
        self.assertFalse(self.ran())
        self.assertEqual(json.loads(self.looop("asks", "--json"))[0]["state"], "open")

    @needs("setsid")
    @unittest.skipUnless(os.path.isdir("/proc/self"), "a double fork is followed on Linux alone")
    def test_a_worker_that_leaves_its_group_and_its_parent(self):
        bare = f"env -i HOME={self.home} PATH={self.bin} LOOOP_DATA_DIR={self.data} setsid"
        said = self.worker(
            f"setsid {CLEAN} {self.yes} >one 2>&1; "
            f"(({bare} sh -c 'sleep 0.2; {self.yes} >two 2>&1; mv two three') &) & wait;"
            "until test -e three; do sleep 0.05; done; cat one three"
        )
        self.assertEqual(said.count("looop: approve: only a person may run it (it descends from worker w)"), 2, said)
        self.assertFalse(self.ran())

    def test_a_worker_that_makes_a_session_of_a_persons_own(self):
        self.looop("start-session", "mine", "--command", "sh")
        said = self.worker(
            f"{CLEAN} looop start-session x --cwd . --command '{self.yes} >x.out 2>&1; mv x.out x.done; cat';"
            "until test -e x.done; do sleep 0.05; done; cat x.done;"
            f"{CLEAN} looop send mine '{self.yes}'; {CLEAN} looop key mine Enter"
        )
        self.assertIn("approve: only a person may run it", said)
        self.assertIn("looop: send: mine: is the person's own session", said)
        self.assertIn("looop: key: mine: is the person's own session", said)
        self.assertEqual({row["id"]: row["kind"] for row in json.loads(self.looop("ls", "--json"))}["x"], "worker")
        self.assertFalse(self.ran())

    @needs("unshare")
    @unittest.skipUnless(os.path.isdir("/proc/self"), "namespaces are Linux's")
    def test_a_worker_in_a_namespace_of_its_own(self):
        unshare = shutil.which("unshare")
        if subprocess.run([unshare, "-Urpf", "true"], check=False, capture_output=True).returncode:
            self.skipTest("no user namespaces here")
        said = self.worker(f"{CLEAN} {unshare} -Urpf {self.yes}")
        self.assertIn("looop: approve: only a person may run it (it descends from worker ", said)
        self.assertFalse(self.ran())

    def test_a_worker_that_calls_itself_the_interview(self):
        command = " ".join([*map(looop.quoted, self.command()), "_interview"])
        self.looop("start-session", "setup", "--command", command, env={"LOOOP_CHILD": "1"})
        self.assertIn("setup: only a person may run it", self.worker("LOOOP_SESSION_ID=setup looop setup"))

    def test_a_session_of_a_persons_own(self):
        self.assertIn("approved by you (ask 1): ran ", self.worker(self.yes, own=True))
        self.assertTrue(self.ran())

    def test_another_loop_is_not_this_ones(self):
        """A worker may work on a project that runs looop in its tests: only its own loop knows it."""
        other = os.path.join(self.home, "other")
        said = self.worker(f"{CLEAN} LOOOP_DATA_DIR={other} looop tick --runner builtin")
        self.assertNotIn("only a person", said)
        self.assertTrue(os.path.exists(os.path.join(other, "state.json")))

    @needs("setsid")
    @unittest.skipUnless(os.path.isdir("/proc/self"), "a double fork is followed on Linux alone")
    def test_below_a_beat(self):
        """A runner, a sensor and a move that nothing confines: none of them approves with a clean environment."""
        told, done = os.path.join(self.home, "told"), os.path.join(self.home, "done")
        tried = f"{CLEAN} {self.yes} >>{told} 2>&1"
        command = f"{tried}; ((setsid sh -c '{tried}; touch {done}') &) & until test -e {done}; do sleep 0.05; done"
        self.sensor("s", f"{tried}; echo '{{}}'")
        self.replies({"move": "shell", "command": command, "reversible": True})
        reply = os.path.join(self.home, "reply")
        self.runner(f"cat >/dev/null; {tried}; cat {reply}", gate={"shell": "never"})
        self.assertEqual(self.tick()["outcome"], "acted")
        with open(told) as file:
            said = file.read()
        self.assertEqual(said.count("approve: only a person may run it (it descends from a beat: pid "), 4, said)
        self.assertFalse(self.ran())

    def test_below_an_approved_move(self):
        self.propose({**PUSH, "command": f"{CLEAN} {self.yes} # git push"})
        said = self.approve(2)
        self.assertIn("looop: approve: only a person may run it (it descends from a beat: pid ", said)
        self.assertFalse(self.ran())

    def test_a_worker_cannot_end_the_days_budget_with_a_number(self):
        adds = "; ".join(f"{CLEAN} looop cost add session w r {money}" for money in ("99999", "10", "unknown"))
        said = self.worker(adds)
        self.assertIn("looop: cost add: $99999.00 is more than the budget of a day: a worker may report $10.00", said)
        self.assertEqual([row["cost_usd"] for row in self.ledger() if row["kind"] == "session"], [10.0, None])
        self.looop("cost", "add", "session", "w", "r", "99999")

    @needs("ps")
    def test_without_proc(self):
        """Where there is no /proc, ps(1) tells the chain, and the store who supervises."""
        here = looop.ancestors()
        with mock.patch("looop.os.path.isdir", lambda path: False):
            listed = looop.ancestors()
        self.assertEqual(list(listed), list(here))
        self.assertEqual(set(listed.values()), {b""})
        self.looop("start-session", "w", "--command", "cat", "--verify", "true")
        self.looop("start-session", "mine", "--command", "cat")
        profile = looop.open_profile(self.env, looop.__file__)
        for name, found in (("w", "w"), ("mine", "")):
            pid = self.json("sessions", name, "meta.json")["pid"]
            self.assertEqual(looop.session_above(profile, {**listed, pid: b""}), found)
            self.assertEqual(looop.session_above(profile, {**listed, pid: b"", 1: b"init"}), "")
