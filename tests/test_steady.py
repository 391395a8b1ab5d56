"""A world that stays as it is costs nothing, however often it is looked at, and with all that can wake a loop in it."""

import contextlib
import io
import json
import os
import time
import unittest.mock

import looop
from tests.support import LONG, Case, heavy, which

TEN = looop.local_midnight(time.time() + 2 * 86400) + 10 * 3600  # 10:00 of a day to come: no file is younger
SPAN = 21 * 3600 + 56 * 60  # until four minutes before the timer strikes


@heavy
class Unchanged(Case):
    """A day and a night of a loop with goals, a timer, quiet hours, a no, a fallback and an open question."""

    BEATS = 10_000 if LONG else 200

    def setUp(self):
        super().setUp()
        self.env["LOOOP_NOOP_TTL"] = "0"
        self.now = TEN
        clock = unittest.mock.patch("time.time", lambda: self.now)
        clock.start()
        self.addCleanup(clock.stop)
        self.addCleanup(os.chdir, os.getcwd())
        often = "# looop:interval=10m\necho '{\"signal\":1}'"
        self.profile(goals={"a": "one\n", "b": "two\n"}, sensors={"s": often})
        timer = looop.gallery_script("every", {"every": "1d", "at": "09:00", "on": ""}).decode()
        self.sensor("every", timer.replace("# looop:", "# looop:interval=10m looop:", 1))
        date = os.path.join(self.bin, "date")
        os.unlink(date)
        with open(date, "w") as file:
            file.write(f'#!/bin/sh\nexec {which("date")} -d "@$(cat {self.home}/clock)" "$@"\n')
        os.chmod(date, 0o700)

    def replies(self, reply):
        super().replies(reply)
        path = os.path.join(self.home, ".config", "looop.json")
        with open(path) as file:
            config = json.load(file)
        config["runners"]["spare"] = config["runners"]["fake"]
        self.config({**config, "quiet": "22:00-07:00", "fallback": "spare", "goal_wait": "24h"})

    def beat_now(self):
        """Run a beat at this moment of the test's clock, in this process."""
        with open(f"{self.home}/clock", "w") as file:
            file.write(str(int(self.now)))
        profile = looop.open_profile(self.env, self.launcher)
        looop.prepare(profile)
        os.chdir(self.data)
        with contextlib.redirect_stderr(io.StringIO()):
            return looop.Beat(profile).go()

    def kept(self):
        """Return what a decision would change."""
        names = ("state.json", "journal.md", "cost.jsonl")
        return [os.path.exists(self.path(name)) and self.read(name) for name in names], self.runs()

    def test_it_costs_nothing(self):
        push = {"move": "shell", "command": "git push", "reversible": False}
        self.replies(push)
        self.assertEqual(self.beat_now().outcome, "proposed")
        self.looop("reject", "1", "no")
        self.assertEqual(self.beat_now().outcome, "refused")
        self.replies({"move": "ask", "question": "Which?"})
        self.write("goals/a.md", "more\n")
        self.assertEqual(self.beat_now().outcome, "acted")
        before = self.kept()
        for _ in range(self.BEATS):
            self.now += SPAN / self.BEATS
            self.assertEqual(self.beat_now().outcome, "unchanged")
        self.assertEqual(self.kept(), before, "nothing was decided")
        self.replies({"move": "noop", "deferred": {"a": "later", "b": "later"}})
        for hours, reason in ((23, "sensor every: period "), (24, "goal b is overdue")):
            self.now = TEN + hours * 3600
            self.assertIn(reason, self.beat_now().reason)
            self.assertEqual(self.beat_now().outcome, "unchanged")
