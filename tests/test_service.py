"""Schedulers: what is written for them, byte for byte; that they run it; that nothing else of theirs is touched."""

import http.server
import json
import os
import plistlib
import shlex
import shutil
import subprocess
import sys
import threading
import time
import unittest

import looop
from tests.support import ROOT, Case, Terminal, heavy, needs, wait_until
from tests.test_fleet import Fleet

ODD = 'a b%d$HOME "q" it\'s [*?] \\n'  # a folder's name
URL = "https://hc.example/0ff1ce00-secret"
UNSHARE = shutil.which("unshare"), shutil.which("nsenter")

# A mount namespace of its own gives a test the real crontab, and nobody's but its own.
CAN_UNSHARE = (
    os.geteuid() == 0
    and all(UNSHARE)
    and subprocess.run(
        ["unshare", "-m", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/run"],
        capture_output=True,
        check=False,
    ).returncode
    == 0
)


def schedule_of(profile, kind="systemd", every=300.0):
    return looop.schedule_of(profile, kind, every)


class Written(Case):
    """What is written, without anybody who reads it."""

    def opened(self, **env):
        return looop.open_profile({**self.env, **env}, os.path.join(ROOT, "looop.py"))

    def test_what_is_carried(self):
        there = os.path.join(self.home, "there")
        os.mkdir(there)
        path = f"relative:{there}:/nowhere/at/all:{self.bin}::{there}:{self.bin}"
        env = {"PATH": path, "LOOOP_INTERVAL": "120", "LC_TIME": "C", "XDG_CACHE_HOME": "/x", "EDITOR": "vi"}
        env.update(LOOOP_RUN_ID="r", LOOOP_CHILD="1", LOOOP_BIN="/b", LOOOP_COLOR="1", LOOOP_SESSION_ID="s")
        env.update(LINEAR_API_KEY="lin_12345678", GH_TOKEN="x", DB_PASSWORD="y", LOOOP_OTHER_SECRET="z")
        carried = looop.scheduler_env(self.opened(**env))
        wanted = {
            "HOME": self.home,
            "HOMEBREW_PREFIX": self.env["HOMEBREW_PREFIX"],
            "PATH": f"{there}:{self.bin}",
            "LC_ALL": "C.UTF-8",
            "LC_TIME": "C",
            "LOOOP_DATA_DIR": self.data,
            "LOOOP_INTERVAL": "120",
            "LOOOP_MAX_DECIDES_PER_HOUR": "1000",
            "TZ": self.env["TZ"],
            "XDG_CACHE_HOME": "/x",
        }
        self.assertEqual(carried, wanted)
        for kind in looop.SCHEDULERS:
            out = self.looop("service", "print", kind, env=env)
            self.assertIn("DB_PASSWORD, GH_TOKEN, LINEAR_API_KEY, LOOOP_OTHER_SECRET", self.stderr)
            self.assertIn(os.path.join(self.home, ".config", "looop.env"), self.stderr)
            self.assertNotIn("lin_12345678", out + self.stderr)

    def test_each_kind_reads_back_what_it_wrote(self):
        data = os.path.join(self.home, ODD)
        odd = {"LOOOP_CONFIG": data + "/c.json", "LOOOP_RUNNER": '50% "of" $it --> or --'}
        profile = self.opened(LOOOP_DATA_DIR=data, **odd)
        for kind in looop.SCHEDULERS:
            plan, scheduler = schedule_of(profile, kind), looop.Scheduler(profile, kind)
            self.assertEqual(scheduler.schedule(scheduler.wanted(plan)), plan, kind)
            self.assertEqual(plan.env["LOOOP_DATA_DIR"], data)
        cron = looop.Scheduler(profile, "cron")
        for every in looop._CRON_TIMES:
            self.assertEqual(cron.schedule(cron.wanted(schedule_of(profile, "cron", every))).every, every)
        (text,) = looop.Scheduler(profile, "launchd").wanted(schedule_of(profile)).values()
        self.assertEqual(plistlib.loads(text)["EnvironmentVariables"]["LOOOP_RUNNER"], odd["LOOOP_RUNNER"])
        words = shlex.split(cron.wanted(schedule_of(profile))["crontab"].decode().split("\n")[2].split(None, 5)[5])
        self.assertIn(f"LOOOP_RUNNER={odd['LOOOP_RUNNER']}", [word.replace("\\%", "%") for word in words])

    def test_what_an_older_looop_or_a_hand_has_written_is_called_that_and_can_be_replaced(self):
        profile = self.opened()
        for kind in looop.SCHEDULERS:
            scheduler = looop.Scheduler(profile, kind)
            files = scheduler.wanted(schedule_of(profile))
            lines = {path: text.split(b"\n") for path, text in files.items()}
            older = {
                path: b"\n".join(line for line in text if b"Schedule: " not in line) for path, text in lines.items()
            }
            edited = {path: text.replace(b"LC_ALL", b"LC_TIME", 1) for path, text in files.items()}
            for other in (older, edited, {path: text + b"\n" for path, text in files.items()}):
                row = looop.service_row(scheduler, other)
                self.assertEqual((row["every_s"], row["command"]), (None, None))
                self.assertIn("an older one wrote it, or it was edited", str(row["problems"]))
            if kind != "cron":
                self.assertTrue(all(looop._WRITTEN_BY.encode() in text for text in older.values()), "it can be removed")
        mark = looop.cron_marks(scheduler.name)
        self.assertTrue(older["crontab"].startswith(mark[0]) and older["crontab"].endswith(mark[1] + b"\n"))

    def test_profiles_have_names_of_their_own(self):
        default = self.opened(LOOOP_DATA_DIR="")
        self.assertEqual(looop.service_name(default), "looop")
        self.assertNotIn("LOOOP_DATA_DIR", looop.scheduler_env(default))
        moved = self.opened(LOOOP_DATA_DIR="", XDG_STATE_HOME="/elsewhere")
        names = {looop.service_name(one) for one in (default, self.opened(), moved)}
        self.assertEqual(len(names), 3)
        self.assertEqual(looop.scheduler_env(moved)["LOOOP_DATA_DIR"], "/elsewhere/looop")

    def test_the_plist(self):
        profile = self.opened()
        files = looop.Scheduler(profile, "launchd").wanted(schedule_of(profile))
        path = os.path.join(self.home, "Library/LaunchAgents", f"{looop.service_name(profile)}.plist")
        agent = plistlib.loads(files[path])
        self.assertEqual(
            agent["ProgramArguments"][-4:], [sys.executable, "-SI", os.path.join(ROOT, "looop.py"), "tick"]
        )
        self.assertEqual((agent["StartInterval"], agent["AbandonProcessGroup"], agent["RunAtLoad"]), (300, True, True))
        self.assertEqual(agent["StandardErrorPath"], self.path("service.log"))

    @needs("systemd-analyze")
    def test_systemd_understands_its_units(self):
        profile = self.opened(LOOOP_DATA_DIR=os.path.join(self.home, ODD))
        files = looop.Scheduler(profile, "systemd").wanted(schedule_of(profile))
        looop.Scheduler(profile, "systemd").write(files)
        env = {**self.env, "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": self.home}
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", "--man=no", *files], env=env, capture_output=True, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_dead_mans_switch(self):
        curl = os.path.join(self.bin, "curl")
        self.looop("service", "install", "cron", "--ping", URL, code=1)
        self.assertIn("curl is not on PATH", self.stderr)
        os.symlink("/bin/true", curl)
        profile = self.opened(LOOOP_CONFIG=os.path.join(self.home, ODD, "c.json"))
        call = [curl, "-q", "-K", looop.ping_file(profile)]
        for kind in looop.SCHEDULERS:
            plan, scheduler = looop.schedule_of(profile, kind, 300.0, True), looop.Scheduler(profile, kind)
            self.assertEqual(plan.ping, call)
            self.assertEqual(scheduler.schedule(scheduler.wanted(plan)), plan, kind)
            self.assertTrue(looop.service_row(scheduler, scheduler.wanted(plan))["ping"])
        texts = {kind: b"".join(looop.SCHEDULERS[kind].texts(plan, "n", "d")).decode() for kind in looop.SCHEDULERS}
        post = next(line for line in texts["systemd"].split("\n") if line.startswith("ExecStartPost="))
        unit = post.partition("=")[2].replace("%%", "%").replace("$$", "$").replace('"-', '"', 1)
        self.assertEqual([shlex.split(unit), post[14:17]], [call, '"-/'])
        shell = plistlib.loads(texts["launchd"].encode())["ProgramArguments"]
        self.assertEqual((shell[:2], shlex.split(shell[2])), (["/bin/sh", "-c"], [*plan.argv, "&&", *call]))
        line = texts["cron"].split("\n")[2].replace("\\%", "%")
        self.assertEqual(shlex.split(line)[-5:], ["&&", *call])

    def test_what_is_no_url_of_a_switch(self):
        for url in (
            "",
            "x",
            "ftp://x/y",
            "https://",
            "https://x y",
            'https://x/"',
            "https://x/\\",
            "https://x/\ny",
            "http://ü",
        ):
            with self.assertRaises(looop.Failure, msg=url) as raised:
                looop.ping_text(url)
            self.assertNotIn("x/", raised.exception.message)

    @needs("curl")
    def test_curl_calls_the_switch_and_reads_the_url_from_the_file_alone(self):
        asked = []

        class Switch(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Switch) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                path = "/uuid?a=[1-2]&b={x,y}&c=%20$HOME;'`#z"
                profile = self.opened(PATH=os.environ["PATH"])
                looop.keep_ping(
                    looop.ping_file(profile), looop.ping_text(f"http://127.0.0.1:{server.server_port}{path}")
                )
                call = looop.ping_command(profile)
                done = subprocess.run(call, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)
            finally:
                server.shutdown()
                thread.join()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        self.assertEqual(asked, [path.partition("#")[0]])
        self.assertNotIn("uuid", " ".join(call))
        self.assertEqual(os.stat(call[-1]).st_mode & 0o777, 0o600)

    def test_intervals(self):
        for kind, every, words in (
            ("cron", "90s", "cron cannot say that"),
            ("cron", "7m", "cron cannot say that"),
            ("cron", "30s", "cron cannot say that"),
            ("cron", "2d", "cron cannot say that"),
            ("systemd", "1s", "5 s or more"),
            ("launchd", "7500ms", "whole number"),
        ):
            self.assertEqual(self.looop("service", "print", kind, "--every", every, code=1), "")
            self.assertIn(words, self.stderr)
        self.assertIn("\n*/15 * * * * ", self.looop("service", "print", "cron", "--every", "15m"))
        self.assertIn("\n* * * * * ", self.looop("service", "print", "cron", env={"LOOOP_INTERVAL": "20"}))
        self.assertIn("OnUnitActiveSec=90s", self.looop("service", "print", "systemd", env={"LOOOP_INTERVAL": "90"}))

    def test_a_unit_of_somebody_elses(self):
        profile = self.opened()
        path = looop.Scheduler(profile, "systemd").paths[0]
        os.makedirs(os.path.dirname(path))
        with open(path, "w") as file:
            file.write("[Service]\nExecStart=true\n")
        self.looop("service", "uninstall", "systemd", "-y", code=1)
        self.assertIn("was not written by looop", self.stderr)
        os.symlink(os.path.join(self.bin, "false"), os.path.join(self.bin, "systemctl"))
        self.assertIn("it is not what looop writes now", self.looop("service", "status"))
        self.looop("service", "uninstall", "-y", code=1)
        self.assertIn("was not written by looop", self.stderr)
        self.assertTrue(os.path.exists(path))

    def test_what_is_refused(self):
        self.looop("service", "print", "upstart", code=2)
        self.looop("service", "install", "cron", code=1, env={"LOOOP_CHILD": "1"})
        self.assertIn("only a person may run it", self.stderr)
        self.looop("service", "uninstall", code=1, env={"LOOOP_RUN_ID": "tick-1"})
        self.looop("service", "print", "systemd", code=1, env={"LOOOP_DATA_DIR": self.data + "\n"})
        self.assertIn("LOOOP_DATA_DIR holds what no scheduler can be told", self.stderr)
        self.looop("service", "print", "cron", code=1, env={"LOOOP_RUNNER": "x" * 1000})
        self.assertIn("and cron takes 998", self.stderr)
        for kind, command in (("cron", "crontab"), ("systemd", "systemctl"), ("launchd", "launchctl")):
            self.looop("service", "install", kind, "--yes", code=1)
            self.assertIn(f"{command} is not on PATH", self.stderr)
        self.assertEqual(sorted(os.listdir(self.home)), ["bin"])


STAND_IN = """#!/bin/sh
case $1 in
-l) [ -e {spool}/me ] || {{ echo 'no crontab for me' >&2; exit 1; }}; exec cat {spool}/me ;;
-r) exec rm {spool}/me ;;
-) exec cat >{spool}/me ;;
esac
"""
IN_THERE = '#!/bin/sh\nexec {nsenter} --mount=/proc/{pid}/ns/mnt {crontab} "$@"\n'
ROOM = 'mount -t tmpfs tmpfs /run && mount --bind "$1" /var/spool/cron/crontabs && echo ready && exec sleep 1000'


class Scratch(Case):
    """A crontab of the test's own: the real one in a mount namespace, or a script that keeps a file."""

    def setUp(self):
        super().setUp()
        self.spool = os.path.join(self.home, "spool")
        os.mkdir(self.spool)
        text = STAND_IN.format(spool=self.spool)
        real = shutil.which("crontab")
        if real and CAN_UNSHARE and os.path.isdir("/var/spool/cron/crontabs"):
            self.pid = self.room().pid
            os.chmod(self.home, 0o755)
            shutil.copystat("/var/spool/cron/crontabs", self.spool)
            os.chown(self.spool, 0, os.stat("/var/spool/cron/crontabs").st_gid)
            text = IN_THERE.format(nsenter=UNSHARE[1], pid=self.pid, crontab=real)
        self.script("crontab", text)
        self.name = looop.service_name(looop.open_profile(self.env, ""))

    def room(self):
        """Make the namespace; it lasts as long as the process that is returned."""
        command = ["unshare", "-m", "--propagation", "private", "sh", "-c", ROOM, "sh", self.spool]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)

        def end():
            process.kill()
            process.wait()
            process.stdout.close()

        self.addCleanup(end)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def script(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def crontab(self, *words, text=b""):
        done = subprocess.run(
            [os.path.join(self.bin, "crontab"), *words], env=self.env, input=text, capture_output=True, check=False
        )
        self.assertTrue(done.returncode == 0 or b"no crontab" in done.stderr, done.stderr)
        return done.stdout

    def line(self):
        """Return the command of the installed line, as cron gives it to the shell."""
        lines = self.crontab("-l").decode("utf-8", "surrogateescape").split("\n")
        line = lines[lines.index(f"# >>> {self.name} >>>") + 2]
        return line.split(None, 5)[5].replace("\\%", "%")


@heavy
class Crontab(Scratch):
    def test_every_other_byte_stays(self):
        other = b"# mine \xff\n\nMAILTO=me\n*/5 * * * * date +\\%H%in\n#\tlast  \n"
        self.crontab("-", text=other)
        install = ("service", "install", "cron", "--every", "5m")
        self.looop(*install, code=1)
        self.assertIn("nobody is there to say yes", self.stderr)
        self.assertEqual(self.crontab("-l"), other)
        self.looop(*install, "--yes")
        block = self.crontab("-l")
        self.assertTrue(block.startswith(other))
        self.assertEqual(block.count(b"\n"), other.count(b"\n") + 4)
        self.assertEqual(self.looop(*install), "cron has exactly this already: nothing to do\n")
        self.crontab("-", text=block + b"@daily true\n")
        out = self.looop("service", "install", "cron", "--every", "10m", "-y")
        self.assertIn("-*/5 * * * * /usr/bin/env", out)
        self.assertIn("+*/10 * * * * /usr/bin/env", out)
        block = block.replace(b"*/5 * * * * /usr", b"*/10 * * * * /usr").replace(b'"every":300', b'"every":600')
        self.assertEqual(self.crontab("-l"), block + b"@daily true\n")
        self.looop("service", "uninstall", code=1)
        self.looop("service", "uninstall", "--yes")
        self.assertEqual(self.crontab("-l"), other + b"@daily true\n")
        self.assertEqual(self.looop("service", "uninstall"), "nothing is installed for this profile\n")

    def test_two_profiles_and_an_empty_crontab(self):
        other = {"LOOOP_DATA_DIR": os.path.join(self.home, "other")}
        for env in ({}, other):
            self.looop("service", "install", "cron", "-y", env=env)
        self.assertEqual(self.crontab("-l").count(b" LOOOP_DATA_DIR="), 2)
        self.looop("service", "uninstall", "-y")
        self.assertEqual(json.loads(self.looop("service", "status", "--json"))["services"], [])
        row = json.loads(self.looop("service", "status", "--json", env=other))["services"][0]
        self.assertEqual((row["kind"], row["every_s"], row["problems"][:-1]), ("cron", 60, []))
        self.looop("service", "uninstall", "-y", env=other)
        self.assertEqual((self.crontab("-l"), os.listdir(self.spool)), (b"", []))

    def test_marks_that_are_no_pair(self):
        self.crontab("-", text=f"# >>> {self.name} >>>\n".encode())
        self.looop("service", "install", "cron", "-y", code=1)
        self.assertIn("are not one pair", self.stderr)

    def test_a_line_that_was_edited_or_names_what_is_gone(self):
        self.looop("service", "install", "cron", "-y")
        text = self.crontab("-l")
        self.crontab("-", text=text.replace(self.interpreter.encode(), b"/gone/python3"))
        self.assertIn("! cron: /gone/python3 is gone", self.looop("service", "status"))
        self.crontab(
            "-", text=f"# >>> {self.name} >>>\nhello\n# <<< {self.name} <<<\n".encode().replace(b"hello", b"#")
        )
        self.assertIn("it is not what looop writes now", self.looop("service", "status"))
        self.looop("service", "install", "cron", "-y")
        self.assertEqual(self.crontab("-l"), text)

    def test_it_asks(self):
        for answer, code, there in ((b"n\r", 1, False), (b"\x04", 1, False), (b"y\r", 0, True)):
            terminal = Terminal(120, 40)
            self.addCleanup(terminal.close)
            terminal.run(self.command("service", "install", "cron"), self.env, self.home)
            terminal.wait_text("go on? [y/N]")
            terminal.type(answer)
            self.assertEqual(terminal.end(), code, terminal.text())
            self.assertEqual(self.name.encode() in self.crontab("-l"), there)

    def test_one_scheduler_is_enough(self):
        self.looop("service", "install", "cron", "-y")
        self.script("launchctl", "#!/bin/sh\nexit 0\n")
        self.looop("service", "install", "launchd", "-y", code=1)
        self.assertIn("cron runs the beats of this profile already", self.stderr)

    def test_the_line_runs_a_beat_as_cron_would(self):
        self.env["LOOOP_DATA_DIR"] = self.data = os.path.join(self.home, ODD)
        self.name = looop.service_name(looop.open_profile(self.env, ""))
        self.profile(sensors={"key": 'printf \'{"signal":"%s"}\' "${SOME_API_KEY:-none}"'})
        os.makedirs(os.path.join(self.home, ".config"))
        with open(os.path.join(self.home, ".config", "looop.env"), "w") as file:
            file.write("# what is not for units\nSOME_API_KEY=short\n")
        os.chmod(file.name, 0o600)
        self.looop("service", "install", "cron", "-y", env={"SOME_API_KEY": "short"})
        self.assertEqual(self.stderr.count("SOME_API_KEY"), 0, "it is in the file")
        env = {"HOME": self.home, "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "me"}
        done = subprocess.run(["/bin/sh", "-c", self.line()], env=env, cwd=self.home, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        self.assertEqual(len(self.journal()), 1)
        self.assertEqual(self.json("snapshots", "sensor-key.json"), {"signal": "short"})


@heavy
@needs("cron")
@unittest.skipUnless(CAN_UNSHARE, "only root can make a mount namespace, and only on some machines")
class RealCron(Scratch, Fleet):
    long = True

    def test_a_beat_of_cron(self):
        enter = [UNSHARE[1], f"--mount=/proc/{self.pid}/ns/mnt"]
        daemon = subprocess.Popen([*enter, "cron", "-f"], env={"PATH": os.environ["PATH"]})

        def end():
            daemon.kill()
            daemon.wait()

        self.addCleanup(end)
        self.env["LOOOP_DATA_DIR"] = self.data = os.path.join(self.home, ODD)
        self.profile()
        self.runner('"$LOOOP_BIN" start-session w --command "sleep 1000"', mode="direct")
        self.looop("service", "install", "cron", "-y")
        row = json.loads(self.looop("service", "status", "--json"))["services"][0]
        self.assertTrue(row["active"])
        self.assertLess(looop.parse_utc(row["next"]) - time.time(), 61)
        wait_until(self.journal, "a beat of cron")
        wait_until(lambda: self.ls().get("w", {}).get("state") == "running", "the worker")


STAND_IN_LAUNCHCTL = """#!/bin/sh
echo "$*" >>{home}/calls
case $1 in
bootstrap) [ -e "$3" ] && [ ! -e {home}/loaded ] && touch {home}/loaded ;;
bootout) rm {home}/loaded ;;
print) [ -e {home}/loaded ] ;;
esac
"""


class Launchctl(Case):
    def test_install_change_status_uninstall(self):
        path = os.path.join(self.bin, "launchctl")
        with open(path, "w") as file:
            file.write(STAND_IN_LAUNCHCTL.format(home=self.home))
        os.chmod(path, 0o755)
        self.looop("service", "install", "launchd", "-y")
        self.looop("service", "install", "launchd")
        self.looop("service", "install", "launchd", "-y", "--every", "5m")
        row = json.loads(self.looop("service", "status", "--json"))["services"][0]
        self.assertEqual((row["kind"], row["active"], row["every_s"], row["next"]), ("launchd", True, 300, None))
        os.remove(os.path.join(self.home, "loaded"))
        self.assertIn("it is not active", self.looop("service", "status"))
        self.looop("service", "uninstall", "-y")
        self.assertEqual(os.listdir(os.path.join(self.home, "Library/LaunchAgents")), [])
        with open(os.path.join(self.home, "calls")) as file:
            calls = [line.split()[0] for line in file]
        self.assertEqual(
            [call for call in calls if call in ("bootstrap", "bootout")], ["bootout", "bootstrap"] * 2 + ["bootout"]
        )


class Elsewhere(Case):
    """Dotfiles that machines share bring the files of a scheduler that this one does not have."""

    def test_it_is_passed_over_and_named_and_can_be_removed(self):
        profile = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        for scheduler in (looop.Scheduler(profile, "launchd"), looop.Scheduler(profile, "systemd")):
            kind, paths = scheduler.kind, scheduler.paths
            scheduler.write(scheduler.wanted(looop.schedule_of(profile, kind, 300)))
            status = json.loads(self.looop("service", "status", "--json"))
            self.assertEqual((status["services"], status["warnings"]), ([], []))
            self.assertEqual(status["elsewhere"], {kind: paths})
            self.assertIn(f"{paths[0]}, for a machine that has {kind}", self.looop("service", "status"))
            self.looop("service", "install", "cron", "-y", code=1)
            self.assertIn("crontab is not on PATH", self.stderr)
            self.assertIn("nothing is installed", self.looop("service", "uninstall", "-y"))
            self.assertTrue(os.path.exists(paths[0]))
            self.assertIn("ran no beat here", self.looop("service", "uninstall", kind, "-y"))
            self.assertFalse(any(map(os.path.exists, paths)))


class Due(unittest.TestCase):
    def test_cron_goes_by_the_clock_on_the_wall(self):
        self.addCleanup(time.tzset)
        self.addCleanup(os.environ.__setitem__, "TZ", os.environ["TZ"])
        os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
        time.tzset()
        for now, every, due in (
            ("2026-03-28T23:30:00Z", 12 * 3600, "2026-03-29T10:00:00Z"),
            ("2026-10-24T22:30:00Z", 12 * 3600, "2026-10-25T11:00:00Z"),
            ("2026-03-29T00:30:00Z", 2 * 3600, "2026-03-29T02:00:00Z"),
            ("2026-03-28T23:30:00Z", 86400, "2026-03-29T22:00:00Z"),
            ("2026-06-01T10:04:59Z", 300, "2026-06-01T10:05:00Z"),
            ("2026-06-01T10:05:00Z", 300, "2026-06-01T10:10:00Z"),
        ):
            self.assertEqual(looop.utc_text(looop.cron_due(every, looop.parse_utc(now))), due, (now, every))


STAND_IN_SYSTEMCTL = """#!/bin/sh
echo "$*" >>{home}/calls
[ ! -e {home}/broken ] || case $* in *enable*) echo no such luck >&2; exit 1;; esac
case $2 in
enable | restart) touch {home}/on ;;
disable) rm -f {home}/on ;;
show) [ -e {home}/on ] && echo ActiveState=active || echo ActiveState=inactive ;;
list-timers) echo '[{{"next":1800000000000000,"unit":"looop.timer"}}]' ;;
esac
"""


class Manager(Case):
    """A stand-in for a user manager: a real one, run as root, would move all processes into its control group."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.bin, "systemctl")
        with open(path, "w") as file:
            file.write(STAND_IN_SYSTEMCTL.format(home=self.home))
        os.chmod(path, 0o755)
        self.units = os.path.join(self.home, ".config", "systemd", "user")

    def calls(self):
        """Return what was said to it since the last time, but for questions."""
        path = os.path.join(self.home, "calls")
        with open(path) as file:
            words = [line.split()[1] for line in file]
        os.remove(path)
        return [word for word in words if word not in ("show", "list-timers")]


class Systemctl(Manager):
    def test_install_change_status_uninstall(self):
        name = looop.service_name(looop.open_profile(self.env, ""))
        self.looop("service", "install", "systemd", "--every", "5m", "-y")
        self.assertEqual(self.calls(), ["daemon-reload", "enable", "restart"])
        with open(os.path.join(self.units, f"{name}.service")) as file:
            unit = file.read()
        for line in ("Type=oneshot", "KillMode=process", "OOMPolicy=continue", "TimeoutStartSec=infinity"):
            self.assertIn(f"\n{line}\n", unit)
        self.assertNotIn("Restart=", unit)
        self.assertIn("nothing to do", self.looop("service", "install", "systemd", "--every", "300"))
        row = json.loads(self.looop("service", "status", "--json"))["services"][0]
        self.assertEqual((row["active"], row["every_s"], row["next"]), (True, 300, "2027-01-15T08:00:00Z"))
        self.assertEqual(self.calls(), [])
        self.assertIn("+OnUnitActiveSec=600s", self.looop("service", "install", "systemd", "--every", "10m", "-y"))
        self.assertEqual(self.calls(), ["daemon-reload", "enable", "restart"])
        self.looop("service", "uninstall", "-y")
        self.assertEqual((self.calls(), os.listdir(self.units)), (["disable", "daemon-reload"], []))

    def test_a_switch_is_installed_and_its_url_shown_to_nobody(self):
        os.symlink("/bin/true", os.path.join(self.bin, "curl"))
        path = looop.ping_file(looop.open_profile(self.env, ""))
        out = self.looop("service", "install", "systemd", "--ping", "-", "-y", stdin=f"{URL}\n".encode())
        out += self.looop("service", "status") + self.looop("service", "status", "--json")
        units = [os.path.join(self.units, name) for name in os.listdir(self.units)]
        for file in units:
            with open(file) as unit:
                out += unit.read()
        self.assertNotIn("secret", out)
        self.assertIn("after each beat that did not fail", out)
        with open(path) as file:
            self.assertIn(f'url = "{URL}"\n', file.read())
        self.assertIn("nothing to do", self.looop("service", "install", "systemd", "--ping", URL))
        open(os.path.join(self.home, "broken"), "w").close()
        self.looop("service", "install", "systemd", "--ping", "https://other/", "-y", code=1)
        with open(path) as file:
            self.assertIn(URL, file.read())
        os.remove(os.path.join(self.home, "broken"))
        self.assertIn(f"{path} is removed", self.looop("service", "install", "systemd", "-y"))
        self.assertFalse(os.path.exists(path))
        self.looop("service", "install", "systemd", "--ping", URL, "-y")
        self.assertIn(f"remove {path}", self.looop("service", "uninstall", "-y"))
        self.assertFalse(os.path.exists(path))

    def test_what_fails_leaves_things_as_they_were(self):
        open(os.path.join(self.home, "broken"), "w").close()
        self.looop("service", "install", "systemd", "-y", code=1)
        self.assertIn("no such luck: what was there before is there still", self.stderr)
        self.assertEqual(os.listdir(self.units), [])

    def test_one_that_does_not_answer(self):
        with open(os.path.join(self.bin, "systemctl"), "w") as file:
            file.write("#!/bin/sh\necho Failed to connect to bus >&2\nexit 1\n")
        self.looop("service", "install", "systemd", "-y", code=1)
        self.assertIn("Failed to connect to bus: `looop service install cron`", self.stderr)


class Chosen(Manager):
    @unittest.skipIf(sys.platform == "darwin", "launchd it is, on macOS")
    def test_what_this_machine_has(self):
        for answers, kind in ((True, "systemd"), (False, "cron")):
            if not answers:
                os.remove(os.path.join(self.bin, "systemctl"))
            self.assertEqual(looop.chosen_scheduler(looop.open_profile(self.env, ""), None).kind, kind)


if __name__ == "__main__":
    unittest.main()
