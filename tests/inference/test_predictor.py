"""The predictor: every kind of input gives the same result, batches keep their order, choices are checked."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference import torch_network
from maskrcnn.inference.loading import load
from maskrcnn.inference.predictor import Predictor
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.results.result import Result
from tests.predictor_contract import PredictorContract


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


class TestPredictor(PredictorContract):
    """`nuclei`, which finds the cells of the contract's photo."""

    @pytest.fixture
    def predictor(self, nuclei: Predictor) -> Predictor:
        return nuclei


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


def test_half_precision_finds_the_same_objects(nuclei: Predictor, photo: np.ndarray) -> None:
    want = nuclei.predict(photo, score=0.8)
    got = load("nuclei", "cpu", "bf16").predict(photo, score=0.5)
    assert len(got) >= len(want) > 5
    for box in want.boxes:
        assert np.abs(got.boxes - box).max(1).min() < 4


def test_another_input_size(nuclei: Predictor, photo: np.ndarray) -> None:
    smaller = load("nuclei", "cpu", size=320)
    assert smaller.preprocess == replace(nuclei.preprocess, short=(320, 320), long=704)
    assert nuclei.preprocess.short == (640, 1024)
    want, got = nuclei.predict(photo), smaller.predict(photo)
    assert got.size == want.size
    assert not np.array_equal(got.scores, want.scores)
    for edge in (31, 5000):
        with pytest.raises(MaskRCNNError, match=f"32 to 4096 pixels, found {edge}.*own is 640"):
            load("nuclei", "cpu", size=edge)
    with pytest.raises(MaskRCNNError, match=r"size: expected a whole number from 1 .*found -1"):
        load("nuclei", "cpu", size=-1)


def test_what_is_no_image(nuclei: Predictor) -> None:
    with pytest.raises(MaskRCNNError, match="expected a path"):
        nuclei.predict(7)  # type: ignore[call-overload]
    with pytest.raises(MaskRCNNError, match="uint8"):
        nuclei.predict(np.zeros((8, 8, 3)))


def kinds(results: Iterable[Result | MaskRCNNError]) -> list[str | tuple[int, int]]:
    return [str(result) if isinstance(result, MaskRCNNError) else result.size for result in results]


@pytest.mark.parametrize("error", [RuntimeError("out of\nmemory"), MemoryError(), MaskRCNNError("no such graph")])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_image_that_the_network_fails_on_costs_no_other(
    nuclei: Predictor,
    photo: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    batch_size: int,
) -> None:
    detect = nuclei.network.detect

    def failing(images: Sequence[np.ndarray], options: PredictionOptions) -> object:
        if any(image.shape[0] == 99 for image in images):
            raise error
        return detect(images, options)

    monkeypatch.setattr(nuclei.network, "detect", failing)
    Image.fromarray(photo[:99]).save(tmp_path / "bad.png")
    found = list(nuclei.stream([photo, tmp_path / "bad.png", photo, tmp_path / "none.png"], 0.5, batch_size))
    assert [len(result) for result in (found[0], found[2]) if isinstance(result, Result)] == [
        len(nuclei.predict(photo))
    ] * 2
    assert isinstance(found[1], MaskRCNNError)
    assert isinstance(found[3], MaskRCNNError)
    words = {
        RuntimeError: "bad.png: the network failed on it: out of",
        MemoryError: "MemoryError",
        MaskRCNNError: "graph",
    }
    assert words[type(error)] in str(found[1])
    with pytest.raises(MaskRCNNError, match=r"graph|failed"):
        nuclei.predict(tmp_path / "bad.png")


def test_a_function_gives_its_image_in_the_background(nuclei: Predictor, photo: np.ndarray, tmp_path: Path) -> None:
    callers: list[str] = []

    def shown() -> np.ndarray:
        callers.append(threading.current_thread().name)
        return photo

    def broken() -> np.ndarray:
        raise MaskRCNNError("not there", where=tmp_path)

    first, error, second = nuclei.stream([shown, broken, photo], 0.8)
    assert isinstance(first, Result)
    assert isinstance(second, Result)
    assert np.array_equal(first.boxes, second.boxes)
    assert "not there" in str(error)
    assert callers[0].startswith("maskrcnn-read")


