"""Sensors: real scripts, good and bad, become readings; what changes wakes, what does not change does not."""

import json
import os
import stat
import time
import unittest

import looop
from tests.support import Case, needs_root, processes_with, wait_until

PLUGINS = "/usr/lib/nagios/plugins"


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
        self.assertEqual(words[8], "neither JSON nor the text of a plugin")
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

    def test_a_plugin_prints_several_lines(self):
        """Text, then long text; numbers behind a `|` of the first line, and of one below it (Nagios' plugin API)."""
        lines = "CRITICAL - 2 of 3 nodes down | up=1\nnode-a unreachable\nnode-c unreachable | down=2\n'max load'=3\n"
        row = self.sensed("nodes", f"cat <<'END'\n{lines}END\nexit 2")
        self.assertEqual((row["status"], row["format"], row["signal"]), ("ok", "plugin", {"status": "CRITICAL"}))
        want = {
            "text": "CRITICAL - 2 of 3 nodes down",
            "perfdata": "up=1 down=2 'max load'=3",
            "long_text": "node-a unreachable\nnode-c unreachable",
        }
        self.assertEqual(row["detail"], want)
        self.assertIn("exit 2 = CRITICAL; its text does not wake the loop", self.looop("sensor", "test", "nodes"))

    def test_what_calls_itself_ok_is_a_plugin(self):
        lines = (
            "OK",
            "OK: hello",
            "[OK] disk",
            "LOAD OK - total load average: 0.39, 1.01, 0.74",
            "Log check ok - 0 pattern matches found",
            'POSTGRES_CONNECTION OK: DB "x" (host:db) version 15',
            '<A href="http://x">OK: hi</A>',
            "93 processes | procs=93;;;0;",
        )
        for line in lines:
            self.assertEqual(looop.why_no_plugin(line, 0), "", line)
            self.assertFalse(looop.begins_like_json(line), line)
        for line in ("head: 1f2e3d", "not OK", "HTTP/1.1 200 OK", "3 OK, 2 failed", "okay", "a | b", "no ok - 1"):
            self.assertEqual(looop.why_no_plugin(line, 0), "neither JSON nor the text of a plugin", line)
            self.assertEqual(looop.why_no_plugin(line, 2), "", line)

    @unittest.skipUnless(os.path.isdir(PLUGINS), f"needs {PLUGINS}")
    def test_real_plugins_work_unmodified(self):
        worlds = {
            "check_dummy 0": "OK",
            "check_dummy 0 hello": "OK",
            "check_dummy 1": "WARNING",
            "check_dummy 3 odd": "UNKNOWN",
            "check_load -w 1000,1000,1000 -c 2000,2000,2000": "OK",
            "check_disk -w 0% -c 0% -p /": "OK",
            "check_procs -w 0:999999": "OK",
            "check_users -w 9999 -c 9999": "OK",
            "check_file_age -w 999999999 -c 999999999 /etc/passwd": "OK",
            "check_tcp -H 127.0.0.1 -p 1": "CRITICAL",
            "check_cluster -s -d 0,0 -w 1 -c 2": "OK",
            "urlize http://x /usr/lib/nagios/plugins/check_dummy 0 hi": "OK",
        }
        plugins = {line: status for line, status in worlds.items() if os.path.exists(f"{PLUGINS}/{line.split()[0]}")}
        names = {line: f"p{number}" for number, line in enumerate(plugins)}
        self.profile(sensors={names[line]: f"exec {PLUGINS}/{line}" for line in plugins})
        self.tick()
        for line, status in plugins.items():
            reading = self.json("snapshots", f"sensor-{names[line]}.json")
            self.assertEqual(reading["signal"], {"status": status}, (line, reading))

    def test_a_plain_line_is_an_error_that_says_what_to_print(self):
        words = self.error("echo head: 1f2e3d")
        self.assertEqual(words, "neither JSON nor the text of a plugin")
        out = self.looop("sensor", "test", "bad", code=1)
        self.assertIn("""printf '{"signal":"%s"}\\n' "$word\"""", out)
        self.assertIn("looop:format=plugin", out)
        self.assertIn("head: 1f2e3d", out)

    def test_a_script_may_say_that_it_is_a_plugin(self):
        row = self.declared("plugin", "echo '{braces} and 3 users'")
        self.assertEqual((row["signal"], row["detail"]["text"]), ({"status": "OK"}, "{braces} and 3 users"))
        row = self.declared("plugin", "echo odd; exit 4")
        self.assertEqual(row["signal"], {"error": "exit 4"})
        row = self.declared("xml", "echo odd")
        self.assertIn("looop:format=xml means nothing", self.looop("sensor", "test", "p", code=1))

    def declared(self, kind, body):
        self.profile()
        self.write("sensors/p.sh", f"#!/bin/sh\n# looop:format={kind}\n{body}\n", 0o700)
        return json.loads(self.looop("sensor", "test", "p", "--json", code=None))

    def test_json_is_never_taken_for_a_plugin(self):
        row = self.sensed("bom", r"""printf '\357\273\277{"signal":{"failing":7}}\n'""")
        self.assertEqual((row["status"], row["signal"]), ("ok", {"failing": 7}))
        for before in ("OK - ", "Loading…\n", "HTTP/1.1 200 OK\n\n"):
            for code in (0, 2):
                line = before + '{ "failing": 7}'
                self.assertEqual(self.error(f"printf '{line}\n'; exit {code}"), looop._NOT_FIRST)
        self.assertIn("stderr (>&2)", self.looop("sensor", "test", "bad", code=1))

    def test_numbers_that_json_does_not_have(self):
        for number in ("NaN", "Infinity", "-Infinity", "1e400", "-1e999"):
            self.assertEqual(self.error('echo \'{"signal":{"load":' + number + "}}'"), "not JSON")

    def test_half_a_character_becomes_the_replacement_character(self):
        row = self.sensed("cut", r"""printf '%s' '{"signal":["ship \ud83d","\uDE00","\ud83d\ude00","\\ud83d"]}'""")
        self.assertEqual(row["signal"], ["ship \ufffd", "\ufffd", "\U0001f600", "\\ud83d"])
        self.tick()
        for words in (["sensor", "list"], ["sensor", "show", "cut"], ["why"], ["status"]):
            out = self.looop(*words, "--json")
            json.loads(out).__str__().encode()  # as UTF-8, which has no half characters

    def test_a_missing_interpreter_is_named(self):
        self.profile()
        self.write("sensors/a.sh", "#!/usr/bin/env -S nosuchshell -e\necho '{}'\n", 0o700)
        self.write("sensors/b.sh", "#!/nowhere/bin/zsh\necho '{}'\n", 0o700)
        for name, program in (("a", "nosuchshell"), ("b", "zsh")):
            row = json.loads(self.looop("sensor", "test", name, "--json", code=1))
            self.assertEqual(row["signal"], {"error": f"needs {program}, which is not installed"})

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

    @needs_root
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
        self.assertLess(time.monotonic() - started, 200)  # what hangs does so for five minutes
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
        self.assertEqual(second["reason"], "sensor gone has no signal any more")
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
        self.assertIn("sensor ci fails: exit 1", self.tick()["reason"])
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
        self.assertIn("not in a beat yet", self.looop("sensor", "list"))
        self.looop("sensor", "show", "ci", code=1)
        self.assertIn("has no reading yet: take one: looop sensor test ci", self.stderr)
        before = self.tree()
        out = self.looop("sensor", "test", "ci")
        self.assertIn("new: the next beat would react to it", out)
        self.assertEqual(self.tree(), before, "a test keeps nothing")
        self.tick()
        self.assertIn("unchanged: wakes no beat", self.looop("sensor", "test", "ci"))
        self.assertIn("red 0\n", self.looop("sensor", "list"))
        self.assertNotIn("\x1b", self.looop("sensor", "show", "ci"))
        self.looop("sensor", "show", "cii", code=1)
        self.assertIn("did you mean ci?", self.stderr)

    def test_names_beyond_ascii_are_shown_and_taken(self):
        self.profile()
        self.tick()
        self.profile(sensors={"größe": "echo '{\"signal\":1}'"}, goals={"üñï": "Paint it.\n"})
        reason = self.tick()["reason"]
        self.assertIn("goal üñï is new", reason)
        self.assertIn("sensor größe is new", reason)
        self.assertIn("goal üñï is new", self.read("journal.md"))
        self.assertIn("\n| - üñï\n", self.prompt())
        self.assertIn("größe", self.looop("sensor", "list"))
        for name in ("größe", looop.encoded_name("größe")):
            self.assertIn("● größe", self.looop("sensor", "test", name))
        self.looop("run", "nosuch", code=1)
        self.assertIn("üñï", self.stderr)

    def test_a_damaged_index_is_as_good_as_none(self):
        self.profile(sensors={"s": "echo '{}'"})
        self.tick()
        good = self.read("snapshots", "index")
        words = good.split("\t")
        odd = [(1, "zzz"), *((at, value) for at in (3, 4) for value in ("nan", "1e400", "99999999999999", "-1", "x"))]
        for at, value in odd:
            self.write("snapshots/index", "\t".join([*words[:at], value, *words[at + 1 :]]))
            self.assertEqual(looop.read_index(looop.open_profile(self.env, looop.__file__)), {}, value)
        self.assertIn("not in a beat yet", self.looop("sensor", "list"))
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertIn("ok", self.looop("sensor", "list"))

    def test_an_option_that_means_nothing_is_named(self):
        self.profile(sensors={"ci": "# looop:interval=soon looop:colour=red\necho '{}'"})
        out = self.looop("sensor", "test", "ci")
        self.assertIn("looop:interval=soon", out)
        self.assertIn("looop:colour=red means nothing", out)


if __name__ == "__main__":
    unittest.main()
