"""Start verbs of looop without starting a Python for each.

Most of what a verb costs here is the start of an interpreter and of looop in it, and most tests are about neither. So
each process that runs tests keeps one *starter*: a fresh `python3 -SI` that has done what a start of the built file (or
of the source) does up to the call of `main`, and waits there. For each verb it forks a child, which becomes what a
start would have made (`become`), calls `main` and leaves as the built file leaves. The starter itself runs no verb, has
no thread, and nothing but a socket open.

    tests ── request, stdin, stdout, stderr, report ──▶ starter ── fork ──▶ verb
      ▲                                                    │ reaps it
      └──────────── report: pid, then wait status ─────────┘

What differs from a start: its parent is the starter; /proc/PID/environ and cmdline are the starter's (`processes_with`
looks at what it has open, too); all of looop is loaded, and what it imports; the verbs of one starter share a seed of
hashes. What is about such things, or about starting as such, starts for real: a class of tests says `starts = True`.
LOOOP_TEST_STARTS=real has all of them do so, LOOOP_TEST_STARTS=tests.test_cli,tests.test_story those of two modules.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import socket
import struct
import sys
import time

SIZE, TOLD = struct.Struct("=I"), struct.Struct("=q")
LOADED = """
    bisect decimal difflib errno fcntl hashlib json math plistlib pwd re select shlex shutil signal socket subprocess
    tempfile termios textwrap traceback unicodedata
