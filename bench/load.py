#!/usr/bin/env python3
"""Measure looop under load: every verb on one profile that holds far too much, beside a small one and the floor.

    bench/load.py [--scale N] [--rounds N] [--seconds N] [--only VERB]… [--json]

The loaded profile: 1000 goals of 4 KB, 200 sensors, 100 sessions that live, a ledger of a million rows, a journal and
an events log of 1 GB each, 10,000 capsules. It needs about 4 GB of room in the temporary folder, 1 GB of memory and
ten minutes; `--scale 100` makes everything a hundredth. All of it is removed at the end, and every process ended.

Time is noisy, so what is read is counted besides: the bytes that the process and its children have read (rchar,
/proc/PID/io) and, where strace is, the files that they have opened. Like run.py, it is a measurement and no test.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run as bench_run
from run import DEADLINE, FLOOR, PYTHON, Bench, Looop, Terminal, World, fleet, memory_of, read, write

ROOM = 4 << 30  # bytes that the whole load needs

WORKER = r"stty -echo; printf 'worker of the load, ready\n'; exec cat"  # what runs in each session
MOVE = {"move": "shell", "command": "true", "reversible": True, "journal": "moved on under load"}
NOOP = {"move": "noop", "journal": "seen under load"}  # where nothing changed since but what its move did
TICK = f"""case $(cat) in
*'You are asked again'*) printf '%s\\n' '{json.dumps(NOOP)}' ;;
*) printf '%s\\n' '{json.dumps(MOVE)}' ;;
esac"""
RUNNER = {"mode": "typed", "tick": TICK, "unmetered": True}


class Sizes(NamedTuple):
    """Say how much a profile holds."""

    goals: int
    sensors: int
    sessions: int
    rows: int  # of the ledger
    journal: int  # bytes
    events: int  # bytes
    capsules: int


LOADED = Sizes(1000, 200, 100, 1_000_000, 1 << 30, 1 << 30, 10_000)
SMALL = Sizes(10, 2, 1, 100, 10_000, 30_000, 10)
FEW = 20  # sessions that live while the gates are asked that are meant for so many


def scaled(scale: int) -> Sizes:
    """Return the loaded sizes divided, but never less than the small ones (pure)."""
    return Sizes(*(max(small, size // scale) for size, small in zip(LOADED, SMALL)))


# ----------------------------------------------------------------------------------------------------------------------
# The load
# ----------------------------------------------------------------------------------------------------------------------


def stamp(moment: float) -> str:
    """Return a moment as looop stores it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def write_blocks(path: str, size: int, block: Callable[[float], bytes], secs: float) -> None:
    """Fill a file up to `size` bytes with blocks, each for `secs` seconds, the last one of now."""
    length = len(block(0.0))
    count = max(1, size // length)
    begun = time.time() - count * secs
    with open(path, "wb", buffering=0) as file:
        for number in range(count):
            file.write(block(begun + number * secs))
    os.chmod(path, 0o600)


def write_journal(path: str, size: int) -> None:
    """Write a journal: a move every twenty minutes."""
    lines = "".join(f"- MOMENT ship-v{n % 7}: looked at pull request {n}, and what came of it\n" for n in range(900))
    text = lines[: max(1, min(len(lines), size)) - 1].rpartition("\n")[0] + "\n"

    def block(moment: float) -> bytes:
        return text.replace("MOMENT", time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))).encode()

    write_blocks(path, size, block, 1200.0 * text.count("\n"))


