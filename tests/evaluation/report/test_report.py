"""The report: one file that needs nothing else, escapes what it is given, and starts with what to do."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from PIL import Image

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.box_probe import BoxProbe
from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.evaluator import evaluate, explain
from maskrcnn.evaluation.report.page import Page
from maskrcnn.evaluation.report.report_files import FILES, KEYS, write_report
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.inference.predictor import Predictor
from maskrcnn.output.foreign_files import check_replaceable
from maskrcnn.prediction.image_predictor import ImagePredictor

MakeOracle = Callable[..., Predictor]
EVIL = "<script>alert('x')</script> & $a_b$"


class Reader(HTMLParser):
    """What a page loads, its tags, and whether they close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.loaded += [str(values[name]) for name in ("src", "href", "xlink:href", "data", "srcset") if name in values]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check_self_contained(page: str) -> Reader:
    reader = Reader(page)
    assert reader.open == []
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in reader.loaded)
    assert not re.search(r"https?://|@import|url\((?!#)", page)
    return reader


def written(oracle: MakeOracle, shapes: Path, folder: Path, first: str = "misnamed", **changes: object) -> str:
    model, dataset = oracle(shapes, ("disc", "triangle"), first), open_dataset(shapes, "val")
    evaluation = evaluate(model, dataset, analyse=True)
    words = {"model": "mine", "data": "shapes", "split": "val", "worst": 1} | changes
    path = write_report(folder, evaluation, DatasetPredictor(model, dataset), **words)  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


def test_it_needs_nothing_else_and_is_well_formed(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    page = written(oracle, shapes, tmp_path / "out")
    check_replaceable(tmp_path / "out", FILES, KEYS)  # by another evaluation
    reader = check_self_contained(page)
    assert reader.tags.count("svg") == 6
    assert reader.tags.count("img") == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "metrics.json"}
    anchors = {link for link in reader.loaded if link.startswith("#")}
    assert all(f'id="{anchor[1:]}"' in page for anchor in anchors)


