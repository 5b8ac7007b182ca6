"""Ranks that SIGTERM reaches in different steps end after the same one: they tell one another by a store."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of ranks that nobody ends, none tells anything: the others do not wait for them for ever.
_PATIENCE_SECONDS = 2.0


class Departure:
    """When a rank that was told to end does so.

    Nothing is asked of anybody before that. Ranks that compute together are never more than a step apart: what one has
    written down when a step of it is over, the others find when their next one is.

    Parameters
    ----------
    name : str
        What the ranks of a run call this, all of them alike.
    """

    def __init__(self, name: str) -> None:
        self._prefix = f"jupyter_gpu_ext/departure/{name}"
        self._told_at: float | None = None

    def is_due(self, step: int) -> bool:
        """Return whether a rank that was told to end does so after this step; at once where it is alone."""
        group = _group()
        if group is None:
            return True
        store, rank, world = group
        keys = [f"{self._prefix}/{one}" for one in range(world)]
        if self._told_at is None:
            self._told_at = time.monotonic()
            store.set(keys[rank], str(step))
        if not store.check(keys):
            return time.monotonic() - self._told_at > _PATIENCE_SECONDS
        return step >= last_step([int(store.get(key)) for key in keys])


def last_step(told: Sequence[int]) -> int:
    """Return the step after which all ranks end.

    Parameters
    ----------
    told : sequence of int
        The step that each rank was in when it was told to.

    Examples
    --------
    >>> last_step([7, 8, 7])
    9
    """
    # A rank that had finished that step before the last of them was told is in the next one already.
    return max(told) + 1


def _group() -> tuple[Any, int, int] | None:
    """Return the store of the processes that compute together, this rank and their number; None if it is alone."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    # torch has no public name for the store that every group has.
    find = getattr(distributed.distributed_c10d, "_get_default_store", None)
    world = distributed.get_world_size()
    return None if find is None or world < 2 else (find(), distributed.get_rank(), world)
