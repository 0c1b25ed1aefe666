"""`detect` as a traced program, from which every format starts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from maskrcnn.errors import MaskRCNNError
from maskrcnn.export.operators import WHOLE
from maskrcnn.inference.fused_model import for_inference
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.opaque_ops import use_opaque_operators

INPUTS = ("images", "sizes", "score")
OUTPUTS = ("boxes", "scores", "labels", "valid", "masks")
LONGEST = 8192  # pixels; the largest height and width of an input
MOST_IMAGES = 1024


class Detect(nn.Module):
    """`MaskRCNN.detect` as a module's forward, which is what tracers take."""

    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes: Tensor, score: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.detect(images, sizes, score))


@torch.no_grad()
def trace(model: MaskRCNN, dtype: torch.dtype = torch.float32, whole: bool = True) -> ExportedProgram:
    """The model's `detect` for any height and width that are multiples of 32, and any batch where ``whole``.

    Args:
        dtype: precision of the layers; those that score and move boxes stay in fp32.
        whole: keep suppression and RoIAlign as the operators of `export/operators.py`, for translation. Otherwise all
            is torch's own operators, and an input has at least 96 pixels each way and a batch of one.

    Raises:
        MaskRCNNError: not ``whole``, and the model's RoIAlign is adaptive.
    """
    if not whole and not model.config.roi_sampling:
        raise MaskRCNNError(
            "this model's RoIAlign adapts its samples to each box, which torch.export cannot trace",
            fix="use --format onnx or openvino",
        )
    portable = for_inference(model, torch.device("cpu"), dtype, portable=True)
    channels = model.config.preprocess.channels
    images = torch.rand(2 if whole else 1, channels, 128, 192) * model.full_scale
    sizes = torch.tensor([[120, 180], [128, 192]])[: len(images)]
    arguments = (images, sizes, torch.tensor(0.0))
    side = (
        Dim("height", min=1 if whole else 3, max=LONGEST // 32),
        Dim("width", min=1 if whole else 3, max=LONGEST // 32),
    )
    shape = {2: 32 * side[0], 3: 32 * side[1]}
    batch = {0: Dim("batch", max=MOST_IMAGES)} if whole else {}
    shapes = ({**batch, **shape}, batch or None, None)
    if not whole:
        return torch.export.export(Detect(portable), arguments, dynamic_shapes=shapes, strict=False)
    with use_opaque_operators(WHOLE):
        return torch.export.export(Detect(portable), arguments, dynamic_shapes=shapes, strict=False)
