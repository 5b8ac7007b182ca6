"""A log's lines are in storage once and in order, and training never waits for them."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, DeniedError, NotFoundError
from jupyter_gpu_ext.storage import backends, log_append, log_pump, places
from jupyter_gpu_ext.storage.log_append import AppendedLog
from jupyter_gpu_ext.storage.log_parts import part_key, part_number
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.retry import Schedule
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.faults.proxy import Fault, FaultProxy, Message, Rule, fault_proxy
from tests.storage.clouds import s3_fields
from tests.storage.servers import lossy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.storage.clouds import S3Store

URL = "run7://logs/train.log"


@pytest.fixture(params=["azure", "s3", "local", "memory"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The connection run7:// of each kind that can be written to."""
    fields = {
        "azure": lambda: request.getfixturevalue("azure_run"),
        "s3": lambda: s3_fields(request.getfixturevalue("s3_store")),
        "local": lambda: {"root": str(tmp_path / "disk"), "read_only": False},
        "memory": lambda: {"root": f"memory://{tmp_path.name}", "read_only": False},
    }[request.param]()
    (tmp_path / "disk").mkdir()
    write_connections(tmp_path / "connections.toml", run7=fields)
    return str(request.param)


@pytest.fixture
def azure_run(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The connection run7:// on a container of its own; returns its fields."""
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    fields = {**azure_fields(azurite, azurite.new_container().container_name), "read_only": False}
    write_connections(tmp_path / "connections.toml", run7=fields)
    return fields


@contextmanager
def logger(url: str = URL, **options: object) -> Iterator[tuple[logging.Logger, jg.LogSink]]:
    """A logger whose only handler is a sink that writes the bare message."""
    sink, made = jg.LogSink(url, **{"flush_seconds": 0.05, **options}), logging.Logger("train", logging.DEBUG)
    sink.setFormatter(logging.Formatter("%(message)s"))
    made.addHandler(sink)
    try:
        yield made, sink
    finally:
        sink.close()


def text(url: str = URL) -> str:
    async def read() -> bytes:
        return await (await open_reader(url)).read_all()

    return LOOP.run(read()).decode()


def parts() -> list[str]:
    return sorted(entry.key for entry in jg.ls("run7://logs/").page.entries)


@pytest.mark.parametrize("name", ["logs/train.log", "a", "a.00002", "ü//x"])
def test_parts_sort_as_they_were_written(name: str) -> None:
    keys = [part_key(name, number) for number in (1, 2, 9, 10, 99, 100, 99_999)]
    assert keys == sorted(keys)
    assert [part_number(name, key) for key in keys] == [1, 2, 9, 10, 99, 100, 99_999]


@pytest.mark.parametrize("found", ["b", "a.1", "a.00001", "a.000002", "a.00002.x", "xa.00002", "a.-0002", "a.٠٠٠٠٢"])
def test_what_is_no_part(found: str) -> None:
    assert part_number("a", found) == 0


def test_lines_arrive_once_and_in_order(kind: str) -> None:
    with logger() as (log, sink):
        for number in range(300):
            log.info("step %d größe", number)
            if number % 100 == 50:
                sink.flush()
                assert text().splitlines()[-1] == f"step {number} größe"
    assert text().splitlines() == [f"step {number} größe" for number in range(300)]
    assert parts() == ["logs/train.log"]


def test_a_run_that_is_started_again_overwrites_nothing(kind: str) -> None:
    for run in range(3):
        with logger() as (log, _):
            log.info("run %d", run)
    if kind == "azure":
        assert parts() == ["logs/train.log"]
        assert text() == "run 0\nrun 1\nrun 2\n"
    else:
        assert parts() == ["logs/train.log", "logs/train.log.00002", "logs/train.log.00003"]
        assert [text(f"run7://{key}") for key in parts()] == ["run 0\n", "run 1\n", "run 2\n"]


def test_a_part_ends_before_its_limit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_append.AppendedLog.__init__, "__kwdefaults__", {"most_blocks": 3})
    with logger(part_bytes=30) as (log, sink):
        for number in range(10):
            log.info("step %04d", number)
            sink.flush()
    assert len(parts()) == 4
    assert parts() == [part_key("logs/train.log", number) for number in (1, 2, 3, 4)]
    assert "".join(text(f"run7://{key}") for key in parts()).splitlines() == [f"step {one:04d}" for one in range(10)]


