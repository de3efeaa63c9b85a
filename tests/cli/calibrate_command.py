# SPDX-License-Identifier: Apache-2.0
"""calibrate: every class of link that the ranks' nodes show is measured, fitted and written."""
import json
import os

from cli import CliTest


class CalibrateCommand(CliTest):
    def calibrated(self, *more):
        """A result, whether or not the machine is quiet enough for a fit that holds."""
        words = ("calibrate", "--backend", "host", "--largest", "64KiB", "--repetitions", 3, *more)
        result = self.run_program(*words, "--cluster-file", "machine.json", "--format", "json")
        self.assertIn(result.code, (0, 1), result.err)
        found = result.json()["result"]
        self.assertEqual(result.code, 0 if found["misfits"] == [] else 1)
        self.assertEqual((self.folder / "machine.json").exists(), found["misfits"] == [])
        return found

    def test_one_node_has_one_class_of_link(self):
        found = self.calibrated("--ranks", 3)
        self.assertEqual(found["nodes"], 1)
        self.assertEqual(list(found["links"]), ["intra_node"])

    def test_two_nodes_have_links_inside_and_between_with_terms_and_residuals_of_their_own(self):
        found = self.calibrated("--ranks", 4, "--nodes", 2)
        self.assertEqual(list(found["links"]), ["intra_node", "inter_node"])
        for link in found["links"].values():
            self.assertGreater(link["exchanges"], 5)
            for name in ("launch", "per_message", "pair", "egress", "ingress"):
                self.assertLessEqual(link["terms"][name]["low"], link["terms"][name]["value"])
                self.assertGreaterEqual(link["terms"][name]["high"], link["terms"][name]["value"])
        between = [e for e in found["exchanges"] if all((a < 2) != (b < 2) for a, b, _ in e["messages"])]
        self.assertEqual(len(between), found["links"]["inter_node"]["exchanges"])
        if found["misfits"]:
            return
        machine = json.loads((self.folder / "machine.json").read_text())
        self.assertEqual(machine["ranks_per_node"], 2)
        for name in ("intra_node", "inter_node"):
            self.assertIn(name, machine[name]["source"])
        self.assertEqual(machine["engine"]["transport"], "host")

    def test_rearrangements_that_the_fit_has_not_seen_are_predicted_and_told_apart(self):
        if "MOESHIFT_VALIDATE" not in os.environ:
            self.skipTest("80 rearrangements on 4 ranks take minutes on few cores; MOESHIFT_VALIDATE=1 runs them")
        found = self.calibrated("--ranks", 4, "--nodes", 2, "--validate")
        held_out = found["validation"]["rearrangements"]
        self.assertEqual(found["validation"]["plans"], len(held_out))
        self.assertGreaterEqual(len(held_out), 60)
        self.assertEqual({row["mode"] for row in held_out}, {"sync", "layered", "async"})
        self.assertEqual({row["plan"] for row in held_out}, {"full", "incremental", "fresh"})
        for row in held_out:
            self.assertAlmostEqual(row["predicted_seconds"] / row["measured_seconds"] - 1, row["error"])

    def test_ranks_that_are_alone_in_their_nodes_have_only_links_between(self):
        self.assertEqual(list(self.calibrated("--ranks", 3, "--nodes", 3)["links"]), ["inter_node"])
        self.assertEqual(self.run_program("calibrate", "--ranks", 2, "--nodes", 3).code, 2)


if __name__ == "__main__":
    import unittest
    unittest.main()
