"""Exported programs of torch, and what `load` says of requests that an exported model cannot meet."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.export import Dim, export, save

import maskrcnn
from maskrcnn.config import preset, to_dict
from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.runtime import Runtime
from tests.command import run
from tests.predictor_contract import PredictorContract
from tests.threads import assert_equal, check_two_threads

SHARES = torch.tensor([[0.1, 0.2, 0.5, 0.6], [0.5, 0.5, 1.0, 1.0]])


class Fixed(nn.Module):
    """Two objects in any image; the second one's score is the brightest value over 255."""

    def forward(self, images: Tensor, sizes: Tensor, score: Tensor) -> tuple[Tensor, ...]:
        count = images.shape[0]
        boxes = sizes[:, [1, 0, 1, 0]].float()[:, None] * SHARES
        bright = images.amax((1, 2, 3)) / 255
        scores = torch.stack((torch.full_like(bright, 0.9), bright), dim=1)
        labels = torch.tensor([[1, 0]]).expand(count, 2) + 0
        return boxes, scores, labels, scores >= score, torch.ones(count, 2, 4, 4) * images.new_ones(())


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = preset("lite").replace(preprocess={"short": (32, 96), "long": 128}, max_detections=2)
    note = {"format": "maskrcnn-artifact-1", "names": ["a", "b"], "config": to_dict(config), "precision": "fp32"}
    height, width = (32 * Dim(name, min=3, max=64) for name in ("h", "w"))
    inputs = torch.rand(1, 3, 96, 128), torch.tensor([[90, 120]]), torch.tensor(0.5)
    whole = export(Fixed(), inputs, dynamic_shapes={"images": {2: height, 3: width}, "sizes": {}, "score": {}})
    folder = tmp_path_factory.mktemp("program")
    save(whole, folder / "model.pt2", extra_files={"maskrcnn.json": json.dumps(note)})
    save(whole, folder / "foreign.pt2")
    return folder / "model.pt2"


class TestTorchProgram(PredictorContract):
    """Two objects in any image, the brighter of which the contract's photo decides."""

    @pytest.fixture
    def predictor(self, program: Path) -> ImagePredictor:
        return maskrcnn.load(program, trust=True)


@pytest.mark.parametrize("size", [(64, 96), (33, 33), (1, 1), (300, 200)])
def test_a_program_of_torch_predicts(program: Path, size: tuple[int, int]) -> None:
    model = maskrcnn.load(program, trust=True)
    assert isinstance(model, Runtime)
    result = model.predict(np.full((*size, 3), 153, np.uint8), score=0.5)
    assert result.names == ["b", "a"]
    assert result.scores.tolist() == pytest.approx([0.9, 0.6], abs=1e-4)
    np.testing.assert_allclose(result.boxes, SHARES.numpy() * np.array([size[1], size[0]] * 2), atol=1e-3)


def test_another_input_size_shows_it_other_pixels(program: Path) -> None:
    model = maskrcnn.load(program, size=64, trust=True)
    assert (model.preprocess.short, model.preprocess.long) == ((64, 64), 256)
    # A white line is thinner than a pixel of the small input, and grey there.
    image = np.zeros((256, 256, 3), np.uint8)
    image[100:101] = 255
    assert model.predict(image, 0.0).scores[1] < maskrcnn.load(program, trust=True).predict(image, 0.0).scores[1]


def test_a_program_of_one_image_takes_batches(program: Path) -> None:
    images = [np.full((side, 64, 3), side, np.uint8) for side in (50, 100, 200)]
    results = maskrcnn.load(program, trust=True).predict(images, 0.0, batch_size=3)
    assert [result.scores[1] for result in results] == pytest.approx([50 / 255, 100 / 255, 200 / 255], abs=1e-4)


