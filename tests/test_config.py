"""Paths and config: env beats config beats default, a wrong one is named, an old one keeps working."""

import json
import os
import pwd
import unittest

import looop
from tests.support import LONG, Case, heavy, needs_name


class Paths(Case):
    def profile_of(self, **env):
        return looop.open_profile({"HOME": "/h", **env}, "/x/looop.py")

    @needs_name
    def test_paths(self):
        profile = self.profile_of()
        self.assertEqual(
            (profile.data, profile.config_path, profile.cache),
            ("/h/.local/state/looop", "/h/.config/looop.json", "/h/.cache/looop"),
        )
        profile = self.profile_of(XDG_STATE_HOME="/s", XDG_CONFIG_HOME="/c", XDG_CACHE_HOME="/k")
        self.assertEqual((profile.data, profile.config_path, profile.cache), ("/s/looop", "/c/looop.json", "/k/looop"))
        profile = self.profile_of(XDG_STATE_HOME="relative", LOOOP_CONFIG="/elsewhere.json")
        self.assertEqual((profile.data, profile.config_path), ("/h/.local/state/looop", "/elsewhere.json"))
        self.assertEqual(self.profile_of(LOOOP_DATA_DIR="x/../y").data, os.path.join(os.getcwd(), "y"))
        self.assertEqual(self.profile_of(HOME="/").data, "/.local/state/looop")
        self.assertEqual(self.profile_of(HOME="/h/").data, "/h/.local/state/looop")
        for home in ("", "relative", "~"):  # as good as none: the user database knows
            found = self.profile_of(HOME=home)
            self.assertEqual(found.data, pwd.getpwuid(os.getuid()).pw_dir.rstrip("/") + "/.local/state/looop")
            self.assertEqual(found.which("nosuchcmd"), "")

    def test_two_profiles_never_see_each_other(self):
        other = os.path.join(self.home, "other")
        self.looop("tick")
        self.looop("tick", env={"LOOOP_DATA_DIR": other})
        self.assertEqual(len(self.journal()), 1)
        with open(os.path.join(other, "journal.md")) as file:
            self.assertEqual(len(file.readlines()), 1)


