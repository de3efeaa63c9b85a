# SPDX-License-Identifier: Apache-2.0
import json
import sys
import types
import unittest

import numpy

import support
import moeshift
import reference_eplb


def vectors():
    with open(support.SOURCE / "tests/golden/plan/deepseek_eplb.jsonl") as file:
        return [json.loads(line) for line in file]


class DropInTest(unittest.TestCase):
    def test_every_recorded_answer_of_the_origin_is_met_to_the_bit(self):
        for vector in vectors():
            with self.subTest(vector["name"]):
                phy2log, log2phy, logcnt = moeshift.rebalance_experts(
                    numpy.array(vector["weight"]), vector["num_replicas"], vector["num_groups"],
                    vector["num_nodes"], vector["num_gpus"])
                self.assertEqual(phy2log.tolist(), vector["phy2log"])
                self.assertEqual(logcnt.tolist(), vector["logcnt"])
                self.assertEqual({a.dtype for a in (phy2log, log2phy, logcnt)},
                                 {numpy.dtype("int64")})

    def test_replicas_are_listed_in_the_order_in_which_the_origin_made_them(self):
        for vector in vectors():
            args = (numpy.array(vector["weight"]), vector["num_replicas"], vector["num_groups"],
                    vector["num_nodes"], vector["num_gpus"])
            for ours, theirs in zip(moeshift.rebalance_experts(*args),
                                    reference_eplb.rebalance_experts(*args)):
                numpy.testing.assert_array_equal(ours, theirs, vector["name"])

    def test_groups_that_do_not_divide_by_nodes_are_one(self):
        load = support.loads(2, 12)
        ours = moeshift.rebalance_experts(load, 16, 3, 2, 8)
        for a, b in zip(ours, moeshift.rebalance_experts(load, 16, 1, 1, 8)):
            numpy.testing.assert_array_equal(a, b)

    def test_policies_of_ours_answer_in_the_same_form(self):
        load = support.loads()
        phy2log, log2phy, logcnt = moeshift.rebalance_experts(load, 40, 1, 1, 8, policy="balanced")
        self.assertEqual(phy2log.shape, (4, 40))
        for layer in range(4):
            for expert in range(32):
                slots = log2phy[layer, expert]
                slots = slots[slots >= 0]
                self.assertEqual(len(slots), logcnt[layer, expert])
                self.assertTrue((phy2log[layer, slots] == expert).all())

    def test_every_number_type_gives_the_same_plan(self):
        load = support.loads() % 100
        expected = moeshift.rebalance_experts(load, 40, 1, 1, 8)[0]
        for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                      "float16", "float32", "float64"):
            with self.subTest(dtype):
                got = moeshift.rebalance_experts(load.astype(dtype), 40, 1, 1, 8)[0]
                numpy.testing.assert_array_equal(got, expected)

    def test_what_a_package_has_in_it_gets_out(self):
        package = types.ModuleType("tensors")
        package.from_dlpack = support.Tensor
        sys.modules["tensors"] = package
        self.addCleanup(sys.modules.pop, "tensors")
        kind = type("OfTensors", (support.Tensor,), {"__module__": "tensors.core"})
        maps = moeshift.rebalance_experts(kind(support.loads()), 40, 1, 1, 8)
        self.assertEqual([type(m) for m in maps], [support.Tensor] * 3)
        numpy.testing.assert_array_equal(
            maps[0].array, moeshift.rebalance_experts(support.loads(), 40, 1, 1, 8)[0])

    @unittest.skipUnless("torch" in sys.modules or __import__("importlib.util").util.find_spec("torch"),
                         "no torch here")
    def test_torch_in_torch_out(self):
        import torch
        maps = moeshift.rebalance_experts(torch.from_numpy(support.loads()), 40, 1, 1, 8)
        self.assertTrue(all(isinstance(m, torch.Tensor) for m in maps))


if __name__ == "__main__":
    support.main()
