"""How far a transfer is: written on the I/O loop, read by whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Bytes to transfer and bytes that are there; a total of 0 means that it is not known yet."""

    total_bytes: int
    done_bytes: int = 0
    # A sentence while storage asks for fewer requests.
    notice: str = ""
