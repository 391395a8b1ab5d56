"""The memory's repository: git runs none of the programs that its files could name, and makes private files only."""

import contextlib
import os
import signal
import stat
import subprocess

import looop
from tests.support import Case, alive, heavy, wait_until

WRITES = {"move": "write_goal", "id": "g", "body": "done\n"}


class Memory(Case):
    git = True

    def setUp(self):
        super().setUp()
        self.profile(goals={"a": "0\n"})
        self.replies(WRITES)
        self.opened = looop.open_profile(self.env, looop.__file__)
        self.told = os.path.join(self.home, "told")
        os.mkdir(self.told)

    def git_does(self, *words, cwd=None, env=None, code=0):
        """Run plain git, as a person would."""
        git = subprocess.run(
            ["git", "-c", "user.name=me", "-c", "user.email=me@here", *words],
            **{"cwd": cwd or self.data, "env": {**self.env, **(env or {})}},
            capture_output=True,
            check=False,
        )
        self.assertIn(git.returncode, (code, git.returncode if code is None else code), git.stderr)
        return git.stdout.decode()

    def commits(self):
        return int(self.git_does("rev-list", "--count", "HEAD"))

    def write_bin(self, name, text):
        path = os.path.join(self.bin, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o700)

    def beat(self, text):
        """Have a beat that writes a goal, and commits it."""
        self.write("goals/a.md", text)
        return self.tick()


