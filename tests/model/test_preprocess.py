"""Network input against torchvision's transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from maskrcnn.config import Preprocess
from maskrcnn.images.input_size import padded_size, resize_scale, resized_size
from maskrcnn.model.preprocess import prepare


def noise(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 10_000 + width)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def normalised(batch: Tensor, sizes: Tensor, settings: Preprocess) -> Tensor:
    mean, std = (torch.tensor(part)[:, None, None] for part in (settings.mean, settings.std))
    out = torch.zeros_like(batch)
    for image, place, (rows, columns) in zip(batch, out, sizes.tolist(), strict=True):
        place[:, :rows, :columns] = (image[:, :rows, :columns] / 255 - mean) / std
    return out


def torchvisions(images: list[Tensor], settings: Preprocess) -> tuple[Tensor, list[tuple[int, int]]]:
    transform = GeneralizedRCNNTransform(settings.short[0], settings.long, settings.mean, settings.std).eval()
    prepared, _ = transform([image.float() / 255 for image in images])
    return prepared.tensors, prepared.image_sizes


@pytest.mark.parametrize("shapes", [[(427, 640)], [(100, 700)], [(1400, 9)], [(30, 40), (427, 640), (300, 200)]])
def test_full_size_input_is_torchvisions(shapes: list[tuple[int, int]]) -> None:
    images = [noise(*shape) for shape in shapes]
    expected, sizes = torchvisions(images, Preprocess())
    batch, ours = prepare(images, Preprocess())
    assert [tuple(size) for size in ours.tolist()] == sizes
    assert batch.shape == expected.shape
    assert batch.shape[-2] % 32 == batch.shape[-1] % 32 == 0
    torch.testing.assert_close(normalised(batch, ours, Preprocess()), expected, atol=1e-4, rtol=0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=3),
    st.integers(20, 60),
    st.integers(60, 99),
)
def test_any_batch_is_torchvisions(shapes: list[tuple[int, int]], short: int, long: int) -> None:
    wanted = Preprocess(short=(short, short), long=long)
    assume(all(min(h, w) * resize_scale(h, w, wanted) >= 1 for h, w in shapes))
    images = [noise(*shape) for shape in shapes]
    expected, sizes = torchvisions(images, wanted)
    batch, ours = prepare(images, wanted)
    assert [tuple(size) for size in ours.tolist()] == sizes
    torch.testing.assert_close(normalised(batch, ours, wanted), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((320, 400), 2.0),  # up to 640
        ((700, 800), 1.0),  # within the range: left alone
        ((2048, 2048), 0.5),  # down to 1024
        ((640, 2816), 0.5),  # the longest edge decides
    ],
)
def test_a_range_leaves_images_within_it_alone(shape: tuple[int, int], expected: float) -> None:
    wanted = Preprocess(short=(640, 1024), long=1408)
    assert resize_scale(*shape, wanted) == expected
    assert resized_size(*shape, wanted) == (shape[0] * expected, shape[1] * expected)


def test_a_line_of_pixels_keeps_one() -> None:
    assert resized_size(1, 5000, Preprocess()) == (1, 1333)
    batch, sizes = prepare([noise(1, 5000)], Preprocess())
    assert batch.shape == (1, 3, 32, 1344)
    assert sizes.tolist() == [[1, 1333]]


def test_antialiasing_is_pillows() -> None:
    image = noise(200, 300)
    batch, _ = prepare([image], Preprocess(short=(64, 64), long=500, antialias=True))
    expected = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((96, 64), Image.Resampling.BILINEAR)
    difference = batch[0].permute(1, 2, 0).numpy() - np.asarray(expected, dtype=np.float32)
    assert np.abs(difference).max() <= 1.0


def test_the_padding_is_the_divisors() -> None:
    batch, _ = prepare([noise(10, 10)], Preprocess(short=(50, 50), long=60, divisor=64))
    assert batch.shape[-2:] == (64, 64)
    assert (batch[..., 50:] == 0).all()
    assert batch.dtype == torch.float32


@pytest.mark.parametrize("channels", [1, 12])
def test_any_channels_and_bits_are_scaled_alike(channels: int) -> None:
    """Of values as stored, each channel on its own."""
    wanted = Preprocess((50, 50), 60, (0.5,) * channels, (0.5,) * channels, depth=16)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 65536, (channels, 20, 25), dtype=np.uint16))
    batch, sizes = prepare([image], wanted)
    assert batch.shape == (1, channels, 64, 64)
    assert sizes.tolist() == [[48, 60]]
    alone = prepare([image[-1:]], Preprocess((50, 50), 60, (0.5,), (0.5,), depth=16))[0]
    assert torch.equal(batch[:, -1:], alone)
    assert 60_000 < batch.max() <= 65535


@pytest.mark.parametrize(
    ("sizes", "expected"), [([(1, 1)], (32, 32)), ([(32, 64)], (32, 64)), ([(33, 20), (10, 65)], (64, 96))]
)
def test_the_smallest_padding_that_holds_all(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert padded_size(sizes, 32) == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(5, 90), st.integers(5, 90), st.integers(8, 120))
def test_whole_values_are_pillows_to_the_bit(height: int, width: int, short: int) -> None:
    wanted = Preprocess(short=(short, short), long=10_000, antialias=True, nearest_size=True, whole_values=True)
    image = noise(height, width)
    rows, columns = resized_size(height, width, wanted)
    batch, _ = prepare([image], wanted)
    picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((columns, rows), Image.Resampling.BILINEAR)
    assert np.array_equal(batch[0, :, :rows, :columns].permute(1, 2, 0).numpy(), np.asarray(picture))


def test_whole_values_without_antialiasing_are_rounded() -> None:
    image = noise(30, 40)
    usual, _ = prepare([image], Preprocess(short=(47, 47)))
    whole, _ = prepare([image], Preprocess(short=(47, 47), whole_values=True))
    assert torch.equal(whole, usual.round())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((512, 512), (800, 800)),
        ((500, 741), (800, 1186)),  # 1185.6
        ((427, 640), (800, 1199)),  # 1199.06
        ((333, 1000), (444, 1333)),  # 443.9: the longest edge decides
    ],
)
def test_sides_to_the_nearest_pixel(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    """detectron2's and mmdetection's rule: scale, add a half, cut."""
    assert resized_size(*shape, Preprocess(nearest_size=True)) == expected
