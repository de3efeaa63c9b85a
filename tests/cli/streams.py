# SPDX-License-Identifier: Apache-2.0
"""Standard streams, files, pipes and colour."""
import gzip
import json
import os
import subprocess

import cli
from cli import CliTest

SHAPE = ("--ranks", 4, "--slots", 12)


class Streams(CliTest):
    def test_a_dash_reads_the_trace_from_standard_input(self):
        text = (self.folder / self.trace()).read_text()
        piped = self.good("plan", "-", *SHAPE, "--format", "json", stdin=text).json()
        filed = self.good("plan", "trace.jsonl", *SHAPE, "--format", "json").json()
        self.assertEqual(piped["result"]["placement"], filed["result"]["placement"])
        self.assertEqual(piped["meta"]["inputs"][0]["path"], "<stdin>")
        self.assertEqual(piped["meta"]["inputs"][0]["sha256"], filed["meta"]["inputs"][0]["sha256"])

    def test_every_input_may_be_packed(self):
        def packed(name):
            (self.folder / (name + ".gz")).write_bytes(gzip.compress((self.folder / name).read_bytes()))
            return name + ".gz"

        self.write("config.json", json.dumps({"model_type": "mixtral", "num_hidden_layers": 2, "num_local_experts": 8,
                                              "num_experts_per_tok": 2, "hidden_size": 64, "intermediate_size": 64, "torch_dtype": "bfloat16"}))
        self.good("models", "import", "config.json", "-o", "model.json")
        self.good("models", "import", packed("config.json"), "-o", "again.json")
        self.assertEqual(self.load("model.json")["expert_tensors"], self.load("again.json")["expert_tensors"])
        self.good("plan", packed(self.trace()), *SHAPE, "--model", packed("model.json"), "-o", "plan.json")
        self.good("check", packed("plan.json"), "plan.json")
        self.good("moves", packed("plan.json"), "plan.json.gz", "--cluster", "host", "--model", "model.json.gz")
        (self.folder / "mindie").mkdir()
        for device, counts in enumerate(("1,2\n", "3,4\n")):
            self.write(f"mindie/decode_{device}.csv", counts)
            packed(f"mindie/decode_{device}.csv")
            (self.folder / f"mindie/decode_{device}.csv").unlink()
        self.assertIn("[[1,2,3,4]]", self.good("trace", "join", "mindie").out)

    def test_a_dash_reads_a_result_to_check_from_standard_input(self):
        plan = self.plan("plan.json")
        text = (self.folder / plan).read_text()
        self.good("check", "-", plan, stdin=text)

    def test_either_placement_may_come_from_standard_input_but_not_both(self):
        self.plan("plan.json")
        text = (self.folder / "plan.json").read_text()
        machine = ("--cluster", "host", "--model", self.tiny_model())
        for command in ("moves", "execute"):
            for words in (("-", "plan.json"), ("plan.json", "-")):
                self.good(command, *words, *machine, stdin=text)
            self.refused(command, "-", "-", *machine, stdin=text, says=("-: ", "read once"))

    def test_a_plan_to_export_may_come_from_standard_input(self):
        self.plan("plan.json")
        text = (self.folder / "plan.json").read_text()
        sglang = self.good("export", "-", "--format", "sglang", "--num-hidden-layers", 2, stdin=text).out
        self.assertIn("physical_to_logical_map", sglang)

    def test_errors_of_standard_input_call_it_so(self):
        self.refused("plan", "-", *SHAPE, stdin="{\n", says="<stdin>:")

    def test_a_missing_file_is_named(self):
        self.refused("plan", "none.jsonl", *SHAPE, says="none.jsonl")

    def test_a_folder_in_the_place_of_a_file_is_refused(self):
        self.refused("plan", ".", *SHAPE, says="moeshift: error: .")

    def test_the_output_file_holds_the_json_envelope(self):
        self.good("plan", self.trace(), *SHAPE, "-o", "plan.json")
        plan = self.load("plan.json")
        self.assertEqual(plan["schema"], "moeshift.plan/2")
        self.assertIn("placement", plan["result"])

    def test_the_ending_of_the_output_file_chooses_its_format(self):
        self.good("models", "-o", "models.csv")
        self.good("models", "-o", "models.md")
        self.assertTrue((self.folder / "models.csv").read_text().startswith("model,layers,"))
        self.assertTrue((self.folder / "models.md").read_text().startswith("| model |"))

    def test_bad_input_leaves_no_output_file_and_no_remains(self):
        self.write("bad.jsonl", "{\n")
        self.refused("plan", "bad.jsonl", *SHAPE, "-o", "plan.json")
        self.assertEqual(self.files(), ["bad.jsonl"])

    def test_bad_input_leaves_an_older_output_file_as_it_was(self):
        self.write("plan.json", "older")
        self.write("bad.jsonl", "{\n")
        self.refused("plan", "bad.jsonl", *SHAPE, "-o", "plan.json")
        self.assertEqual((self.folder / "plan.json").read_text(), "older")
        self.assertEqual(self.files(), ["bad.jsonl", "plan.json"])

    def test_an_output_file_that_cannot_be_made_is_an_error(self):
        result = self.run_program("models", "-o", "no/such/folder/models.json")
        self.assertIn(result.code, (2, 3))
        self.assertIn("no/such/folder/models.json", result.err)

    def test_a_full_disk_is_an_error_and_not_a_success(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("this system has no /dev/full")
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = self.run_program("models", stdout=full)
        self.assertEqual(result.code, 3, result.err)
        self.assertIn("moeshift: error: standard output: cannot be written", result.err)

    def test_a_reader_that_goes_away_is_no_crash_and_no_talk(self):
        program = subprocess.Popen([cli.PROGRAM, "models", "--format", "json"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        program.stdout.close()
        error = program.stderr.read().decode()
        program.stderr.close()
        self.assertIn(program.wait(timeout=60), (0, -13, 141))
        self.assertEqual(error, "")

    def test_quiet_silences_standard_error(self):
        self.assertEqual(self.good("plan", self.trace(), *SHAPE, "-q").err, "")

    def test_verbose_names_what_was_read_and_written_and_what_it_took(self):
        lines = self.good("plan", self.trace(), *SHAPE, "-v", "-o", "plan.json").err.splitlines()
        self.assertRegex(lines[0], r"^moeshift: read trace.jsonl, sha256 [0-9a-f]{64}$")
        self.assertEqual(lines[1], "moeshift: wrote plan.json")
        self.assertRegex(lines[2], r"^moeshift: used .* of processors, .* of memory$")

    def test_nothing_but_the_answer_is_printed_on_standard_output(self):
        json.loads(self.good("compare", self.trace(), *SHAPE, "--policies", "static,snake",
                             "--format", "json", "-v").out)

    def test_colour_is_off_where_the_output_is_no_terminal(self):
        self.assertNotIn("\033", self.good("models").out)

    def test_colour_comes_when_it_is_forced(self):
        self.assertIn("\033[", self.good("models", "--color", "always").out)
        self.assertIn("\033[", self.good("models", env={"CLICOLOR_FORCE": "1"}).out)
        self.assertNotIn("\033", self.good("models", "--color", "never", env={"CLICOLOR_FORCE": "1"}).out)

    def test_no_color_turns_colour_off_on_a_terminal(self):
        for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
            with self.subTest(environment=environment):
                self.assertEqual("\033[" in self.on_terminal(environment, "models"), coloured)

    def on_terminal(self, environment, *words):
        """What the program writes to a terminal."""
        ours, theirs = self.pseudo_terminal()
        clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CLICOLOR_FORCE")}
        with subprocess.Popen([cli.PROGRAM, *words], stdout=theirs, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, env={**clean, **environment}) as program:
            os.close(theirs)
            written = b""
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:
                    break
                if not piece:
                    break
                written += piece
            os.close(ours)
            self.assertEqual(program.wait(timeout=60), 0)
        return written.decode()
