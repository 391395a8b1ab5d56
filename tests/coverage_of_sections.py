"""Measure the branch coverage of every section of looop.py; fail when a pure one has less than all (`make coverage`).

    python tests/coverage_of_sections.py [NAME]...

Runs tests, each of the names below tests.test_ in a process of its own under coverage.py, and adds up what they reach.
What the looops that they start reach is not counted: a pure function is to be called with values, and its answer
compared. Without a NAME these are the tests that do so, and a pure section that is not whole fails; with some, the
figures are printed. Which tests reach what: `make coverage NAMES="text keys"`.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAMES = """
    text keys screen metering moves world prompt questions completions.Written manual.Pages manual.NextSteps
    manual.ManPage gate report
""".split()


def run(arguments, **options):
    """Run coverage.py with arguments in the project; return what came of it."""
    command = [sys.executable, "-m", "coverage", *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)


def measured(name, folder):
    """Run one module of tests under coverage.py; return (its name, seconds, what it printed where it failed)."""
    start = time.monotonic()
    data = os.path.join(folder, f"data.{name}")
    measure = ["run", "--branch", f"--data-file={data}", "--include=looop.py"]
    done = run([*measure, "-m", "unittest", f"tests.test_{name}"], env={**os.environ, "LOOOP_TEST_ARCHIVE": "none"})
    return name, time.monotonic() - start, done.stdout.decode() if done.returncode else ""


def sections():
    """Give (title, first line, the line after the last) of each section."""
    with open(os.path.join(ROOT, "looop.py"), encoding="utf-8") as file:
        lines = file.read().split("\n")
    starts = [
        (f"{match[1]:>2} {match[2]}", number)
        for number, line in enumerate(lines, 1)
        for match in [re.match(r"# (\d+)\. (.+)$", line)]
        if match and lines[number - 2].startswith("# ====")
    ]
    for (title, start), (_, end) in zip(starts, [*starts[1:], ("", len(lines) + 1)]):
        yield title, start, end


def report(found):
    """Print a row for each section; return the titles of the pure ones that are not whole."""
    short = []
    for title, start, end in sections():
        lines, missing, jumps, untaken = (
            [what for what in found[key] if start <= (what if isinstance(what, int) else what[0]) < end]
            for key in ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
        )
        reached = len(lines) + len(jumps)
        total = reached + len(missing) + len(untaken)
        pure = title.endswith("(pure)")
        print(f"{title:36} {100 * reached / max(total, 1):6.1f} %  of {total:5}", "" if reached < total else "whole")
        if pure and reached < total:
            short.append(title)
            print("     lines:", *missing)
            print("     jumps:", *(f"{here}->{there}" for here, there in untaken if here not in missing))
    return short


def main(names):
    """Run the names, several at a time, and print what they reach."""
    with tempfile.TemporaryDirectory(prefix="looop-coverage-") as folder:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = list(pool.map(lambda name: measured(name, folder), names or NAMES))
        for name, seconds, output in runs:
            print(f"tests.test_{name}: {seconds:.1f} s{', failed:' if output else ''}")
            print(output, end="")
        data = [os.path.join(folder, f"data.{name}") for name, _, _ in runs]
        combined, out = os.path.join(folder, "data"), os.path.join(folder, "found.json")
        for step in (["combine", f"--data-file={combined}", *data], ["json", f"--data-file={combined}", "-o", out]):
            done = run(step)
            if done.returncode:
                sys.exit(done.stdout.decode())
        with open(out, encoding="utf-8") as file:
            short = report(json.load(file)["files"]["looop.py"])
    failed = [name for name, _, output in runs if output]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}: what they reach is not all that they would")
    if short and not names:
        sys.exit(f"not whole: {', '.join(short)}: test what the rows name, or delete what nothing can reach")


if __name__ == "__main__":
    main(sys.argv[1:])
