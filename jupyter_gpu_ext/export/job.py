"""A notebook as a job: every file of its folder, decided before any is written."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from jupyter_gpu_ext._version import __version__
from jupyter_gpu_ext.errors import BadRequestError, ExportRefusedError
from jupyter_gpu_ext.export import (
    connections,
    image,
    locked,
    manifest,
    manifest_rules,
    readme,
    requirements,
    slurm,
    trainjob,
    used,
    workflow,
)
from jupyter_gpu_ext.export.lint import files_run
from jupyter_gpu_ext.export.script import make_script
from jupyter_gpu_ext.export.target import Options, aim
from jupyter_gpu_ext.gpu.health.compat import tables
from jupyter_gpu_ext.job import lock
from jupyter_gpu_ext.job.lock import SCRIPT
from jupyter_gpu_ext.job.parameters import Parameter
from jupyter_gpu_ext.storage.connections import FILE_NAME, load
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.export.connections import Used
    from jupyter_gpu_ext.export.environment import Environment
    from jupyter_gpu_ext.export.lint import Remark
    from jupyter_gpu_ext.export.locked import Data
    from jupyter_gpu_ext.export.parameters import Declared
    from jupyter_gpu_ext.export.requirements import Requirements
    from jupyter_gpu_ext.export.target import Target
    from jupyter_gpu_ext.export.translate import Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What would be written.

    Attributes
    ----------
    files : mapping of str to str
        The text of each file by its name in the folder.
    remarks : tuple of Remark
        What a person should know of the notebook, by cell.
    notes : tuple of str
        The same of packages, storage and data.
    parameters : tuple of Declared
    """

    target: Target
    files: Mapping[str, str]
    remarks: tuple[Remark, ...]
    notes: tuple[str, ...]
    parameters: tuple[Declared, ...]
    peak_bytes: int | None

    @property
    def connections(self) -> tuple[Used, ...]:
        """The storage that it uses."""
        return self.target.connections

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the API contract's Job."""
        memory = self.target.gpu_memory_mib
        return {
            "name": self.target.name,
            "image": self.target.image,
            "installs": self.target.installs,
            "files": [{"name": name, "size_bytes": len(text.encode())} for name, text in self.files.items()],
            "remarks": [{"cell": one.cell, "line": one.line, "text": one.text} for one in self.remarks],
            "notes": list(self.notes),
            "parameters": [
                {"name": one.name, "default": one.default, "annotation": one.annotation, "help": one.help}
                for one in self.parameters
            ],
            "connections": [
                {**one.to_json(), "kubernetes_secret": self.target.secret_of(one) if one.variable else ""}
                for one in self.connections
            ],
            "peak_bytes": self.peak_bytes,
            "gpu_memory_bytes": memory << 20 if memory is not None else None,
        }


def make_job(
    notebook: Any,
    *,
    name: str,
    options: Options,
    environment: Environment,
    unknown: Unknown = "error",
    strict_shell: bool = False,
    beside: Callable[[str], str | None] = lambda _: None,
) -> Job:
    """Return the job that does what a notebook does. Asks storage for the versions of its data, and blocks.

    Parameters
    ----------
    notebook : mapping
        The parsed JSON, or nbformat's node of it.
    name : str
        The notebook's file name.
    options : Options
    environment : Environment
        Of the notebook's kernel, or of the interpreter that it would run in.
    unknown : {'error', 'comment'}
        What becomes of a magic without translation.
    strict_shell : bool
        A `!command` that fails ends the script.
    beside : callable
        Returns the source of a module that stands beside the notebook, by its name; None where none does.

    Raises
    ------
    ExportRefusedError
        With cell and line, where a script could not do the same; for an option that no cluster would take; and for a
        job that breaks a rule of `manifest_rules`.
    """
    script = make_script(
        notebook, name=name, version=__version__, unknown=unknown, strict_shell=strict_shell, ran=environment.ran
    )
    urls = used.named(script.text)
    target = aim(
        options,
        notebook=name,
        script=script.text,
        arguments=arguments(script.parameters, options.arguments),
        environment=environment,
        connections=connections.used(urls, load()),
    )
    modules = _modules(script.text, environment, beside)
    needs = requirements.require([script.text, *modules.values()], environment)
    data = locked.find(urls, environment.reads)
    notes = tuple(_notes(target, needs, data, environment, modules))
    files = _files({SCRIPT: script.text, **modules}, target, needs, data, environment)
    size = sum(one.size_bytes or 0 for one in data.entries)
    said = [*map(str, script.remarks), *notes]
    guide = readme.to_text(target, notebook=name, notes=said, files=[*files, "README.md"], data_bytes=size)
    return Job(
        target=target,
        files={"README.md": guide, **files},
        remarks=script.remarks,
        notes=notes,
        parameters=script.parameters,
        peak_bytes=environment.peak_bytes,
    )


