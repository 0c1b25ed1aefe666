"""The settings of a model: type and range of each, and the memory that they need together.

Imports no torch: exported models' settings are checked by the same rules.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown

LARGEST_EDGE = 4096  # pixels of the network input's shortest edge
ANY_LENGTH = 1_000_000  # pixels of an edge that is as long as the image's
MAX_PARAMETERS = 2**31  # numbers of a network
MAX_TENSOR = 2**34  # bytes of any one tensor between the pixels of an image and its masks
SMALLEST_STD = 1e-6
ALWAYS_ALLOWED = 2**30  # bytes that may be used without checking the free memory
LONGEST_NAME = 1000  # characters

# Blocks in each stage of the ResNets that we build.
RESNET_DEPTHS: dict[str, tuple[int, ...]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
_SMALLER_NETWORK = "lower fpn_channels, box_hidden, box_convs, mask_convs, box_bins or backbone_group_width"
SHALLOW = ("resnet18", "resnet34")  # of blocks without a bottleneck
STAGES = 4  # of every backbone


class Range(NamedTuple):
    """The values of a number, or of each number of a row, whose length has a range too."""

    low: float
    high: float
    exclusive: bool = False  # the lowest is not one of them
    min_length: int = 0
    max_length: int = 32


_SHARE = Range(0, 1)
_BETA = Range(0, 1e3)
_WIDTH = Range(1, 65_536)
_PIXELS = Range(0, 1e5, exclusive=True, min_length=1)
RANGES: dict[str, Range] = {
    "preprocess.short": Range(1, ANY_LENGTH),
    "preprocess.long": Range(1, ANY_LENGTH),
    "preprocess.mean": Range(-1e3, 1e3, max_length=1024),
    "preprocess.std": Range(-1e3, 1e3, max_length=1024),  # and more than SMALLEST_STD
    "preprocess.divisor": Range(1, 1024),
    "norm_eps": _SHARE,
    "backbone_groups": Range(1, 1024),
    "backbone_group_width": Range(1, 4096),
    "fpn_channels": _WIDTH,
    "fpn_extra_levels": Range(0, 8),
    "anchor_sizes": _PIXELS,
    "anchor_ratios": Range(1e-3, 1e3, min_length=1),
    "anchor_offset": _SHARE,
    "rpn_convs": Range(0, 32),
    "rpn_samples": Range(1, 100_000),
    "rpn_positive_share": _SHARE,
    "rpn_iou": _SHARE,
    "rpn_beta": _BETA,
    "rpn_nms": _SHARE,
    "rpn_before_nms": Range(1, 20_000),  # suppression compares each with each
    "proposals": Range(1, 100_000),
    "roi_sampling": Range(0, 16),
    "roi_samples": Range(1, 100_000),
    "roi_positive_share": _SHARE,
    "roi_iou": Range(0.01, 1),
    "box_bins": Range(1, 64),
    "box_convs": _WIDTH,
    "box_hidden": _WIDTH,
    "box_beta": _BETA,
    "box_weights": Range(1e-3, 1e4),
    "mask_bins": Range(1, 128),
    "mask_convs": _WIDTH,
    "mask_sampling": Range(0, 16),
    "score_threshold": _SHARE,
    "nms_threshold": _SHARE,
    "max_detections": Range(1, 100_000),
}


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def check_settings(record: Any, prefix: str = "") -> None:
    """Check each field of a frozen record, as it is made, and bring lists to tuples and whole numbers to floats.

    Raises:
        MaskRCNNError: a value is of another type than its field, or out of its range.
    """
    made: Any = type(record)
    for name, kind in _hints(made).items():
        value = _coerced(kind, getattr(record, name), prefix + name)
        _check_range(value, prefix + name)
        object.__setattr__(record, name, value)


def _coerced(kind: Any, value: Any, name: str) -> Any:
    """A value as its field's type: JSON and YAML have no tuples, and write 1 for 1.0."""
    if get_origin(kind) is Literal:
        fits, expected = isinstance(value, str) and value in get_args(kind), " or ".join(get_args(kind))
    elif get_origin(kind) is tuple:
        items = get_args(kind)
        expected = str(kind)
        fits = isinstance(value, list | tuple) and (items[-1] is Ellipsis or len(value) == len(items))
        if fits:
            return tuple(_coerced(items[0], item, name) for item in value)
    elif kind is float:
        fits, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        if fits:
            try:
                return float(value)
            except OverflowError:
                fits = False
    else:
        fits, expected = type(value) is kind, kind.__name__
    if not fits:
        raise MaskRCNNError(f"model setting {name}: expected {expected}, found {shown(value)}")
    return value


