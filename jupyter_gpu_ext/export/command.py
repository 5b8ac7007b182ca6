"""`jupyter gpu export`: a notebook's file becomes a folder."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from jupyter_core.paths import jupyter_data_dir

from jupyter_gpu_ext.errors import NotFoundError, UsageError
from jupyter_gpu_ext.export import folder as folders
from jupyter_gpu_ext.export import prove as proving
from jupyter_gpu_ext.export.gather import gather_from
from jupyter_gpu_ext.export.interpreter import interpreter_of, kernel_of
from jupyter_gpu_ext.export.job import make_job
from jupyter_gpu_ext.export.target import Code, Options, label
from jupyter_gpu_ext.export.translate import Unknown
from jupyter_gpu_ext.gpu import peaks
from jupyter_gpu_ext.tensors.beside import translated
from jupyter_gpu_ext.text import format_count, printable, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.export.job import Job
    from jupyter_gpu_ext.export.proof import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and where.

    Attributes
    ----------
    kept : tuple of str
        Files that somebody had changed by hand, which were not lost.
    """

    job: Job
    folder: Path
    kept: tuple[str, ...]
    proof: Proof | None = None

    @property
    def exit_code(self) -> int:
        """0; 2 where the script does not give the notebook's result."""
        return 0 if self.proof is None else self.proof.exit_code

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        proven = {} if self.proof is None else {"proof": self.proof.to_json()}
        return {"folder": str(self.folder), "kept": list(self.kept), **self.job.to_json(), **proven}

    def __str__(self) -> str:
        shown = shlex.quote(printable(str(self.folder)))
        said = [*map(str, self.job.remarks), *self.job.notes]
        said += [f"{name} was changed by hand; it was kept." for name in self.kept]
        return "\n".join(
            [
                f"{shown}: {format_count(len(self.job.files), 'file')}, begin with README.md.",
                *(f"  ! {printable(redact(one))}" for one in said),
                *([str(self.proof)] if self.proof is not None else []),
                f"Kubernetes: kubectl apply -f {shown}/job.yaml",
                f"Slurm: cd {shown} && sbatch job.sbatch",
                f"Check it where it runs: jupyter-gpu doctor --job {shown}",
            ]
        )


def export(
    notebook: str,
    *,
    folder: str = "",
    kernel: str = "",
    unknown: Unknown = "error",
    strict_shell: bool = False,
    overwrite: bool = False,
    prove: bool = False,
    with_: Sequence[str] = (),
    compare: Sequence[str] = (),
    away: Sequence[str] = (),
    parameters: Sequence[str] = (),
    secrets: Sequence[str] = (),
    image: str = "",
    code: Code = "configmap",
    **options: Any,
) -> Exported:
    """Write a notebook as a job.

    Raises
    ------
    NotFoundError
        When there is no such notebook.
    UsageError
        For an option of no known form.
    ExportRefusedError, ExistsError
        As `make_job` and `folder.write` say.
    """
    _one_of("--unknown", unknown, get_args(Unknown))
    _one_of("--code", code, get_args(Code))
    path = Path(notebook).expanduser().absolute()
    said = read_notebook(path)
    target = Path(folder).expanduser().absolute() if folder else path.parent / "jobs" / label(path.stem)
    folders.check_free(target, overwrite=overwrite)
    # 'same' is what is done anyway; it can be said.
    options |= {"image": "" if image == "same" else image, "code": code}
    wanted = Options(arguments=_pairs("--set", parameters), secrets=_pairs("--secret", secrets), **options)
    python, named, given = interpreter_of(said, kernel), kernel_of(said, kernel), _pairs("--with", with_)
    how: dict[str, Any] = {
        "folder": path.parent,
        "kernel": named,
        "given": given,
        "names": compare,
        "away": away,
        "unknown": unknown,
    }
    rehearsed = proving.run_notebook(said, **how) if prove else None
    environment = gather_from(python) if rehearsed is None else rehearsed.environment
    peak = max(peaks.peak_of(Path(jupyter_data_dir()) / peaks.NAME, str(path)).values(), default=None)
    job = make_job(
        said,
        name=path.name,
        options=wanted,
        environment=environment.with_peak(peak),
        unknown=unknown,
        strict_shell=strict_shell,
        beside=lambda module: read_module(path.parent, module),
    )
    if not folder:
        with translated(target.parent):
            target.parent.mkdir(exist_ok=True)
    kept = folders.write(job.files, target, overwrite=overwrite)
    made = proving.prove(target, rehearsed, python=python) if rehearsed is not None else None
    return Exported(job=job, folder=target, kept=kept, proof=made)


def read_notebook(path: Path) -> Any:
    """Return the JSON of a notebook's file.

    Raises
    ------
    NotFoundError
        When it is not there.
    UsageError
        When it is no notebook.
    """
    shown = printable(str(path))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no notebook {shown}.", hint="Check the name.") from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be read ({error.strerror}).", hint="Check the name.") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{shown} is no notebook.", hint="Export a file that JupyterLab can open.") from None


def read_module(folder: Path, module: str) -> str | None:
    """Return the source of a module in a folder, None where there is none; a link out of the folder is none."""
    file = folder / f"{module}.py"
    try:
        is_here = file.resolve().parent == folder.resolve()
        return file.read_text(encoding="utf-8") if is_here and file.is_file() else None
    except (OSError, ValueError):
        return None


def _pairs(flag: str, given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise UsageError(
                f"{flag} {printable(redact(name))} gives no value.", hint=f"For example {flag} name=value."
            )
    return {name: text for name, _, text in pairs}


def _one_of(flag: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise UsageError(f"{flag} is not {printable(redact(given))!r}.", hint=f"One of: {', '.join(known)}.")
