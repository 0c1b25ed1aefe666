"""What verbs do with the place they write to, as real processes: in use, left by a killed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskrcnn.cli import main as cli

unix = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs to stop a process for a while")
TINY = {
    "backbone": "timm:test_convnext", "fpn_channels": 32, "box_hidden": [32], "mask_convs": [32], "roi_samples": 32,
    "rpn_before_nms": [100, 100], "proposals": [100, 100], "max_detections": 10,
    "preprocess": {"short": [64, 64], "long": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}  # fmt: skip
QUICK = ["--set", f"model={json.dumps(TINY)}", "--workers", "0", "--device", "cpu", "--precision", "fp32"]
QUICK += ["--canvas", "64", "--batch-size", "2", "--evaluations", "0"]


def run(*words: object) -> tuple[int, str]:
    """Exit code and all output of `maskrcnn words…`, errors handled as the installed command does."""
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    if isinstance(result.exception, SystemExit) or result.exception is None:
        return result.exit_code, result.output
    assert type(result.exception).__name__ == "MaskRCNNError", repr(result.exception)
    return cli.ALL_FAILED, result.output + str(result.exception)


def start(*words: object) -> subprocess.Popen:
    """`maskrcnn words…` as a process of its own."""
    command = [sys.executable, "-m", "maskrcnn", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(folder: Path, pattern: str, process: subprocess.Popen) -> None:
    """Until a file is there that a run writes early."""
    end = time.monotonic() + 120
    while not any(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((40, 50, 3), 80 * number, dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@unix
def test_two_predictions_into_one_folder(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start("predict", photos, "--out", out)
    wait_for(out, "*.part.json", first)
    os.kill(first.pid, signal.SIGSTOP)
    code, said = run("predict", photos, "--out", out)
    os.kill(first.pid, signal.SIGCONT)
    assert code == 2, said
    assert f"{out}: in use" in said
    assert "choose another" in said
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 0, output
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png", "2.png", "predictions.json"]
    json.loads((out / "predictions.json").read_text())


@unix
def test_a_killed_prediction_holds_nothing(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start("predict", photos, "--out", out)
    wait_for(out, "*.part.json", first)
    first.kill()
    first.communicate()
    code, said = run("predict", photos, "--out", out)
    assert code == 0, said
    json.loads((out / "predictions.json").read_text())


@unix
def test_a_run_of_training_has_its_folder_alone(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = start("train", shapes, "--out", out, *QUICK, "--epochs", "100000")
    wait_for(out, "history.csv", first)
    os.kill(first.pid, signal.SIGSTOP)
    before = sorted(path.name for path in out.iterdir())
    for words in ((shapes, "--out", out, *QUICK, "--epochs", "1"), ("--resume", out)):
        code, said = run("train", *words)
        assert code == 2, said
        assert f"{out}: in use" in said
    assert sorted(path.name for path in out.iterdir()) == before
    first.kill()
    first.communicate()
    code, said = run("train", shapes, "--out", out, *QUICK, "--epochs", "1")
    assert code == 0, said
    assert (out / "last.safetensors").stat().st_mode & 0o777 == (out / "log.txt").stat().st_mode & 0o777
