from pathlib import Path

import numpy as np
import pytest

from maskrcnn.config import Preprocess
from maskrcnn.images import image_limits
from maskrcnn.training.samples.training_scale import trained_at, training_scale
from tests.square_images import square_images

TWICE = Preprocess(short=(64, 64), long=128)


def test_the_scale_is_that_of_the_model_or_full_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    assert training_scale((32, 48), TWICE) == 2.0
    assert training_scale((128, 256), TWICE) == 0.5
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 1000)
    assert training_scale((128, 256), TWICE) == 1.0


def test_what_a_data_set_is_trained_at(tmp_path: Path) -> None:
    dataset = square_images(tmp_path, 3)
    height, _ = dataset.records[0].size
    objects = [dataset.objects(index) for index in range(3)]
    boxes = np.concatenate([one.boxes[~one.crowd] for one in objects])
    side = np.median(np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    found = trained_at(dataset, TWICE)
    assert found["scale"] == pytest.approx(64 / height, rel=1e-3)
    assert found["object_side"] == pytest.approx(side * 64 / height, rel=1e-3)
