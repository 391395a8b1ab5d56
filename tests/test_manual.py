"""What looop says of itself: pages, manual, man page; they agree with the table, the source and each other."""

import ast
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import termios
import unittest

import looop
from tests.support import ROOT, START, Case, Terminal, forget, heavy, needs, nodes, which

with open(os.path.join(ROOT, "looop.py"), encoding="utf-8") as file:
    SOURCE = file.read()
PAGE = os.path.join(ROOT, "docs", "looop.1")
PROFILE = looop.open_profile({"HOME": "/nowhere", "PATH": "/nowhere"}, os.path.join(ROOT, "looop.py"))
GROUPS = sorted({verb.name.split()[0] for verb in looop.all_verbs() if " " in verb.name})
OPEN = [verb for verb in looop.all_verbs() if not verb.name.startswith("_")]


def said(*words):
    """Return what a verb that only prints says; its exit code is 0."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = looop.dispatch(PROFILE, list(words))
    assert code == 0, (words, code)
    return out.getvalue()


def part(text, title):
    """Return the lines of one part of the manual."""
    lines = text.split("\n")
    start = lines.index(title) + 1
    end = next((at for at in range(start, len(lines)) if lines[at][:1].isupper()), len(lines))
    return [line for line in lines[start:end] if line]


class Pages(unittest.TestCase):
    def test_help_verb_and_verb_help_are_the_same_to_the_byte(self):
        for verb in looop.all_verbs():
            words = verb.name.split()
            page = said("help", *words)
            self.assertEqual(page, said(*words, "--help"), verb.name)
            self.assertEqual(page, said(*words, "-h"), verb.name)
            self.assertEqual(page, said("--help", *words), verb.name)
            self.assertTrue(page.startswith(f"looop {verb.name}"), page)
        self.assertGreater(len(looop.all_verbs()), 50)

    def test_a_page_has_everything(self):
        for verb in looop.all_verbs():
            page = looop.verb_page(verb)
            flat = " ".join(page.split())
            self.assertTrue(flat.startswith(looop.synopsis(verb)), page)
            self.assertIn(looop.as_sentence(verb.line), flat)
            for command, _ in verb.examples:
                self.assertIn(f"\n  {command}", page)
            for option in verb.options:
                self.assertRegex(page, rf"\n  .*{option.name}\b")
            for argument in verb.args:
                self.assertIn(f"\n  <{argument.name}>  ", page)
            self.assertGreaterEqual(len(verb.examples), 2, verb.name)
            self.assertLessEqual(max(map(len, page.split("\n"))), 80, page)
            self.assertNotRegex(page, r" \n|\n\n\n|\t")

    def test_every_page_has_its_exit_codes(self):
        for verb in looop.all_verbs():
            codes = dict(looop.exit_rows(verb))
            self.assertLessEqual({"1", "2", "130"}, set(codes), verb.name)
            self.assertTrue({"0", "N"} & set(codes), verb.name)
            for text in codes.values():
                self.assertTrue(text and text.count("(") == text.count(")"), (verb.name, text))
            listed = re.findall(
                r"^  (\d+|N|128\+N) ", looop.verb_page(verb).partition("Exit codes:\n")[2], re.MULTILINE
            )
            self.assertEqual(listed, [code for code, _ in looop.exit_rows(verb)])

    def test_pages_fit_any_width_and_lose_nothing(self):
        def words(page):
            return sorted(page.replace("#", " ").split())

        for verb in looop.all_verbs():
            whole = looop.verb_page(verb, 1000)
            for width in (60, 77, 80, 100):
                page = looop.verb_page(verb, width)
                self.assertEqual(words(page), words(whole), verb.name)
                for line in page.split("\n"):
                    if line[2:] not in [command for command, _ in verb.examples]:  # those are to be copied
                        self.assertLessEqual(len(line), width, line)
        looop.manual_text(40)

    def test_groups_have_pages(self):
        for group in GROUPS:
            members = [verb for verb in looop.all_verbs() if verb.name.startswith(group + " ")]
            page = said("help", group)
            self.assertEqual(page, said(group, "--help"))
            self.assertEqual(page, said(group, "-h", "--json"))
            for verb in members:
                self.assertIn(looop.verb_page(verb), page)
                self.assertRegex(page, rf"(?m)^looop {verb.name} +{re.escape(verb.line[0].upper())}")
        self.assertGreaterEqual(len(GROUPS), 4)

    def test_the_overview_has_a_line_for_each_verb(self):
        for words in (("--help",), ("-h",)):
            lines = said(*words).rstrip("\n").split("\n")
            self.assertLessEqual(len(lines), 104)  # two screens
            self.assertLessEqual(max(map(len, lines)), 80)
        for verb in OPEN:
            (row,) = (line for line in lines if re.match(rf"  {verb.name}  ", line))
            self.assertTrue(re.sub(r"^  \S+( \S+)?  +", "", row), verb.name)
        self.assertNotIn("\n  _", "\n".join(lines))
        for group in {verb.group for verb in OPEN}:
            self.assertIn(f"{group}:", lines)


class Examples(Case):
    def test_a_shell_makes_of_every_example_what_its_verb_takes(self):
        record = os.path.join(self.home, "record")
        stubs = {"looop": f"printf '%s\\0' \"$@\" >>{record}; printf '\\001' >>{record}"}
        for name in ("notify-send", "jq", "man", "pi", "git", "grep", "ls", "editor"):
            stubs[name] = ":"
        for name, body in stubs.items():
            path = os.path.join(self.bin, name)
            if os.path.lexists(path):
                os.unlink(path)
            with open(path, "w") as script:
                script.write(f"#!/bin/sh\n{body}\n")
            os.chmod(path, 0o700)
        for name in ("notes.txt", "output.log"):
            open(os.path.join(self.home, name), "w").close()
        for name in (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"):
            os.makedirs(os.path.join(self.home, name))
        adapted = {"PATH=/usr/bin:/bin": "PATH=$PATH", "| source": "| cat"}  # fish reads its stdin there
        commands = [(verb, command) for verb in looop.all_verbs() for command, _ in verb.examples]
        script = ""
        for _, command in commands:
            line = command
            for old, new in adapted.items():
                line = line.replace(old, new)
            script += f"printf '\\002' >>{record}; eval {shlex.quote(line)}\n"
        done = subprocess.run(
            [os.path.join(self.bin, "bash"), "-c", script],
            env={**self.env, "EDITOR": "editor"},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        self.assertEqual(done.stderr, b"")
        with open(record, encoding="utf-8") as file:
            calls = file.read().split("\2")[1:]
        self.assertEqual(len(calls), len(commands))
        for (verb, command), call in zip(commands, calls):
            found = []
            for words in (one.split("\0")[:-1] for one in call.split("\1")[:-1]):
                if words[0] == "--version":
                    words[0] = "version"
                named, rest = looop.find_verb(words)
                self.assertIsNotNone(named, command)
                looop.parse_args(named, rest)
                found.append(named.name)
            self.assertTrue(verb.name in found, command)


@heavy
class ExitCodes(Case):
    def test_what_pages_say_is_what_verbs_return(self):
        self.profile(sensors={"bad": "exit 1", "good": "echo '{}'"}, goals={"a": "x\n"})
        self.looop("start-session", "s", "--command", "while :; do echo .; sleep 0.05; done")
        self.looop("start-session", "t", "--command", "sleep 600")
        self.looop("start-session", "dead", "--command", "exit 3")
        self.assertEqual(self.looop("wait", "dead", code=3), "")
        self.looop("start-session", "shot", "--command", "kill -9 $$")
        self.looop("wait", "shot", code=137)
        wrong = os.path.join(self.home, "wrong.json")
        with open(wrong, "w") as file:
            file.write('{"interval": "soon"}')
        os.chmod(wrong, 0o600)
        cases = [
            ("asks --wait 50ms", 124),
            ("tick --wait x", 2),
            ("run nothing", 1),
            ("answer 9 x", 1),
            ("approve 9", 1),
            ("reject 9", 1),
            ("why tick-9", 1),
            ("replay tick-9", 1),
            ("status", 0),
            ("sensor test good", 0),
            ("sensor test bad", 1),
            ("sensor test none", 1),
            ("sensor show none", 1),
            ("sensor add today", 0),
            ("sensor add today", 1),
            ("sensor add dusk", 2),
            ("init", 2),
            ("init nobody", 1),
            ("config check", 0),
            (f"LOOOP_CONFIG={wrong} config check", 1),
            (f"LOOOP_CONFIG={wrong} config show", 1),
            ("service status", 0),
            ("service install nothing", 2),
            ("cost all", 0),
            ("cost none", 2),
            ("setup", 2),
            ("_interview", 2),
            ("_fmt", 0),
            ("start-session y --command no-such-program", 127),
            ("start-session s --command true", 1),
            ("start-session u --command true --cwd /no/such/folder", 1),
            ("expect s zzz --timeout 50ms", 124),
            ("expect dead zzz", 1),
            ("expect s [.]", 0),
            ("expect s (", 2),
            ("wait s --timeout 50ms", 124),
            ("wait nobody", 1),
            ("wait-idle s --timeout 50ms", 124),
            ("wait-idle dead", 0),
            ("wait-idle nobody", 1),
            ("attach nobody", 1),
            ("detach dead", 1),
            ("watch nobody", 1),
            ("log dead", 0),
            ("log nobody", 1),
            ("shot nobody", 1),
            ("render /no/such/file", 1),
            ("send dead x", 1),
            ("send t x", 0),
            ("key t Foo", 2),
            ("key dead Enter", 1),
            ("resize t 0x0", 2),
            ("resize dead 80x24", 1),
            ("flag nobody", 1),
            ("unflag t", 0),
            ("claim work --session s", 0),
            ("claim work --session t", 1),
            ("claim more --session dead", 1),
            ("unclaim nothing", 1),
            ("ask what --timeout 50ms", 124),
            ("asks --wait 50ms", 0),
            ("restart dead", 0),
            ("kill dead", 0),
            ("kill nobody", 1),
            ("help nothing", 2),
            ("version", 0),
        ]
        codes = self.codes([line for line, _ in cases])
        self.assertEqual([(line, code) for (line, _), code in zip(cases, codes)], cases)
        for line, code in cases:
            verb = looop.find_verb([word for word in line.split() if not word.startswith("LOOOP_")])[0]
            self.assertIn(str(code), dict(looop.exit_rows(verb)), line)
        self.assertGreater(len(cases), 50)

    def codes(self, lines):
        """Run command lines one after the other, each in a fork of one interpreter; return their exit codes."""
        script = START.format(ROOT, self.launcher).partition("; sys.exit")[0].replace("; ", "\n") + "\n"
        script += (
            "import json, os\n"
            "for line in json.loads(sys.argv[1]):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        os.dup2(os.open('/dev/null', os.O_RDWR), 2)\n"
            "        os.dup2(2, 1)\n"
            "        words = line.split()\n"
            "        if '=' in words[0]: os.environ.update([words.pop(0).split('=')])\n"
            "        code = 99\n"
            "        try: code = looop.main(words)\n"
            "        finally: os._exit(code)\n"
            "    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n"
        )
        done = subprocess.run(
            [sys.executable, "-SI", "-c", script, json.dumps(lines)],
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=True,
        )
        return [int(code) for code in done.stdout.split()]


class Manual(Case):
    def test_its_parts(self):
        text = said("help")
        titles = [line for line in text.split("\n") if line and line.upper() == line and line[0].isalpha()]
        wanted = (
            "THE IDEA, NOUNS, ONE BEAT, SESSIONS AND WORKERS, PEOPLE, RULES, FILES, CONFIG, ENVIRONMENT, EXIT CODES"
        )
        self.assertEqual([title for title in titles if title in wanted], wanted.split(", "))
        self.assertEqual(titles[-1], "VERBS")
        self.assertLessEqual(max(map(len, text.split("\n"))), 80)
        self.assertNotRegex(text, r" \n|\n\n\n|\t|::|(?<!\{)\{(?!\x22|\{(prompt_file|session_id|bin|hooks)\}\})")
        for verb in looop.all_verbs():
            self.assertRegex(text, rf"(?m)^    {verb.name}  +{re.escape(verb.line.split()[0])}")
        scripts = text.partition("For scripts:")[2]
        for verb in looop.all_verbs():
            self.assertEqual(verb.name.startswith("_"), f"    {verb.name}  " in scripts and "_" in verb.name)

    def test_each_noun_is_one_line(self):
        nouns = [line.split()[0] for line in part(said("help"), "NOUNS")]
        wanted = (
            "PLAYBOOK goal sensor signal beat move proposal ask flag worker session claim pulse capsule ledger profile"
        )
        self.assertEqual(sorted(nouns), sorted(wanted.split()))

    @heavy
    def test_every_variable_that_looop_knows_is_named_and_no_other(self):
        end = SOURCE[: re.search(r"^# \d+\. Texts of the manual", SOURCE, re.MULTILINE).start()].count("\n")
        known = set()
        self.addCleanup(forget)
        for node in nodes():
            if getattr(node, "lineno", end) >= end:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                known.update(re.findall(r"LOOOP_[A-Z][A-Z_]*[A-Z]", node.value))
            elif isinstance(node, ast.keyword) and node.arg:
                known.update(re.findall(r"^LOOOP_[A-Z_]+", node.arg))
        self.assertGreater(len(known), 25)
        text = "\n".join(part(said("help"), "ENVIRONMENT"))
        self.assertEqual(set(re.findall(r"(?m)^  (LOOOP_[A-Z_]+)", text)), known)
        self.assertEqual(set(re.findall(r"LOOOP_[A-Z_]+", said("help"))), known)
        self.assertLessEqual({one.env for one in looop.SETTINGS.values() if one.env}, known)

    def test_every_variable_is_read_or_given(self):
        """What is named is heeded: as a setting, by what reads the environment, or by what looop starts."""
        read = set(re.findall(r"""env(?:\.get\(|\[)"(LOOOP_\w+)""", SOURCE)) | {
            one.env for one in looop.SETTINGS.values() if one.env
        }
        names = "$(env | sed -n 's/^\\(LOOOP_[A-Z_]*\\)=.*/\\1/p' | tr '\\n' ' ')"
        self.profile(sensors={"env": f"""printf '{{"signal":"%s"}}' "{names}\""""})
        signal = json.loads(self.looop("sensor", "test", "env", "--json"))["signal"]
        given = set(signal.split())
        self.assertGreater(len(given), 4)
        named = set(re.findall(r"LOOOP_[A-Z_]+", said("help")))
        self.assertEqual(named - read - given, {"LOOOP_CHECK"})  # by it looop finds the processes of a check
        self.assertLessEqual(given, named)

    def test_every_setting_is_explained(self):
        config = "\n".join(part(said("help"), "CONFIG"))
        shown = json.loads(self.looop("config", "show"))
        keys = set()
        for key, value in shown.items():
            keys |= {f"{key}.{leaf}" for leaf in value} if key in ("attach", "budget", "gate") else {key}
        self.assertEqual(set(re.findall(r"(?m)^  ([a-z][a-z_.]*)  ", config)), keys)
        self.assertGreater(len(keys), 12)

    def test_every_file_of_a_profile_is_explained(self):
        self.looop("tick")
        text = " ".join(part(said("help"), "FILES"))
        for name in os.listdir(self.data):
            if not name.startswith("."):
                self.assertRegex(text, rf"(?: |^){re.escape(name)}(?:/| )", name)


