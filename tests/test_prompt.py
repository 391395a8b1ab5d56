"""The prompt, value by value: what a capsule keeps of the world, and the sections that are made of it."""

import json
import unittest

import looop
from tests.support import Case  # noqa: F401  puts the project on the path

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
        self.assertTrue(cuts and cuts[0].startswith("GOALS: "), cuts)
        self.assertGreater(int(cuts[0].split()[1]), 60000)
        self.assertIn("bytes cut here", prompt)

    def test_the_forced_goal_comes_first(self):
        goals = looop.prompt_inputs(world(), STATE, **{**NOW, "forced": "b"})["goals"]
        self.assertEqual([goal for goal, _, _ in goals], ["b", "a"])

    def test_what_changed_since_the_last_decision(self):
        state = {**STATE, "hash": "h", "baseline": {"goal:b": {"digest": "old", "value": "2 lines, 9 bytes"}}}
        inputs = looop.prompt_inputs(world(), state, **NOW)
        self.assertEqual(inputs["changes"], ["goal b: edited, 2 lines, 9 bytes → 1 line, 2 bytes"])
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
                ("WORKERS", '- w\n  | {"id":"w","state":"running"}\n'),
                ("CLAIMS", "- issue-1\n  | held by w\n- issue-2\n  | held by ?\n"),
                ("SENSOR READINGS", '- ci (trusted data)\n  | {"ok":1}\n- disk (untrusted data)\n  | \ufffd\n'),
                ("RECENT JOURNAL", "12:00 noop"),
                (
                    "WHAT CHANGED SINCE THE LAST DECISION",
                    "This is the first decision of this profile: everything is new.\n",
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
        found = sections(inputs)
        self.assertEqual(
            list(found.items())[-4:],
            [
                ("WHAT CHANGED SINCE THE LAST DECISION", "nothing\n"),
                ("RESULT OF THE LAST SHELL MOVE", "$ make\nexit 2\nno rule\n"),
                ("INTERRUPTED", "a beat was killed\n"),
                ("LAST FAILURE", "no JSON (1 failure in a row)\nhm"),
            ],
        )
        self.assertNotIn("FLAPPING", found)
        inputs.update(changes=["goal a: new, x", "goal b: gone, was y"], playbook=["absent", "", 0])
        del inputs["claims"]  # a capsule of a looop that told none
        found = sections(inputs)
        self.assertEqual(found["WHAT CHANGED SINCE THE LAST DECISION"], "- goal a: new, x\n- goal b: gone, was y\n")
        self.assertEqual(found["PLAYBOOK"], "[absent]\n")
        self.assertNotIn("CLAIMS", found)


class Whole(unittest.TestCase):
    def test_headers_at_column_0_and_bodies_behind_their_mark(self):
        prompt, cuts = looop.build_prompt(looop.prompt_inputs(world(goals={}), STATE, **NOW))
        self.assertEqual(cuts, [])
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

    def test_what_was_cut_is_told(self):
        size = looop._BUDGETS["PLAYBOOK"]
        inputs = looop.prompt_inputs(world(playbook=("ok", "x\n" * size)), STATE, **NOW)
        prompt, cuts = looop.build_prompt(inputs)
        lines = size // len("| x\n")
        self.assertEqual(cuts, [f"PLAYBOOK: {2 * (size - lines)} bytes cut"])
        self.assertIn(f"| x\n| [… {2 * (size - lines)} bytes cut here]\n\n# GOALS\n", prompt)


if __name__ == "__main__":
    unittest.main()
