"""Labelled images of one split, whatever format they came in.

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels are 0..C-1 into `names`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.objects import Drawn, Objects, draw_all, draw_each
from maskrcnn.annotations.problem import Problem
from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.html_table import escaped, html_lines
from maskrcnn.images.channels import as_display_rgb, as_model_input, read_for_model
from maskrcnn.images.image_limits import read_by_region
from maskrcnn.images.image_reader import image_size, is_multichannel, read_channels
from maskrcnn.masks.crop import EMPTY
from maskrcnn.rasters.memory_raster import MemoryRaster
from maskrcnn.rasters.open_raster import open_raster
from maskrcnn.rasters.region import Region
from maskrcnn.results.html_picture import html_picture
from maskrcnn.results.overlay import count_line, draw_objects
from maskrcnn.text import listed, plural

_SHOWN = 8  # images in a notebook


class Dataset:
    """The images of one split with their objects, read when asked for.

    Attributes:
        labels: as the format's reader gave them.
        names: class names.
        records: the images that can be used.
        problems: what was dropped or changed on opening. Problems that only appear when the labels of an image are
            read or drawn are returned with them.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        # JSON may hold half of a surrogate pair, which no file, plot or terminal takes.
        self.names = tuple(name.encode("utf-8", "replace").decode("utf-8") for name in labels.names)
        self.records, self.problems = list(labels.records), tuple(labels.problems)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def place(self) -> Path | None:
        """The folder that holds all the images; None without images."""
        folders = {record.path.parent for record in self.records}
        return Path(os.path.commonpath(folders)) if folders else None

    @property
    def stored(self) -> bool:
        """Whether all annotations are in memory, so that `annotations` opens no file."""
        return bool(getattr(self.labels.reader, "stored", False))

    def __repr__(self) -> str:
        parts = [plural(len(self), "image"), f"{plural(len(self.names), 'class')}: {listed(self.names)}"]
        parts += [str(self.place)] if self.place else []
        parts += [plural(len(self.problems), "problem")] if self.problems else []
        return f"Dataset({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """What it is, and some images, evenly spread, with their objects; reads these images."""
        count = min(len(self), _SHOWN)
        tiles = "".join(self._html_tile(place * len(self) // count) for place in range(count))
        facts = escaped(repr(self)[len("Dataset(") : -1])
        return f"<div><div>{facts}</div>{tiles}{html_lines(self.problems, most=5)}</div>"

    def _html_tile(self, index: int) -> str:
        name = self.records[index].path.name
        try:
            objects, image = self.objects(index), self.picture(index)
        except MaskRCNNError as error:
            return f"<div>{escaped(error)}</div>"
        names = [self.names[label] for label in objects.labels]
        crops = [EMPTY if crop is None else crop for crop in objects.crops]
        picture = draw_objects(image, crops, objects.boxes, names, None, labels=len(self.names) > 1)
        about = f"{name}: {count_line(names) or 'no objects'}"
        style = "display:inline-block;vertical-align:top;margin:.3em;max-width:260px;overflow-wrap:anywhere"
        return f'<figure style="{style}">{html_picture(picture, 260)}<figcaption>{escaped(about)}</figcaption></figure>'

    def with_problems(self, problems: Sequence[Problem]) -> Dataset:
        """The same data set with more problems of opening."""
        return Dataset(self.labels._replace(problems=[*self.problems, *problems])) if problems else self

    def pixels(self, index: int, preprocess: Preprocess | None = None, shrink: int = 1) -> np.ndarray:
        """The image as a model takes it: uint8 [H, W, 3] RGB, or other channels, uint8 or uint16.

        Args:
            preprocess: what the model takes; RGB unless given.
            shrink: 1, 2, 4 or 8: by this factor the image may be decoded smaller, see `read_image`.

        Raises:
            MaskRCNNError: the file cannot be read, or its size is not the one the labels were made for.
        """
        record = self.records[index]
        size = image_size(record.path)  # before decoding takes memory for what the header claims
        _check_fits(record, size)
        return read_for_model(record.path, preprocess or Preprocess(), shrink).pixels

    def window(self, index: int, region: Region, preprocess: Preprocess | None = None, shrink: int = 1) -> np.ndarray:
        """As `pixels`, of a part of an image of any size.

        Of an image that is too large to be read whole, nothing beyond the region is read.

        Args:
            region: within the image.
            shrink: a power of two: so many pixels of the image become one, by their mean.

        Returns:
            uint8 or uint16 [ceil(height / shrink), ceil(width / shrink), C].

        Raises:
            MaskRCNNError: the file or the region cannot be read, or its size is not the one the labels were made for.
        """
        record, preprocess = self.records[index], preprocess or Preprocess()
        if not is_windowed(record.size, preprocess):
            return MemoryRaster(self.pixels(index, preprocess)).read(region, shrink).pixels
        raster = open_raster(record.path, preprocess)
        with closing(raster), errors_at(record.path):
            _check_fits(record, raster.size)
            return as_model_input(raster.read(region, shrink).pixels, preprocess).pixels

    def picture(self, index: int) -> np.ndarray:
        """The image to look at, uint8 [H, W, 3], whatever channels it has; raises as `pixels`."""
        try:
            return self.pixels(index)
        except MaskRCNNError:
            record = self.records[index]
            if not is_multichannel(record.path):
                raise
            pixels, _ = as_display_rgb(read_channels(record.path))
            if pixels.shape[:2] != record.size:
                raise
            return pixels

    def annotations(self, index: int) -> tuple[Sequence[Annotation], Sequence[Problem]]:
        """The annotations of one image as written, and a problem for each that is invalid and left out.

        Raises:
            MaskRCNNError: the labels of this image cannot be read.
        """
        return self.labels.reader(index, self.records[index])

    def objects(self, index: int) -> Objects:
        """The objects of one image, drawn, with a problem for each that is left out or changed. Raises as above."""
        annotations, problems = self.annotations(index)
        record = self.records[index]
        objects = draw_all(annotations, record.size, record.labels or record.path)
        return replace(objects, problems=(*problems, *objects.problems))

    def drawn(self, index: int) -> tuple[list[Drawn], list[Problem]]:
        """As `objects`, but as a list of annotations with their masks and boxes; and the problems."""
        annotations, problems = self.annotations(index)
        record = self.records[index]
        drawn, more = draw_each(annotations, record.size, record.labels or record.path)
        return drawn, [*problems, *more]


def is_windowed(size: tuple[int, int], preprocess: Preprocess) -> bool:
    """Whether an image of ``size`` (H, W) is too large to be read whole, and so is used window by window."""
    return read_by_region(*size, preprocess.channels * preprocess.depth // 8)


def _check_fits(record: ImageRecord, size: tuple[int, int]) -> None:
    """Raises `MaskRCNNError` if the image has another size (H, W) than its labels."""
    if size != record.size:
        what = f"the labels are for {record.height} x {record.width} (height x width)"
        fix = "scale or turn the image or its labels so that they agree"
        raise MaskRCNNError(f"{what}, the image has {size[0]} x {size[1]}", where=record.path, fix=fix)
