# SPDX-License-Identifier: Apache-2.0
"""The four forms of one answer."""
import csv
import hashlib
import io
import math

from cli import CliTest

SHAPE = ("--ranks", 4, "--slots", 12)


class Formats(CliTest):
    def commands(self):
        """Commands that end in a table, with what they need."""
        trace = self.trace()
        plan = self.plan("plan.json")
        return {"models": ("models",), "clusters": ("clusters",), "policies": ("policies",),
                "plan": ("plan", trace, *SHAPE),
                "compare": ("compare", trace, *SHAPE, "--policies", "static,snake"),
                "check": ("check", plan, plan)}

    def test_json_is_one_envelope_with_schema_and_meta_and_result_and_view(self):
        for name, words in self.commands().items():
            with self.subTest(command=name):
                document = self.good(*words, "--format", "json").json()
                self.assertEqual(list(document), ["schema", "meta", "result", "view"])
                self.assertEqual(document["schema"], f"moeshift.{name}/2")
                self.assertEqual(list(document["meta"]), ["argv", "version", "git", "seed", "inputs"])
                self.assertEqual(document["meta"]["argv"][1:], [str(w) for w in words] + ["--format", "json"])

    def test_json_names_every_input_with_its_hash(self):
        document = self.good("plan", self.trace(), *SHAPE, "--format", "json").json()
        expected = hashlib.sha256((self.folder / "trace.jsonl").read_bytes()).hexdigest()
        self.assertEqual(document["meta"]["inputs"], [{"path": "trace.jsonl", "sha256": expected}])

    def test_json_holds_finite_numbers_and_no_numbers_in_texts(self):
        def visit(value):
            if isinstance(value, float):
                self.assertTrue(math.isfinite(value))
            for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                visit(item)
        for name, words in self.commands().items():
            with self.subTest(command=name):
                visit(self.good(*words, "--format", "json").json())

    def test_csv_has_a_header_and_rows_of_the_same_length(self):
        for name, words in self.commands().items():
            with self.subTest(command=name):
                text = self.good(*words, "--format", "csv").out
                for block in text.replace("\r\n", "\n").strip("\n").split("\n\n"):
                    rows = list(csv.reader(io.StringIO(block)))
                    self.assertGreater(len(rows), 1)
                    self.assertEqual({len(row) for row in rows}, {len(rows[0])})

    def test_csv_numbers_are_bare_and_agree_with_the_json(self):
        rows = list(csv.DictReader(io.StringIO(self.good("models", "--format", "csv").out)))
        models = self.good("models", "--format", "json").json()["result"]["models"]
        self.assertEqual([int(row["expert"]) for row in rows], [m["expert_bytes"] for m in models])

    def test_markdown_is_a_table_with_a_rule_below_its_header(self):
        for name, words in self.commands().items():
            with self.subTest(command=name):
                lines = self.good(*words, "--format", "markdown").out.splitlines()
                rules = [i for i, line in enumerate(lines) if line.startswith("|---") or line.startswith("|--")]
                self.assertTrue(rules)
                self.assertEqual(lines[rules[0]].count("|"), lines[rules[0] - 1].count("|"))

    def test_a_shipped_cluster_cut_out_of_the_json_is_a_cluster_file(self):
        import json
        cluster = self.good("clusters", "gb200_nvl72", "--format", "json").json()["result"]["clusters"][0]
        self.write("mine.json", json.dumps(cluster))
        again = self.good("clusters", "mine.json", "--format", "json").json()["result"]["clusters"][0]
        self.assertEqual(again, cluster)
