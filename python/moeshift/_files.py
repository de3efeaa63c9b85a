# SPDX-License-Identifier: Apache-2.0
"""Recordings, placements and configurations of any known format."""
import os

from moeshift import _core
from moeshift._run import command, inputs_of
from moeshift._words import pairs


def read_trace(*paths, windows=":", model=None, **options):
    """Reads recorded loads of any format that the program knows (docs/formats.md).

    Args:
        paths: files or folders of one recording.
        windows: steps to read, as "first:last" (last not included), counted from 0.
        model: tells experts and layers where the files do not.
        options: of the section "recording" of ``moeshift plan --help``: as_, map, experts,
            scale_loads, trace_model, route_tokens, sum_ranks, sort.

    Returns:
        Trace: loads float64 [steps, layers, experts], layer_ids, top_k, num_ranks, notes.

    Raises:
        InputError: naming file and line, JSON pointer or byte.
    """
    return _core.read_trace([os.fspath(path) for path in paths], windows, model, pairs(options))


def read_placement(path, *, ranks=None, experts=None):
    """Reads a plan, or a placement of any engine; ranks and experts where the file does not say.

    Raises:
        InputError: naming the place.
    """
    return _core.read_placement(os.fspath(path), ranks, experts)


def placement(physical_to_logical, *, ranks, experts=None, layer_ids=()):
    """A Placement of an array [layers, slots] of experts, -1 = a slot that holds nothing."""
    return _core.placement(physical_to_logical, ranks, experts, list(layer_ids))


def export(plan, to="vllm", path=None, **options):
    """Writes a plan as the engine reads it, as ``moeshift export``.

    Args:
        plan: Plan, Placement or path of a placement file.
        to: "vllm", "sglang", "trtllm", "ascend", ... (``moeshift export --help``).
        path: file to write; without one the text is returned.
        options: other options of the command, with ``_`` for ``-``.

    Raises:
        InputError: the engine cannot read such a placement; the message says what would help.
    """
    words, inputs = inputs_of([plan])
    if path is not None:
        options["output"] = os.fspath(path)
    return command("export", *words, _inputs=inputs, to=to, **options)


def load_cluster(name_or_path):
    """A machine as a dict: a shipped name ("hgx_h200") or a file; figures in SI units."""
    return command("clusters", os.fspath(name_or_path))["result"]["clusters"][0]


def load_model(name_or_path):
    """A model as a dict: a shipped name ("deepseek_v3_fp8") or a file."""
    return command("models", os.fspath(name_or_path))["result"]["models"][0]
