"""Class names of labels and model that do not mean the same: numbers in another order, and names that never meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.tables import Tables
from maskrcnn.text import listed, quoted

# A class is taken for another if so much of what is found of it, and so many objects, have the other's name.
_SHARE, _LEAST = 0.6, 3
# Exchanged names are reported if they are those of so many of the objects that are found.
_PART = 0.2


def mixed_up_classes(tables: Tables, model_names: Sequence[str], subject: Subject) -> Iterator[Recommendation]:
    """Advice on labels whose names are in another order than the model's, or that share no name with what it finds.

    Args:
        model_names: classes that the model knows.
    """
    truth_labels = tables.truths["label"][~tables.truths["crowd"]]
    counts = found_as(tables)
    right, swapped = int(np.trace(counts)), swapped_classes(counts)
    labelled = {tables.names[label] for label in np.unique(truth_labels)}
    detected = {tables.names[label] for label in np.unique(tables.detections["label"])}
    if labelled and detected and not labelled & detected:
        yield Recommendation(
            "classes-apart",
            "The classes that the model finds are not those that are labelled.",
            f"Labelled: {quoted(sorted(labelled))}. Found: {quoted(sorted(detected))}.",
            f"Make the names agree; the model knows {quoted(sorted(model_names))}.",
            subject.view(),
            decisive=True,
        )
        return
    if swapped:
        pairs = [
            f"'{tables.names[a]}' as '{tables.names[b]}' ({counts[a, b]} of {counts[a].sum()})" for a, b in swapped
        ]
        found = int(counts.sum())
        yield Recommendation(
            "labels-shifted",
            "Objects are found in the right place under the wrong name: the order of the class names is mixed up.",
            f"Of {len(truth_labels)} objects {found} are found, {right} of them under their own name: {listed(pairs)}.",
            "Look at the labels drawn with their names. Put the names in the order in which the model was trained: "
            f"{quoted(model_names, 8)}; then evaluate again.",
            subject.view(),
            decisive=True,
        )


def found_as(tables: Tables) -> np.ndarray:
    """int64 [C, C]: labelled class by the class of the detection with the highest score that overlaps by half."""
    crowd, labels = tables.truths["crowd"], tables.truths["label"]
    pairs = tables.pairs[(tables.pairs[tables.kind] >= 0.5) & ~crowd[tables.pairs["truth"]]]
    order = np.lexsort((-tables.detections["score"][pairs["detection"]], pairs["truth"]))
    truths, first = np.unique(pairs["truth"][order], return_index=True)
    found = tables.detections["label"][pairs["detection"][order[first]]]
    counts = np.zeros((len(tables.names), len(tables.names)), dtype=np.int64)
    np.add.at(counts, (labels[truths], found), 1)
    return counts


def swapped_classes(counts: np.ndarray) -> list[tuple[int, int]]:
    """(class, the other class whose name its objects have), if names changed places; from `found_as`.

    A class that others are merely confused with keeps its own objects, and no exchange is found.
    """
    rows, columns = linear_sum_assignment(-counts)
    moved = [
        (a, b)
        for a, b in zip(rows.tolist(), columns.tolist(), strict=True)
        if a != b and counts[a, b] >= max(_LEAST, _SHARE * counts[a].sum())
    ]
    exchanged = sum(counts[a, b] for a, b in moved)
    return moved if exchanged > max(sum(counts[a, a] for a, _ in moved), _PART * counts.sum()) else []
