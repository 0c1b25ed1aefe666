"""What this machine and installation offer: versions, devices, and which fast paths are active."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch
import torchvision
from PIL import features

from maskrcnn.inference.device import (
    BF16_GAIN,
    bf16_instructions,
    bf16_speed,
    has_fast_bf16,
    pick_device,
    pick_precision,
)
from maskrcnn.inference.fused_model import WIDE
from maskrcnn.ops.allocator import keep_freed_memory
from maskrcnn.ops.fused_conv import fused_form
from maskrcnn.ops.host import plain_only
from maskrcnn.ops.kernel_choice import status
from maskrcnn.ops.linear import linear_form
from maskrcnn.text import plural
from maskrcnn.version import VERSION, installed_version

_LIBRARIES = "torch torchvision timm accelerate hotcoco numpy pillow safetensors onnxruntime openvino"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def environment() -> dict[str, str]:
    """Name → value, for people to read and to paste into a bug report; no host or user names, no paths."""
    cpu, device = torch.device("cpu"), pick_device("auto")
    on_cpu = "" if device == cpu else f"; on cpu {pick_precision('auto', cpu)}"
    return {
        "maskrcnn": VERSION,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: installed_version(name) for name in _LIBRARIES.split()},
        "cpu": f"{_cpu_cores()}, {torch.backends.cpu.get_cpu_capability()}, "
        f"oneDNN {_yes(torch.backends.mkldnn.is_available())}",
        "cuda": _cuda(),
        "mps": _yes(torch.backends.mps.is_available()),
        "device auto": f"{device.type}, precision {pick_precision('auto', device)}{on_cpu}",
        **_fast_forms(),
        "torchvision kernels": _yes(torchvision.extension._has_ops()),
        "libjpeg-turbo": _yes(bool(features.check_feature("libjpeg_turbo"))),
        "image formats": ", ".join(name for name in ("jpg", "zlib", "libtiff", "webp", "avif") if _can_read(name)),
    }


def machine(device: torch.device) -> str:
    """What a measurement ran on, in one line; no host name."""
    cpu = f"{_processor()}, {_cpu_cores()}"
    where = f"{torch.cuda.get_device_name(device)};" if device.type == "cuda" else f"{device.type}:"
    return f"{where} {cpu}; torch {torch.__version__}"


def _fast_forms() -> dict[str, str]:
    """Which of the faster forms of the network run here, and why others do not."""
    devices = [torch.device(name) for name in ("cpu", "cuda") if name == "cpu" or torch.cuda.is_available()]
    places = [(f"for {name} on {where.type}", where, _DTYPES[name]) for where in devices for name in _DTYPES]
    obstacle = "MASKRCNN_KERNELS=plain" if plain_only() else "needs glibc, without allocator settings of your own"
    return {
        "kernels": "; ".join(f"{name}: {form}" for name, form in status().items()),
        "convolutions": ", ".join(f"{fused_form(where, dtype)} {place}" for place, where, dtype in places),
        "linear layers": ", ".join(f"{linear_form(where, dtype)} {place}" for place, where, dtype in places),
        "winograd": f"yes, for fp32 on cpu, 3x3 convolutions of {WIDE} channels and more",
        "memory kept": "yes" if keep_freed_memory() else f"no ({obstacle})",
        "bf16 on cpu": _bf16_on_cpu(),
    }


def _bf16_on_cpu() -> str:
    """The instructions, and what training makes of them."""
    if not bf16_instructions():
        return "no instructions for it: slower than fp32"
    taken = "bf16" if bf16_speed() >= BF16_GAIN else "fp32"
    speed = f"a convolution trains at {bf16_speed():.1f} times the speed of fp32"
    return f"{bf16_instructions()}; {speed}: auto trains in {taken}"


def _cpu_cores() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{plural(cores, 'core')}, {plural(torch.get_num_threads(), 'thread')}"


def _processor() -> str:
    """The processor's name as its maker gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _cuda() -> str:
    if not torch.cuda.is_available():
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        return f"no device (torch was built {built})"
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    devices = "; ".join(f"{device.name}, {device.total_memory / 2**30:.0f} GiB" for device in found)
    fast = _yes(has_fast_bf16(torch.device("cuda")))
    return f"{devices}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, bf16 {fast}"


def _can_read(name: str) -> bool:
    try:
        return bool(features.check(name))
    except (ValueError, AttributeError):
        return False


def _yes(value: bool) -> str:
    return "yes" if value else "no"
