"""Pickles of numpy arrays and plain containers, read without running anything they ask for.

A pickle is a program: it names functions and has them called. Here every name it may use stands for something of ours
that only builds an array or an ordered dict, and any other name ends the reading. What is allocated is bounded by the
size of the file.
"""

from __future__ import annotations

import math
import mmap
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.errors import MaskRCNNError

MAX_STEPS = 5_000_000  # a model of 1,000 arrays takes about 30,000

_NUMPY_CORE = ("numpy.core", "numpy._core")
_FORBIDDEN = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}  # what they mean lies outside the file


def read_pickle(path: Path) -> Any:
    """The content of a pickle file: dicts, lists, tuples, strings, bytes, numbers, numpy arrays and scalars.

    Pickles of Python 2 are read with its strings as Latin-1.

    Raises:
        MaskRCNNError: the file is cut off or no pickle, or it names anything but arrays and containers; the message
            says what, and nothing of it has run.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _check_steps(content)
            content.seek(0)
            return _resolved(_Unpickler(content, len(content)).load())
    except _RefusedError as error:
        raise MaskRCNNError(
            f"not a weight file that can be read safely: {error}; nothing of it was run",
            where=path,
            fix="save the parameters as a plain dict of numpy arrays, or as a torch state dict (.pth)",
        ) from None
    except (MemoryError, RecursionError, OverflowError):
        reason = "it asks for more memory than it has content"
    except Exception as error:  # whatever a file that is no pickle makes the unpickler trip over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise MaskRCNNError(
        f"not a weight file that can be read safely: {reason}", where=path, fix="copy or download the file again"
    ) from None


class _RefusedError(Exception):
    """A pickle asks for something other than arrays and containers."""


def _check_steps(content: mmap.mmap) -> None:
    """Look at all steps before any is taken."""
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(content), start=1):  # type: ignore[arg-type]
        if opcode.name in _FORBIDDEN:
            raise _RefusedError(f"it takes the step {opcode.name}")
        if opcode.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            _allowed(module, name)
        # A store far beyond what was stored before makes the unpickler reserve room for all in between.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > steps:
            raise _RefusedError("it numbers its objects without order")
        if steps > MAX_STEPS:
            raise _RefusedError(f"it takes more than {MAX_STEPS:,} steps")


class _Function:
    """One of our functions under the name of one of theirs; it cannot be changed from within a pickle."""

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise _RefusedError("it changes a function")

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("it changes a function")


class _DType:
    """A dtype on its way: made from a code such as "f4", then told its byte order."""

    def __init__(self, code: object) -> None:
        self.dtype = _plain_dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array on its way: made empty, then told shape, dtype and content."""

    def __init__(self, unpickler: _Unpickler) -> None:
        self.unpickler = unpickler
        self.array = np.zeros(0, np.float32)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        self.array = self.unpickler.array(content, dtype, shape, "F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    """Gives every name a pickle may use to one of our own functions."""

    def __init__(self, content: mmap.mmap, size: int) -> None:
        super().__init__(content, encoding="latin1")
        self.left = size  # bytes of text that may still be turned into content
        self.functions: dict[str, Callable[..., Any]] = {
            "ordered dict": OrderedDict,
            "dtype": lambda code, *_: _DType(code),
            "array class": lambda *_: _refuse("numpy.ndarray called"),
            "empty array": lambda *_: _Array(self),
            "array": lambda content, dtype, shape, order: self.array(content, dtype, shape, order),
            "scalar": lambda dtype, content: self.array(content, dtype, (1,), "C")[0],
            "bytes": self.encoded,
            "no bytes": lambda *args: _refuse("bytes of a number") if args else b"",
        }

    def find_class(self, module: str, name: str) -> Any:
        return _Function(self.functions[_allowed(module, name)])

    def encoded(self, text: object, encoding: object = "latin1") -> bytes:
        """How Python 3 writes bytes for Python 2."""
        if not isinstance(text, str) or encoding != "latin1":
            raise _RefusedError(f"it encodes text as {encoding!r}")
        self.left -= len(text)
        if self.left < 0:
            raise _RefusedError("its content is larger than the file")
        return text.encode("latin1")

    def array(self, content: object, dtype: object, shape: object, order: object) -> np.ndarray:
        """An array over bytes that are there already. Raises `_RefusedError` for objects and for a size that lies."""
        if isinstance(content, str):
            content = self.encoded(content)
        if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType) or order not in ("C", "F"):
            raise _RefusedError("an array of objects")
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise _RefusedError(f"an array of shape {str(shape)[:40]}")
        if math.prod(shape) * dtype.dtype.itemsize != len(content):
            raise _RefusedError(f"an array of {shape} with {len(content)} bytes")
        return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


def _allowed(module: str, name: str) -> str:
    """What of ours a name stands for. Raises `_RefusedError` for any other."""
    if (module, name) == ("collections", "OrderedDict"):
        return "ordered dict"
    if module == "numpy" and name in ("ndarray", "dtype"):
        return "array class" if name == "ndarray" else "dtype"
    if module in [f"{core}.multiarray" for core in _NUMPY_CORE] and name in ("_reconstruct", "scalar"):
        return "empty array" if name == "_reconstruct" else "scalar"
    if module in [f"{core}.numeric" for core in _NUMPY_CORE] and name == "_frombuffer":
        return "array"
    if (module, name) == ("_codecs", "encode"):
        return "bytes"
    if module in ("builtins", "__builtin__") and name == "bytes":
        return "no bytes"
    raise _RefusedError(f"it asks for {module}.{name}")


def _refuse(what: str) -> None:
    raise _RefusedError(what)


def _plain_dtype(code: object) -> np.dtype[Any]:
    code = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(code, str) or code.lstrip("<>=|")[:1] not in ("b", "i", "u", "f") or len(code) > 4:
        raise _RefusedError(f"an array of {str(code)[:20]!r}")
    dtype = np.dtype(code)
    if dtype.itemsize > 8:
        raise _RefusedError(f"an array of {code!r}")
    return dtype


def _resolved(value: Any, done: dict[int, Any] | None = None) -> Any:
    """The content with arrays in the place of those on their way; what is shared stays shared."""
    done = {} if done is None else done
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Function | _DType):
        raise _RefusedError("a function among the values")
    if not isinstance(value, dict | list | tuple):
        return value
    if id(value) not in done:
        done[id(value)] = None  # what holds itself holds nothing there
        if isinstance(value, dict):
            done[id(value)] = {key: _resolved(item, done) for key, item in value.items()}
        else:
            done[id(value)] = type(value)(_resolved(item, done) for item in value)
    return done[id(value)]
