"""Timers and quiet hours, by a clock that is put forward and back for summer time, sleeps, and is set wrong."""

import contextlib
import datetime
import io
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import unittest.mock

import looop
from tests.support import LONG, Case, figure, heavy

ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"  # of Berlin; in 2040 the clocks change on March 25 and October 28
FORMAT = re.search(r"date '\+([^']+)'", looop.GALLERY["every"].script)[1]
SHELLS = [words for words in (["sh"], ["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(words[0])]


def at(text):
    """Return the moment at which the clock on the wall shows this; with `+1` behind it, after it was put back."""
    moment, _, later = text.partition("+")
    parts = time.strptime(moment, "%Y-%m-%d %H:%M")
    return time.mktime((*parts[:8], 0 if later else -1))


def reply_with(case, move):
    """Have the runner that is there answer with another move."""
    with open(os.path.join(case.home, "reply"), "w") as file:
        json.dump(move, file)


class ClockCase(Case):
    def setUp(self):
        super().setUp()
        before = os.environ["TZ"]
        self.addCleanup(time.tzset)
        self.addCleanup(os.environ.update, TZ=before)
        os.environ["TZ"] = self.env["TZ"] = ZONE
        time.tzset()
        self.addCleanup(os.chdir, os.getcwd())
        path = os.path.join(self.bin, "date")
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\nread -r line <{self.home}/clock\nprintf '%s\\n' \"$line\"\n")
        os.chmod(path, 0o755)

    def set_clock(self, now):
        """Have a timer's `date` tell this moment."""
        with open(os.path.join(self.home, "clock"), "w") as file:
            file.write(time.strftime(FORMAT, time.localtime(now)) + "\n")


class Timers(ClockCase):
    def timer(self, every, when="00:00", on="", shell=("sh",)):
        """Return a function that runs a timer's script at a moment, as a beat does, and returns its period."""
        folder = os.path.join(self.home, f"timer-{every}-{random.random()}")
        os.makedirs(f"{folder}/snapshots")
        script = f"{folder}/nine.sh"
        with open(script, "wb") as file:
            file.write(looop.gallery_script("every", {"every": every, "at": when, "on": on}))
        program = shutil.which(shell[0])

        def period(now):
            self.set_clock(now)
            done = subprocess.run(
                [program, *shell[1:], script], cwd=folder, env=self.env, capture_output=True, text=True, check=True
            )
            self.assertEqual(done.stderr, "")
            with open(f"{folder}/snapshots/sensor-nine.json", "w") as file:
                file.write(done.stdout.strip())
            return json.loads(done.stdout)["signal"]["period"]

        return period

    def periods(self, timer, *moments):
        """Return the periods that a timer tells at these moments, each change once."""
        found = [timer(at(moment) if isinstance(moment, str) else moment) for moment in moments]
        return [one for place, one in enumerate(found) if place == 0 or found[place - 1] != one]

    def test_summer_time_skips_no_day_and_repeats_none(self):
        nights = {
            "spring": ["24 02:31", "25 01:59", "25 03:00", "25 03:31", "26 02:29", "26 02:30"],
            "autumn": ["27 02:30", "28 02:29", "28 02:31", "28 02:00+1", "28 02:31+1", "29 02:29", "29 02:31"],
        }
        for season, month, days in (("spring", "03", (24, 25, 26)), ("autumn", "10", (27, 28, 29))):
            times = [f"2040-{month}-{moment}" for moment in nights[season]]
            wanted = [f"2040-{month}-{day}T02:30" for day in days]
            self.assertEqual(self.periods(self.timer("1d", "02:30"), *times), wanted, season)

    def test_an_hour_or_less_counts_the_time_that_passes(self):
        hours = self.periods(self.timer("1h"), "2040-03-25 01:10", "2040-03-25 03:10")
        self.assertEqual(hours, ["2040-03-25T01:00+0100", "2040-03-25T03:00+0200"])
        times = ["2040-10-28 01:10", "2040-10-28 02:10", "2040-10-28 02:10+1", "2040-10-28 03:10"]
        names = ["28T01:00+0200", "28T02:00+0200", "28T02:00+0100", "28T03:00+0100"]
        self.assertEqual(self.periods(self.timer("1h"), *times), [f"2040-10-{name}" for name in names])
        self.assertEqual(
            self.periods(self.timer("2h", "00:30"), *times, "2040-10-28 04:10", "2040-10-28 04:31"),
            ["2040-10-28T00:30", "2040-10-28T02:30", "2040-10-28T04:30"],
        )

    def test_a_leap_day_is_a_day(self):
        times = [f"{day} 12:00" for day in ("2040-02-28", "2040-02-29", "2040-03-01", "2041-02-28", "2041-03-01")]
        days = [f"{day[:10]}T09:00" for day in times]
        self.assertEqual(self.periods(self.timer("1d", "09:00"), *times), days)

    def test_days_and_weeks(self):
        week = [f"2040-06-{day:02} 10:00" for day in range(1, 16)]  # a Friday
        self.assertEqual(
            self.periods(self.timer("1d", "09:00", "mon,fri"), *week),
            ["2040-06-01T09:00", "2040-06-04T09:00", "2040-06-08T09:00", "2040-06-11T09:00", "2040-06-15T09:00"],
        )
        self.assertEqual(self.periods(self.timer("2w"), *week), ["2040-05-21T00:00", "2040-06-04T00:00"])
        self.assertEqual(self.periods(self.timer("15m", "00:00", "sat"), week[0]), ["2040-05-26T23:45"])
        with self.assertRaises(subprocess.CalledProcessError) as raised:
            self.timer("1d", "09:00", "doomsday")(at(week[0]))
        self.assertIn("no period begins on such a day", raised.exception.stderr)

    def test_after_a_sleep_there_is_one_period(self):
        times = ["2040-06-01 23:50", "2040-06-02 07:20"]
        self.assertEqual(self.periods(self.timer("1h"), *times), ["2040-06-01T23:00+0200", "2040-06-02T07:00+0200"])
        self.assertEqual(len(self.periods(self.timer("1d"), "2040-06-01 23:50", "2040-06-08 07:20")), 2)

    def test_a_clock_that_is_set_back_repeats_nothing(self):
        timer = self.timer("1d", "09:00")
        days = [f"2040-06-0{day} 10:00" for day in (1, 2, 3, 1, 2, 3, 4)]
        self.assertEqual(self.periods(timer, *days), [f"2040-06-0{day}T09:00" for day in (1, 2, 3, 4)])
        ahead = ["2055-01-01 10:00", "2040-06-04 11:00", "2040-06-05 10:00"]
        self.assertEqual(
            self.periods(timer, *ahead), ["2055-01-01T09:00", "2040-06-05T09:00"], "it goes on after a wrong clock"
        )
        behind = ["2001-01-01 10:00", "2040-06-05 11:00", "2040-06-06 10:00"]
        self.assertEqual(self.periods(timer, *behind), ["2001-01-01T09:00", "2040-06-06T09:00"])
        self.assertEqual(self.periods(self.timer("1d"), "2055-01-01 10:00", "2040-06-04 11:00")[1], "2040-06-04T00:00")

    @heavy
    def test_any_moment_in_any_shell(self):
        draw, shells = random.Random(22), []
        for shell in SHELLS:
            try:  # a busybox that is made so has a `date` of its own
                subprocess.run(
                    [shutil.which(shell[0]), *shell[1:], "-c", "date"],
                    env={"PATH": "/"},
                    check=True,
                    capture_output=True,
                )
            except subprocess.CalledProcessError:
                shells.append(shell)
        for number in range(400 if LONG else 100):
            shell = shells[number % len(shells)]
            now = draw.randrange(86400 * 10, 4102444800)
            hour, minute, length = draw.randrange(24), draw.randrange(60), draw.choice((15, 60, 120, 720, 1440))
            clock = time.localtime(now)
            day, here = datetime.date(*clock[:3]), clock.tm_hour * 60 + clock.tm_min
            first = (hour * 60 + minute) % length
            today = here >= first
            start = first + ((here if today else 1439) - first) // length * length
            day -= datetime.timedelta(0 if today else 1)
            wanted = f"{day}T{start // 60:02}:{start % 60:02}"
            wanted += time.strftime("%z", clock) if length <= 60 and today else ""
            every = {15: "15m", 1440: "1d"}.get(length, f"{length // 60}h")
            self.assertEqual(self.timer(every, f"{hour:02}:{minute:02}", shell=shell)(now), wanted, (shell, now))

    @heavy
    def test_however_the_clock_jumps_a_period_comes_once(self):
        draw, found = random.Random(23), 0
        for _ in range(40 if LONG else 8):
            timer = self.timer(draw.choice(("15m", "1h", "4h", "1d", "1w")), "02:30")
            real, off, moments = at("2040-03-23 12:00") + draw.randrange(10**7), 0, []
            for _ in range(60 if LONG else 15):
                real += draw.choice((600, 3600, 20000, 86400 * 2))
                off = (
                    draw.choice((0, 0, -3600, -86400, -86400 * 9, 86400 * 3, -(10**9))) if draw.random() < 0.3 else off
                )
                moments.append(real + off)
            periods = self.periods(timer, *moments)
            self.assertEqual(len(periods), len(set(periods)), periods)
            found += len(periods)
        figure("periods of timers under a clock that jumps", found)


class Ranges(unittest.TestCase):
    def setUp(self):
        before = os.environ["TZ"]
        self.addCleanup(time.tzset)
        self.addCleanup(os.environ.update, TZ=before)
        os.environ["TZ"] = ZONE
        time.tzset()

    def end(self, hours, now):
        """Return when quiet hours end, as the clock shows it, "" outside of them."""
        end = looop.quiet_end(hours, at(now))
        return end and time.strftime("%a %d %H:%M %Z", time.localtime(end))

    def test_what_a_range_means(self):
        both = "Mon-Fri 20:00-08:00, Sat, Sun"
        for hours, now, end in (
            ("", "2040-06-01 23:00", 0.0),
            ("22:00-07:00", "2040-06-01 21:59", 0.0),
            ("22:00-07:00", "2040-06-01 22:00", "Sat 02 07:00 CEST"),
            ("22:00-07:00", "2040-06-02 06:59", "Sat 02 07:00 CEST"),
            ("22:00-07:00", "2040-06-02 07:00", 0.0),
            ("fri 20:00 - 8:00", "2040-06-02 07:59", "Sat 02 08:00 CEST"),  # the night belongs to Friday
            ("fri 20:00-08:00", "2040-06-01 07:59", 0.0),
            (both, "2040-06-01 19:59", 0.0),
            (both, "2040-06-01 20:00", "Mon 04 00:00 CEST"),
            (both, "2040-06-04 00:00", 0.0),
            (both, "2040-06-04 20:00", "Tue 05 08:00 CEST"),
            ("Sat-Mon", "2040-06-03 12:00", "Tue 05 00:00 CEST"),
            ("sun 18:00-24:00, mon 00:00-06:00", "2040-06-03 20:00", "Mon 04 06:00 CEST"),
        ):
            self.assertEqual(self.end(hours, now), end, (hours, now))

    def test_summer_time(self):
        for hours, now, end in (
            ("22:00-07:00", "2040-03-24 23:00", "Sun 25 07:00 CEST"),
            ("22:00-07:00", "2040-10-27 23:00", "Sun 28 07:00 CET"),
            ("22:00-02:30", "2040-03-24 23:00", "Sun 25 03:00 CEST"),  # 02:30 is never shown
            ("22:00-02:30", "2040-10-27 23:00", "Sun 28 02:30 CEST"),
            ("22:00-02:30", "2040-10-28 02:10+1", "Sun 28 02:30 CET"),  # what the clock shows counts
            ("02:10-02:50", "2040-03-25 03:10", 0.0),
        ):
            self.assertEqual(self.end(hours, now), end, (hours, now))

    def test_each_minute_of_the_nights_on_which_the_clocks_change(self):
        for hours in ("22:00-02:30", "Sun 02:15-02:45", "Sat 23:59-00:01, Sun 03:00-04:00"):
            ranges = looop.quiet_ranges(hours)
            for night in ("2040-03-24 23:00", "2040-10-27 23:00"):
                end = 0.0
                for now in range(int(at(night)) + 6 * 3600, int(at(night)), -60):
                    clock = time.localtime(now)
                    minute = (clock.tm_wday * 24 + clock.tm_hour) * 60 + clock.tm_min
                    end = (end or now + 60.0) if looop.quiet_left(ranges, minute) else 0.0
                    self.assertEqual(looop.quiet_end(hours, now), end, (hours, night, clock))

    def test_what_is_wrong_is_said(self):
        like = 'must be like "22:00-07:00" or "Mon-Fri 20:00-08:00, Sat, Sun"'
        for text, message in {
            "22-7": f'{like} (wrong: "22-7")',
            "Sat, Sonntag": f'{like} (wrong: "Sonntag")',
            "Sat,": f'{like} (wrong: "")',
            "24:00-07:00": like,
            "22:60-07:00": like,
            "22:00-25:00": like,
            "Mon 08:00-08:00": 'must begin and end at different times (wrong: "Mon 08:00-08:00")',
            "Mon-Sun": "must leave some time of the week",
            "00:00-24:00": "must leave some time of the week",
            "12:00-11:00, 10:30-12:30": "must leave some time of the week",
        }.items():
            with self.assertRaises(ValueError) as raised:
                looop.quiet_ranges(text)
            self.assertIn(message, str(raised.exception))
            self.assertIn(message, looop.Config({"quiet": text}).wrong[0][1])
        self.assertEqual(looop.Config({"quiet": ""}).wrong, [])
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"quiet": "noon"}, file)
            file.flush()
            profile = looop.Profile({}, "/nowhere", file.name, "/nowhere", looop.__file__)
            self.assertEqual(profile.quiet_until(0.0), 0.0, "what is wrong with a config is told at any time")
        self.assertIn("must be a string", looop.Config({"quiet": 22}).wrong[0][1])


