"""The one file that build_zipapp.py makes: what it loads, on which Python it runs, and what replacing it does."""

import _sre
import ast
import builtins
import functools
import glob
import hashlib
import importlib.util
import json
import marshal
import os
import re
import shutil
import signal
import subprocess
import symtable
import sys
import tempfile
import unittest
import zipfile

from tests import build, shared
from tests.support import ROOT, Case, alive, forget, heavy, needs_root, nodes, syntax, wait_until

spec = importlib.util.spec_from_file_location("build_zipapp", os.path.join(ROOT, "build_zipapp.py"))
build_zipapp = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_zipapp)

MAGIC = importlib.util.MAGIC_NUMBER.hex()

SMALL = b"""\
VERSION = "1.2.3"
import sys


def main():
    print("looop", VERSION)
    return 0
"""


def source():
    with open(os.path.join(ROOT, "looop.py"), "rb") as file:
        return file.read()


def built():
    """Return the file that is built for the Python that runs this."""
    return os.path.join(shared("archive", build), "looop")


def of_version(other, python=""):
    """Return what is built for the Python that runs this of the looop of another version.

    Where its number is as long, nothing is compiled again: in the bytecode that there is, the number is exchanged.
    """
    pair = build_zipapp.version_of(source()).encode(), other.encode()
    if len(pair[0]) != len(pair[1]):
        text = source().replace(*pair)
        return build_zipapp.archive_of(text, dict([build_zipapp.compiled(text, sys.executable)]), python)
    with zipfile.ZipFile(built()) as file:
        code = file.read(f"looop-{MAGIC}.bin")[build_zipapp.STAMP :].replace(*pair)
    stamp = hashlib.sha256(code).hexdigest()[: build_zipapp.STAMP].encode()
    return build_zipapp.archive_of(source().replace(*pair), {MAGIC: stamp + code}, python)


@functools.cache
def pieces():
    """Return the names of the pieces of looop."""
    with zipfile.ZipFile(built()) as file:
        return set(marshal.loads(file.read(f"looop-{MAGIC}.bin")[build_zipapp.STAMP :])[1][1])


@functools.cache
def runs(python):
    """Tell whether there is such a Python; a version manager's shim may stand for none."""
    return (
        os.path.exists(python) and not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode
    )


def pythons(minors):
    """Return {minor: path} of the Pythons 3.x of this machine among minors."""
    versions = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
    found = {}
    for minor in minors:
        candidates = [shutil.which(f"python3.{minor}") or "", *glob.glob(f"{versions}/3.{minor}.*/bin/python3")]
        found.update((minor, candidate) for candidate in filter(runs, candidates))
    return found


