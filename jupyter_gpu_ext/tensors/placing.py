"""Bring chunks to their places in a result: decoded, copied, or kept as they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from jupyter_gpu_ext.tensors import codecs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.cf import Decoding
    from jupyter_gpu_ext.tensors.chunks import ChunkPart
    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray

# What is copied on the loop itself: to wake a thread for it and to be woken takes longer.
_SOON_BYTES = 1 << 20
# Values that are decoded at a time: they stay near the processor, and take little room however large the chunk is.
_PIECE_ITEMS = 1 << 17
# Of a larger chunk ranges come side by side.
_MOST_KEPT_BYTES = 64 << 20


class Place(Protocol):
    """Where the chunks of one array go; runs in threads, each on chunks of its own.

    Attributes
    ----------
    keeps : bool
        What comes from storage stays, and is counted where it does.
    """

    keeps: ClassVar[bool]

    @property
    def decoder(self) -> Decoder:
        """How chunks become values."""

    def is_soon(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> bool:
        """Tell whether the chunks are in their places in no time."""

    def all(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> int:
        """Put the chunks in their places, the fill value where there is none; return the bytes."""

    def room(self, part: ChunkPart) -> memoryview | None:
        """Return the bytes of a chunk's place, where what is stored may be read straight into it."""

    def scratch_bytes(self, part: ChunkPart) -> int:
        """Return what decoding the chunk takes at most, beside its stored bytes and its place."""


class Decoder:
    """How chunks of one array become values of a result, and what that takes; the same for every chunk.

    Attributes
    ----------
    straight : bool
        Values are wanted as they are stored.
    copies : bool
        The bytes are, too.
    fill : numpy.ndarray
        The value of what was never written.
    most_stored_bytes : int
        The most that an encoded chunk can have.
    scratch_bytes, straight_scratch_bytes : int
        What decoding one takes at most, beside its stored bytes and its place; less where it goes straight there.
    """

    def __init__(self, plan: ArrayPlan) -> None:
        self.array = array = plan.array
        self.decoding = plan.decoding
        plain = array.order is None and array.stored.isnative and array.stored.kind != "b"
        self.straight = plain and plan.decoding is None
        self.copies = self.straight and not array.codecs
        fill = np.array(array.fill, array.native)
        self.fill = fill if plan.decoding is None else plan.decoding(fill.reshape(1)).reshape(())
        self.most_stored_bytes = array.most_stored_bytes
        self.scratch_bytes = scratch_bytes(array, straight=False)
        self.straight_scratch_bytes = scratch_bytes(array, straight=True)


