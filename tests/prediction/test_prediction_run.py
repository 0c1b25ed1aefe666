"""What `maskrcnn predict` and `python -m maskrcnn.runtime` share: lines, counts and exit codes, without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError, message_and_code
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.network import DetectionArrays
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.prediction.prediction_run import predict_to_folder, resolve_images
from maskrcnn.results.predictions import Predictions


class OneObject:
    """A network that finds the upper left quarter of any image, with a score of 0.8."""

    names, config = ("corner",), Config()

    def check(self, options: PredictionOptions) -> None:
        pass

    def detect(self, images: Sequence[np.ndarray], options: PredictionOptions) -> DetectionArrays:
        count = len(images)
        return DetectionArrays(
            np.tile(np.float32([[[0, 0, 20, 20]]]), (count, 1, 1)),
            np.full((count, 1), 0.8, np.float32),
            np.zeros((count, 1), np.int64),
            np.ones((count, 1), bool),
            np.ones((count, 1, 4, 4), np.float32),
            np.array([[40, 40]] * count),
        )


def one_object() -> ImagePredictor:
    return ImagePredictor(OneObject())


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.png" for name in "ab"]
    for path in paths:
        Image.new("RGB", (40, 40), "white").save(path)
    return paths


def run(sources: Sequence[Path], folder: Path, **options: object) -> tuple[Predictions, list[str], list[str]]:
    said: list[str] = []
    warned: list[str] = []
    found = predict_to_folder(sources, one_object, folder, say=said.append, warn=warned.append, **options)  # type: ignore[arg-type]
    assert found.notes == warned
    return found, said, warned


def counts(found: Predictions) -> tuple[int, int, int]:
    return found.images, found.objects, found.skipped


def test_every_image_is_a_line_and_a_row(photos: list[Path], tmp_path: Path) -> None:
    found, said, warned = run(photos, tmp_path / "out")
    assert (counts(found), found.exit_code, found.results) == ((2, 2, 0), 0, [])
    assert (said, warned) == (["a.png: 1 object", "b.png: 1 object"], [])
    assert [row["file_name"] for row in json.loads((tmp_path / "out/predictions.json").read_text())] == [
        "a.png",
        "b.png",
    ]
    found, said, _ = run(photos, tmp_path / "none", score=0.9, overlays=False, keep=True)
    assert (counts(found), said[0]) == ((2, 0, 0), "a.png: 0 objects")
    assert (found.titles, len(found.results)) == (["a.png", "b.png"], 2)
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["predictions.json"]


def test_what_is_skipped_is_counted_and_leaves_the_others(photos: list[Path], tmp_path: Path) -> None:
    photos[0].write_text("not an image")
    found, said, warned = run([*photos, tmp_path / "nowhere.png"], tmp_path / "out")
    assert (counts(found), found.exit_code) == ((1, 1, 2), 1)
    assert said == ["b.png: 1 object"]
    assert [("nowhere.png" in line, "a.png" in line) for line in warned] == [(True, False), (False, True)]
    assert warned[1].startswith("skipped ")


def test_a_run_without_any_result_has_failed(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("of somebody else")
    found, said, warned = run(photos[:1], tmp_path / "out")
    assert (counts(found), found.exit_code, said) == ((0, 0, 1), 2, [])
    assert "not overwritten" in warned[0]


def test_without_images_the_model_is_not_opened(tmp_path: Path) -> None:
    def fail() -> ImagePredictor:
        raise AssertionError("opened")

    lines: list[str] = []
    with pytest.raises(MaskRCNNError, match="no image to segment"):
        predict_to_folder([tmp_path / "no.png"], fail, tmp_path / "out", say=lines.append, warn=lines.append)
    assert len(lines) == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(MaskRCNNError, match="no image to measure on"):
        resolve_images([tmp_path / "no.png"], "measure on", lines.append)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MaskRCNNError("no such file", where="a.png"), ("a.png: no such file", 2)),
        (OSError("full"), ("full", 2)),
        (MemoryError(), ("not enough memory", 2)),
        (KeyboardInterrupt(), ("stopped", 130)),
    ],
)
def test_each_expected_end_is_a_line_and_a_code(error: BaseException, expected: tuple[str, int]) -> None:
    assert message_and_code(error) == expected


def test_ctrl_c_keeps_what_the_network_had_found(photos: list[Path], tmp_path: Path) -> None:
    """Also what was still being drawn when the line of an earlier image was told."""

    def say(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_to_folder(photos, one_object, tmp_path / "out", say=say, warn=print)
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    drawn = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert 1 <= len(rows) == len(drawn)
