#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays a long synthetic trace from a pipe: layer-steps per second and thread, and memory.

    tests/bench/long_replay.py PROGRAM [--steps 100000] [--input npy|json] [--threads 1] [-- MORE OPTIONS OF simulate]

The trace repeats 64 drawn steps of 58 layers x 256 experts (decode-sized counts), so that writing
it costs little; the reader parses every byte. Prints wall and processor seconds of the program
alone, layer-steps per second of both, and its largest resident size.
"""
import argparse
import json
import random
import resource
import struct
import subprocess
import time

LAYERS, EXPERTS, DISTINCT = 58, 256, 64


def draw():
    rng = random.Random(7)
    heat = [[rng.lognormvariate(0, 0.65) for _ in range(EXPERTS)] for _ in range(LAYERS)]
    steps = []
    for _ in range(DISTINCT):
        rows = []
        for row in heat:
            total = sum(row)
            loads = [int(32768 * w / total * rng.uniform(0.8, 1.2)) for w in row]
            loads[0] += 32768 - sum(loads)
            rows.append([max(0, load) for load in loads])
        steps.append(rows)
    return steps


def npy_blocks(steps):
    header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({steps}, {LAYERS}, {EXPERTS}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    yield b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    packed = [struct.pack(f"<{LAYERS * EXPERTS}i", *(x for row in rows for x in row)) for rows in draw()]
    for step in range(steps):
        yield packed[step % DISTINCT]


def json_blocks(steps):
    header = {"model": "synthetic", "num_layers": LAYERS, "num_experts": EXPERTS, "top_k": 8, "source": "bench",
              "licence": "none"}
    yield json.dumps(header).encode() + b"\n"
    texts = [json.dumps(rows, separators=(",", ":")).encode() for rows in draw()]
    for step in range(steps):
        yield b'{"step":%d,"load":%s}\n' % (step, texts[step % DISTINCT])


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("--steps", type=int, default=100_000)
    options.add_argument("--input", choices=("npy", "json"), default="npy")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--policy", default="static")
    options, more = options.parse_known_args()
    words = [options.program, "simulate", "-", "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8", "--ranks", "32",
             "--slots", "288", "--policy", options.policy, "--threads", str(options.threads), "--format", "json", "-q",
             *(word for word in more if word != "--")]
    blocks = npy_blocks(options.steps) if options.input == "npy" else json_blocks(options.steps)
    begin = time.monotonic()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        for block in blocks:
            program.stdin.write(block)
        program.stdin.close()
        result = json.load(program.stdout)["result"]
        program.wait()
    wall = time.monotonic() - begin
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime
    assert result["steps"] == options.steps
    layer_steps = options.steps * LAYERS
    print(f"{options.input}, {options.steps} steps, {options.threads} threads: wall {wall:.1f} s "
          f"({layer_steps / wall:.0f} layer-steps/s), processor {cpu:.1f} s ({layer_steps / cpu:.0f} layer-steps/s), "
          f"largest resident {usage.ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
