"""`maskrcnn export MODEL --format F --out FILE`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from maskrcnn.cli.console import ALL_FAILED, errors, out, warn
from maskrcnn.export.exporter import LOWEST, Request
from maskrcnn.export.exporter import export as run
from maskrcnn.export.formats import FORMATS, PRECISIONS

if TYPE_CHECKING:
    from maskrcnn.export.parity import Tolerance
    from maskrcnn.export.trial import Trial

_FORMATS = "; ".join(f"{one.name}: {one.what} ({one.suffix}, {', '.join(one.precisions)})" for one in FORMATS.values())


def export(
    model: Annotated[str, typer.Argument(help="Bundled or catalog name (see `maskrcnn models`), or a checkpoint.")],
    file: Annotated[Path, typer.Option("--out", help="The file to write.")],
    format_name: Annotated[str, typer.Option("--format", help=f"{_FORMATS}.")] = "onnx",
    precision: Annotated[str, typer.Option(help=f"{', '.join(PRECISIONS)}, where the format has it.")] = "fp32",
    calibrate: Annotated[
        Path | None, typer.Option(help="Folder of images like those the model will see; int8 learns from them.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled data: also measure AP before and after, on its val split.")
    ] = None,
    max_detections: Annotated[
        int | None, typer.Option(min=1, help="Most objects an image; the model's own limit unless given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Keep a file whose results differ from the model's.")] = False,
) -> None:
    """Write a model for another runtime, run it there, and compare it with the model it came from."""
    request = Request(model, format_name, file, precision, calibrate, data, force, max_detections)
    kind = request.check()
    trial = run(request)
    from maskrcnn.export.parity import TOLERANCES

    tolerance = TOLERANCES[precision]
    if trial.rows:
        out.print(_table(trial, tolerance, f"{kind.name} {precision} beside the model in PyTorch, fp32"))
        judged = f" at a score of {LOWEST[precision]:g} or more" if LOWEST[precision] else ""
        out.print(
            f"box, score, mask: {tolerance.share:.0%} of the objects that both find{judged} differ by no more. "
            "Allowed: "
            f"{tolerance.box:g} px, {tolerance.score:g} of score, {tolerance.mask:g} of mask probability, "
            f"{1 - tolerance.found:.0%} of objects lost. ms: median of one image, the artifact's and PyTorch's. "
            f"{trial.megabytes:.1f} MB.",
            highlight=False,
        )
    for name, (before, after) in trial.metrics.items():
        out.print(f"{name.replace('_', ' ')} {before:.1f} → {after:.1f} ({after - before:+.1f})", highlight=False)
    for note in trial.notes:
        warn(note)
    for problem in trial.problems:
        errors.print(f"[red]differs[/] {escape(problem)}", highlight=False)
    if trial.problems and not force:
        errors.print("nothing is kept; --force keeps a file that differs", highlight=False)
        raise typer.Exit(ALL_FAILED)
    out.print(f"{', '.join(str(path) for path in kind.files(file))}: {kind.dynamic} may vary", highlight=False)
    if kind.use:
        out.print(escape(kind.use.format(shlex.quote(str(file)))), highlight=False)


def _table(trial: Trial, tolerance: Tolerance, title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("input", no_wrap=True)
    for heading in ("size", "objects", "lost", "new", "box px", "score", "mask", "ms", "torch"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in trial.rows:
        seen = row.seen
        table.add_row(
            row.what,
            f"{row.size[0]}x{row.size[1]}",
            f"{row.objects}",
            f"{seen.lost}",
            f"{seen.added}",
            *(_short(tolerance.of(part)) for part in seen.parts),
            f"{row.seconds[1] * 1e3:.0f}",
            f"{row.seconds[0] * 1e3:.0f}",
        )
    return table


def _short(difference: float) -> str:
    """In five characters, so that the table fits where a terminal's width is not known: 0.18, 2e-4."""
    if not 0 < difference < 0.01:
        return f"{difference:.2g}"
    digits, _, exponent = f"{difference:.0e}".partition("e")
    return f"{digits}e{int(exponent)}"
