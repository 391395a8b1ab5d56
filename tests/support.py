"""What the tests share: a home of their own, a looop to run in it, and waiting with a deadline."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import functools
import io
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
import unittest.mock

from tests import NOON
from tests.starts import at_end, starter

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CAPTURED = os.path.join(HERE, "captured")
FAKES = os.path.join(HERE, "fakes")

sys.path.insert(0, ROOT)

for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):  # nohup, and shells that start jobs, have them ignored
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

os.umask(0o022)  # others cannot write into what a test makes

# What a test's PATH may hold. No LLM command line is ever among it.
COMMANDS = """
    bash sh env cat date sleep printf echo head tail grep sed tr wc mkdir rm mv cp ls chmod touch true false yes nohup
    id dd seq setsid stty kill ln sort cut basename dirname uname ps
""".split()

ARCHIVE = os.environ.get("LOOOP_TEST_ARCHIVE", "none")  # the built file that is tested; "none": the source
ARCHIVE = "" if ARCHIVE == "none" else ARCHIVE
LONG_AGO = 10**9  # the time of what is not to change
STARTS = os.environ.get("LOOOP_TEST_STARTS", "")  # "real", or modules: each of their verbs is a start: tests/starts.py
# Verbs that may run in the process of a test, but for the words with which they go on or pass bytes through.
CALLED = """
    answer asks check claim claims config cost detach expect goal goals kill key log ls pause prune reject report
    resize restart resume send shot start-session status test unclaim unflag version wait wait-idle why
""".split()
LASTING = {"--wait", "-w", "-f", "--follow", "--rows", "--raw", "-"}
START = "import sys; sys.path.insert(0, {!r}); import looop; looop.__file__ = {!r}; sys.exit(looop.main())"


def figure(name, number):
    """Give a figure to whoever collects them (LOOOP_FIGURES, a file); those of one name are added up.

    A name that begins with "most" keeps its largest.
    """
    if os.environ.get("LOOOP_FIGURES"):
        with open(os.environ["LOOOP_FIGURES"], "a") as file:
            file.write(json.dumps([name, number]) + "\n")


which = functools.lru_cache(maxsize=None)(shutil.which)


@functools.cache
def syntax():
    """Return the syntax tree of looop.py, which nobody changes: to parse it takes a second."""
    with open(os.path.join(ROOT, "looop.py"), encoding="utf-8") as file:
        return ast.parse(file.read())


@functools.cache
def nodes():
    """Return all nodes of it, in the order of `ast.walk`, which takes a third of a second."""
    return tuple(ast.walk(syntax()))


def forget():
    """Let go of the tree: with it a process is 140 MB larger, and each fork of it takes thirty times as long."""
    nodes.cache_clear()
    syntax.cache_clear()


LONG = os.environ.get("LOOOP_LONG") == "1"  # every test whole: half an hour
LINUX = sys.platform.startswith("linux")
USER = os.geteuid()  # as one test lies about it
PATIENCE = (
    120.0  # seconds that are waited for what must come: a busy machine may take long, and who waits loses nothing
)

# What skips a test or a class of tests, with the reason. A whole run prints each reason once.
HEAVY = bool(os.environ.get("LOOOP_LONG"))  # "heavy", or "1"
longest = unittest.skipUnless(LONG, "LOOOP_LONG=1 runs it")
heavy = unittest.skipUnless(HEAVY, "LOOOP_LONG=heavy runs it, and so does LOOOP_LONG=1")
needs_linux = unittest.skipUnless(LINUX, "Linux alone has what it looks at")
needs_proc = unittest.skipUnless(os.path.isdir("/proc/self"), "it looks for processes in /proc")
needs_name = unittest.skipUnless(
    any(row.pw_uid == USER for row in pwd.getpwall()), "the system has no name for this user"
)
needs_root = unittest.skipUnless(USER == 0, "root alone can do it")


def missing(*commands):
    """Return why a test that runs these commands cannot, "" when it can."""
    return next((f"{command} is not on PATH" for command in commands if not which(command)), "")


def needs(*commands):
    """Skip a test or a class of tests where one of these commands is not on the PATH."""
    reason = missing(*commands)
    return unittest.skipIf(reason, reason)


@functools.lru_cache(maxsize=1)
def unconfined():
    """Return why nothing confines a command on this machine, "" where something does."""
    import looop

    walls = looop.measure_walls(dict(os.environ))
    return "" if walls.confines else f"nothing confines a command here: {walls.why}"


def needs_walls(test):
    """Skip a test where nothing confines a command."""

    @functools.wraps(test)
    def run(self, *args):
        if unconfined():
            self.skipTest(unconfined())
        test(self, *args)

    return run


def completing(kind):
    """Return the words after which something of a kind is completed, the last one empty, and what else is offered."""
    import looop

    for verb in looop.all_verbs():
        for place, argument in enumerate(verb.args):
            if argument.kind == kind:
                actions = () if place or " " in verb.name else looop.next_words([verb.name])
                return [*verb.name.split(), *["x"] * place, ""], {*argument.choices, *actions}
    raise LookupError(kind)


def wait_until(condition, what, timeout=PATIENCE):
    """Wait for a condition; fail, saying what was waited for, when it does not come."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout} s in vain for {what}")


