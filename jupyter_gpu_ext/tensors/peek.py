"""Look at the beginnings of many things in one object, with few requests and little in memory at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from jupyter_gpu_ext.tensors.gather import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from jupyter_gpu_ext.storage.ranges import ByteRange

    class Bytes(Protocol):
        """Something with bytes to read."""

        async def read(self, start: int, stop: int) -> bytes:
            """Return them."""


K = TypeVar("K")
T = TypeVar("T")

_GAP_BYTES = 16 << 10
_MOST_BYTES = 1 << 20
_AT_ONCE = 16


async def peek(reader: Bytes, windows: Mapping[K, ByteRange], look: Callable[[K, bytes], T]) -> dict[K, T]:
    """Return what `look` makes of the bytes of each window; neighbouring windows are one request."""

    async def one(group: list[tuple[K, ByteRange]]) -> list[tuple[K, T]]:
        start = group[0][1].start
        raw = await reader.read(start, max(window.stop for _, window in group))
        return [(key, look(key, raw[window.start - start : window.stop - start])) for key, window in group]

    found = await gather(one, [(group,) for group in groups(windows)], at_once=_AT_ONCE)
    return {key: value for group in found for key, value in group}


def groups(windows: Mapping[K, ByteRange]) -> list[list[tuple[K, ByteRange]]]:
    """Return the windows in order, those together that are worth one request."""
    found: list[list[tuple[K, ByteRange]]] = []
    for key, window in sorted(windows.items(), key=lambda item: item[1]):
        near = found and window.start - found[-1][-1][1].stop <= _GAP_BYTES
        if near and window.stop - found[-1][0][1].start <= _MOST_BYTES:
            found[-1].append((key, window))
        else:
            found.append([(key, window)])
    return found
