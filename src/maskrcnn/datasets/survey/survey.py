"""The objects of a data set in numbers: how many an image, their classes, sizes and shapes, and the images' sizes.

The size of an object is the square root of its box's area, in pixels of the image unless the network's input is named:
anchors and pyramid levels see boxes. Regions marked as crowds are counted, and left out of everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from maskrcnn.annotations.problem import Problem, unreadable
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.input_size import resize_scale

FINEST_STRIDE = 4  # pixels of the network input to a cell of the finest feature map
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class Survey:
    """The M objects of N images, measured.

    Attributes:
        names: C class names.
        image_sizes: int64 [N, 2], (H, W).
        read: bool [N], False where the labels of an image cannot be read.
        crowds: int64 [N], regions marked as crowds.
        image: int64 [M], the image of each object.
        label: int64 [M], 0..C-1.
        sides: float64 [M, 2], (width, height) of each box in pixels of its image.
        masked: bool [M], whether the object has a mask.
        problems: images whose labels cannot be read, and objects that are left out or changed.
    """

    names: tuple[str, ...]
    image_sizes: np.ndarray
    read: np.ndarray
    crowds: np.ndarray
    image: np.ndarray
    label: np.ndarray
    sides: np.ndarray
    masked: np.ndarray
    problems: tuple[Problem, ...] = ()

    @property
    def counts(self) -> csr_array:
        """Objects of each class in each image, sparse int64 [N, C]."""
        shape = (len(self.image_sizes), len(self.names))
        counts = csr_array((np.ones(len(self.label), dtype=np.int64), (self.image, self.label)), shape=shape)
        counts.sum_duplicates()
        return counts

    @property
    def objects_an_image(self) -> np.ndarray:
        """int64 [N read]."""
        return np.bincount(self.image, minlength=len(self.image_sizes))[self.read]

    @property
    def size(self) -> np.ndarray:
        """Size of each object in pixels of its image, float64 [M]."""
        return np.sqrt(self.sides.prod(axis=1))

    @property
    def ratio(self) -> np.ndarray:
        """Height / width of each box, float64 [M]."""
        return self.sides[:, 1] / self.sides[:, 0]


def survey_dataset(dataset: Dataset, advance: Callable[[], object] = lambda: None) -> Survey:
    """Measure all objects of a data set; an image whose labels cannot be read is a problem of the survey.

    Args:
        advance: called after each image.
    """
    count = len(dataset)
    read, crowds = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int64)
    image, label, masked = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    sides, problems = [np.zeros((0, 2))], ProblemLog()
    for index in range(count):
        try:
            objects = dataset.objects(index)
        except MaskRCNNError as error:
            problems.add([unreadable(error, "unreadable-labels")])
        else:
            problems.add(objects.problems)
            single = ~objects.crowd
            read[index], crowds[index] = True, objects.crowd.sum()
            image.append(np.full(single.sum(), index))
            label.append(objects.labels[single])
            sides.append((objects.boxes[single, 2:] - objects.boxes[single, :2]).astype(np.float64))
            masked.append(np.array([objects.crops[i] is not None for i in np.flatnonzero(single).tolist()], dtype=bool))
        advance()
    return Survey(
        names=dataset.names,
        image_sizes=np.array([record.size for record in dataset.records], dtype=np.int64).reshape(-1, 2),
        read=read,
        crowds=crowds,
        image=np.concatenate(image),
        label=np.concatenate(label),
        sides=np.concatenate(sides),
        masked=np.concatenate(masked),
        problems=tuple(problems),
    )


def network_scale(image_sizes: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """The factor by which each image [N, 2] = (H, W) is enlarged on its way into the network, float64 [N]."""
    different, which = np.unique(image_sizes, axis=0, return_inverse=True)
    return np.array([resize_scale(int(h), int(w), preprocess) for h, w in different])[which.reshape(-1)]


def summary(survey: Survey, preprocess: Preprocess) -> dict[str, Any]:
    """The numbers as JSON-ready data; quantiles are those of `QUANTILES`, null where nothing was measured."""
    scale = network_scale(survey.image_sizes, preprocess)
    objects = np.bincount(survey.label, minlength=len(survey.names))
    images = np.bincount(survey.counts.indices, minlength=len(survey.names))
    sizes = np.split(survey.size[np.argsort(survey.label, kind="stable")], np.cumsum(objects)[:-1])
    classes = [
        {
            "name": name,
            "objects": int(objects[k]),
            "images": int(images[k]),
            "median_size": quantiles(sizes[k], (0.5,))[0],
        }
        for k, name in enumerate(survey.names)
    ]
    return {
        "images": int(survey.read.sum()),
        "images_unreadable": int((~survey.read).sum()),
        "images_without_objects": int((survey.objects_an_image == 0).sum()),
        "objects": len(survey.label),
        "objects_with_mask": int(survey.masked.sum()),
        "crowd_regions": int(survey.crowds.sum()),
        "quantiles": list(QUANTILES),
        "objects_an_image": quantiles(survey.objects_an_image),
        "size_in_image": quantiles(survey.size),
        "size_in_network": quantiles(survey.size * scale[survey.image]),
        "height_over_width": quantiles(survey.ratio),
        "image_height": quantiles(survey.image_sizes[:, 0]),
        "image_width": quantiles(survey.image_sizes[:, 1]),
        "classes": classes,
    }


def quantiles(values: np.ndarray, at: Sequence[float] = QUANTILES) -> list[float | None]:
    """Quantiles of values [K], rounded to 2 decimals; None for each if there are no values."""
    return [round(float(value), 2) for value in np.quantile(values, at)] if len(values) else [None] * len(at)
