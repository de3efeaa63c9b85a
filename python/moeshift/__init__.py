# SPDX-License-Identifier: Apache-2.0
"""Where should every expert of a Mixture-of-Experts model live, and what does moving them cost?

The library and the commands of moeshift as calls: the same defaults and the same results, to the
last digit, as the program gives. Arrays are NumPy arrays, or anything with the buffer protocol or
``__dlpack__`` on the CPU (torch); they are read where they lie, however strided. Python's lock is
not held while planning. Errors are ``InputError`` (bad input; a ``ValueError``),
``InfeasibleError`` (no such plan exists) and ``DeviceError``; what was taken for granted is a
warning of the kind ``Notice``.
"""
from moeshift import recorder
from moeshift._core import (DeviceError, InfeasibleError, InputError, Moves, Placement, Plan, Trace,
                            __version__)
from moeshift._eplb import rebalance_experts
from moeshift._files import export, load_cluster, load_model, placement, read_placement, read_trace
from moeshift._plan import moves, plan
from moeshift._run import command, compare, diagnose, simulate
from moeshift._talk import Notice

__all__ = [
    "DeviceError", "InfeasibleError", "InputError", "Moves", "Notice", "Placement", "Plan", "Trace",
    "__version__", "command", "compare", "diagnose", "export", "load_cluster", "load_model",
    "moves", "placement", "plan", "read_placement", "read_trace", "rebalance_experts", "recorder",
    "simulate",
]
