"""Pickles of arrays and containers, read without running anything they ask for.

A pickle is a program: it names functions and has them called. Here a name stands for something of ours that builds an
array or an ordered dict; any other is a placeholder, `Inert`, that keeps what it is given and does nothing. Names that
only make sense to run code end the reading. What is allocated is bounded by the size of the file.
"""

from __future__ import annotations

import math
import mmap
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import first_line

MAX_STEPS = 5_000_000  # a model of 1,000 arrays takes about 30,000

_NUMPY_CORE = ("numpy.core", "numpy._core")
# Modules and functions that have no business beside weights. None would be run; a file that asks for one is not read.
_CODE = {"os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "importlib", "runpy", "pty", "ctypes", "code"}
_CODE |= {"pickle", "_pickle", "marshal", "webbrowser", "multiprocessing", "threading", "urllib", "http"}
_RUNS = {"eval", "exec", "execfile", "compile", "open", "file", "apply", "input", "breakpoint", "__import__", "load"}
_FORBIDDEN = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}  # what they mean lies outside the file


Names = Mapping[tuple[str, str], Callable[..., Any]]


class Inert:
    """Stands for an object that is neither array nor container: its name, what it was made from and what was put in."""

    what: ClassVar[str] = ""
    args: tuple[Any, ...]
    state: Any
    items: list[Any]
    pairs: dict[Any, Any]

    def __new__(cls, *args: Any, **named: Any) -> Inert:
        self = object.__new__(cls)
        values: dict[str, Any] = {"args": (*args, *named.values()), "state": None, "items": [], "pairs": {}}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        return self

    def __init__(self, *args: Any, **named: Any) -> None: ...

    def __call__(self, *args: Any, **named: Any) -> Inert:
        """A method of it, or what it made, called: nothing happens."""
        return Inert(self, *args, *named.values())

    def __setattr__(self, name: str, value: object) -> None:
        raise _RefusedError("it changes an object")

    def __setstate__(self, state: object) -> None:
        object.__setattr__(self, "state", state)

    def __setitem__(self, key: Any, value: object) -> None:
        self.pairs[key] = value

    def append(self, value: object) -> None:
        self.items.append(value)

    add = append

    def extend(self, values: list[Any]) -> None:
        self.items.extend(values)

    def content(self) -> dict[Any, Any]:
        """What it holds by name: attributes, pairs and the rest by number."""
        states = self.state if isinstance(self.state, tuple | list) else [self.state]
        named = {key: value for state in states if isinstance(state, dict) for key, value in state.items()}
        return {**dict(enumerate([*self.args, *self.items])), **named, **self.pairs}

    def __repr__(self) -> str:
        return f"<{self.what}>"


def read_pickle(path: Path) -> Any:
    """The content of a pickle file: dicts, lists, tuples, strings, bytes, numbers, numpy arrays and scalars.

    Other objects come as `Inert`. Pickles of Python 2 are read with its strings as Latin-1.

    Raises:
        MaskRCNNError: the file is cut off or no pickle, or it names what only runs code; the message says what, and
            nothing of it has run.
    """

    def read(content: mmap.mmap) -> Any:
        return resolved(load_one(content, len(content)))

    return safely(path, read)


