"""The interview: driven as a person would, in a session and in a terminal, killed everywhere, and what it writes."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import looop
from tests.support import Case, Terminal, heavy
from tests.test_fleet import Fleet

SEED = looop.SEEDS["PLAYBOOK.md"]
STAMP = "20300102-030405-abcd"


def answers(*values):
    """Answer the questions in their order with these values; return the answers and the question that is open."""
    given = []
    for value in values:
        given.append(looop.Answer(looop.after_answers(given)[0].key, value))
    return given, looop.after_answers(given)[0]


def progress(given):
    """Return interview.json as it is when these answers were given."""
    return json.dumps({"stamp": STAMP, "answers": [[answer.key, answer.value] for answer in given]})


class Drafts(unittest.TestCase):
    def test_a_person_who_only_presses_enter_gets_what_was_there(self):
        self.assertEqual(looop.playbook_text([], [], 300, 0), SEED)
        self.assertEqual(answers("", [], "", "", "", "5m", "", "")[1].about, {"name": "PLAYBOOK.md", "text": SEED})

    def test_what_was_said_stands_before_the_usual(self):
        text = looop.playbook_text(["security reports"], ["deploy", "spend money!"], 30, 5400)
        self.assertIn("## Priorities\n\n1. security reports.\n2. What is broken for other people.\n3.", text)
        self.assertIn(
            "\n\n- Never without my yes: deploy.\n- Never without my yes: spend money!\n- Nothing leaves", text
        )
        self.assertTrue(text.endswith("\n- Look again in 30 seconds while something runs, otherwise in 90 minutes.\n"))

    def test_goals(self):
        self.assertEqual(
            looop.goal_text("Ship", "it is out", "2030-12-24"), "# Ship\n\nDone when: it is out.\n\nBy: 2030-12-24.\n"
        )
        self.assertIn("# Ship\n\nWhen it is done has not been said: ask", looop.goal_text("Ship", "", ""))
        for name, slug in {
            "Ship version 2!": "ship-version-2",
            "Über-Café": "uber-cafe",
            "../../etc": "etc",
            "发布": "goal-3",
            "Pulse": "goal-3",
            "-": "goal-3",
            "a" * 99: "a" * 40,
            "one two three four five six seven eight nine ten": "one-two-three-four-five-six-seven-eight",
        }.items():
            self.assertEqual(looop.goal_slug(name, 3), slug, name)

    def test_every_question_fits_on_a_screen_and_every_kind_is_answered(self):
        yes = {"do": "write", "over": None}
        given = ["a", "", "", "", ["/x"], yes, [], "", "p", "", "n", "", "5m", "", "", yes, yes]
        for count in range(len(given)):
            question = answers(*given[:count])[1]
            self.assertTrue(hasattr(looop.Interview, f"answer_{question.kind}"))
            self.assertIn(question.part, looop._PARTS)
            self.assertLess(len(looop.laid_out(f"{question.text}\n{question.help}", 80).split("\n")), 9)
        plan = answers(*given)[1]
        self.assertEqual((list(plan.files), plan.over), (["sensors/git-x.sh", "goals/a.md"], None))

    def test_every_kind_of_the_gallery_can_be_asked_for(self):
        for kind, sensor in looop.GALLERY.items():
            words = {"URL": "http://x/", "PERCENT": "90", "OWNER/REPO": "a/b", "ARGS": ["a b"]}
            values = [words.get(one.name, "/x") for one in sensor.parameters]
            question = answers("", [], kind, *values)[1]
            self.assertEqual(question.kind, "try", kind)
            variables = dict(zip([one.variable for one in sensor.parameters], values))
            self.assertEqual(question.about["text"].encode(), looop.gallery_script(kind, variables))
        self.assertEqual(answers("", [], "github-ci", "")[1].kind, "try", "no branch without a repository")

    def test_answers_of_another_version_are_used_as_far_as_they_fit(self):
        given, _ = answers("a", "", "")
        question, used = looop.after_answers([*given, looop.Answer("its mood", "good")])
        self.assertEqual((question.key, used), ("goal 2", 3))

    def test_the_farewell_names_what_fits(self):
        with tempfile.TemporaryDirectory() as home:
            profile = looop.Profile({}, home, os.devnull, home, looop.__file__)
            self.assertIn("\n  looop up      beats in the background", looop.farewell_text(profile))
            self.assertNotIn("watch pulse", looop.farewell_text(profile))
            lock = looop.Lock(profile.path(".lock"))
            self.assertTrue(lock.acquire(0.0, "pulse", next=1.8e9))
            with lock:
                self.assertIn("\n  looop watch pulse  the loop at work", looop.farewell_text(profile))
                self.assertNotIn("looop up", looop.farewell_text(profile))


class Writing(Case):
    """A plan is written whole, whenever it is killed."""

    def prepare(self, folder):
        profile = looop.Profile(self.env, folder, os.devnull, self.home, looop.__file__)
        looop.prepare(profile)
        looop.make_private_dir(profile.path("goals", "archive"))
        looop.write_atomic(profile.path("goals", "archive", "setup.md"), b"an older one\n")
        looop.write_atomic(profile.path("interview.json"), b"{}")
        return profile

    def written(self, profile, plan, fatal=0):
        """Write a plan in a process of its own, killed before its so-manieth change of a folder.

        Return what `write_plan` returned, "killed" when it was killed.
        """
        told = os.path.join(self.home, "told")
        pid = os.fork()
        if pid == 0:
            left = [fatal]

            def counted(change):
                def changed(*args, **options):
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return change(*args, **options)

                return changed

            try:
                for name in ("rename", "link", "unlink", "mkdir"):
                    setattr(os, name, counted(getattr(os, name)))
                answer = json.dumps(looop.write_plan(profile, plan, STAMP))
                with open(told, "w") as file:
                    file.write(answer)
                os._exit(0)
            finally:
                os._exit(2)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            return "killed"
        self.assertEqual(status, 0)
        with open(told) as file:
            return json.load(file)

    @heavy
    def test_kill_9_before_every_change(self):
        plan = looop.Plan({"goals/a.md": "# a\n", "goals/b.md": "b", "sensors/s.sh": "echo 1\n"}, "# MINE\n", None)
        plan = plan.replace(over=looop.digest_of(SEED.encode()))
        trees = []
        told = "killed"
        while told == "killed":
            profile = self.prepare(self.path(str(len(trees))))
            told = self.written(profile, plan, len(trees) + 1)
            if told == "killed":
                self.assertTrue(os.path.exists(profile.path("interview.json")), "it is known that there is more to do")
                self.assertEqual(self.written(profile, plan), list(plan.files))
            self.data, data = profile.data, self.data
            tree = self.tree()
            tree[".sensors"] = re.sub(rb"\t[\d:]*(?=\t\w+\n)", b"\t", tree[".sensors"])  # stamps: "" of a young file
            trees.append(tree)
            self.data = data
        self.assertGreater(len(trees), 12)
        for tree in trees:
            self.assertEqual(tree, trees[-1])
        last = trees[-1]
        self.assertEqual(
            {name: last[name] for name in ("goals/a.md", "goals/b.md", "sensors/s.sh", "PLAYBOOK.md")},
            {"goals/a.md": b"# a\n", "goals/b.md": b"b\n", "sensors/s.sh": b"echo 1\n", "PLAYBOOK.md": b"# MINE\n"},
        )
        self.assertEqual(last[f"playbook.d/{STAMP}.md"], SEED.encode())
        self.assertEqual(last["goals/archive/setup.md"], b"an older one\n")
        self.assertIn(f"goals/archive/setup.{STAMP}.md", last)
        self.assertNotIn("interview.json", last)
        self.assertEqual(os.stat(profile.path("sensors", "s.sh")).st_mode & 0o777, 0o700)

    def test_another_file_of_the_name_stays_and_so_does_a_playbook_that_nobody_was_shown(self):
        profile = self.prepare(self.data)
        plan = looop.Plan({"goals/a.md": "mine\n", "goals/b.md": "mine\n"}, "# MINE\n", None)
        self.write("goals/a.md", "theirs\n")
        before = self.tree()
        self.assertIsNone(self.written(profile, plan))
        after = self.tree()
        after.pop(".beat.lock")
        self.assertEqual(after, before)
        plan = plan.replace(over=looop.digest_of(SEED.encode()))
        for _ in range(2):
            self.assertEqual(self.written(profile, plan), ["goals/a-2.md", "goals/b.md"])
        self.assertEqual((self.read("goals", "a.md"), self.read("goals", "a-2.md")), ("theirs\n", "mine\n"))
        self.assertFalse(os.path.exists(self.path("goals", "b-2.md")))

    def test_answers_that_are_damaged_are_moved_aside(self):
        profile = self.prepare(self.data)
        given, _ = answers("Ship it", "", "", "", ["/x"], {"do": "skip"})
        good = {"stamp": STAMP, "answers": [[answer.key, answer.value] for answer in given]}
        bad = [
            *(None, [], "", {}),
            *({**good, "stamp": stamp} for stamp in (None, 5, "", "../x", "a b")),
            *({**good, "answers": kept} for kept in (None, 5, "x", [5], [["goal 1"]], [["goal 1", "x", "y"]])),
            *({**good, "answers": kept} for kept in ([["goal 1", None]], [["goal 1", ["x"]]])),
            {**good, "answers": [["goal 1", ""], ["folder 1", [5]]]},
            {**good, "answers": [["goal 1", ""], ["folder 1", []], ["source 1", "no such kind"]]},
            {**good, "answers": [["goal 1", ""], ["folder 1", ["/x"]], ["try git-x", {}]]},
        ]
        for kept in bad:
            self.write("interview.json", json.dumps(kept))
            interview = looop.Interview(profile, None)
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertFalse(interview.load(), kept)
            self.assertEqual((self.read("interview.json.broken"), interview.answers), (json.dumps(kept), []))
            self.assertFalse(os.path.exists(self.path("interview.json")))
        self.write("interview.json", json.dumps({**good, "undone": {"goal 1": "of an older looop"}}))
        interview = looop.Interview(profile, None)
        self.assertTrue(interview.load())
        self.assertEqual((interview.answers, interview.stamp), (given, STAMP))


class Talk(Case):
    """Type into a terminal in which the interview runs."""

    git = True

    def setUp(self):
        super().setUp()
        for tool in ("df", "awk"):
            os.symlink(shutil.which(tool), os.path.join(self.bin, tool))

    def talk(self, *lines, env=None):
        """Start the interview and give answers; each is typed when the prompt before it is there."""
        terminal = self.terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        env = {**self.env, "TERM": "xterm", "NO_COLOR": "1", **(env or {})}
        terminal.run(self.command("setup"), env, self.home)
        terminal.wait(lambda: terminal.received.endswith(b": "), "a prompt")
        self.answer(*lines)
        return terminal

    def answer(self, *lines):
        """Type lines, each when what it is preceded by in the pairs has been printed since the last one."""
        for line, then in lines:
            before = len(self.terminal.received)
            self.terminal.type(line.encode() + b"\n")
            self.terminal.wait(
                lambda before=before, then=then: then in self.terminal.received[before:].decode("utf-8", "replace"),
                f"{then!r} after {line!r}",
            )

    def kept(self):
        """Return the answers that are on disk."""
        return [value for _, value in self.json("interview.json")["answers"]]

    def kill(self):
        self.terminal.process.kill()
        self.terminal.process.wait()


@heavy
class InATerminal(Talk):
    def test_back_and_forth(self):
        self.talk(
            ("<", "This is the first question."),
            ("Ship", "done when"),
            ("it is out", "by [no deadline]"),
            ("<", "Before: it is out"),
            ("<", "Before: Ship"),
            ("Ship 2", "done when [not sure yet]"),
            ("it is out", "by [no deadline]"),
            ("2020-13-45", "2020-13-45 is not a date to come"),
            ("by 2020-01-01", "by 2020-01-01 is not a date to come"),
            ("Paint the fence", "Paint the fence is not a date to come"),
            ("before 2099-2-3, at noon", "goal 2"),
            ("<", "by [no deadline]"),
            (self.today(), "goal 2"),
            ("?", "A goal is something"),
        )
        self.assertEqual(self.kept(), ["Ship 2", "it is out", self.today()])
        self.assertEqual(os.stat(self.path("interview.json")).st_mode & 0o777, 0o600)

    def today(self):
        return subprocess.run(["date", "+%F"], env=self.env, capture_output=True, check=True).stdout.decode().strip()

    @heavy
    def test_killed_anywhere_it_goes_on_at_the_open_question(self):
        steps = (
            ("Ship", "done when [not sure yet]"),
            ("out", "by [no deadline]"),
            ("", "goal 2"),
            ("", "folder [none]"),
            ("", "source [none]"),
            ("disk", "PATH [/]"),
            ("", "PERCENT [90]"),
            ("99%", "keep it? [yes], no, edit:"),
            ("", "source [no more]"),
        )
        self.talk()
        for line, then in steps:
            self.answer((line, then))
            self.kill()
            self.talk()
            self.assertIn("Welcome back: where we were.", self.terminal.text(past=True))
            self.terminal.wait_text(then)
        self.assertRegex(self.terminal.text(), r"goal 1 done +out\n(.*\n)*.*disk PERCENT +99\n +try disk +yes\n")
        self.assertEqual(os.listdir(self.path("sensors")), ["today.sh"], "nothing is written yet")

    def test_all_was_approved_when_it_was_killed(self):
        self.looop("pause")  # makes the profile
        yes = {"do": "write", "over": None}
        given, _ = answers("Ship", "", "", "", [], "", "", "", "5m", "", "", yes, {"do": "skip"})
        self.write("interview.json", progress(given))
        self.terminal = Terminal(80, 24)
        self.addCleanup(self.terminal.close)
        self.terminal.run(self.command("setup"), self.env, self.home)
        self.assertEqual(self.terminal.end(), 0)
        self.terminal.wait_text("goals/ship.md")
        self.assertIn("stays as it was", self.terminal.text())
        self.assertEqual(sorted(os.listdir(self.path("goals"))), ["archive", "playbook-daily.md", "ship.md"])

    def test_a_corrupt_file_of_answers_is_moved_aside(self):
        self.looop("pause")
        self.write("interview.json", "{")
        self.talk(("Ship", "done when"))
        self.assertIn("interview.json.broken, and we begin anew", " ".join(self.terminal.text().split()))
        self.assertEqual((self.read("interview.json.broken"), self.kept()), ("{", ["Ship"]))

    def test_editors(self):
        script = os.path.join(self.home, "my editor")
        with open(script, "w") as file:
            file.write('#!/bin/sh\n[ -t 0 ] || exit 9\necho "$0: ${2##*/}"; echo "$1" >> "$2"\n')
        os.chmod(script, 0o700)
        env = {"VISUAL": f"'{script}' '# mine'"}
        self.talk(("", "folder"), ("", "source"), ("disk", "PATH"), ("", "PERCENT"), ("", "keep it?"), env=env)
        self.answer(
            ("e", "my editor: disk.sh"), ("", "source [no more]"), ("", "first"), ("", "never"), ("", "again after")
        )
        self.answer(("3s", "between 5 seconds and an hour"), ("soon", "is not a duration"), ("10m", "otherwise"))
        self.answer(("", "quiet hours [none]"), ("22-7", "must be like"), ("22:00-07:00", "PLAYBOOK.md would be"))
        self.answer(("e", "my editor: PLAYBOOK.md"), ("?", "yes takes it"), ("<", "Before: edited"), ("e", "my editor"))
        self.answer(("?", "yes takes it"), ("yes", "Done."))
        self.assertEqual(self.terminal.end(), 0)
        self.assertEqual(self.read("PLAYBOOK.md"), SEED.replace("5 minutes", "10 minutes") + "# mine\n")
        with open(os.path.join(self.home, ".config", "looop.json")) as file:
            self.assertEqual(json.load(file), {"quiet": "22:00-07:00"})
        self.assertTrue(self.read("sensors", "disk.sh").endswith("\n# mine\n"))

    def test_no_editor(self):
        self.looop("pause")
        given, _ = answers("", [], "", "", "", "5m", "", "")
        self.write("interview.json", progress(given))
        self.talk(("e", "nothing was changed; set EDITOR"), env={"EDITOR": "no-such-editor -w"})
        self.assertIn("no-such-editor -w: cannot be run", self.terminal.text())
        self.kill()
        self.talk(("e", "the editor ended with 1: nothing was changed"), env={"EDITOR": "false"})
        vi = os.path.join(self.bin, "vi")
        with open(vi, "w") as file:
            file.write("#!/bin/sh\necho '# vi' > \"$1\"\n")
        os.chmod(vi, 0o700)
        self.kill()
        self.talk(("e", "│ # vi"), ("", "Done."), env={"EDITOR": "no-such-editor"})
        self.assertEqual(self.terminal.end(), 0)
        self.assertEqual(self.read("PLAYBOOK.md"), "# vi\n")

    def test_a_sensor_that_fails_is_shown_and_kept_only_by_saying_so(self):
        self.talk(
            ("", "folder"), ("", "source"), ("nagios", "PLUGIN: "), ("/bin/false", "ARGS"), ("-c 'a b'", "keep it?")
        )
        self.assertIn('"error": "exit 1"', self.terminal.text())
        self.answer(("y", "It does not work yet."), ("", "source [no more]"))
        self.answer(("nagios", "PLUGIN: "), ("false", "ARGS"), ("", "keep it? [no]"), ("keep", "source [no more]"))
        self.answer(("dsik", "did you mean disk?"), ("12", "12 is not among them"))
        self.assertEqual(next(value for value in self.kept() if isinstance(value, dict)), {"do": "skip"})
        self.assertEqual(os.listdir(self.path("sensors")), ["today.sh"])
        self.assertFalse(os.path.exists(self.path(".try")))

    def test_secrets_are_not_kept(self):
        env = {"SOME_TOKEN": "hunter2hunter2"}
        self.talk(
            ("Ship", "done when"), ("hunter2hunter2 works", "its name stands there instead"), ("", "goal 2"), env=env
        )
        self.answer(("", "folder"), ("", "source"), ("http", "URL: "), ("http://x/?k=hunter2hunter2", "URL: "))
        self.assertEqual(self.kept()[:2], ["Ship", "[SOME_TOKEN] works"])
        for name, content in self.tree().items():
            self.assertNotIn(b"hunter2", content, name)

    def test_an_edited_playbook_stays(self):
        self.looop("pause")
        mine = SEED + "\n## Mine\n\n- Tea at four.\n"
        given, _ = answers("", [], "", "security", "", "", "5m", "", "")
        setup = self.read("goals", "setup.md")
        for line, wanted in (("", mine), ("yes", looop.playbook_text(["security"], [], 300, 0))):
            self.write("PLAYBOOK.md", mine)
            self.write("goals/setup.md", setup)
            self.write("interview.json", progress(given))
            self.talk()
            self.terminal.wait_text("write it? [no], yes, edit:")
            self.assertIn("-- Tea at four.", self.terminal.text(past=True))
            self.assertIn("+1. security.", self.terminal.text(past=True))
            self.answer((line, "Done."))
            self.assertEqual(self.terminal.end(), 0)
            self.assertEqual(self.read("PLAYBOOK.md"), wanted)
        self.assertEqual(self.read("playbook.d", f"{STAMP}.md"), mine)

    def test_it_waits_for_a_beat_and_for_what_has_changed_meanwhile(self):
        self.looop("pause")
        given, _ = answers("Ship", "", "", "", [], "", "", "", "5m", "", "")
        self.write("interview.json", progress(given))
        lock = looop.Lock(self.path(".beat.lock"))
        lock.acquire(0, "tick", pid=1)
        self.talk(("", "PLAYBOOK.md would be"), ("", "A beat is in progress (pid 1, tick)"))
        self.write("goals/ship.md", "theirs\n")
        self.write("PLAYBOOK.md", "# THEIRS\n")
        lock.close()
        self.terminal.wait_text("write it? [no], yes, edit:")
        self.assertIn("You have edited PLAYBOOK.md", self.terminal.text(past=True))
        self.answer(("", "Done."))
        self.assertEqual(self.terminal.end(), 0)
        self.assertEqual((self.read("goals", "ship.md"), self.read("PLAYBOOK.md")), ("theirs\n", "# THEIRS\n"))
        self.assertTrue(self.read("goals", "ship-2.md").startswith("# Ship\n"))

    def test_one_at_a_time_and_a_hang_up(self):
        self.talk(("Ship", "done when"))
        other = Terminal(80, 24)
        self.addCleanup(other.close)
        other.run(self.command("setup"), self.env, self.home)
        self.assertEqual(other.end(), 1)
        self.assertIn("setup: the interview is under way", other.text())
        self.terminal.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.terminal.end(), 129)
        self.assertEqual(self.kept(), ["Ship"])

    def test_it_is_for_people(self):
        for name in ("setup", "_interview"):
            self.looop(name, code=2)
        self.assertIn("stdin is not a terminal", self.stderr)
        for env in ({"LOOOP_RUN_ID": "tick-1"}, {"LOOOP_CHILD": "1", "LOOOP_SESSION_ID": "w"}):
            self.looop("setup", code=1, env=env)
            self.assertIn("setup: only a person", self.stderr)


@heavy
class InASession(Fleet):
    git = True

    def setUp(self):
        super().setUp()
        for tool in ("df", "awk"):
            os.symlink(shutil.which(tool), os.path.join(self.bin, tool))

    def begin(self):
        """Start the interview as the built-in decider does."""
        words = " ".join([*map(looop.quoted, self.command()), "_interview"])
        self.looop("start-session", "setup", "--size", "80x24", "--command", words, env={"LOOOP_CHILD": "1"})

    def answer(self, *steps):
        """Send a line, or several at once as one who knows the questions would; wait for what it brings."""
        for *lines, then in steps:
            words = ("--", lines[0]) if len(lines) == 1 else ("--raw", "--", "".join(f"{line}\n" for line in lines))
            sent = json.loads(self.looop("send", "setup", "--json", *words))
            wrapped = re.sub(r" \+?", r"\\s+", then)  # where a line is wrapped depends on the paths in it
            self.looop("expect", "setup", "--since", str(sent["offset"]), wrapped)

    def test_the_whole_way(self):
        self.begin()
        self.looop("expect", "setup", r"Waiting for you\. C-")
        row = self.ls()["setup"]
        self.assertEqual((row["flagged"], row["note"]), (True, looop.INTERVIEW_FLAG), row)
        clone = os.path.join(self.home, "src", "my project")
        os.makedirs(clone)
        subprocess.run(["git", "init", "-q", "-b", "trunk"], cwd=clone, env=self.env, check=True)
        self.answer(
            ("hello", r"goal 1 \[none for now\]: "),
            ("Ship version 2", r"done when \[not sure yet\]: "),
            ("the release is on the download page", r"by \[no deadline\]: "),
            ("2030-12-24", r"goal 2 \[no more\]: "),
            ("Répondre à Léa", "", "", r"goal 3 \[no more\]: "),
            ("tests", "they are green.", "", "", r"folder \[none\]: "),
            ("~/nowhere", "there is no such folder"),
            ("~/src", r'"branch": "trunk"(.|\n)*keep it\? \[yes\], no, edit: '),
            ("", "", r"source \[none\]: "),
            ("10", "", r"PERCENT \[90\]: "),
            ("99", r'"disk": "(.|\n)*keep it\? \[yes\], no, edit: '),
            ("y", "", r"first \[nothing to add\]: "),
            ("security reports", "", r"never \[nothing to add\]: "),
            ("deploy to production", "", r"again after \[5m\]: "),
            ("2m", "15m", "", r"goals/ship-version-2.md would be:(.|\n)*write it\? \[yes\], no, edit: "),
            ("", "goals/repondre-a-lea.md would be"),
            ("n", "goals/tests.md would be"),
            ("", "PLAYBOOK.md would be"),
            ("", "looop up  "),
        )
        self.looop("wait", "setup")
        self.assertFalse(self.ls()["setup"]["flagged"])
        goals = sorted(os.listdir(self.path("goals")))
        self.assertEqual(goals, ["archive", "playbook-daily.md", "ship-version-2.md", "tests.md"])
        self.assertEqual(self.read("goals", "archive", "setup.md"), looop.SEEDS["goals/setup.md"])
        self.assertEqual(
            self.read("goals", "ship-version-2.md"),
            "# Ship version 2\n\nDone when: the release is on the download page.\n\nBy: 2030-12-24.\n",
        )
        self.assertEqual(self.read("goals", "tests.md"), "# tests\n\nDone when: they are green.\n")
        playbook = looop.playbook_text(["security reports"], ["deploy to production"], 120, 900)
        self.assertEqual(self.read("PLAYBOOK.md"), playbook)
        (before,) = os.listdir(self.path("playbook.d"))
        self.assertEqual(self.read("playbook.d", before), SEED)
        sensors = {"disk.sh": ("disk", {"path": "/", "percent": "99"}), "git-my-project.sh": ("git", {"clone": clone})}
        self.assertEqual(sorted(os.listdir(self.path("sensors"))), [*sensors, "today.sh"])
        for name, (kind, values) in sensors.items():
            self.assertEqual(self.read("sensors", name).encode(), looop.gallery_script(kind, values))
            self.assertEqual(os.stat(self.path("sensors", name)).st_mode & 0o777, 0o700)
        self.assertFalse(os.path.exists(self.path("interview.json")))
        self.tick()
        turns = self.json("state.json")["turns"]
        self.assertEqual(list(turns), ["playbook-daily", "ship-version-2", "tests"], "from the first day")
        self.looop("attach", "setup", code=1)
        self.assertIn("`looop setup` asks the questions again", self.stderr)
        self.begin()
        self.looop("wait", "setup")
        self.assertIn("This looop is set up already", self.looop("log", "setup"))

    def test_setup_is_the_worker_while_that_waits(self):
        """And what was put off there is done by hand, which takes the flag down."""
        self.begin()
        self.looop("expect", "setup", "Waiting for you")
        for end, left in ((b"\x1c\x1c", True), (b"\x04", False)):
            terminal = Terminal(80, 24)
            self.addCleanup(terminal.close)
            terminal.run(self.command("setup"), {**self.env, "TERM": "xterm"}, self.home)
            terminal.wait_text("goal 1 [none for now]:")
            terminal.type(end)
            self.assertEqual(terminal.end(), 0)
            self.assertEqual(self.ls()["setup"]["alive"], left)
        yes = {"do": "write", "over": None}
        given, _ = answers("Ship", "", "", "", [], "", "", "", "5m", "", "", yes, {"do": "skip"})
        self.write("interview.json", progress(given))
        self.assertTrue(self.ls()["setup"]["flagged"])
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        terminal.run(self.command("setup"), {**self.env, "TERM": "xterm"}, self.home)
        self.assertEqual(terminal.end(), 0)
        self.assertFalse(self.ls()["setup"]["flagged"])

    def test_a_viewer_wakes_it_and_ctrl_d_puts_it_off(self):
        self.begin()
        self.looop("expect", "setup", "Waiting for you")
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        terminal.run(self.command("attach", "setup"), {**self.env, "TERM": "xterm"}, self.home)
        terminal.wait_text("goal 1 [none for now]:")
        self.assertTrue(self.ls()["setup"]["flagged"], "until all is done")
        terminal.type(b"Ship\r")
        terminal.wait_text("done when")
        terminal.type(b"\x04")
        self.assertEqual(terminal.end(), 0)
        terminal.wait_text("Until later. Every answer is kept")
        row = self.ls()["setup"]
        self.assertEqual((row["health"], row["exit_code"]), ("flagged", 0), "to be done, and nothing has failed")
        for verb in ("status", "asks"):
            self.assertIn("looop setup", self.looop(verb))
        self.looop("attach", "setup", code=1)
        self.assertIn("`looop setup` goes on where you were", self.stderr)
        self.assertIn("looop setup  ", self.looop())
        beat = self.tick()
        self.assertIn("setup waits for you: `looop setup`", self.read("journal.md"))
        self.assertEqual((beat["outcome"], self.ls()["setup"]["state"]), ("noop", "exited"), "it is not started again")
        self.begin()
        self.answer(("hello", r"where we were(.|\n)*goal 1 +Ship\n(.|\n)*done when \[not sure yet\]: "))
        self.looop("kill", "setup")
        self.assertFalse(self.ls()["setup"]["flagged"])
        self.assertEqual(self.json("interview.json")["answers"], [["goal 1", "Ship"]])

    def test_killed_while_it_waits(self):
        self.begin()
        self.looop("expect", "setup", "Waiting for you")
        session = looop.read_session(looop.open_profile(self.env, looop.__file__), "setup")
        os.kill(looop.ask_session(session, "status")["child"], signal.SIGKILL)
        self.looop("wait", "setup", code=137)
        self.begin()
        self.answer(("", r"goal 1 \[none for now\]: "))

    def test_all_was_approved_when_it_was_killed_and_the_playbook_changed_meanwhile(self):
        self.looop("pause")
        self.looop("resume")
        yes = {"do": "write", "over": looop.digest_of(SEED.encode())}
        given, _ = answers("Ship", "", "", "", [], "", "security", "", "", "5m", "", "", yes, yes)
        self.write("interview.json", progress(given))
        self.write("goals/ship.md", "theirs\n")
        self.write("PLAYBOOK.md", "# THEIRS\n")
        self.begin()
        self.looop("expect", "setup", "Waiting for you")
        self.assertTrue(self.ls()["setup"]["flagged"])
        self.answer(("hello", r"write it\? \[no\], yes, edit: "), ("", "Done."))
        self.looop("wait", "setup")
        self.assertEqual(
            sorted(os.listdir(self.path("goals"))), ["archive", "playbook-daily.md", "ship-2.md", "ship.md"]
        )
        self.assertEqual((self.read("goals", "ship.md"), self.read("PLAYBOOK.md")), ("theirs\n", "# THEIRS\n"))


if __name__ == "__main__":
    unittest.main()
