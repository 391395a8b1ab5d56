"""Other machines: verbs through a command prefix, by real processes, a real sshd and real namespaces."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import unittest

from tests.support import PATIENCE, Case, Terminal, heavy, longest, needs_name, wait_until

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class FarCase(Case):
    """A profile here and one there: `prefix` leads from here to there."""

    starts = True  # its streams go to another process

    def setUp(self):
        super().setUp()
        self.there = os.path.join(self.home, "there")
        os.mkdir(self.there, 0o700)
        self.config({"where": {"gpu": self.prefix()}})

    def settings(self):
        """Return the words that give a program there its environment."""
        env = {"HOME": self.there, "PATH": self.bin, "LC_ALL": "C.UTF-8"}
        return ["env", "-i", *(f"{name}={value}" for name, value in env.items())]

    def prefix(self):
        return " ".join(self.settings())

    def far_path(self, *parts):
        return os.path.join(self.there, ".local/state/looop", *parts)

    def copies(self):
        return os.listdir(os.path.join(self.there, ".cache/looop/far"))

    def rows(self):
        """Return the sessions there, as looop itself tells them there."""
        there = {"HOME": self.there, "LOOOP_DATA_DIR": self.far_path()}
        return {row["id"]: row for row in json.loads(self.looop("ls", "--json", env=there))}

    def attach(self, cols, rows, *words):
        terminal = Terminal(cols, rows)
        self.addCleanup(terminal.close)
        return terminal.run(self.command("attach", *words), {**self.env, "TERM": "xterm-256color"}, self.home)


class Driven:
    """What each prefix is to show."""

    @heavy
    def test_a_session_there_is_started_driven_looked_at_and_ended(self):
        said = self.looop("start-session", "gpu:box", "--command", "echo READY; cat; exit 3")
        self.assertIn("box runs: `looop attach gpu:box`", said)
        self.assertTrue(self.rows()["box"]["alive"])
        self.looop("start-session", "gpu:box", "--command", "cat", code=1)
        self.assertIn("already running", self.stderr)
        self.looop("expect", "gpu:box", "READY")
        self.looop("send", "gpu:box", "one and", "two")
        self.assertEqual(self.looop("expect", "gpu:box", "one and two"), "one and two\n")
        self.looop("send", "gpu:box", "-", stdin=b"from \xc3\xa4 pipe\n")
        self.looop("expect", "gpu:box", "from ä pipe")
        self.assertIn("from ä pipe", self.looop("shot", "gpu:box", "--trim"))
        self.assertEqual(json.loads(self.looop("shot", "gpu:box", "--json"))["cols"], 120)
        self.looop("key", "gpu:box", "C-d")
        self.looop("wait", "gpu:box", code=3)
        self.looop("restart", "gpu:box")
        self.assertIn("box has ended", self.looop("kill", "gpu:box"))
        self.looop("wait", "gpu:box", code=129)
        self.assertEqual(len(self.copies()), 1, "it is carried once")
        self.assertFalse(os.path.exists(os.path.join(self.data, "sessions")), "nothing of it is here")

    @heavy
    def test_attached_with_typing_and_resize(self):
        self.looop(
            "start-session",
            "gpu:box",
            "--command",
            'stty -echo; echo READY; while read x; do echo "<$x> $(stty size)"; done',
        )
        terminal = self.attach(80, 24, "gpu:box")
        terminal.wait_text("READY")
        terminal.type(b"typed\r")
        terminal.wait_text("<typed> 24 80")
        terminal.resize(100, 30)
        terminal.process.send_signal(signal.SIGWINCH)
        wait_until(lambda: self.rows()["box"]["size"] == "100x30", "its new size")
        terminal.type(b"again\r")
        terminal.wait_text("<again> 30 100")
        terminal.type(b"\x1c\x1c")
        self.assertEqual(terminal.end(), 0)
        self.looop("kill", "gpu:box")


class Verbs(Driven, FarCase):
    @heavy
    def test_a_session_there(self):
        self.assertIn("`looop attach gpu:box`", self.looop("start-session", "gpu:box", "--command", "cat"))
        self.assertIn("box has ended", self.looop("kill", "gpu:box"))
        self.assertEqual((self.rows()["box"]["alive"], len(self.copies())), (False, 1))

    def test_what_cannot_be_reached_says_so_in_one_line(self):
        self.looop("shot", "nix:box", code=2)
        self.assertIn("there is no where nix", self.stderr)
        for prefix, words in (
            ("looop-no-such-program x", "looop-no-such-program"),
            ("sh -c 'echo Permission denied >&2; exit 255'", "Permission denied"),
            ("true", "without an answer"),
        ):
            self.config({"where": {"gpu": prefix}})
            self.looop("shot", "gpu:box", code=1)
            self.assertIn(words, self.stderr)
            self.assertEqual(self.stderr.count("\n"), 1, self.stderr)

    @longest
    def test_a_copy_that_is_gone_is_carried_anew(self):
        self.looop("start-session", "gpu:box", "--command", "echo READY; cat")
        shutil.rmtree(os.path.join(self.there, ".cache"))
        self.looop("expect", "gpu:box", "READY")
        self.assertEqual(len(self.copies()), 1)
        self.looop("kill", "gpu:box")

    @heavy
    def test_a_question_there_is_answered_from_here(self):
        self.looop("start-session", "gpu:box", "--command", 'printf "<%s>" "$(looop ask "which one?")"; cat')
        wait_until(lambda: os.path.exists(self.far_path("asks", "1.json")), "the question")
        self.looop("answer", "gpu:1", "the left one")
        self.looop("expect", "gpu:box", "<the left one>")
        self.looop("flag", "gpu:box", "look", "here")
        self.assertEqual(self.rows()["box"]["note"], "look here")
        self.looop("unflag", "gpu:box")
        self.looop("kill", "gpu:box")

    @longest
    def test_a_move_or_a_worker_only_looks(self):
        self.looop("start-session", "gpu:box", "--command", "cat")
        worker = {"LOOOP_CHILD": "1"}
        self.looop("shot", "gpu:box", env=worker)
        for words in (("send", "gpu:box", "x"), ("kill", "gpu:box"), ("start-session", "gpu:more", "--command", "cat")):
            self.looop(*words, env=worker, code=1)
        self.assertEqual(set(self.rows()), {"box"})
        self.looop("kill", "gpu:box")


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Proxy:
    """A link that can be cut: it relays connections to a port, or holds everything up."""

    def __init__(self, port):
        self.to, self.open = port, True
        self.flowing = threading.Event()
        self.flowing.set()
        self.ends = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.to))
                self.ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self.relay, args=(one, other), daemon=True).start()

    def relay(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self.flowing.wait()
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.flowing.set()
        for end in (self.listener, *self.ends):
            end.close()


@heavy
@unittest.skipUnless(SSHD and shutil.which("ssh"), "sshd or ssh is not there: no session is driven over ssh")
@needs_name
class Ssh(Driven, FarCase):
    """The same through an sshd of the test's own, on loopback, with keys of its own."""

    def prefix(self):
        host, user = (os.path.join(self.home, name) for name in ("host_key", "user_key"))
        for key in (host, user):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = f"""
            Port {port}
            ListenAddress 127.0.0.1
            HostKey {host}
            AuthorizedKeysFile {user}.pub
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            PermitRootLogin prohibit-password
            PidFile none
            MaxSessions 10
        """
        self.write_file("sshd_config", settings)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)  # sshd's own, which its package makes at boot
        log = open(os.path.join(self.home, "sshd.log"), "wb")
        self.addCleanup(log.close)
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", os.path.join(self.home, "sshd_config")], stderr=log)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        wait_until(lambda: listens(port), "sshd")
        self.proxy = Proxy(port)
        self.addCleanup(self.proxy.close)
        options = "-F none -o IdentitiesOnly=yes -o IdentityAgent=none -o LogLevel=ERROR -o StrictHostKeyChecking=no"
        options += f" -o UserKnownHostsFile=/dev/null -i {user} -p {self.proxy.port}"
        name = pwd.getpwuid(os.geteuid()).pw_name
        return f"{shutil.which('ssh')} {options} {name}@127.0.0.1 {' '.join(self.settings())}"

    def write_file(self, name, text):
        with open(os.path.join(self.home, name), "w") as file:
            file.write(text)

    def test_a_link_that_is_cut_in_the_middle_loses_nothing_and_starts_nothing_twice(self):
        self.looop("start-session", "gpu:box", "--command", "echo READY; cat")
        self.looop("expect", "gpu:box", "READY")
        viewer = self.attach(80, 24, "gpu:box")
        viewer.wait_text("READY")
        waiting = self.start("expect", "gpu:box", "never", "--timeout", "0")
        wait_until(lambda: len(self.proxy.ends) >= 10, "their connections")
        self.proxy.flowing.clear()
        verbs = [
            ("send", "gpu:box", "lost?"),
            ("key", "gpu:box", "Enter"),
            ("shot", "gpu:box"),
            ("kill", "gpu:box"),
            ("restart", "gpu:box"),
            ("start-session", "gpu:new", "--command", "cat"),
        ]
        ended = [self.start(*words) for words in verbs]
        for words, process in [*zip(verbs, ended), (("expect",), waiting)]:
            said = process.communicate(timeout=PATIENCE)[1].decode()
            self.assertEqual(process.returncode, 1, (words, said))
            self.assertRegex(said, r"(?m)^looop: .*gpu: the link broke.*$")
        self.assertNotEqual(viewer.end(), 0)
        self.assertIn("the link to gpu broke; the session lives on", " ".join(viewer.text(past=True).split()))
        self.proxy.flowing.set()
        self.assertIn("READY", self.looop("log", "gpu:box"))
        before = self.rows()
        self.looop("start-session", "gpu:new", "--command", "cat", code=None)
        now = self.rows()
        self.assertEqual(set(now), {"box", "new"})
        for name, row in before.items():
            self.assertEqual(now[name]["started_at"], row["started_at"], "it was started once")
        for name in now:
            self.looop("kill", f"gpu:{name}")


@longest
@unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "only root enters namespaces by unshare(1) here")
class Namespaces(Driven, FarCase):
    """The same through a prefix that enters namespaces."""

    def prefix(self):
        return f"{shutil.which('unshare')} --ipc --uts --net " + super().prefix()


if __name__ == "__main__":
    unittest.main()
