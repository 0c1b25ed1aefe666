"""`maskrcnn train DATA`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.console import bold, paragraph, say, silence, warn
from maskrcnn.cli.metrics_tables import show_next_steps
from maskrcnn.cli.options import Device, MaybeData, output
from maskrcnn.cli.progress import training_display
from maskrcnn.cli.recipe_options import RecipeOptions, with_recipe_options
from maskrcnn.errors import INTERRUPTED, SOME_SKIPPED
from maskrcnn.training.recipe import Recipe


def _list_settings(wanted: bool) -> None:
    if wanted:
        for name, field in Recipe.model_fields.items():
            default = field.get_default(call_default_factory=True)
            say(bold(name), f" = {json.dumps(default)}")
            paragraph(str(field.description))
        raise typer.Exit()


@with_recipe_options
def train(
    data: MaybeData = None,
    folder: Annotated[Path, output("Where checkpoints and the history go.")] = Path("runs/train"),
    recipe: Annotated[Path | None, typer.Option(help="YAML file of settings; options given here win over it.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the run in this folder exactly where it was saved.")
    ] = None,
    overfit: Annotated[
        int | None, typer.Option(min=1, help="Check that the data can be learned: overfit this many images.")
    ] = None,
    *,
    options: RecipeOptions,
    device: Device = "auto",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting of a recipe, name=value; --settings lists them.")
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", callback=_list_settings, is_eager=True, help="List all settings and exit.")
    ] = False,
) -> None:
    """Train on your own images.

    Keeps `last`, `best` and what --resume needs; Ctrl-C saves. Also under torchrun. Defaults shown are those of the
    recipe; a run that is resumed keeps its own.
    """
    from maskrcnn.verbs.train import train as run_training

    if int(os.environ.get("RANK", "0")):
        silence()  # of several processes, only the first prints
    changes = options.changes(assignments or ())
    with training_display() as display:
        run = run_training(data, folder, recipe, resume, overfit, device=device, display=display, **changes)
    if run.finished:
        say(run.ended)
        raise typer.Exit()
    for line in run.lines():
        say(line)
    if run.interrupted:
        from maskrcnn.training.run_folder import resume_line

        say(f"go on with: {resume_line(run.folder)}")
    if run.next_step is not None:
        show_next_steps([run.next_step])
    for line in run.verdict:
        (say if run.learned else warn)(line)
    code = INTERRUPTED if run.interrupted else SOME_SKIPPED if run.skipped or run.verdict else 0
    raise typer.Exit(0 if run.learned else code)
