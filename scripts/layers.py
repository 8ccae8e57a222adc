#!/usr/bin/env python3
"""Includes of src/<room>/ may only point at the same room or at rooms to its left.

    base <- netns <- pkt <- wire <- link, ip <- inet <- tcp, udp <- socket <- stack <- diag <- sim, preload <- cli

Rooms on one step do not see each other, except that ip may include the Link interface and what that interface asks of
its callers (checksums finished for a link that does not take partial ones). The headers in include/leat/
may be included from anywhere and include only one another and the system's.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS = [["base"], ["netns"], ["pkt"], ["wire"], ["link", "ip"], ["inet"], ["tcp", "udp"], ["socket"], ["stack"],
         ["diag"], ["sim", "preload"], ["cli"]]
STEP_OF = {room: number for number, rooms in enumerate(STEPS) for room in rooms}
ALLOWED = {("ip", "link/link.h"), ("ip", "link/checksum_complete.h")}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def source_files(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in (".h", ".cpp", ".c", ".def"))


def check_room(room, path):
    for number, quote, target in includes(path):
        other = target.split("/")[0]
        if quote == "<" or other == "leat" or other == room or (room, target) in ALLOWED:
            continue
        if (path.parent / target).is_file() and other not in STEP_OF:
            yield number, f'"{target}": write the path from src/: "{room}/{target}"'
        elif other not in STEP_OF:
            yield number, f'"{target}" is in no room'
        elif STEP_OF[other] >= STEP_OF[room]:
            yield number, f'"{target}": {other} does not stand to the left of {room}'


def check_public(path):
    for number, quote, target in includes(path):
        if quote == '"' and not target.startswith("leat/"):
            yield number, f'"{target}": a public header includes only leat/... and system headers'
        elif target.split("/")[0] in STEP_OF:
            yield number, f"<{target}>: a public header does not see the rooms"


def main():
    wrong = seen = 0
    jobs = [(path, check_public(path)) for path in source_files(ROOT / "include")]
    for folder in sorted(p for p in (ROOT / "src").iterdir() if p.is_dir()):
        if folder.name not in STEP_OF:
            print(f"src/{folder.name}: not a room of docs/LAYOUT.md")
            wrong += 1
            continue
        jobs += [(path, check_room(folder.name, path)) for path in source_files(folder)]
    for path, found in jobs:
        seen += 1
        for number, text in found:
            print(f"{path.relative_to(ROOT)}:{number}: {text}")
            wrong += 1
    print(f"layers: {seen} files, {wrong} wrong")
    return 1 if wrong else 0


sys.exit(main())
