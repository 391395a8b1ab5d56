"""Completions are what the verbs' pages say; in the real shells they offer what there is, and run nothing of it."""

import os
import re
import shutil
import signal
import subprocess
import unittest

import looop
from tests.support import ROOT, Case, Terminal, completing, heavy, missing, needs, wait_until

FILES = {"bash": "looop.bash", "zsh": "_looop", "fish": "looop.fish"}
HOSTILE = ("$(touch pwned)", "`touch pwned`", ";touch pwned;", "a b", "-rf", "*", "'", '"', "\\", "x\ny", "é")
EVIL = "$(touch pwned)`touch pwned`%B a:b\\\x1b]0;title\x07 ' \" \x9b31m\nnext\tlast"

COST_SCOPES = ("today", "week", "month", "all")


def kept(shell):
    """Return the script that is kept for a shell."""
    with open(os.path.join(ROOT, "completions", FILES[shell]), encoding="utf-8") as file:
        return file.read()


def heads(hidden):
    """Return the first words of the verbs that are hidden, or of those that are not."""
    return {verb.name.split()[0] for verb in looop.all_verbs() if verb.name.startswith("_") == hidden}


class Scripts(Case):
    def test_what_is_kept_is_what_is_printed(self):
        for shell in FILES:
            self.assertTrue(self.looop("config", shell) == kept(shell), f"make texts ({shell})")

    def test_every_kind_is_one_that_is_completed(self):
        taken = [one for verb in looop.all_verbs() for one in (*verb.args, *verb.options)]
        used = {one.kind for one in taken} - {"text", "seconds", "count", "size", "usd", "verb"}
        self.assertEqual(used, {*looop.CANDIDATES, *looop.PATHS})

    def test_the_words_of_the_pages_are_taken(self):
        for name in looop._KEYS:
            looop.checked_key(name)
        for kind in ("systemd", "launchd", "cron"):
            self.looop("service", "print", kind)
        self.assertEqual(looop.find_verb(["service", "install"])[0].args[0].choices, tuple(looop.SCHEDULERS))

    def test_each_declared_choice_is_enforced_by_the_parser(self):
        checked = 0
        for verb in looop.all_verbs():
            for one in (*verb.args, *verb.options):
                for choice in one.choices:
                    self.assertEqual(looop.read_value(verb, one, choice), choice)
                if one.choices and one.kind == "text":
                    with self.assertRaises(looop.Failure) as caught:
                        looop.read_value(verb, one, "neither")
                    self.assertEqual(caught.exception.code, 2)
                    checked += 1
        self.assertGreater(checked, 6)

    def test_each_shell_accepts_its_own(self):
        for shell, name in FILES.items():
            with self.subTest(shell):
                if missing(shell):
                    self.skipTest(missing(shell))
                done = subprocess.run(
                    [shutil.which(shell), "-n", os.path.join(ROOT, "completions", name)],
                    env=self.env,
                    cwd=self.home,
                    capture_output=True,
                    check=False,
                )
                self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_bash_needs_nothing_that_the_one_of_macos_lacks(self):
        script = kept("bash")
        for word in (
            r"\bmapfile",
            r"\breadarray",
            r"(local|declare) -[nA]",
            r"\$\{\w+[,^]",
            "compgen -W",
            "&>>",
            r"\[-1\]",
        ):
            self.assertNotRegex(script, word)
        self.assertNotRegex(re.sub(r"(?m)^#.*$", "", script), r"\beval\b")


