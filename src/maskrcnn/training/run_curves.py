"""The curves of a run as one SVG: losses, and AP at each evaluation; in the colours of the page, light or dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from maskrcnn.model.losses import Losses

LOSSES = Losses._fields
_SIZE, _PANEL, _TOP, _BOTTOM = (760, 250), (300, 170), 34, 204
_COLOURS = {
    "total": "#3b82f6",
    "objectness": "#a78bfa",
    "rpn_box": "#94a3b8",
    "classification": "#f59e0b",
    "box": "#10b981",
    "mask": "#ef4444",
    "mask AP": "#ef4444",
    "box AP": "#10b981",
}
_MOST_POINTS = 150  # of a line; more steps are averaged, which also smooths it

Points = list[tuple[float, float]]


class _Scale(NamedTuple):
    """From values to pixels of a panel whose left edge is at x = ``left``."""

    left: float
    most_x: float
    most_y: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        high = min(max(y, 0.0), self.most_y)
        return self.left + x / self.most_x * _PANEL[0], _BOTTOM - high / self.most_y * _PANEL[1]


def curves_svg(rows: Sequence[Mapping[str, float]], across: str = "step") -> str:
    """The curves of the rows of a history.

    Args:
        rows: the losses of a step, or mask_AP and box_AP in percent of an evaluation; each with its place in the run.
        across: the key of that place, the horizontal axis.

    Returns:
        An <svg> element of 760 x 250 pixels at most; empty text if there is nothing to show yet.
    """
    steps = [row for row in rows if "mask" in row]
    scores = {
        f"{kind} AP": [
            (row[across], row[f"{kind}_AP"]) for row in rows if not math.isnan(row.get(f"{kind}_AP", math.nan))
        ]
        for kind in ("mask", "box")
    }
    if not steps:
        return ""
    losses = {name: _thinned([(row[across], row[name]) for row in steps]) for name in LOSSES}
    losses["total"] = _thinned([(row[across], sum(row[name] for name in LOSSES)) for row in steps])
    most_x = max(row[across] for row in rows) or 1.0
    # The first steps may be far above all others.
    totals = sorted(y for _, y in losses["total"]) or [1.0]
    most_loss = _ceiling(1.1 * totals[int(0.95 * (len(totals) - 1))])
    most_score = _ceiling(max((y for line in scores.values() for _, y in line), default=0.0))
    parts = _panel("loss", losses, _Scale(44, most_x, most_loss), across)
    if any(scores.values()):
        parts += _panel("AP on the val split", scores, _Scale(434, most_x, max(most_score, 1.0)), across, dots=True)
    width, height = _SIZE
    style = f"display:block;max-width:{width}px;width:100%;height:auto;font:11px sans-serif"
    return (
        f'<svg viewBox="0 0 {width} {height}" style="{style}" '
        f'fill="currentColor" role="img" aria-label="losses and AP of the run">{"".join(parts)}</svg>'
    )


def _panel(title: str, lines: Mapping[str, Points], scale: _Scale, across: str, dots: bool = False) -> list[str]:
    parts = [f'<text x="{scale.left}" y="14" font-weight="bold">{title}</text>']
    for value in _ticks(scale.most_y):
        x, y = scale.at(0, value)
        parts.append(f'<path d="M{x:.1f} {y:.1f}h{_PANEL[0]}" stroke="currentColor" stroke-opacity=".15"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end" opacity=".7">{value:g}</text>')
    for value in _ticks(scale.most_x):
        x, y = scale.at(value, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle" opacity=".7">{value:,g}</text>')
    parts.append(
        f'<text x="{scale.left + _PANEL[0]}" y="{_BOTTOM + 32}" text-anchor="end" opacity=".7">{across}</text>'
    )
    place = scale.left
    for name, points in lines.items():
        if not points:
            continue
        spots = [scale.at(x, y) for x, y in points]
        path, colour = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots), _COLOURS[name]
        width, label = (2.2, name) if name == "total" or dots else (1.1, name.replace("_", " "))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        if dots:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in spots]
        parts.append(f'<circle cx="{place + 4:.1f}" cy="24" r="3.5" fill="{colour}"/>')
        parts.append(f'<text x="{place + 11:.1f}" y="28">{label}</text>')
        place += 22 + 5.6 * len(label)
    return parts


def _thinned(points: Points) -> Points:
    """At most `_MOST_POINTS` points, each the mean of its neighbours; numbers that are not finite are left out."""
    points = [point for point in points if math.isfinite(point[1])]
    step = math.ceil(len(points) / _MOST_POINTS) or 1
    groups = [points[start : start + step] for start in range(0, len(points), step)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _ticks(most: float) -> list[float]:
    """Round values from 0 to ``most``, three to six of them."""
    step = 10 ** math.floor(math.log10(most))
    step *= next(part for part in (1.0, 0.5, 0.2) if most / (step * part) >= 3)
    return [step * number for number in range(int(most / step + 1e-9) + 1)]


def _ceiling(value: float) -> float:
    """A value not below this one and above 0, with one or two significant digits."""
    if not value > 1e-12 or not math.isfinite(value):
        return 1.0
    unit = 10 ** math.floor(math.log10(value)) / 2
    return math.ceil(value / unit - 1e-9) * unit
