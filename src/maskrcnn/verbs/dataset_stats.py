"""`maskrcnn.dataset_stats`: the objects of a data set counted and measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.output.foreign_files import check_replaceable
from maskrcnn.verbs.claimed_output import own_folder
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.datasets.survey.survey_report import SurveyReport


def dataset_stats(
    data: str | Path,
    folder: str | Path | None = None,
    split: str | None = None,
    preset: str = "lite",
    init: str | Path | None = None,
    *,
    display: bool | VerbDisplay | None = None,
) -> SurveyReport:
    """Count and measure the objects; as `maskrcnn dataset stats`.

        stats = maskrcnn.dataset_stats("balloon")
        stats.numbers["objects"], stats.suggestions

    Suggests input size, anchors, limits and the training canvas.

    Args:
        data: folder of images and labels, whose format is detected; or a .json or .yaml.
        folder: also write plots, an HTML page, JSON and a recipe here.
        split: which part of the data; train unless given, if there is one.
        preset: that the suggestions start from.
        init: trained model to start from instead of a preset.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Raises:
        MaskRCNNError: no data set is there, or not that split, or the folder cannot be written to or holds files
            of these names by another program.
    """
    from maskrcnn.config import preset as preset_named
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.datasets.survey.survey import survey_dataset
    from maskrcnn.datasets.survey.survey_report import FILES, KEYS, SurveyReport
    from maskrcnn.training.recipe import Recipe
    from maskrcnn.weights.any_checkpoint import read_any_checkpoint

    config = read_any_checkpoint(init)[0].config if init else preset_named(preset)
    _, dataset = Source(data).open_or_default(split, "train")
    with shown_on(display) as shown, own_folder(folder, shown):
        if folder is not None:
            check_replaceable(folder, FILES, KEYS)
        with shown.bar("measure", len(dataset)) as advance:
            surveyed = survey_dataset(dataset, advance)
        start = ("init", str(init)) if init else ("preset", preset)
        canvas = Recipe.model_fields["canvas"].default
        report = SurveyReport(str(data), surveyed, config, start, canvas, (*dataset.problems, *surveyed.problems))
        return report if folder is None else replace(report, files=tuple(report.write(folder)))
