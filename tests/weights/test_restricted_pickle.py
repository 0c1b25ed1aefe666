"""Arrays and containers come out as they went in, from every protocol; all else stays inert, and nothing is run."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import enum
import functools
import importlib
import os
import pathlib
import pickle
import re
import runpy
import shutil
import socket
import struct
import subprocess
import tracemalloc
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.errors import MaskRCNNError
from maskrcnn.weights.restricted_pickle import Inert, load_one, resolved, safely
from tests.outcomes import Outcomes

REFUSED = "not a weight file that can be read safely"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Any]:
    def from_bytes(content: bytes) -> Any:
        (tmp_path / "model.pkl").write_bytes(content)
        return safely(tmp_path / "model.pkl", lambda content: resolved(load_one(content, len(content))))

    return from_bytes


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_come_back(read: Callable, protocol: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "float": rng.normal(size=(3, 4)).astype(np.float32),
        "double": rng.normal(size=5),
        "half": np.ones((2, 0, 3), np.float16),
        "columns first": np.asfortranarray(rng.normal(size=(4, 3))),
        "foreign bytes": np.arange(6, dtype=">i4").reshape(2, 3),
        "flags": np.array([True, False]),
        "none": np.array(3.5, np.float32),
        "view": np.arange(20, dtype=np.int64)[::3],
    }
    rest = {"author": "d2", "list": [1, 2.5, None, True], "tuple": (b"bytes", "naïve"), "scalar": np.float64(2.5)}
    ordered = collections.OrderedDict(b=1, a={"deep": {"deeper": [arrays["float"]]}})
    back = read(pickle.dumps({"model": arrays, "ordered": ordered, **rest}, protocol))
    for name, array in arrays.items():
        np.testing.assert_array_equal(back["model"][name], array)
        assert back["model"][name].dtype == array.dtype
    assert {key: back[key] for key in rest} == rest
    assert list(back["ordered"]) == ["b", "a"]
    np.testing.assert_array_equal(back["ordered"]["a"]["deep"]["deeper"][0], arrays["float"])


def test_a_pickle_of_python_2(read: Callable) -> None:
    """Strings of bytes, and numpy's module names of that time: written step by step, as Python 2 does in protocol 2."""
    array = np.arange(3, dtype=np.float32)
    raw = array.tobytes()
    content = (
        b"\x80\x02}U\x05modelcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"U"
        + bytes([len(raw)])
        + raw
        + b"tbs."
    )
    np.testing.assert_array_equal(read(content)["model"], array)


class Trap:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused_by_name_and_not_run(read: Callable, tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({"model": {"a": np.zeros(2), "b": Trap(tmp_path / "ran")}}, protocol)
    with pytest.raises(MaskRCNNError, match=rf"model\.pkl: {REFUSED}: it asks for posix\.mkdir; nothing of it was run"):
        read(content)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)  # the trap does work
    assert (tmp_path / "ran").exists()


class Kind(enum.Enum):
    ONE = 1


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        decimal.Decimal(1),
        datetime.datetime(2020, 1, 1),
        pathlib.PurePosixPath("/etc"),
        argparse.Namespace(lr=0.1, device="cuda"),
        Kind.ONE,
        Kind,
        np.array([{}], dtype=object),
        np.array(["text"]),
        np.zeros(2, np.longdouble),
        np.zeros(2, complex),
        np.zeros(2, dtype=[("a", "f4")]),
        np.array([np.datetime64("2020-01-01")]),
        collections.defaultdict(int, a=1),
        collections.deque([1, 2]),
        collections.Counter("aab"),
        functools.partial(int, base=2),
        np.random.default_rng,
        range(3),
        {1, 2},
        frozenset([3]),
        slice(1, 2),
        1j,
        len,
        np.dtype,
        np.dtype("f4"),
        type,
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)),
)
def test_other_objects_are_inert(read: Callable, value: object, protocol: int) -> None:
    """They come as placeholders, and cost nothing of what lies beside them."""
    array = np.arange(3, dtype=np.float32)
    back = read(pickle.dumps({"beside": [value], "model": {"weight": array}}, protocol))
    np.testing.assert_array_equal(back["model"]["weight"], array)
    assert isinstance(back["beside"][0], Inert | set | frozenset)


def test_an_inert_object_keeps_what_was_put_into_it(read: Callable) -> None:
    array = np.arange(3, dtype=np.float32)
    beside = argparse.Namespace(weights={"a": array}, names=["cat"])
    back = read(pickle.dumps({"args": beside, "d": collections.defaultdict(list, key=array)}))
    assert back["args"].content()["names"] == ["cat"]
    np.testing.assert_array_equal(back["args"].content()["weights"]["a"], array)
    np.testing.assert_array_equal(back["d"].content()["key"], array)
    assert repr(back["args"]) == "<argparse.Namespace>"


