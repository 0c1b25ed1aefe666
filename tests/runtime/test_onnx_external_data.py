"""What an ONNX file says of other files, against onnx's own messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from maskrcnn import runtime
from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.runtime import onnx_external_data
from maskrcnn.runtime.onnx_external_data import names_other_files


def elsewhere(location: str, name: str = "far") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def graph_of(**more: object) -> onnx.GraphProto:
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    return onnx.GraphProto(name="g", input=[port], output=[port], **more)


def node_of(**attributes: object) -> onnx.NodeProto:
    return helper.make_node("Thing", ["x"], ["y"], **attributes)


SPARSE = onnx.SparseTensorProto(values=elsewhere("a"), dims=[4])
PLACES: dict[str, onnx.ModelProto] = {
    "initializer": model_of(graph_of(initializer=[elsewhere("a")])),
    "the last of many": model_of(
        graph_of(initializer=[*[numpy_helper.from_array(np.ones(9), f"{k}") for k in range(50)], elsewhere("a")])
    ),
    "sparse initializer": model_of(graph_of(sparse_initializer=[SPARSE])),
    "attribute": model_of(graph_of(node=[node_of(value=elsewhere("a"))])),
    "list attribute": model_of(graph_of(node=[node_of(value=[elsewhere("a"), elsewhere("b")])])),
    "subgraph": model_of(graph_of(node=[node_of(body=graph_of(initializer=[elsewhere("a")]))])),
    "subgraphs": model_of(graph_of(node=[node_of(body=[graph_of(), graph_of(initializer=[elsewhere("a")])])])),
    "function": onnx.ModelProto(
        ir_version=8, functions=[onnx.FunctionProto(name="f", node=[node_of(value=elsewhere("a"))])]
    ),
    "training": onnx.ModelProto(
        ir_version=8, training_info=[onnx.TrainingInfoProto(algorithm=graph_of(initializer=[elsewhere("a")]))]
    ),
    "named without location": model_of(
        graph_of(initializer=[TensorProto(name="t", external_data=[onnx.StringStringEntryProto(key="location")])])
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_another_file_is_seen_wherever_it_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(PLACES[place].SerializeToString())
    assert names_other_files(tmp_path / "m.onnx")


def test_every_message_that_leads_to_a_tensor_is_followed() -> None:
    """Against the description of the format that onnx carries."""
    ours = {
        "model": "ModelProto", "training": "TrainingInfoProto", "function": "FunctionProto", "graph": "GraphProto",
        "node": "NodeProto", "attribute": "AttributeProto", "sparse": "SparseTensorProto", "tensor": "TensorProto",
    }  # fmt: skip
    known = {theirs: name for name, theirs in ours.items()}
    for name, theirs in ours.items():
        fields = getattr(onnx, theirs).DESCRIPTOR.fields
        wanted = {
            field.number: known[field.message_type.name]
            for field in fields
            if field.message_type is not None and field.message_type.name in known
        }
        assert onnx_external_data._FIELDS[name] == wanted, name
    tensor = onnx.TensorProto.DESCRIPTOR.fields_by_name
    assert tensor["external_data"].number == onnx_external_data._EXTERNAL_DATA
    assert tensor["data_location"].number == onnx_external_data._DATA_LOCATION


def test_a_model_in_one_file_names_none(
    writer: Callable[..., Path], small: Callable[..., Config], tmp_path: Path
) -> None:
    assert not names_other_files(writer(tmp_path / "m.onnx", small()))
    bundled = writer(tmp_path / "big.onnx", small())
    model = onnx.load(bundled)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(5_000_000, np.float32), "much"))
    onnx.save(model, bundled)
    start = time.perf_counter()
    assert not names_other_files(bundled)
    assert time.perf_counter() - start < 1  # values are passed over


@pytest.mark.parametrize("content", [b"", b"\x0a", b"\xff" * 30, b"\x3a\xff\xff\xff\xff\x0f", b"\x0b\x0c", b"hello"])
def test_what_is_no_protocol_buffer(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"cut off|type|empty"):
        names_other_files(tmp_path / "m.onnx")
    with pytest.raises(MaskRCNNError, match="damaged"):
        runtime.load(tmp_path / "m.onnx")


def test_the_number_of_fields_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_external_data, "MAX_FIELDS", 1000)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x01" * 1001)
    with pytest.raises(ValueError, match="1,000 fields"):
        names_other_files(tmp_path / "m.onnx")


@pytest.mark.parametrize("location", ["secret", "{folder}/secret", "../secret", "sub/../secret", "link", "/etc/passwd"])
def test_no_other_file_is_read(
    writer: Callable[..., Path], small: Callable[..., Config], tmp_path: Path, location: str
) -> None:
    """Of the file beside the model the first object's box would come out as numbers."""
    (tmp_path / "secret").write_bytes(np.full(12, 0.5, np.float32).tobytes())
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    path = writer(tmp_path / "m.onnx", small())
    model = onnx.load(path)
    (shares,) = (tensor for tensor in model.graph.initializer if tensor.name == "shares")
    shares.ClearField("raw_data")
    shares.data_location = TensorProto.EXTERNAL
    shares.external_data.add(key="location", value=location.format(folder=tmp_path))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(MaskRCNNError, match="other files, which are not read"):
        runtime.load(path)
