"""The README: what it says to type is typed, and what it names exists: verbs, settings, messages, files, figures."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import unittest
from typing import NamedTuple

import looop
from tests.support import ARCHIVE, CAPTURED, FAKES, PATIENCE, ROOT, Case, Terminal, forget, heavy, needs_linux, nodes


def text_of(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


class Block(NamedTuple):
    section: str  # the heading above it
    language: str  # "": indented by four blanks, not fenced
    text: str


README = text_of("README.md")


def sections_of(text):
    """Return what stands under each heading, by the heading; a comment in a block is none."""
    found, heading, fenced = {}, "", False
    for line in text.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        match = None if fenced else re.match(r"#{1,3} (.+)\n", line)
        heading = match[1] if match else heading
        found[heading] = found.get(heading, "") + ("" if match else line)
    return found


SECTIONS = sections_of(README)
BLOCKS = [
    Block(section, match[1] or "", match[2] or re.sub(r"^    ", "", match[3], flags=re.MULTILINE))
    for section, text in SECTIONS.items()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$|^((?:    [^\n]*\n)+)", text, re.MULTILINE | re.DOTALL)
]
INLINE = [  # what stands in backticks, outside of blocks
    " ".join(code.split()) for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S))
]

# Blocks that no test can run, by their first line, with the reason.
NOT_RUN = {
    "python3 -m unittest": "it is what runs this",
    "sense → diff → decide ONE move → act → log": "it is a drawing",
    "sh install.sh": "the tests of install.sh run it",
    'curl -fsSL "$LOOOP_BASE_URL/install.sh" | sh': "the tests of install.sh run it, against a server of their own",
    "looop service install": "it changes the machine's scheduler; tests/test_service.py runs it against stand-ins",
    "looop service install --ping https://hc-ping.com/UUID": "the same",
    "looop service print kubernetes --every 5m --image registry.example/me/looop:1 >looop.yaml": "it needs a lease; "
    "tests/test_manifests.py has one",
    "looop top": "tests/test_top.py drives it",
}

PLACEHOLDERS = {"DUR": "5m", "COLSxROWS": "80x24", "N": "3", "WHAT": "day"}


def commands_in(code):
    """Give the words of each looop command in a piece of shell; of words to choose from, each."""
    lexer = shlex.shlex(code, posix=True, punctuation_chars="&|;()<>")
    lexer.whitespace_split = True
    command = []
    for word in [*lexer, ";"]:
        if word.strip("&|;()<>\n"):
            command.append(word)
            continue
        while command and re.match(r"[A-Z_]+=", command[0]):
            command.pop(0)
        if command[:1] == ["looop"] and len(command) > 1:
            yield command[1:]
        command = []


def spelled(code):
    """Write [optional] words and a|b|c as one could type them."""
    code = re.sub(r"\[([^\[\]]*)\]", r"\1", code).replace("…", "")
    return re.sub(r"(?<=[\w-])\|[\w|-]+", "", code)


def source_strings():
    """Return every string of looop.py, as one text; where a value is put in stands a NUL."""
    found = []
    for node in nodes():
        if isinstance(node, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def rows_of(section, header):
    """Return the rows of the table in a section that begins with a header, each a list of cells."""
    table = SECTIONS[section].partition(header + "\n")[2].split("\n\n")[0]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.split("\n")[1:] if line]


def slug(heading):
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class Words(unittest.TestCase):
    """What the README names is there, and what is there it names."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(forget)

    def check_command(self, words):
        verb, rest = looop.find_verb(words)
        self.assertIsNotNone(verb, words)
        self.assertFalse(verb.name == "help" and rest and rest[0][0] != "-" and looop.find_verb(rest)[0] is None)
        try:
            looop.parse_args(verb, [PLACEHOLDERS.get(word, word) for word in rest])
        except looop.Failure as failure:  # named, not typed: `looop send`
            self.assertRegex(failure.message, " is missing$", words)

    def test_each_command_parses(self):
        checked = 0
        for code in [*INLINE, *(block.text for block in BLOCKS if block.language == "sh")]:
            if not re.search(r"(^|&& |=\S* )looop ", code, re.MULTILINE):
                continue  # a message may speak of looop
            for line in re.sub(r"<<'END'\n.*?^END$", "", code, flags=re.M | re.S).split("\n"):
                for words in commands_in(spelled(line)):
                    with self.subTest(" ".join(words)):
                        self.check_command(["help"] if words == ["help", "VERB"] else words)
                    checked += 1
        self.assertGreater(checked, 120)

    def test_options_that_stand_alone_are_somebodys(self):
        known = {option.name for verb in looop.all_verbs() for option in verb.options}
        others = " ".join(runner.get("tick", "") for runner in looop.DEFAULT_RUNNERS.values())
        found = {code.split()[0].partition("=")[0] for code in INLINE if code.startswith("--")}
        self.assertGreater(len(found), 5)
        self.assertEqual({option for option in found - known if option not in others} - {"--model"}, set())

    def test_the_list_of_verbs_is_that_of_the_parser(self):
        there = {verb.name for verb in looop.all_verbs() if not verb.name.startswith("_")}
        listed = set()
        for line in next(block.text for block in BLOCKS if block.section == "Verbs").splitlines():
            group = ""
            for usage in line.partition("   ")[0].split(" | ") if line.startswith("looop ") else ():
                words = re.findall(r"(?<!\S)[a-z-]+(?!\S)", usage.replace("looop ", "").lstrip())
                pair = " ".join(words[:2])
                if f"{group} {words[0]}" in there:  # `service install | uninstall`
                    pair = f"{group} {words[0]}"
                name = pair if pair in there else words[0]
                group = name.split()[0]
                listed.add(name)
                self.check_options(name, usage)
        self.assertEqual(there - listed, set())
        self.assertEqual(listed - there, set())

    def check_options(self, name, usage):
        """What a usage shows in brackets is what the verb takes."""
        options = [option for verb in looop.all_verbs() if verb.name == name for option in verb.options]
        metavars = {
            form: option.metavar and not option.attached for option in options for form in (option.name, option.short)
        }
        for form, metavar in re.findall(r"\[(--?[a-z][\w-]*)(?: ([A-Z]+))?\]", usage):
            self.assertIn(form, metavars, usage)
            self.assertEqual(bool(metavar), bool(metavars[form]), usage)

    def test_verbs_for_scripts_are_named(self):
        for verb in looop.all_verbs():
            if verb.name.startswith("_") and verb.name != "_complete":  # that one is the completions' own
                self.assertIn(f"looop {verb.name}", INLINE)

    def test_variables_are_those_that_are_read(self):
        read = set()
        for node in nodes():
            text = node.value if isinstance(node, ast.Constant) else node.arg if isinstance(node, ast.keyword) else None
            if isinstance(text, str) and re.fullmatch(r"LOOOP_[A-Z_]+[A-Z]", text):
                read.add(text)
        read |= set(re.findall(r"\bLOOOP_[A-Z_]+[A-Z]\b", text_of("install.sh")))
        named = set(re.findall(r"\bLOOOP_[A-Z_]+[A-Z]\b", README))
        self.assertGreater(len(read), 25)
        self.assertEqual(named - read, set())
        self.assertEqual(read - named, set())
        source = text_of("looop.py")
        for name in re.findall(r"`((?:XDG_\w+|NO_COLOR|\w+_KEY|\w+_TOKEN))`", README):
            self.assertIn(name, source)

    def test_settings_are_those_of_the_table(self):
        found = {}
        for key, env, default, _ in rows_of("Config and environment", "| key | variable | default | is |"):
            found[key.strip("`"), env.strip("`")] = default.strip("`")
        self.assertEqual(set(found), {(setting.key, setting.env) for setting in looop.SETTINGS.values()})
        for setting in looop.SETTINGS.values():
            text = found[setting.key, setting.env]
            value = text if setting.kind in ("seconds", "keys") or not text or text.isalpha() else json.loads(text)
            value = {"true": True, "false": False, "null": None}.get(text, value)
            if value is not None:
                value = looop.checked_value(value, setting)
            self.assertEqual(value, setting.default, setting)

    def test_configs_are_good(self):
        texts = re.findall(r"\.json <<'END'\n(.*?)^END$", README, re.M | re.S)
        texts += [block.text for block in BLOCKS if block.language == "json"]
        texts += re.findall(r"echo '(\{.*\})' >\S*\.json", README)
        self.assertGreaterEqual(len(texts), 3)
        for text in texts:
            check = looop.Config(json.loads(text))
            self.assertEqual((check.wrong, check.unknown), ([], []), text)
        keys = SECTIONS["Config and environment"]
        for key in ({*looop._RUNNER_KEYS} - {"resume"}) | {*looop._PRICE_KEYS}:
            self.assertIn(f"`{key}`", keys)
        named = re.findall(r"`((?:budget|gate)\.\w+)`", README)
        self.assertLessEqual(set(named), {setting.key for setting in looop.SETTINGS.values()})

    def test_runners_and_gallery_are_those_there_are(self):
        head = "| runner | decides without tools | priced | worker | dialogs | a late answer | `resume` |"
        rows = rows_of("Runners", head)
        self.assertEqual([row[0].strip("`") for row in rows], list(looop.DEFAULT_RUNNERS))
        kinds = [row[0].strip("`").split()[0] for row in rows_of("Sensors", "| kind | watches | needs |")]
        self.assertEqual(kinds, list(looop.GALLERY))

    def test_messages_are_those_of_the_program(self):
        strings, checked = source_strings(), 0
        for symptom, _ in rows_of("Troubleshooting", "| symptom | what it is, and what to do |"):
            for message in re.findall(r"`([^`]+)`", symptom):
                pieces = [piece.strip() for piece in message.split("…") if piece.strip()]
                pattern = re.compile(".*".join(map(re.escape, pieces)), re.DOTALL)
                self.assertTrue(any(map(pattern.search, strings)), f"looop never says {message!r}")
                checked += 1
        self.assertGreater(checked, 25)

    def test_links_lead_somewhere(self):
        links = re.findall(r"\]\(([^)\s]+)\)", README)
        self.assertGreater(len(links), 25)
        for link in links:
            path, _, anchor = link.partition("#")
            self.assertFalse(path.startswith(("http", "/")), link)
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), link)
            if anchor:
                headings = re.findall(r"^#+ (.+)$", text_of(path) if path else README, re.MULTILINE)
                self.assertIn(anchor, map(slug, headings), link)
        for path in re.findall(r"`(?:python3|sh) ([\w/]+\.\w+)", README):
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)
        chapters = re.findall(r"^## (.+)$", README, re.MULTILINE)
        self.assertLessEqual({f"#{slug(chapter)}" for chapter in chapters}, set(links))

    def test_figures_are_those_of_the_bench(self):
        ratios = {row.split("|")[4].strip() for row in text_of("bench", "README.md").split("\n") if row.count("|") == 8}
        said = re.findall(r"(?<![\d.])\d\.\d\d(?![\d.])", SECTIONS["Compared with other ways"])
        self.assertGreater(len(said), 5)
        self.assertLessEqual(set(said), ratios)


