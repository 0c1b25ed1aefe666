"""What --help says: defaults, words for values, no markup; and what a shell completes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from maskrcnn.cli import console
from maskrcnn.cli import main as cli
from maskrcnn.training.recipe import Recipe

VERBS = ["predict", "demo", "train", "evaluate", "doctor", "benchmark", "export", "models", "convert"]
DATASET = [["dataset", verb] for verb in ("split", "stats", "view", "convert")]


def shown(*words: str, columns: int = 80) -> str:
    """The help of a verb on a terminal of this width."""
    result = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": str(columns)}, terminal_width=columns)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("words", [[], *([verb] for verb in VERBS), ["dataset"], *DATASET], ids=" ".join)
def test_help_fits_and_is_complete(words: list[str]) -> None:
    text = shown(*words)
    assert max(map(len, text.splitlines())) <= 80
    assert "<bool>" not in text
    assert "..." not in re.sub(r"\S+\.\.\.", "", text), "a sentence is cut off"
    assert f"Usage: maskrcnn {' '.join(words)}".strip() in text.replace("root", "maskrcnn")


def test_every_default_is_shown() -> None:
    flat = " ".join(shown("train").split())
    for name in ("preset", "batch_size", "canvas", "optimizer", "evaluations", "patience", "seed"):
        option = f"--{name.replace('_', '-')} "
        part = flat.split(option, 1)[1].split(" --")[0]
        assert f"[default: {Recipe.model_fields[name].default}]" in part, (name, part)
    assert "without either 30, or as many as make 300 steps" in flat  # of --epochs
    flat = " ".join(shown("predict").split())
    for default in ("nuclei", "out", "0.5; 0<=x<=1", "auto", "overlays"):
        assert f"[default: {default}]" in flat
    assert "--overlays / --no-overlays" in flat


def test_help_is_no_markup() -> None:
    app = typer.Typer(rich_markup_mode=cli.app.rich_markup_mode)
    app.command(help="Needs maskrcnn[onnx] and [/x].")(lambda: None)
    assert "Needs maskrcnn[onnx] and [/x]." in CliRunner().invoke(app, ["--help"]).output


def test_a_wrong_verb_or_option_suggests_the_right_one() -> None:
    for words, suggestion in (
        (["predct"], "predict"),
        (["predict", "--scor", "1"], "--score"),
        (["predict"], "SOURCE"),
    ):
        result = CliRunner().invoke(cli.app, words)
        assert result.exit_code == 2
        assert suggestion in result.output


def completed(line: str) -> list[str]:
    """What bash gets for a line whose last word is to be completed."""
    last = line.count(" ")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['maskrcnn']; from maskrcnn.cli.main import main; main()"],
        env={
            **os.environ,
            "_MASKRCNN_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(last),
        },
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_verbs_options_and_values() -> None:
    assert completed("maskrcnn pre") == ["predict"]
    assert completed("maskrcnn predict --sc") == ["--score"]
    assert completed("maskrcnn predict --model nuc") == ["nuclei"]
    assert completed("maskrcnn predict --device c") == ["cpu", "cuda"]
    assert completed("maskrcnn evaluate data --precision f") == ["fp32", "fp16"]


def test_completion_is_shown_and_installed(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("maskrcnn")
    if not script.exists():
        pytest.skip("needs the installed command")
    env = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    call = f"{script} --show-completion bash 2>/dev/null || {script} --show-completion; true"
    done = subprocess.run(["bash", "-c", call], env=env, capture_output=True, text=True)
    assert "_MASKRCNN_COMPLETE=complete_bash" in done.stdout
    subprocess.run(["bash", "-c", f"{script} --install-completion; true"], env=env, capture_output=True, check=True)
    assert (tmp_path / ".bash_completions" / "maskrcnn.sh").is_file()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_models_are_readable_at_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "width", columns)
    result = CliRunner().invoke(cli.app, ["models"])
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= columns
    flat = " ".join(result.output.split())
    for words in (
        "nuclei (bundled, 13 MB)",
        "coco-v2 (fetched once)",
        "80 everyday classes, ResNet-50-FPN v2 (torchvision's v2)",
        "licence: CC BY-SA 3.0",
        "box AP 47.4, mask AP 41.8 (published)",
    ):
        assert words in flat
    assert "…" not in flat
