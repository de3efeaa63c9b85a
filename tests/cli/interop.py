# SPDX-License-Identifier: Apache-2.0
"""Every form of recording and map that engines write: the right answer, or exit 2 with the next step."""
import json
import shutil
import struct
import zipfile

from cli import SOURCE, CliTest

RECORDINGS = SOURCE / "tests" / "unit" / "formats" / "recordings"
SHAPE = ("--ranks", 4, "--slots", 20)


def of(*names):
    return [RECORDINGS / name for name in names]


class Interop(CliTest):
    def balancedness(self, *words):
        return self.good("plan", *words, *SHAPE, "--format", "json").json()["result"]["metrics"]["balancedness"]

    def loads(self, *words):
        """Loads of every step of what `trace join` makes of the words."""
        lines = self.good("trace", "join", *words, "-q").out.splitlines()
        return [json.loads(line)["load"] for line in lines[1:]]

    def test_every_recording_gives_the_loads_that_were_recorded(self):
        plain = self.loads(*of("plain.json"))
        halves = [[[2 * (load // 2) for load in row] for row in step] for step in plain]
        table = {
            "vllm records repeated by ranks": (of("vllm_stats_repeated.jsonl"), plain[:3]),
            "vllm dump": (of("vllm_load_dump.json"), [[[100 * x for x in row] for row in step] for step in plain]),
            "gzip": (of("neutral_like.json.gz"), plain),
            "a pipe": (["-"], plain),
            "slots and their map": ([*of("ascend_moe_load_layers_ranks_slots.npy"), "--as", "physical", "--map",
                                     *of("p2l_4ranks.json")], plain[:1]),
            "megatron": (of("mcore_ep_loads_rank0.npz", "mcore_ep_loads_rank1.npz"), halves),
            "sglang passes of two ranks": (of("sglang_per_pass_0.pt", "sglang_per_pass_1.pt"), halves),
            "a folder of tensorrt-llm": (of("trtllm_expert_statistic"), halves),
        }
        for name, (words, expected) in table.items():
            with self.subTest(form=name):
                stdin = (RECORDINGS / "plain.json").read_text() if words == ["-"] else None
                lines = self.good("trace", "join", *words, "-q", stdin=stdin).out.splitlines()
                steps = [json.loads(line)["load"] for line in lines[1:]]
                if expected is halves:  # each rank's share was rounded
                    self.assertEqual(len(steps), len(plain))
                    for step, recorded in zip(steps, plain):
                        for row, other in zip(step, recorded):
                            self.assertTrue(all(abs(a - b) <= 2 for a, b in zip(row, other)), (row, other))
                else:
                    self.assertEqual(steps, expected)

    def test_counts_that_a_csv_leaves_out_are_zero(self):
        plain = self.loads(*of("plain.json"))
        ranks = of("expert_distribution_rank0.csv", "expert_distribution_rank1.csv")
        (step,) = self.loads(*ranks, "--experts", 16)
        for layer in range(4):
            for expert in range(16):
                listed = {line.rsplit(",", 1)[0] for rank in ranks for line in rank.read_text().splitlines()}
                written = sum(s[layer][expert] for s, rank in zip(plain, ranks)
                              if f"{layer + 3},{expert},{s[layer][expert]}" in rank.read_text().splitlines())
                self.assertEqual(step[layer][expert], written if f"{layer + 3},{expert}" in listed else 0)

    def test_what_a_file_does_not_say_is_asked_for_with_the_next_step(self):
        table = {
            "routed_experts.npy": "--experts",
            "routed_experts.npz": "--experts",
            "expert_distribution_rank0.csv": "--experts",
            "ascend_moe_load_layers_ranks_slots.npy": "--as loads",
            "ewma_float32.npy": "--scale-loads",
            "ascend_hotness_float.pt": "--scale-loads",
            "sglang_fractional.json": "--scale-loads",
            "p2l_4ranks.json": "--from",
            "trtllm_nested.yaml": "--from",
            "vllm_initial_expert_map.json": "--from",
        }
        for name, says in table.items():
            for command in (("plan", *SHAPE), ("trace", "info")):
                with self.subTest(form=name, command=command):
                    self.refused(*command, *of(name), says=says)

    @staticmethod
    def npy_bytes(shape, data, descr):
        head = str({"descr": descr, "fortran_order": False, "shape": tuple(shape)})
        head += " " * (63 - (10 + len(head)) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data

    def npy(self, name, shape, numbers, descr="<i8", letter="q"):
        data = struct.pack(f"<{len(numbers)}{letter}", *numbers)
        (self.folder / name).write_bytes(self.npy_bytes(shape, data, descr))
        return name

    def megatron(self, name, rank, steps, layers=(2, 3, 4, 6), group=(0, 1), counts=None, without=()):
        """Megatron's dump of one rank: loads are [layers, passes, experts]."""
        experts = len(steps[0][0])
        turned = [x for layer in range(len(layers)) for step in steps for x in step[layer]]
        arrays = {"loads": ((len(layers), len(steps), experts), turned), "layer_numbers": ((len(layers),), layers),
                  "forward_counts": ((len(layers),), counts or [len(steps)] * len(layers)),
                  "ep_group_ranks": ((len(group),), group), "ep_size": ((), [len(group)]),
                  "global_rank": ((), [rank]), "num_global_physical_experts": ((), [experts])}
        with zipfile.ZipFile(self.folder / name, "w") as archive:
            version = "mcore_ep_load_dump_v1"
            archive.writestr("dump_version.npy", self.npy_bytes((), version.encode("utf-32-le"), f"<U{len(version)}"))
            for key, (shape, numbers) in arrays.items():
                if key not in without:
                    archive.writestr(key + ".npy", self.npy_bytes(shape, struct.pack(f"<{len(numbers)}q", *numbers), "<i8"))
        return name

    def test_arrays_that_are_turned_are_asked_about_and_half_floats_are_read(self):
        plain = self.loads(*of("plain.json"))
        turned = [[[row[expert] for row in step] for expert in range(16)] for step in plain]
        flat = [load for step in turned for row in step for load in row]
        self.refused("plan", self.npy("turned.npy", (len(plain), 16, 4), flat), *SHAPE, says=("layers last", "--as loads"))
        self.refused("plan", self.npy("one.npy", (16, 4), flat[:64]), *SHAPE, says="layers last")
        rows = [[min(load, 2048) for load in row] for row in plain[0]]
        self.npy("half.npy", (4, 16), [float(load) for row in rows for load in row], "<f2", "e")
        self.assertEqual(self.loads("half.npy"), [[[round(struct.unpack("<e", struct.pack("<e", load))[0]) for load in row] for row in rows]])

    def test_layers_that_are_numbered_twice_are_refused(self):
        loads = [[[8, 6, 4, 2, 1, 1, 1, 1], [3] * 8]]
        self.refused("plan", self.trace("ids.jsonl", {"layer_ids": [3, 3]}, loads), "--ranks", 2, "--slots", 8,
                     says=("#/layer_ids/1", "layer 3 is there twice"))

    def test_a_draft_layer_goes_with_its_model(self):
        loads = [[[expert + layer + 1 for expert in range(256)] for layer in range(59)]]
        rows = [[[0] * 256] * 3 + loads[0]]
        self.trace("mtp.jsonl", {"num_layers": 59, "num_experts": 256, "layer_ids": list(range(3, 62)), "top_k": 8}, loads)
        self.write("rows.json", json.dumps({"logical_count": rows}))
        shape = ("--ranks", 32, "--slots", 288, "--model", "deepseek_v3_fp8", "--policy", "deepseek")
        for name in ("mtp.jsonl", "rows.json"):
            self.good("plan", name, *shape, "-o", "plan.json", "-q")
            self.assertEqual(self.load("plan.json")["result"]["placement"]["layer_ids"], list(range(3, 62)))
            text = self.good("export", "plan.json", "--to", "trtllm").out
            self.assertIn("\n  61: [", text)
            self.assertEqual(len(json.loads(self.good("export", "plan.json", "--to", "sglang").out)["physical_to_logical_map"]), 61)
            self.good("moves", "plan.json", "plan.json", "--cluster", "hgx_h200")

    def test_text_of_windows_is_read_or_named_wherever_text_is_read(self):
        plain = (RECORDINGS / "plain.json").read_text()
        self.good("plan", *of("plain.json"), *SHAPE, "-o", "plan.json", "-q")
        inputs = {"trace.json": plain, "map.json": (RECORDINGS / "vllm_initial_expert_map.json").read_text(),
                  "model.json": (self.folder / self.tiny_model()).read_text(), "plan.json": (self.folder / "plan.json").read_text()}
        readers = {"trace.json": ("plan", *SHAPE, "trace.json"), "map.json": ("export", "map.json", "--ranks", 2, "--to", "moeshift"),
                   "model.json": ("models", "model.json"), "plan.json": ("export", "plan.json", "--to", "moeshift")}
        for name, text in inputs.items():
            with self.subTest(input=name):
                self.write(name, text)
                expected = self.good(*readers[name]).out
                self.write(name, "\ufeff" + text)
                mended = self.good(*readers[name]).out
                if readers[name][0] != "plan":  # whose table has the time it took
                    self.assertEqual(mended, expected)
                (self.folder / name).write_bytes(text.encode("utf-16"))
                self.refused(*readers[name], says=(name, "iconv -f UTF-16"))

    def test_a_bare_list_of_steps_and_a_model_are_called_what_they_are(self):
        self.write("steps.json", json.dumps(self.loads(*of("plain.json"))))
        self.refused("plan", "steps.json", *SHAPE, says="logical_count")
        dump = (self.folder / of("vllm_load_dump.json")[0]).read_text()
        self.write("dumps.json", f"[{dump}, {dump}]")
        self.refused("plan", "dumps.json", *SHAPE, says=("dumps.json:1", "each object as a file of its own"))
        self.refused("plan", self.tiny_model(), *SHAPE, says="--model")

    def test_an_answer_to_what_was_asked_plans(self):
        self.good("plan", *of("routed_experts.npy"), "--experts", 16, *SHAPE)
        self.refused("plan", *of("routed_experts.npz"), "--experts", 16, *SHAPE, says="routed_experts/2/1: expert 1 is there twice")
        for name in ("ewma_float32.npy", "ascend_hotness_float.pt", "sglang_fractional.json"):
            with self.subTest(form=name):
                self.balancedness(*of(name), "--scale-loads", 1000)

    def test_several_traces_and_a_folder_mean_the_same_in_every_command(self):
        folder = self.folder / "ranks"
        folder.mkdir()
        names = ("sglang_per_pass_0.pt", "sglang_per_pass_1.pt")
        for name in names:
            shutil.copy(RECORDINGS / name, folder / name)
        (folder / "notes.txt").write_text("not a recording")
        one = self.balancedness(*of(*names))
        self.assertEqual(self.balancedness("ranks"), one)
        self.good("trace", "join", *of(*names), "-o", "joined.jsonl", "-q")
        self.assertEqual(self.balancedness("joined.jsonl"), one)
        compared = [self.good("compare", *words, *SHAPE, "--policies", "snake", "--format", "json").json()["result"]["rows"]
                    for words in (of(*names), ["ranks"], ["joined.jsonl"])]
        for rows in compared:
            for row in rows:
                row.pop("plan_seconds", None)
        self.assertEqual(compared[0], compared[1])
        self.assertEqual(compared[0], compared[2])

    def test_a_folder_is_read_in_the_order_of_the_numbers_in_its_names(self):
        loads = [[[step + 1, 3, 2, 1]] for step in range(12)]
        for folder in ("plain", "numbered"):
            (self.folder / folder).mkdir()
        for step, load in enumerate(loads):
            self.write(f"plain/part{step}.json", json.dumps({"logical_count": load}))
            self.write(f"numbered/t{step}.jsonl", '{"num_layers":1,"num_experts":4}\n'
                       + json.dumps({"step": step, "load": load}) + "\n")
        for folder in ("plain", "numbered"):
            lines = self.good("trace", "join", folder).out.splitlines()[1:]
            self.assertEqual([json.loads(line)["load"] for line in lines], loads)
        err = self.good("trace", "join", "numbered/t5.jsonl", "numbered/t2.jsonl").err
        self.assertIn("step numbers do not ascend", err)
        glob = sorted(f"plain/part{step}.json" for step in range(12))
        self.assertIn("part11.json is read before plain/part2.json", " ".join(self.good("trace", "join", *glob).err.split()))

    def test_running_totals_are_said_by_every_command_and_mended_by_convert(self):
        for words in (("plan", *of("cumulative.json"), *SHAPE), ("compare", *of("cumulative.json"), *SHAPE, "--policies", "snake")):
            self.assertIn("running totals", self.good(*words).err)
        self.good("trace", "convert", *of("cumulative.json"), "mended.jsonl", "--differences", "-q")
        self.assertEqual(self.loads("mended.jsonl"), self.loads(*of("plain.json")))
        self.assertNotIn("running totals", self.good("plan", "mended.jsonl", *SHAPE).err)
        err = " ".join(self.good("trace", "convert", *of("cumulative.json"), "mended.jsonl", "--differences").err.split())
        self.assertNotIn("writes running totals", err)
        self.assertIn("first step is a whole total", err)
        self.assertIn("counts fall in", self.good("trace", "convert", *of("plain.json"), "-", "--differences").err)

    def test_one_rank_of_several_is_said(self):
        self.assertIn("rank 0 alone", self.good("plan", *of("sglang_per_pass_0.pt"), *SHAPE).err)

    def test_a_folder_without_recordings_and_a_missing_one_are_refused(self):
        (self.folder / "empty").mkdir()
        self.refused("plan", "empty", *SHAPE, says="holds no recording")
        self.refused("plan", "nowhere", *SHAPE, says="nowhere")

    def test_select_keeps_layers_by_their_numbers_and_steps_by_position(self):
        self.good("trace", "join", *of("trtllm_expert_statistic"), "-o", "all.jsonl", "-q")
        lines = self.good("trace", "select", "all.jsonl", "--layers", "4:6", "--steps", "1:3", "-q").out.splitlines()
        header = json.loads(lines[0])
        self.assertEqual((header["num_layers"], header["layer_ids"]), (2, [4, 5]))
        whole = self.loads("all.jsonl")
        self.assertEqual([json.loads(line)["load"] for line in lines[1:]], [step[1:3] for step in whole[1:3]])
        self.refused("trace", "select", "all.jsonl", "--layers", "0:3", says="--layers 0:3")

    def test_files_of_ranks_that_do_not_belong_together_are_refused(self):
        plain = self.loads(*of("plain.json"))
        first = self.megatron("a.npz", 0, plain)
        second = self.megatron("b.npz", 1, plain)
        self.assertEqual(self.loads(first, second), [[[2 * x for x in row] for row in step] for step in plain])
        table = {
            "another group": (self.megatron("c.npz", 5, plain, group=(4, 5)), "expert-parallel group"),
            "other layers": (self.megatron("d.npz", 1, plain, layers=(2, 3, 4, 7)), "1, 2, 3, 6"),
            "passes that were not counted": (self.megatron("e.npz", 1, plain, counts=[len(plain) + 1] * 4), "forward_counts"),
            "a layer without passes": (self.megatron("f.npz", 1, plain, counts=[1, 1, 0, 1]), "layer 4 has counted no pass"),
            "a rank outside of its group": (self.megatron("g.npz", 2, plain), "rank 2"),
            "layers from 0 on": (self.megatron("i.npz", 1, plain, layers=(0, 1, 2, 3)), "count from 1"),
            "no layers": (self.megatron("h.npz", 1, plain, without=("layer_numbers",)), 'expected the array "layer_numbers"'),
        }
        for name, (path, says) in table.items():
            with self.subTest(case=name):
                self.refused("trace", "info", first, path, says=(path, says))
        stage = self.megatron("stage.npz", 5, plain, layers=(7, 8, 9, 10), group=(4, 5))
        lines = self.good("trace", "join", first, second, stage, "-q").out.splitlines()
        self.assertEqual(json.loads(lines[0])["layer_ids"], [1, 2, 3, 5, 6, 7, 8, 9])

    def test_layers_that_megatron_counts_from_one_go_out_as_everybody_else_counts_them(self):
        plain = self.loads(*of("plain.json"))
        files = [self.megatron(f"{rank}.npz", rank, plain, layers=(4, 5, 6, 7)) for rank in (0, 1)]
        said = self.good("plan", *files, "--slots", 20, "-o", "plan.json").err
        self.assertEqual(said.count("Megatron counts layers from 1: its layers 4 to 7 are 3 to 6"), 1, said)
        self.assertEqual(self.load("plan.json")["result"]["placement"]["layer_ids"], [3, 4, 5, 6])
        text = self.good("export", "plan.json", "--to", "trtllm").out
        self.assertEqual([line.split(":")[0].strip() for line in text.splitlines() if line.startswith("  ")], ["3", "4", "5", "6"])
        self.assertEqual(json.loads(self.good("trace", "join", *files, "-q").out.splitlines()[0])["layer_ids"], [3, 4, 5, 6])

    def test_ranks_of_a_group_without_a_file_are_said(self):
        plain = self.loads(*of("plain.json"))
        group = (0, 1, 2, 3)
        names = [self.megatron(f"{rank}.npz", rank, plain, group=group) for rank in group]
        self.assertNotIn("no file", self.good("trace", "info", *names).err)
        self.assertIn("ranks 1, 3 have no file", self.good("trace", "info", names[0], names[2]).err)
        shutil.copy(self.folder / names[0], self.folder / "again.npz")
        self.assertIn("rank 0 alone", self.good("trace", "info", names[0], "again.npz").err)
        self.assertNotIn("alone", self.good("trace", "info", self.megatron("all.npz", 0, plain, group=(0,))).err)

    def test_what_lies_beside_an_array_in_its_archive_is_read_or_named(self):
        plain = self.loads(*of("plain.json"))
        flat = [load for step in plain for row in step for load in row]
        def archive(name, **arrays):
            with zipfile.ZipFile(self.folder / name, "w") as file:
                for key, (shape, numbers) in {"loads": ((len(plain), 4, 16), flat), **arrays}.items():
                    file.writestr(key + ".npy", self.npy_bytes(shape, struct.pack(f"<{len(numbers)}q", *numbers), "<i8"))
            return name
        done = self.good("trace", "join", archive("ids.npz", layer_ids=((4,), [3, 5, 7, 9])))
        self.assertEqual((json.loads(done.out.splitlines()[0])["layer_ids"], done.err), ([3, 5, 7, 9], ""))
        self.refused("trace", "info", archive("few.npz", layer_ids=((3,), [3, 5, 7])), says="3 layer numbers")
        self.refused("trace", "info", archive("twice.npz", layer_ids=((4,), [3, 3, 5, 7])), says="every layer once")
        self.refused("trace", "info", archive("experts.npz", num_experts=((), [8])), says=("num_experts", "expected 16"))
        self.assertIn("loads is read, not steps", self.good("trace", "info", archive("steps.npz", steps=((6,), range(6)))).err)

    def test_a_rank_without_a_file_is_said(self):
        for rank in (0, 1, 3):
            self.write(f"expert_distribution_rank{rank}.csv", "layer_id,expert_id,count\n3,1,7\n3,2,5\n")
        names = [f"expert_distribution_rank{rank}.csv" for rank in (0, 1, 3)]
        self.assertIn("rank 2 has no file", self.good("trace", "info", *names, "--experts", 4).err)
        self.assertNotIn("no file", self.good("trace", "info", *names[:2], "--experts", 4).err)

    def test_devices_of_mindie_are_all_there_and_in_the_order_of_nodes(self):
        for node, devices in (("node2", (0, 1)), ("node10", (0, 1))):
            (self.folder / "m" / node).mkdir(parents=True)
            for device in devices:
                self.write(f"m/{node}/decode_{device}.csv", f"{10 * int(node[4:]) + device},7\n{device + 1},9\n")
        paths = [f"m/{node}/decode_{device}.csv" for node in ("node10", "node2") for device in (0, 1)]
        self.assertEqual(self.loads(*paths), [[[20, 7, 21, 7, 100, 7, 101, 7], [1, 9, 2, 9, 1, 9, 2, 9]]])
        self.refused("trace", "info", *paths[:3], "m/node2/decode_1.csv".replace("1.", "3."), says="decode_3.csv")
        shutil.copy(self.folder / paths[1], self.folder / "decode_2.csv")
        shutil.copy(self.folder / paths[0], self.folder / "decode_0.csv")
        self.refused("trace", "info", "decode_0.csv", "decode_2.csv", says="the file of device 1 is missing")

    def test_tokens_that_choose_one_expert_are_routes(self):
        ids = [(token * 7 + layer) % 16 for token in range(40) for layer in range(4)]
        name = self.npy("top1.npy", (40, 4, 1), ids)
        self.refused("plan", name, *SHAPE, says="--experts")
        (step,) = self.loads(name, "--experts", 16)
        self.assertEqual([sum(row) for row in step], [40] * 4)
        self.assertEqual(step[1][8], sum(1 for token in range(40) if (token * 7 + 1) % 16 == 8))

    def test_padding_among_routes_is_called_that(self):
        ids = [(token + layer + k * 5) % 16 for token in range(40) for layer in range(4) for k in range(2)]
        ids[20:22] = [-1, -1]
        name = self.npy("padded.npy", (40, 4, 2), ids)
        self.refused("plan", name, *SHAPE, "--experts", 16, says=("placement", "cut off padding"))
        self.refused("plan", name, *SHAPE, "--experts", 16, "--as", "routing", says="cut off padding")
        self.write("routes.jsonl", '{"type":"meta","layers_logged":[3,4],"top_k":2}\n{"layer":9,"topk_ids":[1,2]}\n')
        self.refused("plan", "routes.jsonl", *SHAPE, "--experts", 16, says=("routes.jsonl:2#/layer", "layers_logged"))

    def dump(self, name, *changes):
        """vLLM's dump as lines: a header, two snapshots and whatever headers `changes` make."""
        document = json.loads((RECORDINGS / "vllm_load_dump.json").read_text())
        head = {key: value for key, value in document.items() if key != "snapshots"}
        lines = [head, document["snapshots"][0]]
        for change in changes:
            lines += [{**head, **change}, document["snapshots"][1]]
        return self.write(name, "\n".join(map(json.dumps, lines)))

    def test_headers_that_contradict_the_map_or_each_other_are_refused(self):
        self.good("trace", "info", self.dump("same.jsonl", {}))
        self.refused("trace", "info", self.dump("ranks.jsonl", {"world_size": 2}), says=("#/world_size", "expected 4"))
        document = json.loads((RECORDINGS / "vllm_load_dump.json").read_text())
        document["num_logical_experts"] += 1
        self.write("experts.json", json.dumps(document))
        self.refused("trace", "info", "experts.json", says=("17 experts", "got 16"))

    def test_steps_of_ranks_that_do_not_ascend_are_put_in_order_when_told(self):
        plain = self.loads(*of("plain.json"))
        for rank in (0, 1):
            order = list(range(len(plain)))[::-1 if rank else 1]
            lines = [json.dumps({"num_layers": 4, "num_experts": 16})]
            lines += [json.dumps({"step": step, "load": plain[step]}) for step in order]
            self.write(f"r{rank}.jsonl", "\n".join(lines))
        self.refused("trace", "join", "r0.jsonl", "r1.jsonl", "--sum-ranks", says="--sort")
        self.assertEqual(self.loads("r0.jsonl", "r1.jsonl", "--sum-ranks", "--sort"),
                         [[[2 * x for x in row] for row in step] for step in plain])

    def test_a_list_for_all_layers_and_one_without_ranks_are_as_the_other_file_says(self):
        row = [slot % 16 for slot in range(20)]
        self.write("one.json", json.dumps(row))
        self.good("plan", *of("plain.json"), *SHAPE, "--from", "one.json", "-o", "plan.json", "-q")
        self.refused("export", "one.json", "--ranks", 4, "--to", "vllm", says="--model")
        self.tiny_model()
        model = self.load("model.json")
        model.update(num_layers=4, num_experts=16, layer_ids=[0, 1, 2, 3])
        self.write("model.json", json.dumps(model))
        for first, second in (("one.json", "plan.json"), ("plan.json", "one.json")):
            said = self.good("moves", first, second, "--cluster", "host", "--model", "model.json").err
            self.assertIn("4 ranks as", said)

    def test_a_plan_made_from_a_numbered_one_keeps_the_numbers(self):
        loads = self.loads(*of("plain.json"))
        head = {"num_layers": 4, "num_experts": 16, "top_k": None}
        self.trace("numbered.jsonl", {**head, "layer_ids": [3, 5, 7, 11], "num_hidden_layers": 12}, loads)
        self.trace("silent.jsonl", head, loads)
        self.good("plan", "numbered.jsonl", *SHAPE, "-o", "old.json", "-q")
        said = self.good("plan", "silent.jsonl", *SHAPE, "--from", "old.json", "-o", "new.json").err
        self.assertIn("layers 3 to 11 as the plan in force numbers them", said)
        placement = self.load("new.json")["result"]["placement"]
        self.assertEqual((placement["layer_ids"], placement["num_hidden_layers"]), ([3, 5, 7, 11], 12))

    def test_a_balancer_as_json_or_in_another_file_is_told(self):
        row = [slot % 16 for slot in range(20)]
        balancer = {"num_slots": 20, "layer_updates_per_iter": 0, "initial_global_assignments": {"11": row, "3": row[::-1]}}
        self.write("balancer.json", json.dumps(balancer))
        self.write("options.json", json.dumps({"moe_expert_parallel_size": 4, "moe_config": {"load_balancer": balancer}}))
        for name, words in (("balancer.json", ("--ranks", 4)), ("options.json", ())):
            self.good("export", name, *words, "--to", "moeshift", "-o", "back.json", "-q")
            placement = self.load("back.json")["result"]["placement"]
            self.assertEqual((placement["num_ranks"], placement["layer_ids"]), (4, [3, 11]))
            self.assertEqual(placement["physical_to_logical"], [row[::-1], row])
        self.write("path.yaml", "moe_config:\n  load_balancer: balancer.yaml\n")
        self.refused("export", "path.yaml", "--ranks", 4, "--to", "npy", says=("path.yaml:2", "'balancer.yaml'"))

    def test_errors_about_layers_have_the_models_numbers(self):
        self.tiny_model()
        model = {**self.load("model.json"), "layer_ids": [3, 7], "num_hidden_layers": 8}
        self.write("model.json", json.dumps(model))
        self.trace("numbered.jsonl", {"layer_ids": [3, 7]})
        words = ("--ranks", 4, "--slots", 8, "--cluster", "host", "--model", "model.json")
        self.good("plan", "numbered.jsonl", *words, "--policy", "static", "-o", "old.json", "-q")
        self.good("plan", "numbered.jsonl", *words, "--policy", "balanced", "-o", "new.json", "-q")
        for command in (("moves",), ("execute", "--backend", "host")):
            self.refused(command[0], "old.json", "new.json", *command[1:], "--dead", 1, code=1, says=("layer 3: expert", "layer 7: expert"))
        self.refused("simulate", "numbered.jsonl", *words, "--fail-rank", "1@1", code=1, says="layer 3: the ranks that are left")
        broken = self.load("old.json")
        broken["result"]["placement"]["physical_to_logical"][1][5] = 0
        self.write("broken.json", json.dumps(broken))
        for command in ("simulate", "diagnose"):
            self.refused(command, "numbered.jsonl", *words, "--initial", "broken.json", says="layer 7")
