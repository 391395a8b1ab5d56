"""The beat and other machines: syncs, workers there, their questions, costs and claims; links that are down."""

import contextlib
import io
import json
import os
import time
import unittest

import looop
from tests.support import Case, heavy, longest, wait_until
from tests.test_far import FarCase


class Told(Case):
    """What a sync tells, as values."""

    def opened(self):
        self.profile(config={"where": {"gpu": "false"}})
        os.makedirs(self.path("where"), mode=0o700)
        return looop.open_profile(self.env, looop.__file__)

    def test_a_session_is_told_and_read_again(self):
        rest = ("prompt", "", 7.0)
        hooks = looop.AgentState("asking", "may I?", 9.0, rest, "conv", "/t", 0.5)
        more = {"generation": 5.5, "hooks": hooks, "note": "look", "raised": 8.0, "cost_usd": 0.5, "tainted": True}
        stamp = "2026-01-02T03:04:05Z"
        session = looop.Session("w", kind="worker", state="running", started_at=stamp, changed=stamp, **more)
        told = json.loads(looop.exact_line(looop.told_session(session, screen="$", dialog="")))
        where = looop.Where("gpu", now=100.0, since=50.0)
        found = looop.far_session(where, told)
        fields = {"where": "gpu", "read_at": 100.0, "unreachable": 50.0, "far": {"screen": "$", "dialog": ""}}
        expected = session.replace(id="gpu:w", **fields)
        self.assertEqual(found.replace(far={}), expected.replace(far={}))
        self.assertEqual((found.far["screen"], found.far["dialog"]), ("$", ""))
        now = looop.turn_of(found, 100.0 + looop.DAY)
        self.assertEqual(now, looop.turn_of(found, 100.0), "time does not go on while it is not looked at")
        for odd in ({}, {"id": "w"}, {**told, "id": "../w"}, {**told, "state": 1}, {**told, "raised": "x"}):
            self.assertIsNone(looop.far_session(where, odd), odd)

    def test_rows_of_a_ledger_come_over_once_whatever_is_torn(self):
        here, there = self.opened(), os.path.join(self.home, "there")
        os.mkdir(there, 0o700)
        far = looop.open_profile({**self.env, "LOOOP_DATA_DIR": there}, looop.__file__)
        rows = []
        for number in range(40):
            kind, at = ("tick", "session")[number % 4 > 0], looop.utc_text(time.time() - number)
            rows.append({"ts": at, "kind": kind, "id": f"w{number}", "runner": "r", "cost_usd": 1.0, "x": "ä" * number})
        for count, row in enumerate(rows):
            looop.record_cost(far, row)
            sizes = {}
            for path in looop.ledgers(here)[:-1]:
                if count % 3 == 2:
                    os.truncate(path, os.path.getsize(path) - count)  # a beat was killed while it appended
                sizes[os.path.basename(path).partition(".")[0]] = os.path.getsize(path)
            told = json.loads(looop.exact_line(looop.ledger_for_others(far, sizes)))
            looop.take_rows(here, told)
            looop.take_rows(here, told)  # of another `where` of the same machine
        found = [row["id"] for row in looop.recent_rows(here, 0.0)]
        self.assertEqual(found[::-1], [row["id"] for row in rows if row["kind"] == "session"])
        costs = looop.cost_summary(here, "all", time.time())
        self.assertEqual((costs["total_usd"], costs["torn_lines"], list(costs["by"]["kind"])), (30.0, 0, ["session"]))
        self.assertEqual(looop.spend_for(here, looop.BUILTIN, time.time())[0].today, 30.0)

    def test_an_ask_there_and_what_goes_out(self):
        here = self.opened()
        ask = {**dict.fromkeys(looop._ASK_KEYS), "n": 3, "kind": "ask", "session": "w", "question": "which?"}
        ask.update(at="2026-01-02T03:04:05Z", state="open", waits=True, options=["red", "blue"])
        looop.write_where(here, looop.Where("gpu", 1.0, 1.0, asks=(ask, {"n": "3"}, {**ask, "n": 4})))
        self.assertEqual([told["n"] for told in looop.current_asks(here)], ["gpu:3", "gpu:4"])
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertTrue(looop.keep_answer(here, "gpu", ["answer", "3", "r"]))
        self.assertIn("gpu cannot be reached", said.getvalue())
        self.assertFalse(looop.keep_answer(here, "gpu", ["answer", "5", "r"]))
        self.assertFalse(looop.keep_answer(here, "gpu", ["kill", "w"]))
        out = looop.sync_request(here, looop.read_where(here, "gpu"))["out"]
        self.assertEqual(out, [{"n": 3, "verdict": "answered", "text": "red"}])
        first, second = looop.current_asks(here)
        self.assertEqual((first["state"], first["answer"], second["state"]), ("answered", "red", "open"))
        looop.archive_read(here, [["gpu:4", "x"], ["gpu:9", "x"]])
        looop.archive_read(here, [["gpu:4", "x"]])
        self.assertEqual(len(looop.read_out(here, "gpu")), 2)
        self.assertEqual([told["n"] for told in looop.current_asks(here)], ["gpu:3"])
        looop.change_out(here, "gpu", drop=out)
        self.assertEqual(looop.read_out(here, "gpu"), [{"n": 4, "read": "x"}])


