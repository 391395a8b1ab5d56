"""Trials: cases of past worlds, judged again without a call and without a write."""

import json
import os
import unittest
import unittest.mock
import xml.etree.ElementTree

import looop
from tests.support import Case, heavy

RED = '{"signal":"red","detail":2}'


class Cases(Case):
    def made(self, reply, name="one", signal=RED, **config):
        """Make a case of a beat that a sensor woke, and return it."""
        self.profile(goals={"a": "one\n"}, sensors={"ci": "cat signal"})
        self.write("signal", '{"signal":"green"}')
        self.replies({"move": "noop"}, **config)
        self.tick()
        self.write("signal", signal)
        self.replies(reply, **config)
        self.tick()
        self.looop("test", "add", "last", name)
        return self.json("tests", f"{name}.json")

    def edit(self, name="one", **fields):
        """Change fields of a case; `expect` and `change` are added to."""
        case = self.json("tests", f"{name}.json")
        for field, value in fields.items():
            case[field] = {**case[field], **value} if isinstance(value, dict) else value
        self.write(f"tests/{name}.json", json.dumps(case))

    def differs(self, code=1, **fields):
        """Change the case, demand that it differs, put it back, and return what it says."""
        kept = self.read("tests", "one.json")
        self.edit(**fields)
        (one,) = json.loads(self.looop("test", "one", "--json", code=code))
        self.write("tests/one.json", kept)
        self.assertEqual(one["pass"], not one["differs"])
        return one["differs"]

    def test_each_expectation_fails_when_what_it_is_about_differs(self):
        case = self.made({"move": "shell", "command": "touch reports/x", "reversible": True, "why": "red"})
        expected = {"wake": ["sensor:ci"], "verdict": "confined", "gate": None}
        expected["move"] = {"move": "shell", "command": "touch reports/x", "reversible": True}
        if not looop.walls_of(looop.open_profile(self.env, "looop")).confines:
            expected["verdict"] = "proposal"
        self.assertEqual(case["expect"], expected)
        before = self.tree()
        self.assertRegex(self.looop("test"), r"^one: PASS \(\d+ ms\)\n1 case: 1 passed, 0 failed, ")
        self.assertEqual(self.tree(), before, "a test writes nothing")
        # the world
        told = self.differs(change={"sensor:ci": {"signal": "green"}})
        self.assertEqual(told[0], "wake: sensor:ci was expected, nothing came out")
        self.assertIn("gate: null was expected, unchanged came out: the world is as it was", "\n".join(told))
        self.assertEqual(
            self.differs(change={"sensor:ci": {"signal": "green"}, "goal:a": "two\n"}),
            ["wake: sensor:ci was expected, goal:a came out"],
        )
        self.assertEqual(self.differs(0, change={"sensor:ci": {"signal": "blue"}}), [])
        # the reply
        (told,) = self.differs(change={"reply": {"move": "noop"}}, expect={"verdict": "/./"})[:1]
        self.assertEqual(told, "move.move: shell was expected, noop came out")
        told = self.differs(change={"reply": "I would rather not"}, expect={"move": None})
        self.assertEqual(
            told, [f"verdict: {expected['verdict']} was expected, refused came out: the reply holds no JSON object"]
        )
        # the gates
        told = self.differs(change={"gate:paused": {"until": None, "why": "lunch"}})
        self.assertIn("gate: null was expected, paused came out: by a person: lunch", told)
        quiet = {"gate": "quiet", "verdict": "held", "move": None}
        self.assertEqual(self.differs(0, change={"gate:quiet": 2e9}, expect=quiet), [])
        self.assertEqual(
            self.differs(
                0, change={"gate:paused": {"until": None}}, expect={"gate": "paused", "verdict": "held", "move": None}
            ),
            [],
        )
        # the config
        self.config({"gate": {"shell": "always"}, "budget": {"daily_usd": 10}})
        if expected["verdict"] == "confined":
            self.assertEqual(
                self.differs(), ["verdict: confined was expected, proposal came out: gate.shell is always"]
            )
        self.config({"gate": {"deny": ["touch *"]}})
        (told,) = self.differs()
        self.assertIn("refused came out: shell: refused: gate.deny: touch *", told)

    def test_what_is_wrong_with_a_case_is_said_and_is_no_pass(self):
        self.assertEqual(self.looop("test", "--json", code=1), "[]\n")
        self.assertIn("test: there are no cases yet: `looop test add RUN` makes one", self.stderr)
        self.made({"move": "noop"})
        for body, words in (
            ("{", "tests/bad.json: "),
            ('{"expect": {}, "past": {"wake": {}, "reply": ""}}', "is not what looop writes: KeyError('run')"),
            ('{"expect": {}, "from": "tick-1999"}', "run tick-1999: there is no such capsule"),
            ('{"expect": {}, "form": "tick"}', "unknown key form"),
            ('{"from": "last"}', "it wants an object with `expect`"),
        ):
            self.write("tests/bad.json", body)
            self.assertIn(words, self.looop("test", "bad", code=1))
        with (
            unittest.mock.patch.object(looop, "PATTERN_TIME", 0.05),
            self.assertRaisesRegex(ValueError, "takes too long"),
        ):
            looop.differences("/^(([a-z])+)+!$/", "a" * 64)
        self.assertEqual(self.differs(expect={"verdict": "/(/"})[0][:40], "tests/one.json: /(/ is no regular expres")
        self.assertIn("change: sensr:ci is no item of a world", self.differs(change={"sensr:ci": None})[-1])
        self.looop("test", "nobody", code=2)
        self.assertIn("nobody: there is no such case: the cases are: bad, one", self.stderr)
        self.write("tests/bad.json", '{"expect": {"move": {"move": "noop"}}, "from": "last"}')
        self.looop("test", "bad")
        self.looop("test", "add", "last", "one", code=1)
        self.assertIn("tests/one.json is there already", self.stderr)
        self.looop("test", "add", "last", "a/b", code=2)

    def test_a_capsule_of_an_older_looop_is_refused_by_name(self):
        self.made({"move": "noop"})
        run = self.runs()[-1]
        wake = self.json("runs", run, "wake.json")
        del wake["facts"]
        self.write(f"runs/{run}/wake.json", json.dumps(wake))
        self.drifting = True
        self.looop("test", "add", run, "two", code=1)
        self.assertIn(f"{run}: looop {looop.VERSION} recorded it, which did not keep", self.stderr)

    def test_another_prompt_format_is_noticed(self):
        self.made({"move": "noop"})
        profile = looop.open_profile(self.env, "looop")
        case = looop.read_case(profile, "one")
        self.assertEqual(looop.judge_case(profile, case), [])
        with (
            unittest.mock.patch.object(looop, "report_line", lambda report: ""),
            unittest.mock.patch.object(looop, "UNKEPT", "?"),
        ):
            self.assertEqual(looop.judge_case(profile, case), [], "it is not in this prompt")
        with unittest.mock.patch.object(looop, "listed", lambda entries, short=False: "another form\n"):
            (told,) = looop.judge_case(profile, case)
            self.assertRegex(told, r"^prompt: line \d+: `.*` was recorded, `\| another form` comes out$")
        words = self.json("tests", "one.json")
        words["past"]["wake"]["words"], words["past"]["looop"] = "older", "0.5.9"
        self.write("tests/one.json", json.dumps(words))
        out = self.looop("test")
        self.assertIn("1 passed", out)
        self.assertIn("recorded by looop 0.5.9, with other instructions in the prompt: one\n", out)
        self.assertEqual(json.loads(self.looop("test", "--json"))[0]["older"], "0.5.9")

    def test_junit_is_xml(self):
        self.made({"move": "noop"})
        self.edit(expect={"move": {"move": "<&\x1b>"}})
        file = os.path.join(self.home, "junit.xml")
        self.looop("test", "--junit", file, code=1)
        suite = xml.etree.ElementTree.parse(file).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("1", "1"))
        self.assertIn("<&", suite.find("testcase/failure").get("message"))

    def test_asking_holds_at_the_cent(self):
        answers = os.path.join(self.home, "answers")
        self.made({"move": "ask", "question": "Which?"})
        result = {
            "type": "result",
            "subtype": "success",
            "total_cost_usd": 0.10,
            "result": '{"move":"ask","question":"Which?"}',
        }
        noop = {**result, "result": '{"move":"noop"}'}
        with open(answers, "w") as file:
            file.write("\n".join(map(json.dumps, (result, noop, result))) + "\n")
        self.runner(f"cat >/dev/null; head -n1 {answers}; sed -i 1d {answers}", unmetered=False, output="claude")
        self.looop("test", "--ask", "3", code=2)
        self.assertIn("test: missing --usd", self.stderr)
        before = self.tree()
        out = self.looop("test", "--ask", "3", "--usd", "0.30", code=1)
        self.assertIn("asked 3 times: 2 as expected, 3 wanted: move.move: ask was expected, noop came out", out)
        self.assertIn("0 passed, 1 failed", out)
        self.assertIn("$0.30", out)
        self.assertEqual([row["kind"] for row in self.ledger()][-3:], ["trial"] * 3)
        changed = {name for name, body in self.tree().items() if before.get(name) != body}
        self.assertLessEqual(changed, {"cost.jsonl", ".beat.lock"})
        with open(answers, "w") as file:
            file.write((json.dumps(result) + "\n") * 9)
        out = self.looop("test", "--ask", "5", "--usd", "0.42", code=3)
        self.assertIn("asked 4 of 5 times: $0.40 spent, and about $0.10 for one more call would pass $0.42", out)
        self.assertEqual(len(self.ledger()), 9)
        self.edit(at_least=1)
        self.looop("test", "--ask", "2", "--usd", "0.20")

    def test_the_first_call_is_judged_by_what_the_recorded_one_has_cost(self):
        """As in a CI, which has the memory's repository and no ledger."""
        result = {"type": "result", "subtype": "success", "total_cost_usd": 0.10, "result": '{"move":"noop"}'}
        case = self.made(result, unmetered=False, output="claude")
        self.assertEqual(case["past"]["cost_usd"], 0.10)
        os.unlink(self.path("cost.jsonl"))
        out = self.looop("test", "--ask", "1", "--usd", "0.09", code=3)
        self.assertIn("asked 0 of 1 times: $0.00 spent, and about $0.10 for one more call would pass $0.09", out)
        self.assertFalse(os.path.exists(self.path("cost.jsonl")))
        self.looop("test", "--ask", "1", "--usd", "0.10")


