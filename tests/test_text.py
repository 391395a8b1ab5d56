"""Text and time: what is made of text that nobody should trust."""

import json
import os
import random
import subprocess
import sys
import time
import unittest
from unittest import mock

import looop
from tests.support import Case  # noqa: F401  puts the project on the path


class Text(unittest.TestCase):
    def test_printable_spells_out_control_characters(self):
        self.assertEqual(looop.printable("a\x1b[2Jb\x07"), "a\\x1b[2Jb\\x07")
        self.assertEqual(looop.printable("tab\tand\nline"), "tab\tand\nline")
        self.assertEqual(looop.printable("\x85\u2028\u202e\udc80\r"), "\\x85\\u2028\\u202e\\udc80\\x0d")
        self.assertEqual(looop.printable("a\u200fb\u061c\u200e"), "a\\u200fb\\u061c\\u200e")
        self.assertEqual(looop.printable("naïve → 日本"), "naïve → 日本")

    def test_what_nobody_sees_is_spelled_out(self):
        hidden = (
            *"\u00ad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u202a\u202e",
            *"\u2060\u2061\u2064\u2066\u2069\u206f\u3164\ufe00\ufe0e\ufe0f\ufeff\uffa0\ufff9\U0001d173\U000e0001\U000e0041",
            *"\U000e007f\U000e0100\U000e01ef\x00\x1b\x7f\x9d\ud800",
        )
        for char in hidden:
            code = ord(char)
            spelled = f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
            for before, after in (("rm", "x"), ("", ""), ("a ", " b"), ("é", "漢"), ("1", "2"), ("가", "나")):
                self.assertEqual(looop.printable(before + char + after), before + spelled + after)
                if not char.isspace():
                    self.assertEqual(looop.one_line(f"x{before}{char}{after}x"), f"x{before}{spelled}{after}x")
        self.assertEqual(looop.printable("a\u200d\u200d😀"), "a\\u200d\\u200d😀")
        self.assertEqual(looop.printable("😀\u200d\u200d😀\u200dx"), "😀\\u200d\\u200d😀\\u200dx")
        tags = "".join(chr(0xE0000 + ord(char)) for char in "rm -rf")
        self.assertNotIn(tags[0], looop.printable("\U0001f3f4" + tags + "\U000e007f"))
        self.assertEqual(looop.shown_name("a%E3%85%A4b%0A"), "a\\u3164b\\x0a")
        import unicodedata

        formats = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"}
        shaped = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u0890\u0891\u08e2\U000110bd\U000110cd")
        self.assertEqual({char for char in formats if looop.printable(char) == char} - shaped, set())

    def test_what_is_seen_stays(self):
        flag = "\U0001f3f4" + "".join(chr(0xE0000 + ord(char)) for char in "gbsct") + "\U000e007f"
        for text in (
            *(
                "👩\u200d👩\u200d👧\u200d👦",
                "🏳\ufe0f\u200d🌈",
                "❤\ufe0f",
                "☎\ufe0e",
                "1\ufe0f\u20e3",
                "👍🏽",
                "👩🏽\u200d💻",
                "🇩🇪",
            ),
            *(
                "🧔\u200d♂\ufe0f",
                flag,
                "می\u200cخواهم",
                "क्\u200dष",
                "ක්\u200dර",
                "שלום",
                "مرحبا",
                "한국어",
                "naïve → 日本",
                "\u00a0",
            ),
        ):
            self.assertEqual(looop.printable(text), text)
            self.assertEqual(looop.printable(f"x {text} y\n"), f"x {text} y\n")

    def test_printable_is_quick(self):
        start = time.process_time()
        looop.printable("漢字 é → text\n" * 100_000)
        looop.printable("a\u200b漢" * 100_000)
        self.assertLess(time.process_time() - start, 4.0)

    def test_a_diff_ends_every_line(self):
        said = looop.text_diff("a\nb", "a\nc", "x")
        self.assertEqual(said, "--- x now\n+++ x proposed\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n")
        self.assertEqual(looop.text_diff("a\n", "a\n", "x"), "")
        for between in "\u2028\u2029\x0b\x0c\x1c\x85\r":  # they end a line for str.splitlines, and for nobody else
            said = looop.text_diff(f"a{between}b\n", f"a{between}c\n", "x")
            self.assertEqual(said.split("\n")[3:], [f"-a{between}b", f"+a{between}c", ""])

    def test_objects_of_what_may_be_anything(self):
        parts = [{"key": "a", "n": 1}, {"key": 5}, "x", None, {}]
        self.assertEqual(looop.objects_with(parts, "key"), [{"key": "a", "n": 1}])
        self.assertEqual(looop.objects_with(parts), [{"key": "a", "n": 1}, {"key": 5}, {}])
        self.assertEqual([looop.objects_with(value) for value in (None, "x", {"key": "a"})], [[], [], []])

    def test_one_line_is_one_line(self):
        self.assertEqual(looop.one_line(" a\n b\t\u2028c\x1b "), "a b c\\x1b")
        self.assertEqual(len(looop.one_line("x" * 1000, 80)), 80)

    def test_no_body_gets_out_of_its_fence(self):
        rng = random.Random(7)
        alphabet = [
            "# PLAYBOOK",
            "\n",
            "\r",
            "\x0b",
            "\x0c",
            "\x85",
            "\u2028",
            "\u2029",
            "| ",
            "-",
            " ",
            "x",
            "\x1b[1G",
            "\0",
        ]
        for _ in range(500):
            body = "".join(rng.choice(alphabet) for _ in range(rng.randrange(40)))
            for line in looop.fenced(body).splitlines():
                self.assertTrue(line.startswith("|"), repr(body))
            for line in looop.listed([("name\n# FORGED", body)]).splitlines()[1:]:
                self.assertTrue(line.startswith("  |"), repr(body))

    def test_cut_says_so_in_place(self):
        kept, lost = looop.fitted("line\n" * 1000, 700)
        self.assertEqual(lost, 5000 - 5 * (kept.count("\n") - 1))
        self.assertIn(f"[… {lost} bytes cut here]", kept)
        self.assertLess(len(kept), 800)
        self.assertTrue(all(line.startswith("| ") for line in kept.splitlines()))
        self.assertEqual(looop.fitted("short\n\nx", 700), ("| short\n|\n| x\n", 0))
        self.assertEqual(looop.fitted("", 700), ("", 0))
        self.assertEqual(looop.fitted("half \ud800", 700), ("| half \\ud800\n", 0))
        kept, lost = looop.fitted("x" * 10000, 800)
        self.assertEqual((kept.count("x"), lost), (100, 9900))
        kept, lost = looop.fitted("x\n" * 50, 1000, size=5000)
        self.assertEqual((kept.count("| x"), lost), (50, 4900), "the caller kept no more than the beginning")

    def test_ids(self):
        for good in ("a", "ship-v2", "A.b_c-9", "x" * 64, "0"):
            self.assertTrue(looop.valid_id(good), good)
        bad = ["", "pulse", "../x", "a/b", "-a", ".a", "_a", "x" * 65, "a b", "a\n", "é", "a\0", "²"]
        for text in bad:
            self.assertFalse(looop.valid_id(text), text)

    def test_names_are_spelled_one_way_and_back(self):
        names = ["plain", "with space", "new\nline", "per%cent", "%41", "A", "ü", "\udcff\udc80", "tab\t", "a%2Fb"]
        spelled = [looop.encoded_name(name) for name in names]
        self.assertEqual(len(set(spelled)), len(names))
        for name, text in zip(names, spelled):
            self.assertEqual(looop.decoded_name(text), name)
            self.assertTrue(text.isascii() and text.isprintable() and " " not in text)

    def test_one_line_of_json(self):
        import json

        cases = [
            {"a": 1, "b": None, "c": True, "d": "text", "e": False},
            {
                "a": 'quote"',
                "b": "back\\slash",
                "c": "new\nline",
                "d": "ü\u2028",
                "e": 0.1,
                "f": [1, {"x": 2}],
                "g": "\U0001f600",
            },
        ]
        for fields in cases:
            line = looop.compact(fields)
            self.assertEqual(json.loads(line), fields)
            self.assertEqual(len(line.splitlines()), 1)

    def test_what_is_printed_as_json_is_what_strict_readers_accept(self):
        """Half a surrogate is how Python holds an odd byte of a file's name, and half a character of a sensor's."""
        value = {"\udcff": ["caf\udce9", "cut \ud83d", "\ud83d\ude00", "\\ud83d", 1.5, None]}
        whole = {"\ufffd": ["caf\ufffd", "cut \ufffd", "\U0001f600", "\\ud83d", 1.5, None]}
        for write in (looop.compact, looop.canonical, looop.pretty):
            self.assertEqual(json.loads(write(value)), whole, write)
        self.assertEqual(json.loads(looop.exact_line(value)), json.loads(json.dumps(value)))
        for text in ("NaN", "[Infinity]", '{"a":-Infinity}', "1e400", "[-2E+999]"):
            with self.assertRaises(ValueError, msg=text):
                looop.parse_json(text)
        self.assertEqual(looop.parse_json(b"\xef\xbb\xbf[1.5]"), [1.5])
        deep = looop.JSON_DEPTH_MAX - 1
        self.assertEqual(looop.nesting(looop.parse_json("[" * deep + "1" + "]" * deep)), looop.JSON_DEPTH_MAX)
        for levels in (deep + 1, 5000, 200_000):  # on every Python, whatever its own parser takes
            with self.assertRaisesRegex(ValueError, looop.TOO_DEEP):
                looop.parse_json("[" * levels + "1" + "]" * levels)

    def test_a_python_without_the_c_half_of_json(self):
        self.addCleanup(looop._SCANNERS.clear)
        with mock.patch.dict(sys.modules, {"_json": None}):
            looop._SCANNERS.clear()
            self.test_what_is_printed_as_json_is_what_strict_readers_accept()
            self.test_json_for_people_and_for_hashes()
            self.test_one_line_of_json()

    def test_what_is_wrong_with_a_text_is_said_as_json_says_it(self):
        for text in (
            "",
            " ",
            "{",
            '\n\n {"a":1,}',
            "[1] 2",
            '{"a" 1}',
            '"a\tb"',
            "tru",
            "1" * 5000,
            "1\f",
        ):
            said = []
            for parse in (json.loads, looop.parse_json):
                try:
                    said.append(parse(text))
                except ValueError as error:
                    said.append(str(error))
            self.assertEqual(said[0], said[1], text[:20])
        self.assertEqual(looop.parse_json(' \t\r\n{"a": 1, "a": [2]}\n'), {"a": [2]})
        script = "import sys; sys.path.insert(0, sys.argv[1])\nimport looop\n"
        script += "try: looop.parse_json('{')\nexcept ValueError: pass"
        folder = os.path.dirname(looop.__file__)  # a process that has not loaded json yet
        subprocess.run([sys.executable, "-SI", "-c", script, folder], check=True)

    def test_fields_are_read_as_json_reads_them(self):
        """What looop writes, and thousands of texts that are almost that."""
        import json
        import random

        rng = random.Random(5)
        values = [
            None,
            True,
            False,
            0,
            -7,
            10**20,
            0.5,
            -1e-9,
            "",
            "plain",
            'q"',
            "b\\",
            '\\"',
            "null",
            "1",
            "a:b,c",
            "{}",
        ]
        agreed = 0
        for number in range(6000):
            fields = {rng.choice(["a", "b", "c d", "", ":", ","]): rng.choice(values) for _ in range(rng.randrange(5))}
            line = looop.compact(fields)
            if number % 2:
                place = rng.randrange(len(line) + 1)
                line = (
                    line[:place]
                    + rng.choice(['"', "\\", ",", ":", "{", "}", "1", "e5", "-", " ", "null", ""])
                    + line[place + 1 :]
                )
            try:
                expected = json.loads(line, parse_float=looop._finite)
            except ValueError:
                with self.assertRaises(ValueError, msg=line):
                    looop.parse_fields(line.encode())
                continue
            found = looop.parse_fields(line.encode())
            self.assertEqual(found, expected if isinstance(expected, dict) else {}, line)
            self.assertEqual(
                [*map(type, found.values())], [*map(type, (expected or {}).values())] if found else [], line
            )
            agreed += 1
        self.assertGreater(agreed, 3000)

    def test_names_are_shown_as_they_are(self):
        for name, shown in (
            ("üñï", "üñï"),
            ("plan %41", "plan %41"),
            ("a\nb\t\x1b[2J", "a\\x0ab\\x09\\x1b[2J"),
            ("zero\u200bwidth\u202e", "zero\\u200bwidth\\u202e"),
            ("\udcff", "\\udcff"),
        ):
            self.assertEqual(looop.shown_name(looop.encoded_name(name)), shown)
        for damaged in ("%", "%zz", "100%"):
            self.assertEqual(looop.shown_name(damaged), damaged)

    def test_colours_are_ours_alone(self):
        self.assertEqual(looop.spelled_out("\x1b[31mred\x1b[0m \x1b[2J\x07"), "\x1b[31mred\x1b[0m \\x1b[2J\\x07")
        self.assertEqual(looop.spelled_out("\x1b[38m \x1b[\x1b[1m\x9b"), "\\x1b[38m \\x1b[\x1b[1m\\x9b")
        self.assertEqual(looop.visible_width("\x1b[1mab\x1b[0mc\x1b[9"), 3)

    def test_aligned_ignores_colour(self):
        rows = looop.aligned([["a", "x"], ["\x1b[31mlong\x1b[0m", "y"]])
        self.assertEqual(rows, ["a     x", "\x1b[31mlong\x1b[0m  y"])

    def test_columns_end_where_their_rows_do(self):
        self.assertEqual(looop.aligned([["a"], ["bb", "c", "d"], []], " | "), ["a", "bb | c | d", ""])
        self.assertEqual(looop.aligned([]), [])

    def test_what_a_mistyped_word_may_have_meant(self):
        verbs = ["status", "start-session", "sensor", "send", "ls"]
        self.assertEqual(looop.near_words("statsu", verbs), "did you mean status?")
        self.assertEqual(looop.near_words("senso", verbs), "did you mean sensor or send?")
        self.assertEqual(looop.near_words("senso", verbs, 1), "did you mean sensor?")
        self.assertEqual((looop.near_words("frobnicate", verbs), looop.near_words("ls", [])), ("", ""))

    def test_a_file_ends_its_last_line(self):
        for body, data in (
            ("", b"\n"),
            ("a", b"a\n"),
            ("a\n", b"a\n"),
            ("é\n\n", b"\xc3\xa9\n\n"),
            ("\udcff", b"\xff\n"),
        ):
            self.assertEqual(looop.ended_line(body), data)

    def test_a_value_fits_a_shape_or_does_not(self):
        nan = float("nan")
        for value, shape in (
            ("x", "text"),
            (None, "text|none"),
            ({"a": 1}, {"a": "number", "b": "text|none"}),
            ({"a": None}, {"a": "any"}),
            ({"x": {"d": "1"}, "y": {"d": "2"}}, {"*": {"d": "text"}}),
            ({}, {"*": "text"}),
            ([1, 2], ["number"]),
            ([], ["number"]),
            (["x", 2.5], ("text", "moment")),
            ([["x"]], [["text"]]),
            (["x"], "texts"),
            ("2026-01-02T03:04:05Z", "stamp"),
        ):
            self.assertTrue(looop.fits(value, shape), (value, shape))
        for value, shape in (
            (None, "text"),
            (1, "text|none"),
            (True, "number"),
            (2**53, "number"),
            (nan, "moment"),
            ({}, {"a": "any"}),
            ({"a": "x"}, {"a": "number"}),
            ([], {"*": "text"}),
            ({"x": {}}, {"*": {"d": "text"}}),
            ([1, "x"], ["number"]),
            ({}, ["number"]),
            (["x"], ("text", "moment")),
            (["x", 1, 1], ("text", "moment")),
            ([1], "texts"),
            ("../x", "id"),
            ("2026-01-02", "stamp"),
            (..., "text"),
        ):
            self.assertFalse(looop.fits(value, shape), (value, shape))

    def test_numbers_that_can_be(self):
        for value in (0, 1, 2.5, 999_999_999):
            self.assertEqual((looop.amount(value), looop.moment(value)), (value, value))
        self.assertEqual((looop.amount(10**9), looop.moment(10**9)), (None, 10**9))
        self.assertEqual((looop.moment(1e11), looop.moment(1e11 - 1)), (None, 1e11 - 1))
        for value in (-1, -0.1, True, False, None, "1", [], float("nan"), float("inf")):
            self.assertEqual((looop.amount(value), looop.moment(value)), (None, None), value)

    def test_json_for_people_and_for_hashes(self):
        value = {"b": [1, "é"], "a": {}}
        self.assertEqual(looop.pretty(value), '{\n  "b": [\n    1,\n    "\\u00e9"\n  ],\n  "a": {}\n}\n')
        self.assertEqual(looop.canonical(value), '{"a":{},"b":[1,"\\u00e9"]}')
        for value in ([], {}, [[]], [{}, {"": []}], {"a": {"b": [1, [None, {"c": "d"}]]}}, "x", 1.5, [True, 1e300]):
            self.assertEqual(looop.pretty(value), json.dumps(value, indent=2) + "\n")

    def test_what_lies_at_a_path(self):
        value = {"a": {"b": [0], "c": None}}
        found = [
            looop.dig(value, *path) for path in ((), ("a", "b"), ("a", "c"), ("a", "x"), ("a", "b", "c"), ("x", "y"))
        ]
        self.assertEqual(found, [value, [0], None, None, None, None])

    def test_quoted_is_one_word_of_a_shell(self):
        for text in ("plain", "it's", "$(reboot)", "a\nb", '"', "`id`", "\\", "*"):
            out = subprocess.run(
                ["sh", "-c", f"printf %s {looop.quoted(text)}"], capture_output=True, check=True
            ).stdout
            self.assertEqual(out.decode(), text)


