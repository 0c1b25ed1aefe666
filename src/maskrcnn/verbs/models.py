"""`maskrcnn.models`: the models known by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskrcnn.weights.known_models import KnownModels


def models() -> KnownModels:
    """The models known by name, which `maskrcnn.load` takes; as `maskrcnn models`.

        print(maskrcnn.models())

    Bundled models come first, then those that are downloaded on first use.
    """
    from maskrcnn.weights.known_models import known_models

    return known_models()
