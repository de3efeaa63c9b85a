# SPDX-License-Identifier: Apache-2.0
"""moves: schedules of ours and of peers, budgets, dead ranks, worlds that grow, pictures."""
import json

import execution


class MovesCommand(execution.ExecutionTest):
    MACHINE = ("--cluster", "hgx_h200", "--model", "model.json")

    def moves(self, *more, placements=("old.json", "new.json")):
        words = ("moves", *placements, *self.MACHINE, "--nodes", 2, *more, "--format", "json")
        return self.good(*words).json()["result"]

    def refused(self, *more, code=2, says=(), placements=("old.json", "new.json")):
        result = self.run_program("moves", *placements, *self.MACHINE, "--nodes", 2, *more)
        self.assertEqual(result.code, code, f"{more}: {result.out[-300:]} {result.err}")
        for text in says:
            self.assertIn(text, result.err)

    def plan(self, name, ranks, slots, seed=3):
        self.good("trace", "generate", "--preset", "decode", "--layers", execution.LAYERS, "--experts",
                  execution.EXPERTS, "--top-k", 2, "--groups", 1, "--steps", 1, "--seed", seed, "-o", "t.jsonl", "-q")
        self.good("plan", "t.jsonl", "--ranks", ranks, "--slots", slots, "--policy", "deepseek", "-o", name, "-q")

    def test_best_is_the_default_and_ours_is_never_slower_than_a_peer(self):
        best = self.moves("--schedule", "best")
        self.assertEqual(best["plan_hash"], self.moves()["plan_hash"])
        for peer in ("vllm", "vllm-batched", "sglang", "ascend"):
            theirs = self.moves("--schedule", peer)
            self.assertGreaterEqual(theirs["totals"]["predicted_seconds"]["total"],
                                    best["totals"]["predicted_seconds"]["total"])

    def test_beside_serving_only_commits_are_felt_and_in_a_stop_everything_is(self):
        stop = self.moves("--mode", "sync")["totals"]["predicted_seconds"]
        beside = self.moves("--mode", "async")["totals"]["predicted_seconds"]
        self.assertEqual(stop["exposed"], stop["total"])
        self.assertEqual(beside["exposed"], beside["commit"])
        self.assertLess(beside["exposed"], beside["total"] / 2)

    def test_more_rounds_are_a_regression_and_fewer_are_not(self):
        self.good("moves", "old.json", "new.json", *self.MACHINE, "--nodes", 2, "-o", "result.json", "-q")
        result = self.load("result.json")
        rounds = result["result"]["totals"]["rounds"]
        for changed, code in ((rounds + 1, 1), (rounds - 1, 0), (rounds, 0)):
            result["result"]["totals"]["rounds"] = changed
            self.write("changed.json", json.dumps(result))
            done = self.run_program("check", "changed.json", "result.json", "--fail-on", "totals.rounds=0")
            self.assertEqual(done.code, code, f"{rounds} -> {changed}: {done.out} {done.err}")

    def test_against_a_peer_the_savings_of_all_features_add_up_to_the_difference(self):
        result = self.moves("--against", "vllm-batched")
        against = result["against"]
        steps = against["steps"]
        self.assertEqual([step["feature"] for step in steps],
                         ["vllm-batched", "packing", "rounds", "copies", "sources", "fan-out", "batches", "overlap"])
        peer = self.moves("--schedule", "vllm-batched", "--buffers", 1)
        self.assertAlmostEqual(steps[0]["predicted_seconds"], peer["totals"]["predicted_seconds"]["total"])
        self.assertAlmostEqual(steps[-1]["predicted_seconds"], result["totals"]["predicted_seconds"]["total"])
        saved = sum(step["saved_seconds"] for step in steps)
        self.assertAlmostEqual(saved, steps[0]["predicted_seconds"] - steps[-1]["predicted_seconds"])
        self.assertEqual(against["longer_layers"], [])

    def test_a_staging_budget_is_kept_or_the_least_that_would_do_is_named(self):
        for budget in (32768, 65536):
            totals = self.moves("--staging-bytes", budget)["totals"]
            self.assertLessEqual(totals["staging_bytes_per_rank"], budget)
        self.refused("--staging-bytes", 1000, code=1, says=("32768 bytes would do",))

    def test_direct_receives_need_less_staging_memory(self):
        staged = self.moves()["totals"]["staging_bytes_per_rank"]
        self.assertLessEqual(self.moves("--direct")["totals"]["staging_bytes_per_rank"], staged)

    def test_channels_and_chunks_bound_a_group_or_the_least_chunk_is_named(self):
        whole = self.moves()
        bounded = self.moves("--channels", 200, "--chunk-bytes", 32768)
        self.assertGreater(sum(layer["groups"] for layer in bounded["layers"]),
                           sum(layer["groups"] for layer in whole["layers"]))
        self.refused("--channels", 64, "--chunk-bytes", 4096, code=1, says=("chunks of 16384 bytes would do",))

    def test_small_layers_are_exchanged_together_on_request(self):
        alone = self.moves()["totals"]["predicted_seconds"]
        together = self.moves("--batch")["totals"]["predicted_seconds"]
        self.assertLess(together["stage"], alone["stage"])

    def test_experts_that_only_dead_ranks_hold_are_listed_with_exit_1(self):
        self.refused("--dead", "0,1,2,3", code=1, says=("no live rank", "layer 0: experts"))
        self.refused("--dead", "4", code=2, says=("dead rank 4",))
        self.refused("--dead", "x", code=2, says=("--dead",))

    def test_a_dead_rank_sends_nothing(self):
        self.plan("full.json", 4, 32)  # two replicas of each expert
        words = ("--dead", 3, "--matrix", "matrix.txt")
        result = self.run_program("moves", "full.json", "full.json", *self.MACHINE, "--nodes", 2, *words)
        if result.code == 0:
            rows = [[int(word) for word in line.split()] for line in (self.folder / "matrix.txt").read_text().splitlines()]
            self.assertEqual(rows[3], [0, 0, 0, 0])
            self.assertGreater(sum(row[3] for row in rows), 0)
        else:
            self.assertEqual((result.code, "no live rank" in result.err), (1, True))

    def test_worlds_may_grow_and_shrink(self):
        self.plan("large.json", 8, 24)
        self.plan("small.json", 2, 24)
        for other, ranks in (("large.json", 8), ("small.json", 4)):
            for placements in (("old.json", other), (other, "old.json")):
                result = self.moves("--matrix", "matrix.txt", placements=placements)
                self.assertGreater(result["totals"]["transfers"], 0)
                self.assertEqual(len((self.folder / "matrix.txt").read_text().splitlines()), ranks)

    def test_what_peers_cannot_do_is_refused(self):
        for words in (("--staging-bytes", 65536), ("--direct",), ("--channels", 8), ("--dead", 1), ("--batch",)):
            self.refused("--schedule", "vllm", *words)
        self.refused("--schedule", "vllm", "--against", "sglang")

    def test_explain_draws_the_rounds_in_80_columns(self):
        done = self.good("moves", "old.json", "new.json", *self.MACHINE, "--nodes", 2, "--rounds", 0)
        self.assertIn("ports between nodes", done.out)
        self.assertIn("ports inside nodes", done.out)
        self.assertLessEqual(max(len(line) for line in done.out.splitlines()), 80)
        self.refused("--rounds", 6, says=("0 .. 5",))