class Unreachable(Case):
    """A machine that does not answer is a reading."""

    def test_its_fall_and_its_return_are_one_decision_each_and_nothing_is_said_dead(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop", "why": "w"}, where={"gpu": "false"})
        stamp, now = looop.utc_text(time.time()), time.time()
        worker = looop.Session("w", kind="worker", state="running", started_at=stamp, changed=stamp, generation=now)
        told = looop.told_session(worker.replace(last_output=now, last_text=now))
        claim = {"name": "issue-1", "session": "w", "at": now}
        here = looop.open_profile(self.env, looop.__file__)
        os.makedirs(self.path("where"), mode=0o700)
        looop.write_where(here, looop.Where("gpu", now, now, sessions=(told,), claims=(claim,)))
        self.assertEqual(self.tick()["outcome"], "noop")  # the first beat; it fails for the first time: a hiccup
        self.assertEqual(self.tick()["outcome"], "noop")
        self.assertIn("gpu is unreachable", self.prompt())
        self.assertEqual(self.tick()["outcome"], "unchanged")
        self.assertEqual(len(self.ledger()), 2)
        self.assertEqual(self.json("where", "gpu.json")["fails"], 3, "then it is tried once a minute")
        row = json.loads(self.looop("ls", "--json"))[0]
        self.assertEqual((row["id"], row["where"], row["alive"], row["health"]), ("gpu:w", "gpu", True, "busy"))
        self.assertEqual(row["claims"], ["issue-1"])
        self.assertIn("gpu cannot be reached since", self.looop("status"))
        self.replies({"move": "start_worker", "id": "x", "prompt": "p", "where": "gpu"}, where={"gpu": "false"})
        self.assertIn("cannot be reached", self.beat()["reason"])


class Elsewhere(FarCase):
    """A loop here whose workers are there."""

    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})
        self.there_config({"default": "pi", "runners": {"pi": {"interactive": "sh -c cat {{prompt_file}}"}}})
        self.does({"move": "noop", "why": "w"})

    def there_config(self, config):
        os.makedirs(os.path.join(self.there, ".config"))
        with open(os.path.join(self.there, ".config", "looop.json"), "w") as file:
            json.dump(config, file)

    def does(self, move):
        self.gate = {"worker": "never"}
        self.replies(move, where={"gpu": self.prefix()}, interactive="cat {{prompt_file}}")

    def far(self, *words, **options):
        return self.looop(*words, env={"HOME": self.there, "LOOOP_DATA_DIR": self.far_path()}, **options)

    @heavy
    def test_a_worker_there_by_a_move(self):
        start = {"move": "start_worker", "id": "w", "where": "gpu", "prompt": "do it", "runner": "pi"}
        self.does(start)
        out = self.beat()
        self.assertIn("started worker gpu:w: do it", out["journal"])
        self.does({"move": "noop", "why": "w"})
        self.assertEqual(self.tick()["outcome"], "unchanged", "what looop itself has started wakes nobody")
        self.assertIn("gpu:w", self.looop("ls"))
        self.assertEqual(self.rows()["w"]["state"], "running")

    @heavy
    def test_its_question_its_end_and_its_cost(self):
        self.far("start-session", "w", "p", "--command", 'a=$(looop ask "which?"); echo "<$a>" > "$HOME/said"; exit 4')
        wait_until(lambda: os.path.exists(self.far_path("asks", "1.json")), "the question")
        self.tick()
        ask = json.loads(self.looop("asks", "--json"))[0]
        self.assertEqual((ask["n"], ask["where"], ask["session"], ask["question"]), (1, "gpu", "gpu:w", "which?"))
        prefix, gone = self.prefix(), "false"
        self.replies({"move": "noop", "why": "w"}, where={"gpu": gone})
        self.assertIn("gpu cannot be reached", self.looop("answer", "gpu:1", "the left one"))
        self.assertEqual(self.looop("asks").count("the left one"), 1)
        self.replies({"move": "noop", "why": "w"}, where={"gpu": prefix})
        self.tick()
        wait_until(lambda: os.path.exists(os.path.join(self.there, "said")), "the answer")
        with open(os.path.join(self.there, "said")) as file:
            self.assertEqual(file.read(), "<the left one>\n")
        self.far("cost", "add", "session", "w", "pi", "0.42")
        wait_until(lambda: not self.rows()["w"]["alive"], "its end")
        outcomes = [self.tick()["outcome"] for _ in range(3)]
        self.assertEqual(outcomes, ["noop", "unchanged", "unchanged"])
        self.assertIn("worker gpu:w ended with 4", self.prompt())
        self.assertEqual(json.loads(self.looop("cost", "--json"))["by"]["kind"]["session"], 0.42)
        self.assertEqual(self.looop("asks"), "nothing is asked\n")

    @longest
    def test_typed_into_restarted_and_ended_by_moves(self):
        self.far("start-session", "w", "p", "--command", "cat")
        self.tick()
        self.does({"move": "send", "id": "gpu:w", "text": "hello there"})
        self.assertEqual(self.beat()["outcome"], "acted")
        self.far("expect", "w", "hello there")
        self.does({"move": "restart_worker", "id": "gpu:w"})
        self.assertEqual(self.beat()["outcome"], "acted")
        self.far("flag", "w", "what now?")
        self.assertIn("gpu:w", self.looop("report", "--output", "-"))
        self.does({"move": "send", "id": "gpu:w", "text": "yes"})
        self.assertEqual(self.beat()["outcome"], "proposed", "what is typed may answer what is asked there")
        self.does({"move": "kill_worker", "id": "gpu:w"})
        self.assertEqual(self.beat()["outcome"], "acted")
        self.assertFalse(self.rows()["w"]["alive"])
        self.does({"move": "kill_worker", "id": "gpu:nix"})
        self.assertEqual(self.beat()["outcome"], "failed")

    @longest
    def test_two_that_hang_cost_a_beat_one_deadline(self):
        hang = "sh -c 'exec sleep 3600'"
        self.replies({"move": "noop", "why": "w"}, where={"one": hang, "two": hang})
        out = self.tick(constants={"FAR_TIME": 3.0})
        self.assertEqual(out["outcome"], "noop")
        took = self.events("sense_done")[-1]["ms"]
        self.assertGreater(took, 2900)
        self.assertEqual([self.json("where", f"{name}.json")["fails"] for name in ("one", "two")], [1, 1])


if __name__ == "__main__":
    unittest.main()
