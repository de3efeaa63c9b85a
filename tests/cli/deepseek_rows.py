# SPDX-License-Identifier: Apache-2.0
"""DeepSeek-V3 as SGLang records it has a row for each of its 61 layers, three of which are dense; as others write it, 58.
Both are the same recording: every command gives the same figures, to the last digit."""
import json

import cli
from cli import CliTest

FULL = ("--cluster", "hgx_h200", "--model", "deepseek_v3_fp8", "--ranks", 32, "--slots", 288)
TIMED = ("plan_seconds", "bound_seconds", "seconds")
NAMES = ("model", "source", "licence")  # which SGLang's file does not say
IDS = list(range(3, 61))


class DeepseekRows(CliTest):
    def setUp(self):
        super().setUp()
        lines = [json.loads(line) for line in cli.DEEPSEEK_LIKE.read_text(encoding="utf-8").splitlines()]
        steps = [line["load"] for line in lines[1:]]
        header = {**lines[0], "layer_ids": IDS}
        rows = [json.dumps(header)] + [json.dumps(line) for line in lines[1:]]
        self.write("rows58.jsonl", "\n".join(rows) + "\n")
        dense = [[0] * 256] * 3
        self.write("rows61.json", json.dumps({"logical_count": [dense + step for step in steps]}))

    def figures(self, *words):
        """The result without what a clock says and what a recording is called."""
        def without_times(value):
            if isinstance(value, dict):
                return {key: without_times(item) for key, item in value.items() if key not in TIMED + NAMES}
            return [without_times(item) for item in value] if isinstance(value, list) else value
        return without_times(self.good(*words, "--format", "json").json()["result"])

    def both(self, *words):
        """The command on either recording; `TRACE` stands for it."""
        answers = [self.figures(*(name if word == "TRACE" else word for word in words)) for name in ("rows58.jsonl", "rows61.json")]
        self.assertEqual(*answers)
        return answers[0]

    def test_plan_and_moves_are_the_same(self):
        for policy in ("balanced", "deepseek"):
            plan = self.both("plan", "TRACE", *FULL, "--policy", policy, "--windows", "0:4")
            self.assertEqual(plan["placement"]["layer_ids"], IDS)
        for name, suffix in (("rows58.jsonl", "58"), ("rows61.json", "61")):
            self.good("plan", name, *FULL, "--policy", "deepseek", "--windows", "0:4", "-o", f"old{suffix}.json", "-q")
            self.good("plan", name, "--policy", "deepseek", "--windows", "4:8", "--from", f"old{suffix}.json",
                      "-o", f"new{suffix}.json", "-q")
        moves = [self.figures("moves", f"old{suffix}.json", f"new{suffix}.json") for suffix in ("58", "61")]
        self.assertEqual(*moves)
        self.assertEqual([layer["layer"] for layer in moves[0]["layers"]], IDS)

    def test_compare_and_diagnose_are_the_same(self):
        self.both("compare", "TRACE", *FULL, "--policies", "static,deepseek")
        self.both("diagnose", "TRACE", *FULL, "--policy", "deepseek")

    def test_simulate_and_sweep_are_the_same(self):
        serving = ("--tokens-per-step", 65536, "--repeat", 10)
        self.both("simulate", "TRACE", *FULL, *serving, "--policy", "deepseek", "--interval", 20)
        self.both("sweep", "TRACE", *FULL, *serving, "--policies", "deepseek", "--interval", "20,40")
