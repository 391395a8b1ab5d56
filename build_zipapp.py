#!/usr/bin/env python3
"""Build `dist/looop`, looop as one executable file that starts fast, and what is released beside it.

    prelude            a shell script: finds Python, says so in words when there is none, and execs it on STUB
    __main__.py        BOOT, for `python3 dist/looop`
    looop-<magic>.bin  BOOT and looop, compiled; one for each Python that the build found    (<magic>: its bytecode's)
    looop.py           the source: for every other Python, and for the lines of a traceback

What makes it fast: nothing but the few lines of STUB is compiled, neither `site` nor what runs a zip (`zipimport`,
`runpy`) is imported, the process leaves without taking itself apart, and of looop itself a start loads what it uses.
It still is a zip that any tool can list.

**Pieces.** looop is one module of 800 functions and 100 classes, of which a verb uses some thirty; to load them all was
half of a start. So each function and each class of the module's top level is compiled by itself, and where it would
stand there is a `Piece`, which becomes the real one when it is first called, subclassed or looked into. What is left of
the module, its constants and tables, runs as it is. The pieces lie in memory: a file that is replaced, or written over,
under a running looop does not reach it. `tests/test_archive.py` holds the source to what makes this safe: no piece is
compared, or given a second name by a class; exceptions, which `except` must know, are no pieces.

A session's supervisor lives for days and uses an eighth of that: `compile_pieces` finds what `supervise` can come to
name, tables and constants too. A supervisor drops all others, and the bytecode, which is one object for that reason; a
pulse loads what its sessions use before it forks, so that they share it.

The same tree and the same Pythons give the same bytes: fixed dates, nothing compressed, no path of the build inside,
and the compiler runs in a process of its own with a fixed hash seed, because what an interpreter has interned by then
shows in its marshalled code.

A Python for which there is no bytecode compiles the source, once: the result is kept in a private folder of the cache,
and not used if anybody else could have written it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import inspect
import io
import os
import shutil
import subprocess
import sys
import zipfile

ROOT = os.path.dirname(os.path.abspath(__file__))

# The file name in tracebacks. It holds no path of the build, and it exists nowhere, so that no file that happens to lie
# in the current directory is shown for it; Python then asks the module's __loader__ for the source.
ORIGIN = "<looop>/looop.py"

OLDEST, NEWEST = 9, 14  # of the Pythons 3.x that looop runs on

# The interpreter: the one that the build was told, or the one that install.sh has found, or python3. What install.sh
# has found is read only if the file is the caller's own, and its path absolute: the current folder may be a stranger's.
PRELUDE = """\
#!/bin/sh
# looop {version}. A zip archive follows this script: `unzip -p looop looop.py` shows the program.
python={python}
[ -x "$python" ] || {{
  found=${{XDG_CACHE_HOME:-}}
  case $found in /*) ;; *) found=${{HOME:-}}/.cache ;; esac
  case $found in /*) found=$found/looop/python ;; *) found='' ;; esac
  [ -O "$found" ] && read -r python <"$found" && [ -x "$python" ] || python=python3
}}
command -v "$python" >/dev/null 2>&1 || for python in {names} none; do
  command -v "$python" >/dev/null 2>&1 && break
done
[ "$python" != none ] || {{
  echo "looop: python3: not on PATH: install Python 3.{oldest} or newer (apt install python3, brew install python)" >&2
  exit 1
}}
exec "$python" -SI -c '{stub}' "$0" "$@"
"""

# Compiled at every start, at about 1 ms per kilobyte: so it is short. No single quotes, and any Python 3 parses it, for
# BOOT to tell its age. The stamp in front of the bytecode keeps a start that coincides with an upgrade from reading the
# new file at the places of the old one. It leaves `code` behind: looop compiled, or None; and `tail`, which ends in the
# bytecode of the pieces: of a megabyte and more no second copy is made.
STUB = """# looop
import gc, sys, marshal
from _frozen_importlib_external import MAGIC_NUMBER
del sys.argv[0]
gc.disable()
offset, size, stamp = {{{places}}}.get(MAGIC_NUMBER.hex(), (0, 0, b"none"))
with open(sys.argv[0], "rb", 0) as file:
    file.seek(offset)
    tail = memoryview(file.read(size))
if tail[:{stamp_size}] == stamp:
    boot, code = marshal.loads(tail[{stamp_size}:])
else:
    import zipimport
    boot, code = zipimport.zipimporter(sys.argv[0]).get_data("__main__.py"), None
exec(boot)
"""
STAMP = 16  # bytes: the first hex digits of the bytecode's SHA-256

# Runs looop as the module `looop` whose `__file__` is the archive: by that name looop hands itself to its children.
# Any Python parses this, for it to tell its age.
BOOT = """\
import os
import sys
archive = os.path.abspath(sys.argv[0])
if sys.version_info < (3, {oldest}):
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for name in {names!r}.split():
            if os.access(os.path.join(folder, name), os.X_OK):
                os.execv(os.path.join(folder, name), [name, "-SI", archive] + sys.argv[1:])
    sys.exit("looop: needs Python 3.{oldest} or newer, and %s is %d.%d: install a newer one, first on PATH"
             % ((sys.executable,) + sys.version_info[:2]))
import gc
import marshal

def member(name):
    from zipimport import zipimporter
    return zipimporter(archive).get_data(name)

def compiled():
    from _frozen_importlib_external import MAGIC_NUMBER
    global tail
    try:
        tail = member("looop-" + MAGIC_NUMBER.hex() + ".bin")
        return marshal.loads(tail[{stamp}:])[1]
    except OSError:
        scope = {{}}
        exec(member("compiler.py"), scope)
        code, tail = scope["cached"](member("looop.py"), "{origin}", "{digest}-" + MAGIC_NUMBER.hex())
        return code

class Piece:
    __slots__ = ("__piece",)
    def __init__(self, name):
        self.__piece = name
    def __call__(self, *args, **named):
        return whole(self.__piece)(*args, **named)
    def __getattr__(self, name):
        return getattr(whole(self.__piece), name)
    def __instancecheck__(self, value):
        return isinstance(value, whole(self.__piece))
    def __mro_entries__(self, bases):
        return (whole(self.__piece),)

def whole(name):
    start = pieces.get(name)
    if start is not None:
        made = {{}}
        exec(marshal.loads(bytecode[start:]), looop.__dict__, made)
        if pieces.pop(name, None) is not None:  # else a signal's handler has called it, and was quicker
            looop.__dict__.update(made)
    return looop.__dict__[name]

def regex(pattern):
    import _sre
    global regexes
    if regexes and type(regexes) is bytes:
        fits, table = marshal.loads(regexes)
        regexes = table if fits == (sys.byteorder, _sre.MAGIC) else {{}}
    if pattern in regexes:
        flags, code = regexes[pattern][:2]
        return _sre.compile(pattern, flags, memoryview(code).cast("I").tolist(), *regexes[pattern][2:])

loaded = False
def load_lasting(alone):
    global bytecode, loaded
    first, loaded = not loaded, True
    if alone and first:  # the rest goes before, so that what is loaded finds its place there
        for name in set(looop.__dict__).difference(lasting, kept):
            if name[:2] != "__":
                del looop.__dict__[name]
        sys.path_importer_cache.clear()
        gc.unfreeze()
        gc.collect()  # a class lets go of itself in a collection alone
    for name in lasting if first else ():  # a pulse has done so, and shares it: what is not touched costs nothing
        whole(name)
    if alone and first:
        pieces.clear()
    if alone:
        bytecode = b""
    return first

def excepthook(*raised):
    import traceback  # the interpreter itself shows the lines of files alone; traceback asks the loader
    traceback.print_exception(*raised)

sys.excepthook = excepthook
looop = sys.modules["looop"] = type(sys)("looop")
looop.__file__ = archive
hooks = {{"get_source": lambda name: member("looop.py").decode(), "load_lasting": load_lasting, "regex": regex}}
looop.__loader__ = type("Archive", (), hooks)
rest, pieces, lasting, kept, regexes = globals().pop("code", None) or compiled()
bytecode = memoryview(globals().pop("tail"))
looop.__dict__.update(zip(pieces, map(Piece, pieces)))
exec(rest, looop.__dict__)
del rest
gc.freeze()  # what has been loaded stays: no collection looks at it, and a forked session shares it
gc.enable()
status = looop.main()
try:
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
except OSError:
    status = status or 1
os._exit(status)  # taking the interpreter apart costs a quarter of a start; looop leaves no thread and no exit hook
"""


# --- what lies in the archive as compiler.py, too: for a Python for which the build had no bytecode


def compile_pieces(source, origin):
    """Compile a module.

    Return (the code of its constants and tables; {name: how far before the end its code begins} of each function and
    class; the names of those that `supervise` can come to use; the other names that it uses; what `compile_patterns`
    returns) and all those codes, marshalled, in a row.
    """
    import __future__

    import ast
    import marshal

    tree = ast.parse(source)
    flags = __future__.annotations.compiler_flag
    defined = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(tree):  # nobody asks for what a function's arguments are while it runs
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None

    for name, node in defined.items():  # docstrings are left out, but that of a verb is its page
        if name.startswith("cmd_"):
            node.decorator_list[0].keywords.append(ast.keyword("page", ast.Constant(ast.get_docstring(node))))
    ast.fix_missing_locations(tree)

    def code_of(nodes):
        return compile(ast.Module(nodes, []), origin, "exec", flags, dont_inherit=True, optimize=2)

    def raised(node):
        names = [base.id for base in getattr(node, "bases", ()) if isinstance(base, ast.Name)]
        return any(name.endswith(("Error", "Exception")) or raised(defined.get(name)) for name in names)

    places, bytecode = {}, b""
    for name, node in defined.items():
        if not raised(node):
            places[name] = len(bytecode)
            bytecode += marshal.dumps(code_of([node]))
    left = [node for node in tree.body if getattr(node, "name", None) not in places]
    rest = code_of([node for node in left if getattr(node, "module", None) != "__future__"])
    for node in left:
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                defined[target.id] = node  # a constant uses others
    used, todo = set(), {"supervise"}  # names of its locals are among them: it is loaded, too, what is called the same
    while todo:
        used |= todo
        nodes = [node for name in todo & set(defined) for node in ast.walk(defined[name])]
        todo = {node.id for node in nodes if isinstance(node, ast.Name)} - used
    lasting, kept = tuple(name for name in places if name in used), tuple(sorted(used - set(places)))
    places = {name: place - len(bytecode) for name, place in places.items()}
    return (rest, places, lasting, kept, compile_patterns(source, tree, origin)), bytecode


def compile_patterns(source, tree, origin):
    """Compile the regular expressions of a module: what it gives to `regex`, where that is made of constants.

    Return, marshalled, (what they depend on, {pattern: the other arguments of `_sre.compile`}).
    """
    import _sre
    import array
    import ast
    import marshal
    import re  # noqa: F401  (loads the compiler)
    import sys
    import types

    module = types.ModuleType("looop")
    exec(compile(source, origin, "exec", optimize=0), module.__dict__)
    patterns = dict.fromkeys(getattr(module, "composed_patterns", list)())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "regex":
            try:
                patterns[eval(compile(ast.Expression(node.args[0]), origin, "eval"), module.__dict__)] = None
            except NameError:
                pass  # it is put together when it is needed
    compiler = sys.modules.get("re._compiler") or sys.modules["sre_compile"]  # the latter up to Python 3.10
    compiler._sre = types.SimpleNamespace(**{**vars(_sre), "compile": lambda pattern, *parts: parts})
    try:
        table = {}
        for pattern in patterns:
            flags, code, *groups = compiler.compile(pattern)
            table[pattern] = (int(flags), array.array("I", code).tobytes(), *groups)
    finally:
        compiler._sre = _sre
    return marshal.dumps(((sys.byteorder, _sre.MAGIC), table))


def cached(source, origin, name):
    """Compile a module, or take what was compiled before from the cache, if nobody else can have written it."""
    import binascii
    import marshal
    import os

    base = os.environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):  # a relative one is to be ignored
        if not os.environ.get("HOME", "/").startswith("/"):
            return compile_pieces(source, origin)
        base = os.path.expanduser("~/.cache")
    folder = f"{base}/looop"
    path = f"{folder}/code-{name}.bin"
    try:
        for checked in (folder, path):
            found = os.stat(checked)
            if found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise OSError
        with open(path, "rb") as file:
            crc, code = file.read(4), file.read()
        if binascii.crc32(code).to_bytes(4, "big") == crc:
            return marshal.loads(code)
    except OSError:
        pass
    parts = compile_pieces(source, origin)
    code = marshal.dumps(parts)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        if "PYTHONDONTWRITEBYTECODE" not in os.environ:
            os.makedirs(folder, 0o700, exist_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "wb") as file:
                file.write(binascii.crc32(code).to_bytes(4, "big") + code)
            if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
                os.unlink(temporary)
                raise OSError
            os.replace(temporary, path)
            found = (entry for entry in os.scandir(folder) if entry.name.startswith("code-"))
            for entry in sorted(found, key=lambda entry: entry.stat().st_mtime)[:-4]:  # of versions that are gone
                os.unlink(entry.path)
    except OSError:
        pass  # a cache that cannot be written costs time, and nothing else
    return parts


# --- the build

COMPILER = "\n\n".join(map(inspect.getsource, (compile_pieces, compile_patterns, cached)))

# Run by the interpreter whose bytecode is wanted: (its magic number, what the archive holds for it).
COMPILE = """\
import importlib.util, marshal, sys
boot, origin = sys.argv[1:]
code, bytecode = compile_pieces(sys.stdin.buffer.read(), origin)
code = compile(boot, "<looop>/__main__.py", "exec", optimize=2), code
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + marshal.dumps(code) + bytecode)
"""


def interpreters() -> list[str]:
    """Return a Python for each version that looop runs on, as far as this machine has it, the oldest first."""
    versions = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
    homes = sorted(os.listdir(versions)) if os.path.isdir(versions) else []
    candidates = [shutil.which(f"python3.{minor}") or "" for minor in range(OLDEST, NEWEST + 1)]
    candidates += [os.path.join(versions, home, "bin", "python3") for home in homes]
    found = {sys.version_info[1]: sys.executable}
    for candidate in filter(os.path.exists, candidates):
        command = [candidate, "-SIc", "import sys; print(*sys.version_info[:2], sys.executable)"]
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        major, minor, path = [*done.stdout.decode().split(" ", 2), "", "", ""][:3]
        if not done.returncode and major == "3" and OLDEST <= int(minor) <= NEWEST:
            found.setdefault(int(minor), path.strip())
    return [found[minor] for minor in sorted(found)]


def compiled(source: bytes, interpreter: str) -> tuple[str, bytes]:
    """Return an interpreter's magic number, as hex, and its bytecode of BOOT and the source, with the stamp before it.

    Raise CalledProcessError when it cannot compile them; it has said why on stderr.
    """
    lean = ["-S", "-s", "-X", "no_debug_ranges"]  # no columns of tracebacks: a twelfth of the bytecode
    command = [interpreter, *lean, "-c", COMPILER + COMPILE, boot_of(source), ORIGIN]
    done = subprocess.run(command, input=source, stdout=subprocess.PIPE, check=True, env={"PYTHONHASHSEED": "0"})
    magic, bytecode = done.stdout[:4], done.stdout[4:]
    return magic.hex(), hashlib.sha256(bytecode).hexdigest()[:STAMP].encode() + bytecode


def version_of(source: bytes) -> str:
    """Return the VERSION that the source states (pure)."""
    line = next(line for line in source.decode().split("\n") if line.startswith("VERSION = "))
    return line.split('"')[1]


def names_of_pythons() -> str:
    """Return the names that a Python which is new enough can have, the newest first (pure)."""
    return " ".join(f"python3.{minor}" for minor in range(NEWEST, OLDEST - 1, -1))


def boot_of(source: bytes) -> str:
    """Write BOOT for a source (pure)."""
    digest = hashlib.sha256(source).hexdigest()[:STAMP]
    return BOOT.format(oldest=OLDEST, names=names_of_pythons(), stamp=STAMP, origin=ORIGIN, digest=digest)


def prelude_of(version: str, python: str, places: dict[str, tuple[int, int, bytes]]) -> bytes:
    """Write the shell script (pure); `places`: offset, size and stamp by magic number. No offset changes its length."""
    table = ""
    for magic, (offset, size, stamp) in places.items():
        table += f'"{magic}": ({offset:9}, {size:9}, b"{stamp.decode()}"), '
    quoted = "'" + python.replace("'", "'\"'\"'") + "'"
    stub = STUB.format(places=table, stamp_size=STAMP)
    return PRELUDE.format(version=version, python=quoted, names=names_of_pythons(), oldest=OLDEST, stub=stub).encode()


def archive_of(source: bytes, bytecode: dict[str, bytes], python: str = "") -> bytes:
    """Put the archive together (pure): bytecode by magic number, and the interpreter that the prelude tries first."""
    version = version_of(source)
    places = {magic: (0, len(code), code[:STAMP]) for magic, code in bytecode.items()}
    start = len(prelude_of(version, python, places))
    members = {"__main__.py": boot_of(source).encode(), "compiler.py": COMPILER.encode()}
    members.update({f"looop-{magic}.bin": code for magic, code in bytecode.items()})
    members["looop.py"] = source
    buffer = io.BytesIO()
    ends = {}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, whatever the host
            info.external_attr = 0o100644 << 16
            file.writestr(info, content)
            ends[name] = start + buffer.tell()
    for magic, (_, size, stamp) in places.items():
        places[magic] = ends[f"looop-{magic}.bin"] - size, size, stamp
    return prelude_of(version, python, places) + buffer.getvalue()


def demand_file(path: str) -> None:
    """Refuse a path that is a device or a folder."""
    if os.path.exists(path) and not os.path.isfile(path):
        sys.exit(f"build_zipapp: {path}: is not a regular file: move it away")


def write_file(path: str, content: bytes, mode: int = 0o644) -> None:
    """Replace a file in one step: a start that coincides reads the old one or the new. Refuse a device, a folder."""
    demand_file(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
        file.write(content)
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def read_file(*names: str) -> bytes:
    """Return a file of the tree."""
    with open(os.path.join(ROOT, *names), "rb") as file:
        return file.read()


def build(out_dir: str, python: str = "", pythons: list[str] | None = None) -> str:
    """Write `looop` and `looop.sha256` into a folder, which is made if need be; return the archive's path."""
    path = os.path.join(out_dir, "looop")
    demand_file(path)  # before the work
    source = read_file("looop.py")
    bytecode = dict(compiled(source, interpreter) for interpreter in pythons or interpreters())
    archive = archive_of(source, bytecode, python)
    os.makedirs(out_dir, exist_ok=True)
    write_file(path, archive, 0o755)
    write_file(path + ".sha256", f"{hashlib.sha256(archive).hexdigest()}  looop\n".encode())
    return path


def is_same(path: str, python: str) -> bool:
    """Tell whether a file is what a build for the Python that runs this would write, without compiling anything.

    Its bytecode is taken for that of the source beside it, if its stamp fits.
    """
    magic = importlib.util.MAGIC_NUMBER.hex()
    try:
        with open(path, "rb") as file:
            content = file.read()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            bytecode = archive.read(f"looop-{magic}.bin")
    except (OSError, KeyError, zipfile.BadZipFile):
        return False
    fits = hashlib.sha256(bytecode[STAMP:]).hexdigest()[:STAMP].encode() == bytecode[:STAMP]
    return fits and archive_of(read_file("looop.py"), {magic: bytecode}, python) == content


def release(out_dir: str, base_url: str) -> None:
    """Write what is released beside the archive: the installer, which knows the address, man page and completions."""
    os.makedirs(os.path.join(out_dir, "completions"), exist_ok=True)
    for name in sorted(os.listdir(os.path.join(ROOT, "completions"))):
        write_file(os.path.join(out_dir, "completions", name), read_file("completions", name))
    write_file(os.path.join(out_dir, "looop.1"), read_file("docs", "looop.1"))
    unset, quoted = b"\nDEFAULT_BASE_URL=''\n", "'" + base_url.replace("'", "'\"'\"'") + "'"
    installer = read_file("install.sh")
    if installer.count(unset) != 1:
        raise ValueError("install.sh: has no line DEFAULT_BASE_URL=''")
    installer = installer.replace(unset, f"\nDEFAULT_BASE_URL={quoted}\n".encode())
    write_file(os.path.join(out_dir, "install.sh"), installer, 0o755)


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build dist/looop and what is released beside it.")
    parser.add_argument("--out", default=os.path.join(ROOT, "dist"), metavar="DIR", help="where to (default: dist)")
    parser.add_argument("--python", default="", metavar="PATH", help="the interpreter that is tried first")
    parser.add_argument("--only", action="store_true", help="the archive alone, for the Python that runs this")
    parser.add_argument("--same", metavar="FILE", help="write nothing; exit 0 if FILE is what --only would write")
    parser.add_argument("--base-url", default="", metavar="URL", help="where the release will lie, for its installer")
    args = parser.parse_args()
    if args.same:
        return 0 if is_same(args.same, args.python) else 1
    path = build(args.out, args.python, [sys.executable] if args.only else None)
    if not args.only:
        release(args.out, args.base_url)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
