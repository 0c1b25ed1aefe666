"""Files of ``torch.save``, read without running any code: zip archives, the format before them, and tar.

A tensor is a `Stored` description; its numbers are read from the file when they are needed.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskrcnn.weights.restricted_pickle import Inert, load_one, refuse, resolved, safely

_MAGIC = 0x1950A86A20F9469CFC6C
_MODULES = ("torch", "torch.cuda", "torch.storage")
_STORAGES = {  # class names without "Storage"
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "Untyped": torch.uint8,
    "QInt8": torch.int8,
    "QUInt8": torch.uint8,
    "QInt32": torch.int32,
}
_UNREADABLE = {
    "_rebuild_qtensor": "quantised",
    "_rebuild_sparse_tensor": "sparse",
    "_rebuild_sparse_csr_tensor": "sparse",
    "_rebuild_nested_tensor": "nested",
    "_rebuild_meta_tensor_no_storage": "without numbers (a meta tensor)",
    "_rebuild_wrapper_subclass": "a part of a tensor that lies on several devices",
    "_rebuild_device_tensor_from_numpy": "of another device than CPU or CUDA",
    "_rebuild_device_tensor_from_cpu_tensor": "of another device than CPU or CUDA",
}


class Unreadable(Inert):
    """A tensor in an unsupported form; ``what`` names it."""


class Storage:
    """A flat array of numbers; its bytes may be set after its type and size."""

    __slots__ = ("count", "data", "dtype", "swap")

    def __init__(self, dtype: torch.dtype, count: int) -> None:
        if type(count) is not int or not 0 <= count < 2**48:
            refuse("a storage of an impossible size")
        self.dtype, self.count = dtype, count
        self.data: Any = None
        self.swap = False

    def fill(self, content: Any, start: int, end: int) -> int:
        """Set its bytes from ``content[start:]``; returns where they end."""
        size = self.count * self.dtype.itemsize
        if not 0 <= start <= start + size <= end:
            raise ValueError("truncated: a tensor's numbers are missing")
        self.data = memoryview(content)[start : start + size]
        return start + size

    def numbers(self) -> Tensor:
        if self.data is None:
            raise ValueError("its numbers are not in the file")
        if not self.count:
            return torch.empty(0, dtype=self.dtype)
        if self.swap and self.dtype.itemsize > 1:
            size = self.dtype.itemsize // (2 if self.dtype.is_complex else 1)
            data = np.frombuffer(self.data, f"u{size}").byteswap()
            return torch.from_numpy(data.view(np.uint8)).view(self.dtype)
        return torch.frombuffer(self.data, dtype=self.dtype)


class Stored:
    """A tensor in a file.

    Attributes:
        dtype, shape: of the tensor.
        expanded: whether it has more elements than its storage has numbers, as by `Tensor.expand`.
    """

    __slots__ = ("dtype", "offset", "shape", "storage", "stride")

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any, dtype: Any = None) -> None:
        whole = [offset, *size, *stride]
        if not isinstance(storage, Storage) or not all(type(n) is int and 0 <= n < 2**48 for n in whole):
            refuse("a tensor of an impossible shape")
        self.storage, self.offset = storage, offset
        self.shape, self.stride = tuple(size), tuple(stride)
        self.dtype = _dtype(dtype) or storage.dtype
        count = storage.count * storage.dtype.itemsize // self.dtype.itemsize
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 not in self.shape and last >= count:
            refuse("a tensor that exceeds its storage")

    def __setstate__(self, state: object) -> None:
        """Ignore attributes of a parameter."""

    @property
    def count(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)

    @property
    def expanded(self) -> bool:
        return self.count * self.dtype.itemsize > self.storage.count * self.storage.dtype.itemsize

    def tensor(self) -> Tensor:
        """A view of the numbers in the file."""
        return self.storage.numbers().view(self.dtype).as_strided(self.shape, self.stride, self.offset)


def read_torch_file(path: Path) -> Any:
    """The content of a file of ``torch.save`` or of a plain pickle; tensors are `Stored`, unknown objects `Inert`.

    Raises:
        MaskRCNNError: see `restricted_pickle.safely`.
    """

    def read(content: mmap.mmap) -> Any:
        if content[:4] == b"PK\x03\x04":
            return _archive(content, path)
        return _tar(path) if content[257:262] == b"ustar" else _sequence(content, len(content))

    return safely(path, read)


def _names() -> dict[tuple[str, str], Any]:
    """Functions of ours that replace those of torch."""
    names: dict[tuple[str, str], Any] = {
        ("torch._utils", "_rebuild_tensor"): Stored,
        ("torch._utils", "_rebuild_tensor_v2"): lambda *args: Stored(*args[:4]),
        ("torch._utils", "_rebuild_tensor_v3"): lambda *args: Stored(*args[:4], *args[6:7]),
        ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *_: data,
        ("torch._tensor", "_rebuild_from_type_v2"): lambda build, kind, args, state: (
            build(*args) if isinstance(args, tuple) and callable(build) and not isinstance(build, type) else Inert()
        ),
        ("torch.storage", "_load_from_bytes"): _storage_of_bytes,
    }
    for name, what in _UNREADABLE.items():
        made = type("Unreadable", (Unreadable,), {"what": what})
        names["torch._utils", name] = lambda *args, made=made: made()
    for module in _MODULES:
        for name, dtype in _STORAGES.items():
            names[module, f"{name}Storage"] = lambda *_, dtype=dtype: dtype
    return names


def _dtype(name: Any) -> torch.dtype | None:
    found = getattr(torch, str(getattr(name, "what", "")).removeprefix("torch."), None)
    return found if isinstance(found, torch.dtype) else None


def _storage_of_bytes(content: Any) -> Storage:
    """The storage of a tensor in a plain pickle: an embedded file of the old format."""
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(content, bytes):
        refuse("a storage that is not bytes")
    file = io.BytesIO(content)
    storage = _sequence(file, len(content), view=bytearray(content))
    return storage if isinstance(storage, Storage) else refuse("a storage of another kind")


class _Storages:
    """The storages that a pickle refers to, by key."""

    def __init__(self) -> None:
        self.known: dict[str, Storage] = {}

    def __call__(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or not pid:
            return refuse("it refers to data outside of it")
        if pid[0] == "module":
            return pid[1]
        _, kind, key, _, count, *rest = pid
        key, dtype = str(key), kind()
        if not isinstance(dtype, torch.dtype):
            return refuse("a storage of an unknown dtype")
        if key not in self.known:
            self.known[key] = Storage(dtype, count)
        if rest and rest[0] is not None:
            return refuse("a storage within a storage")
        return self.known[key]


def _archive(content: mmap.mmap, path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if not pickles:
        raise ValueError("a zip archive without a data.pkl, as torch writes it")
    root = pickles[0].removesuffix("data.pkl")

    def span(name: str) -> tuple[int, int]:
        info = entries.get(name)
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name[:60]} is missing in the archive, or compressed, which torch never does")
        names, extra = struct.unpack("<HH", content[info.header_offset + 26 : info.header_offset + 30])
        start = info.header_offset + 30 + names + extra
        if start + info.file_size > len(content):
            raise ValueError("truncated")
        return start, start + info.file_size

    start, end = span(pickles[0])
    storages = _Storages()
    made = load_one(io.BytesIO(content[start:end]), end - start, _names(), storages)
    order = entries.get(f"{root}byteorder")
    big = order is not None and content[slice(*span(order.filename))] == b"big"
    for key, storage in storages.known.items():
        storage.fill(content, *span(f"{root}data/{key}"))
        storage.swap = big
    return resolved(made)


def _sequence(content: Any, size: int, view: Any = None) -> Any:
    """The format before archives: pickles one after another, then the storages. Or a plain pickle."""
    first = load_one(content, size, _names())
    if first != _MAGIC:
        return resolved(first)
    for _ in range(2):  # the protocol version and the machine
        load_one(content, size)
    storages = _Storages()
    made = load_one(content, size, _names(), storages)
    keys = load_one(content, size)
    view = content if view is None else view
    at = content.tell()
    for key in keys:
        storage = storages.known[str(key)]
        (count,) = struct.unpack("<q", view[at : at + 8])
        if count != storage.count:
            raise ValueError("a storage whose size differs from its tensor's")
        at = storage.fill(view, at + 8, size)
    return resolved(made)


def _tar(path: Path) -> Any:
    """The first format: a tar archive of storages, tensors and the pickle that names them."""
    with tarfile.open(path, "r:") as archive:
        parts = {}
        for name in ("storages", "tensors", "pickle"):
            member = archive.extractfile(name)
            if member is None:
                raise ValueError(f"a tar archive without {name}")
            parts[name] = member.read()
    known: dict[Any, Any] = {}
    data = parts["storages"]
    file = io.BytesIO(data)
    for _ in range(_count(load_one(file, len(data)))):
        key, _, kind = load_one(file, len(data), _names())
        (count,) = struct.unpack("<q", file.read(8))
        known[key] = Storage(kind(), count)
        file.seek(known[key].fill(bytearray(data), file.tell(), len(data)))
    if load_one(file, len(data)):
        refuse("a storage within a storage")
    data = parts["tensors"]
    file = io.BytesIO(data)
    for _ in range(_count(load_one(file, len(data)))):
        key, storage, _ = load_one(file, len(data), _names())
        (dims,) = struct.unpack("<q", file.read(8))
        if not 0 <= dims <= 64:
            refuse("a tensor of an impossible shape")
        numbers = struct.unpack(f"<{2 * dims + 1}q", file.read(16 * dims + 8))
        known[key] = Stored(known[storage], numbers[-1], numbers[:dims], numbers[dims:-1])
    data = parts["pickle"]

    def outside(pid: Any) -> Any:
        return pid[0] if isinstance(pid, tuple) else known[int(pid)]

    return resolved(load_one(io.BytesIO(data), len(data), _names(), outside))


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 10**6 else refuse("an archive of an impossible size")
