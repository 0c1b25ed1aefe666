"""What the README tells people to type works."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import skimage
from typer.testing import CliRunner

from maskrcnn.cli.main import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the README's photo.jpg and DATA."""
    shutil.copy(Path(skimage.__file__).parent / "data" / "ihc.png", tmp_path / "photo.jpg")
    shapes.rename(tmp_path / "DATA")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(desk: Path) -> None:
    (example,) = blocks("python")
    names: dict[str, object] = {}
    exec(example, names)
    assert len(names["result"]) > 0  # type: ignore[arg-type]
    assert (desk / "objects.png").is_file()


def test_the_commands_run(desk: Path) -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("maskrcnn ")]
    assert {shlex.split(line)[1] for line in commands} == {"predict", "demo", "models", "train", "evaluate"}
    for line in commands:
        # Half an hour is shortened, and the input with it.
        words = shlex.split(line.replace("--minutes 30", "--minutes 0.05 --canvas 64 --batch-size 2 --workers 0"))[1:]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (line, result.output, result.exception)
    assert (desk / "out" / "photo.png").is_file()
    assert (desk / "runs" / "mine" / "last.safetensors").is_file()


def test_every_file_it_names_is_there() -> None:
    root = Path(__file__).parent.parent
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (root / target).exists(), target
