"""Attach: a person's terminal lent to a session, and what it is like meanwhile and afterwards."""

import contextlib
import copy
import itertools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import types
import unittest
import unittest.mock
from unittest import mock

import looop
from tests.support import (
    FAKES,
    HEAVY,
    PATIENCE,
    Case,
    Terminal,
    alive,
    detach_key,
    heavy,
    missing,
    picture,
    processes_with,
    wait_until,
    which,
)

OWN = b"\x1b[>5u\x1b[>1u\x1b]2;my own title\x1b\\"  # what a person's terminal may be like before
DETACH = b"\x1c\x1c"
LEAVE = "[detached from"
EVERYTHING = (
    b"\x1b[?47h\x1b[?1049h\x1b[?1;5;6;12;1000;1002;1003;1004;1005;1006;1015;1016;1007;2004;2026;2031;66;1048h"
    b"\x1b[>1u\x1b[>3u\x1b[<9u\x1b[=5;1u\x1b[>7u\x1b[>4;2m\x1b[?7;25l\x1b[4;20h\x1b[5;10r\x1b[3 q\x1b=\x1b)0\x1b(0\x0e"
    b"\x1b]10;#112233\x07\x1b]11;rgb:44/55/66\x1b\\\x1b]4;1;#778899;2;#aabbcc\x07\x1b]12;red\x07\x1b]2;theirs\x07"
    b"\x1b[22;0t\x1b[22;0t\x1b[23;0t\x1b[23;0t\x1b[23;0t\x1b[3g\x1b[3;3H\x1bH\x1b[1;4;31;44m\x1b]8;;http://a.b/\x1b\\"
    b"\x1b]9;4;3;\x07\x1b]22;pointer\x07\x1b[c\x1b[>c\x1b[6n\x1b[>q\x1b[?u\x1b]11;?\x07\x1bP$qm\x1b\\\x1b[18tall"
)


class AttachCase(Case):
    """Sessions in a profile of their own; nothing of them is left at the end."""

    def setUp(self):
        super().setUp()
        self.words = looop.open_profile(self.env, os.path.abspath(looop.__file__))
        for name in ("typist", "winch"):
            os.symlink(os.path.join(FAKES, name), os.path.join(self.bin, name))
        self.answers = {}  # what the typists were answered to their questions
        self.addCleanup(self.leave_nothing)

    def leave_nothing(self):
        for session in self.sessions():
            if session.alive:
                with contextlib.suppress(looop.Gone):
                    looop.ask_session(session, "kill")
        wait_until(lambda: not processes_with(self.home), f"the end of {processes_with(self.home)}")

    def sessions(self):
        folder = self.path("sessions")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        found = (looop.read_session(self.words, name) for name in names if name[0] != ".")
        return [session for session in found if session]

    def have(self, *commands):
        for command in commands:
            if missing(command):
                self.skipTest(missing(command))
            if not os.path.exists(os.path.join(self.bin, command)):
                os.symlink(which(command), os.path.join(self.bin, command))

    def begin(self, name, command, size="80x24", *options):
        self.looop("start-session", name, "--command", command, "--size", size, *options)
        return self.session(name)

    def session(self, name):
        return looop.read_session(self.words, name)

    def screen(self, name):
        return looop.screen_of(self.session(name))

    def attach(self, name, cols=80, rows=24, *options, before=OWN, verb="attach", wait=True, **constants):
        """Attach in a new terminal, and wait until the supervisor knows."""
        terminal = Terminal(cols, rows, before)
        self.addCleanup(terminal.close)
        viewers = self.viewers(name) if wait else 0
        command = self.patched if constants else self.command
        terminal.run(command(verb, name, *options, **constants), self.env, self.home)
        if wait:
            terminal.wait(lambda: self.viewers(name) > viewers, "a viewer")
        return terminal

    def viewers(self, name):
        return looop.ask_session(self.session(name), "status")["viewers"]

    def size(self, name):
        status = looop.ask_session(self.session(name), "status")["status"]
        return status["cols"], status["rows"]

    def typist(self, name, writes=b"", size="80x24", flow="", cut=b""):
        """Start a program that writes this, then `ready`, then `cut`, and notes what is typed."""
        writer = os.path.join(self.home, f"{name}.writes")
        with open(writer, "wb") as file:
            file.write(writes + b"ready" + cut)
        command = f"exec typist {writer} {self.home}/{name}.reads {flow}"
        session = self.begin(name, command, size)
        wait_until(lambda: os.path.exists(os.path.join(self.home, f"{name}.reads")), "the typist")
        self.looop("expect", name, "ready")
        if b"\x1b[18t" in writes:  # its last question
            wait_until(lambda: self.reads(name).endswith(b"t"), "the answers")
            self.answers[name] = self.reads(name)
        return session

    def writes(self, name, data):
        """Have a typist write something more."""
        path = os.path.join(self.home, f"{name}.writes.more")
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.rename(path + ".new", path)

    def reads(self, name):
        with open(os.path.join(self.home, f"{name}.reads"), "rb") as file:
            return file.read()[len(self.answers.get(name, b"")) :]

    def await_reads(self, name, data):
        wait_until(lambda: self.reads(name) == data, f"{data!r}, not {self.reads(name)!r}")

    def same(self, terminal, name):
        """Wait until a terminal shows exactly what the session's screen does, and that does not change."""

        def equal():
            return terminal.picture() == picture(self.screen(name)) and terminal.picture() == picture(self.screen(name))

        try:
            wait_until(equal, "equal pictures")
        except AssertionError:
            want, got = picture(self.screen(name)), terminal.picture()
            self.assertEqual(got[1:], want[1:])
            for row, (one, other) in enumerate(zip(got[0], want[0])):
                self.assertEqual(one, other, f"row {row}")
            raise

    def as_before(self, terminal, code=None):
        """Demand that a program in a terminal has ended and left it as it was, at the start of a line."""
        ended = terminal.end()
        if code is not None:
            self.assertEqual(ended, code, terminal.text())
        state, modes, flags = terminal.first
        with contextlib.suppress(AssertionError):
            wait_until(lambda: terminal.state() == state, "the state", 20)
        self.assertEqual(terminal.state(), state)
        self.assertEqual(termios.tcgetattr(terminal.slave), modes)
        self.assertEqual(terminal.flags(), flags)
        self.assertEqual(terminal.screen.col, 0, terminal.text())
        self.assertEqual(terminal.answered, b"")

    def leave(self, terminal):
        terminal.type(DETACH)
        self.as_before(terminal, 0)
        self.assertIn(LEAVE, terminal.text())


class Tmux:
    """A tmux server of the test's own; one that was ended may still be there when the next one begins."""

    numbers = itertools.count()

    def __init__(self, case):
        self.socket = os.path.join(case.home, f"tmux-{next(self.numbers)}")
        self.env = {**case.env, "TERM": "xterm-256color"}
        self.error = ""  # what it said last of what went wrong
        case.addCleanup(self, "kill-server")

    def __call__(self, *words):
        command = [shutil.which("tmux"), "-S", self.socket, "-f", "/dev/null", *words]
        done = subprocess.run(command, env=self.env, capture_output=True, check=False)
        self.error = done.stderr.decode() or self.error
        return done.stdout.decode()

    def start(self, cols, rows, command):
        self("new-session", "-d", "-x", str(cols), "-y", str(rows), command)

    def text(self):
        return "\n".join(line.rstrip() for line in self("capture-pane", "-p").rstrip("\n").split("\n"))

    def cursor(self):
        return self("display-message", "-p", "#{cursor_y} #{cursor_x}").strip()


def cursor(screen):
    return f"{screen.row} {screen.col}"


def shown(screen):
    return "\n".join(looop.screen_lines(screen)).rstrip("\n")


