"""The pure middle of a beat, value by value: what wakes it, what holds it back, what the ledger adds up to."""

import json
import os
import random
import unittest

import looop
from tests.support import Case


def item(value):
    return looop.value_item(value)


class WorldHash(unittest.TestCase):
    def test_items_of_texts(self):
        self.assertIsNone(looop.text_item(None))
        digests = [
            looop.text_item(data, error).digest
            for data, error in ((b"", ""), (b"a", ""), (b"a\n", ""), (None, "Is a directory"), (b"Is a directory", ""))
        ]
        self.assertEqual(len(set(digests)), 5)
        forged = [looop.text_item(data) for data in (b"unreadable:gone", b"value:1", b"1", b"x")]
        forged += [looop.text_item(None, error) for error in ("gone", "text:x", "value:1", "1")]
        self.assertEqual(len({one.digest for one in (*forged, item(1))}), 9, "no kind passes for another")
        self.assertEqual(looop.text_item(b"x", "gone").value, {"unreadable": "gone"})
        for data, lines in ((b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)):
            self.assertEqual(looop.text_item(data).value, {"lines": lines, "bytes": len(data)})
        self.assertEqual(item({"a": 1, "b": [2]}), item({"b": [2], "a": 1}))
        self.assertNotEqual(item("x").digest, looop.text_item(b'"x"').digest)

    def test_no_two_worlds_share_a_serialization(self):
        rng = random.Random(5)
        seen = {}
        for _ in range(4000):
            world = {}
            for _ in range(rng.randrange(4)):
                key, value = ("".join(rng.choice("a:,1") for _ in range(rng.randrange(5))) for _ in "kv")
                world[key] = value
            digest = looop.world_hash(world)
            self.assertEqual(seen.setdefault(digest, world), world)
            self.assertEqual(looop.world_hash(dict(reversed(world.items()))), digest)
        self.assertGreater(len(seen), 1000)
        self.assertEqual(len(looop.world_hash({"\udcff": "x"})), 32)
        # As it lies in state.json: a looop that computed another one would wake every world once.
        self.assertEqual(looop.world_hash({"playbook": "a", "goal:x": "b"}), "45d11f5f2bfe3e7f183757a71e4f6568")
        self.assertEqual(
            (item(1).digest, looop.text_item(b"x").digest),
            ("ac73d0a37880347f29c7e6768425b8a3", "ec16f620c5d12f35569a9d70c8f23bf5"),
        )

    def test_what_is_asked_can_be_left_out(self):
        world = {"playbook": "a", "goal:ask:x": "b"}
        self.assertEqual(looop.hash_without_asks({**world, "ask:1": "c"}), looop.world_hash(world))
        self.assertNotEqual(looop.hash_without_asks(world), looop.hash_without_asks({"playbook": "a"}))

    def test_what_has_changed(self):
        before = looop.baseline_of({"goal:a": item(1), "goal:b": item(2), "goal:c": item(3)})
        after = {"goal:c": item(3), "goal:b": item(5), "goal:d": item(4)}
        self.assertEqual(
            looop.diff(before, after),
            [looop.Change("goal:a", 1, None), looop.Change("goal:b", 2, 5), looop.Change("goal:d", None, 4)],
        )
        self.assertEqual(looop.diff(before, {key: item(n) for n, key in enumerate(before, 1)}), [])
        self.assertEqual(looop.digests_of(before), {key: entry["digest"] for key, entry in before.items()})

    def test_only_what_had_ended_goes_quietly(self):
        for key, value, told in (
            *(("worker:w", {"state": state}, state in looop.ALIVE_STATES) for state in ("running", "exited", "lost")),
            *(("goal:w", {"state": "exited"}, True), ("worker:w", None, False)),
        ):
            self.assertEqual(bool(looop.diff(looop.baseline_of({key: item(value)}), {})), told, (key, value))
        changed = looop.diff(looop.baseline_of({"worker:w": item({"state": "exited"})}), {"worker:w": item({})})
        self.assertEqual(len(changed), 1)

    def test_what_an_act_wrote_wakes_nobody(self):
        before = looop.baseline_of({"goal:a": item(1), "goal:b": item(2), "sensor:s": item(3)})
        after = looop.with_writes(before, {"goal:a": item(9), "goal:n": item(8), "sensor:s": None})
        self.assertEqual(after, looop.baseline_of({"goal:b": item(2), "goal:a": item(9), "goal:n": item(8)}))
        self.assertEqual(len(before), 3)

    def test_changes_are_told_in_sentences(self):
        running = {"state": "running", "exit_code": None, "flag": None, "verify": None}
        ended = {**running, "state": "exited", "exit_code": 0}
        ask = {"kind": "ask", "question": "Which?", "state": "open"}
        proposal = {"kind": "proposal", "question": "may I?", "command": "git push", "state": "open"}
        for change, words in (
            (("playbook", "1 line", "2 lines"), "PLAYBOOK changed"),
            (("playbook", "1 line", None), "PLAYBOOK was removed"),
            (("goal:ship:v2", None, "1 line"), "goal ship:v2 is new"),
            (("goal:a", "1 line", {"unreadable": "Is a directory"}), "goal a cannot be read: Is a directory"),
            (("goal:a", {"unreadable": "Is a directory"}, "1 line"), "goal a can be read again"),
            (("sensor:ci", {"failing": 0, "on": "main"}, {"failing": 7, "on": "main"}), "sensor ci: failing 0 → 7"),
            (("sensor:ci", {"x": 1}, {"y": 1}), "sensor ci: x 1 → null, y null → 1"),
            (("sensor:ci", None, {"open": [1, 2], "ok": True}), "sensor ci is new: open [1, 2], ok true"),
            (("sensor:ci", 0, 0.5), "sensor ci: 0 → 0.5"),
            (("sensor:ci", "", "red"), "sensor ci: empty → red"),
            (("sensor:ci", {"a": 1}, [1]), "sensor ci: a 1 → [1]"),
            (("sensor:ci", {"a": 1}, {"error": "exit 3"}), "sensor ci fails: exit 3"),
            (("sensor:ci", {"error": "exit 3"}, {"a": 1}), "sensor ci works again: a 1"),
            (("sensor:ci", {"a": 1}, None), "sensor ci has no signal any more"),
            (("worker:w", None, running), "worker w started"),
            (("worker:w", None, {**running, "flag": "help"}), "worker w started, flagged: help"),
            (("worker:w", running, {**running, "flag": "help"}), "worker w is flagged: help"),
            (("worker:w", {**running, "flag": "help"}, running), "worker w is no longer flagged"),
            (("worker:w", running, {**ended, "verify": "pass"}), "worker w ended with 0, its check passed"),
            (("worker:w", {**ended, "verify": "pending"}, {**ended, "verify": "fail"}), "worker w: its check failed"),
            (("worker:w", running, {**ended, "state": "killed", "exit_code": None}), "worker w was killed"),
            (("worker:w", running, {**ended, "state": "lost", "exit_code": None}), "worker w was lost"),
            (("worker:w", ended, running), "worker w started again"),
            (("worker:w", running, None), "worker w was removed"),
            (("worker:w", "odd\x1b", {**running, "flag": "a\x1b\nb"}), "worker w started again, flagged: a\\x1b b"),
            (("ask:1", None, ask), "ask 1 is open: Which?"),
            (("ask:1", ask, {**ask, "state": "answered", "answer": "a: b"}), "ask 1 was answered: a: b"),
            (
                ("ask:1", ask, {**ask, "state": "answered", "verdict": "rejected", "answer": "rejected: no"}),
                "ask 1 was rejected: no",
            ),
            (("ask:1", ask, {**ask, "state": "stranded"}), "ask 1: its worker has ended"),
            (("ask:1", {**ask, "state": "answered"}, None), "ask 1 was read"),
            (("ask:1", ask, None), "ask 1 was withdrawn"),
            (("ask:2", proposal, {**proposal, "state": "answered", "answer": "approved"}), "ask 2 was approved"),
            (("ask:2", proposal, {**proposal, "verdict": "answered", "answer": "again"}), "ask 2 was answered: again"),
        ):
            self.assertEqual(looop.change_told(looop.Change(*change)), words)
        deep = {"jobs": [{"name": "x" * 50, "steps": {"of": [1, 2]}}] * 9}
        told = looop.change_told(looop.Change("sensor:ci", {"jobs": []}, deep))
        self.assertTrue(told.startswith("sensor ci: jobs [] → [(name xxxx"), told)
        self.assertTrue(told.endswith("…") and len(told) < 100, told)
        wide = looop.change_told(looop.Change("sensor:ci", {"jobs": []}, deep), wide=True)
        self.assertTrue(wide.startswith(told[:-1]) and 300 < len(wide) < 400, wide)

    def test_a_gate_is_told(self):
        for gate, words in (
            (looop.Verdict("paused", "pass"), "not paused"),
            (
                looop.Verdict("paused", "hold", "by a person: lunch"),
                "paused by a person: lunch: held until 12:00",
            ),
            (looop.Verdict("unchanged", "pass", "goal a changed"), "world changed"),
            (looop.Verdict("unchanged", "hold", "the world is as it was"), "world unchanged: held until 12:00"),
            (looop.Verdict("backoff", "pass", "2 failures; waited"), "no backoff"),
            (
                looop.Verdict("backoff", "hold", "2 failures: exit 1"),
                "backing off: 2 failures: exit 1: held until 12:00",
            ),
            (looop.Verdict("budget", "pass", "$1 spent"), "$1 spent"),
            (looop.Verdict("budget", "hold", "$9 spent; raise it"), "$9 spent; raise it: held until 12:00"),
        ):
            self.assertEqual(looop.gate_told(gate.__dict__, "12:00"), words)

    def test_readings(self):
        reading = looop.Reading("s", "ok", b'{"signal":[1],"detail":2}', "d", 0.0, 0.0)
        self.assertEqual(looop.signal_item(reading), looop.Item("d", [1]))
        self.assertEqual(looop.signal_item(reading.replace(text=b'{"a":1}')), looop.Item("d", {"a": 1}))


