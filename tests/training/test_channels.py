"""A whole run on images that no picture holds: trained, measured and used on .npy and TIFF files as they are stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.datasets.survey.channel_statistics import measure_channels
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.images.sources import resolve_sources
from maskrcnn.inference.loading import load
from maskrcnn.training.training_result import TrainingResult
from tests.small_learner import LEARNER

Train = Callable[..., tuple[TrainingResult, Any]]


@pytest.fixture
def deep(shapes: Path) -> Path:
    """The shapes in 12 channels of 16 bits, of which a few hundred values are used, as .npy files."""
    gains = np.random.default_rng(0).uniform(0.2, 1, (3, 12))
    for split in ("train", "val"):
        for path in sorted((shapes / split).glob("*.png")):
            channels = 500 + 2 * np.asarray(Image.open(path)).astype(float) @ gains
            np.save(path.with_suffix(".npy"), channels.astype(np.uint16))
            path.unlink()
        labels = shapes / f"{split}.json"
        content = json.loads(labels.read_text())
        for image in content["images"]:
            image["file_name"] = image["file_name"].replace(".png", ".npy")
        labels.write_text(json.dumps(content))
    return shapes


def test_twelve_channels_of_sixteen_bits(deep: Path, tmp_path: Path, train: Train) -> None:
    run, _ = train(
        deep, tmp_path / "run", model=LEARNER, canvas=128, epochs=300, batch_size=4, lr_batch=4, colour=0, flip=False,
        scale_jitter=(1.0, 1.0), lr=1e-3, ema=0.9, evaluations=30, target_ap=50,
    )  # fmt: skip
    assert run.best["mask_AP"] > 50
    model = load(run.folder / "best.safetensors", "cpu")
    dataset = open_dataset(deep, "val")
    mean, std, _ = measure_channels(open_dataset(deep, "train"))
    assert (model.preprocess.mean, model.preprocess.std, model.preprocess.depth) == (mean, std, 16)
    assert evaluate(model, dataset).metrics["mask_AP"] == pytest.approx(run.best["mask_AP"], abs=1e-6)

    values = np.load(deep / "val" / "1.npy")
    for name, photometric in (("pixels.tif", "contig"), ("planes.tif", "separate")):
        stored = values if photometric == "contig" else values.transpose(2, 0, 1)
        tifffile.imwrite(tmp_path / name, stored, photometric="minisblack", planarconfig=photometric)
    sources = [deep / "val" / "1.npy", values, tmp_path / "pixels.tif", tmp_path / "planes.tif"]
    results = model.predict(sources)
    for result in results:
        assert len(result) >= 1
        np.testing.assert_array_equal(result.boxes, results[0].boxes)
        assert result.image is not None
        assert result.image.dtype == np.uint8
        assert np.ptp(result.image) == 255
        assert any("channels 1, 2, 3" in note for note in result.notes)
    results[0].save(tmp_path / "drawn.png")
    assert Image.open(tmp_path / "drawn.png").size == (128, 128)
    assert [source.name for source in resolve_sources([deep / "val"]).images] == [f"{n}.npy" for n in (1, 2, 3, 4)]
    with pytest.raises(MaskRCNNError, match="takes images of 12 channels"):
        model.predict(np.zeros((50, 60, 3), np.uint8))


def test_chance_and_company(deep: Path, tmp_path: Path, train: Train) -> None:
    """All that may happen to an image, from a network for pictures, on images of their own size."""
    rgb, _ = train(deep.parent / "shapes", tmp_path / "deep", epochs=1, model=LEARNER, canvas="own", copy_paste=1.0,
                   turns=True, colour=1.0, scale_jitter=(0.1, 2.0))  # fmt: skip
    assert rgb.steps == 2
    assert not rgb.skipped


def test_weights_for_pictures_start_other_channels(shapes: Path, tmp_path: Path, train: Train) -> None:
    train(shapes, tmp_path / "rgb", epochs=0.5, model=LEARNER)
    # The same images as two grey channels of 8 bits.
    for path in (*(shapes / "train").glob("*.png"), *(shapes / "val").glob("*.png")):
        grey = np.asarray(Image.open(path).convert("L"))
        np.save(path.with_suffix(".npy"), np.stack([grey, 255 - grey], axis=-1))
        path.unlink()
    for labels in shapes.glob("*.json"):
        labels.write_text(labels.read_text().replace(".png", ".npy"))
    run, display = train(
        shapes, tmp_path / "two", epochs=0.5, model={}, init=str(tmp_path / "rgb" / "last.safetensors"), canvas=128
    )
    assert load(run.folder / "last.safetensors", "cpu").preprocess.channels == 2
    assert any("weights for RGB spread over 2 channels" in line for line in display.lines)
