"""The command line, `maskrcnn VERB`. Heavy imports wait until a verb runs, so that --help answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from maskrcnn.cli import benchmark, convert, dataset, demo, doctor, evaluate, export, models, predict, train
from maskrcnn.cli.console import closing, fail, say
from maskrcnn.errors import ALL_FAILED, EXPECTED_ENDS, message_and_code
from maskrcnn.text import write_anyway

app = typer.Typer(
    name="maskrcnn",
    help="Mask R-CNN: for every object in an image its class, score, box and pixel mask.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for verb in (
    predict.predict,
    demo.demo,
    train.train,
    evaluate.evaluate,
    doctor.doctor,
    benchmark.benchmark,
    export.export,
    models.models,
    convert.convert,
):
    app.command()(verb)
app.add_typer(dataset.app, name="dataset")


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from maskrcnn.version import VERSION

        say(VERSION)
        raise typer.Exit()


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    sys.exit(run_command())


def run_command(words: Sequence[str] | None = None) -> int:
    """Run with these words, or the process's own; the exit code."""
    write_anyway()
    try:
        app(words)
    except EXPECTED_ENDS as error:
        line, code = message_and_code(error)
        fail(line)
        return closing(code)
    except SystemExit as end:
        return closing(end.code if isinstance(end.code, int) else 0 if end.code is None else ALL_FAILED)
    return closing(0)
