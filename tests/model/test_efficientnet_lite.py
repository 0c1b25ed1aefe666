"""EfficientNet-Lite0 against timm's, to the bit."""

from __future__ import annotations

import torch

from maskrcnn.model.backbone import TimmBackbone
from maskrcnn.model.efficientnet_lite import EfficientNetLite0


def pair(channels: int = 3) -> tuple[EfficientNetLite0, TimmBackbone]:
    torch.manual_seed(0)
    ours, peer = EfficientNetLite0(channels), TimmBackbone("efficientnet_lite0", channels)
    with torch.no_grad():
        for value in peer.buffers():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
    ours.load_state_dict(peer.state_dict())
    return ours, peer


def test_it_is_timms_in_training_and_after_it() -> None:
    ours, peer = pair(channels=4)
    assert list(ours.state_dict()) == list(peer.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in peer.named_parameters()]
    assert (ours.channels, ours.stage_ends) == (peer.channels, peer.stage_ends)
    photo = torch.randn(2, 4, 64, 96)
    for training in (True, False):
        ours.train(training), peer.train(training)
        assert all(map(torch.equal, ours(photo), peer(photo)))
    for net in (ours, peer):
        net.train()(photo)[-1].square().sum().backward()
    assert all(
        torch.equal(own.grad, other.grad) for own, other in zip(ours.parameters(), peer.parameters(), strict=True)
    )
    assert all(map(torch.equal, ours.buffers(), peer.buffers()))


def test_its_first_weights_are_drawn_as_timms() -> None:
    torch.manual_seed(0)
    ours, peer = EfficientNetLite0().state_dict(), TimmBackbone("efficientnet_lite0").state_dict()
    large = [name for name, value in peer.items() if value.dim() == 4 and value.numel() > 20_000]
    assert len(large) > 20
    for name in large:
        torch.testing.assert_close(ours[name].std(), peer[name].std(), rtol=0.05, atol=0)
        assert abs(ours[name].mean()) < 0.05 * peer[name].std()
    norms = [name for name, value in peer.items() if value.dim() < 2]
    assert all(torch.equal(ours[name], peer[name]) for name in norms)
