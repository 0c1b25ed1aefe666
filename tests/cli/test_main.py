"""The command line as people use and misuse it: one clear line, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image, ImageFile

from maskrcnn.inference.predictor import Predictor
from maskrcnn.masks import decode
from tests.command import run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Good images of every kind, and bad files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(folder / "good.jpg")
    Image.fromarray(rgb[..., 0]).save(folder / "grey.png")
    Image.fromarray(np.dstack((rgb, rgb[..., :1]))).save(folder / "rgba.png")
    Image.fromarray(rng.integers(300, 4000, (80, 100)).astype(np.uint16)).save(folder / "sixteen.png")
    Image.fromarray(rgb[:1, :1]).save(folder / "dot.png")
    frames = [Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    return folder


def add_bad(folder: Path) -> list[str]:
    (folder / "cut.jpg").write_bytes((folder / "good.jpg").read_bytes()[:300])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("not an image")
    bomb = Image.new("1", (20_000, 20_000))
    bomb.save(folder / "bomb.png")
    return ["cut.jpg", "empty.jpg", "text.png", "bomb.png"]


def test_every_kind_of_image_is_segmented(photos: Path, tmp_path: Path) -> None:
    code, text = run("predict", photos, "--out", tmp_path / "out", "--score", "0.1")
    assert code == 0, text
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {path.stem for path in photos.iterdir()}
    for noted in ("sixteen.png", "moving.gif", "rgba.png"):
        assert noted in text
    for entry in json.loads((tmp_path / "out" / "predictions.json").read_text()):
        assert set(entry) >= {"file_name", "category_name", "segmentation", "box", "score", "image_id", "category_id"}
        with Image.open(photos / entry["file_name"]) as image:
            assert entry["segmentation"]["size"] == [image.height, image.width]
        assert decode(entry["segmentation"]).area >= 0


def test_bad_images_are_named_and_the_others_complete(photos: Path, tmp_path: Path) -> None:
    bad = add_bad(photos)
    code, text = run("predict", photos, tmp_path / "nowhere.jpg", "--out", tmp_path / "out")
    assert code == 1
    for name in [*bad, "nowhere.jpg"]:
        assert sum(name in line for line in text.splitlines()) == 1, (name, text)
    assert len(list((tmp_path / "out").glob("*.png"))) == 6
    assert "Traceback" not in text


def test_nothing_to_do_is_exit_code_two(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "notes.txt").write_text("hello")
    (tmp_path / "text.png").write_text("hello")
    for source, words in (
        (tmp_path / "nowhere.jpg", "nowhere.jpg"),
        (tmp_path / "bare", "bare"),
        (tmp_path / "text.png", "text.png"),
    ):
        code, text = run("predict", source, "--out", tmp_path / "out")
        assert (code, words in text) == (2, True), text


def test_an_empty_source_is_not_the_folder_that_one_is_in(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    code, text = run("predict", "", "--out", tmp_path / "out")
    assert (code, "found an empty text" in text) == (2, True), text


def test_unknown_and_unsuitable_models(photos: Path, tmp_path: Path) -> None:
    resnet = tmp_path / "resnet.pth"
    torch.save(torchvision.models.resnet18().state_dict(), resnet)
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk")
    for model, words in (
        ("nuclie", "did you mean 'nuclei'"),
        (tmp_path / "none.pth", "no such model file"),
        (resnet, "expected a Mask R-CNN"),
        (junk, "not a readable checkpoint"),
    ):
        code, text = run("predict", photos, "--model", model, "--out", tmp_path / "out")
        assert code == 2
        assert words in text, text
    code, text = run("predict", photos, "--size", 9, "--out", tmp_path / "out")
    assert code == 2
    assert "expected a shortest edge of 32 to 4096 pixels, found 9" in text
    assert run("predict", photos, "--device", "cuda:9")[0] == 2 or torch.cuda.is_available()


def test_offline_downloads_name_the_bundled_models(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    code, text = run("predict", photos, "--model", "coco", "--out", tmp_path / "out")
    assert code == 2
    assert "no network" in text
    assert "nuclei" in text


def test_ctrl_c_keeps_what_is_done(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, calls = Predictor._start, []

    def interrupted(self: Predictor, group: list, score: float) -> object:
        calls.append(group)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return start(self, group, score)

    monkeypatch.setattr(Predictor, "_start", interrupted)
    code, text = run("predict", photos, "--out", tmp_path / "out", "--score", "0.1")
    assert code == 130, text
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    json.loads((tmp_path / "out" / "predictions.json").read_text())


def test_train_on_what_is_no_data_set(tmp_path: Path, photos: Path) -> None:
    for data, words in ((tmp_path / "nowhere", "no such"), (photos, "expected COCO")):
        code, text = run("train", data, "--out", tmp_path / "run")
        assert code == 2
        assert words in text, text


def test_recipes_and_settings_are_checked(shapes: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("presett: lite\n")
    for words, expected in (
        (["--recipe", recipe], "did you mean 'preset'"),
        (["--set", "colour"], "name=value"),
        (["--set", 'model={"fpn_chanels": 8}'], "did you mean 'fpn_channels'"),
        (["--preset", "light"], "did you mean 'lite'"),
        (["--epochs", "-1"], "epochs"),
    ):
        code, text = run("train", shapes, "--out", tmp_path / "run", *words)
        assert code == 2, text
        assert expected in text, text


def test_a_data_set_with_faults_trains_and_tells_each(shapes: Path, tmp_path: Path) -> None:
    content = json.loads((shapes / "train.json").read_text())
    first = content["annotations"][0]
    outside = [500.0, 500, 600, 500, 600, 600]
    content["annotations"] += [
        {**first, "id": 901, "image_id": 77},
        {**first, "id": 902, "bbox": [5, 5, 0, 10]},
        {**first, "id": 903, "bbox": [500, 500, 100, 100], "segmentation": [outside]},
        {**first, "id": 904, "category_id": 9},
    ]
    (shapes / "train.json").write_text(json.dumps(content))
    code, text = run(
        "train", shapes, "--out", tmp_path / "run", "--epochs", "1", "--canvas", "64", "--batch-size", "2",
        "--workers", "0", "--evaluations", "0",
    )  # fmt: skip
    assert code == 1, text
    for number in (901, 902, 903, 904):
        assert sum(f"annotation {number}" in line for line in text.splitlines()) == 1, text
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_evaluate_writes_its_numbers(shapes: Path, tmp_path: Path) -> None:
    code, text = run("evaluate", shapes, "--model", "nuclei", "--json", tmp_path / "metrics.json")
    assert code == 2
    assert "no name in common" in text
    masks = tmp_path / "cells" / "val"
    for part in ("images", "masks"):
        (masks / part).mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(masks / "images" / "a.png")
    ids = np.zeros((64, 64), np.uint8)
    ids[10:30, 10:30] = 1
    Image.fromarray(ids).save(masks / "masks" / "a.png")
    code, text = run(
        "evaluate", tmp_path / "cells", "--model", "nuclei", "--max-detections", 7, "--json", tmp_path / "metrics.json",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, text
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["max_detections"] == 7
    assert 0 <= written["metrics"]["mask_AP"] <= 100


def test_models_lists_bundled_and_fetched() -> None:
    code, text = run("models")
    assert code == 0
    for name in ("nuclei", "coco-v2"):
        assert name in text


def test_it_starts_at_once() -> None:
    timed = "import time, torch; start = time.perf_counter(); import maskrcnn; print(time.perf_counter() - start)"
    added = subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout
    assert float(added) <= 1
    asked = (
        "import sys; sys.argv = ['maskrcnn', '--help']; from maskrcnn.cli.main import app; app(standalone_mode=False)"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) <= 1


def test_truncated_images_are_never_filled_in() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