class Completed(unittest.TestCase):
    """What `looop _complete` answers from the pages alone, without a profile."""

    PROFILE = looop.open_profile({"HOME": "/nowhere", "PATH": "/nowhere"}, os.path.join(ROOT, "looop.py"))

    def offered(self, line):
        *words, current = looop.typed_words(line)[1:]
        return set(looop.completed(self.PROFILE, words, current))

    def test_every_verb_and_option_is_offered(self):
        checked = 0
        for verb in looop.all_verbs():
            *before, last = verb.name.split()
            self.assertIn(last, self.offered(" ".join(["looop", *before, ""])))
            options = self.offered(f"looop {verb.name} -")
            for option in (*verb.options, looop._HELP):
                self.assertLessEqual({name for name in (option.name, option.short) if name}, options, verb.name)
                checked += 1
                if option.metavar and option.choices:
                    self.assertLessEqual(
                        {f"{option.name}={choice}" for choice in option.choices},
                        self.offered(f"looop {verb.name} {option.name}="),
                    )
        self.assertGreater(checked, 150)

    def test_where_an_option_counts(self):
        for line, there, absent in (
            ("looop -", {"--help", "--version"}, {"--json"}),
            ("looop log --json old -f --", {"--tail", "--raw", "--help"}, {"--json", "--follow"}),
            ("looop ask q --option a --opt", {"--option"}, set()),  # it may come again
            ("looop ask -- --", set(), {"--option"}),
            ("looop up ", {"--watch", "--json", "--help"}, set()),
            ("looop asks --wait --", {"--json"}, {"--wait"}),
            ("looop tick --dry-run --", {"--json"}, {"--dry-run"}),
        ):
            words = self.offered(line)
            self.assertLessEqual(there, words, line)
            self.assertFalse(absent & words, line)

    def test_what_follows_what(self):
        for line, words in (
            ("looop nope ", set()),
            ("looop config ", {"path", "show", "check", "bash", "zsh", "fish"}),
            ("looop help config ", {"path", "show", "check", "bash", "zsh", "fish"}),
            ("looop cost ", {"today", "week", "month", "all", "add"}),
            ("looop cost --by month ", {"today", "week", "month", "all", "add"}),
            ("looop cost today ", {"--by", "--rows", "--json", "--help", "-h"}),
            ("looop cost --by ", {"day", "kind", "runner", "goal", "model"}),
            ("looop log --tail ", set()),
            ("looop render ", {":file"}),
            ("looop start-session x --cwd ", {":folder"}),
            ("looop start-session x --command=", {":command"}),
            ("looop key box Down ", set(looop._KEYS)),
            ("looop sensor add ", set(looop.GALLERY)),
        ):
            self.assertEqual(self.offered(line), words, line)

    def test_a_line_is_split_as_a_shell_does(self):
        for line, words in (
            ("looop", ["looop"]),
            ("looop ", ["looop", ""]),
            ("  looop  run\tx", ["looop", "run", "x"]),
            ('looop start-session x "a = b: c" ', ["looop", "start-session", "x", "a = b: c", ""]),
            ('looop attach "bo', ["looop", "attach", "bo"]),
            (r"looop send it\'s\ a 'b \' c", ["looop", "send", "it's a", "b \\", "c"]),
        ):
            self.assertEqual(looop.typed_words(line), words, line)


class Profiled(Case):
    """A profile with something of every kind in it, and with files whose names and words want to be run."""

    def populate(self):
        self.profile(goals={"ship-v2": "x\n", "alpha": "x\n"}, sensors={"ci": "echo '{}'", "disk": "echo '{}'"})
        self.runner('printf \'{"move":"noop"}\'')
        self.run_id = self.tick()["run"]
        self.looop("test", "add", "last", "red")
        for name in ("box", "beta"):
            self.looop("start-session", name, "--command", "sleep 1000")
        self.looop("start-session", "old", "--command", "true")
        self.looop("wait", "old")
        self.looop("flag", "beta", EVIL)
        self.looop("claim", "issue-42", "--session", "box")
        profile = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        for kind in ("ask", "proposal", "ask"):
            looop.new_ask(profile, kind, question=EVIL, command="true")
        self.looop("answer", "3", "yes")
        for name in HOSTILE:
            for folder, end in (("goals", ".md"), ("sensors", ".sh"), ("claims", ".json"), ("tests", ".json")):
                self.write(f"{folder}/{name}{end}", "{}")
            for folder in ("sessions/" + name, f"runs/tick-+{name}"):
                os.mkdir(self.path(folder), 0o700)
        os.mkdir(self.path("channels"), 0o700)
        self.write("channels/phone.sh", "")
        os.makedirs(os.path.join(self.home, "records"))
        os.makedirs(os.path.join(self.home, "other"))
        lies = " ".join(looop.quoted(name) for name in HOSTILE if "\n" not in name)
        for path, text in (
            ("recording.bin", ""),
            ("other/looop.py", f"#!/bin/sh\n[ \"$1\" = _complete ] && printf '%s\\n' elsewhere {lies}\n"),
        ):
            with open(os.path.join(self.home, path), "w") as file:
                file.write(text)
        os.chmod(os.path.join(self.home, "other", "looop.py"), 0o700)

    def nothing_was_run(self):
        found = [name for _, folders, names in os.walk(self.home) for name in folders + names if name == "pwned"]
        self.assertEqual(found, [])