def test_only_broken_images(nuclei: Predictor, tmp_path: Path) -> None:
    for count in (1, 3):
        missing = [tmp_path / f"{number}.png" for number in range(count)]
        found = list(nuclei.stream(missing, batch_size=2))
        assert len(found) == count
        assert all(isinstance(error, MaskRCNNError) for error in found)
    assert list(nuclei.stream([])) == []
    assert nuclei.predict(()) == []


def test_a_stream_takes_images_as_they_are_needed(nuclei: Predictor) -> None:
    taken = []

    def images() -> Iterator[np.ndarray]:
        for number in itertools.count():
            taken.append(number)
            yield np.full((40, 40 + number, 3), 90, np.uint8)

    results = nuclei.stream(images())
    assert not taken
    assert kinds(itertools.islice(results, 3)) == [(40, 40), (40, 41), (40, 42)]
    assert len(taken) <= 5
    results.close()  # type: ignore[attr-defined]
    seen = len(taken)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("maskrcnn-read")]
    assert len(taken) == seen


def test_images_of_many_sizes_in_one_batch(nuclei: Predictor) -> None:
    """Padding to a common size alone moves an object a little."""
    images = [cells(200, 300), cells(120, 500), cells(64, 64)]
    alone = [nuclei.predict(image, score=0.8) for image in images]
    for one, many in zip(alone, nuclei.stream(images, 0.8, 4), strict=True):
        assert isinstance(many, Result)
        assert many.size == one.size
        assert len(many) == len(one)
        for box in one.boxes:
            assert np.abs(many.boxes - box).max(1).min() < 1


