# SPDX-License-Identifier: Apache-2.0
"""compare --replay, sweep, diagnose and report: the questions that people ask of a trace."""
import html.parser
import json
import unittest

import cli
from cli import CliTest

SERVED = ("--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")
SMALL = ("--ranks", 8, "--nodes", 2)
POLICIES = ("--policies", "static,deepseek,snake")


def generated(test, name, *words):
    """A small trace of the shape of a shipped model."""
    test.good("trace", "generate", "--preset", "decode", "--layers", 24, "--experts", 32, "--top-k", 4, "--groups", 1,
              "--rho", 0, *words, "-o", name, "-q")
    return name


GPT = ("--cluster", "hgx_h200", "--model", "gpt_oss_20b_mxfp4", "--ranks", 8)
BUSY = ("--tokens-per-step", 65536, "--repeat", 50)


class Compare(CliTest):
    def result(self, *words, trace=cli.MOE64_LIKE):
        return self.good("compare", trace, *SMALL, *words, "--format", "json").json()["result"]

    def test_compare_says_who_is_best_and_whether_that_is_chance(self):
        result = self.result("--slots", 72, *POLICIES)
        best = result["best"]
        rows = {row["policy"]: row for row in result["rows"]}
        self.assertEqual(best["name"], max(rows, key=lambda name: rows[name]["held_out"]["balancedness_mean"]))
        self.assertIn("best on held-out steps: " + best["name"], result["answer"])
        lead = best["lead"]
        self.assertEqual(lead["pairs"], 20)
        self.assertEqual(lead["certain"], lead["low"] > 0)
        self.assertEqual(best["runner_up"] in best["tied_with"], not lead["certain"])

    def test_differences_are_against_the_reference_that_is_asked_for(self):
        result = self.result("--slots", 72, *POLICIES, "--reference", "snake")
        self.assertEqual(result["reference"], "snake")
        rows = {row["policy"]: row for row in result["rows"]}
        self.assertEqual(rows["snake"]["difference"]["mean"], 0)
        self.assertLess(rows["static"]["difference"]["high"], 0)

    def test_rows_on_the_pareto_front_are_beaten_by_nobody(self):
        rows = self.result("--slots", "64,72,80", *POLICIES)["rows"]
        self.assertEqual(len(rows), 9)
        self.assertEqual(len({row["name"] for row in rows}), 9)
        for row in rows:
            better = [other for other in rows
                      if other["held_out"]["balancedness_mean"] > row["held_out"]["balancedness_mean"]
                      and other["transfers_per_layer"] <= row["transfers_per_layer"]]
            if row["pareto"]:
                self.assertEqual(better, [], row["name"])

    def test_a_replay_plans_on_the_past_and_is_judged_on_the_next_window(self):
        result = self.result("--slots", 72, *POLICIES, "--replay", "--window", 4, "--history", "1,2")
        self.assertTrue(result["replay"])
        self.assertEqual([row["held_out"]["windows"] for row in result["rows"]], [8] * 5)
        # The same by hand: plan on steps 4:8, judge on 8:12 is one of those windows.
        by_hand = self.result("--slots", 72, "--policies", "snake", "--train", "4:8", "--test", "8:12")["rows"][0]
        one = self.result("--slots", 72, "--policies", "snake", "--replay", "--window", 4,
                          trace=self.part("part.jsonl", 4, 12))["rows"][0]
        self.assertAlmostEqual(one["test"]["balancedness"], by_hand["test"]["balancedness"], places=12)

    def part(self, name, first, last):
        lines = cli.MOE64_LIKE.read_text(encoding="utf-8").splitlines()
        return self.write(name, "\n".join([lines[0], *lines[1 + first:1 + last]]) + "\n")

    def test_the_best_split_of_tokens_is_never_worse_than_an_even_one(self):
        even = self.result("--slots", 72, *POLICIES)["rows"]
        best = self.result("--slots", 72, *POLICIES, "--dispatch", "lp")["rows"]
        for a, b in zip(even, best):
            self.assertGreaterEqual(b["test"]["balancedness"], a["test"]["balancedness"] - 1e-12)

    def test_compare_refuses_what_makes_no_sense(self):
        for words, says in ((("--replay", "--train", "0:4", "--test", "4:8"), "--replay"),
                            (("--reference", "trtllm"), "--reference"),
                            (("--history", "0", "--replay"), "--history"),
                            (("--replay", "--window", 50), "--history"),
                            (("--replay", "--window", 0), "--window"),
                            (("--slots", "72,72"), "--slots"),
                            (("--dispatch", "best"), "--dispatch")):
            with self.subTest(words=words):
                slots = () if "--slots" in words else ("--slots", 72)
                self.refused("compare", cli.MOE64_LIKE, *SMALL, *slots, *POLICIES, *words, says=says)


