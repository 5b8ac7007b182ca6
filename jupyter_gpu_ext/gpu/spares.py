"""What this process keeps only in case somebody asks for it: whoever keeps it says how it is let go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def _no_values() -> Iterable[tuple[str, Any]]:
    return ()


def _no_bytes() -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """Something that may go.

    Attributes
    ----------
    rung : str
        The rung of `gpu.release` at which it goes: 'traceback' or 'outputs'.
    drop : callable
        Lets it go.
    values : callable
        Returns names and values that are kept alive by it.
    size_bytes : callable
        Returns the bytes of what it keeps that is in no tensor of `values`.
    """

    rung: str
    drop: Callable[[], object]
    values: Callable[[], Iterable[tuple[str, Any]]] = _no_values
    size_bytes: Callable[[], int] = _no_bytes


# By the name of who keeps it.
SPARES: dict[str, Spare] = {}
