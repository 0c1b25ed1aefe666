"""Numbers for the ids of COCO files, which may be whole numbers, written as int, float or text, or names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from maskrcnn.datasets.formats.reader_checks import whole

_LONGEST = 256


class Ids:
    """A number for each different id of a list: its own if it is whole, else one after the largest.

    "7", 7.0 and 7 are one id; "07" is the same unless the list holds both spellings.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        self._named: dict[str, int] = {}
        self._whole: set[int] = set()
        names: dict[str, int | None] = {}
        for value in values:
            number = whole(value)
            if number is not None and _is_plain(value, number):
                self._whole.add(number)
            elif isinstance(value, str) and (name := value.strip()) and _is_name(name, number):
                names[name] = number
        free = max(self._whole, default=0)
        free = max([free, *(number for number in names.values() if number is not None)]) + 1
        for name, number in names.items():
            if number is None or number in self._whole:
                self._named[name], free = free, free + 1
            else:
                self._whole.add(number)
                self._named[name] = number

    def number(self, value: Any) -> int | None:
        """The number of an id; None if the list has no such id, or it is none."""
        if isinstance(value, str) and (number := self._named.get(value.strip())) is not None:
            return number
        number = whole(value)
        return number if number in self._whole else None


def numbered(values: Iterable[Any]) -> list[int]:
    """Ids as numbers, one after the largest for each name, and for each entry that has none."""
    numbers: list[int | None] = []
    keys: dict[int, str | int] = {}
    for place, value in enumerate(values):
        number = whole(value)
        numbers.append(number)
        if number is None:
            name = value.strip() if isinstance(value, str) else ""
            keys[place] = name if _is_name(name, None) else place
    free = max((number for number in numbers if number is not None), default=0) + 1
    given = {key: free + count for count, key in enumerate(dict.fromkeys(keys.values()))}
    return [given[keys[place]] if number is None else number for place, number in enumerate(numbers)]


def _is_plain(value: Any, number: int) -> bool:
    return not isinstance(value, str) or value.strip().partition(".")[0] == str(number)


def _is_name(text: str, number: int | None) -> bool:
    """Whether a text is an id: a name, or a number in another spelling; not one that is too large."""
    return 0 < len(text) <= _LONGEST and (number is not None or not text.isdecimal())
