# SPDX-License-Identifier: Apache-2.0
"""The view of a result says what the result says: figures, charts and tables of pages against `result`."""
import json
import re

import cli
from cli import CliTest

PREFILL = ("--ranks", 32, "--slots", 288, "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")
SERVED = ("--ranks", 8, "--slots", 72, "--cluster", "hgx_h200", "--tokens-per-step", 8192, "--repeat", 3)
FIGURES = cli.SOURCE / "lib" / "moeshift" / "report" / "figures.hpp"


def value(cell):
    """What a cell stands for: null, a text, a number, or [shown, raw, is a number]."""
    if not isinstance(cell, list):
        return cell
    return float(cell[1]) if cell[2] and cell[1] else cell[1]


def declared():
    text = FIGURES.read_text(encoding="utf-8")
    return set(re.findall(r'^\s*(?:\{|part\(|count\()"(\w+)"', text, re.MULTILINE))


class View:
    """The blocks of a result's view, by their titles."""

    def __init__(self, envelope):
        self.result, self.blocks = envelope["result"], envelope["view"]["blocks"]
        self.about = envelope["view"]["about"]

    def chart(self, start):
        found = [b for b in self.blocks if b.get("title", "").startswith(start) and b["kind"] in ("chart", "heatmap")]
        assert len(found) == 1, f"{start}: {[b.get('title') for b in self.blocks]}"
        return found[0]

    def columns(self, start):
        """{column name: values} of a chart."""
        data = self.chart(start)["data"]
        return {column["name"]: [value(row[i]) for row in data["rows"]] for i, column in enumerate(data["columns"])}

    def tile(self, label):
        found = [i for b in self.blocks if b["kind"] == "figures" for i in b["items"] if i["label"] == label]
        assert len(found) == 1, label
        return value(found[0]["value"])

    def verdict(self):
        return [b for b in self.blocks if b["kind"] == "verdict"][-1]


