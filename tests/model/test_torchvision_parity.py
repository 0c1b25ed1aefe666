"""The same numbers as torchvision's Mask R-CNN, from the same state dict: detections, masks and the five losses.

Weights are random with heads scaled so that many detections survive; photos are real, of different sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import torchvision
from torch import Tensor, nn

from maskrcnn.masks import Masks
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_head import BoxHead, RoISamples
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.rpn import RPN
from maskrcnn.predict.predictor import Predictor
from maskrcnn.weights.load import load_model

PEERS: dict[str, Callable[..., nn.Module]] = {
    "v1": torchvision.models.detection.maskrcnn_resnet50_fpn,
    "v2": torchvision.models.detection.maskrcnn_resnet50_fpn_v2,
}


def randomize(peer: nn.Module, photo: np.ndarray) -> None:
    """Random weights that behave like trained ones: activations of order one, sure of some boxes and not of others."""
    torch.manual_seed(0)
    for module in peer.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for layer in peer.backbone.body.modules():
        if hasattr(layer, "bn3"):
            layer.bn3.weight.data.fill_(0.3)
    heads = peer.roi_heads
    outputs = [
        (peer.rpn.head.cls_logits, 1.0),
        (peer.rpn.head.bbox_pred, 0.3),
        (heads.box_predictor.cls_score, 3.0),
        (heads.box_predictor.bbox_pred, 1.0),
        (heads.mask_predictor.mask_fcn_logits, 3.0),
    ]
    # Each output layer is scaled to the spread asked for, as measured on a photo.
    for layer, spread in outputs:
        seen: list[Tensor] = []
        hook = layer.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        with torch.no_grad():
            peer.eval()([as_float(photo)])
        hook.remove()
        if seen and torch.cat([out.flatten() for out in seen]).numel():
            layer.weight.data *= spread / torch.cat([out.flatten() for out in seen]).std()


def as_float(photo: np.ndarray) -> Tensor:
    return torch.from_numpy(photo).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    """Three real photos, small enough for a quick run at a reduced input size."""
    return [skimage.data.astronaut()[:400, :500], skimage.data.coffee(), skimage.data.chelsea()]


@pytest.fixture(scope="module", params=PEERS)
def pair(request: pytest.FixtureRequest, photos: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """torchvision's model and ours from the file it saved; a smaller input than 800 keeps the test quick."""
    limits = {"min_size": 416, "max_size": 640}
    peer = PEERS[request.param](weights=None, weights_backbone=None, **limits).eval()
    randomize(peer, photos[0])
    path = tmp_path_factory.mktemp("peer") / "model.pth"
    torch.save(peer.state_dict(), path)
    ours, report = load_model(path)
    assert not report.reinitialised
    assert not report.unused
    change(ours, preprocess={"short": (416, 416), "long": 640})
    return peer, ours


def change(model: MaskRCNN, **settings: object) -> None:
    for module in model.modules():
        if hasattr(module, "config"):
            module.config = module.config.replace(**settings)


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
        np.testing.assert_allclose(result.scores, want["scores"], atol=1e-4)
        order = aligned(result.boxes, result.labels, want)
        np.testing.assert_array_equal(result.labels[order], want["labels"].numpy() - 1)
        np.testing.assert_allclose(result.boxes[order], want["boxes"], atol=0.01)
        pasted, theirs = result.masks.dense()[order], want["masks"][:, 0].numpy() > 0.5
        union = (pasted | theirs).sum((1, 2))
        iou = np.where(union > 0, (pasted & theirs).sum((1, 2)) / np.maximum(union, 1), 1.0)
        assert iou.mean() >= 0.98


def aligned(boxes: np.ndarray, labels: np.ndarray, want: dict[str, Tensor]) -> np.ndarray:
    """For each of torchvision's detections, ours of that class and place: equal scores may come in another order."""
    distance = np.abs(boxes[None] - want["boxes"].numpy()[:, None]).max(-1)
    distance[want["labels"].numpy()[:, None] - 1 != labels[None]] = np.inf
    order = distance.argmin(1)
    assert len(set(order)) == len(order)
    return order


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
    order = aligned(result.boxes, result.labels, want)
    np.testing.assert_allclose(result.masks.probs[order], probabilities, atol=1e-3)
    exact = Masks.from_probs(probabilities.numpy(), want["boxes"].numpy(), result.size, quantize=True).dense()
    assert (exact != (want["masks"][:, 0].numpy() > 0.5)).mean() < 1e-5


