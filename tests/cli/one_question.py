# SPDX-License-Identifier: Apache-2.0
"""What is planned for is read once, and by all commands alike: machine, model, groups, layers."""
import json
import os
import threading

from cli import SOURCE, CliTest

SHAPE = ("--ranks", 4, "--slots", 12)
SERVED = ("--tokens-per-step", 64)
COMMANDS = {
    "plan": (),
    "compare": ("--policies", "static,snake"),
    "simulate": SERVED,
    "sweep": (*SERVED, "--policies", "incremental"),
    "diagnose": SERVED,
}
STEPS = [[[8, 6, 4, 2, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3, 3, 3]], [[1, 1, 1, 1, 2, 4, 6, 8], [3, 3, 3, 3, 3, 3, 3, 3]]] * 4


class OneQuestion(CliTest):
    def words(self, command, trace, *words, model="model.json", cluster="hgx_h200"):
        return (command, trace, *SHAPE, "--cluster", cluster, "--model", model, *COMMANDS[command], *words)

    def steps(self, **header):
        return self.trace(header=header, loads=STEPS)

    def deep_model(self):
        """16 layers; an expert of the layers from 8 on is twice as large."""
        model = self.load(self.tiny_model())
        sizes = [[3072 if layer < 8 else 6144] * 8 for layer in range(16)]
        model.update({"num_layers": 16, "layer_ids": list(range(3, 19)), "bytes_per_expert": sizes})
        return self.write("model.json", json.dumps(model))

    def test_more_groups_than_experts_are_refused_by_every_command(self):
        self.tiny_model()
        said = set()
        for command in COMMANDS:
            result = self.refused(*self.words(command, self.steps(), "--groups", 9), says=("--groups", "8", "9"))
            said.add(result.err)
        self.assertEqual(len(said), 1, said)

    def test_no_groups_are_refused_by_every_command(self):
        self.tiny_model()
        for command in COMMANDS:
            self.refused(*self.words(command, self.steps(), "--groups", 0), says="--groups")

    def test_no_ranks_and_no_slots_are_refused_by_every_command(self):
        self.tiny_model()
        for command in COMMANDS:
            words = [0 if word == 4 else word for word in self.words(command, self.steps())]
            self.refused(*words, says="--ranks")
            words = [0 if word == 12 else word for word in self.words(command, self.steps())]
            self.refused(*words, says="--slots")

    def test_groups_of_the_trace_are_those_of_every_command_without_a_model_that_says(self):
        self.tiny_model()
        for command in COMMANDS:
            self.refused(*self.words(command, self.steps(num_expert_groups=8), "--groups", 9), says="--groups")

    def test_a_trace_of_some_layers_that_it_names_is_served_by_every_command(self):
        self.deep_model()
        for command in COMMANDS:
            self.good(*self.words(command, self.steps(layer_ids=[4, 12])))

    def test_a_trace_of_some_layers_that_it_does_not_name_is_refused_by_every_command(self):
        self.deep_model()
        said = set()
        for command in COMMANDS:
            result = self.refused(*self.words(command, self.steps()), says=("16", "2", "tiny"))
            said.add(result.err)
        self.assertEqual(len(said), 1, said)

    def test_a_trace_of_layers_that_the_model_has_not_is_refused_by_every_command(self):
        self.deep_model()
        for command in COMMANDS:
            self.refused(*self.words(command, self.steps(layer_ids=[4, 40])), says=("40", "tiny"))

    def test_experts_of_the_named_layers_have_the_sizes_of_those_layers(self):
        self.deep_model()
        moved = {}
        for layers in ([3, 4], [14, 15], [15, 3]):
            words = self.words("compare", self.steps(layer_ids=layers), "--format", "json")
            row = self.good(*words).json()["result"]["rows"][1]
            moved[tuple(layers)] = sum(row["bytes_by_link"].values())
        self.assertEqual(moved[14, 15], 2 * moved[3, 4])
        self.assertGreater(moved[15, 3], moved[3, 4])
        self.assertLess(moved[15, 3], moved[14, 15])

    def test_a_model_may_come_from_standard_input(self):
        text = (self.folder / self.tiny_model()).read_text()
        for command in COMMANDS:
            piped = self.good(*self.words(command, self.steps(), model="-"), stdin=text)
            filed = self.good(*self.words(command, self.steps()))
            if command not in ("plan", "compare"):  # these show how long planning took
                self.assertEqual(piped.out, filed.out)

    def test_a_machine_may_come_from_a_pipe(self):
        self.tiny_model()
        for command in COMMANDS:
            cluster = json.dumps(self.shipped("clusters/hgx_h200.json"))
            self.good(*self.words(command, self.steps(), cluster=self.pipe(command, cluster)))

    def test_serving_parameters_may_come_from_standard_input(self):
        self.tiny_model()
        text = json.dumps(self.shipped("serving/hgx_h200.json"))
        for command in ("simulate", "sweep", "diagnose"):
            self.good(*self.words(command, self.steps(), "--serving", "-"), stdin=text)
        self.good(*self.words("plan", self.steps(), "--serving", "-", "--objective", "seconds"), stdin=text)

    def test_a_trace_may_come_from_standard_input_in_every_command(self):
        self.tiny_model()
        text = (self.folder / self.steps()).read_text()
        for command in COMMANDS:
            self.good(*self.words(command, "-"), stdin=text)
            self.good(*self.words(command, self.pipe(command, text)))

    def test_standard_input_is_one_input(self):
        self.tiny_model()
        text = (self.folder / self.steps()).read_text()
        for command in COMMANDS:
            self.refused(*self.words(command, "-", model="-"), stdin=text)

    def test_a_file_is_one_input_of_the_result_however_often_it_is_asked(self):
        self.tiny_model()
        for command in COMMANDS:
            inputs = self.good(*self.words(command, self.steps(), "--format", "json")).json()["meta"]["inputs"]
            paths = [entry["path"] for entry in inputs]
            self.assertEqual(len(paths), len(set(paths)), paths)

    def shipped(self, path):
        return json.loads((SOURCE / "configs" / path).read_text())

    def pipe(self, name, text):
        """The path of a pipe that holds `text` for whoever opens it first, and nobody else."""
        path = self.folder / f"{name}.pipe"
        os.mkfifo(path)
        threading.Thread(target=path.write_text, args=(text,), daemon=True).start()
        return f"./{path.name}"
