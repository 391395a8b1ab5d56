"""Typing into sessions: a text is typed, looked for on the screen, and only then submitted. Against fake agents."""

import json
import os
import time
import unittest
from unittest import mock

import looop
from tests.support import CAPTURED, HEAVY, PATIENCE, wait_until
from tests.test_sessions import Sessions

NAMES = list(looop.AGENTS)
LONG = "\n".join(f"line {number} of a long text, with ünïcödé" for number in range(200))


def shown(data, cols=120, rows=40):
    """Return how a screen looks that was given some output."""
    screen = looop.Screen(cols, rows)
    screen.feed(data)
    return looop.look_of(looop.text_of_screen(screen))


def captured(name):
    with open(os.path.join(CAPTURED, "agents", f"{name}.ansi"), "rb") as file:
        return shown(file.read())


class Looking(unittest.TestCase):
    """What screens show of what was typed."""

    def test_prompts_and_dialogs_of_the_real_agents(self):
        for name in NAMES:
            self.assertTrue(looop.at_prompt(captured(f"{name}-prompt"), looop.AGENTS[name]), name)
            self.assertTrue(looop.at_prompt(captured(f"{name}-prompt"), looop.Agent()))
        for name in ("claude", "codex", "opencode", "gemini"):
            self.assertFalse(looop.at_prompt(captured(f"{name}-dialog"), looop.AGENTS[name]), name)

    def test_what_was_typed_stands_before_the_cursor(self):
        agent, text = looop.AGENTS["pi"], "hello wörld 日本語 👍 and more of it, which is wrapped"
        rule = "x\r\n──────\r\n".encode()
        before = shown(rule, 20, 8)
        for data, typed in (
            (text.encode(), True),
            (text.encode() + b" ", True),
            (text.encode() + b"\x1b[H", False),
            (b"something else", False),
            (b"[paste #1 +9 lines]", True),
            (b"[Pasted text #1 +9 lines]", False),
        ):
            self.assertEqual(looop.shows_typed(before, shown(rule + data, 20, 8), text, agent), typed, data)
        again = shown(b"of it, which is wrapped", 20, 8)
        self.assertFalse(looop.shows_typed(again, again, "of it, which is wrapped", agent), "it was there before")

    def test_no_enter_answers_a_dialog_whose_last_words_are_those_of_the_text(self):
        asked = " Do you want to proceed?\r\n \u276f 1. Yes\r\n   2. No\x1b[{};2H"
        for text in ("?", "s", "proceed?", "so, do You want to proceed?", "Do you want to proceed?"):
            said = f"\u276f {text}\r\n\u25cf Bash(make)\r\n"
            for history, row in (("", 2), (said, 4)):
                now = shown((history + asked.format(row)).encode())
                self.assertFalse(looop.still_typed(now, text, looop.AGENTS["claude"]), (text, history))
                before = shown(b"\xe2\x9d\xaf ")
                self.assertFalse(looop.shows_typed(before, now, text, looop.AGENTS["claude"]), (text, history))
            now = shown(f"\u2500\u2500\r\n\u276f {text}".encode())
            self.assertTrue(looop.still_typed(now, text, looop.AGENTS["claude"]), text)

    def test_a_program_that_is_not_known_may_have_its_cursor_elsewhere(self):
        before, now = shown(b"> "), shown(b"> make it so\x1b[20;1H")
        self.assertTrue(looop.shows_typed(before, now, "make it so", looop.Agent()))
        self.assertFalse(looop.shows_typed(before, now, "make it so", looop.AGENTS["claude"]))
        self.assertFalse(looop.shows_typed(now, now, "make it so", looop.Agent()))


