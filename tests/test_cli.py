"""The command line: one line and the right exit code for whatever a person types; pages agree with the table."""

import json
import os
import signal
import subprocess
import unittest

import looop
from tests.support import CAPTURED, ROOT, Case, heavy, wait_until


class Usage(Case):
    starts = True

    def refuse(self, words, message, code=2):
        out = self.looop(*words, code=code)
        self.assertEqual(out, "")
        self.assertEqual(len(self.stderr.splitlines()), 1)
        self.assertTrue(self.stderr.startswith("looop: "), self.stderr)
        self.assertIn(message, self.stderr)

    def test_what_is_mistyped(self):
        self.refuse(["tikc"], "did you mean tick?")
        self.refuse(["ps"], "did you mean ls?")
        self.refuse(["sensors", "add", "git", "/tmp"], "did you mean sensor add?")
        self.refuse(["sensors"], "did you mean sensor list?")
        self.refuse(["completion", "bash"], "did you mean config bash?")
        self.refuse(["completions", "zsh"], "did you mean config zsh?")
        self.refuse(["answer", "3", "-5", "degrees"], "words that begin with - stand after --: looop answer … -- -5")
        self.refuse(["sensor"], "sensor: which one? list, show, test, add, edit, trust, remove")
        self.refuse(["sensor", "lits"], "sensor")
        self.refuse(["tick", "--wiat", "5"], "did you mean --wait?")
        self.refuse(["tick", "--wait"], "--wait needs a value")
        self.refuse(["tick", "--wait", "soon"], "'soon' is not a duration")
        self.refuse(["tick", "--json=yes"], "takes no value")
        self.refuse(["tick", "now"], "now is one argument too many")
        self.refuse(["run"], "goal-id is missing")
        self.refuse(["help", "nothing"], "no such verb")
        self.refuse(["_cost", "tick", "x", "pi", "free"], "not an amount of USD")
        self.refuse(
            ["cost", "add", "tick", "x", "pi", "1,5"], "cost add: 1,5 is not an amount of USD: a number like 1.5"
        )
        self.refuse(["_cost", "lunch", "x", "pi", "1"], "_cost: lunch: no such kind: one of tick, goal, session")
        self.refuse(["\x1b[31m"], "\\x1b[31m")
        self.refuse(["a\nb"], "a b")

    def test_pages_come_from_the_table(self):
        for verb in looop.all_verbs():
            page = looop.verb_page(verb)
            if verb.name in ("tick", "sensor add", "attach", "_cost"):
                self.assertEqual(page, self.looop(*verb.name.split(), "--help"))
            for option in verb.options:
                self.assertIn(option.name, page)
            self.assertIn("Exit codes:", page)
        self.assertIn("looop: a control loop", self.looop("help"))
        self.assertIn("sensor list", self.looop("help", "sensor"))
        self.assertEqual(looop.verb_page(looop.find_verb(["tick"])[0]), self.looop("help", "tick"))

    def test_every_option_parses_as_declared(self):
        checked = 0
        for verb in looop.all_verbs():
            plain = ["5x5" if verb.name == "resize" else "x"] * sum(
                1 for argument in verb.args if not (argument.optional or argument.many)
            )
            for option in verb.options:
                value = [option.choices[0] if option.choices else "5x5" if option.kind == "size" else "5"]
                value = value if option.metavar else []
                if option.attached:
                    value = [f"{option.name}={option.choices[0] if option.choices else 5}"]
                for name in filter(None, (option.name, option.short)):
                    words = value if option.attached else [name, *value]
                    parsed = looop.parse_args(verb, [*words, *plain])
                    self.assertTrue(parsed[option.name[2:]])
                checked += 1
        self.assertGreater(checked, 8)

    def test_values_with_equals_and_after_two_dashes(self):
        verb = looop.find_verb(["run"])[0]
        self.assertEqual(looop.parse_args(verb, ["--wait=2m", "--", "--odd"])["goal-id"], "--odd")
        self.assertEqual(looop.parse_args(verb, ["--wait=2m", "--", "--odd"])["wait"], 120)

    def test_a_value_that_may_be_left_out(self):
        verb = looop.find_verb(["asks"])[0]
        for words, wait, as_json in (
            ("", None, None),
            ("--wait", 0, None),
            ("--wait --json", 0, True),
            ("--json --wait", 0, True),
            ("--wait 2h --json", 7200, True),
            ("--wait=2h", 7200, None),
            ("--wait --", 0, None),
        ):
            args = looop.parse_args(verb, words.split())
            self.assertEqual((args["wait"], args["json"]), (wait, as_json), words)
        self.refuse(["asks", "--wait", "soon"], "'soon' is not a duration")

    def test_leaving_what_one_looks_at_is_no_interruption(self):
        self.profile()
        self.looop("start-session", "box", "--command", "while echo here; do sleep 0.1; done")
        for words in (("ls", "-w"), ("log", "box", "-f"), ("watch", "box")):
            process = self.start(*words)
            process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            self.assertIn((process.wait(120), process.stderr.read()), ((130, b""), (0, b"")), words)

    @heavy
    def test_advice_names_the_command_as_it_was_typed(self):
        folder = os.path.join(self.home, "a b")
        os.mkdir(folder)
        path = os.path.join(folder, "looop.py")
        with open(path, "w") as file:  # a copy of the source would be compiled at each start
            file.write(f"#!/usr/bin/env python3\nimport sys\n\nsys.path.insert(0, {ROOT!r})\nimport looop\n")
            file.write(f"looop.__file__ = {path!r}\nsys.exit(looop.main())\n")
        python = os.path.join(self.bin, "python3")
        os.unlink(os.path.join(self.bin, "looop"))

        def advice(*command, mode=0o700, cwd=self.home, **env):
            os.chmod(path, mode)
            done = subprocess.run(
                [*command, "attach", "x"], env={**self.env, **env}, cwd=cwd, capture_output=True, check=False
            )
            return done.stderr.decode().strip().rpartition(": ")[2]

        for shown, *command in (
            (f"'{path}' ls", path),
            ("./looop.py ls", "./looop.py"),
            ("python3 looop.py ls", python, "looop.py"),
            (f"'{path}' ls", python, "-m", "looop"),
        ):
            self.assertIn(shown, advice(*command, cwd=folder))
        self.assertIn(f"python3 '{path}' ls", advice(python, path, mode=0o600))
        for name in ("looop-dev", "looop"):
            os.symlink(path, os.path.join(self.bin, name))
            self.assertIn(f"`{name} ls", "`" + advice(os.path.join(self.bin, name)).lstrip("`"))

    def test_advice_changes_nothing_but_commands(self):
        looop.heed_name("./looop.py")
        self.addCleanup(looop.heed_name, "looop")
        for text, wanted in (
            ("`looop ls -a` lists them", "`./looop.py ls -a` lists them"),
            ("looop up, or looop ls", "./looop.py up, or ./looop.py ls"),
            ("what looop does; looop upsets; ~/looop ls; an old-looop ls", None),
        ):
            self.assertEqual(looop.typable(text), wanted or text)

    def test_version(self):
        self.assertEqual(self.looop("version"), f"looop {looop.VERSION}\n")
        for word in ("--version", "-v", "-V"):
            self.assertEqual(self.looop(word), f"looop {looop.VERSION}\n")

    def test_short_options_share_a_word(self):
        page = """Try.\n[words…] :: x\n-a, --all :: x\n-w, --watch :: x\n-n, --limit N :: x\n-r, --re RE :: x\n"""
        verb = looop.declare("try", "Looking", page=page)(print)
        for words, expected in (
            ("-wa", {"watch": True, "all": True}),
            ("-awn5", {"watch": True, "all": True, "limit": 5}),
            ("-n5 -a", {"limit": 5, "all": True}),
            ("-an 7 x", {"all": True, "limit": 7, "words": ["x"]}),
            ("-rwa", {"re": "wa"}),
            ("-r -h", {"re": "-h"}),
            ("--re -- x", {"re": "--", "words": ["x"]}),
            ("- -a -- -wa", {"all": True, "words": ["-", "-wa"]}),
        ):
            given = {key: value for key, value in looop.parse_args(verb, words.split()).items() if value}
            self.assertEqual(given, expected, words)
        self.assertTrue(looop.asks_help(verb.options, ["-wh"]))
        self.assertFalse(looop.asks_help(verb.options, ["-rh", "--re", "-h", "--", "-h"]))
        self.refuse(["ls", "-wx"], "unknown option -x")
        self.refuse(["send", "-wn"], "unknown option -wn")

    def test_help_is_an_option_and_never_a_value(self):
        self.refuse(["log", "x", "--grep", "-h"], "there is no such session", 1)
        self.refuse(["ask", "which?", "--option", "-h", "--bogus"], "unknown option --bogus")
        for words in (("log", "x", "-h"), ("log", "-fh"), ("log", "--bogus", "--help"), ("asks", "--wait", "-h")):
            self.assertEqual(self.looop(*words), looop.verb_page(looop.find_verb(words)[0]), words)
        self.assertIn("paused", self.looop("pause", "1m", "--", "-h"))


