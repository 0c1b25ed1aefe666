"""Every preset through one tester: shapes, losses in ordinary and empty cases, export, compilation, size."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import skimage.data
import torch
from torch import Tensor, nn

import maskrcnn.model
from maskrcnn.config import PRESETS, Config, preset
from maskrcnn.inference.fused_model import for_inference
from maskrcnn.model.batch import Batch
from maskrcnn.model.detections import InstanceDetections, select_detections
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.preprocess import prepare
from maskrcnn.model.rpn import Proposals
from maskrcnn.ops.boxes import intersection_over_first
from tests.networks import batch_of, quick, trained


@pytest.fixture(scope="module", params=[*PRESETS, "timm"])
def model(request: pytest.FixtureRequest) -> MaskRCNN:
    torch.manual_seed(0)
    name = "lite" if request.param == "timm" else request.param
    backbone = {"backbone": "timm:mobilenetv3_small_050"} if request.param == "timm" else {}
    network = MaskRCNN(quick(name, **backbone), ["cat", "dog", "cow"]).eval()
    # Some objects must come out: an untrained network is sure of nothing.
    with torch.no_grad():
        network.box_head.logits.weight.normal_(std=0.3)
        network.box_head.logits.bias[-1] = -2
        network.rpn.logits.weight.normal_(std=0.1)
    return network


def run(model: MaskRCNN, images: Tensor, sizes: Tensor) -> InstanceDetections:
    with torch.no_grad():
        return model.detect(images, sizes)


def test_detections_have_fixed_shapes_and_lie_in_their_images(model: MaskRCNN) -> None:
    batch = batch_of([3, 2])
    found = run(model, batch.images, batch.sizes)
    assert found.valid.any(1).all()
    assert found.boxes.shape == (2, 12, 4)
    assert found.masks.shape == (2, 12, 28, 28)
    assert found.scores.shape == found.labels.shape == found.valid.shape == (2, 12)
    limit = batch.sizes.flip(-1).repeat(1, 2)[:, None]
    assert ((found.boxes >= 0) & (found.boxes <= limit))[found.valid].all()
    assert ((found.masks >= 0) & (found.masks <= 1)).all()
    assert (found.scores.diff(dim=1) <= 0).all()


def test_an_image_is_detected_the_same_alone_and_in_company(model: MaskRCNN) -> None:
    """Same canvas: what other images in the batch hold must not matter."""
    batch = batch_of([3, 2])
    together = run(model, batch.images, batch.sizes)
    for row in range(2):
        alone = run(model, batch.images[row : row + 1], batch.sizes[row : row + 1])
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], many[row], atol=1e-3, rtol=1e-3)


def test_padding_is_not_seen(model: MaskRCNN) -> None:
    """Whatever lies outside an image's size is replaced by zeros."""
    batch = batch_of([3, 2])
    changed = batch.images.clone()
    changed[0, :, 96:] = 255
    changed[1, :, :, 100:] = 77
    for one, other in zip(run(model, batch.images, batch.sizes), run(model, changed, batch.sizes), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "batch",
    [batch_of([3, 1]), batch_of([2, 0]), batch_of([0, 0]), batch_of([2, 2], crowd=1), batch_of([2, 2], masks=False)],
)
def test_losses_are_finite_and_reach_every_part(model: MaskRCNN, batch: Batch) -> None:
    model.train()
    model.zero_grad()
    losses = model.losses(batch)
    losses.total.backward()
    model.eval()
    assert all(torch.isfinite(loss) for loss in losses)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)
    has_objects, has_masks = batch.valid.any(), (batch.patch_sizes > 0).any()
    assert (losses.box > 0) == has_objects
    assert (losses.mask > 0) == (has_objects and has_masks)
    untouched = {name for name, value in model.named_parameters() if value.requires_grad and value.grad is None}
    assert not untouched
    for part in (model.backbone, model.fpn, model.rpn, model.box_head):
        assert any(value.grad.abs().sum() > 0 for value in part.parameters() if value.grad is not None)


