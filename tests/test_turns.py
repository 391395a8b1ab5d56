"""Whose turn it is in a worker: what its agent's hooks say, what its screen shows, and whom that reaches."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import looop
from tests.support import CAPTURED, wait_until
from tests.test_workers import Workers

EVENTS = os.path.join(CAPTURED, "agents")


def recorded(name):
    """Return the events that an agent sent, as they were recorded."""
    with open(os.path.join(EVENTS, name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def states(events):
    """Return (event, state, question) after each event."""
    said, found = {}, []
    for number, event in enumerate(events, 1):
        after = looop.agent_event(event)
        said = looop.after_event(said, after, float(number)) if after.kind else said
        found.append((event.get("hook_event_name") or event["type"], said.get("state"), said.get("question")))
    return found


class Events(unittest.TestCase):
    """What the real agents sent for: a task, a command that needs permission, Yes, the end of the turn; then No."""

    def check(self, name, asked, end):
        found = states(recorded(name))
        asking = [question for _, state, question in found if state == "asking"]
        self.assertEqual(asking[0], asked)
        first = next(i for i, (_, state, _) in enumerate(found) if state == "asking")
        self.assertEqual(found[first - 1][1], "working")
        self.assertIn("working", [state for _, state, _ in found[first:]])
        self.assertIn(("prompt", ""), [(state, question) for _, state, question in found[first:]])
        self.assertEqual(found[-1][1], end)

    def test_claude(self):
        for version in ("2.1.332", "2.1.197"):
            self.check(f"claude-{version}-hooks.ndjson", "Bash: touch one; curl -s http://127.0.0.1:9/", "ended")

    def test_codex(self):
        self.check("codex-0.171.0-hooks.ndjson", "Bash: touch ../one", "ended")

    def test_opencode(self):
        self.check("opencode-1.18.33-events.ndjson", "bash: touch one; curl -s http://127.0.0.1:9/", "prompt")

    def test_an_answer_to_one_question_leaves_the_others_open(self):
        ask = {"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "one"}}
        other = {**ask, "tool_name": "Edit", "tool_input": {"file_path": "/a", "old_string": "b"}}
        done = {"hook_event_name": "PostToolUse", "tool_name": "Read", "tool_input": {"file_path": "/b"}}
        notice = {
            "hook_event_name": "Notification",
            "notification_type": "permission_prompt",
            "message": "Claude needs",
        }
        found = states([ask, other, done, notice, {**ask, "hook_event_name": "PostToolUse"}])
        self.assertEqual([state for _, state, _ in found], ["asking"] * 5)
        self.assertEqual([question for _, _, question in found], ["Bash: one"] * 4 + ["Edit: /a"])

    def test_a_question_of_the_agent_is_told_in_its_words(self):
        given = {"questions": [{"question": "Which database?", "options": []}]}
        event = {"hook_event_name": "PermissionRequest", "tool_name": "AskUserQuestion", "tool_input": given}
        self.assertEqual(looop.agent_event(event).question, "Which database?")
        answered = {**event, "hook_event_name": "PostToolUse", "tool_input": {**given, "answers": {"a": "b"}}}
        self.assertEqual([state for _, state, _ in states([event, answered])], ["asking", "working"])

    def test_events_of_any_shape_say_nothing(self):
        for event in ({}, {"type": []}, {"hook_event_name": "Stop2"}, {"hook_event_name": "Notification"}):
            self.assertEqual(looop.agent_event(event).kind, "", event)
        for event in recorded("claude-2.1.332-hooks.ndjson"):
            for name in event:
                looop.after_event({"open": [1], "rest": 3}, looop.agent_event({**event, name: [{}]}), 1.0)

    def test_codex_trusts_the_hooks_by_their_digests(self):
        # as codex 0.171.0 wrote it into its config.toml when a person trusted the hook `true` of Stop
        known = "2ba34c7a02841fada06b868a093d041fd3d9de81883c789a321916b0aa118851"
        self.assertEqual(looop.codex_digest("stop", "true", 600), known)
        text = looop.hook_file("codex", "/a b/\U0001f600/looop")
        self.assertIn("\U0001f600", text)  # TOML has no halves of characters
        self.assertEqual(text.count("trusted_hash"), len(looop._CODEX_EVENTS))
        self.assertNotIn("\n", text)

    def test_no_hook_can_print_or_fail(self):
        command = json.loads(looop.hook_file("claude", "/not there/looop"))["hooks"]["Stop"][0]["hooks"][0]["command"]
        ended = subprocess.run(["sh", "-c", command], input=b"{}", capture_output=True, check=False)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, b"", b""))


class Screens(unittest.TestCase):
    def test_what_blinks_spins_or_counts_is_no_new_text(self):
        before = looop.text_marks(["● Bash(make test)", "✻ Crunching… (59s · ↑ 1.2k tokens · esc to interrupt)"])
        after = looop.text_marks(["  Bash(make test)", "✽ Crunching… (1m 2s · ↑ 13.4k tokens · esc to interrupt)"])
        self.assertEqual(after - before, set())
        self.assertTrue(looop.text_marks(["FAILED tests"]) - before)

    def test_dialogs_are_known_by_the_line_that_ends_them(self):
        for name, asked in (
            ("claude-2.1.332-permission", "Do you want to proceed?"),
            ("claude-2.1.332-auto-mode", "auto mode set aside"),
            ("codex-0.171.0-permission", "Would you like to run the following command?"),
            ("codex-0.171.0-hooks", "Hooks need review"),
            ("opencode-1.18.33-permission", "Permission required"),
            ("claude-2.1.332-trust", "execute files here"),
            ("gemini-0.61.0-permission", "Allow execution of [Shell]?"),
            ("gemini-0.61.0-trust", "These configurations could execute code"),
            ("claude-2.1.332-prompt", ""),
            ("codex-0.171.0-prompt", ""),
            ("gemini-0.61.0-prompt", ""),
            ("opencode-1.18.33-prompt", ""),
        ):
            with open(os.path.join(EVENTS, name + ".screen"), encoding="utf-8") as file:
                found = looop.screen_dialog(name.partition("-")[0], file.read().split("\n"))
            self.assertIn(asked, found, name)
            self.assertEqual(bool(asked), bool(found), found)


class AgentStates(unittest.TestCase):
    def test_what_is_no_rest_says_nothing(self):
        said = {"generation": 1.0, "state": "prompt", "at": 2}
        for rest in (None, [], ["asking"], ["asking", 1, 2.0], ["asking", "?", 1e300], ["asking", "?", "2"], "asking"):
            state = looop.agent_state({**said, "rest": rest}, 1.0)
            self.assertEqual((state.state, state.at, state.rest), ("prompt", 2, ("", "", 0.0)), rest)
        self.assertEqual(looop.agent_state({**said, "rest": ["asking", "?", 3]}, 1.0).rest, ("asking", "?", 3))
        self.assertEqual(looop.agent_state(said, 2.0), looop.AgentState())


class Lookouts(unittest.TestCase):
    """The look at a screen within a supervisor, which works in its session's folder."""

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="looop-test-")
        self.addCleanup(shutil.rmtree, folder)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        self.write("meta.json", started=1.0, started_at="2026-01-01T00:00:00Z", kind="worker")
        self.write("output.log")
        env = {"LOOOP_BIN": "/not/there"}
        self.lookout = looop.Lookout(
            looop.Session("w", generation=1.0, kind="worker", agent="claude", folder=folder, env=env)
        )
        self.lookout.status = {"state": "running"}
        self.now = time.time()

    def write(self, name, **fields):
        with open(name, "w") as file:
            json.dump(fields, file)

    def rest(self):
        return looop.rest_of(self.lookout._as_session(), self.now)

    def test_a_rest_that_could_be_told_stays_known_when_work_goes_on(self):
        for silent, told in ((looop.REST_AFTER - 60, ""), (looop.REST_AFTER + 1, "idle")):
            self.lookout._text_came()
            os.utime("text", (self.now - silent, self.now - silent))
            before = self.rest()
            self.assertEqual(before[0], told)
            self.lookout._text_came()
            self.assertEqual(self.rest(), before)
        os.utime("text", (self.now - looop.STUCK_AFTER,) * 2)
        self.assertEqual(self.rest()[0], "idle")

    def test_hooks_that_have_spoken_are_given_time_to_tell_of_a_dialog(self):
        seen = lambda: self.lookout._as_session().seen  # noqa: E731
        self.lookout._judge_dialog("● Shall I?")
        self.assertEqual((seen().state, seen().question), ("asking", "● Shall I?"))
        since = seen().at
        self.lookout._judge_dialog("  Shall I?")  # it blinks
        self.assertEqual(seen().at, since)
        self.lookout._judge_dialog("")
        self.assertEqual(seen().state, "")
        self.write("agent.json", generation=1.0, state="working", at=self.now)
        self.lookout._judge_dialog("And now?")
        self.assertEqual(seen().state, "")
        self.lookout._judge_dialog("And now?")
        self.assertEqual(seen().state, "asking")
        self.assertEqual(looop.turn_of(self.lookout._as_session(), time.time()).by, "screen")
        later = time.time() + 1
        self.write("agent.json", generation=1.0, state="asking", question="Bash: make", at=later, open=[])
        turn = looop.turn_of(self.lookout._as_session(), later)
        self.assertEqual((turn.state, turn.by, turn.question), ("asking", "hook", "Bash: make"))

    def test_an_interrupted_turn_does_not_work_for_ever(self):
        self.write("agent.json", generation=1.0, state="working", at=self.now)
        self.lookout._text_came()
        session = self.lookout._as_session()
        self.assertEqual(looop.turn_of(session, self.now).state, "working")
        self.assertEqual(looop.turn_of(session, self.now + looop.STILL_AFTER + 1).state, "idle")
        self.assertEqual(looop.turn_of(session, self.now + looop.STUCK_AFTER + 1).state, "stuck")
        os.utime("output.log", (self.now + looop.STILL_AFTER,) * 2)  # its spinner
        session = self.lookout._as_session()
        self.assertEqual(looop.turn_of(session, self.now + looop.STILL_AFTER + 1).by, "hook")


