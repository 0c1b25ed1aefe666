"""The one error users see: what is wrong, where, and how to mend it."""

from __future__ import annotations


class MaskRCNNError(Exception):
    """A problem with the user's input, told in one line.

    Args:
        what: what was expected and what was found.
        where: the file, and the annotation id if there is one.
        fix: what the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__("".join((f"{where}: " if where is not None else "", what, f" ({fix})" if fix else "")))
