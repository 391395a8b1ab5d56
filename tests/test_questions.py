"""The interview's script, value by value: what it asks after which answers, and what it has written in the end."""

import itertools
import unittest

import looop
from tests.support import Case  # noqa: F401  puts the project on the path

SEED = looop.SEEDS["PLAYBOOK.md"]
YES = {"do": "write", "over": None}
SKIP = {"do": "skip"}


def asked(*values):
    """Answer the questions in their order with these values; return the answers and the question that is open."""
    given = []
    for value in values:
        given.append(looop.Answer(looop.after_answers(given)[0].key, value))
    return given, looop.after_answers(given)[0]


def keys(*values):
    """Return the keys of the questions that these values answer."""
    return [answer.key for answer in asked(*values)[0]]


NOTHING = ("", [], "", "", "", "5m", "", "")  # Enter, up to the draft of the PLAYBOOK


class Script(unittest.TestCase):
    def test_what_enter_alone_is_asked(self):
        rest = ["priority 1", "never 1", "while something runs", "otherwise", "quiet hours", "PLAYBOOK.md"]
        self.assertEqual(keys(*NOTHING, YES), ["goal 1", "folder 1", "source 1", *rest])
        plan = asked(*NOTHING, YES)[1]
        self.assertEqual((plan.files, plan.playbook, plan.over, plan.quiet), ({}, SEED, None, ""))
        self.assertEqual(asked(*NOTHING[:-1], "Sat, Sun", YES)[1].quiet, "Sat, Sun")

    def test_each_goal_has_three_questions_and_a_file(self):
        given = ("Ship it", "it is out", "2030-12-24", "Rest", "", "", "ship it!", "", "")
        self.assertEqual(keys(*given)[:6], ["goal 1", "goal 1 done", "goal 1 by", "goal 2", "goal 2 done", "goal 2 by"])
        first, second = asked()[1], asked("Ship it", "", "")[1]
        self.assertEqual(first.shown, "none for now")
        self.assertIn("What should be pushed forward?", first.text)
        self.assertEqual((second.shown, second.text), ("no more", ""))
        plan = asked(*given, *NOTHING, YES, YES, YES, YES)[1]
        self.assertEqual(
            plan.files,
            {
                "goals/ship-it.md": "# Ship it\n\nDone when: it is out.\n\nBy: 2030-12-24.\n",
                "goals/rest.md": looop.goal_text("Rest", "", ""),
                "goals/ship-it-2.md": looop.goal_text("ship it!", "", ""),
            },
        )

    def test_drafts_are_written_edited_or_left_out(self):
        start = ("One", "", "", "Two", "", "", *NOTHING)
        edit = {"do": "edit", "text": "# EDITED\n"}
        question = asked(*start, SKIP, SKIP, edit)[1]
        self.assertEqual((question.key, question.about), ("PLAYBOOK.md", {"name": "PLAYBOOK.md", "text": "# EDITED\n"}))
        over = {"do": "write", "over": "d" * 32}
        plan = asked(*start, SKIP, {"do": "edit", "text": "mine\n"}, YES, edit, over)[1]
        self.assertEqual((plan.files, plan.playbook, plan.over), ({"goals/two.md": "mine\n"}, "# EDITED\n", "d" * 32))
        plan = asked(*start, SKIP, SKIP, {"do": "skip", "over": "d" * 32})[1]
        self.assertEqual((plan.files, plan.playbook, plan.over), ({}, None, None))

    def test_clones_are_offered_one_by_one(self):
        first = asked("")[1]
        self.assertEqual((first.kind, first.shown), ("clones", "none"))
        question = asked("", ["/src/api", "/src/web"])[1]
        script = looop.gallery_script("git", {"clone": "/src/api"}).decode()
        self.assertEqual(question.about, {"name": "git-api", "text": script})
        self.assertEqual(
            keys("", ["/src/api", "/src/web"], YES, SKIP, []),
            ["goal 1", "folder 1", "try git-api", "try git-web", "folder 2"],
        )
        more = asked("", ["/src/api", "/src/web"], YES, SKIP)[1]
        self.assertEqual((more.text, more.shown), ("", "no more"))
        self.assertEqual(
            keys("", ["/src/api"], YES, ["/src/api", "/src/web"], YES)[2:], ["try git-api", "folder 2", "try git-web"]
        )
        plan = asked("", ["/src/api", "/other/api"], YES, YES, *NOTHING[1:], YES)[1]
        other = looop.gallery_script("git", {"clone": "/other/api"}).decode()
        self.assertEqual(plan.files, {"sensors/git-api.sh": script, "sensors/git-api-2.sh": other})

    def test_a_source_is_tried_and_edited(self):
        start = ("", [], "http")
        parameter = asked(*start)[1]
        self.assertEqual((parameter.kind, parameter.about, parameter.shown), ("parameter", ["http", 0], ""))
        question = asked(*start, "http://a/")[1]
        self.assertEqual((question.kind, question.part, question.key), ("try", "Sources", "try http-a"))
        edited = asked(*start, "http://a/", {"do": "edit", "text": "#!/bin/sh\n"})[1]
        self.assertEqual(edited.about, {"name": "http-a", "text": "#!/bin/sh\n"})
        second = asked(*start, "http://a/", YES)[1]
        self.assertEqual((second.key, second.shown, second.about), ("source 2", "no more", False))
        self.assertEqual(second.text, "One more? `?` shows the list again.")
        plan = asked(*start, "http://a/", YES, *NOTHING[2:], YES)[1]
        self.assertEqual(plan.files, {"sensors/http-a.sh": looop.gallery_script("http", {"url": "http://a/"}).decode()})

    def test_what_comes_after_a_parameter_that_is_left_out_is_left_out(self):
        kind, one = next(
            (k, one) for k, one in looop.GALLERY.items() if [p.count for p in one.parameters][:2] == ["?", "?"]
        )
        question = asked("", [], kind, "")[1]
        self.assertEqual(question.kind, "try")
        rest = {p.variable: p.default for p in one.parameters[1:]}
        script = looop.gallery_script(kind, {one.parameters[0].variable: "", **rest})
        self.assertEqual(question.about["text"].encode(), script)

    def test_lists_end_with_an_empty_line(self):
        priorities = asked("", [], "", "security", "reviews")
        self.assertEqual([answer.key for answer in priorities[0]][3:], ["priority 1", "priority 2"])
        question = priorities[1]
        self.assertEqual((question.prompt, question.text, question.shown), ("then", "", "no more"))
        first = asked("", [], "")[1]
        self.assertEqual((first.prompt, first.shown, first.part), ("first", "nothing to add", "Priorities"))
        self.assertIn("What comes first", first.text)
        plan = asked("", [], "", "security", "", "deploy", "", "30s", "1h", "", YES)[1]
        self.assertEqual(plan.playbook, looop.playbook_text(["security"], ["deploy"], 30, 3600))


