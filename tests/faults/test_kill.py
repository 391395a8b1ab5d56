"""kill -9 at every point at which a verb changes a file: nothing is lost or doubled, and the next beat tells."""

from __future__ import annotations

import json
import os
import shutil
import signal
import unittest

import looop
from tests.faults.injector import LONG, Faults, Injector, json_text
from tests.support import heavy, longest

SHELL = {"move": "shell", "command": "echo RUN >> effects", "reversible": True, "journal": "did RUN"}
PUSH = {"move": "shell", "command": "echo pushed >> effects", "reversible": False, "journal": "may RUN"}


@heavy
class KilledBeats(Faults):
    def beaten(self, move, outcome, few=2, mode="typed", script="", after=None):
        """Kill beats that make a move at some of their points, with a whole beat after each."""
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{\"signal\":1}'"})
        self.decides(move, mode, script)
        self.assertEqual(self.verb("tick").code, 0)
        if after:
            after()
        self.edit()
        count = Injector()
        done = self.verb("tick", "--json", injector=count)
        self.assertEqual(json.loads(done.out)["outcome"], outcome, done)
        if after:
            after()
        points = count.counts()[0]
        self.assertGreater(points, 40)
        killed = 0
        for at in self.points(points, few):
            self.edit()
            injector = Injector(at)
            done = self.verb("tick", injector=injector)
            killed += done.code == -signal.SIGKILL
            with self.subTest(at=at, before=injector.struck()):
                self.assertIn(done.code, (0, -signal.SIGKILL))
                if after:
                    after()
                self.edit()
                done = self.verb("tick", "--json")
                self.assertEqual((done.code, json.loads(done.out)["outcome"]), (0, outcome), done)
                self.promised()
                for words in ("status", "asks", "ls", "why") if LONG else self.rng.sample(("status", "asks", "why"), 1):
                    self.assertEqual(self.verb(words, "--json").code, 0, words)
                if after:
                    after()
        self.assertGreaterEqual(killed, min(few, points) - 1)

    def test_a_shell_move(self):
        self.beaten(SHELL, "acted", few=8)
        self.assertIn("interrupted: ", self.read("journal.md"))

    def test_a_goal_that_is_written(self):
        self.beaten({"move": "write_goal", "id": "b", "body": "RUN", "journal": "wrote RUN"}, "acted")

    def test_a_sensor_that_is_replaced(self):
        """Whichever of the loop's scripts is there, it never passes for the person's, which runs without walls."""

        def after():
            origin = looop.look_at_sensors(self.opened()).known["s"]
            self.assertIn(origin.by, ("loop", "move"), self.read("sensors/s.sh"))

        body = '#!/bin/sh\necho \'{"signal":"RUN"}\''
        move = {"move": "write_sensor", "name": "s", "body": body, "journal": "wrote RUN"}
        self.beaten(move, "acted", few=8, after=after)

    def test_a_proposal(self):
        def after():
            asks = json.loads(self.verb("asks", "--json").out)
            self.assertTrue(asks)
            self.assertEqual({ask["kind"] for ask in asks}, {"proposal"})
            self.assertEqual(len({ask["command"] for ask in asks}), len(asks), "one is asked twice")

        self.beaten({**PUSH, "command": "echo RUN >> effects"}, "proposed", after=after)
        self.assertFalse(os.path.exists(self.path("effects")))

    def test_a_signal_that_is_new_is_decided_on_whoever_dies(self):
        """Between a reading and what is remembered of it lies an instant at which no signal may get lost."""
        self.profile(goals={"a": "0\n"}, sensors={"s": f"cat {self.home}/said"})
        self.decides({"move": "noop"})

        def say(number):
            with open(os.path.join(self.home, "said"), "w") as file:
                file.write(json_text({"signal": number}))

        say(0)
        self.assertEqual([self.verb("tick").code for _ in range(2)], [0, 0])
        say(1)
        count = Injector()
        self.assertEqual(self.verb("tick", injector=count).code, 0)
        for at in self.points(14, 14):  # of them: all before the decide
            say(at + 1)
            injector = Injector(at)
            self.verb("tick", injector=injector)
            self.edit()  # a person ends the wait after a beat that died
            with self.subTest(at=at, before=injector.struck()):
                self.assertEqual(self.verb("tick").code, 0)
                known = self.json("state.json")["baseline"]["sensor:s"]["digest"]
                self.assertEqual(
                    known, looop.digest_of(looop.canonical(at + 1).encode()), "what comes next passes for known"
                )

    def test_a_question(self):
        self.beaten({"move": "ask", "question": "RUN?", "journal": "asked RUN"}, "acted")
        questions = [ask["question"] for ask in json.loads(self.verb("asks", "--json").out)]
        self.assertEqual(len(questions), len(set(questions)))

    def test_a_worker(self):
        def after():
            for session in json.loads(self.verb("ls", "--json").out):
                if session["alive"]:
                    self.assertEqual(self.verb("kill", session["id"]).code, 0)

        move = {"move": "start_worker", "id": "setup", "prompt": "RUN", "runner": "builtin", "journal": "began RUN"}
        self.beaten(move, "acted", after=after)

    @longest
    def test_a_worker_elsewhere(self):
        """It is started once for each decision at most, and each of its rows is counted once."""
        there = os.path.join(self.home, "there")
        os.mkdir(there, 0o700)
        data = os.path.join(there, ".local/state/looop")
        env = {"HOME": there, "LOOOP_DATA_DIR": data}
        runner, gate = self.runner, {"worker": "never"}
        prefix = f"env -i HOME={there} PATH={self.bin} LC_ALL=C.UTF-8"
        more = {"interactive": "x {{prompt_file}}", "where": {"gpu": prefix}, "gate": gate}
        self.runner = lambda *args, **options: runner(*args, **{**options, **more})
        spent = []

        def after():
            for session in json.loads(self.verb("ls", "--json", env=env).out):
                if session["alive"]:
                    self.assertEqual(self.verb("kill", session["id"], env=env).code, 0)
                    self.assertEqual(self.verb("cost", "add", "session", "w", "r", "1", env=env).code, 0)
                    spent.append(1.0)
            self.assertLessEqual(len(spent), len(self.runs()))
            costs = json.loads(self.verb("cost", "--json").out)
            self.assertIn(costs["by"]["kind"].get("session", 0.0), (sum(spent), sum(spent[:-1])))

        move = {"move": "start_worker", "id": "w", "prompt": "RUN", "where": "gpu", "runner": "fake"}
        move["journal"] = "began RUN"
        os.makedirs(os.path.join(there, ".config"))
        with open(os.path.join(there, ".config", "looop.json"), "w") as file:
            json.dump({"runners": {"fake": {"interactive": "sh -c cat {{prompt_file}}"}}}, file)
        self.beaten(move, "acted", few=10, after=after)

    def test_a_direct_runner_with_two_lines(self):
        script = 'for n in 1 2; do echo "- 2026-01-02 15:04 $n $LOOOP_RUN_ID" >> journal.md; done; '
        self.beaten(SHELL, "acted", mode="direct", script=script)

    def test_what_a_person_wrote_after_the_kill_is_not_folded(self):
        self.profile(goals={"a": "0\n"})
        self.decides(SHELL, "direct", 'for n in 1 2; do echo "- 2026-01-02 15:04 $n" >> journal.md; done; ')
        run = json.loads(self.verb("tick", "--json").out)["run"]
        folded = self.read("journal.md")
        self.assertIn("fake acted [2 journal lines] — 1; 2", folded)
        lines = "- 2026-01-02 15:04 1\n- 2026-01-02 15:04 2\n"
        for left, then in (
            (lines, folded),
            (lines[:-1], lines + folded),  # not what the capsule has kept
            (lines + "- mine\n", lines + "- mine\n" + folded),
            ("- mine\n", "- mine\n" + folded),
            ("", folded),
            (folded[:30], folded),
        ):
            self.write("journal.md", left)
            os.unlink(self.path("runs", run, "result.json"))
            looop.remove_file(self.path(".quiet"))  # a beat that dies leaves none that holds
            self.assertEqual(self.verb("tick").code, 0)
            self.assertEqual(self.read("journal.md"), then)


