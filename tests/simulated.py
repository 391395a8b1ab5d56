"""Write the history of a profile that never ran: days of beats, decisions, spend, asks, failures and sleep.

For tests of what reads a history, and for the picture of a report in the README. The same seed gives the same days.
"""

from __future__ import annotations

import json
import os
import random
import time

MOVES = (
    ("shell", "ran the tests of shop: 41 of 41 pass"),
    ("shell", "looked at the log of the nightly build: the mirror was slow again"),
    ("start_worker", "started fix-ci: checkout has no total"),
    ("write_goal", "wrote goal triage: two new issues name the same crash"),
    ("message", "told you that the release notes are ready"),
    ("noop", "nothing to do: the build is green and both workers are busy"),
    ("noop", "waits for your answer to ask 3"),
)
REASONS = ("sensor github-ci changed: failure→success", "sensor tests changed: 40 of 41", "worker fix-ci: done")
QUESTIONS = ("Which branch shall carry the fix: main or release?", "Delete the stale branches?", "Is 2.0 the name?")
SENSORS = {"github-ci": (900, 0.01), "tests": (2300, 0.03), "git": (14, 0.0), "inbox": (340, 0.2), "disk": (4, 0.0)}


def stamp(moment):
    """Return a moment as looop stores it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class Days:
    """The days of a profile: what each file of it says in the end."""

    def __init__(self, data, days, *, every=300, kept=50, seed=1, prompt="", now=None):
        self.data, self.every, self.kept, self.prompt = data, every, kept, prompt
        self.now = time.time() if now is None else now
        self.begin = self.now - days * 86400
        self.random = random.Random(seed)
        self.events, self.rows, self.runs, self.asks = [], [], [], []
        self.fails = 0

    def event(self, at, name, **fields):
        self.events.append(json.dumps({"ts": stamp(at), "event": name, **fields}, separators=(",", ":")))

    def pay(self, at, kind, usd, run, name="tick"):
        row = {"ts": stamp(at), "kind": kind, "id": name, "runner": "claude", "model": "claude-opus-5-5"}
        self.rows.append(json.dumps({**row, "cost_usd": usd, "run": run}, separators=(",", ":")))

    def sense(self, at):
        """Write what a beat says before it looks at the world."""
        rng = self.random
        took = {name: round(usual * rng.uniform(0.7, 1.6)) for name, (usual, _) in SENSORS.items()}
        failed = [name for name, (_, share) in SENSORS.items() if rng.random() < share]
        more = {"failed": failed} if failed else {}
        self.event(at, "tick_start", pid=4711)
        self.event(at + 1, "sense_done", sensors=5, errors=len(failed), ms=sum(took.values()), took=took, **more)
        if rng.random() < 0.002:
            self.event(at + 1, "sensor_flapping", sensor="inbox")

    def decide(self, at, outage):
        """Write a decision, or its failure."""
        rng = self.random
        run = f"tick-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(at))}-{rng.randrange(65536):04x}"
        usd, reason = round(rng.uniform(0.01, 0.12), 4), rng.choice(REASONS)
        self.event(at + 2, "decide_start", run=run, runner="claude", reason=reason)
        if outage:
            self.fails += 1
            self.event(at + 9, "tick_failed", run=run, reason="claude: API error 529: overloaded", retry_s=300)
            return
        self.fails = 0
        move, words = rng.choice(MOVES)
        journal = f"- {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))} {words}"
        outcome = "noop" if move == "noop" else "proposed" if move == "message" else "acted"
        self.pay(at + 8, "tick", usd, run)
        facts = {"because": reason, "move": move, "goal": rng.choice(["ship-v2", "triage", None]), "journal": journal}
        self.event(at + 9, "decided", run=run, outcome=outcome, cost_usd=usd, hash="0" * 32, **facts)
        self.runs.append((at, run, reason, {"move": move, "journal": words}, outcome, journal, usd))
        if move == "message":
            self.asks.append(at + 9)

    def live(self):
        """Live through the days, beat by beat."""
        rng, at = self.random, self.begin
        outages = [at + rng.uniform(0.2, 0.9) * (self.now - at)]
        self.event(at, "pulse_start", pid=4711, version="0.6.0")
        while at < self.now - self.every:
            at += self.every
            wall = time.localtime(at)
            if wall.tm_hour == 2 and wall.tm_min < self.every // 60 and wall.tm_wday % 2:
                secs = rng.uniform(3, 6) * 3600
                at += secs
                if at >= self.now:
                    return self
                self.event(at, "gap", secs=round(secs), why="the machine slept, or the pulse was stopped")
            self.sense(at)
            outage = any(begin < at < begin + 3.2 * 3600 for begin in outages)
            busy = 0.09 if 8 <= wall.tm_hour < 19 and wall.tm_wday < 5 else 0.012
            if outage and self.fails and rng.random() < 0.8:
                self.event(at + 1, "held", gate="backoff", detail="3 failures", until=stamp(at + 600))
            elif outage or rng.random() < busy:
                self.decide(at, outage)
            else:
                self.event(at + 1, "world_unchanged", hash="0" * 32, since=stamp(at - 3600))
            if 9 <= wall.tm_hour < 18 and rng.random() < 0.02:
                self.pay(at, "session", round(rng.uniform(0.2, 1.4), 4), None, rng.choice(["fix-ci", "docs"]))
        return self

    def put(self, path, text, mode=0o600):
        path = os.path.join(self.data, path)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def write(self):
        """Write the files."""
        self.put("events.jsonl", "\n".join(self.events) + "\n")
        self.put("cost.jsonl", "\n".join(self.rows) + "\n")
        for number, at in enumerate(self.asks, 1):
            self.ask(number, at)
        for at, run, reason, move, outcome, journal, usd in self.runs[-self.kept :]:
            wake = {"run": run, "at": stamp(at), "reason": reason, "runner": "claude", "mode": "typed", "gates": []}
            old, new = reason.rpartition(" ")[0], reason.rpartition(" ")[2]
            wake["changed"] = [{"key": "sensor:github-ci", "old": old, "new": new}]
            result = {"run": run, "at": stamp(at), "outcome": outcome, "journal": journal, "cost_usd": usd}
            self.put(f"runs/{run}/wake.json", json.dumps({**wake, "digests": {}}))
            self.put(f"runs/{run}/prompt.md", self.prompt or f"# CONSTITUTION\n| looop\n\n# WORLD\n| {reason}\n")
            self.put(f"runs/{run}/reply.txt", json.dumps(move) + "\n")
            self.put(f"runs/{run}/move.json", json.dumps(move))
            self.put(f"runs/{run}/result.json", json.dumps(result))
        return self

    def ask(self, number, at):
        """Write an ask and its answer; those of the last hours are open."""
        rng = self.random
        waited = min(60 * 10 ** rng.uniform(0, 3.2), 86400 * 2)
        done = at + waited < self.now and number < len(self.asks) - 1
        folder, proposal = "asks/archive" if done else "asks", rng.random() < 0.6
        fields = {"kind": "ask", "question": rng.choice(QUESTIONS), "options": ["yes", "no"]}
        if proposal:
            command = "git -C ~/shop push origin fix-ci"
            fields = {"kind": "proposal", "question": f"may I run `{command}`?", "command": command}
            fields["move"] = {"move": "shell", "command": command}
        self.put(f"{folder}/{number}.json", json.dumps({"n": number, "at": stamp(at), **fields}))
        if done:
            verdict = "answered" if not proposal else "rejected" if rng.random() < 0.25 else "approved"
            answer = {"at": stamp(at + waited), "verdict": verdict, "text": "yes"}
            self.put(f"{folder}/{number}.answer.json", json.dumps(answer))


def simulate(data, days, **options):
    """Write so many days into a data dir, up to now."""
    return Days(data, days, **options).live().write()
