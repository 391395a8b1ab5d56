"""Metering: recorded outputs of claude and pi give the right text, error and cost, to the last digit."""

import json
import os
import time
import unittest

import looop
from tests.support import CAPTURED


def captured(name):
    name += "" if "." in name.rpartition("-")[2] else ".ndjson"
    with open(os.path.join(CAPTURED, "runners", name), encoding="utf-8") as file:
        return file.read()


class Captures(unittest.TestCase):
    def check(self, name, text, cost, usage, model, error=""):
        metered = looop.meter(captured(name), name.partition("-")[0])
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
            looop.meter(captured("claude-2.1.330-error-401"), "claude").text,
            "0",
            (0, 0, 0, 0),
            "",
            "401",
        )
        self.check(
            "claude-2.1.330-error-500",
            looop.meter(captured("claude-2.1.330-error-500"), "claude").text,
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
            self.assertEqual(looop.meter(captured(name), name.partition("-")[0]).cost, float(sum(costs)))
        self.check("pi-0.73.1-json", "Appended the line. DONE", "0.00999", (2500, 85, 300, 300), "fake-model")
        self.check("pi-0.87.1-json", "Appended the line. DONE", "0.00999", (2500, 85, 300, 300), "fake-model")

    def test_pi_errors_that_exit_0(self):
        self.check("pi-0.87.1-error-401", "", "0.0", (0, 0, 0, 0), "fake-model", "401")
        self.check("pi-0.87.1-error-500", "", "0.0", (0, 0, 0, 0), "fake-model", "500")

    def test_an_array_of_events_is_a_stream(self):
        """claude's `verbose` setting makes one array of what --output-format json prints."""
        for name in ("claude-2.1.330-stream-json", "claude-2.1.330-error-401", "pi-0.87.1-json"):
            lines = [json.loads(line) for line in captured(name).split("\n") if line]
            for indent in (None, 2):
                text = json.dumps(lines, indent=indent) + "\n"
                self.assertEqual(
                    looop.meter(text, name.partition("-")[0]),
                    looop.meter(captured(name), name.partition("-")[0]),
                    (name, indent),
                )

    def test_codex_and_its_errors(self):
        metered = looop.meter(captured("codex-0.171.0-json"), "codex")
        usage = {"input": 2000, "output": 30, "cache_read": 500, "cache_write": 0}
        self.assertEqual((metered.text, metered.usage), ('{"move":"noop","journal":"ok"}', usage))
        for status, words in ((401, "401 Unauthorized"), (429, "429 Too Many"), (500, "experiencing high demand")):
            metered = looop.meter(captured(f"codex-0.171.0-error-{status}"), "codex")
            self.assertIn(words, metered.error)
            self.assertEqual((metered.text, metered.cost, metered.usage), ("", None, None))

    def test_gemini_counts_what_it_thought_and_tells_an_error_in_its_own_words(self):
        prices = {"gemini-2.5-flash": {"input": 0.3, "cache_read": 0.03, "output": 2.5}}
        thoughtful = looop.meter(captured("gemini-0.61.0-thoughts.json"), "gemini")
        self.assertEqual(looop.priced(thoughtful, prices).cost, 0.01069)
        tool = {"stats": {"models": {"g": {"tokens": {"prompt": 10, "tool": 5, "candidates": 1, "thoughts": 2}}}}}
        usage = looop.meter(json.dumps(tool), "gemini").usage
        self.assertEqual((usage["input"], usage["output"]), (15, 3))
        error = looop.meter("", "gemini", captured("gemini-0.61.0-error-401.stderr")).error
        self.assertEqual(error, "401 fakellm scripted 401")

    def test_llm_tells_its_tokens_on_stderr(self):
        usage = looop.meter('{"move":"noop"}', "llm", captured("llm-0.36-u.stderr")).usage
        self.assertEqual(usage, {"input": 2000, "output": 30, "cache_read": 500, "cache_write": 0})
        twice = "Token usage: 1,000 input, 5 output\nToken usage: 7 output\n"
        self.assertEqual(looop.meter("x", "llm", twice).usage["output"], 12)
        anthropic = 'Token usage: 10 input, 5 output, {"cache_read_input_tokens": 90}\n'
        self.assertEqual(looop.meter("x", "llm", anthropic).usage["input"], 10)
        self.assertEqual(looop.meter("Token usage: 9 input", "llm", "").usage, None, "the LLM's own words")
        row = looop.cost_row(
            "t", "r", "", looop.Runner("c", "typed", "codex exec -c 'model=\"gpt-5\"' -"), looop.RunnerOutput("")
        )
        self.assertEqual(row["model"], "gpt-5")

    def test_thinking_is_output(self):
        """gemini counts it beside the candidates: 2500 + 30 + 12 are its total of 2542."""
        for name, thoughts in (("gemini-0.61.0-json.json", 12), ("gemini-0.61.0-thoughts.json", 4000)):
            usage = {"input": 2000, "output": 30 + thoughts, "cache_read": 500, "cache_write": 0}
            self.assertEqual(looop.meter(captured(name), name.partition("-")[0]).usage, usage)
        step = {"cost": 0.1, "tokens": {"input": 5, "output": 2, "reasoning": 7}}
        metered = looop.meter(json.dumps({"type": "step_finish", "part": {"type": "step-finish", **step}}), "opencode")
        self.assertEqual(metered.usage["output"], 9)

    def test_retries_before_an_answer_cost_nothing(self):
        metered = looop.meter(captured("pi-1.6.0-json-after-429"), "pi")
        self.assertEqual((metered.error, metered.cost), ("", 0.0068625))

    def test_a_cut_stream_is_no_answer(self):
        for name in ("pi-0.87.1-json", "claude-2.1.330-stream-json"):
            lines = captured(name).split("\n")
            metered = looop.meter("\n".join(lines[:3]), name.partition("-")[0])
            self.assertTrue(metered.error, name)
            self.assertIsNone(metered.cost)

    def test_lines_around_a_stream_do_not_matter(self):
        noisy = "warning: something\n" + captured("pi-0.87.1-json") + "\nLS in prose \u2028 here\n{broken\n"
        self.assertEqual(looop.meter(noisy, "pi").cost, looop.meter(captured("pi-0.87.1-json"), "pi").cost)


class Limits(unittest.TestCase):
    """When a usage limit resets, in the words of each runner: recorded, or told in public reports."""

    NOW = looop.parse_utc("2026-11-30T12:00:00Z")

    def setUp(self):
        zone = os.environ["TZ"]
        self.addCleanup(lambda: (os.environ.update(TZ=zone), time.tzset()))
        os.environ["TZ"] = "UTC"
        time.tzset()

    def reset(self, error, now=NOW):
        """Return the minutes until the reset."""
        at = looop.limit_reset(looop.RunnerOutput("", error), "", now)
        return None if at is None else round((at - now) / 60, 2)

    def test_each_form(self):
        for error, minutes in (
            ("Claude AI usage limit reached|1796050800", 180),
            (
                'Codex error: {"error":{"type":"usage_limit_reached","resets_at":1796050800,"resets_in_seconds":1}}',
                180,
            ),
            ("the limit resets at 1796050800000", 180),
            ("You've hit your limit \u00b7 resets 3pm (UTC)", 180),
            ("You've hit your session limit \u00b7 resets 3:30 PM", 210),
            ("Claude usage limit reached. Your limit will reset at 12am.", 720),
            ("Weekly limit reached \u00b7 resets 9am", 21 * 60),
            ("You've hit your weekly limit \u00b7 resets Dec 3, 10:59am (GMT)", 3 * 1440 - 61),
            ("limit: resets Fri 4:00 PM", 4 * 1440 + 240),
            ("You've hit your usage limit. Upgrade to Pro (https://example.com) or try again at 7:05 PM.", 425),
            ("You've hit your usage limit, or try again at Dec 1st, 2026 8:19 PM.", 1440 + 499),
            ("You've hit your usage limit. Try again in 5 days 22 hours 11 minutes.", 5 * 1440 + 22 * 60 + 11),
            ("You have hit your ChatGPT usage limit (plus plan). Try again in ~47 min.", 47),
            (
                "Error: You have exhausted your capacity on this model. Your quota will reset after 1h49m8s.",
                109.13,
            ),
            ("429: Please retry in 90s", 1.5),
            ("Overloaded: please try again in 20 min", 20),
            ("rate limit: try again in 3 hours, 12 minutes and 30 seconds", 192.5),
            ("You've hit your weekly limit \u00b7 resets Dec 3 at 7pm", 3 * 1440 + 420),
            ("You've hit your org's monthly usage limit \u00b7 resets Dec 1, 1am (UTC)", 780),
            ("You're out of extra usage \u00b7 resets Dec 4, 8pm (UTC)", 4 * 1440 + 480),
            ("You're out of usage credits \u00b7 resets 7pm (UTC) \u00b7 progress saved", 420),
            (
                "Request rejected (429) \u00b7 spend limit reached \u00b7 resets Dec 31, 2026, 1am (UTC)",
                31 * 1440 - 660,
            ),
            (
                "spend limit reached \u00b7 resets Dec 8 \u00b7 request an increase at https://example.com",
                8 * 1440 - 720,
            ),
            ("You've hit your usage limit, or try again at Dec 30th, 2026 8:19 PM.", 30 * 1440 + 499),
            ("429 Too Many Requests: Please try again in 16h2m29.76s. Visit https://example.com", 962.5),
            ('Codex error: {"error":{"type":"usage_limit_reached","resets_in_seconds":10800}}', 180),
            ("Server requested 7200s retry delay (max: 60s). 429 Please try again later.", 120),
            ("Server requested 7200s retry delay (max: 60s)", 120),
            ("Hugging Face rate limit reached; retry in 240s", 4),
            ("Quota exceeded for quota metric 'Requests'. Suggested retry after 51820.6s.", 863.68),
            ('"code":429,"details":[{"retryDelay": "9384s"}]', 156.4),
            ('429 {\\"quotaResetDelay\\":\\"2h36m24s\\"}', 156.4),
        ):
            self.assertEqual(self.reset(error), minutes, error)
            self.assertEqual(self.reset(error.replace(" ", "\n")), minutes, error)

    def test_what_is_not_believed(self):
        for error in (
            "",
            "limit",
            "Claude AI usage limit reached|1000000000",
            "Claude AI usage limit reached|1999999999",
            "Your limit will reset at 11am",  # an hour ago
            "limit, resets Nov 29, 10am",
            "limit, try again in 33 days",
            "limit, try again in 2 months",
            "limit, try again in 0s",
            "limit: resets 25:00",
            "limit: resets Feb 31, 3pm",
            "limit: try again at 5",
            "You have exhausted your daily quota on this model.",
            "API Error: Rate limit reached",
            "You've hit your usage limit. Try again later.",
            "resets Dec 8 \u00b7 which is no limit",
            "limit: try again in \u0665 hours",
            "read ECONNRESET: connection reset at 15:43",  # no limit
            "limit: " + "resets 9" * 2000 + " 1 1" * 2000,
        ):
            self.assertIsNone(self.reset(error), error)

    def test_a_reply_that_is_only_the_notice_is_an_error(self):
        for notice, reset in (
            ("Claude AI usage limit reached|1796050800", 180),
            ("5-hour limit reached \u2219 resets 3pm\n", 180),
            ("You've hit your weekly limit \u00b7 resets 3pm (UTC)", 180),
            ("You\u2019ve hit your limit", None),
            ("You've hit your org's monthly usage limit", None),
            ("You're out of extra usage \u00b7 resets 3pm", 180),
        ):
            result = {"type": "result", "subtype": "success", "is_error": False, "result": notice}
            for output in (notice, json.dumps(result)):
                metered = looop.meter(output, "claude")
                self.assertEqual(metered.error, notice.strip())
                at = looop.limit_reset(metered, "", self.NOW)
                self.assertEqual(at and (at - self.NOW) / 60, reset)
        for reply in (
            "Rate limit reached in CI: told the person",
            '{"move":"noop"}',
            "limit reached\nand more",
            "x" * 300 + " limit reached",
            'limit reached {"move":1}',
        ):
            self.assertEqual(looop.meter(reply, "claude").error, "", reply)
        quoted = {"type": "result", "subtype": "success", "usage": {"output_tokens": 9}, "result": notice}
        self.assertEqual(looop.meter(json.dumps(quoted), "claude").error, "", "the LLM has written it")

    def test_zones(self):
        try:
            import zoneinfo

            zoneinfo.ZoneInfo("Asia/Tokyo")
        except (ImportError, KeyError):
            self.skipTest("no zone data")
        self.assertEqual(self.reset("limit \u00b7 resets 10:30pm (Asia/Tokyo)"), 90)
        self.assertEqual(self.reset("limit \u00b7 resets 1am (Etc/GMT+5)"), 18 * 60)
        for unknown in ("Mars/Base", "../../etc/passwd", "Asia"):
            self.assertEqual(self.reset(f"limit \u00b7 resets 3pm ({unknown})"), 180, "local time")

    def test_across_the_changes_of_summer_time(self):
        os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
        time.tzset()
        for now, error, reset in (
            ("2026-10-24T22:00:00Z", "limit \u00b7 resets 2:30am", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:45:00Z", "limit \u00b7 resets 2:30am", "2026-10-25T01:30:00Z"),  # the second one
            ("2026-10-24T22:00:00Z", "limit \u00b7 resets 3am", "2026-10-25T02:00:00Z"),
            ("2026-10-24T12:00:00Z", "try again at Oct 26th, 2026 9:05 AM.", "2026-10-26T08:05:00Z"),
            ("2026-10-24T22:00:00Z", "limit, try again in 8 hours 0 minutes", "2026-10-25T06:00:00Z"),
            ("2026-03-28T22:00:00Z", "limit \u00b7 resets 2:30am", "2026-03-29T01:30:00Z"),  # there is none: 3:30
            ("2026-03-28T12:00:00Z", "limit \u00b7 resets 10am", "2026-03-29T08:00:00Z"),
            ("2026-03-28T22:00:00Z", "limit \u00b7 resets Mar 29, 3am", "2026-03-29T01:00:00Z"),
        ):
            since = looop.parse_utc(now)
            at = looop.limit_reset(looop.RunnerOutput("", error), "", since)
            self.assertEqual(at and looop.utc_text(at), reset, error)

    def test_an_event_names_it_and_only_one_that_rejects(self):
        def event(**info):
            return {"type": "rate_limit_event", "rate_limit_info": info}

        result = {"type": "result", "subtype": "success", "is_error": True, "result": "limit, resets 3pm"}
        for events, minutes in (
            ([event(status="rejected", resetsAt=self.NOW + 600)], 10),
            ([event(status="rejected", resetsAt=self.NOW + 600), event(status="rejected", resetsAt=self.NOW + 60)], 1),
            ([event(status="allowed_warning", resetsAt=self.NOW + 600)], 180),
            ([event(status="rejected"), {"type": "rate_limit_event"}], 180),
            ([event(status="rejected", resetsAt="soon")], 180),
            ([event(status="rejected", resetsAt=self.NOW + 33 * 86400)], None),
        ):
            for lines in ([*events, result], [*events]):
                metered = looop.meter("\n".join(map(json.dumps, lines)), "claude")
                self.assertTrue(metered.error)
                at = looop.limit_reset(metered, "", self.NOW)
                expected = None if minutes == 180 and result not in lines else minutes
                self.assertEqual(at and (at - self.NOW) / 60, expected, lines)


class OtherStreams(unittest.TestCase):
    """Shapes from the documentation of these programs; nobody recorded them here."""

    def test_what_an_agent_lacks_by_its_own_words(self):
        for program, message, lack in (
            ("claude", "Not logged in \xb7 Please run /login", "is not logged in: run `claude` and type /login"),
            (
                "claude",
                "There's an issue with the selected model (claude-foo). It may not exist",
                "has no such model: ",
            ),
            ("pi", "No API key found for the selected model.", "is not logged in: run `pi` and type /login"),
            ("pi", 'Error: Model "nonsense/x" not found. Use --list-models', "has no such model: `pi --list-models`"),
            ("codex", "Missing environment variable: `OPENAI_API_KEY`.", "lacks its key: put it into looop.env"),
            ("codex", "unexpected status 401 Unauthorized: x, url: http://x", "is not logged in: run `codex login`"),
            ("codex", "The model `foo` does not exist or you do not have access to it.", "has no such model: "),
            (
                "gemini",
                "Gemini CLI is not running in a trusted directory. To proceed",
                "does not trust the folder: add",
            ),
            ("gemini", "Invalid auth method selected.", "is not logged in: run `gemini` and type /auth"),
            ("opencode", "Unexpected server error. Check server logs for details.", "may have no such model: "),
            ("opencode", "fakellm scripted 401", "is not logged in: run `opencode auth login`"),
            ("llm", "Error: No key found - add one using 'llm keys set fake'", "has no valid key: `llm keys set NAME`"),
            ("llm", "Error: 'Unknown model: nonsense'", "has no such model: `llm models`"),
        ):
            self.assertIn(f"{program} {lack}", looop.lack_of(program, message), message)
        self.assertEqual(looop.lack_of("claude", "API Error: 529 overloaded"), "")
        self.assertEqual(looop.lack_of("mine", "401"), "")

    def test_which_tick_lines_leave_the_llm_tools(self):
        for name, runner in looop.merged_runners({}).items():
            self.assertEqual(looop.tools_left(runner), [], name)
        for tick, missing in (
            ('claude -p --tools "" --no-session-persistence', ["--safe-mode"]),
            ("A='b c' /opt/claude -p --tools= --strict-mcp-config", []),
            ("claude -p --tools Bash --safe-mode", ['--tools ""']),
            ("pi -p -ne -nt", []),
            ("pi -p --mode json --no-tools", ["--no-extensions"]),
            ("opencode run --format json", ['an agent with "permission": {"*": "deny"}']),
            ("gemini -o json", ["--admin-policy no-tools.toml"]),
            ("llm -m x -T llm_time", ["no -T and no --functions"]),
            ("mine", []),
        ):
            self.assertEqual(looop.tools_left(looop.Runner("x", "typed", tick)), missing, tick)
        old = "codex exec -m gpt-5 --skip-git-repo-check --json --sandbox read-only -"
        self.assertEqual(len(looop.tools_left(looop.Runner("x", "typed", old))), 5)
        self.assertEqual(looop.tools_left(looop.Runner("x", "direct", "claude -p")), [])
        notes = looop.runner_notes({"runners": {"gemini": {"tick": "gemini -o json"}, "claude": {"model": "opus"}}})
        self.assertEqual([path for path, _ in notes], [("runners", "gemini", "tick")])
        self.assertIn("without `mode` it is direct", notes[0][1])

    def test_a_model_is_named_by_a_key(self):
        runners = looop.merged_runners({"claude": {"model": "opus"}, "codex": {"model": "gpt-5"}})
        self.assertTrue(runners["claude"].tick.endswith("--no-session-persistence --model 'opus'"))
        self.assertTrue(runners["codex"].tick.endswith(" --model 'gpt-5' -"))
        self.assertEqual(looop.model_named(runners["codex"].tick), "gpt-5")
        self.assertTrue(runners["llm"].tick.endswith("llm -u"), "no model, no option")

    def test_the_program_of_a_command_line(self):
        for command, program in (
            ("claude -p", "claude"),
            ('A=1 B=\'{"p": "one with two"}\' /opt/x/claude -p | cat', "/opt/x/claude"),
            ("env -i -u HOME A='b c' pi -p", "pi"),
            ("/usr/bin/env CI=1 pi", "pi"),
            ("exec -a x '/a path/with blanks/pi' --mode json", "/a path/with blanks/pi"),
            ("./a=b/run x", "./a=b/run"),
            ("(cd /x; claude)", ""),
            ("A=1; claude", ""),
            ("claude 'open", ""),
            ("", ""),
        ):
            self.assertEqual(looop.program_of(command), program, command)
        self.assertTrue(looop.plain_program("/a path/x") and not looop.plain_program("$HOME/x"))

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
        metered = looop.meter("\n".join(map(json.dumps, lines)), "codex")
        self.assertEqual(metered.text, '{"move":"noop"}')
        self.assertEqual(metered.usage, {"input": 315, "output": 122, "cache_read": 24448, "cache_write": 0})
        self.assertIsNone(metered.cost)
        prices = {"gpt-5": {"input": 1.25, "cache_read": 0.125, "output": 10}}
        self.assertIsNone(looop.priced(metered, prices).cost)
        model = looop.model_named("codex exec --json -m gpt-5 -")
        self.assertEqual(looop.priced(metered, prices, model).cost, 0.00466975)

    def test_codex_failure(self):
        lines = [{"type": "thread.started"}, {"type": "turn.failed", "error": {"message": "stream disconnected"}}]
        self.assertEqual(looop.meter("\n".join(map(json.dumps, lines)), "codex").error, "stream disconnected")

    def test_gemini_and_opencode(self):
        gemini = {
            "response": "hello",
            "stats": {"models": {"gemini-3": {"tokens": {"prompt": 100, "candidates": 7, "cached": 40}}}},
        }
        metered = looop.meter(json.dumps(gemini, indent=2), "gemini")
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
        metered = looop.meter("\n".join(map(json.dumps, opencode)), "opencode")
        self.assertEqual((metered.text, metered.cost), ("hello", 0.001))
        self.assertEqual(metered.usage, {"input": 5, "output": 2, "cache_read": 1, "cache_write": 3})

    def test_plain_text_is_the_reply_at_an_unknown_price(self):
        metered = looop.meter('Sure.\n{"move":"noop"}\n', "text")
        self.assertEqual(metered, looop.RunnerOutput('Sure.\n{"move":"noop"}\n'))
        self.assertIsNone(metered.cost)
        self.assertFalse(metered.streamed)

    def test_prices_are_never_guessed(self):
        for cost in (None, "1", True, -1, float("nan")):
            line = json.dumps({"type": "result", "subtype": "success", "result": "x", "total_cost_usd": cost})
            self.assertIsNone(looop.meter(line, "claude").cost, cost)
        ends = [
            {"type": "message_end", "message": {"role": "assistant", "usage": {"cost": {"total": c}}}}
            for c in (0.5, None)
        ]
        self.assertIsNone(looop.meter("\n".join(map(json.dumps, ends)), "pi").cost)

    def metered(self, *lines):
        return looop.meter("\n".join(map(json.dumps, lines)), self._testMethodName.split("_")[1])

    def test_pi_to_the_field(self):
        usage = {"input": 1, "output": 2, "cacheRead": 3, "cacheWrite": 4, "cost": {"total": 0.1}}
        parts = [{"type": "text", "text": "a"}, {"type": "thinking", "text": "b"}, {"type": "text", "text": 5}, 6]
        message = {
            "role": "assistant",
            "content": [*parts, {"type": "text", "text": "c"}],
            "usage": usage,
            "model": "m",
        }
        end = {"type": "message_end", "message": message}
        counted = {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4}
        self.assertEqual(self.metered(end), looop.RunnerOutput("ac", "", 0.1, counted, "m", True))
        twice = self.metered(end, {**end, "message": {**message, "content": "none", "model": None}})
        self.assertEqual(twice, looop.RunnerOutput("", "", 0.2, {key: 2 * n for key, n in counted.items()}, "", True))
        for more, error in (
            *(({"stopReason": "error"}, "error"), ({"stopReason": "aborted", "errorMessage": "by hand"}, "by hand")),
            *(({"stopReason": "stop", "errorMessage": "x"}, ""), ({"stopReason": None}, "")),
        ):
            self.assertEqual(self.metered({**end, "message": {**message, **more}}).error, error)
        for other in ({**end, "type": "message_update"}, {**end, "message": {**message, "role": "user"}}):
            self.assertEqual(self.metered(other), looop.RunnerOutput("\n".join([json.dumps(other)])))
            begun = looop.RunnerOutput("", "pi ended without an answer", None, None, "", True)
            self.assertEqual(self.metered({"type": "agent_start"}, other), begun)
            self.assertEqual(self.metered(other, end), looop.RunnerOutput("ac", "", 0.1, counted, "m", True))

    def test_claude_to_the_field(self):
        usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4}
        counted = {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4}
        result = {"type": "result", "subtype": "success", "result": "x", "total_cost_usd": 0.5, "usage": usage}
        result["modelUsage"] = {"a": {}, "b": {}}
        good = looop.RunnerOutput("x", "", 0.5, counted, "a, b", True)
        self.assertEqual(self.metered(result), good)
        self.assertEqual(self.metered({**result, "result": "first"}, result), good)
        self.assertEqual(self.metered({**result, "modelUsage": None}).model, "")
        without = {key: value for key, value in result.items() if key != "result"}
        for reply, text, error in (
            *(({**result, "is_error": True}, "x", "x"), ({**result, "subtype": "error_max_turns"}, "x", "x")),
            ({**result, "is_error": True, "errors": ["a", "b"]}, "x", "x"),
            ({**without, "errors": ["a", None, "b"]}, "", "a; b"),
            ({**without, "errors": "a"}, "", "success"),
            *(
                (without, "", "success"),
                ({**without, "subtype": "error_during_execution"}, "", "error_during_execution"),
            ),
            *(
                ({**result, "result": 5}, "", ""),
                ({**result, "result": 5, "is_error": True, "errors": []}, "", "success"),
            ),
        ):
            found = self.metered(reply)
            self.assertEqual((found.text, found.error, found.cost), (text, error, 0.5), reply)
        begun = {"type": "system", "subtype": "init"}
        ended = looop.RunnerOutput("", "claude ended without a result", None, None, "", True)
        for other in ({"type": "result", "result": "x"}, {"type": "assistant", "subtype": "x"}):
            self.assertEqual(self.metered(begun, other), ended)
            self.assertFalse(self.metered(other).streamed)
        self.assertFalse(self.metered({"type": "system", "subtype": "other"}).streamed)
        self.assertFalse(self.metered({"type": "user", "subtype": "init"}).streamed)

    def test_codex_to_the_field(self):
        start = {"type": "thread.started"}
        turn = {"type": "turn.completed", "usage": {"input_tokens": 5, "output_tokens": 2, "cached_input_tokens": 3}}
        self.assertEqual(self.metered(start), looop.RunnerOutput("", "", None, None, "", True))

        def item(kind, text, event="item.completed"):
            return {"type": event, "item": {"type": kind, "text": text}}

        counted = {"input": 2, "output": 2, "cache_read": 3, "cache_write": 0}
        one = self.metered(
            item("agent_message", "a"), item("agent_message", "b", "item.started"), item("reasoning", "c"), turn
        )
        self.assertEqual(one, looop.RunnerOutput("a", "", None, counted, "", True))
        two = self.metered(start, item("agent_message", "a"), turn, item("assistant_message", "b"), turn)
        self.assertEqual(two, looop.RunnerOutput("b", "", None, {key: 2 * n for key, n in counted.items()}, "", True))
        self.assertEqual(self.metered(start, item("agent_message", None)).text, "")
        self.assertFalse(self.metered(item("agent_message", "a")).streamed)

    def test_opencode_to_the_field(self):
        def part(kind, **more):
            return {"type": kind, "part": {"type": kind, **more}}

        step = {"cost": 0.1, "tokens": {"input": 5, "output": 2, "cache": {"read": 1, "write": 3}}}
        counted = {"input": 10, "output": 4, "cache_read": 2, "cache_write": 6}
        lines = [
            part("text", text="a"),
            part("step-finish", **step),
            part("text", text="b"),
            part("step-finish", **step),
        ]
        self.assertEqual(self.metered(*lines), looop.RunnerOutput("b", "", 0.2, counted, "", True))
        self.assertEqual(self.metered(part("tool")), looop.RunnerOutput("", "", None, None, "", True))
        self.assertEqual(self.metered(part("text")).text, "")
        failed = {"type": "error", "sessionID": "s"}
        for error, words in (
            *(({"name": "Api", "data": {"message": "limit"}}, "limit"), ({"name": "Api"}, "Api"), ({}, "error")),
            ({"data": {"message": ""}}, "error"),
        ):
            self.assertEqual(
                self.metered({**failed, "error": error}), looop.RunnerOutput("", words, None, None, "", True)
            )
        last = self.metered({**failed, "error": {"name": "first"}}, lines[0], {**failed, "error": {"name": "last"}})
        self.assertEqual((last.text, last.error), ("a", "last"))
        for other in ({**failed}, {"type": "error", "error": {"name": "x"}}, {**failed, "type": "other", "error": {}}):
            self.assertFalse(self.metered(other).streamed, other)

    def test_gemini_to_the_field(self):
        models = {
            "a": {"tokens": {"prompt": 9, "candidates": 2, "cached": 3}},
            "b": {"tokens": {"prompt": 1, "cached": 5}},
        }
        counted = {"input": 6, "output": 2, "cache_read": 8, "cache_write": 0}
        found = self.metered({"response": "x", "stats": {"models": models}})
        self.assertEqual(found, looop.RunnerOutput("x", "", None, counted, "a, b", True))
        none = {"response": None, "stats": {"models": {}}, "error": {"message": "quota"}}
        self.assertEqual(self.metered(none), looop.RunnerOutput("", "quota", None, None, "", True))
        self.assertEqual(
            self.metered({"error": {"message": "quota"}}), looop.RunnerOutput("", "quota", None, None, "", True)
        )
        for other in ({"error": {"message": ""}}, {"stats": {"models": []}}):
            self.assertFalse(self.metered(other).streamed, other)

    def test_a_call_is_priced_by_what_the_config_says_of_its_model(self):
        counted = {"input": 1_000_000, "output": 100_000, "cache_read": 10_000, "cache_write": 1_000}
        call = looop.RunnerOutput("x", "", None, counted, "m")

        def price(table, call=call, model=""):
            found = looop.priced(call, {"m": table}, model)
            return found.cost, found.model

        self.assertEqual(price({"input": 1, "output": 10}), (2.011, "m"))
        self.assertEqual(price({"input": 1, "output": 10, "cache_read": 0.1}), (2.002, "m"))
        self.assertEqual(price({"input": 1, "output": 10, "cache_read": 0.1, "cache_write": 2}), (2.003, "m"))
        self.assertEqual(price({"input": 1, "output": 0}), (1.011, "m"))
        for table in ({}, {"input": 1}, {"output": 10}, {"cache_read": 1}):
            self.assertEqual(price(table), (None, "m"))
        table = {"input": 1, "output": 10}
        self.assertEqual(price(table, call.replace(cost=0.0)), (0.0, "m"), "the output named one")
        self.assertEqual(price(table, call.replace(usage=None)), (None, "m"))
        self.assertEqual(price(table, call.replace(usage={"output": 1_000_000})), (10.0, "m"))
        self.assertEqual(price(table, call.replace(model="")), (None, ""))
        self.assertEqual(price(table, call.replace(model=""), "m"), (2.011, "m"))
        self.assertEqual(price(table, call.replace(model="other"), "m"), (None, "other"))

    def test_sums(self):
        self.assertEqual(
            [looop.exact_sum(v) for v in ([], [None], [0.1, None], [0.1] * 3, [0])], [None, None, None, 0.3, 0.0]
        )
        usage = {"a": 1, "b": {"c": 2.9, "d": -1, "e": "5", "f": 1e9}}
        names = {"input": "a", "output": "b.c", "cache_read": "b.d", "cache_write": "b.e", "more": "b.f", "none": "x.y"}
        self.assertEqual(list(looop.tokens(usage, **names).values()), [1, 2, 0, 0, 0, 0])

    def test_whose_output_it_is(self):
        """Said by the config, by the program and its options, or by the name of the runner; not by the output."""

        def whose(tick, name="fake", output=""):
            return looop.output_of(looop.Runner(name, "typed", tick, output=output))

        for name, entry in looop.DEFAULT_RUNNERS.items():
            self.assertEqual(whose(entry["tick"], name), name)
        for tick, told in (
            *(("claude -p", "text"), ("A=b /opt/bin/claude -p", "text"), ("pi -p", "text"), ("llm -m x", "llm")),
            *(("timeout 60 claude -p --output-format json", "claude"), ("bash -lc 'pi -p --mode json'", "pi")),
            *(('A=1 codex exec --json - | "$LOOOP_BIN" _fmt', "codex"), ("ssh box gemini -o json", "gemini")),
            *(("my-claude.sh", ""), ("cat reply", ""), ("", "")),
        ):
            self.assertEqual(whose(tick), told, tick)
        self.assertEqual(whose("my-agent.sh", "claude"), "claude")
        self.assertEqual(whose("claude -p", "claude"), "text")
        self.assertEqual(whose("my-agent.sh", "fake", "pi"), "pi")
        self.assertEqual({*looop.METERS, "llm", "text"}, set(looop._RUNNER_KEYS["output"].split("|")))

    def test_a_reader_reads_its_own_alone(self):
        claims = captured("claude-2.1.330-json")
        self.assertEqual(looop.meter(claims, "claude").cost, 0.013260000000000001)
        for other in ("pi", "codex", "opencode", "gemini", "llm", "text", ""):
            self.assertEqual((looop.meter(claims, other).cost, looop.meter(claims, other).text), (None, claims))

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
            for whose in (*looop.METERS, "llm", "text"):
                looop.meter(text, whose, text)


if __name__ == "__main__":
    unittest.main()
