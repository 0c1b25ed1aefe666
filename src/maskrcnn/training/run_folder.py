"""The folder of a run: the names of its files, what an earlier run left there, and whether there is space."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.output.atomic_file import free_name
from maskrcnn.text import shell_word

STATE, PREVIOUS_STATE = "state.safetensors", "state.previous.safetensors"
LOG, METRICS, RECIPE, DATA = "log.txt", "history.csv", "recipe.json", "data.json"


def has_state(folder: Path) -> bool:
    """Whether there is an unfinished run to resume."""
    return any((folder / name).is_file() for name in (STATE, PREVIOUS_STATE))


def is_finished(folder: Path) -> bool:
    """Whether a run ended there: there are weights, and no state to resume from."""
    return (folder / "last.safetensors").is_file() and not has_state(folder)


def resume_line(folder: Path) -> str:
    """What to type to go on with a run."""
    return f"maskrcnn train --resume {shell_word(folder)}"


def remove_state(folder: Path) -> None:
    """Remove the saved state of a run that is finished."""
    for name in (STATE, PREVIOUS_STATE):
        (folder / name).unlink(missing_ok=True)


def check_free(folder: Path) -> None:
    """Raise `MaskRCNNError` if a new run would overwrite an unfinished one, or files that are not of a run."""
    if has_state(folder):
        raise MaskRCNNError(
            "there is an unfinished run",
            where=folder,
            fix=f"go on with it: {resume_line(folder)}; or choose another output folder, or delete this one",
        )
    others = [name for name in (DATA, RECIPE, METRICS) if (folder / name).exists()]
    if others and not (folder / LOG).exists():
        what = f"there is no run, and a file that one would replace: {others[0]}"
        raise MaskRCNNError(what, where=folder, fix="choose another output folder")


def keep_earlier_weights(folder: Path) -> list[str]:
    """Rename the weights of an earlier run, so that they are not overwritten; returns their new names."""
    kept = []
    for name in ("last", "best"):
        if (folder / f"{name}.safetensors").is_file():
            kept.append(free_name(folder, f"{name}.earlier.safetensors"))
            (folder / f"{name}.safetensors").replace(folder / kept[-1])
    return kept


def check_space(folder: Path, model: MaskRCNN) -> None:
    """Raise `MaskRCNNError` if the disk has no room for the first state: model, average, moments, and `last`."""
    needed = 4 * sum(value.numel() * value.element_size() for value in model.state_dict().values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MaskRCNNError(
            f"expected {needed / 1e6:,.0f} MB of free space for the state of the run, found {free / 1e6:,.0f} MB",
            where=folder,
            fix="free some space there, or choose another output folder",
        )


@contextmanager
def save_errors_explained(folder: Path) -> Iterator[None]:
    """Add to an error while saving what was saved before, and how to resume from it."""
    try:
        yield
    except MaskRCNNError as error:
        kept, fix = "nothing of the run is saved", error.fix
        if has_state(folder):
            kept = "the state saved before is kept"
            fix += f", then go on with: {resume_line(folder)}"
        elif (folder / "last.safetensors").is_file():
            kept = "the weights are in last.safetensors"
        raise MaskRCNNError(f"{error.what}; {kept}", where=error.where, fix=fix) from error
