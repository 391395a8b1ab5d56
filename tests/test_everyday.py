"""Everyday work: what coding agents run in a clone that they may write goes on behind the walls as it does outside."""

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
import unittest
from typing import NamedTuple

import looop
from tests.support import CAPTURED, LONG, ROOT, Case, figure, heavy

MEASURED = looop.measure_walls(dict(os.environ))
NOTHING = f"nothing confines a command here: {MEASURED.why}"
PATH = f"{os.path.dirname(os.path.realpath(sys.executable))}:{os.environ.get('PATH', os.defpath)}"

# A small project in each language: no dependency, nothing from the network.
FILES = {
    "README.md": "# Calc\n\nTODO: say more\n",
    "NOTES.md": "notes\n",
    ".gitignore": "out/\ntarget/\nbuild/\n__pycache__/\n",
    "data/rows.csv": "name,n\none,1\ntwo,2\ntwo,2\n",
    "sh/run.sh": '#!/bin/sh\necho "it runs: $#"\n',
    "py/calc.py": 'def add(a: int, b: int) -> int:\n    """Add."""\n    return a + b  # TODO: floats\n',
    "py/test_calc.py": """
        import unittest

        from calc import add


        class Calc(unittest.TestCase):
            def test_add(self):
                self.assertEqual(add(1, 2), 3)


        if __name__ == "__main__":
            unittest.main()
        """,
    "py/test_pool.py": """
        import multiprocessing


        def test_pool():
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(abs, [-1, -2]) == [1, 2]


        if __name__ == "__main__":
            test_pool()
        """,
    "py/test_server.py": """
        import asyncio


        async def talk():
            async def answer(reader, writer):
                writer.write(await reader.readline())
                writer.close()

            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\\n")
            assert await reader.read() == b"hello\\n"
            writer.close()
            server.close()


        def test_server():
            asyncio.run(talk())


        if __name__ == "__main__":
            test_server()
        """,
    "js/package.json": """
        {
          "name": "calc",
          "version": "1.0.0",
          "private": true,
          "scripts": { "build": "mkdir -p dist && cp calc.js dist", "test": "node --test" }
        }
        """,
    "js/calc.js": "exports.add = (a, b) => a + b;\n",
    "js/calc.test.js": """
        const { test } = require("node:test");
        const assert = require("node:assert");
        const { add } = require("./calc");

        test("add", () => assert.strictEqual(add(1, 2), 3));
        """,
    "js/eslint.config.js": "module.exports = [];\n",
    "js/server.js": """
        const http = require("http");
        const server = http.createServer((_, response) => response.end("hello"));
        server.listen(0, "127.0.0.1", async () => {
          const answer = await fetch(`http://127.0.0.1:${server.address().port}`);
          process.exitCode = (await answer.text()) === "hello" ? 0 : 1;
          server.closeAllConnections();
          server.close();
        });
        """,
    "js/worker.js": """
        const { fork } = require("child_process");
        if (process.send) process.send("hello", () => process.disconnect());
        else fork(__filename).on("message", (text) => console.log(text));
        """,
    "ts/tsconfig.json": '{ "compilerOptions": { "outDir": "out", "strict": true, "types": [] } }\n',
    "ts/calc.ts": "export const add = (a: number, b: number): number => a + b;\n",
    "go/go.mod": "module example.com/calc\n\ngo 1.18\n",
    "go/calc.go": "// Package calc adds.\npackage calc\n\n// Add adds.\nfunc Add(a, b int) int { return a + b }\n",
    "go/calc_test.go": """
        package calc

        import (
        \t"net"
        \t"testing"
        )

        func TestAdd(t *testing.T) {
        \tif Add(1, 2) != 3 {
        \t\tt.Fatal("sum")
        \t}
        }

        func TestServer(t *testing.T) {
        \tlistener, err := net.Listen("tcp", "127.0.0.1:0")
        \tif err != nil {
        \t\tt.Fatal(err)
        \t}
        \tdefer listener.Close()
        \tif _, err := net.Dial("tcp", listener.Addr().String()); err != nil {
        \t\tt.Fatal(err)
        \t}
        }

        func BenchmarkAdd(b *testing.B) {
        \tfor i := 0; i < b.N; i++ {
        \t\tAdd(i, i)
        \t}
        }
        """,
    "go/cmd/app/main.go": """
        package main

        import (
        \t"fmt"

        \t"example.com/calc"
        )

        func main() { fmt.Println(calc.Add(1, 2)) }
        """,
    "rust/Cargo.toml": '[package]\nname = "calc"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n',
    "rust/src/lib.rs": """
        //! Adds.

        /// Add.
        pub fn add(a: i32, b: i32) -> i32 {
            a + b
        }

        #[cfg(test)]
        mod tests {
            #[test]
            fn add() {
                assert_eq!(super::add(1, 2), 3);
            }
        }
        """,
    "rust/src/main.rs": 'fn main() {\n    println!("{}", 1 + 2);\n}\n',
    "c/calc.h": "int add(int a, int b);\n",
    "c/calc.c": '#include "calc.h"\n\nint add(int a, int b) { return a + b; }\n',
    "c/test.c": '#include "calc.h"\n\nint main(void) { return add(1, 2) != 3; }\n',
    "c/Makefile": """
        t: test.c calc.c calc.h
        \tcc -o t test.c calc.c

        test: t
        \t./t

        clean:
        \trm -f t
        """,
    "c/CMakeLists.txt": """
        cmake_minimum_required(VERSION 3.10)
        project(calc C)
        enable_testing()
        add_executable(t test.c calc.c)
        add_test(NAME calc COMMAND t)
        """,
    "ruby/calc.rb": "def add(a, b) = a + b\n",
    "ruby/test_calc.rb": 'require_relative "calc"\nraise "sum" unless add(1, 2) == 3\n',
    "perl/lib/Calc.pm": "package Calc;\nuse strict;\nsub add { return $_[0] + $_[1] }\n1;\n",
    "perl/t/calc.t": "use strict;\nuse Test::More tests => 1;\nuse Calc;\nis(Calc::add(1, 2), 3);\n",
    "java/Calc.java": "class Calc {\n    static int add(int a, int b) {\n        return a + b;\n    }\n}\n",
    "java/CalcTest.java": """
        class CalcTest {
            public static void main(String[] args) {
                if (Calc.add(1, 2) != 3) throw new AssertionError();
            }
        }
        """,
}
BESIDE = {"ts", "rust", "c", "ruby", "perl", "java"}  # not in git, and copied for their rows alone
HISTORY = r"""
git init -q -b main --template= && mkdir .git/hooks && git config user.name Dev && git config user.email dev@example.com
git add NOTES.md && git commit -qm "Notes" && git add -A && git commit -qm "Calc"
git switch -qc side && echo side > SIDE.md && git add -A && git commit -qm "Side" && git switch -q main
echo more >> NOTES.md && git commit -qam "More notes" && git gc -q && sed -i 's/Add\./Add two numbers./' py/calc.py
"""


