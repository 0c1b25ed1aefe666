"""What a run was started with, and whether a resumed one still is: recipe, classes, images and their labels."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.documents import read_json, shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import write_text
from maskrcnn.text import listed, plural
from maskrcnn.train.recipe import Recipe

NAME = "data.json"
# What may change between runs without changing what is computed.
FREE = {"workers", "track", "save_minutes", "batch_size", "accumulate"}
SHOWN = 3


class _Inventory(TypedDict):
    names: list[str]
    images: list[tuple[str, int, int]]
    labels: dict[str, int]


_INVENTORY = TypeAdapter(_Inventory)


def inventory(dataset: Dataset) -> dict[str, Any]:
    """Class names, images with their sizes in order, and the byte sizes of the files their labels come from."""
    labels = {_short(record.labels): record.labels for record in dataset.records if record.labels is not None}
    return {
        "names": list(dataset.names),
        "images": [[_short(record.path), record.height, record.width] for record in dataset.records],
        "labels": {name: path.stat().st_size for name, path in labels.items() if path.is_file()},
    }


def digest(found: dict[str, Any]) -> int:
    """A number that tells inventories apart."""
    return zlib.crc32(json.dumps(found).encode())


def write_inventory(folder: Path, found: dict[str, Any]) -> None:
    """Keep it beside the run, so that a resumed one can say what differs."""
    write_text(folder / NAME, json.dumps(found))


def check_resumable(
    folder: Path, about: dict[str, Any], recipe: Recipe, images_a_step: int, found: dict[str, Any]
) -> None:
    """Raises `MaskRCNNError` naming what differs between a saved run and one that wants to go on with it."""
    differ = []
    then, now = about["recipe"], json.loads(recipe.model_dump_json())
    for name in now:
        if name in then and name not in FREE and then[name] != now[name]:
            differ.append(f"{name} was {shown(then[name])}, is {shown(now[name])}")
    if about["images_a_step"] != images_a_step:
        differ.append(f"a step took {plural(about['images_a_step'], 'image')}, takes {images_a_step}")
    if about["data"] != digest(found):
        differ += _data_differences(folder, found)
    if differ:
        raise MaskRCNNError(
            f"the saved run does not fit: {'; '.join(differ)}",
            where=folder,
            fix=f"resume with what it had, or start a new run with --init {folder / 'last.safetensors'}",
        )


def _data_differences(folder: Path, now: dict[str, Any]) -> list[str]:
    try:
        then = _INVENTORY.validate_python(read_json(folder / NAME))
    except (MaskRCNNError, ValidationError):
        return ["the training data is another"]
    differ = []
    if then["names"] != now["names"]:
        differ.append(f"classes were {then['names']}, are {now['names']}")
    before, after = (Counter(map(tuple, side["images"])) for side in (then, now))
    for lines, what in ((before - after, "gone or of another size"), (after - before, "new or of another size")):
        if lines:
            differ.append(f"{what}: {listed([name for name, *_ in lines], SHOWN)}")
    if not differ and [list(image) for image in then["images"]] != now["images"]:
        differ.append("the images come in another order")
    changed = [name for name, size in now["labels"].items() if then["labels"].get(name) != size]
    if changed:
        differ.append(f"labels changed: {listed(changed, SHOWN)}")
    return differ or ["the training data is another"]


def _short(path: Path) -> str:
    """A file's name with its folder's: a data set may have moved as a whole."""
    return "/".join(path.parts[-2:])
