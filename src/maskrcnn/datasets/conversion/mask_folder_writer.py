"""The base of writers of mask files: names.txt, and classes.csv where one class does not say it all."""

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
        """The class of an object, which classes.csv knows by a number or the name of its mask file."""
        row = image.path.stem, number, self.names[annotation.label], int(annotation.crowd)
        self.rows[image.split].append(row)

    def close(self) -> None:
        write_text(self.folder / "names.txt", "".join(f"{name}\n" for name in self.names))
        if len(self.names) == 1 and not any(crowd for rows in self.rows.values() for *_, crowd in rows):
            return
        for split, rows in self.rows.items():
            place = self.folder / split
            place.mkdir(exist_ok=True)
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow((*COLUMNS, "crowd"))
            writer.writerows(rows)
            write_text(place / TABLE_FILE, text.getvalue())
