# SPDX-License-Identifier: Apache-2.0
"""Somebody sits before it: progress that lasts, Ctrl-C, and what is left behind."""
import os
import random
import signal
import subprocess
import time

import cli
from cli import CliTest


class Terminal(CliTest):
    def endless_trace(self):
        """A named pipe that never ends, and the process that fills it."""
        os.mkfifo(self.folder / "pipe")
        text = cli.MOE64_LIKE.read_text()
        (self.folder / "steps").write_text(text[text.index("\n") + 1:])
        script = f"head -1 '{cli.MOE64_LIKE}'; while cat steps; do :; done"
        writer = subprocess.Popen(["bash", "-c", f"({script}) > pipe"], cwd=self.folder, stderr=subprocess.DEVNULL,
                                  start_new_session=True)
        self.addCleanup(writer.wait)
        self.addCleanup(self.end, writer)
        return "pipe"

    @staticmethod
    def end(process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def start(self, *words, stderr=subprocess.PIPE):
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CLICOLOR_FORCE")}
        return subprocess.Popen([cli.PROGRAM, *map(str, words)], cwd=self.folder, stdout=subprocess.PIPE, stderr=stderr,
                                stdin=subprocess.DEVNULL, env=environment)

    def interrupted(self, *words):
        """Starts, presses Ctrl-C, and demands exit 130 with one line and no answer."""
        program = self.start(*words)
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 130, f"{words}: {err}")
        self.assertEqual((out, err), (b"", b"moeshift: stopped: interrupted\n"), words)

    def test_what_no_terminal_can_show_is_not_written_on_one(self):
        self.plan("plan.json")
        for words in (("report", "plan.json"), ("export", "plan.json", "--format", "npy"),
                      ("trace", "routes", cli.SOURCE / "traces" / "routes_cliques.jsonl")):
            ours, theirs = self.pseudo_terminal()
            try:
                result = self.run_program(*words, stdout=theirs)
                self.assertEqual(result.code, 2, words)
                self.assertIn("--output: expected a file", result.err)
            finally:
                os.close(ours)
                os.close(theirs)
            self.good(*words, "-o", "file")

    def test_ctrl_c_ends_reading_with_exit_130(self):
        self.endless_trace()
        self.interrupted("trace", "info", "pipe")

    def test_ctrl_c_ends_a_conversion_with_exit_130_and_leaves_no_file(self):
        self.endless_trace()
        self.interrupted("trace", "convert", "pipe", "out.jsonl")
        self.assertEqual(self.files(), ["pipe", "steps"])

    def test_ctrl_c_ends_generating_with_exit_130_and_leaves_no_file(self):
        self.interrupted("trace", "generate", "--steps", 10 ** 9, "-o", "out.jsonl")
        self.assertEqual(self.files(), [])

    def test_ctrl_c_ends_the_hash_of_what_is_not_read(self):
        self.endless_trace()
        self.interrupted("trace", "info", "pipe", "--windows", "0:2")

    def test_one_signal_ends_every_wait_for_somebody_elses_pipe_within_a_second(self):
        os.mkfifo(self.folder / "silent")
        trace, shape = self.trace(), ("--ranks", 4, "--slots", 12)
        self.plan("plan.json")
        for words in (("plan", "silent", *shape), ("plan", "-", *shape), ("plan", trace, *shape, "--from", "silent"),
                      ("models", "./silent"), ("export", "silent", "--to", "npy"), ("report", "silent"),
                      ("plan", trace, *shape, "-o", "silent"), ("export", "plan.json", "--to", "npy", "-o", "silent")):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(words=words, signal=number.name):
                    program = subprocess.Popen([cli.PROGRAM, *map(str, words)], cwd=self.folder, stdin=subprocess.PIPE,
                                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    time.sleep(0.4)
                    start = time.monotonic()
                    program.send_signal(number)
                    err = program.stderr.read()  # until it has ended: communicate() would close its input
                    self.assertEqual(program.wait(timeout=60), 130, err)
                    self.assertLess(time.monotonic() - start, 1)
                    for stream in (program.stdin, program.stdout, program.stderr):
                        stream.close()

    def test_one_signal_ends_the_plan_of_a_very_large_layer_within_a_second(self):
        """With the best plan so far where there is time to write it, else without an answer; never with half of one."""
        ranks, rng = 8192, random.Random(1)
        loads = [[[int(10 * rng.paretovariate(1.1)) for _ in range(1024)]] for _ in range(4)]
        trace = self.trace(header={"num_layers": 1, "num_experts": 1024, "top_k": 1}, loads=loads)
        for wait in (0.2, 1):
            with self.subTest(wait=wait):
                program = self.start("plan", trace, "--ranks", ranks, "--slots", 4 * ranks, "--policy", "hierarchical",
                                     "-o", "plan.json")
                time.sleep(wait)
                start = time.monotonic()
                program.send_signal(signal.SIGTERM)
                out, err = program.communicate(timeout=60)
                self.assertLess(time.monotonic() - start, 1)
                self.assertEqual(program.returncode, 130, err)
                if b"stopped: interrupted" in err:
                    self.assertEqual((out, self.files()), (b"", ["trace.jsonl"]))
                else:
                    self.assertEqual(self.load("plan.json")["result"]["hasty_layers"], 1)
                    (self.folder / "plan.json").unlink()

    def test_a_bar_appears_on_a_terminal_after_a_second_and_goes_away(self):
        ours, theirs = self.pseudo_terminal()
        program = self.start("trace", "generate", "--steps", 10 ** 9, "-o", "out.jsonl", stderr=theirs)
        os.close(theirs)
        shown = b""
        while "░".encode() not in shown:
            shown += os.read(ours, 4096)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
        shown += self.rest_of(ours)
        text = shown.decode()
        self.assertIn("steps  ", text)
        self.assertIn("ETA", text)
        self.assertIn("\r\033[Kmoeshift: stopped: interrupted", text)

    def test_quick_work_shows_no_bar(self):
        ours, theirs = self.pseudo_terminal()
        program = self.start("models", stderr=theirs)
        os.close(theirs)
        program.communicate(timeout=60)
        self.assertEqual(self.rest_of(ours), b"")

    @staticmethod
    def rest_of(terminal):
        """What is written to a terminal until nobody has it open any more."""
        written = b""
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            written += piece
        os.close(terminal)
        return written