class Streams(Case):
    def test_a_closed_pipe_is_quiet(self):
        script = '"$@" | true; echo "${PIPESTATUS[0]}"'
        for words in (("help",), ("config", "show"), ("status", "--json")):
            command = [os.path.join(self.bin, "bash"), "-c", script, "bash", *self.command(*words)]
            done = subprocess.run(command, env=self.env, capture_output=True, check=False)
            self.assertEqual((done.stdout, done.stderr), (b"0\n", b""))

    def test_colour_only_where_it_is_wanted(self):
        self.profile(goals={"a": "x\n"})
        self.assertNotIn("\x1b", self.looop("tick"))
        self.assertIn("\x1b[2m", self.looop("status", env={"LOOOP_COLOR": "1"}))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LOOOP_COLOR": "0"}):
            self.assertNotIn("\x1b", self.on_a_terminal("status", env=env))
        self.assertIn("\x1b[2m", self.on_a_terminal("status", env={"TERM": "xterm"}))

    def on_a_terminal(self, *words, env):
        import pty

        ours, theirs = pty.openpty()
        process = self.start(*words, env=env, stdout=theirs)
        os.close(theirs)
        text = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:
                break
            if not chunk:
                break
            text += chunk
        os.close(ours)
        process.wait(120)
        return text.decode()

    def test_fmt_passes_a_stream_on_and_words_it_on_a_terminal(self):
        with open(os.path.join(CAPTURED, "runners", "pi-0.87.1-json.ndjson"), "rb") as file:
            stream = file.read()
        out = subprocess.run(
            self.command("_fmt"), env=self.env, input=stream + b"\xff{", capture_output=True, check=True
        ).stdout
        self.assertEqual(out, stream + b"\xff{")
        words = [text for line in stream.split(b"\n") for text in looop.stream_words(line)]
        self.assertIn("I will append a line.", words)
        self.assertTrue(any(text.startswith("→ bash ") for text in words))


