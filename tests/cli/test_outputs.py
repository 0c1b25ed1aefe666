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
