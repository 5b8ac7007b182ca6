"""Show how far a load is: drawn with a Cancel button by the extension, as text elsewhere."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from jupyter_gpu_ext.text import format_bytes, format_duration, printable, redact

if TYPE_CHECKING:
    from types import TracebackType

    from jupyter_gpu_ext.storage.progress import Progress

MIME = "application/vnd.jupyter-gpu-ext.progress+json"
# A load that is over sooner needs no bar.
_SHOW_AFTER_SECONDS = 0.5
_RATE_SECONDS = 10.0


class ProgressDisplay:
    """One output of the cell, updated in place; its last state is the receipt or the reason.

    Parameters
    ----------
    title : str
        What is loaded.
    live : bool
        Outputs can be updated in place; a terminal would print each update anew.
    beginning : str
        What is done while the total is not known.
    """

    def __init__(self, title: str, *, live: bool, beginning: str = "reading the header") -> None:
        self._title = redact(printable(title))
        self._live = live
        self._beginning = beginning
        self._id: str | None = None
        self._started = time.monotonic()
        self._last: dict[str, Any] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._id is not None:
            cancelled = issubclass(kind, KeyboardInterrupt)
            self._show("cancelled" if cancelled else "failed", "cancelled" if cancelled else "stopped by a fault")

    def update(self, progress: Progress) -> None:
        """Show the progress, once the load takes long enough to be watched."""
        seconds = time.monotonic() - self._started
        rate = 0.0
        if progress.total_bytes:
            rate = self._rate(progress.done_bytes)
        if not self._live or seconds < _SHOW_AFTER_SECONDS:
            return
        left = (progress.total_bytes - progress.done_bytes) / rate if rate else None
        self._last = {
            "done_bytes": progress.done_bytes,
            "total_bytes": progress.total_bytes,
            "rate_bytes_per_second": rate,
            "eta_seconds": left,
            "stage": getattr(progress, "stage", "network"),
            "note": getattr(progress, "beforehand", ""),
        }
        if not progress.total_bytes:
            self._last |= {"stage": "header"}
            self._show("running", self._beginning)
            return
        words = f"{format_bytes(progress.done_bytes)} of {format_bytes(progress.total_bytes)}, {format_bytes(rate)}/s"
        words = f"{words}, {format_duration(left)} left" if left is not None else f"{words}, waiting for the network"
        words = "; ".join(filter(None, (words, self._last["note"])))
        self._show("running", f"{progress.notice}: {words}" if progress.notice else words)

    def _rate(self, done_bytes: int) -> float:
        """Return the bytes a second of the last ten seconds; what was there at the start took none of them."""
        now = time.monotonic()
        self._seen.append((now, done_bytes))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (done_bytes - before) / (now - since) if now > since else 0.0

    def finish(self, receipt: str) -> None:
        """Show what was done."""
        if self._id is None:
            print(receipt)  # noqa: T201 -- the line that the person waits for
        else:
            self._last |= {"done_bytes": self._last["total_bytes"], "eta_seconds": 0.0}
            self._show("done", receipt)

    def _show(self, state: str, message: str) -> None:
        from IPython.display import display, update_display

        data = {"title": self._title, **self._last, "state": state, "message": message}
        text = message if state == "done" else f"{self._title}: {message}"
        bundle = {MIME: data, "text/plain": text}
        if self._id is None:
            self._id = uuid4().hex
            display(bundle, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
        else:
            update_display(bundle, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
