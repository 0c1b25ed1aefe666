import json
from pathlib import Path
from typing import Any

from PIL import Image

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import draw_each
from maskrcnn.datasets.conversion.dataset_writer import LabelledImage
from maskrcnn.datasets.conversion.lvis_writer import LvisWriter
from maskrcnn.datasets.conversion.omissions import Omissions
from maskrcnn.datasets.formats.format_registry import detect
from maskrcnn.datasets.open_dataset import Source, open_dataset
from tests.reading import problems_of

W, H = 30, 20
SQUARE = [2, 3, 8, 3, 8, 9, 2, 9]


def write(folder: Path, split: str = "train") -> Path:
    """As LVIS 1.0 has it: val's images lie in COCO's train2017, and only their URL tells."""
    (folder / "train2017").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(folder / "train2017" / "000000000030.jpg")
    image = {
        "id": 30, "height": H, "width": W, "license": 1, "flickr_url": "",
        "coco_url": "http://images.cocodataset.org/train2017/000000000030.jpg",
        "neg_category_ids": [4, 9, 77], "not_exhaustive_category_ids": [2],
    }  # fmt: skip
    category = {"synset": "cat.n.01", "synonyms": ["cat"], "def": "a pet", "image_count": 9, "instance_count": 9}
    content = {
        "info": {},
        "annotations": [
            {"id": 5, "image_id": 30, "category_id": 2, "area": 36.0, "bbox": [2, 3, 6, 6], "segmentation": [SQUARE]}
        ],
        "images": [image],
        "licenses": [],
        "categories": [
            category | {"id": k, "name": name, "frequency": "c"} for k, name in ((9, "owl"), (2, "cat"), (4, "dog"))
        ],
    }
    file = folder / f"lvis_v1_{split}.json"
    file.write_text(json.dumps(content))
    return file


def test_a_file_by_hand(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "val")
    found = detect(tmp_path)
    assert found is not None
    assert found[0].name == "lvis"
    assert Source(tmp_path).splits == ["train", "val"]
    for split in ("train", "val"):
        dataset = open_dataset(tmp_path, split)
        assert dataset.names == ("cat", "dog", "owl")
        (record,) = dataset.records
        assert record.path == tmp_path / "train2017" / "000000000030.jpg"
        # Ids without a category are not known by name.
        assert (record.absent, record.partial) == (("dog", "owl"), ("cat",))
        objects = dataset.objects(0)
        assert objects.boxes.tolist() == [[2, 3, 8, 9]]
        assert not objects.crowd.any()
        assert problems_of(dataset) == []


def test_coco_knows_of_no_absent_classes(tmp_path: Path) -> None:
    file = write(tmp_path)
    content = json.loads(file.read_text())
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        del content["images"][0][key]
    file.write_text(json.dumps(content))
    (record,) = open_dataset(tmp_path).records
    assert (record.absent, record.partial) == (None, ())


def written(folder: Path, annotations: list[Annotation], **changes: Any) -> tuple[dict[str, Any], Omissions]:
    losses = Omissions("LVIS")
    (folder / "train").mkdir(parents=True)
    image = folder / "train" / "a b.jpg"
    Image.new("RGB", (W, H)).save(image)
    record = ImageRecord(7, image, H, W, **changes)
    writer = LvisWriter(folder, ["cat", "dog", "owl"], ["train"], losses)
    writer.add(LabelledImage("train", image, record, draw_each(annotations, (H, W), "")[0]))
    writer.close()
    return json.loads((folder / "lvis_v1_train.json").read_text()), losses


def polygon(label: int, crowd: bool = False) -> Annotation:
    import numpy as np

    return Annotation(1, label, crowd, None, None, [np.array(SQUARE, dtype=float)])


def test_data_marked_in_full_has_all_other_classes_absent(tmp_path: Path) -> None:
    content, losses = written(tmp_path, [polygon(1), polygon(1)])
    (image,) = content["images"]
    assert (image["neg_category_ids"], image["not_exhaustive_category_ids"]) == ([1, 3], [])
    assert image["coco_url"].split("/")[-2:] == ["train", "a b.jpg"]
    assert [(c["name"], c["frequency"], c["image_count"], c["instance_count"]) for c in content["categories"]] == [
        ("cat", "r", 0, 0), ("dog", "r", 1, 2), ("owl", "r", 0, 0),
    ]  # fmt: skip
    assert all("iscrowd" not in entry for entry in content["annotations"])
    assert len({entry["id"] for entry in content["annotations"]}) == 2
    assert not losses.counts


def test_a_crowd_makes_its_class_one_that_is_not_fully_marked(tmp_path: Path) -> None:
    content, losses = written(tmp_path, [polygon(1), polygon(2, crowd=True)])
    (image,) = content["images"]
    assert (image["neg_category_ids"], image["not_exhaustive_category_ids"]) == ([1], [3])
    assert [entry["category_id"] for entry in content["annotations"]] == [2]
    assert losses.counts == {"crowd-listed": 1}


def test_what_is_known_of_classes_is_kept(tmp_path: Path) -> None:
    content, _ = written(tmp_path, [polygon(1)], absent=("owl",), partial=("dog",))
    (image,) = content["images"]
    assert (image["neg_category_ids"], image["not_exhaustive_category_ids"]) == ([3], [2])
    (record,) = open_dataset(tmp_path).records
    assert (record.absent, record.partial) == (("owl",), ("dog",))
