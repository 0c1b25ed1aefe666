"""Make a bundled model of a finished run: half-precision weights with their provenance, measured as shipped.

    python recipes/bundle.py runs/nuclei/last.safetensors recipes/nuclei.card.yaml DATA

writes src/maskrcnn/weights/bundled/NAME.safetensors and its card NAME.md. Every number on the card is measured here, on
the file that ships.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.inference.loading import load
from maskrcnn.weights.catalog import BUNDLED
from maskrcnn.weights.checkpoint import read_checkpoint, save_checkpoint
from maskrcnn.weights.load import load_model

CARD = """# {name}

{what}

| | |
|---|---|
| classes | {classes} |
| architecture | `{preset}`, {parameters:.1f} M parameters, {megabytes:.1f} MB in fp16 |
| input | shortest edge {short} px, longest at most {long} px |
| training data | {data} |
| recipe | `{recipe}`: {images_seen:,} images seen in {steps:,} steps, {hardware} |
| weights' licence | {licence} |

## Measured

{split}: {images} images, at most {max_detections} objects each (maxDets), fp32 on a CPU.

| | AP | AP50 | AP75 | AP small | AP medium | AP large |
|---|---|---|---|---|---|---|
| box | {box} |
| mask | {mask} |

Reproduce with `maskrcnn evaluate DATA --model {name}`.

## Limits

{limits}
"""


def numbers(metrics: dict[str, float], kind: str) -> str:
    keys = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    return " | ".join(
        "-" if metrics[f"{kind}_{key}"] != metrics[f"{kind}_{key}"] else f"{metrics[f'{kind}_{key}']:.1f}"
        for key in keys
    )


def bundle(weights: Path, card_file: Path, data: Path) -> None:
    """Ship ``weights`` under the name of the card."""
    card: dict[str, Any] = yaml.safe_load(card_file.read_text())
    path = BUNDLED / f"{card['name']}.safetensors"
    model = load_model(weights)[0]
    provenance = read_checkpoint(weights).provenance | {
        "what": card["what"],
        "licence": card["licence"],
        "data": card["data"],
    }
    save_checkpoint(model, path, provenance, torch.float16)
    result = evaluate(load(path, "cpu", "fp32"), open_dataset(data, "val"))
    measured = f"{card['split']}: mask AP {result.metrics['mask_AP']:.1f}, box AP {result.metrics['box_AP']:.1f}"
    save_checkpoint(model, path, provenance | {"measured": measured}, torch.float16)
    text = CARD.format(
        **card,
        classes=", ".join(model.names),
        preset=model.config.preset,
        parameters=sum(value.numel() for value in model.parameters()) / 1e6,
        megabytes=path.stat().st_size / 1e6,
        short=" to ".join(str(edge) for edge in dict.fromkeys(model.config.preprocess.short)),
        long=model.config.preprocess.long,
        images_seen=provenance["images_seen"],
        steps=provenance["steps"],
        images=result.images,
        max_detections=result.max_detections,
        box=numbers(result.metrics, "box"),
        mask=numbers(result.metrics, "mask"),
    )
    path.with_suffix(".md").write_text(text)
    print(json.dumps(result.metrics, indent=2))


if __name__ == "__main__":
    bundle(*(Path(argument) for argument in sys.argv[1:4]))
