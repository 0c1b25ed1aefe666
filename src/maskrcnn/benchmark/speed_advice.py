"""What to choose, from what was measured: the fastest form that still finds the same objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskrcnn.benchmark.speed import ENOUGH_TURNS, Row, Setting, Speeds
from maskrcnn.text import plural

ENOUGH = 0.95  # share of the exact form's objects that a form has to find to be advised
NOISE = 1.05  # times: what is closer together than this is equally fast
FEW = 20  # objects; of fewer, one is more than the 5 % that may be lost


@dataclass(frozen=True)
class Advice:
    """
    Attributes:
        precision: to pass as ``--precision``.
        batch: images together.
        choice: why, in a sentence or two.
        sizes: what other input sizes gain and lose; empty where none was measured.
        size: the one of them to take, or to try first.
        cautions: why the figures may not hold.
    """

    precision: str
    batch: int
    choice: str
    sizes: str = ""
    size: Setting | None = None
    cautions: tuple[str, ...] = ()


def advise(speeds: Speeds, default: str) -> Advice:
    """What to choose of what was measured.

    Args:
        default: the precision that is taken here unless one is given.
    """
    rows, exact = speeds.rows, speeds.rows[0]
    name = exact.setting.precision
    own = [row for row in rows if row.setting.own]
    if exact.agreement.share is None:
        return Advice(name, exact.setting.batch, _unknown(own, exact), cautions=_cautions(speeds))
    good = [row for row in own if _share(row) >= ENOUGH] or [exact]
    fastest = min(row.seconds for row in good)
    even = [row for row in good if row.seconds <= fastest * NOISE]
    best = min(even, key=lambda row: (row.setting.precision != default, row.setting.precision != name, row.seconds))
    return Advice(
        best.setting.precision,
        best.setting.batch,
        " ".join([_choice(best, own, exact, default), *_refused(best, own)]),
        *_other_sizes(best, rows),
        _cautions(speeds),
    )


def percent(row: Row) -> str:
    """The share of the exact form's objects that are found, rounded down: 100 % is all of them."""
    share = row.agreement.share
    return "-" if share is None else f"{math.floor(share * 100 + 1e-9)} %"


def times(seconds: float, row: Row) -> str:
    """How many times as fast as ``seconds`` an image a row is."""
    return f"{seconds / row.seconds:.1f}x"


def _share(row: Row) -> float:
    return row.agreement.share or 0.0


def _choice(best: Row, own: Sequence[Row], exact: Row, default: str) -> str:
    precision, batch, form = best.setting.precision, best.setting.batch, exact.setting.precision
    found = f"finds {percent(best)} of the objects that {form} finds"
    together = ", one image at a time" if batch == 1 else f", {batch} images together"
    together = together if len({row.setting.batch for row in own}) > 1 else ""
    if precision == default:
        if precision == form:
            only = len({row.setting.precision for row in own}) == 1
            why = "no other was measured" if only else "no other precision is faster and finds as much"
            return f"Keep the default, {form}{together}: at the model's own size {why}."
        return f"Keep the default, {precision}{together}: {times(exact.seconds, best)} as fast as {form}, and {found}."
    usual = min((row for row in own if row.setting.precision == default), key=lambda row: row.seconds, default=None)
    than, name = (usual, f"the default, {default},") if usual else (exact, form)
    gain = f"{times(than.seconds, best)} as fast as {name}" if than.seconds > best.seconds else f"slower than {name}"
    # Of the exact form it needs no telling that it finds what it finds.
    tail = "" if precision == form else f" and {found}"
    return f"Use --precision {precision}{together}: {gain}{tail} at the model's own size."


def _refused(best: Row, own: Sequence[Row]) -> list[str]:
    """The faster ones that lose too much, the fastest of each precision."""
    faster = [row for row in own if _share(row) < ENOUGH and row.seconds * NOISE < best.seconds]
    by_precision = {row.setting.precision: row for row in sorted(faster, key=lambda row: -row.seconds)}
    return [
        f"{name} is {times(best.seconds, row)} as fast but finds only {percent(row)} of the objects."
        for name, row in by_precision.items()
    ]


def _other_sizes(best: Row, rows: Sequence[Row]) -> tuple[str, Setting | None]:
    """What each other size gains and costs in the same precision and batch size, and the one to take or try first."""
    alike = (best.setting.precision, best.setting.batch)
    others = [row for row in rows if not row.setting.own and (row.setting.precision, row.setting.batch) == alike]
    if not others:
        return "", None
    parts = [f"{row.setting.size}: {times(best.seconds, row)} as fast, finds {percent(row)}" for row in others]
    text = f"Other shortest edges in {alike[0]}: {'; '.join(parts)}."
    good = [row for row in others if _share(row) >= ENOUGH and row.seconds * NOISE < best.seconds]
    if good:
        chosen = min(good, key=lambda row: row.seconds)
        return f"{text} {chosen.setting.size} is worth it.", chosen.setting
    return f"{text} None is faster and finds as much: keep the model's own.", max(others, key=_share).setting


def _unknown(own: Sequence[Row], exact: Row) -> str:
    fastest = min(own, key=lambda row: row.seconds)
    speed = f"{fastest.setting.precision} is the fastest at the model's own size, {times(exact.seconds, fastest)}. "
    form = exact.setting.precision
    return (
        f"Keep {form}: it found nothing in these images, so what the others lose is not known. "
        f"{speed if fastest.setting.precision != form else ''}Give images that show what the model finds, or a lower "
        "--score."
    )


def _cautions(speeds: Speeds) -> tuple[str, ...]:
    found = speeds.rows[0].agreement
    objects = found.kept + found.lost
    cautions = []
    if 0 < objects < FEW:
        cautions.append(
            f"only {plural(objects, 'object')} to compare, of which one is {100 / objects:.0f} %: give "
            "images of your own that show more"
        )
    if speeds.turns < ENOUGH_TURNS:
        cautions.append(f"timed {speeds.turns}x only: for steadier figures give more --seconds, or a quieter machine")
    return tuple(cautions)
