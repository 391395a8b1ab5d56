"""Undo: each move taken back, byte by byte; refused where something was edited since; told to the decider."""

import json
import os
import subprocess

import looop
from tests.support import Case, heavy, wait_until


class Undone(Case):
    def undo(self, *words, code=0):
        return self.looop("undo", *words, "--yes", code=code)

    def files(self):
        return self.tree(
            ("journal", "events", "runs", "state", "asks", ".", "playbook.d", "snapshots", "sessions", "cost")
        )

    def there_and_back(self, reply):
        """Make a move, take it back, and do it again by undoing the undo; each time the files are as they were."""
        before = self.files()
        self.beat(reply)
        before["goals/a.md"] = self.read("goals/a.md").encode()
        after = self.files()
        self.assertNotEqual(before, after)
        self.undo()
        self.assertEqual(self.files(), before)
        for files in (after, before):
            self.undo(self.runs_of("undo")[-1])
            self.assertEqual(self.files(), files)

    def last(self):
        return json.loads(self.looop("history", "-n", "1", "--json"))[0]["run"]

    def runs_of(self, move):
        rows = json.loads(self.looop("history", "-n", "100", "--json"))
        return [row["run"] for row in reversed(rows) if row["move"] == move]


class Files(Undone):
    @heavy
    def test_goals_sensors_and_the_playbook(self):
        self.profile(goals={"a": "a\n", "old": "ältere\r\nno end"}, sensors={"ci": "echo '{}'"})
        self.gate = {"shell": "never", "playbook": False}
        for reply in (
            {"move": "write_goal", "id": "new", "body": "x"},
            {"move": "write_goal", "id": "old", "body": "x"},
            {"move": "archive_goal", "id": "old"},
            {"move": "write_sensor", "name": "ci", "body": "#!/bin/sh\necho '{\"signal\":2}'"},
            {"move": "write_sensor", "name": "cd", "body": "#!/bin/sh\necho '{\"signal\":2}'"},
            {"move": "write_playbook", "body": "# Mine now"},
        ):
            with self.subTest(reply):
                self.there_and_back(reply)
        self.looop("sensor", "list")
        self.assertEqual(os.stat(self.path("sensors/ci.sh")).st_mode & 0o777, 0o700)
        origins = looop.read_origins(looop.open_profile(self.env, "looop")).known
        self.assertEqual(origins["ci"].by, "person")

    def test_an_approved_move_and_a_question(self):
        self.profile(goals={"a": "a\n"})
        self.beat({"move": "write_playbook", "body": "# Mine now"})
        self.approve(1)
        self.undo(self.last(), "no,", "mine")
        self.assertEqual(self.read("PLAYBOOK.md"), "# PLAYBOOK\n")
        self.assertIn("undone by you: approved by you (ask 1): rewrote the PLAYBOOK — no, mine", self.journal()[-1])
        self.undo(code=1)
        self.assertIn("there is nothing to undo", self.stderr)
        run = self.beat({"move": "ask", "question": "Which?"})["run"]
        number = json.loads(self.looop("asks", "--json"))[-1]["n"]
        self.assertIn(f"withdraw ask {number}: Which?", self.undo(run))
        self.assertEqual([ask["n"] for ask in json.loads(self.looop("asks", "--json")) if ask["state"] == "open"], [])
        self.undo(self.runs_of("undo")[-1])
        self.assertEqual(
            [ask["n"] for ask in json.loads(self.looop("asks", "--json")) if ask["state"] == "open"], [number]
        )
        self.looop("answer", str(number), "this")
        self.undo(run, code=1)
        self.assertIn("was answered already (this)", self.stderr)

    def test_what_was_edited_since_is_left_as_it_is(self):
        self.profile(goals={"a": "a\n"})
        run = self.beat({"move": "write_goal", "id": "new", "body": "x"})["run"]
        self.write("goals/new.md", "x\nand more\n")
        before = self.tree()
        self.undo(code=1)
        self.assertIn("goals/new.md was edited since: nothing was undone", self.stderr)
        self.assertEqual(self.tree(), before)
        self.write("goals/new.md", "x\n")
        self.undo(run)
        undo = self.runs_of("undo")[-1]
        self.undo(run, code=1)
        self.assertIn(f"{run}: was undone already: `looop undo {undo}` does it again", self.stderr)
        self.undo(code=1)
        self.assertIn("there is nothing to undo", self.stderr)

    def test_a_move_that_may_have_happened(self):
        """A beat was killed in its move: what its files say counts."""
        self.profile(goals={"a": "a\n", "b": "b\n"})
        run = self.beat({"move": "archive_goal", "id": "b"})["run"]
        path = os.path.join("runs", run, "result.json")
        self.write(path, json.dumps({**self.json(path), "outcome": "interrupted"}))
        self.assertIn("restore goals/b.md", self.undo(run))
        self.assertEqual(self.read("goals/b.md"), "b\n")
        again = os.path.join("runs", run, "undone.json")
        os.unlink(self.path(again))
        self.assertIn("leave goals/b.md, which is as it was before", self.undo(run))
        self.assertEqual(len(list(looop.rejections(looop.open_profile(self.env, "looop"), 0.0))), 1)

    def test_the_decider_is_told_and_does_not_do_it_again(self):
        self.profile(goals={"a": "a\n"})
        move = {"move": "write_goal", "id": "new", "body": "x"}
        self.beat(move)
        self.undo(self.last(), "not", "now")
        done = self.tick()
        self.assertEqual((done["outcome"], done["reason"]), ("refused", "ask 1 was rejected: undone: not now"))
        self.assertIn("your move of tick-", self.prompt())
        self.assertIn("rejected: undone: not now", self.prompt())
        self.assertFalse(os.path.exists(self.path("goals/new.md")))
        self.undo(self.runs_of("undo")[-1])
        self.assertEqual(self.read("goals/new.md"), "x\n")
        self.assertEqual(self.beat(move)["outcome"], "acted")

    def test_a_person_alone_undoes_and_says_yes(self):
        self.profile(goals={"a": "a\n"})
        self.looop("undo", code=1)
        self.assertIn("there is nothing to undo: no move was made yet: `looop tick` runs one beat", self.stderr)
        self.beat({"move": "write_goal", "id": "new", "body": "x"})
        self.looop("undo", code=1)
        self.assertIn("undo: nobody is there to say yes, so nothing was touched", self.stderr)
        self.looop("undo", "--yes", env={"LOOOP_CHILD": "1", "LOOOP_RUN_ID": self.last()}, code=1)
        self.assertIn("only a person may run it", self.stderr)
        self.assertEqual(self.read("goals/new.md"), "x\n")


