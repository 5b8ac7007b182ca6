"""`/export/job`: what a notebook would be as a job, and writing it into the workspace."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.export import folder as folders
from jupyter_gpu_ext.export.environment import Environment
from jupyter_gpu_ext.export.gather import gather_from
from jupyter_gpu_ext.export.interpreter import interpreter_of
from jupyter_gpu_ext.export.job import make_job
from jupyter_gpu_ext.export.target import Options, label
from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.server.interpreters import Interpreter, of_kernel
from jupyter_gpu_ext.server.workspace import parent_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    from jupyter_gpu_ext.export.job import Job
    from jupyter_gpu_ext.server.kernels import Kernels
    from jupyter_gpu_ext.server.peaks import Peaks
    from jupyter_gpu_ext.server.workspace import Workspace

# A kernel looks through the metadata of all that is installed.
_ANSWER_SECONDS = 20.0
# What an interpreter has changes when somebody installs something.
_KEPT_SECONDS = 60.0
_MODULE_SECONDS = 30.0
_TYPES: dict[str, type] = {
    "name": str, "image": str, "code": str, "gpus": int, "cpus": int, "memory": str, "shared_memory": str,
    "arguments": dict, "service_account": str, "secrets": dict,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asks for.

    Attributes
    ----------
    path : str
        The notebook's, below the server's root.
    kernel : str
        The id of its kernel, '' for none.
    folder : str
        Where to; '' is a folder of the notebook's name in `jobs` beside it.
    write, overwrite : bool
    """

    path: str
    kernel: str
    folder: str
    wanted: Options
    write: bool
    overwrite: bool


class Exports:
    """Makes jobs of this server's notebooks.

    Parameters
    ----------
    workspace : Workspace
    kernel_manager
        The server's own.
    kernels : Kernels
        The links to them.
    peaks : Peaks
        What the notebooks held of the devices.
    """

    def __init__(
        self, workspace: Workspace, kernel_manager: MappingKernelManager, kernels: Kernels, peaks: Peaks
    ) -> None:
        self._workspace = workspace
        self._kernel_manager = kernel_manager
        self._kernels = kernels
        self._peaks = peaks
        self._known: dict[Interpreter, tuple[float, Environment]] = {}
        self._looking = asyncio.Lock()

    async def make(self, asked: Request) -> dict[str, Any]:
        """Return the job, written when that is asked for.

        Raises
        ------
        NotFoundError
            There is no such notebook, or no such kernel.
        ExportRefusedError
            As `make_job` says.
        ExistsError
            The folder is there, and is not to be replaced.
        """
        target = self._workspace.folder(asked.folder or _usual(asked.path))
        notebook = await self._workspace.notebook(asked.path)
        environment = await self._environment(notebook, asked.kernel)
        peak = await asyncio.to_thread(lambda: max(self._peaks.of(asked.path).values(), default=None))
        job = await asyncio.to_thread(
            make_job,
            notebook,
            name=asked.path.rpartition("/")[2],
            options=asked.wanted,
            environment=environment.with_peak(peak),
            beside=self._beside(asked.path),
        )
        kept = await asyncio.to_thread(_write, job, target, overwrite=asked.overwrite) if asked.write else ()
        return self._said(job, target, kept, asked=asked)

    async def interpreter(self, path: str, kernel: str) -> Interpreter:
        """Return the Python that a notebook runs in, or would."""
        if kernel:
            return of_kernel(self._kernel(kernel))
        notebook = await self._workspace.notebook(path)
        return Interpreter(path=await asyncio.to_thread(interpreter_of, notebook))

    def kernel_name(self, kernel: str) -> str:
        """Return the name of a running kernel's kernel spec; '' for no kernel."""
        return str(self._kernel(kernel).kernel_name) if kernel else ""

    async def _environment(self, notebook: Any, kernel: str) -> Environment:
        if not kernel:
            return await self._look(Interpreter(path=await asyncio.to_thread(interpreter_of, notebook)))
        found = self._kernel(kernel)
        if (await self._kernels.row(kernel))["linked"]:
            content = await self._kernels.link(kernel).answer({"ask": "export"}, _ANSWER_SECONDS)
            if content is not None and "environment" in content:
                return Environment.from_json(content["environment"])
        return await self._look(of_kernel(found))

    async def _look(self, interpreter: Interpreter) -> Environment:
        async with self._looking:
            at, known = self._known.get(interpreter, (float("-inf"), None))
            if known is None or time.monotonic() - at > _KEPT_SECONDS:
                known = await asyncio.to_thread(gather_from, interpreter.path, interpreter.environment())
                self._known = {interpreter: (time.monotonic(), known)}
            return known

    def _kernel(self, identity: str) -> Any:
        if identity not in self._kernel_manager:
            raise NotFoundError("There is no such kernel.", hint="It was shut down: start it, and ask again.")
        return self._kernel_manager.get_kernel(identity)

    def _beside(self, path: str) -> Callable[[str], str | None]:
        loop, folder = asyncio.get_running_loop(), parent_of(path)

        def read(module: str) -> str | None:
            asked = asyncio.run_coroutine_threadsafe(self._workspace.module(folder, module), loop)
            return asked.result(_MODULE_SECONDS)

        return read

    def _said(self, job: Job, target: Path, kept: tuple[str, ...], *, asked: Request) -> dict[str, Any]:
        folder = self._workspace.shown(target)
        return {
            **job.to_json(),
            "folder": folder,
            "exists": target.exists() and not asked.write,
            "written": asked.write,
            "kept": list(kept),
            "commands": {
                "kubernetes": f"kubectl apply -f {shlex.quote(f'{folder}/job.yaml')}",
                "slurm": f"cd {shlex.quote(folder)} && sbatch job.sbatch",
                "here": f"jupyter gpu run {shlex.quote(folder)}",
            },
        }


