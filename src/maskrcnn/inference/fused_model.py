"""A copy of the network for inference: fewer passes over memory, one precision, the same `detect`.

Norms with fixed statistics are folded into the convolutions before them, and what follows a convolution, a sum with a
shortcut or an activation, becomes part of it (`ops/fused_conv.py`). On a CPU in fp32, wide 3×3 convolutions take a
quarter of their multiplications (`ops/winograd.py`). The layers that score boxes and move them stay in fp32: to round
their results to bf16 would move a box by up to a pixel.
"""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from maskrcnn.model.layers import FrozenBatchNorm2d, norm_affine
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.fused_conv import Conv, fused_conv
from maskrcnn.ops.host import plain_only
from maskrcnn.ops.linear import linear
from maskrcnn.ops.weight_rounding import round_filters
from maskrcnn.ops.winograd import winograd_conv, winograd_weight

WIDE = 256  # channels from which Winograd's fewer multiplications outweigh its transforms; measured

_ADDITIONS = {operator.add, operator.iadd, torch.add}
_RELU, _RELU6 = (nn.ReLU, F.relu, F.relu_, torch.relu), (nn.ReLU6, F.relu6)
_ACTIVATIONS: dict[Any, str] = dict.fromkeys(_RELU, "relu") | dict.fromkeys(_RELU6, "relu6")


def for_inference(model: MaskRCNN, device: torch.device, dtype: torch.dtype, portable: bool = False) -> MaskRCNN:
    """A copy of the model on a device, in a precision, for `detect` alone; its parameters do not fit a checkpoint.

    ``portable``: convolutions are kept as such, so that an exporter finds them.
    """
    fast = copy.deepcopy(model).eval().requires_grad_(False).to(device)
    fast.backbone = _fused(fast.backbone)  # type: ignore[assignment]
    for part in (fast.rpn, fast.box_head, fast.mask_head):
        part.convs = _fused(part.convs)  # type: ignore[assignment]
    fast.fpn.lateral, fast.fpn.output = (
        nn.ModuleList(_fused(block) for block in blocks) for blocks in (fast.fpn.lateral, fast.fpn.output)
    )
    fast.box_head.hidden = nn.ModuleList(HiddenLinear(layer) for layer in fast.box_head.hidden)  # type: ignore[arg-type]
    exact = {fast.rpn.logits, fast.rpn.deltas, fast.box_head.logits, fast.box_head.deltas, fast.rpn.anchors}
    for module in fast.modules():
        # Statistics that could not be folded keep their precision; every norm takes mixed input.
        if module not in exact and not isinstance(module, _BatchNorm):
            for name, value in (*module._parameters.items(), *module._buffers.items()):
                if value is not None and value.is_floating_point() and name not in ("mean", "std"):
                    value.data = round_filters(value.data, dtype, isinstance(module, nn.ConvTranspose2d))
    if device.type == "cpu" and dtype == torch.float32 and not plain_only() and not portable:
        _use_winograd(fast)
    return fast.to(memory_format=torch.channels_last)


class FusedConv2d(nn.Module):
    """A convolution, an optional sum with another map, an optional activation: [B, C, H, W] → [B, O, H', W']."""

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None = None) -> None:
        super().__init__()
        weight, bias = conv.weight, conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels)
        if norm is not None:
            scale, shift = norm_affine(norm)
            weight, bias = weight * scale[:, None, None, None], bias * scale + shift
        self.weight, self.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
        stride, padding, dilation = conv.stride, conv.padding, conv.dilation
        self.conv = Conv(stride, padding, dilation, conv.groups)  # type: ignore[arg-type]
        self.activation = ""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return fused_conv(x, self.weight, self.bias, self.conv, self.activation, residual)


class WinogradConv2d(nn.Module):
    """`FusedConv2d` of 3×3 and stride 1."""

    def __init__(self, conv: FusedConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(winograd_weight(conv.weight), False)
        self.bias, self.relu = conv.bias, conv.activation == "relu"

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        out = winograd_conv(x, self.weight, self.bias, self.relu and residual is None)
        if residual is None:
            return out
        out = out + residual
        return out.relu_() if self.relu else out


class HiddenLinear(nn.Module):
    """A linear layer by the fastest operator: [N, C] → [N, O]."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, FrozenBatchNorm2d | _BatchNorm) or super().is_leaf_module(module, name)


def _fused(module: nn.Module) -> nn.Module:
    """The module with its convolutions as `FusedConv2d`; as it is where its data flow cannot be traced."""
    try:
        graph = _Tracer().trace(module)
    except Exception:  # a network's own code may raise anything on a traced value
        return module
    modules = dict(module.named_modules())
    for node in list(graph.nodes):
        conv = _module(node, modules)
        if not isinstance(conv, nn.Conv2d) or type(conv) is not nn.Conv2d:
            continue
        if conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and not node.kwargs:
            _fuse_at(node, conv, module, modules)
    graph.lint()
    return fx.GraphModule(module, graph)


def _fuse_at(node: fx.Node, conv: nn.Conv2d, root: nn.Module, modules: dict[str, nn.Module]) -> None:
    """Replace a convolution, and the norm, sum with a shortcut and activation that follow it, by one module."""
    chain, inputs, after = [node], [*node.args], ""
    norm = _module(_only_user(node), modules)
    fixed = isinstance(norm, FrozenBatchNorm2d | _BatchNorm) and not norm.training and norm.running_mean is not None
    norm = norm if fixed else None
    fused = FusedConv2d(conv, norm)
    own = getattr(norm, "act", nn.Identity())  # timm's norms carry their activation
    if norm is not None:
        chain += node.users
    if not isinstance(own, nn.Identity):
        fused.activation = _ACTIVATIONS.get(type(own), "")
        after = "" if fused.activation else f"{chain[-1].target}.act"
    else:
        follower = _only_user(chain[-1])
        if follower is not None and follower.target in _ADDITIONS and not follower.kwargs:
            others = [value for value in follower.args if value is not chain[-1]]
            if len(others) == 1 and isinstance(others[0], fx.Node):
                chain.append(follower)
                inputs += others
                follower = _only_user(follower)
        if follower is not None and (activation := _activation(follower, modules)):
            chain.append(follower)
            fused.activation = activation
    name = f"{node.name}_fused"  # of this call: a convolution called twice has two followers
    root.add_module(name, fused)
    modules[name] = fused
    with node.graph.inserting_before(chain[-1]):
        value = node.graph.call_module(name, tuple(inputs))
        value = node.graph.call_module(after, (value,)) if after else value
    chain[-1].replace_all_uses_with(value)
    for replaced in reversed(chain):
        node.graph.erase_node(replaced)


def _module(node: fx.Node | None, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules.get(str(node.target)) if node is not None and node.op == "call_module" else None


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _activation(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    return _ACTIVATIONS.get(type(_module(node, modules)) if node.op == "call_module" else node.target, "")


def _use_winograd(model: nn.Module) -> None:
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, FusedConv2d) and _suits_winograd(child):
                setattr(module, name, WinogradConv2d(child))


def _suits_winograd(conv: FusedConv2d) -> bool:
    plain = conv.conv == Conv((1, 1), (1, 1), (1, 1), 1) and conv.activation in ("", "relu")
    return plain and conv.weight.shape[2:] == (3, 3) and min(conv.weight.shape[:2]) >= WIDE
