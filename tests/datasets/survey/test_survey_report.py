"""The report's files: complete, readable by the tools they are for, and true to the survey."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.config import preset
from maskrcnn.datasets.survey.survey import Survey
from maskrcnn.datasets.survey.survey_report import FILES, SurveyReport
from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.recipe import read_recipe


def report_of(objects: int, names: tuple[str, ...] = ("cat", "dog")) -> SurveyReport:
    """Objects of 10 to 30 pixels in two images, all of the first class, every third without a mask."""
    rng = np.random.default_rng(0)
    survey = Survey(
        names=names,
        image_sizes=np.array([[300, 400], [480, 640]]),
        read=np.ones(2, dtype=bool),
        crowds=np.array([0, 1]),
        image=rng.integers(0, 2, objects),
        label=np.zeros(objects, dtype=np.int64),
        sides=rng.uniform(10, 30, (objects, 2)),
        masked=np.arange(objects) % 3 > 0,
    )
    return SurveyReport("my data/ü", survey, preset("lite"), ("preset", "lite"), 512)


def test_every_file_is_written_and_can_be_read(tmp_path: Path) -> None:
    report = report_of(600)
    paths = report.write(tmp_path / "a" / "b")
    assert [path.name for path in paths] == list(FILES)
    content = json.loads((tmp_path / "a" / "b" / "stats.json").read_text(encoding="utf-8"))
    assert content["objects"] == 600
    assert content["data"] == "my data/ü"
    assert {item["setting"] for item in content["suggestions"]} >= {"max_detections", "preprocess", "anchor_sizes"}
    with Image.open(tmp_path / "a" / "b" / "stats.png") as picture:
        assert min(picture.size) > 800
        # Something is drawn in each of the six plots.
        pixels = np.asarray(picture.convert("L"))
        cells = [np.array_split(row, 3, axis=1) for row in np.array_split(pixels, 2, axis=0)]
        assert all((cell < 200).mean() > 0.01 for row in cells for cell in row)


def test_the_page_needs_no_other_file_and_shows_names_as_they_are() -> None:
    page = report_of(50, ("<b>cat</b> & co", "dog")).page(b"png")
    assert "&lt;b&gt;cat&lt;/b&gt; &amp; co" in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "my data/ü" in page


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["猫", "\x1b[31mred", "$\\frac{$", "a_b^c"])
def test_any_name_is_drawn_in_silence(name: str, tmp_path: Path) -> None:
    """matplotlib reads dollar signs as mathematics and warns of letters that its font lacks."""
    report_of(50, (name, "dog")).write(tmp_path)
    assert (tmp_path / "stats.png").is_file()


def test_the_command_can_be_pasted() -> None:
    report = report_of(600)
    words = shlex.split(report.command())
    assert words[:5] == ["maskrcnn", "train", "my data/ü", "--preset", "lite"]
    name, _, value = words[words.index("--set") + 1].partition("=")
    assert name == "model"
    changed = preset("lite").replace(**json.loads(value))
    assert changed.max_detections > 300
    assert list(changed.anchor_sizes) == next(
        item.suggested for item in report.suggestions if item.setting == "anchor_sizes"
    )


def test_the_recipe_says_the_same(tmp_path: Path) -> None:
    report = report_of(600)
    (tmp_path / "recipe.yaml").write_text(report.recipe(), encoding="utf-8")
    recipe = read_recipe(tmp_path / "recipe.yaml", {})
    words = shlex.split(report.command())
    assert recipe.model == json.loads(words[words.index("--set") + 1].removeprefix("model="))
    assert recipe.preset == "lite"


def test_the_headline_tells_what_is_special() -> None:
    line = report_of(600).headline()
    assert line == (
        "2 images, 600 objects, 2 classes (1 without objects), 67% of the objects have masks, "
        "1 crowd region not counted"
    )


@pytest.mark.parametrize("objects", [0, 1])
def test_next_to_nothing_is_reported_too(objects: int, tmp_path: Path) -> None:
    report = report_of(objects)
    assert len(report.write(tmp_path)) == 4
    assert bool(report.suggestions) == bool(objects)
    assert read_recipe(tmp_path / "recipe.yaml", {}).preset == "lite"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MaskRCNNError, match="cannot be written"):
        report_of(3).write(tmp_path / "file" / "out")
