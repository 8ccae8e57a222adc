#!/usr/bin/env python3
"""Runs the interop tests: leat against the host's kernel and real programs.

    run.py [--leat PATH] [--release DIR] [--work DIR] [--list] [NAME...]

A test is a function `test_<what>(t)` in tests/interop/test_<file>.py; `t` is a harness.Test. NAME is `file` or
`file.what`. Each function runs in network, mount and PID namespaces of its own, with a time-out (TIMEOUT = seconds in
the module; 60). Whatever it starts dies with its namespaces. PARALLEL = True in the module: its functions run all at once. RELEASE = True in the module: run the release build's
leat (for transfers that a sanitized build is too slow for). Prints `ok NAME`, `FAIL NAME: why` or
`skipped: NAME: why`, then the count. Exit: 0, 1 on failure, 77 when everything was skipped. With CI=true a test that
is skipped has failed.
"""
import argparse
import importlib
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from harness import files, isolate  # noqa: E402
from harness.test import Test  # noqa: E402


def discover(names):
    """(module, function name) of each test that was asked for, in the order of the files."""
    found = []
    for path in sorted(HERE.glob("test_*.py")):
        stem = path.stem.removeprefix("test_")
        if names and not any(name.split(".")[0] == stem for name in names):
            continue
        module = importlib.import_module(path.stem)
        functions = [key for key, value in vars(module).items()
                     if key.startswith("test_") and callable(value) and value.__module__ == path.stem]
        for function in functions:
            full = f"{stem}.{function.removeprefix('test_')}"
            if not names or stem in names or full in names:
                found.append((module, function, full))
    return found


def leat_for(module, options):
    release = options.release / "bin/leat"
    return release if getattr(module, "RELEASE", False) and release.is_file() else options.leat


def run_one(module, function, full, options):
    work = options.work / full
    test = Test(full, leat_for(module, options), options.release, work)
    return isolate.run(lambda: test.run(getattr(module, function)), work, getattr(module, "TIMEOUT", 60))


def side_by_side(tests, options):
    """Each in a process of its own; what they say is shown in order. Verdicts as run_one's."""
    import subprocess  # noqa: only here
    command = [sys.executable, __file__, "--leat", options.leat, "--release", options.release, "--work", options.work]
    runs = [(test, subprocess.Popen([*map(str, command), test[2]], stdout=subprocess.PIPE, text=True))
            for test in tests]
    for test, run in runs:
        said = run.communicate()[0].splitlines()
        line = next((x for x in said if x.split(" ")[0] in ("ok", "FAIL", "skipped:")), f"FAIL {test[2]}: said nothing")
        yield line.split(" ")[0].rstrip(":"), "\n".join(x for x in said if not x.endswith(" skipped"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leat", type=pathlib.Path, help="the command; default: build/release's, else build/dev's")
    parser.add_argument("--release", type=pathlib.Path, default=ROOT / "build/release", help="the release build")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/interop", help="logs and captures")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.leat is None:
        candidates = [options.release / "bin/leat", ROOT / "build/dev/bin/leat"]
        options.leat = next((path for path in candidates if path.is_file()), candidates[0])
    options.leat, options.release, options.work = (p.resolve() for p in (options.leat, options.release, options.work))

    tests = discover(options.names)
    if options.list:
        print("\n".join(full for _, _, full in tests))
        return 0
    if not tests:
        print(f"FAIL: no test is named {' '.join(options.names)}" if options.names else "there is no test yet")
        return 1 if options.names else 0

    count = {"ok": 0, "FAIL": 0, "skipped": 0}
    together = [test for test in tests if getattr(test[0], "PARALLEL", False)]
    if len(together) > 1:
        for size in {module.BIG for module, _, _ in together}:
            files.make_shared(options.work, size)
        for verdict, text in side_by_side(together, options):
            count[verdict] += 1
            print(text, flush=True)
        tests = [test for test in tests if test not in together]
    for module, function, full in tests:
        began = time.monotonic()
        verdict, why = run_one(module, function, full, options)
        if verdict == "skipped" and os.environ.get("CI") == "true":
            verdict, why = "FAIL", f"skipped, and CI has what it needs: {why}"
        count[verdict] += 1
        if verdict == "ok":
            print(f"ok {full} ({time.monotonic() - began:.1f} s)", flush=True)
        elif verdict == "FAIL":
            print(f"FAIL {full}: {why}\n  logs and captures: {options.work / full}", flush=True)
        else:
            print(f"skipped: {full}: {why}", flush=True)
    print(f"{count['ok']} passed, {count['FAIL']} failed, {count['skipped']} skipped")
    if count["FAIL"]:
        return 1
    return 0 if count["ok"] else 77


if __name__ == "__main__":
    sys.exit(main())