class Typos(Case):
    def test_each_is_one_line_with_what_was_meant(self):
        meant = {
            "tikc": "tick",
            "senser list": "sensor list",
            "sensor lst": "sensor list",
            "sensr tset ci": "sensor test",
            "sensorlist": "sensor list",
            "config shw": "config show",
            "confg show": "config show",
            "config chek --json": "config check",
            "serivce status": "service status",
            "service instal cron": "service install",
            "attahc box": "attach",
            "wait-idel box": "wait-idle",
            "waitidle box": "wait-idle",
            "start-sesion a b": "start-session",
            "unflga box": "unflag",
            "resiez box 80x24": "resize",
            "help senser list": "sensor list",
            "help tikc": "tick",
            "tikc --help": "tick",
            "start": "up",
            "stop": "down",
            "logs box": "log",
            "tick --jsno": "--json",
            "log box --tial 3": "--tail",
            "sensor add disk --nmae x": "--name",
            "--hlep": "--help",
            "--versoin": "--version",
        }
        for line, word in meant.items():
            with self.assertRaises(looop.Failure) as caught:
                looop.dispatch(PROFILE, line.split())
            self.assertEqual(caught.exception.code, 2, line)
            self.assertTrue(caught.exception.hint.startswith(f"did you mean {word}"), (line, caught.exception.hint))
            self.assertRegex(caught.exception.hint, rf"^did you mean {word}(?: or |\?)", line)

    def test_a_kind_of_the_gallery_has_a_page(self):
        for kind in looop.GALLERY:
            page = looop.page_of(["sensor", "add", kind], 80)
            self.assertTrue(page.startswith(f"looop sensor add {kind}"), page)
            self.assertLessEqual(max(map(len, page.split("\n"))), 80)
        self.assertIn("DUR   a part of a day like 15m", looop.page_of(["sensor", "add", "every"], 80))
        with self.assertRaises(looop.Failure):
            looop.page_of(["sensor", "add", "nothing"], 80)

    def test_the_words_of_others_are_no_verbs_and_lead_to_verbs(self):
        names = {verb.name for verb in looop.all_verbs()}
        self.assertEqual({word for word in looop._MEANT if word in {name.split()[0] for name in names}}, set())
        self.assertEqual(set(looop._MEANT.values()) - names, set())

    def test_what_is_near_nothing(self):
        for line, hint in {
            "xyzzy": "looop help lists them",
            "sensor": "`looop help sensor` explains them",
            "config": "`looop help config` explains them",
            "sensor xyzzy": "sensor list|show|test|add|edit|trust|remove",
            "help tick xyzzy": "looop help tick",
            "--xyzzy": "the verb comes first",
            "-x": "the verb comes first",
        }.items():
            out = self.looop(*line.split(), code=2) if line in ("sensor", "--xyzzy") else None
            if out is not None:
                self.assertEqual((out, self.stderr.count("\n")), ("", 1))
                self.assertIn(hint, self.stderr)
            with self.assertRaises(looop.Failure) as caught:
                looop.dispatch(PROFILE, line.split())
            self.assertEqual(caught.exception.code, 2)
            self.assertIn(hint, caught.exception.hint)


