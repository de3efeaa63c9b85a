# SPDX-License-Identifier: Apache-2.0
import array
import unittest

import numpy

import support
import moeshift


def plan(load, **options):
    asked = dict(ranks=8, slots=40, policy="balanced", threads=1)
    asked.update(options)
    return moeshift.plan(load, **asked)


class ArrayTest(unittest.TestCase):
    def setUp(self):
        self.load = support.loads()
        self.expected = plan(self.load).physical_to_logical

    def same(self, load):
        numpy.testing.assert_array_equal(plan(load).physical_to_logical, self.expected)

    def test_strides_of_any_kind_are_followed(self):
        wide = numpy.zeros((8, 64), dtype=self.load.dtype)
        wide[::2, ::2] = self.load
        self.same(wide[::2, ::2])
        self.same(numpy.asfortranarray(self.load))
        self.same(self.load[::-1, ::-1].copy()[::-1, ::-1])
        self.same(self.load.T.copy().T)

    def test_rows_that_are_not_aligned_are_read(self):
        raw = numpy.zeros(self.load.nbytes + 1, dtype=numpy.uint8)
        odd = raw[1:].view(numpy.int64) if raw[1:].nbytes % 8 == 0 else None
        odd = numpy.ndarray(self.load.shape, dtype=numpy.int64, buffer=raw, offset=1)
        odd[:] = self.load
        self.same(odd)

    def test_read_only_arrays_and_broadcasts_are_read(self):
        fixed = self.load.copy()
        fixed.flags.writeable = False
        self.same(fixed)
        one = numpy.broadcast_to(self.load[:1], self.load.shape)
        numpy.testing.assert_array_equal(plan(one).physical_to_logical,
                                         plan(one.copy()).physical_to_logical)

    def test_tensors_of_other_packages_are_read_through_dlpack(self):
        self.same(support.Tensor(self.load))
        self.same(support.Tensor(self.load.astype(numpy.float32)))
        wide = numpy.zeros((8, 64), dtype=self.load.dtype)
        wide[::2, ::2] = self.load
        self.same(support.Tensor(wide[::2, ::2]))

    def test_lists_are_read(self):
        self.same(self.load.tolist())
        self.same([self.load.tolist()])

    def test_windows_may_be_a_list_or_one_array(self):
        windows = numpy.stack([self.load, self.load[:, ::-1]])
        a = plan(windows, policy="robust").physical_to_logical
        b = plan([self.load, self.load[:, ::-1]], policy="robust").physical_to_logical
        numpy.testing.assert_array_equal(a, b)

    def test_bad_arrays_are_refused_with_what_is_wrong(self):
        bad = [
            (self.load.astype(complex), "Zd"),
            (self.load.astype(bool), "expected integers or floats"),
            (self.load.astype(">i8"), "byte order"),
            (self.load.astype(object), "cannot be read|expected integers"),
            (self.load.astype("datetime64[s]"), "cannot be read"),
            (self.load[0], r"expected loads \[layers, experts\]"),
            (numpy.zeros((0, 32)), r"expected loads \[layers, experts\]"),
            (numpy.zeros((0, 4, 32)), "at least one window"),
            (numpy.zeros((1, 1, 4, 32)), r"expected loads \[layers, experts\]"),
            (-self.load, "layer 0 expert 0 has load"),
            (numpy.full((4, 32), numpy.nan), "nan"),
            (numpy.full((4, 32), numpy.inf), "inf"),
            (numpy.full((4, 32), 1e17), "2\\^53"),
            ("a text", "expected|cannot|kind"),
            (7, "expected an array"),
            (None, "expected an array"),
            (support.Tensor(self.load, device=(2, 0)), "copy it to the CPU"),
            ([self.load, self.load[:, :16]], "window 1"),
            ([], "at least one window"),
            (array.array("d", [1, 2]), r"expected loads \[layers, experts\]"),
        ]
        for load, message in bad:
            with self.subTest(message):
                with self.assertRaisesRegex(moeshift.InputError, message):
                    plan(load)

    def test_bad_shapes_and_options_are_refused(self):
        for options, message in [
            (dict(slots=41), "divi"), (dict(slots=24), "slots"), (dict(ranks=0), "ranks"),
            (dict(ranks=-8), "ranks"), (dict(ranks=2.5), "ranks"), (dict(policy="balancd"), "balanced"),
            (dict(nodez=2), "unknown argument"), (dict(inactive=[99]), "inactive|rank"),
            (dict(groups=33), "groups"), (dict(budget_bytes=10), "model"),
            (dict(rank_speed=[1, 2]), "rank_speed"), (dict(price="cheap", policy="robust"), "price"),
            (dict(time_limit=-1), "time_limit"), (dict(cluster="hgx_h20000"), "hgx_h200"),
            (dict(layer_ids=[1]), "layer_ids"),
        ]:
            with self.subTest(str(options)):
                with self.assertRaisesRegex(moeshift.InputError, message):
                    plan(self.load, **options)

    def test_what_no_plan_can_do_is_infeasible(self):
        with self.assertRaises(moeshift.InfeasibleError):
            plan(self.load[:, :4], ranks=2, slots=12, policy="balanced")

    def test_bad_maps_are_refused(self):
        good = plan(self.load).physical_to_logical
        lost = good.copy()
        lost[lost == 5] = 6
        for old, message in [(good.astype(float), "whole numbers"), (good[:2], "2 layers"),
                             (good + 1000, "holds"), (good - 5, "holds"), (good[0], "slots"),
                             (good[:, :39], "divide")]:
            with self.subTest(message):
                with self.assertRaisesRegex(moeshift.InputError, message):
                    plan(self.load, old=old)
        # A map that lacks an expert is where a world may be after a loss: it is planned again,
        # but nothing can be moved from it.
        made = plan(self.load, old=lost, policy="incremental")
        self.assertTrue((made.replica_count >= 1).all())
        with self.assertRaisesRegex(moeshift.InputError, "5"):
            moeshift.moves(lost, made, cluster="hgx_h200", model=self.model(), ranks=8)

    def model(self):
        import json
        path = support.folder(self) / "small.json"
        model = json.loads((support.SOURCE / "configs/models/deepseek_v3_fp8.json").read_text())
        model.update(name="small", num_layers=4, num_experts=32, num_expert_groups=1,
                     layer_ids=[0, 1, 2, 3], num_hidden_layers=4)
        model.pop("mtp_layer_ids", None)
        path.write_text(json.dumps(model))
        return str(path)


if __name__ == "__main__":
    support.main()
