"""Run the tests that docs/reliability.md names, whole, and print their figures: `python3 tests/figures.py [N]`.

N: those of one promise. It takes some 10 minutes on two cores, and exits 1 when a test fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEST = re.compile(r"`(tests(?:\.\w+)+)`")


def promises():
    """Return the names of the tests of each promise, as docs/reliability.md gives them: {number: names}."""
    with open(os.path.join(ROOT, "docs", "reliability.md"), encoding="utf-8") as file:
        parts = re.split(r"^## (\d+)\. ", file.read(), flags=re.MULTILINE)
    return {int(number): TEST.findall(text.split("\n## ")[0]) for number, text in zip(parts[1::2], parts[2::2])}


def figures(path):
    """Return the figures that tests have left in a file, each name once, in the order in which they came."""
    found = {}
    with open(path) as file:
        for line in file:
            name, number = json.loads(line)
            add = max if name.startswith("most ") else lambda a, b: a + b
            found[name] = add(found[name], number) if name in found else number
    return found


def main():
    """Run what was asked for; return the exit code."""
    wanted = [int(word) for word in sys.argv[1:]]
    failed = False
    for number, names in promises().items():
        if wanted and number not in wanted:
            continue
        with tempfile.NamedTemporaryFile(prefix="looop-figures-") as file:
            env = {**os.environ, "LOOOP_LONG": "1", "LOOOP_FIGURES": file.name}
            done = subprocess.run([sys.executable, "-m", "unittest", *names], cwd=ROOT, env=env, check=False)
            failed = failed or done.returncode != 0
            print(f"promise {number}: {'FAILED' if done.returncode else 'held'}")
            for name, value in figures(file.name).items():
                print(f"    {value:,} {name}")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
