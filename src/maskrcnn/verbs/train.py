"""`maskrcnn.train`: a model of one's own images."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn.argument_checks import check_range
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import suggestion
from maskrcnn.training.recipe import Recipe, as_recorded, given, read_recipe
from maskrcnn.verbs.claimed_output import own_folder
from maskrcnn.verbs.display import QuietDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.datasets.dataset import Dataset
    from maskrcnn.training.run_log import Display
    from maskrcnn.training.training_result import TrainingResult


def train(
    data: str | Path | Dataset | tuple[Dataset, Dataset | None] | list[Dataset] | None = None,
    folder: str | Path = "runs/train",
    recipe: str | Path | Recipe | None = None,
    resume: str | Path | None = None,
    overfit: int | None = None,
    *,
    device: str = "auto",
    display: bool | Display | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train on your own images; as `maskrcnn train`.

        run = maskrcnn.train("balloon", minutes=30)
        run.model().predict("photo.jpg")

    The run is kept in ``folder``. Stopped with Ctrl-C, or by interrupting the cell of a notebook, it is saved and
    returned; ``maskrcnn.train(resume=folder)`` goes on with it.

    Args:
        data: folder of images and labels, whose format is detected; or a .json or .yaml; or an open data set; or a pair
            of those to train on and to measure on.
        folder: where checkpoints and the history go. One run at a time can write there.
        recipe: YAML file of settings, or a `Recipe`; settings given here win over it.
        resume: continue the run in this folder exactly where it was saved. A run that has ended is returned as it is;
            one with ``overfit`` goes on with its images.
            ``data`` need not be given again, unless they were open data sets.
        overfit: check that the data can be learned: overfit this many images. `learned` and `verdict` of the result say
            whether they were.
        device: "auto", "cpu", "cuda" or "mps".
        display: where progress is shown. None: live curves in a notebook, elsewhere nothing. True: elsewhere lines of
            text. False: nothing.
        settings: any setting of a recipe; they are listed below.

    Raises:
        MaskRCNNError: a setting is unknown or not allowed, the data cannot be trained on, or the folder is in use or
            holds an unfinished run.
    """
    if resume is not None and overfit is not None:
        raise MaskRCNNError("resume and overfit do not go together", fix="use one of them")
    if overfit is not None:
        check_range(overfit, "overfit", 1)
    changes = _checked(settings)
    place = Path(folder if resume is None else resume)
    chosen = _recipe(recipe, changes) if resume is None else _recipe(None, {})
    # Of several processes, only the first writes and shows anything.
    first = int(os.environ.get("RANK", "0")) == 0
    with shown_on(display if first else False) as shown, own_folder(place if first else None, shown):
        from maskrcnn.training.run_folder import is_finished
        from maskrcnn.training.run_log import NoDisplay
        from maskrcnn.training.state import read_state
        from maskrcnn.training.training_result import finished_run

        if resume is not None:
            if is_finished(place):
                return finished_run(place)
            about = read_state(place, tensors=False).about
            data = (about["source"] or None) if data is None else data
            if data is None:
                what = "the run was started from open data, which is not recorded"
                raise MaskRCNNError(what, where=place, fix="pass the same data again")
            overfit = about.get("overfit")
            changes = changes if recipe is not None else as_recorded(about["recipe"]) | changes
            chosen = _recipe(recipe, changes)
        data = Path(data) if isinstance(data, os.PathLike) else data
        if data is None:
            what = "expected DATA, the folder to train on"
            raise MaskRCNNError(what, fix="give a folder with images and labels, or the run to resume")
        shown = NoDisplay() if isinstance(shown, QuietDisplay) else shown
        if overfit is not None:
            return _overfit(data, place, chosen, set(changes), overfit, device, resume is not None, shown)
        return _train(data, place, chosen, device, resume is not None, shown)


def _train(data: Any, folder: Path, recipe: Recipe, device: str, resume: bool, display: Display) -> TrainingResult:
    """Train on a data set's `train` split and measure on its `val` split."""
    from maskrcnn.training.preparation import prepare
    from maskrcnn.training.trainer import Trainer

    train_data, val_data, source = _opened(data)
    return Trainer(prepare(recipe, train_data, val_data, folder, display, device, resume, source)).run()


