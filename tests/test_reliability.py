"""That docs/reliability.md names tests that are there; and a year of days under a budget."""

import os
import random
import re
import time
import unittest

import looop
from tests.figures import ROOT, promises
from tests.support import LONG, Case, figure

DAYS = 365 if LONG else 6
LIMIT = 2.0  # USD a day


class Page(unittest.TestCase):
    def test_it_names_what_is_there(self):
        found = promises()
        self.assertEqual(list(found), list(range(1, 15)), "one part for each promise")
        for number, names in found.items():
            self.assertGreater(len(names), 1, number)
            for name in names:
                suite = unittest.defaultTestLoader.loadTestsFromName(name)
                self.assertGreater(suite.countTestCases(), 0, name)
                self.assertNotIn("_FailedTest", repr(suite), name)

    def test_the_command_is_the_one_that_it_says(self):
        with open(os.path.join(ROOT, "docs", "reliability.md"), encoding="utf-8") as file:
            self.assertTrue(re.search(r"^    python3 tests/figures\.py", file.read(), re.MULTILINE))


class Ceiling(Case):
    """A decider that is asked as often as the gates let it, at prices that are drawn."""

    def setUp(self):
        super().setUp()
        self.profile(config={"budget": {"daily_usd": LIMIT, "decides_per_hour": 1000}})
        self.opened = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        self.paid = looop.Runner("fake", "typed", "fake")
        noon = time.localtime(1770000000)
        self.day = time.mktime((*noon[:3], 0, 30, 0, 0, 0, -1))

    def spent_on(self, day, draw):
        """Decide every minute of a day until a gate holds; return (what was paid, the dearest call, rows)."""
        prices = []
        for minute in range(600):
            now = day + minute * 60
            gates = looop.money_gates(self.opened, self.paid, *looop.spend_for(self.opened, self.paid, now))
            if any(gate.verdict == "hold" for gate in gates):
                return prices
            prices.append(draw())
            row = looop.cost_row(
                looop.utc_text(now), f"r{minute}", "", self.paid, looop.RunnerOutput("", cost=prices[-1])
            )
            looop.record_cost(self.opened, row)
        self.fail("no gate held in 600 minutes")

    def test_no_day_passes_it_by_more_than_its_last_call(self):
        rng, calls, most = random.Random(7), 0, 0.0
        for number in range(DAYS):
            top = rng.choice((0.02, 0.3, 1.5))
            prices = self.spent_on(self.day + number * 86400, lambda top=top: round(rng.uniform(0.001, top), 6))
            calls += len(prices)
            self.assertLessEqual(sum(prices[:-1]), LIMIT, number)
            most = max(most, sum(prices) / LIMIT)
        figure("days under a budget, no call begun above it", DAYS)
        figure("paid calls in them", calls)
        figure("most of a day's budget that was spent (1 is all of it)", round(most, 2))

    def test_prices_that_nobody_knows_stop_it(self):
        """Some calls name no price: three in a row end it, and each is held to cost as much as the others do."""
        rng = random.Random(8)
        for number in range(DAYS):
            prices = self.spent_on(
                self.day + number * 86400, lambda: None if rng.random() < 0.4 else round(rng.uniform(0.01, 0.2), 6)
            )
            known = [price for price in prices if price is not None]
            runs = "".join("x" if price is None else "." for price in prices)
            self.assertNotIn("xxxx", runs)
            self.assertLessEqual(sum(known), LIMIT + 0.2)
            if runs.endswith("xxx"):
                # it holds until a person says what a call costs; the next day begins with one that is known
                row = looop.cost_row(
                    looop.utc_text(self.day + number * 86400 + 80000),
                    "p",
                    "",
                    self.paid,
                    looop.RunnerOutput("", cost=0.05),
                )
                looop.record_cost(self.opened, row)
        figure("days on which two of five calls named no price", DAYS)

    def test_no_price_at_all(self):
        self.assertEqual(self.spent_on(self.day, lambda: None), [None] * 3)


if __name__ == "__main__":
    unittest.main()
