#!/usr/bin/env python3
"""Measure what the walls cost: the time of `true` as a shell move, bare and confined in each way that this machine has.

    bench/confined.py [--rounds N] [--json]

All ways alternate within one process, the installed looop with its compiled code: from the source it would be several
times larger, and a fork takes longer the larger a process is. Shown are medians, the least, what each costs beside the
bare run, and the CPU time of looop and its children, which is less sensitive to what else the machine does.
It is a measurement and no test: it exits with 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from run import PYTHON, ROOT  # noqa: E402

# Runs within the installed looop: it stands before what the file runs, and goes on where that would leave.
WITHIN = """\
import json, os, resource, sys, time
def spent():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
def serve(status):
    os._exit = leave
    looop = sys.modules["looop"]
    profile = looop.open_profile(os.environ, looop.__file__)
    job = looop.Job("true", [looop.shell_path(profile.env), "-c", "true"], profile.child_env(), 60.0, orphans=True)
    version, bwrap = looop.landlock_version(), looop.which("bwrap", profile.env)
    ways = {"bare": None, "namespaces": looop.Walls(version, True), "no namespaces": looop.Walls(version)}
    ways["bwrap"] = looop.Walls(0, True, bwrap)
    folder = profile.path("clone")
    os.makedirs(folder, exist_ok=True)
    measured = looop.walls_of(profile)
    if not measured.confines:
        print(json.dumps({"why": measured.why}), flush=True)
        leave(0)
    jobs = {}
    for name, walls in ways.items():
        if walls and (not walls.confines or (name == "bwrap" and not bwrap)):
            continue
        grant = walls and looop.grant_of(profile, folder).replace(walls=walls)
        jobs[name] = looop.confined_job(profile, job, grant) if grant else job
        ended = looop.run_job(jobs[name])
        if (ended.why, ended.code) != ("exit", 0):
            del jobs[name]
            print(f"{name}: {ended.why} {ended.code} {ended.err!r}", file=sys.stderr)
    times = {name: [] for name in jobs}
    cpu = dict.fromkeys(jobs, 0.0)
    for _ in range(int(os.environ["ROUNDS"])):
        for name, one in jobs.items():
            begun, before = time.perf_counter(), spent()
            looop.run_job(one)
            times[name].append(time.perf_counter() - begun)
            cpu[name] += spent() - before
    print(json.dumps({"times": times, "cpu": cpu, "walls": looop.walls_told(measured)}), flush=True)
    leave(0)
leave, os._exit = os._exit, serve
"""


def measure(folder: str, rounds: int) -> dict[str, object]:
    """Build looop, and return what the code within it prints: the seconds of each run, by way."""
    build = [PYTHON, os.path.join(ROOT, "build_zipapp.py"), "--only", "--out", f"{folder}/bin", "--python", PYTHON]
    subprocess.run(build, stdout=subprocess.DEVNULL, check=True, timeout=300)
    with open(f"{folder}/bin/looop", "rb") as file:
        stub = file.read().partition(b" -SI -c '")[2].split(b"' ", 1)[0].decode()
    env = {"HOME": folder, "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "ROUNDS": str(rounds)}
    env["LOOOP_DATA_DIR"] = f"{folder}/data"
    argv = [PYTHON, "-SI", "-c", WITHIN + stub, f"{folder}/bin/looop", "version"]
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, check=True, timeout=900)
    return dict(json.loads(done.stdout.decode().splitlines()[-1]))


def main() -> None:
    """Measure, and print one row for each way."""
    parser = argparse.ArgumentParser(description="What the walls around a command cost.")
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="looop-bench-") as folder:
        result = measure(folder, options.rounds)
    if options.json:
        print(json.dumps(result))
        return
    times, cpu = result.get("times"), result.get("cpu")
    if not isinstance(times, dict) or not isinstance(cpu, dict):
        sys.exit(f"bench: nothing confines a command here: {result.get('why')}")
    medians = {name: statistics.median(runs) * 1000 for name, runs in times.items()}
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {options.rounds} rounds; here: {result['walls']}\n"
    )
    print("| `true` | median | least | beside bare | ratio | CPU time |\n|---|---|---|---|---|---|")
    for name, median in medians.items():
        least, more, ratio = min(times[name]) * 1000, median - medians["bare"], median / medians["bare"]
        used = cpu[name] * 1000 / options.rounds
        print(f"| {name} | {median:.2f} ms | {least:.2f} ms | {more:+.2f} ms | {ratio:.2f} | {used:.2f} ms |")


if __name__ == "__main__":
    main()
