"""What is no image, no score and no batch size is one error that says what to give."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import image_limits
from maskrcnn.images.image_like import check_image_list, read_image_like
from tests.outcomes import Outcomes

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def closed(path: Path) -> Image.Image:
    Image.fromarray(RGB).save(path)
    with Image.open(path) as image:
        image.load()
    image.close()
    return image


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (None, "found NoneType .give one of these"),
        (5, "found int"),
        (b"\x89PNG", r"found bytes .*Image.open\(io.BytesIO"),
        (io.BytesIO(b"x"), r"found BytesIO .*Image.open\(io.BytesIO"),
        (torch.zeros(3, 4, 5, dtype=torch.uint8), r"found Tensor .*permute\(1, 2, 0\)"),
        ([[1, 2], [3, 4]], r"found list .*numpy.asarray"),
        ({"image": RGB}, "found dict"),
        ((value for value in [RGB]), r"found generator .give list\(images\), or use stream"),
        (np.ndarray, "found type"),
        (lambda: None, "found NoneType"),
        (np.array(3, dtype=np.uint8), r"found shape \[\]"),
        (np.array([None, "a"], dtype=object), "found object"),
        (np.array(["a"]), "found <U1"),
        (np.zeros((4, 5), dtype=complex), "found complex128"),
        (np.zeros((4, 5), dtype=[("r", "u1"), ("g", "u1")]), "uint8"),
        (RGB[None], r"found shape \[1, 5, 7, 3\]"),
        (np.zeros((0, 5, 3), dtype=np.uint8), r"found shape \[0, 5, 3\]"),
        (Image.new("F", (4, 5)), "found float32"),
    ],
)
@pytest.mark.parametrize("preprocess", [Preprocess(), Preprocess(mean=(0.5,), std=(0.5,))])
def test_what_is_no_image(image: Any, told: str, preprocess: Preprocess) -> None:
    if not preprocess.rgb and isinstance(image, np.ndarray | Image.Image):
        told = "the model takes|expected"
    with pytest.raises(MaskRCNNError, match=told) as error:
        read_image_like(image, preprocess)
    assert error.value.fix


def test_images_of_pil_that_can_no_longer_be_read(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match="a PIL image that cannot be read: Operation on closed image"):
        read_image_like(closed(tmp_path / "a.png"), Preprocess())
    Image.fromarray(np.kron(RGB, np.ones((40, 40, 1), dtype=np.uint8))).save(tmp_path / "b.png")
    whole = (tmp_path / "b.png").read_bytes()
    with pytest.raises(MaskRCNNError, match="a PIL image that cannot be read"):
        read_image_like(Image.open(io.BytesIO(whole[: len(whole) // 2])), Preprocess())


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA"])
def test_images_of_pil_are_read_as_their_files_are(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    for preprocess in (Preprocess(), Preprocess(mean=(0.5,), std=(0.5,))):
        assert np.array_equal(read_image_like(image, preprocess)[0].pixels, read_image_like(path, preprocess)[0].pixels)


def test_arrays_and_images_have_the_limits_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = np.broadcast_to(np.uint8(0), (20_001, 10_000))
    for image in (huge, np.broadcast_to(np.uint8(0), (20_001, 10_000, 3))):
        with pytest.raises(MaskRCNNError, match="at most 200,000,000 pixels, found 10000 x 20001"):
            read_image_like(image, Preprocess())
    with pytest.raises(MaskRCNNError, match="at most 200,000,000 pixels"):
        read_image_like(huge, Preprocess(mean=(0.5,), std=(0.5,)))
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 34)
    with pytest.raises(MaskRCNNError, match="at most 34 pixels, found 7 x 5"):
        read_image_like(Image.fromarray(RGB), Preprocess())


def test_the_limit_is_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKRCNN_MAX_IMAGE_BYTES", "104")
    with pytest.raises(MaskRCNNError, match=r"MASKRCNN_MAX_IMAGE_BYTES|at most"):
        read_image_like(RGB, Preprocess())
    monkeypatch.setenv("MASKRCNN_MAX_IMAGE_BYTES", str(2**31))
    image_limits.check_size(20_000, 20_000, None)
    for wrong in ("lots", "-5", "1e9", "9" * 40):
        monkeypatch.setenv("MASKRCNN_MAX_IMAGE_BYTES", wrong)
        with pytest.raises(MaskRCNNError, match="expected a number of bytes"):
            read_image_like(RGB, Preprocess())


@pytest.mark.parametrize("images", ["a.png", Path("a.png"), RGB, Image.fromarray(RGB), 5, None, b"", {"a": 1}])
def test_one_image_is_no_stream(images: Any) -> None:
    with pytest.raises(MaskRCNNError, match=r"expected a list of images.*\[image\]"):
        check_image_list(images)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.complex_numbers(),
)


@given(
    st.recursive(
        anything, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3)
    )
)
@settings(max_examples=200, deadline=None)
def test_anything_is_taken_or_is_our_error(value: Any) -> None:
    error = Outcomes().attempt(lambda: read_image_like(value, Preprocess()))
    assert error is None or len(str(error)) < 600
