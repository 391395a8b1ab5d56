"""Moves: a reply is one valid move, or it is none."""

import json
import re
import time
import unittest

import looop
from tests.support import Case  # noqa: F401

SAMPLES = [
    {"move": "noop"},
    {"move": "shell", "command": "make test", "reversible": True},
    {"move": "write_goal", "id": "ship-v2", "body": "# ship\n"},
    {"move": "archive_goal", "id": "ship-v2"},
    {"move": "write_sensor", "name": "ci", "body": "echo '{}'"},
    {"move": "write_playbook", "body": "# PLAYBOOK"},
    {"move": "start_worker", "id": "ship-v2", "prompt": "do it"},
    {"move": "start_worker", "id": "ship-v2", "prompt": "do it", "runner": "claude", "verify": "make test"},
    {"move": "send", "id": "ship-v2", "text": "go on"},
    {"move": "key", "id": "ship-v2", "keys": ["C-c", "Enter"]},
    {"move": "restart_worker", "id": "ship-v2"},
    {"move": "kill_worker", "id": "ship-v2"},
    {"move": "ask", "question": "which?", "options": ["yes", "no"], "ref": "reports/x.md"},
    {"move": "pr_comment", "repo": "owner/name", "number": 12, "body": "LGTM\n"},
    {"move": "issue_comment", "repo": "owner/name.js", "number": 1, "body": "Seen."},
    {"move": "pr_open", "repo": "o/n", "base": "main", "head": "fix/x", "title": "Fix x", "body": "It was broken."},
    {"move": "push_branch", "folder": "~/src/x", "remote": "origin", "branch": "fix/x"},
    {"move": "message", "text": "Deploy is done."},
]


