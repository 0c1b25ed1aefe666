"""`maskrcnn doctor DATA`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.completion import preset_names
from maskrcnn.cli.console import bold, deliver_json, say, styled
from maskrcnn.cli.options import JsonFile, MaybeData
from maskrcnn.cli.progress import TerminalDisplay
from maskrcnn.verbs.claimed_output import own_file

if TYPE_CHECKING:
    from maskrcnn.datasets.doctor.diagnosis import Diagnosis

ERRORS_FOUND = 1
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
    from maskrcnn.verbs.doctor import doctor as run

    with own_file(json_out, TerminalDisplay()):
        diagnosis = run(data, preset, fix, workers, display=TerminalDisplay(on_stderr=True))
        last = diagnosis if diagnosis.repair is None else diagnosis.repair.after
        if json_out != "-":
            show_diagnosis(diagnosis)
            if diagnosis.repair is not None:
                say()
                for line in diagnosis.repair.lines():
                    say(line)
                show_diagnosis(last)
        deliver_json(diagnosis.to_dict(), json_out)
    raise typer.Exit(ERRORS_FOUND if last.errors else 0)


def show_diagnosis(diagnosis: Diagnosis) -> None:
    """A few examples of each check, and the totals."""
    from maskrcnn.datasets.doctor.diagnosis import EXAMPLES

    for finding in diagnosis.groups():
        colour = _COLOURS[finding.severity]
        say(styled(finding.severity, colour), " ", bold(finding.check), f" ({finding.number}): {finding.about}")
        for problem in finding.problems[:EXAMPLES]:
            say(f"    {diagnosis.place(problem)}")
        if finding.more:
            say(f"    … and {finding.more:,} more")
        say(f"    → {finding.problems[0].fix}")
    say(diagnosis.totals())
