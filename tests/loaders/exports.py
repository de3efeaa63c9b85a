# SPDX-License-Identifier: Apache-2.0
"""Every export of ten kinds of plan, loaded by the engines' own rules (engines.py): the engine serves what the plan says."""
import json
import random
import struct

import engines
from cli import CliTest

EXPERTS, RANKS, SLOTS = 8, 4, 12
FORMATS = sorted(engines.LOADERS)


def loads_of(layers, seed=5, steps=3, experts=EXPERTS, dense=()):
    """Skewed counts, a row per layer; none in the rows of `dense`."""
    draw = random.Random(seed)
    return [[[0 if layer in dense else draw.randrange(1, 60) * draw.randrange(1, 9) for _ in range(experts)]
             for layer in range(layers)] for _ in range(steps)]


class Exports(CliTest):
    def plan_of(self, *words, layers=4, ids=None, trace=None, ranks=RANKS, slots=SLOTS, policy="balanced", **header):
        """Plans a trace and returns the name of the plan file."""
        if trace is None:
            head = {"num_layers": layers, "num_experts": EXPERTS, "layer_ids": ids,
                    "num_hidden_layers": layers if ids is None else None, **header}
            trace = self.trace("trace.jsonl", head, loads_of(layers))
        self.good("plan", trace, "--ranks", ranks, "--slots", slots, "--policy", policy, *words, "-o", "plan.json", "-q")
        return "plan.json"

    def served(self, form, plan, model, *words):
        """What the engine serves after loading the export."""
        self.good("export", plan, "--to", form, *words, "-o", "out", "-q")
        return engines.LOADERS[form]((self.folder / "out").read_text(encoding="utf-8"), model)

    def model_of(self, plan, num_hidden_layers=None, extra=()):
        placement = self.load(plan)["result"]["placement"]
        rows = placement["physical_to_logical"]
        ids = sorted(placement.get("layer_ids", list(range(len(rows)))) + list(extra))
        hidden = num_hidden_layers or max(ids) + 1
        return engines.Model(placement["num_experts"], len(rows[0]), placement["num_ranks"], ids, hidden)

    def rows_of(self, plan):
        """{layer number in the model: slots}"""
        placement = self.load(plan)["result"]["placement"]
        rows = placement["physical_to_logical"]
        return dict(zip(placement.get("layer_ids", range(len(rows))), rows))

    def serves_the_plan(self, plan, *words, num_hidden_layers=None, formats=FORMATS):
        model = self.model_of(plan, num_hidden_layers)
        for form in formats:
            with self.subTest(format=form):
                self.assertEqual(self.served(form, plan, model, *words), self.rows_of(plan))

    def test_a_full_plan_is_served_as_it_is(self):
        self.serves_the_plan(self.plan_of())

    def test_layers_after_dense_ones_keep_their_numbers(self):
        plan = self.plan_of(ids=[3, 4, 5, 6])
        self.assertEqual(sorted(self.rows_of(plan)), [3, 4, 5, 6])
        self.refused("export", plan, "--to", "sglang", "-o", "x", says="--num-hidden-layers")
        self.serves_the_plan(plan, formats=["vllm", "vllm-list", "trtllm", "ascend"])
        self.serves_the_plan(plan, "--num-hidden-layers", 9, num_hidden_layers=9)

    def test_every_second_layer_keeps_its_number(self):
        self.serves_the_plan(self.plan_of(ids=[1, 3, 5, 7], num_hidden_layers=8))

    def test_layers_that_a_trace_names_in_any_order_come_to_the_engine_in_the_models_order(self):
        self.serves_the_plan(self.plan_of(ids=[7, 5, 3, 1], num_hidden_layers=8))
        plan = self.plan_of("--slots-budget", 40, ids=[7, 5, 3, 1], num_hidden_layers=8)
        for form in FORMATS:
            served = self.served(form, plan, self.model_of(plan), "--fill")
            for layer, row in self.rows_of(plan).items():
                self.assertTrue(all(a in (-1, b) for a, b in zip(row, served[layer])), f"{form}, layer {layer}")

    def test_numbers_that_contradict_the_plans_are_refused(self):
        plan = self.plan_of(ids=[3, 5, 7, 11], num_hidden_layers=12)
        self.refused("export", plan, "--to", "trtllm", "--first-layer", 3, "-o", "x", says=("--first-layer", "3, 5, 7, 11"))
        self.refused("export", plan, "--to", "sglang", "--num-hidden-layers", 11, "-o", "x", says=("--num-hidden-layers", "12"))
        self.refused("export", plan, "--to", "trtllm", "--model", "deepseek_v3_fp8", "-o", "x", says=("256 experts", "8"))
        self.assertNotIn("x", self.files())

    def test_rows_that_never_carry_load_are_taken_out_and_put_back(self):
        loads = loads_of(7, dense=(0, 1, 2))
        self.write("sglang.json", json.dumps({"logical_count": loads}))
        plan = self.plan_of(trace="sglang.json")
        self.assertEqual(sorted(self.rows_of(plan)), [3, 4, 5, 6])
        self.serves_the_plan(plan, num_hidden_layers=7)

    def test_a_draft_layer_is_added_where_the_engine_asks_for_it(self):
        plan = self.plan_of(ids=[3, 4, 5, 6], num_hidden_layers=7)
        for how, expected in (("7", None), ("7=copy:6", 6), ("7=trivial", None)):
            with self.subTest(how=how):
                model = self.model_of(plan, 7, extra=[7])
                served = self.served("trtllm", plan, model, "--extra-layers", how)
                trivial = [slot % EXPERTS for slot in range(SLOTS)]
                self.assertEqual(served[7], served[expected] if expected else trivial)

    def test_a_planned_draft_layer_goes_to_the_engine_that_has_it(self):
        plan = self.plan_of(ids=[3, 4, 5, 7], num_hidden_layers=7)
        self.serves_the_plan(plan, formats=["trtllm"], num_hidden_layers=7)
        target = engines.Model(EXPERTS, SLOTS, RANKS, [3, 4, 5], 7)
        for form in ("sglang", "rtp-llm", "vllm", "vllm-list", "ascend"):
            with self.subTest(format=form):
                served = self.served(form, plan, target)
                self.assertEqual(served, {k: v for k, v in self.rows_of(plan).items() if k < 7})
                said = self.good("export", plan, "--to", form, "-o", "out").err
                self.assertIn("layer 7 is a draft layer", said)

    def test_more_layers_than_hidden_ones_are_no_draft_layers(self):
        trace = self.trace("trace.jsonl", {"num_layers": 4, "num_experts": EXPERTS, "num_hidden_layers": 3}, loads_of(4))
        self.refused("plan", trace, "--ranks", RANKS, "--slots", SLOTS, says=("/num_hidden_layers", "4 layers"))
        trace = self.trace("trace.jsonl", {"num_layers": 4, "num_experts": EXPERTS}, loads_of(4))
        plan = self.plan_of(trace=trace)
        for form in (*FORMATS, "moeshift", "npy"):
            with self.subTest(format=form):
                self.refused("export", plan, "--to", form, "--num-hidden-layers", 3, "-o", "x", says=("--num-hidden-layers", "4 layers"))
                self.refused("export", plan, "--to", form, "--first-layer", 3, "--num-hidden-layers", 5, "-o", "x",
                             says=("layers 5, 6 beyond 5", "--layers :5"))
        self.assertNotIn("x", self.files())
        numbered = self.plan_of(ids=[3, 4, 5, 6])
        self.refused("export", numbered, "--to", "vllm", "--num-hidden-layers", 6, "-o", "x", says=("layer 6 beyond 6", "--layers :6"))
        self.good("export", numbered, "--to", "sglang", "--num-hidden-layers", 6, "--layers", ":6", "-o", "out")
        drafting = self.write("drafting.json", json.dumps({**self.model_of_layers([3, 4, 5], 6), "mtp_layer_ids": [6]}))
        said = self.good("export", numbered, "--to", "vllm", "--model", drafting, "-o", "out").err
        self.assertIn("layer 6 is a draft layer", said)

    def model_of_layers(self, ids, hidden):
        model = json.loads((self.folder / self.tiny_model()).read_text(encoding="utf-8"))
        return {**model, "num_layers": len(ids), "layer_ids": ids, "num_hidden_layers": hidden}

    def test_a_draft_layer_that_the_model_has_and_the_file_lacks_is_named(self):
        model = self.write("model.json", json.dumps({**self.model_of_layers([3, 4, 5, 6], 7), "mtp_layer_ids": [7]}))
        plan = self.plan_of(ids=[3, 4, 5, 6])
        says = "draft layer 7 of tiny is not in it: trtllm wants it where the model is served with MTP; add --extra-layers 7"
        self.assertIn(says, self.good("export", plan, "--to", "trtllm", "--model", model, "-o", "out").err)
        for words in (("--extra-layers", "7"), ("--layers", "3:5")):
            self.assertNotIn("draft", self.good("export", plan, "--to", "trtllm", "--model", model, *words, "-o", "out").err)
        self.assertNotIn("draft", self.good("export", plan, "--to", "sglang", "--model", model, "-o", "out").err)
        plan = self.plan_of("--model", model, ids=[3, 4, 5, 6])
        self.assertIn(says, self.good("export", plan, "--to", "trtllm", "-o", "out").err)
        plan = self.plan_of("--model", model, layers=2, ids=[3, 4])
        self.assertIn("has 2 of the 4 MoE layers of tiny", self.good("export", plan, "--to", "vllm", "-o", "out").err)
        (self.folder / model).unlink()
        self.good("export", plan, "--to", "trtllm", "-o", "out")

    def test_numbers_of_the_model_are_called_the_models(self):
        model = self.write("model.json", json.dumps(self.model_of_layers([3, 4, 5, 6], 8)))
        plan = self.plan_of(trace=self.trace("trace.jsonl", {"num_layers": 4, "num_experts": EXPERTS}, loads_of(4)))
        self.refused("export", plan, "--to", "sglang", "--model", model, "--num-hidden-layers", 7, says="model tiny says 8")
        self.refused("export", plan, "--to", "trtllm", "--model", model, "--first-layer", 2, says="model tiny numbers the layers")

    def test_one_rank_and_no_redundant_experts_are_served(self):
        self.serves_the_plan(self.plan_of(ranks=1, slots=EXPERTS))

    def test_uneven_nodes_are_served(self):
        self.serves_the_plan(self.plan_of("--nodes", 3))

    def test_a_plan_for_more_ranks_than_before_is_served(self):
        old = self.plan_of(ranks=2, slots=8)
        (self.folder / old).rename(self.folder / "old.json")
        self.serves_the_plan(self.plan_of("--from", "old.json", trace="trace.jsonl", policy="incremental"))

    def test_empty_slots_are_refused_with_the_next_step_and_filled_when_told(self):
        for name, words in {"budget": ("--slots-budget", 40), "inactive": ("--inactive", "3", )}.items():
            slots = 16 if name == "inactive" else SLOTS
            plan = self.plan_of(*words, slots=slots)
            rows = self.rows_of(plan)
            self.assertTrue(any(-1 in row for row in rows.values()))
            for form in FORMATS:
                with self.subTest(plan=name, format=form):
                    self.refused("export", plan, "--to", form, "-o", "refused", says="--fill")
                    self.assertNotIn("refused", self.files())
                    served = self.served(form, plan, self.model_of(plan), "--fill")
                    for layer, row in rows.items():
                        kept = [(a, b) for a, b in zip(row, served[layer]) if a >= 0]
                        self.assertTrue(all(a == b for a, b in kept), "what the plan holds stays")
                        self.no_duplicates(served[layer], RANKS)

    def test_slots_are_filled_by_load_whatever_layers_are_added_or_left_out(self):
        plan = self.plan_of("--slots-budget", 36, ids=[3, 4, 5, 6], num_hidden_layers=7)
        filled = self.served("trtllm", plan, self.model_of(plan), "--fill")
        by_replicas = json.loads((self.folder / plan).read_text(encoding="utf-8"))
        del by_replicas["result"]["load"]
        self.write("no_load.json", json.dumps(by_replicas))
        self.assertNotEqual(filled, self.served("trtllm", "no_load.json", self.model_of(plan), "--fill"))
        for more, extra in ((("--extra-layers", 7), [7]), (("--extra-layers", "7=copy:6"), [7])):
            served = self.served("trtllm", plan, self.model_of(plan, 7, extra), "--fill", *more)
            self.assertEqual({layer: served[layer] for layer in filled}, filled)
            if more[1] != 7:
                self.assertEqual(served[7], filled[6])
        self.assertNotIn("no loads", self.good("export", plan, "--to", "trtllm", "--fill", "--extra-layers", 7, "-o", "out").err)
        for more in (("--layers", "5:"), ("--extra-layers", "7", "--layers", "5:")):
            model = engines.Model(EXPERTS, SLOTS, RANKS, [5, 6], 7)
            self.assertEqual(self.served("trtllm", plan, model, "--fill", *more), {layer: filled[layer] for layer in (5, 6)})
        self.good("export", plan, "--to", "moeshift", "-o", "again.json")
        self.assertEqual(self.served("trtllm", "again.json", self.model_of(plan), "--fill"), filled)

    def no_duplicates(self, row, ranks):
        share = len(row) // ranks
        for rank in range(ranks):
            held = row[rank * share:(rank + 1) * share]
            self.assertEqual(len(set(held)), len(held), f"rank {rank} holds an expert twice")

    def test_layers_of_different_slot_counts_are_filled(self):
        rows = [[0, 1, 2, 4, 5, -1, 6, 7, -1, 3, 0, -1], [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]]
        self.write("plan.json", json.dumps({"schema": "moeshift.plan/1", "result": {"placement": {
            "num_experts": EXPERTS, "num_ranks": RANKS, "num_hidden_layers": 2, "physical_to_logical": rows}}}))
        for form in FORMATS:
            with self.subTest(format=form):
                served = self.served(form, "plan.json", self.model_of("plan.json"), "--fill")
                self.no_duplicates(served[0], RANKS)

    def test_an_expert_twice_on_a_card_is_refused_for_ascend_and_repaired_when_told(self):
        rows = [[0, 0, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3]]
        self.write("plan.json", json.dumps({"schema": "moeshift.plan/1", "result": {"placement": {
            "num_experts": EXPERTS, "num_ranks": RANKS, "num_hidden_layers": 1, "physical_to_logical": rows}}}))
        model = self.model_of("plan.json")
        self.refused("export", "plan.json", "--to", "ascend", "-o", "refused", says="--distinct")
        served = self.served("ascend", "plan.json", model, "--distinct")
        self.no_duplicates(served[0], RANKS)
        self.assertEqual([a for a, b in zip(rows[0], served[0]) if a == b], [0, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3])
        for form in ("vllm", "sglang", "trtllm"):
            self.assertEqual(self.served(form, "plan.json", model)[0], rows[0])

    def test_a_rank_of_more_slots_than_experts_is_refused_for_ascend_whatever_is_told(self):
        self.write("map.json", json.dumps({"physical_to_logical_map": [[0, 1, 2, 0, 1, 2, 0, 0]]}))
        for words in ((), ("--distinct",)):
            self.refused("export", "map.json", "--to", "ascend", "--ranks", 2, *words, "-o", "refused",
                         says="plan at most 3 slots per rank")

    def test_lightllm_takes_a_plan_that_leaves_the_originals_where_they_are(self):
        rows = [[0, 1, 7, 2, 3, 0, 4, 5, 1, 6, 7, 2], [7, 0, 1, 4, 2, 3, 4, 5, 3, 1, 6, 7]]
        self.write("plan.json", json.dumps({"schema": "moeshift.plan/1", "result": {"placement": {
            "num_experts": EXPERTS, "num_ranks": RANKS, "layer_ids": [1, 3], "physical_to_logical": rows}}}))
        texts = []
        for rank in range(RANKS):
            self.good("export", "plan.json", "--to", "lightllm", "--rank", rank, "-o", f"r{rank}.json", "-q")
            texts.append((self.folder / f"r{rank}.json").read_text(encoding="utf-8"))
        served = engines.lightllm(texts, self.model_of("plan.json"))
        for layer, row in zip((1, 3), rows):
            for rank in range(RANKS):
                self.assertEqual(sorted(served[layer][3 * rank:3 * rank + 3]), sorted(row[3 * rank:3 * rank + 3]))
        self.refused("export", "plan.json", "--to", "lightllm", "-o", "x", says="--rank")
        for name in ("moeshift", "npy"):  # and back: originals first, then the replicas
            self.good("export", "r{rank}.json", "--experts", EXPERTS, "--to", name, "-o", f"back.{name}", "-q")
        back = self.load("back.moeshift")["result"]["placement"]
        self.assertEqual((back["num_ranks"], back["layer_ids"]), (RANKS, [1, 3]))
        self.assertEqual(back["physical_to_logical"], [served[1], served[3]])
        self.refused("export", "r0.json", "--experts", EXPERTS, "--ranks", RANKS, "--to", "npy", says="rank{rank}.json")
        self.refused("export", "r{rank}.json", "--to", "npy", says="--experts")
        rows[0][0], rows[0][6] = rows[0][6], rows[0][0]
        self.write("moved.json", json.dumps({"schema": "moeshift.plan/1", "result": {"placement": {
            "num_experts": EXPERTS, "num_ranks": RANKS, "layer_ids": [1, 3], "physical_to_logical": rows}}}))
        self.refused("export", "moved.json", "--to", "lightllm", "--rank", 0, "-o", "x", says="expert 0")

    def test_lightllm_files_with_a_default_are_of_every_layer_of_the_model(self):
        model = self.write("model.json", json.dumps(self.model_of_layers([3, 4, 5, 6], 7)))
        for rank in range(2):
            self.write(f"r{rank}.json", json.dumps({"redundancy_expert_num": 1, "4": [4 - 4 * rank], "default": [5 - 4 * rank]}))
        words = ("export", "r{rank}.json", "--to", "trtllm")
        self.refused(*words, "--experts", EXPERTS, says=("default", "--model"))
        self.good(*words, "--model", model, "-o", "out")
        served = engines.trtllm((self.folder / "out").read_text(encoding="utf-8"), engines.Model(EXPERTS, 10, 2, [3, 4, 5, 6], 7))
        self.assertEqual({layer: (row[4], row[9]) for layer, row in served.items()}, {3: (5, 1), 4: (4, 0), 5: (5, 1), 6: (5, 1)})
        trace = self.trace("trace.jsonl", {"num_layers": 4, "num_experts": EXPERTS, "layer_ids": [3, 4, 5, 6]}, loads_of(4))
        self.good("plan", trace, "--from", "r{rank}.json", "--slots", 10, "--model", model, "--cluster", "host", "-o", "next.json")
        self.assertEqual(self.load("next.json")["result"]["placement"]["num_ranks"], 2)
        self.good("moves", "r{rank}.json", "next.json")
        said = self.good("export", "r{rank}.json", "--to", "lightllm", "--model", model, "-o", "again{rank}.json").err
        self.assertIn("LightLLM hangs with one redundant expert per rank", said)
        self.write("r3.json", "{}")
        self.refused(*words, "--model", model, says=("r2.json", "r3.json is there"))

    def test_what_no_release_reads_says_so(self):
        plan = self.plan_of()
        self.assertIn("vllm#41141", self.good("export", plan, "--to", "vllm", "-o", "out").err)
        self.assertNotIn("pull request", self.good("export", plan, "--to", "sglang", "-o", "out").err)

    def test_a_stage_of_a_pipeline_gets_its_layers(self):
        plan = self.plan_of(ids=[3, 4, 5, 6])
        model = engines.Model(EXPERTS, SLOTS, RANKS, [5, 6], 7)
        served = self.served("trtllm", plan, model, "--layers", "5:7")
        rows = self.rows_of(plan)
        self.assertEqual(served, {5: rows[5], 6: rows[6]})
        self.refused("export", plan, "--to", "trtllm", "--layers", "9:12", "-o", "x", says="layers 3 to 6")

    def test_rows_of_dense_layers_in_a_map_go_to_no_engine_that_takes_none(self):
        self.write("plan61.json", json.dumps({"logical_count": [[[0] * 8] * 3 + self.uneven_loads()]}))
        self.good("plan", "plan61.json", "--ranks", 4, "--slots", 12, "--policy", "balanced", "-o", "plan.json", "-q")
        model = json.loads((self.folder / self.tiny_model()).read_text(encoding="utf-8"))
        model.update({"num_layers": 4, "layer_ids": [3, 4, 5, 6], "num_hidden_layers": 7})
        self.write("deep.json", json.dumps(model))
        for form in ("sglang", "rtp-llm"):
            self.good("export", "plan.json", "--to", form, "-o", "map.json", "-q")
            rows = json.loads((self.folder / "map.json").read_text(encoding="utf-8"))
            rows = rows["physical_to_logical_map"] if form == "sglang" else rows
            self.assertEqual(len(rows), 7)
            for to in ("vllm", "vllm-list", "trtllm", "ascend", "lightllm", "moeshift", "npy"):
                if form == "rtp-llm" and to in ("moeshift", "npy"):
                    said = self.good("export", "map.json", "--ranks", 4, "--to", to, "-o", "out").err
                    self.assertIn("rows 0, 1, 2 hold", said)
                    continue
                words = ("export", "map.json", "--ranks", 4, "--to", to, *(("--rank", 0) if to == "lightllm" else ()))
                with self.subTest(origin=form, to=to):
                    self.refused(*words, says=("rows 0, 1, 2 ", "--model", "--layers 3:"))
                    self.refused(*words, "--first-layer", 3, says="rows 0, 1, 2 ")
                    for more in ("--model", "deep.json"), ("--layers", "3:"):
                        if form == "rtp-llm" and more[0] == "--layers":
                            more = (*more, "--first-layer", 0)  # a list does not say that rows are layers
                        if to not in ("lightllm", "npy", "moeshift"):  # a replica plan, an archive, what it was planned for
                            self.good("export", "plan.json", "--to", to, "-o", "direct", "-q")
                            self.good(*words, *more, "-o", "out", "-q")
                            self.assertEqual(*((self.folder / name).read_text(encoding="utf-8") for name in ("out", "direct")))
        self.good("export", "plan.json", "--to", "sglang", "-o", "map.json", "-q")
        plain = self.good("export", "map.json", "--ranks", 4, "--to", "sglang").out
        self.assertEqual(plain, (self.folder / "map.json").read_text(encoding="utf-8"))
        self.assertEqual(json.loads(self.good("export", "map.json", "--ranks", 4, "--to", "rtp-llm").out),
                         json.loads(plain)["physical_to_logical_map"])

    def test_a_map_of_all_layers_without_dense_rows_has_its_rows_numbers(self):
        plan = self.plan_of()
        self.good("export", plan, "--to", "sglang", "-o", "map.json", "-q")
        rows = self.rows_of(plan)
        self.assertFalse(any(row == [slot % EXPERTS for slot in range(SLOTS)] for row in rows.values()))
        self.good("export", "map.json", "--ranks", RANKS, "--to", "trtllm", "-o", "out", "-q")
        served = engines.trtllm((self.folder / "out").read_text(encoding="utf-8"), self.model_of(plan))
        self.assertEqual(served, rows)

    def answer_of(self, *words):
        """The result without what it took to find it, and the name of the placement in force."""
        def cleaned(value):
            if isinstance(value, dict):
                return {k: cleaned(v) for k, v in value.items() if k not in ("plan_seconds", "bound_seconds", "previous")}
            return [cleaned(item) for item in value] if isinstance(value, list) else value
        return cleaned(self.good(*words, "--format", "json").json()["result"])

    def test_rows_that_are_counted_are_in_the_models_order_for_every_command(self):
        ids = {"num_layers": 4, "num_experts": EXPERTS, "num_hidden_layers": 8}
        loads = loads_of(4)
        turned = self.trace("turned.jsonl", {**ids, "layer_ids": [6, 5, 4, 3]}, [step[::-1] for step in loads])
        plan = self.plan_of(trace=turned)
        model = self.write("model.json", json.dumps(self.model_of_layers([3, 4, 5, 6], 8)))
        world = ("--cluster", "hgx_h200", "--model", model, "--ranks", RANKS, "--slots", SLOTS)
        commands = {"plan": ("plan", turned, "--ranks", RANKS, "--slots", SLOTS, "--from"),
                    "simulate": ("simulate", turned, *world, "--policy", "static", "--interval", 2, "--initial"),
                    "diagnose": ("diagnose", turned, *world, "--initial"),
                    "compare": ("compare", turned, "--ranks", RANKS, "--slots", SLOTS, "--policies", "incremental", "--from")}
        right = {name: self.answer_of(*words, plan) for name, words in commands.items()}
        for form in ("npy", "vllm", "vllm-list", "ascend", "sglang"):
            self.good("export", plan, "--to", form, "-o", f"out.{form}", "-q")
            for name, words in commands.items():
                with self.subTest(form=form, command=name):
                    self.assertEqual(self.answer_of(*words, f"out.{form}"), right[name])
        for pair in ((plan, "out.npy"), ("out.npy", plan)):
            totals = self.answer_of("moves", *pair, "--cluster", "hgx_h200", "--model", model)["totals"]
            self.assertEqual((totals["transfers"], totals["local_copies"]), (0, 0))

    def test_extra_layers_are_layers_of_the_model(self):
        model = self.write("model.json", json.dumps({**self.model_of_layers([3, 4, 5, 6], 8), "mtp_layer_ids": [8]}))
        bare = self.plan_of(ids=[3, 4, 5, 6], num_hidden_layers=8)
        (self.folder / bare).rename(self.folder / "bare.json")
        knowing = self.plan_of("--model", model, ids=[3, 4, 5, 6])
        for words in (("bare.json", "--model", model), (knowing,)):
            for form in ("vllm", "vllm-list", "ascend", "npy", "trtllm", "sglang", "moeshift"):
                for extra in ("1", "9", "20", "8,20"):
                    with self.subTest(plan=words, form=form, extra=extra):
                        self.refused("export", *words, "--to", form, "--extra-layers", extra, "-o", "x",
                                     says=(f"no layer {extra.split(',')[-1]} with experts", "3 to 6", "8"))
            self.good("export", *words, "--to", "trtllm", "--extra-layers", "8", "-o", "out")
        self.refused("export", "bare.json", "--to", "trtllm", "--extra-layers", "20", "-o", "x", says=("8 hidden layers", "20", "--model"))
        self.good("export", "bare.json", "--to", "trtllm", "--extra-layers", "8,9", "-o", "out")
        said = self.good("export", "bare.json", "--to", "vllm", "--extra-layers", "1", "-o", "out").err
        self.assertIn("layer 1 went in as row 0 of 5", said)
        self.assertNotIn("went in", self.good("export", "bare.json", "--to", "trtllm", "--extra-layers", "1", "-o", "out").err)

    def test_a_gap_between_the_models_layers_is_refused_where_layers_are_counted(self):
        model = self.write("model.json", json.dumps({**self.model_of_layers([3, 4, 5, 6], 8), "mtp_layer_ids": [8]}))
        bare = self.plan_of(layers=3, ids=[3, 4, 6], num_hidden_layers=8)
        (self.folder / bare).rename(self.folder / "bare.json")
        knowing = self.plan_of("--model", model, layers=3, ids=[3, 4, 6])
        for words in (("bare.json", "--model", model), (knowing,)):
            for form in ("vllm", "vllm-list", "ascend", "npy"):
                with self.subTest(plan=words, form=form):
                    self.refused("export", *words, "--to", form, "-o", "x", says=("no layer 5", "--extra-layers 5", "--layers"))
                    self.good("export", *words, "--to", form, "--extra-layers", "5=copy:4", "-o", "out")
                    self.good("export", *words, "--to", form, "--layers", ":5", "-o", "out")
            for form in ("trtllm", "sglang", "moeshift"):
                self.good("export", *words, "--to", form, "-o", "out")
        self.good("export", "bare.json", "--to", "vllm", "-o", "out")  # nothing says that there is a layer 5

    def array(self, name, rows):
        head = str({"descr": "<i8", "fortran_order": False, "shape": (len(rows), len(rows[0]))})
        head += " " * (63 - (10 + len(head)) % 64) + "\n"
        body = struct.pack(f"<{len(rows) * len(rows[0])}q", *(slot for row in rows for slot in row))
        (self.folder / name).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + body)
        return name

    def test_rows_of_dense_layers_in_an_array_are_asked_about(self):
        plan = self.plan_of(ids=[3, 4, 5, 6], num_hidden_layers=8)
        rows = list(self.rows_of(plan).values())
        model = self.write("model.json", json.dumps(self.model_of_layers([3, 4, 5, 6], 8)))
        self.good("export", plan, "--to", "vllm", "-o", "direct")
        trivial = [slot % EXPERTS for slot in range(SLOTS)]
        unloaded = [slot if slot < EXPERTS else 0 for slot in range(SLOTS)]  # SGLang's own balancer, of a layer without load
        for dense in (trivial, unloaded):
            self.array("all.npy", [dense] * 3 + rows + [dense])
            for form in ("vllm", "vllm-list", "ascend", "trtllm"):
                for more in ((), ("--first-layer", 0)):
                    self.refused("export", "all.npy", "--ranks", RANKS, "--to", form, *more, "-o", "x", says=("rows 0, 1, 2, 7", "--model"))
            self.good("export", "all.npy", "--ranks", RANKS, "--to", "vllm", "--model", model, "-o", "out")
            self.assertEqual((self.folder / "out").read_bytes(), (self.folder / "direct").read_bytes())
        self.array("moe.npy", rows)
        self.good("export", "moe.npy", "--ranks", RANKS, "--to", "vllm", "-o", "out")
        self.assertEqual((self.folder / "out").read_bytes(), (self.folder / "direct").read_bytes())

    def test_a_map_of_all_layers_with_placements_in_dense_ones_is_of_another_model(self):
        plan = self.plan_of(ids=[3, 4, 5, 6], num_hidden_layers=8)
        rows = list(self.rows_of(plan).values())
        trivial = [slot % EXPERTS for slot in range(SLOTS)]
        model = self.write("model.json", json.dumps(self.model_of_layers([3, 4, 5, 6], 8)))
        placed = [trivial, *rows[:3], rows[3], *rows[:3]]
        self.write("map.json", json.dumps({"physical_to_logical_map": placed}))
        self.write("list.json", json.dumps(placed))
        for name in ("map.json", "list.json", self.array("map.npy", placed)):
            for form in ("vllm", "trtllm", "sglang", "rtp-llm", "moeshift", "ascend"):
                with self.subTest(name=name, form=form):
                    self.refused("export", name, "--to", form, "--ranks", RANKS, "--model", model, "-o", "x", says=("rows 1, 2, 7", "3 to 6"))
            self.refused("plan", "trace.jsonl", "--from", name, "--ranks", RANKS, "-q", says=("rows 1, 2, 7", "3 to 6"))
            self.refused("moves", plan, name, "--cluster", "hgx_h200", "--model", model, says="rows 1, 2, 7")

    def test_a_map_of_all_layers_beside_a_trace_that_numbers_none_asks_for_the_model(self):
        rows = list(self.rows_of(self.plan_of(ids=[3, 4, 5, 6], num_hidden_layers=8)).values())
        trivial = [slot % EXPERTS for slot in range(SLOTS)]
        self.write("map.json", json.dumps({"physical_to_logical_map": [trivial] * 3 + rows + [trivial]}))
        model = self.write("model.json", json.dumps(self.model_of_layers([3, 4, 5, 6], 8)))
        for more in ({}, {"num_hidden_layers": 8}):
            trace = self.trace("plain.jsonl", {"num_layers": 4, "num_experts": EXPERTS, **more}, loads_of(4))
            self.refused("plan", trace, "--from", "map.json", "--ranks", RANKS, "-q", says="--model")
            self.good("plan", trace, "--from", "map.json", "--ranks", RANKS, "--model", model)

    def test_lightllm_files_say_their_ranks_by_their_number(self):
        model = self.write("model.json", json.dumps(self.model_of_layers([3, 4, 5, 6], 8)))
        for rank in range(RANKS):
            self.write(f"r{rank}.json", json.dumps({"redundancy_expert_num": 1, "default": [(2 * rank + 3) % EXPERTS]}))
            self.write(f"none{rank}.json", json.dumps({"redundancy_expert_num": 0}))
            self.write(f"bad{rank}.json", json.dumps({"redundancy_expert_num": 1}))
        trace = self.trace("trace.jsonl", {"num_layers": 4, "num_experts": EXPERTS, "layer_ids": [3, 4, 5, 6]}, loads_of(4))
        said = self.good("plan", trace, "--from", "r{rank}.json", "--slots", SLOTS).err
        self.assertIn("ranks 4 as r{rank}.json says", said)
        said = self.good("export", "r{rank}.json", "--to", "moeshift", "--model", model, "-o", "out.json").err
        self.assertIn("4 ranks, as many as there are files", said)
        said = self.good("export", "r{rank}.json", "--to", "moeshift", "--model", model, "--ranks", RANKS, "-o", "out.json").err
        self.assertNotIn("as many as", said)
        self.good("export", "none{rank}.json", "--to", "moeshift", "--model", model, "-o", "out.json")
        placement = self.load("out.json")["result"]["placement"]
        self.assertEqual((placement["layer_ids"], placement["physical_to_logical"]), ([3, 4, 5, 6], [list(range(EXPERTS))] * 4))
        self.refused("export", "bad{rank}.json", "--to", "moeshift", "--model", model, says="names neither a layer nor")

    def test_numbers_that_yaml_readers_take_for_others_are_refused(self):
        text = "num_slots: {}\ninitial_global_assignments:\n  {}: [0,1,2,{}]\n"
        self.write("good.yaml", text.format(4, 10, 3))
        self.good("export", "good.yaml", "--to", "npy", "--ranks", 2, "-o", "x.npy")
        for odd in ("04", "0x4", "0o4", "4_0", "4e0", "0:4", "yes", "+4", "-0", "4.0", "'04'"):
            for place in range(3):
                words = [odd if place == i else plain for i, plain in enumerate((4, 10, 3))]
                self.write("odd.yaml", text.format(*words))
                with self.subTest(odd=odd, place=place):
                    self.refused("export", "odd.yaml", "--to", "npy", "--ranks", 2, "-o", "y.npy", says=("odd.yaml:", "plain digits"))
        self.write("ranks.yaml", "ep_size: 02\n" + text.format(4, 10, 3))
        self.refused("export", "ranks.yaml", "--to", "npy", "-o", "y.npy", says="octal")

    def uneven_loads(self):
        """One step of four layers, in none of which the balanced map is the trivial one."""
        return [[8 + layer, 6, 4, 2, 1, 1, 1, 40 + layer] for layer in range(4)]

    def test_deepseek_v3_as_sglang_records_it_has_61_rows_and_keys_3_to_60(self):
        model = json.loads((self.shipped_model("deepseek_v3_fp8")).read_text(encoding="utf-8"))
        loads = loads_of(61, steps=1, experts=256, dense=(0, 1, 2))
        self.write("sglang.json", json.dumps({"logical_count": loads}))
        self.good("plan", "sglang.json", "--ranks", 32, "--slots", 288, "--model", "deepseek_v3_fp8", "-o", "plan.json", "-q")
        world = engines.Model(256, 288, 32, model["layer_ids"], 61)
        rows = self.rows_of("plan.json")
        self.assertEqual(list(rows), model["layer_ids"])
        self.assertEqual(self.served("sglang", "plan.json", world), rows)
        self.assertEqual(self.served("trtllm", "plan.json", world), rows)

    def shipped_model(self, name):
        from cli import SOURCE
        return SOURCE / "configs" / "models" / f"{name}.json"
