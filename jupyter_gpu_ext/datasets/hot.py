"""Parts that stay in memory from one epoch to the next: those that came first, as many as fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_gpu_ext.datasets.shard import Part


class Hot:
    """What one stream keeps; a block that is kept stays.

    In an order that is another one each epoch every block is asked for as often: to put one out for another gains
    nothing.

    Parameters
    ----------
    most_bytes : int
    """

    def __init__(self, most_bytes: int) -> None:
        self.held_bytes = 0
        self._most = most_bytes
        self._kept: dict[Part, Any] = {}

    def get(self, part: Part) -> Any | None:
        """Return a part that is kept, None where it is not."""
        return self._kept.get(part)

    def keep(self, part: Part, held: Any) -> bool:
        """Keep a part and its buffers, if they fit; tell whether it did."""
        size = sum(one.nbytes for one in held.buffers)
        if self.held_bytes + size > self._most or part in self._kept:
            return False
        self._kept[part] = held
        self.held_bytes += size
        return True
