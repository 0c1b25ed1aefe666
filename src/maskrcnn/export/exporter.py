"""Exporting from end to end: refuse what cannot be, write, compare with the model, keep what is the same.

Nothing heavy is imported before the request is known to be one that can be met.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn.errors import MaskRCNNError
from maskrcnn.export.export_formats import FORMATS, Format, check_request
from maskrcnn.output.atomic_file import cannot_write, replacing, try_out

if TYPE_CHECKING:
    from maskrcnn.export.trial import Session, Trial
    from maskrcnn.model.mask_rcnn import MaskRCNN

SMALLEST = {"torch": 96, "aoti": 96}  # pixels; what these formats take at least, each way
# Scores from which objects are judged. Below, other precisions drop and add freely.
LOWEST = {"fp32": 0.0, "fp16": 0.3, "bf16": 0.3, "int8": 0.3}
METRICS = ("box_AP", "mask_AP")


@dataclass(frozen=True)
class Request:
    """What to export and how.

    Attributes:
        source: a bundled or catalog name, or a checkpoint.
        format: one of `FORMATS`.
        calibrate: folder of images that int8 learns from.
        data: labelled data on which to measure what the export costs.
        force: keep an artifact that differs from its model.
        max_detections: most objects an image; the model's own limit unless given.
    """

    source: str | Path
    format: str
    out: Path
    precision: str = "fp32"
    calibrate: Path | None = None
    data: Path | None = None
    force: bool = False
    max_detections: int | None = None

    def check(self) -> Format:
        """The format. Raises `MaskRCNNError` where the request cannot be met."""
        kind = check_request(self.format, self.precision, self.out, self.calibrate)
        if Path(self.source).suffix.lower() in {one.suffix for one in FORMATS.values()}:
            raise MaskRCNNError(
                "expected a checkpoint, found a model that was exported already",
                where=self.source,
                fix="export the checkpoint that it was made from",
            )
        if self.data is not None and self.format == "aoti":
            raise MaskRCNNError("AP is not measured for aoti", fix="leave --data out, or use --format torch")
        if self.data is not None and not self.data.exists():
            raise MaskRCNNError("no such data", where=self.data, fix="check the path")
        if self.calibrate is not None:
            from maskrcnn.images.sources import resolve_sources

            if problems := resolve_sources([self.calibrate]).problems:
                raise MaskRCNNError(f"nothing to calibrate on: {problems[0]}")
        return kind


def export(request: Request) -> Trial:
    """Write the artifact and compare it with its model. One that differs is not kept, unless forced.

    Raises:
        MaskRCNNError: the request cannot be met, the model cannot be read, or its graph cannot be written.
    """
    request.check()
    from maskrcnn.weights.load import load_model

    model, _ = load_model(request.source)
    if request.max_detections is not None:
        model.config = model.config.replace(max_detections=request.max_detections)
    return export_model(model, request)


def export_model(model: MaskRCNN, request: Request) -> Trial:
    """`export` of a model in memory; the request's source only says where it came from."""
    kind = request.check()
    for file in kind.files(request.out):
        try_out(file)
    with tempfile.TemporaryDirectory(dir=request.out.parent, prefix=".export-") as name:
        made = Path(name) / request.out.name
        _write(model.eval(), request, kind, made)
        trial = _try(model, request, kind, made)
        if not trial.problems or request.force:
            for file in reversed(kind.files(made)):  # the file that is opened comes last
                with replacing(request.out.parent / file.name, durable=True) as part:
                    shutil.move(file, part)
    return trial


def _write(model: MaskRCNN, request: Request, kind: Format, made: Path) -> None:
    """Write the artifact. Raises `MaskRCNNError` where the disk does not take it."""
    try:
        importlib.import_module(kind.module).write(model, made, request.precision, request.calibrate)
    except OSError as error:
        raise cannot_write(error, request.out) from error
    except RuntimeError:
        # Libraries in C++ tell a full disk in words of their own: does one more file of the model's size fit?
        try:
            with made.with_name("room").open("wb") as file:
                for value in model.state_dict().values():
                    file.write(bytes(value.numel() * value.element_size()))
        except OSError as error:
            raise cannot_write(error, request.out) from error
        raise


def _try(model: MaskRCNN, request: Request, kind: Format, made: Path) -> Trial:
    from maskrcnn.export.parity import TOLERANCES
    from maskrcnn.export.scenes import scenes
    from maskrcnn.export.trial import compare, megabytes, reference

    session = open_session(kind, made)
    tolerance, lowest = TOLERANCES[request.precision], LOWEST[request.precision]
    trial = compare(
        reference(model), session, scenes(model, _own(model, request), SMALLEST.get(kind.name, 1)), tolerance, lowest
    )
    trial.megabytes = megabytes(kind.files(made))
    if request.data is not None and not trial.problems:
        trial.metrics = _metrics(model, request.data, made)
    return trial


def open_session(kind: Format, path: Path) -> Session:
    """The artifact, ready to run as its users will run it."""
    if kind.name == "aoti":
        from maskrcnn.export.aoti_file import CompiledSession

        return CompiledSession(path)
    from maskrcnn.inference.torch_program import load_exported

    return load_exported(path, trust=True).model.session  # it was written here, a moment ago


def _own(model: MaskRCNN, request: Request) -> list[Any]:
    if request.calibrate is None:
        return []
    from maskrcnn.export.quantize import calibration_images

    return [image.pixels for image in calibration_images(request.calibrate, model.config.preprocess, 2)]


def _metrics(model: MaskRCNN, data: Path, made: Path) -> dict[str, tuple[float, float]]:
    """AP of model and artifact over the classes that model and data share: others would thin out what is lost."""
    from maskrcnn.evaluation.evaluator import evaluate
    from maskrcnn.inference.predictor import Predictor
    from maskrcnn.inference.torch_program import load_exported

    both = Predictor(model, "cpu", "fp32"), load_exported(made, trust=True)
    before, after = (evaluate(it, data).known_metrics for it in both)
    return {metric: (before[metric], after[metric]) for metric in METRICS}
