"""The tripwire: what a person is asked about, what is let through, and what the README says of both."""

import os
import re
import time
import unittest

import looop
from tests.support import CAPTURED, ROOT


def table():
    """Return (verdict, command) for each row of the table of commands."""
    with open(os.path.join(CAPTURED, "commands.tsv"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return [(verdict, command.replace("\u2424", "\n")) for verdict, _, command in rows]


def shell(command, reversible=True):
    """Make a shell move."""
    return looop.checked_move({"move": "shell", "command": command, "reversible": reversible})


def sensor(body):
    """Make a move that writes a sensor."""
    return looop.checked_move({"move": "write_sensor", "name": "x", "body": body})


class Table(unittest.TestCase):
    def test_rows(self):
        rows = table()
        self.assertGreaterEqual(len(rows), 150)
        self.assertEqual({verdict for verdict, _ in rows}, {"dangerous", "harmless"})
        self.assertEqual(len({command for _, command in rows}), len(rows), "a command stands there twice")

    def test_no_dangerous_one_passes(self):
        for verdict, command in table():
            if verdict == "dangerous":
                self.assertTrue(looop.looks_irreversible(command), command)

    def test_false_alarms_are_few_and_the_readme_says_how_many(self):
        rows = table()
        harmless = [command for verdict, command in rows if verdict == "harmless"]
        alarms = [command for command in harmless if looop.looks_irreversible(command)]
        self.assertLessEqual(len(alarms), len(harmless) // 10, alarms)
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            said = re.search(r"(\d+)\s+of\s+(\d+)\s+dangerous.*?(\d+)\s+of\s+(\d+)\s+harmless", file.read(), re.DOTALL)
        self.assertTrue(said, "README does not give the figure")
        dangerous = len(rows) - len(harmless)
        self.assertEqual([int(n) for n in said.groups()], [dangerous, dangerous, len(alarms), len(harmless)], alarms)

    def test_every_pattern_compiles(self):
        for words, names, pieces in looop.IRREVERSIBLE:
            self.assertTrue(words and names.split(), words)
            for piece in filter(None, pieces.split(" & ")):
                re.compile(piece[piece[0] == "!" :])


class Gate(unittest.TestCase):
    def test_what_the_config_says(self):
        self.assertTrue(looop.needs_yes(shell("git push"), "irreversible"))
        self.assertEqual(looop.needs_yes(shell("git push"), "never"), "")
        self.assertEqual(looop.needs_yes(shell("git status"), "irreversible"), "")
        self.assertTrue(looop.needs_yes(shell("git status"), "always"))

    def test_a_move_that_says_so_itself(self):
        self.assertTrue(looop.needs_yes(shell("ls", reversible=False), "irreversible"))

    def test_a_sensor_is_held_to_the_same(self):
        comment = "#!/bin/sh\n# rm -rf is not done here\n"
        self.assertEqual(looop.needs_yes(sensor(comment + "date\n"), "irreversible"), "")
        for body in (
            "git push\n",
            "git \\\n  push\n",
            "echo 'it''s\nfine'\ngit push\n",
            "cat <<E\nit's\nE\ngit push\n",
            'curl "$url" -H "a:\nb" -X DELETE\n',
        ):
            self.assertTrue(looop.needs_yes(sensor(comment + body), "irreversible"), body)

    def test_what_is_shown_counts_once_it_can_run(self):
        self.assertEqual(looop.looks_irreversible("echo 'git push' | head -1"), "")
        for command in ("echo 'git push' | sh", "echo 'git push' > x", "$(echo 'git push')", "sh <<< 'git push'"):
            self.assertTrue(looop.looks_irreversible(command), command)


class Hostile(unittest.TestCase):
    UNITS = tuple(
        """
        git git;git|a;( ) ` $( \\ \\" " ' "' <> & ; | # ,[]{} - _ . / = env; curl|curl<aa aws;x: mongo;.drop( method: on
        set insert echo;
        """.split()  # noqa: SIM905
    )

    def test_long_ones_are_read_in_time(self):
        """200 KB, and the longest that is read at all."""
        self.assertGreater(len(self.UNITS), 25)
        slowest = 0.0
        for unit in self.UNITS:
            for size in (32_000, 200_000):
                command = ("mongo " + (unit + " " if unit.isalpha() else unit) * size)[:size]
                began = time.process_time()
                looop.looks_irreversible(command)
                slowest = max(slowest, time.process_time() - began)
        self.assertLess(slowest, 1.0)

    def test_what_is_too_long_or_too_deep_is_held_back(self):
        self.assertTrue(looop.looks_irreversible("echo " + "x" * 200_000))
        self.assertEqual(looop.looks_irreversible("echo " + "x" * 20_000), "")
        quoted = "date now"
        for _ in range(11):
            quoted = 'a "' + quoted.replace("\\", "\\\\").replace('"', '\\"') + '"'
        self.assertIn("too deep", looop.looks_irreversible(quoted))


if __name__ == "__main__":
    unittest.main()
