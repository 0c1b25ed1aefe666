"""ONNX, written from the traced `detect`."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import torch

from maskrcnn.exporting.onnx_operators import onnx_translations
from maskrcnn.exporting.traced_program import quiet, trace
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.artifact_contract import INPUTS, KEY, OUTPUTS, ArtifactMetadata

OPSET = 18


def write(model: MaskRCNN, path: Path, precision: str = "fp32", calibrate: Path | None = None) -> None:
    """Write the model to ``path`` (.onnx), its layers in bf16 if that is the precision and in fp32 otherwise."""
    program = trace(model, torch.bfloat16 if precision == "bf16" else torch.float32)
    with quiet():
        done = torch.onnx.export(
            program,
            input_names=INPUTS,
            output_names=OUTPUTS,
            opset_version=OPSET,
            custom_translation_table=onnx_translations(),
            external_data=False,
        )
        assert done is not None
        _name_nodes(done.model)
        done.model.metadata_props[KEY] = ArtifactMetadata(model.names, model.config, precision).to_json()
        done.save(str(path), external_data=False)


def _name_nodes(model: Any) -> None:
    """Name each node by its layer, ``box_head.logits/Gemm_3``; nodes of no layer (geometry) become ``/Mul_4``."""
    for number, node in enumerate(model.graph.all_nodes()):
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
        layers = [scope.removeprefix("model.") for scope in scopes if scope.startswith("model.")]
        node.name = f"{layers[-1] if layers else ''}/{node.op_type}_{number}"
