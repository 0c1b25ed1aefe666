"""A check of class names from callers and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.setting_limits import LONGEST_NAME

MOST = 100_000


def check_class_names(names: Any) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        MaskRCNNError: they are not a sequence of str, one is empty or too long, two are the same, or there are none or
            more than MOST.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        fix = f"pass a list: names=[{shown(names)}]" if isinstance(names, str) else "pass a list of texts"
        raise MaskRCNNError(f"class names: expected a list, found {shown(names)}", fix=fix)
    if not 0 < len(names) <= MOST:
        raise MaskRCNNError(f"class names: expected 1 to {MOST:,}, found {len(names):,}")
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
            raise MaskRCNNError(f"class names: expected texts that are not empty, found {shown(name)}")
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        what = f"class names: {', '.join(map(shown, twins[:3]))} given more than once"
        raise MaskRCNNError(what, fix="give each class its own name")
    return tuple(names)
