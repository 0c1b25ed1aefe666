"""`maskrcnn models`."""

from __future__ import annotations

from rich.table import Column, Table

from maskrcnn.cli.console import out


def models() -> None:
    """List the models known by name: bundled ones first, then those that are fetched when asked for."""
    from maskrcnn.weights.catalog import BUNDLED, CATALOG, bundled_names
    from maskrcnn.weights.checkpoint import read_checkpoint

    table = Table(Column("name", no_wrap=True), "finds", "measured", "licence", "where")
    for name in bundled_names():
        path = BUNDLED / f"{name}.safetensors"
        checkpoint = read_checkpoint(path)
        about = checkpoint.provenance
        classes = ", ".join(checkpoint.names)
        size = f"bundled, {path.stat().st_size / 1e6:.0f} MB"
        table.add_row(name, about.get("what", classes), about.get("measured", ""), about.get("licence", ""), size)
    for entry in CATALOG.values():
        table.add_row(entry.name, entry.what, entry.measured, entry.licence, "fetched once")
    out.print(table)
