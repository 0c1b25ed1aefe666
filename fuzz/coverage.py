"""Coverage-guided fuzzing of one target, ``python -m fuzz.coverage coco``, with atheris (``pip install atheris``).

An input is a byte, the number of a good file, and what stands in its place. Inputs that reach new lines of the package
are kept in the corpus, ``fuzz-corpus/TARGET``; one that fails is written to the working directory. Options of libFuzzer
follow the target: ``-max_total_time=600``, ``-runs=20000``, or the file that failed, to run it again.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["maskrcnn"]):
    from fuzz.run import MEGABYTES, SECONDS, Bench
    from maskrcnn.errors import MaskRCNNError

from fuzz.guard import measured


def main() -> None:
    name, options = sys.argv[1], sys.argv[2:]
    bench = Bench(name, Path(tempfile.mkdtemp(prefix="fuzz-")))
    corpus = Path("fuzz-corpus") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(bench.files):
        (corpus / f"good-{number}").write_bytes(bytes([number]) + path.read_bytes())
    shutil.copytree(bench.good, bench.work)

    def one(content: bytes) -> None:
        if not content:
            return
        good = bench.files[content[0] % len(bench.files)]
        path = bench.work / good.relative_to(bench.good)
        path.write_bytes(content[1:])
        try:
            with measured(SECONDS) as cost:
                bench.target.use(bench.work)
        except MaskRCNNError:
            pass
        finally:
            shutil.copyfile(good, path)
        if cost.bytes > MEGABYTES * 2**20:
            raise MemoryError(f"{cost.bytes / 2**20:.0f} MB")

    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
