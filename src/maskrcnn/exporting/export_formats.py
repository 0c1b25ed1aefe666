"""The export formats as data: requirements, supported precisions, and why others are not supported.

Nothing heavy is imported here, so that invalid requests fail at once.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import check_name
from maskrcnn.text import suggestion

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
COMPILERS = ("c++", "g++", "clang++", "cl")


@dataclass(frozen=True)
class ExportFormat:
    """One file format.

    Its module has a function ``write(model, path, precision, calibrate)`` that writes a `MaskRCNN`, graph and metadata
    as in `runtime/artifact_contract.py`; ``calibrate`` is the folder of images that int8 needs.

    Attributes:
        name: as in ``--format``.
        module: the module of ``write``.
        precisions: the extras that each precision needs.
        unsupported: why each of the other precisions is not supported.
        dynamic: dimensions of the input that may differ between calls.
        compiler: whether writing needs a C++ compiler.
        companions: suffixes of further files that belong to the artifact.
        usage: how to use the file, with ``{}`` for its path; empty if every command accepts it.
    """

    name: str
    description: str
    suffix: str
    module: str
    precisions: dict[str, tuple[str, ...]]
    unsupported: dict[str, str]
    dynamic: str
    compiler: bool = False
    companions: tuple[str, ...] = ()
    usage: str = ""

    def files(self, path: Path) -> list[Path]:
        """All files of an artifact at ``path``; the one that is opened comes first."""
        return [path, *(path.with_suffix(suffix) for suffix in self.companions)]


_INT8 = "int8 is made by OpenVINO's tools; use the format openvino"
_AS_TRACED = "PyTorch artifacts run as they were traced; load the checkpoint with precision='{}' instead"
_UNSUPPORTED_IN_TORCH = {"bf16": _AS_TRACED.format("bf16"), "fp16": _AS_TRACED.format("fp16"), "int8": _INT8}
FORMATS = {
    one.name: one
    for one in (
        ExportFormat(
            "onnx",
            "ONNX, for onnxruntime and others that read it",
            ".onnx",
            "maskrcnn.exporting.onnx_export",
            {"fp32": ("onnx",)},
            {
                "bf16": "onnxruntime has no bf16 convolution on CPUs; use the format openvino",
                "fp16": "onnxruntime computes fp16 as fp32 on CPUs, with a conversion around each step; use fp32",
                "int8": _INT8,
            },
            "batch, height, width",
        ),
        ExportFormat(
            "openvino",
            "OpenVINO, for Intel and AMD CPUs, Intel GPUs and NPUs",
            ".xml",
            "maskrcnn.exporting.openvino_export",
            dict.fromkeys(("fp32", "bf16", "fp16"), ("onnx", "openvino")) | {"int8": ("onnx", "openvino", "int8")},
            {},
            "batch, height, width",
            companions=(".bin",),
        ),
        ExportFormat(
            "torch",
            "torch.export, for PyTorch without this package",
            ".pt2",
            "maskrcnn.exporting.torch_export",
            {"fp32": ()},
            _UNSUPPORTED_IN_TORCH,
            "height, width",
            usage="to use it: maskrcnn predict SOURCE --model {} --trust (a .pt2 is a program, and can run any code)",
        ),
        ExportFormat(
            "aoti",
            "AOTInductor, native code for this kind of machine",
            ".pt2",
            "maskrcnn.exporting.aot_inductor_export",
            {"fp32": ()},
            _UNSUPPORTED_IN_TORCH,
            "height, width",
            compiler=True,
            usage="to use it: torch._inductor.aoti_load_package; maskrcnn does not run machine code",
        ),
    )
}
EXTRAS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "int8": ("nncf",),
}  # extra in pyproject.toml → modules that it installs


def check_request(name: str, precision: str, out: Path, calibrate: Path | None = None) -> ExportFormat:
    """The format of this name. Raises `MaskRCNNError` where the request cannot be met, before anything is imported."""
    if name not in FORMATS:
        raise MaskRCNNError(f"unknown format {name!r}", fix=suggestion(name, FORMATS))
    export_format = FORMATS[name]
    if precision not in PRECISIONS:
        raise MaskRCNNError(f"unknown precision {precision!r}", fix=f"use {', '.join(export_format.precisions)}")
    if precision not in export_format.precisions:
        raise MaskRCNNError(f"{name} has no {precision}", fix=export_format.unsupported[precision])
    if out.suffix != export_format.suffix:
        what = f"expected a file name that ends in {export_format.suffix}, found {out.name!r}"
        fix = f"write to {(out if out.name else out / 'model').with_suffix(export_format.suffix)}"
        raise MaskRCNNError(what, where=out, fix=fix)
    check_name(out)
    if precision == "int8" and calibrate is None:
        what = "int8 needs images to measure the ranges of values on"
        raise MaskRCNNError(what, fix="give calibrate a folder with some hundred images like those the model will see")
    if calibrate is not None and precision != "int8":
        raise MaskRCNNError(f"{precision} is not calibrated", fix="leave calibrate out, or use precision int8")
    if calibrate is not None and not calibrate.exists():
        raise MaskRCNNError("no such folder of images to calibrate on", where=calibrate, fix="check the path")
    modules = [(extra, module) for extra in export_format.precisions[precision] for module in EXTRAS[extra]]
    if missing := {module: extra for extra, module in modules if importlib.util.find_spec(module) is None}:
        extras = ",".join(dict.fromkeys(missing.values()))
        raise MaskRCNNError(f"{name} {precision} needs {', '.join(missing)}", fix=f"pip install 'maskrcnn[{extras}]'")
    if export_format.compiler and not any(map(shutil.which, COMPILERS)):
        what = f"{name} needs a C++ compiler, found none of {', '.join(COMPILERS)}"
        raise MaskRCNNError(what, fix="install one, or use the format torch")
    return export_format
