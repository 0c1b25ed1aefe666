"""`maskrcnn.doctor`: what is wrong with labelled images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.argument_checks import check_range
from maskrcnn.verbs.claimed_output import own_folder
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.datasets.doctor.diagnosis import Diagnosis


def doctor(
    data: str | Path,
    preset: str = "lite",
    fix: str | Path | None = None,
    workers: int | None = None,
    *,
    display: bool | VerbDisplay | None = None,
) -> Diagnosis:
    """Find what is wrong with labelled images, and say what to do; as `maskrcnn doctor`.

        diagnosis = maskrcnn.doctor("balloon")
        print(diagnosis)
        [problem for problem in diagnosis.problems if problem.severity == "error"]

    Args:
        data: folder of images and labels, whose format is detected; or a .json or .yaml.
        preset: whose input size decides which objects are too small.
        fix: write a corrected copy to this new folder; the data stay as they are. Only problems marked 'fixable' are
            corrected, where nothing has to be guessed. `repair` of what is returned tells what was done.
        workers: processes, at most 8 a core; one a core unless given.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Raises:
        MaskRCNNError: no data set is there, or the new folder cannot be used.
    """
    from maskrcnn.datasets.doctor.examination import examine
    from maskrcnn.datasets.doctor.repair import check_copy, repair

    if workers is not None:
        check_range(workers, "workers", 0)
    if fix is not None:
        check_copy(Path(data), Path(fix))
    with shown_on(display) as shown, own_folder(fix, shown):
        with ExitStack() as stack:
            advance: Callable[[], object] = lambda: None  # noqa: E731

            def start(images: int) -> None:
                nonlocal advance
                advance = stack.enter_context(shown.bar("images", images))

            diagnosis = examine(data, preset, workers, start, lambda: advance())
        if fix is None:
            return diagnosis
        with shown.bar("writing a corrected copy"):
            return replace(diagnosis, repair=repair(data, fix, preset, workers))
