"""The gallery: each sensor it writes, in good, bad and failing worlds, on the real thing or a server like it."""

import contextlib
import functools
import glob
import http.server
import io
import json
import os
import random
import re
import shutil
import socket
import ssl
import stat
import subprocess
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request

import looop
from tests.support import FAKES, Case, Terminal, heavy, needs, wait_until

TOOLS = "git jq curl openssl df awk".split()
PLUGINS = "/usr/lib/nagios/plugins"
KEY = "lin_api_0123456789abcdef"
JPEG = "\U0001f600\"\\\u2028$(touch pwned)`touch pwned`' # looop:trust=trusted\n"  # a title that a stranger chose


class Server:
    """Serve one function (method, path, headers, body) -> (status, JSON or bytes) on loopback; keep what was asked."""

    def __init__(self, case, answer, context=None):
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.command, self.path, self.headers, body))
                status, value = answer(self.command, self.path, self.headers, body)
                raw = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that refuses our certificate hangs up

        self.http = Quiet(("127.0.0.1", 0), Handler)
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def end():
            self.http.shutdown()
            self.http.server_close()
            thread.join(120)

        case.addCleanup(end)


@functools.cache
def holder():
    """Return a socket that has a port of loopback, on which it does not listen, and so nobody else."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held


def closed_port():
    """Return a port of loopback that nothing listens on."""
    return holder().getsockname()[1]


def free_port():
    """Return a port that is free, and none of those that the system hands out by itself."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(15000, 32000)))
            return probe.getsockname()[1]


class Gallery(Case):
    """Tests that add sensors: what they need is on the PATH, and nothing of the machine's own settings is."""

    def setUp(self):
        super().setUp()
        for tool in TOOLS:
            self.offer(tool)
        self.env["no_proxy"] = "127.0.0.1"
        self.addCleanup(os.chdir, os.getcwd())

    def offer(self, tool, path=""):
        path = path or shutil.which(tool)
        if path:
            target = os.path.join(self.bin, tool)
            if os.path.lexists(target):
                os.unlink(target)
            os.symlink(path, target)

    def add(self, *words, code=0, env=None):
        """Add a sensor, in this process; demand the exit code and return its first reading."""
        os.chdir(self.home)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = looop.guarded({**self.env, **(env or {})}, ["sensor", "add", "--json", *words])
        self.assertEqual(ended, code, out.getvalue() + err.getvalue())
        return json.loads(out.getvalue())

    def opened(self, env):
        return looop.open_profile({**self.env, **(env or {})}, looop.__file__)

    def reading(self, name, env=None):
        """Run a sensor as a beat does, in this process; return its reading, its keys in the order of the script."""
        os.chdir(self.data)
        reading = looop.sense(self.opened(env), [name])[0][name]
        return {**json.loads(reading.text), "status": reading.status, "bytes": len(reading.text)}

    def script(self, name):
        return self.read("sensors", f"{name}.sh")

    def steady(self, name, signal, env=None, first=None):
        """Demand a signal, the same bytes on a second run, and that it is small; return the first reading."""
        first, second = first or self.reading(name, env), self.reading(name, env)
        self.assertEqual(first["signal"], signal, first)
        small = json.dumps(first["signal"])
        self.assertEqual(small, json.dumps(second["signal"]))
        self.assertLess(len(small), 2048)
        self.assertLess(first["bytes"], 8192)
        return first

    def run_git(self, folder, *words):
        env = {**self.env, "GIT_CONFIG_NOSYSTEM": "1"}
        who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *who, "-C", folder, *words], env=env, check=True, capture_output=True)


