"""The model that is measured, on its device, and the precisions to measure it in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from maskrcnn.benchmarking.speed import EXACT
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.device import PRECISIONS, has_fast_bf16, pick_device, pick_precision
from maskrcnn.inference.loading import is_exported, load_exported
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime import Artifact
from maskrcnn.weights.load import load_model
from maskrcnn.weights.load_report import LoadReport


class BenchmarkedModel(NamedTuple):
    """
    Attributes:
        model: a network on the CPU, or an exported model.
        report: how it was loaded.
        device: to run it on.
        precisions: to measure.
        unsuited: a line for each precision that is not worth it.
        default: the precision that is taken unless one is given.
        exact: the precision that the others are compared with.
    """

    model: MaskRCNN | Artifact
    report: LoadReport | None
    device: torch.device
    precisions: list[str]
    unsuited: list[str]
    default: str
    exact: str


def load_benchmarked(source: str, device: str, precisions: Sequence[str] | None, trust: bool) -> BenchmarkedModel:
    """
    Args:
        source: as of `maskrcnn.load`.
        precisions: names, "auto" among them; those that suit the device unless given. An exported model has one.
        trust: open a .pt2.

    Raises:
        MaskRCNNError: as of `maskrcnn.load`, or a precision is unknown.
    """
    if is_exported(source):
        where = pick_device("cpu" if device == "auto" else device)
        artifact = load_exported(source, device, "auto" if precisions is None else ",".join(precisions), trust).model
        return BenchmarkedModel(artifact, None, where, [artifact.precision], [], artifact.precision, artifact.precision)
    where = pick_device(device)
    wanted, unsuited = suited_precisions(where) if precisions is None else (chosen_precisions(precisions, where), [])
    network, report = load_model(source)
    return BenchmarkedModel(network, report, where, wanted, unsuited, pick_precision("auto", where), EXACT)


def suited_precisions(device: torch.device) -> tuple[list[str], list[str]]:
    """The precisions worth a measurement on this device, and why others are not."""
    suited = [EXACT, "bf16"] if has_fast_bf16(device) else [EXACT]
    unsuited = [] if "bf16" in suited else [f"bf16: this {device.type} device has no instructions for it"]
    if device.type == "cpu":
        return suited, ["fp16: CPUs have no fast arithmetic for it", *unsuited]
    return [*suited, "fp16"], unsuited


def chosen_precisions(names: Sequence[str], device: torch.device) -> list[str]:
    """The precisions of these names, "auto" among them, each once.

    Raises:
        MaskRCNNError: there is no such precision.
    """
    if unknown := [name for name in names if name not in (*PRECISIONS, "auto")]:
        expected = f"expected all, auto, {', '.join(PRECISIONS)} or several of them"
        raise MaskRCNNError(f"precision: {expected}, found {unknown[0]!r}", fix="use for example fp32,bf16")
    picked = {pick_precision(name, device) for name in names}
    return [name for name in PRECISIONS if name in picked]
