# SPDX-License-Identifier: Apache-2.0
"""What the tests of the module share."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import warnings

import numpy

SOURCE = pathlib.Path(os.environ.get("MOESHIFT_SOURCE", pathlib.Path(__file__).parents[2]))
PROGRAM = os.environ.get("MOESHIFT", str(SOURCE / "build/ci/bin/moeshift"))
PREFILL = str(SOURCE / "traces/deepseek_like_prefill.jsonl")
DECODE = str(SOURCE / "traces/moe64_like_decode.jsonl")
sys.path.insert(0, str(SOURCE / "python/bench"))
warnings.simplefilter("ignore")


def program(*words):
    """The JSON envelope that the program answers with."""
    done = subprocess.run([PROGRAM, *words, "--format", "json", "-q"], capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)


def program_file(path, *words):
    """What the program writes to a file."""
    subprocess.run([PROGRAM, *words, "-q", "-o", str(path)], check=True)


def program_text(*words):
    done = subprocess.run([PROGRAM, *words, "-q"], capture_output=True, text=True, check=True)
    return done.stdout


def without_times(result):
    """A result without what a clock said."""
    if isinstance(result, dict):
        return {k: without_times(v) for k, v in result.items()
                if k not in ("plan_seconds", "bound_seconds", "planning_seconds")}
    if isinstance(result, list):
        return [without_times(item) for item in result]
    return result


def loads(layers=4, experts=32, seed=0):
    random = numpy.random.default_rng(seed)
    return (random.lognormal(5, 1, (layers, experts))).astype(numpy.int64)


class Tensor:
    """Stands in for a tensor of another package: DLPack and nothing else."""

    def __init__(self, array, device=(1, 0)):
        self.array = array
        self.device_pair = device

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.device_pair


def folder(test):
    """A folder that is gone after the test."""
    made = tempfile.TemporaryDirectory()
    test.addCleanup(made.cleanup)
    return pathlib.Path(made.name)


def main():
    unittest.main(warnings="ignore")
