"""The shape of the file: contents and banners, sections that look back only, pure sections, docstrings, start-up."""

import ast
import os
import re
import subprocess
import sys
import unittest

import looop
from tests.support import ROOT, forget, nodes, syntax

with open(os.path.join(ROOT, "looop.py"), encoding="utf-8") as file:
    SOURCE = file.read()
LINES = SOURCE.split("\n")
BANNERS = [
    (number, int(match[1]), match[2])
    for number, line in enumerate(LINES, 1)
    for match in [re.match(r"# (\d+)\. (.+)$", line)]
    if match and LINES[number - 2].startswith("# ====")
]


def section_of(line):
    """Return the (number, title) of the section that a line stands in; (0, "") before the first."""
    found = (0, "")
    for start, number, title in BANNERS:
        if start <= line:
            found = (number, title)
    return found


def top_level():
    """Give every name that the module defines at its top level, with the node that defines it."""
    for node in syntax().body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id, node


class Architecture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(forget)

    def test_contents_equal_the_banners(self):
        listed = re.findall(r"^ +(\d+)\. (.+?)(?:  +(\S.*))?$", looop.__doc__, re.MULTILINE)
        self.assertGreater(len(BANNERS), 20)
        self.assertEqual([(int(n), t) for n, t, _ in listed], [(n, t) for _, n, t in BANNERS])
        self.assertEqual([title for _, title, phrase in listed if not phrase], [], "the contents say what each holds")
        self.assertEqual([n for _, n, _ in BANNERS], list(range(1, len(BANNERS) + 1)))

    def test_no_section_refers_to_a_later_one(self):
        defined = {name: section_of(node.lineno) for name, node in top_level()}
        seen = 0
        for node in nodes():
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in defined:
                seen += 1
                there, here = defined[node.id], section_of(node.lineno)
                if not there[1].startswith("Texts"):
                    self.assertLessEqual(there[0], here[0], f"line {node.lineno} uses {node.id} of section {there}")
        self.assertGreater(seen, 1000)

    def test_pure_sections_are_pure(self):
        checked = 0
        for node in nodes():
            if not hasattr(node, "lineno") or not section_of(node.lineno)[1].endswith("(pure)"):
                continue
            checked += 1
            if isinstance(node, ast.Name):
                self.assertNotIn(node.id, ("os", "time", "sys", "open", "Profile"), f"line {node.lineno}")
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for name in node.names:
                    self.assertIn(
                        name.name,
                        (
                            "json",
                            "make_scanner",
                            "make_encoder",
                            "encode_basestring_ascii",
                            "methodcaller",
                            "math",
                            "re",
                            "shlex",
                            "hashlib",
                            "difflib",
                            "Decimal",
                            "struct",
                            "unicodedata",
                            "binascii",
                        ),
                        f"line {node.lineno}",
                    )
        self.assertGreater(checked, 2000)

    def test_no_section_is_too_long_to_be_handed_over(self):
        starts = [start for start, _, _ in BANNERS] + [len(LINES)]
        for (start, _, title), end in zip(BANNERS, starts[1:]):
            self.assertLessEqual(end - start, 620, title)

    def test_the_grammar_of_a_stream_stands_in_one_place(self):
        """A regular expression for escape sequences is made of what the section Sequences has, not written anew."""
        docstrings = {id(node.value) for node in nodes() if isinstance(node, ast.Expr)}
        found = {}
        for node in nodes():
            value = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if isinstance(text, str) and any(sign in text for sign in (r"\x1b", "\x1b(?", "\x1b[^")):
                found.setdefault(section_of(node.lineno)[1], []).append(node.lineno)
        self.assertIn("Sequences (pure)", found)
        del found["Sequences (pure)"]
        self.assertEqual(list(found), ["Keys (pure)"], found)

    def test_public_names_have_docstrings(self):
        checked = 0
        for _, node in top_level():
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                checked += 1
                first = (ast.get_docstring(node) or "").split("\n")[0]
                self.assertTrue(first.endswith((".", ":", "`")), f"{node.name}: {first!r}")
        self.assertGreater(checked, 150)

    def test_functions_are_short(self):
        lengths = sorted(n.end_lineno - n.lineno + 1 for n in nodes() if isinstance(n, ast.FunctionDef))
        self.assertLess(lengths[len(lengths) // 2], 15)
        self.assertLessEqual(lengths[-1], 65)

    def test_one_place_reads_the_environment_and_none_is_global(self):
        readers = [n.lineno for n in nodes() if isinstance(n, ast.Attribute) and n.attr in ("environ", "getenv")]
        self.assertEqual(len(readers), 1)
        self.assertFalse([n.lineno for n in nodes() if isinstance(n, ast.Global)])

    def test_one_place_writes_the_state_and_one_makes_capsules(self):
        """A beat, an approval and a recovery go through `Run`, so their order on disk stands in one place."""
        callers = {"write_state": [], "new_run_id": []}
        for name, node in top_level():
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and inner.id in callers:
                    callers[inner.id].append(name)
        self.assertEqual(callers, {"write_state": ["Run"], "new_run_id": ["Run"]})

    def test_the_loop_parses_no_message_of_its_own(self):
        """What a sentence says is a value where it is needed: no separator of prose is searched for."""
        titles = [title for _, _, title in BANNERS]
        first, last = titles.index("Readings (pure)"), titles.index("Pulse")
        parsers = ("partition", "rpartition", "split", "rsplit", "startswith", "endswith", "removeprefix", "find")
        checked = 0
        for node in nodes():
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in parsers):
                continue
            title = section_of(node.lineno)[1]
            if title in titles and first <= titles.index(title) <= last and title != "Verbs":  # a page has a grammar
                checked += 1
                for argument in (inner for one in node.args for inner in ast.walk(one)):
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        self.assertNotRegex(argument.value, r"[\w:;,(`] ", f"line {node.lineno}")
        self.assertGreater(checked, 50)

    def test_every_verb_is_found_by_one_grep(self):
        for verb in looop.all_verbs():
            self.assertEqual(verb.run.__name__, "cmd_" + verb.name.replace(" ", "_").replace("-", "_"))
            self.assertGreaterEqual(len(verb.examples), 2, verb.name)

    def test_row_and_function_of_a_verb_are_one(self):
        """What begins with `cmd_` is a verb: `@declare(…)` stands above it, and its page in it."""
        found = [node for _, node in top_level() if getattr(node, "name", "").startswith("cmd_")]
        for node in found:
            (above,) = node.decorator_list
            self.assertEqual(above.func.id, "declare", node.name)
            self.assertTrue(ast.get_docstring(node), node.name)
        self.assertEqual(len(found), len(looop.all_verbs()))
        self.assertGreater(len(found), 60)

    def test_no_verb_asks_whether_json_is_wanted(self):
        """A verb returns a value and lines; which of them is printed is decided in one place."""
        looked = 0
        for name, node in top_level():
            for part in ast.walk(node) if name.startswith("cmd_") else ():
                if isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
                    self.assertNotEqual(part.slice.value, "json", name)
                    looked += 1
        self.assertGreater(looked, 80)

    def test_import_has_no_effect_and_costs_little(self):
        code = "import sys; before = set(sys.modules); import looop; print(*sorted(set(sys.modules) - before))"
        out = subprocess.run(
            [sys.executable, "-SI", "-c", f"import sys; sys.path.insert(0, {ROOT!r}); {code}"],
            capture_output=True,
            check=True,
        )
        loaded = set(out.stdout.decode().split())
        self.assertIn("looop", loaded)
        dear = {
            "json",
            "re",
            "enum",
            "argparse",
            "subprocess",
            "typing",
            "dataclasses",
            "collections",
            "hashlib",
            "signal",
        }
        self.assertEqual(loaded & dear, set())
        self.assertEqual(out.stderr, b"")


if __name__ == "__main__":
    unittest.main()