@heavy
class KilledVerbs(Faults):
    """Verbs of a person and of a worker: what was there before, or what was meant, and never a part."""

    def each(self, words, check, few=2, env=None, stdin=b"", least=3):
        """Kill a verb at some of its points, each time on the profile as it was kept; `check(how)` looks."""
        self.keep()
        count = Injector()
        self.assertEqual(self.verb(*words, injector=count, env=env, stdin=stdin).code, 0)
        check("whole")
        points = count.counts()[0]
        self.assertGreaterEqual(points, least)
        for at in self.points(points, few):
            self.back()
            injector = Injector(at)
            done = self.verb(*words, injector=injector, env=env, stdin=stdin)
            with self.subTest(words=words, at=at, before=injector.struck()):
                self.assertEqual(done.code, -signal.SIGKILL, done)
                self.assertEqual(self.verb("status", "--json").code, 0)
                check("killed")

    def asked(self, move):
        """Have the loop ask."""
        self.profile(goals={"a": "0\n"})
        self.decides(move)
        self.assertEqual(self.verb("tick").code, 0)
        self.decides({"move": "noop"})

    def asks(self):
        return json.loads(self.verb("asks", "--json").out)

    def test_an_answer(self):
        self.asked({"move": "ask", "question": "Which?"})

        def check(how):
            (ask,) = self.asks()
            self.assertIn((ask["state"], ask["answer"]), (("open", None), ("answered", "red")))
            again = self.verb("answer", "1", "red")
            self.assertEqual(again.code, int(ask["state"] == "answered"), again)
            self.assertIn("was answered already (red)" if again.code else "answered", again.err + again.out)
            self.assertEqual(self.verb("tick").code, 0)
            self.assertIn("answer: red\n", self.prompt())
            self.assertEqual(self.asks(), [])
            self.assertEqual(self.json("asks", "archive", "1.answer.json")["text"], "red")
            self.edit()
            self.assertEqual(self.verb("tick").code, 0)
            self.assertNotIn("answer: red", self.prompt())
            self.promised(named=False)

        self.each(("answer", "1", "red"), check)

    def test_an_answer_that_is_replaced_and_a_refusal(self):
        self.asked({"move": "ask", "question": "Which?"})
        self.assertEqual(self.verb("answer", "1", "red").code, 0)

        def check(how):
            (ask,) = self.asks()
            self.assertIn(ask["answer"], ("red", "blue"))

        self.each(("answer", "1", "blue", "--force"), check, few=3)

    def test_a_no_that_is_taken_back(self):
        self.asked(PUSH)
        self.assertEqual(self.verb("reject", "1", "not", "yet").code, 0)
        self.assertEqual(self.verb("tick").code, 0)
        self.assertEqual(self.asks(), [])

        def check(how):
            self.assertEqual(self.verb("answer", "1", "--force").code, 0)
            self.decides({"move": "noop"})
            self.assertEqual(self.verb("tick").code, 0)
            self.assertIn("answer: you may propose it again\n", self.prompt())
            self.assertEqual(self.asks(), [])
            self.decides(PUSH)
            self.edit()
            self.assertEqual(json.loads(self.verb("tick", "--json").out)["outcome"], "proposed")

        self.each(("answer", "1", "--force"), check, few=6)

    def test_an_approval(self):
        self.asked({"move": "shell", "command": "echo once >> effects", "reversible": False, "journal": "push"})
        words = ("approve", "1", self.asks()[0]["digest"])

        def check(how):
            done = self.verb("tick")
            self.assertEqual(done.code, 0, done)
            lines = self.promised(named=False)
            effects = self.read("effects") if os.path.exists(self.path("effects")) else ""
            told = [line for line in lines if "interrupted: " in line]
            begun = [run for run in self.runs() if "approved" in looop.Run(self.opened(), run).fields("intent.json")]
            self.assertEqual(len(told) + sum("approved by" in line for line in lines), len(begun))
            asks = self.asks()
            if asks and asks[0]["state"] == "open":
                self.assertEqual(effects, "", "it was done, and may be approved again")
                self.assertEqual(self.verb(*words).code, 0)
                self.assertEqual(self.read("effects"), "once\n")
            else:
                self.assertEqual(self.verb(*words).code, 1)
                self.assertTrue(effects == "once\n" or told)
            self.promised(named=False)

        self.each(words, check, few=3)

    def test_an_undo(self):
        """Killed anywhere, it is finished by the next one: the files are as they were, and the decider is told once."""
        for move in (
            {"move": "archive_goal", "id": "b"},
            {"move": "write_sensor", "name": "s", "body": "#!/bin/sh\necho '{\"signal\":2}'"},
            {"move": "write_playbook", "body": "# Mine now"},
        ):
            self.profile(goals={"a": "0\n", "b": "b\n"}, sensors={"s": "echo '{\"signal\":1}'"})
            self.gate = {"shell": "never", "playbook": False}
            self.replies(move)
            before = self.policy()
            run = json.loads(self.verb("tick", "--json").out)["run"]
            done = self.policy()
            self.assertNotEqual(done, before)

            def check(how, run=run, before=before, done=done):
                self.assertTrue({*before.values()} & {*done.values()} <= {*self.policy().values()}, "something is lost")
                if self.policy()["sensors/s.sh"] != before["sensors/s.sh"]:
                    self.assertNotEqual(looop.look_at_sensors(self.opened()).known["s"].by, "person")
                again = self.verb("undo", run, "--yes")
                self.assertIn(again.code, (0, 1), again)
                if again.code:
                    self.assertIn("was undone already", again.err)
                self.assertEqual(self.policy(), before)
                self.assertEqual(self.verb("undo", run, "--yes").code, 1)
                refused = list(looop.rejections(self.opened(), 0.0))
                self.assertEqual([ask["run"] for ask in refused], [run])

            self.each(("undo", run, "--yes"), check, few=6)
            shutil.rmtree(os.path.join(self.home, "kept"))
            shutil.rmtree(self.data)

    def policy(self):
        """Return the files that a move writes."""
        paths = ["PLAYBOOK.md", "goals/a.md", "goals/b.md", "goals/archive/b.md", "sensors/s.sh"]
        return {name: self.read(name) for name in paths if os.path.exists(self.path(name))}

    def test_a_trial(self):
        """Each call that was made is paid, and once; nothing of it is left."""
        self.profile(goals={"a": "0\n"})
        self.decides({"move": "noop"}, script=f"echo x >> {self.home}/called;")
        self.assertEqual(self.verb("tick").code, 0)
        draft, called = os.path.join(self.home, "draft.md"), os.path.join(self.home, "called")
        with open(draft, "w") as file:
            file.write("# Another\n")

        def check(how):
            self.edit()
            self.assertEqual(self.verb("tick").code, 0)
            self.assertFalse(os.path.exists(self.path("runs", ".aside")))
            with open(called) as file:
                calls = len(file.readlines())
            paid = [row["run"] for row in self.ledger()]
            self.assertEqual(len(paid), len(set(paid)))
            self.assertIn(len(paid) - len(base) - calls, (0, 1))  # ended before it could write that it was called
            self.assertEqual({row["kind"] for row in self.ledger()[len(base) + 1 : -1]} - {"trial"}, set())
            os.unlink(called)

        base = self.ledger()
        os.unlink(called)
        self.each(("shadow", draft, "--usd", "5"), check, few=8)

    def test_what_a_worker_says(self):
        self.profile(goals={"a": "0\n"})
        self.assertEqual(self.verb("start-session", "w", "--command", "sleep 300").code, 0)
        self.assertEqual(self.verb("kill", "w").code, 0)
        self.supervised()
        os.unlink(self.path("sessions", "w", "sock"))  # which cannot be copied
        self.assertEqual(self.verb("tick").code, 0)

        def flagged(how):
            (session,) = json.loads(self.verb("ls", "--json").out)
            self.assertIn(session["note"], (None, "look here"))
            self.assertEqual(self.verb("flag", "w", "look here").code, 0)
            self.assertEqual(json.loads(self.verb("ls", "--json").out)[0]["note"], "look here")
            self.assertEqual(self.verb("tick").code, 0)

        self.each(("flag", "w", "look", "here"), flagged, few=2)

    def test_a_cost(self):
        self.profile(goals={"a": "0\n"})
        words = ("cost", "add", "session", "w", "pi", "0.25")

        def check(how):
            before = len(self.ledger())
            self.assertLessEqual(before, 1)
            self.assertEqual(self.verb(*words).code, 0)
            self.assertEqual(json.loads(self.verb("cost", "--json").out)["total_usd"], 0.25 * (before + 1))

        self.assertEqual(self.verb("tick").code, 0)
        os.unlink(self.path("cost.jsonl")) if os.path.exists(self.path("cost.jsonl")) else None
        self.each(words, check, least=2)

    def test_a_pause_and_its_end(self):
        self.profile(goals={"a": "0\n"})
        self.assertEqual(self.verb("tick").code, 0)

        def check(how):
            paused = json.loads(self.verb("status", "--json").out)["paused"]
            self.assertIn((paused or {"why": None})["why"], (None, "lunch"))
            self.assertEqual(self.verb("tick").code, 0)

        self.each(("pause", "1h", "lunch"), check)
        shutil.rmtree(os.path.join(self.home, "kept"))
        self.assertEqual(self.verb("pause", "1h", "lunch").code, 0)
        self.each(("resume",), check, least=1)

    def test_a_claim(self):
        self.profile(goals={"a": "0\n"})
        self.assertEqual(self.verb("tick").code, 0)
        self.assertEqual(self.verb("start-session", "w", "--command", "sleep 300").code, 0)
        env = {"LOOOP_SESSION_ID": "w"}
        path = self.path("claims", "x.json")
        count = Injector()
        self.assertEqual(self.verb("claim", "x", env=env, injector=count).code, 0)
        for at in self.points(count.counts()[0], 2):
            os.unlink(path) if os.path.exists(path) else None
            injector = Injector(at)
            self.assertEqual(self.verb("claim", "x", env=env, injector=injector).code, -signal.SIGKILL)
            with self.subTest(at=at, before=injector.struck()):
                claims = json.loads(self.verb("claims", "--json").out)
                self.assertIn([(claim["name"], claim["session"]) for claim in claims], ([], [("x", "w")]))
                self.assertEqual(self.verb("claim", "x", env=env).code, 0)

    def test_a_question_of_a_worker(self):
        self.profile(goals={"a": "0\n"})
        self.assertEqual(self.verb("tick").code, 0)
        self.assertEqual(self.verb("start-session", "w", "--command", "sleep 300").code, 0)
        words = ("ask", "Which?", "--session", "w", "--timeout", "10ms")
        count = Injector()
        self.assertEqual(self.verb(*words, injector=count).code, 124)
        for at in self.points(count.counts()[0], 2):
            for name in os.listdir(self.path("asks")):
                os.unlink(self.path("asks", name)) if os.path.isfile(self.path("asks", name)) else None
            self.verb("unflag", "w")
            injector = Injector(at)
            self.assertIn(self.verb(*words, injector=injector).code, (124, -signal.SIGKILL))
            with self.subTest(at=at, before=injector.struck()):
                self.assertIn(len([ask for ask in self.asks() if ask["kind"] == "ask"]), (0, 1))
                self.assertEqual(self.verb(*words).code, 124)
                (ask,) = (ask for ask in self.asks() if ask["kind"] == "ask")
                self.assertEqual(json.loads(self.verb("ls", "--json").out)[0]["note"], "asks: Which?")
                self.assertEqual(self.verb("answer", str(ask["n"]), "red").code, 0)
                self.assertEqual(self.verb(*words).out, "red\n")
                self.assertIsNone(json.loads(self.verb("ls", "--json").out)[0]["note"])


