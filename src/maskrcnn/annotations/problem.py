"""What is wrong with a piece of data, as a record: what readers drop or change, and what the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maskrcnn.errors import MaskRCNNError, shortened

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        check: its stable id, such as "box-outside".
        where: the file, and the annotation or image if there is one.
        what: what was expected and found.
        fix: what the user can do about it.
        severity: error, if something is lost or training goes wrong; warning, if it may; note, for what was assumed.
        images_lost, objects_lost: how many are not used because of it.
    """

    check: str
    where: str
    what: str
    fix: str = ""
    severity: Severity = "error"
    images_lost: int = 0
    objects_lost: int = 0

    def __str__(self) -> str:
        lost = "dropped, " if self.images_lost or self.objects_lost else ""
        fix = f" ({shortened(self.fix)})" if self.fix else ""
        return f"{shortened(self.where)}: {lost}{shortened(self.what)}{fix}"


class DataError(MaskRCNNError):
    """An error that knows which check it fails; a reader turns it into a `Problem` and goes on."""

    def __init__(self, check: str, what: str, *, where: object = None, fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.check = check

    def problem(self, where: str, images_lost: int = 0, objects_lost: int = 0) -> Problem:
        """The record of what was lost to it."""
        return Problem(self.check, where, self.what, self.fix, "error", images_lost, objects_lost)


def unreadable(error: MaskRCNNError, check: str, objects_lost: int = 0) -> Problem:
    """The record of an image that is lost to an error which names the file itself."""
    return Problem(check, str(error.where), error.what, error.fix, "error", 1, objects_lost)
