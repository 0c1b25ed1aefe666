"""`maskrcnn benchmark`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from maskrcnn.cli.console import bold, deliver_json, paragraph, say, show_report, show_table, warn
from maskrcnn.cli.options import SOURCES_HELP, Device, JsonFile, Model, Score, Trust
from maskrcnn.cli.output_claim import own_file
from maskrcnn.cli.progress import ProgressBar
from maskrcnn.errors import SOME_SKIPPED, MaskRCNNError
from maskrcnn.text import plural

if TYPE_CHECKING:
    import numpy as np
    import torch

    from maskrcnn.benchmark.speed import Speeds
    from maskrcnn.benchmark.speed_advice import Advice
    from maskrcnn.config import Preprocess
    from maskrcnn.model.mask_rcnn import MaskRCNN
    from maskrcnn.runtime import Artifact
    from maskrcnn.weights.load_report import LoadReport

MOST_IMAGES = 16  # of a folder, evenly spread
_UNDER_A_MICROSCOPE = ("nucle", "cell")


def benchmark(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help=f"{SOURCES_HELP} Photos that come with Python packages unless given."),
    ] = None,
    model: Model = "nuclei",
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16 or several: fp32,bf16; all are those that suit the device.")
    ] = "all",
    sizes: Annotated[
        str,
        typer.Option(
            help="Input sizes beside the model's own, as shortest edges in pixels: 480,320; own for none; auto for "
            "three quarters and half of it."
        ),
    ] = "auto",
    batch_size: Annotated[
        str, typer.Option(help="Images that go through the network together: 1,8; auto is 1, on CUDA 1 and 8.")
    ] = "auto",
    score: Score = 0.5,
    seconds: Annotated[
        float, typer.Option(min=1, help="Time for the measurement, roughly; more makes it steadier.")
    ] = 20,
    trust: Trust = False,
    json_out: JsonFile = None,
) -> None:
    """Measure how fast a model is here, and say what to choose.

    Every precision and input size is timed on this machine. Speed is shown with its price: the share of the objects of
    the exact form that are still found.
    """
    edges, batches = _edges(sizes), _batches(batch_size)
    from maskrcnn.benchmark.environment import machine
    from maskrcnn.benchmark.speed import measure, settings
    from maskrcnn.benchmark.speed_advice import advise
    from maskrcnn.inference.loading import is_exported

    with own_file(json_out):
        network, report, where, wanted, unsuited, usual, exact = _load(model, device, precision, trust)
        preprocess = network.config.preprocess
        contenders = settings(preprocess, wanted, edges, batches or ([1, 8] if where.type == "cuda" else [1]), exact)
        images, skipped = _read(sources, preprocess) if sources else (sample_photos(network.names, preprocess), 0)
        if json_out != "-":
            show_report(report)
            if is_exported(model):
                say(repr(network))
            say(machine(where))
        with ProgressBar("load", 1.0, counted=False, on_stderr=True) as bar:
            speeds = measure(network, images, contenders, where, score, seconds, bar.show)
        advice = advise(speeds, usual)
        left_out = [*unsuited, *speeds.left_out]
        if json_out != "-":
            show(speeds, advice, model, score)
        for line in (*(f"left out {line}" for line in left_out), *advice.cautions):
            warn(line)
        content = {"model": model, "machine": machine(where), "score": score, **_content(speeds, advice)}
        content["left_out"] = left_out
        deliver_json(content, json_out)
    if skipped:
        raise typer.Exit(SOME_SKIPPED)


class _Loaded(NamedTuple):
    """The model, how it was loaded, and what to measure of it.

    Attributes:
        device: it runs on.
        precisions: to measure.
        unsuited: a line for each precision that is not worth it.
        usual: the precision that is taken unless one is given.
        exact: the precision that the others are held against.
    """

    model: MaskRCNN | Artifact
    report: LoadReport | None
    device: torch.device
    precisions: list[str]
    unsuited: list[str]
    usual: str
    exact: str


def _load(source: str, device: str, precision: str, trust: bool) -> _Loaded:
    from maskrcnn.benchmark.speed import EXACT, chosen_precisions, precisions_for
    from maskrcnn.inference.device import pick_device
    from maskrcnn.inference.loading import is_exported, load_exported
    from maskrcnn.weights.load import load_model

    if is_exported(source):
        where = pick_device("cpu" if device == "auto" else device)
        artifact = load_exported(source, device, "auto" if precision == "all" else precision, trust).model
        return _Loaded(artifact, None, where, [artifact.precision], [], artifact.precision, artifact.precision)
    where = pick_device(device)
    wanted, unsuited = precisions_for(where)
    if precision != "all":
        wanted, unsuited = chosen_precisions(_parts(precision), where), []
    network, report = load_model(source)
    return _Loaded(network, report, where, wanted, unsuited, chosen_precisions(["auto"], where)[0], EXACT)


def show(speeds: Speeds, advice: Advice, model: str, score: float) -> None:
    """The table, and under it what to choose."""
    from maskrcnn.benchmark.agreement import SAME_OBJECT
    from maskrcnn.benchmark.speed_advice import percent, times

    exact = speeds.rows[0]
    turns, images = plural(speeds.turns, "turn"), plural(speeds.images, "image")
    several = len({row.setting.batch for row in speeds.rows}) > 1
    head = ("precision", "shortest edge", *["batch"] * several, "ms/image", "images/s", "speed", "objects", "agree")
    rows: list[tuple[object, ...]] = [head]
    for row in speeds.rows:
        setting, found = row.setting, row.agreement
        rows.append(
            (
                setting.precision,
                f"{setting.size} (own)" if setting.own else setting.size,
                *[setting.batch] * several,
                f"{row.seconds * 1000:.1f}",
                f"{1 / row.seconds:.2f}" if row.seconds > 0.1 else f"{1 / row.seconds:.1f}",
                times(exact.seconds, row),
                f"{row.objects} (-{found.lost} +{found.added})",
                percent(row),
            )
        )
    title = f"{model} on {images}, objects from score {score:g}, median of {turns}"
    show_table(rows, title, words=2, compact=True)
    paragraph(
        "Time: from decoded pixels to objects. Agree: of the objects that the first row, the exact form, finds, the "
        f"share that is found too, by class and a mask of IoU {SAME_OBJECT:g} or more; -lost, +new.",
        indent=0,
    )
    say(bold(f"→ {advice.choice}"))
    if advice.size is not None:
        say(f"→ {advice.sizes}")
        edge = advice.size.short[0]
        say(f"  such a size is asked for with: maskrcnn predict --size {edge} (evaluate too; in Python size={edge})")


def sample_photos(names: Sequence[str], preprocess: Preprocess) -> list[np.ndarray]:
    """Photos that are on every machine: uint8 [H, W, C] each, of cells for models of cells, otherwise of daily life.

    Raises:
        MaskRCNNError: the model takes no photos.
    """
    import numpy as np
    import skimage.data
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    from maskrcnn.cli.demo import nuclear_stain
    from maskrcnn.images.channels import as_model_input

    if any(part in name.lower() for name in names for part in _UNDER_A_MICROSCOPE) and "cell phone" not in names:
        section = skimage.data.immunohistochemistry()
        photos = [nuclear_stain(section), section]
    else:
        hopper = np.asarray(Image.open(str(get_sample_data("grace_hopper.jpg", asfileobj=False))).convert("RGB"))
        data = skimage.data
        photos = [data.astronaut(), hopper, data.coffee(), data.camera(), data.chelsea()]
    try:
        return [as_model_input(photo, preprocess).pixels for photo in photos]
    except MaskRCNNError as error:
        raise MaskRCNNError(f"the sample photos do not suit the model: {error.what}", fix="name images") from None


def _read(sources: Sequence[str], preprocess: Preprocess) -> tuple[list[np.ndarray], int]:
    """The decoded images of the sources, or some of them, and how many sources were skipped."""
    from maskrcnn.images.image_like import read_image_like
    from maskrcnn.images.sources import resolve_sources

    found = resolve_sources(sources)
    for line in (*map(str, found.problems), *found.notes):
        warn(line)
    count = len(found.images)
    used = min(count, MOST_IMAGES)
    chosen = [found.images[place * count // used] for place in range(used)]
    if used < count:
        warn(f"{used} of {count:,} images are used, evenly spread")
    images, skipped = [], len(found.problems)
    for source in chosen:
        try:
            image, _ = read_image_like(source.path_or_url, preprocess)
        except MaskRCNNError as error:
            warn(f"skipped {error}")
            skipped += 1
            continue
        for note in image.notes:
            warn(f"{source.name}: {note}")
        images.append(image.pixels)
    if not images:
        raise MaskRCNNError("no image to measure on", fix="name image files or folders that hold some")
    return images, skipped


def _content(speeds: Speeds, advice: Advice) -> dict[str, Any]:
    """The measurement and what follows from it, ready for JSON."""
    return {
        "images": speeds.images,
        "turns": speeds.turns,
        "rows": [
            {
                **dataclasses.asdict(row.setting),
                "ms_per_image": row.seconds * 1000,
                "images_per_second": 1 / row.seconds,
                "times_exact": speeds.rows[0].seconds / row.seconds,
                "objects": row.objects,
                "agreement": row.agreement.share,
                **dataclasses.asdict(row.agreement),
            }
            for row in speeds.rows
        ],
        "advice": dataclasses.asdict(advice),
    }


def _edges(sizes: str) -> list[int] | None:
    """The shortest edges asked for; None for the usual ones."""
    if sizes == "auto":
        return None
    return [] if sizes == "own" else _numbers("sizes", sizes, "own, auto or shortest edges in pixels such as 480,320")


def _batches(sizes: str) -> list[int] | None:
    return None if sizes == "auto" else _numbers("batch size", sizes, "auto or numbers of images such as 1,8")


def _numbers(name: str, text: str, expected: str) -> list[int]:
    parts = _parts(text)
    if not parts or not all(part.isascii() and part.isdigit() and 0 < int(part) <= 10_000 for part in parts):
        raise MaskRCNNError(f"{name}: expected {expected}, found {text!r}")
    return sorted({int(part) for part in parts})


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
