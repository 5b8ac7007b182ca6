"""Memory of what is handed out: used again once nobody holds any of it."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# Less comes from memory that the process has anyway; for more the system clears new pages, as slowly as storage reads.
_LEAST_BYTES = 4 << 20
_MOST_FREE = 2


class Lending:
    """Makes arrays whose memory comes back when the last view of it is gone, whoever has it.

    While one batch is used the next one is made: two pieces of memory go round.
    """

    def __init__(self) -> None:
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=_MOST_FREE)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of any values."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size < _LEAST_BYTES:
            return np.empty(shape, dtype)
        lent = np.asarray(_Lent(self._free, self._memory(size)))
        return lent[:size].view(dtype).reshape(shape)

    def _memory(self, size_bytes: int) -> NDArray[np.uint8]:
        try:
            memory = self._free.pop()
        except IndexError:
            return np.empty(size_bytes, np.uint8)
        # Sizes change with the last batch, or not at all.
        return memory if size_bytes <= memory.nbytes <= 2 * size_bytes else np.empty(size_bytes, np.uint8)


class _Lent:
    """What stands at the end of all views of a piece of memory: numpy goes no further than what is no array."""

    def __init__(self, free: deque[NDArray[np.uint8]], memory: NDArray[np.uint8]) -> None:
        self._free = free
        self._memory = memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._memory)