@heavy
class Programs(Memory):
    """Whoever can write into the data dir can name programs there: plain git starts them, looop's does not."""

    def spy(self, name, then="cat"):
        return f"touch {self.told}/{name}; {then}"

    def script(self, path, name):
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{self.spy(name, 'exit 0')}\n")
        os.chmod(path, 0o700)
        return path

    def place(self):
        """Name a program wherever the repository of the data dir can; its newest commit is signed, by one of them."""
        gpg = self.script(os.path.join(self.home, "gpg"), "gpg")
        with open(gpg, "w") as file:
            signature = "-----BEGIN PGP SIGNATURE-----\\n\\nx\\n-----END PGP SIGNATURE-----\\n"
            file.write(f"#!/bin/sh\ntouch {self.told}/gpg\ncat >/dev/null\nprintf '\\n[GNUPG:] SIG_CREATED \\n' >&2\n")
            file.write(f"printf -- '{signature}'\n")
        self.git_does("config", "gpg.program", gpg)
        self.write("goals/signed.md", "signed\n")
        self.git_does("add", "goals/signed.md")
        self.git_does("commit", "-q", "-S", "-m", "signed", "--", "goals/signed.md")
        for name in ("pre-commit", "post-commit", "prepare-commit-msg", "commit-msg", "reference-transaction"):
            self.script(self.path(".git", "hooks", name), name)
        self.script(self.path(".git", "hooks", "post-index-change"), "post-index-change")
        for key, program in (
            ("core.fsmonitor", self.spy("fsmonitor", "false")),
            ("filter.odd=name.clean", self.spy("clean")),
            ("filter.odd=name.smudge", self.spy("smudge")),
            ("filter.required.required", "true"),
            ("filter.required.clean", self.spy("required")),
            ("filter.long.process", self.spy("process", "exit 1")),
            ("diff.words.textconv", self.spy("textconv", "cat <")),
            ("diff.external", self.spy("diff", ":")),
            ("diff.own.command", self.spy("diff-command", ":")),
            ("core.editor", self.spy("editor", "true")),
            ("core.pager", self.spy("pager")),
            ("alias.add", "!" + self.spy("alias", "true")),
            ("alias.c", "!" + self.spy("alias", "true")),
            ("commit.gpgSign", "true"),
            ("log.showSignature", "true"),
        ):
            self.git_does("config", key, program)
        self.write(
            ".gitattributes",
            "*.md diff=words\n"
            "goals/b.md filter=odd=name diff=own\ngoals/c.md filter=required\ngoals/d.md filter=long\n",
        )

    def started(self):
        names = sorted(os.listdir(self.told))
        for name in names:
            os.unlink(os.path.join(self.told, name))
        return names

    def nested(self):
        """Make a repository in the repository, known to it, and changed since."""
        inner = self.path("goals", "inner")
        self.git_does("init", "-q", inner)
        self.write("goals/inner/a", "0\n")
        self.git_does("add", "a", cwd=inner)
        self.git_does("commit", "-q", "-m", "first", cwd=inner)
        self.git_does("add", "-A", "goals")
        self.git_does("commit", "-q", "-m", "with a repository in it", "--", "goals")
        self.git_does("config", "core.fsmonitor", self.spy("nested-fsmonitor", "false"), cwd=inner)
        self.git_does("config", "filter.f.clean", self.spy("nested-clean"), cwd=inner)
        self.write("goals/inner/.gitattributes", "* filter=f\n")
        self.write("goals/inner/a", "1\n")

    def test_looops_git_starts_none_of_them_and_plain_git_does(self):
        self.beat("1\n")
        self.nested()
        self.place()
        self.started()
        for name in "bcd":
            self.write(f"goals/{name}.md", "new\n")
        before = self.commits()
        self.started()
        self.beat("2\n")
        self.assertEqual(self.started(), [])
        self.assertEqual(self.commits(), before + 1, self.stderr)
        self.assertEqual(self.git_does("show", "HEAD:goals/b.md", env={"GIT_PAGER": "cat"}), "new\n")
        self.started()
        self.doctor(code=None)
        self.looop("goals", "--json")
        self.assertEqual(self.started(), [])
        for name in "abcd":
            self.write(f"goals/{name}.md", "newer\n")
        self.git_does("add", "-A", "--", "goals", code=None)  # a filter fails
        os.unlink(self.path("goals/d.md"))
        self.git_does("add", "-A", "--", "goals")
        self.git_does("diff", "HEAD", code=None)
        self.git_does("commit", "-q", code=None)  # its message stays empty
        self.git_does("commit", "-q", "-m", "plain")
        self.git_does("c")
        plain = self.started()
        known = "pre-commit post-commit fsmonitor clean required process gpg editor alias diff nested-fsmonitor"
        self.assertEqual(set(known.split()) - set(plain), set())

    def test_what_looks_and_shows_is_quiet_too(self):
        self.write("goals/b.md", "1\n")
        self.beat("1\n")
        self.nested()
        self.place()
        self.started()
        names = self.git_does("config", "--list", "--name-only", "-z").split("\0")
        quiet = looop.quiet_git(self.env, looop.made_up_programs(names))
        for words in (("status",), ("log", "-p"), ("diff", "HEAD"), ("show", "--stat"), ("archive", "HEAD")):
            for name in "ab":
                self.write(f"goals/{name}.md", "newest\n")
            git = subprocess.run(["git", *words], cwd=self.data, env=quiet, capture_output=True, check=False)
            self.assertEqual(git.returncode, 0, git.stderr)
            if words[0] == "diff":
                self.assertIn(b"--- a/goals/a.md\n+++ b/goals/a.md\n@@ -1 +1 @@\n-1\n+newest\n", git.stdout)
        self.assertEqual(self.started(), [])

    def test_a_push_for_the_person_has_their_helpers_and_no_hook(self):
        self.beat("1\n")
        self.git_does("init", "-q", "--bare", "../far.git")
        self.git_does("remote", "add", "origin", "../far.git")
        self.git_does("config", "credential.helper", "!" + self.spy("helper", "echo password=x"))
        self.git_does("config", "push.gpgSign", "true")
        self.script(self.path(".git", "hooks", "pre-push"), "pre-push")
        names = self.git_does("config", "--list", "--name-only", "-z").split("\0")
        asked = {"input": b"protocol=https\nhost=example.com\n\n", "cwd": self.data, "capture_output": True}
        online = looop.quiet_git(self.env, looop.made_up_programs(names), online=True)
        for env, pushes in ((looop.quiet_git(self.env, looop.made_up_programs(names)), False), (online, True)):
            git = subprocess.run(["git", "push", "-q", "origin", "HEAD:main"], cwd=self.data, env=env, check=False,
                                 capture_output=True)  # fmt: skip
            self.assertEqual(git.returncode == 0, pushes, git.stderr)
        self.assertEqual(self.started(), [])
        subprocess.run(["git", "credential", "fill"], env=online, check=False, **asked)
        self.assertEqual(self.started(), ["helper"])
        kept = looop.quiet_git({"GIT_SSH_COMMAND": "ssh -F x", "GIT_DIR": "/y", "A": "b"}, online=True)
        self.assertEqual([kept.get(key) for key in ("GIT_SSH_COMMAND", "GIT_DIR", "A")], ["ssh -F x", None, "b"])

    def test_a_config_that_is_none_keeps_nothing_but_the_commit(self):
        self.beat("1\n")
        self.write(".git/config", "[core\n")
        outcome = self.beat("2\n")
        self.assertEqual(outcome["outcome"], "acted")
        self.assertIn("this move is journaled, not committed", self.stderr)

    def test_names_that_a_config_makes_up(self):
        names = (
            "core.bare filter.x.clean filter.a=b.required hook.lint.command hook.x gc.recentobjectshook remote.o.url"
        )
        quiet = "filter.x.clean= filter.a=b.required=false hook.lint.enabled=false gc.auto=0 maintenance.auto=false"
        self.assertEqual(list(looop.made_up_programs(names.split())), quiet.split())


