"""Sensors: real scripts, good and bad, become readings; what changes wakes, what does not change does not."""

import json
import os
import stat
import time
import unittest

import looop
from tests.support import Case, processes_with, wait_until


class Readings(Case):
    def sensed(self, name, body, **options):
        """Run one sensor by `sensor test` and return what it shows."""
        self.profile(sensors={name: body})
        row = json.loads(self.looop("sensor", "test", name, "--json", code=None, **options))
        self.assertEqual(self.code, 0 if row["status"] == "ok" else 1)
        return row

    def error(self, body, **options):
        row = self.sensed("bad", body, **options)
        self.assertEqual(row["status"], "error")
        again = json.loads(self.looop("sensor", "test", "bad", "--json", code=1, **options))
        self.assertEqual(row["signal"], again["signal"])
        return row["signal"]["error"]

    def test_signal_and_the_whole(self):
        row = self.sensed("a", """echo '{"signal":{"b":1,"a":2},"detail":{"x":3}}'""")
        self.assertEqual((row["signal"], row["detail"]), ({"a": 2, "b": 1}, {"x": 3}))
        row = self.sensed("a", """echo '{"b":1,"a":2}'""")
        self.assertEqual(row["signal"], {"a": 2, "b": 1})

    def test_each_thing_that_goes_wrong_has_words_of_its_own(self):
        words = [
            self.error("exit 3"),
            self.error("kill -9 $$"),
            self.error("sleep 60", env={"LOOOP_SENSOR_TIMEOUT": "300ms"}),
            self.error(":"),
            self.error("echo '{broken'"),
            self.error("echo '[1]'"),
            self.error("echo 42"),
            self.error("yes | head -c 100000000"),
            self.error("echo one; echo two"),
            self.error("echo '{}'; exit 1"),
        ]
        self.assertEqual(words[0], "exit 3")
        self.assertEqual(words[1], "signal 9")
        self.assertEqual(words[2], "timeout after 0.3 s")
        self.assertEqual(words[3], "no output")
        self.assertEqual(words[4], "not JSON")
        self.assertEqual(words[5:7], ["not a JSON object"] * 2)
        self.assertEqual(words[7], "output over 8192 bytes")
        self.assertEqual(words[8], "not JSON")
        self.assertEqual(words[9], "exit 1")

    def test_stderr_is_kept_as_detail(self):
        row = self.sensed("bad", "echo why >&2; exit 1")
        self.assertEqual(row["detail"]["stderr"], "why\n")

    def test_plugins_of_the_monitoring_world(self):
        for code, status in enumerate(("OK", "WARNING", "CRITICAL", "UNKNOWN")):
            row = self.sensed(
                "disk", f"echo 'DISK {status} - free space: / 3326 MB (56%);| /=2643MB;5948;5958;0;5968'; exit {code}"
            )
            self.assertEqual(row["status"], "ok")
            self.assertEqual(row["signal"], {"status": status})
            self.assertEqual(row["detail"]["text"], f"DISK {status} - free space: / 3326 MB (56%);")
            self.assertEqual(row["detail"]["perfdata"], "/=2643MB;5948;5958;0;5968")

    def test_latin_1_is_read(self):
        row = self.sensed("latin", r"""printf '{"signal":"caf\xe9"}'""")
        self.assertEqual((row["status"], row["signal"]), ("ok", "caf\ufffd"))

    def test_nesting_and_numbers_without_end(self):
        self.assertIn(self.error("printf '[%.0s' $(seq 4000)"), ("nested too deeply", "not JSON"))  # as Python's parser
        self.error("printf '{\"a\":'; printf '9%.0s' $(seq 6000); printf '}'") if os.sys.version_info >= (
            3,
            11,
        ) else None

    def test_where_and_how_it_runs(self):
        row = self.sensed("here", """printf '{"signal":["%s","%s","%s"]}' "$PWD" "$LOOOP_DATA_DIR" "$(cat | wc -c)" """)
        self.assertEqual(row["signal"], [self.data, self.data, "0"])
        row = self.sensed("bin", """printf '{"signal":"%s"}' "$("$LOOOP_BIN" version)" """)
        self.assertTrue(row["signal"].startswith("looop "))

    def test_what_must_not_be_run_is_refused_by_name(self):
        self.profile(sensors={"open": "echo '{}'", "off": "echo '{}'", "good": "echo '{}'"})
        os.chmod(self.path("sensors/open.sh"), 0o722)
        os.chmod(self.path("sensors/off.sh"), 0o600)
        self.tick()
        self.assertIn("sensor open: refused: others can write it", self.stderr)
        self.assertIn("sensor off: refused: not executable", self.stderr)
        rows = {row["name"]: row for row in json.loads(self.looop("sensor", "list", "--json"))}
        self.assertEqual(
            {name: row["status"] for name, row in rows.items()}, {"open": "refused", "off": "refused", "good": "ok"}
        )

    @unittest.skipUnless(os.geteuid() == 0, "needs root to give a file away")
    def test_a_sensor_of_somebody_else_is_refused(self):
        self.profile(sensors={"theirs": "echo '{}'"})
        os.chown(self.path("sensors/theirs.sh"), 65534, 65534)
        row = json.loads(self.looop("sensor", "test", "theirs", "--json", code=1))
        self.assertEqual(row["signal"], {"error": "refused: owned by somebody else"})

    def test_names_that_are_no_ids(self):
        self.profile(sensors={"with space": "echo '{\"signal\":1}'", "new\nline": "echo '{\"signal\":2}'"})
        path = os.path.join(os.fsencode(self.data), b"sensors", b"\xff\xfe.sh")
        with open(path, "wb") as file:
            file.write(b"#!/bin/sh\necho '{\"signal\":3}'\n")
        os.chmod(path, 0o700)
        self.tick()
        rows = json.loads(self.looop("sensor", "list", "--json"))
        self.assertEqual(
            {row["name"]: row["signal"] for row in rows}, {"with%20space": 1, "new%0Aline": 2, "%FF%FE": 3}
        )
        self.assertEqual(self.tick()["outcome"], "unchanged")


