# SPDX-License-Identifier: Apache-2.0
"""Fault drills on threads, on our own processes, and under mpirun."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import cli
import execution

DEADLINE = 3.0


class Faults(execution.ExecutionTest):
    """Each drill runs against a deadline: who hangs fails the test."""

    def drilled(self, drill, *more, says=(), code=3, survivors=1):
        start = time.monotonic()
        result = self.failed("--inject", drill, "--timeout", DEADLINE, *more, code=code, says=says)
        self.assertLess(time.monotonic() - start, 12 * DEADLINE)
        if survivors:
            self.assert_byte_exact(result, survivors)
        return result

    def resumes(self, *more):
        """A second run finishes what the first left."""
        self.assertTrue(self.performed("--journal", "journal", "--resume", *more)["verified"])

    def assert_left_nothing(self):
        """No file beside the inputs and the journal, no process of ours."""
        left = [name for name in self.files() if not name.startswith(("old.", "new.", "model.", "journal"))]
        self.assertEqual(left, [])
        marker = str(self.folder)
        for process in pathlib.Path("/proc").iterdir():
            try:
                if process.name.isdigit() and os.readlink(process / "cwd") == marker:
                    self.fail(f"left behind: {(process / 'cmdline').read_bytes()}")
            except OSError:
                continue


class WithoutReaders(Faults):
    """A launcher may close every rank's streams once one has died; the others have work to finish."""

    def code_without(self, stream, *more):
        words = [cli.PROGRAM, *map(str, self.words(*more))]
        other = {"stdout": "stderr", "stderr": "stdout"}[stream]
        with subprocess.Popen(words, cwd=self.folder, **{stream: subprocess.PIPE, other: subprocess.DEVNULL}) as run:
            getattr(run, stream).close()
            return run.wait(timeout=60)

    def test_a_failed_run_whose_talk_nobody_reads_keeps_its_exit_code(self):
        for ranks in ((), ("--rank-processes",)):
            self.assertEqual(self.code_without("stderr", "--inject", "lose:1,3", "--timeout", DEADLINE, *ranks), 3)

    def test_a_good_run_whose_answer_nobody_reads_still_moves_everything(self):
        self.assertEqual(self.code_without("stdout"), 0)
        self.assertEqual(self.code_without("stdout", "--rank-processes"), 0)


class OnThreads(Faults):
    def test_a_lost_message_is_reported_by_the_rank_that_misses_it_and_the_run_resumes(self):
        self.drilled("lose:1,3", "--journal", "journal", says=("layer 3, staging", "from rank 1"))
        self.resumes()

    def test_a_sleeping_rank_is_named_with_its_layer_and_phase(self):
        for phase, name in (("staging", "staging"), ("voting", "staged")):
            self.drilled(f"sleep:2,1,{phase},60", "--buffers", 1, survivors=1, says=("rank 2, layer 1", name))

    def test_another_plan_on_one_rank_is_found_before_anything_moves(self):
        self.drilled("hash:3", says=("rank 3, setup: hash mismatch",), survivors=0)

    def test_a_rank_without_memory_ends_the_run_before_anything_moves(self):
        self.drilled("memory:1", code=1, says=("rank 1 has 0 bytes", "--buffers"), survivors=0)

    def test_a_transport_error_is_reported_with_rank_and_layer(self):
        self.drilled("error:2,4", says=("rank 2, layer 4, staging: transport error injected",))

    def test_interrupting_between_layers_leaves_each_old_or_new_and_resumes(self):
        self.drilled("interrupt:0,2,voting", "--journal", "journal", code=130, says=("interrupted",))
        self.resumes()

    def test_ctrl_c_ends_a_real_run_with_exit_130(self):
        words = [cli.PROGRAM, *map(str, self.words("--inject", "lose:1,3", "--timeout", 60))]
        with subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
            time.sleep(2)
            run.send_signal(signal.SIGINT)
            _, err = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 130, err)
        self.assertIn("layer 3", err)


