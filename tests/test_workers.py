"""Workers: their contract, claims, questions and checks, and what of it a later one of the same id has."""

import contextlib
import json
import os
import signal
import subprocess
import time
import unittest

import looop
from tests.support import figure, heavy, kill_all, wait_until
from tests.test_fleet import Fleet

NOOP = json.dumps({"move": "noop"})


class Workers(Fleet):
    """A worker is a bash that is told what to do by `send`; its looop is the one under test."""

    def setUp(self):
        super().setUp()
        self.profile()
        self.opened = looop.open_profile(self.env, looop.__file__)

    def worker(self, name="w", *words, command="exec bash --norc --noprofile -i # {{prompt_file}}"):
        self.runner(f"cat >/dev/null; echo '{NOOP}'", mode="typed")
        path = os.path.join(self.home, ".config", "looop.json")
        with open(path) as file:
            config = json.load(file)
        config["runners"]["fake"]["interactive"] = command
        self.config(config)
        self.looop("start-session", name, "do it", *words)
        return looop.read_session(self.opened, name)

    def sends(self, text, name="w"):
        """Have the worker run a command line of looop."""
        line = " ".join(map(looop.quoted, self.command()))
        self.looop("send", name, "--", text.replace("LOOOP", line))

    def supervisor(self, name="w"):
        return looop.read_session(self.opened, name).supervisor

    def crash(self, name="w"):
        """Kill a worker as the kernel would: its supervisor and its program, with KILL."""
        session = looop.read_session(self.opened, name)
        os.kill(session.supervisor, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # its terminal went with the supervisor, which may have ended it
            os.kill(session.child, signal.SIGKILL)
        wait_until(lambda: not looop.read_session(self.opened, name).alive, "the end of the worker")

    def asks(self, *words):
        return json.loads(self.looop("asks", "--json", *words))


class Contract(Workers):
    def test_a_worker_is_given_the_contract_and_then_its_task(self):
        self.worker("w-1", command="cat {{prompt_file}}")
        self.looop("wait", "w-1")
        text = self.read("prompts", "w-1.md")
        self.assertTrue(text.endswith("# The task\n\ndo it\n"), text)
        for word in (
            "ask",
            "flag w-1",
            "unflag w-1",
            "claim",
            "unclaim",
            "_cost session w-1",
            "kill w-1",
            f"{self.launcher} ask",
            self.path("reports", "w-1.md"),
        ):
            self.assertIn(word, text)
        self.assertNotIn("{{", text)
        self.assertIn("worker `w-1` of looop", self.looop("log", "w-1"))

    def test_no_secret_reaches_its_brief(self):
        self.env["DEPLOY_TOKEN"] = "abcdefgh12345678"
        self.looop("start-session", "w", "use abcdefgh12345678 for it", "--command", "true")
        self.assertIn("use [DEPLOY_TOKEN] for it", self.read("prompts", "w.md"))

    def test_a_worker_ends_itself_with_what_the_contract_says(self):
        self.worker("w", command="bash -c '\"$LOOOP_BIN\" kill w; sleep 100' # {{prompt_file}}")
        self.assertEqual(self.looop("wait", "w", code=0), "")
        self.assertEqual((self.ls()["w"]["state"], self.ls()["w"]["health"]), ("exited", "done"))

    def test_what_the_contract_says_can_be_done(self):
        """Each verb that it names is one that there is."""
        import re

        for verb in re.findall(r"\{\{bin\}\} (\w+)", looop.WORKER_RULES):
            self.assertIsNotNone(looop.find_verb([verb])[0], verb)


class Folders(Workers):
    """A worker starts in work/<id>/, which is its own: what it does carelessly does not reach the memory."""

    git = True

    def test_its_folder_is_private_and_no_part_of_the_repository(self):
        self.worker("a", command="pwd; git rev-parse --show-toplevel; echo > left; exit # {{prompt_file}}")
        self.looop("wait", "a")
        folder = self.path("work", "a")
        for path in (self.path("work"), folder):
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o700, path)
        log = self.looop("log", "a")
        self.assertTrue(log.startswith(f"{folder}\n"), log)
        self.assertIn("not a git repository", log)  # its commits would have gone into the memory
        self.tick()
        status = ["git", "-C", self.data, "status", "--porcelain", "--untracked-files=all"]
        self.assertEqual(subprocess.run(status, capture_output=True, check=True, env=self.env).stdout, b"")

    def test_the_check_runs_where_the_worker_ran(self):
        self.worker("w", "--verify", "pwd; cat made", command="echo it > made; exit # {{prompt_file}}")
        self.looop("wait", "w")
        self.tick()
        self.assertEqual(self.ls()["w"]["verify"], "pass")
        self.assertEqual(self.read("sessions", "w", "verify.log"), f"{self.path('work', 'w')}\nit\n")

    def test_a_move_starts_one_there_too(self):
        self.worker("first", command="exit # {{prompt_file}}")
        self.looop("wait", "first")
        self.replies({"move": "start_worker", "id": "w", "prompt": "do it"})
        path = os.path.join(self.home, ".config", "looop.json")
        with open(path) as file:
            config = json.load(file)
        config["runners"]["fake"]["interactive"] = "pwd; exit # {{prompt_file}}"
        self.config(config)
        self.tick()
        self.looop("wait", "w")
        self.assertEqual(self.looop("log", "w"), f"{self.path('work', 'w')}\n")

    def test_with_the_session_goes_an_empty_one_and_never_work(self):
        for name, command in (("empty", "exit # {{prompt_file}}"), ("full", "echo > it; exit # {{prompt_file}}")):
            self.worker(name, command=command)
            self.looop("wait", name)
        self.assertTrue(os.path.isdir(self.path("work", "empty")))
        self.looop("prune")
        self.assertEqual(sorted(os.listdir(self.path("work"))), [".gitignore", "full"])
        self.assertEqual(os.listdir(self.path("work", "full")), ["it"])

    def test_a_worker_that_starts_again_has_its_folder_though_it_was_removed(self):
        self.worker("w", command="pwd; exit # {{prompt_file}}")
        self.looop("wait", "w")
        os.rmdir(self.path("work", "w"))
        self.looop("restart", "w")
        self.looop("wait", "w")
        self.assertEqual(self.looop("log", "w"), f"{self.path('work', 'w')}\n" * 2)

    def test_a_start_that_fails_leaves_no_folder(self):
        self.looop("start-session", "w", "a task", "--command", "no-such-command", code=127)
        self.assertFalse(os.path.exists(self.path("work", "w")))
        self.worker("w")
        self.looop("start-session", "w", "another", code=1)
        self.assertTrue(os.path.isdir(self.path("work", "w")))  # the living one's


