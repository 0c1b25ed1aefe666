"""Runs the notebooks, each in an empty folder, and writes them back with small outputs: `python -m notebooks.refresh`.

What stays in a file is what a reader sees. Times of execution, widgets and other states of an editor are removed, and a
picture is kept in the smaller of two forms. Names as arguments (`1-from-pixels-to-masks`) choose some of the notebooks.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SHOWN = ("image/png", "image/jpeg", "text/html", "text/plain")


def execute(path: Path, folder: Path, **environment: str) -> NotebookNode:
    """The notebook with its outputs, run from the top in ``folder`` by the interpreter that runs this.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, 4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources, coalesce_streams=True)
    client.execute(env=os.environ | environment)
    return notebook


def tidy(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what no reader sees, its pictures small. Of one that is tidy, the same again."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", ()):
            if "data" in output:
                output.metadata = nbformat.from_dict({})
                output.data = _small({kind: output.data[kind] for kind in SHOWN if kind in output.data})
    return notebook


def _small(data: dict[str, str]) -> NotebookNode:
    """An output whose picture is a PNG with a palette, which suits plots, or a JPEG, which suits photos."""
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) if "image/png" in data else None
    if picture is not None and picture.mode != "P":
        rgb, png, jpeg = picture.convert("RGB"), io.BytesIO(), io.BytesIO()
        rgb.quantize(256, dither=Image.Dither.NONE).save(png, "png", optimize=True)
        rgb.save(jpeg, "jpeg", quality=65, optimize=True, progressive=True)
        kind, content = min(("image/png", png), ("image/jpeg", jpeg), key=lambda form: len(form[1].getvalue()))
        del data["image/png"]
        data[kind] = base64.b64encode(content.getvalue()).decode()
    return nbformat.from_dict(data)


def main(names: list[str]) -> None:
    """Refresh the notebooks of these names, or all."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            with tempfile.TemporaryDirectory() as folder:
                nbformat.write(tidy(execute(path, Path(folder))), path)
            print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
