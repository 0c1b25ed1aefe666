"""The whole export: check the request, write the file, compare it with its model, keep it if they agree.

Nothing heavy is imported before the request has been checked.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.errors import MaskRCNNError
from maskrcnn.exporting.export_formats import FORMATS, ExportFormat, check_request
from maskrcnn.output.atomic_file import cannot_write, replacing, try_out

if TYPE_CHECKING:
    from maskrcnn.datasets.dataset import Dataset
    from maskrcnn.exporting.parity_run import Trial
    from maskrcnn.model.mask_rcnn import MaskRCNN
    from maskrcnn.runtime.artifact import Session

METRICS = ("box_AP", "mask_AP")


@dataclass(frozen=True)
class Request:
    """What to export and how.

    Attributes:
        source: a bundled or catalog name, or a checkpoint.
        format: one of `FORMATS`.
        calibrate: folder of images to calibrate int8 on.
        data: labelled data on which to measure AP before and after.
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

    def check(self) -> ExportFormat:
        """The format. Raises `MaskRCNNError` where the request cannot be met."""
        export_format = check_request(self.format, self.precision, self.out, self.calibrate)
        if Path(self.source).suffix.lower() in {one.suffix for one in FORMATS.values()}:
            what = "expected a checkpoint, found a model that was exported already"
            raise MaskRCNNError(what, where=self.source, fix="export the checkpoint that it was made from")
        if self.data is not None and self.format == "aoti":
            raise MaskRCNNError("AP is not measured for aoti", fix="leave data out, or use the format torch")
        if self.data is not None and not self.data.exists():
            raise MaskRCNNError("no such data", where=self.data, fix="check the path")
        if self.calibrate is not None:
            from maskrcnn.images.sources import resolve_sources

            if problems := resolve_sources([self.calibrate]).problems:
                raise MaskRCNNError(f"nothing to calibrate on: {problems[0]}")
        return export_format


def export(request: Request) -> Trial:
    """Write the artifact and compare it with its model. It is deleted if they differ, unless ``force`` is set.

    Raises:
        MaskRCNNError: the request cannot be met, the model cannot be read, or its graph cannot be written.
    """
    request.check()
    from maskrcnn.weights.load import load_model

    changes = None if request.max_detections is None else {"max_detections": request.max_detections}
    model, _ = load_model(request.source, config=changes)
    return export_model(model, request)


def export_model(model: MaskRCNN, request: Request) -> Trial:
    """`export` of a model in memory; the request's source is only its origin."""
    export_format = request.check()
    for file in export_format.files(request.out):
        try_out(file)
    with tempfile.TemporaryDirectory(dir=request.out.parent, prefix=".export-") as folder:
        path = Path(folder) / request.out.name
        _write_artifact(model.eval(), request, export_format, path)
        trial = try_artifact(model, request, export_format, path)
        if not trial.problems or request.force:
            for file in reversed(export_format.files(path)):  # the one that is opened comes last
                with replacing(request.out.parent / file.name, durable=True) as part:
                    shutil.move(file, part)
    return trial


def _write_artifact(model: MaskRCNN, request: Request, export_format: ExportFormat, path: Path) -> None:
    """Raises `MaskRCNNError` if the file cannot be written."""
    try:
        importlib.import_module(export_format.module).write(model, path, request.precision, request.calibrate)
    except OSError as error:
        raise cannot_write(error, request.out) from error
    except RuntimeError:
        # C++ libraries report a full disk in many ways: test whether a file of the model's size still fits.
        try:
            with path.with_name("room").open("wb") as file:
                for value in model.state_dict().values():
                    file.write(bytes(value.numel() * value.element_size()))
        except OSError as error:
            raise cannot_write(error, request.out) from error
        raise


def try_artifact(model: MaskRCNN, request: Request, export_format: ExportFormat, path: Path) -> Trial:
    """Run the artifact at ``path`` beside the model, on scenes made for it and on the first images to calibrate on."""
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.exporting.parity import TOLERANCES
    from maskrcnn.exporting.parity_images import scenes
    from maskrcnn.exporting.parity_run import compare, reference
    from maskrcnn.exporting.quantize import calibration_images

    images = calibration_images(request.calibrate, model.config.preprocess, 2) if request.calibrate else ()
    session = open_session(export_format, path)
    made = scenes(model, [image.pixels for image in images], session.smallest)
    trial = compare(reference(model), session, made, TOLERANCES[request.precision])
    trial.megabytes = sum(file.stat().st_size for file in export_format.files(path) if file.exists()) / 1e6
    if request.data is not None and not trial.problems:
        _, dataset = Source(request.data).open_or_whole("val")
        trial.notes += [str(problem) for problem in dataset.problems if problem.check == "no-validation"]
        trial.metrics = measure_ap(model, path, dataset)
    return trial


def open_session(export_format: ExportFormat, path: Path) -> Session:
    """The artifact in the runtime that users run it in."""
    if export_format.name == "aoti":
        from maskrcnn.exporting.aot_inductor_export import CompiledSession

        return CompiledSession(path)
    from maskrcnn.inference.loading import load_exported

    return load_exported(path, trust=True).model.session  # this process wrote the file


def measure_ap(model: MaskRCNN, path: Path, data: Dataset) -> dict[str, tuple[float, float]]:
    """AP of the model and its artifact, over the classes of both model and data: others would dilute a loss of AP."""
    from maskrcnn.evaluation.evaluator import evaluate
    from maskrcnn.inference.loading import load_exported
    from maskrcnn.inference.predictor import Predictor

    predictors = Predictor(model, "cpu", "fp32"), load_exported(path, trust=True)
    before, after = (evaluate(predictor, data).known_metrics for predictor in predictors)
    return {metric: (before[metric], after[metric]) for metric in METRICS}
