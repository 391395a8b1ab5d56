"""Run a pulse under a clock of its own: `paced.py LOOOP.PY BEATS PLAN`.

The clock stands still but while the pulse waits, and then it is advanced by what it waits for: a day of beats takes as
long as its work. PLAN is JSON, {"beat": [wall, steady]}: after that beat the clock on the wall, or both, leap so many
seconds; {"beat": "stop"}: in the wait after it the process stops itself, and the clock goes on, FACTOR times as fast as
the real one, until somebody has it continue. A report is printed as JSON at the end.
"""

import array
import json
import os
import signal
import sys
import time as real

sys.path.insert(0, os.path.dirname(sys.argv[1]))

import looop

BEGAN = real.time()
FACTOR = 600


class Clock:
    """Stand in for the module `time` in looop."""

    def __init__(self):
        self.elapsed = 0.0
        self.offset = 0.0  # of the clock on the wall
        self.leap = (0, 0)  # at the next wait: of both clocks

    def __getattr__(self, name):
        return getattr(real, name)

    def clock_gettime(self, _clock):
        return 1000.0 + self.elapsed

    def time(self):
        return BEGAN + self.offset + self.clock_gettime(0) - 1000.0


def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def stopped():
    """Stop until somebody has this process continue; return what the clocks leap by meanwhile."""
    before = real.monotonic()
    os.kill(os.getpid(), signal.SIGSTOP)
    return 0, (real.monotonic() - before) * FACTOR


class Bell(looop.Bell):
    """Be a bell whose waiting goes by the clock."""

    def wait(self, secs):
        wall, steady = stopped() if clock.leap == "stop" else clock.leap
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
        starts[self.beats - 1] = clock.clock_gettime(0)
        outcome = super().beat()
        clock.leap = plan.get(str(self.beats), (0, 0))
        if self.beats % max(1, limit // 10) == 0:
            self.marks += ((memory(), len(os.listdir("/proc/self/fd"))),)
        if self.beats >= limit:
            os.kill(os.getpid(), signal.SIGTERM)
        return outcome


clock = looop.time = Clock()
limit, plan = int(sys.argv[2]), json.loads(sys.argv[3])
starts = array.array("d", bytes(8 * limit))  # of each beat, by the clock; it takes its room now
looop.Bell = Bell
pulse = Pulse(os.environ, sys.argv[1])
out, sys.stdout = sys.stdout, open(os.devnull, "w")
code = pulse.run()
out.write(json.dumps({"beats": pulse.beats, "marks": pulse.marks, "starts": list(starts)}) + "\n")
out.flush()
sys.exit(code)
