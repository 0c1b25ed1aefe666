"""Clean data, in which nothing is to be found, and handles to spoil them with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from maskrcnn.masks.polygons import rasterise

WIDTH, HEIGHT = 160, 120
NAMES = ("disc", "kite")


class Drawing:
    """What the images of both kinds of data are made of."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def picture(self, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
        """A coarse random texture: no two are alike."""
        coarse = self.rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)

    @staticmethod
    def outline(kind: str, x: float, y: float, radius: float) -> list[float]:
        corners = 20 if kind == "disc" else 4
        angles = np.arange(corners) * 2 * np.pi / corners + 0.3
        points = np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1)
        return [round(float(value), 2) for value in points.ravel()]


class CocoData(Drawing):
    """COCO data of two splits; content is written back by `save`."""

    def __init__(self, folder: Path, train: int = 8, val: int = 4) -> None:
        super().__init__(0)
        self.folder = folder
        self.content: dict[str, dict[str, Any]] = {}
        for split, count in (("train", train), ("val", val)):
            (folder / split).mkdir(parents=True)
            categories = [{"id": number, "name": name} for number, name in enumerate(NAMES, start=1)]
            self.content[split] = {"images": [], "annotations": [], "categories": categories, "licenses": ["kept"]}
            for number in range(1, count + 1):
                self.add_image(split, f"{split} bild ü {number}.png", number)
        self.save()

    def add_image(self, split: str, name: str, number: int, image: Image.Image | None = None) -> dict[str, Any]:
        image = image or self.picture()
        pen = ImageDraw.Draw(image)
        entry = {"id": number, "file_name": name, "width": image.width, "height": image.height}
        self.content[split]["images"].append(entry)
        for place, kind in enumerate((*NAMES, NAMES[number % 2])):
            x, y = 30 + 48 * place, 40 + 30 * (place % 2)
            polygon = self.outline(kind, x + number % 5, y, 12 + number % 4)
            pen.polygon(polygon, fill=tuple(int(v) for v in self.rng.integers(0, 256, 3)))
            self.add_object(split, number, kind, polygon)
        image.save(self.folder / split / name)
        return entry

    def add_object(self, split: str, image: int, kind: str, polygon: list[float]) -> dict[str, Any]:
        crop = rasterise([polygon], (HEIGHT, WIDTH))
        x1, y1, x2, y2 = crop.box
        entry = {
            "id": len(self.content[split]["annotations"]) + 1,
            "image_id": image,
            "category_id": NAMES.index(kind) + 1,
            "segmentation": [polygon],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": crop.area,
            "iscrowd": 0,
        }
        self.content[split]["annotations"].append(entry)
        return entry

    def save(self) -> None:
        for split, content in self.content.items():
            (self.folder / f"{split}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def objects(self, split: str = "train") -> list[dict[str, Any]]:
        return self.content[split]["annotations"]

    def path(self, number: int = 1, split: str = "train") -> Path:
        return self.folder / split / self.content[split]["images"][number - 1]["file_name"]

    def image(self, number: int = 1, split: str = "train") -> Image.Image:
        with Image.open(self.path(number, split)) as image:
            image.load()
            return image

    def replace_file(self, name: str, number: int = 1, split: str = "train") -> Path:
        """Give an image's entry another file name; the old file goes."""
        self.path(number, split).unlink()
        self.content[split]["images"][number - 1]["file_name"] = name
        return self.folder / split / name

    def drop_image(self, number: int, split: str) -> None:
        """Take an image's entry and objects out, by position."""
        entry = self.content[split]["images"].pop(number - 1)
        self.content[split]["annotations"] = [a for a in self.objects(split) if a["image_id"] != entry["id"]]


class MapData(Drawing):
    """Images with id maps."""

    def __init__(self, folder: Path) -> None:
        super().__init__(1)
        self.folder = folder
        for split, count in (("train", 5), ("val", 2)):
            for kind in ("images", "masks"):
                (folder / split / kind).mkdir(parents=True)
            for number in range(1, count + 1):
                self.picture().save(folder / split / "images" / f"{number}.jpg", quality=95)
                ids = Image.new("L", (WIDTH, HEIGHT))
                for value in range(1, 5):
                    ImageDraw.Draw(ids).polygon(self.outline("disc", 5 + 30 * value, 50, 11), fill=value)
                ids.save(folder / split / "masks" / f"{number}.png")

    def image_path(self, number: int = 1) -> Path:
        return self.folder / "train" / "images" / f"{number}.jpg"

    def map_path(self, number: int = 1) -> Path:
        return self.folder / "train" / "masks" / f"{number}.png"

    def change(self, number: int, how: Callable[[np.ndarray], np.ndarray]) -> None:
        with Image.open(self.map_path(number)) as image:
            ids = np.array(image)
        Image.fromarray(how(ids)).save(self.map_path(number))


@pytest.fixture
def coco(tmp_path: Path) -> CocoData:
    return CocoData(tmp_path / "clean data")


@pytest.fixture
def make_coco(tmp_path: Path) -> Callable[..., CocoData]:
    def make(train: int, val: int = 4, again: bool = False) -> CocoData:
        folder = tmp_path / f"data {train} {val}"
        if again:
            shutil.rmtree(folder, ignore_errors=True)
        return CocoData(folder, train, val)

    return make


@pytest.fixture
def maps(tmp_path: Path) -> MapData:
    return MapData(tmp_path / "maps")
