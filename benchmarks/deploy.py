"""Exported models beside torchvision's Mask R-CNN in PyTorch: the same weights, the same photos, on CPU cores.

    python benchmarks/deploy.py                       # ResNet-50 at 800×1088: OpenVINO fp32, bf16, int8 and ONNX
    python benchmarks/deploy.py --lite nuclei --size 480 640

Time is from a decoded image to compact masks; torchvision's ends with the dense masks that it always pastes. All take
turns with as many threads, and medians count. int8 is calibrated on other sizes of photos of the same kind; what it
costs in AP is measured on labelled data: ``maskrcnn export … --data``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from contenders import Contender, Spec
from peer import photos, weights_file
from PIL import Image

from maskrcnn import runtime
from maskrcnn.exporting import onnx_export, openvino_export
from maskrcnn.inference.predictor import Predictor
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.load import load_model

PRECISIONS = ("fp32", "bf16", "int8")
LOADS = (15, 100)  # objects that the threshold lets through
Run = Callable[[np.ndarray, float], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1088), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--calibration", type=int, default=24, help="photos that int8 learns from")
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--lite", default="", metavar="NAME", help="export this bundled model instead of ResNet-50")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size: tuple[int, int] = tuple(arguments.size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = torchvision_peers(weights_file(folder), size)
        sizes = {"preprocess": {"short": [min(size)] * 2, "long": max(size)}}
        model = load_model(arguments.lite or weights_file(folder), config=sizes)[0]
        runs["ours fp32"] = _predicts(Predictor(model, "cpu", "fp32"))
        for label, path in artifacts(model, folder, arguments).items():
            runs[label] = _predicts(runtime.load(path, threads=arguments.threads))
        photo = photos(1, *size)[0]
        scores = np.sort(scores_of(model, photo))[::-1]
        report(runs, photo, [float(scores[min(count, len(scores)) - 1]) for count in LOADS], arguments)


def scores_of(model: MaskRCNN, photo: np.ndarray) -> np.ndarray:
    """Scores of the objects that the model finds, at torchvision's own threshold."""
    return Predictor(model, "cpu", "fp32").predict(photo, 0.05).scores


def torchvision_peers(weights: Path, size: tuple[int, int]) -> dict[str, Run]:
    """torchvision's model, eager, in processes of its own: as its users have it, and with our allocator setting."""
    peers: dict[str, Run] = {}
    for name, keep in (("torchvision fp32", False), ("torchvision fp32, kept memory", True)):
        peers[name] = Contender(Spec(name, "torchvision", "fp32", "cpu", weights, size, keep)).count
    return peers


def artifacts(model: MaskRCNN, folder: Path, arguments: argparse.Namespace) -> dict[str, Path]:
    """The model's ONNX file and its OpenVINO files, by label."""
    made = {"onnxruntime fp32": folder / "fp32.onnx"}
    onnx_export.write(model, made["onnxruntime fp32"])
    for precision in arguments.precisions:
        source = made["onnxruntime fp32"]
        if precision == "bf16":
            source = folder / "bf16.onnx"
            onnx_export.write(model, source, "bf16")
        path = made[f"OpenVINO {precision}"] = folder / f"{precision}.xml"
        calibrate = calibration(folder, arguments.calibration) if precision == "int8" else None
        openvino_export.convert_onnx(source, model, path, precision, calibrate)
    return made


def calibration(folder: Path, count: int) -> Path:
    """A folder of photos in various crops."""
    place, rng = folder / "calibration", np.random.default_rng(0)
    place.mkdir(exist_ok=True)
    for number, photo in enumerate(photos(count, 480, 640)):
        top, left = rng.integers(0, 120), rng.integers(0, 160)
        Image.fromarray(photo[top : top + 360, left : left + 480]).save(place / f"{number}.png")
    return place


def _predicts(predictor: runtime.Runtime | Predictor) -> Run:
    return lambda photo, score: len(predictor.predict(photo, score))


def report(runs: dict[str, Run], photo: np.ndarray, scores: list[float], arguments: argparse.Namespace) -> None:
    """Medians of all, in turns, at each of the scores."""
    print(f"{photo.shape[0]}x{photo.shape[1]}, {arguments.threads} threads, torch {torch.__version__}")
    for score in scores:
        times: dict[str, list[float]] = {}
        found: dict[str, int] = {}
        for turn in range(arguments.repeats + 1):
            for label, run in runs.items():
                start = time.perf_counter()
                found[label] = run(photo, score)
                if turn:  # the first warms up
                    times.setdefault(label, []).append(time.perf_counter() - start)
        peers = [statistics.median(times[name]) for name in times if name.startswith("torchvision")]
        print(f"\n{f'at or above {score:.3f}':30}{'ms':>8}{'objects':>10}{'x torchvision':>16}{'x kept memory':>16}")
        for label, spent in times.items():
            median = statistics.median(spent)
            ratios = "".join(f"{peer / median:16.2f}" for peer in peers)
            print(f"{label:30}{median * 1e3:8.0f}{found[label]:10}{ratios}", flush=True)


if __name__ == "__main__":
    main()