class Secrets(unittest.TestCase):
    def test_what_is_a_secret(self):
        env = {"A_KEY": "short12", "B_TOKEN": "eightchr", "C": "not-one-at-all", "d_password": "12345678\n"}
        found = dict(looop.secrets_of({**env, "E_KEY": 'a "b"\\\n\tcdefgh'}))
        plain = {"12345678", "eightchr", 'a "b"\\\n\tcdefgh', 'a \\"b\\"\\\\\\n\\tcdefgh', 'a "b"\\ cdefgh'}
        self.assertLessEqual(plain, set(found))
        self.assertEqual(set(found.values()), {"B_TOKEN", "d_password", "E_KEY"})
        longest = list(found)
        self.assertEqual(longest, sorted(longest, key=len, reverse=True))
        x, y = "x" * 16, "y" * 15
        found = dict(looop.secrets_of({"K_KEY": f"{x}\n{y}"}))
        self.assertLessEqual({f"{x}\\n{y}", f"{x}\n{y}", f"{x} {y}", x}, set(found))
        self.assertNotIn(y, found)
        for text, clean in (
            *(("x cana…", "x [T]…"), ("x can…", "x can…"), ("canary-12…; canary-1… z", "[T]…; [T]… z")),
            *(
                ("canary-123456", "canary-123456"),
                ("…", "…"),
                ("no secret…", "no secret…"),
                ("cana cana…", "cana [T]…"),
            ),
        ):
            self.assertEqual(looop.without_cut(text, "canary-123456", "T"), clean)

    def test_what_is_redacted(self):
        secrets = looop.secrets_of({"A_TOKEN": "canary-123456", "HOME": "/home/canary-123456"})
        self.assertEqual(looop.redacted("say canary-123456, canary-12…", secrets), "say [A_TOKEN], [A_TOKEN]…")
        value = {"canary-123456": ["canary-123456", ("canary-123456", 5)], "n": None}
        self.assertEqual(looop.redacted(value, secrets), {"canary-123456": ["[A_TOKEN]", ["[A_TOKEN]", 5]], "n": None})
        self.assertEqual(
            looop.redacted(value, secrets, keys=True), {"[A_TOKEN]": ["[A_TOKEN]", ["[A_TOKEN]", 5]], "n": None}
        )
        self.assertEqual(
            looop.redacted(value, []), {"canary-123456": ["canary-123456", ["canary-123456", 5]], "n": None}
        )
        self.assertEqual(looop.redacted("canary-123456", []), "canary-123456")
        self.assertEqual(looop.redacted(5, secrets), 5)


