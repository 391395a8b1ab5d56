"""The prompt, value by value: what a capsule keeps of the world, and the sections that are made of it."""

import json
import os
import unittest

import looop
from tests.support import Case

NOW = {"mode": "typed", "forced": "", "journal": ["12:00 noop"], "now": "2026-01-02 03:04"}
STATE = {"baseline": {}, "hash": "", "shell": None, "failure": None, "interrupted": ""}


def reading(name, text, **more):
    return looop.Reading(name, "ok", text, "d", 0.1, 0.0, **more)


def world(**changes):
    """Return a world with something of everything in it, and what else is given."""
    claims = [looop.Claim("issue-1", "w", 0.0, None, "held"), looop.Claim("issue-2", "", 0.0, None, "held")]
    fields = {
        "items": {"goal:b": looop.Item("new", "1 line, 2 bytes")},
        "hash": "h",
        "playbook": ("ok", "be kind\n"),
        "goals": {"a": ("ok", "do a\n"), "b": ("unreadable: gone", "")},
        "readings": {r.name: r for r in (reading("ci", b'{"ok":1}', trusted=True), reading("disk", b"\xff", streak=5))},
        "workers": [{"id": "w", "state": "running"}],
        "asks": [{"n": 3, "kind": "ask", "state": "open", "question": "which?", "options": ["x", "y"]}],
        "stamps": {},
        "claims": claims,
    }
    return looop.World(**{**fields, **changes})


def sections(inputs):
    return dict(looop.prompt_sections(inputs))


class Inputs(unittest.TestCase):
    def test_what_a_capsule_keeps(self):
        state = {**STATE, "failure": {"count": 2, "reason": "no JSON", "reply": "hm", "at": 5.0}}
        inputs = looop.prompt_inputs(world(), state, **NOW)
        self.assertEqual(
            inputs,
            {
                **NOW,
                "playbook": ["ok", "be kind\n", 8],
                "goals": [["a", "ok", "do a\n"], ["b", "unreadable: gone", ""]],
                "asks": world().asks,
                "workers": [{"id": "w", "state": "running"}],
                "claims": [["issue-1", "held by w"], ["issue-2", "held by ?"]],
                "readings": [["ci", "trusted", '{"ok":1}'], ["disk", "untrusted", "\ufffd"]],
                "left_out": {},
                "changes": [],
                "first": True,
                "shell": None,
                "flapping": ["disk"],
                "failure": {"count": 2, "reason": "no JSON", "reply": "hm"},
                "interrupted": "",
            },
        )
        self.assertEqual(json.loads(json.dumps(inputs)), inputs)

    def test_what_no_prompt_can_show_is_counted_and_not_kept(self):
        text = "w" * 30000
        inputs = looop.prompt_inputs(world(goals=dict.fromkeys("abcd", ("ok", text))), STATE, **NOW)
        self.assertEqual([len(shown) for _, _, shown in inputs["goals"]], [30000, 30000, 0, 0])
        self.assertEqual(inputs["left_out"], {"GOALS": 60000})
        prompt, cuts = looop.build_prompt(inputs)
        self.assertEqual(list(cuts), ["GOALS"])
        self.assertGreater(cuts["GOALS"], 60000)
        self.assertIn("bytes cut here", prompt)

    def test_the_forced_goal_comes_first(self):
        goals = looop.prompt_inputs(world(), STATE, **{**NOW, "forced": "b"})["goals"]
        self.assertEqual([goal for goal, _, _ in goals], ["b", "a"])

    def test_what_changed_since_the_last_decision(self):
        state = {**STATE, "hash": "h", "baseline": {"goal:b": {"digest": "old", "value": "2 lines, 9 bytes"}}}
        inputs = looop.prompt_inputs(world(), state, **NOW)
        self.assertEqual(inputs["changes"], [{"kind": "goal", "told": "goal b changed", "edit": ""}])
        self.assertFalse(inputs["first"])

    def test_bodies_are_kept_as_far_as_they_can_be_shown(self):
        long = "é" * looop.PROMPT_MAX
        inputs = looop.prompt_inputs(world(playbook=("ok", long), goals={"a": ("ok", long)}), STATE, **NOW)
        _, playbook, size = inputs["playbook"]
        self.assertEqual((len(playbook), size), (looop._BUDGETS["PLAYBOOK"], 2 * looop.PROMPT_MAX))
        self.assertEqual(len(inputs["goals"][0][2]), looop._BUDGETS["GOALS"])


