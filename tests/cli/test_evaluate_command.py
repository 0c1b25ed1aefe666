"""`maskrcnn evaluate`: a table, a report, numbers as JSON, and the right exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import command


def run(*words: object) -> tuple[int, str]:
    return command.run("evaluate", *words)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Two small images with bright discs as cells, val only."""
    folder = tmp_path / "cells"
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / "val" / part).mkdir(parents=True)
    y, x = np.mgrid[:96, :96]
    for name in "ab":
        ids = np.zeros((96, 96), np.uint8)
        for number in range(1, 4):
            cy, cx = 8 + 28 * number + rng.integers(-4, 5), int(rng.integers(16, 80))
            ids[(y - cy) ** 2 + (x - cx) ** 2 < 81] = number
        pixels = np.where(ids[..., None] > 0, 190, 20) + rng.integers(0, 20, (96, 96, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "val" / "images" / f"{name}.png")
        Image.fromarray(ids).save(folder / "val" / "masks" / f"{name}.png")
    return folder


def test_table_report_and_numbers(cells: Path, tmp_path: Path) -> None:
    code, text = run(
        cells, "--model", "nuclei", "--out", tmp_path / "out", "--json", tmp_path / "extra.json", "--worst", 1
    )
    assert code == 0, text
    for word in ("AP50", "mask", "boundary", "1. ", "report →"):
        assert word in text, text
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "What to do next" in page
    content = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert content == json.loads((tmp_path / "extra.json").read_text(encoding="utf-8"))
    assert content["images"] == 2
    assert content["split"] == "val"
    assert 0 <= content["metrics"]["mask_AP"] <= 100


def test_an_unreadable_image_is_named_and_the_exit_code_says_so(cells: Path, tmp_path: Path) -> None:
    broken = cells / "val" / "images" / "b.png"
    broken.write_bytes(broken.read_bytes()[:500])
    code, text = run(cells, "--model", "nuclei", "--out", tmp_path / "out", "--worst", 0)
    assert code == 1, text
    assert sum("b.png" in line for line in text.splitlines()) == 1, text
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 image could not be measured" in page
    assert "b.png" in page


def test_classes_that_differ_are_a_clear_error(shapes: Path, tmp_path: Path) -> None:
    code, text = run(shapes, "--model", "nuclei", "--out", tmp_path / "out")
    assert code == 2
    assert "no name in common" in text
    assert not (tmp_path / "out").exists()


def test_the_limit_of_detections_is_passed_on(cells: Path, tmp_path: Path) -> None:
    code, text = run(cells, "--model", "nuclei", "--max-detections", 1, "--worst", 0, "--out", tmp_path / "out")
    assert code == 0, text
    assert "The limit of 1 detection cuts off objects in 2 images" in text
    assert "<img" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_at_another_input_size_it_finds_something_else(cells: Path, tmp_path: Path) -> None:
    aps = []
    for size in (64, 640):
        code, text = run(cells, "--model", "nuclei", "--size", size, "--worst", 0, "--out", tmp_path / "out")
        assert code == 0, text
        aps.append(json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["metrics"]["mask_AP"])
    assert aps[0] != aps[1]


def test_a_split_that_is_not_there_is_told_and_none_measured_instead(cells: Path, tmp_path: Path) -> None:
    code, text = run(cells, "--model", "nuclei", "--split", "tset", "--out", tmp_path / "out")
    assert code == 2, text
    assert "expected a split named 'tset', found val" in text
    (cells / "val").rename(cells / "train")  # without --split, the only part that there is
    code, text = run(cells, "--model", "nuclei", "--worst", 0, "--out", tmp_path / "out")
    assert code == 0, text
