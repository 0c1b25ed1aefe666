"""The same numbers as torchvision's Mask R-CNN, from the same state dict: detections, masks and the five losses.

Weights are random with heads scaled so that many detections survive; photos are real, of different sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from peer import as_float, randomize
from torch import Tensor, nn

from maskrcnn.inference.predictor import Predictor
from maskrcnn.masks import Masks
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_coder import encode_deltas
from maskrcnn.model.box_head import BoxHead, RoISamples
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.matcher import match_boxes
from maskrcnn.model.rpn import RPN
from maskrcnn.weights.load import load_model

PEERS: dict[str, Callable[..., nn.Module]] = {
    "v1": torchvision.models.detection.maskrcnn_resnet50_fpn,
    "v2": torchvision.models.detection.maskrcnn_resnet50_fpn_v2,
}


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    """Three real photos, small enough for a quick run at a reduced input size."""
    return [skimage.data.astronaut()[:400, :500], skimage.data.coffee(), skimage.data.chelsea()]


@pytest.fixture(scope="module", params=PEERS)
def pair(
    request: pytest.FixtureRequest, photos: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Iterator:
    """torchvision's model and ours from the file it saved; a smaller input than 800 keeps the test quick."""
    limits = {"min_size": 320, "max_size": 480}
    peer = PEERS[request.param](weights=None, weights_backbone=None, **limits).eval()
    randomize(peer, photos[0])
    path = tmp_path_factory.mktemp("peer") / "model.pth"
    torch.save(peer.state_dict(), path)
    ours, report = load_model(path, config={"preprocess": {"short": (320, 320), "long": 480}})
    assert not report.reinitialised
    assert not report.unused
    return peer, ours


@pytest.mark.parametrize("batched", [False, True])
def test_detections_and_masks_are_torchvisions(pair: tuple[nn.Module, MaskRCNN], photos: list, batched: bool) -> None:
    peer, ours = pair
    with torch.no_grad():
        groups = [photos] if batched else [[photo] for photo in photos]
        expected = [result for group in groups for result in peer([as_float(photo) for photo in group])]
    predictor = Predictor(ours, "cpu", "fp32")
    results = [r for group in groups for r in predictor.predict(group, score=0.0, batch_size=len(group))]
    for result, want in zip(results, expected, strict=True):
        assert len(result) == len(want["scores"]) >= 50
        order, same = aligned(result.boxes, result.labels, want)
        # Two boxes can overlap by the threshold to the last bit; then rounding decides which one survives.
        assert same.mean() >= 0.99
        np.testing.assert_allclose(result.scores[order][same], want["scores"][same], atol=1e-4)
        pasted, theirs = result.masks[order].dense()[same], want["masks"][same, 0].numpy() > 0.5
        union = (pasted | theirs).sum((1, 2))
        iou = np.where(union > 0, (pasted & theirs).sum((1, 2)) / np.maximum(union, 1), 1.0)
        assert iou.mean() >= 0.98


