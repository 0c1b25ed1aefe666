"""Contact sheets: the right image in the right place, masks where they belong, nothing missing without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.contact_sheet import (
    ContactSheets,
    choose_images,
    find_images_by_id,
    overlay_tile,
    save_pages,
    scale_crop,
)
from maskrcnn.datasets.survey.survey import survey_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.results.overlay import object_colour
from tests.reading import lost

COLOURS = [(200, 40, 40), (40, 160, 40), (40, 40, 200), (180, 160, 30), (140, 40, 160)]


def rectangle(number: int, label: int, x: int, y: int, width: int, height: int, crowd: bool = False) -> Annotation:
    crop = Crop(np.ones((height, width), dtype=bool), x, y)
    return Annotation(number, label, crowd, crop.box, None, crop)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Five plain images of 120 x 90 with 0 to 4 objects: object k is 10 (k + 1) px high, of class k % 2."""
    records, annotations = [], []
    for number, colour in enumerate(COLOURS):
        path = tmp_path / f"Größe {number}.png"
        Image.new("RGB", (120, 90), colour).save(path)
        records.append(ImageRecord(number + 10, path, 90, 120))
        annotations.append([rectangle(k, k % 2, 20 * k, 5, 12, 10 * (k + 1)) for k in range(number)])
    return Dataset(Labels(["cat", "dog"], records, StoredAnnotations(annotations)))


def near(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= 3)


def test_images_stand_in_rows_and_pages_in_their_order(data: Dataset) -> None:
    sheets = ContactSheets(data, [4, 2, 0, 1, 3], columns=2, rows=2, tile=160)
    pages = [np.asarray(page) for page in sheets]
    assert len(sheets) == len(pages) == 2
    # The lower right corner of each tile: no object reaches it. Tiles are 160 x 120.
    corners = [(y + 110, x + 150) for y in (16, 16 + 120 + 51 + 16) for x in (16, 16 + 160 + 16)]
    shown = [page[y, x] for page in pages for y, x in corners if y < page.shape[0]]
    for pixel, index in zip(shown, [4, 2, 0, 1, 3], strict=False):
        assert near(pixel, COLOURS[index])
    assert not list(sheets.problems)


