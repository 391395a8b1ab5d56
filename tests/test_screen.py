"""The screen: recordings of real programs, one case per sequence, answers, sizes, pictures, and noise."""

import glob
import json
import os
import random
import re
import subprocess
import time
import unittest
import unittest.mock
from xml.etree import ElementTree

import looop
from tests.support import CAPTURED, Case, heavy

SCREENS = sorted(glob.glob(os.path.join(CAPTURED, "screens", "*.bin")))


def words(spelled_out):
    """Return words that are written with blanks between them."""
    return spelled_out.split()


def fed(stream, cols=10, rows=4, scrollback=50):
    screen = looop.Screen(cols, rows, scrollback)
    screen.feed(stream if isinstance(stream, bytes) else stream.encode())
    return screen


def text(screen):
    """Return the lines down to the last that is not blank."""
    return looop.picture_plain(screen, trim=True).split("\n")[:-1]


def read(path, mode="r"):
    with open(path, mode, **({} if "b" in mode else {"encoding": "utf-8"})) as file:
        return file.read()


def in_pieces(stream, chance, screen):
    start = 0
    while start < len(stream):
        end = start + chance()
        screen.feed(stream[start:end])
        start = end
    return screen


class Captures(unittest.TestCase):
    def test_recordings_end_as_another_terminal_saw_them(self):
        for path in SCREENS:
            seen = json.loads(read(path[:-3] + "json"))
            screen = fed(read(path, "rb"), seen["cols"], seen["rows"])
            with self.subTest(os.path.basename(path)):
                self.assertEqual(looop.screen_lines(screen), [line.rstrip() for line in seen["lines"]])
                self.assertEqual({"row": screen.row, "col": screen.col}, seen["cursor"])
                self.assertEqual(screen.alt, seen["alt"])
        self.assertGreater(len(SCREENS), 12)

    def test_a_recording_gives_the_same_screen_however_it_is_split(self):
        chance = random.Random(1)
        for path in SCREENS:
            stream = read(path, "rb")
            whole = fed(stream, 80, 24)
            sizes = [lambda: chance.randrange(1, 12), lambda: chance.randrange(1, 300)]
            for size in [*sizes, *([lambda: 1] if len(stream) < 4000 else [])]:
                split = in_pieces(stream, size, looop.Screen(80, 24, 50))
                self.assertEqual(state(split), state(whole), path)
                self.assertEqual(split.replies, whole.replies, path)

    def test_a_painted_screen_goes_on_as_the_recording_does(self):
        chance = random.Random(4)
        for path in SCREENS:
            stream = read(path, "rb")
            for cut in (len(stream), *(chance.randrange(len(stream)) for _ in range(2))):
                screen = fed(stream[:cut], 80, 24)
                painted = fed(looop.paint(screen, 50), 80, 24)
                self.assertEqual(lasting(painted), lasting(screen), (path, cut))
                for one in (screen, painted):
                    one.replies = []
                    one.feed(stream[cut:])
                self.assertEqual((lasting(painted), painted.replies), (lasting(screen), screen.replies), (path, cut))


# stream on a screen of 10x4 -> lines, cursor
CASES = (
    # text, wrap, controls
    ("abc", ["abc"], (0, 3)),
    ("a\x1bP\x1b\\b\x1bX\x1b\\c\x1b]\x07d\x1b_\x1b\\e", ["abcde"], (0, 5)),  # strings with nothing in them
    ("0123456789", ["0123456789"], (0, 9)),
    ("0123456789x", ["0123456789", "x"], (1, 1)),
    ("0123456789\r\nx", ["0123456789", "x"], (1, 1)),
    ("0123456789\bx", ["01234567x9"], (0, 9)),
    ("0123456789\x1b[Kx", ["0123456789", "x"], (1, 1)),
    ("0123456789\x1b[Jx", ["0123456789", "x"], (1, 1)),
    ("0123456789\x1b[D\x1b[Kx", ["01234567x"], (0, 9)),
    ("ab\x1b[3b!", ["abbbb!"], (0, 6)),
    ("abc\x1b[2D\x1b[b!", ["a!c"], (0, 2)),
    ("ab\x1b[1m\x1b[b!", ["ab!"], (0, 3)),
    ("+\x1b[b\x1b[2b", ["++"], (0, 2)),
    ("ab\r\n\x1b[b!", ["ab", "!"], (1, 1)),
    ("0123456789\x1b[C\x1b[Dx", ["01234567x9"], (0, 9)),
    ("0123456789\x1b[31mx", ["0123456789", "x"], (1, 1)),
    ("\x1b[?7l0123456789xyz", ["012345678z"], (0, 9)),
    ("\x1b[?7l0123456789\x1b[?7hxy", ["012345678x", "y"], (1, 1)),
    ("0123456789\x1b[?7l\x1b[?7hx", ["0123456789", "x"], (1, 1)),
    ("0123456789\x1b[?7lxy\x1b[?7hz", ["012345678z"], (0, 9)),
    ("a\tb\tc", ["a       bc"], (0, 9)),
    ("ab\rc\nd\x0be\x0cf", ["cb", " d", "  e", "   f"], (3, 4)),
    ("1\r\n2\r\n3\r\n4\r\n5", ["2", "3", "4", "5"], (3, 1)),
    ("\x1b[20hab\nc", ["ab", "c"], (1, 1)),
    (b"\x00a\x07\x7fb\xc2\x85c", ["abc"], (0, 3)),
    # motion
    ("\x1b[3;4HA\x1b[HB", ["B", "", "   A"], (0, 1)),
    ("\x1b[3;4fA\x1b[99;99HB", ["", "", "   A", "         B"], (3, 9)),
    ("\x1b[2;5H\x1b[AA\x1b[2BB\x1b[3DC\x1b[CD", ["    A", "", "   C DB"[:6]], None),
    ("\x1b[2EA\x1b[FB\x1b[5GC\x1b[4`D", ["", "B  DC", "A"], (1, 4)),
    ("\x1b[2dA\x1b[2aB\x1b[eC\x1b[999eD", ["", "A  B", "    C", "     D"], (3, 6)),
    ("\x1b[IA\x1b[ZB", ["        B"], (0, 9)),
    ("\x1b[3g\x1b[4G\x1bH\r\tA\x1b[4G\x1b[g\r\tB", ["   A     B"], (0, 9)),
    ("\x1b[2;3H\x1b7\x1b[HA\x1b8B", ["A", "  B"], (1, 3)),
    ("\x1b[2;3H\x1b[s\x1b[HA\x1b[uB", ["A", "  B"], (1, 3)),
    ("0123456789\x1b7\x1b[3;1H\x1b8x", ["0123456789", "x"], (1, 1)),
    ("ab\x1b8c", ["cb"], (0, 1)),
    # erasing and shifting
    ("abcdef\x1b[3G\x1b[K", ["ab"], (0, 2)),
    ("abcdef\x1b[3G\x1b[1K", ["   def"], (0, 2)),
    ("abcdef\x1b[2K", [], (0, 6)),
    ("a\r\nbcd\r\ne\x1b[2;2H\x1b[J", ["a", "b"], (1, 1)),
    ("a\r\nbcd\r\ne\x1b[2;2H\x1b[1J", ["", "  d", "e"], (1, 1)),
    ("a\r\nb\x1b[2J", [], (1, 1)),
    ("abcdef\x1b[2G\x1b[2X", ["a  def"], (0, 1)),
    ("abcdef\x1b[2G\x1b[2P", ["adef"], (0, 1)),
    ("abcdef\x1b[2G\x1b[2@", ["a  bcdef"], (0, 1)),
    ("0123456789\x1b[5G\x1b[99@", ["0123"], (0, 4)),
    ("0123456789\x1b[5G\x1b[99P", ["0123"], (0, 4)),
    ("a\r\nb\r\nc\r\nd\x1b[2;3H\x1b[L", ["a", "", "b", "c"], (1, 0)),
    ("a\r\nb\r\nc\r\nd\x1b[2;3H\x1b[M", ["a", "c", "d"], (1, 0)),
    ("a\r\nb\r\nc\r\nd\x1b[S", ["b", "c", "d"], (3, 1)),
    ("a\r\nb\r\nc\r\nd\x1b[2T", ["", "", "a", "b"], (3, 1)),
    ("ab\x1b[3b", ["abbbb"], (0, 5)),
    ("\x1b[4habc\rX\x1b[4lY", ["XYbc"], (0, 2)),
    ("\x1b#8", ["EEEEEEEEEE"] * 4, (0, 0)),
    # margins
    ("a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\nX", ["a", "c", "X", "d"], (2, 1)),
    ("a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[2;1H\x1bMX", ["a", "X", "b", "d"], (1, 1)),
    ("a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\x1bDX\x1bEY", ["a", "X", "Y", "d"], (2, 1)),
    ("a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[4;1H\nX", ["a", "b", "c", "X"], (3, 1)),
    ("\x1b[2;3r\x1b[?6hA\x1b[9;1HB\x1b[?6lC", ["C", "A", "B"], (0, 1)),
    ("\x1b[2;3r\x1b[2;2H\x1b[9AA\x1b[3;2H\x1b[9BB", ["", " A", " B"], (2, 2)),
    ("\x1b[3;2rA", ["A"], (0, 1)),
    ("\x1b[2;3r\x1b[!p\x1b[4;1H\nA", ["", "", "", "A"], (3, 1)),
    ("a\r\nb\x1b[2;3r\x1b[H\x1bMX", ["X", "b"], (0, 1)),
    # charsets
    ("\x1b(0lqk\x1b(Bq", ["┌─┐q"], (0, 4)),
    ("\x1b)0q\x0eq\x0fq", ["q─q"], (0, 3)),
    # alternate screens
    ("ab\x1b[?1049hXY\x1b[?1049lc", ["abc"], (0, 3)),
    ("ab\x1b[?1049hX\x1b[?1049l\x1b[?1049h", [], (0, 2)),
    ("ab\x1b[?1049hX\x1b[?1049hY", ["  XY"], (0, 4)),
    ("ab\x1b[?47hX\x1b[?47l\x1b[?47h", ["  X"], (0, 3)),
    ("ab\x1b[?1047hX\x1b[?1047l\x1b[?47h", [], (0, 3)),
    ("ab\x1b[?1048h\x1b[3;1H\x1b[?1048lc", ["abc"], (0, 3)),
    ("ab\x1bcc", ["c"], (0, 1)),
    # wide characters, marks, emoji
    ("漢字", ["漢字"], (0, 4)),
    ("漢字\x1b[2GX", [" X字"], (0, 2)),
    ("漢字\x1b[3GX", ["漢X"], (0, 3)),
    ("012345678漢", ["012345678", "漢"], (1, 2)),
    ("漢字\x1b[2G\x1b[P", ["  字"[:1] + "字"], (0, 1)),
    ("漢字\x1b[2G\x1b[X", ["  字"], (0, 1)),
    ("e\u0301x", ["e\u0301x"], (0, 2)),
    ("012345678e\u0301x", ["012345678e\u0301", "x"], (1, 1)),
    ("\u0301x", ["x"], (0, 1)),
    ("👩\u200d👩\u200d👧x", ["👩\u200d👩\u200d👧x"], (0, 3)),
    ("👩\u200d\x1b[m👧x", ["👩\u200d👧x"], (0, 5)),
    ("🇩🇪🇫🇷x", ["🇩🇪🇫🇷x"], (0, 5)),
    ("☝🏿x", ["☝🏿x"], (0, 3)),
    ("\x1b[10G☝🏿x", ["         ☝", "🏿x"], (1, 3)),
    ("👍🏽x", ["👍🏽x"], (0, 3)),
    ("❤\ufe0fx❤x", ["❤\ufe0fx❤x"], (0, 5)),
    ("1\ufe0f\u20e3x", ["1\ufe0f\u20e3x"], (0, 3)),
    ("🏃\u200d♂\ufe0fx", ["🏃\u200d♂\ufe0fx"], (0, 3)),
    ("\x1b[4h漢\rX", ["X漢"], (0, 1)),
    # what is broken or swallowed
    ("a\x1b[3\x18b", ["ab"], (0, 2)),
    ("a\x1b[3\x1b[Cb", ["a b"], (0, 3)),
    ("a\x1b[\x7f2\x7fCb\x1b(0\x1b[\x7fC", ["a  b"], (0, 5)),
    ("a\x1b[3\rCb", ["a  b"], (0, 4)),
    ("a\x1b]0;t\x1b[Cb", ["a b"], (0, 3)),
    ("a\x1bPq#0;2~~\x07\x1b\\\x1b_G\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\\x1bkname\x1b\\b", ["ab"], (0, 2)),
    ("a\x1b[?99h\x1b[1;2;3z\x1b[>5X\x1b[=1Xb\x1b%Gc\x1b[1$wd", ["abcd"], (0, 4)),
    (b"a\xffb\xe2\x82c\xf0\x9f", ["a\ufffdb\ufffdc"], (0, 5)),
    (b"\xed\xa0\x80\xc0\xaf", ["\ufffd" * 5], (0, 5)),
    ("\x1b]4;²;?\x07\x1b]104;²\x07\x1b[²", ["²"], (0, 1)),
)


