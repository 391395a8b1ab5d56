"""The beat: from a fresh clone to a real world, on real runners' outputs, and what it leaves on disk."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest

import looop
from tests.support import (
    CAPTURED,
    PATIENCE,
    ROOT,
    Case,
    Terminal,
    heavy,
    needs_proc,
    needs_walls,
    processes_with,
    wait_until,
)

LINE = re.compile(r"^- \d{4}-\d\d-\d\d \d\d:\d\d \S.*$")


class Newcomer(Case):
    """A copy of the file alone, an empty HOME, one command."""

    def setUp(self):
        super().setUp()
        del self.env["LOOOP_DATA_DIR"]
        self.data = os.path.join(self.home, ".local", "state", "looop")
        self.clone = os.path.join(self.home, "clone")
        os.mkdir(self.clone)
        shutil.copy(os.path.join(ROOT, "looop.py"), self.clone)

    def run_it(self, *words):
        done = subprocess.run(["./looop.py", *words], cwd=self.clone, env=self.env, capture_output=True, check=False)
        self.assertNotIn(b"Traceback", done.stderr)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_one_command_is_a_beat_and_again_is_quiet(self):
        code, out, err = self.run_it("tick")
        self.assertEqual(code, 0, err)
        self.assertIn("acted", out)
        self.assertIn("NEEDS YOU\n  setup is flagged", err)
        self.assertIn("`./looop.py attach setup`", out)
        self.assertIn("the built-in decider ran", err)
        self.assertIn("git is not on PATH", err)
        self.assertEqual(len(self.journal()), 1)
        self.assertRegex(self.journal()[0], LINE)
        self.assertIn("setup", self.journal()[0])
        self.assertEqual(self.looop("tick") + self.stderr, "")
        self.assertEqual(len(self.journal()), 1)
        self.assertFalse(os.path.exists(self.path(".git")))
        self.assertEqual(self.ledger(), [])
        for name in ("PLAYBOOK.md", "goals/setup.md", "goals/playbook-daily.md", "sensors/today.sh", "state.json"):
            self.assertTrue(os.path.exists(self.path(name)), name)

    @heavy
    def test_children_get_an_executable_also_of_a_file_that_is_none(self):
        os.chmod(os.path.join(self.clone, "looop.py"), 0o600)
        self.profile(sensors={"bin": 'cd /; printf \'{"signal":"%s"}\' "$("$LOOOP_BIN" version)"'})
        python = os.path.join(self.bin, "python3")
        done = subprocess.run(
            [python, "looop.py", "tick"], cwd=self.clone, env=self.env, capture_output=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("looop ", self.json("snapshots", "sensor-bin.json")["signal"])


class GitCase(Case):
    git = True

    def git_out(self, *words, cwd=None):
        env = {
            **self.env,
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org",
        }
        return subprocess.run(
            ["git", *words], cwd=cwd or self.data, env=env, capture_output=True, check=True
        ).stdout.decode()


class WithGit(GitCase):
    def test_one_commit_per_move_and_a_clean_tree(self):
        self.tick()
        self.assertEqual(self.git_out("status", "--porcelain"), "")
        self.assertEqual(self.git_out("rev-list", "--count", "HEAD").strip(), "1")
        self.assertEqual(self.git_out("log", "-1", "--format=%an").strip(), "looop")
        self.tick()
        self.assertEqual(self.git_out("rev-list", "--count", "HEAD").strip(), "1")
        self.replies({"move": "write_goal", "id": "ship", "body": "# ship\n", "journal": "wrote ship"})
        self.write("goals/mine.md", "a goal of mine\n")
        self.assertEqual(self.tick()["outcome"], "acted")
        self.assertEqual(self.git_out("log", "-1", "--format=%s").strip(), "wrote goal ship — wrote ship")
        self.assertEqual(self.git_out("status", "--porcelain"), "")
        tracked = self.git_out("ls-files").split()
        self.assertEqual(
            tracked,
            [
                ".gitignore",
                "PLAYBOOK.md",
                "goals/mine.md",
                "goals/playbook-daily.md",
                "goals/setup.md",
                "goals/ship.md",
                "journal.md",
                "sensors/today.sh",
            ],
        )

    def test_the_persons_own_name_is_kept(self):
        with open(os.path.join(self.home, ".gitconfig"), "w") as file:
            file.write("[user]\n\tname = Ada\n\temail = ada@example.org\n[commit]\n\tgpgSign = true\n")
        self.tick()
        self.assertEqual(self.git_out("log", "-1", "--format=%an").strip(), "Ada")

    def test_a_repository_around_is_left_as_it_is(self):
        self.git_out("init", "-q", cwd=self.home)
        self.tick()
        self.assertFalse(os.path.exists(self.path(".git")))
        self.assertEqual(self.git_out("rev-list", "--all", "--count", cwd=self.home).strip(), "0")
        self.config({"git": True})
        self.write("goals/setup.md", "again\n")
        self.tick()
        self.assertEqual(self.git_out("rev-list", "--all", "--count", cwd=self.home).strip(), "1")

    def test_a_repository_of_the_persons_own_gets_commits_and_nothing_else(self):
        self.profile(goals={"a": "x"})
        self.git_out("init", "-q")
        self.write("notes.txt", "mine")
        self.tick()
        self.assertEqual(self.git_out("ls-files").split(), [".gitignore", "PLAYBOOK.md", "goals/a.md", "journal.md"])

    def test_what_is_no_memory_is_ignored_in_a_repository_around(self):
        """`git add -A` in the dotfiles takes no log of a session, no capsule, no state; also through a link to them."""
        dots = os.path.join(self.home, "dotfiles")
        self.data = os.path.join(dots, "looop")
        os.makedirs(self.data, mode=0o700)
        link = os.path.join(self.home, "link")
        os.symlink(self.data, link)
        self.git_out("init", "-q", cwd=dots)
        self.env["LOOOP_DATA_DIR"] = link
        self.looop("start-session", "box", "--command", "bash")
        self.assertNotIn("sessions", self.git_out("add", "-A", "-n", cwd=dots))
        self.looop("tick")
        self.looop("flag", "box", "look")
        self.looop("claim", "it", env={"LOOOP_SESSION_ID": "box"})
        self.looop("pause", "1h", "lunch")
        self.looop("tick")
        self.looop("kill", "box")
        taken = self.git_out("add", "-A", "-n", cwd=dots).replace("add 'looop/", "").replace("'", "").split()
        memory = ".gitignore PLAYBOOK.md goals/playbook-daily.md goals/setup.md journal.md sensors/today.sh"
        self.assertEqual(taken, memory.split())
        self.assertFalse(os.path.exists(self.path(".git")), "no repository in a repository")

    def test_a_gitignore_of_the_persons_own_stays(self):
        os.makedirs(self.data, mode=0o700)
        self.write(".gitignore", "mine\n")
        self.tick()
        self.assertEqual(self.read(".gitignore"), "mine\n")
        self.assertEqual(self.git_out("rev-list", "--count", "HEAD").strip(), "1")

    def test_git_false_and_a_failing_git(self):
        self.config({"git": False})
        self.tick()
        self.assertFalse(os.path.exists(self.path(".git")))
        self.config({})
        os.unlink(os.path.join(self.bin, "git"))
        self.write_bin("git", "#!/bin/sh\necho disk on fire >&2\nexit 128\n")
        self.write("goals/setup.md", "again\n")
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn("git: disk on fire", self.stderr)

    def write_bin(self, name, body):
        path = os.path.join(self.bin, name)
        with open(path, "w") as file:
            file.write(body)
        os.chmod(path, 0o700)

    def test_a_sensor_on_a_real_clone_wakes_once_for_a_commit_and_once_for_a_dirty_file(self):
        origin, clone = os.path.join(self.home, "origin"), os.path.join(self.home, "clone")
        self.git_out("init", "-q", origin, cwd=self.home)
        self.git_out("commit", "-q", "--allow-empty", "-m", "first", cwd=origin)
        self.git_out("clone", "-q", origin, clone, cwd=self.home)
        self.profile(
            sensors={
                "repo": f"cd {clone} && git pull -q && printf "
                '\'{"signal":{"head":"%s","dirty":%s},"detail":{"at":"%s"}}\' '
                '"$(git rev-parse --short HEAD)" "$(git status --porcelain | wc -l)" "$(date +%s.%N)"'
            }
        )
        self.tick()
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.git_out("commit", "-q", "--allow-empty", "-m", "second", cwd=origin)
        self.assertIn("repo: head ", self.tick()["reason"])
        self.assertEqual([self.tick()["outcome"] for _ in range(3)], ["unchanged"] * 3)
        with open(os.path.join(clone, "new"), "w") as file:
            file.write("x")
        self.assertIn("repo: dirty 0 → 1", self.tick()["reason"])
        self.assertEqual([self.tick()["outcome"] for _ in range(3)], ["unchanged"] * 3)


class Runners(Case):
    def captured(self, name, code=0):
        """Make the runner of this profile print a recorded output and exit."""
        self.profile(goals={"a": "x\n"}) if not os.path.exists(self.data) else None
        path = os.path.join(CAPTURED, "runners", name + ".ndjson")
        self.runner(f"cat >/dev/null; cat {path}; exit {code}", output=name.split("-")[0])

    def test_recorded_outputs_are_metered_though_they_hold_no_move(self):
        """They all say "Appended the line. DONE", which is no move: failed beats, paid in full."""
        cases = {
            "claude-2.1.197-json": 0.016649999999999998,
            "claude-2.1.197-stream-json": 0.016649999999999998,
            "claude-2.1.330-json": 0.013260000000000001,
            "claude-2.1.330-stream-json": 0.013260000000000001,
            "claude-2.1.330-denied-json": 0.013260000000000001,
            "pi-0.73.1-json": 0.00999,
            "pi-0.87.1-json": 0.00999,
        }
        for count, (name, cost) in enumerate(cases.items(), 1):
            self.captured(name)
            self.write("goals/a.md", f"{name}\n")  # ends the wait after the failure before
            out = self.tick()
            self.assertEqual((out["outcome"], out["cost_usd"]), ("failed", cost), name)
            self.assertIn("no JSON object", out["reason"])
            self.assertEqual(self.read("runs", out["run"], "reply.txt"), "Appended the line. DONE")
            row = self.ledger()[-1]
            self.assertEqual((len(self.ledger()), row["cost_usd"], row["run"]), (count, cost, out["run"]))
            self.assertEqual(row["usage"], {"input": 2500, "output": 85, "cache_read": 300, "cache_write": 300})
        self.assertEqual(self.journal(), [])

    def test_three_failed_logins_hold_nothing_after_the_login(self):
        """A call without an answer is no unknown price, whether it was refused, printed nothing or was ended."""
        self.profile(goals={"a": "0\n"})
        folder = os.path.join(CAPTURED, "runners")
        for name, lack in (
            ("codex", "codex is not logged in: run `codex login` (the runner reports: "),
            ("gemini", "gemini is not logged in: run `gemini` and type /auth (the runner reports: 401 fakellm scr"),
        ):
            path = os.path.join(self.bin, name)
            failed = {
                "codex": f"cat {folder}/codex-0.171.0-error-401.ndjson",
                "gemini": f"cat {folder}/{name}-0.61.0-error-401.stderr >&2",
            }
            good = {
                "codex": f"cat {folder}/codex-0.171.0-json.ndjson",
                "gemini": f"cat {folder}/gemini-0.61.0-json.json",
            }
            with open(path, "w") as file:
                file.write(
                    f"#!/bin/sh\ncat > /dev/null\n[ -e '{self.home}/in' ] && exec {good[name]}\n{failed[name]}\n"
                )
                file.write(f"[ -e '{self.home}/slow' ] && exec sleep 99\nexit 1\n")
            os.chmod(path, 0o700)
            self.config({"default": name, "prices": {"gpt-5": {"input": 1, "output": 2}}})
            for number in range(4):
                self.write("goals/a.md", f"{name} {number}\n")
                if number == 3:
                    self.write(os.path.join(self.home, "slow"), "")
                out = self.tick(env={"LOOOP_TICK_TIMEOUT": "1"} if number == 3 else {})
                self.assertEqual(out["outcome"], "failed", out)
                self.assertIn(lack if number < 3 else "ended at its deadline", out["reason"])
                self.assertEqual((self.ledger()[-1]["cost_usd"], self.ledger()[-1]["failed"]), (None, True))
            os.unlink(os.path.join(self.home, "slow"))
            self.write(os.path.join(self.home, "in"), "")
            self.write("goals/a.md", f"{name} in\n")
            self.assertIn(self.tick()["outcome"], ("noop", "failed"), "asked, not held")
            self.assertIn("usage", self.ledger()[-1])
            os.unlink(os.path.join(self.home, "in"))

    def test_every_kind_of_error_fails_the_beat_also_those_that_exit_0(self):
        for name, code, words in (
            ("claude-2.1.330-error-401", 1, "401"),
            ("claude-2.1.330-error-401", 0, "401"),
            ("claude-2.1.330-error-500", 0, "500"),
            ("pi-0.87.1-error-401", 0, "401"),
            ("pi-0.87.1-error-500", 0, "500"),
        ):
            self.captured(name, code)
            self.write("goals/a.md", f"{name} {code}\n")
            out = self.tick()
            self.assertEqual(out["outcome"], "failed", name)
            self.assertIn("the runner reports:", out["reason"])
            self.assertIn(words, out["reason"])
            self.assertEqual(self.ledger()[-1]["cost_usd"], 0)

    def test_a_recorded_stream_with_a_move_in_it(self):
        """The recordings, their reply replaced by a move."""
        move = {"move": "write_goal", "id": "b", "body": "# b\n", "journal": "wrote b"}
        for name in ("claude-2.1.330-json", "claude-2.1.197-stream-json", "pi-0.73.1-json", "pi-0.87.1-json"):
            with open(os.path.join(CAPTURED, "runners", name + ".ndjson"), encoding="utf-8") as file:
                text = file.read().replace("Appended the line. DONE", json.dumps(json.dumps(move))[1:-1])
            path = os.path.join(self.home, "stream")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            shutil.rmtree(self.data, ignore_errors=True)
            self.profile(goals={"a": "x\n"})
            self.runner(f"cat >/dev/null; cat {path}", output=name.split("-")[0])
            out = self.tick()
            self.assertEqual(out["outcome"], "acted", name)
            self.assertEqual(self.read("goals", "b.md"), "# b\n")
            self.assertEqual(out["cost_usd"], self.ledger()[0]["cost_usd"])
            self.assertGreater(out["cost_usd"], 0)

    def test_other_ways_to_fail(self):
        self.profile(goals={"a": "x\n"})
        for number, (command, words) in enumerate(
            (
                ("echo broken >&2; exit 9", "the runner failed: exit 9: broken"),
                ("kill -KILL $$", "the runner failed: signal 9"),
                ("true", "the runner answered nothing"),
                ("sleep 300", "ended at its deadline"),
                ("echo no thanks", "no JSON object"),
            )
        ):
            self.runner(command)
            self.write("goals/a.md", f"{number}\n")
            out = self.tick(env={"LOOOP_TICK_TIMEOUT": "500ms"} if "sleep" in command else {})
            self.assertIn(words, out["reason"])
            row = self.ledger()[-1]
            self.assertEqual(
                (row["run"], row["cost_usd"]), (out["run"], None), "a price nobody named is unknown, never 0"
            )
        self.assertEqual(self.journal(), [])
        wait_until(lambda: not processes_with(self.home), "no runner left")

    def test_a_runner_that_is_missing(self):
        self.profile(goals={"a": "x\n"})
        self.runner("no-such-llm --json")
        self.looop("tick", code=1)
        self.assertIn("no-such-llm is not on PATH: install no-such-llm", self.stderr)
        self.assertIn("LOOOP_RUNNER=builtin", self.stderr)
        self.assertEqual(len(self.stderr.splitlines()), 1)
        self.assertEqual(self.ledger(), [])
        self.assertEqual(self.tick(env={"LOOOP_RUNNER": "builtin"})["outcome"], "noop")
        self.looop("tick", "--runner", "wat", code=1)
        self.assertIn("runner wat: not known", self.stderr)

    def test_reading_verbs_need_no_runner(self):
        self.profile(goals={"a": "x\n"}, config={"default": "codex"})
        for words in (
            ("status",),
            ("status", "--json"),
            ("sensor", "list"),
            ("config", "show"),
            ("help",),
            ("version",),
        ):
            self.looop(*words)

    def test_the_prompt_comes_on_stdin_or_as_a_file(self):
        self.profile(goals={"a": "x\n"})
        kept = os.path.join(self.home, "given")
        self.runner(f'cat > {kept}; echo \'{{"move":"noop"}}\'')
        out = self.tick()
        with open(kept) as file:
            self.assertEqual(file.read(), self.read("runs", out["run"], "prompt.md"))
        self.runner(f'wc -c > {kept}.stdin; cat {{{{prompt_file}}}} > {kept}; echo \'{{"move":"noop"}}\'')
        self.write("goals/a.md", "y\n")
        out = self.tick()
        with open(kept) as file:
            self.assertEqual(file.read(), self.read("runs", out["run"], "prompt.md"))
        with open(kept + ".stdin") as file:
            self.assertEqual(file.read().strip(), "0")

    def test_auto_takes_pi_then_claude_then_the_builtin(self):
        self.profile(goals={"a": "x\n"})
        self.assertEqual(json.loads(self.looop("status", "--json"))["runner"], "builtin")
        for name in ("claude", "pi"):
            path = os.path.join(self.bin, name)
            with open(path, "w") as file:
                file.write(
                    f'#!/bin/sh\necho "$0 $*" >> {self.home}/called\ncat > /dev/null\necho \'{{"move":"noop"}}\'\n'
                )
            os.chmod(path, 0o700)
            self.assertEqual(json.loads(self.looop("status", "--json"))["runner"], name)
            self.write("goals/a.md", name + "\n")
            self.assertEqual(self.tick()["outcome"], "noop")
        with open(os.path.join(self.home, "called")) as file:
            called = file.read()
        self.assertIn("claude -p --output-format json --tools  --safe-mode --system-prompt Answer with", called)
        self.assertIn("pi -p --mode json --no-extensions --no-tools --no-session --no-context-files", called)

    def test_a_known_program_decides_in_a_folder_of_its_own_that_is_new_each_time(self):
        self.profile(goals={"a": "x\n"})
        folder = f"{self.home}/.cache/looop/decide-{looop.digest_of(self.data.encode())[:8]}"
        os.makedirs(f"{folder}/.claude")  # what a worker could have put there
        name = os.path.join(self.bin, "claude")
        with open(name, "w") as file:
            file.write('#!/bin/sh\nls -A; pwd; cat no-tools.toml; echo \'{"move":"noop"}\'; mkdir .claude\n')
        os.chmod(name, 0o700)
        tick = f"A='b c' {name} -p < {{{{prompt_file}}}}"
        self.config({"default": "c", "runners": {"c": {"mode": "typed", "tick": tick, "output": "text"}}})
        for body in ("x\n", "y\n"):
            self.write("goals/a.md", body)
            self.assertEqual(self.tick()["outcome"], "noop")
            with open(glob.glob(self.path("runs", "*", "output.log"))[-1]) as file:
                shown = file.read().split("\n")
            self.assertEqual(shown[:5], [*sorted(looop.DECIDER_FILES), folder, "[[rule]]", 'toolName = "*"'])
        self.runner('pwd >&2; echo \'{"move":"noop"}\'')  # a person's own line runs in the data dir
        self.write("goals/a.md", "z\n")
        self.tick()
        with open(sorted(glob.glob(self.path("runs", "*", "stderr.log")), key=os.path.getmtime)[-1]) as file:
            self.assertEqual(file.read().strip(), self.data)

    def test_a_subscription_is_counted_not_priced(self):
        self.profile(goals={"a": "x\n"})
        self.runner('echo \'{"move":"noop"}\'', unmetered=True)
        self.assertIn("unmetered", self.looop("tick"))
        self.assertEqual((self.ledger()[0]["cost_usd"], self.ledger()[0]["unmetered"]), (None, True))
        self.assertEqual(json.loads(self.looop("status", "--json"))["budget"]["unknown_today"], 0)
        self.assertRegex(self.looop("why"), r"  cost +unmetered \(fake\)")


class Replies(Case):
    """A reply is performed only if it is valid; else nothing changes but capsule, state, events and ledger."""

    def test_invalid_replies_change_nothing_and_reach_the_next_prompt(self):
        goal = {"move": "write_goal", "id": "b", "body": "x"}
        cases = {
            "I think we should write a goal.": "no JSON object",
            json.dumps(goal) + json.dumps(goal): "2 JSON objects",
            json.dumps({**goal, "priority": 1}): 'unknown field \\"priority\\"',
            json.dumps({**goal, "id": "../../evil"}): "id must be an id",
            json.dumps({**goal, "body": "x" * (1 << 20)}): "longer than 256 KiB",
            '{"move":' + '{"a":' * 10000 + "1" + "}" * 10001: "nested too deeply",
            json.dumps({"move": "archive_goal", "id": "nope"}): "there is no goal nope",
            json.dumps({"move": "start_worker", "id": "b", "prompt": "x"}): "no `interactive` command",
            json.dumps({"move": "kill_worker", "id": "b"}): "no such session",
        }
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{\"signal\":1}'"})
        leave = (
            ".sensors",
            "runs/",
            "state.json",
            "events.jsonl",
            "cost.jsonl",
            "goals/a.md",
            ".beat.lock",
            ".surfaced",
            "snapshots",
        )
        self.replies({"move": "noop"})
        self.tick()
        before = self.tree(leave)
        for number, (reply, words) in enumerate(cases.items()):
            self.replies(reply)
            self.write("goals/a.md", f"{number + 1}\n")
            out = self.tick()
            self.assertEqual(out["outcome"], "failed", reply[:100])
            if "deeply" not in words or out["reason"].find("no JSON") < 0:
                self.assertIn(words.replace('\\"', '"'), out["reason"])
            self.assertEqual(self.tree(leave), before, reply[:100])
            self.assertEqual(len(self.ledger()), number + 2)
            self.assertIn(f"({number + 1} failure", self.next_prompt(number))
            self.assertIn(out["reason"][:60], self.next_prompt(number))
        self.assertEqual(len(self.journal()), 1)

    def next_prompt(self, number):
        """Return the LAST FAILURE section that the next decide would see, from the state that it is made of."""
        state = self.json("state.json")
        world = looop.World({}, "", ("ok", ""), {}, {}, [], [], {})
        prompt, _ = looop.build_prompt(looop.prompt_inputs(world, state, mode="typed", forced="", journal=[], now=""))
        return prompt[prompt.index("# LAST FAILURE") :]

    def test_only_what_can_be_a_worker_is_offered_as_one(self):
        """A plain LLM has no agent; a claude on the PATH is one, by name; old capsules offered both alike."""
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop"})
        self.tick()
        self.assertNotIn('"move":"start_worker"', self.prompt())
        claude = os.path.join(self.bin, "claude")
        with open(claude, "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(claude, 0o700)
        prompts = []
        for body in ("1\n", "2\n"):
            self.write("goals/a.md", body)
            self.tick()
            prompts.append(self.prompt().split("# GOALS")[0])
        offer = '"start_worker","id":"…","prompt":"…","runner":"…"%s,"verify":"…"?}  a coding agent.'
        self.assertIn(offer % "", prompts[0])
        self.assertIn("; runner is claude\n", prompts[0])
        self.assertEqual(prompts[0], prompts[1])
        inputs = self.json("runs", self.runs()[-1], "wake.json")["inputs"]
        del inputs["agents"]
        self.assertIn(f"{offer % '?'} It knows only this prompt", looop.build_prompt(inputs)[0])

    def test_last_failure_stands_in_the_next_prompt_and_success_clears_it(self):
        self.profile(goals={"a": "0\n"})
        self.replies("no thanks")
        self.tick()
        self.write("goals/a.md", "1\n")
        self.tick()
        self.assertIn(
            "# LAST FAILURE\n| the reply holds no JSON object (1 failure in a row)\n| no thanks\n", self.prompt()
        )
        self.replies({"move": "noop"})
        self.write("goals/a.md", "2\n")
        self.tick()
        self.assertIn("(2 failures in a row)", self.prompt())
        self.write("goals/a.md", "3\n")
        self.tick()
        self.assertNotIn("LAST FAILURE", self.prompt())

    def test_thinking_before_the_answer_does_not_count(self):
        self.profile(goals={"a": "0\n"})
        drafts = 'Either {"move":"noop"} or {"move": "ask"}. The first.'
        noop = '{"move":"noop"}'
        for number, (reply, outcome) in enumerate(
            (
                (f"<think>{drafts}</think>\n{noop}\n", "noop"),
                (f"\n <thinking>\n{drafts}\n</thinking>{noop}", "noop"),
                (f"<think></think>\n```json\n{noop}\n```\n", "noop"),
                (f"<think>{drafts}</think>{noop}{noop}", "failed"),
                (f"<think>{drafts}</think>", "failed"),
                (f"<think>{drafts}\n{noop}", "failed"),
                (f"Well. <think>{drafts}</think>{noop}", "failed"),
            )
        ):
            self.replies(reply)
            self.write("goals/a.md", f"{number + 1}\n")
            self.assertEqual(self.tick()["outcome"], outcome, reply)

    def test_fenced_and_in_prose(self):
        self.profile(goals={"a": "0\n"})
        for number, shape in enumerate(("```json\n{}\n```\n", "I will {{do}} this:\n{}\nGood?", "{}")):
            goal = json.dumps({"move": "write_goal", "id": f"g{number}", "body": "x"})
            self.replies(shape.replace("{}", goal))
            self.write("goals/a.md", f"{number + 1}\n")
            self.assertEqual(self.tick()["outcome"], "acted")
            self.assertEqual(self.read("goals", f"g{number}.md"), "x\n")


class Backoff(Case):
    def test_it_doubles_up_to_300_and_only_success_resets_it(self):
        self.profile(goals={"a": "0\n"})
        self.replies("no")
        waits = []
        for number in range(5):
            self.write("goals/a.md", f"{number + 1}\n")
            waits.append(self.tick()["next_beat_s"])
        self.assertEqual([round(wait, -1) for wait in waits], [60, 120, 240, 300, 300])
        self.assertEqual(self.json("state.json")["failure"]["count"], 5)
        calls = len(self.ledger())
        for _ in range(3):
            out = self.tick()
            self.assertEqual(out["outcome"], "held")
            self.assertIn("backoff: 5 failures", out["reason"])
        self.assertEqual(len(self.ledger()), calls, "no runner was started")
        held = self.events("held")[-1]
        self.assertEqual(held["gate"], "backoff")
        self.assertTrue(held["until"].endswith("Z"))
        status = json.loads(self.looop("status", "--json"))
        self.assertEqual(status["backoff"]["fails"], 5)
        self.assertIn("5 failed beats in a row", status["attention"][0])
        self.assertRegex(self.looop("status"), r"backing off after 5 failures until \d\d:\d\d")

    def test_an_edit_ends_the_wait_not_the_count_and_a_sensor_does_not(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": f"cat {self.home}/s"})
        self.replies("no")
        self.tick()
        with open(os.path.join(self.home, "s"), "w") as file:
            file.write('{"signal":2}')
        self.assertEqual(self.tick()["outcome"], "held", "a changed sensor does not end it")
        self.write("PLAYBOOK.md", "# better\n")
        self.assertEqual(self.tick()["outcome"], "failed")
        self.assertEqual(self.json("state.json")["failure"]["count"], 2)
        self.replies({"move": "noop"})
        self.write("goals/b.md", "new\n")
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIsNone(self.json("state.json")["failure"])

    def test_the_wait_ends_and_a_clock_set_back_does_not_stretch_it(self):
        self.profile(goals={"a": "0\n"})
        self.replies("no")
        self.tick()
        for shift, outcome in ((-61, "failed"), (+86400, "failed")):
            state = self.json("state.json")
            state["failure"]["until"] = time.time() + 60 + shift
            self.write("state.json", json.dumps(state))
            self.assertEqual(self.tick()["outcome"], outcome)


class UsageLimit(Case):
    """A runner that names when its usage limit resets is asked again then, and not before."""

    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})
        self.at = int(time.time()) + 3 * 3600

    def limited(self, command, name="fake"):
        runner = {"mode": "typed", "tick": f"cat >/dev/null; echo x >> {self.home}/called; {command}"}
        self.config({"default": name, "runners": {name: runner, "other": {"mode": "typed", "tick": "echo no"}}})

    def event(self):
        info = {"status": "rejected", "resetsAt": self.at}
        result = {"type": "result", "subtype": "success", "is_error": True, "result": "limit", "total_cost_usd": 0}
        lines = [json.dumps({"type": "rate_limit_event", "rate_limit_info": info}), json.dumps(result)]
        return f"echo '{lines[0]}'; echo '{lines[1]}'; exit 1"

    def shift(self, secs):
        state = self.json("state.json")
        state["limits"]["fake"]["until"] += secs
        self.write("state.json", json.dumps(state))

    def test_it_holds_until_the_reset_and_is_named(self):
        self.limited(self.event())
        out = self.tick()
        self.assertEqual(out["outcome"], "failed")
        self.assertTrue(10700 < out["next_beat_s"] <= 10800)
        clock = looop.local_moment(self.at, time.time())
        held = self.tick()
        self.assertEqual((held["outcome"], held["reason"]), ("held", "backoff: fake's usage limit"))
        self.assertIn(f"backing off: fake's usage limit: held until {clock}", self.looop("why", "now"))
        self.assertIn(f"; fake's limit resets at {clock}\n", self.looop("status"))
        self.assertEqual(json.loads(self.looop("status", "--json"))["backoff"]["limit"], "fake")
        self.assertIn(f"fake's usage limit: held until {clock}", self.looop("tick", "--dry-run"))
        self.assertEqual(self.tick()["outcome"], "held")
        self.shift(-3 * 3600 - 60)
        self.assertEqual(self.tick()["outcome"], "failed", "the reset is over")
        self.assertEqual(len(self.ledger()), 2)

    def test_an_edit_a_person_and_another_runner_do_not_wait(self):
        self.limited(self.event())
        self.tick()
        self.assertEqual(self.tick()["outcome"], "held")
        self.write("goals/a.md", "1\n")
        self.assertEqual(self.tick()["outcome"], "failed")
        self.assertEqual(self.tick()["outcome"], "held")
        self.assertEqual(self.tick(words=("run", "a"))["outcome"], "failed")
        self.assertEqual(self.tick()["outcome"], "held")
        self.assertIn("no JSON object", self.tick(env={"LOOOP_RUNNER": "other"})["reason"])
        self.assertEqual(self.tick()["reason"], "backoff: fake's usage limit")

    def test_words_on_stderr_and_of_a_plain_runner(self):
        said = "Your quota will reset after 2h0m0s"
        for number, command in enumerate(
            (
                f"echo 'TerminalQuotaError: capacity: {said}.' >&2; exit 1",
                f"echo 'You hit your limit. {said}'; exit 1",
                f"cat {CAPTURED}/runners/gemini-0.61.0-error-401.stderr >&2; echo 'quota: {said}' >&2; exit 1",
            )
        ):
            self.limited(command)
            self.write("goals/a.md", f"{number + 1}\n")
            self.assertTrue(7000 < self.tick()["next_beat_s"] <= 7200, command)
        self.limited(f"echo 'the limit: {said}'")
        self.write("goals/a.md", "prose\n")
        self.assertEqual(self.tick()["next_beat_s"], 300, "an answer, though it is none: the LLM's words")

    def test_a_reset_that_cannot_be_is_not_believed(self):
        for number, secs in enumerate((-60, 33 * 86400)):
            self.at = int(time.time()) + secs
            self.limited(self.event())
            self.write("goals/a.md", f"{number + 1}\n")
            self.assertEqual(self.tick()["next_beat_s"], 60 * 2**number)
        self.assertNotIn("limit", self.json("state.json")["failure"])

    def test_a_short_one_waits_no_shorter_than_the_backoff_when_it_comes_again(self):
        self.limited("echo '429: Please retry in 40s' >&2; exit 1")
        self.assertIn(self.tick()["next_beat_s"], range(1, 41))
        self.write("goals/a.md", "1\n")
        self.assertEqual(self.tick()["next_beat_s"], 120)

    def fallback(self, limited, command, fallback="second"):
        """Make a runner whose limit is met, and a second one, which decides while it lasts."""
        called = f"cat >/dev/null; echo x >> {self.home}/called; {limited}"
        runners = {"fake": {"mode": "typed", "tick": called, "output": "claude"}}
        runners["second"] = {"mode": "typed", "tick": command, "output": "claude"}
        self.config({"default": "fake", "fallback": fallback, "runners": runners})

    def test_a_fallback_decides_meanwhile_and_is_priced_as_itself(self):
        noop = {"type": "result", "subtype": "success", "result": '{"move":"noop"}', "total_cost_usd": 0.25}
        self.fallback(self.event(), f"cat >/dev/null; echo '{json.dumps(noop)}'")
        out = self.tick()
        self.assertEqual((out["outcome"], out["runner"], out["next_beat_s"]), ("failed", "fake", 1))
        out = self.tick()
        self.assertEqual((out["outcome"], out["runner"], out["cost_usd"]), ("noop", "second", 0.25))
        self.assertEqual(json.loads(self.looop("why", "--json"))["taint"], [], "the notice is no word of an LLM")
        self.assertEqual([row["runner"] for row in self.ledger()], ["fake", "second"])
        self.assertEqual(json.loads(self.looop("cost", "--json"))["by"]["runner"], {"fake": 0, "second": 0.25})
        clock = looop.local_moment(self.at, time.time())
        self.assertIn(f"fake's usage limit: second decides until {clock}", self.looop("why"))
        self.assertEqual(json.loads(self.looop("why", "--json"))["runner"], "second")
        self.assertIn(f"; fake's limit resets at {clock}: second decides\n", self.looop("status"))
        status = json.loads(self.looop("status", "--json"))
        self.assertEqual((status["runner"], status["limits"]), ("second", {"fake": looop.utc_text(self.at)}))
        self.write("goals/a.md", "1\n")
        self.assertEqual(self.tick()["runner"], "second", "an edit lifts no limit")
        self.assertEqual(self.tick(words=("run", "a", "--runner", "fake"))["runner"], "fake")
        self.shift(-3 * 3600 - 60)
        self.write("goals/a.md", "2\n")
        self.assertEqual(self.tick()["runner"], "fake", "its limit is over")

    def test_a_fallback_that_is_limited_or_missing(self):
        self.fallback(self.event(), "cat >/dev/null; echo 'You hit your limit. Try again in 60 minutes'; exit 1")
        self.assertEqual([self.tick()["runner"], self.tick()["runner"]], ["fake", "second"])
        held = self.tick()
        self.assertEqual((held["reason"], held["runner"]), ("backoff: second's usage limit", None))
        self.assertTrue(3500 < held["next_beat_s"] <= 3600, "the earlier one")
        self.fallback(self.event(), "no-such-program")
        self.assertEqual(self.tick()["reason"], "backoff: fake's usage limit")
        self.assertIn("fallback: runner second: no-such-program is not on PATH", self.stderr)
        self.assertIn("no-such-program is not on PATH", self.doctor(code=None))
        self.assertEqual(json.loads(self.looop("config", "show"))["fallback"], "second")
        for name in ("third", "builtin"):
            self.fallback("true", "true", name)
            self.looop("config", "check", code=1)
            self.assertIn(f"config: fallback: {name} ", self.stderr)

    def test_a_direct_runner_too(self):
        self.config({"default": "fake", "runners": {"fake": {"tick": f"cat >/dev/null; {self.event()}"}}})
        self.assertTrue(10700 < self.tick()["next_beat_s"] <= 10800)
        self.assertEqual(self.tick()["outcome"], "held")


class Waking(Case):
    def test_own_writes_do_not_wake_and_a_persons_do(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "write_goal", "id": "b", "body": "by looop\n"})
        self.assertEqual(self.tick()["outcome"], "acted")
        self.assertEqual([self.tick()["outcome"] for _ in range(3)], ["unchanged"] * 3)
        self.replies({"move": "archive_goal", "id": "b"})
        self.write("goals/b.md", "by the person\n")
        self.assertIn("goal b changed", self.tick()["reason"])
        self.assertEqual(self.read("goals", "archive", "b.md"), "by the person\n")
        self.assertEqual([self.tick()["outcome"] for _ in range(3)], ["unchanged"] * 3)
        self.replies({"move": "noop"})
        os.unlink(self.path("goals/a.md"))
        self.assertEqual(self.tick()["reason"], "goal a was removed")

    def test_a_goal_is_archived_beside_an_older_one_of_its_name(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "archive_goal", "id": "b"})
        runs = []
        for body in ("first\n", "second\n", "third\n"):
            self.write("goals/b.md", body)
            runs.append(self.tick()["run"][5:])
        archived = {name: self.read("goals", "archive", name) for name in os.listdir(self.path("goals", "archive"))}
        self.assertEqual(archived, {"b.md": "first\n", f"b.{runs[1]}.md": "second\n", f"b.{runs[2]}.md": "third\n"})

    def test_an_open_playbook_gate_keeps_the_playbook_before(self):
        self.profile(goals={"a": "0\n"}, playbook="old\n")
        self.replies({"move": "write_playbook", "body": "new"})
        self.runner(f"cat {self.home}/reply", gate={"playbook": False})
        out = self.tick()
        self.assertEqual((out["outcome"], self.read("PLAYBOOK.md")), ("acted", "new\n"))
        self.assertEqual(self.read("playbook.d", f"{out['run'][5:]}.md"), "old\n")
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_a_persons_edit_during_the_run_wakes(self):
        self.profile(goals={"a": "0\n"})
        go = os.path.join(self.home, "go")
        for number, reply in enumerate(({"move": "noop"}, {"move": "write_goal", "id": "b", "body": "x"})):
            self.runner(f"touch {go}.started; while [ ! -e {go} ]; do sleep 0.01; done; echo '{json.dumps(reply)}'")
            self.write("goals/a.md", f"before {number}\n")
            tick = self.start("tick")
            wait_until(lambda: os.path.exists(go + ".started"), "the runner")
            self.write("goals/a.md", f"edited while it thought {number}\n")
            open(go, "w").close()
            self.assertEqual(tick.wait(120), 0)
            self.replies({"move": "noop"})
            self.assertIn("goal a changed", self.tick()["reason"])
            self.assertEqual(self.tick()["outcome"], "unchanged")
            os.unlink(go)
            os.unlink(go + ".started")

    @needs_walls
    def test_what_a_person_typed_during_the_run_is_not_written_over(self):
        go = os.path.join(self.home, "go")
        moves = [
            ({"move": "write_goal", "id": "a", "body": "looop's\n"}, "goals/a.md"),
            ({"move": "archive_goal", "id": "a"}, "goals/a.md"),
            ({"move": "write_goal", "id": "new", "body": "looop's\n"}, "goals/new.md"),
            ({"move": "write_sensor", "name": "s", "body": "echo looops\n"}, "sensors/s.sh"),
        ]
        self.profile(goals={"a": "0\n", "z": "0\n"})
        for number, (move, path) in enumerate(moves):
            self.runner(
                f"touch {go}.started; while [ ! -e {go} ]; do sleep 0.01; done; cat <<'E'\n{json.dumps(move)}\nE"
            )
            self.write("goals/z.md", f"{number + 1}\n")
            tick = self.start("tick", "--json")
            wait_until(lambda: os.path.exists(go + ".started"), "the runner")
            body = f"#!/bin/sh\necho '{{}}' # the person's, {number}\n"
            self.write(path, body, 0o700)
            open(go, "w").close()
            out = json.loads(tick.communicate(timeout=120)[0])
            self.assertEqual(out["outcome"], "failed")
            self.assertIn("edited during the decision", out["reason"])
            self.assertEqual(self.read(path), body)
            os.unlink(go)
            os.unlink(go + ".started")

    @needs_walls
    def test_a_sensor_that_looop_wrote_wakes_with_its_first_reading(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "write_sensor", "name": "s", "body": "echo '{\"signal\":1}'"})
        self.assertEqual(self.tick()["outcome"], "acted")
        self.assertEqual(self.read("sensors", "s.sh"), "echo '{\"signal\":1}'\n")
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["reason"], "sensor s is new: 1")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.replies({"move": "write_sensor", "name": "s", "body": "echo '{\"signal\":1}' # again"})
        self.write("goals/a.md", "1\n")
        self.tick()
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["reason"], "sensor s is new: 1", "rewritten, with the same signal")

    def test_a_noop_is_decided_again_when_it_is_old(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        state = self.json("state.json")
        state["noop_at"] -= 6 * 3600
        self.write("state.json", json.dumps(state))
        self.assertEqual(self.tick(env={"LOOOP_NOOP_TTL": "0"})["outcome"], "unchanged")
        self.assertEqual(self.tick()["reason"], "noop older than 6 h")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        state = self.json("state.json")
        state["noop_at"] += 86400
        self.write("state.json", json.dumps(state))
        self.assertEqual(self.tick()["outcome"], "noop", "a clock set back does not park the world")

    def test_an_explicit_next_beat_earns_one_decision_and_quiet_does_not_hide_it(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop", "next_beat_s": 300})
        self.tick()
        wait_until(lambda: self.tick()["outcome"] == "unchanged" and os.path.exists(self.path(".quiet")), ".quiet")
        self.assertIn("the decider asked to look again", self.looop("why", "now"))
        until = self.json("state.json")["again"]["at"]
        self.assertEqual(self.json(".quiet")["until"], until)
        self.assertEqual(self.tick()["outcome"], "unchanged", "by .quiet alone")
        self.replies({"move": "noop"})
        self.come(due=-1)
        out = self.tick()
        self.assertEqual((out["outcome"], out["reason"]), ("noop", "the decider asked to look again"))
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def come(self, due):
        """Have the decision that the last move earned be due in so many seconds."""
        state = self.json("state.json")
        state["again"]["at"] = time.time() + due
        self.write("state.json", json.dumps(state))

    def test_a_failed_call_takes_no_result_away(self):
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "shell", "command": "echo out", "reversible": True})
        self.tick()
        self.replies("hm")
        self.assertEqual(self.tick()["outcome"], "failed")
        state = self.json("state.json")
        state["failure"]["until"] = 0
        self.write("state.json", json.dumps(state))
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["reason"], "the result of the last shell move")

    @heavy
    def test_quiet_is_a_cache_and_nothing_else(self):
        """Age the files, let .quiet be made, and change each thing that it stands for."""
        self.profile(goals={"a": "0\n", "b": "0\n"}, sensors={"s": f"cat {self.home}/s"}, config={})
        signal = os.path.join(self.home, "s")
        with open(signal, "w") as file:
            file.write('{"signal":1}')
        self.tick()
        wait_until(lambda: self.tick()["outcome"] == "unchanged" and os.path.exists(self.path(".quiet")), ".quiet")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        good = self.read(".quiet")

        def restore():
            self.write(".quiet", good)

        old = os.stat(self.path("goals/a.md"))
        self.write("goals/a.md", "1\n")  # same size
        os.utime(self.path("goals/a.md"), ns=(old.st_atime_ns, old.st_mtime_ns))  # same mtime
        self.assertIn("goal a changed", self.tick()["reason"])
        for change in (
            lambda: self.write("goals/c.md", "new\n"),
            lambda: os.unlink(self.path("goals/c.md")),
            lambda: os.rename(self.path("goals/b.md"), self.path("goals/d.md")),
            lambda: self.write("PLAYBOOK.md", "other\n"),
            lambda: self.write(signal, '{"signal":2}'),
            lambda: os.unlink(signal),
            lambda: os.unlink(self.path("sensors/s.sh")),
        ):
            restore()
            change()
            self.assertEqual(self.tick()["outcome"], "noop")
            self.assertEqual(self.tick()["outcome"], "unchanged")
        for junk in ("", "{}", good[:-10], good.replace("stamps", "f"), "\xff\xfe", good + good):
            self.write(".quiet", junk.encode("latin-1"))
            self.assertEqual(self.tick()["outcome"], "unchanged")

    @needs_proc
    def test_a_quiet_beat_imports_nothing_dear(self):
        """Also with a sensor, as long as it says byte for byte what it said before."""
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{\"signal\":1}'"}, config={})
        self.tick()
        wait_until(lambda: self.tick()["outcome"] == "unchanged" and os.path.exists(self.path(".quiet")), ".quiet")
        code = f"import sys; sys.path.insert(0, {ROOT!r}); import looop; looop.main(['tick']); print(*sys.modules)"
        done = subprocess.run([sys.executable, "-SI", "-c", code], env=self.env, capture_output=True, check=True)
        self.assertEqual(self.events()[-1]["event"], "world_unchanged")
        modules = done.stdout.decode()
        dear = {"json", "re", "enum", "argparse", "subprocess", "hashlib", "signal", "ctypes", "collections", "typing"}
        self.assertEqual(dear & set(modules.split()), set())

    def test_a_young_world_is_read_not_guessed(self):
        """Same size, within one tick of the clock: the case that signatures cannot see."""
        self.profile(goals={"a": "0\n"})
        self.tick()
        for number in range(1, 10):
            self.assertEqual(self.tick()["outcome"], "unchanged")
            self.write("goals/a.md", f"{number}\n")
            self.assertIn("goal a changed", self.tick()["reason"])


class Advance(Case):
    """What a move leaves in the state, by the functions themselves."""

    def beat(self, state=None, **more):
        """Return a beat that has looked at a world with the goal `a`, and is about to log."""
        self.profile(goals={"a": "1\n"})
        profile = looop.open_profile(self.env, looop.__file__)
        looop.prepare(profile)
        beat = looop.Beat(profile, **more)
        beat.look({**looop.read_state(profile), **(state or {})}, {})
        beat.run = looop.Run(profile, "tick-20260102-030405-abcd")
        return beat

    def after(self, result, state=None, **more):
        """Return a beat, and its state after a move."""
        beat = self.beat(state, **more)
        beat.advance(result, 1000.0)
        return beat, beat.state

    def test_a_noop_alone_is_decided_on_again_after_a_while(self):
        for outcome, noop_at in (("noop", 1000.0), ("acted", None), ("proposed", None)):
            beat, state = self.after(looop.MoveResult("x", outcome), {"noop_at": 5.0, "failure": {"count": 1}})
            self.assertEqual((state["noop_at"], state["decided_at"], state["failure"]), (noop_at, 1000.0, None))
            self.assertEqual(state["baseline"], looop.baseline_of(beat.world.items))
            self.assertEqual(state["hash"], beat.world.hash)

    def test_what_a_move_wrote_wakes_nobody_and_what_it_forgot_does(self):
        new = looop.text_item(b"2\n")
        _, state = self.after(looop.MoveResult("x", wrote={"goal:a": new, "playbook": None}))
        self.assertEqual(state["baseline"]["goal:a"]["digest"], new.digest)
        self.assertNotIn("playbook", state["baseline"])
        self.assertEqual(state["hash"], looop.world_hash(looop.digests_of(state["baseline"])))

    def test_a_forced_and_an_approved_move_leave_the_rest_to_be_decided_on(self):
        known = {"goal:old": {"digest": "d", "value": None}}
        before = {"hash": "h", "baseline": known, "noop_at": 5.0, "decided_at": 6.0, "failure": {"count": 2}}
        wrote = {"goal:new": looop.text_item(b"2\n")}
        approval = looop.Approval(1, looop.Move("noop", {}))
        for more, failure in (({"forced": "a"}, None), ({"approved": approval}, {"count": 2})):
            _, state = self.after(looop.MoveResult("x", wrote=wrote), before, **more)
            self.assertEqual(set(state["baseline"]), {"goal:old", "goal:new"}, more)
            self.assertEqual(state["hash"], looop.world_hash(looop.digests_of(state["baseline"])))
            self.assertEqual((state["noop_at"], state["decided_at"], state["failure"]), (5.0, 6.0, failure))
            _, fresh = self.after(looop.MoveResult("x", wrote=wrote), **more)
            self.assertEqual(fresh["hash"], "", "the first beat decides")

    def test_a_result_earns_a_decision_and_keeps_its_taint(self):
        shell = {"command": "ls", "ended": "exit 0", "secs": 0.1, "output": "x"}
        _, state = self.after(looop.MoveResult("x", shell=shell))
        self.assertEqual((state["shell"], state["again"]["at"], state["again_count"]), (shell, 1000.0, 0))
        beat = self.beat()
        beat.taint, beat.changes, beat.state["again_count"] = ["a flag"], [], 3
        beat.advance(looop.MoveResult("x", shell=shell), 1000.0)
        self.assertEqual((beat.state["shell"], beat.state["again_count"]), ({**shell, "tainted": True}, 4))
        self.assertIsNone(self.after(looop.MoveResult("x"))[1]["again"])

    def test_a_failure_is_counted_with_the_beginning_of_its_reply(self):
        state = {"failure": None, "limits": {}}
        looop.record_failure(state, "no JSON", "r" * 3000, "p", 100.0)
        self.assertEqual(state["failure"]["reply"], "r" * 2000)
        self.assertEqual((state["failure"]["count"], state["failure"]["until"]), (1, 160.0))
        self.assertNotIn("limit", state["failure"])
        looop.record_failure(state, "no JSON", "", "p", 100.0, runner="pi", reset=150.0)
        self.assertEqual((state["failure"]["count"], state["failure"]["until"]), (2, 220.0), "never below the backoff")
        looop.record_failure(state, "no JSON", "", "p", 100.0, runner="pi", reset=5000.0)
        self.assertEqual((state["failure"]["until"], state["failure"]["limit"]), (5000.0, "pi"))

    def test_runs_are_in_the_order_in_which_they_were_written(self):
        """Within a second by their files; a stamp from the future is older than any other."""
        self.profile()
        profile = looop.open_profile(self.env, looop.__file__)
        stamps = ("20991231-000000-aaaa", "20260102-030405-cccc", "20260102-030406-bbbb", "20260102-030406-aaaa")
        for at, stamp in enumerate(stamps):
            os.makedirs(self.path("runs", f"tick-{stamp}"))
            os.utime(self.path("runs", f"tick-{stamp}"), (at, at))
        runs = [f"tick-{stamp}" for stamp in stamps]
        self.assertEqual(looop.runs_in_order(profile, looop.parse_utc("2026-01-03T00:00:00Z")), runs)
        self.assertEqual(looop.find_run(profile, "tick-20260102-030406-b").id, runs[2])
        self.assertEqual(looop.find_run(profile, "last").id, runs[3])
        for name in ("tick-20260102-030406", "", "tick-1"):
            with self.assertRaises(looop.Failure):
                looop.find_run(profile, name)
        self.env["LOOOP_RUNS_KEEP"] = "1"
        looop.prune_runs(looop.open_profile(self.env, looop.__file__))
        self.assertEqual(os.listdir(self.path("runs")), runs[3:])

    def test_a_policy_file_that_a_person_edits_meanwhile_is_known(self):
        beat = self.beat()
        self.write("goals/a.md", "other\n")
        self.write("goals/b.md", "new\n")
        self.assertEqual(beat.edited_meanwhile({}), {"run": beat.run.id, "keys": ["goal:a", "goal:b"]})
        self.assertIsNone(beat.edited_meanwhile({"goal:a": None, "goal:b": None}))


class Mail(Case):
    """What cron would mail: tick's output, on neither stream a terminal."""

    def mail(self, code=0):
        return self.looop("tick", code=code) + self.stderr

    def test_only_news_is_printed(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop", "journal": "nothing to do"})
        self.assertIn("nothing to do", self.mail())
        self.assertEqual([self.mail() for _ in range(2)], ["", ""])
        self.looop("pause", "1h", "at the dentist")
        self.write("goals/a.md", "1\n")
        self.assertIn("at the dentist", self.mail())
        self.assertEqual([self.mail() for _ in range(2)], ["", ""])
        self.looop("resume")
        self.runner("cat >/dev/null; exit 3")
        self.assertIn("exit 3", self.mail(code=1))
        self.assertEqual([self.mail() for _ in range(2)], ["", ""])
        self.looop("pause", "1h")
        self.assertIn("paused", self.mail())

    def test_a_sensor_that_is_refused_is_told_once(self):
        self.profile(sensors={"s": "echo '{}'"})
        os.chmod(self.path("sensors", "s.sh"), 0o722)
        self.replies({"move": "noop"})
        self.assertIn("others can write it", self.mail())
        self.assertEqual(self.mail(), "")

    def test_a_terminal_is_told_each_time(self):
        self.profile()
        self.replies({"move": "noop"})
        self.tick()
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        terminal.run(self.command("tick"), self.env, self.home)
        self.assertEqual(terminal.end(), 0)
        self.assertIn("unchanged", terminal.text())


class Waits(Case):
    """A person at a terminal is told what a beat waits for, in one line that is gone afterwards; nobody else is."""

    def terminal(self, *words):
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        return terminal.run(self.command(*words), self.env, self.home)

    def until(self, name):
        """Return a command that ends as soon as the test has made a file."""
        return f"until [ -e {self.home}/{name} ]; do sleep 0.05; done"

    def test_each_wait_is_told_and_gone_afterwards(self):
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "0\n"}, sensors={"quick": "echo '{}'", "slow": f"{self.until('1')}; echo '{{}}'"})
        move = json.dumps({"move": "shell", "command": self.until("3"), "reversible": True})
        for name, text in (("first", ""), ("last", move)):
            usage = {"cost": {"total": 0.02}}
            message = {"role": "assistant", "content": [{"type": "text", "text": text}], "usage": usage}
            with open(os.path.join(self.home, name), "w") as file:
                file.write(json.dumps({"type": "message_end", "message": message}) + "\n")
        self.runner(f"cat >/dev/null; cd {self.home}; cat first; {self.until('2')}; cat last", output="pi")
        terminal = self.terminal("tick")
        waits = (("1", b"sensing 2 of 2: slow, "), ("2", b" s, $0.02 so far"), ("3", b"running, "))
        for name, told in waits:
            terminal.wait(lambda told=told: told in terminal.received, told)
            with open(os.path.join(self.home, name), "w"):
                pass
        self.assertEqual(terminal.end(), 0, terminal.text())
        self.assertIn(b"deciding: fake, ", terminal.received)
        self.assertNotRegex(terminal.text(True), "sensing|deciding|running")
        self.assertIn("acted", terminal.text())

    def test_a_failure_finds_the_line_gone(self):
        self.profile(goals={"a": "0\n"}, sensors={"slow": f"{self.until('1')}; echo '{{}}'"})
        terminal = self.terminal("tick")
        terminal.wait(lambda: b"sensing" in terminal.received, "that it is told")
        terminal.type(b"\x03")
        self.assertEqual(terminal.end(), 130)
        self.assertNotIn("sensing", terminal.text(True))
        self.assertIn("interrupted", terminal.text())

    def test_a_program_is_told_nothing(self):
        self.profile(goals={"a": "0\n"}, sensors={"slow": "sleep 1.2; echo '{}'"})
        self.replies({"move": "noop"})
        for words, env in ((("tick", "--json"), {}), (("tick",), {"TERM": "dumb"})):
            self.env.update(env)
            terminal = self.terminal(*words)
            self.assertEqual(terminal.end(), 0, terminal.text())
            self.assertNotIn(b"sensing", terminal.received)
        self.looop("tick")
        self.assertNotIn("sensing", self.stderr)