class Sections(unittest.TestCase):
    def test_each_in_its_order(self):
        found = sections(looop.prompt_inputs(world(), STATE, **NOW))
        self.assertEqual(
            list(found.items()),
            [
                ("PLAYBOOK", "be kind\n"),
                ("GOALS", "- a\n  | do a\n- b\n  | [unreadable: gone]\n"),
                ("ASKS AND ANSWERS", "- ask 3\n  | ask, open\n  | question: which?\n  | options: x, y\n"),
                ("WORKERS", "- w: Task: not known\n"),
                ("CLAIMS", "- issue-1: held by w\n- issue-2: held by ?\n"),
                ("SENSOR READINGS", '- ci (trusted data): {"ok":1}\n- disk (untrusted data): \ufffd\n'),
                ("RECENT JOURNAL", "12:00 noop"),
                ("WORKERS NOW", "- w: running\n"),
                (
                    "WHAT CHANGED SINCE THE LAST DECISION",
                    "This is the first decision: everything is new.\n",
                ),
                ("FLAPPING", "changed on 5 beats in a row or more: disk\n"),
            ],
        )

    def test_those_that_are_not_always_there(self):
        inputs = looop.prompt_inputs(
            world(readings={}),
            {
                **STATE,
                "hash": "h",
                "baseline": looop.baseline_of(world().items),
                "shell": {"command": "make", "ended": "exit 2", "output": "no rule\n"},
                "failure": {"count": 1, "reason": "no JSON", "reply": "hm"},
                "interrupted": "a beat was killed\n",
            },
            **NOW,
        )
        inputs["because"] = "it is time"
        found = sections(inputs)
        self.assertEqual(
            list(found.items())[-4:],
            [
                ("WHAT CHANGED SINCE THE LAST DECISION", "nothing. You are asked again: it is time\n"),
                ("RESULT OF THE LAST SHELL MOVE", "$ make\nexit 2\nno rule\n"),
                ("INTERRUPTED", "a beat was killed\n"),
                ("LAST FAILURE", "no JSON (1 failure in a row)\nhm"),
            ],
        )
        self.assertNotIn("FLAPPING", found)
        told = [{"kind": "goal", "told": f"goal {goal}", "edit": ""} for goal in ("a is new", "b was removed")]
        inputs.update(changes=told, playbook=["absent", "", 0])
        del inputs["claims"]  # a capsule of a looop that told none
        found = sections(inputs)
        self.assertEqual(found["WHAT CHANGED SINCE THE LAST DECISION"], "- goal a is new\n- goal b was removed\n")
        self.assertEqual(found["PLAYBOOK"], "[absent]\n")
        self.assertNotIn("CLAIMS", found)


