from __future__ import annotations

import pytest

from jupyter_gpu_ext.gpu.models import State
from jupyter_gpu_ext.gpu.pace import rest_seconds


@pytest.mark.parametrize(
    ("state", "failures", "seconds"),
    [
        (State.OK, 0, 1),
        (State.NO_GPU, 1, 30),
        (State.BROKEN, 1, 1),
        (State.BROKEN, 2, 2),
        (State.BLOCKED, 5, 16),
        (State.BROKEN, 6, 30),
        (State.BROKEN, 10**9, 30),
    ],
)
def test_rests_longer_the_less_there_is_to_see(state, failures, seconds):
    assert rest_seconds(state, failures=failures, unasked_seconds=0, interval_seconds=1) == seconds


@pytest.mark.parametrize("state", list(State))
def test_rests_until_asked_when_nobody_asked_for_a_minute(state):
    assert rest_seconds(state, failures=0, unasked_seconds=60, interval_seconds=1) is not None
    assert rest_seconds(state, failures=0, unasked_seconds=61, interval_seconds=1) is None
