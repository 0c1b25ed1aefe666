"""What this machine and installation offer: versions, devices, and which fast paths are active."""

from __future__ import annotations

import importlib.metadata
import os
import platform

_LIBRARIES = ("torch", "torchvision", "timm", "accelerate", "faster-coco-eval", "numpy", "pillow", "safetensors")


def environment() -> dict[str, str]:
    """Name → value, for people to read and to paste into a bug report; no host or user names, no paths."""
    import torch
    import torchvision
    from PIL import features

    import maskrcnn
    from maskrcnn.predict.predictor import pick_device, pick_precision

    cpu = torch.device("cpu")
    device = pick_device("auto")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {
        "maskrcnn": maskrcnn.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _LIBRARIES},
        "cpu": f"{cores} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, "
        f"oneDNN {_yes(torch.backends.mkldnn.is_available())}",
        "cuda": _cuda(),
        "mps": _yes(torch.backends.mps.is_available()),
        "device auto": f"{device.type}, precision {_name(pick_precision('auto', device))}"
        + ("" if device == cpu else f"; on cpu {_name(pick_precision('auto', cpu))}"),
        "torchvision kernels": _yes(torchvision.extension._has_ops()),
        "libjpeg-turbo": _yes(bool(features.check_feature("libjpeg_turbo"))),
        "image formats": ", ".join(name for name in ("jpg", "zlib", "libtiff", "webp", "avif") if _can(name)),
    }
    return found


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        return (
            f"no device (torch was built {f'for CUDA {torch.version.cuda}' if torch.version.cuda else 'without CUDA'})"
        )
    devices = []
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        devices.append(f"{about.name}, {about.total_memory / 2**30:.0f} GiB")
    library = torch.backends.cudnn.version()
    return (
        f"{'; '.join(devices)}; CUDA {torch.version.cuda}, cuDNN {library}, bf16 {_yes(torch.cuda.is_bf16_supported())}"
    )


def _can(name: str) -> bool:
    from PIL import features

    try:
        return bool(features.check(name))
    except (ValueError, AttributeError):
        return False


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _yes(value: bool) -> str:
    return "yes" if value else "no"
