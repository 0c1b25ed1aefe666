"""16-bit images, measured with a model for 8-bit pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.images.image_reader import read_channels, read_header
from maskrcnn.text import plural

_LOOKED_AT = 8  # images
# From this AP on the model copes with them.
_USEFUL_AP = 30.0
_DEEP_MODES = ("uint16", "I;16", "I;16B", "I;16L", "I;16N", "I")


def deep_image_advice(facts: Facts) -> Iterator[Recommendation]:
    """Advice on a model that sees 16-bit images as stretched to 8 bits, and is of little use."""
    if not facts.config.preprocess.rgb or facts.ap >= _USEFUL_AP:
        return
    deep, highest = 0, 0
    chosen = facts.paths[:_LOOKED_AT]
    for path in chosen:
        with suppress(MaskRCNNError):
            if read_header(path).mode in _DEEP_MODES:
                pixels = read_channels(path)
                deep += pixels.dtype == np.uint16
                highest = max(highest, int(pixels.max(initial=0)))
    if not deep or deep < len(chosen) / 2:
        return
    yield Recommendation(
        "16-bit-images",
        "The images have 16 bits, and the model is one for 8-bit pictures.",
        f"{deep} of the first {plural(len(chosen), 'image')} have values up to {highest:,}; each image is stretched "
        "from its lowest to its highest value, so that a few bright pixels make all others dark.",
        "Train on the values as they are stored.",
        facts.subject.train(channels="stored", minutes=30),
    )
