"""Mask R-CNN (He et al. 2017): the whole story on two screens.

    image → backbone, FPN → RPN → RoIAlign, class and box → (on what survives) RoIAlign, mask
            features        propose  classify                             masks_in

`detect` composes these four public steps; the last two take boxes from anywhere: proposals, ground truth or a user.
Letters: B images of padded size H×W, K boxes, D detections, C classes without background, F channels, M = 28.
Boxes are float32 (x1, y1, x2, y2) in continuous pixels of the padded network input. Everything between pixels and
detections is padded tensors with validity masks: no shape depends on what an image shows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskrcnn.config import Config
from maskrcnn.model.backbone import STRIDES, build_backbone
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_head import BoxHead
from maskrcnn.model.detections import InstanceDetections, select_detections
from maskrcnn.model.fpn import FPN
from maskrcnn.model.losses import Losses, Term
from maskrcnn.model.mask_head import MaskHead
from maskrcnn.model.preprocess import Normalise
from maskrcnn.model.pyramid import Pyramid
from maskrcnn.model.rpn import RPN, Proposals
from maskrcnn.ops.host import computed_indices
from maskrcnn.ops.memory import check_memory


class MaskRCNN(nn.Module):
    """The network for one set of class names, randomly initialised.

    Args:
        config: see `maskrcnn.config.PRESETS`. `MaskRCNNError` if it needs more memory than is free.
        names: class names; a label is an index into them, background is nobody's.
    """

    def __init__(self, config: Config, names: Sequence[str]) -> None:
        super().__init__()
        check_memory(config, len(names))
        self._config, self.names = config, tuple(names)
        self.normalise = Normalise(config.preprocess)
        self.backbone = build_backbone(config)
        self.fpn = FPN(self.backbone.channels, config)
        self.rpn = RPN(config)
        self.box_head = BoxHead(len(self.names), config)
        self.mask_head = MaskHead(len(self.names), config)

    @property
    def config(self) -> Config:
        """What it was built from; what a call may ask for otherwise is an argument of `detect`."""
        return self._config

    def detect(
        self, images: Tensor, sizes: Tensor, score: Tensor | float = 0.0, max_detections: int | None = None
    ) -> InstanceDetections:
        """Find the objects in a padded batch.

        Args:
            images: [B, channels, H, W], values as stored (RGB 0..255), filled from the top left; H, W multiples of 32.
            sizes: int [B, 2], each image's (height, width) within the padding.
            score: lowest score asked for; below the configured threshold nothing is found anyway.
            max_detections: D; the configured number unless given.
        """
        pyramid = self.features(images, sizes)
        proposals = self.propose(pyramid, sizes)
        logits, deltas = self.classify(pyramid, proposals.boxes)
        detections = select_detections(logits, deltas, proposals, sizes, self.config, score, max_detections)
        masks = self.masks_in(pyramid, detections.boxes, detections.labels, detections.valid)
        return InstanceDetections(*detections, masks=masks)

    def features(self, images: Tensor, sizes: Tensor) -> Pyramid:
        """Backbone and FPN (Lin et al. 2017): maps [B, F, H / s, W / s] for s = 4, 8, 16, 32 and coarser."""
        images = self.normalise(images, sizes).to(self.mask_head.logits.weight.dtype, memory_format=torch.channels_last)
        return Pyramid.of(self.fpn(self.backbone(images)), STRIDES, self.config.roi_sampling, self.config.roi_aligned)

    def propose(self, pyramid: Pyramid, sizes: Tensor) -> Proposals:
        """RPN (Ren et al. 2015, section 3.1): the K boxes an image most likely to hold an object, best first."""
        return self.rpn.propose(self.rpn(pyramid.levels, pyramid.image_size), sizes)

    def classify(self, pyramid: Pyramid, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Box head (Girshick 2015, section 2): class logits [B, K, C + 1], background last, and deltas [B, K, C, 4] of
        each class ([B, K, 1, 4] if class-agnostic) for boxes [B, K, 4]; `select_detections` makes objects of them."""
        image = torch.arange(boxes.shape[0], device=boxes.device).repeat_interleave(boxes.shape[1])
        logits, deltas = self.box_head(pyramid.roi_align(boxes.flatten(0, 1), image, self.config.box_bins))
        return logits.unflatten(0, boxes.shape[:2]), deltas.unflatten(0, boxes.shape[:2])

    def masks_in(self, pyramid: Pyramid, boxes: Tensor, labels: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Mask head (section 3): probabilities float32 [B, K, M, M] in the frames of boxes [B, K, 4], of the classes
        labels int [B, K]. Entries that are not ``wanted``, bool [B, K], mean nothing: a CPU does not compute them."""
        wanted = torch.ones_like(labels, dtype=torch.bool) if wanted is None else wanted
        return self.mask_logits(pyramid, boxes, labels, wanted).float().sigmoid()

    def losses(self, batch: Batch) -> Losses:
        """L = L_cls + L_box + L_mask + L_objectness + L_rpn_box for a batch; no object at all is fine."""
        return Losses(*self.loss_terms(batch).mean)

    def loss_terms(self, batch: Batch) -> Term:
        """The five losses in the order of `Losses`, sums and what divides them apart: float [5], int [5]."""
        pyramid = self.features(batch.images, batch.sizes)
        predictions = self.rpn(pyramid.levels, pyramid.image_size)
        objectness, rpn_box = self.rpn.losses(predictions, batch)
        rois = self.box_head.select(self.rpn.propose(predictions, batch.sizes), batch)
        logits, deltas = self.classify(pyramid, rois.boxes)
        classification, box = self.box_head.losses(logits.flatten(0, 1), deltas.flatten(0, 1), rois, batch)
        rois = rois.first(int(self.config.roi_samples * self.config.roi_positive_share))
        mask_logits = self.mask_logits(pyramid, rois.boxes, rois.labels, rois.foreground).flatten(0, 1)
        terms = (objectness, rpn_box, classification, box, self.mask_head.loss(mask_logits, rois, batch))
        return Term(*map(torch.stack, zip(*terms, strict=True)))

    def mask_logits(self, pyramid: Pyramid, boxes: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
        """Logits [B, K, M, M] of `masks_in`; 0 for entries that are skipped."""
        image, index = computed_indices(wanted)
        rois = pyramid.roi_align(boxes[image, index], image, self.config.mask_bins)
        logits = self.mask_head.of_class(rois, labels[image, index])
        return logits.new_zeros(*labels.shape, *logits.shape[1:]).index_put((image, index), logits)
