"""The pulse: one per profile, awake at once when something changes, and alive whatever happens to it."""

import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import unittest
from unittest import mock

import looop
from tests.support import (
    FAKES,
    LONG,
    PATIENCE,
    ROOT,
    alive,
    figure,
    heavy,
    kill_all,
    needs_linux,
    needs_walls,
    processes_with,
    wait_until,
)
from tests.test_fleet import Fleet


class Pulses(Fleet):
    def setUp(self):
        super().setUp()
        self.env["LOOOP_INTERVAL"] = self.env["LOOOP_BUSY_INTERVAL"] = self.env["LOOOP_ACTIVE_INTERVAL"] = "1h"
        self.opened = looop.open_profile(self.env, looop.__file__)
        self.addCleanup(self.stop)

    def stop(self):
        """End the pulse, the hard way if need be."""
        with mock.patch.object(looop, "DOWN_TIME", 5.0):
            looop.end_pulse(self.opened)

    def up(self, *words, env=None):
        out = json.loads(self.looop("up", "--json", *words, env=env))
        self.beaten(1)
        return out

    def beats(self):
        return len(self.events("tick_start")) if os.path.exists(self.path("events.jsonl")) else 0

    def ends(self):
        names = ("world_unchanged", "decided", "held", "tick_failed", "beat_error")
        events = self.events() if os.path.exists(self.path("events.jsonl")) else []
        return [event for event in events if event["event"] in names]

    def beaten(self, count):
        """Wait for so many beats, and their end."""
        wait_until(lambda: len(self.ends()) >= count, f"beat {count}")
        return len(self.ends())

    def asleep(self):
        """Wait until the pulse sleeps; return how many beats there were."""
        wait_until(lambda: "next" in looop.lock_holder(self.path(".lock")), "the pulse's sleep")
        return len(self.ends())

    def status(self):
        return json.loads(self.looop("status", "--json"))


