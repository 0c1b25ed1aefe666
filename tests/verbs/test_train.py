"""`maskrcnn.train`: what it returns, that it prints nothing, and how a run is stopped, resumed and kept apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import maskrcnn
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation import evaluator
from maskrcnn.evaluation.evaluator import Measured
from maskrcnn.html_table import html_text
from maskrcnn.output.output_lock import claim_folder
from maskrcnn.training import validation
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.training_result import TrainingResult
from tests.parsed_calls import check_call
from tests.small_learner import LEARNER, interrupt_at

TINY = {**LEARNER, "backbone_norm": "batch"}
QUICK = {
    "model": TINY, "workers": 0, "device": "cpu", "precision": "fp32", "canvas": 64, "batch_size": 2, "evaluations": 1,
}  # fmt: skip


def test_a_run_is_returned_with_its_history_and_weights(
    shapes: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    run = maskrcnn.train(shapes, tmp_path / "run", epochs=3, **QUICK)
    assert capfd.readouterr() == ("", "")
    assert (run.steps, run.images, run.interrupted, run.finished) == (6, 12, False, False)
    steps = [row for row in run.history if "mask" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    (evaluation,) = [row for row in run.history if "mask_AP" in row]
    assert evaluation["mask_AP"] == pytest.approx(run.best["mask_AP"])
    assert run.weights == tmp_path / "run" / "best.safetensors"
    assert run.model("cpu").names == ("disc", "triangle")
    svg = run._repr_html_().partition("<svg")[2].partition("</svg>")[0]
    assert len(list(ElementTree.fromstring(f"<svg{svg}</svg>").iter("polyline"))) == 8  # six losses, two AP
    again = maskrcnn.train(resume=tmp_path / "run")
    assert again.finished
    assert (again.steps, again.best["mask_AP"]) == (6, pytest.approx(run.best["mask_AP"]))
    assert "is finished" in str(again)
    assert f"from its weights: init {run.weights}" in str(again)


def test_a_run_ends_with_the_first_next_step(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its last evaluation, with its best weights; the data are named as they lie from here."""
    monkeypatch.chdir(tmp_path)
    run = maskrcnn.train(shapes, "runs/mine", epochs=3, **QUICK)
    step = run.next_step
    assert step is not None
    assert run.evaluation is not None
    assert step == run.evaluation.next_steps[0]
    assert step.topic == "few-steps"
    assert "6 steps" in step.what
    function, arguments = check_call(step.call)
    assert function == "train"
    assert (arguments["data"], arguments["init"]) == ("shapes", str(Path("runs/mine/best.safetensors")))
    assert step.what in str(run)
    assert "What follows" not in str(run)
    assert step.python in str(run)
    assert html_text(step.python) in run._repr_html_()
    log = (tmp_path / "runs" / "mine" / "log.txt").read_text()
    assert f"to do next: {step.what}" in log
    assert step.command in log
    # The val split holds the images of the train split.
    assert "trained-on" in [found.topic for found in run.evaluation.next_steps]