class Candidates(Profiled):
    def test_what_there_is_of_each_kind(self):
        self.populate()
        workers, runners = {"box", "beta", "old"}, {*looop.DEFAULT_RUNNERS, "builtin", "fake"}
        wanted = {
            "goal": {"ship-v2", "alpha"},
            "sensor": {"ci", "disk"},
            "session": workers,
            "session-alive": {"box", "beta"},
            "worker": workers,
            "worker-alive": {"box", "beta"},
            "worker-lasting": {"box", "beta"},
            "worker-flagged": {"beta"},
            "payer": workers | {"ship-v2", "alpha"},
            "ask": {"1", "2"},
            "question": {"1"},
            "proposal": {"2"},
            "run": {self.run_id},
            "case": {"red"},
            "claim": {"issue-42"},
            "runner": runners,
            "runner-interactive": {"pi", "claude", "codex", "opencode", "gemini"},
            "gallery": set(looop.GALLERY),
            "channel": {"phone"},
            "key": set(looop._KEYS),
        }
        self.assertEqual(set(wanted), set(looop.CANDIDATES))
        for kind, words in wanted.items():
            before, others = completing(kind)
            out = self.looop("_complete", *before)
            self.assertEqual(self.stderr, "")
            rows = [line.partition("\t") for line in out.split("\n")[:-1]]
            self.assertEqual({row[0] for row in rows} - others, words, kind)
            for _, _, line in rows:
                self.assertTrue(line.isprintable() and len(line) <= 60, line)
        self.nothing_was_run()

    def test_one_that_is_lost_can_be_ended_and_no_more(self):
        self.looop("start-session", "gone", "--command", "sleep 1000")
        profile = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        os.kill(looop.read_session(profile, "gone").supervisor, signal.SIGKILL)
        wait_until(lambda: looop.read_session(profile, "gone").state == "lost", "the end of its supervisor")
        self.assertTrue(self.looop("_complete", "kill", "").startswith("gone\t"))
        self.assertEqual(self.looop("_complete", "attach", ""), "")
        self.looop("kill", "gone")

    def test_the_pulse_is_offered_where_it_is_taken(self):
        self.looop("up")
        for kind in looop.CANDIDATES:
            if kind.startswith(("session", "worker")):
                words = [line.split("\t")[0] for line in self.looop("_complete", *completing(kind)[0]).splitlines()]
                self.assertEqual("pulse" in words, kind.startswith("session"), kind)
        self.looop("down")

    def test_the_last_run_comes_first(self):
        names = [f"tick-2026010{day}-000000-aaaa" for day in (1, 2, 3)]
        for name in names:
            os.makedirs(self.path("runs", name))
        os.chmod(self.data, 0o700)
        with open(self.path("runs", names[1], "result.json"), "w") as file:
            file.write('{"journal": "- 2026-01-02 00:00 \\u001b[2J went"}')
        lines = ["last", names[2], f"{names[1]}\t2026-01-02 00:00 \\x1b[2J went", names[0]]
        self.assertEqual(self.looop("_complete", "replay", "").splitlines(), lines)

    def test_trouble_is_silent_and_nothing_is_written(self):
        def complete(kind):
            words, others = completing(kind)
            offered = {line.split("\t")[0] for line in self.looop("_complete", *words).splitlines()}
            self.assertEqual(offered - others, set())
            self.assertEqual(self.stderr, "")

        for kind in {*looop.CANDIDATES} - {"runner", "runner-interactive", "gallery", "key"}:
            complete(kind)
        self.assertFalse(os.path.exists(self.data))
        self.profile()
        for name in ("sessions", "runs", "asks"):
            self.write(name, "a file where a folder is to be")
        os.rmdir(self.path("goals"))
        os.symlink("goals", self.path("goals"))  # too many levels of symbolic links
        before = sorted(os.listdir(self.data))
        for kind in ("session", "run", "ask", "claim", "goal", "payer"):
            complete(kind)
        self.assertEqual(sorted(os.listdir(self.data)), before)
        for name in ("sessions", "runs"):
            os.unlink(self.path(name))
        for config in ("{", '{"runners": []}', '{"runners": {"x": {"tick": 1}}}', '{"runners": {"$(x)": {}}}'):
            self.config(config)
            complete("runner")

    def test_what_is_corrupt_hides_nothing_else(self):
        self.profile()
        for name in ("a", "b", "c"):
            os.makedirs(self.path("sessions", name), mode=0o700)
        os.mkdir(self.path("sessions", "b", "meta.json"))  # cannot be read
        self.write("sessions/c/meta.json", "[1, {")
        self.assertEqual({line.split("\t")[0] for line in self.looop("_complete", "log", "").splitlines()}, {"a", "c"})
        os.rmdir(self.path("sessions", "b", "meta.json"))
        os.makedirs(self.path("asks"))
        self.write("asks/1.json", "{")
        self.write("asks/2.json", '{"kind":"ask","at":"2026-01-02T03:04:05Z","question":"well?"}')
        out = self.looop("_complete", "answer", "").splitlines()
        self.assertEqual([line.split("\t")[0] for line in out], ["1", "2"])


