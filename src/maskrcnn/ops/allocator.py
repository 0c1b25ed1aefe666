"""Freed CPU memory is kept for the next tensor instead of being returned to the system.

A feature map of a large image is tens of MB. By default glibc takes such a block from the kernel and returns it at
once, so every layer's output is paid for by page faults, page by page: a third of a ResNet-50's time in fp32.

Blocks of many sizes leave gaps between them, so that a process which keeps all of it grows for hours: `HeapGrowth`
returns the gaps.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path

from maskrcnn.ops.host import plain_only

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of <malloc.h>
_LARGEST_BLOCKS, _MAX_KEPT = (2**30, 2**25), 2**31 - 1  # bytes; older releases of glibc refuse the first
_SETTLING = 10  # steps after which a process has its usual size


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB of freed memory, in blocks of up to 1 GiB. Returns whether that is possible.

    For the whole process, and only with glibc; environment variables that set glibc's own thresholds are respected.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get(
        "GLIBC_TUNABLES", ""
    )
    if plain_only() or chosen or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    larger = any(mallopt(_MMAP_THRESHOLD, block) for block in _LARGEST_BLOCKS)
    return bool(larger and mallopt(_TRIM_THRESHOLD, _MAX_KEPT))


class HeapGrowth:
    """Returns freed memory to the system when a process that keeps it has grown by more than ``limit`` bytes.

    A process has one, `HEAP`, whatever models it makes: the heap is one.

    Its usual size is the largest at the first steps, and at the first after memory was returned: what each step needs
    anew is kept.
    """

    def __init__(self, limit: int = _MAX_KEPT) -> None:
        self.limit = limit
        self._steps = self._usual = 0

    def after_step(self) -> bool:
        """To be called after each step or batch, 10 µs. Returns whether memory was returned."""
        if not keep_freed_memory():
            return False
        resident = _resident_bytes()
        if self._steps < _SETTLING:
            self._steps += 1
            self._usual = max(self._usual, resident)
            return False
        if resident <= self._usual + self.limit:
            return False
        ctypes.CDLL(None).malloc_trim(0)
        self._steps = self._usual = 0
        return True


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


HEAP = HeapGrowth()