class Workers(unittest.TestCase):
    """What is told of workers and reports: what stays the same early, what moves late, and whose words it is."""

    worker = {
        **{"id": "w1", "runner": "pi", "task": "make it pass", "command": "make test", "tainted": False, "new": True},
        **{"state": "running", "how": "flagged, 40 m old", "flag": "help", "screen": "a > b\n- w2: done"},
        "report": {"name": "w1.md", "size": "34 lines", "first": "# Found", "new": True},
    }

    def test_a_worker_stands_in_two_places(self):
        name, brief = looop.worker_brief(self.worker)
        self.assertEqual((name, brief), ("w1 (pi)", 'Task: "make it pass"\nverify: make test'))
        inputs = looop.prompt_inputs(world(workers=[self.worker]), STATE, **NOW)
        found = sections(inputs)
        self.assertEqual(
            found["WORKERS NOW"],
            '- w1: flagged, 40 m old. reports/w1.md: 34 lines: "# Found"\n'
            "  | flag: help\n  | screen:\n  | a > b\n  | - w2: done\n",
        )
        order = list(found)
        self.assertLess(order.index("WORKERS"), order.index("SENSOR READINGS"))
        self.assertLess(order.index("RECENT JOURNAL"), order.index("WORKERS NOW"))

    def test_old_words_are_left_out_where_nothing_else_taints(self):
        inputs = looop.prompt_inputs(world(workers=[self.worker], asks=[], readings={}), STATE, **NOW)
        inputs["reports"] = [{"name": "x.md", "size": "1 line", "first": "obey", "new": True}]
        sources = ["the flag of w1", "the screen of w1", "the report of w1", "reports/x.md"]
        self.assertEqual(looop.tainted(inputs), sources)
        calm = {**self.worker, "flag": None, "new": False, "tainted": True}
        calm["report"] = {**self.worker["report"], "new": False}
        inputs.update(workers=[calm], reports=[{**inputs["reports"][0], "new": False}])
        self.assertEqual(looop.tainted(inputs), [])
        clean = looop.without_old_words(inputs)
        text = looop.build_prompt(clean)[0]
        for words in ("a > b", "# Found", "obey", "make it pass"):
            self.assertNotIn(words, text)
        self.assertIn("reports/x.md: 1 line\n", text)

    def test_an_ask_names_its_worker_and_says_whose_the_answer_is(self):
        ask = {"n": 3, "kind": "ask", "state": "open", "session": "w1", "question": "may I?", "waits": True}
        self.assertEqual(looop.ask_title(ask), "ask 3 of w1")
        self.assertEqual(looop.ask_text(ask), "ask, open: the person answers the worker\nquestion: may I?")
        done = {**ask, "session": None, "waits": False, "state": "answered", "answer": "no\nanswer: yes"}
        self.assertEqual(
            looop.ask_text(done).split("\n"),
            [
                "ask, answered: shown once; what outlasts this move goes into a goal",
                "question: may I?",
                *("answer:", "> no", "> answer: yes"),
            ],
        )


class Journal(unittest.TestCase):
    def lines(self, *words):
        return [f"- 2026-01-02 03:{n:02} {text}" for n, text in enumerate(words)]

    def test_of_noops_three_and_repeats_are_one(self):
        lines = self.lines("ran: x", "noop — a", "noop — b", "noop — c", "wrote goal g", "noop — d", "noop — d", "noop")
        self.assertEqual(looop.folded_journal(lines), [(0, 1), (3, 1), (4, 1), (6, 2), (7, 1)])
        many = self.lines(*(f"ran: {n}" for n in range(30)))
        self.assertEqual([index for index, _ in looop.folded_journal(many)], list(range(10, 30)))
        self.assertEqual(looop.folded_journal([]), [])
        self.assertEqual(looop.folded_journal(self.lines("noopsled")), [(0, 1)])

    def test_the_changed_lines_of_a_text(self):
        old = "# g\n\nby Friday\nno tag\n"
        self.assertEqual(
            looop.edited_lines(old, old.replace("Friday", "Monday") + "ask me\n"), "-by Friday\n+by Monday\n+ask me"
        )
        self.assertEqual(looop.edited_lines("", "\n".join(map(str, range(40)))).split("\n")[-1], "… 17 more lines")
        self.assertEqual(
            looop.change_line({"kind": "goal", "told": "goal g changed", "edit": "-a\n+- goal h was removed"}),
            "- goal g changed\n  | -a\n  | +- goal h was removed\n",
        )


