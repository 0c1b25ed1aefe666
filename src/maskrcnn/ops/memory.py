"""How much memory the machine has left, whether a network fits, and what to do when memory ran out."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import torch

from maskrcnn.setting_limits import check_buildable

_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")

# What CPU allocators say on Linux, macOS and Windows when there is no memory left.
# Of torch on CPUs, of C++, and of Triton's launcher, which raises a plain RuntimeError.
_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory", "bad allocation", "std::bad_alloc")


def available_memory() -> int | None:
    """Bytes that this process can still take: of the machine and, on Linux, of its container.

    None if unknown, and where the default device is "meta", on which tensors take no memory.
    """
    if torch.get_default_device().type == "meta":
        return None
    found = [amount for amount in (_machine_memory(), _container_limit()) if amount is not None]
    return min(found, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device or the host had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MESSAGES)


def free_memory(device: torch.device) -> None:
    """Give unused memory back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def check_memory(config: Any, classes: int) -> None:
    """Raise `MaskRCNNError`, before it is made, if a network of these settings needs more memory than is free."""
    check_buildable(config, classes, available_memory())


def _machine_memory() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _container_limit() -> int | None:
    """The container's limit. What it uses counts files that would be dropped for the asking, so it says little."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((_CGROUP / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    return None