class Sweep(CliTest):
    def sweep(self, *words, trace=None):
        trace = trace or generated(self, "trace.jsonl", "--steps", 24, "--tokens", 2048)
        return self.good("sweep", trace, *GPT, *BUSY, *words, "--format", "json").json()["result"]

    def test_every_combination_is_served_or_refused_with_a_reason(self):
        result = self.sweep("--policies", "deepseek,snake", "--slots", "30,32,36,40", "--interval", "100,300",
                            "--memory", "1.5GB")
        self.assertEqual(len(result["rows"]) + len(result["refused"]), 4 * (1 + 2 * 2))
        reasons = {row["slots"]: row["reason"] for row in result["refused"]}
        self.assertIn("do not divide", reasons[30])
        self.assertIn("do not divide", reasons[36])
        self.assertIn("are allowed", reasons[40])
        self.assertEqual({row["slots"] for row in result["rows"]}, {32})

    def test_the_best_has_the_highest_throughput_and_ties_are_named(self):
        result = self.sweep("--policies", "deepseek", "--slots", "32,40", "--interval", "100,400")
        rows = {row["name"]: row for row in result["rows"]}
        best = max(rows.values(), key=lambda row: row["throughput_tokens_per_second"])
        self.assertEqual(result["best"]["name"], best["name"])
        self.assertIn(best["name"], result["answer"])
        for name, row in rows.items():
            if name != best["name"]:
                self.assertEqual(name in result["best"]["tied_with"], not row["behind_best"]["certain"])
        self.assertEqual(result["best"]["certain"], result["best"]["tied_with"] == [])

    def test_a_row_of_a_sweep_is_what_simulate_says(self):
        trace = generated(self, "trace.jsonl", "--steps", 24, "--tokens", 2048)
        rows = self.sweep("--policies", "deepseek", "--slots", "40", "--interval", "200", trace=trace)["rows"]
        alone = self.good("simulate", trace, *GPT, *BUSY, "--slots", 40, "--policy", "deepseek", "--interval", 200,
                          "--format", "json").json()["result"]
        self.assertEqual(rows[1]["throughput_tokens_per_second"], alone["throughput_tokens_per_second"])
        self.assertEqual(rows[1]["step_seconds"], alone["step_seconds"])
        self.assertEqual(rows[0]["step_seconds"], alone["static"]["step_seconds"])

    def test_more_ranks_serve_faster_but_not_per_rank(self):
        trace = generated(self, "trace.jsonl", "--steps", 12, "--tokens", 2048)
        words = ("sweep", trace, *GPT[:4], *BUSY, "--policies", "static", "--slots", "32", "--ranks", "8,16",
                 "--format", "json")
        fast = self.good(*words).json()["result"]["best"]
        frugal = self.good(*words, "--goal", "per-rank").json()["result"]["best"]
        self.assertEqual((fast["ranks"], frugal["ranks"]), (16, 8))

    def test_a_sweep_is_the_same_on_one_and_two_threads(self):
        trace = generated(self, "trace.jsonl", "--steps", 12, "--tokens", 2048)
        answers = [self.sweep("--policies", "deepseek,snake", "--slots", "32,40", "--interval", "100",
                              "--threads", threads, trace=trace) for threads in (1, 2)]
        self.assertEqual(answers[0], answers[1])

    def test_a_sweep_without_a_feasible_combination_exits_1(self):
        trace = generated(self, "trace.jsonl", "--steps", 3, "--tokens", 256)
        self.refused("sweep", trace, *GPT, "--policies", "deepseek", "--slots", "30", code=1, says="30 slots")

    def test_a_sweep_refuses_bad_lists(self):
        trace = generated(self, "trace.jsonl", "--steps", 3, "--tokens", 256)
        for words, says in ((("--slots", "32,x"), "--slots"), (("--slots", "32", "--interval", "0"), "--interval"),
                            (("--slots", "32,32"), "--slots"), (("--slots", "32", "--goal", "fun"), "--goal"),
                            (("--slots", "32", "--policies", "deepsek"), "deepseek")):
            with self.subTest(words=words):
                policies = () if "--policies" in words else ("--policies", "deepseek")
                self.refused("sweep", trace, *GPT, *policies, *words, says=says)


