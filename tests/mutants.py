"""Change a section of looop.py in one small place at a time, and see whether its tests notice (`make mutants`).

    python tests/mutants.py SECTION [N [SEED [NAME...]]]

Draws N changes of all that it knows to make: a comparison turned or moved by its edge, `and` for `or`, a condition
that always or never holds, `+` for `-`, a constant by one, a `not` or a statement left out, None returned. Each runs
alone, as bytecode beside a copy of the source, under the tests of the NAMEs below tests.test_, until one fails or the
deadline comes. What no test noticed is printed: there a test is missing, or the change is none. Fails if there is any.
"""

from __future__ import annotations

import ast
import concurrent.futures
import importlib.util
import marshal
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

NAMES = {  # the tests of a section, the quickest first
    "Ledger": "world.Ledger",
    "Readings": "world.Readings world.WorldHash",
    "Goal turns": "moves",
    "World hash": "world.WorldHash",
    "Moves": "moves prompt",
    "Metering": "world.Metering metering",
    "Gates": "world.Gates",
    "Runs": "beat.Advance crash why beat",
    "Recover": "beat.Advance crash beat people",
    "Beat": "beat.Advance beat people goals",
    "Proposals": "yes no people",
    "Pulse": "pulse",
    "Readers": "gate",
    "Tripwires": "gate",
    "Verdicts": "gate",
}
COMPARED = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
CALCULATED = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift},
}


class Mutant:
    """Be one change: what stands in a field of a node, or in a list there, and what is put in its place."""

    def __init__(self, line, node, field, new, place=None):
        self.line, self.node, self.field, self.new, self.place = line, node, field, new, place

    def swap(self):
        """Make the change; done again it is undone."""
        held = getattr(self.node, self.field)
        if self.place is None:
            setattr(self.node, self.field, self.new)
            self.new = held
        else:
            held[self.place], self.new = self.new, held[self.place]

    def __str__(self):
        """Say it: the line, and the smallest code around it, before and after."""
        shown = [self.shown()]
        self.swap()
        shown.append(self.shown())
        self.swap()
        return f"{self.line}: {shown[0]}  →  {shown[1]}"

    def shown(self):
        node = self.node
        if self.place is not None and isinstance(getattr(node, self.field)[self.place], ast.stmt):
            node = getattr(node, self.field)[self.place]
        elif isinstance(node, (ast.If, ast.While)):
            node = node.test
        elif isinstance(node, ast.comprehension):
            node = node.ifs[self.place]
        return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())[:110]


