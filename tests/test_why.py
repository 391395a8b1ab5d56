"""Why: ten different wakes named exactly, from files alone; and replay, which notices one changed byte."""

import contextlib
import io
import json
import os
import shutil
import sys

import looop
from tests.support import Case, heavy, needs_walls, wait_until


class Why(Case):
    def why(self, run="last", **options):
        return json.loads(self.looop("why", run, "--json", **options))

    def caused(self, reason, keys):
        """Demand the cause of the last decide, here and in a copy of the profile elsewhere."""
        told = self.why()
        self.assertEqual(told["reason"], reason)
        self.assertEqual([change["key"] for change in told["changed"]], keys)
        elsewhere = os.path.join(self.home, "another machine")
        shutil.rmtree(elsewhere, ignore_errors=True)
        shutil.copytree(self.data, elsewhere)
        copied = json.loads(
            self.looop("why", told["run"], "--json", env={"LOOOP_DATA_DIR": elsewhere, "HOME": "/nonexistent"})
        )
        self.assertEqual(copied, told)
        shown = self.looop("why")
        for part in told["reason"].split("; "):
            self.assertEqual(shown.count(part), 1, shown)
        return told

    @heavy
    def test_ten_wakes(self):
        signal = os.path.join(self.home, "signal")
        self.profile(goals={"a": "one\n"}, sensors={"ci": f"cat {signal}"})
        self.write(signal, '{"signal":"green","detail":1}')
        self.replies({"move": "ask", "question": "Which?"})
        # 1 first beat
        self.tick()
        told = self.caused("first beat", ["goal:a", "playbook", "sensor:ci"])
        self.assertEqual((told["outcome"], told["move"]["move"]), ("acted", "ask"))
        self.replies({"move": "noop"})
        # 2 ask answered
        self.looop("answer", "1", "this")
        self.tick()
        told = self.caused(self.why()["reason"], ["ask:1"])
        self.assertEqual(told["reason"], "ask 1 was answered: this")
        # 3 goal edit
        self.write("goals/a.md", "one\ntwo\n")
        self.tick()
        self.caused("goal a changed", ["goal:a"])
        # 4 PLAYBOOK edit
        self.write("PLAYBOOK.md", "# PLAYBOOK\nmore\n")
        self.tick()
        self.caused("PLAYBOOK changed", ["playbook"])
        # 5 sensor signal
        self.write(signal, '{"signal":"red","detail":2}')
        self.tick()
        told = self.caused("sensor ci: green → red", ["sensor:ci"])
        self.assertEqual(told["changed"], [{"key": "sensor:ci", "old": "green", "new": "red"}])
        # 6 sensor error
        os.unlink(signal)
        self.tick()
        self.caused("sensor ci fails: exit 1", ["sensor:ci"])
        # 7 noop too old
        state = self.json("state.json")
        state["noop_at"] -= 7 * 3600
        self.write("state.json", json.dumps(state))
        self.tick()
        self.caused("noop older than 6 h", [])
        # 8 forced run
        self.replies({"move": "shell", "command": "true", "reversible": True})
        self.tick(words=("run", "a"))
        self.caused("forced: goal a", [])
        # 9 a person's edit during a run
        go = os.path.join(self.home, "go")
        self.runner(f'touch {go}.started; while [ ! -e {go} ]; do sleep 0.01; done; echo \'{{"move":"noop"}}\'')
        self.write("goals/b.md", "b\n")
        tick = self.start("tick", "--json")
        wait_until(lambda: os.path.exists(go + ".started"), "the runner")
        self.write("goals/a.md", "typed meanwhile\n")
        self.write("goals/c.md", "new meanwhile\n")
        self.write(go, "")
        run = json.loads(tick.communicate(timeout=120)[0])["run"]
        self.replies({"move": "noop"})
        self.tick()
        edited = f"goal a changed (while {run} decided)"
        self.caused(f"{edited}; goal c is new (while {run} decided)", ["goal:a", "goal:c"])
        # 10 sensor removed
        os.unlink(self.path("sensors/ci.sh"))
        self.tick()
        self.caused("sensor ci has no signal any more", ["sensor:ci"])
        self.assertEqual(self.tick()["outcome"], "unchanged")

    def test_now_for_a_quiet_a_changed_and_a_held_loop(self):
        self.looop("why", code=1)
        self.assertIn("there is no profile yet: looop tick makes one", self.stderr)
        self.profile(goals={"a": "0\n"}, sensors={"ci": "# x\necho '{}'"})
        self.replies({"move": "noop"})
        self.tick()
        before = self.tree()
        told = self.why("now")
        self.assertEqual(told["outcome"], "unchanged")
        self.assertTrue(told["reason"].startswith("unchanged since 20"))
        self.assertIn("a new signal of sensor ci", told["next"])
        self.assertTrue(any("when the noop is 6 h old" in line for line in told["next"]))
        for number in range(20):
            self.sensor(f"more-{number:02}", "# x\necho '{}'")
        self.tick()
        wakers = [line for line in self.why("now")["next"] if "sensor" in line]
        self.assertEqual(len(wakers), 1, "many sensors are a few names and a count")
        self.assertEqual(
            wakers[0], "a new signal of one of 21 sensors: ci, more-00, more-01, more-02, more-03 and 16 more"
        )
        before = self.tree()
        self.assertEqual(self.tree(), before, "explaining writes nothing")
        self.write("goals/a.md", "1\n")
        told = self.why("now")
        self.assertEqual((told["outcome"], told["next"]), ("would decide", ["the next beat decides"]))
        self.replies("no")
        self.tick()
        told = self.why("now")
        self.assertEqual(told["outcome"], "held")
        gate = next(gate for gate in told["gates"] if gate["verdict"] == "hold")
        self.assertEqual((gate["gate"], gate["until"][-1]), ("backoff", "Z"))
        self.assertIn("an edit of PLAYBOOK or goals", told["next"])
        self.assertIn("1 failure: the reply holds no JSON object", self.looop("why", "now"))
        told = self.why()
        self.assertEqual((told["outcome"], told["failure"]), ("failed", "the reply holds no JSON object"))
        self.looop("pause", "sleep")
        self.assertIn("looop resume", self.why("now")["next"])
        self.looop("why", "tick-1999", code=1)
        self.assertIn("there is no such capsule: the last ones are tick-", self.stderr)

    @needs_walls
    def test_a_move_is_readable_and_nothing_is_said_twice(self):
        self.profile(goals={"a": "0\n"})
        body = "# Für später …\n\n\x1b[2Jescape\n" + "".join(f"line {n}\n" for n in range(20))
        self.replies({"move": "write_goal", "id": "ship", "body": body, "journal": "schrieb “ship” …", "why": "naïve"})
        self.tick()
        out = self.looop("why")
        shown = out[out.index("  move  ") : out.index("  cost  ")]
        self.assertEqual(
            [line[11:] for line in shown.splitlines()[:-1]],
            [
                "write_goal",
                "  id    ship",
                "  body  # Für später …",
                "",
                "        \\x1b[2Jescape",
                *(f"        line {n}" for n in range(3)),
                "        … 17 more lines",
                "  why   naïve",
            ],
        )
        self.assertEqual(out.count("schrieb"), 1, "in the line of the journal")
        self.assertNotIn("\\u", out)
        self.replies({"move": "shell", "command": "exit 3", "reversible": True, "journal": "tried it"})
        self.write("goals/a.md", "1\n")
        self.tick()
        self.assertRegex(
            self.looop("why"),
            r"  move +shell\n +command +exit 3\n +reversible +true\n +output +\(nothing\)\n"
            r" +journal +- .* ran: exit 3 \[exit 3\] — tried it\n",
        )

    def test_a_damaged_capsule_is_explained_as_far_as_it_goes(self):
        """Whatever stands in it: `why` and `replay` take it for what it is, and none ends in a traceback."""
        self.profile(goals={"a": "one\n"})
        self.replies({"move": "noop"})
        run = self.tick()["run"]
        self.drifting = True
        profile, looked = looop.open_profile(self.env, looop.__file__), 0
        for name in ("wake.json", "result.json", "move.json"):
            whole = self.json("runs", run, name)
            for key in whole:
                for odd in (5, None, "x", [], {}, ["x"], [{}], [{"gate": 5}], True, 1e400, [None]):
                    self.write(f"runs/{run}/{name}", json.dumps({**whole, key: odd}))
                    why = looop.why_run(looop.Run(profile, run))
                    self.assertTrue(looop.why_lines(why, 0.0, looop.Paint({}, sys.stdout)))
                    looop.replay_drift(looop.Run(profile, run))
                    looked += 1
            self.write(f"runs/{run}/{name}", json.dumps(whole))
        self.assertGreater(looked, 150)

    def test_a_prefix_names_a_run(self):
        self.profile(goals={"a": "0\n"})
        run = self.tick()["run"]
        self.assertEqual(self.why(run[:-2])["run"], run)


