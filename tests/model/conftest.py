"""What the model tests share: the quick variants of the presets and the batches of `test_mask_rcnn.py`."""

from __future__ import annotations

import copy
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import FrozenBatchNorm2d

from maskrcnn.config import Config
from maskrcnn.model.batch import Batch
from maskrcnn.model.mask_rcnn import MaskRCNN


def _load(name: str) -> ModuleType:
    """A test file as a module: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"shared_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_TESTER = _load("test_mask_rcnn")


@pytest.fixture(scope="session")
def quick() -> Callable[..., Config]:
    """A preset's name and changes → its quick variant."""
    return _TESTER.quick


@pytest.fixture(scope="session")
def batch_of() -> Callable[..., Batch]:
    """Numbers of objects → a batch."""
    return _TESTER.batch_of


def _spread_scores(model: MaskRCNN) -> None:
    """Give the class logits a spread of two over the RoIs of some image, so that scores are of all sizes."""
    head, seen = model.box_head.logits, []
    hook = head.register_forward_hook(lambda module, given, logits: seen.append(logits))
    images = torch.rand(1, model.config.preprocess.channels, 128, 128, generator=torch.Generator().manual_seed(1))
    model.detect(images * model.full_scale, torch.tensor([[128, 128]]))
    hook.remove()
    std, mean = torch.std_mean(seen[0], dim=0)
    head.weight.mul_(2 / std[:, None])
    head.bias.copy_((head.bias - mean) * 2 / std)
    head.bias[-1] += 2


@pytest.fixture(scope="session")
def trained() -> Callable[..., MaskRCNN]:
    """A config → a network as training might leave it: no bias and no norm is at its start, and objects come out."""

    @functools.cache
    @torch.no_grad()
    def build(config: Config) -> MaskRCNN:
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

    return lambda config: copy.deepcopy(build(config))
