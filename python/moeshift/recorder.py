# SPDX-License-Identifier: Apache-2.0
"""Writes recorded loads from inside an engine, step by step, as a trace that every command reads."""
import json
import os
import time

import numpy

from moeshift._core import InputError


class Recorder:
    """Appends to a trace (JSON Lines, docs/formats.md) while an engine runs.

    A step is written by one call of the operating system and needs nothing after it: what was
    appended before the process is killed is readable, and a line that was cut off is left out by
    readers and cut by the next Recorder on the file. Memory: one load matrix, however long it runs.
    Not for several threads at once; ranks of one world each write a file of their own, which
    ``read_trace(*paths, sum_ranks=True)`` adds up.
    """

    def __init__(self, path, *, layers, experts, top_k=None, groups=None, layer_ids=None,
                 model="", ranks=None, nodes=None, source="moeshift.recorder", every=1,
                 sync_seconds=None, append=False):
        """
        Args:
            path: file to write. It must not exist unless `append`, which goes on where a trace of
                the same shape ends.
            layers, experts: of the model's MoE layers; every load is [layers, experts].
            top_k, groups, layer_ids, model, ranks, nodes: what the engine knows; goes into the
                header. layer_ids: the model's own numbers of the layers, [layers].
            every: so many calls of ``record`` are added up to one step of the trace.
            sync_seconds: also force what was written to the disk at least so often, which outlives
                a machine that goes down; None leaves it to the system.

        Raises:
            InputError: a bad shape, an existing file, or one of another shape to append to.
        """
        self._shape = (_count("layers", layers), _count("experts", experts))
        self._every = _count("every", every)
        self._sync_seconds = sync_seconds
        self._synced = time.monotonic()
        self._sum = numpy.zeros(self._shape, dtype=numpy.int64)
        self._pending = 0
        self._label = None
        self._step = 0
        header = self._header(model, top_k, groups, layer_ids, ranks, nodes, source)
        path = os.fspath(path)
        if append and os.path.exists(path):
            self._file = os.open(path, os.O_RDWR | os.O_APPEND)
            self._resume(path, header)
        else:
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except FileExistsError:
                raise InputError(f"{path}: exists; give append=True to go on there") from None
            self._write(header)

    def _header(self, model, top_k, groups, layer_ids, ranks, nodes, source):
        header = {"model": model, "num_layers": self._shape[0], "num_experts": self._shape[1]}
        known = {"top_k": top_k, "num_expert_groups": groups, "num_ranks": ranks}
        header.update({k: _count(k, v) for k, v in known.items() if v is not None})
        if layer_ids is not None and len(layer_ids):
            if len(layer_ids) != self._shape[0]:
                raise InputError(f"layer_ids: expected {self._shape[0]}, got {len(layer_ids)}")
            header["layer_ids"] = [int(number) for number in layer_ids]
        header.update(source=source, licence="", appended=True)
        if nodes is not None:
            header["num_nodes"] = _count("nodes", nodes)
        if self._every > 1:
            header["steps_per_record"] = self._every
        return header

    def _resume(self, path, header):
        """Cuts off a torn last line, and goes on after the last step."""
        end = _end_of_lines(self._file)
        os.ftruncate(self._file, end)
        with open(path, "rb") as file:
            first = file.readline()
            try:
                found = json.loads(first)
            except ValueError:
                raise InputError(f"{path}:1: expected the header of a trace") from None
            for key in ("num_layers", "num_experts", "layer_ids"):
                if found.get(key) != header.get(key):
                    raise InputError(f"{path}: has {key} {found.get(key)}, not {header.get(key)}")
            if not found.get("appended"):
                raise InputError(f"{path}: was not written by a recorder")
            for line in file:
                self._step = json.loads(line)["step"] + 1

    def record(self, load, *, step=None, label=None):
        """Adds one step.

        Args:
            load: [layers, experts] whole tokens >= 0, of this step alone; NumPy, or a tensor on the
                CPU.
            step: its number; default: counted on. label: a text that ``--label`` of commands finds
                ("prefill").

        Raises:
            InputError: wrong shape or type, negative or fractional loads, a step that is not after
                the last one.
        """
        self._sum += self._checked(load)
        if self._pending == 0:
            self._label = label
            if step is not None:
                if step < self._step:
                    raise InputError(f"step: expected at least {self._step}, got {step}")
                self._step = int(step)
        self._pending += 1
        if self._pending == self._every:
            self.flush()

    def _checked(self, load):
        array = load if isinstance(load, numpy.ndarray) else (
            numpy.from_dlpack(load) if hasattr(load, "__dlpack__") else numpy.asarray(load))
        if array.shape != self._shape:
            raise InputError(f"load: expected {list(self._shape)}, got {list(array.shape)}")
        if array.dtype.kind == "f":
            whole = numpy.isfinite(array) & (array == numpy.floor(array))
            if not whole.all():
                raise InputError("load: expected whole tokens")
        elif array.dtype.kind not in "iu":
            raise InputError(f"load: expected integers or floats, got {array.dtype}")
        if array.size and array.min() < 0:
            layer, expert = numpy.unravel_index(int(array.argmin()), array.shape)
            raise InputError(f"load: layer {layer} expert {expert} has {array.min()}")
        if array.max() > 2**53:
            raise InputError("load: expected at most 2^53 tokens")
        return array.astype(numpy.int64)

    def flush(self):
        """Writes what was added up, also if it is less than `every` steps."""
        if self._pending == 0:
            return
        line = {"step": self._step, "load": self._sum.tolist()}
        if self._label is not None:
            line["label"] = self._label
        self._write(line)
        self._step += 1
        self._sum[:] = 0
        self._pending = 0

    def _write(self, value):
        data = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self._file, data):]
        now = time.monotonic()
        if self._sync_seconds is not None and now - self._synced >= self._sync_seconds:
            os.fsync(self._file)
            self._synced = now

    def close(self):
        """Writes what is left; the recorder takes no more."""
        if self._file is not None:
            self.flush()
            os.close(self._file)
            self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _count(name, value):
    if int(value) != value or value < 1:
        raise InputError(f"{name}: expected a whole number of at least 1, got {value}")
    return int(value)


def _end_of_lines(file):
    """Where the last whole line ends."""
    block = 1 << 16
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - block)
        at = os.pread(file, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
