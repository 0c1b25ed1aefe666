"""The classes of a COCO file, and the labels that category ids stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.formats.coco_ids import Ids
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown


class Categories(NamedTuple):
    """The classes.

    Attributes:
        names: in the order of their ids.
        labels: number of an id → label; ids of one name share a label.
        ids: numbers the ids.
        problems: categories that are invalid, ambiguous or not used as classes.
    """

    names: list[str]
    labels: dict[int, int]
    ids: Ids
    problems: list[Problem]

    @property
    def called(self) -> dict[int, str]:
        """Number of an id → name."""
        return {number: self.names[label] for number, label in self.labels.items()}


def read_categories(entries: list[Any], annotations: Iterable[Any], file: Path) -> Categories:
    """The classes among the entries of a file.

    Raises:
        MaskRCNNError: none of the entries has an id and a name.
    """
    ids = Ids(entry.get("id") for entry in entries if isinstance(entry, dict))
    problems: list[Problem] = []
    found: dict[int, str] = {}
    root = _root(entries, ids, annotations)
    for place, entry in enumerate(entries, start=1):
        number = ids.number(entry.get("id")) if isinstance(entry, dict) else None
        name = _name(entry.get("name")) if isinstance(entry, dict) else None
        if number is None or name is None:
            what = f"category number {place}: expected an id and a name, found {shown(entry)}"
            problems.append(Problem("bad-category", str(file), what, "correct the entry"))
        elif entry is root:
            what = f"category {name!r} is only the supercategory of others and no class: it is left out"
            problems.append(Problem("root-category", str(file), what, "", "note"))
        elif number in found and found[number] != name:
            what = f"two categories have the id {shown(entry.get('id'))}: {found[number]!r} counts, {name!r} does not"
            problems.append(Problem("bad-category", str(file), what, "give each its own id"))
        else:
            found[number] = name
    if not found:
        what = "expected categories with an id and a name each" if entries else "expected at least one category"
        raise MaskRCNNError(f"{what}, found {shown(entries[0]) if entries else 'none'}", where=file, fix="correct them")
    names = list(dict.fromkeys(name for _, name in sorted(found.items())))
    if len(names) < len(found):
        what = "categories of the same name count as one class"
        problems.append(Problem("duplicate-category", str(file), what, "rename them if they are not", "warning"))
    place_of = {name: label for label, name in enumerate(names)}
    return Categories(names, {number: place_of[name] for number, name in sorted(found.items())}, ids, problems)


def _root(entries: list[Any], ids: Ids, annotations: Iterable[Any]) -> Any:
    """Roboflow's root category, which has no annotations; None if there is none."""
    # Its id is 0. Where tools have changed that, it is the supercategory of all others, at least two.
    categories = [entry for entry in entries if isinstance(entry, dict)]
    below = Counter(str(entry.get("supercategory")) for entry in categories)
    for entry in categories:
        number, name = ids.number(entry.get("id")), str(entry.get("name"))
        above, others = below[name] - (str(entry.get("supercategory")) == name), len(categories) - 1
        is_root = number is not None and entry.get("supercategory") in ("none", "", None)
        if is_root and above and (number == 0 or above == others > 1):
            used = any(isinstance(one, dict) and ids.number(one.get("category_id")) == number for one in annotations)
            return None if used else entry
    return None


def _name(value: Any) -> str | None:
    """A name; numbers are written out."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value.strip() else None
