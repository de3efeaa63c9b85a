# SPDX-License-Identifier: Apache-2.0
"""Timelines as viewers of Chrome traces take them: names that group, arguments, counters, arrows that hit spans."""
import cli
from cli import CliTest

PREFILL = ("--ranks", 32, "--slots", 288, "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")


class Timelines(CliTest):
    def events(self, *words):
        self.good(*words, "--timeline", "timeline.json", "-q")
        return self.valid(self.load("timeline.json"))

    def valid(self, document):
        """The rules of the format: known phases with what they need; spans on named tracks; arrows in pairs."""
        events = document["traceEvents"]
        processes = {e["pid"] for e in events if e["name"] == "process_name"}
        tracks = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
        ordered = {e["pid"] for e in events if e["name"] == "process_sort_index"}
        self.assertEqual(processes, ordered)
        spans = {}
        for event in events:
            self.assertIn(event["ph"], "MXCsf")
            self.assertIn(event["pid"], processes)
            if event["ph"] == "X":
                self.assertIn((event["pid"], event["tid"]), tracks)
                self.assertGreaterEqual(event["dur"], 0)
                spans.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
            if event["ph"] == "C":
                self.assertGreaterEqual(event["args"]["value"], 0)
        ends = {kind: {e["id"]: e for e in events if e["ph"] == kind} for kind in "sf"}
        self.assertEqual(set(ends["s"]), set(ends["f"]))
        for end in list(ends["s"].values()) + list(ends["f"].values()):
            hit = any(start - 1e-3 <= end["ts"] <= stop + 1e-3 for start, stop in spans[(end["pid"], end["tid"])])
            self.assertTrue(hit, f"an arrow ends beside every span: {end}")
        return events

    def test_spans_of_execute_group_and_say_layer_bytes_and_peers_and_arrows_carry_what_moves(self):
        for name, steps in (("old.json", "0:2"), ("new.json", "2:4")):
            self.good("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "deepseek", "--windows", steps, "-o", name, "-q")
        run = ("execute", "old.json", "new.json", "--cluster", "host", "--model", "deepseek_v3_fp8", "--layers", 2,
               "--scale", "1/256")
        self.good(*run, "-o", "run.json", "-q")
        events = self.events(*run)
        spans = [e for e in events if e["ph"] == "X"]
        self.assertLessEqual({e["name"] for e in spans}, {"stage", "vote", "commit", "verify", "step"})
        stages = [e for e in spans if e["name"] == "stage"]
        self.assertEqual({e["args"]["layer"] for e in stages}, {layer["layer"] for layer in self.load("run.json")["result"]["layers"]})
        moved = sum(v for k, v in self.load("run.json")["result"]["bytes_by_link"].items() if k != "local")
        self.assertEqual(sum(e["args"]["bytes sent"] for e in stages), moved)
        self.assertEqual(sum(e["args"]["bytes received"] for e in stages), moved)
        self.assertTrue(all(e["args"]["peers"] != "" for e in stages if e["args"]["bytes sent"]))
        arrows = [e for e in events if e["ph"] == "s"]
        self.assertEqual(sum(int(e["name"].split(", ")[1].split()[0]) for e in arrows), moved)
        counters = [e for e in events if e["ph"] == "C"]
        self.assertTrue(any(e["args"]["value"] > 0 for e in counters))
        self.assertEqual(counters[-1]["args"]["value"], 0)

    def test_spans_of_simulate_group_and_links_have_counters(self):
        events = self.events("simulate", cli.DEEPSEEK_LIKE, *PREFILL, "--tokens-per-step", 65536, "--repeat", 10,
                             "--interval", 20, "--policy", "deepseek", "--mode", "async", "--gain-over-cost", 0)
        spans = [e for e in events if e["ph"] == "X"]
        self.assertLessEqual({e["name"] for e in spans}, {"step", "compute", "stage", "commit", "vote", "plan", "ranks change"})
        self.assertTrue(all(e["args"]["tokens"] > 0 for e in spans if e["name"] == "compute"))
        links = [e for e in events if e["ph"] == "C"]
        self.assertEqual({e["name"].split()[-1] for e in links}, {"bytes/s"})
        self.assertTrue(any(e["args"]["value"] > 0 for e in links))