class Repository(Undone):
    git = True

    def test_the_tree_of_the_commit_is_the_one_before(self):
        self.profile(goals={"a": "a\n"})
        self.replies({"move": "noop"})
        self.tick()

        def tree():
            command = ["git", "-C", self.data, "ls-tree", "-r", "HEAD"]
            out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
            return [line for line in out.splitlines() if not line.endswith("journal.md")]

        before = tree()
        self.replies({"move": "write_goal", "id": "new", "body": "x"})
        self.tick(words=("run", "a"))
        self.assertNotEqual(tree(), before)
        self.undo()
        self.assertEqual(tree(), before)
        log = subprocess.run(["git", "-C", self.data, "log", "--format=%s"], stdout=subprocess.PIPE, check=True)
        self.assertEqual(log.stdout.decode().splitlines()[:2], ["undone by you: wrote goal new", "wrote goal new"])


class Commands(Undone):
    def test_a_command_is_taken_back_by_its_undo_alone(self):
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "a\n"})
        self.beat(
            {"move": "shell", "command": "touch reports/x", "reversible": True, "undo": "rm reports/x; echo gone"}
        )
        out = self.undo()
        self.assertIn("run: rm reports/x; echo gone\n", out)
        self.assertIn("gone", out.splitlines()[-1])
        self.assertFalse(os.path.exists(self.path("reports/x")))
        self.assertIn("undone by you: ran: touch reports/x", self.journal()[-1])
        run = self.beat({"move": "shell", "command": "touch reports/y", "reversible": True})["run"]
        self.undo(run, code=1)
        self.assertIn("cannot be undone: the decider declared no `undo` with it: ran: touch reports/y", self.stderr)
        self.beat({"move": "noop"})
        self.undo(self.last(), code=1)
        self.assertIn("did nothing: noop", self.stderr)

    def test_its_undo_passes_the_same_verdicts(self):
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "a\n"})
        move = {"move": "shell", "command": "touch reports/x", "reversible": True, "undo": "rm -r reports/x"}
        run = self.beat(move)["run"]
        self.gate = {"deny": ["rm *"]}
        self.replies({"move": "noop"})
        self.undo(run, code=1)
        self.assertIn("gate.deny: rm *", self.stderr)
        self.gate = {}
        self.replies({"move": "noop"})
        out = self.undo(run)
        self.assertIn("propose: rm -r reports/x\n", out)
        self.assertIn("proposed, as ask 1: rm -r reports/x", out)
        self.assertTrue(os.path.exists(self.path("reports/x")))
        self.approve(1)
        self.assertFalse(os.path.exists(self.path("reports/x")))


