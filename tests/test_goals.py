"""Goals as nouns with verbs, the history of moves, the gate asked about a command, and a proposal that is edited."""

import json
import os
import re
import shutil
import stat
import subprocess
import time
import unittest.mock

import looop
from tests.support import PATIENCE, Case, Terminal, figure, heavy, needs_walls, wait_until


class InATerminal(Case):
    """A test that runs verbs in a terminal, with an editor that is a script."""

    def editor(self, script):
        """Make the person's editor: a script that is given the file as $1."""
        path = os.path.join(self.home, "an editor")
        with open(path, "w") as file:
            file.write(f"#!{os.path.join(self.bin, 'bash')}\n{script}\n")
        os.chmod(path, 0o700)
        self.env["EDITOR"] = f"'{path}'"

    def typed(self, *words, answer="", code=0):
        """Run a verb in a terminal, answer its question, and return what was to be seen."""
        terminal = Terminal(150, 40)
        self.addCleanup(terminal.close)
        terminal.run(self.command(*words), {**self.env, "TERM": "xterm", "NO_COLOR": "1"}, self.home)
        if answer:
            terminal.wait_text("[y/N]")
            terminal.type(answer.encode() + b"\r")
        self.assertEqual(terminal.end(), code, terminal.text())
        return terminal.text()


