"""`looop report` and `looop check`: the page's markup and figures, and what a monitoring system is told."""

import html.parser
import json
import os
import re
import shutil
import subprocess
import time
import unittest

import looop
from tests.simulated import simulate, stamp
from tests.support import PATIENCE, Case, heavy

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = (
    "</pre></title><script>document.title='x';alert(1)</script><img src=http://x/y onerror=alert(2)>\"'&amp;|"
    "\x1b[31m\u202e\u2066\ufdd0\U0001ffff]]>-->"
)
VOID = {"meta"}


class Page(html.parser.HTMLParser):
    """A page, read as strictly as HTML's grammar of it needs: every element closed, in order, ids unique."""

    def __init__(self, page):
        super().__init__()
        self.open, self.wrong, self.tags, self.ids, self.text = [], [], {}, set(), []
        self.links, self.attributes = set(), set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        names = [name for name, _ in attrs]
        self.attributes.update(names)
        self.wrong += [tag] if len(set(names)) < len(names) else []
        for name, value in attrs:
            if name == "id":
                self.wrong += [value] if value in self.ids else []
                self.ids.add(value)
            if name in ("href", "src", "xlink:href"):
                self.links.add(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)


class Reported(Case):
    drifting = True  # what is simulated cannot be replayed

    def profile_of(self, days, **options):
        """Make a profile with so many days of history, that ends now."""
        self.profile(goals={"ship-v2": "Version 2 is released"}, sensors={"disk": 'echo \'{"signal":"ok"}\''})
        self.beat()
        simulate(self.data, days, every=1800, **options)

    def page(self, *words):
        path = os.path.join(self.home, "report.html")
        self.looop("report", "-o", path, *words)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        page = Page(text)
        self.assertEqual((page.wrong, page.open), ([], []))
        self.assertEqual({link[:1] for link in page.links}, {"#"}, "it loads nothing")
        self.assertLessEqual({link[1:] for link in page.links}, page.ids)
        self.assertIsNone(re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef]", text))
        self.assertFalse({"script", "img", "iframe", "object", "link", "base", "form"} & set(page.tags))
        self.assertFalse([name for name in page.attributes if name.startswith("on")])
        return text, page

    def test_a_week(self):
        self.profile_of(8)
        text, page = self.page()
        told = " ".join(page.text)
        for words in ("it did", "it cost", "Waits for you", "Holes", "the machine slept", "529: overloaded", "p95"):
            self.assertIn(words, told)
        self.assertIn("default-src 'none'", text)
        self.assertGreaterEqual(page.tags["svg"], 4)
        rows = self.events()
        since = looop.local_midnight(time.time() - 7 * 86400)
        quiet = [row for row in rows if row["event"] == "world_unchanged" and looop.parse_utc(row["ts"]) >= since]
        self.assertIn(f"quiet</tspan>: {len(quiet)},", text)
        spent = sum(row["cost_usd"] for row in self.ledger() if looop.parse_utc(row["ts"]) >= since)
        self.assertIn(f"<b>${spent:.2f}</b>", text)
        decided = [row for row in rows if row["event"] == "decided" and looop.parse_utc(row["ts"]) >= since]
        self.assertEqual(
            text.count('<details class="move">') + text.count('<p class="move">'),
            len(decided) + sum(r["event"] == "tick_failed" and looop.parse_utc(r["ts"]) >= since for r in rows),
        )

    def test_answers_differ_in_shape(self):
        plot = looop.answers_plot(looop.Axis(0, 10, []), [(1, 5, "rejected"), (2, 0, "open"), (3, 9**9, "answered")])
        self.assertEqual(
            (plot.count(">×<"), plot.count('class="dot open"'), plot.count('class="dot answered"')), (1, 1, 1)
        )
        self.assertNotIn('cy="-', plot)

    def test_an_empty_profile_and_none(self):
        self.looop("report", code=1)
        self.assertIn("there is no profile yet", self.stderr)
        self.profile()
        _, page = self.page()
        self.assertIn("Nothing was decided.", page.text)

    def test_a_file(self):
        self.profile()
        self.assertIn("<title>looop report</title>", self.looop("report", "-o", "-"))
        path = os.path.join(self.home, "r.html")
        self.assertIn(f"wrote {path}", self.looop("report", "-o", path))
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.looop("report", "-o", os.path.join(self.home, "no", "r.html"), code=1)
        self.assertIn("name another place", self.stderr)

    def hostile(self):
        """Put markup, scripts, escapes and turned text into every field."""
        self.profile(goals={"g": HOSTILE}, sensors={"s": f"cat {self.home}/out"})
        with open(os.path.join(self.home, "out"), "w", encoding="utf-8") as file:
            file.write(json.dumps({"signal": HOSTILE, "detail": HOSTILE}))
        self.beat()
        now = stamp(time.time() - 60)
        run = self.runs()[-1]
        facts = {"because": HOSTILE, "move": HOSTILE, "goal": HOSTILE, "journal": f"- 2026-01-02 15:04 {HOSTILE}"}
        with open(self.path("events.jsonl"), "a", encoding="utf-8") as file:
            for event in (
                {"event": "tick_start", "pid": HOSTILE},
                {"event": "gap", "secs": 999, "why": HOSTILE},
                {"event": "pulse_stop", "why": HOSTILE},
                {"event": "sense_done", "took": {HOSTILE: 3, "s": 5}, "failed": [HOSTILE, "s"]},
                {"event": "sense_done", "took": HOSTILE},
                {"event": "sensor_flapping", "sensor": HOSTILE},
                {"event": "decided", "run": run, "outcome": "acted", "cost_usd": 0.1, **facts},
                {"event": "decided", "run": HOSTILE, "outcome": HOSTILE, **facts},
                {"event": "tick_failed", "run": run, "reason": HOSTILE, "cost_usd": HOSTILE, **facts},
                {"event": HOSTILE},
            ):
                file.write(json.dumps({"ts": now, **event}, separators=(",", ":")) + "\n")
            file.write(f"{HOSTILE}\n" + '{"ts":"2026-13-99T99:99:99Z","event":"tick_start"}\n')
        row = {
            "ts": now,
            "kind": HOSTILE,
            "id": HOSTILE,
            "runner": HOSTILE,
            "model": HOSTILE,
            "cost_usd": 1.5,
            "run": run,
        }
        with open(self.path("cost.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
        for name in ("prompt.md", "reply.txt"):
            self.write(f"runs/{run}/{name}", HOSTILE)
        wake = self.json("runs", run, "wake.json")
        change = {"key": HOSTILE, "old": HOSTILE, "new": {HOSTILE: HOSTILE}}
        self.write(f"runs/{run}/wake.json", json.dumps({**wake, "reason": HOSTILE, "changed": [change]}))
        self.write(f"runs/{run}/move.json", json.dumps({"move": HOSTILE, HOSTILE: HOSTILE}))
        ask = {"n": 7, "kind": "ask", "at": now, "question": HOSTILE, "options": [HOSTILE], "ref": HOSTILE}
        self.write("asks/7.json", json.dumps(ask))
        proposal = {"n": 8, "kind": "proposal", "at": now, "question": HOSTILE, "command": HOSTILE}
        self.write("asks/8.json", json.dumps({**proposal, "move": {"move": "shell", "command": HOSTILE}}))

    def test_a_hostile_profile_is_text(self):
        self.hostile()
        text, page = self.page()
        self.assertNotIn("<script", text.casefold())
        self.assertNotIn("<img", text.casefold())
        shown = "".join(page.text)
        self.assertGreater(shown.count("<script>document.title='x'"), 12)
        self.assertIn("\\x1b[31m\\u202e", shown)
        line = self.looop("check")
        self.assertEqual(line.count("|"), 1)

    def test_no_secret(self):
        self.profile_of(2, prompt="token ghp_0123456789abcdefghijABCDEFGHIJ012345 and s3cr3t-of-the-environment\n")
        text, _ = self.page()
        self.assertIn("token [secret: github token]", text)
        text = self.looop("report", "-o", "-", env={"MY_TOKEN": "s3cr3t-of-the-environment"})
        self.assertNotIn("s3cr3t-of", text)

    def test_too_much_is_cut_and_said(self):
        self.profile_of(1, prompt='<&\u00e9"' * 30000)
        row = {"event": "decided", "outcome": "acted", "cost_usd": 0.01, "because": "x" * 300, "move": "shell"}
        ts, text = stamp(time.time() - 3600), self.read("events.jsonl")
        events = [{"ts": ts, **row, "run": f"old-{n}", "goal": None, "journal": "y" * 3000} for n in range(600)]
        self.write("events.jsonl", "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events) + text)
        text, page = self.page()
        self.assertLess(len(text.encode()), 2_000_000)
        self.assertIn("Left out", page.text)
        self.assertTrue("characters are left out" in text, "a prompt is cut")
        self.assertRegex(" ".join(page.text), r"\d+ earlier decisions: `looop history -n 6\d\d`")

    @heavy
    def test_a_browser_shows_it_and_its_console_stays_empty(self):
        if not BROWSER:
            self.skipTest("no Chromium is on PATH")
        self.hostile()
        path = os.path.join(self.home, "r.html")
        self.looop("report", "-o", path)
        folder = os.path.join(self.home, "browser")
        quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
        quiet += " --disable-component-update --disable-sync --disable-breakpad --enable-logging=stderr"
        argv = [BROWSER, *quiet.split(), f"--user-data-dir={folder}", "--dump-dom", f"file://{path}"]
        env = {"HOME": folder, "PATH": os.environ["PATH"]}
        done = subprocess.run(argv, capture_output=True, env=env, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(b"CONSOLE", done.stderr)
        shown = done.stdout.decode()
        self.assertIn("<title>looop report</title>", shown)
        self.assertNotIn("<script", shown.casefold())


PERFDATA = re.compile(  # 'label'=value[UOM];[warn];[crit];[min];[max], as the guidelines of plugins have it
    r"(?:'[^'=]+'|[^ '=]+)=(?:-?[0-9.]+[a-zA-Z%]*|U)(?:;[^; ]*){0,4}"
)


class Checked(Case):
    def check(self, code, *words, **options):
        """Run the check, hold its line to the grammar of plugins, and return its text."""
        out = self.looop("check", *words, code=code, **options)
        self.assertEqual((out.count("\n"), out[-1], self.stderr), (1, "\n", ""))
        match = re.fullmatch(r"LOOOP (OK|WARNING|CRITICAL|UNKNOWN) - ([^|]+?)(?: \| ([^|]+))?\n", out)
        self.assertEqual(("OK", "WARNING", "CRITICAL", "UNKNOWN").index(match[1]), code, out)
        self.figures = {}
        for figure in (match[3] or "").split():
            self.assertRegex(figure, rf"\A{PERFDATA.pattern}\Z")
            name, _, value = figure.partition("=")
            self.figures[name] = value
        return match[2]

    def aged(self, secs):
        """Have the last beat be so old."""
        at = stamp(time.time() - secs)
        text = "".join(json.dumps({**row, "ts": at}, separators=(",", ":")) + "\n" for row in self.events())
        self.write("events.jsonl", text)

    def state(self, **fields):
        self.write("state.json", json.dumps({**self.json("state.json"), **fields}))

    def test_no_profile(self):
        self.assertIn("there is no profile", self.check(3))
        self.assertEqual(self.figures, {})

    def test_a_folder_that_others_can_write(self):
        self.profile()
        os.chmod(self.data, 0o777)
        self.assertIn("others can write into it", self.check(3))

    def test_never_ran(self):
        self.profile()
        self.assertIn("there was no beat yet", self.check(1))
        self.assertEqual(self.figures["last_beat"], "U;;;")

    def test_it_runs(self):
        self.profile()
        self.beat()
        told = self.check(0)
        self.assertRegex(told, r"\Alast beat \d+ s ago; \$0\.00 of \$")
        self.assertRegex(self.figures["last_beat"], r"\A\d+s;;;\Z")
        self.assertEqual((self.figures["asks"], self.figures["failures"]), ("0;;;", "0;;;"))
        self.assertRegex(self.figures["spent"], r"\A0\.00USD;;;\d+\Z")

    def test_late(self):
        self.profile()
        self.beat()
        self.aged(430)
        self.assertRegex(self.check(1), "no beat for ([7-9]|10) m, usually every 1 m")
        self.aged(86400)
        self.assertIn("no beat for 1 d", self.check(2))
        self.state(next_beat_s=3600)  # the last move asked for a rest
        self.aged(2 * 3600)
        self.check(0)

    def test_paused(self):
        self.profile()
        self.beat()
        self.looop("pause", "2h", "lunch")
        self.assertIn("(lunch)", self.check(0))
        self.looop("pause")
        self.assertIn("paused with no end", self.check(1))

    def test_failures(self):
        self.profile()
        self.beat()
        failure = {"count": 1, "until": time.time() + 600, "reason": "exit 3 | odd", "reply": "", "policy": "", "at": 0}
        self.state(failure=failure)
        self.assertIn("1 failure in a row, next try", self.check(1))
        self.assertEqual(self.figures["failures"], "1;;;")
        self.state(failure={**failure, "count": 4})
        self.assertIn("4 failures in a row", self.check(2))

    def test_asks(self):
        self.profile()
        self.beat()
        ask = {"n": 1, "kind": "ask", "question": "q", "at": stamp(time.time() - 60)}
        self.write("asks/1.json", json.dumps(ask))
        self.assertIn("1 ask open", self.check(0))
        self.assertEqual(self.figures["asks"], "1;;;")
        self.write("asks/1.json", json.dumps({**ask, "at": stamp(time.time() - 2 * 86400)}))
        self.assertIn("an ask has waited for 2 d", self.check(1))
        self.assertGreaterEqual(int(self.figures["oldest_ask"].partition("s")[0]), 172800)

    def test_over_budget(self):
        self.profile()
        self.beat()
        self.runner("cat", unmetered=False)
        row = {"ts": stamp(time.time() - 5), "kind": "tick", "id": "tick", "runner": "fake", "cost_usd": 99.0}
        self.write("cost.jsonl", json.dumps(row, separators=(",", ":")) + "\n")
        self.assertIn("decides nothing: $99.00 spent today", self.check(1))
        self.assertRegex(self.figures["spent"], r"\A99\.00USD;;;")

    def test_a_broken_config_and_a_broken_state(self):
        self.profile()
        self.beat()
        state = self.read("state.json")
        self.write("state.json", "{")
        self.assertIn("no beat can be run: state.json", self.check(2))
        self.write("state.json", state)
        self.check(0)
        self.config("{")
        self.assertIn("looop.json: not JSON", self.check(2))

    def test_the_textfile(self):
        self.profile()
        self.beat()
        path = os.path.join(self.home, "looop.prom")
        self.check(0, "--prom", path)
        with open(path) as file:
            text = file.read()
        for line in text.splitlines():
            self.assertRegex(line, r'\A(# (HELP|TYPE) looop_[a-z_]+ .+|looop_[a-z_]+\{data_dir="[^"]+"\} [0-9.e+]+)\Z')
        self.assertIn("\n# TYPE looop_last_beat_timestamp_seconds gauge\n", text)
        self.assertEqual((os.stat(path).st_mode & 0o777, os.listdir(self.home).count("looop.prom")), (0o644, 1))
        self.check(3, "--prom", os.path.join(self.home, "no", "where.prom"))
        if shutil.which("promtool"):
            done = subprocess.run(
                ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False
            )
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))


if __name__ == "__main__":
    unittest.main()
