"""`jg.sample`: a small local piece of a large remote store or file, to debug with."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import (
    BadRequestError,
    GpuExtError,
    NotFoundError,
    TensorFormatError,
    UnsupportedFormatError,
)
from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.copying import where
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.reader import Reader, open_reader
from jupyter_gpu_ext.tensors import zarr_write
from jupyter_gpu_ext.tensors.beside import local_path, made_beside
from jupyter_gpu_ext.tensors.hdf5 import read_hdf5
from jupyter_gpu_ext.tensors.header import IsHdf5Error
from jupyter_gpu_ext.tensors.open import Opened
from jupyter_gpu_ext.tensors.sample_files import FileSource, Hdf5Source
from jupyter_gpu_ext.tensors.sample_head import HEAD_BYTES, first_bytes, first_tensors, refuse_part
from jupyter_gpu_ext.tensors.sample_part import choose_part, regions, within
from jupyter_gpu_ext.tensors.sample_source import ZarrSource
from jupyter_gpu_ext.tensors.selection import count_of, shape_of
from jupyter_gpu_ext.tensors.uninterrupted import uninterrupted
from jupyter_gpu_ext.tensors.zarr_load import open_either
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
from jupyter_gpu_ext.text import format_bytes, format_count, printable, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.tensors.decoded import Decoded
    from jupyter_gpu_ext.tensors.sample_head import Pieces
    from jupyter_gpu_ext.tensors.sample_part import Part, Region
    from jupyter_gpu_ext.tensors.sample_source import Source

ARRAY_BYTES = 64 << 20
# Values on their way; beyond it whole chunks of the sample, one after the other.
_REGION_BYTES = 64 << 20
_MOST_TOGETHER = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What a sample holds; prints as a line, and a line for each note.

    Attributes
    ----------
    path : str
        Where it is.
    kind : {'zarr', 'safetensors', 'head'}
    count : int
        Arrays or tensors.
    size_bytes, of_bytes : int
        Of values, decoded, here and in the original; of a head, of the files.
    """

    path: str
    kind: str
    count: int
    size_bytes: int
    of_bytes: int
    bytes_read: int
    requests: int
    seconds: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        nouns = {"zarr": "array", "safetensors": "tensor"}
        held = f"{format_count(self.count, nouns[self.kind])}, " if self.kind in nouns else ""
        line = (
            f"{printable(self.path)}: {held}{format_bytes(self.size_bytes)} of {format_bytes(self.of_bytes)}; "
            f"read {format_bytes(self.bytes_read)} in {format_count(self.requests, 'request')}"
        )
        return "\n".join([line, *self.notes])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def sample(
    url: str,
    local: str | os.PathLike[str],
    *,
    keys: Sequence[str] = (),
    select: str | None = None,
    max_bytes: int | None = None,
    overwrite: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Sampled:
    """Write a small valid piece of a store or a file to this machine.

    Of Zarr a store of the same version, types, codecs, attributes and values as they are stored; HDF5, `.npy` and
    `.npz` become Zarr of version 3; of `.safetensors` a file with some of the tensors; of any other its first bytes.

    Parameters
    ----------
    url : str
        'connection://key', or the path of a local file.
    local : str or path
        A path of this machine; nothing is there until the sample is whole.
    keys : sequence of str
        Globs over the names of arrays or tensors, '!GLOB' excludes; coordinates come along.
    select : str, optional
        As for `load`, but a single number keeps its axis. Without it, the first chunk along each axis.
    max_bytes : int, optional
        Values at most, decoded: 64 MiB; of a head 1 MB.
    overwrite : bool
        Replace the file or the Zarr store that is there.
    report : callable
        Called with the progress five times a second, in the caller's thread.

    Raises
    ------
    ExistsError
        Without `overwrite`, when `local` exists.
    BadRequestError, TooLargeError
        When the selection does not fit, holds nothing, or has more than `max_bytes`.
    NotFoundError, DeniedError, UnreachableError
        When storage does not give it, or nothing can be written at `local`.
    """
    if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
        raise BadRequestError(f"max_bytes is a number of bytes, not {max_bytes!r}.", hint="For example 64000000.")
    wanted = _Wanted((keys,) if isinstance(keys, str) else tuple(keys), select or "", max_bytes, time.monotonic())
    target = local_path(local)
    _refuse_itself(url, target)
    with made_beside(target, overwrite=overwrite) as whole:
        opened = LOOP.run(_open(url, wanted), tick=lambda: report(Progress(total_bytes=0)))
        write = _Writing(wanted, whole, str(local), report)
        if isinstance(opened, Opened):
            return write.tensors(opened)
        return write.head(opened) if isinstance(opened, _Head) else write.arrays(opened)


def _refuse_itself(url: str, target: Path) -> None:
    """Refuse to replace what is sampled, or what it lies in."""
    try:
        kind, path = where(places.find(url))
    except GpuExtError:
        # Said better by who opens it.
        return
    if kind == "local" and Path(path).is_relative_to(target.resolve()):
        raise BadRequestError(
            f"{printable(str(target))} would be replaced by a sample of itself.", hint="Choose another name."
        )


@dataclass(frozen=True, slots=True)
class _Head:
    """A file that is none of arrays; `why` says what a reader of arrays says of it, where it seems damaged."""

    reader: Reader
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Wanted:
    keys: tuple[str, ...]
    select: str
    max_bytes: int | None
    started: float


async def _open(url: str, wanted: _Wanted) -> Source | Opened | _Head:
    """Open what a URL means: what arrays are sampled from, a safetensors file, or any other."""
    try:
        opened = await open_either(url, keys=wanted.keys)
    except IsHdf5Error as error:
        return Hdf5Source(error.reader, await read_hdf5(error.reader))
    except UnsupportedFormatError as error:
        # What chooses arrays was meant for some; and what is no object has no first bytes.
        if wanted.keys or wanted.select:
            raise
        why = error.message if isinstance(error, TensorFormatError) else ""
        try:
            return _Head(await open_reader(url), why)
        except (NotFoundError, BadRequestError):
            raise error from None
    if isinstance(opened, ZarrNode):
        return ZarrSource(opened)
    kind, many = opened.file.kind, len({one.version.etag for one in opened.readers}) > 1
    if kind in ("npy", "npz"):
        return FileSource(opened)
    refuse_part(printable(opened.file.url), () if kind == "safetensors" else wanted.keys, wanted.select)
    if kind == "safetensors":
        return opened
    if many or opened.listed:
        raise BadRequestError(
            f"{printable(opened.file.url)} is one of several files of a checkpoint.", hint="Name one file of it."
        )
    return _Head(await open_reader(url))


class _Writing:
    """Write one sample; values come from the I/O loop, and are written here, in the caller's thread."""

    def __init__(self, wanted: _Wanted, whole: Path, shown: str, report: Callable[[Progress], None]) -> None:
        self._wanted = wanted
        self._whole = whole
        self._shown = shown
        self._report = report

    def arrays(self, source: Source) -> Sampled:
        """Write a Zarr store."""
        wanted = self._wanted
        chosen = choose_part(source, wanted.keys, wanted.select, wanted.max_bytes or ARRAY_BYTES)
        part = LOOP.run(chosen, tick=lambda: self._report(Progress(total_bytes=0)))
        sizes = {name: count_of(axes) * source.arrays[name].stored.itemsize for name, axes in part.axes.items()}
        progress = Progress(sum(sizes.values()))
        self._values(source, part, progress)
        LOOP.run(source.check(part.axes))
        found = {source.arrays[name].path: self._documents(source, name, part) for name in part.axes}
        groups = source.groups if not wanted.keys else _above(found, source)
        version = next(source.arrays[name].version for name in part.axes)
        with uninterrupted():
            zarr_write.write_tree(self._whole, found, groups, version, consolidated=source.consolidated)
        of_bytes = sum(one.size_bytes for one in source.arrays.values() if not one.unreadable)
        return self._sampled(
            source,
            kind="zarr",
            count=len(found),
            size_bytes=progress.total_bytes,
            of_bytes=of_bytes,
            notes=[*part.notes, *source.notes],
        )

    def _documents(self, source: Source, name: str, part: Part) -> zarr_write.Documents:
        return zarr_write.documents(source.arrays[name], shape_of(part.axes[name]))

    def _values(self, source: Source, part: Part, progress: Progress) -> None:
        def tick() -> None:
            progress.notice = source.notice
            self._report(progress)

        made: dict[str, Any] = {}
        for batch in self._batches(source, part):
            wanted = [(name, within(part.axes[name], region)) for name, region in batch]
            found = LOOP.run(source.read(wanted, progress), tick=tick)
            for (name, region), values in zip(batch, found, strict=True):
                array = source.arrays[name]
                # An interrupt would leave zarr-python's own threads writing into what is being removed.
                with uninterrupted():
                    if name not in made:
                        folder = zarr_write.place(self._whole, array.path)
                        made[name] = zarr_write.open_plain(folder, name, array, shape_of(part.axes[name]))
                    with zarr_write.written(name):
                        made[name][region] = values

    def _batches(self, source: Source, part: Part) -> Iterator[list[tuple[str, Region]]]:
        """Yield parts of arrays that are read together: some megabytes of values."""
        batch: list[tuple[str, Region]] = []
        held = 0
        for name, axes in part.axes.items():
            array, shape = source.arrays[name], shape_of(axes)
            item_bytes = array.stored.itemsize
            for region in regions(shape, zarr_write.cells(array, shape)[1], item_bytes, _REGION_BYTES):
                size = math.prod(one.stop - one.start for one in region) * item_bytes
                if batch and (held + size > _REGION_BYTES or len(batch) == _MOST_TOGETHER):
                    yield batch
                    batch, held = [], 0
                batch.append((name, region))
                held += size
        if batch:
            yield batch

    def tensors(self, opened: Opened) -> Sampled:
        """Write a safetensors file."""
        wanted, file = self._wanted, opened.file
        pieces, count = first_tensors(file, wanted.keys, wanted.max_bytes or ARRAY_BYTES)
        self._copy(pieces, opened.readers)
        left = len(file.tensors) - count
        return self._sampled(
            opened,
            kind="safetensors",
            count=count,
            size_bytes=pieces.size_bytes - len(pieces.start),
            of_bytes=file.tensor_bytes,
            notes=[f"the first that fit; {format_count(left, 'tensor')} left out"] if left and not wanted.keys else (),
        )

    def head(self, found: _Head) -> Sampled:
        """Write the first bytes of a file."""
        reader, size = found.reader, found.reader.version.size_bytes
        pieces = first_bytes(size, self._wanted.max_bytes or HEAD_BYTES)
        self._copy(pieces, (reader,))
        cut = "the file's head as it is: programs that need all of it cannot read it"
        note = cut if pieces.size_bytes < size else "all of the file"
        return self._sampled(
            reader,
            kind="head",
            count=1,
            size_bytes=pieces.size_bytes,
            of_bytes=size,
            notes=[note, *([found.why] if found.why else [])],
        )

    def _copy(self, pieces: Pieces, readers: Sequence[Reader | Decoded]) -> None:
        progress = Progress(pieces.size_bytes, len(pieces.start))
        with self._whole.open("wb") as out:
            out.write(pieces.start)
            for source, span in pieces.ranges:
                data = bytearray(span.size_bytes)
                work = readers[source].read_into(span.start, memoryview(data))
                LOOP.run(work, tick=lambda: self._report(progress))
                out.write(data)
                progress.done_bytes += len(data)

    def _sampled(
        self, read: Source | Opened | Reader, *, kind: str, count: int, size_bytes: int, of_bytes: int,
        notes: Sequence[str] = (),
    ) -> Sampled:  # fmt: skip
        return Sampled(
            path=redact(self._shown),
            kind=kind,
            count=count,
            size_bytes=size_bytes,
            of_bytes=of_bytes,
            bytes_read=read.bytes_read,
            requests=read.requests,
            seconds=time.monotonic() - self._wanted.started,
            notes=tuple(notes),
        )


def _above(paths: Iterable[str], source: Source) -> dict[str, Mapping[str, Any]]:
    """Return the groups that hold arrays of the sample."""
    return {
        group: found
        for group, found in source.groups.items()
        if not group or any(path.startswith(f"{group}/") for path in paths)
    }
