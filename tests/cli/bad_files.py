# SPDX-License-Identifier: Apache-2.0
"""Model, cluster, plan and result files that are wrong: exit 2 and the JSON pointer."""
import json
import os
import subprocess

import cli
from cli import CliTest


class BadFiles(CliTest):
    def shipped(self, kind, name):
        return json.loads((cli.SOURCE / "configs" / kind / f"{name}.json").read_text())

    def refuses(self, command, document, says):
        self.write("mine.json", json.dumps(document))
        self.refused(command, "mine.json", says=("mine.json#" + says[0], *says[1:]))

    def test_a_model_without_a_key_is_refused(self):
        model = self.shipped("models", "gpt_oss_20b_mxfp4")
        del model["top_k"]
        self.refuses("models", model, (": ", '"top_k"'))

    def test_a_model_with_an_unknown_key_is_refused_with_the_nearest(self):
        model = {**self.shipped("models", "gpt_oss_20b_mxfp4"), "num_layer": 3}
        self.refuses("models", model, ("/num_layer: ", "did you mean 'num_layers'?"))

    def test_a_model_whose_bytes_are_wrong_is_refused_with_the_right_ones(self):
        model = self.shipped("models", "gpt_oss_20b_mxfp4")
        model["expert_tensors"][2]["bytes"] += 1
        self.refuses("models", model, ("/expert_tensors/2/bytes: ", "11520"))

    def test_a_cluster_with_a_negative_latency_is_refused(self):
        cluster = self.shipped("clusters", "hgx_h200")
        cluster["intra_node"]["latency_seconds"] = -1e-6
        self.refuses("clusters", cluster, ("/intra_node/latency_seconds: ",))

    def test_a_cluster_with_a_link_that_carries_nothing_is_refused(self):
        cluster = self.shipped("clusters", "hgx_h200")
        cluster["inter_node"]["egress_bytes_per_second"] = 0
        self.refuses("clusters", cluster, ("/inter_node/egress_bytes_per_second: ",))

    def test_a_configuration_with_a_key_twice_is_refused_with_its_line(self):
        self.write("mine.json", '{\n"name": "a",\n"name": "b"\n}')
        self.refused("models", "mine.json", says=("mine.json:3: ", '"name"'))

    def test_a_truncated_configuration_is_refused_with_its_line(self):
        text = (cli.SOURCE / "configs/models/gpt_oss_20b_mxfp4.json").read_text()
        self.write("mine.json", text[: len(text) // 2])
        self.refused("models", "mine.json", says="mine.json:")

    def test_paths_that_cannot_be_looked_at_are_bad_input_for_every_reader(self):
        os.symlink("circle", self.folder / "circle")
        plan = self.plan("plan.json")
        for path in ("circle", "x" * 300, "circle/x"):
            for words in (("trace", "info", path), ("models", path + ".json"), ("check", plan, path),
                          ("plan", self.trace(), "--ranks", 4, "--slots", 12, "--from", path),
                          ("models", "-o", path + "/x.json")):
                with self.subTest(words=words):
                    self.refused(*words)

    def test_a_device_that_fails_while_it_is_read_ends_in_a_line_and_a_code(self):
        if not os.path.exists("/proc/self/mem"):
            self.skipTest("this system has no /proc/self/mem")
        result = self.run_program("trace", "info", "/proc/self/mem")
        self.assertIn(result.code, (2, 3), result.err)
        self.assertEqual(len(result.err.splitlines()), 1, result.err)

    def test_an_error_at_the_start_of_an_endless_pipe_ends_the_program(self):
        with subprocess.Popen(["sh", "-c", "echo '{'; exec yes"], stdout=subprocess.PIPE) as endless:
            done = subprocess.run([cli.PROGRAM, "trace", "info", "-"], stdin=endless.stdout, capture_output=True,
                                  timeout=20, check=False)
            endless.kill()
        self.assertEqual(done.returncode, 2, done.stderr)

    def test_lists_without_values_are_refused(self):
        for option, words in (("--policies", ("compare", self.trace(), "--ranks", 4, "--slots", 12)),
                              ("--ranks", ("sweep", self.trace(), "--policies", "static"))):
            for value in ("", ",", "a,,b"):
                with self.subTest(option=option, value=value):
                    self.refused(*words, f"{option}={value}", says=option)

    def test_any_number_of_threads_gives_the_same_answer_and_no_talk(self):
        words = ("plan", self.trace(), "--ranks", 4, "--slots", 12, "--format", "csv")
        first, many = self.good(*words, "--threads", 1), self.good(*words, "--threads", 10 ** 9)
        self.assertEqual([line for line in first.out.splitlines() if "seconds" not in line],
                         [line for line in many.out.splitlines() if "seconds" not in line])
        self.assertEqual(many.err, "")

    def plan_with(self, change):
        """A plan file after `change` of its placement, given to export."""
        plan = self.load(self.plan("plan.json"))
        change(plan["result"]["placement"])
        self.write("mine.json", json.dumps(plan))
        return self.refused("export", "mine.json", "--to", "vllm", "-o", "map.jsonl", says="mine.json")

    def test_an_input_is_not_written_over(self):
        trace, plan = self.trace(), self.plan("plan.json")
        os.symlink("plan.json", self.folder / "link.json")
        before = {name: (self.folder / name).read_bytes() for name in (trace, plan)}
        for words in (("plan", trace, "--ranks", 4, "--slots", 12, "-o", trace), ("trace", "convert", trace, trace),
                      ("trace", "join", trace, "-o", f"./{trace}"), ("export", plan, "--to", "npy", "-o", "link.json"),
                      ("check", plan, plan, "-o", plan), ("report", plan, "-o", plan)):
            with self.subTest(words=words):
                self.refused(*words, says="is read by this command")
        self.assertEqual({name: (self.folder / name).read_bytes() for name in before}, before)

    def test_what_files_say_reaches_the_terminal_without_control_characters(self):
        self.trace("trace.jsonl", {"model": "\x1b[31mred\x07\u202e"})
        for words in (("trace", "info", "trace.jsonl"), ("plan", "trace.jsonl", "--ranks", 4, "--slots", 12, "-v")):
            for form in ("table", "markdown", "csv", "json"):
                said = self.good(*words, "--format", form)
                for mark in ("\x1b", "\x07", "\u202e" if form != "json" else "\x07"):
                    self.assertNotIn(mark, said.out + said.err, f"{words} {form}")

    def test_a_plan_with_an_expert_that_does_not_exist_is_refused(self):
        self.plan_with(lambda p: p["physical_to_logical"][1].__setitem__(4, 8))

    def test_a_plan_with_a_fractional_expert_is_refused(self):
        self.plan_with(lambda p: p["physical_to_logical"][1].__setitem__(4, 1.5))

    def test_a_plan_with_an_expert_below_minus_one_is_refused(self):
        self.plan_with(lambda p: p["physical_to_logical"][1].__setitem__(4, -2))

    def test_a_plan_with_rows_of_different_length_is_refused(self):
        self.plan_with(lambda p: p["physical_to_logical"][1].pop())

    def test_a_plan_whose_slots_do_not_divide_by_its_ranks_is_refused(self):
        self.plan_with(lambda p: p.__setitem__("num_ranks", 5))

    def test_a_plan_with_no_layer_is_refused(self):
        self.plan_with(lambda p: p.__setitem__("physical_to_logical", []))

    def test_a_refused_plan_leaves_no_output_file(self):
        self.plan_with(lambda p: p.__setitem__("num_ranks", 5))
        self.assertNotIn("map.jsonl", self.files())
