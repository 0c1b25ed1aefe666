"""Reading in the background: while one batch is in the network, the images of the next are decoded."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from maskrcnn.errors import MaskRCNNError

T = TypeVar("T")
U = TypeVar("U")
READERS = 4  # decoders release Python's lock; more threads than that take cores from the network


def read_ahead(items: Iterable[T], read: Callable[[T], U], ahead: int) -> Iterator[U | MaskRCNNError]:
    """read(item) of each, in order, up to ``ahead`` items before they are asked for.

    A `MaskRCNNError` comes as a value, and so does what the system says against reading an item. A single item is read
    at once, without a thread.
    """

    def tried(item: T) -> U | MaskRCNNError:
        try:
            return read(item)
        except MaskRCNNError as error:
            return error
        except (OSError, MemoryError) as error:  # a file that went meanwhile, a disk that fails
            reason = "not enough memory" if isinstance(error, MemoryError) else error.strerror or error
            where = item if isinstance(item, str | Path) else None
            return MaskRCNNError(f"cannot be read: {reason}", where=where, fix="check the file, and try again")

    source = iter(items)
    first = list(itertools.islice(source, 2))
    if len(first) < 2:
        yield from map(tried, first)
        return
    waiting: deque[Future[U | MaskRCNNError]] = deque()
    pool = ThreadPoolExecutor(min(READERS, ahead + 1, os.cpu_count() or 1), "maskrcnn-read")
    try:
        for item in itertools.chain(first, source):
            waiting.append(pool.submit(tried, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one perhaps shorter."""
    source = iter(items)
    while group := list(itertools.islice(source, size)):
        yield group
