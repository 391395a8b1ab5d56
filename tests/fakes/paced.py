"""Run a pulse under a clock of its own: `paced.py LOOOP.PY BEATS PLAN` or `paced.py LOOOP.PY fast FACTOR`.

With a number of beats the clock stands still but while the pulse waits, and then it is advanced by what it waits for:
a day of beats takes as long as its work. PLAN is JSON, {"beat": [wall, steady]}: after that beat the clock on the wall,
or both, leap so many seconds. With `fast` the clock runs FACTOR times as fast as the real one. A report is printed as
JSON at the end.
"""

import array
import json
import os
import signal
import sys
import time as real

sys.path.insert(0, os.path.dirname(sys.argv[1]))

import looop

BEGAN, MONOTONIC = real.time(), real.monotonic()


class Clock:
    """Stand in for the module `time` in looop."""

    def __init__(self, factor):
        self.factor = factor  # 0: it is advanced by hand
        self.elapsed = 0.0
        self.offset = 0.0  # of the clock on the wall
        self.leap = (0, 0)  # at the next wait: of both clocks

    def __getattr__(self, name):
        return getattr(real, name)

    def clock_gettime(self, _clock):
        return 1000.0 + self.elapsed + (real.monotonic() - MONOTONIC) * self.factor

    def time(self):
        return BEGAN + self.offset + self.clock_gettime(0) - 1000.0


def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class Bell(looop.Bell):
    """Be a bell whose waiting goes by the clock."""

    def wait(self, secs):
        if clock.factor:
            return super().wait(secs / clock.factor)
        wall, steady = clock.leap
        clock.leap = (0, 0)
        clock.offset += wall
        clock.elapsed += secs + steady
        return super().wait(0)


class Pulse(looop.Pulse):
    """Be a pulse that counts."""

    beats = 0
    marks = ()  # memory in KiB and descriptors, ten times

    def beat(self):
        self.beats += 1
        if limit:
            starts[self.beats - 1] = clock.clock_gettime(0)
        outcome = super().beat()
        clock.leap = plan.get(str(self.beats), (0, 0))
        if self.beats % max(1, limit // 10) == 0:
            self.marks += ((memory(), len(os.listdir("/proc/self/fd"))),)
        if limit and self.beats >= limit:
            os.kill(os.getpid(), signal.SIGTERM)
        return outcome


clock = looop.time = Clock(float(sys.argv[3]) if sys.argv[2] == "fast" else 0.0)
limit = 0 if clock.factor else int(sys.argv[2])
plan = {} if clock.factor else json.loads(sys.argv[3])
starts = array.array("d", bytes(8 * limit))  # of each beat, by the clock; it takes its room now
looop.Bell = Bell
pulse = Pulse(os.environ, sys.argv[1])
out, sys.stdout = sys.stdout, open(os.devnull, "w")
code = pulse.run()
out.write(json.dumps({"beats": pulse.beats, "marks": pulse.marks, "starts": list(starts)}) + "\n")
out.flush()
sys.exit(code)
