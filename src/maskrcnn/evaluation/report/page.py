"""The report's page: what to do next, the key figures, then all that supports them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import product

import numpy as np

from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.coco_metrics import AREAS
from maskrcnn.evaluation.confusion import confused_pairs, merge_classes
from maskrcnn.evaluation.error_types import SIZES
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.report import figures
from maskrcnn.evaluation.report.gallery import NEARLY, REGION, RIGHT, WRONG, WorstImage
from maskrcnn.evaluation.report.markup import (
    Column,
    bullets,
    card,
    confusion_table,
    escape,
    number,
    plot,
    sortable_table,
    table,
    text_paragraph,
)
from maskrcnn.html_table import html_prose, html_text
from maskrcnn.text import plural

_SHOWN_CLASSES = 20
_SHOWN_PROBLEMS = 200
_CLASS_COLUMNS = {
    "objects": Column("objects", "objects labelled", 0),
    "mask_AP": Column("mask AP", "mask AP, IoU 0.50 to 0.95", 1),
    "mask_AP50": Column("AP50", "mask AP at IoU 0.50", 1),
    "box_AP": Column("box AP", "box AP, IoU 0.50 to 0.95", 1),
    "boundary_AP": Column("boundary AP", "boundary AP, IoU 0.50 to 0.95", 1),
    "precision": Column("precision", "share of the detections that are right, at the common threshold", 2),
    "recall": Column("recall", "share of the objects found, at the common threshold", 2),
    "f1": Column("F1", "harmonic mean of precision and recall, at the common threshold", 2),
    "best_threshold": Column("best score", "score threshold with the best F1 of this class", 2),
    "missed": Column("missed", "objects that nothing finds, at the common threshold", 0),
    "misnamed": Column("misnamed", "objects found under another name, at the common threshold", 0),
    "false_alarms": Column("false", "detections of this class that are wrong, at the common threshold", 0),
}


@dataclass(frozen=True)
class Page:
    """The content of the page.

    Attributes:
        title: model and data, as the user called them.
        subtitle: split, version and date.
        evaluation: with its analysis.
        worst: the worst images.
    """

    title: str
    subtitle: str
    evaluation: Evaluation
    worst: Sequence[WorstImage]

    @property
    def analysis(self) -> Analysis:
        """Of the evaluation."""
        assert self.evaluation.analysis is not None
        return self.evaluation.analysis

    def html(self) -> str:
        """The whole page."""
        style, script = (files(__package__).joinpath(f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
        sections = {
            "next": ("What to do next", self.next_steps()),
            "figures": ("Key figures", self.key_figures()),
            "mistakes": ("What goes wrong", self.mistakes()),
            "curves": ("Scores and thresholds", self.curves()),
            "classes": ("Classes", self.classes()),
            "images": ("Worst images", self.images()),
            "problems": ("Problems in the data", self.problem_list()),
            "how": ("How this was measured", self.definitions()),
        }
        shown = {key: (head, body) for key, (head, body) in sections.items() if body}
        links = " ".join(f'<a href="#{key}">{head}</a>' for key, (head, _) in shown.items())
        body = "\n".join(f'<section id="{key}"><h2>{head}</h2>{part}</section>' for key, (head, part) in shown.items())
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{style}</style></head>\n"
            f"<body><header><h1>{escape(self.title)}</h1>"
            f'{text_paragraph(self.subtitle, "lead")}<nav aria-label="Sections">{links}</nav></header>\n'
            f"<main>{body}</main><script>{script}</script></body></html>\n"
        )

    def next_steps(self) -> str:
        """The three next steps as a numbered list, what else was noticed folded below it."""
        evaluation = self.evaluation
        if not evaluation.findings:
            return text_paragraph("Nothing stands out in the figures below.")
        steps = "".join(map(_step, evaluation.next_steps))
        others = evaluation.findings[len(evaluation.next_steps) :]
        lines = "".join(
            f"<li><b>{html_prose(one.what)}</b> {html_prose(one.reason)}{_command(one)}</li>" for one in others
        )
        also = f"<details><summary>Also noticed ({len(others)})</summary><ul>{lines}</ul></details>" if others else ""
        return f'<ol class="next">{steps}</ol>{also}'

    def key_figures(self) -> str:
        """Cards, and AP by size."""
        metrics, analysis = self.evaluation.metrics, self.analysis
        best, counting = analysis.overall.at(analysis.threshold), analysis.counting
        main = "of 100: COCO's main figure, over IoUs from 0.50 to 0.95"
        if self.evaluation.unknown:
            main += f"; {number(self.evaluation.known_metrics['mask_AP'])} over the classes that the model knows"
        share = number(counting.relative_error * 100, 0, "%")
        at_threshold = f"at a score of {analysis.threshold:.2f}"
        if certainty := self.evaluation.certainty():
            main += f"; with other images like these {certainty}"
        cards = (
            card("Mask AP", number(metrics["mask_AP"]), main),
            card("Mask AP50", number(metrics["mask_AP50"]), "of 100: an overlap of a half is enough"),
            card("Boundary AP", number(metrics["boundary_AP"]), "of 100: how exact the outlines are"),
            card("Box AP", number(metrics["box_AP"]), "of 100: boxes alone"),
            card("Found", number(best["recall"] * 100, 0, "%"), f"of the objects, {at_threshold}"),
            card("Right", number(best["precision"] * 100, 0, "%"), "of the detections, at that score"),
            card("F1", number(best["f1"], 2), f"the best there is, {at_threshold}"),
            card("Count error", number(counting.error), f"objects an image ({share}); on average {counting.bias:+.1f}"),
        )
        return f'<div class="figures">{"".join(cards)}</div>{self._sizes()}'

    def _sizes(self) -> str:
        metrics, analysis = self.evaluation.metrics, self.analysis
        counts = np.bincount(analysis.errors.size[~analysis.matches.region], minlength=len(SIZES)).tolist()
        rows = [("objects", f"{sum(counts):,}", *(f"{count:,}" for count in counts))]
        for kind, what in product(("mask", "box"), ("AP", "AR")):
            values = (metrics[f"{kind}_{what}{size}"] for size in AREAS)
            rows.append((f"{kind} {what}", *map(number, values)))
        return table(("", "all", "small (< 32² px)", "medium", "large (> 96² px)"), rows)

    def mistakes(self) -> str:
        """Costs of errors, counts, and the confusion matrix."""
        costs = plot(
            figures.error_costs(self.analysis),
            "What each kind of mistake costs.",
            "class: wrong name. location: poor overlap. both: the two together. duplicate: found twice. "
            "background: nothing is labelled there. missed: nothing found it. The gains do not add up.",
        )
        counts = plot(
            figures.counts(self.analysis), "Counts.", "Each point is an image; on the line the count is exact."
        )
        return f'<div class="plots">{costs}{counts}</div>{self._confusion()}'

    def _confusion(self) -> str:
        confusion, known = self.analysis.confusion, self.analysis.tables.names
        names, counts = merge_classes((*known, "nothing"), confusion, _SHOWN_CLASSES)
        note = f"Objects by class and what they were detected as, with scores from {self.analysis.threshold:.2f} on."
        merged = len(names) < len(confusion)
        if merged:
            note += f" The {len(names) - 2} classes with most mistakes are shown, all others together."
        matrix = confusion_table(names, counts.tolist(), merged)
        pairs = [f"{known[a]} is called {known[b]}: {times}" for a, b, times in confused_pairs(confusion, 10)]
        common = f"<h3>Most often taken for another class</h3>{bullets(pairs)}" if pairs else ""
        return f"<h3>Confusion</h3>{text_paragraph(note, 'muted')}{matrix}{common}"

    def curves(self) -> str:
        """Precision, recall, scores."""
        analysis, calibration = self.analysis, self.analysis.calibration
        sure = "they promise too much" if calibration.bias > 0 else "they promise too little"
        charts = (
            plot(
                figures.thresholds(analysis),
                "Choosing a threshold.",
                "A higher one leaves fewer false alarms and misses more objects. F1 balances both.",
            ),
            plot(
                figures.precision_recall(analysis),
                "Precision against recall.",
                "The further to the top right, the better; an overlap (IoU) of 0.5 counts as found.",
            ),
            plot(
                figures.reliability(analysis),
                "What scores promise.",
                f"Bars on the line mean honest scores. Here they are off by {number(calibration.error, 2)} on average "
                f"(expected calibration error): {sure}. Small figures count the detections.",
            ),
            plot(
                figures.scores(analysis),
                "Scores of right and wrong detections.",
                "The less the colours overlap, the better a threshold can tell them apart.",
            ),
        )
        return f'<div class="plots">{"".join(charts)}</div>'

    def classes(self) -> str:
        """A row for each class, those with most objects first."""
        rows: list[tuple[str | float, ...]] = [
            (name, *(values[key] for key in _CLASS_COLUMNS))
            for name, values in sorted(self.evaluation.per_class.items(), key=lambda item: -item[1]["objects"])
        ]
        note = (
            f"Precision to false are counted at the common score threshold of {self.analysis.threshold:.2f}. "
            "Click a heading to sort."
        )
        columns = (Column("class", "name of the class", None), *_CLASS_COLUMNS.values())
        return f"{text_paragraph(note, 'muted')}{sortable_table(columns, rows)}"

    def images(self) -> str:
        """Labels beside detections."""
        if not self.worst:
            return ""
        colours = {
            RIGHT: "right",
            NEARLY: "nearly: poor overlap, wrong name, or found twice",
            WRONG: "missed, or nothing is there",
            REGION: "not judged",
        }
        key = "".join(f'<span><i style="background:rgb{colour}"></i>{text}</span>' for colour, text in colours.items())
        score = f"{self.analysis.threshold:.2f}"
        note = f"Lowest F1 first, at a score of {score}. Left: the labels. Right: what was detected."
        return f'{text_paragraph(note, "muted")}<p class="key">{key}</p>{"".join(map(_pictures, self.worst))}'

    def problem_list(self) -> str:
        """What could not be used or was changed."""
        evaluation = self.evaluation
        lines = [str(line) for line in (*evaluation.notes, *evaluation.problems, *evaluation.data_problems)]
        if not lines:
            return ""
        shown = lines[:_SHOWN_PROBLEMS]
        if len(lines) > len(shown):
            shown.append(f"… and {len(lines) - len(shown):,} more")
        lost = plural(len(evaluation.problems), "image")
        return text_paragraph(f"{lost} could not be measured.") + bullets(shown, "problems")

    def definitions(self) -> str:
        """The terms, in plain words."""
        terms = {
            "IoU": "overlap of two shapes: the area that they share, divided by the area that either covers.",
            "AP": "average precision as COCO counts it: mean precision over 101 recall points, 10 IoUs from 0.50 to "
            f"0.95 and the classes, with at most {self.evaluation.max_detections} detections of a class in an image. "
            "AR is the mean recall.",
            "Boundary AP": "the same for a band along the outlines only, 2 % of the image's diagonal wide.",
            "Mistakes": "sorted as TIDE does (Bolya et al. 2020), by overlaps of 0.1 and 0.5.",
            "Not judged": "regions marked as crowds, and for masks objects that have only a box: a detection there is "
            "neither right nor wrong.",
        }
        return f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(text)}</dd>' for name, text in terms.items())}</dl>"


def _step(step: Recommendation) -> str:
    parts = [f'<p class="what">{html_prose(step.what)}</p><p class="muted">{html_prose(step.evidence)}</p>']
    parts.append(f'<p class="action">{html_prose(step.action)}</p>')
    parts.append(_command(step))
    if step.python:
        call = f'<pre class="command"><code>{html_text(step.python)}</code></pre>'
        parts.append(f"<details><summary>In Python</summary>{call}</details>")
    if step.expected:
        parts.append(f'<p class="muted">Expected: {escape(step.expected)}.</p>')
    return f"<li>{''.join(parts)}</li>"


def _command(step: Recommendation) -> str:
    """What to type; no line ends within the name of an option."""
    if not step.command:
        return ""
    line = re.sub(r" (--[a-z-]+)", r" <span>\1</span>", escape(step.command))
    return f'<pre class="command"><code>{line}</code></pre>'


def _pictures(image: WorstImage) -> str:
    counts = (
        f"{plural(image.labelled, 'object')} labelled, {image.found} found, "
        f"{image.counted - image.found} wrong detections; {image.size[1]} x {image.size[0]} px"
    )
    pictures = "".join(
        f'<img src="{uri}" alt="{escape(f"{what} of {image.name}")}" loading="lazy">'
        for uri, what in ((image.truth, "labels"), (image.detections, "detections"))
    )
    head = f"<h3>{escape(image.name)}</h3>{text_paragraph(counts, 'muted')}"
    return f'<article class="pair">{head}<div class="images">{pictures}</div></article>'
