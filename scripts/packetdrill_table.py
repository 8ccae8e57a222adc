#!/usr/bin/env python3
"""docs/PACKETDRILL.md out of a run of google/packetdrill's scripts.

    run.py --so build/release/lib/libleat-packetdrill.so --variants ipv4,ipv6,ipv4-mapped-ipv6 google --out run.tsv
    scripts/packetdrill_table.py run.tsv ../shared/packetdrill/baseline-kernel.tsv > docs/PACKETDRILL.md

run.py and the baseline are in ../shared/packetdrill; the tool and its scripts stay outside the repository.
"""
import csv
import sys

KERNEL_OK = ("pass", "flaky", "pass-loose")
# What a failing script of a folder needs that is not there yet; the first that fits.
REASONS = [
    ("splice/", "the adapter has no pipes"),
    ("fast_retransmit/fr-4pkt-fack-last-mss", "the script wants the RACK timer after 40 ms; Linux 6.18 and leat compute "
     "28 ms (min_rtt / 4 + 2 ms). The kernel passes with a tolerance of 14 ms, and so does leat (run.py "
     "--tolerance-usecs 14000)"),
]


def rows(path):
    with open(path, newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["suite"] == "google":
                yield (row["script"], row["variant"]), row


def reason(script, leat, kernel):
    if leat == "pass":
        return ""
    if kernel not in KERNEL_OK:
        return "fails on the kernel too"
    return next((text for start, text in REASONS if script.startswith(start)), "open")


def main():
    leat, kernel = dict(rows(sys.argv[1])), dict(rows(sys.argv[2]))
    ok = [key for key in leat if kernel.get(key, {}).get("result") in KERNEL_OK]
    passed = [key for key in ok if leat[key]["result"] == "pass"]
    print("# google/packetdrill on leat\n")
    print("Made by `scripts/packetdrill_table.py` (its head has the commands); the kernel's verdicts are those of Linux "
          "6.18 in `../shared/packetdrill/baseline-kernel.tsv`.\n")
    print(f"Of {len(ok)} scripts and variants that pass on the kernel, {len(passed)} pass on leat, in virtual time.\n")
    print("| script | variant | kernel | leat | reason |\n|---|---|---|---|---|")
    for key in sorted(leat):
        verdict, known = leat[key]["result"], kernel.get(key, {}).get("result", "?")
        print(f"| {key[0]} | {key[1]} | {known} | {verdict} | {reason(key[0], verdict, known)} |")


if __name__ == "__main__":
    main()
