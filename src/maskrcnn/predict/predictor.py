"""A model ready to use: images in, results out, on one device in one precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image

from maskrcnn.data.channels import as_model_takes, as_picture
from maskrcnn.data.image_io import ReadImage
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks
from maskrcnn.model.config import Preprocess
from maskrcnn.model.detections import InstanceDetections
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.preprocess import prepare
from maskrcnn.predict.result import Result
from maskrcnn.predict.sources import read_source
from maskrcnn.weights.load import Report, load_model

ImageLike = str | Path | np.ndarray | Image.Image
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Predictor:
    """Predicts with one `MaskRCNN`.

    Args:
        model: the network; it is moved to the device and set to evaluation mode.
        device: "auto" takes CUDA, then MPS, then the CPU.
        precision: "auto" is bf16 on CUDA and fp32 elsewhere; "fp32", "bf16", "fp16".
        report: how the weights were loaded, if they were.
    """

    def __init__(
        self, model: MaskRCNN, device: str = "auto", precision: str = "auto", report: Report | None = None
    ) -> None:
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)
        self.report = report

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
        if not 0 <= score <= 1:
            raise MaskRCNNError(f"score: expected a number from 0 to 1, found {score}")
        if isinstance(images, list | tuple):
            size = batch_size or (1 if self.device.type == "cpu" else 8)
            groups = (images[start : start + size] for start in range(0, len(images), size))
            read_groups = ([read(item, self.preprocess) for item in group] for group in groups)
            return [result for group in read_groups for result in self._predict_batch(group, score)]
        return next(self._predict_batch([read(images, self.preprocess)], score))

    def _predict_batch(self, images: list[tuple[ReadImage, Path | None]], score: float) -> Iterator[Result]:
        detections, sizes = self.detect([image.pixels for image, _ in images])
        for row, (image, path) in enumerate(images):
            height, width = image.pixels.shape[:2]
            picture, shown = as_picture(image.pixels)
            keep = detections.valid[row] & (detections.scores[row] >= score)
            scale = np.array([width / sizes[row][1], height / sizes[row][0]] * 2, dtype=np.float32)
            boxes = detections.boxes[row][keep].numpy() * scale
            yield Result(
                boxes=boxes,
                scores=detections.scores[row][keep].numpy(),
                labels=detections.labels[row][keep].numpy(),
                masks=Masks.from_probs(
                    detections.masks[row][keep].numpy(),
                    boxes,
                    (height, width),
                    quantize=self.model.config.paste_quantized,
                ),
                class_names=self.names,
                size=(height, width),
                image=picture,
                path=path,
                notes=(*image.notes, *shown),
            )

    @torch.inference_mode()
    def detect(self, images: Sequence[np.ndarray]) -> tuple[InstanceDetections, list[list[int]]]:
        """Detections on the CPU in pixels of the network input, and each image's (height, width) there.

        Args:
            images: uint8 [H, W, 3] each, or whatever channels the model takes.
        """
        tensors = [torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1) for image in images]
        batch, sizes = prepare(tensors, self.preprocess, self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            found = self.model.detect(batch, sizes)
        return InstanceDetections(*(part.cpu() for part in found)), sizes.tolist()


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
