"""Files: what is a symbolic link stays one, and what it leads to is written whole."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import unittest

import looop
from tests.support import ROOT, Case, heavy, needs_walls


@heavy
class NotPlain(Case):
    """What stands where looop writes and is no regular file is refused by name, and stays what it is."""

    def odd(self, path):
        """Put one thing after the other at `path`, and yield its kind; as root also a device of our own."""
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        os.mkfifo(path)
        yield "a named pipe"
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(os.path.relpath(path))  # short enough
        yield "a socket"
        os.unlink(path)
        os.mkdir(path)
        yield "a directory"
        os.rmdir(path)
        if os.geteuid() == 0:
            try:
                os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            except OSError:  # a container without the right to
                return
            yield "a device"
            os.unlink(path)

    def assert_refused(self, path, kind, *words, env=None, named=None):
        before = os.lstat(path)
        self.looop(*words, code=1, env=env)
        after = os.lstat(path)
        self.assertRegex(self.stderr, rf"^looop: .*{named or os.path.basename(path)}: Is {kind}: .*move it away")
        self.assertEqual((before.st_ino, before.st_mode, before.st_rdev), (after.st_ino, after.st_mode, after.st_rdev))
        self.assertEqual([name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tmp")], [])

    def test_a_config(self):
        path = os.path.join(self.home, "odd.json")
        env = {"LOOOP_CONFIG": path}
        for kind in self.odd(path):
            self.assert_refused(path, kind, "init", "builtin", env=env)
            link = os.path.join(self.home, "link.json")
            os.symlink(path, link)
            self.assert_refused(path, kind, "init", "builtin", env={"LOOOP_CONFIG": link}, named=r"\w+.json")
            os.unlink(link)

    def test_files_of_its_own(self):
        self.profile(sensors={"x": "echo 1"})
        self.replies({"move": "noop"})
        for name in ("snapshots/sensor-x.json", "cost.jsonl", ".beat.lock", "state.json"):
            for kind in self.odd(self.path(name)):
                self.assert_refused(self.path(name), kind, "tick")

    def test_no_link_in_place_of_its_own_files_is_followed(self):
        other = os.path.join(self.home, "other")
        for name in ("snapshots/sensor-x.json", "cost.jsonl", ".beat.lock", "state.json", "asks/1.json"):
            with open(other, "w") as file:
                file.write("{}")
            self.profile(sensors={"x": "echo 1"})
            os.makedirs(os.path.dirname(self.path(name)), mode=0o700, exist_ok=True)
            os.symlink(other, self.path(name))
            self.replies({"move": "ask", "question": "which?"})
            self.looop("tick", code=None)
            if self.code:
                self.assertIn(f"{os.path.basename(name)}: Is a symbolic link: ", self.stderr)
            with open(other) as file:
                self.assertEqual(file.read(), "{}", name)
            self.assertTrue(os.path.islink(self.path(name)), name)
            shutil.rmtree(self.data)

    def test_what_is_the_persons(self):
        for move, name in (
            ({"move": "write_goal", "id": "new", "body": "x\n"}, "goals/new.md"),
            ({"move": "noop"}, "journal.md"),
        ):
            self.profile(goals={"a": "0\n"})
            for number, kind in enumerate(self.odd(self.path(name))):
                before = os.lstat(self.path(name))
                self.write("goals/a.md", f"{number}\n")
                self.replies(move)
                self.looop("tick", code=1)
                self.assertEqual(os.lstat(self.path(name)).st_mode, before.st_mode, (name, kind))

    def test_older_files_that_are_moved_aside(self):
        self.profile()
        older = self.path("events.jsonl.1")
        for kind in self.odd(older):
            mode = os.lstat(older).st_mode
            self.write("events.jsonl", "x" * 2000 + "\n")
            self.looop("tick", env={"LOOOP_EVENTS_MAX_BYTES": "1024"})
            self.assertIn(f"events.jsonl.1: Is {kind}", self.stderr)
            self.assertEqual(os.lstat(older).st_mode, mode)

    def test_many_that_move_the_events_aside_lose_none(self):
        """Each writer sees that the file is full; it is moved once."""
        self.profile()
        code = f"""if True:
            import os, sys; sys.path.insert(0, {ROOT!r}); import looop
            profile = looop.open_profile(dict(os.environ, LOOOP_EVENTS_MAX_BYTES="4000"), "looop.py")
            for number in range(200):
                looop.emit(profile, "one", n=number, who=sys.argv[1])
                names = [name for name in ("events.jsonl", "events.jsonl.1") if os.path.exists(profile.path(name))]
                if len(names) == 2 and os.path.getsize(profile.path(names[1])) < 3000:
                    sys.exit("nearly empty")
        """
        writers = [subprocess.Popen([sys.executable, "-c", code, str(who)], env=self.env) for who in range(4)]
        self.assertEqual([writer.wait(120) for writer in writers], [0] * 4)

    def test_temporaries_follow_no_link(self):
        other, path = os.path.join(self.home, "other"), os.path.join(self.home, "file")
        os.symlink(other, f"{path}.{os.getpid()}.tmp")
        looop.write_atomic(path, b"x")
        self.assertFalse(os.path.lexists(other))
        self.assertFalse(os.path.islink(path))
        with open(f"{path}.{os.getpid()}.tmp", "w") as file:  # of a dead process that had our number
            file.write("half")
        looop.write_atomic(path, b"x")
        self.assertEqual(sorted(os.listdir(self.home)), ["bin", "file"])

    def test_a_build(self):
        folder = os.path.join(self.home, "dist")
        for kind in self.odd(os.path.join(folder, "looop")):
            command = [sys.executable, os.path.join(ROOT, "build_zipapp.py"), "--only", "--out", folder]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, kind)
            self.assertIn("is not a regular file: move it away", done.stderr)
            self.assertEqual(os.listdir(folder), ["looop"])


class Leftovers(Case):
    """What a beat that died has left is removed; what others write at that instant, and a person's files, stay."""

    def test_only_the_temporaries_of_dead_processes(self):
        with subprocess.Popen(["true"]) as process:
            process.wait()
        dead, live = process.pid, os.getpid()
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "noop"})
        self.tick()
        run = self.runs()[-1]
        stays = [
            f"asks/7.answer.json.{live}.tmp",
            "goals/ideas.tmp",
            "goals/draft.2.5.tmp.md",
            "goals/.tmp",
            "x.1e3.tmp",
        ]
        goes = [f"asks/7.answer.json.{dead}.tmp", f"goals/a.md.{dead}.tmp", f"state.json.{dead}.tmp.{dead}.tmp"]
        for name in stays + goes:
            self.write(name, "x")
        state = self.json("state.json")
        self.write("state.json", looop.compact({**state, "open": run}))
        self.looop("tick", code=None)
        self.assertEqual([name for name in stays + goes if os.path.exists(self.path(name))], stays)