def write_events(path: str, size: int) -> None:
    """Write an events log: a beat each minute that found nothing new."""
    beat = (
        '{"ts":"MOMENT","event":"tick_start","pid":4711}\n'
        '{"ts":"MOMENT","event":"sense_done","sensors":200,"errors":0,"ms":412}\n'
        '{"ts":"MOMENT","event":"world_unchanged","hash":"0123456789abcdef0123456789abcdef","since":"MOMENT"}\n'
    )
    beats = max(1, min(200, size // len(beat)))

    def block(moment: float) -> bytes:
        return (beat * beats).replace("MOMENT", stamp(moment)).encode()

    write_blocks(path, size, block, 60.0 * beats)


def write_ledger(path: str, rows: int) -> None:
    """Write a ledger as looop writes it: a row every 40 seconds up to now, of a runner that is not the one of today."""
    head = '"kind":"tick","id":"tick","runner":"claude","cmd":"0123abcd","model":"claude-opus-5-5"'
    usage = '{"input":2500,"output":85,"cache_read":300,"cache_write":300}'
    now = time.time()
    with open(path, "w", encoding="utf-8", buffering=1 << 20) as file:
        for i in range(rows):
            usd = (i * 7919 % 100003) / 1e6
            run = f"tick-20260102-030405-{i % 65536:04x}"
            ts = stamp(now - 40 * (rows - i))
            file.write(f'{{"ts":"{ts}",{head},"cost_usd":{usd},"usage":{usage},"run":"{run}"}}\n')
    os.chmod(path, 0o600)


def write_capsules(folder: str, count: int) -> None:
    """Write capsules, one every ten minutes up to yesterday."""
    os.makedirs(folder, 0o700, exist_ok=True)
    begun = time.time() - 86400 - 600 * count
    for number in range(count):
        moment = begun + 600 * number
        run = f"tick-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(moment))}-{number % 65536:04x}"
        line = f"- {time.strftime('%Y-%m-%d %H:%M', time.localtime(moment))} looked at pull request {number}"
        wake = {"run": run, "at": stamp(moment), "reason": "sensor s001: new", "runner": "claude", "mode": "typed"}
        result = {"run": run, "at": stamp(moment), "outcome": "acted", "journal": line, "cost_usd": 0.01, "secs": 4.2}
        os.mkdir(f"{folder}/{run}", 0o700)
        files = {
            "wake.json": json.dumps({**wake, "changed": [], "gates": [], "digests": {}, "inputs": {}}),
            "prompt.md": "# CONSTITUTION\n| what looop is\n" * 50,
            "output.log": json.dumps(MOVE) + "\n",
            "reply.txt": json.dumps(MOVE) + "\n",
            "move.json": json.dumps(MOVE),
            "result.json": json.dumps(result),
        }
        for name, text in files.items():
            with open(f"{folder}/{run}/{name}", "w", encoding="utf-8") as file:
                file.write(text)


class Load(World):
    """Be a profile of some size, with its sessions."""

    def __init__(self, bench: Bench, name: str, sizes: Sizes) -> None:
        super().__init__(bench, name, {"default": "load", "runners": {"load": RUNNER}})
        self.sizes = sizes
        self.asks = 0  # the highest number of one that was put
        self.edits = 0
        self.env.update(
            LOOOP_RUNS_KEEP="0",  # else the first decide removes what is to be there
            LOOOP_EVENTS_MAX_BYTES=str(1 << 40),
            SHELL=bench_run.SHELL,
            TERM="xterm-256color",
        )
        self.fresh(goals=sizes.goals)
        self.sensors(sizes.sensors, 0.0, "1")
        write_ledger(f"{self.data}/cost.jsonl", sizes.rows)
        write_journal(f"{self.data}/journal.md", sizes.journal)
        write_events(f"{self.data}/events.jsonl", sizes.events)
        write_capsules(f"{self.data}/runs", sizes.capsules)
        self.mux = Looop(self)
        self.starter = contextlib.ExitStack()
        self.start = self.starter.enter_context(fleet(self.mux, WORKER))
        self.session = f"s{min(57, sizes.sessions - 1):03}"  # not there before all are
        self.beat()

    def grow(self, count: int) -> None:
        """Have sessions s000 … live, and one that has ended after it wrote a lot."""
        self.start(count)
        bench_run.wait_for(lambda: all(self.shown(f"s{number:03}") for number in range(count)))
        if os.path.exists(f"{self.data}/sessions/ended"):
            return
        line = "some plain text, as a build or a test run prints it, of a usual length"
        lines = f"yes {line!r} | head -n 100000; echo the-end"  # 7 MB
        argv = [self.bench.looop, "start-session", "ended", "--command", lines]
        self.bench.timed(argv, self.env)
        subprocess.run([self.bench.looop, "wait", "ended"], env=self.env, check=True, timeout=DEADLINE)

    def shown(self, session: str) -> bool:
        """Tell whether a session's command has begun to write."""
        path = f"{self.data}/sessions/{session}/output.log"
        return os.path.exists(path) and os.path.getsize(path) > 0

    def edit(self) -> None:
        """Edit a goal, so that the next beat decides."""
        self.edits += 1
        write(f"{self.data}/goals/g0000.md", f"# goal 0\n\nEdit {self.edits}.\n" + "what is wanted\n" * 250)

    def ask(self, kind: str) -> None:
        """Put an ask or a proposal to the person, as the file that looop writes."""
        folders = [f"{self.data}/asks", f"{self.data}/asks/archive"]
        names = [name.split(".")[0] for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)]
        self.asks = 1 + max((int(name) for name in names if name.isdigit()), default=0)
        fields: dict[str, Any] = {"question": "which branch?"}
        if kind == "proposal":
            move = {"move": "shell", "command": "true", "reversible": False}
            fields = {"question": "may I?", "command": "true", "move": move}
        ask = {"n": self.asks, "kind": kind, "at": stamp(time.time()), **fields}
        write(f"{self.data}/asks/{self.asks}.json", json.dumps(ask))

    def events(self, since: int) -> list[dict[str, Any]]:
        """Return the events from an offset of their log on."""
        with open(f"{self.data}/events.jsonl", "rb") as file:
            file.seek(since)
            return [json.loads(line) for line in file]

    def size(self, name: str) -> int:
        """Return the size of a file of the data dir."""
        return os.path.getsize(f"{self.data}/{name}")

    def close(self) -> None:
        """End its sessions, and who starts them."""
        self.starter.close()
        self.mux.close()


# ----------------------------------------------------------------------------------------------------------------------
# One process, measured
# ----------------------------------------------------------------------------------------------------------------------

# A process of its own that starts what is measured: a child's peak counts from what its parent held (exec keeps the
# high water mark), so the parent is to be smaller than the smallest looop. What a child and its children have read is
# added to its parent's /proc/self/io when it is waited for; once it has ended, only root may read its own.
METER = """\
import json, os, resource, sys, time  # os.wait4 loads resource
def rchar():
    try:
        with open("/proc/self/io", "rb", 0) as file:
            text = file.read(4096)
        return int(text.split(b"rchar: ")[1].split()[0]), len(text)
    except OSError:
        return None, 0
for line in sys.stdin:
    argv, env, stdin, errors = json.loads(line)
    actions = [(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
               (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    before, asking = rchar()
    begun = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    secs = time.perf_counter() - begun
    after, _ = rchar()
    read = None if after is None else after - before - asking
    rss = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps([secs, rss, read, os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128]), flush=True)
"""


class Taken(NamedTuple):
    """Be what one process took."""

    secs: float
    rss: int  # bytes at most, of it or of one of its children
    read: int | None  # bytes, with its children; None: the system does not tell
    code: int


class Meter:
    """Start processes and tell what they took."""

    def __init__(self, folder: str) -> None:
        self.errors = f"{folder}/meter.stderr"
        argv = [PYTHON, "-SI", "-c", METER]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def take(self, argv: list[str], env: dict[str, str], codes: tuple[int, ...] = (0,), stdin: str = "") -> Taken:
        """Run a process to its end. End the bench when it returns another code than one of these."""
        assert self.process.stdin is not None and self.process.stdout is not None
        signal.setitimer(signal.ITIMER_REAL, DEADLINE)
        try:
            self.process.stdin.write(json.dumps([argv, env, stdin or os.devnull, self.errors]).encode() + b"\n")
            self.process.stdin.flush()
            taken = Taken(*json.loads(self.process.stdout.readline()))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if taken.code not in codes:
            raise SystemExit(f"bench: {' '.join(argv)}: exit {taken.code}: {read(self.errors)[:1000]}")
        return taken

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def opened(argv: list[str], env: dict[str, str], folder: str, stdin: str = "") -> list[str] | None:
    """Return the paths that a process and its children open, by strace; None where that is not to be had."""
    if not shutil.which("strace"):
        return None
    trace = f"{folder}/strace"
    with open(stdin or os.devnull, "rb") as given:
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", trace, "-e", "trace=open,openat", *argv],
            env=env,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=DEADLINE,
            check=False,
        )
    if done.returncode not in range(128) or not os.path.exists(trace):
        return None
    with open(trace, encoding="utf-8", errors="replace") as file:
        return [line.split('"')[1] for line in file if '"' in line and " = -1" not in line]