def _usual(path: str) -> str:
    folder, stem = parent_of(path), path.rpartition("/")[2].removesuffix(".ipynb")
    return f"{folder}/jobs/{label(stem)}" if folder else f"jobs/{label(stem)}"


def _write(job: Job, target: Path, *, overwrite: bool) -> tuple[str, ...]:
    target.parent.mkdir(parents=True, exist_ok=True)
    return folders.write(job.files, target, overwrite=overwrite)


def read_options(given: dict[str, Any]) -> Options:
    """Return the options that a request has.

    Raises
    ------
    BadRequestError
        For what is unknown or of another type.
    """
    for name, value in given.items():
        texts = [*value.keys(), *value.values()] if isinstance(value, dict) else []
        if type(value) is not _TYPES.get(name) or not all(isinstance(text, str) for text in texts):
            raise BadRequestError(f"options.{name} is unknown or of the wrong type.", hint="See openapi.yaml.")
    if given.get("code", "configmap") not in ("configmap", "image"):
        raise BadRequestError("options.code is neither configmap nor image.", hint="See openapi.yaml.")
    return Options(**given)


class ExportJobHandler(Handler):
    """POST makes a job of a notebook."""

    def initialize(self, exports: Exports) -> None:
        """Take the service of the composition root."""
        self._exports = exports

    @authenticated
    @authorized("write", resource="export")
    async def post(self) -> None:
        """Answer with what would be written; write it when that is asked for."""
        body = read_body(
            self.request,
            {"path": str},
            {"kernel": str, "folder": str, "options": dict, "write": bool, "overwrite": bool},
        )
        asked = Request(
            path=body["path"],
            kernel=body.get("kernel", ""),
            folder=body.get("folder", ""),
            wanted=read_options(body.get("options", {})),
            write=body.get("write", False),
            overwrite=body.get("overwrite", False),
        )
        await self.check_may("read", "contents")
        # A kernel is asked, or the Python that it would be is started.
        await self.check_may("execute", "kernels")
        if asked.write:
            await self.check_may("write", "contents")
        self.send(await self._exports.make(asked))


def routes(exports: Exports) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [("export/job", ExportJobHandler, {"exports": exports})]
