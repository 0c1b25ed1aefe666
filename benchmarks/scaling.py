"""How time grows with images and with objects, 1 to 1,000: a table, a straight line through it, and a plot.

    python benchmarks/scaling.py [--plot docs/images/scaling.png]

Objects: one photo of 800×1088 through ResNet-50-FPN with room for 1,000 detections; the score asked for decides how
many are found, and so how many masks are made and run-length encoded. torchvision's dense masks are timed too, up to
300. Images: a list of the same photo in 512 pixels through the lite preset.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from peer import as_float, build, photos, weights_file

from maskrcnn.inference.loading import load

OBJECTS = (1, 3, 10, 30, 100, 300, 1000)
IMAGES = (1, 2, 4, 8, 16, 32)
MOST, DENSE_MOST = 1000, 300
SIZE = (800, 1088)

Points = list[tuple[int, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    ours, theirs = objects(arguments.device, arguments.repeats)
    many = images(arguments.device, arguments.repeats)
    for title, points in (("ours, objects", ours), ("torchvision, objects", theirs), ("ours, images", many)):
        print(f"{title}: {describe(points)}")
    if arguments.plot:
        plot(ours, theirs, many, arguments.plot)


def objects(device: str, repeats: int) -> tuple[Points, Points]:
    """(objects, seconds) of ours with run lengths and of torchvision, on one photo."""
    photo = photos(1, *SIZE)[0]
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_file(Path(folder))
        changes = {"max_detections": MOST, "score_threshold": 0.0, "preprocess": {"short": [800, 800], "long": 1088}}
        predictor = load(weights, device, config=changes)
        peer = build(min_size=min(SIZE), max_size=max(SIZE), box_detections_per_img=MOST)
        peer.load_state_dict(torch.load(weights, weights_only=True))
        peer.to(device)
    scores = np.sort(predictor.predict(photo, score=0.0).scores)[::-1]
    ours, theirs = [], []
    for wanted in OBJECTS:
        score = float(scores[min(wanted, len(scores)) - 1])
        found = len(predictor.predict(photo, score))
        ours.append((found, timed(lambda score=score: predictor.predict(photo, score).masks.rle(), repeats)))
        if wanted <= DENSE_MOST:
            peer.roi_heads.score_thresh = score - 1e-6
            theirs.append((found, timed(lambda: torchvision_run(peer, photo, device), repeats)))
    return ours, theirs


@torch.inference_mode()
def torchvision_run(peer: torch.nn.Module, photo: np.ndarray, device: str) -> None:
    peer([as_float(photo).to(device)])[0]["scores"].cpu()


def images(device: str, repeats: int) -> Points:
    """(images, seconds) of a list of photos."""
    predictor = load("people", device)
    photo = photos(1, 512, 640)[0]
    return [
        (count, timed(lambda count=count: [one.masks.rle() for one in predictor.predict([photo] * count)], repeats))
        for count in IMAGES
    ]


def timed(run: Callable[..., object], repeats: int) -> float:
    """Median seconds, after one run to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def describe(points: Points) -> str:
    """The points, and the straight line that fits them."""
    count, seconds = np.array(points).T
    slope, start = np.polyfit(count, seconds, 1)
    spread = ((seconds - start - slope * count) ** 2).sum() / max(((seconds - seconds.mean()) ** 2).sum(), 1e-12)
    listed = ", ".join(f"{number}: {value:.3f} s" for number, value in points)
    return f"{listed}; {start:.3f} s + {slope * 1e3:.2f} ms each, R² {1 - spread:.4f}"


def plot(ours: Points, theirs: Points, many: Points, path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for points, name in ((ours, "maskrcnn, masks as run lengths"), (theirs, "torchvision, dense masks")):
        left.plot(*zip(*points, strict=True), "o-", label=name)
    left.set(xlabel="objects in the image", ylabel="seconds", title="ResNet-50-FPN, 800 x 1088", ylim=(0, None))
    right.plot(*zip(*many, strict=True), "o-", label="maskrcnn, lite, 512 px")
    right.set(xlabel="images", ylabel="seconds", title="lite, 512 px", ylim=(0, None))
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
