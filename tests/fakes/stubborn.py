"""Be a tree of processes that do not want to end; print READY once all are there.

All ignore HUP, INT and TERM. One has a session of its own, one is a daemon forked twice, one is stopped, one forks
itself away again and again for a bounded time.
"""

import os
import signal
import time

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
ready, told = os.pipe()


def stay():
    """Say that one more is there, and stay."""
    os.write(told, b".")
    while True:
        time.sleep(1000)


def away():
    """Leave session, group and terminal."""
    os.setsid()
    stay()


def daemon():
    """Leave the parent too."""
    os.setsid()
    if os.fork():
        os._exit(0)
    stay()


def stopped():
    """Hear nothing."""
    os.write(told, b".")
    os.kill(os.getpid(), signal.SIGSTOP)
    stay()


def runner():
    """Be somebody else every few milliseconds."""
    os.setsid()
    os.write(told, b".")
    end = time.monotonic() + 20.0
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        time.sleep(0.02)
    os._exit(0)


for role in (stay, away, daemon, stopped, runner):
    if os.fork() == 0:
        role()
seen = 0
while seen < 5:
    seen += len(os.read(ready, 5))
os.write(1, b"READY\r\n")
while True:
    time.sleep(1000)
