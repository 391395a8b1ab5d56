"""install.sh: run by real shells, fed by a web server of the test's own, with a PATH that holds what the test gives."""

import contextlib
import hashlib
import http.server
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import unittest

import looop
from tests import build, shared
from tests.support import LONG, ROOT, Case, alive, heavy, needs, needs_root, wait_until
from tests.test_archive import of_version

SCRIPT = os.path.join(ROOT, "install.sh")
SHELLS = [shutil.which("dash") or shutil.which("sh"), shutil.which("bash")]
TOOLS = "mktemp rmdir curl".split()
OLD, NEW = "0.0.9", looop.VERSION
PAGE_FILES = {
    ("config", "bash"): "bash-completion/completions/looop",
    ("config", "zsh"): "zsh/site-functions/_looop",
    ("config", "fish"): "fish/vendor_completions.d/looop.fish",
    ("help", "--man"): "man/man1/looop.1",
}
OLD_PYTHONS = [
    path
    for version in ("2.7", "3.6", "3.7", "3.8")
    for path in [os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")]
    for name in (sorted(os.listdir(path)) if os.path.isdir(path) else ())
    if name.startswith(version + ".")
    for path in [os.path.join(path, name, "bin", "python")]
    if os.access(path, os.X_OK)
]


class Web:
    """Serve files on a port of the loopback, and remember what was asked for, by whom.

    A file is its bytes; or ("cut", bytes): it breaks off halfway; or ("stall", bytes): it stops halfway until the end;
    or ("to", address): it lies elsewhere.
    """

    def __init__(self, certificate=None):
        self.files, self.asked = {}, []
        self.halfway, self.over = threading.Event(), threading.Event()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                web.answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.address = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, request):
        self.asked.append((request.path, request.headers.get("User-Agent", "")))
        body = self.files.get(request.path)
        how, body = body if isinstance(body, tuple) else ("whole", body)
        request.send_response(404 if body is None else 302 if how == "to" else 200)
        if how == "to":
            request.send_header("Location", body)
            body = b""
        body = body or b""
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        try:
            request.wfile.write(body if how == "whole" else body[: len(body) // 2])
        except OSError:
            return
        if how == "stall":
            self.halfway.set()
            self.over.wait(120)

    def paths(self):
        """Return what was asked for since the last call."""
        paths, self.asked = [path for path, _ in self.asked], []
        return paths

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def release_files(content, at=""):
    """Return what a web server has of a release."""
    digest = hashlib.sha256(content).hexdigest()
    return {f"{at}/looop": content, f"{at}/looop.sha256": f"{digest}  looop\n".encode()}


SMALL = """#!/usr/bin/env python3
import sys

VERSION = "0.0.9"


def main():
    print("looop", VERSION)
    return 0


if __name__ == "__main__":
    sys.exit(main())
"""


def make_small_tree(folder):
    """Make a checkout of a program that says only what it is, OLD: it is built ten times as fast."""
    os.mkdir(folder)
    for name in ("install.sh", "build_zipapp.py"):
        shutil.copy(os.path.join(ROOT, name), folder)
    with open(os.path.join(folder, "looop.py"), "w", encoding="utf-8") as file:
        file.write(SMALL)
    return folder


def make_tree(folder, version):
    """Make a checkout that says it is a version."""
    leave = shutil.ignore_patterns(".*", "__pycache__", "tests", "bench", "dist", "build", "*.egg-info")
    shutil.copytree(ROOT, folder, ignore=leave)
    path = os.path.join(folder, "looop.py")
    with open(path, encoding="utf-8") as file:
        source = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(source.replace(f'\nVERSION = "{NEW}"\n', f'\nVERSION = "{version}"\n', 1))
    return folder


def read(path):
    with open(path, "rb") as file:
        return file.read()


def seen(folder):
    """Return all that lies below a folder: mode, time and content of each file and folder."""
    found = {}
    for here, folders, names in os.walk(folder):
        for name in [".", *folders, *names]:
            path = os.path.normpath(os.path.join(here, name))
            what = os.lstat(path)
            plain = stat.S_ISREG(what.st_mode) or stat.S_ISLNK(what.st_mode)
            found[path] = what.st_mode, what.st_mtime_ns, read(path) if plain else None
    return found


def files(folder):
    """Return the files below a folder with their contents."""
    return {path: content for path, (_, _, content) in seen(folder).items() if content is not None}


class Installer(Case):
    """A home whose name needs quoting, a PATH without any looop, a web server."""

    named = False

    def setUp(self):
        super().setUp()
        for tool in TOOLS:
            self.give(tool)
        self.web = Web()
        self.addCleanup(self.web.close)
        self.temporary = os.path.join(self.home, "tmp")
        os.mkdir(self.temporary)
        self.env.update(SHELL="/bin/bash", TMPDIR=self.temporary, LOOOP_BASE_URL=self.web.address)
        self.script = read(SCRIPT)
        self.new_home()

    def new_home(self, name="it's a home "):
        self.house = tempfile.mkdtemp(prefix=name, dir=self.home)
        self.env["HOME"] = self.house
        self.target = os.path.join(self.house, ".local", "bin", "looop")
        self.remembered = os.path.join(self.house, ".cache", "looop", "python")

    def give(self, tool, path=None):
        """Put a tool on the PATH, or a script of that name."""
        path = path or shutil.which(tool)
        where = os.path.join(self.bin, tool)
        if os.path.lexists(where):
            os.unlink(where)
        if path and path.startswith("#!"):
            with open(where, "w") as file:
                file.write(path)
            os.chmod(where, 0o755)
        elif path:
            os.symlink(path, where)
        return where

    def take(self, tool):
        with contextlib.suppress(FileNotFoundError):  # a bare machine has no curl
            os.unlink(os.path.join(self.bin, tool))

    def each_shell(self, everyone=False):
        """Give each shell, or without LOOOP_LONG mostly the first, with a home of its own for it."""
        for shell in SHELLS if everyone or LONG else SHELLS[:1]:
            self.new_home()
            yield shell

    # --- running it

    def sh(self, *words, shell=SHELLS[0], script=None, code=0, env=None, cwd=None, user=None):
        """Run install.sh as `curl … | sh` does, or the file that is named; return its stdout, keep its warnings."""
        command = [shell, script, *words] if script else [shell, "-s", "--", *words]
        left = self.leftovers()
        done = subprocess.run(
            command,
            env={**self.env, **(env or {})},
            cwd=cwd or self.home,
            input=b"" if script else self.script,
            capture_output=True,
            timeout=120,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{shell}: {out}\n{err}")
        self.check_warnings(err)
        self.assertEqual(self.leftovers() - left, set())
        return out

    def leftovers(self):
        """Return the files and folders that are there for a while only."""
        paths = [path for path in files(self.house) if ".looop-install." in path]
        return {*paths, *os.listdir(self.temporary)}

    def check_warnings(self, err):
        for line in err.splitlines():
            self.assertTrue(line.startswith("looop install: "), err)
        self.warnings = "\n".join(err.splitlines())

    def start_sh(self, shell, *words):
        """Start install.sh as the leader of a group of its own."""
        process = subprocess.Popen(
            [shell, "-s", "--", *words],
            env=self.env,
            cwd=self.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.addCleanup(self.end_group, process)
        process.stdin.write(self.script)
        process.stdin.close()
        process.stdin = None  # as communicate() wants it
        return process

    def end_group(self, process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()

    def refuse(self, message, *words, code=1, **options):
        """Demand that it fails with one line and leaves the home as it was."""
        before = seen(self.house)
        out = self.sh(*words, code=code, **options)
        self.assertEqual(len(self.warnings.splitlines()), 1, self.warnings)
        self.assertRegex(self.warnings, message)
        self.assertNotIn("installed:", out)
        self.assertEqual(seen(self.house), before)

    def installed(self, *words):
        """Run the installed program as a person does, in the test's profile."""
        done = subprocess.run([self.target, *words], env=self.env, cwd=self.home, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()


class Built(Installer):
    """With two releases, built once."""

    @classmethod
    def setUpClass(cls):
        cls.old = of_version(OLD, sys.executable)
        cls.new = read(os.path.join(shared("archive", build), "looop"))

    def offer(self, content, at=""):
        self.web.files.update(release_files(content, at))


@heavy
class Installs(Built):
    long = True

    def test_fresh_again_and_newer(self):
        for shell in self.each_shell():
            self.offer(self.old)
            out = self.sh(shell=shell)
            self.assertEqual(self.warnings, "")
            self.assertIn(f"installed: looop {OLD} in {self.target}\n", out)
            self.assertEqual(self.web.paths(), ["/looop.sha256", "/looop"])
            self.assertEqual(read(self.target), self.old)
            self.assertEqual(os.stat(self.target).st_mode & 0o7777, 0o755)
            self.assertEqual(self.installed("version"), f"looop {OLD}\n")
            self.assertEqual(read(self.remembered).decode(), os.path.join(self.bin, "python3") + "\n")
            self.assertEqual(os.stat(self.remembered).st_mode & 0o7777, 0o600)
            self.assertEqual(os.stat(os.path.dirname(self.remembered)).st_mode & 0o7777, 0o700)

            before = seen(self.house)
            self.assertIn(f"already installed: looop {OLD} in {self.target}\n", self.sh(shell=shell))
            self.assertEqual(seen(self.house), before)
            self.assertEqual(self.web.paths(), ["/looop.sha256"])

            self.offer(self.new)
            out = self.sh(shell=shell)
            self.assertIn(f"installed: looop {NEW} in {self.target}, in place of looop {OLD}\n", out)
            self.assertNotIn("pulse", out)
            self.assertEqual(read(self.target), self.new)
            self.assertEqual(self.installed("version"), f"looop {NEW}\n")
            self.web.paths()

    def test_umask_and_place(self):
        """The program is for everybody who can reach it, whatever the caller's umask; a folder may be relative."""
        self.offer(self.new)
        folder = os.path.join(self.house, "my tools $x", "bin")
        command = f'umask 077; LOOOP_INSTALL_DIR="$1" exec {SHELLS[0]} -s'
        done = subprocess.run(
            ["sh", "-c", command, "sh", os.path.relpath(folder, self.home) + "/"],
            env=self.env,
            cwd=self.home,
            input=self.script,
            capture_output=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.stat(os.path.join(folder, "looop")).st_mode & 0o7777, 0o755)
        self.assertIn(f"    export PATH='{folder}':\"$PATH\"\n".replace("it's", "it'\\''s"), done.stdout.decode())

    @needs("curl")
    def test_piped_from_the_address_that_a_release_carries(self):
        line = b"\nDEFAULT_BASE_URL=''\n"
        self.assertEqual(self.script.count(line), 1)
        self.offer(self.new)
        self.web.files["/install.sh"] = self.script.replace(line, f"\nDEFAULT_BASE_URL='{self.web.address}'\n".encode())
        del self.env["LOOOP_BASE_URL"]
        command = ["sh", "-c", f"curl -fsSL {self.web.address}/install.sh | sh"]
        done = subprocess.run(command, env=self.env, cwd=self.home, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(read(self.target), self.new)

    def fetched_by(self, agent):
        self.offer(self.new)
        self.sh()
        self.assertEqual(read(self.target), self.new)
        self.assertEqual({who.split("/")[0] for _, who in self.web.asked}, {agent})

    @needs("curl")
    def test_with_curl(self):
        self.fetched_by("curl")

    @needs("wget")
    def test_without_curl_but_with_wget(self):
        self.take("curl")
        self.give("wget")
        self.fetched_by("Wget")
        self.new_home()
        del self.web.files["/looop.sha256"]
        self.refuse(r"looop\.sha256: .*404")

    def test_with_neither(self):
        self.take("curl")
        self.fetched_by("Python-urllib")

    @needs("busybox")
    def test_with_busybox_alone(self):
        """Its shell, its wget, its everything."""
        busybox = shutil.which("busybox")
        for name in os.listdir(self.bin):
            self.take(name)
        for name in "sh wget cat chmod cp grep mkdir mktemp mv rm rmdir sed uname".split():
            self.give(name, busybox)
        self.give("python3", sys.executable)
        self.offer(self.new)
        self.sh(shell=os.path.join(self.bin, "sh"))
        self.assertEqual(read(self.target), self.new)
        self.assertNotIn("curl", self.web.asked[0][1])
        self.sh("--uninstall", shell=os.path.join(self.bin, "sh"))
        self.assertEqual(files(self.house), {})

    def test_a_version_that_is_asked_for(self):
        releases = self.web.address + "/o/r/releases/latest/download"
        self.offer(self.new, at="/o/r/releases/latest/download")
        self.offer(self.old, at=f"/o/r/releases/download/v{OLD}")
        self.offer(self.old, at="/plain/1.2.3")
        self.sh(env={"LOOOP_BASE_URL": releases})
        self.assertEqual(read(self.target), self.new)
        self.sh("--version", "v" + OLD, env={"LOOOP_BASE_URL": releases + "/"})
        self.assertEqual(read(self.target), self.old)
        plain = {"LOOOP_BASE_URL": self.web.address + "/plain"}
        self.refuse(f"--version 1.2.3: .* has {OLD}: ", "--version=1.2.3", env=plain)
        self.assertEqual(self.web.paths()[-1], "/plain/1.2.3/looop.sha256")

    def test_a_pulse_goes_on_and_is_told_about(self):
        self.offer(self.old)
        self.sh()
        self.profile()
        pid = self.pulse()
        self.assertIn("already installed", self.sh())
        self.offer(self.new)
        out = self.sh()
        self.assertIn("go on with the old code, undisturbed; `looop down && looop up` takes the new one", out)
        self.assertEqual(read(self.target), self.new)
        self.assertEqual(self.pulse(), pid)
        self.assertTrue(alive(pid))
        self.refuse("the pulse runs: `looop down` first", "--uninstall")
        self.installed("start-session", "w", "--command", "sleep 100")
        self.installed("down")
        self.refuse("sessions run: `looop down --workers`, and `looop kill ID`", "--uninstall")
        self.installed("kill", "w")
        self.sh("--uninstall")
        self.assertFalse(os.path.exists(self.target))

    def pulse(self):
        """Have the installed program's pulse run; return its pid."""
        return json.loads(self.installed("up", "--json"))["pid"]

    def test_what_is_there_and_no_archive(self):
        """A broken program is replaced; a symlink is, and what it points to is not; a folder is not."""
        self.offer(self.new)
        os.makedirs(os.path.dirname(self.target))
        other = os.path.join(self.house, "other.sh")
        with open(other, "w") as file:
            file.write("#!/bin/sh\necho looop 0.5; exit 1\n")
        os.chmod(other, 0o755)
        os.symlink(other, self.target)
        self.assertIn("in place of what was there, a symlink\n", self.sh())
        self.assertFalse(os.path.islink(self.target))
        self.assertIn("looop 0.5", read(other).decode())
        os.unlink(self.target)
        os.mkdir(self.target)
        self.refuse(f"{self.target}: is a folder: ")
        os.rmdir(self.target)
        os.mkfifo(self.target)
        self.refuse(f"{self.target}: is not a regular file: ")

    def test_several_at_once(self):
        self.offer(self.new)
        processes = [self.start_sh(shell) for shell in (*SHELLS, SHELLS[0])]
        for process in processes:
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, err)
            self.check_warnings(err.decode())
            self.assertEqual(self.warnings, "")
            self.assertIn(f"installed: looop {NEW}", out.decode())
        self.assertEqual(read(self.target), self.new)
        self.assertEqual(os.listdir(os.path.dirname(self.target)), ["looop"])
        self.assertEqual(os.listdir(self.temporary), [])

    def test_uninstall_takes_what_was_written_and_nothing_else(self):
        self.offer(self.new)
        self.profile()
        for name in (".bashrc", ".config/looop.json", ".local/share/fish/vendor_completions.d/other.fish"):
            path = os.path.join(self.house, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write("{}\n")
        before = files(self.house)
        self.sh()
        after = seen(self.house)
        out = self.sh("--uninstall", "--dry-run", shell=SHELLS[-1])
        self.assertIn(f"would remove {self.target}\nyour data stays: {self.data}\n", out)
        self.assertEqual(seen(self.house), after)
        half = os.path.join(os.path.dirname(self.target), ".looop-install.99999")
        with open(half, "w"):
            pass  # of one that was killed
        with open(os.path.join(os.path.dirname(self.remembered), "code-0123abcd.bin"), "w"):
            pass  # what looop keeps there for a Python that its file has no bytecode for
        written = {half, *files(self.house)} - set(before)
        out = self.sh("--uninstall")
        self.assertEqual(self.warnings, "")
        self.assertEqual(set(re.findall("^removed (.*)$", out, re.MULTILINE)), written)
        self.assertIn(f"your config stays: {self.house}/.config/looop.json\n", out)
        self.assertEqual(files(self.house), before)
        self.assertFalse(os.path.exists(os.path.dirname(self.remembered)))
        out = self.sh("--uninstall", shell=SHELLS[-1])
        self.assertIn(f"no looop in {os.path.dirname(self.target)}\n", out)
        self.assertNotIn("removed", out)

    def test_uninstall_leaves_what_somebody_else_wrote(self):
        os.makedirs(os.path.dirname(self.target))
        for link in (False, True):
            if link:
                os.rename(self.target, self.target + "-mine")
                os.symlink("looop-mine", self.target)
            else:
                shutil.copy(os.path.join(ROOT, "looop.py"), self.target)
            before = seen(self.house)
            self.sh("--uninstall")
            self.assertIn("was not written by this: left: rm '", self.warnings)
            self.assertEqual(seen(self.house), before)

    def test_uninstall_needs_no_python(self):
        self.offer(self.new)
        self.sh()
        self.take("python3")
        self.sh("--uninstall")
        self.assertFalse(os.path.exists(self.target))
        self.assertFalse(os.path.exists(self.remembered))

    def test_another_looop_comes_first(self):
        self.offer(self.new)
        path = {"PATH": f"{self.bin}:{os.path.dirname(self.target)}/"}
        out = self.sh(env=path)
        self.assertEqual((self.warnings, "PATH" in out), ("", False), out)
        os.symlink(self.target, os.path.join(self.bin, "looop"))
        self.sh(env=path)
        self.assertEqual(self.warnings, "")  # it is the same
        self.give("looop", "#!/bin/sh\n")
        out = self.sh(env=path)
        self.assertIn(f"{self.bin}/looop: comes before {self.target} on PATH", self.warnings)
        self.assertNotIn("not on your PATH", out)
        out = self.sh()
        self.assertIn(f"{self.bin}/looop: comes before", self.warnings)
        self.assertIn("not on your PATH", out)


@heavy
class Pages(Built):
    long = True

    """Completions and man page, where shells and man look."""

    def setUp(self):
        super().setUp()
        self.offer(self.new)

    def page(self, words):
        return os.path.join(self.house, ".local", "share", PAGE_FILES[words])

    def test_they_are_what_looop_prints(self):
        out = self.sh()
        for words in PAGE_FILES:
            self.assertEqual(read(self.page(words)).decode(), self.installed(*words))
            self.assertEqual(os.stat(self.page(words)).st_mode & 0o7777, 0o644)
            self.assertIn(f": {self.page(words)}\n", out)
        os.unlink(self.page(("config", "zsh")))
        before = seen(self.house)
        out = self.sh()  # one that is missing is put back, and nothing else is touched
        self.assertIn(f"already installed: looop {NEW}", out)
        self.assertIn(f"completions for zsh: {self.page(('config', 'zsh'))}\n", out)
        after = seen(self.house)
        folder = os.path.dirname(self.page(("config", "zsh")))
        self.assertEqual(
            {path for path in after if after[path] != before.get(path)}, {folder, self.page(("config", "zsh"))}
        )

    def test_elsewhere(self):
        share = os.path.join(self.house, "my share")
        first = os.path.join(self.house, "bc")
        env = {"XDG_DATA_HOME": share, "BASH_COMPLETION_USER_DIR": first + ":/nowhere"}
        self.sh(env=env)
        there = [path for path in files(self.house) if path.startswith((share, first))]
        wanted = {os.path.join(share, name) for name in PAGE_FILES.values() if "bash" not in name}
        self.assertEqual(set(there), {*wanted, first + "/completions/looop"})
        self.sh("--uninstall", env=env)
        self.assertEqual(files(self.house), {})

    def test_one_that_cannot_be_written_is_skipped(self):
        os.makedirs(os.path.join(self.house, ".local", "share"))
        with open(os.path.join(self.house, ".local", "share", "zsh"), "w"):
            pass  # a file where a folder should be
        self.sh()
        self.assertEqual(len(self.warnings.splitlines()), 1)
        self.assertIn("completions for zsh: ", self.warnings)
        self.assertIn("cannot be written: skipped", self.warnings)
        self.assertEqual(self.installed("version"), f"looop {NEW}\n")

    def test_one_that_was_edited_is_left_by_uninstall(self):
        self.sh()
        edited = self.page(("config", "fish"))
        with open(edited, "a") as file:
            file.write("# mine\n")
        self.sh("--uninstall")
        self.assertIn(f"{edited}: is not what looop prints", self.warnings)
        self.assertEqual(list(files(self.house)), [edited])

    def found(self, command, **env):
        done = subprocess.run(command, env={**self.env, **env}, cwd=self.home, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    @needs("zsh")
    def test_zsh_finds_them_by_the_line_that_is_said(self):
        line = advice("fpath=", self.sh(env={"SHELL": "/bin/zsh"}))
        out = self.found([shutil.which("zsh"), "-f", "-c", f"{line}; autoload -Uz +X _looop && print -r $fpath[1]"])
        self.assertEqual(out.strip(), os.path.dirname(self.page(("config", "zsh"))))

    @needs("fish")
    def test_fish_finds_them(self):
        self.sh()
        out = self.found([shutil.which("fish"), "-c", "for dir in $fish_complete_path; echo $dir; end"])
        self.assertIn(os.path.dirname(self.page(("config", "fish"))), out.splitlines())

    @unittest.skipUnless(
        os.path.exists("/usr/share/bash-completion/bash_completion"),
        "bash-completion is not installed",
    )
    def test_bash_finds_them(self):
        self.new_home("plain-")  # bash-completion 2.11 does not look into a home with a space in its name
        self.sh()
        loader = "_comp_load looop || _completion_loader looop; complete -p looop"
        script = f". /usr/share/bash-completion/bash_completion; {loader}"
        self.assertNotIn("minimal", self.found(["bash", "--norc", "-c", script]))  # that is what every command has

    @needs("man", "manpath")
    def test_man_finds_it(self):
        for tool in ("man", "manpath"):
            self.give(tool)
        self.assertNotIn("MANPATH", self.sh())
        path = f"{os.path.dirname(self.target)}:{self.bin}"
        self.assertEqual(self.found(["man", "-w", "looop"], PATH=path).strip(), self.page(("help", "--man")))
        self.new_home()
        line = advice("export MANPATH=", self.sh(env={"XDG_DATA_HOME": self.house + "/else"}))
        out = self.found(["sh", "-c", f"{line}; man -w looop"])
        self.assertEqual(out.strip(), self.house + "/else/man/man1/looop.1")


@heavy
class Refusals(Built):
    """Whatever goes wrong: one line, and what was there is as it was."""

    def setUp(self):
        super().setUp()
        self.offer(self.new)

    def both(self, message, **options):
        """Demand that nothing is installed, and that an older one stays."""
        for shell, old in zip(self.each_shell(), (False, True)):
            if old:
                self.put_old()
            self.refuse(message, shell=shell, **options)
            self.assertEqual(list(files(self.house)), [self.target] if old else [])

    def put_old(self):
        os.makedirs(os.path.dirname(self.target))
        with open(self.target, "wb") as file:
            file.write(self.old)
        os.chmod(self.target, 0o755)

    def test_a_bad_checksum(self):
        self.web.files["/looop"] = self.new[:-1] + bytes([self.new[-1] ^ 1])
        self.both("/looop: is not the file of its checksum: nothing was installed: ")

    def test_a_pinned_file_and_any_other(self):
        pinned = {"LOOOP_SHA256": hashlib.sha256(self.new).hexdigest()}
        self.offer(self.old)  # with a checksum that is right beside it
        self.both("/looop: is not the file that LOOOP_SHA256 names: nothing was installed: ", env=pinned)
        for wrong in ("0" * 63, "x" * 64, "A" * 64):
            self.refuse("LOOOP_SHA256: is not a SHA-256", env={"LOOOP_SHA256": wrong})
        self.offer(self.new)
        self.web.files["/looop.sha256"] = b"0" * 64 + b"  looop\n"
        self.new_home()
        self.web.paths()
        self.assertIn(f"installed: looop {NEW}", self.sh(env=pinned))
        self.assertIn(f"already installed: looop {NEW}", self.sh(env=pinned))
        self.assertEqual(self.web.paths(), ["/looop"])

    def test_http_leads_on_to_no_http(self):
        other = Web()
        self.addCleanup(other.close)
        other.files = release_files(self.new)
        self.web.files = {path: ("to", other.address + path) for path in ("/looop", "/looop.sha256")}
        for tool in ("curl", "Python"):
            if tool == "Python":
                self.take("curl")
            self.refuse(r"/looop\.sha256: .*(disabled|which is not https)")
        self.assertNotIn("/looop", other.paths())

    def test_no_checksum(self):
        del self.web.files["/looop.sha256"]
        self.both(r"/looop\.sha256: .*404.*: nothing is installed without its checksum: ")
        self.assertNotIn("/looop", self.web.paths())

    def test_something_else_for_a_checksum(self):
        digest = hashlib.sha256(self.new).hexdigest().encode()
        for content in (b"", b"<html>sign in</html>\n", digest[:-1] + b"  looop\n", digest.upper(), b"\0" * 64):
            self.web.files["/looop.sha256"] = content
            self.refuse(r"/looop\.sha256: holds no SHA-256: nothing was installed: ")
        self.assertEqual(set(self.web.paths()), {"/looop.sha256"})

    def test_a_cut_download(self):
        self.web.files["/looop"] = ("cut", self.new)
        self.both("/looop: .*: nothing was installed: see to the network and call this again")
        self.take("curl")
        self.new_home()
        self.refuse("/looop: .* cut, .*: nothing was installed: see to the network and call this again")
        self.web.files["/looop.sha256"] = ("cut", self.web.files["/looop.sha256"])
        self.refuse(r"/looop\.sha256: ")

    @needs("curl")
    def test_nobody_answers(self):
        with socket.socket() as taken:  # a port of ours, where nobody listens
            taken.bind(("127.0.0.1", 0))
            self.env["LOOOP_BASE_URL"] = f"http://127.0.0.1:{taken.getsockname()[1]}"
            self.refuse(r"/looop\.sha256: curl: \(7\) .*: see to the address or the network")
            self.take("curl")
            self.refuse(r"/looop\.sha256: .*refused.*: see to the address or the network")

    def test_one_that_does_not_run(self):
        self.offer(b"#!/bin/sh\n# looop 9.9.9\necho looop: something is missing >&2\nexit 1\n")
        self.both("looop: it does not run with .*: looop: something is missing: nothing was installed: ")
        self.offer(b"#!/bin/sh\necho 9.9.9\n")
        self.refuse("looop: it does not run with .*: no reason was given: ")

    @needs("openssl")
    def test_https_does_not_lead_to_http(self):
        certificate = os.path.join(self.home, "certificate.pem")
        command = f"""openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=looop
            -addext subjectAltName=IP:127.0.0.1 -out {certificate} -keyout {certificate}.key""".split()
        subprocess.run(command, env={**self.env, "PATH": os.environ["PATH"]}, capture_output=True, check=True)
        with open(certificate + ".both", "wb") as file:
            file.write(read(certificate + ".key") + read(certificate))
        secure = Web(certificate + ".both")
        self.addCleanup(secure.close)
        env = {"LOOOP_BASE_URL": secure.address, "CURL_CA_BUNDLE": certificate, "SSL_CERT_FILE": certificate}
        secure.files = {path: ("to", self.web.address + path) for path in ("/looop", "/looop.sha256")}
        for tool in ("curl", "Python"):
            if tool == "Python":
                self.take("curl")
            self.new_home()
            self.refuse(r"/looop\.sha256: .*(disabled|which is not https)", env=env)
            self.assertEqual(secure.paths(), ["/looop.sha256"])

    def test_a_file_where_a_folder_should_be(self):
        with open(os.path.join(self.house, "file"), "w"):
            pass
        for folder in ("file", "file/bin"):
            self.refuse("/file.*: cannot be written", env={"LOOOP_INSTALL_DIR": os.path.join(self.house, folder)})
        self.assertEqual(self.web.paths(), [])  # it was seen before anything was fetched

    def test_a_folder_that_is_read_only(self):
        user = 12345 if os.geteuid() == 0 else None
        for path, mode in ((self.home, 0o755), (self.house, 0o555), (self.temporary, 0o777)):
            os.chmod(path, mode)
        self.addCleanup(os.chmod, self.house, 0o755)
        if user:  # nothing is read-only to root
            python = next((path for path in (sys.executable, "/usr/bin/python3") if runs_as(user, path)), None)
            if not python:
                self.skipTest("no Python here that another user could run")
            self.give("python3", python)
        self.refuse(f"{self.house}/.local/bin: cannot be written, because of {self.house}: ", user=user)
        self.assertEqual(self.web.paths(), [])

    def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(self):
        with open(os.path.join(self.house, ".cache"), "w"):
            pass
        self.sh()
        self.assertIn(f"{self.remembered}: cannot be written: ", self.warnings)
        self.assertEqual(self.installed("version"), f"looop {NEW}\n")

    def test_no_room(self):
        cp, head = shutil.which("cp"), shutil.which("head")
        full = f'#!/bin/sh\n{head} -c 1000 "$1" >"$2"\necho "cp: $2: No space left on device" >&2\nexit 1\n'
        os.makedirs(os.path.dirname(self.target))
        self.give("cp", full)
        self.sh(code=1)
        self.assertRegex(
            self.warnings, "looop: cp: .*: No space left on device: what was there is as it was: make room"
        )
        self.assertEqual(files(self.house), {})
        self.give("cp", cp)
        self.sh()

    def killed(self, shell, how, ready, content=None):
        """Install; when it is where it should be, end it; demand that the program is what it was."""
        process = self.start_sh(shell)
        wait_until(lambda: ready() or process.poll() is not None, "its place")
        self.assertIsNone(process.poll())
        os.killpg(process.pid, how)
        process.wait(120)
        self.assertEqual(read(self.target) if os.path.exists(self.target) else None, content)
        return process

    @needs_root
    def test_where_no_program_may_run(self):
        """The file is run where it lies, before it takes the place of what was there."""
        folder = os.path.dirname(self.target)
        os.makedirs(folder)
        mount = ["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)
        self.sh(code=1)
        advice = "what was there is as it was: if .*/bin is mounted noexec, choose another LOOOP_INSTALL_DIR"
        self.assertRegex(self.warnings, f"/looop: .*Permission denied: {advice}")
        self.assertEqual(files(self.house), {})

    def test_killed_on_its_way(self):
        """In the middle of the download, of the copy, and before it gets its name."""
        ready = os.path.join(self.home, "ready")
        head, sleep = shutil.which("head"), shutil.which("sleep")
        stops = {
            "cp": f'#!/bin/sh\n{head} -c 1000 "$1" >"$2"\n: >"{ready}"\nexec {sleep} 100\n',
            "mv": f'#!/bin/sh\n: >"{ready}"\nexec {sleep} 100\n',
        }
        for shell, old in zip(self.each_shell(), (None, self.old)):
            if old:
                self.put_old()
            self.web.files["/looop"] = ("stall", self.new)
            self.web.halfway.clear()
            self.killed(shell, signal.SIGKILL, self.web.halfway.is_set, old)
            self.offer(self.new)
            for tool, script in stops.items():
                self.give(tool, script)
                self.killed(shell, signal.SIGKILL, lambda: os.path.exists(ready), old)
                self.give(tool)
                os.unlink(ready)
            self.sh(shell=shell)
            self.assertEqual(read(self.target), self.new)

    def test_interrupted(self):
        for shell in self.each_shell():
            for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
                self.web.files["/looop"] = ("stall", self.new)
                self.web.halfway.clear()
                process = self.killed(shell, how, self.web.halfway.is_set)
                self.assertEqual(process.returncode, code)
                self.assertEqual(self.leftovers(), set())
                self.assertEqual(files(self.house), {})


class Pythons(Installer):
    """Which Python is taken. Nothing is installed: the plan names it."""

    def old(self, name="python3", version="3, 8, 18"):
        """Make a Python that takes itself for an old one."""
        told = f'import sys; sys.version_info = ({version}, "final", 0); exec(sys.argv[1])'
        return self.give(name, f"#!/bin/sh\nfor code; do :; done\nexec '{sys.executable}' -c '{told}' \"$code\"\n")

    def taken(self, **env):
        out = self.sh("--dry-run", env=env)
        return re.search(f"^would write {re.escape(self.remembered)}: (.*)$", out, re.MULTILINE)[1]

    def test_none(self):
        self.take("python3")
        for shell in self.each_shell():
            self.refuse("python: looop needs Python 3.9 or newer, and no python3 is on PATH: .*apt.*brew", shell=shell)
        self.assertEqual(self.web.paths(), [])

    def test_one_that_is_too_old(self):
        where = self.old()
        for shell in self.each_shell():
            self.refuse(f"needs Python 3.9 or newer, and python3 is Python 3.8 .*{sys.executable}.*: ", shell=shell)
        self.give("python3", "#!/bin/sh\necho broken >&2\nexit 1\n")
        self.old("python3.12", version="3, 7, 0")
        self.refuse("and python3 does not run, python3.12 is Python 3.7 ")
        self.assertTrue(os.path.exists(where))
        self.assertEqual(self.web.paths(), [])

    @unittest.skipUnless(OLD_PYTHONS, "no Python before 3.9 here: pyenv install 3.8")
    def test_real_ones_that_are_too_old(self):
        for path in OLD_PYTHONS:
            with self.subTest(python=path):
                self.give("python3", path)
                version = re.search(r"/(\d\.\d+)\.[^/]*/bin/", path)[1]
                self.refuse(f"and python3 is Python {version} ")
        self.assertEqual(self.web.paths(), [])

    def test_a_newer_one_beside_an_old_one(self):
        self.old()
        path = self.give("python3.11", sys.executable)
        self.assertEqual(self.taken(), path)
        self.assertEqual(self.warnings, "")

    def test_the_one_that_is_named(self):
        folder = os.path.join(self.home, "a b")
        os.mkdir(folder)
        named = os.path.join(folder, "py")
        os.symlink(sys.executable, named)
        self.assertEqual(self.taken(LOOOP_PYTHON=named), named)
        usual = os.path.join(self.bin, "python3")
        self.assertEqual(self.taken(LOOOP_PYTHON="python4"), usual)
        self.assertIn("LOOOP_PYTHON: python4 is not found: ", self.warnings)
        self.assertEqual(self.taken(LOOOP_PYTHON=self.old("old")), usual)
        self.assertIn("old is Python 3.8 ", self.warnings)

    def test_a_shim_and_a_virtual_environment_are_seen_through(self):
        real = self.give("python-real", sys.executable)
        self.give("python3", f"#!/bin/sh\nexec '{real}' \"$@\"\n")
        self.assertEqual(self.taken(), real)
        venv = os.path.join(self.home, "venv")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        self.give("python3", f"#!/bin/sh\nexec '{venv}/bin/python' \"$@\"\n")
        base = os.path.join(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
        self.assertEqual(self.taken(), base if os.access(base, os.X_OK) else os.path.join(venv, "bin", "python"))


@heavy
class Usage(Installer):
    def test_what_is_mistyped(self):
        for shell in self.each_shell():
            self.refuse("^looop install: --frob: no such option: --help lists them$", "--frob", code=2, shell=shell)
        self.refuse("now: no such option", "--dry-run", "now", code=2)
        self.refuse("--version: needs a value", "--version", code=2)
        for version in ("", "v", "..", "1/../2", "1 2", "1;2"):
            self.refuse("--version: '.*' is not a version", "--version", version, code=2)
        self.refuse("goes with no --uninstall", "--uninstall", "--version=1", code=2)
        self.assertEqual(self.web.paths(), [])

    def test_help(self):
        for shell in self.each_shell():
            out = self.sh("--help", shell=shell)
            for word in ("--version", "--dry-run", "--uninstall", "LOOOP_INSTALL_DIR", "LOOOP_BASE_URL"):
                self.assertIn(word, out)
            self.assertLessEqual(max(map(len, out.splitlines())), 80)
        self.assertEqual(self.web.paths(), [])

    def test_no_home(self):
        for shell in self.each_shell():
            self.refuse("HOME: is not an absolute path: ", shell=shell, env={"HOME": ""})

    def test_no_address(self):
        """None is invented, and a checkout that happens to be the current folder is not taken for one."""
        tree = make_tree(os.path.join(self.home, "tree"), NEW)
        for shell in self.each_shell():
            for cwd in (self.home, tree):
                self.refuse("LOOOP_BASE_URL: is not set", shell=shell, env={"LOOOP_BASE_URL": ""}, cwd=cwd)
        lonely = shutil.copy(SCRIPT, os.path.join(self.home, "install.sh"))
        self.refuse("LOOOP_BASE_URL: is not set", script=lonely, env={"LOOOP_BASE_URL": ""})
        for address in ("ftp://example.org", "example.org", "https://", "file:///tmp"):
            self.refuse("is not an address: ", env={"LOOOP_BASE_URL": address})

    def test_plain_http_is_of_this_machine_only(self):
        for place in (
            *("example.org", "example.org:8080", "127.0.0.1.example.org", "127.example.org", "localhost.example.org"),
            *("localhost@example.org", "127.0.0.1:80@example.org", "[::1].example.org", "[::1]@example.org", "0.0.0.0"),
            *("10.127.0.1", "127.0.0.1@example.org:80", "[::2]", "localhost:80:x"),
        ):
            self.refuse("anybody in between can replace", env={"LOOOP_BASE_URL": f"http://{place}"})
        for place in ("localhost", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"):
            out = self.sh("--dry-run", env={"LOOOP_BASE_URL": f"http://{place}/x"})
            self.assertIn(f"would fetch http://{place}/x/looop.sha256", out)

    def test_dry_run_writes_and_fetches_nothing(self):
        for shell in self.each_shell():
            before = seen(self.home)
            out = self.sh("--dry-run", shell=shell)
            self.assertEqual(seen(self.home), before)
            told = re.findall("^would write ([^:\n]*)", out, re.MULTILINE)
            share = os.path.join(self.house, ".local", "share")
            pages = [os.path.join(share, name) for name in PAGE_FILES.values()]
            self.assertEqual(told, [self.target, *pages, self.remembered])
            self.assertIn(f"would fetch {self.web.address}/looop.sha256\nwould fetch {self.web.address}/looop if", out)
        self.assertEqual(self.web.paths(), [])

    def test_a_script_that_was_cut_does_nothing(self):
        text = self.script
        last = text.rstrip().rindex(b"\n") + 1
        names = [match.end(1) for match in re.finditer(rb"^(\w+)\(\) \{$", text, re.MULTILINE)]
        self.assertGreater(len(names), 30)
        chosen = random.Random(1)
        cuts = [*names, *(chosen.randrange(last) for _ in range(50)), *range(last, len(text.rstrip()))]
        before = seen(self.home)
        trapped = text.index(b"\n", text.index(b"\ntrap ") + 1)
        for index, cut in enumerate(cuts):
            shell = SHELLS[index % len(SHELLS)]
            done = subprocess.run(
                [shell], input=text[:cut], env=self.env, cwd=self.home, capture_output=True, timeout=120, check=False
            )
            where = shell, cut, text[:cut][-40:], done
            self.assertEqual(self.web.paths(), [], where)
            if cut >= trapped:
                self.assertEqual(done.returncode, 1, where)
                self.assertIn(b"this script was cut short, nothing was installed: fetch it again", done.stderr, where)
        self.assertEqual(seen(self.home), before)
        self.script = text.rstrip()  # whole, but for the end of its last line
        self.refuse("404")
        self.assertEqual(self.web.paths(), ["/looop.sha256"])

    @needs("shellcheck")
    def test_shellcheck(self):
        command = [shutil.which("shellcheck"), "--shell=sh", "--severity=style", SCRIPT]
        done = subprocess.run(command, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ""))

    def test_lines_fit(self):
        lines = self.script.decode("ascii").split("\n")
        self.assertGreater(len(lines), 300)
        self.assertLessEqual(max(map(len, lines)), 120)


class Advice(Installer):
    """The lines that a person is told to add: each is tried in its shell."""

    def setUp(self):
        super().setUp()
        os.makedirs(os.path.dirname(self.target))
        with open(self.target, "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(self.target, 0o755)

    def tried(self, shell, begin, **env):
        """Return the file that the line belongs to, after the line has done its work."""
        out = self.sh("--dry-run", env={"SHELL": shell, **env})
        line = advice(begin, out)
        done = subprocess.run(
            [shell, "-c", f"{line}; command -v looop"], env=self.env, cwd=self.home, capture_output=True, check=False
        )
        where = env.get("LOOOP_INSTALL_DIR", os.path.dirname(self.target))
        self.assertEqual(done.stdout.decode(), f"{where}/looop\n", done.stderr)
        return re.search("is not on your PATH. Add this line to (.*):\n", out)[1]

    def test_bash_and_any_other(self):
        mac = sys.platform == "darwin"
        file = self.tried(shutil.which("bash"), "export PATH=")
        self.assertEqual(file, os.path.join(self.house, ".bash_profile" if mac else ".bashrc"))
        self.assertIn('export PATH="$HOME/.local/bin:$PATH"', self.sh("--dry-run"))
        self.assertEqual(
            self.tried(SHELLS[0], "export PATH="),
            os.path.join(self.house, ".bashrc" if SHELLS[0].endswith("bash") else ".profile"),
        )
        odd = os.path.join(self.house, 'a "b" $c `d`')
        shutil.copytree(os.path.dirname(self.target), odd)
        for shell in SHELLS:
            self.tried(shell, "export PATH=", LOOOP_INSTALL_DIR=odd)

    @needs("zsh")
    def test_zsh(self):
        zsh = shutil.which("zsh")
        self.assertEqual(self.tried(zsh, "export PATH="), os.path.join(self.house, ".zshrc"))
        place = os.path.join(self.house, ".local", "share", "zsh", "site-functions")
        env = {"SHELL": zsh, "ZDOTDIR": os.path.join(self.house, "z")}
        out = self.sh("--dry-run", env=env)
        self.assertIn(f"Add this line to {self.house}/z/.zshrc, before compinit:", out)
        done = subprocess.run(
            [zsh, "-f", "-c", advice("fpath=", out) + "; print -r -- $fpath[1]"],
            env=self.env,
            capture_output=True,
            check=True,
        )
        self.assertEqual(done.stdout.decode(), place + "\n")
        os.mkdir(env["ZDOTDIR"])
        with open(os.path.join(env["ZDOTDIR"], ".zshrc"), "w") as file:
            file.write("fpath=(~/.local/share/zsh/site-functions $fpath)\n")
        self.assertNotIn("fpath=", self.sh("--dry-run", env=env))
        self.assertNotIn("fpath=", self.sh("--dry-run"))  # to bash

    @needs("fish")
    def test_fish(self):
        self.assertEqual(
            self.tried(shutil.which("fish"), "fish_add_path "), os.path.join(self.house, ".config/fish/config.fish")
        )


@heavy
class Checkout(Installer):
    def test_it_is_built_and_installed_without_a_network(self):
        tree = make_small_tree(os.path.join(self.home, "my checkout"))
        self.take("curl")
        del self.env["LOOOP_BASE_URL"]
        before = seen(tree)
        self.refuse(
            f"--version {NEW}: {tree} has {OLD}: nothing was installed: ",
            "--version",
            NEW,
            script=os.path.join(tree, "install.sh"),
        )
        self.assertIn(f"would build the checkout {tree}\n", self.sh("--dry-run", script="install.sh", cwd=tree))
        self.assertEqual(files(self.house), {})
        out = self.sh(script="install.sh", cwd=tree)
        self.assertIn(f"building the checkout {tree}\ninstalled: looop {OLD} in {self.target}\n", out)
        self.assertEqual(self.installed("version"), f"looop {OLD}\n")
        there = seen(self.house)
        out = self.sh(script="./my checkout/install.sh", shell=SHELLS[-1])
        self.assertIn(f"already installed: looop {OLD} in {self.target}\n", out)
        self.assertNotIn("building", out)
        self.assertEqual(seen(self.house), there)
        self.assertEqual(seen(tree), before)
        with open(os.path.join(tree, "looop.py"), "a") as file:
            file.write("def broken(:\n")
        self.refuse(r"build_zipapp\.py: .*: nothing was installed: fix the checkout", script="install.sh", cwd=tree)

    def test_an_address_goes_before_it(self):
        tree = make_small_tree(os.path.join(self.home, "tree"))
        self.refuse(r"/looop\.sha256: .*404", script=os.path.join(tree, "install.sh"))


def advice(begin, out):
    """Return the line that a person is told to add."""
    return re.search(f"^    ({re.escape(begin)}.*)$", out, re.MULTILINE)[1]


def runs_as(user, python):
    """Tell whether another user can run a Python (root asks)."""
    try:
        return not subprocess.run([python, "-c", ""], user=user, capture_output=True, check=False).returncode
    except PermissionError:
        return False


if __name__ == "__main__":
    unittest.main()
