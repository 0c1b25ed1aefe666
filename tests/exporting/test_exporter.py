"""Whole exports of a tiny model, run in the runtimes they are for and compared with `MaskRCNN.detect`."""

from __future__ import annotations

import copy
import json
import math
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import maskrcnn
from maskrcnn.config import from_dict
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation import evaluator
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.exporting import exporter, onnx_export, openvino_export
from maskrcnn.exporting.export_formats import FORMATS
from maskrcnn.exporting.exporter import Request, export, export_model
from maskrcnn.exporting.parity_run import Trial
from maskrcnn.inference.loading import load_exported
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.artifact_contract import KEY, METADATA_FILE
from maskrcnn.runtime.openvino_session import openvino_core
from tests.data_folders import idmasks
from tests.threads import check_two_threads, pictures

Exported = Callable[..., tuple[Path, Trial]]
FP32 = pytest.mark.parametrize("name", ["onnx", "openvino", "torch"])


def picture(height: int, width: int, rows: int, columns: int, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A network input of smooth noise, with whatever in its padding."""
    generator = torch.Generator().manual_seed(height + width)
    coarse = torch.rand(batch, 3, 8, 8, generator=generator) * 255
    images = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255).numpy()
    return images, np.array([[rows, columns]] * batch, np.int64)


def run(path: Path, name: str, images: np.ndarray, sizes: np.ndarray, score: float = 0.0) -> list[np.ndarray]:
    session = exporter.open_session(FORMATS[name], path)
    return list(session.run({"images": images, "sizes": sizes, "score": np.array(score, np.float32)}))


@torch.no_grad()
def truth(model: MaskRCNN, images: np.ndarray, sizes: np.ndarray, score: float = 0.0) -> list[np.ndarray]:
    found = model.detect(torch.from_numpy(images), torch.from_numpy(sizes), score)
    return [part.numpy() for part in found]


def same(got: list[np.ndarray], want: list[np.ndarray]) -> None:
    """Place by place: nothing may be lost, added or exchanged, but for objects whose scores are equal to rounding."""
    keep = want[3]
    assert np.array_equal(got[3].astype(bool), keep)
    for image, count in enumerate(keep.sum(axis=1)):
        far = np.abs(want[0][image, :count, None] - got[0][image, None, :count]).max(axis=2)
        far += 1e3 * (want[2][image, :count, None] != got[2][image, None, :count])
        order = far.argmin(axis=1)
        assert sorted(order) == list(range(count))
        scores = got[1][image, :count]
        np.testing.assert_allclose(scores[order], scores, rtol=0, atol=1e-5)
        for part in got:
            part[image, :count] = part[image, order]
    for one, other, margin in zip(got, want, (0.05, 1e-3, 0, 0, 1e-3), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one[keep].astype(float), other[keep].astype(float), rtol=0, atol=margin)


@FP32
def test_it_is_the_model_at_sizes_it_was_not_traced_at(name: str, model: MaskRCNN, exported: Exported) -> None:
    path, _ = exported(name)
    most = 0
    for size in ((160, 224, 150, 201), (224, 96, 224, 96), (96, 288, 90, 270)):
        images, sizes = picture(*size)
        want = truth(model, images, sizes)
        most = max(most, int(want[3].sum()))
        same(run(path, name, images, sizes), want)
    assert most > 100


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_any_batch_and_the_smallest_image(name: str, model: MaskRCNN, exported: Exported) -> None:
    path, _ = exported(name)
    for size in ((64, 64, 33, 33), (32, 64, 9, 40)):
        same(run(path, name, *picture(*size)), truth(model, *picture(*size)))
    images, _ = picture(128, 160, 0, 0, batch=3)
    sizes = np.array([[128, 160], [40, 160], [128, 33]], np.int64)
    same(run(path, name, images, sizes), truth(model, images, sizes))


@FP32
def test_nothing_found_is_an_ordinary_answer(name: str, model: MaskRCNN, exported: Exported) -> None:
    path, _ = exported(name)
    images, sizes = picture(128, 160, 128, 160)
    got = run(path, name, images, sizes, score=1.5)
    assert not got[3].any()
    assert [part.shape for part in got] == [part.shape for part in truth(model, images, sizes)]
    assert all(np.isfinite(part.astype(float)).all() for part in got)


@FP32
def test_the_score_asked_for_leaves_the_rest_as_it_is(name: str, model: MaskRCNN, exported: Exported) -> None:
    path, _ = exported(name)
    images, sizes = picture(128, 160, 128, 160)
    score = float(np.median(truth(model, images, sizes)[1]))
    want = truth(model, images, sizes, score)
    assert 0 < want[3].sum() < 120
    same(run(path, name, images, sizes, score), want)


@FP32
def test_parity_is_shown_and_passes(name: str, exported: Exported) -> None:
    path, seen = exported(name)
    assert seen.problems == []
    assert seen.notes == []
    assert len({row.size for row in seen.rows}) >= 3
    assert max(row.objects for row in seen.rows) > 100
    assert min(row.objects for row in seen.rows) == 0
    assert seen.megabytes == pytest.approx(sum(f.stat().st_size for f in FORMATS[name].files(path)) / 1e6)


@FP32
def test_load_takes_it_and_it_tells_what_it_is(name: str, model: MaskRCNN, exported: Exported) -> None:
    path, _ = exported(name)
    predictor = maskrcnn.load(path, trust=path.suffix == ".pt2")
    assert predictor.names == model.names
    assert predictor.model.config == model.config
    assert predictor.model.precision == "fp32"
    image = picture(160, 192, 0, 0)[0][0].transpose(1, 2, 0).astype(np.uint8)
    want = maskrcnn.Predictor(model, "cpu", "fp32").predict(image, score=0.3)
    got = predictor.predict(image, score=0.3)
    assert len(want) > 10
    np.testing.assert_allclose(got.boxes, want.boxes, atol=0.05)
    np.testing.assert_array_equal(got.labels, want.labels)


@FP32
def test_two_threads_get_what_one_gets(name: str, exported: Exported) -> None:
    check_two_threads(load_exported(exported(name)[0], trust=True), pictures(5))


def test_onnx_carries_its_metadata_as_agreed(model: MaskRCNN, exported: Exported) -> None:
    import onnx

    path, _ = exported("onnx")
    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    about = json.loads({prop.key: prop.value for prop in graph.metadata_props}["maskrcnn"])
    assert about["format"] == "maskrcnn-artifact-1"
    assert about["names"] == ["cat", "dog", "cow"]
    assert from_dict(about["config"]) == model.config
    assert [port.name for port in graph.graph.input] == ["images", "sizes", "score"]
    assert [port.name for port in graph.graph.output] == ["boxes", "scores", "labels", "valid", "masks"]


def rewritten(path: Path, change: Callable[[str], str], target: Path) -> Path:
    """A copy of an artifact whose metadata is changed, written by the format's own library."""
    if path.suffix == ".onnx":
        import onnx

        graph = onnx.load(path)
        (entry,) = (entry for entry in graph.metadata_props if entry.key == KEY)
        entry.value = change(entry.value)
        onnx.save(graph, target)
    elif path.suffix == ".xml":
        import openvino

        network = openvino_core().read_model(str(path))
        network.set_rt_info(change(str(network.get_rt_info(KEY).value)), KEY)
        openvino.save_model(network, str(target), compress_to_fp16=False)
    else:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
            for entry in source.infolist():
                content = source.read(entry)
                changed = entry.filename.endswith(METADATA_FILE)
                archive.writestr(entry, change(content.decode()) if changed else content)
    return target


@FP32
def test_each_field_of_the_metadata_is_read_from_the_file(
    name: str, model: MaskRCNN, exported: Exported, tmp_path: Path
) -> None:
    """What exporters write arrives: a field that is damaged in the file is the one that loading names."""
    path, _ = exported(name)
    trust = path.suffix == ".pt2"
    same_text = rewritten(path, lambda text: text, tmp_path / path.name)
    assert maskrcnn.load(same_text, trust=trust).names == model.names
    damages = {"format": "of-another", "names": ["cat", "cat"], "config": [], "precision": 32, "maskrcnn": None}
    messages = ["'of-another'", "each class name once", "format, names and config", "'precision'", "'maskrcnn'"]
    for (field, value), says in zip(damages.items(), messages, strict=True):
        damaged = rewritten(
            path, lambda text, change=(field, value): json.dumps({**json.loads(text), change[0]: change[1]}), same_text
        )
        with pytest.raises(MaskRCNNError, match=f"{re.escape(path.name)}: .*{says}"):
            maskrcnn.load(damaged, trust=trust)


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_openvino_in_other_precisions(precision: str, model: MaskRCNN, exported: Exported) -> None:
    path, seen = exported("openvino", precision)
    exact, _ = exported("openvino")
    assert maskrcnn.load(path).model.precision == precision
    assert path.with_suffix(".bin").stat().st_size < exact.with_suffix(".bin").stat().st_size * 0.95
    sizes = [row.size for row in seen.rows]
    assert len(sizes) == (7 if precision == "int8" else 5)
    assert all(row.objects == row.artifact_objects == 0 for row in seen.rows if row.what == "blank")
    # Untrained, it doubts everything, and which of many boxes is found follows from the last bits.
    furthest = {"bf16": 4.0, "fp16": 1.0, "int8": 12.0}[precision]
    assert 0 < np.median(seen.all.box) < furthest
    assert np.median(seen.all.score) < 0.05


def test_int8_computes_in_int8_and_leaves_scores_and_boxes_exact(exported: Exported) -> None:
    path, _ = exported("openvino", "int8")
    text = path.read_text(encoding="utf-8")
    quantised = {line.split('name="')[1].split("/")[0] for line in text.splitlines() if "/fq_weights" in line}
    for layers in ("fpn.output", "rpn.convs", "box_head.hidden", "mask_head"):
        assert any(name.startswith(layers) for name in quantised)
    exact = ("rpn.logits", "rpn.deltas", "box_head.logits", "box_head.deltas", "backbone.body_conv_stem")
    assert not any(name.startswith(exact) for name in quantised)


def test_one_that_differs_is_not_kept_unless_forced(
    model: MaskRCNN, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artifact of this model, taken for that of another one."""
    made, _ = exported("onnx")
    other = copy.deepcopy(model)
    other.box_head.deltas.bias.data += 0.1
    monkeypatch.setattr(onnx_export, "write", lambda model, path, *_: shutil.copy(made, path))
    out = tmp_path / "deep" / "model.onnx"
    seen = export_model(other, Request("tiny", "onnx", out))
    assert any("box: 99% of objects differ by up to" in line for line in seen.problems)
    assert list(out.parent.iterdir()) == []
    assert export_model(other, Request("tiny", "onnx", out, force=True)).problems
    assert [path.name for path in out.parent.iterdir()] == ["model.onnx"]
    assert export_model(model, Request("tiny", "onnx", tmp_path / "model.onnx")).problems == []
    assert (tmp_path / "model.onnx").exists()


def test_torch_export_tells_what_it_cannot_trace(model: MaskRCNN, tmp_path: Path) -> None:
    adaptive = MaskRCNN(model.config.replace(roi_sampling=0), model.names)
    with pytest.raises(MaskRCNNError, match="adapts its samples"):
        export_model(adaptive, Request("tiny", "torch", tmp_path / "model.pt2"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_images_cannot_calibrate(model: MaskRCNN, exported: Exported, tmp_path: Path) -> None:
    made, _ = exported("onnx")
    with pytest.raises(MaskRCNNError, match="no image"):
        openvino_export.convert_onnx(made, model, tmp_path / "model.xml", "int8", tmp_path)


def test_what_it_costs_is_told_of_the_classes_that_the_model_knows(
    model: MaskRCNN, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that only the data has counts 0 before and after, and one without objects has no value."""
    made, _ = exported("onnx")
    first, second, *_ = model.names
    rows = {first: 40.0, "zebra": 0.0, second: math.nan}
    losses = iter([0.0, 10.0])

    def measured(predictor: object, data: Path) -> Evaluation:
        loss = next(losses)
        per_class = {name: {"box_AP": value, "mask_AP": max(value - loss, 0)} for name, value in rows.items()}
        over_all = {"box_AP": 20.0, "mask_AP": 20.0 - loss / 2}
        return Evaluation(over_all, per_class, 1, 100, known=[first, second])

    monkeypatch.setattr(evaluator, "evaluate", measured)
    assert exporter.measure_ap(model, made, made.parent) == {"box_AP": (40.0, 40.0), "mask_AP": (40.0, 30.0)}


def test_the_folder_to_calibrate_on_is_looked_into_first(tmp_path: Path) -> None:
    """Before the model is even looked for."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    with pytest.raises(MaskRCNNError, match=r"nothing to calibrate on.*found 1 in its sub-folders"):
        export(Request("none.pth", "openvino", tmp_path / "m.xml", "int8", tmp_path))


def test_an_unknown_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match="did you mean 'nuclei'"):
        export(Request("nuclej", "onnx", tmp_path / "model.onnx"))


@pytest.mark.parametrize("words", [OSError, RuntimeError])
def test_a_disk_that_is_full_leaves_the_file_that_was_there(
    model: MaskRCNN,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file_size_limit: Callable[[int], None],
    words: type[Exception],
) -> None:
    """Libraries in C++ tell it as a RuntimeError in words of their own."""
    out = tmp_path / "model.onnx"
    out.write_text("before")

    def write(model: MaskRCNN, path: Path, *_: object) -> None:
        try:
            path.write_bytes(bytes(10_000_000))
        except OSError as error:
            raise (error if words is OSError else RuntimeError("basic_ios::clear: iostream error")) from None

    monkeypatch.setattr(onnx_export, "write", write)
    file_size_limit(20_000)
    with pytest.raises(MaskRCNNError, match=r"model\.onnx: cannot write: File too large.*ulimit -f"):
        export_model(model, Request("m", "onnx", out))
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_the_file_beside_it_is_tried_out_too(model: MaskRCNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.bin").mkdir()
    monkeypatch.setattr(openvino_export, "write", lambda *_: pytest.fail("the work was begun"))
    with pytest.raises(MaskRCNNError, match=r"model\.bin: expected a file name, found a folder"):
        export_model(model, Request("m", "openvino", tmp_path / "model.xml"))


def test_data_without_a_val_split_is_measured_on_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def measure(model: object, path: Path, data: Any) -> dict[str, tuple[float, float]]:
        sizes.append(len(data))
        return {"mask_AP": (40.0, 40.0)}

    idmasks(tmp_path / "data" / "train", 3)
    monkeypatch.setattr(exporter, "open_session", lambda *_: SimpleNamespace(smallest=1))
    monkeypatch.setattr(exporter, "measure_ap", measure)
    monkeypatch.setattr("maskrcnn.exporting.parity_images.scenes", lambda *_: [])
    monkeypatch.setattr("maskrcnn.exporting.parity_run.reference", lambda _: None)
    monkeypatch.setattr("maskrcnn.exporting.parity_run.compare", lambda *_: Trial())
    request = Request("tiny", "onnx", tmp_path / "m.onnx", data=tmp_path / "data")
    tried = exporter.try_artifact(None, request, FORMATS["onnx"], request.out)  # type: ignore[arg-type]
    assert sizes == [3]
    assert "there is no val split, the train split is used" in tried.notes[0]
    idmasks(tmp_path / "data" / "val", 2)
    tried = exporter.try_artifact(None, request, FORMATS["onnx"], request.out)  # type: ignore[arg-type]
    assert (sizes, tried.notes) == ([3, 2], [])
