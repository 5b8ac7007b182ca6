"""How many bytes of objects have reached this process: whoever shows or steers a rate asks here."""

from __future__ import annotations


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


TRAFFIC = Traffic()
