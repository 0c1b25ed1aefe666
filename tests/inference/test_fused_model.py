"""The copy for inference against the network it was made of, and the fusing of small networks one rule at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from maskrcnn.config import PRESETS
from maskrcnn.inference.fused_model import FusedConv2d, WinogradConv2d, _fused, for_inference
from maskrcnn.model.detections import InstanceDetections
from maskrcnn.model.layers import FrozenBatchNorm2d
from maskrcnn.model.mask_rcnn import MaskRCNN
from tests.networks import batch_of, quick, trained

CPU = torch.device("cpu")
# Shortcuts, depthwise convolutions, gates, layer norm, groups, and activations that timm keeps in its norms.
TIMM = ("mobilenetv3_small_050", "convnext_atto", "regnetx_002")
MODELS = (*PRESETS, "lite resnet50", *(f"timm:{name}" for name in TIMM))


@pytest.fixture(scope="module", params=MODELS)
def model(
    request: pytest.FixtureRequest,
) -> MaskRCNN:
    name, _, body = request.param.partition(" ")
    if body:  # bottlenecks, which the quick presets lack
        config = quick(name, backbone=body)
    else:
        config = quick("lite", backbone=name) if name.startswith("timm:") else quick(name)
    return trained(config)


def close(found: InstanceDetections, wanted: InstanceDetections) -> None:
    assert torch.equal(found.valid, wanted.valid)
    assert torch.equal(found.labels[found.valid], wanted.labels[wanted.valid])
    for name, tolerance in (("boxes", 1e-3), ("scores", 1e-4), ("masks", 3e-4)):
        one, other = (getattr(part, name)[wanted.valid] for part in (found, wanted))
        torch.testing.assert_close(one, other, atol=tolerance, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@torch.no_grad()
def test_it_detects_what_the_network_does(model: MaskRCNN) -> None:
    fast = for_inference(model, CPU, torch.float32)
    assert any(isinstance(module, FusedConv2d | WinogradConv2d) for module in fast.modules())
    for images, sizes in (batch_of([3, 2])[:2], (torch.rand(1, 3, 64, 160) * 255, torch.tensor([[64, 150]]))):
        wanted = model.detect(images, sizes)
        assert wanted.valid.sum() >= 4
        close(fast.detect(images, sizes), wanted)


@torch.no_grad()
def test_nothing_changes_in_the_network_it_is_made_of(model: MaskRCNN) -> None:
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wants = {name: value.requires_grad for name, value in model.named_parameters()}
    modes = {name: module.training for name, module in model.named_modules()}
    fast = for_inference(model, CPU, torch.bfloat16)
    fast.detect(*batch_of([1, 1])[:2])
    assert list(model.state_dict()) == list(before)
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name]), name
    assert {name: value.requires_grad for name, value in model.named_parameters()} == wants
    assert any(wants.values())
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert not any(value.requires_grad for value in fast.parameters())
    assert not any(module.training for module in fast.modules() if isinstance(module, _BatchNorm | nn.Dropout))
    model.eval()


@pytest.mark.parametrize("name", PRESETS)
def test_no_norm_of_a_preset_is_left(
    name: str,
) -> None:
    def norms(network: nn.Module) -> int:
        return sum(isinstance(module, FrozenBatchNorm2d | _BatchNorm) for module in network.modules())

    model = trained(quick(name))
    assert norms(model) >= 20
    assert norms(for_inference(model, CPU, torch.float32)) == 0


@torch.no_grad()
def test_shortcuts_of_lite_are_summed_in_the_convolutions_before_them() -> None:
    assert calls(for_inference(trained(quick("lite")), CPU, torch.float32).backbone) == []


@torch.no_grad()
def test_half_precision_is_near_and_scores_in_fp32(model: MaskRCNN) -> None:
    images, sizes = batch_of([3, 2])[:2]
    fast = for_inference(model, CPU, torch.bfloat16)
    assert fast.mask_head.logits.weight.dtype == torch.bfloat16
    for layer in (fast.rpn.logits, fast.rpn.deltas, fast.box_head.logits, fast.box_head.deltas):
        assert {value.dtype for value in layer.parameters()} == {torch.float32}
    assert {fast.rpn.anchors.shapes.dtype, fast.normalise.mean.dtype, fast.normalise.std.dtype} == {torch.float32}
    halves = [value for value in fast.parameters() if value.dtype == torch.bfloat16]
    assert sum(value.numel() for value in halves) > 0.8 * sum(value.numel() for value in fast.parameters())
    wanted, found = model.detect(images, sizes), fast.detect(images, sizes)
    assert all(part.isfinite().all() for part in (found.boxes, found.scores, found.masks))
    assert {found.boxes.dtype, found.scores.dtype, found.masks.dtype} == {torch.float32}
    # Random scores lie close together, so that their order is another; the raw maps tell how near it is.
    raw, fast_raw = (network.rpn(network.features(images, sizes).levels, (128, 128)) for network in (model, fast))
    for one, other in zip((*fast_raw.logits, *fast_raw.deltas), (*raw.logits, *raw.deltas), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).abs().mean() < 0.06 * other.abs().mean()
    near = (found.boxes[:, :, None] - wanted.boxes[:, None]).abs().amax(-1).amin(1)
    assert (near[wanted.valid] < 8).float().mean() >= 0.5


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["resnet50_fpn", "lite"])
def test_the_smallest_image_in_half_precision(
    name: str,
    dtype: torch.dtype,
) -> None:
    """Maps of a single cell are of no memory layout that operators could tell."""
    fast = for_inference(trained(quick(name)), CPU, dtype)
    found = fast.detect(torch.full((1, 3, 32, 32), 90.0), torch.tensor([[30, 32]]))
    assert found.boxes.isfinite().all()


@torch.no_grad()
def test_what_cannot_be_folded_runs_in_half_precision() -> None:
    model = trained(quick("lite", backbone="timm:tf_efficientnet_lite0"))  # its padding follows from the sizes
    images, sizes = torch.rand(1, 3, 96, 128) * 255, torch.tensor([[96, 128]])
    close(for_inference(model, CPU, torch.float32).detect(images, sizes), model.detect(images, sizes))
    fast = for_inference(model, CPU, torch.bfloat16)
    norms = [module for module in fast.backbone.modules() if isinstance(module, _BatchNorm)]
    assert len(norms) > 40
    assert all(norm.running_var is not None and norm.running_var.dtype == torch.float32 for norm in norms)
    for one, other in zip(fast.features(images, sizes).levels, model.features(images, sizes).levels, strict=True):
        assert (one - other).abs().mean() < 0.1 * other.abs().mean()


def test_anchors_are_in_no_checkpoint_and_move_with_the_model() -> None:
    model = MaskRCNN(quick("lite"), ["cat"])
    assert not [name for name in model.state_dict() if "anchors" in name or name in ("mean", "std")]
    moved = model.to("meta")
    assert moved.rpn.anchors.shapes.device.type == "meta"


@torch.no_grad()
@pytest.mark.parametrize("name", ["lite", "resnet50_fpn"])
def test_a_higher_score_asked_for_changes_nothing_above_it(
    name: str,
) -> None:
    images, sizes = batch_of([3, 2])[:2]
    network = for_inference(trained(quick(name)), CPU, torch.float32)
    everything = network.detect(images, sizes)
    scores = everything.scores[everything.valid].sort().values.tolist()
    asked = [0.0, scores[0], scores[len(scores) // 2], scores[-1], 1.0]
    counts = []
    for score in (*asked, torch.tensor(scores[1])):
        found = network.detect(images, sizes, score)
        kept = everything.valid & (everything.scores >= score)
        assert torch.equal(found.valid, kept)
        for part in ("boxes", "scores", "labels"):
            assert torch.equal(getattr(found, part)[kept], getattr(everything, part)[kept]), part
        # Fewer RoIs, summed in other blocks.
        torch.testing.assert_close(found.masks[kept], everything.masks[kept], atol=1e-5, rtol=1e-5)
        # What nobody asked for is not computed: a logit of zero.
        assert (found.masks[~kept] == 0.5).all()
        counts.append(int(kept.sum()))
    assert counts[0] == len(scores) > counts[2] > counts[3] > counts[4] == 0


# One rule at a time.


def norm_of(channels: int, kind: type[nn.Module] = nn.BatchNorm2d, **options: bool) -> nn.Module:
    norm = kind(channels, **options)
    for name, low, high in (("running_mean", -1, 1), ("running_var", 0.3, 3), ("weight", 0.5, 2), ("bias", -1, 1)):
        if getattr(norm, name) is not None:
            getattr(norm, name).data.uniform_(low, high)
    return norm


class Net(nn.Module):
    """Two convolutions, a norm and whatever ``step`` makes of them."""

    def __init__(self, step: Callable[[Net, Tensor], Tensor | list[Tensor]], **options: object) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(8, 8, 3, **{"padding": 1, **options})  # type: ignore[arg-type]
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.first.weight.data.mul_(8)  # beyond 6 too
        self.norm, self.other_norm = norm_of(8), norm_of(8)
        self.relu = nn.ReLU(inplace=True)
        self.step = step

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        return self.step(self, x)


X = torch.randn(2, 8, 9, 11, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def fused(net: nn.Module) -> nn.Module:
    """The fused network, once it was found to give what the plain one does, in two sizes."""
    copy = _fused(net.eval())
    for x in (X, X[:1, :, :5, :6], X.contiguous(memory_format=torch.channels_last)):
        wanted, found = (network(x.clone()) for network in (net, copy))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    return copy


def count(net: nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in net.modules())


def calls(net: nn.Module) -> list[tuple[str, str]]:
    """What the fused network does beside fused convolutions."""
    assert isinstance(net, fx.GraphModule)
    return [
        (node.op, str(node.target))
        for node in net.graph.nodes
        if node.op not in ("placeholder", "output") and not str(node.target).endswith("_fused")
    ]


# Each becomes fused convolutions and nothing else.
WHOLE: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "alone": lambda net, x: net.first(x),
    "norm": lambda net, x: net.norm(net.first(x)),
    "norm and activation": lambda net, x: F.relu(net.norm(net.first(x)), inplace=True),
    "activation module": lambda net, x: net.relu(net.first(x)),
    "relu6": lambda net, x: F.relu6(net.first(x)),
    "sum": lambda net, x: net.first(x) + x,
    "sum from the left": lambda net, x: x + net.norm(net.first(x)),
    "in-place sum and activation": lambda net, x: torch.relu(torch.add(net.norm(net.first(x)), x)),
    "sum of two": lambda net, x: F.relu(net.norm(net.first(x)) + net.other_norm(net.second(x))),
    "chain with a shortcut": lambda net, x: F.relu(net.second(net.relu(net.norm(net.first(x)))) + x),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_follows_a_convolution_becomes_part_of_it(name: str) -> None:
    net = fused(Net(WHOLE[name]))
    assert not calls(net)
    assert not count(net, nn.Conv2d)
    assert not count(net, nn.BatchNorm2d)


# Each keeps something of its own, and is right.
PARTLY: dict[str, Callable[[Net, Tensor], Tensor | list[Tensor]]] = {
    "output used twice": lambda net, x: [y := net.first(x), net.norm(y)],
    "norm's output used twice": lambda net, x: [y := net.norm(net.first(x)), F.relu(y)],
    "sum used twice": lambda net, x: [y := net.first(x) + x, F.relu(y)],
    "shortcut and next layer": lambda net, x: F.relu(net.second(y := net.first(x)) + y),
    "activation before the norm": lambda net, x: net.norm(F.relu(net.first(x))),
    "itself twice": lambda net, x: (y := net.first(x)) + y,
    "a number": lambda net, x: F.relu(net.first(x) + 1.0),
    "a scaled sum": lambda net, x: F.relu(torch.add(net.first(x), x, alpha=3)),
    "another activation": lambda net, x: F.silu(net.norm(net.first(x))),
    "a gate": lambda net, x: x * net.first(x).sigmoid(),
    "a sum of all cells' mean": lambda net, x: F.relu(x + net.first(x.mean((2, 3), keepdim=True))),
    "a shortcut of one channel": lambda net, x: F.relu(net.first(x) + x[:, :1]),
    "a shortcut of one image": lambda net, x: F.relu(net.first(x) + x[0]),
}


@pytest.mark.parametrize("name", PARTLY)
def test_what_is_read_elsewhere_stays(name: str) -> None:
    fused(Net(PARTLY[name]))


def test_a_convolution_called_twice_has_two_followers() -> None:
    def step(net: Net, x: Tensor) -> Tensor:
        return F.relu(net.norm(net.first(x))) - net.other_norm(net.first(-x))

    assert not count(fused(Net(step)), nn.BatchNorm2d)


def test_modules_whose_names_differ_by_a_dot_alone() -> None:
    class Dotted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.ModuleDict({"b_c": nn.Conv2d(8, 8, 1)})
            self.a_b = nn.ModuleDict({"c": nn.Conv2d(8, 8, 1)})

        def forward(self, x: Tensor) -> Tensor:
            return self.a["b_c"](x) - self.a_b["c"](x)

    fused(Dotted())


def test_an_argument_given_by_name() -> None:
    fused(Net(lambda net, x: F.relu(net.first(input=x))))


@pytest.mark.parametrize(
    "options",
    [{"affine": False}, {"affine": True, "bias": False}, {"track_running_stats": False}],
    ids=lambda options: next(iter(options)) + str(len(options)),
)
def test_norms_of_all_kinds(options: dict[str, bool]) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(8, 8, 3), norm_of(8, **options)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x))

    try:
        net = Normed()
    except TypeError:
        pytest.skip("this torch has no such norm")
    assert count(fused(net), nn.BatchNorm2d) == ("track_running_stats" in options)


def test_a_frozen_norm_after_a_convolution_of_any_geometry() -> None:
    for options in (
        {"stride": 2, "padding": (0, 2)},
        {"dilation": 2, "bias": False},
        {"groups": 8},
        {"groups": 2, "stride": (1, 2)},
    ):
        net = Net(lambda net, x: F.relu(net.norm(net.first(x))), **options)
        net.norm = norm_of(8, FrozenBatchNorm2d)
        assert not count(fused(net), FrozenBatchNorm2d)


@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding_mode": "reflect"}, {"padding_mode": "circular"}])
def test_other_paddings_are_left_alone(options: dict[str, str]) -> None:
    net = fused(Net(lambda net, x: F.relu(net.norm(net.first(x))), **options))
    assert count(net, FusedConv2d) == 0
    assert count(net, nn.Conv2d) == 1


@torch.no_grad()
def test_a_norm_in_training_is_not_folded() -> None:
    net = Net(lambda net, x: net.norm(net.first(x))).train()
    copy = _fused(net)
    assert count(copy, nn.BatchNorm2d) == 1
    torch.testing.assert_close(copy(X), net(X))


def test_timms_norms_keep_their_activation() -> None:
    from timm.layers import BatchNormAct2d

    for act, gone in ((nn.ReLU, True), (nn.ReLU6, True), (nn.SiLU, False), (nn.Identity, True)):
        net = Net(lambda net, x: net.norm(net.first(x)))
        net.norm = norm_of(8, lambda channels, act=act: BatchNormAct2d(channels, act_layer=act))  # type: ignore[arg-type]
        copy = fused(net)
        assert not count(copy, BatchNormAct2d)
        assert (not calls(copy)) == gone


@torch.no_grad()
def test_what_cannot_be_traced_stays_as_it_is() -> None:
    net = Net(lambda net, x: net.norm(net.first(x)) if x.sum() > 0 else net.second(x)).eval()
    assert _fused(net) is net
    assert count(net, nn.BatchNorm2d) == 2


@torch.no_grad()
def test_wide_convolutions_with_a_shortcut_go_winograds_way() -> None:
    model = trained(quick("resnet50_fpn"))  # a ResNet-18: its blocks end in a 3×3 convolution and a sum
    fast = for_inference(model, CPU, torch.float32)
    assert count(fast.backbone, WinogradConv2d) >= 6
    assert count(for_inference(model, CPU, torch.bfloat16), WinogradConv2d) == 0
    x = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(5))
    for one, other in zip(fast.backbone(x), model.backbone(x), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * other.abs().max().item(), rtol=1e-4)
