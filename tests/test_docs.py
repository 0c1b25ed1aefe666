"""What the README and docs/train.md tell people to type works."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from maskrcnn.cli.main import app
from maskrcnn.config import preset
from maskrcnn.model.mask_rcnn import MaskRCNN

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
README, TUTORIAL = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "docs" / "train.md").read_text("utf-8")
# Half an hour is shortened, and the input with it.
QUICK = "--minutes 0.05 --canvas 64 --batch-size 2 --workers 0"


@pytest.fixture
def desk(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the README's photo.jpg and DATA."""
    shutil.copy(Path(skimage.__file__).parent / "data" / "ihc.png", tmp_path / "photo.jpg")
    shapes.rename(tmp_path / "DATA")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[str]:
    return [line for block in blocks(text, "sh") for line in block.splitlines() if line.startswith("maskrcnn ")]


def run(line: str) -> Result:
    return CliRunner().invoke(app, shlex.split(line)[1:])


def test_the_python_example_runs(desk: Path) -> None:
    (example,) = blocks(README, "python")
    names: dict[str, object] = {}
    exec(example, names)
    assert len(names["result"]) > 0  # type: ignore[arg-type]
    assert (desk / "objects.png").is_file()


def test_the_commands_run(desk: Path) -> None:
    verbs = {"predict", "demo", "models", "train", "evaluate", "doctor", "benchmark", "export"}
    assert {shlex.split(line)[1] for line in commands(README)} == verbs
    for line in commands(README):
        quick = " --seconds 1" if " benchmark " in line else ""
        result = run(line.replace("--minutes 30", QUICK) + quick)
        # The fixture validates on the images it trains on, which the doctor does not let pass.
        expected = 1 if " doctor " in line else 0
        assert result.exit_code == expected, (line, result.output, result.exception)
    assert (desk / "out" / "photo.png").is_file()
    assert (desk / "runs" / "mine" / "last.safetensors").is_file()


def test_every_file_they_name_is_there() -> None:
    for folder, text in ((ROOT, README), (ROOT / "docs", TUTORIAL)):
        for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
            assert (folder / target).exists(), target


def test_figures_that_can_be_counted_are_true() -> None:
    package = ROOT / "src" / "maskrcnn"
    files = [path for path in (package / "model").glob("*.py") if path.name != "__init__.py"]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    (said,) = re.findall(r"The model is (\d+) files and under ([\d,]+) lines", README)
    assert int(said[0]) == len(files)
    assert lines < int(said[1].replace(",", "")) <= lines + 200
    for name, megabytes in re.findall(r"`(\w+)` \(bundled, (\d+) MB\)", README):
        size = (package / "weights" / "bundled" / f"{name}.safetensors").stat().st_size
        assert round(size / 1e6) == int(megabytes), name
    (millions,) = re.findall(r"([\d.]+) M parameters", README)
    with torch.device("meta"):
        lite = MaskRCNN(preset("lite"), ["one class"])
    assert round(sum(value.numel() for value in lite.parameters()) / 1e6, 1) == float(millions)


def test_the_pre_commit_hooks_run_what_make_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [hook["entry"] for hook in hooks] == recipe.replace("\t", "").replace("$(RUN)", ".venv/bin").splitlines()


def test_every_extra_that_export_needs_is_named() -> None:
    for page in (README, (ROOT / "docs" / "deploy.md").read_text("utf-8")):
        assert '"maskrcnn[onnx]"' in page
    assert '"maskrcnn[onnx]"' in TUTORIAL


def labelme_folder(folder: Path, source: Path, split: str, count: int) -> None:
    """Photos with a labelme file each, as labelme writes it, from a COCO split."""
    folder.mkdir()
    content = json.loads((source / f"{split}.json").read_text())
    for image in content["images"][:count]:
        name = Path(image["file_name"]).name
        with Image.open(source / split / name) as photo:
            photo.convert("RGB").save(folder / f"{Path(name).stem}.jpg")
        own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        shapes = [
            {
                "label": "balloon",
                "points": np.reshape(polygon, (-1, 2)).tolist(),
                "group_id": entry["id"],
                "shape_type": "polygon",
                "flags": {},
            }
            for entry in own
            for polygon in entry["segmentation"]
        ]
        labels = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"{Path(name).stem}.jpg",
            "imageData": None,
            "imageHeight": image["height"],
            "imageWidth": image["width"],
        }
        (folder / f"{Path(name).stem}.json").write_text(json.dumps(labels))


def test_the_tutorial_runs(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the balloon photos where they are at hand, else on drawn shapes; what takes long is shortened."""
    real = (SHARED / "balloon").is_dir()
    labelme_folder(tmp_path / "balloons", *((SHARED / "balloon", "train", 12) if real else (shapes, "train", 4)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new-photos").mkdir()
    for name, photo in zip(("a.jpg", "b.jpg"), sorted((tmp_path / "balloons").glob("*.jpg")), strict=False):
        shutil.copy(photo, tmp_path / "new-photos" / name)
    for line in commands(TUTORIAL):
        if "--resume" in line:
            continue  # for runs that were lost; tests/training/test_resume.py kills one
        quick = line.replace("--overfit 4", f"--overfit 1 {QUICK}").replace("--minutes 20", QUICK)
        result = run(quick)
        # In seconds nothing is learned by heart, and that is told by the exit code.
        expected = 1 if "--overfit" in line else 0
        assert result.exit_code == expected, (quick, result.output, result.exception)
    made = ("sheet.png", "stats/recipe.yaml", "runs/balloons/best.safetensors", "report/report.html", "found/a.png")
    for path in made:
        assert (tmp_path / path).is_file(), path
    assert isinstance(json.loads((tmp_path / "found" / "predictions.json").read_text()), list)
    (example,) = blocks(TUTORIAL, "python")
    exec(example, {})