def _check_range(value: Any, name: str) -> None:
    if isinstance(value, str) and len(value) > LONGEST_NAME:
        raise MaskRCNNError(f"model setting {name}: expected a name, found a text of {len(value):,} characters")
    limits = RANGES.get(name)
    if limits is None:
        return
    if isinstance(value, tuple) and not limits.min_length <= len(value) <= limits.max_length:
        expected = f"expected {limits.min_length} to {limits.max_length} numbers"
        raise MaskRCNNError(f"model setting {name}: {expected}, found {len(value)}")
    for number in value if isinstance(value, tuple) else (value,):
        if not limits.low <= number <= limits.high or (limits.exclusive and number == limits.low):
            low = f"more than {limits.low:g} and at most" if limits.exclusive else f"{limits.low:g} to"
            expected = f"expected {low} {limits.high:,.10g}"
            raise MaskRCNNError(f"model setting {name}: {expected}, found {shown(number)}", fix="correct the setting")


def check_pixels(record: Any) -> None:
    """Check the fields of a `Preprocess` against each other, and its depth.

    Raises:
        MaskRCNNError: statistics and channels do not match, the bounds of ``short`` are the wrong way round, or the
            lower is more than LARGEST_EDGE.
    """
    if len(record.mean) != len(record.std) or not record.mean or not min(record.std) > SMALLEST_STD:
        raise MaskRCNNError(
            f"preprocess: expected a mean and a positive std for each channel, found mean {shown(record.mean)} and "
            f"std {shown(record.std)}",
            fix="give as many of each as the images have channels",
        )
    if record.depth not in (8, 16):
        raise MaskRCNNError(f"preprocess.depth: expected 8 or 16 bits, found {shown(record.depth)}")
    check_order("preprocess.short", record.short)
    if record.short[0] > LARGEST_EDGE:
        raise MaskRCNNError(
            f"preprocess.short: expected a shortest edge of at most {LARGEST_EDGE} pixels, found {record.short[0]}"
        )


def check_together(config: Any) -> None:
    """Check the fields of a `Config` against each other: order of bounds, parameters, and memory of an image.

    Raises:
        MaskRCNNError: the bounds of a pair are the wrong way round, or the network has more than MAX_PARAMETERS, or an
            image needs a tensor of more than MAX_TENSOR bytes.
    """
    check_order("rpn_iou", config.rpn_iou)
    if (count := parameter_count(config)) > MAX_PARAMETERS:
        found = f"a network of {count / 1e9:,.1f} billion parameters, {_gib(4 * count)}"
        most = f"expected at most {MAX_PARAMETERS / 1e9:.1f} billion"
        raise MaskRCNNError(f"model settings: {found}; {most}", fix=_SMALLER_NETWORK)
    settings, largest = largest_tensor(config)
    if largest > MAX_TENSOR:
        found = f"{settings} together ask for a tensor of {_gib(largest)} an image"
        most = f"expected at most {_gib(MAX_TENSOR)}"
        raise MaskRCNNError(f"model settings: {found}, {most}", fix="lower one of them")


def check_buildable(config: Any, classes: int, free: int | None) -> None:
    """Check, before a network for so many classes is built, that it fits into ``free`` bytes of memory.

    Raises:
        MaskRCNNError: the levels of the pyramid and the sizes of anchors do not match, or the parameters need more
            memory than there is.
    """
    check_levels(config)
    count = parameter_count(config, classes)
    if count > MAX_PARAMETERS or (free is not None and 4 * count > max(free, ALWAYS_ALLOWED)):
        left = f"{_gib(free)} of memory are free" if free is not None else f"at most {_gib(4 * MAX_PARAMETERS)}"
        network = f"a network of {count / 1e9:,.2f} billion parameters for {classes:,} classes"
        raise MaskRCNNError(f"{network}: it takes {_gib(4 * count)}, {left}", fix=_SMALLER_NETWORK)


def check_levels(config: Any) -> int:
    """The number of levels of the pyramid. Raises `MaskRCNNError` unless there is an anchor size for each."""
    levels: int = STAGES + config.fpn_extra_levels
    if len(config.anchor_sizes) != levels:
        found = f"{len(config.anchor_sizes)}: {shown(config.anchor_sizes)}"
        raise MaskRCNNError(f"anchor_sizes: expected {levels} sizes, one a level, found {found}")
    return levels


