"""300 objects in an image of 4000×3000 pixels: what their masks cost beyond the network.

    python benchmarks/large_image.py [--objects 300] [--side 4000 3000]

Boxes have sides of 100 to 1,500 pixels, masks are blobs of 28×28 probabilities. Every form is made in a process of its
own, whose memory is measured above what it held before. Dense masks are refused above their byte budget; torchvision
pastes the same probabilities into one float32 [300, 1, H, W], whose size is computed rather than allocated.
"""

from __future__ import annotations

import argparse
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks

FORMS = ("rle", "area", "packed", "dense")


def make(objects: int, width: int, height: int) -> Masks:
    """Blobs: smooth probabilities around a centre, in boxes all over the image."""
    draw = np.random.default_rng(0)
    sides = np.exp(draw.uniform(np.log(100), np.log(1500), (objects, 2)))
    corner = draw.random((objects, 2)) * (np.array([width, height]) - sides)
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    wobble = draw.normal(0, 0.08, (objects, 28, 28))
    probs = 1 / (1 + np.exp(8 * (np.hypot(x, y) - 0.85 + wobble)))
    return Masks.from_probs(probs, boxes, (height, width))


def measure(form: str, objects: int, width: int, height: int) -> str:
    """Seconds and extra memory of one form, or why it is refused."""
    masks = make(objects, width, height)
    getattr(masks[:2], form)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    try:
        result = getattr(masks, form)()
    except MaskRCNNError as error:
        return f"{form:8} refused: {error}"
    seconds = time.perf_counter() - start
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return f"{form:8} {seconds:6.2f} s, {extra:6.0f} MiB more at the most ({len(result)} objects)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=300)
    parser.add_argument("--side", type=int, nargs=2, default=(4000, 3000), metavar=("WIDTH", "HEIGHT"))
    arguments = parser.parse_args()
    for form in FORMS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            print(pool.submit(measure, form, arguments.objects, *arguments.side).result())
    dense = arguments.objects * arguments.side[0] * arguments.side[1] * 4
    print(f"torchvision's float32 masks would take {dense / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
