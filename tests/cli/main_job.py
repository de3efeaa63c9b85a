# SPDX-License-Identifier: Apache-2.0
"""The main job on a small model: info, plan, moves, execute, and what they refuse."""
import json

from cli import CliTest

SHAPE = ("--ranks", 4, "--slots", 12, "--nodes", 2)
MACHINE = ("--cluster", "host", "--nodes", 2)


class MainJob(CliTest):
    def two_plans(self):
        """Plans of the two steps of the tiny trace, and the options that moves and execute need."""
        for name, window in (("old.json", "0:1"), ("new.json", "1:2")):
            self.plan(name, *SHAPE, "--windows", window, trace=self.trace())
        return ("old.json", "new.json", *MACHINE, "--model", self.tiny_model())

    def broken(self, name, change):
        """`name` after `change` of its placement."""
        plan = self.load(name)
        change(plan["result"]["placement"])
        return self.write("broken.json", json.dumps(plan))

    def test_info_says_shape_and_imbalance_of_a_trace(self):
        result = self.good("trace", "info", self.trace(), "--format", "json").json()["result"]
        self.assertEqual((result["steps"], len(result["layers"])), (2, 2))
        self.assertAlmostEqual(result["layers"][0]["step_imbalance"], 8 / 3)

    def test_info_warns_of_a_trace_that_cannot_be_what_it_says(self):
        odd = [[[8, 6, 4, 2, 1, 1, 1, 2], [3, 3, 3, 3, 3, 3, 3, 3]]]
        result = self.good("trace", "info", self.trace(loads=odd), "--format", "json").json()["result"]
        kinds = {warning["kind"] for warning in result["warnings"]}
        self.assertTrue({"top_k_divisibility", "unequal_totals"} <= kinds, kinds)

    def test_moves_count_what_changed_between_the_two_plans(self):
        words = self.two_plans()
        totals = self.good("moves", *words, "--format", "json").json()["result"]["totals"]
        old, new = (self.load(name)["result"]["placement"]["physical_to_logical"] for name in ("old.json", "new.json"))
        arrivals = sum(len(set(new[l][r:r + 3]) - set(old[l][r:r + 3])) for l in range(2) for r in range(0, 12, 3))
        self.assertGreater(arrivals, 0)
        self.assertEqual(totals["transfers"], arrivals)
        self.assertEqual(sum(totals["bytes_by_link"].values()), 3072 * arrivals)

    def test_a_placement_onto_itself_moves_nothing(self):
        words = self.two_plans()
        result = self.good("moves", "old.json", *("old.json", *words[2:]), "--format", "json").json()["result"]
        self.assertEqual(result["totals"]["transfers"], 0)
        self.assertEqual(result["totals"]["predicted_seconds"]["total"], 0)

    def test_the_traffic_matrix_holds_every_byte_that_crosses_ranks(self):
        words = self.two_plans()
        totals = self.good("moves", *words, "--matrix", "matrix.txt", "--format", "json").json()["result"]["totals"]
        rows = [[int(word) for word in line.split()] for line in (self.folder / "matrix.txt").read_text().splitlines()]
        self.assertEqual([len(row) for row in rows], [4] * 4)
        self.assertEqual(sum(map(sum, rows)), sum(totals["bytes_by_link"].values()))
        self.assertEqual([rows[i][i] for i in range(4)], [0] * 4)

    def test_execute_on_the_host_verifies_every_byte(self):
        words = self.two_plans()
        result = self.good("execute", *words, "--backend", "host", "--format", "json").json()["result"]
        self.assertEqual((result["verified"], result["mismatched_bytes"], result["transport"]), (True, 0, "host"))
        self.assertEqual({layer["phase"] for layer in result["layers"]}, {"verified"})

    def test_execute_performs_the_plan_that_moves_prints(self):
        words = self.two_plans()
        moves = self.good("moves", *words, "--format", "json").json()["result"]
        done = self.good("execute", *words, "--format", "json").json()["result"]
        self.assertEqual(done["plan_hash"], moves["plan_hash"])
        for link, count in moves["totals"]["bytes_by_link"].items():
            self.assertEqual(done["bytes_by_link"][link], count)

    def test_every_mode_of_execute_ends_in_the_right_bytes(self):
        words = self.two_plans()
        for mode in ("sync", "layered:1", "async"):
            with self.subTest(mode=mode):
                self.assertTrue(self.good("execute", *words, "--mode", mode, "--format", "json").json()["result"]["verified"])

    def test_a_corrupted_byte_exits_1_and_names_layer_and_rank_and_slot(self):
        words = self.two_plans()
        old, new = (self.load(name)["result"]["placement"]["physical_to_logical"][0] for name in ("old.json", "new.json"))
        changed = next(slot for slot in range(12) if old[slot] != new[slot])
        rank, slot = divmod(changed, 3)
        result = self.run_program("execute", *words, "--inject", f"corrupt:0,{rank},{slot}")
        self.assertEqual(result.code, 1, result.err)
        self.assertRegex(result.out + result.err, rf"layer 0, rank {rank}, slot {slot}\b")

    def test_execute_writes_a_timeline_that_a_browser_reads(self):
        words = self.two_plans()
        self.good("execute", *words, "--timeline", "timeline.json", "-q")
        events = self.load("timeline.json")["traceEvents"]
        self.assertTrue([event for event in events if event["ph"] == "X"])

    def test_a_result_of_execute_passes_check_against_itself(self):
        words = self.two_plans()
        self.good("execute", *words, "-o", "run.json", "-q")
        self.good("check", "run.json", "run.json")

    def test_an_exported_placement_reads_back_as_the_same(self):
        words = self.two_plans()
        for form in ("vllm", "sglang", "npy"):
            with self.subTest(form=form):
                layers = len(self.load("old.json")["result"]["placement"]["physical_to_logical"])
                self.good("export", "old.json", "--to", form, "--num-hidden-layers", layers, "-o", f"map.{form}", "-q")
                result = self.good("moves", "old.json", f"map.{form}", *words[2:], "--ranks", 4, "--format", "json").json()
                self.assertEqual(result["result"]["totals"]["transfers"], 0)

    def test_an_expert_without_a_holder_is_refused(self):
        words = self.two_plans()
        lost = self.broken("old.json", lambda p: p["physical_to_logical"].__setitem__(
            1, [0 if expert == 3 else expert for expert in p["physical_to_logical"][1]]))
        for command in ("moves", "execute"):
            self.refused(command, lost, *words[1:], says="3")

    def test_a_model_and_a_placement_that_disagree_are_refused(self):
        words = self.two_plans()
        for command in ("moves", "execute"):
            self.refused(command, *words[:-1], "olmoe_1b_7b_bf16", says=("old.json", "64", "8"))

    def test_ranks_that_are_not_those_of_the_placement_are_refused(self):
        words = self.two_plans()
        for command in ("moves", "execute"):
            for ranks in (8, 2):
                self.refused(command, *words, "--ranks", ranks, says=("old.json", str(ranks), "4"))

    def test_a_backend_that_does_not_exist_is_refused(self):
        self.refused("execute", *self.two_plans(), "--backend", "hsot", says="did you mean 'host'?")

    def test_shares_and_layers_and_modes_that_are_none_are_refused(self):
        words = self.two_plans()
        for option, value in (("--scale", "2"), ("--scale", "0"), ("--scale", "1/0"), ("--layers", "3"), ("--layers", "1:1"),
                              ("--mode", "layered:0"), ("--mode", "sometimes"), ("--buffers", "0"), ("--timeout", "-1")):
            with self.subTest(option=option, value=value):
                self.refused("execute", *words, f"{option}={value}", says=option)

    def test_a_refused_execute_leaves_no_result_and_no_timeline(self):
        words = self.two_plans()
        before = self.files()
        self.refused("execute", *words, "--ranks", 8, "-o", "run.json", "--timeline", "timeline.json")
        self.assertEqual(self.files(), before)
