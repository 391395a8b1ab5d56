"""Trust: who wrote a sensor, what taints a beat, and what a beat of strangers' words may do by itself."""

import json
import os
import signal
import time

import looop
from tests.support import Case, wait_until

HELLO = '#!/bin/sh\necho \'{"signal":"hello"}\'\n'


class TrustCase(Case):
    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})
        self.beats = 0

    def beat(self, reply=None, **options):
        """Change the world and run a beat, with a reply."""
        if reply is not None:
            self.replies(reply)
        self.beats += 1
        self.write("goals/a.md", f"{self.beats}\n")
        return self.tick(**options)

    def rows(self):
        """Return what `sensor list --json` says of each sensor, by name."""
        return {row["name"]: row for row in json.loads(self.looop("sensor", "list", "--json"))}

    def whose(self, name):
        row = self.rows()[name]
        return row["writer"], row["trusted"], row["confined"]

    def signal(self, name):
        return self.json("snapshots", f"sensor-{name}.json")["signal"]

    def approve(self, number, *options):
        """Approve a proposal as somebody who has read it."""
        ask = next(ask for ask in json.loads(self.looop("asks", "--json")) if ask["n"] == number)
        digest = [ask["digest"]] if ask.get("digest") else []
        return self.looop("approve", str(number), *digest, *options)

    def planted(self, text=HELLO, name="x"):
        """Return a shell command that puts a sensor where sensors are."""
        return f"cat > sensors/{name}.sh <<'END'\n{text}END\nchmod 700 sensors/{name}.sh"


