"""What an artifact says of itself and what its graph gives are checked: both may come from anybody."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from maskrcnn import runtime
from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.runtime.artifact import Artifact
from maskrcnn.runtime.artifact_contract import INPUTS, OUTPUTS

Note, Make = Callable[..., str], Callable[..., Path]
GOOD: dict[str, np.ndarray] = {
    "boxes": np.tile(np.array([1.0, 2.0, 30.0, 40.0], np.float32), (1, 3, 1)),
    "scores": np.array([[0.9, 0.8, 0.0]], np.float32),
    "labels": np.array([[1, 0, 7]]),
    "valid": np.array([[True, True, False]]),
    "masks": np.ones((1, 3, 4, 4), np.float32),
}


class Given:
    """A graph that gives what it was given."""

    runtime, smallest = "given 1.0", 1
    inputs, outputs = list(INPUTS), list(OUTPUTS)

    def __init__(self, shape: tuple[int | None, ...] = (None, 3, None, None), **parts: Any) -> None:
        self.shape, self.parts = shape, {**GOOD, **parts}

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        return [self.parts[name] for name in OUTPUTS]


def detect(session: Given, note: Note, config: Config) -> Any:
    network = Artifact(session, note(config), Path("m.onnx"))
    return network.detect([np.zeros((64, 64, 3), np.uint8)], PredictionOptions(0.0))


def row(name: str, place: tuple[int, ...], value: float) -> np.ndarray:
    array = GOOD[name].copy()
    array[place] = value
    return array


def test_outputs_as_agreed_are_taken(note: Note, small: Callable[..., Config]) -> None:
    found = detect(Given(valid=GOOD["valid"].astype(np.uint8), labels=GOOD["labels"].astype(np.int32)), note, small())
    assert (found.valid.dtype, found.labels.dtype) == (bool, np.int64)
    assert found.valid.tolist() == [[True, True, False]]
    # What rows that are not valid hold means nothing.
    found = detect(Given(scores=row("scores", (0, 0), 1.0000002)), note, small())  # as rounding leaves it
    assert found.valid.tolist() == [[True, True, False]]
    found = detect(Given(boxes=row("boxes", (0, 2), np.nan), scores=row("scores", (0, 2), 5)), note, small())
    assert found.valid.tolist() == [[True, True, False]]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"boxes": GOOD["boxes"].astype(str).astype(object)}, r"boxes: expected floats .*found object"),
        ({"scores": GOOD["scores"].astype(np.int64)}, "scores: expected floats"),
        ({"labels": GOOD["labels"].astype(np.float32)}, "labels: expected integers"),
        ({"valid": GOOD["valid"].astype(np.float32)}, "valid: expected bools"),
        ({"masks": GOOD["masks"].astype(complex)}, "masks: expected floats"),
        ({"boxes": GOOD["boxes"][..., :3]}, r"boxes: .*found float32 \[1, 3, 3\]"),
        ({"boxes": GOOD["boxes"][0]}, r"boxes: .*found float32 \[3, 4\]"),
        ({"scores": GOOD["scores"][:, :2]}, "boxes: expected"),
        ({"scores": np.float32(1)}, "zero-dimensional"),
        ({"labels": GOOD["labels"][:, :2]}, r"labels: .*\[1, 2\]"),
        ({"masks": GOOD["masks"][:, :, :3]}, r"masks: .*\[1, 3, 3, 4\]"),
        ({"masks": GOOD["masks"][:, :, :0, :0]}, "masks: .*0 x 0"),
        ({name: np.repeat(part, 2, axis=0) for name, part in GOOD.items()}, r"boxes: .*\[2, 3, 4\]"),
        ({"boxes": row("boxes", (0, 0, 2), np.nan)}, "boxes: expected finite numbers"),
        ({"masks": row("masks", (0, 1, 2, 2), np.inf)}, "masks: expected finite numbers"),
        ({"scores": row("scores", (0, 0), 3.0)}, r"scores: expected 0..1, found 0.8..3"),
        ({"labels": row("labels", (0, 1), -1)}, r"labels: expected 0..1, found -1..1"),
        ({"labels": row("labels", (0, 0), 2)}, r"labels: expected 0..1, found 0..2"),
    ],
)
def test_other_outputs_are_an_error_of_ours(
    wrong: dict[str, np.ndarray], says: str, note: Note, small: Callable[..., Config]
) -> None:
    with pytest.raises(MaskRCNNError, match=rf"m\.onnx: given 1\.0 cannot run it.*{says}"):
        detect(Given(**wrong), note, small())


@pytest.mark.parametrize("shape", [(), (None,), (1, 3, None), (None,) * 5])
def test_images_of_other_dimensions(shape: tuple[int | None, ...], note: Note, small: Callable[..., Config]) -> None:
    with pytest.raises(MaskRCNNError, match=rf"\[B, C, H, W\].*takes {len(shape)} dim"):
        Artifact(Given(shape), note(small()), Path("m.onnx"))


HUGE = "1" * 5000  # more digits than Python reads


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: "[" * 100_000, "damaged metadata"),
        (lambda text: text.replace('"max_detections": 3', f'"max_detections": {HUGE}'), "damaged metadata"),
        (lambda text: text[:-1], "damaged metadata"),
        (lambda text: "[1, 2]", "damaged metadata"),
        (lambda text: "null", "damaged metadata"),
        (lambda text: " " * 33 * 2**20 + text, "damaged metadata"),
        (lambda text: json.dumps({**json.loads(text), "config": [1]}), "damaged metadata"),
        (lambda text: json.dumps({**json.loads(text), "format": "x" * 10_000}), "expected an artifact of format"),
        (lambda text: json.dumps({**json.loads(text), "format": {"a": 1}}), "expected an artifact of format"),
        (lambda text: json.dumps({**json.loads(text), "names": [str(k) for k in range(100_001)]}), "found 100,001"),
        (lambda text: json.dumps({**json.loads(text), "names": ["n" * 1001]}), "1 to 1,000 characters"),
        (lambda text: json.dumps({**json.loads(text), "names": ["a", 3]}), "characters, found 3"),
        (lambda text: json.dumps({**json.loads(text), "names": ["a", ""]}), "characters, found ''"),
        (lambda text: json.dumps({**json.loads(text), "names": ["a", "\ud800"]}), "characters, found"),
        (lambda text: json.dumps({**json.loads(text), "names": ["a", "a"]}), "each class name once"),
        (lambda text: json.dumps({**json.loads(text), "names": "ab"}), "class names, found 'ab'"),
        (lambda text: json.dumps({**json.loads(text), "names": {"0": "a"}}), "class names, found {"),
        (lambda text: json.dumps({**json.loads(text), "precision": ["fp32"]}), "word under 'precision'"),
        (lambda text: json.dumps({**json.loads(text), "maskrcnn": {"x": "y" * 10_000}}), "word under 'maskrcnn'"),
    ],
)
def test_metadata_of_any_kind(
    change: Callable[[str], str], says: str, note: Note, small: Callable[..., Config]
) -> None:
    with pytest.raises(MaskRCNNError, match=says) as caught:
        Artifact(Given(), change(note(small())), Path("m.onnx"))
    assert len(str(caught.value)) < 500


def test_a_hundred_thousand_names_are_taken(note: Note, small: Callable[..., Config]) -> None:
    names = [f"species {number}" for number in range(100_000)]
    assert len(Artifact(Given(), note(small(), names=names), Path("m.onnx")).names) == 100_000


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_text_that_is_no_utf8(suffix: str, writer: Make, small: Callable[..., Config], tmp_path: Path) -> None:
    path = writer(tmp_path / f"m{suffix}", small())
    path.write_bytes(path.read_bytes().replace(b"triangle", b"tri\xff\xfegle"))
    with pytest.raises(MaskRCNNError, match=r"damaged"):
        runtime.load(path)


@pytest.mark.parametrize("name", ["images", "boxes"])
def test_names_that_are_no_utf8(
    name: str, writer: Make, small: Callable[..., Config], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = writer(tmp_path / "m.onnx", small())
    path.write_bytes(path.read_bytes().replace(name.encode(), b"\xff" * len(name)))
    with pytest.raises(MaskRCNNError, match=r"damaged"):
        runtime.load(path)
    assert capfd.readouterr() == ("", "")  # onnxruntime would tell on both


def test_an_error_while_it_runs_is_told_once(
    writer: Make, small: Callable[..., Config], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = writer(tmp_path / "m.onnx", small())
    model = onnx.load(path)
    (tail,) = (tensor for tensor in model.graph.initializer if tensor.name == "tail")
    tail.CopyFrom(onnx.numpy_helper.from_array(np.array([3, 5, 7]), "tail"))
    onnx.save(model, path)
    with pytest.raises(MaskRCNNError, match=r"cannot run it on an input of \[1, 3, 64, 64\]"):
        runtime.load(path, threads=1).predict(np.zeros((64, 64, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


def test_an_xml_is_openvinos_or_nothing(writer: Make, small: Callable[..., Config], tmp_path: Path) -> None:
    """OpenVINO itself reads an ONNX file of this name as ONNX, with whatever other files that names."""
    pytest.importorskip("openvino")
    (tmp_path / "m.xml").write_bytes(writer(tmp_path / "m.onnx", small()).read_bytes())
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(MaskRCNNError, match="no OpenVINO model"):
        runtime.load(tmp_path / "m.xml")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('offset="64"', 'offset="999999"', 1),
        lambda text: text.replace('size="24"', 'size="18446744073709551608"', 1),
        lambda text: text.replace('version="opset1"', 'version="/tmp/extension.so"', 1),
        lambda text: text.replace('type="ReduceMax"', 'type="Unheard"', 1),
    ],
)
def test_a_changed_openvino_graph(
    change: Callable[[str], str], writer: Make, small: Callable[..., Config], tmp_path: Path
) -> None:
    path = writer(tmp_path / "m.xml", small())
    text = change(path.read_text(encoding="utf-8"))
    assert text != path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MaskRCNNError, match="damaged or no OpenVINO model"):
        runtime.load(path)


def test_entities_of_an_openvino_graph_stay_what_they_are(
    writer: Make, small: Callable[..., Config], tmp_path: Path
) -> None:
    """No file is put into the names that an external entity asks for."""
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    path = writer(tmp_path / "m.xml", small())
    text = path.read_text(encoding="utf-8").replace("triangle", "&amp;".replace("amp", "e"))
    text = text.replace("<net", f'<!DOCTYPE net [<!ENTITY e SYSTEM "{secret.as_uri()}">]><net', 1)
    path.write_text(text, encoding="utf-8")
    assert runtime.load(path).names[1] == "&e;"


def test_operators_of_others_are_not_looked_for(writer: Make, small: Callable[..., Config], tmp_path: Path) -> None:
    path = writer(tmp_path / "m.onnx", small())
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("somebody.else", 1))
    model.graph.node.append(helper.make_node("Anything", ["sizes"], ["more"], domain="somebody.else"))
    onnx.save(model, path)
    before = set(sys.modules)
    with pytest.raises(MaskRCNNError, match="damaged or no ONNX file"):
        runtime.load(path)
    assert set(sys.modules) - before == set()