class NextSteps(Case):
    status = {
        "pulse": {"running": True, "crashed": None},
        "last_tick": {"at": "2026-01-02T03:04:05Z", "outcome": "acted"},
        "paused": None,
        "backoff": {"fails": 0},
        "workers": [],
        "open_asks": [],
        "runner": "claude",
    }
    idle = {"running": False, "crashed": None}

    def steps(self, timed=False, **changes):
        steps = looop.next_steps({**self.status, **changes}, timed)
        self.assertEqual(len(steps), 3, steps)
        self.assertEqual(len({command for command, _ in steps}), 3)
        for command, what in steps:
            verb, rest = looop.find_verb(command.split()[1:])
            looop.parse_args(verb, rest)
            self.assertTrue(what)
            self.assertLessEqual(len(command) + len(what), 76)
        return [command[len("looop ") :] for command, _ in steps]

    def test_nothing_yet(self):
        fresh = {"pulse": self.idle, "last_tick": None}
        self.assertEqual(self.steps(**fresh, runner="builtin"), ["tick", "init", "help"])
        self.assertEqual(self.steps(**fresh), ["tick", "help", "up"])
        self.assertNotIn("up", self.steps(last_tick=None))

    def test_something_needs_you(self):
        ask = {"n": 3, "kind": "ask", "session": "w"}
        self.assertEqual(self.steps(open_asks=[ask])[:2], ["asks", "answer 3 TEXT"])
        self.assertEqual(self.steps(open_asks=[{**ask, "kind": "proposal"}, ask])[:2], ["asks", "approve 3"])
        flag = {"n": None, "kind": "flag", "session": "setup"}
        setup = {"id": "setup", "alive": True}
        self.assertEqual(self.steps(open_asks=[flag], workers=[setup])[0], "attach setup")
        self.assertEqual(self.steps(open_asks=[flag], workers=[setup], pulse=self.idle)[:2], ["attach setup", "up"])
        self.assertEqual(self.steps(open_asks=[flag], workers=[{**setup, "alive": False}])[0], "setup")
        flag, ended = {**flag, "session": "w"}, {"id": "w", "alive": False}
        self.assertEqual(self.steps(open_asks=[flag], workers=[ended])[0], "log w")

    def test_nothing_beats(self):
        self.assertEqual(self.steps(pulse=self.idle)[:2], ["up", "service install"])
        self.assertEqual(self.steps(pulse=self.idle, runner="builtin"), ["up", "service install", "init"])
        self.assertNotIn("up", self.steps(pulse=self.idle, timed=True))
        crashed = self.steps(pulse={"running": False, "crashed": "signal KILL"})
        self.assertEqual(crashed[:2], ["up", "log pulse --tail 20"])

    def test_it_is_held(self):
        self.assertEqual(self.steps(paused={"until": None})[0], "resume")
        self.assertEqual(self.steps(backoff={"fails": 2})[0], "doctor")
        self.assertEqual(self.steps(last_tick={"outcome": "failed"})[0], "doctor")
        self.assertEqual(self.steps(runner="builtin")[0], "init")

    def test_nothing_to_do(self):
        worker = {"id": "w", "alive": True}
        self.assertEqual(self.steps(workers=[worker]), ["why now", "watch pulse", "ls"])
        self.assertEqual(self.steps(), ["why now", "watch pulse", "sensor add"])
        self.assertEqual(self.steps(pulse=self.idle, timed=True), ["why now", "sensor add", "help"])

    def test_looop_alone_is_status_and_three_steps(self):
        def steps():
            status, _, rest = self.looop().partition("\nnext:\n")
            self.assertEqual(status.split("\n")[0], self.looop("status").split("\n")[0])
            lines = rest.rstrip("\n").split("\n")
            self.assertEqual(len(lines), 3, rest)
            return [line.split("  ")[1] for line in lines]

        self.assertEqual(steps(), ["looop tick", "looop init", "looop help"])
        self.assertFalse(os.path.exists(self.data))
        self.profile(goals={"a": "x\n"})
        self.tick()
        self.assertEqual(steps(), ["looop up", "looop service install", "looop init"])
        self.looop("ask", "which branch?", "--timeout", "10ms", code=124)
        self.assertEqual(steps()[:2], ["looop asks", "looop answer 1 TEXT"])
        self.looop("answer", "1", "main")
        timers = os.path.join(self.home, ".config", "systemd", "user")
        os.makedirs(timers)
        profile = looop.open_profile(self.env, ROOT)
        for path in looop.Scheduler(profile, "systemd").paths:
            open(path, "w").close()
        self.assertEqual(steps(), ["looop init", "looop why now", "looop sensor add"])

    def test_it_costs_no_more_than_status(self):
        self.profile(goals={"a": "x\n"})
        self.tick()
        modules = []
        for words in ([], ["status"]):
            code = START.format(ROOT, self.launcher).partition("; sys.exit")[0]
            code += f"; looop.main({words!r}); print(*sys.modules, file=sys.stderr)"
            done = subprocess.run([sys.executable, "-SI", "-c", code], env=self.env, capture_output=True, check=True)
            modules.append(set(done.stderr.decode().split()))
        self.assertEqual(modules[0] - modules[1], set())
        self.assertIn("looop", modules[0])


