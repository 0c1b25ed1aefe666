"""Operators that a trace for another runtime keeps whole, because the runtime has one of its own.

Suppression and RoIAlign are dozens of small tensor operations in their plain form. onnxruntime, OpenVINO and others
have each as one fast operator, to which an exporter can translate them only if the trace still shows one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from torch import Tensor

_operators: dict[str, Callable[..., Tensor]] = {}


def opaque_operator(name: str) -> Callable[..., Tensor] | None:
    """What stands for the operator "nms" or "roi align" in the trace under way, if anything does."""
    return _operators.get(name)


def has_opaque_operators() -> bool:
    """Whether such a trace is under way. The runtimes it is for allow shapes that follow from values."""
    return bool(_operators)


@contextlib.contextmanager
def use_opaque_operators(operators: dict[str, Callable[..., Tensor]]) -> Iterator[None]:
    """Within this, these operators stand for those of their names. For a process that traces one model at a time."""
    before = dict(_operators)
    _operators.update(operators)
    try:
        yield
    finally:
        _operators.clear()
        _operators.update(before)
