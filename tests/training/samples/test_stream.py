"""The stream of samples: every image once an epoch, the same for a seed, and nothing lost to a bad file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.annotations.problem import Problem
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import image_limits
from maskrcnn.rasters.region import Region
from maskrcnn.rasters.tiff_raster import TiffRaster
from maskrcnn.training.samples.augment import Augmentation
from maskrcnn.training.samples.sample import Sample
from maskrcnn.training.samples.stream import TrainingStream
from tests.square_images import Squares, square_images

PLAIN = Augmentation(flip=False, turns=False, scale=(1.0, 1.0), colour=0)
ALL = Augmentation(turns=True, scale=(0.5, 2.0), colour=0.5, copy_paste=0.5)
SIZE = Preprocess(short=(32, 32), long=64)


def stream(dataset: Dataset, seed: int = 0, augmentation: Augmentation = PLAIN) -> TrainingStream:
    return TrainingStream(dataset, SIZE, augmentation, 64, seed)


def labels(stream: TrainingStream, positions: range) -> list[int]:
    return [int(stream[position][0].labels[0]) for position in positions]


def test_every_epoch_shows_every_image_in_its_own_order(tmp_path: Path) -> None:
    first = stream(square_images(tmp_path, 8))
    epochs = [labels(first, range(8 * epoch, 8 * epoch + 8)) for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(8))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    sample, index, problems, pasted = first[0]
    assert problems == []
    assert pasted == -1
    assert index == epochs[0][0]
    assert (sample.image == 20 * epochs[0][0]).all()


def test_a_position_is_the_same_whenever_it_is_asked_for(tmp_path: Path) -> None:
    dataset = square_images(tmp_path)
    jitter = Augmentation(turns=True)
    later, again, other = (stream(dataset, seed, jitter) for seed in (3, 3, 4))
    for position in range(4):
        again[position]
    one, same = later[11][0], again[11][0]
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.frames, same.frames)
    assert labels(later, range(10)) != labels(other, range(10))


def test_an_unreadable_image_is_replaced_and_told(tmp_path: Path) -> None:
    broken = stream(square_images(tmp_path, 5, broken=(2,)))
    drawn = [broken[position] for position in range(5)]
    seen = [int(item.sample.labels[0]) for item in drawn]
    told = [problem for item in drawn for problem in item.problems]
    assert set(seen) == {0, 1, 3, 4}
    assert len(seen) == 5
    assert [(Path(problem.where).name, problem.images_lost) for problem in told] == [("2.png", 1)]


def test_no_readable_image_at_all(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match=r"no image of the data set can be read.*\.png"):
        stream(square_images(tmp_path, 2, broken=(0, 1)))[0]


def equal(one: Sample, other: Sample) -> bool:
    arrays = ("image", "boxes", "frames", "labels", "areas", "crowd")
    return (
        one.seed == other.seed
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and all(np.array_equal(a, b) for a, b in zip(one.patches, other.patches, strict=True))
    )


def test_items_made_together_are_those_made_alone(tmp_path: Path) -> None:
    dataset = square_images(tmp_path, 7)
    together = stream(dataset, 5, ALL).__getitems__(range(3, 15))
    shuffled = stream(dataset, 5, ALL).__getitems__([9, 4, 14])
    assert len({item.sample.seed for item in together}) == 12
    assert {item.pasted >= 0 for item in together} == {True, False}
    for position, item in zip(range(3, 15), together, strict=True):
        alone = stream(dataset, 5, ALL)[position]
        assert equal(alone.sample, item.sample)
        assert (alone.image, alone.pasted) == (item.image, item.pasted)
    for position, item in zip([9, 4, 14], shuffled, strict=True):
        assert equal(item.sample, together[position - 3].sample)


def test_pasted_objects_come_from_the_image_that_is_told(tmp_path: Path) -> None:
    """Image i shows class i alone."""
    always = Augmentation(flip=False, scale=(1.0, 1.0), colour=0, copy_paste=1.0)
    found = stream(square_images(tmp_path, 6), 0, always)
    others = set()
    for position in range(24):
        sample, image, _, pasted = found[position]
        assert pasted in range(6)
        assert sample.labels[-1] == pasted
        assert set(sample.labels.tolist()) <= {image, pasted}
        x1, y1, x2, y2 = sample.boxes[-1].astype(int)
        assert (sample.image[y1:y2, x1:x2] == 20 * pasted).all()
        others.add(pasted)
    assert len(others) == 6


def test_an_unreadable_source_costs_the_pasting_alone(tmp_path: Path) -> None:
    always = Augmentation(flip=False, scale=(1.0, 1.0), colour=0, copy_paste=1.0)
    found = stream(square_images(tmp_path, 3, broken=(1,)), 0, always)
    items = [found[position] for position in range(12)]
    assert {item.pasted for item in items} == {-1, 0, 2}
    assert sum(len(item.problems) for item in items) == 1
    assert all(len(item.sample.labels) >= 1 for item in items)


class Unreadable(Squares):
    """The labels of image 2 cannot be read."""

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        if index == 2:
            raise MaskRCNNError("not a mask", where="2.mask", fix="draw it again")
        return super().__call__(index, record)


def test_an_image_whose_labels_cannot_be_read_is_replaced_too(tmp_path: Path) -> None:
    dataset = square_images(tmp_path, 4)
    dataset = Dataset(dataset.labels._replace(reader=Unreadable()))
    found = stream(dataset)
    items = [found[position] for position in range(8)]
    assert {item.image for item in items} == {0, 1, 3}
    assert ["2.mask" in str(problem) for item in items for problem in item.problems] == [True]


def test_images_at_their_own_size(tmp_path: Path) -> None:
    """Scaled, never cut."""
    own = TrainingStream(square_images(tmp_path), SIZE, Augmentation(scale=(0.5, 3.0), turns=True), None, 0)
    sizes = [own[position].sample.image.shape[:2] for position in range(20)]
    assert max(max(size) for size in sizes) > 64
    assert all(max(size) / min(size) == pytest.approx(40 / 32, abs=0.08) for size in sizes)


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 4), (np.uint16, 12)])
def test_any_channels(tmp_path: Path, dtype: type, channels: int) -> None:
    records = []
    for index in range(3):
        values = np.random.default_rng(index).integers(0, np.iinfo(dtype).max, (32, 40, channels), dtype=dtype)
        np.save(tmp_path / f"{index}.npy", values)
        records.append(ImageRecord(index, tmp_path / f"{index}.npy", 32, 40))
    dataset = Dataset(Labels(["a", "b", "c"], records, Squares()))
    preprocess = Preprocess((32, 32), 64, (0.5,) * channels, (0.3,) * channels, depth=8 * np.dtype(dtype).itemsize)
    for item in TrainingStream(dataset, preprocess, ALL, 64, 0).__getitems__(range(6)):
        assert item.sample.image.dtype == dtype
        assert item.sample.image.shape[2] == channels
        assert item.problems == []


def test_an_image_of_other_channels_than_the_models_is_told(tmp_path: Path) -> None:
    grey = Preprocess((32, 32), 64, (0.5,) * 4, (0.3,) * 4)
    with pytest.raises(MaskRCNNError, match=r"no image.*the model takes images of 4 channels"):
        TrainingStream(square_images(tmp_path), grey, ALL, 64, 0)[0]


def large_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, np.ndarray]:
    """An image that counts as too large to be read whole, with one object."""
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 20_000)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(32, 32), photometric="rgb")
    square = np.array([200, 100, 210, 100, 210, 110, 200, 110], dtype=np.float64)
    found = [[Annotation(1, 0, False, None, None, [square])]]
    labels = Labels(["square"], [ImageRecord(1, tmp_path / "a.tif", 300, 400)], StoredAnnotations(found))
    return Dataset(labels), pixels


def test_of_a_large_image_only_the_window_is_read_at_full_resolution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, pixels = large_image(tmp_path, monkeypatch)
    read: list[Region] = []
    whole_read = TiffRaster.read
    monkeypatch.setattr(TiffRaster, "read", lambda *words: read.append(words[1]) or whole_read(*words))
    cut = stream(dataset, augmentation=replace(PLAIN, object_crops=1.0))
    for position in range(4):
        sample = cut[position].sample
        assert sample.image.shape == (64, 64, 3)
        x, y = (np.array([200, 100]) - sample.boxes[0, :2]).astype(int).tolist()
        np.testing.assert_array_equal(sample.image, pixels[y : y + 64, x : x + 64])
    assert len(read) == 4
    assert max(max(region.width, region.height) for region in read) <= 64 + 6


def test_background_is_the_rest_of_the_windows_of_a_large_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, _ = large_image(tmp_path, monkeypatch)
    cut = stream(dataset, augmentation=replace(PLAIN, object_crops=0.5))
    empty = sum(not len(cut[position].sample.labels) for position in range(60))
    assert 15 <= empty <= 40  # half, less those that show the object by chance


def test_a_large_image_that_cannot_be_read_by_region_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, pixels = large_image(tmp_path, monkeypatch)
    tifffile.imwrite(tmp_path / "a.tif", pixels[:200], tile=(32, 32), photometric="rgb")
    with pytest.raises(MaskRCNNError, match=r"the labels are for 300 x 400 .*, the image has 200 x 400"):
        stream(dataset)[0]