class Readings(unittest.TestCase):
    def test_each_end_of_a_sensor(self):
        def end(out=b"", code=0, why="exit", err=b""):
            return looop.reading_of(looop.ProcessResult("s", code, why, out, err, 1.26), 10, 2.5)

        for ended, words, detail in (
            (end(why="spawn", err=b"no such file"), "cannot start: no such file", {"stderr": ""}),
            (end(why="timeout", out=b"x", err=b"e"), "timeout after 2.5 s", {"stderr": "e"}),
            (end(why="overflow"), "output over 10 bytes", {"stderr": ""}),
            (end(code=-9, out=b"x"), "signal 9", {"stderr": "", "stdout": "x"}),
            (end(), "no output", {"stderr": ""}),
            (end(b" \n", code=4), "exit 4", {"stderr": "", "stdout": " \n"}),
            (end(b"word", code=4), "exit 4", {"stderr": "", "stdout": "word"}),
            (end(b"two\nlines", code=4), "exit 4", {"stderr": "", "stdout": "two\nlines"}),
            (end(b"{}", code=1), "exit 1", {"stderr": "", "stdout": "{}"}),
            (end(b"{"), "not JSON", {"stderr": "", "stdout": "{"}),
            (end(b"two\nlines"), looop._NOT_A_READING, {"stderr": "", "stdout": "two\nlines"}),
            (end(b'note {"a":1}', code=1), looop._NOT_FIRST, {"stderr": "", "stdout": 'note {"a":1}'}),
            *(
                (end(w), "not a JSON object", {"stderr": "", "stdout": w.decode()})
                for w in (b"true", b"false", b"null")
            ),
            *(
                (end(w), "not a JSON object", {"stderr": "", "stdout": w.decode()})
                for w in (b"5", b'"x"', b"[]", b"-1")
            ),
        ):
            error = {"signal": {"error": words}, "detail": {**detail, "secs": 1.3}}
            self.assertEqual(ended, ("error", error))
        for levels, status in ((looop.NESTING_MAX, "ok"), (looop.NESTING_MAX + 1, "error")):  # the number is one too
            self.assertEqual(end(b'{"a":' * (levels - 1) + b"1" + b"}" * (levels - 1))[0], status)
        self.assertEqual(end(b"[" * 100_000)[1]["signal"], {"error": looop.TOO_DEEP})
        for code, status in enumerate(("OK", "WARNING", "CRITICAL", "UNKNOWN")):
            plugin = {"signal": {"status": status}, "detail": {"text": "fine", "perfdata": "a=1"}}
            self.assertEqual(end(b"fine | a=1\n", code=code), ("plugin", plugin))
        self.assertEqual(end(b'{"signal":{"error":"x"}}'), ("error", {"signal": {"error": "x"}}))
        tail = looop.error_reading("x", looop.ProcessResult("s", 1, "exit", b"o" * 1001, b"a" + b"e" * 1000, 0.0))[
            "detail"
        ]
        self.assertEqual((tail["stderr"], tail["stdout"]), ("e" * 1000, "o" * 1000))

    def test_the_digest_is_that_of_the_signal(self):
        one, other = {"signal": {"a": 1, "b": [2]}, "detail": "x"}, {"detail": "y", "signal": {"b": [2], "a": 1}}

        def digest(reading):
            return looop.judged(script, "ok", reading, b"", 0.0).digest

        script = looop.Script("s", "/s", "", looop.SensorOptions(), looop.NOT_KNOWN, None, 0.0)
        self.assertEqual(digest(one), digest(other))
        self.assertEqual(digest(one), digest({"a": 1, "b": [2]}), "no signal: the whole")
        self.assertEqual(digest([]), looop.digest_of(b"[]"))
        self.assertEqual(digest({"signal": None}), looop.digest_of(b"null"))
        for reading in (["signal"], "signal", 5, None, {"other": 1}):
            self.assertEqual(looop.signal_of(reading), reading)
        self.assertEqual(looop.digest_of(b""), "e3b0c44298fc1c149afbf4c8996fb924")

    def test_options(self):
        head = b"#!/bin/sh\n# looop:interval=5m and looop:timeout=2s looop:trust=trusted\n# looop:x=1 looop:trust=me\n"
        options = looop.sensor_options(head + b"# looop:timeout=soon\ndate\n# looop:interval=1\n")
        self.assertEqual((options.interval, options.timeout, options.asks_trust), (300.0, 2.0, True))
        self.assertEqual(len(options.problems), 3)
        self.assertEqual(options.problems[:2], ("looop:x=1 means nothing", "looop:trust=me means nothing"))
        self.assertEqual(
            looop.sensor_options(b"# looop:other=trusted\n").problems, ("looop:other=trusted means nothing",)
        )
        self.assertFalse(looop.sensor_options(b"# looop:trust=untrusted\n").asks_trust)
        none = looop.sensor_options(b"date\n")
        self.assertEqual((none.interval, none.timeout, none.asks_trust, none.problems), (0.0, None, False, ()))
        self.assertEqual(looop.sensor_options(b"#"), looop.SensorOptions())

    def test_a_damaged_one_says_so(self):
        self.assertEqual(looop.parsed_reading(b'{"signal":1}'), {"signal": 1})
        for text in (b"", b"{", b"[]", b"3", b"\xff"):
            self.assertEqual(looop.parsed_reading(text), {"signal": {"error": "its snapshot is damaged"}}, text)


