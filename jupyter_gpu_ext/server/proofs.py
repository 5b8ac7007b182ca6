"""`/export/proof`, `/export/proofs`: exported folders are proven by a process beside this one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BusyError, NotFoundError
from jupyter_gpu_ext.export import folder as folders
from jupyter_gpu_ext.export import proof as reports
from jupyter_gpu_ext.job import running
from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.server.runs import check_job, check_values
from jupyter_gpu_ext.server.workspace import parent_of
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jupyter_gpu_ext.server.export import Exports
    from jupyter_gpu_ext.server.workspace import Workspace

logger = logging.getLogger(__name__)

# Away from what lies beside a notebook: a torch.py among it is not torch.
_PROGRAM = ("-P", "-m", "jupyter_gpu_ext.export.proving")
_MOST_KEPT, _MOST_AT_ONCE = 50, 4
_MOST_BYTES_A_LINE = 1 << 20
# Its kernel is asked to end, and then made to.
_END_SECONDS = 15.0
_REPORT = f"{folders.PROOF}/{reports.MARKDOWN}"

State = Literal["running", "holds", "differs", "failed", "stopped"]


@dataclass(kw_only=True, eq=False)
class _Proving:
    """The proof of a folder, while it is made and afterwards."""

    place: Path
    record: Mapping[str, str] | None
    id: str = field(default_factory=lambda: uuid4().hex)
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    state: State = "running"
    phase: str = "starting"
    outcome: Literal["holds", "differs", "failed"] | None = None
    said: dict[str, Any] = field(default_factory=dict)
    is_stopping: bool = False
    process: asyncio.subprocess.Process | None = None

    def hear(self, line: bytes) -> None:
        """Take in a line of the process."""
        try:
            said = json.loads(line)
        except ValueError:
            # It was killed in the middle of a word.
            return
        self.phase = said.get("phase", self.phase)
        if "proof" in said:
            self.outcome, self.said = ("holds" if said["proof"]["holds"] else "differs"), said["proof"]
        elif "failed" in said:
            self.outcome, self.said = "failed", said["failed"]
            if "trace" in said:
                logger.error("A proof broke off\n%s", said["trace"])

    def end(self) -> None:
        """Note that the process is over; one that did not say how was stopped, or killed by somebody else."""
        self.ended_at = time.time()
        if self.outcome is None and not self.is_stopping:
            self.said = {"code": "internal", "message": "The proof was killed.", "hint": "Perhaps memory ran out."}
        self.state = self.outcome or ("stopped" if self.is_stopping else "failed")
        if self.state == "failed":
            # Also where that is because another job was exported meanwhile: it is said until the next one.
            self.record = folders.read_record(self.place)

    @property
    def counts(self) -> bool:
        """Whether it still says something of the folder: another export takes its proof away."""
        if self.state == "running":
            return True
        is_there = self.state not in ("holds", "differs") or (self.place / _REPORT).is_file()
        return is_there and folders.read_record(self.place) == self.record


class Proofs:
    """The proofs that this server made or makes, at most one a folder; they end with it.

    Parameters
    ----------
    workspace : Workspace
    exports : Exports
        They know the kernels of notebooks.
    """

    def __init__(self, workspace: Workspace, exports: Exports) -> None:
        self._workspace = workspace
        self._exports = exports
        self._known: list[_Proving] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, path: str, kernel: str, folder: str, values: Mapping[str, str]) -> dict[str, Any]:
        """Begin to prove a folder and return its row.

        Parameters
        ----------
        path : str
            Of its notebook.
        kernel : str
            The id of the notebook's kernel, or ''; the proof has one of its own of the same kind.
        folder : str
            Below the root.
        values : mapping of str to str
            The parameters of these runs.

        Raises
        ------
        NotFoundError
            There is no such notebook, kernel or exported job.
        BusyError
            It is being proven already, or runs.
        BadRequestError
            A value is none.
        """
        place = self._workspace.folder(folder)
        check_values(values)
        check_job(place, folder)
        asked = {**await self._asked(path, kernel), "folder": str(place), "values": dict(values)}
        made = self._begin(place, folder)
        task = asyncio.create_task(self._follow(made, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._row(made)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a folder, the newest first; reads files."""
        return [self._row(one) for one in self._known if one.counts]

    def stop(self, identity: str) -> None:
        """End a proof; one that is over stays as it is.

        Raises
        ------
        NotFoundError
            There is none of that id.
        """
        found = next((one for one in self._known if one.id == identity), None)
        if found is None:
            raise NotFoundError("There is no such proof.", hint="Refresh the list.")
        _tell_to_end(found)

    async def close(self) -> None:
        """End all, and wait until they are over."""
        for one in self._known:
            _tell_to_end(one)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _asked(self, path: str, kernel: str) -> dict[str, Any]:
        interpreter = await self._exports.interpreter(path, kernel)
        return {
            "notebook": _sources(await self._workspace.notebook(path)),
            "beside": str(self._beside(path)),
            "kernel": self._exports.kernel_name(kernel),
            "python": interpreter.path,
            "variables": dict(interpreter.variables),
        }

    def _begin(self, place: Path, folder: str) -> _Proving:
        at_work = [one for one in self._known if one.ended_at is None]
        if any(one.place == place for one in at_work):
            raise BusyError(f"{printable(folder)} is being proven already.", hint="Wait for its end, or stop it.")
        run = running.read(place)
        if run is not None and run.is_running:
            raise BusyError(f"{printable(folder)} runs now.", hint="Wait for its end, or stop it.")
        if len(at_work) >= _MOST_AT_ONCE:
            raise BusyError(f"{len(at_work)} proofs are being made.", hint="Wait for the end of one.")
        made = _Proving(place=place, record=folders.read_record(place))
        others = [one for one in self._known if one.place != place]
        self._known = [made, *at_work, *(one for one in others if one.ended_at is not None)][:_MOST_KEPT]
        return made

    async def _follow(self, made: _Proving, asked: Mapping[str, Any]) -> None:
        try:
            line = await asyncio.to_thread(lambda: json.dumps(asked).encode() + b"\n")
            made.process = process = await asyncio.create_subprocess_exec(
                sys.executable, *_PROGRAM,
                # Its stdin stays open: where that ends, this server is gone, and it ends as well.
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                limit=_MOST_BYTES_A_LINE, cwd="/", start_new_session=True,
            )  # fmt: skip
            if made.is_stopping:
                _tell_to_end(made)
            await _talk(process, line, made)
        except OSError as error:
            logger.warning("A proof could not be started: %s", error.strerror)
        finally:
            made.end()

    def _beside(self, path: str) -> Path:
        folder = parent_of(path)
        return self._workspace.folder(folder) if folder else self._workspace.root

    def _row(self, one: _Proving) -> dict[str, Any]:
        folder, said = self._workspace.shown(one.place), one.said
        return {
            "id": one.id,
            "folder": folder,
            "state": one.state,
            "phase": one.phase,
            "started_at": one.started_at,
            "ended_at": one.ended_at,
            "title": said.get("title", ""),
            "code": said.get("code", ""),
            "message": said.get("message", ""),
            "hint": said.get("hint", ""),
            "differs": said.get("differs", []),
            "report": f"{folder}/{_REPORT}",
        }


