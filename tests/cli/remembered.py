# SPDX-License-Identifier: Apache-2.0
"""A plan remembers what it was made for; layers keep the model's numbers in every answer."""
import json

import cli
from cli import LOADS, CliTest

IDS = [3, 5]


class Remembered(CliTest):
    def numbered_model(self, path="model.json", **more):
        """The tiny model, its layers called 3 and 5 of 6."""
        model = json.loads((self.folder / self.tiny_model()).read_text(encoding="utf-8"))
        model.update({"layer_ids": IDS, "num_hidden_layers": 6, **more})
        return self.write(path, json.dumps(model))

    def plans(self):
        """Two plans for the host machine and that model."""
        machine = ("--cluster", "host", "--model", self.numbered_model(), "--nodes", 2)
        self.plan("old.json", *machine, "--windows", "0:1")
        self.plan("new.json", *machine, "--windows", "1:2", "--policy", "balanced")
        return machine

    def test_a_plan_says_what_it_was_made_for(self):
        self.plans()
        result = self.load("new.json")["result"]
        self.assertEqual(result["planned_for"], {"cluster": "host", "model": "model.json", "nodes": 2, "slots": 12,
                                                 "expert_groups": 1})
        self.assertEqual(result["placement"]["layer_ids"], IDS)
        self.assertEqual(result["placement"]["num_hidden_layers"], 6)
        self.assertEqual([layer["layer"] for layer in result["layers"]], IDS)

    def test_moves_and_execute_take_machine_model_and_nodes_from_the_plan(self):
        machine = self.plans()
        for command in (("moves",), ("execute", "--backend", "host")):
            said = self.good(*command, "old.json", "new.json", *machine, "--format", "json").json()["result"]
            taken = self.good(*command, "old.json", "new.json", "--format", "json").json()["result"]
            self.assertEqual([row["layer"] for row in taken["layers"]], IDS)
            for key in ("plan_hash", "bytes_by_link"):
                self.assertEqual(said.get(key), taken.get(key))
        self.assertIn("\n    5 ", self.good("moves", "old.json", "new.json").out)

    def test_simulate_takes_everything_from_the_plan_at_the_start(self):
        machine = self.plans()
        trace = self.trace()
        how = ("--serving", "host", "--tokens-per-step", 64, "--repeat", 4, "--format", "json")
        said = self.good("simulate", trace, *machine, "--ranks", 4, "--slots", 12, "--initial", "new.json", *how).json()
        taken = self.good("simulate", trace, "--initial", "new.json", *how).json()
        self.assertEqual(said["result"]["step_seconds"], taken["result"]["step_seconds"])
        self.refused("simulate", trace, says="--ranks")

    def recorded(self, name="recorded.jsonl", **says):
        return self.trace(name, {"num_ranks": 4, "num_slots": 12, "num_nodes": 2, **says})

    def test_what_a_recording_says_of_its_world_need_not_be_said_again(self):
        trace = self.recorded()
        result = self.good("plan", trace, "--format", "json")
        self.assertEqual(result.json()["result"]["planned_for"], {"nodes": 2, "slots": 12, "expert_groups": 1})
        self.assertEqual(result.json()["result"]["placement"]["num_ranks"], 4)
        self.assertIn("moeshift: ranks 4, slots 12, nodes 2 as the recording says", result.err)
        machine = ("--cluster", "host", "--model", self.tiny_model(), "--serving", "host", "--tokens-per-step", 64, "--repeat", 4)
        self.good("compare", trace, "--policies", "snake")
        self.good("simulate", trace, *machine)
        self.good("diagnose", trace, *machine)
        self.good("sweep", trace, "--policies", "snake", *machine)

    def test_a_world_that_contradicts_the_recording_is_refused(self):
        trace = self.recorded()
        for words, says in ((("--ranks", 2, "--slots", 8), ("--ranks", "recording is of 4 ranks")), (("--nodes", 1), "of 2 nodes"),
                            (("--groups", 2), "of 4 expert groups")):
            with self.subTest(words=words):
                self.refused("plan", self.recorded(num_expert_groups=4), *words, says=(*([says] if isinstance(says, str) else says),
                                                                                       "--allow-different"))
        self.good("plan", trace, "--ranks", 2, "--slots", 8, "--allow-different")
        self.good("plan", trace, "--slots", 16)  # slots are what a plan is free to choose
        self.refused("plan", trace, "--ranks", 2, "--allow-different", says="--slots")
        self.good("sweep", trace, "--ranks", "2,4", "--slots", 8, "--policies", "snake", "--cluster", "host", "--model",
                  self.tiny_model(), "--serving", "host", "--tokens-per-step", 64)

    def test_the_shipped_model_that_a_recording_names_is_taken(self):
        head = {"model": "openai/gpt-oss-20b", "num_layers": 24, "num_experts": 32, "top_k": 4}
        trace = self.trace("gpt.jsonl", head, [[list(range(1, 33))] * 24])
        result = self.good("plan", trace, "--ranks", 4, "--slots", 36, "--format", "json")
        self.assertEqual(result.json()["result"]["planned_for"]["model"], "gpt_oss_20b_mxfp4")
        self.assertIn("model gpt_oss_20b_mxfp4 as the recording says", result.err)
        other = self.trace("other.jsonl", {**head, "num_layers": 2}, [[list(range(1, 33))] * 2])
        self.assertNotIn("model", self.good("plan", other, "--ranks", 4, "--slots", 36, "--format", "json").json()["result"]["planned_for"])
        several = self.trace("several.jsonl", {**head, "model": "deepseek-v3"}, [[list(range(1, 33))] * 24])
        self.assertNotIn("model", self.good("plan", several, "--ranks", 4, "--slots", 36, "--format", "json").json()["result"]["planned_for"])

    def test_a_name_that_does_not_say_the_precision_is_asked_about_never_guessed(self):
        def planned(name, model=None, layers=58, experts=256):
            trace = self.trace("t.jsonl", {"model": name, "num_layers": layers, "num_experts": experts, "top_k": 8}, [[list(range(experts))] * layers])
            words = ("--model", model) if model else ()
            result = self.good("plan", trace, "--ranks", 2, "--slots", experts, "--policy", "static", "--format", "json", *words)
            return result.json()["result"]["planned_for"].get("model"), result.err
        asks = {"deepseek-ai/DeepSeek-R1": ("deepseek_r1_nvfp4", "deepseek_v3_fp8"), "/data/models/DeepSeek-R1/": ("deepseek_r1_nvfp4", "deepseek_v3_fp8"),
                "deepseek-ai/DeepSeek-V3": ("deepseek_v3_bf16", "deepseek_v3_fp8"), "DeepSeek-V3": ("deepseek_v3_bf16", "deepseek_v3_fp8")}
        for name, candidates in asks.items():
            with self.subTest(name=name):
                model, said = planned(name)
                self.assertIsNone(model)
                for part in (name, "--model", *candidates):
                    self.assertIn(part, said)
        for name, shape, candidate in (("zai-org/GLM-4.5", (89, 160), "glm_4_5_fp8"), ("zai-org/GLM-4.5-Air", (45, 128), "glm_4_5_air_fp8"),
                                       ("QuantTrio/GLM-4.5-Air", (45, 128), "glm_4_5_air_fp8"), ("zai-org/GLM-5", (75, 256), "glm_5_fp8"),
                                       ("unsloth/Qwen3-30B-A3B", (48, 128), "qwen3_30b_a3b_bf16")):
            with self.subTest(name=name):
                model, said = planned(name, None, *shape)
                self.assertIsNone(model)
                self.assertIn(candidate, said)
        for name, shape, taken in (("zai-org/GLM-4.5-FP8", (89, 160), "glm_4_5_fp8"), ("Qwen/Qwen3-30B-A3B", (48, 128), "qwen3_30b_a3b_bf16"),
                                   ("deepseek-ai/DeepSeek-R1-0528", (58, 256), "deepseek_v3_fp8"), ("nvidia/DeepSeek-R1-NVFP4", (58, 256), "deepseek_r1_nvfp4"),
                                   ("deepseek_v3_bf16", (58, 256), "deepseek_v3_bf16"),
                                   ("/hub/models--Qwen--Qwen3-30B-A3B/snapshots/ad44e777", (48, 128), "qwen3_30b_a3b_bf16")):
            with self.subTest(name=name):
                model, said = planned(name, None, *shape)
                self.assertEqual(model, taken)
                self.assertIn(f"model {taken} as the recording says", said)
        self.assertEqual(planned("deepseek-ai/DeepSeek-R1", "deepseek_v3_fp8")[0], "deepseek_v3_fp8")
        self.assertNotIn("DeepSeek-R1", planned("deepseek-ai/DeepSeek-R1", "deepseek_v3_fp8")[1])
        self.assertNotIn("model", planned("Qwen/Qwen3-235B-A22B", None, 94, 128)[1])
        for name, shape, why in (("nvidia/DeepSeek-R1-NVFP4", (57, 256), "deepseek_r1_nvfp4 has 58 MoE layers, the recording 57"),
                                 ("deepseek-ai/DeepSeek-R1-0528", (58, 288), "deepseek_v3_fp8 has 256 experts, the recording 288")):
            model, said = planned(name, None, *shape)
            self.assertIsNone(model)
            self.assertIn(f"the recording is of {name}, but {why}: it is not taken", said)

    def test_a_plan_from_standard_input_says_as_much_as_one_from_a_file(self):
        self.plans()
        how = ("--serving", "host", "--tokens-per-step", 64, "--repeat", 4, "--format", "json")
        text = (self.folder / "new.json").read_text(encoding="utf-8")
        filed = self.good("simulate", self.trace(), "--initial", "new.json", *how).json()
        piped = self.good("simulate", self.trace(), "--initial", "-", *how, stdin=text).json()
        self.assertEqual(filed["result"]["step_seconds"], piped["result"]["step_seconds"])
        self.assertEqual(self.good("plan", self.trace(), "--from", "-", "--format", "json", stdin=text).json()["result"]["planned_for"],
                         self.load("new.json")["result"]["planned_for"])
        self.refused("plan", "-", "--from", "-", stdin=text, says="standard input")
        self.refused("moves", "-", "-", stdin=text, says="standard input")

    def test_execute_takes_layers_by_the_numbers_of_the_model(self):
        self.plans()
        layers = self.good("execute", "old.json", "new.json", "--backend", "host", "--layers", "4:6", "--format", "json").json()["result"]["layers"]
        self.assertEqual([row["layer"] for row in layers], [5])
        layers = self.good("execute", "old.json", "new.json", "--backend", "host", "--layers", 1, "--format", "json").json()["result"]["layers"]
        self.assertEqual([row["layer"] for row in layers], [3])
        for words in ("0:2", "4:5", "6:7", "3:9"):
            self.refused("execute", "old.json", "new.json", "--backend", "host", "--layers", words, says=("--layers", "3:6"))

    def test_what_no_plan_says_is_asked_for(self):
        self.plan("old.json", "--windows", "0:1")
        self.plan("new.json", "--windows", "1:2")
        self.refused("moves", "old.json", "new.json", says=("--cluster", "moeshift clusters"))
        self.refused("moves", "old.json", "new.json", "--cluster", "host", says=("--model", "moeshift models"))

    def test_plans_for_two_models_are_not_mixed(self):
        self.plans()
        other = self.numbered_model("other.json", name="other")
        self.plan("other_plan.json", "--cluster", "host", "--model", other, "--nodes", 2)
        self.refused("moves", "old.json", "other_plan.json", says=("model.json", "other.json"))
        self.good("moves", "old.json", "other_plan.json", "--model", other)

    def test_plans_for_as_many_ranks_in_other_nodes_are_not_mixed(self):
        self.plan("two.json", "--nodes", 2)
        self.plan("one.json", "--nodes", 1, "--policy", "balanced")
        machine = ("--cluster", "host", "--model", self.numbered_model())
        for command in (("moves",), ("execute", "--backend", "host"), ("check-schedule",)):
            for files in (("two.json", "one.json"), ("one.json", "two.json")):
                self.refused(*command, *files, *machine, says=("--nodes", "say which"))
        self.good("moves", "two.json", "one.json", *machine, "--nodes", 2)

    def test_one_node_that_nobody_named_is_no_machine(self):
        self.plan("old.json", "--ranks", 16, "--slots", 16)
        self.plan("new.json", "--ranks", 16, "--slots", 16, "--policy", "snake")
        self.assertNotIn("nodes", self.load("old.json")["result"]["planned_for"])
        machine = ("--cluster", "hgx_h200", "--model", self.numbered_model())
        self.assertIn("16 ranks, 2 nodes", self.good("moves", "old.json", "new.json", *machine).out)

    def test_who_says_a_world_that_contradicts_the_recording_is_named(self):
        trace = self.recorded()
        self.plan("half.json", "--ranks", 2, "--slots", 8, "--allow-different", trace=self.trace("t.jsonl"))
        self.plan("flat.json", "--nodes", 1, trace="t.jsonl")
        serving = ("--cluster", "host", "--model", self.tiny_model(), "--serving", "host", "--tokens-per-step", 64, "--repeat", 4)
        for command in (("plan", trace, "--from"), ("simulate", trace, *serving, "--initial"), ("diagnose", trace, *serving, "--initial"),
                        ("compare", trace, "--policies", "snake", "--from")):
            done = self.refused(*command, "half.json", says=("half.json: is for 2 ranks, the recording is of 4", "--allow-different"))
            self.assertNotIn("leave it out", done.err)
            self.refused(*command, "flat.json", says="flat.json: is for 1 nodes, the recording is of 2")

    def test_plans_of_different_layers_are_not_mixed(self):
        self.plan("old.json", trace=self.trace("a.jsonl", {"layer_ids": [3, 5]}))
        self.plan("new.json", trace=self.trace("b.jsonl", {"layer_ids": [3, 4]}))
        machine = ("--cluster", "host", "--model", self.tiny_model())
        self.refused("moves", "old.json", "new.json", *machine, says=("3 to 5", "3 to 4"))
        self.refused("plan", "b.jsonl", "--ranks", 4, "--slots", 12, "--from", "old.json", says="3 to 5")

    def test_layers_in_another_order_are_matched_by_their_numbers(self):
        turned = [step[::-1] for step in LOADS]
        machine = ("--cluster", "host", "--model", self.numbered_model(), "--nodes", 2)
        for policy in ("balanced", "snake"):
            self.plan(f"{policy}.json", *machine, "--policy", policy, trace=self.trace("there.jsonl", {"layer_ids": IDS}))
            self.plan(f"{policy}_turned.json", *machine, "--policy", policy,
                      trace=self.trace("back.jsonl", {"layer_ids": IDS[::-1]}, turned))
        maps = [self.load(f"snake{end}.json")["result"]["placement"]["physical_to_logical"] for end in ("", "_turned")]
        self.assertEqual(maps[0], maps[1][::-1])
        self.assertNotEqual(*maps)
        same = self.good("moves", "snake.json", "snake_turned.json", "--format", "json").json()["result"]
        self.assertEqual((same["totals"]["transfers"], [row["layer"] for row in same["layers"]]), (0, IDS))
        there = self.good("moves", "balanced.json", "snake.json", "--format", "json").json()["result"]
        back = self.good("moves", "balanced.json", "snake_turned.json", "--format", "json").json()["result"]
        self.assertEqual(there["layers"], back["layers"])
        kept = [self.good("plan", "there.jsonl", "--from", f"snake{end}.json", "--policy", "incremental", "--budget-bytes", 0, "--format",
                          "json").json()["result"]["placement"]["physical_to_logical"] for end in ("", "_turned")]
        self.assertEqual(kept, [maps[0], maps[0]])

    def test_a_row_per_hidden_layer_is_read_as_the_layers_of_the_model(self):
        self.plans()
        self.good("export", "old.json", "--to", "sglang", "-o", "sglang.json", "-q")
        moves = self.good("moves", "sglang.json", "old.json", "--ranks", 4, "--format", "json").json()["result"]
        self.assertEqual(moves["totals"]["transfers"], 0)
        self.assertEqual([row["layer"] for row in moves["layers"]], IDS)

    def test_ranks_of_the_old_placement_default_to_those_planned_for(self):
        self.plan("old.json")
        self.good("export", "old.json", "--to", "vllm", "-o", "old.jsonl", "-q")
        shape = ("--ranks", 4, "--slots", 12, "--policy", "incremental", "--format", "json")
        said, taken = (self.good("plan", self.trace(), *shape, "--from", name).json()["result"]["placement"]
                       for name in ("old.json", "old.jsonl"))
        self.assertEqual(said, taken)

    def test_a_recording_without_load_is_no_question(self):
        nothing = self.trace(loads=[[[0] * 8, [0] * 8]])
        for command in (("plan",), ("compare", "--policies", "static,snake"), ("trace", "info")):
            words = () if command[0] == "trace" else ("--ranks", 4, "--slots", 12)
            self.refused(*command, nothing, *words, code=1, says="carries load")
        idle = self.trace(loads=[LOADS[0], [[0] * 8, [0] * 8]])
        self.refused("plan", idle, "--ranks", 4, "--slots", 12, "--windows", "1:2", code=1, says="steps 1:2")

    def test_groups_matter_only_to_policies_that_keep_them_together(self):
        trace = self.trace()
        shape = ("--ranks", 4, "--slots", 12, "--groups", 3)
        self.good("plan", trace, *shape, "--nodes", 2)  # deepseek falls back to global, as its origin does
        self.good("plan", trace, *shape, "--policy", "balanced")
        self.refused("plan", trace, *shape, "--policy", "deepseek", says="3 groups")
        self.refused("plan", trace, *shape, "--policy", "hierarchical", says="3 groups")

    def test_slot_counts_that_are_proposed_hold_the_experts(self):
        result = self.refused("plan", cli.DEEPSEEK_LIKE, "--ranks", 48, "--slots", 250, says="288 would")
        self.assertNotIn("240", result.err)

    def test_a_map_of_a_smaller_model_is_called_so(self):
        self.write("small.json", json.dumps({"physical_to_logical_map": [[0, 1, 2, 3]] * 2}))
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 12, "--from", "small.json",
                     says="expected 8 experts, but the map is of 4")

    def test_lost_experts_are_told_in_a_line(self):
        self.plan("old.json", "--ranks", 4, "--slots", 8)
        self.plan("new.json", "--ranks", 4, "--slots", 8, "--windows", "1:2")
        result = self.refused("moves", "old.json", "new.json", "--cluster", "host", "--model", self.tiny_model(), "--dead", "0,1",
                              code=1, says="no live rank")
        self.assertLess(len(result.err), 300)

    def test_config_json_becomes_a_model(self):
        config = {"model_type": "deepseek_v3", "num_hidden_layers": 5, "first_k_dense_replace": 3, "n_routed_experts": 8,
                  "num_experts_per_tok": 2, "n_group": 1, "hidden_size": 64, "moe_intermediate_size": 32,
                  "num_nextn_predict_layers": 1, "torch_dtype": "bfloat16"}
        self.write("config.json", json.dumps(config))
        for more in ({}, {"time_step_limit": [0.0, float("inf")]}):
            self.write("config.json", json.dumps({**config, **more}))
            self.refused("plan", self.trace(), "--ranks", 4, "--slots", 12, "--model", "config.json", says="models import")
        said = self.good("models", "import", "config.json", "-o", "mine.json")
        self.assertIn("2 MoE layers of 5 (3 to 4), 8 experts of 12.3 kB", said.err)
        model = self.good("models", "mine.json", "--format", "json").json()["result"]["models"][0]
        self.assertEqual((model["name"], model["layer_ids"], model["num_hidden_layers"], model["mtp_layer_ids"]),
                         ("mine", [3, 4], 5, [5]))
        self.assertEqual(model["expert_bytes"], 3 * 64 * 32 * 2)
        self.plan("plan.json", "--model", "mine.json")
        self.assertEqual(self.load("plan.json")["result"]["placement"]["layer_ids"], [3, 4])
        del config["n_routed_experts"]
        self.write("config.json", json.dumps(config))
        self.refused("models", "import", "config.json", says="n_routed_experts")

    def test_a_layer_that_never_carries_load_changes_no_figure(self):
        loads = [[[40, 20, 10, 10, 8, 4, 2, 2]], [[38, 22, 10, 10, 4, 8, 2, 2]]]
        tensor = {"name": "w", "shape": [64, 64], "dtype": "bf16", "bytes": 8192}
        answers = []
        for name, rows, ids in (("one", loads, [0]), ("two", [[[0] * 8, *step] for step in loads], [0, 1])):
            self.write(f"{name}.json", json.dumps({
                "name": "m", "description": "d", "source": "s", "num_layers": len(ids), "num_experts": 8, "top_k": 2,
                "num_expert_groups": 1, "hidden_size": 64, "layer_ids": ids, "expert_tensors": [tensor]}))
            trace = self.trace(f"{name}.jsonl", {"num_layers": len(ids)}, rows)
            machine = ("--cluster", "host", "--model", f"{name}.json", "--ranks", 4, "--slots", 12, "--format", "json")
            serving = self.good("simulate", trace, *machine, "--tokens-per-step", 64, "--repeat", 4).json()["result"]
            plan = self.good("plan", trace, *machine).json()["result"]
            answers.append((serving["throughput_tokens_per_second"], serving["step_seconds"], plan["metrics"]))
        self.assertEqual(answers[0], answers[1])
