"""A hand-made artifact with known answers: three objects in any image, at fixed shares of its size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from maskrcnn.config import Config, preset, to_dict
from maskrcnn.runtime.artifact_contract import FORMAT
from maskrcnn.runtime.openvino_session import openvino_core

NAMES = ("disc", "triangle")
# Shares of (x1, y1, x2, y2), class and score of each object; the third one's score is the brightest value over 255.
SHARES = np.array([[0.1, 0.2, 0.5, 0.6], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.25, 1.0]], np.float32)
LABELS = np.array([1, 0, 1])
SCORES = np.array([0.9, 0.6], np.float32)
MASK = np.repeat([[1.0, 1.0, 0.0, 0.0]], 4, axis=0).astype(np.float32)  # the left half of the box


def small_config(**changes: object) -> Config:
    config = preset("lite").replace(
        preprocess={"short": (64, 96), "long": 128}, max_detections=3, score_threshold=0.05, backbone="resnet18"
    )
    return config.replace(**changes)


def about(config: Config, /, **changes: object) -> str:
    content = {"format": FORMAT, "names": NAMES, "config": to_dict(config), "precision": "fp32", "maskrcnn": "0.1.0"}
    return json.dumps({**content, **changes})


def graph(config: Config, batch: int | None = None, outputs: int = 5, mask: np.ndarray = MASK) -> helper.ModelProto:  # type: ignore[name-defined]
    """The ONNX graph, without metadata."""
    constants = {
        "shares": SHARES[None], "swap": np.array([1, 0, 1, 0]), "kinds": LABELS[None], "sure": SCORES[None],
        "full": np.float32(config.preprocess.full_scale), "mask": mask[None, None], "at": np.array([1]),
        "wide": np.array([1, 1, 1], np.int64), "rest": np.array([2, 3], np.int64), "tail": np.array([3, 4, 4]),
        "three": np.array([3]), "two": np.array([2]),
    }  # fmt: skip
    one = ("at",)
    nodes = [
        ("Cast", ("sizes",), "real", {"to": TensorProto.FLOAT}),
        ("Gather", ("real", "swap"), "whwh", {"axis": 1}),
        ("Unsqueeze", ("whwh", *one), "spread", {}),
        ("Mul", ("spread", "shares"), "boxes", {}),
        ("ReduceMax", ("images",), "peak", {"axes": [1, 2, 3], "keepdims": 0}),
        ("Div", ("peak", "full"), "bright", {}),
        ("Unsqueeze", ("bright", *one), "third", {}),
        ("Shape", ("bright",), "count", {}),
        ("Concat", ("count", "two"), "shape2", {"axis": 0}),
        ("Expand", ("sure", "shape2"), "first", {}),
        ("Concat", ("first", "third"), "scores", {"axis": 1}),
        ("Concat", ("count", "three"), "shape3", {"axis": 0}),
        ("Expand", ("kinds", "shape3"), "labels", {}),
        ("GreaterOrEqual", ("scores", "score"), "valid", {}),
        ("Concat", ("count", "tail"), "shape4", {"axis": 0}),
        ("Expand", ("mask", "shape4"), "masks", {}),
    ]
    side = config.preprocess.channels
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch or "B", side, "H", "W"]),
        helper.make_tensor_value_info("sizes", TensorProto.INT64, [batch or "B", 2]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, []),
    ]
    found = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [batch or "B", 3, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch or "B", 3]),
        helper.make_tensor_value_info("labels", TensorProto.INT64, [batch or "B", 3]),
        helper.make_tensor_value_info("valid", TensorProto.BOOL, [batch or "B", 3]),
        helper.make_tensor_value_info("masks", TensorProto.FLOAT, [batch or "B", 3, 4, 4]),
    ]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    steps = [helper.make_node(kind, takes, [gives], **more) for kind, takes, gives, more in nodes]
    whole = helper.make_graph(steps, "artifact", inputs, found[:outputs], weights)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(path: Path, config: Config, note: str | None = "", **changes: Any) -> Path:
    """An artifact at ``path``, .onnx or .xml; note is its metadata, None for none."""
    model = graph(config, **changes)
    note = about(config) if note == "" else note
    source = path.with_suffix(".onnx")
    if note is not None and path == source:
        helper.set_model_props(model, {"maskrcnn": note})
    save(model, str(source))
    if path != source:
        openvino = pytest.importorskip("openvino")
        network = openvino_core().read_model(str(source))
        if note is not None:
            network.set_rt_info(note, "maskrcnn")
        openvino.save_model(network, str(path), compress_to_fp16=False)
        source.unlink()
    return path


@pytest.fixture(scope="session")
def small() -> Callable[..., Config]:
    return small_config


@pytest.fixture(scope="session")
def writer() -> Callable[..., Path]:
    return write


@pytest.fixture(scope="session")
def note() -> Callable[..., str]:
    return about


@pytest.fixture(scope="session", params=[".onnx", ".xml"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact in each format."""
    return write(tmp_path_factory.mktemp("artifact") / f"model{request.param}", small_config())
