"""Copies of parameters into layers of other classes or channels: rows by class name, RGB filters for other channels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

# Layers with rows that belong to classes, and how many rows a class has.
_CLASS_ROWS = {"box_head.logits": 1, "box_head.deltas": 4, "mask_head.logits": 1}


def copy_class_rows(
    layer: str, value: Tensor, value_names: Sequence[str], target: Tensor, target_names: Sequence[str]
) -> bool:
    """Copy the rows of the classes that both have, by name, and the last row of logits, the background's.

    Returns whether both have rows for each class: class-agnostic heads have one set for all.
    """
    rows = _CLASS_ROWS.get(layer)
    if rows is None or value.shape[1:] != target.shape[1:]:
        return False
    if len(value) < rows * len(value_names) or len(target) < rows * len(target_names):
        return False
    for index, name in enumerate(target_names):
        if name in value_names:
            there = value_names.index(name)
            target[index * rows : (index + 1) * rows] = value[there * rows : (there + 1) * rows]
    if len(target) == len(target_names) + 1:
        target[-1] = value[-1]
    return True


def without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters without the batches that batch norms have counted."""
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def is_rgb_layer_for(value: Tensor, target: Tensor) -> bool:
    """Whether ``value`` [F, 3, K, K] are a first layer's weights for RGB, and ``target`` [F, C, K, K] for others."""
    rgb = value.dim() == 4 and value.shape[1] == 3 and target.dim() == 4
    return rgb and target.shape[1] != 3 and value.shape == (target.shape[0], 3, *target.shape[2:])


def spread_rgb(key: str, value: Tensor, target: Tensor, notes: list[str]) -> Tensor:
    """``value``; if `is_rgb_layer_for` the target's C channels, spread over them, with a note.

    One channel gets the sum of the three, more get them in turn times 3 / C, so that the layer's outputs keep their
    scale.
    """
    if not is_rgb_layer_for(value, target):
        return value
    from timm.models import adapt_input_conv

    channels = target.shape[1]
    notes.append(f"{key}: weights for RGB spread over {channels} channels")
    return adapt_input_conv(channels, value)