class Settings(Case):
    def shown(self, **env):
        return json.loads(self.looop("config", "show", env=env))

    def test_env_beats_config_beats_default(self):
        self.assertEqual(self.shown()["interval"], 60)
        self.config({"interval": "15m", "budget": {"daily_usd": 2.5}})
        shown = self.shown()
        self.assertEqual(
            (shown["interval"], shown["budget"]["daily_usd"], shown["budget"]["max_workers"]), (900, 2.5, 8)
        )
        shown = self.shown(LOOOP_INTERVAL="30s", LOOOP_MAX_DAILY_USD="7")
        self.assertEqual((shown["interval"], shown["budget"]["daily_usd"]), (30, 7))

    def test_a_variable_that_does_not_parse_warns_once_and_the_default_stands(self):
        shown = self.shown(LOOOP_INTERVAL="soon", LOOOP_MAX_WORKERS="many", LOOOP_MAX_DAILY_USD="-1")
        self.assertEqual((shown["interval"], shown["budget"]["max_workers"]), (60, 8))
        self.assertEqual(self.stderr.count("LOOOP_INTERVAL=soon"), 1)
        self.assertIn("; using the default, 60\n", self.stderr)
        self.assertEqual(len(self.stderr.splitlines()), 3)

    @heavy
    def test_a_typo_in_a_variable_loosens_no_limit_of_the_config(self):
        """Every setting that has both: what the config says stands, and doctor says so."""
        self.profile()
        strict = {"seconds": 7, "count": 2, "usd": 2.0, "offer|auto": "auto", "keys": "C-]"}
        settings = [s for s in looop.SETTINGS.values() if s.key and s.env and s.kind != "text"]
        self.assertGreater(len(settings), 6)
        wrong = ("2$", "$2", "-1", "nan", "inf", "2,5", "1e999")
        for number, setting in enumerate(settings):
            value = strict[setting.kind]
            group, _, leaf = setting.key.rpartition(".")
            self.config({group: {leaf: value}} if group else {leaf: value})
            for text in wrong if LONG else (wrong[number % 7], wrong[(number + 3) % 7]):
                shown = self.shown(**{setting.env: text})
                self.assertEqual(shown[group][leaf] if group else shown[leaf], value, (setting.env, text))
                self.assertIn(f"{setting.env}={text}: ", self.stderr)
                self.assertIn(f"; using the config's value, {value}\n", self.stderr)
            self.assertIn(f"; the config's value, {value}, stands", self.doctor(env={setting.env: "2$"}))

    def test_runners_are_laid_over_the_ready_made_ones_key_by_key(self):
        self.config(
            {"runners": {"pi": {"tick": "pi -p --mode json --model x", "mode": "typed"}, "claude": {"unmetered": True}}}
        )
        runners = self.shown()["runners"]
        self.assertIn("@{{prompt_file}}", runners["pi"]["interactive"])
        self.assertEqual(runners["pi"]["tick"], "pi -p --mode json --model x")
        self.assertEqual((runners["claude"]["mode"], runners["claude"]["unmetered"]), ("typed", True))

    def test_what_is_wrong_is_named(self):
        cases = [
            ("[]", "the file: must hold one JSON object"),
            (
                '{"interval": "soon"}',
                "interval: 'soon' is not a duration: write 90, 90s, 500ms, 15m, 2h, 3d or 1w, not \"soon\"",
            ),
            ('{"interval": true}', "interval: must be a number of seconds"),
            ('{"interval": -1}', "interval: must be a number of seconds"),
            ('{"interval": 1e999}', "not JSON: 1e999 is not a JSON number"),
            ('{"interval": 1e30}', "interval: must be a number of seconds"),
            ('{"budget": 10}', "budget: must be an object, not 10"),
            ('{"budget": {"daily_usd": "10"}}', 'budget.daily_usd: must be a number of USD, 0 or more, not "10"'),
            (
                '{"budget": {"daily_usd": 1%s}}' % ("0" * 400),
                "budget.daily_usd: must be a number of USD, 0 or more, not 1",
            ),
            ('{"budget": {"max_workers": 1.5}}', "budget.max_workers: must be a whole number"),
            ('{"budget": {"max_workers": null}}', "budget.max_workers: must be a whole number"),
            ('{"gate": {"playbook": "no"}}', "gate.playbook: must be true or false"),
            ('{"gate": {"shell": "sometimes"}}', "gate.shell: must be one of irreversible, untrusted, always, never"),
            ('{"gate": {"allow": "make *"}}', 'gate.allow: must be a list, not "make *"'),
            (
                '{"gate": {"allow": ["make *", "bash *"]}}',
                "gate.allow.2: must not end in * where bash runs whatever follows",
            ),
            (
                '{"gate": {"allow": ["python3 reports/x.py *"]}}',
                f"gate.allow.1: must not name {self.data}/reports/x.py: a confined command can change it",
            ),
            (
                '{"gate": {"folders": ["~/src"], "allow": ["make *", {"rule": "make -C ~/src/x *"}]}}',
                f"gate.allow.2: must not name {self.home}/src/x: a confined command can change it",
            ),
            ('{"gate": {"deny": ["a | b"]}}', "gate.deny.1: must be the words of one simple command"),
            (
                '{"gate": {"deny": [{"rule": "git push *", "example": "git pull"}]}}',
                "gate.deny.1: must have an example that its rule matches",
            ),
            (
                '{"gate": {"folders": ["src"]}}',
                "gate.folders.1: must be an absolute folder, or one that begins with ~/",
            ),
            (
                '{"gate": {"folders": ["~/x", "/"]}}',
                "gate.folders.2: must be a folder for work, below your home or beside",
            ),
            ('{"gate": {"folders": ["~/"]}}', "gate.folders.1: must be a folder for work"),
            ('{"gate": {"folders": ["~/.."]}}', "gate.folders.1: must be a folder for work"),
            ('{"gate": {"folders": ["~/.config"]}}', "gate.folders.1: must be apart from looop's own"),
            ('{"gate": {"folders": ["~/.config/x"]}}', "gate.folders.1: must be apart from looop's own"),
            ('{"gate": {"folders": ["~/.cache"]}}', "gate.folders.1: must be apart from looop's own"),
            ('{"default": 5}', "default: must be a string"),
            ('{"runners": []}', "runners: must be an object"),
            ('{"runners": {"x": "cmd"}}', "runners.x: must be an object"),
            ('{"runners": {"x": {"mode": "psychic"}}}', "runners.x.mode: must be one of typed, direct"),
            ('{"runners": {"x": {"tick": ["a"]}}}', "runners.x.tick: must be a string"),
            ('{"runners": {"x": {"interactive": "codex"}}}', "runners.x.interactive: must contain {{prompt_file}}"),
            ('{"runners": {"../x": {"tick": "a"}}}', "runners.../x: is not a name"),
            ('{"prices": {"m": {"input": "free"}}}', "prices.m.input: must be a number"),
            ('{"prices": {"m": {"input": 1.25}}}', "prices.m: must have `input` and `output`"),
            ('{"git": "yes"}', "git: must be true or false"),
        ]
        for text, words in cases:
            self.config(text)
            self.looop("config", "check", code=1)
            self.assertIn(words, self.stderr, text)
            self.looop("tick", code=1)
            self.assertIn(f"config: {self.home}/.config/looop.json: ", self.stderr)
            self.assertEqual(len(self.stderr.splitlines()), 1)

    def test_folders_are_apart_from_looops_own(self):
        os.symlink(self.data, os.path.join(self.home, "link"))
        for folder in (self.data, f"{self.data}/reports", os.path.dirname(self.data), f"{self.home}/link"):
            self.config({"gate": {"folders": [folder]}})
            self.looop("config", "check", code=1)
            self.assertIn("gate.folders.1: must be", self.stderr, folder)
        self.config({"gate": {"folders": ["~/src", "/srv/x y"], "allow": ["make *"], "deny": ["git push *"]}})
        self.looop("config", "check")
        shown = json.loads(self.looop("config", "show"))["gate"]
        self.assertEqual((shown["folders"], shown["allow"]), (["~/src", "/srv/x y"], ["make *"]))

    def test_folders_that_a_command_could_swap_for_a_link_are_refused(self):
        """Nothing on the way to a granted folder lies in another one, or in looop's own."""
        os.makedirs(f"{self.home}/src/in")
        os.symlink(f"{self.home}/src/in", f"{self.home}/way")
        for second in ("~/src/in", "~/src/in/deep/er", "~/way", "~/src/gone"):
            self.config({"gate": {"folders": ["~/src", second]}})
            self.looop("config", "check", code=1)
            self.assertIn("gate.folders.2: must not lie in ~/src", self.stderr, second)
        self.config({"gate": {"folders": [f"{self.data}/scratch/x/y"]}})
        self.looop("config", "check", code=1)
        self.assertIn("must be apart from looop's own", self.stderr)

    def test_every_problem_at_once(self):
        self.config({"interval": "x", "budget": {"daily_usd": "y"}, "wat": 1, "gate": {"shel": 1}})
        self.looop("config", "check", code=1)
        for words in ("interval:", "budget.daily_usd:", "wat: unknown key", "gate.shel: unknown key", "2 problems"):
            self.assertIn(words, self.stderr)


