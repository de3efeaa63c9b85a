# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import time
import unittest

import numpy

import support
import moeshift
from moeshift.recorder import Recorder


class RecorderTest(unittest.TestCase):
    def setUp(self):
        self.path = support.folder(self) / "trace.jsonl"

    def test_what_was_recorded_is_read_back(self):
        steps = [support.loads(3, 8, seed) for seed in range(5)]
        with Recorder(self.path, layers=3, experts=8, top_k=2, groups=2, layer_ids=[1, 2, 4],
                      model="m", ranks=4, nodes=2) as recorder:
            for number, load in enumerate(steps):
                recorder.record(load, step=10 * number, label="prefill" if number % 2 else None)
        trace = moeshift.read_trace(self.path)
        numpy.testing.assert_array_equal(trace.loads, numpy.stack(steps))
        self.assertEqual(trace.steps, [0, 10, 20, 30, 40])
        self.assertEqual(trace.labels, [None, "prefill", None, "prefill", None])
        self.assertEqual((trace.model, trace.layer_ids, trace.top_k, trace.num_ranks,
                          trace.num_expert_groups), ("m", [1, 2, 4], 2, 4, 2))

    def test_steps_are_added_up_and_the_rest_is_not_lost(self):
        with Recorder(self.path, layers=2, experts=4, every=3) as recorder:
            for _ in range(7):
                recorder.record(numpy.ones((2, 4)))
        trace = moeshift.read_trace(self.path)
        self.assertEqual(trace.loads[:, 0, 0].tolist(), [3, 3, 1])

    def test_ranks_are_added_up(self):
        paths = [self.path.with_suffix(f".{rank}.jsonl") for rank in range(3)]
        for path in paths:
            with Recorder(path, layers=2, experts=4) as recorder:
                recorder.record(numpy.full((2, 4), 5))
        trace = moeshift.read_trace(*paths, sum_ranks=True)
        self.assertEqual(trace.loads.tolist(), numpy.full((1, 2, 4), 15.0).tolist())

    def test_what_was_appended_before_a_kill_is_readable(self):
        script = ("import sys, numpy, moeshift.recorder as r\n"
                  "rec = r.Recorder(sys.argv[1], layers=8, experts=64)\n"
                  "while True:\n"
                  "    rec.record(numpy.full((8, 64), rec._step))\n"
                  "    print(rec._step, flush=True)\n")
        child = subprocess.Popen([sys.executable, "-c", script, str(self.path)],
                                 stdout=subprocess.PIPE, text=True)
        for _ in range(20):
            told = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        told = max([told] + [int(line) for line in child.stdout.read().split()])
        child.wait()
        child.stdout.close()
        trace = moeshift.read_trace(self.path)
        self.assertGreaterEqual(trace.num_steps, told)
        for step, load in enumerate(trace.loads):
            self.assertTrue((load == step).all())

    def test_a_torn_line_is_cut_and_recording_goes_on(self):
        with Recorder(self.path, layers=2, experts=4) as recorder:
            recorder.record(numpy.ones((2, 4)))
            recorder.record(numpy.ones((2, 4)))
        whole = os.path.getsize(self.path)
        os.truncate(self.path, whole - 9)
        with Recorder(self.path, layers=2, experts=4, append=True) as recorder:
            recorder.record(numpy.full((2, 4), 7))
        trace = moeshift.read_trace(self.path)
        self.assertEqual(trace.loads[:, 0, 0].tolist(), [1, 7])
        self.assertEqual(trace.steps, [0, 1])

    def test_a_torn_line_in_the_middle_is_an_error(self):
        with Recorder(self.path, layers=1, experts=2) as recorder:
            for _ in range(3):
                recorder.record(numpy.ones((1, 2)))
        lines = self.path.read_text().splitlines()
        lines[2] = lines[2][:10]
        self.path.write_text("\n".join(lines) + "\n")
        with self.assertRaisesRegex(moeshift.InputError, ":3"):
            moeshift.read_trace(self.path)

    def test_bad_input_is_refused_and_writes_nothing(self):
        with self.assertRaisesRegex(moeshift.InputError, "layers"):
            Recorder(self.path, layers=0, experts=4)
        with Recorder(self.path, layers=2, experts=4) as recorder:
            size = os.path.getsize(self.path)
            for load, message in [(numpy.ones((4, 2)), "expected \\[2, 4\\]"),
                                  (numpy.full((2, 4), -1), "has -1"),
                                  (numpy.full((2, 4), .5), "whole"),
                                  (numpy.full((2, 4), numpy.nan), "whole"),
                                  (numpy.full((2, 4), 2.0**54), "2\\^53"),
                                  (numpy.full((2, 4), "a"), "integers or floats")]:
                with self.assertRaisesRegex(moeshift.InputError, message):
                    recorder.record(load)
            self.assertEqual(os.path.getsize(self.path), size)
            recorder.record(numpy.ones((2, 4)), step=3)
            with self.assertRaisesRegex(moeshift.InputError, "at least 4"):
                recorder.record(numpy.ones((2, 4)), step=3)
        with self.assertRaisesRegex(moeshift.InputError, "exists"):
            Recorder(self.path, layers=2, experts=4)
        with self.assertRaisesRegex(moeshift.InputError, "num_experts"):
            Recorder(self.path, layers=2, experts=8, append=True)


if __name__ == "__main__":
    support.main()
