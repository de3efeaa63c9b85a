# SPDX-License-Identifier: Apache-2.0
"""moeshift as the expert placement policy of vLLM.

Follows two interfaces of vllm-project/vllm:

- **released**: ``vllm/distributed/eplb/policy`` as read in the source of mid 2026 (v0.32): the table
  ``EPLB_POLICIES`` with the one entry "default", whose class method
  ``rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_ranks,
  old_global_expert_indices=None) -> physical_to_logical_map`` is called. ``register`` is an entry
  point of the group ``vllm.general_plugins``, which vLLM runs in every process, and replaces that
  entry.
- **open pull request 49700**: ``plan_rebalance(context, state) -> plan`` with a window of loads,
  the present map and the topology.

vLLM itself was not run against this module: docs/python.md says what was.
"""
import os

from moeshift._core import InputError
from moeshift._eplb import like
from moeshift._plan import plan

DEFAULT_POLICY = "incremental"


def register():
    """Replaces vLLM's default policy. Run by vLLM through ``vllm.general_plugins``.

    The environment variable MOESHIFT_POLICY names the policy; "off" leaves vLLM's own alone.
    """
    name = os.environ.get("MOESHIFT_POLICY", DEFAULT_POLICY)
    if name == "off":
        return
    from vllm.distributed.eplb import policy
    policy.EPLB_POLICIES["default"] = policy_class(policy.AbstractEplbPolicy, name)


def policy_class(base, policy=DEFAULT_POLICY, **options):
    """A subclass of vLLM's AbstractEplbPolicy that plans with moeshift.

    Args:
        base: AbstractEplbPolicy of the vLLM at hand.
        policy: of ``moeshift policies``; those that start from the old map plan afresh without one.
        options: of ``moeshift.plan``.
    """

    class MoeshiftEplbPolicy(base):
        """Plans with moeshift."""

        @classmethod
        def rebalance_experts(cls, weight, num_replicas, num_groups, num_nodes, num_ranks,
                              old_global_expert_indices=None):
            """The new physical_to_logical_map, [layers, num_replicas].

            weight: [layers, experts] load. old_global_expert_indices: [layers, slots now] or None.
            """
            return _map(weight, num_replicas, num_groups, num_nodes, num_ranks,
                        old_global_expert_indices, policy, options)

    return MoeshiftEplbPolicy


def plan_rebalance(context, state=None, *, policy="robust", **options):
    """The hook of vLLM's pull request 49700: windows, old map and topology in, the new map out.

    Args:
        context: has ``load_window`` [samples, layers, experts] on the CPU, ``num_replicas``,
            ``physical_to_logical_map`` [layers, slots] and ``topology`` (``num_ranks``,
            ``num_nodes``; perhaps ``num_groups``).
        state: whatever the hook returned last time; not needed, the map says it all.
        policy, options: as ``moeshift.plan``; "robust" plans for every sample of the window.

    Returns:
        {"physical_to_logical_map": [layers, num_replicas], "state": None, "changed_layers": [...]}.
    """
    del state
    topology = _get(context, "topology")
    groups = _get(topology, "num_groups", _get(context, "num_groups", 1))
    ranks = int(_get(topology, "num_ranks"))
    old = _get(context, "physical_to_logical_map", None)
    window = _on_cpu(_get(context, "load_window"))
    made = plan(window, ranks=ranks, slots=int(_get(context, "num_replicas")),
                nodes=int(_get(topology, "num_nodes")), groups=_groups(groups), policy=policy,
                old=None if old is None else _on_cpu(old), **options)
    changed = [row for row, verdict in enumerate(made.verdicts) if not verdict["keep"]]
    return {"physical_to_logical_map": _as(window if old is None else old,
                                           made.physical_to_logical),
            "state": None, "changed_layers": changed}


def _map(weight, num_replicas, num_groups, num_nodes, num_ranks, old, policy, options):
    old_map, old_ranks = None, num_ranks
    if old is not None:
        old_map = _on_cpu(old)
        # After scaling, the map has the slots of another number of ranks.
        per_rank = num_replicas // num_ranks
        if old_map.shape[1] != num_replicas and per_rank and old_map.shape[1] % per_rank == 0:
            old_ranks = old_map.shape[1] // per_rank
    elif policy == "incremental":
        policy = "balanced"  # nothing to start from
    made = plan(_on_cpu(weight), ranks=num_ranks, slots=num_replicas,
                nodes=_nodes(num_nodes, num_ranks), groups=_groups(num_groups), policy=policy,
                old=old_map, old_ranks=old_ranks, **options)
    return _as(weight, made.physical_to_logical)


def _groups(groups):
    return max(int(groups or 1), 1)


def _nodes(nodes, ranks):
    return max(1, min(int(nodes or 1), int(ranks)))


def _on_cpu(array):
    """A tensor of a GPU is copied to the CPU; all else stays where it is."""
    if hasattr(array, "cpu") and hasattr(array, "device"):
        return array.detach().cpu()
    return array


def _as(given, array):
    """`array` as the kind of `given`, on its device."""
    made = like(given, array)
    if made is not array and hasattr(made, "to") and hasattr(given, "device"):
        return made.to(given.device)
    return made


_MISSING = object()


def _get(holder, name, default=_MISSING):
    """An attribute or a key, as the pull request may yet decide."""
    if isinstance(holder, dict):
        value = holder.get(name, default)
    else:
        value = getattr(holder, name, default)
    if value is _MISSING:
        raise InputError(f"context: has no {name}")
    return value
