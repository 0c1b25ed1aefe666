"""The configuration of a model: one frozen record, and the presets by name.

A record is plain data: checkpoints store it as JSON in their metadata, and it rebuilds the same network anywhere.
Values out of range are refused when a record is made (`maskrcnn.setting_limits`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.setting_limits import ANY_LENGTH, LARGEST_EDGE, check_pixels, check_settings, check_together
from maskrcnn.text import suggestion


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes network input: scale, normalise, pad.

    The shortest edge is scaled to the nearest length within ``short``, unless the longest would exceed ``long``
    pixels; then that one is scaled to ``long``. ``mean`` and ``std``, one a channel, are of values in 0..1, where 1 is
    the largest that ``depth`` bits hold. Batches are padded with zeros after normalisation to a multiple of
    ``divisor``.
    """

    short: tuple[int, int] = (800, 800)
    long: int = 1333
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    divisor: int = 32
    antialias: bool = False  # average when shrinking, instead of reading single pixels as torchvision does
    nearest_size: bool = False  # sides to the nearest whole pixel, as detectron2 and mmdetection, instead of down
    whole_values: bool = False  # resampled to whole numbers, with ``antialias`` and bytes to the bit as Pillow does
    depth: int = 8  # bits of a stored value, 8 or 16

    def __post_init__(self) -> None:
        check_settings(self, "preprocess.")
        check_pixels(self)

    @property
    def channels(self) -> int:
        """Number of channels of an image."""
        return len(self.mean)

    @property
    def full_scale(self) -> int:
        """The largest stored value: 255 or 65535."""
        return 2**self.depth - 1

    def at(self, edge: int) -> Preprocess:
        """The same with one shortest edge in pixels and ``long`` in proportion. Raises on an edge out of range."""
        low = self.short[0]
        if type(edge) is not int or not self.divisor <= edge <= LARGEST_EDGE:
            expected = f"expected a shortest edge of {self.divisor} to {LARGEST_EDGE} pixels"
            raise MaskRCNNError(f"input size: {expected}, found {shown(edge)}", fix=f"the model's own is {low}")
        return dataclasses.replace(self, short=(edge, edge), long=min(round(self.long * edge / low), ANY_LENGTH))

    @property
    def rgb(self) -> bool:
        """Whether images are converted to 8-bit RGB; otherwise they are used as stored."""
        return self.channels == 3 and self.depth == 8


