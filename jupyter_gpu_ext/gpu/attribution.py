"""Whose memory it is: from what the driver, the system and the notebooks say, what each notebook holds. Pure.

A driver names processes by numbers, and in a container these may be the host's, this container's, or those of a
container inside: which of them is found out by looking, never by the driver's version. See `numbering`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.gpu.models import Device, DeviceSample


class How(StrEnum):
    """How the number of bytes is known; where nobody says a number, how it is known that the device is used."""

    PID = "pid"
    NAMESPACE_PID = "namespace_pid"
    NSPID = "nspid"
    DESCRIPTORS = "descriptors"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What the system says of a process.

    Attributes
    ----------
    parent : int
    numbers : tuple of int
        Its number here, then in each namespace inside that it lives in: the line NSpid of `/proc/PID/status`.
    opened : frozenset of str or None
        The uuids of the devices that it has open; None where nobody looked.
    """

    pid: int
    parent: int
    numbers: tuple[int, ...] = ()
    opened: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a notebook says of its own process on one device; no tensor fills `cached_bytes` of the `bytes`."""

    device: str
    uuid: str | None
    bytes: int
    peak_bytes: int | None = None
    cached_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A notebook's kernel: its process, where it has one on this machine, and what it says."""

    pid: int | None
    told: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a notebook, its child processes included, holds on one device.

    Attributes
    ----------
    uuid, device : str or None
        The device as the driver and as the notebook's torch name it; a uuid of None is the cpu.
    bytes : int or None
        None where nobody says how much.
    peak_bytes, cached_bytes : int or None
    """

    uuid: str | None
    device: str | None
    bytes: int | None
    peak_bytes: int | None = None
    cached_bytes: int | None = None
    how: How

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is known of the machine at one moment.

    Attributes
    ----------
    processes : mapping of int to Process
        By number here: those that the driver names as far as they live here, their parents, and the kernels'.
    numbering : How or None
        What the driver's numbers mean, from `numbering`.
    """

    devices: Sequence[Device] = ()
    readings: Sequence[DeviceSample] = ()
    processes: Mapping[int, Process]
    numbering: How | None


@dataclass(frozen=True, slots=True)
class _Held:
    uuid: str
    pid: int
    bytes: int | None
    how: How


def numbering(named: Collection[int], living: Collection[int], *, is_host: bool) -> How | None:
    """Return what the driver's process numbers mean here: PID, NAMESPACE_PID, or None for another system's numbers.

    A driver that counts as a container does names only processes that live in it. One number that nobody has here
    shows that the numbers are the host's; that another equals one of ours is then a coincidence.

    Parameters
    ----------
    named : collection of int
        The numbers that the driver gave.
    living : collection of int
        Those of them that live here, or did when somebody looked last.
    is_host : bool
        This process sees the machine's own numbers, not a container's.
    """
    if is_host:
        return How.PID
    return How.NAMESPACE_PID if all(one in living for one in named) else None


def named_by_driver(readings: Iterable[DeviceSample]) -> frozenset[int]:
    """Return the process numbers in readings; 0 is how some drivers write a process of another container."""
    return frozenset(one.pid for reading in readings for one in reading.processes or () if one.pid > 0)


def attribute(kernels: Mapping[str, Kernel], machine: Machine) -> dict[str, tuple[Use, ...]]:
    """Return what each kernel holds, by its id; what is nobody's here is in no row."""
    owners = _owners(kernels, machine.processes)
    held: dict[str, list[_Held]] = defaultdict(list)
    for one in _matched(machine, owners):
        held[owners[one.pid]].append(one)
    return {name: _uses(kernel, held[name], name, owners, machine) for name, kernel in kernels.items()}


def _owners(kernels: Mapping[str, Kernel], processes: Mapping[int, Process]) -> dict[int, str]:
    # The nearest kernel above a process has it: a kernel may have been started by another one.
    roots = {kernel.pid: name for name, kernel in kernels.items() if kernel.pid is not None}
    found: dict[int, str] = {}
    for pid in [*processes, *roots]:
        at, seen = pid, set[int]()
        while at not in roots and at in processes and at not in seen:
            seen.add(at)
            at = processes[at].parent
        if at in roots:
            found[pid] = roots[at]
    return found


def _matched(machine: Machine, owners: Mapping[int, str]) -> Iterator[_Held]:
    inner: dict[int, list[Process]] = defaultdict(list)
    for pid in owners:
        if (process := machine.processes.get(pid)) is not None:
            for number in set(process.numbers[1:]):
                inner[number].append(process)
    for (uuid, number), size in _rows(machine).items():
        if machine.numbering is not None and number in owners:
            yield _Held(uuid, number, size, machine.numbering)
        elif len(found := [one for one in inner[number] if _may_be(one, uuid, number, machine)]) == 1:
            yield _Held(uuid, found[0].pid, size, How.NSPID)


