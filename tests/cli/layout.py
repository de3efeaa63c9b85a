# SPDX-License-Identifier: Apache-2.0
"""What a reader sees: nothing wider than the terminal."""
import cli
from cli import CliTest


class Layout(CliTest):
    def answers(self, columns):
        shape = ("--ranks", 32, "--slots", 288)
        full = (*shape, "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")
        self.good("plan", cli.DEEPSEEK_LIKE, *shape, "-o", "plan.json", "-q")
        for words in (("models",), ("clusters",), ("policies",), ("models", "deepseek_r1_nvfp4"),
                      ("clusters", "gb200_nvl72"), ("plan", cli.DEEPSEEK_LIKE, *full, "--per-layer"),
                      ("compare", cli.DEEPSEEK_LIKE, *full, "--policies", "static,deepseek,snake"),
                      ("check", "plan.json", "plan.json")):
            yield words, self.good(*words, env={"COLUMNS": str(columns)}).out

    def test_no_answer_is_wider_than_80_columns_on_a_terminal_of_80(self):
        for words, text in self.answers(80):
            for line in text.splitlines():
                self.assertLessEqual(len(line), 80, f"{words}: {line}")

    def test_the_tables_of_the_main_job_are_tables_at_80_columns(self):
        for words, text in self.answers(80):
            if words[0] in ("models", "clusters", "compare") and len(words) != 2:
                heads = [line for line in text.splitlines() if line.startswith(words[0].rstrip("s") + "  ")
                         or line.startswith("policy  ")]
                self.assertEqual(len(heads), 1, text)

    def test_no_answer_has_blanks_at_the_end_of_a_line(self):
        for words, text in self.answers(200):
            for line in text.splitlines():
                self.assertEqual(line, line.rstrip(), words)
