"""The formats a model can leave in, as data: what each needs, which precisions it has, and why not the others.

Nothing heavy is imported here, so that a request that cannot be met is refused at once.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import check_name
from maskrcnn.text import suggestion

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
COMPILERS = ("c++", "g++", "clang++", "cl")


@dataclass(frozen=True)
class Format:
    """One format. ``module`` has the function that writes it, ``write(model, path, precision, calibrate)``."""

    name: str  # as --format has it
    what: str
    suffix: str
    module: str
    precisions: dict[str, tuple[str, ...]]  # precision → the extras it needs
    refuses: dict[str, str]  # precision → why not
    dynamic: str  # what may differ from run to run
    compiler: bool = False
    beside: tuple[str, ...] = field(default=())  # suffixes of files that belong to it
    use: str = ""  # what whoever uses the file has to know

    def files(self, path: Path) -> list[Path]:
        """All files of an artifact at ``path``."""
        return [path, *(path.with_suffix(suffix) for suffix in self.beside)]


_IN_TORCH = "PyTorch artifacts run as they were traced; load the checkpoint with precision='{}' instead"
FORMATS = {
    one.name: one
    for one in (
        Format(
            "onnx",
            "ONNX, for onnxruntime and others that read it",
            ".onnx",
            "maskrcnn.export.onnx_file",
            {"fp32": ("onnx",)},
            {
                "bf16": "onnxruntime has no bf16 convolution on CPUs; use --format openvino",
                "fp16": "onnxruntime computes fp16 as fp32 on CPUs, with a conversion around each step; use fp32",
                "int8": "int8 is made by OpenVINO's tools; use --format openvino",
            },
            "batch, height, width",
        ),
        Format(
            "openvino",
            "OpenVINO, for Intel and AMD CPUs, Intel GPUs and NPUs",
            ".xml",
            "maskrcnn.export.openvino_file",
            {
                "fp32": ("onnx", "openvino"),
                "bf16": ("onnx", "openvino"),
                "fp16": ("onnx", "openvino"),
                "int8": ("onnx", "openvino", "int8"),
            },
            {},
            "batch, height, width",
            beside=(".bin",),
        ),
        Format(
            "torch",
            "torch.export, for PyTorch without this package",
            ".pt2",
            "maskrcnn.export.torch_file",
            {"fp32": ()},
            {
                "bf16": _IN_TORCH.format("bf16"),
                "fp16": _IN_TORCH.format("fp16"),
                "int8": "int8 is made by OpenVINO's tools; use --format openvino",
            },
            "height, width",
            use="to use it: maskrcnn predict SOURCE --model {} --trust (a .pt2 is a program, and can run any code)",
        ),
        Format(
            "aoti",
            "AOTInductor, native code for this kind of machine",
            ".pt2",
            "maskrcnn.export.aoti_file",
            {"fp32": ()},
            {
                "bf16": _IN_TORCH.format("bf16"),
                "fp16": _IN_TORCH.format("fp16"),
                "int8": "int8 is made by OpenVINO's tools; use --format openvino",
            },
            "height, width",
            compiler=True,
            use="to use it: torch._inductor.aoti_load_package; maskrcnn does not run machine code",
        ),
    )
}
EXTRAS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "int8": ("nncf",),
}  # what pyproject.toml names so → the modules it brings


def check_request(name: str, precision: str, out: Path, calibrate: Path | None = None) -> Format:
    """The format asked for. Raises `MaskRCNNError` where the request cannot be met, before anything is imported."""
    if name not in FORMATS:
        raise MaskRCNNError(f"unknown format {name!r}", fix=suggestion(name, FORMATS))
    kind = FORMATS[name]
    if precision not in PRECISIONS:
        raise MaskRCNNError(f"unknown precision {precision!r}", fix=f"use {', '.join(kind.precisions)}")
    if precision not in kind.precisions:
        raise MaskRCNNError(f"{name} has no {precision}", fix=kind.refuses[precision])
    if out.suffix != kind.suffix:
        raise MaskRCNNError(
            f"expected a file name that ends in {kind.suffix}, found {out.name!r}",
            where=out,
            fix=f"use --out {(out if out.name else out / 'model').with_suffix(kind.suffix)}",
        )
    check_name(out)
    if precision == "int8" and calibrate is None:
        raise MaskRCNNError(
            "int8 needs images to learn the ranges of values from",
            fix="pass --calibrate FOLDER with some hundred images like those the model will see",
        )
    if calibrate is not None and precision != "int8":
        raise MaskRCNNError(f"{precision} is not calibrated", fix="leave --calibrate out, or use --precision int8")
    if calibrate is not None and not calibrate.exists():
        raise MaskRCNNError("no such folder of images to calibrate on", where=calibrate, fix="check the path")
    extras = kind.precisions[precision]
    missing = [extra for extra in extras if any(importlib.util.find_spec(module) is None for module in EXTRAS[extra])]
    if missing:
        lacks = [module for extra in missing for module in EXTRAS[extra] if importlib.util.find_spec(module) is None]
        raise MaskRCNNError(
            f"{name} {precision} needs {', '.join(lacks)}", fix=f"pip install 'maskrcnn[{','.join(missing)}]'"
        )
    if kind.compiler and not any(map(shutil.which, COMPILERS)):
        raise MaskRCNNError(
            f"{name} needs a C++ compiler, found none of {', '.join(COMPILERS)}",
            fix="install one, or use --format torch",
        )
    return kind
