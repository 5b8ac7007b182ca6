"""What a stream of files reads: objects in the versions that were listed, and where each sample lies in them."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from jupyter_gpu_ext.datasets import images, tar_index
from jupyter_gpu_ext.datasets.blocks import Blocks, Windows
from jupyter_gpu_ext.datasets.listing import list_files
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.storage.reads import READS
from jupyter_gpu_ext.tensors.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.listing import Files, Listing
    from jupyter_gpu_ext.storage.places import Place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileSource:
    """Files that were listed for a stream.

    Attributes
    ----------
    blocks : Blocks
        A file is a sample and a block; of a shard a block is some samples that follow one another.
    firsts : numpy.ndarray
        The first sample of each object, and the number of samples at the end.
    classes : tuple of str
        The names of the folders that images lie in, sorted; empty where there are none.
    """

    stored: ClassVar[Literal["files"]] = "files"

    place: Place
    objects: Objects
    listing: Listing
    blocks: Blocks
    firsts: NDArray[np.int64]
    classes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """What is read, for messages."""
        return self.place.shown

    @property
    def digest(self) -> str:
        """What tells these samples from others."""
        return self.listing.digest

    @property
    def bytes_read(self) -> int:
        """Bytes from storage so far."""
        return self.objects.bytes_read

    @property
    def requests(self) -> int:
        """Requests so far, those that were repeated included."""
        return self.objects.requests + self.objects.tally.retries

    @property
    def busy_seconds(self) -> float:
        """While at least one request was under way, so far."""
        return self.objects.busy.seconds

    @property
    def chunk_samples(self) -> float:
        """Samples that a file holds."""
        return self.blocks.samples / max(1, len(self.listing.keys))

    def object_of(self, sample: int) -> int:
        """Return the number of the object that a sample lies in."""
        return int(np.searchsorted(self.firsts, sample, "right")) - 1 if self.listing.edges else sample

    def span(self, first: int, stop: int) -> ByteRange:
        """Return where the samples from `first` to before `stop` lie, all in one object."""
        number = self.object_of(first)
        if not self.listing.edges:
            return ByteRange(0, int(self.listing.sizes[number]))
        edges, before = self.listing.edges[number], int(self.firsts[number])
        return ByteRange(int(edges[first - before]), int(edges[stop - before]))

    def version(self, number: int) -> Version:
        """Return the version of an object that was listed."""
        return Version(int(self.listing.sizes[number]), self.listing.etags[number])

    def url(self, number: int) -> str:
        """Return the URL of an object, by its connection's name; a local file's path."""
        key = self.listing.keys[number]
        return f"/{key}" if self.place.is_path else f"{self.place.connection.name}://{key}"

    def label(self, number: int) -> int | None:
        """Return the number of an image's class, None where there are none."""
        if not self.classes:
            return None
        return bisect.bisect_left(self.classes, _folder(self.listing.prefix, self.listing.keys[number]))


async def open_files(asked: Files, listing: Listing | None = None) -> FileSource:
    """List the files, and find the samples in them.

    Parameters
    ----------
    listing : Listing, optional
        What was found before, in another process.

    Raises
    ------
    GpuExtError
        When there are none, when they cannot be told apart, or when a shard is damaged.
    """
    place = places.find(asked.url)
    objects = Objects(place.reading(), "")
    found = await _listed(asked, place, objects) if listing is None else listing
    if found.kind == "images":
        images.check_installed()
    prefix = place.at(found.prefix)
    if found.prefix and not prefix.is_path:
        # The folder, as of a store: its objects are too many to note.
        READS.add(f"{prefix.connection.name}://{prefix.key}", None)
    counts = [len(one) - 1 for one in found.edges] if found.kind == "tar" else [1] * len(found.keys)
    firsts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    edges = _cut(found.edges, asked.most_block_bytes) if found.edges else firsts
    return FileSource(
        place=place,
        objects=objects,
        listing=found,
        blocks=Blocks(firsts=edges, windows=Windows(), shared_borders=True),
        firsts=firsts,
        classes=_classes(found, place) if found.kind == "images" else (),
    )


async def _listed(asked: Files, place: Place, objects: Objects) -> Listing:
    found = await list_files(asked)
    return await tar_index.with_edges(found, place, objects, skips=asked.skips) if found.kind == "tar" else found


def _cut(shards: Sequence[NDArray[np.int64]], most_bytes: int) -> NDArray[np.int64]:
    """Return the first sample of each block: so many samples of a shard as fit, one at least."""
    found, before = [0], 0
    for edges in shards:
        found += [before + one for one in _stops(edges, most_bytes)]
        before += len(edges) - 1
    return np.array(found, np.int64)


def _stops(edges: NDArray[np.int64], most_bytes: int) -> Iterator[int]:
    at, count = 0, len(edges) - 1
    while at < count:
        fits = int(np.searchsorted(edges, edges[at] + most_bytes, "right")) - 1
        at = min(count, max(at + 1, fits))
        yield at


def _classes(listing: Listing, place: Place) -> tuple[str, ...]:
    """Return the classes of images: the folders right below the first glob, as torchvision's ImageFolder has them."""
    folders = [_folder(listing.prefix, one) for one in listing.keys]
    if not any(folders):
        return ()
    if not all(folders):
        raise BadRequestError(
            f"{place.at(listing.keys[folders.index('')]).shown} lies in no folder, which would be its class.",
            hint=f"{place.at(listing.prefix).shown}*/** leaves out what lies beside the folders.",
        )
    return tuple(sorted(set(folders)))


def _folder(prefix: str, key: str) -> str:
    name, slash, _ = key.removeprefix(prefix).partition("/")
    return name if slash else ""
