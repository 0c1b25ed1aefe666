"""The objects of an image as id maps, for formats in which a pixel belongs to one object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.omissions import Omissions

# Bounds memory; no sound data has more masks over one pixel.
_MAX_LAYERS = 16


def draw_ids(
    objects: Sequence[Drawn], size: tuple[int, int], omissions: Omissions, max_layers: int = _MAX_LAYERS
) -> list[np.ndarray]:
    """One or more layers int32 [H, W]: 0 for background, else the number of the object, counted from 1.

    Where masks overlap, the pixels of the first layer go to the smaller object, and to single objects before crowds, so
    that as few objects as possible vanish from it; covered pixels go to further layers. `omissions` counts what fits
    into no layer.
    """
    layers = [np.zeros(size, dtype=np.int32)]
    areas = np.array([0 if drawn.crop is None else drawn.crop.area for drawn in objects], dtype=np.int64)
    crowd = np.array([drawn.annotation.crowd for drawn in objects], dtype=bool)
    left = np.zeros(len(objects), dtype=np.int64)
    for place in np.lexsort((areas, crowd)):
        crop = objects[place].crop
        if crop is None:
            continue
        bitmap, x, y = crop
        for number in range(max_layers):
            if number == len(layers):
                layers.append(np.zeros(size, dtype=np.int32))
            region = layers[number][y : y + bitmap.shape[0], x : x + bitmap.shape[1]]
            free = bitmap & (region == 0)
            region[free] = place + 1
            bitmap = bitmap & ~free
            if not bitmap.any():
                break
        left[place] = np.count_nonzero(bitmap)
    hidden = (left == areas) & (areas > 0)
    covered = (left > 0) & ~hidden
    omissions.add("hidden", int(hidden.sum()))
    omissions.add("covered", int(covered.sum()), int(left[covered].sum()))
    return layers
