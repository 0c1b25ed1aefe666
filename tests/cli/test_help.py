"""What --help says: defaults, words for values, no markup."""

from __future__ import annotations

import re

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