class Shown(Case):
    """What a decider is shown over some beats, in prompts as they were sent."""

    def section(self, name):
        return self.prompt().partition(f"\n# {name}\n")[2].partition("\n\n# ")[0]

    def test_a_worker_from_its_start_to_its_end(self):
        self.profile(goals={"a": "0\n"})
        self.beat({"move": "noop"})
        self.looop("start-session", "w1", "Make it\npass", "--command", "echo all done; sleep 100")
        self.write("reports/w1.md", "\n# Found it\nmore\n")
        self.write("reports/x.md", "obey\n")
        os.mkfifo(self.path("reports/pipe"))
        os.symlink("/etc/passwd", self.path("reports/link"))
        self.looop("flag", "w1", "which?")
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertEqual(self.section("WORKERS"), '| - w1: Task: "Make it pass"')
        now = self.section("WORKERS NOW")
        self.assertRegex(now, r'^\| - w1: flagged, (?:idle \d+ s, )?\d+ s old. reports/w1.md: 3 lines: "# Found it"\n')
        self.assertIn("|   | flag: which?\n|   | screen:\n|   | all done", now)
        self.assertEqual(self.section("REPORTS"), '| - reports/x.md: 1 line: "obey"')
        taint = self.json("runs", self.events("decide_start")[-1]["run"], "wake.json")["taint"]
        for source in ("the flag of w1", "the screen of w1", "the report of w1", "reports/x.md"):
            self.assertIn(source, taint)
        self.looop("unflag", "w1")
        self.assertEqual(self.tick()["outcome"], "noop")
        self.looop("ask", "may I?", "--session", "w1", "--timeout", "100ms", code=124)
        self.assertEqual(self.tick()["outcome"], "unchanged", "who answers is the person")
        self.beat()
        self.assertIn("- ask 1 of w1\n|   | ask, open: the person answers the worker\n", self.prompt())
        self.assertRegex(self.section("WORKERS NOW"), r"^\| - w1: asking \(ask 1\), \d+ s old")
        self.looop("answer", "1", "yes, do")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertRegex(self.journal()[-1], r"^- \S+ \S+ ask 1 of w1 answered: yes, do$")
        self.looop("ask", "and now?", "--session", "w1", "--timeout", "100ms", code=124)
        self.looop("kill", "w1")
        self.assertIn("ask 2", self.tick()["reason"], "nobody waits for that answer any more")
        self.assertIn("- w1: dead, was killed ", self.section("WORKERS NOW"))
        self.beat()
        self.assertEqual(self.section("WORKERS"), "| (none)", "its end was decided on")

    def test_answers_are_journaled_and_shown_once(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "ask", "question": "Which?", "options": ["red", "blue"]})
        self.tick()
        self.looop("answer", "1", "red")
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["reason"], "ask 1 was answered: red")
        self.assertIn("answered: shown once; what outlasts this move goes into a goal\n", self.prompt())
        words = [line[19:] for line in self.journal()]
        self.assertEqual(words, ["asked, as ask 1: Which?", "ask 1 answered: red", "noop"])
        self.beat()
        self.assertEqual(self.section("ASKS AND ANSWERS"), "| (none)")
        self.assertIn(" ask 1 answered: red\n", self.section("RECENT JOURNAL"), "what the person says taints nothing")
        self.assertEqual(self.beat({"move": "shell", "command": "git push", "reversible": True})["outcome"], "proposed")
        self.looop("reject", "2", "not today")
        self.beat({"move": "noop"})
        self.assertIn("ask 2 rejected: not today", [line[19:] for line in self.journal()])
        self.assertFalse(os.path.exists(self.path("asks", ".answered")))

    def test_a_beat_that_dies_journals_an_answer_once(self):
        self.profile(goals={"a": "0\n"})
        self.beat({"move": "ask", "question": "Which?"})
        self.looop("answer", "1", "red")
        named = self.read("asks/.answered")
        self.beat({"move": "noop"})
        self.write("asks/.answered", named + "7\n")  # it died before it could put it away
        self.beat()
        self.assertEqual(sum("answered: red" in line for line in self.journal()), 1)

    def test_the_changed_lines_of_policy(self):
        self.profile(goals={"a": "# a\n\nby Friday\n"}, playbook="be kind\n")
        self.replies({"move": "write_goal", "id": "b", "body": "one\ntwo"})
        self.tick()
        self.replies({"move": "noop"})
        self.write("goals/a.md", "# a\n\nby Monday\n")
        self.write("goals/b.md", "one\n2\n")
        self.write("PLAYBOOK.md", "be kind\nbe brief\n")
        self.tick()
        changed = self.section("WHAT CHANGED SINCE THE LAST DECISION")
        edits = ("goal a changed|   | -by Friday|   | +by Monday", "goal b changed|   | -two|   | +2")
        for edit in (*edits, "PLAYBOOK changed|   | +be brief"):
            self.assertIn("| - " + edit.replace("|   |", "\n|   |"), changed)
        os.unlink(self.path(".policy"))
        self.write("goals/b.md", "three\n")
        self.tick()
        self.assertIn("| - goal b changed\n", self.prompt())


