"""Data on the command line: looked at once, and an absent split is named instead of silently replaced."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.datasets import manifest, open_dataset
from maskrcnn.errors import MaskRCNNError
from tests import command
from tests.data_folders import idmasks


def run(*words: object) -> tuple[int, str]:
    """Exit code and all output of `maskrcnn words…` on one line."""
    code, text = command.run(*words)
    return code, " ".join(text.split())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


EVALUATE = ("evaluate", "DATA", "--model", "nuclei", "--device", "cpu")


@pytest.mark.parametrize(
    ("there", "words", "told"),
    [
        ("train", (*EVALUATE, "--split", "val"), "expected a split named 'val', found train"),
        ("val", (*EVALUATE, "--split", "test"), "expected a split named 'test', found val"),
        ("", (*EVALUATE, "--split", "val"), "expected a split named 'val', found one set without splits"),
        ("train", ("dataset", "view", "DATA", "--split", "val"), "expected a split named 'val', found train"),
        ("train", ("dataset", "stats", "DATA", "--split", "val"), "expected a split named 'val', found train"),
        (
            "train",
            ("dataset", "convert", "DATA", "new", "--format", "coco", "--split", "val"),
            "expected a split named 'val', found train",
        ),
        ("val", ("train", "DATA"), "expected a split named 'train', found val"),
        ("val", ("train", "DATA", "--overfit", "2"), "expected a split named 'train', found val"),
    ],
)
def test_an_absent_split_is_an_error_that_names_those_there_are(
    place: Path, there: str, words: tuple[str, ...], told: str
) -> None:
    idmasks(place / there)
    code, text = run(*(place if word == "DATA" else word for word in words))
    assert (code, told in text) == (2, True), text


@pytest.mark.parametrize(
    ("there", "words", "told"),
    [
        ("train", EVALUATE, "there is no val split, the train split is used; if the model was trained on these images"),
        ("", EVALUATE, "there is no val split, all of the data is used; if the model was trained on these images"),
        ("val", ("dataset", "view", "DATA"), "there is no train split, the val split is used"),
        ("val", ("dataset", "stats", "DATA"), "there is no train split, the val split is used"),
        (
            "",
            ("dataset", "convert", "DATA", "new", "--format", "coco", "--split", "train"),
            "the data does not divide into splits: all of it counts as train",
        ),
    ],
)
def test_all_that_there_is_is_used_aloud(place: Path, there: str, words: tuple[str, ...], told: str) -> None:
    idmasks(place / there)
    code, text = run(*(place if word == "DATA" else word for word in words))
    assert (code, told in text) == (0, True), text
    if words == EVALUATE:
        content = json.loads((place.parent / "runs" / "evaluate" / "metrics.json").read_text())
        assert content["split"] == there
        assert told in (place.parent / "runs" / "evaluate" / "report.html").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("train", "DATA"),
        EVALUATE,
        ("doctor", "DATA"),
        ("dataset", "split", "DATA", "new", "--merge"),
        ("dataset", "convert", "DATA", "new", "--format", "coco"),
        ("dataset", "stats", "DATA"),
        ("dataset", "view", "DATA"),
    ],
)
@pytest.mark.parametrize("with_manifest", [False, True])
def test_data_is_looked_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], with_manifest: bool
) -> None:
    for split in ("train", "val"):
        idmasks(place / split)
    if with_manifest:
        (place / "data.yaml").write_text("train: .\nval: .\nnames: [owl]\n")
    looks: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        function = getattr(module, name)

        def call(path: Path, *args: Any, **kwargs: Any) -> Any:
            looks[path.name] += path.is_relative_to(place)
            return function(path, *args, **kwargs)

        monkeypatch.setattr(module, name, call)

    def stop(*args: Any) -> None:
        raise MaskRCNNError("opened")

    count(open_dataset, "detect")
    count(manifest, "read_yaml")
    monkeypatch.setattr("maskrcnn.training.preparation.prepare", stop)
    run(*(place if word == "DATA" else word for word in words))
    assert +looks == {"data": 1} | ({"data.yaml": 1} if with_manifest else {})
