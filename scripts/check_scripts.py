#!/usr/bin/env python3
"""Keeps tests/scripts/README.md true: every script that it names exists, each switch of a row is in one of the row's
scripts, and no script of the folders that it speaks of is missing.
"""
import pathlib
import re
import sys

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent / "tests/scripts"
FOLDERS = ("ack", "close", "congestion", "loss", "mtu", "open", "timers")
NAME = re.compile(r"\b([a-z]+/[a-z0-9-]+)\b")
SWITCH = re.compile(r"`(tcp_\w+)`|\b((?:TCP|SO)_[A-Z_]+)\b")


def main():
    wrong, named = [], set()
    for line in (SCRIPTS / "README.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if not line.startswith("|") or not NAME.search(cells[-1]):
            continue
        files = [SCRIPTS / f"{name}.pkt" for name in cells[-1].split()]
        named.update(files)
        wrong += [f"there is no {f}" for f in files if not f.is_file()]
        text = "".join(f.read_text() for f in files if f.is_file())
        switches = [a or b for a, b in SWITCH.findall(cells[1])] if len(cells) == 3 else []
        wrong += [f"no script of '{cells[0]}' sets {s}" for s in switches if s not in text]
    all_scripts = {f for folder in FOLDERS for f in (SCRIPTS / folder).glob("*.pkt")}
    wrong += [f"{f} is in no row" for f in sorted(all_scripts - named)]
    print("".join(w + "\n" for w in wrong) + f"scripts: {len(named)} named, {len(wrong)} wrong")
    return 1 if wrong else 0


sys.exit(main())
