"""The report's plots, as SVG inside the page that uses the page's colours, light or dark."""

from __future__ import annotations

import functools
import html
import io
import re
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.calibration import BINS
from maskrcnn.evaluation.curves import RECALLS, THRESHOLDS
from maskrcnn.evaluation.error_types import KINDS
from maskrcnn.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Placeholders, which the page's own colours replace.
_COLOURS = {
    f"#0{digit}0{digit}0{digit}": name
    for digit, name in enumerate(("ink", "muted", "line", "blue", "orange", "red", "green"), 1)
}
_INK, _MUTED, _LINE, _BLUE, _ORANGE, _RED, _GREEN = _COLOURS
_CLASS_STYLES = [(colour, dashes) for dashes in ("-", "--") for colour in (_ORANGE, _GREEN, _RED)]
Plot = Callable[["Axes", Analysis], None]


def _figure(title: str) -> Callable[[Plot], Callable[[Analysis], str]]:
    """Makes a function that plots on axes one that returns the plot as an <svg> element without links, ids or fonts."""
    return lambda plot: functools.wraps(plot)(functools.partial(_svg, plot, title))


def _svg(plot: Plot, title: str, analysis: Analysis) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": title}, str(files(__package__).joinpath("report.mplstyle"))):
        figure = Figure(figsize=(6.2, 3.7), layout="constrained")
        plot(figure.subplots(), analysis)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    unused = r'<metadata>.*?</metadata>|\sxmlns(:\w+)?="[^"]*"|(?<=<g) id="[^"]*"'
    text = re.sub(unused, "", text[text.index("<svg") :], flags=re.DOTALL)
    for placeholder, name in _COLOURS.items():
        text = text.replace(placeholder, f"var(--{name})")
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)


@_figure("Precision against recall")
def precision_recall(axes: Axes, analysis: Analysis) -> None:
    """Precision against recall at an IoU of 0.5: all classes together, and each."""
    classes = zip(analysis.tables.names, analysis.curves, strict=True)
    shown = [(name, curve) for name, curve in classes if curve.objects]
    few = len(shown) <= len(_CLASS_STYLES)
    for place, (name, curve) in enumerate(shown if len(shown) > 1 else ()):
        label = _plain(name) if few else "each class" if place == 0 else None
        (line,) = axes.plot(RECALLS, curve.at_recall, label=label, color=_MUTED, linewidth=0.7, alpha=0.35)
        if few:
            colour, dashes = _CLASS_STYLES[place]
            line.set(color=colour, linestyle=dashes, linewidth=1.2, alpha=1)
    axes.plot(RECALLS, analysis.overall.at_recall, color=_BLUE, linewidth=2.4, label="all together")
    best = analysis.overall.at(analysis.threshold)
    label = f"score ≥ {analysis.threshold:.2f}"
    axes.plot(best["recall"], best["precision"], "o", color=_BLUE, markersize=8, label=label)
    axes.set(xlabel="recall: objects found", ylabel="precision: detections right", xlim=(0, 1.01), ylim=(0, 1.03))
    axes.legend(loc="lower left")


@_figure("Precision, recall and F1 against the score threshold")
def thresholds(axes: Axes, analysis: Analysis) -> None:
    curve, best = analysis.overall, analysis.threshold
    axes.plot(THRESHOLDS, curve.precision, color=_GREEN, linewidth=1.6, linestyle="--", label="precision")
    axes.plot(THRESHOLDS, curve.recall, color=_ORANGE, linewidth=1.6, linestyle="-.", label="recall")
    axes.plot(THRESHOLDS, curve.f1, color=_BLUE, linewidth=2.4, label="F1")
    axes.axvline(best, color=_MUTED, linewidth=1)
    side, place = ("left", best + 0.01) if best < 0.6 else ("right", best - 0.01)
    axes.text(place, 0.03, f"best: {best:.2f}", ha=side, color=_INK)
    axes.set(xlabel="score threshold", xlim=(0, 1), ylim=(0, 1.18), yticks=np.linspace(0, 1, 6).tolist())
    axes.legend(loc="upper center", ncols=3)


@_figure("What each kind of mistake costs")
def error_costs(axes: Axes, analysis: Analysis) -> None:
    """AP50 points that each kind of error costs."""
    errors = analysis.errors
    costs = np.nan_to_num([errors.cost[kind] for kind in KINDS]).tolist()
    bars = axes.barh(range(len(KINDS)), costs, color=_BLUE, height=0.62)
    labels = [f"{cost:.1f}  ({count:,})" for cost, count in zip(costs, errors.counts.values(), strict=True)]
    axes.bar_label(bars, labels, padding=4, color=_INK, fontsize=10)
    axes.set_yticks(range(len(KINDS)), KINDS)
    axes.set(xlabel="AP50 points gained without them (how many)", xlim=(0, max(max(costs), 1) * 1.25))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


@_figure("Share of right detections by score")
def reliability(axes: Axes, analysis: Analysis) -> None:
    calibration = analysis.calibration
    centres = (np.arange(BINS) + 0.5) / BINS
    bars = axes.bar(centres, np.nan_to_num(calibration.accuracy), width=0.088, color=_BLUE, alpha=0.75)
    axes.plot((0, 1), (0, 1), color=_ORANGE, linewidth=1.4, linestyle="--", label="what the scores promise")
    labels = [f"{count:,}" if count else "" for count in calibration.counts]
    axes.bar_label(bars, labels, padding=2, color=_MUTED, fontsize=8.5)
    axes.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.08))
    axes.legend(loc="upper left")


@_figure("Objects counted against objects labelled, by image")
def counts(axes: Axes, analysis: Analysis) -> None:
    counting = analysis.counting
    most = max(int(counting.truth.max(initial=0)), int(counting.counted.max(initial=0)), 1) * 1.05
    axes.plot((0, most), (0, most), color=_ORANGE, linewidth=1.4, linestyle="--", label="exact")
    pairs, times = np.unique(np.stack((counting.truth, counting.counted), axis=1), axis=0, return_counts=True)
    area = 16 + 14 * np.sqrt(times - 1)
    axes.scatter(pairs[:, 0], pairs[:, 1], s=area, color=_BLUE, alpha=0.6, linewidths=0, label="image")
    axes.set(xlabel="objects labelled", ylabel="objects counted", xlim=(0, most), ylim=(0, most))
    axes.legend(loc="upper left")


@_figure("Scores of right and wrong detections")
def scores(axes: Axes, analysis: Analysis) -> None:
    values, right = analysis.tables.detections["score"], analysis.matches.correct
    parts, bins = [values[right], values[analysis.matches.judged & ~right]], np.linspace(0, 1, 26).tolist()
    axes.hist(parts, bins=bins, stacked=True, color=[_BLUE, _RED], label=["right", "wrong"])
    axes.axvline(analysis.threshold, color=_MUTED, linewidth=1)
    axes.set(xlabel="score", ylabel="detections", xlim=(0, 1))
    axes.legend(loc="upper center", ncols=2)


def _plain(name: str) -> str:
    """A name that matplotlib takes neither for a formula nor for a label to omit."""
    name = visible(name)
    shortened = name if len(name) <= 24 else f"{name[:23]}…"
    return shortened.replace("$", r"\$").lstrip("_") or "class"