class Row(NamedTuple):
    """A command of the table."""

    folder: str
    needs: str
    codes: list[int]  # its exit code outside the walls, behind them, and behind those without namespaces
    slow: bool
    command: str


def table():
    """Return the rows of the table."""
    rows = []
    with open(os.path.join(CAPTURED, "everyday.tsv"), encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                folder, needs, code, pace, command = line.rstrip("\n").split("\t")
                codes = [int(one) for one in code.split("/")]
                codes += codes[-1:] * (3 - len(codes))
                rows.append(Row(folder, needs, codes, pace == "slow", command.replace("\u2424", "\n")))
    return rows


@functools.cache
def missing_tool(need):
    """Return what is not there of a program, or of a Python module, "" when it is."""
    program, _, module = need.partition(":")
    if not shutil.which(program, path=PATH):
        return program
    return module if module and not importlib.util.find_spec(module) else ""


def missing_tools(rows):
    """Return each tool that is not there, with how many rows need it."""
    gone = {}
    for row in rows:
        for tool in filter(None, map(missing_tool, row.needs.split())):
            gone[tool] = gone.get(tool, 0) + 1
    return gone


class Everyday(Case):
    """The table, run behind the walls."""

    git = True

    def setUp(self):
        super().setUp()
        self.profile({}, config={"default": "builtin"})
        self.first = f"{self.home}/first"
        for name, text in FILES.items():
            path = f"{self.home}/beside/{name}" if name.partition("/")[0] in BESIDE else f"{self.first}/{name}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(textwrap.dedent(text).lstrip("\n"))
        self.tools = {
            "PATH": PATH,
            "GIT_CONFIG_NOSYSTEM": "1",
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", os.path.expanduser("~/.rustup")),
            "GOFLAGS": "-mod=mod",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
        }
        env = {**self.env, **self.tools}
        subprocess.run(["/bin/sh", "-ec", HISTORY], cwd=self.first, env=env, check=True, stdout=subprocess.DEVNULL)
        self.clone, self.traits = f"{self.home}/clone", {}

    def make_clone(self, folder):
        """Have the clone as it was at first; it is made anew only after something has changed in it."""
        if folder in BESIDE or not self.traits or self.traits != self.look():
            shutil.rmtree(self.clone, ignore_errors=True)
            shutil.copytree(self.first, self.clone, symlinks=True)
            if folder in BESIDE:
                shutil.copytree(f"{self.home}/beside/{folder}", f"{self.clone}/{folder}")
            self.traits = self.look()

    def look(self):
        """Return what shows a change of any file or folder of the clone."""
        paths = [f"{folder}/{name}" for folder, _, names in os.walk(self.clone) for name in [".", *names]]
        return {path: ((s := os.lstat(path)).st_ino, s.st_mtime_ns, s.st_size, s.st_mode) for path in paths}

    def run_row(self, row, walls):
        """Run a command in a fresh clone, as a shell move does; return its result. `walls`: None outside them."""
        self.make_clone(row.folder)
        home = f"{self.home}/home-{'outside' if walls is None else 'behind'}"
        os.makedirs(home, exist_ok=True)
        env = {**self.env, **self.tools, "HOME": home}
        profile = looop.open_profile(env, os.path.join(ROOT, "looop.py"))
        command = f"cd {self.clone}/{row.folder} && {row.command}"
        job = looop.Job("everyday", ["/bin/sh", "-c", command], profile.child_env(), 300.0, orphans=True)
        if walls is None:
            return looop.run_job(job.replace(tidy=True))
        grant = looop.grant_of(profile, self.clone).replace(walls=walls)
        (ended,) = looop.run_confined(profile, [looop.confined_job(profile, job, grant)])
        self.assertEqual(profile.warned, set(), row.command)
        return ended

    def files(self):
        """Return the names of what a command has left in the clone, beside what git keeps for itself."""
        found = set()
        for folder, folders, names in os.walk(self.clone):
            folders[:] = [name for name in folders if name not in (".git", "incremental", ".fingerprint", "deps")]
            found |= {os.path.relpath(f"{folder}/{name}", self.clone) for name in names}
        return found

    def all_end(self, rows, walls, compare=False):
        """Run each row behind walls, and demand its exit code; `compare`: and that it leaves the same as outside."""
        ran, others = 0, []
        for row in rows:
            if any(map(missing_tool, row.needs.split())):
                continue
            ran += 1
            ended, left = self.run_row(row, walls), self.files()
            result = (ended.why, ended.code)
            code = row.codes[1 if walls.namespaces else 2]
            if b"SemLock" in ended.out + ended.err and self.home.startswith("/dev/shm/"):
                with self.subTest(row.command):
                    self.skipTest("semaphores need /dev/shm itself, and only folders in it are granted")
            elif result != ("exit", code):
                others.append((row.command, code, result, ended.out[-600:], ended.err[-600:]))
            if compare and code == row.codes[0] == ended.code:
                bare = self.run_row(row, None)
                self.assertEqual((bare.why, bare.code), ("exit", code), (row.command, bare.out, bare.err))
                self.assertEqual(left, self.files(), row.command)
        self.assertEqual(others, [], f"{len(others)} of {ran} end in another way")
        return ran

    @heavy
    @unittest.skipUnless(MEASURED.confines, NOTHING)
    def test_what_is_quick(self):
        """Every second quick row: the heavy tests run all of them."""
        self.all_end([row for row in table() if not row.slow][::2], MEASURED)

    @unittest.skipUnless(LONG, "LOOOP_LONG=1 runs it: compilers of eight languages take ten minutes")
    @unittest.skipUnless(MEASURED.confines, NOTHING)
    def test_each_leaves_what_it_leaves_outside(self):
        figure("everyday commands behind the walls", self.all_end(table(), MEASURED, compare=True))

    @unittest.skipUnless(LONG, "LOOOP_LONG=1 runs it: compilers of eight languages take ten minutes")
    @unittest.skipUnless(MEASURED.landlock, "no Landlock")
    def test_without_namespaces(self):
        figure("the same without namespaces", self.all_end(table(), looop.Walls(MEASURED.landlock)))

    def test_tools_that_are_missing(self):
        for tool, count in missing_tools(table()).items():
            with self.subTest(tool):
                self.skipTest(f"{tool} is not there: {count} everyday commands are left out")


class Table(unittest.TestCase):
    def test_rows(self):
        rows = table()
        self.assertEqual(len(rows), 150)
        self.assertEqual(len({(row.folder, row.command) for row in rows}), 150, "a command stands there twice")
        self.assertLessEqual({row.folder for row in rows}, {".", *(name.partition("/")[0] for name in FILES)})

    def test_verdicts(self):
        """Hardly any needs a yes: what discards work or removes files, and none is refused."""
        verdicts = {}
        for row in table():
            judgement = looop.judge_command(f"cd /home/dev/clone/{row.folder} && {row.command}")
            verdicts.setdefault(judgement.verdict, []).append((row.command, judgement.reason))
        for verdict, commands in verdicts.items():
            figure(f"everyday commands {verdict}", len(commands))
        self.assertLessEqual(set(verdicts), {"known", "confined", "proposed"})
        self.assertLessEqual(len(verdicts["proposed"]), 15, verdicts["proposed"])
        self.assertGreaterEqual(len(verdicts["known"]), 20)