class Valid(unittest.TestCase):
    def test_every_move_bare_fenced_and_within_prose(self):
        self.assertEqual({sample["move"] for sample in SAMPLES}, set(looop.MOVES))
        for sample in SAMPLES:
            text = json.dumps(sample, indent=1)
            for reply in (
                text,
                f"\n {text} \n",
                f"```json\n{text}\n```",
                f"I think {{this}} is best:\n{text}\nDone, see {{x}}.",
            ):
                move = looop.parse_move(reply)
                self.assertEqual(looop.move_object(move), sample)

    def test_common_fields(self):
        move = looop.parse_move('{"move":"noop","journal":"two\\nlines \\u001b[1m","why":"because","next_beat_s":1}')
        self.assertEqual((move.journal, move.why, move.next_beat_s), ("two lines \\x1b[1m", "because", 5))
        self.assertEqual(
            looop.move_object(move),
            {"move": "noop", "journal": "two lines \\x1b[1m", "why": "because", "next_beat_s": 5},
        )
        self.assertEqual(looop.parse_move('{"move":"noop","next_beat_s":1e6}').next_beat_s, 3600)
        self.assertEqual(looop.parse_move('{"move":"noop","next_beat_s":90.7}').next_beat_s, 90)

    def test_a_move_names_its_goal_and_why_it_defers_others(self):
        value = {"move": "noop", "goal": "a", "deferred": {"b b": "CI is red"}}
        move = looop.checked_move({**value, "deferred": {"b b": "CI is\nred"}})
        self.assertEqual(looop.move_object(move), value)
        self.assertEqual(looop.checked_move({"move": "noop", "goal": "", "deferred": {}}), looop.Move("noop", {}))
        for wrong in (
            {"goal": 5},
            {"goal": "a\nb"},
            {"deferred": ["b"]},
            {"deferred": {"b": ""}},
            {"deferred": {"": "x"}},
        ):
            with self.assertRaises(looop.BadMove):
                looop.checked_move({"move": "noop", **wrong})

    def test_optional_fields_that_are_empty_are_absent(self):
        empty = {"options": None, "ref": "", "journal": "", "why": None, "next_beat_s": None}
        move = looop.checked_move({"move": "ask", "question": "?", **empty})
        self.assertEqual(move, looop.Move("ask", {"question": "?"}, "", "", None))
        self.assertEqual(looop.checked_move({"move": "noop", "next_beat_s": 0}).next_beat_s, looop.NEXT_BEAT_MIN)
        for value, words in (
            ({"move": "ask", "question": ""}, 'ask: question must be a string that is not empty, not ""'),
            ({"move": "ask", "question": None}, "ask: question must be a string that is not empty, not null"),
            ({"move": "ask", "question": "?", "options": []}, "ask: options must be a list of strings, not []"),
            ({"move": "ask", "question": "?", "ref": "x", "more": ""}, 'ask: unknown field "more"'),
            ({"move": "ask"}, "ask: question is missing"),
            ({"move": "noop", "next_beat_s": "1"}, 'noop: next_beat_s must be a number of seconds, not "1"'),
            ({"move": "noop", "x" * 99: 1}, f'noop: unknown field "{"x" * 78}…'),
        ):
            with self.assertRaises(looop.BadMove) as caught:
                looop.checked_move(value)
            self.assertEqual(caught.exception.message, words)

    def test_the_schema_in_the_prompt_names_every_field(self):
        agents = {"names": ["claude", "pi"], "default": "claude", "without": [], "folders": [], "wheres": ["gpu"]}
        schema = looop.move_schema(agents)
        for name, spec in looop.MOVES.items():
            line = next(line for line in schema.splitlines() if re.search(rf'"move":("\w+" or )?"{name}"', line))
            for field in spec.fields:
                self.assertIn(f'"{field}":', line)

    def test_the_schema_to_the_letter(self):
        self.assertEqual(
            looop.move_schema(),
            """\
{"move":"noop"}  nothing now
{"move":"shell","command":"…","reversible":true|false,"undo":"…"?}  run in the data dir; you see the end of its \
output. No network, writes only reports/, granted folders; false: it needs more or cannot be undone: the person is \
asked. undo: a command that takes it back
{"move":"write_goal","id":"…","body":"…"}  new or replaced
{"move":"archive_goal","id":"…"}  it is reached
{"move":"write_sensor","name":"…","body":"…"}  a script: #!, prints {"signal":…,"detail":…}. Only a changed \
signal wakes you: no times or ages. `# looop:interval=15m` spaces its runs
{"move":"write_playbook","body":"…"}  proposes it
{"move":"start_worker","id":"…","prompt":"…","runner":"…"?,"verify":"…"?}  a coding agent. It knows only this \
prompt and starts in an empty folder: name absolute paths. verify: a command that proves the work, run at \
its end (60 s, confined)
{"move":"send","id":"…","text":"…"}  type it into a worker, and Enter
{"move":"key","id":"…","keys":["…"]}  Enter, Esc, C-c, Up, …; never answer a permission dialog: that is the person's
{"move":"restart_worker","id":"…"}  also a lost one; its conversation goes on
{"move":"kill_worker","id":"…"}
{"move":"ask","question":"…","options":["…"]?,"ref":"…"?}  the person; ref: a file to show
Others see these; the person says yes or no first:
{"move":"pr_comment" or "issue_comment","repo":"owner/name","number":12,"body":"…"}
{"move":"pr_open","repo":"owner/name","base":"…","head":"…","title":"…","body":"…"}
{"move":"push_branch","folder":"…","remote":"…","branch":"…"}  of the clone in a folder
{"move":"message","text":"…"}  by the person's `notify` command
""",
        )

    def test_a_worker_is_offered_with_the_runners_that_can_be_one(self):
        def offered(names, default):
            lines = looop.move_schema({"names": names, "default": default}).splitlines()
            return [line for line in lines if '"move":"start_worker"' in line]

        everything = looop.move_schema().splitlines()
        others = [line for line in everything if '"move":"start_worker"' not in line]
        self.assertEqual(looop.move_schema({"names": [], "default": None}).splitlines(), others)
        self.assertEqual(len(looop.move_schema({"names": ["pi"], "default": "pi"}).splitlines()), len(everything))
        self.assertLessEqual(set(others), set(looop.move_schema({"names": ["pi"], "default": "pi"}).splitlines()))
        self.assertEqual(offered([], None), [])
        (line,) = offered(["claude", "own"], None)
        self.assertIn('"runner":"…",', line)
        self.assertTrue(line.endswith("; runner is claude or own"), line)
        (line,) = offered(["claude", "own"], "own")
        self.assertIn('"runner":"…"?,', line)
        self.assertTrue(line.endswith("; runner is claude or own, own when left out"), line)


