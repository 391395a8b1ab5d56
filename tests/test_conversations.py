"""Conversations: what an agent knew before its worker was started again, and the lines that start it."""

import json
import os
import re
import signal
import sys
import unittest

import looop
from tests.support import needs_linux, wait_until
from tests.test_fleet import Fleet

KEEPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fakes", "keeper.py")
AGENTS = ("claude", "pi", "codex", "opencode", "gemini")


class Conversations(Fleet):
    """Workers of the ready-made runners, whose programs are fakes that keep conversations as the real ones do."""

    def setUp(self):
        super().setUp()
        self.profile()
        folder = os.path.join(self.home, ".local", "bin")
        os.makedirs(folder)
        for name in AGENTS:
            path = os.path.join(folder, name)
            with open(path, "w") as file:
                file.write(f'#!/bin/sh\nexec {sys.executable} -SI {KEEPER} {name} "$@"\n')
            os.chmod(path, 0o755)

    def meta(self, name="w"):
        return self.json("sessions", name, "meta.json")

    def crash(self, name="w"):
        """End a supervisor as the kernel would."""
        os.kill(self.meta(name)["pid"], signal.SIGKILL)
        wait_until(lambda: not self.ls()[name]["alive"], "the end of the session")

    def knows(self, name, text):
        self.looop("expect", name, "--screen", "--timeout", "120s", rf"knows {text + ' ' * bool(text)}\|")

    def reboot(self, *names):
        """Make it look as if the machine had been restarted since these sessions began."""
        for name in names:
            self.crash(name)
            self.write(f"sessions/{name}/meta.json", json.dumps({**self.meta(name), "boot": "an earlier one"}))


