# SPDX-License-Identifier: Apache-2.0
"""Runs killed, stopped and interrupted at random points, and resumed on the memory they left.

A few rounds in the suite; MOESHIFT_KILL_ROUNDS=200 for a long look, MOESHIFT_KILL_SEED to see one again.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import cli
import execution

ROUNDS = int(os.environ.get("MOESHIFT_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("MOESHIFT_KILL_SEED", "1"))
TIMEOUT = 2
DIFFERS = "differs from what the journal says"
RANK_VARIABLE = {"processes": b"MOESHIFT_RANK=", "mpi": b"OMPI_COMM_WORLD_RANK="}


def mpi_is_there(test):
    if shutil.which("mpirun") is None:
        return False
    rows = test.good("backends", "--format", "json").json()["result"]["backends"]
    return next(row for row in rows if row["name"] == "mpi")["available"]


class KillRuns(execution.ExecutionTest):
    def test_runs_broken_at_random_points_of_threads_end_in_the_right_bytes(self):
        self.rounds("threads")

    def test_runs_broken_at_random_points_of_processes_end_in_the_right_bytes(self):
        self.rounds("processes")

    def test_runs_broken_at_random_points_of_mpi_ranks_end_in_the_right_bytes(self):
        if not mpi_is_there(self):
            self.skipTest("mpirun or the mpi backend is not there")
        self.rounds("mpi")

    def rounds(self, world):
        for seed in range(SEED, SEED + ROUNDS):
            with self.subTest(world=world, seed=seed):
                self.one_round(world, random.Random(f"{world} {seed}"))

    def one_round(self, world, rng):
        self.world = world
        for stale in ("journal", "memory"):
            path = self.folder / stale
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        (self.folder / "memory").mkdir()
        self.schedule = ["--buffers", rng.randint(1, 3)]
        if rng.random() < 0.7:  # several waves per layer
            self.schedule += ["--staging-bytes", 32768 * rng.randint(3, 6)]
        for _ in range(rng.randint(1, 5)):
            self.broken_run(rng)
            self.forget_dead_ranks()
        for _ in range(2):  # to the end, and once more with nothing left to do
            run = self.start(["--timeout", 60])
            out, err = run.communicate(timeout=100)
            self.assertEqual(run.returncode, 0, err)
            self.assertIn("all right", out)

    def start(self, more):
        resume = ["--resume"] if (self.folder / "journal").exists() else []
        words = self.words("--journal", "journal", "--memory-image", "memory", *self.schedule, *resume, *more)
        words = [cli.PROGRAM, *words]
        if self.world == "processes":
            words.append("--rank-processes")
        if self.world == "mpi":
            words = ["mpirun", "--oversubscribe", "--allow-run-as-root", "--enable-recovery", "-np",
                     execution.RANKS, *words, "--backend", "mpi"]
        return subprocess.Popen(list(map(str, words)), cwd=self.folder, text=True, start_new_session=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def broken_run(self, rng):
        run = self.start(["--timeout", TIMEOUT, "--max-rate", 4_000_000, *self.any_drill(rng)])
        time.sleep(rng.uniform(0.1, 1.0 if self.world != "mpi" else 2.0))
        how = rng.choice(["interrupt", "terminate", "kill", "kill", "stop", "kill all", "nothing"])
        victim = self.process_of(run, rng.randrange(execution.RANKS))
        if how == "kill all":
            self.signal_session(run, signal.SIGKILL)
        elif how in ("interrupt", "terminate") or victim is None:
            run.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGTERM)
        elif how == "kill":
            self.send(victim, signal.SIGKILL)
        elif how == "stop":
            self.send(victim, signal.SIGSTOP)
            time.sleep(TIMEOUT * 1.3)
            self.send(victim, signal.SIGCONT)
        out, err = run.communicate(timeout=60)
        self.signal_session(run, signal.SIGKILL)  # whom the launcher has left behind
        self.wait_for_locks()
        self.assertNotIn(DIFFERS, err)
        self.assertNotIn("WRONG", err)
        self.assertNotIn("terminate called", err + out)

    def any_drill(self, rng):
        if rng.random() < 0.5:
            return []
        place = f"{rng.randrange(execution.RANKS)},{rng.randrange(execution.LAYERS)}"
        phase = rng.choice(["staging", "voting", "committing"])
        drills = [f"interrupt:{place},{phase}", f"error:{place}", f"lose:{place}"]
        if self.world != "threads":
            drills += [f"kill:{place},{phase}"] * 3
        return ["--inject", rng.choice(drills)]

    def process_of(self, run, rank):
        """The process that is the rank; threads: none."""
        wanted = RANK_VARIABLE.get(self.world)
        for process in self.session(run):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                moves = b"moeshift" in (process / "cmdline").read_bytes().split(b"\0")[0]
            except OSError:
                continue
            if wanted and moves and wanted + str(rank).encode() in environment:
                return int(process.name)
        return None

    @staticmethod
    def session(run):
        for process in pathlib.Path("/proc").iterdir():
            try:
                if process.name.isdigit() and os.getsid(int(process.name)) == run.pid:
                    yield process
            except OSError:
                continue

    @staticmethod
    def send(process, number):
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass

    def signal_session(self, run, number):
        for process in self.session(run):
            self.send(int(process.name), number)

    def wait_for_locks(self):
        """mpirun puts ranks into sessions of their own: none of them may still have a file open."""
        marker = str(self.folder)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            living = []
            for process in pathlib.Path("/proc").iterdir():
                try:
                    if process.name.isdigit() and os.readlink(process / "cwd") == marker:
                        living.append(int(process.name))
                except OSError:
                    continue
            if not living:
                return
            if time.monotonic() > end - 10:
                for process in living:
                    self.send(process, signal.SIGKILL)
            time.sleep(0.05)
        self.fail("a rank would not die")

    def forget_dead_ranks(self):
        """Who was not alive to say how it ended has lost its memory, and so has who was still filling it."""
        path = self.folder / "journal"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        alive = set()
        for line in map(json.loads, lines):
            if "moeshift_journal" in line:
                alive = set()
            elif "end" in line and ", setup:" not in line["end"]:
                alive.add(line["rank"])
        for rank in range(execution.RANKS):
            if rank not in alive:
                (self.folder / "memory" / f"rank-{rank}.memory").unlink(missing_ok=True)
