"""How many bytes of objects have reached this process, and how long its program waited for storage."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Traffic:
    """A count that only grows; written on the I/O loop, read from anywhere.

    Attributes
    ----------
    received_bytes : int
        Since the process began; what was asked for twice counts twice.
    """

    __slots__ = ("received_bytes",)

    def __init__(self) -> None:
        self.received_bytes = 0


class Waiting:
    """How long the main thread, which runs the cells and the program, was blocked in calls to storage.

    Attributes
    ----------
    seconds : float
        Since the process began; a call that is under way counts when it returns.
    """

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the block, unless another thread runs it: what works beside the program makes nobody wait."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        begun = time.monotonic()
        try:
            yield
        finally:
            # One thread writes, so nothing is lost without a lock.
            self.seconds += time.monotonic() - begun


TRAFFIC = Traffic()
WAITING = Waiting()
