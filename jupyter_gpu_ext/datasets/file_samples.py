"""Take samples out of the files that the engine holds, in the order that was drawn: decoded ahead in threads."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.datasets.engine import is_of_one_part
from jupyter_gpu_ext.datasets.file_values import decode
from jupyter_gpu_ext.datasets.samples import Losses
from jupyter_gpu_ext.datasets.stack import stack
from jupyter_gpu_ext.errors import GpuExtError, NotInstalledError
from jupyter_gpu_ext.storage.traffic import WAITING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.datasets.file_engine import FileEngine
    from jupyter_gpu_ext.datasets.file_source import FileSource
    from jupyter_gpu_ext.datasets.samples import OnError
    from jupyter_gpu_ext.datasets.shuffle import Drawn

# Of decoded samples, before the next one is asked for; stored ones are counted, which is less.
_AHEAD_BYTES = 64 << 20
_AHEAD_A_DECODER = 2
# More would tell nobody more, and fill the memory.
_MOST_FAULTS = 100


class FileSamples:
    """The samples of one reader in one epoch.

    Parameters
    ----------
    drawn : iterator of Drawn
        The order.
    left : dict of int to int
        How many samples of each part are in it, by the part's number; a part is released with its last one.
    on_error : {'raise', 'skip'}
        What becomes of files that cannot be read.

    Attributes
    ----------
    done : int
        Samples that came or were lost.
    used_bytes : int
        Of those that came, as they are stored.
    copy_seconds : float
        Of putting them side by side.
    """

    def __init__(
        self, source: FileSource, engine: FileEngine, drawn: Iterator[Drawn], left: dict[int, int], on_error: OnError
    ) -> None:
        self.done = 0
        self.used_bytes = 0
        self.copy_seconds = 0.0
        self.losses = Losses(faults=list(source.listing.faults[:_MOST_FAULTS]))
        self._source = source
        self._engine = engine
        self._drawn = ((int(n), int(s)) for one in drawn for n, s in zip(one.parts, one.samples, strict=True))
        self._next = next(self._drawn, None)
        self._left = dict(left)
        self._on_error = on_error
        self._ahead = deque[tuple[int, int, Future[Any]]]()
        self._ahead_bytes = 0

    def one(self) -> Any:
        """Return the next sample as functions see it, None at the end.

        Raises
        ------
        GpuExtError
            When a file could not be read and is not to be skipped.
        """
        while True:
            self._decode_ahead()
            if not self._ahead:
                return None
            number, size, coming = self._ahead[0]
            try:
                found = self._result(coming)
            except GpuExtError as error:
                if self._on_error == "raise" or isinstance(error, NotInstalledError) or not is_of_one_part(error):
                    raise
                self._lose(error)
                found = None
            else:
                self.used_bytes += size
            self._over(number, size)
            if found is not None:
                return found

    def many(self, count: int) -> tuple[Any, int] | None:
        """Return the next samples side by side, and how many they are: fewer at the end, where None follows."""
        collected: list[Any] = []
        while len(collected) < count and (one := self.one()) is not None:
            collected.append(one)
        if not collected:
            return None
        begun = time.monotonic()
        made = stack(collected)
        self.copy_seconds += time.monotonic() - begun
        return made, len(collected)

    def _result(self, coming: Future[Any]) -> Any:
        begun = time.monotonic()
        try:
            with WAITING.counted():
                return coming.result()
        finally:
            self._engine.wait_seconds += time.monotonic() - begun

    def _decode_ahead(self) -> None:
        """Begin to decode the next samples; wait for a part only where nothing else is under way."""
        while self._next is not None:
            number, sample = self._next
            enough = len(self._ahead) > self._engine.decoders * _AHEAD_A_DECODER or self._ahead_bytes > _AHEAD_BYTES
            if self._ahead and (enough or not self._engine.is_here(number)):
                return
            size, coming = self._begin(number, sample)
            self._ahead.append((number, size, coming))
            self._ahead_bytes += size
            self._next = next(self._drawn, None)

    def _begin(self, number: int, sample: int) -> tuple[int, Future[Any]]:
        try:
            held = self._engine.part(number)
        except GpuExtError as error:
            coming = Future[Any]()
            coming.set_exception(error)
            return 0, coming
        span = self._source.span(sample, sample + 1)
        begin = span.start - held.span.start
        data = held.data[begin : begin + span.size_bytes]
        return span.size_bytes, self._engine.pool.submit(self._decoded, held.number, data)

    def _decoded(self, number: int, data: memoryview) -> Any:
        with self._engine.decoding.working():
            return decode(self._source, number, data)

    def _over(self, number: int, size: int) -> None:
        self._ahead.popleft()
        self._ahead_bytes -= size
        self.done += 1
        self._left[number] -= 1
        if not self._left[number]:
            self._engine.release(number)

    def _lose(self, error: GpuExtError) -> None:
        self.losses.samples += 1
        if (said := str(error)) not in self.losses.faults and len(self.losses.faults) < _MOST_FAULTS:
            self.losses.faults.append(said)
