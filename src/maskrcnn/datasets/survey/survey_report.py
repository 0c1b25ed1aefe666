"""The survey of a data set as text and files: numbers, plots, a recipe, and an HTML page that needs no other file."""

from __future__ import annotations

import base64
import html
import io
import json
import shlex
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskrcnn.annotations.problem import Problem
from maskrcnn.config import Config
from maskrcnn.datasets.survey.suggestions import Suggestion, model_changes, suggest_settings
from maskrcnn.datasets.survey.survey import Survey, summary
from maskrcnn.datasets.survey.survey_plots import figure
from maskrcnn.html_table import escaped, html_lines, html_table
from maskrcnn.output.atomic_file import make_folder, write_bytes, write_text
from maskrcnn.text import plural

FILES = ("stats.json", "stats.png", "stats.html", "recipe.yaml")
KEYS = ("data", "images", "objects", "objects_with_mask", "quantiles")
Rows = list[tuple[str, ...]]

_CSS = """body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#1c2026}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .9rem;text-align:left;vertical-align:top;
border-bottom:1px solid #d9dce1}img{max-width:100%}.numbers td:not(:first-child),.numbers th:not(:first-child)
{text-align:right;font-variant-numeric:tabular-nums}pre{background:#f3f4f6;padding:.8rem;white-space:pre-wrap}"""


