"""The parts of one load that storage did not finish: kept until it goes on, or until their memory is wanted."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import (
    BadStorageReplyError,
    DeniedError,
    StorageTimeoutError,
    ThrottledError,
    UnreachableError,
)
from jupyter_gpu_ext.gpu.spares import SPARES, Spare
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.tensors.assembly import Assembly
    from jupyter_gpu_ext.tensors.prepare import Wanted

# The bytes that are here are right; only more of them did not come.
STORAGE_FAULTS = (UnreachableError, StorageTimeoutError, ThrottledError, BadStorageReplyError, DeniedError)
# How long the last copies may take once a load was stopped.
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Which load it is: the same line for the same bytes.

    Attributes
    ----------
    versions : tuple of str
        The ETag of each object.
    """

    url: str
    wanted: Wanted
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is kept of one load."""

    identity: Identity
    assembly: Assembly
    placed: Mapping[str, str]

    @property
    def held_bytes(self) -> dict[str, int]:
        """Bytes that are held, by device."""
        held: dict[str, int] = {}
        for key, one in self.assembly.storages.items():
            held[self.placed[key]] = held.get(self.placed[key], 0) + one.nbytes
        return held

    @property
    def message(self) -> str:
        """Where it stopped."""
        plan, where = self.assembly.plan, " and ".join(self.held_bytes)
        amounts = f"{format_bytes(self.assembly.taken_bytes)} of {format_bytes(plan.bytes_read)}"
        return f"stopped at {amounts}, parts kept on {where}"

    @property
    def hint(self) -> str:
        """How to go on."""
        return "Run the same line with --resume; `%gpu release` or another load frees them."


class Slot:
    """Room for one unfinished load in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: Unfinished | None = None

    def keep(self, unfinished: Unfinished) -> bool:
        """Keep what has come; tell whether there is anything to keep."""
        whole = unfinished.assembly.closed.wait(_CLOSE_SECONDS) and unfinished.assembly.taken_bytes > 0
        with self._lock:
            self._kept = unfinished if whole else None
        SPARES["unfinished load"] = Spare(rung="traceback", drop=self.release, size_bytes=self.held)
        return whole

    def find(self, url: str, wanted: Wanted) -> Unfinished | None:
        """Return what is kept of this load, of whichever version."""
        kept = self._kept
        same = kept is not None and (kept.identity.url, kept.identity.wanted) == (url, wanted)
        return kept if same else None

    def release(self) -> int:
        """Let go what is kept; return how many bytes that were."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is None:
            return 0
        size = sum(kept.held_bytes.values())
        kept.assembly.drop()
        return size

    def held(self) -> int:
        """Return how many bytes are kept."""
        kept = self._kept
        return sum(kept.held_bytes.values()) if kept is not None else 0

    def take(self) -> None:
        """Forget what is kept, whose owner goes on with it."""
        with self._lock:
            self._kept = None

    def report(self) -> str:
        """Return what is kept in one line, '' when nothing is."""
        kept = self._kept
        return f"{printable(kept.identity.url)}: {kept.message}" if kept is not None else ""


UNFINISHED = Slot()
