# SPDX-License-Identifier: Apache-2.0
"""trace info, convert and generate, and export."""
import json

from cli import DEEPSEEK_LIKE, HEADER, LOADS, MOE64_LIKE, CliTest


class TraceCommands(CliTest):
    def info(self, trace, *words):
        return self.good("trace", "info", trace, "--format", "json", *words).json()["result"]

    def warnings(self, loads=None, header=None):
        return [w["kind"] for w in self.info(self.trace(loads=loads, header=header))["warnings"]]

    def test_info_fits_eighty_columns_and_shows_every_layer(self):
        for trace in (DEEPSEEK_LIKE, MOE64_LIKE):
            lines = self.good("trace", "info", trace).out.splitlines()
            self.assertLessEqual(max(map(len, lines)), 80)
        self.assertTrue(any(line.split()[:1] == ["23"] and "█" in line for line in lines))

    def test_info_computes_what_one_computes_by_hand(self):
        result = self.info(self.trace())
        self.assertEqual(result["steps"], 2)
        self.assertEqual(result["tokens"], 24)
        layer = result["layers"][0]
        self.assertEqual(layer["assignments"], 48)
        self.assertEqual(layer["imbalance"], 9 * 8 / 48)
        self.assertEqual(layer["step_imbalance"], 8 * 8 / 24)
        moved = sum(abs(a - b) for a, b in zip(LOADS[0][0], LOADS[1][0])) / 2 / 24
        self.assertAlmostEqual(layer["step_variation"], moved, places=12)
        self.assertEqual(result["layers"][1]["gini"], 0)
        self.assertEqual(result["warnings"], [])

    def test_info_warns_of_what_cannot_be_and_says_what_to_do(self):
        self.assertEqual(self.warnings(header={"top_k": 5}), ["top_k_divisibility", "top_k_ceiling"])
        self.assertEqual(self.warnings(header={"top_k": None}), ["top_k_unknown"])
        now_and_then = [[LOADS[0][0], [0] * 8], [LOADS[0][0], LOADS[0][0]]]
        self.assertEqual(self.warnings(loads=now_and_then), ["empty_layers"])
        never = self.info(self.trace(loads=[[[0] * 8, LOADS[0][0]]]))
        self.assertEqual(never["trace"]["layer_ids"], [1])
        self.assertEqual([layer["layer"] for layer in never["layers"]], [1])
        self.assertEqual(never["warnings"], [])
        self.assertEqual(self.warnings(loads=[[LOADS[0][0], [2] * 8]]), ["unequal_totals"])
        shown = self.good("trace", "info", self.trace(header={"top_k": None})).out
        self.assertIn("warning: the header does not state top_k", shown)
        self.assertIn("add \"top_k\"", shown)

    def test_info_looks_at_the_window_that_it_is_given(self):
        self.assertEqual(self.info(MOE64_LIKE, "--windows", "5:8")["steps"], 3)
        self.refused("trace", "info", MOE64_LIKE, "--windows", "5:41", says=("5:41", "40 steps"))

    def test_a_trace_survives_every_format(self):
        steps = [json.loads(line)["load"] for line in MOE64_LIKE.read_text().splitlines()[1:]]
        for form in ("neutral", "vllm", "sglang", "npy"):
            with self.subTest(format=form):
                self.good("trace", "convert", MOE64_LIKE, "there", "--to", form, *(("--first-layer", 0, "--num-hidden-layers",
                          len(steps[0])) if form == "sglang" else ()), "-q")
                self.good("trace", "convert", "there", "back", "--to", "neutral", "-q")
                back = (self.folder / "back").read_text().splitlines()
                self.assertEqual([json.loads(line)["load"] for line in back[1:]], steps)
        self.good("trace", "convert", MOE64_LIKE, "same", "-q")
        self.assertEqual((self.folder / "same").read_text(), MOE64_LIKE.read_text())

    def test_a_conversion_that_fails_leaves_no_file(self):
        self.write("cut.jsonl", MOE64_LIKE.read_text()[:100_000])
        self.refused("trace", "convert", "cut.jsonl", "out.npy", "--to", "npy", says="cut.jsonl:21")
        self.assertEqual(self.files(), ["cut.jsonl"])

    def test_unknown_keys_of_a_trace_are_kept(self):
        lines = [{**HEADER, "note": {"deep": [1, None]}}, {"step": 0, "load": LOADS[0], "seconds": 0.5}]
        self.write("in.jsonl", "\n".join(map(json.dumps, lines)) + "\n")
        self.good("trace", "convert", "in.jsonl", "out.jsonl", "-q")
        out = [json.loads(line) for line in (self.folder / "out.jsonl").read_text().splitlines()]
        self.assertEqual(out, lines)

    def test_commands_can_be_piped(self):
        made = self.good("trace", "generate", "--layers", 2, "--steps", 3, "--tokens", 100).out
        text = self.good("trace", "convert", "-", "-", "--to", "sglang", "--num-hidden-layers", 2, stdin=made).out
        result = json.loads(self.good("trace", "info", "-", "--format", "json", stdin=text).out)["result"]
        self.assertEqual(result["steps"], 3)
        self.assertEqual(result["layers"][0]["assignments"], 3 * 100 * 8)

    def test_generated_layers_sum_to_tokens_times_top_k(self):
        for preset in ("prefill", "prefill-long", "decode", "benchmark", "gpt-oss"):
            out = self.good("trace", "generate", "--preset", preset, "--layers", 3, "--steps", 4,
                            "--domain-changes", 2, "--tokens", 500, "--seed", 9).out
            head, *steps = map(json.loads, out.splitlines())
            self.assertEqual(head["generator"]["seed"], 9)
            self.assertEqual([step["label"] for step in steps], ["domain 0"] * 2 + ["domain 1"] * 2)
            for step in steps:
                for row in step["load"]:
                    self.assertEqual(sum(row), 500 * head["top_k"])
                    self.assertLessEqual(max(row), 500)

    def test_a_generated_trace_has_steps_and_changes_its_domain_within_them(self):
        for more in ((), ("--routes",)):
            self.refused("trace", "generate", "--steps", 0, *more, says="--steps: expected at least 1")
            for change in ("0", "4", "2,9"):
                self.refused("trace", "generate", "--steps", 4, "--domain-changes", change, *more, says="expected steps 1 to 3")

    def test_generator_options_that_make_no_sense_are_refused(self):
        for words in (("--rho", 2), ("--top-k", 300), ("--groups", 7), ("--dispersion", 0),
                      ("--domain-changes", "x"), ("--tokens", 0)):
            with self.subTest(words=words):
                self.refused("trace", "generate", *words, "-o", "out.jsonl", says="expected")
        self.assertEqual(self.files(), [])

    def test_a_plan_survives_every_format(self):
        self.plan("plan.json", "--policy", "balanced")
        placement = self.load("plan.json")["result"]["placement"]
        for form in ("moeshift", "vllm", "sglang", "npy", "trtllm", "ascend"):
            with self.subTest(format=form):
                self.good("export", "plan.json", "--to", form, "--num-hidden-layers", 2, "-o", "there", "-q")
                self.good("export", "there", "--ranks", 4, "--experts", 8, "--to", "moeshift", "-o", "back",
                          "-q")
                back = self.load("back")["result"]["placement"]
                self.assertEqual(back["physical_to_logical"], placement["physical_to_logical"])
                self.assertEqual(back["num_ranks"], 4)

    def test_export_writes_the_keys_that_engines_read(self):
        self.plan("plan.json")
        rows = self.load("plan.json")["result"]["placement"]["physical_to_logical"]
        vllm = json.loads(self.good("export", "plan.json", "--to", "vllm").out)
        self.assertEqual(vllm, {"record_type": "eplb_initial_mapping", "version": 1,
                                "num_redundant_experts": 4, "num_slots": 12,
                                "initial_global_assignments": {"0": rows[0], "1": rows[1]}})
        sglang = json.loads(self.good("export", "plan.json", "--to", "sglang", "--num-hidden-layers", 2).out)
        self.assertEqual(sglang, {"physical_to_logical_map": rows})
        trtllm = self.good("export", "plan.json", "--to", "trtllm", "--first-layer", 3).out
        self.assertIn("  3: [" + ",".join(map(str, rows[0])) + "]\n  4: [", trtllm)

    def test_rows_for_sglang_are_placed_by_the_numbers_of_the_layers(self):
        step = [[layer + 1] * 8 for layer in range(4)]
        none = [0] * 8
        expected = [none] * 3 + [step[2], step[1], step[0], none, none, none, step[3]]
        for ids, rows, hidden in (([5, 4, 3, 9], step, 10), ([3, 4, 5, 9], [step[2], step[1], step[0], step[3]], 10),
                                  ([9, 5, 4, 3], [step[3], *step[:3]], 10)):
            trace = self.trace("ids.jsonl", {"num_layers": 4, "layer_ids": ids, "num_hidden_layers": hidden}, [rows])
            self.good("trace", "convert", trace, "rows.json", "--to", "sglang")
            self.assertEqual(self.load("rows.json"), {"logical_count": [expected]})
        trace = self.trace("ids.jsonl", {"num_layers": 2, "layer_ids": [1, 0], "num_hidden_layers": 2}, [step[:2]])
        self.good("trace", "convert", trace, "rows.json", "--to", "sglang")
        self.assertEqual(self.load("rows.json"), {"logical_count": [step[1::-1]]})

    def rows_for_sglang(self, header, *words, loads=None):
        """One step of 4 layers, as trace convert, join and select write it for SGLang."""
        loads = loads or [[layer + 1] * 8 for layer in range(header.get("num_layers", 4))]
        trace = self.trace("rows.jsonl", {"num_layers": 4, **header}, [loads])
        self.good("trace", "convert", trace, "rows.json", "--to", "sglang", *words)
        for command in ("join", "select"):
            out = self.good("trace", command, trace, "--to", "sglang", *words).out
            self.assertEqual(json.loads(out), self.load("rows.json"))
        return [row[0] for row in self.load("rows.json")["logical_count"][0]]

    def test_which_layers_sglang_is_given_rows_of_is_asked_where_nobody_says_it(self):
        for header, says in (({}, ("--model", "--first-layer and --num-hidden-layers")),
                             ({"num_hidden_layers": 8}, ("--model", "--first-layer")),
                             ({"layer_ids": [3, 4, 5, 6]}, ("--model", "--num-hidden-layers"))):
            trace = self.trace("rows.jsonl", {"num_layers": 4, **header}, [[[1] * 8] * 4])
            for words in (("convert", trace, "x"), ("join", trace, "-o", "x"), ("select", trace, "-o", "x", "--layers", "4:5")):
                self.refused("trace", *words, "--to", "sglang", says=says)
        self.assertNotIn("x", self.files())
        self.assertEqual(self.rows_for_sglang({}, "--num-hidden-layers", 4), [1, 2, 3, 4])
        self.assertEqual(self.rows_for_sglang({"num_hidden_layers": 6}, "--first-layer", 1), [0, 1, 2, 3, 4, 0])
        self.assertEqual(self.rows_for_sglang({}, "--first-layer", 1, "--num-hidden-layers", 5), [0, 1, 2, 3, 4])
        self.assertEqual(self.rows_for_sglang({"layer_ids": [2, 1, 3, 0]}, "--num-hidden-layers", 4), [4, 2, 1, 3])
        model = json.loads((self.folder / self.tiny_model()).read_text())
        model.update(num_layers=4, layer_ids=[1, 2, 3, 4], num_hidden_layers=6, mtp_layer_ids=[6])
        self.write("model.json", json.dumps(model))
        self.assertEqual(self.rows_for_sglang({}, "--model", "model.json"), [0, 1, 2, 3, 4, 0])
        self.assertEqual(self.rows_for_sglang({"layer_ids": [4, 3, 2, 6]}, "--model", "model.json"), [0, 0, 3, 2, 1, 0])

    def test_answers_that_contradict_a_trace_are_refused(self):
        trace = self.trace("rows.jsonl", {"num_layers": 4, "layer_ids": [3, 4, 5, 6], "num_hidden_layers": 8}, [[[1] * 8] * 4])
        to = ("trace", "convert", trace, "x", "--to", "sglang")
        self.refused(*to, "--first-layer", 2, says=("--first-layer", "3, 4, 5, 6"))
        self.refused(*to, "--num-hidden-layers", 9, says=("--num-hidden-layers", "8"))
        self.refused(*to, "--model", self.tiny_model(), says="--model")
        trace = self.trace("rows.jsonl", {"num_layers": 4, "layer_ids": [3, 4, 5, 6]}, [[[1] * 8] * 4])
        self.refused(*to, "--num-hidden-layers", 6, says=("layer 6", "beyond 6"))

    def test_what_sglang_recorded_goes_back_as_it_was(self):
        self.write("in.json", json.dumps({"logical_count": LOADS}))
        self.good("trace", "convert", "in.json", "out.json", "--to", "sglang")
        self.assertEqual(self.load("out.json"), self.load("in.json"))

    def test_draft_layers_are_left_out_for_engines_that_have_none_in_the_file(self):
        header = {"layer_ids": [3, 4, 5, 8], "num_hidden_layers": 8}
        self.assertEqual(self.rows_for_sglang(header), [0, 0, 0, 1, 2, 3, 0, 0])
        for to, layers in (("sglang", 8), ("vllm", 3), ("npy", 4), ("adrs", 4), ("neutral", 4)):
            err = self.good("trace", "convert", "rows.jsonl", "x", "--to", to).err
            self.assertEqual("layer 8 is a draft layer" in err, to in ("sglang", "vllm"))
            if to != "npy":
                self.assertEqual((self.folder / "x").read_text().count("[" + ",".join("0" * 8) + "]"), 5 if to == "sglang" else 0)
            self.assertIn(f"{3 if to == 'sglang' else layers} layers x 8 experts", err)

    def test_formats_without_layer_numbers_have_the_layers_in_order(self):
        rows = [[number, 0, 1, 2, 0, 3, 0, 10 - number] for number in (6, 3, 4, 5)]
        trace = self.trace("rows.jsonl", {"num_layers": 4, "layer_ids": [6, 3, 4, 5]}, [rows])
        for to in ("npy", "vllm", "adrs"):
            err = self.good("trace", "convert", trace, "x", "--to", to).err
            self.assertIn("ascending", err)
            self.assertIn("(3 to 6)", err)
            back = self.good("trace", "convert", "x", "-").out.splitlines()
            self.assertEqual(json.loads(back[1])["load"], [*rows[1:], rows[0]])
            self.assertIn("ascending", self.good("trace", "join", trace, "--to", to, "-o", "y").err)
            self.assertEqual((self.folder / "x").read_bytes(), (self.folder / "y").read_bytes())
        self.good("trace", "convert", trace, "x")
        same = [[json.loads(line) for line in (self.folder / name).read_text().splitlines()] for name in ("x", "rows.jsonl")]
        self.assertEqual(*same)

    def test_export_refuses_a_map_that_an_engine_would_choke_on(self):
        self.write("hole.json", json.dumps({"physical_to_logical_map": [[0, 1, 1, 3]]}))
        self.refused("export", "hole.json", "--ranks", 2, "--to", "vllm", says=("layer 0", "2 has none"))
        self.refused("export", "hole.json", "--to", "vllm", says="expected --ranks")
        self.plan("plan.json")
        self.refused("export", "plan.json", "--ranks", 3, "--to", "vllm", says="the file says 4")