def test_requests_that_cannot_be_met(program: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pt2"
    broken.write_bytes(program.read_bytes()[:2000])
    (tmp_path / "text.pt2").write_text("no program")
    compiled = tmp_path / "compiled.pt2"
    with zipfile.ZipFile(compiled, "w") as archive:
        archive.writestr("compiled/archive_format", "pt2")
        archive.writestr("compiled/data/aotinductor/model/model.so", b"")
    wrong = {
        "images, sizes, score": lambda: maskrcnn.load(program.with_name("foreign.pt2"), trust=True),
        "exported in fp32, bf16 asked for": lambda: maskrcnn.load(program, precision="bf16", trust=True),
        "device 'mps'": lambda: maskrcnn.load(program, device="mps"),
        "no such model file": lambda: maskrcnn.load(tmp_path / "none.pt2"),
        "no torch.export program": lambda: maskrcnn.load(broken, trust=True),
        "no torch.export": lambda: maskrcnn.load(tmp_path / "text.pt2", trust=True),
        "no such": lambda: maskrcnn.load(tmp_path / "none.onnx"),
        "machine code": lambda: maskrcnn.load(compiled, trust=True),
    }
    for words, request in wrong.items():
        with pytest.raises(MaskRCNNError, match=words) as caught:
            request()
        assert "\n" not in str(caught.value)
    assert len(maskrcnn.load(program, "cpu", "fp32", trust=True).names) == 2


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", ["sample_inputs", "weights", "constants", "constants pickle"])
def test_a_program_that_would_run_code_is_refused_and_not_run(program: Path, tmp_path: Path, place: str) -> None:
    sprung, bad = tmp_path / "sprung", tmp_path / "bad.pt2"
    buffer = io.BytesIO()
    torch.save((Trap(sprung),), buffer)
    folder = place.partition(" ")[0]
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(bad, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            content = source.read(name)
            if folder == "sample_inputs" and f"data/{folder}/" in name:
                content = buffer.getvalue()
            if place == "constants pickle" and name.endswith("constants_config.json"):
                record = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
                content = json.dumps({"config": {"trap": record}}).encode()
            target.writestr(name, content)
        root = source.namelist()[0].partition("/")[0]
        if folder != "sample_inputs":
            target.writestr(f"{root}/data/{folder}/{'opaque_obj_0' if ' ' in place else 'model.pt'}", buffer.getvalue())
    if place == "sample_inputs":
        # The trap is a real one.
        with contextlib.suppress(Exception):
            torch.export.load(bad)
        assert sprung.exists()
        sprung.unlink()
    with pytest.raises(MaskRCNNError, match="pickles"):
        maskrcnn.load(bad, trust=True)
    assert not sprung.exists()


def in_expressions(model: Any, trap: str) -> None:
    """Shapes are written as expressions, which sympy evaluates."""
    if isinstance(model, dict):
        for key, value in model.items():
            if key == "expr_str":
                model[key] = f"{trap} or {value}"
            else:
                in_expressions(value, trap)
    elif isinstance(model, list):
        for value in model:
            in_expressions(value, trap)


def in_guards(model: Any, trap: str) -> None:
    """What inputs have to fulfil becomes the body of a function."""
    model["guards_code"] = [f"{trap} is None"]


def in_trees(model: Any, trap: str) -> None:
    """What the inputs are nested in names a class by its module, which is imported."""
    context = json.dumps([{"__enum__": True, "fqn": "sprung_when_imported:A", "name": "B"}])
    leaf = {"type": None, "context": None, "children_spec": []}
    spec = json.dumps([1, {"type": "builtins.dict", "context": context, "children_spec": [leaf]}])
    for call in model["graph_module"]["module_call_graph"]:
        call["signature"]["in_spec"] = spec


@pytest.mark.parametrize("place", [in_expressions, in_guards, in_trees])
def test_text_that_torch_would_run_is_not_run_unless_trusted(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[Any, str], None]
) -> None:
    sprung, bad = tmp_path / "sprung", tmp_path / "bad.pt2"
    trap = f"__import__('pathlib').Path({str(sprung)!r}).touch()"
    (tmp_path / "sprung_when_imported.py").write_text(trap)
    monkeypatch.syspath_prepend(tmp_path)
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(bad, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("models/model.json"):
                model = json.loads(content)
                place(model, trap)
                content = json.dumps(model).encode()
            target.writestr(name, content)
    for untrusted in ({}, {"trust": False}, {"trust": "yes"}):
        with pytest.raises(MaskRCNNError, match=r"bad\.pt2: a \.pt2 is a program.*--trust.*trust=True"):
            maskrcnn.load(bad, **untrusted).predict(np.zeros((96, 96, 3), np.uint8))
        assert not sprung.exists()
    # The trap is a real one.
    with contextlib.suppress(Exception):
        maskrcnn.load(bad, trust=True).predict(np.zeros((96, 96, 3), np.uint8))
    assert sprung.exists()


@pytest.mark.parametrize("words", [["predict", "{image}", "--model"], ["benchmark", "{image}", "--model"]])
def test_the_command_line_asks_for_trust(program: Path, tmp_path: Path, words: list[str]) -> None:
    Image.new("RGB", (96, 96), "white").save(tmp_path / "a.png")
    command = [word.format(image=tmp_path / "a.png") for word in words] + [str(program)]
    command += ["--out", str(tmp_path / "out")] if "predict" in words else ["--seconds", "1", "--sizes", "own"]
    code, text = run(*command)
    assert (code, "--trust" in text) == (2, True), text
    assert not (tmp_path / "out").exists()
    code, text = run(*command, "--trust")
    assert code == 0, text


def test_evaluate_asks_for_trust(program: Path, shapes: Path, tmp_path: Path) -> None:
    command = ["evaluate", str(shapes), "--model", str(program), "--out", str(tmp_path / "report")]
    code, text = run(*command)
    assert (code, "--trust" in text) == (2, True), text
    # The model has other classes than the data, which is found out once it is opened.
    code, text = run(*command, "--trust")
    assert (code, "classes" in text) == (2, True), text


def test_two_threads_get_what_one_gets(program: Path) -> None:
    check_two_threads(maskrcnn.load(program, trust=True))


def test_a_program_is_pickled_as_where_it_came_from(program: Path) -> None:
    model = maskrcnn.load(program, size=96, trust=True)
    again = pickle.loads(pickle.dumps(model))
    image = np.full((50, 60, 3), 90, np.uint8)
    assert_equal(model.predict(image, 0.0), again.predict(image, 0.0))
    assert again.preprocess.short == (96, 96)
