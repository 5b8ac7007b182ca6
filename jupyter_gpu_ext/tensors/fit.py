"""Whether a load fits, what is left then, and, where it does not, which ways do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import DeviceError
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.placement import Devices, described, placement
from jupyter_gpu_ext.tensors.plan import plan_of
from jupyter_gpu_ext.tensors.precision import conversions, converted_bytes, most_bytes, stored_bytes
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_gpu_ext.tensors.models import TensorFile
    from jupyter_gpu_ext.tensors.plan import FetchPlan

_MOST_HEADROOM = 2 << 30
_OWNERS = 3


@dataclass(frozen=True, slots=True)
class Room:
    """What a load may have of a device.

    Attributes
    ----------
    free_bytes : int
        What this process can have, the memory that torch keeps for reuse included.
    replaced_bytes : int
        What the value of the same name holds there: free once it is dropped.
    """

    device: str
    free_bytes: int
    total_bytes: int
    replaced_bytes: int = 0

    @property
    def fill_bytes(self) -> int:
        """What `--device fit` gives to tensors: a tenth, 2 GiB at most, is left for what is computed."""
        return max(0, self.free_bytes - min(self.total_bytes // 10, _MOST_HEADROOM))


@dataclass(frozen=True, slots=True)
class Need:
    """What a load takes of a device: in the end, and at most on the way there."""

    end_bytes: int
    most_bytes: int


def needs(plan: FetchPlan, changed: Mapping[str, tuple[str, str]], placed: Mapping[str, str]) -> dict[str, Need]:
    """Return what each device is asked for; a storage is there twice while it is converted."""
    sizes = stored_bytes(plan, changed)
    found: dict[str, Need] = {}
    for device in dict.fromkeys(placed.values()):
        keys = [key for key in plan.spans if placed[key] == device]
        end = sum(sizes[key] for key in keys)
        twice = max((plan.spans[key].size_bytes for key in keys if key in changed), default=0)
        found[device] = Need(end, end + twice)
    return found


def verdict(needed: Mapping[str, Need], rooms: Mapping[str, Room]) -> str:
    """Return the line before any byte moves: 'weights fit; 2.1 GB left for activations'; '' where nobody can say."""
    left = {device: rooms[device].free_bytes - need.end_bytes for device, need in needed.items() if device in rooms}
    missing = {device: -left[device] for device in left if needed[device].most_bytes > rooms[device].free_bytes}
    if missing:
        return "; ".join(f"does not fit on {device}" for device in missing)
    one = len(left) == 1
    words = [f"{format_bytes(size)} left {_for(device, alone=one)}" for device, size in left.items()]
    return f"weights fit; {', '.join(words)}" if words else ""


def _for(device: str, *, alone: bool) -> str:
    if device == "cpu":
        return "of the machine's memory"
    return "for activations" if alone else f"on {device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A load that asks for room."""

    file: TensorFile
    plan: FetchPlan
    changed: Mapping[str, tuple[str, str]]
    placed: Mapping[str, str]
    rooms: Mapping[str, Room]

    def check(self) -> None:
        """Refuse what does not fit.

        Raises
        ------
        DeviceError
            With what it needs, what there is, who holds the rest, and the ways that fit.
        """
        for device, need in needs(self.plan, self.changed, self.placed).items():
            room = self.rooms.get(device)
            if room is not None and need.most_bytes > room.free_bytes:
                raise DeviceError(self._refusal(need, room), hint=" · ".join(self._ways(room)))

    def _refusal(self, need: Need, room: Room) -> str:
        held = [f"{printable(name[:60])} {format_bytes(size)}" for name, size in HOLDINGS.owners(room.device).items()]
        who = f" (this notebook holds {', '.join(held[:_OWNERS])})" if held else ""
        return (
            f"{printable(self.file.url)} needs {format_bytes(need.most_bytes)} on {room.device}; "
            f"this notebook can have {format_bytes(room.free_bytes)} of {format_bytes(room.total_bytes)}{who}."
        )

    def _ways(self, room: Room) -> Iterator[str]:
        if room.replaced_bytes and self._fits(room.free_bytes + room.replaced_bytes):
            yield f"--replace drops the old value first: {format_bytes(room.replaced_bytes)}"
        half = conversions(self.plan, "bfloat16")
        if not self.changed and half and most_bytes(self.plan, half) <= room.free_bytes:
            yield f"--dtype bfloat16: {format_bytes(converted_bytes(self.plan, half))}"
        if room.device != "cpu":
            yield f"--device fit: {self._map(room)}"
        if (part := self._part(room)) is not None:
            yield part
        yield "`%gpu` shows what is in use"

    def _fits(self, free_bytes: int) -> bool:
        return all(one.most_bytes <= free_bytes for one in needs(self.plan, self.changed, self.placed).values())

    def _map(self, room: Room) -> str:
        sizes = stored_bytes(self.plan, self.changed)
        placed = placement(self.plan, Devices((), fits=True), {room.device: room.fill_bytes}, sizes)
        return described(self.plan, placed) if room.device in placed.values() else "all of it on cpu"

    def _part(self, room: Room) -> str | None:
        """Return the largest part of a numbered stack of layers that fits, as an example of --keys."""
        stack = next((found[1] for name in self.plan.tensors if (found := re.match(r"(.*?\.?)\d+\.", name))), None)
        for last in (9, 7, 5, 3, 1) if stack is not None else ():
            glob = f"{stack}[0-{last}].*"
            chosen = {
                name: one for name, one in self.plan.tensors.items() if re.match(_pattern(stack or "", last), name)
            }
            size = converted_bytes(part := plan_of(self.file, chosen, parts=True), _of(part, self.changed))
            if chosen and len(chosen) < len(self.plan.tensors) and size <= room.fill_bytes:
                return f"--keys '{printable(glob[:80])}': {format_bytes(size)}"
        return None


def _pattern(stack: str, last: int) -> str:
    return rf"{re.escape(stack)}[0-{last}]\."


def _of(plan: FetchPlan, changed: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {key: types for key, types in changed.items() if key in plan.spans}
