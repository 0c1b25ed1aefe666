"""The other verbs: what they return and write, that they print nothing, and that their text is safe in a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import maskrcnn
from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.output_lock import claim_folder
from maskrcnn.results import predictions


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Two images of bright discs, val only, and one that cannot be read."""
    folder = tmp_path / "cells"
    for part in ("images", "masks"):
        (folder / "val" / part).mkdir(parents=True)
    y, x = np.mgrid[:96, :96]
    for name in "ab":
        ids = ((y - 40) ** 2 + (x - 50) ** 2 < 100).astype(np.uint8)
        pixels = np.where(ids[..., None] > 0, 190, 20) + np.random.default_rng(0).integers(0, 20, (96, 96, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "val" / "images" / f"{name}.png")
        Image.fromarray(ids).save(folder / "val" / "masks" / f"{name}.png")
    return folder


def test_predict_returns_results_and_writes_only_where_told(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    images = cells / "val" / "images"
    (images / "c<i>.png").write_text("no image")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    found = maskrcnn.predict(images, score=0.1, device="cpu")
    assert sorted(tmp_path.rglob("*")) == before
    assert capfd.readouterr() == ("", "")
    assert (len(found), found.images, found.skipped, found.exit_code) == (2, 2, 1, 1)
    assert found.titles == ["a.png", "b.png"]
    assert found.objects == sum(map(len, found)) > 0
    (note,) = found.notes
    assert "c<i>.png" in note
    html = found._repr_html_()
    assert "c<i>.png" not in html
    assert "c&lt;i&gt;.png" in html
    assert html.count("data:image/jpeg;base64,") == 2
    monkeypatch.setattr(predictions, "KEPT_BYTES", 96 * 96 * 3)
    written = maskrcnn.predict([images / "a.png", images / "b.png"], folder="out", score=0.1, device="cpu")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png", "predictions.json"]
    assert [result.image is None for result in written] == [False, True]  # there was room for one
    assert [result.boxes.tolist() for result in written] == [result.boxes.tolist() for result in found]
    counted = maskrcnn.predict(images / "a.png", score=0.1, device="cpu", keep=False)
    assert (len(counted), counted.images, counted.objects) == (0, 1, len(found[0]))
    with claim_folder("out"), pytest.raises(MaskRCNNError, match="in use"):
        maskrcnn.predict(images, folder="out")


def test_evaluate_takes_names_and_predictors_folders_and_open_data(cells: Path, tmp_path: Path) -> None:
    model, data, calls = maskrcnn.load("nuclei", device="cpu"), maskrcnn.open_dataset(cells, "val"), []
    plain = maskrcnn.evaluate(model, data, None, lambda: calls.append(1), False)
    assert (len(calls), plain.analysis, plain.findings, plain.report) == (2, None, [], None)
    full = maskrcnn.evaluate("nuclei", cells, folder=tmp_path / "report", device="cpu", worst=0)
    assert full.metrics["mask_AP"] == pytest.approx(plain.metrics["mask_AP"], nan_ok=True)
    assert full.findings
    assert (full.model, full.split, full.report) == ("nuclei", "val", tmp_path / "report" / "report.html")
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["images"] == 2
    for text in (str(full), full._repr_html_()):
        assert "nuclei on 2 images" in text
        assert full.headline() in str(full)
    for arguments, words in (
        ({"model": model, "data": cells, "device": "cpu"}, "are those of the predictor"),
        (
            {"model": model, "data": data, "split": "val"},
            "an open data set is one split",
        ),
        ({"model": "nuclei", "data": cells, "folder": tmp_path / "x", "analyse": False}, "needs the analysis"),
        ({"model": "nuclei", "data": cells, "worst": -1}, "worst: expected a whole number"),
    ):
        with pytest.raises(MaskRCNNError, match=words):
            maskrcnn.evaluate(**arguments)  # type: ignore[arg-type]


def test_doctor_finds_and_repairs(shapes: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    content = json.loads((shapes / "val.json").read_text())
    content["categories"][0]["name"] = "<script>x</script>"
    (shapes / "val.json").write_text(json.dumps(content))
    diagnosis = maskrcnn.doctor(shapes)
    assert diagnosis.counts["leak"] == 4
    assert "error leak (4, fixable): " in str(diagnosis)
    assert "<script>" not in diagnosis._repr_html_()
    assert diagnosis.totals() in repr(diagnosis)
    mended = maskrcnn.doctor(shapes, fix=tmp_path / "copy").repair
    assert mended is not None
    assert (mended.folder, mended.fixed["leak"], mended.after.counts.get("leak", 0)) == (tmp_path / "copy", 4, 0)
    assert capfd.readouterr() == ("", "")


def test_data_are_split_converted_counted_and_shown(shapes: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    split = maskrcnn.split_dataset(shapes / "train.json", tmp_path / "split", val=0.5, similar=1)
    assert {name: len(indices) for name, indices in split.plan.parts.items()} == {"train": 2, "val": 2}
    converted = maskrcnn.convert_dataset(tmp_path / "split", tmp_path / "yolo", "yolo", "val")
    assert converted.splits["val"].images == 2
    assert len(maskrcnn.open_dataset(tmp_path / "yolo", "val")) == 2
    stats = maskrcnn.dataset_stats(shapes)
    assert stats.numbers["images"] == 4
    view = maskrcnn.view_dataset(shapes, images=2, classes="disc")
    assert (view.shown, view.images, len(view.pages), view.files) == (2, 4, 1, [])
    sheet = maskrcnn.view_dataset(shapes, tmp_path / "sheet.png", index=["1.png", 2])
    assert (sheet.files, sheet.pages) == ([tmp_path / "sheet.png"], [])
    for result in (split, converted, stats, view, sheet, maskrcnn.open_dataset(shapes, "train")):
        assert result._repr_html_()  # type: ignore[attr-defined]
        assert str(result)
        assert "object at 0x" not in repr(result)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("verb", "arguments", "words"),
    [
        ("split_dataset", {"folder": "new", "val": 2}, "val: expected a number from 0 to 1, found 2"),
        ("split_dataset", {"folder": "new", "similar": 0}, "similar: expected a number from 0.3 to 1"),
        ("view_dataset", {"rows": 0}, "rows: expected a whole number from 1 to 12"),
        ("view_dataset", {"sort": "biggest"}, "unknown sort 'biggest'"),
        ("doctor", {"workers": -1}, "workers: expected a whole number not below 0"),
        ("convert_dataset", {"folder": "new", "format": "yollo"}, "unknown format"),
    ],
)
def test_values_that_a_command_would_refuse_are_refused(
    verb: str, arguments: dict[str, Any], words: str, shapes: Path
) -> None:
    with pytest.raises(MaskRCNNError, match=words):
        getattr(maskrcnn, verb)(shapes, **arguments)


def test_a_data_set_shows_itself(shapes: Path) -> None:
    (shapes / "train" / "2.png").write_bytes(b"broken")
    data = maskrcnn.open_dataset(shapes, "train")
    assert repr(data).startswith(f"Dataset({len(data)} images; 2 classes: disc, triangle; {shapes / 'train'}")
    html = data._repr_html_()
    assert html.count("data:image/jpeg;base64,") == 3
    assert "2.png" in html


def test_models_convert_and_benchmark(tmp_path: Path, cells: Path) -> None:
    known = maskrcnn.models()
    assert [model.name for model in known][:2] == ["nuclei", "people"]
    assert "nuclei" in str(known)
    assert "CC BY-SA 3.0" in known._repr_html_()
    done = maskrcnn.convert("nuclei", tmp_path / "copy.safetensors", ["cell"])
    assert (done.names, done.file) == (("cell",), tmp_path / "copy.safetensors")
    assert "→" in str(done)
    assert "backbone" in done._repr_html_()
    speed = maskrcnn.benchmark(
        cells / "val" / "images", seconds=1, sizes="own", precision="fp32", device="cpu", batch_size=1
    )
    assert speed.comparison.images == 2
    assert "ms/image" in str(speed)
    assert json.loads(json.dumps(speed.to_json()))["model"] == "nuclei"
    with pytest.raises(MaskRCNNError, match="sizes: expected own"):
        maskrcnn.benchmark(sizes=[0])
