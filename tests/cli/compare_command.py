# SPDX-License-Identifier: Apache-2.0
"""compare: the rows that scripts rely on, and that they agree with what plan says."""
import cli
from cli import CliTest

SHAPE = ("--ranks", 32, "--slots", 288)


class CompareCommand(CliTest):
    def rows(self, *words, trace=cli.DEEPSEEK_LIKE):
        document = self.good("compare", trace, *SHAPE, *words, "--format", "json").json()
        return {row["policy"]: row for row in document["result"]["rows"]}

    def test_rows_have_the_documented_keys_in_the_order_of_the_policies(self):
        rows = self.rows("--policies", "snake,static", "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")
        self.assertEqual(list(rows), ["snake", "static"])
        self.assertEqual(list(rows["snake"]),
                         ["policy", "train", "test", "transfers_per_layer", "inter_node_transfers_per_layer",
                          "bytes_by_link", "predicted_seconds", "plan_seconds", "name", "slots", "planned_on",
                          "held_out", "difference", "pareto"])
        self.assertEqual(list(rows["snake"]["bytes_by_link"]), ["intra_node", "inter_node", "inter_rack"])
        self.assertGreater(rows["snake"]["predicted_seconds"], 0)

    def test_balance_on_train_is_what_plan_says_of_the_same_steps(self):
        plan = self.good("plan", cli.DEEPSEEK_LIKE, *SHAPE, "--cluster", "hgx_h200", "--windows", "0:4",
                         "--policy", "deepseek", "--format", "json").json()["result"]["metrics"]
        row = self.rows("--policies", "deepseek", "--cluster", "hgx_h200", "--train", "0:4", "--test", "4:8")
        for name in ("balancedness", "balancedness_vllm", "imbalance", "imbalance_trtllm", "peak_load"):
            self.assertAlmostEqual(row["deepseek"]["train"][name] / plan[name], 1, places=12)

    def test_halves_of_the_trace_are_the_default_windows(self):
        given = self.rows("--policies", "snake", "--train", "0:4", "--test", "4:8")["snake"]
        halves = self.rows("--policies", "snake")["snake"]
        self.assertEqual(given["train"], halves["train"])
        self.assertEqual(given["test"], halves["test"])

    def test_bytes_are_transfers_times_the_bytes_of_an_expert(self):
        row = self.rows("--policies", "deepseek", "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")["deepseek"]
        transfers = row["transfers_per_layer"] * 58
        self.assertAlmostEqual(sum(row["bytes_by_link"].values()) / 44050944, transfers, places=6)
        self.assertAlmostEqual(row["bytes_by_link"]["inter_node"] / 44050944,
                               row["inter_node_transfers_per_layer"] * 58, places=6)

    def test_static_moves_nothing_and_costs_nothing(self):
        row = self.rows("--policies", "static", "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")["static"]
        self.assertEqual((row["transfers_per_layer"], row["predicted_seconds"]), (0, 0))

    def test_a_policy_that_plans_on_the_same_steps_as_before_moves_nothing(self):
        row = self.rows("--policies", "deepseek", "--train", "0:4", "--test", "4:8", "--previous", "0:4")["deepseek"]
        self.assertEqual(row["transfers_per_layer"], 0)

    def test_moves_are_counted_from_the_placement_that_is_given(self):
        self.good("plan", cli.DEEPSEEK_LIKE, *SHAPE, "--windows", "0:4", "--policy", "deepseek", "-o", "old.json", "-q")
        rows = self.rows("--policies", "deepseek,snake", "--train", "0:4", "--test", "4:8", "--from", "old.json")
        self.assertEqual(rows["deepseek"]["transfers_per_layer"], 0)
        self.assertGreater(rows["snake"]["transfers_per_layer"], 0)

    def test_moves_and_seconds_are_what_moves_says_of_the_same_two_plans(self):
        full = ("--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")
        for name, window in (("old", "0:4"), ("new", "4:8")):
            self.good("plan", cli.DEEPSEEK_LIKE, *SHAPE, *full, "--policy", "deepseek", "--windows", window, "-o", f"{name}.json", "-q")
        moves = self.good("moves", "old.json", "new.json", *full, "--format", "json").json()["result"]["totals"]
        row = self.rows("--policies", "deepseek", "--previous", "0:4", "--train", "4:8", "--test", "0:4", *full)["deepseek"]
        self.assertAlmostEqual(row["transfers_per_layer"] * 58, moves["transfers"], places=6)
        self.assertEqual(row["bytes_by_link"], moves["bytes_by_link"])
        self.assertEqual(row["predicted_seconds"], moves["predicted_seconds"]["total"])

    def test_steps_that_were_planned_on_judge_nobody(self):
        for train, test in (("0:4", "3:8"), ("0:4", "0:4"), ("2:", "4:8"), ("0:2,4:6", "5:8"), ("4:8", ":5")):
            self.refused("compare", cli.DEEPSEEK_LIKE, *SHAPE, "--policies", "deepseek", "--train", train, "--test", test,
                         says=("--test", "has not seen"))

    def test_options_that_change_nothing_are_said_to_be_unused(self):
        result = self.good("compare", cli.DEEPSEEK_LIKE, *SHAPE, "--policies", "static", "--window", 2, "--history", "1,2")
        self.assertIn("--window is not used", result.err)
        self.assertIn("--history is not used", result.err)
        self.assertNotIn("not used", self.good("compare", cli.DEEPSEEK_LIKE, *SHAPE, "--policies", "static").err)

    def test_without_a_model_there_are_no_bytes_and_no_seconds(self):
        row = self.rows("--policies", "deepseek", "--nodes", 4)["deepseek"]
        self.assertIsNone(row["bytes_by_link"])
        self.assertIsNone(row["predicted_seconds"])
        self.assertGreater(row["inter_node_transfers_per_layer"], 0)

    def test_planning_beats_the_initial_map_on_held_out_steps(self):
        rows = self.rows("--policies", "static,deepseek,snake")
        for policy in ("deepseek", "snake"):
            self.assertGreater(rows[policy]["test"]["balancedness"], rows["static"]["test"]["balancedness"] + 0.1)
