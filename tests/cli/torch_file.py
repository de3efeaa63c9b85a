# SPDX-License-Identifier: Apache-2.0
"""Files as torch.save() writes them, made without PyTorch: the same pickle, the same archive."""
import collections
import io
import pickle
import struct
import sys
import types
import zipfile


class Tensor:
    """`rows` nested as deep as the tensor has dimensions."""

    def __init__(self, rows, dtype="Long"):
        self.shape, flat = [], [rows]
        while flat and isinstance(flat[0], list):
            self.shape.append(len(flat[0]))
            flat = [item for row in flat for item in row]
        self.flat, self.dtype = flat, dtype

    def stride(self):
        steps, step = [], 1
        for extent in reversed(self.shape):
            steps.insert(0, step)
            step *= extent
        return tuple(steps)

    def data(self):
        if self.dtype == "BFloat16":  # the upper halves of floats
            return b"".join(struct.pack("<f", number)[2:] for number in self.flat)
        letter = {"Half": "e", "Long": "q", "Int": "i", "Short": "h", "Float": "f", "Double": "d"}[self.dtype]
        return struct.pack(f"<{len(self.flat)}{letter}", *self.flat)


class _Storage:
    def __init__(self, tensor, key):
        self.tensor, self.key = tensor, key


def _torch():
    """Stand-ins for what a pickle of PyTorch names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*_):
        raise NotImplementedError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("Long", "Int", "Short", "Float", "Double", "Half", "BFloat16"):
        setattr(torch, f"{name}Storage", type(f"{name}Storage", (), {"__module__": "torch"}))
    return {"torch": torch, "torch._utils": utils}


class _Pickler(pickle.Pickler):
    def __init__(self, out, modules, protocol):
        super().__init__(out, protocol)
        self.modules, self.tensors = modules, []

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        storage = _Storage(value, str(len(self.tensors)))
        self.tensors.append(value)
        arguments = (storage, 0, tuple(value.shape), value.stride(), False, collections.OrderedDict())
        return self.modules["torch._utils"]._rebuild_tensor_v2, arguments

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        kind = getattr(self.modules["torch"], f"{value.tensor.dtype}Storage")
        return "storage", kind, value.key, "cpu", len(value.tensor.flat)


def save(path, value, protocol=2, compression=zipfile.ZIP_STORED):
    """As torch.save(value, path), for values of plain data and Tensor."""
    modules = _torch()
    sys.modules.update(modules)
    try:
        out = io.BytesIO()
        pickler = _Pickler(out, modules, protocol)
        pickler.dump(value)
    finally:
        for name in modules:
            del sys.modules[name]
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", out.getvalue())
        archive.writestr("archive/byteorder", "little")
        for index, tensor in enumerate(pickler.tensors):
            archive.writestr(f"archive/data/{index}", tensor.data())
        archive.writestr("archive/version", "3\n")
