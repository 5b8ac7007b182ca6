"""The thread that carries a log's lines to storage; whatever storage does, nobody else waits for it."""

from __future__ import annotations

import sys
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.text import format_count, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from jupyter_gpu_ext.storage.log_buffer import Batch, LogBuffer

# Set in everything that writes a log: what the storage clients say meanwhile would be written, and say more.
WRITING_A_LOG: ContextVar[bool] = ContextVar("writing_a_log", default=False)

_COMPLAINT_SECONDS = 60.0
# After a fault: lines that come in must not make us ask a storage that refuses again and again.
_PAUSE_SECONDS = 3.0


class LogPump:
    """Takes batches from `buffer` and appends them, each until it is written.

    Parameters
    ----------
    append : callable
        Writes bytes at the log's end; after a fault it is called again with the same bytes.
    shown : str
        The log's URL for messages.
    flush_seconds : float
        The longest that a line waits while storage answers.
    """

    def __init__(
        self,
        buffer: LogBuffer,
        append: Callable[[bytes], Coroutine[Any, Any, None]],
        *,
        shown: str,
        flush_seconds: float,
    ) -> None:
        self._buffer = buffer
        self._append = append
        self._shown = shown
        self._flush_seconds = flush_seconds
        self._change = threading.Condition()
        self._asked = self._stopping = self._ended = False
        self._written = 0
        self._batch: Batch | None = None
        self._complained_at: float | None = None
        self._fault = ""
        threading.Thread(target=self._run, name="jupyter-gpu-ext-log", daemon=True).start()

    def wake(self) -> None:
        """Write soon."""
        with self._change:
            self._asked = True
            self._change.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything that was put before is written; return whether it is."""
        through = self._buffer.put_count
        self.wake()
        with self._change:
            self._change.wait_for(lambda: self._written >= through or self._ended, timeout=seconds)
            return self._written >= through

    def stop(self) -> None:
        """Write what is there once more, then end."""
        with self._change:
            self._stopping = True
            self._change.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for the end after `stop`; what is not written by then is lost, and stderr says so."""
        with self._change:
            self._change.wait_for(lambda: self._ended, timeout=seconds)
            batch = self._batch
        lines = self._buffer.lines + (batch.lines if batch else 0)
        if lines:
            why = self._fault or "storage did not answer in time"
            _say(f"{format_count(lines, 'line')} of the log {self._shown} were not written: {why}")

    def _run(self) -> None:
        WRITING_A_LOG.set(True)
        going, well = True, True
        while going:
            going = self._next() if well else self._pause()
            try:
                self._drain()
                well = True
            except Exception as error:  # noqa: BLE001 -- a log must never end a training
                well = False
                self._complain(error)
        with self._change:
            self._ended = True
            self._change.notify_all()

    def _next(self) -> bool:
        with self._change:
            self._change.wait_for(lambda: self._asked or self._stopping, timeout=self._flush_seconds)
            self._asked = False
            return not self._stopping

    def _pause(self) -> bool:
        with self._change:
            return not self._change.wait_for(lambda: self._stopping, timeout=min(_PAUSE_SECONDS, self._flush_seconds))

    def _drain(self) -> None:
        while True:
            self._batch = batch = self._batch or self._buffer.take()
            if batch.data:
                LOOP.submit(self._append(batch.data)).result()
            with self._change:
                self._batch = None
                self._written = batch.through
                self._change.notify_all()
            if not batch.data:
                return

    def _complain(self, error: Exception) -> None:
        self._fault = redact(str(error)) or type(error).__name__
        now = time.monotonic()
        if self._complained_at is None or now - self._complained_at >= _COMPLAINT_SECONDS:
            self._complained_at = now
            _say(f"the log {self._shown} cannot be written now, its lines wait: {self._fault}")


def _say(text: str) -> None:
    # Python without a console has no stderr, and a closed one is no reason to stop.
    if sys.stderr is not None:
        try:
            sys.stderr.write(f"jupyter_gpu_ext: {text}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            return
