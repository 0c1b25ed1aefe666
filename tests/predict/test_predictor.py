"""The predictor: every kind of input gives the same result, batches keep their order, choices are checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.predict.predictor import Predictor, load, pick_device, pick_precision


@pytest.fixture(scope="module")
def nuclei() -> Predictor:
    return load("nuclei", "cpu", "fp32")


def cells(height: int, width: int) -> np.ndarray:
    """Bright ellipses on a dark, noisy field: uint8 [H, W] as a fluorescence microscope gives them, full range."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    field = rng.normal(12, 2, (height, width))
    for top in range(30, height - 20, 60):
        for left in range(30, width - 20, 60):
            a, b = rng.uniform(9, 16, 2)
            field += 150 * (((y - top) / a) ** 2 + ((x - left) / b) ** 2 < 1)
    field[0, 0], field[0, 1] = 0, 255
    return field.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return cells(240, 200)


def test_every_input_gives_the_same_result(nuclei: Predictor, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "cell.png"
    Image.fromarray(photo).save(path)
    rgb = np.repeat(photo[..., None], 3, axis=2)
    inputs = [path, str(path), photo, rgb, Image.open(path), photo.astype(np.uint16) * 257]
    results = nuclei.predict(inputs, score=0.8)
    assert len(results) == len(inputs)
    for result in results:
        assert result.size == photo.shape
        assert len(result) == len(results[0]) > 5
        np.testing.assert_allclose(result.boxes, results[0].boxes, atol=2)
    assert results[0].path == path
    assert results[2].path is None
    single = nuclei.predict(path, score=0.8)
    np.testing.assert_array_equal(single.boxes, results[0].boxes)


def test_a_batch_of_mixed_sizes_keeps_order_and_frames(nuclei: Predictor) -> None:
    images = [cells(200, 300), np.zeros((1, 1, 3), np.uint8), cells(120, 500)]
    alone = [nuclei.predict(image, score=0.8) for image in images]
    together = nuclei.predict(images, score=0.8, batch_size=3)
    for image, one, many in zip(images, alone, together, strict=True):
        assert many.size == image.shape[:2]
        assert many.masks.dense().shape == (len(many), *image.shape[:2])
        limit = np.array([image.shape[1], image.shape[0]] * 2)
        assert (many.boxes <= limit + 1e-3).all()
        assert len(one) == len(many)
        np.testing.assert_allclose(np.sort(one.boxes, 0), np.sort(many.boxes, 0), atol=1)
    assert nuclei.predict([]) == []


def test_scores_filter(nuclei: Predictor, photo: np.ndarray) -> None:
    everything = nuclei.predict(photo, score=0.0)
    some = nuclei.predict(photo, score=0.6)
    assert (some.scores >= 0.6).all()
    np.testing.assert_array_equal(everything.scores[everything.scores >= 0.6], some.scores)
    with pytest.raises(MaskRCNNError, match="score"):
        nuclei.predict(photo, score=1.5)


def test_half_precision_finds_the_same_objects(nuclei: Predictor, photo: np.ndarray) -> None:
    want = nuclei.predict(photo, score=0.8)
    got = load("nuclei", "cpu", "bf16").predict(photo, score=0.5)
    assert len(got) >= len(want) > 5
    for box in want.boxes:
        assert np.abs(got.boxes - box).max(1).min() < 4


def test_devices_and_precisions_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_precision("auto", torch.device("cpu")) == torch.float32
    assert pick_precision("fp16", torch.device("cpu")) == torch.float16
    for call in (lambda: pick_device("gpu0"), lambda: pick_precision("int4", torch.device("cpu"))):
        with pytest.raises(MaskRCNNError, match="unknown"):
            call()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MaskRCNNError, match="not there"):
        pick_device("cuda")


def test_what_is_no_image(nuclei: Predictor) -> None:
    with pytest.raises(MaskRCNNError, match="expected a path"):
        nuclei.predict(7)  # type: ignore[call-overload]
    with pytest.raises(MaskRCNNError, match="uint8"):
        nuclei.predict(np.zeros((8, 8, 3)))
