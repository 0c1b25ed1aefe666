"""A checkpoint of any library we know, by name or path, as a `Checkpoint` with our names and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError, errors_at
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
    """The checkpoint, and notes on what was read from where and what had to be assumed.

    Args:
        source: a bundled name, a catalog name or a file: .safetensors of ours, .pth or .pkl of torchvision, detectron2
            or mmdetection.
        names: the classes that a file's outputs stand for, background left out. They win over the file's own.
        config: for what a file does not say: detectron2's yaml of the run, where it is not beside the file; or a yaml
            of our own settings (fields of `Config`), or those settings themselves.

    Raises:
        MaskRCNNError: the file is broken or unsafe, of an architecture that we do not have, not of as many classes as
            names, or it and its yaml disagree.
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
        raise MaskRCNNError(
            f"the parameters are of {anchors} anchors a cell, the settings of {len(settings.anchor_ratios)}",
            where=path,
            fix="name them: config=FILE.yaml with anchor_ratios and anchor_sizes, or detectron2's config.yaml",
        )
    classes, notes = choose_class_names(foreign, names, path)
    # The settings of a published file are known; of any other file report what was found or assumed.
    notes += [*foreign.notes, *weight_file.notes] if entry is None else []
    provenance = {"source": path.name, "library": foreign.library, "notes": notes}
    if entry is not None:
        provenance |= {"licence": entry.licence, "url": entry.url, "measured": entry.measured}
    return Checkpoint(foreign.state, classes, settings, provenance), notes


def convert_foreign(
    weight_file: WeightFile, path: Path, detectron2_yaml: dict[str, Any] | None, published: bool
) -> ForeignCheckpoint:
    """Recognise whose parameters a file holds, by their names, and convert them.

    Args:
        detectron2_yaml: of the run, if the caller gave it.
        published: the file is one of the catalog, which needs no yaml beside it.

    Raises:
        MaskRCNNError: the parameters belong to no Mask R-CNN that we know.
    """
    state = weight_file.state
    other = unsupported_architecture(state)
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
        beside = find_run_yaml(path) if detectron2_yaml is None and not published else None
        if beside is not None and is_detectron2_yaml(found := read_settings(beside)):
            foreign = convert_detectron2(state, path, found)
            foreign.notes.insert(0, f"settings read from {beside.name} beside the file")
            return foreign
        return convert_detectron2(state, path, detectron2_yaml)
    if is_mmdetection(state):
        return convert_mmdetection(state, weight_file.rest, path)
    raise MaskRCNNError(
        "expected a Mask R-CNN of ours, of torchvision, detectron2 or mmdetection, "
        f"found parameters such as {', '.join(list(state)[:3])}",
        where=path,
        fix="to start training from a plain backbone, pass the file as --backbone-weights",
    )


def _read_config(config: Settings | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """detectron2's yaml, None without one, and settings of ours; at most one of them holds any."""
    if config is None:
        return None, {}
    if not isinstance(config, str | Path | Mapping):
        raise MaskRCNNError(f"config: expected the path of a yaml, or settings by name, found {shown(config)}")
    settings = dict(config) if isinstance(config, Mapping) else read_settings(Path(config))
    return (settings, {}) if not settings or is_detectron2_yaml(settings) else (None, settings)


def _refuse_yaml_of_detectron2(yaml: dict[str, Any] | None, path: Path) -> None:
    if yaml:
        what = "config= is a yaml of detectron2's, and the file is none of its"
        raise MaskRCNNError(what, where=path, fix="pass a yaml of our own settings, or none")
