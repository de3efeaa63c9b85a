# SPDX-License-Identifier: Apache-2.0
"""What the module is given by mistake or out of malice: an answer or an exception with a reason, never a crash."""
import random
import threading
import unittest

import numpy

import support
import moeshift

try:
    import torch
except ImportError:
    torch = None

REFUSED = (moeshift.InputError, moeshift.InfeasibleError, TypeError, OverflowError)
TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", ">f8", ">i4", "c16", "?", "O", "S3", "U2",
         "V4", "M8[s]", "m8[s]", "i4,f4"]
COUNTS = [0, 1, 2, 3, 4, 7, 8, 16, 32, 40, -1, 2 ** 31, 2 ** 32, 2 ** 63, 2 ** 64, -2 ** 63, 2 ** 200, 0.5, 8.0, float("nan"),
          None, "8", b"8", True, [], object(), numpy.int64(8), numpy.float32(8)]


def any_array(chance):
    """Any type, any number of dimensions, any strides, some of length 0."""
    shape = [chance.choice([0, 1, 2, 4, 5, 32, 64]) for _ in range(chance.choice([0, 1, 2, 2, 2, 2, 3, 3, 4]))]
    wide = [size * chance.choice([1, 1, 2]) for size in shape]
    kind = chance.choice(TYPES)
    count = int(numpy.prod(wide)) if wide else 1
    values = numpy.random.default_rng(chance.randrange(2 ** 32)).integers(0, 100, count)
    try:
        array = values.astype(kind).reshape(wide)
    except (TypeError, ValueError):
        array = numpy.zeros(wide, dtype=kind)
    for axis, size in enumerate(shape):
        step = max(1, wide[axis] // size) if size else 1
        index = [slice(None)] * array.ndim
        index[axis] = slice(None, None, step * chance.choice([1, 1, -1]))
        array = array[tuple(index)]
    if chance.random() < 0.3:
        array = array.T
    if chance.random() < 0.2:
        array = numpy.broadcast_to(array, (3,) + array.shape)
    if array.dtype.kind == "f" and array.size and chance.random() < 0.2:
        array = array.copy()
        array.flat[chance.randrange(array.size)] = chance.choice([numpy.nan, numpy.inf, -1, -0.0, 1e300 if array.itemsize > 4 else 6e4])
    if chance.random() < 0.2:
        array = array.view()
        array.flags.writeable = False
    return support.Tensor(array) if chance.random() < 0.2 else array


class HostileTest(unittest.TestCase):
    def answered(self, call, what):
        """Nothing but an answer or a refusal that says something."""
        try:
            return call()
        except REFUSED as reason:
            self.assertTrue(str(reason), what)
        except BufferError:
            pass  # NumPy's own: it exports no such array
        return None

    def test_arrays_of_any_kind_are_planned_or_refused(self):
        planned = 0
        for seed in range(600):
            chance = random.Random(seed)
            load = any_array(chance)
            old = any_array(chance) if chance.random() < 0.3 else None
            with self.subTest(seed=seed):
                made = self.answered(lambda: moeshift.plan(
                    load, ranks=chance.choice([1, 2, 4]), slots=chance.choice([4, 8, 40, 64]), old=old,
                    policy=chance.choice(["balanced", "incremental", "deepseek"]), threads=chance.choice([1, 2])), seed)
                if made is not None:
                    planned += 1
                    self.assertTrue((made.replica_count >= 1).all())
                self.answered(lambda: moeshift.rebalance_experts(load, 40, 1, 1, 4), seed)
                self.answered(lambda: moeshift.placement(load, ranks=chance.choice([1, 2, 4])), seed)
        self.assertGreater(planned, 20)

    def test_numbers_of_any_kind_are_taken_or_refused(self):
        load = support.loads()
        for seed in range(300):
            chance = random.Random(seed)
            words = dict(ranks=8, slots=40, nodes=1, groups=1, seed=0, threads=1)
            for name in chance.sample(sorted(words), chance.choice([1, 1, 2])):
                words[name] = chance.choice(COUNTS)
            with self.subTest(seed=seed, words=str(words)):
                self.answered(lambda: moeshift.plan(load, policy="balanced", **words), words)
                sizes = [chance.choice([40, 1, 1, 8, *COUNTS]) for _ in range(4)]
                self.answered(lambda: moeshift.rebalance_experts(load, *sizes), sizes)

    def test_empty_arrays_are_refused(self):
        for shape in [(0,), (0, 0), (4, 0), (0, 32), (0, 4, 32), (2, 0, 32), (2, 4, 0), ()]:
            for load in (numpy.zeros(shape), support.Tensor(numpy.zeros(shape)), numpy.zeros(shape).tolist()):
                with self.subTest(shape=shape, kind=type(load).__name__):
                    with self.assertRaises(moeshift.InputError):
                        moeshift.plan(load, ranks=8, slots=40)

    def test_an_owner_that_goes_away_or_lies_does_no_harm(self):
        class Changing:
            """Another capsule, device or nothing each time it is asked."""
            def __init__(self, capsule):
                self.capsule = capsule

            def __dlpack_device__(self):
                return (1, 0)

            def __dlpack__(self, stream=None):
                return self.capsule()

        load = support.loads().astype(numpy.float64)
        used = load.__dlpack__()
        moeshift.plan(Changing(lambda: used), ranks=8, slots=40, policy="balanced")
        for capsule in (lambda: used, lambda: None, lambda: 7, lambda: (_ for _ in ()).throw(ValueError("no"))):
            with self.assertRaises((moeshift.InputError, TypeError)):
                moeshift.plan(Changing(capsule), ranks=8, slots=40, policy="balanced")
        made = moeshift.plan(load, ranks=8, slots=40, policy="balanced")
        maps = made.physical_to_logical
        del load, made
        self.assertEqual(maps.shape, (4, 40))

    def test_many_threads_share_arrays_plans_and_mistakes(self):
        load = support.loads(3, 32)
        made = moeshift.plan(load, ranks=8, slots=40, policy="balanced", threads=1)
        wanted = made.physical_to_logical
        wrong = []

        def work(seed):
            chance = random.Random(seed)
            for _ in range(12):
                again = moeshift.plan(load, ranks=8, slots=40, policy="balanced", threads=chance.choice([1, 2]), old=None)
                if not numpy.array_equal(again.physical_to_logical, wanted):
                    wrong.append(seed)
                if len(made.layers) != 3 or len(made.verdicts) != 3:
                    wrong.append(seed)
                self.answered(lambda: moeshift.plan(any_array(chance), ranks=4, slots=40), seed)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    @unittest.skipIf(torch is None, "SKIPPED: no torch here")
    def test_tensors_of_torch_are_read_whatever_their_type(self):
        load = numpy.minimum(support.loads(), 60000) // 8 * 8
        for kind in (torch.int32, torch.int64, torch.float64, torch.float32, torch.bfloat16, torch.float16):
            with self.subTest(kind=str(kind)):
                tensor = torch.from_numpy(load).to(kind)
                same = tensor.to(torch.float64).numpy()
                expected = moeshift.plan(same, ranks=8, slots=40, policy="balanced").physical_to_logical
                for given in (tensor, tensor.t().contiguous().t(), torch.stack([tensor, tensor])[1]):
                    made = moeshift.plan(given, ranks=8, slots=40, policy="balanced").physical_to_logical
                    numpy.testing.assert_array_equal(made, expected)
        for bad in (torch.zeros(4, 32, dtype=torch.bool), torch.zeros(4, 32, dtype=torch.complex64),
                    torch.zeros(4, 32).to_sparse(), torch.zeros(4, 32, requires_grad=True), torch.zeros(4, 32, device="meta")):
            with self.subTest(kind=str(bad.dtype)):
                try:
                    moeshift.plan(bad, ranks=8, slots=40, policy="balanced")
                except moeshift.InputError as reason:
                    self.assertTrue(str(reason))


if __name__ == "__main__":
    support.main()