class Life(Pulses):
    def test_up_twice_is_one_pulse_and_down_ends_it(self):
        self.profile()
        processes = [self.start("up", "--json") for _ in range(3)]
        told = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
        self.assertEqual(len({row["pid"] for row in told}), 1)
        self.assertEqual([row["already"] for row in told].count(False), 1, told)
        self.asleep()
        pulse = self.status()["pulse"]
        self.assertEqual((pulse["running"], pulse["pid"], pulse["crashed"]), (True, told[0]["pid"], None))
        self.assertTrue(3500 < pulse["next_beat_s"] <= 3600, pulse)
        self.assertEqual([row["id"] for row in json.loads(self.looop("ls", "--all", "--json"))], ["pulse"])
        self.looop("kill", "pulse", code=1)
        self.assertIn("has ended", self.looop("down"))
        self.assertFalse(alive(told[0]["pid"]))
        self.assertEqual(json.loads(self.looop("ls", "--all", "--json")), [])
        self.assertFalse(self.status()["pulse"]["running"])
        self.assertEqual(self.looop("down"), "no pulse runs\n")
        self.assertEqual(
            [event["event"] for event in self.events() if "pulse" in event["event"]], ["pulse_start", "pulse_stop"]
        )

    def test_a_crash_is_noticed_and_up_goes_on(self):
        self.profile(goals={"a": "1\n"})
        pid = self.up()["pid"]
        self.looop("start-session", "w", "--command", "sleep 100")
        kill_all((looop.read_session(self.opened, "pulse").supervisor, pid))  # with its terminal it may have ended
        wait_until(lambda: not looop.read_session(self.opened, "pulse").alive, "its end")
        wait_until(lambda: not looop.pulse_pid(self.opened), "the end of its beats")  # two processes, two locks
        status = self.status()
        self.assertFalse(status["pulse"]["running"])
        self.assertIn("supervisor died", status["pulse"]["crashed"])
        self.assertIn("the pulse died", status["attention"][0])
        self.assertIn("looop up", self.looop("status"))
        self.assertTrue(self.ls()["w"]["alive"])
        self.assertNotEqual(self.up()["pid"], pid)
        self.assertIsNone(self.status()["pulse"]["crashed"])

    def test_killed_alone_it_is_a_crash_too(self):
        self.profile()
        os.kill(self.up()["pid"], signal.SIGKILL)
        wait_until(lambda: self.status()["pulse"]["crashed"], "that it is noticed")
        self.assertIn("signal KILL", self.status()["pulse"]["crashed"])

    def test_workers_live_on_unless_asked(self):
        self.profile()
        self.up()
        self.config(
            {"default": "fake", "runners": {"fake": {"tick": "true", "interactive": "sleep 100 # {{prompt_file}}"}}}
        )
        self.looop("start-session", "w", "do it")
        self.looop("start-session", "mine", "--command", "sleep 100")
        self.assertIn("still running: mine, w", self.looop("down"))
        self.up()
        self.assertIn(
            "ended: w\nstill running: mine (yours: `looop kill ID` ends one)", self.looop("down", "--workers")
        )
        self.assertEqual({name: row["alive"] for name, row in self.ls().items()}, {"mine": True, "w": False})

    def test_one_that_began_meanwhile_is_not_waited_for(self):
        """`down` knew the pulse that had ended, and waited for the end of the one that `up` had begun since."""
        self.profile()
        self.up()
        before = looop.read_session(self.opened, "pulse")
        self.looop("down")
        pid = self.up()["pid"]
        self.addCleanup(setattr, looop, "ask_session", looop.ask_session)

        def gone(*_, **__):
            raise looop.Gone

        looop.ask_session = gone  # it had ended when it was asked
        with mock.patch.object(time, "sleep", side_effect=AssertionError("it waits")):
            looop.kill_session(before)
        self.assertTrue(alive(pid))

    def test_two_profiles_know_nothing_of_each_other(self):
        other = {"LOOOP_DATA_DIR": os.path.join(self.home, "other")}
        first = self.up()
        second = json.loads(self.looop("up", "--json", env=other))
        self.addCleanup(self.looop, "down", "--workers", env=other)
        self.assertNotEqual(first["pid"], second["pid"])
        self.looop("down")
        self.assertTrue(alive(second["pid"]))
        self.assertIn("no pulse runs", self.looop("down"))
        self.assertTrue(json.loads(self.looop("status", "--json", env=other))["pulse"]["running"])

    @heavy
    def test_its_file_may_be_replaced(self):
        path = os.path.join(self.home, "looop.py")
        shutil.copy(looop.__file__, path)
        self.profile()
        subprocess.run([sys.executable, path, "up"], env=self.env, check=True, capture_output=True)
        before = self.asleep()
        with open(path, "w") as file:
            file.write("broken(")
        self.write("goals/a.md", "a\n")
        self.beaten(before + 1)
        self.runner('cat >/dev/null; echo \'{"move":"start_worker","id":"w","prompt":"p"}\'', mode="typed")
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            config = json.load(file)
        config["runners"]["fake"]["interactive"] = "sleep 100 # {{prompt_file}}"
        self.config(config)
        self.write("goals/b.md", "b\n")
        wait_until(lambda: self.ls().get("w", {}).get("alive"), "a worker that it starts")

    def test_a_worker_starts_and_ends_no_pulse(self):
        self.profile()
        for verb in ("up", "down", "_pulse"):
            self.looop(verb, env={"LOOOP_CHILD": "1"}, code=1)
            self.assertIn("only a person may run it", self.stderr)

    def test_a_wrong_config_is_told_by_up(self):
        self.config('{"interval": "soon"}')
        self.looop("up", code=1)
        self.assertIn("interval", self.stderr)


