from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.formats.format_registry import detect
from maskrcnn.datasets.formats.mask_pairs import pairs
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.reading import problems_of

IDS = np.array([[0, 1, 1, 0], [3, 0, 1, 0], [3, 3, 0, 2]], dtype=np.uint16)


def write(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("_seg.npy"):
            np.save(file, np.array({"masks": IDS}), allow_pickle=True)
        elif file.suffix == ".npy":
            np.save(file, IDS)
        elif file.suffix in (".png", ".tif"):
            Image.fromarray(IDS).save(file)
        elif file.suffix == ".jpg":
            Image.new("RGB", (4, 3)).save(file)
        else:
            file.write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.png", "a_masks.png"),
        ("a.tif", "a_masks.tif"),
        ("a.jpg", "a_mask.png"),
        ("a.jpg", "a_label.tif"),
        ("a.jpg", "a-labels.tif"),
        ("a.jpg", "a_cp_masks.png"),
        ("a.jpg", "a.instances.tif"),
        ("a.jpg", "a_mask.npy"),
        ("000_img.png", "000_masks.png"),
        ("000_img.png", "000_img_cp_masks.png"),
        ("img_7.png", "mask_7.png"),
        ("image7.jpg", "label7.tif"),
        ("A B.jpg", "A B_MASKS.png"),
    ],
)
@pytest.mark.parametrize("folders", [("", ""), ("images/", "masks/"), ("train/", "train/")])
def test_endings_tell_masks_from_images(tmp_path: Path, image: str, mask: str, folders: tuple[str, str]) -> None:
    write(tmp_path, folders[0] + image, folders[1] + mask)
    assert detect(tmp_path)[0].name == "idmask"  # type: ignore[index]
    dataset = open_dataset(tmp_path)
    assert [record.path for record in dataset.records] == [tmp_path / (folders[0] + image)]
    assert dataset.objects(0).ids.tolist() == [1, 2, 3]
    assert problems_of(dataset) == []


def test_what_cellpose_leaves_beside_is_no_image(tmp_path: Path) -> None:
    write(tmp_path, "a.tif", "a_cp_masks.png", "a_flows.tif", "a_seg.npy", "a_cp_outlines.txt", "b.tif", "b_masks.tif")
    dataset = open_dataset(tmp_path)
    assert [record.path.name for record in dataset.records] == ["a.tif", "b.tif"]
    assert problems_of(dataset) == []


def test_a_pickle_is_told_and_never_loaded(tmp_path: Path) -> None:
    write(tmp_path, "a.tif", "a_seg.npy")
    with pytest.raises(MaskRCNNError, match=r"a pickle, which can run code .*save the masks as PNG"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("mask", "told"), [("a.jpg", "a.jpg is of a kind that changes numbers"), ("a.npz", "a.npz is not read as one")]
)
def test_a_mask_of_another_kind_is_told(tmp_path: Path, mask: str, told: str) -> None:
    write(tmp_path, "images/a.jpg", f"masks/{mask}")
    with pytest.raises(MaskRCNNError, match=told) as error:
        open_dataset(tmp_path)
    assert "JPEG" not in str(error.value)


def test_a_name_that_may_mean_two_images_means_none(tmp_path: Path) -> None:
    write(tmp_path, "images/a.jpg", "images/a_img.jpg", "images/b.jpg", "masks/a_mask.png", "masks/b.png")
    dataset = open_dataset(tmp_path)
    assert [record.path.name for record in dataset.records] == ["b.jpg"]
    assert [problem.check for problem in problems_of(dataset)] == ["missing-mask"] * 2


def test_the_mask_of_the_images_name_goes_first(tmp_path: Path) -> None:
    write(tmp_path, "images/a.jpg", "masks/a_masks.png", "masks/a.tif", "images/b.jpg", "masks/b_cp_masks.png")
    write(tmp_path, "masks/b_masks.png")
    dataset = open_dataset(tmp_path)
    assert [record.labels.name for record in dataset.records if record.labels] == ["a.tif", "b_masks.png"]
    assert [problem.check for problem in problems_of(dataset)] == ["several-masks"] * 2
    assert "a.tif is used, not a_masks.png" in problems_of(dataset)[0].what


@pytest.mark.parametrize(
    "names", [("a.jpg", "b_mask.png"), ("face_mask.jpg", "b.jpg"), ("a.jpg", "a_mask.png", "a.json")]
)
def test_images_that_are_only_named_so_are_images(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert pairs(write(tmp_path, *names)) is None
