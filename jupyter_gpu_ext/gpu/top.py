"""The verb `gpu top`: the state of the devices, again and again, until the person leaves."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import UsageError
from jupyter_gpu_ext.gpu.api import open_backend, status
from jupyter_gpu_ext.gpu.frame import fitting, frame, to_text
from jupyter_gpu_ext.gpu.models import State
from jupyter_gpu_ext.gpu.own import own_processes
from jupyter_gpu_ext.gpu.sampler import Sampler
from jupyter_gpu_ext.gpu.screen import Screen, is_terminal

if TYPE_CHECKING:
    from jupyter_gpu_ext.gpu.models import Status

_MOST_SECONDS = 3600
# How soon a new reading is seen.
_LOOK_SECONDS = 0.25
_FIRST_SECONDS = 5.0


def top(*, interval_seconds: int = 2, once: bool = False) -> str | None:
    """Show the devices and the caller's processes on them until `q` or Ctrl-C.

    Parameters
    ----------
    interval_seconds : int
        Between two readings, 1 to 3600.
    once : bool
        Return one picture instead.

    Raises
    ------
    UsageError
        The interval is out of range.
    """
    if not 1 <= interval_seconds <= _MOST_SECONDS:
        raise UsageError(f"--interval needs 1 to {_MOST_SECONDS} seconds, not {interval_seconds}.", hint="Default: 2.")
    if once:
        return _picture(status())
    sampler = Sampler(open_backend, float(interval_seconds))
    sampler.start()
    # Ctrl-C is how a person leaves.
    with suppress(KeyboardInterrupt):
        if is_terminal():
            _on_screen(sampler, interval_seconds)
        else:
            _as_text(sampler, interval_seconds)
    # A driver that hangs ends with the process; nobody waits for it.
    sampler.stop(timeout_seconds=0.2)
    return None


def _on_screen(sampler: Sampler, interval_seconds: int) -> None:
    note = f"every {interval_seconds} s · q leaves"
    styled = "NO_COLOR" not in os.environ
    with Screen() as screen:
        key: str | None = ""
        while key is not None and "q" not in key.lower():
            columns, rows = screen.size
            lines = frame(sampler.status(), own_processes, columns=columns, note=note)
            screen.draw([to_text(line, styled=styled) for line in fitting(lines, rows)])
            key = screen.key(_LOOK_SECONDS)


def _as_text(sampler: Sampler, interval_seconds: int) -> None:
    deadline = time.monotonic() + _FIRST_SECONDS
    while sampler.status().state is State.STARTING and time.monotonic() < deadline:
        time.sleep(0.02)
    while True:
        sys.stdout.write(f"{_picture(sampler.status())}\n\n")
        sys.stdout.flush()
        time.sleep(interval_seconds)


def _picture(shown: Status) -> str:
    columns = shutil.get_terminal_size().columns
    return "\n".join(to_text(line, styled=False) for line in frame(shown, own_processes, columns=columns))