@dataclass(frozen=True)
class Config:
    """Architecture and thresholds of one Mask R-CNN. Lengths are pixels of the network input."""

    preset: str = "resnet50_fpn"
    preprocess: Preprocess = field(default_factory=Preprocess)

    backbone: str = "resnet50"  # resnet18 | resnet34 | resnet50 | resnet101 | resnet152 | timm:NAME
    backbone_norm: Literal["frozen", "batch"] = "frozen"
    norm_eps: float = 1e-5
    backbone_groups: int = 1  # of a ResNeXt's 3×3 convolutions
    backbone_group_width: int = 64  # channels a group in its first stage
    backbone_stride_in_1x1: bool = False  # a bottleneck's stride in its first convolution (MSRA), not in its 3×3

    fpn_channels: int = 256
    fpn_norm: Literal["none", "batch"] = "none"
    fpn_extra: Literal["pool", "conv"] = "pool"
    fpn_extra_levels: int = 1

    anchor_sizes: tuple[float, ...] = (32, 64, 128, 256, 512)  # one a level
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
    anchor_rounding: bool = True  # base anchors to whole pixels, strides from the padded input's size, as torchvision
    anchor_offset: float = 0.5  # without rounding: where in its cell an anchor is centred, in cells

    rpn_convs: int = 1
    rpn_samples: int = 256
    rpn_positive_share: float = 0.5
    rpn_iou: tuple[float, float] = (0.3, 0.7)  # below: background, at least: object
    rpn_beta: float = 1 / 9  # of its smooth L1 loss; 0 is L1
    rpn_nms: float = 0.7
    rpn_before_nms: tuple[int, int] = (2000, 1000)  # a level: in training, in detection
    proposals: tuple[int, int] = (2000, 1000)  # an image: in training, in detection

    roi_aligned: bool = False
    roi_sampling: int = 2  # points a bin and axis, 0 adapts to the RoI
    roi_samples: int = 512
    roi_positive_share: float = 0.25
    roi_iou: float = 0.5

    box_bins: int = 7
    box_convs: tuple[int, ...] = ()
    box_hidden: tuple[int, ...] = (1024, 1024)
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    box_beta: float = 1 / 9  # of its smooth L1 loss; 0 is L1
    box_class_agnostic: bool = False  # one box for all classes

    mask_bins: int = 14
    mask_convs: tuple[int, ...] = (256, 256, 256, 256)
    mask_sampling: int = 0  # points a mask target's cell and axis, 0 adapts
    mask_class_agnostic: bool = False  # one mask for all classes
    head_norm: Literal["none", "batch"] = "none"

    score_threshold: float = 0.05
    nms_threshold: float = 0.5
    max_detections: int = 100
    paste_quantized: bool = True  # paste masks into boxes cut to whole pixels, as torchvision does

    def __post_init__(self) -> None:
        check_settings(self)
        check_together(self)

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed; ``preprocess`` may be a dict of its own fields. Raises on unknown names."""
        return from_dict({**to_dict(self), **changes}, defaults=self)


def to_dict(config: Config) -> dict[str, Any]:
    """The record as JSON-ready data."""
    return dataclasses.asdict(config)


def from_dict(data: dict[str, Any], defaults: Config | None = None) -> Config:
    """The record back from `to_dict`'s data. Raises `MaskRCNNError` on a name, a type or a value that does not fit."""
    if not isinstance(data, dict):
        raise MaskRCNNError(f"expected model settings by name, found {shown(data)}")
    if "box_loss" in data:  # the name of old files, for a beta of 1/9 or 0
        data = {**data, "box_beta": {"smooth_l1": 1 / 9, "l1": 0.0}.get(str(data["box_loss"]), data["box_loss"])}
        del data["box_loss"]
    defaults = defaults or Config()
    preprocess = data.get("preprocess", {})
    if isinstance(preprocess, dict):
        preprocess = _fill(Preprocess, preprocess, defaults.preprocess, "preprocess.")
    config: Config = _fill(Config, {**data, "preprocess": preprocess}, defaults)
    return config


def _fill(kind: type, data: dict[str, Any], defaults: Any, prefix: str = "") -> Any:
    names = {item.name for item in dataclasses.fields(kind)}
    for name in data.keys() - names:
        fix = suggestion(str(name), sorted(names))
        raise MaskRCNNError(f"unknown model setting {prefix}{shown(name)}", fix=fix)
    return dataclasses.replace(defaults, **data)


PRESETS: dict[str, Config] = {
    "resnet50_fpn": Config(),
    "resnet50_fpn_v2": Config(
        preset="resnet50_fpn_v2",
        backbone_norm="batch",
        fpn_norm="batch",
        rpn_convs=2,
        box_convs=(256, 256, 256, 256),
        box_hidden=(1024,),
        head_norm="batch",
    ),
    "lite": Config(
        preset="lite",
        preprocess=Preprocess(short=(512, 512), long=864, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), antialias=True),
        backbone="timm:efficientnet_lite0",
        backbone_norm="batch",
        fpn_channels=96,
        anchor_sizes=(24, 48, 96, 192, 384),
        anchor_rounding=False,
        rpn_before_nms=(1000, 1000),
        proposals=(1000, 1000),
        roi_aligned=True,
        roi_samples=256,
        box_hidden=(512, 512),
        mask_convs=(64, 64, 64, 64),
        mask_sampling=2,
        paste_quantized=False,
    ),
}


def preset(name: str) -> Config:
    """The preset of this name. Raises `MaskRCNNError` naming the known ones."""
    if not isinstance(name, str) or name not in PRESETS:
        raise MaskRCNNError(f"unknown preset {shown(name)}", fix=suggestion(str(name), PRESETS))
    return PRESETS[name]