class Metering(unittest.TestCase):
    def test_objects_of_an_output(self):
        whole = '{\n"a": 1\n}'
        for output, objects in (
            *(("", []), ("no {}", []), ("[1]", []), ("{", []), ("{\n", []), (whole, [{"a": 1}]), (whole + "x", [])),
            *(('x\n {"a":1}\n{bad\n{"b":2}', [{"a": 1}, {"b": 2}]), ('{"a":\n{"b":2}\n}', [{"a": {"b": 2}}])),
            *(('[{"a":1},2,{"b":2}]', [{"a": 1}, {"b": 2}]), ('x\n[{"a":1}]\n[\n', [{"a": 1}])),
            ('[\n{"a":1},\n{"b":2}\n]', [{"a": 1}, {"b": 2}]),
        ):
            self.assertEqual(looop.stream_objects(output), objects, output)

    def test_errors_of_codex(self):
        turn = '{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":2,"cached_input_tokens":3}}'
        for lines, error in (
            (('{"type":"error","message":"limit"}',), "limit"),
            (('{"type":"error"}',), "error"),
            (('{"type":"error","message":"limit"}', turn), ""),
            ((turn, '{"type":"turn.failed"}'), "turn failed"),
        ):
            metered = looop.meter("\n".join(('{"type":"thread.started"}', *lines)), "codex")
            self.assertEqual((metered.error, metered.streamed), (error, True), lines)
        self.assertEqual(looop.meter('{"type":"thread.started"}\n' + turn, "codex").usage["input"], 0)

    def test_rows(self):
        metered = looop.RunnerOutput("x", "", 0.5, {"input": 3}, "m")
        runner = looop.Runner("pi", "typed", "pi -p")
        row = looop.cost_row("t", "tick-1", "", runner, metered)
        self.assertEqual(
            row,
            {
                **{"ts": "t", "kind": "tick", "id": "tick", "runner": "pi", "cmd": looop.digest_of(b"pi -p")[:8]},
                **{"model": "m", "cost_usd": 0.5, "usage": {"input": 3}, "run": "tick-1"},
            },
        )
        row = looop.cost_row("t", "r", "ship", runner.replace(unmetered=True), looop.RunnerOutput("x"))
        self.assertEqual(
            (row["kind"], row["id"], row["unmetered"], row["model"], row["cost_usd"]),
            ("goal", "ship", True, None, None),
        )
        self.assertNotIn("usage", row)
        self.assertNotEqual(looop.command_mark(runner), looop.command_mark(runner.replace(tick="pi")))
        for command, model in (
            *(("x -m gpt", "gpt"), ("x --model=gpt -", "gpt"), ("x --model 'gpt'; y", "gpt"), ("x -m", "")),
            *(("x", ""), ("(x -m gpt)", "gpt"), ("x --models gpt", "")),
        ):
            self.assertEqual(looop.model_named(command), model, command)