class Writers(TrustCase):
    def test_the_person_writes_sensors_and_the_header_of_a_file_grants_no_trust(self):
        self.sensor("ci", "# looop:trust=trusted\necho '{\"signal\":1}'")
        self.assertEqual(self.whose("ci"), ("person", False, False))
        self.beat({"move": "noop"})
        self.assertEqual(self.signal("ci"), 1)
        self.assertIn("- ci (untrusted data)", self.prompt())
        out = self.looop("doctor", code=None)
        self.assertIn("ci: says looop:trust=trusted, which only you can say", out)
        self.assertIn("looop sensor trust ci", out)
        self.assertIn("sensor ci: written by you; its readings are trusted", self.looop("sensor", "trust", "ci"))
        self.assertNotIn("only you can say", self.looop("doctor", code=None))
        self.beat()
        self.assertIn("- ci (trusted data)", self.prompt())
        self.looop("sensor", "trust", "ci", "--no")
        self.assertEqual(self.whose("ci"), ("person", False, False))
        self.assertEqual(self.read(".sensors").count("\tci\n"), 1)
        self.assertEqual(os.stat(self.path(".sensors")).st_mode & 0o777, 0o600)

    def test_trust_is_of_the_bytes_that_were_trusted(self):
        self.sensor("ci", "echo '{\"signal\":1}'")
        self.looop("sensor", "trust", "ci")
        self.beat({"move": "noop"})
        self.sensor("ci", "echo '{\"signal\":2}'")
        self.beat()
        self.assertIn("sensor ci: was changed, so its readings count as untrusted: looop sensor trust ci", self.stderr)
        self.assertEqual((self.whose("ci"), self.signal("ci")), (("person", False, False), 2))
        self.beat()
        self.assertNotIn("was changed", self.stderr, "it is said once")

    def test_what_looop_carries_is_looops_and_its_own_words_are_trusted(self):
        for name in ("state.json", "PLAYBOOK.md"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        self.env["LOOOP_RUNNER"] = "builtin"
        self.tick()
        self.assertEqual(self.whose("today"), ("gallery", True, False))
        self.looop("sensor", "add", "disk", "/", "99", "--name", "root", "--keep", code=None)
        self.assertEqual(self.whose("root"), ("gallery", True, False))
        self.looop("sensor", "add", "git", self.home, "--keep", code=None)
        added = next(name for name in self.rows() if name.startswith("git"))
        self.assertEqual(self.whose(added), ("gallery", False, False), "branches have names that others chose")
        self.assertRegex(self.looop("sensor", "list"), r"root +gallery +trusted")

    def test_a_child_of_looop_cannot_trust_and_what_it_adds_is_the_loops(self):
        self.sensor("ci", "echo '{\"signal\":1}'")
        self.looop("sensor", "trust", "ci", env={"LOOOP_CHILD": "1"}, code=1)
        self.assertIn("only a person", self.stderr)
        self.looop("sensor", "add", "disk", "/", "--name", "root", "--keep", env={"LOOOP_CHILD": "1"}, code=None)
        self.assertEqual(self.whose("root"), ("loop", False, True))

    def test_a_sensor_of_the_decider_is_confined_until_the_person_trusts_it(self):
        self.beat({"move": "write_sensor", "name": "own", "body": HELLO})
        self.assertEqual(self.whose("own"), ("loop", False, True))
        self.assertIn("own: written by the loop, runs confined", self.looop("doctor", code=None))
        self.assertIn("looop sensor trust own", self.looop("status"))
        self.looop("sensor", "trust", "own", "--no")
        self.assertEqual(self.whose("own"), ("loop", False, True), "no is no yes to the script")
        self.looop("sensor", "trust", "own", "--script")
        self.assertEqual(self.whose("own"), ("person", False, False))
        self.assertNotIn("looop sensor trust own", self.looop("status"))
        self.beat({"move": "write_sensor", "name": "own", "body": HELLO + "# 2\n"})
        self.assertEqual(self.whose("own"), ("loop", False, True), "it is another script")

    def test_a_confined_sensor_reads_and_writes_nothing(self):
        if not looop.walls_of(looop.open_profile(self.env, __file__)).confines:
            self.skipTest("nothing confines a command on this machine")
        tries = f"(echo x > {self.home}/out) 2>/dev/null; (echo x > goals/z.md) 2>/dev/null; cat goals/a.md >/dev/null"
        body = f'#!/bin/sh\n{tries} && echo \'{{"signal":"read"}}\'\n'
        made = self.beat({"move": "write_sensor", "name": "own", "body": body})
        self.assertEqual(made["outcome"], "acted", made)
        self.beat({"move": "noop"})
        self.assertEqual(self.signal("own"), "read")
        self.assertFalse(os.path.exists(os.path.join(self.home, "out")) or os.path.exists(self.path("goals/z.md")))
        self.looop("sensor", "trust", "own")
        self.beat()
        self.assertTrue(os.path.exists(os.path.join(self.home, "out")))

    def test_where_nothing_confines_a_sensor_of_the_decider_is_refused_by_name(self):
        profile = looop.open_profile(self.env, __file__)
        self.beat({"move": "write_sensor", "name": "own", "body": HELLO})
        walls = looop.walls_of
        looop.walls_of = lambda _: looop.Walls(why="a test")
        try:
            reading = looop.sense(profile, ["own"])["own"]
        finally:
            looop.walls_of = walls
        self.assertEqual(reading.status, "refused")
        self.assertIn(
            b"the loop wrote it, and nothing confines it on this machine: looop sensor trust own", reading.text
        )

    def test_an_approved_sensor_runs_and_is_a_strangers(self):
        body = "#!/bin/sh\n# looop:trust=trusted\n[ x = y ] && git push\necho '{\"signal\":1}'\n"
        self.assertEqual(self.beat({"move": "write_sensor", "name": "own", "body": body})["outcome"], "proposed")
        self.approve(1)
        self.assertEqual(self.whose("own"), ("approval", False, False))
        self.beat({"move": "noop"})
        self.assertEqual(self.signal("own"), 1)
        self.assertIn("- own (untrusted data)", self.prompt())

    def test_where_nothing_is_known_the_sensors_are_a_strangers(self):
        self.sensor("ci", "echo '{\"signal\":1}'")
        self.looop("sensor", "trust", "ci")
        whole = self.read(".sensors")
        for damage in (b"\x00\xff" * 40, b"", whole[:-5].encode(), whole.replace("\t1\t", "\tyes\t").encode()):
            self.write(".sensors", damage)
            self.assertEqual(self.whose("ci"), ("unknown", False, True), damage)
        os.unlink(self.path(".sensors"))
        os.mkdir(self.path(".sensors"))
        self.assertEqual(self.whose("ci"), ("unknown", False, True), "a folder")
        os.rmdir(self.path(".sensors"))
        self.write(".sensors", b"nonsense\n")
        self.beat({"move": "noop"})
        self.assertIn("who wrote the sensors is not known any more", self.stderr)
        self.beat()
        self.assertNotIn("not known", self.stderr, "it is said once")
        self.assertEqual(self.whose("ci"), ("unknown", False, True))
        self.looop("sensor", "trust", "ci")
        self.assertEqual(self.whose("ci"), ("person", True, False))


class Guarded(TrustCase):
    """A script that appears while a program of a move runs."""

    def refused(self, name="x"):
        self.assertEqual(self.whose(name), ("move", False, False))
        self.assertEqual(self.signal(name), {"error": f"refused: appeared during a move: looop sensor trust {name}"})

    def test_an_approved_command_installs_no_sensor(self):
        self.beat({"move": "shell", "command": self.planted(), "reversible": False})
        self.approve(1)
        self.assertIn("sensor x: appeared during a move: looop sensor trust x", self.stderr)
        self.beat({"move": "noop"})
        self.refused()
        self.looop("pause")
        self.tick()
        self.refused()
        self.looop("resume")
        self.assertIn("looop sensor trust x", self.looop("doctor", code=None))
        self.assertIn("looop sensor trust x", self.looop("status"))
        self.looop("sensor", "trust", "x", "--script")
        self.beat()
        self.assertEqual(self.signal("x"), "hello")

    def test_an_approved_command_changes_no_sensor(self):
        self.sensor("x", "echo '{\"signal\":1}'")
        self.looop("sensor", "trust", "x")
        self.beat({"move": "shell", "command": self.planted(), "reversible": False})
        self.approve(1)
        self.beat({"move": "noop"})
        self.refused()

    def test_a_direct_runner_installs_no_sensor(self):
        self.runner(f"cat >/dev/null\n{self.planted()}\necho done", mode="direct")
        self.beat()
        self.replies({"move": "noop"})
        self.beat()
        self.refused()

    def test_a_check_installs_no_sensor(self):
        self.beat({"move": "noop"})
        self.looop(
            "start-session", "w", "do it", "--command", "true", "--verify", f"cd {self.data} && {self.planted()}"
        )
        self.looop("wait", "w")
        self.beat({"move": "noop"})
        self.beat()
        self.refused()

    def test_a_beat_that_is_killed_in_its_move_leaves_the_guard_up(self):
        self.runner(f"cat >/dev/null\n{self.planted()}\ntouch {self.home}/there; sleep 300", mode="direct")
        self.write("goals/a.md", "now\n")
        beat = self.start("tick")
        wait_until(lambda: os.path.exists(os.path.join(self.home, "there")), "the runner's work")
        beat.send_signal(signal.SIGKILL)
        beat.wait()
        self.assertIn("guarded", self.read(".sensors").split("\n")[0])
        self.beat({"move": "noop"}, code=None)
        self.refused()
        self.assertNotIn("guarded", self.read(".sensors").split("\n")[0])
        self.sensor("mine", "echo '{\"signal\":1}'")
        self.beat()
        self.assertEqual((self.whose("mine")[0], self.signal("mine")), ("person", 1))

    def test_what_the_person_writes_while_a_runner_thinks_is_the_persons(self):
        path = os.path.join(self.home, "reply")
        with open(path, "w") as file:
            json.dump({"move": "shell", "command": "true", "reversible": True}, file)
        write = f"cat > {self.path('sensors/mine.sh')} <<'END'\n{HELLO}END\nchmod 700 {self.path('sensors/mine.sh')}"
        self.runner(f"cat >/dev/null; {write}\ncat {path}")
        self.beat()
        self.assertEqual(self.whose("mine")[0], "person")

    def test_a_young_script_is_read_again(self):
        profile = looop.open_profile(self.env, __file__)
        self.sensor("x", "echo '{\"signal\":1}'")
        looop.keep_origins(profile)
        self.assertEqual(looop.read_origins(profile).known["x"].stamp, "")
        old = time.time() - 3600
        real, looop.time.time = looop.time.time, lambda: old + 7200
        try:
            looop.keep_origins(profile)
        finally:
            looop.time.time = real
        self.assertNotEqual(looop.read_origins(profile).known["x"].stamp, "")


class Replays(TrustCase):
    def test_an_index_of_before_is_read_anew(self):
        self.sensor("s", "echo '{\"signal\":1}'")
        self.beat({"move": "noop"})
        self.write("snapshots/index", self.read("snapshots/index").replace("\t0\t", "\t0\t0\t"))
        self.beat()
        self.assertNotIn("sensor", self.stderr)
