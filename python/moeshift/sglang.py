# SPDX-License-Identifier: Apache-2.0
"""moeshift as the planner of SGLang.

Follows ``sglang/srt/eplb/eplb_algorithms/__init__.py`` of sgl-project/sglang as read in mid 2026:
``rebalance_experts(tokens_per_expert, num_physical_experts, num_local_physical_experts, num_groups,
num_nodes, algorithm) -> (physical_to_logical_map, logical_to_all_physical_map, expert_count)``,
called through the module by ``expert_location.py``. SGLang itself was not run against this module:
docs/python.md says what was.
"""
import os

from moeshift._plan import plan
from moeshift.vllm import _as, _groups, _nodes, _on_cpu

DEFAULT_POLICY = "balanced"


def install(policy=None, **options):
    """Makes SGLang plan with moeshift; call it before the server starts (a launch script, or
    ``sitecustomize``).

    Args:
        policy: of ``moeshift policies``; default: MOESHIFT_POLICY of the environment, else
            "balanced". SGLang does not hand over the old map, so policies that start from one plan
            afresh.
        options: of ``moeshift.plan``.
    """
    from sglang.srt.eplb import eplb_algorithms
    name = policy or os.environ.get("MOESHIFT_POLICY", DEFAULT_POLICY)

    def planned(*args, **kwargs):
        return rebalance_experts(*args, policy=name, options=options, **kwargs)

    eplb_algorithms.rebalance_experts = planned


def rebalance_experts(tokens_per_expert, num_physical_experts, num_local_physical_experts,
                      num_groups=None, num_nodes=1, algorithm=None, *, policy=DEFAULT_POLICY,
                      options=None, **ignored):
    """SGLang's interface.

    Args:
        tokens_per_expert: [layers, experts], or [steps, layers, experts].
        num_physical_experts: slots per layer. num_local_physical_experts: of them, of one rank.
        num_groups: None = one. algorithm, ignored: SGLang's own choice, and what later revisions
            pass besides.

    Returns:
        physical_to_logical_map [layers, slots], logical_to_all_physical_map [layers, experts, X]
        (-1 behind the last), expert_count [layers, experts].
    """
    del algorithm, ignored
    ranks = int(num_physical_experts) // int(num_local_physical_experts)
    made = plan(_on_cpu(tokens_per_expert), ranks=ranks, slots=int(num_physical_experts),
                nodes=_nodes(num_nodes, ranks), groups=_groups(num_groups), policy=policy,
                **(options or {}))
    return tuple(_as(tokens_per_expert, array) for array in
                 (made.physical_to_logical, made.logical_to_physical, made.replica_count))