# ----------------------------------------------------------------------------------------------------------------------
# The verbs
# ----------------------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """Be one verb with its words: {s} a session, {n} the last ask, {sensor}, {goal}."""

    words: str
    kind: str = "read"  # read; change; listed: its work is what it lists; whole: it reads a whole history
    gate: float | None = None  # at most so many floors, with 20 sessions
    ratio: float | None = None  # at most so many times the small one
    rss: float | None = None  # at most so many MB
    before: Callable[[Load], None] | None = None  # what is done before each time
    codes: tuple[int, ...] = (0,)
    stdin: str = ""  # the name of a file in the data dir
    session: str = ""  # whose LOOOP_SESSION_ID it has
    why: str = ""  # why its work grows with the profile

    @property
    def verb(self) -> str:
        """Return the verb's name, as its first word or words."""
        words = self.words.split()
        two = words[0] in ("goal", "sensor", "config", "service") or words[:2] == ["cost", "add"]
        return " ".join(words[: 1 + two])


def quiet(load: Load) -> None:
    """Let a profile come to rest: what was changed is decided on, and remembered."""
    time.sleep(bench_run.SETTLE)
    for _ in range(3):
        load.beat()


def ended(load: Load) -> None:
    """Have a session that has ended, to be removed."""
    load.bench.timed([load.bench.looop, "start-session", "gone", "--command", "exit 0"], load.env)
    subprocess.run([load.bench.looop, "wait", "gone"], env=load.env, check=True, timeout=DEADLINE)


