"""`detect` as a traced program, the input of every format."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from maskrcnn.errors import MaskRCNNError
from maskrcnn.exporting.onnx_operators import OPAQUE_OPERATORS
from maskrcnn.inference.fused_model import for_inference
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.opaque_ops import use_opaque_operators
from maskrcnn.runtime.artifact_contract import DIVISOR, MAX_BATCH, MAX_SIDE, MIN_PROGRAM_SIDE


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide an exporter's warnings, also in the log, and its progress on standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class Detect(nn.Module):
    """`MaskRCNN.detect` as the forward of a module, as tracers need it."""

    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes: Tensor, score: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.detect(images, sizes, score))


@torch.no_grad()
def trace(model: MaskRCNN, dtype: torch.dtype = torch.float32, opaque: bool = True) -> ExportedProgram:
    """The model's `detect` with the inputs and outputs of `runtime/artifact_contract.py`.

    Args:
        dtype: precision of the layers; those that score and move boxes stay in fp32.
        opaque: keep suppression and RoIAlign as the operators of `onnx_operators.py`, for translation; inputs have any
            batch size, height and width. Otherwise the program consists of torch's own operators, its batch size is 1,
            and inputs have at least `MIN_PROGRAM_SIDE` pixels each way.

    Raises:
        MaskRCNNError: not ``opaque``, and the model's RoIAlign is adaptive.
    """
    if not opaque and not model.config.roi_sampling:
        what = "this model's RoIAlign adapts its samples to each box, which torch.export cannot trace"
        raise MaskRCNNError(what, fix="use the format onnx or openvino")
    program = Detect(for_inference(model, torch.device("cpu"), dtype, portable=True))
    preprocess = model.config.preprocess
    images = torch.rand(2 if opaque else 1, preprocess.channels, 128, 192) * preprocess.full_scale
    sizes = torch.tensor([[120, 180], [128, 192]])[: len(images)]
    height, width = (
        DIVISOR * Dim(name, min=1 if opaque else MIN_PROGRAM_SIDE // DIVISOR, max=MAX_SIDE // DIVISOR)
        for name in ("height", "width")
    )
    batch = {0: Dim("batch", max=MAX_BATCH)} if opaque else {}
    shapes = ({**batch, 2: height, 3: width}, batch or None, None)
    with use_opaque_operators(OPAQUE_OPERATORS if opaque else {}):
        return torch.export.export(program, (images, sizes, torch.tensor(0.0)), dynamic_shapes=shapes, strict=False)
