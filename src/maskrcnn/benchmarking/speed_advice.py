"""What to choose, from what was measured: the fastest form that still finds the same objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maskrcnn.benchmarking.speed import ENOUGH_TURNS, SpeedComparison, Variant, VariantSpeed
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
    size: Variant | None = None
    cautions: tuple[str, ...] = ()


def advise(comparison: SpeedComparison, default: str) -> Advice:
    """What to choose of what was measured.

    Args:
        default: the precision that is taken here unless one is given.
    """
    rows, exact = comparison.rows, comparison.rows[0]
    name = exact.variant.precision
    own = [row for row in rows if row.variant.own]
    cautions = tuple(_cautions(comparison))
    if exact.agreement.share is None:
        return Advice(name, exact.variant.batch, _unknown(own, exact), cautions=cautions)
    good = [row for row in own if _share(row) >= ENOUGH] or [exact]
    fastest = min(row.seconds for row in good)
    even = [row for row in good if row.seconds <= fastest * NOISE]
    best = min(even, key=lambda row: (row.variant.precision != default, row.variant.precision != name, row.seconds))
    return Advice(
        best.variant.precision,
        best.variant.batch,
        " ".join([_choice(best, own, exact, default), *_refused(best, own)]),
        *_other_sizes(best, rows),
        cautions,
    )


def _share(row: VariantSpeed) -> float:
    return row.agreement.share or 0.0


def _choice(best: VariantSpeed, own: Sequence[VariantSpeed], exact: VariantSpeed, default: str) -> str:
    precision, batch, form = best.variant.precision, best.variant.batch, exact.variant.precision
    found = f"finds {best.percent} of the objects that {form} finds"
    together = ", one image at a time" if batch == 1 else f", {batch} images together"
    together = together if len({row.variant.batch for row in own}) > 1 else ""
    if precision == default:
        if precision == form:
            only = len({row.variant.precision for row in own}) == 1
            why = "no other was measured" if only else "no other precision is faster and finds as much"
            return f"Keep the default, {form}{together}: at the model's own size {why}."
        return f"Keep the default, {precision}{together}: {best.times(exact.seconds)} as fast as {form}, and {found}."
    usual = min((row for row in own if row.variant.precision == default), key=lambda row: row.seconds, default=None)
    than, name = (usual, f"the default, {default},") if usual else (exact, form)
    gain = f"{best.times(than.seconds)} as fast as {name}" if than.seconds > best.seconds else f"slower than {name}"
    # Of the exact form it needs no telling that it finds what it finds.
    tail = "" if precision == form else f" and {found}"
    return f"Use precision {precision}{together}: {gain}{tail} at the model's own size."


def _refused(best: VariantSpeed, own: Sequence[VariantSpeed]) -> list[str]:
    """The faster ones that lose too much, the fastest of each precision."""
    faster = [row for row in own if _share(row) < ENOUGH and row.seconds * NOISE < best.seconds]
    by_precision = {row.variant.precision: row for row in sorted(faster, key=lambda row: -row.seconds)}
    return [
        f"{name} is {row.times(best.seconds)} as fast but finds only {row.percent} of the objects."
        for name, row in by_precision.items()
    ]


def _other_sizes(best: VariantSpeed, rows: Sequence[VariantSpeed]) -> tuple[str, Variant | None]:
    """What each other size gains and costs in the same precision and batch size, and the one to take or try first."""
    alike = (best.variant.precision, best.variant.batch)
    others = [row for row in rows if not row.variant.own and (row.variant.precision, row.variant.batch) == alike]
    if not others:
        return "", None
    parts = [f"{row.variant.size}: {row.times(best.seconds)} as fast, finds {row.percent}" for row in others]
    text = f"Other shortest edges in {alike[0]}: {'; '.join(parts)}."
    good = [row for row in others if _share(row) >= ENOUGH and row.seconds * NOISE < best.seconds]
    if good:
        chosen = min(good, key=lambda row: row.seconds)
        return f"{text} {chosen.variant.size} is worth it.", chosen.variant
    return f"{text} None is faster and finds as much: keep the model's own.", max(others, key=_share).variant


def _unknown(own: Sequence[VariantSpeed], exact: VariantSpeed) -> str:
    fastest = min(own, key=lambda row: row.seconds)
    speed = f"{fastest.variant.precision} is the fastest at the model's own size, {fastest.times(exact.seconds)}. "
    form = exact.variant.precision
    return (
        f"Keep {form}: it found nothing in these images, so what the others lose is not known. "
        f"{speed if fastest.variant.precision != form else ''}Give images that show what the model finds, or a lower "
        "score."
    )


def _cautions(comparison: SpeedComparison) -> Iterator[str]:
    found = comparison.rows[0].agreement
    objects = found.kept + found.lost
    if 0 < objects < FEW:
        each = f"{100 / objects:.0f} %"
        yield f"only {plural(objects, 'object')} to compare, each {each} of the agreement: give images that show more"
    if comparison.turns < ENOUGH_TURNS:
        yield f"timed {comparison.turns}x only: for steadier figures give more seconds, or a quieter machine"