def of_expression(line, parent, field, node, place):
    """Give the mutants of an expression, which stands in a field of its parent."""

    def instead(new):
        return Mutant(line, parent, field, ast.copy_location(new, node), place)

    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            for other in COMPARED[type(operator)]:
                yield Mutant(line, node, "ops", other(), at)
    elif isinstance(node, ast.BoolOp):
        yield Mutant(line, node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for at in range(len(node.values)):  # one of them left out
            rest = node.values[:at] + node.values[at + 1 :]
            yield instead(rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in CALCULATED:
        yield Mutant(line, node, "op", CALCULATED[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield instead(node.operand)
    elif isinstance(node, ast.Constant) and not isinstance(parent, (ast.JoinedStr, ast.Expr)):
        value = node.value
        if isinstance(value, bool):
            yield Mutant(line, node, "value", not value)
        elif isinstance(value, (int, float)):
            yield Mutant(line, node, "value", value + 1)
            yield Mutant(line, node, "value", value - 1)
        elif isinstance(value, (str, bytes)):
            yield Mutant(line, node, "value", value[:0] if value else value + (b"x" if value == b"" else "x"))
    if field == "test" or (field == "ifs" and isinstance(parent, ast.comprehension)):
        for always in (True, False):
            yield instead(ast.Constant(always))


def of_statement(line, parent, field, node, place):
    """Give the mutants of a statement."""
    if (
        isinstance(node, ast.Return)
        and node.value
        and not (isinstance(node.value, ast.Constant) and not node.value.value)
    ):
        yield Mutant(line, node, "value", ast.copy_location(ast.Constant(None), node))
    call = isinstance(node, ast.Expr) and not isinstance(node.value, (ast.Constant, ast.Yield, ast.YieldFrom))
    if call or isinstance(node, (ast.Assign, ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)):
        yield Mutant(line, parent, field, ast.copy_location(ast.Pass(), node), place)


def mutants(parent, start, end):
    """Give every mutant of the code between two lines, in their order."""
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for place, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
                continue
            line = getattr(node, "lineno", getattr(parent, "lineno", 0))
            if isinstance(parent, ast.Module) and not start <= line < end:
                continue
            if isinstance(node, (ast.expr, ast.AugAssign)):
                yield from of_expression(line, parent, field, node, place)
            if isinstance(node, ast.stmt) and not isinstance(parent, ast.Module):
                yield from of_statement(line, parent, field, node, place)
            yield from mutants(node, start, end)


class Trial:
    """Run tests on a looop that was changed."""

    def __init__(self, tree, drawn, names):
        self.tree, self.drawn, self.names = tree, drawn, names
        self.deadline = 600.0

    def noticed(self, number):
        """Tell how the tests noticed a mutant ("failed", "late"), "" when they did not; None: nothing is changed."""
        if number is not None:
            self.drawn[number].swap()
        try:
            code = compile(self.tree, "looop.py", "exec", dont_inherit=True)
        except (SyntaxError, TypeError) as error:
            return f"{type(error).__name__}"
        finally:
            if number is not None:
                self.drawn[number].swap()
        folder = tempfile.mkdtemp(prefix="looop-mutant-")
        try:
            for name in os.listdir(ROOT):
                if name not in ("looop.py", "__pycache__", ".git"):
                    os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
            source = shutil.copy(os.path.join(ROOT, "looop.py"), folder)
            path = importlib.util.cache_from_source(source)
            os.mkdir(os.path.dirname(path))
            with open(path, "wb") as file:  # bytecode that is not compared with its source (PEP 552)
                file.write(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code))
            return self.tested(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def tested(self, folder):
        """Run the tests in a folder until one fails; tell as `noticed` does."""
        tests = [f"tests.test_{name}" for name in self.names]
        process = subprocess.Popen(
            [sys.executable, "-m", "unittest", "-f", *tests],
            cwd=folder,
            env={**os.environ, "LOOOP_TEST_ARCHIVE": "none", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return "failed" if process.wait(self.deadline) else ""
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "late"


TRIAL: list[Trial] = []  # what the workers were forked with


def noticed(number):
    return TRIAL[0].noticed(number)


def main(section="", count="60", seed="1", *names):
    from tests import coverage_of_sections

    titles = {title[3:].replace(" (pure)", ""): (start, end) for title, start, end in coverage_of_sections.sections()}
    names = names or NAMES.get(section, "").split()
    if section not in titles or not names:
        sys.exit(
            f"mutants: {section!r}: {'no tests are known of it: name them' if section in titles else 'no section'}"
        )
    with open(os.path.join(ROOT, "looop.py"), encoding="utf-8") as file:
        tree = ast.parse(file.read())
    every = list(mutants(tree, *titles[section]))
    chosen = sorted(random.Random(int(seed)).sample(range(len(every)), min(int(count), len(every))))
    trial = Trial(tree, [every[number] for number in chosen], names)
    TRIAL.append(trial)
    began = time.monotonic()
    if noticed(None):
        sys.exit(f"mutants: the tests fail on what is not changed: {' '.join(names)}")
    trial.deadline = 10 + 5 * (time.monotonic() - began)
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        ends = list(pool.map(noticed, range(len(chosen))))
    for mutant, end in zip(trial.drawn, ends):
        if not end:
            print(mutant)
    lived = ends.count("")
    print(
        f"{section}: {len(chosen)} of {len(every)} mutants, {len(chosen) - lived} noticed ({ends.count('late')} by the"
        f" deadline), {lived} not; {time.monotonic() - began:.0f} s"
    )
    sys.exit(1 if lived else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
