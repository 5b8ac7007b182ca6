"""How long the sampler rests between two readings."""

from __future__ import annotations

from jupyter_gpu_ext.gpu.models import State

WATCHED_SECONDS = 60
# A little less than a minute, so that no minute of the history stays empty.
UNWATCHED_REST_SECONDS = 58
RETRY_AT_MOST_SECONDS = 30


def rest_seconds(state: State, *, failures: int, unasked_seconds: float, interval_seconds: float) -> float:
    """Return the time until the next poll; who asks after a long rest ends it.

    Parameters
    ----------
    state : State
        After the last poll.
    failures : int
        Polls in a row that failed.
    unasked_seconds : float
        Since somebody asked for the status.
    interval_seconds : float
        Between samples, when all is well and somebody looks.
    """
    usual = _watched_rest(state, failures, interval_seconds)
    return usual if unasked_seconds <= WATCHED_SECONDS else max(usual, UNWATCHED_REST_SECONDS)


def _watched_rest(state: State, failures: int, interval_seconds: float) -> float:
    if state is State.NO_GPU:
        return RETRY_AT_MOST_SECONDS
    if failures == 0:
        return interval_seconds
    # Opening a broken driver again and again fills the kernel's log.
    return float(min(RETRY_AT_MOST_SECONDS, interval_seconds * 2 ** min(failures - 1, 16)))
