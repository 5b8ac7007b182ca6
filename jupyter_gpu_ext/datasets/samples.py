"""Take samples out of the parts that the engine holds, in the order that was drawn: copies, several at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jupyter_gpu_ext.datasets.engine import is_of_one_part
from jupyter_gpu_ext.datasets.lending import Lending
from jupyter_gpu_ext.datasets.shuffle import Drawn
from jupyter_gpu_ext.datasets.values import seen
from jupyter_gpu_ext.errors import GpuExtError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.blocks import Windows
    from jupyter_gpu_ext.datasets.engine import Held, ZarrEngine
    from jupyter_gpu_ext.datasets.source import Source

OnError = Literal["raise", "skip"]
Arrays = dict[str, "NDArray[Any]"]

# Of a sample, from which on a call for it alone costs less than a second copy of its bytes.
_LONG_BYTES = 4096


@dataclass(slots=True)
class Losses:
    """What was left out by `on_error='skip'`.

    Attributes
    ----------
    samples : int
    faults : list of str
        What was wrong with each part, naming array and chunk.
    """

    samples: int = 0
    faults: list[str] = field(default_factory=list)


class Samples:
    """The samples of one reader in one epoch.

    Parameters
    ----------
    drawn : iterator of Drawn
        The order.
    left : dict of int to int
        How many samples of each part are in it, by the part's number; a part is released with its last one.
    on_error : {'raise', 'skip'}
        What becomes of parts that cannot be read.

    Attributes
    ----------
    done : int
        Samples that came or were lost.
    used_bytes : int
        Of those that came.
    copy_seconds : float
        Of taking them out of their parts.
    """

    def __init__(
        self, source: Source, engine: ZarrEngine, drawn: Iterator[Drawn], left: dict[int, int], on_error: OnError
    ) -> None:
        self.done = 0
        self.used_bytes = 0
        self.copy_seconds = 0.0
        self.losses = Losses()
        self._source = source
        self._engine = engine
        self._drawn = drawn
        self._left = dict(left)
        self._on_error = on_error
        self._lending = Lending()
        self._ahead = Drawn(np.empty(0, np.int64), np.empty(0, np.int64))

    def one(self) -> Any:
        """Return the next sample as functions see it, None at the end."""
        taken = self.take(1)
        return self._value({name: array[0] for name, array in taken.items()}) if taken else None

    def many(self, count: int) -> tuple[Any, int] | None:
        """Return the next samples side by side, and how many they are: fewer at the end, where None follows."""
        taken = self.take(count)
        return (self._value(taken), len(next(iter(taken.values())))) if taken else None

    def take(self, count: int) -> Arrays:
        """Return the next samples of each array, as new arrays: `count` of them, fewer at the end.

        Raises
        ------
        GpuExtError
            When a part could not be read and is not to be skipped.
        """
        pieces = list[Arrays]()
        missing = count
        while missing and len((here := self._next(missing)).samples):
            found = self._gathered(here)
            if found is not None:
                pieces.append(found)
                missing -= len(next(iter(found.values())))
        if len(pieces) == 1:
            return pieces[0]
        made = [np.concatenate([one[name] for one in pieces]) for name in self._source.arrays] if pieces else []
        return dict(zip(self._source.arrays, made, strict=False))

    def _next(self, most: int) -> Drawn:
        """Return the next of the order: so many, fewer at its end."""
        while len(self._ahead) < most and (drawn := next(self._drawn, None)) is not None:
            parts, samples = (self._ahead.parts, drawn.parts), (self._ahead.samples, drawn.samples)
            self._ahead = Drawn(np.concatenate(parts), np.concatenate(samples))
        here = Drawn(self._ahead.parts[:most], self._ahead.samples[:most])
        self._ahead = Drawn(self._ahead.parts[most:], self._ahead.samples[most:])
        return here

    def _gathered(self, here: Drawn) -> Arrays | None:
        """Copy samples out of their parts; None where none of them is left."""
        numbers, counts = (found.tolist() for found in np.unique(here.parts, return_counts=True))
        held = {number: self._held(number) for number in numbers}
        kept = here
        if lost := [number for number, one in held.items() if one is None]:
            there = ~np.isin(here.parts, lost)
            kept = Drawn(here.parts[there], here.samples[there])
            self.losses.samples += len(here) - len(kept)
        begun = time.monotonic()
        made = self._copied(held, kept) if len(kept) else None
        self.copy_seconds += time.monotonic() - begun
        for number, count in zip(numbers, counts, strict=True):
            self._left[number] -= count
            if not self._left[number]:
                self._engine.release(number)
        self.done += len(here)
        self.used_bytes += sum(one.nbytes for one in (made or {}).values())
        return made

    def _copied(self, held: dict[int, Held | None], kept: Drawn) -> Arrays:
        windows = self._source.blocks.windows
        axes = () if windows.single else (windows.size,)
        made = {
            name: self._lending.empty((len(kept), *axes, *self._source.entry_shape(name)), one.numpy_dtype)
            for name, one in self._source.arrays.items()
        }
        order = np.argsort(kept.parts, kind="stable")
        borders = np.flatnonzero(np.diff(kept.parts[order])) + 1
        for rows in np.split(order, borders):
            one = held[int(kept.parts[rows[0]])]
            assert one is not None  # noqa: S101 -- what is lost is not kept
            entries = kept.samples[rows] * windows.stride - one.start
            for name, array in one.arrays.items():
                _copy(array, entries, windows, made[name], rows)
        return made

    def _held(self, number: int) -> Held | None:
        try:
            return self._engine.part(number)
        except GpuExtError as error:
            if self._on_error == "raise" or not is_of_one_part(error):
                raise
            if (said := str(error)) not in self.losses.faults:
                self.losses.faults.append(said)
            return None

    def _value(self, arrays: Arrays) -> Any:
        """Return what a person sees of arrays by name."""
        made = {name: seen(array, self._source.arrays[name].dtype) for name, array in arrays.items()}
        return next(iter(made.values())) if self._source.node.kind == "array" else made


def _copy(
    array: NDArray[Any], entries: NDArray[np.int64], windows: Windows, out: NDArray[Any], rows: NDArray[np.int64]
) -> None:
    """Copy the samples that begin at `entries` to `rows` of `out`: long ones each by itself, which is one copy less."""
    if out[0].nbytes >= _LONG_BYTES:
        for row, entry in zip(rows.tolist(), entries.tolist(), strict=True):
            out[row] = array[entry] if windows.single else array[entry : entry + windows.size]
    else:
        out[rows] = array[entries if windows.single else entries[:, None] + np.arange(windows.size)]
