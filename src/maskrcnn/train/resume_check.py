"""Whether a saved run can be resumed: its recipe, its images a step and its training data must be what they were."""

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
from maskrcnn.text import listed, plural
from maskrcnn.train.run_folder import DATA

# Settings that may change when a run is resumed, as they do not change what is computed.
FREE = {"workers", "track", "save_minutes", "batch_size", "accumulate"}
SHOWN = 3


class DataSummary(TypedDict):
    """Class names, images (name, height, width) in order, and the sizes in bytes of the files of their labels."""

    names: list[str]
    images: list[tuple[str, int, int]]
    labels: dict[str, int]


_SUMMARY = TypeAdapter(DataSummary)


def summarise(dataset: Dataset) -> DataSummary:
    """What a resumed run compares its training data by."""
    labels = {_short(record.labels): record.labels for record in dataset.records if record.labels is not None}
    return {
        "names": list(dataset.names),
        "images": [(_short(record.path), record.height, record.width) for record in dataset.records],
        "labels": {name: path.stat().st_size for name, path in labels.items() if path.is_file()},
    }


def summary_checksum(summary: DataSummary) -> int:
    """CRC-32 of a summary."""
    return zlib.crc32(json.dumps(summary).encode())


def check_resumable(folder: Path, before: dict[str, Any], now: dict[str, Any], data: DataSummary) -> None:
    """Raise `MaskRCNNError` naming what differs between the run saved in a folder and the one to resume it.

    Args:
        before, now: what the two runs are of, as in the saved state.
        data: the summary of the data of the present one.
    """
    differ = []
    for name, value in now["recipe"].items():
        if name in before["recipe"] and name not in FREE and before["recipe"][name] != value:
            differ.append(f"{name} was {shown(before['recipe'][name])}, is {shown(value)}")
    if before["images_a_step"] != now["images_a_step"]:
        differ.append(f"a step took {plural(before['images_a_step'], 'image')}, takes {now['images_a_step']}")
    if before["data"] != now["data"]:
        differ += _data_differences(folder, data)
    if differ:
        raise MaskRCNNError(
            f"the saved run does not fit: {'; '.join(differ)}",
            where=folder,
            fix=f"resume with what it had, or start a new run with --init {folder / 'last.safetensors'}",
        )


def _data_differences(folder: Path, now: DataSummary) -> list[str]:
    try:
        then = _SUMMARY.validate_python(read_json(folder / DATA))
    except (MaskRCNNError, ValidationError):
        return ["the training data is another"]
    differ = []
    if then["names"] != now["names"]:
        differ.append(f"classes were {then['names']}, are {now['names']}")
    before, after = Counter(then["images"]), Counter(now["images"])
    for images, what in ((before - after, "gone or of another size"), (after - before, "new or of another size")):
        if images:
            differ.append(f"{what}: {listed([name for name, *_ in images], SHOWN)}")
    if not differ and then["images"] != now["images"]:
        differ.append("the images come in another order")
    changed = [name for name, size in now["labels"].items() if then["labels"].get(name) != size]
    if changed:
        differ.append(f"labels changed: {listed(changed, SHOWN)}")
    return differ or ["the training data is another"]


def _short(path: Path) -> str:
    """A file's name with its folder's: a data set may have moved as a whole."""
    return "/".join(path.parts[-2:])