class Workers(Undone):
    @heavy
    def test_a_worker_that_was_started_and_one_that_was_ended(self):
        self.profile(goals={"a": "a\n"})
        self.replies({"move": "noop"})
        worker = {"interactive": "cat {{prompt_file}}; sleep 1000"}
        start = {"move": "start_worker", "id": "w1", "prompt": "do"}
        path = os.path.join(self.home, "reply")
        self.runner(f"cat >/dev/null; cat {path}", **worker)
        with open(path, "w") as file:
            file.write(json.dumps(start))
        self.tick()
        self.looop("claim", "issue-1", "--session", "w1")

        def state():
            return {one["id"]: (one["alive"], one["claims"]) for one in json.loads(self.looop("ls", "--json"))}

        self.assertEqual(state(), {"w1": (True, ["issue-1"])})
        out = self.undo()
        self.assertIn("end worker w1, and release its claims: issue-1", out)
        self.assertEqual(state(), {"w1": (False, [])})
        again = self.runs_of("undo")[-1]
        self.undo(again)
        wait_until(lambda: state() == {"w1": (True, ["issue-1"])}, "the worker and its claim")
        with open(path, "w") as file:
            file.write('{"move":"kill_worker","id":"w1"}')
        self.write("goals/a.md", "kill it\n")
        self.tick()
        self.assertEqual(state()["w1"][0], False)
        self.undo()
        self.assertEqual(state(), {"w1": (True, ["issue-1"])})
        self.looop("kill", "w1")
        self.undo(self.runs_of("undo")[-1], code=1)
        self.assertIn("worker w1 has ended since", self.stderr)

    @heavy
    def test_a_worker_with_a_check_is_not_started_again(self):
        self.profile(goals={"a": "a\n"})
        os.mkdir(self.path("reports"), 0o700)
        self.write("reports/check.sh", "exit 0\n")
        worker = {"interactive": "cat {{prompt_file}}; sleep 1000"}
        self.replies({"move": "start_worker", "id": "w1", "prompt": "do", "verify": "sh reports/check.sh"}, **worker)
        self.assertEqual(self.tick()["outcome"], "proposed")
        self.approve(1)
        self.undo()
        self.assertEqual(self.tick()["outcome"], "refused")
        self.write("reports/check.sh", "exit 1\n")
        self.write("goals/a.md", "b\n")
        self.assertEqual(self.tick()["outcome"], "proposed", "its check is another one")
