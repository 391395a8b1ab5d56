#!/usr/bin/env python3
"""Build `dist/looop`, looop as one executable file that starts fast, and `dist/looop.sha256` beside it.

    prelude            a shell script: finds Python, says so in words when there is none, and execs it on STUB
    __main__.py        BOOT, for `python3 dist/looop`
    looop-<magic>.bin  BOOT and looop, compiled by the Python that built the archive     (<magic>: its bytecode's)
    looop.py           the source: for every other Python, and for the lines of a traceback

What makes it fast: nothing but the few lines of STUB is compiled, neither `site` nor what runs a zip (`zipimport`,
`runpy`) is imported, and the process leaves without taking itself apart. It still is a zip that any tool can list.

The same tree and the same Python give the same bytes: fixed dates, nothing compressed, no path of the build inside, and
the compiler runs in a process of its own with a fixed hash seed, because what an interpreter has interned by then shows
in its marshalled code.

Limits: it holds the bytecode of one Python. Another version (from 3.9 on) compiles the source at every start, which is
correct and some 60 ms slower; there is no cache of the result yet. `python3` is looked for on PATH unless --python
names the interpreter to try first, and a version manager's shim found there costs what the shim costs.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import zipfile

ROOT = os.path.dirname(os.path.abspath(__file__))

# The file name in tracebacks. It holds no path of the build, and it exists nowhere, so that no file that happens to lie
# in the current directory is shown for it; Python then asks the module's __loader__ for the source.
ORIGIN = "<looop>/looop.py"

PRELUDE = """\
#!/bin/sh
# looop {version}. A zip archive follows this script: `unzip -p looop looop.py` shows the program.
python={python}
command -v "$python" >/dev/null 2>&1 || python=python3
command -v "$python" >/dev/null 2>&1 || {{
  echo "looop: python3: not found on PATH: install Python 3.9 or newer (apt install python3, brew install python)" >&2
  exit 1
}}
exec "$python" -SI -c '{stub}' "$0" "$@"
"""

# Compiled at every start, at about 1 ms per kilobyte: so it is short. No single quotes, and any Python 3 parses it, for
# BOOT to tell its age. The stamp in front of the bytecode keeps a start that coincides with an upgrade from reading the
# new file at the places of the old one. It leaves `code` behind: looop compiled, or None.
STUB = """# looop
import gc, sys, marshal
from _frozen_importlib_external import MAGIC_NUMBER
del sys.argv[0]
gc.disable()
offset, size, stamp = {{{places}}}.get(MAGIC_NUMBER.hex(), (0, 0, b"none"))
with open(sys.argv[0], "rb", 0) as file:
    file.seek(offset)
    code = memoryview(file.read(size))
if code[:{stamp_size}] == stamp:
    boot, code = marshal.loads(code[{stamp_size}:])
else:
    import zipimport
    boot, code = zipimport.zipimporter(sys.argv[0]).get_data("__main__.py"), None
