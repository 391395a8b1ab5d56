"""People: asks, answers, approvals of exact bytes, pauses; and the money gates that turn to them."""

import json
import os
import signal
import time

import looop
from tests.support import CAPTURED, Case, heavy, needs_walls, wait_until


class AskingCase(Case):
    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})

    def asks(self):
        return json.loads(self.looop("asks", "--json"))


class Asking(AskingCase):
    def test_a_question_its_answer_and_the_next_prompt(self):
        out = self.beat(
            {"move": "ask", "question": "Which\ncolour?", "options": ["red", "blue"], "ref": "reports/x.md"}
        )
        self.assertEqual(out["outcome"], "acted")
        self.assertIn("asked, as ask 1: Which colour?", out["journal"])
        ask = self.asks()[0]
        keys = "n kind session question options ref command diff run at state answer text context digest shadow where"
        self.assertEqual(set(ask), set(keys.split()))
        self.assertEqual((ask["n"], ask["kind"], ask["state"], ask["options"]), (1, "ask", "open", ["red", "blue"]))
        self.assertEqual(ask["ref"], "reports/x.md")
        self.assertEqual(self.tick()["outcome"], "unchanged", "its own question does not wake it")
        self.assertIn("looop answer 1 TEXT", self.looop("asks"))
        self.assertEqual(json.loads(self.looop("status", "--json"))["asks"], 1)
        self.looop("answer", "1", "red,", "of", "course")
        self.looop("answer", "1", "blue", code=1)
        self.assertIn("was answered already (red, of course)", self.stderr)
        self.looop("answer", "1", "-", "--force", stdin=b"blue\n")
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["reason"], "ask 1 was answered: blue")
        self.assertIn("answer: blue\n", self.prompt())
        self.assertEqual(self.asks(), [])
        self.assertEqual(self.tick()["outcome"], "unchanged", "what was read is gone from the world")
        self.looop("answer", "1", "late", code=1)
        self.assertIn("was answered and read (blue)", self.stderr)
        self.looop("answer", "7", "x", code=1)
        self.assertIn("there is no such ask: nothing is asked", self.stderr)

    def test_an_answer_is_one_of_the_options(self):
        self.beat({"move": "ask", "question": "How?", "options": ["tabs", "Two spaces", "Two tabs"]})
        for text in ("both", "two", "tabsy"):
            self.looop("answer", "1", text, code=1)
            self.assertIn(f"`{text}` is not one of its options: tabs | Two spaces | Two tabs", self.stderr)
            self.assertIn("looop answer 1 --any TEXT", self.stderr)
        for words, answer in (
            (("TABS",), "tabs"),
            (("two", "s"), "Two spaces"),
            (("t", "--force", "--any"), "t"),
            (("ta",), "tabs"),
            (("tabs,", "of", "course"), "tabs, of course"),
        ):
            self.assertIn(f"ask 1: answered: {answer}; ", self.looop("answer", "1", *words, "--force"))
            self.assertEqual(self.asks()[0]["answer"], answer)

    def test_what_costs_nobody_knows_and_nobody_meters_is_no_unknown_price(self):
        self.replies({"move": "noop"})
        self.assertRegex(self.looop("tick"), "; fake, unmetered; tick-")
        self.replies("prose")
        self.write("goals/a.md", "new\n")
        self.assertRegex(self.looop("tick", code=1), "; unmetered; tick-")

    def test_the_flag_of_an_ended_session_leads_to_its_log(self):
        self.looop("start-session", "w", "--command", "cat")
        self.looop("flag", "w", "look")
        self.assertIn("looop attach w · looop unflag w", self.looop("asks"))
        self.looop("kill", "w")
        self.assertIn("looop log w · looop unflag w", self.looop("asks"))

    def test_an_answer_waits_for_a_decider_that_succeeds(self):
        self.beat({"move": "ask", "question": "Which?"})
        self.looop("answer", "1", "this")
        self.assertEqual(self.beat("no thanks")["outcome"], "failed")
        self.assertEqual(self.asks()[0]["state"], "answered")
        self.tick(env={"LOOOP_RUNNER": "builtin"})
        self.assertEqual(len(self.asks()), 1, "the built-in decider reads nothing")
        self.beat({"move": "noop"})
        self.assertIn("answer: this", self.prompt())
        self.assertEqual(self.asks(), [])

    def test_one_ask_of_many_is_shown_alone(self):
        for question in ("Which?", "Why?"):
            self.beat({"move": "ask", "question": question})
        self.looop("start-session", "w", "--command", "cat")
        self.looop("flag", "w", "look")
        self.assertIn("Why?", self.looop("asks", "2"))
        self.assertEqual(self.looop("asks", "2").count("looop answer"), 1)
        self.assertEqual([ask["n"] for ask in json.loads(self.looop("asks", "1", "--json"))], [1])
        self.looop("asks", "3", code=1)
        self.assertIn("ask 3: there is no such ask: the asks are: 1, 2", self.stderr)

    def test_a_push_becomes_a_proposal_and_runs_exactly_once(self):
        command = "printf '%s\\n' \"a  b\" 'c\td' >> ran; echo git push"
        out = self.beat({"move": "shell", "command": command, "reversible": False})
        self.assertEqual(out["outcome"], "proposed")
        self.assertFalse(os.path.exists(self.path("ran")))
        ask = self.asks()[0]
        self.assertEqual((ask["kind"], ask["command"]), ("proposal", command))
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertEqual(self.beat()["outcome"], "proposed")
        self.assertEqual(len(self.asks()), 1, "the same again is the same proposal")
        out = self.approve(1)
        self.assertIn("approved by you (ask 1): ran ", out)
        self.assertEqual(self.read("ran"), "a  b\nc\td\n")
        for _ in range(2):
            self.approve(1, code=1)
            self.assertIn("was answered already (approved): what was approved once is not done again", self.stderr)
        self.assertEqual(self.read("ran"), "a  b\nc\td\n")
        self.assertIn("approved by you (ask 1): ran ", self.journal()[-1])
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["reason"], "ask 1 was approved")
        self.assertIn("answer: approved\n", self.prompt())
        self.assertIn("result:\n|   | > exit 0\n", self.prompt())
        self.approve(1, code=1)

    def test_a_proposal_beside_others_that_wait_is_its_own_and_made_once(self):
        self.beat({"move": "ask", "question": "Which?"})
        self.beat({"move": "shell", "command": "git push", "reversible": True})
        push_tags = {"move": "shell", "command": "git push --tags", "reversible": True}
        self.assertIn("proposed, as ask 3: git push --tags", self.beat(push_tags)["journal"])
        again = self.beat(push_tags)
        self.assertEqual(again["outcome"], "proposed")
        self.assertIn("still waits for ask 3: git push --tags", again["journal"])
        self.assertEqual([ask["command"] for ask in self.asks()], [None, "git push", "git push --tags"])

    def read_config(self):
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            return file.read()

    @heavy
    def test_always_writes_a_rule_into_the_config(self):
        self.gate = {"deny": ["git push *"]}
        self.beat({"move": "shell", "command": "npm test -s", "reversible": False})
        before = json.loads(self.read_config())
        out = self.approve(1, "--always").splitlines()
        self.assertEqual(out[0], "with it goes a rule for gate.allow: npm test *")
        self.assertIn("approved by you (ask 1): ran", out[1])
        self.assertRegex(out[2], r"^gate\.allow: wrote `npm test \*` into .*looop\.json")
        before["gate"]["allow"] = [{"rule": "npm test *", "example": "npm test -s"}]
        self.assertEqual(json.loads(self.read_config()), before)
        self.looop("config", "check")
        self.assertIn("known  gate.allow: npm test *", self.looop("gate", "npm test x"))
        ask = {
            "n": 2,
            "command": "npm test -v",
            "move": {"move": "shell", "command": "npm test -v", "reversible": True},
        }
        profile = looop.open_profile(self.env, looop.__file__)
        self.assertIn(
            "has `npm test *` already", looop.allow_rule(profile, looop.rule_for(profile, ask, ""), "npm test -v")
        )
        self.assertEqual(json.loads(self.read_config()), before)

    def test_the_rule_of_always(self):
        profile = looop.open_profile(self.env, looop.__file__)
        for command, given, rule in (
            ("npm test -- --x", "", "npm test *"),
            ("docker compose logs web -f", "", "docker compose logs *"),
            ("./check.sh -v", "", "./check.sh -v"),
            ("kubectl -n dev port-forward svc/x 8080:80", "", "kubectl -n dev port-forward svc/x 8080:80"),
            ("curl -s https://x.example", "", "curl -s https://x.example"),
            ("git -C /x fetch", "", "git -C /x fetch"),
            ("make -C /x test", "", "make -C /x test"),
            ("tar -xf x.tar", "", "tar -xf x.tar"),
            ("pip install -r f", "", "pip install -r f"),
            ("mise exec -- x", "", "mise exec -- x"),
            ("podman run -it x", "", "podman run -it x"),
            ("uv run x", "", "uv run x *"),
            ("terraform apply -auto-approve", "", "terraform apply -auto-approve"),
            ("git push origin main", "", "git push origin main"),
            ("git push origin main", "git push origin *", "git push origin *"),
            ("make", "", "make"),
            ("python3 -c 'print(1)'", "", "python3 -c 'print(1)'"),
            ("npm test 2>&1", "", "npm test *"),
        ):
            ask = {"n": 1, "move": {"move": "shell", "command": command, "reversible": True}}
            found = looop.rule_for(profile, ask, given)
            self.assertEqual(found.text, rule)
            self.assertEqual(looop.judge_command(command, [found]).verdict, "known")
        for command, given in (
            *(
                ("npm test > x", ""),
                ("npm test $X", ""),
                ("npm test && npm x", ""),
                ("rm *", ""),
                ("npm test | cat", ""),
                ("pytest tests/*.py", ""),
            ),
            *(("npm test", "npm run *"), ("bash x.sh", "bash *"), ("npm test", "*"), ("X=1 npm test\nls", "")),
        ):
            ask = {"n": 1, "move": {"move": "shell", "command": command, "reversible": True}}
            with self.assertRaises(looop.Failure, msg=command) as caught:
                looop.rule_for(profile, ask, given)
            self.assertIn("approve --always: ", caught.exception.message)

    @heavy
    def test_no_rule_runs_what_a_confined_command_can_change(self):
        src, tools = f"{self.home}/src", f"{self.home}/tools"
        os.mkdir(src)
        os.mkdir(tools)
        os.symlink(f"{src}/tool", f"{tools}/tool")
        with open(f"{src}/tool", "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(f"{src}/tool", 0o755)
        self.env["PATH"] = f"{tools}:{self.env['PATH']}"
        self.gate = {"folders": [src], "allow": ["true *", "tool run *"]}
        os.makedirs(self.path("reports"), exist_ok=True)
        os.symlink("reports", self.path("link"))
        self.replies({"move": "noop"})
        for command in (
            *("true reports/x.py", "true --file=reports/x.py", "true -freports/x.py", "true ~/src/x", f"true {src}/x"),
            *("true ./reports/x", "true 'reports/x y'", "true rep'orts'/x", "true link/x", "true -C reports x"),
            *(
                "true */x.py",
                "true -C rep* x",
                f"true {self.home}/*/x",
                "true -m reports.x",
                "tool run x",
                "true scratch/x",
            ),
        ):
            out = self.looop("gate", command)
            self.assertRegex(out, "^confined .*a confined command can change .*: no rule of gate.allow holds", command)
        for command in ("true x", "true goals/a.md", "true *.py", "true /etc/hosts"):
            self.assertIn("known  gate.allow: true *", self.looop("gate", command))
        self.gate = {"folders": [src]}
        self.beat({"move": "shell", "command": "npm run reports/x.py", "reversible": False})
        self.approve(1, "--always", code=1)
        self.assertIn("a confined command can change reports/x.py: no rule holds for it", self.stderr)

    def test_a_rule_runs_no_program_that_a_confined_command_wrote(self):
        src = f"{self.home}/src"
        os.mkdir(src)
        with open(f"{src}/helper", "w") as file:
            file.write(f"#!/bin/sh\ntouch {self.data}/evil\n")
        os.chmod(f"{src}/helper", 0o755)
        self.env["PATH"] = f"{src}:{self.env['PATH']}"
        self.write("run.sh", "helper\n")
        self.gate = {"folders": [src], "allow": ["sh run.sh"]}
        out = self.beat({"move": "shell", "command": "sh run.sh", "reversible": True})
        self.assertIn("not found", self.read("runs", out["run"], "shell.log"))
        self.assertFalse(os.path.exists(self.path("evil")))

    def test_always_is_for_shell_moves(self):
        self.beat({"move": "write_playbook", "body": "# mine\n"})
        self.approve(1, "--always", code=1)
        self.assertIn("ask 1 runs no shell move", self.stderr)
        self.gate = {"shell": "always"}
        self.beat({"move": "shell", "command": "ls", "reversible": True})
        self.approve(2, "--always", code=1)
        self.assertIn("gate.shell is always", self.stderr)
        self.approve(2, "--always", "--edit", code=2)
        self.assertEqual([ask["state"] for ask in self.asks()], ["open", "open"])
        self.assertNotIn("allow", self.read_config())

    def test_a_refusal_reaches_the_decider(self):
        self.beat({"move": "shell", "command": "git push", "reversible": True})
        self.assertIn("irreversible", self.looop("asks"))
        self.looop("answer", "1", "yes", code=1)
        self.assertIn("is a proposal: looop approve 1", self.stderr)
        self.looop("reject", "1", "not", "on", "a", "Friday")
        self.approve(1, code=1)
        self.replies({"move": "noop"})
        self.tick()
        self.assertIn("answer: rejected: not on a Friday\n", self.prompt())

    def test_a_question_is_not_approved_and_can_be_refused(self):
        self.beat({"move": "ask", "question": "Which?"})
        self.approve(1, code=1)
        self.assertIn("is a question, not a proposal: looop answer 1 TEXT", self.stderr)
        self.looop("reject", "1", "none of your business")
        self.assertEqual(self.asks()[0]["answer"], "rejected: none of your business")

    def test_kill_9_between_approval_and_end(self):
        self.beat({"move": "shell", "command": "echo x >> ran; touch begun; sleep 300", "reversible": False})
        approve = self.start("approve", "1", self.digest(1))
        wait_until(lambda: os.path.exists(self.path("begun")), "the effect")
        approve.kill()
        approve.wait()
        self.replies({"move": "noop"})
        self.tick()
        self.assertIn("# INTERRUPTED", self.prompt())
        self.approve(1, code=1)
        self.assertEqual(self.read("ran"), "x\n")
        self.assertEqual(len([line for line in self.journal() if "interrupted" in line]), 1)

    def test_a_playbook_is_proposed_as_a_diff(self):
        self.write("PLAYBOOK.md", "one\ntwo\n")
        out = self.beat({"move": "write_playbook", "body": "one\n2\n"})
        self.assertEqual(out["outcome"], "proposed")
        self.assertEqual(self.read("PLAYBOOK.md"), "one\ntwo\n")
        self.assertIn("\n-two\n+2\n", self.asks()[0]["diff"])
        self.assertIn("    +2\n", self.looop("asks"))
        self.write("PLAYBOOK.md", "one\ntwo\nthree, by the person\n")
        self.assertIn("PLAYBOOK.md was changed since", self.looop("asks"))
        self.approve(1, code=1)
        self.assertIn("approving would write over it", self.stderr)
        self.assertIn("three", self.read("PLAYBOOK.md"))
        self.approve(1, "--force")
        self.assertEqual(self.read("PLAYBOOK.md"), "one\n2\n")
        kept = os.listdir(self.path("playbook.d"))
        self.assertIn("three", self.read("playbook.d", kept[0]))
        self.replies({"move": "noop"})
        self.assertNotIn("playbook", self.tick()["reason"], "what a person approved wakes by its answer alone")
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_a_sensor_that_pushes_is_proposed(self):
        body = "#!/bin/sh\ngit push\necho '{\"signal\":1}'\n"
        self.assertEqual(self.beat({"move": "write_sensor", "name": "s", "body": body})["outcome"], "proposed")
        self.assertFalse(os.path.exists(self.path("sensors/s.sh")))
        self.approve(1)
        self.assertEqual(self.read("sensors/s.sh"), body)
        self.beat({"move": "write_sensor", "name": "s", "body": body.replace("1", "2")})
        self.write("sensors/s.sh", "echo '{}' # the person's\n")
        self.approve(2, code=1)
        self.assertIn("s.sh was changed since, and approving would write over it", self.stderr)
        self.assertEqual(self.read("sensors/s.sh"), "echo '{}' # the person's\n")
        self.approve(2, "--force")
        self.assertEqual(self.read("sensors/s.sh"), body.replace("1", "2"))

    def test_a_direct_runner_does_not_get_past_the_playbook_gate(self):
        self.runner("cat >/dev/null; echo push freely > PLAYBOOK.md; echo done", "direct")
        self.beat()
        self.assertEqual(self.read("PLAYBOOK.md"), "# PLAYBOOK\n")
        ask = self.asks()[0]
        self.assertIn("+push freely", ask["diff"])
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.approve(1)
        self.assertEqual(self.read("PLAYBOOK.md"), "push freely\n")

    def test_no_run_answers_itself(self):
        self.beat({"move": "shell", "command": "echo x >> ran", "reversible": False})
        self.runner(
            'cat >/dev/null; "$LOOOP_BIN" approve 1; "$LOOOP_BIN" reject 1; "$LOOOP_BIN" resume; echo tried', "direct"
        )
        out = self.beat()
        self.assertEqual(out["outcome"], "acted")
        errors = self.read("runs", out["run"], "stderr.log")
        for verb in ("approve", "reject", "resume"):
            self.assertIn(f"looop: {verb}: only a person may run it (LOOOP_RUN_ID is {out['run']})", errors)
        self.assertEqual(self.asks()[0]["state"], "open")
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_waiting_for_an_ask(self):
        self.looop("asks", "--wait", "200ms", code=124)
        waiting = self.start("asks", "--wait", "--json")
        self.beat({"move": "ask", "question": "Which?"})
        self.assertEqual(waiting.wait(120), 0)
        self.assertEqual(json.loads(waiting.stdout.read())[0]["question"], "Which?")

    @heavy
    def test_two_answers_at_once_are_one(self):
        for number in range(1, 9):
            self.beat({"move": "ask", "question": f"Which {number}?"})
            started = [self.start("answer", str(number), f"answer{i}") for i in range(3)]
            self.assertEqual(sorted(process.wait(120) for process in started), [0, 1, 1])

    def test_the_person_is_told_once_also_by_a_command(self):
        said = os.path.join(self.home, "said")
        self.runner('cat >/dev/null; echo \'{"move":"ask","question":"Which?"}\'', notify=f"cat >> {said}")
        self.beat()
        self.assertIn("NEEDS YOU\n  ask 1: Which? `looop answer 1 TEXT`\n", self.stderr)
        for _ in range(2):
            self.assertEqual(self.tick()["outcome"], "unchanged")
            self.assertEqual(self.stderr, "")
        with open(said) as file:
            self.assertEqual(file.read(), "ask 1: Which? `looop answer 1 TEXT`\n")
        self.assertEqual(len(self.events("needs_you")), 1)

    @needs_walls
    def test_untrusted_readings_gate_every_shell_move_when_the_config_says_so(self):
        move = json.dumps({"move": "shell", "command": "touch ran", "reversible": True})
        self.runner(f"cat >/dev/null; echo '{move}'", gate={"shell": "untrusted"})
        self.assertEqual(self.beat()["outcome"], "acted")
        self.sensor("s", "# x\necho '{}'")
        self.assertEqual(self.beat()["outcome"], "proposed")
        self.looop("sensor", "trust", "s")
        self.looop("reject", "1")
        self.beat({"move": "noop"})  # it reads that, of a question that a tainted beat wrote
        other = move.replace("ran", "run")  # a no stays a no
        self.runner(f"cat >/dev/null; echo '{other}'", gate={"shell": "untrusted"})
        self.assertEqual(self.beat()["outcome"], "acted")

    def test_an_ask_that_cannot_be_read_is_shown_not_forgotten(self):
        self.beat({"move": "ask", "question": "Which?"})
        self.write("asks/1.json", "{broken")
        self.assertIn("asks/1.json cannot be read", self.looop("asks"))
        self.assertEqual(self.beat({"move": "noop"})["outcome"], "noop")
        self.looop("answer", "1", "main")
        self.assertEqual(self.beat({"move": "noop"})["outcome"], "noop")
        self.assertIn("answer: main", self.prompt())
        self.assertEqual(self.looop("asks"), "nothing is asked\n", "an answer is the way out")

    def test_an_ask_that_is_put_away_while_it_is_read_is_gone(self):
        profile = looop.open_profile(self.env, __file__)
        for again in (False, True):
            self.beat({"move": "ask", "question": "Which?"})
            number = looop.ask_numbers(profile, "asks")[-1]
            looop.give_answer(profile, number, "answered", "this")
            listed = looop.read_ask if again else looop.ask_numbers

            def put_away(*args, number=number, listed=listed):
                setattr(looop, listed.__name__, listed)
                found = listed(*args)
                looop.archive_asks(profile, [[number, "this"]])
                return found

            setattr(looop, listed.__name__, put_away)
            self.addCleanup(setattr, looop, listed.__name__, listed)
            self.assertEqual(looop.read_asks(profile), [])


class Around(AskingCase):
    """Ways round the person that were found once."""

    @needs_walls
    def test_nothing_that_looop_starts_speaks_for_the_person(self):
        self.beat({"move": "shell", "command": "echo x >> ran", "reversible": False})
        tried = 'L=$LOOOP_BIN; for v in "approve 1" "reject 1" "answer 1 x" resume "run a" tick; do $L $v; done'
        out = self.beat({"move": "shell", "command": tried, "reversible": True})
        self.assertEqual(out["outcome"], "acted")
        log = self.read("runs", out["run"], "shell.log")
        self.assertEqual(log.count("only a person may run it"), 6, log)
        self.sensor("s", 'r=$("$LOOOP_BIN" approve 1 2>&1); printf \'{"signal":"%s"}\' "${r:0:60}"')
        self.beat()
        self.assertIn("only a person may run it", self.json("snapshots", "sensor-s.json")["signal"])
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_a_shell_move_does_not_rewrite_the_playbook(self):
        self.gate = {"shell": "never"}
        self.write("t.txt", "hacked\n")
        out = self.beat({"move": "shell", "command": "sort -o P*K.md t.txt", "reversible": True})
        self.assertIn("[it changed the PLAYBOOK: put back]", out["journal"])
        self.assertEqual(self.read("PLAYBOOK.md"), "# PLAYBOOK\n")
        self.assertIn("+hacked", self.asks()[0]["diff"])

    def test_kill_9_does_not_get_a_direct_runner_past_the_gate(self):
        self.runner("cat >/dev/null; echo HACKED > PLAYBOOK.md; touch begun; sleep 300", "direct")
        tick = self.start("tick")
        wait_until(lambda: os.path.exists(self.path("begun")), "the runner")
        tick.kill()
        tick.wait()
        self.replies({"move": "noop"})
        self.tick()
        self.assertEqual(self.read("PLAYBOOK.md"), "# PLAYBOOK\n")
        self.assertIn("+HACKED", self.asks()[0]["diff"])

    def test_an_answer_replaced_while_the_decider_read_the_old_one_is_not_lost(self):
        self.beat({"move": "ask", "question": "Which?"})
        self.looop("answer", "1", "red")
        go = os.path.join(self.home, "go")
        self.runner(f'touch {go}.started; while [ ! -e {go} ]; do sleep 0.01; done; echo \'{{"move":"noop"}}\'')
        tick = self.start("tick")
        wait_until(lambda: os.path.exists(go + ".started"), "the runner")
        self.looop("answer", "1", "blue", "--force")
        self.write(go, "")
        self.assertEqual(tick.wait(120), 0)
        self.replies({"move": "noop"})
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn("answer: blue\n", self.prompt())
        self.assertEqual((self.asks(), self.tick()["outcome"]), ([], "unchanged"))

    def test_a_secret_in_a_proposal_is_refused_not_rewritten(self):
        env = {"MONKEY": "worktree1"}
        out = self.beat({"move": "shell", "command": "git push origin worktree1", "reversible": True}, env=env)
        self.assertEqual(out["outcome"], "failed")
        self.assertIn("holds a secret", out["reason"])
        self.assertEqual(self.asks(), [])

    def test_a_pause_while_the_runner_decides_stops_the_act(self):
        self.gate = {"shell": "never"}
        go = os.path.join(self.home, "go")
        move = json.dumps({"move": "shell", "command": "touch ran", "reversible": True})
        self.runner(f"touch {go}.started; while [ ! -e {go} ]; do sleep 0.01; done; echo '{move}'")
        tick = self.start("tick", "--json")
        wait_until(lambda: os.path.exists(go + ".started"), "the runner")
        self.looop("pause", "1h", "stop")
        self.write(go, "")
        out = json.loads(tick.communicate(timeout=120)[0])
        self.assertEqual((out["outcome"], tick.returncode), ("held", 0))
        self.assertIn("a person paused the loop", out["reason"])
        self.assertFalse(os.path.exists(self.path("ran")))
        state = self.json("state.json")
        self.assertEqual((state["failure"], state["open"], state["hash"]), (None, None, ""), "it is no failed beat")
        self.assertEqual([row["run"] for row in self.ledger()], [out["run"]], "the call is in the ledger")
        self.assertIn("held", self.looop("why", out["run"]))
        self.assertEqual(json.loads(self.looop("status", "--json"))["last_tick"]["outcome"], "held")
        self.assertEqual(self.tick()["outcome"], "held")
        self.looop("resume")
        self.assertEqual(self.tick()["outcome"], "acted")
        self.assertEqual((os.path.exists(self.path("ran")), len(self.journal())), (True, 1))

    @heavy
    def test_odd_files_brick_nothing(self):
        self.beat({"move": "ask", "question": "Which?"})
        for name, body in (
            ("1.answer.json", "{}"),
            ("1.answer.json", "[]"),
            ("\u00b2.json", "{}"),
            ("7.json", '{"n":1,"options":[1]}'),
            ("8.json", '{"at":"x"}'),
            ("8.json", '{"at":"2026-01-02T03:04:05Z","question":"?","session":["w"]}'),
            ("8.json", '{"at":"2026-01-02T03:04:05Z","question":"?","session":5}'),
            ("8.json", '{"at":"2026-01-02T03:04:05Z","question":"?","session":{"w":1},"run":[1]}'),
            ("8.json", '{"at":"2026-01-02T03:04:05Z","question":"?","kind":"proposal","move":true}'),
            ("9.json", '{"kind":"proposal","at":"2026-01-02T03:04:05Z","question":"?"}'),
        ):
            self.write(f"asks/{name}", body)
            for words in (("asks",), ("status",), ("why", "now")):
                self.looop(*words)
            self.assertEqual(self.beat({"move": "noop"})["outcome"], "noop")
            os.unlink(self.path("asks", name)) if name[0] != "9" else None
        self.approve(9, code=1)
        self.assertIn("holds no move", self.stderr)
        for body in ("[]", "null", "3", '{"until":"x"}', '{"at":1}', '{"why":5}', '{"until":true}', '{"until":1e300}'):
            self.write("pause.json", body)
            self.assertEqual(self.beat()["outcome"], "held", body)
            self.looop("status")

    def test_a_folder_beside_the_playbooks_that_were_keeps_none_from_being_replaced(self):
        for number in range(25):
            os.makedirs(self.path("playbook.d"), mode=0o700, exist_ok=True)
            self.write(f"playbook.d/20250101-0000{number:02}-aaaa.md", "old\n")
        os.mkdir(self.path("playbook.d", "2025-notes"))
        self.beat({"move": "write_playbook", "body": "# better"})
        self.approve(1)
        self.assertEqual(self.read("PLAYBOOK.md"), "# better\n")
        kept = os.listdir(self.path("playbook.d"))
        self.assertEqual((len(kept), "2025-notes" in kept), (21, True))

    def test_a_proposal_of_a_forced_move_is_not_stale_at_once(self):
        self.beat({"move": "noop"})
        self.sensor("new", "echo '{\"signal\":1}'")
        self.replies({"move": "shell", "command": "git push", "reversible": True})
        self.assertEqual(self.tick(words=("run", "a"))["outcome"], "proposed")
        self.assertNotIn("has changed since", self.looop("asks"))


class Pausing(Case):
    def test_a_pause_that_ends_later_than_anything_is_refused(self):
        self.profile()
        self.looop("pause", "--until", "9999-12-31", code=2)
        self.assertIn("later than anything", self.stderr)
        self.assertFalse(os.path.exists(self.path("pause.json")))
        self.assertIn(" 2099 ", self.looop("pause", "--until", "2099-12-31"))

    def test_a_pause_holds_and_sensing_goes_on(self):
        self.profile(goals={"a": "0\n"}, sensors={"s": f"echo x >> {self.home}/sensed; echo '{{}}'"})
        self.looop("pause", "demo", "for", "the", "board")
        out = self.tick()
        self.assertEqual((out["outcome"], out["reason"]), ("held", "paused: by a person: demo for the board"))
        self.assertEqual(self.journal(), [])
        with open(os.path.join(self.home, "sensed")) as file:
            self.assertEqual(file.read(), "x\n")
        self.assertIn("paused until `looop resume`: demo", self.looop("status"))
        self.assertEqual(self.tick(words=("run", "a"), env={"LOOOP_RUNNER": "codex"})["outcome"], "held")
        self.looop("resume")
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn("was not paused", self.looop("resume"))

    def test_a_pause_ends_by_itself(self):
        self.profile(goals={"a": "0\n"})
        self.assertRegex(self.looop("pause", "2h", "lunch"), r"^paused until \d\d:\d\d\n$")
        held = self.tick()
        self.assertGreater(held["next_beat_s"], 7000)
        self.assertEqual(json.loads(self.looop("status", "--json"))["paused"]["why"], "lunch")
        self.write("pause.json", json.dumps({"at": 0, "until": time.time() - 1, "why": ""}))
        self.assertEqual(self.tick()["outcome"], "noop")
        self.looop("pause", "--until", "25:99", code=2)
        self.looop("pause", "--until", "09:00")
        before = self.read("pause.json")
        for words, hint in (
            ("1h30m", "write 90, 90s, 500ms, 15m, 2h, 3d or 1w; a time of day: --until 17:30"),
            ("17:30", "--until 17:30"),
            ("2hours lunch", "is not a duration"),
        ):
            self.assertEqual(self.looop("pause", *words.split(), code=2), "")
            self.assertIn(hint, self.stderr)
        self.assertEqual(self.read("pause.json"), before, "no reason, and no pause without an end")
        for words, why in (("2h 5 whys", "5 whys"), ("90 monkeys", "monkeys"), ("2h hours", "hours")):
            self.looop("pause", *words.split())
            self.assertEqual(self.json("pause.json")["why"], why)
        for words, span, why in (
            *(("2 hours", 7200, ""), ("90 sec. tea", 90, "tea"), ("2 Days off", 2 * 86400, "off"), ("", 0, "")),
            *(("1h 30m", 5400, ""), ("1 hour 30 min", 5400, ""), ("lunch 2h", 0, "lunch 2h"), ("2h 3x", 7200, "3x")),
        ):
            self.assertEqual(looop.pause_span(words.split()), (span, why.split()), words)
        self.assertEqual(self.tick()["outcome"], "held")
        self.write("pause.json", "{broken")
        self.assertIn("pause.json cannot be read", self.tick()["reason"])

    def test_a_pause_wakes_a_quiet_world_s_short_way_too(self):
        self.profile(goals={"a": "0\n"})
        self.tick()
        wait_until(lambda: self.tick()["outcome"] == "unchanged" and os.path.exists(self.path(".quiet")), ".quiet")
        self.looop("pause")
        self.assertEqual(self.tick()["outcome"], "held")
        self.looop("resume")
        self.assertEqual(self.tick()["outcome"], "unchanged")


class Money(Case):
    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})

    def priced(self, usd, **more):
        line = {
            "type": "result",
            "subtype": "success",
            "is_error": False,
            "result": '{"move":"noop"}',
            "total_cost_usd": usd,
        }
        path = os.path.join(self.home, "stream")
        with open(path, "w") as file:
            file.write(json.dumps(line))
        command = f"cat >/dev/null; echo x >> {self.home}/called; cat {path}"
        self.runner(command, unmetered=False, output="claude", **more)

    def why_now(self):
        return json.loads(self.looop("why", "now", "--json"))

    def called(self):
        path = os.path.join(self.home, "called")
        if not os.path.exists(path):
            return 0
        with open(path) as file:
            return len(file.read().split())

    def test_the_day_s_budget_with_its_reserve(self):
        self.priced(0.4, budget={"daily_usd": 1})
        self.assertEqual([self.beat()["outcome"] for _ in range(4)], ["noop", "noop", "held", "held"])
        self.assertEqual(self.called(), 2, "a third would have passed the ceiling")
        out = self.beat()
        self.assertIn(
            "$0.80 spent today, and about $0.40 for a decision would pass $1.00; raise budget.daily_usd", out["reason"]
        )
        held = self.events("held")[-1]
        self.assertEqual(held["gate"], "budget")
        until = looop.parse_utc(held["until"])
        self.assertTrue(0 < until - time.time() < 25 * 3600)
        self.assertEqual(len([e for e in self.events("needs_you") if e["key"].startswith("budget")]), 1, "told once")
        self.assertTrue(any("would pass" in text for text in json.loads(self.looop("status", "--json"))["attention"]))
        self.assertRegex(self.looop("status"), r"would pass \$1.00; raise .*; until ")
        self.assertIn("budget", [gate["gate"] for gate in self.why_now()["gates"] if gate["verdict"] == "hold"])
        self.assertEqual(self.tick(words=("run", "a"))["outcome"], "held", "a forced move is no way around it")
        self.assertEqual(self.beat(env={"LOOOP_MAX_DAILY_USD": "5"})["outcome"], "noop")
        self.assertEqual(self.beat(env={"LOOOP_MAX_DAILY_USD": "0"})["outcome"], "held")

    def test_a_config_that_is_not_there_is_told_before_money_is_spent(self):
        self.write("llm", """#!/bin/sh\ncat >/dev/null; echo '{"move":"noop"}'\n""", 0o700)
        os.rename(self.path("llm"), os.path.join(self.bin, "claude"))
        env = {"LOOOP_CONFIG": f"{self.home}/typo.json", "LOOOP_RUNNER": "claude"}
        self.assertEqual(self.beat(env=env)["outcome"], "noop")
        told = f"LOOOP_CONFIG={self.home}/typo.json: no such file: the defaults hold, $10 a day"
        self.assertIn(f"warning: {told}\n", self.stderr)
        self.assertIn(told, " ".join(self.doctor(env=env, code=None).split()))
        self.assertEqual(self.beat(env={"LOOOP_RUNNER": "claude"})["outcome"], "noop")
        self.assertNotIn("LOOOP_CONFIG", self.stderr)

    def failing(self, text, code=1, output="codex", **more):
        """Make a runner that prints a text and fails; it names a model that has a price."""
        path = os.path.join(self.home, "broken")
        with open(path, "w") as file:
            file.write(text)
        more.setdefault("prices", {"gpt-5": {"input": 2, "output": 10}})
        command = f"cat >/dev/null; cat {path}; exit {code}; : --model gpt-5"
        self.runner(command, unmetered=False, output=output, **more)

    def test_an_outage_is_no_price(self):
        """Calls that end without an answer wait for the backoff alone, however many there are."""
        codex = '{"type":"thread.started"}\n{"type":"turn.failed","error":{"message":"stream disconnected"}}\n'
        for text, code in ((codex, 1), (codex, 0), ("", 1), ("", 0), ("connection refused\n", 7)):
            self.failing(text, code)
            self.assertEqual([self.beat()["outcome"] for _ in range(2)], ["failed"] * 2, (text, code))
        self.assertEqual({row.get("failed") for row in self.ledger()}, {True})
        gates = {gate["gate"]: gate["verdict"] for gate in self.why_now()["gates"]}
        self.assertEqual((gates["backoff"], gates["budget"]), ("hold", "pass"))
        self.assertEqual(self.tick(words=("run", "a"))["outcome"], "failed", "a person may try")
        state = self.json("state.json")
        state["failure"]["until"] = time.time() - 1
        self.write("state.json", json.dumps(state))
        usage = '{"type":"turn.completed","usage":{"input_tokens":1000,"output_tokens":0}}'
        item = {"type": "item.completed", "item": {"type": "agent_message", "text": '{"move":"noop"}'}}
        self.failing(f'{{"type":"thread.started"}}\n{json.dumps(item)}\n{usage}\n', 0)
        out = self.tick()
        self.assertEqual((out["outcome"], out["cost_usd"]), ("noop", 0.002))

    def test_an_outage_counts_at_the_median_and_does_not_move_it(self):
        self.priced(0.4, budget={"daily_usd": 2})
        self.assertEqual(self.beat()["outcome"], "noop")
        mark, stamp = self.ledger()[0]["cmd"], looop.utc_text(time.time())
        with open(self.path("cost.jsonl"), "a") as file:
            for cost in (None, None, None, *[0] * 30):  # claude and pi say $0 of a call that they could not make
                row = {"ts": stamp, "kind": "tick", "id": "tick", "runner": "fake", "cmd": mark}
                file.write(json.dumps({**row, "cost_usd": cost, "failed": True}) + "\n")
        self.write("goals/a.md", "an edit\n")
        spent = next(gate for gate in self.why_now()["gates"] if gate["gate"] == "budget")["detail"]
        self.assertIn("$1.60 spent today (3 unknown prices guessed at $0.40 each)", spent)
        self.assertEqual([self.beat()["outcome"] for _ in range(2)], ["noop", "held"])

    def test_a_failed_call_that_spent_tokens_is_of_unknown_price(self):
        usage = '{"type":"turn.completed","usage":{"input_tokens":1000,"output_tokens":5}}'
        self.failing(f'{{"type":"thread.started"}}\n{usage}\n', 1, prices={})
        self.assertEqual([self.beat()["outcome"] for _ in range(4)], ["failed"] * 3 + ["held"])
        self.assertNotIn("failed", self.ledger()[-1])
        self.assertIn("3 decisions of fake in a row of unknown price", self.beat()["reason"])

    def test_a_direct_runner_that_prints_nothing_has_answered(self):
        line = "- 2026-01-02 15:04 did it"
        self.runner(f"cat >/dev/null; echo '{line}' >> journal.md", "direct", unmetered=False)
        self.assertEqual([self.beat()["outcome"] for _ in range(4)], ["acted"] * 3 + ["held"])
        self.runner("cat >/dev/null; exit 1", "direct", unmetered=False)
        self.assertEqual([self.beat()["outcome"] for _ in range(4)], ["failed"] * 4)

    def test_a_call_that_a_person_ended_is_no_price(self):
        self.runner(f"cat >/dev/null; echo x >> {self.home}/called; sleep 1000", unmetered=False)
        for count in range(1, 5):
            self.write("goals/a.md", f"{count}\n")
            beat = self.start("tick", "--json")
            wait_until(lambda count=count: self.called() == count, "the runner")
            beat.send_signal(signal.SIGINT)
            beat.communicate(timeout=120)
        self.assertEqual([(row["cost_usd"], row.get("failed")) for row in self.ledger()], [(None, True)] * 4)

    def test_recorded_errors_are_no_price(self):
        for name in ("codex-0.171.0-error-401", "codex-0.171.0-error-429", "codex-0.171.0-error-500"):
            with open(os.path.join(CAPTURED, "runners", name + ".ndjson")) as file:
                self.failing(file.read())
            self.assertEqual(self.beat()["outcome"], "failed")
        for name in ("claude-2.1.332-error-401", "pi-1.6.0-error-401", "opencode-1.18.33-error-401"):
            with open(os.path.join(CAPTURED, "runners", name + ".ndjson")) as file:
                self.failing(file.read(), 0, output=name.split("-")[0])
            self.assertIn("401", self.beat()["reason"])
        self.assertEqual([row.get("failed") for row in self.ledger()], [True] * 6)
        gate = next(gate for gate in self.why_now()["gates"] if gate["gate"] == "budget")
        self.assertEqual(gate["verdict"], "pass")

    def test_rows_that_name_no_command_set_the_reserve_until_a_price_is_known(self):
        """Rows of looop 0.5: the runner's name alone says whose they are."""
        self.priced(0.5, budget={"daily_usd": 10})
        now = time.time()
        row = {"ts": looop.utc_text(now), "kind": "tick", "id": "tick", "runner": "fake", "cost_usd": 3}

        def ledger(*rows):
            self.write("cost.jsonl", "".join(json.dumps(r, separators=(",", ":")) + "\n" for r in rows))

        ledger(row, row, row)
        self.assertIn("$9.00 spent today, and about $3.00 for a decision would pass", self.beat()["reason"])
        ledger(row, {**row, "runner": "other"})
        self.assertEqual(self.beat()["outcome"], "noop")
        self.assertEqual(self.ledger()[-1]["cost_usd"], 0.5)
        ledger(*self.ledger(), row)
        self.assertEqual(self.beat()["outcome"], "noop", "9.5 and 0.5: its own price counts now")
        ledger(*[{**row, "ts": looop.utc_text(now - 3 * 86400)}] * 3, {**row, "cost_usd": 8, "kind": "session"})
        self.assertIn("$8.00 spent today, and about $3.00", self.beat()["reason"], "also rows of older days")
        ledger(*[{**row, "cost_usd": None}] * 3)
        self.assertEqual(self.beat()["outcome"], "noop", "they do not stop a command that was not tried")

    def test_unknown_prices_fail_closed(self):
        self.runner(f'cat >/dev/null; echo x >> {self.home}/called; echo \'{{"move":"noop"}}\'', unmetered=False)
        self.assertEqual([self.beat()["outcome"] for _ in range(5)], ["noop"] * 3 + ["held"] * 2)
        self.assertEqual(self.called(), 3)
        self.assertIn("3 decisions of fake in a row of unknown price", self.beat()["reason"])
        self.assertIn("; have it print JSON that names tokens or a price and say whose", self.beat()["reason"])
        self.assertIsNone(self.events("held")[-1]["until"])
        self.assertEqual(len(self.events("needs_you")), 1)
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            config = json.load(file)
        config["runners"]["fake"]["unmetered"] = True
        self.config(config)
        self.assertEqual(self.beat()["outcome"], "noop", "a subscription is counted, not priced")
        command = config["runners"]["fake"]["tick"] + " "
        self.runner(command)
        self.assertEqual([self.beat()["outcome"] for _ in range(3)], ["noop"] * 3)
        self.runner(command, unmetered=False)
        self.assertEqual([self.beat()["outcome"] for _ in range(4)], ["noop"] * 3 + ["held"], "those cost nothing")

    def test_a_price_counts_where_the_runner_is_known_to_name_one(self):
        """A plain runner prints the words of an LLM: if its claim of $0 counted, nothing would stop it."""
        self.priced(0.0)
        path = os.path.join(self.home, "stream")
        self.runner(f"cat >/dev/null; cat {path}", unmetered=False)
        self.assertIn("`runners.NAME.output` says whose", self.beat()["reason"])
        self.assertEqual([self.beat()["outcome"] for _ in range(3)], ["failed"] * 2 + ["held"])
        self.assertEqual({(row["cost_usd"], row.get("usage") is None) for row in self.ledger()}, {(None, True)})
        self.looop("config", "check")
        self.assertIn("runners.fake.tick: an unknown program: its output is text without a price", self.stderr)
        self.assertIn("runners.fake.tick: an unknown program", self.doctor(code=None))
        self.runner(f"cat >/dev/null;  cat {path}", unmetered=False, output="claude")
        self.looop("config", "check")
        self.assertEqual(self.stderr, "")
        self.assertEqual([self.beat()["outcome"] for _ in range(4)], ["noop"] * 4)
        self.assertEqual(self.ledger()[-1]["cost_usd"], 0.0)
        self.runner(f"cat >/dev/null;   cat {path}", unmetered=False, output="text")
        self.assertEqual(self.beat()["outcome"], "failed", "the whole of it is the reply, which is no move")

    def test_a_price_list_and_a_mended_command_lift_it(self):
        usage = {"type": "turn.completed", "usage": {"input_tokens": 1000000, "output_tokens": 0}}
        text = {"type": "item.completed", "item": {"type": "agent_message", "text": '{"move":"noop"}'}}
        path = os.path.join(self.home, "stream")
        with open(path, "w") as file:
            file.write(json.dumps(text) + "\n" + json.dumps(usage))
        command = f"cat >/dev/null; true --model m1; cat {path}"
        self.runner(command, unmetered=False, output="codex")
        self.assertEqual([self.beat()["outcome"] for _ in range(4)], ["noop"] * 3 + ["held"])
        self.assertIn("say what it costs (prices.m1), or", self.beat()["reason"])
        self.runner(command, unmetered=False, output="codex", prices={"m1": {"input": 1.5, "output": 3}})
        self.assertEqual(self.beat()["outcome"], "noop")
        self.assertEqual(self.ledger()[-1]["cost_usd"], 1.5)
        self.write("goals/a.md", "an edit\n")
        self.assertIn("$6.00 spent today", json.dumps(self.why_now()["gates"]))
        budget = json.loads(self.looop("status", "--json"))["budget"]
        self.assertEqual((budget["spent_today_usd"], budget["unknown_today"]), (6.0, 0), "as the gate says")
        self.runner(command + " ", unmetered=False, output="codex")
        self.assertEqual(self.beat()["outcome"], "noop")

    def test_rows_of_a_clock_that_was_ahead_hold_no_day_before_theirs(self):
        self.priced(0.4, budget={"daily_usd": 1})
        row = {"kind": "tick", "id": "tick", "runner": "fake", "cmd": "x", "model": None, "cost_usd": 2.5}
        ahead = looop.utc_text(time.time() + 400 * 86400)
        self.write("cost.jsonl", "".join(json.dumps({"ts": ahead, **row, "run": f"r{n}"}) + "\n" for n in range(5)))
        self.assertEqual(self.beat()["outcome"], "noop")
        shown = json.loads(self.looop("status", "--json"))["budget"]
        self.assertEqual((shown["spent_today_usd"], shown["decides_last_hour"]), (0.4, 1))

    def test_decides_per_hour(self):
        self.priced(0.0001)
        env = {"LOOOP_MAX_DECIDES_PER_HOUR": "3"}
        self.assertEqual([self.beat(env=env)["outcome"] for _ in range(5)], ["noop"] * 3 + ["held"] * 2)
        self.assertEqual(self.called(), 3)
        out = self.beat(env=env)
        self.assertIn("3 decisions in the last hour, of 3", out["reason"])
        self.assertTrue(3000 < out["next_beat_s"] <= 3600)
        self.assertEqual(self.beat(env={"LOOOP_RUNNER": "builtin", **env})["outcome"], "noop")

    def test_the_builtin_decider_needs_no_money(self):
        self.write(
            "cost.jsonl", json.dumps({"ts": looop.utc_text(time.time()), "kind": "session", "cost_usd": 99}) + "\n"
        )
        self.assertEqual(self.beat(env={"LOOOP_RUNNER": "builtin"})["outcome"], "noop")
        self.priced(0.1)
        self.assertEqual(self.beat()["outcome"], "held", "what workers spent counts")

    def test_a_row_of_a_clock_that_was_off_hides_nothing(self):
        self.priced(0.4, budget={"daily_usd": 1})
        self.assertEqual([self.beat()["outcome"] for _ in range(3)], ["noop", "noop", "held"])
        for ts in ("1970-01-01T00:00:07Z", "", "x"):
            with open(self.path("cost.jsonl"), "a") as file:
                file.write(json.dumps({"ts": ts, "kind": "session", "id": "w", "runner": "pi", "cost_usd": 0}) + "\n")
            self.assertEqual(self.beat()["outcome"], "held", ts)

    def test_odd_amounts_stop_nothing(self):
        self.looop("_cost", "session", "w", "pi", "1e308", code=2)
        stamp = looop.utc_text(time.time())
        for usd in ("1e308", "1" + "0" * 400, "1e999", "-5", "1-2", "true"):
            with open(self.path("cost.jsonl"), "a") as file:
                file.write(
                    f'{{"ts":"{stamp}","kind":"session","id":"w","runner":"pi","model":null,"cost_usd":{usd}}}\n'
                )
        with open(self.path("cost.jsonl"), "a") as file:
            file.write(f'{{"ts":"{stamp}","kind":"session","id":"w","runner":"pi","model":null,"cost_usd":9.5,"usa\n')
        self.assertEqual(self.beat(env={"LOOOP_RUNNER": "builtin"})["outcome"], "noop")
        told = json.loads(self.looop("cost", "--json"))
        self.assertEqual((told["total_usd"], told["unknown"], told["torn_lines"]), (0, 4, 3))
        self.assertEqual(json.loads(self.looop("status", "--json"))["cost_today_usd"], 0)

    def test_a_hold_is_told_once_though_beats_between_do_not_get_that_far(self):
        self.priced(0.6, budget={"daily_usd": 1})
        self.beat()
        for _ in range(3):
            self.assertEqual(self.beat()["outcome"], "held")
            self.write("goals/a.md", "1\n")
            self.assertEqual(self.tick()["outcome"], "unchanged")
            self.looop("pause")
            self.beat()
            self.looop("resume")
        self.assertEqual(len(self.events("needs_you")), 1)

    def test_pure_gates(self):
        spend = looop.Spend(9.5, 0, 0.4, 0, 1e9)
        runner = looop.Runner("x", "typed", "x")
        self.assertEqual(looop.budget_gate(spend, runner, 10).verdict, "pass")
        self.assertEqual(looop.budget_gate(spend.replace(today=9.61), runner, 10).verdict, "hold")
        self.assertEqual(looop.budget_gate(spend.replace(unknown_today=1), runner, 10).verdict, "hold")
        self.assertEqual(
            looop.budget_gate(spend.replace(today=99.0), runner.replace(unmetered=True), 10).verdict, "pass"
        )
        self.assertEqual(looop.median([]), 0.0)
        self.assertEqual((looop.median([3, 1, 2]), looop.median([4, 1, 2, 3])), (2, 2.5))
        self.assertEqual(looop.decides_gate([5.0, 4.0], 2).until, 4.0 + 3600)
        self.assertEqual(looop.decides_gate([], 0).verdict, "hold")