class Diagnose(CliTest):
    def diagnose(self, trace, *words):
        return self.good("diagnose", trace, *GPT, "--slots", 40, *words, "--format", "json").json()["result"]

    def test_a_balanced_trace_gets_leave_off(self):
        trace = generated(self, "trace.jsonl", "--steps", 32, "--tokens", 65536, "--sigma", 0.1, "--sigma-sd", 0,
                          "--drift", 0)
        result = self.diagnose(trace, "--repeat", 20)
        self.assertAlmostEqual(result["imbalance"]["ranks_now"], 1.07, delta=0.03)
        self.assertEqual(result["advice"]["verdict"], "leave off")
        self.assertTrue(result["advice"]["firm"])

    def test_skew_that_stays_gets_a_static_plan(self):
        trace = generated(self, "trace.jsonl", "--steps", 32, "--tokens", 65536, "--drift", 0)
        result = self.diagnose(trace, "--repeat", 20)
        self.assertGreater(result["imbalance"]["ranks_now"], 1.2)
        self.assertEqual(result["advice"]["verdict"], "static plan")
        self.assertGreater(result["advice"]["saving_share"], 0.02)

    def test_abrupt_changes_of_domain_get_a_short_interval(self):
        trace = generated(self, "trace.jsonl", "--steps", 48, "--tokens", 65536, "--drift", 0, "--domain-changes",
                          "12,24,36", "--domain-correlation", 0)
        result = self.diagnose(trace, "--repeat", 50)
        self.assertEqual(result["drift"]["abrupt_steps"], [12, 24, 36])
        self.assertEqual(result["advice"]["verdict"], "dynamic")
        self.assertLessEqual(result["advice"]["interval_steps"], 4 * 50)
        saved = {row["name"]: row["step_seconds"]["mean"] for row in result["backtest"]}
        self.assertLess(saved[f"every {result['advice']['interval_steps']} steps"], saved["once"])

    def test_a_diagnosis_is_the_same_on_one_and_two_threads(self):
        trace = generated(self, "trace.jsonl", "--steps", 12, "--tokens", 4096)
        self.assertEqual(self.diagnose(trace, "--threads", 1), self.diagnose(trace, "--threads", 2))

    def test_a_single_recording_gets_what_can_be_said_of_it(self):
        short = generated(self, "short.jsonl", "--steps", 1, "--tokens", 65536)
        done = self.good("diagnose", short, *GPT, "--slots", 40, "--format", "json")
        self.assertIn("judged as one recording", done.err)
        result = done.json()["result"]
        self.assertIn(result["advice"]["verdict"], ("leave off", "static plan"))
        self.assertFalse(result["advice"]["firm"])
        held = result["advice"]["held_out"]
        self.assertLessEqual(held["low"], held["saving_share"])
        self.assertLessEqual(held["saving_share"], held["high"])
        self.assertEqual(result["backtest"], [])
        self.assertIn("one recording cannot show how traffic moves", result["advice"]["reasons"][-1])

    def test_few_windows_give_no_firm_verdict(self):
        trace = generated(self, "few.jsonl", "--steps", 4, "--tokens", 65536)
        advice = self.diagnose(trace)["advice"]
        self.assertEqual(advice["windows"], 3)
        self.assertFalse(advice["firm"])
        self.assertTrue(any("seen in 3 windows only" in reason for reason in advice["reasons"]))

    def test_passes_that_a_recording_is_said_to_stand_for_are_of_a_size_that_can_be(self):
        trace = generated(self, "sums.jsonl", "--steps", 8, "--tokens", 20_000_000)
        done = self.good("diagnose", trace, *GPT, "--slots", 40, "--repeat", 2, "--format", "json")
        self.assertIn("no forward pass", done.err)
        setting = done.json()["result"]["setting"]
        self.assertLessEqual(setting["tokens_per_step"], 8 * 8192)
        self.assertAlmostEqual(setting["tokens_per_step"] * setting["repeat"] / 20_000_000, 1, places=6)

    def test_diagnose_and_sweep_name_the_objective_that_serves_best(self):
        trace = generated(self, "trace.jsonl", "--steps", 16, "--tokens", 4096)
        objectives = self.diagnose(trace)["advice"]["objectives"]
        self.assertEqual([one["objective"] for one in objectives], ["tokens", "activated", "seconds"])
        self.assertEqual(min(one["behind_best"]["mean"] for one in objectives), 0)
        swept = self.good("sweep", trace, *GPT[:4], "--ranks", 8, "--slots", 40, "--policies", "incremental",
                          "--interval", 4, "--format", "json").json()["result"]
        named = [one["objective"] for one in swept["objectives"]]
        self.assertIn(named, ([], ["tokens", "activated", "seconds"]))  # none where static is advised
        self.assertEqual(named == [], swept["best"]["thriftiest"].startswith("static"))

    def test_a_diagnosis_needs_a_machine(self):
        trace = generated(self, "trace.jsonl", "--steps", 3, "--tokens", 256)
        self.refused("diagnose", trace, "--ranks", 8, "--slots", 40, says="--cluster")
        self.refused("diagnose", trace, *GPT, "--slots", 40, "--worthwhile", 2, says="--worthwhile")