def patient(words):
    """Have a verb that waits do so for as long as a test waits, instead of for 30 s, where it names no time."""
    if words and words[0] in ("expect", "wait-idle") and "--timeout" not in words:
        return words[0], "--timeout", f"{PATIENCE:.0f}s", *words[1:]
    return words


def remove(folder, patience=PATIENCE):
    """Remove a folder; what still writes into it, as it ends, has a while to do so."""
    deadline = time.monotonic() + patience
    while os.path.lexists(folder):
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)
        time.sleep(0.02 if os.path.lexists(folder) else 0)


def kill_all(pids):
    """Kill processes, each of which may have ended by itself since it was seen."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def alive(pid):
    """Tell whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return True


def start_ticks(pid):
    """Return when a process began, in clock ticks since boot (proc(5)); 0 when it is gone, or has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except OSError:
        return 0


BEGUN = start_ticks(os.getpid())  # nothing that is older has to do with the tests


def processes_with(word):
    """Return the pids of processes that have a word in their environment, command line, folder or files (Linux).

    A verb that a starter has forked has the starter's environment and command line, and a folder and files of its own.
    """
    names = os.listdir("/proc") if os.path.isdir("/proc") else ()
    pids = [int(name) for name in names if name.isdigit() and int(name) != os.getpid()]
    young = [pid for pid in pids if start_ticks(pid) >= BEGUN]
    return [pid for pid in young if any(word.encode() in text for text in traits(pid)) and alive(pid)]


def traits(pid):
    """Yield what tells whose a process is, as long as it is there."""
    with contextlib.suppress(OSError):
        for part in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{part}", "rb") as file:
                text = file.read()
            if not text and part == "cmdline":
                return  # it belongs to the kernel, or has ended
            yield text
            if part == "environ" and b"/looop-test-" in text:
                return  # it names its test
        for link in ("cwd", *(f"fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd"))):
            with contextlib.suppress(FileNotFoundError):  # it has closed that one
                yield os.fsencode(os.readlink(f"/proc/{pid}/{link}"))


END = b"\0"  # what no program here writes at its end


class Terminal:
    """Be a person's terminal: a PTY whose output is drawn on a screen, and which answers what it is asked.

    `before`: what was done to it before anything runs in it.
    """

    def __init__(self, cols, rows, before=b""):
        import looop

        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)  # who answers and is not read must go on reading
        looop.set_terminal_size(self.slave, cols, rows)
        self.screen = looop.Screen(cols, rows)
        self.screen.feed(before)
        self.received = b""
        self.answered = b""  # what it was asked, and answered
        self.paused = False  # it reads nothing
        self.process = None
        self.lock = threading.Lock()
        self.open = True
        self.ending = False  # only END is to come
        self.first = (self.state(), termios.tcgetattr(self.slave), self.flags())
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        pending = b""  # answers that were not taken yet
        while self.open:
            if pending:
                pending = pending[self._write(pending) :]
            if self.paused or not select.select([self.master], [], [], 0.02)[0]:
                time.sleep(0.005 if self.paused else 0)
                continue
            with self.lock:
                data = os.read(self.master, 65536)
                if self.ending and END in data:
                    data, self.ending = b"".join(data.rsplit(END, 1)), False
                self.received += data
                self.screen.feed(data)
                replies, self.screen.replies = b"".join(self.screen.replies), []
            if replies:
                self.answered += replies
                pending += replies

    def _write(self, data):
        """Type as much as is taken now; return how much that is."""
        try:
            return os.write(self.master, data[:1024])
        except BlockingIOError:
            return 0

    def run(self, command, env, cwd):
        """Run a command in it, as the foreground of a session of its own."""
        self.process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        return self

    def type(self, data):
        """Type; what the terminal does not take at once is typed as it does."""
        view, deadline = memoryview(data), time.monotonic() + PATIENCE
        while view:
            select.select([], [self.master], [], 0.1)
            taken = self._write(view)
            deadline = time.monotonic() + PATIENCE if taken else deadline
            if time.monotonic() > deadline:
                raise AssertionError("what is typed is not read")
            view = view[taken:]

    def wait_read(self):
        """Wait until all that was typed has been read."""
        wait_until(lambda: not select.select([self.slave], [], [], 0)[0], "that it is read")

    def resize(self, cols, rows):
        import looop

        with self.lock:
            self.screen.resize(cols, rows)
        looop.set_terminal_size(self.slave, cols, rows)

    def picture(self):
        """Return all that is to be seen."""
        with self.lock:
            return picture(self.screen)

    def text(self, past=False):
        """Return the lines that are to be seen, after those that have scrolled away."""
        import looop

        with self.lock:
            return "\n".join(looop.screen_lines(self.screen, len(self.screen.history) if past else 0))

    def state(self):
        """Return what lasts of a terminal's state, but for its text and where its cursor is."""
        screen = self.screen
        with self.lock:
            names = "alt kitty modify_keys keypad cursor_style visible charsets shift palette foreground"
            names += " background title titles"
            state = {name: repr(getattr(screen, name)) for name in names.split()}
            state["tabs"] = {col for col in screen.tabs if col < screen.cols} == set(range(8, screen.cols, 8))
            state["margins"] = screen.top, screen.rows - screen.bottom
            return {**state, "modes": sorted(screen.modes), "pen": screen.pen.key}

    def flags(self):
        return fcntl.fcntl(self.slave, fcntl.F_GETFL)

    def wait(self, condition, what, timeout=PATIENCE):
        try:
            return wait_until(condition, what, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}") from None

    def wait_text(self, text):
        self.wait(lambda: text in self.text(), repr(text))

    def end(self):
        """Wait until what runs in it has ended, and all that it wrote is drawn; return its exit code."""
        code = self.process.wait(120)
        self.ending = True
        os.write(self.slave, END)  # a terminal hands on in order, but not at once
        wait_until(lambda: not self.ending, "the rest of the output")
        with self.lock:
            return code

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        if self.process:
            self.process.wait()
        self.open = False
        self.thread.join()
        os.close(self.master)
        os.close(self.slave)


