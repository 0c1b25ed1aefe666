"""The models that ship: small, with a card and provenance, and as good as the card says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.datasets.survey.split import subset
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.inference.loading import load
from maskrcnn.weights.catalog import BUNDLED, bundled_names
from maskrcnn.weights.checkpoint import read_checkpoint

NUCLEI = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "nuclei"


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_model_is_small_and_documented(name: str) -> None:
    path = BUNDLED / f"{name}.safetensors"
    assert path.stat().st_size <= 25e6
    provenance = read_checkpoint(path).provenance
    assert {"recipe", "data", "licence", "measured", "what", "steps"} <= provenance.keys()
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    for heading in ("## Measured", "## Limits"):
        assert heading in card
    # The card and the file tell the same number.
    (mask_ap,) = re.findall(r"mask AP ([\d.]+)", provenance["measured"])
    assert re.search(rf"^\| mask \| {re.escape(mask_ap)} \|", card, re.MULTILINE)


@pytest.mark.skipif(not NUCLEI.exists(), reason="the nuclei validation images are not part of the package")
def test_nuclei_is_as_good_as_its_card_says() -> None:
    """On every ninth validation image, which takes seconds; the card's figure is for all of them."""
    dataset = open_dataset(NUCLEI, "val")
    dataset = subset(dataset, range(0, len(dataset), 9))
    assert evaluate(load("nuclei", "cpu", "fp32"), dataset).metrics["mask_AP"] >= 45