class Links(Case):
    """A person's dotfiles hold the files, and the config and the data dir links to them."""

    def setUp(self):
        super().setUp()
        self.dots = os.path.join(self.home, "dotfiles")
        os.mkdir(self.dots)

    def link(self, path, name, text=None):
        """Make `path` a relative link to a file in the dotfiles; without a text there is no such file."""
        if text is not None:
            with open(os.path.join(self.dots, name), "w") as file:
                file.write(text)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(os.path.relpath(os.path.join(self.dots, name), os.path.dirname(path)), path)

    def dot(self, name):
        with open(os.path.join(self.dots, name)) as file:
            return file.read()

    def assert_linked(self, path, name, text):
        self.assertTrue(os.path.islink(path), path)
        self.assertEqual(self.dot(name), text)
        self.assertEqual([left for left in os.listdir(self.dots) if left.endswith(".tmp")], [])

    def test_init_writes_the_config_where_its_links_lead(self):
        config = os.path.join(self.home, ".config", "looop.json")
        for text in ("{}\n", None):  # None: the link dangles
            self.link(config, f"looop-{text is None}.json", text)
            self.looop("init", "claude")
            self.assert_linked(config, f"looop-{text is None}.json", '{\n  "default": "claude"\n}\n')
        os.rename(config, os.path.join(self.home, ".config", "middle"))
        os.symlink("middle", config)
        self.looop("init", "builtin")
        self.assert_linked(config, "looop-True.json", '{\n  "default": "builtin"\n}\n')
        self.assertTrue(os.path.islink(os.path.join(self.home, ".config", "middle")))

    def test_moves_write_through_links_too(self):
        self.profile(goals={"a": "0\n"})
        self.link(self.path("PLAYBOOK.md"), "PLAYBOOK.md", "# OLD\n")
        self.link(self.path("goals", "ship.md"), "ship.md", "old\n")
        self.link(self.path("goals", "new.md"), "new.md")
        self.link(self.path("sensors", "s.sh"), "s.sh", "#!/bin/sh\necho 1\n")
        os.chmod(os.path.join(self.dots, "s.sh"), 0o700)
        for reply, path, name, text in (
            ({"move": "write_goal", "id": "ship", "body": "new\n"}, "goals/ship.md", "ship.md", "new\n"),
            ({"move": "write_goal", "id": "new", "body": "new\n"}, "goals/new.md", "new.md", "new\n"),
            ({"move": "write_sensor", "name": "s", "body": "echo 2\n"}, "sensors/s.sh", "s.sh", "echo 2\n"),
            ({"move": "write_playbook", "body": "# NEW\n"}, "PLAYBOOK.md", "PLAYBOOK.md", "# NEW\n"),
        ):
            self.replies(reply)
            with open(os.path.join(self.home, ".config", "looop.json")) as file:
                config = looop.parse_json(file.read())
            self.config({**config, "gate": {"playbook": False, "shell": "never"}})
            self.write("goals/a.md", name)
            self.assertEqual(self.tick()["outcome"], "acted", reply)
            self.assert_linked(self.path(path), name, text)
        self.assertEqual(os.stat(self.path("sensors", "s.sh")).st_mode & 0o777, 0o700)

    @needs_walls
    def test_what_a_link_leads_to_is_written_by_a_yes(self):
        self.profile(goals={"a": "0\n"})
        self.link(self.path("goals", "ship.md"), "ship.md", "old\n")
        self.link(self.path("sensors", "s.sh"), "disk", "#!/bin/sh\necho 1\n")
        self.link(self.path("sensors", "new.sh"), "new")
        for n, (reply, path, name, text) in enumerate(
            (
                ({"move": "write_goal", "id": "ship", "body": "new\n"}, "goals/ship.md", "ship.md", "new\n"),
                ({"move": "write_sensor", "name": "s", "body": "echo 2\n"}, "sensors/s.sh", "disk", "echo 2\n"),
                ({"move": "write_sensor", "name": "new", "body": "echo 3\n"}, "sensors/new.sh", "new", "echo 3\n"),
            ),
            1,
        ):
            before = os.path.exists(f"{self.dots}/{name}") and self.dot(name)
            self.replies(reply)
            self.write("goals/a.md", name)
            self.assertEqual(self.tick()["outcome"], "proposed", reply)
            self.assertEqual(os.path.exists(f"{self.dots}/{name}") and self.dot(name), before)
            shown = self.looop("asks", str(n))
            self.assertIn(f"it is a link: this writes {os.path.realpath(self.dots)}/{name}", " ".join(shown.split()))
            self.assertIn(f"+{text}", shown)
            self.approve(n)
            self.assert_linked(self.path(path), name, text)

    def test_an_archived_goal_is_readable_still(self):
        self.profile(goals={"a": "0\n"})
        self.link(self.path("goals", "ship.md"), "ship.md", "ship it\n")
        self.replies({"move": "archive_goal", "id": "ship"})
        self.assertEqual(self.tick()["outcome"], "acted")
        self.assertFalse(os.path.lexists(self.path("goals", "ship.md")))
        self.assert_linked(self.path("goals", "archive", "ship.md"), "ship.md", "ship it\n")
        self.assertEqual(self.read("goals", "archive", "ship.md"), "ship it\n")

    def test_seeds_go_where_a_link_leads_that_was_made_before_its_file(self):
        self.link(self.path("PLAYBOOK.md"), "PLAYBOOK.md")
        self.tick()
        self.assert_linked(self.path("PLAYBOOK.md"), "PLAYBOOK.md", looop.SEEDS["PLAYBOOK.md"])

    def test_a_link_into_no_folder_is_one_line(self):
        self.link(os.path.join(self.home, ".config", "looop.json"), "later/looop.json")
        self.looop("init", "claude", code=1)
        self.assertRegex(
            self.stderr, r"^looop: \S+/later/looop.json\S*: No such file or directory: make the folder .+\n$"
        )

    def test_a_link_that_leads_to_itself_is_one_line(self):
        self.link(self.path("PLAYBOOK.md"), "PLAYBOOK.md")
        os.symlink("PLAYBOOK.md", os.path.join(self.dots, "PLAYBOOK.md"))
        self.looop("tick", code=1)
        self.assertRegex(self.stderr, r"^looop: data dir: \S+PLAYBOOK.md: Is a symbolic link: .+\n$")

    def test_a_playbook_is_not_put_back_through_a_link_that_a_program_made(self):
        """The person's link is made anew, and what it leads to is as it was; a proposal holds what the program left."""
        self.profile(goals={"a": "0\n"})
        other = os.path.join(self.home, "other")
        for link in ("PLAYBOOK.md", None):
            if link:
                self.link(self.path("PLAYBOOK.md"), "PLAYBOOK.md", "# MINE\n")
            else:
                os.unlink(self.path("PLAYBOOK.md"))
                self.write("PLAYBOOK.md", "# MINE\n")
            for command in ("mv theirs P*K.md", f"ln -sf {other} P*K.md", "cat theirs > P*K.md"):
                for path in (self.path("theirs"), other):
                    with open(path, "w") as file:
                        file.write(f"theirs, by {link} {command}\n")  # the same again would be no proposal
                self.write("goals/a.md", f"{link} {command}\n")
                self.replies({"move": "shell", "command": command, "reversible": True}, gate={"shell": "never"})
                self.assertIn("[it changed the PLAYBOOK: put back]", self.tick()["journal"], command)
                self.assertEqual(os.path.islink(self.path("PLAYBOOK.md")), bool(link), command)
                self.assertEqual(self.read("PLAYBOOK.md"), "# MINE\n", command)
                with open(other) as file:
                    self.assertEqual(file.read(), f"theirs, by {link} {command}\n")
                if link:
                    self.assertEqual(self.dot("PLAYBOOK.md"), "# MINE\n", command)


if __name__ == "__main__":
    unittest.main()