@heavy
class Pager(Case):
    def setUp(self):
        super().setUp()
        self.got = os.path.join(self.home, "got")

    def terminal(self, *words, rows=24, cols=80, **env):
        """Run looop in a terminal; `self.before` is what its settings were."""
        terminal = Terminal(cols, rows)
        self.addCleanup(terminal.close)
        self.before = termios.tcgetattr(terminal.slave)
        env = {name: value for name, value in {**self.env, "TERM": "xterm", **env}.items() if value is not None}
        return terminal.run(self.command(*words), env, self.home)

    def program(self, name, body):
        path = os.path.join(self.bin, name)
        with open(path, "w") as script:
            script.write(f"#!/bin/sh\n{body}\n")
        os.chmod(path, 0o700)

    def recorder(self, name):
        """Put a pager on PATH that keeps what it is given, and the setting of less."""
        self.program(name, f'cat >{self.got}; printf "%s" "$LESS" >{self.got}.less; echo {name.upper()} HAS IT')

    def paged(self, terminal):
        """Return what the pager was given, None when there was none; looop has ended well."""
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(termios.tcgetattr(terminal.slave), self.before)
        if not os.path.exists(self.got):
            return None
        with open(self.got, encoding="utf-8") as file:
            text = file.read()
        os.unlink(self.got)
        return text

    def test_what_does_not_fit_goes_to_the_pager(self):
        self.recorder("mine")
        for words in (("help",), ("help", "log"), ("log", "--help"), ("sensor", "--help")):
            terminal = self.terminal(*words, rows=16, PAGER="mine 2>&1")
            self.assertEqual(self.paged(terminal), self.looop(*words))
            self.assertIn("MINE HAS IT", terminal.text())
        self.assertLessEqual(max(map(len, self.paged(self.terminal("help", cols=60, PAGER="mine")).split("\n"))), 60)

    def test_what_fits_does_not(self):
        self.recorder("mine")
        terminal = self.terminal("help", "version", PAGER="mine")
        self.assertIsNone(self.paged(terminal))
        terminal.wait_text("looop --version")
        self.assertIsNone(self.paged(self.terminal("help", "down", PAGER="mine")))

    def test_nor_where_none_is_wanted(self):
        self.recorder("mine")
        self.recorder("less")
        for env in (
            {"PAGER": ""},
            {"PAGER": "cat"},
            {"PAGER": "mine", "TERM": "dumb"},
            {"PAGER": "mine", "TERM": None},
        ):
            terminal = self.terminal("help", **env)
            self.assertIsNone(self.paged(terminal), env)
            # the system hands a terminal's last output on when it has time
            terminal.wait(lambda: b"For scripts:" in terminal.received, "the end of the manual")  # noqa: B023
        self.looop("help", env={"TERM": "xterm", "PAGER": "mine"})
        self.assertFalse(os.path.exists(self.got))

    def test_without_a_wish_it_is_less_then_more_then_nothing(self):
        self.assertIsNone(self.paged(self.terminal("help")))
        self.recorder("more")
        terminal = self.terminal("help")
        self.assertIsNotNone(self.paged(terminal))
        self.assertIn("MORE HAS IT", terminal.text())
        self.recorder("less")
        for given, wanted in ((None, "FRX"), ("S", "S")):
            terminal = self.terminal("help", LESS=given)
            self.assertIsNotNone(self.paged(terminal))
            self.assertIn("LESS HAS IT", terminal.text())
            with open(self.got + ".less") as file:
                self.assertEqual(file.read(), wanted)

    def test_one_that_is_missing_or_leaves_early(self):
        terminal = self.terminal("help", PAGER="no-such-pager -R")
        self.assertIsNone(self.paged(terminal))
        self.assertIn(b"For scripts:", terminal.received)
        terminal = self.terminal("help", PAGER="head -n 1")
        self.assertIsNone(self.paged(terminal))
        self.assertNotIn(b"NOUNS", terminal.received)
        self.assertIn("a control loop", terminal.text())
        self.assertIsNone(self.paged(self.terminal("help", PAGER="exit 3")))

    def test_one_that_is_killed_leaves_the_terminal_as_it_was(self):
        terminal = self.terminal("help", PAGER="stty raw -echo </dev/tty; kill -9 $$")
        self.assertIsNone(self.paged(terminal))
        terminal = self.terminal("help", PAGER="stty -echo </dev/tty; echo READY; exec sleep 60")
        terminal.wait_text("READY")
        terminal.type(b"\x03")
        self.assertIsNone(self.paged(terminal))

    @needs("less")
    def test_less_itself(self):
        os.symlink(shutil.which("less"), os.path.join(self.bin, "less"))
        terminal = self.terminal("help")
        terminal.wait_text("THE IDEA")
        terminal.type(b"\x03")  # what is typed at the same moment is lost: so the next key again and again
        terminal.wait(lambda: terminal.type(b"G") or "_complete" in terminal.text(), "the end of the manual")
        self.assertIsNone(terminal.process.poll())
        terminal.type(b"q")
        self.assertIsNone(self.paged(terminal))