def picture(screen):
    """Return all that is to be seen on a screen."""
    lines = [("".join(line.chars), [style.key for style in line.styles]) for line in screen.lines]
    return lines, (screen.row, screen.col, screen.visible), screen.alt


def detach_key(pieces, extended, keys="C-\\ C-\\"):
    """Return (what passed, whether to detach) when a viewer types pieces."""
    import looop

    key, out = looop.DetachKey(keys), b""
    key.extended = extended
    for piece in pieces:
        passed, leave = key.typed(piece)
        out += passed
        if leave:
            return out, True
    return out + key.release(), False


class Farm:
    """Lend one test after the other the folder that is its PATH: to make forty links anew takes longer than many tests.

    A test may do with it what it likes. What is not as it was when it comes back is thrown away.
    """

    def __init__(self, git):
        self.commands = [*COMMANDS, *(["git"] if git else [])]
        self.folder = ""  # where it is while nobody has it
        self.marks = ()

    def lend(self, path):
        """Put it, whole, in a place."""
        if self.folder:
            os.rename(os.path.join(self.folder, "bin"), path)
            return
        self.folder = tempfile.mkdtemp(prefix="looop-test-farm-")
        self.make(path)

    def make(self, path):
        os.mkdir(path)
        for command in self.commands:
            found = which(command)
            if found:
                os.symlink(found, os.path.join(path, command))
        os.symlink(sys.executable, os.path.join(path, "python3"))
        launcher = os.path.join(path, "looop-here")
        if ARCHIVE:
            shutil.copy(ARCHIVE, launcher)
        else:
            with open(launcher, "w") as file:
                code = START.replace("{!r}", repr(ROOT), 1).replace("{!r}", "__file__").replace("; ", "\n")
                file.write(f"#!{sys.executable} -SI\n{code}\n")
        os.chmod(launcher, 0o700)
        os.symlink("looop-here", os.path.join(path, "looop"))  # what advice names
        os.utime(launcher, (LONG_AGO, LONG_AGO))
        os.utime(path, (LONG_AGO, LONG_AGO))  # any change of what is in it will show, however soon it comes
        self.marks = self.looks(path)

    def looks(self, path):
        """Return what shows a change of a folder: of its names, its mode, or of the one file in it that is no link."""
        files = [os.lstat(name) for name in (path, os.path.join(path, "looop-here"))]
        return [(file.st_ino, file.st_mode, file.st_uid, file.st_mtime_ns, file.st_size) for file in files]

    def take_back(self, path):
        try:
            changed = self.looks(path) != self.marks
        except OSError:
            changed = True
        if changed:
            shutil.rmtree(path, ignore_errors=True)
            self.make(os.path.join(self.folder, "bin"))
        else:
            os.rename(path, os.path.join(self.folder, "bin"))


