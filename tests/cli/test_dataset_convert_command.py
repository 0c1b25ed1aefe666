"""`maskrcnn dataset convert` as people use and misuse it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskrcnn.datasets.conversion.writers import WRITERS
from maskrcnn.datasets.formats.format_registry import BY_NAME, detect
from maskrcnn.datasets.open_dataset import open_dataset
from tests import command


def run(*words: object) -> tuple[int, str]:
    return command.run("dataset", "convert", *words)


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format(shapes: Path, tmp_path: Path, name: str) -> None:
    code, output = run(shapes, tmp_path / "new", "--format", name)
    assert code == 0, output
    assert "train: 4 images, " in output
    assert "val: 4 images, " in output
    assert BY_NAME[name].title in output
    found = detect(tmp_path / "new")
    assert found is not None
    assert found[0].name == name
    for split in ("train", "val"):
        before, after = open_dataset(shapes, split), open_dataset(tmp_path / "new", split)
        assert after.names == before.names == ("disc", "triangle")
        assert sum(len(after.objects(k).ids) for k in range(4)) == sum(len(before.objects(k).ids) for k in range(4))


def test_one_split_linked(shapes: Path, tmp_path: Path) -> None:
    code, output = run(shapes, tmp_path / "new", "--format", "YOLO", "--split", "val", "--link")
    assert code == 2
    assert "unknown format 'YOLO'" in output
    code, output = run(shapes, tmp_path / "new", "--format", "yolo", "--split", "val", "--link")
    assert code == 0
    assert "train" not in output.replace(str(tmp_path), "")
    copy = open_dataset(tmp_path / "new", "val").records[0].path
    assert copy.samefile(shapes / "val" / copy.name)


def test_a_folder_in_use_needs_force(shapes: Path, tmp_path: Path) -> None:
    assert run(shapes, tmp_path / "new", "--format", "coco")[0] == 0
    code, output = run(shapes, tmp_path / "new", "--format", "coco")
    assert code == 2
    assert "expected an empty folder" in output
    assert run(shapes, tmp_path / "new", "--format", "coco", "--force")[0] == 0


def test_what_is_lost_is_told_and_the_exit_code_says_so(shapes: Path, tmp_path: Path) -> None:
    content = json.loads((shapes / "train.json").read_text())
    del content["annotations"][0]["segmentation"]
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"][2]["category_id"] = 99
    (shapes / "train.json").write_text(json.dumps(content))
    (shapes / "train" / "4.png").unlink()
    code, output = run(shapes, tmp_path / "new", "--format", "yolo")
    assert code == 1
    assert "train: 3 images" in output
    for told in (
        "annotation 3: dropped, no category has the id 99",
        "image 4: dropped, no file 4.png",
        "dropped, crowd regions left out: 1, YOLO-seg has no mark for them",
        "objects without a mask written as boxes: 1",
    ):
        assert told in " ".join(output.split())
    code, output = run(shapes, tmp_path / "masks", "--format", "idmask", "--split", "train")
    assert "objects without a mask left out: 1" in output


def test_no_data_is_one_clear_line(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words, told in (
        ((tmp_path / "empty", tmp_path / "new", "--format", "coco"), "found an empty folder"),
        ((tmp_path / "gone", tmp_path / "new", "--format", "coco"), "no such file or folder"),
        ((shapes, tmp_path / "new", "--format", "coco", "--split", "other"), "expected a split named 'other'"),
        ((shapes, shapes, "--format", "yolo", "--force"), "data lies in the folder itself"),
        ((shapes, shapes / "train.json", "--format", "yolo"), "cannot be written"),
    ):
        code, output = run(*words)
        assert code == 2
        assert told in output
    assert not (tmp_path / "new").exists()
