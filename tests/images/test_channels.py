"""Images as a model takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.channels import as_display_rgb, as_model_input, read_for_model
from maskrcnn.images.image_reader import as_rgb8, read_image

RNG = np.random.default_rng(0)
RGB = Preprocess()


def taking(channels: int, depth: int = 8) -> Preprocess:
    return Preprocess(mean=(0.5,) * channels, std=(0.2,) * channels, depth=depth)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgb_is_as_it_ever_was(channels: int, dtype: type) -> None:
    array = RNG.integers(0, np.iinfo(dtype).max, (9, 11, channels), dtype=dtype)
    ours, expected = as_model_input(array, RGB), as_rgb8(array)
    assert np.array_equal(ours.pixels, expected[0])
    assert ours.notes == expected[1]


@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (4, 8), (12, 8), (1, 16), (3, 16), (12, 16)])
def test_other_channels_are_taken_as_stored(tmp_path: Path, channels: int, depth: int) -> None:
    array = RNG.integers(0, 2**depth, (9, 11, channels), dtype=np.uint8 if depth == 8 else np.uint16)
    np.save(tmp_path / "a.npy", array)
    for read in (
        as_model_input(array, taking(channels, depth)),
        read_for_model(tmp_path / "a.npy", taking(channels, depth)),
    ):
        assert np.array_equal(read.pixels, array)
        assert read.pixels.dtype == array.dtype
        assert read.notes == ()


def test_a_grey_model_takes_the_brightness_of_colours(tmp_path: Path) -> None:
    picture = RNG.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    pixels, notes = read_for_model(tmp_path / "a.png", taking(1))
    assert np.abs(pixels[..., 0].astype(int) - np.asarray(Image.fromarray(picture).convert("L"))).max() <= 1
    assert len(notes) == 1
    Image.fromarray(picture[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_for_model(tmp_path / "grey.png", taking(1)).pixels, picture[..., :1])


@pytest.mark.parametrize(
    ("array", "preprocess", "told"),
    [
        (
            np.zeros((9, 11, 3), np.uint8),
            taking(12),
            r"takes images of 12 channels, \[H, W, 12\], found shape \[9, 11, 3\]",
        ),
        (np.zeros((9, 11), np.uint8), taking(4), r"found shape \[9, 11, 1\]"),
        (np.zeros((0, 11, 4), np.uint8), taking(4), "found shape"),
        (np.zeros((9, 11, 4), np.uint8), taking(4, 16), "takes 16-bit images, found uint8"),
        (np.zeros((9, 11, 4), np.uint16), taking(4), "takes 8-bit images, found uint16"),
        (np.zeros((9, 11, 4), np.float32), taking(4), "takes 8-bit images, found float32"),
    ],
)
def test_other_images_are_refused(array: np.ndarray, preprocess: Preprocess, told: str) -> None:
    with pytest.raises(MaskRCNNError, match=told) as caught:
        as_model_input(array, preprocess)
    assert caught.value.fix


def test_the_file_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 11, 5), np.uint8))
    with pytest.raises(MaskRCNNError, match=r"a\.npy.*12 channels"):
        read_for_model(tmp_path / "a.npy", taking(12))


def test_a_picture_of_anything() -> None:
    rgb = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert as_display_rgb(rgb) == (rgb, ())
    deep = RNG.normal(3000, 100, (40, 50, 12)).clip(0, 65535).astype(np.uint16)
    picture, notes = as_display_rgb(deep)
    assert picture.dtype == np.uint8
    assert picture.shape == (40, 50, 3)
    assert len(notes) == 1
    for channel in range(3):
        order = np.argsort(deep[..., channel].ravel(), kind="stable")
        assert (np.diff(picture[..., channel].ravel()[order].astype(int)) >= 0).all()
        share = [(picture[..., channel] == end).mean() for end in (0, 255)]
        assert all(0.005 < part < 0.03 for part in share)
    grey, _ = as_display_rgb(deep[..., :1])
    assert (grey == grey[..., :1]).all()
    flat, _ = as_display_rgb(np.full((4, 5, 2), 7, np.uint16))
    assert flat.shape == (4, 5, 3)
    assert not flat.any()


def test_ordinary_files_are_read_as_before(tmp_path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (9, 11, 4), dtype=np.uint8)).save(tmp_path / "a.png")
    ours, expected = read_for_model(tmp_path / "a.png", RGB), read_image(tmp_path / "a.png")
    assert np.array_equal(ours.pixels, expected.pixels)
    assert ours.notes == expected.notes