KEY = "aB3dE5gH7jK9mN1pQ2sT4vW6xY8z"  # looks random
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
LOOKS = {  # by kind, what is a secret wherever it stands
    "github token": ("ghp_" + KEY, "gho_" + KEY, "ghu_" + "a" * 36, "ghs_" + KEY, "ghr_" + KEY),
    "gitlab token": ("glpat-x7Yk-2m_Q9zLwE4rT1",),
    "slack token": ("xoxb-123456789012-1234567890123-" + KEY, "xoxp-1234567890", "xoxa-2-" + KEY, "xoxs-1" + KEY),
    "api key": ("sk-" + KEY, "sk-ant-api03-" + KEY + "-_" + KEY, "sk-proj-" + KEY, "sk-" + "0a1b2c3d" * 4),
    "aws key": ("AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "ABCDEFGH23456777"),
    "google key": ("AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",),
    "google token": ("ya29.a0AfB_" + KEY,),
    "npm token": ("npm_" + KEY + "01234567",),
    "pypi token": ("pypi-AgEIcHlwaS5vcmcC" + KEY,),
    "stripe key": ("sk_live_" + KEY, "rk_live_" + KEY),
    "hugging face token": ("hf_" + KEY + "abcdef",),
    "jwt": (JWT,),
}
ORDINARY = (
    *("sk-learn", "sk-learn-model-2024-v2-final-release", "disk-usage-of-the-cellar", "sk-learn-whi…"),
    *(
        "task-0a1b2c3d4e5f0a1b2c3d4e5f0a1b2c3d",
        "risk-1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b",
        "highs_and_lows_of_the_market",
    ),
    *("npm_config_registry_and_more_words_here", "npm_lifecycle_event", "pypi-publish-with-trusted-publishing-of-2024"),
    *("d670460b4b4aece5915caf5c68d12f560a9fe3e4", "550e8400-e29b-41d4-a716-446655440000", "sha256:" + "0a1b2c3d" * 8),
    *("iVBORw0KGgoAAAANSUhEUgAAAABAKIAAAAAAAAAAAAAAAAA=", "iVBORw0KGgoghp/AKIA+eyJhbGciOiJIUzI1NiJ9", "AKIA", "eyJ"),
    *(
        "github_pat_name_of_the_release_bot",
        "https://github.com/a/b@v1",
        "https://host:443/x@y",
        "git@github.com:a/b.git",
    ),
    *(
        "ssh://git@host:22/x",
        "http://[::1]:80/@x",
        "https://u:$TOKEN@h",
        "https://u:${T}@h",
        "http://a:80 b@c",
        "x://a:b c@d",
    ),
    *("https://u:[DATABASE_URL]@h", "[secret: github token]", "the PRIVATE KEY of it, -----BEGIN"),
    *(f"-----BEGIN {what}-----\nMIIB\n-----END {what}-----" for what in ("PUBLIC KEY", "CERTIFICATE")),
)


class Looks(unittest.TestCase):
    def test_a_well_known_shape_is_a_secret(self):
        for kind, tokens in LOOKS.items():
            for token in tokens:
                label = f"[secret: {kind}]"
                for before, after in (
                    *(
                        ("", ""),
                        ("GH_X=", ";"),
                        ('{"a":"', '"}'),
                        ("\\n", "\\nx"),
                        ("%3D", "&b=1"),
                        ("(", ")"),
                        ("", "…"),
                    ),
                    *(("\x1b[31m", "\x1b[m"), ("\x1b[1;31m", ""), ("bearer ", " x"), ("https://u:x@h/?k=", "")),
                ):
                    text = before + token + after
                    clean = looop.redacted(text, [])
                    self.assertEqual(clean.replace("[secret: password]", "x"), before + label + after)
                    self.assertEqual(looop.redacted(clean, []), clean)
                start = 20 if kind in ("api key", "pypi token") else 12
                for cut in range(start, len(token)):
                    if token[cut - 1] != "…":
                        clean = looop.redacted(f"said {token[:cut]}…", [])
                        self.assertEqual(clean, f"said {label}…")
        token = "ghp_" + KEY
        for gap in ("", "0", "0" * 4000):
            self.assertNotIn(KEY[:6], looop.redacted(token + gap + token, []))
        self.assertEqual(looop.redacted("github_pat_11ABCDEFG0aBcDeFgHiJkL_" + KEY, []), "[secret: github token]")
        hook = "https://hooks.slack.com/services/T00000000/B00000000/" + KEY
        self.assertEqual(looop.redacted(hook, []), "https://hooks.slack.com/services/[secret: slack webhook]")

    def test_what_is_ordinary_stays(self):
        for text in ORDINARY:
            self.assertEqual(looop.redacted(text, []), text)

    def test_private_keys_whole_and_cut(self):
        rows = ["MIIEpAIBAAKCAQEA" + "abcd1234+/AB" * 4] * 5
        for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "):
            key = "\n".join((f"-----BEGIN {kind}PRIVATE KEY-----", *rows, "abc=", f"-----END {kind}PRIVATE KEY-----"))
            for text in (
                key,
                key.replace("\n", "\\n"),
                key.replace("\n", " "),
                key.replace("\n", "\n| "),
                key[: key.index("\nabc")],
            ):
                self.assertEqual(looop.redacted(f"a {text} word", []), "a [secret: private key] word")
            for cut in range(40, len(key) - 40):
                clean = looop.redacted(looop.one_line(key, cut), [])
                self.assertEqual(clean.replace(" ", ""), "[secret:privatekey]…")
        key = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\nabc\n-----END PGP PRIVATE KEY BLOCK-----"
        self.assertEqual(looop.redacted(key, []), "[secret: private key]")

    def test_passwords_in_urls(self):
        for text, clean in (
            ("postgres://app:s3cr3t@db/x", "postgres://app:[secret: password]@db/x"),
            ("redis://:p@h, https://a:b%40c@d", "redis://:[secret: password]@h, https://a:[secret: password]@d"),
            ('{"u":"amqp://a:b@c"}', '{"u":"amqp://a:[secret: password]@c"}'),
        ):
            self.assertEqual(looop.redacted(text, []), clean)

    def test_a_long_hostile_text_takes_no_longer_than_its_length(self):
        pieces = (
            " sk-",
            "sk-",
            "://a:",
            "-----BEGIN PRIVATE KEY-----",
            "-eyJ",
            "eyJaaaaaaaaa.eyJ",
            "ghp_",
            " > |",
            "xoxb-1",
        )
        for piece in pieces:
            took = []
            for size in (100_000, 400_000):
                text = "@" + piece * (size // len(piece))
                start = time.process_time()
                looop.redacted(text, [])
                took.append(time.process_time() - start)
            self.assertLess(took[1], 12 * took[0] + 0.1, piece)

    def test_variables_by_name_and_by_value(self):
        value = "Zq8vN3xWk1RtY7"
        for name in (
            *(
                "GH_PAT",
                "PAT",
                "SMTP_PASS",
                "PASS",
                "DB_PASSWD",
                "AWS_CREDENTIALS",
                "SENTRY_DSN",
                "DSN",
                "x_passphrase",
            ),
            *("A_TOKEN", "B_KEY", "C_SECRET", "D_PASSWORD"),
        ):
            self.assertEqual(looop.redacted(f"a {value} b", looop.secrets_of({name: value})), f"a [{name}] b")
            self.assertEqual(looop.secret_names({name: value, "HOME": "/h"}), [name])
        for name in ("COMPAT", "NO_BYPASS", "PATH", "COMPASS", "OLDPWD", "KEYS"):
            self.assertEqual((looop.secrets_of({name: value}), looop.secret_names({name: value})), ([], []))
        self.assertEqual(looop.secrets_of({"GOOGLE_APPLICATION_CREDENTIALS": "/home/a/key.json"}), [])
        for url, password in (
            ("postgres://app:s3cr3t-p4ss@db/x", "s3cr3t-p4ss"),
            ("postgres://app:s3cr3t-p4ss/x@db/x", "s3cr3t-p4ss/x"),
            ("https://u:s3cr3t%2Dp4ss@db/x@y", "s3cr3t-p4ss"),
        ):
            secrets = looop.secrets_of({"DATABASE_URL": url})
            self.assertEqual(looop.redacted(f"a {password} b", secrets), "a [DATABASE_URL] b")
            self.assertNotIn("s3cr3t", looop.redacted(url, secrets))
            self.assertEqual(looop.secret_names({"DATABASE_URL": url, "SITE_URL": "https://h/x@y"}), ["DATABASE_URL"])
        plain = looop.secrets_of({"DATABASE_URL": "postgres://postgres:postgres@localhost/db"})
        self.assertEqual(looop.redacted("start postgres", plain), "start postgres")
        self.assertEqual(looop.secret_names({"X": "ghp_" + KEY}), ["X"])

    def test_encoded_values(self):
        import base64
        import urllib.parse

        value = "Zq8v/N3x+Wk1~Rt?Y7>é"
        secrets = looop.secrets_of({"A_TOKEN": value})
        for pad in ("", "a", "ab", "abc", "x:"):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                clean = looop.redacted(encode(f"{pad}{value}{pad}".encode()).decode(), secrets)
                self.assertIn("[A_TOKEN]", clean)
                self.assertLess(len(clean), len("[A_TOKEN]") + 2 * len(pad) + 10)
        for size in range(8, 400):
            long = ("aB3+/" * 80)[:size]
            text = base64.b64encode(f"x{long}yz".encode()).decode()
            clean = looop.redacted(text, looop.secrets_of({"A_TOKEN": long}))
            self.assertLess(len(clean), len("[A_TOKEN]") + 16)
        for safe in ("", "/", "!'()*", "~"):
            quoted = urllib.parse.quote(value, safe=safe)
            for text in (quoted, quoted.lower() if quoted.lower() == quoted else quoted):
                self.assertEqual(looop.redacted(f"?a={text}&", secrets), "?a=[A_TOKEN]&")
        text = "x" * 480 + base64.b64encode(value.encode()).decode()
        self.assertEqual(looop.redacted(looop.one_line(text), secrets), "x" * 480 + "[A_TOKEN]…")


class Time(unittest.TestCase):
    def test_a_deadline_comes_and_none_never_does(self):
        never, soon, past = looop.Deadline(None), looop.Deadline(60.0), looop.Deadline(0.0)
        self.assertEqual([never.over, soon.over, past.over], [False, False, True])
        self.assertEqual([never.left(), past.left(), never.at_most(5.0), past.at_most(5.0)], [None, 0.0, 5.0, 0.0])
        self.assertTrue(59.0 < soon.left() <= 60.0 and soon.at_most(3.0) == 3.0 and 59.0 < soon.at_most(90.0) <= 60.0)

    def test_durations(self):
        cases = {
            "90": 90,
            "90s": 90,
            "500ms": 0.5,
            "15m": 900,
            "2h": 7200,
            "3d": 259200,
            "1w": 604800,
            "0": 0,
            "1.5h": 5400,
            " 5 m ": 300,
        }
        for text, secs in cases.items():
            self.assertEqual(looop.parse_duration(text), secs, text)
        for text in ("", "s", "-1", "1y", "1m30s", "nan", "inf", "1e3", "²", "0x10", "1_0"):
            with self.assertRaises(ValueError, msg=text):
                looop.parse_duration(text)

    def test_spans_are_said_shortly(self):
        said = [looop.duration_text(s) for s in (0, 59.9, 60, 3599, 3600, 7500, 86399, 86400, 900000, -5)]
        self.assertEqual(said, ["0 s", "59 s", "1 m", "59 m", "1 h", "2 h 5 m", "23 h 59 m", "1 d", "10 d", "0 s"])

    def test_stored_time_goes_there_and_back(self):
        self.assertEqual(looop.utc_text(1767323045.9), "2026-01-02T03:04:05Z")
        self.assertEqual(looop.parse_utc("2026-01-02T03:04:05Z"), 1767323045.0)
        with self.assertRaises(ValueError):
            looop.parse_utc("2026-01-02 03:04:05")


class Records(unittest.TestCase):
    def test_fields_by_position_and_name(self):
        change = looop.Change("a", None, new=2)
        self.assertEqual((change.key, change.old, change.new), ("a", None, 2))
        self.assertEqual(change, looop.Change("a", None, 2))
        self.assertEqual(change.replace(new=3).new, 3)

    def test_a_field_too_few_or_too_many_is_told(self):
        for values, named in (
            (("a",), {}),
            (("a", 1, 2, 3), {}),
            (("a", 1), {"newer": 2}),
            (("a", 1), {"key": "b", "new": 1}),
        ):
            with self.assertRaises(TypeError):
                looop.Change(*values, **named)


if __name__ == "__main__":
    unittest.main()
