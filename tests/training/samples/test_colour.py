"""Photometric changes: what stays, what moves, and that nothing but pixels comes out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.config import Preprocess
from maskrcnn.training.samples.colour import ColourChange, sample_change

RGB = Preprocess()
DEEP = Preprocess(mean=(0.01, 0.02, 0.5, 0.3), std=(0.002, 0.004, 0.1, 0.1), depth=16)
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


class Middle:
    """Draws the middle of each range."""

    def uniform(self, low: float, high: float, size: int | None = None) -> float | np.ndarray:
        middle = (low + high) / 2
        return middle if size is None else np.full(size, middle)


class OnlyHue(Middle):
    """Draws the largest angle, and the middle of every other range."""

    def uniform(self, low: float, high: float, size: int | None = None) -> float | np.ndarray:
        return high if size is None and high < 1 else super().uniform(low, high, size)


def changed(pixels: np.ndarray, strength: float, seed: int, preprocess: Preprocess = RGB) -> np.ndarray:
    change = sample_change(strength, np.random.default_rng(seed), preprocess)
    return pixels if change is None else change(pixels)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 1), st.integers(0, 10_000))
def test_colours_stay_pixels_and_grey_stays_grey(strength: float, seed: int) -> None:
    out = changed(PIXELS, strength, seed)
    assert out.dtype == np.uint8
    assert out.shape == PIXELS.shape
    grey = changed(np.repeat(PIXELS[..., :1], 3, axis=-1), strength, seed).astype(int)
    assert np.ptp(grey, axis=-1).max() <= 1


def test_no_strength_is_no_change() -> None:
    assert sample_change(0.0, np.random.default_rng(0), RGB) is None


@pytest.mark.parametrize(
    ("preprocess", "pixels"), [(RGB, PIXELS), (DEEP, PIXELS.repeat(2, 2)[..., :4].astype(np.uint16) * 257)]
)
def test_the_middle_of_all_ranges_is_no_change(preprocess: Preprocess, pixels: np.ndarray) -> None:
    change = sample_change(1.0, Middle(), preprocess)  # type: ignore[arg-type]
    assert change is not None
    assert np.array_equal(change(pixels), pixels)


def test_strong_changes_change() -> None:
    outs = [changed(PIXELS, 1.0, seed).astype(int) for seed in range(5)]
    assert min(np.abs(out - PIXELS).mean() for out in outs) > 3
    assert np.abs(outs[0] - outs[1]).mean() > 3


def test_a_hue_turns_about_the_grey_axis() -> None:
    """Mean and distance from grey stay, the direction turns by half a radian; no pixel is near 0 or 255."""
    before = PIXELS // 4 + 90.0
    change = sample_change(1.0, OnlyHue(), RGB)  # type: ignore[arg-type]
    assert change is not None
    after = change(before.astype(np.uint8)).astype(float)
    np.testing.assert_allclose(after.mean(-1), before.mean(-1), atol=1)
    colour, turned = (pixels - pixels.mean(-1, keepdims=True) for pixels in (before, after))
    lengths = np.linalg.norm(colour, axis=-1), np.linalg.norm(turned, axis=-1)
    np.testing.assert_allclose(*lengths, atol=1.5)
    strong = lengths[0] > 20
    cosine = (colour * turned).sum(-1)[strong] / (lengths[0] * lengths[1])[strong]
    np.testing.assert_allclose(np.arccos(cosine), 0.5, atol=0.1)


def test_stains_may_lose_colour_or_turn_negative() -> None:
    grey, negative = 0, 0
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(60):
        change = sample_change(0.4, np.random.default_rng(seed), RGB, stains=True)
        assert change is not None
        grey += int(np.ptp(change(PIXELS).astype(int), axis=-1).max() <= 1)
        negative += int(np.diff(change(ramp).astype(int).mean(-1)[0, [60, 190]])[0] < 0)
    assert 3 <= grey <= 25
    assert 3 <= negative <= 25


def test_other_channels_change_in_their_own_units() -> None:
    """Dim channels by as much of their spread as bright ones: none is drowned, none is left alone."""
    rng = np.random.default_rng(1)
    mean, std = np.array(DEEP.mean) * 65535, np.array(DEEP.std) * 65535
    pixels = np.clip(rng.normal(mean, std, (80, 80, 4)), 0, 65535).astype(np.uint16)
    moves, gains = [], []
    for seed in range(40):
        out = changed(pixels, 1.0, seed, DEEP).astype(float)
        moves.append((out.mean((0, 1)) - pixels.mean((0, 1))) / std)
        gains.append(out.std((0, 1)) / pixels.std((0, 1)))
    spread = np.std(moves, axis=0)
    assert (spread > 0.15).all()
    assert (spread < 0.8).all()
    assert np.ptp(spread) < 0.15
    assert 0.4 < np.min(gains) < 0.9
    assert 1.1 < np.max(gains) < 2.2


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize("depth", [8, 16])
def test_any_number_of_channels_and_bits(channels: int, depth: int) -> None:
    preprocess = Preprocess(mean=(0.4,) * channels, std=(0.2,) * channels, depth=depth)
    dtype = np.uint8 if depth == 8 else np.uint16
    pixels = np.random.default_rng(2).integers(0, preprocess.full_scale + 1, (30, 40, channels), dtype=dtype)
    out = changed(pixels, 1.0, 3, preprocess)
    assert out.dtype == dtype
    assert out.shape == pixels.shape
    assert not np.array_equal(out, pixels)


def test_values_are_rounded_and_kept_in_range() -> None:
    change = ColourChange(np.diag([2.0, -1.0]).astype(np.float32), np.array([0.4, 100.6], np.float32))
    pixels = np.array([[[10, 10], [200, 200], [0, 0]]], dtype=np.uint8)
    assert change(pixels).tolist() == [[[20, 91], [255, 0], [0, 101]]]
    assert change(pixels.astype(np.uint16)).tolist() == [[[20, 91], [400, 0], [0, 101]]]


def test_the_number_of_threads_changes_no_bit() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    threads = torch.get_num_threads()
    try:
        outs = []
        for number in (1, 3):
            torch.set_num_threads(number)
            outs.append(changed(pixels, 0.7, 5))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(*outs)