@torch.no_grad()
def test_objects_without_masks_do_not_touch_the_mask_loss(model: MaskRCNN) -> None:
    """Of two objects one has a box only: the mask loss is that of the other alone, the box losses see both."""
    both = batch_of([2, 2])
    part = both._replace(patch_sizes=both.patch_sizes * torch.tensor([1, 0])[None, :, None])
    seen = []
    for batch in (both, part):
        pyramid = model.features(batch.images, batch.sizes)
        rois = model.box_head.select(Proposals(batch.boxes, batch.valid), batch)
        logits, deltas = model.classify(pyramid, rois.boxes)
        losses = model.box_head.losses(logits.flatten(0, 1), deltas.flatten(0, 1), rois, batch)
        masks = model.mask_logits(pyramid, rois.boxes, rois.labels, rois.foreground).flatten(0, 1)
        first = rois._replace(foreground=rois.foreground & (rois.matched == 0))
        terms = (*losses, *(model.mask_head.loss(masks, part, batch) for part in (rois, first)))
        seen.append(torch.stack([term.mean for term in terms]))
    both_seen, part_seen = seen
    assert torch.equal(part_seen[:2], both_seen[:2])
    assert torch.equal(part_seen[2], both_seen[3])
    assert not torch.equal(part_seen[2], both_seen[2])


@torch.no_grad()
def by_steps(
    model: MaskRCNN, images: Tensor, sizes: Tensor, score: float, max_detections: int | None
) -> InstanceDetections:
    """`detect` as its four steps, composed by hand."""
    pyramid = model.features(images, sizes)
    proposals = model.propose(pyramid, sizes)
    logits, deltas = model.classify(pyramid, proposals.boxes)
    found = select_detections(logits, deltas, proposals, sizes, model.config, score, max_detections)
    return InstanceDetections(*found, masks=model.masks_in(pyramid, found.boxes, found.labels, found.valid))


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("name", ["resnet50_fpn", "lite"])
def test_the_steps_composed_by_hand_are_detect(name: str, agnostic: bool) -> None:
    network = trained(quick(name, box_class_agnostic=agnostic, mask_class_agnostic=agnostic))
    batch = batch_of([3, 2])
    # An image of 0×0 pixels has no proposals.
    sizes = torch.cat((batch.sizes, torch.zeros(1, 2, dtype=torch.long)))
    images = torch.cat((batch.images, batch.images[:1]))
    for model in (network, for_inference(network, torch.device("cpu"), torch.float32)):
        for count in (1, 2, 3):
            for score, most in ((0.0, None), (0.3, 5), (1.0, None)):
                with torch.no_grad():
                    want = model.detect(images[:count], sizes[:count], score, most)
                found = by_steps(model, images[:count], sizes[:count], score, most)
                assert all(torch.equal(*pair) for pair in zip(found, want, strict=True))
                assert found.valid[:2].any() == (score < 1)
        assert not found.valid[2:].any()


@torch.no_grad()
def test_masks_in_given_boxes_are_those_of_detections(model: MaskRCNN) -> None:
    """Of all boxes at once, of some, in another order, or of none: a mask depends on its box and label alone."""
    images, sizes = batch_of([3, 2])[:2]
    found, pyramid = model.detect(images, sizes), model.features(images, sizes)
    masks = model.masks_in(pyramid, found.boxes, found.labels)
    assert masks.shape == (2, 12, 28, 28)
    torch.testing.assert_close(masks[found.valid], found.masks[found.valid])
    turned = model.masks_in(pyramid, found.boxes.flip(1)[:, :3], found.labels.flip(1)[:, :3])
    torch.testing.assert_close(turned, masks.flip(1)[:, :3])
    other = model.masks_in(pyramid, found.boxes, (found.labels + 1) % 3)
    assert (other - masks).abs().max() > 1e-3
    none = model.masks_in(pyramid, found.boxes[:, :0], found.labels[:, :0])
    assert none.shape == (2, 0, 28, 28)


