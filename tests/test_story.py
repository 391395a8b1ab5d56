"""Whole stories, on the program itself: a person, their tmux, the pulse, a decider, a worker."""

import json
import os
import shutil
import subprocess
import termios
import unittest

import looop
from tests.support import PATIENCE, needs, wait_until
from tests.test_pulse import Pulses

# A decider that reads its prompt as an LLM would, and is as predictable as a test needs.
DECIDER = r"""
prompt=$(cat)
has() { case $prompt in *"$1"*) return 0 ;; *) return 1 ;; esac; }
if has 'its check passed'; then
  echo '{"move":"archive_goal","id":"ship","journal":"ship is done and checked: archived"}'
elif has '- ship (fake): Task: "Make the tests green."'; then
  echo '{"move":"noop","journal":"ship works"}'
elif ! has 'The tests are green'; then
  echo '{"move":"noop","journal":"no goal yet: waiting"}'
else
  echo '{"move":"start_worker","id":"ship","prompt":"Make the tests green.",
    "verify":"grep -q green $LOOOP_REPORTS_DIR/ship.md","journal":"started worker ship"}'
fi
"""

# A worker that keeps its contract.
AGENT = r"""
grep -q 'Make the tests green' "$1" || exit 9
"$LOOOP_BIN" claim tests || exit 8
branch=$("$LOOOP_BIN" ask 'which branch?' --option main --option release) || exit 7
echo "the tests are green on $branch" >"$LOOOP_REPORTS_DIR/ship.md"
"$LOOOP_BIN" unclaim tests
"$LOOOP_BIN" _cost session ship agent 0.12
"$LOOOP_BIN" kill ship
"""


@needs("tmux")
class Tmux(Pulses):
    """A person who sits in a tmux of their own."""

    def setUp(self):
        super().setUp()
        os.symlink(shutil.which("tmux"), os.path.join(self.bin, "tmux"))
        self.socket = os.path.join(self.home, "tmux")
        self.env["TERM"] = "xterm-256color"
        self.tmux("new-session", "-d", "-s", "mine", "-x", "100", "-y", "30", "bash --norc --noprofile")
        self.addCleanup(self.tmux, "kill-server")

    def tmux(self, *words):
        command = ["tmux", "-f", "/dev/null", "-S", self.socket, *words]
        done = subprocess.run(command, env=self.env, capture_output=True, check=False, cwd=self.home)
        return done.stdout.decode()

    def inside(self):
        """Return the environment of a program that runs in that tmux."""
        told = self.tmux("display-message", "-p", "-t", "mine", "#{socket_path},#{pid},#{session_id}").strip()
        return {"TMUX": told.replace("$", "")}

    def windows(self):
        return [
            line for line in self.tmux("list-windows", "-a", "-F", "#{window_name}").splitlines() if line[:1] == "!"
        ]

    def type(self, line):
        self.tmux("send-keys", "-t", "mine:0", "-l", line)
        self.tmux("send-keys", "-t", "mine:0", "Enter")


class Surfacing(Tmux):
    def test_a_flag_opens_a_window_once_and_again(self):
        self.profile()
        self.looop("start-session", "w", "--command", "echo hello from w; cat")
        env = self.inside()
        self.looop("flag", "w", "which branch?", env=env)
        self.assertEqual(self.windows(), ["! w"])
        wait_until(lambda: "hello from w" in self.tmux("capture-pane", "-p", "-t", "mine:! w"), "the worker's screen")
        self.assertEqual(self.tmux("display-message", "-p", "-t", "mine", "#{window_index}").strip(), "0", "no theft")
        self.tick(env=env)
        self.assertEqual(self.windows(), ["! w"])
        self.assertIn("NEEDS YOU\n  w is flagged: which branch?", self.stderr)
        self.looop("flag", "w", "once more", env=env)
        self.assertEqual(self.windows(), ["! w"], "it is open still: it rings")
        wait_until(lambda: "!" in self.tmux("display-message", "-p", "-t", "mine:! w", "#{window_flags}"), "the bell")
        self.looop("detach", "w")
        wait_until(lambda: not self.windows(), "the window's end")
        self.looop("flag", "w", "and again", env=env)
        self.assertEqual(self.windows(), ["! w"])
        self.assertEqual(len(self.events("needs_you")), 3)

    def test_a_window_whose_output_is_stopped_holds_nobody_up(self):
        self.looop("start-session", "w", "--command", "cat")
        env = self.inside()
        self.looop("flag", "w", env=env)
        terminal = os.open(self.tmux("display-message", "-p", "-t", "mine:! w", "#{pane_tty}").strip(), os.O_RDWR)
        self.addCleanup(os.close, terminal)
        termios.tcflow(terminal, termios.TCOOFF)
        self.looop("flag", "w", "again", env=env)
        termios.tcflow(terminal, termios.TCOON)
        self.assertEqual(self.windows(), ["! w"])

    def test_it_can_be_turned_off(self):
        self.looop("start-session", "w", "--command", "cat")
        self.looop("flag", "w", env={**self.inside(), "LOOOP_TMUX_SURFACE": "0"})
        self.assertEqual(self.windows(), [])

    def test_a_server_that_is_gone_costs_nothing(self):
        self.looop("start-session", "w", "--command", "cat")
        self.looop("flag", "w", env={"TMUX": f"{self.home}/none,1,0"})
        self.looop("flag", "w", env={"TMUX": "nonsense"})
        self.looop("flag", "w", "hm", env={"TMUX": self.inside()["TMUX"][:-1] + "77"})
        self.assertEqual(self.windows(), ["! w"], "a session that is gone: the window opens all the same")

    def test_a_socket_of_somebody_else_is_not_spoken_to(self):
        opened = looop.open_profile({**self.env, **self.inside()}, looop.__file__)
        self.assertEqual(looop.tmux_target(opened)[0], self.socket)
        self.addCleanup(setattr, os, "geteuid", os.geteuid)
        stranger = os.geteuid() + 1
        os.geteuid = lambda: stranger
        self.assertEqual(looop.tmux_target(opened), ("", ""))

    def test_the_person_is_notified_at_once_and_once(self):
        self.profile(config={"notify": f"cat >>{self.home}/told"})
        self.looop("start-session", "w", "--command", "cat")
        self.looop("flag", "w", "look\x1b[31m here")
        with open(f"{self.home}/told") as file:
            told = file.read()
        self.assertEqual(told.count("\n"), 1)
        self.assertIn("w is flagged: look", told)
        self.assertNotIn("\x1b", told)
        self.tick()
        with open(f"{self.home}/told") as file:
            self.assertEqual(file.read(), told)


