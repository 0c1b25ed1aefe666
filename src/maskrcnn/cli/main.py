"""The command line, `maskrcnn VERB`. Heavy imports wait until a verb runs, so that --help answers at once."""

from __future__ import annotations

import sys

import typer

from maskrcnn.cli import benchmark, convert, dataset, demo, doctor, evaluate, export, models, predict, train
from maskrcnn.cli.console import ALL_FAILED, errors
from maskrcnn.errors import MaskRCNNError

app = typer.Typer(
    name="maskrcnn",
    help="Mask R-CNN: for every object in an image its class, score, box and pixel mask.",
    no_args_is_help=True,
    add_completion=False,
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
        import maskrcnn

        print(maskrcnn.__version__)
        raise typer.Exit()


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    try:
        app()
    except MaskRCNNError as error:
        errors.print(f"[red]error[/] {error}", highlight=False)
        sys.exit(ALL_FAILED)
    except KeyboardInterrupt:
        errors.print("stopped")
        sys.exit(130)
