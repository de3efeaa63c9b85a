# SPDX-License-Identifier: Apache-2.0
"""Objective, price, time limit and forecast mean the same in every command that plans."""
import cli
from cli import CliTest
from questions import BUSY, GPT, generated

SHAPE = ("--ranks", 8, "--nodes", 2, "--slots", 72)
MACHINE = ("--cluster", "hgx_h200", "--model", "gpt_oss_20b_mxfp4")


class GoalOptions(CliTest):
    def plan(self, *words):
        return self.good("plan", cli.MOE64_LIKE, *SHAPE, *words, "--format", "json").json()["result"]

    def rows(self, *words, trace=cli.MOE64_LIKE, shape=SHAPE):
        return self.good("compare", trace, *shape, *words, "--format", "json").json()["result"]["rows"]

    def replayed(self, trace, *words):
        """A row of simulate, and of sweep for the same."""
        words = (*GPT, *BUSY, "--slots", 40, "--interval", 200, *words, "--format", "json")
        alone = self.good("simulate", trace, *words, "--policy", "incremental").json()["result"]
        swept = self.good("sweep", trace, *words, "--policies", "incremental").json()["result"]["rows"][1]
        self.assertEqual(swept["step_seconds"], alone["step_seconds"])
        return alone

    def test_ranks_that_hold_nothing_are_no_idle_ranks(self):
        """A plan on six of eight ranks: no metric counts the two that do not serve."""
        result = self.good("plan", cli.MOE64_LIKE, "--ranks", 8, "--nodes", 2, "--slots", 96, "--policy", "balanced",
                           "--inactive", "2,5", "--format", "json").json()["result"]
        metrics, layers = result["metrics"], result["layers"]
        mean = sum(layer["imbalance"] for layer in layers) / len(layers)
        self.assertAlmostEqual(metrics["imbalance"], mean, places=9)
        self.assertAlmostEqual(metrics["imbalance_trtllm"], mean - 1, places=9)
        self.assertGreater(metrics["balancedness"], 0.9)  # 6 / 8 at most if they counted
        self.assertGreater(metrics["balancedness_vllm"], 0.9)

    def test_a_plan_on_the_last_step_is_a_plan_on_a_forecast_of_it(self):
        for policy in ("balanced", "robust"):
            words = ("--policy", policy)
            self.assertEqual(self.plan(*words, "--windows", "0:4", "--forecaster", "last")["placement"],
                             self.plan(*words, "--windows", "3:4")["placement"])
        self.assertNotEqual(self.plan("--policy", "robust", "--windows", "0:8", "--forecaster", "recentred:8")["placement"],
                            self.plan("--policy", "robust", "--windows", "0:8")["placement"])
        self.refused("plan", cli.MOE64_LIKE, *SHAPE, "--forecaster", "lats", says=("forecaster 'lats'", "ewma:A"))

    def test_policies_are_compared_on_a_forecast(self):
        policies = ("--policies", "snake,robust", "--test", "4:8")
        last = self.rows(*policies, "--train", "0:4", "--forecaster", "last")
        for row, by_hand in zip(last, self.rows(*policies, "--train", "3:4")):
            self.assertEqual((row["train"], row["test"]), (by_hand["train"], by_hand["test"]))
        self.assertIn("forecast last", last[0]["planned_on"])

    def test_a_replay_forecasts_from_the_windows_of_its_history(self):
        words = ("--policies", "snake", "--replay", "--window", 2)
        one = self.rows(*words, "--history", "1,3")[0]
        last = self.rows(*words, "--history", 3, "--forecaster", "last")[0]
        self.assertEqual(one["test"], last["test"])
        self.assertNotEqual(self.rows(*words, "--history", 3)[0]["test"], last["test"])

    def test_a_price_in_seconds_buys_more_the_longer_the_horizon(self):
        trace = generated(self, "trace.jsonl", "--steps", 24, "--tokens", 2048)
        moved, served = [], []
        for steps in (1, 100000000):
            price = ("--price", f"seconds:{steps}")
            row = self.rows("--policies", "incremental", *price, trace=trace, shape=(*GPT, "--slots", 40))[0]
            moved.append(row["transfers_per_layer"])
            served.append(sum(self.replayed(trace, *price, "--ungated")["bytes_by_link"].values()))
        self.assertLess(2 * moved[0], moved[1])
        self.assertLess(served[0], served[1])
        self.refused("compare", trace, *SHAPE[:2], "--slots", 40, "--policies", "incremental", "--price", "seconds:5",
                     says=("--cluster", "--model"))
        for command in (("simulate",), ("sweep",)):
            policy = ("--policies" if command == ("sweep",) else "--policy", "incremental")
            self.refused(*command, trace, *GPT, "--slots", 40, *policy, "--price", "seconds:5",
                         says=("--price", "--tokens-per-step"))

    def test_an_objective_is_what_policies_plan_for(self):
        trace = generated(self, "trace.jsonl", "--steps", 24, "--tokens", 2048)
        for objective in ("activated", "seconds"):
            words = ("--objective", objective)
            shape = (*GPT, "--slots", 40, "--tokens-per-step", 64)
            compared = self.rows("--policies", "balanced", *words, trace=trace, shape=shape)[0]
            plain = self.rows("--policies", "balanced", trace=trace, shape=shape)[0]
            self.assertLess(compared["train"]["balancedness"], plain["train"]["balancedness"])
        few = ("--tokens-per-step", 64, "--repeat", 50, "--ungated")
        common = ("simulate", trace, *GPT, *few, "--slots", 40, "--policy", "incremental", "--interval", 200, "--format", "json")
        tokens = self.good(*common).json()["result"]
        activated = self.good(*common, "--objective", "activated").json()["result"]
        self.assertNotEqual(tokens["bytes_by_link"], activated["bytes_by_link"])
        self.refused("compare", cli.MOE64_LIKE, *SHAPE, "--policies", "snake", "--objective", "seconds",
                     says=("--objective", "--cluster"))

    def test_a_time_limit_holds_for_every_plan(self):
        words = ("--policies", "balanced")
        hasty = self.rows(*words, "--time-limit", 0)[0]
        self.assertLess(hasty["train"]["balancedness"], self.rows(*words)[0]["train"]["balancedness"])
        trace = generated(self, "trace.jsonl", "--steps", 24, "--tokens", 2048)
        served = self.replayed(trace, "--time-limit", 0)
        self.assertNotEqual(served["bytes_by_link"], self.replayed(trace)["bytes_by_link"])
        for command in ("compare", "simulate", "sweep"):
            policies = ("--policy" if command == "simulate" else "--policies", "balanced")
            self.refused(command, trace, *GPT, "--slots", 40, *policies, "--time-limit", -1, says="--time-limit")
