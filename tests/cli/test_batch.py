"""One bad input is one line: whatever its name is, whatever the system says, all others complete."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import call, run

NAMES = {
    os.fsdecode(b"caf\xe9.png"): r"caf\xe9.png",
    "n" * 251 + ".png": "n" * 251 + ".png",
    "[red] [onnx].png": "[red] [onnx].png",
    "two\nlines.png": r"two\nlines.png",
    "\x1b[31m.png": r"\x1b[31m.png",
    "a\u202egnp.png": r"a\u202egnp.png",
    "猫 :dog:.png": "猫 :dog:.png",
}


def photo(path: Path, side: int = 40) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of unlucky names, and what is no image though it is named so."""
    folder = tmp_path / "[" / "x] photos"
    folder.mkdir(parents=True)
    for name in NAMES:
        photo(folder / name)
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "circle.png").symlink_to(folder / "circle.png")
    (folder / "text.png").write_text("no image")
    return folder


def test_predict_tells_each_and_completes_the_others(photos: Path, tmp_path: Path) -> None:
    bad = ("http://a:b/x", "http://[::1/x", "http://127.0.0.1:1/a b.png", "http://x/\n", "x" * 300, "~nobody-of-it/x")
    done = call("predict", photos, *bad, "--out", tmp_path / "out", "--score", "0.1")
    assert done.returncode == 1, done.stderr
    notes = done.stderr.splitlines()
    assert all(line.startswith("note ") for line in notes), done.stderr
    for name in ("http://a:b/x", "http://[::1/x", "a b.png", r"http://x/\n", "x" * 300, "~nobody-of-it/x", "text.png"):
        assert sum(name in line for line in notes) == 1, (name, done.stderr)
    for name in ("pipe.png", "circle.png"):
        assert sum(f"{name}: " in line for line in notes) == 1, (name, done.stderr)
    for shown in NAMES.values():
        assert sum(line.startswith(f"{shown}: ") for line in done.stdout.splitlines()) == 1, (shown, done.stdout)
    assert "\x1b" not in done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == len(NAMES)
    content = json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
    assert {entry["file_name"] for entry in content} <= set(NAMES)


def test_a_limit_on_the_size_of_files_costs_what_is_larger(tmp_path: Path) -> None:
    for name, side in (("a", 40), ("b", 400), ("c", 40)):
        photo(tmp_path / f"{name}.png", side)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2)

    done = call("predict", tmp_path, "--out", tmp_path / "out", preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    assert [line.startswith("note skipped ") and "b.png: " in line for line in done.stderr.splitlines()] == [True]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "c.png"]
    json.loads((tmp_path / "out" / "predictions.json").read_text())


def test_a_pipe_in_the_place_of_an_overlay_is_not_waited_for(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "a.png")
    done = call("predict", tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "not overwritten" in done.stderr
    assert (tmp_path / "out" / "b.png").is_file()


@pytest.fixture
def unlucky(shapes: Path) -> Path:
    """A data set whose files and classes have names that a terminal, a font or UTF-8 does not take."""
    files = [os.fsdecode(b"caf\xe9.png"), "n" * 250 + ".png", "[red].png", "a\nb.png"]
    for split in ("train", "val"):
        content = json.loads((shapes / f"{split}.json").read_text())
        for image, name in zip(content["images"], files, strict=True):
            (shapes / split / image["file_name"]).rename(shapes / split / name)
            image["file_name"] = name
        for category, name in zip(content["categories"], ("[/x] 猫\x1b[31m\n$x", "\ud800 [bold]b"), strict=True):
            category["name"] = name
        (shapes / f"{split}.json").write_text(json.dumps(content))
    return shapes


@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "DATA", "--fix", "OUT"),
        ("doctor", "DATA", "--json", "OUT"),
        ("dataset", "stats", "DATA", "--out", "OUT"),
        ("dataset", "view", "DATA", "--out", "OUT/sheet.png"),
        ("dataset", "split", "DATA", "OUT", "--merge"),
        *(("dataset", "convert", "DATA", "OUT", "--format", name) for name in ("coco", "voc", "yolo", "binmask")),
    ],
    ids=lambda words: "-".join(words[:2]) + words[-1].replace("/", ""),
)
def test_verbs_for_data_take_any_name(
    words: tuple[str, ...], unlucky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = tuple(word.replace("DATA", str(unlucky)).replace("OUT", str(out)) for word in words)
    monkeypatch.setenv("COLUMNS", "300")
    code, text = run(*words)
    assert code == (1 if words[0] == "doctor" else 0), text
    assert "\x1b" not in text
    assert out.exists()


def test_a_report_takes_any_name(tmp_path: Path) -> None:
    data = tmp_path / "cells" / "val"
    ids = np.zeros((64, 64), np.uint8)
    ids[10:30, 10:30] = 1
    for part in ("images", "masks"):
        (data / part).mkdir(parents=True)
    for name in (os.fsdecode(b"caf\xe9.png"), "n" * 250 + ".png", "[red].png", "a\nb.png"):
        photo(data / "images" / name, 64)
        Image.fromarray(ids).save(data / "masks" / name)
    out = tmp_path / "report"
    words = ["evaluate", str(data.parent), "--model", "nuclei", "--out", str(out), "--json", str(tmp_path / "x.json")]
    code, text = run(*words)
    assert (code, (out / "report.html").is_file()) == (0, True), text
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["split"] == "val"
