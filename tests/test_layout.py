"""What people read, at the width of their terminal: no word is broken, lines hang under their text, cells are cut."""

import re
import unittest

import looop
from tests.support import Case, Terminal


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

    def test_nothing_said_as_json_is_ever_laid_out(self):
        with open(looop.__file__, encoding="utf-8") as file:
            self.assertEqual(re.findall(r"\bsay\((?:compact|json_line|canonical)\(.*", file.read()), [])


class Terminals(Case):
    """Verbs in a terminal, and beside it."""

    def shown(self, cols, *words, env=None):
        """Run a verb in a terminal of so many columns; return (its exit code, the lines it shows)."""
        terminal = Terminal(cols, 60)
        self.addCleanup(terminal.close)
        terminal.run(self.command(*words), {**self.env, "TERM": "xterm", **(env or {})}, self.home)
        code = terminal.end()
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