class Adding(Gallery):
    def test_the_gallery_is_listed(self):
        out = self.looop("sensor", "add")
        for kind, sensor in looop.GALLERY.items():
            self.assertIn(kind, out)
            self.assertIn(sensor.line, out)
        self.assertIn("github-ci [OWNER/REPO] [BRANCH]", out)
        kinds = [one["kind"] for one in json.loads(self.looop("sensor", "add", "--json"))]
        listed = "today every git github-prs github-issues github-ci linear grafana http disk nagios"
        self.assertEqual(" ".join(kinds), listed)
        self.assertFalse(os.path.exists(self.data), "looking makes nothing")

    def test_a_script_is_private_whole_and_run_once(self):
        out = self.looop("sensor", "add", "disk", "/", "98")
        self.assertIn(f"wrote {self.path('sensors', 'disk.sh')}", out)
        self.assertIn('"disk": "under 98%"', out)
        mode = os.stat(self.path("sensors", "disk.sh")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o700)
        self.assertEqual([name for name in os.listdir(self.path("sensors")) if not name.endswith(".sh")], [])
        self.assertIn("path='/'\npercent='98'\n", self.script("disk"))

    def test_a_file_that_exists_is_never_written_over(self):
        self.profile(sensors={"disk": "echo '{}'"})
        before = self.read("sensors", "disk.sh")
        self.looop("sensor", "add", "disk", code=1)
        self.assertIn("there is one already: nothing was written over it: choose another name with --name", self.stderr)
        os.symlink("/nowhere", self.path("sensors", "link.sh"))
        self.looop("sensor", "add", "disk", "--name", "link", code=1)
        self.assertEqual(
            (self.read("sensors", "disk.sh"), os.readlink(self.path("sensors", "link.sh"))), (before, "/nowhere")
        )
        self.assertEqual(sorted(os.listdir(self.path("sensors"))), ["disk.sh", "link.sh"])
        self.assertEqual(self.add("disk", "--name", "disk-2")["name"], "disk-2")

    def test_a_fresh_profile_has_today_and_another_can_be_added(self):
        self.looop("sensor", "add", "today", code=1)
        row = self.add("today", "--name", "date")
        self.assertRegex(row["signal"]["date"], r"^\d{4}-\d\d-\d\d$")
        self.steady("date", row["signal"])
        self.assertEqual(self.script("date"), self.script("today"))

    def test_wrong_parameters_are_one_line(self):
        for words, message in (
            (["gti"], "did you mean git?"),
            (["nothing-like-it"], "the kinds are: today, every, git"),
            (["git"], "PATH is missing: it takes: git PATH"),
            (["git", "/x", "--at", "09:00"], "--at is one too many: it takes: git PATH"),
            (["every"], "DUR is missing: it takes: every DUR [--at TIME] [--on DAYS]"),
            (["every", "7h"], "7h is no part of a day like 15m or 6h, nor days or weeks like 1d or 2w"),
            (["every", "0"], "0 is no part of a day"),
            (["every", "2y"], "is not a duration"),
            (["every", "1d", "--at", "9"], "9 is not a time of day like 09:00"),
            (["every", "1d", "--on", "mon,doomsday"], "mon,doomsday is not days like mon,fri or mon-fri"),
            (["every", "1d", "09:00"], "09:00 is one too many"),
            (["git", ""], "the path is empty"),
            (["git", "a", "b"], "b is one too many: it takes: git PATH"),
            (["today", "x"], "x is one too many: it takes: today"),
            (["github-prs", "noslash"], "noslash is not an OWNER/REPO: it takes: github-prs [OWNER/REPO]"),
            (["github-prs", "a/b/c/d"], "is not an OWNER/REPO"),
            (["github-prs", "https://github.com/o"], "o is not an OWNER/REPO"),
            (["github-prs", "https://me:word@github.com/o/r"], "holds a secret"),
            (["github-ci", "o/$(id)"], "is not an OWNER/REPO"),
            (["github-ci", "o/r", " "], "an argument is empty"),
            (["http", "example.org"], "is not an http:// or https:// URL: it takes: http URL"),
            (["http", "file:///etc/passwd"], "is not an http"),
            (["grafana", "https://me:secret@example.org"], "holds a secret"),
            (["disk", "/", "100"], "is not a whole number from 1 to 99: it takes: disk [PATH] [PERCENT]"),
            (["disk", "/", "many"], "is not a whole number"),
            (["nagios"], "PLUGIN is missing: it takes: nagios PLUGIN [ARGS…]"),
            (["disk", "--name", "../x"], "../x is not a name"),
            (["disk", "--name", "pulse"], "pulse is not a name"),
        ):
            self.assertEqual(self.looop("sensor", "add", *words, code=2), "")
            self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
            self.assertIn(message, self.stderr)
        self.assertFalse(os.path.exists(self.data), "nothing is made for a mistake")

    def test_a_secret_of_the_environment_is_not_written_into_a_script(self):
        env = {"DB_PASSWORD": "correct-horse"}
        self.looop("sensor", "add", "nagios", "--", "check_x", "-p", "correct-horse", code=2, env=env)
        self.assertIn("[DB_PASSWORD] holds a secret", self.stderr)
        self.assertNotIn("correct-horse", self.stderr)

    @needs("git")
    def test_nothing_is_kept_of_a_sensor_that_does_not_work(self):
        out = self.looop("sensor", "add", "nagios", "/no/such/plugin", code=1)
        self.assertIn('"error": "exit 12', out)
        self.assertIn("nagios-plugin was not added: its first reading is an error: exit 12", self.stderr)
        self.assertIn("--keep", self.stderr)
        self.assertNotIn("next beat", out)
        self.assertEqual(os.listdir(self.path("sensors")), ["today.sh"])
        self.assertFalse(os.path.exists(self.path(".try")))
        row = self.add("git", "/typo/my-project", code=1)
        self.assertEqual((row["signal"], row["path"]), ({"error": "no such folder"}, None))
        folder = os.path.join(self.home, "my-project")
        os.mkdir(folder)
        self.run_git(folder, "init")
        row = self.add("git", folder)
        self.assertEqual((row["name"], row["path"]), ("git-my-project", self.path("sensors", "git-my-project.sh")))
        self.assertEqual(self.add("nagios", "/no/such/plugin", "--keep")["status"], "error")
        self.assertTrue(os.path.exists(self.path("sensors", "nagios-plugin.sh")))

    @needs("git")
    def test_a_sensor_is_removed_and_git_keeps_it(self):
        self.looop("sensor", "add", "disk")
        script = self.script("disk")
        out = self.looop("sensor", "remove", "disk")
        self.assertFalse(os.path.exists(self.path("sensors", "disk.sh")))
        command = out.partition("its last text: ")[2]
        told = subprocess.run(["sh", "-c", command], env=self.env, capture_output=True, text=True, check=True)
        self.assertEqual(told.stdout, script)
        self.looop("sensor", "remove", "disk", code=1)
        self.assertIn("there is no such sensor", self.stderr)
        self.looop("sensor", "remove", "today", code=1, env={"LOOOP_CHILD": "1"})
        self.assertTrue(os.path.exists(self.path("sensors", "today.sh")), "what looop started removes none")
        self.looop("sensor", "add", "disk")

    def test_a_sensor_is_edited_and_tried(self):
        self.profile(sensors={"ci": "echo '{}'"})
        self.looop("sensor", "edit", "ci", code=2)
        self.assertIn(f"stdin is not a terminal: edit the file itself: {self.path('sensors', 'ci.sh')}", self.stderr)
        for text, words in (('{"signal":7}', '"signal": 7'), ("plain", "its reading is an error; edit it again")):
            editor = os.path.join(self.home, "editor")
            with open(editor, "w") as file:
                file.write(f"#!/bin/sh\nprintf '#!/bin/sh\\necho '\"'\"'{text}'\"'\"'\\n' >new\nmv new \"$1\"\n")
            os.chmod(editor, 0o700)
            terminal = Terminal(120, 40)
            self.addCleanup(terminal.close)
            env = {**self.env, "TERM": "xterm", "VISUAL": editor}
            terminal.run(self.command("sensor", "edit", "ci"), env, self.home)
            terminal.wait(lambda words=words, terminal=terminal: words in terminal.text(), "the reading")
            self.assertEqual(terminal.process.wait(120), int(text == "plain"))
            self.assertTrue(os.stat(self.path("sensors", "ci.sh")).st_mode & 0o100)

    def test_the_address_of_a_page_names_a_repository(self):
        for address, repository in (
            ("https://github.com/o/r", "o/r"),
            ("https://github.com/o/r.git", "o/r"),
            ("https://github.com/o/r/pulls?q=x", "o/r"),
            ("https://github.example.org/o/r/", "github.example.org/o/r"),
            ("o/r", "o/r"),
        ):
            self.assertEqual(looop.checked_repository(address), repository)

    def test_names_say_what_is_watched(self):
        for kind, first, name in (
            ("git", "/home/me/my repo/", "git-my-repo"),
            ("github-ci", "o/r.js", "github-ci-r.js"),
            ("linear", "", "linear"),
            ("http", "https://example.org:8443/a/b", "http-example.org-8443"),
            ("disk", "/", "disk"),
            ("nagios", "/opt/check_it", "nagios-check_it"),
            ("git", "/" + "x" * 300, "git-" + "x" * 60),
            ("git", "/\u00fc", "git"),
        ):
            self.assertEqual(looop.gallery_name(kind, {"it": first}), name)
            self.assertTrue(looop.valid_id(name))

    @needs("git")
    def test_hostile_arguments_are_words(self):
        """They reach the program whole, and nothing in them runs or becomes an option of looop."""
        hostile = "a'b\"c$(touch pwned)`touch pwned`;touch pwned\n# looop:trust=trusted\ntouch pwned"
        folder = os.path.join(self.home, hostile)
        os.mkdir(folder)
        self.run_git(folder, "init")
        self.run_git(folder, "commit", "--allow-empty", "-m", JPEG)
        self.assertEqual(self.add("git", folder, "--name", "g")["signal"]["branch"], "main")
        self.assertIn("disk", self.add("disk", folder, "--name", "d")["signal"])
        self.offer("show", shutil.which("printf"))
        row = self.add("nagios", "--name", "n", "--", "show", "%s", hostile.replace("\n", " "))
        self.assertEqual(row["detail"]["text"], hostile.replace("\n", " "))
        for name in ("g", "d", "n"):
            with open(self.path("sensors", f"{name}.sh"), "rb") as file:
                self.assertEqual(looop.sensor_options(file.read()).asks_trust, name == "d")
        self.assertEqual(glob.glob(f"{self.home}/**/pwned", recursive=True), [])

    def test_scripts_are_plain_sh_and_say_how_they_run(self):
        """Alpine has no bash, and Debian's sh is dash."""
        newer = r"\b(mapfile|readarray|declare|local) \w|\$\{\w+(,,|\^\^|@|:\d)|&>|\|&|coproc|EPOCH|;;&|%\(.*\)T"
        newer += r"|<<<|<\(|\[\[ |\$'"
        shells = [[name] for name in ("sh", "dash", "bash") if shutil.which(name)]
        shells += [["busybox", "sh"]] * bool(shutil.which("busybox"))
        for kind, sensor in looop.GALLERY.items():
            values = {one.variable: [] if one.count == "*" else "x" for one in sensor.parameters}
            script = looop.gallery_script(kind, values)
            self.assertIsNone(re.search(newer, re.sub("(?m)^#.*", "", script.decode())), kind)
            self.assertTrue(script.startswith(b"#!/bin/sh\n"), kind)
            self.assertNotIn(b"{{", script)
            options = looop.sensor_options(script)
            self.assertEqual(options.problems, ())
            self.assertEqual(options.asks_trust, kind in ("today", "every", "disk"))
            self.assertLessEqual(options.timeout or 99, 40)
            for shell in shells:
                subprocess.run([*shell, "-n"], input=script, check=True)

    def test_what_is_missing_is_said(self):
        for tool in ("jq", "curl"):
            if os.path.lexists(os.path.join(self.bin, tool)):
                os.unlink(os.path.join(self.bin, tool))
        env = {"LINEAR_API_KEY": KEY}
        for number, words in enumerate((["linear"], ["grafana", "http://127.0.0.1:1"], ["http", "http://127.0.0.1:1"])):
            row = self.add(*words, "--name", f"n{number}", code=1, env=env)
            self.assertEqual((row["status"], row["signal"]), ("error", {"error": "exit 3"}))
            self.assertIn("curl is missing: install it", row["detail"]["stderr"])


