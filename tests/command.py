"""`maskrcnn words…` as the installed command runs it, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from typing import Any

from maskrcnn.cli.main import run_command


def run(*words: object) -> tuple[int, str]:
    """Exit code and all output."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = run_command([str(word) for word in words])
    return code, output.getvalue()


def run_apart(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def call(*words: object, stdout: Any = subprocess.PIPE, **options: Any) -> subprocess.CompletedProcess[str]:
    """In a process of its own; keywords in capitals are environment variables, the others those of `subprocess.run`."""
    env = {name: options.pop(name) for name in list(options) if name.isupper()}
    return subprocess.run(
        [sys.executable, "-m", "maskrcnn", *map(str, words)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **env},
        encoding="utf-8",
        errors="surrogateescape",
        timeout=120,
        **options,
    )