def rendered(*command):
    """Return a page as a program for manual pages shows it: without bold, underlines and colours."""
    done = subprocess.run([*command, PAGE], capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout.decode()), done.stderr.decode()


@heavy
class ManPage(unittest.TestCase):
    def test_the_page_that_is_kept_is_the_one_that_is_printed(self):
        with open(PAGE, encoding="utf-8") as file:
            kept = file.read()
        self.assertTrue(kept == said("help", "--man"), "docs/looop.1 is old: ./looop.py help --man > docs/looop.1")

    def test_it_is_the_same_everywhere(self):
        pages = set()
        for seed, env in (("1", {"TZ": "UTC"}), ("2", {"TZ": "Asia/Tokyo", "COLUMNS": "40", "LANG": "C"})):
            with tempfile.TemporaryDirectory() as folder:
                out = subprocess.run(
                    [sys.executable, os.path.join(ROOT, "looop.py"), "help", "--man"],
                    env={"HOME": folder, "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": seed, **env},
                    cwd=folder,
                    capture_output=True,
                    check=True,
                )
                self.assertEqual((os.listdir(folder), out.stderr), ([], b""))
            pages.add(out.stdout)
        self.assertEqual(len(pages), 1)
        page = pages.pop().decode("ascii")
        self.assertIn(f'"looop {looop.VERSION}"', page)
        self.assertNotRegex(page, r" \n|\n\n|\t")

    def test_it_has_everything(self):
        page = said("help", "--man")
        heads = re.findall(r"^\.SH (.+)$", page, re.MULTILINE)
        for head in "NAME SYNOPSIS DESCRIPTION VERBS FILES CONFIG ENVIRONMENT EXAMPLES".split():
            self.assertIn(head, heads)
        self.assertIn("EXIT STATUS", heads)
        for verb in looop.all_verbs():
            section = page.partition(f".SS looop {looop.roff(verb.name)}\n")[2].partition(".S")[0]
            for option in verb.options:
                self.assertIn(looop.roff(option.name), section, verb.name)
            for code, text in looop.exit_rows(verb):
                self.assertRegex(section, rf"\n  {re.escape(code)}  +{re.escape(looop.roff(text)[:20])}")
            for command, _ in verb.examples:
                self.assertIn(looop.roff(command), section)

    def test_roff_escapes(self):
        self.assertEqual(looop.roff("-a 'b' \\c ~ ^ `"), "\\-a \\(aqb\\(aq \\(rsc \\(ti \\(ha \\(ga")
        self.assertEqual([*map(looop.roff, (".x", "", "'x"))], ["\\&.x", "\\&", "\\(aqx"])

    @needs("mandoc")
    def test_mandoc_finds_nothing_and_shows_what_can_be_copied(self):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", PAGE], capture_output=True, check=False)
        self.assertEqual((done.stdout, done.stderr, done.returncode), (b"", b"", 0))
        self.shows(rendered("mandoc", "-T", "utf8", "-O", "width=80")[0])

    @needs("groff")
    def test_groff_warns_of_nothing_and_shows_what_can_be_copied(self):
        text, warnings = rendered("groff", "-man", "-ww", "-T", "utf8", "-rLL=80n")
        self.assertEqual(warnings, "")
        self.shows(text)

    @needs("man", "groff")
    @unittest.skipUnless(
        which("man") and b"--warnings" in subprocess.run(["man", "--help"], capture_output=True, check=False).stdout,
        "this man has no --warnings",
    )
    def test_man_warns_of_nothing(self):
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", PAGE]
        done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.assertEqual((done.stderr, done.returncode), (b"", 0))

    def shows(self, text):
        """Check that a page has every command to the character, and that nothing runs over the edge."""
        for verb in looop.all_verbs():
            for command, _ in verb.examples:
                self.assertIn(f" {command}", text)
        self.assertNotRegex(text, "[‐−’‘“”]")
        self.assertLessEqual(max(map(len, text.split("\n"))), 80)


if __name__ == "__main__":
    unittest.main()
