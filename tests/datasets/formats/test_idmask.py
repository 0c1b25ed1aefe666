from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from maskrcnn.annotations.objects import draw_all
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats import idmask
from maskrcnn.datasets.formats.location import Location
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks
from tests.reading import lost, problems_of

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
IDS = np.array([[0, 1, 1, 0], [3, 0, 1, 0], [3, 3, 0, 300]], dtype=np.uint16)


def write(folder: Path, stem: str = "a", ids: np.ndarray | None = IDS, suffix: str = "png") -> Path:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), "red").save(folder / "images" / f"{stem}.jpg")
    if ids is not None:
        Image.fromarray(ids).save(folder / "masks" / f"{stem}.{suffix}")
    return folder


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff"])
def test_a_small_map_by_hand(tmp_path: Path, suffix: str) -> None:
    dataset = Dataset(idmask.read(Location(write(tmp_path, suffix=suffix))))
    objects = dataset.objects(0)
    assert dataset.names == ("object",)
    assert objects.ids.tolist() == [1, 3, 300]
    assert objects.boxes.dtype == np.float32
    assert objects.boxes.tolist() == [[1, 0, 3, 2], [0, 1, 2, 3], [3, 2, 4, 3]]
    assert objects.labels.tolist() == [0, 0, 0]
    assert not objects.crowd.any()
    assert dataset.pixels(0).shape == (3, 4, 3)
    assert problems_of(dataset) == []


MAPS = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int32]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([0, 1, 2, 5, 90, 255]),
)


@given(MAPS, st.sampled_from([1, 7_000_000]))
def test_masks_are_the_pixels_of_each_id(ids: np.ndarray, factor: int) -> None:
    ids = ids.astype(np.int32) * factor
    objects = draw_all(idmask.map_annotations(ids), ids.shape, "map.png")
    problems = list(objects.problems)
    assert not problems
    assert objects.ids.tolist() == [value for value in np.unique(ids) if value]
    masks = Masks(objects.crops, ids.shape).dense()
    assert (masks == (ids == objects.ids[:, None, None])).all()
    assert objects.boxes.tolist() == [list(crop.box) for crop in objects.crops]


def test_an_empty_map_is_an_image_without_objects(tmp_path: Path) -> None:
    objects = Dataset(idmask.read(Location(write(tmp_path, ids=np.zeros((3, 4), dtype=np.uint8))))).objects(0)
    assert objects.boxes.shape == (0, 4)
    assert objects.crops == []


def test_more_ids_than_16_bits(tmp_path: Path) -> None:
    ids = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("L", (300, 300)).save(tmp_path / "images" / "a.png")
    Image.fromarray(ids).save(tmp_path / "masks" / "a.tif")
    objects = Dataset(idmask.read(Location(tmp_path))).objects(0)
    assert objects.ids[-1] == 300 * 300 - 1
    assert len(objects.crops) == 300 * 300 - 1


def test_pairs_that_do_not_fit_are_dropped_with_a_line(tmp_path: Path) -> None:
    write(tmp_path, "good")
    write(tmp_path, "alone", ids=None)
    write(tmp_path, "larger", ids=np.zeros((5, 4), dtype=np.uint8))
    write(tmp_path, "broken")
    (tmp_path / "masks" / "broken.png").write_bytes(b"not an image")
    dataset = Dataset(idmask.read(Location(tmp_path)))
    assert [record.path.stem for record in dataset.records] == ["good"]
    assert lost(dataset)[0] == len(problems_of(dataset)) == 3
    told = "\n".join(map(str, problems_of(dataset)))
    assert "alone.jpg: dropped, no masks/alone.png" in told
    assert "larger.jpg: dropped, the image has 3 x 4, its mask 5 x 4" in told
    assert "broken.png: dropped, not an image" in told


def test_no_usable_pair_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match=r"1 image and 0 masks .*no masks/a.png"):
        Dataset(idmask.read(Location(write(tmp_path, ids=None))))


def test_a_mask_of_colours_is_an_error_when_read(tmp_path: Path) -> None:
    dataset = Dataset(idmask.read(Location(write(tmp_path, ids=np.zeros((3, 4, 3), dtype=np.uint8)))))
    with pytest.raises(MaskRCNNError, match="one channel"):
        dataset.objects(0)


def test_the_class_name_is_read_from_names_txt(tmp_path: Path) -> None:
    folder = write(tmp_path / "train")
    (tmp_path / "names.txt").write_text("nucleus\nrest\n", encoding="utf-8-sig")
    assert Dataset(idmask.read(Location(folder))).names == ("nucleus",)
    assert [problem.check for problem in problems_of(Dataset(idmask.read(Location(folder))))] == ["class-unsaid"]
    (folder / "names.txt").write_text("cell\n")
    assert Dataset(idmask.read(Location(folder))).names == ("cell",)
    assert problems_of(Dataset(idmask.read(Location(folder)))) == []


def test_classes_and_crowds_come_from_a_table(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "classes.csv").write_text("image,object,class,crowd\na,1,dog,0\na,3,cat,1\n", encoding="utf-8-sig")
    dataset = open_dataset(folder)
    for _ in range(2):
        objects = dataset.objects(0)
        assert dataset.names == ("cat", "dog")
        assert (objects.ids.tolist(), objects.labels.tolist()) == ([1, 3], [1, 0])
        assert objects.crowd.tolist() == [False, True]
        (problem,) = problems_of(dataset)
    assert (problem.check, problem.objects_lost) == ("unknown-category", 1)
    assert "classes.csv has no row for object 300 of image a" in str(problem)


def test_objects_overlap_on_further_pages(tmp_path: Path) -> None:
    folder = write(tmp_path, ids=None)
    other = np.zeros_like(IDS)
    other[0, :2], other[2, 3] = 3, 7
    first, second = Image.fromarray(IDS), Image.fromarray(other)
    first.save(folder / "masks" / "a.tif", save_all=True, append_images=[second])
    objects = open_dataset(folder).objects(0)
    assert objects.ids.tolist() == [1, 3, 7, 300]
    masks = Masks([crop for crop in objects.crops if crop is not None], IDS.shape).dense()
    assert (masks[0] == (IDS == 1)).all()
    assert (masks[1] == ((IDS == 3) | (other == 3))).all()
    assert np.argwhere(masks[2]).tolist() == [[2, 3]]


def test_too_many_pages_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, ids=None)
    pages = [Image.fromarray(IDS)] * 65
    pages[0].save(folder / "masks" / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(MaskRCNNError, match="at most 64 pages, found 65"):
        open_dataset(folder).objects(0)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data beside the repository")
def test_real_data() -> None:
    dataset = open_dataset(SHARED / "nuclei", "val")
    assert (len(dataset), lost(dataset)[0], problems_of(dataset)) == (112, 0, [])
    for i in range(0, 112, 20):
        record, objects = dataset.records[i], dataset.objects(i)
        ids = np.array(Image.open(record.path.parents[1] / "masks" / f"{record.path.stem}.png"))
        assert objects.ids.tolist() == np.unique(ids[ids > 0]).tolist()
        assert dataset.pixels(i).shape[:2] == ids.shape
        assert sum(crop.area for crop in objects.crops) == (ids > 0).sum()