class Placing:
    """Decode chunks into their places in one result.

    Parameters
    ----------
    out : numpy.ndarray
        Of any strides.
    """

    keeps: ClassVar[bool] = False

    def __init__(self, decoder: Decoder, out: NDArray[Any]) -> None:
        self.decoder = decoder
        self._array = decoder.array
        self._out = out
        self._decoding = decoder.decoding

    def is_soon(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> bool:
        """Tell whether the chunks are in their places in no time: few bytes, to be copied as they are."""
        return self.decoder.copies and sum(0 if data is None else len(data) for _, data in pairs) <= _SOON_BYTES

    def all(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> int:
        """Put the chunks in their places, the fill value where there is none; return the bytes."""
        return sum(self._one(part, data) for part, data in pairs)

    def _one(self, part: ChunkPart, data: memoryview | None) -> int:
        target = self._target(part)
        if data is None:
            target[...] = self.decoder.fill
        elif self._straight(part, target):
            codecs.decode(self._array.codecs, data, target.reshape(-1).view(np.uint8))
        elif self._decoding is None:
            target[...] = self._chunk(data)[part.source]
        else:
            self._decoded(np.asarray(self._chunk(data)[part.source]), target, self._decoding)
        return int(target.nbytes)

    def _decoded(self, chosen: NDArray[Any], target: NDArray[Any], decoding: Decoding) -> None:
        """Decode a few values at a time."""
        if chosen.size <= _PIECE_ITEMS:
            target[...] = decoding(np.asarray(chosen, self._array.native))
        elif len(chosen) == 1:
            self._decoded(chosen[0], target[0], decoding)
        else:
            rows = max(1, _PIECE_ITEMS // (chosen.size // len(chosen)))
            for at in range(0, len(chosen), rows):
                self._decoded(chosen[at : at + rows], target[at : at + rows], decoding)

    def room(self, part: ChunkPart) -> memoryview | None:
        """Return the bytes of a chunk's place, where what is stored may be read straight into it."""
        target = self._target(part)
        if not self.decoder.copies or not self._straight(part, target):
            return None
        return target.reshape(-1).view(np.uint8).data

    def scratch_bytes(self, part: ChunkPart) -> int:
        """Return what decoding the chunk takes at most, beside its stored bytes and its place."""
        straight = self._straight(part, self._target(part))
        return self.decoder.straight_scratch_bytes if straight else self.decoder.scratch_bytes

    def _target(self, part: ChunkPart) -> NDArray[Any]:
        return self._out[part.target] if part.target else self._out[...]

    def _straight(self, part: ChunkPart, target: NDArray[Any]) -> bool:
        return part.whole and self.decoder.straight and target.flags.c_contiguous

    def _chunk(self, data: memoryview) -> NDArray[Any]:
        array = self._array
        order = array.order or tuple(range(len(array.chunks)))
        if array.codecs:
            raw = np.empty(array.chunk_bytes, np.uint8)
            codecs.decode(array.codecs, data, raw)
        else:
            raw = as_stored(array, data)
        stored: NDArray[Any] = raw.view(array.stored).reshape([array.chunks[axis] for axis in order])
        if array.stored.kind == "b":
            # A byte other than 0 and 1 is no boolean to whoever computes with it.
            stored = stored.view(np.uint8) != 0
        return stored.transpose([order.index(axis) for axis in range(len(order))])


class Keeping:
    """Keep a chunk as it came: its bytes are the values, and nothing is copied.

    Parameters
    ----------
    decoder : Decoder
        One that `copies`.
    keep : callable
        Takes the values of a whole chunk, not to be written to.
    """

    keeps: ClassVar[bool] = True

    def __init__(self, decoder: Decoder, keep: Callable[[NDArray[Any]], None]) -> None:
        self.decoder = decoder
        self._keep = keep

    def is_soon(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> bool:
        """Tell that it takes no time."""
        return True

    def all(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> int:
        """Hand the chunk on; return its bytes."""
        array, ((_, data),) = self.decoder.array, pairs
        if data is None:
            self._keep(np.broadcast_to(self.decoder.fill, array.chunks))
        else:
            self._keep(as_stored(array, data).view(array.stored).reshape(array.chunks))
        return array.chunk_bytes

    def room(self, part: ChunkPart) -> None:
        """Return none: the memory is whoever's brings the bytes."""

    def scratch_bytes(self, part: ChunkPart) -> int:
        """Return 0."""
        return 0


def is_as_stored(decoder: Decoder, plan: ArrayPlan) -> bool:
    """Tell whether what is selected is one chunk as it lies in storage, fit for one answer: `Keeping` can hold it."""
    whole = decoder.copies and plan.array.index is None and len(plan.objects) == 1 and plan.objects[0].parts[0].whole
    return whole and decoder.array.chunk_bytes <= _MOST_KEPT_BYTES


def as_stored(array: ZarrArray, data: memoryview) -> NDArray[np.uint8]:
    """Return the bytes of a chunk without codecs.

    Raises
    ------
    DamagedChunkError
        When these are more or fewer.
    """
    raw: NDArray[np.uint8] = np.frombuffer(data, np.uint8)
    if raw.nbytes != array.chunk_bytes:
        raise codecs.DamagedChunkError(f"{raw.nbytes:,} bytes in place of {array.chunk_bytes:,}")
    return raw


def scratch_bytes(array: ZarrArray, *, straight: bool) -> int:
    """Return what decoding one chunk takes at most, beside its stored bytes and its place in the result."""
    between = sorted(step.most for step in codecs.sizes(array.codecs, array.chunk_bytes)[1:-1])
    # A step needs its own result and the one before.
    needed = sum(between[-2:])
    if straight:
        return needed
    items = min(array.chunk_bytes // array.stored.itemsize, _PIECE_ITEMS)
    return needed + array.chunk_bytes * (bool(array.codecs) + (array.stored.kind == "b")) + 32 * items
