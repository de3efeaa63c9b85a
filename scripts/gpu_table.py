#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the results of `moeshift execute` runs as one Markdown table; a row per file."""
import json
import pathlib
import sys

HEAD = ["run", "bytes", "GB sent", "runs", "p50 ms", "sent GB/s", "best plain GB/s", "of plain",
        "written GB/s", "plain copies GB/s", "of copies", "exposed ms", "step p50 / p99 ms alone", "step p50 / p99 ms beside"]


def steps(result, which):
    times = result.get("foreground_step_seconds", {}).get(which)
    return f"{times['p50'] * 1e3:.2f} / {times['p99'] * 1e3:.2f}" if times else ""


def row(path):
    result = json.loads(path.read_text())["result"]
    sent = result["sent_bytes_per_second"]
    plain = result.get("baseline", {}).get("best_bytes_per_second", 0)
    written = result["written_bytes_per_second"]
    copies = result.get("baseline", {}).get("copy_bytes_per_second", 0)
    return [
        path.stem.removeprefix("shuffle_").replace("_", " "),
        "all right" if result["verified"] else f"{result['mismatched_bytes']} wrong",
        f"{result['bytes_sent'] / 1e9:.3f}",
        str(result["repetitions"]["count"]),
        f"{result['repetitions']['p50'] * 1e3:.2f}",
        f"{sent / 1e9:.2f}",
        f"{plain / 1e9:.2f}" if plain else "",
        f"{sent / plain * 100:.0f} %" if plain else "",
        f"{written / 1e9:.1f}",
        f"{copies / 1e9:.0f}" if copies else "",
        f"{written / copies * 100:.0f} %" if copies else "",
        f"{result['measured_seconds']['exposed'] * 1e3:.2f}",
        steps(result, "undisturbed"),
        steps(result, "beside_shuffle"),
    ]


def main():
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for path in sorted(map(pathlib.Path, sys.argv[1:])):
        if path.exists():
            print("| " + " | ".join(row(path)) + " |")


if __name__ == "__main__":
    main()
