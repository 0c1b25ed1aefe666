"""Operators that stay single nodes in a trace for another runtime, because the runtime has its own.

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
    """The operator that replaces "nms" or "roi align" in the trace under way on this thread, if any."""
    return _of_this_thread().get(name)


def has_opaque_operators() -> bool:
    """Whether such a trace is under way. Its runtimes allow shapes that depend on values."""
    return bool(_of_this_thread())


@contextlib.contextmanager
def use_opaque_operators(operators: dict[str, Callable[..., Tensor]]) -> Iterator[None]:
    """In this context, on this thread, these operators replace those of their names."""
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