class Sequences(unittest.TestCase):
    def test_each_sequence(self):
        for stream, lines, cursor in CASES:
            with self.subTest(stream):
                screen = fed(stream)
                self.assertEqual(text(screen), lines)
                self.assertEqual((screen.row, screen.col), cursor or (screen.row, screen.col))
                data = stream if isinstance(stream, bytes) else stream.encode()
                split = in_pieces(data, lambda: 1, looop.Screen(10, 4, 50))
                self.assertEqual(state(split), state(screen))

    def style(self, stream):
        """Return how an x looks that is written after a stream."""
        return looop.style_fields(fed(stream + "\rx", 40).lines[0].styles[0].key)

    def test_pens(self):
        for stream, fields in {
            "\x1b[31;42m": {"fg": 1, "bg": 2},
            "\x1b[91;102m": {"fg": 9, "bg": 10},
            "\x1b[38;5;208;48;5;0m": {"fg": 208, "bg": 0},
            "\x1b[38;2;1;2;3;48;2;255;0;16m": {"fg": "#010203", "bg": "#ff0010"},
            "\x1b[38:5:208m": {"fg": 208},
            "\x1b[38:2::1:2:3;48:2:4:5:6m": {"fg": "#010203", "bg": "#040506"},
            "\x1b[38;5;300;1m": {"fg": None, "bold": True},
            "\x1b[1;2;3;5;7;8;9m": dict.fromkeys(words("bold faint italic blink reverse conceal strike"), True),
            "\x1b[1;2;22;3;23;7;27m": {"bold": False, "faint": False, "italic": False, "reverse": False},
            "\x1b[4m": {"underline": "single"},
            "\x1b[4:3m": {"underline": "curly"},
            "\x1b[4:5m": {"underline": "dashed"},
            "\x1b[4:3;4:0m": {"underline": None},
            "\x1b[21m": {"underline": "double"},
            "\x1b[4;58;2;1;2;3;1m": {"underline": "single", "bold": True, "fg": None},
            "\x1b[58:5:3;1m": {"bold": True, "blink": False},
            "\x1b[31m\x1b[m": {"fg": None},
            "\x1b[31m\x1b[39m": {"fg": None},
            "\x1b[31;1;;4m": {"fg": None, "bold": False, "underline": "single"},
            "\x1b]8;id=1;http://x.y/\x1b\\\x1b[0m": {"link": "http://x.y/"},
            "\x1b]8;;http://x.y/\x07\x1b]8;;\x07": {"link": None},
            "\x1b[31m\x1b7\x1b[m\x1b8": {"fg": 1},
            "\x1b[1m\x1b[!p": {"bold": False},
            "\x1b[?31m\x1b[>31m": {"fg": None},
        }.items():
            style = self.style(stream)
            self.assertEqual({name: style[name] for name in fields}, fields, stream)

    def test_erasing_leaves_the_background(self):
        for erase in words("\x1b[2J \x1b[2K \x1b[9X \x1b[99P \x1b[9@ \x1b[L \x1b[9M \x1b[9S \x1b[T \x1bM"):
            screen = fed("\x1b[1;31;44m" + erase)
            self.assertEqual(screen.lines[0].styles[0].key, (None, 4, 0, 0, ""), erase)

    def test_modes_and_what_an_owner_reads(self):
        screen = fed("\x1b[?1h\x1b[?2004h\x1b[?25l\x1b]2;a title\x07\x1b[>5u")
        self.assertTrue(screen.application_cursor and screen.bracketed_paste and not screen.visible)
        self.assertEqual((screen.title, screen.kitty_flags), ("a title", 5))
        screen.feed(b"\x1b[?1049h")
        self.assertEqual(screen.kitty_flags, 0)
        screen.feed(b"\x1b[=3u\x1b[=4;2u\x1b[=1;3u")
        self.assertEqual(screen.kitty_flags, 6)
        screen.feed(b"\x1b[?1049l\x1b[>1u\x1b[<2u")
        self.assertEqual(screen.kitty_flags, 0)
        screen.feed(b"\x1b[22;0t\x1b]0;other\x1b\\\x1b[23;0t\x1b[23;0t")
        self.assertEqual(screen.title, "a title")
        screen.feed(b"\x1b[?1002h\x1b[?1003h")
        self.assertNotIn("?1002", screen.modes)
        screen.feed(b"\x1b[!p")
        self.assertTrue(screen.visible and not screen.application_cursor)

    def test_what_a_sequence_does_not_know_changes_nothing(self):
        for before, stream in (
            *(("\x1b[5 q", "\x1b[7 q"), ("\x1b[>5u", "\x1b[=1;4u"), ("\x1b[>4;2m", "\x1b[>3;1m")),
            *(
                ("\x1b[>4;2m", "\x1b[>5n"),
                ("\x1b]10;#010203\x07", "\x1b]10;red\x07"),
                ("\x1b]4;7;#123\x07", "\x1b]4;7\x07"),
            ),
        ):
            screen = fed(before)
            known = state(screen)
            screen.feed(stream.encode())
            self.assertEqual(state(screen), known, stream)
        screen = fed("\x1b[5 q\x1b[>5u\x1b[>4;2m")
        self.assertEqual((screen.cursor_style, screen.kitty_flags, screen.modify_keys), (5, 5, 2))
        screen.feed(b"\x1b[6 q\x1b[=7;1u\x1b[>4n")
        self.assertEqual((screen.cursor_style, screen.kitty_flags, screen.modify_keys), (6, 7, 0))
        screen.feed(b"\x1b[>4;2m\x1b[>4m")
        self.assertEqual(screen.modify_keys, 0)

    def test_sequences_of_any_length_are_taken_or_ignored_whole(self):
        most = looop.STRING_MAX // 2
        for size, cursor in ((most, 2), (most + 1, 1)):  # a control character acts, and the sequence moves one on
            padding = "0" * (size - len("\x1b[\r1C"))
            self.assertEqual(fed(f"abc\x1b[\r{padding}1Cx").col, cursor if cursor > 1 else 4, size)
        body = "x" * (looop.STRING_MAX * 2)
        for end in ("\x1b\\", "\x07"):  # held back in parts, its end too, and none of it is shown
            screen = in_pieces(f"a\x1b]0;{body}{end}b".encode(), lambda: 999, looop.Screen(10, 4))
            self.assertEqual((text(screen), screen.title), (["ab"], "x" * looop.TITLE_MAX))
        cut = looop.Screen(10, 4)
        cut.feed(f"a\x1b]0;{body}\x1b".encode())
        self.assertLess(len(cut.cutter.held), 5 * looop.STRING_MAX)
        cut.feed(b"\\b")
        self.assertEqual((text(cut), cut.title), (["ab"], "x" * looop.TITLE_MAX))

    def test_a_character_in_pieces(self):
        for char in ("é", "漢", "👍"):
            raw = char.encode()
            for at in range(1, len(raw)):
                screen = fed(b"a" + raw[:at])
                self.assertEqual((text(screen), screen.cutter.held), (["a"], raw[:at]))
                screen.feed(raw[at:] + b"b")
                self.assertEqual(text(screen), [f"a{char}b"])
        for raw in (
            b"\xc3A",
            b"\xe2A",
            b"\xe2\x82A",
            b"\xf0\x9fA",
            b"\xf0\x9f\x91A",
            b"\xf5",
            b"\xf0\x80",
            b"\xf0\xc3\xa9",
        ):
            screen = fed(b"a" + raw)
            self.assertEqual((text(screen), screen.cutter.held), (["a" + raw.decode("utf-8", "replace")], b""))
        screen = fed(b"\xc3")
        self.assertEqual((text(screen), screen.cutter.held), ([], b"\xc3"))


