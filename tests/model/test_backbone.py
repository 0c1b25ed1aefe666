"""ResNets against torchvision's, name by name and number by number; timm's networks by their strides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FrozenBatchNorm2d

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.backbone import RESNETS, STRIDES, ResNet, TimmBackbone, build_backbone


def torchvisions(name: str, norm: type[nn.Module]) -> nn.Module:
    """The peer's four stages with random weights and statistics; activations stay of order one."""
    torch.manual_seed(0)
    with torch.device("meta"):  # no time is spent on an initialisation that is overwritten
        body = torchvision.models.get_model(name, weights=None, norm_layer=norm)
    body.to_empty(device="cpu")
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.uniform_(-1, 1).mul_((6 / module.weight[0].numel()) ** 0.5)
        elif isinstance(module, FrozenBatchNorm2d | nn.BatchNorm2d):
            for values, low in ((module.weight, 0.3), (module.bias, 0.0), (module.running_mean, 0.0)):
                values.data.uniform_(low, 0.6)
            module.running_var.uniform_(0.5, 1.5)
    return IntermediateLayerGetter(body, {f"layer{n}": f"layer{n}" for n in range(1, 5)}).eval()


def photo(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "norm"), [*((name, "frozen") for name in RESNETS), ("resnet50", "batch")])
@torch.no_grad()
def test_resnets_are_torchvisions(name: str, norm: str) -> None:
    peer = torchvisions(name, FrozenBatchNorm2d if norm == "frozen" else nn.BatchNorm2d)
    with torch.device("meta"):
        ours = build_backbone(Config(backbone=name, backbone_norm=norm)).eval()  # type: ignore[arg-type]
    assert list(ours.state_dict()) == list(peer.state_dict())
    ours.load_state_dict(peer.state_dict(), assign=True)
    levels, expected = ours(photo()), list(peer(photo()).values())
    assert ours.channels == [level.shape[1] for level in expected]
    for level, want, stride in zip(levels, expected, STRIDES, strict=True):
        assert level.shape[-2:] == (64 // stride, 96 // stride)
        torch.testing.assert_close(level, want, rtol=1e-4, atol=1e-4 * want.abs().max().item())


@pytest.mark.parametrize(
    ("name", "groups", "width"), [("resnext50_32x4d", 32, 4), ("resnext101_32x8d", 32, 8), ("wide_resnet50_2", 1, 128)]
)
@torch.no_grad()
def test_groups_and_widths_are_torchvisions(name: str, groups: int, width: int) -> None:
    peer = torchvisions(name, FrozenBatchNorm2d)
    config = Config(
        backbone="resnet101" if "101" in name else "resnet50", backbone_groups=groups, backbone_group_width=width
    )
    with torch.device("meta"):
        ours = build_backbone(config).eval()
    ours.load_state_dict(peer.state_dict(), assign=True)
    for level, want in zip(ours(photo()), peer(photo()).values(), strict=True):
        torch.testing.assert_close(level, want, rtol=1e-4, atol=1e-4 * want.abs().max().item())


@torch.no_grad()
def test_the_stride_in_the_first_convolution() -> None:
    """torchvision's network with the strides of its convolutions moved."""
    peer = torchvisions("resnet50", FrozenBatchNorm2d)
    for stage in (peer.layer2, peer.layer3, peer.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    with torch.device("meta"):
        ours = build_backbone(Config(backbone_stride_in_1x1=True)).eval()
    ours.load_state_dict(peer.state_dict(), assign=True)
    for level, want in zip(ours(photo()), peer(photo()).values(), strict=True):
        torch.testing.assert_close(level, want, rtol=1e-4, atol=1e-4 * want.abs().max().item())


def test_learning_batch_norm_is_torchvisions_in_training_too() -> None:
    peer = torchvisions("resnet18", nn.BatchNorm2d).train()
    ours = build_backbone(Config(backbone="resnet18", backbone_norm="batch")).train()
    ours.load_state_dict(peer.state_dict())
    ours(photo())[3].square().sum().backward()
    peer(photo())["layer4"].square().sum().backward()
    torch.testing.assert_close(ours.bn1.running_var, peer.bn1.running_var)
    torch.testing.assert_close(ours.conv1.weight.grad, peer.conv1.weight.grad, rtol=1e-3, atol=1e-2)


def test_frozen_statistics_neither_learn_nor_move() -> None:
    body = build_backbone(Config(backbone="resnet18")).train()
    before = body.bn1.running_mean.clone()
    body(photo())
    assert torch.equal(body.bn1.running_mean, before)
    assert all("bn" not in name and "downsample.1" not in name for name, _ in body.named_parameters())


def test_the_norms_epsilon_is_the_configs() -> None:
    body = build_backbone(Config(backbone="resnet18", norm_eps=0.5))
    body.bn1.running_var.fill_(0.5)
    torch.testing.assert_close(body.bn1(photo()[:, :1].expand(-1, 64, -1, -1)), photo()[:, :1].expand(-1, 64, -1, -1))


@pytest.mark.parametrize("name", ["resnet10t", "test_convnext", "test_byobnet", "test_efficientnet"])
@torch.no_grad()
def test_timm_networks_answer_at_the_four_strides(name: str) -> None:
    body = build_backbone(Config(backbone=f"timm:{name}")).eval()
    assert isinstance(body, TimmBackbone)
    sizes = [(64 // stride, 96 // stride) for stride in STRIDES]
    assert [tuple(level.shape[1:]) for level in body(photo())] == [
        (channels, *size) for channels, size in zip(body.channels, sizes, strict=True)
    ]


def test_convnext_tiny() -> None:
    with torch.device("meta"):
        body = TimmBackbone("convnext_tiny")
        levels = body(torch.zeros(1, 3, 64, 96))
    assert body.channels == [96, 192, 384, 768]
    assert [tuple(level.shape[1:]) for level in levels] == [(96, 16, 24), (192, 8, 12), (384, 4, 6), (768, 2, 3)]


@torch.no_grad()
def test_a_channels_last_network_whose_width_equals_a_maps_height() -> None:
    """test_mambaout answers [B, H, W, C] with 16 channels; at 64 rows of pixels the first map has 16 rows."""
    level = TimmBackbone("test_mambaout").eval()(photo())[0]
    assert level.shape == (2, 16, 16, 24)


def test_unknown_names_are_told_with_a_suggestion() -> None:
    with pytest.raises(MaskRCNNError, match=r"unknown backbone 'resnet5'.*resnet50"):
        build_backbone(Config(backbone="resnet5"))
    with pytest.raises(MaskRCNNError, match=r"'convnext_tinny'.*near: .*convnext_"):
        build_backbone(Config(backbone="timm:convnext_tinny"))


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:timm/resnet18.a1_in1k",
        "hf_hub:timm/resnet18",
        "HF-HUB:timm/resnet18",
        "local-dir:{folder}",
        "local_dir:{folder}",
        "timm/resnet18",
        "./resnet18",
        "{folder}",
        "..\\resnet18",
        "http://127.0.0.1/resnet18",
        "file:///etc/passwd",
        "resnet18@main",
        "resnet18\n",
        "resnet18.a1_in1k.more",
        "résnet18",
        "",
        "r" * 200,
    ],
)
def test_a_name_that_is_no_architecture_is_looked_for_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm would ask an address for some of these, and take others for a folder that holds a config.json."""
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", "pretrained_cfg": {}}))
    asked: list[object] = []
    for call in ("connect", "connect_ex"):
        monkeypatch.setattr(f"socket.socket.{call}", lambda self, address: asked.append(address))
    monkeypatch.setattr("socket.getaddrinfo", lambda *address, **more: asked.append(address) or [])
    with pytest.raises(MaskRCNNError, match="timm offers no feature pyramid") as caught:
        build_backbone(Config(backbone=f"timm:{name.format(folder=tmp_path)}"))
    assert not asked
    assert "no such architecture" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_tag_names_the_same_network_and_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *address, **more: pytest.fail(f"asked {address}"))
    plain, tagged = (build_backbone(Config(backbone=f"timm:{name}")) for name in ("resnet10t", "resnet10t.c3_in1k"))
    shapes = [{name: value.shape for name, value in body.state_dict().items()} for body in (plain, tagged)]
    assert shapes[0] == shapes[1]
    with pytest.raises(MaskRCNNError, match="unheard_of"):
        build_backbone(Config(backbone="timm:resnet10t.unheard_of"))


def test_a_misspelt_first_word_gets_a_suggestion_too() -> None:
    with pytest.raises(MaskRCNNError, match=r"near: .*efficientnet_lite0"):
        build_backbone(Config(backbone="timm:efficentnet_lite0"))


def test_a_network_without_a_pyramid_is_refused() -> None:
    with pytest.raises(MaskRCNNError, match=r"strides \[16, 16, 16\], expected \[4, 8, 16, 32\].*convnext_tiny"):
        build_backbone(Config(backbone="timm:test_vit"))


def test_the_resnet_of_each_name() -> None:
    with torch.device("meta"):
        body = build_backbone(Config(backbone="resnet34"))
    assert isinstance(body, ResNet)
    assert [len(getattr(body, f"layer{n}")) for n in range(1, 5)] == [3, 4, 6, 3]
