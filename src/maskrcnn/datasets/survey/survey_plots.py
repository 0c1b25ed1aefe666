"""The survey of a data set as plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskrcnn.config import Config
from maskrcnn.datasets.survey.suggestions import LEAST_SIZE, Suggestion, model_changes
from maskrcnn.datasets.survey.survey import Survey, network_scale
from maskrcnn.text import plural, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#3b6fb6", "#d9822b", "#8a8f98"
MOST_BARS = 20
MOST_POINTS = 20_000


def figure(survey: Survey, config: Config, suggestions: Sequence[Suggestion]) -> Figure:
    """Six plots on one sheet: objects an image, sizes, shapes, classes, boxes against anchors, image sizes."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    wanted = config.replace(**model_changes(suggestions))
    sheet = Figure(figsize=(16, 9.5), layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.04))
    axes = sheet.subplots(2, 3)
    _plot_counts(axes[0, 0], survey, config, wanted)
    _plot_sizes(axes[0, 1], survey, wanted)
    _plot_ratios(axes[0, 2], survey, config, wanted)
    _plot_classes(axes[1, 0], survey)
    _plot_boxes(axes[1, 1], survey, wanted)
    _plot_images(axes[1, 2], survey)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return sheet


def _plot_counts(axis: Axes, survey: Survey, config: Config, wanted: Config) -> None:
    counts = survey.objects_an_image
    axis.set(title="Objects an image", xlabel="objects", ylabel="images")
    most = int(counts.max(initial=0))
    axis.hist(counts, bins=[k - 0.5 for k in range(most + 2)] if most < 60 else 50, color=BLUE)
    if most > config.max_detections / 2:
        for value, colour, what in _marks(config.max_detections, wanted.max_detections):
            axis.axvline(value, color=colour, linestyle="--", label=f"max_detections {value} ({what})")
        _legend(axis)


def _plot_sizes(axis: Axes, survey: Survey, wanted: Config) -> None:
    axis.set(title="Size of objects (square root of box area)", xlabel="pixels", ylabel="objects")
    if not len(survey.size):
        return
    network = survey.size * network_scale(survey.image_sizes, wanted.preprocess)[survey.image]
    low, high = min(survey.size.min(), network.min()), max(survey.size.max(), network.max())
    bins = np.geomspace(low * 0.99, high * 1.01, 50).tolist()
    short = " to ".join(str(edge) for edge in dict.fromkeys(wanted.preprocess.short))
    axis.hist(survey.size, bins=bins, color=GREY, alpha=0.5, label="in the image")
    axis.hist(network, bins=bins, color=BLUE, histtype="step", linewidth=2, label=f"in the network, short edge {short}")
    axis.axvline(LEAST_SIZE, color=ORANGE, linestyle="--", label=f"{LEAST_SIZE:g} px: three cells")
    _log_pixels(axis, "x")
    _legend(axis)


def _plot_ratios(axis: Axes, survey: Survey, config: Config, wanted: Config) -> None:
    axis.set(title="Shape of boxes", xlabel="height / width", ylabel="objects")
    if not len(survey.ratio):
        return
    # Square boxes lie in the middle of a bar: 49 bars from 1/8 to 8.
    axis.hist(np.clip(survey.ratio, 1 / 8, 8), bins=(np.geomspace(1 / 8, 8, 49) * 2**-0.0625).tolist(), color=BLUE)
    axis.set_xscale("log", base=2)
    axis.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    for ratios, colour, what in _marks(config.anchor_ratios, wanted.anchor_ratios):
        for ratio in ratios:
            label = f"anchors ({what})" if ratio == ratios[0] else None
            axis.axvline(ratio, color=colour, linestyle="--", label=label)
    _legend(axis)


def _plot_classes(axis: Axes, survey: Survey) -> None:
    counts = np.bincount(survey.label, minlength=len(survey.names))
    masked = np.bincount(survey.label[survey.masked], minlength=len(survey.names))
    shown = np.argsort(-counts, kind="stable")[:MOST_BARS]
    rest = len(counts) - len(shown)
    title = plural(len(counts), "class") + (f", the {len(shown)} most frequent" if rest else "")
    axis.set(title=title if len(counts) > 1 else "Objects of the one class", xlabel="objects")
    names = [_short(survey.names[k]) for k in shown]
    places = np.arange(len(shown))
    bars = axis.barh(places, masked[shown], color=BLUE, label="with a mask")
    if masked.sum() < counts.sum():
        bars = axis.barh(places, (counts - masked)[shown], left=masked[shown], color=ORANGE, label="box only")
        _legend(axis)
    axis.bar_label(bars, [f"{count:,}" for count in counts[shown]], padding=3)
    axis.set_yticks(places, names, parse_math=False)
    axis.set(ylim=(max(len(shown), 8) - 0.4, -0.6), xlim=(0, max(counts.max() * 1.15, 1)))


def _plot_boxes(axis: Axes, survey: Survey, wanted: Config) -> None:
    axis.set(title="Boxes and anchors in the network's input", xlabel="width, pixels", ylabel="height, pixels")
    if not len(survey.size):
        return
    sides = survey.sides * network_scale(survey.image_sizes, wanted.preprocess)[survey.image][:, None]
    if len(sides) > MOST_POINTS:
        sides = sides[np.random.default_rng(0).choice(len(sides), MOST_POINTS, replace=False)]
    alpha = float(np.clip(600 / len(sides), 0.06, 0.6))
    axis.scatter(sides[:, 0], sides[:, 1], s=6, color=BLUE, alpha=alpha, linewidths=0, rasterized=True)
    shapes = [(size, ratio**0.5) for size in wanted.anchor_sizes for ratio in wanted.anchor_ratios]
    widths, heights = [size / root for size, root in shapes], [size * root for size, root in shapes]
    axis.scatter(widths, heights, s=50, color=ORANGE, marker="+", linewidths=2, label="anchors")
    for side in "xy":
        _log_pixels(axis, side)
    _legend(axis)


def _plot_images(axis: Axes, survey: Survey) -> None:
    sizes, counts = np.unique(survey.image_sizes, axis=0, return_counts=True)
    axis.set(title=f"Image sizes: {len(sizes):,} different", xlabel="width, pixels", ylabel="height, pixels")
    if not len(sizes):
        return
    axis.scatter(sizes[:, 1], sizes[:, 0], s=12 + 400 * counts / counts.max(), color=BLUE, alpha=0.4, linewidths=0)
    limits = 0, sizes.max() * 1.1
    axis.set(xlim=limits, ylim=limits, aspect="equal")


def _marks(present: Any, wanted: Any) -> list[tuple[Any, str, str]]:
    """(value, colour, what) of a setting as it is and, where that differs, as suggested."""
    found = [(present, GREY, "present")]
    return found if present == wanted else [*found, (wanted, ORANGE, "suggested")]


def _legend(axis: Axes) -> None:
    low, high = axis.get_ylim()
    if axis.get_yscale() == "linear" and low < high:
        axis.set_ylim(low, high * 1.2)
    axis.legend(framealpha=0.85, edgecolor="none")


def _log_pixels(axis: Axes, side: str) -> None:
    """A logarithmic axis with ticks such as 8, 16, 32."""
    getattr(axis, f"set_{side}scale")("log", base=2)
    getattr(axis, f"{side}axis").set_major_formatter(lambda value, _: f"{value:g}")


def _short(name: str, limit: int = 24) -> str:
    name = visible(name)
    return name if len(name) <= limit else name[: limit - 1] + "…"
