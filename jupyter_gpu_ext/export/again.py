"""Run an exported script once more, on the data that its proof keeps. It needs neither Jupyter nor IPython."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.export.runs import Stage, run_script
from jupyter_gpu_ext.job import lock
from jupyter_gpu_ext.storage.connections import load
from jupyter_gpu_ext.storage.cp import cp
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jupyter_gpu_ext.export.connections import Used
    from jupyter_gpu_ext.export.runs import Observed, Plan
    from jupyter_gpu_ext.job.lock import Locked

SAMPLE_BYTES = 50_000_000


def again(script: Path, plan: Plan, uses: Iterable[Used], *, python: str, data: Path) -> Observed:
    """Run a script on the sample, where there is one, and return what it left behind.

    Beside it is what the job's folder has, and no more: a file of the notebook's folder is not where the job runs.
    """
    with tempfile.TemporaryDirectory(prefix="jupyter-gpu-") as made:
        stage = Stage(Path(made), uses, data=data)
        environ = stage.environment(os.environ, load().connections)
        return run_script(script, plan, stage, python=python, environ=environ)


def keep_sample(entries: Sequence[Locked], uses: Iterable[Used], target: Path) -> str:
    """Copy the data that was read, where it is small, whole or not at all; return why not, where not."""
    if why := _why_not(entries, uses):
        return why
    try:
        for one in entries:
            name, _, key = one.url.partition("://")
            place = target / name / key
            place.parent.mkdir(parents=True, exist_ok=True)
            cp(one.url, str(place), recursive=bool(one.objects), overwrite=True)
    except GpuExtError as error:
        # A part of it would be taken for all of it.
        shutil.rmtree(target, ignore_errors=True)
        return error.message
    return ""


def _why_not(entries: Sequence[Locked], uses: Iterable[Used]) -> str:
    size = sum(one.size_bytes or 0 for one in entries)
    if size > SAMPLE_BYTES:
        return f"it is {format_bytes(size)}, and at most {format_bytes(SAMPLE_BYTES)} is kept"
    # What is written as well is a folder of the run, which holds what the run wrote itself.
    read = {one.name for one in uses if one.reads and not one.writes}
    if untold := read - {one.url.partition("://")[0] for one in entries}:
        return f"what is read of {min(untold)}:// is not known"
    for one in entries:
        key = one.url.partition("://")[2]
        if one.size_bytes is None or {"", ".", ".."} & set(key.rstrip("/").split("/")):
            return f"{printable(key[:60])} cannot be a file"
    return ""


def lock_of(folder: Path) -> tuple[Locked, ...]:
    """Return the versions of the data that a job reads; none where it reads nothing."""
    file = folder / lock.NAME
    return lock.read(file).entries if file.is_file() else ()
