"""Runs a model and its artifact on the same scenes, times both and judges their differences."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from maskrcnn.exporting.parity import Differences, Tolerance, differences
from maskrcnn.exporting.parity_images import NEVER, Scene
from maskrcnn.inference.fused_model import for_inference
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.artifact import Session
from maskrcnn.runtime.artifact_contract import OUTPUTS, graph_inputs
from maskrcnn.text import first_line

MANY = 100  # objects that one scene at least should have, unless the model's limit is lower
REPEATS = 3  # timed runs of each


@dataclass(frozen=True)
class SceneResult:
    """One scene: (height, width) of its image, numbers of objects that model and artifact find, their differences."""

    what: str
    size: tuple[int, int]
    objects: int
    artifact_objects: int
    seen: Differences
    seconds: tuple[float, float]  # of the model and of the artifact


@dataclass
class Trial:
    """The results of all scenes, and problems: none if artifact and model agree."""

    rows: list[SceneResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    megabytes: float = 0.0
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)  # AP on a data set, of model and artifact

    @property
    def all(self) -> Differences:
        """The differences of all scenes."""
        first, *others = (row.seen for row in self.rows)
        return sum(others, first)


def reference(model: MaskRCNN) -> Callable[[Scene], list[np.ndarray]]:
    """The model in PyTorch on the CPU in fp32, as a function from a scene to the arrays of its detections."""
    fast = for_inference(model, torch.device("cpu"), torch.float32)

    @torch.inference_mode()
    def run(scene: Scene) -> list[np.ndarray]:
        found = fast.detect(torch.from_numpy(scene.images), torch.from_numpy(scene.sizes), scene.score)
        return [part.numpy() for part in found]

    return run


def compare(
    model: Callable[[Scene], list[np.ndarray]],
    artifact: Session,
    scenes: Sequence[Scene],
    tolerance: Tolerance,
    repeats: int = REPEATS,
) -> Trial:
    """Run both on every scene and judge the artifact."""
    trial = Trial()
    for scene in scenes:
        expected, model_seconds = _timed(functools.partial(model, scene), repeats)
        if scene.empty and expected[3].any():
            scene = replace(scene, score=NEVER)
            expected = model(scene)
        feeds = graph_inputs(scene.images, scene.sizes, scene.score)
        try:
            found, artifact_seconds = _timed(functools.partial(artifact.run, feeds), repeats)
        except Exception as error:  # each runtime has classes of its own
            trial.problems.append(f"{scene.what}: it does not run: {first_line(error)}")
            continue
        found = [part.astype(like.dtype) for part, like in zip(found, expected, strict=True)]
        trial.problems += [f"{scene.what}: {line}" for line in _output_problems(expected, found)]
        seen = differences(expected, found, tolerance.min_score)
        size = int(scene.sizes[0, 0]), int(scene.sizes[0, 1])
        counts = int(expected[3].sum()), int(found[3].sum())
        trial.rows.append(SceneResult(scene.what, size, *counts, seen, (model_seconds, artifact_seconds)))
    if trial.rows:
        trial.problems += tolerance.problems(trial.all)
        most = max(row.objects for row in trial.rows)
        capacity = expected[3].shape[1]
        if most < min(MANY + 1, capacity):
            trial.notes.append(f"no scene made the model find more than {MANY} objects: {most} at most")
    return trial


def _timed(run: Callable[[], Sequence[np.ndarray]], repeats: int) -> tuple[list[np.ndarray], float]:
    result, spent = list(run()), []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return result, statistics.median(spent)


def _output_problems(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> list[str]:
    lines = []
    for name, one, other in zip(OUTPUTS, expected, found, strict=True):
        if one.shape != other.shape:
            lines.append(f"{name} has shape {list(other.shape)}, expected {list(one.shape)}")
        elif name not in ("labels", "valid") and not np.isfinite(other[found[3]]).all():
            lines.append(f"{name} holds values that are not finite")
    return lines
