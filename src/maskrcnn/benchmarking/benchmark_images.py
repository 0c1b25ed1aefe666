"""The images that are measured on: some of the user's, or photos that are on every machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.channels import as_model_input
from maskrcnn.images.image_like import read_image_like
from maskrcnn.prediction.prediction_run import resolve_images

MOST_IMAGES = 16
_UNDER_A_MICROSCOPE = ("nucle", "cell")


def read_images(
    sources: Sequence[str], preprocess: Preprocess, warn: Callable[[str], None]
) -> tuple[list[np.ndarray], int]:
    """At most `MOST_IMAGES` of the images, evenly spread, as a model takes them, and the number of sources skipped.

    Args:
        sources: files, folders, patterns or addresses.
        warn: takes a line for each problem and note.

    Raises:
        MaskRCNNError: no image can be read.
    """
    found, skipped = resolve_images(sources, "measure on", warn)
    used = min(len(found), MOST_IMAGES)
    if used < len(found):
        warn(f"{used} of {len(found):,} images are used, evenly spread")
    images = []
    for source in (found[number * len(found) // used] for number in range(used)):
        try:
            image, _ = read_image_like(source.path_or_url, preprocess)
        except MaskRCNNError as error:
            warn(f"skipped {error}")
            skipped += 1
            continue
        for note in image.notes:
            warn(f"{source.name}: {note}")
        images.append(image.pixels)
    if not images:
        raise MaskRCNNError("no image to measure on", fix="name image files or folders that hold some")
    return images, skipped


def sample_photos(names: Sequence[str], preprocess: Preprocess) -> list[np.ndarray]:
    """Photos that come with Python packages: uint8 [H, W, C] each, of cells for models of cells, else of daily life.

    Raises:
        MaskRCNNError: the model takes no photos.
    """
    import skimage.data as data

    if any(part in name.lower() for name in names for part in _UNDER_A_MICROSCOPE) and "cell phone" not in names:
        section = data.immunohistochemistry()
        photos = [nuclear_stain(section), section]
    else:
        photos = [data.astronaut(), grace_hopper(), data.coffee(), data.camera(), data.chelsea()]
    try:
        return [as_model_input(photo, preprocess).pixels for photo in photos]
    except MaskRCNNError as error:
        raise MaskRCNNError(f"the sample photos do not suit the model: {error.what}", fix="name images") from None


def grace_hopper() -> np.ndarray:
    """A portrait that comes with matplotlib: uint8 [H, W, 3]."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    return np.asarray(Image.open(str(get_sample_data("grace_hopper.jpg", asfileobj=False))).convert("RGB"))


def nuclear_stain(section: np.ndarray) -> np.ndarray:
    """How much haematoxylin, the stain of nuclei, each pixel of an RGB section holds: uint8 [H, W], nuclei bright."""
    from skimage.color import rgb2hed

    amount = rgb2hed(section)[..., 0]
    low, high = np.percentile(amount, (1, 99.5))
    return (np.clip((amount - low) / (high - low), 0, 1) * 255).astype(np.uint8)