class Turns(Workers):
    """A worker whose program stands for an agent; its hooks are called as the agent calls them."""

    long = True
    SLEEP = "echo at work; exec sleep 100 # {{prompt_file}}"

    def agent(self, command=SLEEP, agent="claude", **more):
        told = os.path.join(self.home, "told")
        self.runner(f"cat >/dev/null; echo '{json.dumps({'move': 'noop'})}'", notify=f"cat >> {told}", **more)
        path = os.path.join(self.home, ".config", "looop.json")
        with open(path) as file:
            config = json.load(file)
        config["runners"]["fake"].update(interactive=command, agent=agent)
        self.config(config)
        self.looop("start-session", "w", "do it")
        return looop.read_session(self.opened, "w")

    def row(self):
        row = self.ls()["w"]
        return row["health"], row["by"], row["question"]

    def event(self, event, **env):
        """Have the worker's agent call looop as its hook."""
        session = looop.read_session(self.opened, "w")
        started = repr(session.generation) if session else "1.0"
        env = {"LOOOP_SESSION_ID": "w", "LOOOP_SESSION_STARTED": started, **env}
        out = self.looop("_hook", "claude", stdin=json.dumps(event).encode(), env=env)
        self.assertEqual((out, self.stderr), ("", ""))

    def test_a_question_reaches_the_person_at_once_and_is_lowered_by_the_next_event(self):
        session = self.agent()
        self.assertEqual(self.row()[1:], ("screen", None))
        events = recorded("claude-2.1.332-hooks.ndjson")
        names = [event["hook_event_name"] for event in events]
        for event in events[: names.index("PermissionRequest") + 1]:
            self.event(event)
        asked = "Bash: touch one; curl -s http://127.0.0.1:9/"
        self.assertEqual(self.row(), ("asking", "hook", asked))
        wait_until(lambda: f"w asks for permission: {asked}: `looop attach w`" in self.notified(), "the notice")
        self.assertIn(asked, self.looop("ls"))
        self.assertIn(asked, self.looop("status"))
        self.assertIn("it asks", looop.shows_dialog(self.opened, session.renewed(), time.time()))
        self.looop("flag", "w", "own flag")
        self.event(events[names.index("PostToolUseFailure")])
        self.assertEqual(self.row(), ("flagged", "hook", None))
        self.looop("unflag", "w")
        self.assertEqual(self.row(), ("busy", "hook", None))
        self.event(events[names.index("Stop")])
        self.assertEqual(self.row(), ("idle", "hook", None))
        self.assertEqual(session.renewed().hooks.transcript, events[0]["transcript_path"])
        self.event({"hook_event_name": "SessionEnd"})
        self.assertEqual(looop.left_prompt(session.renewed(), time.time()), "its agent has ended")
        self.assertEqual(self.notified().count("asks for permission"), 1)

    def test_a_question_that_is_over_before_it_could_be_told_is_not(self):
        self.agent()
        with looop.Lock(self.path(".surfaced.lock")) as telling:
            telling.acquire(None, "")
            for command in ("one", "two"):
                self.event({"hook_event_name": "UserPromptSubmit"})
                given = {"tool_name": "Bash", "tool_input": {"command": command}}
                self.event({"hook_event_name": "PermissionRequest", **given})
        wait_until(lambda: "permission: Bash: two" in self.notified(), "the notice")
        self.tick()  # waits until nobody else is telling
        self.assertNotIn("Bash: one", self.notified())

    def test_a_pipe_in_the_place_of_a_file_holds_no_session_up(self):
        session = self.agent("read a; for i in a b c; do echo new text $i; sleep 0.1; done; exec cat # {{prompt_file}}")
        for name in ("text", "agent.json", "seen.json", "spend.json"):
            path = os.path.join(session.folder, name)
            if os.path.exists(path):
                os.unlink(path)
            os.mkfifo(path)
        self.looop("key", "w", "Enter")
        wait_until(lambda: "new text c" in self.looop("shot", "w"), "its screen")
        time.sleep(looop.SIGHT_EVERY + 0.2)  # a look at it is due by then
        self.event({"hook_event_name": "Stop"})
        self.looop("resize", "w", "100x30")

    def test_the_decider_is_woken_once_for_each_time_that_a_worker_stops(self):
        self.agent()
        self.assertEqual(self.tick()["outcome"], "noop")  # it was started
        stop = {"hook_event_name": "Stop"}
        go_on = {"hook_event_name": "UserPromptSubmit"}
        ask = {"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "make"}}
        for event, outcome in (
            (go_on, "unchanged"),
            (ask, "noop"),
            ({**ask, "hook_event_name": "PostToolUse"}, "unchanged"),
            (stop, "noop"),
            (stop, "unchanged"),
            (go_on, "unchanged"),
        ):
            self.event(event)
            self.assertEqual(self.tick()["outcome"], outcome, event)
            if event is ask:
                self.assertIn("the question of w", self.looop("why"))
                self.assertIn("worker w asks for permission: Bash: make", self.looop("why"))

    def test_an_idle_one_costs_one_decision_also_where_only_time_has_passed(self):
        session = self.agent(agent="pi")
        text = f"{session.folder}/text"
        wait_until(lambda: os.path.exists(text), "the first look")
        self.assertEqual(self.tick()["outcome"], "noop")
        before = time.time()
        self.assertEqual(self.tick()["outcome"], "unchanged")

        def later(seconds):
            """Make the screen's last text older."""
            for path in (text, f"{session.folder}/output.log"):
                os.utime(path, (before - seconds, before - seconds))
            return looop.worker_value(session.renewed())

        self.assertNotIn("rest", later(looop.REST_AFTER - 30))
        idle = later(looop.REST_AFTER + 1)
        self.assertEqual(idle["rest"]["state"], "idle")
        self.assertEqual(self.row(), ("idle", "screen", None))
        os.path.exists(self.path(".quiet")) and os.unlink(self.path(".quiet"))
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertIn("w has shown nothing new for 2 m", self.notified())
        self.assertEqual(later(looop.STUCK_AFTER + 1)["rest"]["state"], "idle")
        self.assertEqual(self.row(), ("stuck", "screen", None))

    def test_a_quiet_world_is_read_again_when_a_worker_may_have_become_idle(self):
        session = self.agent(agent="pi")
        wait_until(lambda: os.path.exists(f"{session.folder}/text"), "the first look")
        self.tick()

        def quiet():
            self.tick()
            return os.path.exists(self.path(".quiet"))

        wait_until(quiet, "a world that is known to be quiet")
        now = time.time()
        last = looop.read_quiet(self.opened)
        self.assertTrue(looop.quiet_since(self.opened, last, {}, now))
        self.assertIsNone(looop.quiet_since(self.opened, last, {}, now + looop.REST_AFTER))

    def test_an_agent_that_outlives_its_session_does_not_speak_for_the_next(self):
        self.agent()
        self.event({"hook_event_name": "Stop"}, LOOOP_SESSION_STARTED="1.0")
        self.assertEqual(self.row()[1], "screen")
        self.event({"hook_event_name": "Stop"})
        self.assertEqual(self.row()[1], "hook")
        self.looop("restart", "w")
        self.assertEqual(self.row()[1], "screen")

    def test_a_hook_returns_0_whatever_it_is_given(self):
        self.agent()
        for raw in (b"", b"{", b"[]", b"\xff", b'{"hook_event_name":"Stop","tool_input":' + b"[" * 2000):
            env = {"LOOOP_SESSION_ID": "w", "LOOOP_SESSION_STARTED": "1.0"}
            self.assertEqual(self.looop("_hook", "claude", stdin=raw, env=env) + self.stderr, "")
        for env in ({"LOOOP_SESSION_ID": "../w"}, {"LOOOP_SESSION_ID": "gone"}, {"LOOOP_DATA_DIR": "/not/there"}):
            self.event({"hook_event_name": "Stop"}, **env)
        self.assertFalse(os.path.exists(self.path("sessions", "w", "agent.json")))

    def test_a_dialog_that_only_the_screen_shows_reaches_the_person(self):
        with open(os.path.join(EVENTS, "claude-2.1.332-permission.screen"), encoding="utf-8") as file:
            self.write("dialog", file.read())
        gone = "printf '\\033[2J\\033[H'; echo went on"
        self.agent(f"cat {self.data}/dialog; read _; {gone}; exec sleep 100 # {{{{prompt_file}}}}")
        wait_until(lambda: self.row()[0] == "asking", "the dialog")
        self.assertEqual(self.row()[1], "screen")
        self.assertIn("Do you want to proceed?", self.row()[2])
        wait_until(lambda: "Do you want to proceed?" in self.notified(), "the notice")
        ask = {"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "make"}}
        self.event(ask)
        self.assertEqual(self.row(), ("asking", "hook", "Bash: make"))
        self.looop("key", "w", "Enter")  # as a person would: the agent sends nothing when it is told No
        wait_until(lambda: self.row()[0] == "busy", "the end of the dialog")

    def test_what_blinks_leaves_a_worker_idle(self):
        blink = "while :; do printf '\\r● %s s ' $i; i=$((i+1)); sleep 0.2; printf '\\r  '; sleep 0.2; done"
        session = self.agent(f"echo hello; i=0; {blink} # {{{{prompt_file}}}}")

        def blinked():
            now = session.renewed()
            return now.last_output - now.last_text > 1.5

        wait_until(blinked, "output without new text")
        row = self.ls()["w"]
        self.assertGreater(looop.parse_utc(row["last_output"]), looop.parse_utc(row["last_text"]))

    def test_the_command_line_of_an_agent_hands_it_its_hooks(self):
        session = self.agent("echo {{hooks}} > $LOOOP_DATA_DIR/words; exec sleep 100 # {{prompt_file}}")
        path = self.path("sessions", ".hooks", "claude.json")
        wait_until(lambda: os.path.exists(self.path("words")) and self.read("words"), "its words")
        self.assertEqual(self.read("words"), f"--settings {path}\n")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertIn("Stop", self.json("sessions", ".hooks", "claude.json")["hooks"])
        self.assertEqual(session.agent, "claude")
        self.assertEqual(looop.hook_words("", path), "")
        plugin = looop.hook_words("opencode", "/a b'c/é.mjs")
        self.assertEqual(
            subprocess.run(
                ["sh", "-c", f"{plugin} env | grep OPENCODE"], capture_output=True, check=False, env={"PATH": self.bin}
            ).stdout,
            b'OPENCODE_CONFIG_CONTENT={"permission":{"external_directory":{"{env:LOOOP_DATA_DIR}/prompts/*":"allow",'
            b'"{env:LOOOP_REPORTS_DIR}/*":"allow"}},"plugin":["file:///a%20b%27c/%C3%A9.mjs"]}\n',
        )

    def test_an_agent_that_does_not_know_the_option_is_told_of(self):
        self.agent("echo \"error: unknown option '--settings'\"; exit 1 # {{prompt_file}}")
        wait_until(
            lambda: "w ended at once (exit 1: error: unknown option '--settings')" in self.notified(), "the notice"
        )

    def transcript(self, name, *lines):
        path = os.path.join(self.home, name)
        with open(path, "a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def spent(self):
        return [row["cost_usd"] for row in self.ledger() if row["kind"] == "session"]

    def test_what_a_worker_spends_counts_while_it_works_and_once(self):
        session = self.agent(agent="pi", budget={"worker_usd": 0.01})

        def message(usd):
            return {"type": "message", "message": {"role": "assistant", "usage": {"cost": {"total": usd}}}}

        path = self.transcript("pi.jsonl", message(0.00375), message(0.0025))
        self.event({"hook_event_name": "Stop", "transcript_path": path})
        wait_until(lambda: self.ls()["w"]["cost_usd"] == 0.00625, "its first row, and then what it comes to")
        self.assertEqual(self.spent(), [0.00625])
        self.looop("_cost", "session", "w", "pi", "0.5")
        self.assertIn("not added", self.stderr)
        self.assertNotIn("has spent", self.notified())
        self.transcript("pi.jsonl", message(0.0125))
        self.event({"hook_event_name": "UserPromptSubmit"})
        self.event({"hook_event_name": "Stop"})
        wait_until(lambda: self.ls()["w"]["cost_usd"] == 0.01875, "its second row, and then what it comes to")
        self.assertEqual(self.spent(), [0.00625, 0.0125])
        wait_until(lambda: "w has spent more than $0.01 (budget.worker_usd)" in self.notified(), "the notice")
        self.looop("restart", "w")
        self.event({"hook_event_name": "SessionStart", "source": "resume", "transcript_path": path})
        self.looop("kill", "w")
        self.event({"hook_event_name": "Stop"})
        self.assertEqual(self.spent(), [0.00625, 0.0125])
        self.assertEqual(self.notified().count("has spent"), 1)
        self.assertEqual(looop.read_session(self.opened, "w").cost_usd, 0.01875)
        self.assertEqual(session.kind, "worker")


class Transcripts(unittest.TestCase):
    def test_what_they_say(self):
        for agent, model in (("claude", "claude-opus-5-5"), ("codex", "gpt-5.1-codex")):
            with open(os.path.join(EVENTS, f"{agent}-transcript.ndjson"), "rb") as file:
                lines = looop.transcript_lines([*file, b'{"usage": half'])
            found = looop.transcript_spend(agent, lines)
            counts = {"claude": (3000, 150), "codex": (3000, 150)}[agent]
            self.assertEqual(
                [(part.model, part.usage["input"], part.usage["output"]) for part in found], [(model, *counts)]
            )
            prices = {model: {"input": 1.0, "output": 10.0}}
            self.assertEqual(looop.priced(found[0], prices).cost, 0.0045)
        self.assertEqual(looop.transcript_spend("pi", []), [])

    def test_a_long_one_takes_time_by_its_length_and_a_path_that_is_no_file_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "t.jsonl")
            with open(path, "w") as file:
                for number in range(5000):
                    message = {"id": str(number), "model": "m" * 9000 * (not number), "usage": {"output_tokens": 1}}
                    file.write(json.dumps({"type": "assistant", "message": message}) + "\n")
            begun = time.process_time()
            found = looop.read_transcript("claude", path)
            self.assertLess(time.process_time() - begun, 3.0)
            self.assertEqual([(len(part.model), part.usage["output"]) for part in found], [(100, 1), (0, 4999)])
            os.mkfifo(os.path.join(folder, "pipe"))
            os.truncate(path, looop.TRANSCRIPT_MAX + 1)
            for odd in (path, os.path.join(folder, "pipe"), folder, "/dev/zero", "", "x" * 5000):
                self.assertEqual(looop.read_transcript("claude", odd), [], odd)


if __name__ == "__main__":
    unittest.main()
