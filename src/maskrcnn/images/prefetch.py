"""Threads beside the network: the next images are decoded, and the last results used, while it works on a batch."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from maskrcnn.errors import MaskRCNNError

T = TypeVar("T")
U = TypeVar("U")
MAX_HELD = 2**30  # bytes of finished results that wait
READERS = 4  # decoders release the GIL; more threads would take cores from the network


def prefetch(
    items: Iterable[T], read: Callable[[T], U], ahead: int, held: Callable[[U], int] | None = None
) -> Iterator[U | MaskRCNNError]:
    """``read(item)`` of each item, in order, started up to ``ahead`` items before they are asked for.

    A `MaskRCNNError`, and an error of the system while an item is read, is yielded in place of its result; the other
    items are unaffected. A single item is read without a thread.

    Args:
        held: bytes of a result. No further item is started while finished results hold more than MAX_HELD bytes.
    """

    def read_or_error(item: T) -> U | MaskRCNNError:
        try:
            return read(item)
        except MaskRCNNError as error:
            return error
        except (OSError, MemoryError) as error:  # a file deleted meanwhile, a failing disk
            reason = "not enough memory" if isinstance(error, MemoryError) else error.strerror or error
            where = item if isinstance(item, str | Path) else None
            return MaskRCNNError(f"cannot be read: {reason}", where=where, fix="check the file, and try again")

    source = iter(items)
    first = list(itertools.islice(source, 2))
    if len(first) < 2:
        yield from map(read_or_error, first)
        return
    waiting: deque[Future[U | MaskRCNNError]] = deque()

    def waiting_bytes() -> int:
        results = [future.result() for future in waiting if future.done() and future.exception() is None]
        return sum(held(result) for result in results if held and not isinstance(result, MaskRCNNError))

    readers = min(READERS, ahead + 1, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(readers, "maskrcnn-read")
    try:
        for item in itertools.chain(first, source):
            # The size of an unread item is unknown: start no more of them than there are readers.
            if held and len(undone := [future for future in waiting if not future.done()]) > readers:
                wait(undone, return_when=FIRST_COMPLETED)
            while waiting and waiting_bytes() > MAX_HELD:
                yield waiting.popleft().result()
            waiting.append(pool.submit(read_or_error, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def beside(items: Iterable[T], use: Callable[[T], U], waiting: int) -> Generator[U | MaskRCNNError, None, None]:
    """``use(item)`` of each item, in order, in a thread, while the iterator makes the next items.

    A `MaskRCNNError` is yielded in place of its result. When the caller or ``items`` stop early, by an error or Ctrl-C,
    what was taken from ``items`` is still used.

    Args:
        waiting: no further item is taken while this many are not used.
    """

    def use_or_error(item: T) -> U | MaskRCNNError:
        try:
            return use(item)
        except MaskRCNNError as error:
            return error

    pending: deque[Future[U | MaskRCNNError]] = deque()
    with ThreadPoolExecutor(1, "maskrcnn-use") as pool:
        for item in items:
            pending.append(pool.submit(use_or_error, item))
            # Finished ones are told at once, so that progress is not behind by one image.
            while pending and (len(pending) >= waiting or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def batched(items: Iterable[T], size: int, fit: Callable[[list[T]], bool] = lambda group: True) -> Iterator[list[T]]:
    """Lists of ``size`` items; shorter are the last one, and those that would not ``fit`` with one more item."""
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
