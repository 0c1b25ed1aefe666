"""Average the weights of checkpoints of one network: runs from one start that ended in different places.

    python recipes/average.py runs/a/last.safetensors runs/b/last.safetensors --out runs/mean.safetensors

Every parameter and statistic is the mean over the checkpoints (Wortsman et al. 2022, "Model soups"). Settings and
provenance are those of the last one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.any_checkpoint import read_any_checkpoint
from maskrcnn.weights.checkpoint import read_checkpoint, save_checkpoint
from maskrcnn.weights.load import load_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    total: dict[str, Tensor] = {}
    for path in arguments.weights:
        checkpoint, _ = read_any_checkpoint(path)
        model = MaskRCNN(checkpoint.config, checkpoint.names)
        load_checkpoint(model, checkpoint, str(path))
        for name, value in model.state_dict().items():
            number = value.is_floating_point()  # else a count of batches
            total[name] = value.double() + total[name] if number and name in total else value
    count = len(arguments.weights)
    model.load_state_dict({n: value / count if value.is_floating_point() else value for n, value in total.items()})
    save_checkpoint(model, arguments.out, read_checkpoint(arguments.weights[-1]).provenance)


if __name__ == "__main__":
    main()
