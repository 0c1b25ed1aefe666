"""What is wrong with a piece of data, as one record: from the reader or the doctor to the line that a user reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maskrcnn.errors import MaskRCNNError, shortened

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at one place.

    Attributes:
        check: its stable id, such as "outside-image".
        file: the image, the label file or the folder; "" if it concerns none.
        what: what was expected and found.
        fix: what the user can do about it.
        severity: error, if something is lost or training goes wrong; warning, if it may; note, for what was assumed.
        images_lost, objects_lost: how many are not used because of it.
        annotation: id of the annotation, or the value in an id map; None if it concerns no single one.
        entry: the part of the file, as its format counts: "line 3", "shape 2"; by default the annotation.
        split: "train", "val", …; "" for data without splits, and until the doctor sets it.
        fixable: whether the doctor corrects it in a copy.
    """

    check: str
    file: str
    what: str
    fix: str = ""
    severity: Severity = "error"
    images_lost: int = 0
    objects_lost: int = 0
    annotation: int | None = None
    entry: str = ""
    split: str = ""
    fixable: bool = False

    def __post_init__(self) -> None:
        # They quote values from files, which can be of any length.
        object.__setattr__(self, "what", shortened(self.what))
        object.__setattr__(self, "fix", shortened(self.fix))

    @property
    def where(self) -> str:
        """The file and the part of it: "labels.json, annotation 7"."""
        entry = self.entry or ("" if self.annotation is None else f"annotation {self.annotation}")
        return ", ".join(filter(None, (shortened(self.file), shortened(entry))))

    @property
    def lossy(self) -> bool:
        """Whether images or objects are not used because of it."""
        return bool(self.images_lost or self.objects_lost)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{'dropped, ' * self.lossy}{self.what}{f' ({self.fix})' if self.fix else ''}"


class DataError(MaskRCNNError):
    """An error with the id of the failed check; readers turn it into a `Problem` and continue."""

    def __init__(self, check: str, what: str, *, where: object = None, fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.check = check

    def problem(
        self, file: object, images_lost: int = 0, objects_lost: int = 0, annotation: int | None = None, entry: str = ""
    ) -> Problem:
        """The `Problem` of this error, with what is lost because of it."""
        return Problem(
            self.check, str(file), self.what, self.fix, "error", images_lost, objects_lost, annotation, entry
        )


def unreadable(error: MaskRCNNError, check: str, objects_lost: int = 0) -> Problem:
    """The `Problem` of an image that cannot be used; the error's ``where`` is its file."""
    return Problem(check, str(error.where), error.what, error.fix, "error", 1, objects_lost)
