"""Records on their way to a log: a bounded queue that never waits, and says what it had to drop."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from jupyter_gpu_ext.storage.azure_append import BLOCK_BYTES
from jupyter_gpu_ext.text import format_count, redact

# With six bytes a character at worst, one record fits into a block.
_LONGEST = 1 << 18


@dataclass(frozen=True, slots=True)
class Batch:
    """Bytes to write in one go.

    Attributes
    ----------
    through : int
        Records taken or dropped so far, these included.
    lines : int
    """

    data: bytes
    through: int
    lines: int


class LogBuffer:
    """Put from any thread, taken by one.

    Parameters
    ----------
    most_characters : int
        What does not fit is dropped, and the log says how many lines, where they would have been.

    Attributes
    ----------
    put_count : int
        Records so far, dropped ones included.
    """

    def __init__(self, most_characters: int) -> None:
        self.put_count = 0
        self._most = most_characters
        # Reentrant: a signal handler or a finaliser may log in the middle of a put.
        self._lock = threading.RLock()
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._taken = 0
        self._dropped_records = 0
        self._dropped_lines = 0

    def put(self, text: str) -> bool:
        """Take a record, or count it as dropped; return whether the buffer is half full."""
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}… ({len(text):,} characters, cut)"
        with self._lock:
            self.put_count += 1
            # After a gap everything is dropped until the gap can be written down, so that the order holds.
            if self._dropped_records or self._characters + len(text) > self._most:
                self._dropped_records += 1
                self._dropped_lines += 1 + text.count("\n")
                return True
            self._waiting.append(text)
            self._characters += len(text) + 1
            return self._characters > self._most // 2

    def take(self) -> Batch:
        """Return the oldest records, 4 MiB at most, secrets replaced; empty when there are none."""
        pieces, size = list[bytes](), 0
        while (text := self._first()) is not None:
            piece = (redact(text) + "\n").encode(errors="backslashreplace")
            if pieces and size + len(piece) > BLOCK_BYTES:
                break
            pieces.append(piece)
            size += len(piece)
            self._drop_first(text)
        else:
            pieces += self._gap(BLOCK_BYTES - size)
        data = b"".join(pieces)
        return Batch(data, self._taken, data.count(b"\n"))

    @property
    def lines(self) -> int:
        """How many lines wait or were dropped since the last gap was written down."""
        with self._lock:
            return sum(1 + text.count("\n") for text in self._waiting) + self._dropped_lines

    def _first(self) -> str | None:
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def _drop_first(self, text: str) -> None:
        with self._lock:
            self._waiting.popleft()
            self._characters -= len(text) + 1
            self._taken += 1

    def _gap(self, room: int) -> list[bytes]:
        with self._lock:
            if not self._dropped_records or self._waiting or room < 200:
                return []
            said = f"(jupyter_gpu_ext: {format_count(self._dropped_lines, 'line')} dropped here; storage was away)\n"
            self._taken += self._dropped_records
            self._dropped_records = self._dropped_lines = 0
            return [said.encode()]
