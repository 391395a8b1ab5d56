"""Files: what is a symbolic link stays one, and what it leads to is written whole."""

import os
import unittest

import looop
from tests.support import Case


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
            self.config({**config, "gate": {"playbook": False}})
            self.write("goals/a.md", name)
            self.assertEqual(self.tick()["outcome"], "acted", reply)
            self.assert_linked(self.path(path), name, text)
        self.assertEqual(os.stat(self.path("sensors", "s.sh")).st_mode & 0o777, 0o700)

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
        self.assertRegex(self.stderr, r"^looop: \S+json: a symbolic link to \S+/later/\S+: no such folder: .+\n$")

    def test_a_link_that_leads_to_itself_is_one_line(self):
        self.link(self.path("PLAYBOOK.md"), "PLAYBOOK.md")
        os.symlink("PLAYBOOK.md", os.path.join(self.dots, "PLAYBOOK.md"))
        self.looop("tick", code=1)
        self.assertRegex(self.stderr, r"^looop: \S+PLAYBOOK.md: a symbolic link that leads round in a circle: .+\n$")

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
                self.replies({"move": "shell", "command": command, "reversible": True})
                self.assertIn("[it changed the PLAYBOOK: put back]", self.tick()["journal"], command)
                self.assertEqual(os.path.islink(self.path("PLAYBOOK.md")), bool(link), command)
                self.assertEqual(self.read("PLAYBOOK.md"), "# MINE\n", command)
                with open(other) as file:
                    self.assertEqual(file.read(), f"theirs, by {link} {command}\n")
                if link:
                    self.assertEqual(self.dot("PLAYBOOK.md"), "# MINE\n", command)


if __name__ == "__main__":
    unittest.main()
