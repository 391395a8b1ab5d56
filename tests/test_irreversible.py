"""The tripwire: what a person is asked about, what is let through, and what the README says of both."""

import os
import re
import time
import unittest

import looop
from tests.support import CAPTURED, ROOT, figure, heavy


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
        dangerous = [command for verdict, command in table() if verdict == "dangerous"]
        for command in dangerous:
            self.assertTrue(looop.looks_irreversible(command), command)
        figure("dangerous commands held", len(dangerous))

    def test_false_alarms_are_few_and_the_readme_says_how_many(self):
        rows = table()
        harmless = [command for verdict, command in rows if verdict == "harmless"]
        alarms = [command for command in harmless if looop.looks_irreversible(command)]
        self.assertLessEqual(len(alarms), len(harmless) // 10, alarms)
        figure("harmless commands", len(harmless))
        figure("of them held too, for a needless yes", len(alarms))
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

    def test_neither_a_command_nor_a_sensor_writes_what_is_not_the_deciders(self):
        for line in (
            "echo x > state.json",
            "echo '{}' > asks/2.answer.json",
            "echo x >> cost.jsonl",
            "python3 -c \"open('pause.json', 'w')\"",
            "cat x > PLAYBOOK\\\n.md",
        ):
            if "\n" not in line:
                self.assertIn("which is not the decider's", looop.needs_yes(shell(line), "irreversible"), line)
            self.assertIn(
                "which is not the decider's", looop.needs_yes(sensor(f"date\n{line}\n"), "irreversible"), line
            )

    def test_only_the_files_of_the_data_dir_are_not_the_deciders(self):
        """Paths are compared by their components, where a command runs: in the data dir."""
        data = "/home/me/.local/state/looop"
        for command in (
            "ls tasks/",
            "cat subtasks/1.json",
            "jq . src/state.json",
            "git -C ~/repo diff docs/PLAYBOOK.md",
            "cat /srv/app/state.json",
            'cat "$REPO/src/state.json" my-state.json state.json.bak',
            "echo 'she asks and/or answers'",
        ):
            self.assertEqual(looop.needs_yes(shell(command), "irreversible", data=data), "", command)
        for command in (
            "cat ./state.json",
            "cat goals/../state.json",
            "cat ../looop/state.json",
            f"cat {data}/asks/1.json",
            "cat ~/.local/state/looop/asks/1.json",
            'cat "$LOOOP_DATA_DIR"/state.json',
            "cat ${LOOOP_DATA_DIR}/asks/*",
            "cd /; cat home/me/.local/state/looop/cost.jsonl",
            "cat state.json*",
            "ls playbook.d",
            "ls playbook.d/",
            "cat ~/.config/looop.json",
            "python3 -c \"open(f'{data}/asks/1.json')\"",
        ):
            why = looop.needs_yes(shell(command), "irreversible", data=data)
            self.assertIn("which is not the decider's", why, command)

    def test_a_rebase_is_called_one(self):
        self.assertIn("rebases a branch", looop.looks_irreversible("git rebase main"))

    def test_a_sensor_is_held_to_the_same(self):
        comment = "#!/bin/sh\n# rm -rf is not done here\n"
        self.assertEqual(looop.needs_yes(sensor(comment + "date\n"), "irreversible"), "")
        for body in (
            "git push\n",
            "git \\\n  push\n",
            "echo 'it''s\nfine'\ngit push\n",
            "cat <<E\nit's\nE\ngit push\n",
            'curl "$url" -H "a:\nb" -X DELETE\n',
            "# a note \\\ngit push\n",
            "cat <<E\nit's\nE\n# a note \\\ngit push\n",
            "cat <<E\nit's\nE\ngit \\\n push\n",
            "x='\n# it is' git push\n",
        ):
            self.assertTrue(looop.needs_yes(sensor(comment + body), "irreversible"), body)

    def test_what_is_shown_counts_once_it_can_run(self):
        self.assertEqual(looop.looks_irreversible("echo 'git push' | head -1"), "")
        for command in ("echo 'git push' | sh", "echo 'git push' > x", "$(echo 'git push')", "sh <<< 'git push'"):
            self.assertTrue(looop.looks_irreversible(command), command)

    def test_a_backslash_joins_lines_as_in_a_shell(self):
        for command in (
            *(
                "# note \\\ngit push",
                "date # note \\\ngit push",
                "date\\\n#x; git push",
                "gi\\\nt pu\\\nsh",
                "date; \\\n git push",
            ),
            *(
                "bash -c 'git \\\n push'",
                'bash -c "git \\\npu\\\nsh"',
                "$\\\n(echo 'git push')",
                "sh <\\\n<< 'git push'",
            ),
        ):
            self.assertEqual(looop.looks_irreversible(command), "it looks irreversible: git push", command)
            self.assertEqual(
                looop.needs_yes(sensor(f"#!/bin/sh\n{command}\n"), "irreversible"), "it looks irreversible: git push"
            )
        for command in (
            "date # git push \\\n",
            "date \\\n # git push",
            "# a \\\n  # git push",
            "git st\\\natus",
            "echo 'git \\\n push'",
        ):
            self.assertEqual(looop.looks_irreversible(command), "", command)

    def test_every_reason_in_its_order(self):
        check = looop.Move("start_worker", {"id": "w", "prompt": "x", "verify": "make test"})
        for move, mode, untrusted, why in (
            (shell("ls"), "untrusted", False, ""),
            (shell("ls"), "untrusted", True, "the prompt held untrusted readings, and gate.shell is untrusted"),
            (shell("ls"), "irreversible", True, ""),
            (shell("ls", reversible=False), "irreversible", False, "the move says it cannot be undone"),
            (shell("git push", reversible=False), "irreversible", False, "the move says it cannot be undone"),
            (shell("cat asks/1.json"), "irreversible", False, "it names asks/, which is not the decider's"),
            (check, "irreversible", False, ""),
            (check, "always", False, "gate.shell is always"),
            (
                sensor("#!/bin/sh\ndate\n"),
                "untrusted",
                True,
                "the prompt held untrusted readings, and gate.shell is untrusted",
            ),
        ):
            self.assertEqual(looop.needs_yes(move, mode, untrusted), why)
        pushes = looop.Move("start_worker", {"id": "w", "prompt": "x", "verify": "git push"})
        self.assertEqual(looop.needs_yes(pushes, "irreversible"), "it looks irreversible: git push")
        self.assertEqual(looop.needs_yes(pushes, "never", True), "")


class Split(unittest.TestCase):
    """A shell text is split as a shell splits it: every simple command, and the texts that it quotes."""

    def test_simple_commands(self):
        for text, commands in (
            ("a 'b c' \"d\te\" 'f'", [("a b c d e f", ["b c", "d\te"])]),
            ("""echo 'a\\"b' "c\\"d" """, [("echo a\\b cd", [])]),
            ("""a 'x y\\$z' "x y\\$z" """, [("a x y\\$z x y$z", ["x y\\$z", "x y$z"])]),
            ('a "x\\$y\\`z\\\\w" b', [("a x$y`z\\w b", ["x$y`z\\w"])]),
            ("a `b` c", [("b", []), ("a ` ` c", [])]),
            ("a `b $(c) d` e", [("c", []), ("b $( ) d", []), ("a ` ` e", [])]),
            ("a) b", [("a", []), (") b", [])]),
            ("a | $(b) c", [("a", []), ("| b", []), ("| $( ) c", [])]),
            ("a | x $(b) c", [("a", []), ("b", []), ("| x $( ) c", [])]),
            ("$(b) | c", [("b", []), ("$( )", []), ("| c", [])]),
            ("a | (b; c)", [("a", []), ("| b", []), ("c", []), ("| ( )", [])]),
            ("(a | b) | c", [("a", []), ("| b", []), ("( )", []), ("| c", [])]),
            ("a |& b || c && d", [("a", []), ("| b", []), ("c", []), ("d", [])]),
            ("a | \n b", [("a", []), ("| b", [])]),
            ("a > f >> g 2>&1 <h <<E <(b)", [("b", []), ("a > f > g 2 > 1 < h << E < ( )", [])]),
            ("a # c | d\nb#c", [("a", []), ("b#c", [])]),
            ("a\\ b \\| c", [("a b | c", [])]),
            ("a\\\nb \\\n c", [("ab c", [])]),
            ("a # b \\\nc\\\n#d", [("a", []), ("c#d", [])]),
            ("a \"b\\\nc d\" 'e\\\n f'", [("a bc d e\\ f", ["bc d", "e\\\n f"])]),
            ("x=$(a 'b c'", [("a b c", ["b c"]), ("x= $(", [])]),
            ("printf 'a\\nb'", [("printf a b", ["a\nb"])]),
            ('printf "a\\nb"', [("printf a b", ["a\nb"])]),
            ("a;;b &\nc", [("a", []), ("b", []), ("c", [])]),
            ("`a", [("a", []), ("`", [])]),
            ("a ['b', \"c\"]{d", [("a b c d", [])]),
        ):
            found = [(line.strip(), quoted) for line, quoted in looop.simple_commands(text)]
            self.assertEqual([pair for pair in found if pair[0]], commands, text)
            for line, _ in looop.simple_commands(text):
                self.assertRegex(line, r"^ (?:\S+ )*$")

    def test_names_of_words(self):
        for suffix in looop._SUFFIXES:
            self.assertEqual(looop.words_of(f" ./wipe.{suffix} "), {"wipe", "^wipe"})
        for line, names in (
            (" /usr/bin/Git push ", {"git", "push", "^git"}),
            (
                " FOO=1 -x deploy_prod.sh mail ",
                {"foo=1", "-x", "deploy_prod", "mail", "^foo=1", "^deploy_prod", "^deploy", "^prod"},
            ),
            (" xargs -n mail ", {"xargs", "-n", "mail", "^xargs", "^mail"}),
            (" a fs::rm x.py ", {"a", "^a", "fs.rm", ".rm", "x"}),
            (" bash kill ", {"bash", "^bash", "kill", "^kill"}),
            (" ${X:-rm} ", {"rm", "^rm"}),
        ):
            self.assertEqual(looop.words_of(line), names, line)

    def test_what_is_fetched_and_run(self):
        for lines, runs in (
            ((" curl -o /tmp/x u ", " sh /tmp/x "), True),
            ((" curl -o x u ", " ./x "), True),
            ((" wget u/x ", " chmod +x x "), True),
            ((" sh x ", " curl -o x u "), False),
            ((" curl -o x u ", " sh y "), False),
            ((" curl -o x u ", " cat x "), False),
            ((" curl -o x u ", " python3 - x "), False),
            ((" curl -o x u ", " | python3.11 x "), True),
            ((" cp u x ", " sh x "), False),
        ):
            self.assertEqual(looop.runs_fetched(lines), runs, lines)


class Hostile(unittest.TestCase):
    UNITS = tuple(
        """
        git git;git|a;( ) ` $( \\ \\" " ' "' <> & ; | # ,[]{} - _ . / = env; curl|curl<aa aws;x: mongo;.drop( method: on
        set insert echo;
        """.split()
    )

    @heavy
    def test_long_ones_are_read_in_time(self):
        """200 KB, and the longest that is read at all, against what the machine takes to count to five million."""

        def counted():
            began = time.process_time()
            for _ in range(5_000_000):
                pass
            return time.process_time() - began

        self.assertGreater(len(self.UNITS), 25)
        slowest, unit_of_time = 0.0, counted()
        commands = [
            ("mongo " + (unit + " " if unit.isalpha() else unit) * size)[:size]
            for unit in self.UNITS
            for size in (32_000, 200_000)
        ]
        for command in [*commands, "python3 -c '" + "Request( " * 3500 + "'"]:
            began = time.process_time()
            looop.looks_irreversible(command)
            slowest = max(slowest, time.process_time() - began)
        self.assertLess(slowest, max(1.0, 12 * max(unit_of_time, counted())))  # a second, or more on a slow machine

    def test_what_is_too_long_or_too_deep_is_held_back(self):
        self.assertTrue(looop.looks_irreversible("echo " + "x" * 200_000))
        self.assertEqual(looop.looks_irreversible("echo " + "x" * 20_000), "")
        for levels, why in (
            (looop._DEEPEST, ""),
            (looop._DEEPEST + 1, "it looks irreversible: quotes too deep to be read"),
        ):
            quoted = "date now"
            for _ in range(levels):
                quoted = 'a "' + quoted.replace("\\", "\\\\").replace('"', '\\"') + '"'
            self.assertEqual(looop.looks_irreversible(quoted), why)
        self.assertEqual(looop.tripwire("date", {}, True, looop._DEEPEST), "")
        self.assertTrue(looop.tripwire("date", {}, True, looop._DEEPEST + 1))


if __name__ == "__main__":
    unittest.main()