class Replay(Case):
    def test_one_changed_byte_is_named(self):
        self.drifting = True
        self.profile(goals={"a": "zero\n"}, sensors={"s": "echo '{\"signal\":[1,2]}'"})
        self.replies('I do this: {"move":"write_goal","id":"b","body":"text"} and wait.')
        run = self.tick()["run"]
        self.assertIn("come out as they were recorded", self.looop("replay", "last"))
        changed = 0
        for name in ("wake.json", "prompt.md", "reply.txt", "output.log", "move.json", "intent.json"):
            good = self.read("runs", run, name)
            for at in (len(good) // 3, len(good) // 2, len(good) - 3):
                bad = good[:at] + ("#" if good[at] != "#" else "+") + good[at + 1 :]
                self.write(f"runs/{run}/{name}", bad)
                drift = json.loads(self.looop("replay", run, "--json", code=1))["drift"]
                self.assertTrue(any(line.startswith((name, "the capsule")) for line in drift), (name, drift))
                changed += 1
            self.write(f"runs/{run}/{name}", good)
        self.assertGreater(changed, 15)
        self.looop("replay", run)

    def test_capsules_that_hold_values_of_another_kind(self):
        self.drifting = True
        self.profile(goals={"a": "zero\n"})
        self.replies({"move": "noop"})
        run = self.tick()["run"]
        kept = {name: self.json("runs", run, name) for name in ("wake.json", "result.json")}
        for name, value in (
            ("result.json", 5),
            ("result.json", "x"),
            ("wake.json", []),
            ("wake.json", {**kept["wake.json"], "gates": ["x", None]}),
            ("wake.json", {**kept["wake.json"], "gates": None}),
        ):
            self.write(f"runs/{run}/{name}", json.dumps(value))
            for words in (("why", "last"), ("why", "last", "--json"), ("replay", "last")):
                self.looop(*words, code=None)
                self.assertNotIn("Traceback", self.stderr, (words, value))
            self.write(f"runs/{run}/{name}", json.dumps(kept[name]))

    def test_drift_of_hash_prompt_and_move_is_told_apart(self):
        self.drifting = True
        self.profile(goals={"a": "zero\n"})
        self.replies({"move": "write_goal", "id": "b", "body": "text"})
        run = self.tick()["run"]
        wake, result = self.json("runs", run, "wake.json"), self.json("runs", run, "result.json")
        del result["files"]
        self.write(f"runs/{run}/result.json", json.dumps(result))

        def drift(**files):
            for name, body in files.items():
                self.write(f"runs/{run}/{name.replace('_', '.')}", body)
            lines = json.loads(self.looop("replay", run, "--json", code=1))["drift"]
            return [line for line in lines if "appeared" not in line]

        digests = {**wake["digests"], "goal:a": "0" * 32}
        self.assertTrue(drift(wake_json=json.dumps({**wake, "digests": digests}))[0].startswith("hash: "))
        goals = [["a", "ok", "one\n"]]
        lines = drift(wake_json=json.dumps({**wake, "inputs": {**wake["inputs"], "goals": goals}}))
        self.assertRegex(lines[0], r"^prompt: line \d+: `\| \| zero` was recorded, `\| \| one` comes out$")
        reply = '{"move":"noop"}'
        lines = drift(wake_json=json.dumps(wake), reply_txt=reply, output_log=reply)
        self.assertIn('{"move":"noop"} comes out', lines[0])


class Output(Case):
    def why(self, command, **env):
        self.profile(goals={"a": "zero\n"})
        self.replies({"move": "shell", "command": command, "reversible": True})
        self.tick(env=env)
        return self.looop("why", env=env), json.loads(self.looop("why", "--json", env=env))

    @needs_walls
    def test_what_a_shell_move_printed_and_where_its_capsule_lies(self):
        text, told = self.why("echo one; echo two >&2; exit 3")
        self.assertEqual(told["output"], "one\ntwo\n")
        self.assertIn("\n  output   one\n           two\n", text)
        self.assertEqual(told["capsule"], f"runs/{self.runs()[0]}")
        self.assertIn(f"\n  capsule  {self.path('runs', self.runs()[0])}\n", text)
        self.assertIsNone(json.loads(self.looop("why", "now", "--json"))["output"])

    @needs_walls
    def test_of_much_the_end(self):
        text, told = self.why("for i in {1..3000}; do echo line $i; done")
        lines = told["output"].splitlines()
        self.assertEqual((lines[-1], lines[0][:5]), ("line 3000", "line "))
        self.assertLess(len(told["output"]), 4097)
        self.assertIn(f"… {len(lines) - 20} lines before, in shell.log of the capsule\n", text)
        self.assertIn("\n           line 2981\n", text)
        self.assertNotIn("line 2980\n", text)

    def test_neither_secrets_nor_control_bytes(self):
        self.gate = {"shell": "never"}
        text, told = self.why("printf 'a\\033[2Jb %s\\n' $MY_TOKEN", MY_TOKEN="s3cr3t-value")
        self.assertEqual(told["output"], "a\x1b[2Jb [MY_TOKEN]\n")
        self.assertIn("  output   a\\x1b[2Jb [MY_TOKEN]\n", text)
        run = self.runs()[0]
        self.write(f"runs/{run}/shell.log", "later: an0ther-value\n")
        self.assertIn("later: [NEW_SECRET]", self.looop("why", env={"NEW_SECRET": "an0ther-value"}))

    def test_a_move_that_ran_no_command_has_none(self):
        self.profile(goals={"a": "zero\n"})
        self.replies({"move": "noop"})
        self.tick()
        self.assertNotIn("output", self.looop("why"))
        self.assertIn("capsule", self.looop("why"))


HOSTILE = "\x1b[31m\x9b2J\nforged\r\u202e\u200b\u2028forged "


def leaves(value, path=()):
    """Yield the path of each text in a JSON value, and of each name of its objects."""
    if isinstance(value, str):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*path, key, None)
        yield from leaves(inner, (*path, key))


