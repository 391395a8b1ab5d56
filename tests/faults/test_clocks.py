"""Clocks apart: a data dir that another machine, or this one before its clock was set, has written."""

from __future__ import annotations

import json
import os
import time
import unittest

import looop
from tests.faults.injector import Faults
from tests.support import LONG, heavy

DAY = 86400.0
YEARS = 4000 * DAY


@heavy
class ClocksApart(Faults):
    drifting = True

    def setUp(self):
        super().setUp()
        self.env["LOOOP_GOAL_WAIT"] = "0"  # these deciders know nothing of turns
        self.profile(goals={"a": "0\n"}, sensors={"s": "# looop:interval=900\necho '{\"signal\":1}'"})
        self.decides({"move": "noop", "journal": "RUN"})

    def shifted(self, value, secs):
        """Return JSON in which every moment is later by some seconds."""
        if isinstance(value, dict):
            return {key: self.shifted(each, secs) for key, each in value.items()}
        if isinstance(value, list):
            return [self.shifted(each, secs) for each in value]
        if isinstance(value, float) and value > 1e9:
            return value + secs
        if isinstance(value, str) and len(value) == 20 and value[-1] == "Z":
            return looop.utc_text(looop.parse_utc(value) + secs)
        return value

    def move_all(self, secs):
        """Have another clock have written everything."""
        for folder, _, names in os.walk(self.data):
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith((".json", ".jsonl")):
                    with open(path) as file:
                        lines = file.read()
                    parts = lines.split("\n") if name.endswith("l") else [lines]
                    parts = [json.dumps(self.shifted(json.loads(part), secs)) if part.strip() else "" for part in parts]
                    with open(path, "w") as file:
                        file.write("\n".join(parts) + ("" if name.endswith("l") else "\n"))
                if os.path.isfile(path):
                    os.utime(path, (time.time() + secs,) * 2)
        index = self.read("snapshots", "index").split("\t")
        index[4] = f"{float(index[4]) + secs:.3f}"
        self.write("snapshots/index", "\t".join(index))

    def test_what_another_clock_wrote_stops_nothing(self):
        self.verb("start-session", "w", "--command", "true")
        self.supervised()
        os.unlink(self.path("sessions", "w", "sock"))
        self.assertEqual(self.verb("tick").code, 0)
        self.edit()
        self.decides({"move": "ask", "question": "Which?"})
        self.assertEqual(self.verb("tick").code, 0)
        self.decides({"move": "noop", "journal": "RUN"})
        self.verb("pause", "1h", "lunch")
        self.keep()
        verbs = "status ls asks why cost tick doctor claims".split()
        for secs in (DAY, -DAY, YEARS, -YEARS) if LONG else (DAY, -YEARS):
            self.back()
            self.move_all(secs)
            with self.subTest(secs=secs):
                for verb in verbs:
                    done = self.verb(verb)
                    self.assertIn(done.code, (0, 1) if verb == "doctor" else (0,), (verb, done))
                self.assertEqual(self.verb("resume").code, 0)
                done = self.verb("tick", "--json")
                self.assertIn(json.loads(done.out)["outcome"], ("unchanged", "noop"), "it looks at the world")
                self.edit()
                done = json.loads(self.verb("tick", "--json").out)
                self.assertEqual(done["outcome"], "noop", done)
                self.assertIn(done["run"], self.verb("why", "last").out)
                self.assertEqual(self.verb("answer", "1", "red").code, 0)
                self.assertEqual(self.verb("tick").code, 0)
                self.assertIn("answer: red", self.prompt())

    def test_a_failure_of_a_clock_that_was_ahead_holds_for_no_year(self):
        self.decides({"move": "nonsense"})
        self.assertEqual(self.verb("tick").code, 1)
        self.move_all(YEARS)
        self.decides({"move": "noop", "journal": "RUN"})
        self.assertEqual(json.loads(self.verb("tick", "--json").out)["outcome"], "noop")

    def test_capsules_of_a_clock_that_was_ahead_go_first(self):
        env = {"LOOOP_RUNS_KEEP": "3"}
        for number in range(4):
            run = f"tick-20980101-00000{number}-abcd"
            os.makedirs(self.path("runs", run), mode=0o700)
            self.write(f"runs/{run}/wake.json", "{}")
        ours = []
        for _ in range(3):
            self.edit()
            ours.append(json.loads(self.verb("tick", "--json", env=env).out)["run"])
            self.assertIn(ours[-1], self.runs())
            self.assertIn(ours[-1], self.verb("why", "last").out)
        self.assertEqual(sorted(self.runs()), sorted(ours))

    def test_a_playbook_is_kept_though_others_are_of_the_future(self):
        self.write("PLAYBOOK.md", "mine\n")
        os.makedirs(self.path("playbook.d"), mode=0o700)
        for number in range(25):
            self.write(f"playbook.d/20980101-0000{number:02}-abcd.md", "theirs\n")
        self.runner("cat >/dev/null; cat " + self.write("reply", json.dumps({"move": "write_playbook", "body": "new"})),
                    gate={"playbook": False})  # fmt: skip
        self.assertEqual(json.loads(self.verb("tick", "--json").out)["outcome"], "acted")
        kept = [self.read("playbook.d", name) for name in os.listdir(self.path("playbook.d"))]
        self.assertEqual((len(kept), "mine\n" in kept), (20, True))

    def test_a_claim_and_a_pause_of_another_clock(self):
        for at in (-YEARS, YEARS):
            now = time.time() + at
            self.write("pause.json", json.dumps({"at": now, "until": now + 60, "why": "x"}))
            self.assertEqual(self.verb("status").code, 0)
            held = json.loads(self.verb("tick", "--json").out)["outcome"] == "held"
            self.assertEqual(held, at > 0)


if __name__ == "__main__":
    unittest.main()