class Waking(Pulses):
    """Its interval is an hour: what beats, beats because of what is done here."""

    def wakes(self, what, act, event=""):
        """Do something, and wait for a beat, or for one that ends so: one that was on its way may come first."""
        before = self.asleep()
        act()
        wait_until(lambda: [end for end in self.ends()[before:] if event in ("", end["event"])], what)

    def test_what_a_person_and_workers_do_wakes_it(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "ask", "question": "Which?"})
        self.up()
        self.assertEqual(self.ends()[0]["outcome"], "acted")
        self.replies({"move": "noop"})
        self.wakes("an answer", lambda: self.looop("answer", "1", "this"))
        self.wakes("a goal", lambda: self.write("goals/b.md", "b\n"))
        self.wakes("an edit of a goal in place", lambda: self.write("goals/b.md", "bb\n"))
        self.wakes("the PLAYBOOK", lambda: self.write("PLAYBOOK.md", "# mine\n"))
        self.wakes("a session", lambda: self.looop("start-session", "w", "a task", "--command", "read x"))
        self.wakes("a flag", lambda: self.looop("flag", "w", "look"))
        self.wakes("its end", lambda: self.looop("key", "w", "Enter"))
        self.wakes("the config", lambda: self.config({"default": "builtin"}), "world_unchanged")
        self.wakes("a pause", lambda: self.looop("pause", "1h"), "held")
        self.wakes("its end", lambda: self.looop("resume"), "world_unchanged")

    def test_the_persons_own_session_does_not_wake_it(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "noop"})
        self.up()
        self.asleep()
        self.looop("start-session", "mine", "--command", "read x")
        self.looop("key", "mine", "Enter")
        self.looop("wait", "mine")
        time.sleep(2.5)  # longer than two looks
        self.assertEqual(self.beats(), 1)

    def test_what_it_does_itself_does_not_wake_it(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "write_goal", "id": "own", "body": "own"})
        self.up()
        self.asleep()
        time.sleep(2.5)  # longer than two looks
        self.assertEqual(self.beats(), 1)
        self.assertEqual(len(self.journal()), 1)

    def test_an_edit_while_it_decides_wakes_it_afterwards(self):
        self.profile(goals={"a": "1\n"})
        held = f"until [ -e {self.home}/edited ]; do sleep 0.05; done"
        self.runner(f'cat >/dev/null; touch {self.home}/deciding; {held}; echo \'{{"move":"noop"}}\'')
        self.looop("up")
        wait_until(lambda: os.path.exists(f"{self.home}/deciding"), "the decide")
        self.write("goals/a.md", "2\n")
        self.write("../edited", "")
        self.beaten(2)
        self.assertIn("goal a changed", self.prompt())

    def test_a_long_nap_hides_no_sensor(self):
        self.profile(sensors={"s": f"cat {self.home}/said"})
        self.write("../said", '{"signal":1}')
        self.replies({"move": "noop", "next_beat_s": 3600})
        self.env["LOOOP_INTERVAL"] = "1s"
        self.up()
        self.beaten(3)
        self.assertEqual(len(self.events("decide_start")), 1, "beats go on, and are not paid")
        self.write("../new", '{"signal":2}')
        os.rename(self.path("../new"), self.path("../said"))
        wait_until(lambda: len(self.events("decided")) >= 2, "the decision on the new signal")
        self.assertEqual(self.events("decide_start")[1]["reason"], "sensor s: 1 → 2")

    def test_the_pause_is_the_shortest_that_applies(self):
        self.profile()
        self.env.update(LOOOP_INTERVAL="100", LOOOP_BUSY_INTERVAL="20", LOOOP_ACTIVE_INTERVAL="10")
        pulse = looop.Pulse(self.env, looop.__file__)
        self.assertEqual(pulse.pause(looop.Outcome("unchanged")), 100)
        self.assertEqual(pulse.pause(looop.Outcome("acted")), 20)
        self.assertEqual(pulse.pause(looop.Outcome("held", next_beat_s=3)), 3.1)
        now = time.time()
        for asked, pause in ((50.0, 50.0), (3600.0, 100), (-5.0, 100)):
            state = {**looop.read_state(self.opened), "again": {"at": now + asked, "why": "x"}}
            looop.write_state(self.opened, state)
            with mock.patch.object(time, "time", return_value=now):
                self.assertAlmostEqual(pulse.pause(looop.Outcome("unchanged")), pause, 3)
        turn = {"seen": now - 86350, "served": None, "deferred": None, "why": ""}
        looop.write_state(self.opened, {**state, "turns": {"a": turn, "b": {**turn, "seen": now}}})
        with mock.patch.object(time, "time", return_value=now):
            self.assertAlmostEqual(pulse.pause(looop.Outcome("unchanged")), 50.0, 3, "then a goal is overdue")
        looop.write_state(self.opened, state)
        self.looop("start-session", "mine", "--command", "sleep 100")
        self.assertEqual(pulse.pause(looop.Outcome("unchanged")), 100)
        self.looop("start-session", "w", "a task", "--command", "sleep 100")
        self.assertEqual(pulse.pause(looop.Outcome("unchanged")), 10)

    def test_a_nap_that_is_short_is_taken_once(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "noop", "next_beat_s": 5})
        self.up()
        self.asleep()
        self.write("../new", '{"move":"noop"}')
        os.rename(self.path("../new"), self.path("../reply"))
        self.beaten(2)
        self.assertEqual(self.events("decide_start")[1]["reason"], "the decider asked to look again")
        wait_until(lambda: self.status()["pulse"]["next_beat_s"] > 3000, "the usual nap")


