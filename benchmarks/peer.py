"""torchvision's Mask R-CNN with weights that behave like trained ones, for benchmarks and tests that compare with it.

No package ships trained weights of a ResNet-50 Mask R-CNN. Random ones are scaled, layer by layer on a photo, to the
spread that trained ones have: activations of order one, some boxes sure, others not, a hundred objects in any picture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

PHOTOS: tuple[Callable[[], np.ndarray], ...] = (
    skimage.data.coffee,
    skimage.data.astronaut,
    skimage.data.chelsea,
    lambda: skimage.data.stereo_motorcycle()[0],
    skimage.data.rocket,
    skimage.data.immunohistochemistry,
    skimage.data.retina,
    skimage.data.hubble_deep_field,
)


def photos(count: int, height: int, width: int) -> list[np.ndarray]:
    """So many real photos, uint8 [height, width, 3]; nothing is downloaded."""
    found = []
    for make in PHOTOS:
        try:
            found.append(np.asarray(Image.fromarray(make()).convert("RGB").resize((width, height))).copy())
        except (OSError, ModuleNotFoundError):  # not in skimage's wheel, only in its download
            continue
        if len(found) == count:
            break
    return [found[index % len(found)] for index in range(count)]


def as_float(photo: np.ndarray) -> Tensor:
    """float32 [3, H, W] in 0..1, as torchvision takes it."""
    return torch.from_numpy(photo).permute(2, 0, 1).float() / 255


def build(**settings: Any) -> Any:
    """torchvision's ResNet-50 Mask R-CNN without weights, its norms frozen as in its published models, and its stem and
    first stage fixed in training."""
    body = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=3)
    return MaskRCNN(body, num_classes=91, **settings).eval()


def randomize(peer: Any, photo: np.ndarray) -> None:
    """Fill the peer with such weights, the same each time."""
    torch.manual_seed(0)
    for module in peer.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for layer in peer.backbone.body.modules():
        if hasattr(layer, "bn3"):
            layer.bn3.weight.data.fill_(0.3)
    heads = peer.roi_heads
    stages = [
        [(peer.rpn.head.cls_logits, 1.0), (peer.rpn.head.bbox_pred, 0.3)],
        [(heads.box_predictor.cls_score, 3.0), (heads.box_predictor.bbox_pred, 1.0)],
        [(heads.mask_predictor.mask_fcn_logits, 3.0)],
    ]
    # Each output layer is scaled to the spread asked for, as measured on a photo.
    for stage in stages:
        seen: dict[nn.Module, list[Tensor]] = {layer: [] for layer, _ in stage}
        hooks = [layer.register_forward_hook(_keeping(outputs)) for layer, outputs in seen.items()]
        with torch.no_grad():
            peer.eval()([as_float(photo)])
        for (layer, spread), hook in zip(stage, hooks, strict=True):
            hook.remove()
            layer.weight.data *= spread / torch.cat([output.flatten() for output in seen[layer]]).std()


def _keeping(outputs: list[Tensor]) -> Callable:
    return lambda layer, inputs, output: outputs.append(output)


def weights_file(folder: Path) -> Path:
    """The state dict that all contenders load."""
    path = folder / "model.pth"
    if not path.exists():
        peer = build(min_size=480, max_size=800)
        randomize(peer, photos(1, 480, 640)[0])
        torch.save(peer.state_dict(), path)
    return path
