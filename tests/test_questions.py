"""The interview's script, value by value: what it asks after which answers, and what it has written in the end."""

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
        given.append(looop.Answer(looop.open_question(given)[0].key, value))
    return given, looop.open_question(given)[0]


def keys(*values):
    """Return the keys of the questions that these values answer, and of the one that is open."""
    given, question = asked(*values)
    return [*(answer.key for answer in given), question.key]


NOTHING = ("", [], "", "", "", "5m", "")  # Enter, up to the draft of the PLAYBOOK


class Script(unittest.TestCase):
    def test_what_enter_alone_is_asked(self):
        rest = ["priority 1", "never 1", "while something runs", "otherwise", "PLAYBOOK.md", "write"]
        self.assertEqual(keys(*NOTHING, YES), ["goal 1", "folder 1", "source 1", *rest])
        plan = asked(*NOTHING, YES)[1].about
        self.assertEqual((plan.files, plan.playbook, plan.over), ({}, SEED, None))

    def test_each_goal_has_three_questions_and_a_file(self):
        given = ("Ship it", "it is out", "2030-12-24", "Rest", "", "")
        self.assertEqual(keys(*given)[:6], ["goal 1", "goal 1 done", "goal 1 by", "goal 2", "goal 2 done", "goal 2 by"])
        first, second = asked()[1], asked("Ship it", "", "")[1]
        self.assertEqual((first.shown, first.about), ("none for now", {"number": 1, "taken": []}))
        self.assertIn("What should be pushed forward?", first.text)
        self.assertEqual((second.shown, second.text), ("no more", ""))
        self.assertEqual(second.about, {"number": 2, "taken": ["goals/ship-it.md"]})
        plan = asked(*given, *NOTHING, YES, YES, YES)[1].about
        self.assertEqual(
            plan.files,
            {
                "goals/ship-it.md": "# Ship it\n\nDone when: it is out.\n\nBy: 2030-12-24.\n",
                "goals/rest.md": looop.goal_text("Rest", "", ""),
            },
        )

    def test_drafts_are_written_edited_or_left_out(self):
        start = ("One", "", "", "Two", "", "", *NOTHING)
        edit = {"do": "edit", "text": "# EDITED\n"}
        question = asked(*start, edit)[1]
        self.assertEqual((question.key, question.about), ("PLAYBOOK.md", {"path": "PLAYBOOK.md", "text": "# EDITED\n"}))
        plan = asked(*start, edit, {"do": "write", "over": "d" * 32}, SKIP, {"do": "edit", "text": "mine\n"}, YES)[
            1
        ].about
        self.assertEqual((plan.files, plan.playbook, plan.over), ({"goals/two.md": "mine\n"}, "# EDITED\n", "d" * 32))
        plan = asked(*start, {"do": "skip", "over": "d" * 32}, SKIP, SKIP)[1].about
        self.assertEqual((plan.files, plan.playbook, plan.over), ({}, None, None))

    def test_clones_are_offered_one_by_one(self):
        first = asked("")[1]
        self.assertEqual((first.kind, first.shown, first.about), ("clones", "none", []))
        keep = {"do": "write", "name": "api"}
        question = asked("", ["/src/api", "/src/web"])[1]
        script = looop.gallery_script("git", {"clone": "/src/api"}).decode()
        self.assertEqual(question.about, {"name": "git-api", "script": script, "again": False, "taken": []})
        self.assertEqual(
            keys("", ["/src/api", "/src/web"], keep, SKIP),
            ["goal 1", "folder 1", "try git-api", "try git-web", "folder 2"],
        )
        more = asked("", ["/src/api", "/src/web"], keep, SKIP)[1]
        self.assertEqual((more.text, more.shown, more.about), ("", "no more", ["sensors/api.sh"]))
        self.assertEqual(
            keys("", ["/src/api"], keep, ["/src/api", "/src/web"])[2:], ["try git-api", "folder 2", "try git-web"]
        )
        plan = asked("", ["/src/api"], keep, *NOTHING[1:], YES)[1].about
        self.assertEqual(plan.files, {"sensors/api.sh": script})

    def test_a_source_is_tried_edited_and_tried_again_with_other_parameters(self):
        start = ("", [])
        question = asked(*start, "http", "http://a/")[1]
        self.assertEqual((question.kind, question.part, question.about["again"]), ("try", "Sources", True))
        edited = asked(*start, "http", "http://a/", {"do": "edit", "text": "#!/bin/sh\n"})[1]
        self.assertEqual(edited.about, {**question.about, "script": "#!/bin/sh\n"})
        again = asked(*start, "http", "http://a/", {"do": "again"})[1]
        self.assertEqual((again.kind, again.default, again.about), ("parameter", "http://a/", ["http", 0]))
        second = asked(*start, "http", "http://a/", {"do": "again"}, "http://b/", {"do": "write", "name": "site"})[1]
        self.assertEqual((second.key, second.shown, second.about), ("source 2", "no more", False))
        self.assertEqual(second.text, "One more? `?` shows the list again.")
        plan = asked(*start, "http", "http://a/", {"do": "write", "name": "site"}, *NOTHING[2:], YES)[1].about
        self.assertEqual(plan.files, {"sensors/site.sh": looop.gallery_script("http", {"url": "http://a/"}).decode()})

    def test_a_list_of_parameters_comes_back_quoted(self):
        kind = next(k for k, one in looop.GALLERY.items() if [p.count for p in one.parameters][-1:] == ["*"])
        place = len(looop.GALLERY[kind].parameters) - 1
        words = [["a b", "it's"] if n == place else "http://x/" for n in range(place + 1)]
        question = asked("", [], kind, *words, {"do": "again"}, *words[:place])[1]
        self.assertEqual((question.about, question.shown), ([kind, place], "none"))
        self.assertEqual(question.default, looop.quoted("a b") + " " + looop.quoted("it's"))
        self.assertNotIn(";", question.text.split("\n")[-1])

    def test_what_comes_after_a_parameter_that_is_left_out_is_left_out(self):
        kind, one = next(
            (k, one) for k, one in looop.GALLERY.items() if [p.count for p in one.parameters][:2] == ["?", "?"]
        )
        question = asked("", [], kind, "")[1]
        self.assertEqual(question.kind, "try")
        rest = {p.variable: p.default for p in one.parameters[1:]}
        script = looop.gallery_script(kind, {one.parameters[0].variable: "", **rest})
        self.assertEqual(question.about["script"].encode(), script)

    def test_lists_end_with_an_empty_line(self):
        priorities = asked("", [], "", "security", "reviews")
        self.assertEqual([answer.key for answer in priorities[0]][3:], ["priority 1", "priority 2"])
        question = priorities[1]
        self.assertEqual((question.prompt, question.text, question.shown), ("then", "", "no more"))
        first = asked("", [], "")[1]
        self.assertEqual((first.prompt, first.shown, first.part), ("first", "nothing to add", "Priorities"))
        self.assertIn("What comes first", first.text)
        plan = asked("", [], "", "security", "", "deploy", "", "30s", "1h", YES)[1].about
        self.assertEqual(plan.playbook, looop.playbook_text(["security"], ["deploy"], 30, 3600))

    def test_a_place_that_was_taken_meanwhile(self):
        start = ("One", "", "", "Two", "", "", *NOTHING, YES, YES, YES)
        taken = {"taken": ["goals/one.md", "goals/two.md"], "playbook": False}
        question = asked(*start, taken)[1]
        self.assertEqual((question.key, question.kind), ("goals/one.md as", "name"))
        self.assertEqual(question.about, {"folder": "goals", "taken": ["goals/one.md", "goals/two.md"]})
        before = asked(*start)[1].about
        after = asked(*start, taken, "goals/uno.md", "")[1].about
        self.assertEqual(after.files, {"goals/uno.md": before.files["goals/one.md"]})
        self.assertEqual((after.playbook, after.over), (SEED, None))
        changed = ({"taken": [], "playbook": True}, {"do": "write", "over": "e" * 32})
        plan = asked(*start, *changed)[1].about
        self.assertEqual((plan.files, plan.playbook, plan.over), (before.files, SEED, "e" * 32))


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
            self.assertEqual(looop.goal_path(name, 7), f"goals/{slug}.md")

    def test_screenfuls(self):
        lines = ["x" * 160, "", "a", "\x1b[1mb\x1b[0m"]
        self.assertEqual(looop.screenfuls(lines, 5), [lines])
        self.assertEqual(looop.screenfuls(lines, 4), [lines[:3], lines[3:]])
        self.assertEqual(looop.screenfuls(lines, 5, 40), [lines[:2], lines[2:]])
        self.assertEqual(looop.screenfuls(["x" * 161, "a", "b"], 4), [["x" * 161, "a"], ["b"]])
        self.assertEqual(looop.screenfuls(["x" * 999, "y"], 4), [["x" * 999], ["y"]])
        self.assertEqual(looop.screenfuls([], 4), [[]])


