#!/usr/bin/env python3
"""Keeps docs/LIFE_OF_A_SEGMENT.md true: in every `name` (`file`) the file exists and holds the name as a word.

A step of the map (a numbered or '-' line of a text block or list) that names no file is not built yet; it is counted.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ["docs/LIFE_OF_A_SEGMENT.md", "docs/LAYOUT.md"]
PAIR = re.compile(r"`([A-Za-z_][\w:]*)(?:\(\))?`\s*\(`([\w./-]+\.\w+)`\)")
PENDING = re.compile(r"\bnot (?:built|there) yet\b")


def holds(path, name):
    # A qualified name is found by its last part: Class::method is written without the class inside of the class.
    word = name.rsplit("::", 1)[-1]
    return re.search(rf"\b{re.escape(word)}\b", path.read_text(errors="replace")) is not None


def main():
    names = wrong = pending = 0
    for doc in DOCS:
        text = (ROOT / doc).read_text()
        pending += len(PENDING.findall(text))
        for match in PAIR.finditer(text):
            names += 1
            (name, file), number = match.groups(), text.count("\n", 0, match.start()) + 1
            path = ROOT / file
            if not path.is_file():
                print(f"{doc}:{number}: there is no {file}")
                wrong += 1
            elif not holds(path, name):
                print(f"{doc}:{number}: {file} does not hold {name}")
                wrong += 1
    print(f"life: {names} names, {wrong} wrong, {pending} steps not built yet")
    return 1 if wrong else 0


sys.exit(main())
