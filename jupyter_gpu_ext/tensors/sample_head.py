"""The beginning of a file: of safetensors whole tensors in a file that is valid, of any other its first bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, TooLargeError
from jupyter_gpu_ext.storage.ranges import ByteRange, split
from jupyter_gpu_ext.tensors.formats.safetensors_header import NAMES
from jupyter_gpu_ext.tensors.plan import choose
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_gpu_ext.tensors.models import Stored, TensorFile

HEAD_BYTES = 1_000_000
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Pieces:
    """A file that is made of ranges of others.

    Attributes
    ----------
    start : bytes
        What comes before the ranges.
    ranges : tuple of (int, ByteRange)
        Each with the number of the object that it is of.
    """

    start: bytes
    ranges: tuple[tuple[int, ByteRange], ...]

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        return len(self.start) + sum(one.size_bytes for _, one in self.ranges)


def first_tensors(file: TensorFile, keys: Sequence[str], most_bytes: int) -> tuple[Pieces, int]:
    """Return a safetensors file of those tensors that `keys` choose, or of the first that fit; and how many they are.

    Raises
    ------
    BadRequestError
        When no name matches.
    TooLargeError
        When the chosen ones, or every single one, have more than `most_bytes`.
    """
    places = {name: file.storages[one.storage] for name, one in choose(file, keys).items()}
    ordered = sorted(places, key=lambda name: (places[name].source, places[name].start))
    size = sum(one.size_bytes for one in places.values())
    if keys and size > most_bytes:
        raise _too_large(file, size, most_bytes)
    chosen, room = list[str](), most_bytes
    for name in ordered:
        if places[name].size_bytes <= room:
            chosen.append(name)
            room -= places[name].size_bytes
    if places and not chosen:
        raise _too_large(file, min(one.size_bytes for one in places.values()), most_bytes)
    return Pieces(_header(file, chosen, places), tuple(_runs([places[name] for name in chosen]))), len(chosen)


def _too_large(file: TensorFile, size: int, most_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"{printable(file.url)}: the sample would have {format_bytes(size)} of tensors, "
        f"{format_bytes(most_bytes)} at most.",
        hint=f"Choose fewer with --keys, or allow it: --max-bytes {size} (max_bytes={size}).",
    )


def _header(file: TensorFile, names: Sequence[str], places: dict[str, Stored]) -> bytes:
    found: dict[str, object] = {"__metadata__": dict(file.metadata)} if file.metadata else {}
    at = 0
    for name in names:
        one, end = file.tensors[name], at + places[name].size_bytes
        found[name] = {"dtype": NAMES[one.dtype], "shape": list(one.shape), "data_offsets": [at, end]}
        at = end
    raw = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw


def _runs(places: Sequence[Stored]) -> Iterator[tuple[int, ByteRange]]:
    """Yield the ranges that neighbours make together, in pieces."""
    joined: list[tuple[int, ByteRange]] = []
    for one in places:
        last = joined[-1] if joined else None
        if last is not None and last[0] == one.source and last[1].stop == one.start:
            joined[-1] = (one.source, ByteRange(last[1].start, one.stop))
        else:
            joined.append((one.source, ByteRange(one.start, one.stop)))
    for source, span in joined:
        if span.size_bytes:
            yield from ((source, piece) for piece in split([span], most_bytes=_PIECE_BYTES))


def first_bytes(size_bytes: int, most_bytes: int) -> Pieces:
    """Return the first bytes of one object."""
    span = ByteRange(0, min(size_bytes, most_bytes))
    return Pieces(b"", tuple((0, one) for one in split([span], most_bytes=_PIECE_BYTES)) if span.size_bytes else ())


def refuse_part(shown: str, keys: Sequence[str], select: str) -> None:
    """Refuse what chooses a part of arrays for a file that has none that are cut."""
    if select:
        raise BadRequestError(
            f"{shown}: --select is for Zarr, HDF5, .npy and .npz.", hint="Leave it out: the sample is the file's head."
        )
    if keys:
        raise BadRequestError(
            f"{shown}: --keys is for Zarr, HDF5, .npz and .safetensors.",
            hint="Leave it out: the sample is the file's head.",
        )
