"""`maskrcnn models`."""

from __future__ import annotations

from maskrcnn.cli.console import bold, paragraph, say


def models() -> None:
    """List the models known by name.

    Bundled models come first, then those that are downloaded on first use.
    """
    from maskrcnn.weights.catalog import BUNDLED, CATALOG, bundled_names
    from maskrcnn.weights.checkpoint import read_checkpoint

    for name in bundled_names():
        path = BUNDLED / f"{name}.safetensors"
        checkpoint = read_checkpoint(path)
        about = {key: str(value) for key, value in checkpoint.provenance.items()}
        size = f"bundled, {path.stat().st_size / 1e6:.0f} MB"
        what = about.get("what", ", ".join(checkpoint.names))
        _show_model(name, size, what, about.get("measured", ""), about.get("licence", ""))
    for entry in CATALOG.values():
        _show_model(entry.name, "fetched once", entry.what, entry.measured, entry.licence)


def _show_model(name: str, where: str, what: str, measured: str, licence: str) -> None:
    say(bold(name), f"  ({where})")
    for line in (what, measured and f"measured: {measured}", licence and f"licence: {licence}"):
        if line:
            paragraph(line)
