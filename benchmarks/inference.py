"""Inference beside torchvision's Mask R-CNN: the same weights, the same photos, results checked to agree in the run.

    python benchmarks/inference.py                          # two CPU cores: batch 1 at 800×1088
    python benchmarks/inference.py --device cuda --size 800 1216 --batch 1 8

Every contender runs in a process of its own and they take turns; medians count. Two loads: the threshold of all of them
is set so that about 15 or 100 objects an image are found. torchvision always pastes dense masks; ours returns compact
ones, and the dense ones are timed as well. On a CPU torchvision also runs with our allocator setting, which its users
do not have: that is the harder peer.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from arithmetic import ceiling, multiply_adds
from contenders import Contender, Found, Spec
from peer import photos, weights_file

from maskrcnn.config import preset
from maskrcnn.inference.device import PRECISIONS

LOADS = {"15 objects": 15, "100 objects": 100}
LOWEST_SCORE = 0.05  # torchvision's own threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1088), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=list(PRECISIONS))
    parser.add_argument("--lite", action="store_true", help="also time the lite preset at its own input size")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_file(Path(folder))
        for batch in arguments.batch:
            compare(arguments, weights, batch)


def compare(arguments: argparse.Namespace, weights: Path, batch: int) -> None:
    """One table for each load, one of the stages."""
    size: tuple[int, int] = tuple(arguments.size)
    images = photos(batch, *size)
    contenders = [Contender(spec) for spec in _specs(arguments, weights, size)]
    peer, exact = contenders[0], contenders[0].found(images, LOWEST_SCORE)
    print(f"\n{batch} x {size[0]}x{size[1]} on {arguments.device}, torch {torch.__version__}")
    try:
        for load, wanted in LOADS.items():
            score = _threshold(exact, wanted)
            reference = peer.found(images, score)
            count = sum(len(one.scores) for one in reference) / batch
            print(f"\n{load}: {count:.0f} an image at or above {score:.3f}")
            times = _take_turns(contenders, images, score, arguments.repeats)
            _print_times(contenders, times, batch)
            for contender in contenders[1:]:
                if not contender.spec.preset:
                    print(f"  {contender.spec.name}: {_agreement(contender.found(images, score), reference)}")
        _print_stages(contenders, images, _threshold(exact, 100), arguments.device, size, batch)
        for contender in contenders:
            print(f"  peak memory {contender.spec.name}: {contender.peak() / 2**20:.0f} MiB")
    finally:
        for contender in contenders:
            contender.close()


def _specs(arguments: argparse.Namespace, weights: Path, size: tuple[int, int]) -> list[Spec]:
    device = arguments.device
    specs = [Spec("torchvision fp32", "torchvision", "fp32", device, weights, size)]
    if device == "cpu":
        specs.append(Spec("torchvision fp32, our allocator", "torchvision", "fp32", device, weights, size, True))
    if "bf16" in arguments.precisions:
        specs.append(Spec("torchvision bf16 autocast", "torchvision", "bf16", device, weights, size, device == "cpu"))
    specs += [Spec(f"ours {name}", "ours", name, device, weights, size) for name in arguments.precisions]
    if arguments.lite:
        specs += [
            Spec(f"ours lite {name}", "ours", name, device, weights, size, preset="people")
            for name in arguments.precisions
        ]
    return specs


def _threshold(found: list[Found], wanted: int) -> float:
    """The score that about ``wanted`` objects an image reach, of those found at the lowest threshold."""
    scores = np.sort(np.concatenate([one.scores for one in found]))[::-1]
    place = wanted * len(found)
    return float((scores[place - 1] + scores[place]) / 2) if place < len(scores) else LOWEST_SCORE


def _take_turns(
    contenders: list[Contender], images: list[np.ndarray], score: float, repeats: int
) -> dict[tuple[str, bool], list[float]]:
    times: dict[tuple[str, bool], list[float]] = {}
    for turn in range(repeats + 2):
        for contender in contenders:
            for dense in (False, True) if contender.spec.kind == "ours" and not contender.spec.preset else (False,):
                spent = contender.seconds(images, score, dense)
                if turn > 1:  # the first two warm up: caches, kernels, recordings
                    times.setdefault((contender.spec.name, dense), []).append(spent)
    return times


def _print_times(contenders: list[Contender], times: dict[tuple[str, bool], list[float]], batch: int) -> None:
    median = {key: statistics.median(values) for key, values in times.items()}
    peers = [contender.spec.name for contender in contenders if contender.spec.kind == "torchvision"]
    print(
        f"{'':36}{'ms an image':>12}{'images/s':>10}"
        + "".join(f"{'x ' + name.removeprefix('torchvision '):>26}" for name in peers)
    )
    for (name, dense), spent in median.items():
        ratios = "".join(f"{median[other, False] / spent:>26.2f}" for other in peers)
        label = f"{name}, dense masks" if dense else name
        print(f"{label:36}{spent / batch * 1e3:>12.1f}{batch / spent:>10.2f}{ratios}")


def _agreement(found: list[Found], reference: list[Found]) -> str:
    """How well objects agree: the nearest of the same class."""
    moved, scored, overlaps = [], [], []
    for one, other in zip(found, reference, strict=True):
        masks, others = one.dense(), other.dense()
        distance = np.abs(one.boxes[:, None] - other.boxes[None]).max(-1, initial=0)
        distance[one.labels[:, None] != other.labels[None]] = np.inf
        for place in range(len(other.scores)):
            nearest = int(distance[:, place].argmin()) if len(one.scores) else -1
            near = nearest >= 0 and distance[nearest, place] < 20
            moved.append(distance[nearest, place] if near else np.inf)
            scored.append(abs(one.scores[nearest] - other.scores[place]) if near else np.inf)
            if near:
                union = (masks[nearest] | others[place]).sum()
                overlaps.append((masks[nearest] & others[place]).sum() / union if union else 1.0)
    move, score = np.array(moved), np.array(scored)
    near, close = np.isfinite(move), (move <= 0.5) & (score <= 0.02)
    return (
        f"{(move <= 0.01).mean():.1%} of {len(move)} boxes within 0.01 px, {close.mean():.1%} "
        f"within 0.5 px and 0.02 of score; {near.mean():.1%} found again: median {np.median(move[near]):.2g} px, "
        f"{np.median(score[near]):.2g} of score, mask IoU {np.mean(overlaps):.4f}"
    )


def _print_stages(
    contenders: list[Contender],
    images: list[np.ndarray],
    score: float,
    device: str,
    size: tuple[int, int],
    batch: int,
) -> None:
    """Where a run's time goes, beside what the arithmetic alone would take."""
    config = preset("resnet50_fpn")
    work = multiply_adds(config, *size, config.proposals[1], config.max_detections)
    rates = {name: ceiling(torch.device(device), PRECISIONS[name]) for name in ("fp32", "bf16")}
    print(
        "\nstages with 100 objects, ms an image; floor: multiply-adds at the rate of a 3x3 convolution, measured now:"
    )
    print("  " + ", ".join(f"{name} {2 * rate / 1e12:.3g} TFLOP/s" for name, rate in rates.items()))
    shown = [contender for contender in contenders if not contender.spec.preset]
    columns = [contender.stages(images, score) for contender in shown]
    print(
        f"{'':20}{'GMAC':>8}{'floor fp32':>12}{'floor bf16':>12}" + "".join(f"{c.spec.name[-24:]:>26}" for c in shown)
    )
    for stage in columns[0]:
        amount = work.get(stage, 0)
        floors = "".join(f"{amount / rate * 1e3:>12.1f}" if amount else f"{'':>12}" for rate in rates.values())
        spent = "".join(f"{column[stage] / batch * 1e3:>26.1f}" for column in columns)
        print(f"{stage:20}{amount / 1e9:>8.1f}{floors}{spent}")
    floors = "".join(f"{sum(work.values()) / rate * 1e3:>12.1f}" for rate in rates.values())
    totals = "".join(f"{sum(column.values()) / batch * 1e3:>26.1f}" for column in columns)
    print(f"{'total':20}{sum(work.values()) / 1e9:>8.1f}{floors}{totals}")


if __name__ == "__main__":
    main()