def safely(path: Path, read: Callable[[mmap.mmap], Any]) -> Any:
    """What ``read`` makes of a file's bytes. They are mapped, so that only what is looked at is read.

    Raises:
        MaskRCNNError: whatever it trips over.
    """
    try:
        with path.open("rb") as file:
            # Private pages: torch takes no memory that may not be written to.
            return read(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except _RefusedError as error:
        raise MaskRCNNError(
            f"not a weight file that can be read safely: {error}; nothing of it was run",
            where=path,
            fix="save the parameters alone: torch.save({'state_dict': model.state_dict()}, 'plain.pth')",
        ) from None
    except (MemoryError, RecursionError, OverflowError):
        reason = "it asks for more memory than it has content"
    except Exception as error:  # whatever a file that is no pickle makes the unpickler trip over
        reason = first_line(error)
    raise MaskRCNNError(
        f"not a weight file that can be read safely: {reason}", where=path, fix="copy or download the file again"
    ) from None


def load_one(
    content: Any, size: int, names: Names | None = None, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """One pickle from where ``content`` (a file or map) stands; arrays are still on their way, see `resolved`.

    Args:
        size: bytes that its text may become.
        names: functions of ours under further names of theirs.
        persistent: gives what lies outside the pickle, by its id.
    """
    start = content.tell()
    _check_steps(content, persistent is not None)
    content.seek(start)
    return _Unpickler(content, size, names or {}, persistent).load()


class _RefusedError(Exception):
    """A pickle asks for something that is not done here."""


def refuse(why: str) -> Any:
    """End the reading, with a reason that follows "not a weight file that can be read safely"."""
    raise _RefusedError(why)


def _check_steps(content: Any, outside: bool) -> None:
    """Look at all steps before any is taken."""
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(content), start=1):
        if opcode.name in _FORBIDDEN and not (outside and opcode.name in ("PERSID", "BINPERSID")):
            raise _RefusedError(f"it takes the step {opcode.name}")
        if opcode.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            _check_name(module, name)
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
        if state[1] in ("<", ">") and self.dtype is not None:
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array on its way: made empty, then told shape, dtype and content."""

    def __init__(self, unpickler: _Unpickler) -> None:
        self.unpickler = unpickler
        self.array: np.ndarray | Inert = np.zeros(0, np.float32)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        self.array = self.unpickler.array(content, dtype, shape, "F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    """Gives every name a pickle uses to one of our own functions, or to a placeholder."""

    def __init__(self, content: Any, size: int, names: Names, persistent: Callable[[Any], Any] | None) -> None:
        super().__init__(content, encoding="latin1")
        self.left = size  # bytes of text that may still be turned into content
        self.persistent = persistent
        self.inert: dict[tuple[str, str], type[Inert]] = {}
        self.names: dict[tuple[str, str], Callable[..., Any]] = {**names}
        self.names["collections", "OrderedDict"] = OrderedDict
        self.names["_codecs", "encode"] = self.encoded
        self.names["numpy", "ndarray"] = lambda *_: refuse("it calls numpy.ndarray")
        self.names["numpy", "dtype"] = lambda code, *_: _DType(code)
        for core in _NUMPY_CORE:
            self.names[f"{core}.multiarray", "_reconstruct"] = lambda *_: _Array(self)
            self.names[f"{core}.multiarray", "scalar"] = self.scalar
            self.names[f"{core}.numeric", "_frombuffer"] = self.array
        for module in ("builtins", "__builtin__"):
            self.names[module, "bytes"] = lambda *args: refuse("it asks for bytes of a number") if args else b""

    def find_class(self, module: str, name: str) -> Any:
        _check_name(module, name)
        if (module, name) in self.names:
            return _Function(self.names[module, name])
        if (module, name) not in self.inert:
            what = f"{module}.{name}"[:100]
            self.inert[module, name] = type("Inert", (Inert,), {"what": what})
        return self.inert[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if self.persistent is None:
            raise _RefusedError("it asks for what lies outside of it")
        return self.persistent(pid)

    def scalar(self, dtype: object, content: object = b"") -> Any:
        value = self.array(content, dtype, (1,), "C")
        return value if isinstance(value, Inert) else value[0]

    def encoded(self, text: object, encoding: object = "latin1") -> bytes:
        """How Python 3 writes bytes for Python 2."""
        if not isinstance(text, str) or encoding != "latin1":
            raise _RefusedError(f"it encodes text as {encoding!r}")
        self.left -= len(text)
        if self.left < 0:
            raise _RefusedError("its content is larger than the file")
        return text.encode("latin1")

    def array(self, content: object, dtype: object, shape: object, order: object) -> np.ndarray | Inert:
        """An array over bytes that are there already; objects and text stay inert. Refused is a size that lies."""
        if isinstance(dtype, _DType) and dtype.dtype is None:
            return Inert(content)
        if isinstance(content, str):
            content = self.encoded(content)
        if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType) or order not in ("C", "F"):
            raise _RefusedError("an array of objects")
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise _RefusedError(f"an array of shape {str(shape)[:40]}")
        assert dtype.dtype is not None
        if math.prod(shape) * dtype.dtype.itemsize != len(content):
            raise _RefusedError(f"an array of {shape} with {len(content)} bytes")
        return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


def _check_name(module: str, name: str) -> None:
    """Raise `_RefusedError` for what is only good for running code."""
    root = module.partition(".")[0]
    builtin = root in ("builtins", "__builtin__", "torch", "numpy", "joblib", "cloudpickle", "io", "_io")
    if root in _CODE or (builtin and name in _RUNS) or name.startswith("__"):
        raise _RefusedError(f"it asks for {module[:60]}.{name[:60]}")


def _plain_dtype(code: object) -> np.dtype[Any] | None:
    """The dtype of numbers that this code names; None for objects, text and whatever else is no weight."""
    code = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(code, str):
        raise _RefusedError("a dtype without a code")
    if code.lstrip("<>=|")[:1] not in ("b", "i", "u", "f") or len(code) > 4:
        return None
    dtype = np.dtype(code)
    return dtype if dtype.itemsize <= 8 else None


def resolved(value: Any, done: dict[int, Any] | None = None) -> Any:
    """The content with arrays in the place of those on their way; what is shared stays shared."""
    done = {} if done is None else done
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Function | _DType) or (isinstance(value, type) and issubclass(value, Inert)):
        return Inert()
    if not isinstance(value, dict | list | tuple | Inert):
        return value
    if id(value) not in done:
        done[id(value)] = None  # what holds itself holds nothing there
        if isinstance(value, dict):
            done[id(value)] = {key: resolved(item, done) for key, item in dict.items(value)}
        elif isinstance(value, Inert):
            done[id(value)] = value
            for name in ("args", "state", "items", "pairs"):
                object.__setattr__(value, name, resolved(getattr(value, name), done))
        else:
            done[id(value)] = type(value)(resolved(item, done) for item in value)
    return done[id(value)]
