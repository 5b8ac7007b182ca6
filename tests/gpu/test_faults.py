from __future__ import annotations

from jupyter_gpu_ext.gpu.faults import FaultLog


def test_a_fault_that_stays_is_told_once(clock):
    log = FaultLog(clock)
    told = []
    for _ in range(300):
        told += log.news(["a"])
        clock.advance(1)
    assert told == ["a"]


def test_a_fault_that_flaps_is_told_once_a_minute(clock):
    log = FaultLog(clock)
    told = []
    for second in range(180):
        told += log.news(["a"] if second % 2 == 0 else [])
        clock.advance(1)
    assert told == ["a"] * 3


def test_each_fault_is_told_by_itself(clock):
    log = FaultLog(clock)
    assert log.news(["a"]) == ["a"]
    assert log.news(["b", "a"]) == ["b"]