@needs("git")
@heavy
class Clones(Gallery):
    def setUp(self):
        super().setUp()
        self.origin, self.clone = os.path.join(self.home, "origin"), os.path.join(self.home, "clone")
        os.mkdir(self.origin)
        self.run_git(self.origin, "init")
        self.run_git(self.origin, "commit", "--allow-empty", "-m", "one")
        self.run_git(self.home, "clone", self.origin, self.clone)

    def test_a_healthy_one(self):
        row = self.add("git", "clone")
        self.assertEqual(row["name"], "git-clone")
        good = {"branch": "main", "upstream": "origin/main", "ahead": 0, "behind": 0, "dirty": 0}
        row = self.steady("git-clone", {**good, "stale": [], "stale_count": 0})
        self.assertEqual(set(row["detail"]), {"clone", "head", "committed"})
        self.assertIn(f"clone='{self.clone}'", self.script("git-clone"))

    def test_ahead_behind_dirty_and_stale(self):
        self.add("git", self.clone)
        for name in ("merged", "odd\"name'", "gone"):
            self.run_git(self.clone, "branch", name)
        self.run_git(self.clone, "worktree", "add", os.path.join(self.home, "tree"), "-b", "in-use")
        self.run_git(self.clone, "push", "--set-upstream", "origin", "gone")
        self.run_git(self.clone, "checkout", "gone")
        self.run_git(self.clone, "commit", "--allow-empty", "-m", "not merged")
        self.run_git(self.origin, "branch", "-D", "gone")
        self.run_git(self.clone, "checkout", "main")
        self.run_git(self.clone, "commit", "--allow-empty", "-m", JPEG)
        self.run_git(self.origin, "commit", "--allow-empty", "-m", "two")
        self.run_git(self.clone, "fetch", "--prune")
        self.run_git(self.clone, "branch", "--no-track", "new", "origin/main")
        for name in ("new", "-n", "line\nend"):
            with open(os.path.join(self.clone, name), "w"):
                pass
        stale = ["gone", "merged", "odd\"name'"]
        world = {"branch": "main", "upstream": "origin/main", "ahead": 1, "behind": 1, "dirty": 3}
        env = {"GIT_DIR": "/nowhere", "LC_ALL": "de_DE.UTF-8"}
        self.steady("git-clone", {**world, "stale": stale, "stale_count": 3}, env=env)
        for number in range(40):
            self.run_git(self.clone, "branch", f"{number:02}" + "-" * 40, "HEAD~1")
        signal = self.steady("git-clone", self.reading("git-clone")["signal"])["signal"]
        self.assertEqual((len(signal["stale"]), signal["stale_count"]), (20, 43))

    def test_detached_without_upstream_and_unborn(self):
        self.run_git(self.clone, "checkout", "--detach")
        self.assertEqual(self.add("git", self.clone)["signal"]["branch"], "(detached)")
        empty = os.path.join(self.home, "empty")
        os.mkdir(empty)
        self.run_git(empty, "init")
        self.add("git", empty)
        alone = {"branch": "main", "upstream": "", "ahead": None, "behind": None, "dirty": 0, "head": ""}
        self.steady("git-empty", {**alone, "stale": [], "stale_count": 0})

    def test_a_commit_is_seen_where_there_is_no_upstream(self):
        alone = os.path.join(self.home, "alone")
        os.mkdir(alone)
        self.run_git(alone, "init")
        self.run_git(alone, "commit", "--allow-empty", "-m", "one")
        self.run_git(alone, "branch", "new")
        first = self.add("git", alone)["signal"]
        self.assertEqual((first["stale"], len(first["head"])), ([], 12))
        self.run_git(alone, "commit", "--allow-empty", "-m", "two")
        second = self.reading("git-alone")["signal"]
        self.assertNotEqual(second.pop("head"), first.pop("head"))
        self.assertEqual(second, {**first, "stale": ["new"], "stale_count": 1})

    def test_no_clone(self):
        plain = os.path.join(self.home, "plain")
        os.mkdir(plain)
        first = self.add("git", plain, "--keep")
        self.steady("git-plain", {"error": "not a clone"}, first=first)
        os.rmdir(plain)
        self.steady("git-plain", {"error": "no such folder"})


# What GitHub's API answers, as far as gh asks for it; and what gh 2.23.0 makes of it, recorded from the real program.


def check_run(conclusion, name="test", started="2026-01-02T03:04:05Z", workflow="CI"):
    """Make a check as `gh pr list --json statusCheckRollup` shows one; one that runs has no conclusion."""
    return {
        "__typename": "CheckRun",
        "completedAt": "2026-01-02T03:05:05Z" if conclusion else "0001-01-01T00:00:00Z",
        "conclusion": conclusion,
        "detailsUrl": "https://github.com/o/r/actions/runs/1/job/1",
        "name": name,
        "startedAt": started,
        "status": "COMPLETED" if conclusion else "IN_PROGRESS",
        "workflowName": workflow,
    }