class WithoutAnAgent(Workers):
    def test_the_built_in_decider_takes_no_task(self):
        """It has the interview alone, for the goal setup."""
        for words in (("builtin",), ()):
            self.looop("start-session", "y", "do it", *words, code=1)
            self.assertEqual(
                self.stderr,
                "looop: start-session: y: the built-in decider has no agent for tasks: "
                "name a runner (pi, claude, …) that is here, or use --command\n",
            )
        self.assertEqual(self.looop("ls", "--json"), "[]\n")
        self.replies({"move": "start_worker", "id": "y", "prompt": "do it", "runner": "builtin"})
        self.assertIn("no agent for tasks", self.tick()["reason"])
        self.write("goals/setup.md", "ask me\n")
        self.looop("start-session", "setup", "ask me", "builtin")
        self.looop("expect", "setup", "Waiting for you")


class Claims(Workers):
    def claims(self):
        return {row["name"]: row for row in json.loads(self.looop("claims", "--json"))}

    def test_one_holds_it_and_the_other_is_told_who(self):
        self.worker("a")
        self.worker("b")
        self.assertEqual(self.looop("claim", "issue-1", "--session", "a"), "a holds issue-1\n")
        self.assertEqual(self.looop("claim", "issue-1", "--session", "a"), "a holds issue-1\n")
        self.looop("claim", "issue-1", "--session", "b", code=1)
        self.assertIn("issue-1: is held by a", self.stderr)
        self.assertEqual(self.ls()["a"]["claims"], ["issue-1"])
        self.assertEqual(self.ls()["b"]["claims"], [])
        self.assertIn("issue-1", self.looop("claims"))
        self.looop("unclaim", "issue-1", env={"LOOOP_SESSION_ID": "b", "LOOOP_CHILD": "1"}, code=1)
        self.assertEqual(
            self.looop("unclaim", "issue-1", env={"LOOOP_SESSION_ID": "a", "LOOOP_CHILD": "1"}), "issue-1 is free\n"
        )
        self.looop("claim", "issue-1", "--session", "b")
        self.looop("claim", "x", code=2)
        self.looop("claim", "../x", "--session", "b", code=2)

    def test_what_a_worker_has_added_stays_when_it_claims_again(self):
        self.worker("a")
        self.looop("claim", "x", "--session", "a")
        self.write("claims/x.json", json.dumps({**self.json("claims", "x.json"), "branch": "fix-x"}))
        self.looop("claim", "x", "--session", "a", "--ttl", "1h")
        claim = self.json("claims", "x.json")
        self.assertEqual(claim["branch"], "fix-x")
        self.assertGreater(claim["until"], time.time())
        self.crash("a")
        self.worker("b")
        self.looop("claim", "x", "--session", "b")
        self.assertNotIn("branch", self.json("claims", "x.json"))

    def test_time_runs_out(self):
        self.worker("a")
        self.worker("b")
        self.looop("claim", "x", "--session", "a", "--ttl", "1h")
        self.assertEqual(self.claims()["x"]["state"], "held")
        self.looop("claim", "x", "--session", "a", "--ttl", "1ms")
        wait_until(lambda: self.claims()["x"]["state"] == "expired", "the end of a millisecond")
        self.looop("claim", "x", "--session", "b")
        self.assertEqual(self.claims()["x"]["session"], "b")

    def test_two_race_two_hundred_times_and_one_wins(self):
        sessions = [self.worker("a"), self.worker("b")]
        pipes = [os.pipe() for _ in sessions]
        results, report = os.pipe()
        pids = []
        for session, (ours, _) in zip(sessions, pipes):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    while True:
                        number = os.read(ours, 2)
                        if not number:
                            break
                        try:
                            name = f"n{int.from_bytes(number, 'big')}"
                            looop.take_claim(self.opened, name, session, 0.0, time.time())
                            os.write(report, session.id.encode())
                        except looop.Failure:
                            os.write(report, b"-")
                    code = 0
                finally:
                    os._exit(code)
            pids.append(pid)
            os.close(ours)
        for number in range(200):
            for _, theirs in pipes:
                os.write(theirs, number.to_bytes(2, "big"))
            said = os.read(results, 1) + os.read(results, 1)
            self.assertIn(said, (b"a-", b"-a", b"b-", b"-b"), number)
            winner = said.replace(b"-", b"").decode()
            self.assertEqual(self.json("claims", f"n{number}.json")["session"], winner)
        figure("races for one claim, each with one winner", 200)
        kill_all(pids)
        for pid in pids:
            os.waitpid(pid, 0)
        for fd in (results, report, *(theirs for _, theirs in pipes)):
            os.close(fd)

    def test_the_command_line_has_one_winner_too(self):
        self.worker("a")
        self.worker("b")
        for number in range(5):
            processes = [self.start("claim", f"n{number}", "--session", name) for name in "ab"]
            self.assertEqual(sorted(process.wait(120) for process in processes), [0, 1])

    def test_a_dead_session_blocks_nobody(self):
        self.worker("a")
        self.worker("b")
        self.looop("claim", "x", "--session", "a")
        self.write("claims/hand.json", '{"session": "a"}')
        self.write("claims/odd.json", "{half")
        self.looop("claim", "odd", "--session", "b", code=1)
        self.crash("a")
        self.assertEqual(
            {name: row["state"] for name, row in self.claims().items()},
            {"x": "released", "hand": "released", "odd": "held"},
        )
        self.looop("claim", "x", "--session", "b")
        self.tick()
        self.assertEqual([(e["name"], e["session"]) for e in self.events("claim_reaped")], [("hand", "a")])
        self.assertEqual(set(self.claims()), {"x", "odd"})
        self.looop("unclaim", "odd")

    def test_a_claim_of_an_earlier_session_is_said_to_be_one(self):
        self.worker("a")
        os.makedirs(self.path("claims"), mode=0o700, exist_ok=True)
        self.write("claims/hand.json", '{"session": "a"}')
        old = time.time() - 100
        os.utime(self.path("claims", "hand.json"), (old, old))
        self.assertIn("released: it is of an earlier session of that name", self.looop("claims"))
        self.assertIn("earlier session", self.claims()["hand"]["why"])

    def test_who_is_born_again_inherits_nothing(self):
        self.worker("a")
        self.looop("claim", "x", "--session", "a")
        self.write("claims/hand.json", '{"session": "a"}')
        old = time.time() - 5
        os.utime(self.path("claims", "hand.json"), (old, old))
        self.start("ask", "which?", "--session", "a")
        wait_until(lambda: self.ls()["a"]["flagged"], "the ask and its flag")
        self.crash("a")
        self.worker("a")
        row = self.ls()["a"]
        self.assertEqual((row["claims"], row["flagged"], row["verify"]), ([], False, None))
        self.assertNotEqual(row["health"], "asking")
        self.assertEqual(
            {name: row["state"] for name, row in self.claims().items()}, {"x": "released", "hand": "released"}
        )
        self.assertEqual(self.asks()[0]["state"], "stranded")
        second = self.start("ask", "which?", "--session", "a", stdout=subprocess.PIPE)
        wait_until(lambda: len(self.asks()) == 2, "an ask of its own")
        self.looop("answer", "1", "the first")
        self.looop("answer", "2", "the second")
        self.assertEqual(second.communicate(timeout=120)[0], b"the second\n")

    def test_claims_are_in_the_prompt_and_never_in_the_hash(self):
        self.worker("a")
        self.tick()
        self.looop("claim", "issue-7", "--session", "a")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.write("goals/g.md", "g\n")
        self.tick()
        self.assertIn("\n# CLAIMS\n| - issue-7: held by a\n", self.prompt())


