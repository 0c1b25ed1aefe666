"""The frozen norm against torchvision's, to the bit."""

from __future__ import annotations

import torch
import torchvision

from maskrcnn.model.layers import FrozenBatchNorm2d


def test_a_frozen_norm_is_torchvisions_and_has_no_parameters() -> None:
    torch.manual_seed(0)
    ours, peer = FrozenBatchNorm2d(24, eps=1e-3), torchvision.ops.FrozenBatchNorm2d(24, eps=1e-3)
    assert {name: value.tolist() for name, value in ours.state_dict().items()} == {
        name: value.tolist() for name, value in peer.state_dict().items()
    }
    ours.load_state_dict({name: value.uniform_(0.5, 1.5) for name, value in peer.state_dict().items()})
    assert not list(ours.parameters())
    maps = torch.randn(2, 24, 9, 7, requires_grad=True)
    assert torch.equal(ours.train()(maps), peer(maps))
    grads = [torch.autograd.grad(norm(maps).square().sum(), maps)[0] for norm in (ours, peer)]
    assert torch.equal(*grads)
