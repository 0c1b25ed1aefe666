"""Programs of `torch.export` (.pt2), which torch runs.

A program is opened only if the caller trusts it. torch evaluates text of the archive as Python (the expressions of its
shapes, its guards) and imports modules that its trees name; which text that is changes with torch's version.
"""

from __future__ import annotations

import io
import json
import pickle
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from maskrcnn.errors import MaskRCNNError
from maskrcnn.runtime.artifact import Artifact, as_file_error
from maskrcnn.runtime.artifact_contract import INPUTS, METADATA_FILE, MIN_PROGRAM_SIDE, OUTPUTS, PROGRAM


class ProgramSession:
    """A `maskrcnn.runtime.Session` of a `torch.export` program, on the CPU. Calls from several threads take turns."""

    smallest = MIN_PROGRAM_SIDE

    def __init__(self, program: ExportedProgram) -> None:
        self.runtime = f"torch {torch.__version__}"
        self.inputs = [str(name) for name in program.graph_signature.user_inputs]
        found = [str(name) for name in program.graph_signature.user_outputs]
        # A program's outputs have an order and no names of their own.
        self.outputs = list(OUTPUTS) if len(found) == len(OUTPUTS) else found
        images = [n for n in program.graph.nodes if n.op == "placeholder" and n.name == INPUTS[0] and "val" in n.meta]
        edges: Sequence[Any] = images[0].meta["val"].shape if images else [None] * 4
        self.shape: tuple[int | None, ...] = tuple(edge if isinstance(edge, int) else None for edge in edges)
        self._module, self._lock = program.module(), threading.Lock()

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        with self._lock:
            return [part.numpy() for part in self._module(*(torch.from_numpy(feeds[name]) for name in INPUTS))]


def open_program(path: Path, device: str, trust: bool) -> Artifact:
    """The artifact in a .pt2. Raises `MaskRCNNError` as `maskrcnn.inference.loading.load_exported` does."""
    if device not in ("auto", "cpu"):
        raise MaskRCNNError(f"exported programs run on the CPU, found device {device!r}", fix="use device cpu")
    if not path.is_file():
        raise MaskRCNNError("no such model file", where=path, fix="check the path")
    if trust is not True:
        what = f"a {PROGRAM} is a program: whoever wrote it decides what runs on this machine when it is opened"
        other = "an .onnx or .safetensors of the same model needs no trust"
        fix = f"if you trust whom it comes from, pass --trust, in Python trust=True; {other}"
        raise MaskRCNNError(what, where=path, fix=fix)
    extra_files = {METADATA_FILE: ""}
    with as_file_error(path, "torch.export program"):
        _refuse_pickles(path)
        program = torch.export.load(path, extra_files=extra_files)
    return Artifact(ProgramSession(program), extra_files[METADATA_FILE] or None, path)


def _refuse_pickles(path: Path) -> None:
    """Raises for an archive that holds what no program of ours does: pickles, or machine code.

    Ours store tensors as plain bytes, described in JSON. torch unpickles everything else, and does not restrict what
    those pickles may run.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
        if "archive_format" not in names:
            raise ValueError("it has no archive_format, as of torch 2.8 and later")
        if any(name.startswith("data/aotinductor/") for name in names):
            what = "AOTInductor's machine code, which is not run from here"
            fix = "if you made it yourself: torch._inductor.aoti_load_package; or export it in the format torch"
            raise MaskRCNNError(what, where=path, fix=fix)
        unsafe = len(set(names)) < len(names)
        for entry, name in zip(archive.namelist(), names, strict=True):
            if name.startswith(("data/weights/", "data/constants/")):
                unsafe |= name.endswith(".pt") or (name.endswith(".json") and _has_pickles(archive.read(entry)))
            elif name.startswith("data/sample_inputs/"):
                unsafe |= not _is_plain(archive.read(entry))
    if unsafe:
        what = "holds pickles, which could run any code"
        raise MaskRCNNError(what, where=path, fix="export the model again yourself")


def _has_pickles(text: bytes) -> bool:
    payloads = json.loads(text)["config"].values()
    plain = ("weight_", "tensor_")
    return any(payload["use_pickle"] or not payload["path_name"].startswith(plain) for payload in payloads)


def _is_plain(content: bytes) -> bool:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except pickle.UnpicklingError:
        return False
    return True
