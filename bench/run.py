#!/usr/bin/env python3
"""Measure looop beside its peers: one row per item, medians of interleaved rounds.

    bench/run.py [--only NAME]… [--rounds N] [--big] [--json]

Ours and the peer alternate within the same run, so that a machine that is busy, or slows down, does so for both: the
ratio is what counts. It is a measurement and no test: it exits with 0 whatever the ratios are.

Every world lies in a temporary folder of its own, which is removed at the end, also on Ctrl-C. No LLM is called: the
decider is the one built in, or a command that prints a noop.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib.util
import json
import os
import platform
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PYTHON = sys.executable  # never the `python3` on PATH, which may be a version manager's shim of 100 ms
FLOOR = [PYTHON, "-SI", "-c", "pass"]
DEADLINE = 300.0  # seconds for one process of the bench

# A world is quiet when its files are older than looop's doubt about timestamps (2 s).
SETTLE = 2.2

SENSOR = """\
#!/usr/bin/env bash
# looop:timeout=30
{wait}printf '{{"signal":{{"number":%d,"state":"ok"}},"detail":{{"seen":%d}}}}\\n' {number} {detail}
"""

RUNNER = {"mode": "typed", "tick": """printf '{"move":"noop"}\\n'""", "unmetered": True}

# The beat of a pulse: one process, many beats. The first two take looop from "decided" to its short way.
IN_PROCESS = """\
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
import looop
profile = looop.open_profile(os.environ, looop.__file__)
times = []
for beat in range(int(sys.argv[2]) + 2):
    begun = time.perf_counter()
    outcome = looop.Beat(profile, "", "").go()
    times.append(time.perf_counter() - begun)
    assert outcome.outcome == "unchanged", outcome
print(json.dumps(times[2:]))
"""

# Starts sessions as a pulse does: within the installed looop, once it has loaded what a pulse loads. It stands before
# what the file runs, and goes on where that would leave. A line on stdin says how many there shall be.
FLEET = """\
import os, sys
def serve(status):
    os._exit = leave
    looop = sys.modules["looop"]
    profile = looop.open_profile(os.environ, looop.__file__)
    looop.preload()
    made = 0
    for line in sys.stdin:
        while made < int(line):
            looop.start_session(profile, looop.Session(f"s{made:03}", cmd=os.environ["COMMAND"]))
            made += 1
        print(flush=True)
    leave(0)
leave, os._exit = os._exit, serve
"""

SHELL = shutil.which("bash") or "/bin/sh"  # what runs the command lines of sessions, ours and the peers'
IDLE = "exec sleep 100000"  # what runs in a session that nothing happens in


class Result(NamedTuple):
    """Be what one item measured: seconds, and how the ratio is made of them."""

    ours: float
    peer: float | None  # None: there is no peer, the gate is on ours alone
    ratio: float


class Item(NamedTuple):
    """Be one row of the table."""

    name: str  # for --only
    line: str
    measure: Callable[[Bench], Result | None]  # None: the system does not tell
    gate: float | None = None  # None: shown for comparison only
    aim: float | None = None
    atleast: bool = False  # the ratio must be at least the gate, not at most
    needs: str = ""  # a program that must be on PATH, or the module pyte
    unit: str = ""  # the gate is on ours, in this unit


class World:
    """Hold one profile: a home of its own, a data dir, the environment looop is started with."""

    def __init__(self, bench: Bench, name: str, config: dict[str, Any] | None = None) -> None:
        self.bench = bench
        self.home = os.path.join(bench.folder, name)
        self.data = os.path.join(self.home, "data")
        os.makedirs(self.home)
        self.env = {
            "HOME": self.home,
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "LOOOP_DATA_DIR": self.data,
            "LOOOP_CONFIG": os.path.join(self.home, "looop.json"),
            "LOOOP_MAX_DECIDES_PER_HOUR": "1000000",
        }
        if "TZ" in os.environ:
            self.env["TZ"] = os.environ["TZ"]  # what is written here and what looop writes are of one time zone
        if config is None:
            self.env["LOOOP_RUNNER"] = "builtin"
        else:
            write(self.env["LOOOP_CONFIG"], json.dumps(config))

    def tick(self) -> float:
        """Run `looop tick`; return its seconds."""
        return self.bench.timed([self.bench.looop, "tick"], self.env)

    def beat(self) -> str:
        """Run a beat that is not measured; return its outcome."""
        command = [self.bench.looop, "tick", "--json"]
        done = subprocess.run(command, env=self.env, capture_output=True, timeout=DEADLINE, check=False)
        if done.returncode:
            raise SystemExit(f"bench: looop tick: {done.stderr.decode(errors='replace').strip()}")
        return str(json.loads(done.stdout)["outcome"])

    def fresh(self, sensors: int = 0, wait: float = 0.0, goals: int = 0, detail: str = "1") -> World:
        """Make a profile that is somebody's already (a new one would begin an interview), and decide once."""
        os.makedirs(os.path.join(self.data, "goals"), 0o700)
        os.chmod(self.data, 0o700)
        write(os.path.join(self.data, "PLAYBOOK.md"), "# PLAYBOOK\n")
        self.beat()
        self.sensors(sensors, wait, detail)
        for number in range(goals):
            body = f"# goal {number}\n" + f"{number} what is wanted, in a line of some length.\n" * 100
            write(os.path.join(self.data, "goals", f"g{number:04}.md"), body[:4096])
        self.beat()
        return self

    def sensors(self, count: int, wait: float, detail: str) -> None:
        """Replace the sensors by `count` that wait as a network call would, then print one object."""
        folder = os.path.join(self.data, "sensors")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for number in range(count):
            path = os.path.join(folder, f"s{number:03}.sh")
            pause = f"sleep {wait}\n" if wait else ""
            write(path, SENSOR.format(number=number, wait=pause, detail=detail), 0o755)

    def quiet(self) -> World:
        """Let the world age and take looop to its short way: unchanged, and remembered as such."""
        time.sleep(SETTLE)
        for _ in range(2):
            if self.beat() != "unchanged":
                raise SystemExit(f"bench: {self.home}: the world does not come to rest")
        if not os.path.exists(os.path.join(self.data, ".quiet")):
            raise SystemExit(f"bench: {self.home}: looop did not remember that the world is quiet")
        return self


