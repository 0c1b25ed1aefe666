"""Operators that a trace for another runtime keeps whole, because the runtime has one of its own.

Suppression and RoIAlign are dozens of small tensor operations in their plain form. onnxruntime, OpenVINO and others
have each as one fast operator, to which an exporter can translate them only if the trace still shows one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from torch import Tensor

_operators: dict[int, dict[str, Callable[..., Tensor]]] = {}  # of each thread that traces


def opaque_operator(name: str) -> Callable[..., Tensor] | None:
    """What stands for the operator "nms" or "roi align" in the trace under way on this thread, if anything does."""
    return _of_this_thread().get(name)


def has_opaque_operators() -> bool:
    """Whether such a trace is under way. The runtimes it is for allow shapes that follow from values."""
    return bool(_of_this_thread())


@contextlib.contextmanager
def use_opaque_operators(operators: dict[str, Callable[..., Tensor]]) -> Iterator[None]:
    """Within this, and on this thread, these operators stand for those of their names."""
    before = _of_this_thread()
    _operators[threading.get_ident()] = {**before, **operators}
    try:
        yield
    finally:
        _operators[threading.get_ident()] = before
        if not before:
            del _operators[threading.get_ident()]


def _of_this_thread() -> dict[str, Callable[..., Tensor]]:
    # torch.compile cannot ask for the thread; it need not, where none traces.
    return _operators.get(threading.get_ident(), {}) if _operators else {}
