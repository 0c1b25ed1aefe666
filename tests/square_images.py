"""A data set of small images, each of one grey value and with one square, to see which image a sample is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.masks.crop import Crop


class Squares:
    """Image i shows one square of class i, and is otherwise a crowd region in the corner."""

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        crops = [Crop(np.ones((20, 16), bool), 4, 4), Crop(np.ones((3, 3), bool), 0, 0)]
        return [
            Annotation(1, index, False, None, None, crops[0]),
            Annotation(2, 0, True, None, None, crops[1]),
        ], []


def square_images(folder: Path, count: int = 5, broken: tuple[int, ...] = ()) -> Dataset:
    """``count`` images of 32 x 40 whose grey value is 20 times their number."""
    records = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.new("RGB", (40, 32), (20 * index,) * 3).save(path)
        if index in broken:
            path.write_bytes(path.read_bytes()[:30])
        records.append(ImageRecord(index, path, 32, 40))
    return Dataset(Labels([f"class {index}" for index in range(count)], records, Squares()))
