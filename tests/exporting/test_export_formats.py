"""Requests that cannot be met are refused at once, each with its reason and the way out."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.exporting import export_formats
from maskrcnn.exporting.export_formats import EXTRAS, FORMATS, PRECISIONS, check_request


@pytest.mark.parametrize(
    ("name", "precision", "out", "calibrate", "says"),
    [
        ("onx", "fp32", "m.onnx", None, "did you mean 'onnx'"),
        ("tflite", "fp32", "m.tflite", None, "known: onnx, openvino, torch, aoti"),
        ("onnx", "fp8", "m.onnx", None, "unknown precision 'fp8'"),
        ("onnx", "bf16", "m.onnx", None, "no bf16 convolution"),
        ("onnx", "int8", "m.onnx", None, "use the format openvino"),
        ("torch", "fp16", "m.pt2", None, "precision='fp16'"),
        ("onnx", "fp32", "m.xml", None, "write to m.onnx"),
        ("openvino", "fp32", "m", None, "ends in .xml"),
        ("openvino", "int8", "m.xml", None, "give calibrate a folder"),
        ("openvino", "int8", "m.xml", "nowhere", "no such folder"),
        ("openvino", "fp32", "m.xml", ".", "fp32 is not calibrated"),
    ],
)
def test_refused(name: str, precision: str, out: str, calibrate: str | None, says: str) -> None:
    with pytest.raises(MaskRCNNError) as error:
        check_request(name, precision, Path(out), Path(calibrate) if calibrate else None)
    assert says in str(error.value)
    assert error.value.fix


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in ("nncf", "onnxscript") else real(name, *rest)
    )
    with pytest.raises(MaskRCNNError, match=r"needs onnxscript \(pip install 'maskrcnn\[onnx\]'\)"):
        check_request("onnx", "fp32", Path("m.onnx"))
    with pytest.raises(MaskRCNNError, match=r"needs onnxscript, nncf \(pip install 'maskrcnn\[onnx,int8\]'\)"):
        check_request("openvino", "int8", Path("m.xml"), tmp_path)


def test_no_compiler_no_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_formats.shutil, "which", lambda name: None)
    with pytest.raises(MaskRCNNError, match="needs a C\\+\\+ compiler"):
        check_request("aoti", "fp32", Path("m.pt2"))
    assert check_request("torch", "fp32", Path("m.pt2")).name == "torch"


def test_every_format_answers_for_every_precision() -> None:
    for one in FORMATS.values():
        assert set(one.precisions) | set(one.unsupported) == set(PRECISIONS)
        assert not set(one.precisions) & set(one.unsupported)
        assert all(extra in EXTRAS for extras in one.precisions.values() for extra in extras)
        assert importlib.util.find_spec(one.module)


def test_nothing_heavy_is_imported_to_refuse() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom maskrcnn.exporting.exporter import Request\n"
        "try:\n    Request('nuclei', 'onnx', Path('m.onnx'), 'int8', Path('.')).check()\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
        "print([name for name in ('torch', 'numpy', 'onnx', 'openvino', 'nncf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["MaskRCNNError", "[]"]


def test_the_tools_report_to_nobody() -> None:
    """With their reporter out of reach NNCF and OpenVINO take a stand-in that sends nothing."""
    code = (
        "from maskrcnn.exporting.quantize import disable_telemetry\ndisable_telemetry()\n"
        "import nncf.telemetry.wrapper as wrapper\n"
        "print(isinstance(wrapper.telemetry, wrapper.NNCFTelemetry))\n"
        "import openvino.tools.ovc.telemetry_utils as utils\nprint(utils.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "openvino.tools.ovc.telemetry_stub"]
