"""The moving average against the formula, number by number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskrcnn.training.ema import EMA


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def moved(model: nn.Module, step: int) -> None:
    """Other weights and other statistics."""
    with torch.no_grad():
        for number, value in enumerate([*model.parameters(), *model.buffers()]):
            if value.is_floating_point():
                value.copy_(torch.sin(torch.arange(value.numel()) + step + number).reshape(value.shape))
            else:
                value.fill_(step)


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_it_is_the_formula(decay: float) -> None:
    model = network()
    ema = EMA(model, decay)  # type: ignore[arg-type]
    expected = {key: value.clone().double() for key, value in model.state_dict().items()}
    for step in range(1, 15):
        moved(model, step)
        ema.update(model)  # type: ignore[arg-type]
        keep = min(decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            expected[key] = keep * expected[key] + (1 - keep) * value
    for key, value in ema.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[key], rtol=1e-5, atol=1e-6)
        else:
            assert value == 14  # counts are copied


def test_a_decay_of_zero_is_the_model_itself() -> None:
    model = network()
    ema = EMA(model, 0.0)  # type: ignore[arg-type]
    for step in range(3):
        moved(model, step)
        ema.update(model)  # type: ignore[arg-type]
        for one, other in zip(model.state_dict().values(), ema.model.state_dict().values(), strict=True):
            assert torch.equal(one, other)


def test_an_average_of_equal_weights_is_those() -> None:
    model = network()
    ema = EMA(model, 0.998)  # type: ignore[arg-type]
    for _ in range(50):
        ema.update(model)  # type: ignore[arg-type]
    for one, other in zip(model.state_dict().values(), ema.model.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_the_shadow_is_for_evaluation_and_leaves_the_model_alone() -> None:
    model = network().train()
    ema = EMA(model, 0.9)  # type: ignore[arg-type]
    before = model[0].weight.clone()  # type: ignore[index]
    assert not ema.model.training
    assert not any(value.requires_grad for value in ema.model.parameters())
    ema.model[0].weight.fill_(7.0)  # type: ignore[index, union-attr]
    ema.update(model)  # type: ignore[arg-type]
    assert model.training
    assert all(value.requires_grad for value in model.parameters())
    assert torch.equal(model[0].weight, before)  # type: ignore[index]
