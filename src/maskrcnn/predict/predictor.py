"""A model ready to use: images in, results out, on one device in one precision."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from maskrcnn.data.channels import as_model_takes, as_picture
from maskrcnn.data.image_io import ReadImage
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks
from maskrcnn.model.config import Preprocess
from maskrcnn.model.detections import InstanceDetections
from maskrcnn.model.inference import for_inference
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.preprocess import prepare
from maskrcnn.ops.allocator import keep_freed_memory
from maskrcnn.predict.read_ahead import batched, read_ahead
from maskrcnn.predict.replay import ReplayedDetect
from maskrcnn.predict.result import Result
from maskrcnn.predict.sources import read_source
from maskrcnn.weights.load import Report, load_model

ImageLike = str | Path | np.ndarray | Image.Image
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Predictor:
    """Predicts with one `MaskRCNN`.

    Args:
        model: the network. It stays as it is; what runs is a copy made for inference.
        device: "auto" takes CUDA, then MPS, then the CPU.
        precision: "auto" is bf16 on CUDA and fp32 elsewhere; "fp32", "bf16", "fp16".
        report: how the weights were loaded, if they were.
    """

    def __init__(
        self, model: MaskRCNN, device: str = "auto", precision: str = "auto", report: Report | None = None
    ) -> None:
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self.model = model.eval()
        self.report = report
        if self.device.type == "cpu":
            keep_freed_memory()
        self._fast = for_inference(model, self.device, self.dtype)
        self._replayed = ReplayedDetect(self._fast) if self.device.type == "cuda" else None

    @property
    def preprocess(self) -> Preprocess:
        """How the model takes images."""
        return self.model.config.preprocess

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; labels index into them."""
        return self.model.names

    @overload
    def predict(self, images: ImageLike, score: float = ..., batch_size: int | None = ...) -> Result: ...  # type: ignore[overload-overlap]
    @overload
    def predict(
        self, images: Sequence[ImageLike], score: float = ..., batch_size: int | None = ...
    ) -> list[Result]: ...
    def predict(self, images: Any, score: float = 0.5, batch_size: int | None = None) -> Result | list[Result]:
        """Find the objects in an image, or in each of a list of images.

        Args:
            images: path, URL, PIL image or array [H, W] or [H, W, C] of uint8 or uint16; or a list of them. A model of
                other channels than RGB takes those it was trained on.
            score: objects below it are left out.
            batch_size: images that go through the network together; 1 on a CPU, 8 elsewhere unless given.

        Raises:
            MaskRCNNError: an image cannot be read; the message names it.
        """
        several = isinstance(images, list | tuple)
        results = []
        for result in self.stream(images if several else [images], score, batch_size):
            if isinstance(result, MaskRCNNError):
                raise result
            results.append(result)
        return results if several else results[0]

    def stream(
        self, images: Iterable[ImageLike], score: float = 0.5, batch_size: int | None = None
    ) -> Iterator[Result | MaskRCNNError]:
        """What `predict` gives, image by image in their order, while the next ones are read in the background.

        An image that cannot be read comes as its error and costs no other. On CUDA the network works on the next batch
        while the results of one are used.
        """
        if not 0 <= score <= 1:
            raise MaskRCNNError(f"score: expected a number from 0 to 1, found {score}")
        size = batch_size or (1 if self.device.type == "cpu" else 8)
        behind = 1 if self.device.type == "cuda" else 0
        started: deque[_Started] = deque()
        for group in batched(read_ahead(images, lambda image: read(image, self.preprocess), size), size):
            started.append(self._start(group, score))
            if len(started) > behind:
                yield from self._results(started.popleft(), score)
        for batch in started:
            yield from self._results(batch, score)

    def _start(self, group: list[_Read | MaskRCNNError], score: float) -> _Started:
        images = [item[0].pixels for item in group if not isinstance(item, MaskRCNNError)]
        return _Started(group, self._detect(images, score) if images else None)

    def _results(self, started: _Started, score: float) -> Iterator[Result | MaskRCNNError]:
        found = started.detections.wait() if started.detections is not None else None
        row = 0
        for item in started.group:
            if isinstance(item, MaskRCNNError):
                yield item
            else:
                assert found is not None
                yield self._result(item, *found, row, score)
                row += 1

    def _result(self, item: _Read, found: InstanceDetections, sizes: list[list[int]], row: int, score: float) -> Result:
        image, path = item
        height, width = image.pixels.shape[:2]
        picture, shown = as_picture(image.pixels)
        keep = found.valid[row] & (found.scores[row] >= score)
        scale = np.array([width / sizes[row][1], height / sizes[row][0]] * 2, dtype=np.float32)
        boxes = found.boxes[row][keep].numpy() * scale
        probabilities, quantize = found.masks[row][keep].numpy(), self.model.config.paste_quantized
        return Result(
            boxes=boxes,
            scores=found.scores[row][keep].numpy(),
            labels=found.labels[row][keep].numpy(),
            masks=Masks.from_probs(probabilities, boxes, (height, width), quantize=quantize),
            class_names=self.names,
            size=(height, width),
            image=picture,
            path=path,
            notes=(*image.notes, *shown),
        )

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


_Read = tuple[ReadImage, Path | None]


@dataclass
class _Detections:
    """Detections and sizes on their way to the host."""

    parts: list[Tensor]
    done: torch.cuda.Event | None = None

    def wait(self) -> tuple[InstanceDetections, list[list[int]]]:
        if self.done is not None:
            self.done.synchronize()
        return InstanceDetections(*self.parts[:-1]), self.parts[-1].tolist()


@dataclass
class _Started:
    """A batch in the network: what was read, errors in their places, and the detections of what could be."""

    group: list[_Read | MaskRCNNError]
    detections: _Detections | None


def _pinned(tensor: Tensor) -> Tensor:
    """The tensor's values in host memory, once the device has come to it."""
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)


def load(
    source: str | Path, device: str = "auto", precision: str = "auto", names: Sequence[str] | None = None
) -> Predictor:
    """A `Predictor` from a bundled name ("nuclei"), a catalog name ("coco", "coco-v2") or a file (.safetensors, .pth).

    Args:
        names: the classes of a torchvision file, which carries none.

    Raises:
        MaskRCNNError: unknown name, unreadable file, or a checkpoint of another architecture.
    """
    model, report = load_model(source, names)
    return Predictor(model, device, precision, report)


def pick_device(name: str) -> torch.device:
    """The device of this name; "auto" is the fastest there is."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise MaskRCNNError(f"unknown device {name!r}", fix="use auto, cpu, cuda, cuda:1 or mps") from None
    missing = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise MaskRCNNError(f"device {name!r} is not there", fix="use --device cpu, or auto")
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The floating-point type of this name; "auto" is bf16 on CUDA and fp32 elsewhere."""
    if name == "auto":
        name = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name not in PRECISIONS:
        raise MaskRCNNError(f"unknown precision {name!r}", fix=f"use auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def read(image: ImageLike, preprocess: Preprocess) -> tuple[ReadImage, Path | None]:
    """The pixels of whatever a user calls an image, as a model takes them, and its path if it has one."""
    if isinstance(image, np.ndarray):
        return as_model_takes(image, preprocess), None
    if isinstance(image, Image.Image):
        plain = image.convert("RGBA" if "A" in image.getbands() else "RGB") if preprocess.rgb else image
        return as_model_takes(np.asarray(plain), preprocess), None
    if isinstance(image, str | Path):
        return read_source(image, preprocess), Path(image)
    raise MaskRCNNError(f"expected a path, URL, PIL image or numpy array, found {type(image).__name__}")