def test_it_starts_with_what_to_do(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    page = written(oracle, shapes, tmp_path)
    body = page[page.index("<body>") :]
    assert body.index("What to do next") < body.index("Key figures") < body.index("Worst images")
    assert "is called" in body
    content = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert content["model"] == "mine"
    for finding in content["next"]:
        assert finding["topic"]
    assert len(re.findall('<p class="action">', body)) == len(content["next"]) > 0
    shown = "".join(check_self_contained(page).text)
    for finding in (*content["next"], *content["also"]):
        assert finding["command"] in shown
    for finding in content["next"]:
        assert finding["python"] in shown


def test_pictures_show_the_worst_images(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    page = written(oracle, shapes, tmp_path, worst=2)
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(pictures) == 4
    for code in pictures:
        assert max(Image.open(io.BytesIO(base64.b64decode(code))).size) == 640
    assert "images" not in re.findall(r'<section id="(\w+)"', written(oracle, shapes, tmp_path, worst=0))


def test_a_perfect_model_has_no_worst_images(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    page = written(oracle, shapes, tmp_path, "")
    assert "<img" not in page
    check_self_contained(page)


def test_names_and_paths_are_escaped(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    coco = json.loads((shapes / "val.json").read_text())
    (shapes / "val" / "1.png").rename(shapes / "val" / "a&b <i>.png")
    coco["images"][0]["file_name"] = "a&b <i>.png"
    coco["categories"][0]["name"] = EVIL
    (shapes / "val.json").write_text(json.dumps(coco))
    model, dataset = oracle(shapes, (EVIL, "triangle"), "misnamed"), open_dataset(shapes, "val")
    evaluation = evaluate(model, dataset, analyse=True)
    evaluation.problems.append(Problem("unreadable-image", EVIL, "broken"))
    page = write_report(tmp_path, evaluation, DatasetPredictor(model, dataset), EVIL, EVIL, EVIL).read_text(
        encoding="utf-8"
    )
    reader = check_self_contained(page)
    assert reader.tags.count("script") == 1
    assert "<i>.png" not in page
    assert EVIL in "".join(reader.text)


def test_an_image_that_has_gone_is_left_out(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    model, dataset = oracle(shapes, ("disc", "triangle"), "missed"), open_dataset(shapes, "val")
    evaluation = evaluate(model, dataset, analyse=True)
    (shapes / "val" / "1.png").unlink()
    model.data.records.pop(0)  # type: ignore[attr-defined]
    page = write_report(tmp_path, evaluation, DatasetPredictor(model, dataset), "m", "d").read_text(encoding="utf-8")
    assert page.count("<img") == 6


def page_of(samples: list[EvaluatedImage], names: tuple[str, ...]) -> str:
    """The page on simulated samples, without pictures."""
    from maskrcnn.config import preset
    from maskrcnn.evaluation.coco_metrics import CocoMetrics

    builder, metrics, probe = TableBuilder(names), CocoMetrics(names, 100), BoxProbe()
    for sample in samples:
        builder.update(sample)
        metrics.update(sample)
        probe.update(sample)
    evaluation = Evaluation(metrics.compute(), metrics.per_class, len(samples), 100)

    class Bare(DatasetPredictor):
        def __init__(self) -> None:
            self.limit, self.config = 100, preset("lite")
            self.predictor = cast(ImagePredictor, SimpleNamespace(names=names, network=None))
            record = type("Record", (), {"path": Path("a.png")})()
            content = {"names": names, "records": [record], "__len__": lambda self: 1}
            self.dataset = type("Images", (), {**content, "annotations": lambda self, index: ([], [])})()

    explain(evaluation, builder.tables(), probe, Bare(), Subject())
    return Page("model on data", "facts", evaluation, []).html()


def test_eighty_classes_stay_readable(simulate: Callable[..., list[EvaluatedImage]]) -> None:
    names = tuple(f"class {k}" for k in range(80))
    page = page_of(simulate(0, images=30, classes=80, wrong_class=0.6), names)
    check_self_contained(page)
    confusion = page[page.index('class="confusion') : page.index("Most often taken")]
    assert confusion.count("<tr>") == 1 + 20 + 2
    assert "60 others" in confusion
    table = page[page.index('class="sortable"') :]
    assert table.count('<th scope="row">') == 80
    assert table.count("<button") == 13


def test_nothing_found_and_nothing_labelled_still_make_a_page(simulate: Callable[..., list[EvaluatedImage]]) -> None:
    nothing_found = page_of([sample.above(2) for sample in simulate(0)], ("a", "b", "c"))
    assert "finds nothing in any image" in nothing_found
    nothing_labelled = page_of([simulate(0)[1]], ("a", "b", "c"))
    assert "No object is labelled" in nothing_labelled
    for page in (nothing_found, nothing_labelled):
        check_self_contained(page)
        assert "nan" not in "".join(Reader(page).text).lower().split()


def test_it_says_why_it_cannot_be_written(oracle: MakeOracle, shapes: Path, tmp_path: Path) -> None:
    model, dataset = oracle(shapes, ("disc", "triangle")), open_dataset(shapes, "val")
    with pytest.raises(MaskRCNNError, match="analyse=True"):
        write_report(tmp_path, evaluate(model, dataset), DatasetPredictor(model, dataset), "m", "d")
    (tmp_path / "file").write_text("")
    with pytest.raises(MaskRCNNError, match="cannot be written"):
        written(oracle, shapes, tmp_path / "file")


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(chromium() is None, reason="needs Chromium")
def test_a_browser_shows_it_and_sorts_its_table(simulate: Callable[..., list[EvaluatedImage]], tmp_path: Path) -> None:
    names = ("ape", "bee", "cow")
    page = page_of(simulate(0, wrong_class=0.4), names)
    click = "document.querySelector('.sortable th button').click();"
    (tmp_path / "report.html").write_text(page.replace("</script>", f"{click}{click}</script>"), encoding="utf-8")
    shown = subprocess.run(
        [
            str(chromium()), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom", (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    table = shown[shown.index('class="sortable"') :]
    assert re.findall(r'<th scope="row">(\w+)</th>', table) == ["cow", "bee", "ape"]
    assert 'aria-sort="descending"' in table