class Answers(unittest.TestCase):
    def test_an_answer_of_another_shape_raises(self):
        for values, key in (((5,), "goal 1"), (("", "x"), "folder 1"), ((*NOTHING, "yes"), "PLAYBOOK.md")):
            with self.assertRaisesRegex(TypeError, f"^{key}$"):
                asked(*values)

    def test_what_is_kept_is_checked_before_it_is_used(self):
        given, _ = asked("Ship it", "", "", "", ["/x"], SKIP)
        good = {
            "stamp": "20300102-030405-abcd",
            "undone": {"goal 1": "x"},
            "answers": [[a.key, a.value] for a in given],
        }
        self.assertTrue(looop.well_formed_answers(good))
        self.assertTrue(looop.well_formed_answers({**good, "answers": [], "undone": {}}))
        self.assertTrue(looop.well_formed_answers({**good, "answers": [["another version's", "x"]]}))
        for bad in (
            *(None, [], "", {}),
            *({**good, "stamp": stamp} for stamp in (None, 5, "", "../x", "a b")),
            *({**good, "undone": undone} for undone in (None, [], "x", {"goal 1": 5})),
            *({**good, "answers": answers} for answers in (None, {}, "x", [5], [["goal 1"]], [["goal 1", "x", "y"]])),
            *(
                {**good, "answers": answers}
                for answers in ([["goal 1", None]], [["goal 1", ["x"]]], [{"a": 1, "b": 2}])
            ),
            {**good, "answers": [["goal 1", ""], ["folder 1", [5]]]},
            {**good, "answers": [["goal 1", ""], ["folder 1", []], ["source 1", "no such kind"]]},
            {**good, "answers": [["goal 1", ""], ["folder 1", ["/x"]], ["try git-x", {}]]},
        ):
            self.assertFalse(looop.well_formed_answers(bad), bad)

    def test_answers_in_a_few_words(self):
        for value, words in (
            *(("text", "text"), ("", ""), (["/a", "/b"], "/a, /b"), ([], "")),
            *((YES, "yes"), (SKIP, "left out"), ({"do": "edit", "text": "x"}, "edited")),
            *(({"do": "again"}, "with other parameters"), ({"do": "?"}, ""), ({"taken": [], "playbook": True}, "")),
        ):
            self.assertEqual(looop.told_answer(looop.Answer("key", value)), words)

    def test_spans_in_their_largest_whole_unit(self):
        for secs, words in {
            **{1: "1 second", 5: "5 seconds", 0.5: "0.5 seconds", 59: "59 seconds", 60: "1 minute", 90: "90 seconds"},
            **{300: "5 minutes", 3600: "1 hour", 5400: "90 minutes", 7200: "2 hours", 3601: "3601 seconds"},
        }.items():
            self.assertEqual(looop.span_words(secs), words)

    def test_a_name_that_is_free(self):
        self.assertEqual(looop.free_name("ci", []), "ci")
        self.assertEqual(looop.free_name("ci", ["ci"]), "ci-2")
        self.assertEqual(looop.free_name("ci", iter(["ci", "ci-2", "ci-4"])), "ci-3")
        long = "x" * looop.ID_MAX
        found = looop.free_name(long, [long])
        self.assertEqual(found, "x" * 60 + "-2")
        self.assertTrue(looop.valid_id(found))

    def test_sentences_end(self):
        self.assertEqual([looop.sentence(text) for text in ("a", "a.", "a!", "a?", "a…", "好。", "")],
                         ["a.", "a.", "a!", "a?", "a…", "好。", "."])  # fmt: skip


if __name__ == "__main__":
    unittest.main()
