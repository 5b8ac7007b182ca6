"""The tensors of a file, as an array viewer asks for them: ranges of storages, no more than a part needs."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.loop import ahead
from jupyter_gpu_ext.tensors.decoded import Decoded
from jupyter_gpu_ext.tensors.dense import parts_of, requests_for
from jupyter_gpu_ext.tensors.overview import Cost
from jupyter_gpu_ext.tensors.selection import by_index, count_of, parse_selection, shape_of
from jupyter_gpu_ext.tensors.sent import held_dtype, sent_dtype, widened
from jupyter_gpu_ext.tensors.view import ArrayView, AxisLabels, GroupView, version_of
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.dense import Request
    from jupyter_gpu_ext.tensors.models import Tensor
    from jupyter_gpu_ext.tensors.open import Opened
    from jupyter_gpu_ext.tensors.selection import Axis

_PIECE_BYTES = 8 << 20
_PIECES_AHEAD = 2
_REQUESTS_AT_ONCE = 4
# Beyond, opening anew costs little more than asking each of them.
_MOST_ASKED = 4


class FileView:
    """A tensor file, or several that are one checkpoint; a `View`."""

    def __init__(self, opened: Opened) -> None:
        self.file = opened.file
        self.shown = printable(opened.file.url)
        self.version = version_of(one.version.etag for one in opened.readers)
        self.node_count = len(opened.file.tensors) + len(opened.file.storages)
        self._sources = opened.readers

    async def is_current(self) -> bool:
        """Ask storage for each object's version, where they are few."""
        readers = [one for one in self._sources if not isinstance(one, Decoded)]
        return len(readers) <= _MOST_ASKED and all(await asyncio.gather(*(one.is_current() for one in readers)))

    def group(self, path: str) -> GroupView | None:
        """Return the one group, '/'."""
        if path != "/":
            return None
        children = [f"/{name}" for name in self.file.tensors]
        name = self.file.url.rstrip("/").rpartition("/")[2]
        return GroupView(name=name, children=children, attributes=self.file.metadata)

    def array(self, path: str, *, raw: bool = False) -> ArrayView | None:
        """Return a tensor; `raw` makes no difference."""
        name = path.removeprefix("/")
        one = self.file.tensors.get(name) if path != "/" else None
        return (
            None if one is None else ArrayView(name=name, dtype=one.dtype, shape=one.shape, sent=sent_dtype(one.dtype))
        )

    async def labels(self, path: str) -> list[AxisLabels]:
        """Return nothing: a tensor's axes have no labels."""
        return []

    async def axes(self, path: str, select: str) -> tuple[Axis, ...]:
        """Return what a selection by index chooses."""
        selection = parse_selection(select)
        if selection.labels is not None:
            raise BadRequestError(f"The axes of {self._named(path)} have no labels.", hint="By index: '0:100, :'.")
        return by_index(selection.items, self._tensor(path).shape, self._named(path))

    def cost(self, path: str, *, raw: bool = False) -> Cost:
        """Return what reading takes: of a deflated array always all of it."""
        one = self._tensor(path)
        source = None if one.storage in self.file.wholes else self._source(one.storage)
        at_once = source.unpacked_bytes if isinstance(source, Decoded) else 0

        def read_bytes(axes: Sequence[Axis]) -> int:
            return at_once or sum(found.range.size_bytes for found in self._requests(path, axes))

        return Cost(sent_dtype(one.dtype).itemsize, at_once, read_bytes)

    async def pieces(self, path: str, axes: Sequence[Axis], *, raw: bool = False) -> AsyncGenerator[NDArray[Any], None]:
        """Yield the values, rows of the first axis together; every range is of the version that was opened."""
        one = self._tensor(path)
        # An unpacked array is kept as long as it is read, no longer.
        sources = [found.anew() if isinstance(found, Decoded) else found for found in self._sources]
        work = (self._piece(path, part, sources) for part in self._cut(one, axes))
        async for values in ahead(work, _PIECES_AHEAD):
            yield values

    def _cut(self, one: Tensor, axes: Sequence[Axis]) -> Iterator[tuple[Axis, ...]]:
        """Yield the selection in pieces that follow one another in the result and, mostly, in the file."""
        size_bytes = count_of(axes) * sent_dtype(one.dtype).itemsize
        wide = [at for at, axis in enumerate(axes) if axis.count > 1]
        steps = [one.stride[at] for at in wide]
        if not size_bytes:
            return
        if size_bytes <= _PIECE_BYTES or steps != sorted(steps, reverse=True):
            yield tuple(axes)
            return
        first = axes[wide[0]]
        rows = max(1, _PIECE_BYTES * first.count // size_bytes)
        for begin in range(0, first.count, rows):
            count = min(rows, first.count - begin)
            piece = dataclasses.replace(first, start=first.start + first.step * begin, count=count)
            yield (*axes[: wide[0]], piece, *axes[wide[0] + 1 :])

    async def _piece(self, path: str, axes: Sequence[Axis], sources: Sequence[Reader | Decoded]) -> NDArray[Any]:
        one = self._tensor(path)
        out = np.empty([axis.count for axis in axes], sent_dtype(one.dtype))
        work = (self._fill(found, one.dtype, out, sources) for found in self._requests(path, axes))
        async for _ in ahead(work, _REQUESTS_AT_ONCE):
            pass
        return out.reshape(shape_of(axes))

    async def _fill(self, asked: Request, dtype: str, out: NDArray[Any], sources: Sequence[Reader | Decoded]) -> None:
        stored = self.file.storages[asked.storage]
        data = bytearray(asked.range.size_bytes)
        # Not `read`, which gives the beginning from memory: each read is asked for, so that a new version is noticed.
        await sources[stored.source].read_into(stored.start + asked.range.start, memoryview(data))

        def place() -> None:
            for part in asked.parts:
                out[part.target] = widened(part.seen(data, asked.range.start, held_dtype(dtype)), dtype)

        await asyncio.to_thread(place)

    def _requests(self, path: str, axes: Sequence[Axis]) -> list[Request]:
        one = self._tensor(path)
        parts = parts_of(self.file, one, axes) if count_of(axes) else []
        return requests_for(parts, held_dtype(one.dtype).itemsize, self._named(path))

    def _source(self, storage: str) -> Reader | Decoded:
        return self._sources[self.file.storages[storage].source]

    def _tensor(self, path: str) -> Tensor:
        return self.file.tensors[path.removeprefix("/")]

    def _named(self, path: str) -> str:
        return printable(path.removeprefix("/")[:200])
