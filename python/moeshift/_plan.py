# SPDX-License-Identifier: Apache-2.0
"""Plans on loads that lie in memory."""
import json
import operator
import os

from moeshift import _core
from moeshift._words import pairs


def window_of(loads, **header):
    """Loads as the library takes them: a Trace as it is, arrays with what is known of them."""
    if isinstance(loads, _core.Trace):
        return loads
    if isinstance(loads, (list, tuple)):
        loads = [_array(item) for item in loads]
        if loads and getattr(loads[0], "ndim", 2) == 1:  # one matrix as a list of lists
            import numpy
            loads = numpy.array(loads)
    return _core.window(loads, header)


def _array(item):
    """Nested lists as an array; whatever is an array already as it is."""
    if isinstance(item, (list, tuple)):
        import numpy
        return numpy.array(item)
    return item


def plan(loads, *, ranks, slots, nodes=None, groups=None, policy=None, old=None,
         old_ranks=None, layer_ids=None, top_k=None, rank_speed=None, seed=0, threads=0, **options):
    """Plans where every expert lives, as ``moeshift plan`` does.

    Args:
        loads: tokens per expert: [layers, experts]; several windows as [steps, layers, experts] or
            a list of arrays, oldest first; or a Trace.
        ranks: GPUs. slots: physical slots per layer, a multiple of ranks, at least the experts.
        nodes: that the ranks sit in; default: as the cluster has them, else one.
        groups: of consecutive experts routed together; default: the model's, else the trace's.
        policy: of ``moeshift policies``: "balanced", "incremental", "robust", "deepseek", ...;
            default: "robust" with `old` or several windows, else "balanced".
        old: where the experts are now: a Plan, a Placement, or [layers, slots] of experts (-1: a
            slot that holds nothing).
        old_ranks: of an array `old`, where they are not `ranks`.
        layer_ids: the model's own numbers of the layers. top_k: experts per token.
        rank_speed: [ranks] how fast each computes; times are balanced then.
        seed, threads: as the program's; 0 threads = as many as the machine has.
        options: any other option of ``moeshift plan --help`` by its name, with ``_`` for ``-``:
            budget_bytes, price, inactive, survive, slots_budget, cluster, model, objective,
            tokens_per_step, min_gain, effort, time_limit, forecaster, ...

    Returns:
        A Plan: physical_to_logical [layers, slots], logical_to_physical, replica_count, verdicts,
        metrics, layers (certified bounds), moves(cluster, model).

    Raises:
        InputError: an array or option that does not fit; the message says what was expected.
        InfeasibleError: no such plan exists.
        KeyboardInterrupt: after Ctrl-C, in a moment, also in the middle of a long plan. With
            ``time_limit=seconds`` a plan ends with the best so far instead.
    """
    window = window_of(loads, layer_ids=layer_ids, top_k=top_k)
    inputs = {}
    if rank_speed is not None:
        inputs["rank_speed.json"] = json.dumps([float(speed) for speed in rank_speed])
        options["rank_speed"] = "rank_speed.json"
    words = pairs(dict(options, ranks=ranks, slots=slots, nodes=nodes, groups=groups,
                       policy=policy))
    if old is not None:
        old = _array(old)
    return _core.plan(window, old, whole("ranks", ranks if old_ranks is None else old_ranks), words,
                      inputs, whole("seed", seed), whole("threads", threads))


def whole(name, value):
    """A whole number >= 0 of Python's or NumPy's."""
    try:
        number = operator.index(value)
    except TypeError:
        raise _core.InputError(f"{name}: expected a whole number, got {value!r}") from None
    if number < 0:
        raise _core.InputError(f"{name}: expected a whole number >= 0, got {number}")
    return number


def moves(old, new, *, cluster=None, model=None, nodes=None, ranks=None, threads=0):
    """What must move from `old` to `new`, in which order, and how long it takes.

    Args:
        old, new: Plan, Placement, path of a placement file, or [layers, slots] of experts.
        cluster: a machine: a shipped name ("hgx_h200") or a file; default: as the plans say.
        model: likewise ("deepseek_v3_fp8"), which says how large an expert is.
        nodes: that the ranks sit in; default: as the plans say, else the cluster.
        ranks: of arrays and of files that do not say how many.

    Returns:
        Moves: totals (transfers, bytes_by_link, rounds, predicted_seconds: ``result.totals`` of
        ``moeshift moves``), transfers (a structured array, in the order of sending), plan_hash.

    Raises:
        InputError: placements and model disagree, or nothing says which machine or model is meant.
        InfeasibleError: an expert has no holder.
    """
    return _core.moves(placement_of(old, ranks), placement_of(new, ranks), cluster, model, nodes,
                       whole("threads", threads))


def placement_of(value, ranks=None):
    """A Placement of whatever stands for one."""
    if isinstance(value, _core.Placement):
        return value
    if isinstance(value, _core.Plan):
        return value.placement
    if isinstance(value, (str, os.PathLike)):
        return _core.read_placement(os.fspath(value), ranks, None)
    return _core.placement(_array(value), 0 if ranks is None else whole("ranks", ranks), None, [])


def _plan_moves(self, cluster=None, model=None, *, old=None, nodes=None, threads=0):
    """What must move from `old` (default: what the plan was made from) to this plan.

    Shapes, arguments and errors as ``moeshift.moves``.
    """
    start = self.old if old is None else old
    if start is None:
        raise _core.InputError("old: needed: the plan was not made from a placement")
    return moves(start, self, cluster=cluster, model=model, nodes=nodes,
                 ranks=self.num_ranks, threads=threads)


_core.Plan.moves = _plan_moves