class Driven(Profiled):
    """What each of the shells is asked, and what it has to offer; the shells are the subclasses."""

    def cases(self):
        """Give (line, the words that are offered at its end): a set; or two: some that are, some that are not."""
        alive, workers = {"box", "beta"}, {"box", "beta", "old"}
        runners = {"auto", "builtin", "fake", *looop.DEFAULT_RUNNERS}
        actions = {"list", "show", "test", "add", "edit", "trust", "remove"}
        yield "looop ", heads(False)
        yield "looop _", heads(True)
        yield "looop sta", {"start-session", "status"}
        yield "looop -", ({"--help", "--version"}, {"--json"})
        yield "looop nope ", set()
        yield "looop sensor ", actions
        yield "looop config ", {"path", "show", "check", "bash", "zsh", "fish"}
        yield "looop help tic", {"tick"}
        yield "looop help sensor ", actions
        yield "looop sensor add git", {"git", "github-prs", "github-issues", "github-ci"}
        yield "looop cost ", {*COST_SCOPES, "add"}
        yield "looop cost --by ", {"day", "kind", "runner", "goal", "model"}
        yield "looop cost --by=", {"day", "kind", "runner", "goal", "model"}
        yield "looop cost --by=m", {"model"}
        yield "looop cost --by month ", {*COST_SCOPES, "add"}
        yield "looop cost add ", {"tick", "goal", "session"}
        yield "looop cost add goal ", workers | {"ship-v2", "alpha"}
        yield "looop service install ", set(looop.SCHEDULERS)
        yield "looop tick --dry-run=", {"show", "decide"}
        yield "looop tick --runner ", runners
        yield "looop run alpha --runner=", runners
        yield "looop init ", runners
        yield 'looop start-session x "a = b: c" ', {"pi", "claude", "codex", "opencode", "gemini"}
        yield "looop run ", {"ship-v2", "alpha"}
        yield "looop run shi", {"ship-v2"}
        yield "looop attach ", alive
        yield 'looop attach "bo', {"box"}
        yield "looop kill o", set()
        yield "looop log ", workers
        yield "looop log o", {"old"}
        yield "looop flag ", workers
        yield "looop unflag ", {"beta"}
        yield "looop claim x --session ", alive
        yield "looop unclaim ", {"issue-42"}
        yield "looop answer ", {"1"}
        yield "looop approve ", {"2"}
        yield "looop reject ", {"1", "2"}
        yield "looop why ", {"last", "now", self.run_id}
        yield "looop replay tick", {self.run_id}
        yield "looop sensor show ", {"ci", "disk"}
        yield "looop sensor test c", {"ci"}
        yield "looop key box Down E", {"Enter", "Esc", "End"}
        yield "looop log --json old -f --", ({"--tail", "--raw", "--help"}, {"--json", "--follow"})
        yield "looop ask q --option a --opt", {"--option"}
        yield "looop ask -- --", set()
        yield "looop log --tail 5 o", {"old"}
        yield "looop up ", ({"--watch", "--json"}, {"box", "records"})
        yield "looop render rec", {"recording.bin", "records"}
        yield "looop ask q --ref recordi", {"recording.bin"}
        yield "looop start-session x --cwd rec", {"records"}
        yield "looop start-session x --command setsi", {"setsid"}
        yield "other/looop.py run ", {"elsewhere"}
        yield "~/other/looop.py run ", {"elsewhere"}  # and what else that one says
        yield "X=1 looop run shi", {"ship-v2"}

    def check(self, offered):
        """Compare what a shell offers with what it should; `offered`: the words at a line's end."""
        checked = 0
        for line, wanted in self.cases():
            with self.subTest(line):
                typed = re.split(r"[\s=]", line)[-1].lstrip('"')
                words = {word.rstrip("/").rpartition("=")[2] for word in offered(line)} - {""}
                if isinstance(wanted, tuple):
                    self.assertLessEqual(wanted[0], words)
                    self.assertFalse(wanted[1] & words)
                else:
                    self.assertEqual({word for word in words if word.startswith(typed)}, wanted)
                checked += 1
        self.assertGreater(checked, 45)
        self.nothing_was_run()

    def terminal(self, *command, **env):
        """Open a shell on a terminal and wait for its prompt."""
        terminal = Terminal(120, 40)
        self.addCleanup(terminal.close)
        shell = [shutil.which(command[0]), *command[1:]]
        terminal.run(shell, {**self.env, "TERM": "xterm", "PS1": "ready> ", "ASKED": self.asked, **env}, self.home)
        terminal.wait_text("ready>")
        return terminal

    @property
    def asked(self):
        """Return the file into which a shell on a terminal writes what it offers."""
        return os.path.join(self.home, "asked")

    def ask(self, terminal, keys):
        """Type into a shell that then writes what it offers; return that."""
        terminal.type(keys.encode())
        terminal.wait(lambda: os.path.exists(self.asked), f"what is offered after {keys!r}")
        with open(self.asked, encoding="utf-8") as file:
            text = file.read()
        os.unlink(self.asked)
        return text

    def press_tab(self, terminal):
        """Complete an id as a person does."""
        terminal.type(b"looop run shi\t")
        terminal.wait_text("looop run ship-v2")


