"""Host buffers of a stream: how much is held, and memory that is used again. They live on the I/O loop."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Memory that is taken at a time, at least: a page that nobody had costs as much as to read it.
_PIECE_BYTES = 16 << 20
_MOST_BUFFERS = 64
_LINE_BYTES = 64


class Memory:
    """Buffers of any sizes, each taken from the system.

    Parameters
    ----------
    most_bytes : int
        What is held and kept together, where the caller asks for no more.
    """

    def __init__(self, most_bytes: int) -> None:
        self.held_bytes = 0
        self._most = most_bytes

    def take(self, size_bytes: int) -> NDArray[np.uint8]:
        """Return a buffer of at least so many bytes."""
        buffer = self._found(size_bytes)
        self.held_bytes += buffer.nbytes
        return buffer

    def promise(self, size_bytes: int) -> NDArray[np.uint8]:
        """Count bytes that somebody else brings; return what stands for them and takes no memory."""
        self.held_bytes += size_bytes
        return np.broadcast_to(np.uint8(0), size_bytes)

    def let_go(self, buffers: Sequence[NDArray[np.uint8]]) -> None:
        """Count the buffers no longer: they are somebody else's."""
        self.held_bytes -= sum(one.nbytes for one in buffers)

    def give_back(self, buffers: Sequence[NDArray[np.uint8]]) -> None:
        """Hold the buffers no longer."""
        self.let_go(buffers)

    def _found(self, size_bytes: int) -> NDArray[np.uint8]:
        return np.empty(size_bytes, np.uint8)


class Pool(Memory):
    """Buffers of few sizes, which are used again."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(most_bytes)
        self._free = defaultdict[int, list["NDArray[np.uint8]"]](list)
        self._free_bytes = 0

    def give_back(self, buffers: Sequence[NDArray[np.uint8]]) -> None:
        """Keep the buffers for others, as far as there is room."""
        super().give_back(buffers)
        for one in (one for one in buffers if one.flags.writeable):
            self._free[one.nbytes].append(one)
            self._free_bytes += one.nbytes
        while self._free_bytes and self.held_bytes + self._free_bytes > self._most:
            self._free_bytes -= next(some for some in self._free.values() if some).pop().nbytes

    def _found(self, size_bytes: int) -> NDArray[np.uint8]:
        # Whoever has it next may have other elements: each begins where any of them may.
        size_bytes = max(1, -(-size_bytes // _LINE_BYTES)) * _LINE_BYTES
        fitting = [size for size, some in self._free.items() if some and size_bytes <= size <= 2 * size_bytes]
        if not fitting:
            return self._more(size_bytes)
        buffer = self._free[min(fitting)].pop()
        self._free_bytes -= buffer.nbytes
        return buffer

    def _more(self, size_bytes: int) -> NDArray[np.uint8]:
        """Return new memory, and keep more of it: small buffers lie in one piece, of huge pages where there are any."""
        count = min(_MOST_BUFFERS, max(1, min(_PIECE_BYTES, self._most // 4) // size_bytes))
        piece = list(np.empty((count, size_bytes), np.uint8))
        self._free[size_bytes].extend(piece[1:])
        self._free_bytes += (count - 1) * size_bytes
        return piece[0]
