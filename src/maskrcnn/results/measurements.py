"""Size, shape and brightness of one object, as ``skimage.measure.regionprops`` defines them."""

from __future__ import annotations

import numpy as np

from maskrcnn.masks.crop import Crop

# Our names and those of regionprops.
_SHAPE = {
    "perimeter": "perimeter",
    "equivalent_diameter": "equivalent_diameter_area",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
    "eccentricity": "eccentricity",
    "orientation": "orientation",
    "solidity": "solidity",
}
_BRIGHTNESS = ("mean_intensity", "mean_red", "mean_green", "mean_blue")


def measure_mask(mask: Crop, image: np.ndarray | None) -> dict[str, float]:
    """The figures that `Result.measure` describes; of an empty mask the area is 0 and the others are NaN.

    Args:
        mask: in image pixels.
        image: uint8 [H, W, 3]; without it there are no mean intensities.
    """
    from skimage.measure import regionprops

    bitmap, x, y = mask.tight()
    names = ("centroid_x", "centroid_y", *_SHAPE, *(() if image is None else _BRIGHTNESS))
    figures: dict[str, float] = {"area": int(np.count_nonzero(bitmap)), **dict.fromkeys(names, float("nan"))}
    if bitmap.size:
        region = regionprops(bitmap.astype(np.uint8))[0]
        row, column = region.centroid
        figures |= {"centroid_x": float(column + (x + 0.5)), "centroid_y": float(row + (y + 0.5))}
        figures |= {name: float(getattr(region, theirs)) for name, theirs in _SHAPE.items()}
        if image is not None:
            height, width = bitmap.shape
            colour = image[y : y + height, x : x + width][bitmap].mean(axis=0)
            figures |= zip(_BRIGHTNESS, (float(colour.mean()), *colour.tolist()), strict=True)
    return figures
