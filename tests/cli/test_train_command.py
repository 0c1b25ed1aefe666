"""`maskrcnn train` as people type it: what it prints, its exit codes, and how it goes on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from maskrcnn.training.recipe import Recipe
from tests import command
from tests.parsed_calls import parsed
from tests.small_learner import LEARNER, interrupt_at

TINY = {**LEARNER, "backbone_norm": "batch"}
HERE = ["--set", f"model={json.dumps(TINY)}", "--workers", "0", "--device", "cpu", "--precision", "fp32"]
QUICK = [*HERE, "--canvas", "64", "--batch-size", "2"]


def run(*words: object) -> tuple[int, str]:
    return command.run("train", *words)


def test_stopped_and_resumed_from_the_folder_alone(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(3, patch)
        code, text = run(shapes, "--out", tmp_path / "run", "--epochs", 4, "--evaluations", 1, *QUICK)
    assert code == 130, text
    assert f"go on with: maskrcnn train --resume {tmp_path / 'run'}" in text.replace("\n", "")
    code, text = run(shapes, "--out", tmp_path / "run", *QUICK)
    assert code == 2
    assert "unfinished run" in text
    code, text = run("--resume", tmp_path / "run", "--epochs", 5, "--device", "cpu")
    assert code == 2
    assert "epochs was 4.0, is 5.0" in text
    code, text = run("--resume", tmp_path / "run", "--device", "cpu")
    assert code == 0, text
    assert "going on after step 3" in text
    assert "8 steps, 16 images" in text
    assert "best on val" in text
    command_line = text.partition("What to do next")[2].strip().splitlines()[-1].strip()
    verb, words = parsed(shlex.split(command_line)[1:])
    assert verb == "train"
    assert words["init"] == str(tmp_path / "run" / "best.safetensors")
    code, text = run("--resume", tmp_path / "run")
    assert code == 0
    assert "is finished" in text


def test_what_is_missing_or_does_not_go_together(shapes: Path, tmp_path: Path) -> None:
    for words, expected in (
        ([], "expected DATA"),
        (["--resume", tmp_path / "nowhere"], "expected an unfinished run"),
        ([shapes, "--resume", tmp_path, "--overfit", 2], "do not go together"),
        ([shapes, "--batch-size", "many"], "batch_size: "),
        ([shapes, "--canvas", "wide"], "canvas: "),
        ([shapes, "--track", "comet"], "track"),
        ([shapes, "--track", "mlflow", "--out", tmp_path / "run"], "pip install maskrcnn[mlflow]"),
        ([shapes, "--set", "freeze=[9]", "--out", tmp_path / "run", *QUICK], "no stage or module 9"),
    ):
        code, text = run(*words)
        assert code == 2, text
        assert expected in text, text


def test_settings_are_listed_with_their_help() -> None:
    code, text = run("--settings")
    assert code == 0
    flat = " ".join(text.split())
    for name, field in Recipe.model_fields.items():
        assert f"{name} = " in flat
        assert str(field.description) in flat
    code, text = run("--help")
    assert "--resume" in text
    assert "--overfit" in text


def test_skipped_data_is_exit_code_one_and_summed_up(shapes: Path, tmp_path: Path) -> None:
    content = json.loads((shapes / "train.json").read_text())
    content["annotations"][0] |= {"bbox": [5, 5, 0, 10], "segmentation": []}
    (shapes / "train.json").write_text(json.dumps(content))
    (shapes / "train" / "4.png").write_bytes((shapes / "train" / "4.png").read_bytes()[:150])
    code, text = run(shapes, "--out", tmp_path / "run", "--epochs", 2, "--evaluations", 0, *QUICK)
    assert code == 1, text
    lines = (tmp_path / "run" / "log.txt").read_text().splitlines()
    for words in ("4.png", "annotation 1"):
        assert sum(words in line for line in lines) == 1, lines
        assert text.count(words) == 1
    assert "left out of the data: 1 image, 1 object" in lines[-1]
    assert "Traceback" not in text


def test_overfitting_proves_that_data_can_be_learned(shapes: Path, tmp_path: Path) -> None:
    code, text = run(shapes, "--out", tmp_path / "proof", "--overfit", 1, "--lr", 2e-3, *HERE)
    assert code == 0, text
    assert "1 image learned by heart" in text


def test_overfitting_without_time_fails_with_a_reason(shapes: Path, tmp_path: Path) -> None:
    code, text = run(shapes, "--out", tmp_path / "proof", "--overfit", 2, "--epochs", 2, *HERE)
    assert code == 1, text
    assert "2 images not learned" in text
    assert "more epochs" in text