@heavy
class Init(Case):
    def stored(self):
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            return json.load(file)

    def test_with_an_argument_it_asks_nothing(self):
        self.config({"interval": 5})
        out = self.looop("init", "claude")
        self.assertEqual(self.stored(), {"interval": 5, "default": "claude"})
        self.assertIn("claude is not on PATH yet", out)
        self.assertTrue(os.path.exists(self.path("PLAYBOOK.md")))
        self.looop("init", "builtin")
        os.unlink(self.path("goals", "setup.md"))
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn("auto, which is builtin here", self.looop("init", "auto"))
        before = self.tree()
        self.config(
            {"runners": {"blank": {"tick": "   "}, "mine": {"tick": "FOO=1 cat"}, "lost": {"tick": "A=1 lost -x"}}}
        )
        self.looop("init", "blank")
        self.assertNotIn("not on PATH", self.looop("init", "mine"))
        self.assertIn("lost is not on PATH yet", self.looop("init", "lost"))
        self.looop("init", "nothing", code=1)
        self.assertIn("runner nothing: not known", self.stderr)
        self.looop("init", code=2)
        self.assertIn("nobody is there to choose the runner: name it: looop init pi", self.stderr)
        self.assertEqual(self.tree(), before)

    def test_a_person_chooses(self):
        import pty

        for typed, chosen in (("9\nnope\nclaude\n", "claude"), ("\n", "auto"), ("2\n", "builtin")):
            ours, theirs = pty.openpty()
            process = self.start("init", stdin=theirs)
            os.close(theirs)
            os.write(ours, typed.encode())
            self.assertEqual(process.wait(120), 0)
            os.close(ours)
            self.assertEqual(self.stored()["default"], chosen)

    def test_an_unknown_key_warns_once_and_is_ignored(self):
        self.config({"intervall": 5})
        self.profile()
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertEqual(self.stderr.count("unknown key intervall"), 1)
        self.assertEqual(self.looop("config", "check"), f"{self.home}/.config/looop.json: good\n")

    def test_a_file_that_cannot_be_trusted_or_understood(self):
        path = os.path.join(self.home, ".config", "looop.json")
        self.config("{broken")
        self.looop("tick", code=1)
        self.assertRegex(self.stderr, r"not JSON: .*line 1 column 2.*: fix it, or move it away\n$")
        self.config("[" * 100000)
        self.looop("tick", code=1)
        self.assertIn("not JSON", self.stderr)
        self.config({})
        os.chmod(path, 0o666)
        self.looop("tick", code=1)
        self.assertIn("others can write it", self.stderr)
        os.chmod(path, 0o664)  # a umask of 002: only a private group is the person alone
        for group in {os.getgid(), *([12345] if os.geteuid() == 0 else [])}:
            os.chown(path, -1, group)
            private = looop.is_private_group(group)
            self.looop("config", "show", code=0 if private else 1)
            told = f"others can write it, and it names commands that looop runs: chmod go-w '{path}'"
            self.assertEqual(told in self.stderr, not private)
        os.unlink(path)
        os.mkdir(path)
        self.looop("tick", code=1)
        self.assertIn("Is a directory: move it away", self.stderr)
        os.rmdir(path)
        os.mkfifo(path)
        self.looop("tick", code=1)
        self.assertIn("Is a named pipe: move it away", self.stderr)
        os.unlink(path)
        self.looop("tick")

    def test_check_judges_what_will_be_used(self):
        """The file, the environment and the runner; what it calls good, a beat takes."""
        for config, env, told in (
            ({"default": "nosuch"}, {}, "config: default: runner nosuch: not known: choose one of "),
            ({}, {"LOOOP_RUNNER": "nosuch"}, "config: LOOOP_RUNNER: runner nosuch: not known: choose one of "),
            ({}, {"LOOOP_INTERVAL": "banana"}, "config: LOOOP_INTERVAL=banana: "),
            ({}, {"LOOOP_SENSOR_JOBS": "0"}, "config: LOOOP_SENSOR_JOBS=0: must be at least 1\n"),
            ({"interval": 0}, {}, "config: interval: must be at least 1 s, not 0\n"),
            ({"busy_interval": "10ms"}, {}, 'config: busy_interval: must be at least 1 s, not "10ms"\n'),
            ({"active_interval": -1}, {}, "config: active_interval: must be a number of seconds"),
        ):
            self.config(config)
            said = self.looop("config", "check", code=1, env=env)
            self.assertEqual(said, "", "it does not say good as well")
            self.assertIn(told, self.stderr)
            self.assertRegex(self.stderr.split("\n")[-2], "^looop: config: 1 problem")
        self.config({"default": "builtin"})
        self.assertIn(": good", self.looop("config", "check"))

    def test_a_config_that_cannot_be_used_fails_every_beat_and_stops_nobody_who_looks(self):
        """An unchanged world is no reason to pass it over: nobody would know for days."""
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop"})
        self.tick()
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            good = json.load(file)
        self.looop("start-session", "old", "--command", "true")
        self.looop("wait", "old")
        self.tick()
        for config, env, told in (
            ('{"default": "fake", "runn', {}, "not JSON"),
            ({**good, "interval": "soon"}, {}, "interval: "),
            ({**good, "default": "nosuch"}, {}, "runner nosuch: not known"),
            (good, {"LOOOP_RUNNER": "nosuch"}, "runner nosuch: not known"),
        ):
            self.config(good)
            self.assertEqual([self.tick()["outcome"] for _ in range(2)], ["unchanged"] * 2)
            self.config(config)
            for _ in range(2):
                self.looop("tick", code=1, env=env)
                self.assertIn(told, self.stderr)
                self.assertEqual(self.stderr.count("\n"), 1, self.stderr)
            status = json.loads(self.looop("status", "--json", env=env))
            self.assertRegex(status["attention"][0], f"^no beat can be run: .*{told}")
            self.assertIn(told, self.looop("status", env=env).replace("\n", " "))
            self.assertIn(told, self.looop(env=env).replace("\n", " "))
            for words in (
                ("ls",),
                ("asks",),
                ("cost",),
                ("why",),
                ("why", "now"),
                ("claims",),
                ("goals",),
                ("history",),
                ("sensor", "list"),
                ("log", "old"),
                ("shot", "old"),
            ):
                self.looop(*words, env=env)
            self.assertEqual(json.loads(self.looop("why", "now", "--json", env=env))["outcome"], "would fail")
        self.config(good)
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertEqual(json.loads(self.looop("status", "--json"))["attention"], [])

    def test_a_private_group_may_write_what_looop_runs(self):
        """As with a umask of 002: the data dir, a sensor and the config, if nobody else is in the group."""
        self.profile(sensors={"s": "echo '{\"signal\": 1}'"})
        self.config({"default": "builtin"})
        paths = [self.data, self.path("sensors", "s.sh"), os.path.join(self.home, ".config", "looop.json")]
        for group in {os.getgid(), *([12345] if os.geteuid() == 0 else [])}:
            private = looop.is_private_group(group)
            for path in paths:
                os.chown(path, -1, group)
                os.chmod(path, os.stat(path).st_mode | 0o020)
                self.looop("tick", code=None)
                told = "others can write" in self.stderr
                self.assertEqual(told, not private, (group, path, self.stderr))
                os.chmod(path, os.stat(path).st_mode & ~0o020)
        self.assertFalse(looop.is_private_group(12345))

    def test_an_entry_of_looop_0_5_is_direct(self):
        runners = looop.merged_runners(
            {"pi": {"tick": "pi | $LOOOP_BIN _fmt"}, "claude": {"interactive": "c {{prompt_file}}"}}
        )
        self.assertEqual((runners["pi"].mode, runners["claude"].mode), ("direct", "typed"))
        self.assertIn("@{{prompt_file}}", runners["pi"].interactive)

    def test_which_agent_a_runners_worker_is(self):
        runners = looop.merged_runners(
            {
                "a": {"interactive": "FOO=1 /opt/bin/codex {{prompt_file}}"},
                "b": {"interactive": "wrap {{prompt_file}}", "agent": "gemini"},
                "pi": {"agent": "none"},
                "llm": {},
            }
        )
        for name, agent in (("a", "codex"), ("b", "gemini"), ("claude", "claude"), ("opencode", "opencode")):
            self.assertIs(looop.agent_of(runners[name]), looop.AGENTS[agent])
        for name in ("pi", "llm", "builtin"):
            self.assertEqual(looop.agent_of(runners[name]), looop.Agent())


