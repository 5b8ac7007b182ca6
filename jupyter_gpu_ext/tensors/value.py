"""One request of an array viewer for values: what of which array, within a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotFoundError, TensorFormatError
from jupyter_gpu_ext.tensors.overview import USUAL_BYTES, check_size, strided
from jupyter_gpu_ext.tensors.selection import count_of, shape_of
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.view import ArrayView, View

# Pieces on their way, and stored and half-decoded chunks.
_BESIDE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Value:
    """Values that are about to be read.

    Attributes
    ----------
    dtype : numpy.dtype
        As they are sent.
    read_bytes : int
        What is read for them, decoded.
    pieces : async generator of numpy.ndarray
        They follow one another in C order. Whoever does not go to the end closes it, on the I/O loop.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size_bytes: int
    read_bytes: int
    pieces: AsyncGenerator[NDArray[Any], None]

    @property
    def held_bytes(self) -> int:
        """What host memory holds at most while they are read."""
        return self.size_bytes + min(2 * self.read_bytes, _BESIDE_BYTES)


async def open_value(
    view: View, path: str, *, select: str = "", stride: str = "", raw: bool = False, most_bytes: int = USUAL_BYTES
) -> Value:
    """Plan the read of a part of an array; nothing is read yet but the labels that the selection needs.

    Raises
    ------
    NotFoundError
        When there is no such array.
    BadRequestError
        When the selection or the stride does not fit.
    ValueTooLargeError
        When it is more than `most_bytes`.
    TensorFormatError
        When its values cannot be read.
    """
    found = array_of(view, path, raw=raw)
    if found.sent is None:
        raise TensorFormatError(
            f"{_shown(path)} cannot be shown: {printable(found.unreadable[:200])}.", hint="Its attributes can be read."
        )
    axes = strided(await view.axes(path, select), stride)
    read_bytes = check_size(axes, view.cost(path, raw=raw), most_bytes, _shown(path))
    return Value(
        shape=shape_of(axes),
        dtype=found.sent,
        size_bytes=count_of(axes) * found.sent.itemsize,
        read_bytes=read_bytes,
        pieces=view.pieces(path, axes, raw=raw),
    )


def array_of(view: View, path: str, *, raw: bool = False) -> ArrayView:
    """Return an array.

    Raises
    ------
    NotFoundError
        When there is none of that path.
    """
    found = view.array(path, raw=raw) if path.startswith("/") else None
    if found is None:
        what = "is a group" if path.startswith("/") and view.group(path) else "is not there"
        raise NotFoundError(
            f"{view.shown}: {_shown(path)} {what}.", hint="Paths start with '/', as the entity '/' lists them."
        )
    return found


def _shown(path: str) -> str:
    return printable(path[:200])
