from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.tensors.pace import FIRST, Pace

if TYPE_CHECKING:
    from collections.abc import Callable


def widths(pace: Pace, rate: Callable[[int], float], looks: int) -> list[int]:
    """Return the width after each look at a network whose rate depends on the width."""
    found = []
    for _ in range(looks):
        pace.observe(rate(pace.width))
        found.append(pace.width)
    return found


def test_it_doubles_while_every_connection_is_limited() -> None:
    assert widths(Pace(64), lambda width: 60e6 * width, 8) == [8, 16, 16, 32, 32, 64, 64, 64]


def test_it_goes_back_where_more_brings_nothing() -> None:
    found = widths(Pace(64), lambda _: 1e9, 40)
    assert found[:4] == [8, 16, 16, 8]
    assert set(found[4:]) == {8}


def test_it_stays_where_the_network_is_full() -> None:
    found = widths(Pace(128), lambda width: min(60e6 * width, 1.5e9), 40)
    assert found[-1] == 32
    assert max(found) == 64


def test_it_tries_again_after_a_while() -> None:
    pace = Pace(64)
    widths(pace, lambda _: 1e8, 10)
    assert pace.width == FIRST
    assert widths(pace, lambda width: 60e6 * width, 60)[-1] == 64


@pytest.mark.parametrize("most", [1, 2, 5, 8, 13])
def test_there_are_never_more_than_there_is_memory_for(most: int) -> None:
    assert all(width <= most for width in widths(Pace(most), lambda width: 60e6 * width, 20))
