"""The command line, `maskrcnn VERB`. A verb is imported when it is called, so that --help answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from maskrcnn.cli.console import closing, fail, say
from maskrcnn.cli.deferred_command import add_commands
from maskrcnn.errors import ALL_FAILED, EXPECTED_ENDS, message_and_code
from maskrcnn.text import replace_unencodable

# The first lines of the commands' docstrings; a test compares them.
COMMANDS = {
    "predict": "Find the objects in images.",
    "demo": "Try the bundled models on real photos; nothing is downloaded.",
    "train": "Train on your own images.",
    "evaluate": "Measure a model on labelled images.",
    "doctor": "Find what is wrong with labelled images, and say what to do.",
    "benchmark": "Measure how fast a model runs on this machine, and suggest settings.",
    "export": "Export a model for another runtime, and check it there.",
    "models": "List the models known by name.",
    "convert": "Convert a checkpoint of another library to maskrcnn's format.",
}
DATASET_COMMANDS = {
    "split": "Divide data into train, val and test.",
    "stats": "Count and measure the objects.",
    "view": "Draw contact sheets.",
    "convert": "Write a data set in another format.",
}

app = typer.Typer(
    name="maskrcnn",
    help="Mask R-CNN: for every object in an image its class, score, box and pixel mask.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
dataset = typer.Typer(help="Look at data sets, split and convert them.", no_args_is_help=True)
add_commands(app, COMMANDS)
add_commands(dataset, DATASET_COMMANDS, "dataset_")
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
