"""What an array viewer asks of a file or a store, whatever its format: groups, arrays, and parts of their values.

A format joins by a class that is a `View` and a line in `open_view`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from jupyter_gpu_ext.tensors.header import SERVER_MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.overview import Cost
    from jupyter_gpu_ext.tensors.selection import Axis

LabelKind = Literal["latitude", "longitude", "time", "other"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupView:
    """What is shown of a group.

    Attributes
    ----------
    children : sequence of str
        Their paths, in order.
    """

    name: str
    children: Sequence[str]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayView:
    """What is shown of an array.

    Attributes
    ----------
    dtype : str
        As it is stored, by our name.
    sent : numpy.dtype or None
        As its values are sent; None where they cannot be read, and `unreadable` says why.
    time : bool
        They are sent as milliseconds since 1970.
    units : str
        Of what is sent.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sent: np.dtype[Any] | None
    unreadable: str = ""
    time: bool = False
    units: str = ""
    long_name: str = ""
    chunks: tuple[int, ...] | None = None
    shards: tuple[int, ...] | None = None
    dimensions: tuple[str | None, ...] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisLabels:
    """The array with the labels of an axis.

    Attributes
    ----------
    key, path : str
        Where it is: the store's key and the path inside.
    descending : bool or None
        The last label is below the first; None where that is not known.
    """

    axis: int
    name: str
    key: str
    path: str
    kind: LabelKind
    descending: bool | None


class View(Protocol):
    """An open file or store; every method that waits runs on the I/O loop.

    Attributes
    ----------
    shown : str
        The URL, for messages.
    version : str
        Changes whenever what was read of it would be another.
    node_count : int
        How much of the cache it takes.
    """

    shown: str
    version: str
    node_count: int

    async def is_current(self) -> bool:
        """Ask storage whether it still has this version; False also where that would take many requests."""

    def group(self, path: str) -> GroupView | None:
        """Return a group, None where the path is none; '/' always is one."""

    def array(self, path: str, *, raw: bool = False) -> ArrayView | None:
        """Return an array, None where the path is none."""

    async def labels(self, path: str) -> list[AxisLabels]:
        """Return where the labels of an array's axes are."""

    async def axes(self, path: str, select: str) -> tuple[Axis, ...]:
        """Return what a selection chooses of an array.

        Raises
        ------
        BadRequestError
            When it does not fit.
        """

    def cost(self, path: str, *, raw: bool = False) -> Cost:
        """Return what reading of an array takes."""

    def pieces(self, path: str, axes: Sequence[Axis], *, raw: bool = False) -> AsyncGenerator[NDArray[Any], None]:
        """Yield the values of a part as they are sent: pieces that follow one another in C order.

        The last piece comes after it is known that all of them are of this version.

        Raises
        ------
        GpuExtError
            When storage does not give them, they are damaged, or were replaced since.
        """


async def open_view(url: str, *, most_bytes: int = SERVER_MOST_BYTES) -> View:
    """Open a file or a store for a viewer: reads its headers or its metadata.

    Raises
    ------
    GpuExtError
        As `info` does.
    """
    from jupyter_gpu_ext.tensors.view_file import FileView
    from jupyter_gpu_ext.tensors.view_zarr import ZarrView
    from jupyter_gpu_ext.tensors.zarr_load import open_either
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode

    # What the cache of hot data holds is not asked for again, and a replaced object would not be noticed.
    opened = await open_either(url, most_bytes=most_bytes, cache=False)
    return ZarrView(opened) if isinstance(opened, ZarrNode) else FileView(opened)


def version_of(etags: Iterable[str]) -> str:
    """Return one version for the versions of several objects."""
    return hashlib.sha256("\n".join(etags).encode()).hexdigest()[:24]