class Characters(unittest.TestCase):
    def test_widths(self):
        for width, chars in (
            (0, "\u0301\u200b\u200d\ufe0f\u1160\u11ff\u2028\u2029\u0000\ud800\u20dd"),
            (1, "a~é\u00ad\u0378→─\ue000\ufffd\u1200\U0001fb00\U00040000"),
            (2, "漢字한\u1100\u115f１🇩👍\U0001f900\U0001f9ff\U0001fa70\U0001faff\U00020000\U0003fffd\U0002fffe"),
        ):
            for char in chars:
                self.assertEqual(looop.cell_width(char), width, f"U+{ord(char):04X}")

    def test_what_is_remembered_of_widths_is_bounded(self):
        for code in range(0x4E00, 0x4E00 + 9000):
            self.assertEqual(looop.cell_width(chr(code)), 2)
        self.assertLess(len(looop._WIDTHS), 8300)
        self.assertEqual((looop.cell_width("一"), looop.cell_width("é")), (2, 1))

    def test_syllables_of_hangul_that_come_in_letters(self):
        screen = fed("\u1112\u1161\u11abx")
        self.assertEqual((text(screen), screen.col), (["\u1112\u1161\u11abx"], 3))


class Answers(unittest.TestCase):
    def test_each_question(self):
        for question, answer in {
            "\x1b[c": "\x1b[?62;22c",
            "\x1bZ": "\x1b[?62;22c",
            "\x1b[>c": "\x1b[>1;10;0c",
            "\x1b[=c": "",
            "\x1b[1c\x1b[>1c\x1b[>1q\x1b[9n\x1b[?15n\x1b[c": "\x1b[?62;22c",
            "\x1b[5n": "\x1b[0n",
            "\x1b[2;3H\x1b[6n": "\x1b[2;3R",
            "\x1b[2;3H\x1b[?6n": "\x1b[?2;3R",
            "\x1b[2;3r\x1b[?6h\x1b[2;4H\x1b[6n": "\x1b[2;4R",
            "0123456789\x1b[6n": "\x1b[1;10R",
            "\x1b[>0q": f"\x1bP>|looop({looop.VERSION})\x1b\\",
            "\x1b[?25$p": "\x1b[?25;1$y",
            "\x1b[?2026$p\x1b[?2026h\x1b[?2026$p": "\x1b[?2026;2$y\x1b[?2026;1$y",
            "\x1b[?1049h\x1b[?1049$p": "\x1b[?1049;1$y",
            "\x1b[?69$p": "\x1b[?69;0$y",
            "\x1b[4$p\x1b[3$p": "\x1b[4;2$y\x1b[3;0$y",
            "\x1b[1;38;5;208m\x1bP$qm\x1b\\": "\x1bP1$r0;1;38;5;208m\x1b\\",
            "\x1b[5 q\x1bP$q q\x1b\\": "\x1bP1$r5 q\x1b\\",
            "\x1b[2;3r\x1bP$qr\x1b\\": "\x1bP1$r2;3r\x1b\\",
            "\x1bP$qz\x1b\\": "\x1bP0$r\x1b\\",
            "\x1bP+q544e\x1b\\": "\x1bP0+r\x1b\\",
            "\x1b[>3u\x1b[?u": "\x1b[?3u",
            "\x1b[14t\x1b[16t\x1b[18t": "\x1b[4;64;80t\x1b[6;16;8t\x1b[8;4;10t",
            "\x1b]11;?\x07": "\x1b]11;rgb:1010/1010/1010\x07",
            "\x1b]10;#ff8000\x07\x1b]10;?\x1b\\": "\x1b]10;rgb:ffff/8080/0000\x1b\\",
            "\x1b]10;?;?\x07": "\x1b]10;rgb:d8d8/d8d8/d8d8\x07\x1b]11;rgb:1010/1010/1010\x07",
            "\x1b]4;1;?;208;?\x07": "\x1b]4;1;rgb:cdcd/0000/0000\x07\x1b]4;208;rgb:ffff/8787/0000\x07",
            "\x1b]4;1;rgb:1/2;1;rgb:1/2/3x;1;#12\x07\x1b]4;x;?;1;?;256;?\x07": "\x1b]4;1;rgb:cdcd/0000/0000\x07",
            "\x1b]4;255;?\x07\x1b]4;232;?\x07": "\x1b]4;255;rgb:eeee/eeee/eeee\x07\x1b]4;232;rgb:0808/0808/0808\x07",
            "\x1b]11;?;?\x07": "\x1b]11;rgb:1010/1010/1010\x07",
            "\x1b]4;1;rgb:1/22/333\x07\x1b]4;1;?\x07\x1b]104;1\x07": "\x1b]4;1;rgb:1111/2222/3333\x07",
            "\x1b]11;#fff\x07\x1b]111\x07\x1b]11;?\x07": "\x1b]11;rgb:1010/1010/1010\x07",
            "\x1b[?996n": "\x1b[?997;1n",
            "\x1b[0\nc": "\x1b[?62;22c",
            "\x05text\x1b[1m\x1b[2;2H": "",
        }.items():
            screen = fed(question)
            self.assertEqual(b"".join(screen.replies).decode(), answer, question)
            for cut in range(1, len(question)) if answer else ():
                canvas = looop.Canvas(10, 4)
                for part in (b"", question[:cut].encode(), question[cut:].encode()):
                    canvas.add(part)
                    canvas.draw()
                self.assertEqual(b"".join(canvas.screen.replies).decode(), answer, (question, cut))

    def test_a_program_that_never_reads_costs_little(self):
        self.assertLess(len(fed(b"\x1b[c" * 20000).replies), 5000)


