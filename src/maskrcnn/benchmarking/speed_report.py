"""A comparison of speeds as rows of a table, and as plain data for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from maskrcnn.benchmarking.speed import SpeedComparison
from maskrcnn.benchmarking.speed_advice import Advice


def table_rows(comparison: SpeedComparison) -> Iterator[tuple[object, ...]]:
    """A head and a row a variant; batch sizes only if they differ."""
    batches = len({row.variant.batch for row in comparison.rows}) > 1
    yield ("precision", "shortest edge", *["batch"] * batches, "ms/image", "images/s", "speed", "objects", "agree")
    for row in comparison.rows:
        variant, found = row.variant, row.agreement
        yield (
            variant.precision,
            f"{variant.size} (own)" if variant.own else variant.size,
            *[variant.batch] * batches,
            f"{row.seconds * 1000:.1f}",
            f"{1 / row.seconds:.2f}" if row.seconds > 0.1 else f"{1 / row.seconds:.1f}",
            row.times(comparison.rows[0].seconds),
            f"{row.objects} (-{found.lost} +{found.added})",
            row.percent,
        )


def to_json(comparison: SpeedComparison, advice: Advice) -> dict[str, Any]:
    """The measurement and the advice as plain data."""
    return {
        "images": comparison.images,
        "turns": comparison.turns,
        "rows": [
            {
                **dataclasses.asdict(row.variant),
                "ms_per_image": row.seconds * 1000,
                "images_per_second": 1 / row.seconds,
                "times_exact": comparison.rows[0].seconds / row.seconds,
                "objects": row.objects,
                "agreement": row.agreement.share,
                **dataclasses.asdict(row.agreement),
            }
            for row in comparison.rows
        ],
        "advice": dataclasses.asdict(advice),
    }
