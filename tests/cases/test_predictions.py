"""Predictions that other tools read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from pycocotools.mask import area

from maskrcnn.images.sources import resolve_sources
from maskrcnn.inference.loading import load
from maskrcnn.prediction.prediction_run import predict_to_folder


def test_predictions_ids(case: Path, tmp_path: Path) -> None:
    """Rows join with the data by file name and class name, and masks keep their own areas in pycocotools."""
    data = case.parents[1] / "data" / "balloon"
    if not data.is_dir():
        pytest.skip("needs the shared data set balloon")
    truth = COCO(str(data / "val.json"))
    images = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    sources = resolve_sources([data / "val"]).images[:3]
    lines: list[str] = []
    outcome = predict_to_folder(
        [source.path_or_url for source in sources],
        lambda: load("people", "cpu"),
        tmp_path,
        score=0.05,
        overlays=False,
        say=lines.append,
        warn=lines.append,
    )
    assert (outcome.images, outcome.exit_code) == (3, 0), lines
    rows = json.loads((tmp_path / "predictions.json").read_text())
    assert len(rows) > 3
    assert not any("bbox" in row for row in rows)
    joined = [{**row, "image_id": images[row["file_name"]], "category_id": 0} for row in rows]
    found = truth.loadRes(joined).dataset["annotations"]
    assert [row["area"] for row in found] == [int(area(row["segmentation"])) for row in rows]
    assert {row["image_id"] for row in found} == {images[source.name] for source in sources}
