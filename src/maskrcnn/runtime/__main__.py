"""`python -m maskrcnn.runtime MODEL SOURCE…`: what `maskrcnn predict` writes, where there is no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from maskrcnn.errors import EXPECTED_ENDS, SOME_SKIPPED, message_and_code
from maskrcnn.prediction.prediction_run import predict_to_folder
from maskrcnn.runtime import load
from maskrcnn.text import discard_rest, replace_unencodable, visible


def main(words: Sequence[str] | None = None) -> int:
    """Run with these command-line words, or the process's own; the exit code."""
    replace_unencodable()
    chosen = _parser().parse_args(words)
    terminal = _PlainTerminal()
    try:
        outcome = predict_to_folder(
            chosen.sources,
            lambda: load(chosen.model, threads=getattr(chosen, "threads", None)),
            chosen.out,
            score=chosen.score,
            overlays=not chosen.no_overlays,
            say=terminal.say,
            warn=terminal.warn,
        )
    except EXPECTED_ENDS as error:
        line, code = message_and_code(error)
        terminal.warn(line, "error")
        return code
    if terminal.failure is not None and not isinstance(terminal.failure, BrokenPipeError):
        terminal.warn(f"cannot write to standard output: {terminal.failure.strerror}", "error")
        return outcome.exit_code or SOME_SKIPPED
    return outcome.exit_code


def _parser() -> argparse.ArgumentParser:
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
        "--threads", type=int, default=argparse.SUPPRESS, help="cores to use; the runtime's own choice unless given"
    )
    parser.add_argument("--no-overlays", action="store_true", help="write predictions.json alone")
    return parser


class _PlainTerminal:
    """Standard output and error, a line at a time; a line that cannot be written does not stop the work."""

    failure: OSError | None = None

    def say(self, line: str) -> None:
        if self.failure is None:
            try:
                print(visible(line), flush=True)
            except OSError as error:
                self.failure = error
                discard_rest(sys.stdout)

    def warn(self, line: str, label: str = "note") -> None:
        try:
            print(label, visible(line), file=sys.stderr, flush=True)
        except OSError:
            discard_rest(sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
