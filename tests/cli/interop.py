# SPDX-License-Identifier: Apache-2.0
"""Every form of recording and map that engines write: the right answer, or exit 2 with the next step."""
import json
import shutil
import struct

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

    def npy(self, name, shape, numbers, descr="<i8", letter="q"):
        head = str({"descr": descr, "fortran_order": False, "shape": tuple(shape)})
        head += " " * (63 - (10 + len(head)) % 64) + "\n"
        (self.folder / name).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
                                         + struct.pack(f"<{len(numbers)}{letter}", *numbers))
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

    def test_a_bare_list_of_steps_and_a_model_are_called_what_they_are(self):
        self.write("steps.json", json.dumps(self.loads(*of("plain.json"))))
        self.refused("plan", "steps.json", *SHAPE, says="logical_count")
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

    def test_running_totals_are_said_by_every_command_and_mended_by_convert(self):
        for words in (("plan", *of("cumulative.json"), *SHAPE), ("compare", *of("cumulative.json"), *SHAPE, "--policies", "snake")):
            self.assertIn("running totals", self.good(*words).err)
        self.good("trace", "convert", *of("cumulative.json"), "mended.jsonl", "--differences", "-q")
        self.assertEqual(self.loads("mended.jsonl"), self.loads(*of("plain.json")))
        self.assertNotIn("running totals", self.good("plan", "mended.jsonl", *SHAPE).err)

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