class GoalTurns(unittest.TestCase):
    """Whose turn it is, value by value."""

    @staticmethod
    def turn(seen=0.0, served=None, deferred=None, why=""):
        return {"seen": seen, "served": served, "deferred": deferred, "why": why}

    def test_the_longest_unserved_first(self):
        turns = looop.goal_turns({"a": self.turn(served=90.0), "gone": self.turn()}, "abc", 50.0)
        self.assertEqual(turns, {"a": self.turn(served=90.0), "b": self.turn(50.0), "c": self.turn(50.0)})
        turns["c"] = self.turn(20.0, deferred=95.0, why="x")
        self.assertEqual(list(looop.last_turns(turns).items()), [("c", 95.0), ("b", 50.0), ("a", 90.0)])
        for wait, now, late in ((40.0, 89.9, []), (40.0, 90.0, ["b"]), (40.0, 135.0, ["c", "b", "a"]), (0, 1e9, [])):
            self.assertEqual(looop.overdue_goals(turns, wait, now), late, (wait, now))
        self.assertEqual(looop.overdue_goals(turns, 40.0, 52.0), ["c"], "its clock was far ahead")
        self.assertEqual(
            looop.goal_waits(turns, ["a"], {"c": "ask:3"}, 100.0),
            [
                ["a", "10 s ago", True],
                ["c", "never, deferred 5 s ago, waits for ask 3", False],
                ["b", "never", False],
            ],
        )

    def test_a_move_has_a_turn(self):
        goals, late = ("a", "b%20b", "c"), ["b%20b", "c"]
        write = {"move": "write_goal", "body": "x", "id": "a"}
        for value, result in (
            ({**write, "goal": "b b"}, ("b%20b", {})),
            ({**write, "id": "c"}, ("c", {})),
            ({"move": "archive_goal", "id": "c", "deferred": {"b b": "x", "c": "y"}}, ("c", {"b%20b": "x"})),
            ({**write, "deferred": {"b b": "x", "c": "y"}}, ("a", {"b%20b": "x", "c": "y"})),
            ({"move": "noop", "goal": "a", "deferred": {"b%20b": "x", "c": "y"}}, ("", {"b%20b": "x", "c": "y"})),
        ):
            self.assertEqual(looop.checked_turn(looop.checked_move(value), goals, late), result, value)
        new = looop.checked_move({**write, "id": "new", "goal": "new", "deferred": {"a": "not overdue"}})
        self.assertEqual(looop.checked_turn(new, goals, []), ("new", {}))
        for value, words in (
            (write, "overdue: b b, c: serve one of them"),
            ({"move": "noop", "goal": "c", "deferred": {"b b": "x"}}, "overdue: c: "),
            ({**write, "goal": "d"}, "there is no goal d"),
            ({**write, "deferred": {"d\x1b": "x"}}, r"there is no goal d\x1b"),
        ):
            with self.assertRaises(looop.BadMove) as caught:
                looop.checked_turn(looop.checked_move(value), goals, late)
            self.assertIn(words, caught.exception.message)

    def test_what_a_move_leaves(self):
        turns = {"a": self.turn(), "b": self.turn(served=5.0)}
        after = looop.turns_after(turns, "new", {"a": "x"}, 9.0)
        self.assertEqual(after, {**turns, "a": self.turn(deferred=9.0, why="x"), "new": self.turn(9.0, served=9.0)})
        self.assertEqual(looop.turns_after(turns, "", {}, 9.0), turns)

    def test_a_turn_ends_what_a_clock_that_was_ahead_has_stamped(self):
        for stamp in ("seen", "served", "deferred"):
            turns = {"a": {**self.turn(), stamp: 1000.0}}
            self.assertEqual(looop.overdue_goals(turns, 100.0, 50.0), ["a"], stamp)
            for served, deferred in (("a", {}), ("", {"a": "later"})):
                after = looop.turns_after(turns, served, deferred, 50.0)
                self.assertEqual(looop.overdue_goals(after, 100.0, 51.0), [], (stamp, served))
                self.assertEqual(looop.last_turns(after), {"a": 50.0})

    def test_what_a_goal_waits_for(self):
        sessions = [looop.Session("w", goal="a", state="running"), looop.Session("x", goal="b", state="exited")]
        sessions += [looop.Session("y", goal="c", state="running"), looop.Session("z", state="running")]
        asks = [{"n": n, "session": None, "state": "open"} for n in range(1, 5)]
        asks[1].update(session="x")
        asks[2].update(goal="a", state="answered")
        asks[3].update(goal="c")
        self.assertEqual(looop.awaited(sessions, asks), {"a": "worker:w", "b": "ask:2", "c": "ask:4"})


