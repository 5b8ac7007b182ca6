"""The receipts of this process's last loads: for the panel, for `%gpu`, and for what an export writes down as read."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_gpu_ext.tensors.receipt import Receipt

_KEPT = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """A receipt, the name of the value, and when: seconds since the epoch."""

    name: str
    time: float
    receipt: Receipt

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        one = self.receipt
        return {
            "name": self.name, "time": self.time, "url": one.url, "etag": one.etag, "device": one.device,
            "tensor_count": one.tensor_count, "size_bytes": one.size_bytes, "bytes_read": one.bytes_read,
            "bytes_cached": one.bytes_cached, "requests": one.requests, "retries": one.retries,
            "seconds": one.seconds, "bottleneck": one.bottleneck, "text": str(one),
        }  # fmt: skip


class Receipts:
    """The last receipts, oldest first.

    Attributes
    ----------
    count : int
        Loads that were noted, those included of which the receipt is gone.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=_KEPT)

    def add(self, name: str, receipt: Receipt) -> None:
        """Note a load that has ended well."""
        with self._lock:
            self.count += 1
            self._entries.append(Entry(name, time.time(), receipt))

    def all(self) -> tuple[Entry, ...]:
        """Return the receipts that are kept, oldest first."""
        with self._lock:
            return tuple(self._entries)


RECEIPTS = Receipts()