def status_context(state, started="2026-01-02T03:04:05Z"):
    return {
        "__typename": "StatusContext",
        "context": "ci/ext",
        "startedAt": started,
        "state": state,
        "targetUrl": "https://ci.example.org/1",
    }


def pull(number, review="", checks=(), draft=False, title="Add it"):
    return {
        "number": number,
        "title": title,
        "url": f"https://github.com/o/r/pull/{number}",
        "author": {"id": "U_1", "is_bot": False, "login": "ana", "name": "Ana"},
        "isDraft": draft,
        "reviewDecision": review,
        "statusCheckRollup": list(checks),
    }


def issue(number, labels=(), assignees=(), title="Bug"):
    return {
        "number": number,
        "title": title,
        "url": f"https://github.com/o/r/issues/{number}",
        "author": {"id": "U_2", "is_bot": False, "login": "bob", "name": ""},
        "labels": [{"id": "L1", "name": name, "description": "", "color": "d73a4a"} for name in labels],
        "assignees": [{"id": "U_1", "login": login, "name": "Ana"} for login in assignees],
    }


def found(number, repository="o/r", title="Look"):
    """Make what `gh search` finds."""
    owner = {"id": "U_1", "is_bot": False, "login": "ana", "type": "User", "url": "https://github.com/ana"}
    return {
        "number": number,
        "title": title,
        "url": f"https://github.com/{repository}/pull/{number}",
        "author": owner,
        "isDraft": False,
        "labels": [{"id": "L1", "name": "p1", "description": "", "color": "d73a4a"}],
        "repository": {"name": repository.split("/")[1], "nameWithOwner": repository},
    }


def ci_run(number, workflow, status, conclusion, title="Fix it"):
    return {
        "number": number,
        "workflowName": workflow,
        "status": status,
        "conclusion": conclusion,
        "displayTitle": title,
        "event": "push",
        "url": f"https://github.com/o/r/actions/runs/{number}",
        "createdAt": f"2026-01-02T03:04:{number:02}Z",
    }


GH_FAILURES = (
    (
        [4, "To get started with GitHub CLI, please run:  gh auth login\nAlternatively, populate the GH_TOKEN"
            " environment variable with a GitHub API authentication token.\n"],
        "not logged in",
    ),
    ([1, "HTTP 401: Bad credentials (https://api.github.com/graphql)\nTry authenticating with:  gh auth login\n"],
     "not logged in"),
    ([1, "HTTP 403: API rate limit exceeded for user ID 1. (https://api.github.com/graphql)\n"], "rate limit"),
    ([1, "error connecting to api.github.com\ncheck your internet connection or https://githubstatus.com\n"],
     "offline"),
    ([1, "GraphQL: Could not resolve to a Repository with the name 'o/r'. (repository)\n"], "no such repository"),
    ([1, "failed to get runs: HTTP 404: Not Found (https://api.github.com/repos/o/r/actions/runs)\n"],
     "no such repository"),
    ([2, ""], "gh failed, exit 2"),
)  # fmt: skip