class Status(Case):
    def test_nothing_is_made_by_looking(self):
        for words in (("status",), ("status", "--json"), ("sensor", "list"), ("config", "show"), ("config", "check")):
            self.looop(*words)
        self.assertFalse(os.path.exists(self.data))

    def test_an_odd_line_in_the_events_ends_no_verb(self):
        self.profile(goals={"a": "x\n"})
        self.tick()
        good = self.read("events.jsonl")
        events = ["held", "decided", "world_unchanged", "beat_error", [], {}, None, 5]
        odd = [{"event": event, "ts": ts} for event in events for ts in (5, None, "x", [], {}, 1e400)]
        odd += [{**odd[0], "ts": "2026-13-99T99:99:99Z", "outcome": "noop"}, [], 5, "x", None]
        now = "2026-01-02T03:04:05Z"
        odd += [{"event": "decided", "ts": now, "outcome": outcome} for outcome in ("zzz", 5, [], {}, None, "")]
        self.write("events.jsonl", good + "".join(f"{json.dumps(row)}\n" for row in odd) + "{\n")
        last = [row for row in map(json.loads, good.splitlines()) if row["event"] == "decided"][-1]
        for verb in ((), ("status",), ("service", "status")):
            self.looop(*verb, code=None)
        self.doctor(code=None)
        self.assertEqual(json.loads(self.looop("status", "--json"))["last_tick"]["at"], last["ts"])
        self.write("events.jsonl", good + json.dumps({"event": "beat_error", "ts": now, "reason": [5]}) + "\n")
        self.assertIn("no beat can be run: [5]", self.looop("status"))

    def test_json_has_the_promised_keys(self):
        self.profile(goals={"a": "x\n"}, sensors={"bad": "exit 1"})
        self.tick()
        self.looop("_cost", "session", "w", "claude", "0.42")
        self.looop("_cost", "session", "w", "claude", "unknown")
        status = json.loads(self.looop("status", "--json"))
        self.assertEqual(set(status["pulse"]), {"running", "pid", "interval_s", "next_beat_s", "crashed"})
        self.assertEqual(set(status["last_tick"]), {"at", "hash", "outcome", "run"})
        self.assertEqual(status["last_tick"]["outcome"], "noop")
        self.assertEqual(
            status["budget"], {"daily_usd": 10, "spent_today_usd": 0.42, "unknown_today": 1, "decides_last_hour": 0}
        )
        self.assertEqual((status["cost_today_usd"], status["asks"], status["workers"]), (0.42, 0, []))
        self.assertEqual(status["attention"], ["sensor bad: exit 1: `looop sensor test bad`"])
        self.assertIn("! sensor bad", self.looop("status"))
        self.assertIn("$0.42 of $10.00 today, and 1 call of unknown price", self.looop("status"))

    def test_sensor_list_has_the_promised_keys(self):
        self.profile(sensors={"a": "echo '{}'"})
        self.tick()
        row = json.loads(self.looop("sensor", "list", "--json"))[0]
        self.assertEqual(
            set(row), {"name", "status", "signal", "bytes", "secs", "at", "flapping", "writer", "trusted", "confined"}
        )
        row = json.loads(self.looop("sensor", "test", "a", "--json"))
        self.assertLessEqual({"name", "status", "signal", "bytes", "secs", "at", "flapping", "detail"}, set(row))

    def test_yesterdays_rows_are_not_todays(self):
        self.profile(goals={"a": "x\n"})
        rows = [{"ts": "2020-01-01T00:00:00Z", "kind": "tick", "id": "tick", "runner": "pi", "cost_usd": 5}]
        self.write("cost.jsonl", "".join(json.dumps(row) + "\n" for row in rows) + "torn{")
        self.looop("_cost", "session", "w", "claude", "$1")
        self.assertEqual(json.loads(self.looop("status", "--json"))["cost_today_usd"], 1)