@torch.no_grad()
def test_boxes_from_anywhere_are_classified(model: MaskRCNN) -> None:
    """A box's logits and deltas do not depend on the other boxes; boxes may be few, many, outside, empty or none."""
    images, sizes = batch_of([3, 2])[:2]
    pyramid = model.features(images, sizes)
    proposals = model.propose(pyramid, sizes).boxes
    logits, deltas = model.classify(pyramid, proposals)
    odd = torch.tensor([[-50.0, -50, -10, -10], [5, 5, 5, 5], [-1e6, -1e6, 1e6, 1e6]]).expand(2, 3, 4)
    mixed_logits, mixed_deltas = model.classify(pyramid, torch.cat((odd, proposals[:, 5:9]), dim=1))
    assert mixed_logits.isfinite().all()
    torch.testing.assert_close(mixed_logits[:, 3:], logits[:, 5:9], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(mixed_deltas[:, 3:], deltas[:, 5:9], atol=1e-4, rtol=1e-4)
    no_logits, no_deltas = model.classify(pyramid, proposals[:, :0])
    assert no_logits.shape == (2, 0, 4)
    nothing = Proposals(proposals[:, :0], torch.zeros(2, 0, dtype=torch.bool))
    assert select_detections(no_logits, no_deltas, nothing, sizes, model.config).boxes.shape == (2, 0, 4)


@torch.inference_mode()
def test_a_box_drawn_by_hand_gives_a_mask_and_a_class() -> None:
    """On a photo of a person: the bundled model need not have proposed the box."""
    predictor = maskrcnn.load("people", device="cpu")
    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)
    images, sizes = prepare([photo], predictor.preprocess)
    for network in (predictor.model, for_inference(predictor.model, torch.device("cpu"), torch.float32)):
        pyramid = network.features(images, sizes)
        person = torch.tensor([5.0, 2, 462, 510])
        sky = torch.tensor([480.0, 400, 510, 505])
        boxes = torch.stack((person, sky))[None] * (sizes[0, 0] / 512)
        logits, _ = network.classify(pyramid, boxes)
        scores = logits.softmax(-1)[0, :, 0]
        assert scores[0] > 0.8
        assert scores[1] < 0.2
        mask = network.masks_in(pyramid, boxes, torch.zeros(1, 2, dtype=torch.long))[0, 0]
        assert mask[8:20, 10:16].min() > 0.5  # face and chest
        assert mask[:5, -5:].max() < 0.5  # the corner beside the head


def test_losses_follow_the_seeds(model: MaskRCNN) -> None:
    values = []
    for seed in (1, 1, 2):
        with torch.no_grad():
            values.append(torch.stack(model.losses(batch_of([3, 1], seed=seed))))
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_crowds_are_not_background(model: MaskRCNN) -> None:
    """With the whole image a crowd, no anchor and no RoI may serve as background."""
    batch = batch_of([2, 2], crowd=1)
    pyramid = model.features(batch.images, batch.sizes)
    predictions = model.rpn(pyramid.levels, pyramid.image_size)
    anchors = torch.cat(predictions.anchors)
    index, valid, positive, _ = model.rpn.select(anchors, batch)
    background = anchors[index[valid & ~positive]]
    assert (intersection_over_first(background, batch.crowd[0]) <= 0.7).all()
    index, valid, positive, _ = model.rpn.select(anchors, batch_of([2, 2]))
    assert (intersection_over_first(anchors[index[valid & ~positive]], batch.crowd[0]) > 0.7).any()
    rois = model.box_head.select(model.rpn.propose(predictions, batch.sizes), batch)
    assert rois.foreground.any()
    assert not (rois.valid & ~rois.foreground).any()


def stricter(model: MaskRCNN) -> MaskRCNN:
    """The same weights with a threshold that nothing reaches."""
    other = MaskRCNN(dataclasses.replace(model.config, score_threshold=1.0), model.names).eval()
    other.load_state_dict(model.state_dict())
    return other


def test_the_config_cannot_be_assigned(model: MaskRCNN) -> None:
    with pytest.raises(AttributeError, match="config"):
        model.config = Config()  # type: ignore[misc]


def test_nothing_found_is_an_ordinary_answer(model: MaskRCNN) -> None:
    found = run(stricter(model), *batch_of([1, 1])[:2])
    assert not found.valid.any()
    assert found.boxes.shape == (2, 12, 4)
    assert torch.isfinite(found.masks).all()


