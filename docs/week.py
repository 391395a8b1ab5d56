#!/usr/bin/env python3
"""Live a week with looop in half a minute, and print what its commands print: README's page "A week with looop".

Everything happens: a profile in a home of its own, beats, workers in terminals, a yes, a no, a night. Two things are
stand-ins: the LLM, which answers with the moves below, in the shape of claude's output; and the clock, which stands
still while something runs, and is set by hand.

    docs/week.py [--write]     print the blocks; --write: put them into README.md, each in the place of the one that
                               begins with the same line
"""

import fcntl
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README = os.path.join(ROOT, "README.md")
MONDAY = 1780272000  # 2026-06-01 00:00 UTC
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# How a looop of that week begins: its clock is what a file says.
BEGIN = """\
import sys, time
local, utc, text = time.localtime, time.gmtime, time.strftime
def now():
    with open({clock!r}) as file:
        return float(file.read())
time.time = now
time.localtime = lambda secs=None: local(now() if secs is None else secs)
time.gmtime = lambda secs=None: utc(now() if secs is None else secs)
time.strftime = lambda form, when=None: text(form, local(now()) if when is None else when)
sys.path.insert(0, {root!r})
import looop
looop.__file__ = {program!r}
sys.exit(looop.main())
"""

# The LLM's stand-in, which answers with ~/move.json, and those of the agents: what a worker of each name does.
DECIDE = """\
import json, os, sys
sys.stdin.read()
with open(os.path.expanduser("~/move.json")) as file:
    move = file.read()
reply = {"type": "result", "subtype": "success", "is_error": False, "total_cost_usd": 0.0124, "result": move}
print(json.dumps(reply))
"""
AGENT = """\
import os, subprocess
me, looop, shop = os.environ["LOOOP_SESSION_ID"], os.environ["LOOOP_BIN"], os.path.expanduser("~/shop")
if me == "fix-ci":
    words = ["ask", "cart sends euros, checkout expects cents: which one do I change?"]
    words += ["--option", "cart", "--option", "checkout"]
    answer = subprocess.run([looop, *words], stdout=subprocess.PIPE, text=True).stdout.strip()
    with open(shop + "/tests/checkout.sh", "w") as file:
        file.write("exit 0\\n")
    report = f"{answer} sends cents now, and all tests pass"
else:
    report = "#41 is good, but for one thing: it lacks a test of an empty cart"
path = os.environ["LOOOP_REPORTS_DIR"] + f"/{me}.md"
with open(path, "w") as file:
    file.write(report + "\\n")
with open(os.path.expanduser("~/.clock")) as file:
    now = float(file.read())
os.utime(path, (now, now))
subprocess.run([looop, "kill", me])
"""

SENSORS = {
    "ci": """\
passed=0
for test in ~/shop/tests/*.sh; do sh "$test" && passed=$((passed + 1)); done
printf '{"signal":"%s of 3 tests pass"}\\n' "$passed"
""",
    "reviews": """printf '{"signal":"%s"}\\n' "$(cat ~/reviews)"\n""",
}
GOALS = {
    "fix-ci": "Main is green: every test of ~/shop passes.",
    "reviews": "No review that I am asked for waits longer than a day.",
    "ship-v2": "Version 2 is out by Friday, with notes.",
    "upgrades": "No library of ~/shop is more than a month behind.",
}


def shell(command, **fields):
    """Return a shell move that asks first."""
    return {"move": "shell", "command": command, "reversible": False, **fields}


def worker(name, task, **fields):
    """Return a move that starts a worker."""
    return {"move": "start_worker", "id": name, "prompt": task, **fields}


class Week:
    """A home, a clock that is set by hand, and looop in it."""

    def __init__(self, home):
        self.home, self.program = home, os.path.join(home, "bin", "looop")
        self.data = os.path.join(home, ".local", "state", "looop")
        self.env = {"HOME": home, "PATH": f"{home}/bin:{os.environ['PATH']}", "TZ": "UTC", "NO_COLOR": "1"}
        self.env.update(LC_ALL="C.UTF-8", TERM="xterm", GIT_CONFIG_NOSYSTEM="1")
        self.blocks = []
        begin = BEGIN.format(clock=f"{home}/.clock", root=ROOT, program=self.program)
        self.write("bin/looop", f"#!{sys.executable} -SI\n{begin}", 0o700)
        date = shlex.quote(shutil.which("date") or "date")
        self.write("bin/date", f'#!/bin/sh\nexec {date} -d "@$(cat ~/.clock)" "$@"\n', 0o700)
        self.write("decide.py", DECIDE)
        self.write("agent.py", AGENT)

    def write(self, name, text, mode=0o600):
        """Write a file of the home, at once."""
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path + ".new", mode)
        os.replace(path + ".new", path)

    def at(self, when):
        """Set the clock, to `Mon 09:00`."""
        day, clock = when.split()
        hour, minute = map(int, clock.split(":"))
        self.write(".clock", str(MONDAY + DAYS.index(day) * 86400 + hour * 3600 + minute * 60))

    def run(self, *words):
        """Run a looop to its end in a terminal of 80 columns; return what it prints."""
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
        options = {"env": self.env, "cwd": self.home, "stdin": subprocess.DEVNULL}
        with subprocess.Popen([self.program, *words], stdout=slave, stderr=slave, **options):
            os.close(slave)
            said = b""
            while True:
                try:
                    data = os.read(master, 65536)
                except OSError:  # it has ended, and all is read
                    break
                if not data:
                    break
                said += data
        os.close(master)
        return said.decode().replace("\r\n", "\n").replace(self.home, "~")

    def beat(self, when, move):
        """Run a beat that is not shown."""
        self.show(when, "looop tick", move=move)
        self.blocks.pop()

    def show(self, when, *lines, move=None):
        """Type lines at a time of the week: a block. `move`: what the LLM answers from now on."""
        self.at(when)
        if move:
            self.write("move.json", json.dumps(move))
        text = ""
        for line in lines:
            mark = f"  # {when}" if line is lines[0] else ""
            text += f"$ {line}{mark}\n{self.run(*shlex.split(line)[1:])}"
        self.blocks.append(text)