class Newcomer(Tmux):
    """Nothing but Python, git and tmux: no LLM, no profile, no config."""

    git = True
    long = True

    def window(self, *past):
        return self.tmux("capture-pane", "-p", "-J", *past, "-t", "mine:! setup").rstrip()

    def answer(self, prompt, text):
        """Wait until the interview asks for something, and type an answer, as the person in that window."""
        wait_until(lambda: self.window().rpartition("\n")[2].startswith(prompt), f"{prompt!r}\n{self.window()}")
        self.tmux("send-keys", "-t", "mine:! setup", "-l", text)
        self.tmux("send-keys", "-t", "mine:! setup", "Enter")
        wait_until(
            lambda: not self.windows() or not self.window().rpartition("\n")[2].startswith(prompt), "that it is taken"
        )

    def asked_about(self, draft):
        """Wait until it is asked whether to write a draft, which may have scrolled away."""

        def asked():
            _, found, below = self.window("-S", "-").rpartition(f"{draft} would be:")
            return found and below.rpartition("\n")[2].startswith("write it?")

        try:
            wait_until(asked, f"a question about {draft}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.window()}") from None

    def test_from_nothing_to_goals_of_ones_own(self):
        for command in ("df", "awk"):
            os.symlink(shutil.which(command), os.path.join(self.bin, command))
        clone = os.path.join(self.home, "src", "site")
        subprocess.run(["git", "init", "-q", "-b", "main", clone], check=True, env=self.env)
        command = " ".join(map(looop.quoted, self.command("up")))
        self.type(f"{command}; tmux wait-for -S up")
        self.tmux("wait-for", "up")
        wait_until(self.windows, "a window for the interview")
        self.assertEqual(self.windows(), ["! setup"])
        self.assertIn("few questions", "\n".join(json.loads(self.looop("status", "--json"))["attention"]))
        self.tmux("select-window", "-t", "mine:! setup")
        for number, name in enumerate(("Ship the site", "Answer the mail", "Learn Polish"), 1):
            self.answer(f"goal {number} ", name)
            self.answer("done when ", "it is out" if number == 1 else "")
            self.answer("by ", "2030-12-24" if number == 1 else "")
        self.answer("goal 4 ", "")
        self.answer("folder ", "src/site")
        self.answer("keep it? ", "y")
        self.answer("folder ", "")
        self.answer("source ", "disk")
        self.answer("PATH ", "")
        self.answer("PERCENT ", "")
        self.answer("keep it? ", "")
        self.answer("source ", "")
        self.answer("first ", "the customer in Lyon")
        self.answer("then ", "")
        self.answer("never ", "deploy to production")
        self.answer("nor ", "")
        self.answer("again after ", "")
        self.answer("otherwise ", "")
        self.answer("quiet hours ", "")
        for draft in ("ship-the-site.md", "answer-the-mail.md", "learn-polish.md", "PLAYBOOK.md"):
            self.asked_about(draft)
            self.tmux("send-keys", "-t", "mine:! setup", "Enter")
        wait_until(lambda: not self.windows(), "the end of the interview, and its window")
        goals = sorted(name for name in os.listdir(self.path("goals")) if name.endswith(".md"))
        self.assertEqual(goals, ["answer-the-mail.md", "learn-polish.md", "playbook-daily.md", "ship-the-site.md"])
        self.assertEqual(
            self.read("goals", "ship-the-site.md"), "# Ship the site\n\nDone when: it is out.\n\nBy: 2030-12-24.\n"
        )
        self.assertTrue(os.path.exists(self.path("goals", "archive", "setup.md")))
        self.assertEqual(sorted(os.listdir(self.path("sensors"))), ["disk.sh", "git-site.sh", "today.sh"])
        self.assertIn("1. the customer in Lyon.", self.read("PLAYBOOK.md"))
        wait_until(lambda: "worker setup ended with 0" in "".join(self.journal()), "the loop to see it")
        self.asleep()
        before = len(self.journal())
        with looop.Lock(self.path(".beat.lock")) as lock:
            self.assertTrue(lock.acquire(PATIENCE, "edits"))  # one beat is to see both
            with open(os.path.join(clone, "new"), "w") as file:
                file.write("new")
            os.utime(self.path("sensors", "git-site.sh"))  # its reading is kept for a minute, but not if it was touched
            self.write("goals/learn-polish.md", "# Learn Polish\n\nTen words a day.\n")
        wait_until(lambda: len(self.journal()) > before, "a beat about it")
        self.assertIn("goal learn-polish changed", self.journal()[-1])
        self.assertIn("sensor git-site", self.journal()[-1])
        self.assertIn("a runner (pi, claude, …) is needed", self.journal()[-1])
        row = self.ls()["setup"]
        self.assertEqual((row["health"], row["flagged"], row["exit_code"]), ("done", False, 0))
        command = ["git", "log", "--oneline"]
        wait_until(
            lambda: (
                subprocess.run(command, cwd=self.data, capture_output=True, check=True, env=self.env).stdout.count(
                    b"\n"
                )
                == len(self.journal())
            ),
            "a commit for each line of the journal",
        )


