# SPDX-License-Identifier: Apache-2.0
"""The interface of deepseek-ai/EPLB (eplb.py, ``rebalance_experts``)."""
import sys

from moeshift import _core
from moeshift._plan import _array, plan, whole


def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus, *, policy="deepseek",
                      threads=0, **options):
    """Drop-in for ``rebalance_experts`` of deepseek-ai/EPLB.

    Args:
        weight: [layers, experts] load of every expert; any integer or float type, on the CPU.
        num_replicas: physical slots per layer; a multiple of num_gpus, at least the experts.
        num_groups: groups of consecutive experts that are routed together.
        num_nodes: nodes that the GPUs sit in.
        num_gpus: ranks.
        policy: "deepseek" (bit for bit what the origin returns) or any of ``moeshift policies``.
        threads: that planning may use; 0 = as many as the machine has.
        options: what ``plan()`` takes besides, for the other policies.

    Returns:
        (phy2log [layers, num_replicas], log2phy [layers, experts, X], logcnt [layers, experts]),
        int64 and of the kind that weight is (torch tensors for a torch tensor); X is the most
        replicas of any expert, and log2phy is filled up with -1. Policies of ours list an expert's
        slots in ascending order.

    Raises:
        InputError: wrong shape or type, a negative or non-finite load, replicas that do not
            divide by the GPUs or are fewer than the experts.
        InfeasibleError: the policy cannot serve this shape.
    """
    if policy == "deepseek" and not options:
        numbers = [whole(name, value) for name, value in (
            ("num_replicas", num_replicas), ("num_groups", num_groups), ("num_nodes", num_nodes),
            ("num_gpus", num_gpus), ("threads", threads))]
        maps = _core.rebalance_experts(_array(weight), *numbers)
    else:
        planned = plan(weight, ranks=num_gpus, slots=num_replicas, nodes=num_nodes,
                       groups=num_groups, policy=policy, threads=threads, **options)
        maps = (planned.physical_to_logical, planned.logical_to_physical, planned.replica_count)
    return tuple(like(weight, item) for item in maps)


def like(given, array):
    """`array` as the kind of `given`: NumPy's own, or by `from_dlpack` of the package it is of."""
    package = type(given).__module__.partition(".")[0]
    if package in ("numpy", "builtins", "array"):
        return array
    make = getattr(sys.modules.get(package), "from_dlpack", None)
    return array if make is None else make(array)
