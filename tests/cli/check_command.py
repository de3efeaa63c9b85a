# SPDX-License-Identifier: Apache-2.0
"""check: exit 1 on a regression, never on an improvement."""
import json
from xml.etree import ElementTree

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
        self.judge(1, "new.json", "old.json", "--fail-on", "physical_to_logical=0", "--allow-different")
        self.judge(0, "old.json", "old.json", "--fail-on", "physical_to_logical=0")

    def test_results_of_different_commands_are_refused(self):
        self.plan("plan.json")
        self.good("models", "-o", "models.json", "-q")
        self.refused("check", "models.json", "plan.json", "--fail-on", "balancedness=0",
                     says=("models.json#/schema", "moeshift.plan/2"))

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

    def test_a_baseline_of_another_policy_trace_or_shape_is_said_and_only_compared_on_demand(self):
        self.plan("old.json")
        other = [[[1, 1, 1, 1, 9, 9, 9, 9], [3, 3, 3, 3, 3, 3, 3, 5]]]
        for what, words, trace in (("policy", ("--policy", "contiguous"), None),
                                   ("slots", ("--ranks", 4, "--slots", 16), None),
                                   ("ranks", ("--ranks", 2, "--slots", 12), None),
                                   ("trace", (), self.trace("other.jsonl", loads=other)),
                                   ("model", ("--model", self.tiny_model()), None)):
            with self.subTest(what=what):
                base = "old.json"
                if what == "model":
                    base = self.plan("modelled.json", "--model", self.write("big.json", (self.folder / "model.json").read_text()))
                self.plan("new.json", *words, trace=trace)
                self.refused("check", "new.json", base, says=(f"another {what} (", "--allow-different"))
                allowed = self.run_program("check", "new.json", base, "--allow-different")
                self.assertIn(allowed.code, (0, 1), allowed.err)
                self.assertIn(f"another {what}: ", allowed.out)

    def test_the_same_trace_under_another_name_is_the_same_trace(self):
        self.plan("old.json")
        self.plan("new.json", trace=self.trace("renamed.jsonl"))
        self.judge(0, "new.json", "old.json")

    def test_defaults_do_not_grow_with_the_load(self):
        old = self.load(self.plan("old.json"))
        old["result"]["metrics"]["peak_load"] /= 2
        self.write("less.json", json.dumps(old))
        self.assertNotIn("metrics.peak_load", self.judge(0, "old.json", "less.json"))

    def test_a_requirement_needs_no_baseline(self):
        self.result("made.json", balancedness=0.9)
        for code, text in ((0, "balancedness>=0.9"), (1, "balancedness>0.9"), (0, "balancedness >= 89%"), (1, "gap_max<-1"),
                           (0, "metrics.balancedness==0.9"), (0, "layers.*.imbalance<100"), (1, "balancedness>=0.95")):
            with self.subTest(text=text):
                done = self.run_program("check", "made.json", "--require", text)
                self.assertEqual(done.code, code, done.out + done.err)
        self.assertIn("NOT MET", done.out)
        self.assertIn(">= 0.95", done.out)

    def test_a_requirement_also_holds_beside_a_baseline(self):
        self.result("made.json", balancedness=0.9)
        self.assertEqual(self.run_program("check", "made.json", "made.json", "--require", "balancedness>=0.95").code, 1)
        self.assertEqual(self.run_program("check", "made.json", "made.json", "--require", "balancedness>=0.85").code, 0)

    def test_requirements_that_say_nothing_are_refused(self):
        self.plan("made.json")
        for text in ("balancedness", "balancedness>=", ">=1", "balancedness=>1", "balancedness>=abc", "balancedness~1"):
            with self.subTest(text=text):
                self.refused("check", "made.json", "--require", text, says="--require")
        self.refused("check", "made.json", "--require", "balancednes>=1", says="did you mean 'balancedness'?")
        self.refused("check", "made.json", "--require", "policy>=1", says="no number")
        self.refused("check", "made.json", says="BASELINE")
        self.refused("check", "made.json", "--fail-on", "balancedness=0", says="--fail-on")

    def test_junit_has_a_case_per_figure_and_a_failure_per_regression(self):
        self.result("old.json", balancedness=0.9)
        self.result("new.json", balancedness=0.8)
        done = self.run_program("check", "new.json", "old.json", "--require", "balancedness>=0.5", "--format", "junit")
        self.assertEqual(done.code, 1, done.err)
        suite = ElementTree.fromstring(done.out)
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("3", "1"))
        failing = [case.get("name") for case in suite if case.find("failure") is not None]
        self.assertEqual(failing, ["metrics.balancedness"])
        self.assertIn("-11.11 %", suite.find("testcase/failure").get("message"))
        self.assertEqual({case.get("classname") for case in suite}, {"moeshift.plan"})

    def test_github_annotates_every_regression(self):
        self.result("old.json", balancedness=0.9)
        self.result("new.json", balancedness=0.8)
        done = self.run_program("check", "new.json", "old.json", "--format", "github")
        self.assertEqual(done.code, 1)
        errors = [line for line in done.out.splitlines() if line.startswith("::error ")]
        self.assertEqual(len(errors), 1)
        self.assertTrue(errors[0].startswith("::error file=new.json,title=moeshift check::metrics.balancedness is worse%3A"))
        self.assertIn("::notice title=moeshift check::REGRESSION", done.out)
        self.assertEqual(self.run_program("check", "old.json", "old.json", "--format", "github").code, 0)