class Hardship(Pulses):
    def test_down_in_the_middle_of_a_decide(self):
        self.profile(goals={"a": "1\n"})
        self.runner(f"cat >/dev/null; sleep 1000 & setsid sleep 1001 & touch {self.home}/deciding; sleep 1002")
        self.looop("up")
        wait_until(lambda: os.path.exists(f"{self.home}/deciding"), "the decide")
        self.looop("down")
        wait_until(lambda: not processes_with(self.home), "the last of what was killed")
        run = self.events("decide_start")[-1]["run"]
        self.assertEqual(self.json("runs", run, "result.json")["outcome"], "interrupted")
        self.assertEqual(self.events("pulse_stop")[0]["why"], "signal TERM")
        self.assertEqual(len(self.ledger()), 1, "what was begun is paid")
        self.replies({"move": "noop"})
        self.looop("up")
        wait_until(lambda: len(self.events("decided")) == 1, "a beat")
        self.assertEqual(len(self.journal()), 1)
        self.assertNotIn("failure", self.looop("why", "now").split("backoff")[0])

    def test_what_no_beat_survives_the_pulse_does(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "noop"})
        self.env["LOOOP_INTERVAL"] = "1s"
        self.up()
        with looop.Lock(self.path(".beat.lock")) as lock:
            self.assertTrue(lock.acquire(PATIENCE, "a beat"))  # none is in progress, which would write it
            state = self.read("state.json")
            self.write("state.json", "{half")
            os.unlink(self.path(".quiet")) if os.path.exists(self.path(".quiet")) else None
            self.write("goals/a.md", "2\n")
        wait_until(lambda: self.events("beat_error"), "a beat that cannot be")
        wait_until(lambda: self.events("needs_you"), "a word to the person")
        self.assertIn("not JSON", self.events("needs_you")[-1]["text"])
        self.assertTrue(looop.pulse_pid(self.opened))
        self.write("state.json", state)
        self.write("goals/a.md", "3\n")
        wait_until(lambda: len(self.events("decided")) >= 2, "a beat again")

    @needs_walls
    def test_a_beat_that_cannot_be_run_is_to_be_seen(self):
        """Whoever asks is told, however far back the last good beat is; the pulse said it to its own log alone."""
        self.profile(goals={"a": "1\n"})
        wrong = "no beat can be run: runner x: nosuchcmd is not on PATH: install nosuchcmd"
        self.config({"default": "x", "runners": {"x": {"mode": "typed", "tick": "nosuchcmd"}}})
        self.looop("tick", code=1)  # as cron does
        self.assertEqual(len(self.events("beat_error")), 1)
        self.assertIn(wrong, self.status()["attention"][0])
        self.looop("run", "a", code=1)  # a person reads what became of that
        self.up()
        self.asleep()
        status = self.status()
        self.assertIn(wrong, status["attention"][0])
        self.assertEqual(status["last_tick"]["outcome"], "failed")
        self.assertEqual(len(self.events("beat_error")), 2)
        told = json.loads(self.looop("why", "now", "--json"))
        self.assertEqual((told["outcome"], told["next"]), ("would fail", []))
        self.assertIn("nosuchcmd is not on PATH", told["failure"])
        self.assertRegex(self.looop("why", "now"), "stopped by +runner x: nosuchcmd")
        self.assertNotIn("looop up", self.looop())
        self.assertIn("looop doctor", self.looop())
        self.looop("down")
        self.runner('cat >/dev/null; echo \'{"move":"noop"}\'')
        self.tick()
        self.assertEqual(self.status()["attention"], [])
        with looop.Lock(self.path(".beat.lock")) as lock:
            self.assertTrue(lock.acquire(PATIENCE, "a beat"))
            self.looop("tick", code=1)
        self.assertEqual(len(self.events("beat_error")), 2, "a beat in progress is no error")

    def test_its_data_dir_is_moved_away(self):
        """It went on, unseen, in a data dir that it made anew, and `down` could not end it."""
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "noop"})
        pid = self.up()["pid"]
        self.asleep()
        moved = f"{self.home}/moved"
        os.rename(self.data, moved)
        wait_until(lambda: not alive(pid), "its end")
        self.assertFalse(os.path.lexists(self.data))
        there = {"LOOOP_DATA_DIR": moved}

        def said():  # by its supervisor, which reads what the pulse wrote last when that has ended
            return " ".join(self.looop("log", "pulse", env=there).split())  # it is wrapped

        wait_until(lambda: "the data dir was moved or removed" in said(), "its last words")
        wait_until(lambda: "the pulse died" in self.looop("status", env=there), "that it is told")
        self.assertEqual(self.looop("down", env=there), "no pulse runs\n")

    def test_its_data_dir_is_removed_in_the_middle_of_a_beat(self):
        waits = f"touch {self.home}/begun; until [ -e {self.home}/go ]; do sleep 0.02; done"
        for where in ("sensor", "runner"):
            with self.subTest(where=where):
                slow = f"{waits}; echo '{{}}'" if where == "sensor" else "echo '{}'"
                self.profile(goals={"a": "1\n"}, sensors={"s": slow})
                self.runner(f"cat >/dev/null; {waits}")
                process = self.start("_pulse")
                wait_until(lambda: os.path.exists(f"{self.home}/begun"), "the middle")
                os.rename(self.data, f"{self.home}/gone")
                shutil.rmtree(f"{self.home}/gone", ignore_errors=True)
                with open(f"{self.home}/go", "w"):
                    pass
                said = process.communicate(timeout=120)[1].decode()
                self.assertEqual(process.returncode, 1)
                self.assertIn("the data dir was moved or removed", said)
                self.assertNotIn("Traceback", said)
                self.assertNotIn("NEEDS YOU", said)
                self.assertFalse(os.path.lexists(self.data))
                os.unlink(f"{self.home}/go")
                os.unlink(f"{self.home}/begun")

    def test_a_full_disk_leaves_no_lock_behind(self):
        """A lock that could be taken and not be labelled was held by its own process for ever."""
        self.profile()
        real = os.pwrite
        self.addCleanup(setattr, os, "pwrite", real)

        def full(*_):
            raise OSError(28, "No space left on device")

        lock = looop.Lock(self.path(".beat.lock"))
        os.pwrite = full
        self.assertTrue(lock.acquire(0.0, "me"))
        self.assertEqual(looop.lock_holder(lock.path), {"who": "another process"})
        lock.tell("me, later")
        os.pwrite = real
        lock.close()
        self.assertTrue(lock.acquire(0.0, "me"))
        lock.tell("me, later")
        self.assertEqual(looop.lock_holder(lock.path), {"pid": os.getpid(), "who": "me, later"})
        looop.rewrite(lock.fd, "pid 12, pulse, since 2026-01-02T03:04:05Z")  # as looop 0.6 does, which may run still
        self.assertEqual(looop.lock_holder(lock.path)["pid"], 12)
        lock.close()

    def test_a_hold_that_is_nearly_over_is_not_slept_past(self):
        """Its rest of less than a second was told as none, and the usual pause was slept instead."""
        self.profile()
        opened = looop.open_profile(self.env, looop.__file__)
        now = time.time()
        looop.prepare(opened)
        beat = looop.Beat(opened, "", "")
        beat.state, beat.world = looop.read_state(opened), looop.observe(opened, {})
        for left, wait in ((0.4, 1), (59.2, 60), (60.0, 60)):
            self.assertEqual(beat.hold(looop.Verdict("backoff", "hold", "x", now + left), now).next_beat_s, wait)

    def test_its_output(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "noop", "journal": "nothing to do"})
        self.up()
        self.asleep()
        watching = self.start("watch", "pulse", "--json")
        text = self.start("watch", "pulse")
        self.replies({"move": "noop", "journal": "looked again"})
        for number in itertools.count():  # until both have begun to follow it, and say so
            before = self.asleep()
            self.write("goals/b.md", f"{number}\n")
            self.beaten(before + 1)
            if len(select.select([watching.stdout, text.stdout], [], [], 0.5)[0]) == 2:
                break
        self.looop("down")
        events = [json.loads(line) for line in watching.communicate(timeout=120)[0].splitlines()]
        self.assertIn("pulse_stop", [event["event"] for event in events])
        self.assertIn("looked again", text.communicate(timeout=120)[0].decode())

    def test_a_bug_around_the_beat_is_told_and_lived_with(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "noop"})
        code = (
            f"import sys; sys.path.insert(0, {ROOT!r}); import looop, os; looop.backoff_after = lambda n: 0.1; "
            "tell = looop.Pulse.tell; looop.Pulse.tell = lambda self, outcome: 1 / 0 if self.errors < 2 else "
            "(tell(self, outcome), os.kill(os.getpid(), 15)); sys.exit(looop.Pulse(os.environ, looop.__file__).run())"
        )
        done = subprocess.run([sys.executable, "-c", code], env=self.env, capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"ZeroDivisionError", done.stderr)
        self.assertEqual(self.events("pulse_stop")[-1]["why"], "signal TERM")
        self.assertIn("a bug in looop", self.events("beat_error")[0]["reason"])

    def test_ended_from_outside_is_no_crash_of_its_own(self):
        self.profile()
        os.kill(self.up()["pid"], signal.SIGTERM)
        wait_until(lambda: self.status()["pulse"]["crashed"], "its end")
        self.assertIn("ended from outside", self.status()["pulse"]["crashed"])

    def test_ndjson_for_a_log(self):
        self.profile(goals={"a": "1\n"})
        self.replies({"move": "noop", "journal": "nothing to do"})
        process = self.start("_pulse", env={"LOOOP_LOG_FORMAT": "json"})
        row = json.loads(process.stdout.readline())
        self.assertEqual((row["outcome"], row["journal"][-13:]), ("noop", "nothing to do"))
        self.looop("_pulse", code=1)
        self.assertIn("runs already", self.stderr)
        self.assertIn("runs already", self.looop("up"))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(120), 0)


