# SPDX-License-Identifier: Apache-2.0
"""The same input gives the same bytes, on any number of threads and from run to run."""
import json

import cli
from cli import CliTest

SHAPE = ("--ranks", 8, "--slots", 72, "--nodes", 2, "--groups", 8, "--windows", "0:4")


def without_times(value):
    """`value` without what may differ: measured times, argv and its threads, the view, which shows the times."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("plan_seconds", "bound_seconds", "argv",
                                                                      "view")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


class Determinism(CliTest):
    def policies(self):
        rows = self.good("policies", "--format", "json").json()["result"]["policies"]
        return [row["name"] for row in rows]

    def same_for_threads(self, *words):
        first, second, again = (self.good(*words, "--format", "json", "--threads", n).json() for n in (1, 2, 2))
        self.assertEqual(without_times(first), without_times(second))
        self.assertEqual(without_times(second), without_times(again))
        return first

    def test_every_policy_plans_the_same_on_one_and_two_threads_and_again(self):
        self.good("plan", cli.MOE64_LIKE, *SHAPE, "--policy", "static", "-o", "old.json")
        for policy in self.policies():
            with self.subTest(policy=policy):
                plan = self.same_for_threads("plan", cli.MOE64_LIKE, *SHAPE, "--policy", policy,
                                             "--from", self.folder / "old.json")
                self.assertEqual(len(plan["result"]["placement"]["physical_to_logical"]), 24)

    def test_compare_is_the_same_on_one_and_two_threads_and_again(self):
        self.same_for_threads("compare", cli.MOE64_LIKE, "--ranks", 8, "--slots", 72, "--cluster", "hgx_h200",
                              "--policies", ",".join(self.policies()))

    def test_moves_are_the_same_plan_on_one_and_two_threads_and_again(self):
        for name, window in (("old", "0:10"), ("new", "10:20")):
            self.good("plan", cli.MOE64_LIKE, *SHAPE[:-2], "--windows", window, "-o", f"{name}.json", "-q")
        model = json.loads((cli.SOURCE / "configs/models/olmoe_1b_7b_bf16.json").read_text())
        model.update({"name": "moe64", "num_layers": 24, "num_hidden_layers": 24, "layer_ids": list(range(24))})
        self.write("model.json", json.dumps(model))
        moves = self.same_for_threads("moves", "old.json", "new.json", "--cluster", "hgx_h200", "--model", "model.json")
        self.assertEqual(len(moves["result"]["plan_hash"]), 64)

    def test_a_generated_trace_depends_on_its_seed_alone(self):
        for name, seed in (("a", 7), ("b", 7), ("c", 8)):
            self.good("trace", "generate", "--preset", "decode", "--layers", 3, "--experts", 16, "--steps", 2,
                      "--groups", 1, "--seed", seed, "-o", f"{name}.jsonl")
        texts = [(self.folder / f"{name}.jsonl").read_bytes() for name in "abc"]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])
