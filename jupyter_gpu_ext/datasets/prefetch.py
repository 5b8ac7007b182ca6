"""Make items ahead in a thread of their own, a few at most; none is lost, and the thread ends with who uses it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_gpu_ext.storage.traffic import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_JOIN_SECONDS = 1.0


def made_ahead(items: Iterator[T], count: int, stop: Callable[[], None]) -> Iterator[T]:
    """Yield the items, `count` of them made ahead; a fault comes after those that were made before it.

    Parameters
    ----------
    stop : callable
        Ends whatever the thread waits for; called when the caller goes away before the end.
    """
    ahead = _Ahead(items, count)
    try:
        yield from ahead
    finally:
        ahead.leave(stop)


class _Ahead:
    def __init__(self, items: Iterator[Any], count: int) -> None:
        self._items = items
        self._count = count
        self._made = deque[Any]()
        self._changed = threading.Condition()
        self._ended = False
        self._left = False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._make, name="jupyter-gpu-ext-stream", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with WAITING.counted(), self._changed:
                self._changed.wait_for(lambda: self._made or self._ended)
                if not self._made:
                    break
                item = self._made.popleft()
                self._changed.notify_all()
            yield item
        if self._fault is not None:
            raise self._fault

    def leave(self, stop: Callable[[], None]) -> None:
        """End the thread."""
        with self._changed:
            self._left, ended = True, self._ended
            self._changed.notify_all()
        if not ended:
            stop()
        # What a person's own function does is waited for, but not for long.
        self._thread.join(_JOIN_SECONDS)

    def _make(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._made) < self._count or self._left)
                    if self._left:
                        return
                    self._made.append(item)
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 -- raised where the items are used
            self._fault = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
