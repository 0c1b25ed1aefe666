"""`maskrcnn dataset split`, `stats` and `view` as people use and misuse them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.open_dataset import open_dataset
from tests import command


def run(*words: object) -> tuple[int, str]:
    return command.run("dataset", *words)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Twelve images without splits, two of them copies, one class in two images, names with spaces and umlauts."""
    folder = tmp_path / "meine Daten"
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, 13):
        noise = np.random.default_rng(min(number, 11)).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((64, 64), Image.Resampling.NEAREST)
        name = f"Größe {number}.png"
        (picture.resize((60, 60)) if number == 12 else picture).save(folder / "images" / name)
        side = 60 if number == 12 else 64
        images.append({"id": number, "file_name": name, "height": side, "width": side})
        for x in range(number % 4):
            polygon = [12.0 * x, 5, 12 * x + 10, 5, 12 * x + 10, 20, 12 * x, 20]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 2 if number in (5, 6) else 1,
                    "segmentation": [polygon],
                    "bbox": [12 * x, 5, 10, 15],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "lynx"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_split_has_all_data_and_keeps_copies_together(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "ge teilt"
    code, text = run("split", coco, out, "--val", "0.25")
    assert code == 0, text
    assert "near-duplicates stay together: 2 images, 1 group" in text
    whole, parts = open_dataset(coco), {name: open_dataset(out, name) for name in ("train", "val")}
    assert parts["train"].names == parts["val"].names == whole.names
    names = {name: {record.path.name for record in part.records} for name, part in parts.items()}
    assert names["train"] | names["val"] == {record.path.name for record in whole.records}
    assert not names["train"] & names["val"]
    assert len(names["val"]) in (2, 3, 4)
    copies = {"Größe 11.png", "Größe 12.png"}
    assert copies <= names["train"] or copies <= names["val"]
    # The lynx of two images is in both parts, and every object is as it was.
    for part in parts.values():
        assert any((part.objects(i).labels == 1).any() for i in range(len(part)))
        for i, record in enumerate(part.records):
            origin = next(k for k, other in enumerate(whole.records) if other.path.name == record.path.name)
            assert part.objects(i).boxes.tolist() == whole.objects(origin).boxes.tolist()
            assert record.path.read_bytes() == whole.records[origin].path.read_bytes()


def test_a_seed_gives_the_same_files_again(coco: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run("split", coco, tmp_path / name, "--val", "0.3", "--test", "0.2", "--seed", seed)[0] == 0
    first, again, other = (files_of(tmp_path / name) for name in "abc")
    assert first == again
    assert first.keys() != other.keys()
    assert {name.split(".")[0] for name in first if name.endswith(".json")} == {"train", "val", "test"}


def test_data_that_is_split_is_split_anew_only_when_asked(shapes: Path, tmp_path: Path) -> None:
    code, text = run("split", shapes, tmp_path / "out")
    assert (code, "already split into train, val (use merge" in text) == (2, True)
    assert not (tmp_path / "out").exists()
    # train and val of these data are the same four images: four groups of two.
    code, text = run("split", shapes, tmp_path / "out", "--merge", "--val", "0.5", "--similar", "0.95")
    assert code == 0, text
    assert [len(open_dataset(tmp_path / "out", name)) for name in ("train", "val")] == [4, 4]


def test_the_format_stays_or_is_chosen(tmp_path: Path) -> None:
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        for kind in ("images", "masks"):
            (tmp_path / "ids" / kind).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(noise).resize((64, 64), Image.Resampling.NEAREST)
        picture.save(tmp_path / "ids" / "images" / f"{number}.png")
        ids = np.zeros((64, 64), dtype=np.uint16)
        ids[5:20, 5:30], ids[40:50, 40:50] = 300, 7
        Image.fromarray(ids).save(tmp_path / "ids" / "masks" / f"{number}.png")
    assert run("split", tmp_path / "ids", tmp_path / "same", "--val", "0.5")[0] == 0
    assert len(list((tmp_path / "same" / "val" / "masks").iterdir())) == 3
    assert run("split", tmp_path / "ids", tmp_path / "coco", "--val", "0.5", "--format", "coco")[0] == 0
    for place in ("same", "coco"):
        part = open_dataset(tmp_path / place, "val")
        assert len(part) == 3
        assert {tuple(box) for box in part.objects(0).boxes.tolist()} == {(5, 5, 30, 20), (40, 40, 50, 50)}
    code, text = run("split", tmp_path / "ids", tmp_path / "x", "--format", "cocoo")
    assert (code, "unknown format 'cocoo'" in text) == (2, True)


def test_a_corrupt_image_is_left_out_of_the_split_and_named(coco: Path, tmp_path: Path) -> None:
    damage(coco / "images" / "Größe 3.png")
    code, text = run("split", coco, tmp_path / "out")
    assert code == 1
    assert sum("Größe 3.png" in line for line in text.splitlines()) == 1
    assert sum(len(open_dataset(tmp_path / "out", name)) for name in ("train", "val")) == 11


def test_a_class_that_a_part_lacks_is_told(coco: Path, tmp_path: Path) -> None:
    content = json.loads((coco / "annotations.json").read_text(encoding="utf-8"))
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != 6]
    (coco / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    code, text = run("split", coco, tmp_path / "out")
    assert code == 0, text
    assert "val has no object of lynx" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--val", "0.9", "--test", "0.3"), "shares above 0 that add up to 1"),
        (("--val", "0"), "shares for two parts at least"),
    ],
)
def test_shares_that_make_no_sense(coco: Path, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    code, text = run("split", coco, tmp_path / "out", *words)
    assert (code, told in text) == (2, True)
    assert not (tmp_path / "out").exists()


def test_one_image_cannot_be_split_and_a_full_folder_is_left_alone(coco: Path, tmp_path: Path) -> None:
    before = files_of(coco)
    code, text = run("split", coco, coco)
    assert (code, "expected an empty folder" in text) == (2, True)
    content = json.loads((coco / "annotations.json").read_text(encoding="utf-8"))
    assert files_of(coco) == before
    content["images"], content["annotations"] = content["images"][:1], []
    (coco / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    code, text = run("split", coco, tmp_path / "out")
    assert (code, "at least 2 different images for train and val, found 1" in text) == (2, True)


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_statistics_and_advice(shapes: Path, tmp_path: Path) -> None:
    code, text = run("stats", shapes, "--out", tmp_path / "stats")
    assert code == 0, text
    assert "4 images" in text
    assert {path.name for path in (tmp_path / "stats").iterdir()} == {
        "stats.json",
        "stats.png",
        "stats.html",
        "recipe.yaml",
    }
    command = next(line for line in text.splitlines() if line.startswith("maskrcnn train"))
    assert shlex.split(command)[2] == str(shapes)
    numbers = json.loads((tmp_path / "stats" / "stats.json").read_text())
    assert numbers["objects"] == sum(len(open_dataset(shapes, "train").objects(i).labels) for i in range(4))


def test_advice_can_start_from_a_trained_model(shapes: Path) -> None:
    code, text = run("stats", shapes, "--split", "val", "--init", "nuclei")
    assert code == 0, text
    assert "--init nuclei" in text
    assert "450" in text
    code, text = run("stats", shapes, "--preset", "light")
    assert (code, "did you mean 'lite'" in text) == (2, True)


def test_statistics_of_next_to_nothing(coco: Path) -> None:
    content = json.loads((coco / "annotations.json").read_text(encoding="utf-8"))
    content["images"], content["annotations"] = content["images"][:1], []
    (coco / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    code, text = run("stats", coco, "--out", coco.parent / "out")
    assert code == 0, text
    assert "1 image, 0 objects" in text
    assert "no objects to derive settings from" in text


def test_dropped_objects_are_listed_and_the_exit_code_says_so(coco: Path, tmp_path: Path) -> None:
    content = json.loads((coco / "annotations.json").read_text(encoding="utf-8"))
    content["annotations"][0]["segmentation"] = [[70, 70, 80, 70, 80, 80]]
    (coco / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    for words in (("stats", coco), ("view", coco, "--out", tmp_path / "sheet.png")):
        code, text = run(*words)
        assert code == 1
        assert sum("annotation 1:" in line and "dropped" in line for line in text.splitlines()) == 1


def test_a_contact_sheet(coco: Path, tmp_path: Path) -> None:
    code, text = run("view", coco, "--out", tmp_path / "sheet.png", "--images", 6, "--columns", 3)
    assert code == 0, text
    assert "6 of 12 images" in text
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 3 * 400


def test_many_images_fill_pages(coco: Path, tmp_path: Path) -> None:
    code, text = run("view", coco, "--out", tmp_path / "sheet.png", "--images", 99, "--columns", 2, "--rows", 2)
    assert code == 0, text
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["sheet-1.png", "sheet-2.png", "sheet-3.png"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--classes", "lynx"), 2),
        (("--classes", "lynx", "--classes", "cat"), 9),
        (("--classes", "lynx,cat", "--sort", "smallest"), 9),
        (("--index", "3,Größe 5"), 2),
        (("--sort", "most-objects", "--images", "4"), 4),
    ],
)
def test_which_images_are_shown(coco: Path, tmp_path: Path, words: tuple[str, ...], shown: int) -> None:
    code, text = run("view", coco, "--out", tmp_path / "sheet.png", *words)
    assert code == 0, text
    assert f"{shown} of 12 images" in text


def test_a_seed_chooses_the_images(coco: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("view", coco, "--out", tmp_path / f"{name}.png", "--images", 3, "--seed", seed)[0] == 0
    first, again, other = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_a_corrupt_image_is_named_and_the_others_shown(coco: Path, tmp_path: Path) -> None:
    damage(coco / "images" / "Größe 3.png")
    code, text = run("view", coco, "--out", tmp_path / "sheet.png")
    assert code == 1
    assert sum("Größe 3.png" in line for line in text.splitlines()) == 1
    assert (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--classes", "Lynx"), "no class 'Lynx' (did you mean 'lynx'?)"),
        (("--index", "77"), "no image has the id or file name '77'"),
        (("--out", "sheet.txt"), "ends in .png or .jpg"),
        (("--split", "val"), "expected a split named 'val'"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(coco: Path, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    code, text = run("view", coco, *(() if "--out" in words else ("--out", tmp_path / "sheet.png")), *words)
    assert code == 2
    assert told in text
    code, text = run("view", tmp_path / "nowhere")
    assert (code, "no such file or folder" in text) == (2, True)
