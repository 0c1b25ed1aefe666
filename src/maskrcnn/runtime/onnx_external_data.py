"""Scans the protocol buffer of an ONNX file for tensors that are stored in other files.

A tensor of an ONNX graph may be stored under any path that the file names, and what is read from there can appear in
the detections. Runtimes differ in which paths they follow.
"""

from __future__ import annotations

import mmap
from pathlib import Path

MAX_FIELDS = 20_000_000  # the bundled models have 50,000

# The messages of ONNX that contain tensors: the numbers of the fields to follow, and the message that each holds.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor
_VARINT, _EIGHT_BYTES, _MESSAGE, _FOUR_BYTES = 0, 1, 2, 5


def names_other_files(path: Path) -> bool:
    """Whether a tensor of the model is kept in another file.

    Raises:
        ValueError: the file is no protocol buffer, empty, or has more than MAX_FIELDS fields.
        OSError: it cannot be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _search(content)


def _search(content: mmap.mmap) -> bool:
    found = count = 0
    waiting = [("model", 0, len(content))]
    while waiting:
        kind, at, end = waiting.pop()
        while at < end:
            count += 1
            if count > MAX_FIELDS:
                raise ValueError(f"more than {MAX_FIELDS:,} fields")
            key, at = _varint(content, at, end)
            number, wire = key >> 3, key & 7
            length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire, 0)
            if wire in (_VARINT, _MESSAGE):
                length, at = _varint(content, at, end)
                length, value = (0, length) if wire == _VARINT else (length, 1)
                found |= kind == "tensor" and number in (_EXTERNAL_DATA, _DATA_LOCATION) and value > 0
            elif not length:
                raise ValueError(f"a field of type {wire}")
            if at + length > end:
                raise ValueError("it is cut off")
            if wire == _MESSAGE and (part := _FIELDS[kind].get(number)):
                waiting.append((part, at, at + length))
            at += length
    return bool(found)


def _varint(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and the position after it."""
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("it is cut off")
