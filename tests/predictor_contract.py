"""What every predictor does, whatever finds the objects: PyTorch, ONNX Runtime, OpenVINO or a torch.export program.

A test class inherits `PredictorContract` and has a fixture `predictor` that finds objects in `contract_photo`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.results.result import Result


def assert_same(found: Result, expected: Result, atol: float = 1e-3) -> None:
    """The same objects in the same order; boxes within `atol` pixels, scores within 1e-4."""
    assert found.size == expected.size
    assert found.names == expected.names
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=atol)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


class PredictorContract:
    """Inherited tests."""

    @pytest.fixture
    def contract_photo(self) -> np.ndarray:
        """uint8 [H, W, 3], grey: bright ellipses on a dark field, as a microscope shows cells."""
        rng = np.random.default_rng(1)
        y, x = np.mgrid[:240, :200]
        field = rng.normal(12, 2, (240, 200))
        for top in range(30, 220, 60):
            for left in range(30, 180, 60):
                a, b = rng.uniform(9, 16, 2)
                field += 150 * (((y - top) / a) ** 2 + ((x - left) / b) ** 2 < 1)
        field[0, :2] = 0, 255
        return np.repeat(field.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)

    def test_an_image_gives_a_result_and_a_list_a_list(
        self, predictor: ImagePredictor, contract_photo: np.ndarray
    ) -> None:
        single = predictor.predict(contract_photo)
        (first, second) = predictor.predict((contract_photo, contract_photo))
        assert len(single) > 0
        assert_same(first, single)
        assert_same(second, single)
        assert predictor.predict([]) == predictor.predict(()) == list(predictor.stream([])) == []

    def test_types_frames_and_order(self, predictor: ImagePredictor, contract_photo: np.ndarray) -> None:
        result = predictor.predict(contract_photo, score=0.0)
        count, (height, width) = len(result), contract_photo.shape[:2]
        assert (result.boxes.dtype, result.boxes.shape) == (np.float32, (count, 4))
        assert (result.scores.dtype, result.scores.shape) == (np.float32, (count,))
        assert (result.labels.dtype, result.labels.shape) == (np.int64, (count,))
        assert result.size == (height, width)
        assert (result.boxes >= -1e-3).all()
        assert (result.boxes <= np.array([width, height] * 2) + 1e-3).all()
        assert result.masks.dense().shape == (count, height, width)
        assert set(result.names) <= set(predictor.names)
        assert result.image is not None
        np.testing.assert_array_equal(result.image, contract_photo)

    def test_every_kind_of_image_gives_the_same_result(
        self, predictor: ImagePredictor, contract_photo: np.ndarray, tmp_path: Path
    ) -> None:
        grey = np.ascontiguousarray(contract_photo[..., 0])
        deep = grey.astype(np.uint16) * 257
        path = tmp_path / "photo.png"
        Image.fromarray(contract_photo).save(path)
        Image.fromarray(deep).save(tmp_path / "deep.png")
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise
        Image.fromarray(np.rot90(contract_photo)).save(tmp_path / "turned.png", exif=exif)
        opaque = np.dstack((contract_photo, np.full(grey.shape, 255, np.uint8)))
        images = [path, str(path), tmp_path / "deep.png", tmp_path / "turned.png", contract_photo, grey, deep, opaque]
        images += [Image.open(path), Image.fromarray(grey), Image.open(tmp_path / "deep.png")]
        images += [Image.fromarray(grey).convert("P"), lambda: contract_photo]
        expected = predictor.predict(contract_photo, score=0.6)
        results = predictor.predict(images, score=0.6, batch_size=4)
        assert len(results) == len(images)
        for result in results:
            assert_same(result, expected, atol=1e-2)
        assert [result.path for result in results[:2]] == [path, path]
        assert results[4].path is None

    def test_scores_below_are_left_out(self, predictor: ImagePredictor, contract_photo: np.ndarray) -> None:
        everything, some = (predictor.predict(contract_photo, score) for score in (0.0, 0.8))
        kept = everything.scores >= 0.8
        assert 0 < len(some) == kept.sum() < len(everything)
        assert_same(some, everything[kept])
        for score in (-0.1, 1.5, float("nan")):
            with pytest.raises(MaskRCNNError, match="score"):
                predictor.predict(contract_photo, score)

    def test_nothing_found(self, predictor: ImagePredictor) -> None:
        blank = np.zeros((70, 50, 3), np.uint8)
        result = predictor.predict(blank, score=1.0)
        assert (len(result), result.boxes.shape, result.size) == (0, (0, 4), (70, 50))
        assert result.masks.dense().shape == (0, 70, 50)
        assert result.to_coco(1) == result.masks.rle() == result.measure() == []
        assert result.draw().size == (50, 70)
        for size in ((1, 1), (700, 20)):
            assert predictor.predict(np.zeros((*size, 3), np.uint8), score=0.0).size == size

    @pytest.mark.parametrize("batch_size", [2, 4])
    def test_the_batch_changes_no_result(
        self, predictor: ImagePredictor, contract_photo: np.ndarray, batch_size: int
    ) -> None:
        images = [contract_photo, contract_photo[::-1], contract_photo[::-1, ::-1]]
        alone = [predictor.predict(image, score=0.7) for image in images]
        assert min(map(len, alone)) > 0
        for one, many in zip(alone, predictor.stream(images, 0.7, batch_size), strict=True):
            assert isinstance(many, Result)
            assert_same(many, one, atol=1e-2)
            assert (many.masks.dense() != one.masks.dense()).mean() < 1e-3

    @pytest.mark.parametrize("batch_size", [None, 2, 10])
    def test_an_unreadable_image_is_an_error_in_its_place(
        self, predictor: ImagePredictor, contract_photo: np.ndarray, tmp_path: Path, batch_size: int | None
    ) -> None:
        broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.png"
        broken.write_bytes(b"no image")
        images = [broken, contract_photo, missing, contract_photo[:100], contract_photo[:, :90], broken]
        found = list(predictor.stream(iter(images), 0.8, batch_size))
        sizes = [str(one) if isinstance(one, MaskRCNNError) else one.size for one in found]
        assert [sizes[place] for place in (1, 3, 4)] == [(240, 200), (100, 200), (240, 90)]
        for place, path in ((0, broken), (2, missing), (5, broken)):
            assert str(path) in str(sizes[place])
        with pytest.raises(MaskRCNNError, match="missing"):
            predictor.predict([contract_photo, missing], batch_size=batch_size)

    def test_a_call_limits_its_detections(self, predictor: ImagePredictor, contract_photo: np.ndarray) -> None:
        everything = predictor.predict(contract_photo, score=0.0)
        one = predictor.predict(contract_photo, score=0.0, max_detections=1)
        assert len(everything) > len(one) == 1
        assert_same(one, everything[:1])
        assert_same(predictor.predict(contract_photo, score=0.0), everything)