async def _talk(process: asyncio.subprocess.Process, line: bytes, made: _Proving) -> None:
    asks, says = process.stdin, process.stdout
    if asks is not None and says is not None:
        with suppress(ConnectionError):
            asks.write(line)
            await asks.drain()
        async for said in says:
            made.hear(said)
    await process.wait()


def _tell_to_end(one: _Proving) -> None:
    if one.ended_at is not None:
        return
    one.is_stopping = True
    if one.process is not None and one.process.returncode is None:
        one.process.terminate()
        asyncio.get_running_loop().call_later(_END_SECONDS, _kill, one)


def _kill(one: _Proving) -> None:
    # Not reaped before that is known, so the number is still its own; the script is of its session.
    if one.process is not None and one.process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)


def _sources(notebook: Any) -> Any:
    """Return a notebook without its outputs: they can be large, and nothing of the proof looks at them."""
    cells = [{**cell, "outputs": []} if "outputs" in cell else cell for cell in notebook["cells"]]
    return {**notebook, "cells": cells}


class ExportProofHandler(Handler):
    """POST begins to prove a folder."""

    def initialize(self, proofs: Proofs) -> None:
        """Take the service of the composition root."""
        self._proofs = proofs

    @authenticated
    @authorized("execute", resource="export")
    async def post(self) -> None:
        """Answer when it has begun."""
        body = read_body(self.request, {"path": str, "folder": str}, {"kernel": str, "values": dict})
        # It runs the notebook, and writes into the folder.
        await self.check_may("execute", "kernels")
        await self.check_may("read", "contents")
        await self.check_may("write", "contents")
        values = body.get("values", {})
        self.send(await self._proofs.start(body["path"], body.get("kernel", ""), body["folder"], values))


class ExportProofsHandler(Handler):
    """GET the proofs of this server."""

    def initialize(self, proofs: Proofs) -> None:
        """Take the service of the composition root."""
        self._proofs = proofs

    @authenticated
    @authorized("read", resource="export")
    async def get(self) -> None:
        """Answer with those that still say something of their folders."""
        self.send({"proofs": await asyncio.to_thread(self._proofs.rows)})


class ExportProofOneHandler(Handler):
    """DELETE ends a proof."""

    def initialize(self, proofs: Proofs) -> None:
        """Take the service of the composition root."""
        self._proofs = proofs

    @authenticated
    @authorized("execute", resource="export")
    async def delete(self, identity: str) -> None:
        """Tell it to end; an earlier proof of the folder stays."""
        self._proofs.stop(identity)
        self.send({})


def routes(proofs: Proofs) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [
        ("export/proof", ExportProofHandler, {"proofs": proofs}),
        ("export/proofs", ExportProofsHandler, {"proofs": proofs}),
        (r"export/proofs/([0-9a-f]{32})", ExportProofOneHandler, {"proofs": proofs}),
    ]