def spoiled(value, path, text):
    """Return a JSON value with a text put before the one at a path, or before a name where the path ends in None."""
    if not path:
        return text + value
    if path[1:] == (None,):
        return {text + key if key == path[0] else key: inner for key, inner in value.items()}
    if isinstance(value, dict):
        return {key: spoiled(inner, path[1:], text) if key == path[0] else inner for key, inner in value.items()}
    return [spoiled(inner, path[1:], text) if at == path[0] else inner for at, inner in enumerate(value)]


@heavy
class Hostile(Case):
    drifting = True  # its capsules are damaged on purpose

    def test_no_text_of_a_capsule_forges_a_line(self):
        """Whoever writes into runs/ or events.jsonl writes no colours and no lines of looop's."""
        self.profile(goals={"a": "zero\n"}, sensors={"s": "echo '{\"signal\":1}'"})
        self.gate = {"shell": "never"}
        self.replies({"move": "shell", "command": "echo one", "reversible": True, "journal": "did it", "why": "so"})
        self.tick()
        run = self.runs()[0]
        profile = looop.open_profile(self.env, looop.__file__)
        none = dict.fromkeys(("since", "until", "goal", "run", "n", "all"))
        views = (
            (looop.cmd_why, {"run": run, "json": False}),
            (looop.cmd_history, {**none, "limit": 5, "json": False}),
            (looop.cmd_replay, {"run": run, "json": False}),
            (looop.cmd_status, {"json": False}),
        )
        files = [f"runs/{run}/{name}" for name in os.listdir(self.path("runs", run)) if name.endswith(".json")]
        seen = 0
        for name in (*files, "events.jsonl", "state.json"):
            rows = self.read(name).splitlines() if name.endswith("l") else [self.read(name)]
            for number, row in enumerate(rows):
                whole = json.loads(row)
                for path in leaves(whole):
                    text = json.dumps(spoiled(whole, path, HOSTILE))
                    self.write(name, "\n".join([*rows[:number], text, *rows[number + 1 :]]) + "\n")
                    for view, args in views:
                        out = io.StringIO()
                        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                            try:
                                looop.perform_verb(view, profile, args)
                            except looop.Failure as failure:
                                looop.complain(f"{failure.message}: {failure.hint}")
                        shown = out.getvalue()
                        case = (name, path, view.name, shown)
                        self.assertFalse({"\x1b", "\x9b", "\r", "\u202e", "\u200b", "\u2028"} & set(shown), case)
                        lines = shown.split("\n")  # those of a move stand in a column
                        lines = lines if name.endswith("move.json") else [line.strip() for line in lines]
                        self.assertFalse([line for line in lines if line.startswith("forged")], case)
                        seen += "forged" in shown
                    self.write(name, "\n".join(rows) + "\n")
        self.assertGreater(seen, 20)