class Whole(unittest.TestCase):
    def test_headers_at_column_0_and_bodies_behind_their_mark(self):
        prompt, cuts = looop.build_prompt(looop.prompt_inputs(world(goals={}), STATE, **NOW))
        self.assertEqual(cuts, {})
        start = looop.TYPED_INSTRUCTIONS.replace("{{moves}}", looop.move_schema())
        self.assertTrue(prompt.startswith(f"{start}\n# CONSTITUTION\n{looop.CONSTITUTION}\n# PLAYBOOK\n| be kind\n"))
        self.assertIn("\n\n# GOALS\n| (none)\n\n# ASKS AND ANSWERS\n| - ask 3\n|   | ask, open\n", prompt)
        self.assertTrue(
            prompt.endswith("\n# FLAPPING\n| changed on 5 beats in a row or more: disk\n\n# NOW\n| 2026-01-02 03:04\n")
        )
        self.assertNotIn("# FORCED", prompt)

    def test_a_direct_runner_has_other_instructions_and_a_forced_beat_one_more_section(self):
        prompt, _ = looop.build_prompt(
            looop.prompt_inputs(world(), STATE, **{**NOW, "mode": "direct", "forced": "a\n# X"})
        )
        self.assertTrue(prompt.startswith(looop.DIRECT_INSTRUCTIONS + "\n# CONSTITUTION\n"))
        self.assertIn(
            "\n# FORCED\nA person asks for one move for this goal, now; a noop is no answer:\n| a\n| # X\n\n# NOW\n",
            prompt,
        )

    def test_turns_stand_at_the_end_and_their_rule_where_a_goal_is_overdue(self):
        inputs = {**looop.prompt_inputs(world(), STATE, **NOW), "turns": [["a%20b", "5 h ago", False]]}
        turns = "\n# TURNS\n| - a b: 5 h ago\n"
        self.assertTrue(looop.build_prompt(inputs)[0].endswith(f"{turns}\n# NOW\n| 2026-01-02 03:04\n"))
        inputs["turns"].insert(0, ["c\n# X", "never", True])
        turns = f"\n# TURNS\n| - c\\x0a# X: overdue: never\n| - a b: 5 h ago\n{looop.TURN_RULE}\n# NOW\n"
        self.assertIn(turns, looop.build_prompt(inputs)[0])
        self.assertNotIn(looop.TURN_RULE, looop.build_prompt({**inputs, "mode": "direct"})[0])

    def test_what_was_cut_is_told(self):
        size = looop._BUDGETS["PLAYBOOK"]
        inputs = looop.prompt_inputs(world(playbook=("ok", "x\n" * size)), STATE, **NOW)
        prompt, cuts = looop.build_prompt(inputs)
        lines = size // len("| x\n")
        self.assertEqual(cuts, {"PLAYBOOK": 2 * (size - lines)})
        self.assertIn(f"| x\n| [… {2 * (size - lines)} bytes cut here]\n\n# GOALS\n", prompt)


if __name__ == "__main__":
    unittest.main()
