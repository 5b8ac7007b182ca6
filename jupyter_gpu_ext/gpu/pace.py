"""How long the sampler rests between two readings."""

from __future__ import annotations

from jupyter_gpu_ext.gpu.models import State

PAUSE_AFTER_SECONDS = 60
RETRY_AT_MOST_SECONDS = 30


def rest_seconds(state: State, *, failures: int, unasked_seconds: float, interval_seconds: float) -> float | None:
    """Return the time until the next poll; None: until somebody asks.

    Parameters
    ----------
    state : State
        After the last poll.
    failures : int
        Polls in a row that failed.
    unasked_seconds : float
        Since somebody asked for the status.
    interval_seconds : float
        Between samples, when all is well.
    """
    if unasked_seconds > PAUSE_AFTER_SECONDS:
        return None
    if state is State.NO_GPU:
        return RETRY_AT_MOST_SECONDS
    # Opening a broken driver again and again fills the kernel's log.
    return float(min(RETRY_AT_MOST_SECONDS, interval_seconds * 2 ** min(max(0, failures - 1), 16)))