class Dry(Case):
    def test_a_dry_run_writes_nothing_at_all(self):
        self.profile(
            goals={"a": "zero\n"}, sensors={"s": "echo '{\"signal\":1}'", "k": "# looop:interval=1h\necho '{}'"}
        )
        self.replies({"move": "shell", "command": "touch ran", "reversible": True})
        for _ in range(2):
            before = self.everything()
            out = self.looop("tick", "--dry-run")
            self.assertEqual(self.everything(), before)
            self.assertIn("would decide", out)
            self.assertIn("# PLAYBOOK", out)
            self.assertIn("zero", out)
            self.tick()
            self.write("goals/a.md", "zero\n\n")
        self.write("goals/a.md", "zero\n")
        self.tick()
        before = self.everything()
        self.write("goals/a.md", "other\n")
        self.looop("pause")
        held = self.everything()
        self.assertIn("paused", self.looop("tick", "--dry-run"))
        self.assertEqual(self.everything(), held)

    def test_the_prompt_is_shown_also_when_nothing_changed(self):
        self.profile(goals={"a": "zero\n"})
        self.replies({"move": "noop"})
        self.tick()
        before = self.everything()
        out = self.looop("tick", "--dry-run")
        self.assertTrue(out.startswith("· unchanged  the next beat, "), out)
        self.assertIn("\nThe prompt, which would not be sent:\n", out)
        self.assertIn("\n|   | zero\n", out)
        self.looop("tick", "--dry-run=decide")
        self.assertEqual((self.everything(), len(self.ledger())), (before, 1), "nobody is asked")

    def test_a_forced_move(self):
        self.profile(goals={"a": "zero\n", "b": "one\n"})
        self.replies({"move": "noop"})
        self.tick()
        self.replies({"move": "shell", "command": "touch ran", "reversible": True})
        before = self.everything()
        out = self.looop("run", "b", "--dry-run")
        self.assertEqual(self.everything(), before)
        self.assertRegex(out, r"\A· would decide  the next beat, .*\n  because   forced: goal b\n  gates     ")
        self.assertNotIn("would not be sent", out)
        self.assertIn("touch ran", self.looop("run", "b", "--dry-run=decide"))
        self.assertEqual(len(self.ledger()), 2)
        self.tick(words=("run", "b"))
        self.assertEqual(out.partition("\n\n")[2].split("NOW")[0], self.prompt().split("NOW")[0])
        self.looop("run", "c", "--dry-run", code=1)
        self.assertIn("there is no such goal", self.stderr)
        self.looop("run", "a", "--dry-run", code=1, env={"LOOOP_RUNNER": "builtin"})
        self.assertIn("the built-in decider cannot work on a goal", self.stderr)

    def everything(self):
        """Return content, mode and times of everything in the data dir."""
        found = dict(self.tree())
        for folder, _, names in os.walk(self.data):
            for path in [folder, *(os.path.join(folder, name) for name in names)]:
                s = os.stat(path)
                found[path] = (s.st_mode, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
        return found

    def test_a_fresh_profile_stays_fresh(self):
        self.assertIn("first beat", self.looop("tick", "--dry-run"))
        self.assertFalse(os.path.exists(self.data))

    def test_dry_decide_asks_and_pays_and_does_nothing(self):
        self.profile(goals={"a": "zero\n"})
        self.replies({"move": "shell", "command": "touch ran", "reversible": True})
        before = self.tree()
        out = self.looop("tick", "--dry-run=decide")
        self.assertIn("\n  move      shell\n              command     touch ran\n              reversible  true\n", out)
        after = self.tree()
        self.assertEqual(len(self.ledger()), 1)
        del after["cost.jsonl"]
        del after[".beat.lock"]
        self.assertEqual(after, before)
        self.replies("no thanks")
        self.looop("tick", "--dry-run=decide", code=1)
        self.assertIn("no JSON object", self.stderr)
        self.assertEqual(len(self.ledger()), 2)
        self.looop("tick", "--dry-run=maybe", code=2)
