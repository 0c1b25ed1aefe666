"""`maskrcnn models`."""

from __future__ import annotations

from maskrcnn.cli.console import bold, paragraph, say


def models() -> None:
    """List the models known by name.

    Bundled models come first, then those that are downloaded on first use.
    """
    from maskrcnn.verbs.models import models as known

    for model in known():
        say(bold(model.name), f"  ({model.where})")
        for line in model.lines():
            paragraph(line)
