"""`python -m maskrcnn.runtime MODEL SOURCE…`: what `maskrcnn predict` writes, where there is no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.predict.sources import resolve_sources
from maskrcnn.predict.writers import PredictionWriter
from maskrcnn.runtime import load

SOME_SKIPPED, FAILED = 1, 2


def main(words: Sequence[str] | None = None) -> int:
    """Run with these command-line words, or the process's own; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m maskrcnn.runtime", description="Segment images.")
    parser.add_argument("model", help="exported model: .onnx, or .xml of OpenVINO")
    parser.add_argument("sources", nargs="+", help="images: files, folders, patterns or URLs")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where overlays and predictions.json go")
    parser.add_argument("--score", type=float, default=0.5, help="leave out objects below this score")
    parser.add_argument("--threads", type=int, default=None, help="cores to use")
    parser.add_argument("--no-overlays", action="store_true", help="write predictions.json alone")
    chosen = parser.parse_args(words)
    try:
        skipped, done = _run(chosen)
    except MaskRCNNError as error:
        print(f"error {error}", file=sys.stderr)
        return FAILED
    return 0 if not skipped else SOME_SKIPPED if done else FAILED


def _run(chosen: argparse.Namespace) -> tuple[int, int]:
    """How many images were skipped and how many done."""
    found = resolve_sources(chosen.sources)
    skipped = len(found.problems)
    with PredictionWriter(chosen.out, overlays=not chosen.no_overlays) as writer:
        model = load(chosen.model, threads=chosen.threads)
        for line in (*writer.notes, *found.problems, *found.notes):
            print(f"note {line}", file=sys.stderr)
        results = model.stream((source.path_or_url for source in found.images), chosen.score)
        for source, result in zip(found.images, results, strict=True):
            try:
                if isinstance(result, MaskRCNNError):
                    raise result
                writer.add(source.name, source.stem, result)
                for note in result.notes:
                    print(f"note {source.name}: {note}", file=sys.stderr)
                print(f"{source.name}: {len(result)} objects")
            except MaskRCNNError as error:
                print(f"note skipped {error}", file=sys.stderr)
                skipped += 1
    return skipped, writer.images


if __name__ == "__main__":
    sys.exit(main())