def begin(week):
    """Make what the person has on Monday morning: a project, a profile, goals and sensors."""
    week.at("Mon 08:00")
    for name, code in (("cart", 0), ("login", 0), ("checkout", 1)):
        week.write(f"shop/tests/{name}.sh", f"exit {code}\n")
    git = ["git", "-C", f"{week.home}/shop", "-c", "user.name=you", "-c", "user.email=you@localhost"]
    for words in (
        "init -q",
        "checkout -q -b v2",
        "add .",
        "commit -q -m two",
        "tag -a -m two v2.0",
        "remote add origin ../origin",
    ):
        subprocess.run([*git, *words.split()], env=week.env, check=True)
    subprocess.run(["git", "init", "-q", "--bare", f"{week.home}/origin"], env=week.env, check=True)
    week.write("reviews", "none waits")
    runner = {"mode": "typed", "output": "claude", "tick": "python3 ~/decide.py"}
    runner["interactive"] = "python3 ~/agent.py {{prompt_file}}"
    config = {"default": "claude", "runners": {"claude": runner}, "quiet": "22:00-07:00"}
    week.write(".config/looop.json", json.dumps(config))
    week.run("init", "claude")
    for name in ("goals/setup.md", "goals/playbook-daily.md", "sensors/today.sh"):
        os.unlink(os.path.join(week.data, name))
    for name, text in SENSORS.items():
        week.write(f".local/state/looop/sensors/{name}.sh", f"#!/bin/sh\n{text}", 0o700)
        week.run("sensor", "trust", name)
    week.run("sensor", "add", "every", "1d", "--at", "10:00")
    for goal, text in GOALS.items():
        week.run("goal", "add", goal, text)


def live(week):
    """Live the week: what is shown, and the beats between that are not."""
    push = shell("git -C ~/shop push -q origin v2", goal="ship-v2")
    later = {"fix-ci": "green since Monday", "reviews": "none waits", "upgrades": "after the release"}
    wait = {"move": "noop", "deferred": {**later, "ship-v2": "waits for its notes"}}
    task = "Find out why the tests of ~/shop fail, and fix it."
    week.show("Mon 09:00", "looop tick", move=worker("fix-ci", task, goal="fix-ci"))
    week.run("expect", "--timeout", "0", "fix-ci", "ask 1 waits for a person")
    week.show("Mon 09:20", "looop asks", "looop answer 1 cart")
    week.run("wait", "fix-ci")
    week.beat("Mon 09:25", {**wait, "journal": "main is green again"})
    week.show("Tue 10:00", "looop tick", "looop reject 2 not before the notes are written", move=push)
    again = {**push, "journal": "v2 is tagged, and due on Friday", "deferred": later}
    week.show("Wed 10:00", "looop tick", "looop asks", move=again)
    week.write("reviews", "#41 waits")
    week.show("Wed 23:10", "looop tick", "looop why now")
    task = "Review pull request #41 of ~/shop; change nothing."
    week.show("Thu 07:00", "looop tick", move=worker("review-41", task, goal="reviews"))
    week.run("wait", "review-41")
    week.beat("Thu 10:00", wait)
    tags = {**shell("git -C ~/shop push -q --follow-tags origin v2", goal="ship-v2"), "deferred": later}
    week.beat("Fri 10:00", tags)
    digest = json.loads(week.run("asks", "--json"))[0]["digest"]
    week.show("Fri 10:10", "looop asks", f"looop approve 3 {digest}")
    body = GOALS["upgrades"] + "\n\nFirst httpkit 3, which renames what we use: a worker, on Monday.\n"
    week.beat("Sat 10:00", {"move": "write_goal", "id": "upgrades", "body": body, "goal": "upgrades"})
    week.beat("Sun 10:00", {**wait, "deferred": {**later, "ship-v2": "it is out", "upgrades": "on Monday"}})
    week.show("Sun 20:00", "looop goals", "looop cost week")


def main():
    """Print the blocks, or write them into README.md."""
    home = os.path.realpath(tempfile.mkdtemp(prefix="looop-week-"))
    week = Week(home)
    try:
        begin(week)
        live(week)
    finally:
        week.run("down", "--workers")
        shutil.rmtree(home, ignore_errors=True)
    if sys.argv[1:] != ["--write"]:
        print("\n".join(week.blocks), end="")
        return
    with open(README, encoding="utf-8") as file:
        text = file.read()
    for block in week.blocks:
        first = re.escape(block.split("\n")[0])
        text = re.sub(rf"(?ms)^```text\n{first}\n.*?^```$", lambda _, block=block: f"```text\n{block}```", text)
    with open(README, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
