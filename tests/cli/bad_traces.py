# SPDX-License-Identifier: Apache-2.0
"""Traces that are wrong: exit 2, file:line or JSON pointer, and what was expected."""
import json

from cli import LOADS, CliTest


class BadTraces(CliTest):
    def refuses(self, *words, loads=None, header=None, says=()):
        trace = self.trace(loads=loads, header=header)
        return self.refused("plan", trace, "--ranks", 4, "--slots", 12, *words, "-o", "plan.json", says=says)

    def refuses_text(self, text, says=()):
        self.write("trace.jsonl", text)
        return self.refused("plan", "trace.jsonl", "--ranks", 4, "--slots", 12, says=says)

    def tearDown(self):
        self.assertNotIn("plan.json", self.files())
        super().tearDown()

    def with_load(self, value):
        loads = json.loads(json.dumps(LOADS))
        loads[1][0][3] = value
        return loads

    def test_an_empty_file_is_no_trace(self):
        self.refuses_text("", says="trace.jsonl")

    def test_a_trace_without_steps_is_refused(self):
        self.refuses(loads=[], says="trace.jsonl")

    def test_a_layer_too_few_is_refused_with_its_line(self):
        self.refuses(loads=[LOADS[0], LOADS[1][:1]], says="trace.jsonl:3")

    def test_an_expert_too_many_is_refused_with_its_line(self):
        self.refuses(loads=[LOADS[0], [LOADS[1][0] + [1], LOADS[1][1]]], says="trace.jsonl:3")

    def test_a_row_too_short_is_refused_with_its_line(self):
        self.refuses(loads=[[LOADS[0][0][:7], LOADS[0][1]]], says="trace.jsonl:2")

    def test_a_negative_load_is_refused_where_it_stands(self):
        self.refuses(loads=self.with_load(-1), says=("trace.jsonl:3", "/load/0/3"))

    def test_a_fractional_load_is_refused_where_it_stands(self):
        self.refuses(loads=self.with_load(1.5), says=("trace.jsonl:3", "/load/0/3"))

    def test_a_huge_load_is_refused_where_it_stands(self):
        self.refuses(loads=self.with_load(10 ** 30), says="trace.jsonl:3")

    def test_a_load_that_is_text_is_refused_where_it_stands(self):
        self.refuses(loads=self.with_load("7"), says=("trace.jsonl:3", "/load/0/3"))

    def test_a_load_that_is_null_is_refused_where_it_stands(self):
        self.refuses(loads=self.with_load(None), says=("trace.jsonl:3", "/load/0/3"))

    def test_loads_that_are_not_finite_are_refused(self):
        for value in (float("nan"), float("inf")):
            with self.subTest(value=value):
                self.refuses(loads=self.with_load(value), says="trace.jsonl:3")

    def test_a_number_too_large_for_a_double_is_refused(self):
        text = (self.folder / self.trace()).read_text().replace("[8, 6", "[1e999, 6")
        self.refuses_text(text, says="trace.jsonl:2")

    def test_a_key_that_appears_twice_is_refused(self):
        self.refuses_text('{"model": "a", "model": "b", "num_layers": 2, "num_experts": 8}\n', says="trace.jsonl:1")

    def test_a_key_of_a_step_that_appears_twice_is_refused(self):
        good = (self.folder / self.trace()).read_text().splitlines()
        twice = '{"step": 0, "step": 1, "load": %s}' % json.dumps(LOADS[0])
        self.refuses_text("\n".join([good[0], twice]) + "\n", says="trace.jsonl:2")

    def test_a_truncated_line_is_refused_with_its_line(self):
        text = (self.folder / self.trace()).read_text()
        self.refuses_text(text[:-20], says="trace.jsonl:3")

    def test_every_truncation_is_refused_or_a_shorter_trace_and_never_a_crash(self):
        text = (self.folder / self.trace()).read_text()
        for size in range(0, len(text), 7):
            self.write("cut.jsonl", text[:size])
            result = self.run_program("plan", "cut.jsonl", "--ranks", 4, "--slots", 12)
            self.assertIn(result.code, (0, 2), f"{size} bytes: {result.err}")
            if result.code == 2:
                self.assertIn("cut.jsonl", result.err)

    def test_binary_rubbish_is_refused(self):
        (self.folder / "trace.jsonl").write_bytes(bytes(range(256)) * 8)
        self.refused("plan", "trace.jsonl", "--ranks", 4, "--slots", 12, says="trace.jsonl")

    def test_a_header_without_its_shape_is_refused(self):
        self.refuses(header={"num_experts": None}, says="trace.jsonl")

    def test_a_header_that_counts_backwards_is_refused(self):
        for key in ("num_layers", "num_experts"):
            for value in (0, -2, 2.5, 1e12, "2"):
                with self.subTest(key=key, value=value):
                    self.refuses(header={key: value}, says="trace.jsonl:1")

    def test_groups_that_do_not_divide_the_experts_are_refused(self):
        self.refuses("--policy", "deepseek", header={"num_expert_groups": 3}, says="group")

    def test_layer_ids_of_another_length_are_refused(self):
        self.refuses(header={"layer_ids": [1, 2, 3]}, says="trace.jsonl:1")

    def test_unknown_keys_of_the_header_are_kept(self):
        trace = self.trace(header={"hardware": "8 x H20"})
        self.good("trace", "convert", trace, "copy.jsonl", "--to", "neutral")
        self.assertEqual(json.loads((self.folder / "copy.jsonl").read_text().splitlines()[0])["hardware"], "8 x H20")
