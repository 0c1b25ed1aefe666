"""Writes names.txt and classes.csv, by which formats of mask files know classes (see `class_table`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter
from maskrcnn.datasets.formats.class_table import COLUMNS, TABLE_FILE
from maskrcnn.output.atomic_file import write_text


class ClassTableWriter:
    """Writes names.txt, and a classes.csv for each split where one class does not say it all."""

    def __init__(self, folder: Path, names: Sequence[str], splits: Sequence[str]) -> None:
        self.folder, self.names = folder, list(names)
        self.rows: dict[str, list[tuple[str, str, str, int]]] = {split: [] for split in splits}

    def add(self, split: str, image: str, number: str, label: int, crowd: bool) -> None:
        """The class of one object."""
        self.rows[split].append((image, number, self.names[label], int(crowd)))

    def close(self) -> None:
        write_text(self.folder / "names.txt", "".join(f"{name}\n" for name in self.names))
        rows = [row for each in self.rows.values() for row in each]
        if len(self.names) == 1 and not any(crowd for *_, crowd in rows):
            return
        for split, rows in self.rows.items():
            place = self.folder / split
            place.mkdir(exist_ok=True)
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow((*COLUMNS, "crowd"))
            writer.writerows(rows)
            write_text(place / TABLE_FILE, text.getvalue())


class MaskFolderWriter(DatasetWriter):
    """A folder a split with images/ and masks/, and the classes in a table."""

    takes_boxes = False

    def start(self) -> None:
        self.table = ClassTableWriter(self.folder, self.names, self.splits)

    def image_folder(self, split: str) -> Path:
        return self.folder / split / "images"

    def close(self) -> None:
        self.table.close()
