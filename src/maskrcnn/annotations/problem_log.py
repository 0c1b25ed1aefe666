"""The problems met so far, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from maskrcnn.annotations.problem import Problem


class ProblemLog:
    """An ordered set of problems."""

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._problems = dict.fromkeys(problems)

    def add(self, problems: Iterable[Problem]) -> list[Problem]:
        """Record problems; returns those that are new, in their order."""
        new = [problem for problem in dict.fromkeys(problems) if problem not in self._problems]
        self._problems.update(dict.fromkeys(new))
        return new

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)

    @property
    def images_lost(self) -> int:
        """Number of images that are not used."""
        return sum(problem.images_lost for problem in self)

    @property
    def objects_lost(self) -> int:
        """Number of objects that are not used."""
        return sum(problem.objects_lost for problem in self)
