"""Reading in the background: while one batch is in the network, the images of the next are decoded."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from maskrcnn.errors import MaskRCNNError

T = TypeVar("T")
U = TypeVar("U")
MAX_HELD = 2**30  # bytes of images that wait
READERS = 4  # decoders release Python's lock; more threads than that take cores from the network


def prefetch(
    items: Iterable[T], read: Callable[[T], U], ahead: int, held: Callable[[U], int] | None = None
) -> Iterator[U | MaskRCNNError]:
    """read(item) of each, in order, up to ``ahead`` items before they are asked for.

    No more is begun while those that wait take more than MAX_HELD bytes by ``held``.

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

    def taken() -> int:
        results = [future.result() for future in waiting if future.done() and future.exception() is None]
        return sum(held(result) for result in results if held and not isinstance(result, MaskRCNNError))

    readers = min(READERS, ahead + 1, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(readers, "maskrcnn-read")
    try:
        for item in itertools.chain(first, source):
            # What is not read yet has no size: no more of it than there are readers.
            if held and len(undone := [future for future in waiting if not future.done()]) > readers:
                wait(undone, return_when=FIRST_COMPLETED)
            while waiting and taken() > MAX_HELD:
                yield waiting.popleft().result()
            waiting.append(pool.submit(tried, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batched(items: Iterable[T], size: int, fit: Callable[[list[T]], bool] = lambda group: True) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one perhaps shorter, and those too that would not ``fit`` with one more."""
    group: list[T] = []
    for item in items:
        if group and not fit([*group, item]):
            yield group
            group = []
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