def unclaimed(load: Load) -> None:
    """Have nobody hold the claim `work`."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{load.data}/claims/work.json")


def claimed(load: Load) -> None:
    """Have the session hold the claim `work`."""
    os.makedirs(f"{load.data}/claims", 0o700, exist_ok=True)
    claim = {"session": load.session, "name": "work", "ts": stamp(time.time())}
    write(f"{load.data}/claims/work.json", json.dumps(claim))


def unsensed(load: Load) -> None:
    """Have no sensor `more`, which is about to be added."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{load.data}/sensors/more.sh")


def more(load: Load) -> None:
    """Have a session `more` that lives."""
    argv = [load.bench.looop, "start-session", "more", "--command", bench_run.IDLE]
    if not os.path.exists(f"{load.data}/sessions/more") or not load.mux.supervisors():
        load.bench.timed(argv, load.env)
        return
    load.bench.timed([load.bench.looop, "kill", "more"], load.env)
    load.bench.timed(argv, load.env)


GOALS = "every goal is read: they are what is hashed"
SENSORS = "every sensor's reading is looked at"

ROWS = (
    Row("version"),
    Row("help", "read"),
    Row("status", gate=5),
    Row("status --json"),
    Row("ls", gate=5, ratio=1.8),
    Row("ls -a --json"),
    Row("asks", gate=5),
    Row("claims"),
    Row("goals", "listed", why="one line for each goal"),
    Row("goal show {goal}"),
    Row("history"),
    Row("gate true"),
    Row("cost today", gate=4),
    Row("cost week --by runner", "listed", why="the rows and the events of a week are added up"),
    Row("cost month --by day", "listed", why="those of a month are"),
    Row("cost all", "whole", rss=20, why="every row is added up, every event looked at"),
    Row("cost all --rows", "whole", rss=20, why="every row is printed"),
    Row("why"),
    Row("why now", "listed", why=GOALS),
    Row("replay last"),
    Row("sensor list", "listed", why=SENSORS),
    Row("sensor show {sensor}"),
    Row("sensor test {sensor}"),
    Row("doctor", "listed", codes=(0, 1), why="sensors are examined one by one"),
    Row("config path"),
    Row("config show"),
    Row("config check"),
    Row("config bash"),
    Row("service print cron"),
    Row("service status"),
    Row("_complete run x"),
    Row("_complete log x"),
    Row("_complete attach x"),
    Row("_complete reject x"),
    Row("_complete sensor show x"),
    Row("_complete why x"),
    Row("shot {s}"),
    Row("shot ended"),
    Row("log {s} --tail 20"),
    Row("log ended --tail 20"),
    Row("log ended --grep the-end", "whole", why="every line is looked at"),
    Row("render - --size 80x24", stdin="PLAYBOOK.md"),
    Row("_fmt", stdin="PLAYBOOK.md"),
    Row("expect {s} ready --since 0"),
    Row("wait ended"),
    Row("wait-idle {s} --settle 10ms"),
    Row("watch ended", "whole", why="a session that has ended is printed whole"),
    Row("tick --dry-run", "listed", why=GOALS + ", every sensor runs"),
    Row("prune --dry-run", "read"),
    Row("prune", "change", before=ended),
    Row("send -n {s} hello", "change"),
    Row("key {s} Enter", "change"),
    Row("resize {s} 100x30", "change"),
    Row("detach {s}", "change"),
    Row("restart {s}", "change"),
    Row("flag {s} look here", "change"),
    Row("unflag {s}", "change"),
    Row("claim work", "change", before=unclaimed, session="s"),
    Row("unclaim work", "change", before=claimed, session="s"),
    Row("ask which-branch --timeout 10ms", "change", codes=(124,), session="s"),
    Row("answer {n} main", "change", before=lambda load: load.ask("ask")),
    Row("reject {n} no", "change", before=lambda load: load.ask("proposal")),
    Row("approve {n} {digest}", "listed", before=lambda load: load.ask("proposal"), why=GOALS),
    Row("pause 1h load", "change"),
    Row("resume", "change"),
    Row("cost add session {s} claude 0.01", "change"),
    Row("_cost session {s} claude unknown", "change"),
    Row("sensor add disk / 99 --name more", "change", before=unsensed),
    Row("start-session more --command true", "change"),
    Row("kill more", "change", before=more),
    Row("tick", "listed", before=quiet, why="every sensor runs"),
    Row("run {goal}", "listed", why=GOALS + ", every sensor runs"),
    Row("init load", "change"),
)