@heavy
class Pieces(unittest.TestCase):
    """A function or a class may stand as a `Piece` until it is used: what the source must not do with it."""

    @classmethod
    def setUpClass(cls):
        def let_go():
            del cls.tree, cls.defined
            forget()

        cls.addClassCleanup(let_go)
        cls.tree = syntax()
        cls.defined = [node for node in cls.tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        cls.names = {node.name for node in cls.defined}
        cls.table = symtable.symtable(source().decode(), "looop.py", "exec")

    def test_each_is_defined_once(self):
        self.assertEqual(len(self.names), len(self.defined))
        self.assertGreater(len(self.defined), 500)

    def scopes(self):
        """Yield (line, names that it takes from the module, names of its own) of every function and class."""
        todo = self.table.get_children()
        while todo:
            table = todo.pop()
            todo += table.get_children()
            symbols = table.get_symbols()
            taken = {symbol.get_name() for symbol in symbols if symbol.is_global()}
            yield table.get_lineno(), taken, {symbol.get_name() for symbol in symbols} - taken

    def test_no_piece_is_compared(self):
        shadowing = set()  # names of pieces that a scope has for something else
        for _, _, own in self.scopes():
            shadowing |= own & self.names
        self.assertLess(len(shadowing), len(self.names) / 20, "each is one less that this looks at")
        looked = 0
        for node in nodes():
            if isinstance(node, ast.Compare):
                for side in (node.left, *node.comparators):
                    looked += 1
                    if isinstance(side, ast.Name) and side.id in self.names - shadowing:
                        self.fail(f"line {node.lineno}: {side.id} is compared")
        self.assertGreater(looked, 1000)

    def test_no_piece_is_renamed_changed_or_made_a_method(self):
        for node in self.tree.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    self.assertNotIn(getattr(target, "id", None), self.names, node.lineno)
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    value = getattr(inner, "value", None)
                    if isinstance(inner, (ast.Assign, ast.AnnAssign)) and isinstance(value, ast.Name):
                        self.assertNotIn(value.id, self.names, inner.lineno)
        for node in nodes():
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
                self.assertNotIn(node.value.id, self.names, node.lineno)
            if isinstance(node, ast.Global):
                self.fail(f"line {node.lineno}: global")

    def test_exceptions_are_no_pieces(self):
        caught = set()
        for node in nodes():
            if isinstance(node, ast.ExceptHandler) and node.type:
                caught |= {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
        self.assertGreater(len(caught & self.names), 3)
        self.assertEqual(caught & pieces(), set())

    def test_what_a_supervisor_can_reach_is_known(self):
        """It drops the rest. Seen in the bytecode, where a name of the module is told from a local one."""
        import dis
        import marshal

        (rest, places, lasting, kept, _), bytecode = build_zipapp.compile_pieces(source(), "looop.py")
        tables = {step.argval for step in dis.get_instructions(rest) if step.opname == "STORE_NAME"}
        todo, reached = ["supervise"], set()
        while todo:
            name = todo.pop()
            reached.add(name)
            codes = [marshal.loads(bytecode[places[name] :])]
            for code in codes:
                codes += [value for value in code.co_consts if hasattr(value, "co_consts")]
                used = {
                    step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
                }
                todo += (used & set(places)) - reached - set(todo)
                self.assertLessEqual(used & tables, set(kept), name)
        self.assertLessEqual({"Supervisor", "Screen", "painted", "start_on_pty"}, reached)
        self.assertGreater(len(reached), 80)
        self.assertLessEqual(reached, set(lasting))
        self.assertLess(len(lasting), len(places) / 5, "a local name that a function has, too, costs all that it uses")

    def test_patterns_are_compiled_as_re_does(self):
        _, table = marshal.loads(build_zipapp.compile_patterns(source(), self.tree, "looop.py"))
        for pattern, (flags, code, *groups) in table.items():
            compiled = _sre.compile(pattern, flags, memoryview(code).cast("I").tolist(), *groups)
            self.assertEqual(compiled, re.compile(pattern))  # they compare what they were compiled to
        self.assertGreater(len(table), 30)

    def test_the_names_of_the_module_are_known(self):
        """A name that no scope defines would be met only when its piece is used."""
        module = {
            symbol.get_name() for symbol in self.table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
        }
        known = module | set(dir(builtins)) | {"Any", "JSON", "Self"}
        scopes = 0
        for line, taken, _ in self.scopes():
            scopes += 1
            self.assertLessEqual({name for name in taken if not name.startswith("__")}, known, f"line {line}")
        self.assertGreater(scopes, 1000)


@heavy
class Built(Case):
    """What is built for the Python that runs this."""

    named = False
    long = True

    @classmethod
    def setUpClass(cls):
        cls.built = built()

    def setUp(self):
        super().setUp()
        self.looop_file = os.path.join(self.home, "looop")
        shutil.copy(self.built, self.looop_file)

    def call(self, *words, code=0, env=None, program=None):
        """Run the file as a person does; return what it says on stdout and stderr."""
        command = [*(program or []), self.looop_file, *words]
        done = subprocess.run(
            command, env={**self.env, **(env or {})}, cwd=self.home, capture_output=True, check=False, timeout=120
        )
        out = (done.stdout + done.stderr).decode()
        self.assertEqual(done.returncode, code, out)
        return out

    def only(self, *names):
        """Make a folder of links to commands and return it, as a PATH."""
        folder = os.path.join(self.home, "only")
        os.makedirs(folder, exist_ok=True)
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.lexists(path):
                os.symlink(shutil.which(name), path)
        return folder

    def executable(self, path, text):
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def altered(self, text, foreign=False):
        """Put another program into the file; `foreign`: without bytecode for this Python."""
        bytecode = {} if foreign else dict([build_zipapp.compiled(text, sys.executable)])
        self.put(build_zipapp.archive_of(text, bytecode))

    def put(self, archive):
        with open(self.looop_file + ".new", "wb") as file:
            file.write(archive)
        os.chmod(self.looop_file + ".new", 0o755)
        os.replace(self.looop_file + ".new", self.looop_file)

    # --- the bytes

    @heavy
    def test_the_same_tree_gives_the_same_bytes(self):
        with open(self.built, "rb") as file:
            first = file.read()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, os.path.join(ROOT, "build_zipapp.py"), "--only", "--out", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**self.env, "PYTHONHASHSEED": "5"})
            with zipfile.ZipFile(self.built) as one, zipfile.ZipFile(os.path.join(folder, "looop")) as other:
                code = {name[6:-4]: one.read(name) for name in one.namelist() if name.endswith(".bin")}
                code[MAGIC] = other.read(f"looop-{MAGIC}.bin")
        self.assertTrue(build_zipapp.archive_of(source(), code) == first)
        self.assertNotIn(ROOT.encode(), first)
        with open(self.built + ".sha256") as file:
            self.assertRegex(file.read(), r"^[0-9a-f]{64}  looop\n$")

    def test_it_is_a_zip_that_shows_its_source(self):
        with zipfile.ZipFile(self.built) as file:
            self.assertEqual(file.testzip(), None)
            self.assertEqual(file.read("looop.py"), source())
            self.assertIn(f"looop-{MAGIC}.bin", file.namelist())

    def test_every_python_that_is_here_gets_its_bytecode(self):
        found = build_zipapp.interpreters()
        code = "import sys; print(sys.version_info[1])"
        minors = [int(subprocess.check_output([path, "-SIc", code])) for path in found]
        self.assertIn(sys.version_info[1], minors)
        self.assertEqual(minors, sorted(set(minors)))
        self.assertLessEqual({*pythons(range(9, 15))}, {*minors})

    # --- how it starts

    def test_a_start_loads_what_it_uses(self):
        """Run it as the file does, but for the end, where the pieces are counted that nobody has called."""
        with open(self.looop_file, "rb") as file:
            text = file.read().split(b" -SI -c '", 1)[1].split(b'\' "$0"', 1)[0].decode()
        counted = "import os; os._exit = lambda status: print(status, len(pieces), flush=True)\n"
        command = [sys.executable, "-SI", "-c", counted + text, self.looop_file, "version"]
        done = subprocess.run(command, env=self.env, capture_output=True, check=True)
        status, left = map(int, done.stdout.decode().split("\n")[1].split())
        self.assertEqual(status, 0)
        self.assertGreater(left, len(pieces()) - 60)
        self.assertLess(left, len(pieces()) - 10)

    def test_a_supervisor_has_loaded_what_it_can_come_to_use_and_dropped_the_rest(self):
        """Run it as the file does, up to the end, where it becomes a supervisor as far as this matters.

        What a pulse has loaded is shared with it, and not touched. `re` is not needed, whatever a supervisor does.
        """
        with open(self.looop_file, "rb") as file:
            text = file.read().split(b" -SI -c '", 1)[1].split(b'\' "$0"', 1)[0].decode()
        settled = r"""\
import os, sys
def settle(status):
    looop = sys.modules["looop"]
    before = len(bytecode)
    if "pulse" in os.environ:
        looop.load_supervisor(alone=False)
    loaded, composed = len(bytecode), looop.composed_patterns()
    looop.load_supervisor(alone=True)
    left = [name for name in lasting if type(looop.__dict__[name]) is Piece]
    tables = "GALLERY" in looop.__dict__, "SIZE_MAX" in looop.__dict__, "supervise" in looop.__dict__
    for pattern in composed:
        looop.regex(pattern).search("")
    screen = looop.Screen(20, 2)
    screen.feed("\x1b]0;a\x1b\\\x1b[1mé\x1b[?2004h\x1bP$qm\x1b\\".encode())
    screen.skim(b"\x1b[?1049h\x1b[m")
    looop.text_marks(looop.screen_lines(screen))
    looop.screen_dialog("claude", ["1. Yes", "Esc to cancel"])
    looop.without_shapes("https://user:secret@host/ ghp_" + "a1" * 20)
    looop.PlainText().feed(b"a\x1b[mb\r", last=True)
    looop.LastInput(0).typed(b"\x1b[Aa", 0, True, 1.0)
    looop.ReplyFilter().passed(b"\x1b[?1;2c", 0.0)
    looop.Canvas(20, 2).coming_modes(0.0)
    free = "re" not in sys.modules
    globals()["regexes"] = marshal.dumps((("of another machine", 0), {}))
    other = bool(looop.regex("x+").search("xx")) and "re" in sys.modules
    print(status, before == loaded > 500000, len(bytecode), len(pieces) > 400, left, *tables, free, other, flush=True)
    leave(0)
leave, os._exit = os._exit, settle
"""
        command = [sys.executable, "-SI", "-c", settled + text, self.looop_file, "version"]
        for pulse in ({}, {"pulse": "1"}):
            done = subprocess.run(command, env={**self.env, **pulse}, capture_output=True, check=True)
            self.assertEqual(
                done.stdout.decode().split("\n")[1], f"0 True 0 {bool(pulse)} [] {bool(pulse)} True True True True"
            )

    def test_a_fault_shows_its_lines(self):
        self.altered(SMALL.replace(b"return 0", b"return [][10 ** 3]"))
        out = self.call("version", code=1)
        self.assertIn('File "<looop>/looop.py", line 7, in main', out)
        self.assertIn("    return [][10 ** 3]\n", out)
        self.assertIn("IndexError", out)

    def test_every_way_to_run_it(self):
        version = self.call("version")
        self.assertRegex(version, r"^looop \d+\.\d+\.\d+\n$")
        self.assertEqual(self.call("version", program=[sys.executable]), version)
        self.assertEqual(self.call("version", program=["sh"]), version)
        os.symlink(self.looop_file, os.path.join(self.bin, "looop"))
        done = subprocess.run(["looop", "version"], env=self.env, capture_output=True, check=True, cwd="/")
        self.assertEqual(done.stdout.decode(), version)

    def test_output_that_nobody_reads(self):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {self.looop_file} help | true"],
            env=self.env,
            capture_output=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        if os.path.exists("/dev/full"):
            done = subprocess.run(
                ["bash", "-c", f"{self.looop_file} version >/dev/full"], env=self.env, capture_output=True, check=False
            )
            self.assertEqual(done.returncode, 1)

    # --- which Python

    def remember(self, text):
        folder = os.path.join(self.home, ".cache", "looop")
        os.makedirs(folder, 0o700, exist_ok=True)
        with open(os.path.join(folder, "python"), "w") as file:
            file.write(text)

    def test_the_python_that_was_found_when_it_was_installed(self):
        fake = os.path.join(self.home, "a python")
        self.executable(fake, f'#!/bin/sh\necho remembered >&2\nexec "{sys.executable}" "$@"\n')
        self.assertNotIn("remembered", self.call("version"))
        self.remember(fake + "\n")
        self.assertIn("remembered", self.call("version"))
        self.assertIn("remembered", self.call("version", env={"PATH": self.only("sh")}))
        self.assertNotIn("remembered", self.call("version", env={"XDG_CACHE_HOME": self.home}))
        os.unlink(fake)
        self.assertNotIn("remembered", self.call("version"), "it is gone: python3 then")
        self.remember("")
        self.call("version")

    def test_what_the_current_folder_remembers_is_not_run(self):
        fake = os.path.join(self.home, "fake")
        self.executable(fake, "#!/bin/sh\necho remembered\n")
        for folder in ("here/looop", ".cache/looop", "there/.cache/looop"):
            os.makedirs(os.path.join(self.home, folder), 0o700, exist_ok=True)
            with open(os.path.join(self.home, folder, "python"), "w") as file:
                file.write(fake + "\n")
        self.assertIn("remembered", self.call("version"))
        for env in ({"XDG_CACHE_HOME": "here", "HOME": "/"}, {"HOME": "there"}, {"HOME": "."}):
            self.assertIn("looop ", self.call("version", env=env), env)
        os.unlink(os.path.join(self.home, ".cache", "looop", "python"))
        self.assertIn("looop ", self.call("version", env={"XDG_CACHE_HOME": "here"}))

    @needs_root
    def test_what_somebody_else_has_written_down_is_not_run(self):
        fake = os.path.join(self.home, "fake")
        self.executable(fake, "#!/bin/sh\necho remembered\n")
        self.remember(fake + "\n")
        self.assertIn("remembered", self.call("version"))
        os.chown(os.path.join(self.home, ".cache", "looop", "python"), 65534, 65534)
        self.assertNotIn("remembered", self.call("version"))

    def test_no_python(self):
        out = self.call("version", env={"PATH": self.only("sh")}, code=1)
        self.assertRegex(out, r"^looop: python3: not on PATH: install Python 3\.9 or newer .*\n$")

    def test_a_python_that_has_another_name(self):
        folder = self.only("sh")
        os.symlink(sys.executable, os.path.join(folder, f"python3.{sys.version_info[1]}"))
        self.assertIn("looop ", self.call("version", env={"PATH": folder}))

    def old(self):
        found = pythons((6, 7, 8))
        if not found:
            self.skipTest("no Python 3.6 to 3.8 is on this machine")
        return found

    def test_a_python_that_is_too_old(self):
        folder = self.only("sh")
        for minor, path in self.old().items():
            if os.path.lexists(os.path.join(folder, "python3")):
                os.unlink(os.path.join(folder, "python3"))
            os.symlink(path, os.path.join(folder, "python3"))
            out = self.call("version", env={"PATH": folder}, code=1)
            self.assertRegex(
                out, rf"^looop: needs Python 3\.9 or newer, and \S+ is 3\.{minor}: install a newer one.*\n$"
            )
            self.assertIn("needs Python 3.9", self.call("version", program=[path], code=1, env={"PATH": folder}))

    def test_a_newer_python_beside_one_that_is_too_old(self):
        folder = self.only("sh")
        os.symlink(next(iter(self.old().values())), os.path.join(folder, "python3"))
        os.symlink(sys.executable, os.path.join(folder, f"python3.{sys.version_info[1]}"))
        self.assertRegex(self.call("version", env={"PATH": folder}), r"^looop \d+\.\d+\.\d+\n$")

    def test_python_2(self):
        versions = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
        candidates = [shutil.which("python2") or "", *glob.glob(f"{versions}/2.*/bin/python")]
        found = next(filter(runs, candidates), None)
        if not found:
            self.skipTest("no Python 2 is on this machine")
        out = self.call("version", program=[found], code=1, env={"PATH": self.only("sh")})
        self.assertRegex(out, r"^looop: needs Python 3\.9 or newer, and \S+ is 2\.\d+: install a newer one.*\n$")

    # --- a Python for which it has no bytecode

    def cached(self):
        return glob.glob(os.path.join(self.home, ".cache", "looop", "code-*.bin"))

    def test_what_is_compiled_is_kept(self):
        self.altered(SMALL, foreign=True)
        self.call("version")
        (path,) = self.cached()
        self.assertIn(MAGIC, path)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(path)).st_mode & 0o777, 0o700)
        before = os.stat(path)
        self.call("version")
        self.assertEqual(os.stat(path).st_mtime_ns, before.st_mtime_ns)
        self.assertEqual(self.cached(), [path])

    def poisoned(self):
        """Put code into the cache that says so when it is run, and return the file's path."""
        import binascii

        self.altered(SMALL, foreign=True)
        self.call("version")
        (path,) = self.cached()
        poison = compile("import sys; print('poisoned'); main = lambda: 0", "x", "exec")
        code = marshal.dumps(((poison, {}, (), (), b""), b""))
        with open(path, "wb") as file:
            file.write(binascii.crc32(code).to_bytes(4, "big") + code)
        self.assertIn("poisoned", self.call("version"), "the cache is what is run")
        return path

    def test_a_cache_lies_where_an_absolute_path_says(self):
        self.altered(SMALL, foreign=True)
        before = sorted(os.listdir(self.home))
        self.call("version", env={"HOME": "relative"})
        self.assertEqual(sorted(os.listdir(self.home)), before)
        self.call("version", env={"XDG_CACHE_HOME": "relative"})
        self.assertEqual(sorted(os.listdir(self.home)), sorted([*before, ".cache"]))
        (path,) = self.cached()
        os.unlink(path)
        os.symlink("elsewhere", path)
        self.call("version")
        self.assertTrue(os.path.islink(path), "a link is neither followed nor replaced")
        self.assertFalse(os.path.exists(os.path.join(os.path.dirname(path), "elsewhere")))
        self.assertEqual(os.listdir(os.path.dirname(path)), [os.path.basename(path)])

    def test_what_others_could_have_written_is_not_run(self):
        path = self.poisoned()
        for target, mode in ((path, 0o620), (path, 0o602), (os.path.dirname(path), 0o770)):
            before = os.stat(target).st_mode & 0o777
            os.chmod(target, mode)
            with open(path, "rb") as file:
                poison = file.read()
            self.assertIn("looop ", self.call("version"), (target, mode))
            with open(path, "wb") as file:  # it was compiled anew
                file.write(poison)
            os.chmod(path, 0o600)
            os.chmod(os.path.dirname(path), 0o700)
            self.assertEqual(os.stat(target).st_mode & 0o777, before)
        if os.geteuid() == 0:
            os.chown(path, 65534, -1)
            self.assertIn("looop ", self.call("version"))

    def test_a_cache_that_is_torn(self):
        path = self.poisoned()
        for size in (0, 3, 4, 1000):
            with open(path, "r+b") as file:
                file.truncate(size)
            self.assertIn("looop ", self.call("version"), size)

    def test_a_cache_that_is_not_wanted_or_cannot_be(self):
        self.altered(SMALL, foreign=True)
        self.assertIn("looop ", self.call("version", env={"PYTHONDONTWRITEBYTECODE": "1"}))
        self.assertEqual(self.cached(), [])
        with open(os.path.join(self.home, ".cache"), "w"):
            pass
        self.assertIn("looop ", self.call("version"), "a file is where the cache should be")
        self.assertIn("looop ", self.call("version", env={"XDG_CACHE_HOME": "/proc/self"}))

    # --- another file in its place

    def test_replacing_it_disturbs_nobody(self):
        """The pulse and a session run on while their file becomes another one, or is written over with garbage."""
        self.profile(sensors={"s": f"cat {self.home}/reading"})
        with open(os.path.join(self.home, "reading"), "w") as file:
            file.write('{"signal":1}')
        self.call("up", env={"LOOOP_INTERVAL": "1"})
        self.call("start-session", "box", "--command", "exec cat")
        pid = json.loads(self.call("status", "--json"))["pulse"]["pid"]
        wait_until(lambda: os.path.exists(self.path("events.jsonl")) and self.events("decided"), "its first beat")
        with open(self.looop_file, "r+b") as file:  # as `cp` and `curl -o` do
            file.write(b"#!/bin/sh\nexit 77\n" + b"\0" * os.path.getsize(self.looop_file))
        before = len(self.events("decided"))
        with open(os.path.join(self.home, "reading"), "w") as file:
            file.write('{"signal":2}')
        wait_until(lambda: len(self.events("decided")) > before, "a beat that decides")
        self.assertTrue(alive(pid))
        os.unlink(self.looop_file)
        newer = re.sub(r"\d", "9", build_zipapp.version_of(source()))
        self.put(of_version(newer))
        self.assertEqual(self.call("version"), f"looop {newer}\n")
        # the newer one and a session, a pulse of the older one
        self.call("send", "box", "to the old session")
        self.call("expect", "box", "to the old session")
        self.assertIn("to the old session", self.call("shot", "box"))
        self.assertTrue(json.loads(self.call("status", "--json"))["pulse"]["running"])
        # the older one and a session of the newer one
        self.call("start-session", "new", "--command", "exec cat")
        shutil.copy(self.built, self.looop_file)
        self.call("send", "new", "to the new session")
        self.call("expect", "new", "to the new session")
        rows = {row["id"]: row for row in json.loads(self.call("ls", "--json"))}
        self.assertTrue(rows["box"]["alive"] and rows["new"]["alive"])
        for name in ("box", "new"):
            self.call("kill", name)
        self.call("down")
        wait_until(lambda: not alive(pid), "the end of the pulse")

    def test_a_start_that_meets_the_replacement(self):
        """Whoever has begun to read one file and goes on in another runs one, whole, or fails."""
        places = os.path.getsize(self.looop_file)
        with open(self.looop_file, "r+b") as file:
            data = file.read()
            at = data.index(b"PK\x03\x04")
            file.seek(at + 200)
            file.write(b"\0" * (places - at - 300))
        out = subprocess.run([self.looop_file, "version"], env=self.env, capture_output=True, check=False, timeout=120)
        self.assertNotEqual(out.returncode, 0)
        self.assertNotEqual(out.returncode, -signal.SIGSEGV)


if __name__ == "__main__":
    unittest.main()
