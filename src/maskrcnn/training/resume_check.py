"""Whether a saved run can be resumed: its recipe, images a step and training data must be unchanged."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import read_json, shown
from maskrcnn.text import listed, plural
from maskrcnn.training.recipe import AUTO, as_recorded
from maskrcnn.training.run_folder import DATA

# Settings that may change when a run is resumed: they do not change what is computed.
FREE = {"workers", "track", "save_minutes", "batch_size", "accumulate"}
SHOWN = 3


class DataSummary(TypedDict):
    """Class names, images (name, height, width) in order, and the sizes in bytes of the files of their labels."""

    names: list[str]
    images: list[tuple[str, int, int]]
    labels: dict[str, int]


_SUMMARY = TypeAdapter(DataSummary)


def summarise(dataset: Dataset) -> DataSummary:
    """The summary of training data that a resumed run compares."""
    labels = {_short(record.labels): record.labels for record in dataset.records if record.labels is not None}
    return {
        "names": list(dataset.names),
        "images": [(_short(record.path), record.height, record.width) for record in dataset.records],
        "labels": {name: path.stat().st_size for name, path in labels.items() if path.is_file()},
    }


def check_resumable(folder: Path, before: dict[str, Any], now: dict[str, Any], data: DataSummary) -> None:
    """Raise `MaskRCNNError` naming what differs between the run saved in a folder and the one to resume it.

    Args:
        before, now: `PreparedRun.about` of the two runs.
        data: the summary of the present data.
    """
    differ = []
    saved = as_recorded(before["recipe"])
    saved["precision"] = precision_to_keep(before, now["device"]) or now["recipe"]["precision"]
    for name, value in saved.items():
        if name not in FREE and now["recipe"].get(name, value) != value:
            differ.append(f"{name} was {shown(value)}, is {shown(now['recipe'][name])}")
    if before["images_a_step"] != now["images_a_step"]:
        differ.append(f"a step took {plural(before['images_a_step'], 'image')}, takes {now['images_a_step']}")
    if before["data"] != now["data"]:
        differ += _data_differences(folder, data)
    if differ:
        raise MaskRCNNError(
            f"the saved run does not fit: {'; '.join(differ)}",
            where=folder,
            fix=f"resume with the same data and settings, or start a new run: init {folder / 'last.safetensors'}",
        )


def precision_to_keep(about: dict[str, Any], device: str) -> str | None:
    """The precision of a saved run; None where it was settled for another type of device, and can be settled anew."""
    recorded = about["recipe"].get("precision", AUTO)
    if AUTO in (recorded, about.get("asked", {}).get("precision")) and about.get("device", device) != device:
        return None
    precision = about.get("precision", recorded)  # in a file of an earlier version beside the recipe
    return None if precision == AUTO else str(precision)


def _data_differences(folder: Path, now: DataSummary) -> list[str]:
    try:
        then = _SUMMARY.validate_python(read_json(folder / DATA))
    except (MaskRCNNError, ValidationError):
        return ["the training data has changed"]
    differ = []
    if then["names"] != now["names"]:
        differ.append(f"classes were {then['names']}, are {now['names']}")
    before, after = Counter(then["images"]), Counter(now["images"])
    for images, what in ((before - after, "gone or of another size"), (after - before, "new or of another size")):
        if images:
            differ.append(f"{what}: {listed([name for name, *_ in images], SHOWN)}")
    if not differ and then["images"] != now["images"]:
        differ.append("the order of the images has changed")
    changed = [name for name, size in now["labels"].items() if then["labels"].get(name) != size]
    if changed:
        differ.append(f"labels changed: {listed(changed, SHOWN)}")
    return differ or ["the training data has changed"]


def _short(path: Path) -> str:
    """A file's name with its folder's: a data set may have moved as a whole."""
    return "/".join(path.parts[-2:])
