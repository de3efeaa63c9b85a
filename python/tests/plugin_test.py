# SPDX-License-Identifier: Apache-2.0
"""The plugins against small stand-ins of the interfaces that they follow; no engine is run."""
import abc
import os
import sys
import types
import unittest
from unittest import mock

import numpy

import support
import moeshift
import moeshift.sglang
import moeshift.vllm


def stand_in(test, **modules):
    """Makes modules importable; names have `__` for `.`."""
    for name, module in modules.items():
        sys.modules[name.replace("__", ".")] = module
        test.addCleanup(sys.modules.pop, name.replace("__", "."))


class VllmTest(unittest.TestCase):
    """`vllm.distributed.eplb.policy`: an abstract class, a table of one entry."""

    def setUp(self):
        class AbstractEplbPolicy(abc.ABC):
            @classmethod
            @abc.abstractmethod
            def rebalance_experts(cls, weight, num_replicas, num_groups, num_nodes, num_ranks,
                                  old_global_expert_indices=None):
                raise NotImplementedError

        class DefaultEplbPolicy(AbstractEplbPolicy):
            @classmethod
            def rebalance_experts(cls, *args):
                return "vLLM's own"

        self.policy = types.ModuleType("policy")
        self.policy.AbstractEplbPolicy = AbstractEplbPolicy
        self.policy.EPLB_POLICIES = {"default": DefaultEplbPolicy}
        eplb = types.ModuleType("eplb")
        eplb.policy = self.policy
        stand_in(self, vllm=types.ModuleType("vllm"), vllm__distributed=types.ModuleType("d"),
                 vllm__distributed__eplb=eplb, vllm__distributed__eplb__policy=self.policy)

    def ask(self, *args):
        return self.policy.EPLB_POLICIES["default"].rebalance_experts(*args)

    def test_the_entry_point_names_register(self):
        text = (support.SOURCE / "python/entry_points.txt").read_text()
        self.assertIn("[vllm.general_plugins]\nmoeshift = moeshift.vllm:register", text)

    def test_the_default_policy_is_replaced_and_moves_less(self):
        moeshift.vllm.register()
        load = support.loads(4, 32)
        first = self.ask(load, 40, 1, 1, 8, None)
        self.assertEqual(first.shape, (4, 40))
        self.assertEqual(first.dtype, numpy.int64)
        changed = load.copy()
        changed[:, 3] *= 2
        second = self.ask(changed, 40, 1, 1, 8, first)
        fresh = moeshift.plan(changed, ranks=8, slots=40, policy="deepseek").physical_to_logical
        self.assertLess((second != first).sum(), (fresh != first).sum())
        for row in second:
            self.assertEqual(set(row), set(range(32)))

    def test_a_map_of_another_world_is_a_start(self):
        moeshift.vllm.register()
        load = support.loads(2, 32)
        small = self.ask(load, 40, 1, 1, 4, None)     # 10 slots on each of 4 ranks
        large = self.ask(load, 80, 1, 2, 8, small)    # the same on 8
        self.assertEqual(large.shape, (2, 80))

    def test_the_environment_chooses_and_switches_off(self):
        with mock.patch.dict(os.environ, MOESHIFT_POLICY="off"):
            moeshift.vllm.register()
            self.assertEqual(self.ask(), "vLLM's own")
        with mock.patch.dict(os.environ, MOESHIFT_POLICY="deepseek"):
            moeshift.vllm.register()
            load = support.loads(2, 32)
            numpy.testing.assert_array_equal(
                self.ask(load, 40, 4, 2, 8), moeshift.rebalance_experts(load, 40, 4, 2, 8)[0])

    def test_the_hook_takes_windows_map_and_topology(self):
        window = numpy.stack([support.loads(4, 32, seed) for seed in range(3)])
        old = moeshift.plan(window[0], ranks=8, slots=40, policy="balanced").physical_to_logical
        context = types.SimpleNamespace(
            load_window=window, physical_to_logical_map=old, num_replicas=40,
            topology=types.SimpleNamespace(num_ranks=8, num_nodes=2))
        made = moeshift.vllm.plan_rebalance(context)
        expected = moeshift.plan(window, ranks=8, slots=40, nodes=2, groups=1, policy="robust",
                                 old=old)
        numpy.testing.assert_array_equal(made["physical_to_logical_map"],
                                         expected.physical_to_logical)
        for layer in range(4):
            if layer not in made["changed_layers"]:
                numpy.testing.assert_array_equal(made["physical_to_logical_map"][layer], old[layer])
        with self.assertRaisesRegex(moeshift.InputError, "topology"):
            moeshift.vllm.plan_rebalance({"load_window": window})


class SglangTest(unittest.TestCase):
    """`sglang.srt.eplb.eplb_algorithms`, called through the module."""

    def test_rebalance_experts_is_replaced(self):
        algorithms = types.ModuleType("eplb_algorithms")
        algorithms.rebalance_experts = None
        eplb = types.ModuleType("eplb")
        eplb.eplb_algorithms = algorithms
        stand_in(self, sglang=types.ModuleType("sglang"), sglang__srt=types.ModuleType("srt"),
                 sglang__srt__eplb=eplb, sglang__srt__eplb__eplb_algorithms=algorithms)
        moeshift.sglang.install(policy="balanced")
        steps = numpy.stack([support.loads(4, 32, seed) for seed in range(3)])
        maps = algorithms.rebalance_experts(
            tokens_per_expert=steps, num_physical_experts=40, num_local_physical_experts=5,
            num_groups=None, num_nodes=2, algorithm="deepseek")
        made = moeshift.plan(steps, ranks=8, slots=40, nodes=2, groups=1, policy="balanced")
        numpy.testing.assert_array_equal(maps[0], made.physical_to_logical)
        self.assertEqual([m.shape for m in maps], [(4, 40), made.logical_to_physical.shape, (4, 32)])


if __name__ == "__main__":
    support.main()