class Texts(unittest.TestCase):
    """What becomes of the answers."""

    def test_a_goal_is_named_by_as_many_words_as_fit(self):
        for name, slug in {
            "Ship version 2!": "ship-version-2",
            "Über-Café": "uber-cafe",
            "发布": "goal-7",
            "": "goal-7",
            "a" * 41: "a" * 40,
            f"{'a' * 20} {'b' * 19} c": f"{'a' * 20}-{'b' * 19}",
            f"{'a' * 20} {'b' * 20} c": "a" * 20,
        }.items():
            self.assertEqual(looop.goal_slug(name, 7), slug)


class Answers(unittest.TestCase):
    def test_an_answer_of_another_shape_raises(self):
        for values, key in (((5,), "goal 1"), (("", "x"), "folder 1"), ((*NOTHING, "yes"), "PLAYBOOK.md")):
            with self.assertRaisesRegex(TypeError, f"^{key}$"):
                asked(*values)

    def test_answers_in_a_few_words(self):
        for value, words in (
            *(("text", "text"), ("", ""), (["/a", "/b"], "/a, /b"), ([], "")),
            *((YES, "yes"), (SKIP, "left out"), ({"do": "edit", "text": "x"}, "edited")),
            ({"do": "?"}, ""),
        ):
            self.assertEqual(looop.told_answer(looop.Answer("key", value)), words)

    def test_spans_in_their_largest_whole_unit(self):
        for secs, words in {
            **{1: "1 second", 5: "5 seconds", 0.5: "0.5 seconds", 59: "59 seconds", 60: "1 minute", 90: "90 seconds"},
            **{300: "5 minutes", 3600: "1 hour", 5400: "90 minutes", 7200: "2 hours", 3601: "3601 seconds"},
        }.items():
            self.assertEqual(looop.span_words(secs), words)

    def test_names_with_a_number(self):
        self.assertEqual(list(itertools.islice(looop.names_like("ci"), 3)), ["ci", "ci-2", "ci-3"])
        names = looop.names_like("x" * looop.ID_MAX)
        self.assertTrue(looop.valid_id(next(names)))
        self.assertEqual(next(names), "x" * 60 + "-2")

    def test_sentences_end(self):
        self.assertEqual([looop.sentence(text) for text in ("a", "a.", "a!", "a?", "a…", "好。", "")],
                         ["a.", "a.", "a!", "a?", "a…", "好。", "."])  # fmt: skip


if __name__ == "__main__":
    unittest.main()