class Bench:
    """Carry what every item needs: the folder, the installed looop, how many rounds."""

    def __init__(self, folder: str, rounds: int, big: bool) -> None:
        self.folder = folder
        self.rounds = rounds
        self.big = big
        build = [PYTHON, os.path.join(ROOT, "build_zipapp.py"), "--only", "--out", f"{folder}/bin", "--python", PYTHON]
        subprocess.run(build, stdout=subprocess.DEVNULL, check=True, timeout=DEADLINE)
        self.looop = f"{folder}/bin/looop"
        self.ledger: World | None = None  # made once: a million rows take a while

    def timed(self, argv: list[str], env: dict[str, str]) -> float:
        """Run a process to its end; return its seconds. End the bench when it fails or outlasts the deadline."""
        null = os.open(os.devnull, os.O_RDWR)
        errors = os.open(f"{self.folder}/stderr", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((null, 0), (null, 1), (errors, 2))]
        pid = 0
        try:
            signal.setitimer(signal.ITIMER_REAL, DEADLINE)
            begun = time.perf_counter()
            pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions, setpgroup=0)
            _, status = os.waitpid(pid, 0)
            seconds = time.perf_counter() - begun
            pid = 0
            if status:
                words = os.pread(errors, 1000, 0).decode(errors="replace").strip()
                raise SystemExit(f"bench: {' '.join(argv)}: status {status}: {words}")
            return seconds
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if pid:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(null)
            os.close(errors)

    def rivals(
        self, ours: Callable[[], float], peer: Callable[[], float], upside: bool = False, rounds: int = 0
    ) -> Result:
        """Alternate both, after one round that does not count; `upside`: the ratio is the peer's over ours."""
        both: tuple[list[float], list[float]] = ([], [])
        for count in range((rounds or self.rounds) + 1):
            pair = (ours(), peer())
            if count:
                both[0].append(pair[0])
                both[1].append(pair[1])
        mine, theirs = statistics.median(both[0]), statistics.median(both[1])
        return Result(mine, theirs, theirs / mine if upside else mine / theirs)

    def floor(self, world: World) -> Callable[[], float]:
        """Return what times the interpreter that does nothing."""
        return lambda: self.timed(FLOOR, world.env)


def write(path: str, text: str, mode: int = 0o600) -> None:
    """Write a file of a world."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


# ----------------------------------------------------------------------------------------------------------------------
# Sessions: ours and the peers' behind one face
# ----------------------------------------------------------------------------------------------------------------------


class Terminal:
    """Be a terminal of 80x24 that a program runs in, and the person in front of it."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.argv = argv
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        opened = (os.POSIX_SPAWN_OPEN, 0, os.ttyname(slave), os.O_RDWR, 0)
        actions = [opened, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        self.begun = time.perf_counter()
        self.pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions, setsid=True)
        os.close(slave)

    def read(self, limit: float = DEADLINE) -> bytes:
        """Return what has been written to it, b"" when that is nothing for so long."""
        if not select.select([self.master], [], [], limit)[0]:
            return b""
        try:
            return os.read(self.master, 1 << 16)
        except OSError:  # EIO: nobody has the other side open any more
            raise SystemExit(f"bench: {' '.join(self.argv)}: ended before its time") from None

    def until(self, mark: bytes) -> float:
        """Read until a text has come; return when."""
        seen = b""
        while mark not in seen:
            data = self.read()
            if not data:
                raise SystemExit(f"bench: {' '.join(self.argv)}: {mark!r} does not come")
            seen = seen[-len(mark) :] + data
        return time.perf_counter()

    def key(self, byte: bytes) -> float:
        """Type a byte; return the seconds until it has come back."""
        return self.key_until(byte, byte)

    def key_until(self, byte: bytes, mark: bytes) -> float:
        """Type a byte; return the seconds until a text has come."""
        begun = time.perf_counter()
        os.write(self.master, byte)
        return self.until(mark) - begun

    def settle(self) -> None:
        """Type until something comes back, then wait until it is quiet."""
        for _ in range(50):
            os.write(self.master, b"~")
            if b"~" in self.read(0.1):
                break
        while self.read(0.4):
            pass

    def close(self) -> None:
        """Hang up, as a window does that is closed."""
        os.close(self.master)
        end_child(self.pid, signal.SIGHUP)


def end_child(pid: int, number: int) -> None:
    """Signal a child and wait for its end; kill it when it does not heed that."""
    os.kill(pid, number)
    for _ in range(500):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


