"""Mask R-CNN (He et al. 2017): the whole story on two screens.

    image → backbone → FPN → RPN → RoIAlign → class and box → (on what survives) RoIAlign → mask

Letters: B images of padded size H×W, K proposals, D detections, C classes without background, F channels, M = 28.
Boxes are (x1, y1, x2, y2) in continuous pixels of the padded network input. Everything between pixels and detections is
padded tensors with validity masks: no shape depends on what an image shows.
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
from maskrcnn.model.roi_align import Pyramid, pyramid_roi_align
from maskrcnn.model.rpn import RPN
from maskrcnn.ops.host import computed_indices
from maskrcnn.ops.memory import check_memory


class MaskRCNN(nn.Module):
    """The network for one set of class names, randomly initialised.

    Args:
        config: see `maskrcnn.config.PRESETS`. `MaskRCNNError` if it needs more memory than is free.
        names: class names; a label is an index into them, background is nobody's.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, names: Sequence[str]) -> None:
        super().__init__()
        check_memory(config, len(names))
        self._config, self.names = config, tuple(names)
        self.backbone = build_backbone(config)
        self.fpn = FPN(self.backbone.channels, config)
        self.rpn = RPN(config)
        self.box_head = BoxHead(len(self.names), config)
        self.mask_head = MaskHead(len(self.names), config)
        self.full_scale = config.preprocess.full_scale
        self.register_buffer("mean", torch.tensor(config.preprocess.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.preprocess.std)[:, None, None], persistent=False)

    def detect(
        self, images: Tensor, sizes: Tensor, score: Tensor | float = 0.0, max_detections: int | None = None
    ) -> InstanceDetections:
        """Find the objects in a padded batch.

        Args:
            images: [B, channels, H, W], values as stored (RGB 0..255), filled from the top left; H, W multiples of 32.
            sizes: int [B, 2], each image's (height, width) within the padding.
            score: lowest score asked for; below the configured threshold nothing is found anyway.
            max_detections: D; the configured number unless given.

        Returns:
            Boxes [B, D, 4], scores [B, D], labels [B, D], valid [B, D] and mask probabilities [B, D, M, M].
        """
        levels = self.features(images, sizes)
        proposals = self.rpn.propose(self.rpn(levels, images.shape[-2:]), sizes)
        pyramid = Pyramid.of(levels, STRIDES)
        logits, deltas = self._classify(pyramid, proposals.boxes)
        detections = select_detections(logits, deltas, proposals, sizes, self.config, score, max_detections)
        masks = self._mask_logits(pyramid, detections.boxes, detections.labels, detections.valid)
        return InstanceDetections(*detections, masks=masks.float().sigmoid())

    def losses(self, batch: Batch) -> Losses:
        """L = L_cls + L_box + L_mask + L_objectness + L_rpn_box for a batch; no object at all is fine."""
        return Losses(*self.loss_terms(batch).mean)

    def loss_terms(self, batch: Batch) -> Term:
        """The five losses in the order of `Losses`, sums and what divides them apart: float [5], int [5]."""
        levels = self.features(batch.images, batch.sizes)
        predictions = self.rpn(levels, batch.images.shape[-2:])
        objectness, rpn_box = self.rpn.losses(predictions, batch)
        rois = self.box_head.select(self.rpn.propose(predictions, batch.sizes), batch)
        pyramid = Pyramid.of(levels, STRIDES)
        logits, deltas = self._classify(pyramid, rois.boxes)
        classification, box = self.box_head.losses(logits.flatten(0, 1), deltas.flatten(0, 1), rois, batch)
        rois = rois.first(int(self.config.roi_samples * self.config.roi_positive_share))
        mask_logits = self._mask_logits(pyramid, rois.boxes, rois.labels, rois.foreground).flatten(0, 1)
        terms = (objectness, rpn_box, classification, box, self.mask_head.loss(mask_logits, rois, batch))
        return Term(*map(torch.stack, zip(*terms, strict=True)))

    def features(self, images: Tensor, sizes: Tensor) -> list[Tensor]:
        """The pyramid [B, F, H / s, W / s] for s = 4, 8, 16, 32 and coarser; padding is zero after normalisation."""
        height, width = images.shape[-2:]
        row = torch.arange(height, device=images.device)[:, None] < sizes[:, 0, None, None]
        column = torch.arange(width, device=images.device) < sizes[:, 1, None, None]
        images = (images.float() / self.full_scale - self.mean) / self.std * (row & column)[:, None]
        return self.fpn(self.backbone(images.to(self.dtype, memory_format=torch.channels_last)))

    @property
    def config(self) -> Config:
        """What it was built from; what a call may ask for otherwise is an argument of `detect`."""
        return self._config

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights, and so of the features."""
        return self.mask_head.logits.weight.dtype

    def _classify(self, pyramid: Pyramid, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [B, K, C + 1] and box deltas [B, K, C, 4] for boxes [B, K, 4]."""
        image = torch.arange(boxes.shape[0], device=boxes.device).repeat_interleave(boxes.shape[1])
        logits, deltas = self.box_head(self._rois(pyramid, boxes.flatten(0, 1), image, self.config.box_bins))
        return logits.unflatten(0, boxes.shape[:2]), deltas.unflatten(0, boxes.shape[:2])

    def _mask_logits(self, pyramid: Pyramid, boxes: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
        """Logits [B, K, M, M] of the masks of class labels [B, K] in boxes [B, K, 4], for those that are wanted."""
        image, place = computed_indices(wanted)
        rois = self._rois(pyramid, boxes[image, place], image, self.config.mask_bins)
        logits = self.mask_head.of_class(rois, labels[image, place])
        return logits.new_zeros(*labels.shape, *logits.shape[1:]).index_put((image, place), logits)

    def _rois(self, pyramid: Pyramid, boxes: Tensor, image: Tensor, bins: int) -> Tensor:
        """Features [R, F, bins, bins] of boxes [R, 4] in the images of these numbers, int [R]."""
        return pyramid_roi_align(pyramid, boxes, image, bins, self.config.roi_sampling, self.config.roi_aligned)
