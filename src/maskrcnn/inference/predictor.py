"""A model ready to use: images in, results out, on one device in one precision."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.cuda_graph import ReplayedDetect
from maskrcnn.inference.fused_model import for_inference
from maskrcnn.inference.torch_program import is_exported, load_exported
from maskrcnn.model.detections import InstanceDetections
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.preprocess import prepare
from maskrcnn.ops.allocator import keep_freed_memory
from maskrcnn.predict.image_predictor import Found, ImagePredictor
from maskrcnn.weights.load import load_model
from maskrcnn.weights.load_report import LoadReport

SLOW_FP16 = "fp16 is 9 to 40 times slower than fp32 on a CPU: use fp32, or bf16 where the CPU has instructions for it"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Predictor(ImagePredictor):
    """Predicts with one `MaskRCNN`.

    Args:
        model: the network. It stays as it is; what runs is a copy made for inference.
        device: "auto" takes CUDA, then MPS, then the CPU.
        precision: "auto" is bf16 on CUDA and fp32 elsewhere; "fp32", "bf16", "fp16".
        report: how the weights were loaded, if they were.
    """

    model: MaskRCNN

    def __init__(
        self, model: MaskRCNN, device: str = "auto", precision: str = "auto", report: LoadReport | None = None
    ) -> None:
        if not isinstance(model, MaskRCNN):
            raise MaskRCNNError(
                f"expected a MaskRCNN, found {shown(model)}", fix="maskrcnn.load gives a Predictor of a name or a file"
            )
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self.model = model.eval()
        self.report = report
        if self.device.type == "cpu" and self.dtype == torch.float16:
            if report is None:
                warnings.warn(SLOW_FP16, stacklevel=2)
            else:
                report.notes.append(SLOW_FP16)
        if self.device.type == "cpu":
            keep_freed_memory()
        self._fast = for_inference(model, self.device, self.dtype)
        self._replayed = ReplayedDetect(self._fast) if self.device.type == "cuda" else None
        self.together = 1 if self.device.type == "cpu" else 8
        self.behind = 1 if self.device.type == "cuda" else 0
        self.most_pixels = 2**22 if self.device.type == "cpu" else 2**27

    def detect(self, images: Sequence[np.ndarray], score: float = 0.0) -> tuple[InstanceDetections, list[list[int]]]:
        """Detections on the CPU in pixels of the network input, and each image's (height, width) there.

        Args:
            images: uint8 [H, W, 3] each, or whatever channels the model takes.
            score: lowest score asked for; masks of others are not computed.
        """
        return self._detect(images, score).wait()

    @torch.inference_mode()
    def _detect(self, images: Sequence[np.ndarray], score: float) -> _Detections:
        tensors = [torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1) for image in images]
        batch, sizes = prepare(tensors, self.preprocess, self.device)
        self._fast.config = self.model.config
        if self._replayed is None:
            found = self._fast.detect(batch, sizes, score)
            return _Detections([part.cpu() for part in (*found, sizes)])
        found = self._replayed(batch, sizes, torch.full((), score, device=self.device))
        parts = [_pinned(part) for part in (*found, sizes)]
        done = torch.cuda.Event()
        done.record()
        return _Detections(parts, done)


@dataclass
class _Detections:
    """Detections and sizes on their way to the host."""

    parts: list[Tensor]
    done: torch.cuda.Event | None = None

    def wait(self) -> tuple[InstanceDetections, list[list[int]]]:
        if self.done is not None:
            self.done.synchronize()
        return InstanceDetections(*self.parts[:-1]), self.parts[-1].tolist()

    def arrays(self) -> tuple[Found, list[list[int]]]:
        found, sizes = self.wait()
        return Found(*(part.numpy() for part in found)), sizes


def _pinned(tensor: Tensor) -> Tensor:
    """The tensor's values in host memory, once the device has come to it."""
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)


def load(
    source: str | Path,
    device: str = "auto",
    precision: str = "auto",
    names: Sequence[str] | None = None,
    config: str | Path | None = None,
    size: int | None = None,
    trust: bool = False,
) -> ImagePredictor:
    """A model ready to use, from a bundled name ("nuclei"), a catalog name ("coco", "coco-v2") or a file.

    A checkpoint (.safetensors of ours; .pth or .pkl of torchvision, detectron2 or mmdetection) gives a `Predictor`; an
    exported model (.onnx, .xml, .pt2) one with the same methods that runs as it was exported.

    Args:
        names: the classes of a checkpoint that carries none, or other names for them; background left out.
        config: a yaml for what a checkpoint cannot tell: detectron2's own, or settings of ours.
        size: shortest edge of the network input in pixels, if not the model's own; smaller is faster.
        trust: open a .pt2, which can run any code. No other file can, nor is it asked for one.

    Raises:
        MaskRCNNError: unknown name, unreadable file, a checkpoint of another architecture, an absurd size, or a .pt2
            that is not trusted.
    """
    if not isinstance(source, str | Path):
        raise MaskRCNNError(f"expected a model's name or path, found {shown(source)}", fix='such as load("coco")')
    if is_exported(source):
        predictor: ImagePredictor = load_exported(source, device, precision, trust)
    else:
        model, report = load_model(source, names, config)
        predictor = Predictor(model, device, precision, report)
    if size is not None:
        predictor.model.config = replace(predictor.model.config, preprocess=predictor.preprocess.at(size))
    return predictor


def pick_device(name: str | torch.device) -> torch.device:
    """The device of this name; "auto" is the fastest there is. Raises `MaskRCNNError` for one that is not there."""
    name = str(name) if isinstance(name, torch.device) else name
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if not isinstance(name, str) or not re.fullmatch(r"(cpu|mps)(:0)?|cuda(:\d{1,3})?", name, re.ASCII):
        raise MaskRCNNError(f"unknown device {shown(name)}", fix="use auto, cpu, cuda, cuda:1 or mps")
    kind, _, number = name.partition(":")
    # torch itself takes 999 for another number.
    on_cuda = kind == "cuda" and torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count()
    if not (kind == "cpu" or on_cuda or (kind == "mps" and torch.backends.mps.is_available())):
        raise MaskRCNNError(f"device {name!r} is not there", fix="use --device cpu, or auto")
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The floating-point type of this name; "auto" is bf16 on CUDA and fp32 elsewhere."""
    if name == "auto":
        name = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if not isinstance(name, str) or name not in PRECISIONS:
        raise MaskRCNNError(f"unknown precision {shown(name)}", fix=f"use auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[name]
