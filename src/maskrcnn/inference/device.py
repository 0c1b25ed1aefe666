"""Where a network runs and in which precision: one rule for prediction, training and benchmarks.

What "auto" stands for:

    device                                   prediction   training
    CUDA with bf16 arithmetic                bf16         bf16
    CPU that measures faster in bf16         fp32         bf16
    any other                                fp32         fp32

A device without arithmetic for bf16 emulates it, slower than fp32. A CPU's instructions for it do not tell whether it
is fast: a convolution is timed, forward and backward, and bf16 is taken from 1.2 times the speed of fp32. Prediction on
a CPU stays in fp32 all the same: weights rounded to 8 bits move boxes, and detections are the final answer. Training
keeps its weights in fp32 and rounds only what passes through the layers, an error that averages out over the steps. On
CUDA bf16 is so much faster that prediction takes it too. precision="fp32" is the exact form everywhere.
"""

from __future__ import annotations

import functools
import re
import time

import torch
from torch import nn

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BF16_GAIN = 1.2  # times the speed of fp32, from which a CPU trains in bf16
_TURNS = 3


def pick_device(name: str | torch.device) -> torch.device:
    """The device of this name; "auto" is CUDA, then MPS, then the CPU. Raises `MaskRCNNError` for an absent one."""
    name = str(name) if isinstance(name, torch.device) else name
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if not isinstance(name, str) or not re.fullmatch(r"(cpu|mps)(:0)?|cuda(:\d{1,3})?", name, re.ASCII):
        raise MaskRCNNError(f"unknown device {shown(name)}", fix="use auto, cpu, cuda, cuda:1 or mps")
    kind, _, number = name.partition(":")
    # torch itself takes 999 for another number.
    on_cuda = kind == "cuda" and torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count()
    if not (kind == "cpu" or on_cuda or (kind == "mps" and torch.backends.mps.is_available())):
        raise MaskRCNNError(f"device {name!r} is not there", fix="use device cpu, or auto")
    return torch.device(name)


def pick_precision(name: str, device: torch.device, training: bool = False) -> str:
    """The precision of this name, one of `PRECISIONS`; "auto" follows the rule above."""
    if name == "auto":
        if device.type == "cpu":
            return "bf16" if training and has_fast_bf16(device) and bf16_speed() >= BF16_GAIN else "fp32"
        return "bf16" if has_fast_bf16(device) else "fp32"
    if not isinstance(name, str) or name not in PRECISIONS:
        raise MaskRCNNError(f"unknown precision {shown(name)}", fix=f"use auto, {', '.join(PRECISIONS)}")
    return name


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device has arithmetic for bf16, as far as torch can tell; `bf16_speed` measures a CPU's."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(bf16_instructions())


def bf16_instructions() -> str:
    """This CPU's instructions for bf16 as far as torch can tell; empty where it has to emulate them."""
    found = {"AVX512-BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
    return ", ".join(name for name, asks in found.items() if getattr(torch.cpu, asks, bool)())


def training_precision(device: torch.device) -> tuple[str, str]:
    """What "auto" stands for in training, and why, in words."""
    precision = pick_precision("auto", device, training=True)
    if device.type != "cpu" or not has_fast_bf16(device):
        return precision, f"this device has {'' if has_fast_bf16(device) else 'no '}arithmetic for bf16"
    return precision, f"a convolution trains in bf16 at {bf16_speed():.1f} times the speed of fp32"


@functools.cache
def bf16_speed() -> float:
    """How many times as fast as in fp32 a 3x3 convolution, forward and backward, is in bf16 on this CPU.

    It is as large as a middle layer of `lite` in training, with the same casts. The fastest of three turns counts, so
    that other processes matter little; measured once a process, in some tens of milliseconds.
    """
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(96, 96, 3, padding=1).to(memory_format=torch.channels_last)
        maps = torch.randn(1, 96, 64, 64).to(memory_format=torch.channels_last).requires_grad_()
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(1 + _TURNS):
        for bf16, taken in times.items():
            start = time.perf_counter()
            with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                result = layer(maps)
            result.float().sum().backward()
            taken.append(time.perf_counter() - start)
    return min(times[False][1:]) / min(times[True][1:])  # the first turn includes one-time work
