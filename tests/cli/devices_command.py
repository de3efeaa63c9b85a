# SPDX-License-Identifier: Apache-2.0
"""The whole program on vendors' libraries that are none: tests/rules/rulebook under their names."""
import os
import pathlib

from execution import ExecutionTest

RULEBOOK = os.environ.get("RULEBOOK", "")


class DevicesTest(ExecutionTest):
    def setUp(self):
        if not (pathlib.Path(RULEBOOK) / "libhccl.so").exists():
            self.skipTest("the library that enforces the rules is not built")
        super().setUp()
        path = os.pathsep.join(filter(None, (RULEBOOK, os.environ.get("LD_LIBRARY_PATH", ""))))
        self.env = {"LD_LIBRARY_PATH": path, "RULEBOOK_SEED": "5", "RULEBOOK_DELAY": "20"}

    def rows(self):
        answer = self.good("backends", "--format", "json", env=self.env).json()
        return {row["name"]: row for row in answer["result"]["backends"]}

    def test_backends_says_what_is_found_of_amd_and_ascend(self):
        rows = self.rows()
        self.assertTrue(rows["rccl"]["available"], rows["rccl"]["reason"])
        self.assertEqual(rows["rccl"]["found"],
                         "HIP 13.0, driver 13.0, 8 x host memory under rules, RCCL 2.28.9")
        self.assertTrue(rows["hccl"]["available"], rows["hccl"]["reason"])
        self.assertEqual(rows["hccl"]["found"], "ACL 1.14.0, 8 x host memory under rules, HCCL")

    def test_experts_move_between_devices_of_amd_and_ascend_byte_for_byte_and_by_the_rules(self):
        for backend in ("rccl", "hccl"):
            for more in (("--repeat", 2), ("--mode", "layered:2"), ("--commit", "flip")):
                with self.subTest(backend=backend, more=more):
                    done = self.good(*self.words("--backend", backend, "--rank-threads", *more),
                                     env=self.env)
                    self.assertIn("all right", done.out)
                    self.assertIn("rulebook: 0 rules broken", done.err)

    def test_a_rank_that_hccl_cannot_stop_ends_its_process_and_says_so(self):
        done = self.run_program(*self.words("--backend", "hccl", "--rank-threads", "--inject", "lose:1,1",
                                            "--timeout", "0.5"), env=self.env)
        self.assertEqual(done.code, 3, done.err)
        self.assertIn("HCCL cannot abort it: this process ends", done.err)

    def test_options_of_other_devices_are_refused_with_what_they_are_for(self):
        for backend, word, says in (("rccl", "--mps", "only GPUs of NVIDIA"),
                                    ("hccl", "--mps", "no such setting"),
                                    ("rccl", "--one-round", "no such setting")):
            with self.subTest(backend=backend, word=word):
                done = self.run_program(*self.words("--backend", backend, "--rank-threads", word), env=self.env)
                self.assertEqual(done.code, 2, done.err)
                self.assertIn(says, done.err)


class AbsentDevicesTest(ExecutionTest):
    def test_a_transport_whose_library_is_not_here_says_which_one(self):
        rows = self.good("backends", "--format", "json").json()["result"]["backends"]
        for row in rows:
            if row["name"] in ("rccl", "hccl") and not row["available"]:
                self.assertRegex(row["reason"], r"^no (lib\w+\.so here|usable|NPU|this machine)|^this machine")
