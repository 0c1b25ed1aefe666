"""`maskrcnn benchmark`."""

from __future__ import annotations

from typing import Annotated

import typer

from maskrcnn.cli.console import bold, deliver_json, paragraph, say, show_table
from maskrcnn.cli.options import SOURCES_HELP, Device, JsonFile, Model, Score, Trust
from maskrcnn.cli.progress import TerminalDisplay
from maskrcnn.errors import SOME_SKIPPED
from maskrcnn.verbs.claimed_output import own_file


def benchmark(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help=f"{SOURCES_HELP} Photos that come with Python packages unless given."),
    ] = None,
    model: Model = "nuclei",
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16 or several: fp32,bf16; all are those that suit the device.")
    ] = "all",
    sizes: Annotated[
        str,
        typer.Option(
            help="Input sizes beside the model's own, as shortest edges in pixels: 480,320; own for none; auto for "
            "three quarters and half of it."
        ),
    ] = "auto",
    batch_size: Annotated[
        str, typer.Option(help="Images that go through the network together: 1,8; auto is 1, on CUDA 1 and 8.")
    ] = "auto",
    score: Score = 0.5,
    seconds: Annotated[
        float, typer.Option(min=1, help="Approximate time for the measurement; more gives steadier figures.")
    ] = 20,
    trust: Trust = False,
    json_out: JsonFile = None,
) -> None:
    """Measure how fast a model runs on this machine, and suggest settings.

    Every precision and input size is timed. Next to the speed stands the share of the exact form's objects that are
    still found.
    """
    from maskrcnn.benchmarking.speed_report import EXPLANATION, table_rows
    from maskrcnn.verbs.benchmark import benchmark as run

    with own_file(json_out, TerminalDisplay()):
        display = TerminalDisplay(on_stderr=True, quiet=json_out == "-")
        report = run(sources, model, device, precision, sizes, batch_size, score, seconds, trust, display=display)
        if json_out != "-":
            show_table(table_rows(report.comparison), report.title, words=2, compact=True)
            paragraph(EXPLANATION, indent=0)
            choice, *others = report.advice_lines()
            say(bold(choice))
            for line in others:
                say(line)
        deliver_json(report.to_json(), json_out)
    raise typer.Exit(SOME_SKIPPED if report.skipped else 0)