@dataclass(frozen=True, repr=False)
class SurveyReport:
    """A surveyed data set and what follows from it.

    Attributes:
        data: what the user calls the data set.
        survey: its objects.
        config: the model that suggestions start from.
        start: the recipe's field and value that choose this model: ("preset", "lite") or ("init", "nuclei").
        canvas: the training canvas that suggestions start from.
        problems: images and objects that could not be measured.
        files: that were written.
    """

    data: str
    survey: Survey
    config: Config
    start: tuple[str, str]
    canvas: int
    problems: Sequence[Problem] = ()
    files: Sequence[Path] = ()

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """See `survey.summary`."""
        return summary(self.survey, self.config.preprocess)

    @cached_property
    def suggestions(self) -> list[Suggestion]:
        """See `suggest_settings`."""
        return suggest_settings(self.survey, self.config, self.canvas)

    def headline(self) -> str:
        """How many images and objects, in one line."""
        numbers = self.numbers
        empty = sum(not item["objects"] for item in numbers["classes"])
        parts = [
            plural(numbers["images"], "image"),
            plural(numbers["objects"], "object"),
            plural(len(self.survey.names), "class") + (f" ({empty:,} without objects)" if empty else ""),
        ]
        if numbers["objects"]:
            share = numbers["objects_with_mask"] / numbers["objects"]
            parts.append("all objects have masks" if share == 1 else f"{share:.0%} of the objects have masks")
        more = (f"{plural(numbers[key], noun)} {words}" for key, noun, words in _MORE if numbers[key])
        return ", ".join([*parts, *more])

    def quantile_rows(self) -> Rows:
        """A head and a line for each measure."""
        numbers = self.numbers
        places = [f"{100 * at:g} %" for at in numbers["quantiles"]]
        return [
            ("", *(_PLACES.get(place, place) for place in places)),
            *((words, *map(_text, numbers[key])) for key, words in _MEASURES.items()),
        ]

    def class_rows(self) -> Rows:
        """A head and a line for each class, the most frequent first."""
        classes = sorted(self.numbers["classes"], key=lambda item: -item["objects"])
        lines = [
            (item["name"], f"{item['objects']:,}", f"{item['images']:,}", _text(item["median_size"]))
            for item in classes
        ]
        return [("class", "objects", "images", "median size"), *lines]

    def suggestion_rows(self) -> Rows:
        """A head and a line for each setting."""
        lines = [
            (item.setting, _setting(item.present), _setting(item.suggested) if item.differs else "fits", item.evidence)
            for item in self.suggestions
        ]
        return [("setting", "present", "suggested", "because"), *lines]

    def command(self) -> str:
        """The `maskrcnn train` command that applies the suggestions."""
        words = ["maskrcnn", "train", self.data, f"--{self.start[0]}", self.start[1]]
        changes = model_changes(self.suggestions)
        if changes:
            words += ["--set", f"model={json.dumps(changes)}"]
        for item in self.suggestions:
            if item.setting == "canvas" and item.differs:
                words += ["--canvas", str(item.suggested)]
        return shlex.join(words)

    def recipe(self) -> str:
        """The same as a recipe file, each change with its evidence."""
        lines, model = [f"{self.start[0]}: {json.dumps(self.start[1])}"], []
        for item in self.suggestions:
            if item.setting == "canvas":
                lines += [f"# {item.evidence}", f"canvas: {item.suggested}"]
            elif item.differs:
                model += [f"  # {item.evidence}", f"  {item.setting}: {json.dumps(item.suggested)}"]
        return "\n".join([*lines, *(["model:"] if model else []), *model]) + "\n"

    def page(self, picture: bytes) -> str:
        """The report as one HTML page with the plots, a PNG."""
        image = base64.b64encode(picture).decode()
        advice = [_table(self.suggestion_rows()), f"<pre>{html.escape(self.command())}</pre>"]
        return "\n".join(
            [
                f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.data)}</title>',
                f"<style>{_CSS}</style></head><body>",
                f"<h1>{html.escape(self.data)}</h1><p>{html.escape(self.headline())}</p>",
                _table(self.quantile_rows(), numbers=True),
                f'<img alt="plots of the numbers" src="data:image/png;base64,{image}">',
                "<h2>What follows for training</h2>",
                *(advice if self.suggestions else ["<p>There are no objects to derive settings from.</p>"]),
                "<h2>Classes</h2>",
                _table(self.class_rows(), numbers=True),
                "</body></html>",
            ]
        )

    def __repr__(self) -> str:
        return f"SurveyReport({self.data}: {self.headline()})"

    def __str__(self) -> str:
        advice = [f"{item.setting}: {item.evidence}" for item in self.suggestions]
        command = [self.command()] if self.suggestions else []
        return "\n".join([self.headline(), *advice, *command, *map(str, [*self.files, *self.problems])])

    def _repr_html_(self) -> str:
        classes = html_table(self.class_rows()) if len(self.survey.names) > 1 else ""
        advice = html_table(self.suggestion_rows(), words=4) if self.suggestions else ""
        command = f"<pre>{escaped(self.command())}</pre>" if self.suggestions else ""
        lines = html_lines([*self.files, *self.problems])
        parts = (escaped(self.headline()), html_table(self.quantile_rows()), classes, advice, command, lines)
        return f"<div>{''.join(parts)}</div>"

    def write(self, folder: str | Path) -> list[Path]:
        """Write `FILES` into a folder; their paths.

        Raises:
            MaskRCNNError: the folder cannot be written.
        """
        folder = Path(folder)
        picture = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # letters that the font lacks are drawn as boxes
            figure(self.survey, self.config, self.suggestions).savefig(picture, format="png", dpi=110)
        content = {"data": self.data, **self.numbers, "suggestions": [item._asdict() for item in self.suggestions]}
        make_folder(folder)
        numbers, plots, page, recipe = paths = [folder / name for name in FILES]
        write_text(numbers, json.dumps(content, indent=2, ensure_ascii=False))
        write_bytes(plots, picture.getvalue())
        write_text(page, self.page(picture.getvalue()))
        write_text(recipe, self.recipe())
        return paths


_PLACES = {"0 %": "least", "50 %": "median", "100 %": "most"}
_MORE = (
    ("crowd_regions", "crowd region", "not counted"),
    ("images_without_objects", "image", "without objects"),
    ("images_unreadable", "image", "with unreadable labels"),
)
_MEASURES = {
    "objects_an_image": "objects an image",
    "size_in_image": "size of objects, pixels of the image",
    "size_in_network": "size of objects, pixels of the network's input",
    "height_over_width": "height / width of boxes",
    "image_height": "height of images",
    "image_width": "width of images",
}


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:,.3g}"


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_setting(part)}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    head, *lines = [[html.escape(cell) for cell in row] for row in rows]
    cells = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines]
    first = "<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"
    return f"<table{' class=numbers' * numbers}>{first}{''.join(cells)}</table>"
