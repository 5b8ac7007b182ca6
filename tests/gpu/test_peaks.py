"""The file of peaks: small, whole, its owner's alone, and started anew when it is broken."""

from __future__ import annotations

import json
import logging

import pytest

from jupyter_gpu_ext.gpu import peaks
from jupyter_gpu_ext.gpu.attribution import How, Use
from jupyter_gpu_ext.gpu.peaks import Peak, peak_of, read, write
from jupyter_gpu_ext.server.peaks import Peaks

A, B = "GPU-aaaa", "GPU-bbbb"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data" / peaks.NAME


def peak(run, time=1.0, **devices):
    return Peak(run=run, time=time, devices=devices)


def test_what_was_written_is_read(file):
    write(file, {"/a b/ä.ipynb": peak("r1", gpu=5)}.items())
    assert read(file) == {"/a b/ä.ipynb": (peak("r1", gpu=5),)}
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.parent.iterdir()] == [peaks.NAME]


def test_two_runs_count_and_a_third_displaces_the_first(file):
    for run, size in (("r1", 9), ("r2", 5), ("r2", 6)):
        write(file, {"/a.ipynb": peak(run, one=size, other=1)}.items())
    assert peak_of(file, "/a.ipynb") == {"one": 9, "other": 1}
    write(file, {"/a.ipynb": peak("r3", one=2)}.items())
    assert peak_of(file, "/a.ipynb") == {"one": 6, "other": 1}
    assert peak_of(file, "/b.ipynb") == {}


def test_the_notebooks_that_were_seen_last_are_kept(file):
    write(file, {f"/{number}.ipynb": peak("r", time=number, one=1) for number in range(250)}.items())
    assert set(read(file)) == {f"/{number}.ipynb" for number in range(50, 250)}


BROKEN = [
    "", "{", "[]", "null", '{"notebooks": []}', '{"notebooks": {"/a.ipynb": 3}}', '{"notebooks": {"/a.ipynb": [{}]}}',
    '{"notebooks": {"/a.ipynb": [{"run": "r", "time": "now", "devices": {}}]}}',
    '{"notebooks": {"/a.ipynb": [{"run": "r", "time": 1, "devices": {"A": -1}}]}}',
    '{"notebooks": {"/a.ipynb": [{"run": "r", "time": 1, "devices": {"A": "5"}}]}}', "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:60])
def test_a_broken_file_is_started_anew_and_said(file, caplog, text):
    file.parent.mkdir()
    file.write_text(text)
    with caplog.at_level(logging.WARNING):
        write(file, {"/a.ipynb": peak("r", one=1)}.items())
    assert read(file) == {"/a.ipynb": (peak("r", one=1),)}
    assert "started anew" in caplog.text


def test_a_file_that_cannot_be_written_is_a_line_in_the_log(tmp_path, caplog):
    (tmp_path / "data").write_text("a file, where the folder belongs")
    kept = Peaks(tmp_path / "data", "/root")
    kept.see("r", "a.ipynb", (use(5),))
    kept.save()
    assert "could not be written" in caplog.text


def use(size, peak_bytes=None, uuid=A):
    return Use(uuid=uuid, device="cuda:0", bytes=size, peak_bytes=peak_bytes, how=How.REPORT)


@pytest.mark.parametrize(
    ("seen", "most"),
    [
        ([(5, None), (9, None), (2, None)], [5, 9, 9]),
        ([(5, 7), (2, 3)], [7, 7]),
        ([(None, None), (3, None)], [None, 3]),
        ([(0, 0)], [None]),
    ],
)
def test_a_run_remembers_the_most_that_it_held(file, seen, most):
    kept = Peaks(file.parent, "/root")
    assert [kept.see("r", "a.ipynb", (use(*one),))[0].peak_bytes for one in seen] == most


def test_another_run_begins_at_nothing_and_the_file_knows_both(file):
    kept = Peaks(file.parent, "/root")
    kept.see("r1", "d/a.ipynb", (use(9), use(1, uuid=B), use(7, uuid=None)))
    kept.keep({"r2"})
    assert kept.see("r2", "d/a.ipynb", (use(2),))[0].peak_bytes == 2
    assert kept.see("r3", "", (use(3),))[0].peak_bytes == 3
    kept.see("r4", "console-1", (use(4),))
    assert kept.of("d/a.ipynb") == {A: 9, B: 1}
    assert set(json.loads(file.read_text())["notebooks"]) == {"/root/d/a.ipynb"}


async def test_what_is_not_new_is_not_written(file, monkeypatch):
    from jupyter_gpu_ext.server import peaks as service

    monkeypatch.setattr(service, "_SAVE_SECONDS", 0)
    kept = Peaks(file.parent, "/root")
    kept.see("r1", "a.ipynb", (use(9),))
    await kept.save_soon()
    written = file.stat().st_mtime_ns
    kept.see("r1", "a.ipynb", (use(3),))
    await kept.save_soon()
    assert file.stat().st_mtime_ns == written
    kept.see("r1", "a.ipynb", (use(10),))
    await kept.save_soon()
    assert kept.of("a.ipynb") == {A: 10}
