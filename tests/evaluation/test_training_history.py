"""How a run went, planted as its history.csv: too short, overfitted, or sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.training_history import measured_ap
from maskrcnn.inference.predictor import Predictor
from tests.parsed_calls import check_call

Measure = Callable[[Sequence[float | None]], Evaluation]
COLUMNS = "step,seconds,lr,rpn_score,rpn_box,score,box,mask,grad_norm,mask_AP,box_AP"


def write_history(folder: Path, values: Sequence[float | None], every_s: float = 600) -> None:
    """An evaluation each 100 steps, with a mask AP; None for the row of a step."""
    rows = [
        f"{100 * number},{every_s * number},1e-3,,,,,,,{'' if value is None else value},{'' if value is None else 60}"
        for number, value in enumerate(values, 1)
    ]
    (folder / "history.csv").write_text("\n".join([COLUMNS, *rows, ""]))


@pytest.fixture
def measured(oracle: Callable[..., Predictor], shapes: Path, tmp_path: Path) -> Measure:
    """A model that misses an object of each image, whose run had these APs on val."""

    def measure(values: Sequence[float | None]) -> Evaluation:
        write_history(tmp_path, values)
        subject = Subject(str(tmp_path / "last.safetensors"), str(shapes), "val")
        model = oracle(shapes, ("disc", "triangle"), "missed")
        return evaluate(model, open_dataset(shapes, "val"), analyse=True, subject=subject)

    return measure


def test_a_run_that_ended_while_it_improved(measured: Measure) -> None:
    steps = {step.topic: step for step in measured([20, None, 30, None, 42]).next_steps}
    found = steps["still-improving"]
    assert "30.0, then 42.0" in found.evidence
    assert "500 steps" in found.evidence
    assert found.expected == "AP up to +12.0"
    assert found.call is not None
    function, arguments = check_call(found.call)
    assert function == "train"
    assert arguments["minutes"] == 50  # as long again
    assert arguments["init"].endswith("last.safetensors")


def test_a_run_that_learned_its_images_by_heart(measured: Measure) -> None:
    steps = {step.topic: step for step in measured([20, 44, 40, 36, 31]).next_steps}
    found = steps["overfitted"]
    assert "44.0 after 200 steps, and 31.0 at the end, after 500" in found.evidence
    assert "best.safetensors" in found.action
    assert found.gain == pytest.approx(13)
    assert found.call is not None
    assert check_call(found.call)[1]["patience"] == 2


@pytest.mark.parametrize(
    "values",
    [[20, 40, 41], [20, 30, 44, 43.5, 43], [20, 30, 44, 41], [30, 42], []],
    ids=["levelled", "no fall", "a late best", "two evaluations", "no evaluation"],
)
def test_other_runs_are_not_accused(measured: Measure, values: list[float | None]) -> None:
    topics = [finding.topic for finding in measured(values).findings]
    assert not {"overfitted", "still-improving"} & set(topics)


def test_what_cannot_be_read_is_no_history(tmp_path: Path) -> None:
    model = str(tmp_path / "best.safetensors")
    assert measured_ap(model) == measured_ap("") == measured_ap("people") == []
    for content in (b"", b"\xff\xfe", b"step,seconds,mask_AP,box_AP\nx,y,z,w\n", b"\0" * 99, b"step\n1\n"):
        (tmp_path / "history.csv").write_bytes(content)
        assert measured_ap(model) == []
    write_history(tmp_path, [10, None, 20])
    assert measured_ap(model) == [(100, 600, 10), (300, 1800, 20)]
    text = (tmp_path / "history.csv").read_text().replace(",10,60", ",,60").replace(",20,60", ",nan,50")
    (tmp_path / "history.csv").write_text(text)
    assert [row.ap for row in measured_ap(model)] == [60, 50]  # boxes, where no object has a mask
