"""The error that ended the last cell, and the variables that its frames keep alive."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_MACHINERY = frozenset({"IPython", "ipykernel"})


def last_error() -> BaseException | None:
    """Return what Python keeps of the last error that nobody caught: `sys.last_value`, `sys.last_exc`."""
    found = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found if isinstance(found, BaseException) else None


def forget() -> None:
    """Let go of it; `%debug` and `%tb` have nothing to show then."""
    for name in ("last_exc", "last_value", "last_traceback", "last_type"):
        if hasattr(sys, name):
            setattr(sys, name, None)


def variables(error: BaseException | None) -> Iterator[tuple[str, Any]]:
    """Yield the variables in the frames of an error and of those that led to it, named as in 'batch in train()'.

    The notebook's own variables, and those of what runs its cells, are none of them.
    """
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__context__, one.__cause__]
        trace = one.__traceback__
        while trace is not None:
            yield from _of_frame(trace.tb_frame)
            trace = trace.tb_next


def _of_frame(frame: FrameType) -> Iterator[tuple[str, Any]]:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if frame.f_locals is not frame.f_globals and package not in _MACHINERY:
        yield from ((f"{name} in {frame.f_code.co_name}()", value) for name, value in list(frame.f_locals.items()))
