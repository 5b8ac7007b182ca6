"""`jg.check_job`: an exported job, looked at where it is to run. It needs neither Jupyter nor IPython."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, GpuExtError
from jupyter_gpu_ext.export import connections, used
from jupyter_gpu_ext.export import folder as folders
from jupyter_gpu_ext.gpu.health.checkup import doctor
from jupyter_gpu_ext.gpu.health.finding import Finding
from jupyter_gpu_ext.job import connections as chosen
from jupyter_gpu_ext.job import lock
from jupyter_gpu_ext.job.lock import SCRIPT
from jupyter_gpu_ext.job.start import data_findings
from jupyter_gpu_ext.storage import trial
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.connections import FILE_NAME, load
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.sas import Grants
from jupyter_gpu_ext.text import format_duration, printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from jupyter_gpu_ext.export.connections import Used
    from jupyter_gpu_ext.gpu.health.checkup import Report
    from jupyter_gpu_ext.storage.connections import Registry
    from jupyter_gpu_ext.storage.trial import Trial


def check_job(folder: str | os.PathLike[str]) -> Report:
    """Check an exported job where it is to run: the machine, each connection that it uses, its data, its files.

    Parameters
    ----------
    folder : str or path
        What `jupyter gpu export` wrote.

    Returns
    -------
    Report
        As of `jg.gpu.doctor`.

    Raises
    ------
    BadRequestError
        When the folder holds no exported job.
    """
    path = Path(folder).expanduser().absolute()
    script = path / SCRIPT
    try:
        text = script.read_text(encoding="utf-8")
        urls = used.named(text)
    except (OSError, ValueError, SyntaxError):
        raise BadRequestError(
            f"{printable(str(path))} holds no {SCRIPT}.", hint="Make one: jupyter gpu export NOTEBOOK -o FOLDER"
        ) from None
    with chosen.chosen(script):
        registry = load()
        found = list(data_findings(path / lock.NAME))
        found += [one for each in connections.used(urls, registry) for one in _connection(each, registry, path)]
    return doctor(preflight=True, more=[*_files(path), *found])


def _files(path: Path) -> Iterator[Finding]:
    if folders.read_record(path) is None:
        return
    words = {"changed": "is not as it was exported", "missing": "is not there any more"}
    for name, what in folders.changed(path).items():
        if name != FILE_NAME:
            yield Finding(
                id=f"job_file:{name}",
                level="note" if name == "README.md" else "warning",
                title=f"{printable(name)} {words[what]}.",
                fix="Change the notebook and export it again; `jupyter gpu verify` compares what it computes.",
            )


def _connection(one: Used, registry: Registry, path: Path) -> Iterator[Finding]:
    name = f"{one.name}://"
    try:
        connection = registry.find(one.name)
        if one.writes and connection.read_only:
            raise DeniedError(
                "the script writes to it, and it is read-only.", hint=f"Set read_only = false for it in {FILE_NAME}."
            )
        tried = LOOP.run(
            trial.run(connection, backend(connection), key="", one_object=False, grants=Grants(), write=one.writes)
        )
        if tried.failure is not None:
            raise tried.failure
    except GpuExtError as error:
        fix = error.hint or f"Correct {FILE_NAME} beside {SCRIPT}."
        if one.name not in registry.connections and one.name not in registry.problems:
            fix = f"Fill in {path / FILE_NAME}, and mount it beside {SCRIPT}."
        yield Finding(
            id=f"connection:{one.name}", level="error", title=f"{name} cannot be used: {error.message}", fix=fix
        )
        return
    yield _tried(one, tried)


def _tried(one: Used, tried: Trial) -> Finding:
    name = f"{one.name}://"
    writes = [check for check in tried.checks if check.what == "write"]
    if one.writes and not any(check.ok for check in writes):
        why = f": {writes[0].message}" if writes else "."
        return Finding(
            id=f"connection:{one.name}",
            level="error",
            title=f"{name} is written by the script, and cannot be written here{why}",
            fix="Give this identity the right to write, and set read_only = false.",
        )
    far = tried.round_trip_seconds
    away = f", {format_duration(far)} away" if far is not None else ""
    is_far = far is not None and far > trial.NEAR_SECONDS
    return Finding(
        id=f"connection:{one.name}",
        level="warning" if is_far else "ok",
        title=f"{name} works{away}." if not is_far else f"{name} works, but it is{away.removeprefix(',')}.",
        fix="Run the job in the region of its data: it is faster, and not billed." if is_far else "",
    )
