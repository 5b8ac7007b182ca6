"""How many ranges to ask for at a time: more as long as that brings more bytes a second."""

from __future__ import annotations

FIRST, MOST = 8, 128
_WORTH = 1.05


class Pace:
    """A width that doubles while the rate still grows.

    A connection to object storage carries some 60 to 130 MB/s whatever the network can, so that the network is full
    only when doubling the connections brings nothing more. An account that throttles is the limiter's business.

    Parameters
    ----------
    most : int
        Ranges at a time that there is memory for.

    Attributes
    ----------
    width : int
        Ranges at a time.
    """

    def __init__(self, most: int = MOST) -> None:
        self.width = min(FIRST, most)
        self._most = most
        self._best = 0.0

    def observe(self, rate: float) -> None:
        """Take the bytes a second since the last look."""
        if rate > self._best * _WORTH:
            self._best = rate
            self.width = min(2 * self.width, self._most)