def check_order(name: str, pair: tuple[float, float]) -> None:
    """Raise `MaskRCNNError` unless the lower bound comes first."""
    if pair[0] > pair[1]:
        raise MaskRCNNError(f"model setting {name}: expected the lower bound first, found {list(pair)}")


def _gib(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB"


def largest_tensor(config: Any) -> tuple[str, int]:
    """The settings that make the largest tensor of one image in detection or training, and its bytes in fp32."""
    short, long, divisor = config.preprocess.short[0], config.preprocess.long, config.preprocess.divisor
    # An image is enlarged to the lower bound of its shortest edge at most.
    pixels = (min(short, long) + divisor) * (long + divisor)
    box_width, mask_width = (max((config.fpn_channels, *convs)) for convs in (config.box_convs, config.mask_convs))
    boxes = max(*config.proposals, config.roi_samples)
    masks = max(config.max_detections, int(config.roi_samples * config.roi_positive_share))
    tensors = {
        "preprocess.short, preprocess.long and channels": pixels * config.preprocess.channels,
        "preprocess.short, preprocess.long and the backbone": pixels // 4 * 64,
        "preprocess.short, preprocess.long and fpn_channels": pixels // 16 * config.fpn_channels,
        "preprocess.short, preprocess.long and anchor_ratios": pixels // 16 * len(config.anchor_ratios) * 4,
        "proposals, roi_samples, box_bins and fpn_channels or box_convs": boxes * config.box_bins**2 * box_width,
        "proposals, roi_samples and box_hidden": boxes * max(config.box_hidden, default=1),
        "max_detections, roi_samples, mask_bins and fpn_channels or mask_convs": (
            masks * 4 * config.mask_bins**2 * mask_width
        ),
    }
    settings = max(tensors, key=tensors.__getitem__)
    return settings, 4 * tensors[settings]


def parameter_count(config: Any, classes: int = 1) -> int:
    """Numbers in the state of a network for so many classes; those of a timm backbone are not counted."""
    fpn, anchors = config.fpn_channels, len(config.anchor_ratios)
    box_rows = 4 * (1 if config.box_class_agnostic else classes)
    mask_rows = 1 if config.mask_class_agnostic else classes
    count = _pyramid(config) + config.rpn_convs * _layer(fpn, fpn, 9) + _layer(fpn, 5 * anchors)
    widths = (fpn, *config.box_convs)
    count += sum(_layer(*pair, 9, config.head_norm) for pair in pairwise(widths))
    widths = (widths[-1] * config.box_bins**2, *config.box_hidden)
    count += sum(_layer(*pair) for pair in pairwise(widths)) + _layer(widths[-1], classes + 1 + box_rows)
    widths = (fpn, *config.mask_convs)
    count += sum(_layer(*pair, 9, config.head_norm) for pair in pairwise(widths))
    return count + _layer(widths[-1], widths[-1], 4) + _layer(widths[-1], mask_rows)


def _layer(inputs: int, outputs: int, area: int = 1, norm: str = "none", groups: int = 1) -> int:
    """Weights, and a bias or a norm's affine part and statistics."""
    rows = {"none": outputs, "frozen": 4 * outputs, "batch": 4 * outputs + 1}
    return inputs // groups * outputs * area + rows[norm]


def _pyramid(config: Any) -> int:
    """The numbers of a ResNet and of the pyramid on it."""
    fpn, norm = config.fpn_channels, config.backbone_norm
    count = 4 * _layer(fpn, fpn, 9, config.fpn_norm)
    if config.fpn_extra == "conv":
        count += config.fpn_extra_levels * _layer(fpn, fpn, 9)
    if config.backbone not in RESNET_DEPTHS:
        return count
    deep, inputs = config.backbone not in SHALLOW, 64
    count += _layer(config.preprocess.channels, 64, 49, norm)
    for stage, depth in enumerate(RESNET_DEPTHS[config.backbone]):
        width = 64 * 2**stage
        outputs = 4 * width if deep else width
        for block in range(depth):
            if deep:
                groups = config.backbone_groups
                inner = width * config.backbone_group_width // 64 * groups
                count += _layer(inputs, inner, 1, norm) + _layer(inner, inner, 9, norm, groups)
                count += _layer(inner, outputs, 1, norm)
            else:
                count += _layer(inputs, width, 9, norm) + _layer(width, width, 9, norm)
            if block == 0 and (stage > 0 or inputs != outputs):
                count += _layer(inputs, outputs, 1, norm)
            inputs = outputs
        count += _layer(inputs, fpn, 1, config.fpn_norm)
    return count