class Views(CliTest):
    def view(self, *words, code=0):
        done = self.run_program(*words, "--format", "json", "-q")
        self.assertIn(done.code, code if isinstance(code, tuple) else (code,), done.err)
        envelope = done.json()
        self.all_declared(envelope["result"], words[0])
        return View(envelope)

    def all_declared(self, result, command):
        """A mistyped key is a key that lib/moeshift/report/figures.hpp does not declare."""
        keys, unknown = declared(), set()

        def walk(node, key):
            if isinstance(node, dict):
                for k, v in node.items():
                    walk(v, k)
            elif isinstance(node, list):
                for v in node:
                    walk(v, key)
            elif isinstance(node, (int, float)) and key not in keys:
                unknown.add(key)
        walk({k: v for k, v in result.items() if k not in ("cluster", "facts")}, "")
        self.assertEqual(unknown, set(), f"{command}: not declared in figures.hpp")

    def close(self, got, want, places=6):
        self.assertEqual(len(got), len(want))
        for a, b in zip(got, want):
            if b is None:
                self.assertIsNone(a)
            else:
                self.assertAlmostEqual(a, b, places=places)

    def plans(self):
        for name, steps in (("old.json", "0:2"), ("new.json", "2:4")):
            self.good("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "deepseek", "--windows", steps, "-o", name, "-q")
        return "old.json", "new.json"

    def test_the_page_of_a_plan_shows_the_figures_of_the_plan(self):
        view = self.view("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "deepseek")
        metrics, layers = view.result["metrics"], view.result["layers"]
        self.assertEqual(view.tile("balancedness"), metrics["balancedness"])
        self.assertEqual(view.tile("imbalance"), metrics["imbalance"])
        self.assertEqual(view.tile("largest gap"), metrics["gap_max"])
        self.assertEqual(view.tile("busiest rank"), metrics["peak_load"])
        chart = view.columns("Busiest rank over mean")
        self.close(chart["planned"], [layer["imbalance"] for layer in layers])
        ratio = [layer["imbalance"] / (layer["gap"] + 1) for layer in layers]
        self.close(chart["lower bound"], ratio, places=4)
        self.assertTrue(all(a > b for a, b in zip(chart["as engines start"], chart["planned"])))
        heat = view.chart("Load of every rank")
        self.assertEqual((len(heat["values"]), len(heat["values"][0])), (len(layers), 32))
        self.close([max(row) for row in heat["values"]], [layer["imbalance"] for layer in layers], places=2)
        self.assertIn("deepseek_v3_fp8", view.about["model"])
        self.assertIn("hgx_h200", view.about["machine"])

    def test_the_page_of_a_plan_compares_with_the_placement_in_force(self):
        old, _ = self.plans()
        view = self.view("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "static", "--from", old, "--windows", "0:2")
        before = self.load(old)["result"]["layers"]
        self.close(view.columns("Busiest rank over mean")["before"], [layer["imbalance"] for layer in before])

    def test_the_page_of_moves_shows_links_rounds_times_and_the_way_from_a_peer(self):
        view = self.view("moves", *self.plans(), "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8", "--against", "vllm")
        totals, layers = view.result["totals"], view.result["layers"]
        self.assertEqual(view.tile("transfers"), totals["transfers"])
        self.assertEqual(view.tile("rounds"), totals["rounds"])
        self.assertEqual(view.tile("predicted"), totals["predicted_seconds"]["total"])
        self.assertEqual(view.tile("felt by inference"), totals["predicted_seconds"]["exposed"])
        self.assertEqual(view.tile("inside nodes"), totals["bytes_by_link"]["intra_node"])
        links = view.columns("Bytes by class of link")
        for name, key in (("inside nodes", "intra_node"), ("between nodes", "inter_node"), ("between racks", "inter_rack")):
            self.assertEqual(links[name], [layer["bytes_by_link"][key] for layer in layers])
        self.assertEqual(view.columns("Rounds")["rounds"], [layer["rounds"] for layer in layers])
        times = view.columns("Predicted time")
        for part in ("stage", "vote", "commit"):
            self.assertEqual(times[part], [layer["predicted_seconds"][part] for layer in layers])
        traffic = view.chart("Who sends to whom")["values"]
        for got, want in zip(traffic, view.result["traffic_bytes"]):
            for a, b in zip(got, want):
                self.assertLessEqual(abs(a - b), 0.01 * b)
        steps = view.result["against"]["steps"]
        fall = view.columns("From vllm to this plan")["time"]
        self.assertEqual(fall[0], steps[0]["predicted_seconds"])
        self.assertAlmostEqual(sum(fall[:-1]), fall[-1])
        self.assertEqual(fall[-1], steps[-1]["predicted_seconds"])

    def test_the_page_of_execute_shows_measured_beside_predicted_and_a_timeline(self):
        view = self.view("execute", *self.plans(), "--cluster", "host", "--model", "deepseek_v3_fp8",
                         "--layers", 2, "--scale", "1/256")
        measured, predicted = view.result["measured_seconds"], view.result["predicted_seconds"]
        strip = view.columns("Measured above predicted")
        self.close(strip["connection"], [measured["connection"], predicted["connection"]])
        self.close(strip["stage"], [measured["stage"], predicted["stage"]])
        self.close(strip["vote and commit"], [measured["commit"], predicted["vote"] + predicted["commit"]])
        stages = view.columns("Staging one layer")
        layers = view.result["layers"]
        self.close(stages["measured"], [layer["measured_seconds"]["stage"] for layer in layers])
        self.close(stages["predicted"], [layer["predicted_seconds"]["stage"] for layer in layers])
        self.assertEqual(view.tile("measured"), measured["total"])
        self.assertEqual(view.tile("felt by inference"), measured["exposed"])
        self.assertEqual(view.tile("wrong bytes"), 0)
        spans = view.columns("Who did what when")
        self.assertTrue(any("exposed" in what for what in spans["what"]))
        self.assertLessEqual(max(a + b for a, b in zip(spans["from"], spans["for"])), measured["total"] * 1.5 + 1)
        self.assertEqual(view.verdict()["tone"], "good")

    def test_the_page_of_compare_shows_every_policy(self):
        view = self.view("compare", cli.DEEPSEEK_LIKE, *PREFILL, "--policies", "static,deepseek,snake", "--train", "0:2",
                         "--test", "2:4")
        rows = view.result["rows"]
        dots = view.columns("Balance against")
        self.close(dots["mean"], [row["held_out"]["balancedness_mean"] for row in rows])
        self.close(dots["bytes"], [sum(row["bytes_by_link"].values()) for row in rows], places=-1)
        self.assertEqual([bool(mark) for mark in dots["pareto"]], [row["pareto"] for row in rows])
        gains = view.columns("Held-out windows")
        for name, key in (("gain", "mean"), ("low", "low"), ("high", "high")):
            self.close(gains[name], [row["difference"][key] for row in rows])
        best = next(row for row in rows if row["name"] == view.result["best"]["name"])
        self.assertEqual(view.tile("balancedness, held out"), best["held_out"]["balancedness_mean"])
        self.assertEqual(view.tile("worst window"), best["held_out"]["balancedness_worst"])
        self.assertEqual(view.tile("moves per layer"), best["transfers_per_layer"])
        self.assertEqual(view.verdict()["text"], view.result["answer"])

    def test_the_page_of_simulate_shows_the_run_and_every_rearrangement(self):
        view = self.view("simulate", cli.MOE64_LIKE, *SERVED, "--model", self.moe64(), "--policy", "deepseek", "--mode", "sync",
                         "--interval", 20, "--gain-over-cost", 0)
        bars = view.columns("Step times")
        for lane, of in (("deepseek", view.result), ("static", view.result["static"]), ("oracle", view.result["oracle"])):
            self.close(bars[lane], [of["step_seconds"][key] for key in ("mean", "p50", "p90", "p99", "max")], places=9)
        self.assertEqual(view.tile("balancedness"), view.result["balancedness"])
        self.assertAlmostEqual(view.tile("throughput"), view.result["vs_static"]["throughput_ratio"] - 1)
        self.assertAlmostEqual(view.tile("p99 step time"), view.result["vs_static"]["p99_ratio"] - 1)
        self.assertEqual(view.tile("felt by serving"), view.result["transfer_seconds"]["exposed"])
        records = view.result["rearrangements"]
        self.assertGreater(len(records), 0)
        gained = view.columns("What every rearrangement gained")
        self.assertEqual(gained["gained"], [record["gained_seconds"] for record in records])
        self.assertEqual(gained["exposed"], [record["exposed_seconds"] for record in records])
        run = view.columns("Step time over the run")
        steps = [b - a for a, b in zip([0] + run["step"], run["step"])]
        for lane, of in (("deepseek", view.result), ("static", view.result["static"])):
            mean = sum(n * t for n, t in zip(steps, run[lane])) / sum(steps)
            self.assertAlmostEqual(mean, of["step_seconds"]["mean"], delta=0.01 * mean)
        self.assertEqual([mark["x"] for mark in view.chart("Step time over the run")["marks"]],
                         [record["step"] for record in records])

    def test_the_page_of_sweep_shows_a_frontier(self):
        view = self.view("sweep", cli.MOE64_LIKE, "--policies", "deepseek,incremental", "--ranks", 8, "--slots", "64,72",
                         "--interval", "20,40", "--cluster", "hgx_h200", "--model", self.moe64(), "--repeat", 3)
        rows = view.result["rows"]
        dots = view.columns("What is gained")
        self.close(dots["tokens/s"], [row["throughput_tokens_per_second"] for row in rows], places=3)
        self.assertEqual(dots["bytes"], [sum(row["bytes_by_link"].values()) for row in rows])
        behind = view.columns("Behind the best")
        self.close(behind["behind"], sorted(row["behind_best"]["mean"] for row in rows), places=9)

    def test_the_page_of_diagnose_shows_savings_and_drift(self):
        view = self.view("diagnose", cli.MOE64_LIKE, "--ranks", 8, "--slots", 72, "--cluster", "hgx_h200", "--model",
                         self.moe64(), "--repeat", 3)
        backtest = view.result["backtest"]
        never = backtest[0]["step_seconds"]["mean"]
        saves = view.columns("Backtest")
        self.close(saves["saves"], [row["saving_seconds"]["mean"] / never for row in backtest[1:]])
        drift = view.columns("How long the traffic")
        for name, key in (("hot experts that stay", "hot_overlap"), ("by chance", "chance_overlap"),
                          ("tokens that change expert", "variation"), ("of that sampling", "sampling_variation")):
            self.close(drift[name], [lag[key] for lag in view.result["drift"]["lags"]])
        layers = view.columns("Busiest over mean")
        for name, key in (("ranks now", "ranks_now"), ("best, all slots", "ranks_with_slots"), ("lower bound", "lower_bound")):
            self.close(layers[name], [layer[key] for layer in view.result["layers"]])
        self.assertAlmostEqual(view.tile("imbalance now"), view.result["imbalance"]["ranks_now"])
        self.assertAlmostEqual(view.tile("best possible"), view.result["imbalance"]["ranks_with_slots"])
        self.assertEqual(view.verdict()["reasons"], view.result["advice"]["reasons"])

    def test_the_page_of_calibrate_shows_the_fit_and_its_errors(self):
        view = self.view("calibrate", "--backend", "host", "--ranks", 2, "--repetitions", 3, "--largest", "64KiB",
                         code=(0, 1))  # a busy machine may end in a misfit; its page is the same
        errors = sorted(abs(error) for error in view.columns("Errors of the fit")["predicted / measured - 1"])
        self.assertAlmostEqual(errors[min(len(errors) - 1, len(errors) // 2)], view.result["median_relative_error"], places=2)
        self.assertEqual(len(view.columns("The fit")["measured"]), len(errors))

    def test_the_page_of_a_trace_shows_load_drift_and_hot_experts(self):
        view = self.view("trace", "info", cli.MOE64_LIKE)
        layers = view.result["layers"]
        bars = view.columns("Hottest over mean")
        self.close(bars["all steps together"], [layer["imbalance"] for layer in layers])
        self.close(bars["of one step, mean"], [layer["step_imbalance"] for layer in layers])
        drift = view.columns("Change from step")
        self.assertAlmostEqual(sum(drift["tokens that change expert"]) / len(drift["step"]),
                               sum(d["variation"] for d in view.result["drift"]) / len(view.result["drift"]), places=3)
        heat = view.chart("Load of every expert")["values"]
        self.close([max(row) for row in heat], [layer["imbalance"] for layer in layers], places=1)
        total = sum(layer["assignments"] for layer in layers)
        self.assertAlmostEqual(sum(view.columns("Load, step by step")["assignments"]) / total, 1, places=6)

    def test_the_page_of_check_shows_changes_worst_first(self):
        self.plan("old.json")
        new = self.load("old.json")
        new["result"]["metrics"]["balancedness"] *= 0.9
        new["result"]["metrics"]["imbalance"] *= 0.8
        self.write("new.json", json.dumps(new))
        view = self.view("check", "new.json", "old.json", "--fail-on", "imbalance=0", "--fail-on", "metrics.balancedness=0", code=1)
        rows = view.chart("Change of each figure")["data"]["rows"]
        self.assertEqual([row[0] for row in rows], ["metrics.balancedness (worse)", "metrics.imbalance (better)"])
        self.assertAlmostEqual(value(rows[0][1]), -0.1)
        self.assertEqual(view.verdict()["tone"], "bad")

    def moe64(self):
        """A model of the shape of the shipped decode trace."""
        header = json.loads(cli.MOE64_LIKE.read_text(encoding="utf-8").splitlines()[0])
        tensor = {"name": "w", "shape": [1024, 1024], "dtype": "bf16", "bytes": 2 << 20}
        model = {"name": "moe64", "description": "for tests", "source": "made up", "num_layers": header["num_layers"],
                 "num_experts": header["num_experts"], "top_k": header["top_k"], "num_expert_groups": 1,
                 "hidden_size": 1024, "layer_ids": list(range(header["num_layers"])), "expert_tensors": [tensor]}
        return self.write("moe64.json", json.dumps(model))