exec(boot)
"""
STAMP = 16  # bytes: the first hex digits of the bytecode's SHA-256

# Runs looop as the module `looop` whose `__file__` is the archive: by that name looop hands itself to its children.
BOOT = f'''\
import sys
if sys.version_info < (3, 9):
    sys.exit("looop: needs Python 3.9 or newer, and %s is %d.%d: install a newer one, first on PATH"
             % ((sys.executable,) + sys.version_info[:2]))
import gc
import os
archive = os.path.abspath(sys.argv[0])

def member(name):
    from zipimport import zipimporter
    return zipimporter(archive).get_data(name)

def compiled():
    import marshal
    from _frozen_importlib_external import MAGIC_NUMBER
    try:
        return marshal.loads(member("looop-" + MAGIC_NUMBER.hex() + ".bin")[{STAMP}:])[1]
    except OSError:
        return compile(member("looop.py"), "{ORIGIN}", "exec", dont_inherit=True)

def excepthook(*raised):
    import traceback  # the interpreter itself shows the lines of files alone; traceback asks the loader
    traceback.print_exception(*raised)

sys.excepthook = excepthook
looop = sys.modules["looop"] = type(sys)("looop")
looop.__file__ = archive
looop.__loader__ = type("Archive", (), {{"get_source": lambda name: member("looop.py").decode()}})
exec(globals().get("code") or compiled(), looop.__dict__)
gc.enable()
status = looop.main()
try:
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
except OSError:
    status = status or 1
os._exit(status)  # taking the interpreter apart costs a quarter of a start; looop leaves no thread and no exit hook
'''

# Run by the interpreter whose bytecode is wanted: (its magic number, what the archive holds for it).
COMPILER = """\
import importlib.util, marshal, sys
boot, origin = sys.argv[1:]
source = sys.stdin.buffer.read()
codes = [compile(text, name, "exec", optimize=2) for text, name in ((boot, "<looop>/__main__.py"), (source, origin))]
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + marshal.dumps(codes))
"""


def compiled(source: bytes, interpreter: str) -> tuple[str, bytes]:
    """Return an interpreter's magic number, as hex, and its bytecode of BOOT and the source, with the stamp before it.

    Raise CalledProcessError when it cannot compile them; it has said why on stderr.
    """
    command = [interpreter, "-S", "-s", "-c", COMPILER, BOOT, ORIGIN]
    done = subprocess.run(command, input=source, stdout=subprocess.PIPE, check=True, env={"PYTHONHASHSEED": "0"})
    magic, bytecode = done.stdout[:4], done.stdout[4:]
    return magic.hex(), hashlib.sha256(bytecode).hexdigest()[:STAMP].encode() + bytecode


def version_of(source: bytes) -> str:
    """Return the VERSION that the source states (pure)."""
    line = next(line for line in source.decode().split("\n") if line.startswith("VERSION = "))
    return line.split('"')[1]


def prelude_of(version: str, python: str, places: dict[str, tuple[int, int, bytes]]) -> bytes:
    """Write the shell script (pure); `places`: offset, size and stamp by magic number. No offset changes its length."""
    table = ""
    for magic, (offset, size, stamp) in places.items():
        table += f'"{magic}": ({offset:9}, {size:9}, b"{stamp.decode()}"), '
    quoted = "'" + python.replace("'", "'\"'\"'") + "'"
    return PRELUDE.format(version=version, python=quoted, stub=STUB.format(places=table, stamp_size=STAMP)).encode()


def archive_of(source: bytes, bytecode: dict[str, bytes], python: str = "python3") -> bytes:
    """Put the archive together (pure): bytecode by magic number, and the interpreter that the prelude tries first."""
    version = version_of(source)
    places = {magic: (0, len(code), code[:STAMP]) for magic, code in bytecode.items()}
    start = len(prelude_of(version, python, places))
    members = {"__main__.py": BOOT.encode()}
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


def write_file(path: str, content: bytes, mode: int) -> None:
    """Replace a file in one step: a start that coincides reads the old one or the new."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.write(content)
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def build(out_dir: str, python: str = "python3") -> str:
    """Write `looop` and `looop.sha256` into a folder, which is made if need be; return the archive's path."""
    with open(os.path.join(ROOT, "looop.py"), "rb") as file:
        source = file.read()
    archive = archive_of(source, dict([compiled(source, sys.executable)]), python)
    os.makedirs(out_dir, exist_ok=True)
    path = os.path.join(out_dir, "looop")
    write_file(path, archive, 0o755)
    write_file(path + ".sha256", f"{hashlib.sha256(archive).hexdigest()}  looop\n".encode(), 0o644)
    return path


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build dist/looop and dist/looop.sha256.")
    parser.add_argument("--out", default=os.path.join(ROOT, "dist"), metavar="DIR", help="where to (default: dist)")
    parser.add_argument("--python", default="python3", metavar="PATH", help="the interpreter that is tried first")
    args = parser.parse_args()
    print(build(args.out, args.python))
    return 0


if __name__ == "__main__":
    sys.exit(main())
