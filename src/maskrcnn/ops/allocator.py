"""Freed CPU memory is kept for the next tensor instead of being returned to the system.

A feature map of a large image is tens of MB. By default glibc takes such a block from the kernel and returns it at
once, so every layer's output is paid for by page faults, page by page: a third of a ResNet-50's time in fp32.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

from maskrcnn.ops.host import plain_only

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of <malloc.h>
_LARGEST_BLOCKS, _MAX_KEPT = (2**30, 2**25), 2**31 - 1  # bytes; older releases of glibc refuse the first


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
