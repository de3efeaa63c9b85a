# SPDX-License-Identifier: Apache-2.0
"""A model that contradicts what a recording or a plan says of its layers is never taken without a word."""
import gzip
import json

from cli import LOADS, CliTest

SHAPE = ("--ranks", 4, "--slots", 12)


class OtherModels(CliTest):
    def model(self, name, ids, **more):
        """The tiny model with layers `ids` of one more hidden layers than the last of them, unless `more` says else."""
        model = json.loads((self.folder / self.tiny_model()).read_text(encoding="utf-8"))
        model.update({"name": name, "num_layers": len(ids), "layer_ids": list(ids), "num_hidden_layers": ids[-1] + 1, **more})
        return self.write(f"{name}.json", json.dumps(model))

    def numbers(self, trace, *words):
        """Layers of the plan, and what was said."""
        result = self.good("plan", trace, *SHAPE, *words, "--format", "json")
        return result.json()["result"]["placement"]["layer_ids"], result.err

    def refused_at_last(self, *words, says):
        """The same as refused(), after a line of what was taken out on reading."""
        result = self.run_program(*words)
        self.assertEqual((result.code, result.out), (2, ""), result.err)
        self.assertIn(says, result.err.splitlines()[-1])

    def test_layers_that_a_recording_names_are_not_renamed_to_those_of_the_model(self):
        model = self.model("deep", [3, 4])
        for ids in ([0, 1], [2, 3], [4, 5], [3, 5]):
            trace = self.trace("named.jsonl", {"layer_ids": ids})
            for command in (("plan",), ("compare", "--policies", "snake"), ("diagnose",)):
                served = ("--tokens-per-step", 64, "--cluster", "host") if command[0] == "diagnose" else ()
                self.refused(*command, trace, *SHAPE, *served, "--model", model, says=("--model", "deep"))
        self.assertEqual(self.numbers(self.trace("named.jsonl", {"layer_ids": [3, 4]}), "--model", model)[0], [3, 4])
        self.assertEqual(self.numbers(self.trace("named.jsonl", {"layer_ids": [4, 3]}), "--model", model)[0], [4, 3])

    def test_a_recording_that_only_counts_has_the_layers_of_the_model(self):
        self.assertEqual(self.numbers(self.trace(), "--model", self.model("deep", [3, 4]))[0], [3, 4])

    def test_rows_of_another_number_of_hidden_layers_are_refused(self):
        deep = self.model("deep", [3, 4])
        for dense, good in ((3, True), (2, False), (4, False)):
            self.write("rows.json", json.dumps({"logical_count": [[[0] * 8] * dense + step for step in LOADS]}))
            if good:
                self.assertEqual(self.numbers("rows.json", "--model", deep)[0], [3, 4])
            else:
                self.refused_at_last("plan", "rows.json", *SHAPE, "--model", deep, says="5 hidden")
        self.write("rows.json", json.dumps({"logical_count": [[[0] * 8] * 3 + step for step in LOADS]}))
        self.refused_at_last("plan", "rows.json", *SHAPE, "--model", self.model("longer", [3, 4, 5, 6]), says="longer has 7 hidden")
        stated = self.trace("stated.jsonl", {"layer_ids": [3, 4], "num_hidden_layers": 8})
        self.refused("plan", stated, *SHAPE, "--model", deep, says=("5 hidden", "8"))

    def test_draft_layers_may_be_counted_among_the_hidden_ones(self):
        deep = self.model("deep", [3, 4], mtp_layer_ids=[5])
        rows = [[[0] * 8] * 3 + step + [step[0]] for step in LOADS]
        self.write("rows.json", json.dumps({"logical_count": rows}))
        self.assertEqual(self.numbers("rows.json", "--model", deep)[0], [3, 4, 5])

    def test_some_of_the_layers_of_a_model_are_said(self):
        stage = self.trace("stage.jsonl", {"layer_ids": [4, 6]})
        ids, said = self.numbers(stage, "--model", self.model("longer", [3, 4, 5, 6]))
        self.assertEqual(ids, [4, 6])
        self.assertIn("2 of the 4 MoE layers of longer", said)

    def test_the_plan_in_force_is_of_the_same_model(self):
        self.plan("old.json", "--model", self.model("deep", [3, 4]))
        longer = self.model("longer", [3, 4, 5, 6])
        stage = self.trace("stage.jsonl", {"layer_ids": [3, 4]})
        self.refused("plan", stage, *SHAPE, "--from", "old.json", "--model", longer, says=("the plan in force", "7 hidden"))

    def test_export_moves_and_execute_refuse_the_model_of_other_layers(self):
        for name, window in (("old.json", "0:1"), ("new.json", "1:2")):
            self.plan(name, "--model", self.model("deep", [3, 4]), "--cluster", "host", "--windows", window)
        for other in (self.model("longer", [3, 4, 5, 6]), self.model("plain", [0, 1])):
            for to in ("sglang", "trtllm", "vllm"):
                self.refused("export", "old.json", "--to", to, "--model", other, says="--model")
            self.refused("moves", "old.json", "new.json", "--model", other, says="--model")
            self.refused("execute", "old.json", "new.json", "--backend", "host", "--model", other, says="--model")

    def test_a_name_or_top_k_that_differs_is_said(self):
        head = {"num_layers": 16, "num_experts": 64, "top_k": 8}
        loads = [[list(range(1, 65))] * 16]
        words = ("--ranks", 4, "--slots", 64, "--model", "olmoe_1b_7b_bf16")
        for name, top_k, line in (("allenai/OLMoE-1B-7B", 8, ""), ("mixtral-8x7b", 8, "of model mixtral-8x7b, --model says olmoe"),
                                  ("somebody/Other-MoE", 8, "of model somebody/Other-MoE"), ("whatever", 8, ""), ("", 8, ""),
                                  ("olmoe_1b_7b", 4, "4 experts per token as the recording says; model olmoe_1b_7b_bf16 has 8")):
            with self.subTest(name=name, top_k=top_k):
                said = self.good("plan", self.trace("t.jsonl", {**head, "model": name, "top_k": top_k}, loads), *words).err
                self.assertIn(line, said)
                if not line:
                    self.assertNotIn("model", said)

    def test_files_beside_a_config_are_read_with_it(self):
        config = {"model_type": "qwen3_moe", "num_hidden_layers": 2, "num_experts": 4, "num_experts_per_tok": 2, "hidden_size": 256,
                  "moe_intermediate_size": 128, "torch_dtype": "bfloat16"}
        (self.folder / "m").mkdir()
        self.write("m/config.json", json.dumps(config))
        plain = json.loads(self.good("models", "import", "m/config.json").out)
        self.write("m/quant_config.json", json.dumps({"w_bit": 4, "q_group_size": 128, "zero_point": True}))
        result = self.good("models", "import", "m/config.json")
        sizes = [sum(tensor["bytes"] for tensor in model["expert_tensors"]) for model in (plain, json.loads(result.out))]
        self.assertLess(sizes[1] * 3, sizes[0])
        self.assertIn("quant_config.json beside it says", result.err)
        (self.folder / "m/quant_config.json.gz").write_bytes(gzip.compress((self.folder / "m/quant_config.json").read_bytes()))
        (self.folder / "m/quant_config.json").unlink()
        self.assertEqual(self.good("models", "import", "m/config.json").out, result.out)
        self.write("m/quant_config.json", "{")
        self.refused("models", "import", "m/config.json", says="m/quant_config.json")
        self.good("models", "import", "-", stdin=json.dumps(config))
