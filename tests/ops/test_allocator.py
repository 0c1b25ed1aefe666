"""When a process keeps the memory it has freed, and when it leaves that to the system or the user."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from maskrcnn.ops import allocator
from maskrcnn.ops.allocator import HeapGrowth, keep_freed_memory

CHOICES = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "100000",
    "GLIBC_TUNABLES": "glibc.rtld.nns=1:glibc.malloc.trim_threshold=128",
    "MASKRCNN_KERNELS": "plain",
}


class Mallopt:
    """What is asked of glibc, and its answers."""

    def __init__(self, *answers: int) -> None:
        self.asked: list[tuple[int, int]] = []
        self.answers = list(answers)

    def __call__(self, name: int, value: int) -> int:
        self.asked.append((name, value))
        return self.answers[len(self.asked) - 1]


def ask(monkeypatch: pytest.MonkeyPatch, library: object) -> bool:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return keep_freed_memory.__wrapped__()


@pytest.fixture(autouse=True)
def _linux_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


def test_both_thresholds_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    mallopt = Mallopt(1, 1)
    assert ask(monkeypatch, SimpleNamespace(mallopt=mallopt)) is True
    mmap, trim = mallopt.asked  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of <malloc.h>
    assert mmap == (-3, 2**30)
    assert trim[0] == -1
    assert 2**30 <= trim[1] < 2**31


@pytest.mark.parametrize("answers", [(0, 0), (1, 0), (0, 1, 0)])
def test_glibc_may_refuse(monkeypatch: pytest.MonkeyPatch, answers: tuple[int, ...]) -> None:
    assert ask(monkeypatch, SimpleNamespace(mallopt=Mallopt(*answers))) is False


def test_an_older_glibc_takes_a_smaller_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    mallopt = Mallopt(0, 1, 1)
    assert ask(monkeypatch, SimpleNamespace(mallopt=mallopt)) is True
    assert mallopt.asked[:2] == [(-3, 2**30), (-3, 2**25)]


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_of_the_users_is_respected(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, CHOICES[name])
    mallopt = Mallopt(1, 1)
    assert ask(monkeypatch, SimpleNamespace(mallopt=mallopt)) is False
    assert not mallopt.asked


def test_other_tunables_are_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.rtld.nns=1")
    assert ask(monkeypatch, SimpleNamespace(mallopt=Mallopt(1, 1))) is True


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    mallopt = Mallopt(1, 1)
    monkeypatch.setattr(sys, "platform", platform)
    assert ask(monkeypatch, SimpleNamespace(mallopt=mallopt)) is False
    assert not mallopt.asked


def test_a_library_without_mallopt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, SimpleNamespace()) is False

    def no_library(name: None) -> None:
        raise OSError("static")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    assert keep_freed_memory.__wrapped__() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_a_process_keeps_what_it_freed() -> None:
    """A block of 64 MB costs its page faults once, not each time."""
    program = """
import ctypes, resource
from maskrcnn.ops.allocator import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        block = libc.malloc(2**26)
        ctypes.memset(block, 1, 2**26)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
usual, done, first, kept = faults(), keep_freed_memory(), faults(), faults()
assert keep_freed_memory() is done
print(done, usual, kept)
"""
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    done, usual, kept = run.stdout.split()
    if done == "False":
        pytest.skip("not glibc, or one that refuses")
    assert int(kept) * 10 < int(usual)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_gaps_between_blocks_go_back_to_the_system_once_a_process_has_grown() -> None:
    """Blocks are freed and what lies between them is not: 400 MB stay, until more than 100 MB of growth are noticed."""
    program = """
import ctypes
from maskrcnn.ops.allocator import HeapGrowth, _resident_bytes, keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
done, heap, blocks = keep_freed_memory(), HeapGrowth(100 * 2**20), []
before = _resident_bytes()
early = [heap.after_step() for _ in range(12)]
for _ in range(100):
    blocks.append(libc.malloc(4 * 2**20))
    ctypes.memset(blocks[-1], 1, 4 * 2**20)
    ctypes.memset(libc.malloc(2000), 1, 2000)
for block in blocks:
    libc.free(block)
grown = _resident_bytes() - before
returned = heap.after_step()
print(done, any(early), grown >> 20, returned, (_resident_bytes() - before) >> 20, heap.after_step())
"""
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    done, early, grown, returned, left, again = run.stdout.split()
    if done == "False":
        pytest.skip("not glibc, or one that refuses")
    assert (early, returned, again) == ("False", "True", "False")
    assert int(grown) > 350
    assert int(left) < 50


def test_where_memory_is_not_kept_nothing_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: False)
    assert not any(HeapGrowth(0).after_step() for _ in range(20))
