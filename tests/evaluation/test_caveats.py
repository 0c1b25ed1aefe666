"""Classes that a model does not know, and models that were hardly trained: what figures and advice make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maskrcnn
from maskrcnn.cli.metrics_tables import show_metrics
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.evaluation.caveats import FEW_STEPS, other_class, steps_of, too_few_steps
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.inference.loading import load
from maskrcnn.inference.predictor import Predictor
from maskrcnn.weights.checkpoint import save_checkpoint
from maskrcnn.weights.load_report import LoadReport
from tests.parsed_calls import check_call

MakeOracle = Callable[..., Predictor]


@pytest.fixture
def half(oracle: MakeOracle, shapes: Path) -> Evaluation:
    """Of a model that finds all discs and knows no triangle: its AP is 100 for one class and 0 for the other."""
    return evaluate(oracle(shapes, ("disc", "star")), open_dataset(shapes, "val"), analyse=True)


def test_the_mean_over_known_classes_stands_beside_the_one_over_all(half: Evaluation) -> None:
    assert half.unknown == ["triangle"]
    assert half.metrics["mask_AP"] == pytest.approx(50)
    assert half.known_metrics["mask_AP"] == half.known_metrics["box_AP"] == pytest.approx(100)
    assert half.known_metrics["boundary_AP"] == pytest.approx(100)
    assert half.known_metrics.keys() == half.metrics.keys()
    content = json.loads(json.dumps(half.to_json(), allow_nan=False))
    assert content["unknown_classes"] == ["triangle"]
    assert content["known_metrics"]["mask_AP"] == pytest.approx(100)


def test_the_first_advice_is_what_the_model_does_not_know(half: Evaluation) -> None:
    first = half.findings[0]
    assert first.topic == "unknown-classes"
    assert "1 class of 2 that are labelled here is not known to the model: 'triangle'" in first.what
    assert "mask AP 100.0" in first.evidence
    assert "mask AP 50.0" in first.evidence
    assert "What follows" not in first.reason  # training shows the first step alone
    # All that it can name is right: nothing is missed, and nobody's labels are to blame.
    assert not {"error-missed", "never-predicted", "scores"} & {finding.topic for finding in half.findings}


def test_the_table_shows_both(half: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    show_metrics(half, "here")
    text = capsys.readouterr().out
    lines = [line.replace("│", " ").replace("known", "").split() for line in text.splitlines()]
    for kind in ("box", "mask", "boundary"):
        assert [line[1] for line in lines if line[:1] == [kind]] == ["50.0", "100.0"]
    assert text.count("known") >= 4


def test_classes_without_objects_here_are_no_matter(oracle: MakeOracle, shapes: Path) -> None:
    content = json.loads((shapes / "val.json").read_text())
    content["categories"].append({"id": 9, "name": "moon"})
    (shapes / "val.json").write_text(json.dumps(content))
    result = evaluate(oracle(shapes, ("disc", "triangle")), open_dataset(shapes, "val"), analyse=True)
    assert result.unknown == []
    assert result.known_metrics == result.metrics
    assert "unknown-classes" not in [finding.topic for finding in result.findings]


def test_records_without_some_classes_are_those_of_the_other_objects(
    simulate: Callable[..., list[EvaluatedImage]],
) -> None:
    builder = TableBuilder(("a", "b", "c"))
    for sample in simulate(3):
        builder.update(sample)
    tables = builder.tables()
    other = tables.without({1})
    assert len(other.truths) == (tables.truths["label"] != 1).sum()
    kept = tables.truths["label"][tables.pairs["truth"]] != 1
    assert len(other.pairs) == kept.sum() > 0
    for column in ("label", "image", "area"):
        ours, theirs = other.truths[column][other.pairs["truth"]], tables.truths[column][tables.pairs["truth"][kept]]
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(other.detections, tables.detections)
    assert (tables.truths["label"] == 1).any()


@pytest.mark.parametrize("steps", [0, 10, FEW_STEPS - 1])
def test_a_model_of_few_steps_is_told_so_before_anything_else(oracle: MakeOracle, shapes: Path, steps: int) -> None:
    dataset = open_dataset(shapes, "val")
    dataset.names = dataset.names[::-1]  # all names wrong
    model = trained(oracle(shapes, ("disc", "triangle")), {"steps": steps})
    first, *others = evaluate(model, dataset, analyse=True).findings
    assert first.topic == "few-steps"
    assert f"trained for {steps} step" in first.what
    assert "What follows" not in first.reason
    assert others


def trained(model: Predictor, provenance: dict[str, Any]) -> Predictor:
    model.report = LoadReport("here", provenance=provenance)
    return model


@pytest.mark.parametrize(
    "provenance", [{}, {"steps": FEW_STEPS}, {"steps": "10"}, {"steps": True}, {"steps": -1}, {"steps": None}]
)
def test_others_are_not(oracle: MakeOracle, shapes: Path, provenance: dict[str, Any]) -> None:
    dataset = open_dataset(shapes, "val")
    dataset.names = dataset.names[::-1]
    found = evaluate(trained(oracle(shapes, ("disc", "triangle")), provenance), dataset, analyse=True).findings
    assert "few-steps" not in [finding.topic for finding in found]


def test_a_good_model_is_not_either() -> None:
    assert list(too_few_steps(10, 80.0, Subject())) == []
    assert [finding.topic for finding in too_few_steps(10, float("nan"), Subject())] == ["few-steps"]


def test_the_steps_are_those_of_the_checkpoint(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    model = oracle(shapes, ("disc", "triangle"))
    save_checkpoint(model.model, tmp_path / "a.safetensors", {"steps": 10}, torch.float16)
    assert steps_of(load(tmp_path / "a.safetensors", "cpu")) == 10
    assert steps_of(model) is None


def test_a_class_under_a_similar_name_is_measured_as_the_models(
    oracle: MakeOracle, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that is recommended writes a YAML, by which the model knows all classes."""
    model = oracle(shapes, ("disc", "triangle"))
    content = json.loads((shapes / "val.json").read_text())
    content["categories"][1]["name"] = "Triangles"
    (shapes / "val.json").write_text(json.dumps(content))
    subject = Subject("people", str(shapes), "val")
    first = evaluate(model, open_dataset(shapes, "val"), analyse=True, subject=subject).next_steps[0]
    assert first.topic == "unknown-classes"
    assert "'Triangles' and 'triangle'" in first.action
    monkeypatch.chdir(tmp_path)
    assert first.call is not None
    _, arguments = check_call(first.call, tmp_path)
    again = maskrcnn.evaluate(model, tmp_path / arguments["data"])
    assert again.unknown == []
    assert again.metrics["mask_AP"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("model", "data", "score", "told"),
    [
        ("person", "balloon", 3, True),
        ("person", "balloon", 45, False),
        ("balloon", "Balloons", 3, False),
        ("person,dog", "balloon", 3, False),
        ("person", "balloon,kite", 3, False),
    ],
)
def test_a_model_of_another_class(model: str, data: str, score: float, told: bool) -> None:
    subject = Subject("people", "data", "val")
    found = list(other_class(model.split(","), data.split(","), score, subject))
    assert [finding.topic for finding in found] == ["other-class"] * told
    for finding in found:
        assert finding.decisive
        assert "'person', the labels are of 'balloon'" in finding.what
        assert finding.call is not None
        assert check_call(finding.call)[1]["init"] == "people"
