"""A probe in a process of its own: what hangs, crashes or opens the GPU there is gone when it ends."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# A probe that asks a driver which hangs is ended after this.
LIMIT_SECONDS = 9.0
# Nothing ends a process that waits inside the driver: it is left alone after this.
_BURIAL_SECONDS = 1.0


class Say(Protocol):
    """Hands facts to the process that asked."""

    def __call__(self, **facts: Any) -> None:
        """Say what is known by now; `unknown` maps names to reasons."""
        ...


class Child:
    """A module of this package that runs as a program and says JSON, a line at a time.

    Parameters
    ----------
    module : str
        Its name below `jupyter_gpu_ext.gpu`.
    limit_seconds : float
        After this it is ended; what it said by then counts.
    """

    def __init__(self, module: str, *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._deadline = time.monotonic() + limit_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._problem = ""
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own module
                [sys.executable, "-m", f"jupyter_gpu_ext.gpu.{module}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # A torch.py in the notebook's folder is not torch.
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )
        except OSError as error:
            self._problem = f"Python could not be started: {error.strerror or type(error).__name__}"

    def answer(self) -> tuple[dict[str, Any], str]:
        """Wait for the end, of either kind, and return what was said and what went wrong ('' when nothing did)."""
        if self._process is None:
            return {"unknown": {}}, self._problem
        try:
            out, _ = self._process.communicate(timeout=max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            return _merged(self._rest()), f"no answer within {self._limit_seconds:.0f} s"
        return _merged(out), _ending(self._process.returncode)

    def end(self) -> None:
        """End it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._rest()

    def _rest(self) -> bytes:
        assert self._process is not None  # noqa: S101 -- for the type checker
        try:
            return self._process.communicate(timeout=_BURIAL_SECONDS)[0]
        except subprocess.TimeoutExpired as still:
            return still.output or b""


def tell(probe: Callable[[Say], None], *, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Run a probe as the child: its facts go to standard output, whatever else is printed does not.

    Parameters
    ----------
    probe : callable
        Is given `say`.
    limit_seconds : float
        The system ends this process soon after, also when the one that asked is no more.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(limit_seconds) + 1)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**facts: Any) -> None:
        out.write(json.dumps(facts) + "\n")
        out.flush()

    probe(say)


def _merged(out: bytes) -> dict[str, Any]:
    said: dict[str, Any] = {"unknown": {}}
    for line in out.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            # It was ended in the middle of a line.
            break
        facts = json.loads(line)
        said["unknown"] |= facts.pop("unknown", {})
        said |= facts
    return said


def _ending(code: int) -> str:
    if code >= 0:
        return f"the probe ended with code {code}" if code else ""
    try:
        return f"the probe was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"the probe was ended by signal {-code}"
