"""`ZarrStream`: samples for a training straight from a Zarr store, in an order of their own, read ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.datasets.blocks import Windows
from jupyter_gpu_ext.datasets.engine import ZarrEngine
from jupyter_gpu_ext.datasets.numbers import memory, whole
from jupyter_gpu_ext.datasets.samples import Samples
from jupyter_gpu_ext.datasets.source import Asked, open_source
from jupyter_gpu_ext.datasets.stream import BLOCKS, MEMORY_BYTES, Stream
from jupyter_gpu_ext.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_gpu_ext.datasets.hot import Hot
    from jupyter_gpu_ext.datasets.samples import OnError
    from jupyter_gpu_ext.datasets.shard import Part, Uneven
    from jupyter_gpu_ext.datasets.shuffle import Drawn
    from jupyter_gpu_ext.datasets.source import Source


class ZarrStream(Stream):
    """Samples of one or several arrays of a Zarr store, aligned along one axis.

    Each method of the chain returns a new stream. Items are dicts of tensors by array (one tensor where the URL means
    one array), ndarrays where torch is not installed; each is a copy of its own.

    Parameters
    ----------
    url : str
        'connection://key' of a group or an array, Zarr 2 or 3.
    arrays : sequence of str
        Names or globs of those that belong together; all that have the axis by default, coordinates aside.
    sample_axis : str or int
        The dimension's name, or its place among the axes of each array.
    window : int or (int, int), optional
        A sample is so many entries that follow one another; the second number is how far the next one is, 1 by default.
    select : str
        As for `load`: '0:1000, :, ::2' or 'time=2020, latitude=60:30', the sample axis included.
    raw : bool
        Stored values, without CF decoding.
    uneven : {'drop', 'pad'}
        Where the ranks do not divide the samples: the last ones of the epoch's order are dropped, or its first ones
        come twice. All ranks make as many steps.
    on_error : {'raise', 'skip'}
        Whether a chunk that is damaged or refused ends the epoch, or its block's samples are left out and counted.
    memory_bytes : int
        What is read ahead and held may take; a shuffle that spans more takes more.

    Raises
    ------
    BadRequestError
        When the arrays have no such axis, or not equally many entries along it (when it is first used).

    Examples
    --------
    >>> stream = ZarrStream("era5://train.zarr", arrays=["x", "y"])  # doctest: +SKIP
    >>> for batch in stream.shuffle(seed=0).batch(32).prefetch(2):  # doctest: +SKIP
    ...     train(batch["x"], batch["y"])
    """

    def __init__(
        self,
        url: str,
        arrays: Sequence[str] = (),
        *,
        sample_axis: str | int = 0,
        window: int | tuple[int, int] | None = None,
        select: str = "",
        raw: bool = False,
        uneven: Uneven = "drop",
        on_error: OnError = "raise",
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        if isinstance(arrays, str):
            raise BadRequestError("arrays is a list of names.", hint=f"arrays=[{arrays!r}]")
        memory_bytes = memory(memory_bytes)
        asked = Asked(
            url=str(url),
            arrays=tuple(arrays),
            sample_axis=sample_axis,
            windows=_windows(window),
            select=select,
            raw=raw,
            most_block_bytes=max(1, memory_bytes // BLOCKS),
        )
        self._ask(asked, memory_bytes=memory_bytes, uneven=uneven, on_error=on_error)

    async def _open(self, asked: Asked) -> Source:
        return await open_source(asked)

    def _engine(self, source: Source, parts: Mapping[int, Part], hot: Hot) -> ZarrEngine:
        return ZarrEngine(source, parts, memory_bytes=self._recipe.memory_bytes, hot=hot)

    def _samples(self, source: Source, engine: ZarrEngine, drawn: Iterator[Drawn], left: dict[int, int]) -> Samples:
        return Samples(source, engine, drawn, left, self._recipe.on_error)


def _windows(window: int | tuple[int, int] | None) -> Windows:
    if window is None:
        return Windows()
    hint = "window=24, or window=(24, 6) for every sixth one."
    size, stride = window if isinstance(window, tuple) and len(window) == 2 else (window, 1)
    return Windows(size=whole(size, 1, "A window", hint), stride=whole(stride, 1, "Its stride", hint), single=False)
