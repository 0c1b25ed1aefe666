"""`maskrcnn.export`: a model for another runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.exporting.exporter import Request
from maskrcnn.exporting.exporter import export as write_and_compare
from maskrcnn.verbs.claimed_output import own_file
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.exporting.export_result import ExportResult


def export(
    model: str | Path,
    file: str | Path,
    format: str = "onnx",
    precision: str = "fp32",
    calibrate: str | Path | None = None,
    data: str | Path | None = None,
    max_detections: int | None = None,
    force: bool = False,
    *,
    display: bool | VerbDisplay | None = None,
) -> ExportResult:
    """Export a model for another runtime, and check it there; as `maskrcnn export`.

        maskrcnn.export("runs/train/best.safetensors", "model.onnx")
        maskrcnn.load("model.onnx").predict("photo.jpg")

    The file is run in its own runtime, and its results are compared with those of the model it came from.

    Args:
        model: a name (see `maskrcnn.models()`), or a checkpoint.
        file: to write; its suffix is that of the format.
        format: "onnx", "openvino" (.xml), "torch" or "aoti" (both .pt2).
        precision: "fp32", "bf16", "fp16" or "int8", where the format has it.
        calibrate: folder of images like those the model will see; int8 is calibrated on them.
        data: labelled data: also measure AP before and after, on its val split.
        max_detections: most objects in an image; the model's own limit unless given.
        force: keep a file whose results differ from the model's.
        display: where progress and notes are shown, as of `maskrcnn.predict`; the result has the notes too.

    Raises:
        ExportDiffersError: the results differ, and nothing was kept; its `result` tells how.
        MaskRCNNError: the format has no such precision, something it needs is not installed, or the file cannot be
            written.
    """
    calibrate, data = (None if one is None else Path(one) for one in (calibrate, data))
    request = Request(model, format, Path(file), precision, calibrate, data, force, max_detections)
    kind = request.check()
    with shown_on(display) as shown, own_file(request.out, shown):
        with shown.bar("export and compare"):
            trial = write_and_compare(request)
        for line in trial.notes:
            shown.note(line)
    from maskrcnn.exporting.export_result import ExportDiffersError, ExportResult

    result = ExportResult(request.out, kind, precision, trial)
    if trial.problems and not force:
        raise ExportDiffersError(result)
    return result
