"""Averaging in blocks before a strong shrink changes next to nothing, and bounds what resampling takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskrcnn.config import Preprocess
from maskrcnn.images.block_mean import shrink_by_blocks
from maskrcnn.model.preprocess import prepare
from maskrcnn.runtime.resize import prepare as prepare_numpy
from maskrcnn.training.samples.view import resize


def test_blocks_are_means_and_the_last_one_of_what_is_left() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64 * 2 * 3 + 5, 2, 3), dtype=np.uint8)
    fewer = shrink_by_blocks(image, (3, 2))
    assert fewer.shape == (98, 2, 3)
    assert fewer.dtype == np.float32
    assert np.allclose(fewer[:97], image[: 97 * 4].reshape(97, 4, 2, 3).mean(axis=1), atol=1e-4)
    assert np.allclose(fewer[97], image[388:].mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("size", [(10, 5), (6, 6), (700, 9)])
def test_a_moderate_shrink_is_left_alone(size: tuple[int, int]) -> None:
    image = np.zeros((380, 300, 3), dtype=np.uint8)
    assert shrink_by_blocks(image, size) is image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("turned", [False, True])
def test_a_strip_comes_out_as_the_filter_alone_would_make_it(dtype: type, turned: bool) -> None:
    rng = np.random.default_rng(1)
    full = np.iinfo(dtype).max
    wave = np.sin(np.arange(40_000) / 1500)[:, None, None] * 0.3 + 0.5 + rng.normal(0, 0.1, (40_000, 4, 3))
    image = np.rint(np.clip(wave, 0, 1) * full).astype(dtype)
    size = (100, 4)
    if turned:
        image, size = np.ascontiguousarray(image.swapaxes(0, 1)), (4, 100)
    planes = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    expected = F.interpolate(planes, size, mode="bilinear", antialias=True)[0].numpy()
    level = full / 255
    assert np.abs(resize(image, *size).transpose(2, 0, 1) - expected).max() <= 1.1 * level
    depth = 8 * image.dtype.itemsize
    preprocess = Preprocess(short=(4, 4), long=100, divisor=1, antialias=True, depth=depth)
    batch, sizes = prepare([torch.from_numpy(image).permute(2, 0, 1)], preprocess)
    assert sizes.tolist() == [[1, 100]] if turned else [[100, 1]]
    by_numpy, _ = prepare_numpy([image], preprocess)
    assert np.abs(by_numpy - batch.numpy()).max() <= 1e-3 * level


def test_channels_of_a_large_image_are_resized_as_together(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 90, 120), dtype=np.uint8))
    for antialias in (False, True):
        preprocess = Preprocess(short=(32, 32), antialias=antialias)
        whole, _ = prepare([image], preprocess)
        with monkeypatch.context() as patch:
            patch.setattr("maskrcnn.model.preprocess._MAX_VALUES_AT_ONCE", 100)
            assert torch.equal(prepare([image], preprocess)[0], whole)
