# SPDX-License-Identifier: Apache-2.0
"""Strangers beside a running job: scans, garbage, silence, slow bytes, wrong and replayed tokens."""
import os
import signal
import socket
import subprocess
import threading
import time

import cli
import execution

TOKEN = "one word for all ranks"
CHALLENGE = 40  # bytes of rank 0's challenge
ANSWER = 68     # bytes of a rank's answer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Strangers(execution.ExecutionTest):
    """Ranks of the host transport, started by hand, that meet at a port."""

    def start(self, rank, port, token=TOKEN, timeout=30, world=execution.RANKS):
        environment = {**os.environ, "MOESHIFT_RANK": str(rank), "MOESHIFT_WORLD": str(world)}
        environment.pop("MOESHIFT_TOKEN", None)
        if token is not None:
            environment["MOESHIFT_TOKEN"] = token
        words = self.words("--rank-processes", "--rendezvous", f"tcp:127.0.0.1:{port}", "--timeout", timeout)
        run = subprocess.Popen([cli.PROGRAM, *map(str, words)], cwd=self.folder, env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(run.kill)
        return run

    def connect(self, port):
        """Once rank 0 listens."""
        end = time.monotonic() + 20
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=5)
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)

    def all_right(self, runs):
        for rank, run in enumerate(runs):
            out, err = run.communicate(timeout=60)
            self.assertEqual(run.returncode, 0, f"rank {rank}: {err}")
            if rank == 0:
                self.assertIn("all right", out)

    def test_strangers_of_every_kind_beside_a_job_do_it_no_harm(self):
        port = free_port()
        leader = self.start(0, port)
        kept = [self.connect(port) for _ in range(30)]  # silent
        for letter in b"abc":
            noisy = self.connect(port)
            noisy.sendall(bytes([letter]) * 5000)
            kept.append(noisy)
        for _ in range(20):
            self.connect(port).close()  # a scan
        stop = threading.Event()
        slow = self.connect(port)

        def drip():
            while not stop.wait(0.1):
                try:
                    slow.send(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        replayed = self.overheard(port)
        runs = [leader] + [self.start(rank, port) for rank in range(1, execution.RANKS)]
        try:
            self.all_right(runs)
        finally:
            stop.set()
            dripping.join()
        self.assertEqual(replayed, b"")
        for stranger in kept:
            stranger.close()

    def overheard(self, port):
        """A rank's answer to another challenge, sent again: rank 0 hangs up."""
        with socket.socket() as false_leader:
            false_leader.bind(("127.0.0.1", 0))
            false_leader.listen()
            rank = self.start(1, false_leader.getsockname()[1], timeout=3)
            peer, _ = false_leader.accept()
            peer.sendall(b"MSHFTv2\n" + bytes(32))
            answer = b""
            while len(answer) < ANSWER:
                answer += peer.recv(ANSWER)
            peer.close()
        rank.kill()
        rank.communicate()
        again = self.connect(port)
        self.assertEqual(len(again.recv(CHALLENGE, socket.MSG_WAITALL)), CHALLENGE)
        again.sendall(answer)
        try:
            return again.recv(1)
        except ConnectionResetError:
            return b""

    def test_a_rank_with_a_wrong_token_is_told_so_and_the_others_still_meet(self):
        port = free_port()
        leader = self.start(0, port)
        self.connect(port).close()
        wrong = self.start(1, port, token="another word")
        _, err = wrong.communicate(timeout=20)
        self.assertEqual(wrong.returncode, 3, err)
        self.assertIn("MOESHIFT_TOKEN", err)
        self.all_right([leader] + [self.start(rank, port) for rank in range(1, execution.RANKS)])

    def test_ranks_that_meet_by_port_without_a_token_are_refused_before_they_listen(self):
        run = self.start(0, free_port(), token=None)
        _, err = run.communicate(timeout=20)
        self.assertEqual(run.returncode, 2, err)
        self.assertIn("MOESHIFT_TOKEN", err)

    def test_a_missing_rank_ends_the_wait_at_the_deadline_although_strangers_come(self):
        port = free_port()
        start = time.monotonic()
        leader = self.start(0, port, timeout=2)
        kept = [self.connect(port) for _ in range(10)]
        _, err = leader.communicate(timeout=20)
        self.assertEqual(leader.returncode, 3, err)
        self.assertIn("rank 1 did not come", err)
        self.assertLess(time.monotonic() - start, 10)
        for stranger in kept:
            stranger.close()

    def test_ctrl_c_ends_the_wait_for_ranks_within_a_second(self):
        for rank, number in ((0, signal.SIGINT), (1, signal.SIGTERM)):
            port = free_port()
            run = self.start(rank, port)
            stranger = self.connect(port) if rank == 0 else None
            time.sleep(0.7)
            asked = time.monotonic()
            run.send_signal(number)
            _, err = run.communicate(timeout=20)
            self.assertEqual(run.returncode, 130, err)
            self.assertLess(time.monotonic() - asked, 2, "a busy machine is given another second")
            if stranger:
                stranger.close()

    def test_what_a_peer_says_is_shown_without_control_characters(self):
        self.failed("--inject", "\x1b[31mred\nline", code=2, says=("\\x1b[31mred\\x0aline",))
