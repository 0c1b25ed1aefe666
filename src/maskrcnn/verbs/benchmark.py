"""`maskrcnn.benchmark`: how fast a model runs on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.argument_checks import check_range
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import comma_separated
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.benchmarking.speed_report import SpeedReport

_SIZES = "own, auto or shortest edges in pixels such as 480,320"
_BATCHES = "auto or numbers of images such as 1,8"


def benchmark(
    sources: str | Path | Sequence[str | Path] | None = None,
    model: str | Path = "nuclei",
    device: str = "auto",
    precision: str = "all",
    sizes: str | int | Sequence[int] = "auto",
    batch_size: str | int | Sequence[int] = "auto",
    score: float = 0.5,
    seconds: float = 20,
    trust: bool = False,
    *,
    display: bool | VerbDisplay | None = None,
) -> SpeedReport:
    """Measure how fast a model runs on this machine, and suggest settings; as `maskrcnn benchmark`.

        print(maskrcnn.benchmark("photos", model="people"))

    Every precision and input size is timed. Next to the speed stands the share of the exact form's objects that are
    still found.

    Args:
        sources: images: files, folders, patterns or URLs; photos that come with Python packages unless given.
        model: a name (see `maskrcnn.models()`), a checkpoint, or an exported model.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "fp32", "bf16", "fp16" or several: "fp32,bf16"; "all" are those that suit the device.
        sizes: input sizes beside the model's own, as shortest edges in pixels: [480, 320]; "own" for none; "auto" for
            three quarters and half of it.
        batch_size: images that go through the network together: [1, 8]; "auto" is 1, on CUDA 1 and 8.
        score: leave out objects below this score.
        seconds: approximate time for the measurement; more gives steadier figures.
        trust: open a .pt2, which can run any code.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Raises:
        MaskRCNNError: no image can be read, the model cannot be opened, or an argument is not as described.
    """
    check_range(score, "score", 0, 1, whole=False)
    check_range(seconds, "seconds", 1, whole=False)
    edges = None if sizes == "auto" else [] if sizes == "own" else _whole_numbers("sizes", sizes, _SIZES)
    batches = None if batch_size == "auto" else _whole_numbers("batch size", batch_size, _BATCHES)
    from maskrcnn.benchmarking.benchmark_images import read_images, sample_photos
    from maskrcnn.benchmarking.benchmarked_model import load_benchmarked
    from maskrcnn.benchmarking.environment import machine
    from maskrcnn.benchmarking.speed import make_variants, measure_speeds
    from maskrcnn.benchmarking.speed_advice import advise
    from maskrcnn.benchmarking.speed_report import SpeedReport
    from maskrcnn.runtime import Artifact

    notes: list[str] = []
    with shown_on(display) as shown:

        def note(line: str) -> None:
            notes.append(line)
            shown.note(line)

        wanted = None if precision == "all" else comma_separated([precision])
        loaded = load_benchmarked(str(model), device, wanted, trust)
        network, where, preprocess = loaded.model, loaded.device, loaded.model.config.preprocess
        batches = batches or ([1, 8] if where.type == "cuda" else [1])
        variants = make_variants(preprocess, loaded.precisions, edges, batches, loaded.exact)
        given = [sources] if isinstance(sources, str | Path) else sources
        photos = None if given else sample_photos(network.names, preprocess)
        images, skipped = (photos, 0) if photos else read_images([str(one) for one in given or ()], preprocess, note)
        for line in loaded.report.lines() if loaded.report else ():
            shown.say(line)
        if isinstance(network, Artifact):
            shown.say(repr(network))
        shown.say(machine(where))
        with shown.bar("load") as progress:
            comparison = measure_speeds(network, images, variants, where, score, seconds, progress)
        advice = advise(comparison, loaded.default)
        left_out = [*loaded.unsuited, *comparison.left_out]
        for line in (*(f"left out {line}" for line in left_out), *advice.cautions):
            note(line)
    return SpeedReport(str(model), machine(where), score, comparison, advice, left_out, notes, skipped)


def _whole_numbers(name: str, given: str | int | Sequence[int], expected: str) -> list[int]:
    text = given if isinstance(given, str | int) else ",".join(map(str, given))
    parts = comma_separated([str(text)])
    if not parts or not all(part.isascii() and part.isdigit() and 0 < int(part) <= 10_000 for part in parts):
        raise MaskRCNNError(f"{name}: expected {expected}, found {str(text)!r}")
    return sorted({int(part) for part in parts})
