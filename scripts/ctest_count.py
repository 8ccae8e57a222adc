#!/usr/bin/env python3
"""Counts a ctest JUnit file: 'passed failed skipped' on the first line, then the names of those that did not pass."""
import sys
import xml.etree.ElementTree as xml


def main(path):
    try:
        cases = xml.parse(path).getroot().iter("testcase")
    except (OSError, xml.ParseError) as error:
        print("0 1 0")
        print(f"ctest gave no result: {error}")
        return
    passed, failed, skipped = 0, [], []
    for case in cases:
        name, status = case.get("name"), case.get("status")
        if case.find("skipped") is not None or status in ("notrun", "disabled"):
            skipped.append(f"{name} (skipped)")
        elif status == "run" and case.find("failure") is None:
            passed += 1
        else:
            failed.append(name)
    print(passed, len(failed), len(skipped))
    for name in failed + skipped:
        print(name)


main(sys.argv[1])