class Wakes(Case):
    def counting(self, name, line):
        """Make a sensor that counts its runs in a file and prints a line."""
        self.sensor(name, f"echo x >> {self.home}/{name}.runs\n{line}")

    def runs_of(self, name):
        with open(os.path.join(self.home, f"{name}.runs")) as file:
            return len(file.read().split())

    def test_ten_sensors_good_and_bad(self):
        """One hangs with a grandchild on its stdout, one floods, one is latin-1, one fails, one is deleted."""
        self.profile(
            sensors={
                "hang": "# looop:timeout=1\nsleep 300 & echo '{}'; sleep 300",
                "flood": "yes | head -c 100000000",
                "latin": r"""printf '{"signal":"\xe9"}'""",
                "fail": "exit 2",
                "gone": 'rm -- "$0"; sleep 0.3; echo \'{"signal":"last words"}\'',
                **{f"good{i}": f"echo '{{\"signal\":{i}}}'" for i in range(5)},
            }
        )
        started = time.monotonic()
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertLess(time.monotonic() - started, 1 + 2 + 5)
        rows = {row["name"]: row for row in json.loads(self.looop("sensor", "list", "--json"))}
        self.assertEqual(len(rows), 9)
        self.assertEqual(rows["hang"]["signal"], {"error": "timeout after 1 s"})
        self.assertEqual(rows["flood"]["signal"], {"error": "output over 8192 bytes"})
        self.assertEqual(rows["latin"]["signal"], "\ufffd")
        self.assertEqual(rows["fail"]["signal"], {"error": "exit 2"})
        self.assertEqual([rows[f"good{i}"]["signal"] for i in range(5)], list(range(5)))
        wake = self.json("runs", self.runs()[0], "wake.json")
        self.assertIn("sensor:gone", wake["digests"])
        wait_until(lambda: not processes_with(self.home), "no process of theirs")
        second = self.tick()
        self.assertEqual(second["reason"], "sensor gone: gone, was last words")
        self.assertFalse(os.path.exists(self.path("snapshots", "sensor-gone.json")))
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_key_order_and_detail_never_wake(self):
        self.profile(
            sensors={
                "order": 'if [ $((RANDOM % 2)) = 0 ]; then echo \'{"signal":{"a":1,"b":{"c":2,"d":3}}}\'; '
                'else echo \'{"signal":{"b":{"d":3,"c":2},"a":1}}\'; fi',
                "detail": 'printf \'{"detail":{"now":"%s"},"signal":"still"}\' "$(date +%N)"',
                "spaces": "printf '%*s{\"signal\":  true}\\n' $((RANDOM % 50)) ''",
            }
        )
        self.assertEqual(self.tick()["outcome"], "noop")
        for _ in range(12):
            self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_an_error_wakes_once_and_once_more_when_it_goes(self):
        self.profile(sensors={"ci": f"cat {self.home}/ci"})
        with open(os.path.join(self.home, "ci"), "w") as file:
            file.write('{"signal":"green"}')
        self.tick()
        os.unlink(os.path.join(self.home, "ci"))
        self.assertIn('sensor ci: green → {"error":"exit 1"}', self.tick()["reason"])
        for _ in range(3):
            self.assertEqual(self.tick()["outcome"], "unchanged")
        with open(os.path.join(self.home, "ci"), "w") as file:
            file.write('{"signal":"green"}')
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_a_cadence_keeps_a_reading(self):
        self.profile()
        self.counting("slow", "# looop:interval=1h\necho '{\"signal\":1}'")
        self.counting("often", "echo '{\"signal\":1}'")
        for _ in range(3):
            self.tick()
        self.assertEqual((self.runs_of("slow"), self.runs_of("often")), (3, 3), "the comment is not in the first block")
        self.write(
            "sensors/slow.sh",
            f"#!/bin/bash\n# looop:interval=1h\necho x >> {self.home}/slow.runs\necho '{{\"signal\":1}}'\n",
            0o700,
        )
        for _ in range(3):
            self.tick()
        self.assertEqual((self.runs_of("slow"), self.runs_of("often")), (4, 6))
        rows = {row["name"]: row for row in json.loads(self.looop("sensor", "list", "--json"))}
        self.assertEqual((rows["slow"]["status"], rows["often"]["status"]), ("kept", "ok"))
        with open(self.path("sensors/slow.sh"), "a") as file:
            file.write("# edited\n")
        self.tick()
        self.assertEqual(self.runs_of("slow"), 5, "an edited sensor is run again")

    def test_a_signal_that_changes_on_five_beats_is_flapping(self):
        self.profile(
            sensors={"flap": f"n=$(cat {self.home}/n); echo $((n + 1)) > {self.home}/n; echo '{{\"signal\":'$n'}}'"}
        )
        with open(os.path.join(self.home, "n"), "w") as file:
            file.write("0")
        for _ in range(5):
            self.tick()
        self.assertNotIn("# FLAPPING", self.prompt())
        self.tick()
        self.assertIn("# FLAPPING\n| changed on 5 beats in a row or more: flap\n", self.prompt())
        self.tick()
        self.assertEqual([event["sensor"] for event in self.events("sensor_flapping")], ["flap"])
        row = json.loads(self.looop("sensor", "list", "--json"))[0]
        self.assertTrue(row["flapping"])
        self.sensor("flap", "echo '{\"signal\":7}'")
        self.tick()
        self.tick()
        self.assertFalse(json.loads(self.looop("sensor", "list", "--json"))[0]["flapping"])

    def test_a_reading_that_is_kept_flaps_no_more(self):
        body = f"n=$(cat {self.home}/n); echo $((n + 1)) > {self.home}/n; echo '{{\"signal\":'$n'}}'"
        self.profile(sensors={"flap": body})
        with open(os.path.join(self.home, "n"), "w") as file:
            file.write("0")
        for _ in range(5):
            self.tick()
        self.sensor("flap", f"# looop:interval=1h\n{body}")
        for _ in range(3):
            self.tick()
        self.assertEqual(len(self.events("sensor_flapping")), 1)

    def test_they_run_at_once(self):
        """Each goes on only when all have begun."""
        begun = os.path.join(self.home, "begun")
        os.mkdir(begun)
        meet = f"touch {begun}/$$; until set -- {begun}/*; [ $# = 12 ]; do sleep 0.05; done; echo '{{\"signal\":1}}'"
        self.profile(sensors={f"s{i}": meet for i in range(12)})
        self.tick()
        for i in range(12):
            self.assertEqual(self.json("snapshots", f"sensor-s{i}.json")["signal"], 1)

    def test_snapshots_are_private_and_readable_as_json(self):
        self.profile(sensors={"a": "echo '{\"signal\":1}'", "b": "exit 1", "c": "echo fine"})
        self.addCleanup(os.umask, os.umask(0))
        self.tick()
        for name in "abc":
            self.assertIn("signal", self.json("snapshots", f"sensor-{name}.json"))
            mode = stat.S_IMODE(os.stat(self.path("snapshots", f"sensor-{name}.json")).st_mode)
            self.assertEqual(mode, 0o600)
        modes = {
            name: os.stat(self.path(name)).st_mode & 0o777
            for name in ("state.json", "journal.md", "events.jsonl", "runs")
        }
        self.assertEqual(modes, {"state.json": 0o600, "journal.md": 0o600, "events.jsonl": 0o600, "runs": 0o700})


