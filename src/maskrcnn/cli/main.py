"""The command line, `maskrcnn VERB`. Heavy imports wait until a verb runs, so that --help answers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import typer

from maskrcnn.cli.benchmark_command import benchmark
from maskrcnn.cli.console import closing, fail, say
from maskrcnn.cli.convert_command import convert
from maskrcnn.cli.dataset_convert_command import dataset_convert
from maskrcnn.cli.dataset_split_command import dataset_split
from maskrcnn.cli.dataset_stats_command import dataset_stats
from maskrcnn.cli.dataset_view_command import dataset_view
from maskrcnn.cli.demo_command import demo
from maskrcnn.cli.doctor_command import doctor
from maskrcnn.cli.evaluate_command import evaluate
from maskrcnn.cli.export_command import export
from maskrcnn.cli.models_command import models
from maskrcnn.cli.predict_command import predict
from maskrcnn.cli.train_command import train
from maskrcnn.errors import ALL_FAILED, EXPECTED_ENDS, message_and_code
from maskrcnn.text import replace_unencodable

app = typer.Typer(
    name="maskrcnn",
    help="Mask R-CNN: for every object in an image its class, score, box and pixel mask.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
dataset = typer.Typer(help="Look at data sets, split and convert them.", no_args_is_help=True)
verb: Callable[..., None]
for verb in (predict, demo, train, evaluate, doctor, benchmark, export, models, convert):
    app.command()(verb)
for verb in (dataset_split, dataset_stats, dataset_view, dataset_convert):
    dataset.command(verb.__name__.removeprefix("dataset_"))(verb)
app.add_typer(dataset, name="dataset")


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print versions and devices, and exit."),
) -> None:
    if version:
        from maskrcnn.cli.version_line import version_line

        say(version_line())
        raise typer.Exit()


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    sys.exit(run_command())


def run_command(words: Sequence[str] | None = None) -> int:
    """Run with these words, or the process's own; the exit code."""
    replace_unencodable()
    try:
        app(words)
    except EXPECTED_ENDS as error:
        line, code = message_and_code(error)
        fail(line)
        return closing(code)
    except SystemExit as end:
        return closing(end.code if isinstance(end.code, int) else 0 if end.code is None else ALL_FAILED)
    return closing(0)
