"""Measuring a model on a data set: classes by name, the limit of detections, images that fail, and the analysis."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maskrcnn
from maskrcnn.config import preset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.inference.predictor import Predictor
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.prediction_options import PredictionOptions

MakeOracle = Callable[..., Predictor]


def test_the_truth_scores_a_hundred_whatever_the_order_of_names(oracle: MakeOracle, shapes: Path) -> None:
    steps: list[int] = []
    result = evaluate(
        oracle(shapes, ("star", "triangle", "disc")), open_dataset(shapes, "val"), advance=lambda: steps.append(1)
    )
    assert result.metrics["mask_AP"] == result.metrics["box_AP"] == pytest.approx(100)
    assert set(result.per_class) == {"disc", "triangle"}
    assert len(steps) == result.images == 4
    assert list(map(str, result.notes)) == ["the data lacks 1 class of the model: 'star'; 0 detections left out"]


def test_the_limit_of_detections_is_the_models_unless_given(oracle: MakeOracle, shapes: Path) -> None:
    model = oracle(shapes, ("disc", "triangle"))
    assert evaluate(model, open_dataset(shapes, "val")).max_detections == 9
    result = evaluate(model, open_dataset(shapes, "val"), max_detections=1)
    assert result.max_detections == model.limits[-1] == 1  # type: ignore[attr-defined]
    assert model.model.config.max_detections == 9
    assert result.metrics["mask_AP"] < 100


def test_an_unreadable_image_is_told_and_the_rest_measured(oracle: MakeOracle, shapes: Path) -> None:
    model, dataset = oracle(shapes, ("disc", "triangle")), open_dataset(shapes, "val")
    (shapes / "val" / "3.png").write_bytes(b"")
    model.data.records.pop(2)  # type: ignore[attr-defined]
    result = evaluate(model, dataset, analyse=True)
    assert result.images == 3
    assert len(result.problems) == 1
    assert "3.png" in result.problems[0].file
    assert result.analysis is not None
    assert result.analysis.tables.images["index"].tolist() == [0, 1, 3]


def test_images_go_through_the_network_in_batches_of_its_own(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA: each image keeps its labels, also behind one that cannot be read."""
    config = preset("lite").replace(backbone="resnet18", box_hidden=(8,), preprocess={"short": (128, 128), "long": 128})
    torch.manual_seed(0)
    model: ImagePredictor = Predictor(
        MaskRCNN(config.replace(score_threshold=0.0), ("disc", "triangle")), "cpu", "fp32"
    )
    (shapes / "val" / "2.png").write_bytes(b"")
    seen: list[int] = []
    detect = model.network.detect

    def watched(images: Sequence[np.ndarray], options: PredictionOptions) -> Any:
        seen.append(len(images))
        return detect(images, options)

    def observed() -> list[EvaluatedImage]:
        found = list(DatasetPredictor(model, open_dataset(shapes, "val")).stream([3, 1, 0, 2]))
        assert isinstance(found[1], MaskRCNNError)
        assert "2.png" in str(found[1])
        return [part for part in found if isinstance(part, EvaluatedImage)]

    alone = observed()
    model = ImagePredictor(model.network, batch_size=3)
    monkeypatch.setattr(model.network, "detect", watched)
    together = observed()
    assert seen == [2, 1]
    assert [sample.image_id for sample in alone] == [4, 1, 3]
    for one, other in zip(alone, together, strict=True):
        assert one.image_id == other.image_id
        assert len(one.truth.labels) == len(other.truth.labels)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_names_and_paths_will_do_as_often_as_you_like(shapes: Path) -> None:
    for _ in range(2):
        with pytest.raises(MaskRCNNError, match="no name in common"):
            maskrcnn.evaluate("nuclei", shapes)


def test_extras_come_only_when_asked_for(oracle: MakeOracle, shapes: Path) -> None:
    model, dataset = oracle(shapes, ("disc", "triangle")), open_dataset(shapes, "val")
    plain, full = evaluate(model, dataset), evaluate(model, dataset, analyse=True)
    assert plain.analysis is None
    assert plain.findings == []
    assert "boundary_AP" not in plain.metrics
    assert full.metrics["boundary_AP"] == pytest.approx(100)
    assert full.per_class["disc"]["missed"] == 0
    shared = {key: full.metrics[key] for key in plain.metrics}
    assert shared == pytest.approx(plain.metrics, nan_ok=True)


def test_missed_objects_are_counted_and_told(oracle: MakeOracle, shapes: Path) -> None:
    result = evaluate(oracle(shapes, ("disc", "triangle"), "missed"), open_dataset(shapes, "val"), analyse=True)
    assert result.analysis is not None
    assert sum(row["missed"] for row in result.per_class.values()) == 4
    assert result.analysis.counting.bias == pytest.approx(-1)
    assert "error-missed" in [finding.topic for finding in result.findings]


def test_a_class_that_the_model_lacks_is_noted(oracle: MakeOracle, shapes: Path) -> None:
    dataset = open_dataset(shapes, "val")
    dataset.names = ("disc", "moon")
    notes = evaluate(oracle(shapes, ("disc", "triangle")), dataset).notes
    assert "does not know 1 class of the data: 'moon'" in notes[0].what
    assert "lacks 1 class of the model: 'triangle'" in notes[1].what


def test_nothing_right_is_diagnosed(oracle: MakeOracle, shapes: Path) -> None:
    dataset = open_dataset(shapes, "val")
    dataset.names = dataset.names[::-1]
    result = evaluate(oracle(shapes, ("disc", "triangle")), dataset, analyse=True)
    assert result.metrics["mask_AP"] == 0
    assert "labels-shifted" in [finding.topic for finding in result.findings]


@pytest.mark.parametrize("first", ["", "missed", "misnamed", "doubled"])
def test_json_is_plain_and_whole(oracle: MakeOracle, shapes: Path, first: str) -> None:
    result = evaluate(oracle(shapes, ("disc", "triangle"), first), open_dataset(shapes, "val"), analyse=True)
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["metrics"]["mask_AP"] == pytest.approx(result.metrics["mask_AP"])
    # All objects are of one size, so that others have no AP.
    assert None in content["metrics"].values()
    assert content["confusion"]["classes"] == ["disc", "triangle", "nothing"]
    objects = sum(len(open_dataset(shapes, "val").objects(i).labels) for i in range(4))
    assert np.sum(content["confusion"]["counts"][:2]) == objects
    assert sum(image["truth"] for image in content["counting"]["images"]) == objects
    assert len(content["curves"]["classes"]["disc"]["f1"]) == len(content["curves"]["thresholds"])
    assert content["next"][0].keys() == {
        *("topic", "what", "evidence", "action", "command", "python"),
        *("gain", "measure", "images", "decisive"),
    }
