"""What a folder says of its run on this machine: whether it goes on, since when, and how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.errors import BadRequestError, BusyError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "run.json"
# Who only looks holds the lock for a moment, too.
_TRIES, _PAUSE_SECONDS = 20, 0.05
_MOST_BYTES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The last run of a folder.

    Attributes
    ----------
    pid : int
        Of the process that runs the script and waits for it.
    log : str
        The name-URL that its output goes to as well; '' for none.
    started_at, ended_at : float
        Seconds since the epoch; None while it runs, and where nobody saw the end.
    exit_code : int or None
        As a shell has it: 143 after SIGTERM.
    is_running : bool
    """

    pid: int
    log: str
    started_at: float
    ended_at: float | None = None
    exit_code: int | None = None
    is_running: bool = False

    @property
    def state(self) -> Literal["running", "ended", "lost"]:
        """What is known; 'lost': it is over, and was killed before it could say how."""
        return "running" if self.is_running else "lost" if self.exit_code is None else "ended"


def read(folder: Path) -> Run | None:
    """Return the last run of a folder; None where there was none."""
    try:
        file = os.open(folder / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        is_running = not _lock(file, fcntl.LOCK_SH)
        return replace(_parse(os.read(file, _MOST_BYTES)), is_running=is_running)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        # Read while it is being written, or written by somebody else.
        return None
    finally:
        os.close(file)


def stop(folder: Path) -> bool:
    """Send SIGTERM to a run, so that a Checkpointer saves; return whether there was one."""
    run = read(folder)
    if run is None or not run.is_running:
        return False
    try:
        # The lock is held, so the process that wrote its number is alive.
        os.kill(run.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def held(folder: Path, log: str) -> Iterator[Callable[[int], None]]:
    """Say that this process runs the folder's script; the function that is given says how it ended.

    The lock, which the system takes back from a process that is gone, is what says that a run goes on.

    Raises
    ------
    BusyError
        When another process runs it.
    BadRequestError
        When nothing can be written there.
    """
    shown = printable(str(folder))
    try:
        file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise BadRequestError(
            f"{shown} cannot be written ({error.strerror}).", hint="Copy the folder to where you may write."
        ) from None
    try:
        for _ in range(_TRIES):
            if _lock(file, fcntl.LOCK_EX):
                break
            time.sleep(_PAUSE_SECONDS)
        else:
            raise BusyError(f"{shown} runs already.", hint="Wait for its end, or stop it.")
        run = Run(pid=os.getpid(), log=log, started_at=time.time())
        _write(file, run)
        yield lambda code: _write(file, replace(run, ended_at=time.time(), exit_code=code))
    finally:
        os.close(file)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(file: int, run: Run) -> None:
    # In place: another file of the same name would be another lock.
    said = {name: value for name, value in asdict(run).items() if name != "is_running"}
    data = (json.dumps(said) + "\n").encode()
    os.pwrite(file, data, 0)
    os.ftruncate(file, len(data))


def _parse(raw: bytes) -> Run:
    said: Any = json.loads(raw)
    pid, log, code = said["pid"], said["log"], said["exit_code"]
    if type(pid) is not int or pid < 2 or not isinstance(log, str) or type(code) not in (int, type(None)):
        raise ValueError("not a run")
    ended = said["ended_at"]
    return Run(
        pid=pid,
        log=log,
        started_at=float(said["started_at"]),
        ended_at=None if ended is None else float(ended),
        exit_code=code,
    )
