"""A checkpoint of any supported library, by name or path, as a `Checkpoint` with our names and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.json_yaml import shown
from maskrcnn.text import plural
from maskrcnn.weights.architecture import unsupported_architecture
from maskrcnn.weights.catalog import find_checkpoint
from maskrcnn.weights.checkpoint import Checkpoint, is_own_checkpoint, read_checkpoint
from maskrcnn.weights.class_names import check_class_names
from maskrcnn.weights.detectron2_config import find_run_yaml, is_detectron2_yaml, read_settings
from maskrcnn.weights.detectron2_keys import convert_detectron2, is_detectron2
from maskrcnn.weights.foreign_checkpoint import ForeignCheckpoint, choose_class_names
from maskrcnn.weights.mmdetection_keys import convert_mmdetection, is_mmdetection
from maskrcnn.weights.torchvision_keys import convert_torchvision, is_torchvision
from maskrcnn.weights.weight_file import WeightFile, read_weight_file

Settings = str | Path | Mapping[str, Any]


def read_any_checkpoint(
    source: str | Path, names: Sequence[str] | None = None, config: Settings | None = None
) -> tuple[Checkpoint, list[str]]:
    """The checkpoint, and notes on where its parts were found and what was assumed.

    Args:
        source: a bundled name, a catalog name or a file: .safetensors of ours, .pth or .pkl of torchvision, detectron2
            or mmdetection.
        names: the classes of the file's outputs, without background. They replace the names in the file.
        config: settings that the file lacks: the yaml of the detectron2 run, if it is not beside the file; or fields of
            `Config`, as a yaml or a dict.

    Raises:
        MaskRCNNError: the file is broken or unsafe, its architecture is not supported, it has another number of classes
            than names, or it contradicts its yaml.
    """
    path, entry = find_checkpoint(source)
    names = check_class_names(names) if names is not None else None
    detectron2_yaml, changes = _read_config(config)
    config_file = None if isinstance(config, Mapping) else config
    if path.suffix.lower() == ".safetensors" and is_own_checkpoint(path):
        _refuse_yaml_of_detectron2(detectron2_yaml, path)
        checkpoint = read_checkpoint(path)
        if names is not None and len(names) != len(checkpoint.names):
            what = f"expected {plural(len(checkpoint.names), 'class name')}, found {len(names)}"
            raise MaskRCNNError(what, where=path)
        with errors_at(config_file):
            settings = checkpoint.config.replace(**changes)
        return checkpoint._replace(names=names or checkpoint.names, config=settings), []
    weight_file = read_weight_file(path)
    foreign = convert_foreign(weight_file, path, detectron2_yaml, published=entry is not None)
    if foreign.library != "detectron2":
        _refuse_yaml_of_detectron2(detectron2_yaml, path)
    settings = foreign.config.replace(**(entry.config if entry else {}))
    with errors_at(config_file):
        settings = settings.replace(**changes)
    anchors = len(foreign.state["rpn.logits.bias"])
    if anchors != len(settings.anchor_ratios):
        what = f"the parameters are of {anchors} anchors a cell, the settings of {len(settings.anchor_ratios)}"
        fix = "pass config=FILE.yaml with anchor_ratios and anchor_sizes, or detectron2's config.yaml"
        raise MaskRCNNError(what, where=path, fix=fix)
    classes, notes = choose_class_names(foreign, names, path)
    # The settings of a published file are known; for other files, report what was found or assumed.
    notes += [*foreign.notes, *weight_file.notes] if entry is None else []
    provenance = {"source": path.name, "library": foreign.library, "notes": notes}
    if entry is not None:
        provenance |= {"licence": entry.licence, "url": entry.url, "measured": entry.measured}
    return Checkpoint(foreign.state, classes, settings, provenance), notes


def convert_foreign(
    weight_file: WeightFile, path: Path, detectron2_yaml: dict[str, Any] | None, published: bool
) -> ForeignCheckpoint:
    """Recognise the library that wrote the parameters by their names, and convert them.

    Args:
        detectron2_yaml: the run's settings, if the caller passed them.
        published: the file is in the catalog, so that no yaml beside it is read.

    Raises:
        MaskRCNNError: the parameters are of no supported Mask R-CNN.
    """
    state = weight_file.state
    expected = "expected a Mask R-CNN of ours, of torchvision, detectron2 or mmdetection"
    if other := unsupported_architecture(state):
        what = f"{expected}, found {other}, which is not supported"
        raise MaskRCNNError(what, where=path, fix="train a Mask R-CNN on the same data: maskrcnn train DATA")
    if is_torchvision(state):
        return convert_torchvision(state, path)
    if is_detectron2(state):
        beside = find_run_yaml(path) if detectron2_yaml is None and not published else None
        if beside is not None and is_detectron2_yaml(found := read_settings(beside)):
            foreign = convert_detectron2(state, path, found)
            foreign.notes.insert(0, f"settings read from {beside.name} beside the file")
            return foreign
        return convert_detectron2(state, path, detectron2_yaml)
    if is_mmdetection(state):
        return convert_mmdetection(state, weight_file.rest, path)
    what = f"{expected}, found parameters such as {', '.join(list(state)[:3])}"
    fix = "to start training from a plain backbone, pass the file as backbone_weights"
    raise MaskRCNNError(what, where=path, fix=fix)


def _read_config(config: Settings | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The detectron2 yaml or None, and our own settings; at most one of the two is given."""
    if config is None:
        return None, {}
    if not isinstance(config, str | Path | Mapping):
        raise MaskRCNNError(f"config: expected the path of a yaml, or settings by name, found {shown(config)}")
    settings = dict(config) if isinstance(config, Mapping) else read_settings(Path(config))
    return (settings, {}) if not settings or is_detectron2_yaml(settings) else (None, settings)


def _refuse_yaml_of_detectron2(yaml: dict[str, Any] | None, path: Path) -> None:
    if yaml:
        what = "config= is a yaml of detectron2, but the file is no detectron2 checkpoint"
        raise MaskRCNNError(what, where=path, fix="pass a yaml of our own settings, or none")
