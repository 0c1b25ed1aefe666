"""SECURITY.md: each way in is tried with a trap, and what springs is a fault.

The ways into single formats are tried where those are tested: pickles in tests/weights/test_restricted_pickle.py and
test_load.py, programs of torch in tests/inference/test_torch_program.py, ONNX and OpenVINO in
tests/runtime/test_artifact.py and test_onnx_wire.py, XML in tests/datasets/formats/test_cvat.py and test_voc.py, YAML
and JSON in tests/test_json_yaml.py, redirects in tests/images/test_sources.py, HTML in
tests/evaluation/report/test_report.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import maskrcnn
from maskrcnn.config import preset, to_dict
from maskrcnn.datasets.conversion.writers import WRITERS
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.checkpoint import save_checkpoint
from tests import command

ROOT = Path(__file__).resolve().parent.parent
SETTINGS: dict[str, Any] = {
    "backbone": "timm:test_efficientnet",
    "fpn_channels": 8,
    "box_hidden": (16,),
    "mask_convs": (8,),
    "preprocess": {"short": (64, 64), "long": 96},
}
Watch = Callable[[], list[str]]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """What was asked of the network and of the shell since the beginning of the test."""
    seen: list[str] = []

    def note(what: str) -> Callable[..., Any]:
        def trap(*arguments: object, **more: object) -> Any:
            seen.append(f"{what} {arguments}")
            raise OSError(f"{what} is watched")

        return trap

    for place in ("socket.socket.connect", "socket.getaddrinfo", "os.system", "subprocess.Popen.__init__"):
        monkeypatch.setattr(place, note(place))
    return lambda: seen


def run(*words: object) -> str:
    """All that `maskrcnn words…` says; any error but ours is a fault."""
    _, text = command.run(*words)
    assert "Usage:" not in text, text
    return text


def tiny(path: Path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(MaskRCNN(preset("lite").replace(**SETTINGS), ["cat", "dog"]).eval(), path)
    return path


def with_metadata(path: Path, **changes: object) -> Path:
    """A checkpoint with other metadata."""
    content = {
        "format": "maskrcnn-1",
        "names": json.dumps(["cat", "dog"]),
        "config": json.dumps(to_dict(preset("lite").replace(**SETTINGS))),
        "provenance": "{}",
    }
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changes.items()}
    save_file({"x": torch.zeros(1)}, path, content | texts)
    return path


def test_the_page_names_tests_that_are_there() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for file in re.findall(r"tests/[\w/]+\.py", page + (__doc__ or "")):
        assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("backbone", ["timm:hf-hub:timm/resnet18", "timm:local-dir:{folder}", "timm:hf_hub:a/b@main"])
def test_a_backbones_name_asks_nobody(backbone: str, tmp_path: Path, watch: Watch) -> None:
    """In a checkpoint, in settings beside one, in a recipe, and on the command line."""
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", "pretrained_cfg": {}}))
    name = backbone.format(folder=tmp_path)
    config = to_dict(preset("lite").replace(**SETTINGS)) | {"backbone": name}
    path = with_metadata(tmp_path / "m.safetensors", config=config)
    says = "no such architecture"
    with pytest.raises(MaskRCNNError, match=r"m\.safetensors|no such architecture"):
        maskrcnn.load(path)
    run("convert", path, tmp_path / "new.safetensors")
    (tmp_path / "settings.yaml").write_text(json.dumps({"backbone": name}))
    with pytest.raises(MaskRCNNError, match=says):
        maskrcnn.load(tiny(tmp_path / "good.safetensors"), config=tmp_path / "settings.yaml")
    (tmp_path / "recipe.yaml").write_text(json.dumps({"model": {"backbone": name}}))
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    data = coco(tmp_path / "data", [{"id": 1, "file_name": "a.png", "width": 32, "height": 32}])
    for words in (["--recipe", tmp_path / "recipe.yaml"], ["--set", f'model={{"backbone": "{name}"}}']):
        assert says in run("train", data, "--out", tmp_path / "run", "--workers", 0, *words)
    assert watch() == []


def coco(folder: Path, images: list[dict[str, Any]], names: tuple[str, ...] = ("cat",)) -> Path:
    """A COCO data set of one split, a square object in each image; files named plainly are made."""
    folder.mkdir()
    annotations = []
    for number, image in enumerate(images):
        if "/" not in image["file_name"]:
            Image.new("RGB", (32, 32)).save(folder / image["file_name"])
        box = [4, 4, 16, 16]
        polygon = [[4, 4, 20, 4, 20, 20, 4, 20]]
        more = {"segmentation": polygon, "bbox": box, "area": 256, "iscrowd": 0}
        annotations.append({"id": number, "image_id": image["id"], "category_id": number % len(names), **more})
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))
    return folder


TAGS = [
    "!!python/object/apply:os.system ['touch {sprung}']",
    "!!python/object/new:subprocess.Popen [[touch, '{sprung}']]",
    "!!python/name:os.system",
    "!!python/module:antigravity",
]


@pytest.mark.parametrize("tag", TAGS)
def test_yaml_makes_no_objects(tag: str, tmp_path: Path, watch: Watch) -> None:
    sprung = tmp_path / "sprung"
    value = tag.format(sprung=sprung)
    (tmp_path / "recipe.yaml").write_text(f"epochs: {value}\n")
    assert "valid YAML" in run("train", tmp_path, "--recipe", tmp_path / "recipe.yaml", "--out", tmp_path / "run")
    (tmp_path / "data.yaml").write_text(f"path: .\ntrain: images\nnames: [{value}]\n")
    assert "valid YAML" in run("doctor", tmp_path / "data.yaml")
    (tmp_path / "config.yaml").write_text(f"MODEL: {value}\n")
    model = tiny(tmp_path / "m.safetensors")
    with pytest.raises(MaskRCNNError, match=r"YAML|yaml"):
        maskrcnn.load(model, config=tmp_path / "config.yaml")
    assert not sprung.exists()
    assert watch() == []


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_an_array_of_objects_is_no_image(tmp_path: Path) -> None:
    sprung, folder = tmp_path / "sprung", tmp_path / "images"
    folder.mkdir()
    np.save(folder / "a.npy", np.array([[Trap(sprung)]], dtype=object), allow_pickle=True)
    said = run("predict", folder, "--model", tiny(tmp_path / "m.safetensors"), "--out", tmp_path / "out")
    assert "a.npy" in said
    assert not sprung.exists()
    # The trap is a real one.
    np.load(folder / "a.npy", allow_pickle=True)
    assert sprung.exists()


@pytest.mark.parametrize("name", ["m.pth", "m.pt", "m.bin", "m.pkl", "m.ckpt"])
def test_a_pickle_is_not_let_have_its_way(name: str, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"model": {"x": torch.zeros(1)}, "more": Trap(sprung)}, tmp_path / name)
    for path in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(MaskRCNNError):
            maskrcnn.load(path)
    run("convert", tmp_path / name, tmp_path / "new.safetensors")
    assert not sprung.exists()
    torch.load(tmp_path / name, weights_only=False)
    assert sprung.exists()


def test_a_base_of_detectron2s_settings_is_not_followed(tmp_path: Path, watch: Watch) -> None:
    from maskrcnn.weights.detectron2_config import read_settings, settings_from_yaml

    (tmp_path / "base.yaml").write_text("TEST: {DETECTIONS_PER_IMAGE: 7}\n")
    for base in ("base.yaml", "../../../etc/passwd", "http://127.0.0.1/x.yaml", "detectron2://x"):
        (tmp_path / "config.yaml").write_text(json.dumps({"_BASE_": base, "INPUT": {"MIN_SIZE_TEST": 400}}))
        settings = settings_from_yaml(read_settings(tmp_path / "config.yaml"), False, tmp_path)
        assert "max_detections" not in settings.changes
    assert watch() == []


@pytest.mark.parametrize("form", WRITERS)
def test_no_name_in_data_leads_out_of_the_target(form: str, tmp_path: Path) -> None:
    """Names of classes and of images with the separators of every system, in each format that is written."""
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (32, 32)).save(outside / "c.png")
    files = ["a.png", "..\\b.png", "../outside/c.png", str(outside / "c.png")]
    images = [{"id": k, "file_name": file, "width": 32, "height": 32} for k, file in enumerate(files)]
    names = ("../../escaped", "/etc/escaped", "..\\escaped", "C:\\escaped")
    data = coco(tmp_path / "data", images, names)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    target = tmp_path / "deep" / "er" / "target"
    run("dataset", "convert", data, target, "--format", form)
    made = {path for path in tmp_path.rglob("*") if path not in before}
    assert any(path.suffix == ".png" for path in made)
    inside = [path for path in made if path.is_relative_to(target) or target.is_relative_to(path)]
    assert set(inside) == made
    assert {path: path.stat().st_mtime_ns for path in before if path.is_file()} == {
        path: when for path, when in before.items() if path.is_file()
    }


def test_a_file_that_labels_name_is_read_as_an_image_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(f"{'x' * 40} a secret")  # of no image the first bytes are told
    image = {"id": 1, "file_name": "../secret.txt", "width": 32, "height": 32}
    data = coco(tmp_path / "data", [image, {"id": 2, "file_name": "a.png", "width": 32, "height": 32}])
    run("dataset", "convert", data, tmp_path / "new", "--format", "yolo")
    said = run("doctor", data)
    assert "secret.txt" in said
    assert "a secret" not in said
    assert not any(b"a secret" in path.read_bytes() for path in (tmp_path / "new").rglob("*") if path.is_file())


def test_importing_and_helping_asks_nobody() -> None:
    """In a process of its own, where every request would be the first."""
    code = """
import socket, sys
def trap(*arguments, **more):
    raise SystemExit(f"asked {arguments}")
socket.socket.connect = socket.getaddrinfo = trap
import maskrcnn, maskrcnn.runtime
from maskrcnn.cli.main import app
from typer.testing import CliRunner
done = CliRunner().invoke(app, ["models"])
assert done.exit_code == 0, done.output
assert len(maskrcnn.load("nuclei").names) == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
