"""Exported models: the same result from every kind of image, and what is said of wrong files and requests."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save
from PIL import Image

from maskrcnn import runtime
from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import decode
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.runtime.__main__ import main
from tests.predictor_contract import PredictorContract
from tests.threads import assert_equal, check_two_threads

SHARES = np.array([[0.1, 0.2, 0.5, 0.6], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.25, 1.0]])
Make = Callable[..., Path]


def photo(height: int, width: int, brightest: int = 255) -> np.ndarray:
    pixels = np.full((height, width, 3), brightest // 2, np.uint8)
    pixels[: -(-height // 2)] = brightest
    return pixels


class TestRuntime(PredictorContract):
    """Three objects in any image, in ONNX Runtime and in OpenVINO."""

    @pytest.fixture
    def predictor(self, artifact: Path) -> ImagePredictor:
        return runtime.load(artifact, threads=1)


@pytest.mark.parametrize("size", [(480, 640), (33, 33), (1, 1), (700, 20), (64, 96)])
def test_objects_are_in_pixels_of_the_image(artifact: Path, size: tuple[int, int]) -> None:
    model = runtime.load(artifact, threads=1)
    assert model.names == ("disc", "triangle")
    result = model.predict(photo(*size), score=0.5)
    assert result.size == size
    assert result.names == ["triangle", "disc", "triangle"]
    assert result.scores.tolist() == pytest.approx([0.9, 0.6, 1.0], abs=1e-5)
    assert (result.boxes.dtype, result.scores.dtype, result.labels.dtype) == (np.float32, np.float32, np.int64)
    np.testing.assert_allclose(result.boxes, SHARES * np.array([size[1], size[0]] * 2), atol=1e-3)
    assert result.draw().size == (size[1], size[0])


def test_masks_fill_the_left_half_of_each_box(artifact: Path) -> None:
    result = runtime.load(artifact, threads=1).predict(photo(100, 200))
    dense = result.masks.dense()
    for mask, (x1, y1, x2, y2) in zip(dense, SHARES * [200, 100, 200, 100], strict=True):
        want = np.zeros((100, 200), bool)
        want[round(y1) : round(y2), round(x1) : round((x1 + x2) / 2)] = True
        assert (mask & want).sum() / (mask | want).sum() > 0.95
    rows = result.to_coco(7)
    assert [row["category_name"] for row in rows] == result.names
    for row, mask in zip(rows, dense, strict=True):
        bitmap, x, y = decode(row["segmentation"])
        np.testing.assert_array_equal(mask[y : y + bitmap.shape[0], x : x + bitmap.shape[1]], bitmap)
        assert bitmap.sum() == mask.sum()


def test_a_picture_reaches_the_graph_as_it_is_stored(artifact: Path) -> None:
    model = runtime.load(artifact, threads=1)
    for brightest in (20, 100, 251):
        (score,) = model.predict(photo(70, 80, brightest), 0.0)[2].scores
        assert score == pytest.approx(brightest / 255, abs=1e-4)


def test_a_graph_of_one_image_takes_batches_too(writer: Make, small: Callable[..., Config], tmp_path: Path) -> None:
    model = runtime.load(writer(tmp_path / "one.onnx", small(), batch=1), threads=1)
    images = [photo(64, 64, 200), photo(90, 50, 100), photo(64, 200, 150)]
    results = model.predict(images, 0.0, batch_size=3)
    assert [result.size for result in results] == [(64, 64), (90, 50), (64, 200)]
    assert [result.scores[2] for result in results] == pytest.approx([200 / 255, 100 / 255, 150 / 255], abs=1e-4)


def test_models_of_other_channels(writer: Make, small: Callable[..., Config], tmp_path: Path) -> None:
    config = small(preprocess={"mean": (0.2,) * 5, "std": (0.1,) * 5, "depth": 16})
    model = runtime.load(writer(tmp_path / "five.onnx", config), threads=1)
    pixels = np.full((64, 80, 5), 1000, np.uint16)
    pixels[8:16, 8:16, 3] = 30_000
    np.save(tmp_path / "five.npy", pixels)
    for image in (pixels, tmp_path / "five.npy"):
        result = model.predict(image, 0.0)
        assert result.scores[2] == pytest.approx(30_000 / 65_535, abs=1e-4)
    with pytest.raises(MaskRCNNError, match="5 channels"):
        model.predict(photo(64, 64))


def test_what_a_call_may_ask_for_and_what_is_part_of_the_graph(artifact: Path) -> None:
    model = runtime.load(artifact, threads=1)
    assert len(model.predict(photo(64, 64), 0.0)) == 3
    assert len(model.predict(photo(64, 64), 0.0, max_detections=2)) == 2
    for options, size in ((PredictionOptions(size=32), [32, 32]), (PredictionOptions(), [64, 64])):
        assert model.network.detect([photo(64, 64)], options).wait().sizes.tolist() == [size]
    with pytest.raises(MaskRCNNError, match=r"model\.\w+: exported with at most 3 detections .*max_detections 100"):
        model.predict(photo(64, 64), max_detections=100)
    with pytest.raises(MaskRCNNError, match="at most 3"):
        next(model.stream([photo(64, 64)], max_detections=4))
    with pytest.raises(MaskRCNNError, match="32 to 4096 pixels, found 5"):
        model.predict(photo(64, 64), size=5)
    for owner in (model, model.model):
        with pytest.raises(AttributeError, match="config"):
            owner.config = owner.config.replace(max_detections=2)  # type: ignore[misc]
    assert runtime.load(artifact, threads=1, size=32).preprocess.short == (32, 32)


def test_a_model_is_loaded_again_in_another_process(artifact: Path) -> None:
    model = runtime.load(artifact, threads=1, size=32)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert_equal(model.predict(photo(64, 96), 0.0), pool.submit(model.predict, photo(64, 96), 0.0).result(120))
    again = pickle.loads(pickle.dumps(model))
    assert (again.preprocess.short, again.names) == ((32, 32), model.names)
    beside = artifact.with_suffix(".bin") if artifact.suffix == ".xml" else artifact
    before = beside.stat().st_mtime_ns
    os.utime(beside, ns=(before, before + 1))
    try:
        with pytest.raises(MaskRCNNError, match=f"model.{beside.suffix[1:]}: the file changed since"):
            pickle.dumps(model)
    finally:
        os.utime(beside, ns=(before, before))
    with pytest.raises(MaskRCNNError, match="not loaded from a file"):
        pickle.dumps(runtime.Runtime(model.model))


def test_two_threads_get_what_one_gets(artifact: Path) -> None:
    check_two_threads(runtime.load(artifact, threads=1))


def test_models_are_opened_by_several_threads_at_once(artifact: Path, capsys: pytest.CaptureFixture) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert {len(model.names) for model in pool.map(lambda _: runtime.load(artifact, threads=1), range(8))} == {2}
    print("standard output is still there")
    assert capsys.readouterr().out == "standard output is still there\n"


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_files_that_are_not_ours(
    writer: Make, small: Callable[..., Config], note: Callable[..., str], tmp_path: Path, suffix: str
) -> None:
    config = small()
    wrong = {
        "images, sizes, score": writer(tmp_path / f"foreign{suffix}", config, note=None),
        "damaged metadata": writer(tmp_path / f"garbage{suffix}", config, note="{"),
        "maskrcnn-artifact-9": writer(
            tmp_path / f"newer{suffix}", config, note=note(config, format="maskrcnn-artifact-9")
        ),
        "unheard_of": writer(tmp_path / f"unknown{suffix}", config, note=note(config, config={"unheard_of": 1})),
        "names": writer(tmp_path / f"nameless{suffix}", config, note=note(config, names=[])),
        "masks missing": writer(tmp_path / f"maskless{suffix}", config, outputs=4),
        "graph takes 3": writer(
            tmp_path / f"grey{suffix}", config, note=note(small(preprocess={"mean": (0.5,), "std": (0.5,)}))
        ),
    }
    for words, path in wrong.items():
        with pytest.raises(MaskRCNNError, match=words) as caught:
            runtime.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_classifier_is_told_from_a_model_of_ours(tmp_path: Path) -> None:
    port = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3, 224, 224])
    done = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, 224, 224])
    whole = helper.make_graph([helper.make_node("Relu", ["pixel_values"], ["logits"])], "x", [port], [done])
    save(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(tmp_path / "x.onnx"))
    with pytest.raises(MaskRCNNError, match=r"pixel_values.*logits.*maskrcnn export CHECKPOINT"):
        runtime.load(tmp_path / "x.onnx")


def test_damaged_and_missing_files(artifact: Path, tmp_path: Path) -> None:
    for name in ("half", "empty"):
        for part in artifact.parent.glob("model.*"):
            content = part.read_bytes()
            (tmp_path / f"{name}{part.suffix}").write_bytes(content[: len(content) // 2] if name == "half" else b"")
        with pytest.raises(MaskRCNNError, match="damaged") as caught:
            runtime.load(tmp_path / f"{name}{artifact.suffix}")
        assert "\n" not in str(caught.value)
    for path, words in (
        ("none.onnx", "no such"),
        ("none.xml", "no such"),
        ("x.safetensors", "maskrcnn.load"),
        ("x", "suffix"),
    ):
        with pytest.raises(MaskRCNNError, match=words):
            runtime.load(tmp_path / path)
    with pytest.raises(MaskRCNNError, match="threads"):
        runtime.load(artifact, threads=0)
    with pytest.raises(MaskRCNNError, match="device"):
        runtime.load(artifact, device="mps")


def test_openvino_weights_must_lie_beside_the_graph(writer: Make, small: Callable[..., Config], tmp_path: Path) -> None:
    path = writer(tmp_path / "model.xml", small())
    (tmp_path / "model.bin").unlink()
    with pytest.raises(MaskRCNNError, match=r"model\.bin"):
        runtime.load(path)


def test_a_missing_runtime_is_named(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "onnxruntime" if artifact.suffix == ".onnx" else "openvino"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MaskRCNNError, match=f"pip install {name}"):
        runtime.load(artifact)


def test_a_tiff_without_its_reader(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(photo(60, 90)).save(tmp_path / "photo.tif")
    model = runtime.load(artifact, threads=1)
    assert len(model.predict(tmp_path / "photo.tif")) == 3
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(MaskRCNNError, match="pip install tifffile"):
        model.predict(tmp_path / "photo.tif")


def test_the_command_writes_what_predict_writes(artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    Image.fromarray(photo(60, 90)).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    assert main([str(artifact), str(tmp_path / "photo.png"), "--out", str(out), "--threads", "1"]) == 0
    rows = json.loads((out / "predictions.json").read_text())
    assert [row["category_name"] for row in rows] == ["triangle", "disc", "triangle"]
    assert Image.open(out / "photo.png").size == (90, 60)
    assert main([str(artifact), str(tmp_path / "photo.png"), str(tmp_path / "no.png"), "--out", str(out)]) == 1
    assert main([str(artifact), str(tmp_path / "no.png"), "--out", str(out)]) == 2
    assert main([str(tmp_path / "no.onnx"), str(tmp_path / "photo.png")]) == 2
    assert "no such model file" in capsys.readouterr().err


WITHOUT_TORCH = """
import sys
from pathlib import Path

