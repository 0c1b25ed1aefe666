"""Stages of backbones: every parameter in one, in the order of the network, and frozen when asked."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.backbone_stages import freeze, stage_of_parameters


def network(backbone: str) -> MaskRCNN:
    return MaskRCNN(preset("lite").replace(backbone=backbone), ["thing"])


@pytest.mark.parametrize("backbone", ["resnet18", "timm:efficientnet_lite0", "timm:test_convnext", "timm:test_byobnet"])
def test_a_stage_is_what_its_map_and_no_finer_one_depends_on(backbone: str) -> None:
    """By gradients: a parameter of stage s moves the maps from the s-th on, and none before."""
    model = network(backbone)
    stages = stage_of_parameters(model)
    assert stages.keys() == {name for name, _ in model.named_parameters() if name.startswith("backbone.")}
    assert set(stages.values()) == {0, 1, 2, 3, 4}
    maps = model.backbone(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    named = dict(model.named_parameters())
    for level, features in enumerate(maps, start=1):
        used = torch.autograd.grad(
            features.sum(), [named[name] for name in stages], retain_graph=True, allow_unused=True
        )
        for (name, stage), gradient in zip(stages.items(), used, strict=True):
            assert (gradient is not None) == (stage <= level), (name, stage, level)


def learning(model: MaskRCNN) -> set[str]:
    return {name for name, value in model.backbone.named_parameters() if value.requires_grad}


def test_stages_are_chosen_by_number_or_name() -> None:
    model = network("resnet18").train()
    freeze(model, [0, "layer1"])
    names = learning(model)
    assert {name.split(".")[0] for name in names} == {"layer2", "layer3", "layer4"}
    assert any(value.requires_grad for value in model.fpn.parameters())
    freeze(model, ["layer3.0.conv1"])
    assert names - learning(model) == {"layer3.0.conv1.weight"}
    timm = network("timm:efficientnet_lite0").train()
    freeze(timm, ["blocks.2"])
    assert not any(name.startswith("body.blocks.2.") for name in learning(timm))
    assert any(name.startswith("body.blocks.3.") for name in learning(timm))


def test_frozen_norms_use_their_statistics_and_gather_none() -> None:
    model = network("resnet18").train()
    freeze(model, [0, 1])
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.backbone(torch.randn(2, 3, 64, 64))
    changed = {name for name, value in model.named_buffers() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith(("backbone.bn1", "backbone.layer1")) for name in changed)
    assert all(module.training for module in model.backbone.layer2.modules() if isinstance(module, nn.BatchNorm2d))  # type: ignore[union-attr]


@pytest.mark.parametrize("backbone", ["resnet18", "timm:efficientnet_lite0", "timm:test_convnext"])
def test_norms_alone_can_be_frozen(backbone: str) -> None:
    """Batch norms keep their statistics and affine part; all convolutions learn. A network without them is fine."""
    model = network(backbone).train()
    before = learning(model)
    freeze(model, ["norms"])
    norms = {name for name, module in model.backbone.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert bool(norms) is (backbone != "timm:test_convnext")
    assert before - learning(model) == {f"{name}.{part}" for name in norms for part in ("weight", "bias")}
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    model.backbone(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())


@pytest.mark.parametrize("choice", [5, -1, "layer9", "layer"])
def test_unknown_stages_name_the_known(choice: int | str) -> None:
    with pytest.raises(MaskRCNNError, match=r"no stage or module.*0 \(the stem\) to 4, norms.*conv1, bn1, layer1"):
        freeze(network("resnet18"), [choice])
