"""Every file that looop reads, empty, corrupt, or no file at all: each verb works or says one line, and none waits."""

from __future__ import annotations

import json
import os
import re
import shutil
import unittest

from tests.faults.injector import LONG, Faults
from tests.support import figure, heavy

FORMS = {
    "empty": b"",
    "nul": b"\0",
    "cut": b'{"a":[1,',
    "array": b"[]",
    "number": b"3",
    "deep": b"[" * 100000,
    "bytes": b"\xff\xfe{}",
    "null": b"null",
    "long": b'{"n":' + b"9" * 5000 + b"}",
    "folder": None,
    "pipe": None,
    "loop": None,
}
VERBS = """status|ls|asks|tick|why|why now|cost|cost all|sensor list|doctor|claims|log w|shot w|wait w|answer 1 x|
pause 1h|resume|approve 2 12345678|flag w hi|replay last|
claim c2 --session v|cost add session w pi 0.1|run a|tick --dry-run|kill v|
sensor show bad|sensor show slow|
prune|start-session u --command true""".replace("\n", "").split("|")
# The files of which a copy of what was there must survive whatever is done while they cannot be read.
KEPT = re.compile(r"^(state\.json|asks/.*|cost\.jsonl|journal\.md|goals/.*|PLAYBOOK\.md)$")


@heavy
class OddFiles(Faults):
    drifting = True
    long = True

    def setUp(self):
        super().setUp()
        sensors = {
            "s": "echo '{\"signal\":1}'",
            "bad": "exit 3",
            "slow": "# looop:interval=1h\necho '{\"signal\":2}'",
        }
        self.profile(goals={"a": "0\n"}, sensors=sensors)
        self.verb("start-session", "w", "--command", "echo hello", "--verify", "true")
        self.supervised()
        os.unlink(self.path("sessions", "w", "sock"))  # which cannot be copied
        self.decides({"move": "ask", "question": "Which?"})
        self.verb("tick")
        self.edit()
        self.decides({"move": "shell", "command": "echo x >> effects", "reversible": False})
        self.verb("tick")
        self.edit()
        self.decides({"move": "noop"})
        self.verb("tick")
        self.write("claims/c.json", '{"session":"w","name":"c"}')
        self.write("asks/3.json", json.dumps({"n": 3, "kind": "ask", "question": "So?", "at": "2026-01-02T03:04:05Z"}))
        self.write(
            "asks/3.answer.json", json.dumps({"at": "2026-01-02T03:04:05Z", "verdict": "answered", "text": "so"})
        )
        self.verb("flag", "w", "look")
        self.write("pause.json", '{"at":0,"until":null,"why":"x"}')
        self.verb("tick")
        self.write(".next-interval", "60")
        self.keep()
        self.addCleanup(self.back)  # what ends the sessions that are left must be able to read it
        last = self.runs()[-1]
        self.files = []
        for folder, _, names in os.walk(self.data):
            short = os.path.relpath(folder, self.data)
            if not short.startswith("runs/") or short.endswith(last):
                self.files += [os.path.normpath(os.path.join(short, name)) for name in names]
        self.assertGreater(len(self.files), 25)

    def put(self, name, form):
        """Put something odd in the place of a file."""
        path = self.path(name)
        os.unlink(path)
        if form == "folder":
            os.mkdir(path, 0o700)
        elif form == "pipe":
            os.mkfifo(path, 0o600)
        elif form == "loop":
            os.symlink(os.path.basename(path), path)
        else:
            self.write(name, FORMS[form], 0o700 if name.endswith(".sh") else 0o600)

    def tried(self, name, form, verbs):
        """Run verbs while a file is odd."""
        self.back()
        self.put(name, form)
        for words in verbs:
            with self.subTest(file=name, form=form, words=words):
                done = self.verb(*words.split())
                self.assertIn(done.code, (0, 1, 137), done)
                figure("verbs run beside a damaged file", 1)
                said = [
                    line for line in done.err.split("\n") if line.startswith("looop: ") and " warning: " not in line
                ]
                if words not in ("doctor", "wait w", "replay last", "run a"):
                    self.assertEqual(len(said), done.code, done)
                if (
                    words == "doctor"
                    and name in ("state.json", "journal.md", "cost.jsonl")
                    and form in ("pipe", "loop")
                ):
                    self.assertIn(name, done.out)
                if KEPT.match(name) and FORMS[form] and words != "tick":
                    with open(self.path(name), "rb") as file:
                        self.assertTrue(file.read().startswith(FORMS[form][:100]), "it was written over")
            if words.startswith("start-session"):
                self.supervised()

    def test_odd_contents(self):
        cases = [(name, form, words) for name in self.files for form in FORMS for words in VERBS]
        if LONG:
            for name in self.files:
                for form in FORMS:
                    self.tried(name, form, VERBS)
            return
        for name, form, words in self.rng.sample(cases, 14):
            self.tried(name, form, [words])

    def test_a_damaged_reading_is_told_and_taken_again(self):
        for name, some in (("s", "empty"), ("bad", "cut"), ("slow", "bytes")):
            for form in ("empty", "cut", "bytes") if LONG else (some,):
                self.tried(f"snapshots/sensor-{name}.json", form, "status|doctor|sensor list|why now".split("|"))
                self.tried(f"snapshots/sensor-{name}.json", form, [f"sensor show {name}", "tick"])
                self.assertIn("signal", self.json("snapshots", f"sensor-{name}.json"))
        self.back()
        self.write("snapshots/sensor-slow.json", '{"signal":')
        shown = self.verb("status")
        self.assertEqual((shown.code, shown.err), (0, ""))
        self.write("snapshots/sensor-bad.json", "{garbled}")
        self.assertIn("sensor bad: its snapshot is damaged", self.verb("status").out)

    def test_a_pipe_in_the_place_of_a_file_holds_no_verb_up(self):
        for name, verbs in (
            ("cost.jsonl", "status|tick --dry-run|cost|cost all|doctor"),
            ("events.jsonl", "status|cost|doctor"),
            ("journal.md", "status|tick --dry-run|doctor"),
            ("PLAYBOOK.md", "doctor"),
            ("sessions/w/lock", "status|ls|asks|tick|log w|wait w|flag w hi|kill w|prune"),
            ("sessions/w/output.log", "log w|shot w|wait w"),
        ):
            self.tried(name, "pipe", verbs.split("|"))

    def test_a_ledger_that_is_none_stops_the_spending(self):
        self.verb("resume")
        for form in ("pipe", "folder", "loop"):
            self.back()
            os.unlink(self.path("pause.json"))
            self.put("cost.jsonl", form)
            self.edit()
            runs = self.runs()
            done = self.verb("tick", "--json")
            self.assertEqual((done.code, self.runs()), (1, runs), "nobody is paid whose call cannot be recorded")
            self.assertRegex(done.err, r"looop: .*cost\.jsonl: ")
        shutil.rmtree(self.path("runs"))


if __name__ == "__main__":
    unittest.main()
