"""The doctor: what it finds in a profile, of a runner, and from where a scheduler starts looop."""

import glob
import json
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import time
import unittest

import looop
from tests.support import ROOT, Case, heavy, needs, needs_linux, needs_name, processes_with, wait_until

OLD_HELP = (
    "Usage: claude [options]\\n  -p, --print\\n  --output-format <format>\\n  --tools <tools>\\n  --model <model>\\n"
)
HELP = OLD_HELP + "  --no-session-persistence  keep no session\\n  --safe-mode\\n  --system-prompt <prompt>\\n"


class Doctor(Case):
    named = False

    def opened(self, **env):
        profile = looop.open_profile({**self.env, **env}, os.path.join(ROOT, "looop.py"))
        profile.take_env_file()
        return profile

    def found(self, name, **env):
        """Run one check; return its findings as (status, text, remedy)."""
        profile, checks = self.opened(**env), dict(looop.CHECKS)
        if name == "scheduler":
            here = {f.text for each in looop._THERE for f in looop.examined(profile, checks[each])}
            checks[name] = lambda profile: looop.check_from_there(profile, here)
        return [(f.status, f.text, f.remedy) for f in looop.examined(profile, checks[name])]

    def one(self, name, **env):
        findings = self.found(name, **env)
        self.assertEqual(len(findings), 1, findings)
        return findings[0]

    def program(self, name, body, folder=""):
        path = os.path.join(folder or self.bin, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write("#!/bin/sh\n" + body)
        os.chmod(path, 0o755)
        return path

    def pi(self, folder=""):
        options = "--mode --no-tools --no-session --no-extensions --no-context-files --no-skills --system-prompt"
        body = f'case "$1" in --version) echo 0.87.1 >&2;; --help) echo "{options}";; esac\n'
        return self.program("pi", body, folder)

    def claude(self, text):
        body = f'case "$1" in --version) echo "2.1.330 (Claude Code)";; --help) printf "{text}";; esac\n'
        return self.program("claude", body)


class Whole(Doctor):
    def test_from_a_bare_environment_it_writes_nothing_and_its_rows_have_a_shape(self):
        self.pi()
        env, self.env = self.env, {"HOME": self.home, "PATH": f"{self.bin}:/usr/bin:/bin", "HOMEBREW_PREFIX": "/none"}
        rows = json.loads(self.looop("doctor", "--json"))
        self.env = env
        self.assertIn(f"{self.home}/.local/state/looop: not made yet", json.dumps(rows))
        self.assertEqual({tuple(sorted(row)) for row in rows}, {("check", "remedy", "status", "text")})
        self.assertLessEqual({row["check"] for row in rows}, {*dict(looop.CHECKS), "scheduler"})
        self.assertEqual({row["status"] for row in rows if row["remedy"]}, {"warn"})
        kept = glob.glob(f"{self.home}/.cache/looop/*")
        self.assertEqual([path for path in kept if "/code-" not in path], [], "but for what another Python compiled")
        self.assertEqual(sorted(os.listdir(self.home)), [*([".cache"] if kept else []), "bin"])
        self.profile(sensors={"a": "echo 1"})
        self.write("PLAYBOOK.md", "x")
        before = self.tree()
        self.config({"default": "nobody"})
        out = self.doctor(code=1, env={"LOOOP_COLOR": "1"})
        self.assertEqual(self.tree([".lock"]), {name: before[name] for name in before if name != ".lock"})
        self.assertIn("\x1b[31m✗\x1b[0m \x1b[2mrunner   \x1b[0m  runner nobody: not known\n", out)
        self.assertIn("\n             \x1b[2mchoose one of ", out)
        self.assertEqual(out.splitlines()[-1].split(";")[0], "1 failure")

    def test_a_real_call_is_paid_and_recorded(self):
        self.profile()
        self.replies('{"move":"noop"}')
        row = next(row for row in json.loads(self.doctor("--ask", "--json")) if row["check"] == "answer")
        self.assertEqual((row["status"], row["text"][:24]), ("ok", "fake answered with noop "))
        self.assertEqual([row["runner"] for row in self.ledger()], ["fake"])
        self.replies("I cannot.")
        self.assertRegex(
            self.doctor("--ask", code=1),
            r"✗ answer +fake: the reply holds no JSON object \(it said: I cannot\.\)\n +run it by hand, it must answer",
        )
        self.assertEqual((len(self.ledger()), os.listdir(self.path("runs"))), (2, []))
        self.doctor("--ask", code=1, env={"LOOOP_CHILD": "1"})

    def test_a_decider_that_is_told_to_write_a_file_is_caught_when_it_does(self):
        self.addCleanup(os.chdir, os.getcwd())  # asking a runner changes to the data dir
        self.profile()
        self.replies('{"move":"noop"}')
        answer = looop.check_answer
        self.assertEqual([f.status for f in looop.examined(self.opened(), answer)], ["ok", "ok"])
        self.runner("""touch "$(grep -o '/[^ ]*/canary')"; echo '{"move":"noop"}'""")
        told = looop.examined(self.opened(), answer)
        self.assertEqual([f.status for f in told], ["ok", "fail"])
        self.assertIn("it did: the LLM has tools that no gate holds back", told[1].text)


@heavy
class Here(Doctor):
    @heavy
    def test_copied_alone_and_open_to_others(self):
        path = os.path.join(self.home, "looop.py")
        shutil.copy(os.path.join(ROOT, "looop.py"), path)
        os.chmod(path, 0o777)
        profile = looop.open_profile(self.env, path)
        alone, others = looop.examined(profile, looop.check_looop)
        self.assertIn("a copy of the source: compiled at every start", alone.text)
        self.assertEqual((others.status, others.remedy), ("fail", f"chmod go-w '{path}'"))
        os.symlink(path, os.path.join(self.bin, "looop"))
        self.assertIn("in its checkout", self.found("looop")[0][1])
        self.assertIn("is another file", self.found("looop")[1][1])

    @needs_linux
    @needs("gcc")
    def test_a_data_dir_without_locks(self):
        """The doctor takes the lock that every beat takes; both name what can be done."""
        source, library = os.path.join(self.home, "flock.c"), os.path.join(self.home, "flock.so")
        with open(source, "w") as file:
            file.write("#include <errno.h>\nint flock(int fd, int how) { errno = ENOLCK; return -1; }\n")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        os.unlink(source)
        self.starts, env = True, {"LD_PRELOAD": library}
        for made in (False, True):
            rows = json.loads(self.looop("doctor", "--json", code=1, env=env))
            row = next(row for row in rows if row["check"] == "data")
            self.assertEqual(row["status"], "fail")
            self.assertRegex(row["text"], r"^/\S+: lock: No locks available$")
            self.assertRegex(row["remedy"], "NFS.* set LOOOP_DATA_DIR to a local disk$")
            if not made:
                self.profile()
        self.looop("tick", code=1, env=env)
        self.assertRegex(
            self.stderr, r"^looop: /\S+/.beat.lock: No locks available: .* set LOOOP_DATA_DIR to a local disk"
        )

    def test_the_data_dir(self):
        self.assertIn("not made yet", self.one("data")[1])
        self.profile()
        self.assertEqual(self.one("data")[0], "ok")
        for mode, status, words in ((0o755, "warn", "look into it"), (0o777, "fail", "write into it")):
            os.chmod(self.data, mode)
            finding = self.one("data")
            self.assertEqual((finding[0], finding[2]), (status, f"chmod 700 '{self.data}'"))
            self.assertIn(words, finding[1])
        os.chmod(self.data, 0o700)
        if os.geteuid() == 0:
            os.chown(self.path("PLAYBOOK.md"), 12345, 12345)
            self.assertIn("not yours in there: PLAYBOOK.md", self.found("data")[1][1])

    def test_corrupt_files(self):
        self.profile()
        self.assertEqual(self.one("files")[0], "ok")
        self.write("state.json", "{")
        self.assertIn("state.json: not JSON", self.one("files")[1])
        self.assertIn("move it away", self.one("files")[2])
        self.write("state.json", "{}")
        os.remove(self.path("PLAYBOOK.md"))
        self.write("asks", "")
        self.assertEqual([finding[0] for finding in self.found("files")], ["fail", "fail"])
        self.assertIn("PLAYBOOK.md is missing", self.found("files")[1][1])

    def test_the_config_and_settings(self):
        self.config({"interval": "soon", "colour": 1})
        found = self.found("config", LOOOP_MAX_WORKERS="many")
        self.assertEqual([finding[0] for finding in found], ["fail", "warn", "warn"])
        self.assertIn("interval: ", found[0][1])
        self.config("{")
        self.assertIn("not JSON", self.one("config")[1])

    def test_missing_git_and_tmux(self):
        for name in ("git", "tmux"):
            status, text, remedy = self.one(name)
            self.assertEqual(status, "warn")
            self.assertIn("not on PATH", text)
            self.assertTrue(remedy)
        self.program("git", "echo git version 9\n")
        self.assertEqual(self.one("git")[:2], ("ok", f"git version 9, {self.bin}/git"))

    def test_the_clock(self):
        self.profile()
        self.write("events.jsonl", '{"ts":"2098-01-01T00:00:00Z","event":"world_unchanged"}\n')
        self.assertIn("in the future", self.one("clock")[1])

    def test_sockets_disk_and_terminal(self):
        for name in ("sockets", "disk", "python", "terminal"):
            self.assertEqual(self.one(name)[0], "ok")
        self.assertEqual(self.one("terminal", LC_ALL="", LANG="C")[0], "warn")

    def test_sensors(self):
        self.profile(sensors={"open": "echo 1", "tool": "no-such-tool", "bad": "exit 3"})
        os.chmod(self.path("sensors", "open.sh"), 0o722)
        self.tick()
        found = {text.split(":")[0]: (status, text, remedy) for status, text, remedy in self.found("sensors")}
        self.assertIn("its last reading is an error", found["bad"][1])
        self.assertEqual(found["open"][2], f"chmod 700 '{self.path('sensors', 'open.sh')}'")
        self.assertIn("no-such-tool: command not found", found["tool"][1])

    @unittest.skipUnless(sys.platform == "linux" and os.geteuid() == 0 and shutil.which("unshare"), "needs root")
    def test_a_file_system_on_which_nothing_runs(self):
        os.mkdir(self.data, 0o700)
        mount = f"mount -t tmpfs -o noexec,mode=700 x {self.data} && "
        sensor = f"mkdir {self.data}/sensors && cp {self.home}/s.sh {self.data}/sensors && "
        with open(os.path.join(self.home, "s.sh"), "w") as file:
            file.write("#!/bin/sh\necho '{}'\n")
        os.chmod(file.name, 0o700)
        shown = shlex.join([*self.command("doctor", "--json")]) + "; " + shlex.join(self.command("sensor", "test", "s"))
        done = subprocess.run(
            [shutil.which("unshare"), "-m", "/bin/sh", "-c", mount.replace("mount", "/bin/mount", 1) + sensor + shown],
            env=self.env,
            capture_output=True,
            check=False,
        )
        if done.stderr.startswith(b"unshare: "):
            self.skipTest("no mount namespace can be made here, as in a chroot")
        told = done.stdout.decode()
        self.assertIn(f"{self.data}: run: Permission denied: its file system is mounted noexec", told, done.stderr)
        self.assertIn("cannot start: Permission denied: its file system is mounted noexec", told.partition("\n")[2])

    def test_a_machine_without_bash(self):
        self.profile(sensors={"s": "echo '{}'"})
        os.unlink(os.path.join(self.bin, "bash"))
        self.program("apk", "")
        first, second = self.found("sensors")
        self.assertEqual((first[0], first[1][:21], first[2]), ("warn", "bash is not installed", "apk add bash"))
        self.assertEqual(second, ("fail", "s: needs bash, which is not installed", "apk add bash"))

    @needs_name
    def test_home_may_be_empty(self):
        profile = looop.open_profile({"HOME": "", "PATH": self.bin}, "")
        home = pwd.getpwuid(os.geteuid()).pw_dir
        self.assertEqual(profile.data, f"{home}/.local/state/looop")

    def test_what_only_a_call_shows_is_said(self):
        self.pi()
        self.profile(config={})
        self.assertIn("without a paid call; ", self.looop("doctor", code=None))
        self.assertNotIn("paid", self.looop("doctor", code=None, env={"LOOOP_RUNNER": "builtin"}))


class Repository(Doctor):
    """What keeps git from committing."""

    git = True

    def setUp(self):
        super().setUp()
        self.profile(config={"default": "builtin"})
        self.tick()

    def test_one_that_commits(self):
        self.assertEqual(self.one("git")[0], "ok")

    def test_a_lock_that_was_left(self):
        path = self.write(".git/index.lock", "")
        self.assertEqual(
            self.one("git"),
            ("warn", f"moves are not committed while {path} is there", f"if no git runs there: rm '{path}'"),
        )

    def test_one_that_git_cannot_read(self):
        self.write(".git/index", "nonsense, as after a full disk")
        status, text, remedy = self.one("git")
        self.assertEqual(
            (status, text[:24], remedy), ("warn", "moves are not committed:", f"git -C '{self.data}' status")
        )

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to give a file away")
    def test_one_that_is_somebody_elses(self):
        os.lchown(self.path(".git"), 12345, 12345)
        _, text, remedy = self.one("git")
        self.assertIn("dubious ownership", text)
        self.assertIn("safe.directory", remedy)


class Runners(Doctor):
    def test_pi_tells_its_version_on_stderr(self):
        path = self.pi()
        self.assertEqual(self.one("runner"), ("ok", f"pi: 0.87.1, {path}, no tools", ""))

    def test_claude_new_and_old(self):
        self.claude(HELP)
        self.assertEqual(self.one("runner")[0], "ok")
        self.claude(OLD_HELP)
        self.assertEqual(
            self.found("runner")[1],
            (
                "fail",
                "this claude is too old for --safe-mode and --system-prompt and --no-session-persistence: "
                "every decision would fail",
                "update claude",
            ),
        )

    def test_options_of_llm_are_those_of_its_command_prompt(self):
        path = self.program("llm", 'case "$*" in --version) echo 0.36;; "prompt --help") echo "-u --model";; esac\n')
        self.config({"default": "llm", "runners": {"llm": {"model": "m"}}})
        self.assertEqual(self.one("runner"), ("ok", f"llm: 0.36, {path}, no tools", ""))

    def test_one_that_is_broken_missing_or_unknown(self):
        self.program("claude", "echo 'needs node 20, SOME_TOKEN=12345678' >&2; exit 1\n")
        status, text, _ = self.one("runner", SOME_TOKEN="12345678")
        self.assertEqual((status, text.split(": ", 2)[2]), ("fail", "needs node 20, SOME_TOKEN=[SOME_TOKEN]"))
        os.remove(os.path.join(self.bin, "claude"))
        self.assertEqual(self.one("runner")[0], "warn")
        self.assertEqual(self.one("runner", LOOOP_RUNNER="builtin")[0], "ok")
        self.assertIn("claude is not on PATH", self.one("runner", LOOOP_RUNNER="claude")[1])
        self.program("mine", 'touch "$HOME/was-run"\n')
        self.runner("mine --version")
        self.assertEqual(self.one("runner")[0], "ok")
        self.assertFalse(os.path.exists(os.path.join(self.home, "was-run")))

    def test_a_program_of_npm_runs_with_the_node_beside_it_and_npm_says_where_that_is(self):
        self.program("node", "echo an old node >&2; exit 1\n")
        new = os.path.join(self.home, ".local/share/fnm/node-versions/v22.1.0/installation/bin")
        self.program("node", 'exec sh "$@"\n', new)
        with open(self.program("pi", "", new), "w") as file:
            file.write("#!/usr/bin/env node\necho 1.6.0\n")
        self.assertEqual(self.found("runner")[0][:2], ("ok", f"pi: 1.6.0, {new}/pi, no tools"))
        self.assertTrue(looop.path_of("A='b c' pi -p", self.env).startswith(f"{new}:"))
        self.assertEqual(looop.path_of("node", self.env), looop.search_path(self.env), "it is on PATH already")
        prefix = os.path.join(self.home, "tools")
        with open(os.path.join(self.home, ".npmrc"), "w") as file:
            file.write('registry=x\nprefix = "${HOME}/tools"\n')
        path = self.program("claude", "", f"{prefix}/bin")
        self.assertEqual(self.opened().which("claude"), path)

    def test_one_that_lies_where_its_installer_puts_it(self):
        self.config({"default": "claude"})
        folder = os.path.join(self.home, ".claude", "local")
        answer = 'case "$1" in --version) echo 2.1;; --help) printf "{}";; *) echo \'{{"move":"noop"}}\';; esac\n'
        path = self.program("claude", "exec node\n", folder)
        os.unlink(path)
        with open(path, "w") as file:
            file.write("#!/usr/bin/env node-of-nvm\n" + answer.format(HELP))  # npm's programs need their node
        os.chmod(path, 0o700)
        node = os.path.join(self.home, ".nvm", "versions", "node")
        for version, body in (("v9.9.9", "exit 1\n"), ("v22.10.0", 'exec sh "$@"\n'), ("v22.9.0", "exit 1\n")):
            self.program("node-of-nvm", body, os.path.join(node, version, "bin"))
        self.assertIn(path, self.one("runner")[1])
        self.profile()
        self.assertEqual(self.tick()["outcome"], "noop")
        self.looop("init", "claude")
        self.assertIn(path, self.looop("config", "show") + self.stderr)
        bare = {"HOME": self.home, "PATH": "/usr/bin:/bin", "HOMEBREW_PREFIX": "/none"}
        self.assertTrue(looop.open_profile(bare, "").which("claude"), path)

    def test_path_comes_before_the_folders_of_installers(self):
        for folder in (".local/bin", ".cargo/bin"):
            os.makedirs(os.path.join(self.home, folder))
        env = {"HOME": self.home, "PATH": f"/usr/bin:{self.home}/.cargo/bin", "HOMEBREW_PREFIX": "/none"}
        self.assertEqual(looop.search_path(env), f"{env['PATH']}:{self.home}/.local/bin")

    def test_one_that_hangs(self):
        path = self.program("claude", "sleep 1000 & sleep 1000\n")
        started = time.monotonic()
        self.assertEqual(looop.told_by([path, "--version"], self.env, 0.2), (False, "did not answer within 0 s"))
        self.assertLess(time.monotonic() - started, 100)
        wait_until(lambda: not processes_with(self.home), "the end of what it had started")


@heavy
class There(Doctor):
    """What a scheduler would meet."""

    def setUp(self):
        super().setUp()
        self.profile()
        self.mine = os.path.join(self.home, "mine")
        self.env["PATH"] = f"{self.bin}:{self.mine}"
        spool = os.path.join(self.home, "spool")
        body = (
            f"case $1 in -l) cat {spool} 2>/dev/null || {{ echo no crontab >&2; exit 1; }};; -) cat >{spool};; esac\n"
        )
        self.program("crontab", body)

    def install(self, **env):
        self.looop("service", "install", "cron", "-y", env=env)

    def test_a_runner_that_is_not_found_from_there(self):
        self.pi(self.mine)
        words = [finding for finding in self.found("scheduler") if "runner: no pi" in finding[1]]
        self.assertEqual((words[0][0], words[0][1][:8]), ("warn", "from env"))
        self.assertIn("looop service install", words[0][2])
        self.install()
        self.assertEqual(self.one("scheduler")[0], "ok")
        self.assertIn("looop-", str(json.loads(self.looop("service", "status", "--json"))["services"]))
        self.looop("service", "install", "cron", "-y", env={"PATH": self.bin})
        status, text, _ = self.one("scheduler")
        self.assertEqual((status, text[:46]), ("fail", "from cron: runner: no pi and no claude on PATH"))

    def test_a_runner_that_does_not_start_from_there(self):
        self.program("helper", "echo 1.0\n")
        self.program("pi", "exec helper\n", self.mine)
        self.install()
        self.assertEqual(self.one("scheduler")[0], "ok")
        with open(os.path.join(self.home, "spool")) as file:
            crontab = file.read()
        with open(os.path.join(self.home, "spool"), "w") as file:
            file.write(crontab.replace(f"{self.bin}:{self.mine}", self.mine))
        found = self.found("scheduler")  # the built file misses its python3 there, too
        status, text, _ = next(one for one in found if "runner: " in one[1])
        self.assertEqual((status, text[:22]), ("fail", "from cron: runner: pi:"))
        self.assertIn("helper", text)

    def test_variables_that_sensors_name(self):
        self.sensor("linear", 'OWN=1; curl -H "$LINEAR_API_KEY" "$OWN" "${SOME_HOST}" "$HOME"\n  # $UNUSED')
        self.program("curl", "")
        env = {"LINEAR_API_KEY": "lin_12345678", "SOME_HOST": "h", "UNUSED": "x", "OWN": "y"}
        self.install()
        status, text, remedy = self.one("scheduler", **env)
        self.assertEqual(
            (status, text), ("fail", "from cron: sensors name LINEAR_API_KEY, SOME_HOST, set here and not there")
        )
        path = os.path.join(self.home, ".config", "looop.env")
        self.assertIn(path, remedy)
        os.makedirs(os.path.dirname(path))
        with open(path, "w") as file:
            file.write("LINEAR_API_KEY=lin_12345678\nSOME_HOST='h'\n")
        os.chmod(path, 0o644)
        refused = (
            f"{path}: others can read or write it: it is not read, and nothing is started",
            f"chmod 600 '{path}'",
        )
        self.assertEqual(self.found("config", **env)[0][1:], refused)
        os.chmod(path, 0o600)
        self.assertEqual(self.one("scheduler", **env)[0], "ok")

    def test_looop_that_does_not_start_from_there(self):
        self.install()
        path = os.path.join(self.home, "spool")
        with open(path) as file:
            crontab = file.read()
        with open(path, "w") as file:
            file.write(crontab.replace(self.interpreter, "/gone/python3"))
        self.assertIn("looop does not start", self.one("scheduler")[1])
        self.assertIn("/gone/python3 is gone", self.found("running")[0][1])

    def test_both_a_pulse_and_a_scheduler(self):
        lock = looop.Lock(self.path(".lock"))
        self.assertTrue(lock.acquire(0, "up", pid=1))
        with lock:
            self.assertEqual(self.one("running")[:2], ("ok", "a pulse runs: pid 1, up"))
            self.install()
            self.assertIn("a pulse runs too", self.stderr)
            self.assertIn("one of the two is enough", self.found("running")[-1][1])