class Told(unittest.TestCase):
    """A move as a person reads it."""

    def test_a_line_for_each_field(self):
        move = {"move": "ask", "question": "which?", "options": ["ja", "né\x1b"], "next_beat_s": 60, "journal": "asked"}
        self.assertEqual(
            looop.move_lines(move),
            [
                "ask",
                "  question     which?",
                r"  options      [ja, né\x1b]",
                "  next_beat_s  60",
                "  journal      asked",
            ],
        )

    def test_what_the_journal_tells_is_not_told_twice(self):
        move = {"move": "noop", "journal": "all  is\nwell"}
        self.assertEqual(looop.move_lines(move, "12:00 all is well"), ["noop"])
        self.assertEqual(looop.move_lines(move, "12:00 not so"), ["noop", "  journal  all  is", "           well"])

    def test_long_ones_are_cut_and_say_so(self):
        def body(text):
            name, *lines = looop.move_lines({"move": "write_goal", "body": text})
            self.assertEqual(name, "write_goal")
            self.assertTrue(lines[0].startswith("  body  "))
            self.assertTrue(all(line.startswith(" " * 8) for line in lines[1:]))
            return [line[8:] for line in lines]

        eight = [f"line {n}" for n in range(8)]
        self.assertEqual(body("\n".join(eight) + "\n\n"), eight)
        self.assertEqual(body("\n".join([*eight, "9", "10"])), [*eight[:6], "… 4 more lines"])
        self.assertEqual(body("x" * 300), ["x" * 300])
        self.assertEqual(body("x" * 301), ["x" * 299 + "…"])
        self.assertEqual(body("a\x1b[2J\tb"), ["a\\x1b[2J\tb"])

    def test_what_is_no_move_is_told_too(self):
        self.assertEqual(looop.move_lines(["é", 1]), ["[é, 1]"])
        self.assertEqual(looop.move_lines(None), ["null"])
        self.assertEqual(looop.move_lines({"x" * 50: "y"}), ["None", "  " + "x" * 39 + "…  y"])