class Programs(AttachCase):
    """Programs as people use them, attached at one size and then at another, beside tmux."""

    def compare(self, command, ready, stable=lambda text: text, exact=True, keys=()):
        self.have("tmux")
        self.begin("prog", command, "80x24", "--cwd", os.getcwd())
        self.looop("expect", "prog", ready, "--screen", "--timeout", "120s")
        for cols, rows in ((80, 24), (200, 60)):
            tmux = Tmux(self)
            tmux.start(cols, rows, f"exec {command}")
            terminal = self.attach("prog", cols, rows)
            terminal.wait(lambda: self.size("prog") == (cols, rows), "the size")  # noqa: B023
            for key in keys:
                terminal.type(key.encode())
                tmux("send-keys", "-l", key)
            try:
                wait_until(lambda: stable(tmux.text()), "tmux")  # noqa: B023
            except AssertionError as error:
                self.fail(f"{error}: {tmux.error} {tmux.text()!r}")
            try:
                wait_until(lambda: stable(terminal.text().rstrip("\n")) == stable(tmux.text()), "tmux's picture")  # noqa: B023
            except AssertionError:
                self.assertEqual(stable(terminal.text().rstrip("\n")), stable(tmux.text()))
            if exact:
                wait_until(lambda: cursor(terminal.screen) == tmux.cursor(), "tmux's cursor")  # noqa: B023
                self.same(terminal, "prog")
                wait_until(lambda: self.looop("shot", "prog").rstrip("\n") == stable(tmux.text()), "the same shot")  # noqa: B023
            tmux("kill-server")
            self.leave(terminal)

    def text_file(self):
        path = os.path.join(self.home, "text")
        with open(path, "w") as file:
            file.writelines(f"line {n}: {'word ' * (n % 30)}\n" for n in range(1, 200))
        return path

    def test_vim(self):
        self.have("vim")
        command = (
            f"vim -u NONE -i NONE -N -n '+set laststatus=2 ruler cursorline' --cmd 'set shm+=F' {self.text_file()}"
        )
        self.compare(command, "line 1:", keys=("ggjj3w",))

    def test_less(self):
        self.have("less")
        body = self.text_file()

        def stable(text):  # the prompt tells the file's name until it is drawn again
            lines = text.split("\n")
            return "\n".join(lines[:-1]) if "line " in text and len(lines) in (24, 60) else ""

        self.compare(f"less -S {body}", "line 1:", stable, exact=False)

    def test_htop(self):
        self.have("htop")

        def stable(text):
            lines = text.split("\n")
            return [line for line in lines if "Help" in line or ("PID" in line and "USER" in line)]

        self.compare("htop -d 5", "F1", stable, exact=False)


class Bash(AttachCase):
    def test_scrollback_title_and_prompt(self):
        self.begin("sh", "PS1='prompt> ' exec bash --norc --noprofile")
        self.looop("send", "sh", "for n in {1..100}; do echo line $n; done; printf '\\033]2;%s\\007' its-title")
        self.looop("expect", "sh", "line 100")
        terminal = self.attach("sh")
        terminal.wait_text("line 100")
        self.same(terminal, "sh")
        past = ["".join(line.cells).rstrip(" ") for line in terminal.screen.history]
        self.assertIn("line 1", past)
        first = past.index("line 1")
        self.assertEqual(past[first : first + 60], [f"line {n}" for n in range(1, 61)])
        terminal.wait(lambda: terminal.screen.title == "its-title", "its title")
        terminal.type(b"echo a''b\r")
        terminal.wait_text("\nab\n")
        terminal.type(b"\x1b[A\r")
        terminal.wait(lambda: terminal.text().count("\nab\n") == 2, "the history's line, run again")
        self.same(terminal, "sh")
        self.leave(terminal)
        self.assertEqual(terminal.screen.title, "my own title")
        self.assertEqual(terminal.text().rstrip("\n").split("\n")[-1], "[detached from sh]")

    def test_reset_in_the_session_takes_nothing_of_the_person(self):
        session = self.typist("reset", b"\x1b[?1000h\x1b[>1u")
        terminal = self.attach("reset", before=OWN + b"mine\r\n" * 30)
        terminal.wait_text("ready")
        self.writes("reset", b"\x1bcfresh")
        terminal.wait_text("fresh")
        self.same(terminal, session.id)
        self.assertNotIn("?1000", terminal.state()["modes"])
        self.assertIn("mine", "".join(terminal.screen.history[0].cells))
        looop.restart_session(self.words, self.session("reset"))
        terminal.wait_text("ready")
        self.assertIn("?1000", terminal.state()["modes"])
        self.same(terminal, session.id)
        self.leave(terminal)


@heavy
class Afterwards(AttachCase):
    """The terminal is as it was, however it came to an end."""

    def check(self, leave, code=0, cut=b"", size="80x24"):
        self.typist("all", EVERYTHING, size, cut=cut)
        terminal = self.attach("all")
        terminal.wait(lambda: terminal.screen.modify_keys == 2 and terminal.screen.kitty[1], "all modes")
        self.assertNotEqual(terminal.state(), terminal.first[0])
        leave(terminal)
        self.as_before(terminal, code)
        return terminal

    def test_detach_in_one_read(self):
        self.check(lambda terminal: terminal.type(b"x\x1c\x1c"))
        self.await_reads("all", b"x")

    def test_detach_slowly(self):
        def slowly(terminal):
            terminal.type(b"\x1c")
            terminal.wait_read()
            terminal.type(b"\x1c")

        self.check(slowly)
        self.assertEqual(self.reads("all"), b"")

    def test_detach_by_the_verb_while_a_sequence_is_cut(self):
        terminal = self.check(lambda _: self.looop("detach", "all"), cut=b"\x1b]2;a title that has no end")
        self.assertIn(LEAVE, terminal.text())

    def test_cut_control_sequence(self):
        self.check(lambda terminal: terminal.type(DETACH), cut=b"\x1b[?100")

    def test_child_ends(self):
        terminal = self.check(lambda terminal: terminal.type(b"!"), 7)
        self.assertIn("[all has ended: exit 7]", terminal.text())

    def test_child_is_killed(self):
        def kill(_):
            os.kill(looop.ask_session(self.session("all"), "status")["child"], signal.SIGKILL)

        terminal = self.check(kill, 137)
        self.assertIn("[all has ended: killed: signal KILL]", terminal.text())

    def test_supervisor_is_killed(self):
        def kill(_):
            status = looop.ask_session(self.session("all"), "status")
            os.kill(status["pid"], signal.SIGKILL)
            self.addCleanup(wait_until, lambda: not alive(status["child"]), "the child's end")

        self.check(kill, 137)

    def test_signals_to_attach(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number):
                self.check(lambda terminal: terminal.process.send_signal(number), 130)  # noqa: B023
                self.looop("kill", "all")

    def test_another_size(self):
        self.typist("all", EVERYTHING)
        self.looop("resize", "all", "100x30")
        terminal = self.attach("all")
        terminal.wait(lambda: terminal.screen.modify_keys == 2 and terminal.screen.kitty[1], "all modes")
        self.leave(terminal)

    def test_terminal_goes_away(self):
        self.typist("all")
        terminal = self.attach("all")
        terminal.open = False
        terminal.thread.join()
        os.close(terminal.master)
        os.close(terminal.slave)
        terminal.master, terminal.slave = os.openpty()  # for the end of the test
        self.assertNotEqual(terminal.process.wait(120), 0)
        wait_until(lambda: self.viewers("all") == 0, "no viewer")

    def test_a_signal_ends_it_though_the_terminal_takes_nothing(self):
        self.typist("all")
        terminal = self.attach("all")
        terminal.wait_text("ready")
        terminal.paused = True
        self.writes("all", b"0123456789" * 20000 + b"\r\nlast")
        self.looop("expect", "all", "last")
        wait_until(lambda: not select.select([], [terminal.slave], [], 0)[1], "a terminal that is full")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.process.wait(120), 130)
        self.assertEqual((termios.tcgetattr(terminal.slave), terminal.flags()), terminal.first[1:])
        wait_until(lambda: self.viewers("all") == 0, "no viewer")

    def test_whoever_waits_for_a_stopped_supervisor_may_leave(self):
        session = self.typist("all")
        supervisor = looop.supervisor_pid(session)
        os.kill(supervisor, signal.SIGSTOP)
        self.addCleanup(os.kill, supervisor, signal.SIGCONT)
        terminals = [self.attach("all", wait=False) for _ in range(4)]
        leave, interrupt, terminate, stay = terminals
        for terminal in terminals:
            wait_until(lambda: not termios.tcgetattr(terminal.slave)[3] & termios.ICANON, "a raw terminal")  # noqa: B023
        leave.type(DETACH)
        terminate.process.send_signal(signal.SIGTERM)
        stay.type(b"typed early")
        stay.resize(70, 20)
        for _ in range(10):  # a first C-c may be for the session
            interrupt.type(b"\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                interrupt.process.wait(2 * looop.LATE_REPLY)
                break
        for terminal, code in ((leave, 0), (interrupt, 130), (terminate, 130)):
            self.assertEqual(terminal.process.wait(120), code)
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.first[1])
        os.kill(supervisor, signal.SIGCONT)
        self.await_reads("all", b"typed early")
        stay.wait_text("ready")
        stay.wait(lambda: self.size("all") == (70, 20), "its size")
        self.leave(stay)

    def test_non_blocking_stays_what_it_was(self):
        self.typist("all", b"x" * 100000)
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        os.set_blocking(terminal.slave, False)
        terminal.first = (terminal.state(), termios.tcgetattr(terminal.slave), terminal.flags())
        terminal.run(self.command("attach", "all"), self.env, self.home)
        terminal.wait_text("ready")
        terminal.paused = True
        self.writes("all", b"0123456789" * 20000 + b"\r\nlast")
        self.looop("expect", "all", "last")
        terminal.paused = False
        terminal.wait_text("last")
        terminal.type(DETACH)
        self.as_before(terminal, 0)


