"""How many ranges to ask for at a time: more as long as that brings more bytes a second."""

from __future__ import annotations

FIRST, MOST = 8, 128
# A doubling that is worth its memory; where each connection is limited it brings nearly twice as much.
_WORTH = 1.2
# Looks until it is tried again.
_REST = 40


class Pace:
    """A width that doubles while that pays, and goes back by the last step, which did not.

    A connection to object storage carries some 60 to 130 MB/s whatever the network can, so that the network is full
    only when doubling the connections brings nothing more. Where it brings nothing, more of them cost: memory, and
    the time of the thread that serves them. An account that throttles is the limiter's business.

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
        self.width = self._before = min(FIRST, most)
        self._most = most
        self._best = 0.0
        # Looks that do not count: the first one after a change sees the change.
        self._rest = 1

    def observe(self, rate: float) -> None:
        """Take the bytes a second since the last look."""
        if self._rest:
            self._rest -= 1
        elif rate > self._best * _WORTH:
            self._best, self._before, self._rest = rate, self.width, 1
            self.width = min(2 * self.width, self._most)
        else:
            # What the smaller width brings is found out anew: the network may have changed meanwhile.
            self.width, self._best, self._rest = self._before, 0.0, _REST
