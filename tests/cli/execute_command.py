# SPDX-License-Identifier: Apache-2.0
"""execute on threads: what it answers, what it refuses, what it finds."""
import fcntl
import hashlib
import json
import subprocess

import cli
import execution


class ExecuteCommand(execution.ExecutionTest):
    def test_the_result_has_the_documented_keys_and_every_byte_is_verified(self):
        result = self.performed()
        for key in ("transport", "verified", "mismatched_bytes", "measured_seconds", "predicted_seconds",
                    "bytes_by_link", "payload_bytes_per_second", "layers", "plan_hash"):
            self.assertIn(key, result)
        self.assertEqual(result["transport"], "host")
        self.assertTrue(result["verified"])
        self.assertEqual(result["mismatched_bytes"], 0)
        self.assertEqual([layer["phase"] for layer in result["layers"]], ["verified"] * execution.LAYERS)
        self.assertGreater(result["measured_seconds"]["total"], 0)
        self.assertGreater(result["bytes_by_link"]["intra_node"], 0)

    def test_it_says_how_much_memory_it_takes_before_it_takes_it(self):
        self.assertTrue(self.good(*self.words()).err.startswith("memory: "))

    def test_memory_that_no_machine_has_is_refused_with_what_would_help_and_no_report(self):
        model = json.loads((self.folder / "model.json").read_text())
        model["expert_tensors"] = [{"name": "w", "shape": [2 ** 20, 2 ** 20], "dtype": "bf16", "bytes": 2 ** 41}]
        self.write("huge.json", json.dumps(model))
        result = self.run_program("execute", "old.json", "new.json", "--cluster", "host", "--model", "huge.json",
                                  "-o", "run.json")
        self.assertEqual((result.code, result.out), (1, ""))
        for word in ("--layers", "--scale", "--buffers"):
            self.assertIn(word, result.err)
        self.assertNotIn("run.json", self.files())

    def test_a_corrupted_byte_fails_with_exit_1_and_names_layer_and_rank_and_slot(self):
        result = self.failed("--inject", "corrupt:4,2,5", code=1, says=("layer 4, rank 2, slot 5", "first at offset 0"))
        self.assertIn("1 WRONG bytes", result.out)

    def test_what_was_not_compared_is_not_reported_as_verified(self):
        done = self.good(*self.words("--no-verify"))
        self.assertIn("no slot was verified", done.out)
        self.assertNotIn("all right", done.out)
        result = self.performed("--no-verify")
        self.assertFalse(result["verified"])
        self.assertEqual({layer["phase"] for layer in result["layers"]}, {"committed"})

    def test_layers_keep_the_numbers_they_have_in_the_model(self):
        layers = self.performed("--layers", "2:4")["layers"]
        self.assertEqual([layer["layer"] for layer in layers], [2, 3])

    def test_scale_shrinks_the_bytes(self):
        whole = self.performed()["bytes_by_link"]["intra_node"]
        part = self.performed("--scale", "1/16")["bytes_by_link"]["intra_node"]
        self.assertEqual(whole, part * 16)

    def test_every_mode_moves_the_same_bytes(self):
        for mode in ("sync", "layered:2", "async"):
            for buffers in (1, 2, 3):
                result = self.performed("--mode", mode, "--buffers", buffers)
                self.assertTrue(result["verified"], f"{mode} {buffers}")
                self.assertEqual(result["mode"], mode)

    def test_the_timeline_has_stage_vote_commit_and_verify_of_every_rank(self):
        self.good(*self.words("--timeline", "timeline.json"))
        events = json.loads((self.folder / "timeline.json").read_text())
        events = events["traceEvents"] if isinstance(events, dict) else events
        self.assertTrue({"stage", "vote", "commit", "verify"} <= {event.get("cat") for event in events})

    def test_the_journal_takes_every_layer_through_all_phases_in_order(self):
        self.good(*self.words("--journal", "journal"))
        order = ["staging", "staged", "voted", "committed", "verified"]
        reached = {}
        for line in self.journal():
            if "phase" in line and line["layer"] == 1:
                reached.setdefault(line["rank"], []).append(line["phase"])
        self.assertEqual(reached, {rank: order for rank in range(execution.RANKS)})

    def test_a_second_run_on_a_locked_journal_is_turned_away(self):
        self.write("journal", "")
        with open(self.folder / "journal", "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.failed("--journal", "journal", code=3, says=("another rearrangement is running",))

    def test_a_used_journal_is_not_started_over_by_accident(self):
        self.good(*self.words("--journal", "journal"))
        self.failed("--journal", "journal", code=2, says=("--resume",))

    def test_the_journal_is_never_the_file_of_another_option(self):
        self.failed("--journal", "result.json", "-o", "result.json", code=2, says=("--journal",))
        self.failed("--journal", "result.json", "--timeline", "./result.json", code=2, says=("--journal",))
        self.failed("--journal", "old.json", "--resume", code=2, says=("--journal",))
        (self.folder / "link").symlink_to("journal")
        self.failed("--journal", "journal", "-o", "link", code=2, says=("--journal",))

    def test_talk_of_a_run_without_standard_streams_stays_out_of_its_journal(self):
        words = " ".join(map(str, self.words("--journal", "journal")))
        subprocess.run(["sh", "-c", f"{cli.PROGRAM} {words} <&- >&- 2>&-"], cwd=self.folder, check=False, timeout=60)
        self.assertTrue(all("run" in line for line in self.journal()))
        self.assertTrue(self.performed("--journal", "journal", "--resume")["verified"])

    def test_a_run_that_does_not_verify_does_not_say_verified(self):
        result = self.performed("--no-verify")
        self.assertFalse(result["verified"])
        self.assertEqual(self.performed("--no-verify", "--inject", "corrupt:1,2,3")["verified"], False)
        table = self.good(*self.words("--no-verify"))
        self.assertNotIn("all right", table.out)

    def test_options_that_contradict_each_other_are_refused_and_unused_ones_named(self):
        self.failed("--rank-threads", "--rank-processes", code=2, says=("--rank-threads",))
        for seconds in ("0", "-1", "1e12", "nan", "inf"):
            self.failed(f"--timeout={seconds}", code=2, says=("--timeout",))
        self.assertTrue(self.performed("--timeout", 3000000)["verified"])
        result = self.good(*self.words("--foreground-steps", 3, "--rendezvous", "tcp:127.0.0.1:1"))
        self.assertIn("--foreground-steps is not used", result.err)
        self.assertIn("--rendezvous is not used", result.err)

    def test_resume_refuses_the_journal_of_another_rearrangement(self):
        self.good(*self.words("--journal", "journal", "--layers", 3))
        self.failed("--journal", "journal", "--resume", code=2, says=("another rearrangement",))

    def test_a_whole_line_taken_out_of_a_journal_ends_with_the_number_of_the_line_after_it(self):
        self.good(*self.words("--rank-processes", "--journal", "journal"))
        lines = (self.folder / "journal").read_text().splitlines(keepends=True)
        for gone in (1, len(lines) // 2, len(lines) - 2):
            (self.folder / "journal").write_text("".join(lines[:gone] + lines[gone + 1:]))
            self.failed("--journal", "journal", "--resume", code=2, says=(f"journal:{gone + 1}: ", "dropped"))

    def test_what_the_journal_of_an_older_version_leaves_open_is_said(self):
        self.good(*self.words("--journal", "journal"))
        old = ""
        for line in (self.folder / "journal").read_text().splitlines():
            text = line[:line.rindex(',"check":')].replace('{"moeshift_journal":3,', '{"moeshift_journal":2,')
            check = hashlib.sha256(text.encode()).hexdigest()[:8]
            old += f'{text},"check":"{check}"}}\n'
        (self.folder / "journal").write_text(old)
        for _ in range(2):  # the line stays where it was once newer runs follow
            result = self.good(*self.words("--journal", "journal", "--resume"))
            self.assertIn("journal version 2, now 3", result.err)

    def test_resume_after_the_end_moves_nothing(self):
        self.good(*self.words("--journal", "journal"))
        result = self.performed("--journal", "journal", "--resume")
        self.assertTrue(result["verified"])
        self.assertEqual(sum(result["bytes_by_link"].values()), 0)

    def test_repetitions_go_there_and_back_and_every_one_is_verified(self):
        result = self.performed("--repeat", 3, "--baseline", "--mode", "async")
        self.assertTrue(result["verified"])
        self.assertEqual(result["repetitions"]["count"], 3)
        self.assertGreater(result["sent_bytes_per_second"], 0)
        self.assertGreater(result["baseline"]["best_bytes_per_second"], 0)
        self.failed("--repeat", 2, "--journal", "journal", code=2, says=("--journal",))

    def test_the_peers_orders_move_the_same_bytes(self):
        for schedule in ("vllm", "vllm-batched", "sglang", "ascend"):
            self.assertTrue(self.performed("--schedule", schedule)["verified"], schedule)

    def test_moves_and_execute_predict_the_same_with_the_same_options(self):
        self.plan_of_two_replicas("spare.json")
        for placements, words in (
                (("old.json", "new.json"), ()),
                (("old.json", "new.json"), ("--schedule", "vllm")),
                (("old.json", "new.json"), ("--schedule", "vllm-batched", "--buffers", 3)),
                (("old.json", "new.json"), ("--schedule", "sglang")),
                (("old.json", "new.json"), ("--buffers", 3, "--batch")),
                (("old.json", "new.json"), ("--batch-bytes", 200000, "--staging-bytes", 262144)),
                (("old.json", "new.json"), ("--join-below", 300000)),
                (("old.json", "new.json"), ("--staging-bytes", 65536)),
                (("old.json", "new.json"), ("--chunk-bytes", 8192)),
                (("old.json", "new.json"), ("--chunk-bytes", 32768, "--channels", 64, "--join-below", "1MiB")),
                (("old.json", "new.json"), ("--direct",)),
                (("spare.json", "new.json"), ("--dead", 3))):
            machine = ("--cluster", "host", "--model", "model.json", "--format", "json")
            moves = self.good("moves", *placements, *machine, *words).json()["result"]
            done = self.good("execute", *placements, *machine, *words).json()["result"]
            self.assertTrue(done["verified"], words)
            self.assertEqual(done["plan_hash"], moves["plan_hash"], words)
            predicted = moves["totals"]["predicted_seconds"]
            for key in ("connection", "stage", "commit", "total", "exposed"):
                self.assertEqual(done["predicted_seconds"][key], predicted[key], (words, key))

    def test_what_peers_cannot_do_is_refused(self):
        for words in (("--staging-bytes", 65536), ("--direct",), ("--channels", 8), ("--dead", 1), ("--batch",),
                      ("--join-below", 65536)):
            self.failed("--schedule", "vllm", *words, code=2, says=(words[0],))

    def test_experts_of_mixed_sizes_arrive_byte_for_byte_as_moves_predicts(self):
        model = json.loads((self.folder / "model.json").read_text())
        experts = execution.EXPERTS
        model["bytes_per_expert"] = [65536] + [16384] * 3 + [[16384, 49152] * (experts // 2)] * 2
        self.write("model.json", json.dumps(model))
        machine = ("--cluster", "host", "--model", "model.json", "--format", "json")
        for words in ((), ("--direct",), ("--staging-bytes", 131072), ("--schedule", "vllm"),
                      ("--chunk-bytes", 16384), ("--join-below", "1MiB")):
            moves = self.good("moves", "old.json", "new.json", *machine, *words).json()["result"]
            done = self.good("execute", "old.json", "new.json", *machine, *words, "--pack-below", 0).json()["result"]
            packed = self.good("execute", "old.json", "new.json", *machine, *words, "--pack-below", "1MiB").json()["result"]
            self.assertTrue(done["verified"] and packed["verified"], words)
            self.assertEqual(done["plan_hash"], moves["plan_hash"], words)
            self.assertEqual(done["predicted_seconds"]["total"], moves["totals"]["predicted_seconds"]["total"])
            for link, sent in moves["totals"]["bytes_by_link"].items():
                self.assertEqual(done["bytes_by_link"][link], sent, words)
            first, second = moves["layers"][0], moves["layers"][1]
            for layer, size in ((first, 65536), (second, 16384)):
                self.assertEqual(sum(layer["bytes_by_link"].values()), size * layer["transfers"])
        part = self.good("execute", "old.json", "new.json", *machine, "--layers", "3:6", "--scale", 0.5).json()["result"]
        self.assertTrue(part["verified"])
        self.failed("--inject", "corrupt:5,1,2", code=1, says=("layer 5, rank 1, slot 2",))

    def plan_of_two_replicas(self, name):
        self.good("plan", "old.json.jsonl", "--ranks", 4, "--slots", 32, "--policy", "static", "-o", name, "-q")

    def test_joined_layers_are_all_new_at_the_end(self):
        result = self.performed("--join-below", "1GiB", "--pack-below", "1MiB")
        self.assertTrue(result["verified"])

    def test_bad_options_are_refused(self):
        for words in (("--scale", "2"), ("--scale", "0"), ("--scale", "x"), ("--layers", "4:2"), ("--layers", "99"),
                      ("--mode", "layered:0"), ("--mode", "fast"), ("--buffers", "0"), ("--timeout", "0"),
                      ("--backend", "hots"), ("--inject", "kill:1"), ("--resume",), ("--max-ctas", "4")):
            self.failed(*words, code=2)

    def test_a_fault_that_cannot_strike_is_refused(self):
        for drill in ("kill:1,99,staging", "corrupt:99,1,2", "corrupt:1,1,4096", "lose:64,1", "hash:64"):
            self.failed("--inject", drill, code=2, says=("expected one",))

    def test_backends_lists_host_as_usable_and_says_why_others_are_not(self):
        rows = self.good("backends", "--format", "json").json()["result"]["backends"]
        self.assertEqual([row["name"] for row in rows], ["host", "mpi", "nccl", "ce", "peer", "auto", "rccl", "hccl"])
        self.assertTrue(rows[0]["available"])
        for row in rows:
            self.assertEqual(row["available"], row["reason"] == "")