class Asking(Workers):
    def test_the_answer_alone_is_printed_and_the_flag_comes_down(self):
        self.worker()
        process = self.start(
            "ask",
            "merge it?",
            "--option",
            "yes",
            "--option",
            "no",
            "--ref",
            "reports/w.md",
            env={"LOOOP_SESSION_ID": "w", "LOOOP_CHILD": "1"},
            constants={"WAIT_SLICE": 1000.0},  # none but the bell makes it look
        )
        wait_until(self.asks, "the ask")
        ask = self.asks()[0]
        self.assertEqual(
            {key: ask[key] for key in ("n", "kind", "session", "question", "options", "ref", "state")},
            {
                "n": 1,
                "kind": "ask",
                "session": "w",
                "question": "merge it?",
                "options": ["yes", "no"],
                "ref": "reports/w.md",
                "state": "open",
            },
        )
        self.assertEqual(len(self.asks()), 1, "its flag is no ask of its own")
        wait_until(lambda: self.ls()["w"]["flagged"], "the flag")
        self.assertEqual(self.ls()["w"]["health"], "asking")
        self.assertIn("w asks: merge it?", "\n".join(json.loads(self.looop("status", "--json"))["attention"]))
        self.assertEqual(self.looop("answer", "1", "yes"), "ask 1: answered: yes; w reads it\n")
        out, err = process.communicate(timeout=120)
        self.assertEqual((process.returncode, out), (0, b"yes\n"))
        self.assertIn(b"ask 1 waits", err)
        self.assertFalse(self.ls()["w"]["flagged"])
        self.assertEqual(self.asks(), [])
        self.assertEqual(self.json("asks", "archive", "1.answer.json")["text"], "yes")

    def test_the_same_question_waits_for_the_same_answer(self):
        self.worker()
        for answered in (False, True):
            process = self.start("ask", "go on?", "--session", "w")
            wait_until(self.asks, "the ask")
            process.kill()
            process.wait()
            self.assertEqual(len(self.asks()), 1)
            if answered:
                self.looop("answer", "1", "go")
        self.tick()  # the answer of a worker that lives is its own
        self.assertEqual(self.asks()[0]["state"], "answered")
        self.assertEqual(self.looop("ask", "go on?", "--session", "w"), "go\n")
        self.looop("ask", "go on?", "--session", "w", "--timeout", "50ms", code=124)
        self.assertIn("it stays open", self.stderr)
        self.assertEqual([ask["n"] for ask in self.asks()], [2], "what was answered is asked anew")

    def test_a_worker_killed_while_it_holds_and_asks(self):
        self.worker()
        self.sends("LOOOP claim issue-9; LOOOP ask 'which branch?'")
        wait_until(self.asks, "the ask")
        self.assertEqual(self.ls()["w"]["claims"], ["issue-9"])
        self.tick()
        self.crash()
        self.tick()
        self.assertEqual(self.events("claim_reaped")[0]["name"], "issue-9")
        self.assertEqual(self.asks()[0]["state"], "stranded")
        self.assertIn("goes to the decider", self.looop("asks"))
        self.looop("answer", "1", "the release branch")
        self.assertNotEqual(self.tick()["outcome"], "unchanged")
        self.assertIn("the release branch", self.prompt())
        self.assertEqual(self.asks(), [])

    def test_asks_wait_wakes_at_once(self):
        self.worker()
        for words, number in ((("flag", "w", "look"), None), (("ask", "hm?", "--session", "w"), 1)):
            constants = {"WAIT_SLICE": 1000.0}  # none but the bell makes it look
            waiting = self.start("asks", "--wait", "1000s", "--json", constants=constants)
            last = self.start(*words)
            wait_until(self.asks, "what it waits for")
            rows = json.loads(waiting.communicate(timeout=120)[0])
            self.assertEqual((rows[0]["n"], rows[0]["session"]), (number, "w"))
            self.looop("unflag", "w")
        self.looop("answer", "1", "x")
        self.assertEqual(last.communicate(timeout=120)[0], b"x\n")  # it may have raised its flag only now
        self.looop("asks", "--wait", "50ms", code=124)

    def test_who_is_ended_while_its_question_is_pushed_does_not_read_the_answer(self):
        self.worker()
        self.config({"notify": f"touch {self.home}/pushed; exec sleep 5"})
        asking = self.start("ask", "hm?", "--session", "w")
        wait_until(lambda: os.path.exists(os.path.join(self.home, "pushed")), "the push")
        ask, session = looop.read_ask(self.opened, 1), looop.read_session(self.opened, "w")
        self.assertTrue(looop.reader_of(self.opened, ask, session))
        asking.kill()
        asking.wait()
        self.assertFalse(looop.reader_of(self.opened, ask, session))

    def test_a_flag_that_came_down_meanwhile_is_not_shown(self):
        self.worker()
        asking = self.start("ask", "hm?", "--session", "w")
        wait_until(lambda: looop.read_session(self.opened, "w").note, "the flag")
        sessions = looop.list_sessions(self.opened, ("worker",))
        (row,) = looop.asks_and_flags(self.opened, sessions)
        self.assertEqual((row["kind"], row["n"]), ("ask", 1))
        self.looop("answer", "1", "x")
        self.assertEqual(asking.communicate(timeout=120)[0], b"x\n")
        self.assertEqual(looop.asks_and_flags(self.opened, sessions), [])
        self.looop("flag", "w", "look")
        (row,) = looop.asks_and_flags(self.opened, looop.list_sessions(self.opened, ("worker",)))
        self.assertEqual((row["kind"], row["question"]), ("flag", "look"))

    def test_every_ring_wakes_everybody_once(self):
        bells = [looop.Bell(self.opened), looop.Bell(self.opened)]
        self.assertFalse(bells[0].wait(0.01))
        for _ in range(3):
            looop.ring(self.data)
            for bell in bells:
                self.assertTrue(bell.wait(120))
                self.assertFalse(bell.wait(0.0))
        looop.ring(self.path("nowhere"))
        self.assertFalse(os.path.exists(self.path("nowhere")))

    def test_an_answer_that_is_put_away_is_one_at_every_instant(self):
        self.profile()
        os.makedirs(self.path("asks"), mode=0o700)

        def cut(name, step):
            """Have a call of os raise at its n-th use, as a `kill -9` would end it there."""
            real = getattr(os, name)
            self.addCleanup(setattr, os, name, real)
            calls = []

            def call(*args):
                calls.append(args)
                if len(calls) == step:
                    raise KeyboardInterrupt
                return real(*args)

            setattr(os, name, call)
            return real

        for name in ("rename", "unlink"):
            for step in (1, 2):
                number = looop.new_ask(self.opened, "ask", session=None, question=f"{name} {step}")
                self.assertTrue(looop.give_answer(self.opened, number, "answered", "yes"))
                real = cut(name, step)
                try:
                    looop.archive_asks(self.opened, [[number, "yes"]])
                except KeyboardInterrupt:
                    pass
                setattr(os, name, real)
                self.assertEqual([ask["state"] for ask in looop.read_asks(self.opened) if ask["state"] == "open"], [])
                self.assertEqual(looop.await_answer(self.opened, number, 0.5)["answer"], "yes", (name, step))
                looop.archive_asks(self.opened, [[number, "yes"]])
                self.assertEqual(looop.read_asks(self.opened), [])
                self.assertEqual([name for name in os.listdir(self.path("asks")) if name.startswith(str(number))], [])

    def test_a_flag_comes_down_though_who_answered_died_before(self):
        self.worker("w")
        asking = self.start("ask", "which?", "--session", "w")
        wait_until(lambda: self.ls()["w"]["note"] == "asks: which?", "its flag, which comes after the ask")
        looop.give_answer(self.opened, 1, "answered", "this")
        self.assertEqual(asking.communicate(timeout=120)[0], b"this\n")
        self.assertIsNone(self.ls()["w"]["note"])

    def test_what_hinders_the_telling_does_not_hinder_the_asking(self):
        self.worker("w")
        self.config("{")
        asking = self.start("ask", "which?", "--session", "w")
        wait_until(self.asks, "the ask")
        looop.give_answer(self.opened, 1, "answered", "this")
        out, err = asking.communicate(timeout=120)
        self.assertEqual((out, asking.returncode), (b"this\n", 0))
        self.assertIn(b"warning: config: ", err)
        self.assertIn("is flagged", self.looop("flag", "w", "look"))

    def test_who_was_stopped_with_a_lock_holds_nobody_up(self):
        os.makedirs(self.path("asks"), mode=0o700)
        self.addCleanup(setattr, looop, "BRIEF", looop.BRIEF)
        looop.BRIEF = 0.1
        with self.opened.lock("asks"), self.assertRaisesRegex(looop.Failure, rf"is held by pid {os.getpid()}"):
            looop.put_question(self.opened, None, "which?")
        with self.opened.lock("claims"), self.assertRaisesRegex(looop.Failure, "is held by"):
            looop.drop_claim(self.opened, "x", "", time.time())
        self.assertEqual(looop.put_question(self.opened, None, "which?"), 1)

    def test_a_secret_is_written_into_no_flag_and_no_pause(self):
        self.worker("w")
        secret = {"MY_TOKEN": "s3cret-value"}
        self.looop("flag", "w", "it is", "s3cret-value", env=secret)
        self.looop("pause", "1h", "because of s3cret-value", env=secret)
        self.assertEqual(self.ls()["w"]["note"], "it is [MY_TOKEN]")
        self.assertEqual(self.json("pause.json")["why"], "because of [MY_TOKEN]")

    def test_outside_of_a_session(self):
        process = self.start("ask", "deploy?")
        wait_until(self.asks, "the ask")
        self.looop("answer", "1", "no")
        self.assertEqual(process.communicate(timeout=120)[0], b"no\n")
        self.looop("ask", "deploy?", "--session", "nobody", code=1)
        self.looop("ask", " ", code=2)


