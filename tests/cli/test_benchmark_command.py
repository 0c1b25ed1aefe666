"""`maskrcnn benchmark`: the table, the JSON, the exit codes, and what it says of wrong words."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn.benchmarking.benchmark_images import MOST_IMAGES, sample_photos
from maskrcnn.config import Preprocess, preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference import device
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.load_report import LoadReport
from tests.command import run_apart


def run(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output, and standard error of `maskrcnn benchmark words…` on the CPU."""
    return run_apart("benchmark", "--device", "cpu", "--seconds", "1", *words)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> MaskRCNN:
    """A network of an input of 64 pixels in place of whatever is asked for; it finds five things anywhere."""
    torch.manual_seed(0)
    config = preset("lite").replace(
        backbone="resnet18", preprocess={"short": (64, 64), "long": 128}, fpn_channels=16, box_hidden=(32,),
        mask_convs=(16,), max_detections=5, score_threshold=0.0, anchor_sizes=(8, 16, 32, 64, 128),
    )  # fmt: skip
    model = MaskRCNN(config, ("thing",)).eval()
    monkeypatch.setattr("maskrcnn.benchmarking.benchmarked_model.load_model", lambda name: (model, LoadReport(name)))
    return model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_the_table_and_the_advice(tiny: MaskRCNN, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bf16_instructions", lambda: "AMX")
    code, text, notes = run(photos, "--score", "0")
    assert code == 0, text
    lines = text.splitlines()
    rows = [line.split() for line in lines if line.strip().startswith(("fp32 ", "bf16 "))]
    assert [(cells[0], cells[1]) for cells in rows] == [("fp32", "64"), ("bf16", "64"), ("fp32", "32"), ("bf16", "32")]
    assert rows[0][-2:] == ["100", "%"]
    assert "1.0x" in rows[0]
    (chosen,) = [line for line in lines if line.startswith(("→ Keep the default", "→ Use precision"))]
    assert "fp32" in chosen
    assert any(line.startswith("→ Other shortest edges") for line in lines)
    assert any(line.startswith("  to use it: maskrcnn predict --size ") for line in lines)
    assert f", {torch.get_num_threads()} thread" in text
    assert platform.node() not in text
    assert "left out fp16" in notes
    assert "only 15 objects to compare" in notes


def test_json_holds_rows_machine_and_advice(tiny: MaskRCNN, photos: Path, tmp_path: Path) -> None:
    words = (photos, "--precision", "bf16", "--sizes", "32", "--batch-size", "2", "--score", "0", "--json")
    code, text, notes = run(*words, "-")
    assert code == 0
    content = json.loads(text)
    assert [(row["precision"], row["short"], row["batch"], row["own"]) for row in content["rows"]] == [
        ("fp32", [64, 64], 2, True),
        ("bf16", [64, 64], 2, True),
        ("bf16", [32, 32], 2, False),
    ]
    exact = content["rows"][0]
    assert (exact["agreement"], exact["objects"], exact["kept"], exact["lost"], exact["added"]) == (1, 15, 15, 0, 0)
    assert exact["images_per_second"] == pytest.approx(1000 / exact["ms_per_image"])
    assert content["images"] == 3
    assert content["advice"]["precision"] in ("fp32", "bf16")
    assert content["left_out"] == []
    assert "fp16" not in notes
    assert run(*words, tmp_path / "speed.json")[0] == 0
    assert json.loads((tmp_path / "speed.json").read_text()).keys() == content.keys()
    code, text, message = run(*words, tmp_path / "speed.json" / "none.json")
    assert (code, text, "cannot be written" in message) == (2, "", True)  # before anything is measured


def test_without_sources_it_measures_on_sample_photos(tiny: MaskRCNN) -> None:
    code, text, _ = run("--sizes", "own", "--precision", "fp32")
    assert code == 0
    assert "on 5 images" in text or "on 4 images" in text


def test_nothing_found_is_said_instead_of_a_number(tiny: MaskRCNN, photos: Path) -> None:
    code, text, _ = run(photos, "--sizes", "own", "--score", "1")
    assert code == 0
    assert "found nothing in these images" in text
    assert "%" not in text


def test_broken_and_missing_images_are_skipped_and_told(tiny: MaskRCNN, photos: Path) -> None:
    (photos / "text.png").write_text("not an image")
    code, text, notes = run(photos, photos / "nowhere.jpg", "--sizes", "own", "--precision", "fp32")
    assert code == 1
    assert "on 3 images" in text
    for name in ("text.png", "nowhere.jpg"):
        assert sum(name in line for line in notes.splitlines()) == 1, notes
    for source in (photos / "text.png", photos / "nowhere.jpg"):
        code, _, message = run(source)
        assert (code, "no image to measure on" in message) == (2, True), message


def test_of_many_images_some_are_taken(tiny: MaskRCNN, photos: Path) -> None:
    for number in range(3, 40):
        (photos / f"{number}.png").write_bytes((photos / "0.png").read_bytes())
    code, _, notes = run(photos, "--sizes", "own", "--precision", "fp32")
    assert code == 0
    assert f"{MOST_IMAGES} of 40 images are used" in notes


def test_wrong_words_are_one_line_and_exit_code_two(tiny: MaskRCNN) -> None:
    for words, expected in (
        (["--precision", "nonsense"], "found 'nonsense'"),
        (["--precision", "fp32,"], "found ''"),
        (["--sizes", "big"], "sizes: expected own, auto or shortest edges in pixels such as 480,320, found 'big'"),
        (["--sizes", "16"], "expected a shortest edge of 32 to 4096 pixels, found 16 (the model's own is 64)"),
        (["--batch-size", "0"], "batch size: expected auto or numbers of images such as 1,8, found '0'"),
        (["--batch-size", "-1"], "batch size: expected"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ):
        code, _, message = run(*words)
        assert code == 2, words
        assert expected in message, message


def test_an_unknown_model_is_exit_code_two() -> None:
    code, _, message = run("--model", "nuclie")
    assert (code, "did you mean 'nuclei'" in message) == (2, True)


def test_sample_photos_suit_the_model() -> None:
    cells, everyday = sample_photos(["nucleus"], Preprocess()), sample_photos(["person"], Preprocess())
    assert (len(cells), len(everyday)) == (2, 5)
    assert all(photo.ndim == 3 and photo.shape[2] == 3 and photo.dtype == np.uint8 for photo in cells + everyday)
    grey = Preprocess(mean=(0.5,), std=(0.5,))
    with pytest.raises(MaskRCNNError, match="sample photos do not suit"):
        sample_photos(["nucleus"], Preprocess(mean=(0.5,) * 5, std=(0.5,) * 5))
    assert {photo.shape[2] for photo in sample_photos(["person"], grey)} == {1}