class Shell(Case):
    def test_it_runs_once_and_its_result_reaches_the_next_prompt_only(self):
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "0\n"})
        self.replies(
            {"move": "shell", "command": "echo out; echo err >&2; pwd; echo x >> ran; exit 3", "reversible": True}
        )
        out = self.tick()
        self.assertEqual(out["outcome"], "acted")
        self.assertRegex(out["journal"], r"\[exit 3\]$")
        self.assertEqual(self.read("ran"), "x\n")
        self.replies({"move": "noop"})
        out = self.tick()
        self.assertEqual((out["outcome"], out["reason"]), ("noop", "the result of the last shell move"))
        self.assertIn("the result of the last shell move", self.looop("why"))
        self.assertIn("the result of the last shell move", self.looop("history"))
        self.assertEqual(self.tick()["outcome"], "unchanged", "one decision, and no more")
        shell = self.prompt()[self.prompt().index("# RESULT OF THE LAST SHELL MOVE") :]
        self.assertIn(
            f"| $ echo out; echo err >&2; pwd; echo x >> ran; exit 3\n| exit 3\n| out\n| err\n| {self.data}\n", shell
        )
        self.write("goals/a.md", "2\n")
        self.tick()
        self.assertNotIn("RESULT OF THE LAST SHELL MOVE", self.prompt())

    def test_one_that_ended_well_says_no_more_than_what_it_ran(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "shell", "command": "true", "reversible": True})
        self.assertEqual(self.tick()["journal"][len("- 0000-00-00 00:00 ") :], "ran: true")

    @needs_walls
    def test_a_deadline(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "shell", "command": "sleep 300 & sleep 300", "reversible": True})
        out = self.tick(env={"LOOOP_SHELL_TIMEOUT": "300ms"})
        self.assertIn("ended at its deadline", out["journal"])
        wait_until(lambda: not processes_with(self.home), "no process left")

    def test_secrets_are_written_nowhere(self):
        secret = "s3cr3t-value-1234"
        self.profile(goals={"a": f"use {secret}\n"}, sensors={"s": 'printf \'{"signal":"%s"}\' "$MY_TOKEN"'})
        self.replies({"move": "shell", "command": "echo $MY_TOKEN", "reversible": True, "journal": f"said {secret}"})
        self.tick(env={"MY_TOKEN": secret})
        self.write("goals/b.md", "1\n")
        self.tick(env={"MY_TOKEN": secret})
        found = [name for name, body in self.tree(("goals/a.md", "snapshots/")).items() if secret.encode() in body]
        self.assertEqual(found, [])
        self.assertIn("[MY_TOKEN]", self.prompt())


