"""Giving memory back, one rung after the other: each says what it costs and what it gives."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu import last_error, storages
from jupyter_gpu_ext.gpu.accelerator import ACCELERATOR, empty_cache
from jupyter_gpu_ext.gpu.spares import SPARES
from jupyter_gpu_ext.gpu.storages import Keeper
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping


class Rung(StrEnum):
    """One step of the ladder, in this order. The process itself takes the first three, its server the others."""

    CACHE = "cache"
    TRACEBACK = "traceback"
    OUTPUTS = "outputs"
    RESTART = "restart"
    SHUTDOWN = "shutdown"


PRICES = {
    Rung.CACHE: "costs nothing",
    Rung.TRACEBACK: "the last error can no longer be looked into, and a load that it stopped starts over",
    Rung.OUTPUTS: "Out[n] and _ are forgotten, variables stay",
    Rung.RESTART: "all variables of the notebook are lost",
    Rung.SHUTDOWN: "all variables are lost and the notebook has no kernel",
}
_TITLES = {Rung.RESTART: "a restart of the kernel"}
OWN = (Rung.CACHE, Rung.TRACEBACK, Rung.OUTPUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A rung and what it gave or would give; `size_bytes` is None where nobody can say."""

    rung: Rung
    size_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"rung": self.rung.value, "bytes": self.size_bytes, "price": PRICES[self.rung]}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Released:
    """What was given back.

    Attributes
    ----------
    steps : tuple of Step
        What each rung gave.
    next : Step or None
        The next rung and what it would give.
    """

    steps: tuple[Step, ...]
    next: Step | None

    @property
    def freed_bytes(self) -> int:
        """Bytes of the devices; of this computer's memory where this process uses no device."""
        return sum(one.size_bytes or 0 for one in self.steps)

    def __repr__(self) -> str:
        gave = [f"{one.rung} {format_bytes(one.size_bytes)}" for one in self.steps if one.size_bytes]
        said = f"Freed {format_bytes(self.freed_bytes)} ({', '.join(gave)})."
        nothing = f"There was nothing to free in {' and '.join(one.rung for one in self.steps)}."
        return (said if gave else nothing) + _next_words(self.next)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        following = self.next.to_json() if self.next is not None else None
        return {"steps": [one.to_json() for one in self.steps], "freed_bytes": self.freed_bytes, "next": following}


def release(*rungs: str, namespace: MutableMapping[str, Any] | None = None) -> Released:
    """Give memory back, without touching a variable.

    Parameters
    ----------
    *rungs : {'cache', 'traceback', 'outputs'}
        What may go; 'cache' and 'traceback' when nothing is said. 'cache': what torch keeps of the devices and no
        tensor fills. 'traceback': the last error, whose frames keep their variables alive, and what a load that it
        stopped left for `--resume`. 'outputs': `Out[n]` and `_`.
    namespace : mutable mapping, optional
        The variables among which the outputs are; the notebook's own otherwise.

    Returns
    -------
    Released
        How much each gave, as torch's allocator counts it, or by the tensors that are gone where it uses no device.

    Raises
    ------
    BadRequestError
        There is no such rung here.
    """
    variables = vars(sys.modules["__main__"]) if namespace is None else namespace
    chosen = [_own(one) for one in rungs or (Rung.CACHE, Rung.TRACEBACK)]
    steps = tuple(Step(rung=rung, size_bytes=_freed(_ACTS[rung], variables)) for rung in OWN if rung in chosen)
    left = [one for one in would_give(variables) if one.rung not in chosen and one.size_bytes]
    return Released(steps=steps, next=left[0] if left else _last(variables))


def would_give(namespace: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return what each rung of this process would give, those before it taken.

    The cache's number is the most that it may be: torch can only give back pieces in which nothing lies.
    """
    found = storages.find(namespace).values()
    counted = _counted()
    traceback = _sum_of(one for one in found if one.keepers == {Keeper.TRACEBACK} and counted(one))
    both = ({Keeper.OUTPUTS}, {Keeper.OUTPUTS, Keeper.TRACEBACK})
    outputs = _sum_of(one for one in found if one.keepers in both and counted(one))
    spare = sum(one.size_bytes() for one in list(SPARES.values()) if one.rung == Rung.TRACEBACK)
    cached = sum(one.cached_bytes for one in ACCELERATOR.in_use())
    sizes = (cached, traceback + spare, outputs)
    return tuple(Step(rung=rung, size_bytes=size) for rung, size in zip(OWN, sizes, strict=True))


def _sum_of(found: Any) -> int:
    return sum(one.size_bytes for one in found)


def _counted() -> Callable[[storages.Storage], bool]:
    # Where there is a device, its memory is what is wanted back.
    devices = {one.device for one in ACCELERATOR.in_use()}
    return lambda one: not devices or one.device in devices


def _own(name: str) -> Rung:
    if name in OWN:
        return Rung(name)
    if name in (Rung.RESTART, Rung.SHUTDOWN):
        told = f"{name!r} is not done from within the notebook."
        raise BadRequestError(told, hint="Use the Kernel menu, or the GPU panel.")
    raise BadRequestError(f"There is no {name!r} to release here.", hint=f"One of {', '.join(OWN)}.")


def _freed(act: Callable[[MutableMapping[str, Any]], int], namespace: MutableMapping[str, Any]) -> int:
    """Do it and return the bytes that are free now."""
    before = ACCELERATOR.in_use()
    known = {} if before else storages.find(namespace)
    beside = act(namespace)
    gc.collect()
    empty_cache()
    if before:
        after = sum(one.reserved_bytes for one in ACCELERATOR.in_use())
        return max(0, sum(one.reserved_bytes for one in before) - after)
    return beside + _sum_of(one for one in known.values() if not one.is_alive)


def _drop_nothing(_namespace: MutableMapping[str, Any]) -> int:
    return 0


def _drop_traceback(_namespace: MutableMapping[str, Any]) -> int:
    spares = [one for one in list(SPARES.values()) if one.rung == Rung.TRACEBACK]
    beside = sum(one.size_bytes() for one in spares)
    last_error.forget()
    for one in spares:
        one.drop()
    return beside


def _drop_outputs(namespace: MutableMapping[str, Any]) -> int:
    for one in list(SPARES.values()):
        if one.rung == Rung.OUTPUTS:
            one.drop()
    outputs = namespace.get("Out")
    for name in [name for name in list(namespace) if storages.is_output(name) and name not in ("Out", "_oh")]:
        namespace.pop(name, None)
    if isinstance(outputs, dict):
        outputs.clear()
    return 0


_ACTS = {Rung.CACHE: _drop_nothing, Rung.TRACEBACK: _drop_traceback, Rung.OUTPUTS: _drop_outputs}


def _last(namespace: Mapping[str, Any]) -> Step | None:
    """Return the rung that remains in a notebook: a new process, which gives all."""
    if "get_ipython" not in namespace:
        return None
    counted = _counted()
    held = sum(one.reserved_bytes for one in ACCELERATOR.in_use())
    held = held or _sum_of(one for one in storages.find(namespace).values() if counted(one))
    return Step(rung=Rung.RESTART, size_bytes=held) if held else None


def _next_words(step: Step | None) -> str:
    if step is None:
        return ""
    what = _TITLES.get(step.rung, f"`%gpu release {step.rung}`")
    return f" Next: {what} frees {format_bytes(step.size_bytes or 0)} ({PRICES[step.rung]})."
