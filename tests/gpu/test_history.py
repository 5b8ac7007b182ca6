from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.gpu.history import History


def filled(count, interval_seconds=1.0):
    history = History(interval_seconds)
    for i in range(count):
        history.append((), float(i))
    return history


@given(count=st.integers(0, 30), since=st.integers(0, 30))
def test_gives_what_is_newer_oldest_first(count, since):
    cursors = [sample.cursor for sample in filled(count).after(since)]
    assert cursors == list(range(since + 1 if since <= count else 1, count + 1))


def test_keeps_ten_minutes():
    history = filled(700)
    assert [sample.cursor for sample in history.after(0)] == list(range(101, 701))
    assert len(filled(700, interval_seconds=2.0).after(0)) == 300


def test_an_old_cursor_gets_what_is_left():
    assert [sample.cursor for sample in filled(700).after(50)] == list(range(101, 701))
