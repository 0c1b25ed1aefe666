"""The score of an untrained-for data set: bundled models on pictures that they do and do not suit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from maskrcnn.config import preset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_head import RoISamples
from maskrcnn.model.mask_head import mask_targets
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.rpn import Proposals
from maskrcnn.training.samples.loader import Collate, LoadedBatch
from maskrcnn.training.samples.stream import StreamItem
from maskrcnn.training.transfer_score import TransferScore, transfer_score
from maskrcnn.weights.load import load_model

SMALL = {"preprocess": {"short": [160, 160], "long": 160}}


def test_a_trained_model_suits_discs_better_than_random_weights(shapes: Path) -> None:
    data = open_dataset(shapes, "train")
    trained = transfer_score(load_model("nuclei", config=SMALL)[0], data, 3)
    torch.manual_seed(0)
    random = transfer_score(MaskRCNN(preset("lite").replace(**SMALL), ["thing"]).eval(), data, 3)
    assert trained.value > random.value
    assert trained.masks is not None
    assert 0 < trained.recall <= 1
    assert 0 < trained.masks <= 1


def test_the_score_does_not_depend_on_class_names_or_generators(shapes: Path) -> None:
    data = open_dataset(shapes, "train")
    one = transfer_score(load_model("people", config=SMALL)[0], data, 2)
    torch.manual_seed(99)
    assert transfer_score(load_model("people", names=["other"], config=SMALL)[0], data, 2) == one


def test_without_masks_recall_alone_counts() -> None:
    assert TransferScore(0.5, None).value == 0.5
    assert TransferScore(0.2, 0.6).value == pytest.approx(0.4)
    assert str(TransferScore(0.5, None)) == "recall 0.50"


def test_perfect_proposals_and_masks_score_one(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the truth in place of the network's answers, both parts are 1."""
    model = MaskRCNN(preset("lite").replace(**SMALL), ["thing"]).eval()
    seen: list[Batch] = []
    collate = Collate.__call__

    def remember(self: Collate, items: Sequence[StreamItem]) -> LoadedBatch:
        loaded = collate(self, items)
        seen.append(loaded.batch)
        return loaded

    def true_boxes(pyramid: object, sizes: torch.Tensor) -> Proposals:
        return Proposals(seen[-1].boxes, seen[-1].valid)

    def true_masks(pyramid: object, boxes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        everything = torch.ones(labels.shape, dtype=torch.bool)
        rois = RoISamples(boxes, everything, everything, labels, torch.arange(labels.shape[1])[None])
        return mask_targets(rois, seen[-1], 28, model.config)[0][None]

    monkeypatch.setattr(Collate, "__call__", remember)
    monkeypatch.setattr(model, "propose", true_boxes)
    monkeypatch.setattr(model, "masks_in", true_masks)
    assert transfer_score(model, open_dataset(shapes, "train"), 3).value == pytest.approx(1)
