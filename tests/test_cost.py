"""Cost: exact sums, every shape a row ever had, scopes by local day, and what the beats that were skipped saved."""

import json
import random
import time
from decimal import Decimal

import looop
from tests.support import ROOT, Case, heavy


def row(ts, cost, kind="tick", key="tick", runner="pi", model="m", **more):
    return {
        "ts": looop.utc_text(ts),
        "kind": kind,
        "id": key,
        "runner": runner,
        "model": model,
        "cost_usd": cost,
        **more,
    }


class Cost(Case):
    def setUp(self):
        super().setUp()
        self.profile()
        self.now = time.time()

    def rows(self, *rows):
        lines = [entry if isinstance(entry, str) else json.dumps(entry, separators=(",", ":")) for entry in rows]
        self.write("cost.jsonl", "".join(line + "\n" for line in lines))

    def cost(self, *words):
        return json.loads(self.looop("cost", *words, "--json"))

    def test_sums_are_exact_in_any_order(self):
        rng = random.Random(5)
        prices = [round(rng.random() / 10 ** rng.randrange(6), 12) for _ in range(20000)]
        self.rows(
            *(row(self.now - 3600 * 24 * rng.random(), usd, runner=rng.choice(["pi", "claude"])) for usd in prices)
        )
        told = self.cost("all")
        exact = sum(Decimal(repr(usd)) for usd in prices)
        self.assertLess(abs(Decimal(told["total_usd"]) - exact), Decimal("1e-11"))
        import math

        self.assertEqual(told["total_usd"], math.fsum(prices))
        self.assertEqual(told["calls"], 20000)

    def test_every_dimension(self):
        self.rows(
            row(self.now, 1.5),
            row(self.now, 2, kind="goal", key="ship", runner="claude", model="opus"),
            row(self.now, None, runner="llm", model=None),
            row(self.now, None, runner="sub", unmetered=True),
            row(self.now, 0.25, kind="session", key="w", runner="claude", model="opus"),
        )
        told = self.cost()
        self.assertEqual((told["scope"], told["total_usd"], told["calls"], told["unknown"]), ("today", 3.75, 5, 1))
        self.assertEqual(told["by"]["kind"], {"tick": 1.5, "goal": 2, "session": 0.25})
        self.assertEqual(told["by"]["runner"], {"pi": 1.5, "claude": 2.25, "llm": 0, "sub": 0})
        self.assertEqual(told["by"]["goal"], {"ship": 2})
        self.assertEqual(told["by"]["model"], {"m": 1.5, "opus": 2.25})
        self.assertEqual(list(told["by"]["day"]), [looop.local_stamp(self.now)[:10]])
        self.assertIn("$3.75  today, 5 calls, 1 of unknown price", self.looop("cost"))
        self.assertIn("ship", self.looop("cost", "--by", "goal"))

    def test_every_shape_a_row_ever_had(self):
        stamp = looop.utc_text(self.now)
        self.rows(
            json.dumps({"ts": stamp, "kind": "tick", "id": "tick", "runner": "pi", "cost_usd": 1}),  # 0.5, with spaces
            f'{{"ts":"{stamp}","kind":"tick","id":"tick","runner":"pi","cost_usd":2}}',  # 0.5, compact
            json.dumps({"cost_usd": 4, "runner": "pi", "id": "tick", "kind": "tick", "ts": stamp}),
            f'{{"ts":"{stamp}","kind":"tick","id":"tick","runner":"pi","cost_',
            json.dumps(row(self.now, 8, key='quo"te', kind="goal")),
            "[]",
            json.dumps(row(self.now, 16, usage={"input": 1}, run="tick-x")),
            json.dumps(row(self.now, "32")),
            "caf\u00e9\u2028 {",
        )
        with open(self.path("cost.jsonl"), "ab") as file:
            file.write(
                b'{"ts":"' + stamp.encode() + b'","kind":"tick","id":"tick","runner":"\xff","cost_usd":64}'
            )  # no newline
        for scope in ("all", "today"):
            told = self.cost(scope)
            self.assertEqual((told["total_usd"], told["calls"], told["unknown"], told["torn_lines"]), (95, 7, 1, 3))
        self.assertIn("3 lines of cost.jsonl could not be read", self.looop("cost"))

    def test_scopes_are_local_days(self):
        midnight = looop.local_midnight(self.now)
        self.rows(
            row(midnight - 60 * 86400, 64),
            row(midnight - 29 * 86400 + 3700, 32),
            row(midnight - 6 * 86400 + 3700, 16),
            row(midnight - 1, 8),
            row(midnight, 4),
            row(midnight + 1, 2),
        )
        self.assertEqual(
            [self.cost(scope)["total_usd"] for scope in ("today", "week", "month", "all")], [6, 30, 62, 126]
        )

    @heavy
    def test_a_scope_of_a_long_ledger_begins_where_it_should(self):
        rows = [row(self.now - 40 * 86400 + i * 60, 1, run="x" * 100) for i in range(40 * 1440)]
        self.rows(*rows)
        week = self.cost("week")
        since = looop.scope_start("week", self.now)
        expected = sum(1 for entry in rows if looop.parse_utc(entry["ts"]) >= since)
        self.assertEqual(week["calls"], expected)
        self.assertEqual(self.cost("all")["calls"], 40 * 1440)
        printed = self.looop("cost", "today", "--rows").splitlines()
        self.assertEqual(len(printed), self.cost("today")["calls"])

    @heavy
    def test_rows_are_printed_one_block_at_a_time(self):
        import tracemalloc

        stamp = looop.utc_text(self.now)
        line = f'{{"ts":"{stamp}","kind":"tick","id":"tick","runner":"pi","model":"m","cost_usd":1,"run":"%d"}}\n'
        self.write("cost.jsonl", "".join(line % number for number in range(20000)) + "torn {")
        tracemalloc.start()
        try:
            rows = sum(1 for _ in looop.rows_since(looop.open_profile(self.env, ROOT), 0.0))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertEqual(rows, 20000)
        self.assertLess(peak, 4 * looop.MIB, "its rows are 12 MiB")
        self.rows(row(self.now - 90 * 86400, 1), row(self.now - 60, 2), "[]", row(self.now, 3))
        for scope, prices in (("all", [1, 2, 3]), ("today", [2, 3])):
            printed = [json.loads(text)["cost_usd"] for text in self.looop("cost", scope, "--rows").splitlines()]
            self.assertEqual(printed, prices, "oldest first")

    def test_days_of_every_zone(self):
        """A day of Nepal begins at 18:15 UTC, one of an odd POSIX zone at any second."""
        for zone, seconds in (("NPT-5:45", 20700), ("ODD-1:02:03", 3723), ("UTC0", 0), ("WST3:30", -12600)):
            self.env["TZ"] = zone
            day = int(self.now + seconds) // 86400 * 86400 - seconds  # when the local day began
            self.rows(row(day - 1, 4), row(day, 1), row(day + 1, 1))
            told = self.cost("week")
            self.assertEqual(list(told["by"]["day"].values()), [4, 2], zone)
            self.assertEqual((self.cost("today")["total_usd"], self.cost("today")["calls"]), (2, 2), zone)
            self.assertEqual(json.loads(self.looop("status", "--json"))["cost_today_usd"], 2, zone)

    def test_a_price_that_is_named_later_counts_everywhere(self):
        tokens = {"usage": {"input": 1_000_000, "output": 0, "cache_read": 0, "cache_write": 0}}
        command = "other --json -m gpt-5 -"
        self.config({"runners": {"other": {"mode": "typed", "tick": command}}})
        mark = looop.command_mark(looop.Runner("other", "typed", command))
        lines = [
            row(self.now, None, model="gpt-5", **tokens),
            {**row(self.now, None, runner="other", model=None, **tokens), "cmd": mark},
            row(self.now, None, model="unheard-of", **tokens),
            row(self.now, None, model="gpt-5", unmetered=True, **tokens),
            row(self.now, None, model="gpt-5", usage={"input": "many", "output": None}),
        ]
        self.rows(*lines)

        def told():
            cost, status = self.cost(), json.loads(self.looop("status", "--json"))
            budget = status["budget"]
            self.assertEqual((cost["total_usd"], cost["unknown"]), (budget["spent_today_usd"], budget["unknown_today"]))
            return cost["total_usd"], cost["unknown"]

        self.assertEqual(told(), (0, 4))
        before = self.read("cost.jsonl")
        prices = {"gpt-5": {"input": 2, "output": 10}}
        self.config({"runners": {"other": {"mode": "typed", "tick": command}}, "prices": prices})
        self.assertEqual(told(), (4, 1))
        self.assertEqual(self.read("cost.jsonl"), before)

    def test_skipped_beats_and_what_they_would_have_cost(self):
        self.write("goals/a.md", "x\n")
        self.replies({"move": "noop"})
        self.tick()
        self.rows(row(self.now, 0.5), row(self.now, 1.5))
        for _ in range(4):
            self.assertEqual(self.tick()["outcome"], "unchanged")
        told = self.cost()
        self.assertEqual((told["skipped_beats"], told["saved_estimate_usd"]), (4, 4.0))
        self.assertIn(
            "4 beats skipped, nothing had changed; at the price of a decision they would have cost about $4.00",
            self.looop("cost"),
        )

    def test_bars_on_a_terminal_only(self):
        self.rows(row(self.now - 86400, 1), row(self.now, 2))
        self.assertNotIn("█", self.looop("cost", "week"))

    def test_what_is_mistyped(self):
        self.looop("cost", "yesterday", code=2)
        self.assertIn("one of today, week, month, all", self.stderr)
        self.looop("cost", "--by", "colour", code=2)
        self.assertEqual(self.cost()["calls"], 0)

    def test_a_self_report(self):
        self.looop("cost", "add", "session", "w", "claude", "0.42")
        self.looop("_cost", "session", "w", "claude", "unknown")
        told = self.cost()
        self.assertEqual((told["total_usd"], told["unknown"]), (0.42, 1))