class Goals(InATerminal):
    def rows(self):
        return json.loads(self.looop("goals", "--json"))

    def test_a_goal_from_its_beginning_to_its_end(self):
        self.profile()
        self.replies({"move": "noop"})
        self.tick()
        self.assertEqual(self.looop("goals"), "no goals: looop goal add ID TEXT\n")
        self.assertIn("the next beat sees it", self.looop("goal", "add", "ship", "Version 2", "is out"))
        self.assertEqual(self.read("goals", "ship.md"), "Version 2 is out\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("goals/ship.md")).st_mode), 0o600)
        self.assertEqual(self.tick()["outcome"], "noop", "it wakes the loop")
        self.looop("goal", "add", "ship", "another", code=1)
        self.assertIn("there is one already, and it was not changed: looop goal edit ship", self.stderr)
        self.looop("goal", "add", "long", "-", stdin=b"# Long\n\ntext\n")
        self.assertEqual(self.looop("goal", "show", "long"), "# Long\n\ntext\n")
        self.assertEqual([row["id"] for row in self.rows()], ["long", "ship"])
        self.assertRegex(self.looop("goals"), r"(?m)^long .* Long$")
        self.tick()
        self.looop("goal", "done", "ship")
        self.assertEqual(self.read("goals/archive/ship.md"), "Version 2 is out\n")
        self.assertEqual(self.tick()["outcome"], "noop", "its end wakes the loop too")
        self.looop("goal", "add", "ship", "again")
        self.looop("goal", "done", "ship")
        self.assertEqual(len(os.listdir(self.path("goals/archive"))), 2, "an older one is not written over")

    def test_what_is_no_goal_and_no_id(self):
        self.profile(goals={"ship-v2": "x\n"})
        for verb in ("done", "show", "edit"):
            self.looop("goal", verb, "ship-v3", code=1)
            self.assertIn("there is no such goal: did you mean ship-v2?", self.stderr)
        for words in (("add", "../x", "text"), ("add", "x"), ("add", "x", " "), ("edit", "ship-v2")):
            self.looop("goal", *words, code=2)
        self.assertIn("stdin is not a terminal: edit the file itself: ", self.stderr)
        self.looop("goal", "add", "x", "it is s3cr3t-value", code=1, env={"MY_TOKEN": "s3cr3t-value"})
        self.assertEqual(sorted(os.listdir(self.path("goals"))), ["ship-v2.md"])

    def test_a_message_names_a_few_of_many(self):
        self.profile(goals={f"g{number}": "x\n" for number in range(300)})
        self.replies({"move": "noop"})
        self.looop("run", "nosuch", code=1)
        self.assertIn("there is no such goal: the goals are: g0, g1, g10,", self.stderr)
        self.assertTrue(self.stderr.endswith(" and 288 more\n"), self.stderr)

    def test_the_editor_has_the_file_itself(self):
        self.profile(goals={"a": "one\n"})
        self.replies({"move": "noop"})
        self.tick()
        self.editor('echo two >>"$1"; echo "$1" >"$HOME/edited"')
        self.assertIn("goal a: changed", self.typed("goal", "edit", "a"))
        self.assertEqual(self.read("goals/a.md"), "one\ntwo\n")
        with open(os.path.join(self.home, "edited")) as file:
            self.assertEqual(file.read().strip(), self.path("goals/a.md"))
        self.assertEqual(self.tick()["outcome"], "noop")
        self.editor("exit 0")
        self.assertIn("goal a: not changed", self.typed("goal", "edit", "a"))
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.editor("exit 3")
        self.assertIn("the editor ended with 3", self.typed("goal", "edit", "a", code=1))
        self.env["EDITOR"] = "no-such-editor -w"
        self.assertIn("there is no editor: nothing was changed; set EDITOR", self.typed("goal", "edit", "a", code=1))

    def test_only_a_person_writes_goals(self):
        self.profile(goals={"a": "one\n"})
        before = self.tree()
        for env in ({"LOOOP_CHILD": "1"}, {"LOOOP_CHILD": "1", "LOOOP_RUN_ID": "tick-20260101-000000-abcd"}):
            for words in (("add", "b", "text"), ("done", "a"), ("edit", "a")):
                self.looop("goal", *words, code=1, env=env)
                self.assertIn("person", self.stderr)
        self.assertEqual(self.tree(), before)
        self.assertEqual(self.looop("goal", "show", "a", env={"LOOOP_CHILD": "1"}), "one\n")

    def test_what_is_known_of_each(self):
        self.profile(goals={"a": "one\n", "b": "two\n", "c": "three\n"})
        now = time.time()
        rows = [
            {"ts": now - 8 * 86400, "kind": "tick", "id": "tick", "goal": "a", "cost_usd": 5.0},
            {"ts": now - 7200, "kind": "goal", "id": "a", "cost_usd": 0.5},  # as an older looop wrote it
            {"ts": now - 3600, "kind": "tick", "id": "tick", "goal": "a", "cost_usd": None},
            {"ts": now - 60, "kind": "session", "id": "w", "goal": "a", "cost_usd": 0.25},
            {"ts": now - 50, "kind": "session", "id": "a", "cost_usd": 7.0},  # a worker of that name is of no goal
            {"ts": now - 30, "kind": "tick", "id": "tick", "cost_usd": 1.0},
            {"ts": now - 20, "kind": "session", "id": "w", "goal": "b", "cost_usd": None},
        ]
        for row in rows:
            row.update(ts=looop.utc_text(row["ts"]), runner="x")
        self.write("cost.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        turn = {"seen": now - 90000, "served": None, "deferred": None, "why": ""}
        turns = {"a": {**turn, "served": now - 9}, "b": {**turn, "deferred": now - 5, "why": "it rains"}, "c": turn}
        self.write("state.json", json.dumps({"turns": turns}))
        os.makedirs(self.path("asks"))
        self.write("asks/3.json", json.dumps({"kind": "ask", "question": "?", "goal": "b", "at": rows[0]["ts"]}))
        known = {row["id"]: row for row in self.rows()}
        keys = ["id", "served_at", "first_seen", "moves_7d", "cost_7d_usd", "waits_for", "overdue"]
        self.assertEqual(list(known["a"]), [*keys, "deferred_at", "deferred"])
        self.assertEqual([known["a"][key] for key in keys[3:]], [2, 0.75, None, False])
        self.assertEqual([known["a"][key] for key in keys[1:3]], [looop.utc_text(now - 9), looop.utc_text(now - 90000)])
        self.assertEqual([known["b"][key] for key in keys[3:]], [0, None, "ask:3", False])
        self.assertEqual(
            [known["b"][key] for key in ("deferred_at", "deferred")], [looop.utc_text(now - 5), "it rains"]
        )
        self.assertEqual([known["c"][key] for key in keys[3:]], [0, None, None, True])
        told = self.looop("goals")
        self.assertRegex(told, r"(?m)^b +- +ask 3 +0 +- +two$")
        self.assertRegex(told, r"(?m)^c +- overdue +- +0 +- +three$")
        self.assertRegex(told, r"(?m)^deferred: b, \d+ s ago: it rains$")
        self.assertIn('"a":0.75', self.looop("cost", "--by", "goal", "--json"), "the ledger knows whose a call was")

    def test_a_call_without_an_answer_is_no_move_and_later_prices_count(self):
        self.profile(goals={"a": "one\n"}, config={"prices": {"m": {"input": 2, "output": 10}}})
        usage = {"input": 1_000_000, "output": 0, "cache_read": 0, "cache_write": 0}
        moments = [looop.utc_text(time.time() - age) for age in (60, 30)]
        row = {"kind": "goal", "id": "a", "runner": "x", "model": "m", "cost_usd": None}
        rows = [{"ts": moments[0], **row, "usage": usage}, {"ts": moments[1], **row, "failed": True}]
        self.write("cost.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        known = self.rows()[0]
        self.assertEqual((known["moves_7d"], known["cost_7d_usd"]), (1, 2))


class Turns(InATerminal):
    """Whose turn it is, with whole beats; hours pass by what state.json says."""

    def rows(self):
        return {row["id"]: row for row in json.loads(self.looop("goals", "--json"))}

    def wait(self, **hours):
        """Have goals waited for so many hours more."""
        state = self.json("state.json")
        for goal, count in hours.items():
            turn = state["turns"][goal]
            turn.update({key: turn[key] and turn[key] - count * 3600 for key in ("seen", "served", "deferred")})
        self.write("state.json", json.dumps(state))

    def section(self):
        return self.prompt().partition("\n# TURNS\n")[2].partition("\n# NOW\n")[0]

    def test_a_goal_that_waits_too_long_wakes_the_loop_until_it_has_had_its_turn(self):
        self.profile(goals={"a": "one\n", "b": "two\n"})
        self.replies({"move": "write_goal", "id": "a", "body": "1"})
        self.tick()
        self.assertEqual(self.section(), "| - a: never\n| - b: never\n")
        self.assertEqual([self.rows()[goal]["served_at"] is None for goal in "ab"], [False, True])
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.wait(b=25)
        self.assertIn("the next beat decides", self.looop("why", "now"))
        self.replies({"move": "noop", "goal": "b"})
        told = self.tick()
        self.assertEqual(told["outcome"], "failed", "a noop serves none")
        self.assertIn("noop: overdue: b: serve one", told["reason"])
        late, _, rule = self.section().partition("Serve")
        self.assertRegex(late, r"^\| - b: overdue: never\n\| - a: \d+ s ago\n$")
        self.assertIn("- goal b is overdue\n", self.prompt())
        self.assertIn('"deferred":{"ID":"why"}', rule)
        self.write("goals/a.md", "2\n")  # it ends the wait after a failure
        self.replies({"move": "noop", "deferred": {"b": "CI is\nred", "a": "not overdue"}})
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn("# LAST FAILURE\n| noop: overdue: b", self.prompt())
        row = self.rows()["b"]
        self.assertEqual((row["served_at"], row["deferred"], row["overdue"]), (None, "CI is red", False))
        self.assertIsNone(self.rows()["a"]["deferred"], "it had its turn")
        self.assertIn("CI is red", self.looop("why"))
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertIn(", when goal a is overdue", self.looop("why", "now"))
        self.wait(b=25)
        self.replies({"move": "ask", "question": "Which?", "goal": "b"})
        self.assertEqual(self.tick()["outcome"], "acted")
        self.assertEqual(self.rows()["b"]["waits_for"], "ask:1")
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertEqual(self.ledger()[-1]["goal"], "b")
        self.assertEqual(json.loads(self.looop("history", "-n1", "--json"))[0]["goal"], "b")

    def test_one_beat_serves_one_and_the_next_beat_another(self):
        self.profile(goals={goal: f"{goal}\n" for goal in "abc"})
        self.replies({"move": "noop"})
        self.tick()
        self.wait(a=30, b=26, c=25)
        for goal, left in (("b", "ac"), ("c", "a")):
            self.replies({"move": "write_goal", "id": goal, "body": "x"})
            self.tick()
            self.assertEqual("".join(g for g, row in self.rows().items() if row["overdue"]), left)
        self.replies({"move": "write_goal", "id": "c", "body": "y"})
        self.assertEqual(self.tick(code=1)["outcome"], "failed")
        self.replies({"move": "write_goal", "id": "c", "body": "y", "journal": "x"})
        self.assertEqual(self.tick(words=("run", "c"))["outcome"], "acted", "the person says whose turn it is")
        self.assertEqual([goal for goal, row in self.rows().items() if row["overdue"]], ["a"])
        self.replies({"move": "archive_goal", "id": "a"})
        self.tick()
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertEqual(list(self.json("state.json")["turns"]), ["b", "c"])
        self.replies({"move": "noop"})
        self.looop("goal", "add", "a", "again")
        self.tick()
        self.assertIsNone(self.rows()["a"]["served_at"], "it is another one")

    def test_a_worker_belongs_to_the_goal_of_its_move(self):
        self.profile(goals={"a": "one\n", "b b": "two\n"})
        move = {"move": "start_worker", "id": "w1", "prompt": "do it", "goal": "b b"}
        self.replies(move, interactive="sleep 1000 # {{prompt_file}}", gate={"worker": "never"})
        self.tick()
        self.assertEqual(json.loads(self.looop("ls", "--json"))[0]["goal"], "b%20b")
        row = self.rows()["b%20b"]
        self.assertEqual((row["waits_for"], row["served_at"] is None), ("worker:w1", False))
        self.looop("_cost", "session", "w1", "x", "0.25")
        self.assertEqual(self.rows()["b%20b"]["cost_7d_usd"], 0.25)
        profile = looop.open_profile(self.env, looop.__file__)
        generation = looop.read_session(profile, "w1").generation
        self.write("sessions/w1/agent.json", json.dumps({"generation": generation, "cost_usd": 0.5}))
        profile.env["LOOOP_SESSION_STARTED"] = repr(generation)
        looop.record_spend(profile, "w1")
        self.assertEqual((self.ledger()[-1]["goal"], self.rows()["b%20b"]["cost_7d_usd"]), ("b%20b", 0.75))
        self.looop("restart", "w1")
        self.assertEqual(json.loads(self.looop("ls", "--json"))[0]["goal"], "b%20b")
        self.replies({"move": "noop", "goal": "c"})
        self.write("goals/a.md", "2\n")
        self.assertIn("noop: there is no goal c", self.tick(code=1)["reason"])

    def test_deciders_that_name_no_goal_fail_nothing(self):
        """The built-in one works on none, and a direct one acts with its own tools."""
        self.profile(goals={"a": "one\n", "b": "two\n"}, config={"default": "builtin"})
        self.tick()
        self.wait(a=25, b=25)
        self.assertEqual([self.tick()["outcome"] for _ in range(2)], ["noop", "unchanged"])
        self.assertEqual(
            {row["deferred"] for row in self.rows().values()}, {"only a runner (pi, claude, …) can work on it"}
        )
        self.wait(a=25, b=25)
        self.runner("cat >/dev/null; echo more >>goals/b.md; echo done", "direct")
        self.assertEqual([self.tick()["outcome"] for _ in range(2)], ["acted", "unchanged"])
        rows = self.rows()
        self.assertEqual(
            (rows["b"]["served_at"] is None, rows["b"]["overdue"], rows["a"]["overdue"]), (False, False, False)
        )
        self.assertEqual(rows["a"]["deferred"], "fake is direct, and it changed no file of the goal")

    def test_goals_are_seen_though_nothing_is_decided(self):
        """As in a profile of an older looop; and the quiet way ends when a goal is overdue, or the setting changes."""
        self.profile(goals={"a": "one\n"})
        self.env["LOOOP_NOOP_TTL"] = "0"
        self.replies({"move": "noop"})
        self.tick()
        state = self.json("state.json")
        self.write("state.json", json.dumps({key: value for key, value in state.items() if key != "turns"}))
        self.assertEqual(self.tick()["outcome"], "unchanged")
        seen = self.json("state.json")["turns"]["a"]["seen"]
        wait_until(lambda: self.tick()["outcome"] == "unchanged" and os.path.exists(self.path(".quiet")), ".quiet")
        self.assertEqual(self.json(".quiet")["until"], seen + 86400)
        self.assertIn("overdue: a", self.tick(env={"LOOOP_GOAL_WAIT": "1ms"})["reason"])


class Clock:
    """The time of a simulation: what `time.time` says, and nothing waits for it."""

    def __init__(self):
        self.now = time.time() + 60  # files that were just written are old by then

    def __call__(self):
        return self.now


class Fairness(Case):
    """Beats of many days, each with the whole of a beat but for the call of its runner, by a clock that jumps."""

    many = True

    def simulate(self, days, decide, step, wait="24h", quiet=False):
        """Beat through some days; return how many decisions, failures and whole reads that took, and the longest gaps.

        A gap ends with a move for the goal, or with a reason. `quiet`: nothing but the turns changes.
        """
        shutil.rmtree(self.data, ignore_errors=True)
        self.profile(goals={goal: f"{goal}\n" for goal in "abcd"})
        self.runner("false", goal_wait=wait, git=False)
        replies = []

        class Simulated(looop.Beat):
            def call(beat):
                replies.append(decide(beat.run.text("prompt.md"), len(replies)))
                reply = json.dumps(replies[-1])
                beat.run.note("output.log", reply)
                beat.run.note("reply.txt", reply)
                return reply

        clock = Clock()
        started, turns, failed, reads = clock.now, {goal: [clock.now] for goal in "abcd"}, 0, 0
        with unittest.mock.patch.object(time, "time", clock):
            profile = looop.open_profile(self.env, looop.__file__)
            looop.prepare(profile)
            for number in range(int(days * 86400 / step)):
                if not quiet and number * step % 28800 == 0:  # something happens three times a day
                    self.write("PLAYBOOK.md", f"# {number}\n")
                beat = Simulated(profile)
                outcome = beat.go()
                failed += outcome.outcome == "failed"
                reads += hasattr(beat, "world")
                state = looop.read_state(profile)["turns"]
                for goal, turn in state.items():
                    last = max(turn["served"] or 0.0, turn["deferred"] or 0.0)
                    if last > turns[goal][-1]:
                        turns[goal].append(last)
                        self.assertTrue(turn["served"] == last or turn["why"], "a reason each time")
                clock.now += step
        gaps = {}
        for goal, times in turns.items():
            gaps[goal] = max(after - before for before, after in zip(times, [*times[1:], started + days * 86400]))
        return len(replies), failed, reads, gaps

    @staticmethod
    def overdue(prompt):
        return re.findall(r"(?m)^\| - (\w): overdue: ", prompt)

    def prefers_a(self, prompt, number):
        return {"move": "write_goal", "id": "a", "body": f"{number}\n", "goal": "a"}

    def defers(self, prompt, number):
        late = [goal for goal in self.overdue(prompt) if goal != "a"]
        return {**self.prefers_a(prompt, number), "deferred": dict.fromkeys(late, "a comes first")}

    def serves(self, prompt, number):
        late = self.overdue(prompt)
        return {"move": "write_goal", "id": late[0], "body": f"{number}\n"} if late else self.prefers_a(prompt, number)

    def learns(self, prompt, number):
        """Heed the rule only after a failure."""
        return (self.defers if "\n# LAST FAILURE\n" in prompt else self.prefers_a)(prompt, number)

    def check(self, days, step, *deciders):
        """Whoever decides, no goal waits longer than `goal_wait`, and a beat for each that is overdue with it."""
        for decide, quiet in (*((decide, False) for decide in deciders), (self.serves, True)):
            count, failed, reads, gaps = self.simulate(days, decide, step, quiet=quiet)
            name = f"{decide.__name__}{', quiet' if quiet else ''}"
            self.assertLessEqual(max(gaps.values()), 86400 + 3 * step, name)
            self.assertLessEqual(count - (1 if quiet else days * 3), days * len(gaps), name)
            self.assertLessEqual(reads, 2 * count + days * 3 + 2, "a beat that finds nothing new reads no world")
            self.assertLessEqual(failed, days if decide == self.learns else 0)
            figure("days in which no goal waited for more than one", days)

    @heavy
    def test_no_goal_starves_over_two_days(self):
        count, failed, _, gaps = self.simulate(2, self.prefers_a, 4 * 3600.0, wait=0)
        self.assertEqual((count, failed, gaps["b"]), (2 * 3, 0, 2 * 86400), "without it they do")
        self.check(2, 4 * 3600.0, self.defers, self.serves, self.learns)

    @heavy
    def test_no_goal_starves_over_thirty_days(self):
        self.check(30, 4 * 3600.0, self.learns)


class Seen(Case):
    git = True

    def test_each_is_committed(self):
        if not os.path.exists(os.path.join(self.bin, "git")):
            self.skipTest("git is not installed")
        self.profile()
        self.looop("goal", "add", "a", "one")
        self.looop("goal", "done", "a")
        log = ["git", "-C", self.data, "log", "--format=%s"]
        lines = subprocess.run(log, env=self.env, capture_output=True, check=True, text=True).stdout
        self.assertEqual(lines, "archived goal a\nadded goal a\n")
        with looop.Lock(self.path(".beat.lock")) as lock:
            lock.acquire(PATIENCE, "tick", pid=1)
            self.looop("goal", "add", "b", "two")
        self.assertEqual(subprocess.run(log, env=self.env, capture_output=True, check=True, text=True).stdout, lines)


class History(Case):
    KEYS = ("at", "run", "reason", "move", "goal", "outcome", "journal", "cost_usd")

    def history(self, *words):
        return json.loads(self.looop("history", *words, "--json"))

    def test_the_last_moves(self):
        self.profile(goals={"a": "0\n"})
        self.assertEqual(self.looop("history"), "nothing was decided yet\n")
        self.replies({"move": "write_goal", "id": "b", "body": "x", "journal": "thought of b"})
        self.tick()
        self.replies({"move": "shell", "command": "git push", "reversible": True})
        self.write("goals/a.md", "1\n")
        self.tick()
        self.replies("nothing at all")
        self.write("goals/a.md", "2\n")
        self.tick()
        self.approve(1, code=None)
        self.replies({"move": "noop", "journal": "all is well"})
        self.tick(words=("run", "a"), code=None)
        self.write("goals/a.md", "3\n")
        self.tick()
        rows = self.history()
        self.assertEqual([tuple(row) for row in rows], [self.KEYS] * len(rows))
        told = [(row["outcome"], row["move"], row["goal"]) for row in rows]
        self.assertEqual(
            told,
            [
                ("noop", "noop", None),
                ("failed", None, "a"),
                ("acted", "shell", None),
                ("failed", None, None),
                ("proposed", "shell", None),
                ("acted", "write_goal", "b"),
            ],
        )
        whys = [json.loads(self.looop("why", row["run"], "--json")) for row in rows]
        for row, why in zip(rows, whys):
            same = ("run", "outcome", "reason", "journal", "cost_usd")
            self.assertEqual({key: row[key] for key in same}, {key: why[key] for key in same})
        text = self.looop("history", "-n2")
        self.assertIn(f"noop  all is well\n    because: {rows[0]['reason']}", text)
        self.assertIn(rows[0]["run"], text)
        self.assertEqual(len(text.splitlines()), 4)
        self.assertEqual(self.history("-n", "3"), rows[:3])
        self.assertEqual(self.history("--limit=0"), [])
        for run in os.listdir(self.path("runs")):
            looop.remove_tree(self.path("runs", run))
        self.assertEqual(self.history(), rows, "no capsule is needed")

    def test_one_that_a_pause_stopped(self):
        self.profile(goals={"a": "0\n"})
        reply = json.dumps({"move": "shell", "command": "touch ran", "reversible": True})
        self.runner(f"cat >/dev/null; {self.launcher} pause; echo '{reply}'")
        self.assertEqual(self.tick()["outcome"], "held")
        row = self.history()[0]
        self.assertEqual((row["outcome"], row["move"], row["reason"]), ("held", "shell", "first beat"))
        self.assertRegex(self.looop("history"), r"held  a person paused .*\n.*; shell, ")

    def test_it_reads_no_more_than_it_shows(self):
        self.profile()
        old = {"ts": "2026-01-01T00:00:00Z", "event": "decided", "run": "tick-20260101-000000-aaaa", "outcome": "noop"}
        rows = []
        for number in range(20000):
            run = f"tick-20260101-000000-{number:04x}"
            rows.append({**old, "event": "decide_start", "run": run, "reason": f"reason {number}"})
            facts = {"move": "noop", "goal": None, "journal": f"line {number}", "because": f"reason {number}"}
            rows.append({**old, "run": run, "cost_usd": 1.5, **facts})
        rows += [{**old, "event": "tick_failed", "reason": {}, "cost_usd": "x", "because": 5, "journal": 5, "move": []}]
        rows += [{"event": "decided", "run": "../x", "outcome": "noop"}, {"event": "decided", "run": 5}, {}]
        self.write("events.jsonl", "".join(looop.compact(row) + "\n" for row in rows) + "torn {")
        profile = looop.open_profile(self.env, "looop.py")
        taken = [row["journal"] for row in looop.last_runs(profile, 3)]
        self.assertEqual(taken, [None, "line 19999", "line 19998"])
        self.assertIn("failed", self.looop("history", "-n1"))
        read = 0
        real = looop.parse_fields

        def counted(line):
            nonlocal read
            read += 1
            return real(line)

        looop.parse_fields = counted
        self.addCleanup(setattr, looop, "parse_fields", real)
        found = looop.last_runs(profile, 10)
        self.assertEqual((found[9]["reason"], found[9]["cost_usd"]), ("reason 19991", 1.5))
        self.assertLess(read, 50)


class Gate(Case):
    def verdicts(self, *words, stdin=b""):
        return [json.loads(line) for line in self.looop("gate", *words, "--json", stdin=stdin).splitlines()]

    @needs_walls
    def test_what_a_command_would_meet(self):
        self.assertEqual(self.looop("gate", "git status"), "known  it only reads\n")
        self.assertEqual(self.looop("gate", "git clean -fdx"), "proposed  it looks irreversible: discards work\n")
        self.assertFalse(os.path.exists(self.data), "nothing is made, and nothing is run")
        first, meaning = self.looop("gate", "touch ran").splitlines()
        self.assertEqual(first, "confined  `touch` is not known to only read")
        self.assertIn("no network", meaning)
        self.assertFalse(os.path.exists(os.path.join(self.home, "ran")))
        lines = b"ls\n\ngit push --force\n"
        rows = [json.loads(line) for line in self.looop("gate", "-", stdin=lines).splitlines()]
        self.assertEqual(rows, self.verdicts("-", stdin=lines))
        self.assertEqual([row["verdict"] for row in rows], ["known", "proposed"])
        self.assertEqual(rows[0], {"verdict": "known", "reason": "it only reads", "confines": True})
        for gate, verdict in (("always", "proposed"), ("never", "known"), ("irreversible", "known")):
            self.config({"gate": {"shell": gate}})
            self.assertEqual(self.verdicts("ls")[0]["verdict"], verdict)
        self.config({"gate": {"allow": ["make test *"], "deny": [{"rule": "git push *", "example": "git push -f"}]}})
        self.assertEqual(self.looop("gate", "make test -j4"), "known  gate.allow: make test *\n")
        self.assertEqual(self.looop("gate", "cd x && git -C y push"), "refused  gate.deny: git push *\n")
        self.looop("gate", " ", code=2)
        self.looop("gate", "git", "push", code=2)

    @needs_walls
    def test_a_variable_that_leads_into_a_granted_folder(self):
        work = os.path.join(self.home, "work")
        os.makedirs(os.path.join(work, "bin"))
        os.symlink(work, os.path.join(self.home, "link"))
        self.config({"gate": {"folders": ["~/work"]}})
        self.assertEqual(self.verdicts("gh pr list")[0]["verdict"], "known")
        self.env["PWD"] = work
        self.assertEqual(self.verdicts("gh pr list")[0]["verdict"], "known")
        for name, value in (("KUBECONFIG", f"{self.home}/link/k"), ("X", f"/usr:{work}")):
            before = self.env.get(name)
            self.env[name] = value
            found = self.verdicts("gh pr list")[0]
            self.assertEqual((found["verdict"], found["reason"].split()[0]), ("confined", name))
            self.env[name] = before or ""

    @heavy
    def test_thousands_are_judged_in_seconds(self):
        began = time.monotonic()
        rows = self.looop("gate", "-", stdin=b"git log --oneline | head -5 && make test\n" * 5000).splitlines()
        self.assertEqual(len(rows), 5000)
        self.assertLess(time.monotonic() - began, 120)

    def test_it_agrees_with_the_beat(self):
        self.profile(goals={"a": "0\n"})
        for number, command in enumerate(("echo hi", "git push", "rm -rf x", "touch y")):
            self.replies({"move": "shell", "command": command, "reversible": True})
            self.write("goals/a.md", f"{number}\n")
            outcome = "proposed" if self.verdicts(command)[0]["verdict"] == "proposed" else "acted"
            self.assertEqual(self.tick()["outcome"], outcome, command)

    def test_untrusted_readings_count_where_the_config_says_so(self):
        self.profile(sensors={"s": "echo '{}'"})
        self.replies({"move": "noop"})
        self.tick()
        self.config({"gate": {"shell": "untrusted"}})
        self.assertEqual(self.verdicts("ls")[0]["verdict"], "proposed")
        self.looop("sensor", "trust", "s")
        self.looop("tick", env={"LOOOP_RUNNER": "builtin"})
        self.assertEqual(self.verdicts("ls")[0]["verdict"], "known")


class Edited(InATerminal):
    def propose(self, move):
        self.profile(goals={"a": "0\n"})
        self.replies(move)
        self.tick()

    def test_a_command(self):
        self.propose({"move": "shell", "command": "rm -rf everything", "reversible": True, "journal": "cleaned up"})
        self.editor('sed -i "s/everything/one/" "$1"')
        os.makedirs(self.path("one"))
        os.makedirs(self.path("everything"))
        shown = self.typed("approve", "1", "--edit", answer="n", code=1)
        self.assertIn("-rm -rf everything", shown)
        self.assertIn("+rm -rf one", shown)
        self.assertTrue(os.path.exists(self.path("one")))
        self.assertEqual(json.loads(self.looop("asks", "--json"))[0]["state"], "open")
        self.assertIn(
            "edited and approved by you (ask 1): ran rm -rf one", self.typed("approve", "1", "-e", answer="y")
        )
        self.assertFalse(os.path.exists(self.path("one")))
        self.assertTrue(os.path.exists(self.path("everything")))
        self.assertNotIn("cleaned up", self.journal()[-1], "the decider's words are about another command")
        self.assertEqual(self.json("asks/1.json")["command"], "rm -rf everything")
        self.assertEqual(self.json("asks/1.answer.json")["edited"]["command"], "rm -rf one")
        self.replies({"move": "noop"})
        self.tick()
        self.assertIn("rm -rf one", self.prompt(), "the next prompt says what ran instead")
        self.approve(1, code=1)

    def test_a_playbook(self):
        self.propose({"move": "write_playbook", "body": "# PLAYBOOK\n\nAlways ship.\n"})
        self.editor('sed -i "s/Always/Never/" "$1"')
        self.assertIn("+Never ship.", self.typed("approve", "1", "--edit", answer="y"))
        self.assertEqual(self.read("PLAYBOOK.md"), "# PLAYBOOK\n\nNever ship.\n")
        self.replies({"move": "noop"})
        self.tick()
        self.assertIn("as the person edited it", self.prompt())

    def test_what_does_nothing(self):
        self.propose({"move": "shell", "command": "git push", "reversible": True})
        self.editor("exit 0")
        self.assertIn("nothing was edited in ask 1: looop approve 1", self.typed("approve", "1", "--edit", code=1))
        self.editor(': >"$1"')
        self.assertIn("nothing is left of it", self.typed("approve", "1", "--edit", code=1))
        self.looop("approve", "1", "--edit", code=2)
        self.assertIn("stdin is not a terminal: looop approve 1 does it as it is", self.stderr)
        self.looop("approve", "1", "--edit", code=1, env={"LOOOP_CHILD": "1"})
        self.assertEqual(json.loads(self.looop("asks", "--json"))[0]["state"], "open")
