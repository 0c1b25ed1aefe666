"""names.txt and classes.csv, which give mask files their classes.

names.txt, one name a line, lies beside the data or above it, in the folder of all splits. classes.csv lies beside
masks/, with the columns image (the image's name without suffix), object (the number in an id map, or the mask file's
name without suffix), class, and, if there are crowd regions, crowd (0 or 1). Data of one class needs no classes.csv.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.errors import MaskRCNNError

TABLE_FILE = "classes.csv"
COLUMNS = ("image", "object", "class")
DEFAULT_NAME = "object"


class Class(NamedTuple):
    """The class of one object, and whether it is a crowd region."""

    name: str
    crowd: bool


class ClassTable:
    """The rows of a classes.csv: image → object → class. Without rows all objects have the same class."""

    def __init__(self, rows: dict[str, dict[str, Class]] | None = None) -> None:
        self.rows = rows

    def of(self, image: str, number: str, labels: dict[str, int]) -> tuple[int, bool]:
        """Label and crowd flag of an object.

        Raises:
            DataError: there is no row for it, or names.txt lacks its class.
        """
        if self.rows is None:
            return 0, False
        found = self.rows.get(image, {}).get(number)
        if found is None:
            what = f"{TABLE_FILE} has no row for object {number} of image {image}"
            raise DataError("unknown-category", what, fix="add the row")
        if found.name not in labels:
            raise DataError("unknown-category", f"names.txt has no class {found.name!r}", fix="add it, or correct it")
        return labels[found.name], found.crowd


def read_names(folder: Path) -> list[str]:
    """The lines of names.txt in the folder or above it; none if there is no such file."""
    for place in (folder, folder.parent):
        file = place / "names.txt"
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines() if file.is_file() else []
        if names := [line.strip() for line in lines if line.strip()]:
            return list(dict.fromkeys(names))
    return []


def read_table(folder: Path) -> tuple[ClassTable, list[Problem]]:
    """The classes.csv of a folder, if there is one, and a problem for each line that cannot be used.

    Raises:
        MaskRCNNError: it is no text with the columns image, object and class.
    """
    file = folder / TABLE_FILE
    if not file.is_file():
        return ClassTable(), []
    rows: dict[str, dict[str, Class]] = {}
    problems: list[Problem] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ("nothing",))
                what = f"expected the columns {', '.join(COLUMNS)}, found {found}"
                raise MaskRCNNError(what, where=file, fix="write them in the first line")
            for row in reader:
                image, number, name = (str(row[column] or "").strip() for column in COLUMNS)
                if not (image and number and name):
                    incomplete = DataError("bad-entry", "expected image, object and class", fix="complete the line")
                    problems.append(incomplete.problem(file, entry=f"line {reader.line_num}"))
                    continue
                crowd = str(row.get("crowd") or "").strip().lower() in ("1", "true", "yes")
                rows.setdefault(image, {})[number] = Class(name, crowd)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MaskRCNNError(f"cannot be read: {error}", where=file, fix="write it as UTF-8 text") from error
    return ClassTable(rows), problems


def names_of(folder: Path, siblings: Iterable[Path]) -> list[str]:
    """Class names of id maps: those of names.txt, else of the classes.csv of all splits, else "object".

    Args:
        folder: of the split.
        siblings: folders of all splits, so that they agree on the classes.
    """
    names = read_names(folder)
    tables = [read_table(place)[0].rows for place in dict.fromkeys((folder, *siblings))]
    if all(rows is None for rows in tables):
        return names[:1] or [DEFAULT_NAME]
    used = {found.name for rows in tables for image in (rows or {}).values() for found in image.values()}
    return names or sorted(used) or [DEFAULT_NAME]
