"""`predict`, `evaluate` and `benchmark` take exported files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maskrcnn
from maskrcnn.config import Config
from tests.command import run

SHARES = np.array([[0.1, 0.2, 0.5, 0.6], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.25, 1.0]])
LABELS = (1, 0, 1)


@pytest.fixture(scope="module", params=[".onnx", ".xml"])
def model(
    request: pytest.FixtureRequest,
    writer: Callable[..., Path],
    small: Callable[..., Config],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An artifact that finds three rectangles, whole boxes, in any image."""
    path = tmp_path_factory.mktemp("verbs") / f"model{request.param}"
    return writer(path, small(), mask=np.ones((4, 4), np.float32))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """COCO data whose objects are exactly those rectangles."""
    folder = tmp_path / "data"
    (folder / "val").mkdir(parents=True)
    images, annotations = [], []
    for number, (height, width) in enumerate([(100, 200), (200, 100)], 1):
        pixels = np.random.default_rng(number).integers(200, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "val" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
        for share, label in zip(SHARES, LABELS, strict=True):
            x1, y1, x2, y2 = (share * [width, height, width, height]).round().tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "iscrowd": 0,
                    "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]], "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                }
            )  # fmt: skip
    categories = [{"id": 1, "name": "disc"}, {"id": 2, "name": "triangle"}]
    (folder / "val.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return folder


def test_predict(model: Path, data: Path, tmp_path: Path) -> None:
    code, text = run("predict", data / "val", "--model", model, "--out", tmp_path / "out")
    assert code == 0, text
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [(row["file_name"], row["category_name"]) for row in rows] == [
        (name, kind) for name in ("1.png", "2.png") for kind in ("triangle", "disc", "triangle")
    ]
    assert Image.open(tmp_path / "out" / "1.png").size == (200, 100)


def test_evaluate(model: Path, data: Path, tmp_path: Path) -> None:
    words = ("evaluate", data, "--model", model, "--out", tmp_path / "out")
    code, text = run(*words, "--json", tmp_path / "all.json")
    assert code == 0, text
    content = json.loads((tmp_path / "all.json").read_text())
    assert content["max_detections"] == 3
    assert content["metrics"]["box_AP"] == pytest.approx(100, abs=1e-6)
    assert content["metrics"]["mask_AP"] == pytest.approx(100, abs=1e-6)
    # Of two triangles and a disc, the best two that the graph gives are one of each.
    code, text = run(*words, "--json", tmp_path / "two.json", "--max-detections", 2)
    assert code == 0, text
    fewer = json.loads((tmp_path / "two.json").read_text())
    assert fewer["max_detections"] == 2
    assert fewer["per_class"]["disc"]["mask_AP"] == pytest.approx(100, abs=1e-6)
    assert fewer["per_class"]["triangle"]["mask_AP"] < 60
    code, text = run(*words, "--max-detections", 100)
    assert code == 2
    assert "at most 3 detections" in text


def test_evaluate_in_python(model: Path, data: Path) -> None:
    predictor = maskrcnn.load(model)
    for given in (predictor, model):
        assert maskrcnn.evaluate(given, data).metrics["mask_AP"] == pytest.approx(100, abs=1e-6)
    assert predictor.model.config.max_detections == 3


def test_benchmark(model: Path, data: Path, tmp_path: Path) -> None:
    words = ("benchmark", data / "val", "--model", model, "--seconds", 1)
    code, text = run(*words, "--sizes", 32, "--json", tmp_path / "speed.json")
    assert code == 0, text
    assert "fp32, onnxruntime" in text or "fp32, openvino" in text
    assert "Keep the default, fp32" in text
    content = json.loads((tmp_path / "speed.json").read_text())
    assert [(row["precision"], row["short"], row["objects"]) for row in content["rows"]] == [
        ("fp32", [64, 96], 6),
        ("fp32", [32, 32], 6),
    ]
    code, text = run(*words, "--precision", "bf16")
    assert code == 2
    assert "exported in fp32" in text


def test_benchmark_of_another_precision(
    writer: Callable[..., Path], small: Callable[..., Config], note: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    path = writer(tmp_path / "eight.onnx", small(), note=note(small(), precision="int8"))
    code, text = run("benchmark", data / "val", "--model", path, "--seconds", 1, "--sizes", "own")
    assert code == 0, text
    assert "Keep the default, int8" in text
    assert "fp32" not in text