@needs("jq")
@heavy
class GitHub(Gallery):
    def setUp(self):
        super().setUp()
        self.offer("gh", os.path.join(FAKES, "gh"))
        self.env["GH_WORLD"] = os.path.join(self.home, "world.json")
        self.world({})

    def world(self, world):
        with open(self.env["GH_WORLD"], "w") as file:
            json.dump(world, file)

    def asked(self):
        with open(self.env["GH_WORLD"] + ".asked") as file:
            return [json.loads(line) for line in file]

    def test_pull_requests(self):
        self.world({"pr list": []})
        first = self.add("github-prs", "o/r")
        self.steady("github-prs-r", {"open": {}, "more": False}, first=first)
        self.world(
            {
                "pr list": [
                    pull(12, "REVIEW_REQUIRED", [check_run("SUCCESS"), status_context("PENDING")], title=JPEG),
                    pull(11, draft=True),
                    pull(9, "APPROVED", [check_run("SUCCESS"), check_run("SKIPPED", "b"), status_context("SUCCESS")]),
                    pull(8, "CHANGES_REQUESTED", [check_run("", "a"), check_run("FAILURE", "b"), check_run("SUCCESS")]),
                ]
            }
        )
        row = self.steady(
            "github-prs-r",
            {
                "open": {
                    "#12": "review required, checks pending",
                    "#11": "draft, no review, no checks",
                    "#8": "changes requested, checks failed",
                    "#9": "approved, checks passed",
                },
                "more": False,
            },
        )
        self.assertEqual(row["detail"][0]["title"], JPEG)
        self.assertEqual(self.asked()[0][:6], ["pr", "list", "--repo", "o/r", "--state", "open"])

    def test_of_a_check_that_ran_again_the_newest_run_counts(self):
        """As `gh pr checks` has it: the rollup keeps every run there was of a commit."""
        early, late, never = "2026-01-02T03:04:05Z", "2026-01-02T04:04:05Z", "0001-01-01T00:00:00Z"
        queued = {**check_run("", started=never), "status": "QUEUED"}
        worlds = {
            "checks passed": [
                [check_run("CANCELLED", started=early), check_run("SUCCESS", started=late)],
                [check_run("SUCCESS", started=late), check_run("FAILURE", started=early)],
                [status_context("FAILURE", early), status_context("SUCCESS", late)],
            ],
            "checks failed": [
                [check_run("SUCCESS", started=early), check_run("TIMED_OUT", started=late)],
                [check_run("FAILURE", started=early), check_run("SUCCESS", started=late, workflow="Release")],
                [check_run("FAILURE", started=early), check_run("SUCCESS", "lint", started=late)],
            ],
            "checks pending": [
                [check_run("FAILURE", started=early), queued],
                [queued, check_run("SUCCESS", started=late)],
                [check_run("FAILURE", started=early), check_run("", started=late)],
            ],
        }
        self.world({"pr list": []})
        self.add("github-prs", "o/r")
        for words, rollups in worlds.items():
            for rollup in rollups:
                self.world({"pr list": [pull(1, checks=rollup)]})
                self.assertEqual(self.reading("github-prs-r")["signal"]["open"], {"#1": f"no review, {words}"}, rollup)

    def test_a_run_that_was_cancelled_or_skipped_says_nothing_of_a_branch(self):
        runs = [
            ci_run(5, "CI", "completed", "cancelled"),
            ci_run(4, "CI", "completed", "skipped"),
            ci_run(3, "CI", "completed", "failure"),
            ci_run(2, "CI", "completed", "success"),
            ci_run(1, "Nightly", "completed", "cancelled"),
        ]
        self.world({"run list": runs})
        row = self.add("github-ci", "o/r", "main")
        self.assertEqual(row["signal"]["workflows"], {"CI": "failure", "Nightly": "cancelled"})
        self.assertEqual(row["detail"][0]["number"], 3)

    def test_issues(self):
        self.world({"issue list": []})
        first = self.add("github-issues", "o/r")
        self.steady("github-issues-r", {"open": {}, "more": False}, first=first)
        self.world({"issue list": [issue(7, ["p1", "bug"], ["ana"], JPEG), issue(3)]})
        self.steady("github-issues-r", {"open": {"#3": "", "#7": "bug, p1, @ana"}, "more": False})

    def test_what_waits_for_me_anywhere(self):
        self.world({"search prs": [found(3)], "search issues": [found(5, "a/b"), found(2)]})
        first = self.add("github-prs")
        self.steady("github-prs", {"open": {"o/r#3": "asks for your review"}, "more": False}, first=first)
        first = self.add("github-issues")
        self.steady("github-issues", {"open": {"a/b#5": "p1", "o/r#2": "p1"}, "more": False}, first=first)
        first = self.add("github-ci")
        self.steady("github-ci", {"failing": ["o/r#3"], "more": False}, first=first)
        asked = [" ".join(words) for words in self.asked()]
        self.assertTrue(any("search prs --review-requested=@me --state=open" in words for words in asked))
        self.assertTrue(any("search issues --assignee=@me --state=open" in words for words in asked))
        self.assertTrue(any("search prs --author=@me --state=open --checks=failure" in words for words in asked))

    def test_a_run_under_way_changes_nothing_until_it_ends(self):
        runs = [ci_run(3, "CI", "completed", "success"), ci_run(2, "Release", "completed", "failure", JPEG)]
        self.world({"repo view": {"defaultBranchRef": {"name": "trunk"}}, "run list": runs})
        self.add("github-ci", "o/r")
        signal = {"branch": "trunk", "workflows": {"CI": "success", "Release": "failure"}}
        self.steady("github-ci-r", signal)
        self.assertIn("trunk", self.asked()[-1])
        runs = [ci_run(5, "CI", "in_progress", ""), ci_run(4, "Release", "queued", ""), *runs]
        self.world({"repo view": {"defaultBranchRef": {"name": "trunk"}}, "run list": runs})
        self.assertEqual(self.steady("github-ci-r", signal)["detail"][0]["running"], 1)
        runs[0] = ci_run(5, "CI", "completed", "failure")
        self.world({"repo view": {"defaultBranchRef": {"name": "trunk"}}, "run list": runs})
        signal["workflows"]["CI"] = "failure"
        self.steady("github-ci-r", signal)

    def test_a_branch_is_one_word_whatever_it_holds(self):
        branch = "$(touch pwned)'\"\n-x"
        self.world({"run list": [ci_run(1, "New", "queued", "")]})
        row = self.add("github-ci", "o/r", branch)
        self.assertEqual(row["signal"], {"branch": branch, "workflows": {"New": "never finished"}})
        self.assertIn(branch, self.asked()[-1])
        self.assertEqual(glob.glob(f"{self.home}/**/pwned", recursive=True), [])

    def test_many_with_long_titles_fit_into_a_reading(self):
        self.world(
            {
                "pr list": [
                    pull(n, "CHANGES_REQUESTED", [check_run("FAILURE")], True, JPEG * 30) for n in range(1000, 1030)
                ],
                "issue list": [issue(n, ["\U0001f600" * 50] * 9, ["a" * 39] * 9, JPEG * 30) for n in range(1000, 1030)],
                "search prs": [found(n, f"{'o' * 39}/{'r' * 100}", JPEG * 30) for n in range(1000, 1030)],
                "run list": [ci_run(n, f"{n}" * 50, "completed", "failure", JPEG * 30) for n in range(60)],
            }
        )
        for words in (["github-prs", "o/r"], ["github-issues", "o/r"], ["github-prs"], ["github-ci", "o/r", "main"]):
            row = self.add(*words)
            self.assertEqual(row["status"], "ok")
            self.assertLess(row["bytes"], 8192)
        self.assertTrue(self.reading("github-prs-r")["signal"]["more"])
        self.assertLess(len(json.dumps(self.reading("github-prs-r")["signal"])), 2048)

    def test_each_way_gh_fails_has_words_of_its_own(self):
        for number, (failure, words) in enumerate(GH_FAILURES):
            self.world({"fails": failure})
            kind = ("github-prs", "github-issues", "github-ci")[number % 3]
            row = self.add(kind, "o/r", "--name", f"n{number}", "--keep")
            self.assertEqual(row["signal"], {"error": words})
            self.assertIn(failure[1][:60], row["detail"])
        self.steady("n0", {"error": "gh failed, exit 2"})

    def test_no_jq_and_no_gh(self):
        for tool in ("jq", "gh"):
            os.unlink(os.path.join(self.bin, tool))
            row = self.add("github-prs", "--name", f"no-{tool}", code=1)
            self.assertEqual((row["status"], row["signal"]), ("error", {"error": "exit 3"}))
            self.assertIn(f"{tool} is missing: install it", row["detail"]["stderr"])


