"""What is fuzzed: for each kind of input some good files, how they are mutated, and how they are read."""

from __future__ import annotations

import json
import pickle
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
import torch
import yaml
from accelerate import Accelerator
from PIL import Image

from fuzz.mutations import Mutation, Rng, in_bytes, in_json, in_png, in_safetensors, in_value, in_yaml, in_zip
from maskrcnn import runtime
from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.config import Config, Preprocess, from_dict, preset, to_dict
from maskrcnn.datasets.conversion.conversion import convert
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.formats.format_registry import BY_NAME
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_reader import image_size, read_channels, read_header, read_id_map, read_image
from maskrcnn.images.sources import resolve_sources
from maskrcnn.masks import Crop
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.results.geojson import HEAD, TAIL, feature
from maskrcnn.training.distributed import Processes
from maskrcnn.training.learner import Learner
from maskrcnn.training.recipe import read_recipe
from maskrcnn.training.state import RunState, read_state, save_state
from maskrcnn.weights.checkpoint import save_checkpoint
from maskrcnn.weights.detectron2_config import read_settings as read_detectron2_settings
from maskrcnn.weights.detectron2_config import settings_from_yaml
from maskrcnn.weights.load import load_model
from maskrcnn.weights.weight_file import read_weight_file

# Writes an artifact of three fixed objects, which no exporter has to trace.
HANDMADE = Path(__file__).resolve().parents[1] / "tests" / "runtime" / "conftest.py"
TINY: dict[str, Any] = {
    "backbone": "timm:test_efficientnet",
    "fpn_channels": 8,
    "box_hidden": (16,),
    "mask_convs": (8,),
    "preprocess": {"short": (64, 64), "long": 96},
}


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Attributes:
        make: writes good files into an empty folder.
        use: reads them; raises nothing but `MaskRCNNError`, and returns how much of it could be read.
        mutations: by suffix; files of other suffixes are left alone. "" stands for all.
        whole: what `use` returns at least for the good files.
    """

    make: Callable[[Path], None]
    use: Callable[[Path], int]
    mutations: dict[str, Mutation]
    whole: int = 1


def tiny_model(*names: str) -> MaskRCNN:
    """A Mask R-CNN of 0.1 million parameters."""
    torch.manual_seed(0)
    return MaskRCNN(preset("lite").replace(**TINY), names or ("cat", "dog")).eval()


def _photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# Labelled data


def four_objects() -> list[Annotation]:
    """A polygon, a ring, a crowd and a box alone, in an image of 12 x 16."""
    ring = np.ones((6, 6), dtype=bool)
    ring[2:4, 2:4] = False
    return [
        Annotation(1, 0, False, None, None, [np.array([1.0, 1, 5, 1, 5, 5])]),
        Annotation(2, 1, False, None, None, Crop(ring, 7, 5)),
        Annotation(3, 1, True, None, None, Crop(np.ones((2, 2), dtype=bool), 0, 8)),
        Annotation(4, 0, False, (1.0, 1.0, 4.0, 4.0), None, None),
    ]


def write_geojson(folder: Path) -> None:
    """The format that is read and not written: four objects in a file beside each of two images, in two splits."""
    crops = [Crop(np.ones((4, 5 + k), dtype=bool), 1 + k, 2) for k in range(4)]
    rows = [feature(k, crop, ("cat", "dog")[k % 2], k % 2, 0.9) for k, crop in enumerate(crops)]
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        for k in range(2):
            Image.fromarray(_photo(12, 16)).save(folder / split / f"{k}.png")
            (folder / split / f"{k}.geojson").write_text(f"{HEAD}{','.join(map(str, rows))}{TAIL}")


def _labelled(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        if name == "geojson":
            write_geojson(folder / "data")
            return
        height, width = 12, 16
        annotations = four_objects()
        records = []
        for k in range(2):
            Image.fromarray(_photo(height, width)).save(folder / f"{k}.png")
            records.append(ImageRecord(k, folder / f"{k}.png", height, width))
        data = Dataset(Labels(["cat", "dog"], records, StoredAnnotations([annotations, annotations])))
        convert({"train": data, "val": data}, folder / "data", BY_NAME[name])
        for record in records:
            record.path.unlink()

    return make


def _use_data(folder: Path) -> int:
    """Open, draw and read as a trainer does, then as the doctor does."""
    read = 0
    for split in ("train", "val"):
        try:
            dataset = open_dataset(folder / "data", split)
        except MaskRCNNError:
            continue
        for index in range(len(dataset)):
            try:
                objects = dataset.objects(index)
                pixels = dataset.pixels(index, Preprocess(), 1)
            except MaskRCNNError:
                continue
            assert (objects.labels < len(dataset.names)).all()
            assert np.isfinite(objects.boxes).all()
            assert pixels.ndim == 3
            read += 1
            for problem in objects.problems:
                _check_message(str(problem))
        for problem in dataset.problems:
            _check_message(str(problem))
    for problem in examine(folder / "data", workers=1).problems:
        _check_message(str(problem))
    return read


# Images


def _make_images(folder: Path) -> None:
    picture, deep = Image.fromarray(_photo(9, 14)), _photo(9, 14)[..., 0].astype(np.uint16) * 257
    for name in ("a.png", "a.jpg", "a.gif", "a.bmp", "a.webp", "a.tif", "a.ppm"):
        picture.save(folder / name)
    Image.fromarray(deep).save(folder / "deep.png")
    picture.quantize(8).save(folder / "palette.png")
    np.save(folder / "a.npy", deep)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        picture.save(folder / f"{compression}.tif", compression=compression)
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for order in orders:
        tifffile.imwrite(folder / f"deep{ord(order)}.tif", deep, byteorder=order, photometric="miniswhite")
    tifffile.imwrite(folder / "planes.tif", np.stack([deep] * 5), planarconfig="separate", photometric="minisblack")
    tifffile.imwrite(folder / "pages.tif", np.stack([deep] * 3), photometric="minisblack")
    tifffile.imwrite(folder / "ids.tif", deep.astype(np.int64) // 5000)
    tifffile.imwrite(folder / "tiles.tif", np.kron(deep, np.ones((4, 4), np.uint16)), tile=(16, 16), compression="zlib")


READERS: tuple[Callable[[Path], Any], ...] = (read_image, read_channels, read_id_map, image_size, read_header)


def _use_images(folder: Path) -> int:
    read = 0
    for path in sorted(folder.iterdir()):
        for reader in READERS:
            try:
                found = reader(path)
            except MaskRCNNError as error:
                _check_message(str(error))
                continue
            if reader is read_image:
                assert found.pixels.dtype == np.uint8
                assert found.pixels.shape[2] == 3
            read += 1
    return read


# Weights


def _make_checkpoint(folder: Path) -> None:
    save_checkpoint(tiny_model(), folder / "model.safetensors", {"steps": 10, "licence": "x"}, torch.float16)


def _make_pickles(folder: Path) -> None:
    state = {f"backbone.{k}.weight": torch.ones(2, 3) for k in range(3)}
    torch.save({"model": state, "epoch": 3, "names": ["a"]}, folder / "zip.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    arrays = {key: value.numpy() for key, value in state.items()}
    (folder / "d2.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "x"}, 2))


def _use_weights(folder: Path) -> int:
    read = 0
    for path in sorted(folder.iterdir()):
        try:
            model, report = load_model(path)
        except MaskRCNNError as error:
            _check_message(str(error))
            continue
        for line in report.lines():
            _check_message(line)
        assert len(set(model.names)) == len(model.names)
        read += 1
    return read


def _use_pickles(folder: Path) -> int:
    """The good files hold no network that is known, so what counts is that their tensors come out."""
    read = 0
    for path in sorted(folder.iterdir()):
        try:
            read += len(read_weight_file(path).state) == 3
        except MaskRCNNError as error:
            _check_message(str(error))
        try:
            load_model(path)
        except MaskRCNNError as error:
            _check_message(str(error))
    return read


def _make_run(folder: Path) -> None:
    model = tiny_model()
    learner = Learner(model, read_recipe(None, {"freeze": []}), Accelerator(cpu=True), Processes())
    about = {
        "recipe": {"preset": "lite"},
        "config": to_dict(model.config),
        "images_a_step": 8,
        "data": 1,
        "source": "x",
    }
    save_state(folder, RunState(3, 24, 1.5, 1, 0, {"mask_AP": 1.0}), about, learner)


def _use_run(folder: Path) -> int:
    """What ``train --resume`` takes from a run before it opens the data."""
    saved = read_state(folder, tensors=False)
    from_dict(saved.about["config"])
    read_recipe(None, saved.about["recipe"])
    assert saved.state.steps >= 0
    return 1


# Exported models


def _make_exported(folder: Path) -> None:
    handmade = runpy.run_path(str(HANDMADE))
    for name in ("model.xml", "model.onnx"):
        handmade["write"](folder / name, handmade["small_config"]())


def _use_exported(folder: Path) -> int:
    read = 0
    for path in sorted([*folder.glob("*.onnx"), *folder.glob("*.xml")]):
        try:
            model = runtime.load(path, "cpu", threads=1)
            result = model.predict(_photo(20, 30), score=0.0)
        except MaskRCNNError as error:
            _check_message(str(error))
            continue
        assert np.isfinite(result.scores).all()
        read += 1
    return read


def _in_artifact_note(rng: Rng, content: bytes) -> bytes:
    """An .onnx changed in its metadata, or in its bytes."""
    import onnx

    if rng.random() < 0.5:
        return in_bytes(rng, content)
    model = onnx.load_from_string(content)
    note = model.metadata_props[0]
    if rng.random() < 0.2:
        note.value = in_bytes(rng, note.value.encode()).decode("utf-8", "replace")
    else:
        note.value = json.dumps(in_value(rng, json.loads(note.value)))
    return bytes(model.SerializeToString())


# Settings


def _make_recipe(folder: Path) -> None:
    content = {
        "preset": "lite",
        "minutes": 5,
        "batch_size": 4,
        "canvas": 256,
        "scale_jitter": [0.5, 2.0],
        "step_at": [0.5, 0.9],
        "freeze": [0, "blocks.1"],
        "names": ["cat", "dog"],
        "lr": 0.001,
        "workers": 1,
        "seed": 3,
        "model": {**TINY, "anchor_ratios": [0.5, 1.0, 2.0], "score_threshold": 0.1},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))


def _use_recipe(folder: Path) -> int:
    recipe = read_recipe(folder / "recipe.yaml", {})
    model = MaskRCNN(preset(recipe.preset).replace(**recipe.model), recipe.names or ("a",))
    recipe.learning_rate(8)
    assert isinstance(model.config, Config)
    return 1


def _make_manifest(folder: Path) -> None:
    _labelled("yolo")(folder)
    text = 'path: data\ntrain: images/train\nval: [images/val, {path: images/val, rename: {"cat": "cow"}}]\n'
    (folder / "data.yaml").write_text(text + "names: {0: cat, 1: dog}\nnc: 2\n")


def _use_manifest(folder: Path) -> int:
    read = 0
    for split in ("train", "val"):
        dataset = open_dataset(folder / "data.yaml", split)
        for index in range(len(dataset)):
            for problem in dataset.objects(index).problems:
                _check_message(str(problem))
        read += len(dataset)
        for problem in dataset.problems:
            _check_message(str(problem))
    return read


def _make_foreign_settings(folder: Path) -> None:
    content = {
        "MODEL": {
            "META_ARCHITECTURE": "GeneralizedRCNN",
            "ROI_HEADS": {"NUM_CLASSES": 2, "SCORE_THRESH_TEST": 0.05},
            "ANCHOR_GENERATOR": {"SIZES": [[32], [64], [128], [256], [512]], "ASPECT_RATIOS": [[0.5, 1.0, 2.0]]},
            "RPN": {"NMS_THRESH": 0.7, "SMOOTH_L1_BETA": 0.0},
        },
        "INPUT": {"MIN_SIZE_TEST": 800, "MAX_SIZE_TEST": 1333, "FORMAT": "BGR"},
        "TEST": {"DETECTIONS_PER_IMAGE": 100},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))


def _use_foreign_settings(folder: Path) -> int:
    path = folder / "config.yaml"
    settings_from_yaml(read_detectron2_settings(path), False, path)
    return 1


# What a user types


def _make_sources(folder: Path) -> None:
    (folder / "sources.json").write_text(
        json.dumps(["a.png", "**/*.jpg", "http://127.0.0.1:9/x", "data", "~/x", "a[0].png"])
    )
    Image.fromarray(_photo(5, 5)).save(folder / "a.png")


def _use_sources(folder: Path) -> int:
    try:
        names = json.loads((folder / "sources.json").read_bytes())
    except ValueError:
        return 0
    found = resolve_sources([str(folder / name) if "://" not in name else name for name in _texts(names)])
    for line in map(str, (*found.problems, *found.notes)):
        _check_message(line)
    assert len({source.stem.casefold() for source in found.images}) == len(found.images)
    return len(found.images)


def _texts(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else [value]
    return [part.replace("/dev/", "/nowhere/") for part in parts[:20] if isinstance(part, str)]


def _check_message(text: str) -> None:
    assert len(text) < 5000, f"a message of {len(text)} characters: {text[:200]}"


_LABELS: dict[str, Mutation] = {
    ".json": in_json, ".yaml": in_yaml, ".txt": in_bytes, ".xml": in_bytes, ".png": in_png, ".csv": in_bytes,
}  # fmt: skip
TARGETS: dict[str, Target] = {
    **{name: Target(_labelled(name), _use_data, _LABELS, 4) for name in BY_NAME},
    "images": Target(_make_images, _use_images, {".png": in_png, "": in_bytes}, 80),
    "checkpoint": Target(_make_checkpoint, _use_weights, {".safetensors": in_safetensors}),
    "run": Target(_make_run, _use_run, {".safetensors": in_safetensors}),
    "pickles": Target(_make_pickles, _use_pickles, {".pth": in_zip, "": in_bytes}, 3),
    "exported": Target(_make_exported, _use_exported, {".onnx": _in_artifact_note, "": in_bytes}, 2),
    "recipe": Target(_make_recipe, _use_recipe, {".yaml": in_yaml}),
    "manifest": Target(_make_manifest, _use_manifest, {".yaml": in_yaml}, 6),
    "detectron2": Target(_make_foreign_settings, _use_foreign_settings, {".yaml": in_yaml}),
    "sources": Target(_make_sources, _use_sources, {".json": in_json}),
}
