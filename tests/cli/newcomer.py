# SPDX-License-Identifier: Apache-2.0
"""A newcomer's first hour, in a copy of what a clone holds: every block of the documents and every example of a help is
run, and says what the documents say."""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

import cli
from cli import SOURCE, CliTest


class Newcomer(CliTest):
    def setUp(self):
        super().setUp()
        (self.folder / "traces").symlink_to(SOURCE / "traces")

    def check(self, document):
        environment = {**os.environ, "MOESHIFT": str(pathlib.Path(cli.PROGRAM).resolve())}
        done = subprocess.run([sys.executable, str(SOURCE / "scripts" / "readme"), "--check", str(SOURCE / document)], env=environment,
                              cwd=self.folder, text=True, encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])

    def test_the_readme_says_what_the_program_says(self):
        self.check("README.md")

    def test_the_tour_says_what_the_program_says(self):
        self.check("docs/tour.md")

    def examples(self):
        """{command: its example} as --help prints it."""
        names = [line.split("  ")[1] for line in self.good("--help").out.split("commands:\n")[1].split("\n\n")[0].splitlines()
                 if line.startswith("  ") and not line.startswith("   ")]
        return {name: self.good(*name.split(), "--help").out.split("example:\n")[1].replace("\\\n", " ") for name in names}

    def prepare(self):
        """The files that examples name, made as a user would have them."""
        self.good("trace", "generate", "--preset", "prefill", "--steps", 20, "-o", "long.jsonl", "-q")
        shutil.copy(self.folder / "long.jsonl", self.folder / "trace.jsonl")
        shape = ("--ranks", 32, "--slots", 288, "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8", "--policy", "deepseek", "-q")
        self.good("plan", "trace.jsonl", *shape, "--windows", "0:4", "-o", "old.json")
        self.good("plan", "trace.jsonl", *shape, "--windows", "4:8", "-o", "new.json")
        shutil.copy(self.folder / "old.json", self.folder / "plan.json")
        shutil.copy(self.folder / "old.json", self.folder / "baseline.json")
        self.good("compare", "trace.jsonl", *shape[:-3], "--policies", "static,deepseek", "-o", "compare.json", "-q")
        self.good("diagnose", "trace.jsonl", *shape[:-3], "--policy", "deepseek", "-o", "diagnosis.json", "-q")
        self.good("trace", "convert", "trace.jsonl", "stats.jsonl", "--to", "vllm", "-q")
        for rank in (0, 1):
            shutil.copy(SOURCE / "tests" / "unit" / "formats" / "recordings" / f"sglang_per_pass_{rank}.pt", self.folder / f"rank{rank}.pt")
        self.write("config.json", '{"model_type": "mixtral", "num_hidden_layers": 4, "num_local_experts": 8, "num_experts_per_tok": 2, '
                                  '"hidden_size": 64, "intermediate_size": 128, "torch_dtype": "bfloat16"}')

    def test_the_example_of_every_help_runs(self):
        self.prepare()
        examples = self.examples()
        self.assertGreater(len(examples), 20)
        for name, example in examples.items():
            if name in ("calibrate", "simulate", "sweep"):  # minutes on two cores; the tour runs their like
                continue
            if name == "trace routes":  # tokens of a real model, which nobody ships; routes_command.py has made ones
                continue
            shutil.copy(self.folder / "long.jsonl", self.folder / "trace.jsonl")  # an example before wrote its own
            with self.subTest(command=name):
                words = shlex.split(example)
                if words[0] == "source":
                    words = ["moeshift", "completion", "bash"]
                self.assertEqual(words[0], "moeshift")
                result = self.run_program(*words[1:])
                self.assertIn(result.code, (0, 1) if name in ("check", "check-schedule") else (0,), f"{example}: {result.err}")

    def test_the_first_commands_of_the_readme_answer_at_once(self):
        """Told, not demanded: what a machine under test is busy with is not known here."""
        text = (SOURCE / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
        commands = [line[2:] for line in text.splitlines() if line.startswith("$ moeshift")][:4]
        (self.folder / "results").mkdir()
        for command in commands:
            begin = time.monotonic()
            self.good(*shlex.split(command)[1:])
            print(f"{time.monotonic() - begin:.2f} s  {command[:70]}", file=sys.stderr)
        self.assertEqual(len(commands), 4)
