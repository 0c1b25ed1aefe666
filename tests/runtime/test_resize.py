"""Network input in numpy against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskrcnn.config import Preprocess
from maskrcnn.images.input_size import resized_size
from maskrcnn.model.preprocess import prepare as prepare_in_torch
from maskrcnn.runtime.resize import prepare, resample

TOLERANCE = 1e-3  # of a grey level


def noise(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(height * 10_000 + width)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def wanted(images: list[np.ndarray], preprocess: Preprocess) -> tuple[np.ndarray, list[list[int]]]:
    batch, sizes = prepare_in_torch([torch.from_numpy(image).permute(2, 0, 1) for image in images], preprocess)
    return batch.numpy(), sizes.tolist()


def assert_as_torch(images: list[np.ndarray], preprocess: Preprocess, tolerance: float = TOLERANCE) -> None:
    expected, sizes = wanted(images, preprocess)
    batch, ours = prepare(images, preprocess)
    assert (batch.dtype, ours.dtype) == (np.float32, np.int64)
    assert ours.tolist() == sizes
    np.testing.assert_allclose(batch, expected, rtol=0, atol=tolerance * preprocess.full_scale / 255)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("shape", [(427, 640), (480, 640), (1536, 2048), (33, 33), (1, 1), (1, 3000), (2500, 7)])
def test_full_size_input_is_torchs(shape: tuple[int, int], antialias: bool) -> None:
    assert_as_torch([noise(*shape)], Preprocess(antialias=antialias))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 150), st.integers(1, 150)), min_size=1, max_size=3),
    st.integers(1, 90),
    st.integers(90, 140),
    st.booleans(),
    st.sampled_from([(1, np.uint8), (3, np.uint8), (5, np.uint16)]),
)
def test_any_batch_is_torchs(
    shapes: list[tuple[int, int]], short: int, long: int, antialias: bool, kind: tuple[int, type]
) -> None:
    channels, dtype = kind
    preprocess = Preprocess(
        (short, short), long, (0.5,) * channels, (0.5,) * channels, antialias=antialias, depth=8 * dtype().itemsize
    )
    # torch's antialiased kernel repeats the first row where the result is one column wide.
    assume(not antialias or all(resized_size(*shape, preprocess)[1] > 1 for shape in shapes))
    assert_as_torch([noise(*shape, channels, dtype) for shape in shapes], preprocess)


def test_whole_values_are_torchs_but_for_ties() -> None:
    image = noise(300, 200)
    for antialias in (False, True):
        preprocess = Preprocess((120, 120), 400, antialias=antialias, whole_values=True)
        expected, _ = wanted([image], preprocess)
        batch, _ = prepare([image], preprocess)
        assert (batch == np.rint(batch)).all()
        assert np.abs(batch - expected).max() <= 1
        assert (batch != expected).mean() < 2e-3


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = noise(64, 96)
    batch, sizes = prepare([image], Preprocess((64, 96), 128))
    np.testing.assert_array_equal(batch[0], image.transpose(2, 0, 1))
    assert sizes.tolist() == [[64, 96]]


def test_padding_to_a_least_size() -> None:
    image = noise(40, 64)
    batch, sizes = prepare([image], Preprocess((32, 40), 64), smallest=96)
    assert batch.shape == (1, 3, 96, 96)
    assert sizes.tolist() == [[40, 64]]
    assert not batch[0, :, 40:].any()
    assert not batch[0, :, :, 64:].any()


def test_a_slope_stays_a_slope() -> None:
    """Halving f(x) = x averages pairs with the triangle's tails, or reads between them: 2 i + 0.5 either way inside."""
    slope = np.repeat(np.arange(40, dtype=np.uint8)[None, :, None], 6, axis=0)
    for antialias in (False, True):
        half = resample(slope, (6, 20), antialias)
        np.testing.assert_allclose(half[:, 2:-2, 0], np.tile(2 * np.arange(2, 18) + 0.5, (6, 1)), atol=1e-4)