def test_every_tile_has_a_caption(data: Dataset) -> None:
    page = np.asarray(next(iter(ContactSheets(data, range(5), columns=5, rows=1, tile=200))))
    below = page[16 + 150 : -16].max(axis=2)
    for column in range(5):
        words = below[:, 16 + 216 * column : 216 * (column + 1)] > 120
        assert words.sum() > 100, "file name, size and counts are written"
        assert words[: len(words) // 2].any()
        assert words[len(words) // 2 :].any()


def test_masks_and_boxes_are_drawn_where_they_are(tmp_path: Path) -> None:
    Image.new("RGB", (100, 50), (90, 90, 90)).save(tmp_path / "a.png")
    boxed = Annotation(2, 0, False, (60.0, 10.0, 90.0, 40.0), None, None)
    data = Dataset(
        Labels(
            ["cat"],
            [ImageRecord(1, tmp_path / "a.png", 50, 100)],
            StoredAnnotations([[rectangle(1, 0, 10, 10, 30, 30), boxed]]),
        )
    )
    tile = np.asarray(overlay_tile(data.pixels(0), data.objects(0), [0, 1], ["cat"] * 2, (400, 400)))
    assert tile.shape == (200, 400, 3)
    fill = np.array(object_colour(0)) * 0.3 + 90 * 0.7
    assert near(tile[100, 100], tuple(fill.astype(int)))
    assert near(tile[100, 300], (90, 90, 90)), "a box is not filled"
    # The edges lie at 4 times the image's coordinates.
    for y, x in ((100, 40), (100, 160), (100, 240), (100, 360), (40, 300), (160, 300)):
        assert np.ptp(tile[y - 3 : y + 3, x - 3 : x + 3].reshape(-1, 3), axis=0).max() > 60
    for y, x in ((20, 20), (100, 200), (180, 380)):
        assert (tile[y - 5 : y + 5, x - 5 : x + 5] == 90).all()


def test_only_the_classes_asked_for_are_drawn(data: Dataset) -> None:
    def differing(labels: set[int] | None) -> set[int]:
        """Columns of the fifth image, in objects' steps, that are not plain."""
        page = np.asarray(next(iter(ContactSheets(data, [4], labels, tile=480))))
        tile = page[16 : 16 + 360, 16 : 16 + 480]
        plain = np.abs(tile.astype(int) - COLOURS[4]).max(axis=2) <= 3
        # Object k lies in columns 80 k to 80 k + 48, rows 20 to 20 + 40 (k + 1).
        return {k for k in range(4) if not plain[30:50, 80 * k + 15 : 80 * k + 33].any()}

    assert differing(None) == {0, 1, 2, 3}
    assert differing({1}) == {1, 3}


def test_an_image_that_cannot_be_read_says_so_in_its_place(data: Dataset) -> None:
    data.records[1].path.write_bytes(b"not an image")
    sheets = ContactSheets(data, [0, 1, 2], columns=3, tile=200)
    page = np.asarray(next(iter(sheets)))
    assert [(problem.where, problem.images_lost) for problem in sheets.problems] == [(str(data.records[1].path), 1)]
    cells = [page[16 : 16 + 150, 16 + 216 * k : 216 * (k + 1)] for k in range(3)]
    assert near(cells[0][-5, -5], COLOURS[0])
    assert near(cells[2][-5, -5], COLOURS[2])
    assert len(np.unique(cells[1].reshape(-1, 3), axis=0)) > 10, "the reason is written"


def test_dropped_objects_are_told_in_the_caption(data: Dataset) -> None:
    def amber(index: int) -> int:
        page = np.asarray(next(iter(ContactSheets(data, [index], tile=300)))).astype(int)
        caption = page[16 + 225 :]
        return int(((caption[..., 0] > 200) & (caption[..., 2] < 140)).sum())

    assert amber(1) == 0
    empty = Annotation(9, 0, False, (1, 1, 5, 5), None, Crop(np.zeros((0, 0), bool), 0, 0))
    data.labels.reader.annotations[1].append(empty)  # type: ignore[attr-defined]
    assert amber(1) > 30
    assert lost(data)[1] == 1


def test_a_crowd_and_images_of_any_shape(tmp_path: Path) -> None:
    records, annotations = [], []
    for number, (width, height) in enumerate([(1, 1), (900, 3), (3, 900), (2000, 1500)]):
        path = tmp_path / f"{'long name ' * 12}{number}.png"
        Image.new("RGB", (width, height), (90, 90, 90)).save(path)
        records.append(ImageRecord(number, path, height, width))
        annotations.append([rectangle(1, 0, 0, 0, width, height, crowd=True)])
    data = Dataset(Labels(["cat"], records, StoredAnnotations(annotations)))
    sheets = ContactSheets(data, range(4), columns=2, tile=120)
    assert len(list(sheets)) == 1
    assert not list(sheets.problems)


def test_an_image_of_many_channels_is_shown_too(tmp_path: Path) -> None:
    channels = np.zeros((40, 60, 5), dtype=np.uint16)
    channels[:, 30:] = 4000
    np.save(tmp_path / "a.npy", channels)
    data = Dataset(Labels(["cat"], [ImageRecord(1, tmp_path / "a.npy", 40, 60)], StoredAnnotations([[]])))
    picture = data.picture(0)
    assert picture.shape == (40, 60, 3)
    assert picture[:, :30].max() < 5
    assert picture[:, 30:].min() > 250
    data.records = [ImageRecord(1, tmp_path / "a.npy", 60, 40)]
    with pytest.raises(MaskRCNNError):
        data.picture(0)


def blocks(mask: np.ndarray, k: int) -> np.ndarray:
    """The share of each k x k block that is set."""
    return mask.reshape(mask.shape[0] // k, k, mask.shape[1] // k, k).mean(axis=(1, 3))


@pytest.mark.parametrize("k", [2, 4, 5])
def test_a_mask_shrunk_is_set_where_half_of_the_pixels_were(k: int) -> None:
    rng = np.random.default_rng(k)
    mask = np.zeros((40, 60), dtype=bool)
    mask[7:31, 11:52] = rng.random((24, 41)) < 0.6
    crop = scale_crop(Crop(mask[7:31, 11:52], 11, 7), (1 / k, 1 / k), (60 // k, 40 // k))
    placed = np.zeros((40 // k, 60 // k), dtype=bool)
    placed[crop.y : crop.y + crop.bitmap.shape[0], crop.x : crop.x + crop.bitmap.shape[1]] = crop.bitmap
    share = blocks(mask, k)
    sure = np.abs(share - 0.5) > 0.01
    assert (placed == (share > 0.5))[sure].all()


def test_a_mask_enlarged_keeps_its_box_and_area() -> None:
    crop = scale_crop(Crop(np.ones((10, 20), dtype=bool), 30, 40), (3.0, 2.0), (300, 200))
    assert crop.box == (90, 80, 150, 100)
    assert crop.area == 60 * 20


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 300), height=st.integers(1, 300), cell=st.integers(1, 200), data=st.data(), seed=st.integers(0)
)
def test_no_mask_vanishes_or_leaves_its_image(
    width: int, height: int, cell: int, data: st.DataObject, seed: int
) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    bitmap = np.random.default_rng(seed).random((h, w)) < 0.5
    bitmap[0, 0] = True
    scale = min(cell / width, cell / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    crop = scale_crop(Crop(bitmap, x, y), (size[0] / width, size[1] / height), size)
    assert crop.area
    assert crop.x >= 0
    assert crop.y >= 0
    assert crop.x + crop.bitmap.shape[1] <= size[0]
    assert crop.y + crop.bitmap.shape[0] <= size[1]


def test_choosing(data: Dataset) -> None:
    found = survey_dataset(data)
    assert choose_images(data, 3, "most-objects", survey=found) == [4, 3, 2]
    # Sizes are sqrt(12 * 10 (k + 1)): all images with objects have the smallest one, of class cat.
    assert choose_images(data, None, "smallest", labels={1}, survey=found)[-1] in (2, 3, 4)
    assert sorted(choose_images(data, None, labels={1}, survey=found)) == [2, 3, 4]
    assert sorted(choose_images(data, seed=1)) == [0, 1, 2, 3, 4]
    assert choose_images(data, 4, seed=1) == choose_images(data, 4, seed=1)
    assert len({tuple(choose_images(data, seed=seed)) for seed in range(5)}) > 1


def test_the_smallest_objects_come_first(tmp_path: Path) -> None:
    records, annotations = [], []
    for number, side in enumerate((20, 5, 11)):
        records.append(ImageRecord(number, tmp_path / f"{number}.png", 50, 50))
        annotations.append([rectangle(1, 0, 0, 0, 30, 30), rectangle(2, 0, 0, 0, side, side)])
    records.append(ImageRecord(3, tmp_path / "none.png", 50, 50))
    data = Dataset(Labels(["cat"], records, StoredAnnotations([*annotations, []])))
    assert choose_images(data, None, "smallest", survey=survey_dataset(data)) == [1, 2, 0, 3]


def test_images_are_found_by_id_and_by_name(data: Dataset) -> None:
    assert find_images_by_id(data, ["12", "Größe 0", "Größe 4.png"]) == [2, 0, 4]
    with pytest.raises(MaskRCNNError, match=r"no image has the id or file name '7'; ids go from 10 to 14"):
        find_images_by_id(data, ["12", "7"])


def test_pages_are_saved_under_the_name_or_numbered(data: Dataset, tmp_path: Path) -> None:
    one = ContactSheets(data, [0, 1], tile=100)
    assert list(save_pages(one, tmp_path / "new" / "one.png")) == [tmp_path / "new" / "one.png"]
    many = ContactSheets(data, range(5), columns=2, rows=1, tile=100)
    paths = list(save_pages(many, tmp_path / "a b.jpg"))
    assert [path.name for path in paths] == ["a b-1.jpg", "a b-2.jpg", "a b-3.jpg"]
    for path in paths:
        with Image.open(path) as page:
            assert page.width == 16 + 2 * (100 + 16)
    with pytest.raises(MaskRCNNError, match=r"ends in \.png or \.jpg"):
        next(save_pages(one, tmp_path / "sheet.txt"))
    (tmp_path / "file").touch()
    with pytest.raises(MaskRCNNError, match="cannot be written"):
        next(save_pages(one, tmp_path / "file" / "sheet.png"))
