"""Operators that a trace for another runtime keeps whole, because the runtime has one of its own.

Suppression and RoIAlign are dozens of small tensor operations in their plain form. onnxruntime, OpenVINO and others
have each as one fast operator, to which an exporter can translate them only if the trace still shows one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from torch import Tensor

_whole: dict[str, Callable[..., Tensor]] = {}


def whole(name: str) -> Callable[..., Tensor] | None:
    """What stands for the operator "nms" or "roi align" in the trace under way, if anything does."""
    return _whole.get(name)


def keeps_whole() -> bool:
    """Whether such a trace is under way. The runtimes it is for allow shapes that follow from values."""
    return bool(_whole)


@contextlib.contextmanager
def keep_whole(operators: dict[str, Callable[..., Tensor]]) -> Iterator[None]:
    """Within this, these operators stand for those of their names. For a process that traces one model at a time."""
    before = dict(_whole)
    _whole.update(operators)
    try:
        yield
    finally:
        _whole.clear()
        _whole.update(before)