def test_the_next_step_follows_from_the_whole_history(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([40.0, 50.0, 60.0])

    def measured(*args: Any, **kwargs: Any) -> Measured:
        found = evaluator.measure(*args, **kwargs)
        found.evaluation.metrics["mask_AP"] = next(scores)
        return found

    monkeypatch.setattr(validation, "measure", measured)
    run = maskrcnn.train(shapes, tmp_path / "run", epochs=3, **{**QUICK, "evaluations": 3})
    assert run.evaluation is not None
    found = {finding.topic: finding for finding in run.evaluation.findings}
    assert "50.0, then 60.0" in found["still-improving"].evidence


@pytest.mark.parametrize(
    "settings",
    [{"overfit": 1}, {"names": ("round", "pointed")}, {"evaluations": 0}],
    ids=["measured on what it trains on", "other names than the data", "not measured"],
)
def test_other_runs_have_no_next_step(settings: dict[str, Any], shapes: Path, tmp_path: Path) -> None:
    run = maskrcnn.train(shapes, tmp_path / "run", epochs=1, **{**QUICK, **settings})
    assert run.next_step is None
    assert "next:" not in str(run)


def test_stopped_it_is_returned_and_goes_on(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(2, patch)
        run = maskrcnn.train(shapes, tmp_path / "run", epochs=2, **QUICK)
    assert run.interrupted
    assert f"maskrcnn.train(resume={str(tmp_path / 'run')!r})" in str(run)
    assert f"maskrcnn.train(resume={str(tmp_path / 'run')!r})".replace("'", "&#x27;") in run._repr_html_()
    run = maskrcnn.train(resume=tmp_path / "run", device="cpu")
    assert (run.steps, run.interrupted) == (4, False)


def test_a_run_that_overfits_goes_on_with_its_images(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the call that it names itself, without data and the number of images."""
    with monkeypatch.context() as patch:
        interrupt_at(2, patch)
        run = maskrcnn.train(shapes, tmp_path / "run", overfit=2, epochs=4, **QUICK)
    assert (run.interrupted, run.steps) == (True, 2)
    assert f"go on with maskrcnn.train(resume={str(tmp_path / 'run')!r})" in str(run)
    run = maskrcnn.train(resume=tmp_path / "run", device="cpu")
    assert (run.steps, run.interrupted, run.learned) == (4, False, False)
    assert "2 images not learned in 4 steps" in run.verdict[0]


def test_open_data_and_a_recipe_serve_as_well(shapes: Path, tmp_path: Path) -> None:
    recipe = Recipe(**{name: value for name, value in QUICK.items() if name != "device"}, epochs=1)
    data = open_dataset(shapes, "train"), open_dataset(shapes, "val")
    run = maskrcnn.train(data, tmp_path / "pair", recipe, device="cpu", epochs=2)
    assert (run.steps, run.evaluation is not None) == (4, True)
    run = maskrcnn.train(data[0], tmp_path / "alone", recipe, device="cpu")
    assert (run.steps, run.evaluation, run.weights.name) == (2, None, "last.safetensors")
    assert any("no val split" in note for note in run.notes)


def test_what_was_settled_is_told_at_the_end_and_from_the_folder(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskrcnn.training.initialisation.models_at_hand", list)
    run = maskrcnn.train(shapes, tmp_path / "run", epochs=1, **QUICK)
    (line,) = run.settled
    assert line.startswith("init auto: random weights")
    assert line in str(run).splitlines()
    assert line.split(";")[0] in run._repr_html_()
    assert maskrcnn.train(resume=tmp_path / "run").settled == [line]


def test_a_run_on_open_data_goes_on_as_it_says(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [open_dataset(shapes, "train"), open_dataset(shapes, "val")]
    with monkeypatch.context() as patch:
        interrupt_at(2, patch)
        run = maskrcnn.train(data, tmp_path / "run", epochs=2, **QUICK)
    assert run.interrupted
    assert f"go on with maskrcnn.train(data, resume={str(tmp_path / 'run')!r})" in str(run)
    assert "--resume" not in (tmp_path / "run" / "log.txt").read_text()
    with pytest.raises(
        MaskRCNNError, match=r"started from open data, which is not recorded \(pass the same data again"
    ):
        maskrcnn.train(resume=tmp_path / "run", device="cpu")
    run = maskrcnn.train(data, resume=tmp_path / "run", device="cpu")
    assert (run.steps, run.interrupted) == (4, False)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (lambda data: (data,), "found a tuple of Dataset"),
        (lambda data: [data, data, data], "found a list of Dataset, Dataset, Dataset"),
        (lambda data: (None, data), "found a tuple of NoneType, Dataset"),
        (lambda data: ("train", "val"), "found a tuple of str, str"),
        (lambda data: 7, "found int"),
    ],
)
def test_data_of_another_kind_are_named(
    given: Callable[[Dataset], Any], found: str, shapes: Path, tmp_path: Path
) -> None:
    data = given(open_dataset(shapes, "train"))
    with pytest.raises(MaskRCNNError, match=f"data: expected a folder, an open data set, or a pair .*, {found}"):
        maskrcnn.train(data, tmp_path / "run", **QUICK)


def test_a_folder_has_one_run_at_a_time(shapes: Path, tmp_path: Path) -> None:
    with claim_folder(tmp_path / "run"), pytest.raises(MaskRCNNError, match="in use"):
        maskrcnn.train(shapes, tmp_path / "run", **QUICK)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"minuets": 3}, "did you mean 'minutes'"),
        ({"dispaly": True}, "did you mean 'display'"),
        ({"model": "people"}, "use init"),
        ({"batch_size": "many"}, "batch_size: "),
        ({"init": None}, "init: expected a model, 'auto' or 'none', found None"),
        ({"overfit": 0}, "overfit: expected a whole number"),
        ({"overfit": 1, "resume": "run"}, "do not go together"),
        ({}, "expected DATA"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(arguments: dict, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MaskRCNNError, match=words):
        maskrcnn.train(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_text_of_a_run_is_escaped(tmp_path: Path) -> None:
    run = TrainingResult(tmp_path / "<b>run", 1, 1, 1.0, notes=["<script>alert(1)</script>\x1b"])
    html = run._repr_html_()
    assert "<script>" not in html
    assert "<b>run" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