def test_fewer_detections_are_the_best_of_all(model: MaskRCNN) -> None:
    images, sizes = batch_of([1, 1])[:2]
    with torch.no_grad():
        everything, few = model.detect(images, sizes), model.detect(images, sizes, max_detections=5)
    assert everything.boxes.shape == (2, 12, 4)
    for name, all_rows, first in zip(few._fields, everything, few, strict=True):
        if name == "masks":
            torch.testing.assert_close(first, all_rows[:, :5], atol=1e-5, rtol=1e-5)
        else:
            assert torch.equal(first, all_rows[:, :5])


class Detect(nn.Module):
    """`detect` as the forward of a module, as exporters want it."""

    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, sizes: Tensor) -> InstanceDetections:
        return self.model.detect(images, sizes)


def test_export_with_dynamic_height_and_width(model: MaskRCNN) -> None:
    generator = torch.Generator().manual_seed(4)
    height, width = torch.export.Dim("height", min=3, max=42), torch.export.Dim("width", min=3, max=42)
    images, sizes = torch.rand(1, 3, 96, 128, generator=generator) * 255, torch.tensor([[90, 120]])
    with torch.no_grad():
        program = torch.export.export(
            Detect(model), (images, sizes), dynamic_shapes=({2: 32 * height, 3: 32 * width}, None), strict=False
        ).module()
        cases = [torch.rand(1, 3, *size, generator=generator) * 255 for size in ((96, 128), (128, 224), (160, 160))]
        cases.append(torch.zeros(1, 3, 128, 96))
        for images in cases:
            sizes = torch.tensor([[images.shape[2] - 7, images.shape[3] - 3]])
            found = model.detect(images, sizes)
            for eager, exported in zip(found, program(images, sizes), strict=True):
                torch.testing.assert_close(exported, eager, atol=1e-4, rtol=1e-4)
        assert found.valid.shape == (1, 12)
        empty = torch.export.export(Detect(stricter(model)), (images, sizes), strict=False).module()(images, sizes)
        assert not empty.valid.any()


def test_compiles_without_a_graph_break(model: MaskRCNN) -> None:
    torch._dynamo.reset()
    images, sizes = batch_of([1, 1])[:2]
    compiled = torch.compile(model.detect, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        for eager, fast in zip(model.detect(images, sizes), compiled(images, sizes), strict=True):
            torch.testing.assert_close(fast, eager, atol=1e-3, rtol=1e-3)


def multiply_adds(name: str) -> int:
    """Multiply-adds of one image at 800×1088, counted on tensors without storage."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = MaskRCNN(preset(name), [str(number) for number in range(90)]).eval()
    fake = torch.zeros(1, 3, 800, 1088, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        levels = model.fpn(model.backbone(fake))
        for level in levels:
            model.rpn.deltas(model.rpn.convs(level))
            model.rpn.logits(level)
        config = model.config
        model.box_head(torch.zeros(config.proposals[1], config.fpn_channels, 7, 7, device="meta"))
        model.mask_head(torch.zeros(config.max_detections, config.fpn_channels, 14, 14, device="meta"))
    return counter.get_total_flops() // 2


def test_lite_is_eight_times_lighter_and_small() -> None:
    assert multiply_adds("resnet50_fpn") == pytest.approx(231e9, rel=0.03)
    assert multiply_adds("lite") * 8 <= multiply_adds("resnet50_fpn")
    parameters = MaskRCNN(preset("lite"), [str(number) for number in range(80)]).parameters()
    assert sum(value.numel() for value in parameters) * 2 <= 25e6


def test_the_model_reads_in_an_evening() -> None:
    folder = Path(maskrcnn.model.__file__).parent
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    assert lines < 1600
    trust = (Path(__file__).parents[2] / "docs" / "trust.md").read_text(encoding="utf-8")
    told = re.search(r"The model is (\d+) files and under ([\d,]+) lines", trust)
    assert told is not None
    assert len(files) == int(told[1])
    assert 0 <= int(told[2].replace(",", "")) - lines <= 100
    assert len((folder / "mask_rcnn.py").read_text(encoding="utf-8").splitlines()) <= 120
