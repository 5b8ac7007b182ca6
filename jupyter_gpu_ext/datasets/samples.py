"""Take samples out of the parts that the engine holds, in the order that was drawn: copies, several at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jupyter_gpu_ext.datasets.engine import is_of_one_part
from jupyter_gpu_ext.datasets.values import seen
from jupyter_gpu_ext.errors import GpuExtError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.engine import Held, ZarrEngine
    from jupyter_gpu_ext.datasets.shuffle import Drawn
    from jupyter_gpu_ext.datasets.source import Source

OnError = Literal["raise", "skip"]
Arrays = dict[str, "NDArray[Any]"]


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
        self._numbers = np.empty(0, np.int64)
        self._samples = np.empty(0, np.int64)

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
        while missing and (here := self._next(missing)) is not None:
            found = self._gathered(*here)
            if found is not None:
                pieces.append(found)
                missing -= len(next(iter(found.values())))
        if len(pieces) == 1:
            return pieces[0]
        made = [np.concatenate([one[name] for one in pieces]) for name in self._source.arrays] if pieces else []
        return dict(zip(self._source.arrays, made, strict=False))

    def _next(self, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        while not len(self._numbers):
            drawn = next(self._drawn, None)
            if drawn is None:
                return None
            self._numbers, self._samples = drawn.parts, drawn.samples
        here = self._numbers[:most], self._samples[:most]
        self._numbers, self._samples = self._numbers[most:], self._samples[most:]
        return here

    def _gathered(self, numbers: NDArray[np.int64], samples: NDArray[np.int64]) -> Arrays | None:
        """Copy samples out of their parts; None where none of them is left."""
        order = list(dict.fromkeys(numbers.tolist()))
        held = {number: self._held(number) for number in order}
        kept = np.isin(numbers, [number for number, one in held.items() if one is not None])
        self.losses.samples += len(numbers) - int(kept.sum())
        begun = time.monotonic()
        made = self._copied(held, numbers[kept], samples[kept]) if kept.any() else None
        self.copy_seconds += time.monotonic() - begun
        for number in order:
            self._left[number] -= int((numbers == number).sum())
            if not self._left[number]:
                self._engine.release(number)
        self.done += len(numbers)
        self.used_bytes += sum(one.nbytes for one in (made or {}).values())
        return made

    def _copied(self, held: dict[int, Held | None], numbers: NDArray[np.int64], samples: NDArray[np.int64]) -> Arrays:
        windows = self._source.blocks.windows
        axes = () if windows.single else (windows.size,)
        made = {
            name: np.empty((len(numbers), *axes, *self._source.entry_shape(name)), one.numpy_dtype)
            for name, one in self._source.arrays.items()
        }
        for number, one in held.items():
            if one is None:
                continue
            where = np.flatnonzero(numbers == number)
            entries = samples[where] * windows.stride - one.start
            if not windows.single:
                entries = entries[:, None] + np.arange(windows.size)
            for name, array in one.arrays.items():
                made[name][where] = array[entries]
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
