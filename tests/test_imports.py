"""What a cold start imports: torch, and what is as slow, only where it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.runtime.conftest import small_config, write

SCIENCE = ("scipy", "skimage", "matplotlib", "pandas")
TRAINING = ("torchvision", "timm", "accelerate", "torch._dynamo", "torch._inductor", "sympy")
HELP = ("numpy", "torch", *SCIENCE, *TRAINING)  # what no help needs
COMMAND = "import sys; from maskrcnn.cli.main import run_command; code = run_command({words}); assert code == 0, code"


def imported(script: str, *names: str) -> list[str]:
    """Those of the modules that a fresh process has imported at the end of a script."""
    script += f"\nimport sys; print('imported:', *[name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("imported:")[2].split()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)).save(tmp_path / "a.jpg")
    return tmp_path / "a.jpg"


def test_the_package_alone_is_light() -> None:
    assert not imported("import maskrcnn", "numpy", "torch", *SCIENCE, *TRAINING)


@pytest.mark.parametrize("words", [["--help"], ["dataset", "--help"], ["--version"]], ids=" ".join)
def test_the_list_of_commands_needs_no_command(words: list[str]) -> None:
    commands = [f"maskrcnn.cli.{name}_command" for name in ("predict", "train", "dataset_view")]
    assert not imported(COMMAND.format(words=words), *commands, "maskrcnn.training", *HELP)
    if words == ["--help"]:  # newer typers themselves take pydantic for all other words
        assert not imported(COMMAND.format(words=words), "pydantic")


def test_help_on_a_command_imports_that_command() -> None:
    names = ("maskrcnn.cli.predict_command", "maskrcnn.training.recipe", *HELP)
    assert imported(COMMAND.format(words=["predict", "--help"]), *names) == ["maskrcnn.cli.predict_command"]
    assert imported(COMMAND.format(words=["train", "--help"]), *names) == ["maskrcnn.training.recipe"]


def test_completion_imports_what_it_completes() -> None:
    for line, wanted in (("maskrcnn pre", []), ("maskrcnn predict --sc", ["maskrcnn.cli.predict_command"])):
        request = {"_MASKRCNN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        script = (
            f"import os, sys; os.environ.update({request}); from maskrcnn.cli.main import app\n"
            "try: app([], prog_name='maskrcnn')\nexcept SystemExit as end: assert end.code == 0"
        )
        assert imported(script, "maskrcnn.cli.predict_command", "maskrcnn.training.recipe", *HELP) == wanted


def test_files_need_no_http() -> None:
    assert not imported("import maskrcnn.prediction.prediction_run", "http.client", "urllib.request", "ssl", "torch")


def test_a_photo_with_a_bundled_model_needs_torch_alone(photo: Path) -> None:
    words = ["predict", str(photo), "--out", str(photo.parent / "out"), "--device", "cpu"]
    assert imported(COMMAND.format(words=words), "torch", *SCIENCE, *TRAINING) == ["torch"]


def test_a_photo_with_an_exported_model_needs_no_torch(photo: Path) -> None:
    model = write(photo.parent / "model.onnx", small_config())
    words = ["predict", str(photo), "--model", str(model), "--out", str(photo.parent / "out")]
    assert imported(COMMAND.format(words=words), "onnxruntime", "torch", *SCIENCE, *TRAINING) == ["onnxruntime"]
