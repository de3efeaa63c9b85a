# SPDX-License-Identifier: Apache-2.0
"""Recordings of other systems: SGLang's recorder files and the load history of ADRS."""
import fractions
import json
import os
import struct
import warnings
import zipfile

import torch_file
from cli import LOADS, CliTest
from torch_file import Tensor


class Recordings(CliTest):
    def steps(self, name):
        """(step, loads) of every step that a conversion finds."""
        self.good("trace", "convert", name, "neutral.jsonl", "-q")
        lines = (self.folder / "neutral.jsonl").read_text().splitlines()[1:]
        return [(line["step"], line["load"]) for line in map(json.loads, lines)]

    def save(self, name, value, **how):
        torch_file.save(self.folder / name, value, **how)
        return name

    def test_the_stat_file_of_sglang_is_read_and_its_unfilled_rows_are_left_out(self):
        empty = [[0] * 8, [0] * 8]
        for dtype in ("Int", "Long", "Float"):
            for protocol in (2, 4):
                self.save("stat.pt", {"rank": 0, "logical_count": Tensor([LOADS[0], empty, LOADS[1]], dtype),
                                      "average_utilization_rate_over_window": None}, protocol=protocol)
                self.assertEqual(self.steps("stat.pt"), [(0, LOADS[0]), (2, LOADS[1])])

    def test_short_floats_are_read_as_the_numbers_they_are(self):
        rows = [[[2048.0, 1.0, 0.0, 512.0], [1024.0, 1024.0, 512.0, 1.0]]]
        for dtype in ("Half", "BFloat16"):
            self.save("short.pt", {"logical_count": Tensor(rows, dtype)})
            self.assertEqual(self.steps("short.pt"), [(0, [[int(x) for x in row] for row in rows[0]])])

    def test_a_bare_tensor_is_one_step_or_many(self):
        self.save("one.pt", Tensor(LOADS[0]))
        self.assertEqual(self.steps("one.pt"), [(0, LOADS[0])])
        self.save("many.pt", Tensor(LOADS))
        self.assertEqual(self.steps("many.pt"), [(0, LOADS[0]), (1, LOADS[1])])

    def records(self, counts, passes, **more):
        return {"records": [{"forward_pass_id": number, "rank": 0, "gatherer_key": "primary",
                             "global_physical_count": Tensor(count, "Int"), **more}
                            for number, count in zip(passes, counts)],
                "last_physical_to_logical_map": Tensor([[0, 1, 2, 1, 0, -1]])}

    def test_passes_are_summed_over_replicas_and_over_batches_that_overlap(self):
        counts = [[[1, 2, 3, 4, 5, 0]], [[1, 1, 1, 1, 1, 0]], [[0, 0, 7, 0, 0, 0]]]
        self.save("passes.pt", self.records(counts, [4, 4, 9]))
        self.assertEqual(self.steps("passes.pt"), [(4, [[8, 8, 4]]), (9, [[0, 0, 7]])])

    SLOTS = [[0, 1, 2, 3, 0, 2], [3, 2, 1, 0, 1, 1]]
    TOKENS = [[[4, 2, 3, 1, 5, 6], [1, 2, 3, 4, 5, 6]], [[1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2]]]
    FOLDED = [[[9, 2, 9, 1], [4, 14, 2, 1]], [[2, 1, 2, 1], [2, 6, 2, 2]]]

    def npz(self, name, **arrays):
        with zipfile.ZipFile(self.folder / name, "w") as archive:
            for key, rows in arrays.items():
                shape, flat = [], rows
                while isinstance(flat, list):
                    shape.append(len(flat))
                    flat = flat[0]
                flat = rows if isinstance(rows, list) else [rows]
                while isinstance(flat[0], list):
                    flat = [x for row in flat for x in row]
                head = str({"descr": "<i8", "fortran_order": False, "shape": tuple(shape)}) + "\n"
                archive.writestr(key + ".npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                                 struct.pack(f"<{len(flat)}q", *flat))
        return name

    def test_loads_of_slots_are_summed_by_the_map_beside_them(self):
        for loads in ("expert_load", "loads", "global_physical_count", "tokens"):
            for slots in ("physical_to_logical_map", "p2l_map", "phy2log", "expert_map"):
                self.npz("slots.npz", **{loads: self.TOKENS, slots: self.SLOTS, "num_ranks": 2, "top_k": 2})
                self.assertEqual([load for _, load in self.steps("slots.npz")], self.FOLDED, (loads, slots))
        by_rank = [[[row[:3], row[3:]] for row in step] for step in self.TOKENS]
        self.npz("slots.npz", loads=by_rank, p2l_map=[[row[:3], row[3:]] for row in self.SLOTS])
        self.assertEqual([load for _, load in self.steps("slots.npz")], self.FOLDED)
        self.npz("slots.npz", loads=self.TOKENS, p2l_map=self.SLOTS, num_ranks=2)
        run = self.good("plan", "slots.npz", "-o", "plan.json")
        for line in ("loads has loads of slots", "ranks 2", "slots 6"):
            self.assertIn(line, " ".join(run.err.split()))
        for loads in ("expert_load", "loads"):
            self.save("slots.pt", {loads: Tensor(self.TOKENS), "physical_to_logical_map": Tensor(self.SLOTS)})
            self.assertEqual([load for _, load in self.steps("slots.pt")], self.FOLDED)

    def test_loads_beside_a_map_that_may_be_of_experts_or_of_slots_are_asked_about(self):
        swapped, tokens = [[1, 0, 2], [0, 2, 1]], [[[4, 2, 3], [3, 3, 3]]]
        self.npz("l.npz", loads=tokens, p2l_map=swapped)
        self.refused("trace", "info", "l.npz", says=("p2l_map", "--as loads", "--as physical"))
        self.assertIn("[[2,4,3],[3,3,3]]", self.good("trace", "join", "l.npz", "--as", "physical").out)
        run = self.good("trace", "join", "l.npz", "--as", "loads")
        self.assertIn("[[4,2,3],[3,3,3]]", run.out)
        self.assertIn("not p2l_map", run.err)
        self.npz("l.npz", logical_count=tokens, p2l_map=swapped)
        self.assertIn("[[4,2,3],[3,3,3]]", self.good("trace", "join", "l.npz").out)
        self.npz("l.npz", expert_load=tokens, p2l_map=swapped)
        self.assertIn("[[2,4,3],[3,3,3]]", self.good("trace", "join", "l.npz").out)

    def test_a_map_with_other_rows_than_the_loads_is_refused_unless_their_numbers_say_which(self):
        dense = [[0, 1, 2, 3, 0, 1]] * 3
        for name in ("expert_load", "loads"):
            for rows in (dense + self.SLOTS, self.SLOTS[:1], dense):
                self.npz("l.npz", **{name: self.TOKENS, "physical_to_logical_map": rows})
                self.refused("trace", "info", "l.npz", says=(f"{len(rows)} layers x 6 slots", "2 x 6", "layer_ids"))
                self.save("l.pt", {name: Tensor(self.TOKENS), "physical_to_logical_map": Tensor(rows)})
                self.refused("trace", "info", "l.pt", says=f"{len(rows)} layers x 6 slots")
        self.npz("l.npz", expert_load=self.TOKENS, p2l_map=dense + self.SLOTS, layer_ids=[3, 4])
        self.assertIn("layers 3, 4 are read", self.good("trace", "join", "l.npz").err)
        self.assertEqual([load for _, load in self.steps("l.npz")], self.FOLDED)
        self.npz("l.npz", expert_load=self.TOKENS, p2l_map=dense + self.SLOTS, layer_ids=[3, 9])
        self.refused("trace", "info", "l.npz", says="5 layers x 6 slots")
        # As many slots as experts: by their name they are slots, or nobody knows.
        swapped = [[1, 0, 2], [0, 2, 1], [2, 1, 0]]
        for name in ("expert_load", "loads"):
            self.npz("l.npz", **{name: [[[4, 2, 3], [3, 3, 3]]], "p2l_map": swapped})
            self.refused("trace", "info", "l.npz", says=("3 layers x 3 slots", "--as loads"))
        self.npz("l.npz", logical_count=[[[4, 2, 3], [3, 3, 3]]], p2l_map=swapped)
        self.assertIn("[[4,2,3],[3,3,3]]", self.good("trace", "join", "l.npz").out)

    def test_a_dictionary_of_tensors_is_held_to_the_map_and_the_layers_in_it(self):
        more = {"physical_to_logical_map": Tensor([[0, 1, 2, 3, 0, 1]] * 3 + self.SLOTS)}
        for ids in ([3, 4], Tensor([3, 4])):
            self.save("l.pt", {"expert_load": Tensor(self.TOKENS), "layer_ids": ids, **more})
            self.assertEqual([load for _, load in self.steps("l.pt")], self.FOLDED)
            self.assertIn('"layer_ids":[3,4]', (self.folder / "neutral.jsonl").read_text().replace(" ", ""))
        for ids in ([3, 3], [3], ["a", 4], 5, [-1, 4]):
            self.save("l.pt", {"expert_load": Tensor(self.TOKENS), "layer_ids": ids, **more})
            self.refused("trace", "info", "l.pt", says="l.pt#/")
        for name in ("expert_map", "placement", "slot_experts"):
            self.save("l.pt", {"expert_load": Tensor(self.TOKENS), name: Tensor(self.SLOTS)})
            self.assertEqual([load for _, load in self.steps("l.pt")], self.FOLDED)
        for maps in (("logical_to_physical_map",), ("expert_map", "old_map")):
            self.save("l.pt", {"expert_load": Tensor(self.TOKENS), **{name: Tensor(self.SLOTS) for name in maps}})
            self.refused("trace", "info", "l.pt", says=("l.pt#/expert_load", "--as physical"))
            self.good("trace", "info", "l.pt", "--as", "loads")

    def test_a_map_of_other_layers_than_the_loads_name_is_refused(self):
        plan = {"num_experts": 4, "num_ranks": 2, "layer_ids": [4, 3], "physical_to_logical": self.SLOTS[::-1]}
        self.write("p.json", json.dumps({"schema": "moeshift.plan/2", "result": {"placement": plan}}))
        words = ("trace", "join", "l.npz", "--as", "physical", "--map", "p.json")
        self.npz("l.npz", loads=self.TOKENS, layer_ids=[3, 4])
        self.assertEqual(json.loads(self.good(*words).out.splitlines()[1])["load"], self.FOLDED[0])
        self.npz("l.npz", loads=[step[::-1] for step in self.TOKENS], layer_ids=[4, 3])
        self.assertEqual(json.loads(self.good(*words).out.splitlines()[1])["load"], self.FOLDED[0][::-1])
        self.npz("l.npz", loads=self.TOKENS, layer_ids=[3, 5])
        self.refused(*words, says="no layer 5")

    def test_an_archive_with_an_array_twice_is_refused(self):
        self.npz("l.npz", loads=LOADS)
        entry = zipfile.ZipFile(self.folder / "l.npz").read("loads.npy")
        with warnings.catch_warnings(), zipfile.ZipFile(self.folder / "l.npz", "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr("loads.npy", entry)
        self.refused("trace", "info", "l.npz", says=("l.npz#loads.npy", "twice"))

    def test_routes_and_the_top_k_beside_them_must_agree(self):
        tokens = [[[token % 8, (token + 1) % 8]] for token in range(16)]
        self.npz("r.npz", routed_experts=tokens, num_experts=8, top_k=2)
        self.good("trace", "info", "r.npz")
        self.npz("r.npz", routed_experts=tokens, num_experts=8, top_k=3)
        self.refused("trace", "info", "r.npz", says=("2 experts", "top_k", "3"))

    def test_loads_that_contradict_the_map_beside_them_are_refused(self):
        self.npz("l.npz", logical_count=self.TOKENS, p2l_map=self.SLOTS)
        self.refused("trace", "info", "l.npz", says=("a column for each slot", "--as physical"))
        self.save("l.pt", {"logical_count": Tensor(self.TOKENS), "physical_to_logical_map": Tensor(self.SLOTS)})
        self.refused("trace", "info", "l.pt", says=("l.pt#/logical_count", "a column for each slot"))
        self.npz("l.npz", loads=self.TOKENS, p2l_map=self.SLOTS[:1])
        self.refused("trace", "info", "l.npz", says=("p2l_map", "1 layers x 6 slots", "2 x 6"))
        self.npz("l.npz", loads=self.TOKENS, p2l_map=[[0, 1, 2, 3, 0], [3, 2, 1, 0, 1]])
        self.refused("trace", "info", "l.npz", says=("neither of the experts nor of the slots of p2l_map", "2 layers x 5 slots"))
        self.npz("l.npz", loads=self.TOKENS, p2l_map=[self.SLOTS, self.SLOTS])
        self.refused("trace", "info", "l.npz", says=("a map per step", "--map"))
        self.npz("l.npz", loads=self.TOKENS, p2l_map=self.SLOTS, expert_map=self.SLOTS)
        self.refused("trace", "info", "l.npz", says=("the maps p2l_map, expert_map", "--map"))
        self.npz("l.npz", loads=self.TOKENS, logical_to_physical_map=[[[0, 4], [1, -1], [2, 5], [3, -1]]] * 2)
        self.refused("trace", "info", "l.npz", says=("logical_to_physical_map", "--map"))

    def of_rank(self, name, rank, slots, passes=(1, 2)):
        records = [{"forward_pass_id": number, "rank": r, "global_physical_count": Tensor([[1, 2, 3, 4]], "Int")}
                   for r in (rank if isinstance(rank, tuple) else (rank,)) for number in passes]
        return self.save(name, {"records": records, "last_physical_to_logical_map": Tensor([slots])})

    def test_passes_of_ranks_whose_maps_differ_are_refused(self):
        a, b = self.of_rank("a.pt", 0, [0, 1, 2, 0]), self.of_rank("b.pt", 1, [2, 1, 0, 0])
        for more in ((), ("--sort",)):
            self.refused("trace", "join", a, b, *more, says=("b.pt", "step 1 has another map of slots"))
        self.of_rank("b.pt", 1, [0, 1, 2, 0])
        self.assertIn("[[10,4,6]]", self.good("trace", "join", a, b).out)

    def test_a_map_that_changed_between_dumps_of_a_rank_is_said(self):
        a, b = self.of_rank("a.pt", 0, [0, 1, 2, 0]), self.of_rank("b.pt", 0, [2, 1, 0, 0], (3, 4))
        run = self.good("trace", "join", a, b)
        self.assertIn("the map changed before b.pt was written", run.err)
        self.assertIn("[[7,2,1]]", run.out)

    def test_records_of_several_ranks_in_one_file_are_added_up_pass_by_pass(self):
        mix = self.of_rank("mix.pt", (0, 1), [0, 1, 2, 0])
        run = self.good("trace", "join", mix)
        self.assertIn("records of ranks 0, 1 are added up", run.err)
        self.assertNotIn("alone", run.err)
        self.assertEqual(run.out.count("[[10,4,6]]"), 2)
        other = self.of_rank("other.pt", (2, 4), [0, 1, 2, 0])
        run = self.good("trace", "join", mix, other)
        self.assertEqual(run.out.count("[[20,8,12]]"), 2)
        self.assertIn("rank 3 has no file", run.err)
        self.assertIn("no tokens of ranks 0, 1, 3", self.good("trace", "join", other).err)
        self.refused("trace", "join", mix, self.of_rank("one.pt", 1, [0, 1, 2, 0]), says=("one.pt", "ranks 1", "ranks 0, 1"))

    def test_load_in_a_slot_that_holds_nothing_is_refused(self):
        self.refused("trace", "join", self.of_rank("neg.pt", 0, [0, 1, 2, -1]),
                     says=("neg.pt#/records/0/global_physical_count/0/3", "empty"))

    def bundle(self, gates, sources=(0, 1, 2), **more):
        rows = {"source_rank": Tensor(list(sources), "Short"), "topk_experts": Tensor([[0, 1], [2, 3], [4, 7]], "Short"),
                "count": Tensor([1, 2, 3], "Short")}
        layers = [{"gate": gate, **rows} for gate in gates]
        self.save("bundle.pt", {"format": "sglang.moe_bundle_trace.v1", "num_ranks": 4, "top_k": 2, "layers": layers, **more})
        return "bundle.pt", "--experts", 8

    def bundle_header(self, gates):
        run = self.good("trace", "join", *self.bundle(gates))
        header, step = map(json.loads, run.out.splitlines())
        return header.get("layer_ids"), step["load"], run.err

    def test_a_bundle_numbers_its_layers_as_its_gates_do(self):
        load = [1, 1, 2, 2, 3, 0, 0, 3]
        for gates in ([f"model.layers.{i}.mlp.gate" for i in (10, 3, 4)], [f"transformer.h.{i}.moe" for i in (3, 4, 10)],
                      [f"layers.{i}.experts.0.gate" for i in (3, 4, 10)]):
            ids, loads, err = self.bundle_header(gates)
            self.assertEqual((ids, loads), ([3, 4, 10], [load] * 3))
            self.assertNotIn("gates", err)
        self.good("plan", *self.bundle([f"model.layers.{i}.mlp.gate" for i in (3, 4)]), "--ranks", 4, "--slots", 8,
                  "-o", "plan.json")
        self.assertIn("\n  3: [", self.good("export", "plan.json", "--to", "trtllm").out)
        draft = ["model.layers.3.mlp.gate", "model.mtp.layers.0.mlp.gate"]
        for gates in (["gate", "gate"], [0, 1], draft):
            ids, loads, err = self.bundle_header(gates)
            self.assertEqual((ids, loads), (None, [load] * 2))
            self.assertIn("gates do not name the layers", err)

    def test_a_bundle_that_contradicts_itself_is_refused(self):
        gates = ["model.layers.3.mlp.gate"]
        self.refused("trace", "info", *self.bundle(gates, (0, 1, 7)),
                     says=("bundle.pt#/layers/0/source_rank/2", "[0, 3]"))
        self.refused("trace", "info", *self.bundle(gates * 2), says=("#/layers/1", "layer 3 was there before"))
        self.refused("trace", "info", *self.bundle(gates, top_k=4), says=("#/layers/0/topk_experts", "expected 4 experts"))

    def test_the_map_of_a_recording_is_a_placement(self):
        self.save("passes.pt", self.records([[[1, 2, 3, 4, 5, 0]]], [1]))
        sglang = ("--format", "sglang", "--num-hidden-layers", 1)
        self.refused("export", "passes.pt", "--ranks", 2, *sglang, says=("slot 5 holds nothing", "--fill"))
        text = self.good("export", "passes.pt", "--ranks", 2, *sglang, "--fill").out
        self.assertEqual(json.loads(text), {"physical_to_logical_map": [[0, 1, 2, 1, 0, 2]]})
        self.save("map.pt", {"physical_to_logical_map": Tensor([[1, 0, 2, 0]])})
        text = self.good("export", "map.pt", "--ranks", 2, *sglang).out
        self.assertEqual(json.loads(text), {"physical_to_logical_map": [[1, 0, 2, 0]]})

    def test_objects_of_unknown_classes_are_neither_made_nor_in_the_way(self):
        self.save("passes.pt", self.records([[[1, 2, 3, 4, 5, 0]]], [1], misc_objects=[fractions.Fraction(1, 3)]))
        self.assertEqual(self.steps("passes.pt"), [(1, [[6, 6, 3]])])

    def test_a_pickle_that_would_run_a_command_runs_nothing(self):
        class Evil:
            def __reduce__(self):
                return os.system, ("touch ran",)

        self.save("evil.pt", {"logical_count": Evil()})
        self.refused("trace", "info", "evil.pt", says=("evil.pt#/logical_count", "expected a tensor"))
        self.save("evil.pt", {"logical_count": Tensor(LOADS[0]), "other": Evil()})
        self.assertEqual(self.steps("evil.pt"), [(0, LOADS[0])])
        self.assertNotIn("ran", self.files())

    def test_tensors_that_are_no_loads_are_refused_where_they_stand(self):
        for rows, says in (([[1, 2], [3, -4]], "#/logical_count/1/1"), ([[1, 2.5]], "#/logical_count/0/1"),
                           ([1, 2], "#/logical_count"), ([[[[1]]]], "#/logical_count")):
            self.save("bad.pt", {"logical_count": Tensor(rows, "Double")})
            self.refused("trace", "info", "bad.pt", says=("bad.pt" + says, "expected"))

    def test_a_file_that_is_cut_off_or_damaged_is_refused_and_a_compressed_one_is_read(self):
        self.save("good.pt", {"logical_count": Tensor(LOADS)})
        whole = (self.folder / "good.pt").read_bytes()
        for size in range(4, len(whole), 97):
            (self.folder / "cut.pt").write_bytes(whole[:size])
            self.refused("trace", "info", "cut.pt", says="cut.pt")
        for place in range(0, len(whole), 23):
            (self.folder / "flipped.pt").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1:])
            self.assertIn(self.run_program("trace", "info", "flipped.pt").code, (0, 2))
        self.save("packed.pt", {"logical_count": Tensor(LOADS)}, compression=zipfile.ZIP_DEFLATED)
        self.assertEqual(self.steps("packed.pt"), [(0, LOADS[0]), (1, LOADS[1])])

    def test_a_zip_of_something_else_is_refused(self):
        with zipfile.ZipFile(self.folder / "other.zip", "w") as archive:
            archive.writestr("letter.txt", "hello")
        self.refused("trace", "info", "other.zip", says=("other.zip", "torch.save()"))

    def test_the_load_history_of_adrs_is_read_step_by_step_whatever_else_is_in_it(self):
        history = {"note": {"a": ["]", "}\\\""]}, "load_history": [{"logical_expert_load": load} for load in LOADS], "n": 2}
        for indent in (None, 2):
            self.write("history.json", json.dumps(history, indent=indent))
            self.assertEqual(self.steps("history.json"), [(0, LOADS[0]), (1, LOADS[1])])

    def test_a_load_history_survives_a_round_trip(self):
        self.good("trace", "convert", self.trace(), "history.json", "--to", "adrs", "-q")
        self.assertEqual(self.load("history.json"), {"load_history": [{"logical_expert_load": load} for load in LOADS]})
        self.assertEqual(self.steps("history.json"), [(0, LOADS[0]), (1, LOADS[1])])

    def test_a_load_history_that_is_wrong_is_refused_where_it_is(self):
        good = json.dumps({"load_history": [{"logical_expert_load": load} for load in LOADS]})
        for text, says in ((good.replace("[8, 6", "[-8, 6"), "#/load_history/0/logical_expert_load/0/0"),
                           (good.replace("6, 8]", "6]"), "#/load_history/1/logical_expert_load/0"),
                           (good.replace("logical_expert_load", "load", 1), "#/load_history/0"),
                           ('{"load_history": []}', "#/load_history"), (good + "x", ""), (good[:-1] + ', "load_history": 1}', ""),
                           *((good[:size], "") for size in range(20, len(good), 11))):
            self.write("bad.json", text)
            self.refused("trace", "info", "bad.json", says=("bad.json" + says,))
