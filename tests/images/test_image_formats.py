"""What is read is found, and what is not read is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_formats import IMAGE_SUFFIXES, PILLOW_FORMATS, skipped_files_note
from maskrcnn.images.image_reader import find_images, read_image
from maskrcnn.images.sources import resolve_sources
from tests.reading import problems_of

RGB = np.kron(np.random.default_rng(0).integers(0, 256, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)
WRITABLE = sorted(
    IMAGE_SUFFIXES - {".npy", ".ras", ".apng", ".heic", ".heif", ".hif", ".jpc", ".jpf", ".jpx", ".pbm", ".pgm"}
)


@pytest.mark.parametrize("suffix", WRITABLE)
def test_each_suffix_is_read_as_pillow_reads_it_and_found_in_a_folder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    Image.fromarray(RGB).save(path)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(read_image(path).pixels, expected)
    assert find_images(tmp_path) == [path]


@pytest.mark.parametrize(("suffix", "mode"), [(".pgm", "L"), (".pbm", "1")])
def test_portable_grey_maps_and_bitmaps(tmp_path: Path, suffix: str, mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / f"a{suffix}")
    assert np.array_equal(read_image(tmp_path / f"a{suffix}").pixels, np.asarray(image.convert("RGB")))
    assert len(find_images(tmp_path)) == 1


def test_a_name_that_lies_about_its_format_is_read(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jpg", format="PNG")
    assert np.array_equal(read_image(tmp_path / "a.jpg").pixels, RGB)


@pytest.mark.parametrize("name", ["a.png", "a.eps", "a.tif"])
def test_no_file_is_handed_to_another_program(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives EPS to Ghostscript, which runs what it contains."""
    assert not {"EPS", "WMF", "MPEG", "FITS", "HDF5", "GRIB", "BUFR"} & set(PILLOW_FORMATS)
    Image.fromarray(RGB).save(tmp_path / name, format="EPS")

    def started(*args: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.check_call", started)
    monkeypatch.setattr("subprocess.Popen", started)
    with pytest.raises(MaskRCNNError, match="not an image: no known format begins with b'%!PS"):
        read_image(tmp_path / name)


def test_heic_without_its_plugin_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskrcnn.images.pillow_file.HAS_HEIF", False)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    with pytest.raises(MaskRCNNError, match="pip install pillow-heif"):
        read_image(tmp_path / "a.heic")


def test_what_is_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.MP4", "c.pdf", "d.txt", "e.json", ".hidden.mp4", "f.jpg", "README"):
        (tmp_path / name).touch()
    (tmp_path / "g.mp4").mkdir()
    line = skipped_files_note(tmp_path.iterdir())
    assert line.startswith("3 files left out, of no kind that is read: 2 .mp4, 1 .pdf (")
    assert "convert them to PNG" in line
    assert skipped_files_note([tmp_path / "f.jpg", tmp_path / "d.txt"]) == ""


def test_many_kinds_stay_one_short_line(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"a.kind{number}").touch()
    assert "40 files left out" in skipped_files_note(tmp_path.iterdir())
    assert "35 more kinds" in skipped_files_note(tmp_path.iterdir())


def test_a_folder_to_predict_tells_what_it_leaves_out(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jfif", format="JPEG")
    (tmp_path / "clip.mp4").touch()
    for argument in (tmp_path, tmp_path / "*"):
        found = resolve_sources([argument])
        assert [source.name for source in found.images] == ["a.jfif"]
        assert len(found.notes) == 1
        assert "1 file left out" in found.notes[0]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "b.mp4").touch()
    assert "1 .mp4" in resolve_sources([tmp_path / "videos"]).problems[0].what


@pytest.mark.parametrize("form", ["yolo", "coco", "labelme"])
def test_a_data_set_tells_what_it_leaves_out(tmp_path: Path, form: str) -> None:
    images = tmp_path / ("images" if form == "yolo" else "train" if form == "coco" else "")
    images.mkdir(exist_ok=True)
    Image.fromarray(RGB).save(images / "a.webp")
    for name in ("b.dng", "c.mov"):
        (images / name).touch()
    outline = [[8, 8], [40, 8], [40, 24]]
    if form == "yolo":
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "a.txt").write_text("0 0.1 0.1 0.9 0.1 0.5 0.9\n")
    elif form == "coco":
        image = {"id": 1, "file_name": "a.webp", "height": 32, "width": 48}
        shape = {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [[8, 8, 40, 8, 40, 24]],
            "bbox": [8, 8, 32, 16],
        }
        content = {"images": [image], "annotations": [shape], "categories": [{"id": 1, "name": "x"}]}
        (tmp_path / "train.json").write_text(json.dumps(content))
    else:
        shapes = [{"label": "x", "points": outline, "shape_type": "polygon"}]
        content = {"imagePath": "a.webp", "imageHeight": 32, "imageWidth": 48, "shapes": shapes}
        (tmp_path / "a.json").write_text(json.dumps(content))
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 1
    told = [problem for problem in problems_of(dataset) if problem.check == "left-out"]
    assert len(told) == 1
    assert told[0].severity == "note"
    assert told[0].images_lost == 0
    assert "2 files left out" in told[0].what
    assert "1 .mov" in told[0].what
