"""Which calls are run, recorded and replayed; the recorder is a stand-in.

Recordings on a device are compared with `detect` in `tests/model/test_no_waiting.py`.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from maskrcnn.inference import cuda_graph
from maskrcnn.inference.cuda_graph import KEPT, ReplayedDetect
from maskrcnn.model.detections import InstanceDetections


def answer(images: Tensor, score: Tensor, kind: float) -> InstanceDetections:
    """Detections that tell what made them of which input."""
    return InstanceDetections(*[torch.stack((images.sum(), score, torch.tensor(kind)))] * 5)


EAGER, REPLAYED = 1.0, 2.0


class Model:
    """A model whose `detect` is counted."""

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, images: Tensor, sizes: Tensor, score: Tensor, max_detections: int) -> InstanceDetections:
        self.calls += 1
        return answer(images, score, EAGER)


class Recorder:
    """Makes replays that are counted too."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.replays, self.failing = 0, failing

    def __call__(self, images: Tensor, sizes: Tensor, score: Tensor, max_detections: int) -> Any:
        self.shapes.append(tuple(images.shape))
        if self.failing is not None:
            raise self.failing

        def run(images: Tensor, sizes: Tensor, score: Tensor) -> InstanceDetections:
            assert tuple(images.shape) in self.shapes
            self.replays += 1
            return answer(images, score, REPLAYED)

        return run


def call(
    detect: ReplayedDetect, side: int = 32, value: float = 1.0, score: float = 0.5, dtype: Any = None, most: int = 100
) -> float:
    """Calls, checks that it saw this very input, and says what answered."""
    images = torch.full((1, 1, side, 32), value, dtype=dtype or torch.float32)
    found = detect(images, torch.tensor([[side, 32]]), torch.tensor(score), most)
    assert isinstance(found, InstanceDetections)
    total, asked, kind = found.boxes.tolist()
    assert total == pytest.approx(value * side * 32)
    assert asked == pytest.approx(score)
    return kind


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def detect(model: Model, recorder: Recorder) -> ReplayedDetect:
    return ReplayedDetect(model, recorder)  # type: ignore[arg-type]


def test_run_then_recorded_then_replayed(detect: ReplayedDetect, model: Model, recorder: Recorder) -> None:
    assert call(detect, value=1) == EAGER
    assert not recorder.shapes
    assert call(detect, value=2) == REPLAYED
    assert call(detect, value=3, score=0.1) == REPLAYED
    assert recorder.shapes == [(1, 1, 32, 32)]
    assert (model.calls, recorder.replays) == (1, 2)
    assert not detect.trouble


def test_each_shape_type_and_number_of_detections_has_its_own(detect: ReplayedDetect, recorder: Recorder) -> None:
    changes = [
        lambda: call(detect, side=32),
        lambda: call(detect, side=64),
        lambda: call(detect, side=32, dtype=torch.float64),
    ]
    for step in changes:
        assert [step(), step(), step()] == [EAGER, REPLAYED, REPLAYED]
    assert len(recorder.shapes) == 3
    assert [call(detect, most=7), call(detect, most=7)] == [EAGER, REPLAYED]
    assert len(recorder.shapes) == 4
    assert [step() for step in changes] == [REPLAYED] * 3
    assert len(recorder.shapes) == 4


def test_more_shapes_than_are_kept(detect: ReplayedDetect, model: Model, recorder: Recorder) -> None:
    """Shapes that come in turn are not recorded again and again; one that comes more often takes the rarest's place."""
    sides = [32 * number for number in range(1, KEPT + 2)]
    for _ in range(4):
        for side in sides:
            call(detect, side)
    for side in (*sides[::-1], *sides):
        call(detect, side)
    assert len(recorder.shapes) == KEPT
    extra = sides[-1]
    assert [call(detect, extra) for _ in range(8)] == [EAGER] * 6 + [REPLAYED] * 2
    assert len(recorder.shapes) == KEPT + 1
    assert len(detect._replays) == KEPT
    assert model.calls > 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("operation not permitted\nwhen capturing"), "operation not permitted"),
        (torch.OutOfMemoryError("CUDA out of memory."), "CUDA out of memory."),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_recorder_that_fails_is_given_up_for_good(
    model: Model, recorder: Recorder, error: Exception, told: str
) -> None:
    detect = ReplayedDetect(model, recorder)  # type: ignore[arg-type]
    assert [call(detect), call(detect)] == [EAGER, REPLAYED]
    recorder.failing = error
    assert [call(detect, 64), call(detect, 64)] == [EAGER, EAGER]
    assert detect.trouble == told
    recorder.failing = None
    assert [call(detect, side) for side in (32, 64, 32, 64, 96, 96, 96)] == [EAGER] * 7
    assert len(recorder.shapes) == 2
    assert detect.trouble == told
    assert not detect._replays  # their memory is free


def test_a_mistake_of_ours_is_no_reason_to_go_on(model: Model) -> None:
    detect = ReplayedDetect(model, Recorder(TypeError("wrong arguments")))  # type: ignore[arg-type]
    call(detect)
    with pytest.raises(TypeError, match="wrong"):
        call(detect)


def test_recording_changes_no_other_setting_of_cudnn() -> None:
    cudnn = torch.backends.cudnn
    names = ("enabled", "deterministic", "allow_tf32", "benchmark")
    before = [getattr(cudnn, name) for name in names]
    with cuda_graph._fastest_convolutions():
        assert cudnn.benchmark
        assert [getattr(cudnn, name) for name in names[:3]] == before[:3]
        assert cudnn.enabled
    assert [getattr(cudnn, name) for name in names] == before
    with pytest.raises(RuntimeError, match="full"), cuda_graph._fastest_convolutions():
        raise RuntimeError("full")
    assert cudnn.benchmark == before[3]


def test_a_recording_works_on_what_it_is_given_with_cudnn_at_its_fastest(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stand-ins for CUDA's streams and a graph that, replayed, does again what was recorded."""
    recorded: list[tuple[Tensor, ...]] = []
    settings: list[tuple[bool, bool]] = []

    class Graph:
        def replay(self) -> None:
            images, _, score = recorded[-1]
            outputs.boxes.copy_(answer(images, score, REPLAYED).boxes)

    def detect(images: Tensor, sizes: Tensor, score: Tensor, max_detections: int) -> InstanceDetections:
        recorded.append((images, sizes, score))
        settings.append((torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark))
        return outputs

    outputs = answer(torch.zeros(1), torch.tensor(0.0), EAGER)
    nothing = contextlib.nullcontext()
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "CUDAGraph": Graph,
        "graph_pool_handle": lambda: "pool",
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda stream: nothing,
        "graph": lambda graph, pool, capture_error_mode: nothing,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(model, "detect", detect)
    replayed = ReplayedDetect(model)  # type: ignore[arg-type]
    replayed(torch.zeros(1, 1, 32, 32), torch.tensor([[32, 32]]), torch.tensor(0.5), 100)
    given = torch.ones(1, 1, 32, 32)
    settings.clear()
    replayed(given, torch.tensor([[32, 32]]), torch.tensor(0.5), 100)
    assert settings == [(True, True)] * 3  # twice to warm up, once recorded
    assert recorded[-1][0].data_ptr() != given.data_ptr()  # the caller's tensors may go
    for value in (1.0, 2.0, 3.0):
        assert call(replayed, value=value, score=0.1 * value) == REPLAYED
    assert given.eq(1).all()
    assert len(settings) == 3
