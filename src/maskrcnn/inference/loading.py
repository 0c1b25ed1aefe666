"""`maskrcnn.load`: a predictor of any checkpoint or exported model.

torch is imported where a model needs it: one for onnxruntime or OpenVINO starts without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskrcnn import runtime
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.predictor_origin import Origin
from maskrcnn.runtime.artifact_contract import PROGRAM


def load(
    source: str | Path,
    device: str = "auto",
    precision: str = "auto",
    names: Sequence[str] | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    size: int | None = None,
    trust: bool = False,
) -> ImagePredictor:
    """A model ready to use, from a bundled name ("nuclei"), a catalog name ("coco", "coco-v2") or a file.

    A checkpoint (.safetensors of ours; .pth or .pkl of torchvision, detectron2 or mmdetection) gives a `Predictor`; an
    exported model (.onnx, .xml, .pt2) one with the same methods that runs as it was exported.

    Args:
        names: the classes of a checkpoint that carries none, or other names for them; background left out.
        config: settings that the checkpoint lacks: a yaml of detectron2 or of ours, or a mapping of ours by name.
        size: shortest edge of the network input in pixels, if not the model's own; smaller is faster.
        trust: open a .pt2, which can run any code; no other file can, and none needs it.

    Raises:
        MaskRCNNError: unknown name, unreadable file, a checkpoint of another architecture, an absurd size, a .pt2 that
            is not trusted, or names or a config for an exported model, which has its own.
    """
    if not isinstance(source, str | Path):
        raise MaskRCNNError(f"expected a model's name or path, found {shown(source)}", fix='such as load("coco")')
    if not is_exported(source):
        from maskrcnn.inference.predictor import Predictor
        from maskrcnn.weights.load import load_model

        origin = _origin(source, device, precision, names, config, size)
        model, report = load_model(source, names, config)
        predictor = Predictor(model, device, precision, report, size)
        predictor.origin = origin
        return predictor
    if names is not None or config is not None:
        what = "an exported model has its own names and settings, which cannot be changed"
        raise MaskRCNNError(what, where=source, fix="load the checkpoint that it was made from")
    return load_exported(source, device, precision, trust, size)


def _origin(source: str | Path, device: str, precision: str, names: Any, config: Any, size: int | None) -> Origin:
    """Where a checkpoint is and how it is loaded. Bundled and catalog names mean the same in any process."""
    from maskrcnn.weights.catalog import CATALOG, bundled_names, find_checkpoint

    files: list[Path] = []
    if str(source) not in (*bundled_names(), *CATALOG):
        files.append(source := find_checkpoint(source)[0].absolute())
    if isinstance(config, str | Path):
        files.append(config := Path(config).absolute())
    arguments = {"device": device, "precision": precision, "names": names, "config": config, "size": size}
    return Origin.of(load, *files, source=source, **arguments)


def is_exported(source: str | Path) -> bool:
    """Whether this names an exported model, by its suffix."""
    return Path(source).suffix.lower() in (*runtime.SUFFIXES, PROGRAM)


def load_exported(
    path: str | Path, device: str = "auto", precision: str = "auto", trust: bool = False, size: int | None = None
) -> runtime.Runtime:
    """The predictor of an exported file.

    Args:
        trust: open a program, which can run any code.

    Raises:
        MaskRCNNError: as `maskrcnn.runtime.load`; the file is a program and not trusted; or it was exported in another
            precision.
    """
    path = Path(path)
    if path.suffix.lower() == PROGRAM:
        from maskrcnn.inference.torch_program import open_program

        file = path.absolute()
        origin = Origin.of(load_exported, file, path=file, device=device, precision=precision, trust=trust, size=size)
        predictor = runtime.Runtime(open_program(path, device, trust), size)
        predictor.origin = origin
    else:
        predictor = runtime.load(path, device, size=size)
    own = predictor.model.precision
    if precision not in ("auto", own):
        what = f"exported in {own}, {precision} asked for"
        raise MaskRCNNError(what, where=path, fix=f"use precision auto, or export it again in {precision}")
    return predictor
