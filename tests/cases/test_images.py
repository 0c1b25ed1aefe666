"""Shared cases of image files: suffixes, and 16-bit TIFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from maskrcnn import open_dataset
from maskrcnn.config import Preprocess
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.survey.channel_statistics import ChannelLayout, find_channel_layout
from maskrcnn.images.image_reader import read_channels, read_id_map, read_image
from maskrcnn.images.sources import resolve_sources


def test_predict_folder_other_suffixes(case: Path) -> None:
    found = resolve_sources([case / "data"])
    assert [source.name for source in found.images] == sorted(file.name for file in (case / "data").iterdir())
    assert len(found.images) == 6
    assert not found.problems


def test_yolo_jfif_silent(case: Path) -> None:
    dataset = open_dataset(case / "data", "train")
    assert [record.path.name for record in dataset.records] == ["a.png", "b.jfif"]
    assert [len(dataset.objects(index).labels) for index in range(2)] == [2, 2]
    assert dataset.pixels(1).shape[:2] == dataset.records[1].size


def test_tiff_big_endian_16bit(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert len(dataset) == 6
    assert find_channel_layout(dataset) == ChannelLayout(1, 16, False)
    preprocess = Preprocess(mean=(0.5,), std=(0.2,), depth=16)
    for index, record in enumerate(dataset.records):
        stored = tifffile.imread(record.path)
        assert stored.dtype.itemsize == 2
        assert np.array_equal(dataset.pixels(index, preprocess)[..., 0], stored)
        assert np.array_equal(read_channels(record.path)[..., 0], stored)
        assert record.labels is not None
        assert np.array_equal(read_id_map(record.labels), tifffile.imread(record.labels))
    assert not [finding for finding in examine(case / "data").problems if finding.check == "unreadable-image"]


def test_tiff_miniswhite_16bit(case: Path) -> None:
    for bits in (8, 16):
        black, white = read_image(case / f"black{bits}.tif").pixels, read_image(case / f"white{bits}.tif").pixels
        assert np.array_equal(black, white)
        assert black[0, 0, 0] < black[0, -1, 0]
        assert np.array_equal(read_channels(case / f"white{bits}.tif"), read_channels(case / f"black{bits}.tif"))
