# SPDX-License-Identifier: Apache-2.0
"""check: exit 1 on a regression, never on an improvement."""
import json

from cli import CliTest


class CheckCommand(CliTest):
    def result(self, name, **metrics):
        plan = self.load(self.plan("made.json"))
        plan["result"]["metrics"].update(metrics)
        return self.write(name, json.dumps(plan))

    def judge(self, code, *words):
        result = self.run_program("check", *words, "--format", "json")
        self.assertEqual(result.code, code, result.err)
        return {row["metric"]: row["verdict"] for row in result.json()["result"]["rows"]}

    def test_a_result_passes_against_itself(self):
        plan = self.plan("plan.json")
        self.assertEqual(set(self.judge(0, plan, plan).values()), {"same"})

    def test_a_regression_exits_1_and_says_which_metric(self):
        self.result("old.json", balancedness=0.9)
        self.result("new.json", balancedness=0.8)
        result = self.run_program("check", "new.json", "old.json", "--fail-on", "balancedness=0.5%")
        self.assertEqual(result.code, 1)
        self.assertRegex(result.out, r"metrics\.balancedness .*-11\.11 % .*worse")
        self.assertIn("REGRESSION", result.out)

    def test_an_improvement_never_fails(self):
        self.result("old.json", balancedness=0.8, peak_load=100)
        self.result("new.json", balancedness=0.9, peak_load=50)
        verdicts = self.judge(0, "new.json", "old.json", "--fail-on", "balancedness=0", "--fail-on", "peak_load=0")
        self.assertEqual(set(verdicts.values()), {"better"})

    def test_a_change_within_its_tolerance_passes(self):
        self.result("old.json", balancedness=0.9)
        self.result("new.json", balancedness=0.897)
        self.judge(0, "new.json", "old.json", "--fail-on", "balancedness=0.5%")
        self.judge(1, "new.json", "old.json", "--fail-on", "balancedness=0.1%")
        self.judge(0, "new.json", "old.json", "--fail-on", "balancedness=0.004")

    def test_a_gated_metric_that_vanished_exits_1(self):
        self.result("old.json")
        new = self.load(self.result("new.json"))
        del new["result"]["metrics"]["peak_load"]
        self.write("new.json", json.dumps(new))
        self.assertEqual(self.judge(1, "new.json", "old.json", "--fail-on", "metrics.peak_load=0"),
                         {"metrics.peak_load": "missing"})

    def test_placements_can_be_gated_for_equality(self):
        self.plan("old.json")
        self.plan("new.json", "--policy", "contiguous", trace="trace.jsonl")
        self.judge(1, "new.json", "old.json", "--fail-on", "physical_to_logical=0")
        self.judge(0, "old.json", "old.json", "--fail-on", "physical_to_logical=0")

    def test_results_of_different_commands_are_refused(self):
        self.plan("plan.json")
        self.good("models", "-o", "models.json", "-q")
        self.refused("check", "models.json", "plan.json", "--fail-on", "balancedness=0",
                     says=("models.json#/schema", "moeshift.plan/1"))

    def test_a_file_that_is_no_result_is_refused(self):
        self.plan("plan.json")
        self.write("other.json", "[1, 2]")
        self.refused("check", "other.json", "plan.json", says="other.json#")
        self.refused("check", "plan.json", "other.json", says="other.json#")

    def test_an_unknown_metric_is_refused_with_the_nearest(self):
        self.plan("plan.json")
        self.refused("check", "plan.json", "plan.json", "--fail-on", "balancednes=0",
                     says="did you mean 'balancedness'?")

    def test_a_tolerance_that_is_none_is_refused(self):
        self.plan("plan.json")
        for gate in ("balancedness", "balancedness=", "balancedness=-1", "balancedness=abc", "=1"):
            with self.subTest(gate=gate):
                self.refused("check", "plan.json", "plan.json", f"--fail-on={gate}", says="--fail-on")

    def test_results_without_default_gates_ask_for_one(self):
        self.good("models", "-o", "models.json", "-q")
        self.refused("check", "models.json", "models.json", says="--fail-on")