NOOP = '{"move":"noop"}'
SHOWING = """;status;why;why last;why now;ls;ls -a;asks;claims;cost;cost all;sensor list;sensor show s;sensor test s;
replay last;prune --dry-run;pause 1h lunch;status;why now;tick;resume;log w;shot v;service status;service print cron;
config check;kill u;kill v;help;version"""


@heavy
class Times(Case):
    """A person reads local times; what is stored, and what other programs read, is UTC."""

    def local(self, *words, code=0, **options):
        """Run a verb; demand that neither stdout nor stderr says a time as it is stored. Return both."""
        out = self.looop(*words, code=code, **options) + self.stderr
        self.assertNotRegex(out, r"\d\d:\d\d(:\d\d)?Z", words)
        self.seen += 1
        return out

    def test_what_verbs_print(self):
        self.seen = 0
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{\"signal\":1}'"})
        stay = os.path.join(self.home, "stay")
        open(stay, "w").close()
        self.runner(f"cat >/dev/null; touch begun; while [ -e {stay} ]; do sleep 0.02; done; echo '{NOOP}'")
        beat = self.start("tick")
        wait_until(lambda: os.path.exists(self.path("begun")), "the runner")
        self.assertRegex(self.local("tick", code=1), r"in progress \(pid \d+, tick, since \d\d:\d\d\)")
        waiting = self.local("tick", "--wait", "600ms", code=1)
        self.assertRegex(waiting, r"waits for a beat in progress \(pid \d+, tick, since \d\d:\d\d\)")
        os.unlink(stay)
        self.assertEqual(beat.wait(120), 0)
        self.assertRegex(self.local("tick", "--json"), r"unchanged since \d\d:\d\d\"")
        self.assertRegex(self.local("why", "now"), r"unchanged since \d\d:\d\d\n")
        self.assertRegex(json.loads(self.looop("why", "now", "--json"))["reason"], r"^unchanged since \S+T\S+Z$")
        self.looop("start-session", "w", "--command", "cat")
        self.looop("start-session", "v", "--command", "true")
        self.looop("wait", "v")
        self.looop("claim", "it", "--session", "w")
        self.looop("start-session", "u", "--command", "cat")
        self.assertRegex(self.local("claim", "it", "--session", "u", code=1), r"held by w: since \d\d:\d\d;")
        self.local("flag", "w", "look")
        self.replies({"move": "ask", "question": "Which?"})
        self.write("goals/a.md", "1\n")
        self.local("tick")
        self.replies({"move": "shell", "command": "git push", "reversible": False})
        self.write("goals/a.md", "2\n")
        self.local("tick")
        self.replies("no move")
        self.write("goals/a.md", "3\n")
        self.local("tick", code=1)
        for words in SHOWING.split(";"):
            self.local(*words.split())
        self.looop("up")
        holder = r"\(pid \d+, pulse, since \d\d:\d\d(, next \d\d:\d\d)?\)"
        self.assertRegex(self.local("_pulse", code=1), "runs already " + holder)
        self.local("up")
        self.assertRegex(self.local("doctor", code=None), "a pulse runs: pid")
        self.assertRegex(self.local("service", "status"), r"running, pid \d+, pulse, since \d\d:\d\d")
        os.kill(json.loads(self.looop("status", "--json"))["pulse"]["pid"], signal.SIGKILL)
        wait_until(lambda: json.loads(self.looop("status", "--json"))["pulse"]["crashed"], "its end")
        died = r"died \(killed: signal KILL, at \d\d:\d\d\)"
        self.assertRegex(self.local("status"), rf"pulse +{died}(.|\n)*! the pulse {died}")
        self.assertRegex(self.local("doctor", code=1), f"the pulse {died}")
        self.local("log", "pulse")
        self.local("watch", "pulse")
        self.assertGreater(self.seen, 40)
        for words in ("status", "claims", "asks", "why now", "ls", "sensor list"):
            self.assertRegex(self.looop(*words.split(), "--json"), r"\d\d:\d\d:\d\dZ", words)


if __name__ == "__main__":
    unittest.main()
