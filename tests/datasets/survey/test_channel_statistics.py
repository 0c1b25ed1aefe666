"""What a data set's images are, against numpy over all pixels at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.channel_statistics import (
    ChannelLayout,
    find_channel_layout,
    input_settings,
    measure_channels,
)
from maskrcnn.errors import MaskRCNNError

RNG = np.random.default_rng(0)
RGB = Preprocess()


def data(folder: Path, arrays: list[np.ndarray | bytes], suffix: str = ".npy") -> Dataset:
    records = []
    for number, array in enumerate(arrays):
        path = folder / f"{number}{suffix}"
        if isinstance(array, bytes):
            path.write_bytes(array)
            array = np.zeros((20, 30, 1), np.uint8)
        elif suffix == ".npy":
            np.save(path, array)
        else:
            Image.fromarray(array).save(path)
        records.append(ImageRecord(number, path, *array.shape[:2]))
    return Dataset(Labels(["thing"], records, StoredAnnotations([[] for _ in records])))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 4, 12])
def test_mean_and_spread(tmp_path: Path, dtype: type, channels: int) -> None:
    """Of images of several sizes, dim in some channels."""
    limit = np.iinfo(dtype).max
    means = np.linspace(0.02, 0.8, channels) * limit
    arrays = [
        np.clip(RNG.normal(means, means / 9 + 1, (12 + 3 * k, 20, channels)), 0, limit).astype(dtype) for k in range(6)
    ]
    mean, std, images = measure_channels(data(tmp_path, arrays))
    everything = np.concatenate([array.reshape(-1, channels) for array in arrays]).astype(np.float64) / limit
    np.testing.assert_allclose(mean, everything.mean(axis=0), rtol=6e-6)
    np.testing.assert_allclose(std, everything.std(axis=0), rtol=6e-6)
    assert images == 6
    assert (mean, std, images) == measure_channels(data(tmp_path, arrays))


def test_some_images_spread_over_the_data_are_enough(tmp_path: Path) -> None:
    arrays = [np.full((4, 4, 2), 10 * k, np.uint8) for k in range(20)]
    mean, _, images = measure_channels(data(tmp_path, arrays), images=5)
    assert images == 5
    assert mean[0] == pytest.approx(np.mean([0, 40, 90, 140, 190]) / 255)


def test_a_channel_without_variation_has_a_spread_all_the_same(tmp_path: Path) -> None:
    _, std, _ = measure_channels(data(tmp_path, [np.full((4, 4, 2), 9, np.uint8)]))
    assert std == pytest.approx((1 / 255, 1 / 255), rel=1e-5)


def test_unreadable_images_are_passed_over(tmp_path: Path) -> None:
    good = RNG.integers(0, 256, (20, 30, 5), dtype=np.uint8)
    dataset = data(tmp_path, [b"nothing", good, b"\x93NUMPY", good])
    assert measure_channels(dataset).images == 2
    assert find_channel_layout(dataset) == ChannelLayout(5, 8, False)
    for function in (measure_channels, find_channel_layout):
        with pytest.raises(MaskRCNNError, match=r"0\.npy"):
            function(data(tmp_path, [b"nothing"]))
        with pytest.raises(MaskRCNNError, match="no image"):
            function(data(tmp_path, []))


def test_images_that_differ_are_told(tmp_path: Path) -> None:
    dataset = data(tmp_path, [np.zeros((5, 5, 12), np.uint8), np.zeros((5, 5, 4), np.uint16)])
    with pytest.raises(MaskRCNNError, match=r"12 channels of 8 bits in 0\.npy, 4 channels of 16 bits in 1\.npy"):
        find_channel_layout(dataset)
    with pytest.raises(MaskRCNNError, match=r"1\.npy.*expected 12 channels"):
        measure_channels(dataset)


@pytest.mark.parametrize(
    ("array", "suffix", "kind"),
    [
        (np.zeros((5, 5, 3), np.uint8), ".png", ChannelLayout(3, 8, True)),
        (np.zeros((5, 5), np.uint8), ".png", ChannelLayout(3, 8, True)),
        (np.zeros((5, 5, 4), np.uint8), ".png", ChannelLayout(3, 8, True)),
        (np.zeros((5, 5, 3), np.uint8), ".jpg", ChannelLayout(3, 8, True)),
        (np.zeros((5, 5), np.uint16), ".png", ChannelLayout(1, 16, False)),
        (np.zeros((5, 5, 4), np.uint8), ".npy", ChannelLayout(4, 8, False)),
        (np.zeros((5, 5, 12), np.uint16), ".npy", ChannelLayout(12, 16, False)),
    ],
)
def test_kinds(tmp_path: Path, array: np.ndarray, suffix: str, kind: ChannelLayout) -> None:
    assert find_channel_layout(data(tmp_path, [array, array], suffix)) == kind


def test_pictures_leave_the_model_as_it_is(tmp_path: Path) -> None:
    mixed = data(tmp_path, [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.uint8)], ".png")
    for channels in ("auto", "rgb"):
        assert input_settings(mixed, RGB, channels) == {}  # type: ignore[arg-type]
    other = Preprocess(mean=(0.1,), std=(0.1,), depth=16)
    assert input_settings(mixed, other) == {"mean": RGB.mean, "std": RGB.std, "depth": 8}


def test_other_channels_bring_their_statistics(tmp_path: Path) -> None:
    arrays = [RNG.integers(0, 4000, (20, 30, 12), dtype=np.uint16) for _ in range(3)]
    dataset = data(tmp_path, arrays)
    changes = input_settings(dataset, RGB)
    mean, std, _ = measure_channels(dataset)
    assert changes == {"mean": mean, "std": std, "depth": 16}
    # A model of such images keeps the statistics it was trained with.
    assert input_settings(dataset, Preprocess(mean=(0.5,) * 12, std=(0.5,) * 12, depth=16)) == {}


def test_grey_and_deep_pictures_are_stored_or_rgb_as_asked(tmp_path: Path) -> None:
    grey = data(tmp_path, [RNG.integers(0, 256, (20, 30), dtype=np.uint8)], ".png")
    assert input_settings(grey, RGB) == {}
    assert len(input_settings(grey, RGB, "stored")["mean"]) == 1
    deep = data(tmp_path, [RNG.integers(0, 9000, (20, 30), dtype=np.uint16)], ".tif")
    assert input_settings(deep, RGB, "rgb") == {}
    assert input_settings(deep, RGB)["depth"] == 16
