"""Pickles of arrays and containers, read without running any code they name.

A pickle is a program that names functions and calls them. Here a few names are replaced by functions of ours that build
arrays and ordered dicts; all others by a placeholder, `Inert`, that stores its arguments and does nothing. Names that
only serve to run code are refused. Allocations are bounded by the size of the file.
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
# Modules and functions that no weight file needs: a file that names one is refused.
_CODE = {"os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "importlib", "runpy", "pty", "ctypes", "code"}
_CODE |= {"pickle", "_pickle", "marshal", "webbrowser", "multiprocessing", "threading", "urllib", "http"}
_RUNS = {"eval", "exec", "execfile", "compile", "open", "file", "apply", "input", "breakpoint", "__import__", "load"}
_FORBIDDEN = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}  # these refer to objects outside the file

Names = Mapping[tuple[str, str], Callable[..., Any]]


class Inert:
    """Placeholder for an object that is neither array nor container: its name, arguments, state and items."""

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
        """A call of the object, of its method or of its result: gives another placeholder."""
        return Inert(self, *args, *named.values())

    def __setattr__(self, name: str, value: object) -> None:
        raise _UnsafePickleError("it changes an object")

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
        """Its attributes and pairs by name, arguments and items by number."""
        states = self.state if isinstance(self.state, tuple | list) else [self.state]
        named = {key: value for state in states if isinstance(state, dict) for key, value in state.items()}
        return {**dict(enumerate([*self.args, *self.items])), **named, **self.pairs}

    def __repr__(self) -> str:
        return f"<{self.what}>"


def safely(path: Path, read: Callable[[mmap.mmap], Any]) -> Any:
    """``read(content)`` of a file's bytes, which are mapped: only the parts that are used are read.

    Raises:
        MaskRCNNError: the file is truncated or no pickle, or names code to run; none of it was run.
    """
    try:
        with path.open("rb") as file:
            # Copy on write: torch needs writable memory.
            return read(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except _UnsafePickleError as error:
        what = f"not a weight file that can be read safely: {error}; nothing of it was run"
        fix = "save only the parameters: torch.save({'state_dict': model.state_dict()}, 'plain.pth')"
        raise MaskRCNNError(what, where=path, fix=fix) from None
    except (MemoryError, RecursionError, OverflowError):
        reason = "it asks for more memory than its size allows"
    except Exception as error:  # the unpickler raises any class for a broken file
        reason = first_line(error)
    what = f"not a weight file that can be read safely: {reason}"
    raise MaskRCNNError(what, where=path, fix="copy or download the file again") from None


def load_one(
    content: Any, size: int, names: Names | None = None, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """One pickle from the position of ``content`` (a file or map); its arrays are unfinished, see `resolved`.

    Args:
        size: most bytes that its text may decode to.
        names: functions of ours that replace further names.
        persistent: returns the object outside the pickle that has this id.
    """
    start = content.tell()
    _check_steps(content, persistent is not None)
    content.seek(start)
    return _Unpickler(content, size, names or {}, persistent).load()


class _UnsafePickleError(Exception):
    """A pickle asks for something unsafe."""


def refuse(why: str) -> Any:
    """Stop reading. The reason is appended to "not a weight file that can be read safely"."""
    raise _UnsafePickleError(why)


def _check_steps(content: Any, outside: bool) -> None:
    """Check all opcodes before any is executed."""
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(content), start=1):
        if opcode.name in _FORBIDDEN and not (outside and opcode.name in ("PERSID", "BINPERSID")):
            raise _UnsafePickleError(f"it uses the opcode {opcode.name}")
        if opcode.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            _check_name(module, name)
        # The unpickler allocates all memo entries up to the largest index.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > steps:
            raise _UnsafePickleError("its memo indices are out of order")
        if steps > MAX_STEPS:
            raise _UnsafePickleError(f"it has more than {MAX_STEPS:,} opcodes")


class _Function:
    """A function of ours in place of the one that a pickle names, protected from changes by the pickle."""

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise _UnsafePickleError("it changes a function")

    def __setstate__(self, state: object) -> None:
        raise _UnsafePickleError("it changes a function")


class _DType:
    """An unfinished dtype: made from a code such as "f4", then given its byte order."""

    def __init__(self, code: object) -> None:
        self.dtype = _plain_dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">") and self.dtype is not None:
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An unfinished array: made empty, then given shape, dtype and content."""

    def __init__(self, unpickler: _Unpickler) -> None:
        self.unpickler = unpickler
        self.array: np.ndarray | Inert = np.zeros(0, np.float32)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        self.array = self.unpickler.array(content, dtype, shape, "F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    """Resolves every name in a pickle to a function of ours or to a placeholder."""

    def __init__(self, content: Any, size: int, names: Names, persistent: Callable[[Any], Any] | None) -> None:
        super().__init__(content, encoding="latin1")
        self.left = size  # bytes that text may still decode to
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
            self.names[module, "bytes"] = lambda *args: refuse("it allocates bytes by their number") if args else b""

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
            raise _UnsafePickleError("it refers to data outside of it")
        return self.persistent(pid)

    def scalar(self, dtype: object, content: object = b"") -> Any:
        value = self.array(content, dtype, (1,), "C")
        return value if isinstance(value, Inert) else value[0]

    def encoded(self, text: object, encoding: object = "latin1") -> bytes:
        """Bytes as Python 3 pickles them for Python 2."""
        if not isinstance(text, str) or encoding != "latin1":
            raise _UnsafePickleError(f"it encodes text as {encoding!r}")
        self.left -= len(text)
        if self.left < 0:
            raise _UnsafePickleError("its content is larger than the file")
        return text.encode("latin1")

    def array(self, content: object, dtype: object, shape: object, order: object) -> np.ndarray | Inert:
        """An array over bytes of the pickle; objects and text become `Inert`. Shapes of another size are refused."""
        if isinstance(dtype, _DType) and dtype.dtype is None:
            return Inert(content)
        if isinstance(content, str):
            content = self.encoded(content)
        if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType) or order not in ("C", "F"):
            raise _UnsafePickleError("an array of objects")
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise _UnsafePickleError(f"an array of shape {str(shape)[:40]}")
        assert dtype.dtype is not None
        if math.prod(shape) * dtype.dtype.itemsize != len(content):
            raise _UnsafePickleError(f"an array of {shape} with {len(content)} bytes")
        return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


def _check_name(module: str, name: str) -> None:
    """Raise `_UnsafePickleError` for names that only serve to run code."""
    root = module.partition(".")[0]
    builtin = root in ("builtins", "__builtin__", "torch", "numpy", "joblib", "cloudpickle", "io", "_io")
    if root in _CODE or (builtin and name in _RUNS) or name.startswith("__"):
        raise _UnsafePickleError(f"it asks for {module[:60]}.{name[:60]}")


def _plain_dtype(code: object) -> np.dtype[Any] | None:
    """The numeric dtype of this code; None for objects, text and other types that weights do not have."""
    code = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(code, str):
        raise _UnsafePickleError("a dtype without a code")
    if code.lstrip("<>=|")[:1] not in ("b", "i", "u", "f") or len(code) > 4:
        return None
    dtype = np.dtype(code)
    return dtype if dtype.itemsize <= 8 else None


def resolved(value: Any, done: dict[int, Any] | None = None) -> Any:
    """The content with its unfinished arrays replaced by arrays; shared objects stay shared."""
    done = {} if done is None else done
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Function | _DType) or (isinstance(value, type) and issubclass(value, Inert)):
        return Inert()
    if not isinstance(value, dict | list | tuple | Inert):
        return value
    if id(value) not in done:
        done[id(value)] = None  # a cycle is cut
        if isinstance(value, dict):
            done[id(value)] = {key: resolved(item, done) for key, item in dict.items(value)}
        elif isinstance(value, Inert):
            done[id(value)] = value
            for name in ("args", "state", "items", "pairs"):
                object.__setattr__(value, name, resolved(getattr(value, name), done))
        else:
            done[id(value)] = type(value)(resolved(item, done) for item in value)
    return done[id(value)]
