"""Which of several processes of a job this is, and what only the first one does."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_R = TypeVar("_R")
# As torchrun and MPI name it.
_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


def rank() -> int:
    """Return this process's number among all of the job, 0 where it is the only one."""
    torch: Any = sys.modules.get("torch")
    group = getattr(torch, "distributed", None)
    if group is not None and group.is_available() and group.is_initialized():
        return int(group.get_rank())
    return next((int(text) for name in _VARIABLES if (text := os.environ.get(name, "")).isdigit()), 0)


def first(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """Return `function` on the first rank, and on every other one a function that does nothing.

    Its arguments are made on every rank: what all ranks have to take part in, such as gathering a sharded state, works.

    Examples
    --------
    >>> first(len)("abc")
    3
    """
    return function if rank() == 0 else _nothing


def is_first_here() -> bool:
    """Whether this is the first process of its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _nothing(*_given: Any, **_options: Any) -> None:
    return None
