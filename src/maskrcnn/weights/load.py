"""Weights into a `MaskRCNN`, with a report of what matched, what did not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.setting_limits import parameter_count
from maskrcnn.weights.any_checkpoint import Settings, read_any_checkpoint
from maskrcnn.weights.checkpoint import Checkpoint
from maskrcnn.weights.load_report import LoadReport
from maskrcnn.weights.parameter_copy import copy_class_rows, spread_rgb


def load_model(
    source: str | Path, names: Sequence[str] | None = None, config: Settings | None = None
) -> tuple[MaskRCNN, LoadReport]:
    """The model of a bundled name, a catalog name or a file, in evaluation mode on the CPU.

    The arguments are those of `read_any_checkpoint`.

    Raises:
        MaskRCNNError: as `read_any_checkpoint`; or parameters of the architecture are missing in the file.
    """
    checkpoint, notes = read_any_checkpoint(source, names, config)
    count = sum(value.numel() for value in checkpoint.state.values())
    needed = parameter_count(checkpoint.config, len(checkpoint.names))
    if 2 * count < needed:
        raise _incomplete(f": {count:,} numbers of {needed:,}", source)
    model = MaskRCNN(checkpoint.config, checkpoint.names)
    report = load_checkpoint(model, checkpoint, str(source))
    report.notes += notes
    report.provenance = checkpoint.provenance
    if report.reinitialised:
        missing = ", ".join(name for name, _ in report.reinitialised[:3])
        raise _incomplete(f"; missing or of another shape: {missing}", source)
    return model.eval(), report


def _incomplete(details: str, source: str | Path) -> MaskRCNNError:
    what = f"the checkpoint does not fill the architecture it names{details}"
    return MaskRCNNError(what, where=source, fix="use the file as it was written")


def load_checkpoint(model: MaskRCNN, checkpoint: Checkpoint, source: str) -> LoadReport:
    """Copy what fits into the model; rows of classes are matched by name.

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
        if value is not None:
            value = spread_rgb(key, value, target, report.notes)
        layer = key.rpartition(".")[0]
        if key.endswith("num_batches_tracked"):
            if value is not None:
                target.copy_(value)
        elif value is None:
            report.reinitialised.append((key, "not in the checkpoint"))
        elif not same_classes and copy_class_rows(layer, value, checkpoint.names, target, model.names):
            report.matched += 1
        elif value.shape != target.shape:
            report.reinitialised.append((key, f"shape {list(value.shape)} there, {list(target.shape)} here"))
        else:
            target.copy_(value)
            report.matched += 1
    report.unused = [(key, "the model has no such parameter") for key in checkpoint.state if key not in own]
    return report