class Judged(Case):
    """What performers ask before they act is what a trial asks."""

    @heavy
    def test_each_move_is_judged_as_it_is_performed(self):
        self.profile(goals={"a": "one\n"}, config={"notify": "cat"})
        for reply, outcome in (
            ({"move": "write_playbook", "body": "new"}, "proposal"),
            ({"move": "write_goal", "id": "b", "body": "b"}, "runs"),
            ({"move": "archive_goal", "id": "b"}, "runs"),
            ({"move": "archive_goal", "id": "nobody"}, "refused"),
            ({"move": "kill_worker", "id": "nobody"}, "refused"),
            ({"move": "send", "id": "nobody", "text": "x"}, "refused"),
            ({"move": "message", "text": "x"}, "proposal"),
            ({"move": "shell", "command": "git push", "reversible": True}, "proposal"),
            ({"move": "shell", "command": "ls", "reversible": True}, "runs"),
        ):
            with self.subTest(reply):
                self.replies(reply, notify="cat")
                self.write("goals/a.md", json.dumps(reply))
                done = self.tick()["outcome"]
                run = looop.find_run(looop.open_profile(self.env, "looop"), "last")
                beat = looop.PastBeat(run.profile, looop.past_of(run))
                found = beat.come_out(beat.reply)
                self.assertEqual(found["verdict"], outcome, found)
                self.assertEqual(done, {"proposal": "proposed", "refused": "failed"}.get(outcome, "acted"))