""".split()
MAIN = "status = looop.main()\n"
PATIENCE = 10.0  # seconds for verbs that outlive who started them, so that what they cost is counted


# --- the tests' side


kept = []  # (pid, what that process does at its end)


def at_end(call):
    """Do something when this process has run its tests; what it has forked does it not."""
    if not kept:
        import atexit

        atexit.register(tidy)
    kept.append((os.getpid(), call))


def tidy():
    """Give up what this process keeps from one test to the next."""
    while kept:
        pid, call = kept.pop()
        if pid == os.getpid():
            call()


starters = {}  # by process, and what they start


def starter(archive, root):
    """Return the starter of this process, for the built file `archive`, or the source ("")."""
    key = os.getpid(), archive, root
    if key not in starters:
        starters[key] = Starter(archive, root)
        at_end(end_starters)
    return starters[key]


def starter_pids():
    """Return the pids of the starters of this process."""
    return [starters[key].process.pid for key in starters if key[0] == os.getpid()]


def end_starters():
    """Leave this process without a starter, that is to say without a child, until it needs one again."""
    for key in [key for key in starters if key[0] == os.getpid()]:
        starters.pop(key).close()


class Starter:
    """Hold the process that forks verbs. It ends when this one does."""

    def __init__(self, archive, root):
        import subprocess
        import threading

        self.lock = threading.Lock()
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-SI", os.path.abspath(__file__), str(theirs.fileno()), archive, root],
                env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, words, program, interpreter, env, cwd, stdin, stdout, stderr, start_new_session=False):
        """Start a verb and return it."""
        os.umask(umask := os.umask(0o077))
        env = {os.fsdecode(name): os.fsdecode(value) for name, value in env.items()}
        request = [[program, *map(os.fsdecode, words)], interpreter, env, cwd, umask, start_new_session]
        return Verb(self, words, marshal.dumps(request), (stdin, stdout, stderr))

    def ask(self, request, fds):
        """Have a verb started: it gets the first three descriptors, and the fourth tells of it."""
        with self.lock:
            socket.send_fds(self.socket, [SIZE.pack(len(request))], fds)
            self.socket.sendall(request)

    def close(self):
        """End it; it waits a while for the verbs that it has started."""
        self.socket.close()
        self.process.wait()


class Verb:
    """Be to a verb that a starter has forked what subprocess.Popen is to a process."""

    def __init__(self, starter, words, request, streams):
        from subprocess import DEVNULL, PIPE, STDOUT

        self.args, self.returncode = words, None
        self.stdin = self.stdout = self.stderr = None
        theirs = []  # what is to be closed here, once it has it
        fds = []
        try:
            for number, given in enumerate(streams):
                if given == PIPE:
                    ends = os.pipe()
                    fds.append(ends[number > 0])
                    theirs.append(fds[-1])
                    name = ("stdin", "stdout", "stderr")[number]
                    setattr(self, name, open(ends[not number], "rb" if number else "wb"))
                elif given == DEVNULL:
                    fds.append(os.open(os.devnull, os.O_RDWR))
                    theirs.append(fds[-1])
                elif given == STDOUT:
                    fds.append(fds[1])
                else:
                    fds.append(number if given is None else given if isinstance(given, int) else given.fileno())
            self.report, report = os.pipe()
            theirs.append(report)
            starter.ask(request, [*fds, report])
        finally:
            for fd in theirs:
                os.close(fd)
        self.pid = self._told()
        if self.pid is None:
            raise OSError("the starter of verbs has died")

    def __del__(self):
        if getattr(self, "report", None) is not None:
            os.close(self.report)

    def _told(self):
        """Read one number of the report, None at its end."""
        data = os.read(self.report, TOLD.size)
        return TOLD.unpack(data)[0] if data else None

    def wait(self, timeout=None):
        """Wait for its end, and return its exit code, minus the number of the signal that ended it."""
        if self.returncode is None:
            if not select.select([self.report], [], [], timeout)[0]:
                from subprocess import TimeoutExpired

                raise TimeoutExpired(self.args, timeout)
            status = self._told()
            os.close(self.report)
            self.report = None
            self.returncode = -signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
        return self.returncode

    def poll(self):
        """Return its exit code, None while it runs."""
        if self.returncode is None and not select.select([self.report], [], [], 0)[0]:
            return None
        return self.wait()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def communicate(self, given=b"", timeout=None):
        """Write its stdin, read its stdout and stderr up to their ends, and wait for its own."""
        deadline = None if timeout is None else time.monotonic() + timeout
        view = memoryview(given or b"")
        said = {stream: b"" for stream in (self.stdout, self.stderr) if stream}
        reads, writes = list(said), [self.stdin] if self.stdin else []
        if writes:
            os.set_blocking(self.stdin.fileno(), False)
        while reads or writes:
            if writes and not view:
                writes.pop().close()
                continue
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            readable, writable, _ = select.select(reads, writes, [], left)
            if not readable and not writable:
                from subprocess import TimeoutExpired

                raise TimeoutExpired(self.args, timeout)
            for stream in readable:
                data = os.read(stream.fileno(), 65536)
                said[stream] += data
                if not data:
                    reads.remove(stream)
                    stream.close()
            for stream in writable:
                try:
                    view = view[os.write(stream.fileno(), view[:65536]) :]
                except BrokenPipeError:
                    view = view[:0]
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return said.get(self.stdout), said.get(self.stderr)


# --- the starter's side


def prepared(archive, root):
    """Do what a start does before it calls `main`; return the names it has then."""
    import gc
    import importlib

    gc.disable()
    if archive:
        import zipfile

        with zipfile.ZipFile(archive) as file:
            before, main, after = file.read("__main__.py").decode().partition(MAIN)
        assert main, "BOOT of build_zipapp.py calls main in another way: tests/starts.py cuts it there"
        sys.argv = [archive]
        names = {"__name__": "__main__"}
        exec(before.replace("gc.enable()", ""), names)
        for piece in list(names["pieces"]):
            names["whole"](piece)
    else:
        sys.path.insert(0, root)
        import looop

        names = {"looop": looop, "os": os, "sys": sys}
        after = "for stream in (sys.stdout, sys.stderr): stream.flush()\nos._exit(status)\n"
    names["call main"] = compile(MAIN + after, "<start>", "exec")
    for name in LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    return names


def serve(requests, names):
    """Fork a verb for each request, and tell what becomes of it, until nobody can ask any more."""
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    reports = {}  # by the verb's pid
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asked, limit = True, None
    while asked or (reports and time.monotonic() < limit):
        ready = select.select([wake, requests] if asked else [wake], [], [], None if asked else 1.0)[0]
        if wake in ready:
            os.read(wake, 65536)
            reap(reports)
        if requests in ready and not start(requests, names, reports):
            asked, limit = False, time.monotonic() + PATIENCE


def reap(reports):
    """Tell of the verbs that have ended."""
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        tell(reports[pid], status)
        os.close(reports.pop(pid))


def tell(report, number):
    """Write one number into a report, which may have no reader any more."""
    try:
        os.write(report, TOLD.pack(number))
    except BrokenPipeError:
        pass


def start(requests, names, reports):
    """Read a request and fork; return whether there was one."""
    head, fds, _, _ = socket.recv_fds(requests, SIZE.size, 4)
    if not head:
        return False
    body = b""
    while len(body) < SIZE.unpack(head)[0]:  # a signal cuts even what waits for all of it
        body += requests.recv(SIZE.unpack(head)[0] - len(body))
    pid = os.fork()
    if pid == 0:
        run(names, fds[:3], marshal.loads(body))
    for fd in fds[:3]:
        os.close(fd)
    reports[pid] = fds[3]
    tell(fds[3], pid)
    return True


def run(names, fds, request):
    """Be a verb, in a process that was forked for it, and leave as an interpreter does. It does not return."""
    code = 1
    try:
        become(names, fds, *request)
        exec(names["call main"], names)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if code and code is not error.code:
            print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def become(names, fds, argv, interpreter, env, cwd, umask, session):
    """Be what a start of looop would have made of this process, just forked."""
    import gc

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
    os.closerange(3, 256)
    if session:
        os.setsid()
    os.umask(umask)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    if "archive" in names:
        os.environ.setdefault("PWD", os.getcwd())  # as its shell does
    time.tzset()
    sys.argv, sys.executable = argv, interpreter
    names["looop"].__file__ = argv[0]
    if "archive" in names:
        names["archive"] = argv[0]
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        mode = {} if fd == 0 else {"newline": "\n", "buffering": 1 if fd == 2 or os.isatty(fd) else -1}
        stream = open(fd, "w" if fd else "r", encoding=old.encoding, errors=old.errors, closefd=False, **mode)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    gc.enable()


def main():
    """Be a starter: on the socket of argv[1], for the built file argv[2] ("": the source below argv[3])."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    requests.set_inheritable(False)
    try:
        serve(requests, prepared(*sys.argv[2:4]))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