@needs_linux
class Paced(Pulses):
    """A pulse under a clock of its own."""

    long = True

    def paced(self, *words, **env):
        command = [sys.executable, os.path.join(FAKES, "paced.py"), os.path.join(ROOT, "looop.py"), *map(str, words)]
        process = subprocess.Popen(command, env={**self.env, **env}, stdout=-1, stderr=-3, cwd=self.home)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    @heavy
    def test_thousands_of_beats_leave_nothing_behind(self):
        beats = 10000 if LONG else 150
        self.profile(
            sensors={
                "same": "echo '{\"signal\":1}'",
                "new": f"# looop:interval=20m\nread n <{self.home}/n; echo $((n + 1)) >{self.home}/n; "
                'printf \'{"signal":%s}\' "$n"',
            }
        )
        self.write("../n", "1\n")
        calls = os.path.join(self.home, "calls")
        self.runner(f'cat >/dev/null; echo call >>{calls}; echo \'{{"move":"noop"}}\'')
        plan = {beats // 3: [-3600, 0], beats // 2: [86400, 0], beats * 2 // 3: [0, 600]}
        env = {
            "LOOOP_INTERVAL": "60",
            "LOOOP_BUSY_INTERVAL": "60",
            "LOOOP_EVENTS_MAX_BYTES": "20000",
            "LOOOP_RUNS_KEEP": "5",
        }
        process = self.paced(beats, json.dumps(plan), **env)
        report = json.loads(process.communicate(timeout=1500 if LONG else 300)[0])
        self.assertEqual(process.returncode, 0)
        self.assertEqual(report["beats"], beats)
        pauses = [b - a for a, b in zip(report["starts"], report["starts"][1:])]
        odd = [(i + 1, round(pause, 3)) for i, pause in enumerate(pauses) if not 59.99 <= pause <= 60.3]
        self.assertEqual(odd, [(beats * 2 // 3, 601.0)], "ten minutes too many are one pause, and one beat after it")
        memory, descriptors = zip(*report["marks"])
        self.assertEqual(len(set(descriptors)), 1, descriptors)
        self.assertLess(memory[-1] - memory[2], 400, f"KiB more after {beats} beats: {memory}")
        with open(calls) as file, open(os.path.join(self.home, "n")) as read:
            called, new = len(file.readlines()), int(read.read()) - 1
        self.assertEqual(called, new, "one call for each new signal, and no other")
        figure("beats of a pulse", beats)
        figure("new signals in them, and calls", called)
        figure("most KiB that the pulse grew by", memory[-1] - memory[2])
        self.assertLessEqual(len(self.runs()), 6)
        self.assertLess(
            os.path.getsize(self.path("events.jsonl")) + os.path.getsize(self.path("events.jsonl.1")), 50000
        )
        self.assertLessEqual(len(os.listdir(self.data)), 30)

    def test_gaps_and_leaps_are_told_once(self):
        self.profile(goals={"a": "1\n"})
        process = self.paced(
            12, json.dumps({3: [-3600, 0], 6: [86400, 0], 9: [0, 600]}), LOOOP_INTERVAL="60", LOOOP_BUSY_INTERVAL="60"
        )
        process.communicate(timeout=120)
        self.assertEqual([event["secs"] for event in self.events("clock_jump")], [-3600, 86400])
        self.assertEqual([event["secs"] for event in self.events("gap")], [600])
        self.assertEqual(self.beats(), 12)

    def test_stopped_for_ten_minutes_of_its_clock(self):
        self.profile(goals={"a": "1\n"})
        process = self.paced(5, json.dumps({3: "stop"}), LOOOP_INTERVAL="600", LOOOP_BUSY_INTERVAL="600")
        wait_until(lambda: os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)[0], "that it stops itself")
        time.sleep(1.2)  # twelve minutes of its clock
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=120)
        (gap,) = self.events("gap")
        self.assertGreaterEqual(gap["secs"], 700)
        names = [event["event"] for event in self.events() if event["event"] in ("tick_start", "gap")]
        self.assertEqual(names, ["tick_start"] * 3 + ["gap"] + ["tick_start"] * 2)


if __name__ == "__main__":
    unittest.main()