# Verbs that have no row, and where they are shown instead.
ELSEWHERE = {
    "attach": "below: a viewer of session 57",
    "up": "below: the pulse",
    "down": "below: the pulse",
    "_pulse": "below: it is what `up` runs",
    "_hook": "it reads an event of one session",
    "setup": "it asks a person, and reads no history",
    "service install": "it changes the machine; `service print` is the same without that",
    "service uninstall": "it changes the machine",
    "goal add": "it writes one file",
    "goal edit": "it opens an editor",
    "goal done": "it moves one file",
    "goal keep": "it writes one file",
    "sensor edit": "it opens an editor",
    "sensor remove": "it removes one file",
    "sensor trust": "it writes one file",
    "config zsh": "as `config bash`",
    "config fish": "as `config bash`",
    "check": "it looks at what `status` does",
    "_far": "it answers about its sessions, or calls a verb",
    "lease": "it asks a git remote",
    "report": "a page about a week, which shows every decision of it",
    "channel add": "it writes two files, or a line about each script of the folder channels/",
    "channel trust": "it runs one script",
    "shadow": "it asks a runner about so many runs",
    "test": "it reads cases, and no history",
    "test add": "it reads one run",
    "top": "a screen of what `status`, `asks`, `ls` and `history` print",
    "undo": "it reads the newest runs, up to the one that it takes back",
}


class Told(NamedTuple):
    """Be what a row came to."""

    row: Row
    floor: float
    small: Taken  # medians
    loaded: Taken
    files: tuple[int, int] | None  # opened, small and loaded
    histories: tuple[str, ...]  # whole histories that it read, as far as the bytes tell
    few: bool  # with 20 sessions

    @property
    def verdict(self) -> str:
        """Say what is to be thought of it."""
        pairs = (
            (self.row.gate if self.few else None, self.loaded.secs / self.floor),
            (None if self.few else self.row.ratio, self.loaded.secs / self.small.secs),
            (self.row.rss, self.loaded.rss / 1e6),
        )
        if any(gate and found > gate for gate, found in pairs):
            return "short"
        if self.histories and self.row.kind != "whole":
            return "reads " + ", ".join(self.histories)
        return self.row.kind if self.row.kind in ("listed", "whole") else "ok"


def words_of(load: Load, row: Row) -> list[str]:
    """Return the command line of a row on a profile."""
    names = {"{s}": load.session, "{n}": str(load.asks), "{sensor}": "s001", "{goal}": "g0001"}
    if "{digest}" in row.words:
        asks = subprocess.run([load.bench.looop, "asks", "--json"], env=load.env, stdout=subprocess.PIPE, check=True)
        names["{digest}"] = next(ask["digest"] for ask in json.loads(asks.stdout) if ask["n"] == load.asks)
    return [load.bench.looop, *(names.get(word, word) for word in row.words.split())]


def taken_by(meter: Meter, load: Load, row: Row) -> Taken:
    """Run a row once on a profile."""
    if row.before:
        row.before(load)
    env = {**load.env, "LOOOP_SESSION_ID": load.session} if row.session else load.env
    return meter.take(words_of(load, row), env, row.codes, f"{load.data}/{row.stdin}" if row.stdin else "")


def median_of(all_taken: list[Taken]) -> Taken:
    """Return the median of each figure (pure)."""
    reads = [taken.read for taken in all_taken if taken.read is not None]
    return Taken(
        statistics.median(taken.secs for taken in all_taken),
        int(statistics.median(taken.rss for taken in all_taken)),
        int(statistics.median(reads)) if reads else None,
        all_taken[0].code,
    )