@pytest.mark.parametrize(
    "call",
    [
        (os.system, ("touch ran",)),
        (eval, ("open('ran', 'w')",)),
        (exec, ("open('ran', 'w')",)),
        (open, ("ran", "w")),
        (subprocess.call, (["touch", "ran"],)),
        (importlib.import_module, ("ran",)),
        (shutil.copy, ("a", "ran")),
        (pickle.loads, (b"N.",)),
        (runpy.run_path, ("ran.py",)),
        (socket.create_connection, (("localhost", 1),)),
        (urllib.request.urlopen, ("http://localhost:1",)),
        (np.load, ("ran.npy",)),
    ],
    ids=lambda call: call[0].__name__,
)
def test_what_is_only_good_for_running_code_ends_the_reading(read: Callable, call: tuple) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return call

    with pytest.raises(MaskRCNNError, match=rf"{REFUSED}: it asks for .*; nothing of it was run"):
        read(pickle.dumps({"model": {"a": np.zeros(2)}, "beside": Trap()}))


class Leaves:
    """A call of whatever is asked for, that a careless reader makes."""

    called = 0

    def __init__(self, *_: object) -> None:
        Leaves.called += 1

    def __setstate__(self, state: object) -> None:
        Leaves.called += 1

    def __reduce__(self) -> tuple:
        return Leaves, (1,), {"a": 1}, iter([2]), iter([("b", 3)])

    def append(self, value: object) -> None:
        Leaves.called += 1

    extend = append

    def __setitem__(self, key: object, value: object) -> None:
        Leaves.called += 1


def test_nothing_of_an_unknown_class_is_called(read: Callable) -> None:
    content = pickle.dumps({"model": {"a": np.zeros(2)}, "beside": Leaves()})
    Leaves.called = 0
    found = read(content)["beside"]
    assert Leaves.called == 0
    assert set(found.content().items()) == {(0, 1), (1, 2), ("a", 1), ("b", 3)}
    pickle.loads(content)  # the trap does work
    assert Leaves.called > 3


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"cbuiltins\neval\n.",
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        b"cnumpy\nload\n.",
        b"cnumpy\nndarray\n(I1000000000000\ntR.",  # an array without content, of a terabyte
        RECONSTRUCT + b"(N}S'__call__'\nI1\nstb.",  # what changes our function
        b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x85RX\x01\x00\x00\x00a\x86R.",
        b"Pid\n.",
        b"\x80\x02\x82\x01.",  # by a number registered elsewhere
    ],
)
def test_hostile_steps_are_refused(read: Callable, content: bytes) -> None:
    with pytest.raises(MaskRCNNError, match=REFUSED):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"short.",  # bytes of a terabyte that are not there
        b"\x80\x04\x96" + struct.pack("<Q", 2**60) + b"short.",
        b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".",  # number two billion of its objects
        b"\x80\x02(" + b"U\xff" + b"a" * 255 + b"q\x00c_codecs\nencode\nq\x01" + b"h\x01h\x00\x85R" * 5000 + b"l.",
    ],
)
def test_memory_is_bounded_by_the_file(read: Callable, content: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(MaskRCNNError, match=REFUSED):
        read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_cut_file_is_one_clear_error(read: Callable, share: float) -> None:
    content = pickle.dumps({"model": {"a": np.zeros((100, 100), np.float32)}}, 2)
    with pytest.raises(MaskRCNNError, match=REFUSED):
        read(content[: int(len(content) * share)])


def test_what_is_shared_many_times_stays_shared(read: Callable) -> None:
    """Lists of lists of the same lists are 10^9 values when they are followed one by one."""
    value: Any = np.zeros(1)
    for _ in range(30):
        value = [value, value]
    back = read(pickle.dumps({"model": value}))
    assert back["model"][0] is back["model"][1]


def test_what_holds_itself(read: Callable) -> None:
    value: list = [1]
    value.append(value)
    assert read(pickle.dumps(value))[0] == 1


def test_a_damaged_file_is_read_or_refused(read: Callable) -> None:
    """Bytes replaced, lost and added anywhere: never another kind of error."""
    outcomes = Outcomes()
    damages = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=2)), min_size=1)

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, pickle.HIGHEST_PROTOCOL), damages)
    def case(protocol: int, damage: list[tuple[int, bytes]]) -> None:
        content = pickle.dumps(
            {"model": {"a": np.arange(6, dtype=np.float32), "b": np.float64(3)}, "x": (1, [b"s"])}, protocol
        )
        for place, put in damage:
            content = content[: place % len(content)] + put + content[place % len(content) + 1 :] or b"."
        outcomes.attempt(read, content)

    case()
    outcomes.check_both()
