#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do the three predictions of one rearrangement agree, and does the executor take as long?

    tests/bench/agreement.py PROGRAM [--backend host] [--ranks 4] [--repeat 5] [--scale 0.001] [--cluster FILE]

Calibrates the backend (or takes FILE), plans two placements of a trace, lets simulate, moves and
execute predict the move from the first to the second in the same mode with the same buffers, and
performs it a few times. Prints one line per figure; exit 1 when the predictions differ, or when the
best measured total is off by more than the 95th percentile of the calibration's own errors on
exchanges that it had not seen. On a machine too noisy to calibrate only the predictions are compared.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TRACE = SOURCE / "traces" / "deepseek_like_prefill.jsonl"


def run(program, *words, codes=(0,), form=("--format", "json")):
    done = subprocess.run([program, *map(str, words), *form, "-q"], capture_output=True, text=True,
                          check=False)
    if done.returncode not in codes:
        sys.exit(f"moeshift {' '.join(map(str, words))}: {done.stderr}")
    return json.loads(done.stdout)["result"] if form else None


def scaled_model(folder, scale):
    """deepseek_v3_fp8 with matrices narrower by `scale`, so that the host can hold it."""
    model = json.loads((SOURCE / "configs" / "models" / "deepseek_v3_fp8.json").read_text(encoding="utf-8"))
    for tensor in model["expert_tensors"]:
        rows = tensor["shape"][0]
        tensor["shape"][0] = max(1, round(rows * scale))
        tensor["bytes"] = tensor["bytes"] // rows * tensor["shape"][0]
    path = folder / "model.json"
    path.write_text(json.dumps(model), encoding="utf-8")
    return path


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("--backend", default="host")
    options.add_argument("--ranks", type=int, default=4)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--scale", type=float, default=1 / 1024)
    options.add_argument("--buffers", type=int, default=2)
    options.add_argument("--cluster", help="instead of calibrating now")
    options = options.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="moeshift-agreement-"))
    program, ranks = options.program, options.ranks
    cluster = options.cluster or folder / "cluster.json"
    error = None
    if not options.cluster:
        fit = run(program, "calibrate", "--backend", options.backend, "--ranks", ranks, "--cluster-file", cluster,
                  "--validate", codes=(0, 1))
        print(f"calibrated, unseen exchanges: median error {fit['validation']['median_relative_error']:.3f}, 95th "
              f"percentile {fit['validation']['p95_relative_error']:.3f}")
        if cluster.exists():
            error = fit["validation"]["p95_relative_error"]
        else:
            print("not to be believed: " + "; ".join(fit["misfits"]))
            cluster = "host"
    model = scaled_model(folder, options.scale)
    shape = ("--ranks", ranks, "--slots", 256 + 8 * ranks, "--cluster", cluster, "--model", model)
    # Served twice each, steps 3 to 6 are the last 8 before step 14: what simulate plans on there.
    for name, window in (("old", "0:3"), ("new", "3:7")):
        run(program, "plan", TRACE, *shape, "--policy", "deepseek", "--windows", window, "-o", folder / f"{name}.json", form=())
    old, new = folder / "old.json", folder / "new.json"
    simulated = run(program, "simulate", TRACE, *shape, "--policy", "deepseek", "--initial", old, "--mode", "sync",
                    "--ungated", "--threshold", 1, "--forecaster", "mean:8", "--interval", 14, "--repeat", 2,
                    "--buffers", options.buffers, "--serving", "host")
    moves = run(program, "moves", old, new, "--cluster", cluster, "--model", model)
    measured = []
    for _ in range(options.repeat):
        done = run(program, "execute", old, new, "--cluster", cluster, "--model", model, "--backend", options.backend,
                   "--buffers", options.buffers)
        measured.append(done["measured_seconds"]["total"])
        predicted = done["predicted_seconds"]["total"]
    said = {"simulate": simulated["rearrangements"][0]["predicted_seconds"],
            "moves": moves["totals"]["predicted_seconds"]["total"], "execute": predicted}
    for who, seconds in said.items():
        print(f"{who:9} predicts {seconds:.9f} s")
    best, median = min(measured), sorted(measured)[len(measured) // 2]
    off = abs(best / predicted - 1)
    print(f"execute   measured {best:.6f} s (best of {len(measured)}; median {median:.6f} s), off by {off:.3f}")
    agree = max(said.values()) <= min(said.values()) * (1 + 1e-9)
    print(f"predictions agree: {'yes' if agree else 'NO'}"
          + ("" if error is None else f"; measured within the calibrated error: {'yes' if off <= error else 'NO'}"))
    sys.exit(0 if agree and (error is None or off <= error) else 1)


if __name__ == "__main__":
    main()
