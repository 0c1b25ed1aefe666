"""Names that labelme reserves are no classes in any format, also where its own scripts or users have listed them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.open_dataset import open_dataset
from tests.reading import lost, problems_of

W, H = 40, 20
SQUARES = [[4 + 10 * k, 2, 12 + 10 * k, 2, 12 + 10 * k, 10, 4 + 10 * k, 10] for k in range(3)]
LISTED = ["_background_", "cat", "__ignore__", "dog"]
USED = ["cat", "__ignore__", "_background_"]  # of the three squares


def _coco(folder: Path) -> None:
    categories = [{"id": number, "name": name, "supercategory": None} for number, name in enumerate(LISTED)]
    annotations = [
        {"id": k + 1, "image_id": 1, "category_id": LISTED.index(name), "segmentation": [square], "iscrowd": 0}
        for k, (square, name) in enumerate(zip(SQUARES, USED, strict=True))
    ]
    images = [{"id": 1, "file_name": "a.png", "height": H, "width": W}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))
    _image(folder / "train")


def _yolo(folder: Path) -> None:
    lines = [
        " ".join([str(LISTED.index(name)), *(str(v / (W, H)[i % 2]) for i, v in enumerate(square))])
        for square, name in zip(SQUARES, USED, strict=True)
    ]
    (folder / "labels/train").mkdir(parents=True)
    (folder / "labels/train/a.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(f"train: images/train\nnames: {json.dumps(LISTED)}\n")
    _image(folder / "images/train")


def _cvat(folder: Path) -> None:
    labels = "".join(f"<label><name>{name}</name><type>any</type></label>" for name in LISTED)
    shapes = ""
    for square, name in zip(SQUARES, USED, strict=True):
        points = ";".join(f"{x},{y}" for x, y in zip(square[::2], square[1::2], strict=True))
        shapes += f'<polygon label="{name}" points="{points}"/>'
    (folder / "annotations.xml").write_text(
        f"<annotations><meta><job><labels>{labels}</labels></job></meta>"
        f'<image id="0" name="a.png" width="{W}" height="{H}">{shapes}</image></annotations>'
    )
    _image(folder / "images")


def _masks(folder: Path) -> None:
    ids = np.zeros((H, W), np.uint8)
    for number, square in enumerate(SQUARES, start=1):
        ids[square[1] : square[5], square[0] : square[2]] = number
    (folder / "train/masks").mkdir(parents=True)
    Image.fromarray(ids).save(folder / "train/masks/a.png")
    rows = "".join(f"a,{k + 1},{name}\n" for k, name in enumerate(USED))
    (folder / "train/classes.csv").write_text("image,object,class\n" + rows)
    (folder / "train/names.txt").write_text("\n".join(LISTED))
    _image(folder / "train/images")


def _image(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(H * W * 3, dtype=np.uint32).reshape(H, W, 3).astype(np.uint8)).save(folder / "a.png")


@pytest.mark.parametrize("write", [_coco, _yolo, _cvat, _masks])
def test_background_is_no_class_and_ignore_a_region_of_every_class(write: object, tmp_path: Path) -> None:
    assert callable(write)
    write(tmp_path)
    dataset: Dataset = open_dataset(tmp_path, "train")
    assert dataset.names == ("cat", "dog")
    dataset = pickle.loads(pickle.dumps(dataset))
    objects = dataset.objects(0)
    assert objects.labels.tolist() == [0, 0, 1]
    assert objects.crowd.tolist() == [False, True, True]
    assert objects.boxes.tolist() == [[4, 2, 12, 10], [14, 2, 22, 10], [14, 2, 22, 10]]
    assert len(set(objects.ids.tolist())) == 3
    assert lost(dataset) == (0, 0)
    assert [problem.what.split()[0] for problem in problems_of(dataset) if problem.check == "reserved-name"] == [
        name for name in LISTED if name.startswith("_")
    ]
    assert [found.what.split()[0] for found in examine(tmp_path).problems if found.severity == "error"] == []


def test_data_of_reserved_names_alone_are_left_as_they_are(tmp_path: Path) -> None:
    _coco(tmp_path)
    content = json.loads((tmp_path / "train.json").read_text())
    content["categories"] = content["categories"][:1]
    content["annotations"] = [content["annotations"][0] | {"category_id": 0}]
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert open_dataset(tmp_path, "train").names == ("_background_",)