def test_somebody_elses_object_stays(kind: str) -> None:
    with jg.open(URL, "wb") as file:
        file.write(b"not a log")
    with logger() as (log, sink):
        log.info("one")
        sink.flush()
        if kind != "azure":
            # Somebody writes over the part of a run that is going on.
            with jg.open(f"{URL}.00002", "wb") as file:
                file.write(b"mine now")
        log.info("two")
    assert text() == "not a log"
    if kind == "azure":
        assert text(f"{URL}.00002") == "one\ntwo\n"
    else:
        assert text(f"{URL}.00002") == "mine now"
        assert text(f"{URL}.00003") == "one\ntwo\n"


def test_a_path_is_a_url_too(tmp_path: Path) -> None:
    with logger(tmp_path / "new" / "train.log") as (log, _):
        log.info("one")
    assert (tmp_path / "new" / "train.log").read_text() == "one\n"


@pytest.mark.parametrize(
    ("url", "options", "error"),
    [
        ("locked://x.log", {}, DeniedError),
        ("none://x.log", {}, NotFoundError),
        ("disk://", {}, BadRequestError),
        ("disk://logs/", {}, BadRequestError),
        ("nonsense", {}, BadRequestError),
        ("az://c/x.log", {}, BadRequestError),
        ("disk://x.log", {"flush_seconds": 0}, BadRequestError),
        ("disk://x.log", {"part_bytes": 0}, BadRequestError),
    ],
)
def test_what_cannot_be_a_log_is_refused_at_once(tmp_path: Path, url: str, options: dict, error: type) -> None:
    disk = {"root": str(tmp_path), "read_only": False}
    write_connections(tmp_path / "connections.toml", disk=disk, locked={"root": str(tmp_path)})
    with pytest.raises(error) as refused:
        jg.LogSink(url, **options)
    assert refused.value.hint
    # The traceback holds the half-made sink; logging must not know it, or it closes it at the next configuration.
    assert not any(isinstance(handler(), jg.LogSink) for handler in logging._handlerList)


