"""The base class of all writers, which write one labelled image after another and name the folders of image files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.omissions import Omissions
from maskrcnn.masks.outline import outline
from maskrcnn.output.atomic_file import replacing


class LabelledImage(NamedTuple):
    """One image to write.

    Attributes:
        split: its split, "" for data without splits.
        path: the image file in the new data set; its stem is unique there, ignoring case.
        record: the original image, with its size after EXIF orientation.
        objects: labels point into the writer's names.
    """

    split: str
    path: Path
    record: ImageRecord
    objects: list[Drawn]


class DatasetWriter(ABC):
    """Writes all splits of one data set; `close` completes its files. Errors in the `with` block remove partial files.

    Args:
        folder: of the new data set; it exists.
        names: class names.
        splits: names of the splits; [""] for data without splits.
        omissions: counts what the format cannot express.

    Attributes:
        takes_crowds: it can write regions that mark groups.
        takes_boxes: it can write objects that have a box and no mask.
        takes_verdicts: it can write which classes were checked in an image.
    """

    takes_crowds = takes_boxes = True
    takes_verdicts = False

    def __init__(self, folder: Path, names: Sequence[str], splits: Sequence[str], omissions: Omissions) -> None:
        self.folder, self.names, self.splits, self.omissions = folder, list(names), list(splits), omissions
        self.streams = ExitStack()
        self.start()

    def start(self) -> None:  # noqa: B027, most formats need none
        """Prepare, and write what comes before the first image."""

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.streams.__exit__(*error)

    def open(self, path: Path) -> TextIO:
        """A temporary file that `self.streams.close()` renames to `path`; an error before that removes it."""
        part = self.streams.enter_context(replacing(path))
        return self.streams.enter_context(part.open("w", encoding="utf-8", newline="\n"))

    @abstractmethod
    def image_folder(self, split: str) -> Path:
        """Where the image files of a split go."""

    @abstractmethod
    def add(self, image: LabelledImage) -> None:
        """Write the labels of one image, whose file is already copied."""

    @abstractmethod
    def close(self) -> None:
        """Write files that need all images, and complete the others."""


def polygons_of(drawn: Drawn) -> list[np.ndarray] | None:
    """The polygons of an object, original or traced; None if it has holes, which polygons cannot express.

    Args:
        drawn: an object with a mask.
    """
    source = drawn.annotation.segmentation
    if isinstance(source, list):
        return source
    assert drawn.crop is not None
    parts, holes = outline(drawn.crop)
    return None if holes else parts
