# SPDX-License-Identifier: Apache-2.0
"""The program's commands as calls."""
import os

from moeshift import _core
from moeshift._words import argv


def inputs_of(values):
    """(words, {name: text}): paths as they are, values in memory by a name of their own."""
    words, inputs = [], {}
    for position, value in enumerate(values):
        if hasattr(value, "_text"):
            name = f"in-memory-{type(value).__name__.lower()}-{position}.json"
            inputs[name] = value._text()
            words.append(name)
        else:
            words.append(os.fspath(value))
    return words, inputs


def command(name, *values, _inputs=None, **options):
    """Runs any command of the program: ``command("sweep", "trace.jsonl", ranks=32, slots=288)``.

    Args:
        name: of the command, "trace info" and the like included.
        values: its arguments: paths, or a Trace, Plan or Placement in memory.
        options: by their names with ``_`` for ``-``; True sets a flag, lists join by commas.
            Options are ``moeshift NAME --help``; a name that Python reserves takes a ``_``
            behind it (from_, as_).

    Returns:
        The JSON envelope as a dict (``["result"]`` has the figures, in SI units), or the text that
        a command writes to standard output instead. A negative verdict is an answer.

    Raises:
        InputError, InfeasibleError, DeviceError, KeyboardInterrupt.
    """
    words, inputs = inputs_of(values)
    inputs.update(_inputs or {})
    for key, value in options.items():
        if hasattr(value, "_text"):
            (options[key],), more = inputs_of([value])
            options[key] = f"{key}-{options[key]}"
            inputs.update({options[key]: text for text in more.values()})
    _, answer, text = _core.command([*name.split(), *words, *argv(options)], inputs)
    return text if answer is None else answer


def simulate(trace, **options):
    """What rebalancing would have done for this traffic: ``result`` of ``moeshift simulate``.

    Args:
        trace: a path, a list of paths, or a Trace.
        options: ranks, slots, cluster, model, policy, mode, ... of ``moeshift simulate --help``.
    """
    return command("simulate", *_several(trace), **options)["result"]


def diagnose(trace, **options):
    """Whether rebalancing is worth it here: ``result`` of ``moeshift diagnose``."""
    return command("diagnose", *_several(trace), **options)["result"]


def compare(trace, **options):
    """Several policies on steps that they have and have not seen: ``result`` of
    ``moeshift compare``."""
    return command("compare", *_several(trace), **options)["result"]


def _several(trace):
    return trace if isinstance(trace, (list, tuple)) else [trace]
