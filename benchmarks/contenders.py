"""The contenders of the inference benchmark, each in a process of its own: its memory, its allocator, its threads.

A contender answers three questions of a batch of images: how long, what did you find, and where did the time go.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arithmetic import synchronize
from peer import as_float, build

from maskrcnn.inference.device import PRECISIONS
from maskrcnn.inference.loading import load
from maskrcnn.inference.predictor import Predictor
from maskrcnn.ops.allocator import keep_freed_memory


@dataclass(frozen=True)
class Spec:
    """What to build: "torchvision" or "ours", where, in which precision, from which weights."""

    name: str
    kind: str
    precision: str
    device: str
    weights: Path
    size: tuple[int, int]  # of the network input
    keep_memory: bool = False  # give torchvision our allocator setting too
    preset: str = ""  # a model of ours by name instead of the weights


@dataclass(frozen=True)
class Found:
    """One image's objects: boxes [N, 4], scores [N], labels [N] and masks."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray  # packed bits of [N, H, W]
    shape: tuple[int, ...]

    def dense(self) -> np.ndarray:
        return np.unpackbits(self.masks, count=int(np.prod(self.shape))).reshape(self.shape).astype(bool)


class Torchvision:
    """Boxes, scores, labels and dense float masks: what torchvision's model returns."""

    def __init__(self, spec: Spec) -> None:
        self.device, self.dtype = torch.device(spec.device), PRECISIONS[spec.precision]
        if spec.keep_memory:
            keep_freed_memory()
        self.model = build(min_size=min(spec.size), max_size=max(spec.size))
        self.model.load_state_dict(torch.load(spec.weights, weights_only=True))
        self.model.to(self.device)

    @torch.inference_mode()
    def run(self, images: list[np.ndarray], score: float) -> list[dict[str, torch.Tensor]]:
        self.model.roi_heads.score_thresh = score
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            found = self.model([as_float(image).to(self.device) for image in images])
        return [{name: value.cpu() if name != "masks" else value for name, value in one.items()} for one in found]

    def found(self, images: list[np.ndarray], score: float) -> list[Found]:
        results = []
        for one in self.run(images, score):
            masks = (one["masks"][:, 0] > 0.5).cpu().numpy()
            parts = (one["boxes"], one["scores"], one["labels"] - 1)
            boxes, scores, labels = (part.float().numpy() for part in parts)
            results.append(Found(boxes, scores, labels, np.packbits(masks), masks.shape))
        return results

    def parts(self) -> dict[str, list[tuple[Any, str]]]:
        """Stage → what runs in it."""
        heads = self.model.roi_heads
        return {
            "resize, normalise": [(self.model.transform, "forward")],
            "backbone": [(self.model.backbone.body, "forward")],
            "FPN": [(self.model.backbone.fpn, "forward")],
            "RPN": [(self.model.rpn.head, "forward")],
            "proposals": [(self.model.rpn.anchor_generator, "forward"), (self.model.rpn, "filter_proposals")],
            "RoIAlign": [(heads.box_roi_pool, "forward"), (heads.mask_roi_pool, "forward")],
            "box head": [(heads.box_head, "forward"), (heads.box_predictor, "forward")],
            "detections": [(heads, "postprocess_detections")],
            "mask head": [(heads.mask_head, "forward"), (heads.mask_predictor, "forward")],
            "pasting": [(self.model.transform, "postprocess")],
        }