def measure(meter: Meter, small: Load, loaded: Load, row: Row, rounds: int, few_sessions: bool = False) -> Told:
    """Measure a row: floor, small and loaded in turn, after one round that does not count."""
    floors: list[float] = []
    both: tuple[list[Taken], list[Taken]] = ([], [])
    for count in range(rounds + 1):
        floor = meter.take(FLOOR, loaded.env).secs
        pair = [taken_by(meter, load, row) for load in (small, loaded)]
        if count:
            floors.append(floor)
            for found, taken in zip(both, pair):
                found.append(taken)
    few, much = map(median_of, both)
    files = None
    if row.kind in ("read", "listed") and not row.before:
        found = [opened(words_of(load, row), load.env, load.home) for load in (small, loaded)]
        if found[0] is not None and found[1] is not None:
            files = len(found[0]), len(found[1])
    sizes = {name: loaded.size(name) for name in ("journal.md", "events.jsonl", "cost.jsonl")}
    extra = (much.read or 0) - (few.read or 0)
    whole = tuple(name for name, size in sizes.items() if size > 1 << 20 and extra >= size * 0.9)
    return Told(row, statistics.median(floors), few, much, files, whole, few_sessions)


# ----------------------------------------------------------------------------------------------------------------------
# Beats, the pulse, one session of many
# ----------------------------------------------------------------------------------------------------------------------


class Fact(NamedTuple):
    """Be one thing that was found out besides: what, how much, and what is asked of it."""

    what: str
    found: str
    gate: str = ""
    verdict: str = "-"


def fact(what: str, value: float, form: str, gate: float | None = None) -> Fact:
    """Hold a figure against the most that it may be."""
    if gate is None:
        return Fact(what, form.format(value))
    return Fact(what, form.format(value), f"≤ {gate:g}", "ok" if value <= gate else "short")


def must(true: bool, what: str) -> Fact:
    """Note something that has to be so."""
    return Fact(what, "yes" if true else "no", "yes", "ok" if true else "short")


def goals(bench: Bench) -> Iterator[Fact]:
    """Compare unchanged beats on many goals and on few, without anything else."""
    yield fact("an unchanged tick, 1000 goals of 4 KB / 10", bench_run.many_goals(bench).ratio, "{:.2f}", 10)


def beats(meter: Meter, loaded: Load, rounds: int) -> Iterator[Fact]:
    """Look at a beat of the loaded profile that finds nothing new, and at one that acts."""
    quiet(loaded)
    since = loaded.size("events.jsonl")
    floors, unchanged = [], []
    for _ in range(rounds):
        floors.append(meter.take(FLOOR, loaded.env).secs)
        unchanged.append(meter.take([loaded.bench.looop, "tick"], loaded.env).secs)
    names = [event["event"] for event in loaded.events(since)]
    quiet_ones = names.count("world_unchanged") == rounds and "decide_start" not in names
    yield must(quiet_ones, "an unchanged beat asks no LLM")
    yield fact("an unchanged beat / floor", statistics.median(unchanged) / statistics.median(floors), "{:.1f}")
    rows, lines = loaded.size("cost.jsonl"), loaded.size("journal.md")
    since = loaded.size("events.jsonl")
    loaded.edit()
    taken = meter.take([loaded.bench.looop, "tick"], loaded.env)
    decided = [event for event in loaded.events(since) if event["event"] == "decided"]
    with open(f"{loaded.data}/cost.jsonl", "rb") as ledger, open(f"{loaded.data}/journal.md", "rb") as journal:
        ledger.seek(rows)
        journal.seek(lines)
        more = [ledger.read().count(b"\n"), journal.read().count(b"\n")]
    yield must(len(decided) == 1 and decided[0]["outcome"] == "acted", "an edited goal: one move")
    yield must(more == [1, 1], "one row in the ledger, one line in the journal")
    run = f"{loaded.data}/runs/{decided[0]['run']}"
    yield fact("its prompt, KiB", os.path.getsize(f"{run}/prompt.md") / 1024, "{:.0f}", 256)
    yield fact("its capsule, KiB", sum(os.path.getsize(f"{run}/{name}") for name in os.listdir(run)) / 1024, "{:.0f}")
    yield fact("the beat, s", taken.secs, "{:.2f}")
    yield fact("its peak memory, MB", taken.rss / 1e6, "{:.0f}")
    yield fact("bytes that it and its children read, MB", (taken.read or 0) / 1e6, "{:.0f}")


