"""`maskrcnn doctor DATA`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from maskrcnn.cli.console import errors, out

if TYPE_CHECKING:
    from maskrcnn.data.doctor import Diagnosis, Finding

ERRORS_FOUND = 1
_EXAMPLES = 5
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def doctor(
    data: Annotated[
        Path | None, typer.Argument(help="Folder (or .json, .yaml) with images and masks; its format is detected.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Model by whose input size objects are called too small.")] = "lite",
    json_out: Annotated[
        str | None, typer.Option("--json", help="Write all findings to this file; - for standard output.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Write a corrected copy to this new folder; the data stay as they are. Mended is what is marked "
            "'fixable', where nothing has to be guessed."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core unless given.")] = None,
    env: Annotated[
        bool, typer.Option("--env", help="Print versions, devices and what makes this machine fast.")
    ] = False,
) -> None:
    """Find what is wrong with labelled images, and say what to do.

    Exit code: 0 no errors (there may be warnings and notes), 1 errors found, 2 not a data set.
    With --fix the code is that of the corrected copy.
    """
    if env:
        from maskrcnn.cli.environment import environment

        for name, value in environment().items():
            out.print(f"{name:<20}{escape(value)}", highlight=False)
        if data is None:
            return
    if data is None:
        raise typer.BadParameter("expected a folder with data, or --env", param_hint="DATA")
    from maskrcnn.data.doctor import examine, repair

    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("images", total=None)
        diagnosis = examine(
            data,
            preset,
            workers,
            lambda images: progress.update(task, total=images),
            lambda: progress.advance(task),
        )
    content = diagnosis.to_dict()
    if json_out != "-":
        show(diagnosis)
    if fix is not None:
        with errors.status("writing a corrected copy"):
            repaired = repair(data, fix, preset, workers)
        diagnosis = repaired.after
        content["copy"] = {"folder": str(fix), "mended": repaired.mended, "left_out": repaired.left_out}
        content["copy"]["after"] = diagnosis.to_dict()
        if json_out != "-":
            show_repair(repaired.mended, repaired.left_out, fix)
            show(diagnosis)
    if json_out == "-":
        print(json.dumps(content, indent=1, ensure_ascii=False))
    elif json_out is not None:
        Path(json_out).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    if diagnosis.errors:
        raise typer.Exit(ERRORS_FOUND)


def show(diagnosis: Diagnosis) -> None:
    """A few examples of each check, and the totals."""
    from maskrcnn.data.doctor import CHECKS

    groups: dict[str, list[Finding]] = {}
    for finding in diagnosis.findings:
        groups.setdefault(finding.check, []).append(finding)
    for check, findings in groups.items():
        first, count = findings[0], len(findings)
        about = CHECKS[check].about if check in CHECKS else first.what
        colour, fixable = _COLOURS[first.severity], ", fixable" * any(finding.fixable for finding in findings)
        out.print(
            f"[{colour}]{first.severity}[/] [bold]{check}[/] ({count:,}{fixable}): {escape(about)}", highlight=False
        )
        for finding in findings[:_EXAMPLES]:
            split = f"[{finding.split}] " if finding.split else ""
            out.print(escape(f"    {split}{_short(str(finding), diagnosis.path)}"), highlight=False)
        if count > _EXAMPLES:
            out.print(f"    … and {count - _EXAMPLES:,} more", highlight=False)
        out.print(f"    → {escape(first.fix)}", highlight=False)
    sizes = ", ".join(
        f"{split or 'data'} {diagnosis.images[split]:,} images with {diagnosis.objects[split]:,} objects"
        for split in diagnosis.images
    )
    counts = {severity: sum(f.severity == severity for f in diagnosis.findings) for severity in _COLOURS}
    totals = ", ".join(f"{count:,} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if count)
    out.print(f"{escape(diagnosis.path)}: {sizes}: {totals or 'nothing found'}", highlight=False)


def show_repair(mended: dict[str, int], left_out: list[str], folder: Path) -> None:
    """What was done in the corrected copy."""
    out.print(f"\ncorrected copy in {escape(str(folder))}", highlight=False)
    for check, count in mended.items():
        out.print(f"    mended {check}: {count:,}", highlight=False)
    for line in left_out:
        out.print(f"    {escape(line)}", highlight=False)
    out.print("it was examined again:", highlight=False)


def _short(text: str, root: str) -> str:
    """Files as seen from the data's folder."""
    return text.replace(f"{root.rstrip('/')}/", "")