@functools.cache
def farm_of(pid, git):
    """Return the farm of this process, with git or without."""
    farm = Farm(git)
    at_end(lambda: shutil.rmtree(farm.folder, ignore_errors=True))
    return farm


class Case(unittest.TestCase):
    """A test with a HOME, a PATH and a data dir of its own."""

    git = False  # whether git is on its PATH; it is skipped where there is none
    named = True  # whether `looop` on the PATH is the looop that is tested, so that advice is `looop …`
    drifting = False  # whether the test changes capsules on purpose
    many = False  # whether the test makes so many beats that a fork will do always
    starts = False  # whether each verb starts a Python for itself, where a fork of a starter would do: tests/starts.py

    def tearDown(self):
        """Replay every capsule that the test made: none may drift."""
        import looop

        looop.heed_name("looop")  # a verb that ran in this process has noted how it was called
        profile = looop.open_profile(self.env, os.path.join(ROOT, "looop.py"))
        if self.drifting or not os.path.isdir(self.path("runs")) or os.stat(self.data).st_uid != os.geteuid():
            return
        files = ("wake.json", "result.json")
        whole = [r for r in self.runs() if all(os.path.exists(self.path("runs", r, name)) for name in files)]
        for run in whole:
            self.assertEqual(looop.replay_drift(looop.Run(profile, run)), [], run)
        figure("capsules replayed without drift", len(whole))

    gate = {}  # of the config, as `runner` writes it; {"shell": "never"}: shell moves run as they are

    def setUp(self):
        if self.git and missing("git"):
            self.skipTest(missing("git"))
        self.home = os.path.realpath(tempfile.mkdtemp(prefix="looop-test-"))
        self.addCleanup(remove, self.home)
        self.addCleanup(self.end_rest)
        self.data = os.path.join(self.home, "data")
        self.bin = os.path.join(self.home, "bin")
        farm = farm_of(os.getpid(), self.git)
        farm.lend(self.bin)
        if not self.named:
            os.unlink(os.path.join(self.bin, "looop"))
        self.addCleanup(farm.take_back, self.bin)
        self.addCleanup(self.end_sessions)
        self.interpreter = os.path.join(self.bin, "python3") if ARCHIVE else sys.executable  # what looop runs in
        self.launcher = os.path.join(self.bin, "looop-here")  # what children are given: the same, as one executable
        self.env = {
            "HOME": self.home,
            "PATH": self.bin,
            "LOOOP_DATA_DIR": self.data,
            "HOMEBREW_PREFIX": os.path.join(self.home, "homebrew"),  # not there: no program of this machine is found
            "LC_ALL": "C.UTF-8",
            "TZ": NOON,
            "LOOOP_MAX_DECIDES_PER_HOUR": "1000",
        }

    def end_sessions(self):
        """End every session that the test has left, and wait until no process of it is there."""
        import looop

        stores = [folder for folder, names, _ in os.walk(self.home) if "sessions" in names]
        for data in stores:
            profile = looop.open_profile({**self.env, "LOOOP_DATA_DIR": data}, os.path.join(ROOT, "looop.py"))
            for session in looop.list_sessions(profile):
                if session.alive:
                    looop.kill_session(session)
        if not stores:
            return
        wait_until(lambda: not processes_with(self.home), "the end of every process of the test")

    def end_rest(self):
        """End what a test that failed has left running: it would write into its home while that is removed."""
        if not self._outcome.success:
            kill_all(processes_with(self.home))

    # --- running it

    def command(self, *words):
        """Return the command line of a looop: the module with its bytecode, without site-packages, or the archive."""
        if ARCHIVE:
            return [self.launcher, *words]
        return [sys.executable, "-SI", "-c", START.format(ROOT, self.launcher), *words]

    def patched(self, *words, **constants):
        """Return the command line of a looop, from its source, in which some constants are others: its patience."""
        others = "".join(f"looop.{name} = {value!r}; " for name, value in constants.items())
        return [
            sys.executable,
            "-SI",
            "-c",
            START.format(ROOT, self.launcher).replace("sys.exit", others + "sys.exit"),
            *words,
        ]

    def start(self, *words, env=None, constants=None, **options):
        """Start a looop and return its process, ended with the test; `constants`: as `patched` has them."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        env = {**self.env, **(env or {})}
        if constants:
            command = self.patched(*words, **constants)
            process = subprocess.Popen(command, env=env, **{"cwd": self.home, **options})
        elif self.may_fork(env, options):
            process = starter(ARCHIVE, ROOT).start(words, self.launcher, self.interpreter, env, self.home, **options)
        else:
            process = subprocess.Popen(self.command(*words), env=env, **{"cwd": self.home, **options})

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

        self.addCleanup(end)
        return process

    def show(self, terminal, *words, env):
        """Have a verb that only looks write to a terminal, which is not its controlling one; return its exit code."""
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
        terminal.process = self.start(*words, env=env, start_new_session=True, **streams)
        return terminal.end()

    def may_fork(self, env, options):
        """Tell whether a starter's child is what a start would make: the same Python, found the same way."""
        real = self.starts or (STARTS == "real" and not self.many) or type(self).__module__ in STARTS.split(",")
        plain = not real and type(self).command is Case.command
        plain = plain and set(options) <= {"stdin", "stdout", "stderr", "start_new_session"}
        if not plain or env.get("PATH") != self.bin or env.get("LC_ALL") != "C.UTF-8":
            return False
        python = os.path.join(self.bin, "python3")
        if not os.path.islink(python) or os.readlink(python) != sys.executable:
            return False
        return os.path.exists(self.launcher) and os.stat(self.launcher).st_mtime == LONG_AGO  # it is the one it was

    def may_call(self, words, env):
        """Tell whether a verb can as well run in this process: a fork costs ten times what most of them do.

        Where `may_fork` says that it is to be a start, a start it is.
        """
        if not words or words[0] not in CALLED or LASTING & set(words):
            return False
        if words[0] in ("start-session", "restart") and threading.active_count() > 1:
            return False  # it forks
        return env.get("TZ") == NOON and self.may_fork(env, {})

    def run_here(self, words, env):
        """Run a verb in this process, as a start would; return its stdout and stderr, and leave its code."""
        import looop

        out, err, file, cwd = io.StringIO(), io.StringIO(), looop.__file__, os.open(".", os.O_RDONLY)
        try:
            os.chdir(self.home)
            looop.__file__ = self.launcher
            argv = [self.launcher, *map(str, words)]
            with open(os.devnull) as nothing, unittest.mock.patch.multiple(sys, stdin=nothing, argv=argv):
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    self.code = looop.guarded({"PWD": self.home, **env}, argv[1:])
        finally:
            looop.__file__ = file
            looop.heed_name("looop")
            looop.heed_columns({})
            os.fchdir(cwd)
            os.close(cwd)
        return [stream.getvalue().encode("utf-8", "backslashreplace").decode() for stream in (out, err)]

    def looop(self, *words, code=0, env=None, stdin=None, timeout=PATIENCE, **options):
        """Run a looop to its end, demand its exit code, and return its stdout; stderr is left in `self.stderr`."""
        whole, words = {**self.env, **(env or {})}, patient(words)
        if stdin is None and not options and self.may_call(words, whole):
            out, err = self.run_here(words, whole)
        else:
            process = self.start(*words, env=env, stdin=subprocess.PIPE, **options)
            out, err = (said.decode() for said in process.communicate(stdin or b"", timeout))
            self.code = process.returncode
        self.stderr = err
        self.assertNotIn("Traceback", err)
        if code is not None:
            self.assertEqual(self.code, code, f"{words}: {out}\n{err}")
        return out

    def doctor(self, *words, **options):
        """Run the doctor beside a pulse: else it starts itself once more as cron would, by another Python perhaps."""
        import looop

        with looop.Lock(self.path(".lock")) as lock:
            self.assertTrue(lock.acquire(PATIENCE, "up", pid=os.getpid()))
            return self.looop("doctor", *words, **options)

    def tick(self, code=None, **options):
        """Run a beat and return its outcome as `tick --json` says it."""
        words = options.pop("words", ("tick",))
        out = self.looop(*words, "--json", code=None, **options)
        self.assertTrue(out, self.stderr)
        out = json.loads(out)
        self.assertEqual(
            self.code, (1 if out["outcome"] == "failed" else 0) if code is None else code, (out, self.stderr)
        )
        return out

    _beats = 0  # that `beat` has made

    def beat(self, reply=None, **options):
        """Change the world, a goal, and run a beat, with a reply."""
        if reply is not None:
            self.replies(reply)
        self._beats += 1
        self.write("goals/a.md", f"{self._beats}\n")
        return self.tick(**options)

    def digest(self, number):
        """Return the digest of a proposal, "none" where it has none."""
        asks = json.loads(self.looop("asks", "--json"))
        return next((ask["digest"] for ask in asks if ask["n"] == int(number)), None) or "none"

    def approve(self, number, *words, **options):
        """Approve a proposal by the digest that it has now."""
        return self.looop("approve", str(number), self.digest(number), *words, **options)

    # --- the profile

    def path(self, *parts):
        return os.path.join(self.data, *parts)

    def notified(self):
        """Return what a `notify` command has put into the home's file `told`, "" for nothing."""
        path = os.path.join(self.home, "told")
        if not os.path.exists(path):
            return ""
        with open(path) as file:
            return file.read()

    def profile(self, sensors=None, goals=None, playbook="# PLAYBOOK\n", config=None):
        """Make a data dir that is not fresh: no seeds, only what the test gives."""
        for folder in ("goals", "sensors"):
            os.makedirs(self.path(folder), mode=0o700, exist_ok=True)
        os.chmod(self.data, 0o700)
        self.write("PLAYBOOK.md", playbook)
        for name, body in (goals or {}).items():
            self.write(f"goals/{name}.md", body)
        for name, body in (sensors or {}).items():
            self.sensor(name, body)
        if config is not None:
            self.config(config)

    def sensor(self, name, body):
        if not body.startswith("#!"):
            body = "#!/usr/bin/env bash\n" + body
        self.write(f"sensors/{name}.sh", body, 0o700)

    def config(self, config):
        os.makedirs(os.path.join(self.home, ".config"), exist_ok=True)
        path = os.path.join(self.home, ".config", "looop.json")
        with open(path, "w") as file:
            file.write(config if isinstance(config, str) else json.dumps(config))
        os.chmod(path, 0o600)

    def runner(self, command, mode="typed", unmetered=True, output="", interactive="", **more):
        """Make a command line the runner of this profile; its calls cost nothing unless they say so.

        `output`: whose output it prints; `interactive`: the command of its workers.
        """
        runner = {"mode": mode, "tick": command, "unmetered": unmetered, "output": output, "interactive": interactive}
        runner = {key: value for key, value in runner.items() if value != ""}
        self.config({"default": "fake", "runners": {"fake": runner}, "gate": self.gate, **more})

    def replies(self, reply, **fields):
        """Make a runner that answers with a text, or with the JSON of an object, whatever it is asked."""
        path = os.path.join(self.home, "reply")
        with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(reply if isinstance(reply, str) else json.dumps(reply))
        self.runner(f"cat >/dev/null; cat {path}", **fields)

    def write(self, name, body, mode=0o600):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(body if isinstance(body, bytes) else body.encode())
        os.chmod(path, mode)
        return path

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read().decode()

    def json(self, *parts):
        return json.loads(self.read(*parts))

    def journal(self):
        return self.read("journal.md").splitlines() if os.path.exists(self.path("journal.md")) else []

    def whole_rows(self, name):
        """Return the rows of a log; the one that somebody writes at this moment is not there yet."""
        lines = self.read(name).split("\n")[:-1] if os.path.exists(self.path(name)) else ()
        return [json.loads(line) for line in lines if line]

    def ledger(self):
        return self.whole_rows("cost.jsonl")

    def events(self, name=None):
        return [event for event in self.whole_rows("events.jsonl") if name in (None, event["event"])]

    def runs(self):
        """Return the capsules in the order in which they were made; the names of one second tell no order."""
        folder = self.path("runs")
        return sorted(os.listdir(folder), key=lambda name: (name[:-5], os.stat(f"{folder}/{name}").st_mtime_ns))

    def prompt(self, run=None):
        return self.read("runs", run or self.events("decide_start")[-1]["run"], "prompt.md")

    def tree(self, leave=()):
        """Return every file below the data dir with its content, but for names that begin like one of `leave`."""
        found = {}
        for folder, _, names in os.walk(self.data):
            for name in names:
                path = os.path.join(folder, name)
                short = os.path.relpath(path, self.data)
                if not short.startswith(tuple(leave)):
                    with open(path, "rb") as file:
                        found[short] = file.read()
        return found

    def terminate(self, process):
        process.send_signal(signal.SIGTERM)
        return process.wait(120)
