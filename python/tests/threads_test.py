# SPDX-License-Identifier: Apache-2.0
"""Many threads, Ctrl-C, memory."""
import concurrent.futures
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import numpy

import support
import moeshift


def serial(seed):
    return moeshift.plan(support.loads(3, 32, seed), ranks=8, slots=40, policy="balanced",
                         threads=1).physical_to_logical


class ThreadsTest(unittest.TestCase):
    def test_plans_from_many_threads_equal_the_serial_ones(self):
        expected = [serial(seed) for seed in range(100)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for plan, wanted in zip(pool.map(serial, range(100)), expected):
                numpy.testing.assert_array_equal(plan, wanted)

    def test_other_threads_run_while_one_plans(self):
        load = support.loads(24, 256)
        turns = 0
        done = threading.Event()

        def planning():
            for _ in range(5):
                moeshift.plan(load, ranks=32, slots=288, policy="balanced", threads=1)
            done.set()

        thread = threading.Thread(target=planning)
        thread.start()
        while not done.is_set():
            turns += 1
            time.sleep(0)
        thread.join()
        self.assertGreater(turns, 20)  # with the lock held: about as many as plans

    @unittest.skipIf("asan" in os.environ.get("LD_PRELOAD", ""), "the sanitizer keeps what was freed")
    def test_memory_stays_where_it_is(self):
        load = support.loads(4, 64)
        def plans(count):
            for _ in range(count):
                made = moeshift.plan(load, ranks=8, slots=72, policy="balanced", threads=1)
                made.physical_to_logical, made.replica_count
                moeshift.rebalance_experts(load, 72, 1, 1, 8, threads=1)
        plans(100)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        plans(400)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.assertLess(after - before, 4096, "kB more")


class InterruptTest(unittest.TestCase):
    def run_and_interrupt(self, call):
        script = textwrap.dedent("""
            import sys, time
            import numpy, moeshift
            load = numpy.random.default_rng(0).lognormal(5, 1, (400, 4096))
            print("planning", flush=True)
            try:
                CALL
            except KeyboardInterrupt:
                print("interrupted", flush=True)
                # And the module goes on working.
                moeshift.plan(load[:2, :32], ranks=8, slots=40)
                sys.exit(7)
            """).replace("CALL", call)
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        begin = time.monotonic()
        said = child.communicate(timeout=120)[0]
        self.assertIn("interrupted", said)
        self.assertEqual(child.returncode, 7)
        return time.monotonic() - begin

    def test_ctrl_c_ends_a_long_plan(self):
        self.run_and_interrupt(
            "moeshift.plan(load, ranks=512, slots=5120, policy='balanced', effort='thorough')")

    def test_ctrl_c_ends_a_long_simulation(self):
        self.run_and_interrupt(
            f"[moeshift.diagnose({support.PREFILL!r}, ranks=32, slots=288, cluster='hgx_h200', model='deepseek_v3_fp8') for _ in range(1000)]")

    def test_a_time_limit_gives_the_best_so_far(self):
        load = support.loads(40, 512)
        made = moeshift.plan(load, ranks=64, slots=640, policy="balanced", effort="thorough",
                             time_limit=0.01)
        self.assertTrue(any(verdict["hasty"] for verdict in made.verdicts))
        self.assertTrue((made.replica_count >= 1).all())


if __name__ == "__main__":
    support.main()
