#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a newcomer reads to follow a command from its file to the code that does the work.

Each list begins with the command and goes on to the header of the stage that answers it and to what
lies behind that header. A file counts only if the includes lead to it: a header must be included by
a file read before, or by what such a file includes; a source, or its own header, must include a
header read before. Prints what it counted; exits 1 when a list is too long, a file cannot be
reached, or CONTRIBUTING.md has another table (--write mends that).
"""
import pathlib
import re
import sys

LISTS = {
    "plan": (4, 600, ["apps/moeshift/plan/plan.cpp", "lib/moeshift/plan/planner.hpp",
                      "lib/moeshift/plan/registry.hpp", "lib/moeshift/plan/registry.cpp"]),
    "moves": (4, 600, ["apps/moeshift/moves/moves.cpp", "lib/moeshift/schedule/scheduler.hpp",
                       "lib/moeshift/schedule/scheduler.cpp", "lib/moeshift/cost/transfer_cost.hpp"]),
    "simulate": (5, 700, ["apps/moeshift/serving/simulate.cpp", "lib/moeshift/simulate/replay.hpp",
                          "lib/moeshift/simulate/lane.hpp", "lib/moeshift/simulate/lane.cpp"]),
    "execute": (5, 700, ["apps/moeshift/execute/execute.cpp", "lib/moeshift/execute/shuffle.hpp",
                         "lib/moeshift/execute/engine/rank_shuffle.cpp"]),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
BEGIN, END = "<!-- reading list: scripts/reading_list.py -->", "<!-- end of the reading list -->"


def includes_of(root, name):
    """Our files that a file includes."""
    if not (root / name).exists():
        return set()
    found = INCLUDE.findall((root / name).read_text(encoding="utf-8"))
    return {f if f.startswith("apps/") else "lib/" + f for f in found}


def reached(root, name, before):
    """Whether the includes lead from the files in `before` to `name`."""
    if name.endswith(".cpp"):
        own = includes_of(root, name) | includes_of(root, name.removesuffix("cpp") + "hpp")
        return bool(own & set(before))
    near = set().union(*(includes_of(root, f) for f in before))
    return name in near.union(*(includes_of(root, f) for f in near))


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    faults = []
    rows = ["| command | files | lines | in this order |", "|---|---:|---:|---|"]
    for command, (most_files, most_lines, files) in LISTS.items():
        missing = [f for f in files if not (root / f).exists()]
        faults += [f"{command}: {name} is not there" for name in missing]
        faults += [f"{command}: no include leads to {name}" for i, name in enumerate(files)
                   if i and name not in missing and not reached(root, name, files[:i])]
        lines = sum(len((root / f).read_text(encoding="utf-8").splitlines())
                    for f in files if f not in missing)
        print(f"{command}: {len(files)} files, {lines} lines")
        if len(files) > most_files or lines > most_lines:
            faults.append(f"{command}: at most {most_files} files and {most_lines} lines")
        links = ", ".join(f"[`{f.split('moeshift/', 1)[1]}`]({f})" for f in files)
        rows.append(f"| `{command}` | {len(files)} | <= {most_lines} | {links} |")
    page = root / "CONTRIBUTING.md"
    text = page.read_text(encoding="utf-8")
    wanted = re.sub(re.escape(BEGIN) + ".*" + re.escape(END),
                    "\n".join([BEGIN, *rows, END]), text, flags=re.S)
    if "--write" in sys.argv:
        page.write_text(wanted, encoding="utf-8")
    elif wanted != text or BEGIN not in text:
        faults.append("CONTRIBUTING.md has another table: scripts/reading_list.py . --write")
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
