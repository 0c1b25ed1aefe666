"""Which operators have a Triton kernel for CUDA beside their plain form, and whether it runs here.

A kernel has the signature of its plain form and may only be faster. Triton comes with torch for CUDA and is imported at
the first use. Where it is missing, or a kernel fails (no C compiler for its launcher, a driver too old for its ptxas),
the plain form takes over for the rest of the process and `status` says why. ``MASKRCNN_KERNELS=plain`` turns all off.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskrcnn.ops.host import plain_only
from maskrcnn.ops.memory import is_out_of_memory
from maskrcnn.text import first_line


class _Kernel(NamedTuple):
    module: str  # imported at the first use: it needs Triton
    function: str
    on_cpu: str  # the form that a CPU runs
    sample_arguments: Callable[[torch.device], tuple[Any, ...]]  # arguments of a call that costs nothing


_KERNELS = {
    "nms": _Kernel(
        "maskrcnn.ops.nms_triton",
        "nms",
        "torchvision's",
        lambda device: (torch.zeros(1, 4, device=device), torch.ones(1, dtype=torch.bool, device=device), 0.5, None),
    ),
    "roi align": _Kernel(
        "maskrcnn.ops.roi_align_triton",
        "roi_align",
        "the plain form",
        lambda device: (
            torch.zeros(1, 1, device=device, requires_grad=True),
            *torch.tensor([[0], [1], [1]], device=device),
            torch.zeros(1, 4, device=device),
            (1, 1),
            1,
            True,
        ),
    ),
}
_failures: dict[str, str] = {}


def call(name: str, plain: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """plain(*arguments), by the kernel of that name where it runs; the first argument is a tensor on the device."""
    # First, because what follows cannot be traced.
    if torch.compiler.is_compiling() or why_plain(name, arguments[0].device):
        return plain(*arguments)
    kernel = _KERNELS[name]
    try:
        # Triton launches on the current device, wherever the tensors are.
        with torch.cuda.device_of(arguments[0]):
            return getattr(importlib.import_module(kernel.module), kernel.function)(*arguments)
    except Exception as error:
        # Running out of memory says nothing about the kernel, and a broken capture must not go on with other operators.
        if is_out_of_memory(error) or torch.cuda.is_current_stream_capturing():
            raise
        _failures[name] = f"it failed with {type(error).__name__}: {first_line(error)}"
    return plain(*arguments)


def why_plain(name: str, device: torch.device) -> str:
    """Why the kernel of that name does not run on a device; empty where it does, as far as is known."""
    if plain_only():
        return "MASKRCNN_KERNELS=plain"
    if device.type != "cuda":
        return f"kernels run on CUDA, not on {device.type}"
    return _missing_requirement(device) or _failures.get(name, "")


@functools.cache
def _missing_requirement(device: torch.device) -> str:
    """What a CUDA device lacks to run any kernel; empty for nothing."""
    if torch.version.cuda is None:
        return "torch was built without CUDA"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if torch.cuda.get_device_capability(device) < (7, 0):
        return f"{torch.cuda.get_device_name(device)} is older than compute capability 7.0"
    return ""


def status() -> dict[str, str]:
    """For each operator the form that runs on the CPU and on CUDA, and why when that is not the kernel.

    Tries each kernel on the smallest input where there is a device: a missing compiler shows in no other way.
    """
    return {
        name: f"{kernel.on_cpu} on the CPU, {_cuda_form(name, kernel)} on CUDA" for name, kernel in _KERNELS.items()
    }


def _cuda_form(name: str, kernel: _Kernel) -> str:
    device = torch.device("cuda")
    if not torch.cuda.is_available():
        return "the plain form (no device here)"
    call(name, lambda first, *_: first, *kernel.sample_arguments(device))
    reason = why_plain(name, device)
    return f"the plain form ({reason})" if reason else "Triton"