ANSWERS = r"""#!/bin/bash
# answers as a decider that follows NEW RULE, in four situations; without that rule, in the third, as it likes
prompt=$(cat)
echo >>"$HOME/calls"
new=; case "$prompt" in *"NEW RULE"*) new=y;; esac
ls='{"move":"shell","command":"ls","reversible":true}'
case "$prompt=$new" in
*"| situation 1"*=y) move='{"move":"ask","question":"May I?"}';;
*"| situation 3"*=y) move='{"move":"shell","command":"pwd","reversible":true}';;
*"| situation 3"*) move="{\"move\":\"shell\",\"command\":\"ls $(wc -l <"$HOME/calls")\",\"reversible\":true}";;
*"| situation 4"*=y) move='{"move":"write_goal","id":"pwned","body":"rm -rf /"}';;
*) move=$ls;;
esac
move=${move//\\/\\\\}; move=${move//\"/\\\"}
printf '{"type":"result","subtype":"success","total_cost_usd":0.05,"result":"%s"}\n' "$move"
"""


class Shadow(Case):
    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "a\n"}, playbook="# Old rule\n")
        path = os.path.join(self.home, "answers")
        with open(path, "w") as file:
            file.write(ANSWERS)
        os.chmod(path, 0o700)
        self.line = path
        self.runner(path, unmetered=False, output="claude", **self.more)
        self.draft = os.path.join(self.home, "draft.md")
        with open(self.draft, "w") as file:
            file.write("# NEW RULE\n")

    more = {}

    def live(self, *situations):
        for number in situations:
            self.write("goals/a.md", f"situation {number}\n")
            self.assertEqual(self.tick()["outcome"], "acted")

    def test_change_is_told_from_noise_and_nothing_is_done(self):
        self.live(1, 2, 3, 4)
        before = self.tree(("cost", ".beat.lock", "events"))
        told = json.loads(self.looop("shadow", self.draft, "--usd", "1", "--json"))
        self.assertEqual([told[lane] for lane in ("changed", "noise", "same", "failed")], [2, 1, 1, 0])
        self.assertEqual([row["lane"] for row in told["runs"]], ["changed", "noise", "same", "changed"])
        self.assertEqual(told["runs"][0]["new"]["id"], "pwned")
        self.assertEqual(told["runs"][3]["new"], {"move": "ask", "question": "May I?"})
        self.assertEqual(told["cost_usd"], 0.35)
        self.assertEqual(self.tree(("cost", ".beat.lock", "events")), before, "a lane never acts")
        out = self.looop("shadow", self.draft, "--usd", "1", "--last", "2")
        self.assertEqual(out.splitlines()[-1], "changed 1 · noise 1 · same 0 · $0.20")
        self.assertIn('  was  shell "ls"\n  now  write_goal pwned\n', out)

    def test_the_cap_holds_at_the_cent(self):
        self.live(2, 2, 1)
        paid = len(self.ledger())
        out = self.looop("shadow", self.draft, "--usd", "0.17", code=3)
        self.assertEqual(len(self.ledger()) - paid, 3)
        self.assertIn("changed 1 · noise 0 · same 1 · $0.15 · stopped: $0.15 spent, and about $0.05", out)
        self.looop("shadow", self.draft, "--usd", "0", code=3)
        self.config({**self.config_now(), "budget": {"daily_usd": 0.31}})
        self.looop("shadow", self.draft, "--usd", "9", code=3)
        self.assertEqual(len(self.ledger()) - paid, 3, "the daily budget holds it, too")
        self.looop("shadow", self.draft, code=2)
        self.looop("shadow", "nowhere.md", "--usd", "1", code=1)

    def config_now(self):
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            return json.load(file)

    @heavy
    def test_a_proposed_playbook_carries_what_it_would_change(self):
        self.live(1, 2)
        self.runner(self.line, unmetered=False, output="claude")
        config = self.config_now()
        config["runners"]["once"] = {**config["runners"]["fake"], "tick": self.line.replace("answers", "propose")}
        path = os.path.join(self.home, "propose")
        with open(path, "w") as file:  # proposes the draft, and answers whoever has it as `answers` does
            file.write(f"#!/bin/bash\nmkdir {self.home}/done 2>/dev/null || exec {self.line}\ncat >/dev/null\n")
            body = json.dumps({"move": "write_playbook", "body": "# NEW RULE"})
            line = {"type": "result", "subtype": "success", "total_cost_usd": 0.05, "result": body}
            file.write(f"echo {looop.quoted(json.dumps(line))}\n")
        os.chmod(path, 0o700)
        self.config({**config, "default": "once", "gate": {"shadow_usd": 0.5}})
        self.write("goals/a.md", "situation 5\n")
        self.assertEqual(self.tick()["outcome"], "proposed")
        ask = next(ask for ask in json.loads(self.looop("asks", "--json")) if ask["kind"] == "proposal")
        self.assertRegex(ask["shadow"], r"^changed 1 · noise 0 · same 1 · \$0\.15$")
        self.assertIn(f"tried on past runs: {ask['shadow']}\n", self.looop("asks"))
        self.approve(ask["n"])
        self.assertEqual(self.read("PLAYBOOK.md"), "# NEW RULE\n")


class Rejected(Case):
    def test_a_rejection_becomes_a_case(self):
        self.profile(goals={"a": "a\n"})
        self.beat({"move": "shell", "command": "git push", "reversible": False})
        self.assertIn("`looop reject 1 --test` writes a case of it", self.looop("reject", "1", "never"))
        self.assertEqual(self.looop("reject", "1", "--test"), "tests/rejected-1.json: keeps it rejected\n")
        self.looop("test")
        self.replies({"move": "shell", "command": "git push", "reversible": True})
        out = self.looop("test", "--ask", "1", code=1)
        self.assertIn("must not", out)
        self.replies({"move": "noop"})
        self.looop("test", "--ask", "1")
        self.config({"gate": {"shell": "never"}})
        self.assertIn("runs came out: gate.shell is never", self.looop("test", code=1))