BLOCKED = {"torch", "torchvision", "timm", "accelerate", "safetensors", "skimage", "scipy", "matplotlib", "pydantic",
           "yaml", "typer", "rich", "onnx", "tifffile"}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from maskrcnn import runtime
folder, model = Path(sys.argv[1]), runtime.load(sys.argv[2], threads=1)
results = model.predict([folder / "photo.png", folder / "photo.jpg"], score=0.5)
for result in results:
    assert len(result) == 3, result
    assert len(result.masks.rle()) == 3 and result.masks.dense().any()
    result.save(folder / "drawn.png")
    result.save(folder / "found.json")
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""


def test_it_works_where_there_is_no_torch(artifact: Path, tmp_path: Path) -> None:
    for name in ("photo.png", "photo.jpg"):
        Image.fromarray(photo(60, 90)).save(tmp_path / name)
    words = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path), str(artifact)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "drawn.png").is_file()
    assert len(json.loads((tmp_path / "found.json").read_text())) == 3


STOPPED = """
import gc, os, signal, sys
from maskrcnn import runtime
first, second = runtime.load(sys.argv[1]), runtime.load(sys.argv[1])
del first
gc.collect()
del second
gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_after_models_came_and_went(artifact: Path) -> None:
    """Plugins of OpenVINO that come and go would leave the process without a stack for its signals."""
    done = subprocess.run([sys.executable, "-c", STOPPED, str(artifact)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
