"""What a kernel says, checked like a stranger's words: it runs whatever its person likes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.attribution import Told
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_ROWS = 200
_LONGEST_TEXT = 4096
# The largest whole number that a browser reads exactly.
_MOST_BYTES = 2**53

_TEXT, _TEXT_OR_NONE = (str,), (str, type(None))
_BYTES, _BYTES_OR_NONE, _NUMBER = (int,), (int, type(None)), (int, float)
HELD: Mapping[str, tuple[type, ...]] = {
    "device": _TEXT,
    "uuid": _TEXT_OR_NONE,
    "bytes": _BYTES,
    "peak_bytes": _BYTES_OR_NONE,
    "cached_bytes": _BYTES_OR_NONE,
}
LOADS: Mapping[str, tuple[type, ...]] = {"name": _TEXT, "url": _TEXT, "device": _TEXT, "bytes": _BYTES}
STREAMS: Mapping[str, tuple[type, ...]] = {
    "url": _TEXT,
    "samples_per_second": _NUMBER,
    "wait_ratio": _NUMBER,
    "network_ratio": _NUMBER,
    "decode_ratio": _NUMBER,
    "copy_ratio": _NUMBER,
    "function_ratio": _NUMBER,
    "lost_samples": _BYTES,
    "advice": _TEXT,
}
RUNGS: Mapping[str, tuple[type, ...]] = {"rung": _TEXT, "bytes": _BYTES_OR_NONE}


def rows(found: Any, shape: Mapping[str, tuple[type, ...]]) -> list[dict[str, Any]]:
    """Return the rows of exactly that shape, without what else they say, secrets cut out."""
    given = found[:_MOST_ROWS] if isinstance(found, list) else []
    return [
        {key: _short(row.get(key)) for key in shape}
        for row in given
        if isinstance(row, dict) and all(_fits(row.get(key), kinds) for key, kinds in shape.items())
    ]


def told(found: Any) -> tuple[Told, ...]:
    """Return what a kernel says that it holds."""
    return tuple(Told(**row) for row in rows(found, HELD))


def whole(found: Any) -> int | None:
    """Return a number of bytes, None for what is none."""
    return found if _fits(found, _BYTES) else None


def _fits(said: Any, kinds: tuple[type, ...]) -> bool:
    return type(said) in kinds and (not isinstance(said, int | float) or 0 <= said <= _MOST_BYTES)


def _short(said: Any) -> Any:
    return redact(said[:_LONGEST_TEXT]) if isinstance(said, str) else said
