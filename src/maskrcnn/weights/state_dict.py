"""Finds a detector's parameters in the content of a file: one dict of tensors among all that a training run saves.

Trainers use any keys and prefixes, so every dict or object that holds tensors is a candidate. The one with a detector's
parameter names is chosen; of several, those that are no average of weights are preferred, then the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from maskrcnn.weights.restricted_pickle import Inert
from maskrcnn.weights.torch_archive import Stored, Unreadable

# Beginnings of parameter names in the supported libraries, after any prefix.
_BEGINS = re.compile(
    r"(?:^|\.)(?=(?:roi_heads\.|rpn\.head\.|proposal_generator\.|backbone\.(?:bottom_up|body|fpn)\.|roi_head\.|rpn_head\."
    r"|neck\.|bbox_head\.|head\.cls_subnet|transformer\.))"
)
# Parts that torch adds to names where it wraps a module.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_fpw_module"}
_HOLDERS = {"_modules", "_parameters", "_buffers"}
_AVERAGES = {"ema", "avg", "average", "averaged", "swa", "shadow", "teacher", "polyak"}
_MOMENTS = {"optimizer", "exp", "momentum", "grad", "grads", "gradients", "moments"}
_DEEPEST = 40

_TENSORS = (Tensor, Stored, Unreadable, np.ndarray, np.generic)


class FoundStateDict(NamedTuple):
    """Parameters by their names without the prefix, and where they were found."""

    state: dict[str, Any]
    place: str  # keys of the enclosing dicts, joined by dots; empty for the top level
    prefix: str = ""
    others: Sequence[str] = ()  # other places with parameters of the same names, which are not used

    def notes(self) -> list[str]:
        """One line on which parameters were chosen, unless there was no choice."""
        if not (self.place or self.prefix or self.others):
            return []
        line = f"parameters taken from {self.place!r}" if self.place else "parameters taken"
        line += f", prefix {self.prefix!r} stripped" if self.prefix else ""
        if self.others:
            line += f"; {', '.join(map(repr, self.others[:3]))} holds the same parameters too, which are not used"
        return [line]


def find_state_dict(content: Any) -> FoundStateDict | None:
    """A detector's parameters in the content of a file, or else those of the largest dict; None without tensors."""
    if not (groups := list(_groups(content))):
        return None
    candidates = [candidate for group in groups for candidate in _candidates(group)]
    candidates = candidates or _candidates(FoundStateDict(dict(_flat(content, set())), ""))
    if not candidates:
        group = min(groups, key=lambda group: (_rank(group.place), -len(group.state)))
        return group._replace(state={_unwrapped(key): value for key, value in group.state.items()})
    most = max(len(found.state) for found in candidates)
    alike = [found for found in candidates if len(found.state) >= 0.9 * most]
    best = min(alike, key=lambda found: (_rank(f"{found.place}.{found.prefix}"), -len(found.state)))
    others = [
        found.place or found.prefix if found.place != best.place else found.prefix or found.place
        for found in alike
        if found is not best and found.state.keys() >= best.state.keys()
    ]
    return best._replace(others=others)


def strip_prefix(state: dict[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """The parameters without the prefix before the wanted names, if they have one."""
    first = wanted[0]
    for key in state:
        prefix = key.removesuffix(first)
        if key.endswith(f".{first}") and all(prefix + name in state for name in wanted):
            return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return state


def _rank(text: str) -> int:
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+", text)}
    return 2 if words & _MOMENTS else 1 if words & _AVERAGES else 0


def _unwrapped(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _candidates(group: FoundStateDict) -> list[FoundStateDict]:
    """For each prefix that precedes a detector's names in a group, the parameters with that prefix."""
    names = {key: _unwrapped(key) for key in group.state}
    prefixes: dict[str, str] = {}  # and each as it is in the file, with wrappers
    for key, name in names.items():
        if match := _BEGINS.search(name):
            prefix = name[: match.end()]
            rest = name[match.end() :]
            prefixes.setdefault(prefix, key.removesuffix(rest) if key.endswith(rest) else prefix)
    owner = {name: max((p for p in prefixes if name.startswith(p)), key=len, default=None) for name in names.values()}
    found = []
    for prefix, in_file in prefixes.items():
        state = {name.removeprefix(prefix): group.state[key] for key, name in names.items() if owner[name] == prefix}
        found.append(FoundStateDict(state, group.place, in_file))
    return found


def _groups(content: Any, place: tuple[str, ...] = (), seen: set[int] | None = None) -> Iterator[FoundStateDict]:
    """Each dict or object in the content that holds tensors, with the keys that lead to it."""
    seen = set() if seen is None else seen
    if not isinstance(content, dict | list | tuple | Inert) or id(content) in seen or len(place) > _DEEPEST:
        return
    seen.add(id(content))
    if isinstance(content, Inert):
        if not isinstance(content, Unreadable) and (flat := dict(_flat(content, set()))):
            yield FoundStateDict(flat, ".".join(place))
        return
    items = dict(content if isinstance(content, dict) else enumerate(content))
    if named := {key: value for key, value in items.items() if _is_parameter(key, value)}:
        yield FoundStateDict(named, ".".join(place))
    for key, value in items.items():
        yield from _groups(value, (*place, str(key)[:60]), seen)


def _flat(content: Any, seen: set[int], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """All tensors of nested dicts and objects, by their names joined with dots."""
    if isinstance(content, _TENSORS):
        yield prefix, content
        return
    if not isinstance(content, dict | Inert) or id(content) in seen or depth > _DEEPEST:
        return
    seen.add(id(content))
    for key, value in (content.content() if isinstance(content, Inert) else content).items():
        hidden = isinstance(key, str) and key in _HOLDERS
        below = prefix if hidden else f"{prefix}.{key}" if prefix else str(key)
        yield from _flat(value, seen, below, depth + 1)


def _is_parameter(key: Any, value: Any) -> bool:
    """Whether a value in a flat dict is one of the parameters, not a number beside them such as n_averaged."""
    if not isinstance(key, str) or not isinstance(value, _TENSORS):
        return False
    return "." in key or isinstance(value, Unreadable) or len(value.shape) > 0