class Agents(Sessions):
    """The five agents, as fakes that behave as recorded."""

    long = True

    def setUp(self):
        super().setUp()
        patient = mock.patch.multiple(looop, LOOK_TIME=PATIENCE, SUBMIT_TIME=PATIENCE)
        patient.start()
        self.addCleanup(patient.stop)

    def agent(self, name, *options):
        """Start a fake agent under its name."""
        self.log = os.path.join(self.home, f"{name}.log")
        command = f"{self.fake('agent.py', name, self.log, *options)} # {name}"
        session = self.begin(name, command)
        wait_until(lambda: b"\x1b[?2026l" in self.output(session), "its first picture")
        return session

    def told(self, name):
        """Return what a fake agent has noted."""
        path = os.path.join(self.home, f"{name}.log")
        if not os.path.exists(path):
            return []
        with open(path) as file:
            return [json.loads(line) for line in file]

    def test_every_text_is_submitted_once_and_whole(self):
        texts = ["go on", "one\ntwo\nthree", "look at @main", LONG, "ünïcödé 日本語 👍", "1", "1"]
        for name in NAMES if HEAVY else ("claude", "codex", "gemini"):
            self.agent(name, "--slow", "0.4")
            for text in texts:
                self.looop("send", name, "--", text)
            wait_until(lambda n=name: len(self.told(n)) == len(texts), name)
            self.assertEqual([entry["text"].rstrip(" ") for entry in self.told(name)], texts, name)

    def test_a_text_that_ends_the_agent_was_submitted(self):
        self.agent("claude")
        self.looop("send", "claude", "/exit")
        self.looop("wait", "claude")
        self.assertEqual(self.told("claude"), [{"text": "/exit"}])

    def test_no_text_answers_a_dialog(self):
        for name in NAMES if HEAVY else ("claude", "gemini"):
            session = self.agent(name, "--dialog")
            for text in ("STOP. Do not run that.", "1", "y", ""):
                self.looop("send", name, "--", text, code=1)
                self.assertIn("not at an empty prompt, so nothing was typed", self.stderr)
                self.assertIn("Do you want to proceed?", self.stderr)
            with mock.patch.object(looop, "LOOK_TIME", 0.3), self.assertRaises(looop.Failure) as failure:
                looop.submit_text(session, "STOP. Do not run that.", looop.Agent())  # of an agent that is not known
            self.assertIn("Enter was not pressed", failure.exception.message)
            self.assertEqual(self.told(name), [])
            self.looop("key", name, "Esc")
            wait_until(lambda n=name: self.told(n), "what its dialog was told")
            self.looop("send", name, "-n", "half a text")
            wait_until(lambda n=name: "half a text" in self.looop("shot", n), "it")
            with mock.patch.object(looop, "SUBMIT_TIME", 0.3):
                self.looop("send", name, "and another", code=1)
            self.assertEqual(self.told(name), [{"chose": "No"}])

    def test_a_dialog_that_opens_after_the_text_gets_no_enter(self):
        seen, shows = os.path.join(self.home, "seen"), looop.shows_typed
        asks = f"until [ -e {seen} ]; do sleep 0.01; done; printf '\\033[H\\033[2Jsure? '; sleep 1000"
        session = self.begin("a", f"stty raw -echo; printf '> '; head -c4; {asks}")
        self.wait_for(session, "> ")

        def looked(*look):
            if shows(*look):  # the dialog opens between this look and the next
                open(seen, "w").close()
                self.wait_for(session, "sure")
                return True
            return False

        short, late = mock.patch.object(looop, "LOOK_TIME", 0.5), mock.patch.object(looop, "shows_typed", looked)
        with short, late, self.assertRaises(looop.Failure):
            looop.submit_text(session, "stop", looop.Agent())
        self.assertTrue(os.path.exists(seen))
        self.assertNotIn(b"\r", looop.read_bytes(os.path.join(session.folder, "output.log")))

    def test_two_senders_do_not_mix(self):
        session = self.agent("claude", "--busy", "1.5")
        patient = {"SUBMIT_TIME": PATIENCE, "LOOK_TIME": PATIENCE}
        words = [f"text {number} of several" for number in range(3)]
        processes = [self.start("send", "claude", text, constants=patient) for text in words]
        for process in processes:
            self.assertEqual(process.wait(120), 0, process.stderr.read())
        self.assertEqual(
            sorted(entry["text"] for entry in self.told("claude")), [f"text {n} of several" for n in range(3)]
        )
        self.assertTrue(session.alive)

    def test_an_answer_that_nobody_reads_is_typed_once(self):
        self.agent("claude")
        self.looop("ask", "which branch?", "--session", "claude", "--timeout", "50ms", code=124)
        self.looop("flag", "claude", "something else")
        with mock.patch.object(looop, "STUCK_AFTER", 0.0):  # it has been silent for long
            self.assertEqual(self.looop("answer", "1", "main"), "ask 1: answered; typed into claude\n")
        self.looop("unflag", "claude")
        self.looop("tick", stdin=b"")
        words = 'Answer to your question "{}": {}'
        self.assertEqual(self.told("claude"), [{"text": words.format("which branch?", "main")}])
        self.looop("ask", "and then?", "--session", "claude", "--timeout", "50ms", code=124)
        self.looop("unflag", "claude")
        self.looop("send", "claude", "dialog")
        wait_until(lambda: "proceed?" in self.looop("shot", "claude"), "its dialog")
        self.assertIn("it is typed into claude once that is at an empty prompt", self.looop("answer", "2", "rest"))
        self.looop("tick", stdin=b"")
        self.assertEqual(len(self.told("claude")), 2)
        self.looop("key", "claude", "Esc")
        wait_until(lambda: "shortcuts" in self.looop("shot", "claude"), "its prompt")
        for _ in range(2):
            self.looop("tick", stdin=b"")
        self.assertEqual([entry.get("text") for entry in self.told("claude")[3:]], [words.format("and then?", "rest")])
        process = self.start("ask", "still there?", "--session", "claude")
        wait_until(lambda: looop.lock_is_held(os.path.join(self.data, "asks", "3.wait")), "the ask")
        self.assertIn("claude reads it", self.looop("answer", "3", "yes"))
        self.assertEqual(process.communicate(timeout=120)[0], b"yes\n")
        self.assertEqual(os.listdir(os.path.join(self.data, "asks")).count("3.wait"), 0)

    def test_an_agent_whose_turn_has_ended_reads_no_output(self):
        session = self.agent("codex")
        process = self.start("ask", "which?", "--session", "codex")
        wait_until(lambda: looop.lock_is_held(os.path.join(self.data, "asks", "1.wait")), "the ask")
        state = {"generation": session.generation, "state": "prompt", "at": time.time()}
        with open(os.path.join(session.folder, "agent.json"), "w") as file:
            json.dump(state, file)
        self.assertIn("typed into codex", self.looop("answer", "1", "this"))
        self.assertEqual(process.communicate(timeout=120)[0], b"")
        self.assertEqual(len(self.told("codex")), 1)

    def test_what_an_answer_says_of_those_who_asked(self):
        self.begin("a", "cat")
        self.looop("ask", "which?", "--session", "a", "--timeout", "50ms", code=124)
        self.assertIn("nobody in a waits for it any more", self.looop("answer", "1", "this"))
        self.looop("ask", "what?", "--session", "a", "--timeout", "50ms", code=124)
        self.looop("kill", "a")
        asks = json.loads(self.looop("asks", "--json"))
        self.assertEqual([(ask["n"], ask["kind"]) for ask in asks if ask["state"] != "answered"], [(2, "ask")])
        self.assertIn("a has ended: the decider reads it on the next beat", self.looop("answer", "2", "that"))


if __name__ == "__main__":
    unittest.main()
