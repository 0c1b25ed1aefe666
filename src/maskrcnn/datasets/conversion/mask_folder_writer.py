"""The base of writers of mask files: names.txt, and classes.csv for several classes or crowd regions."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter, LabelledImage
from maskrcnn.datasets.formats.class_table import COLUMNS, TABLE_FILE
from maskrcnn.output.atomic_file import write_text


class MaskFolderWriter(DatasetWriter):
    """A folder a split with images/, masks/ and classes.csv (see `class_table`)."""

    takes_boxes = False

    def start(self) -> None:
        self.rows: dict[str, list[tuple[str, str, str, int]]] = {split: [] for split in self.splits}

    def image_folder(self, split: str) -> Path:
        return self.folder / split / "images"

    def add_class(self, image: LabelledImage, number: str, annotation: Annotation) -> None:
        """Add an object's row to classes.csv; `number` is that in the id map, or the stem of its mask file."""
        label, crowd = annotation.label, int(annotation.crowd)
        self.rows[image.split].append((image.path.stem, number, self.names[label], crowd))

    def close(self) -> None:
        write_text(self.folder / "names.txt", "".join(f"{name}\n" for name in self.names))
        if len(self.names) == 1 and not any(crowd for rows in self.rows.values() for *_, crowd in rows):
            return
        for split, rows in self.rows.items():
            (self.folder / split).mkdir(exist_ok=True)
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([(*COLUMNS, "crowd"), *rows])
            write_text(self.folder / split / TABLE_FILE, text.getvalue())
