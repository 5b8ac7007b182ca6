"""`/export/run`, `/export/runs`: exported jobs in the background of this machine, beyond the browser's tab."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BadRequestError, BusyError, NotFoundError
from jupyter_gpu_ext.export.folder import read_record
from jupyter_gpu_ext.job import running
from jupyter_gpu_ext.job.lock import SCRIPT
from jupyter_gpu_ext.job.parameters import PREFIX
from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.server.export import Exports
    from jupyter_gpu_ext.server.interpreters import Interpreter
    from jupyter_gpu_ext.server.workspace import Workspace

logger = logging.getLogger(__name__)

FILE = "jupyter_gpu_runs.json"
LOG = "train.log"
_MOST_FOLDERS = 50
_TAIL_BYTES = 4096
# Until it has read the connections and opened the log.
_START_SECONDS = 30.0
# `jupyter gpu run` by the kernel's own Python, away from what lies beside the script.
_COMMAND = ("-P", "-c", "from jupyter_gpu_ext.cli import gpu; gpu()", "run")


class Runs:
    """The runs that this server started, in the state that their folders tell.

    Parameters
    ----------
    workspace : Workspace
    folder : Path
        Jupyter's data folder: a list of the jobs' folders outlives the server.
    """

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self._workspace = workspace
        self._file = folder / FILE

    async def start(
        self, folder: str, interpreter: Interpreter, *, values: Mapping[str, str], log: str, gpus: int
    ) -> dict[str, Any]:
        """Start a job and return its row once it runs.

        Parameters
        ----------
        folder : str
            Below the root.
        values : mapping of str to str
            Parameters that are not to be the notebook's.
        log : str
            A name-URL that its output goes to as well, or ''.

        Raises
        ------
        NotFoundError
            There is no exported job.
        BusyError
            It runs already.
        BadRequestError
            It did not start; the message is its own.
        """
        place = self._workspace.folder(folder)
        check_values(values)
        _check_log(log)
        check_job(place, folder)
        found = running.read(place)
        if found is not None and found.is_running:
            raise BusyError(f"{printable(folder)} runs already.", hint="Wait for its end, or stop it.")
        process = await asyncio.to_thread(_launch, place, interpreter, values=values, log=log, gpus=gpus)
        # Waited for, so that it is no zombie once it ended; the server's own end does not wait.
        threading.Thread(target=process.wait, name="jupyter-gpu-run", daemon=True).start()
        await asyncio.to_thread(self._remember, place)
        await _until_it_runs(process, place)
        return self._row(place)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a job that was started here, the newest first; reads files."""
        return [self._row(place) for place in self._folders() if running.read(place) is not None]

    def stop(self, identity: str) -> None:
        """Send SIGTERM to a run; one that is over stays as it is.

        Raises
        ------
        NotFoundError
            There is none of that id.
        """
        found = [place for place in self._folders() if _id_of(place) == identity]
        if not found:
            raise NotFoundError("There is no such run.", hint="Refresh the list.")
        running.stop(found[0])

    def _row(self, place: Path) -> dict[str, Any]:
        run = running.read(place)
        return {
            "id": _id_of(place),
            "folder": self._workspace.shown(place),
            "state": run.state if run else "lost",
            "exit_code": run.exit_code if run else None,
            "started_at": run.started_at if run else None,
            "ended_at": run.ended_at if run else None,
            "log": redact(run.log) if run and run.log else f"{self._workspace.shown(place)}/{LOG}",
            "tail": _tail(place / LOG),
        }

    def _folders(self) -> list[Path]:
        try:
            said: Any = json.loads(self._file.read_text(encoding="utf-8"))["folders"]
            return [place for one in said[:_MOST_FOLDERS] if self._workspace.has(place := Path(str(one)))]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _remember(self, place: Path) -> None:
        folders = [place, *(one for one in self._folders() if one != place)][:_MOST_FOLDERS]
        whole = self._file.with_name(f".{FILE}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(json.dumps({"folders": [str(one) for one in folders]}), encoding="utf-8")
            whole.replace(self._file)
        except OSError as error:
            logger.warning("%s could not be written: %s", self._file.name, error.strerror)


def check_job(place: Path, folder: str) -> None:
    """Raise `NotFoundError` unless a folder is an exported job."""
    if read_record(place) is None or not (place / SCRIPT).is_file():
        raise NotFoundError(f"{printable(folder)!r} is no exported job.", hint="Export the notebook first.")


def check_values(values: Mapping[str, Any]) -> None:
    """Raise `BadRequestError` for what is no parameter's name or text, and for a secret."""
    for name, text in values.items():
        if not (name.isidentifier() and type(text) is str and "\0" not in text):
            raise BadRequestError(f"{printable(name)[:100]!r} is no parameter.", hint="See openapi.yaml.")
        if redact(text) != text:
            raise BadRequestError(f"The value of {name} looks like a secret.", hint="Use a connection.")


def _check_log(log: str) -> None:
    scheme, found, key = log.partition("://")
    if log and not (found and key and scheme.replace("-", "").isalnum() and redact(log) == log):
        raise BadRequestError("The log is no name-URL.", hint="For example run7://logs/train.log, or nothing.")


def _launch(
    place: Path, interpreter: Interpreter, *, values: Mapping[str, str], log: str, gpus: int
) -> subprocess.Popen[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        screen = os.open(place / LOG, flags, 0o644)
    except OSError as error:
        raise BadRequestError(
            f"{LOG} cannot be written there ({error.strerror}).", hint="Choose another folder."
        ) from None
    options = [*(["--log", log] if log else []), *(["--gpus", str(gpus)] if gpus > 1 else [])]
    try:
        os.write(screen, f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n".encode())
        return subprocess.Popen(  # noqa: S603 -- the kernel's Python, and our own module
            [interpreter.path, *_COMMAND, *options, "--", str(place)],
            # On no command line: others of this machine see those.
            env={**interpreter.environment(), **{PREFIX + name.upper(): text for name, text in values.items()}},
            # A session of its own: what ends the server's terminal does not end it.
            cwd=place, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise BadRequestError(
            f"{printable(interpreter.path)} could not be started ({error.strerror}).", hint="Choose another kernel."
        ) from None
    finally:
        os.close(screen)


async def _until_it_runs(process: subprocess.Popen[bytes], place: Path) -> None:
    """Wait until the command says that it runs; what ends before has said why."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        ended = process.poll() is not None
        found = running.read(place)
        if found is not None and found.pid == process.pid and (found.is_running or found.exit_code is not None):
            return
        if ended:
            said = _tail(place / LOG).strip().rpartition("\n")[2]
            raise BadRequestError("The job did not start.", hint=said)
        await asyncio.sleep(0.05)


def _tail(file: Path) -> str:
    with suppress(OSError):
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            size = os.fstat(handle).st_size
            text = os.pread(handle, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
        finally:
            os.close(handle)
        # The first line may have lost its beginning, and a secret's beginning tells what it is.
        return redact(text.partition("\n")[2] if size > _TAIL_BYTES else text)
    return ""


def _id_of(place: Path) -> str:
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:32]


class ExportRunHandler(Handler):
    """POST starts a job in the background."""

    def initialize(self, runs: Runs, exports: Exports) -> None:
        """Take the services of the composition root."""
        self._runs = runs
        self._exports = exports

    @authenticated
    @authorized("execute", resource="export")
    async def post(self) -> None:
        """Answer when it runs."""
        types: dict[str, type] = {"kernel": str, "arguments": dict, "log": str, "gpus": int}
        body = read_body(self.request, {"path": str, "folder": str}, types)
        gpus = body.get("gpus", 1)
        if not 0 <= gpus <= 64:
            raise BadRequestError("gpus is no whole number from 0 to 64.", hint="See openapi.yaml.")
        # It is a program of the person's, like a cell.
        await self.check_may("execute", "kernels")
        interpreter = await self._exports.interpreter(body["path"], body.get("kernel", ""))
        values, log = body.get("arguments", {}), body.get("log", "")
        self.send(await self._runs.start(body["folder"], interpreter, values=values, log=log, gpus=gpus))


class ExportRunsHandler(Handler):
    """GET the jobs that were started here."""

    def initialize(self, runs: Runs) -> None:
        """Take the service of the composition root."""
        self._runs = runs

    @authenticated
    @authorized("read", resource="export")
    async def get(self) -> None:
        """Answer with what their folders say."""
        self.send({"runs": await asyncio.to_thread(self._runs.rows)})


class ExportRunOneHandler(Handler):
    """DELETE ends a run."""

    def initialize(self, runs: Runs) -> None:
        """Take the service of the composition root."""
        self._runs = runs

    @authenticated
    @authorized("execute", resource="export")
    async def delete(self, identity: str) -> None:
        """Send SIGTERM; a Checkpointer saves, then it ends."""
        await asyncio.to_thread(self._runs.stop, identity)
        self.send({})


def routes(runs: Runs, exports: Exports) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [
        ("export/run", ExportRunHandler, {"runs": runs, "exports": exports}),
        ("export/runs", ExportRunsHandler, {"runs": runs}),
        (r"export/runs/([0-9a-f]{32})", ExportRunOneHandler, {"runs": runs}),
    ]
