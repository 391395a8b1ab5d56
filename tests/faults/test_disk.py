"""Full disks and files that cannot be written: one line says what to do, nothing is lost, the next beat goes on."""

from __future__ import annotations

import errno
import json
import os
import unittest

from tests.faults.injector import Faults, Injector
from tests.faults.test_kill import SHELL
from tests.support import heavy


@heavy
class FailingWrites(Faults):
    def beats(self, move, error, lasting, few=2):
        """Have a write of a beat fail at some of its points; look at what is said, and at the beat after it."""
        self.profile(goals={"a": "0\n"}, sensors={"s": "echo '{\"signal\":1}'"})
        self.decides(move)
        self.assertEqual(self.verb("tick").code, 0)
        self.edit()
        count = Injector(error=error)
        self.assertEqual(self.verb("tick", injector=count).code, 0)
        for at in self.points(count.counts()[0], few):
            self.edit()
            injector = Injector(at, error=error, lasting=lasting)
            done = self.verb("tick", "--json", injector=injector)
            with self.subTest(at=at, struck=injector.struck(), error=os.strerror(error)):
                said = [line for line in done.err.split("\n") if line.startswith("looop: ") and "warning" not in line]
                failed = json.loads(done.out)["reason"] if done.out.strip() else ""
                self.assertIn(done.code, (0, 1), done)
                self.assertEqual(len(said) + (done.code and bool(failed)), done.code, done)
                for words in [*said, *([failed] if done.code and failed else [])]:
                    self.assertIn(os.strerror(error), words)
                for line in said:
                    self.assertRegex(line, r"^looop: (/|\w+\.jsonl).*: .*: .*(make room|readable|disk)", done)
                self.edit()
                done = self.verb("tick", "--json")
                self.assertEqual((done.code, json.loads(done.out)["outcome"]), (0, "acted"), done)
                for line in self.promised(torn=True):
                    self.assertRegex(line, r"tick-\d{8}-\d{6}-[0-9a-f]{4}", "half a line")

    def test_a_disk_that_is_full_from_here_on(self):
        self.beats(SHELL, errno.ENOSPC, True, few=3)

    def test_a_disk_that_has_no_room_for_a_moment(self):
        self.beats({"move": "ask", "question": "RUN?", "journal": "asked RUN"}, errno.ENOSPC, False)

    def test_a_disk_that_fails(self):
        self.beats({"move": "write_goal", "id": "b", "body": "RUN", "journal": "wrote RUN"}, errno.EIO, False)

    def test_files_that_may_not_be_written(self):
        self.beats(SHELL, errno.EACCES, False)


if __name__ == "__main__":
    unittest.main()
