# SPDX-License-Identifier: Apache-2.0
"""Routes: which experts tokens choose together, from recordings to plans."""
import json

from cli import SOURCE, CliTest

CLIQUES = SOURCE / "traces" / "routes_cliques.jsonl"
DOMAINS = SOURCE / "traces" / "routes_two_domains.jsonl"
PLAN = ["--ranks", 8, "--slots", 32, "--policy", "balanced", "--format", "json"]


class RoutesCommand(CliTest):
    def result(self, *words):
        return self.good(*words).json()["result"]

    def loads(self, name="loads.jsonl"):
        self.good("trace", "convert", CLIQUES, name, "--to", "neutral")
        return name

    def test_shipped_routes_are_what_the_readme_generates(self):
        for name, extra in (("cliques", ["--seed", 3]), ("two_domains", ["--domain-changes", 2, "--seed", 4])):
            self.good("trace", "generate", "--routes", "--layers", 2, "--steps", 4, *extra, "-o", "made.jsonl")
            shipped = (SOURCE / "traces" / f"routes_{name}.jsonl").read_text()
            self.assertEqual((self.folder / "made.jsonl").read_text(), shipped)

    def test_trace_info_shows_which_experts_go_together_and_whether_it_lasts(self):
        lasting = self.result("trace", "info", CLIQUES, "--format", "json")["together"]
        self.assertGreater(min(layer["lift_stability"] for layer in lasting["layers"]), 0.8)
        self.assertGreater(lasting["pairs"][0]["lift"], 3)
        changing = self.result("trace", "info", DOMAINS, "--format", "json")["together"]
        self.assertLess(max(layer["lift_stability"] for layer in changing["layers"]), 0.4)

    def test_a_summary_beside_loads_says_what_the_tokens_say(self):
        self.good("trace", "routes", CLIQUES, "-o", "routes.zst")
        beside = self.result("plan", self.loads(), *PLAN, "--routes", "routes.zst")["network"]
        own = self.result("plan", CLIQUES, *PLAN)["network"]
        self.assertEqual(beside["from"], "tokens")
        self.assertAlmostEqual(beside["copies_per_token"], own["copies_per_token"], places=6)

    def test_loads_alone_give_an_estimate_that_is_marked(self):
        alone = self.result("plan", self.loads(), *PLAN)["network"]
        self.assertEqual(alone["from"], "independence")
        self.assertIsNone(alone["copies_lower_bound"])
        self.assertGreater(alone["copies_per_token"], 2.5)

    def test_slack_buys_copies_and_bounds_hold(self):
        alone = self.result("plan", CLIQUES, *PLAN)
        spared = self.result("plan", CLIQUES, *PLAN, "--balance-slack", 0.05)
        self.assertLess(spared["network"]["copies_per_token"], 0.9 * alone["network"]["copies_per_token"])
        self.assertLessEqual(spared["metrics"]["imbalance"], alone["metrics"]["imbalance"] + 0.05 + 1e-6)
        for result in (alone, spared):
            self.assertLessEqual(result["network"]["copies_lower_bound"], result["network"]["copies_per_token"])

    def test_a_frontier_goes_from_the_policy_alone_to_the_fewest_copies(self):
        points = self.result("plan", CLIQUES, *PLAN, "--frontier")["frontier"]
        self.assertEqual(points[0]["plan"], "balanced alone")
        copies = [point["network"]["copies_per_token"] for point in points]
        self.assertLess(copies[-1], 0.9 * copies[0])

    def test_seconds_never_grow_on_any_layer(self):
        machine = ["--cluster", "l40s_pcie", "--model", self.model()]
        result = self.result("plan", CLIQUES, *PLAN, *machine, "--objective", "seconds",
                             "--tokens-per-step", 16384)
        for layer in result["network"]["layers"]:
            self.assertLessEqual(layer["layer_seconds"], layer["layer_seconds_before"] * (1 + 1e-9))
        self.assertTrue(any(layer["spared"] for layer in result["network"]["layers"]))

    def model(self):
        model = {"name": "tiny", "description": "test", "source": "test", "num_layers": 2, "num_experts": 32,
                 "top_k": 4, "num_expert_groups": 1, "num_shared_experts": 0, "hidden_size": 2048, "layer_ids": [0, 1],
                 "expert_tensors": [{"name": "w", "shape": [2048, 1408], "dtype": "bf16", "bytes": 5767168}]}
        (self.folder / "model.json").write_text(json.dumps(model))
        return "model.json"

    def test_compare_judges_copies_on_held_out_windows_with_intervals(self):
        rows = self.result("compare", CLIQUES, "--policies", "static,balanced", "--ranks", 8, "--slots", 32,
                           "--balance-slack", 0.03, "--reference", "balanced", "--format", "json")["rows"]
        names = [row["name"] for row in rows]
        self.assertEqual(names, ["static", "balanced", "balanced, network spared"])
        saved = rows[2]["network"]["held_out"]["copies_saved"]
        self.assertGreater(saved["low"], 0)

    def test_co_activation_of_another_domain_is_not_planned_for(self):
        result = self.result("plan", DOMAINS, *PLAN, "--balance-slack", 0.05)
        alone = self.result("plan", DOMAINS, *PLAN)
        spared = [layer["spared"] for layer in result["network"]["layers"]]
        if not any(spared):
            self.assertEqual(result["placement"], alone["placement"])
        for layer in result["network"]["layers"]:
            if layer["spared"]:
                self.assertLess(layer["held_out_ratio"], 1)

    def test_simulate_serves_with_the_copies_that_tokens_need(self):
        words = ["simulate", CLIQUES, "--cluster", "l40s_pcie", "--model", self.model(), "--ranks", 8, "--slots", 32,
                 "--policy", "static", "--format", "json", "--tokens-per-step", 16384]
        with_routes = self.result(*words)
        self.assertIn("copies_per_token", with_routes["network"]["after"])
        words[1] = self.loads()
        self.assertLess(with_routes["step_seconds"]["mean"], self.result(*words)["step_seconds"]["mean"])

    def test_bad_routes_exit_2_with_the_place(self):
        loads = self.loads()
        lines = CLIQUES.read_text().splitlines()
        def spoiled(name, change):
            row = json.loads(lines[1])
            change(row)
            (self.folder / name).write_text("\n".join([lines[0], json.dumps(row), *lines[2:]]))
            return name
        for name, change, says in (
                ("range.jsonl", lambda r: r["topk_experts"][3].__setitem__(0, 32), "topk_experts/3"),
                ("twice.jsonl", lambda r: r["topk_experts"][5].__setitem__(0, r["topk_experts"][5][1]), "twice"),
                ("k.jsonl", lambda r: r["topk_experts"][7].pop(), "expected 4 experts")):
            self.refused("plan", loads, *PLAN, "--routes", spoiled(name, change), says=says)
        (self.folder / "one_layer.jsonl").write_text("\n".join(l for l in lines if '"layer":1' not in l))
        self.refused("plan", loads, *PLAN, "--routes", "one_layer.jsonl", says=("one_layer.jsonl", "2 layers"))
        self.good("trace", "generate", "--routes", "--layers", 2, "--steps", 4, "--seed", 9, "--skew", 2, "-o", "other.jsonl")
        self.refused("plan", loads, *PLAN, "--routes", "other.jsonl", says=("layer 0", "expert"))
        self.good("trace", "generate", "--routes", "--layers", 2, "--experts", 64, "-o", "more.jsonl")
        self.refused("plan", loads, *PLAN, "--routes", "more.jsonl", says="32 experts")
        self.good("trace", "routes", CLIQUES, "--name", "another", "-o", "named.zst")
        self.refused("plan", loads, *PLAN, "--routes", "named.zst", says="another")
        self.refused("plan", CLIQUES, *PLAN, "--routes", "named.zst", says="--routes")
        self.refused("plan", loads, *PLAN, "--balance-slack", 0.1, says="--balance-slack")
        self.refused("plan", loads, *PLAN, "--dispatch", "visited", says="visited")
        self.refused("trace", "routes", loads, "-o", "x.zst", says="tokens")
        whole = (self.folder / "named.zst").read_bytes()
        (self.folder / "cut.zst").write_bytes(whole[:len(whole) // 2])
        self.refused("plan", loads, *PLAN, "--routes", "cut.zst", says="cut.zst")
