# SPDX-License-Identifier: Apache-2.0
"""What the module answers is what the program answers, to the last digit."""
import json
import unittest

import numpy

import support
import moeshift
from support import DECODE, PREFILL, program, program_file, program_text, without_times

SHAPE = ["--ranks", "32", "--slots", "288", "--cluster", "hgx_h200"]
SHAPED = dict(ranks=32, slots=288, cluster="hgx_h200")


class PlanTest(unittest.TestCase):
    def check(self, words, trace, **options):
        expected = program("plan", PREFILL, *words, *SHAPE)["result"]
        made = moeshift.plan(trace, **SHAPED, **options)
        self.assertEqual(json.loads(json.dumps(without_times(made.result))), without_times(expected))
        self.assertEqual(made.physical_to_logical.tolist(),
                         expected["placement"]["physical_to_logical"])
        self.assertEqual(made.metrics, expected["metrics"])
        self.assertEqual(made.layers, expected["layers"])
        return made

    def test_defaults_are_the_programs(self):
        self.check(["--windows", "0:4"], moeshift.read_trace(PREFILL, windows="0:4"))

    def test_options_have_their_names(self):
        trace = moeshift.read_trace(PREFILL, windows="0:2")
        self.check(["--windows", "0:2", "--policy", "balanced", "--model", "deepseek_v3_fp8",
                    "--inactive", "3,7", "--nodes", "4", "--effort", "fast"],
                   trace, policy="balanced", model="deepseek_v3_fp8", inactive=[3, 7], nodes=4,
                   effort="fast")

    def test_old_maps_and_budgets_count(self):
        path = str(support.folder(self) / "old.json")
        program_file(path, "plan", PREFILL, "--windows", "0:2", "--policy", "balanced", *SHAPE,
                     "--model", "deepseek_v3_fp8")
        words = ["--windows", "4:6", "--policy", "incremental", "--from", path, "--model",
                 "deepseek_v3_fp8", "--budget-bytes", "20GB", "--effort", "fast"]
        options = dict(policy="incremental", model="deepseek_v3_fp8", budget_bytes="20GB",
                       effort="fast")
        trace = moeshift.read_trace(PREFILL, windows="4:6")
        made = self.check(words, trace, old=moeshift.read_placement(path), **options)
        # The old map as an array gives the same.
        again = moeshift.plan(trace.loads, old=moeshift.read_placement(path).physical_to_logical,
                              layer_ids=trace.layer_ids, nodes=4, groups=8, **SHAPED, **options)
        numpy.testing.assert_array_equal(again.physical_to_logical, made.physical_to_logical)
        moves = made.moves("hgx_h200", "deepseek_v3_fp8")
        new = str(support.folder(self) / "new.json")
        program_file(new, "plan", PREFILL, *words, *SHAPE)
        expected = program("moves", path, new)["result"]
        self.assertEqual(moves.totals, expected["totals"])
        self.assertEqual(moves.plan_hash, expected["plan_hash"])
        self.assertEqual(len(moves.transfers), expected["totals"]["transfers"])
        self.assertEqual(int(moves.transfers["bytes"].sum()),
                         sum(expected["totals"]["bytes_by_link"].values()))
        after = made.physical_to_logical
        for row in moves.transfers[:200]:
            layer = made.placement.layer_ids.index(row["layer"])
            if row["slot"] >= 0:
                self.assertEqual(after[layer, row["slot"]], row["expert"])
                self.assertEqual(row["slot"] // 9, row["destination"])

    def test_a_plan_without_an_old_map_cannot_tell_its_moves(self):
        made = moeshift.plan(support.loads(), ranks=8, slots=40)
        with self.assertRaisesRegex(moeshift.InputError, "old"):
            made.moves("hgx_h200", "deepseek_v3_fp8")


class CommandTest(unittest.TestCase):
    def test_simulate_answers_as_the_program_for_a_path_and_for_memory(self):
        words = ["--ranks", "8", "--slots", "72", "--policy", "balanced", "--cluster", "hgx_h100",
                 "--model", "deepseek_v2_lite_bf16", "--interval", "4", "--horizon", "100000"]
        options = dict(ranks=8, slots=72, policy="balanced", cluster="hgx_h100",
                       model="deepseek_v2_lite_bf16", interval=4,
                       horizon=100000)
        trace = str(support.folder(self) / "short.jsonl")
        self.write_lite(trace)
        expected = program("simulate", trace, *words)["result"]
        self.assertGreater(len(expected["rearrangements"]), 0)
        self.assertEqual(moeshift.simulate(trace, **options), expected)
        self.assertEqual(moeshift.simulate(moeshift.read_trace(trace), **options), expected)

    def write_lite(self, path):
        random = numpy.random.default_rng(1)
        hot = random.lognormal(5, 1, (26, 64))
        with moeshift.recorder.Recorder(path, layers=26, experts=64, top_k=6) as recorder:
            for _ in range(12):
                recorder.record(random.poisson(hot))

    def test_diagnose_answers_as_the_program(self):
        words = ["--ranks", "8", "--slots", "72", "--cluster", "hgx_h100", "--model",
                 "deepseek_v2_lite_bf16"]
        trace = str(support.folder(self) / "short.jsonl")
        self.write_lite(trace)
        expected = program("diagnose", trace, *words)["result"]
        self.assertEqual(moeshift.diagnose(trace, ranks=8, slots=72, cluster="hgx_h100",
                                           model="deepseek_v2_lite_bf16"), expected)

    def test_export_writes_what_the_program_writes(self):
        path = support.folder(self) / "plan.json"
        program_file(path, "plan", DECODE, "--ranks", "8", "--slots", "72")
        made = moeshift.plan(moeshift.read_trace(DECODE), ranks=8, slots=72)
        for engine in ("vllm", "sglang", "trtllm"):
            with self.subTest(engine):
                expected = program_text("export", str(path), "--to", engine,
                                        "--num-hidden-layers", "24")
                for plan in (made, str(path), moeshift.read_placement(path)):
                    self.assertEqual(moeshift.export(plan, engine, num_hidden_layers=24), expected)
        out = support.folder(self) / "map.json"
        moeshift.export(made, "vllm", out)
        self.assertEqual(out.read_text(), program_text("export", str(path), "--to", "vllm"))

    def test_shipped_machines_and_models_have_their_names(self):
        self.assertEqual(moeshift.load_cluster("hgx_h200"),
                         program("clusters", "hgx_h200")["result"]["clusters"][0])
        self.assertEqual(moeshift.load_model("deepseek_v3_fp8")["num_experts"], 256)
        with self.assertRaisesRegex(moeshift.InputError, "deepseek_v3_fp8"):
            moeshift.load_model("deepseek_v3_fp")

    def test_bad_files_and_options_are_named(self):
        with self.assertRaisesRegex(moeshift.InputError, "no-such-file"):
            moeshift.read_trace("no-such-file.jsonl")
        with self.assertRaisesRegex(moeshift.InputError, "did you mean"):
            moeshift.simulate(DECODE, ranks=8, slots=72, polcy="static")
        with self.assertRaisesRegex(moeshift.InputError, "unknown command"):
            moeshift.command("plann")
        with self.assertRaisesRegex(moeshift.InputError, "windows|range|steps"):
            moeshift.read_trace(DECODE, windows="90:99")

    def test_what_was_taken_for_granted_is_warned_of(self):
        import warnings
        path = support.folder(self) / "torn.jsonl"
        with moeshift.recorder.Recorder(path, layers=2, experts=4) as recorder:
            recorder.record(numpy.ones((2, 4), dtype=int))
        with open(path, "a") as file:
            file.write('{"step":1,"load":[[1,')
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            trace = moeshift.read_trace(path)
        self.assertEqual(trace.num_steps, 1)
        self.assertTrue(any(issubclass(w.category, moeshift.Notice) and "cut off" in str(w.message)
                            for w in said))


if __name__ == "__main__":
    support.main()
