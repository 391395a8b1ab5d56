"""Under load: what a verb reads does not grow with history, and what looop writes has a cap, or a verb that removes it.

bench/load.py measures the same on the whole load. Here bytes, files and counts are held, never a time. LOOOP_LONG=1 has
every verb of the bench, a load ten times as large, 10,000 beats of a pulse and 100 MB through one session.
"""

import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
import unittest
from unittest import mock

import looop
from tests.support import ARCHIVE, COMMANDS, LONG, PATIENCE, ROOT, START, Case, heavy, wait_until, which

with mock.patch.object(sys, "path", [os.path.join(ROOT, "bench"), *sys.path]):
    load = importlib.import_module("load")

LINUX = unittest.skipUnless(os.path.exists("/proc/self/io"), "the system does not tell what a process has read")

SIZES = load.scaled(10) if LONG else load.Sizes(50, 6, 5, 20_000, 12 << 20, 12 << 20, 60)
BRIEF = (  # the verbs that are tried without LOOOP_LONG: those that look at what a history is about
    "status",
    "asks",
    "ls",
    "claims",
    "cost today",
    "why",
    "why now",
    "replay last",
    "run {goal}",
    "_complete why x",
    "log {s} --tail 20",
    "approve {n} {digest}",
)
MORE = 1 << 20  # bytes that a verb may read on the load more than on little: the rows of a day, the goals


class Here(load.Bench):
    """Be a bench whose looop is the one that is tested."""

    def __init__(self, folder):
        self.folder, self.rounds, self.big, self.looop = folder, 1, False, ARCHIVE
        if not ARCHIVE:
            self.looop = os.path.join(folder, "looop")
            code = START.format(ROOT, self.looop).replace("; ", "\n")
            load.write(self.looop, f"#!{sys.executable} -SI\n{code}\n", 0o700)


