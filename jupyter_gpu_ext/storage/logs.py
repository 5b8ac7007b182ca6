"""`jg.LogSink`: a handler of Python's logging that writes a run's log to storage."""

from __future__ import annotations

import atexit

# Its own end of the process must be registered before ours: the last one registered goes first.
import concurrent.futures.thread  # noqa: F401
import logging
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import conflicts, places
from jupyter_gpu_ext.storage.log_append import AppendedLog
from jupyter_gpu_ext.storage.log_buffer import LogBuffer
from jupyter_gpu_ext.storage.log_pump import WRITING_A_LOG, LogPump
from jupyter_gpu_ext.storage.log_rewrite import RewrittenLog

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.places import Place

# Where nobody set another one; `basicConfig(format=…)` sets one only where there is none.
_USUAL = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
_WAIT_SECONDS = 10.0
_OPEN: weakref.WeakSet[LogSink] = weakref.WeakSet()


class LogSink(logging.Handler):
    """A handler that writes records to an object, in the background.

    On Azure it is an append blob, and a run that is started again goes on at its end. Elsewhere a run begins
    a part of its own (`train.log.00002`, …), whose object is written again while it grows. Where the blob is
    of another type, full or somebody else's by now, the next part begins; nothing is overwritten.

    A forked process writes nothing to its parent's log: give it a sink of its own.

    Parameters
    ----------
    url : str or path
        'connection://key' or the path of a local file; the first part of the log.
    level : int or str
        As of every handler.
    flush_seconds : float
        The longest that a record waits before it is sent.
    buffer_characters : int
        Records that wait while storage is away; what comes then is dropped, and the log says how many lines.
    part_bytes : int
        Where nothing can be appended: a part is not written to any more when it would be longer.

    Raises
    ------
    DeniedError
        When the connection is read-only.
    BadRequestError, NotFoundError
        When the URL names no object, or no connection has that name.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        level: int | str = logging.NOTSET,
        *,
        flush_seconds: float = 10.0,
        buffer_characters: int = 8 << 20,
        part_bytes: int = 16 << 20,
    ) -> None:
        if not flush_seconds > 0 or buffer_characters < 1 or part_bytes < 1:
            raise BadRequestError(
                "flush_seconds, buffer_characters and part_bytes are above 0.", hint="Leave them out."
            )
        # Whoever shows a half-made sink, as a verbose traceback does, needs these.
        self.url, self.level = "", logging.NOTSET
        place = places.find(url)
        conflicts.check_target(place.key)
        place.writing()
        self.url = place.shown
        self._process = os.getpid()
        self._closed = False
        self._buffer = LogBuffer(buffer_characters)
        append = _file(place, part_bytes).append
        # From here on logging knows the sink, and closes it when it is configured anew or ends.
        super().__init__(level)
        self._pump = LogPump(self._buffer, append, shown=self.url, flush_seconds=flush_seconds)
        _register(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record and put it into the buffer; never waits for storage, never raises."""
        if self._closed or WRITING_A_LOG.get() or not self._is_here():
            return
        if self._buffer.put(self._text(record)):
            self._pump.wake()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text; with time, level and name where no formatter was set."""
        return (self.formatter or _USUAL).format(record)

    def flush(self) -> None:
        """Wait until what was logged so far is in storage, ten seconds at most."""
        if not self._closed and self._process == os.getpid():
            self._pump.flush(_WAIT_SECONDS)

    def close(self) -> None:
        """Write what is left, for ten seconds at most, and end; stderr says what could not be written."""
        self.stop()
        self.wait(_WAIT_SECONDS)

    def stop(self) -> None:
        """Begin to close."""
        if self._process == os.getpid():
            self._pump.stop()

    def wait(self, seconds: float) -> None:
        """End the closing, within `seconds`."""
        if not self._closed:
            self._closed = True
            if self._process == os.getpid():
                self._pump.wait(seconds)
        super().close()

    def __repr__(self) -> str:
        return f"<LogSink {self.url} ({logging.getLevelName(self.level)})>"

    def _text(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # noqa: BLE001 -- a wrong logging call is no reason to stop, or to lose it
            said = repr(record.msg)[:1000] if isinstance(record.msg, str) else f"a {type(record.msg).__name__}"
            where = f"{record.filename}:{record.lineno}"
            return f"(a record of {where} cannot be formatted: {type(error).__name__}) {said}"

    def _is_here(self) -> bool:
        if self._process == os.getpid():
            return True
        # The thread that writes lives in the parent alone; two writers would mix their lines.
        self._closed = True
        if sys.stderr is not None:
            sys.stderr.write(
                f"jupyter_gpu_ext: a forked process does not write to {self.url}; give it a LogSink of its own.\n"
            )
            sys.stderr.flush()
        return False


def _file(place: Place, part_bytes: int) -> AppendedLog | RewrittenLog:
    return AppendedLog(place) if place.connection.is_azure else RewrittenLog(place, part_bytes=part_bytes)


def _register(sink: LogSink) -> None:
    if not _REGISTERED:
        _REGISTERED.append(True)
        try:
            # At `atexit` no executor takes work any more, and the clients need one; this is where executors end.
            threading._register_atexit(_close_all)  # type: ignore[attr-defined]  # noqa: SLF001
        except (AttributeError, RuntimeError):
            atexit.register(_close_all)
    _OPEN.add(sink)


_REGISTERED: list[bool] = []


def _close_all() -> None:
    """Close every sink of this process, all within the time of one."""
    sinks, end = list(_OPEN), time.monotonic() + _WAIT_SECONDS
    for sink in sinks:
        sink.stop()
    for sink in sinks:
        sink.wait(max(0.0, end - time.monotonic()))
