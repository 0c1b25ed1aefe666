"""What the shell offers after an option. It must come at once, so nothing here imports torch or opens data.

Where none of the words fits, the shell completes names of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, get_origin

from maskrcnn.config import PRESETS
from maskrcnn.datasets.formats.split_names import TEST, TRAIN, VAL

Completion = Callable[[str], list[str]]


def offer(words: Iterable[str]) -> Completion:
    """Those of the words that begin with what has been typed; for ``autocompletion`` of an option."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def model_names(incomplete: str) -> list[str]:
    """Models known by name: bundled, and those that are fetched."""
    from maskrcnn.weights.catalog import CATALOG, bundled_names

    return offer([*bundled_names(), *CATALOG])(incomplete)


preset_names = offer(PRESETS)
split_names = offer((TRAIN[0], VAL[0], TEST))


def literals(annotation: Any) -> list[str]:
    """The words that a type admits: all strings of the `Literal`s in it."""
    if get_origin(annotation) is Literal:
        return [word for word in get_args(annotation) if isinstance(word, str)]
    return [word for part in get_args(annotation) for word in literals(part)]
