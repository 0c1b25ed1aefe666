"""Reading in the background: order, errors as values, how far ahead, and an early end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import prefetch as module
from maskrcnn.images.prefetch import batched, beside, prefetch


class Reader:
    """Reads numbers; knows how many reads ran at once, how many began, and in which threads."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.lock = threading.Lock()
        self.seconds, self.running, self.most, self.begun = seconds, 0, 0, 0
        self.threads: set[int] = set()

    def __call__(self, item: int) -> int:
        with self.lock:
            self.begun += 1
            self.running += 1
            self.most = max(self.most, self.running)
            self.threads.add(threading.get_ident())
        try:
            time.sleep(self.seconds)
            if item < 0:
                raise MaskRCNNError("broken", where=str(item))
            return item * 10
        finally:
            with self.lock:
                self.running -= 1


def readers() -> int:
    return sum(thread.name.startswith("maskrcnn-read") for thread in threading.enumerate())


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file or directory"), OSError("gone"), MemoryError()])
def test_what_the_system_says_costs_one_item(error: Exception) -> None:
    def read(item: str) -> str:
        if item == "bad.png":
            raise error
        return item

    first, second, third = prefetch(["a.png", "bad.png", "c.png"], read, 2)
    assert (first, third) == ("a.png", "c.png")
    assert isinstance(second, MaskRCNNError)
    assert str(second).startswith("bad.png: cannot be read: ")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 9), max_size=12), st.integers(1, 5))
def test_order_is_kept_and_errors_stand_in_their_places(items: list[int], ahead: int) -> None:
    found = list(prefetch(iter(items), Reader(), ahead))
    assert [str(value) if isinstance(value, MaskRCNNError) else value for value in found] == [
        str(MaskRCNNError("broken", where=str(item))) if item < 0 else item * 10 for item in items
    ]


def test_slow_reads_do_not_lose_their_order() -> None:
    def read(item: int) -> int:
        time.sleep(0.004 * (5 - item))
        return item

    assert list(prefetch(range(5), read, 4)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ahead", [1, 2, 6])
def test_no_more_than_asked_are_read_ahead(ahead: int) -> None:
    taken = []
    reader = Reader(0.002)

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    results = prefetch(items(), reader, ahead)
    for used, _ in enumerate(results, start=1):
        time.sleep(0.004)
        assert used <= reader.begun <= used + ahead
        assert len(taken) <= max(used + ahead, 2)
    assert reader.begun == 20
    assert reader.most <= min(ahead + 1, module.READERS)


def test_reads_run_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: 8)
    reader = Reader(0.02)
    assert list(prefetch(range(8), reader, 3)) == [10 * item for item in range(8)]
    assert 2 <= reader.most <= 4
    assert threading.get_ident() not in reader.threads


def test_another_exception_is_raised_in_its_place() -> None:
    def read(item: int) -> float:
        return 1 / (item - 2)

    results = prefetch(range(6), read, 3)
    assert [next(results), next(results)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not readers()


def test_an_early_end_stops_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)  # one reader, so that others wait for their turn
    reader = Reader(0.02)
    results = prefetch(itertools.count(), reader, 8)
    next(results)
    results.close()  # type: ignore[attr-defined]
    begun = reader.begun
    assert begun <= 4
    assert not readers()
    time.sleep(0.02)
    assert reader.begun == begun


def test_a_single_item_needs_no_thread() -> None:
    reader = Reader()
    assert list(prefetch([4], reader, 3)) == [40]
    assert reader.threads == {threading.get_ident()}
    (error,) = prefetch([-1], reader, 3)
    assert isinstance(error, MaskRCNNError)
    assert list(prefetch([], reader, 3)) == []
    assert reader.begun == 2


def test_nothing_is_read_before_a_result_is_asked_for() -> None:
    reader = Reader()
    results = prefetch(range(5), reader, 3)
    time.sleep(0.01)
    assert reader.begun == 0
    assert next(results) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 20), st.integers(1, 7))
def test_batches_are_full_but_the_last(count: int, size: int) -> None:
    groups = list(batched(iter(range(count)), size))
    assert [item for group in groups for item in group] == list(range(count))
    assert all(len(group) == size for group in groups[:-1])
    assert all(0 < len(group) <= size for group in groups)


def test_a_batch_takes_no_more_than_its_own() -> None:
    source = iter(range(10))
    assert next(batched(source, 3)) == [0, 1, 2]
    assert next(source) == 3


def test_batches_end_before_what_does_not_fit() -> None:
    groups = list(batched([5, 1, 1, 9, 2, 2, 2], 3, lambda group: sum(group) <= 6))
    assert groups == [[5, 1], [1], [9], [2, 2, 2]]


def test_no_more_is_begun_while_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskrcnn.images.prefetch.MAX_HELD", 10)
    begun: list[int] = []

    def read(item: int) -> int:
        begun.append(item)
        return item

    results = prefetch(range(100), read, 50, held=lambda item: 20)
    for item in range(20):
        assert next(results) == item
        assert len(begun) <= item + 8
    results.close()


def test_items_are_used_in_order_beside_the_making_of_the_next() -> None:
    user, taken = Reader(), []
    main = threading.get_ident()

    def items() -> Iterator[int]:
        for item in (1, -2, 3, 4):
            assert len(taken) - user.begun + user.running <= 1, "an item more waits than may"
            taken.append(item)
            yield item

    found = list(beside(items(), user, 2))
    assert [item.where if isinstance(item, MaskRCNNError) else item for item in found] == [10, "-2", 30, 40]
    assert len(user.threads) == user.most == 1
    assert main not in user.threads


def test_the_next_item_is_made_while_one_is_used() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    assert list(beside(items(), lambda item: made.wait(5), 2)) == [True, True]


def test_what_was_taken_is_used_when_the_items_or_the_caller_stop() -> None:
    user = Reader(0.05)

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(beside(items(), user, 3))
    assert (user.begun, user.running) == (2, 0)
    stopped = beside(iter(range(9)), user, 2)
    next(stopped)
    stopped.close()
    assert user.running == 0