def arguments(declared: Sequence[Declared], given: Mapping[str, str]) -> list[str]:
    """Return the script's command line for parameters that are not to be the notebook's.

    Raises
    ------
    ExportRefusedError
        As of `settle`.
    """
    line = list[str]()
    for parameter, value in settle(declared, given):
        flag = parameter.flags[0]
        if parameter.kind is bool:
            line.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            # One word: a value may begin with a dash.
            line.append(f"{flag}={given[parameter.name]}")
    return line


def settle(declared: Sequence[Declared], given: Mapping[str, str]) -> list[tuple[Parameter, Any]]:
    """Return the parameters that are given, each with its value.

    Raises
    ------
    ExportRefusedError
        For a name that is no parameter, a value of another type, and a secret.
    """
    known, found = {one.name: one for one in declared}, list[tuple[Parameter, Any]]()
    for name, text in given.items():
        if name not in known:
            names = ", ".join(known) or "it has no cell tagged `parameters`"
            raise ExportRefusedError(
                f"{printable(redact(name))} is no parameter of the notebook.", hint=f"Parameters: {names}."
            )
        if redact(text) != text:
            raise ExportRefusedError(
                f"The value of {name} looks like a secret; it was not written.", hint="Use a connection."
            )
        one = known[name]
        parameter = Parameter(name, _literal(one.default), one.annotation, one.help)
        try:
            found.append((parameter, parameter.read(text)))
        except BadRequestError as error:
            raise ExportRefusedError(error.message, hint=f"The notebook has {one.default}.") from None
    return found


def _literal(source: str) -> Any:
    # Arithmetic of numbers, as in 2 ** 5, gives a number; which one does not matter for the type.
    try:
        return ast.literal_eval(source)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _modules(script: str, environment: Environment, beside: Callable[[str], str | None]) -> dict[str, str]:
    """Return the modules beside the notebook that the script imports or runs, and those that they import."""
    found, sources = dict[str, str](), [script]
    while sources:
        source = sources.pop()
        for module in (*requirements.require([source], environment).missing, *files_run(source)):
            text = beside(module) if f"{module}.py" not in found else None
            if text is not None:
                check_source(f"{module}.py", text)
                found[f"{module}.py"] = text
                sources.append(text)
    return found


def check_source(name: str, text: str) -> None:
    """Raise `ExportRefusedError` for a module that holds a secret, or that is no Python."""
    if redact(text) != text:
        raise ExportRefusedError(f"{name} holds what looks like a secret.", hint="Use a connection.")
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExportRefusedError(f"{name}, which the notebook imports, is no valid Python.", hint="Mend it.") from None


def _files(
    sources: Mapping[str, str], target: Target, needs: Requirements, data: Data, environment: Environment
) -> dict[str, str]:
    carried = {
        **sources,
        **(_storage(target, data) if target.connections else {}),
    }
    extra = (
        {"requirements-image.txt": needs.text(without=requirements.in_torch_image(needs))} if target.installs else {}
    )
    job = manifest.to_text(target, {**carried, **extra})
    manifest_rules.check(list(yaml.safe_load_all(job)))
    return {
        SCRIPT: sources[SCRIPT],
        "requirements.txt": needs.text(),
        **{name: text for name, text in {**carried, **extra}.items() if name != SCRIPT},
        "job.yaml": job,
        "job.sbatch": slurm.to_text(target),
        "trainjob.yaml": trainjob.to_text(target),
        "Dockerfile": image.to_text(target, list(carried)),
        "github-workflow.yml": workflow.to_text(environment, f"{tables().index}/cpu"),
    }


def _storage(target: Target, data: Data) -> dict[str, str]:
    roots = {one.name: redact(one.connection.root) if one.connection else "" for one in target.connections}
    return {
        lock.NAME: lock.Lock(entries=data.entries, connections=roots).to_text(),
        FILE_NAME: connections.to_toml(target.connections),
    }


def _notes(
    target: Target, needs: Requirements, data: Data, environment: Environment, modules: Mapping[str, str]
) -> Iterator[str]:
    yield from needs.problems
    for name in needs.missing:
        if f"{name}.py" not in modules:
            yield f"{name} is imported, and neither an installed package nor a file beside the notebook has it."
    yield from (f"{one.name}://: {one.note}." for one in target.connections if one.note)
    yield from data.notes
    torch = environment.find("torch")
    if target.options.gpus and torch is not None and torch.version.endswith("+cpu"):
        yield f"The notebook ran with torch {torch.version}, a build for the CPU; the job's image has one for CUDA."
    if target.options.gpus and environment.peak_bytes is None:
        yield "How much device memory the notebook needs was not seen: no GPU is asked for by its memory."
