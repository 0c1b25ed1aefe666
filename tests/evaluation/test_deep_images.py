"""16-bit images, planted, for a model of 8-bit pictures that is of little use on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.evaluation.subject import Subject
from maskrcnn.inference.predictor import Predictor
from maskrcnn.results.result import Result
from tests.parsed_calls import check_call


@pytest.fixture
def measured(oracle: Callable[..., Predictor], shapes: Path) -> Callable[[int, bool], Evaluation]:
    """``measured(bits, useful)``: of a model that finds everything, or one object of the first image only."""

    def measure(bits: int, useful: bool) -> Evaluation:
        for file in (shapes / "val").glob("*.png") if bits == 16 else ():
            grey = np.asarray(Image.open(file).convert("L")).astype(np.uint16)
            Image.fromarray(grey * 40 + 300).save(file)
        answered: list[Result] = []

        def little(found: Result) -> Result:
            kept = np.arange(0 if answered else 1)
            answered.append(found)
            parts = found.boxes[kept], found.scores[kept], found.labels[kept], found.masks[kept]
            return Result(*parts, found.class_names, found.size, found.image)

        names = ("disc", "triangle")
        model = oracle(shapes, names) if useful else oracle(shapes, names, change=little)
        subject = Subject("people", str(shapes), "val")
        return evaluate(model, open_dataset(shapes, "val"), analyse=True, subject=subject)

    return measure


def test_a_model_of_little_use_on_16_bits_is_told_so_first(measured: Callable[[int, bool], Evaluation]) -> None:
    found = measured(16, False).next_steps[0]
    assert found.topic == "16-bit-images"
    assert "4 of the first 4 images" in found.evidence
    assert "9,700" in found.evidence
    assert found.call is not None
    assert check_call(found.call)[1]["channels"] == "stored"


@pytest.mark.parametrize(("bits", "useful"), [(8, False), (16, True)])
def test_others_are_not(measured: Callable[[int, bool], Evaluation], bits: int, useful: bool) -> None:
    assert "16-bit-images" not in [finding.topic for finding in measured(bits, useful).findings]