@heavy
class Endless(Memory):
    def test_a_fifo_where_git_would_read_holds_no_beat(self):
        self.beat("0\n")
        places = ".gitignore .gitattributes goals/.gitattributes .git/info/exclude .git/index .git/refs/heads/x"
        for place in places.split():
            path = self.path(place)
            aside = path + ".aside"
            if os.path.exists(path):
                os.rename(path, aside)
            os.mkfifo(path, 0o600)
            self.assertEqual(self.beat(f"{place}\n")["outcome"], "acted")
            self.assertIn(f"{place}: is not a regular file: this move is journaled, not committed", self.stderr)
            self.assertIn(f"{place}: is not a regular file", self.doctor(code=None))
            os.unlink(path)
            if os.path.exists(aside):
                os.rename(aside, path)

    def test_what_a_killed_beat_left_is_ended_by_the_next(self):
        self.beat("0\n")
        real = os.readlink(os.path.join(self.bin, "git"))
        slow = f'#!/bin/sh\ncase "$*" in *" add "*) echo $$ >{self.home}/pid; exec sleep 99 ;; esac\nexec {real} "$@"\n'
        self.write_bin("git", slow)
        self.write("goals/a.md", "1\n")
        beat = self.start("tick")
        file = os.path.join(self.home, "pid")
        wait_until(lambda: os.path.exists(file) and os.path.getsize(file), "git")
        wait_until(lambda: os.path.exists(self.path(".git-child")), "its note")
        with open(file) as text:
            pid = int(text.read())
        beat.send_signal(signal.SIGKILL)
        beat.wait(120)
        self.assertTrue(alive(pid))
        self.write_bin("git", f'#!/bin/sh\nexec {real} "$@"\n')
        self.tick()
        self.assertFalse(alive(pid))
        self.assertFalse(os.path.exists(self.path(".git-child")))


class Modes(Memory):
    def modes(self, folder):
        found = {}
        for where, folders, files in os.walk(folder):
            for name in (*folders, *files, "."):
                s = os.lstat(os.path.join(where, name))
                if not stat.S_ISLNK(s.st_mode):
                    found[os.path.normpath(os.path.join(where, name))] = s.st_mode & 0o077
        return found

    def test_what_git_makes_is_private(self):
        before = os.umask(0o002)
        try:
            self.beat("1\n")
            self.git_does("config", "core.sharedRepository", "all")
            self.beat("2\n")
        finally:
            os.umask(before)
        open_to_others = [path for path, mode in self.modes(self.path(".git")).items() if mode]
        self.assertEqual([path for path in open_to_others if not path.endswith("config")], [])  # that is plain git's

    def test_an_open_data_dir_is_closed_and_no_link_is_followed(self):
        self.beat("1\n")
        outside = os.path.join(self.home, "outside")
        os.mkdir(outside)
        os.chmod(outside, 0o755)
        for path in (self.data, self.path(".git")):
            os.chmod(path, 0o755)
        self.assertIn("others can look into it; the next beat closes it", self.doctor(code=None))
        self.tick()
        self.assertIn("others could look into it: its mode was 755, and is 700 now", self.stderr)
        for path in (self.data, self.path(".git")):
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o700, path)
        self.tick()
        self.assertEqual(self.stderr, "")
        os.rename(self.path(".git"), os.path.join(self.home, "git"))
        os.symlink(outside, self.path(".git"))
        self.tick()
        self.assertEqual(os.stat(outside).st_mode & 0o777, 0o755)

    def test_a_repository_around_it_keeps_its_modes(self):
        self.git_does("init", "-q", cwd=self.home)
        self.runner(f"cat {self.home}/reply", git=True)
        before = os.umask(0o022)
        try:
            self.beat("1\n")
        finally:
            os.umask(before)
        objects = os.path.join(self.home, ".git", "objects")
        self.assertEqual(self.commits(), 1)
        self.assertTrue(any(mode & 0o044 for mode in self.modes(objects).values()))