class Gates(unittest.TestCase):
    state = {"hash": "h", "noop_at": None, "during": None, "failure": None, "again": None}

    def reason(self, changes=(), forced="", now=100.0, ttl=10.0, **state):
        return looop.reason_of({**self.state, **state}, changes, forced, now, ttl)

    def test_why_a_beat_decides(self):
        changes = [looop.Change(f"goal:{name}", None, name) for name in "abcde"]
        self.assertEqual(self.reason(), "")
        self.assertEqual(self.reason(changes, forced="g"), "forced: goal g")
        self.assertEqual(self.reason(changes, hash=""), "first beat")
        self.assertEqual(self.reason(changes[:1]), "goal a is new")
        self.assertEqual(self.reason(changes[:3]), "goal a is new; goal b is new; goal c is new")
        self.assertEqual(self.reason(changes[:4]), self.reason(changes[:3]) + "; and 1 more")
        self.assertEqual(self.reason(changes), self.reason(changes[:3]) + "; and 2 more")
        during = {"run": "tick-1", "keys": ["goal:b"]}
        self.assertEqual(self.reason(changes[:2], during=during), "goal a is new; goal b is new (while tick-1 decided)")

    def test_a_noop_grows_old(self):
        for at, now, ttl, old in (
            *((100.0, 100.0, 10.0, False), (100.0, 109.9, 10.0, False), (100.0, 110.0, 10.0, True)),
            *((100.0, 99.0, 10.0, True), (100.0, 1e9, 0, False), (0.0, 5.0, 10.0, False), (None, 1e9, 10.0, False)),
        ):
            self.assertEqual(bool(self.reason(now=now, ttl=ttl, noop_at=at)), old, (at, now, ttl))
        self.assertEqual(self.reason(now=900.0, noop_at=1.0, ttl=600.0), "noop older than 10 m")

    def test_when_an_unchanged_world_is_decided_on(self):
        turn = {"seen": 10.0, "served": None, "deferred": None}
        state = {**self.state, "again": {"at": 5.0, "why": "x"}, "noop_at": 20.0, "turns": {"a": turn, "b": turn}}
        due = [(5.0, ": x"), (80.0, ", when the noop is 1 m old"), (110.0, ", when goal a is overdue")]
        self.assertEqual(looop.decisions_due(state, 60.0, 100.0), due)
        self.assertEqual(looop.decisions_due({**self.state, "turns": {"a": turn}}, 0, 0), [])

    def test_a_move_earns_one_decision_and_circles_are_slowed_down(self):
        again = {"at": 100.0, "why": "the result of the last shell move"}
        for now, due in ((99.0, False), (100.0, True), (1e6, True), (100.0 - 3601, True)):
            self.assertEqual(bool(self.reason(now=now, again=again)), due, now)
        self.assertEqual(self.reason(again=again), again["why"])
        change = looop.Change("goal:a", None, "x")
        self.assertEqual(self.reason([change], again=again), "goal a is new")
        self.assertIsNone(looop.earned_decision(None, False, 0, 5.0))
        self.assertEqual(looop.earned_decision(None, True, 0, 5.0), {"at": 5.0, "why": again["why"]})
        self.assertEqual(looop.earned_decision(300, True, 0, 5.0)["at"], 305.0, "the decider said when")
        waits = [looop.earned_decision(5, False, count, 0.0)["at"] for count in range(14)]
        self.assertEqual(waits, [5.0] * 6 + [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0])
        self.assertEqual(looop.earned_decision(300, False, 7, 0.0)["at"], 300.0)

    def test_unchanged_and_paused(self):
        self.assertEqual(looop.unchanged_gate("x"), looop.Verdict("unchanged", "pass", "x"))
        self.assertEqual(looop.unchanged_gate("").verdict, "hold")
        self.assertEqual(looop.paused_gate(None), looop.Verdict("paused", "pass"))
        held = looop.Verdict("paused", "hold", "by a person: lunch", 5.0)
        self.assertEqual(looop.paused_gate({"why": "lunch", "until": 5.0}), held)
        self.assertEqual(looop.paused_gate({"why": "", "until": None}).detail, "by a person")
        self.assertEqual(looop.quiet_gate("Sat", 5.0, ""), looop.Verdict("quiet", "hold", "Sat", 5.0))
        self.assertEqual(looop.quiet_gate("Sat", 5.0, "a").detail, "quiet hours; a person asks")
        self.assertEqual(looop.quiet_gate("Sat", 0.0, ""), looop.Verdict("quiet", "pass", "no quiet hours now"))

    def test_backoff(self):
        failure = {"count": 2, "until": 400.0, "policy": "p", "reason": "it broke"}

        limits = {}

        def gate(policy="p", forced="", now=300.0, runner="pi"):
            verdict = looop.backoff_gate({"failure": failure, "limits": limits}, policy, forced, now, runner)
            self.assertEqual(verdict.gate, "backoff")
            return verdict.verdict, verdict.detail, verdict.until

        self.assertEqual(
            looop.backoff_gate({"failure": None, "limits": {}}, "p", "", 0.0), looop.Verdict("backoff", "pass")
        )
        self.assertEqual(gate(), ("hold", "2 failures: it broke", 400.0))
        self.assertEqual(gate(now=399.9)[0], "hold")
        self.assertEqual(gate(now=100.0)[0], "hold")
        self.assertEqual(gate(now=400.0), ("pass", "2 failures; waited", None))
        self.assertEqual(gate(now=99.9)[0], "pass", "the clock was set back")
        self.assertEqual(gate(forced="g"), ("pass", "2 failures; a person asks", None))
        self.assertEqual(gate(policy="q"), ("pass", "2 failures; PLAYBOOK or goals were edited since", None))
        failure.update(limit="pi", until=300.0 + 7 * 86400)
        limits["pi"] = {"until": failure["until"], "policy": "p"}
        self.assertEqual(gate(), ("hold", "pi's usage limit", 300.0 + 7 * 86400))
        self.assertEqual(gate(runner="claude"), ("pass", "2 failures; the limit is pi's", None))
        self.assertEqual((gate(forced="g")[0], gate(policy="q")[0], gate(now=1e6)[0]), ("pass", "pass", "pass"))
        self.assertEqual(gate(now=-26 * 86400.0)[0], "pass", "the clock was set back")
        waits = [looop.backoff_after(count) for count in (1, 2, 3, 4, 5, 10**6)]
        self.assertEqual(waits, [60.0, 120.0, 240.0, 300.0, 300.0, 300.0])

    def test_what_a_policy_is(self):
        policy = {"playbook": "a", "goal:x": "b"}
        digest = looop.policy_digest(policy)
        self.assertEqual(looop.policy_digest({**policy, "sensor:goal": "c", "ask:1": "d"}), digest)
        for key in policy:
            self.assertNotEqual(looop.policy_digest({**policy, key: "z"}), digest)

    def test_decides_per_hour(self):
        gate = looop.decides_gate([30.0, 20.0, 10.0], 3)
        self.assertEqual((gate.gate, gate.verdict, gate.until), ("decides", "hold", 3610.0))
        self.assertIn("3 decisions in the last hour, of 3; raise", gate.told)
        self.assertEqual(looop.decides_gate([30.0, 20.0, 10.0], 2).until, 3620.0)
        passed = looop.decides_gate([30.0], 2)
        self.assertEqual(passed, looop.Verdict("decides", "pass", "1 decision in the last hour, of 2"))
        self.assertEqual(looop.decides_gate([], 0).until, None)

    def test_the_budget(self):
        runner = looop.Runner("pi", "typed")

        def gate(limit=10, runner=runner, **spend):
            plain = {"today": 0.0, "unknown_today": 0, "reserve": 0.0, "unknown_in_a_row": 0, "tomorrow": 7.0}
            return looop.budget_gate(looop.Spend(**{**plain, **spend}), runner, limit)

        self.assertEqual(gate(), looop.Verdict("budget", "pass", "$0.00 spent today, of $10.00"))
        self.assertEqual(gate(today=9.5, reserve=0.5).verdict, "pass")
        held = gate(today=9.5, reserve=0.75)
        self.assertEqual((held.verdict, held.until), ("hold", 7.0))
        self.assertIn("$9.50 spent today, and about $0.75 for a decision would pass $10.00; raise", held.told)
        self.assertEqual(gate(limit=0).verdict, "hold")
        self.assertEqual(gate(limit=0.01).verdict, "pass")
        guessed = gate(today=1.0, unknown_today=2, reserve=3.0)
        self.assertEqual(guessed.detail, "$7.00 spent today (2 unknown prices guessed at $3.00 each), of $10.00")
        self.assertEqual((guessed.verdict, gate(today=1.1, unknown_today=2, reserve=3.0).verdict), ("pass", "hold"))
        self.assertEqual(gate(unknown_in_a_row=2).verdict, "pass")
        unknown = gate(unknown_in_a_row=3)
        self.assertEqual((unknown.verdict, unknown.until), ("hold", None))
        self.assertIn("3 decisions of pi in a row of unknown price; say what it costs", unknown.told)
        paid = runner.replace(unmetered=True)
        for free in (paid, looop.Runner("builtin", "builtin")):
            self.assertEqual(gate(runner=free, limit=0, today=99.0, unknown_in_a_row=9).verdict, "pass")
        self.assertEqual([looop.median(values) for values in ([], [5], [9, 1], [3, 1, 2])], [0.0, 5, 5.0, 2])