class Nights(ClockCase):
    """Whole beats, by a clock that the test sets."""

    def setUp(self):
        super().setUp()
        self.now = at("2040-01-01 12:00")
        patch = unittest.mock.patch("time.time", lambda: self.now)
        patch.start()
        self.addCleanup(patch.stop)

    def begin(self, hours="22:00-07:00", timer=True, **config):
        """Make a profile with quiet hours, a timer and a runner that does nothing."""
        every = looop.gallery_script("every", {"every": "1d", "at": "02:30", "on": ""})
        self.profile(goals={"a": "1\n"}, sensors={"every": every.decode().partition("\n")[2]} if timer else {})
        self.replies({"move": "noop"})
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            written = json.load(file)
        self.config({**written, "quiet": hours, "goal_wait": 0, "notify": f"cat >> {self.home}/told", **config})
        self.opened = looop.open_profile({**self.env, "LOOOP_NOOP_TTL": "0"}, looop.__file__)
        looop.prepare(self.opened)
        os.chdir(self.data)

    def live(self, moment, goal=""):
        """Run one beat at a moment; return its outcome, and what it printed on stderr."""
        self.now = moment if isinstance(moment, float) else at(moment)
        self.set_clock(self.now)
        self.opened.reread()
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            outcome = looop.Beat(self.opened, goal).go()
        return outcome, said.getvalue()

    def test_nothing_is_decided_and_nobody_told_until_the_morning(self):
        self.begin()
        self.live("2040-02-27 12:00")
        for day, evening, morning, small in (
            ("leap day", "2040-02-28", "2040-02-29", ["02:30"]),
            ("spring", "2040-03-24", "2040-03-25", ["03:00"]),
            ("autumn", "2040-10-27", "2040-10-28", ["02:31+1", "06:59"]),
        ):
            self.live(f"{evening} 12:00")
            before = len(self.events("decide_start"))
            self.now = at(f"{evening} 23:00")
            self.write("goals/a.md", f"{day}\n")
            looop.new_ask(self.opened, "ask", question=f"Of {day}?")
            looop.push_now(self.opened)
            for clock in ("23:00", *small):
                date = evening if clock == "23:00" else morning
                outcome, said = self.live(f"{date} {clock}")
                self.assertEqual((outcome.outcome, outcome.reason), ("held", "quiet: 22:00-07:00"), clock)
                self.assertEqual(outcome.next_beat_s, at(f"{morning} 07:00") - self.now)
                self.assertEqual((said, day in self.notified()), ("", False), clock)
            self.assertEqual(len(self.events("decide_start")), before)
            outcome, said = self.live(f"{morning} 07:00")
            self.assertEqual(outcome.outcome, "noop", outcome)
            self.assertIn("sensor every: period ", outcome.reason)
            self.assertIn(f"Of {day}?", said)
            self.assertEqual(self.notified().count(f"Of {day}?"), 1)
            self.assertEqual(self.live(f"{morning} 12:00")[0].outcome, "unchanged", "a period wakes it once")
            self.assertEqual(len(self.events("decide_start")), before + 1, day)

    def test_what_a_person_sees_and_does_meanwhile(self):
        self.begin()
        self.live("2040-06-01 12:00")
        self.now = at("2040-06-01 23:00")
        self.write("goals/a.md", "2\n")
        self.live(self.now)
        why = looop.why_now(self.opened, self.now)
        gates = {gate["gate"]: gate for gate in why["gates"]}
        self.assertEqual(gates["quiet"]["until"], looop.utc_text(at("2040-06-02 07:00")))
        self.assertEqual(
            (why["outcome"], why["next"]), ("held", ["Jun 02 07:00, when the quiet time ends", "looop run GOAL"])
        )
        self.assertIn("quiet hours 22:00-07:00: held until Jun 02 07:00", looop.gates_line(why["gates"], self.now))
        status = looop.status_of(self.opened, self.now)
        self.assertEqual(status["quiet_until"], gates["quiet"]["until"])
        lines = "\n".join(looop.status_lines(self.opened, status, self.now, looop.Paint({}, io.StringIO())))
        self.assertIn("quiet hours until Jun 02 07:00", lines)
        self.assertFalse(looop.is_news(self.opened, looop.Outcome("held")), "cron would mail it")
        reply_with(self, {"move": "write_goal", "id": "b", "body": "b"})
        outcome, _ = self.live("2040-06-01 23:10", "a")
        self.assertEqual(outcome.outcome, "acted", "a person's `run` decides")
        why = looop.why_run(looop.Run(self.opened, outcome.run))
        self.assertIn("quiet hours; a person asks", looop.gates_line(why["gates"], self.now))
        later = at("2040-06-02 08:00")
        self.assertIsNone(looop.status_of(self.opened, later)["quiet_until"])
        self.assertIn("no quiet hours now", looop.gates_line(looop.why_now(self.opened, later)["gates"], later))

    def test_an_unchanged_world_is_looked_at_again_at_the_end(self):
        self.begin(timer=False, interval="2h")
        looop.new_ask(self.opened, "ask", question="Now?")
        self.live("2040-06-01 12:00")
        self.assertEqual(self.live("2040-06-01 21:59")[0].outcome, "unchanged")
        os.unlink(self.path(".surfaced"))  # as if it were told now
        os.unlink(self.path(".quiet"))
        for moment in ("2040-06-01 22:00", "2040-06-01 23:00", "2040-06-02 06:59"):
            outcome, said = self.live(moment)
            self.assertEqual((outcome.outcome, said), ("unchanged", ""), moment)
            self.assertEqual(self.json(".quiet")["until"], at("2040-06-02 07:00"))
        outcome, said = self.live("2040-06-02 07:00")
        self.assertEqual((outcome.outcome, said.count("Now?"), self.notified().count("Now?")), ("unchanged", 1, 2))
        pulse = looop.Pulse({**self.env, "LOOOP_NOOP_TTL": "0"}, looop.__file__)
        for moment, wait in (("2040-06-02 06:30", 1800.1), ("2040-06-02 12:00", 7200.0)):
            self.now = at(moment)
            self.assertAlmostEqual(pulse.pause(looop.Outcome("unchanged")), wait, places=3)

    @heavy
    def test_beats_of_an_unchanged_world_cost_nothing(self):
        """A week of beats with a timer, of which each period costs one call, none of them at night."""
        self.begin()
        self.live("2040-10-24 12:00")
        start, minutes = self.now, 7 * 24 * 60 + 60 if LONG else 36 * 60
        for minute in range(0, minutes, 1 if LONG else 10):
            self.live(start + 60.0 * minute)
        hours = [time.strftime("%H:%M", time.localtime(looop.parse_utc(e["ts"]))) for e in self.events("decide_start")]
        self.assertEqual(hours, ["12:00"] + ["07:00"] * (minutes // 1440))
        figure("beats of a world in which a timer alone goes on", minute)


class Verbs(Case):
    def test_run_and_approve_work_in_quiet_hours(self):
        """By the real clock, which shows noon or an hour more."""
        self.profile(goals={"a": "0\n"})
        self.beat({"move": "shell", "command": "rm -rf scratch/x", "reversible": False})
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            self.config({**json.load(file), "quiet": "09:00-21:00"})
        self.assertEqual(self.beat()["outcome"], "held")
        self.assertEqual((self.looop("tick"), self.stderr), ("", ""), "cron has nothing to mail")
        self.assertIn("quiet hours 09:00-21:00: held until 21:00", self.looop("why", "now"))
        self.assertIn("quiet hours until 21:00", self.looop("status"))
        reply_with(self, {"move": "write_goal", "id": "b", "body": "b"})
        self.assertEqual(self.tick(words=("run", "a"))["outcome"], "acted")
        self.assertIn("approved", self.approve(1))
        self.looop("config", "check")


if __name__ == "__main__":
    unittest.main()