@heavy
class Typed(Case):
    """What the README says to type works in this order, in an empty home."""

    git = True
    long = True

    def setUp(self):
        super().setUp()
        del self.env["LOOOP_DATA_DIR"]
        self.data = os.path.join(self.home, ".local", "state", "looop")
        self.cwd = os.path.join(self.home, "checkout")  # a person is there, or where they went last
        os.mkdir(self.cwd)
        os.symlink(ARCHIVE or os.path.join(ROOT, "looop.py"), os.path.join(self.cwd, "looop.py"))  # built, it is quick
        for tool in ("df", "awk"):  # for a sensor of the gallery
            os.symlink(shutil.which(tool), os.path.join(self.bin, tool))
        self.env["PATH"] = f"{self.home}/.local/bin:{self.bin}"

    def bring(self, *llms):
        """Put stand-ins for LLM command lines on the PATH."""
        for name in llms:
            os.symlink(os.path.join(FAKES, "llm"), os.path.join(self.bin, name))

    def project(self):
        """Make a clone, with a commit and a `make test`."""
        path = os.path.join(self.home, "src", "my-project")
        os.makedirs(path)
        author = ("-c", "user.name=a", "-c", "user.email=a@b")
        for words in (("init", "-q"), (*author, "commit", "-q", "--allow-empty", "-m", "one")):
            subprocess.run(["git", "-C", path, *words], env=self.env, check=True)
        with open(os.path.join(self.bin, "make"), "w") as file:
            file.write("#!/bin/sh\necho 3 passed\n")
        os.chmod(os.path.join(self.bin, "make"), 0o700)

    def type_blocks(self, section):
        """Give (text of a block, what it printed on stdout and stderr) for each of a section, as they are typed."""
        blocks = [block for block in BLOCKS if block.section == section and block.language in ("sh", "")]
        self.assertTrue(blocks)
        for block in blocks:
            if block.text.split("\n")[0] in NOT_RUN:
                continue
            if block.text.startswith("looop attach"):
                yield block.text, self.visit(block.text.split("#")[0].split())
            else:
                yield block.text, self.type_one(block.text)

    def type_one(self, text):
        where = os.path.join(self.home, ".where")
        script = f"set -euo pipefail\n{text}\npwd >{where}"
        done = subprocess.run(
            ["bash", "-c", script], env=self.env, cwd=self.cwd, input=b"", capture_output=True, timeout=120, check=False
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, 0, f"{text}\n{out}\n{err}")
        self.assertNotIn("Traceback", err)
        with open(where) as file:
            self.cwd = file.read().strip()
        return out + err

    def visit(self, words):
        """Attach to a session in a terminal: answer the interview to its end, or leave at once."""
        terminal = Terminal(100, 30)
        self.addCleanup(terminal.close)
        terminal.run([os.path.join(self.bin, words[0]), *words[1:]], {**self.env, "TERM": "xterm"}, self.home)
        if words[-1] != "setup":
            terminal.wait_text("3 passed")
            terminal.type(b"\x1c\x1c")
            self.assertEqual(terminal.end(), 0)
            return terminal.text(past=True)
        for answer in [b"Rest", *[b""] * 20]:
            terminal.wait(lambda: terminal.process.poll() is not None or self.asks(terminal), "a question, or the end")
            if terminal.process.poll() is not None:
                break
            asked = len(terminal.received)
            terminal.type(answer + b"\r")
            terminal.wait(lambda asked=asked: b"\n" in terminal.received[asked:], "the echo of what was typed")
        self.assertEqual(terminal.end(), 0)
        return terminal.text(past=True)

    @staticmethod
    def asks(terminal):
        """Tell whether the last line on a terminal is a question of the interview."""
        return re.search(r"(\]|edit|skip):$|: Enter shows them$", terminal.text().rstrip())

    def test_run_one_beat(self):
        (_, said), *more = self.type_blocks("looop")
        self.assertEqual(more, [])
        self.assertIn("● acted", said)
        self.assertIn("the built-in decider ran", said)

    def test_install(self):
        said = dict(self.type_blocks("Install"))
        self.assertIn(f"looop {looop.VERSION}\n", "".join(said.values()))

    def test_the_first_five_minutes(self):
        self.project()
        blocks = self.type_blocks("The first five minutes")
        self.assertIn("NEEDS YOU", next(blocks)[1])
        self.assertIn("This looop is yours", next(blocks)[1])
        said = next(blocks)[1]
        self.assertRegex(said, r"(?s)○ noop  seen: .*· unchanged .*wakes by ")
        said = next(blocks)[1]
        self.assertIn("new: the next beat would react to it", said)
        self.assertRegex(said, r"○ noop  seen: goal ship-v2 is new; .*sensor repo is new: head")
        self.assertRegex(said, r"because  goal ship-v2 is new\n +(.+\n +)?sensor repo is new: head")
        self.assertRegex(next(blocks)[1], r"(?s)the pulse runs.*pulse +running.*the pulse has ended")
        self.assertEqual(list(blocks), [])
        self.check_data_dir()

    def check_data_dir(self):
        """What lies in a data dir is in the table of the README, and what is in the table is what looop makes."""
        rows = rows_of("Concepts", "| what | where | |")
        named = {name.split("/")[0] for row in rows for name in re.findall(r"`(\w+[./][\w./*<>-]*)`", " ".join(row))}
        there = {name for name in os.listdir(self.data) if not name.startswith(".")}
        self.assertEqual(there - named, set())
        self.assertLessEqual(named - there, {"cost.jsonl", "tests", "where"})  # nothing paid, no case, no other machine

    def with_an_llm(self, name, section, cost):
        """Go on from the first five minutes; then once more from nothing."""
        self.bring(name)
        self.profile(goals={"ship-v2": "Ship version 2 by Friday.\n"})
        ((_, said),) = self.type_blocks(section)
        self.assertIn("everything that a beat needs is here", said)
        self.assertRegex(said, rf"● acted  wrote goal rest — wrote down a goal\n  because: .*; ({name}|mine), ")
        if cost:
            self.assertIn(f"${cost:.4f}  today, 1 call", said)
            shutil.rmtree(self.data)
            self.assertRegex(self.looop("tick"), r"● acted  started worker setup: .* — started the interview")
            self.assertRegex(self.looop("ls"), r"\nsetup +worker +(busy|idle)")
        return said

    def test_with_pi(self):
        with open(os.path.join(CAPTURED, "runners", "pi-0.87.1-json.ndjson"), encoding="utf-8") as file:
            cost = looop.meter(file.read(), "pi").cost
        self.with_an_llm("pi", "With pi", cost)

    def test_with_claude(self):
        self.with_an_llm("claude", "With claude", 0.01326)

    def test_with_any_llm_command_line(self):
        said = self.with_an_llm("my-llm", "With any LLM command line", None)
        self.assertIn("looop.json: good", said)
        self.assertIn("mine answered with noop", said)

    def test_sensors(self):
        self.project()
        (_, said), (_, trust) = self.type_blocks("Sensors")
        self.assertIn("sensor git-my-project: written by looop; its readings are untrusted", trust)
        self.assertRegex(said, r"(?s)nagios PLUGIN.*● git-my-project.*● disk.*SENSOR")

    def test_running_by_itself(self):
        said = "".join(said for _, said in self.type_blocks("Running by itself"))
        for piece in ("OnUnitActiveSec=300s", "<key>StartInterval</key>", "# >>> looop >>>", "● scheduler"):
            self.assertIn(piece, said)
        self.assertEqual(os.stat(os.path.join(self.home, ".config", "looop.env")).st_mode & 0o777, 0o600)

    def test_workers(self):
        self.project()
        self.bring("claude")
        ((_, said),) = self.type_blocks("Workers, and what they ask")
        self.assertRegex(said, r"(?m)^fix-ci +worker +(busy|idle)")

    def test_sessions(self):
        self.project()
        (_, said), (_, seen) = self.type_blocks("Sessions")
        self.assertIn("3 passed", said)
        self.assertIn("3 passed", seen)

    def test_dotfiles(self):
        subprocess.run(["git", "init", "-q", "--bare", f"{self.home}/looop-memory.git"], env=self.env, check=True)
        said = [said for _, said in self.type_blocks("Dotfiles")]
        self.assertIn("looop.json: good", said[0])
        self.assertIn("● acted", said[2])
        self.assertTrue(os.path.exists(os.path.join(self.home, "next", "looop", "journal.md")))

    def test_each_block_is_typed_or_excused(self):
        tested = {
            *("looop", "Install", "The first five minutes", "With pi", "With claude", "With any LLM command line"),
            *("Sensors", "Running by itself", "Workers, and what they ask", "Sessions", "Dotfiles"),
            *("Everything on one screen", "Answers from your phone", "A standby in a cluster, or at GitHub"),
        }
        self.assertEqual({block.section for block in BLOCKS if block.language in ("sh", "")}, tested)
        first = {block.text.split("\n")[0] for block in BLOCKS}
        self.assertEqual(set(NOT_RUN) - first, set(), "excused, and not there")
        self.assertLessEqual({block.language for block in BLOCKS}, {"sh", "json", "text", "yaml", ""})