class Ours:
    """`Result`s with compact masks; `dense` turns them into bool [N, H, W] too."""

    def __init__(self, spec: Spec) -> None:
        sizes = {"preprocess": {"short": [min(spec.size)] * 2, "long": max(spec.size)}}
        config = None if spec.preset else sizes
        predictor = load(spec.preset or spec.weights, spec.device, spec.precision, config=config)
        assert isinstance(predictor, Predictor)
        self.predictor, self.device = predictor, predictor.device
        self.dense = False

    def run(self, images: list[np.ndarray], score: float) -> list[Any]:
        results = self.predictor.predict(images, score, batch_size=len(images))
        if self.dense:
            for result in results:
                result.masks.dense(max_bytes=2**36)
        return results

    def found(self, images: list[np.ndarray], score: float) -> list[Found]:
        results = []
        for one in self.run(images, score):
            masks = one.masks.dense(max_bytes=2**36)
            results.append(Found(one.boxes, one.scores, one.labels, np.packbits(masks), masks.shape))
        return results

    def parts(self) -> dict[str, list[tuple[Any, str]]]:
        import maskrcnn.inference.torch_network as network
        import maskrcnn.model.mask_rcnn as story

        model = self.predictor.network.model
        return {
            "resize, normalise": [(network, "prepare")],
            "backbone": [(model.backbone, "forward")],
            "FPN": [(model.fpn, "forward")],
            "RPN": [(model.rpn, "forward")],
            "proposals": [(model.rpn, "propose")],
            "RoIAlign": [(story.Pyramid, "roi_align"), (story.Pyramid, "of")],
            "box head": [(model.box_head, "forward")],
            "detections": [(story, "select_detections")],
            "mask head": [(model.mask_head, "of_class")],
            "pasting": [],
        }


_contender: Any = None


def _build(spec: Spec) -> None:
    global _contender
    _contender = {"torchvision": Torchvision, "ours": Ours}[spec.kind](spec)


def _seconds(images: list[np.ndarray], score: float, dense: bool) -> float:
    if isinstance(_contender, Ours):
        _contender.dense = dense
    synchronize(_contender.device)
    start = time.perf_counter()
    results = _contender.run(images, score)
    synchronize(_contender.device)
    del results
    return time.perf_counter() - start


def _count(image: np.ndarray, score: float) -> int:
    return len(_contender.run([image], score)[0]["scores"])


def _found(images: list[np.ndarray], score: float) -> list[Found]:
    return _contender.found(images, score)


def _peak() -> float:
    """Most memory held so far, bytes: of the device, or of the process."""
    if _contender.device.type == "cuda":
        return torch.cuda.max_memory_allocated(_contender.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _stages(images: list[np.ndarray], score: float) -> dict[str, float]:
    """Seconds of each stage in one run; what is in none of them is the rest."""
    spent: dict[str, float] = {}
    with contextlib.ExitStack() as undo:
        for stage, places in _contender.parts().items():
            spent[stage] = 0.0
            for owner, name in places:
                undo.enter_context(_timed(owner, name, stage, spent, _contender.device))
        total = _seconds(images, score, False)
    spent["the rest"] = total - sum(spent.values())
    return spent


@contextlib.contextmanager
def _timed(owner: Any, name: str, stage: str, spent: dict[str, float], device: torch.device) -> Iterator[None]:
    original, own = getattr(owner, name), vars(owner).get(name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        synchronize(device)
        start = time.perf_counter()
        result = original(*arguments, **named)
        synchronize(device)
        spent[stage] += time.perf_counter() - start
        return result

    setattr(owner, name, staticmethod(wrapped) if isinstance(own, classmethod) else wrapped)
    try:
        yield
    finally:
        if own is not None:
            setattr(owner, name, own)
        else:
            delattr(owner, name)


class Contender:
    """A contender in its process."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_build, initargs=(spec,))

    def _ask(self, question: Callable, *arguments: Any) -> Any:
        return self._pool.submit(question, *arguments).result()

    def seconds(self, images: list[np.ndarray], score: float, dense: bool = False) -> float:
        """Of one run over a batch, from decoded images to results on the host."""
        return self._ask(_seconds, images, score, dense)

    def count(self, image: np.ndarray, score: float) -> int:
        """How many objects torchvision finds in an image."""
        return self._ask(_count, image, score)

    def found(self, images: list[np.ndarray], score: float) -> list[Found]:
        """The objects of each image of a batch."""
        return self._ask(_found, images, score)

    def peak(self) -> float:
        """Most memory held so far, bytes: of the device, or of the process."""
        return self._ask(_peak)

    def stages(self, images: list[np.ndarray], score: float) -> dict[str, float]:
        """Seconds of each stage in one run."""
        return self._ask(_stages, images, score)

    def close(self) -> None:
        self._pool.shutdown()
