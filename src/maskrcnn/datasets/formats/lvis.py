"""LVIS: COCO's layout with federated annotation, lvis_v1_train.json beside the images.

An image lists the classes that were looked for and are absent (`neg_category_ids`), and those of which not every object
is marked (`not_exhaustive_category_ids`); of all others nothing is known. There are no crowd regions.
"""

from __future__ import annotations

from pathlib import Path

from maskrcnn.datasets.formats import coco
from maskrcnn.datasets.formats.location import Location

read = coco.read


def find(path: Path) -> dict[str, Location]:
    """The .json files of the splits of a folder, or a .json file itself."""
    return coco.find(path, kinds=("lvis",))
