"""int8 after training: NNCF measures the range of every layer's values on calibration images.

The layers that score and move boxes keep their precision, and so does all geometry, where one of 256 steps would be
several pixels. So do a backbone's first, narrow and depthwise layers, which take little time: with them in int8 the
bundled `nuclei` loses 1.9 mask AP, without them nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_like import read_image_like
from maskrcnn.images.image_reader import ReadImage
from maskrcnn.images.sources import resolve_sources
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.preprocess import prepare
from maskrcnn.runtime.artifact_contract import graph_inputs

MAX_CALIBRATION_IMAGES = 128  # more do not change the ranges
EXACT = ("rpn.logits", "rpn.deltas", "box_head.logits", "box_head.deltas")
NARROW = 64  # channels; below, a backbone's layers stay exact
_HEAVY = ("Convolution", "MatMul")


def disable_telemetry() -> None:
    """Hide the package that sends usage data from OpenVINO's tools and NNCF. To be called before importing them."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def quantize(network: Any, model: MaskRCNN, folder: Path) -> Any:
    """The OpenVINO network with its layers in int8, calibrated on the images of a folder.

    Raises:
        MaskRCNNError: no image in the folder could be read.
    """
    disable_telemetry()
    import nncf

    nncf.set_log_level(logging.ERROR)
    from openvino import passes

    # This turns weights that are computed from other weights into constants.
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())
    folding.run_passes(network)
    inputs = list(_calibration_inputs(folder, model))
    if not inputs:
        what = "no image to calibrate on: none can be read and shows an object that the model finds"
        fix = "name a folder with some hundred images like those the model will see"
        raise MaskRCNNError(what, where=folder, fix=fix)
    return nncf.quantize(
        network,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=_exact_nodes(network), validate=False),
    )


def calibration_images(folder: Path, preprocess: Preprocess, most: int = MAX_CALIBRATION_IMAGES) -> Iterator[ReadImage]:
    """Readable images of a folder, evenly spread over its list."""
    found = resolve_sources([str(folder)]).images
    used = min(len(found), most)
    for number in range(used):
        try:
            yield read_image_like(found[number * len(found) // used].path_or_url, preprocess)[0]
        except MaskRCNNError:
            continue


def _calibration_inputs(folder: Path, model: MaskRCNN) -> Iterator[dict[str, np.ndarray]]:
    preprocess = model.config.preprocess
    for image in calibration_images(folder, preprocess):
        pixels = torch.from_numpy(np.require(image.pixels, requirements=["C", "W"])).permute(2, 0, 1)
        batch, sizes = prepare([pixels], preprocess)
        with torch.inference_mode():
            if not model.detect(batch, sizes).valid.any():
                continue  # without an object the mask head has no input, and its ranges would be wrong
        yield graph_inputs(batch.numpy(), sizes.numpy(), 0.0)


def _exact_nodes(network: Any) -> list[str]:
    """Names of the operators that keep their precision: those of exact layers, and those that belong to no layer."""
    names = []
    for node in network.get_ordered_ops():
        layer = node.get_friendly_name().split("/")[0]
        kind = node.get_type_name()
        narrow = False
        if kind == "Convolution" and layer.startswith("backbone"):
            narrow = min(node.input(1).get_partial_shape().to_shape()[:2]) < NARROW  # of its output and input channels
        if narrow or layer.startswith(EXACT) or kind == "GroupConvolution" or (not layer and kind not in _HEAVY):
            names.append(node.get_friendly_name())
    return names
