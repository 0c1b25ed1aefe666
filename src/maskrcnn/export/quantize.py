"""int8 after training: NNCF learns the range of every layer's values from images.

What scores boxes and moves them keeps its precision, and so does all geometry, in which 256 steps would be pixels
apart. So do a backbone's first and narrow layers and its depthwise ones, which cost little: with them in int8 the
bundled `nuclei` loses 1.9 mask AP, without them nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.export.openvino_file import silence
from maskrcnn.images.image_like import read_image_like
from maskrcnn.images.image_reader import ReadImage
from maskrcnn.images.sources import resolve_sources
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.preprocess import prepare

MOST_IMAGES = 128  # more teach nothing new
EXACT = ("rpn.logits", "rpn.deltas", "box_head.logits", "box_head.deltas")
NARROW = 64  # channels; below, a backbone's layers stay exact
_HEAVY = ("Convolution", "MatMul")


def quantize(network: Any, model: MaskRCNN, folder: Path) -> Any:
    """The OpenVINO network with its layers in int8, calibrated on the images of a folder.

    Raises:
        MaskRCNNError: no image in the folder could be read.
    """
    silence()
    import nncf

    nncf.set_log_level(logging.ERROR)
    from openvino import passes

    # Weights that are computed from weights are constants only after this.
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())
    folding.run_passes(network)
    inputs = list(_inputs(folder, model))
    if not inputs:
        raise MaskRCNNError(
            "no image to calibrate on: none can be read and shows an object that the model finds",
            where=folder,
            fix="name a folder that holds some hundred images like those the model will see",
        )
    return nncf.quantize(
        network,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=_kept(network), validate=False),
    )


def calibration_images(folder: Path, preprocess: Preprocess, most: int = MOST_IMAGES) -> Iterator[ReadImage]:
    """Images of a folder, evenly spread over it, that can be read."""
    found = resolve_sources([str(folder)]).images
    used = min(len(found), most)
    for place in range(used):
        try:
            yield read_image_like(found[place * len(found) // used].path_or_url, preprocess)[0]
        except MaskRCNNError:
            continue


def _inputs(folder: Path, model: MaskRCNN) -> Iterator[dict[str, np.ndarray]]:
    preprocess = model.config.preprocess
    for image in calibration_images(folder, preprocess):
        pixels = torch.from_numpy(np.require(image.pixels, requirements=["C", "W"])).permute(2, 0, 1)
        batch, sizes = prepare([pixels], preprocess)
        with torch.inference_mode():
            if not model.detect(batch, sizes).valid.any():
                continue  # without an object the mask head sees nothing, and its ranges would be spoiled
        yield {"images": batch.numpy(), "sizes": sizes.numpy(), "score": np.array(0.0, np.float32)}


def _kept(network: Any) -> list[str]:
    """Names of the operators that keep their precision: those of exact layers and those of no layer at all."""
    names = []
    for node in network.get_ordered_ops():
        layer = node.get_friendly_name().split("/")[0]
        kind = node.get_type_name()
        narrow = kind == "Convolution" and layer.startswith("backbone") and _narrowest(node) < NARROW
        if narrow or layer.startswith(EXACT) or kind == "GroupConvolution" or (not layer and kind not in _HEAVY):
            names.append(node.get_friendly_name())
    return names


def _narrowest(convolution: Any) -> int:
    """The lesser of its numbers of input and output channels."""
    outputs, inputs, *_ = convolution.input(1).get_partial_shape().to_shape()
    return min(outputs, inputs)
