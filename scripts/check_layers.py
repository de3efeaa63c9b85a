#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks which folder of lib/moeshift includes which: the pipeline has one direction.

Prints one line per violation and exits 1 when there is one.
"""
import pathlib
import re
import sys

ALLOWED = {
    "core": [],
    "model": ["core"],
    "report": ["core", "model"],
    "routing": ["core", "model"],
    "formats": ["core", "model"],
    "trace": ["core", "model", "formats", "routing"],
    "forecast": ["core", "model"],
    "cost": ["core", "model", "routing"],
    "schedule": ["core", "model", "routing", "cost"],
    "plan": ["core", "model", "routing", "forecast", "cost"],
    "judge": ["core", "model", "routing", "forecast", "plan", "schedule", "cost"],
    "simulate": ["core", "model", "routing", "forecast", "plan", "schedule", "cost", "judge"],
    "calibrate": ["core", "model", "routing", "schedule", "cost"],
    "execute": ["core", "model", "schedule"],
    "execute_mpi": ["core", "model", "schedule", "execute"],
    "execute_cuda": ["core", "model", "schedule", "execute"],
}
# The same inside a folder: which wing includes which. "" = the files on top, which see no wing but
# those named here.
WINGS = {
    "model": {
        "": [],
        "checkpoint": [""],
    },
    "execute": {
        "": [],
        "journal": [""],
        "drill": [""],
        "world": [""],
        "host": ["", "world"],
        "engine": [""],
        "registry": [""],
    },
    # On top: the platforms and the rows of the transport table.
    "execute_cuda": {
        "": ["hccl", "kernels", "nccl", "peer", "runtime"],
        "runtime": [],
        "kernels": ["runtime"],
        "memory": ["kernels", "runtime"],
        "world": ["kernels", "memory", "runtime"],
        "nccl": ["kernels", "memory", "runtime", "world"],
        "peer": ["kernels", "memory", "nccl", "runtime", "world"],
        "hccl": ["kernels", "memory", "runtime", "world"],
    },
}
# Finer, where the files on top are floors of their own: rooms (sub-folders, and single units beside
# them) by what they may include. A room not named here may include nothing of its stage.
ROOMS = {
    "plan": {
        "tuned": [],
        "lower_bound": [],
        "survive": [],
        "planner": ["survive"],
        "deadline": ["planner"],
        "layer_problem": ["planner", "survive"],
        "layered_planner": ["layer_problem", "lower_bound", "planner"],
        "relabel": ["layer_problem"],
        "search": ["layer_problem", "lower_bound", "survive"],
        "fresh": ["layer_problem", "layered_planner", "lower_bound", "relabel", "search", "tuned"],
        "warm": ["fresh", "layer_problem", "layered_planner", "lower_bound", "relabel", "search"],
        "peers": ["fresh", "layer_problem", "layered_planner", "relabel", "search", "warm"],
        "policy_options": ["fresh", "peers", "search", "survive"],
        "asked": ["fresh", "layer_problem", "layered_planner", "planner", "relabel", "warm"],
        "together": ["layer_problem", "layered_planner", "planner", "relabel", "survive"],
        "registry": ["asked", "fresh", "peers", "planner", "policy_options", "survive", "together",
                     "tuned", "warm"],
        "heeded_options": ["policy_options"],
    },
}
# The program: which of its folders includes which, in the order of floors.
APPS = {
    "cli": [],
    "inputs": ["cli"],
    "traces": ["cli", "inputs"],
    "files": ["cli", "inputs"],
    "plan": ["cli", "inputs"],
    "moves": ["cli", "inputs"],
    "compare": ["cli", "inputs", "plan"],
    "serving": ["cli", "inputs", "plan", "moves", "compare"],
    "execute": ["cli", "inputs", "moves", "files"],
}
MOST_UNITS = 25  # of one folder: a unit is a header with its source, or either alone
# The readers on top of formats stand on its json wing, which looks up a type in their table.
ONE_FLOOR = {"moeshift/formats/"}
# Headers that belong to one place only.
ONLY_IN = [
    (re.compile(r"<CLI/"), {"apps/moeshift/cli/parse_options.cpp"}),
    (re.compile(r"<mpi\.h>"), {"lib/moeshift/execute_mpi/"}),
    (re.compile(r"<(cuda|nccl|nvtx)[\w/]*\.h"), {"lib/moeshift/execute_cuda/kernels/", "lib/moeshift/execute_cuda/runtime/",
      "lib/moeshift/execute_cuda/nccl/", "tests/gpu/", "apps/examples/"}),
    (re.compile(r"<simdjson"), {"lib/moeshift/formats/", "tests/bench/"}),
]
# Slow headers that must stay out of ours.
NOT_IN_HEADERS = re.compile(r"<nlohmann/json\.hpp>|<Eigen/|<tbb/|<iostream>")
# The library names a setting (`ranks`), never an option. Those that are other programs', or a record of a command line:
FLAG = re.compile(r'"(?:[^"\\\n]|\\.)*(?<![\w-])--[a-z](?:[^"\\\n]|\\.)*"')
MAY_NAME_FLAGS = {"lib/moeshift/report/subject.cpp", "lib/moeshift/formats/engines/engine_formats.cpp",
                  "lib/moeshift/trace/synthetic_routes.cpp"}
INCLUDE = re.compile(r"^\s*#\s*include\s+([<\"][^>\"]+[>\"])", re.MULTILINE)
SUFFIXES = {".hpp", ".cpp", ".cu", ".cuh"}


def wing_of(name):
    """The folder below the stage; "" for a file on top."""
    parts = name.split("/")
    return parts[3] if len(parts) > 4 else ""


def room_of(path):
    """The room of a file, named from its stage: `fresh/packing.hpp` is in fresh."""
    return path.split("/")[0] if "/" in path else path.split(".")[0]


def wrong_room(name, stage, include):
    """Whether an include of the same stage goes from a room to one that it does not stand on."""
    target = re.match(rf'"moeshift/{stage}/([^"]+)"', include)
    if stage not in ROOMS or not target:
        return False
    here, there = room_of(name.split("/", 3)[3]), room_of(target[1])
    return here != there and there not in ROOMS[stage].get(here, [])


def violations_of(name, includes):
    parts = name.split("/")
    stage = parts[2] if parts[0] == "lib" else None
    for include in includes:
        target = re.match(r'"moeshift/(\w+)/', include)
        if stage and target and target[1] != stage and target[1] not in ALLOWED.get(stage, []):
            yield f"{name}: {stage} must not include {include}"
        if stage in WINGS and target and target[1] == stage:
            wing, wanted = wing_of(name), wing_of("lib/" + include.strip('"'))
            if wanted != wing and wanted not in WINGS[stage].get(wing, []):
                yield f"{name}: {stage}/{wing} must not include {include}"
        if stage and wrong_room(name, stage, include):
            yield f"{name}: inside {stage} an include points down, and {include} does not"
        if stage and include.startswith('"apps/'):
            yield f"{name}: the library must not include {include}"
        app = re.match(r'"apps/moeshift/(\w+)/', include)
        if app and parts[0] == "apps" and len(parts) > 3 and app[1] != parts[2]:
            if app[1] not in APPS.get(parts[2], []):
                yield f"{name}: {parts[2]} must not include {include}"
        for pattern, homes in ONLY_IN:
            if pattern.search(include) and not any(name.startswith(home) for home in homes):
                yield f"{name}: {include} belongs in {', '.join(sorted(homes))}"
        in_header = name.endswith((".hpp", ".cuh")) and parts[0] != "tests"
        if in_header and NOT_IN_HEADERS.search(include):
            yield f"{name}: {include} is too slow for a header"


def check_rooms_in_order():
    """A table that is its own order has no circle: a room only ever names rooms above it."""
    for stage, rooms in ROOMS.items():
        known = set()
        for room, below in rooms.items():
            assert known.issuperset(below), f"{stage}/{room} names a room below it in the table"
            known.add(room)


def circle_in(arrows):
    """One circle of a graph {room: rooms}, or None."""
    done = set()

    def walk(room, path):
        if room in path:
            return path[path.index(room):] + [room]
        if room in done:
            return None
        for there in sorted(arrows.get(room, ())):
            circle = walk(there, [*path, room])
            if circle:
                return circle
        done.add(room)
        return None

    return next(filter(None, (walk(room, []) for room in sorted(arrows))), None)


def circles(texts):
    """Circles between the wings of a stage, and between the folders of the program. Files on top of
    a stage are one wing; where they are floors of their own, ROOMS says so."""
    graphs = {}

    def wing(path):
        return path.split("/")[0] if "/" in path else "the top"

    for name, text in texts.items():
        home = re.match(r"(?:lib/)?((?:apps/)?moeshift/(?:(?!/)\w+/)?)", name)
        stage = "apps/moeshift/" if name.startswith("apps/") else home[1]
        inside = name.removeprefix("lib/").removeprefix(stage)
        for include in INCLUDE.findall(text):
            path = include.strip('"')
            if not path.startswith(stage) or stage in ONE_FLOOR or stage.split('/')[1] in ROOMS:
                continue
            here, there = wing(inside), wing(path.removeprefix(stage))
            if here != there:
                graphs.setdefault(stage, {}).setdefault(here, set()).add(there)
    for stage, arrows in sorted(graphs.items()):
        circle = circle_in(arrows)
        if circle:
            yield f"{stage}: a circle of includes: {' -> '.join(circle)}"


def flags_in(name, text):
    """Options of a command line in what the library says."""
    if not name.startswith("lib/") or name in MAY_NAME_FLAGS:
        return
    for line in text.split("\n"):
        said = None if line.lstrip().startswith("//") else FLAG.search(line.split(" // ")[0])
        if said:
            yield f"{name}: the library says {said[0]}; a setting is written `name`"


def crowded(root):
    """Folders of too many units, and folders of the pipeline or the program without a page."""
    for top in ("lib/moeshift", "apps/moeshift"):
        for folder in sorted(p for p in (root / top).rglob("*") if p.is_dir()):
            name = folder.relative_to(root).as_posix()
            units = {p.stem for p in folder.iterdir() if p.suffix in SUFFIXES}
            if len(units) > MOST_UNITS:
                yield f"{name}: {len(units)} units, at most {MOST_UNITS} fit one folder"
            if units and folder.parent == root / top and not (folder / "README.md").exists():
                yield f"{name}: has no page (README.md)"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    folders = {p.name for p in (root / "lib/moeshift").iterdir() if p.is_dir()}
    check_rooms_in_order()
    found = [f"lib/moeshift/{f}: no rule for this folder" for f in sorted(folders - set(ALLOWED))]
    texts = {}
    for path in sorted(p for d in ("lib", "apps", "tests") for p in (root / d).rglob("*")):
        if path.suffix in SUFFIXES:
            name = path.relative_to(root).as_posix()
            texts[name] = path.read_text(encoding="utf-8")
            found += violations_of(name, INCLUDE.findall(texts[name]))
            found += flags_in(name, texts[name])
    found += circles({n: t for n, t in texts.items() if not n.startswith("tests/")})
    found += crowded(root)
    print("\n".join(found) if found else "layers: every include points down the pipeline")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