class Mux:
    """Run one command under a terminal of its own, detached, by one of the programs that do so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bench = world.bench
        self.env = {**world.env, "SHELL": SHELL, "TERM": "xterm-256color"}
        self.pid = 0  # of the program, where it runs as our child

    def start(self, command: str) -> None:
        """Start a line of the shell."""
        raise NotImplementedError

    def viewer(self) -> list[str]:
        """Return the command that shows it in a terminal."""
        raise NotImplementedError

    def wait(self) -> None:
        """Wait until it has ended by itself."""
        os.waitpid(self.pid, 0)
        self.pid = 0

    def close(self) -> None:
        """End it."""
        if self.pid:
            end_child(self.pid, signal.SIGTERM)
            self.pid = 0

    def spawn(self, argv: list[str]) -> None:
        """Start the program as our child."""
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        self.pid = os.posix_spawnp(argv[0], argv, self.env, file_actions=actions, setpgroup=0)
        os.close(null)


class Looop(Mux):
    """Be looop: its sessions are found by their folders."""

    def start(self, command: str) -> None:
        """Start session `s`."""
        argv = [self.bench.looop, "start-session", "s", "--size", "80x24", "--command", command]
        self.bench.timed(argv, self.env)

    def viewer(self) -> list[str]:
        """Attach to it."""
        return [self.bench.looop, "attach", "s"]

    def folders(self) -> list[str]:
        """Return where the sessions lie."""
        top = os.path.join(self.world.data, "sessions")
        names = os.listdir(top) if os.path.isdir(top) else []
        return [os.path.join(top, name) for name in sorted(names) if not name.startswith(".")]

    def supervisors(self) -> list[int]:
        """Return the pids of those that live: a supervisor holds its session's lock for life."""
        pids = []
        for folder in self.folders():
            with open(f"{folder}/lock", "rb") as lock, contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                continue
            pids.append(json.loads(read(f"{folder}/meta.json"))["pid"])
        return pids

    def processes(self) -> list[int]:
        """Return the pids of supervisors and commands."""
        commands = [json.loads(read(f"{folder}/status.json"))["pid"] for folder in self.folders()]
        return self.supervisors() + commands

    def wait(self) -> None:
        """Wait until every supervisor has gone."""
        for folder in self.folders():
            with open(f"{folder}/lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """End every session, all at once."""
        for pid in self.supervisors():
            os.kill(pid, signal.SIGTERM)
        self.wait()
        for folder in self.folders():
            if os.path.exists(f"{folder}/crash.txt"):
                raise SystemExit(f"bench: a supervisor crashed: {read(folder + '/crash.txt')}")


class Tmux(Mux):
    """Be tmux, with a server of its own and no configuration."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.env["TMUX_TMPDIR"] = world.home
        self.base = ["tmux", "-L", "bench", "-f", "/dev/null"]

    def start(self, command: str) -> None:
        """Start a session; its screen has as many rows as the others'."""
        size = ["-x", "80", "-y", "24"]
        self.bench.timed([*self.base, "new-session", "-d", "-s", "s", *size, command], self.env)
        self.bench.timed([*self.base, "set-option", "-g", "status", "off"], self.env)

    def viewer(self) -> list[str]:
        """Attach to it."""
        return [*self.base, "attach-session", "-t", "s"]

    def close(self) -> None:
        """End the server and what it runs."""
        with contextlib.suppress(SystemExit):  # there is none any more
            self.bench.timed([*self.base, "kill-server"], self.env)


class Dtach(Mux):
    """Be dtach."""

    def start(self, command: str) -> None:
        """Start it in the foreground (-N), so that it is known when it has ended."""
        self.spawn(["dtach", "-N", f"{self.world.home}/sock", "-E", "-z", "-r", "none", SHELL, "-c", command])
        wait_for(lambda: os.path.exists(f"{self.world.home}/sock"))

    def viewer(self) -> list[str]:
        """Attach to it."""
        return ["dtach", "-a", f"{self.world.home}/sock", "-E", "-z", "-r", "none"]


class Logged(Dtach):
    """Be dtach with script(1) inside, which writes what the command prints to a file, as looop's log does."""

    def start(self, command: str) -> None:
        """Start script in dtach."""
        line = f"exec script -q -c {quoted(command)} {self.world.home}/log"
        super().start(line)


class Screen(Mux):
    """Be GNU screen."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        os.mkdir(f"{world.home}/screens", 0o700)
        self.env.update(SCREENDIR=f"{world.home}/screens", SCREENRC=os.devnull)

    def start(self, command: str) -> None:
        """Start it in the foreground."""
        self.spawn(["screen", "-D", "-m", "-S", "s", SHELL, "-c", command])
        wait_for(lambda: bool(os.listdir(f"{self.world.home}/screens")))

    def viewer(self) -> list[str]:
        """Attach to it."""
        return ["screen", "-r", "s"]


def quoted(text: str) -> str:
    """Quote a text for the shell (pure)."""
    return "'" + text.replace("'", "'\\''") + "'"


def read(path: str) -> str:
    """Return a text file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def wait_for(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 20.0
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("bench: a session does not begin")
        time.sleep(0.005)


@contextlib.contextmanager
def muxes(bench: Bench, name: str, *kinds: type[Mux]) -> Iterator[list[Mux]]:
    """Have one of each kind for a while, each with a world of its own; end what runs in them."""
    with contextlib.ExitStack() as stack:
        made = []
        for kind in kinds:
            mux = kind(World(bench, f"{name}-{kind.__name__.lower()}"))
            stack.callback(mux.close)
            made.append(mux)
        yield made


@contextlib.contextmanager
def fleet(mux: Mux, command: str = IDLE) -> Iterator[Callable[[int], int]]:
    """Have sessions started from within one process: give what takes how many there shall be, and returns its pid."""
    with open(mux.bench.looop, "rb") as file:
        whole = file.read()
    _, built, rest = whole.partition(b" -SI -c '")
    script = f"del sys.argv[0]\ntry: exec({whole!r})\nexcept SystemExit: serve(0)\n"
    stub = rest.split(b"' ", 1)[0].decode() if built else script
    argv = [PYTHON, "-SI", "-c", FLEET + stub, mux.bench.looop, "version"]
    env = {**mux.env, "COMMAND": command}
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        told, heard = process.stdin, process.stdout
        heard.readline()  # the version

        def grow(count: int) -> int:
            told.write(b"%d\n" % count)
            told.flush()
            if not heard.readline():
                raise SystemExit("bench: sessions cannot be started")
            return process.pid

        yield grow


# ----------------------------------------------------------------------------------------------------------------------
# Items
# ----------------------------------------------------------------------------------------------------------------------


def verb(name: str) -> Callable[[Bench], Result]:
    """Measure a verb on a quiet profile without sensors against the floor."""

    def measure(bench: Bench) -> Result:
        world = World(bench, f"verb-{name}").fresh().quiet()
        return bench.rivals(lambda: bench.timed([bench.looop, name], world.env), bench.floor(world))

    return measure


def start(kind: str) -> Callable[[Bench], Result]:
    """Measure `looop version` where something about its start is less lucky, against the floor.

    shim: `python3` on PATH is pyenv's, and nothing is remembered; remembered: install.sh has found the real one;
    nowrite: PYTHONDONTWRITEBYTECODE=1; readonly: nothing can be written to the cache; foreign: the file has no bytecode
    for this Python, and it was compiled before; foreign-readonly: it must be compiled each time.
    """

    def measure(bench: Bench) -> Result:
        world = World(bench, f"start-{kind}")
        cache = os.path.join(world.home, ".cache", "looop")
        os.makedirs(cache, 0o700)
        env, looop, python = world.env, bench.looop, "" if kind in ("shim", "remembered") else PYTHON
        shims = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "shims")
        if kind in ("shim", "remembered", "foreign", "foreign-readonly"):
            looop = os.path.join(world.home, "looop")
            with open(looop, "wb") as file:
                file.write(other_archive(python, bytecode=kind in ("shim", "remembered")))
            os.chmod(looop, 0o755)
        if kind in ("shim", "remembered"):
            env["PATH"] = f"{shims}:{env['PATH']}"
            env["PYENV_VERSION"] = ".".join(map(str, sys.version_info[:3]))
            env["PYENV_ROOT"] = os.path.dirname(shims)
        if kind == "remembered":
            write(os.path.join(cache, "python"), f"{PYTHON}\n")
        if kind == "nowrite":
            env["PYTHONDONTWRITEBYTECODE"] = "1"
        if kind.endswith("readonly"):
            env["XDG_CACHE_HOME"] = os.devnull  # where not even root can make a file
        return bench.rivals(lambda: bench.timed([looop, "version"], env), bench.floor(world))

    return measure


def other_archive(python: str, bytecode: bool) -> bytes:
    """Return an archive that tries this interpreter first, with or without bytecode for the Python that runs this."""
    sys.path.insert(0, ROOT)
    import build_zipapp

    source = build_zipapp.read_file("looop.py")
    code = dict([build_zipapp.compiled(source, PYTHON)]) if bytecode else {}
    return build_zipapp.archive_of(source, code, python)


def peer_tick(sensors: int, wait: float, detail: str = "1") -> Callable[[Bench], Result]:
    """Measure an unchanged tick against the bash beat, both on sensors of the same text.

    `detail` is a word of bash: "$$" differs on every beat, and is no part of the signal.
    """

    def measure(bench: Bench) -> Result:
        name = f"{sensors}-{wait}-{detail}"
        world = World(bench, f"peer-{name}").fresh(sensors, wait, detail=detail).quiet()
        twin = World(bench, f"twin-{name}").fresh(sensors, wait, detail=detail)
        command = ["bash", os.path.join(HERE, "peer_tick.sh"), twin.data]
        rounds = min(bench.rounds, 9) if sensors > 10 else bench.rounds
        return bench.rivals(world.tick, lambda: bench.timed(command, twin.env), upside=True, rounds=rounds)

    return measure


def in_process(goals: int) -> Callable[[Bench], float]:
    """Return what takes the median of unchanged beats within one process."""

    def measure(bench: Bench) -> float:
        world = World(bench, f"pulse-{goals}").fresh(goals=goals).quiet()
        command = [PYTHON, "-c", IN_PROCESS, ROOT, str(50 * bench.rounds)]
        done = subprocess.run(command, env=world.env, stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
        return float(statistics.median(json.loads(done.stdout)))

    return measure


def pulse(bench: Bench) -> Result:
    """Measure an unchanged beat without sensors within one process: the gate is on its milliseconds."""
    seconds = in_process(0)(bench)
    return Result(seconds, None, seconds * 1e3)


def crowd(bench: Bench) -> Result:
    """Measure 50 sensors that each sleep 0.2 s against one."""
    many = World(bench, "crowd-50").fresh(50, 0.2).quiet()
    one = World(bench, "crowd-1").fresh(1, 0.2).quiet()
    return bench.rivals(many.tick, one.tick)


def acting_world(bench: Bench, name: str, config: dict[str, Any]) -> tuple[World, Callable[[], float]]:
    """Make a world in which every beat finds an edited goal, asks a command, and acts."""
    world = World(bench, name, {"default": "bench", "runners": {"bench": RUNNER}, **config}).fresh()
    edits = iter(range(1_000_000))

    def act() -> float:
        write(os.path.join(world.data, "goals", "moving.md"), f"# moving\n\nEdit {next(edits)}.\n")
        return world.tick()

    return world, act


def acting(config: dict[str, Any]) -> Callable[[Bench], Result]:
    """Measure a beat that decides and acts, with a runner that answers at once, against the floor."""

    def measure(bench: Bench) -> Result:
        world, act = acting_world(bench, f"acting-{len(config)}", config)
        return bench.rivals(act, bench.floor(world))

    return measure


def journal(config: dict[str, Any]) -> Callable[[Bench], Result]:
    """Measure an acting beat on a long journal against one on a short journal."""

    def measure(bench: Bench) -> Result:
        long, act_long = acting_world(bench, f"long-{len(config)}", config)
        _, act_short = acting_world(bench, f"short-{len(config)}", config)
        size = (1 << 30) if bench.big else (64 << 20)
        block = b"".join(b"- 2026-01-02 15:%02d %d: done, and what it came to\n" % (n % 60, n) for n in range(20_000))
        with open(os.path.join(long.data, "journal.md"), "ab", buffering=0) as file:
            for _ in range(size // len(block) + 1):
                file.write(block)
        result = bench.rivals(act_long, act_short, rounds=min(bench.rounds, 3 if bench.big else 9))
        shutil.rmtree(long.home, ignore_errors=True)  # up to some GB
        return result

    return measure


def many_goals(bench: Bench) -> Result:
    """Measure an unchanged tick on 1000 goals of 4 KB against one on 10."""
    many = World(bench, "goals-1000").fresh(goals=1000).quiet()
    few = World(bench, "goals-10").fresh(goals=10).quiet()
    return bench.rivals(many.tick, few.tick)


def many_goals_in_process(bench: Bench) -> Result:
    """Measure the same within one process, where no start of the interpreter hides the difference."""
    many, few = in_process(1000)(bench), in_process(10)(bench)
    return Result(many, few, many / few)


LEDGER_ROWS = 1_000_000


def ledger_world(bench: Bench) -> World:
    """Make a profile whose ledger has a million rows, one every 40 seconds up to now, as looop writes them."""
    if bench.ledger is None:
        world = bench.ledger = World(bench, "ledger").fresh()
        path = f"{world.data}/cost.jsonl"
        stamp, now = "%Y-%m-%dT%H:%M:%SZ", time.time()
        usage = '{"input":2500,"output":85,"cache_read":300,"cache_write":300}'
        head = '"kind":"tick","id":"tick","runner":"claude","cmd":"0123abcd","model":"claude-opus-5-5"'
        with open(path, "w", encoding="utf-8") as file:
            for i in range(LEDGER_ROWS):
                ts = time.strftime(stamp, time.gmtime(now - 40 * (LEDGER_ROWS - i)))
                run = f"tick-20260102-030405-{i % 65536:04x}"
                usd = (i * 7919 % 100003) / 1e6
                file.write(f'{{"ts":"{ts}",{head},"cost_usd":{usd},"usage":{usage},"run":"{run}"}}\n')
        os.chmod(path, 0o600)
    return bench.ledger


def cost(scope: str, rounds: int) -> Callable[[Bench], Result]:
    """Measure `cost` on a million rows: all of them against json.loads per line, today's against the floor."""

    def measure(bench: Bench) -> Result:
        world = ledger_world(bench)
        reader = f"import json\nfor line in open({world.data + '/cost.jsonl'!r}, 'rb'): json.loads(line)"
        argv = [bench.looop, "cost", scope, "--by", "runner"]
        peer = [PYTHON, "-SI", "-c", reader] if scope == "all" else FLOOR
        return bench.rivals(lambda: bench.timed(argv, world.env), lambda: bench.timed(peer, world.env), rounds=rounds)

    return measure


def cost_memory(bench: Bench) -> Result:
    """Measure the most memory that `cost all` holds, in MB, as the kernel counts it for a shell's only child."""
    world = ledger_world(bench)
    code = (
        "import os, resource, sys; p = os.posix_spawn(sys.argv[1], sys.argv[1:], dict(os.environ)); os.waitpid(p, 0);"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
    )
    argv = [PYTHON, "-SI", "-c", code, bench.looop, "cost", "all"]
    done = subprocess.run(argv, env=world.env, capture_output=True, check=True, timeout=DEADLINE)
    megabytes = int(done.stderr) / (1e6 if sys.platform == "darwin" else 1e3)
    return Result(megabytes / 1e3, None, megabytes)


# Both terminals are fed the same bytes in the same process, each into a new screen per round.
SCREENS = """\
import json, sys, time
sys.path.insert(0, sys.argv[1])
import looop, pyte
with open(sys.argv[2], "rb") as file:
    stream = file.read()
times = []
for _ in range(int(sys.argv[3]) + 1):
    begun = time.perf_counter()
    looop.Screen(120, 40).feed(stream)
    middle = time.perf_counter()
    pyte.ByteStream(pyte.Screen(120, 40)).feed(stream)
    times.append((middle - begun, time.perf_counter() - middle))
print(json.dumps(times[1:]))
"""


def listing() -> bytes:
    """Make what `ls --color -lR` prints for a tree of some size."""
    colours = ("\x1b[0m\x1b[01;34m{}\x1b[0m", "\x1b[01;32m{}\x1b[0m", "\x1b[01;36m{}\x1b[0m", "{}", "{}", "{}")
    lines = []
    for number in range(1000):
        name = colours[number % 6].format(f"file-{number * 7919 % 10007}.txt")
        lines.append(f"-rw-r--r-- 1 user user {number * 7919 % 100003:>6} Jan  2 03:04 {name}\r\n")
    return "".join(lines).encode()


def renderer(*recordings: str) -> Callable[[Bench], Result]:
    """Measure the screen against pyte on recordings of the tests; without one, on a long listing.

    pyte stops at a question that vim asks (`CSI ? 4 m`), so that it is taken out for both.
    """

    def measure(bench: Bench) -> Result:
        stream = b"" if recordings else listing()
        for name in recordings:
            with open(os.path.join(ROOT, "tests", "captured", "screens", f"{name}.bin"), "rb") as file:
                stream += file.read().replace(b"\x1b[?4m", b"")
        path = os.path.join(bench.folder, "stream")
        with open(path, "wb") as file:
            file.write(stream * max(1, 60_000 // len(stream)))
        command = [PYTHON, "-c", SCREENS, ROOT, path, str(bench.rounds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
        ours, theirs = (statistics.median(times) for times in zip(*json.loads(done.stdout)))
        return Result(ours, theirs, theirs / ours)

    return measure


# ----------------------------------------------------------------------------------------------------------------------
# Items: sessions
# ----------------------------------------------------------------------------------------------------------------------


def create(bench: Bench) -> Result:
    """Measure the start of a session against one more of a tmux whose server runs already."""
    with muxes(bench, "create", Looop, Tmux) as (ours, peer):
        peer.start(IDLE)
        number = iter(range(1_000_000))

        def start_ours() -> float:
            argv = [bench.looop, "start-session", f"s{next(number)}", "--command", IDLE]
            seconds = bench.timed(argv, ours.env)
            ours.close()
            return seconds

        def start_peer() -> float:
            base = ["tmux", "-L", "bench", "-f", "/dev/null"]
            seconds = bench.timed([*base, "new-session", "-d", "-s", "more", IDLE], peer.env)
            bench.timed([*base, "kill-session", "-t", "more"], peer.env)
            return seconds

        return bench.rivals(start_ours, start_peer)


MARK = b"--THE-MARK--"

# A full screen in some colours on the alternate screen, as a pager paints it, the mark on the last row.
PICTURE = (
    r"printf '\033[?1049h\033[H\033[2J'; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23; do "
    r"printf '\033[%d;1H\033[1;3%dm%d\033[0m a line of text \033[4mof some\033[24m length, \033[32mthe %dth\033[0m' "
    rf"$i $((i % 8)) $i $i; done; printf '\033[24;1H{MARK.decode()}'; "
) + IDLE


def attach(kind: type[Mux]) -> Callable[[Bench], Result]:
    """Measure from the start of a viewer until the last row of the painted screen has come."""

    def measure(bench: Bench) -> Result:
        with muxes(bench, f"attach-{kind.__name__.lower()}", Looop, kind) as both:
            for mux in both:
                mux.start(PICTURE)
            time.sleep(0.5)  # until it is painted

            def shown(mux: Mux) -> Callable[[], float]:
                def once() -> float:
                    with contextlib.closing(Terminal(mux.viewer(), mux.env)) as terminal:
                        return terminal.until(MARK) - terminal.begun

                return once

            return bench.rivals(shown(both[0]), shown(both[1]))

    return measure


ECHO = "stty raw -echo; exec cat"
KEYS, KEY_BLOCK = 1500, 50


def keystroke(kind: type[Mux]) -> Callable[[Bench], Result]:
    """Measure from a key in an attached terminal to its echo by a program, in blocks that alternate."""

    def measure(bench: Bench) -> Result:
        with contextlib.ExitStack() as stack:
            terminals = []
            for mux in stack.enter_context(muxes(bench, f"key-{kind.__name__.lower()}", Looop, kind)):
                mux.start(ECHO)
                terminals.append(stack.enter_context(contextlib.closing(Terminal(mux.viewer(), mux.env))))
                terminals[-1].settle()
            times: tuple[list[float], list[float]] = ([], [])
            for block in range(KEYS // KEY_BLOCK + 1):
                for terminal, taken in zip(terminals, times):
                    seconds = [terminal.key(b"~") for _ in range(KEY_BLOCK)]
                    taken.extend(seconds if block else [])
            mine, theirs = statistics.median(times[0]), statistics.median(times[1])
            return Result(mine, theirs, mine / theirs)

    return measure


FLOOD_BYTES = 100_000_000
END = b"--THE-END--"


def flood_file(bench: Bench) -> str:
    """Return a file of 100 MB of plain text, made once."""
    path = f"{bench.folder}/flood.txt"
    if not os.path.exists(path):
        line = b"%06d some plain text, as a build or a test run prints it, of a usual length\n"
        block = b"".join(line % number for number in range(10_000))
        with open(path, "wb") as file:
            for _ in range(FLOOD_BYTES // len(block) + 1):
                file.write(block)
            file.truncate(FLOOD_BYTES)
    return path


def flood(kind: type[Mux], attached: bool) -> Callable[[Bench], Result]:
    """Measure 100 MB of output, from its first byte until the session has ended, or a viewer has seen the last byte."""

    def poured(bench: Bench, kind: type[Mux], name: str) -> float:
        with contextlib.ExitStack() as stack:
            (mux,) = stack.enter_context(muxes(bench, name, kind))
            mux.env["LOOOP_LOG_MAX_BYTES"] = str(4 * FLOOD_BYTES)
            go = f"{mux.world.home}/go"
            os.mkfifo(go)
            after = f"printf '\\n%s' {END.decode()}; {IDLE}" if attached else "exit"
            mux.start(f"read line < {go}; cat {flood_file(bench)}; {after}")
            terminal = None
            if attached:
                terminal = stack.enter_context(contextlib.closing(Terminal(mux.viewer(), mux.env)))
                terminal.read()
                while terminal.read(0.4):  # until it is painted
                    pass
            begun = time.perf_counter()
            write(go, "\n")
            if terminal:
                seconds = terminal.until(END) - begun
            else:
                mux.wait()
                seconds = time.perf_counter() - begun
            if isinstance(mux, Looop) and os.path.getsize(f"{mux.folders()[0]}/output.log") <= FLOOD_BYTES:
                raise SystemExit("bench: looop's log does not hold what was written")
        shutil.rmtree(mux.world.home)
        return seconds

    def measure(bench: Bench) -> Result:
        name = f"flood-{'attached' if attached else 'detached'}-{kind.__name__.lower()}"
        rounds = min(bench.rounds, 5)
        return bench.rivals(
            lambda: poured(bench, Looop, name), lambda: poured(bench, kind, name), upside=True, rounds=rounds
        )

    return measure


def memory_of(pids: list[int]) -> float:
    """Return the MB that processes take, what they share divided among those that share it (smaps_rollup, proc(5))."""
    kilobytes = 0
    for pid in pids:
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1e3


def one_more(inside: bool) -> Callable[[Bench], Result | None]:
    """Measure what one more idle session takes: its supervisor, its command, what it adds to whoever started it."""

    def measure(bench: Bench) -> Result | None:
        if not os.path.exists("/proc/self/smaps_rollup"):
            return None
        found = []
        for number in range(min(bench.rounds, 3)):
            with muxes(bench, f"memory-{inside:d}-{number}", Looop) as (mux,), fleet(mux) as grow:
                assert isinstance(mux, Looop)
                taken = []
                for made, wanted in ((0, 2), (2, 10)):
                    base = [grow(wanted)] if inside else []
                    for name in () if inside else range(made, wanted):
                        argv = [bench.looop, "start-session", f"s{name}", "--command", IDLE]
                        bench.timed(argv, mux.env)
                    time.sleep(1.0)  # what they do after the start
                    taken.append(memory_of(base + mux.processes()))
                found.append((taken[1] - taken[0]) / 8)
        megabytes = statistics.median(found)
        return Result(megabytes / 1e3, None, megabytes)

    return measure


def idle_pulse(cpu: bool) -> Callable[[Bench], Result | None]:
    """Measure a pulse that has nothing to do: the memory it takes, or its CPU time in a minute of sleep."""

    def measure(bench: Bench) -> Result | None:
        if not os.path.exists("/proc/self/smaps_rollup"):
            return None
        with muxes(bench, f"pulse-{cpu:d}", Looop) as (mux,):
            mux.world.fresh()
            bench.timed([bench.looop, "up"], mux.env)
            out = subprocess.run([bench.looop, "status", "--json"], env=mux.env, capture_output=True, check=True).stdout
            pid = json.loads(out)["pulse"]["pid"]
            time.sleep(2.0)  # its first beat, and what it does after the start
            before, secs = cpu_of(pid), 20.0
            time.sleep(secs)
            used = (cpu_of(pid) - before) * 60 / secs
            megabytes = memory_of([pid])
            bench.timed([bench.looop, "down"], mux.env)
        return Result(used, None, used * 1e3) if cpu else Result(megabytes / 1e3, None, megabytes)

    return measure


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used (proc(5): stat)."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def list_many(bench: Bench) -> Result:
    """Measure `ls` with 100 sessions that live against one."""
    with muxes(bench, "many", Looop) as (many,), muxes(bench, "one", Looop) as (one,):
        for mux, count in ((many, 100), (one, 1)):
            with fleet(mux) as grow:
                grow(count)
        argv = [bench.looop, "ls"]
        return bench.rivals(lambda: bench.timed(argv, many.env), lambda: bench.timed(argv, one.env))


def workers(name: str) -> Callable[[Bench], Result]:
    """Measure a verb that only reads, on a profile with 20 sessions that live, against the floor."""

    def measure(bench: Bench) -> Result:
        with muxes(bench, f"workers-{name}", Looop) as (mux,):
            mux.world.fresh()
            with fleet(mux) as grow:
                grow(20)
            return bench.rivals(lambda: bench.timed([bench.looop, name], mux.env), bench.floor(mux.world))

    return measure


def completion(bench: Bench) -> Result:
    """Measure a Tab that completes the id of a goal, in an interactive bash, from key to id, against the floor."""
    world = World(bench, "completion").fresh(goals=20)
    write(os.path.join(world.data, "goals", "zebra-crossing.md"), "# zebra-crossing\n")
    script = os.path.join(world.home, "completions.bash")
    with open(script, "wb") as file:
        subprocess.run([bench.looop, "config", "bash"], env=world.env, stdout=file, check=True, timeout=DEADLINE)
    path = f"{os.path.dirname(bench.looop)}:{world.env['PATH']}"
    env = {**world.env, "PATH": path, "PS1": "[ready]", "TERM": "dumb"}
    terminal = Terminal(["bash", "--noprofile", "--norc", "-i"], env)

    def tab() -> float:
        os.write(terminal.master, b"looop run zeb")
        terminal.until(b"run zeb")
        seconds = terminal.key_until(b"\t", b"ra-crossing")
        os.write(terminal.master, b"\x15\n")  # away with it
        terminal.until(b"[ready]")
        return seconds

    try:
        terminal.until(b"[ready]")
        os.write(terminal.master, f". {quoted(script)}\n".encode())
        terminal.until(b"[ready]")
        return bench.rivals(tab, bench.floor(world))
    finally:
        terminal.close()


ITEMS = (
    Item("version", "looop version, installed / floor", verb("version"), 2.2, 1.4),
    Item("version-shim", "the same, `python3` is a pyenv shim", start("shim"), needs="pyenv"),
    Item("version-remembered", "the same, as install.sh remembers it", start("remembered"), 2.2, 1.4, needs="pyenv"),
    Item("version-nowrite", "the same, PYTHONDONTWRITEBYTECODE=1", start("nowrite"), 2.2, 1.4),
    Item("version-readonly", "the same, a read-only cache", start("readonly"), 2.2, 1.4),
    Item("version-foreign", "the same, no bytecode for this Python, cached", start("foreign")),
    Item("version-compiled", "the same, and a read-only cache", start("foreign-readonly")),
    Item("tick", "looop tick, installed, unchanged, 0 sensors / floor", verb("tick"), 2.5, 1.5),
    Item("status", "looop status (no workers yet) / floor", verb("status"), 5, 3),
    Item("workers-status", "looop status, 20 workers / floor", workers("status"), 5, 3),
    Item("workers-ls", "looop ls, 20 workers / floor", workers("ls"), 5, 3),
    Item("workers-asks", "looop asks, 20 workers / floor", workers("asks"), 5, 3),
    Item("completion", "completion of a goal id, installed / floor", completion, 5, None, needs="bash"),
    Item("peer-1", "bash peer tick / looop tick, 1 sensor", peer_tick(1, 0.05), 4, 8, True, "jq"),
    Item("peer-10", "bash peer tick / looop tick, 10 sensors", peer_tick(10, 0.05), 8, 15, True, "jq"),
    Item("peer-50", "bash peer tick / looop tick, 50 sensors", peer_tick(50, 0.05), 15, 25, True, "jq"),
    Item("peer-1-now", "the same, 1 sensor that does not wait", peer_tick(1, 0), None, None, True, "jq"),
    Item("peer-10-now", "the same, 10 sensors that do not wait", peer_tick(10, 0), None, None, True, "jq"),
    Item("peer-50-now", "the same, 50 sensors that do not wait", peer_tick(50, 0), None, None, True, "jq"),
    Item(
        "peer-10-detail",
        "10 sensors that wait and whose detail changes",
        peer_tick(10, 0.05, "$$"),
        None,
        None,
        True,
        "jq",
    ),
    Item("pulse", "beat of the pulse, unchanged, 0 sensors, in process", pulse, 1, 0.2, unit="ms"),
    Item("crowd", "50 sensors that each sleep 0.2 s / one", crowd, 8, 4),
    Item("acting", "acting beat, runner that answers at once / floor", acting({}), 8, 4, needs="git"),
    Item("acting-nogit", "the same, without git", acting({"git": False})),
    Item("journal", "acting beat, long journal / short", journal({}), 1.2, 1.05, needs="git"),
    Item("journal-nogit", "the same, without git", journal({"git": False})),
    Item("goals", "unchanged tick, 1000 goals of 4 KB / 10", many_goals, 10, 4),
    Item("cost-all", "cost all over 1 M rows / json.loads per line", cost("all", 3), 0.5, 0.25),
    Item("cost-memory", "its memory at most", cost_memory, 20, None, unit="MB"),
    Item("cost-today", "cost today on 1 M rows / floor", cost("today", 0), 4, 2),
    Item("goals-inside", "the same, in process", many_goals_in_process),
    Item("screen-vim", "screen renderer / pyte: vim", renderer("vim", "vim-edit"), 3, 5, True, "pyte"),
    Item("screen-htop", "screen renderer / pyte: htop", renderer("htop"), 3, 5, True, "pyte"),
    Item("screen-less", "screen renderer / pyte: less", renderer("less", "less-search"), 3, 5, True, "pyte"),
    Item("screen-ls", "screen renderer / pyte: ls", renderer(), 3, 5, True, "pyte"),
    Item("screen-agent", "screen renderer / pyte: agent TUI", renderer("claude-busy", "pi-idle"), 3, 5, True, "pyte"),
    Item("create", "create a session and return / tmux, its server running", create, 4, 2.5, needs="tmux"),
    Item("attach", "attach to a painted screen / tmux", attach(Tmux), 3.5, 2.2, needs="tmux"),
    Item("keystroke", "keystroke echo, p50 / dtach", keystroke(Dtach), 1.4, 1.1, needs="dtach"),
    Item("keystroke-tmux", "the same / tmux", keystroke(Tmux), needs="tmux"),
    Item("keystroke-screen", "the same / screen", keystroke(Screen), needs="screen"),
    Item("flood", "dtach / looop: 100 MB of output, logged, detached", flood(Dtach, False), 0.8, 0.95, True, "dtach"),
    Item("flood-attached", "the same, attached", flood(Dtach, True), 0.9, 1.0, True, "dtach"),
    Item("flood-logged", "dtach with script(1) / looop, detached", flood(Logged, False), None, None, True, "dtach"),
    Item("memory", "memory of one more idle session, from the CLI", one_more(False), 3.5, 2.7, unit="MB"),
    Item("memory-inside", "the same, started from within one process", one_more(True), 1.5, 0.7, unit="MB"),
    Item("pulse-memory", "memory of an idle pulse", idle_pulse(False), unit="MB"),
    Item("pulse-cpu", "CPU time of an idle pulse, per minute asleep", idle_pulse(True), unit="ms"),
    Item("many", "looop ls, 100 sessions / 1", list_many, 1.8, 1.2),
)

GET = {name: f"apt install {name}" for name in ("dtach", "git", "jq", "screen", "tmux")}
GET["pyte"] = "pip install pyte"


def is_missing(need: str) -> bool:
    """Tell whether a peer cannot be had: a program, or a module of this Python."""
    return importlib.util.find_spec("pyte") is None if need == "pyte" else not shutil.which(need)


# ----------------------------------------------------------------------------------------------------------------------
# The table
# ----------------------------------------------------------------------------------------------------------------------


def row_of(item: Item, result: Result | None) -> dict[str, Any]:
    """Put a row together (pure); None: its peer is missing."""
    row: dict[str, Any] = {"name": item.name, "item": item.line, "ours_s": None, "peer_s": None, "ratio": None}
    row.update(gate=item.gate, aim=item.aim, atleast=item.atleast, unit=item.unit or "x", verdict="no peer")
    if result is None:
        return row
    row.update(ours_s=result.ours, peer_s=result.peer, ratio=result.ratio)
    if item.gate is None:
        row["verdict"] = "-"
    else:
        met = result.ratio >= item.gate if item.atleast else result.ratio <= item.gate
        row["verdict"] = "ok" if met else "short"
    return row


def cells(row: dict[str, Any]) -> list[str]:
    """Write a row for a person (pure)."""
    sign = "≥ " if row["atleast"] else "≤ "

    def bound(value: float | None) -> str:
        return "" if value is None else f"{sign}{value:g}" + ("" if row["unit"] == "x" else f" {row['unit']}")

    def millis(value: float | None) -> str:
        if value is not None and row["unit"] == "MB":
            return f"{value * 1e3:.1f} MB"
        return "" if value is None else f"{value * 1e3:.{2 if value < 0.1 else 0}f} ms"

    ratio = "" if row["ratio"] is None or row["unit"] != "x" else f"{row['ratio']:.2f}"
    return [row["item"], millis(row["ours_s"]), millis(row["peer_s"]), ratio, *map(bound, (row["gate"], row["aim"]))]


HEADS = ["item", "ours", "peer", "ratio", "gate", "aim", ""]
WIDTHS = [54, 10, 10, 7, 8, 8, 0]


def line_of(texts: list[str]) -> str:
    """Lay a row out (pure)."""
    return " ".join(f"{text:{width}}" for text, width in zip(texts, WIDTHS)).rstrip()


def chosen(names: list[str]) -> list[Item]:
    """Return the items that --only names, all when it names none; end the bench on a name that there is not."""
    known = [item.name for item in ITEMS]
    for name in names:
        if name not in known:
            raise SystemExit(f"bench: {name}: no such item: one of {', '.join(known)}")
    return [item for item in ITEMS if not names or item.name in names]


def raise_exit(number: int, frame: object) -> None:
    """Leave through the `finally` blocks, which end children and remove folders."""
    raise SystemExit("bench: a process outlasted its deadline" if number == signal.SIGALRM else 128 + number)


def main() -> int:
    """Run the items and print the table."""
    parser = argparse.ArgumentParser(description="Measure looop beside its peers.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="measure this item (repeatable)")
    parser.add_argument("--rounds", type=int, default=21, metavar="N", help="rounds per item (default 21)")
    parser.add_argument("--big", action="store_true", help="use a journal of 1 GB, not 64 MB")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    items = chosen(args.only)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, raise_exit)
    missing = sorted({item.needs for item in items if item.needs and is_missing(item.needs)})
    rows = []
    folder = tempfile.mkdtemp(prefix="looop-bench-")
    try:
        bench = Bench(folder, max(1, min(args.rounds, 1000)), args.big)
        if not args.json:
            print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {bench.rounds} rounds\n{line_of(HEADS)}")
        for item in items:
            rows.append(row_of(item, None if item.needs in missing else item.measure(bench)))
            if not args.json:
                print(line_of([*cells(rows[-1]), rows[-1]["verdict"]]), flush=True)
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        about = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": bench.rounds, "big": args.big}
        print(json.dumps({**about, "missing": {name: GET[name] for name in missing}, "rows": rows}, indent=2))
    else:
        for name in missing:
            print(f"missing: {name}: {GET[name]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