class EnvFile(Case):
    """looop.env: one rule for its lines, whoever starts looop."""

    def env_file(self, text, mode=0o600):
        os.makedirs(os.path.join(self.home, ".config"), exist_ok=True)
        path = os.path.join(self.home, ".config", "looop.env")
        with open(path, "wb") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def test_lines(self):
        good = {
            b"PW=pa$word&x": {"PW": "pa$word&x"},
            b"A=two words": {"A": "two words"},
            b"export A=1\nexport\tB=2": {"A": "1", "B": "2"},
            b"A=1\r\nB=2\r\n": {"A": "1", "B": "2"},
            b"\xef\xbb\xbfA=1": {"A": "1"},
            b"# A=1\n\n  # B=2\n A = 1 ": {"A": "1"},
            b"A='$x'\nB=\"it's\"\nC=it's\nD=''\nE=": {"A": "$x", "B": "it's", "C": "it's", "D": "", "E": ""},
            b"A=`id`$(id)\\\nB=x # y": {"A": "`id`$(id)\\", "B": "x # y"},
            b"A=1=2\nA=3": {"A": "3"},
            b"A=\xff": {"A": "\udcff"},
        }
        for raw, values in good.items():
            file = looop.parse_env("f", raw)
            self.assertEqual((file.values, file.wrong), (values, []), raw)
        for line in (
            "hunter2",
            "set A=hunter2",
            "1A=hunter2",
            "A-B=hunter2",
            "=hunter2",
            "A='hunter2",
            "A='hunter'2'",
            "A=hunter2\0",
            "LOOOP_CHILD=hunter2",
            "HOME=hunter2",
        ):
            file = looop.parse_env("f", f"A=1\n{line}\nB=2".encode())
            self.assertEqual((file.values, file.wrong[0][0], len(file.wrong)), ({"A": "1", "B": "2"}, 2, 1), line)
            self.assertNotIn("hunter", file.wrong[0][1])

    def test_every_looop_reads_it_and_it_goes_over_the_environment(self):
        self.env_file(b"PW=pa$word&x\nLOOOP_INTERVAL=77\nSOME_TOKEN=12345678\n")
        self.profile(sensors={"s": 'echo "{\\"signal\\":\\"$PW $SOME_TOKEN\\"}"'})
        self.tick(env={"PW": "other"})
        self.assertEqual(self.json("snapshots", "sensor-s.json"), {"signal": "pa$word&x [SOME_TOKEN]"})
        self.assertEqual(json.loads(self.looop("config", "show"))["interval"], 77)

    def test_one_that_is_not_private_is_refused_by_what_starts_something(self):
        path = self.env_file(b"PW=hunter2\n", 0o640)
        self.profile(sensors={"s": 'echo "{}"'})
        for words in (("tick",), ("sensor", "test", "s"), ("start-session", "x", "--command", "true")):
            self.looop(*words, code=1)
            self.assertIn(f"{path}: others can read or write it: it is not read: chmod 600 '{path}'", self.stderr)
        self.looop("ls")
        self.assertFalse(os.path.exists(self.path("snapshots", "sensor-s.json")))
        self.looop("config", "check", code=1)
        self.assertIn(f"{path}: others can read", self.stderr)

    def test_wrong_lines_are_named_and_not_shown(self):
        self.profile()
        path = self.env_file(b"A=1\nexport\nB='hunter2\n")
        self.looop("config", "check", code=1)
        for words in (f"{path}: line 2: is not NAME=value", f"{path}: line 3: its value begins", "2 wrong lines"):
            self.assertIn(words, self.stderr)
        self.assertNotIn("hunter", self.stderr)
        rows = [row for row in json.loads(self.doctor("--json", code=1)) if row["check"] == "config"]
        self.assertEqual([row["status"] for row in rows], ["fail", "fail", "ok"])

    def test_the_pulse_reads_it_again(self):
        self.env_file(b"A=1\n")
        profile = looop.open_profile(self.env, "")
        profile.take_env_file()
        self.assertEqual(profile.env["A"], "1")
        self.env_file(b"B=2\n")
        profile.reread()
        self.assertEqual((profile.env.get("A"), profile.env["B"]), (None, "2"))


if __name__ == "__main__":
    unittest.main()
