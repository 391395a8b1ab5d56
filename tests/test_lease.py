"""The lease: several machines, each a clone of one memory, of which one decides at a time."""

import glob
import json
import os
import subprocess
import unittest
import unittest.mock

import looop
from tests.support import Case, wait_until

FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") or [""])[0]
SHELL = {"move": "shell", "reversible": True}


class Machines(Case):
    git = True
    gate = {"shell": "never"}

    def setUp(self):
        super().setUp()
        self.remote = os.path.join(self.home, "memory.git")
        self.git_does("init", "-q", "--bare", "-b", "main", self.remote)
        self.env["LOOOP_SHELL_TIMEOUT"] = "5"
        self.effects = os.path.join(self.home, "effects")

    def git_does(self, *words):
        done = subprocess.run(["git", *words], env=self.env, cwd=self.home, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def first(self, command="", **config):
        """Make the machine whose memory the others clone."""
        self.profile(goals={"g": "0\n"})
        self.git_does("init", "-q", "-b", "main", self.data)
        self.git_does("-C", self.data, "remote", "add", "origin", self.remote)
        self.replies({**SHELL, "command": command or f"echo $LOOOP_RUN_ID >>{self.effects}"}, lease="origin", **config)

    def clone(self, name="b"):
        """Make another machine, and return what sets a verb to it."""
        path = os.path.join(self.home, name)
        self.git_does("clone", "-q", self.remote, path)
        os.chmod(path, 0o700)
        return {"LOOOP_DATA_DIR": path}

    def on(self, where=None):
        """Return the profile of a machine, for what runs in this process."""
        return looop.open_profile({**self.env, **(where or {})}, looop.__file__)

    def lease(self, where=None):
        return json.loads(self.looop("lease", "--json", env=where))

    def done(self):
        if not os.path.exists(self.effects):
            return []
        with open(self.effects) as file:
            return file.read().splitlines()


class Hands(Machines):
    """The lease changes hands, and what is known goes along."""

    def test_one_machine_decides_and_the_next_one_goes_on_from_there(self):
        self.first()
        self.assertEqual(self.tick()["outcome"], "acted")
        b = self.clone()
        held = self.tick(env=b)
        self.assertEqual(held["outcome"], "held")
        self.assertIn(f"{self.data} holds the lease (epoch 1)", held["reason"])
        for verb in (["why", "now"], ["status"]):
            self.assertIn(f"{self.data} holds the lease", self.looop(*verb, env=b))
        self.assertFalse(os.path.exists(os.path.join(b["LOOOP_DATA_DIR"], "cost.jsonl")), "no call was made")
        self.write("asks/1.json", json.dumps({"n": 1, "kind": "ask", "question": "which?", "at": looop.utc_text(1e9)}))
        self.looop("lease", "release")
        self.assertEqual(self.lease(b)["holder"], None)
        self.assertEqual(self.tick(env=b)["outcome"], "acted", "the result of the last move is decided on")
        told = self.lease(b)
        self.assertEqual((told["epoch"], told["mine"]), (2, True))
        self.assertEqual(len(self.done()), 2)
        path = b["LOOOP_DATA_DIR"]
        with open(f"{path}/journal.md") as file:
            self.assertEqual(file.read().count("ran: echo"), 2)
        with open(f"{path}/asks/1.json") as file:
            ask = json.load(file)
        self.assertEqual((ask["question"], ask["epoch"]), ("which?", 2))
        self.assertEqual(self.json("runs", self.runs()[-1], "wake.json")["epoch"], 1)
        self.assertIn("answer it there", self.late_answer())

    def late_answer(self):
        """Answer here what waits on the other machine, too, once this one has seen who holds the lease."""
        self.write("goals/g.md", "1\n")
        self.assertEqual(self.tick()["outcome"], "held")
        self.looop("answer", "1", "this", code=1)
        return self.stderr

    def test_a_move_of_an_epoch_that_is_over_is_refused(self):
        self.first()
        ready, go = (os.path.join(self.home, name) for name in ("ready", "go"))
        self.tick()
        b = self.clone()
        self.write("goals/g.md", "1\n")
        self.runner(
            f"cat >/dev/null; : >{ready}; until [ -e {go} ]; do sleep 0.02; done; cat {self.home}/reply", lease="origin"
        )
        late = self.start("tick", "--json")
        wait_until(lambda: os.path.exists(ready), "the decider")
        self.looop("lease", "take", code=1, env=b)
        self.assertIn("--yes", self.stderr)
        self.looop("lease", "take", "--yes", env=b)
        with open(go, "w"):
            pass
        told = json.loads(late.communicate(timeout=120)[0])
        self.assertEqual((told["outcome"], len(self.done())), ("held", 1), told)
        self.assertIn("this move is of epoch 1", told["reason"])
        self.assertIn("b holds the lease (epoch 2)", self.journal()[-1])
        self.assertEqual(self.json("runs", told["run"], "result.json")["outcome"], "held")
        self.assertEqual(self.tick()["outcome"], "held", "nor does it decide again")
        self.assertEqual(len(self.ledger()), 2, "the call is paid")
        self.assertNotIn("not done", self.git_does("-C", self.remote, "show", "main:journal.md"))


class Clock(unittest.TestCase):
    """Who may take a lease, and who trusts it, by the clocks of one machine."""

    def test_a_holder_trusts_its_lease_for_less_time_than_others_wait(self):
        lease = looop.Lease("o", "a", 1, 100.0, True, 1, 1000.0, 5000.0, "boot")
        for now, wall, boot, held, free in (
            (1000.0, 5000.0, "boot", True, False),
            (1079.0, 5079.0, "boot", True, False),
            (1081.0, 5081.0, "boot", False, False),
            (1100.0, 5100.0, "boot", False, True),
            (1010.0, 9000.0, "boot", False, False),  # set, or started anew where no boot id tells it
            (1010.0, 1000.0, "boot", False, False),
            (1010.0, 5010.0, "other", False, False),
            (5.0, 5010.0, "boot", False, False),
        ):
            with unittest.mock.patch.multiple(
                looop,
                steady=lambda now=now: now,
                boot_id=lambda boot=boot: boot,
                time=unittest.mock.Mock(time=lambda wall=wall: wall),
            ):
                self.assertEqual((lease.held(), lease.free), (held, free), (now, wall, boot))
                self.assertFalse(lease.replace(mine=False).held())
                self.assertTrue(lease.replace(holder="").free)
        self.assertTrue(looop.Lease().free)
