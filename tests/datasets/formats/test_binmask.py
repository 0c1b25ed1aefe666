import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats import binmask
from maskrcnn.datasets.formats.format_registry import detect
from maskrcnn.datasets.formats.location import Location
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.reading import problems_of

H, W = 10, 12


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(path)


def mask(path: Path, column: int, value: int = 255, mode: str = "L") -> None:
    """A file with 3 x 2 pixels set from a column on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((H, W), dtype=np.uint8)
    pixels[4:7, column : column + 2] = value
    Image.fromarray(pixels).convert(mode).save(path)


def seen(dataset: Dataset, index: int = 0) -> list[tuple[str, float]]:
    """Class and left side of each object."""
    objects = dataset.objects(index)
    assert all(crop is not None and crop.area == 6 for crop in objects.crops)
    return [(dataset.names[k], box[0]) for k, box in zip(objects.labels, objects.boxes.tolist(), strict=True)]


def test_the_data_science_bowl(tmp_path: Path) -> None:
    for number, stem in enumerate(("0e21d7", "b 2")):
        image(tmp_path / stem / "images" / f"{stem}.png")
        for k in range(number + 1):
            mask(tmp_path / stem / "masks" / f"{k}f08c3d{number}.png", 2 * k + 1)
    image(tmp_path / "empty" / "images" / "empty.png")
    (tmp_path / "empty" / "masks").mkdir()
    assert detect(tmp_path)[0].name == "binmask"  # type: ignore[index]
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("object",)
    assert [seen(dataset, i) for i in range(3)] == [
        [("object", 1)], [("object", 1), ("object", 3)], [],
    ]  # fmt: skip
    assert problems_of(dataset) == []


def test_a_folder_an_image(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.JPG")
    image(tmp_path / "images" / "b.jpg")
    for k in (1, 2, 10):
        mask(tmp_path / "masks" / "a" / f"{k}.png", k)
    (tmp_path / "masks" / "b").mkdir()
    dataset = open_dataset(tmp_path)
    assert [seen(dataset, i) for i in range(2)] == [[("object", 1), ("object", 2), ("object", 10)], []]


def test_numbered_files_beside_each_other(tmp_path: Path) -> None:
    for stem in ("a", "a_1", "b"):
        image(tmp_path / "images" / f"{stem}.jpg")
    mask(tmp_path / "masks" / "a_2.png", 1)
    mask(tmp_path / "masks" / "a_1_1.tif", 2)
    mask(tmp_path / "masks" / "a-hot dog-3.png", 3)
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("hot dog", "object")
    assert [seen(dataset, i) for i in range(3)] == [[("object", 1), ("hot dog", 3)], [("object", 2)], []]


def test_classes_by_name_folder_or_table(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "masks" / "a" / "cat_2.png", 1)
    mask(tmp_path / "masks" / "a" / "dog_1.png", 3)
    mask(tmp_path / "masks" / "a" / "big owl" / "x.png", 5)
    mask(tmp_path / "masks" / "a" / "mask_7.png", 7)
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("big owl", "cat", "dog", "object")
    assert seen(dataset) == [("dog", 3), ("cat", 1), ("object", 7), ("big owl", 5)]
    (tmp_path / "names.txt").write_text("dog\ncat\nbig owl\n")
    dataset = open_dataset(tmp_path)
    assert seen(dataset) == [("dog", 3), ("cat", 1), ("big owl", 5)]
    assert "names.txt has no class 'object'" in str(problems_of(dataset)[0])
    rows = "a,cat_2,hen,0\na,dog_1,hen,1\na,x,dog,0\na,mask_7,cat,0\n"
    (tmp_path / "classes.csv").write_text("image,object,class,crowd\n" + rows)
    (tmp_path / "names.txt").unlink()
    dataset = open_dataset(tmp_path)
    assert seen(dataset) == [("hen", 3), ("hen", 1), ("cat", 7), ("dog", 5)]
    assert dataset.objects(0).crowd.tolist() == [True, False, False, False]
    (tmp_path / "names.txt").write_text("cell\n")
    (tmp_path / "classes.csv").unlink()
    assert {name for name, _ in seen(open_dataset(tmp_path))} == {"cell"}


def test_splits_agree_on_the_classes(tmp_path: Path) -> None:
    for split, name in (("Train", "dog"), ("val", "cat")):
        image(tmp_path / split / "images" / "a.jpg")
        mask(tmp_path / split / "masks" / "a" / f"{name}_1.png", 1)
    assert Source(tmp_path).splits == ["train", "val"]
    assert open_dataset(tmp_path, "train").names == open_dataset(tmp_path, "val").names == ("cat", "dog")


@pytest.mark.parametrize(("value", "mode"), [(1, "L"), (255, "L"), (255, "1"), (200, "P"), (255, "RGB"), (255, "I;16")])
def test_kinds_of_mask_files(tmp_path: Path, value: int, mode: str) -> None:
    image(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "masks" / "a" / "1.png", 4, value, mode)
    assert seen(open_dataset(tmp_path)) == [("object", 4)]


def test_noise_of_a_jpeg_is_no_object(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "masks" / "a" / "1.png", 4)
    pixels = np.array(Image.open(tmp_path / "masks" / "a" / "1.png"))
    pixels[0, 0] = 9
    Image.fromarray(pixels).save(tmp_path / "masks" / "a" / "1.png")
    assert seen(open_dataset(tmp_path)) == [("object", 4)]


def test_one_bad_mask_is_one_problem_and_the_rest_survives(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    folder = tmp_path / "masks" / "a"
    mask(folder / "1.png", 1)
    mask(folder / "2.png", 0, value=0)
    mask(folder / "3.png", 3)
    (folder / "4.png").write_bytes(b"junk")
    Image.new("L", (3, 3), 255).save(folder / "5.png")
    dataset = open_dataset(tmp_path)
    for _ in range(2):
        assert seen(dataset) == [("object", 1), ("object", 3)]
        assert [(problem.check, problem.objects_lost) for problem in problems_of(dataset)] == [
            ("empty-mask", 1), ("unreadable-mask", 1), ("size-mismatch", 1),
        ]  # fmt: skip
    assert str(folder / "4.png") in str(problems_of(dataset)[1])


def test_images_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    for stem in ("a", "b", "c"):
        image(tmp_path / "images" / f"{stem}.jpg")
    mask(tmp_path / "masks" / "a" / "1.png", 1)
    mask(tmp_path / "masks" / "c" / "1.png", 1)
    (tmp_path / "images" / "c.jpg").write_bytes(b"")
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 1
    assert [(p.check, p.images_lost, p.objects_lost) for p in problems_of(dataset)] == [
        ("missing-mask", 1, 0), ("unreadable-image", 1, 1),
    ]  # fmt: skip


def test_a_folder_of_masks_without_its_image_is_told(tmp_path: Path) -> None:
    image(tmp_path / "x" / "images" / "x.png")
    for stem in ("x", "y"):
        mask(tmp_path / stem / "masks" / "1.png", 1)
    (tmp_path / "y" / "images").mkdir()
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 1
    assert "y.png: dropped, no such image file" in str(problems_of(dataset)[0])


def test_another_layout_is_none_of_these(tmp_path: Path) -> None:
    image(tmp_path / "id" / "images" / "a.jpg")
    mask(tmp_path / "id" / "masks" / "a.png", 1)
    assert not binmask.fits(tmp_path / "id")
    assert not binmask.fits(tmp_path)
    image(tmp_path / "id" / "images" / "id.jpg")
    assert not binmask.fits(tmp_path)
    assert not binmask.fits(tmp_path / "gone")
    with pytest.raises(MaskRCNNError, match="none of 0 images"):
        Dataset(binmask.read(Location(tmp_path / "id")))


def test_workers_get_a_copy(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "masks" / "a" / "1.png", 1)
    assert seen(pickle.loads(pickle.dumps(open_dataset(tmp_path)))) == [("object", 1)]


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, np.float64, np.uint32])
@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_masks_of_any_type_are_read(tmp_path: Path, dtype: type, suffix: str) -> None:
    image(tmp_path / "images" / "a.jpg")
    (tmp_path / "masks" / "a").mkdir(parents=True)
    pixels = np.zeros((H, W), dtype=dtype)
    pixels[4:7, 5:7] = 1
    if np.dtype(dtype).kind == "f":
        pixels[0, 0], pixels[4, 5] = 0.4, 0.7
    file = tmp_path / "masks" / "a" / f"1.{suffix}"
    tifffile.imwrite(file, pixels) if suffix == "tif" else np.save(file, pixels)
    assert seen(open_dataset(tmp_path)) == [("object", 5)]


def test_advice_for_a_broken_mask_is_for_masks(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "masks" / "a" / "1.png", 3)
    (tmp_path / "masks" / "a" / "2.png").write_bytes(b"no image")
    dataset = open_dataset(tmp_path)
    assert seen(dataset) == [("object", 3)]
    (problem,) = problems_of(dataset)
    assert problem.check == "unreadable-mask"
    assert "PNG or TIFF" in problem.fix


def test_a_mask_that_claims_a_huge_size_is_not_decoded(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "masks" / "a" / "1.png", 3)
    for k, mode in enumerate(("L", "RGB"), start=2):
        Image.new(mode, (9000, 9000)).save(tmp_path / "masks" / "a" / f"{k}.png")
    tracemalloc.start()
    dataset = open_dataset(tmp_path)
    assert seen(dataset) == [("object", 3)]
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    assert [problem.check for problem in problems_of(dataset)] == ["size-mismatch"] * 2