class Floods(unittest.TestCase):
    def test_no_flood_holds_a_supervisor_up(self):
        for unit in ("\x1bc", "\x1b[2J", "\x1b#8", "\x1b[?1049h\x1b[?1049l", "漢\x1b[9999999b"):
            canvas = looop.Canvas(120, 40)
            begun = time.thread_time()
            for _ in range(5):
                canvas.add(unit.encode() * (64 * 1024 // len(unit.encode())))
            canvas.skim()
            canvas.draw()
            self.assertLess(time.thread_time() - begun, 0.8, unit)
            self.assertTrue(canvas.pending, unit)

    def test_a_screen_on_which_the_last_output_is_given_up_is_partial(self):
        canvas, told = looop.Canvas(120, 40), []
        canvas.add(b"\x1bc" * 20000)
        canvas.when_current(lambda: told.append(canvas.screen.partial))
        canvas.draw()
        self.assertEqual((bool(canvas.pending), told), (True, []))
        canvas.give_up()
        canvas.draw()
        self.assertEqual((canvas.pending, canvas.size, told), ([], 0, [True]))

    def test_viewers_that_are_painted_at_once_share_what_they_are_painted_of(self):
        canvas = looop.Canvas(300, 200)
        canvas.screen.feed(b"\x1b[31mred\x1b[m text\r\n" * 300)
        begun = time.thread_time()
        pictures = [canvas.picture(number % 2 * 2000) for number in range(190)]
        self.assertLess(time.thread_time() - begun, 0.5)
        canvas.screen.feed(b"\x1b[2J")
        first, second, *others = (b"".join(pictures[at]) for at in (0, 1, 188, 189))
        self.assertEqual(others, [first, second])
        self.assertEqual((first.count(b"red"), second.count(b"red")), (199, 300))
        canvas.draw()
        self.assertNotIn(b"red", b"".join(canvas.picture(0)))

    def test_links_without_number_take_little_memory(self):
        screen = looop.Screen(40, 4)
        for number in range(1200):
            screen.feed(b"\x1b]8;;%d/%s\x1b\\x" % (number, b"a" * 3000))
        styles = [style for line in screen.lines for style in line.styles]
        styles += [style for line in screen.history for style, _ in line.runs]
        self.assertLess(sum(len(style.key[4]) for style in styles), 3 << 20)
        self.assertEqual(text(screen), ["x" * 40] * 4)
        self.assertTrue(screen.lines[3].styles[39].key[4].startswith(";1199/"))

    def test_answers_that_nobody_reads_do_not_pile_up(self):
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        keyboard = looop.Keyboard(looop.Loop(), lambda: None)
        keyboard.pty = theirs
        for _ in range(100):
            keyboard.answer(b"\x1b[0n" * 4096)
        self.assertLess(len(keyboard._answers), 128 * 1024)
        os.close(ours)
        os.close(theirs)


class Sizes(unittest.TestCase):
    def test_there_and_back(self):
        stream = "".join(f"{n} a line of text 漢字\r\n" for n in range(20)) + "$ prompt"
        for start in (b"", b"\x1b[2J\x1b[H"):
            screen = fed(stream.encode() + start + b"top", 40, 10)
            before = looop.screen_lines(screen), screen.row, screen.col, len(screen.history)
            for size in ((40, 4), (20, 10), (7, 3), (80, 30), (16, 1)):
                screen.resize(*size)
                self.assertEqual((screen.cols, screen.rows, len(screen.lines)), (*size, size[1]))
                screen.resize(40, 10)
                self.assertEqual(
                    (looop.screen_lines(screen), screen.row, screen.col, len(screen.history)), before, size
                )

    def test_step_by_step_and_after_a_change(self):
        screen = fed("0123456789\r\nabc漢defg", 10, 3)
        for cols in (8, 4, 6, 5, 9, 10):
            screen.resize(cols, 3)
        self.assertEqual(text(screen), ["0123456789", "abc漢defg"])
        screen.resize(4, 3)
        self.assertEqual(text(screen), ["0123", "abc"])
        screen.feed(b"\x1b[HX")
        screen.resize(10, 3)
        self.assertEqual(text(screen), ["X123", "abc漢defg"])

    def test_the_alternate_screen_is_cut_and_the_main_one_kept(self):
        screen = fed("".join(f"{n}\r\n" for n in range(5)) + "end\x1b[?1049h\x1b[Hone\r\ntwo\r\nthree", 10, 6)
        screen.resize(10, 2)
        self.assertEqual((text(screen), screen.row), (["two", "three"], 1))
        screen.resize(10, 6)
        screen.feed(b"\x1b[?1049l!")
        self.assertEqual(text(screen), ["0", "1", "2", "3", "4", "end!"])

    def test_one_column_has_no_room_for_what_is_wide(self):
        screen = fed("a漢b", 1, 4)
        self.assertEqual((text(screen), screen.row, screen.col), (["a", "b"], 1, 0))

    def test_a_size_that_comes_between_a_character_and_its_repetition_changes_neither(self):
        screen = fed("a👩\u200d")
        screen.resize(12, 5)
        screen.feed("👧b".encode())
        screen.resize(9, 4)
        screen.feed(b"\x1b[3b")
        self.assertEqual(text(screen), ["a👩\u200d👧bbbb"])

    def test_the_same_size_changes_nothing(self):
        screen = fed("0123456789\x1b[2;3r\x1b[4;10H")
        before = state(screen)
        screen.resize(10, 4)
        self.assertEqual(state(screen), before)
        self.assertEqual((screen.top, screen.bottom), (1, 2))
        screen.resize(10, 5)
        self.assertEqual((screen.top, screen.bottom), (0, 4))

    def test_a_grid_alone(self):
        grid = looop.Grid(4, 3)
        for row in range(3):
            grid.move(row, 0)
            grid.write(f"row{row}")
        grid.resize(4, 2)
        self.assertEqual(["".join(line.chars) for line in grid.lines], ["row1", "row2"])
        self.assertEqual((grid.row, grid.vanished, len(grid.history)), (1, 1, 1))
        grid.resize(4, 3)
        self.assertEqual(["".join(line.chars) for line in grid.lines], ["row0", "row1", "row2"])

    def test_parse_size(self):
        self.assertEqual(looop.parse_size("80x24"), (80, 24))
        for wrong in (
            "",
            "80",
            "x",
            "80x",
            "1x24",
            "80x0",
            "1001x5",
            "5x1001",
            "8 x4",
            "-5x5",
            "²x5",
            "80x24x3",
            "9" * 99,
        ):
            with self.assertRaises(ValueError, msg=wrong):
                looop.parse_size(wrong)

    def test_what_is_kept_is_bounded(self):
        self.assertEqual(len(fed(b"x\r\n" * 500, 10, 4, 100).history), 100)
        self.assertEqual(fed(b"x\r\n" * 500, 10, 4, 0).history, [])
        screen = fed("e" + "\u0301" * 5000 + "\x1b]2;" + "t" * 9000 + "\x07" + "\x1b[>1u" * 99 + "\x1b[22;0t" * 99)
        self.assertLess(max(map(len, screen.lines[0].chars)), 20)
        self.assertLess(len(screen.title), 300)
        self.assertLess(max(len(screen.kitty[0]), len(screen.titles)), 20)
        for opener in (b"\x1b]0;", b"\x1bP", b"\x1b_", b"\x1b["):
            held = in_pieces(opener + b"1" * 300000, lambda: 7000, looop.Screen(10, 4))
            self.assertLess(len(held.cutter.held), 20000)
            end = {b"\x1b[": b"C"}.get(opener, b"\x1b\\")
            held.feed(end + b"A")
            self.assertEqual(state(held), state(fed(opener + b"1" * 300000 + end + b"A", 10, 4, 2000)))
            self.assertEqual(text(held), ["A"])
        screen = fed(b"".join(b"\x1b[38;2;%d;%d;0mx" % (n % 256, n // 256) for n in range(20000)))
        self.assertLess(len(screen._styles), 9000)

    def test_huge_numbers_take_little_time(self):
        start = time.process_time()
        for final in "@ABCDEFGHIJKLMPSTXZ`abdefgr":
            fed(f"word\x1b[99999999{final}\x1b[{'9' * 500};{'9' * 500}{final}".encode() * 5, 200, 100)
        self.assertLess(time.process_time() - start, 5)


class Pictures(Case):
    def test_json(self):
        picture = looop.picture_json(fed("\x1b]0;t\x07a漢\x1b[44m \x1b[;3;38;2;1;2;3mb\x1b[?25l"))
        self.assertEqual(list(picture), ["cols", "rows", "cursor", "alt", "title", "lines", "cells"])
        self.assertEqual(picture["cursor"], {"row": 0, "col": 5, "visible": False})
        self.assertEqual(picture["lines"], ["a漢 b", "", "", ""])
        self.assertEqual(
            [(c["col"], c["text"], c["width"]) for c in picture["cells"]],
            [(0, "a", 1), (1, "漢", 2), (3, " ", 1), (4, "b", 1)],
        )
        keys = words("row col text width fg bg bold faint italic underline blink reverse conceal strike link")
        self.assertEqual(set(picture["cells"][0]), set(keys))
        self.assertEqual((picture["cells"][2]["bg"], picture["cells"][3]["fg"]), (4, "#010203"))

    def test_ansi_draws_the_same_again(self):
        screen = fed("\x1b[1;31mred\x1b[m and \x1b]8;;http://x.y\x07link\x1b]8;;\x07\r\n漢字 \x1b[7m  ", 20)
        drawn = looop.picture_ansi(screen)
        again = fed(drawn.replace("\n", "\r\n").rstrip(), 20)
        self.assertEqual(lasting(again)["lines"], lasting(screen)["lines"])

    def test_svg_is_xml_of_the_right_size_whatever_is_on_the_screen(self):
        for path in SCREENS:
            drawing = looop.picture_svg(fed(read(path, "rb"), 80, 24), 3, "<a> & \x01\uffff")
            self.assertIn("viewBox", ElementTree.fromstring(drawing).attrib)
        screen = fed('\x1b[1;3;4:3;9;31mA <&>"\ufffe\x1b[0;7mB\x1b[0m┌─╬━╭░▞▊漢 \x1b[8mhidden', 20, 2)
        root = ElementTree.fromstring(looop.picture_svg(screen))
        spans = [(span.get("x"), span.get("textLength"), span.text) for span in root.findall(".//{*}tspan")]
        shown = [("0", "56", 'A <&>"\ufffd'), ("56", "8", "B"), ("64", "64", "┌─╬━╭░▞▊"), ("128", "16", "漢")]
        self.assertEqual(spans, shown)
        self.assertEqual(
            [rect.get("x") for rect in root.findall(".//{*}rect")], [None, "56", "40"]
        )  # all, B, the cursor
        lines = root.find(".//{*}tspan").attrib
        self.assertEqual(
            (lines["text-decoration"], lines["style"]), ("underline line-through", "text-decoration-style:wavy")
        )

    def test_the_verb(self):
        path = os.path.join(CAPTURED, "screens", "vim.bin")
        seen = json.loads(read(path[:-3] + "json"))
        lines = [line.rstrip() for line in seen["lines"]]
        self.assertEqual(self.looop("render", path).split("\n")[:-1], lines)
        self.assertEqual(json.loads(self.looop("render", path, "--json"))["lines"], lines)
        ElementTree.fromstring(self.looop("render", path, "--svg"))
        self.assertIn("\x1b[", self.looop("render", path, "--ansi"))
        command = self.command("render", "--size", "5x2", "--trim", "--scrollback=1")
        out = subprocess.run(command, env=self.env, input=b"1\r\n2\r\n3\r\n\x1b[c", capture_output=True, check=True)
        self.assertEqual(out.stdout, b"2\n3\n")
        out = subprocess.run(
            self.command("render", "-", "--replies"), env=self.env, input=b"\x1b[c", capture_output=True, check=True
        )
        self.assertEqual(out.stdout, b"\x1b[?62;22c")
        for words in (["--size", "1x1"], ["--scrollback", "x"], ["--svg", "--json"]):
            self.looop("render", path, *words, code=2)
        self.looop("render", "/nowhere", code=1)
        self.assertIn("No such file", self.stderr)


TYPED = {f"?{number}" for number in (1, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004, 2031)}
ELSEWHERE = words("?47 ?66 ?1047 ?1048 ?1049")  # modes that something else remembers
UNTOLD = words("?1007 ?1015 ?1016 ?1048")  # modes that a terminal may lack: DECRQM answers that they are not known
HEARD = words("BEL OSC_0 OSC_1 OSC_2 OSC_7 OSC_9 OSC_52 OSC_99 OSC_777")
BEFORE = (  # two terminals: what is set in one of them is not in the other
    "",
    "\x1b[?1;1002;1006;2004h\x1b[4h\x1b=\x1b[>5u\x1b[>4;2m\x1b[5 q\x1b]2;one\x07\x1b[22;0t\x1b]2;two\x07"
    "\x1b]4;1;#010203\x07\x1b]10;#111111\x07\x1b]11;#222222\x07\x1b)0\x1b7\x0e\x1b(0\x1b[1;6r\x1b[1;31m\x1b]8;;http://x\x07",
)
PARAMETERS = ("", "0", "1", "2", "3", "4", "6", "14", "25", "4;2")
BODIES = ("", ";text", ";?", ";1;?", ";1;#040506", ";#040506", ";;http://y")


LASTING = set(words("alt tabs title titles palette foreground background kitty modify_keys cursor_style replies"))


def remembered(screen):
    """Return what a screen remembers beside its cells and its cursor, and what it has answered."""
    names = words("alt shift keypad cursor_style modify_keys foreground background title top bottom")
    names += words("charsets kitty palette titles tabs modes saved replies")
    return {**{name: repr(getattr(screen, name)) for name in names}, "pen": screen.pen.key}


def observed(streams):
    """Return the flags that a function should have by what it does to screens, in each of its spellings."""
    found, usual = set(), {"?7", "?25"}
    for at, (stream, start) in enumerate((stream, start) for stream in streams for start in BEFORE):
        ends, more = [], at < 8  # a large parameter clears all, and goes to an edge
        for place in ("\x1b[3;3H", "\x1b[5;5H"):
            screen = fed("filled\r\n" * 9 + start + place, 9, 7)
            was, modes = remembered(screen), {*screen.modes}
            screen.feed(stream.encode())
            now, new = remembered(screen), (screen.modes ^ usual) - (modes ^ usual)
            changed = {name for name in now if now[name] != was[name]}
            clears = not screen.history or (more and not {*text(screen)} - {"EEEEEEEEE"})
            found |= {"keep"} if changed or clears else set()
            found |= {"clears"} if clears and text(screen)[:1] != ["EEEEEEEEE"] else set()
            typed = (TYPED & screen.modes) != (TYPED & modes) or changed & {"kitty", "modify_keys", "keypad"}
            found |= {"input"} if typed else set()
            found |= {"lasts"} if new or changed & LASTING else set()
            ends.append((screen.row, screen.col))
        found |= {"keep"} if more and ends[0] == ends[1] else set()
    return found


def wanted_flags(mnemonic, form):
    """Return the flags of a function: seen on screens, but for what only another terminal hears."""
    found = observed(spellings(form))
    lasts = found & {"lasts", "clears"} and mnemonic != "DECSTR"  # which undoes
    draws = form[:3] in ("ESC", "CSI") and not lasts and mnemonic != "RM"  # which is judged as SM is
    heard = mnemonic.split(":")[0].replace(" ", "_") in HEARD
    return found & {"keep", "input"} | ({"draw"} if draws else set()) | ({"viewer"} if heard else set())


def flags_in_use(streams):
    """Return the flags that the expressions which come from the table give a function."""
    looop._SKIMMING.clear()
    streams = [stream.encode() for stream in streams]
    kept = [stream for stream in streams if looop.skimmed(stream) == stream]
    typing = re.compile(looop.sequences("input").encode("latin-1"))
    judged = re.compile(looop.not_drawing().encode("latin-1"), re.DOTALL)
    heard = re.compile(looop.picked("viewer").encode("latin-1"))
    found = {"keep"} if kept else set()
    found |= {"input"} if any(map(typing.search, streams)) else set()
    found |= {"draw"} if streams[0][:1] == b"\x1b" and not any(map(judged.search, streams)) else set()
    return found | ({"viewer"} if any(any(heard.findall(stream)) for stream in streams) else set())


def spellings(form):
    """Return a function of the table as programs may write it."""
    kind, *signs = form.split(" ")
    signs = [sign.replace("SP", " ") for sign in signs]
    if kind == "CSI":
        prefix = signs.pop(0) if signs[0] in "<=>?" else ""
        return [f"\x1b[{prefix}{numbers}{''.join(signs)}" for numbers in PARAMETERS]
    if kind == "OSC":
        return [f"\x1b]{signs[0]}{body}\x07" for body in BODIES]
    if kind == "DCS":
        return [f"\x1bP{''.join(signs)}m\x1b\\"]
    return ["\x1b" + "".join(signs).replace("*", final) for final in "0B"] if signs else [form]


class Table(unittest.TestCase):
    def test_a_function_is_kept_and_passed_on_by_what_it_does(self):
        for mnemonic, form, _, _ in looop.FUNCTIONS:
            self.assertEqual(flags_in_use(spellings(form)), wanted_flags(mnemonic, form), mnemonic)

    @heavy
    def test_each_flag_of_each_function_is_needed(self):
        whole, deleted = looop.FUNCTIONS, 0
        self.addCleanup(setattr, looop, "FUNCTIONS", whole)
        for at, (mnemonic, form, method, flags) in enumerate(whole):
            for flag in flags.split():
                less = " ".join(one for one in flags.split() if one != flag)
                looop.FUNCTIONS = (*whole[:at], (mnemonic, form, method, less), *whole[at + 1 :])
                self.assertNotIn(flag, flags_in_use(spellings(form)), (mnemonic, flag))
                deleted += 1
        looop._SKIMMING.clear()
        self.assertGreater(deleted, 100)

    def test_the_flags_of_each_mode_are_what_it_does(self):
        groups = []
        for name, (mnemonic, _, flags) in looop.MODES.items():
            screen = fed(f"\x1b[{name}h\x1b[{name}$p\x1b[{name}l\x1b[{name}$p")
            answers = [b"\x1b[%s;%d$y" % (name.encode(), 0 if name in UNTOLD else on) for on in (1, 2)]
            self.assertEqual(screen.replies, answers, mnemonic)
            wanted = set() if name in ELSEWHERE else {"kept"}
            self.assertEqual(name in fed(f"\x1b[{name}h").modes, "kept" in wanted, mnemonic)
            wanted |= set() if name in UNTOLD else {"report"}
            wanted |= {"input"} if name in TYPED else set()
            others = {other for other in looop.MODES if name not in fed(f"\x1b[{name}h\x1b[{other}h").modes}
            others = others if "kept" in wanted else set()
            groups += [others | {name}] if others else []
            self.assertEqual(set(flags.split()) - {"tracking", "encoding"}, wanted, mnemonic)
        self.assertEqual(
            sorted(map(sorted, groups)), [["?1000", "?1002", "?1003"]] * 3 + [["?1005", "?1006", "?1015", "?1016"]] * 4
        )
        self.assertFalse(fed("\x1b[?99h\x1b[3h").modes - {"?7", "?25"})


WORDS = words(
    "hello x 漢字 é e\u0301 🇩🇪 🇩 👍🏽 🏽 ❤\ufe0f 1\ufe0f\u20e3 ─│┌ \u0301 \u200d \ufe0f lqqk ♂ 👩\u200d👩\u200d👧"
)
WORDS += ["   ", "word " * 9, "中" * 30, "\r\n", "\n", "\r", "\t", "\b", "\x0e", "\x0f", "\x18"]
PENS = words("0 1 3 4:3 7 31 42 38;5;99 48:2::1:2:3 21 22 39 58:5:3 38;2;9;8;7")
WHOLE = words(
    "\x1b7 \x1b8 \x1bD \x1bE \x1bM \x1bH \x1b= \x1b> \x1b(0 \x1b(B \x1b)0 \x1b[3g \x1b[4h \x1b[4l \x1b[20h \x1b[20l"
    " \x1b#8 \x1b[!p \x1bc \x1b[>1u \x1b[>5u \x1b[<u \x1b[=3;2u \x1b[?u \x1b]0;title\x07 \x1b]2;é漢\x1b\\ \x1b[22;0t"
    " \x1b[23;0t \x1b]8;;http://x.y/?a=b\x1b\\ \x1b]8;;\x07 \x1b]4;1;#ff0102\x07 \x1b]4;3;?\x07 \x1b]10;rgb:1/2/3\x1b\\"
    " \x1b]11;?\x07 \x1b]104\x07 \x1b]104;1\x07 \x1b]110\x07 \x1bPabc\x1b\\ \x1bP$qm\x1b\\ \x1bP+q544e\x1b\\"
    " \x1b_G..\x1b\\ \x1b[c \x1b[>c \x1b[5n \x1b[?6n \x1b[>0q \x1b[?2004$p \x1b[18t \x1b[>4;2m \x1b[s \x1b[u"
    " \x1b[>4n \x1b[4$p \x1bZ \x1b[31\x18 \x1b]0;abc\x1b[1m"
    " \x1b]52;c;\x0e\x07 \x1b[3\x0eC \x1b]52;\x1b"
)
WHOLE += ["\x1b[3\n1m", "\x1b\n[2C", "\x1b[2 q"]
MODES = (1, 5, 6, 7, 12, 25, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1047, 1048, 1049, 2004, 2026, 2031)


def noise(chance):
    """Return a stream of everything, sometimes damaged."""
    parts = []
    for _ in range(chance.randrange(5, 60)):
        kind = chance.random()
        if kind < 0.4:
            parts.append(chance.choice(WORDS))
        elif kind < 0.66:
            numbers = [str(chance.choice((0, 1, 2, 3, 5, 9, 20, 999))) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
            parts.append(f"\x1b[{';'.join(numbers)}{chance.choice('ABCDEFGHIJKLMPSTXZ`abcdefghlmnrstu@')}")
        elif kind < 0.78:
            parts.append(f"\x1b[{chance.choice(PENS)}m")
        elif kind < 0.86:
            parts.append(f"\x1b[?{chance.choice(MODES)}{chance.choice('hl')}")
        else:
            parts.append(chance.choice(WHOLE))
    stream = bytearray("".join(parts).encode())
    for _ in range(chance.choice((0, 0, 1, 4))):
        at = chance.randrange(len(stream))
        odd = bytes(chance.choice(b"\x1b\x9b\x18\xe2\xf0[;\xff\x0e\x80\x7f") for _ in range(chance.randrange(3)))
        stream[at : at + chance.randrange(4)] = odd
    return bytes(stream)


def value_of(value):
    """Return a value of a screen's state in a form that can be compared: styles by their keys, lines by their cells."""
    if isinstance(value, looop.Style):
        return value.key
    if isinstance(value, looop.Line):
        return [(char, style.key) for char, style in zip(value.chars, value.styles)]
    if isinstance(value, looop.Packed):
        return list(value.cells), [style.key for style, count in value.runs for _ in range(count)]
    if isinstance(value, (list, tuple)):
        return [value_of(one) for one in value]
    return getattr(value, "held", value)


def state(screen):
    """Return the whole state of a screen, but for what follows from the rest."""
    derived = words("simple plain replies cutter skimming")
    found = {name: value_of(value) for name, value in vars(screen).items() if name[0] != "_" and name not in derived}
    return {**found, "held": screen.cutter.held}


def lasting(screen):
    """Return the state that a painted terminal has too: without what only another size brings back."""
    found, last = state(screen), screen.cols - 1
    for name in ("vanished", "cut_col"):
        del found[name]
    found["other"] = found["other"] or value_of(screen.blank_lines(screen.rows))
    found["tabs"] = sorted(col for col in screen.tabs if col <= last)
    found["saved"] = [saved and [*saved[:2], saved[2] and saved[1] == last, *saved[3:]] for saved in screen.saved]
    return found


SKIMMED = words("modes alt pen charsets shift kitty keypad cursor_style modify_keys palette foreground background")
SKIMMED += words("title titles top bottom held")


class Noise(unittest.TestCase):
    def test_noise(self):
        self.check_noise(40)

    @heavy
    def test_much_noise(self):
        self.check_noise(350)

    def check_noise(self, count):
        chance = random.Random(2026)
        worst, answers = 0.0, 0
        for _ in range(count):
            stream = noise(chance)
            cols, rows = chance.choice(((20, 6), (10, 4), (40, 10), (7, 3), (2, 2)))
            start = time.process_time()
            screen = fed(stream, cols, rows, 30)
            worst = max(worst, time.process_time() - start)
            self.check_lines(screen, stream)
            self.check_split(chance, screen, stream)
            self.check_paint(chance, screen, stream)
            self.check_skim(screen, stream)
            answers += len(screen.replies)
        self.assertLess(worst, 2)
        self.assertGreater(answers, count // 4)

    def test_the_noise_makes_every_sequence(self):
        chance, made = random.Random(2026), set()
        for _ in range(350):
            stream = noise(chance).decode("utf-8", "replace")
            made.update("".join(parts) for parts in re.findall(r"\x1b\[([<-?]?)[0-9:;]*([ -/]*)([@-~])", stream))
            made.update(re.findall("\x1b(?:[ -/]?[0-~])", stream))
        self.assertEqual(
            {name for name in looop.DISPATCH if name[-1] > " " and name[-1] != "*" and name[0] not in "]P"} - made,
            set(),
        )

    def check_lines(self, screen, stream):
        for line in screen.lines + screen.other:
            self.assertEqual((len(line.chars), len(line.styles)), (screen.cols, screen.cols), stream)
            self.assertTrue(all(line.chars[at - 1] for at, cell in enumerate(line.chars) if not cell), stream)
            self.assertNotEqual(line.chars[0], "", stream)

    def check_paint(self, chance, screen, stream):
        past = chance.choice((0, 5, 30))
        data = looop.paint(screen, past)
        painted = fed(data, screen.cols, screen.rows, 30)
        theirs, ours = lasting(painted), lasting(screen)
        self.assertEqual(theirs["history"], ours["history"][-past:] if past else [], stream)
        self.assertEqual({**theirs, "history": ours["history"]}, ours, stream)
        self.assertEqual(painted.replies, [], stream)
        self.assertNotRegex(data, rb"\x1b\[[0-9;]*[23]J|\x1bc")
        used = fed(b"\x1b[?47h\x1b#8\x1b[?47l\x1b#8" + looop.paint(screen), screen.cols, screen.rows)
        self.assertEqual(lasting(used)["lines"], ours["lines"], stream)
        again, more = fed(looop.paint(screen, 30), screen.cols, screen.rows, 30), noise(chance)
        other = fed(looop.paint(screen, 30), screen.cols, screen.rows, 30)
        again.feed(more)
        in_pieces(more, lambda: chance.randrange(1, 20), other)
        self.assertEqual(state(again), state(other), stream)
        goes_on = fed(stream, screen.cols, screen.rows, 30)
        goes_on.replies = []
        goes_on.feed(more)
        self.assertEqual((lasting(again), again.replies), (lasting(goes_on), goes_on.replies), (stream, more))

    def check_split(self, chance, screen, stream):
        split = in_pieces(stream, lambda: chance.choice((1, 1, 2, 5, 30)), looop.Screen(screen.cols, screen.rows, 30))
        self.assertEqual(state(split), state(screen), stream)
        self.assertEqual(split.replies, screen.replies, stream)

    def check_skim(self, screen, stream):
        skimmed = looop.Screen(screen.cols, screen.rows, 30)
        skimmed.skim(stream[: len(stream) // 2])
        skimmed.skim(stream[len(stream) // 2 :])
        theirs, ours = lasting(skimmed), lasting(screen)
        self.assertEqual([theirs[name] for name in SKIMMED], [ours[name] for name in SKIMMED], stream)
        kinds = [[reply for reply in one.replies if not reply.endswith(b"R")] for one in (skimmed, screen)]
        self.assertEqual(*kinds, stream)

    def skim(self, screen, data):
        canvas = looop.Canvas(10, 4)
        canvas.screen = screen
        canvas.add(data)
        canvas.skim(enough=0)

    def marks(self, screen):
        return "".join("?" if line.partial else "." for line in screen.lines)

    def test_lines_that_a_skim_left_stale_say_so_until_they_are_drawn_anew(self):
        screen = fed("header\r\none\r\ntwo", 10, 4)
        self.assertFalse(screen.partial)
        self.skim(screen, b"\x1b[2;1Htext that is left out\x1b[")
        self.assertEqual((text(screen), self.marks(screen), screen.partial), (["header", "one", "two"], "????", True))
        self.assertEqual((screen.row, screen.cutter.held), (1, b"\x1b["))
        screen.feed(b"K\r0123456789\x1b[4;1H\x1b[2Kfoot\x1b[3;1H\x1b[Mx")  # written whole, erased, scrolled in
        self.assertEqual((text(screen), self.marks(screen)), (["header", "0123456789", "xoot"], "?..."))
        screen.resize(5, 6)
        self.assertEqual(self.marks(screen), "?.....")
        screen.feed(b"\x1b[2J")
        self.assertEqual((screen.partial, self.marks(screen)), (False, "......"))
        self.skim(screen, b"a flood \x1b[2J of text\r\n" * 9)
        screen.feed(b"line\r\n" * 9)
        self.assertEqual((screen.partial, text(screen)), (False, ["line"] * 5))

    def test_a_skim_marks_both_screens_where_it_passes_them(self):
        for flood, shown, left in (
            (b"text", "....", "????"),
            (b"text\x1b[?47l text \x1b[?47h", "????", "????"),
            (b"text\x1b[?1049l text", "....", ""),
        ):
            screen = fed("main\x1b[?47halternate", 10, 4)
            self.skim(screen, flood)
            if not screen.alt:
                self.assertEqual(self.marks(screen), "????")
                continue
            self.assertEqual(self.marks(screen), left, flood)
            screen.feed(b"\x1b[?47l")
            self.assertEqual(self.marks(screen), shown, flood)

    def test_coloured_text_is_skimmed_to_its_last_pens(self):
        chance, resets = random.Random(11), 0
        pens = [b"", b"0", b"1", b"31", b"0;4", b"38;5;200", b"4:3", b"48:2::1:2:3", b"7;0;1"]
        for _ in range(300):
            stream = b"".join(
                chance.choice((b"word ", b"\xe2\x94\x82", b"\r\n", b"\x1b[%sm" % chance.choice(pens)))
                for _ in range(chance.randrange(1, 40))
            )
            stream += chance.choice(
                (b"", b"", b"\x1b", b"\x1b[", b"\x1b[3", b"\x1b[6n", b"\x1b]0;x\x07", b"\x1b[c\x1b[1m")
            )
            stream = chance.choice((b"", b"", b"\x1b[6n", b"\x1b]0;[0m\x1b[0m", b"\x1b7", b"\x0e")) + stream
            self.check_skim(fed(stream, 20, 6, 30), stream)
            resets += b"\x1b[0m" in stream or b"\x1b[m" in stream
        self.assertGreater(resets, 100)
        long = (b"\x1b[31mred\x1b[0m plain " * 5000) + b"\x1b[1mbold"
        self.assertEqual(looop.skimmed(long), b"\x1b[0m\x1b[1m")

    @heavy
    def test_skim_is_linear(self):
        for piece in (
            b"\x1b",
            b"\x1b[",
            b"\x1b]",
            b"\x1bP",
            b"\x1b[1;",
            b"1;",
            b"\x1b]0;x",
            b"\x1b[\x0e",
            b"\x1b(",
            b"a\x0e",
            b"\n",
        ):
            for stream in (piece * (100000 // len(piece)), b"\x1b[" + piece * 25000, b"\x1b]" + piece * 25000):
                start = time.process_time()
                looop.skimmed(stream)
                self.assertLess(time.process_time() - start, 2, piece)

    def test_a_painted_screen_goes_on_the_same_way(self):
        for stream, size, more, shown in (
            ("\x1b[?47h0123456789\x1b7\x1b[?1047l", (10, 4), "\x1b[?47h\x1b8x", ["", "x"]),  # saved before a wrap
            ("\x1b[2;3r\x1b[?6h\x1b[5ea", (10, 4), "b\x1b[1;1Hc", ["", "c", "ab"]),  # VPR in origin mode
            ("a\x1b[?1047h\x1b7\x1b[?1049lb", (2, 1), "c\x1b[?47hd", ["d"]),
            ("a\x1b[2;9H\x1b7\x1b[H", (5, 4), "\x1b8b", ["a", "    b"]),  # saved where a narrower screen has no column
            ("\x1b[?47h\x1b[4;9H\x1b7\x1b[H\x1b[?47l", (5, 2), "\x1b[?47h\x1b8b", ["", "    b"]),
        ):
            screen = fed(stream, *(size if size < (5, 0) else (10, 4)))
            screen.resize(*size)
            painted = fed(looop.paint(screen), *size)
            self.assertEqual(lasting(painted), lasting(screen), stream)
            for one in (screen, painted):
                one.feed(more.encode())
            self.assertEqual((text(painted), lasting(painted)), (shown, lasting(screen)), stream)

    def test_cells_of_one_style_are_one_run_however_it_came_about(self):
        screen = fed("\x1b[31ma")
        for number in range(looop._STYLES_MAX + 1):  # more than are remembered: red becomes another object
            screen.feed(f"\x1b[38;2;1;{number // 256};{number % 256}m".encode())
        screen.feed(b"\x1b[0;31mbc")
        self.assertIsNot(screen.lines[0].styles[0], screen.lines[0].styles[1])
        self.assertEqual(looop.paint(screen).count(b"31mabc"), 1)


class Kept(unittest.TestCase):
    """What is stored of a screen, and what is hidden in it."""

    def made(self, steps):
        try:
            while True:
                next(steps)
        except StopIteration as end:
            return end.value

    def masked(self, stream, secrets, cols=40, rows=4):
        screen = fed(stream, cols, rows)
        before = state(screen)
        masked = self.made(looop.masked(screen, secrets))
        self.assertEqual(state(screen), before)
        return masked

    def test_secrets_are_masked_cell_by_cell(self):
        stream = "key=hunter2 \x1b[1mhunter2\x1b[m 漢! \x1b]2;hunter2!\x07\x1b[2;1Hhunter3"
        masked = self.masked(stream, [("hunter2", "KEY"), ("漢", "HAN")], 40, 2)
        self.assertEqual(text(masked), ["key=******* ******* **!", "hunter3"])
        self.assertEqual(masked.title, "*******!")
        self.assertEqual([line.styles[12].key[2] for line in masked.lines], [looop.BOLD, 0])
        self.assertEqual((masked.row, masked.col), (1, 7))

    def test_a_secret_that_wraps_is_masked(self):
        secret = "s3cr3t-" * 7
        for before, width in (("KEY=", 40), ("", 40), ("\x1b[?1049h", 25), ("history\r\n" * 9, 12)):
            masked = self.masked(f"{before}{secret}\r\nend", [(secret, "KEY")], width, 4)
            shown = "".join(looop.screen_lines(masked, 50))
            self.assertNotIn("s3cr3t", shown)
            self.assertEqual((shown.count("*"), shown[-3:]), (len(secret), "end"))
        box = "│ " + secret[:30] + " │\r\n│ " + secret[30:] + " │"
        shown = text(self.masked(box, [(secret, "KEY")]))
        self.assertEqual(shown, [f"│ {'*' * 30} │", f"│ {'*' * 19} │"])

    def test_a_secret_is_masked_where_the_stream_or_the_screen_has_cut_it(self):
        for stream in ("\x1b]2;s3cr3t-value", "\x1bPs3cr3t-value\x1b", "\x1b]8;;x?s3cr3t-value"):
            self.assertNotIn(b"s3cr3t", looop.paint(self.masked(stream, [("s3cr3t-value", "KEY")])))
        screen = fed("key s3cr3t-value", 40, 4)
        screen.resize(10, 4)
        self.assertEqual(text(self.made(looop.masked(screen, [("s3cr3t-value", "KEY")]))), ["key ******"])

    def test_what_looks_like_a_secret_is_masked_over_rows(self):
        token = "ghp_" + "a1B2" * 9
        self.assertEqual(text(self.masked(f"$ {token}", [], 30, 3)), ["$ " + "*" * 28, "*" * 12])
        key = "-----BEGIN PRIVATE KEY-----\r\nMIIEuc8Kf2WqAb7dE0s9\r\n-----END PRIVATE KEY-----\r\n$"
        self.assertEqual(text(self.masked(key, [])), ["*" * 27, "*" * 20, "*" * 25, "$"])
        link = self.masked(f"\x1b]8;;https://x/?t={token}\x07here\x1b]8;;\x07", [])
        self.assertNotIn(token, looop.picture_ansi(link))
        self.assertEqual(text(link), ["here"])

    def test_a_screen_comes_back_with_the_history_that_is_wanted(self):
        for stream in (
            "".join(f"{n} a line of text 漢字\r\n" for n in range(20)) + "$ \x1b[?2004h",
            "1",
            "\x1b[?1049hx",
        ):
            screen = fed(stream, 40, 6)
            screen.resize(12, 6)  # what has left it is wider now
            for wanted in (0, 3, 50):
                head = looop.paint_head(screen, wanted)
                data = b"".join(looop.painted(screen, wanted, head["width"]))
                again = looop.repainted(head, data, wanted)
                self.assertEqual(looop.screen_lines(again, wanted), looop.screen_lines(screen, wanted))
                self.assertEqual(
                    {**lasting(again), "history": 0, "scrollback": 0},
                    {**lasting(screen), "history": 0, "scrollback": 0},
                )
        for stale in (5, ["a", [], {}, 1, 99, -1], {"1": 1}, None):
            again = looop.repainted({"cols": 4, "rows": 4, "width": 4, "partial": stale}, b"", 0)
            self.assertEqual(
                [line.partial for line in again.lines], [False, stale == ["a", [], {}, 1, 99, -1], *[False] * 2]
            )
        for head in (
            {},
            {"cols": 4, "rows": 4},
            {"cols": 4, "rows": 4, "width": None},
            {"cols": "x", "rows": 4, "width": 4},
        ):
            with self.assertRaises(ValueError):
                looop.repainted(head, b"", 0)

    def test_a_picture_is_made_in_slices_of_the_moment_it_was_asked_for(self):
        screen = fed("\x1b[31mred\x1b[m plain line\r\n" * 1500 + "end", 120, 40, 2000)
        slices = looop.painted(screen, 2000)
        first = next(slices)
        screen.feed(b"\x1b[2J\x1b[Hother" + b"\r\nmore" * 500)
        again = fed(first + b"".join(slices), 120, 40, 2000)
        self.assertEqual((len(again.history), text(again)[-1]), (1461, "end"))
        wild = "".join(f"\x1b[38;2;{n % 256};{n // 256};0mx" for n in range(120 * 40))
        self.assertLess(max(map(len, looop.painted(fed(wild, 120, 40)))), 64 * 1024)
        self.assertGreater(len(list(looop.painted(screen, 2000))), 20)


if __name__ == "__main__":
    unittest.main()
