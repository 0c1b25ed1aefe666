"""docs/deploy.md and docs/Dockerfile do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.config import Config
from tests.distributions import CleanEnvironment, Distributions

ROOT = Path(__file__).parents[2]
DOCKERFILE, GUIDE = ROOT / "docs" / "Dockerfile", ROOT / "docs" / "deploy.md"
LARGEST = 200e6  # bytes
NO_INDEX = ("No matching distribution", "Could not find a version", "ConnectionError", "Connection broken", "timed out")


@pytest.fixture
def desk(writer: Callable[..., Path], small: Callable[..., Config], tmp_path: Path) -> Path:
    """A folder with model.onnx and photo.jpg."""
    writer(tmp_path / "model.onnx", small())
    Image.fromarray(np.full((90, 120, 3), 200, np.uint8)).save(tmp_path / "photo.jpg")
    return tmp_path


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what they say, comments left out and lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line]  # type: ignore[misc]


def test_it_has_twenty_lines() -> None:
    assert len(DOCKERFILE.read_text(encoding="utf-8").splitlines()) <= 20


def test_its_steps_make_an_environment_that_predicts(desk: Path) -> None:
    app, source = desk / "app", desk / "src"
    build = steps()[: [name for name, _ in steps()].index("FROM", 1)]
    for name, words in build:
        if name == "COPY":
            *files, target = words.split()
            place = desk / target.lstrip("/")
            for file in files:
                if (ROOT / file).is_dir():
                    shutil.copytree(ROOT / file, place, ignore=shutil.ignore_patterns("bundled", "__pycache__"))
                else:
                    place.mkdir(exist_ok=True)
                    shutil.copy(ROOT / file, place)
        elif name == "RUN":
            line = words.replace("/app", str(app)).replace("/src", str(source))
            line = line.replace("python -m venv", f"{sys.executable} -m venv")
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)
            if done.returncode and any(sign in done.stderr for sign in NO_INDEX):
                pytest.skip(f"pip reaches no index: {done.stderr.strip().splitlines()[-1]}")
            assert done.returncode == 0, done.stderr
    assert "torch" not in {path.name for path in app.glob("lib/python3*/site-packages/*")}
    size = sum(path.stat().st_size for path in app.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < LARGEST
    (entry,) = [json.loads(words) for name, words in steps() if name == "ENTRYPOINT"]
    words = [word.replace("/app", str(app)).replace("/model.onnx", str(desk / "model.onnx")) for word in entry]
    words += [str(desk / "photo.jpg"), "--out", str(desk / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=desk, env={})
    assert done.returncode == 0, done.stderr
    assert len(json.loads((desk / "out" / "predictions.json").read_text())) == 3
    assert (desk / "out" / "photo.png").is_file()


def test_the_wheel_and_what_the_guide_lists_predict(desk: Path, distributions: Distributions) -> None:
    (needs,) = re.findall(r"^\| `\.onnx` \|.*\| ([\w, ]+) \(", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    clean = CleanEnvironment(desk / "venv", distributions.wheel)
    clean.lend(needs.split(", "))
    clean.run("python", "-m", "maskrcnn.runtime", desk / "model.onnx", desk / "photo.jpg", "--out", desk / "out")
    assert len(json.loads((desk / "out" / "predictions.json").read_text())) == 3
    assert (desk / "out" / "photo.png").is_file()
    names = "('torch', 'typer', 'yaml')"
    clean.run("python", "-c", f"import importlib.util as u; assert not any(map(u.find_spec, {names}))")


def test_the_guides_examples_run(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    names: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        # The guide's model gives a hundred objects, the test's three.
        exec(example.replace("max_detections=20", "max_detections=2"), names)
    assert (desk / "objects.png").is_file()
    assert "no-such-photo.jpg: no such image file" in capsys.readouterr().out


def test_every_file_it_names_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", GUIDE.read_text(encoding="utf-8")):
        assert (GUIDE.parent / target).exists(), target
