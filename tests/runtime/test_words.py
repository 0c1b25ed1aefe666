"""What the command line without torch says: each bad input on its line, in any encoding, on any stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.config import Config
from maskrcnn.runtime.__main__ import main


@pytest.fixture
def desk(writer: Callable[..., Path], small: Callable[..., Config], tmp_path: Path) -> Path:
    """A folder with model.onnx and images of unlucky names."""
    writer(tmp_path / "model.onnx", small())
    (tmp_path / "photos").mkdir()
    for name in (os.fsdecode(b"caf\xe9.png"), "n" * 250 + ".png", "a\x1b[31m\n.png", "猫 → [x].png"):
        Image.fromarray(np.full((90, 120, 3), 200, np.uint8)).save(tmp_path / "photos" / name)
    os.mkfifo(tmp_path / "photos" / "pipe.png")
    return tmp_path


def called(desk: Path, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    words = ["model.onnx", "photos", "http://a:b/x", "--out", "out"]
    return subprocess.run(
        [sys.executable, "-m", "maskrcnn.runtime", *words],
        cwd=desk,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


def test_each_bad_input_is_a_line_and_the_others_complete(desk: Path) -> None:
    done = called(desk)
    assert done.returncode == 1, done.stderr
    assert sorted(line.split(": ")[0] for line in done.stderr.splitlines()) == [
        "note http://a:b/x",
        "note photos/pipe.png",
    ]
    shown = [line.split(": ")[0] for line in done.stdout.splitlines()]
    assert sorted(shown) == sorted([r"caf\xe9.png", "n" * 250 + ".png", r"a\x1b[31m\n.png", r"\u732b -> [x].png"])
    assert len(list((desk / "out").glob("*.png"))) == 4


def test_a_closed_pipe_does_not_stop_the_work(desk: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = called(desk, writer)
    os.close(writer)
    assert "Broken" not in done.stderr
    assert len(done.stderr.splitlines()) == 2
    json.loads((desk / "out" / "predictions.json").read_text())
    assert len(list((desk / "out").glob("*.png"))) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_standard_output_does_not_stop_the_work(desk: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = called(desk, full.fileno())
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    json.loads((desk / "out" / "predictions.json").read_text())
    assert len(list((desk / "out").glob("*.png"))) == 4


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [(MemoryError(), 2, "not enough memory"), (KeyboardInterrupt(), 130, "stopped")],
)
def test_a_run_that_ends_early_says_why(
    error: BaseException,
    code: int,
    line: str,
    desk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("maskrcnn.runtime.__main__.load", fail)
    assert main([str(desk / "model.onnx"), str(desk / "photos"), "--out", str(desk / "out")]) == code
    assert capsys.readouterr().err.splitlines()[-1] == f"error {line}"
