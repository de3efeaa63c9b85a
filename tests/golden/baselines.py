#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Results on the shipped traces, held by `moeshift check` against baselines of earlier ones.

`MOESHIFT=build/release/bin/moeshift python3 tests/golden/baselines.py --bless` makes them anew, when a
change is meant; the difference belongs into the commit that causes it.
"""
import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

import cli  # noqa: E402
from cli import CliTest  # noqa: E402

FULL = ("--ranks", 32, "--slots", 288, "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")
SMALL = ("--ranks", 8, "--slots", 72, "--nodes", 2)
SERVED = ("--tokens-per-step", 65536, "--repeat", 25)
SERVING = "0.0001%"  # step times add up more sums
NO_BASELINE = {"plan_seconds", "bound_seconds", "moves_tried", "plan_hash",  # measured, or free to change
               "measured_seconds", "payload_bytes_per_second", "facts", "rearrangements"}
ROUNDING = "0.0000001%"  # sums of doubles may differ in the last digits between compilers


def without(value, keys):
    if isinstance(value, dict):
        return {k: without(v, keys) for k, v in value.items() if k not in keys}
    return [without(item, keys) for item in value] if isinstance(value, list) else value


def write(value, depth=0):
    """JSON with plain lists on one line."""
    plain = not isinstance(value, (dict, list)) or isinstance(value, list) and not any(
        isinstance(item, (dict, list)) for item in value)
    if plain or not value:
        return json.dumps(value, separators=(",", ":"))
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(k)}: {write(v, depth + 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{end}}}"
    return "[\n" + ",\n".join(pad + write(item, depth + 1) for item in value) + f"\n{end}]"


class Baselines(CliTest):
    bless = False

    def held(self, name, words, gates, leave_out=()):
        """Runs `words` and checks the result against baselines/NAME.json under `gates`."""
        text = self.good(*words, "--format", "json", "-q").out
        baseline = HERE / "baselines" / f"{name}.json"
        if self.bless:
            result = json.loads(text)
            kept = {"schema": result["schema"], "result": without(result["result"], {*NO_BASELINE, *leave_out})}
            baseline.write_text(write(kept) + "\n", encoding="utf-8")
            return
        self.write("result.json", text)
        options = [f"--fail-on={gate}" for gate in gates]
        verdict = self.run_program("check", "result.json", baseline, *options)
        self.assertEqual(verdict.code, 0, verdict.out + verdict.err)

    def held_plan(self, name, words, gates=()):
        metrics = [f"metrics.{metric}={ROUNDING}" for metric in
                   ("balancedness", "balancedness_vllm", "imbalance", "imbalance_trtllm", "peak_load")]
        self.held(name, ("plan", *words), [*metrics, f"metrics.gap_max={ROUNDING}", *gates],
                  () if "physical_to_logical=0" in gates else {"placement"})

    def test_deepseek_plans_the_shipped_prefill_trace_as_before(self):
        self.held_plan("plan_deepseek_prefill", (cli.DEEPSEEK_LIKE, *FULL, "--policy", "deepseek"))

    def test_snake_plans_the_shipped_prefill_trace_as_before(self):
        self.held_plan("plan_snake_prefill", (cli.DEEPSEEK_LIKE, *FULL, "--policy", "snake"))

    def test_deepseek_puts_every_expert_of_the_shipped_decode_trace_where_it_did(self):
        self.held_plan("plan_deepseek_decode", (cli.MOE64_LIKE, *SMALL, "--policy", "deepseek"),
                       ["physical_to_logical=0"])

    def test_balanced_puts_every_expert_of_the_shipped_decode_trace_where_it_did(self):
        self.held_plan("plan_balanced_decode", (cli.MOE64_LIKE, *SMALL, "--policy", "balanced"), ["physical_to_logical=0"])

    def test_hierarchical_puts_every_expert_of_the_shipped_decode_trace_where_it_did(self):
        self.held_plan("plan_hierarchical_decode",
                       (cli.MOE64_LIKE, *SMALL, "--groups", 8, "--policy", "hierarchical"), ["physical_to_logical=0"])

    def test_policies_that_start_from_a_placement_move_what_they_moved(self):
        self.good("plan", cli.MOE64_LIKE, *SMALL, "--policy", "deepseek", "--windows", "0:10", "-o", "old.json", "-q")
        for policy in ("incremental", "robust"):
            self.held_plan(f"plan_{policy}_decode",
                           (cli.MOE64_LIKE, *SMALL, "--policy", policy, "--windows", "10:20", "--from", "old.json"),
                           ["physical_to_logical=0", "move.transfers=0"])

    def test_the_rearrangement_of_the_shipped_prefill_trace_moves_no_more_at_no_higher_price(self):
        for name, window in (("old", "0:4"), ("new", "4:8")):
            self.good("plan", cli.DEEPSEEK_LIKE, *FULL, "--policy", "deepseek", "--windows", window, "-o", f"{name}.json", "-q")
        self.held("moves_prefill", ("moves", "old.json", "new.json", *FULL[4:]),
                  ["totals.transfers=0", "totals.local_copies=0", "totals.bytes_by_link.*=0",
                   "totals.rounds=0", "totals.staging_bytes_per_rank=0",
                   f"totals.predicted_seconds.*={ROUNDING}"], {"layers"})

    def test_the_rearrangement_of_the_shipped_prefill_trace_is_performed_to_the_byte(self):
        for name, window in (("old", "0:4"), ("new", "4:8")):
            self.good("plan", cli.DEEPSEEK_LIKE, *FULL, "--policy", "deepseek", "--windows", window, "-o", f"{name}.json", "-q")
        self.held("execute_prefill", ("execute", "old.json", "new.json", "--cluster", "host", *FULL[6:],
                                      "--layers", 4, "--scale", "1/1024"),
                  ["verified=0", "mismatched_bytes=0", "bytes_by_link.*=0", "memory_bytes_per_rank=0",
                   "layers.*.transfers=0", "layers.*.phase=0", "layers.*.epoch=0"])

    def test_serving_the_shipped_decode_trace_goes_as_before(self):
        model = json.loads((cli.SOURCE / "configs/models/olmoe_1b_7b_bf16.json").read_text(encoding="utf-8"))
        model.update({"name": "moe64", "num_layers": 24, "num_hidden_layers": 24, "layer_ids": list(range(24))})
        self.write("model.json", json.dumps(model))
        for mode in ("sync", "async"):
            self.held(f"simulate_decode_{mode}",
                      ("simulate", cli.MOE64_LIKE, "--cluster", "hgx_h200", "--model", "model.json", *SMALL, "--policy",
                       "deepseek", "--mode", mode, "--tokens-per-step", 4096, "--repeat", 25),
                      [f"throughput_tokens_per_second={ROUNDING}", f"step_seconds.*={ROUNDING}",
                       f"transfer_seconds.*={ROUNDING}", "bytes_by_link.*=0"])

    def test_policies_compare_on_the_shipped_prefill_trace_as_before(self):
        self.held("compare_prefill", ("compare", cli.DEEPSEEK_LIKE, *FULL, "--policies", "static,deepseek,snake"),
                  [f"rows.*.train.balancedness={ROUNDING}", f"rows.*.test.balancedness={ROUNDING}",
                   f"rows.*.transfers_per_layer={ROUNDING}", f"rows.*.inter_node_transfers_per_layer={ROUNDING}",
                   f"rows.*.predicted_seconds={ROUNDING}"])

    def test_policies_compare_on_the_shipped_decode_trace_as_before(self):
        self.held("compare_decode", ("compare", cli.MOE64_LIKE, *SMALL, "--policies", "static,deepseek,snake",
                                     "--previous", "0:10", "--train", "10:20", "--test", "20:40"),
                  [f"rows.*.test.balancedness={ROUNDING}", f"rows.*.transfers_per_layer={ROUNDING}"])

    def test_policies_replay_the_shipped_decode_trace_as_before(self):
        self.held("compare_replay_decode", ("compare", cli.MOE64_LIKE, *SMALL, "--policies", "static,deepseek,snake",
                                            "--replay", "--window", 4, "--history", "1,4"),
                  [f"rows.*.test.balancedness={ROUNDING}", f"rows.*.transfers_per_layer={ROUNDING}",
                   f"rows.*.held_out.balancedness_worst={ROUNDING}", "best.name=0"])

    def test_the_shipped_prefill_trace_is_served_as_before(self):
        self.held("simulate_prefill", ("simulate", cli.DEEPSEEK_LIKE, *FULL, *SERVED, "--policy", "deepseek",
                                       "--interval", 50),
                  [f"throughput_tokens_per_second={SERVING}", f"step_seconds.*={SERVING}",
                   f"transfer_seconds.*={SERVING}", "bytes_by_link.*=0", "vs_static.throughput_ratio=" + SERVING],
                  {"rearrangements"})

    def test_settings_are_swept_on_the_shipped_prefill_trace_as_before(self):
        self.held("sweep_prefill", ("sweep", cli.DEEPSEEK_LIKE, *FULL[4:], *SERVED, "--policies", "deepseek",
                                    "--ranks", "32", "--slots", "256,288", "--interval", "25,100"),
                  ["best.name=0", f"rows.*.throughput_tokens_per_second={SERVING}",
                   f"rows.*.step_seconds.p99={SERVING}", "rows.*.bytes_by_link.*=0",
                   "rows.*.expert_bytes_per_rank=0"])

    def test_the_shipped_prefill_trace_gets_the_same_verdict_as_before(self):
        self.held("diagnose_prefill", ("diagnose", cli.DEEPSEEK_LIKE, *FULL, *SERVED, "--policy", "deepseek"),
                  ["advice.verdict=0", "advice.interval_steps=0", f"advice.saving_share={SERVING}",
                   f"backtest.*.step_seconds.*={SERVING}", f"drift.lags.*.variation={ROUNDING}",
                   f"imbalance.ranks_now={ROUNDING}"])

    def test_one_expert_in_another_slot_fails(self):
        """What holds placements sees one that is as good."""
        if self.bless:
            return
        other = json.loads((HERE / "baselines/plan_balanced_decode.json").read_text(encoding="utf-8"))
        layer = other["result"]["placement"]["physical_to_logical"][0]
        layer[0], layer[1] = layer[1], layer[0]
        self.write("other.json", json.dumps(other))
        plan = self.plan("plan.json", *SMALL, "--policy", "balanced", trace=cli.MOE64_LIKE)
        verdict = self.run_program("check", plan, "other.json", "--fail-on=physical_to_logical=0")
        self.assertEqual(verdict.code, 1, verdict.out + verdict.err)

    def test_a_baseline_that_is_better_than_the_result_fails(self):
        """The checks above can fail."""
        if self.bless:
            return
        better = json.loads((HERE / "baselines/plan_snake_prefill.json").read_text(encoding="utf-8"))
        better["result"]["metrics"]["balancedness"] *= 1.001
        self.write("better.json", json.dumps(better))
        plan = self.plan("plan.json", *FULL, "--policy", "snake", trace=cli.DEEPSEEK_LIKE)
        verdict = self.run_program("check", plan, "better.json", f"--fail-on=metrics.balancedness={ROUNDING}")
        self.assertEqual(verdict.code, 1, verdict.out + verdict.err)


if __name__ == "__main__":
    Baselines.bless = "--bless" in sys.argv
    cli.PROGRAM = str(pathlib.Path(cli.PROGRAM).resolve())
    unittest.main(argv=[arg for arg in sys.argv if arg != "--bless"])
