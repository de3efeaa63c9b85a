# SPDX-License-Identifier: Apache-2.0
"""Wrong usage: exit 2, one line that says what was meant."""
import re

from cli import CliTest

SHAPE = ("--ranks", 4, "--slots", 12)


class Usage(CliTest):
    def command_names(self):
        """From the table of commands in the help."""
        table = self.good("--help").out.split("commands:\n")[1].split("\n\n")[0]
        return [m[1].strip() for m in re.finditer(r"^  (\S+(?: \S+)?)  ", table, re.MULTILINE)]

    def test_no_command_prints_the_help_on_standard_error_and_exits_2(self):
        result = self.run_program()
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertIn("usage: moeshift COMMAND", result.err)

    def test_the_help_lists_every_command_of_the_main_job(self):
        names = self.command_names()
        for name in ("plan", "compare", "check", "models", "clusters", "policies", "trace generate"):
            self.assertIn(name, names)
        self.assertEqual(len(names), len(set(names)), "a command is listed twice")

    def test_the_short_help_of_every_command_fits_a_screen(self):
        for name in ("plan", "moves", "compare", "simulate", "sweep", "diagnose", "execute", "calibrate", "check", "export", "trace generate",
                     "trace convert", "trace info", "report"):
            with self.subTest(command=name):
                lines = self.good(*name.split(), "-h").out.splitlines()
                self.assertLessEqual(len(lines), 44)
                self.assertLessEqual(max(map(len, lines)), 80)

    def test_every_command_has_a_short_and_a_full_help_with_an_example(self):
        for name in self.command_names():
            with self.subTest(command=name):
                short = self.good(*name.split(), "-h").out
                full = self.good(*name.split(), "--help").out
                self.assertTrue(short.startswith(f"usage: moeshift {name}"))
                self.assertGreater(len(full), len(short))
                self.assertIn("example:\n  ", full)
                self.assertIn(f"moeshift {name}", full.split("example:\n")[1])

    def test_help_of_a_command_is_its_full_help(self):
        self.assertEqual(self.good("help", "trace", "info").out, self.good("trace", "info", "--help").out)
        self.refused("help", "plna", says="did you mean 'plan'?")

    def test_help_of_a_family_lists_its_commands(self):
        for words in (("trace", "--help"), ("trace", "-h"), ("help", "trace")):
            text = self.good(*words).out
            for name in ("trace info", "trace convert", "trace generate"):
                self.assertIn(f"\n  {name} ", text)
            self.assertNotIn("\n  plan ", text)

    def test_no_line_of_any_help_is_wider_than_80_columns(self):
        helps = [self.good("--help").out]
        helps += [self.good(*name.split(), "--help").out
                  for name in self.command_names()]
        for text in helps:
            for line in text.splitlines():
                self.assertLessEqual(len(line), 80, line)

    def test_the_version_names_the_program_and_its_revision(self):
        for words in ("--version", "-V"):
            self.assertRegex(self.good(words).out, r"^moeshift \d+\.\d+\.\d+ \(\S+\)\n$")

    def test_an_unknown_command_suggests_the_nearest(self):
        self.refused("plna", says="unknown command 'plna'; did you mean 'plan'?")

    def test_an_unknown_subcommand_suggests_the_nearest(self):
        self.refused("trace", "generat", says=("unknown command 'trace generat'", "did you mean 'generate'?"))

    def test_a_group_of_commands_without_one_lists_them(self):
        self.refused("trace", says=("'trace' needs one of", "generate"))

    def test_an_unknown_option_suggests_the_nearest(self):
        self.refused("plan", self.trace(), *SHAPE, "--polcy", "snake",
                     says=("unknown option '--polcy'", "did you mean '--policy'?"))

    def test_an_unknown_policy_suggests_the_nearest(self):
        self.refused("plan", self.trace(), *SHAPE, "--policy", "depseek", says="did you mean 'deepseek'?")

    def test_an_unknown_policy_of_a_list_suggests_the_nearest(self):
        self.refused("compare", self.trace(), *SHAPE, "--policies", "static,snak",
                     says=("unknown policy 'snak'", "did you mean 'snake'?"))

    def test_an_unknown_format_suggests_the_nearest(self):
        self.refused("models", "--format", "jsn", says="did you mean 'json'?")

    def test_an_unknown_model_suggests_the_nearest(self):
        self.refused("models", "deepseek_v3_fp16", says=("unknown model 'deepseek_v3_fp16'", "deepseek_v3_"))

    def test_the_beginning_of_a_name_suggests_the_whole(self):
        self.refused("models", "deepseek_v3", says="did you mean 'deepseek_v3_fp8'?")

    def test_a_misspelt_shell_suggests_the_nearest(self):
        self.assertIn("complete -F _moeshift moeshift", self.good("completion", "bash").out)
        self.refused("completion", "bsh", says="did you mean 'bash'?")

    def test_export_takes_format_as_engines_are_named(self):
        plan = self.plan("plan.json")
        self.assertEqual(self.good("export", plan, "--format", "vllm").out, self.good("export", plan, "--to", "vllm").out)
        self.refused("export", plan, "--format", "vlm", says="did you mean 'vllm'?")

    def test_an_unknown_cluster_suggests_the_nearest(self):
        self.refused("clusters", "hgx_h2000", says=("unknown cluster 'hgx_h2000'", "did you mean 'hgx_h200'?"))
        self.refused("clusters", "h200", says="did you mean 'hgx_h200'?")

    def test_a_missing_option_is_named(self):
        self.refused("plan", self.trace(), "--ranks", 4, says="--slots")

    def test_a_missing_argument_is_named(self):
        self.refused("plan", *SHAPE, says="TRACE")
        self.refused("check", "only.json", says="BASELINE")

    def test_an_argument_too_many_is_named(self):
        self.refused("plan", self.trace(), "second.jsonl", *SHAPE, says="second.jsonl")

    def test_counts_take_no_sign_and_no_fraction_and_no_words(self):
        for word in ("-3", "2.5", "four", "1e3", "99999999999999999999", "", "4 "):
            with self.subTest(word=word):
                self.refused("plan", self.trace(), f"--ranks={word}", "--slots", 12, says="--ranks")

    def test_a_number_that_is_too_large_is_not_said_to_be_none(self):
        self.refused("plan", self.trace(), *SHAPE, "--seed", 2**64 - 1, says=("--seed", "at most 2^53"))

    def test_no_ranks_and_no_slots_are_too_few(self):
        self.refused("plan", self.trace(), "--ranks", 0, "--slots", 12, says="--ranks: expected at least 1")
        self.refused("plan", self.trace(), "--ranks", 4, "--slots", 0, says="--slots: expected at least 1")

    def test_an_option_that_is_there_twice_is_said_to_be(self):
        self.refused("plan", self.trace(), *SHAPE, "--ranks", 8, says="--ranks: is there 2 times; expected it once")

    def test_an_option_without_its_value_is_said_to_need_one(self):
        self.refused("compare", self.trace(), *SHAPE, "--policies", says="--policies: expected a value")

    def test_two_answers_do_not_share_a_file(self):
        self.plan("old.json")
        self.plan("new.json", "--policy", "static")
        self.tiny_model()
        moves = ("moves", "old.json", "new.json", "--cluster", "host", "--model", "model.json", "-o", "same")
        self.refused(*moves, "--matrix", "./same", says=("--matrix", "that of --output"))
        self.assertNotIn("same", self.files())

    def test_a_result_that_is_named_like_a_page_is_said_to_be_none(self):
        said = self.good("plan", self.trace(), *SHAPE, "-o", "plan.html").err
        self.assertIn("moeshift report plan.html -o PAGE.html", said)
        self.assertEqual(self.good("report", "plan.html", "-o", "page.html").err, "")

    def test_one_of_a_kind_is_singular(self):
        trace = self.trace(header={"num_layers": 1}, loads=[[[3, 1, 1, 1, 1, 1, 1, 1]]])
        said = self.good("plan", trace, "--ranks", 1, "--slots", 8).out.splitlines()[0]
        self.assertEqual(said, "balanced: 1 layer x 8 experts, 1 step -> 8 slots on 1 rank, 1 node")

    def test_a_window_that_is_none_is_refused(self):
        for window in ("4:2", "1:1", "a:b", "-1:2", "0:2:4", "1.5:2"):
            with self.subTest(window=window):
                self.refused("plan", self.trace(), *SHAPE, f"--windows={window}", says="--windows")

    def test_a_window_beyond_the_trace_is_refused(self):
        self.refused("plan", self.trace(), *SHAPE, "--windows", "0:9", says=("0:9", "2 steps"))
