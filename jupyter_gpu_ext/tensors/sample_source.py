"""What arrays are sampled from, whatever its format: their description in terms of Zarr, and parts of stored values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jupyter_gpu_ext.tensors.array_plan import outline, plan_array
from jupyter_gpu_ext.tensors.arrays import Means, read_array
from jupyter_gpu_ext.tensors.coordinates import coordinate_of
from jupyter_gpu_ext.tensors.objects import together
from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.labels import Coordinate
    from jupyter_gpu_ext.tensors.sample_part import Axes
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode


class Source(Protocol):
    """An open store or file."""

    @property
    def shown(self) -> str:
        """The URL, for messages."""

    @property
    def arrays(self) -> Mapping[str, ZarrArray]:
        """The arrays by name; the path of the only one is '' where the sample will be one array."""

    @property
    def groups(self) -> Mapping[str, Mapping[str, Any]]:
        """Attributes of the groups by path, the root's at ''; empty where there is no root."""

    @property
    def consolidated(self) -> bool:
        """One document of the sample describes all."""

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know about how it was opened, a sentence each."""

    @property
    def requests(self) -> int:
        """Requests so far."""

    @property
    def bytes_read(self) -> int:
        """Bytes that storage sent so far."""

    @property
    def notice(self) -> str:
        """A sentence while storage asks for fewer requests."""

    async def labels(self, array: ZarrArray, dimension: str) -> Coordinate:
        """Return the labels of a dimension.

        Raises
        ------
        BadRequestError
            When it has none.
        """

    async def read(self, parts: Sequence[tuple[str, Axes]], progress: Progress) -> list[NDArray[Any]]:
        """Return parts of arrays, values as they are stored, in the machine's byte order; counts them in `progress`."""

    async def check(self, axes: Mapping[str, Axes]) -> None:
        """Raise `ObjectChangedError` when what was read has been replaced meanwhile."""


@dataclass(slots=True)
class ZarrSource:
    """A Zarr array or group; a `Source`."""

    node: ZarrNode

    @property
    def shown(self) -> str:
        """The URL."""
        return self.node.shown

    @property
    def arrays(self) -> Mapping[str, ZarrArray]:
        """The arrays below the root, or the one that it is."""
        return self.node.arrays

    @property
    def groups(self) -> Mapping[str, Mapping[str, Any]]:
        """The root and what is below it."""
        return {} if self.node.kind == "array" else {"": self.node.attributes, **self.node.groups}

    @property
    def consolidated(self) -> bool:
        """As the original is."""
        return self.node.consolidated

    @property
    def notes(self) -> Sequence[str]:
        """Nothing: all of it was looked at."""
        return ()

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self.node.requests

    @property
    def bytes_read(self) -> int:
        """Bytes so far."""
        return self.node.objects.bytes_read

    @property
    def notice(self) -> str:
        """What the connection says."""
        return self.node.objects.backend.limiter.notice()

    async def labels(self, array: ZarrArray, dimension: str) -> Coordinate:
        """Return the labels, read once."""
        return await coordinate_of(self.node, array, dimension)

    async def read(self, parts: Sequence[tuple[str, Axes]], progress: Progress) -> list[NDArray[Any]]:
        """Return stored values; the arrays are read side by side."""
        plans = [plan_array(name, self.arrays[name], axes, raw=True) for name, axes in parts]
        found = [np.empty(one.shape, one.numpy_dtype) for one in plans]
        means = Means(self.node.objects)
        try:
            await together(
                read_array(self.node.objects, plan, out, progress, means)
                for plan, out in zip(plans, found, strict=True)
            )
        finally:
            means.close()
        return found

    async def check(self, axes: Mapping[str, Axes]) -> None:
        """Compare the ETags of the metadata."""
        arrays = self.arrays
        await check_unchanged(
            ZarrPlan(self.node, {name: outline(name, arrays[name], one, raw=True) for name, one in axes.items()})
        )
