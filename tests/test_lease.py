"""The lease: several machines, each a clone of one memory, of which one decides at a time."""

import glob
import json
import os
import signal
import subprocess
import time
import unittest
import unittest.mock

import looop
from tests.support import LONG, Case, alive, figure, heavy, longest, wait_until

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
        self.replies(
            {**SHELL, "command": command or f"echo $LOOOP_RUN_ID >>{self.effects}"}, **{"lease": "origin", **config}
        )

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

    @heavy
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


class Remotes(Machines):
    """A remote that is gone, or says nothing, holds the beat; nothing waits for it for long."""

    def test_a_remote_that_does_not_answer_holds_the_beat(self):
        self.first(lease="ssh://nowhere/memory")
        looop.commit(self.on(), "a memory")
        stub = os.path.join(self.home, "ssh")
        with open(stub, "w") as file:
            file.write(f"#!/bin/sh\necho $$ >{self.home}/asked; exec sleep 600\n")
        os.chmod(stub, 0o700)
        profile = self.on({"GIT_SSH": stub})
        with unittest.mock.patch.object(looop, "NETWORK_TIME", 0.3):
            why, moved = looop.hold_lease(profile)
        self.assertIn("ssh://nowhere/memory cannot be reached: no answer in", why)
        self.assertFalse(moved)
        with open(f"{self.home}/asked") as file:
            self.assertFalse(alive(int(file.read())))
        gate = looop.lease_gate(profile)
        self.assertEqual((gate.verdict, gate.detail), ("hold", why))
        mine = looop.Lease("o", "me", 3, 600.0, True, 3, looop.steady(), time.time(), looop.boot_id())
        looop.write_lease(profile, mine)
        with unittest.mock.patch.object(looop, "NETWORK_TIME", 0.3):
            self.assertIn("no answer", looop.renew_lease(profile))
        self.assertTrue(looop.read_lease(profile).held(), "its holder goes by its own clock meanwhile")

    def test_a_remote_that_is_gone_is_told(self):
        self.first(lease=f"{self.home}/gone")
        held = self.tick()
        self.assertEqual((held["outcome"], self.ledger()), ("held", []))
        self.assertIn(f"{self.home}/gone cannot be reached", held["reason"])
        self.assertIn(f"{self.home}/gone cannot be reached", self.looop("status"))
        (found,) = looop.check_lease(self.on())
        self.assertEqual(found.status, "fail")
        self.looop("lease", code=1)

    @longest
    def test_a_machine_that_is_killed_while_it_takes_the_lease_takes_it_again(self):
        self.first()
        self.tick()
        machines = [self.data, self.clone()["LOOOP_DATA_DIR"]]
        killed = 0
        while True:
            profile = self.on({"LOOOP_DATA_DIR": machines[(killed + 1) % 2]})
            epoch = max(looop.read_lease(self.on({"LOOOP_DATA_DIR": path})).epoch for path in machines)
            pid = os.fork()
            if not pid:
                self.die_at(killed, profile)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
                break
            killed += 1
            looop.end_left_git(profile)
            looop.recover(profile)
            self.assertEqual(looop.hold_lease(profile, force=True)[0], "", killed)
            lease = looop.read_lease(profile)
            self.assertIn(lease.epoch, (epoch + 1, epoch + 2))
            self.assertTrue(lease.held() and lease.adopted == lease.epoch and not lease.coming, lease)
            there = self.git_does("-C", self.remote, "for-each-ref", "--format=%(objectname) %(refname)").split()
            self.assertEqual(there[there.index("refs/looop/lease") - 1], lease.oid)
        self.assertGreater(killed, 8)
        figure("lease: instants of a take that were the last ones", killed)

    def die_at(self, step, profile):
        """Take the lease, and die before or after a step of it that others can see."""
        left = [step]

        def steps(call, which):
            def one(*words, **named):
                seen = which(words)
                if seen and not left[0]:
                    os._exit(9)
                left[0] -= seen
                done = call(*words, **named)
                if seen and not left[0]:
                    os._exit(9)
                left[0] -= seen
                return done

            return one

        looop.write_atomic = steps(looop.write_atomic, lambda _: True)
        looop.run_job = steps(looop.run_job, lambda words: bool({"push", "merge"} & set(words[0].argv)))
        try:
            looop.hold_lease(profile, force=True)
        finally:
            os._exit(0)


class Clock(unittest.TestCase):
    """Who may take a lease, and who trusts it, by the clocks of one machine."""

    def test_a_holder_trusts_its_lease_for_less_time_than_others_wait(self):
        lease = looop.Lease("o", "a", 1, 100.0, True, 1, 1000.0, 5000.0, "boot")
        for now, wall, boot, held, free in (
            (1000.0, 5000.0, "boot", True, False),
            (1079.0, 5079.0, "boot", True, False),
            (1081.0, 5081.0, "boot", False, False),
            (1100.0, 5100.0, "boot", False, True),
            (
                1010.0,
                9000.0,
                "boot",
                False,
                False,
            ),  # set; or started anew, and no boot id tells
            (1010.0, 1000.0, "boot", False, False),
            (1010.0, 5010.0, "other", False, False),
            (5.0, 5010.0, "boot", False, False),
        ):
            clock = unittest.mock.Mock(time=lambda wall=wall: wall)
            known = {"steady": lambda now=now: now, "boot_id": lambda boot=boot: boot, "time": clock}
            with unittest.mock.patch.multiple(looop, **known):
                self.assertEqual((lease.held(), lease.free), (held, free), (now, wall, boot))
                self.assertFalse(lease.replace(mine=False).held())
                self.assertTrue(lease.replace(holder="").free)
        self.assertTrue(looop.Lease().free)


