"""Which label of a data set each class of a model stands for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import quoted


def label_mapping(model_names: Sequence[str], dataset_names: Sequence[str]) -> np.ndarray:
    """int64 [C]: the data set's label for each of the model's, -1 for a class it lacks. Raises if none is shared.

    Classes are matched by name; a model and a data set of one class each are taken to mean the same.
    """
    if len(model_names) == len(dataset_names) == 1:
        return np.zeros(1, dtype=np.int64)
    there = {name: index for index, name in enumerate(dataset_names)}
    mapped = np.array([there.get(name, -1) for name in model_names], dtype=np.int64)
    if (mapped < 0).all():
        # Two names that probably mean the same are better advice.
        lower = {name.casefold(): name for name in dataset_names}
        fixes = (
            f"is the data's {lower[close]!r} the model's {name!r}? then rename it"
            for name in model_names
            for close in difflib.get_close_matches(name.casefold(), lower, n=1)
        )
        both = f"the model's classes ({quoted(model_names)}) and the data's ({quoted(dataset_names)})"
        fix = next(fixes, "rename the data's categories, or evaluate a model trained on them")
        raise MaskRCNNError(f"{both} have no name in common", fix=fix)
    return mapped