class Story(Tmux):
    def test_a_worker_asks_is_answered_and_is_done(self):
        self.profile()
        for name, text in (("decider", DECIDER), ("agent", AGENT)):
            with open(os.path.join(self.home, name), "w") as file:
                file.write(text)
        tick, agent = f"bash {self.home}/decider", f"bash {self.home}/agent {{{{prompt_file}}}}"
        runner = {"mode": "typed", "tick": tick, "interactive": agent, "unmetered": True}
        self.config({"default": "fake", "runners": {"fake": runner}})
        command = " ".join(map(looop.quoted, self.command("up")))
        self.type(f"{command}; tmux wait-for -S up")
        self.tmux("wait-for", "up")
        self.asleep()
        self.write("goals/ship.md", "The tests are green.\n")
        wait_until(self.windows, "a window for the worker that asks")
        self.assertEqual(self.windows(), ["! ship"])
        wait_until(lambda: len(self.journal()) >= 2, "the line about its start: the worker may be faster")
        self.assertEqual(len(self.journal()), 2, "who answers is the person")
        self.assertIn("ship asks: which branch?", self.looop("asks") + self.looop("status"))
        wait_until(lambda: "NEEDS YOU" in self.looop("log", "pulse"), "a beat that tells it")
        self.looop("answer", "1", "main")
        wait_until(lambda: len(self.journal()) == 4, "the end of the story")
        self.assertEqual(
            [line[len("- 2026-01-02 15:04 ") :] for line in self.journal()],
            [
                "noop — no goal yet: waiting",
                "started worker ship: Make the tests green.",
                "ask 1 of ship answered: main",
                "archived goal ship — ship is done and checked: archived",
            ],
        )
        self.asleep()
        self.assertEqual(len(self.journal()), 4)
        self.assertEqual(self.read("reports", "ship.md"), "the tests are green on main\n")
        row = self.ls()["ship"]
        self.assertEqual((row["health"], row["verify"], row["claims"], row["flagged"]), ("done", "pass", [], False))
        self.assertEqual(os.listdir(self.path("claims")), [".lock"])
        self.assertTrue(os.path.exists(self.path("goals", "archive", "ship.md")))
        costs = json.loads(self.looop("cost", "--by", "kind", "--json"))
        self.assertEqual(
            costs["by"]["kind"]["session"]["usd"]
            if isinstance(costs["by"]["kind"]["session"], dict)
            else costs["by"]["kind"]["session"],
            0.12,
        )
        pulse = self.looop("log", "pulse")
        self.assertIn("NEEDS YOU", pulse)
        self.assertIn("ship asks: which branch?", pulse)
        self.assertEqual(json.loads(self.looop("asks", "--json")), [])


if __name__ == "__main__":
    unittest.main()