def aligned(boxes: np.ndarray, labels: np.ndarray, want: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """For each of torchvision's detections our nearest of its class, and whether that one is within 0.01 px."""
    distance = np.abs(boxes[None] - want["boxes"].numpy()[:, None]).max(-1)
    distance[want["labels"].numpy()[:, None] - 1 != labels[None]] = np.inf
    order, same = distance.argmin(1), distance.min(1) <= 0.01
    assert len(set(order[same])) == same.sum()
    return order, same


def test_mask_probabilities_are_torchvisions(pair: tuple[nn.Module, MaskRCNN], photos: list) -> None:
    peer, ours = pair
    seen: list[Tensor] = []
    hook = peer.roi_heads.mask_predictor.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        want = peer([as_float(photos[1])])[0]
    hook.remove()
    labels = want["labels"]
    probabilities = seen[0][torch.arange(len(labels)), labels].sigmoid()
    result = Predictor(ours, "cpu", "fp32").predict(photos[1], score=0.0)
    order, same = aligned(result.boxes, result.labels, want)
    assert same.mean() >= 0.99
    np.testing.assert_allclose(result.masks.probs[order][same], probabilities[same], atol=1e-3)
    exact = Masks.from_probs(probabilities.numpy(), want["boxes"].numpy(), result.size, quantize=True).dense()
    assert (exact != (want["masks"][:, 0].numpy() > 0.5)).mean() < 1e-5


def test_all_five_losses_are_torchvisions(pair: tuple[nn.Module, MaskRCNN], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same sampled anchors and RoIs. Objects are ellipses of up to 112 px, whose patches are their pixels."""
    peer, ours = pair
    generator = torch.Generator().manual_seed(5)
    side = 320
    images = torch.randint(0, 256, (2, 3, side, side), generator=generator, dtype=torch.uint8)
    corner = torch.randint(0, side - 112, (2, 4, 2), generator=generator)
    extent = torch.randint(30, 113, (2, 4, 2), generator=generator)
    boxes = torch.cat((corner, corner + extent), -1).float()
    labels = torch.randint(0, 90, (2, 4), generator=generator)
    dense = torch.zeros(2, 4, side, side, dtype=torch.uint8)
    patches = torch.zeros(2, 4, 112, 112, dtype=torch.uint8)
    for image in range(2):
        for k in range(4):
            (x, y), (w, h) = corner[image, k].tolist(), extent[image, k].tolist()
            rows, columns = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
            ellipse = (rows**2 + columns**2 <= 1).to(torch.uint8)
            dense[image, k, y : y + h, x : x + w] = ellipse
            patches[image, k, :h, :w] = ellipse * 255
    batch = Batch(
        images, torch.full((2, 2), side), boxes, labels, torch.ones(2, 4, dtype=torch.bool), boxes, patches,
        extent.flip(-1), torch.zeros(2, 0, 4), torch.zeros(2, dtype=torch.long),
    )  # fmt: skip

    drawn: list[tuple[list[Tensor], list[Tensor]]] = []
    sampler = type(peer.rpn.fg_bg_sampler)
    monkeypatch.setattr(sampler, "__call__", recording(sampler.__call__, drawn))
    chosen: list[tuple[list[Tensor], ...]] = []
    monkeypatch.setattr(
        peer.roi_heads, "select_training_samples", recording(peer.roi_heads.select_training_samples, chosen)
    )
    targets = [{"boxes": boxes[i], "labels": labels[i] + 1, "masks": dense[i]} for i in range(2)]
    parts = (peer, peer.rpn, peer.roi_heads, peer.transform)
    for part in parts:
        part.training = True  # the norms stay in evaluation mode
    with torch.no_grad():
        want = peer([image.float() / 255 for image in images], targets)
    for part in parts:
        part.training = False

    def select_anchors(self: RPN, anchors: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        positive, negative = drawn[0]
        rows = [torch.cat((p.nonzero()[:, 0], n.nonzero()[:, 0])) for p, n in zip(positive, negative, strict=True)]
        index = torch.stack(rows)
        is_positive = torch.stack([p[row] > 0 for p, row in zip(positive, rows, strict=True)])
        found = match_boxes(anchors[None], batch.boxes, batch.valid, batch.crowd)
        ours_positive = ((found.overlap >= 0.7) | found.is_best).gather(1, index)
        assert torch.equal(ours_positive, is_positive)
        goal = found.matched.gather(1, index)
        goals = batch.boxes.gather(1, goal[..., None].expand(-1, -1, 4))
        return index, torch.ones_like(is_positive), is_positive, encode_deltas(goals, anchors[index])

    def select_rois(self: BoxHead, proposals: object, batch: Batch) -> RoISamples:
        rois, matched, roi_labels, _ = chosen[0]
        order = [torch.argsort((labels == 0).int(), stable=True) for labels in roi_labels]
        places, goals, classes = (
            torch.stack([part[i][order[i]] for i in range(2)]) for part in (rois, matched, roi_labels)
        )
        foreground = classes > 0
        label = torch.where(foreground, classes - 1, 90)
        return RoISamples(places, torch.ones_like(foreground), foreground, label, goals)

    monkeypatch.setattr(RPN, "select", select_anchors)
    monkeypatch.setattr(BoxHead, "select", select_rois)
    with torch.no_grad():
        got = ours.eval().losses(batch)
    names = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")
    for name, ours_value, theirs in zip(names, got, (want[name] for name in names), strict=True):
        assert ours_value.item() == pytest.approx(theirs.item(), abs=1e-4), name


def recording(call: Callable, into: list) -> Callable:
    """The same call, its results kept."""

    def recorded(*args: object) -> object:
        into.append(call(*args))
        return into[-1]

    return recorded