class OnProcesses(Faults):
    """Processes of our own launcher; memory is shared, so nothing but they must end."""

    def test_processes_move_the_same_bytes_as_threads(self):
        self.assertTrue(self.performed("--rank-processes")["verified"])
        self.assert_left_nothing()

    def test_a_rank_killed_while_staging_is_named_and_survivors_are_consistent_and_resume(self):
        self.killed("staging")

    def test_a_rank_killed_while_voting_is_named_and_survivors_are_consistent_and_resume(self):
        self.killed("voting")

    def test_a_rank_killed_while_committing_is_named_and_survivors_are_consistent_and_resume(self):
        self.killed("committing")

    def killed(self, phase):
        self.drilled(f"kill:2,3,{phase}", "--rank-processes", "--journal", "journal", survivors=3,
                     says=("rank 2, layer ", "its process ended", "rank 2: its process was killed by signal 9"))
        self.assert_left_nothing()
        self.resumes("--rank-processes")

    def test_the_death_of_the_leading_rank_is_noticed_by_all_others(self):
        self.drilled("kill:0,2,voting", "--rank-processes", survivors=3, says=("rank 0, layer 2", "its process ended"))
        self.assert_left_nothing()

    def test_a_sleeping_process_is_named(self):
        self.drilled("sleep:1,2,voting,60", "--rank-processes", survivors=4, says=("rank 1, layer 2, staged: no vote",))

    def test_ctrl_c_at_any_moment_ends_all_processes_with_exit_130_and_one_line(self):
        for seconds in (.05, .08, .12, .2, .5):
            words = [cli.PROGRAM, *map(str, self.words("--rank-processes", "--inject", "lose:1,3", "--timeout", 60))]
            with subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
                time.sleep(seconds)
                run.send_signal(signal.SIGINT)
                _, err = run.communicate(timeout=30)
            self.assertEqual(run.returncode, 130, f"after {seconds} s: {err}")
            self.assertEqual(err.count("stopped: interrupted"), 1, err)
            self.assertNotIn("device error", err)
            self.assertNotIn("killed by signal", err)
        self.assert_left_nothing()

    def test_children_die_with_the_launcher(self):
        words = [cli.PROGRAM, *map(str, self.words("--rank-processes", "--inject", "lose:1,3", "--timeout", 60))]
        with subprocess.Popen(words, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            time.sleep(2)
            run.kill()
        time.sleep(1)
        self.assert_left_nothing()


class UnderMpi(Faults):
    """mpirun's own exit status is that of the rank that died; a survivor's is in a file each."""

    def setUp(self):
        super().setUp()
        if shutil.which("mpirun") is None:
            self.skipTest("mpirun is not installed")
        rows = self.good("backends", "--format", "json").json()["result"]["backends"]
        mpi = next(row for row in rows if row["name"] == "mpi")
        if not mpi["available"]:
            self.skipTest(mpi["reason"])

    def mpi(self, *more):
        # Not through mpirun: Open MPI 5 drops what is written after a rank has died, and soon ends the ranks
        # that still live. So it sees the first end when all have ended.
        for old in self.folder.glob("exit.*"):
            old.unlink()
        script = (f'"{cli.PROGRAM}" "$@" 2>talk.$OMPI_COMM_WORLD_RANK; code=$?; '
                  'echo $code > exit.$OMPI_COMM_WORLD_RANK; waited=0; '
                  f'while [ "$(ls exit.* | wc -l)" -lt {execution.RANKS} ] && [ $waited -lt 300 ]; '
                  'do sleep 0.1; waited=$((waited + 1)); done; exit $code')
        words = ["mpirun", "--oversubscribe", "--allow-run-as-root", "--enable-recovery", "-np",
                 str(execution.RANKS), "sh", "-c", script, "sh", *self.words("--backend", "mpi", *more)]
        return subprocess.run(list(map(str, words)), cwd=self.folder, capture_output=True, text=True, timeout=100,
                              check=False)

    def talk(self):
        return "".join(path.read_text() for path in sorted(self.folder.glob("talk.*")))

    def exits(self):
        return {int(path.suffix[1:]): int(path.read_text()) for path in self.folder.glob("exit.*")}

    def test_mpi_moves_the_same_bytes(self):
        done = self.mpi()
        self.assertEqual(done.returncode, 0, self.talk())
        self.assertIn("all right", done.stdout)
        self.assertEqual(self.exits(), {rank: 0 for rank in range(execution.RANKS)})

    def test_every_survivor_of_a_killed_rank_exits_3_and_names_it(self):
        for phase in ("staging", "voting", "committing"):
            self.mpi("--timeout", DEADLINE, "--inject", f"kill:2,3,{phase}")
            exits = self.exits()
            self.assertEqual({rank: exits[rank] for rank in (0, 1, 3)}, {0: 3, 1: 3, 3: 3}, self.talk())
            self.assertEqual(self.talk().count("its process ended"), 3, self.talk())
            self.assertEqual(self.talk().count("every byte as it should be"), 3, self.talk())

    def test_a_hash_mismatch_is_reported_by_all(self):
        self.mpi("--inject", "hash:1", "--timeout", DEADLINE)
        self.assertEqual(self.exits(), {rank: 3 for rank in range(execution.RANKS)}, self.talk())
        self.assertEqual(self.talk().count("rank 1, setup: hash mismatch"), execution.RANKS, self.talk())