class Checks(Workers):
    def finish(self, check, name="w", code=0):
        self.worker(name, "--verify", check, command=f"exit {code} # {{{{prompt_file}}}}")
        self.looop("wait", name, code=None)

    def test_it_is_run_once_where_the_worker_ran(self):
        where = os.path.join(self.home, "work")
        os.mkdir(where)
        self.worker("w", "--cwd", where, "--verify", "echo run >> log; echo fine", command="exit # {{prompt_file}}")
        self.looop("wait", "w")
        self.assertEqual((self.ls()["w"]["verify"], self.ls()["w"]["health"]), ("pending", "unchecked"))
        self.tick()
        self.assertEqual((self.ls()["w"]["verify"], self.ls()["w"]["health"]), ("pass", "done"))
        self.assertRegex(self.prompt(), r"- w: done, ended with 0 \d+ s ago, its check passed, \d+ s old\.?")
        self.write("goals/g.md", "g\n")
        self.tick()
        with open(os.path.join(where, "log")) as file:
            self.assertEqual(file.read(), "run\n")

    def test_one_that_fails_is_told_with_its_words(self):
        self.finish("echo one test is red; exit 3")
        self.tick()
        self.assertEqual((self.ls()["w"]["verify"], self.ls()["w"]["health"]), ("fail", "failed"))
        self.assertIn("exit 3: one test is red", self.prompt())
        self.assertEqual(self.events("verified")[0]["verdict"], "fail")
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_one_that_hangs_is_ended_with_its_tree(self):
        before = looop.VERIFY_TIME
        self.addCleanup(setattr, looop, "VERIFY_TIME", before)
        looop.VERIFY_TIME = 0.3
        self.finish("sleep 100 & sleep 100")
        os.chdir(self.data)
        self.addCleanup(os.chdir, looop.__file__.rpartition("/")[0])
        looop.verify_ended(self.opened)
        self.assertEqual(looop.read_session(self.opened, "w").verify, "fail")
        self.assertIn("not done", self.json("sessions", "w", "verify.json")["why"])

    def test_one_that_was_interrupted_has_failed_and_is_not_repeated(self):
        self.finish(f"echo run >> {self.home}/log; sleep 100")
        process = self.start("tick")
        wait_until(lambda: os.path.exists(f"{self.home}/log"), "the check")
        process.kill()
        process.wait()
        self.tick()
        with open(f"{self.home}/log") as file:
            self.assertEqual(file.read(), "run\n")
        self.assertIn("it is not repeated", self.json("sessions", "w", "verify.json")["why"])

    def test_a_person_who_ends_the_beat_undoes_the_check(self):
        self.finish(f"echo run >> {self.home}/log; test -e {self.home}/go || sleep 100")
        process = self.start("tick")
        wait_until(lambda: os.path.exists(f"{self.home}/log"), "the check")
        self.terminate(process)
        self.assertEqual(self.ls()["w"]["verify"], "pending")
        open(f"{self.home}/go", "w").close()
        self.tick()
        self.assertEqual(self.ls()["w"]["verify"], "pass")

    def test_who_takes_the_id_while_the_check_runs_does_not_inherit_it(self):
        self.finish(f"echo run >> {self.home}/log; until test -e {self.home}/go; do sleep 0.05; done")
        process = self.start("tick")
        wait_until(lambda: os.path.exists(f"{self.home}/log"), "the check")
        self.finish(f"echo again >> {self.home}/log; exit 1")
        open(f"{self.home}/go", "w").close()
        process.communicate(timeout=120)
        self.assertEqual(self.ls()["w"]["verify"], "pending")
        self.tick()
        self.assertEqual(self.ls()["w"]["verify"], "fail")
        with open(f"{self.home}/log") as file:
            self.assertEqual(file.read(), "run\nagain\n")

    def test_who_is_pruned_while_the_check_runs_fails_no_beat(self):
        self.finish(f"echo run >> {self.home}/log; until test -e {self.home}/go; do sleep 0.05; done")
        process = self.start("tick", "--json")
        wait_until(lambda: os.path.exists(f"{self.home}/log"), "the check")
        self.looop("prune")
        open(f"{self.home}/go", "w").close()
        self.assertEqual(json.loads(process.communicate(timeout=120)[0])["outcome"], "noop")

    def test_the_check_of_a_move_is_held_to_the_gate(self):
        self.worker("x")
        move = {"move": "start_worker", "id": "y", "prompt": "p", "verify": "git push --force"}
        self.replies(move, interactive="cat {{prompt_file}}")
        self.assertEqual(self.tick()["outcome"], "proposed")
        self.assertEqual(self.asks()[0]["command"], "git push --force")
        self.assertNotIn("y", self.ls())


