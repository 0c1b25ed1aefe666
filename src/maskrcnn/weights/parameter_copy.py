"""Copies of parameters into layers of other classes or channels: rows by class name, RGB filters for other channels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

# Layers with rows that belong to classes, and how many rows a class has.
_CLASS_ROWS = {"box_head.logits": 1, "box_head.deltas": 4, "mask_head.logits": 1}


def has_class_rows(layer: str, value: Tensor, names: Sequence[str]) -> bool:
    """Whether a layer has rows of its own for each class; class-agnostic heads have one set for all."""
    return layer in _CLASS_ROWS and len(value) >= _CLASS_ROWS[layer] * len(names)


def copy_class_rows(
    layer: str, value: Tensor, value_names: Sequence[str], target: Tensor, target_names: Sequence[str]
) -> None:
    """Copy the rows of the classes that both have, by name, and the last row of logits, the background's."""
    rows = _CLASS_ROWS[layer]
    for index, name in enumerate(target_names):
        if name in value_names:
            there = value_names.index(name)
            target[index * rows : (index + 1) * rows] = value[there * rows : (there + 1) * rows]
    if len(target) == len(target_names) + 1:
        target[-1] = value[-1]


def is_rgb_layer_for(value: Tensor, target: Tensor) -> bool:
    """Whether ``value`` [F, 3, K, K] are a first layer's weights for RGB, and ``target`` [F, C, K, K] for others."""
    rgb = value.dim() == 4 and value.shape[1] == 3 and target.dim() == 4
    return rgb and target.shape[1] != 3 and value.shape == (target.shape[0], 3, *target.shape[2:])


def spread_rgb(value: Tensor, channels: int) -> Tensor:
    """RGB weights for a layer on C channels: one gets their sum, more get them in turn times 3 / C, so that the layer's
    outputs keep their scale."""
    from timm.models import adapt_input_conv

    return adapt_input_conv(channels, value)