@needs("gh", "jq")
@heavy
class RealGh(Gallery):
    """The real gh, whose host github.localhost speaks plain HTTP, which a proxy of ours answers as GitHub does."""

    def setUp(self):
        super().setUp()
        self.offer("gh")
        self.server = Server(self, self.github)
        self.limited = False
        self.env.update(GH_HOST="github.localhost", GH_ENTERPRISE_TOKEN="gho_0123456789", GH_TOKEN="gho_0123456789")
        self.env.update(http_proxy=self.server.url, GH_CONFIG_DIR=os.path.join(self.home, "gh"))

    def github(self, method, path, headers, body):
        if self.limited:
            return 403, {"message": "API rate limit exceeded for user ID 1.", "documentation_url": "https://docs"}
        path = path.partition("api.github.localhost")[2]
        if path.startswith("/search/issues"):
            return 200, {"total_count": 1, "incomplete_results": False, "items": [self.item()]}
        if path.startswith("/repos/o/r/actions/workflows"):
            one = {"id": 7, "name": "CI", "state": "active", "path": ".github/workflows/ci.yml"}
            return 200, one if path.endswith("/7") else {"total_count": 1, "workflows": [one]}
        if path.startswith("/repos/o/r/actions/runs"):
            runs = [self.ci(3, "in_progress", None), self.ci(2, "completed", "success")]
            return 200, {"total_count": 2, "workflow_runs": runs}
        query = json.loads(body)["query"] if path == "/graphql" else ""
        page = {"hasNextPage": False, "endCursor": ""}
        for name, key, node in (
            ("PullRequestList", "pullRequests", self.pull()),
            ("IssueList", "issues", self.issue()),
        ):
            if name in query:
                some = {"totalCount": 1, "nodes": [node], "pageInfo": page}
                return 200, {"data": {"repository": {"hasIssuesEnabled": True, key: some}}}
        if "defaultBranchRef" in query:
            return 200, {"data": {"repository": {"defaultBranchRef": {"name": "main"}}}}
        return 404, {"message": "Not Found"}

    def item(self):
        return {
            "id": 5,
            "number": 3,
            "title": "Look",
            "html_url": "https://github.com/o/r/pull/3",
            "repository_url": "https://api.github.com/repos/o/r",
            "user": {"login": "ana", "id": 1, "node_id": "U_1", "type": "User"},
            "state": "open",
            "draft": True,
            "labels": [],
            "assignees": [],
            "created_at": "2026-01-02T03:04:05Z",
            "pull_request": {"url": "https://api.github.com/repos/o/r/pulls/3"},
        }

    def ci(self, number, status, conclusion):
        at = f"2026-01-02T03:04:0{number}Z"
        return {
            "id": number,
            "name": "CI",
            "head_branch": "main",
            "run_number": number,
            "event": "push",
            "display_title": "Fix it",
            "status": status,
            "conclusion": conclusion,
            "workflow_id": 7,
            "html_url": f"https://github.com/o/r/actions/runs/{number}",
            "created_at": at,
            "updated_at": at,
            "run_started_at": at,
        }

    def pull(self):
        suite = {"workflowRun": {"workflow": {"name": "CI"}}}
        contexts = [{**check_run("SUCCESS"), "checkSuite": suite}, {**status_context("FAILURE"), "createdAt": None}]
        rollup = {"contexts": {"nodes": contexts, "pageInfo": {"hasNextPage": False, "endCursor": ""}}}
        nodes = [{"commit": {"statusCheckRollup": rollup}}]
        return {**pull(12, "REVIEW_REQUIRED", title=JPEG), "statusCheckRollup": {"nodes": nodes}}

    def issue(self):
        plain = issue(7, ["bug"], ["ana"])
        return {**plain, **{key: {"nodes": plain[key], "totalCount": 1} for key in ("labels", "assignees")}}

    def test_what_gh_makes_of_githubs_answers(self):
        self.assertEqual(
            self.add("github-prs", "o/r")["signal"],
            {"open": {"#12": "review required, checks failed"}, "more": False},
        )
        self.assertEqual(self.add("github-issues", "o/r")["signal"], {"open": {"#7": "bug, @ana"}, "more": False})
        self.assertEqual(self.add("github-ci", "o/r")["signal"], {"branch": "main", "workflows": {"CI": "success"}})
        self.assertEqual(
            self.add("github-prs")["signal"], {"open": {"o/r#3": "draft, asks for your review"}, "more": False}
        )
        self.assertEqual(self.add("github-issues")["signal"], {"open": {"o/r#3": ""}, "more": False})
        self.assertEqual(self.add("github-ci")["signal"], {"failing": ["o/r#3"], "more": False})

    def test_how_gh_fails(self):
        self.limited = True
        self.assertEqual(self.add("github-prs", "o/r", "--keep")["signal"], {"error": "rate limit"})
        self.assertEqual(self.add("github-ci", code=1)["signal"], {"error": "rate limit"})
        self.limited = False
        self.assertEqual(self.add("github-ci", "o/x", "main", code=1)["signal"], {"error": "no such repository"})
        env = {"http_proxy": f"http://127.0.0.1:{closed_port()}", "GH_DEBUG": "api"}
        self.assertEqual(self.add("github-issues", "o/r", code=1, env=env)["signal"], {"error": "offline"})
        env = {"GH_TOKEN": "", "GH_ENTERPRISE_TOKEN": "", "GH_HOST": ""}
        self.assertEqual(self.reading("github-prs-r", env=env)["signal"], {"error": "not logged in"})


@needs("jq", "curl")
@heavy
class Linear(Gallery):
    ISSUES = (
        ("ENG-12", "ENG", "In Progress", "started", JPEG),
        ("ENG-9", "ENG", "Done", "completed", "Over"),
        ("OPS-3", "OPS", "Todo", "unstarted", "Later"),
        ("OPS-1", "OPS", "Canceled", "canceled", "Never"),
    )

    def setUp(self):
        super().setUp()
        self.fails = None
        self.seen, self.looking = [], False  # the command lines of every process, while a request is answered
        self.server = Server(self, self.linear)
        self.env.update(LINEAR_URL=f"{self.server.url}/graphql", LINEAR_API_KEY=KEY)

    def linear(self, method, path, headers, body):
        for name in glob.glob("/proc/[0-9]*/cmdline") if self.looking else ():
            try:
                with open(name, "rb") as file:
                    self.seen.append(file.read())
            except OSError:
                pass
        if self.fails:
            return self.fails
        if headers["Authorization"] != KEY:
            return self.error(401, "AUTHENTICATION_ERROR", "Authentication required, not authenticated")
        question = json.loads(body)
        query, wanted = question["query"], question["variables"]["filter"]
        if method != "POST" or headers["Content-Type"] != "application/json" or query.count("{") != query.count("}"):
            return self.error(400, "GRAPHQL_VALIDATION_FAILED", "Syntax Error")
        nodes = [
            {
                "identifier": identifier,
                "title": title,
                "url": f"https://linear.app/acme/issue/{identifier}",
                "priorityLabel": "High",
                "dueDate": None,
                "state": {"name": state},
            }
            for identifier, team, state, kind, title in self.ISSUES
            if kind not in wanted["state"]["type"]["nin"]
            and team in (wanted.get("team", {}).get("key", {}).get("eq", team))
        ]
        issues = {"nodes": nodes, "pageInfo": {"hasNextPage": False}}
        return 200, {"data": {"viewer": {"assignedIssues": issues}}}

    def error(self, status, code, message):
        extensions = {"type": code.lower(), "code": code, "statusCode": status, "userError": True}
        return status, {"errors": [{"message": message, "extensions": extensions}]}

    def test_what_is_mine_and_not_done(self):
        first = self.add("linear")
        row = self.steady("linear", {"issues": {"ENG-12": "In Progress", "OPS-3": "Todo"}, "more": False}, first=first)
        self.assertEqual(row["detail"][0]["title"], JPEG)
        self.assertEqual(self.add("linear", "OPS")["signal"]["issues"], {"OPS-3": "Todo"})
        self.assertNotIn(KEY, self.script("linear"))

    def test_the_key_is_in_no_command_line(self):
        self.looking = True
        self.add("linear")
        if os.path.isdir("/proc/self"):
            self.assertTrue(any(b"curl" in line for line in self.seen), "curl was there to be seen")
        self.assertFalse(any(KEY.encode() in line for line in self.seen))

    def test_a_team_is_one_word_whatever_it_holds(self):
        team = "X\"}'$(touch pwned)\n{"
        self.assertEqual(self.add("linear", team)["signal"]["issues"], {})
        variables = json.loads(self.server.asked[-1][3])["variables"]
        self.assertEqual(variables["filter"]["team"], {"key": {"eq": team}})
        self.assertEqual(glob.glob(f"{self.home}/**/pwned", recursive=True), [])

    def test_failures_have_words_of_their_own(self):
        first = self.add("linear", "--keep", env={"LINEAR_API_KEY": ""})
        self.steady("linear", {"error": "LINEAR_API_KEY is not set"}, env={"LINEAR_API_KEY": ""}, first=first)
        for env, fails, words in (
            ({"LINEAR_API_KEY": "wrong-key-x"}, None, "LINEAR_API_KEY was refused"),
            ({"LINEAR_URL": f"http://127.0.0.1:{closed_port()}"}, None, "cannot connect"),
            ({}, self.error(400, "RATELIMITED", "Rate limit exceeded"), "rate limit"),
            ({}, (502, b"<html>" + b"x" * 300_000), "HTTP 502"),
            ({}, (200, self.error(200, "INTERNAL", "no")[1]), "refused by Linear"),
        ):
            self.fails = fails
            self.assertEqual(self.reading("linear", env)["signal"], {"error": words})
        self.fails = (200, b"not json")
        row = self.reading("linear")
        self.assertEqual((row["status"], row["signal"]["error"][:5]), ("error", "exit "))


