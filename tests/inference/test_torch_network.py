"""A network in PyTorch under several threads: options of one call do not reach another, and batches take turns on
CUDA, for which stand-ins are used here."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference import torch_network
from maskrcnn.inference.predictor import Predictor
from maskrcnn.inference.torch_network import TorchNetwork
from maskrcnn.model.detections import InstanceDetections
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.prediction.prediction_options import PredictionOptions
from tests.threads import check_two_threads


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    """Finds dozens of objects in any picture."""
    torch.manual_seed(0)
    config = preset("lite").replace(
        backbone="timm:test_efficientnet", preprocess={"short": (64, 64), "long": 128}, fpn_channels=16,
        box_hidden=(32,), mask_convs=(16,), max_detections=40, score_threshold=0.0, anchor_sizes=(8, 16, 32, 64, 128),
        rpn_before_nms=(50, 50), proposals=(50, 50),
    )  # fmt: skip
    return MaskRCNN(config, ("a", "b")).eval()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_threads_get_what_one_gets(model: MaskRCNN, precision: str) -> None:
    check_two_threads(Predictor(model, "cpu", precision))


def test_gradients_stay_off_in_every_thread(model: MaskRCNN) -> None:
    modes: list[bool] = []
    network = TorchNetwork(model, torch.device("cpu"), torch.float32)
    usual = network.model.detect
    network.model.detect = lambda *given: modes.append(torch.is_inference_mode_enabled()) or usual(*given)  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: network.detect([np.zeros((64, 64, 3), np.uint8)], PredictionOptions()), range(2)))
    assert modes == [True, True]


def test_what_takes_more_memory_than_allowed(model: MaskRCNN) -> None:
    network = TorchNetwork(model, torch.device("cpu"), torch.float32)
    network.check(PredictionOptions(size=640, max_detections=1000))
    with pytest.raises(MaskRCNNError, match="found 31"):
        network.check(PredictionOptions(size=31))
    large = SimpleNamespace(config=preset("resnet50_fpn"))
    with pytest.raises(MaskRCNNError, match="max_detections"):
        TorchNetwork.check(large, PredictionOptions(max_detections=100_000))  # type: ignore[arg-type]


def test_buffers_of_a_recording_are_read_out_before_the_next_batch(
    model: MaskRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording's outputs are one set of buffers, which each call overwrites."""
    buffers = InstanceDetections(*[torch.zeros(1, 3)] * 5)
    waits: list[object] = []
    running = threading.Lock()

    def replayed(images: Tensor, sizes: Tensor, score: Tensor, max_detections: int) -> InstanceDetections:
        assert running.acquire(blocking=False), "two batches at once"
        buffers.boxes.fill_(float(score))
        time.sleep(0.002)
        running.release()
        return buffers

    def read_out(part: Tensor) -> Tensor:
        time.sleep(0.001)
        return part.clone()

    class Event:
        def record(self) -> None: ...
        def synchronize(self) -> None: ...

    network = TorchNetwork(model, torch.device("cpu"), torch.float32)
    monkeypatch.setattr(network, "replayed", replayed)
    monkeypatch.setattr(torch_network, "_pinned", read_out)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(wait_event=waits.append))

    def scores(number: int) -> set[float]:
        options = PredictionOptions(score=number / 2)
        image = np.zeros((64, 64, 3), np.uint8)
        return {float(network.detect([image], options).wait().boxes[0, 0]) for _ in range(20)}

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(scores, range(3))) == [{0.0}, {0.5}, {1.0}]
    assert len(waits) == 59  # each batch waits for the one before, on whatever stream that was
