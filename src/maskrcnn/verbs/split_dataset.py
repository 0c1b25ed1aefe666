"""`maskrcnn.split_dataset`: data divided into train, val and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.argument_checks import check_range
from maskrcnn.errors import MaskRCNNError
from maskrcnn.html_table import html_lines, html_table
from maskrcnn.text import plural
from maskrcnn.verbs.claimed_output import own_folder
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.annotations.problem import Problem
    from maskrcnn.datasets.survey.split import SplitPlan


@dataclass(frozen=True, repr=False)
class DatasetSplit:
    """How data were divided.

    Attributes:
        folder: of the new data.
        form: their format.
        plan: which image is in which part.
        problems: images and objects that are not in the new data, or not as they were.
    """

    folder: Path
    form: str
    plan: SplitPlan
    problems: Sequence[Problem]

    def headlines(self) -> list[str]:
        """How many images show the same picture as another."""
        copies = [group for group in self.plan.groups if len(group) > 1]
        counts = f"{plural(sum(map(len, copies)), 'image')}, {plural(len(copies), 'group')}"
        return [f"near-duplicates stay together: {counts}"] if copies else []

    def endings(self) -> list[str]:
        """The format and the folder."""
        return [f"{self.form} → {self.folder}"]

    def _lines(self) -> list[str]:
        return [*self.headlines(), *self.plan.missing_classes(), *self.endings(), *map(str, self.problems)]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {plural(len(indices), 'image')}" for name, indices in self.plan.parts.items())
        return f"DatasetSplit({sizes} → {self.folder})"

    def __str__(self) -> str:
        return "\n".join([repr(self), *self._lines()])

    def _repr_html_(self) -> str:
        return f"<div>{html_table(self.plan.table())}{html_lines(self._lines())}</div>"


def split_dataset(
    data: str | Path,
    folder: str | Path,
    val: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
    merge: bool = False,
    format: str | None = None,
    link: bool = False,
    similar: float = 0.55,
    *,
    display: bool | VerbDisplay | None = None,
) -> DatasetSplit:
    """Divide data into train, val and test; as `maskrcnn dataset split`.

        maskrcnn.split_dataset("photos", "photos-split", val=0.2)

    Near-duplicates stay together, and rare classes are spread over all parts.

    Args:
        data: folder of images and labels, whose format is detected; or a .json or .yaml.
        folder: a new one, for the split data.
        val, test: shares of the images to validate and to test on, 0 to 1.
        seed: equal seeds give equal splits.
        merge: merge existing splits, and split anew.
        format: of the new data; that of the source unless given.
        link: link the image files instead of copying them.
        similar: similarity from which images stay together, 0.3 to 1; 1 for identical ones.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Raises:
        MaskRCNNError: the data are split already, the folder is not empty, or there are too few images.
    """
    from maskrcnn.datasets.combine import combined
    from maskrcnn.datasets.conversion.conversion import convert as write
    from maskrcnn.datasets.formats.format_registry import format_named
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.datasets.survey.split import plan_split, split_shares, subset
    from maskrcnn.output.unfinished import is_free

    for share, name, least in ((val, "val", 0.0), (test, "test", 0.0), (similar, "similar", 0.3)):
        check_range(share, name, least, 1, whole=False)
    check_range(seed, "seed", 0)
    source, folder = Source(data), Path(folder)
    if len(source.splits) > 1 and not merge:
        found = f"the data is already split into {', '.join(source.splits)}"
        raise MaskRCNNError(found, where=data, fix="use merge to pool and split anew")
    if not is_free(folder):
        raise MaskRCNNError("expected an empty folder", where=folder, fix="choose another one")
    target = source.format if format is None else format_named(format)
    parts = [source.open(name) for name in source.splits]
    whole = parts[0] if len(parts) == 1 else combined(parts)
    shares = split_shares(val, test)
    with shown_on(display) as shown, own_folder(folder, shown):
        with shown.bar("compare", len(whole)) as advance:
            plan = plan_split(whole, shares, seed, similar, advance)
        chosen = {name: subset(whole, indices) for name, indices in plan.parts.items()}
        with shown.bar("write", len(whole)) as advance:
            done = write(chosen, folder, target, link, advance=advance)
    problems = [*whole.problems, *plan.problems, *done.problems, *done.omissions]
    return DatasetSplit(folder, target.title, plan, problems)
