# SPDX-License-Identifier: Apache-2.0
"""plan: what may be asked of a plan besides balance."""
import json
import re

from cli import DEEPSEEK_LIKE, SOURCE, CliTest

SHAPE = ["--ranks", 4, "--slots", 16, "--nodes", 2, "--policy", "balanced", "--format", "json"]


class PlanCommand(CliTest):
    def result(self, *words):
        return self.good("plan", self.trace(), *SHAPE, *words).json()["result"]

    def rows(self, result):
        return result["placement"]["physical_to_logical"]

    def test_memory_grows_with_ranks_and_not_with_their_pairs(self):
        self.tiny_model()
        said = self.good("plan", self.trace(), "--ranks", 4096, "--slots", 4096, "--nodes", 512, "--policy", "static",
                         "--cluster", "hgx_h200", "--model", "model.json", "-v", "-o", "plan.json").err
        used = re.search(r"processors, ([0-9.]+) MB of memory", said)
        self.assertIsNotNone(used, said)
        self.assertLess(float(used.group(1)), 100)

    def test_every_expert_survives_the_loss_of_a_node(self):
        for row in self.rows(self.result("--survive", "nodes:1")):
            self.assertEqual(set(row[:8]), set(range(8)))
            self.assertEqual(set(row[8:]), set(range(8)))

    def test_too_few_slots_to_survive_exit_1_and_name_what_would_do(self):
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 12, "--policy", "balanced", "--survive", 1,
                     code=1, says="4 would (16 slots")
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 16, "--policy", "vllm", "--survive", 1,
                     says="vllm")

    def test_a_budget_of_slots_is_shared_out_and_compared(self):
        result = self.result("--slots-budget", 24)
        budget = result["slots_budget"]
        self.assertEqual(budget["slots_per_layer"], [sum(e >= 0 for e in row) for row in self.rows(result)])
        self.assertLessEqual(budget["used"], 24)
        self.assertLessEqual(budget["peak_load"], budget["uniform_peak_load"])
        self.refused("plan", self.trace(), *SHAPE, "--slots-budget", 15, code=1, says="15")

    def test_a_plan_with_empty_slots_can_be_moved_to_and_carried_out(self):
        self.plan("old.json", *SHAPE[:-2])
        self.plan("new.json", *SHAPE[:-2], "--slots-budget", 24)
        model = self.tiny_model()
        for old, new in (("old.json", "new.json"), ("new.json", "old.json")):
            self.good("moves", old, new, "--cluster", "hgx_h200", "--model", model)
            done = self.good("execute", old, new, "--backend", "host", "--ranks", 4, "--model", model,
                             "--cluster", "host", "--format", "json")
            self.assertTrue(done.json()["result"]["verified"])
        self.good("plan", self.trace(), *SHAPE, "--from", "new.json")

    def test_a_plan_is_scored_under_each_dispatch_rule(self):
        peaks = {}
        for rule in ("even", "nearest", "random", "lp"):
            result = self.result("--dispatch", rule)
            self.assertEqual(result["dispatch"], rule)
            peaks[rule] = result["metrics"]["peak_load"]
        self.assertLessEqual(peaks["lp"], peaks["even"] + 1e-9)

    def machine(self, **more):
        """A machine of two ranks per node, and what is said of it."""
        cluster = json.loads((SOURCE / "configs" / "clusters" / "hgx_h200.json").read_text())
        return self.write("machine.json", json.dumps({**cluster, "ranks_per_node": 2, **more}))

    def test_speeds_in_the_file_of_a_machine_are_planned_for_like_those_that_are_given(self):
        in_file = self.machine(rank_speed=[1, 0.5])
        told = self.result("--cluster", in_file)
        speeds = self.write("speeds.json", "[1, 0.5, 1, 0.5]")
        self.assertEqual(told["placement"], self.result("--rank-speed", speeds)["placement"])
        self.assertEqual(told["metrics"], self.result("--rank-speed", speeds)["metrics"])
        self.assertNotEqual(told["metrics"], self.result()["metrics"])
        wrong = self.machine(rank_speed=[1, 0.5, 1])
        self.refused("plan", self.trace(), *SHAPE, "--cluster", wrong, says=("rank_speed", "3"))

    def test_an_objective_is_reported_beside_the_tokens(self):
        objective = self.result("--objective", "activated", "--tokens-per-step", 64)["objective"]
        self.assertEqual((objective["name"], objective["unit"]), ("activated", "experts"))
        self.refused("plan", self.trace(), *SHAPE, "--objective", "seconds", says=("--cluster", "--model"))

    def test_out_of_time_a_plan_is_valid_and_says_so(self):
        result = self.result("--time-limit", 0)
        self.assertEqual(result["hasty_layers"], 2)
        self.assertTrue(all(set(row) == set(range(8)) for row in self.rows(result)))
        self.refused("plan", self.trace(), *SHAPE, "--time-limit", -1, says="--time-limit")

    def test_a_price_in_seconds_buys_more_the_longer_the_horizon(self):
        shape = ["--ranks", 8, "--slots", 288, "--nodes", 2]
        self.plan("old.json", *shape, "--policy", "balanced", "--windows", "0:1", trace=DEEPSEEK_LIKE)
        moved = []
        for steps in (1, 1000000):
            result = self.good("plan", DEEPSEEK_LIKE, *shape, "--policy", "incremental", "--from", "old.json",
                               "--windows", "1:", "--price", f"seconds:{steps}", "--cluster", "hgx_h200", "--model",
                               "deepseek_v3_fp8", "--explain", "--format", "json").json()["result"]
            moved.append(len(result["reasons"]))
            for reason in result["reasons"]:
                self.assertEqual(reason["bytes"], 44050944)
                self.assertAlmostEqual(reason["gain"], reason["imbalance_before"] - reason["imbalance_after"])
        self.assertEqual(moved[0], 0)
        self.assertGreater(moved[1], 0)
        self.refused("plan", self.trace(), *SHAPE, "--price", "seconds:5", says=("--cluster", "--model"))
        self.refused("plan", self.trace(), *SHAPE[:6], "--policy", "robust", "--price", "cheap", says="cheap")
