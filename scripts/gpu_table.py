#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the results of `moeshift execute` runs as one Markdown table."""
import json
import pathlib
import sys


def row(path):
    result = json.loads(path.read_text())["result"]
    moved = sum(result["bytes_by_link"].values())
    seconds = result["measured_seconds"]
    name = path.stem.removeprefix("shuffle_").replace("_", " ")
    return [
        name,
        "all right" if result["verified"] else f"{result['mismatched_bytes']} wrong",
        f"{moved / 1e9:.3f}",
        f"{seconds['total'] * 1e3:.2f}",
        f"{result['payload_bytes_per_second'] / 1e9:.2f}",
        f"{seconds['connection'] * 1e3:.1f}",
        f"{seconds['exposed'] * 1e3:.2f}",
        f"{result['predicted_seconds']['total'] * 1e3:.2f}",
    ]


def main():
    head = ["run", "bytes", "GB moved", "total ms", "GB/s", "connect ms", "exposed ms",
            "predicted ms"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for path in sorted(map(pathlib.Path, sys.argv[1:])):
        if path.exists():
            print("| " + " | ".join(row(path)) + " |")


if __name__ == "__main__":
    main()
