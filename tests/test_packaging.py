"""The ways in: what pip, pipx and uv make of the checkout, a copy in somebody's dotfiles, and what the package says."""

import ast
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import looop
from tests.support import ROOT, Case, Terminal, forget, heavy, syntax, wait_until

PYTHONS = [f"3.{minor}" for minor in range(9, 15)]


def text_of(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def data_files():
    """Return what the package installs below its prefix: {folder: pattern}. No tomllib in Python 3.9 and 3.10."""
    section = text_of("pyproject.toml").partition("[tool.setuptools.data-files]")[2].partition("\n[")[0]
    return dict(re.findall(r'^"(.+?)" = \["(.+?)"\]$', section, re.MULTILINE))


class Metadata(unittest.TestCase):
    @heavy
    def test_nothing_but_the_standard_library_is_imported(self):
        if sys.version_info < (3, 10):
            self.skipTest("Python 3.9 has no list of its standard library")
        standard = sys.stdlib_module_names  # novermin
        self.addCleanup(forget)
        checked = 0
        for name in ("looop.py", "build_zipapp.py"):
            tree = syntax() if name == "looop.py" else ast.parse(text_of(name))
            for_checkers = [
                node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node)
            ]
            leave = {id(node) for block in for_checkers for node in ast.walk(block)}
            for node in ast.walk(tree):
                if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in leave:
                    names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                    self.assertLessEqual({name.split(".")[0] for name in names}, standard)
                    checked += 1
        self.assertGreater(checked, 100)

    def test_the_package_says_what_the_module_is(self):
        text = text_of("pyproject.toml")
        for line in (
            'name = "looop"',
            "dependencies = []",
            'version = { attr = "looop.VERSION" }',
            'looop = "looop:main"',
            'requires-python = ">=3.9"',
        ):
            self.assertIn(f"\n{line}\n", text)
        self.assertRegex(looop.VERSION, r"^\d+\.\d+\.\d+$")
        self.assertEqual(re.findall(r"Python :: (3\.\d+)", text), PYTHONS)

    @unittest.skipUnless(os.path.isdir(os.path.join(ROOT, ".github")), "a source distribution has no workflows")
    def test_the_workflows_test_the_same_pythons(self):
        matrix = re.search(r"python: \[(.+)\]", text_of(".github", "workflows", "ci.yml"))[1]
        self.assertEqual(re.findall(r'"(3\.\d+)"', matrix), PYTHONS)
        release = re.search(r"python-version: \|\n((?: +3\.\d+\n)+)", text_of(".github", "workflows", "release.yml"))[1]
        self.assertEqual(release.split(), PYTHONS)

    @unittest.skipUnless(os.path.isdir(os.path.join(ROOT, "completions")), "no completions here yet")
    def test_each_file_of_data_is_there(self):
        found = {folder: glob.glob(os.path.join(ROOT, pattern)) for folder, pattern in data_files().items()}
        names = sorted(os.path.relpath(path, ROOT) for paths in found.values() for path in paths)
        self.assertEqual(
            names, ["completions/_looop", "completions/looop.bash", "completions/looop.fish", "docs/looop.1"]
        )


class Way(Case):
    """One way of having looop: `program` is what a person calls."""

    named = False
    program = ""

    def command(self, *words):
        return [self.program, *words]

    def aside(self, *words):
        """Run a verb of the looop that other tests run, which is quick; return what it says."""
        command = Case.command(self, *words)
        done = subprocess.run(command, env=self.env, cwd=self.home, capture_output=True, check=True, timeout=120)
        return done.stdout.decode()

    def row(self, check):
        os.makedirs(self.data, mode=0o700, exist_ok=True)
        rows = [row for row in json.loads(self.doctor("--json")) if row["check"] == check]
        self.assertEqual([row["status"] for row in rows], ["ok"], rows)
        return rows[0]["text"]

    def check_a_worker_asks(self, executable):
        """Have a worker, in another folder, ask by what it was given, which shall be `executable`; answer it."""
        self.looop(
            "start-session", "w", "--command", 'cd /; echo "$LOOOP_BIN" >&2; "$LOOOP_BIN" ask "which?" || exit 9'
        )
        self.assertIn("which?", self.aside("asks", "--wait", "120s"))
        self.aside("answer", "1", "this one")
        self.aside("wait", "w", "--timeout", "120s")
        said = self.aside("log", "w")
        self.assertIn("this one", said)
        self.assertIn(executable, said)
        self.assertEqual(json.loads(self.aside("ls", "--json"))[0]["exit_code"], 0)