@pytest.fixture
def memory(tmp_path: Path) -> None:
    """The connection run7:// in memory."""
    write_connections(tmp_path / "connections.toml", run7={"root": f"memory://{tmp_path}", "read_only": False})


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_records_that_are_hard_to_write(memory: None) -> None:
    with logger() as (log, _):
        log.info("%d of %d", 1)  # noqa: PLE1206 -- it is wrong on purpose
        log.info(Unprintable())
        log.info("lone \ud800 surrogate")
        log.info("AccountKey=%s;", AZURITE_KEY)
        log.info("x" * 300_000)
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            log.exception("oh")
    lines = text().splitlines()
    assert lines[0].startswith("(a record of test_logs.py:")
    assert lines[0].endswith("TypeError) '%d of %d'")
    assert lines[1].endswith("RuntimeError) a Unprintable")
    assert lines[2:4] == ["lone \\ud800 surrogate", "AccountKey=***;"]
    assert lines[4].endswith("x… (300,000 characters, cut)")
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_the_usual_form_and_captured_warnings(memory: None) -> None:
    sink = jg.LogSink(URL)
    log = logging.getLogger("py.warnings")
    log.addHandler(sink)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("careful", UserWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
        log.removeHandler(sink)
        sink.close()
    assert "WARNING py.warnings: " in text()
    assert "UserWarning: careful" in text()
    assert repr(sink) == "<LogSink run7://logs/train.log (NOTSET)>"


def test_the_clients_own_words_do_not_feed_the_log(azure_run: dict[str, object]) -> None:
    root, before = logging.getLogger(), logging.getLogger().level
    sink = jg.LogSink(URL, flush_seconds=0.02)
    root.addHandler(sink)
    root.setLevel(logging.DEBUG)
    try:
        for number in range(3):
            logging.getLogger("train").info("step %d", number)
            sink.flush()
        said = text()
        # Reading the log made the clients speak; what they say is written, and writing it adds nothing.
        sink.flush()
        settled = sink._buffer.put_count
        for _ in range(5):
            sink.flush()
        assert sink._buffer.put_count == settled
    finally:
        root.removeHandler(sink)
        root.setLevel(before)
        sink.close()
    assert [line.rpartition(" ")[2] for line in said.splitlines()] == ["0", "1", "2"]


@contextmanager
def broken(
    azurite: Azurite, fields: dict[str, object], folder: Path, *rules: Rule, **options: object
) -> Iterator[FaultProxy]:
    with fault_proxy(azurite.port, *rules, **options) as wire:
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        write_connections(folder / "connections.toml", run7={**fields, "endpoint": address})
        yield wire
        backends.close_all()
    write_connections(folder / "connections.toml", run7=fields)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience, so that faults get as far as the pump."""
    monkeypatch.setattr(backends, "REMOTE", Schedule(tries=2, first_seconds=0.01))
    monkeypatch.setattr(log_pump, "_PAUSE_SECONDS", 0.01)


def of_append(request: Message) -> bool:
    return request.line.startswith("PUT") and "comp=appendblock" in request.line


FAULTS = (Fault("status", 503), Fault("lost"), Fault("rst"), Fault("status", 500))


@pytest.mark.parametrize("seed", [1, 2])
def test_under_faults_every_line_is_there_once(
    azurite: Azurite, azure_run: dict[str, object], tmp_path: Path, hasty: None, seed: int
) -> None:
    with broken(azurite, azure_run, tmp_path, drawn=FAULTS, rate=0.4, seed=seed) as wire:
        sink = jg.LogSink(URL, flush_seconds=0.01)
        sink.setFormatter(logging.Formatter("%(message)s"))
        for number in range(120):
            sink.handle(logging.makeLogRecord({"msg": f"step {number}"}))
            if number % 4 == 0:
                sink._pump.flush(0.05)
        wire.rate = 0.0
        assert sink._pump.flush(60)
        sink.close()
        assert wire.broken() > 5
    assert text().splitlines() == [f"step {number}" for number in range(120)]
    assert parts() == ["logs/train.log"]


@pytest.mark.parametrize("fault", [Fault("lost"), Fault("status", 503)], ids=lambda one: one.kind)
@pytest.mark.parametrize("times", [1, 2, 7])
def test_a_lost_answer_doubles_nothing(
    azurite: Azurite, azure_run: dict[str, object], tmp_path: Path, hasty: None, fault: Fault, times: int
) -> None:
    with broken(azurite, azure_run, tmp_path) as wire, logger() as (log, sink):
        log.info("before")
        assert sink._pump.flush(30)
        wire.rules.append(Rule(fault, times, of_append))
        log.info("during")
        assert sink._pump.flush(60)
        log.info("after")
        assert sink._pump.flush(30)
        assert wire.broken() == times
    assert text() == "before\nduring\nafter\n"


def test_two_writers_of_one_blob_lose_nothing(azure_run: dict[str, object]) -> None:
    async def both() -> None:
        one, two = (AppendedLog(places.find(URL)) for _ in range(2))
        for number in range(5):
            await one.append(b"one %d\n" % number)
            await two.append(b"two %d\n" % number)

    LOOP.run(both())
    assert sorted(text().splitlines()) == sorted(f"{who} {number}" for who in ("one", "two") for number in range(5))


@pytest.mark.parametrize("method", [b"PUT", b"HEAD"], ids=bytes.decode)
def test_where_nothing_can_be_appended_a_lost_answer_doubles_nothing(
    s3_store: S3Store, tmp_path: Path, hasty: None, method: bytes
) -> None:
    with lossy(s3_store.port) as wire:
        write_connections(tmp_path / "connections.toml", run7=s3_fields(s3_store, wire.port))
        with logger() as (log, sink):
            for number in range(4):
                if number:
                    wire.lose_next(method)
                log.info("step %d", number)
                assert sink._pump.flush(60)
        assert wire.lost.is_set()
        assert text() == "step 0\nstep 1\nstep 2\nstep 3\n"
        assert parts() == ["logs/train.log"]
        backends.close_all()


def test_training_never_waits_for_a_storage_that_stalls(
    azurite: Azurite, azure_run: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with broken(azurite, azure_run, tmp_path, Rule(Fault("stall headers"), when=lambda _: True)) as wire:
        sink = jg.LogSink(URL, flush_seconds=0.01, buffer_characters=10_000)
        record = logging.makeLogRecord({"msg": "x" * 99, "name": "train"})
        sink.handle(record)
        assert wire.stalled.wait(30)
        longest = 0.0
        for _ in range(2000):
            started = time.monotonic()
            sink.handle(record)
            longest = max(longest, time.monotonic() - started)
        # A stalled request ends after 15 s at the earliest; a busy machine takes the processor away for less.
        assert longest < 5
        sink.stop()
        sink.wait(0.1)
        assert "lines of the log run7://logs/train.log were not written" in capfd.readouterr().err


def test_what_storage_misses_for_long_is_counted_in_the_log(
    azurite: Azurite, azure_run: dict[str, object], tmp_path: Path, hasty: None, capfd: pytest.CaptureFixture[str]
) -> None:
    away = Rule(Fault("status", 503), when=lambda _: True)
    with broken(azurite, azure_run, tmp_path, away) as wire, logger(buffer_characters=100) as (log, sink):
        for number in range(30):
            log.info("step %04d", number)
        deadline = time.monotonic() + 30
        while wire.broken() < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        away.times = 0
        assert sink._pump.flush(60)
        log.info("again")
    lines = text().splitlines()
    kept = lines.index(next(line for line in lines if line.startswith("(")))
    assert lines[:kept] == [f"step {number:04d}" for number in range(kept)]
    assert lines[kept:] == [f"(jupyter_gpu_ext: {30 - kept} lines dropped here; storage was away)", "again"]
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1, "one line a minute"
    assert "run7://logs/train.log cannot be written now, its lines wait: " in said[0]


def test_a_forked_child_writes_nothing_and_says_so(azure_run: dict[str, object]) -> None:
    with logger() as (log, sink):
        log.info("parent")
        sink.flush()
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            signal.alarm(20)
            os.dup2(writing, 2)
            sys.stderr = os.fdopen(2, "w")
            try:
                log.info("child")
                log.info("child")
                sink.flush()
                sink.close()
                logging.shutdown()
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        assert os.waitpid(child, 0)[1] == 0
        log.info("parent again")
    assert said.count("a forked process does not write to run7://logs/train.log") == 1
    assert text() == "parent\nparent again\n"


PROGRAM = """
import logging, sys, os
import jupyter_gpu_ext as jg
sink = jg.LogSink(sys.argv[1], flush_seconds=60)
logging.basicConfig(level="INFO", handlers=[sink], format="%(message)s")
logging.info("flushed")
sink.flush()
logging.info("later")
print("ready", flush=True)
sys.stdin.readline()
how = sys.argv[2]
if how == "raise":
    raise SystemExit(3)
"""


@pytest.mark.parametrize(
    ("how", "kept"),
    [("exit", "flushed\nlater\n"), ("raise", "flushed\nlater\n"), ("term", "flushed\n"), ("kill", "flushed\n")],
)
@pytest.mark.parametrize("kind", ["azure", "local"], indirect=True)
def test_the_end_of_the_process(kind: str, how: str, kept: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, URL, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    if how in ("term", "kill"):
        process.send_signal(signal.SIGTERM if how == "term" else signal.SIGKILL)
    process.communicate("\n", timeout=60)
    assert text() == kept


def test_many_threads(memory: None) -> None:
    with logger() as (log, _):
        threads = [
            threading.Thread(target=lambda who=who: [log.info("%d %d", who, number) for number in range(200)])
            for who in range(4)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    lines = [tuple(map(int, line.split())) for line in text().splitlines()]
    assert len(lines) == 800
    for who in range(4):
        assert [number for one, number in lines if one == who] == list(range(200))


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_under_faults_prove(azurite: Azurite, azure_run: dict[str, object], tmp_path: Path, hasty: None) -> None:
    draw = random.Random(9)
    for seed in range(100):
        url = f"run7://logs/{seed}.log"
        drawn = {"drawn": FAULTS, "rate": draw.random() * 0.6, "seed": seed}
        with broken(azurite, azure_run, tmp_path, **drawn) as wire, logger(url, flush_seconds=0.01) as (log, sink):
            for number in range(100):
                log.info("step %d", number)
                if draw.random() < 0.2:
                    sink._pump.flush(0.02)
            wire.rate = 0.0
            assert sink._pump.flush(60)
        assert text(url).splitlines() == [f"step {number}" for number in range(100)]