class Restart(Conversations):
    long = True

    def test_it_goes_on_with_the_conversation_of_each_agent(self):
        for agent in AGENTS:
            with self.subTest(agent):
                self.looop("start-session", agent, "apple", agent)
                self.knows(agent, "brief apple")
                self.looop("send", agent, "--raw", "pear\r")
                self.knows(agent, "brief apple pear")
                self.crash(agent)
                out = self.looop("restart", agent)
                self.assertEqual(out, f"{agent} goes on with its conversation\n")
                self.knows(agent, "brief apple pear")
                self.assertEqual(self.meta(agent)["line"], "resume")

    def test_while_it_runs_and_anew(self):
        self.looop("start-session", "w", "apple", "claude")
        self.knows("w", "brief apple")
        first = self.meta()["conversation"]
        self.assertEqual(self.looop("restart", "w"), "w goes on with its conversation\n")
        self.knows("w", "brief apple")
        self.looop("send", "w", "--raw", "pear\r")
        self.knows("w", "brief apple pear")
        self.assertEqual(self.meta()["conversation"], first)
        self.assertEqual(self.looop("restart", "w", "--fresh"), "w begins anew\n")
        self.knows("w", "brief apple")
        second = self.meta()["conversation"]
        self.assertRegex(second, r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertNotEqual(second, first)
        self.looop("kill", "w")  # its conversation goes on after its end, too
        self.assertEqual(self.looop("restart", "w"), "w goes on with its conversation\n")
        self.knows("w", "brief apple")
        self.assertEqual(self.meta()["conversation"], second)
        self.looop("kill", "w")
        self.looop("start-session", "w", "plum", "claude")  # another worker of that id: nothing of it
        self.knows("w", "brief plum")
        self.assertNotIn(self.meta()["conversation"], (first, second))

    def test_where_there_is_no_conversation_it_begins_anew(self):
        for agent in ("claude", "codex", "opencode"):
            with self.subTest(agent):
                self.looop("start-session", agent, "apple", agent, env={"ASKS_FOR_TRUST": "1"})
                self.knows(agent, "")
                self.crash(agent)
                self.assertEqual(self.looop("restart", agent), f"{agent} begins anew\n")
                self.knows(agent, "brief apple")

    def test_what_its_agent_told_comes_first(self):
        """After /clear an agent is in another conversation than looop chose."""
        self.looop("start-session", "w", "apple", "claude")
        self.knows("w", "brief apple")
        self.looop("start-session", "other", "plum", "claude", "--cwd", self.path("work", "w"))
        self.knows("other", "brief plum")
        told = {"generation": self.meta()["started"], "conversation": self.meta("other")["conversation"]}
        self.write("sessions/w/agent.json", json.dumps(told))
        self.looop("restart", "w")
        self.knows("w", "brief plum")
        self.assertFalse(os.path.exists(self.path("sessions", "w", "agent.json")))
        self.write("sessions/w/agent.json", json.dumps({**told, "conversation": "-x; touch /tmp/x"}))
        self.looop("restart", "w")
        self.knows("w", "brief plum")

    def test_lines_of_the_persons_own(self):
        """They run as they are written: the ready-made `resume` would go on with other options."""
        own = {
            "claude": {"interactive": 'claude "Follow the brief in "{{prompt_file}}'},
            "mine": {"interactive": "claude --session-id {{session_id}} -- @{{prompt_file}}", "mode": "typed"},
            "both": {"interactive": "codex -- @{{prompt_file}}", "resume": "codex resume -- {{session_id}} yes"},
            "last": {"interactive": "pi @{{prompt_file}}", "resume": "echo goes on here; cat"},
        }
        self.config({"default": "claude", "runners": own})
        self.looop("config", "check")
        self.assertIn("runners.last.resume: lacks {{session_id}}: `looop restart` cannot name", self.stderr)
        for name, how in {"claude": "begins anew", "mine": "begins anew", "both": "goes on with its conv.*"}.items():
            self.looop("start-session", name, "apple", name)
            self.knows(name, "brief apple")
            self.assertRegex(self.looop("restart", name), f"^{name} {how}\n$")
            self.knows(name, "brief apple")
        self.looop("start-session", "last", "apple", "last")
        self.looop("restart", "last")
        self.looop("expect", "last", "goes on here")
        self.looop("start-session", "box", "--command", "cat")
        self.assertEqual(self.looop("restart", "box"), "box runs again\n")
        self.looop("restart", "box", "--fresh")

    def test_it_takes_the_desktop_of_its_caller(self):
        names = ("SSH_AUTH_SOCK", "DISPLAY", "WAYLAND_DISPLAY")
        show = "echo $SSH_AUTH_SOCK.$DISPLAY.$WAYLAND_DISPLAY.; cat"
        self.looop("start-session", "a", "--command", show, env=dict.fromkeys(names, "old"))
        self.looop("expect", "a", r"old\.old\.old\.")
        self.looop("restart", "a", env={"SSH_AUTH_SOCK": "new", "DISPLAY": ":7", "PATH_OF": "x"})
        self.looop("expect", "a", r"new\.:7\.old\.")
        self.looop("restart", "a", env={"SSH_AUTH_SOCK": "evil", "LOOOP_CHILD": "1"}, code=None)
        self.assertNotIn("evil", self.looop("log", "a"))
        self.looop("kill", "a")
        self.looop("restart", "a", env=dict.fromkeys(names, "last"))
        self.looop("expect", "a", r"last\.last\.last\.")


class Lines(Conversations):
    def test_paths_with_blanks_and_quotes(self):
        """Each word arrives as it is."""
        self.data = self.env["LOOOP_DATA_DIR"] = os.path.join(self.home, "da ta's $x")
        self.profile()
        for agent in AGENTS:
            with self.subTest(agent):
                self.looop("start-session", agent, "apple", agent, env={"SAYS_ARGS": "1"})
                self.knows(agent, "brief apple")
                log = re.sub(r"\r?\n", "", self.looop("log", agent))
                args, _ = json.JSONDecoder().raw_decode(log.split("args ", 1)[1])
                self.assertTrue(any(arg.endswith(self.path("prompts", f"{agent}.md")) for arg in args), args)
                if agent == "claude":
                    allowed = args[args.index("--allowedTools") + 1 :][:2]
                    self.assertEqual(allowed, [f"Bash({self.launcher}:*)", f"Read(/{self.path('prompts')}/claude.md)"])
                    self.assertEqual(args[args.index("--add-dir") + 1], self.path("reports"))

    def test_looop_is_named_as_a_worker_types_it(self):
        """What allows a command compares it letter by letter, quotes included."""
        for path, typed in (("/usr/bin/looop", "/usr/bin/looop"), ("/a b/looop", "'/a b/looop'")):

            class Elsewhere(looop.Profile):
                def executable(self, path=path):
                    return path

            profile = Elsewhere(self.env, self.data, "/none", "/none", path)
            start = looop.Session("w", prompt="do it")
            self.assertIn(f"`{typed} ask ", looop.brief_of(profile, start).decode())
            line = looop.filled_line(profile, start, 'printf "%s\\n" "Bash("{{bin}}":*)"')
            self.looop("start-session", "w", "--command", line)
            self.looop("wait", "w")
            self.assertEqual(self.looop("log", "w"), f"Bash({typed}:*)\n")

    def test_a_file_in_its_folder_allows_an_agent_what_every_worker_does(self):
        self.looop("start-session", "w", "apple", "codex")
        rule = self.read("work", "w", ".codex", "rules", "looop.rules")
        self.assertEqual(rule, f'prefix_rule(pattern=["{self.launcher}"], decision="allow")\n')
        self.knows("w", "brief apple")
        self.looop("kill", "w")
        self.looop("prune")
        self.assertFalse(os.path.exists(self.path("work", "w")))
        self.looop("start-session", "w", "apple", "gemini")
        trusted = self.json("work", "w", ".gemini", "trustedFolders.json")
        self.assertEqual(trusted, dict.fromkeys((self.path("prompts"), self.path("reports")), "TRUST_FOLDER"))
        policy = self.read("work", "w", ".gemini", "looop.toml")  # gemini asks about every other command
        self.assertIn(f'commandPrefix = "{self.launcher}"\ndecision = "allow"\n', policy)
        self.looop("kill", "w")
        self.looop("start-session", "w", "apple", "codex", "--cwd", self.home)  # a folder of the person's is left alone
        self.assertFalse(os.path.exists(os.path.join(self.home, ".codex", "rules")))

    def test_a_program_is_looked_for_behind_variables(self):
        os.unlink(os.path.join(self.home, ".local", "bin", "claude"))
        self.looop("start-session", "w", "apple", "claude", code=127)
        self.assertIn("claude: command not found: nothing was started", self.stderr)
        os.unlink(os.path.join(self.home, ".local", "bin", "opencode"))
        opened = looop.open_profile(self.env, looop.__file__)
        self.assertEqual(looop.agents(opened)["names"], ["pi", "codex", "gemini"])


@needs_linux
class Reboot(Conversations):
    def test_it_is_offered_and_a_move_does_it(self):
        self.looop("start-session", "w", "apple", "claude")
        self.knows("w", "brief apple")
        self.replies({"move": "noop"})
        self.tick()
        self.reboot("w")
        offer = "w ended when the machine was restarted: `looop restart w` goes on with it"
        self.assertIn(offer, self.looop("status"))
        self.tick()
        self.assertIn(offer, self.stderr)
        self.assertFalse(self.ls()["w"]["alive"])
        self.beat({"move": "restart_worker", "id": "w"})
        self.assertIn("restarted worker w, which goes on with its conversation", self.journal()[-1])
        self.knows("w", "brief apple")
        self.assertNotIn(offer, self.looop("status"))
        self.looop("kill", "w")
        self.assertEqual(self.beat({"move": "restart_worker", "id": "w"})["outcome"], "failed")  # it was meant to end

    def test_auto_starts_them_within_the_limits_once(self):
        self.replies({"move": "noop"}, resume="auto", budget={"max_workers": 2})
        for name in "abc":
            self.looop("start-session", name, name, "claude")
            self.knows(name, f"brief {name}")
        self.reboot(*"abc")
        self.looop("pause")
        self.tick()
        self.assertEqual([row["alive"] for row in self.ls().values()], [False] * 3)
        self.looop("resume")
        self.tick()
        self.assertEqual({name: row["alive"] for name, row in self.ls().items()}, {"a": True, "b": True, "c": False})
        self.knows("a", "brief a")
        self.looop("kill", "a")
        self.tick()
        self.assertFalse(self.ls()["c"]["alive"])
        self.assertEqual([event["session"] for event in self.events("worker_resumed")], ["a", "b"])


class Skill(Conversations):
    def test_a_page_for_agents(self):
        text = self.looop("help", "--skill")
        head, body = text.split("---\n", 2)[1:]
        self.assertRegex(head, r"\Aname: looop\ndescription: [^:]+\Z")
        self.assertLess(len(body.splitlines()), 40)
        self.assertNotIn("{{", body)
        for verb in re.findall(r"\{\{bin\}\} (\w+)", looop.WORKER_RULES):
            self.assertIn(f"{self.launcher} {verb}", body)


if __name__ == "__main__":
    unittest.main()