def alert(name, severity="critical", state="active", instance="web-1", started="2026-01-02T03:04:05.000Z"):
    """Make an alert as the Alertmanager API v2 shows one."""
    labels = {"alertname": name, "instance": instance, **({"severity": severity} if severity else {})}
    return {
        "annotations": {"summary": f"{name} on {instance}: {JPEG}"},
        "endsAt": "2026-01-02T04:04:05.000Z",
        "fingerprint": f"{hash((name, instance)) & 0xFFFF:016x}",
        "receivers": [{"name": "default"}],
        "startsAt": started,
        "status": {"inhibitedBy": [], "silencedBy": [], "state": state},
        "updatedAt": started,
        "generatorURL": "http://prometheus:9090/graph",
        "labels": labels,
    }


@needs("jq", "curl")
@heavy
class Alerts(Gallery):
    GRAFANA = "/api/alertmanager/grafana"

    def serve(self, alerts, prefix="", token=""):
        """Answer as an Alertmanager does (or as Grafana does, with its prefix and a token)."""

        def answer(method, path, headers, body):
            if token and headers["Authorization"] != f"Bearer {token}":
                return 401, {"message": "Unauthorized"}
            path, _, query = path.partition("?")
            if path != f"{prefix}/api/v2/alerts":
                return 404, {"message": "Not found"}
            self.assertEqual(query, "active=true&silenced=false&inhibited=false")
            return 200, alerts

        return Server(self, answer)

    def test_quiet_firing_and_again(self):
        alerts = []
        server = self.serve(alerts)
        self.assertEqual(self.add("grafana", server.url, "--name", "am")["signal"], {"alerts": [], "more": False})
        alerts += [alert("Latency", "warning"), alert("Down", instance="web-2"), alert("Down"), alert("Odd", "")]
        firing = ["Down critical active x2", "Latency warning active", "Odd no severity active"]
        row = self.steady("am", {"alerts": firing, "more": False})
        self.assertEqual([one["instance"] for one in row["detail"]], ["web-1", "web-2", "web-1", "web-1"])
        alerts[:] = [
            {**one, "startsAt": "2026-02-02T00:00:00.000Z", "updatedAt": "2026-02-03T00:00:00.000Z"}
            for one in reversed(alerts)
        ]
        alerts[0]["status"] = {**alerts[0]["status"], "state": "unprocessed"}
        self.steady("am", {"alerts": firing, "more": False})

    def test_grafana_has_another_path_and_a_token(self):
        server = self.serve([alert("Down")], prefix=self.GRAFANA, token="glsa_0123456789")
        env = {"GRAFANA_TOKEN": "glsa_0123456789"}
        first = self.add("grafana", f"{server.url}/", "--name", "g", env=env)
        self.steady("g", {"alerts": ["Down critical active"], "more": False}, env=env, first=first)
        self.assertNotIn("glsa", self.script("g"))
        self.steady("g", {"error": "not logged in: GRAFANA_TOKEN is missing or was refused"})
        self.steady(
            "g", {"error": "not logged in: GRAFANA_TOKEN is missing or was refused"}, env={"GRAFANA_TOKEN": "wrong"}
        )

    def test_what_is_no_alertmanager(self):
        empty = Server(self, lambda *request: (404, b"nothing"))
        page = Server(self, lambda *request: (200, b"<html>"))
        broken = Server(self, lambda *request: (503, b""))
        for name, url, words in (
            ("a", empty.url, "no Alertmanager there"),
            ("b", page.url, "no Alertmanager there"),
            ("c", broken.url, "HTTP 503"),
            ("d", f"http://127.0.0.1:{closed_port()}", "cannot connect"),
        ):
            first = self.add("grafana", url, "--name", name, "--keep")
            self.steady(name, {"error": words}, first=first)

    def test_many_fit_into_a_reading(self):
        server = self.serve([alert(f"Alert{n}{'x' * 200}", instance="i" * 300) for n in range(300)])
        row = self.add("grafana", server.url)
        self.assertEqual((row["status"], row["signal"]["more"]), ("ok", True))
        self.assertLess(row["bytes"], 8192)


