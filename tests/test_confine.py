"""Confinement: real attacks against the walls, on this kernel and with features of it left unused, as on older ones."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

import looop
from tests.support import HEAVY, LONG, PATIENCE, Case, alive, figure, heavy, kill_all, processes_with, wait_until, which

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = dict(os.environ)
MEASURED = looop.measure_walls(ENV)
FILES = """overwrite append truncate open_truncating unlink rename_within rename_out write_through_a_hard_link
    write_through_a_symlink write_through_proc write_through_a_read_only_descriptor change_mode
    change_mode_of_a_descriptor change_mode_anew change_times change_owner change_attributes change_flags""".split()
# what says that it worked, and reached nobody: its own network takes the packets, or the call does nothing at all
IN_VAIN = {"udp", "udp_by_sendmsg", "dns", "change_mode", "change_mode_of_a_descriptor", "change_mode_anew"}
IN_VAIN |= {"change_times", "change_owner", "change_attributes", "terminate_all", "become_root", "change_flags"}


class Outside:
    """What lies outside the walls: a folder of files, listeners, a process."""

    def __init__(self):
        self.home = os.path.realpath(tempfile.mkdtemp(prefix="looop-outside-"))
        self.folder, self.inside = f"{self.home}/outside", f"{self.home}/inside"
        os.makedirs(f"{self.folder}/remove_folder")
        os.makedirs(self.inside)
        for name in FILES:
            with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
                file.write("as it was")
            os.chmod(f"{self.folder}/{name}", 0o640)
        self.heard = []
        self.sockets = []
        self.tcp = self.listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))[1]
        self.udp = self.listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))[1]
        self.unix = f"{self.home}/s"
        self.listen(socket.AF_UNIX, socket.SOCK_STREAM, self.unix)
        self.listen(socket.AF_UNIX, socket.SOCK_DGRAM, f"{self.unix}.dgram")
        self.abstract = f"looop-test-{os.getpid()}-{id(self)}"
        self.listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.abstract)
        self.victim = subprocess.Popen(
            ["sleep", "3000"], env={**ENV, "SECRET_OF_THE_VICTIM": "x"}, start_new_session=True, stdout=-3
        )
        self.setuid = f"{self.home}/id"
        shutil.copy(which("id"), self.setuid)
        if os.getuid() == 0:
            os.chmod(self.home, 0o755)
            os.chown(self.setuid, 65534, 65534)
            os.chmod(self.setuid, 0o4755)

    def listen(self, family, kind, address):
        listener = socket.socket(family, kind)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen(64)
        self.sockets.append(listener)
        threading.Thread(target=self.hear, args=(listener, kind), daemon=True).start()
        return listener.getsockname()

    def hear(self, listener, kind):
        try:
            while True:
                if kind == socket.SOCK_STREAM:
                    peer, _ = listener.accept()
                    with peer:
                        peer.settimeout(120)
                        self.heard.append(peer.recv(1000))
                else:
                    self.heard.append(listener.recv(1000))
        except OSError:
            return

    def close(self):
        for listener in self.sockets:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        self.victim.kill()
        self.victim.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def told(self, **more):
        at = {"outside": self.folder, "tcp": self.tcp, "udp": self.udp, "unix": self.unix, "abstract": self.abstract}
        return json.dumps({**at, "victim": self.victim.pid, "setuid": self.setuid, "alone": False, **more})

    def state(self):
        """Return all that could have changed."""
        found = {"heard": list(self.heard), "victim": self.victim.poll()}
        for folder, _, names in os.walk(self.folder):
            for name in ["", *names]:
                path = f"{folder}/{name}"
                s = os.stat(path)
                found[path] = (s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, s.st_size, s.st_nlink, os.listxattr(path))
        return found


def runs_as_root():
    return os.getuid() == 0


@unittest.skipUnless(MEASURED.confines, f"nothing confines a command here: {MEASURED.why}")
class Attacks(unittest.TestCase):
    def setUp(self):
        self.outside = Outside()
        self.addCleanup(self.outside.close)

    def attacked(self, walls, **more):
        grant = looop.Grant([self.outside.inside], walls=walls)
        command = f"cd {self.outside.inside} && exec {sys.executable} {HERE}/attacks.py '{self.outside.told(**more)}'"
        env = {"PATH": ENV["PATH"], "LOOOP_ATTACK": self.outside.home}
        argv = ["/bin/sh", "-c", 'eval "$1"; exit $?', "sh", command]
        job = looop.Job("attack", argv, env, 60.0, tidy=True, orphans=True, grant=grant if walls else None)
        ended = looop.run_job(job)
        self.assertEqual((ended.code, ended.why), (0, "exit"), (ended.out, ended.err))
        return json.loads(ended.out)

    def hold(self, walls):
        before = self.outside.state()
        told = self.attacked(walls, alone=walls.namespaces and not walls.tool)
        self.assertEqual([name for name, words in told.items() if words == "worked" and name not in IN_VAIN], [])
        self.assertGreater(len(told), 50)
        figure("attacks from behind the walls, all in vain", len(told))
        self.assertEqual(self.outside.state(), before)
        left = [pid for pid in processes_with(self.outside.home) if pid != self.outside.victim.pid]
        self.assertEqual([pid for pid in left if alive(pid)], [], "a child lives on")

    def test_the_walls_of_this_machine(self):
        self.hold(MEASURED)

    @unittest.skipUnless(MEASURED.landlock, "no Landlock")
    def test_without_namespaces(self):
        self.hold(looop.Walls(MEASURED.landlock))

    @heavy
    def test_older_versions_of_landlock(self):
        for version in range(1, MEASURED.landlock):
            with self.subTest(version=version):
                self.hold(looop.Walls(version))

    @heavy
    def test_older_versions_of_landlock_with_namespaces(self):
        versions = range(1, MEASURED.landlock) if MEASURED.namespaces else ()
        for version in versions if LONG else [*versions[:1], *versions[1:][-1:]]:
            with self.subTest(version=version):
                self.hold(looop.Walls(version, True))

    @heavy
    @unittest.skipUnless(which("bwrap"), "bwrap is not on PATH")
    def test_bwrap(self):
        walls = looop.Walls(0, True, which("bwrap"))
        try:
            looop.holds(walls, ENV)
        except OSError as error:
            self.skipTest(f"bwrap cannot be used here: {error}")
        self.hold(walls)

    def test_the_attacks_are_real(self):
        """Without walls they work, so that the tests above can fail."""
        leave = ["mount_over", "new_namespace", "host_name", "become_root", "terminate_all"]
        told = self.attacked(None, leave=leave)
        surely = set(FILES[:12]) | {
            "create",
            "tcp",
            "by_bash",
            "udp",
            "dns",
            "unix_stream",
            "unix_datagram",
            "abstract",
        }
        surely |= {"unix_datagram_of_a_pair", "terminate", "make_folder", "remove_folder", "change_times", "link_in"}
        surely |= {"rename_in", "make_fifo", "udp_by_sendmsg", "read_environment"}
        surely |= {"setuid"} if runs_as_root() else set()
        self.assertEqual({name: told[name] for name in surely if told[name] != "worked"}, {})
        heard = wait_until(lambda: len(self.outside.heard) >= 8 and self.outside.heard, "what was sent")
        self.assertIn(b"secret by a datagram", heard)
        self.assertTrue(any(b"evil" in data for data in heard), heard)
        self.assertIsNotNone(wait_until(lambda: self.outside.victim.poll() is not None, "the victim's end"))
        left = [pid for pid in processes_with(self.outside.home) if alive(pid)]
        self.assertTrue(left, "what is not confined lives on")
        kill_all(left)


@unittest.skipUnless(MEASURED.confines, f"nothing confines a command here: {MEASURED.why}")
class Inside(Case):
    """What goes on behind the walls as it does outside."""

    def run_confined(self, command, walls=MEASURED, folders=(), timeout=PATIENCE):
        grant = looop.Grant([self.home, *folders], walls=walls)
        argv = ["/bin/sh", "-c", 'eval "$1"; exit $?', "sh", command]
        return looop.run_job(looop.Job("x", argv, {"PATH": ENV["PATH"]}, timeout, tidy=True, grant=grant))

    def every(self):
        yield MEASURED
        if MEASURED.landlock:
            yield looop.Walls(MEASURED.landlock)
            yield looop.Walls(1)

    def test_results_and_streams(self):
        for walls in self.every():
            stderr = "/dev/stderr" if os.path.exists("/dev/stderr") else "/proc/self/fd/2"  # a chroot has none
            ended = self.run_confined(f"echo out; echo err >&2; echo more >{stderr}; exit 7", walls)
            self.assertEqual((ended.code, ended.out, ended.err), (7, b"out\n", b"err\nmore\n"), walls)
            self.assertEqual(self.run_confined(f"cd {self.home} && echo x > y && cat y && rm y", walls).out, b"x\n")
            self.assertEqual(self.run_confined("kill -9 $$; echo", walls).out[:0], b"")

    @unittest.skipUnless(MEASURED.landlock, "no Landlock")
    def test_what_a_command_leaves_is_ended_at_once(self):
        """Without namespaces looop ends it, and does not wait for its own deadline."""
        took = []
        for _ in range(3):
            begun = time.monotonic()
            command = f"cd {self.home}; sleep 300 & setsid sleep 300 & true"
            ended = self.run_confined(command, looop.Walls(MEASURED.landlock))
            took.append(time.monotonic() - begun)
            self.assertEqual((ended.code, processes_with(self.home)), (0, []))
        self.assertLess(min(took), 25.0)

    def test_the_file_of_its_output_stays_looops(self):
        """It may change the mode of a descriptor that it was given, and make the file longer than its cap."""
        log = f"{self.home}/log"
        code = "import os; os.ftruncate(1, 1 << 40); os.fchmod(1, 0)"
        for walls in self.every():
            grant = looop.Grant([f"{self.home}"], walls=walls)
            job = looop.Job("x", [sys.executable, "-c", code], {"PATH": ENV["PATH"]}, PATIENCE, stdout=log, grant=grant)
            ended = looop.run_job(job)
            self.assertEqual((ended.why, os.stat(log).st_mode & 0o7777), ("overflow", 0o600), walls)
            self.assertEqual(os.path.getsize(log), job.cap)
            os.unlink(log)

    def test_a_deadline_ends_all_of_it(self):
        for walls in self.every():
            ended = self.run_confined("trap '' TERM; sleep 300 & sleep 300", walls, timeout=0.3)
            self.assertEqual(ended.why, "timeout")
            self.assertLess(ended.secs, 100)
        self.assertEqual(processes_with(self.home), [])

    @unittest.skipUnless(MEASURED.namespaces and not MEASURED.tool, "no namespaces")
    def test_its_own_servers_and_terminals(self):
        code = (
            "import socket, pty; s = socket.create_server(('127.0.0.1', 0));"
            "socket.create_connection(s.getsockname()); pty.openpty(); print('all')"
        )
        ended = self.run_confined(f'{sys.executable} -c "{code}"')
        self.assertEqual((ended.out, ended.err), (b"all\n", b""))

    def clone_with(self):
        """Make a clone with a config and hooks; return its path, and those of the two."""
        clone = f"{self.home}/clone"
        os.makedirs(f"{clone}/.git/hooks")
        self.put(f"{clone}/.git/config", "[core]\n")
        self.put(f"{clone}/.git/hooks/mine", "#!/bin/sh\n")
        return clone, f"{clone}/.git/config", f"{clone}/.git/hooks"

    def put(self, path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    @heavy
    def test_what_git_runs_programs_by_stays_as_it_is(self):
        """By mounts, and where there are no namespaces because it is put back."""
        clone, config, hooks = self.clone_with()
        profile = looop.open_profile({**ENV, **self.env}, looop.__file__)
        commands = (
            f"echo x >> {config}",
            f"rm {config}",
            f"mv {config} {clone}/c",
            f"rm {config}; ln -s /etc/passwd {config}",
            f"echo x > {hooks}/pre-commit",
            f"rm {hooks}/mine; mkdir {hooks}/mine; rm -rf {hooks}/mine; ln -s /etc {hooks}/mine",
            f"mv {hooks} {clone}/h",
            f"rm -rf {hooks}; ln -s /etc {hooks}",
        )
        for walls in self.every():
            grant = looop.grant_of(profile, clone).replace(walls=walls)
            self.assertEqual(sorted(grant.closed), [config, hooks])
            for command in commands:
                job = looop.Job("x", ["/bin/sh", "-c", command], {"PATH": ENV["PATH"]}, PATIENCE, grant=grant)
                (ended,) = looop.run_confined(profile, [job])
                self.assertTrue(ended.code or not walls.namespaces, command)
                self.assertEqual(ended.why, "exit", ended)
                with open(config, encoding="utf-8") as file:
                    self.assertEqual(file.read(), "[core]\n", command)
                self.assertEqual((os.listdir(hooks), os.path.isfile(f"{hooks}/mine")), (["mine"], True), command)
                self.assertFalse(os.path.islink(config) or os.path.islink(hooks), command)

    def test_a_git_folder_that_was_exchanged_is_put_back(self):
        clone, config, _ = self.clone_with()
        profile = looop.open_profile({**ENV, **self.env}, looop.__file__)
        for walls in self.every():
            grant = looop.grant_of(profile, clone).replace(walls=walls)
            command = f"cd {clone} && mv .git g && mkdir .git && echo evil > .git/config"
            job = looop.Job("x", ["/bin/sh", "-c", command], {"PATH": ENV["PATH"]}, PATIENCE, grant=grant)
            looop.run_confined(profile, [job])
            with open(config, encoding="utf-8") as file:
                self.assertEqual(file.read(), "[core]\n")
            self.assertTrue(os.path.isdir(f"{clone}/.git/hooks"))

    # Each leaves a program in $E that git would run for a person; the variable C is the clone.
    PLANTS = (
        "mkdir .git/x; cp -r .git/objects .git/refs .git/config .git/x; evil .git/x/config; echo x > .git/commondir",
        "git init -q sub; evil sub/.git/config; git -C sub commit -q --allow-empty -m x;"
        " git update-index --add --cacheinfo 160000,$(git -C sub rev-parse HEAD),sub",
        "git init -q store/r; evil store/r/.git/config; mkdir sub; echo gitdir: ../store/r/.git > sub/.git",
        "git init -q .git/objects/r; evil .git/objects/r/.git/config; mkdir sub; ln -s ../.git/objects/r/.git sub/.git",
        "git init -q --bare sub; evil sub/config; cd sub; git config core.bare 0; git config core.worktree $C",
        "git worktree add -q sub; evil .git/worktrees/sub/config.worktree",
        "git worktree add -q sub; git init -q r; evil r/.git/config; echo $C/r/.git > .git/worktrees/sub/commondir",
        "evil old/.git/config",
        "evil old/x; mv old/x old/.git/config",
        "printf '#!/bin/sh\ntouch $E\n' > old/.git/hooks/pre-commit; chmod +x old/.git/hooks/pre-commit;"
        " chmod 311 old/.git/hooks",
        "rm -r old/.git/hooks; ln -s ../../bad old/.git/hooks; mkdir bad;"
        " printf '#!/bin/sh\ntouch $E\n' > bad/pre-commit; chmod +x bad/pre-commit",
        "evil .git/modules/lib/config",
        "evil included",
        "git init -q x/sub; evil x/sub/.git/config; mv x/sub .; rmdir x; chmod 311 .; chmod 555 sub/.git",
        "evil .git/config.worktree",
    )

    @heavy
    @unittest.skipUnless(which("git"), "git is not on PATH")
    def test_no_command_leaves_a_program_that_git_runs(self):
        profile = looop.open_profile({**ENV, **self.env}, looop.__file__)
        env = {**self.env, **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "a"), "PATH": ENV["PATH"]}
        env.update(dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@x.example"))
        clone, evil = f"{self.home}/clone", f"{self.home}/pwned"
        env.update(E=evil, C=clone)
        start = """evil() { printf '[core]\n\tfsmonitor = "touch %s; false"\n' $E >> $1; }; cd $C; """
        make = """git init -q $C; cd $C; git config extensions.worktreeConfig 1; git config include.path ../included;
            git commit -q --allow-empty -m x; git init -q old; git init -q m; mkdir .git/modules
            mv m/.git .git/modules/lib; echo gitdir: ../.git/modules/lib > m/.git; touch included"""
        look = "cd $C; for d in . sub old m; do git -C $d status -s; git -C $d commit -q --allow-empty -m y; done; true"

        def run(command, grant=None):
            job = looop.Job("x", ["/bin/sh", "-c", command], env, PATIENCE, grant=grant)
            (ended,) = looop.run_confined(profile, [job])
            self.assertEqual((ended.why, ended.code if "rm" not in command else 0), ("exit", 0), (command, ended))

        run(make)
        shutil.copytree(clone, f"{self.home}/first")
        tried = list(self.every())[: 2 if HEAVY else 1]
        for walls in tried:
            for plant in self.PLANTS:
                with self.subTest(plant, walls=walls):
                    shutil.rmtree(clone)
                    shutil.copytree(f"{self.home}/first", clone)
                    grant = looop.grant_of(profile, clone).replace(walls=walls)
                    run(f"{start}{plant}; true", grant)
                    run(look)
                    self.assertFalse(os.path.exists(evil))
                    if HEAVY and walls is tried[0]:  # without walls it works
                        shutil.rmtree(clone)
                        shutil.copytree(f"{self.home}/first", clone)
                        run(f"{start}{plant}; {look}")
                        os.unlink(evil)

    @unittest.skipUnless(which("git"), "git is not on PATH")
    def test_repositories_that_were_there_or_are_plain_stay(self):
        profile = looop.open_profile({**ENV, **self.env}, looop.__file__)
        clone = f"{self.home}/clone"
        make = f"""git init -q {clone} && cd {clone} && git config user.name a && git config user.email a@x.example
            git commit -q --allow-empty -m x && git init -q old && git -C old config core.pager less
            echo '#!/bin/sh' > old/.git/hooks/pre-commit; git worktree add -q there"""
        env = {**self.env, "PATH": ENV["PATH"]}
        steps = (
            "git init -q fresh && git worktree add -q wt && git clone -q . copy && git init -q --bare b.git",
            "mv fresh moved && mv old moved/old && git -C wt commit -q --allow-empty -m y && git -C copy log -1",
            "git -C there log -1 && git -C moved/old status && rm -rf copy && git worktree remove wt",
        )
        jobs = [looop.Job("x", ["/bin/sh", "-c", make], env, PATIENCE)]
        looop.run_confined(profile, jobs)
        for walls in list(self.every())[:2]:
            for step in steps:
                grant = looop.grant_of(profile, clone).replace(walls=walls)
                job = looop.Job("x", ["/bin/sh", "-c", f"cd {clone} && {step}"], env, PATIENCE, grant=grant)
                (ended,) = looop.run_confined(profile, [job])
                self.assertEqual((ended.why, ended.code), ("exit", 0), ended)
            for path in ("moved/old/.git/config", "moved/old/.git/hooks/pre-commit", "there/.git", "b.git/config"):
                self.assertTrue(os.path.exists(f"{clone}/{path}"), path)
            shutil.rmtree(clone)
            looop.run_confined(profile, jobs)
        self.assertEqual(profile.warned, set())

    def test_the_walk_is_quick_and_has_an_end(self):
        profile = looop.open_profile({**ENV, **self.env}, looop.__file__)
        clone = self.clone_with()[0]
        for folder in range(50):
            os.mkdir(f"{clone}/{folder}")
            for name in range(20):
                self.put(f"{clone}/{folder}/{name}", "")
        took = []
        for _ in range(5):
            begun = time.process_time()
            looop.GitPrograms(profile, [clone])
            took.append(time.process_time() - begun)
        figure("ms of a walk of 1,000 files", round(min(took) * 1000, 2))
        self.assertLess(min(took), 0.1)
        with unittest.mock.patch.object(looop, "_WALK_MAX", 100):
            looop.GitPrograms(profile, [clone])
        self.assertIn("is not taken back", " ".join(profile.warned))

    def test_a_program_that_is_not_there(self):
        for walls in self.every():
            grant = looop.Grant([self.home], walls=walls)
            ended = looop.run_job(looop.Job("x", ["/nowhere/x"], {}, PATIENCE, grant=grant))
            if walls.tool:
                self.assertNotEqual(ended.code, 0)
                continue
            self.assertEqual((ended.why, ended.code), ("spawn", 127), walls)
            self.assertIn(b"No such file", ended.err)
        script = self.write_script("echo $0 runs")
        grant = looop.Grant([self.home], walls=MEASURED)
        if not MEASURED.tool:
            ended = looop.run_job(looop.Job("x", [script], {"PATH": ENV["PATH"]}, PATIENCE, grant=grant))
            self.assertEqual(ended.out, f"{script} runs\n".encode())

    def write_script(self, body):
        path = f"{self.home}/script"
        with open(path, "w", encoding="utf-8") as file:
            file.write(body)
        os.chmod(path, 0o700)
        return path

    def test_a_folder_that_cannot_be_granted_is_an_error_and_nothing_runs(self):
        grant = looop.Grant([f"{self.home}/gone"], walls=MEASURED)
        ended = looop.run_job(looop.Job("x", ["/bin/sh", "-c", "echo ran"], {}, PATIENCE, grant=grant))
        self.assertEqual(ended.out, b"")
        if not MEASURED.tool:
            self.assertEqual(ended.why, "spawn")


class Filters(unittest.TestCase):
    """The program of a seccomp filter, run by hand: what it says to each call."""

    def judge(self, code, number, args=(0,) * 6, audit=0xC000003E):
        import struct

        data = struct.pack("=IIQ6Q", number, audit, 0, *args)
        lines = list(struct.iter_unpack("=HBBI", code))
        value = at = 0
        while True:
            kind, true, false, operand = lines[at]
            at += 1
            if kind == 0x20:
                value = struct.unpack_from("=I", data, operand)[0]
            elif kind == 0x54:
                value &= operand
            elif kind == 0x15:
                at += true if value == operand else false
            elif kind == 0x35:
                at += true if value >= operand else false
            else:
                self.assertEqual(kind, 0x06)
                return operand

    def test_each_rule_on_both_machines(self):
        allow, errno, kill = 0x7FFF0000, 0x50000, 0x80000000
        for column, (machine, (_, audit)) in enumerate(looop.ARCHITECTURES.items()):
            for walls in (looop.Walls(7, True), looop.Walls(7), looop.Walls(5), looop.Walls(1)):
                rules = looop.filter_rules(walls)
                code = looop.filter_program(rules, machine)
                self.assertLess(len(code) // 8, 4096)
                self.assertEqual(self.judge(code, 63, audit=audit), allow)
                self.assertEqual(self.judge(code, 63, audit=0x40000003), kill, "i386")
                if machine == "x86_64":
                    self.assertEqual(self.judge(code, 0x40000000 | 41), errno | 38, "x32")
                for rule in rules:
                    number = looop.SYSTEM_CALLS[rule.call][column]
                    args = [0] * 6
                    for argument, mask, value, equal in rule.conditions:
                        args[argument] = value if equal else mask
                    if number >= 0:
                        self.assertEqual(self.judge(code, number, args, audit), errno | rule.error, rule)
                    for i, (argument, mask, value, equal) in enumerate(rule.conditions):
                        other = list(args)
                        other[argument] = (value ^ mask) if equal else value
                        if number >= 0 and i == 0:
                            self.assertEqual(self.judge(code, number, other, audit), allow, rule)

    def test_no_program_skips_too_far(self):
        import struct

        for walls in (looop.Walls(7, True), looop.Walls(1)):
            lines = list(struct.iter_unpack("=HBBI", looop.filter_program(looop.filter_rules(walls), "x86_64")))
            for at, (_, true, false, _) in enumerate(lines):
                self.assertLess(at + max(true, false), len(lines))


class Measured(Case):
    def test_kept_for_a_boot_and_measured_anew_when_damaged(self):
        profile = looop.open_profile({**ENV, "HOME": self.home, "XDG_CACHE_HOME": f"{self.home}/cache"}, looop.__file__)
        self.assertEqual(looop.walls_of(profile).landlock, MEASURED.landlock)
        with open(f"{self.home}/cache/looop/walls", "r+", encoding="utf-8") as file:
            lines = file.read().split("\n")
            file.seek(0)
            file.truncate()
            file.write("\n".join([lines[0], "0", "0", "", "as it was kept"]))
        self.assertEqual(looop.walls_of(profile).why, "as it was kept")
        with open(f"{self.home}/cache/looop/walls", "w", encoding="utf-8") as file:
            file.write("nonsense")
        self.assertEqual(looop.walls_of(profile), looop.measure_walls(ENV))
        looop.forget_walls(profile)
        self.assertFalse(os.path.exists(f"{self.home}/cache/looop/walls"))


if __name__ == "__main__":
    unittest.main()