# Alt-* puts all that is offered into the line; Ctrl-T tells the line and empties it.
BASHRC = r"""
dump() { printf '%s' "$READLINE_LINE" >"$ASKED.new"; mv "$ASKED.new" "$ASKED"; READLINE_LINE=''; }
bind -x '"\C-t": dump'
bind '"\e*": insert-completions'
"""


@needs("bash")
@heavy
class Bash(Driven):
    def shell(self, rc):
        path = os.path.join(self.home, "rc")
        with open(path, "w") as file:
            file.write(f"{rc}\n. {os.path.join(ROOT, 'completions', 'looop.bash')}\n{BASHRC}PS1='ready> '\n")
        return self.terminal("bash", "--noprofile", "--rcfile", path, "-i")

    def offered(self, terminal):
        def offer(line):
            text = self.ask(terminal, line + "\x1b*\x14")
            cut = max(line.rfind(" "), line.rfind("=")) + 1
            self.assertTrue(text.startswith(line[:cut]), text)
            rest = text[cut:].split()
            return [] if text == line else [word.strip('"') for word in rest]

        return offer

    def test_it_offers_what_there_is_and_runs_nothing(self):
        self.populate()
        terminal = self.shell("set -u")
        self.check(self.offered(terminal))
        self.press_tab(terminal)

    def test_words_may_be_cut_otherwise(self):
        self.profile(goals={"ship-v2": "x\n"})
        self.runner("true")
        self.write("recording.bin", "")
        terminal = self.shell("set -o posix; COMP_WORDBREAKS=${COMP_WORDBREAKS//[=:]/}")
        for line, words in (
            ("looop cost --by=m", "--by=model"),
            ("looop run alpha --runner=fa", "--runner=fake"),
            ("looop run shi", "ship-v2"),
            ("looop ask q --ref=data/recordi", "--ref=data/recording.bin"),
        ):
            self.assertEqual(self.ask(terminal, line + "\x1b*\x14").split()[-1], words)
        # in the midst of a line, what stands after the cursor does not count
        text = self.ask(terminal, "looop run shi --json" + "\x02" * 7 + "\x1b*\x14")
        self.assertEqual(text.split(), ["looop", "run", "ship-v2", "--json"])

    def test_without_readlines_own_paths(self):
        """Paths as bash 3.2 has them, without compopt, and quoted."""
        os.makedirs(os.path.join(self.home, "records"))
        with open(os.path.join(self.home, "recording.bin"), "w"):
            pass
        os.mkdir(os.path.join(self.home, "re $(touch pwned)"))
        script = (
            f". {os.path.join(ROOT, 'completions', 'looop.bash')}; cd {self.home}; COMP_WORDS=(looop render re)\n"
            "COMP_CWORD=2 COMP_LINE='looop render re' COMP_POINT=15; _looop; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        out = subprocess.run(
            [shutil.which("bash"), "-c", script], env=self.env, capture_output=True, check=True, cwd=self.home
        )
        self.assertEqual(
            sorted(out.stdout.decode().split("\n")[:-1]), ["re\\ \\$\\(touch\\ pwned\\)", "recording.bin", "records"]
        )
        self.assertEqual(out.stderr, b"")
        self.nothing_was_run()


