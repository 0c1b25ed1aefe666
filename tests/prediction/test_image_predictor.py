"""A predictor over any network: what it asks of it, and that it needs no more than the protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from maskrcnn.config import Config, preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.input_size import resized_size
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.network import DetectionArrays
from maskrcnn.prediction.prediction_options import PredictionOptions


class Everything:
    """A network, as a server might be one, that finds one object: the whole image, with its brightness as the score."""

    names: tuple[str, ...] = ("image",)
    config: Config = preset("lite")

    def __init__(self) -> None:
        self.calls: list[tuple[int, PredictionOptions]] = []

    def check(self, options: PredictionOptions) -> None:
        if options.max_detections == 13:
            raise MaskRCNNError("no luck")

    def detect(self, images: Sequence[np.ndarray], options: PredictionOptions) -> DetectionArrays:
        self.calls.append((len(images), options))
        sizes = np.array([resized_size(*image.shape[:2], options.preprocess(self.config)) for image in images])
        boxes = np.concatenate((np.zeros_like(sizes), sizes[:, ::-1]), axis=1)[:, None].astype(np.float32)
        scores = np.array([[image.max() / 255] for image in images], np.float32)
        labels, valid = np.zeros((len(images), 1), np.int64), np.ones((len(images), 1), bool)
        return DetectionArrays(boxes, scores, labels, valid, np.ones((len(images), 1, 4, 4), np.float32), sizes)


def grey(height: int, width: int, value: int = 204) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_objects_are_in_pixels_of_the_image_whatever_the_size_asked_for() -> None:
    predictor = ImagePredictor(Everything())
    for size in (None, 64, 1000):
        result = predictor.predict(grey(300, 200), size=size)
        np.testing.assert_allclose(result.boxes, [[0, 0, 200, 300]], rtol=1e-6)
        assert result.names == ["image"]
        assert result.masks.dense().mean() > 0.9
    assert len(predictor.predict(grey(30, 20), score=0.9)) == 0


def test_the_options_of_a_call_reach_the_network_and_no_other_call() -> None:
    network = Everything()
    predictor = ImagePredictor(network, size=320, batch_size=2)
    predictor.predict([grey(60, 60)] * 5, 0.3, size=64, max_detections=7)
    predictor.predict([grey(60, 60)] * 3)
    assert network.calls == [
        (2, PredictionOptions(0.3, 2, 64, 7)),
        (2, PredictionOptions(0.3, 2, 64, 7)),
        (1, PredictionOptions(0.3, 2, 64, 7)),
        (2, PredictionOptions(0.5, 2, 320)),
        (1, PredictionOptions(0.5, 2, 320)),
    ]
    assert predictor.preprocess.short == (320, 320)


def test_what_the_network_cannot_meet_is_said_before_an_image_is_read() -> None:
    network = Everything()
    with pytest.raises(MaskRCNNError, match="no luck"):
        next(ImagePredictor(network).stream(["missing.png"], max_detections=13))
    with pytest.raises(MaskRCNNError, match="input size: expected a shortest edge of 32 to 4096"):
        ImagePredictor(network, size=7)
    assert network.calls == []


def test_a_batch_is_split_by_the_pixels_of_its_padded_input() -> None:
    network = Everything()
    ImagePredictor(network, batch_size=8, max_batch_pixels=3 * 64 * 64).predict([grey(64, 64)] * 8, size=64)
    assert [count for count, _ in network.calls] == [3, 3, 2]


def test_several_batches_may_be_in_flight() -> None:
    waited: list[int] = []

    class Later(Everything):
        def detect(self, images: Sequence[np.ndarray], options: PredictionOptions) -> Later.Pending:  # type: ignore[override]
            return Later.Pending(super().detect(images, options), len(self.calls))

        class Pending:
            def __init__(self, found: DetectionArrays, number: int) -> None:
                self.found, self.number = found, number

            def wait(self) -> DetectionArrays:
                waited.append(self.number)
                return self.found

    network = Later()
    results = ImagePredictor(network, batches_in_flight=2).stream([grey(64, 64)] * 5)
    next(results)
    assert (len(network.calls), waited) == (3, [1])
    assert len(list(results)) == 4
    assert waited == [1, 2, 3, 4, 5]


def test_the_config_cannot_be_assigned() -> None:
    predictor = ImagePredictor(Everything())
    with pytest.raises(AttributeError, match="config"):
        predictor.config = Config()  # type: ignore[misc]
