"""Other dyes: absorbances add, nuclei stay where they are, and a seed gives the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2hed
from skimage.color.colorconv import rgb_from_hed
from skimage.data import immunohistochemistry

from maskrcnn.config import Preprocess
from maskrcnn.training.samples.colour import sample_change
from maskrcnn.training.samples.stain import DAB, EOSIN, HAEMATOXYLIN, StainChange, sample_stain

NO_CLOUDS = np.zeros((2, 2), dtype=np.float32)
EVEN = np.ones((3, 3), dtype=np.float32)


def stained(picture: np.ndarray, other: tuple[float, ...], clouds: np.ndarray, lines: float = 0.0) -> np.ndarray:
    """In haematoxylin and another dye, whose lines run where a wave from left to right crosses a half."""
    wave = np.linspace(0, 1, 9, dtype=np.float32)[None].repeat(9, axis=0)
    return StainChange(np.array(HAEMATOXYLIN), np.array(other), (1.0, 1.0), clouds, wave, lines)(picture)


def shining(background: int = 4) -> np.ndarray:
    """A bright disc on a dark field, uint8 [64, 64, 3]."""
    y, x = np.mgrid[:64, :64]
    disc = (y - 30) ** 2 + (x - 24) ** 2 < 100
    return np.where(disc, 200, background).astype(np.uint8)[..., None].repeat(3, axis=-1)


def test_the_dyes_are_those_of_the_literature() -> None:
    assert np.array([HAEMATOXYLIN, EOSIN, DAB]) == pytest.approx(rgb_from_hed)


def test_what_shone_is_stained_and_the_rest_is_clear() -> None:
    picture = stained(shining(0), DAB, NO_CLOUDS)
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[30, 24] == pytest.approx(255 * np.exp(-np.array(HAEMATOXYLIN)), abs=1)


def test_clouds_are_the_second_dye_between_the_nuclei() -> None:
    """Amounts by skimage's own separation of dyes."""
    amounts = rgb2hed(stained(shining(0), DAB, EVEN))
    between, nucleus = amounts[0, 0], amounts[30, 24]
    assert between[2] > 3 * nucleus[2] > 0
    assert nucleus[0] > 5 * abs(between[0])


def test_lines_hold_their_share_of_the_second_dye() -> None:
    even, half, all_lines = (rgb2hed(stained(shining(0), DAB, EVEN, lines))[0, :, 2] for lines in (0.0, 0.5, 1.0))
    assert even.min() == pytest.approx(even.max())
    assert half[[0, 32]] / even[0] == pytest.approx([0.5, 1.5], rel=0.1)
    assert all_lines[[0, 16, 32]] / even[0] == pytest.approx([0, 2 / 16, 2], abs=0.2)  # 2 (1 - |2 w - 1|)^4


def test_a_stained_section_keeps_its_nuclei() -> None:
    section = immunohistochemistry()
    before = rgb2hed(section)[..., 0]
    after = rgb2hed(stained(section, EOSIN, NO_CLOUDS))
    assert np.corrcoef(before.ravel(), after[..., 0].ravel())[0, 1] > 0.8
    assert after[..., 2].mean() < 0.3 * rgb2hed(section)[..., 2].mean()  # the brown became pink


def test_stains_are_a_part_of_the_changes_and_repeat_with_the_seed() -> None:
    picture = shining()
    kinds = []
    for seed in range(60):
        changes = [sample_change(0.5, np.random.default_rng(seed), Preprocess(), stains=True) for _ in range(2)]
        first, second = (change(picture) for change in changes if change is not None)
        assert np.array_equal(first, second)
        kinds.append(isinstance(changes[0], StainChange))
    assert 5 < sum(kinds) < 30
    assert not any(
        isinstance(sample_change(0.5, np.random.default_rng(seed), Preprocess()), StainChange) for seed in range(30)
    )


def test_any_picture_stays_a_picture() -> None:
    rng = np.random.default_rng(0)
    for picture in (np.zeros((5, 7, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8), shining()):
        out = sample_stain(rng)(picture)
        assert out.shape == picture.shape
        assert out.dtype == np.uint8
