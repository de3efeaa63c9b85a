# SPDX-License-Identifier: Apache-2.0
"""Options that are not used by what was asked: refused when wrong, said to be unused when right, and never silent."""
from cli import CliTest

SHAPE = ("--ranks", 4, "--slots", 12)
MACHINE = ("--cluster", "host", "--model", "model.json")

# Option, a value that is right and one that is wrong, and a policy that does not look at it.
POLICY_OPTIONS = (("--hierarchy", "global", "nonsense", "balanced"), ("--effort", "thorough", "nonsense", "deepseek"),
                  ("--home", "hard", "nonsense", "balanced"), ("--risk", "worst", "nonsense", "deepseek"),
                  ("--price", "0.5", "nonsense", "snake"), ("--inter-node-price", "3", "-1", "static"),
                  ("--target-gap", "0.5", "-1", "balanced"), ("--min-gain", "0.5", "-1", "hierarchical"))
TRACE_OPTIONS = (("--as", "physical", "nonsense"), ("--map", "old.json", "nowhere"), ("--trace-model", "other", None),
                 ("--route-tokens", "9", "0"), ("--sum-ranks", None, None))


class UnusedOptions(CliTest):
    def setUp(self):
        super().setUp()
        self.trace()
        self.tiny_model()
        self.plan("old.json", "--policy", "static", *MACHINE)

    def said(self, words, option, value=None):
        """Runs with the option; what stands on standard error."""
        return self.good(*words, option if value is None else f"{option}={value}", "-o", "answer").err

    def test_what_a_policy_does_not_look_at_is_read_and_said(self):
        commands = {"plan": lambda policy: ("plan", "trace.jsonl", *SHAPE, "--policy", policy),
                    "compare": lambda policy: ("compare", "trace.jsonl", *SHAPE, "--policies", policy),
                    "simulate": lambda policy: ("simulate", "trace.jsonl", *SHAPE, *MACHINE, "--policy", policy),
                    "sweep": lambda policy: ("sweep", "trace.jsonl", *SHAPE, *MACHINE, "--policies", policy)}
        for option, right, wrong, policy in POLICY_OPTIONS:
            for name, words in commands.items():
                with self.subTest(command=name, option=option):
                    self.assertIn(f"{option} is not used: {policy} does not look at it", self.said(words(policy), option, right))
                    self.refused(*words(policy), f"{option}={wrong}")

    def test_what_a_plan_makes_no_use_of_is_said(self):
        words = ("plan", "trace.jsonl", *SHAPE, "--model", "model.json", "--policy", "deepseek", "--from", "old.json")
        self.assertIn("--budget-bytes is not used: deepseek does not look at it", self.said(words, "--budget-bytes", "1"))
        self.assertIn("--explain is not used: deepseek gives no reasons", self.said(words, "--explain"))

    def test_what_some_policy_looks_at_is_not_said_to_be_unused(self):
        words = ("compare", "trace.jsonl", *SHAPE, "--policies", "deepseek,hierarchical")
        self.assertNotIn("not used", self.said(words, "--home", "hard"))
        self.assertNotIn("not used", self.said(words, "--hierarchy", "global"))

    def test_what_the_files_of_a_trace_make_no_use_of_is_said(self):
        for option, right, wrong in TRACE_OPTIONS:
            for words in (("plan", "trace.jsonl", *SHAPE), ("trace", "info", "trace.jsonl"), ("trace", "join", "trace.jsonl")):
                with self.subTest(option=option, command=words[:2]):
                    self.assertIn(f"{option} is not used", self.said(words, option, right))
                    if wrong is not None:
                        self.refused(*words, f"{option}={wrong}")

    def test_serving_parameters_are_read_although_nothing_is_priced(self):
        words = ("plan", "trace.jsonl", *SHAPE)
        self.assertIn("--serving is not used", self.said(words, "--serving", "host"))
        self.refused(*words, "--serving", "nonsense", says="nonsense")

    def test_what_a_replay_does_not_need_is_said(self):
        words = ("simulate", "trace.jsonl", *SHAPE, *MACHINE)
        self.assertIn("there is no --timeline", self.said(words, "--timeline-steps", "0:1"))
        self.refused(*words, "--timeline-steps", "a", says="--timeline-steps")
        self.assertIn("no rank fails", self.said(words, "--reload-rate", "1MiB"))
        self.assertIn("--horizon is not used", self.said((*words, "--ungated"), "--horizon", 7))
        self.assertIn("--background-share is not used", self.said((*words, "--mode", "sync"), "--background-share", 0.5))
        self.assertIn("static never moves", self.said((*words, "--policy", "static"), "--interval", 7))
        self.refused(*words, "--ungated", "--gain-over-cost", 2, says=("--ungated", "--gain-over-cost"))

    def test_what_an_engine_does_not_ask_for_is_said(self):
        words = ("export", "old.json", "--to", "vllm")
        self.assertIn("--rank is not used", self.said(words, "--rank", 1))
        self.assertIn("--first-layer is not used", self.said(words, "--first-layer", 0))