def journals(meter: Meter, loaded: Load, rounds: int) -> Iterator[Fact]:
    """Compare beats that act on the long journal with beats of the same profile on a short one."""
    times: dict[str, list[Taken]] = {"long": [], "short": []}
    path = f"{loaded.data}/journal.md"
    write(f"{path}.short", "- 2026-01-02 15:04 began\n")
    os.rename(path, f"{path}.long")
    for count in range(rounds + 1):
        for name, found in times.items():
            os.rename(f"{path}.{name}", path)
            loaded.edit()
            taken = meter.take([loaded.bench.looop, "tick"], loaded.env)
            os.rename(path, f"{path}.{name}")
            if count:
                found.append(taken)
    os.rename(f"{path}.long", path)
    os.unlink(f"{path}.short")
    long, short = median_of(times["long"]), median_of(times["short"])
    yield fact("a beat that acts, long journal / short", long.secs / short.secs, "{:.2f}", 1.2)
    if long.read is not None and short.read is not None:
        yield fact("bytes that it reads more, KiB", (long.read - short.read) / 1024, "{:.0f}", 1024)


def pulse(loaded: Load, secs: float) -> Iterator[Fact]:
    """Have a pulse beat for a while on the loaded profile."""
    env = {**loaded.env, "LOOOP_INTERVAL": "1s", "LOOOP_ACTIVE_INTERVAL": "1s"}
    quiet(loaded)
    since = loaded.size("events.jsonl")
    loaded.bench.timed([loaded.bench.looop, "up"], env)
    try:
        out = subprocess.run([loaded.bench.looop, "status", "--json"], env=env, capture_output=True, check=True).stdout
        pid = int(json.loads(out)["pulse"]["pid"])

        def beaten() -> int:
            return sum(event["event"] == "world_unchanged" for event in loaded.events(since))

        deadline = time.monotonic() + 120.0
        while beaten() < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        before, count, cpu = held_by(pid), beaten(), bench_run.cpu_of(pid)
        time.sleep(secs)
        after, more, used = held_by(pid), beaten() - count, bench_run.cpu_of(pid) - cpu
        names = {event["event"] for event in loaded.events(since)}
        yield Fact(f"beats of the pulse in {secs:.0f} s, one a second asked for", str(more))
        yield must("decide_start" not in names and "beat_error" not in names, "none of them asked an LLM, none failed")
        yield fact("CPU of the pulse alone, % of one", 100 * used / secs, "{:.0f}")
        yield fact("its memory before, MB", before[0], "{:.1f}")
        yield fact("what it has grown by, MB", after[0] - before[0], "{:.1f}", 2)
        yield fact("its descriptors before", before[1], "{:.0f}")
        yield fact("descriptors more", after[1] - before[1], "{:.0f}", 0)
    finally:
        loaded.bench.timed([loaded.bench.looop, "down"], env)


def held_by(pid: int) -> tuple[float, int]:
    """Return the MB and the descriptors that a process holds, after what it does for moments has passed (Linux)."""
    found = [(memory_of([pid]), len(os.listdir(f"/proc/{pid}/fd"))) for _ in range(5) if not time.sleep(0.3)]
    return min(megabytes for megabytes, _ in found), min(count for _, count in found)


def one_of_many(loaded: Load) -> Iterator[Fact]:
    """Attach to one session of all, type into it, look at its screen."""
    session = loaded.session
    begun = time.perf_counter()
    with contextlib.closing(Terminal([loaded.bench.looop, "attach", session], loaded.env)) as terminal:
        yield fact("attach until it is painted, ms", (terminal.until(b"ready") - begun) * 1e3, "{:.0f}")
        # its worker does not echo what is typed, as at a password prompt
        loaded.bench.timed([loaded.bench.looop, "send", "-n", session, "typed-into-one"], loaded.env)
        loaded.bench.timed([loaded.bench.looop, "key", session, "Enter"], loaded.env)
        terminal.until(b"typed-into-one")
    out = subprocess.run([loaded.bench.looop, "shot", session], env=loaded.env, capture_output=True, check=True).stdout
    yield must(b"typed-into-one" in out, f"{session}: what `send` typed is seen by its viewer and by `shot`")
    others = [name for name in os.listdir(f"{loaded.data}/sessions") if name.startswith("s") and name != session]
    logs = [f"{loaded.data}/sessions/{name}/output.log" for name in others]
    yield must(not any("typed-into-one" in read(log) for log in logs), f"and by none of the {len(others)} others")


# ----------------------------------------------------------------------------------------------------------------------
# The tables
# ----------------------------------------------------------------------------------------------------------------------

