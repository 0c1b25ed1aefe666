"""The small data sets of the benchmarks of training: their splits, and subsets of fixed images."""

from __future__ import annotations

from pathlib import Path

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.datasets.survey.split import subset

SETS = ("balloon", "pennfudan", "mushroom", "nuclei")
FOLD = 5  # of pennfudan, which has no val split, every fifth image is measured on and not trained on
SHARE_OF_NUCLEI = 10  # every tenth image of its train split, and every fourth of val
VAL_SHARE_OF_NUCLEI = 4


def open_small_set(root: Path, name: str, images: int | None = None) -> tuple[Dataset, Dataset]:
    """The train and val images of a set; of the train images so many, evenly spread, or all.

    The same files on every machine: images are in the order of their names.
    """
    train = open_dataset(root / name, "train")
    if name == "pennfudan":
        every = range(len(train))
        train, val = subset(train, [i for i in every if i % FOLD]), subset(train, [i for i in every if not i % FOLD])
    else:
        val = open_dataset(root / name, "val")
    if name == "nuclei":
        train = subset(train, range(0, len(train), SHARE_OF_NUCLEI))
        val = subset(val, range(0, len(val), VAL_SHARE_OF_NUCLEI))
    if images is not None and images < len(train):
        train = subset(train, [index * len(train) // images for index in range(images)])
    return train, val