def test_all_five_losses_are_torchvisions(pair: tuple[nn.Module, MaskRCNN], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same sampled anchors and RoIs. Objects are ellipses of up to 112 px, whose patches are their pixels."""
    peer, ours = pair
    generator = torch.Generator().manual_seed(5)
    side = 416
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
        extent.flip(-1), torch.zeros(2, 0, 4),
    )  # fmt: skip

    for part, saved in ((peer.rpn, {}), (peer.roi_heads, {})):
        del saved
        part.training = True
    peer.transform.training = peer.training = True
    peer.roi_heads.box_roi_pool.training = True
    drawn: dict[str, list[Tensor]] = {}
    sampler = type(peer.rpn.fg_bg_sampler)
    draw = sampler.__call__

    def remembering(self: object, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        positive, negative = draw(self, labels)
        name = "rpn" if self is peer.rpn.fg_bg_sampler else "roi"
        drawn[name] = [positive, negative]
        return positive, negative

    monkeypatch.setattr(sampler, "__call__", remembering)
    proposals: list[Tensor] = []
    monkeypatch.setattr(peer.roi_heads, "add_gt_proposals", lambda p, gt: [torch.cat(pair) for pair in zip(p, gt)])
    subsample = peer.roi_heads.subsample
    monkeypatch.setattr(
        peer.roi_heads, "select_training_samples", _recording(peer.roi_heads.select_training_samples, proposals)
    )
    del subsample
    targets = [
        {"boxes": boxes[i], "labels": labels[i] + 1, "masks": dense[i]} for i in range(2)
    ]
    with torch.no_grad():
        want = peer([image.float() / 255 for image in images], targets)
    for part in (peer, peer.rpn, peer.roi_heads, peer.transform, peer.roi_heads.box_roi_pool):
        part.training = False

    # The draws of torchvision, in our padded form.
    original_rpn, original_roi = RPN.select, BoxHead.select

    def select_anchors(self: RPN, anchors: Tensor, batch: Batch, generator: object = None) -> tuple[Tensor, ...]:
        from maskrcnn.model.box_coder import encode
        from maskrcnn.model.matcher import match

        positive, negative = drawn["rpn"]
        rows = [torch.cat((torch.where(p)[0], torch.where(n)[0])) for p, n in zip(positive, negative, strict=True)]
        index = torch.stack(rows)
        is_positive = torch.stack([p[row] > 0 for p, row in zip(positive, rows, strict=True)])
        found = match(anchors[None], batch.boxes, batch.valid, batch.crowd)
        assert ((found.overlap >= 0.7) | found.is_best).gather(1, index)[is_positive].all()
        goal = found.index.gather(1, index)
        goals = batch.boxes.gather(1, goal[..., None].expand(-1, -1, 4))
        return index, torch.ones_like(is_positive), is_positive, encode(goals, anchors[index])

    def select_rois(self: BoxHead, _: object, batch: Batch, generator: object = None) -> RoISamples:
        rois, matched, roi_labels = proposals
        order = [torch.argsort((labels == 0).int(), stable=True) for labels in roi_labels]
        pick = [torch.stack([part[i][order[i]] for i in range(2)]) for part in (rois, matched, roi_labels)]
        foreground = pick[2] > 0
        label = torch.where(foreground, pick[2] - 1, 90)
        return RoISamples(pick[0], torch.ones_like(foreground), foreground, label, pick[1])

    monkeypatch.setattr(RPN, "select", select_anchors)
    monkeypatch.setattr(BoxHead, "select", select_rois)
    with torch.no_grad():
        got = ours.eval().losses(batch)
    del original_rpn, original_roi
    expected = [
        want["loss_objectness"], want["loss_rpn_box_reg"], want["loss_classifier"], want["loss_box_reg"], want["loss_mask"],
    ]  # fmt: skip
    for name, ours_value, theirs in zip(got._fields, got, expected, strict=True):
        assert ours_value.item() == pytest.approx(theirs.item(), abs=1e-4, rel=1e-5), name


def _recording(select: Callable, into: list) -> Callable:
    def selecting(proposals: list[Tensor], targets: list[dict]) -> tuple:
        rois, matched, labels, deltas = select(proposals, targets)
        into[:] = [rois, matched, labels]
        return rois, matched, labels, deltas

    return selecting
