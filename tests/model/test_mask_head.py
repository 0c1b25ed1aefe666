"""The mask head against the plain operators it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from maskrcnn.model.config import preset
from maskrcnn.model.mask_head import MaskHead


@pytest.mark.parametrize("rois", [0, 1, 5])
@pytest.mark.parametrize("name", ["lite", "resnet50_fpn"])
def test_it_is_a_transposed_convolution_and_a_1x1(name: str, rois: int) -> None:
    torch.manual_seed(0)
    head = MaskHead(3, preset(name))
    for layer in (head.upsample, head.logits):
        torch.nn.init.normal_(layer.weight, std=0.1)
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(rois, head.config.fpn_channels, 14, 14, requires_grad=True)
    want = head.logits(F.relu(head.upsample(head.convs(x))))
    got = head(x)
    assert got.shape == (rois, 3, 28, 28)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    goal = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    names = [key for key, _ in head.named_parameters()]
    wanted = torch.autograd.grad((want * goal).sum(), [x, *head.parameters()])
    found = torch.autograd.grad((got * goal).sum(), [x, *head.parameters()])
    for key, one, other in zip(["input", *names], found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4, msg=key)
