"""The notebooks run from the top without a network and show what they promise; committed, they are small and tidy."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from notebooks.refresh import FOLDER, execute, tidy

NOTEBOOKS = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
LARGEST = 500_000  # bytes of a notebook
# What each notebook must show when it has run, as regular expressions.
KEY_OUTPUTS = {
    "1-from-pixels-to-masks": [
        r"\(1\.6, 1\.15\): .* = 7\.2\n\(2\.4, 1\.15\): .* = 8\.0\n",
        r"\(1\.6, 1\.85\): .* = 10\.0\n\(2\.4, 1\.85\): .* = 10\.8",
        r"by our operator: \[ ?7\.2 +8\. +10\. +10\.8\]",
        r"transposed convolution.*, 28, 28\)",
        r"L = 0\.4076 \+ 0\.7001 \+ 0\.3657 \+ 0\.2201 \+ 0\.7001 = 2\.3936",
        r"24 coins labelled",
    ],
    "2-train-on-your-own-data": [
        r"36 images, classes \('disc', 'triangle'\)",
        r"\d+ steps?; first and last losses:\n  objectness \d",
        r"(disc|triangle) +mask AP +[\d.]+",
        r"mask AP [\d.]+ on 8 pictures",
    ],
    "3-look-inside-a-trained-model": [
        r"best anchor of each object: IoU 0\.\d+ to 0\.\d+",
        r"after  NMS:  10: \d+%, .*1000: \d+%",
        r"proposals near an object: mean IoU 0\.\d+ → 0\.\d+",
        r"in the labelled boxes: +0\.\d+",
        r"missed +\d+ errors cost",
    ],
    "4-deploy": [
        r"onnx: boxes differ by at most 0\.\d+ pixels",
        r"openvino: boxes differ by at most 0\.\d+ pixels",
        r"torch: import of torch halted",
        r"onnx +\d+ ms a photo",
        r"astronaut\.jpg,1,[01]\.\d+,\d+\.\d%",
        r"broken\.jpg,,,,cannot be read",
    ],
}
# The same for results that show themselves.
KEY_HTML = {
    "2-train-on-your-own-data": [
        r"shapes: train 36 images with 159 objects, val 8 images with 36 objects: nothing found",
        r'<svg [^>]*aria-label="losses and AP of the run"',
        r"best on val: mask AP \d",
        r"8 images of shapes, val.*<th.*disc.*triangle",
    ],
    "3-look-inside-a-trained-model": [r"3 images.*<td[^>]*>boundary"],
    "4-deploy": [r"onnx fp32 beside the model in PyTorch, fp32.*<th.*input"],
}
QUICK = {"MASKRCNN_NOTEBOOK_MINUTES": "0.3"}  # of training
# A proxy that does not exist stands before every address.
OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
FETCHING = re.compile(r"https?://|urllib|urlopen|requests|httpx|%pip|!pip|wget|curl|hf_hub|\bload\(\W*coco")


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook: NotebookNode) -> str:
    """What the cells wrote, one after another."""
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs(notebook))


def shown(notebook: NotebookNode) -> str:
    """The HTML of the results that show themselves, one after another."""
    return "\n".join(output.get("data", {}).get("text/html", "") for output in outputs(notebook))


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code(notebook) for output in cell.outputs]


def test_there_are_four_and_each_has_key_outputs() -> None:
    assert list(NOTEBOOKS) == list(KEY_OUTPUTS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_from_the_top_and_shows_what_it_promises(name: str, tmp_path: Path) -> None:
    notebook = execute(NOTEBOOKS[name], tmp_path, **OFFLINE, **QUICK)
    for done in (notebook, nbformat.read(NOTEBOOKS[name], 4)):
        for text, patterns in ((printed(done), KEY_OUTPUTS[name]), (shown(done), KEY_HTML.get(name, ()))):
            for expected in patterns:
                assert re.search(expected, text), (expected, text)
    pictures = [kind for output in outputs(notebook) for kind in output.get("data", ())]
    assert "image/png" in pictures


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_committed_small_tidy_and_as_it_ran(name: str) -> None:
    assert NOTEBOOKS[name].stat().st_size <= LARGEST
    notebook = nbformat.read(NOTEBOOKS[name], 4)
    assert tidy(copy.deepcopy(notebook)) == notebook, "run: python -m notebooks.refresh"
    assert [cell.execution_count for cell in code(notebook)] == [*range(1, len(code(notebook)) + 1)]
    kinds = {output.output_type for output in outputs(notebook)}
    assert kinds <= {"stream", "display_data", "execute_result"}
    # Outputs alone: a source may well say what a folder is called.
    everything = json.dumps(outputs(notebook))
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users|usr|opt|var|content)/|[A-Z]:\\\\", everything)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_only_the_first_cell_installs_and_only_where_the_package_is_missing(name: str) -> None:
    first, *rest = code(nbformat.read(NOTEBOOKS[name], 4))
    assert re.search(r'^if importlib\.util\.find_spec\("maskrcnn"\) is None:\n    %pip install', first.source, re.M)
    assert first.source.count("%pip") == 1
    for cell in rest:
        assert not FETCHING.search(cell.source), cell.source


def test_every_notebook_they_link_is_there() -> None:
    for path in NOTEBOOKS.values():
        for cell in nbformat.read(path, 4).cells:
            for target in re.findall(r"\]\((?!http)([^)#]+)", cell.source if cell.cell_type == "markdown" else ""):
                assert (FOLDER / target).is_file(), (path.name, target)


def test_tidying_keeps_what_is_seen_and_makes_it_small() -> None:
    png = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(png, "png")
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "a bar"}
    picture = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": "a photo"}
    cell = nbformat.v4.new_code_cell("1 + 1", metadata={"execution": {"iopub.status.idle": "2026"}}, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("display_data", data, metadata={"wide": 3}) for data in (widget, picture)]
    metadata = {"widgets": {}, "language_info": {"name": "python", "version": "3.11"}}
    notebook = tidy(nbformat.v4.new_notebook(cells=[cell], metadata=metadata))
    (done,) = notebook.cells
    assert (done.metadata, done.source, done.execution_count) == ({}, "1 + 1", 1)
    assert [output.metadata for output in done.outputs] == [{}, {}]
    assert done.outputs[0].data == {"text/plain": "a bar"}
    assert set(done.outputs[1].data) == {"text/plain", "image/jpeg"}
    assert len(done.outputs[1].data["image/jpeg"]) < len(picture["image/png"]) / 2
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.language_info == {"name": "python"}
    assert tidy(copy.deepcopy(notebook)) == notebook
