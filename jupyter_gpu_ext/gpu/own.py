"""Which of the processes that hold device memory are the caller's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from jupyter_gpu_ext.gpu.attribution import numbering

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_gpu_ext.gpu.models import ProcessMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnProcess:
    """A process of the caller's: its number and program, and what it holds."""

    pid: int
    name: str
    memory_bytes: int | None


def own_processes(processes: Sequence[ProcessMemory] | None) -> tuple[OwnProcess, ...]:
    """Return those that the caller started, those that hold most first; none where the driver counts otherwise."""
    # 0 is how some drivers write a process of another container.
    named = [one for one in processes or () if one.pid > 0]
    numbers = {one.pid for one in named}
    if numbering(numbers, {pid for pid in numbers if _is_here(pid)}, is_host=False) is None:
        return ()
    return tuple(sorted(_mine(named), key=lambda one: -(one.memory_bytes or 0)))


def _mine(processes: Sequence[ProcessMemory]) -> Iterator[OwnProcess]:
    for one in processes:
        try:
            process = psutil.Process(one.pid)
            if process.uids().real == os.getuid():
                yield OwnProcess(pid=one.pid, name=process.name(), memory_bytes=one.memory_bytes)
        except psutil.Error:
            # It has ended meanwhile, or is none of the caller's business.
            continue


def _is_here(pid: int) -> bool:
    # Signal 0 asks whether there is such a process, also where others' entries in /proc are hidden.
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
