"""Tables of what an evaluation measured, for `evaluate` and for `train`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from maskrcnn.cli.console import bold, paragraph, say, show_table, styled
from maskrcnn.text import plural

if TYPE_CHECKING:
    from maskrcnn.evaluation.evaluation import Evaluation
    from maskrcnn.evaluation.recommendation import Recommendation

_MOST_CLASSES = 20


def show_metrics(evaluation: Evaluation, title: str) -> None:
    """AP of boxes, masks and, where it was measured, of their boundaries, a row each."""
    known = "; known: over the classes that the model knows" if evaluation.unknown else ""
    show_table(evaluation.metric_rows(), f"{title}{known}")


def show_class_metrics(evaluation: Evaluation) -> None:
    """AP of each class; of many classes those with most objects."""
    head, *rows = evaluation.class_rows()
    more = f", the {_MOST_CLASSES} with most objects; all are in the report" if len(rows) > _MOST_CLASSES else ""
    show_table([head, *rows[:_MOST_CLASSES]], f"{plural(len(rows), 'class')}{more}")


def show_next_steps(steps: Sequence[Recommendation]) -> None:
    """The next steps: the fact, its evidence and what to do, and what to type, on a line of its own to copy."""
    if steps:
        say("What to do next")
    for number, step in enumerate(steps, 1):
        what, reason, *call = step.lines(f"{number}.", shell=True)
        say(bold(what))
        paragraph(reason.strip(), len(reason) - len(reason.lstrip()))
        for line in call:
            say(styled(line, "cyan"))