# Ctrl-T lists what is offered, tells it and empties the line: compadd is where all of it goes through.
ZSHRC = r"""
PS1='ready> '
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
  if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
    local -a __found
    builtin compadd -O __found "$@"
    print -rl -- $__found >>$ASKED.new
  fi
  builtin compadd "$@"
}
dump() { : >$ASKED.new; zle list-choices; mv $ASKED.new $ASKED; BUFFER=''; }
zle -N dump
bindkey -e
bindkey '^T' dump
"""


@needs("zsh")
@heavy
class Zsh(Driven):
    def test_it_offers_what_there_is_and_runs_nothing(self):
        self.populate()
        with open(os.path.join(self.home, ".zshrc"), "w") as file:
            file.write(ZSHRC)
        terminal = self.terminal("zsh", "-d", "-i", COMPLETIONS=os.path.join(ROOT, "completions"))
        self.check(lambda line: self.ask(terminal, line + "\x14").split("\n"))
        self.ask(terminal, "looop log \x14")
        terminal.wait_text("beta  -- running, flag: $(touch pwned)`touch pwned`%B a:b\\\\x1b]0;ti")
        self.assertNotIn("title", terminal.state()["title"])
        self.press_tab(terminal)

    def test_it_can_be_sourced(self):
        script = (
            f"autoload -Uz compinit; compinit -u -D; . {os.path.join(ROOT, 'completions', '_looop')}; "
            "print $_comps[looop] $_comps[looop.py]"
        )
        done = subprocess.run([shutil.which("zsh"), "-f", "-c", script], env=self.env, capture_output=True, check=True)
        self.assertEqual((done.stdout, done.stderr), (b"_looop _looop\n", b""))


@needs("fish")
@heavy
class Fish(Driven):
    def test_it_offers_what_there_is_and_runs_nothing(self):
        self.populate()
        folder = os.path.join(self.home, ".config", "fish", "completions")
        os.makedirs(folder)
        shutil.copy(os.path.join(ROOT, "completions", "looop.fish"), folder)
        with open(os.path.join(self.home, ".config", "fish", "config.fish"), "w") as file:
            file.write("function fish_prompt; echo -n 'ready> '; end; set -g fish_greeting\n")
        self.env["XDG_RUNTIME_DIR"] = self.home  # else it leaves a pipe in /tmp
        lines = [line for line, _ in self.cases()]
        script = 'for line in $argv; complete -C $line; echo "[done]"; end'
        done = subprocess.run(
            [shutil.which("fish"), "-c", script, *lines],
            env=self.env,
            cwd=self.home,
            capture_output=True,
            check=True,
            timeout=120,
        )
        self.assertEqual(done.stderr.decode(), "")
        parts = dict(zip(lines, done.stdout.decode().split("[done]\n")))
        self.check(lambda line: [row.partition("\t")[0] for row in parts[line].split("\n")])
        self.press_tab(self.terminal("fish", "-i"))


del Driven, Profiled  # not tests of their own

if __name__ == "__main__":
    unittest.main()
