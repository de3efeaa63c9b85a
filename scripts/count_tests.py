#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the suites of one run: count_tests.py RESULTS [FAILED STEP]...

Prints what was skipped and why, what failed, and the line "N passed, N failed, N skipped".
Exits 1 when anything failed or nothing ran.
"""
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree as xml


def outcomes(results):
    """(test, verdict, reason) of every test in the folder."""
    for path in sorted(results.glob("*.xml")):
        for case in xml.parse(path).iter("testcase"):
            name = f"{path.stem}: {case.get('name')}"
            output = case.findtext("system-out") or ""
            if case.find("failure") is not None or case.find("error") is not None:
                yield name, "failed", ""
            elif case.find("skipped") is not None or case.get("status") == "notrun":
                reason = re.search(r"SKIPPED: (.*)", output)
                yield name, "skipped", reason[1] if reason else "not run"
            else:
                yield name, "passed", ""
    checks = results / "checks"
    for line in checks.read_text().splitlines() if checks.exists() else []:
        name, _, verdict = line.rpartition(" ")
        yield name, verdict, "see above"


def main():
    found = list(outcomes(pathlib.Path(sys.argv[1])))
    found += [(step, "failed", "") for step in sys.argv[2:]]
    reasons = collections.Counter(reason for _, verdict, reason in found if verdict == "skipped")
    for reason, count in reasons.most_common():
        print(f"skipped {count}: {reason}")
    for name, verdict, _ in found:
        if verdict == "failed":
            print(f"FAILED {name}")
    counts = collections.Counter(verdict for _, verdict, _ in found)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
