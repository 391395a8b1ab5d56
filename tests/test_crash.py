"""kill -9, TERM and Ctrl-C at any instant: nothing is lost, nothing happens twice, and the next beat tells."""

import json
import os
import random
import re
import signal
import time
import unittest

from tests.support import LONG, Case, alive, figure, heavy, wait_until

LINE = re.compile(r"- \d{4}-\d\d-\d\d \d\d:\d\d \S.*")


@heavy
class KillAnywhere(Case):
    starts = True  # it is killed while it starts, too
    long = True  # begins first where tests run side by side
    ROUNDS = 200 if LONG else 24
    SEED = 20260102

    def test_kill_9_at_random_instants(self):
        """Each round changes the world, starts a tick whose move is a shell effect, and kills it somewhere.

        Half of the instants are drawn from the whole of a beat; the others follow a sign that the decide or the act has
        begun, and there the beat waits, so that however fast the machine is there are deaths of every kind.
        """
        rng = random.Random(self.SEED)
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{\"signal\":1}'"})
        wait = f'[ ! -e "{self.home}/hold-$stage" ] || {{ touch "{self.home}/held"; sleep 300; }}'
        command = f"echo RUN >> effects; stage=act; {wait}"
        move = {"move": "shell", "command": command, "reversible": True, "journal": "did RUN"}
        message = {
            "role": "assistant",
            "usage": {"input": 1, "output": 1, "cost": {"total": 0.001}},
            "content": [{"type": "text", "text": json.dumps(move)}],
        }
        template = self.write("template", json.dumps({"type": "message_end", "message": message}) + "\n")
        decide = f'cat >/dev/null; stage=decide; {wait}; sed "s/RUN/$LOOOP_RUN_ID/g" {template}'
        self.runner(decide, output="pi", gate={"shell": "never"})
        env = {"LOOOP_RUNS_KEEP": "0"}
        started = time.monotonic()
        out = self.tick(env=env)
        self.assertEqual((out["outcome"], out["cost_usd"]), ("acted", 0.001), (out, self.stderr))
        whole = time.monotonic() - started
        killed = {None: 0, "decide": 0, "act": 0}
        for number in range(self.ROUNDS):
            if number % 20 == 19:  # how long a beat takes depends on what else the machine does
                for settled in ("settles", "whole"):
                    self.write("goals/a.md", f"{settled} {number}\n")
                    started = time.monotonic()
                    self.assertEqual(self.tick(env=env)["outcome"], "acted")
                whole = time.monotonic() - started
            self.write("goals/a.md", f"{number + 1}\n")
            stage = (None, "decide", None, "act")[number % 4]
            held = self.hold(stage)
            tick = self.start("tick", env=env)
            if stage:
                wait_until(lambda held=held: os.path.exists(held), f"the {stage} to begin")
            else:
                time.sleep(rng.uniform(0.2 * whole, 1.1 * whole))  # the instant is what is tested
            if tick.poll() is None:
                tick.kill()
                killed[stage] += 1
            tick.wait()
            self.doCleanups_of(tick)
            self.hold(None)
        self.assertEqual((killed["decide"], killed["act"]), (self.ROUNDS / 4, self.ROUNDS / 4))
        self.assertGreater(killed[None], 0)
        self.settled(env)
        self.check(killed)
        figure("beats killed at a random instant", sum(killed.values()))

    def hold(self, stage):
        """Have the next beat wait at a stage, or nowhere; return the path that is there as soon as it does."""
        for name in ("held", "hold-decide", "hold-act"):
            if os.path.exists(os.path.join(self.home, name)):
                os.unlink(os.path.join(self.home, name))
        if stage:
            with open(os.path.join(self.home, f"hold-{stage}"), "w"):
                pass
        return os.path.join(self.home, "held")

    def doCleanups_of(self, process):
        for stream in (process.stdout, process.stderr):
            stream.close()

    def settled(self, env):
        """Let the last beat be settled, whatever it left."""
        for number in range(3):
            self.write("goals/a.md", f"end {number}\n")
            self.tick(env=env)
        self.assertIsNone(self.json("state.json")["open"])

    def check(self, killed):
        journal = self.read("journal.md")
        self.assertTrue(journal.endswith("\n"))
        lines = journal.split("\n")[:-1]
        for line in lines:
            self.assertRegex(line, LINE)
            self.assertEqual(len(LINE.findall(line)), 1)
        ledger = self.ledger()  # every row parses
        events = self.events()  # every event parses
        paid = [row["run"] for row in ledger]
        self.assertEqual(len(paid), len(set(paid)), "no call is paid twice")
        effects = self.read("effects").split()
        self.assertEqual(len(effects), len(set(effects)), "no effect happens twice")
        done = interrupted = 0
        for run in self.runs():
            told = [line for line in lines if run in line]
            intent = os.path.exists(self.path("runs", run, "intent.json"))
            self.assertEqual(len(told), 1 if intent else 0, f"{run}: {told}")
            if told and "interrupted:" in told[0]:
                interrupted += 1
            elif told:
                done += 1
                self.assertIn(run, effects)
            if run in effects:
                self.assertTrue(intent)
            if intent or os.path.exists(self.path("runs", run, "output.log")):
                self.assertIn(run, paid)
            self.assertTrue(
                os.path.exists(self.path("runs", run, "result.json")) or not os.listdir(self.path("runs", run)), run
            )
        self.assertGreater(done, 2 * (self.ROUNDS // 20) + 1)  # the beats that nobody killed
        self.assertEqual(len(lines), done + interrupted)
        self.assertGreaterEqual(interrupted, killed["act"])
        told = [event for event in events if event["event"] == "interrupted"]
        self.assertGreaterEqual(len(told), killed["decide"] + killed["act"])
        self.assertEqual(len({event["run"] for event in told if event["effect"]}), interrupted)
        leftovers = [name for name in self.tree() if name.endswith(".tmp") and not name.startswith("runs/")]
        self.assertLessEqual(len(leftovers), sum(killed.values()))
        figure("of them in the middle of an effect, each told and none repeated", interrupted)


class Interrupted(Case):
    def held_shell(self):
        """Start a tick whose shell move waits, and return it once the effect has begun."""
        self.gate = {"shell": "never"}
        self.profile(goals={"a": "0\n"})
        self.replies(
            {
                "move": "shell",
                "command": "echo x >> effects; touch begun; sleep 300",
                "reversible": True,
                "journal": "did it",
            }
        )
        tick = self.start("tick")
        wait_until(lambda: os.path.exists(self.path("begun")), "the effect")
        run = self.json("state.json")["open"]
        child = wait_until(lambda: os.path.exists(self.path("runs", run, "shell.json")), "its number") and self.json(
            "runs", run, "shell.json"
        )
        return tick, run, child["pid"]

    def test_after_kill_9_the_next_beat_ends_the_orphan_and_tells(self):
        tick, run, pid = self.held_shell()
        tick.kill()
        tick.wait()
        self.assertTrue(alive(pid))
        self.replies({"move": "noop"})
        out = self.tick()
        self.assertEqual(out["outcome"], "held", "a beat that died is a failure, and backs off")
        wait_until(lambda: not alive(pid), "the end of the orphan")
        self.assertEqual(len(self.journal()), 1)
        told = rf'interrupted: {run} ended in the middle of shell "[^{{}}]+"; it may have happened; .+ repeat it$'
        self.assertRegex(self.journal()[0], told)
        self.assertNotIn("reversible", self.journal()[0])
        self.assertEqual(self.events("interrupted")[0]["run"], run)
        self.write("goals/a.md", "1\n")
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn(f"# INTERRUPTED\n| interrupted: {run}", self.prompt())
        self.assertEqual(len(self.journal()), 2)
        self.write("goals/a.md", "2\n")
        self.tick()
        self.assertNotIn("# INTERRUPTED", self.prompt())
        self.assertEqual(self.read("effects"), "x\n")
        self.assertEqual(len(self.ledger()), 3)

    def test_term_and_ctrl_c_end_the_children_and_leave_an_honest_trace(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)):
            tick, run, pid = self.held_shell()
            tick.send_signal(number)
            self.assertEqual(tick.wait(120), code)
            self.assertNotIn(b"Traceback", tick.stderr.read())
            wait_until(lambda pid=pid: not alive(pid), "the end of the command")
            self.assertIsNone(self.json("state.json")["open"])
            self.assertIn(f"interrupted: {run}", self.journal()[-1])
            self.assertIsNone(self.json("state.json")["failure"], "a person who stops a beat is no failure")
            self.replies({"move": "noop"})
            self.assertEqual(self.tick()["outcome"], "noop")
            self.assertIn("# INTERRUPTED", self.prompt())
            os.unlink(self.path("begun"))
            self.write("goals/a.md", "x\n")
            self.tick()

    def test_a_runner_that_was_killed_with_its_beat_is_paid_from_what_it_printed(self):
        self.profile(goals={"a": "0\n"})
        line = json.dumps(
            {"type": "message_end", "message": {"role": "assistant", "usage": {"cost": {"total": 0.25}}, "content": []}}
        )
        self.runner(f"echo '{line}'; touch printed; sleep 300", output="pi")
        tick = self.start("tick")
        wait_until(lambda: os.path.exists(self.path("printed")), "the runner")
        run = self.json("state.json")["open"]
        tick.kill()
        tick.wait()
        out = self.tick()
        self.assertEqual(out["outcome"], "held")
        self.assertEqual([(row["run"], row["cost_usd"]) for row in self.ledger()], [(run, 0.25)])
        self.assertEqual(self.journal(), [], "nothing was about to happen")
        self.assertEqual(self.events("interrupted")[0]["effect"], False)
        self.tick()
        self.assertEqual(len(self.ledger()), 1)
        self.assertEqual(self.json("runs", run, "result.json")["outcome"], "interrupted")
        self.assertEqual(self.json("state.json")["failure"]["count"], 1)
        os.unlink(self.path("printed"))
        self.write("goals/a.md", "1\n")  # ends the wait
        tick = self.start("tick")
        wait_until(lambda: os.path.exists(self.path("printed")), "the runner again")
        tick.kill()
        tick.wait()
        self.tick()
        self.assertEqual(self.json("state.json")["failure"]["count"], 2, "two beats in a row that died")

    def test_a_commit_whose_journal_line_is_missing_is_finished(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop", "journal": "done"})
        out = self.tick()
        for journal in ("", "- 2026-01-02 15:04 older\n"):
            state = self.json("state.json")
            state["last"]["journal_at"] = len(journal)
            self.write("state.json", json.dumps(state))
            self.write("journal.md", journal)
            os.unlink(self.path("runs", out["run"], "result.json"))
            for _ in range(3):
                self.assertEqual(self.tick()["outcome"], "unchanged")
            self.assertEqual(self.read("journal.md"), journal + out["journal"] + "\n")
            self.assertEqual(self.json("runs", out["run"], "result.json")["outcome"], "noop")

    def test_a_first_beat_that_was_killed_is_a_first_beat(self):
        self.profile()
        os.unlink(self.path("PLAYBOOK.md"))
        self.write("goals/setup.md", "half of a seed")
        self.tick()
        self.assertTrue(os.path.exists(self.path("sensors/today.sh")))
        self.assertEqual(self.read("goals/setup.md"), "half of a seed", "what is there is never written over")


if __name__ == "__main__":
    unittest.main()
