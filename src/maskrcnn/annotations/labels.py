"""What a format reads: the images of one split, their classes, and a reader of their annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.problem import Problem


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        id: its number in the data set.
        path: the image file.
        height, width: in pixels, after EXIF orientation.
        labels: the file that its labels come from.
        absent: names of the classes that were checked and have no object; None if all classes were checked.
        partial: names of the classes of which some objects may be unlabelled.
    """

    id: int
    path: Path
    height: int
    width: int
    labels: Path | None = None
    absent: tuple[str, ...] | None = None
    partial: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width


class AnnotationReader(Protocol):
    """Reads the annotations of the i-th record, with a problem for each that is left out.

    Where all annotations are in memory, it has an attribute ``stored`` that is true.

    Raises:
        MaskRCNNError: the labels of this image cannot be read.
    """

    def __call__(self, index: int, record: ImageRecord) -> tuple[Sequence[Annotation], Sequence[Problem]]: ...


class StoredAnnotations:
    """A reader of annotations that were all read on opening; unlike a closure, it can be pickled for workers."""

    stored = True

    def __init__(self, annotations: Sequence[Sequence[Annotation]]) -> None:
        self.annotations = annotations

    def __call__(self, index: int, record: ImageRecord) -> tuple[Sequence[Annotation], Sequence[Problem]]:
        return self.annotations[index], ()


class Labels(NamedTuple):
    """The labels of one split, of any format.

    Attributes:
        names: class names.
        records: the images that can be used.
        reader: reads their annotations.
        problems: what was dropped or changed on opening, before annotations are read one by one.
    """

    names: Sequence[str]
    records: Sequence[ImageRecord]
    reader: AnnotationReader
    problems: Sequence[Problem] = ()