@longest
class Race(Machines):
    """Machines whose clocks are hours apart race for the lease; holders are stopped, and killed, while they decide."""

    many = True
    racers, rounds = (8, 200) if LONG else (3, 4)

    def setUp(self):
        super().setUp()
        self.env["LOOOP_LEASE_TTL"] = "2"
        self.one, self.ready, self.go, acts = (os.path.join(self.home, name) for name in ("one", "ready", "go", "acts"))
        self.first(
            f"mkdir {acts} || echo overlap >>{self.effects}; echo did $LOOOP_RUN_ID >>{self.effects};"
            f" sleep 0.05; rm -r {acts}"
        )
        # the first decider that finds `one` gone says where it is, and waits
        ready = f"echo $LOOOP_DATA_DIR >{self.ready}.new; mv {self.ready}.new {self.ready}"
        waits = f"{ready}; until [ -e {self.go} ]; do sleep 0.02; done; rm {self.ready}"
        waits = f"if mkdir {self.one} 2>/dev/null; then {waits}; fi"
        self.runner(f"cat >/dev/null; {waits}; cat {self.home}/reply", lease="origin")
        self.sensor("n", f"echo '{{\"signal\":'$(cat {self.home}/world)'}}'")
        self.world(0)
        os.mkdir(self.one)
        self.assertEqual(self.tick()["outcome"], "acted")
        self.machines = [self.data, *(self.clone(f"m{n}")["LOOOP_DATA_DIR"] for n in range(1, self.racers))]
        self.acted = 1

    def world(self, number):
        with open(os.path.join(self.home, "world"), "w") as file:
            file.write(str(number))

    def begin(self, machine):
        """Start a beat on a machine, whose clock is some hours off."""
        env = {**self.env, "LOOOP_DATA_DIR": machine}
        if FAKETIME:
            hours = (self.machines.index(machine) - 2) * 3
            env.update(LD_PRELOAD=FAKETIME, FAKETIME=f"{hours:+d}h", FAKETIME_DONT_FAKE_MONOTONIC="1")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        beat = subprocess.Popen(self.command("tick", "--json"), env=env, cwd=self.home, **pipes)
        self.addCleanup(beat.kill)
        return beat

    def end(self, beat):
        """Wait for the end of a beat, and return its outcome."""
        out, err = beat.communicate(timeout=120)
        self.assertNotIn(b"Traceback", err)
        self.assertTrue(out, err)
        outcome = json.loads(out)
        self.acted += outcome["outcome"] == "acted"
        return outcome

    def beats(self, *left):
        """Run a beat on each machine but some, at once."""
        for beat in [self.begin(machine) for machine in self.machines if machine not in left]:
            self.end(beat)

    def waiting_beat(self):
        """Run beats until one decides and waits there; return its machine and its process. The others have ended."""
        os.rmdir(self.one)
        while not os.path.exists(self.ready):  # the lease of the last round may not have run out
            beats = {machine: self.begin(machine) for machine in self.machines}
            wait_until(lambda beats=beats: sum(b.poll() is None for b in beats.values()) < 2, "the end of the others")
            waits = [machine for machine, beat in beats.items() if beat.poll() is None]
            wait_until(
                lambda beats=beats: os.path.exists(self.ready) or all(b.poll() is not None for b in beats.values()),
                "a decider that waits, or none",
            )
            for machine in self.machines:
                if beats[machine].poll() is not None:
                    self.end(beats[machine])
        with open(self.ready) as file:
            self.assertEqual([file.read().strip()], waits)
        return waits[0], beats[waits[0]]

    def test_one_beat_at_a_time(self):
        told = dict.fromkeys(("stopped", "killed", "refused"), 0)
        for number in range(1, self.rounds + 1):
            self.world(number)
            how = {2: "stopped", 0: "killed"}.get(number % 4)
            if not how:
                self.beats()
                continue
            machine, late = self.waiting_beat()
            late.send_signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
            before = self.acted
            while self.acted == before:  # until its lease has run out
                self.beats(machine)
            with open(self.go, "w"):
                pass
            told[how] += 1
            if how == "stopped":
                late.send_signal(signal.SIGCONT)
                ended = self.end(late)
                self.assertEqual(ended["outcome"], "held", ended)
                self.assertIn("this move is of epoch", ended["reason"])
                told["refused"] += 1
            late.communicate()
            wait_until(lambda: not os.path.exists(self.ready), "the end of the decider")
            os.unlink(self.go)
        self.assertNotIn("overlap", self.done())
        self.assertEqual(len(self.done()), len(set(self.done())))
        self.assertEqual(len(self.done()), self.acted)
        takes = 0
        for machine in self.machines:
            with open(os.path.join(machine, "events.jsonl")) as file:
                takes += sum('"event":"lease"' in line and '"taken":true' in line for line in file)
        for what, count in {**told, "rounds": self.rounds, "moves": self.acted, "takes": takes}.items():
            figure(f"lease: {what}", count)
        self.assertEqual(self.lease()["epoch"], takes)