def test_tiny_images_that_are_enlarged_do_not_all_go_together(
    nuclei: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pixel of the input takes about 400 bytes on its way through the network: 4 million take less than 2 GB."""
    inputs: list[tuple[int, ...]] = []

    def detect(batch: torch.Tensor, sizes: torch.Tensor, score: float, max_detections: int) -> object:
        inputs.append(tuple(batch.shape))
        raise MaskRCNNError("seen")

    monkeypatch.setattr(nuclei.network.model, "detect", detect)
    list(nuclei.stream([np.zeros((8, 8, 3), np.uint8)] * 30, batch_size=200))
    assert [shape for shape in inputs if shape[0] > 1]
    assert max(shape[0] * shape[2] * shape[3] for shape in inputs) <= 2**22


def test_scores_are_checked_before_anything_is_read(nuclei: Predictor) -> None:
    for score in (-0.1, 1.5, float("nan")):
        with pytest.raises(MaskRCNNError, match="score"):
            next(nuclei.stream(iter([7]), score))  # type: ignore[list-item]


def test_no_mask_is_computed_that_is_not_asked_for(nuclei: Predictor, photo: np.ndarray) -> None:
    rois = []
    head = nuclei.network.model.mask_head
    usual = head.of_class
    head.of_class = lambda features, labels: rois.append(len(labels)) or usual(features, labels)  # type: ignore[method-assign]
    try:
        counts = [len(nuclei.predict(photo, score)) for score in (0.1, 0.9, 1.0)]
    finally:
        del head.of_class
    assert rois == counts
    assert counts[0] > counts[1] > counts[2] == 0


def test_the_model_stays_as_it_is(nuclei: Predictor) -> None:
    model = nuclei.model
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}
    half = Predictor(model, "cpu", "bf16")
    assert half.model is model
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}
    assert any(value.requires_grad for value in model.parameters())


def test_a_call_asks_for_its_size_and_number_of_objects(nuclei: Predictor, photo: np.ndarray) -> None:
    everything = nuclei.predict(photo)
    few = nuclei.predict(photo, max_detections=3)
    assert len(few) == 3 < len(everything)
    np.testing.assert_array_equal(few.boxes, everything.boxes[:3])
    (small,) = nuclei.stream([photo], size=np.int64(320))  # type: ignore[arg-type]
    smaller = load("nuclei", "cpu", size=320)
    assert isinstance(small, Result)
    np.testing.assert_array_equal(small.boxes, smaller.predict(photo).boxes)
    assert not np.array_equal(small.scores, everything.scores)
    # A size is a share of the model's own, whatever the predictor's default is.
    np.testing.assert_array_equal(smaller.predict(photo, size=480).boxes, nuclei.predict(photo, size=480).boxes)
    np.testing.assert_array_equal(nuclei.predict(photo).boxes, everything.boxes)
    with pytest.raises(MaskRCNNError, match=r"32 to 4096 pixels, found 31.*own is 640"):
        nuclei.predict(photo, size=31)
    with pytest.raises(MaskRCNNError, match="max_detections: expected a whole number from 1 to 100000"):
        next(nuclei.stream([photo], max_detections=0))


def test_settings_of_a_model_cannot_be_assigned(nuclei: Predictor) -> None:
    for owner in (nuclei, nuclei.model, nuclei.network, nuclei.network.model):
        before = owner.config
        with pytest.raises(AttributeError, match="config"):
            owner.config = before.replace(max_detections=3)  # type: ignore[misc]
        assert owner.config is before


def test_read_only_and_strided_arrays_stay_as_they_are(nuclei: Predictor, photo: np.ndarray) -> None:
    fixed = photo[::-1, ::-1]
    fixed.flags.writeable = False
    before = fixed.copy()
    found = nuclei.predict(fixed, score=0.8)
    np.testing.assert_array_equal(fixed, before)
    np.testing.assert_array_equal(found.boxes, nuclei.predict(before, score=0.8).boxes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_a_stream_gives_what_the_cpu_gives(nuclei: Predictor, photo: np.ndarray, tmp_path: Path) -> None:
    images = [photo, tmp_path / "missing.png", photo[::-1].copy(), *[photo[:, ::-1].copy()] * 5]
    on_device = Predictor(nuclei.model, "cuda", "fp32")
    for size in (1, 2):
        for _ in range(2):
            pairs = zip(on_device.stream(images, 0.8, size), nuclei.stream(images, 0.8), strict=True)
            for found, wanted in pairs:
                assert isinstance(found, MaskRCNNError) == isinstance(wanted, MaskRCNNError)
                if isinstance(found, Result) and isinstance(wanted, Result):
                    assert abs(len(found) - len(wanted)) <= 1
                    for box in wanted.boxes[wanted.scores > 0.85]:
                        assert np.abs(found.boxes - box).max(1).min() < 1
    assert on_device.network.replayed is not None
    assert not on_device.network.replayed.trouble


def test_boxes_that_were_predicted_give_the_masks_that_were_predicted(
    nuclei: Predictor, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through `segment` go only the boxes; features and masks are made anew, in parts of three boxes."""
    found = nuclei.predict(photo, score=0.5)
    assert len(found) > 6
    monkeypatch.setattr(torch_network, "BOXES_AT_ONCE", 3)
    for labels in (None, ["nucleus"] * len(found), found.labels):
        again = nuclei.segment(photo, found.boxes, labels)
        np.testing.assert_allclose(again.boxes, found.boxes, atol=1e-3)
        assert again.masks.probs is not None
        np.testing.assert_allclose(again.masks.probs, found.masks.probs, atol=1e-3)
        assert again.masks.rle() == found.masks.rle()
        assert (again.scores > 0.5).all()
    background = nuclei.segment(photo, [[0, 0, 8, 8]], size=320)
    assert background.scores[0] < 0.5
    assert background.size == photo.shape[:2]
    assert len(nuclei.segment(photo, [])) == 0
