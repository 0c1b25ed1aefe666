"""`maskrcnn export MODEL --format F --out FILE`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.console import paragraph, say, show_table, warn
from maskrcnn.cli.options import MaxDetections, TrainedModel, output
from maskrcnn.cli.output_claim import own_file
from maskrcnn.errors import ALL_FAILED
from maskrcnn.exporting.export_formats import FORMATS, PRECISIONS
from maskrcnn.exporting.exporter import Request
from maskrcnn.exporting.exporter import export as run

if TYPE_CHECKING:
    from maskrcnn.exporting.parity import Tolerance
    from maskrcnn.exporting.parity_run import Trial

_FORMATS = "; ".join(
    f"{one.name}: {one.description} ({one.suffix}, {', '.join(one.precisions)})" for one in FORMATS.values()
)


def export(
    model: TrainedModel,
    file: Annotated[Path, output("The file to write.")],
    format_name: Annotated[str, typer.Option("--format", help=f"{_FORMATS}.")] = "onnx",
    precision: Annotated[str, typer.Option(help=f"{', '.join(PRECISIONS)}, where the format has it.")] = "fp32",
    calibrate: Annotated[
        Path | None, typer.Option(help="Folder of images like those the model will see; int8 is calibrated on them.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled data: also measure AP before and after, on its val split.")
    ] = None,
    max_detections: MaxDetections = None,
    force: Annotated[bool, typer.Option("--force", help="Keep a file whose results differ from the model's.")] = False,
) -> None:
    """Export a model for another runtime, and check it there.

    The file is run in its own runtime, and its results are compared with those of the model it came from.
    """
    request = Request(model, format_name, file, precision, calibrate, data, force, max_detections)
    kind = request.check()
    with own_file(file):
        trial = run(request)
    from maskrcnn.exporting.parity import TOLERANCES

    tolerance = TOLERANCES[precision]
    if trial.rows:
        title = f"{kind.name} {precision} beside the model in PyTorch, fp32"
        show_table(_trial_rows(trial, tolerance), title, compact=True)
        judged = f" at a score of {tolerance.min_score:g} or more" if tolerance.min_score else ""
        paragraph(
            f"box, score, mask: {tolerance.share:.0%} of the objects that both find{judged} differ by no more. "
            f"Allowed: {tolerance.box:g} px, {tolerance.score:g} of score, {tolerance.mask:g} of mask probability, "
            f"{1 - tolerance.found:.0%} of objects lost. ms: median of one image, the artifact's and PyTorch's. "
            f"{trial.megabytes:.1f} MB.",
            indent=0,
        )
    for name, (before, after) in trial.metrics.items():
        say(f"{name.replace('_', ' ')} {before:.1f} → {after:.1f} ({after - before:+.1f})")
    for note in trial.notes:
        warn(note)
    for problem in trial.problems:
        warn(problem, "differs", "red")
    if trial.problems and not force:
        warn("nothing is kept; --force keeps a file that differs")
        raise typer.Exit(ALL_FAILED)
    say(f"{', '.join(str(path) for path in kind.files(file))}: {kind.dynamic} may vary")
    if kind.usage:
        say(kind.usage.format(shlex.quote(str(file))))


def _trial_rows(trial: Trial, tolerance: Tolerance) -> Iterator[tuple[object, ...]]:
    yield ("input", "size", "objects", "lost", "new", "box px", "score", "mask", "ms", "torch")
    for row in trial.rows:
        size, parts = f"{row.size[0]}x{row.size[1]}", [_rounded(tolerance.of(part)) for part in row.seen.parts]
        milliseconds = [f"{seconds * 1e3:.0f}" for seconds in (row.seconds[1], row.seconds[0])]
        yield (row.what, size, row.objects, row.seen.lost, row.seen.added, *parts, *milliseconds)


def _rounded(difference: float) -> str:
    """A difference in at most five characters, so that the table fits into 80 columns: 0.18, 2e-4."""
    if not 0 < difference < 0.01:
        return f"{difference:.2g}"
    digits, _, exponent = f"{difference:.0e}".partition("e")
    return f"{digits}e{int(exponent)}"
