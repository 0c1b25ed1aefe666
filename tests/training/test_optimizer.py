"""What a step does to weights, biases, norms and what is frozen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskrcnn.config import preset
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.optimizer import build_optimizer, set_rate
from maskrcnn.training.recipe import Recipe


def network() -> nn.Sequential:
    """Two convolutions, the first frozen, and a norm; all ones."""
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    for value in model.parameters():
        nn.init.ones_(value)
    model[0].requires_grad_(False)
    return model


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_only_weights_of_two_or_more_dimensions_decay(kind: str) -> None:
    model = network()
    optimizer = build_optimizer(model, Recipe(optimizer=kind, lr=0.1, weight_decay=0.5), 0.1)  # type: ignore[arg-type]
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    after = {name: float(value.detach().mean()) for name, value in model.named_parameters()}
    # Nesterov's step looks ahead by the momentum once more: 1 + 0.9.
    decayed = 1 - 0.1 * 0.5 * (1.9 if kind == "sgd" else 1)
    assert after.pop("1.weight") == pytest.approx(decayed)
    assert set(after.values()) == {1.0}


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_everything_trainable_learns_once_and_nothing_else(kind: str) -> None:
    model = network()
    optimizer = build_optimizer(model, Recipe(optimizer=kind), 1e-3)  # type: ignore[arg-type]
    learning = [id(value) for group in optimizer.param_groups for value in group["params"]]
    assert len(learning) == len(set(learning))
    assert set(learning) == {id(value) for layer in (model[1], model[2]) for value in layer.parameters()}


def test_the_first_step_of_each() -> None:
    """A gradient of 2 with a rate of 0.1: AdamW moves by the rate, SGD by rate x gradient x 1.9."""
    for kind, moved in (("adamw", 0.1), ("sgd", 0.38)):
        model = network()
        optimizer = build_optimizer(model, Recipe(optimizer=kind, lr=0.1, weight_decay=0), 0.1)  # type: ignore[arg-type]
        for value in model.parameters():
            value.grad = torch.full_like(value, 2.0)
        optimizer.step()
        assert model[1].bias.detach().mean().item() == pytest.approx(1 - moved, rel=1e-5)


def test_stages_learn_at_shares_that_shrink_towards_the_stem() -> None:
    model = MaskRCNN(preset("lite").replace(backbone="resnet18", backbone_norm="batch"), ["thing"])
    optimizer = build_optimizer(model, Recipe(layer_decay=0.5), 0.1)
    names = {id(value): name for name, value in model.named_parameters()}
    for factor in (1.0, 0.3):
        set_rate(optimizer, 0.1 * factor)
        rates = {names[id(value)]: group["lr"] for group in optimizer.param_groups for value in group["params"]}
        assert rates.keys() == set(names.values())
        for name, rate in rates.items():
            stage = 0 if name.startswith(("backbone.conv1", "backbone.bn1")) else 5
            stage = int(name[len("backbone.layer")]) if name.startswith("backbone.layer") else stage
            assert rate == pytest.approx(0.1 * factor * 0.5 ** (5 - stage)), name


def test_one_rate_for_all_unless_asked() -> None:
    optimizer = build_optimizer(network(), Recipe(), 0.005)  # type: ignore[arg-type]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005] * 2)
