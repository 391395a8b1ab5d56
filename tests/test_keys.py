"""Keys, what a viewer types, frames, and logs as text: the pure parts of sessions, and the log beside them."""

import os
import random
import shutil
import tempfile
import time
import unittest

import looop
from tests.support import detach_key


class Keys(unittest.TestCase):
    def test_what_a_terminal_sends(self):
        for name, wanted in (
            ("Enter", b"\r"), ("Tab", b"\t"), ("Esc", b"\x1b"), ("Space", b" "), ("BSpace", b"\x7f"), ("a", b"a"),
            ("Up", b"\x1b[A"), ("Down", b"\x1b[B"), ("Right", b"\x1b[C"), ("Left", b"\x1b[D"), ("Home", b"\x1b[H"),
            ("End", b"\x1b[F"), ("Ins", b"\x1b[2~"), ("Del", b"\x1b[3~"), ("PgUp", b"\x1b[5~"), ("PgDn", b"\x1b[6~"),
            ("F1", b"\x1bOP"), ("F4", b"\x1bOS"), ("F5", b"\x1b[15~"), ("F11", b"\x1b[23~"), ("F12", b"\x1b[24~"),
            ("C-c", b"\x03"), ("C-C", b"\x03"), ("C-Space", b"\0"), ("C-@", b"\0"), ("C-[", b"\x1b"), ("C-\\", b"\x1c"),
            ("C-BSpace", b"\x08"), ("C-Enter", b"\r"), ("C-M-BSpace", b"\x1b\x08"), ("C-Esc", b"\x1b"),
            ("C-?", b"\x7f"), ("M-x", b"\x1bx"), ("M-C-x", b"\x1b\x18"), ("C-M-x", b"\x1b\x18"), ("S-a", b"A"),
            ("S-Tab", b"\x1b[Z"), ("BTab", b"\x1b[Z"), ("C-Up", b"\x1b[1;5A"), ("S-F1", b"\x1b[1;2P"),
            ("C-S-F5", b"\x1b[15;6~"), ("M-Enter", b"\x1b\r"), ("é", "é".encode()), ("-", b"-"), ("C--", None),
            ("enter", b"\r"), ("PAGEUP", b"\x1b[5~"), ("C-é", None), ("F13", None), ("", None), ("C-", None),
            ("Hyper-x", None), ("c-x", None),
        ):  # fmt: skip
            with self.subTest(name):
                if wanted is None:
                    self.assertRaises(ValueError, looop.key_bytes, name)
                else:
                    self.assertEqual(looop.key_bytes(name), wanted)

    def test_modes_of_the_program(self):
        self.assertEqual(looop.key_bytes("Up", application=True), b"\x1bOA")
        self.assertEqual(looop.key_bytes("C-Up", application=True), b"\x1b[1;5A")
        self.assertEqual(looop.key_bytes("Esc", kitty=1), b"\x1b[27u")
        self.assertEqual(looop.key_bytes("C-c", kitty=1), b"\x1b[99;5u")
        self.assertEqual(looop.key_bytes("S-Enter", kitty=1), b"\x1b[13;2u")
        self.assertEqual(looop.key_bytes("S-Tab", kitty=1), b"\x1b[9;2u")
        self.assertEqual(looop.key_bytes("Enter", kitty=1), b"\r")
        self.assertEqual(looop.key_bytes("a", kitty=1), b"a")

    def test_no_text_ends_its_brackets(self):
        source = random.Random(7)
        pieces = [b"\x1b", b"[200~", b"[201~", b"\x1b[201~", b"\x1b[200~", b"x", b"["]
        for _ in range(2000):
            text = b"".join(source.choice(pieces) for _ in range(source.randrange(12)))
            out = looop.defused(text)
            self.assertNotIn(looop.PASTE_BEGIN, out)
            self.assertNotIn(looop.PASTE_END, out)
            self.assertEqual(out.replace(b"\x1b", b""), text.replace(b"\x1b", b""))
        self.assertEqual(looop.defused(b"\x1b[1mplain\x1b[m \x1b"), b"\x1b[1mplain\x1b[m \x1b")