class Together(Case):
    def test_two_ticks_at_once_are_one_beat(self):
        go = os.path.join(self.home, "go")
        self.profile(goals={"a": "0\n"}, sensors={"s": f"until [ -e {go} ]; do sleep 0.05; done; echo '{{}}'"})
        started = [self.start("tick") for _ in range(2)]
        wait_until(lambda: any(process.poll() is not None for process in started), "the one that comes too late")
        open(go, "w").close()
        ended = sorted((p.wait(120), p.stderr.read().decode()) for p in started)
        self.assertEqual([code for code, _ in ended], [0, 1])
        self.assertRegex(
            ended[1][1], r"tick: a beat is in progress \(pid \d+, tick, since \d\d:\d\d\): wait for it: --wait 5m\n$"
        )
        self.assertEqual(len(self.journal()), 1)
        self.assertEqual(len(self.events("tick_start")), 1)

    def test_one_waits_for_the_other_when_it_is_told_to(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": "sleep 0.5; echo '{}'"})
        started = [self.start("tick", "--wait", "120s") for _ in range(3)]
        self.assertEqual([p.wait(120) for p in started], [0, 0, 0])
        self.assertEqual(len(self.events("tick_start")), 3)
        self.assertEqual(len(self.journal()), 1)

    def test_run_queues_behind_a_beat(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": "sleep 0.5; echo '{}'"})
        self.replies({"move": "write_goal", "id": "b", "body": "x"})
        tick = self.start("tick")
        wait_until(lambda: os.path.exists(self.path("events.jsonl")), "the beat")
        run = self.start("run", "a", "--json")
        out = json.loads(run.communicate(timeout=120)[0])
        self.assertEqual((tick.wait(120), run.returncode), (0, 0))
        self.assertEqual((out["outcome"], out["reason"]), ("acted", "forced: goal a"))
        self.assertEqual(len(self.journal()), 2)

    def test_looking_does_not_disturb(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        stop = threading.Event()

        def look():
            while not stop.is_set():
                subprocess.run(self.command("status"), env=self.env, capture_output=True, check=True)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            for _ in range(15):
                self.tick()
        finally:
            stop.set()
            thread.join()


class Run(Case):
    def test_it_forces_a_move(self):
        self.profile(goals={"a": "0\n", "b": "0\n"})
        self.replies({"move": "shell", "command": "true", "reversible": True})
        self.tick()
        out = self.tick(words=("run", "b"))
        self.assertEqual((out["outcome"], out["reason"]), ("acted", "forced: goal b"))
        self.assertIn("# FORCED\n", self.prompt())
        self.assertEqual(self.ledger()[-1]["kind"], "goal")
        self.replies({"move": "noop"})
        self.assertEqual(self.tick(words=("run", "b"))["outcome"], "failed")
        self.replies({"move": "shell", "command": "true", "reversible": True})
        self.assertEqual(self.tick(words=("run", "b"))["outcome"], "acted", "a person need not wait out a failure")
        self.replies({"move": "shell", "command": "git push", "reversible": True})
        self.assertEqual(self.tick(words=("run", "b"))["outcome"], "proposed", "the gates stand")

    def test_an_unknown_goal_and_the_builtin(self):
        self.profile(goals={"a": "0\n", "b": "0\n"})
        self.looop("run", "c", code=1)
        self.assertEqual(self.stderr, "looop: goal c: there is no such goal: the goals are: a, b\n")
        self.looop("run", "a", code=1)
        self.assertIn("the built-in decider cannot work on a goal: install pi or claude", self.stderr)


class Direct(Case):
    def test_it_acts_with_its_own_tools_and_leaves_one_line(self):
        self.profile(goals={"a": "0\n"})
        line = "- 2026-01-02 15:04 wrote b"
        self.runner("cat >/dev/null", "direct")
        self.assertIn("answered nothing and left no journal line", self.tick()["reason"])
        self.runner(
            f"cat >/dev/null; echo y > goals/b.md; echo 300 > .next-interval; echo '{line}' >> journal.md", "direct"
        )
        self.write("goals/a.md", "1\n")
        out = self.tick()
        self.assertEqual(
            (out["outcome"], out["journal"][19:], out["next_beat_s"]), ("acted", "fake acted: goal b — wrote b", 300)
        )
        self.assertEqual(self.journal(), [out["journal"]], "one line, with looop's own stamp")
        self.assertFalse(os.path.exists(self.path(".next-interval")))
        self.assertEqual(self.tick()["outcome"], "unchanged", "what it wrote itself does not wake")

    def test_looop_writes_the_line_where_there_is_none(self):
        self.profile(goals={"a": "0\n"})
        self.runner("cat >/dev/null; echo I looked around", "direct")
        self.tick()
        self.assertRegex(self.journal()[0], r"^- .{16} fake acted \[no journal line\] — I looked around$")
        self.assertEqual(len(self.journal()), 1)

    def test_more_than_one_line_becomes_one(self):
        self.profile(goals={"a": "0\n"})
        self.write("journal.md", "- 2026-01-01 00:00 before\n")
        lines = "- 2026-01-02 15:04 did this\\n\\n- 2026-01-02 15:05 and that\\nand more"
        self.runner(f"cat >/dev/null; printf -- '{lines}' >> journal.md; echo done", "direct")
        out = self.tick()
        self.assertEqual(len(self.journal()), 2)
        self.assertRegex(self.journal()[1], r"^- .{16} fake acted \[3 journal lines\] — did this; and that; and more$")
        self.assertEqual(out["journal"], self.journal()[1])
        self.assertIn("and more\n", self.read("runs", out["run"], "journal.txt"))
        self.assertIn("3 journal lines in one beat", self.stderr)

    def test_a_line_without_its_stamp_keeps_its_head(self):
        self.profile(goals={"a": "0\n"})
        for number, line in enumerate(
            ("Rewrote the README for v2", "- Rewrote the README for v2", "- 2026-1-2 Rewrote the README for v2")
        ):
            self.write("goals/a.md", f"{number + 1}\n")
            self.runner(f"cat >/dev/null; echo '{line}' >> journal.md", "direct")
            out = self.looop("tick").splitlines()[0]
            words = "fake acted — " + (line[2:] if line.startswith("- ") else line)
            self.assertEqual(out, f"● acted  {words}")
            self.assertEqual(len(self.journal()), number + 1)
            self.assertRegex(self.journal()[-1], rf"^- \d{{4}}-\d\d-\d\d \d\d:\d\d {words}$")
            self.assertIn(f" {words}\n", self.looop("status"))
        self.write("journal.md", "a line of the person's own\n")
        self.assertIn(" a line of the person's own\n", self.looop("status"))

    def test_a_config_of_looop_0_5(self):
        """No mode; the command ends in `| "$LOOOP_BIN" _fmt`; the stream is metered all the same."""
        self.profile(goals={"a": "0\n"})
        stream = os.path.join(CAPTURED, "runners", "pi-0.73.1-json.ndjson")
        self.config(
            {
                "default": "pi",
                "runners": {
                    "pi": {
                        "tick": f'cat {{{{prompt_file}}}} > {self.home}/given; cat {stream} | "$LOOOP_BIN" _fmt',
                        "interactive": "pi @{{prompt_file}}",
                        "resume": "pi -c",
                    }
                },
            }
        )
        out = self.tick()
        self.assertEqual((out["outcome"], out["cost_usd"]), ("acted", 0.00999), self.stderr)
        self.assertIn("Appended the line. DONE", self.journal()[0])
        with open(os.path.join(self.home, "given")) as file:
            self.assertIn("act with your own tools", file.read())


class Traces(Case):
    def test_a_capsule_holds_everything(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": 'echo \'{"signal":{"x":1}}\''})
        self.replies({"move": "shell", "command": "echo hi", "reversible": True, "why": "because", "next_beat_s": 30})
        out = self.tick()
        names = sorted(os.listdir(self.path("runs", out["run"])))
        logs = ["output.log", "runner.json", "shell.json", "shell.log", "stderr.log"]
        self.assertEqual(
            names,
            sorted(
                [
                    *logs,
                    "playbook.before",
                    "intent.json",
                    "move.json",
                    "prompt.md",
                    "reply.txt",
                    "result.json",
                    "wake.json",
                ]
            ),
        )
        self.assertRegex(out["run"], r"^tick-\d{8}-\d{6}-[0-9a-f]{4}$")
        wake = self.json("runs", out["run"], "wake.json")
        self.assertEqual(wake["reason"], "first beat")
        self.assertEqual([c["key"] for c in wake["changed"]], ["goal:a", "playbook", "sensor:s"])
        gates = ["paused", "unchanged", "backoff", "decides", "budget"]
        self.assertEqual([(g["gate"], g["verdict"]) for g in wake["gates"]], [(gate, "pass") for gate in gates])
        result = self.json("runs", out["run"], "result.json")
        self.assertEqual((result["outcome"], result["journal"]), ("acted", out["journal"]))
        self.assertEqual(out["next_beat_s"], 30)
        self.assertEqual(self.json("state.json")["next_beat_s"], 30)

    def test_the_prompt_can_be_made_again_from_the_capsule_alone(self):
        self.profile(goals={"a": "0\n| # PLAYBOOK\n"}, sensors={"s": 'echo \'{"signal":{"x":1}}\''})
        for number in range(3):
            self.write("goals/a.md", f"{number}\n")
            out = self.tick()
            wake = self.json("runs", out["run"], "wake.json")
            self.assertEqual(looop.build_prompt(wake["inputs"])[0], self.read("runs", out["run"], "prompt.md"))
            self.assertEqual(looop.world_hash(wake["digests"]), wake["hash"])

    def test_old_capsules_go_and_zero_keeps_all(self):
        self.profile(goals={"a": "0\n"})
        for number in range(5):
            self.write("goals/a.md", f"{number}\n")
            self.tick(env={"LOOOP_RUNS_KEEP": "0"})
        self.assertEqual(len(self.runs()), 5)
        self.write("goals/a.md", "last\n")
        out = self.tick(env={"LOOOP_RUNS_KEEP": "2"})
        self.assertEqual(len(self.runs()), 2)
        self.assertIn(out["run"], self.runs())

    def test_events_are_capped_with_one_older_file(self):
        self.profile(goals={"a": "0\n"})
        for _ in range(40):
            self.tick(env={"LOOOP_EVENTS_MAX_BYTES": "2000"})
        self.assertLessEqual(os.path.getsize(self.path("events.jsonl")), 2000)
        self.assertLessEqual(os.path.getsize(self.path("events.jsonl.1")), 2000)
        self.assertEqual(
            sorted(n for n in os.listdir(self.data) if n.startswith("events")), ["events.jsonl", "events.jsonl.1"]
        )
        for line in self.read("events.jsonl.1").split("\n")[:-1]:
            json.loads(line)

    def test_a_torn_line_is_never_glued_to_the_next(self):
        self.profile(goals={"a": "0\n"})
        for name in ("journal.md", "cost.jsonl", "events.jsonl"):
            self.write(name, b"torn")
        self.runner('cat >/dev/null; echo \'{"move":"noop","journal":"whole"}\'', unmetered=False)
        self.tick()
        self.assertRegex(self.read("journal.md"), r"^torn\n- .* whole\n$")
        self.assertTrue(self.read("cost.jsonl").startswith('torn\n{"ts"'))
        self.assertTrue(self.read("events.jsonl").startswith('torn\n{"ts"'))
        self.assertEqual(json.loads(self.looop("status", "--json"))["budget"]["unknown_today"], 1)


class Broken(Case):
    """Absent is not unreadable, and neither is empty."""

    def test_a_corrupt_state_is_told_not_taken_for_a_fresh_one(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        for junk in ("{broken", "[]", '{"baseline":5}', "null"):
            self.write("state.json", junk)
            self.looop("tick", code=1)
            self.assertRegex(self.stderr, r"^looop: state.json: .*: fix it, or move it away .*\n$")
            self.looop("status", code=1)
            self.assertEqual(self.read("state.json"), junk)
        self.assertEqual(len(self.journal()), 1)

    def test_an_unreadable_goal_is_its_own_state(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        os.unlink(self.path("goals/a.md"))
        os.symlink("a.md", self.path("goals/a.md"))  # ELOOP, for root as well
        self.assertIn("goal a cannot be read: Too many", self.tick()["reason"])
        self.assertIn("- a\n|   | [unreadable: ", self.prompt())
        self.assertEqual(self.tick()["outcome"], "unchanged")
        os.unlink(self.path("goals/a.md"))
        self.assertIn("was removed", self.tick()["reason"])

    def test_a_folder_that_cannot_be_read_is_no_empty_world(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        shutil.rmtree(self.path("goals"))
        self.write("goals", "a file where a folder should be")
        self.looop("tick", code=1)
        self.assertRegex(self.stderr, "^looop: goals: .*: Not a directory: move it away\n$")

    def test_a_data_dir_that_is_not_ours_alone(self):
        self.profile(goals={"a": "0\n"})
        os.chmod(self.data, 0o772)
        self.looop("tick", code=1)
        self.assertIn("others can write into it: chmod 700", self.stderr)
        os.chmod(self.data, 0o700)
        if os.geteuid() == 0:
            os.chown(self.data, 65534, 65534)
            self.looop("tick", code=1)
            self.assertIn("belongs to another user", self.stderr)
        file = os.path.join(self.home, "file")
        open(file, "w").close()
        self.looop("tick", code=1, env={"LOOOP_DATA_DIR": file})
        self.assertIn("is not a directory", self.stderr)
        self.looop("tick", code=1, env={"LOOOP_DATA_DIR": "/proc/none/here"})
        self.assertRegex(self.stderr, r"^looop: data dir: .*: .+, or set LOOOP_DATA_DIR\n$")

    def test_odd_paths(self):
        for name in ("with space", "new\nline", "x" * 200, "quote'd", os.fsdecode(b"not-utf8-\xff")):
            data = os.path.join(self.home, "odd", name)
            env = {"LOOOP_DATA_DIR": data}
            self.looop("tick", env=env)
            self.assertIn("unchanged", self.looop("tick", "--json", env=env))
            self.looop("status", "--json", env=env)
            with open(os.path.join(data, "journal.md")) as file:
                self.assertEqual(len(file.readlines()), 1)

    def test_a_full_disk_loses_nothing(self):
        """A file size limit stands for the full disk: the ledger cannot grow, so the beat does not act."""
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "shell", "command": "echo x >> ran", "reversible": True})
        self.tick()
        self.write("cost.jsonl", self.read("cost.jsonl").replace('"tick"', '"session"') * 2000)
        size = os.path.getsize(self.path("cost.jsonl"))
        self.write("goals/a.md", "1\n")
        script = f"ulimit -f {size // 1024 + 1 - 1}; trap '' XFSZ; exec \"$@\""
        limited = [os.path.join(self.bin, "bash"), "-c", script, "bash", *self.command("tick")]
        done = subprocess.run(limited, env=self.env, cwd=self.home, capture_output=True, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"looop: cost.jsonl: File too large", done.stderr)
        self.assertEqual(self.read("ran"), "x\n", "what could not be recorded was not done")
        self.write("goals/a.md", "2\n")
        self.tick()
        self.assertEqual(self.read("ran"), "x\nx\n")
        paid = [row["run"] for row in self.ledger()]
        self.assertEqual(
            {run for run in self.runs() if paid.count(run) == 0}, set(), "the call that was made is in the ledger"
        )


class Once(Case):
    """Faults that were met once."""

    def test_a_full_disk_after_a_command_started_is_no_failure_that_repeats_it(self):
        """The capsule becomes a place where nothing can be written while the command runs."""
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "0\n"})
        command = "echo x >> effects; cd runs/*/ && mv shell.log moved && mkdir shell.log"
        self.replies({"move": "shell", "command": command, "reversible": True})
        self.looop("tick", code=1)
        self.assertRegex(self.stderr, r"^looop: .*shell.log: .*the next beat settles what was begun\n$")
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["outcome"], "held")
        self.assertEqual(len(self.journal()), 1)
        self.assertIn("interrupted: ", self.journal()[0])
        self.assertEqual(self.read("effects"), "x\n")

    def test_a_secret_that_is_also_a_name_does_not_wake_for_ever(self):
        env = {"TEAM_KEY": "playbook-daily", "OTHER_TOKEN": "interrupted", "X_SECRET": "baseline"}
        self.assertEqual(self.tick(env=env)["outcome"], "acted")
        for _ in range(2):
            self.assertEqual(self.tick(env=env)["outcome"], "unchanged")

    def test_a_direct_runner_does_not_end_its_own_wait(self):
        self.profile(goals={"a": "0\n"})
        self.runner("echo edit >> goals/a.md; exit 1", "direct")
        self.assertEqual([self.tick()["outcome"] for _ in range(3)], ["failed", "held", "held"])
        self.assertEqual(len(self.ledger()), 1)

    def test_an_unknown_key_of_a_runner_is_ignored(self):
        self.profile(goals={"a": "0\n"}, config={"runners": {"pi": {"foo": 1, "name": "x"}}})
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn("unknown key runners.pi.foo", self.stderr)

    def test_a_nested_reading_is_an_error_not_a_crash(self):
        nested = "printf '{\"signal\":'; printf '[%.0s' $(seq 985); printf ']%.0s' $(seq 985); printf '}'"
        self.profile(goals={"a": "0\n"}, sensors={"s": nested})
        self.tick(env={"A_TOKEN": "12345678"})
        self.assertEqual(self.json("snapshots", "sensor-s.json")["signal"], {"error": "nested too deeply"})

    def test_a_call_whose_command_ended_127_is_paid(self):
        self.profile(goals={"a": "0\n"})
        self.runner("cat >/dev/null; echo paid; nosuchcommand")
        self.tick()
        self.assertEqual(len(self.ledger()), 1)

    def test_nothing_inside_a_broken_object_is_a_move(self):
        self.profile(goals={"a": "0\n"})
        inner = '{"move":"shell","command":"touch evil","reversible":true}'
        for number, reply in enumerate(
            (f'{{"move":"write_goal","id":"a","body":"x","verify": {inner}', f"{{'said': '{inner}'}}")
        ):
            self.write("goals/a.md", f"{number + 1}\n")
            self.replies(reply)
            self.assertIn("an object that is not JSON", self.tick()["reason"])
        self.assertFalse(os.path.exists(self.path("evil")))

    def test_secrets_stay_out_of_snapshots_stderr_and_what_cron_mails(self):
        secret = "s3cr3t-value-1234"
        self.profile(goals={"a": "0\n"}, sensors={"s": 'printf \'{"signal":"%s"}\' "$MY_TOKEN"'})
        self.runner('cat >/dev/null; echo $MY_TOKEN >&2; echo \'{"move":"noop"}\'')
        out = self.looop("tick", env={"MY_TOKEN": secret})
        self.write("sensors/s.sh", '#!/bin/sh\nprintf \'{"signal":"%s!"}\' "$MY_TOKEN"\n', 0o700)
        out += self.looop("tick", env={"MY_TOKEN": secret})
        self.assertEqual([name for name, body in self.tree().items() if secret.encode() in body], [])
        self.assertNotIn(secret, out)
        self.assertIn("[MY_TOKEN]!", out)
        secret = "geheim/w\u00f6rtlich-12345"
        spelled = json.dumps({"signal": {secret: 1}}).replace(
            "/", "\\/"
        )  # JSON has more than one way to write a letter
        self.write("sensors/s.sh", f"#!/bin/sh\nprintf '%s' '{spelled}'\n", 0o700)
        out = self.looop("tick", env={"MY_TOKEN": secret})
        self.assertEqual(
            [name for name, body in self.tree().items() if "rtlich-123" in body.decode("utf-8", "replace")],
            ["sensors/s.sh"],
        )
        self.assertIn("[MY_TOKEN]", out)

    def test_scratch_folders_can_be_removed(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{}'"})
        self.tick()
        for name in ("snapshots", "runs", "asks"):
            shutil.rmtree(self.path(name))
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.write("goals/a.md", "1\n")
        self.assertEqual(self.tick()["outcome"], "noop")

    def test_deadlines_of_a_month(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": "# looop:timeout=30d\nsleep 0.2; echo '{}'"})
        self.assertEqual(self.tick(env={"LOOOP_TICK_TIMEOUT": "60d"})["outcome"], "noop")
        self.assertEqual(self.json("snapshots", "sensor-s.json"), {})

    def test_a_forced_move_does_not_swallow_what_else_changed(self):
        self.profile(goals={"a": "0\n"}, sensors={"ci": f"cat {self.home}/ci"})
        self.write(os.path.join(self.home, "ci"), '{"signal":"green"}')
        self.tick()
        self.write(os.path.join(self.home, "ci"), '{"signal":"RED"}')
        self.replies({"move": "write_goal", "id": "b", "body": "x"})
        self.assertEqual(self.tick(words=("run", "a"))["outcome"], "acted")
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["reason"], "sensor ci: green → RED")
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_a_flood_on_stderr_is_stopped(self):
        kept, looop.OUTPUT_MAX = looop.OUTPUT_MAX, 100000
        self.addCleanup(setattr, looop, "OUTPUT_MAX", kept)
        path = os.path.join(self.home, "err")
        job = looop.Job(
            "x",
            [os.path.join(self.bin, "bash"), "-c", "exec yes >&2"],
            self.env,
            PATIENCE,
            stdout=path + ".out",
            stderr=path,
            cap=100000,
        )
        self.assertEqual(looop.run_job(job).why, "overflow")

    def test_a_state_of_odd_shapes_is_told(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        good = self.json("state.json")
        for key, value in (
            ("open", 5),
            ("failure", 3),
            ("last", "x"),
            ("shell", "x"),
            ("baseline", {"x": 1}),
            ("hash", []),
            ("noop_at", 1e400),
            ("failure", {"count": 1, "until": 1e400, "reason": "", "reply": "", "policy": ""}),
            ("read", [5]),
            ("during", {"run": "x"}),
        ):
            self.write("state.json", json.dumps({**good, key: value}))
            self.looop("tick", code=1)
            self.assertRegex(self.stderr, r"state\.json: not (what looop writes|JSON: .*): fix it, or move it away")

    def test_closed_streams(self):
        self.profile(goals={"a": "0\n"})
        bash = os.path.join(self.bin, "bash")
        for words, closed, code in (
            ("version", ">&-", 0),
            ("tick", ">&-", 0),
            ("status", ">&- 2>&-", 0),
            ("_fmt", "<&-", 0),
            ("nope", "2>&-", 2),
        ):
            command = [bash, "-c", f'"$@" {closed}', "bash", *self.command(words)]
            done = subprocess.run(command, env=self.env, cwd=self.home, capture_output=True, check=False)
            self.assertEqual(done.returncode, code, words + closed)
            self.assertNotIn(b"Traceback", done.stderr)
        self.assertEqual(len(self.journal()), 1)

    def test_a_pipe_where_a_file_should_be_holds_nobody_up(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{}'"})
        os.mkfifo(self.path("goals", "f.md"))
        os.mkfifo(self.path("sensors", "f.sh"), 0o700)
        self.tick()
        self.assertIn("[unreadable: Is a named pipe]", self.prompt())
        self.assertEqual(
            self.json("snapshots", "sensor-f.json")["signal"], {"error": "cannot start: not a regular file"}
        )

    def test_quiet_knows_which_noop_ttl_it_was_made_for(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        wait_until(lambda: self.tick()["outcome"] == "unchanged" and os.path.exists(self.path(".quiet")), ".quiet")
        self.assertEqual(self.tick(env={"LOOOP_NOOP_TTL": "1s"})["outcome"], "noop")

    def test_no_config_at_all_and_a_goal_by_its_file_name(self):
        self.profile(goals={"my goal": "0\n"})
        self.assertEqual(self.tick(env={"LOOOP_CONFIG": "/dev/null"})["outcome"], "noop")
        self.replies({"move": "shell", "command": "true", "reversible": True})
        self.assertEqual(self.tick(words=("run", "my goal"))["reason"], "forced: goal my%20goal")

    def test_empty_optional_fields_are_absent(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop", "journal": "", "why": None, "next_beat_s": None})
        self.assertEqual(self.tick()["outcome"], "noop")

    def test_halves_of_files_are_swept_after_a_crash(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        state = self.json("state.json")
        for name in ("goals/x.md.123.tmp", "state.json.123.tmp"):
            self.write(name, "half")
        self.write("state.json", json.dumps({**state, "open": "tick-20260102-030405-abcd"}))
        self.tick()
        self.assertEqual([name for name in self.tree() if name.endswith(".tmp")], [])


class WithGitOnce(GitCase):
    def test_what_the_person_staged_is_not_committed(self):
        self.git_out("init", "-q", cwd=self.home)
        self.config({"git": True})
        self.write(os.path.join(self.home, "secret.txt"), "mine")
        self.profile(goals={"a": "0\n"})
        self.git_out("add", "secret.txt", cwd=self.home)
        self.tick()
        self.assertEqual(
            self.git_out("ls-tree", "-r", "--name-only", "HEAD", cwd=self.home).split(),
            ["data/.gitignore", "data/PLAYBOOK.md", "data/goals/a.md", "data/journal.md"],
        )
        self.assertIn("A  secret.txt", self.git_out("status", "--porcelain", cwd=self.home))

    def test_a_broken_repository_of_ours_does_not_mean_the_one_around(self):
        self.git_out("init", "-q", cwd=self.home)
        self.profile(goals={"a": "0\n"})
        os.mkdir(self.path(".git"))
        self.tick()
        self.assertIn("git: ", self.stderr)
        self.assertEqual(self.git_out("rev-list", "--all", "--count", cwd=self.home).strip(), "0")

    def test_removed_files_are_committed_and_a_long_journal_is_not(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        os.unlink(self.path("goals/a.md"))
        self.write("journal.md", "x" * 100 + "\n" + "- old line\n" * 500000)
        self.tick()
        self.assertIn("journal.md is too long to be committed", self.stderr)
        self.assertEqual(self.git_out("status", "--porcelain"), " M journal.md\n")


if __name__ == "__main__":
    sys.exit(unittest.main())
