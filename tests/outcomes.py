"""Counts how the cases of a fuzz test end, so that the test fails where all are refused or none is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from maskrcnn.errors import MaskRCNNError


class Outcomes:
    """The cases of one test.

    Attributes:
        succeeded: how many returned.
        refused: how many raised `MaskRCNNError`; any other exception fails the test at once.
    """

    def __init__(self) -> None:
        self.succeeded = self.refused = 0

    def attempt(self, case: Callable[..., Any], *arguments: Any) -> MaskRCNNError | None:
        """Run a case; its error if it is refused."""
        try:
            case(*arguments)
        except MaskRCNNError as error:
            self.refused += 1
            return error
        self.succeeded += 1
        return None

    def check_both(self) -> None:
        """Some cases succeeded and some were refused."""
        assert self.succeeded, f"all {self.refused} cases were refused"
        assert self.refused, f"none of {self.succeeded} cases was refused"
