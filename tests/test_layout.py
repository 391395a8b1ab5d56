"""What people read, at the width of their terminal: no word is broken, lines hang under their text, cells are cut."""

import json
import os
import re
import time
import unittest

import looop
from tests.support import LONG, Case, Terminal, heavy


def words_of(text):
    """Return the words of a text, without colours and without what frames them."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).split()


class Lines(unittest.TestCase):
    """The layout of a line, from its text and the width alone."""

    def test_what_fits_and_what_goes_to_a_pipe_stays_as_it_is(self):
        long = "looop: a  b " + "word " * 50
        self.assertEqual(looop.laid_out(long, 0), long)
        self.assertEqual(looop.laid_out("a  b\n  c ", 20), "a  b\n  c ")

    def test_the_rest_hangs_under_the_text(self):
        cases = {
            "last move  2026-01-02 looked at the build again": [
                "last move  2026-01-02",
                "           looked at the",
                "           build again",
            ],
            "! the pulse died a while ago, nobody looks": ["! the pulse died a while", "  ago, nobody looks"],
            "    nobody has answered since this morning": ["    nobody has answered", "    since this morning"],
            "● acted  looked at the build again": ["● acted  looked at the", "         build again"],
        }
        for text, shown in cases.items():
            self.assertEqual(looop.laid_out(text, 26).split("\n"), shown)
        error = looop.laid_out("looop: a: sentence about an error: remedy", 24, 7)
        self.assertEqual(error, "looop: a: sentence about\n       an error: remedy")

    def test_a_label_that_is_too_long_leaves_no_room_to_hang_in(self):
        text = "a label of many words here  and a text"
        self.assertEqual(looop.laid_out(text, 30), "a label of many words here\nand a text")

    def test_no_word_is_broken_and_none_is_lost(self):
        texts = [
            "data  /home/someone/with/a/long/name/.local/state/looop",
            "see  `looop start-session db --command x` and more  of  it",
            "x" * 90 + " y  z",
            "  one two three [a default that is long enough to be split] four",
            "\x1b[2mlast move\x1b[0m  \x1b[33mpaused until tomorrow morning\x1b[0m, because of the release",
        ]
        for text in texts:
            for width in range(20, 100):
                lines = looop.laid_out(text, width).split("\n")
                self.assertEqual(words_of("\n".join(lines)), words_of(text))
                for line in lines:
                    self.assertTrue(
                        looop.visible_width(line) <= width or len(words_of(line)[-1]) > width, (width, line)
                    )

    def test_a_short_command_stays_on_one_line(self):
        shown = looop.laid_out("the pulse does not run: `looop up` starts it", 32)
        self.assertEqual(shown, "the pulse does not run:\n`looop up` starts it")

    def test_what_a_word_takes_is_counted_in_cells(self):
        self.assertEqual(looop.visible_width("日本"), 4)
        self.assertEqual(looop.visible_width("e\u0301"), 1)
        self.assertEqual(looop.visible_width("\U0001f469\u200d\U0001f4bb"), 2)
        self.assertEqual(looop.visible_width("\U0001f1e9\U0001f1ea"), 2)
        self.assertEqual(looop.visible_width("❤\ufe0f"), 2)
        self.assertEqual(looop.laid_out("日本語 日本語 日本語 日本語", 21), "日本語 日本語 日本語\n日本語")

    def test_cells_are_cut_in_the_open(self):
        self.assertEqual(looop.clipped("abcdef", 6), "abcdef")
        self.assertEqual(looop.clipped("abcdef", 5), "abcd…")
        self.assertEqual(looop.clipped("日本語", 5), "日本…")
        self.assertEqual(looop.clipped("日本語", 4), "日…")
        self.assertEqual(looop.clipped("\x1b[31mabcdef\x1b[0m", 4), "\x1b[31mabc…\x1b[0m")
        rows = [("ID", "FLAG", "AGE"), ("w", "which of the two is meant?", "3 m")]
        self.assertEqual(looop.aligned(rows, width=20), ["ID  FLAG         AGE", "w   which of t…  3 m"])
        self.assertEqual(looop.aligned(rows, width=200), looop.aligned(rows))

    def test_a_line_that_a_smaller_terminal_cuts_is_marked(self):
        screen = looop.Screen(8, 4)
        screen.feed("abcdefgh\r\nabcd\r\n日本語字\r\nabc日本x".encode())
        shown = ["".join(looop.marked_cut(line, 5).chars) for line in screen.lines]
        self.assertEqual(shown, ["abcd…", "abcd ", "日本…", "abc …"])
        self.assertIs(looop.marked_cut(screen.lines[0], 8), screen.lines[0])

    def test_nothing_said_as_json_is_ever_laid_out(self):
        with open(looop.__file__, encoding="utf-8") as file:
            self.assertEqual(re.findall(r"\bsay\((?:compact|exact_line|canonical)\(.*", file.read()), [])


LIVELY = (  # every view of a profile in which much goes on
    *(("status",), ("asks",), ("why",), ("why", "now"), ("ls",), ("sensor", "list"), ("sensor", "test", "ci")),
    *(("cost",), ("claims",), ("doctor",), ("tick",), (), ("-h",), ("help", "attach"), ("attach", "nobody")),
)


@heavy
class Lively(Case):
    """A profile with goals, a failing sensor, workers, a flag, asks, a diff and a gate that holds."""

    git = True
    long = True

    def setUp(self):
        super().setUp()
        self.signal('{"signal":{"failing":0,"branch":"main"},"detail":{"log":"all is well"}}')
        self.profile(
            goals={"ship-v2": "Ship version 2 by Friday.\n", "answer-the-mail": "Every mail has an answer in a day.\n"},
            sensors={"ci": "cat ~/signal", "grafana": "echo no route to the server of the graphs >&2; exit 3"},
            playbook="# PLAYBOOK\n\n1. The customer in Lyon comes first.\n2. Never push on a Friday.\n",
        )
        self.beat({"move": "ask", "question": "Which of the two drafts goes to the customer in Lyon this week?"})
        body = "# PLAYBOOK\n\n1. The customer in Lyon comes first, and whoever waits for longer than two days.\n"
        self.beat({"move": "write_playbook", "body": body, "why": "two mails were older than the PLAYBOOK allows"})
        clean = "rm -rf ~/builds/2026-01 ~/builds/2026-02 ~/builds/2026-03 ~/builds/2026-04 ~/builds/2026-05"
        self.beat({"move": "shell", "command": clean, "reversible": True, "why": "the disk is nearly full"})
        self.beat({"move": "start_worker", "id": "fix-ci", "prompt": "Find out why the tests fail."})
        self.looop("start-session", "rewrite-the-billing-report-for-lyon", "--command", "sleep 1000")
        self.looop("flag", "fix-ci", "Two tests fail since the upgrade of the parser: skip them, or go back a version?")
        self.looop("claim", "billing-report-2026", "--session", "fix-ci")
        self.looop("answer", "1", "the", "second")
        self.signal('{"signal":{"failing":7,"branch":"main","jobs":[{"name":"unit"},{"name":"lint"}]}}')
        self.beat({"move": "noop", "journal": "the build fails since the upgrade of the parser: fix-ci works on it"})
        self.decided = self.runs()[-1]
        self.signal("oops")
        self.replies("no move at all")
        self.looop("tick", code=1)

    def signal(self, text):
        with open(os.path.join(self.home, "signal"), "w") as file:
            file.write(text)

    def beat(self, reply):
        """Run a beat that has something to decide on."""
        path = os.path.join(self.home, "reply")
        with open(path, "w") as file:
            file.write(json.dumps(reply))
        self.config(
            {
                "default": "fake",
                "gate": {"worker": "never"},
                "runners": {
                    "fake": {
                        "mode": "typed",
                        "tick": f"cat >/dev/null; cat {path}",
                        "interactive": "cat {{prompt_file}}; sleep 1000",
                        "unmetered": True,
                    }
                },
            }
        )
        self.write("goals/learn-polish.md", f"Ten words a day, from day {time.time()}.\n")
        return self.tick()

    def view(self, cols, words):
        """Return what a verb writes to a terminal of so many columns."""
        terminal = Terminal(cols, 300)
        self.addCleanup(terminal.close)
        self.show(terminal, *words, env={"TERM": "xterm", "PAGER": "cat"})
        with terminal.lock:
            return terminal.received.decode().replace("\0", "").replace("\r\n", "\n")

    def test_every_view_fits_at_60_80_and_140_columns(self):
        for number, words in enumerate((*LIVELY, ("why", self.decided))):
            known = {*words_of(self.view(400, words)), "idle"}
            for cols in (140, 80, 60) if LONG else (60, 140 if number % 2 else 80):
                text = self.view(cols, words)
                with self.subTest(cols=cols, words=words):
                    self.assertGreater(len(text), 40)
                    if words[:2] != ("sensor", "test"):  # which shows what a sensor prints, and what it might
                        self.assertNotIn('{"', text)
                    for line in text.split("\n"):
                        width = looop.visible_width(line)
                        self.assertTrue(width <= cols or len(words_of(line)[-1]) > cols - 20, f"{width}: {line}")
                    found = {word for word in words_of(text) if not re.search(r"\d|…$", word)}
                    self.assertLessEqual(found, known, "a word is broken")

    def test_what_status_goals_and_history_say(self):
        self.write("goals/üñï.md", "Translate the handbook.\n")
        status = self.looop("status")
        self.assertRegex(status, r"asks +2 · 1 flag\n")
        self.assertEqual(json.loads(self.looop("status", "--json"))["flags"], 1)
        self.assertIn("sensor grafana: exit 3: no route to the server of the graphs: `looop sensor test", status)
        self.assertNotIn("?:", status)
        self.looop("flag", "rewrite-the-billing-report-for-lyon", "look")
        self.assertRegex(self.looop("status"), r"asks +2 · 2 flags\n")
        self.looop("unflag", "rewrite-the-billing-report-for-lyon")
        self.looop("unflag", "fix-ci")
        self.assertRegex(self.looop("status"), r"asks +2\n")
        self.assertIn("üñï  ", self.looop("goals"))
        history = self.looop("history")
        self.assertIn("proposed  as ask 3: rm -rf", history)
        self.assertNotIn("start_worker: started worker", history)
        self.assertIn("; start_worker, ", history)

    def test_a_diff_is_coloured_in_a_terminal_and_plain_in_a_pipe(self):
        shown = self.view(80, ("asks",))
        for colour, line in (("31", r"-1\. The customer"), ("32", r"\+1\. The customer"), ("31", "---"), ("2", "@@")):
            self.assertRegex(shown, rf"\x1b\[{colour}m *{line}")
        self.assertNotIn("\x1b", self.looop("asks"))
        self.assertIn("    +1. The customer", self.looop("asks"))

    def test_a_prompt_that_is_shown_is_laid_out_and_one_for_a_pipe_is_exact(self):
        for words in (("tick", "--dry-run"), ("run", "ship-v2", "--dry-run")):
            exact = self.looop(*words)
            long = next(line for line in exact.split("\n") if line.startswith("|   | ") and len(line) > 90)
            shown = self.view(60, words)
            self.assertNotIn(long, shown)
            for line in shown.split("\n"):
                self.assertTrue(looop.visible_width(line) <= 60 or len(words_of(line)[-1]) > 40, line)
            first = long[6:].split(" ")[0]
            at = shown.split("\n").index(next(line for line in shown.split("\n") if line.startswith(f"|   | {first} ")))
            self.assertTrue(shown.split("\n")[at + 1].startswith("|   | "), "what goes on keeps the mark of data")


class Terminals(Case):
    """Verbs in a terminal, and beside it."""

    def shown(self, cols, *words, env=None):
        """Run a verb in a terminal of so many columns; return (its exit code, the lines it shows)."""
        terminal = Terminal(cols, 60)
        self.addCleanup(terminal.close)
        code = self.show(terminal, *words, env={"TERM": "xterm", **(env or {})})
        return code, terminal.text().rstrip("\n").split("\n")

    def test_an_error_is_a_paragraph_in_a_terminal_and_a_line_in_a_pipe(self):
        code, lines = self.shown(40, "why")
        self.assertEqual(code, 1)
        self.assertEqual(lines, ["looop: why: there is no profile yet:", "       looop tick makes one"])
        self.looop("why", code=1)
        self.assertEqual(self.stderr, "looop: why: there is no profile yet: looop tick makes one\n")

    def test_columns_is_heeded(self):
        _, lines = self.shown(100, "why", env={"COLUMNS": "40"})
        self.assertEqual(len(lines), 2)
        _, lines = self.shown(100, "why", env={"COLUMNS": "many"})
        self.assertEqual(len(lines), 1)


if __name__ == "__main__":
    unittest.main()