class Verbs(Case):
    def test_list_show_and_test(self):
        self.profile(sensors={"ci": 'echo \'{"signal":{"red":0},"detail":{"x":"\\u001b[31m"}}\''})
        self.assertIn("never run", self.looop("sensor", "list"))
        self.looop("sensor", "show", "ci", code=1)
        self.assertIn("has no reading yet: take one: looop sensor test ci", self.stderr)
        before = self.tree()
        out = self.looop("sensor", "test", "ci")
        self.assertIn("would wake the loop", out)
        self.assertEqual(self.tree(), before, "a test keeps nothing")
        self.tick()
        self.assertIn("would not wake", self.looop("sensor", "test", "ci"))
        self.assertIn('{"red":0}', self.looop("sensor", "list"))
        self.assertNotIn("\x1b", self.looop("sensor", "show", "ci"))
        self.looop("sensor", "show", "cii", code=1)
        self.assertIn("did you mean ci?", self.stderr)

    def test_a_damaged_index_is_as_good_as_none(self):
        self.profile(sensors={"s": "echo '{}'"})
        self.tick()
        good = self.read("snapshots", "index")
        words = good.split("\t")
        odd = [(1, "zzz"), *((at, value) for at in (3, 4) for value in ("nan", "1e400", "99999999999999", "-1", "x"))]
        for at, value in odd:
            self.write("snapshots/index", "\t".join([*words[:at], value, *words[at + 1 :]]))
            self.assertEqual(looop.read_index(looop.open_profile(self.env, looop.__file__)), {}, value)
        self.assertIn("never run", self.looop("sensor", "list"))
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertIn("ok", self.looop("sensor", "list"))

    def test_an_option_that_means_nothing_is_named(self):
        self.profile(sensors={"ci": "# looop:interval=soon looop:colour=red\necho '{}'"})
        out = self.looop("sensor", "test", "ci")
        self.assertIn("looop:interval=soon", out)
        self.assertIn("looop:colour=red means nothing", out)


if __name__ == "__main__":
    unittest.main()