class Recordings(CliTest):
    """Verdicts on real recordings, where they lie beside the checkout."""

    def diagnose(self, name, *words):
        trace = cli.SOURCE.parent / "shared" / "traces" / name
        if not trace.exists():
            self.skipTest(f"shared/traces/{name} is not beside the checkout")
        return self.good("diagnose", trace, *words, "--format", "json").json()["result"]

    def test_recorded_changes_of_domain_are_found_and_get_a_dynamic_plan(self):
        result = self.diagnose("deepseek_v2_lite_esft_shift.jsonl", "--cluster", "hgx_h200", "--model",
                               "deepseek_v2_lite_bf16", "--ranks", 8, "--slots", 72, *BUSY)
        self.assertEqual(len(result["drift"]["abrupt_steps"]), 3)
        self.assertEqual(result["advice"]["verdict"], "dynamic")

    def test_recordings_of_a_few_workloads_or_of_some_layers_get_a_verdict_from_what_there_is(self):
        result = self.diagnose("deepseek_v3_sglang6017_prefill.jsonl", *SERVED, "--ranks", 32, "--slots", 288,
                               "--policy", "balanced")
        self.assertEqual(result["phase"]["guess"], "prefill")
        self.assertGreater(result["setting"]["repeat"], 1)
        self.assertNotEqual(result["advice"]["verdict"], "leave off")
        result = self.diagnose("olmoe_1b_7b_domains.jsonl", "--cluster", "hgx_h200", "--model", "olmoe_1b_7b_bf16",
                               "--ranks", 8, "--slots", 72)
        self.assertEqual(result["trace"]["num_layers"], 3)
        self.assertFalse(result["advice"]["firm"])

    def test_a_recorded_steady_mix_gets_a_static_plan(self):
        result = self.diagnose("gpt_oss_20b_serving_mixed.jsonl", *GPT, "--slots", 40, *BUSY)
        self.assertEqual(result["phase"]["guess"], "decode")
        self.assertEqual(result["advice"]["verdict"], "static plan")


class Reader(html.parser.HTMLParser):
    """Notes what a page is made of, and whether every element is closed."""

    VOID = {"meta", "br", "rect", "line", "circle", "polyline"}

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
            self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


