"""`maskrcnn benchmark`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.console import bold, deliver_json, paragraph, say, show_report, show_table, warn
from maskrcnn.cli.options import SOURCES_HELP, Device, JsonFile, Model, Score, Trust, comma_separated
from maskrcnn.cli.output_claim import own_file
from maskrcnn.cli.progress import progress_bar
from maskrcnn.errors import SOME_SKIPPED, MaskRCNNError
from maskrcnn.text import plural

if TYPE_CHECKING:
    from maskrcnn.benchmarking.speed import SpeedComparison
    from maskrcnn.benchmarking.speed_advice import Advice

_SIZES = "own, auto or shortest edges in pixels such as 480,320"
_BATCHES = "auto or numbers of images such as 1,8"


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
        float, typer.Option(min=1, help="Approximate time for the measurement; more gives steadier figures.")
    ] = 20,
    trust: Trust = False,
    json_out: JsonFile = None,
) -> None:
    """Measure how fast a model runs on this machine, and suggest settings.

    Every precision and input size is timed. Next to the speed stands the share of the exact form's objects that are
    still found.
    """
    edges = None if sizes == "auto" else [] if sizes == "own" else _whole_numbers("sizes", sizes, _SIZES)
    batches = None if batch_size == "auto" else _whole_numbers("batch size", batch_size, _BATCHES)
    from maskrcnn.benchmarking.benchmark_images import read_images, sample_photos
    from maskrcnn.benchmarking.benchmarked_model import load_benchmarked
    from maskrcnn.benchmarking.environment import machine
    from maskrcnn.benchmarking.speed import make_variants, measure_speeds
    from maskrcnn.benchmarking.speed_advice import advise
    from maskrcnn.benchmarking.speed_report import to_json
    from maskrcnn.runtime import Artifact

    with own_file(json_out):
        loaded = load_benchmarked(model, device, None if precision == "all" else comma_separated([precision]), trust)
        network, where, preprocess = loaded.model, loaded.device, loaded.model.config.preprocess
        batches = batches or ([1, 8] if where.type == "cuda" else [1])
        variants = make_variants(preprocess, loaded.precisions, edges, batches, loaded.exact)
        photos = None if sources else sample_photos(network.names, preprocess)
        images, skipped = (photos, 0) if photos else read_images(sources or [], preprocess, warn)
        if json_out != "-":
            show_report(loaded.report)
            if isinstance(network, Artifact):
                say(repr(network))
            say(machine(where))
        with progress_bar("load", 1.0, counted=False, on_stderr=True) as update:

            def show(what: str, share: float) -> None:
                update(description=what, completed=share)

            comparison = measure_speeds(network, images, variants, where, score, seconds, show)
        advice = advise(comparison, loaded.default)
        left_out = [*loaded.unsuited, *comparison.left_out]
        if json_out != "-":
            _show_speeds(
                comparison, advice, f"{model} on {plural(comparison.images, 'image')}, objects from score {score:g}"
            )
        for line in (*(f"left out {line}" for line in left_out), *advice.cautions):
            warn(line)
        content = {"model": model, "machine": machine(where), "score": score, **to_json(comparison, advice)}
        deliver_json({**content, "left_out": left_out}, json_out)
    raise typer.Exit(SOME_SKIPPED if skipped else 0)


def _show_speeds(comparison: SpeedComparison, advice: Advice, title: str) -> None:
    """The table and the advice."""
    from maskrcnn.benchmarking.agreement import SAME_OBJECT
    from maskrcnn.benchmarking.speed_report import table_rows

    title = f"{title}, median of {plural(comparison.turns, 'turn')}"
    show_table(table_rows(comparison), title, words=2, compact=True)
    paragraph(
        "Time: from decoded pixels to objects. Agree: of the objects that the first row, the exact form, finds, the "
        f"share that is found too, by class and a mask of IoU {SAME_OBJECT:g} or more; -lost, +new.",
        indent=0,
    )
    say(bold(f"→ {advice.choice}"))
    if advice.size is not None:
        say(f"→ {advice.sizes}")
        edge = advice.size.short[0]
        say(f"  to use it: maskrcnn predict --size {edge} (evaluate too; in Python size={edge})")


def _whole_numbers(name: str, text: str, expected: str) -> list[int]:
    parts = comma_separated([text])
    if not parts or not all(part.isascii() and part.isdigit() and 0 < int(part) <= 10_000 for part in parts):
        raise MaskRCNNError(f"{name}: expected {expected}, found {text!r}")
    return sorted({int(part) for part in parts})