def _may_be(process: Process, uuid: str, number: int, machine: Machine) -> bool:
    # Where the number is also somebody's here, the number alone proves nothing: the device must be open as well.
    return uuid in process.opened if process.opened is not None else number not in machine.processes


def _rows(machine: Machine) -> dict[tuple[str, int], int | None]:
    """Return the driver's rows; one process is in the list of a slice and of its card, or computes and draws."""
    rows: dict[tuple[str, int], int | None] = {}
    for reading in machine.readings:
        for one in reading.processes or ():
            # A process that has a device holds a context on it: 0 bytes are a number that was not filled in.
            before, size = rows.get((reading.uuid, one.pid)), one.memory_bytes or None
            rows[reading.uuid, one.pid] = max(before or 0, size or 0) or None
    cards = {device.uuid: device.slice_of for device in machine.devices if device.slice_of is not None}
    for uuid, pid in list(rows):
        if uuid in cards:
            rows.pop((cards[uuid], pid), None)
    return {place: size for place, size in rows.items() if place[1] > 0}


def _uses(kernel: Kernel, held: list[_Held], name: str, owners: Mapping[int, str], machine: Machine) -> tuple[Use, ...]:
    by_uuid: dict[str, list[_Held]] = defaultdict(list)
    for one in held:
        by_uuid[one.uuid].append(one)
    told = [(_known_uuid(one, machine.devices), one) for one in kernel.told]
    first = {uuid: one for uuid, one in reversed(told) if uuid is not None and uuid in by_uuid}
    rows = [_merged(uuid, found, first.get(uuid), kernel.pid) for uuid, found in by_uuid.items()]
    rows += [_reported(one, uuid) for uuid, one in told if one not in first.values()]
    if any(one.uuid is not None or one.device != "cpu" for one in rows):
        return tuple(rows)
    opened = _opened(name, owners, machine)
    return (*(Use(uuid=uuid, device=None, bytes=None, how=How.DESCRIPTORS) for uuid in opened), *rows)


def _merged(uuid: str, held: list[_Held], told: Told | None, pid: int | None) -> Use:
    """Return one row of what the driver and the notebook say.

    The driver's number wins: it has the context and the libraries, which torch does not count. The notebook knows the
    device's name, what is cached, and the most that there was: the driver's surplus was there then, too. Where the
    driver gives the kernel's process no number, the notebook's counts; the two are not added, for a kernel may be the
    child of the process that was started for it.
    """
    own = next((one.bytes for one in held if one.pid == pid), None)
    others = [one.bytes for one in held if one.pid != pid and one.bytes is not None]
    how = next((one.how for one in held if one.bytes is not None), held[0].how)
    if told is None:
        sizes = others if own is None else [own, *others]
        return Use(uuid=uuid, device=None, bytes=sum(sizes) if sizes else None, how=how)
    size = max(told.bytes, sum(others)) if own is None else own + sum(others)
    peak = None if told.peak_bytes is None else max(size, size - told.bytes + told.peak_bytes)
    cached = None if told.cached_bytes is None else min(told.cached_bytes, size)
    how = How.REPORT if own is None and not others else how
    return Use(uuid=uuid, device=told.device, bytes=size, peak_bytes=peak, cached_bytes=cached, how=how)


def _reported(told: Told, uuid: str | None) -> Use:
    return Use(
        uuid=uuid, device=told.device, bytes=told.bytes, peak_bytes=told.peak_bytes, cached_bytes=told.cached_bytes,
        how=How.REPORT,
    )  # fmt: skip


def _known_uuid(told: Told, devices: Sequence[Device]) -> str | None:
    # CUDA gives a MIG slice's identity without saying that it is one, and an old torch gives none at all.
    if told.uuid is None:
        return devices[0].uuid if len(devices) == 1 and told.device != "cpu" else None
    return next((one.uuid for one in devices if _bare(one.uuid) == _bare(told.uuid)), told.uuid)


def _bare(uuid: str) -> str:
    return uuid.removeprefix("GPU-").removeprefix("MIG-")


def _opened(name: str, owners: Mapping[int, str], machine: Machine) -> list[str]:
    """Return the devices that a kernel's processes have open: they all are at once, so it says that and no more."""
    mine = [machine.processes[pid] for pid, owner in owners.items() if owner == name and pid in machine.processes]
    return sorted({uuid for one in mine for uuid in one.opened or ()})