@heavy
class KilledSessions(Faults):
    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})
        self.assertEqual(self.verb("tick").code, 0)

    def sessions(self):
        return {session["id"]: session for session in json.loads(self.verb("ls", "--json").out)}

    def gone(self):
        """Wait until nothing of the session runs, and forget it."""
        self.supervised()
        shutil.rmtree(self.path("sessions"))

    def test_a_start(self):
        words = ("start-session", "w", "--command", "sleep 300")
        count = Injector()
        self.assertEqual(self.verb(*words, injector=count).code, 0)
        points = [(generation, number) for generation, number in enumerate(count.counts())][:3]
        self.assertGreater(points[0][1], 5)
        self.assertGreater(points[2][1], 5)
        self.assertEqual(self.verb("kill", "w").code, 0)
        self.gone()
        for generation, number in points:
            for at in self.points(number, 3):
                injector = Injector(at, generation)
                done = self.verb(*words, injector=injector)
                with self.subTest(generation=generation, at=at, before=injector.struck()):
                    self.assertIn(done.code, (0, 1) if generation else (-signal.SIGKILL,), done)
                    found = self.sessions()
                    self.assertEqual(self.verb("tick").code, 0)
                    again = self.verb(*words)
                    if again.code:
                        self.assertIn("is already running", again.err)
                        self.assertTrue(self.sessions()["w"]["alive"], found)
                    self.assertTrue(self.sessions()["w"]["alive"])
                    self.assertEqual(self.verb("kill", "w").code, 0)
                    self.assertEqual(self.sessions()["w"]["state"], "killed")
                    self.gone()

    def test_an_end(self):
        words = ("start-session", "w", "--command", "echo BYE; exit 7")
        count = Injector()
        self.assertEqual(self.verb(*words, injector=count).code, 0)
        self.assertEqual(self.verb("wait", "w", "--timeout", "120s").code, 7)
        self.supervised()
        points = count.counts()[2]
        self.assertGreater(points, 10)
        self.gone()
        for at in self.points(points, 2):
            injector = Injector(at, 2)
            done = self.verb(*words, injector=injector)
            with self.subTest(at=at, before=injector.struck()):
                self.assertIn(done.code, (0, 1), done)
                self.supervised()
                found = self.sessions().get("w")
                if found is None:
                    self.assertEqual(done.code, 1)
                    continue
                self.assertIn((found["state"], found["exit_code"]), (("exited", 7), ("lost", None)))
                self.assertEqual(self.verb("wait", "w").code, 7 if found["state"] == "exited" else 137)
                if found["state"] == "exited":
                    self.assertIn("BYE", self.verb("shot", "w").out)
                self.assertEqual(self.verb("tick").code, 0)
                self.assertEqual(self.verb("prune").code, 0)
            self.gone()


if __name__ == "__main__":
    unittest.main()