class HtmlReport(CliTest):
    def page(self, *results):
        self.good("report", *results, "-o", "report.html")
        reader = Reader()
        reader.feed((self.folder / "report.html").read_text(encoding="utf-8"))
        self.assertEqual(reader.open, [])
        return reader

    def test_every_result_gets_a_section_with_charts(self):
        trace = generated(self, "trace.jsonl", "--steps", 12, "--tokens", 4096)
        shape = (*GPT, "--slots", 40)
        self.good("plan", trace, *shape, "--policy", "snake", "-o", "old.json", "-q")
        self.good("plan", trace, *shape, "--policy", "deepseek", "-o", "plan.json", "-q")
        self.good("moves", "old.json", "plan.json", *GPT[:4], "-o", "moves.json", "-q")
        self.good("compare", trace, *shape, *POLICIES, "-o", "compare.json", "-q")
        self.good("simulate", trace, *shape, *BUSY, "--interval", 100, "-o", "simulate.json", "-q")
        self.good("sweep", trace, *GPT, *BUSY, "--slots", "32,40", "--policies", "snake", "-o", "sweep.json", "-q")
        self.good("diagnose", trace, *shape, "-o", "diagnose.json", "-q")
        names = ["plan", "moves", "compare", "simulate", "sweep", "diagnose"]
        reader = self.page(*[f"{name}.json" for name in names])
        self.assertEqual(reader.seen.count("section"), len(names))
        self.assertGreaterEqual(reader.seen.count("figure"), 2 * len(names))
        self.assertNotIn("img", reader.seen)

    def test_an_executed_move_is_shown_measured_beside_predicted(self):
        trace = self.good("trace", "generate", "--preset", "decode", "--layers", 3, "--experts", 16, "--top-k", 2,
                          "--groups", 1, "--steps", 1, "-o", "trace.jsonl", "-q") and "trace.jsonl"
        for policy in ("static", "snake"):
            self.good("plan", trace, "--ranks", 4, "--slots", 24, "--policy", policy, "-o", f"{policy}.json", "-q")
        tensor = {"name": "w", "shape": [64, 256], "dtype": "bf16", "bytes": 32768}
        self.write("model.json", json.dumps({
            "name": "tiny", "description": "for tests", "source": "none", "num_layers": 3, "num_experts": 16,
            "top_k": 2, "num_expert_groups": 1, "hidden_size": 64, "layer_ids": [0, 1, 2], "expert_tensors": [tensor]}))
        self.good("execute", "static.json", "snake.json", "--cluster", "host", "--model", "model.json", "-o",
                  "execute.json", "-q")
        text = " ".join(self.page("execute.json").text)
        self.assertIn("verified every byte", text)
        self.assertIn("Measured above predicted", text)

    def test_results_without_a_page_of_their_own_are_listed(self):
        self.good("models", "-o", "models.json", "-q")
        self.assertIn("table", self.page("models.json").seen)

    def test_what_is_no_result_is_refused(self):
        self.write("other.json", "[1, 2]")
        self.write("cut.json", '{"schema": "moeshift.plan/1", "res')
        self.refused("report", "other.json", "-o", "report.html", says="other.json#")
        self.refused("report", "cut.json", "-o", "report.html", says="cut.json:1")
        self.refused("report", "absent.json", "-o", "report.html", says="absent.json")
        self.refused("report", says="RESULT")
        self.assertFalse((self.folder / "report.html").exists())

    def test_the_form_follows_the_ending_of_the_file_or_what_is_asked_for(self):
        self.good("plan", self.trace(), "--ranks", 4, "--slots", 12, "-o", "p.json", "-q")
        balancedness = self.load("p.json")["result"]["metrics"]["balancedness"]
        for name, has in (("r.md", "| balancedness |"), ("r.csv", f"balancedness,{balancedness},"), ("r.txt", "balancedness")):
            self.good("report", "p.json", "-o", name)
            self.assertIn(has, (self.folder / name).read_text(encoding="utf-8"))
            self.assertNotIn("<html", (self.folder / name).read_text(encoding="utf-8"))
        self.good("report", "p.json", "p.json", "-o", "r.json")
        self.assertEqual([section["command"] for section in self.load("r.json")], ["plan", "plan"])
        self.assertEqual(self.load("r.json")[0]["view"]["blocks"], self.load("p.json")["view"]["blocks"])
        self.assertEqual(json.loads(self.good("report", "p.json", "--format", "json").out)[0]["source"], "p.json")
        self.assertIn("| balancedness |", self.good("report", "p.json", "--format", "markdown").out)
        self.refused("report", "p.json", "--format", "pdf", says="--format")

    def test_a_page_can_go_to_standard_output(self):
        self.good("models", "-o", "models.json", "-q")
        self.assertTrue(self.good("report", "models.json").out.startswith("<!doctype html>"))


class Gates(CliTest):
    def test_a_sweep_and_a_diagnosis_pass_against_themselves_and_fail_when_worse(self):
        trace = generated(self, "trace.jsonl", "--steps", 12, "--tokens", 4096)
        self.good("sweep", trace, *GPT, *BUSY, "--slots", "32,40", "--policies", "snake", "-o", "sweep.json", "-q")
        self.good("diagnose", trace, *GPT, "--slots", 40, *BUSY, "-o", "diagnose.json", "-q")
        for name in ("sweep", "diagnose"):
            self.good("check", f"{name}.json", f"{name}.json")
        worse = json.loads((self.folder / "sweep.json").read_text(encoding="utf-8"))
        worse["result"]["rows"][1]["vs_static"]["throughput_ratio"] *= 0.9
        self.write("worse.json", json.dumps(worse))
        verdict = self.run_program("check", "worse.json", "sweep.json")
        self.assertEqual(verdict.code, 1)
        self.assertIn(worse["result"]["rows"][1]["name"], verdict.out)
        flipped = json.loads((self.folder / "diagnose.json").read_text(encoding="utf-8"))
        flipped["result"]["advice"]["verdict"] = "else"
        self.write("flipped.json", json.dumps(flipped))
        self.assertEqual(self.run_program("check", "flipped.json", "diagnose.json").code, 1)


if __name__ == "__main__":
    unittest.main()
