"""What `maskrcnn --version` prints: the environment in one line, for reports. No library is imported for it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from maskrcnn.text import plural
from maskrcnn.version import VERSION, installed_version

_NVIDIA = Path("/proc/driver/nvidia/gpus")


def version_line() -> str:
    """Versions, system and devices; no host or user names, no paths."""
    parts = [
        f"maskrcnn {VERSION}",
        f"Python {platform.python_version()}",
        *(f"{name} {installed_version(name)}" for name in ("torch", "torchvision")),
        f"{platform.system()} {platform.release()} {platform.machine()}",
        plural(os.cpu_count() or 1, "CPU core"),
        *gpus(),
    ]
    return ", ".join(parts)


def gpus(driver: Path = _NVIDIA) -> list[str]:
    """Names of the GPUs that the system tells of without torch: of NVIDIA's driver on Linux, of Apple's chips."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return ["MPS"]
    # A line of each file is "Model:  NVIDIA H200".
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(driver.glob("*/information"))]
    return [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if line.startswith("Model:")]
