"""Damaged label files of every format: what can be read is read, or one clear error says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fuzz.targets import four_objects, write_geojson
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.datasets.conversion.conversion import convert
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.format_registry import BY_NAME
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.reading import problems_of

H, W = 12, 16
NOT_LABELS = (".jpg",)
STRANGE: list[Any] = [
    None,
    True,
    -1,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "1",
    [],
    {},
    [None],
    [[]],
    {"a": 1},
]


def write(folder: Path, name: str) -> Path:
    if name == "geojson":
        write_geojson(folder)
        return folder
    annotations = four_objects()
    (folder / "old").mkdir(parents=True)
    records = []
    for k in range(2):
        Image.new("RGB", (W, H)).save(folder / "old" / f"{k}.jpg")
        records.append(ImageRecord(k, folder / "old" / f"{k}.jpg", H, W))
    data = Dataset(Labels(["cat", "dog"], records, StoredAnnotations([annotations, annotations])))
    convert({"train": data, "val": data}, folder / "new", BY_NAME[name])
    return folder / "new"


def use(folder: Path) -> int:
    """Open and draw as a trainer does: the number of images read; only errors that it knows may come."""
    images = 0
    for split in ("train", "val"):
        try:
            dataset = open_dataset(folder, split)
        except MaskRCNNError:
            continue
        for index in range(len(dataset)):
            try:
                objects = dataset.objects(index)
            except MaskRCNNError:
                continue
            assert (objects.labels < len(dataset.names)).all()
            assert np.isfinite(objects.boxes).all()
            images += 1
        assert all(str(problem) for problem in problems_of(dataset))
    return images


@pytest.mark.parametrize("name", list(BY_NAME))
def test_random_damage(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, name)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix not in NOT_LABELS)
    rng, images = np.random.default_rng(0), []
    for _ in range(60):
        file = files[rng.integers(len(files))]
        whole = file.read_bytes()
        damaged = bytearray(whole)
        for place in rng.integers(0, max(len(whole), 1), rng.integers(1, 4)):
            if rng.random() < 0.7:
                damaged[place : place + 1] = bytes([rng.choice(list(b'0129-.,:;[]{}"<>/ \nex\xff\x00'))])
            else:
                del damaged[place : place + int(rng.integers(1, 40))]
        file.write_bytes(bytes(damaged))
        images.append(use(folder))
        file.write_bytes(whole)
    assert use(folder) == 4
    # XML with a wrong byte is rarely XML; of the others a damaged file costs its own split at most, and mostly less.
    assert max(images) == 4 if name == "cvat" else np.mean(images) > 2


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [path, *(way for key, part in parts for way in places(part, (*path, key)))]


@pytest.mark.parametrize("name", ["coco", "lvis", "labelme"])
def test_strange_values_in_every_place(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, name)
    file = sorted(folder.rglob("*.json"))[0]
    whole = file.read_text(encoding="utf-8")
    rng, images = np.random.default_rng(0), []
    ways = places(json.loads(whole))[1:]
    for way in ways:
        content = json.loads(whole)
        part = content
        for key in way[:-1]:
            part = part[key]
        part[way[-1]] = STRANGE[rng.integers(len(STRANGE))]
        file.write_text(json.dumps(content), encoding="utf-8")
        images.append(use(folder))
    # The other split is read whatever the damage; but without its images an LVIS file is taken for COCO's.
    assert sum(count < 2 for count in images) <= (name == "lvis")
    assert np.mean(images) > 2


@pytest.mark.parametrize(
    "names",
    [
        "{0: cat, x: dog}",
        "{0: cat, '00': dog}",
        "{0: cat, -1: dog}",
        "{0: cat, 900000000: dog}",
        "{0: cat, 1: [dog]}",
        "{0: cat, 1: ''}",
        "[cat, '']",
        "[cat, [dog]]",
        "' '",
        "{}",
        "[]",
    ],
)
def test_names_of_a_yaml_that_are_none(tmp_path: Path, names: str) -> None:
    folder = write(tmp_path, "yolo")
    (folder / "data.yaml").write_text(f"train: images/train\nnames: {names}\n")
    with pytest.raises(MaskRCNNError, match="names"):
        open_dataset(folder, "train").objects(0)


@pytest.mark.parametrize("name", ["coco", "lvis", "labelme", "cvat", "voc", "yolo", "idmask", "binmask"])
def test_empty_files(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, name)
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        whole = file.read_bytes()
        file.write_bytes(b"")
        use(folder)
        file.write_bytes(whole)
    assert use(folder) == 4
