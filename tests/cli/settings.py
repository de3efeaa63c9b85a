# SPDX-License-Identifier: Apache-2.0
"""Options that are not on the command line: a settings file, the environment, and who goes first."""
from cli import CliTest


class Settings(CliTest):
    def shown(self, *words, **options):
        """{key: (value, origin)} of --show-config."""
        rows = {}
        for line in self.good(*words, "--show-config", **options).out.splitlines():
            if "=" not in line or line.startswith("#"):
                continue
            setting, _, origin = line.rpartition("# ")
            key, _, value = setting.partition("=")
            rows[key.strip()] = (value.strip(), origin)
        return rows

    def test_a_file_says_what_the_command_line_does_not(self):
        self.write("moeshift.toml", 'ranks = 4\n[plan]\nslots = 12\npolicy = "snake"\n')
        plan = self.good("plan", self.trace(), "--format", "json").json()
        self.assertEqual((plan["result"]["policy"], plan["result"]["planned_for"]["slots"]), ("snake", 12))
        self.assertIn("--policy snake (moeshift.toml), --ranks 4 (moeshift.toml), --slots 12 (moeshift.toml)", str(plan["view"]))

    def test_the_command_line_goes_before_the_environment_and_that_before_the_file(self):
        self.write("moeshift.toml", "ranks = 2\nslots = 8\nthreads = 1\n")
        rows = self.shown("plan", "t.jsonl", "--ranks", 4, env={"MOESHIFT_RANKS": "3", "MOESHIFT_SLOTS": "12"})
        self.assertEqual(rows["ranks"], ("4", "command line"))
        self.assertEqual(rows["slots"], ("12", "MOESHIFT_SLOTS"))
        self.assertEqual(rows["threads"], ("1", "moeshift.toml"))
        self.assertEqual(rows["effort"], ('"normal"', "default"))

    def test_a_file_may_begin_with_a_byte_order_mark(self):
        self.write("mine.toml", "\ufeffranks = 2\nslots = 8\n")
        self.assertEqual(self.shown("plan", "t.jsonl", "--config", "mine.toml")["ranks"][0], "2")
        (self.folder / "wide.toml").write_bytes("ranks = 2\n".encode("utf-16"))
        self.refused("plan", "t.jsonl", "--config", "wide.toml", says=("wide.toml", "iconv -f UTF-16"))

    def test_a_section_goes_before_the_top_and_is_for_its_command_alone(self):
        self.write("mine.toml", "seed = 1\n[trace.generate]\nseed = 7\nsteps = 3\n[plan]\nslots = 12\n")
        self.assertEqual(self.shown("trace", "generate", "--config", "mine.toml")["seed"][0], "7")
        self.assertEqual(self.shown("policies", "--config", "mine.toml")["seed"][0], "1")
        self.assertEqual(len(self.good("trace", "generate", "--config", "mine.toml", "--layers", 2).out.splitlines()), 4)

    def test_what_show_config_prints_is_a_settings_file(self):
        text = self.good("plan", "t.jsonl", "--ranks", 4, "--slots", 12, "--policy", "snake", "--show-config").out
        self.write("mine.toml", text)
        self.assertEqual(self.good("plan", self.trace(), "--config", "mine.toml").out.splitlines()[0],
                         self.good("plan", self.trace(), "--ranks", 4, "--slots", 12, "--policy", "snake").out.splitlines()[0])

    def test_lists_and_flags_are_written_as_toml_has_them(self):
        self.write("moeshift.toml", '[compare]\npolicies = ["static", "snake"]\nranks = 4\nslots = [8, 12]\nquiet = true\n')
        rows = self.good("compare", self.trace(), "--format", "json").json()["result"]["rows"]
        self.assertEqual(len(rows), 4)

    def test_unknown_keys_sections_and_values_are_errors(self):
        table = (("rnks = 4\n", ("moeshift.toml: rnks", "did you mean 'ranks'?")), ("[pln]\nranks = 4\n", ("[pln]", "'plan'")),
                 ("[plan]\nwindow = 4\n", ("plan.window", "no option of 'plan'")), ("[plan]\nranks = -4\n", "plan.ranks"),
                 ('[plan]\npolicy = "best"\n', "plan.policy"), ("[plan]\nranks = [4, 5]\n", ("plan.ranks", "one value")),
                 ('config = "x"\n', "command line"), ('quiet = "perhaps"\n', "true or false"))
        for text, says in table:
            with self.subTest(text=text):
                self.write("moeshift.toml", text)
                self.refused("plan", self.trace(), "--slots", 12, says=says)

    def test_a_misspelt_variable_is_told_and_one_of_somebody_else_is_not(self):
        words = ("plan", self.trace(), "--ranks", 4, "--slots", 12)
        self.refused(*words, env={"MOESHIFT_POLICI": "snake"}, says=("MOESHIFT_POLICI", "did you mean"))
        self.good(*words, env={"MOESHIFT_HOME_OF_SOMETHING": "x", "MOESHIFT_TOKEN": "secret"})
        self.good("policies", env={"MOESHIFT_RANKS": "not a number here"})

    def test_a_file_that_is_named_must_be_there_and_none_means_none(self):
        self.refused("policies", "--config", "missing.toml", says="missing.toml")
        self.write("moeshift.toml", "nonsense = 1\n")
        self.good("policies", "--config", "none")

    def test_what_must_be_given_may_be_given_by_a_file(self):
        self.write("moeshift.toml", '[compare]\npolicies = "snake"\n')
        self.good("compare", self.trace(), "--ranks", 4, "--slots", 12)
        self.refused("compare", self.trace(), "--ranks", 4, "--slots", 12, "--config", "none", says="--policies is required")
