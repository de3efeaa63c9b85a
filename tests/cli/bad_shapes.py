# SPDX-License-Identifier: Apache-2.0
"""Well-formed inputs that do not fit together: exit 2 and which two disagree."""
import json

from cli import MOE64_LIKE, CliTest


class BadShapes(CliTest):
    def test_slots_that_do_not_divide_by_ranks_are_refused_with_what_would(self):
        self.refused("plan", self.trace(), "--ranks", 5, "--slots", 12, says=("12", "5", "10", "15"))

    def test_fewer_slots_than_experts_are_refused(self):
        self.refused("plan", self.trace(), "--ranks", 2, "--slots", 6, says=("6", "8"))

    def test_no_ranks_and_no_slots_are_refused(self):
        self.refused("plan", self.trace(), "--ranks", 0, "--slots", 12)
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 0)

    def test_more_ranks_than_slots_are_refused_with_what_would_do(self):
        result = self.refused("plan", self.trace(), "--ranks", 32, "--slots", 12, says="32 would")
        self.assertNotIn("0 or", result.err)

    def test_ranks_and_slots_beyond_any_machine_are_refused_before_memory_is(self):
        for words in (("--ranks", 4, "--slots", 4 * 10 ** 12), ("--ranks", 10 ** 12, "--slots", 12)):
            self.refused("plan", self.trace(), *words, says="1048576")
            self.refused("compare", self.trace(), *words, "--policies", "snake", says="1048576")

    def test_more_nodes_than_ranks_are_refused(self):
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 12, "--nodes", 8, says=("8", "4"))

    def test_groups_that_do_not_divide_the_experts_are_refused(self):
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 12, "--groups", 3, "--policy", "deepseek", says=("3", "8"))

    def test_a_trace_and_a_model_that_disagree_are_refused_with_both_shapes(self):
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 12, "--model", "olmoe_1b_7b_bf16",
                     says=("olmoe_1b_7b_bf16", "16", "64", "2", "8"))

    def test_compare_refuses_what_plan_refuses(self):
        self.refused("compare", self.trace(), "--policies", "snake", "--ranks", 5, "--slots", 12)
        self.refused("compare", self.trace(), "--policies", "snake", "--ranks", 4, "--slots", 12,
                     "--model", "olmoe_1b_7b_bf16", says="olmoe_1b_7b_bf16")

    def test_compare_wants_both_windows_or_none(self):
        self.refused("compare", self.trace(), "--policies", "snake", "--ranks", 4, "--slots", 12,
                     "--train", "0:1", says="--test")

    def test_compare_wants_one_previous_placement(self):
        plan = self.plan("plan.json")
        self.refused("compare", self.trace(), "--policies", "snake", "--ranks", 4, "--slots", 12,
                     "--previous", "0:1", "--from", plan, says=("--from", "--previous"))

    def test_compare_refuses_a_placement_of_another_model(self):
        plan = self.plan("other.json", "--ranks", 4, "--slots", 72, trace=MOE64_LIKE)
        self.refused("compare", self.trace(), "--policies", "snake", "--ranks", 4, "--slots", 12,
                     "--from", plan, says="other.json")

    def test_compare_refuses_a_placement_in_which_an_expert_has_no_holder(self):
        plan = self.load(self.plan("plan.json"))
        rows = plan["result"]["placement"]["physical_to_logical"]
        rows[1] = [0 if expert == 3 else expert for expert in rows[1]]
        self.write("holes.json", json.dumps(plan))
        self.refused("compare", self.trace(), "--policies", "snake", "--ranks", 4, "--slots", 12,
                     "--from", "holes.json", says="3")

    def test_compare_refuses_a_policy_named_twice(self):
        self.refused("compare", self.trace(), "--policies", "snake,snake", "--ranks", 4, "--slots", 12,
                     says="'snake'")
