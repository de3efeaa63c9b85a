#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one command line test: run_case.py FILE.py Class.test. Exit 77 and a reason when skipped."""
import pathlib
import sys
import unittest


def main():
    file, case = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    sys.path[:0] = [str(file.parent), str(pathlib.Path(__file__).resolve().parent)]
    suite = unittest.defaultTestLoader.loadTestsFromName(f"{file.stem}.{case}")
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if result.skipped:
        print(f"SKIPPED: {result.skipped[0][1]}")
        return 77
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
