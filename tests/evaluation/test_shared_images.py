"""Images that are measured and trained on: found as the same file, a link or a copy, and the search is bounded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import maskrcnn
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.evaluation import shared_images
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.image_resampling import ImageResampling
from maskrcnn.evaluation.shared_images import shared_image_advice, train_split, trained_on
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.tables import TableBuilder
from maskrcnn.inference.predictor import Predictor
from tests.conftest import write_coco
from tests.parsed_calls import check_call

MakeOracle = Callable[..., Predictor]


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """As `shapes`, but the train split shows other images."""
    folder = tmp_path / "apart"
    write_coco(folder, "train", 6, seed=1)
    write_coco(folder, "val", 4)
    return folder


def replace(target: Path, source: Path, how: Callable[[Path, Path], object]) -> None:
    target.unlink()
    how(source, target)


def shared(folder: Path) -> list[bool]:
    return trained_on(open_dataset(folder, "val"), open_dataset(folder, "train"))[0].tolist()


def test_copies_and_links_are_found_under_any_name(apart: Path) -> None:
    assert shared(apart) == [False] * 4
    train, val = apart / "train", apart / "val"
    replace(train / "6.png", val / "1.png", shutil.copy)
    replace(train / "5.png", val / "2.png", lambda a, b: b.symlink_to(a))
    replace(train / "3.png", val / "3.png", os.link)
    assert shared(apart) == [True, True, True, False]


def test_files_of_one_size_are_told_apart_wherever_they_differ(apart: Path) -> None:
    train, val = apart / "train", apart / "val"
    content = bytearray((val / "1.png").read_bytes() + bytes(50_000))
    (val / "1.png").write_bytes(content)
    for number, place in enumerate((0, 9_000, 30_000, len(content) - 1), 1):
        changed = content.copy()
        changed[place] ^= 1
        (train / f"{number}.png").write_bytes(changed)
    assert shared(apart) == [False] * 4
    (train / "5.png").write_bytes(content)
    assert shared(apart) == [True, False, False, False]


def test_of_too_many_images_those_of_the_same_name_are_compared(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = apart / "train", apart / "val"
    replace(train / "4.png", val / "4.png", shutil.copy)
    replace(train / "6.png", val / "1.png", shutil.copy)
    assert trained_on(open_dataset(apart, "val"), open_dataset(apart, "train"))[1] == []
    monkeypatch.setattr(shared_images, "MOST_FILES", 4)
    found, (note,) = trained_on(open_dataset(apart, "val"), open_dataset(apart, "train"))
    assert found.tolist() == [False, False, False, True]
    assert (note.check, note.severity, note.lossy) == ("not-compared", "note", False)
    assert "4 of 6 images of the train split" in note.what


def test_no_more_is_read_than_is_allowed(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = apart / "train", apart / "val"
    for number in (1, 2, 3):
        replace(train / f"{number}.png", val / f"{number}.png", shutil.copy)
    size = max((val / f"{number}.png").stat().st_size for number in (1, 2, 3))
    monkeypatch.setattr(shared_images, "MOST_BYTES", 4 * size)
    read: list[str] = []
    monkeypatch.setattr(shared_images, "file_digest", lambda path: read.append(str(path)) or path.read_bytes())
    found, (note,) = trained_on(open_dataset(apart, "val"), open_dataset(apart, "train"))
    assert found.tolist() == [True, True, False, False]
    assert len(read) == 4
    assert "for 1 image more than" in note.what


def test_huge_labels_are_not_read_for_it(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(apart)
    opened, notes = train_split(source, "val")
    assert opened is not None
    assert notes == []
    manifest = apart / "data.yaml"
    manifest.write_text("train: .\nval: .\n")
    assert Source(manifest).label_places("train") == source.label_places("train") == [apart / "train.json"]
    monkeypatch.setattr(shared_images, "MOST_LABEL_BYTES", 100)
    for place in (apart, manifest):
        opened, (note,) = train_split(Source(place), "val")
        assert opened is None
        assert "train.json has 0 MiB" in note.what
    assert train_split(source, "train") == (None, [])
    monkeypatch.setattr(shared_images, "MOST_LABEL_FILES", 5)
    assert shared_images._extent(apart / "train") == "train has more than 5 files"
    assert shared_images._extent(apart / "val") == ""


def test_the_advice_comes_first_where_images_are_shared(
    oracle: MakeOracle, apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = maskrcnn.evaluate(oracle(apart, ("disc", "triangle")), apart)
    assert "trained-on" not in [finding.topic for finding in sound.findings]
    for number in (1, 2):
        replace(apart / "train" / f"{number}.png", apart / "val" / f"{number}.png", shutil.copy)
    found = maskrcnn.evaluate(oracle(apart, ("disc", "triangle")), apart)
    first = found.next_steps[0]
    assert first.topic == "trained-on"
    assert "2 of 4 images measured here are in the train split too" in first.what
    assert "on the other 2 images" in first.evidence
    assert [Path(path).name for path in first.images] == ["1.png", "2.png"]
    assert first.call is not None
    assert check_call(first.call) == ("doctor", {"data": str(apart)})
    monkeypatch.setattr(shared_images, "MOST_LABEL_BYTES", 100)
    blind = maskrcnn.evaluate(oracle(apart, ("disc", "triangle")), apart)
    assert "trained-on" not in [finding.topic for finding in blind.findings]
    assert "not-compared" in [note.check for note in blind.notes]
    assert np.isclose(blind.metrics["mask_AP"], found.metrics["mask_AP"])


def test_images_without_objects_have_no_ap(simulate: Callable[..., list[EvaluatedImage]]) -> None:
    builder = TableBuilder(("cat", "dog", "bird"))
    for sample in simulate(0):
        builder.update(sample)
    tables = builder.tables()
    resampling, names = ImageResampling(tables, "mask"), [str(number) for number in range(len(tables.images))]
    empty = np.bincount(tables.truths["image"], minlength=len(names)) == 0
    assert np.flatnonzero(empty).tolist() == [1, 4]
    (of_empty,), (of_others,) = (
        list(shared_image_advice(shared, resampling, Subject(), names)) for shared in (empty, ~empty)
    )
    ap = resampling.ap(np.ones((1, len(names)), dtype=np.int64) * ~empty).item()
    unknown = "unknown (no object is labelled)"
    assert of_empty.evidence == f"AP on them is {unknown}, on the other 10 images {ap:.1f}."
    assert of_others.evidence == f"AP on them is {ap:.1f}, on the other 2 images {unknown}."
