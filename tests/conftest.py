"""A small data set of drawn shapes, in the formats that can be read, for tests of whole runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.distributions import Distributions, build


def draw_shapes(rng: np.random.Generator, side: int) -> tuple[Image.Image, list[tuple[str, list[float]]]]:
    """A noisy image with discs and triangles that do not overlap: their class names and polygons."""
    image = Image.fromarray(rng.integers(0, 60, (side, side, 3), dtype=np.uint8))
    pen = ImageDraw.Draw(image)
    objects = []
    for cell in rng.permutation(4)[: rng.integers(2, 5)]:
        radius = side * rng.uniform(0.12, 0.2)
        x, y = (side * (0.25 + 0.5 * place) for place in divmod(int(cell), 2))
        name = "disc" if rng.random() < 0.5 else "triangle"
        corners = 24 if name == "disc" else 3
        angles = np.arange(corners) * 2 * np.pi / corners + rng.uniform(0, 6)
        polygon = np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1).clip(0, side)
        pen.polygon([tuple(point) for point in polygon], fill=tuple(int(v) for v in rng.integers(120, 256, 3)))
        objects.append((name, polygon.round(2).flatten().tolist()))
    return image, objects


def write_coco(folder: Path, split: str, count: int, side: int = 128, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    (folder / split).mkdir(parents=True)
    names = ["disc", "triangle"]
    images, annotations = [], []
    for number in range(1, count + 1):
        image, objects = draw_shapes(rng, side)
        image.save(folder / split / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": side, "height": side})
        for name, polygon in objects:
            x, y = np.array(polygon[::2]), np.array(polygon[1::2])
            box = [float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y))]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": names.index(name) + 1,
                    "segmentation": [polygon],
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """COCO data: four images to train on and the same four to validate on."""
    folder = tmp_path / "shapes"
    write_coco(folder, "train", 4)
    write_coco(folder, "val", 4)
    return folder


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """``file_size_limit(bytes)``: no file can grow beyond, as on a full disk; to the end of the test."""
    if sys.platform == "win32":
        pytest.skip("needs the limits of Unix")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The sdist and the wheel, built once."""
    return build(tmp_path_factory.mktemp("distributions"))
