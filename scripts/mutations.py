#!/usr/bin/env python3
"""Plants the bugs of tests/mutations/mutations.txt, one at a time, in a copy of the tree, and asks the simulator and the tests beside
the code whether they notice.

    scripts/mutations.py [--only TEXT] [--seeds N] [--scratch DIR] [--no-unit]

Exit status 0: every bug is found by the simulator, there are at least 20 of them, and at least 10 pass the tests beside the code.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Whose tests a change in a room must pass to have "survived the unit tests".
ABOVE = {"rtcop": ["rtcop", "node"], "node": ["node"], "admission": ["admission", "node"], "clips": ["clips"], "wire": ["wire", "rtcop"]}
BUGS_LEAST, SURVIVORS_LEAST = 20, 10
SIMULATOR = ["sim_hunt", "fault_test"]


def mutations():
    found, name, file, old, new = [], None, None, [], []

    def close():
        if name:
            found.append((name, file, "".join(old), "".join(new)))

    for line in (ROOT / "tests/mutations/mutations.txt").read_text().splitlines(keepends=True):
        if line.startswith("== "):
            close()
            name, old, new = line[3:].strip(), [], []
        elif line.startswith("file "):
            file = line[5:].strip()
        elif line.startswith("-"):
            old.append(line[1:])
        elif line.startswith("+"):
            new.append(line[1:])
    close()
    return found


def run(command, cwd, seconds):
    """Exit status (None: it took too long) and output."""
    try:
        done = subprocess.run(command, cwd=cwd, timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return None, ""


def copy_tree(scratch):
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")
    for name in filter(None, files):
        source, copy = ROOT / name, scratch / name
        if copy.exists() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)


def unit_tests(file):
    room = file.split("/")[1]
    return sorted(path.stem for above in ABOVE[room] for path in (ROOT / "src" / above).glob("*_test.cpp"))


def by_simulator(scratch, seeds):
    """How the simulator noticed, or None."""
    scripts = sorted(str(p) for p in (scratch / "src/sim/scripts").glob("*.sim"))
    status, said = run(["build/bin/sim_hunt", "1", str(seeds), *scripts], scratch, 600)
    if status != 0:
        return "hangs" if status is None else "crash" if status < 0 else said.strip().split("\n")[0]
    status, said = run(["build/tests/fault_test", "--gtest_fail_fast", "--gtest_brief=1"], scratch, 600)
    if status == 0:
        return None
    failed = re.search(r"FAILED  \] (\S+?)[,\s]", said)
    return "hangs" if status is None else failed.group(1) if failed else "crash"


def by_units(scratch, tests):
    for test in tests:
        status, said = run([f"build/tests/{test}", "--gtest_fail_fast", "--gtest_brief=1"], scratch, 300)
        if status != 0:
            failed = re.search(r"FAILED  \] (\S+?)[,\s]", said)
            return failed.group(1) if failed else test
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="")
    options.add_argument("--seeds", type=int, default=400)
    options.add_argument("--scratch", default=str(ROOT / "build-mutations"))
    options.add_argument("--jobs", default=str(os.cpu_count()))
    options.add_argument("--no-unit", action="store_true")
    options = options.parse_args()
    scratch = pathlib.Path(options.scratch)
    copy_tree(scratch)
    if not (scratch / "build/build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
    chosen = [m for m in mutations() if options.only in m[0] or options.only in m[1]]
    rows, missed, survived = [], [], 0
    build = ["cmake", "--build", "build", "-j", options.jobs, "--target"]
    for name, file, old, new in chosen:
        began = time.time()
        path = scratch / file
        good = path.read_text()
        if good.count(old) != 1:
            sys.exit(f"{name}: what it replaces stands {good.count(old)} times in {file}")
        tests = [] if options.no_unit else unit_tests(file)
        path.write_text(good.replace(old, new))
        try:
            status, said = run(build + SIMULATOR + tests, scratch, 1800)
            if status != 0:
                sys.exit(f"{name}: does not build\n{said}")
            found, unit = by_simulator(scratch, options.seeds), by_units(scratch, tests)
        finally:
            path.write_text(good)
        rows.append((name, found or "NOT FOUND", unit or ("-" if options.no_unit else "survives")))
        missed += [] if found else [name]
        survived += unit is None
        print(f"{len(rows):3} {name}\n      simulator: {rows[-1][1]}\n      unit tests: {rows[-1][2]}   ({time.time() - began:.0f} s)", flush=True)

    wide = max(len(r[0]) for r in rows)
    print(f"\n{'planted':{wide}}  {'unit tests':40}  simulator")
    for name, found, unit in rows:
        print(f"{name:{wide}}  {unit[:40]:40}  {found[:90]}")
    print(f"\n{len(rows)} planted, {len(rows) - len(missed)} found by the simulator, {survived} pass the tests beside the code")
    whole = options.only == "" and not options.no_unit
    enough = len(rows) >= BUGS_LEAST and survived >= SURVIVORS_LEAST
    return 0 if not missed and (enough or not whole) else 1


if __name__ == "__main__":
    sys.exit(main())
