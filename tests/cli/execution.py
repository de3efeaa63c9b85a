# SPDX-License-Identifier: Apache-2.0
"""A small rearrangement that the tests of execute perform: 6 layers, 16 experts, 4 ranks."""
import json

from cli import CliTest

LAYERS, EXPERTS, RANKS, SLOTS = 6, 16, 4, 24
TENSOR = {"name": "w", "shape": [64, 256], "dtype": "bf16", "bytes": 32768}


class ExecutionTest(CliTest):
    def setUp(self):
        super().setUp()
        for name, seed in (("old.json", 3), ("new.json", 8)):
            trace = f"{name}.jsonl"
            self.good("trace", "generate", "--preset", "decode", "--layers", LAYERS, "--experts", EXPERTS,
                      "--top-k", 2, "--groups", 1, "--steps", 1, "--seed", seed, "-o", trace, "-q")
            self.good("plan", trace, "--ranks", RANKS, "--slots", SLOTS, "--policy", "deepseek", "-o", name, "-q")
        model = {"name": "tiny", "description": "for tests", "source": "none", "num_layers": LAYERS,
                 "num_experts": EXPERTS, "top_k": 2, "num_expert_groups": 1, "hidden_size": 64,
                 "layer_ids": list(range(LAYERS)), "expert_tensors": [TENSOR]}
        self.write("model.json", json.dumps(model))

    def words(self, *more):
        return ("execute", "old.json", "new.json", "--cluster", "host", "--model", "model.json", *more)

    def performed(self, *more):
        """The result of a run that succeeds."""
        return self.good(*self.words(*more, "--format", "json")).json()["result"]

    def failed(self, *more, code=3, says=()):
        """A run that ends with `code` and names everything in `says` on stderr."""
        result = self.run_program(*self.words(*more))
        self.assertEqual(result.code, code, f"{more}: {result.out[-500:]} {result.err}")
        for text in says:
            self.assertIn(text, result.err)
        return result

    def journal(self, name="journal"):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def assert_byte_exact(self, result, survivors):
        """Survivors looked at every byte and found each layer old or new."""
        self.assertIn("every byte as it should be", result.err)
        self.assertNotIn("WRONG", result.err)
        self.assertEqual(result.err.count("every byte as it should be"), survivors, result.err)