class Typed(unittest.TestCase):
    def fed(self, pieces, extended=False):
        return detach_key(pieces, extended)

    def test_the_detach_key_however_it_is_spelled_and_split(self):
        forms = [b"\x1c", b"\x1b[92;5u", b"\x1b[92;5:1u", b"\x1b[92;69u", b"\x1b[27;5;92~"]
        for first in forms:
            for second in forms:
                for between in (b"", b"\x1b[92;5:3u"):
                    data = b"ab" + first + between + second + b"late"
                    extended = b"\x1b" in data
                    self.assertEqual(self.fed([data], extended), (b"ab", True), data)
                    split = [data[i : i + 1] for i in range(len(data))]
                    self.assertEqual(self.fed(split, extended), (b"ab", True), data)

    def test_what_is_not_the_detach_key_passes_whole(self):
        for data in (
            b"\x1c",
            b"\x1cx\x1c",
            b"a\x1b[A\x1b[B",
            b"\x1b[92;5ux\x1b[92;5u",
            b"\x1b",
            b"\x1b[92;1u\x1b[92;1u",
            b"\x1bx\x1bOP",
            b"\x1b[92;5" + b"0" * 40,
        ):
            for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
                self.assertEqual(self.fed(pieces, True), (data, False), pieces)

    def test_answers_of_a_terminal_are_no_typing(self):
        answers = (
            b"\x1b[?62;22c", b"\x1b[>1;10;0c", b"\x1b[12;40R", b"\x1b[?0u", b"\x1bP>|xterm(1)\x1b\\", b"\x1b[?2004;2$y",
            b"\x1b]11;rgb:0000/0000/0000\x07", b"\x1b]4;1;rgb:00/00/00\x1b\\", b"\x1b[0n", b"\x1b[8;24;80t",
            b"\x1bP1$r0m\x1b\\", b"\x1b[?12;40R", b"\x1b[4;1$y", b"\x1b[3n",
        )  # fmt: skip
        for due in (True, False):
            for answer in answers:
                judge = looop.ReplyFilter()
                judge.expect_until = 10.0 if due else 0.0
                self.assertEqual(judge.passed(b"ab" + answer + b"cd", 5.0), b"abcd", answer)
            split = looop.ReplyFilter()
            split.expect_until = 10.0
            data = b"x".join(answers)
            out = b"".join(split.passed(data[i : i + 1], 5.0) for i in range(len(data)))
            self.assertEqual(out, b"x" * (len(answers) - 1))

    def test_keys_are_no_answers(self):
        keys = (
            b"\x1b",
            b"\x1b[A",
            b"\x1bOP",
            b"\x1b[1;5A",
            b"\x1b[1;2R",
            b"\x1b[15~",
            b"\x1bx",
            b"\x1b[97;5u",
            b"\x1b]",
            b"\x1bP",
            b"\x1b[4;1y",
            b"\x1b[7n",
            b"\x1b[8;24t",
        )
        others = (b"\x1b[200~text\x1b[201~", b"\x1b[<0;10;10M", b"\x1b[I", b"\x1b[O", b"\x1b[Mabc")
        for data in keys + others:
            judge = looop.ReplyFilter()
            self.assertEqual(judge.passed(data, 5.0) + judge.release(), data)
        judge = looop.ReplyFilter()  # F3 with Shift looks like an answer, while one is due
        judge.expect_until = 10.0
        self.assertEqual(judge.passed(b"\x1b[1;2R", 5.0), b"")

    def test_the_beginning_of_a_string_hides_no_answer_after_it(self):
        for due in (0.0, 10.0):
            judge = looop.ReplyFilter()
            judge.expect_until = due
            data = b"\x1b]\x1b]11;rgb:0/0/0\x07x\x1bP\x1b[0n\x1b[A"
            self.assertEqual(judge.passed(data, 5.0), b"\x1b]x\x1bP\x1b[A")

    def test_nothing_is_looked_for_inside_a_paste(self):
        detach, answer = b"a\r\x1c\x1c\x1b[92;5u\x1b[92;5ub\r", b"\x1b[0n\x1b]11;rgb:0/0/0\x07"
        pasted = looop.PASTE_BEGIN + detach + answer + looop.PASTE_END
        for extended in (True, False):
            for cut in range(len(pasted) + 1):
                pieces = [pasted[:cut], pasted[cut:]]
                self.assertEqual(self.fed(pieces, extended), (pasted, False), cut)
                self.assertEqual(self.fed([*pieces, b"\x1c\x1c"], extended), (pasted, True), cut)
                self.assertEqual(self.fed([b"\x1c", *pieces, b"\x1c"], extended), (b"\x1c" + pasted + b"\x1c", False))
                judge = looop.ReplyFilter()
                judge.expect_until = 10.0
                out = b"".join(judge.passed(piece, 5.0) for piece in (*pieces, answer))
                self.assertEqual(out, pasted, cut)

    def test_a_key_that_comes_slowly_is_waited_for_and_escape_hardly(self):
        key = looop.DetachKey()
        key.extended = True
        waits = []
        for byte in b"\x1b[92;5u":
            self.assertEqual(key.typed(bytes((byte,))), (b"", False))
            waits.append(key.patience())
        self.assertEqual(waits, [looop.ESCAPE_PATIENCE] * 2 + [looop.DETACH_PATIENCE] * 5)
        self.assertGreater(looop.ESCAPE_PATIENCE, 0.06)

    def test_beginnings_without_an_end_take_time_in_proportion(self):
        for piece in (b"\x1b]", b"\x1bP", b"\x1b]\x1b\\", b"\x1b[", b"\x1b[1"):
            for due in (0.0, 2.0):
                replies = looop.ReplyFilter()
                replies.expect_until = due
                begun = time.process_time()
                replies.passed(piece * (64 * 1024 // len(piece)), 1.0)
                self.assertLess(time.process_time() - begun, 0.5, piece)

    def test_what_never_ends_is_not_held_for_ever(self):
        judge = looop.ReplyFilter()
        judge.expect_until = 10.0
        data = b"\x1b]" + b"x" * 10000
        self.assertEqual(judge.passed(data, 5.0), data)


class FramesAndText(unittest.TestCase):
    def test_how_a_size_is_written(self):
        self.assertEqual(looop.size_frame(80, 258), b"s\0\0\0\x04\0\x50\x01\x02")
        self.assertEqual(looop.size_frame(1, 1000, b"z"), b"z\0\0\0\x04\0\x01\x03\xe8")

    def test_frames_however_they_are_cut(self):
        source = random.Random(3)
        sizes = [source.choice((0, 1, 5, 300)) for _ in range(50)]
        wanted = [(bytes([97 + size % 26]), os.urandom(size)) for size in sizes]
        stream = b"".join(looop.frame(kind, body) for kind, body in wanted)
        for size in (1, 2, 7, 64, len(stream)):
            frames = looop.Frames()
            got = [one for i in range(0, len(stream), size) for one in frames.feed(stream[i : i + size])]
            self.assertEqual(got, wanted)
        self.assertRaises(ValueError, list, looop.Frames().feed(b"i\xff\xff\xff\xff"))

    def test_plain_text_is_the_same_however_it_is_cut(self):
        data = (
            "naïve \x1b[31mréd\x1b[0m\r\n\x1b]0;title\x07\U0001f600 a\rb\x08\x1b(B tab\t\x1bPq#\x1b\\end\r\n".encode()
            + b"\xff\xfe."
        )
        whole = looop.PlainText(1000)
        whole.feed(data, last=True)
        self.assertEqual(whole.text, "naïve réd\n\U0001f600 a\nb tab\tend\n\udcff\udcfe.")
        for size in (1, 2, 3, 5):
            text = looop.PlainText(1000)
            for place in range(0, len(data), size):
                text.feed(data[place : place + size])
            text.feed(b"", last=True)
            self.assertEqual(text.text, whole.text, size)
            for word in ("naïve", "réd", "\U0001f600", "tab", "end", "."):
                end = whole.text.index(word) + len(word)
                self.assertEqual(text.offset_of(end), whole.offset_of(end))
                spelled = word.encode()
                self.assertTrue(data[: whole.offset_of(end) - 1000].endswith(spelled), word)

    def test_the_end_of_a_line_comes_with_its_line(self):
        text = looop.PlainText(0)
        self.assertEqual(
            [text.feed(piece) for piece in (b"a\r\n", b"b\r", b"\n", b"\x1b[K\n")], ["a\n", "b", "\n", "\n"]
        )

    def test_text_that_was_dropped_leaves_offsets_right(self):
        text = looop.PlainText(0)
        data = b""
        for number in range(500):
            piece = f"\x1b[1mlinë {number}\x1b[0m\r\n".encode()
            data += piece
            text.feed(piece)
            if number % 50 == 49:
                text.drop(len(text.text) - 20)
        end = text.text.index("499") + 3
        self.assertEqual(data[: text.offset_of(end)].rsplit(b" ", 1)[1], b"499")

    def test_offsets_are_the_same_whatever_was_dropped_and_however_long_a_sequence_is(self):
        data = b"a\x1b[1mb\x1b[mc\r\nd\xc3\xa9\x1b]52;c;" + b"Zm9v" * 9000 + b"\x07e\x1bP" + b"q" * 40000 + b"\x1b\\f\n"
        for raw in (False, True):
            whole = looop.PlainText(7, raw)
            whole.feed(data, last=True)
            step = 997 if raw else 1
            if not raw:
                self.assertEqual(whole.text, "abc\ndéef\n")
            for count in (1, 2, 5):
                text, dropped = looop.PlainText(7, raw), 0
                for place in range(0, len(data), 1000):
                    text.feed(data[place : place + 1000])
                    if len(text.text) > count:
                        dropped += count
                        text.drop(count)
                text.feed(b"", last=True)
                self.assertEqual(whole.text[dropped:], text.text)
                for index in range(1, len(text.text) + 1, step):
                    self.assertEqual(text.offset_of(index), whole.offset_of(dropped + index), (raw, count))


class Logs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="looop-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def test_what_is_kept_is_the_end_at_the_right_offsets(self):
        source = random.Random(5)
        for cap in (8192, 20000, 100000):
            for name in os.listdir(self.folder):
                os.unlink(os.path.join(self.folder, name))
            log, whole = looop.LogWriter(self.folder, cap), b""
            self.addCleanup(lambda log=log: os.close(log.fd))
            reader, read = looop.LogView(self.folder), b""
            for _ in range(400):
                piece = b"".join(
                    b"%d\n" % source.randrange(10 ** source.randrange(1, 9)) for _ in range(source.randrange(90))
                )
                piece = source.choice((piece, b"x" * source.randrange(3000), b""))
                log.write(piece)
                whole += piece
                self.assertEqual(log.end, len(whole))
                while True:  # a reader who never lags behind misses nothing
                    got = reader.read(len(read), 1000)
                    if not got:
                        reader.renew()
                        got = reader.read(len(read), 1000)
                    if not got:
                        break
                    read += got
            self.assertEqual(read, whole)
            reader.close()
            with looop.LogView(self.folder) as view:
                self.assertEqual(view.end, len(whole))
                self.assertLessEqual(view.end - view.start, cap)
                self.assertGreater(view.end - view.start, cap // 4)
                kept, place = b"", view.start
                while place < view.end:
                    piece = view.read(place, 777)
                    kept, place = kept + piece, place + len(piece)
                self.assertEqual(kept, whole[view.start :])
                self.assertEqual(view.read(view.end, 10), b"")
                back = b"".join(reversed([data for _, data in view.tail(0, 1000)]))
                self.assertEqual(back, kept)
                lines = kept.split(b"\n")
                for count in (1, 2, 10):
                    start = looop.tail_start(view, count, 0)
                    wanted = b"\n".join(lines[-count - (not lines[-1]) :])
                    self.assertEqual(kept[start - view.start :], wanted)

    def test_a_log_that_turns_over_and_over_in_one_write(self):
        log = looop.LogWriter(self.folder, 8192)
        self.addCleanup(lambda: os.close(log.fd))
        log.write(b"".join(b"%06d\n" % number for number in range(20000)))
        with looop.LogView(self.folder) as view:
            self.assertEqual(view.end, 140000)
            self.assertEqual(view.read(view.end - 7, 10), b"019999\n")
            self.assertLessEqual(view.end - view.start, 8192)


if __name__ == "__main__":
    unittest.main()
