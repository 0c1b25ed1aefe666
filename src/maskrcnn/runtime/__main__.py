"""`python -m maskrcnn.runtime MODEL SOURCE…`: what `maskrcnn predict` writes, where there is no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.sources import resolve_sources
from maskrcnn.results.prediction_writer import PredictionWriter
from maskrcnn.runtime import load
from maskrcnn.text import discard_rest, plural, visible, write_anyway

SOME_SKIPPED, FAILED, INTERRUPTED = 1, 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run with these command-line words, or the process's own; the exit code."""
    write_anyway()
    parser = argparse.ArgumentParser(
        prog="python -m maskrcnn.runtime",
        description="Segment images.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("model", help="exported model: .onnx, or .xml of OpenVINO")
    parser.add_argument("sources", nargs="+", help="images: files, folders, patterns or URLs")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where overlays and predictions.json go")
    parser.add_argument("--score", type=float, default=0.5, help="leave out objects below this score, 0 to 1")
    parser.add_argument(
        "--threads",
        type=int,
        default=argparse.SUPPRESS,
        help="cores to use; the runtime's own choice unless given",
    )
    parser.add_argument("--no-overlays", action="store_true", help="write predictions.json alone")
    chosen = parser.parse_args(words)
    told = _Words()
    try:
        skipped, done = _run(chosen, told)
    except MaskRCNNError as error:
        told.aside("error", error)
        return FAILED
    except OSError as error:
        told.aside("error", error)
        return FAILED
    except KeyboardInterrupt:
        told.aside("error", "stopped")
        return INTERRUPTED
    code = 0 if not skipped else SOME_SKIPPED if done else FAILED
    if told.failure is not None and not isinstance(told.failure, BrokenPipeError):
        told.aside("error", f"cannot write to standard output: {told.failure.strerror}")
        return code or SOME_SKIPPED
    return code


class _Words:
    """What is told, each on its line; words that cannot be written do not stop the work."""

    failure: OSError | None = None

    def say(self, line: str) -> None:
        if self.failure is None:
            try:
                print(visible(line), flush=True)
            except OSError as error:
                self.failure = error
                discard_rest(sys.stdout)

    def aside(self, label: str, line: object) -> None:
        try:
            print(label, visible(str(line)), file=sys.stderr, flush=True)
        except OSError:
            discard_rest(sys.stderr)


def _run(chosen: argparse.Namespace, told: _Words) -> tuple[int, int]:
    """How many images were skipped and how many done."""
    found = resolve_sources(chosen.sources)
    skipped = len(found.problems)
    for line in (*found.problems, *found.notes):
        told.aside("note", line)
    if not found.images:
        raise MaskRCNNError("no image to segment", fix="name image files or folders that hold some")
    with PredictionWriter(chosen.out, overlays=not chosen.no_overlays) as writer:
        for line in writer.notes:
            told.aside("note", line)
        model = load(chosen.model, threads=getattr(chosen, "threads", None))
        results = model.stream((source.path_or_url for source in found.images), chosen.score)
        for source, result in zip(found.images, results, strict=True):
            try:
                if isinstance(result, MaskRCNNError):
                    raise result
                writer.add(source.name, source.stem, result)
            except MaskRCNNError as error:
                told.aside("note", f"skipped {error}")
                skipped += 1
                continue
            for note in result.notes:
                told.aside("note", f"{source.name}: {note}")
            told.say(f"{source.name}: {plural(len(result), 'object')}")
    return skipped, writer.images


if __name__ == "__main__":
    sys.exit(main())
