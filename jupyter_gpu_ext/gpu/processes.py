"""What Linux's `/proc` says of processes: parents, numbers in namespaces, open devices; nothing else is read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.attribution import Machine, Process, named_by_driver, numbering

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jupyter_gpu_ext.gpu.models import Status

# The number of the first namespace's file: PROC_PID_INIT_INO of linux/proc_ns.h.
_HOST_NAMESPACE = 0xEFFFFFFC
_FACTS = re.compile(rb"^(Tgid|PPid|NSpid):\s*([\d\t ]+)$", re.MULTILINE)
_DEVICE = re.compile(r"/dev/nvidia(\d+)")
_GPU = re.compile(r"^(GPU UUID|Device Minor):\s*(\S+)", re.MULTILINE)


class Processes:
    """Looks at the processes that matter; to be asked on a thread that may wait.

    Parameters
    ----------
    proc : Path
        The system's table.
    is_host : bool or None
        Whether numbers here are the machine's own; None: find out.
    """

    def __init__(self, proc: Path = Path("/proc"), *, is_host: bool | None = None) -> None:
        self._proc = proc
        self._is_host = _is_host(proc) if is_host is None else is_host
        self._before: frozenset[int] = frozenset()

    def look(self, status: Status, kernels: Collection[int]) -> Machine:
        """Return the machine as it is now.

        Only what the driver names is followed up to its kernel. Everything below the kernels is looked at where that is
        not enough: the driver counts otherwise, or says nothing.
        """
        named = named_by_driver(status.now)
        table = self._upwards([*named, *kernels])
        # The driver was asked a moment before: who has ended since did live here.
        living = named & (table.keys() | self._before)
        self._before = frozenset(named & table.keys())
        means = numbering(named, living, is_host=self._is_host)
        silent = any(reading.processes is None for reading in status.now)
        nested = any(len(table[pid].numbers) > 1 for pid in kernels if pid in table)
        if means is None or silent or nested:
            table |= self._below(kernels)
        return Machine(devices=status.devices, readings=status.now, processes=table, numbering=means)

    def _upwards(self, pids: list[int]) -> dict[int, Process]:
        table: dict[int, Process] = {}
        while pids:
            pid = pids.pop()
            if pid not in table and (found := self._read(pid)) is not None:
                table[pid] = found
                pids.append(found.parent)
        return table

    def _below(self, kernels: Collection[int]) -> dict[int, Process]:
        children: dict[int, list[Process]] = {}
        for pid in self._all():
            if (found := self._read(pid)) is not None:
                children.setdefault(found.parent, []).append(found)
        waiting = [found for pid in kernels if (found := self._read(pid)) is not None]
        table: dict[int, Process] = {}
        minors = self._minors()
        while waiting:
            one = waiting.pop()
            if one.pid not in table:
                table[one.pid] = self._with_devices(one, minors)
                waiting += children.get(one.pid, [])
        return table

    def _all(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(self._proc) if name.isdecimal()]  # noqa: PTH208 -- names are enough
        except OSError:
            return []

    def _read(self, pid: int) -> Process | None:
        try:
            text = (self._proc / str(pid) / "status").read_bytes()
        except OSError:
            return None
        facts = {name: [int(one) for one in numbers.split()] for name, numbers in _FACTS.findall(text)}
        # A thread has a folder too, which no list shows.
        if facts.get(b"Tgid") != [pid] or not facts.get(b"PPid"):
            return None
        return Process(pid=pid, parent=facts[b"PPid"][0], numbers=tuple(facts.get(b"NSpid", ())))

    def _with_devices(self, process: Process, minors: Mapping[int, str]) -> Process:
        opened: set[str] = set()
        folder = self._proc / str(process.pid) / "fd"
        try:
            for one in os.listdir(folder):  # noqa: PTH208
                target = _DEVICE.fullmatch(_target(folder / one))
                opened |= {minors[int(target[1])]} if target and int(target[1]) in minors else set()
        except OSError:
            return process
        return Process(pid=process.pid, parent=process.parent, numbers=process.numbers, opened=frozenset(opened))

    def _minors(self) -> dict[int, str]:
        """Return the uuid of each `/dev/nvidiaN`, as the driver's own files have it."""
        found: dict[int, str] = {}
        for file in self._proc.glob("driver/nvidia/gpus/*/information"):
            try:
                facts = dict(_GPU.findall(file.read_text(encoding="utf-8", errors="replace")))
            except OSError:
                continue
            if facts.get("Device Minor", "").isdecimal() and "GPU UUID" in facts:
                found[int(facts["Device Minor"])] = facts["GPU UUID"]
        return found


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        # Closed since it was listed.
        return ""


def _is_host(proc: Path) -> bool:
    try:
        return (proc / "self/ns/pid").stat().st_ino == _HOST_NAMESPACE
    except OSError:
        return False