class Invalid(unittest.TestCase):
    def refuse(self, reply, words, **options):
        with self.assertRaises(looop.BadMove) as caught:
            looop.parse_move(reply, **options)
        self.assertIn(words, caught.exception.message)

    def test_what_is_not_exactly_one_object(self):
        self.refuse("", "answered nothing")
        self.refuse("I would rather not.", "no JSON object")
        self.refuse('{"move":"noop"}{"move":"noop"}', "2 JSON objects")
        self.refuse('{"move":"noop"} or else ```{"move":"noop"}```', "2 JSON objects")
        self.refuse('[{"move":"noop"},{"move":"noop"}]', "2 JSON objects")
        self.refuse('{"move":"noop"', "an object that is not JSON")
        self.refuse("{'move':'noop'}", "an object that is not JSON")

    def test_what_is_not_a_move(self):
        self.refuse("{}", 'no field "move"')
        self.refuse('{"move":"dance"}', f'unknown move "dance"; the moves are {", ".join(looop.MOVES)}')
        self.refuse('{"move":5}', "unknown move 5")
        self.refuse('{"move":["noop"]}', "unknown move")
        self.refuse('{"move":"noop","more":1}', 'unknown field "more"')
        self.refuse('{"move":"shell","command":"ls"}', "reversible is missing")
        self.refuse('{"move":"shell","reversible":true}', "command is missing")
        self.refuse('{"move":"shell","command":"ls","reversible":"yes"}', "reversible must be true or false")
        self.refuse('{"move":"shell","command":"  ","reversible":true}', "command must be")
        self.refuse('{"move":"shell","command":"a\\u0000b","reversible":true}', "command must be")
        self.refuse('{"move":"shell","command":"a\\ud800","reversible":true}', "command must be")
        self.refuse('{"move":"key","id":"a","keys":"C-c"}', "keys must be a list")
        self.refuse('{"move":"key","id":"a","keys":[]}', "keys must be a list")
        self.refuse('{"move":"noop","next_beat_s":"60"}', "next_beat_s must be")
        self.refuse('{"move":"noop","next_beat_s":true}', "next_beat_s must be")
        self.refuse('{"move":"noop","next_beat_s":NaN}', "NaN")
        self.refuse('{"move":"noop","next_beat_s":1e999}', "next_beat_s must be")
        self.refuse('{"move":"noop","move":"shell"}', "twice")

    def test_targets_that_are_none(self):
        for repo in (
            "name",
            "a/b/c",
            "-o/n",
            "o/-n",
            "o/..",
            "o/.",
            "o /n",
            "https://h/o/n",
            "o/n\n",
            "o/" + "n" * 101,
        ):
            self.assertFalse(looop.field_fits(repo, "repo"), repo)
        for branch in (
            *("-f", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "@", "a@{1}", "HEAD", ".a"),
            *("a/.b", "a.lock", "a.lock/b", "/a", "a/", "a//b", "a.", "a\x7f", "a\x9b", "x" * 201, "a\n"),
        ):
            self.assertFalse(looop.field_fits(branch, "branch"), branch)
        self.assertTrue(all(looop.field_fits(name, "branch") for name in ("main", "fix/x-1", "v1.2", "größe", "a@b")))
        for number in (0, -1, 1.5, "12", True, 10**9):
            self.assertFalse(looop.field_fits(number, "item"), number)
        for folder in ("x", "./x", "-C", "~x", "/a\nb", "/a\x1b"):
            self.assertFalse(looop.field_fits(folder, "folder"), folder)
        for title in ("a\nb", "x" * 257, " ", "a\x1b[m"):
            self.assertFalse(looop.field_fits(title, "line"), title)
        self.refuse('{"move":"push_branch","folder":"/x","remote":"--all","branch":"b"}', "remote must be an id")
        self.refuse('{"move":"pr_comment","repo":"o","number":1,"body":"x"}', "repo must be a repository as OWNER/NAME")

    def test_ids_that_are_none(self):
        for bad in ("../x", "a/b", "pulse", "", ".hidden", "x" * 65, "a b", "a\\n"):
            self.refuse(f'{{"move":"write_goal","id":"{bad}","body":"x"}}', "id must be")

    def test_what_is_too_big_or_too_deep(self):
        self.refuse('{"move":"noop","why":"' + "x" * (1 << 20) + '"}', "256 KiB")
        self.refuse('{"move":' + '{"a":' * 10000 + "1" + "}" * 10001, "")
        self.refuse('{"move":' + "[" * 10000 + "]" * 10000 + "}", "")

    def test_hostile_replies_take_no_time(self):
        started = time.process_time()
        for reply in (
            "{" * 260000,
            '{"a":' * 50000,
            '{"' * 130000,
            '{"a":"' + "\\" * 250000,
            "{}" * 100000,
            "9" * 260000,
        ):
            with self.assertRaises(looop.BadMove):
                looop.parse_move(reply)
        self.assertLess(time.process_time() - started, 20)

    def test_a_forced_beat_takes_no_noop(self):
        self.refuse('{"move":"noop"}', "the runner answered noop, and `run` wants a move", forced=True)
        self.assertEqual(looop.parse_move('{"move":"ask","question":"?"}', forced=True).name, "ask")

    def test_the_edges_of_each_kind(self):
        def fits(kind, *values):
            return [looop.field_fits(value, kind) for value in values]

        self.assertEqual(fits("flag", True, False, 0, 1, "true", None), [True, True, *[False] * 4])
        self.assertEqual(fits("number", 0, -5, 1.5, 10**9 - 1, 10**9, -(10**9), True, "1"), [True] * 4 + [False] * 4)
        self.assertEqual(
            fits("list", ["a"], ["a"] * 64, ["a"] * 65, [], ["a", ""], ["a", 1], "a"), [True] * 2 + [False] * 5
        )
        self.assertEqual(
            fits("text", "a", " a\n", "\ud7ff\ue000", " ", "", "\0", "\ud800", "\udfff", 1), [True] * 3 + [False] * 6
        )
        self.assertEqual(fits("id", "a", "x" * 64, "x" * 65, "-a"), [True, True, False, False])

    def test_the_reply_may_be_as_long_as_it_says(self):
        start, end = '{"move":"noop","why":"', '"}'
        longest = start + "x" * (looop.REPLY_MAX - len(start + end)) + end
        self.assertEqual(looop.parse_move(longest).name, "noop")
        self.refuse(longest + " ", "the reply is longer than 256 KiB")
        self.refuse(longest[:-30] + "é" * 14 + end + " ", "longer")
        for reply in ("", " \n"):
            self.refuse(reply, "the runner answered nothing")


if __name__ == "__main__":
    unittest.main()
