"""One bad input is one line: whatever its name is, whatever the system says, all others complete."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def called(*words: object, **limits: int) -> subprocess.CompletedProcess[str]:
    """`maskrcnn words…` in a process of its own, perhaps with a limit on the bytes of a file."""

    def limited() -> None:
        if limits:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file_bytes"],) * 2)

    return subprocess.run(
        [sys.executable, "-m", "maskrcnn", *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        preexec_fn=limited,
    )


def test_predict_tells_each_and_completes_the_others(photos: Path, tmp_path: Path) -> None:
    bad = ("http://a:b/x", "http://[::1/x", "http://127.0.0.1:1/a b.png", "http://x/\n", "x" * 300, "~nobody-of-it/x")
    done = called("predict", photos, *bad, "--out", tmp_path / "out", "--score", "0.1")
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
    done = called("predict", tmp_path, "--out", tmp_path / "out", file_bytes=100_000)
    assert done.returncode == 1, done.stderr
    assert [line.startswith("note skipped ") and "b.png: " in line for line in done.stderr.splitlines()] == [True]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "c.png"]
    json.loads((tmp_path / "out" / "predictions.json").read_text())


def test_a_pipe_in_the_place_of_an_overlay_is_not_waited_for(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "a.png")
    done = called("predict", tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "not overwritten" in done.stderr
    assert (tmp_path / "out" / "b.png").is_file()
