"""Metering: recorded outputs of claude and pi give the right text, error and cost, to the last digit."""

import json
import os
import unittest

import looop
from tests.support import CAPTURED


def captured(name):
    with open(os.path.join(CAPTURED, "runners", name + ".ndjson"), encoding="utf-8") as file:
        return file.read()


class Captures(unittest.TestCase):
    def check(self, name, text, cost, usage, model, error=""):
        metered = looop.meter(captured(name))
        self.assertTrue(metered.streamed)
        self.assertEqual(metered.text, text)
        self.assertEqual(repr(metered.cost), cost)
        self.assertEqual(metered.usage, dict(zip(("input", "output", "cache_read", "cache_write"), usage)))
        self.assertEqual(metered.model, model)
        self.assertIn(error, metered.error)
        self.assertEqual(bool(metered.error), bool(error))

    def test_claude(self):
        old, new = "claude-opus-4-8[1m]", "claude-opus-5-5"
        done = "Appended the line. DONE"
        self.check("claude-2.1.197-json", done, "0.016649999999999998", (2500, 85, 300, 300), old)
        self.check("claude-2.1.197-stream-json", done, "0.016649999999999998", (2500, 85, 300, 300), old)
        self.check("claude-2.1.330-json", done, "0.013260000000000001", (2500, 85, 300, 300), new)
        self.check("claude-2.1.330-stream-json", done, "0.013260000000000001", (2500, 85, 300, 300), new)
        self.check("claude-2.1.330-denied-json", done, "0.013260000000000001", (2500, 85, 300, 300), new)

    def test_claude_errors_though_subtype_says_success(self):
        self.assertIn('"subtype":"success"', captured("claude-2.1.330-error-401"))
        self.check(
            "claude-2.1.330-error-401",
            looop.meter(captured("claude-2.1.330-error-401")).text,
            "0",
            (0, 0, 0, 0),
            "",
            "401",
        )
        self.check(
            "claude-2.1.330-error-500",
            looop.meter(captured("claude-2.1.330-error-500")).text,
            "0",
            (0, 0, 0, 0),
            "",
            "500",
        )

    def test_pi(self):
        for name in ("pi-0.73.1-json", "pi-0.87.1-json"):
            # independently: the decimal sum of the totals in assistant message_end lines
            from decimal import Decimal

            costs = [
                Decimal(repr(line["message"]["usage"]["cost"]["total"]))
                for line in map(json.loads, captured(name).split("\n")[:-1])
                if line["type"] == "message_end" and line["message"]["role"] == "assistant"
            ]
            self.assertEqual(len(costs), 2)
            self.assertEqual(looop.meter(captured(name)).cost, float(sum(costs)))
        self.check("pi-0.73.1-json", "Appended the line. DONE", "0.00999", (2500, 85, 300, 300), "fake-model")
        self.check("pi-0.87.1-json", "Appended the line. DONE", "0.00999", (2500, 85, 300, 300), "fake-model")

    def test_pi_errors_that_exit_0(self):
        self.check("pi-0.87.1-error-401", "", "0.0", (0, 0, 0, 0), "fake-model", "401")
        self.check("pi-0.87.1-error-500", "", "0.0", (0, 0, 0, 0), "fake-model", "500")

    def test_a_cut_stream_is_no_answer(self):
        for name in ("pi-0.87.1-json", "claude-2.1.330-stream-json"):
            lines = captured(name).split("\n")
            metered = looop.meter("\n".join(lines[:3]))
            self.assertTrue(metered.error, name)
            self.assertIsNone(metered.cost)

    def test_lines_around_a_stream_do_not_matter(self):
        noisy = "warning: something\n" + captured("pi-0.87.1-json") + "\nLS in prose \u2028 here\n{broken\n"
        self.assertEqual(looop.meter(noisy).cost, looop.meter(captured("pi-0.87.1-json")).cost)


class OtherStreams(unittest.TestCase):
    """Shapes from the documentation of these programs; nobody recorded them here."""

    def test_codex_counts_tokens_and_prices_come_from_the_config(self):
        lines = [
            {"type": "thread.started", "thread_id": "t"},
            {"type": "turn.started"},
            {"type": "item.completed", "item": {"id": "0", "type": "agent_message", "text": '{"move":"noop"}'}},
            {
                "type": "turn.completed",
                "usage": {"input_tokens": 24763, "cached_input_tokens": 24448, "output_tokens": 122},
            },
        ]
        metered = looop.meter("\n".join(map(json.dumps, lines)))
        self.assertEqual(metered.text, '{"move":"noop"}')
        self.assertEqual(metered.usage, {"input": 315, "output": 122, "cache_read": 24448, "cache_write": 0})
        self.assertIsNone(metered.cost)
        prices = {"gpt-5": {"input": 1.25, "cache_read": 0.125, "output": 10}}
        self.assertIsNone(looop.priced(metered, prices).cost)
        model = looop.model_named("codex exec --json -m gpt-5 -")
        self.assertEqual(looop.priced(metered, prices, model).cost, 0.00466975)

    def test_codex_failure(self):
        lines = [{"type": "thread.started"}, {"type": "turn.failed", "error": {"message": "stream disconnected"}}]
        self.assertEqual(looop.meter("\n".join(map(json.dumps, lines))).error, "stream disconnected")

    def test_gemini_and_opencode(self):
        gemini = {
            "response": "hello",
            "stats": {"models": {"gemini-3": {"tokens": {"prompt": 100, "candidates": 7, "cached": 40}}}},
        }
        metered = looop.meter(json.dumps(gemini, indent=2))
        self.assertEqual((metered.text, metered.usage["input"], metered.usage["cache_read"]), ("hello", 60, 40))
        opencode = [
            {"type": "text", "sessionID": "s", "part": {"type": "text", "text": "hello"}},
            {
                "type": "step_finish",
                "sessionID": "s",
                "part": {
                    "type": "step-finish",
                    "cost": 0.001,
                    "tokens": {"input": 5, "output": 2, "cache": {"read": 1, "write": 3}},
                },
            },
        ]
        metered = looop.meter("\n".join(map(json.dumps, opencode)))
        self.assertEqual((metered.text, metered.cost), ("hello", 0.001))
        self.assertEqual(metered.usage, {"input": 5, "output": 2, "cache_read": 1, "cache_write": 3})

    def test_plain_text_is_the_reply_at_an_unknown_price(self):
        metered = looop.meter('Sure.\n{"move":"noop"}\n')
        self.assertEqual(metered, looop.Metered('Sure.\n{"move":"noop"}\n'))
        self.assertIsNone(metered.cost)
        self.assertFalse(metered.streamed)

    def test_prices_are_never_guessed(self):
        for cost in (None, "1", True, -1, float("nan")):
            line = json.dumps({"type": "result", "subtype": "success", "result": "x", "total_cost_usd": cost})
            self.assertIsNone(looop.meter(line).cost, cost)
        ends = [
            {"type": "message_end", "message": {"role": "assistant", "usage": {"cost": {"total": c}}}}
            for c in (0.5, None)
        ]
        self.assertIsNone(looop.meter("\n".join(map(json.dumps, ends))).cost)

    def test_hostile_streams_do_not_raise(self):
        for text in (
            "{" * 5000,
            '{"type":"message_end","message":5}',
            '{"type":"result","subtype":1}',
            '{"stats":{"models":[]}}',
            '{"part":{"type":"step-finish"}}',
            '{"type":"turn.completed","usage":"x"}',
            '{"error":{"message":5}}',
            "\0",
        ):
            looop.meter(text)


if __name__ == "__main__":
    unittest.main()
