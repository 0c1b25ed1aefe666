"""What a shell completes, asked for as bash, zsh and fish ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn.cli.main import app
from maskrcnn.cli.options import DATA_FORMATS
from maskrcnn.config import PRESETS
from maskrcnn.datasets.conversion.writers import WRITERS
from maskrcnn.datasets.formats.format_registry import FORMATS
from maskrcnn.exporting import export_formats

CATALOG = ["coco", "coco-v2", "coco-d2-r50-1x", "coco-d2-r50-3x", "coco-d2-r101-3x", "coco-d2-x101-3x"]
# Everything that a shell needs: the package of this tree, under the name of the command.
COMMAND = f"#!{sys.executable}\nimport sys; sys.argv[0] = 'maskrcnn'\nfrom maskrcnn.cli.main import main; main()\n"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell with an own home and `maskrcnn` on its path."""
    script = tmp_path / "bin" / "maskrcnn"
    script.parent.mkdir()
    script.write_text(COMMAND)
    script.chmod(0o755)
    return {**os.environ, "HOME": str(tmp_path), "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"}


Answered = Callable[..., str]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answered:
    """``answered(shell, NAME=value, …)``: what the shell is told, with its request in these variables."""

    def answer(shell: str, **request: str) -> str:
        for name, value in {"_MASKRCNN_COMPLETE": f"complete_{shell}", **request}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            app([], prog_name="maskrcnn")
        told = capsys.readouterr()
        assert (end.value.code, told.err) == (0, "")
        return told.out

    return answer


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("maskrcnn pre", ["predict"]),
        ("maskrcnn dataset v", ["view"]),
        ("maskrcnn predict --sc", ["--score"]),
        ("maskrcnn predict --device c", ["cpu", "cuda"]),
        ("maskrcnn predict --model ", ["nuclei", "people", *CATALOG]),
        ("maskrcnn predict --model coco-v", ["coco-v2"]),
        ("maskrcnn export nuc", ["nuclei"]),
        ("maskrcnn export nuclei --format o", ["onnx", "openvino"]),
        ("maskrcnn export nuclei --precision ", list(export_formats.PRECISIONS)),
        ("maskrcnn evaluate data --precision f", ["fp32", "fp16"]),
        ("maskrcnn evaluate data --split ", ["train", "val", "test"]),
        ("maskrcnn dataset stats data --split v", ["val"]),
        ("maskrcnn dataset view data --sort s", ["smallest"]),
        ("maskrcnn dataset convert data --format ", list(DATA_FORMATS)),
        ("maskrcnn dataset split data --format y", ["yolo"]),
        ("maskrcnn doctor data --preset resnet50_fpn_", ["resnet50_fpn_v2"]),
        ("maskrcnn train data --preset ", list(PRESETS)),
        ("maskrcnn train data --init ", ["auto", "none", "nuclei", "people", *CATALOG]),
        ("maskrcnn train data --init n", ["none", "nuclei"]),
        ("maskrcnn train data --optimizer ", ["adamw", "sgd"]),
        ("maskrcnn train data --batch-size ", ["auto"]),
        ("maskrcnn train data --track t", ["tensorboard"]),
        # Nothing is offered, and so the shell completes names of files.
        ("maskrcnn predict ", []),
        ("maskrcnn train photos", []),
        ("maskrcnn predict --model runs/", []),
    ],
)
def test_words_are_completed(line: str, words: list[str], answered: Answered) -> None:
    assert answered("bash", COMP_WORDS=line, COMP_CWORD=str(line.count(" "))).split() == words


def test_the_formats_offered_are_those_that_are_written() -> None:
    assert set(DATA_FORMATS) == set(WRITERS) <= {one.name for one in FORMATS}


def test_completion_opens_no_library_that_takes_seconds(shell: dict[str, str]) -> None:
    words = {"_MASKRCNN_COMPLETE": "complete_bash", "COMP_WORDS": "maskrcnn predict --model nuc", "COMP_CWORD": "3"}
    call = [sys.executable, "-X", "importtime", shutil.which("maskrcnn", path=shell["PATH"]) or ""]
    done = subprocess.run(call, env={**shell, **words}, capture_output=True, text=True)
    assert done.stdout.split() == ["nuclei"]
    opened = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in opened
    assert opened.isdisjoint({"torch", "torchvision", "numpy", "scipy", "matplotlib"})


def test_bash_completes_what_was_installed(shell: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    subprocess.run(["bash", "-c", "maskrcnn --install-completion; true"], env=shell, capture_output=True, check=True)
    script = tmp_path / ".bash_completions" / "maskrcnn.sh"
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()
    asked = (
        "COMP_WORDS=(maskrcnn predict --model nu); COMP_CWORD=3; _maskrcnn_completion maskrcnn; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", f"source {script}; {asked}"], env=shell, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["nuclei"], "")


def test_zsh_and_fish_are_answered(answered: Answered) -> None:
    request = {"_TYPER_COMPLETE_ARGS": "maskrcnn predict --model nuc", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert answered("zsh", **request) == "_arguments '*: :((\"nuclei\"))'\n"
    assert answered("fish", **request) == "nuclei\n"
    assert answered("zsh", _TYPER_COMPLETE_ARGS="maskrcnn predict pho") == "_files\n"