HEADS = ["verb", "floor", "small", "loaded", "/ small", "/ floor", "RSS", "read, small", "loaded", "files", ""]


def cells(told: Told) -> list[str]:
    """Write a row for a person (pure)."""
    small, loaded = told.small, told.loaded

    def bound(gate: float | None) -> str:
        return f" (≤ {gate:g})" if gate else ""

    def size(value: int | None) -> str:
        return "" if value is None else f"{value / 1e6:.2f} MB"

    return [
        f"`{told.row.words}`" + (f", {FEW} sessions" if told.few else ""),
        f"{told.floor * 1e3:.0f} ms",
        f"{small.secs * 1e3:.0f} ms",
        f"{loaded.secs * 1e3:.0f} ms",
        f"{loaded.secs / small.secs:.2f}" + bound(None if told.few else told.row.ratio),
        f"{loaded.secs / told.floor:.1f}" + bound(told.row.gate if told.few else None),
        f"{loaded.rss / 1e6:.1f} MB" + bound(told.row.rss),
        size(small.read),
        size(loaded.read),
        f"{told.files[0]}, {told.files[1]}" if told.files else "",
        told.verdict + (f": {told.row.why}" if told.row.why else ""),
    ]


def line_of(texts: list[str]) -> str:
    """Lay a row out as Markdown does (pure)."""
    return "| " + " | ".join(texts) + " |"


def as_json(told: Told) -> dict[str, Any]:
    """Write a row for a program (pure)."""
    figures = {
        "few_sessions": told.few,
        "floor_s": told.floor,
        "small": told.small._asdict(),
        "loaded": told.loaded._asdict(),
    }
    return {"verb": told.row.words, "kind": told.row.kind, **figures, "files": told.files, "verdict": told.verdict}


def require_room(scale: int) -> None:
    """End the bench where the disk has no room for the load."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    need = ROOM // scale + (64 << 20)
    if free < need:
        where = tempfile.gettempdir()
        raise SystemExit(f"bench: {where}: {need >> 20} MB are needed, {free >> 20} are free: set TMPDIR")


def main() -> int:
    """Make both profiles, measure, print the tables."""
    parser = argparse.ArgumentParser(description="Measure looop under load.")
    parser.add_argument("--scale", type=int, default=1, metavar="N", help="make everything so many times smaller")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds per verb (default 5)")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="of the pulse (default 60)")
    parser.add_argument("--only", action="append", default=[], metavar="VERB", help="this verb (repeatable); no beats")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    scale, rounds = max(1, args.scale), max(1, args.rounds)
    rows = [row for row in ROWS if not args.only or row.verb in args.only or row.words in args.only]
    if not rows:
        raise SystemExit(f"bench: no such verb: one of {', '.join(sorted({row.verb for row in ROWS}))}")
    require_room(scale)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, bench_run.raise_exit)
    folder = tempfile.mkdtemp(prefix="looop-load-")
    told: list[Told] = []
    facts: list[Fact] = []

    def show(text: str) -> None:
        if not args.json:
            print(text, flush=True)

    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(folder, rounds, big=True)
            meter = stack.enter_context(contextlib.closing(Meter(folder)))
            sizes = scaled(scale)
            show(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {rounds} rounds, {sizes}")
            small = Load(bench, "small", SMALL)
            stack.callback(small.close)
            small.grow(SMALL.sessions)
            loaded = Load(bench, "loaded", sizes)
            stack.callback(loaded.close)
            show(line_of(HEADS) + "\n" + line_of(["---"] * len(HEADS)))
            for few in (True, False):
                loaded.grow(min(FEW, sizes.sessions) if few else sizes.sessions)
                quiet(small)
                quiet(loaded)
                for row in rows:
                    if row.gate or not few:
                        told.append(measure(meter, small, loaded, row, rounds, few))
                        show(line_of(cells(told[-1])))
            if not args.only:
                show("\n" + line_of(["besides", "", "gate", ""]) + "\n" + line_of(["---"] * 4))
                for found in (
                    goals(bench),
                    beats(meter, loaded, rounds),
                    journals(meter, loaded, rounds),
                    one_of_many(loaded),
                    pulse(loaded, args.seconds) if os.path.exists("/proc/self/smaps_rollup") else iter(()),
                ):
                    for each in found:
                        facts.append(each)
                        show(line_of(list(each)))
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        about = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": rounds}
        both = {"rows": list(map(as_json, told)), "facts": [each._asdict() for each in facts]}
        print(json.dumps({**about, "sizes": sizes._asdict(), **both}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
