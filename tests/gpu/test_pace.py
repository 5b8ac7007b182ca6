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
def test_rests_nearly_a_minute_when_nobody_asked_for_one(state):
    def rest(unasked_seconds):
        return rest_seconds(state, failures=0, unasked_seconds=unasked_seconds, interval_seconds=1)

    assert rest(60) <= 30
    assert 50 < rest(61) < 60


def test_never_rests_less_because_nobody_looks():
    assert rest_seconds(State.OK, failures=0, unasked_seconds=61, interval_seconds=60) == 60
