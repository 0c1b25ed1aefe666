"""Small data sets on disk, for tests of how they are found and opened."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def image(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)
    return path.name


def idmasks(folder: Path, count: int = 1) -> None:
    for i in range(count):
        image(folder / "images" / f"{i}.jpg")
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.eye(6, 8, dtype=np.uint8)).save(folder / "masks" / f"{i}.png")


def coco(file: Path, images: Path, count: int = 1, names: tuple[str, ...] = ("cat",)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {"id": i, "file_name": image(images / f"{file.stem}{i}.png"), "height": 6, "width": 8} for i in range(count)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    polygon = [[1, 1, 4, 1, 4, 4]]
    annotations = [{"id": 1, "image_id": 0, "category_id": 0, "segmentation": polygon, "bbox": [1, 1, 3, 3]}]
    file.write_text(json.dumps({"images": entries, "annotations": annotations, "categories": categories}))


def write_map(folder: Path, names: str) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(folder / part / "a.png")
    (folder / "names.txt").write_text(names)
