"""How large the network sees the images that it learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset, is_windowed
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.input_size import resize_scale
from maskrcnn.masks.box_geometry import box_areas
from maskrcnn.training.samples.instances import make_instances

MEASURED = 100  # images whose objects are measured, spread over the data


def training_scale(size: tuple[int, int], preprocess: Preprocess) -> float:
    """Pixels of the network input for one of an image of ``size`` (H, W), before augmentation.

    An image that is read by region is seen at full resolution, as a prediction in tiles sees it; any other is resized.
    """
    return 1.0 if is_windowed(size, preprocess) else resize_scale(*size, preprocess)


def trained_at(dataset: Dataset, preprocess: Preprocess) -> dict[str, float]:
    """The scale of the images and the size of their objects, as JSON-ready data.

    scale is the median over the images of the pixels of the network input for one of the image; object_side, absent
    without objects, the median square root of a box's area in pixels of the network input.
    """
    if not len(dataset):
        return {}
    scales = [training_scale(record.size, preprocess) for record in dataset.records]
    places = np.unique(np.linspace(0, len(dataset) - 1, min(MEASURED, len(dataset))).astype(int)).tolist()
    sides = np.concatenate([_sides(dataset, place) * scales[place] for place in places])
    found = {"scale": _rounded(scales)}
    return found | {"object_side": _rounded(sides)} if len(sides) else found


def _sides(dataset: Dataset, place: int) -> np.ndarray:
    """float64 [N], the square root of the area of each box, in pixels of the image."""
    record = dataset.records[place]
    try:
        annotations, _ = dataset.annotations(place)
    except MaskRCNNError:
        return np.zeros(0)  # reported when the image is used
    instances, _ = make_instances(annotations, record.size, record.path)
    return np.sqrt(box_areas(instances.boxes))


def _rounded(values: Sequence[float] | np.ndarray) -> float:
    return float(f"{np.median(values):.4g}")
