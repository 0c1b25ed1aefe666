"""Batches: the same at any number of workers, from anywhere, shared among processes; and what is padding in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.problem import Problem
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.masks.crop import Crop
from maskrcnn.training.samples.augment import Augmentation
from maskrcnn.training.samples.loader import LoadedBatch, collate, training_loader
from maskrcnn.training.samples.sample import Sample
from tests.square_images import square_images

PLAIN = Augmentation(flip=False, turns=False, scale=(1.0, 1.0), colour=0)
SIZE = Preprocess(short=(32, 32), long=64)


def test_a_batch_brings_its_problems(tmp_path: Path) -> None:
    loader = training_loader(square_images(tmp_path, 3, broken=(1,)), SIZE, PLAIN, 64, batch_size=3, workers=0, seed=0)
    batch, images, problems, pasted = next(iter(loader))
    assert list(pasted) == [-1, -1, -1]
    assert batch.valid.all()
    assert images == batch.labels[:, 0].tolist()
    assert len(problems) == 1
    assert "1.png" in str(problems[0])


def batches(dataset: Dataset, workers: int, seed: int, **more: Any) -> list[LoadedBatch]:
    augmentation = Augmentation(turns=True, scale=(0.5, 2.0), copy_paste=0.5)
    loader = training_loader(dataset, SIZE, augmentation, 64, batch_size=2, workers=workers, seed=seed, **more)
    return [loaded for loaded, _ in zip(loader, range(6), strict=False)]


def same(one: LoadedBatch, other: LoadedBatch) -> bool:
    tensors = zip(one.batch, other.batch, strict=True)
    return one.images == other.images and one.pasted == other.pasted and all(torch.equal(*pair) for pair in tensors)


def test_processes_share_out_the_stream(tmp_path: Path) -> None:
    """Two processes' batches hold what one process's batch of twice the size holds."""

    def images(batch_size: int, **place: int) -> list[list[int]]:
        loader = training_loader(square_images(tmp_path, 7), SIZE, PLAIN, 64, batch_size, 0, seed=3, **place)
        return [loaded.images for loaded, _ in zip(loader, range(5), strict=False)]

    whole = images(4, start=3)
    for both, first, second in zip(whole, *(images(2, start=3, rank=rank, world=2) for rank in (0, 1)), strict=True):
        assert [first[0], second[0], first[1], second[1]] == both
    assert images(4, start=4)[:4] == images(4)[1:]


def test_objects_left_out_are_told_from_worker_processes(tmp_path: Path) -> None:
    dataset = square_images(tmp_path, 2)
    dataset = Dataset(dataset.labels._replace(reader=with_a_bad_one))
    loader = training_loader(dataset, SIZE, PLAIN, 64, batch_size=2, workers=1, seed=0)
    problems = next(iter(loader)).problems
    assert [problem.objects_lost for problem in problems] == [1, 1]
    assert all("annotation 9" in problem.where for problem in problems)


def with_a_bad_one(index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
    empty = Crop(np.zeros((0, 0), bool), 0, 0)
    good = Crop(np.ones((20, 16), bool), 4, 4)
    return [Annotation(1, 0, False, None, None, good), Annotation(9, 0, False, None, None, empty)], []


def test_workers_change_nothing_and_the_seed_everything(tmp_path: Path) -> None:
    dataset = square_images(tmp_path)
    here = batches(dataset, 0, 1)
    assert any(place >= 0 for loaded in here for place in loaded.pasted)
    for workers in (1, 3):
        assert all(same(one, other) for one, other in zip(here, batches(dataset, workers, 1), strict=True))
    other_seed = batches(dataset, 0, 2)
    assert not any(torch.equal(a.batch.images, b.batch.images) for a, b in zip(here, other_seed, strict=True))


def test_a_stream_goes_on_where_it_stopped(tmp_path: Path) -> None:
    dataset = square_images(tmp_path)
    whole = batches(dataset, 0, 1)
    for workers in (0, 2):
        rest = batches(dataset, workers, 1, start=4)
        assert all(same(one, other) for one, other in zip(whole[2:], rest, strict=False))


def test_batches_of_images_at_their_own_size(tmp_path: Path) -> None:
    """Padded to the largest, to multiples of the divisor."""
    augmentation = Augmentation(scale=(0.5, 3.0))
    loader = training_loader(square_images(tmp_path), SIZE, augmentation, None, batch_size=3, workers=0, seed=0)
    shapes = set()
    for loaded, _ in zip(loader, range(6), strict=False):
        height, width = loaded.batch.images.shape[-2:]
        most = loaded.batch.sizes.amax(0).tolist()
        assert height % 32 == width % 32 == 0
        assert 0 <= height - most[0] < 32
        assert 0 <= width - most[1] < 32
        shapes.add((height, width))
    assert len(shapes) > 1


def sample(height: int, width: int, patches: list[tuple[int, int]], crowd: int) -> Sample:
    """Random content; boxes and frames count up so that rows cannot be mixed up."""
    generator = np.random.default_rng(height)
    number = len(patches)
    return Sample(
        generator.integers(1, 256, (height, width, 3), dtype=np.uint8),
        np.arange(4 * number, dtype=np.float32).reshape(number, 4) + height,
        np.arange(4 * number, dtype=np.float32).reshape(number, 4) - height,
        [generator.integers(1, 256, shape, dtype=np.uint8) for shape in patches],
        np.arange(number) + 1,
        np.ones(number, dtype=np.float32),
        np.arange(4 * crowd, dtype=np.float32).reshape(crowd, 4) + 1,
    )


def test_collate_pads_and_says_what_is_padding() -> None:
    samples = [sample(20, 30, [(5, 7), (9, 2)], 0), sample(32, 11, [], 3), sample(8, 8, [(1, 1)], 1)]
    batch = collate(samples, (32, 64))
    assert batch.images.shape == (3, 3, 32, 64)
    assert batch.images.dtype == torch.uint8
    assert batch.sizes.tolist() == [[20, 30], [32, 11], [8, 8]]
    assert batch.valid.tolist() == [[True, True], [False, False], [True, False]]
    assert batch.patches.shape == (3, 2, 9, 9)
    assert batch.patch_sizes.tolist() == [[[5, 7], [9, 2]], [[0, 0], [0, 0]], [[1, 1], [0, 0]]]
    assert batch.crowd.shape == (3, 3, 4)
    assert batch.labels[0].tolist() == [1, 2]
    for row, one in enumerate(samples):
        height, width = one.image.shape[:2]
        number = len(one.labels)
        assert np.array_equal(batch.images[row, :, :height, :width].permute(1, 2, 0), one.image)
        assert batch.images[row].count_nonzero() == one.image.size
        assert np.array_equal(batch.boxes[row, :number], one.boxes)
        assert np.array_equal(batch.frames[row, :number], one.frames)
        assert np.array_equal(batch.crowd[row, : len(one.crowd)], one.crowd)
        assert batch.crowd[row, len(one.crowd) :].count_nonzero() == 0
        for place, patch in enumerate(one.patches):
            assert np.array_equal(batch.patches[row, place, : patch.shape[0], : patch.shape[1]], patch)
            assert batch.patches[row, place].count_nonzero() == patch.size


def test_collate_of_images_without_any_object() -> None:
    batch = collate([sample(8, 8, [], 0), sample(9, 7, [], 0)], (32, 32))
    assert batch.boxes.shape == batch.frames.shape == batch.crowd.shape == (2, 0, 4)
    assert batch.valid.shape == (2, 0)
    assert batch.patches.shape[:2] == (2, 0)


def test_mirrored_pixels_and_turned_patches_can_be_collated() -> None:
    """NumPy views with negative strides are not taken by torch as they are."""
    one = sample(10, 12, [(3, 4)], 0)
    one.image, one.patches = one.image[:, ::-1], [np.rot90(one.patches[0])]
    batch = collate([one], (32, 32))
    assert np.array_equal(batch.images[0, :, :10, :12].permute(1, 2, 0), one.image)
    assert np.array_equal(batch.patches[0, 0, :4, :3], one.patches[0])


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 12), (np.uint16, 4)])
def test_collate_keeps_channels_and_bits(dtype: type, channels: int) -> None:
    one = sample(10, 12, [], 0)
    one.image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (10, 12, channels), dtype=dtype)
    batch = collate([one, one], (32, 32))
    assert batch.images.shape == (2, channels, 32, 32)
    assert np.array_equal(batch.images[1, :, :10, :12].permute(1, 2, 0).numpy(), one.image)
    assert batch.images.dtype == (torch.uint8 if dtype is np.uint8 else torch.uint16)
