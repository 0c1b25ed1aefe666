"""`MaskRCNN.detect` as a `Network`: on one device, in one precision."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from maskrcnn.config import Config, Preprocess
from maskrcnn.inference.cuda_graph import ReplayedDetect
from maskrcnn.inference.fused_model import for_inference
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.preprocess import prepare
from maskrcnn.ops.allocator import HEAP, keep_freed_memory
from maskrcnn.prediction.box_prompts import BoxPrompts
from maskrcnn.prediction.network import DetectionArrays, PendingDetections
from maskrcnn.prediction.prediction_options import PredictionOptions

BOXES_AT_ONCE = 500  # given boxes whose masks are computed together, which bounds memory


class TorchNetwork:
    """A copy of a `MaskRCNN` made for inference; the model itself is not changed.

    Threads share the weights, which nothing writes. On CUDA their batches take turns: recordings have one set of
    buffers, which are read out before the next batch may overwrite them.

    Attributes:
        model: the copy.
        names: class names; labels index into them.
    """

    def __init__(self, model: MaskRCNN, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        if device.type == "cpu":
            keep_freed_memory()
        self.model, self.names = for_inference(model, device, dtype), model.names
        self.replayed = ReplayedDetect(self.model) if device.type == "cuda" else None
        self._turn = threading.Lock()
        self._last: torch.cuda.Event | None = None  # of the batch whose turn was the last one

    @property
    def config(self) -> Config:
        """Architecture and thresholds of the model."""
        return self.model.config

    def check(self, options: PredictionOptions) -> None:
        """Raises `MaskRCNNError` for an input size or a number of detections that need more memory than is allowed."""
        if options.size is not None or options.max_detections is not None:
            preprocess, most = options.preprocess(self.config), options.detections(self.config)
            replace(self.config, preprocess=preprocess, max_detections=most)

    @torch.inference_mode()
    def detect(self, images: Sequence[np.ndarray], options: PredictionOptions) -> PendingDetections:
        """Start detection in images [H, W, C], as `Network.detect`."""
        tensors = [torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1) for image in images]
        preprocess, most = options.preprocess(self.config), options.detections(self.config)
        if self.replayed is None:
            batch, sizes = prepare(tensors, preprocess, self.device)
            found = self.model.detect(batch, sizes, options.score, most)
            if self.device.type == "cpu":
                HEAP.after_step()
            return DetectionArrays(*(part.cpu().numpy() for part in (*found, sizes)))
        with torch.cuda.device(self.device):
            batch, sizes = prepare(tensors, preprocess, self.device)
            score = torch.full((), options.score, device=self.device)
            with self._turn:
                if self._last is not None:
                    # Does nothing on the stream that recorded it; a thread may use another stream.
                    torch.cuda.current_stream().wait_event(self._last)
                found = self.replayed(batch, sizes, score, most)
                parts = [_pinned(part) for part in (*found, sizes)]
                self._last = done = torch.cuda.Event()
                done.record()
        return _CudaDetections(parts, done)

    @torch.inference_mode()
    def segment(self, image: np.ndarray, prompts: BoxPrompts, preprocess: Preprocess) -> DetectionArrays:
        """Classify given boxes of one image and make their masks; the RPN has no part in it.

        Args:
            image: [H, W, C], as `detect` takes them.
            prompts: N boxes in pixels of the image; without labels, the most probable class of each is taken.

        Returns:
            N rows in the order of the boxes; a score is the probability that the box head gives to the label.
        """
        tensor = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)
        batch, sizes = prepare([tensor], preprocess, self.device)
        scale = (sizes[0].flip(0) / torch.tensor(image.shape[1::-1], device=self.device)).repeat(2)
        pyramid = self.model.features(batch, sizes)
        boxes, labels, parts = prompts.boxes, prompts.labels, []
        for start in range(0, max(len(boxes), 1), BOXES_AT_ONCE):
            rows = slice(start, start + BOXES_AT_ONCE)
            part = (torch.from_numpy(boxes[rows]).to(self.device) * scale).float()[None]
            probabilities = self.model.classify(pyramid, part)[0].float().softmax(-1)[..., :-1]
            chosen = probabilities.argmax(-1)
            if labels is not None:
                chosen = torch.from_numpy(labels[rows]).to(self.device)[None]
            scores = probabilities.gather(-1, chosen[..., None])[..., 0]
            masks = self.model.masks_in(pyramid, part, chosen)
            parts.append((part, scores, chosen, torch.ones_like(chosen, dtype=torch.bool), masks))
        found = (torch.cat(values, dim=1) for values in zip(*parts, strict=True))
        return DetectionArrays(*(value.cpu().numpy() for value in (*found, sizes)))


@dataclass
class _CudaDetections:
    """Detections and sizes that are being copied to the host."""

    parts: list[Tensor]
    done: torch.cuda.Event

    def wait(self) -> DetectionArrays:
        self.done.synchronize()
        return DetectionArrays(*(part.numpy() for part in self.parts))


def _pinned(tensor: Tensor) -> Tensor:
    """A copy in pinned host memory, complete once the device reaches this point of its stream."""
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