class Ledger(Case):
    def setUp(self):
        super().setUp()
        self.profile()
        self.opened = looop.open_profile(self.env, "looop")

    def rows(self, since):
        return [row["n"] for row in looop.recent_rows(self.opened, since)]

    def test_prices_that_are_not_known_are_counted(self):
        rows = [{"cost_usd": cost} for cost in (0.1, 0.2, 0, None, "1", -1, True, 1e9, float("nan"))]
        rows += [{}, {"cost_usd": None, "unmetered": True}, {"cost_usd": 0.7, "unmetered": True}]
        self.assertEqual(looop.spend_of(rows), (1.0, 12, 7))
        self.assertEqual(looop.spend_of([]), (0.0, 0, 0))
        self.assertEqual(looop.spend_of([{"cost_usd": 0.1}] * 10)[0], 1.0)

    def test_when_a_row_was_written(self):
        self.assertEqual(looop.row_time({"ts": "1970-01-02T00:00:00Z"}), 86400.0)
        for row in ({}, {"ts": None}, {"ts": "yesterday"}, {"ts": 5}):
            self.assertEqual(looop.row_time(row), float("inf"))

    def test_rows_newest_first_as_far_as_they_are_wanted(self):
        written = [{"ts": looop.utc_text(60.0 * n), "n": n} for n in range(5)]
        with open(self.path("cost.jsonl"), "w") as file:
            file.write("".join(json.dumps(row) + "\n" for row in written) + '[1]\nnot JSON\n{"ts"\n')
        self.assertEqual(self.rows(0), [4, 3, 2, 1, 0])
        self.assertEqual(self.rows(120.0), [4, 3, 2])
        self.assertEqual(self.rows(120.5), [4, 3])

    def test_a_clock_that_was_off_hides_no_row(self):
        for old, found in ((looop.OLD_ROWS_ENOUGH, [1, 0]), (looop.OLD_ROWS_ENOUGH + 1, [1])):
            ages = [(900.0, 0), *[(0.0, 9)] * old, (900.0, 1), *[(0.0, 9)] * 3]
            with open(self.path("cost.jsonl"), "w") as file:
                file.write("".join(json.dumps({"ts": looop.utc_text(at), "n": n}) + "\n" for at, n in ages))
            self.assertEqual(self.rows(500.0), found)

    def test_as_many_old_rows_at_the_end_hide_what_stands_before_them(self):
        for old, found in ((looop.OLD_ROWS_ENOUGH, [0]), (looop.OLD_ROWS_ENOUGH + 1, [])):
            with open(self.path("cost.jsonl"), "w") as file:
                for at, n in [(900.0, 0), *[(0.0, 9)] * old]:
                    file.write(json.dumps({"ts": looop.utc_text(at), "n": n}) + "\n")
            self.assertEqual(self.rows(500.0), found)

    def test_a_row_is_on_the_disk_before_anything_else_happens(self):
        synced = []
        if not os.path.isdir("/proc/self/fd"):
            self.skipTest("needs /proc to know which file is synced")
        self.addCleanup(setattr, os, "fsync", os.fsync)
        os.fsync = lambda fd, sync=os.fsync: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd))
        looop.record_cost(self.opened, {"ts": "x"})
        self.assertEqual(synced, [self.path("cost.jsonl")])

    def test_a_row_that_cannot_be_written_stops_all(self):
        looop.record_cost(self.opened, {"ts": "x", "id": "ü"})
        self.assertEqual(self.read("cost.jsonl"), '{"ts":"x","id":"\\u00fc"}\n')
        looop.remove_file(self.path("cost.jsonl"))
        looop.make_private_dir(self.path("cost.jsonl"))
        with self.assertRaisesRegex(looop.Failure, "^cost.jsonl: Is a directory"):
            looop.record_cost(self.opened, {})
