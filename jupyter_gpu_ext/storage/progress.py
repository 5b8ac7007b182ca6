"""How far a transfer is; written on the I/O loop, read by whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Bytes so far and in all; 0 in all while that is not known."""

    total_bytes: int
    done_bytes: int = 0
    # A sentence while storage asks for fewer requests.
    notice: str = ""
