#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The drop-in beside the algorithm that it replaces, as ratios within one run.

    PYTHONPATH=build/ci/python python3 python/bench/drop_in.py [--plans 10000]

Prints a Markdown table; docs/python.md has one.
"""
import argparse
import concurrent.futures
import pathlib
import resource
import statistics
import sys
import time

import numpy

import moeshift
import reference_eplb

SOURCE = pathlib.Path(__file__).parents[2]
SHAPE = dict(num_replicas=288, num_groups=8, num_nodes=4, num_gpus=32)


def median(call, rounds):
    """Median seconds of a call."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def balancedness(load, phy2log, ranks):
    """Mean over layers of mean rank load / max rank load, even dispatch."""
    layers, slots = phy2log.shape
    count = numpy.stack([numpy.bincount(row, minlength=load.shape[1]) for row in phy2log])
    share = load / count
    rank = numpy.take_along_axis(share, phy2log, 1).reshape(layers, ranks, slots // ranks).sum(2)
    return float((rank.mean(1) / rank.max(1)).mean())


def drop_in(load):
    """Rows: who, seconds, ratio, balancedness."""
    theirs = reference_eplb.rebalance_experts(load, **SHAPE)
    base = median(lambda: reference_eplb.rebalance_experts(load, **SHAPE), 3)
    rows = [("the algorithm in NumPy", base, theirs[0])]
    try:
        import torch
        import eplb  # deepseek-ai/EPLB's eplb.py on PYTHONPATH
        tensor = torch.from_numpy(load)
        rows.append(("deepseek-ai/EPLB in torch",
                     median(lambda: eplb.rebalance_experts(tensor, *SHAPE.values()), 3),
                     eplb.rebalance_experts(tensor, *SHAPE.values())[0].numpy()))
    except ImportError:
        print("torch and eplb.py are not here: the origin itself was not run", file=sys.stderr)
    for threads in (1, 2):
        for policy in ("deepseek", "balanced"):
            call = lambda: moeshift.rebalance_experts(load, **SHAPE, policy=policy, threads=threads)
            maps = call()
            if policy == "deepseek":
                assert all((a == b).all() for a, b in zip(maps, theirs)), "the maps differ"
            rows.append((f"moeshift `{policy}`, {threads} thread{'s' * (threads > 1)}",
                         median(call, 15), maps[0]))
    print("| who | ms | times as fast | balancedness |\n|---|---:|---:|---:|")
    for who, seconds, map_ in rows:
        print(f"| {who} | {seconds * 1e3:.2f} | {base / seconds:.0f} | "
              f"{balancedness(load, map_, 32):.4f} |")


def overhead(load):
    """What the call costs besides planning: wall time of plan() less what the planner took."""
    extra = []
    for _ in range(50):
        begin = time.perf_counter()
        made = moeshift.plan(load, ranks=32, slots=288, nodes=4, groups=8, policy="balanced",
                             threads=1)
        map_ = made.physical_to_logical
        wall = time.perf_counter() - begin
        extra.append(wall - made.result["plan_seconds"])
        del made, map_  # a report is large: letting it go is no part of the next plan
    print(f"\nbinding: {statistics.median(extra) * 1e3:.3f} ms median beside the planner "
          f"(arrays in, map out)")


def one_plan(seed):
    load = numpy.random.default_rng(seed).lognormal(5, 1, (2, 256)).astype(numpy.int64)
    return moeshift.plan(load, ranks=32, slots=288, policy="balanced",
                         threads=1).physical_to_logical


def threads():
    serial = [one_plan(seed) for seed in range(1000)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        equal = sum(bool((a == b).all()) for a, b in zip(pool.map(one_plan, range(1000)), serial))
    print(f"\n8 threads: {equal} of 1,000 plans equal the serial ones")


def memory(plans):
    load = numpy.random.default_rng(0).lognormal(5, 1, (4, 64))
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = None
    for number in range(plans):
        made = moeshift.plan(load, ranks=8, slots=72, policy="balanced", threads=1)
        made.physical_to_logical, made.logical_to_physical, made.verdicts
        if number == plans // 10:
            before = peak()
    print(f"\nmemory: {peak() - before} kB more after {plans} plans than after {plans // 10}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--plans", type=int, default=10000)
    args = parser.parse_args()
    recording = moeshift.read_trace(SOURCE / "traces/deepseek_like_prefill.jsonl")
    window = recording.loads[0:4].sum(0).astype(numpy.int64)
    drop_in(window)
    overhead(window)
    threads()
    memory(args.plans)
