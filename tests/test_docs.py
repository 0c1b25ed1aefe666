"""What the README and the pages of docs/ tell people to type works."""

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
from typer.testing import CliRunner

from maskrcnn.cli.main import app
from maskrcnn.config import preset
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.checkpoint import save_checkpoint
from tests.conftest import write_coco
from tests.networks import quick

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
README, TUTORIAL, TRUST, CHOICE = (
    (ROOT / path).read_text(encoding="utf-8")
    for path in ("README.md", "docs/train.md", "docs/trust.md", "docs/howto/choose-a-model.md")
)
# Pages whose examples run here, in the order of the page and with one set of names. Of the others, docs/train.md is run
# below and docs/deploy.md by tests/runtime/test_deploy.py; docs/migrate is read by tests/weights/test_migrate_docs.py.
PAGES = [ROOT / name for name in ("README.md", "docs/index.md", "docs/data.md", "docs/python.md")]
PAGES += [page for folder in ("howto", "reference") for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
EXAMPLE = re.compile(r"(<!-- not run: [^>]+ -->\n)?```(sh|python)\n(.*?)```", re.DOTALL)
# What takes long is shortened: half an hour, the input, all sizes and precisions.
SHORTER = {
    r"--overfit \d+": "--overfit 1 --minutes 1",
    r"--minutes \d+": "--minutes 0.02",
    r"minutes=\d+": "minutes=0.02, workers=0, evaluations=1, canvas=64, batch_size=2",
    r"^maskrcnn train ": "maskrcnn train --workers 0 --evaluations 1 --canvas 64 --batch-size 2 ",
    r"^maskrcnn benchmark ": "maskrcnn benchmark --seconds 1 --sizes own --precision fp32 ",
}
# In seconds nothing is learned by heart, and the drawn shapes are few and measured on what is trained on.
EXIT_CODES = {"--overfit": 1, "maskrcnn doctor DATA": 1}


@pytest.fixture
def desk(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the pages name.

    photo.jpg and photos; DATA and SRC with splits, labelled without; DATA16 of 16 bits and four channels; a model in
    runs/mine.
    """
    monkeypatch.chdir(desk := tmp_path)
    shutil.copy(Path(skimage.__file__).parent / "data" / "astronaut.png", desk / "photo.jpg")
    shapes.rename(desk / "DATA")
    (desk / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(np.full((96, 128, 3), 200, np.uint8)).save(desk / "photos" / name)
    small = quick("lite", preprocess={"short": (96, 96), "long": 160})
    save_checkpoint(MaskRCNN(small, ["disc", "triangle"]), desk / "runs" / "mine" / "best.safetensors")
    labelme_folder(desk / "labelled", desk / "DATA", "train", 4)
    shutil.copytree(desk / "DATA", desk / "SRC")
    for split in ("train", "val"):
        write_coco(desk / "DATA16", split, 2, side=96)
        for picture in (desk / "DATA16" / split).glob("*.png"):
            pixels = np.asarray(Image.open(picture)).astype(np.uint16) * 257
            np.save(picture.with_suffix(".npy"), np.concatenate((pixels, pixels[..., :1]), axis=2))
            picture.unlink()
        labels = desk / "DATA16" / f"{split}.json"
        labels.write_text(labels.read_text().replace(".png", ".npy"))
    return desk


def run_line(line: str) -> None:
    """Run a command of the package; of `pip` and `make`, check that there is what they name."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["pip", "install"]:
        extras = re.fullmatch(r"(?:maskrcnn|\.)(?:\[(.+)\])?", words[2])
        assert extras, line
        for extra in (extras[1] or "docs").split(","):
            assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE), line
    elif words[:1] == ["make"]:
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), line
    elif words:
        words = shlex.split(line, comments=True)
        assert words[0] == "maskrcnn", line
        result = CliRunner().invoke(app, words[1:])
        expected = max((code for part, code in EXIT_CODES.items() if part in line), default=0)
        assert result.exit_code == expected, (line, result.output, result.exception)


def run_examples(page: str) -> None:
    names: dict[str, object] = {}
    for excuse, language, text in EXAMPLE.findall(page):
        if excuse:
            continue
        for pattern, shorter in SHORTER.items():
            text = re.sub(pattern, shorter, text, flags=re.MULTILINE)
        if language == "python":
            exec(text, names)
        else:
            for line in text.replace("\\\n", " ").splitlines():
                run_line(line)


def test_the_readmes_first_example_finds_objects(desk: Path) -> None:
    names: dict[str, object] = {}
    exec(EXAMPLE.findall(README)[2][2], names)
    assert len(names["result"]) > 0  # type: ignore[arg-type]
    assert (desk / "objects.png").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, desk: Path) -> None:
    run_examples(page.read_text(encoding="utf-8"))


def test_the_examples_of_every_page_run_somewhere() -> None:
    elsewhere = {"train.md", "deploy.md", *(guide.name for guide in (ROOT / "docs" / "migrate").glob("*.md"))}
    with_examples = {path for path in (ROOT / "docs").rglob("*.md") if EXAMPLE.search(path.read_text("utf-8"))}
    assert {path.name for path in with_examples - set(PAGES)} == elsewhere


def test_every_file_they_name_is_there() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!http|#)([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            generated = "/reference/" in f"/{target}"  # tests/test_site.py follows these
            assert generated or (page.parent / target).exists(), (page, target)


def test_figures_that_can_be_counted_are_true() -> None:
    package = ROOT / "src" / "maskrcnn"
    files = [path for path in (package / "model").glob("*.py") if path.name != "__init__.py"]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    (said,) = re.findall(r"The model is (\d+) files and under ([\d,]+) lines", TRUST)
    assert int(said[0]) == len(files)
    assert lines < int(said[1].replace(",", "")) <= lines + 200
    for name, megabytes in re.findall(r"`(\w+)` \(bundled, (\d+) MB\)", README):
        size = (package / "weights" / "bundled" / f"{name}.safetensors").stat().st_size
        assert round(size / 1e6) == int(megabytes), name
    (millions,) = re.findall(r"Lite0, ([\d.]+) M parameters", CHOICE)
    with torch.device("meta"):
        lite = MaskRCNN(preset("lite"), ["one class"])
    assert round(sum(value.numel() for value in lite.parameters()) / 1e6, 1) == float(millions)


def test_the_pre_commit_hooks_run_what_make_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [hook["entry"] for hook in hooks] == recipe.replace("\t", "").replace("$(RUN)", ".venv/bin").splitlines()


def test_every_extra_that_export_needs_is_named() -> None:
    for page in (TUTORIAL, (ROOT / "docs" / "deploy.md").read_text("utf-8")):
        assert '"maskrcnn[onnx]"' in page


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
    run_examples(TUTORIAL)
    made = ("sheet.png", "stats/recipe.yaml", "runs/balloons/best.safetensors", "report/report.html", "found/a.png")
    for path in made:
        assert (tmp_path / path).is_file(), path
    assert isinstance(json.loads((tmp_path / "found" / "predictions.json").read_text()), list)
