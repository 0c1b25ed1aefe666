"""The channels of a data set's images, their mean and spread, and the preprocessing that follows.

Values are shares of the largest that 8 or 16 bits hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_reader import is_multichannel, read_channels
from maskrcnn.text import plural

LOOKED_AT = 8
MEASURED = 64


class ChannelLayout(NamedTuple):
    """How many channels images have, of how many bits, and whether an 8-bit RGB picture holds all of them."""

    number: int
    depth: int
    picture: bool

    def __str__(self) -> str:
        return f"{plural(self.number, 'channel')} of {self.depth} bits"


class ChannelStatistics(NamedTuple):
    """Mean and standard deviation of each channel in 0..1, over so many images."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: int


def find_channel_layout(dataset: Dataset, images: int = LOOKED_AT) -> ChannelLayout:
    """The channels of a data set, as a few images spread over it have them.

    Pictures of grey, colours and transparency mix: they are all taken as RGB, (3, 8).

    Raises:
        MaskRCNNError: none of them can be read, or they differ in a way that no model can take.
    """
    found: dict[ChannelLayout, Path] = {}
    for index, pixels in _some_images(dataset, images):
        path, count, depth = dataset.records[index].path, pixels.shape[2], 8 * pixels.dtype.itemsize
        # A picture's fourth channel is its transparency, that of a stack can be anything.
        picture = depth == 8 and (count in (1, 3) or (count == 4 and not is_multichannel(path)))
        found.setdefault(ChannelLayout(3, 8, True) if picture else ChannelLayout(count, depth, False), path)
    if len(found) > 1:
        (first, path), (second, other), *_ = found.items()
        raise MaskRCNNError(
            f"the images differ: {first} in {path.name}, {second} in {other.name}",
            where=path.parent,
            fix="convert them to the same channels, or train with channels=rgb",
        )
    return next(iter(found))


def measure_channels(dataset: Dataset, images: int = MEASURED) -> ChannelStatistics:
    """Mean and standard deviation of each channel as stored, over some images spread over the data; one at a time.

    Raises:
        MaskRCNNError: none can be read, or one has other channels than the first.
    """
    counts: list[int] = []
    means: list[np.ndarray] = []
    variances: list[np.ndarray] = []
    channels, dtype = 0, np.dtype(np.uint8)
    for index, pixels in _some_images(dataset, images):
        if not counts:
            channels, dtype = pixels.shape[2], pixels.dtype
        if (pixels.shape[2], pixels.dtype) != (channels, dtype):
            what = f"expected {channels} channels of {dtype}, as in the other images, found {pixels.shape[2]} of "
            raise MaskRCNNError(f"{what}{pixels.dtype}", where=dataset.records[index].path, fix="convert it")
        values = pixels.reshape(-1, channels)
        counts.append(len(values))
        means.append(values.mean(axis=0, dtype=np.float64))
        variances.append(values.var(axis=0, dtype=np.float64))
    mean = np.average(means, axis=0, weights=counts)
    # Variances within images, and of their means: nothing is lost to the difference of large sums.
    variance = np.average(variances + (means - mean) ** 2, axis=0, weights=counts)
    scale = np.iinfo(dtype).max
    # A channel without any variation gets the spread of a single step.
    std = np.maximum(np.sqrt(variance), 1) / scale
    return ChannelStatistics(_rounded(mean / scale), _rounded(std), len(counts))


def input_settings(
    dataset: Dataset, preprocess: Preprocess, channels: Literal["auto", "rgb", "stored"] = "auto"
) -> dict[str, Any]:
    """Changes of the preprocessing with which a model takes the images of a data set; none if it does already.

    Args:
        channels: "rgb" takes pictures as 8-bit RGB, "stored" all channels and bits there are, with statistics of the
            data; "auto" is "stored" for more than a picture holds.
    """
    if channels == "auto":
        channels = "rgb" if find_channel_layout(dataset).picture else "stored"
    wanted = 3, 8
    if channels == "stored":
        _, first = next(_some_images(dataset, LOOKED_AT))
        wanted = first.shape[2], 8 * first.dtype.itemsize
    if wanted == (preprocess.channels, preprocess.depth):
        return {}
    if wanted == (3, 8):
        return {"mean": Preprocess().mean, "std": Preprocess().std, "depth": 8}
    mean, std, _ = measure_channels(dataset)
    return {"mean": mean, "std": std, "depth": wanted[1]}


def _some_images(dataset: Dataset, limit: int) -> Iterator[tuple[int, np.ndarray]]:
    """Up to ``limit`` images spread evenly over the data, as stored; unreadable ones are skipped.

    Raises:
        MaskRCNNError: at the end, if none could be read.
    """
    problem: MaskRCNNError | None = None
    read = 0
    for index in np.unique(np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).astype(int)).tolist():
        try:
            pixels = read_channels(dataset.records[index].path)
        except MaskRCNNError as error:
            problem = problem or error
            continue
        read += 1
        yield index, pixels
    if not read:
        raise problem or MaskRCNNError("the data set has no image", fix="add images")


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
