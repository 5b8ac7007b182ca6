"""Prove a script: the notebook runs in its kernel, the script in a clean process, and both are compared."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext._version import __version__
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export import clock, connections, locked, proof, used
from jupyter_gpu_ext.export import folder as folders
from jupyter_gpu_ext.export.again import again, keep_sample, lock_of
from jupyter_gpu_ext.export.job import arguments, settle
from jupyter_gpu_ext.export.notebook import read
from jupyter_gpu_ext.export.proof import Proof, compare
from jupyter_gpu_ext.export.rehearsal import rehearse
from jupyter_gpu_ext.export.runs import Plan, Stage
from jupyter_gpu_ext.export.script import make_script
from jupyter_gpu_ext.job.lock import SCRIPT
from jupyter_gpu_ext.storage.connections import load
from jupyter_gpu_ext.storage.local_upload import temporary
from jupyter_gpu_ext.tensors.beside import translated
from jupyter_gpu_ext.tensors.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_gpu_ext.export.connections import Used
    from jupyter_gpu_ext.export.environment import Environment
    from jupyter_gpu_ext.export.runs import Observed
    from jupyter_gpu_ext.export.translate import Unknown
    from jupyter_gpu_ext.export.used import Named


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """A notebook that has run.

    Attributes
    ----------
    plan : Plan
    left_out : mapping of str to str
        Names that are not compared, each with the reason.
    observed : Observed
        What it gave.
    environment : Environment
        Of its kernel, at its end.
    """

    plan: Plan
    left_out: Mapping[str, str]
    observed: Observed
    environment: Environment


def run_notebook(
    notebook: Any,
    *,
    folder: Path,
    kernel: str,
    given: Mapping[str, str],
    names: Sequence[str] = (),
    away: Sequence[str] = (),
    unknown: Unknown = "error",
) -> Rehearsed:
    """Run a notebook where it cannot overwrite anything: what it writes to storage goes to a folder instead.

    Parameters
    ----------
    folder : Path
        The notebook's; small files in it are there for the run, as copies.
    given : mapping of str to str
        Parameters of this run, as texts.
    names, away : sequence of str
        The variables to compare, else all of them; those not to.

    Raises
    ------
    ExportRefusedError
        When the notebook cannot be exported, and when a cell of it fails.
    """
    script = make_script(notebook, name="", version=__version__, unknown=unknown)
    known = clock.bound(script.text)
    if wrong := [name for name in (*names, *away) if name not in known]:
        raise ExportRefusedError(
            f"{wrong[0]} is no variable of the notebook.", hint=f"One of: {', '.join(sorted(known)) or 'none'}."
        )
    left_out = dict.fromkeys(clock.unsteady(script.text) - set(names), "the clock, or this machine, decides it")
    left_out |= dict.fromkeys(away, "asked for")
    plan = Plan(
        names=tuple(sorted(set(names) or known - left_out.keys())),
        cells=tuple(cell.number for cell in read(notebook) if cell.compared and not cell.left_out),
        arguments=tuple(arguments(script.parameters, given)),
    )
    values = {parameter.name: value for parameter, value in settle(script.parameters, given)}
    registry = load()
    urls = used.named(script.text)
    uses = connections.used(urls, registry)
    with tempfile.TemporaryDirectory(prefix="jupyter-gpu-") as made:
        data, place = Path(made) / "data", Path(made) / "stage"
        place.mkdir()
        _keep_both(urls, uses, data)
        stage = Stage(place, uses, data=data, beside=folder)
        environ = stage.environment(os.environ, registry.connections)
        observed, environment = rehearse(notebook, plan, values, stage, kernel=kernel, environ=environ)
    # What lay in the folder instead of storage says nothing of the storage.
    reads = tuple(one for one in environment.reads if one.url.partition("://")[0] not in stage.stores)
    environment = replace(environment, reads=reads, ran={})
    return Rehearsed(plan=plan, left_out={} if names else left_out, observed=observed, environment=environment)


def _keep_both(urls: Sequence[Named], uses: Sequence[Used], data: Path) -> None:
    """Copy what is read of the connections that are written as well: the run has a folder instead of those."""
    both = [one for one in uses if one.reads and one.writes and one.connection is not None]
    names = {one.name for one in both}
    found = locked.find([one for one in urls if one.scheme in names], ())
    why = keep_sample(found.entries, both if found.entries else (), data)
    if why:
        raise ExportRefusedError(
            f"{min(names)}:// is read and written, and its data cannot be copied for the run: {why}.",
            hint="Write the results to a connection of their own.",
        )


def prove(folder: Path, rehearsed: Rehearsed, *, python: str, told: Callable[[str], object] = lambda _: None) -> Proof:
    """Run the script of an exported job, compare it with its notebook, and put the proof into the folder.

    An earlier proof stays until the new one is whole.

    Parameters
    ----------
    python : str
        The interpreter.
    told : callable
        Is told when the script has run, and the comparison begins.

    Raises
    ------
    ExportRefusedError
        When the script fails, and when the folder got another one meanwhile.
    """
    script, place = folder / SCRIPT, folder / folders.PROOF
    with translated(place), temporary(place) as hidden:
        text = script.read_text(encoding="utf-8")
        whole = hidden.with_name("whole")
        whole.mkdir()
        made = _made(folder, text, rehearsed, whole, python=python, told=told)
        if script.read_text(encoding="utf-8") != text:
            raise ExportRefusedError("The script was replaced while it was being proven.", hint="Prove it again.")
        with uninterrupted():
            if os.path.lexists(place):
                place.rename(hidden.with_name("before"))
            whole.rename(place)
    return made


def _made(
    folder: Path, text: str, rehearsed: Rehearsed, whole: Path, *, python: str, told: Callable[[str], object]
) -> Proof:
    uses = connections.used(used.named(text), load())
    why = keep_sample(lock_of(folder), uses, whole / proof.DATA)
    found = again(folder / SCRIPT, rehearsed.plan, uses, python=python, data=whole / proof.DATA)
    told("comparing")
    made = Proof(
        plan=rehearsed.plan,
        script_sha256=hashlib.sha256(text.encode()).hexdigest(),
        results=compare(rehearsed.observed, found, rehearsed.plan),
        left_out=rehearsed.left_out,
        sample=why,
    )
    proof.write(whole, made, rehearsed.observed)
    return made
