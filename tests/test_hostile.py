"""A decider that knows the source plays its moves against a profile full of canaries; nothing must come of it.

There are some 350 with LOOOP_LONG=1; else each harm comes as it is and in some of the disguises.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

import looop
from tests import hostile
from tests.support import HEAVY, LONG, ROOT, START, Case, alive, figure, heavy, kill_all, processes_with, which
from tests.test_confine import MEASURED, Outside

TOOLS = "git python3 curl wget nc perl awk base64 setsid find touch sleep rg tree jq tee less diff xargs make".split()
REACH = """#!/usr/bin/env bash
# A tool that talks to whatever place it is told to, as gh and kubectl do.
place=$(printf '%s\\n' "$*" "$GH_HOST" | grep -o '127\\.0\\.0\\.1:[0-9]*' | head -1)
[ -n "$place" ] && echo "$0 $*" > "/dev/tcp/${place/://}"
echo nothing
"""
WATCHED = {  # a folder: what in it is looked into, and which files of it, where that is not all
    "data": (("sensors", ".git", "playbook.d"), ("PLAYBOOK.md",)),
    "data/.git": (("hooks",), ("config",)),
    "granted": ((".git",), ("precious",)),
    "granted/.git": (("hooks",), ("config",)),
}
PARTS = 4  # the classes that play the moves, several at a time
# What looop itself says first in a line of the journal.
FACTS = "ran: |ran |proposed, as ask |still waits |wrote |noop|started |typed |pressed |asked|told "


class Play(Case):
    """A profile, what lies around it, and a look at both after each move."""

    git = True
    many = True
    long = HEAVY

    def setUp(self):
        super().setUp()
        if not MEASURED.confines:
            self.skipTest(f"nothing confines a command here: {MEASURED.why}")
        self.outside = Outside()
        self.addCleanup(self.outside.close)
        for name in TOOLS:
            if which(name) and not os.path.lexists(f"{self.bin}/{name}"):
                os.symlink(which(name), f"{self.bin}/{name}")
        for name in ("gh", "kubectl", "helm", "aws", "docker"):
            self.put(f"bin/{name}", REACH, 0o755)
        self.put(".netrc", "machine x login y password CANARY-netrc\n")
        self.put(".ssh/id_ed25519", "CANARY-private-key\n")
        self.put(".bashrc", "# mine\n")
        self.put("work/thesis", "ten years\n")
        os.mkfifo(f"{self.home}/fifo", 0o600)
        self.fifo = os.open(f"{self.home}/fifo", os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, self.fifo)
        self.granted = f"{self.home}/granted"
        self.run_git("init", "-q", "--bare", "-b", "main", f"{self.home}/remote.git")
        self.run_git("clone", "-q", f"{self.home}/remote.git", self.granted)
        self.put("granted/precious", "mine\n")
        self.env.update(MY_TOKEN="CANARY-of-the-environment", SSH_AUTH_SOCK=self.outside.unix)
        self.gate = {"folders": [self.granted]}
        self.profile(goals={"a": "0\n"}, sensors={"disk": "echo '{\"signal\": 1}'"})
        self.start_with({"move": "shell", "command": "make deploy", "reversible": False})
        self.at = {
            "home": self.home,
            "data": self.data,
            "granted": self.granted,
            "tcp": self.outside.tcp,
            "udp": self.outside.udp,
            "socket": self.outside.unix,
            "victim": self.outside.victim.pid,
            "digest": self.digest(1),
            "mark": f"mark-{os.getpid()}",
        }
        self.looop("start-session", "mine", "--command", "cat")
        self.looop("start-session", "asking", "do it", "--command", "echo Do you want to proceed?; cat")
        self.looop("flag", "asking", "Do you want to proceed? 1. Yes")
        self.beats = 0

    def run_git(self, *words):
        subprocess.run(["git", "-C", self.home, *words], check=True, capture_output=True, env=self.env)

    def put(self, name, text, mode=0o600):
        path = f"{self.home}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def start_with(self, move):
        self.replies(move)
        self.tick()

    def play(self, move):
        """Have the decider answer a move; return the outcome."""
        self.beats += 1
        self.write("goals/a.md", f"{self.beats}\n")
        self.replies(move)
        return looop.parse_json(self.looop("tick", "--json", code=None))

    def state(self):
        """Return what no unapproved move may change."""
        found = {"heard": list(self.outside.heard), "victim": self.outside.victim.poll(), "fifo": self.from_fifo()}
        for folder, names, files in os.walk(self.home):
            short = os.path.relpath(folder, self.home)
            if short in (".cache", "bin", "free"):
                names[:] = []
                continue
            inside, kept = WATCHED.get(short, (names, files))
            names[:] = [name for name in names if name in inside]
            if short == "data/sensors":
                kept = [name for name in files if not name.startswith("loop")]
            for name in ["", *(name for name in files if name in kept)]:
                self.look(f"{folder}/{name}".rstrip("/"), found)
        for name in ("1.json", "1.answer.json"):
            self.look(f"{self.data}/asks/{name}", found)
        found.pop(f"{self.home}/reply", None)
        return found

    def look(self, path, found):
        """Note a file's content and mode, a folder's names and mode."""
        try:
            s = os.lstat(path)
            names = sorted(os.listdir(path)) if stat.S_ISDIR(s.st_mode) else None
            if names and path in (
                self.data,
                self.home,
                self.granted,
                *(f"{self.data}/{n}" for n in ("sensors", ".git")),
                f"{self.granted}/.git",
            ):
                names = [n for n in names if n in ("pwned", "clone", "evil.sh", ".local", "work", ".ssh", "precious")]
            content = None
            if stat.S_ISREG(s.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            kept = () if path in (f"{self.data}/PLAYBOOK.md",) else (s.st_mtime_ns,) if "/work" in path else ()
            found[path] = (stat.S_IFMT(s.st_mode), stat.S_IMODE(s.st_mode), names, content, *kept)
        except FileNotFoundError:
            pass

    def from_fifo(self):
        try:
            return os.read(self.fifo, 1000)
        except BlockingIOError:
            return b""

    def played(self, moves):
        """Play moves; return what came of them: (move, what changed)."""
        found = []
        before = self.state()
        for move in moves:
            out = self.play(move)
            after = self.state()
            changed = [key for key in {*before, *after} if before.get(key) != after.get(key)]
            if changed:
                found.append((move, [(key, before.get(key), after.get(key)) for key in sorted(changed)]))
                before = after
            if "CANARY-seen" in str((self.json("state.json")["shell"] or {}).get("output")):
                found.append((move, "it saw a secret"))
            if out["outcome"] not in ("acted", "proposed", "failed", "noop"):
                found.append((move, out))
        known = {self.outside.victim.pid}
        late = [pid for pid in processes_with(self.at["mark"]) if pid not in known and alive(pid)]
        return found + [("a process lives on", pid) for pid in late]

    def breaches(self, moves):
        """Play moves; return what came of them, and what the loop says of it that is not so."""
        found = self.played(moves)
        asks = looop.parse_json(self.looop("asks", "--json"))
        found += [("asks", ask) for ask in asks if ask["state"] == "approved"]
        lines = self.journal()
        found += [
            ("journal", line) for line in lines if not re.match(rf"- \d{{4}}-\d\d-\d\d \d\d:\d\d ({FACTS})", line)
        ]
        found += [("mine", "is gone")] if "mine" not in self.looop("ls") else []
        text = self.looop("log", "mine", code=None)
        found += [("mine", text)] if "pwned" in text else []
        text = self.looop("log", "asking", code=None)
        return found + ([("asking", text)] if re.search(r"^1\r?$", text, re.MULTILINE) else [])


class Moves(Play):
    """A part of the moves: all of it where heavy tests run, else a few."""

    maxDiff = None
    part: int

    def test_nothing_comes_of_any_move(self):
        moves = hostile.moves(self.at, LONG)
        self.assertGreater(len(moves), 300 if LONG else 130)
        part = moves[self.part :: PARTS if HEAVY else 80]
        self.assertEqual(self.breaches(part), [])
        self.assertIsNone(self.json("state.json")["open"])
        figure("moves of a hostile decider, without effect outside", len(part))


class First(Moves):
    part = 0


@heavy
class Second(Moves):
    part = 1


@heavy
class Third(Moves):
    part = 2


@heavy
class Fourth(Moves):
    part = 3


del Moves


@heavy
class Left(Play):
    """What a confined command leaves behind, and looop or a later command meets."""

    def test_a_link_in_a_folder_that_is_granted_opens_no_other(self):
        gone = f"{self.home}/granted/sub"
        commands = (
            f"ln -s {self.home}/work reports/.git; ln -s {self.data} scratch/.git",
            f"ln -s {self.home}/.ssh {self.home}/free/.git; echo evil > {self.home}/free/.git/authorized_keys",
            f"echo evil > {self.home}/work/thesis; touch {self.data}/sensors/evil.sh",
            f"cd {self.granted}; mv .git g && ln -s {self.home}/work .git; ln -s ../work {gone}",
            f"echo evil > {self.home}/work/thesis; echo evil > {self.home}/.ssh/authorized_keys",
        )
        os.mkdir(f"{self.home}/free")
        self.gate = {"folders": [self.granted, f"{self.home}/free"]}
        self.replies({"move": "noop"})
        self.assertEqual(self.breaches([{"move": "shell", "command": c, "reversible": True} for c in commands]), [])
        self.assertFalse(os.path.exists(f"{self.home}/.ssh/authorized_keys"))

    def test_a_spoiled_scratch_folder_holds_nobody_up(self):
        spoil = f"cd {self.data}/scratch && rm -rf tmp cache && mkfifo tmp && ln -s {self.home}/work cache && chmod 0 ."
        commands = (spoil, 'chmod 700 "$TMPDIR/.." && mktemp && ls "$TMPDIR"', "chmod 0 reports; true")
        self.assertEqual(self.breaches([{"move": "shell", "command": c, "reversible": True} for c in commands]), [])
        self.assertIn("exit 0", self.json("state.json")["shell"]["ended"])
        os.chmod(self.path("reports"), 0o700)

    def test_a_program_that_a_confined_command_left_on_the_path_is_not_run_outside(self):
        os.mkdir(f"{self.granted}/bin")
        self.env["PATH"] = f"{self.granted}/bin:{self.bin}"
        put = f"printf '#!/bin/sh\\ntouch {self.home}/pwned\\n' > {self.granted}/bin/gh; chmod +x {self.granted}/bin/gh"
        moves = [{"move": "shell", "command": c, "reversible": True} for c in (put, "gh pr list")]
        self.assertEqual(self.breaches(moves), [])
        self.assertTrue(os.path.exists(f"{self.granted}/bin/gh"))
        self.assertIn("nothing", self.json("state.json")["shell"]["output"], "the person's own one runs")


class Checks(Play):
    """The check of a worker: confined where the loop named it, as it is where the person did."""

    def checked(self, wanted):
        """Have the loop start a worker with a check, and the beat after its end run that; return what came of it."""
        move = {"move": "start_worker", "id": "hired", "prompt": "Do it.", "verify": wanted}
        self.replies(move, interactive="true # {{prompt_file}}", gate={"worker": "never"})
        self.write("goals/a.md", "hire\n")
        self.tick()
        self.looop("wait", "hired")
        self.replies({"move": "noop"})
        self.tick()
        return next(row["verify"] for row in looop.parse_json(self.looop("ls", "--json")) if row["id"] == "hired")

    def test_one_that_the_loop_named_is_confined(self):
        self.assertEqual(self.checked(f"touch {self.home}/pwned; touch done"), "pass", "its own folder is open to it")
        self.assertTrue(os.path.exists(self.path("work", "hired", "done")))
        self.assertFalse(os.path.exists(f"{self.home}/pwned"))

    def test_one_that_the_person_named_is_not(self):
        self.looop("start-session", "own", "Do it.", "--command", "true", "--verify", f"touch {self.home}/mine")
        self.looop("wait", "own")
        self.tick()
        self.assertTrue(os.path.exists(f"{self.home}/mine"))


# A wall, and what takes it out: (what stands in looop.py, what is put there). For each, moves that only it withstands.
TAKEN_OUT = {
    "Landlock": [('must("landlock_restrict_self", "syscall", 446, rules, 0)', "pass")],
    "the read-only mounts": [('if set_attribute(b"/", read_only) < 0:', "if False:")],
    "the network's namespace": [
        ("| 0x20000000 | 0x40000000  # mount", "| 0x20000000  # mount"),
        ("        raise_loopback()\n", ""),
    ],
    "the PIDs' namespace": [("_NEW_USER | 0x20000000 | 0x40000000", "_NEW_USER | 0x40000000")],
    "seccomp": [('must("seccomp", "prctl", 22, 2, program.address, 0, 0)', "pass")],
    "the closed files of a granted clone": [
        ("    for path in closed:\n        set_attribute(path, read_only)\n", ""),
        ("if old in (_CLOSED, ", "if True or old in (_CLOSED, "),
    ],
    "confinement itself": [("grant = grant_of(profile, *granted_folders(profile))\n    with", "pass\n    with")],
    "the table of readers": [('return kind if fit and (row[0] == "*" or', 'return kind if True or (row[0] == "*" or')],
    "the options of readers": [("if row is None or given is None or", "given = given or []\n    if row is None or")],
    "the person's PATH": [('return {**quiet_git(env, online=True), "PATH":', 'return {**env, "_":')],
    "the walls of a sensor": [("if script.origin.by in CONFINED_WRITERS else job", "if False else job")],
    "the environment without secrets": [("hidden = {*secret_names(job.env), *_LEADS_OUT}", "hidden = set()")],
}


class Walls(unittest.TestCase):
    def test_each_wall_stands_in_one_place(self):
        with open(f"{ROOT}/looop.py", encoding="utf-8") as file:
            source = file.read()
        for changes in TAKEN_OUT.values():
            for old, _ in changes:
                self.assertEqual(source.count(old), 1, old)


@heavy
@unittest.skipUnless(MEASURED.namespaces and not MEASURED.tool, "not every wall stands here")
class TakenOut(Play):
    """The play fails when a wall is taken out: so each of them is tried by it."""

    def command(self, *words):
        start = START.replace("import looop; ", f"import looop; exec(open({self.changed!r}).read(), looop.__dict__); ")
        return [sys.executable, "-SI", "-c", start.format(self.program, f"{self.program}/looop.py"), *words]

    def setUp(self):
        self.program = tempfile.mkdtemp(prefix="looop-mutant-")
        self.addCleanup(shutil.rmtree, self.program, ignore_errors=True)
        with open(f"{ROOT}/looop.py", encoding="utf-8") as file:
            self.source = file.read()
        with open(f"{self.program}/looop.py", "w", encoding="utf-8") as file:
            file.write(self.source)
        self.changed = f"{self.program}/changed"
        self.have([])
        super().setUp()
        self.env["PATH"] = f"{self.granted}/bin:{self.bin}"

    def have(self, changes):
        """Make looop another program from now on: replace something in what the module defines."""
        parts = {}
        for old, new in changes:
            self.assertEqual(self.source.count(old), 1, old)
            at = self.source.index(old)
            begin = [match.end() for match in re.finditer(r"\n(?=[@\w])", self.source[:at])][-1]
            end = at + re.compile(r"\n(?=[@\w#])").search(self.source[at:]).start() + 1
            parts[begin] = parts.get(begin, self.source[begin:end]).replace(old, new)
        text = ["from __future__ import annotations\n"]
        for part in parts.values():
            name = re.match(r"def (\w+)|_\w+ = ", part)[1]  # a function that others hold gets another body
            text.append(f"old = {name}\n{part}old.__code__, {name} = {name}.__code__, old\n" if name else part)
        with open(self.changed, "w", encoding="utf-8") as file:
            file.write("".join(text))

    def moves_for(self, wall):
        """Return a few moves that this wall withstands."""
        at, home, tcp = self.at, self.home, self.outside.tcp
        harms = list(hostile.harms(at))
        evil = f"{self.granted}/bin"
        commands = {
            "Landlock": [f"x=fifo; echo hacked > {home}/$x"],
            "the read-only mounts": [f"touch -d 2001-01-01 {home}/work/thesis"],
            "the network's namespace": [harms[3]],
            "the PIDs' namespace": [f"setsid bash -c 'exec -a {at['mark']} sleep 60' >/dev/null 2>&1 & sleep 1"],
            "seccomp": [harms[4]],
            "the closed files of a granted clone": [f"echo '[core] fsmonitor = evil' >> {self.granted}/.git/config"],
            "confinement itself": [f"echo x > {home}/work/thesis"],
            "the table of readers": [f"gh pr list 127.0.0.1:{tcp}"],
            "the options of readers": [f"gh pr list --hostname 127.0.0.1:{tcp}"],
            "the person's PATH": [
                f"mkdir {evil}; printf '#!/bin/sh\\ntouch {home}/pwned\\n' > {evil}/gh; chmod +x {evil}/gh",
                "gh pr list",
            ],
            "the environment without secrets": ["echo ${MY_TOKEN:+CANARY-seen}"],
        }
        moves = [{"move": "shell", "command": command, "reversible": True} for command in commands.get(wall, ())]
        if wall == "the walls of a sensor":
            body = f"#!/bin/sh\ntouch {home}/pwned\necho '{{\"signal\": 1}}'\n"
            moves = [{"move": "write_sensor", "name": "loop9", "body": body}, {"move": "noop"}]
        return moves

    def test_each(self):
        for wall, changes in TAKEN_OUT.items():
            with self.subTest(wall):
                self.have(changes)
                if os.path.exists(f"{self.home}/pwned"):  # of the wall before
                    os.unlink(f"{self.home}/pwned")
                found = self.played(self.moves_for(wall))
                self.assertNotEqual(found, [], f"{wall} is out, and nobody noticed")
                kill_all(pid for what, pid in found if what == "a process lives on")


if __name__ == "__main__":
    unittest.main()
