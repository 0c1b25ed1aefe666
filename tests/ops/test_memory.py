"""The smaller of what the machine and its container have, from files as the kernel writes them; and its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskrcnn.ops import memory
from maskrcnn.ops.memory import available_memory, is_out_of_memory


@pytest.mark.parametrize(
    ("container", "limit", "expected"),
    [
        (None, None, 2048 * 1024),
        ("memory.max", "max\n", 2048 * 1024),
        ("memory.max", "1048576\n", 1048576),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", 2048 * 1024),
        ("memory/memory.limit_in_bytes", "4096\n", 4096),
    ],
)
def test_the_smaller_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str | None, limit: str, expected: int
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  4096 kB\nMemFree:  1 kB\nMemAvailable:   2048 kB\n")
    if container:
        (tmp_path / container).parent.mkdir(exist_ok=True)
        (tmp_path / container).write_text(limit)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert available_memory() == expected


def test_this_machine_tells() -> None:
    found = available_memory()
    assert found is None or 2**20 < found < 2**50


def test_on_meta_nothing_is_taken() -> None:
    with torch.device("meta"):
        assert available_memory() is None


def test_allocators_are_understood() -> None:
    for attempt in (lambda: torch.empty(1 << 50, dtype=torch.uint8), lambda: bytearray(1 << 60)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            attempt()
        assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
