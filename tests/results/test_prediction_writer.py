"""The output folder: what is in it after a good run, a crash and Ctrl-C, and what is never overwritten."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.masks import Masks
from maskrcnn.results.prediction_writer import PredictionWriter
from maskrcnn.results.result import Result


def result(count, image=True):
    crops = [Crop(np.ones((2, 3), dtype=bool), k, 1) for k in range(count)]
    boxes = np.array([(k, 1, k + 3, 3) for k in range(count)], dtype=np.float32).reshape(-1, 4)
    pixels = np.full((10, 12, 3), 90, dtype=np.uint8) if image else None
    scores, labels = np.full(count, 0.75, dtype=np.float32), np.zeros(count, dtype=np.int64)
    return Result(boxes, scores, labels, Masks(crops, (10, 12)), ("çell",), (10, 12), pixels, Path("elsewhere.jpg"))


def rows(folder):
    return json.loads((folder / "predictions.json").read_text())


def test_overlays_and_coco_results(tmp_path):
    out = tmp_path / "new" / "out"
    with PredictionWriter(out) as writer:
        assert writer.add("a/x.jpg", "x", result(2)) == out / "x.png"
        writer.add("empty.jpg", "empty", result(0))
        writer.add("y.jpg", "y.tar", result(1))
    assert writer.images == 3
    assert sorted(path.name for path in out.iterdir()) == ["empty.png", "predictions.json", "x.png", "y.tar.png"]
    assert np.array_equal(np.asarray(Image.open(out / "x.png")), np.asarray(result(2).draw()))
    written = rows(out)
    assert [(row["image_id"], row["file_name"]) for row in written] == [(1, "a/x.jpg"), (1, "a/x.jpg"), (3, "y.jpg")]
    last = written[1]
    assert last["category_id"] == 1
    assert last["category_name"] == "çell"
    assert last["box"] == [1, 1, 4, 3]
    assert last["score"] == 0.75
    assert coco_mask.decode(last["segmentation"]).sum() == 6


def test_nothing_found_is_an_empty_list(tmp_path):
    with PredictionWriter(tmp_path) as writer:
        writer.add("a.jpg", "a", result(0))
    assert rows(tmp_path) == []
    with PredictionWriter(tmp_path / "none"):
        pass
    assert rows(tmp_path / "none") == []


def test_the_first_images_without_objects_do_not_spoil_the_list(tmp_path):
    with PredictionWriter(tmp_path, overlays=False) as writer:
        writer.add("a.jpg", "a", result(0))
        writer.add("b.jpg", "b", result(1))
    assert [row["image_id"] for row in rows(tmp_path)] == [2]


def test_without_overlays_no_image_is_needed(tmp_path):
    with PredictionWriter(tmp_path, overlays=False) as writer:
        assert writer.add("a.jpg", "a", result(1, image=False)) is None
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.json"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_what_was_done_is_kept_when_the_run_stops(tmp_path, stop):
    with contextlib.suppress(stop), PredictionWriter(tmp_path) as writer:
        writer.add("a.jpg", "a", result(2))
        raise stop
    assert len(rows(tmp_path)) == 2
    assert (tmp_path / "a.png").exists()


def test_half_a_row_is_dropped(tmp_path):
    with contextlib.suppress(KeyboardInterrupt), PredictionWriter(tmp_path, overlays=False) as writer:
        writer.add("a.jpg", "a", result(1))
        writer._rows._file.write(b',\n{"image_id": 2, "fi')
        raise KeyboardInterrupt
    assert [row["image_id"] for row in rows(tmp_path)] == [1]


def test_the_results_of_an_earlier_run_stay_until_the_new_ones_are_whole(tmp_path):
    with PredictionWriter(tmp_path) as writer:
        writer.add("a.jpg", "a", result(2))
    with PredictionWriter(tmp_path) as writer:
        writer.add("a.jpg", "a", result(1))
        assert len(rows(tmp_path)) == 2
    assert len(rows(tmp_path)) == 1
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.asarray(result(1).draw()))


def test_a_picture_that_is_no_overlay_is_never_overwritten(tmp_path):
    photo = tmp_path / "a.png"
    Image.new("RGB", (3, 3), (1, 2, 3)).save(photo)
    before = photo.read_bytes()
    with PredictionWriter(tmp_path) as writer:
        with pytest.raises(MaskRCNNError, match=r"a\.png: not overwritten.*another output folder"):
            writer.add("a.png", "a", result(1))
        writer.add("b.png", "b", result(1))
    assert photo.read_bytes() == before
    assert [row["file_name"] for row in rows(tmp_path)] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "content",
    [
        '{"mine": 1}',
        '[{"mine": 1}]',
        '["image_id", "category_id", "category_name", "score"]',
        '[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]',
        "not JSON",
    ],
)
def test_predictions_of_another_program_are_never_overwritten(tmp_path, content):
    file = tmp_path / "predictions.json"
    file.write_text(content)
    expected = r"predictions\.json: not overwritten: not written by maskrcnn.*another output folder"
    with pytest.raises(MaskRCNNError, match=expected), PredictionWriter(tmp_path):
        pytest.fail("the work was begun")
    assert (file.read_text(), list(tmp_path.iterdir())) == (content, [file])


@pytest.mark.parametrize("form", [lambda rows: json.dumps(rows), lambda rows: json.dumps(rows, indent=2)])
@pytest.mark.parametrize("count", [0, 2])
def test_own_predictions_are_replaced_however_they_are_laid_out(tmp_path, form, count):
    own = [{**row, "segmentation": {"size": [10, 12], "counts": "1" * 2**17}} for row in result(count).to_coco(1)]
    (tmp_path / "predictions.json").write_text(form(own))
    with PredictionWriter(tmp_path) as writer:
        writer.add("b.jpg", "b", result(1))
    assert [row["file_name"] for row in rows(tmp_path)] == ["b.jpg"]


def test_an_output_folder_that_cannot_be(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(MaskRCNNError, match="expected an output folder, found a file"), PredictionWriter(file):
        pass
    with pytest.raises(MaskRCNNError, match="cannot write to this folder"), PredictionWriter(file / "out"):
        pass
    assert file.read_text() == "mine"


def test_a_folder_in_use_is_refused_and_its_run_loses_nothing(tmp_path):
    with PredictionWriter(tmp_path) as first:
        first.add("a.jpg", "a", result(2))
        with pytest.raises(MaskRCNNError, match=r"in use.*choose another place"), PredictionWriter(tmp_path):
            pytest.fail("two writers in one folder")
        first.add("b.jpg", "b", result(1))
    assert [row["image_id"] for row in rows(tmp_path)] == [1, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "predictions.json"]


def test_an_error_before_the_first_image_keeps_the_earlier_results(tmp_path):
    with PredictionWriter(tmp_path) as writer:
        writer.add("a.jpg", "a", result(2))
    with pytest.raises(MaskRCNNError, match="no such model"), PredictionWriter(tmp_path):
        raise MaskRCNNError("no such model")
    assert len(rows(tmp_path)) == 2
    with pytest.raises(MaskRCNNError, match="no such model"), PredictionWriter(tmp_path / "new"):
        raise MaskRCNNError("no such model")
    assert not (tmp_path / "new").exists()


def test_what_does_not_fit_on_the_disk_is_an_error_of_its_image(tmp_path, file_size_limit):
    with PredictionWriter(tmp_path, overlays=False) as writer:
        writer.add("a.jpg", "a", result(2))
        file_size_limit(next(tmp_path.glob("*.part.json")).stat().st_size + 400)
        with pytest.raises(MaskRCNNError, match=r"predictions\.json: cannot write: File too large.*ulimit -f"):
            writer.add("b.jpg", "b", result(9))
        writer.add("c.jpg", "c", result(1))
        with pytest.raises(MaskRCNNError, match="File too large"):
            writer.add("d.jpg", "d", result(3))
    assert [(row["image_id"], row["file_name"]) for row in rows(tmp_path)] == [(1, "a.jpg")] * 2 + [(2, "c.jpg")]


def test_a_disk_that_is_full_keeps_the_earlier_results(tmp_path, file_size_limit):
    with PredictionWriter(tmp_path, overlays=False) as writer:
        writer.add("a.jpg", "a", result(2))
    file_size_limit(200)
    with PredictionWriter(tmp_path, overlays=False) as writer, pytest.raises(MaskRCNNError, match="File too large"):
        writer.add("b.jpg", "b", result(2))
    assert [row["file_name"] for row in rows(tmp_path)] == ["a.jpg"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.json"]


def test_an_overlay_that_does_not_fit_leaves_no_part_and_the_result(tmp_path, file_size_limit):
    with PredictionWriter(tmp_path) as writer:
        large = result(1)
        large.image = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        file_size_limit(300)
        with pytest.raises(MaskRCNNError, match=r"a\.png: cannot write: File too large"):
            writer.add("a.jpg", "a", large)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.json"]
    assert len(rows(tmp_path)) == 1


def test_a_killed_run_leaves_a_whole_list(tmp_path):
    with PredictionWriter(tmp_path, overlays=False) as writer:
        for count in (0, 1, 2):
            writer.add("a.jpg", "a", result(count))
            (part,) = tmp_path.glob("predictions.*.part.json")
            assert len(json.loads(part.read_text())) == (0, 1, 3)[count]


def test_places_of_the_wrong_kind_are_found_before_the_work(tmp_path):
    (tmp_path / "predictions.json").mkdir()
    with pytest.raises(MaskRCNNError, match=r"predictions\.json.*found a folder"), PredictionWriter(tmp_path):
        pytest.fail("the work was begun")


def test_files_have_the_rights_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        with PredictionWriter(tmp_path) as writer:
            writer.add("a.jpg", "a", result(1))
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "a.png": 0o640,
        "predictions.json": 0o640,
    }
