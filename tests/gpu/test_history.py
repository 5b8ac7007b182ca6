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


def test_what_was_read_while_nobody_looked_is_not_ten_hours_of_it():
    history = History(1.0)
    for minute in range(30):
        history.append((), 60.0 * minute)
    assert [sample.time for sample in history.after(0)] == [60.0 * minute for minute in range(19, 30)]


def test_a_sample_says_what_storage_gave_meanwhile():
    history = History(1.0)
    assert history.append((), 1.0, 5e6).storage_bytes_per_second == 5e6
    assert history.append((), 2.0).storage_bytes_per_second is None
    assert [sample.storage_bytes_per_second for sample in history.after(0)] == [5e6, None]
