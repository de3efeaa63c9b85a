# SPDX-License-Identifier: Apache-2.0
"""What the shells offer, asked of the real shells: words, values, descriptions, files."""
import os
import pathlib
import shutil
import subprocess

import cli
from cli import CliTest


class Completions(CliTest):
    def shell(self, name, script):
        """What a shell prints for `script`; the program is called moeshift there."""
        found = shutil.which(name)
        if found is None:
            self.skipTest(f"no {name} here")
        folder = self.folder / "bin"
        if not folder.exists():
            folder.mkdir()
            (folder / "moeshift").symlink_to(pathlib.Path(cli.PROGRAM).resolve())
        self.write("completion", self.good("completion", name).out)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run([found, *(["-f"] if name == "zsh" else []), "-c", script], cwd=self.folder, env=environment, text=True,
                              encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), script)
        return done.stdout.splitlines()

    def offered(self, name, *words, listing=False):
        """The words that a shell offers after `words`, the last of which is begun."""
        quoted = " ".join(f"'{word}'" for word in words)
        if name == "bash":
            kind = 63 if listing else 9
            return self.shell("bash", f"source ./completion; COMP_TYPE={kind}; COMP_WORDS=(moeshift {quoted}); "
                                      f"COMP_CWORD={len(words)}; _moeshift; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        if name == "zsh":
            stubs = ("compdef() { : }; _files() { print -l -- *(N) }; "
                     "_describe() { shift 2; print -l -- ${(P)1} }; ")
            return self.shell("zsh", f"{stubs} source ./completion; words=(moeshift {quoted}); CURRENT={len(words) + 1}; _moeshift")
        return self.shell("fish", f"source ./completion; complete -C 'moeshift {' '.join(words)}'")

    def test_commands_are_offered_with_what_they_do(self):
        table = {"bash": "compare", "zsh": "compare:several policies on the same trace, judged on held-out steps",
                 "fish": "compare\tseveral policies on the same trace, judged on held-out steps"}
        for name, line in table.items():
            with self.subTest(shell=name):
                self.assertIn(line, self.offered(name, "com"))

    def test_values_are_offered_with_descriptions(self):
        for name, between in (("bash", None), ("zsh", ":"), ("fish", "\t")):
            with self.subTest(shell=name):
                lines = self.offered(name, "plan", "t.jsonl", "--cluster", "hgx_h")
                words = [line.split(between)[0] if between else line for line in lines]
                self.assertIn("hgx_h200", words)
                self.assertNotIn("gb200_nvl72", words)
                if between:
                    self.assertTrue(all(between in line for line in lines), lines)

    def test_bash_shows_descriptions_where_it_lists(self):
        lines = self.offered("bash", "plan", "t.jsonl", "--policy", "", listing=True)
        self.assertTrue(any(line.startswith("deepseek  (greedy replicas") for line in lines), lines)
        self.assertIn("deepseek", self.offered("bash", "plan", "t.jsonl", "--policy", "dee"))

    def test_lists_are_completed_after_the_last_comma(self):
        for name in ("bash", "zsh", "fish"):
            with self.subTest(shell=name):
                lines = self.offered(name, "compare", "t.jsonl", "--policies", "static,sna")
                self.assertEqual([line.split("\t")[0].split(":")[0] for line in lines], ["static,snake"])

    def test_files_are_offered_where_files_are_meant(self):
        self.write("recorded.jsonl", "")
        for name in ("bash", "zsh", "fish"):
            with self.subTest(shell=name):
                for words in (("plan", "rec"), ("plan", "t.jsonl", "--from", "rec")):
                    self.assertTrue(any("recorded.jsonl" in line for line in self.offered(name, *words)), words)

    def test_bash_splits_at_the_equals_sign(self):
        self.assertIn("incremental", self.offered("bash", "plan", "t.jsonl", "--policy", "=", "inc"))

    def answer(self, *words):
        return [line.split("\t")[0] for line in self.good("__complete", *words).out.splitlines()]

    def test_the_program_offers_what_may_stand_there(self):
        self.assertIn("info", self.answer("trace", ""))
        self.assertEqual(self.answer("completion", "b"), ["bash"])
        self.assertIn("deepseek_v3_fp8", self.answer("models", "deep"))
        self.assertIn("import", self.answer("models", ""))
        self.assertEqual(self.answer("export", "p.json", "--to", "tr"), ["trtllm"])
        self.assertEqual(self.answer("plan", "t", "--policy=ro"), ["--policy=robust"])
        self.assertIn("--ranks", self.answer("plan", "t", "--ra"))
        self.assertNotIn("--ranks", self.answer("plan", "t", "--ranks", 4, "--ra"))
        self.assertEqual(self.answer("plan", "t", "--windows", ""), [])
        self.assertEqual(self.answer("nonsense", ""), [])

    def test_the_manual_names_values_choices_and_defaults(self):
        page = self.good("completion", "man").out
        for text in (r"\fB\-\-cluster\fR \fICLUSTER\fR", "one of fast, normal, thorough; default: normal", r"\fB\-o\fR, \fB\-\-output\fR \fIFILE\fR",
                     "MOESHIFT_", "moeshift.toml", "EXIT STATUS"):
            self.assertIn(text, page)
        if shutil.which("man") is None:
            self.skipTest("no man here")
        self.write("moeshift.1", page)
        done = subprocess.run(["man", "--warnings", "-l", "moeshift.1"], cwd=self.folder, env={**os.environ, "MANWIDTH": "80"}, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--tokens-per-step X", done.stdout.replace("\b", ""))
