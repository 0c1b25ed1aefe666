"""The training stream: every image once an epoch, the same for a seed, and nothing lost to a bad file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.data.augment import Augmentation, Sample
from maskrcnn.data.dataset import Dataset, ImageRecord
from maskrcnn.data.loader import Positions, TrainingStream, collate, training_loader
from maskrcnn.data.objects import Annotation
from maskrcnn.data.problem import Problem
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.model.batch import Batch
from maskrcnn.model.config import Preprocess

PLAIN = Augmentation(flip=False, turns=False, scale=(1.0, 1.0), colour=0)
SIZE = Preprocess(short=(32, 32), long=64)


class Squares:
    """Image i shows one square of class i, and is otherwise a crowd region in the corner."""

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        crops = [Crop(np.ones((20, 16), bool), 4, 4), Crop(np.ones((3, 3), bool), 0, 0)]
        return [
            Annotation(1, index, False, None, None, crops[0]),
            Annotation(2, 0, True, None, None, crops[1]),
        ], []


def data(folder: Path, count: int = 5, broken: tuple[int, ...] = ()) -> Dataset:
    """``count`` images of 32 x 40 whose grey value is 20 times their number."""
    records = []
    for index in range(count):
        path = folder / f"{index}.png"
        Image.new("RGB", (40, 32), (20 * index,) * 3).save(path)
        if index in broken:
            path.write_bytes(path.read_bytes()[:30])
        records.append(ImageRecord(index, path, 32, 40))
    return Dataset([f"class {index}" for index in range(count)], records, Squares())


def stream(dataset: Dataset, seed: int = 0, augmentation: Augmentation = PLAIN) -> TrainingStream:
    return TrainingStream(dataset, SIZE, augmentation, 64, seed)


def labels(stream: TrainingStream, positions: range) -> list[int]:
    return [int(stream[position][0].labels[0]) for position in positions]


def test_every_epoch_shows_every_image_in_its_own_order(tmp_path: Path) -> None:
    first = stream(data(tmp_path, 8))
    epochs = [labels(first, range(8 * epoch, 8 * epoch + 8)) for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(8))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    sample, index, problems = first[0]
    assert problems == []
    assert index == epochs[0][0]
    assert (sample.image == 20 * epochs[0][0]).all()


def test_a_position_is_the_same_whenever_it_is_asked_for(tmp_path: Path) -> None:
    dataset = data(tmp_path)
    jitter = Augmentation(turns=True)
    later, again, other = (stream(dataset, seed, jitter) for seed in (3, 3, 4))
    for position in range(4):
        again[position]
    one, same = later[11][0], again[11][0]
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.frames, same.frames)
    assert labels(later, range(10)) != labels(other, range(10))


def test_positions_go_on_from_anywhere() -> None:
    assert [position for position, _ in zip(Positions(7), range(3), strict=False)] == [7, 8, 9]
    assert [position for position, _ in zip(Positions(7, 2), range(3), strict=False)] == [7, 9, 11]


def test_an_unreadable_image_is_replaced_and_told(tmp_path: Path) -> None:
    broken = stream(data(tmp_path, 5, broken=(2,)))
    drawn = [broken[position] for position in range(5)]
    seen = [int(sample.labels[0]) for sample, _, _ in drawn]
    told = [problem for _, _, problems in drawn for problem in problems]
    assert set(seen) == {0, 1, 3, 4}
    assert len(seen) == 5
    assert [(Path(problem.where).name, problem.images_lost) for problem in told] == [("2.png", 1)]


def test_a_batch_brings_its_problems(tmp_path: Path) -> None:
    loader = training_loader(data(tmp_path, 3, broken=(1,)), SIZE, PLAIN, 64, batch_size=3, workers=0, seed=0)
    batch, images, problems = next(iter(loader))
    assert batch.valid.all()
    assert images == batch.labels[:, 0].tolist()
    assert len(problems) == 1
    assert "1.png" in str(problems[0])


def test_no_readable_image_at_all(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match=r"no image of the data set can be read.*\.png"):
        stream(data(tmp_path, 2, broken=(0, 1)))[0]


def batches(dataset: Dataset, workers: int, seed: int) -> list[Batch]:
    loader = training_loader(dataset, SIZE, Augmentation(turns=True), 64, batch_size=2, workers=workers, seed=seed)
    return [loaded.batch for loaded, _ in zip(loader, range(4), strict=False)]


def test_processes_share_out_the_stream(tmp_path: Path) -> None:
    """Two processes' batches hold what one process's batch of twice the size holds."""

    def images(batch_size: int, **place: int) -> list[list[int]]:
        loader = training_loader(data(tmp_path, 7), SIZE, PLAIN, 64, batch_size, 0, seed=3, **place)
        return [loaded.images for loaded, _ in zip(loader, range(5), strict=False)]

    whole = images(4, start=3)
    for both, first, second in zip(whole, *(images(2, start=3, rank=rank, world=2) for rank in (0, 1)), strict=True):
        assert [first[0], second[0], first[1], second[1]] == both


def test_objects_left_out_are_told_from_worker_processes(tmp_path: Path) -> None:
    dataset = data(tmp_path, 2)
    dataset._read_annotations = with_a_bad_one
    loader = training_loader(dataset, SIZE, PLAIN, 64, batch_size=2, workers=1, seed=0)
    problems = next(iter(loader)).problems
    assert [problem.objects_lost for problem in problems] == [1, 1]
    assert all("annotation 9" in problem.where for problem in problems)


def with_a_bad_one(index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
    empty = Crop(np.zeros((0, 0), bool), 0, 0)
    good = Crop(np.ones((20, 16), bool), 4, 4)
    return [Annotation(1, 0, False, None, None, good), Annotation(9, 0, False, None, None, empty)], []


def test_workers_change_nothing_and_the_seed_everything(tmp_path: Path) -> None:
    dataset = data(tmp_path)
    here, apart = batches(dataset, 0, 1), batches(dataset, 2, 1)
    for one, other in zip(here, apart, strict=True):
        for name, part, same in zip(Batch._fields, one, other, strict=True):
            assert torch.equal(part, same), name
    assert any(not torch.equal(a.images, b.images) for a, b in zip(here, batches(dataset, 0, 2), strict=True))


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
