"""`maskrcnn train DATA`."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskrcnn.cli.console import bold, paragraph, say, silence, warn
from maskrcnn.cli.options import Device, MaybeData, output
from maskrcnn.cli.output_claim import own_folder
from maskrcnn.cli.progress import TrainingDisplay
from maskrcnn.cli.recipe_options import RecipeOptions, with_recipe_options
from maskrcnn.errors import INTERRUPTED, SOME_SKIPPED, MaskRCNNError
from maskrcnn.text import plural
from maskrcnn.training.recipe import Recipe, read_recipe

if TYPE_CHECKING:
    from maskrcnn.training.trainer import TrainingResult


def _show_settings(wanted: bool) -> None:
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
        bool, typer.Option("--settings", callback=_show_settings, is_eager=True, help="List all settings and exit.")
    ] = False,
) -> None:
    """Train on your own images.

    Keeps `last`, `best` and what --resume needs; Ctrl-C saves. Also under torchrun. Defaults shown are those of the
    recipe; a run that is resumed keeps its own.
    """
    changes = options.changes(assignments or ())
    # Of several processes, only the first prints and writes.
    first = int(os.environ.get("RANK", "0")) == 0
    if not first:
        silence()
    if resume is not None:
        if overfit is not None:
            raise MaskRCNNError("--resume and --overfit do not go together", fix="use one of them")
        folder = resume
    else:
        chosen = read_recipe(recipe, changes)
    with own_folder(folder if first else None):
        if resume is not None:
            data, chosen = _saved(resume, data, recipe, changes)
        if data is None:
            raise MaskRCNNError("expected DATA, the folder to train on", fix="maskrcnn train DATA, or --resume RUN")
        if overfit is not None:
            run_overfit(data, folder, chosen, set(changes), overfit, device)
        else:
            run_training(data, folder, chosen, device, resume is not None)


def run_training(data: Path, folder: Path, recipe: Recipe, device: str, resume: bool) -> None:
    """Train on a data set's `train` split and measure on its `val` split."""
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.training.preparation import prepare
    from maskrcnn.training.trainer import Trainer

    train_data, val_data = Source(data).open_for_training()
    with TrainingDisplay() as display:
        source = str(data.resolve())
        run = Trainer(prepare(recipe, train_data, val_data, folder, display, device, resume, source)).run()
    _show_result(run)
    raise typer.Exit(INTERRUPTED if run.interrupted else SOME_SKIPPED if run.skipped else 0)


def run_overfit(data: Path, folder: Path, recipe: Recipe, given: set[str], images: int, device: str) -> None:
    """Overfit a few images; exit code 1 if that fails."""
    from maskrcnn.datasets.open_dataset import open_dataset
    from maskrcnn.training.overfit import few_images, overfit_recipe, verdict
    from maskrcnn.training.preparation import prepare
    from maskrcnn.training.trainer import Trainer

    few = few_images(open_dataset(data, "train"), images)
    with TrainingDisplay() as display:
        prepared = prepare(overfit_recipe(recipe, few, given), few, few, folder, display, device)
        run = Trainer(prepared).run()
    _show_result(run)
    learned, lines = verdict(run, few, prepared.learner.model.config)
    for line in lines:
        (say if learned else warn)(line)
    raise typer.Exit(0 if learned else INTERRUPTED if run.interrupted else SOME_SKIPPED)


def _saved(resume: Path, data: Path | None, recipe: Path | None, changes: dict[str, Any]) -> tuple[Path | None, Recipe]:
    """Data and recipe of a saved run, where they are not given."""
    from maskrcnn.training.run_folder import is_finished
    from maskrcnn.training.state import read_state

    if is_finished(resume):
        say(f"the run in {resume} is finished; to train on, start with --init {resume}/last.safetensors")
        raise typer.Exit()
    about = read_state(resume, tensors=False).about
    data = data or (Path(about["source"]) if about["source"] else None)
    return data, read_recipe(recipe, changes if recipe is not None else about["recipe"] | changes)


def _show_result(run: TrainingResult) -> None:
    speed = f"{run.seconds / 60:.1f} min, {run.images / max(run.seconds, 1e-9):.3g} images/s"
    say(f"{plural(run.steps, 'step')}, {plural(run.images, 'image')} in {speed}")
    values = {kind: run.best.get(f"{kind}_AP", math.nan) for kind in ("mask", "box")}
    found = [f"{kind} AP {value:.1f}" for kind, value in values.items() if not math.isnan(value)]
    if found:
        say(f"best on val: {', '.join(found)}")
    say(f"checkpoints in {run.folder}")