@heavy
class Direct(Workers):
    """What a runner with tools of its own may do in one beat."""

    def direct(self, script):
        path = os.path.join(self.home, "direct.sh")
        with open(path, "w") as file:
            file.write("cat >/dev/null\n" + script)
        self.runner(f"bash {path}", mode="direct")
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            config = json.load(file)
        config["runners"]["fake"]["interactive"] = "sleep 100 # {{prompt_file}}"
        self.config(config)
        return self.tick()

    def test_a_second_move_is_refused(self):
        out = self.direct('"$LOOOP_BIN" start-session one "a task"; "$LOOOP_BIN" start-session two "a task"; true')
        self.assertEqual(out["outcome"], "acted")
        self.assertEqual(list(self.ls()), ["one"])
        self.assertEqual(len(self.journal()), 1)
        self.assertRegex(self.journal()[0], r"fake acted: start-session one a task \[no journal line\]$")
        self.assertIn(
            "this beat has made its move (start-session one a task)", self.read("runs", out["run"], "stderr.log")
        )
        self.assertEqual(self.tick()["outcome"], "unchanged", "its own worker wakes nobody")

    def test_its_own_worker_wakes_nobody_wherever_its_id_stands(self):
        self.direct('"$LOOOP_BIN" start-session --verify true one "a task"')
        self.assertEqual(list(self.ls()), ["one"])
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_what_another_worker_does_meanwhile_wakes(self):
        self.looop("start-session", "w", "a task", "--command", "cat")
        self.looop("start-session", "w2", "a task", "--command", "cat")
        flag = f"env -u LOOOP_RUN_ID {' '.join(map(looop.quoted, self.command('flag', 'w2', 'help')))}"
        self.direct(f'"$LOOOP_BIN" flag w mine; {flag}')
        self.assertIn("worker w2 is flagged: help", self.tick()["reason"])

    def test_it_does_not_speak_for_the_session_that_the_beat_is_run_in(self):
        self.looop("start-session", "box", "--command", "cat")
        self.env["LOOOP_SESSION_ID"] = "box"
        self.assertEqual(self.direct('"$LOOOP_BIN" ask "which one?"')["outcome"], "acted")
        self.assertEqual([ask["session"] for ask in self.asks()], [None])

    def test_what_failed_was_no_move(self):
        self.direct('"$LOOOP_BIN" send nobody hi; "$LOOOP_BIN" ask "which one?"; echo done')
        self.assertEqual([ask["question"] for ask in self.asks()], ["which one?"])
        self.assertEqual(self.tick()["outcome"], "unchanged", "its own ask wakes nobody")

    def test_a_beat_that_is_over_has_no_move(self):
        out = self.direct("echo nothing")
        self.looop("start-session", "w", "--command", "true", env={"LOOOP_RUN_ID": out["run"]}, code=1)
        self.assertIn("is over", self.stderr)

    def test_a_limit_and_a_pause_hold_its_workers_too(self):
        self.env["LOOOP_MAX_WORKERS"] = "1"
        self.looop("start-session", "mine", "a task", "--command", "cat")
        out = self.direct('"$LOOOP_BIN" start-session one "a task" || echo no')
        self.assertIn("1 worker alive, and 1 are allowed: mine", self.read("runs", out["run"], "stderr.log"))
        self.looop("start-session", "more", "--command", "cat")
        self.looop("pause", "1h")
        child = {"LOOOP_CHILD": "1", "LOOOP_MAX_WORKERS": "9"}
        self.looop("start-session", "two", "--command", "cat", env=child, code=1)
        self.assertIn("paused", self.stderr)

    def test_more_than_one_change_is_said(self):
        self.direct("echo a > goals/a.md; echo b > goals/b.md; echo '- 2026-01-02 03:04 wrote a' >> journal.md")
        self.assertEqual(len(self.journal()), 1)
        self.assertRegex(self.journal()[0], r"fake acted: goal a, goal b \[2 moves\] — wrote a$")
        self.assertIn("2 moves in one beat", self.stderr)

    def test_an_edit_of_the_person_beside_its_own_move_is_seen(self):
        self.profile(goals={"mine": "1\n"})
        self.direct('"$LOOOP_BIN" start-session one "a task" >/dev/null; echo 2 > goals/mine.md')
        self.assertNotEqual(self.tick()["outcome"], "unchanged")

    def test_a_rewritten_journal_is_put_back(self):
        self.replies({"move": "noop", "journal": "the first line"})
        self.tick()
        before = self.journal()
        self.write("goals/z.md", "z\n")
        self.direct("echo '- 2026-01-02 03:04 did it' > journal.md")
        self.assertEqual(self.journal()[:-1], before)
        self.assertRegex(self.journal()[-1], "^- .{16} fake acted — did it$")
        self.assertIn("put back", self.stderr)


if __name__ == "__main__":
    unittest.main()
