# SPDX-License-Identifier: Apache-2.0
"""What the command line tests share: the program, a folder per test, small inputs."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ.get("MOESHIFT", "moeshift")
SOURCE = pathlib.Path(__file__).resolve().parents[2]
DEEPSEEK_LIKE = SOURCE / "traces" / "deepseek_like_prefill.jsonl"
MOE64_LIKE = SOURCE / "traces" / "moe64_like_decode.jsonl"
TIMEOUT_SECONDS = 280

HEADER = {"model": "tiny", "num_layers": 2, "num_experts": 8, "top_k": 2, "source": "test", "licence": "none"}
LOADS = [[[8, 6, 4, 2, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3, 3, 3]], [[1, 1, 1, 1, 2, 4, 6, 8], [3, 3, 3, 3, 3, 3, 3, 3]]]


class Result:
    """Exit code and streams of one run."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)


class CliTest(unittest.TestCase):
    """A test with an empty folder, in which the program runs."""

    maxDiff = 4000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="moeshift-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, *words, stdin=None, env=None, stdout=None):
        environment = {k: v for k, v in os.environ.items()
                       if k not in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS")}
        environment.update(env or {})
        done = subprocess.run([PROGRAM, *map(str, words)], cwd=self.folder, env=environment,
                              input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                              stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              encoding="utf-8", timeout=TIMEOUT_SECONDS, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def good(self, *words, **options):
        """Runs and demands exit 0."""
        result = self.run_program(*words, **options)
        self.assertEqual(result.code, 0, f"{words}: {result.err}")
        return result

    def refused(self, *words, says=(), code=2, **options):
        """Runs and demands a refusal: its exit code, one line on stderr with `says`, no answer."""
        result = self.run_program(*words, **options)
        self.assertEqual(result.code, code, f"{words}: out {result.out[:300]} err {result.err}")
        self.assertEqual(result.out or "", "", f"{words} printed an answer")
        self.assertEqual(len(result.err.splitlines()), 1, f"{words}: {result.err}")
        self.assertTrue(result.err.startswith("moeshift: "), result.err)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, result.err)
        return result

    def pseudo_terminal(self):
        """Our end and the program's end; some containers have no /dev/pts to make one of."""
        try:
            return os.openpty()
        except OSError as error:
            self.skipTest(f"no pseudo-terminal here: {error.strerror}")

    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def trace(self, name="trace.jsonl", header=None, loads=None):
        """A neutral trace; keys of `header` replace the usual ones, None removes one."""
        head = {k: v for k, v in {**HEADER, **(header or {})}.items() if v is not None}
        lines = [json.dumps(head)]
        for step, load in enumerate(LOADS if loads is None else loads):
            lines.append(json.dumps({"step": step, "load": load}))
        return self.write(name, "\n".join(lines) + "\n")

    def tiny_model(self):
        """A model of the shape of the tiny trace, 3 KiB per expert."""
        tensor = {"name": "w", "shape": [16, 64], "dtype": "bf16", "bytes": 2048}
        scale = {"name": "s", "shape": [256], "dtype": "fp32", "bytes": 1024}
        model = {"name": "tiny", "description": "for tests", "source": "made up", "num_layers": 2, "num_experts": 8,
                 "top_k": 2, "num_expert_groups": 1, "hidden_size": 64, "layer_ids": [0, 1],
                 "expert_tensors": [tensor, scale]}
        return self.write("model.json", json.dumps(model))

    def plan(self, name, *words, trace=None):
        """A plan file of the tiny trace, or of `trace`."""
        shape = [] if "--ranks" in words else ["--ranks", 4, "--slots", 12]
        self.good("plan", trace or self.trace(), *shape, *words, "-o", name, "-q")
        return name

    def load(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())
