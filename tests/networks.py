"""Small networks and batches for tests of whole networks."""

from __future__ import annotations

import copy
import functools

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from maskrcnn.config import Config, preset
from maskrcnn.model.batch import Batch
from maskrcnn.model.layers import FrozenBatchNorm2d
from maskrcnn.model.mask_rcnn import MaskRCNN

# A ResNet-18 body and few proposals keep the ResNet presets quick; their heads, norms and rules are the preset's.
QUICK = {"proposals": (60, 40), "rpn_before_nms": (60, 40), "max_detections": 12, "roi_samples": 32}


def quick(name: str, **changes: object) -> Config:
    config = preset(name).replace(**QUICK, **changes)
    return config if name == "lite" else config.replace(backbone="resnet18", box_hidden=config.box_hidden and (64,))


def batch_of(counts: list[int], crowd: int = 0, masks: bool = True, seed: int = 0) -> Batch:
    """Images of different sizes with ``counts`` objects each."""
    generator = torch.Generator().manual_seed(3)
    images, objects = len(counts), max(counts)
    corner = torch.rand(images, objects, 2, generator=generator) * 60
    boxes = torch.cat((corner, corner + 10 + torch.rand(images, objects, 2, generator=generator) * 40), -1)
    sizes = torch.tensor([[96, 128], [128, 100]])[:images]
    return Batch(
        images=torch.randint(0, 256, (images, 3, 128, 128), generator=generator, dtype=torch.uint8),
        sizes=sizes,
        boxes=boxes,
        labels=torch.randint(0, 3, (images, objects), generator=generator),
        valid=torch.arange(objects) < torch.tensor(counts)[:, None],
        frames=boxes,
        patches=torch.full((images, objects, 9, 9), 255, dtype=torch.uint8),
        patch_sizes=torch.full((images, objects, 2), 9 if masks else 0),
        crowd=torch.tensor([[[0.0, 0.0, 128.0, 128.0]]]).expand(images, crowd, 4),
        seeds=torch.arange(images) + 10 * seed,
    )


def trained(config: Config) -> MaskRCNN:
    """A network as training might leave it: no bias and no norm is at its start, and objects come out."""
    return copy.deepcopy(_trained(config))


@functools.cache
@torch.no_grad()
def _trained(config: Config) -> MaskRCNN:
    torch.manual_seed(0)
    model = MaskRCNN(config, ["cat", "dog", "cow"]).eval()
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d | _BatchNorm):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.uniform_(0.7, 1.3)
            module.bias.normal_(std=0.2)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            module.bias.normal_(std=0.1)
    model.rpn.logits.weight.normal_(std=0.1)
    model.mask_head.logits.weight.normal_(std=0.1)
    _spread_scores(model)
    return model


def _spread_scores(model: MaskRCNN) -> None:
    """Give the class logits a spread of two over the RoIs of some image, so that scores are of all sizes."""
    head, seen = model.box_head.logits, []
    hook = head.register_forward_hook(lambda module, given, logits: seen.append(logits))
    images = torch.rand(1, model.config.preprocess.channels, 128, 128, generator=torch.Generator().manual_seed(1))
    model.detect(images * model.config.preprocess.full_scale, torch.tensor([[128, 128]]))
    hook.remove()
    std, mean = torch.std_mean(seen[0], dim=0)
    head.weight.mul_(2 / std[:, None])
    head.bias.copy_((head.bias - mean) * 2 / std)
    head.bias[-1] += 2