def words_in_picture(text):
    """Return the lines of text in an SVG of looop's, without what is another each time: times, ids, ages."""
    import xml.etree.ElementTree

    lines = {}
    for element in xml.etree.ElementTree.fromstring(text).iter():
        if element.tag.endswith("}text") and element.get("y"):
            for span in element:
                lines.setdefault(float(element.get("y")), []).append((float(span.get("x")), span.text))
    plain = "\n".join(" ".join(word for _, word in sorted(lines[y])) for y in sorted(lines))
    for pattern, name in (
        (r"tick-\d{8}-\d{6}-[0-9a-f]{4}", "RUN"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"(\b[A-Z][a-z]{2} \d\d (\d{4} )?)?\b\d\d:\d\d\b", "TIME"),
        (r"\d+ m?s ago", "AGE"),
    ):
        plain = re.sub(pattern, name, plain)
    return " ".join(plain.split())


def lasting_words(picture):
    """Return the words in a picture of top that depend neither on how long a worker was quiet nor on what is cut."""
    quiet = r"busy|idle|[●○]|<?\d+[mh]|sh|~/tests\.sh|[─┬│]+|.*….*"
    return {word for word in words_in_picture(picture).split() if not re.fullmatch(quiet, word)}


@heavy
class Picture(Case):
    """docs/demo.svg is what docs/demo.sh makes."""

    git = True

    def test_the_script_makes_the_picture(self):
        os.symlink(shutil.which("mktemp"), os.path.join(self.bin, "mktemp"))
        made = os.path.join(self.home, "made.svg")
        subprocess.run(
            ["bash", os.path.join(ROOT, "docs", "demo.sh"), made, self.launcher],
            env={"PATH": self.bin, "TMPDIR": self.home, "HOME": self.home},
            check=True,
            timeout=120,
        )
        with open(made, encoding="utf-8") as file:
            text = file.read()
        kept = text_of("docs", "demo.svg")
        self.assertGreater(len(words_in_picture(kept)), 500)
        self.assertEqual(words_in_picture(text), words_in_picture(kept))
        for word in ("● acted", "· unchanged", "◆ proposed", "$ looop why now"):
            self.assertIn(word, words_in_picture(kept))
        self.assertNotRegex(kept, r"/tmp|/home/|/root|/Users/|looop-demo")
        self.assertFalse([name for name in os.listdir(self.home) if name.startswith("looop-demo")])

    def test_the_script_makes_the_picture_of_top(self):
        os.symlink(shutil.which("mktemp"), os.path.join(self.bin, "mktemp"))
        made = os.path.join(self.home, "top.svg")
        env = {"PATH": f"{self.bin}:{os.environ['PATH']}", "TMPDIR": self.home, "HOME": self.home}
        script = ["bash", os.path.join(ROOT, "docs", "top.sh"), made, self.launcher]
        subprocess.run(script, env=env, check=True, timeout=PATIENCE * 2)
        with open(made, encoding="utf-8") as file:
            text = file.read()
        kept = text_of("docs", "top.svg")
        self.assertGreater(len(lasting_words(kept)), 60)
        self.assertEqual(lasting_words(text), lasting_words(kept))
        self.assertNotRegex(kept, r"/tmp|/home/|/root|/Users/|looop-top")


@heavy
@needs_linux
class Lived(Case):
    """The page "A week with looop" is what docs/week.py prints."""

    git = True

    def test_the_script_prints_the_page(self):
        script = [sys.executable, os.path.join(ROOT, "docs", "week.py")]
        env = {"PATH": self.bin, "TMPDIR": self.home, "HOME": self.home}
        done = subprocess.run(script, env=env, stdout=subprocess.PIPE, check=True, timeout=PATIENCE * 2)
        shown = [block.text for block in BLOCKS if block.section == "A week with looop"]
        self.assertEqual(same_runs("\n".join(shown)), same_runs(done.stdout.decode()))
        self.assertLessEqual(max(map(len, "\n".join(shown).split("\n"))), 80)
        self.assertFalse([name for name in os.listdir(self.home) if name.startswith("looop-week")])


def same_runs(text):
    """Return a text without what differs in the names of runs."""
    return re.sub(r"(tick-\d{8}-\d{6}-)[0-9a-f]{4}", r"\1xxxx", text)


if __name__ == "__main__":
    unittest.main()
