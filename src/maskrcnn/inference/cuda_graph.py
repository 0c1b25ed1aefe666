"""CUDA graphs of `detect`: some hundred kernels launched as one, for input shapes that recur.

Between pixels and detections nothing waits for the host and no shape depends on what an image shows, so a recording of
one batch is valid for every batch of that shape. A shape is run eagerly the first time and recorded the second time;
a few recordings are kept, those of the most frequent shapes.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import Tensor

from maskrcnn.model.detections import InstanceDetections
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.text import first_line

KEPT = 8  # recordings, each of which holds its inputs and outputs; they share what lies between

Replay = Callable[[Tensor, Tensor, Tensor], InstanceDetections]
# cuDNN's settings are the process's: one recording at a time.
_recording = threading.Lock()


class ReplayedDetect:
    """`model.detect`, recorded for shapes that recur. Not for several threads at once.

    Args:
        record: makes a `Replay` from a call's arguments; tests give their own.

    Attributes:
        trouble: why recording was given up; empty while it works.
    """

    def __init__(self, model: MaskRCNN, record: Callable[..., Replay] | None = None) -> None:
        self.model, self.trouble = model, ""
        self._record = record or self._record_cuda
        self._uses: Counter[Hashable] = Counter()
        self._replays: dict[Hashable, Replay] = {}
        self._pool: Any = None

    def __call__(self, images: Tensor, sizes: Tensor, score: Tensor, max_detections: int) -> InstanceDetections:
        """As `MaskRCNN.detect`; the next call overwrites what this one returns."""
        key = (images.shape, images.dtype, max_detections)
        self._uses[key] += 1
        if key not in self._replays and self._worth_recording(key):
            try:
                with _recording:
                    self._replays[key] = self._record(images, sizes, score, max_detections)
            except RuntimeError as error:
                # Out of memory too: without a recording a batch needs no more than before.
                self.trouble = first_line(error)
                self._replays.clear()
        if key not in self._replays:
            return self.model.detect(images, sizes, score, max_detections)
        return self._replays[key](images, sizes, score)

    def _worth_recording(self, key: Hashable) -> bool:
        """Whether a shape recurs; once `KEPT` are recorded, twice as often as the rarest, which it replaces."""
        if self.trouble or self._uses[key] < 2:
            return False
        if len(self._replays) == KEPT:
            rarest = min(self._replays, key=self._uses.__getitem__)
            if self._uses[key] <= 2 * self._uses[rarest]:
                return False
            del self._replays[rarest]
        return True

    def _record_cuda(self, images: Tensor, sizes: Tensor, score: Tensor, max_detections: int) -> Replay:
        inputs = images.clone(), sizes.clone(), score.clone()
        graph = torch.cuda.CUDAGraph()
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with _fastest_convolutions():
            with torch.cuda.stream(aside):
                for _ in range(2):
                    self.model.detect(*inputs, max_detections)
            torch.cuda.current_stream().wait_stream(aside)
            # Other threads may allocate and copy meanwhile; by default that would end the capture with an error.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = self.model.detect(*inputs, max_detections)

        def replay(*arguments: Tensor) -> InstanceDetections:
            for kept, given in zip(inputs, arguments, strict=True):
                kept.copy_(given, non_blocking=True)
            graph.replay()
            return outputs

        return replay


@contextlib.contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """cuDNN tries its algorithms; every other setting stays, which `torch.backends.cudnn.flags` would reset."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
