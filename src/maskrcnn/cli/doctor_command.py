"""`maskrcnn doctor DATA`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.completion import preset_names
from maskrcnn.cli.console import bold, deliver_json, say, styled
from maskrcnn.cli.options import JsonFile, MaybeData
from maskrcnn.cli.output_claim import own_file, own_folder
from maskrcnn.cli.progress import progress_bar
from maskrcnn.text import plural

if TYPE_CHECKING:
    from maskrcnn.annotations.problem import Problem
    from maskrcnn.datasets.doctor.diagnosis import Diagnosis

ERRORS_FOUND = 1
_EXAMPLES = 5
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def doctor(
    data: MaybeData = None,
    preset: Annotated[
        str,
        typer.Option(help="Preset whose input size decides which objects are too small.", autocompletion=preset_names),
    ] = "lite",
    json_out: JsonFile = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Write a corrected copy to this new folder; the data stay as they are. Only problems marked 'fixable' "
            "are corrected, where nothing has to be guessed."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes, at most 8 a core; one a core unless given.")
    ] = None,
    env: Annotated[
        bool, typer.Option("--env", help="Print versions, devices and which fast kernels are active.")
    ] = False,
) -> None:
    """Find what is wrong with labelled images, and say what to do.

    Exit code: 0 no errors (there may be warnings and notes), 1 errors found, 2 not a data set.
    With --fix the code is that of the corrected copy.
    """
    if env:
        from maskrcnn.benchmarking.environment import environment

        for name, value in environment().items():
            say(f"{name:<20}{value}")
        if data is None:
            return
    if data is None:
        raise typer.BadParameter("expected a folder with data, or --env", param_hint="DATA")
    from maskrcnn.datasets.doctor.examination import examine
    from maskrcnn.datasets.doctor.repair import check_copy, repair

    if fix is not None:
        check_copy(data, fix)
    with own_folder(fix), own_file(json_out):
        with progress_bar("images", on_stderr=True) as update:
            start, advance = (lambda total: update(total=total)), partial(update, advance=1)
            diagnosis = examine(data, preset, workers, start, advance)
        content = diagnosis.to_dict()
        if json_out != "-":
            show_diagnosis(diagnosis)
        if fix is not None:
            with progress_bar("writing a corrected copy", counted=False, on_stderr=True):
                repaired = repair(data, fix, preset, workers)
            diagnosis = repaired.after
            content["copy"] = {"folder": str(fix), "mended": repaired.fixed, "left_out": repaired.left_out}
            content["copy"]["after"] = diagnosis.to_dict()
            if json_out != "-":
                show_repair(repaired.fixed, repaired.left_out, fix)
                show_diagnosis(diagnosis)
        deliver_json(content, json_out)
    raise typer.Exit(ERRORS_FOUND if diagnosis.errors else 0)


def show_diagnosis(diagnosis: Diagnosis) -> None:
    """A few examples of each check, and the totals."""
    from maskrcnn.datasets.doctor.checks import CHECKS

    root = f"{diagnosis.path.rstrip('/')}/"
    groups: dict[str, list[Problem]] = {}
    for problem in diagnosis.problems:
        groups.setdefault(problem.check, []).append(problem)
    for check, problems in groups.items():
        first, count = problems[0], len(problems)
        about = CHECKS[check].about if check in CHECKS else first.what
        colour, fixable = _COLOURS[first.severity], ", fixable" * any(problem.fixable for problem in problems)
        say(styled(first.severity, colour), " ", bold(check), f" ({count:,}{fixable}): {about}")
        for problem in problems[:_EXAMPLES]:
            split = f"[{problem.split}] " if problem.split else ""
            say(f"    {split}{problem.where}: {problem.what}".replace(root, ""))
        if count > _EXAMPLES:
            say(f"    … and {count - _EXAMPLES:,} more")
        say(f"    → {first.fix}")
    sizes = ", ".join(
        f"{split or 'data'} {plural(images, 'image')} with {plural(diagnosis.objects[split], 'object')}"
        for split, images in diagnosis.images.items()
    )
    totals = ", ".join(plural(count, severity) for severity in _COLOURS if (count := diagnosis.count(severity)))
    say(f"{diagnosis.path}: {sizes}: {totals or 'nothing found'}")


def show_repair(fixed: dict[str, int], left_out: list[str], folder: Path) -> None:
    """What was done in the corrected copy."""
    say()
    say(f"corrected copy in {folder}")
    for check, count in fixed.items():
        say(f"    fixed {check}: {count:,}")
    for line in left_out:
        say(f"    {line}")
    say("the copy was examined again:")