@LINUX
@heavy
class UnderLoad(unittest.TestCase):
    """One profile that holds much, one that holds little."""

    long = True

    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.realpath(tempfile.mkdtemp(prefix="looop-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        path = os.path.join(cls.folder, "bin")
        os.mkdir(path)
        for command in [*COMMANDS, "git", "df"]:
            if which(command):
                os.symlink(which(command), os.path.join(path, command))
        os.symlink(sys.executable, os.path.join(path, "python3"))
        env = mock.patch.dict(os.environ, PATH=path)
        env.start()
        cls.addClassCleanup(env.stop)
        bench = Here(cls.folder)
        cls.meter = load.Meter(cls.folder)
        cls.addClassCleanup(cls.meter.process.stdout.close)
        cls.addClassCleanup(cls.meter.process.stdin.close)
        cls.addClassCleanup(cls.meter.close)
        cls.loads = []
        for name, sizes in (("small", load.SMALL), ("loaded", SIZES)):
            made = load.Load(bench, name, sizes)
            cls.loads.append(made)
            cls.addClassCleanup(made.close)
            made.grow(sizes.sessions)
        cls.small, cls.loaded = cls.loads

    def test_no_verb_reads_a_whole_history(self):
        tried = 0
        for row in load.ROWS:
            if row.kind == "whole" or (not LONG and row.words not in BRIEF):
                continue
            tried += 1
            with self.subTest(row.words):
                few, much = (load.taken_by(self.meter, each, row) for each in self.loads)
                listed = SIZES.goals * 8192 if "goal" in row.why else 0
                listed += SIZES.sensors * 65536 if "sensor" in row.why else 0  # bash, and what it loads
                listed += 2 * MORE if row.words == "cost today" else 0  # from the day before on
                if row.words.split()[:2] not in (["cost", "week"], ["cost", "month"]):
                    self.assertLess(much.read - few.read, MORE + listed, "bytes")
        self.assertGreaterEqual(tried, 50 if LONG else len(BRIEF))
        kept = {name: self.loaded.size(name) for name in ("journal.md", "events.jsonl", "cost.jsonl")}
        self.assertGreater(min(kept.values()), 4 * MORE, "there was something to be read")

    def test_beats_and_one_session_of_many(self):
        steady = "an unchanged beat / floor", "the beat, s", "attach until it is painted, ms", "long journal / short"
        facts = []
        for found in (load.beats, load.journals):
            facts += found(self.meter, self.loaded, 1)
        facts += load.one_of_many(self.loaded)
        held = [fact for fact in facts if fact.gate and not fact.what.endswith(steady)]
        self.assertEqual([fact for fact in held if fact.verdict != "ok"], [])
        self.assertGreaterEqual(len(held), 7)

    @unittest.skipUnless(LONG, "LOOOP_LONG=1 runs it")
    def test_a_pulse(self):
        facts = list(load.pulse(self.loaded, 60.0))
        self.assertEqual([fact for fact in facts if fact.verdict == "short"], [])
        self.assertGreaterEqual(int(facts[0].found), 3)


class Table(unittest.TestCase):
    def test_every_verb_has_its_place(self):
        known = {row.verb for row in load.ROWS} | set(load.ELSEWHERE)
        verbs = {verb.name for verb in looop.all_verbs()}
        self.assertGreater(len(verbs), 50)
        self.assertEqual(verbs - known, set())
        self.assertEqual(known - verbs - {"help"}, set())
        for row in load.ROWS:
            self.assertIn(row.kind, ("read", "change", "listed", "whole"))
            self.assertEqual(bool(row.why), row.kind in ("listed", "whole"), row.words)

    @LINUX
    def test_what_a_process_took(self):
        with tempfile.TemporaryDirectory(prefix="looop-test-") as folder:
            meter = load.Meter(folder)
            self.addCleanup(meter.close)
            path = os.path.join(folder, "file")
            load.write(path, "x" * 3_000_000)
            self.addCleanup(meter.process.stdin.close)
            self.addCleanup(meter.process.stdout.close)
            least, taken = (
                meter.take([sys.executable, "-SI", "-c", f"open({name!r}, 'rb').read()"], dict(os.environ))
                for name in (os.devnull, path)
            )
            self.assertEqual((taken.code, taken.read - least.read), (0, 3_000_000))
            self.assertGreater(taken.rss, 3_000_000)
            child = meter.take([which("bash"), "-c", 'cat "$1" >/dev/null; true', "-", path], dict(os.environ))
            self.assertGreater(child.read, 3_000_000)


class Histories(Case):
    """What is read of a file that only grows."""

    def setUp(self):
        super().setUp()
        self.profile()
        self.opened = looop.open_profile(self.env, "looop")

    def test_lines_from_the_end_are_those_of_the_file(self):
        rng, path = random.Random(7), self.path("file")
        for _ in range(300):
            data = bytes(rng.choice(b"\n\nabc") for _ in range(rng.randrange(60)))
            with open(path, "wb") as file:
                file.write(data)
            lines = [line for line in data.split(b"\n")[::-1] if line]
            self.assertEqual(list(looop.lines_backwards(path, rng.randrange(1, 9))), lines, data)

    def test_a_line_without_an_end_takes_no_more_memory_than_it_may(self):
        path, long = self.path("journal.md"), 48 * looop.MIB
        with open(path, "wb") as file:
            file.write(b"- first\n")
            for _ in range(long // looop.MIB):
                file.write(b"x" * looop.MIB)
            file.write(b"\n- last\n")
        tracemalloc.start()
        try:
            lines = looop.tail_lines(path, 3)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertEqual((lines[0], lines[2]), ("- first", "- last"))
        self.assertEqual(set(lines[1]), {"x"})
        self.assertLess(peak, long // 2)

    def ledger_of_a_week(self, runner):
        """Write a row each minute for six days, of another runner, but for two of this one at their beginning."""
        now = time.time()
        mark = looop.command_mark(runner)
        with open(self.path("cost.jsonl"), "w") as file:
            for minute in range(6 * 1440, 0, -1):
                ours = minute > 6 * 1440 - 2
                row = {"ts": looop.utc_text(now - 60 * minute), "kind": "tick", "id": "tick"}
                row.update(runner="pi" if ours else "claude", cmd=mark if ours else "0123abcd")
                file.write(looop.compact({**row, "cost_usd": None if ours else 0.001}) + "\n")
        return now

    def test_rows_of_other_runners_are_not_parsed_to_price_a_decide(self):
        for unmetered, found, most in ((False, 2, 1440 + 2), (True, 0, 1440)):
            runner = looop.Runner("pi", "typed", "pi -p", unmetered=unmetered)
            now = self.ledger_of_a_week(runner)
            with mock.patch.object(looop, "parse_json", side_effect=looop.parse_json) as parse:
                spend, decides = looop.spend_for(self.opened, runner, now)
            self.assertEqual((spend.unknown_in_a_row, len(decides)), (found, 59))
            self.assertGreater(spend.today, 0)
            self.assertLess(parse.call_count, most + looop.OLD_ROWS_ENOUGH + 10)

    def test_a_tab_opens_the_newest_capsules_alone(self):
        load.write_capsules(self.path("runs"), 200)
        self.drifting = True
        with mock.patch.object(looop.Run, "read", autospec=True, side_effect=looop.Run.read) as opened:
            found = list(looop.run_candidates(self.opened))
        self.assertEqual([name for name, _ in found], self.runs()[::-1])
        self.assertEqual(opened.call_count, looop.RUNS_TOLD)
        self.assertIn("pull request 199", found[0][1])
        self.assertEqual(found[-1][1], "")

    def test_beats_are_counted_without_a_list_of_them(self):
        load.write_events(self.path("events.jsonl"), 6 << 20)
        lines = [line for line in self.read("events.jsonl").split("\n") if "world_unchanged" in line]
        self.assertGreater(len(lines), 15_000)
        for since in (0.0, looop.parse_utc(lines[len(lines) // 2][7:27]), time.time() - 86400 * 2, time.time() + 60):
            wanted = looop.utc_text(since)
            tracemalloc.start()
            try:
                found = looop.skipped_beats(self.opened, since)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            self.assertEqual(found, sum(line[7:27] >= wanted for line in lines))
            self.assertLess(peak, looop.MIB)


@heavy
class Caps(Case):
    """Whatever looop writes, gone over its cap."""

    def opened(self):
        return looop.open_profile(self.env, "looop")

    def test_a_capsule_holds_no_more_of_the_world_than_the_prompt_shows(self):
        goals = {f"g{n:03}": f"goal {n}\n" + "what is wanted\n" * 270 for n in range(150)}
        sensor = 'printf \'{"signal":1,"detail":"%s"}\' "$(head -c 7000 /dev/zero | tr \'\\0\' d)"'
        self.profile(goals=goals, sensors={f"s{n:02}": sensor for n in range(20)})
        self.replies({"move": "noop"})
        for words in (("tick",), ("run", "g149")):
            self.tick(words=words)
        self.assertGreater(sum(map(len, goals.values())), 600_000)
        for run in self.runs():
            self.assertLess(os.path.getsize(self.path("runs", run, "wake.json")), 200_000)
            prompt = self.prompt(run)
            self.assertLess(len(prompt), looop.PROMPT_MAX)
            for section, size in (("GOALS", 560_000), ("SENSOR READINGS", 90_000)):
                body = prompt.partition(f"\n# {section}\n")[2].partition("\n# ")[0]
                self.assertGreater(int(body.rpartition("[… ")[2].split()[0]), size)
                self.assertGreater(len(body), 40_000)
        self.assertTrue("\n# GOALS\n| - g149\n|   | goal 149\n" in self.prompt(), "the one that is forced comes first")

    def test_a_capsule_that_stays_keeps_no_other_from_going(self):
        self.profile()
        self.replies({"move": "noop"})
        self.env["LOOOP_RUNS_KEEP"] = "3"
        for count in range(6):
            self.write("goals/g.md", f"{count}\n")
            self.tick()
            if count == 0:
                os.mkdir(self.path("runs", self.runs()[0], "made-by-a-move"))
                self.drifting = True
        self.assertEqual(len(self.runs()), 3)

    def test_a_file_of_output_ends_at_its_cap(self):
        self.profile()
        cap = 100_000
        for command, code in (("yes", None), ("trap '' TERM; yes", None), ("yes | head -c 3000000; exit 0", 0)):
            path = self.path("out")
            looop.remove_file(path)
            job = looop.Job(
                "job", [which("bash"), "-c", command], self.env, PATIENCE, stdout=path, stderr=path, cap=cap
            )
            ended = looop.run_job(job)
            self.assertEqual((ended.why, os.path.getsize(path)), ("overflow", cap), command)
            if code is not None:
                self.assertEqual(ended.code, code)

    def test_events(self):
        self.profile()
        self.env["LOOOP_EVENTS_MAX_BYTES"] = "3000"
        profile = self.opened()
        for number in range(200):
            looop.emit(profile, "tick_start", pid=number)
            self.assertLessEqual(os.path.getsize(self.path("events.jsonl")), 3000)
        names = [name for name in os.listdir(self.data) if name.startswith("events")]
        self.assertEqual(sorted(names), ["events.jsonl", "events.jsonl.1"])
        self.assertLessEqual(os.path.getsize(self.path("events.jsonl.1")), 3000)

    def test_readings(self):
        self.profile(sensors={f"s{n}": "head -c 1000000 /dev/zero | tr '\\0' x" for n in range(3)})
        self.looop("tick", env={"LOOOP_RUNNER": "builtin"})
        sizes = [os.path.getsize(self.path("snapshots", f"sensor-s{n}.json")) for n in range(3)]
        self.assertLess(max(sizes), 8192)
        for n in range(2):
            os.unlink(self.path("sensors", f"s{n}.sh"))
        self.looop("tick", env={"LOOOP_RUNNER": "builtin"})
        self.assertEqual(sorted(os.listdir(self.path("snapshots"))), ["index", "sensor-s2.json"])

    def test_playbooks(self):
        self.profile()
        profile = self.opened()
        for number in range(25):
            looop.replace_playbook(profile, b"%d\n" % number, f"20260102-0304{number:02}-abcd")
        kept = sorted(os.listdir(self.path("playbook.d")))
        self.assertEqual((len(kept), self.read("playbook.d", kept[-1])), (20, "23\n"))

    def test_asks_that_were_read(self):
        self.profile()
        profile = self.opened()
        os.makedirs(self.path("asks", "archive"), mode=0o700)
        for number in range(1, looop.ASKS_KEPT + 1):
            self.write(f"asks/archive/{number}.json", "{}")
            self.write(f"asks/archive/{number}.answer.json", "{}")
        for _ in range(3):
            number = looop.new_ask(profile, "ask", question="which?")
            self.assertTrue(looop.give_answer(profile, number, "answered", "this"))
            looop.archive_asks(profile, [[number, "this"]])
        kept = looop.ask_numbers(profile, "asks/archive")
        self.assertEqual(kept, list(range(4, looop.ASKS_KEPT + 4)))
        self.assertEqual(len(os.listdir(self.path("asks", "archive"))), 2 * looop.ASKS_KEPT)
        self.assertEqual(looop.new_ask(profile, "ask", question="and now?"), looop.ASKS_KEPT + 4)

    def test_sessions_and_what_they_were_told(self):
        self.profile()
        os.makedirs(self.path("reports"), mode=0o700)
        self.write("reports/gone.md", "what it has found out\n")
        for name in ("gone", "here"):
            command = "exit 0" if name == "gone" else "exec sleep 100"
            self.looop("start-session", name, "do this", "--command", command)
        self.looop("wait", "gone")
        self.assertEqual(sorted(os.listdir(self.path("prompts"))), ["gone.md", "here.md"])
        self.looop("prune")
        self.assertEqual(os.listdir(self.path("prompts")), ["here.md"])
        self.assertEqual([name for name in os.listdir(self.path("sessions")) if name[0] != "."], ["here"])
        self.assertEqual(os.listdir(self.path("reports")), ["gone.md"], "what a person reads is theirs")

    def test_the_log_of_a_session(self):
        self.profile()
        cap = 64 * 1024
        env = {"LOOOP_LOG_MAX_BYTES": str(cap)}
        self.looop("start-session", "loud", "--command", "yes some text | head -c 1500000; echo the-end", env=env)
        self.looop("wait", "loud")
        folder = self.path("sessions", "loud")
        logs = [name for name in os.listdir(folder) if name.startswith("output")]
        self.assertLessEqual(len(logs), 2)
        self.assertLessEqual(sum(os.path.getsize(os.path.join(folder, name)) for name in logs), cap)
        self.assertEqual(self.looop("log", "loud", "--tail", "1"), "the-end\n")

    def test_what_launchd_appends(self):
        self.profile()
        self.env["LOOOP_RUNNER"] = "builtin"
        for size, kept in ((looop.SERVICE_LOG_MAX, "service.log"), (looop.SERVICE_LOG_MAX + 1, "service.log.1")):
            with open(self.path("service.log"), "wb") as file:
                file.truncate(size)
            self.looop("tick")
            self.assertEqual(os.path.getsize(self.path(kept)), size)
        self.assertFalse(os.path.exists(self.path("service.log")))

    def test_what_was_told_is_forgotten_when_it_is_over(self):
        self.profile()
        self.env["LOOOP_RUNNER"] = "builtin"
        self.looop("start-session", "worker", "--command", "exec sleep 100")
        for number in range(3):
            self.looop("flag", "worker", f"look {number}")
            self.looop("tick")
            self.assertEqual(len(self.json(".surfaced")), 1)
            self.looop("unflag", "worker")
        self.looop("tick")
        self.assertEqual(self.json(".surfaced"), {})

    def test_code_that_was_compiled_for_versions_that_are_gone(self):
        import build_zipapp

        cache = os.path.join(self.home, "cache")
        with mock.patch.dict(os.environ, XDG_CACHE_HOME=cache):
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            for number in range(7):
                source = f"from __future__ import annotations\n\nNUMBER = {number}\n"
                build_zipapp.cached(source, "looop.py", f"version{number}")
                path = os.path.join(cache, "looop", f"code-version{number}.bin")
                os.utime(path, (number, number))
        kept = sorted(os.listdir(os.path.join(cache, "looop")))
        self.assertEqual(kept, [f"code-version{number}.bin" for number in range(3, 7)])


# Beats within one process, as a pulse makes them; what it holds after a tenth of them, and at the end.
BEATS = """\
import json, os, sys
sys.path.insert(0, sys.argv[1])
import looop
profile = looop.open_profile(os.environ, looop.__file__)
looop.preload()

def held():
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))

count, found = int(sys.argv[2]), []
for beat in range(count):
    outcome = looop.run_beat(profile, verb="pulse")
    assert outcome.outcome == "unchanged", outcome
    if beat in (count // 10, count - 1):
        found.append(held())
print(json.dumps(found))
"""


@LINUX
@heavy
class Lasting(Case):
    """What lives for long."""

    def test_a_pulse_keeps_nothing_of_its_beats(self):
        every = looop.gallery_script("every", {"every": "1w", "at": "00:00", "on": ""}).decode()
        self.profile(
            goals={f"g{n}": "wanted\n" for n in range(20)},
            sensors={"every": every.partition("\n")[2]},
        )
        self.env["LOOOP_RUNNER"] = "builtin"
        for _ in range(2):
            self.tick()
        self.config({"quiet": "09:00-21:00"})  # it is noon or later
        argv = [sys.executable, "-SI", "-c", BEATS, ROOT, "10000" if LONG else "300"]
        done = subprocess.run(argv, env=self.env, capture_output=True, timeout=600, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        (first, opened), (last, still) = json.loads(done.stdout)
        self.assertEqual(opened, still)
        self.assertLess(last - first, 1 << 20)

    def test_a_supervisor_keeps_nothing_of_what_went_through(self):
        self.profile()
        megabytes = 100 if LONG else 4
        line = "some plain text, as a build or a test run prints it, of a usual length"
        command = f"read line; yes '{line}' | head -c {megabytes}000000; echo; echo the-end; exec sleep 100"
        self.looop("start-session", "loud", "--command", command)
        pid = self.json("sessions", "loud", "meta.json")["pid"]

        def held():
            return load.memory_of([pid]), len(os.listdir(f"/proc/{pid}/fd"))

        self.looop("shot", "loud")  # it draws: all that it needs is loaded
        before, opened = held()
        self.looop("send", "loud", "go")
        self.looop("expect", "loud", "the-end", "--timeout", "120s", timeout=150)
        self.looop("shot", "loud")
        wait_until(lambda: held()[1] <= opened, "its descriptors to be those of before")
        self.assertLess(held()[0] - before, 12)  # MB: the scrollback, and half a megabyte that was not drawn


if __name__ == "__main__":
    unittest.main()
