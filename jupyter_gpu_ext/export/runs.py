"""Run an exported script where nothing of yours can be lost: in a folder of its own, its writes kept apart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.datasets import pointer
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.connections import Used, to_toml
from jupyter_gpu_ext.export.files import describe_files
from jupyter_gpu_ext.job.witness import ARRAYS, VALUES, VARIABLE
from jupyter_gpu_ext.storage.connections import FILE_NAME, Connection
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jupyter_gpu_ext.job.described import Said

SECONDS = 3600
_MOST_SAID = 2000
_LARGEST_COPIED = 10 << 20
_MOST_COPIED = 50 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a notebook is run to be compared.

    Attributes
    ----------
    names : tuple of str
        The variables that are compared.
    cells : tuple of int
        The cells of which the output is compared.
    arguments : tuple of str
        The script's command line.
    seed : int
    tolerance : float
    """

    names: tuple[str, ...]
    cells: tuple[int, ...] = ()
    arguments: tuple[str, ...] = ()
    seed: int = 0
    tolerance: float = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a run left behind.

    Attributes
    ----------
    values : mapping of str to Said
        Its variables.
    texts : mapping of int to str
        What was printed, by cell.
    files : mapping of str to Said
        What was written: 'connection://key', or './name' in the working folder.
    arrays : mapping of str to numpy.ndarray
    """

    values: Mapping[str, Said]
    texts: Mapping[int, str]
    files: Mapping[str, Said]
    arrays: Mapping[str, Any] = field(default_factory=dict)


class Stage:
    """A folder with everything that a run needs, and that it may write to.

    Parameters
    ----------
    folder : Path
        An empty one.
    connections : iterable of Used
        What the script uses.
    data : Path or None
        A folder with a copy of the data, a folder a connection: those that have one are taken from there.
    beside : Path or None
        The notebook's folder: small files in it are copied, so that the run finds them and cannot change them.
    """

    def __init__(
        self, folder: Path, connections: Iterable[Used], *, data: Path | None = None, beside: Path | None = None
    ) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.out = folder / "out"
        self.work.mkdir()
        self.out.mkdir()
        self.stores: dict[str, Path] = {}
        self._real: list[Used] = []
        for one in connections:
            copy = data / one.name if data is not None else None
            if one.writes or (copy is not None and copy.is_dir()):
                self.stores[one.name] = self._store(one.name, copy)
            else:
                self._real.append(one)
        if beside is not None:
            _copy_small(beside, self.work)
        self._before = {place: _stamps(root) for place, root in self._roots().items()}

    def environment(self, environ: Mapping[str, str], real: Mapping[str, Connection]) -> dict[str, str]:
        """Return the variables of the run: its connections are those of the stage, the rest is as it was.

        Parameters
        ----------
        real : mapping of str to Connection
            The person's own connections.
        """
        made = [
            Used(name=name, connection=Connection(name=name, root=str(root), read_only=False), reads=True, writes=True)
            for name, root in self.stores.items()
        ]
        kept = [
            Used(name=one.name, connection=real[one.name], reads=True, writes=False)
            for one in self._real
            if one.name in real
        ]
        file = self.folder / FILE_NAME
        file.write_text(to_toml([*made, *kept]), encoding="utf-8")
        steady = {"PYTHONHASHSEED": "0", "JUPYTER_GPU_CONNECTIONS": str(file), "MPLBACKEND": "Agg"}
        return {**environ, **steady}

    def observed(self, texts: Mapping[int, str] | None = None) -> Observed:
        """Return what the run left behind.

        Parameters
        ----------
        texts : mapping of int to str, optional
            What was printed, by cell, where the run itself does not know it.
        """
        said = json.loads((self.out / VALUES).read_text(encoding="utf-8"))
        with np.load(self.out / ARRAYS, allow_pickle=False) as kept:
            arrays = dict(kept)
        written = dict[str, Path]()
        for place, root in self._roots().items():
            before = self._before[place]
            written |= {
                f"{place}{_steady(name)}": root / name
                for name, stamp in _stamps(root).items()
                if before.get(name) != stamp and not _lists_steps(root / name)
            }
        files, more = describe_files(written)
        return Observed(
            values=said["values"],
            texts=texts if texts is not None else {int(cell): text for cell, text in said["texts"].items()},
            files=files,
            arrays={**arrays, **more},
        )

    def _roots(self) -> dict[str, Path]:
        return {"./": self.work, **{f"{name}://": root for name, root in self.stores.items()}}

    def _store(self, name: str, copy: Path | None) -> Path:
        target = self.folder / "stores" / name
        target.parent.mkdir(exist_ok=True)
        if copy is not None and copy.is_dir():
            shutil.copytree(copy, target)
        else:
            target.mkdir()
        return target


def run_script(script: Path, plan: Plan, stage: Stage, *, python: str, environ: Mapping[str, str]) -> Observed:
    """Run an exported script in a process of its own, and return what it left behind.

    Parameters
    ----------
    python : str
        The interpreter.
    environ : mapping
        As `Stage.environment` makes it.

    Raises
    ------
    ExportRefusedError
        When it ends with an error, its last words are in the message; and when it does not end.
    """
    asked = {"folder": str(stage.out), "names": list(plan.names), "seed": plan.seed}
    try:
        done = subprocess.run(  # noqa: S603 -- the script that is to be proven
            [python, str(script), "--skip-preflight", *plan.arguments],
            cwd=stage.work, env={**environ, VARIABLE: json.dumps(asked)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ExportRefusedError(
            "The script does not come to an end.", hint="Prove it with smaller parameters."
        ) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr[-_MOST_SAID:].splitlines() if line.strip()][-2:]
        words = printable(redact(" ".join(lines))) or f"it ended with {done.returncode}"
        hint = f"Run it by itself: {python} {script.name}"
        if "FileNotFoundError" in words:
            hint = "A job has storage, and the files of its own folder: the notebook's folder is not there."
        raise ExportRefusedError(f"The script fails: {words}", hint=hint)
    return stage.observed()


def _steady(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{pointer.steady_name(last)}"


def _lists_steps(file: Path) -> bool:
    """Whether a file is a Checkpointer's own: it names objects as no other run does."""
    return file.name == pointer.NAME and any(pointer.is_step(one.name) for one in file.parent.iterdir())


def _copy_small(source: Path, target: Path) -> None:
    room = _MOST_COPIED
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.is_symlink() and not file.name.startswith("."):
            size = file.stat().st_size
            if size <= min(room, _LARGEST_COPIED):
                room -= size
                shutil.copy2(file, target / file.name)


def _stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Return the files below a folder, each with its size and time."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            file = Path(folder) / name
            if file.is_file() and not file.is_symlink() and "__pycache__" not in file.parts:
                told = file.stat()
                found[file.relative_to(root).as_posix()] = (told.st_size, told.st_mtime_ns)
    return dict(sorted(found.items()))
