# SPDX-License-Identifier: Apache-2.0
"""simulate: what scripts rely on, ranks that fail and join, the picture, what it warns of."""
import json

import cli
from cli import CliTest

MACHINE = ("--cluster", "hgx_h200", "--model", "model.json", "--ranks", 32, "--slots", 288)
LAYERS = 2
PASSES = ("--tokens-per-step", 65536, "--repeat", 50)


def tracks_of(document):
    """{(pid, tid): [(start, end)]} of a Chrome trace, in the order of the file."""
    tracks = {}
    for event in document["traceEvents"]:
        if event["ph"] == "X":
            tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    return tracks


class SimulateCommand(CliTest):
    def setUp(self):
        """The first layers of a shipped trace and model: all that is tested is there, in less time."""
        super().setUp()
        model = json.loads((cli.SOURCE / "configs" / "models" / "deepseek_v3_fp8.json").read_text(encoding="utf-8"))
        model["num_layers"] = LAYERS
        model["layer_ids"] = model["layer_ids"][:LAYERS]
        self.write("model.json", json.dumps(model))
        lines = cli.DEEPSEEK_LIKE.read_text(encoding="utf-8").splitlines()
        header = {**json.loads(lines[0]), "num_layers": LAYERS}
        header.pop("layer_ids", None)
        steps = [json.loads(line) for line in lines[1:]]
        cut = [{"step": step["step"], "load": step["load"][:LAYERS]} for step in steps]
        self.write("trace.jsonl", "\n".join(map(json.dumps, [header, *cut])) + "\n")

    def result(self, *words, trace="trace.jsonl"):
        return self.good("simulate", trace, *MACHINE, *words, "--format", "json", "-q").json()["result"]

    def test_the_result_has_the_documented_keys_beside_static_free_moves_and_oracle(self):
        result = self.result(*PASSES, "--interval", 50)
        self.assertEqual(result["steps"], 400)
        self.assertEqual(list(result["step_seconds"]), ["mean", "p50", "p90", "p99", "max"])
        self.assertEqual(list(result["transfer_seconds"]), ["exposed", "overlapped"])
        self.assertEqual(list(result["bytes_by_link"]), ["intra_node", "inter_node", "inter_rack"])
        for key in ("throughput_tokens_per_second", "rearrangements", "vs_static", "static", "free_moves", "oracle"):
            self.assertIn(key, result)
        self.assertAlmostEqual(result["vs_static"]["throughput_ratio"],
                               result["throughput_tokens_per_second"] /
                               result["static"]["throughput_tokens_per_second"], places=12)
        self.assertGreater(result["oracle"]["throughput_tokens_per_second"],
                           result["static"]["throughput_tokens_per_second"])

    def test_engines_decide_when_they_do(self):
        # vLLM's first one is due at 20; the first recording, of 50 passes, has to be over.
        for engine, first, next_one in (("vllm", 50, 100), ("sglang", 80, 160)):
            result = self.result(*PASSES, "--like", engine, "--interval", 80)
            self.assertEqual(result["rearrangements"][0]["step"], first, engine)
            self.assertEqual(result["rearrangements"][1]["step"], next_one, engine)

    def test_an_interval_shorter_than_a_rearrangement_is_warned_of(self):
        words = ("simulate", "trace.jsonl", *MACHINE, *PASSES, "--like", "vllm", "--format", "json")
        self.assertIn("never idle", self.good(*words, "--interval", 20).err)
        self.assertNotIn("never idle", self.good(*words, "--interval", 200).err)

    def test_an_interval_longer_than_the_trace_is_said_to_decide_nothing(self):
        done = self.good("simulate", "trace.jsonl", *MACHINE, *PASSES, "--interval", 5000)
        self.assertIn("first decision is due at step 5000, the trace is served in 400 steps", done.err)
        self.assertIn("no decision was due", done.out)
        self.assertNotIn("0 of 0 decisions", done.out)

    def test_a_policy_does_not_plan_on_the_recording_that_it_is_scored_on(self):
        """One recording, served many times: whoever planned on it within would be better than static."""
        lines = (self.folder / "trace.jsonl").read_text(encoding="utf-8").splitlines()
        self.write("one.jsonl", "\n".join(lines[:2]) + "\n")
        result = self.result("--tokens-per-step", 65536, "--repeat", 200, "--interval", 10, trace="one.jsonl")
        self.assertEqual(result["vs_static"]["throughput_ratio"], 1)
        done = self.good("simulate", "trace.jsonl", *MACHINE, *PASSES, "--interval", 25)
        self.assertIn("sees a recording when it is over", done.err)

    def test_passes_share_the_tokens_of_their_recording(self):
        whole = self.result()
        shared = self.result("--repeat", 8)
        self.assertGreaterEqual(shared["steps"], 8 * 8)
        self.assertAlmostEqual(shared["tokens"] / whole["tokens"], 1, places=12)

    def test_recorded_sums_are_cut_into_forward_passes_and_no_token_is_lost(self):
        header = {"num_layers": LAYERS, "num_experts": 256, "top_k": 8}
        trace = self.trace("sums.jsonl", header=header, loads=[[[320000] * 256] * LAYERS] * 2)  # 10 240 000 tokens a step
        done = self.good("simulate", trace, *MACHINE, "--format", "json")
        self.assertIn("no forward pass", done.err)
        result = done.json()["result"]
        self.assertEqual(result["steps"], 2 * 40)  # of at most 8192 tokens on each of 32 ranks
        self.assertAlmostEqual(result["tokens"] / (2 * 10_240_000), 1, places=12)

    def test_a_failed_rank_is_served_around_once_its_experts_are_read_again(self):
        self.refused("simulate", "trace.jsonl", *MACHINE, *PASSES, "--fail-rank", "3@100",
                     says=["rank 3 alone held layer 3: experts"])
        result = self.result(*PASSES, "--fail-rank", "3@100", "--reload-rate", "2GB")
        event = result["world_events"][0]
        self.assertEqual((event["kind"], event["step"], event["rank"], event["ranks_serving"]), ("fail", 100, 3, 31))
        self.assertGreater(event["reload_seconds"], 0)
        self.assertEqual(result["static"]["world_events"][0]["experts_lost"], event["experts_lost"])

    def test_ranks_join_and_leave_while_it_serves(self):
        result = self.result(*PASSES, "--resize", "40@100,32@300")
        self.assertEqual([e["ranks_serving"] for e in result["world_events"]], [40, 32])
        self.assertEqual([r["cause"] for r in result["rearrangements"] if r["cause"] == "resize"], ["resize"] * 2)
        self.refused("simulate", "trace.jsonl", *MACHINE, "--resize", "none@5", says="--resize")

    def test_a_trickle_stays_within_its_bytes_and_beats_static(self):
        result = self.result(*PASSES, "--mode", "trickle:88102kB", "--interval", 50)
        self.assertLessEqual(sum(result["bytes_by_link"].values()), 88_102_000 * result["steps"])
        self.assertGreater(sum(result["bytes_by_link"].values()), 0)
        self.assertGreater(result["vs_static"]["throughput_ratio"], 1)
        self.assertEqual(len(result["rearrangements"]), 1)
        self.refused("simulate", "trace.jsonl", *MACHINE, "--mode", "trickle:44MB", "--policy", "deepseek",
                     says="--policy")

    def test_slices_of_a_timeline_follow_each_other_on_every_track(self):
        for mode in ("async", "sync", "trickle:88MB"):
            self.result(*PASSES, "--interval", 50, "--mode", mode, "--timeline", "out.json",
                        "--timeline-steps", "40:120")
            document = json.loads((self.folder / "out.json").read_text(encoding="utf-8"))
            names = {(e["pid"], e["tid"]): e["args"]["name"] for e in document["traceEvents"] if e["name"].endswith("_name")}
            tracks = tracks_of(document)
            processes = {e["args"]["name"] for e in document["traceEvents"] if e["name"] == "process_name"}
            self.assertLessEqual({f"rank {r}" for r in range(32)}, processes, mode)
            for track, slices in tracks.items():
                slices.sort()
                for (_, end), (start, _) in zip(slices, slices[1:]):
                    self.assertLessEqual(end, start + 1e-3, (mode, names[track]))

    def test_every_dispatch_rule_serves_every_token(self):
        tokens = {rule: self.result("--tokens-per-step", 65536, "--dispatch", rule)
                  for rule in ("even", "nearest", "random", "lp")}
        self.assertEqual(len({round(r["tokens"]) for r in tokens.values()}), 1)
        self.assertGreaterEqual(tokens["lp"]["balancedness"], tokens["even"]["balancedness"] * (1 - 1e-12))
        self.refused("simulate", "trace.jsonl", *MACHINE, "--dispatch", "evne", says="did you mean 'even'")

    def test_the_same_bytes_come_out_of_one_thread_and_of_three(self):
        words = ("simulate", "trace.jsonl", *MACHINE, *PASSES, "--interval", 100, "--format", "json", "-q")
        one = self.good(*words, "--threads", 1).json()["result"]
        self.assertEqual(one, self.good(*words, "--threads", 3).json()["result"])