class Modes(unittest.TestCase):
    """What of a session's output reaches a terminal, however it is cut."""

    def passed(self, data, typing=True, size=None, clipboard=False):
        modes = looop.OutputFilter(typing, clipboard)
        pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
        return modes, b"".join(modes.passed(piece) for piece in pieces)

    def test_cut_anywhere(self):
        whole, out = self.passed(EVERYTHING + b"end")
        for size in (1, 2, 3, 5, 7):
            modes, cut = self.passed(EVERYTHING + b"end", size=size)
            self.assertEqual(cut, out)
            self.assertEqual(modes.extended, whole.extended)
        self.assertEqual(modes.undo(), whole.undo())

    def test_undone(self):
        names = ("modes", "kitty", "modify_keys", "palette", "foreground", "titles", "top", "bottom")
        for end in range(0, len(EVERYTHING) + 1, 3):
            for typing in (True, False):
                terminal = looop.Screen(*looop.terminal_size())
                terminal.feed(OWN + b"\x1b[22;0t")
                fresh = copy.deepcopy([getattr(terminal, name) for name in names])
                modes, out = self.passed(EVERYTHING[:end], typing)
                terminal.feed(out + modes.undo() + b"\x1b[23;0t\x1b[22;0t\x1b[2J\x1b[H")
                self.assertEqual(terminal.replies, [])
                self.assertEqual([getattr(terminal, name) for name in names], fresh, end)
                tabs = {col for col in terminal.tabs if col < terminal.cols}
                self.assertEqual(tabs, set(range(8, terminal.cols, 8)))
                self.assertEqual((terminal.alt, terminal.keypad, terminal.shift), (False, False, 0))
                self.assertEqual((terminal.charsets, terminal.pen.key), (["B", "B"], looop.PLAIN))

    def test_kept_back(self):
        for data in (
            *(b"\x1b[c", b"\x1b[0c", b"\x1b[>c", b"\x1b[=c", b"\x1b[5n", b"\x1b[6n", b"\x1b[?6n", b"\x1b[?996n"),
            *(b"\x1b[?u", b"\x1b[>q", b"\x1b[>0q", b"\x1b[?2026$p", b"\x1b[4$p", b"\x1b[14t", b"\x1b[16t", b"\x1b[18t"),
            *(b"\x1b[x", b"\x1bZ", b"\x05", b"\x1b]10;?\x07", b"\x1b]11;?\x1b\\", b"\x1b]4;1;?\x07", b"\x1bP$qm\x1b\\"),
            *(b"\x1bP+q544e\x1b\\", b"\x1b]52;c;?\x07", b"\x1b_Gi=1,a=q;AAAA\x1b\\", b"\x1b[?4m", b"\xc2\x9b"),
            *(b"\x1b[8;10;10t", b"\x1b[2t", b"\x1b[?9001h", b"\x1b[?2048h", b"\x1b[?3h", b"\x1b[<5u", b"\x1b[2h"),
            *(b"\x1b[\r?1000\n$p", b"\x1b\n[c", b'\x1b[61"p', b"\x1b[?1000s", b"\x1b[?1000r", b"\x1b%@"),
            *(b"\x1b[5i", b"\x1b[4i", b"\x1b[?5i", b"\x1b[1;2'z", b"\x1b[1'{", b"\x1b['w", b"\x1b['|", b"\x1b[1$w"),
            *(b"\x1b[1;1;1;1;2;2*y", b"\x1b]50;a font\x07", b"\x1b]50;#+1\x1b\\", b"\x1b[?1;1;0S", b"\x1b[#R"),
            *(b"\x1b]21;foreground=?\x07", b"\x1b]21;cursor=red;2=?\x1b\\", b"\x1b]99;i=1:p=?;\x1b\\", b"\x1b]60\x07"),
            *(b"\x1b]22;?__current__\x1b\\", b"\x1b]99;i=1:p=alive;\x1b\\", b"\x1b]99;a=focus,report;x\x1b\\"),
            b"\x1b]99;i=1:c=1;x\x1b\\",
            *(b"\x1b]1337;ReportCellSize\x07", b"\x1b]1337;ReportVariable=a\x07", b"\x1b]61;allowWindowOps\x07"),
        ):
            self.assertEqual(self.passed(b"a" + data + b"b")[1], b"ab", data)

    def test_a_flood_that_draws_slowly_does_not_hold_a_viewer_up(self):
        window = looop.Window(120, 40, (80, 24))
        window.feed(b"\x1bc" * 100000)
        begun = time.thread_time()
        with unittest.mock.patch.object(looop, "LAST_TIME", 0.02):
            window.picture(looop.OutputFilter(True))
        self.assertLess(time.thread_time() - begun, 0.5)
        self.assertTrue(window.pending)

    def test_controls_within_a_sequence_are_counted_alike_however_it_is_cut(self):
        for begin in (b"\x1b)", b"\x1b#"):
            data = begin + bytes(9) + b"8"
            whole, split = (looop.OutputFilter(True) for _ in range(2))
            self.assertEqual(b"".join(split.passed(data[at : at + 1]) for at in range(len(data))), whole.passed(data))

    def test_drawing_passes_unlooked(self):
        for final in b"@ABCDEFGHIKLMPSTXZ`abdefmrsu":
            for numbers in (b"", b"2", b"2;3"):
                data = b"\x1b[%s%c" % (numbers, final)
                self.assertEqual(self.passed(data)[1], data)
        for data in (
            b"\x1b7",
            b"\x1b8",
            b"\x1b=",
            b"\x1b>",
            b"\x1bD",
            b"\x1bE",
            b"\x1bM",
            b"\x1b#8",
            b"\x1b(0",
            b"\x1b)B",
            b"\x1b[!p",
        ):
            self.assertEqual(self.passed(data)[1], data)

    def test_nothing_erases_or_fills_the_scrollback(self):
        """ED 3 and what else does; of the screen that ED 2 clears, terminals keep a copy."""
        erase = looop.ERASE_SCREEN
        for data, out in (
            *((b"\x1b[3J", b""), (b"\x1b[03J", b""), (b"\x1b[3;0J", b""), (b"\x1b[\r3J", b""), (b"\x1b[22J", b"")),
            *((b"\x1b[?3J", b""), (b"\x1b[3:1J", b""), (b"\x1b[0;3J", b"\x1b[0J"), (b"\x1b[J", b"\x1b[0J")),
            *((b"\x1b[1J", b"\x1b[1J"), (b"\x1b[2J\x1b[3J\x1b[H", erase + b"\x1b[H"), (b"\x1b[2;3J", erase)),
        ):
            for size in (None, 1, 2, 3):
                self.assertEqual(self.passed(b"a" + data + b"b", size=size)[1], b"a" + out + b"b", data)
        for prepare in (b"", b"\x1b[3;5H", b"\x1b[9;10H", b"\x1b[9;10HX", b"\x1b[2;4r", b"\x1b[?6h\x1b[2;4r"):
            one, other = looop.Screen(10, 9), looop.Screen(10, 9)
            for screen, clear in ((one, b"\x1b[2J"), (other, erase)):
                screen.feed(b"\r\n".join([b"0123456789"] * 9) + b"\x1b[H" + prepare + b"\x1b[41m" + clear + b"Z")
            self.assertEqual(picture(one), picture(other), prepare)
        self.assertNotIn(b"2J", self.passed(b"\x1bc")[1])

    def test_a_number_without_end_is_none(self):
        for data in (b"\x1b[%sJ", b"\x1b[?%sh", b"\x1b]4;%s;red\x07", b"\x1b]%s;red\x07", b"\x1b[22;%st"):
            self.passed(data % (b"1" * 10000))
            self.assertEqual(detach_key((data % (b"9" * 10000),), False), (data % (b"9" * 10000), False))
        for end in (b"u", b"~"):
            self.assertEqual(detach_key((b"\x1b[92;" + b"5" * 9999 + end,), True)[1], False)

    def test_special_colours_are_undone(self):
        modes, out = self.passed(b"\x1b]5;0;red;2;#123456\x07")
        self.assertEqual(out, b"\x1b]5;0;red;2;#123456\x07")
        undo = modes.undo()
        for number in (b"0", b"2"):
            self.assertIn(b"\x1b]105;%s\x1b\\" % number, undo)

    def test_passed_on(self):
        for data in (
            *(b"\x1b[1;2H", b"\x1b[0m", b"\x1b[38;2;1;2;3m", b"\x1b[u", b"\x1b[s", b"\x1b[2;5r", b"\x1b[r", b"\x1b7"),
            *(
                b"\x1b[!p",
                b"\x1b]2;a?b;?\x07",
                b"\x1b]8;;http://x/?\x1b\\",
                b"\x1b(0",
                b"\x1b[4h",
            ),
            *(b"\x1b[?1049h", b"\x1b[?25l", b"\x1b[>4;2m", b"\x1b[>1u", b"\xc3\xa9\xe2\x82\xac"),
            *(b"\x1b]2;back\\\x1b\\", b"\x1b[?2026h", b"\x1b[1J", b"\x1b[5b", b"\x1b[3S", b"\x1b]9;go on?\x07"),
            *(
                b"\x1b]99;i=1;go on?\x1b\\",
                b"\x1b]21;cursor=red\x07",
                b"\x1b]777;notify;a;b?\x07",
            ),
        ):
            self.assertEqual(self.passed(data)[1], data)
        for data in (b"\x1b[?1000h", b"\x1b[?2004h", b"\x1b[>1u", b"\x1b[>4;2m", b"\x1b[?1h"):
            self.assertEqual(self.passed(data, typing=False)[1], b"")
        self.assertEqual(self.passed(b"\x1b[?9;25;1049;8h")[1], b"\x1b[?25h\x1b[?1049h")

    def test_nothing_acts_outside_the_screen(self):
        outside = (
            *(
                b"]52;c;QQ==",
                b"]52;p;QQ==",
                b"]1337;File=name=YQ==:QQ==",
                b"]1337;File=inline=1:QQ==",
                b"]1337;SetMark",
            ),
            *(
                b"]1337;CopyToClipboard=",
                b"]1337;OpenURL=:QQ==",
                b"]1337;CurrentDir=/x",
                b"]7;file://host/x",
                b"]5522;x;y",
            ),
            *(
                b"]9;3;x",
                b"]9;6;macro",
                b"]9;7;cmd",
                b"]9;9;/x",
                b"]46;/etc/log",
                b"]3;PROP=x",
                b"]50;a font",
                b"]633;P;Cwd=/",
            ),
            *(b"]6;1;bg;red;brightness;1", b"]51;A", b"]701;x", b"]30001", b"]66a;x", b"]x", b"]"),
            *(
                b"Ptmux;\x1b\x1b]52;c;QQ==\x07",
                b"P@kitty-cmd{}",
                b"P1000p",
                b"P1;1|17/41",
                b"P+p6b=41",
                b"P1$tx",
                b"P>|x",
            ),
            *(b"_Gf=24,t=f;QQ==", b"_x", b"^x", b"Xx", b"ktitle"),
        )
        for number, body in enumerate(outside):
            for opener in (b"\x1b", b"\x1b\0", b"\x1b\x7f", b"\x1b" + b"\r\n" * 20):
                for end in (b"\x1b\\", b"\x07\x1b\\", b"\x18", b"\x1a", b""):
                    data = b"a" + opener + body + end + b"\x1b[m\x1b[1mb"
                    for size in (None, 1, 2, 3, 7) if HEAVY else (None, (1, 2, 3, 7)[number % 4]):
                        for typing in (True, False):
                            out = self.passed(data, typing, size)[1]
                            sequences = re.findall(rb"\x1b[^\x1b]*", out)
                            shown = [one for one in sequences if one[1:2] not in (b"[", b"\\")]
                            self.assertEqual(shown, [], (data, size, out))
        for body in (b"9;done", b"99;i=1;done", b"777;notify;a;b", b"9;4;1;50"):
            data = b"\x1b]" + body + b"\x07"
            self.assertEqual((self.passed(data)[1], self.passed(data, typing=False)[1]), (data, b""))
        data = b"\x1b]52;c;QQ==\x07"
        for typing, clipboard in ((True, True), (True, False), (False, True)):
            expected = data if typing and clipboard else b""
            self.assertEqual(self.passed(data, typing, clipboard=clipboard)[1], expected)
        self.assertEqual(self.passed(b"\x1b]52;c;?\x07", clipboard=True)[1], b"")

    def test_controls_of_eight_bits(self):
        for opener in ("\x9d", "\x90", "\x9f", "\x9b", "\x9e", "\x98"):
            for raw in (opener.encode(), opener.encode("latin-1")):
                for before in (b"", b"a", "é漢😀".encode()):
                    for size in (None, 1, 2, 3):
                        out = self.passed(before + raw + b"52;c;QQ==\x07 \xe6\xbc\xa2\xf0\x9f\x98\x9d", size=size)[1]
                        self.assertEqual(set(out.decode()) & {opener}, set())
                        self.assertTrue(out.decode().endswith(" 漢😝"))
        title = "\x1b]2;a\x9c\x9d52;c;QQ==\u202eb\u200b\x07"
        self.assertEqual(self.passed(title.encode())[1], b"\x1b]2;a52;c;QQ==b\x07")
        self.assertEqual(self.passed(b"\x1b]2;a\x9db\x07")[1], "\x1b]2;a\ufffdb\x07".encode())

    def test_what_is_dropped_joins_nothing(self):
        for start, rest in (
            (b"\x1b", b"]52;c;QQ==\x07"),
            (b"\x1b[5", b"i"),
            (b"\x1b[", b"c"),
            (b"\x1b[?1", b";2h"),
            (b"\x1b ", b"G"),
        ):
            for between in (
                b"\x1bkx\x1b\\",
                b"\x1b]52;c;" + b"A" * 70000 + b"\x07",
                b"\x1b[c",
                b"\xc2\x9b",
            ):
                for size in (None, 1, 4096):
                    if size == 1 and len(between) > 100:
                        continue
                    out = self.passed(b"a" + start + between + b"\x1b\\" + start + between + rest, size=size)[1]
                    self.assertEqual(re.findall(rb"\x1b[^\\]", out), [], (start, between[:20], out))

    def test_text_is_cut_between_characters(self):
        data = "aé漢😀z".encode()
        for size in (1, 2, 3, 4):
            modes = looop.OutputFilter(True)
            pieces = [modes.passed(data[at : at + size]) for at in range(0, len(data), size)]
            self.assertEqual(b"".join(pieces), data)
            for piece in pieces:
                piece.decode()

    def test_a_string_without_end_is_dropped_in_little_memory(self):
        for opener in (b"\x1b]52;c;", b"\x1bPtmux;", b"\x1b_G", b"\x1bk", b"\x1b]2;"):
            modes, out = looop.OutputFilter(True), b""
            for piece in [opener, *[b"A" * 5000] * 100]:
                out += modes.passed(piece)
                self.assertLess(len(modes._cutter.held), looop.HELD_MAX + 5000)
            self.assertEqual(out, b"")
            self.assertEqual((modes.passed(b"A\x1b"), modes.passed(b"\\b")), (b"", b"b"))
            self.assertEqual(modes.passed(b"c"), b"c")
        modes = looop.OutputFilter(True, clipboard=True)
        for size in (60000, 70000):  # whole, or not at all
            data = b"\x1b]52;c;" + b"A" * size + b"\x07"
            self.assertEqual(modes.passed(data), data if size < looop.HELD_MAX else b"")
            lines = b"\x1b]52;c;" + b"AAAAAAA\n" * (size // 8)
            self.assertEqual(len(modes.passed(lines) + modes.passed(b"\x07")) > 0, size < looop.HELD_MAX)
        modes = looop.OutputFilter(True)
        modes.passed(b"\x1b]52;c;" + b"A" * 100000)
        self.assertEqual(modes.passed(b"QQ\x07b"), b"b")
        modes.passed(b"\x1b]52;c;" + b"A" * 100000)
        modes.undo()
        self.assertEqual(modes.passed(b"fresh"), b"fresh")

    def test_speed(self):
        data = b"\x1b[1;32mword\x1b[0m \x1b[5;10Htext\r\n" * 20000
        modes = looop.OutputFilter(True)
        before = time.process_time()
        self.assertEqual(modes.passed(data), data)
        self.assertLess(time.process_time() - before, 1.0)


class AnotherSize(unittest.TestCase):
    """What a terminal of another size is given, picture by picture."""

    def test_of_a_flood_it_is_given_the_end(self):
        window = looop.Window(80, 24, (40, 10))
        data = b"".join(b"%07d \x1b[3%dmflood\x1b[m\r\n" % (number, number % 8) for number in range(50000)) + b"END"
        begun = time.process_time()
        for place in range(0, len(data), 65536):
            window.feed(data[place : place + 65536])
        terminal = looop.Screen(40, 10)
        with mock.patch.object(looop, "LAST_TIME", PATIENCE):  # it may be that others have the processor meanwhile
            terminal.feed(window.picture(looop.OutputFilter(True)))
        self.assertLess(time.process_time() - begun, 2.5)
        self.assertFalse(window.screen.partial)
        lines = looop.screen_lines(terminal, 1000)
        past, shown = [int(line[:7]) for line in lines[:-10]], [int(line[:7]) for line in lines[-10:-1]]
        self.assertEqual((past, shown), (list(range(48977, 49977)), list(range(49991, 50000))))
        self.assertEqual(lines[-1], "END")

    def test_what_a_flood_left_out_is_asked_for_once_more(self):
        settings = types.SimpleNamespace(setting={"detach_key": "C-] d", "attach_clipboard": False}.get)
        viewer = looop.Attached(settings, None, True)
        viewer.window = looop.Window(80, 24, (40, 10))
        with mock.patch.object(looop, "write_terminal"), mock.patch.object(looop, "REPAINT_EVERY", 0.01):
            for more, asked in (
                (b"\x1b[20HONCE", b""),
                (b"\x1b[3Htext" * 60000, looop.size_frame(*looop.terminal_size())),
            ):
                for place in range(0, len(more), 65536):
                    viewer._show_output(more[place : place + 65536])
                while viewer.loop._timers:
                    viewer.loop.turn()
                self.assertEqual(viewer.outbox, asked)

    def test_gaps_that_a_flood_left_are_told_in_the_title_until_a_whole_picture_comes(self):
        settings = types.SimpleNamespace(setting={"detach_key": "C-] d", "attach_clipboard": False}.get)
        viewer, terminal = looop.Attached(settings, None, True), looop.Screen(*looop.terminal_size())
        terminal.feed(b"\x1b]2;shell\x1b\\\x1b[22;0t")
        size, titles = (terminal.cols, terminal.rows), []
        with mock.patch.object(looop, "write_terminal", terminal.feed), mock.patch.object(looop, "REPAINT_EVERY", 0.01):
            for partial, output in ((True, b"\x1b]2;theirs\x1b\\text"), (False, b"text"), (True, b"\x1b]2;more\x07")):
                viewer._begin(size, partial)
                viewer._show_output(output)
                while viewer.loop._timers:
                    viewer.loop.turn()
                titles.append(terminal.title)
            terminal.feed(b"\x1b[23;0t")
        self.assertEqual(titles, ["theirs (partial)", "shell", "more (partial)"])
        self.assertEqual(terminal.title, "shell")


class DetachKeys(unittest.TestCase):
    r"""C-\ C-\ in all its encodings, split at every point."""

    KITTY = (b"\x1b[92;5u", b"\x1b[92;69u", b"\x1b[92;133u", b"\x1b[92;197:1u", b"\x1b[92;5:2u", b"\x1b[1105::92;5u")
    XTERM = (b"\x1b[27;5;92~",)

    def typed(self, data, cut, extended=True):
        return detach_key((data[:cut], data[cut:]), extended)

    def test_found(self):
        release = b"\x1b[92;5:3u"
        ctrl = b"\x1b[57442;1:3u\x1b[57442;5u"
        for one in (b"\x1c", *self.KITTY, *self.XTERM):
            for data in (one + one, one + release + one, one + release + ctrl + one, b"ab" + one + one):
                for cut in range(len(data) + 1):
                    self.assertEqual(self.typed(data, cut), (data[: data.index(one)], True), (data, cut))
                self.assertTrue(self.typed(one + one, len(one), extended=False)[1])

    def test_not_found(self):
        for one in (b"\x1c", *self.KITTY, *self.XTERM):
            for other in (b"x", b"\x1b", b"\x1b[A", b"\x1b[97;5u", b"\x1b[92;1u", b"\x1b[92;7u", b"\x1b[27;6;92~"):
                data = one + other + one + other
                for cut in range(len(data) + 1):
                    self.assertEqual(self.typed(data, cut), (data, False), (data, cut))

    def test_other_keys(self):
        for keys, spelled in (
            ("C-]", ((b"\x1d",), (b"\x1b[93;5u",), (b"\x1b[27;5;93~",))),
            ("C-a d", ((b"\x01", b"d"), (b"\x1b[97;5u", b"\x1b[100u"), (b"\x1b[27;5;97~", b"d"))),
            ("C-a D", ((b"\x01", b"D"), (b"\x1b[97;5u", b"\x1b[100:68;2u"))),
            ("C-t C-t C-t", ((b"\x14",) * 3, (b"\x1b[116;5u",) * 3)),
        ):
            for data in map(b"".join, spelled):
                for cut in range(len(data) + 1):
                    self.assertEqual(detach_key((b"xd" + data[:cut], data[cut:]), True, keys), (b"xd", True), data)
        self.assertEqual(detach_key((b"\x01", b"x\x01\x01d"), False, "C-a d"), (b"\x01x\x01", True))
        self.assertEqual(detach_key((b"\x01", "é".encode(), b"\x1c\x1cdd"), False, "C-a d")[1], False)
        for keys in ("", "d", "C-", "C-m", "C-[", "C-a C-i", "C-a b c d", "C-é", "C-a dd", "M-a"):
            self.assertRaises(ValueError, looop.detach_keys, keys)

    def test_escape_is_not_held_where_keys_are_bytes(self):
        key = looop.DetachKey()
        for data in (b"\x1b", b"\x1b[", b"\x1bO", b"\x1b[92;5", b"\x1b[1;5"):
            self.assertEqual(key.typed(data), (data, False))


class Keys(AttachCase):
    def test_kitty_child(self):
        self.typist("kitty", b"\x1b[>31u")
        terminal = self.attach("kitty")
        terminal.wait(lambda: terminal.screen.kitty_flags == 31, "the keyboard flags")
        key, release = b"\x1b[92;133u", b"\x1b[92;133:3u"
        terminal.type(key + release + b"\x1b[97;1u")
        self.await_reads("kitty", key + release + b"\x1b[97;1u")
        terminal.type(key + release)
        terminal.wait_read()
        terminal.type(key)
        self.as_before(terminal, 0)
        self.await_reads("kitty", b"\x1b[92;133u\x1b[92;133:3u\x1b[97;1u")

    def test_modify_other_keys_child(self):
        self.typist("mok", b"\x1b[>4;2m")
        terminal = self.attach("mok")
        terminal.wait(lambda: terminal.screen.modify_keys == 2, "modifyOtherKeys")
        terminal.type(b"\x1b")
        self.await_reads("mok", b"\x1b")
        terminal.type(b"\x1b[27;5;92~\x1b[27;5;92~")
        self.as_before(terminal, 0)
        self.assertEqual(self.reads("mok"), b"\x1b")

    def test_bytes(self):
        self.typist("keys", flow="flow")  # output that never pauses holds nothing up
        terminal = self.attach("keys")
        terminal.type(b"\x1cx")
        self.await_reads("keys", b"\x1cx")
        terminal.type(b"\x1c")
        self.await_reads("keys", b"\x1cx\x1c")
        terminal.type(b"\x1b")
        self.await_reads("keys", b"\x1cx\x1c\x1b")
        terminal.type(b"\x03\x1a\x11\x13\x16\x00\xff\r\n")
        self.await_reads("keys", b"\x1cx\x1c\x1b\x03\x1a\x11\x13\x16\x00\xff\r\n")
        self.leave(terminal)

    def test_a_megabyte_pasted(self):
        self.typist("paste", flow="flow")
        terminal = self.attach("paste")
        left_out = b"\x1b\x1c!"  # the last, read alone, would end the typist
        data = bytes(byte for n in range(4096) for byte in range(256) if byte not in left_out) + b"\x1c.end"
        terminal.type(data)
        wait_until(lambda: len(self.reads("paste")) >= len(data), "all of it")
        self.assertTrue(self.reads("paste") == data)
        self.leave(terminal)

    def test_what_was_typed_before_leaving_is_handed_over_or_told(self):
        self.typist("reads")
        terminal = self.attach("reads", LEAVING_TIME=PATIENCE)
        terminal.type(b"x" * 600_000 + b"\x1c\x1c")
        self.as_before(terminal, 0)
        wait_until(lambda: len(self.reads("reads")) == 600_000, "all of it")
        self.begin("deaf", "stty raw -echo; echo READY; sleep 100")
        self.looop("expect", "deaf", "READY")
        terminal = self.attach("deaf")
        terminal.type(b"x" * 1_200_000 + b"\x1c\x1c")
        self.as_before(terminal, 0)
        self.assertRegex(terminal.text(past=True), r"detached from deaf; \d+ bytes that were typed it has not taken")


class Exits(AttachCase):
    def test_child_ends_by_itself(self):
        self.begin("soon", "read x; echo last words; exit 5")
        terminal = self.attach("soon")
        terminal.type(b"\r")
        self.as_before(terminal, 5)
        self.assertRegex(terminal.text(past=True), r"last words\n(.*\n)*\[soon has ended: exit 5\]")

    def test_last_words_at_another_size(self):
        self.begin("soon", "read x; echo last words; exit 0", "70x20")
        self.looop("resize", "soon", "70x20")
        terminal = self.attach("soon")
        terminal.type(b"\r")
        self.as_before(terminal, 0)
        self.assertRegex(terminal.text(past=True), r"last words\n(.*\n)*\[soon has ended: exit 0\]")

    @heavy
    def test_a_slow_terminal_is_shown_the_end(self):
        """It has one second to take what is queued for it; keys after that threw away what it had been sent."""
        self.begin("slow", "read x; seq 1 60000; echo THE END; exit 3")
        for options in ((), ("--read-only",)):
            terminal = self.attach("slow", 80, 24, *options)
            if not options:
                first = terminal
        first.paused = terminal.paused = True
        first.type(b"\r")
        self.looop("wait", "slow", code=3)
        wait_until(lambda: not looop.lock_is_held(self.session("slow").folder + "/lock"), "the supervisor's end")
        first.type(b"more")
        first.paused = terminal.paused = False
        for viewer in (first, terminal):
            self.as_before(viewer, 3)
            self.assertRegex(viewer.text(past=True), r"60000\nTHE END\n(.*\n)*\[slow has ended: exit 3\]")

    def test_how_it_ended_is_known_though_its_folder_is_gone(self):
        session = self.begin("gone", "read x; exit 3")
        terminal = self.attach("gone")
        shutil.rmtree(session.folder)
        terminal.type(b"\r")
        self.as_before(terminal, 3)
        self.assertIn("[gone has ended: exit 3]", terminal.text())

    def test_what_would_show_itself(self):
        for verb in ("watch", "log -f", "attach"):
            name = verb.split()[0]
            self.begin(name, f"{sys.executable} -SI {os.path.abspath(looop.__file__)} {verb} {name}; echo code $?")
            self.looop("expect", name, "code 1")
            self.assertIn(f"{name}: is the session that this runs in: it would show", self.looop("log", name))

    def test_sessions_that_would_show_each_other(self):
        start = " ".join(map(looop.quoted, self.command()))
        for name, shown in (("one", "two"), ("two", "three"), ("three", "")):
            then = f"{start} attach {shown}" if shown else "read x; for verb in attach watch 'log -f'; do"
            then += f" {start} $verb one; echo code $?; done; cat" if not shown else ""
            self.begin(name, f"read x; {then}")
        for name in ("two", "one"):
            self.looop("send", name, "-n", "")
            self.looop("key", name, "Enter")
            wait_until(lambda: self.viewers("three" if name == "two" else "two") == 1, "a viewer")  # noqa: B023
        self.looop("key", "three", "Enter", "Enter")
        self.looop("expect", "three", "(code 1(.|\n)*){3}")
        said = "one: shows the session that this runs in: it would show itself for ever"
        self.assertEqual(" ".join(self.looop("log", "three").split()).count(said), 3)

    def test_refusals(self):
        self.begin("ended", "true")
        self.begin("lives", "sleep 1000")
        self.looop("wait", "ended")
        terminal = self.attach("ended", wait=False)
        self.as_before(terminal, 1)
        self.assertIn("ended: has ended (exit 0)", terminal.text())
        terminal = self.attach("livex", wait=False)
        self.as_before(terminal, 1)
        self.assertIn("livex", terminal.text())
        self.looop("attach", "lives", code=1)
        self.assertIn("must be a terminal", self.stderr)


class ReadOnly(AttachCase):
    def test_nothing_typed_reaches_it(self):
        self.typist("ro", EVERYTHING)
        for verb, options, key in (
            *(("attach", ("--read-only",), b"q"), ("attach", ("--read-only",), b"\x03")),
            *(("watch", (), b"Q"), ("watch", (), DETACH)),
        ):
            with self.subTest(verb=verb, key=key):
                terminal = self.attach("ro", 60, 20, *options, verb=verb)
                terminal.wait(lambda: terminal.screen.title == "theirs", "a picture")  # noqa: B023
                self.assertEqual([m for m in terminal.state()["modes"] if m.startswith(("?100", "?2004"))], [])
                self.assertEqual(terminal.state()["kitty"], terminal.first[0]["kitty"])
                terminal.type(b"typed\r\x1b[A")
                terminal.type(key)
                self.as_before(terminal, 0)
                self.assertEqual((self.reads("ro"), self.size("ro")), (b"", (80, 24)))


class Outside(AttachCase):
    """What a session does to a terminal beside its screen, while somebody looks."""

    def test_the_clipboard_is_the_persons(self):
        clipboard, notice, file = b"\x1b]52;c;QQ==\x07", b"\x1b]9;done\x07", b"\x1b]1337;File=name=YQ==:QQ==\x07"
        self.typist("out")
        for turn, (verb, options, config, expected) in enumerate(
            (
                ("watch", (), {}, []),
                ("attach", ("--read-only",), {"attach": {"clipboard": True}}, []),
                ("attach", (), {}, [notice]),
                ("attach", (), {"attach": {"clipboard": True}}, [clipboard, notice]),
            )
        ):
            self.config(config)
            terminal = self.attach("out", 80, 24, *options, verb=verb)
            end = f"end{turn}"
            self.writes("out", clipboard + file + notice + end.encode())
            terminal.wait(lambda: end.encode() in terminal.received, "the end")  # noqa: B023
            self.assertEqual([one for one in (clipboard, file, notice) if one in terminal.received], expected)
            terminal.type(DETACH if expected else b"q")
            terminal.wait(lambda: terminal.process.poll() is not None, "the end of the visit")  # noqa: B023

    def test_a_terminal_of_another_size_hears_all_of_it(self):
        self.config({"attach": {"clipboard": True}})
        self.typist("out", b"".join(b"line %d\r\n" % n for n in range(40)), "80x24")
        self.looop("resize", "out", "80x24")
        sounds = (
            b"\x07",
            b"\x1b]9;done\x07",
            b"\x1b]777;notify;a;b\x1b\\",
            b"\x1b]99;i=1;c\x1b\\",
            b"\x1b]52;c;QQ==\x07",
        )
        for size in ((60, 20), (90, 30)):
            terminal = self.attach("out", *size)
            terminal.wait_text("ready")
            heard = len(terminal.received)
            self.writes(
                "out", b"\x1b]4;1;red\x07\x1bPx\x1b\\" + b"".join(sounds) + b"\x1b]52;c;?\x07\x1b]7;file:///\x07last"
            )
            terminal.wait_text("last")
            new = terminal.received[heard:]
            for sound in sounds:
                self.assertEqual(new.count(sound), sum(sound in other for other in sounds), sound)
            self.writes("out", b"\r\n" + b"".join(b"more %d\r\n" % n for n in range(30)) + b"ready")
            terminal.wait_text("more 29\nready")
            past = ["".join(line.cells).rstrip() for line in terminal.screen.history]
            for lines in ([f"line {n}" for n in range(40)], [f"more {n}" for n in range(5)]):
                self.assertEqual(past[past.index(lines[0]) :][: len(lines)], lines)
            self.leave(terminal)
            self.writes("out", b"\x1bc" + b"".join(b"line %d\r\n" % n for n in range(40)) + b"ready")
            self.looop("expect", "out", "--screen", "line 39")


@heavy
class Sizes(AttachCase):
    def clipped(self, terminal, name, cols, rows):
        """Wait until a terminal shows as much as it can of a session of another size."""

        def equal():
            lines, (row, col, _), _ = picture(self.screen(name))
            top = max(0, row - rows + 1)
            whole = [text.rstrip() for text, _ in lines[top : top + rows]]
            wanted = [text if len(text) <= cols else text[: cols - 1] + "…" for text in whole]
            got = [line.rstrip() for line in terminal.text().split("\n")[: len(wanted)]]
            at = (row - top, col) == (terminal.screen.row, terminal.screen.col) or col >= cols
            return got == wanted and at

        terminal.wait(equal, "the part that fits")

    def test_who_typed_last_decides(self):
        self.begin("sh", "PS1='$ ' exec bash --norc --noprofile")
        large = self.attach("sh", 100, 30)
        large.type(b"echo {1..60}\r")
        large.wait_text("58 59 60")
        small = self.attach("sh", 60, 15)
        wait_until(lambda: self.size("sh") == (60, 15), "the small one's size")
        self.same(small, "sh")
        self.clipped(large, "sh", 100, 30)
        large.type(b"e")
        wait_until(lambda: self.size("sh") == (100, 30), "the large one's size")
        large.type(b"cho {100..200}\r")
        large.wait_text("198 199")
        self.same(large, "sh")
        self.clipped(small, "sh", 60, 15)
        small.type(b"\r")
        wait_until(lambda: self.size("sh") == (60, 15), "the small one's size again")
        self.leave(small)
        wait_until(lambda: self.size("sh") == (100, 30), "the size of who is left")
        self.same(large, "sh")
        large.resize(90, 25)
        wait_until(lambda: self.size("sh") == (90, 25), "the new size")
        self.same(large, "sh")
        self.looop("resize", "sh", "70x20")
        large.type(b"echo pinned\r")
        large.wait_text("\npinned")
        self.assertEqual(self.size("sh"), (70, 20))
        self.clipped(large, "sh", 90, 25)
        large.resize(70, 20)
        self.same(large, "sh")
        self.leave(large)

    def test_the_watcher_of_another_size(self):
        self.begin("winch", "winch", "100x30")
        terminal = self.attach("winch", 60, 20, "--read-only")
        self.clipped(terminal, "winch", 60, 20)
        self.assertEqual(self.size("winch"), (100, 30))
        terminal.resize(120, 40)
        self.clipped(terminal, "winch", 120, 40)
        terminal.resize(100, 30)
        self.same(terminal, "winch")
        terminal.type(b"q")
        self.as_before(terminal, 0)

    def test_attach_changes_no_size_that_fits(self):
        """A program that redraws at a SIGWINCH may wipe the person's scrollback."""
        self.begin("sizes", f"exec python3 -SI {os.path.join(FAKES, 'winch.py')}")
        self.looop("expect", "sizes", "SIZE 80x24")
        terminal = self.attach("sizes")
        terminal.wait_text("SIZE 80x24")
        terminal.resize(100, 30)
        terminal.wait_text("SIZE 100x30")
        self.assertEqual(self.looop("log", "sizes").split(), ["READY", "SIZE", "80x24", "SIZE", "100x30"])
        self.leave(terminal)

    def test_a_viewer_found_gone_when_output_comes(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.home)  # a supervisor lives in its session's folder
        for last in (True, False):
            session = looop.Session("x", cols=80, rows=24, folder=self.home, log_cap=1 << 20)
            supervisor = looop.Supervisor(session)
            supervisor.prepare()
            sockets = [socket.socketpair() for _ in range(2)]
            for (ours, _), (cols, rows) in zip(sockets[:: 1 if last else -1], ((100, 30), (60, 15))):
                peer = looop.Peer(ours.detach())
                supervisor.peers[peer.fd] = peer
                supervisor._listen_to(peer)
                peer.state = "waiting"
                supervisor._op_attach(peer, {"cols": cols, "rows": rows}, b"")
            if not last:
                supervisor.peers = dict(reversed(supervisor.peers.items()))
            for _, theirs in sockets:
                theirs.settimeout(120)
            stays, gone = (theirs for _, theirs in sockets[:: 1 if last else -1])
            supervisor._output(b"first line\r\n")
            gone.close()
            supervisor._output(b"second line\r\n")
            while supervisor.canvas.pending or len(supervisor.peers) > 1:
                supervisor.step()
            supervisor._output(b"third line\r\n")
            while supervisor.canvas.pending or supervisor.loop.writers:
                supervisor.step()
            seen = None
            for kind, body in looop.Frames().feed(stays.recv(1 << 20).partition(b"\n")[2]):
                if kind == b"z":
                    seen = looop.Screen(int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big"))
                elif kind == b"o":
                    seen.feed(body)
            self.assertEqual(picture(seen), picture(supervisor.canvas.screen))
            self.assertEqual((seen.cols, seen.row), (100, 3))
            stays.close()
            os.close(supervisor.log.fd)
            for fd in supervisor.peers:
                os.close(fd)

    @heavy
    def test_a_viewer_that_is_stopped(self):
        self.typist("flood")
        stopped, other = self.attach("flood"), self.attach("flood")
        stopped.wait_text("ready")
        stopped.process.send_signal(signal.SIGSTOP)
        self.writes("flood", b"\r\n".join(b"%08d" % n + b"x" * 60 for n in range(60000)) + b"\r\nlast\x1b[?1000h")
        other.wait_text("last")
        other.type(b"quick")
        self.await_reads("flood", b"quick")
        stopped.process.send_signal(signal.SIGCONT)
        stopped.wait_text("last")
        self.same(stopped, "flood")
        self.same(other, "flood")
        self.assertIn("?1000", stopped.state()["modes"])
        self.leave(stopped)
        self.leave(other)

    def test_a_stopped_viewer_that_is_told_to_leave(self):
        self.typist("flood")
        terminal = self.attach("flood")
        terminal.wait_text("ready")
        terminal.process.send_signal(signal.SIGSTOP)
        self.looop("detach", "flood")
        self.writes("flood", b"0123456789" * 400000 + b"last")
        self.looop("expect", "flood", "last")
        terminal.process.send_signal(signal.SIGCONT)
        self.as_before(terminal, 0)
        self.assertIn(LEAVE, terminal.text())


class InTmux(AttachCase):
    def test_a_persons_scrollback_stays_as_it_was(self):
        self.have("tmux")
        self.typist("wipes", size="80x23")
        tmux = Tmux(self)
        tmux.start(80, 23, "PS1='p> ' exec bash --norc --noprofile")
        wait_until(lambda: "p>" in tmux.text(), "a prompt")

        def past():
            return tmux("capture-pane", "-J", "-p", "-S", "-", "-E", "-1").split("\n")

        command = " ".join(map(looop.quoted, self.command("attach", "wipes")))
        tmux("send-keys", f"seq 1001 1099; {command}", "Enter")
        wait_until(lambda: "ready" in tmux.text(), "the session")
        mine = [str(number) for number in range(1001, 1100)]
        before = past()
        self.assertEqual(re.findall(r"(1[01]\d\d) *$", "\n".join(before), re.MULTILINE), mine)
        for number, clear in enumerate(
            (b"\x1b[2J\x1b[3J\x1b[H", b"\x1b[H\x1b[2J\x1b[3J", b"\x1b[3J\x1b[H\x1b[2J", b"\x1bc")
        ):
            self.writes("wipes", clear + b"full screen\r\n" * 20 + b"drawn %d" % number)
            wait_until(lambda: f"drawn {number}" in tmux.text(), "a drawing")  # noqa: B023
        for number in range(8):
            tmux("resize-window", "-x", str(81 + number % 2), "-y", "23")
            wait_until(lambda: self.size("wipes")[0] == 81 + number % 2, "the size")  # noqa: B023
            wait_until(lambda: "drawn 3" in tmux.text(), "a fresh picture")
        self.writes("wipes", b"\x1b[H\x1b[2J\x1b[3Jcleared")
        wait_until(lambda: "cleared" in tmux.text(), "the end")
        self.assertEqual(past(), before)
        tmux("send-keys", "C-\\", "C-\\")
        wait_until(lambda: "[detached from wipes]" in tmux.text(), "the end")

    def test_vim(self):
        self.have("tmux", "vim")
        path = os.path.join(self.home, "text")
        with open(path, "w") as file:
            file.writelines(f"line {n}\n" for n in range(1, 200))
        self.begin("vim", f"vim -u NONE -i NONE -N -n '+set mouse=a laststatus=2 ruler' {path}")
        self.looop("expect", "vim", "line 1", "--screen")
        tmux = Tmux(self)
        tmux.start(80, 24, "PS1='p> ' exec bash --norc --noprofile")
        wait_until(lambda: "p>" in tmux.text(), "a prompt")
        start = os.path.join(self.home, "bin", "looop")
        os.unlink(start)
        with open(start, "w") as file:
            file.write(f'#!/bin/sh\nexec {sys.executable} -SI {os.path.abspath(looop.__file__)} "$@"\n')
        os.chmod(start, 0o755)
        tmux("send-keys", "looop attach vim", "Enter")
        for cols, rows in ((80, 24), (100, 35)):
            tmux("resize-window", "-x", str(cols), "-y", str(rows))
            for keys in ("G", "5k"):
                tmux("send-keys", keys)
                wait_until(lambda: self.viewers("vim") == 1, "a viewer")
                height = int(tmux("display-message", "-p", "#{pane_height}"))
                wait_until(lambda: self.size("vim") == (cols, height), "the size")  # noqa: B023
                wait_until(lambda: shown(self.screen("vim")) == tmux.text(), "the same picture")
                wait_until(lambda: cursor(self.screen("vim")) == tmux.cursor(), "the same cursor")
        self.assertEqual(tmux("display-message", "-p", "#{mouse_any_flag}#{alternate_on}"), "11\n")
        tmux("send-keys", "C-\\", "C-\\")
        wait_until(lambda: "[detached from vim]" in tmux.text(), "the end")
        tmux("send-keys", "echo o''k", "Enter")
        wait_until(lambda: "\nok\np>" in tmux.text(), "a shell that works")
        flags = ("mouse_any", "cursor", "insert", "keypad", "keypad_cursor", "wrap")
        self.assertEqual(
            tmux("display-message", "-p", " ".join(f"#{{{flag}_flag}}" for flag in flags)), "0 1 0 0 0 1\n"
        )
        self.assertEqual(tmux("display-message", "-p", "#{alternate_on}"), "0\n")


if __name__ == "__main__":
    unittest.main()
