"""The models known by name, with what they find, how well, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass

from maskrcnn.html_table import html_table
from maskrcnn.weights.catalog import BUNDLED, CATALOG, bundled_names
from maskrcnn.weights.checkpoint import read_checkpoint


@dataclass(frozen=True)
class KnownModel:
    """A model that `maskrcnn.load` takes by name.

    Attributes:
        name: to load it by.
        where: bundled with its size, or fetched once.
        what: it finds, and its architecture.
        measured: its AP, and on what.
        licence: of its weights.
    """

    name: str
    where: str
    what: str
    measured: str
    licence: str

    def lines(self) -> list[str]:
        """What there is to say of it, a fact a line."""
        parts = (self.what, self.measured and f"measured: {self.measured}", self.licence and f"licence: {self.licence}")
        return [line for line in parts if line]


class KnownModels(tuple[KnownModel, ...]):
    """The models, those that are bundled first."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"KnownModels({', '.join(model.name for model in self)})"

    def __str__(self) -> str:
        return "\n".join(
            line for one in self for line in (f"{one.name}  ({one.where})", *(f"    {text}" for text in one.lines()))
        )

    def _repr_html_(self) -> str:
        rows = [(one.name, one.where, one.what, one.measured, one.licence) for one in self]
        return html_table([("name", "", "finds", "measured", "licence"), *rows], words=5)


def known_models() -> KnownModels:
    """Bundled models first, then those that are fetched on first use."""
    models = []
    for name in bundled_names():
        path = BUNDLED / f"{name}.safetensors"
        checkpoint = read_checkpoint(path)
        about = {key: str(value) for key, value in checkpoint.provenance.items()}
        size = f"bundled, {path.stat().st_size / 1e6:.0f} MB"
        what = about.get("what", ", ".join(checkpoint.names))
        models.append(KnownModel(name, size, what, about.get("measured", ""), about.get("licence", "")))
    for entry in CATALOG.values():
        models.append(KnownModel(entry.name, "fetched once", entry.what, entry.measured, entry.licence))
    return KnownModels(models)