@needs("jq", "curl", "prometheus-alertmanager")
@heavy
class RealAlertmanager(Gallery):
    def setUp(self):
        super().setUp()
        config = os.path.join(self.home, "alertmanager.yml")
        with open(config, "w") as file:
            file.write("route: {receiver: nobody, group_wait: 0s}\nreceivers: [{name: nobody}]\n")
        self.url = f"http://127.0.0.1:{free_port()}"
        with open(os.path.join(self.home, "alertmanager.log"), "wb") as log:
            process = subprocess.Popen(
                [
                    shutil.which("prometheus-alertmanager"),
                    f"--config.file={config}",
                    f"--storage.path={self.home}/alertmanager",
                    f"--web.listen-address={self.url[7:]}",
                    "--cluster.listen-address=",
                ],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def end():
            process.kill()
            process.wait()

        self.addCleanup(end)
        wait_until(lambda: process.poll() is not None or self.call("/-/ready") is not None, "the Alertmanager")
        self.assertIsNone(process.poll(), "the Alertmanager ended")

    def call(self, path, value=None):
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError):
            return None

    def firing(self):
        return json.loads(self.call("/api/v2/alerts?active=true&silenced=false&inhibited=false"))

    def test_an_alert_that_is_posted_silenced_and_gone(self):
        first = self.add("grafana", self.url, "--name", "am")
        self.steady("am", {"alerts": [], "more": False}, first=first)
        alerts = [
            {
                "labels": {"alertname": "Down", "severity": "critical", "instance": f"web-{n}"},
                "annotations": {"summary": JPEG},
            }
            for n in (1, 2)
        ]
        self.assertIsNotNone(self.call("/api/v2/alerts", alerts))
        wait_until(lambda: len(self.firing()) == 2, "both alerts")
        row = self.steady("am", {"alerts": ["Down critical active x2"], "more": False})
        self.assertEqual(row["detail"][0]["summary"], JPEG)
        self.call("/api/v2/alerts", alerts)  # as Prometheus does again and again: updatedAt moves
        self.steady("am", {"alerts": ["Down critical active x2"], "more": False})
        silence = {
            "matchers": [{"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True}],
            "startsAt": "2020-01-01T00:00:00Z",
            "endsAt": "2099-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "test",
        }
        self.assertIsNotNone(self.call("/api/v2/silences", silence))
        wait_until(lambda: not self.firing(), "the silence")
        self.steady("am", {"alerts": [], "more": False})


@needs("curl")
@heavy
class Http(Gallery):
    def certificate(self, days):
        """Make a certificate for loopback that ends in so many days, and give a server's context with it."""
        key, good, config = (os.path.join(self.home, name) for name in ("key.pem", f"{days}.pem", "ca.cnf"))
        new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]
        new += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        if days >= 0:
            self.openssl(*new, "-x509", "-days", str(days), "-out", good)
        else:  # only `openssl ca` signs with an end in the past
            with open(config, "w") as file:
                file.write(
                    f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.home}/index\nserial={self.home}/serial\n"
                    f"new_certs_dir={self.home}\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n"
                )
            with open(f"{self.home}/index", "w"), open(f"{self.home}/serial", "w") as serial:
                serial.write("01\n")
            request = os.path.join(self.home, "request.pem")
            self.openssl(*new, "-out", request)
            self.openssl(
                *["ca", "-batch", "-notext", "-config", config, "-selfsign", "-keyfile", key, "-in", request],
                *["-out", good, "-startdate", "20200101000000Z", "-enddate", "20200201000000Z"],
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(good, key)
        return context, {"CURL_CA_BUNDLE": good, "SSL_CERT_FILE": good}

    def openssl(self, *words):
        env = {**self.env, "RANDFILE": os.path.join(self.home, ".rnd")}
        done = subprocess.run([shutil.which("openssl"), *words], env=env, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())

    def answer(self, status):
        return lambda *request: (status, JPEG.encode() * 1000)

    def test_plain_statuses(self):
        for status in (200, 204, 301, 404, 503):
            first = self.add("http", Server(self, self.answer(status)).url, "--name", f"h{status}")
            self.steady(f"h{status}", {"status": status, "certificate": "none"}, first=first)

    def test_no_answer_in_words(self):
        first = self.add(
            "http", f"http://127.0.0.1:{closed_port()}/{{a,b}}[1-9]?$(touch${{IFS}}pwned)'", "--name", "closed"
        )
        self.steady("closed", {"status": "cannot connect", "certificate": "none"}, first=first)
        first = self.add("http", f"https://127.0.0.1:{closed_port()}", "--name", "tls")
        self.steady("tls", {"status": "cannot connect", "certificate": "unknown"}, first=first)
        first = self.add("http", "http://no-such-host.invalid", "--name", "name")
        self.steady("name", {"status": "host not found", "certificate": "none"}, first=first)
        first = self.add("http", Server(self, self.answer(200)).url.replace("http:", "https:"), "--name", "plain")
        self.steady("plain", {"status": "TLS refused", "certificate": "unknown"}, first=first)
        self.assertEqual(glob.glob(f"{self.home}/**/pwned", recursive=True), [])

    @needs("openssl")
    def test_certificates(self):
        for days, status, certificate in (
            (90, 200, "ok"),
            (3, 200, "expires within 14 days"),
            (-1, "certificate refused", "expired"),
        ):
            context, env = self.certificate(days)
            server = Server(self, self.answer(200), context)
            first = self.add("http", f"{server.url}/health?x=1", "--name", f"c{days}", env=env)
            row = self.steady(f"c{days}", {"status": status, "certificate": certificate}, env=env, first=first)
            left = row["detail"]["certificate_days"]
            self.assertTrue(days - 1 <= left <= days if days > 0 else left < -1000, left)
        signal = self.reading("c90", env)["signal"]  # a certificate that this client does not trust
        self.assertEqual(signal, {"status": "certificate refused", "certificate": "ok"})
        os.unlink(os.path.join(self.bin, "openssl"))
        self.assertEqual(self.reading("c90", env)["signal"]["certificate"], "unknown")


class Disks(Gallery):
    def test_steps(self):
        self.offer("df", os.path.join(self.home, "df"))
        self.add("disk", self.home, "80", "--name", "d", "--keep")
        for used, step in ((79, "under 80%"), (80, "over 80%"), (94, "over 80%"), (96, "over 95%"), (100, "full")):
            self.fake_df(f"/dev/my disk  1000000 {used}0000 -5 {used}% /mnt/a 5% b")
            row = self.steady("d", {"disk": step})
            known = {"used_percent": used, "free_mib": 0, "size_mib": 976}
            self.assertEqual(row["detail"], {**known, "inodes_used_percent": 0, "inodes_free": None})
        self.fake_df("df: nothing")
        self.steady("d", {"error": "exit 3"})

    def test_inodes_run_out_while_there_is_room(self):
        self.offer("df", os.path.join(self.home, "df"))
        self.fake_df("x 1000000 1000 999000 1% /", "x 20 2 18 10% /")
        self.add("disk", self.home, "80", "--name", "d")
        for line, step in (
            ("x 0 0 0 - /", "under 80%"),  # btrfs
            ("df: nothing", "under 80%"),
            ("x 20 16 4 79% /", "under 80%"),
            ("x 20 16 4 80% /", "over 80% of inodes"),
            ("/dev/disk3s1 512 256 256 50% 95 5 95% /", "over 95% of inodes"),  # as on macOS
            ("x 20 20 0 100% /", "out of inodes"),
        ):
            self.fake_df("x 1000000 1000 999000 1% /", line)
            self.steady("d", {"disk": step})
        self.fake_df("x 100 100 0 100% /", "x 20 20 0 100% /")
        self.assertEqual(self.reading("d")["signal"], {"disk": "full"})

    def fake_df(self, line, inodes=""):
        path = os.path.join(self.home, "df")
        with open(path, "w") as file:
            file.write("#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\n")
            file.write(f"case $1 in *i*) echo '{inodes}' ;; *) echo '{line}' ;; esac\n")
        os.chmod(path, 0o700)

    def test_the_real_one(self):
        self.add("disk")
        row = self.reading("disk")
        self.assertIn(row["signal"]["disk"], ("under 90%", "over 90%", "over 95%", "full"))
        self.assertGreater(row["detail"]["inodes_free"] or 1, 0)
        self.assertGreater(row["detail"]["size_mib"], 0)
        first = self.add("disk", os.path.join(self.home, "nowhere"), "--keep")
        row = self.steady("disk-nowhere", {"error": "exit 3"}, first=first)
        self.assertIn("nowhere", row["detail"]["stderr"])


class Plugins(Gallery):
    def setUp(self):
        super().setUp()
        if not os.path.exists(f"{PLUGINS}/check_dummy"):
            self.skipTest(f"needs {PLUGINS} (monitoring-plugins-basic)")

    def test_each_status(self):
        for code, status in enumerate(("OK", "WARNING", "CRITICAL", "UNKNOWN")):
            row = self.add("nagios", "--name", f"n{code}", "check_dummy", str(code), 'it\'s "so" $(touch pwned)')
            self.assertEqual(row["detail"]["text"], f'{status}: it\'s "so" $(touch pwned)')
            self.steady(f"n{code}", {"status": status})

    def test_a_plugin_by_path_with_options(self):
        row = self.add("nagios", "--", f"{PLUGINS}/check_load", "-w", "9999", "-c", "9999")
        self.assertEqual(row["name"], "nagios-check_load")
        self.assertIn("load1=", self.steady("nagios-check_load", {"status": "OK"})["detail"]["perfdata"])


if __name__ == "__main__":
    unittest.main()
