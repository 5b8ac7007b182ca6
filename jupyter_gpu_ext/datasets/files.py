"""`files`: samples for a training straight from files in storage: images, tensors, tar shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.datasets.file_engine import FileEngine
from jupyter_gpu_ext.datasets.file_kinds import ENDINGS
from jupyter_gpu_ext.datasets.file_samples import FileSamples
from jupyter_gpu_ext.datasets.file_source import open_files
from jupyter_gpu_ext.datasets.listing import Files
from jupyter_gpu_ext.datasets.numbers import memory
from jupyter_gpu_ext.datasets.stream import BLOCKS, MEMORY_BYTES, Stream
from jupyter_gpu_ext.errors import BadRequestError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from jupyter_gpu_ext.datasets.file_source import FileSource
    from jupyter_gpu_ext.datasets.hot import Hot
    from jupyter_gpu_ext.datasets.listing import Listing
    from jupyter_gpu_ext.datasets.samples import OnError
    from jupyter_gpu_ext.datasets.shard import Part, Uneven
    from jupyter_gpu_ext.datasets.shuffle import Drawn


class FileStream(Stream):
    """Samples of files; `files` makes it, and says what they are."""

    _listing: Listing | None

    def __init__(self, asked: Files, *, memory_bytes: int, uneven: Uneven, on_error: OnError) -> None:
        self._ask(asked, memory_bytes=memory_bytes, uneven=uneven, on_error=on_error)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of images, by their labels; empty where they lie in no folders."""
        source: FileSource = self._opened()
        return source.classes

    async def _open(self, asked: Files) -> FileSource:
        return await open_files(asked, self._listing)

    def _engine(self, source: FileSource, parts: Mapping[int, Part], hot: Hot) -> FileEngine:
        workers = self._reader().workers
        return FileEngine(source, parts, memory_bytes=self._recipe.memory_bytes, hot=hot, workers=workers)

    def _samples(
        self, source: FileSource, engine: FileEngine, drawn: Iterator[Drawn], left: dict[int, int]
    ) -> FileSamples:
        return FileSamples(source, engine, drawn, left, self._recipe.on_error)

    def __getstate__(self) -> dict[str, Any]:
        # Whoever shares the samples shares the list of them, even where a file comes or goes meanwhile.
        source: FileSource = self._opened()
        return {**super().__getstate__(), "listing": source.listing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._listing = state.get("listing")


def files(
    url: str | os.PathLike[str],
    *,
    kind: str = "",
    uneven: Uneven = "drop",
    on_error: OnError = "raise",
    memory_bytes: int = MEMORY_BYTES,
) -> FileStream:
    """Stream samples from files in storage: images by class, `.npy`, `.npz`, `.pt`, `.safetensors`, tar shards.

    The chain is that of `ZarrStream`: `.shuffle`, `.filter`, `.map`, `.batch`, `.prefetch`, `.to`.

    Parameters
    ----------
    url : str
        'connection://key' with globs: `*`, `?` and `[…]` within a folder, `**` for any folders; or a folder. Names that
        begin with a dot are left out. It is listed once; samples are counted in the order of the keys.
    kind : {'images', 'npy', 'npz', 'pt', 'safetensors', 'tar'}
        Files of which kind; without it their endings say, and must agree. Others, such as notes, are left out.
    uneven, on_error, memory_bytes
        As for `ZarrStream`: 'skip' leaves out and counts what is damaged; what is read ahead is bounded in bytes.

    Returns
    -------
    FileStream
        Of images {'image': uint8 of 3 × height × width, 'label': int, 'url': str}, the label from the folder that is
        the first below the globs' own, sorted: `classes` names them. Of a shard {'__key__', '__url__'} and each member
        by its ending, as WebDataset has it. Else what `load` returns of each file. Tensors are ndarrays where torch is
        not installed.

    Raises
    ------
    NotFoundError, BadRequestError
        When it is first used: nothing matches, or several kinds do.
    ObjectChangedError
        When a file is not the one that was listed.

    Examples
    --------
    >>> stream = files("imgs://train/**").shuffle(seed=0).map(augment).batch(32)  # doctest: +SKIP
    """
    if kind and kind not in ENDINGS:
        raise BadRequestError(f"There is no kind {kind!r}.", hint=f"One of {', '.join(ENDINGS)}; or leave it out.")
    place = url if isinstance(url, str) else str(Path(url).expanduser().absolute())
    memory_bytes = memory(memory_bytes)
    asked = Files(
        url=place, kind=kind, skips=on_error == "skip", most_block_bytes=max(1, memory_bytes // BLOCKS)
    )  # fmt: skip
    return FileStream(asked, memory_bytes=memory_bytes, uneven=uneven, on_error=on_error)
