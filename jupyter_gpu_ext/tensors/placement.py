"""Which device each storage of a load goes to: one for all, by globs over the names, or as many as fit."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jupyter_gpu_ext.tensors.plan import FetchPlan

# The first number in a dotted name counts the layers: 'model.layers.18.mlp.weight'.
_LAYER = re.compile(r"(.*?)\.?(?<![^.])(\d{1,9})(?:\.|$)")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Devices:
    """What `--device` says.

    Attributes
    ----------
    rules : tuple of (str, str)
        A glob over the tensors' names and a device; the first that matches counts.
    fits : bool
        As much as fits goes to the rules' device, the rest to the cpu.
    """

    rules: tuple[tuple[str, str], ...]
    fits: bool = False


def parse_devices(text: str) -> Devices:
    """Return what 'auto', 'fit', 'cuda:1' or 'GLOB=DEV,GLOB=DEV' means; the devices are not looked at.

    Raises
    ------
    BadRequestError
        For a rule without a glob or a device.
    """
    if text == "fit":
        return Devices((("*", "auto"),), fits=True)
    if "=" not in text:
        return Devices((("*", text),))
    rules = [_rule(one, text) for one in text.split(",")]
    # What no glob matches goes where everything goes without a map.
    return Devices((*rules, ("*", "auto")) if rules[-1][0] != "*" else tuple(rules))


def placement(
    plan: FetchPlan, devices: Devices, free_bytes: Mapping[str, int], sizes: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Return the device of each storage; tensors of one storage stay together.

    Parameters
    ----------
    devices : Devices
        Its devices as torch names them.
    free_bytes : mapping of str to int
        For `fit`: what each device may be given, the first one filled first.
    sizes : mapping of str to int, optional
        What each storage takes on its device, where it is converted.
    """
    if devices.fits:
        return _fill(plan, free_bytes, sizes or {key: span.size_bytes for key, span in plan.spans.items()})
    placed: dict[str, str] = {}
    for name, one in plan.tensors.items():
        if one.storage not in placed:
            placed[one.storage] = next(device for glob, device in devices.rules if fnmatch.fnmatchcase(name, glob))
    return placed


def described(plan: FetchPlan, placed: Mapping[str, str]) -> str:
    """Return the map in words: 'cuda:0', or 'layers 0-18 on cuda:0, rest on cpu'."""
    seen = dict.fromkeys(placed[key] for group in _groups(plan) for key in group.storages)
    used = sorted(seen, key=lambda device: device == "cpu")
    if len(used) < 2:
        return next(iter(used), "")
    clauses = [f"{_words(plan, placed, device)} on {device}" for device in used[:-1]]
    return ", ".join([*clauses, f"rest on {used[-1]}"])


@dataclass(frozen=True, slots=True)
class _Group:
    """Storages that are used together: a layer of a numbered stack, or all below one module."""

    stem: str
    number: int
    storages: tuple[str, ...]


def _fill(plan: FetchPlan, free_bytes: Mapping[str, int], sizes: Mapping[str, int]) -> dict[str, str]:
    rooms, placed = [*free_bytes.items()], dict[str, str]()
    for group in _groups(plan):
        need = sum(sizes[key] for key in group.storages)
        # A device that was full for one layer is not used for the next: whoever runs the model moves on in order.
        while rooms and need > rooms[0][1]:
            rooms.pop(0)
        device = rooms[0][0] if rooms else "cpu"
        if rooms:
            rooms[0] = (device, rooms[0][1] - need)
        placed |= dict.fromkeys(group.storages, device)
    return placed


def _groups(plan: FetchPlan) -> list[_Group]:
    """Return the groups in file order; the layers of a stack by their numbers, where the first of them stands."""
    found: dict[tuple[str, int], list[str]] = {}
    seen: set[str] = set()
    for name, one in plan.tensors.items():
        if one.storage not in seen:
            seen.add(one.storage)
            found.setdefault(_place(name), []).append(one.storage)
    order = {stem: at for at, stem in reversed([*enumerate(stem for stem, _ in found)])}
    ordered = sorted(found, key=lambda place: (order[place[0]], place[1]))
    return [_Group(stem, number, tuple(found[stem, number])) for stem, number in ordered]


def _place(name: str) -> tuple[str, int]:
    match = _LAYER.match(name)
    return (match[1], int(match[2])) if match else (name.rpartition(".")[0] or name, -1)


def _words(plan: FetchPlan, placed: Mapping[str, str], device: str) -> str:
    groups = [one for one in _groups(plan) if placed[one.storages[0]] == device]
    parts = [_stack(stem, [one.number for one in stack]) for stem, stack in groupby(groups, key=lambda one: one.stem)]
    more = [f"{len(parts) - _SHOWN} more"] if len(parts) > _SHOWN else []
    return ", ".join([*parts[:_SHOWN], *more])


def _stack(stem: str, numbers: list[int]) -> str:
    if numbers == [-1]:
        return stem
    name = stem.rpartition(".")[2] or "layers"
    return f"{name} {_runs(numbers)}"


def _runs(numbers: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for one in numbers:
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    texts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return ", ".join(texts[:_SHOWN]) + (" …" if len(texts) > _SHOWN else "")


def _rule(text: str, whole: str) -> tuple[str, str]:
    glob, _, device = (part.strip() for part in text.rpartition("="))
    if not glob or not device or device == "fit":
        raise BadRequestError(
            f"--device {whole[:80]} is no map of devices: {text[:40]!r}.",
            hint="GLOB=DEVICE, separated by commas: 'model.layers.*=cuda:0,*=cpu'.",
        )
    return glob, device
