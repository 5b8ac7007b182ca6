"""Asks the doctor in a process of each environment: the server's and its kernels'; one at a time, kept for a while."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext import __version__
from jupyter_gpu_ext.errors import GpuExtError, NotFoundError
from jupyter_gpu_ext.gpu.checkup import Report, report
from jupyter_gpu_ext.gpu.compare import compare
from jupyter_gpu_ext.gpu.facts import Driver, Facts, Session, System, Torch, explained
from jupyter_gpu_ext.gpu.finding import Finding
from jupyter_gpu_ext.gpu.private import private
from jupyter_gpu_ext.server.interpreters import SERVERS, Interpreter, of_kernel

if TYPE_CHECKING:
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

KEPT_SECONDS = 30.0
# The probes end by themselves before.
LIMIT_SECONDS = 20.0
_PROGRAM = ("-m", "jupyter_gpu_ext.gpu.probes")
_MOST_BYTES = 1_000_000


class _SilentError(Exception):
    """An interpreter did not give facts; the text says why."""


class Doctor:
    """Reports of environments, shared by everyone who asks.

    Parameters
    ----------
    kernel_manager
        The server's own.
    """

    def __init__(self, kernel_manager: MappingKernelManager) -> None:
        self._kernel_manager = kernel_manager
        self._lock = asyncio.Lock()
        self._known: dict[Interpreter, tuple[float, Facts | Finding]] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def report(self, kernel_id: str = "") -> Report:
        """Return the report of the server's environment, or of a kernel's with what differs from the server's.

        Raises
        ------
        NotFoundError
            There is no such kernel.
        """
        kernel = self._interpreter(kernel_id) if kernel_id else SERVERS
        async with self._lock:
            server = await self._look(SERVERS)
            seen = server if kernel == SERVERS else kernel if isinstance(kernel, Finding) else await self._look(kernel)
        ours = server if isinstance(server, Facts) else _nothing("no answer from the server's Python")
        if isinstance(seen, Finding):
            return await asyncio.to_thread(report, ours, more=[seen] if kernel_id else [])
        return await asyncio.to_thread(report, seen, more=compare(ours, seen))

    def close(self) -> None:
        """End the probes that run."""
        if self._process is not None:
            _end(self._process)

    def _interpreter(self, kernel_id: str) -> Interpreter | Finding:
        if kernel_id not in self._kernel_manager:
            raise NotFoundError("There is no such kernel.", hint="It may have ended: refresh the list.")
        try:
            return of_kernel(self._kernel_manager.get_kernel(kernel_id))
        except GpuExtError as error:
            return Finding(id="kernel_elsewhere", level="note", title=error.message, fix=error.hint)

    async def _look(self, interpreter: Interpreter) -> Facts | Finding:
        made_at, known = self._known.get(interpreter, (float("-inf"), None))
        if known is None or time.monotonic() - made_at > KEPT_SECONDS:
            known = await self._ask(interpreter)
            now = time.monotonic()
            self._known = {one: kept for one, kept in self._known.items() if now - kept[0] <= KEPT_SECONDS}
            self._known[interpreter] = (now, known)
        return known

    async def _ask(self, interpreter: Interpreter) -> Facts | Finding:
        try:
            code, out, err = await self._run(interpreter)
        except _SilentError as error:
            return _silent(str(error))
        if code and b"No module named" in err and b"jupyter_gpu_ext" in err:
            return _without_package()
        try:
            return Facts.from_json(private(json.loads(out[:_MOST_BYTES])))
        except (ValueError, RecursionError):
            return _silent(f"its probes ended with code {code}, and gave no facts")

    async def _run(self, interpreter: Interpreter) -> tuple[int | None, bytes, bytes]:
        pipe, environment = asyncio.subprocess.PIPE, {**interpreter.environment(), "PYTHONSAFEPATH": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                interpreter.path, *_PROGRAM,
                stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
                # Away from the notebooks: a torch.py among them is not torch. A session, so that all end together.
                env=environment, cwd="/", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise _SilentError(f"its Python could not be started: {error.strerror}") from None
        self._process = process
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                out, err = await process.communicate()
        except TimeoutError:
            raise _SilentError(f"no answer within {LIMIT_SECONDS:.0f} s") from None
        finally:
            self._process = None
            if process.returncode is None:
                _end(process)
        return process.returncode, out, err


def _end(process: asyncio.subprocess.Process) -> None:
    # Its children are in its session; they may outlive it.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _without_package() -> Finding:
    return Finding(
        id="kernel_without_package",
        level="warning",
        title="This kernel's environment does not have jupyter_gpu_ext: the doctor cannot look into it.",
        evidence="Its Python finds no module of that name, or an older one. What follows is the server's environment.",
        fix=f"In the notebook: `%pip install jupyter-gpu-ext=={__version__}` (the server's version), then ask again.",
    )


def _silent(reason: str) -> Finding:
    return Finding(
        id="kernel_silent",
        level="warning",
        title="This kernel's environment could not be looked into.",
        evidence=f"{reason[0].upper()}{reason[1:]}. What follows is the server's environment.",
        fix="Run `%gpu doctor` in the notebook.",
    )


def _nothing(reason: str) -> Facts:
    groups: dict[str, Any] = {
        "system": explained(System(), reason),
        "driver": explained(Driver(), reason),
        "torch": explained(Torch(), reason),
        "session": explained(Session(), reason),
    }
    return replace(Facts(), **groups)