def _overfit(
    data: Any, folder: Path, recipe: Recipe, chosen: set[str], images: int, device: str, resume: bool, display: Display
) -> TrainingResult:
    """Overfit a few images, and judge whether that went well.

    Args:
        chosen: settings of the recipe that stay as they are.
    """
    from maskrcnn.datasets.open_dataset import open_dataset
    from maskrcnn.training.overfit import few_images, overfit_recipe, verdict
    from maskrcnn.training.preparation import prepare
    from maskrcnn.training.trainer import Trainer

    if isinstance(data, str | Path):
        whole, source = open_dataset(data, "train"), str(Path(data).resolve())
    else:
        whole, _, source = _opened(data)
    few = few_images(whole, images)
    recipe = overfit_recipe(recipe, few, chosen)
    prepared = prepare(recipe, few, few, folder, display, device, resume, source, images)
    run = Trainer(prepared).run()
    run.learned, run.verdict = verdict(run, few, prepared.learner.model.config)
    return run


def _opened(data: Any) -> tuple[Dataset, Dataset | None, str]:
    """The data to train and to measure on, and where they are; "" if that is not known."""
    from maskrcnn.datasets.dataset import Dataset
    from maskrcnn.datasets.open_dataset import Source

    if isinstance(data, str | Path):
        return *Source(data).open_for_training(), str(Path(data).resolve())
    train_data, val_data = data if isinstance(data, tuple | list) and len(data) == 2 else (data, None)
    if not isinstance(train_data, Dataset) or not isinstance(val_data, Dataset | None):
        what = "data: expected a folder, an open data set, or a pair of those to train on and to measure on"
        raise MaskRCNNError(f"{what}, found {_kind(data)}", fix="open a folder's split with maskrcnn.open_dataset")
    return train_data, val_data, ""


def _kind(data: Any) -> str:
    """What was given for data, by its types."""
    if isinstance(data, tuple | list):
        return f"a {type(data).__name__} of {', '.join(type(one).__name__ for one in data[:5]) or 'nothing'}"
    return type(data).__name__


def _recipe(recipe: str | Path | Recipe | None, changes: Mapping[str, Any]) -> Recipe:
    """A recipe with changes; of a file, of a `Recipe`, or the default one."""
    if isinstance(recipe, Recipe):
        return read_recipe(None, recipe.model_dump(exclude_unset=True) | dict(changes))
    return read_recipe(None if recipe is None else Path(recipe), dict(changes))


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are given; an unknown name may be that of an argument, which `Recipe` does not know."""
    for name in settings:
        if name not in Recipe.model_fields:
            known = [*Recipe.model_fields, *_ARGUMENTS]
            raise MaskRCNNError(f"unknown setting {name!r}", fix=suggestion(name, known))
    if isinstance(settings.get("model"), str | Path):
        what = f"model: expected settings of the network by name, found {str(settings['model'])!r}"
        raise MaskRCNNError(what, fix="to start from a trained model use init, to choose an architecture preset")
    return given(settings)


def _settings_help() -> str:
    """Each setting of a recipe with its default and what it does."""
    lines = ["Settings:"]
    for name, field in Recipe.model_fields.items():
        default = field.get_default(call_default_factory=True)
        text = f"{name} = {default!r}: {field.description}."
        lines.append(textwrap.fill(text, 112, initial_indent="    ", subsequent_indent="        "))
    return "\n".join(lines)


def _document_settings() -> None:
    """Put the settings of a recipe into the signature and the docstring of `train`, for help and for completion."""
    signature = inspect.signature(train)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    of_recipe = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.get_default(call_default_factory=True))
        for name, field in Recipe.model_fields.items()
    ]
    train.__signature__ = signature.replace(parameters=[*own, *of_recipe])  # type: ignore[attr-defined]
    train.__doc__ = f"{inspect.cleandoc(train.__doc__ or '')}\n\n{_settings_help()}\n"


_ARGUMENTS = [name for name, one in inspect.signature(train).parameters.items() if one.kind is not one.VAR_KEYWORD]
_document_settings()