def bundled_pip():
    """Return the pip that comes with this Python as a wheel, which runs as it is; "" when it was taken out."""
    try:
        import ensurepip
    except ImportError:
        return ""
    bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    found = [path for folder in (bundled, "/usr/share/python-wheels") for path in glob.glob(f"{folder}/pip-*.whl")]
    return found[0] if found else ""


def write_wheel(path):
    """Write the wheel of looop as a build makes it: building one needs a package that may not be here."""
    info = f"looop-{looop.VERSION}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("looop.py", text_of("looop.py"))
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: looop\nVersion: {looop.VERSION}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nlooop = looop:main\n")
        wheel.writestr(f"{info}/RECORD", "")


@heavy
@unittest.skipUnless(bundled_pip(), "this Python comes without pip: apt install python3-venv")
class Installed(Way):
    """By pip, into an environment of its own, without a network."""

    @classmethod
    def setUpClass(cls):
        cls.prefix = os.path.realpath(tempfile.mkdtemp(prefix="looop-pip-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        wheel = os.path.join(cls.prefix, f"looop-{looop.VERSION}-py3-none-any.whl")
        write_wheel(wheel)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", cls.prefix], check=True)
        cls.python = os.path.join(cls.prefix, "bin", "python3")
        pip = [cls.python, os.path.join(bundled_pip(), "pip"), "--isolated", "--disable-pip-version-check"]
        options = ["--quiet", "--no-index", "--no-deps", "--no-cache-dir"]
        env = {**os.environ, "TMPDIR": cls.prefix}  # what some leave there goes with it
        subprocess.run([*pip, "install", *options, wheel], check=True, stderr=subprocess.PIPE, env=env)
        cls.program = os.path.join(cls.prefix, "bin", "looop")

    def test_its_script_is_what_children_and_schedulers_are_given(self):
        self.assertEqual(self.looop("version"), f"looop {looop.VERSION}\n")
        os.symlink(self.program, os.path.join(self.bin, "looop"))  # as pipx and uv do
        self.assertIn(f"installed as a module, started by {self.program}", self.row("looop"))
        self.assertIn(f'ExecStart="{self.program}" "tick"', self.looop("service", "print", "systemd"))
        self.check_a_worker_asks(self.program)

    def test_as_a_module(self):
        self.program = os.path.join(self.bin, "as-a-module")
        with open(self.program, "w") as file:
            file.write(f'#!/bin/sh\nexec {self.python} -m looop "$@"\n')
        os.chmod(self.program, 0o755)
        self.assertIn("looop: a control loop", self.looop("help"))
        self.profile(sensors={"s": 'printf \'{"signal":"%s"}\' "$LOOOP_BIN"'})
        self.assertIn(os.path.join(self.prefix, "bin", "looop"), self.looop("sensor", "test", "s"))

    def test_a_script_that_is_not_its_own_is_left_alone(self):
        module = glob.glob(f"{self.prefix}/lib/python3*/site-packages/looop.py")[0]
        self.assertEqual(looop.installed_script(module), self.program)
        self.assertEqual(looop.installed_script(os.path.join(ROOT, "looop.py")), "")
        aside = os.path.join(self.home, "lib", "python3.9", "site-packages")
        os.makedirs(aside)
        shutil.copy(module, aside)
        shutil.copy("/bin/sh", os.path.join(self.bin, "looop"))
        self.assertEqual(looop.installed_script(os.path.join(aside, "looop.py")), "")
        self.assertIn("python3 -m looop", looop.how_it_runs(os.path.join(aside, "looop.py")))


@heavy
class Copied(Way):
    """`looop.py` alone in a dotfiles folder, without its suffix, and a link to it on PATH."""

    long = True

    def setUp(self):
        super().setUp()
        self.copy = os.path.join(self.home, "dotfiles", "bin", "looop")
        os.makedirs(os.path.dirname(self.copy))
        shutil.copy(os.path.join(ROOT, "looop.py"), self.copy)
        os.chmod(self.copy, 0o755)
        self.program = os.path.join(self.bin, "looop")
        os.symlink("../dotfiles/bin/looop", self.program)

    def test_everything_works(self):
        self.profile()
        self.assertEqual(self.tick()["outcome"], "noop")
        told = self.row("looop")
        self.assertIn(f"{self.program} → {self.copy}, a copy of the source: compiled at every start", told)
        self.assertIn("install.sh", told)
        self.assertIn(f'"-SI" "{self.program}" "tick"', self.looop("service", "print", "systemd"))
        self.check_a_worker_asks(self.program)
        self.assertEqual(os.listdir(os.path.dirname(self.copy)), ["looop"], "nothing is left beside it")

    @heavy
    def test_the_pulse_and_a_viewer(self):
        self.looop("up")
        wait_until(lambda: os.path.exists(self.path("events.jsonl")) and self.events("tick_start"), "a beat")
        self.aside("start-session", "box", "--command", "echo hello; cat")
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        terminal.run(self.command("attach", "box"), self.env, self.home)
        terminal.wait_text("hello")
        terminal.type(b"\x1c\x1c")
        self.assertEqual(terminal.end(), 0)
        self.looop("down")
        self.assertFalse(json.loads(self.aside("status", "--json"))["pulse"]["running"])

    def test_what_cannot_start_by_itself_gets_a_launcher(self):
        """Not executable; or `python3` on PATH is another Python than the one that runs."""
        profile = looop.open_profile(self.env, self.copy)
        self.assertEqual(profile.executable(), self.copy)
        os.remove(os.path.join(self.bin, "python3"))
        with open(os.path.join(self.bin, "python3"), "w") as file:
            file.write("#!/bin/sh\necho 'python3: pyenv: version 2.7 is not installed' >&2\nexit 127\n")
        os.chmod(os.path.join(self.bin, "python3"), 0o755)
        first = profile.executable()
        os.chmod(self.copy, 0o644)
        self.assertEqual(profile.executable(), first)
        other = looop.open_profile(self.env, os.path.join(ROOT, "tests", "..", "looop.py"))
        self.assertNotEqual(other.executable(), first)
        for launcher in (first, other.executable()):
            self.assertEqual(os.path.dirname(launcher), os.path.join(self.home, ".cache", "looop"))
            out = subprocess.run([launcher, "version"], env=self.env, cwd="/", capture_output=True, check=True).stdout
            self.assertEqual(out, f"looop {looop.VERSION}\n".encode())

    def test_by_its_path_and_as_a_module(self):
        shutil.copy(self.copy, self.copy + ".py")
        os.chmod(self.copy + ".py", 0o644)
        env = {**self.env, "PYTHONPATH": os.path.dirname(self.copy), "PYTHONDONTWRITEBYTECODE": "1"}
        for words in ([self.copy + ".py"], ["-m", "looop"]):
            out = subprocess.run([sys.executable, *words, "version"], env=env, cwd="/", capture_output=True, check=True)
            self.assertEqual(out.stdout, f"looop {looop.VERSION}\n".encode())


REGISTRY = os.environ.get("LOOOP_REGISTRY") == "1"


@unittest.skipUnless(REGISTRY, "LOOOP_REGISTRY=1 says that pip can fetch setuptools, and pipx and uv be run")
class Ecosystem(Way):
    """The checkout, as a person installs it."""

    long = True

    @classmethod
    def setUpClass(cls):
        cls.scratch = os.path.realpath(tempfile.mkdtemp(prefix="looop-ways-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch)
        cls.checkout = os.path.join(cls.scratch, "checkout")
        leave = shutil.ignore_patterns(".git", ".venv", "dist", "build", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT, cls.checkout, ignore=leave)
        for words in (["init", "--quiet"], ["add", "--all"]):
            subprocess.run(["git", "-C", cls.checkout, *words], check=True)
        cls.tracked = cls.git("status", "--porcelain")

    @classmethod
    def git(cls, *words):
        return subprocess.run(["git", "-C", cls.checkout, *words], capture_output=True, check=True).stdout

    def run_tool(self, *command, **env):
        done = subprocess.run(
            command, env={**os.environ, **env}, cwd=self.scratch, capture_output=True, check=False, timeout=300
        )
        self.assertEqual(done.returncode, 0, (command, done.stdout.decode(), done.stderr.decode()))
        return done.stdout.decode()

    def tool(self, name):
        """Return the path of pipx or uv: beside this Python, or on PATH."""
        beside = os.path.join(os.path.dirname(sys.executable), name)
        found = beside if os.access(beside, os.X_OK) else shutil.which(name)
        if not found:
            self.skipTest(f"{name} is not installed: pip install {name}")
        return found

    def check_way(self, program, prefix):
        self.program = program
        self.assertEqual(self.looop("version"), f"looop {looop.VERSION}\n")
        self.assertIn("looop: a control loop", self.looop("help"))
        self.assertIn("installed as a module", self.row("looop"))
        self.check_a_worker_asks(os.path.join(prefix, "bin", "looop"))
        for folder, pattern in data_files().items():
            for path in glob.glob(os.path.join(ROOT, pattern)):
                self.assertTrue(os.path.exists(os.path.join(prefix, folder, os.path.basename(path))), (folder, path))
        self.assertEqual(self.git("status", "--porcelain"), self.tracked, "what a build leaves is ignored by git")

    def test_pip(self):
        prefix = os.path.join(self.scratch, "venv")
        self.run_tool(sys.executable, "-m", "venv", prefix)
        python = os.path.join(prefix, "bin", "python3")
        self.run_tool(python, "-m", "pip", "install", "--quiet", self.checkout)
        self.assertEqual(self.run_tool(python, "-m", "looop", "version"), f"looop {looop.VERSION}\n")
        shown = self.run_tool(python, "-m", "pip", "show", "looop")
        self.assertIn(f"Version: {looop.VERSION}\n", shown)
        self.assertRegex(shown, r"(?m)^Requires: *$")
        self.check_way(os.path.join(prefix, "bin", "looop"), prefix)

    def test_pipx(self):
        pipx, home = self.tool("pipx"), os.path.join(self.scratch, "pipx")
        env = {"PIPX_HOME": home, "PIPX_BIN_DIR": f"{home}/bin", "PIPX_MAN_DIR": f"{home}/man"}
        self.run_tool(pipx, "install", "--python", sys.executable, self.checkout, **env)
        self.check_way(f"{home}/bin/looop", f"{home}/venvs/looop")
        pages = [os.path.basename(path) for path in glob.glob(os.path.join(ROOT, "docs", "*.1"))]
        self.assertEqual([page for page in pages if not os.path.exists(f"{home}/man/man1/{page}")], [])

    def test_uv(self):
        uv, home = self.tool("uv"), os.path.join(self.scratch, "uv")
        env = {"UV_TOOL_DIR": f"{home}/tools", "UV_TOOL_BIN_DIR": f"{home}/bin", "UV_PYTHON_DOWNLOADS": "never"}
        self.run_tool(uv, "tool", "install", "--python", sys.executable, self.checkout, **env)
        self.check_way(f"{home}/bin/looop", f"{home}/tools/looop")

    def test_the_distributions_are_whole(self):
        out = os.path.join(self.scratch, "dist")
        self.run_tool(self.tool("uv"), "build", "--quiet", "--out-dir", out, self.checkout)
        import tarfile

        name = f"looop-{looop.VERSION}"
        with tarfile.open(f"{out}/{name}.tar.gz") as sdist:
            inside = set(sdist.getnames())
        wanted = self.git("ls-files").decode().split()
        kept = {f"{name}/{path}" for path in wanted if not path.startswith(".")}
        self.assertGreater(len(kept), 40)
        self.assertEqual(kept - inside, set())
        with zipfile.ZipFile(f"{out}/{name}-py3-none-any.whl") as wheel:
            metadata = wheel.read(f"{name}.dist-info/METADATA").decode()
            self.assertIn(f"{name}.dist-info/licenses/LICENSE", wheel.namelist())
            self.assertEqual(wheel.read("looop.py").decode(), text_of("looop.py"))
        self.assertIn(text_of("README.md").split("\n", 1)[0], metadata)
        self.assertNotIn("Requires-Dist", metadata)


if __name__ == "__main__":
    unittest.main()
