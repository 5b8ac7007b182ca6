"""What storage may do to a reader: the right bytes, or one typed error; never two versions in one buffer."""

from __future__ import annotations

import hashlib
import random
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError, ObjectChangedError
from jupyter_gpu_ext.storage import backends, fill
from jupyter_gpu_ext.storage.backends import close_all
from jupyter_gpu_ext.storage.limiter import limiter_of
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.retry import Schedule
from tests.conftest import AZURITE_ACCOUNT, Azurite, azure_fields, write_connections
from tests.faults.proxy import Fault, FaultProxy, Message, Rule, fault_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Store

SIZE = 3 << 20
DATA = random.Random(7).randbytes(SIZE)
RANGE = (100_000, 2_900_000)
CANARY = "http://127.0.0.1:9/elsewhere"
GONE = '"0x0000000000000BAD"'


@pytest.fixture(autouse=True)
def fresh_clients() -> Iterator[None]:
    """No pooled socket and no throttled account is handed on to the next test."""
    yield
    close_all()
    limiter_of(AZURITE_ACCOUNT).__init__(AZURITE_ACCOUNT)  # type: ignore[misc]


@contextmanager
def broken(azurite: Azurite, store: Store, folder: Path, *rules: Rule, **options: object) -> Iterator[FaultProxy]:
    """Put a fault proxy between the connection `weights://` and the emulator."""
    with fault_proxy(azurite.port, *rules, **options) as wire:
        fields = azure_fields(azurite, store.container.container_name)
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        write_connections(folder / "connections.toml", weights={**fields, "endpoint": address})
        yield wire


def ranged(request: Message) -> bool:
    """Return whether a request is for a range behind the head."""
    asked = request.header("Range") or request.header("x-ms-range")
    return asked != "" and not asked.startswith("bytes=0-")


def of_list(request: Message) -> bool:
    return "comp=list" in request.line


def soon(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


# The fault, how often it comes, and the error's code: None where the right bytes come all the same.
READS = [
    (Fault("status", 503, (("Retry-After", "1"),)), 2, None),
    (Fault("status", 503), 2, None),
    (Fault("status", 429), 2, None),
    (Fault("status", 500), 5, None),
    (Fault("status", 408), 1, None),
    (Fault("status", 503), 99, "throttled"),
    (Fault("status", 429), 99, "throttled"),
    (Fault("status", 500), 99, "bad_storage_reply"),
    (Fault("status", 502), 99, "bad_storage_reply"),
    (Fault("status", 504), 99, "storage_timeout"),
    (Fault("status", 401), 99, "denied"),
    (Fault("status", 403), 99, "denied"),
    (Fault("status", 404), 99, "not_found"),
    (Fault("status", 409), 99, "bad_storage_reply"),
    (Fault("status", 412), 99, "object_changed"),
    (Fault("status", 416), 99, "range"),
    (Fault("fin"), 5, None),
    (Fault("rst"), 5, None),
    (Fault("fin"), 99, "bad_storage_reply"),
    (Fault("lost"), 2, None),
    (Fault("lost"), 99, ("bad_storage_reply", "unreachable")),
    (Fault("short"), 2, None),
    (Fault("short"), 99, "bad_storage_reply"),
    (Fault("long", 100_000), 99, "bad_storage_reply"),
    (Fault("whole"), 99, "bad_storage_reply"),
    (Fault("page"), 99, "bad_storage_reply"),
    (Fault("header", ("Content-Range", f"bytes 0-99/{SIZE}")), 99, "bad_storage_reply"),
    (Fault("header", ("Content-Range", "nonsense")), 99, "bad_storage_reply"),
    (Fault("header", ("ETag", GONE)), 99, "object_changed"),
    (Fault("redirect", CANARY), 99, ("bad_storage_reply", "unreachable")),
]  # fmt: skip


@pytest.mark.parametrize("key", ["x", "a//x"], ids=["by ranges client", "by the SDK"])
@pytest.mark.parametrize(
    ("fault", "times", "code"), READS, ids=[f"{row[0].kind} {row[0].value or ''} x{row[1]}" for row in READS]
)
def test_read(
    azurite: Azurite, azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    key: str, fault: Fault, times: int, code: str | tuple[str, ...] | None,
) -> None:  # fmt: skip
    if key != "x" and fault.kind in ("fin", "rst") and times > 2:
        pytest.skip("the SDK tries a cut body three times, with a second between, for each of our tries")
    monkeypatch.setattr(backends, "REMOTE", Schedule(first_seconds=0.02))
    azure_store.put(key, DATA)
    with broken(azurite, azure_store, tmp_path, Rule(fault, times, ranged)) as wire:
        reader = LOOP.run(open_reader(f"weights://{key}"))
        if code is None:
            assert LOOP.run(reader.read(*RANGE)) == DATA[slice(*RANGE)]
            assert wire.broken() == times
        else:
            with pytest.raises(GpuExtError) as caught:
                LOOP.run(reader.read(*RANGE))
            assert caught.value.code in ((code,) if isinstance(code, str) else code), str(caught.value)
            assert caught.value.hint
            assert wire.broken() <= (6 if key == "x" else 18)
        assert reader.tally.retries <= 5
        assert reader.requests <= len(wire.log) + 1


def test_a_cut_body_is_not_read_twice(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    azure_store.put("x", DATA)
    with broken(azurite, azure_store, tmp_path, Rule(Fault("fin"), 3, ranged)) as wire:
        reader = LOOP.run(open_reader("weights://x"))
        assert LOOP.run(reader.read(*RANGE)) == DATA[slice(*RANGE)]
    assert reader.tally.retries == 3
    assert len(wire.log) == 5


RETRY_AFTER = [("1", 1.0), (lambda: soon(2), 1.0), ("-5", 0.0), ("1e9", 0.0), ("soon", 0.0), ("", 0.0)]


@pytest.mark.parametrize(("text", "least"), RETRY_AFTER, ids=["seconds", "date", "negative", "power", "text", "empty"])
def test_retry_after_is_honoured_where_the_client_shows_it(
    azurite: Azurite, azure_store: Store, tmp_path: Path, text: object, least: float
) -> None:
    azure_store.put("x", b"1")
    asked = text() if callable(text) else text
    rule = Rule(Fault("status", 503, (("Retry-After", str(asked)),)), 1)
    with broken(azurite, azure_store, tmp_path, rule) as wire:
        started = time.monotonic()
        assert len(jg.ls("weights://").page.entries) == 1
        assert time.monotonic() - started >= least - 0.05
        assert len(wire.log) == 2


def test_throttling_slows_the_account_and_says_so(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    azure_store.put("x", DATA)
    with broken(azurite, azure_store, tmp_path, Rule(Fault("status", 503), 2, ranged)):
        reader = LOOP.run(open_reader("weights://x"))
        assert reader.notice == ""
        LOOP.run(reader.read(*RANGE))
    assert limiter_of(AZURITE_ACCOUNT).throttled_count == 2
    assert reader.notice.startswith(f"{AZURITE_ACCOUNT} is throttling (2 refusals in 30 s); slowed to ")
    assert reader.tally.waited_seconds <= 3


@pytest.mark.parametrize("key", ["x", "a//x"], ids=["by ranges client", "by the SDK"])
@pytest.mark.parametrize("kind", ["stall headers", "stall body"])
def test_a_stall_ends_and_is_resumed(
    azurite: Azurite, azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, key: str
) -> None:
    monkeypatch.setattr("jupyter_gpu_ext.storage.object_ranges.STALL_SECONDS", 1)
    azure_store.put(key, DATA)
    with broken(azurite, azure_store, tmp_path, Rule(Fault(kind), 1, ranged)) as wire:
        reader = LOOP.run(open_reader(f"weights://{key}"))
        assert LOOP.run(reader.read(*RANGE)) == DATA[slice(*RANGE)]
        assert wire.broken() == 1


def test_a_trickle_is_a_fault(
    azurite: Azurite, azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill, "CHUNK_SECONDS", 0.5)
    azure_store.put("x", DATA)
    with broken(azurite, azure_store, tmp_path, Rule(Fault("trickle", 100), 2, ranged)) as wire:
        reader = LOOP.run(open_reader("weights://x"))
        assert LOOP.run(reader.read(*RANGE)) == DATA[slice(*RANGE)]
        assert wire.broken() == 2


@pytest.mark.parametrize("kind", ["stall headers", "stall body", "503"])
def test_cancel_within_a_second(azurite: Azurite, azure_store: Store, tmp_path: Path, kind: str) -> None:
    azure_store.put("x", DATA)
    fault = Fault("status", 503, (("Retry-After", "25"),)) if kind == "503" else Fault(kind)
    with broken(azurite, azure_store, tmp_path, Rule(fault)) as wire:
        sent: list[float] = []

        def interrupt() -> None:
            deadline = time.monotonic() + 10
            while not wire.broken() and time.monotonic() < deadline:
                time.sleep(0.01)
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            LOOP.run(open_reader("weights://x")) if kind != "503" else jg.ls("weights://")
        assert time.monotonic() - sent[0] < 1


LISTS = [
    (Fault("page"), "bad_storage_reply"),
    (Fault("bomb"), "bad_storage_reply"),
    (Fault("cut xml"), "bad_storage_reply"),
    (Fault("redirect", CANARY), "bad_storage_reply"),
    (Fault("status", 503), "throttled"),
    (Fault("fin"), "bad_storage_reply"),
    (Fault("lost"), ("bad_storage_reply", "unreachable")),
]


@pytest.mark.parametrize(("fault", "code"), LISTS, ids=[row[0].kind for row in LISTS])
def test_list(azurite: Azurite, azure_store: Store, tmp_path: Path, fault: Fault, code: str | tuple[str, ...]) -> None:
    azure_store.put("x", b"1")
    with broken(azurite, azure_store, tmp_path, Rule(fault, when=of_list)) as wire:
        with pytest.raises(GpuExtError) as caught:
            jg.ls("weights://")
        assert caught.value.code in ((code,) if isinstance(code, str) else code), str(caught.value)
        # The SDK's transport sends a question again on its own when the connection closes without a word.
        assert len(wire.log) <= (12 if fault.kind == "lost" else 6)


def test_a_repeated_marker_ends(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    for index in range(3):
        azure_store.put(f"{index}", b"1")
    with broken(azurite, azure_store, tmp_path, Rule(Fault("marker"), when=of_list)) as wire:
        from jupyter_gpu_ext.storage import connections
        from jupyter_gpu_ext.storage.listing import list_page

        one, token, pages = connections.load().find("weights"), None, 0
        while pages < 5:
            page = LOOP.run(list_page(one, "", token=token, limit=1))
            pages, token = pages + 1, page.next_token
            if token is None:
                break
        assert pages <= 2
        assert len(wire.log) <= 2


def versions_are_never_mixed(azurite: Azurite, store: Store, folder: Path, trials: int, seed: int) -> None:
    draw = random.Random(seed)
    with broken(
        azurite, store, folder, drawn=(Fault("fin"), Fault("status", 503), Fault("short")), rate=0.2, seed=seed
    ) as wire:
        ends = {"whole": 0, "changed": 0, "failed": 0}
        for trial in range(trials):
            versions = [bytes([fill_byte]) * 400_000 for fill_byte in (2 * trial % 256, (2 * trial + 1) % 256)]
            store.put("x", versions[0])
            try:
                reader = LOOP.run(open_reader("weights://x"))
                parts = [reader.head]
                for start in range(len(reader.head), 400_000, 110_000):
                    if draw.random() < 0.25:
                        store.put("x", versions[1])
                    parts.append(LOOP.run(reader.read(start, min(start + 110_000, 400_000))))
            except ObjectChangedError as error:
                told = str(error)
                assert reader.version.etag in told
                assert told.count('"0x') == 2
                ends["changed"] += 1
            except GpuExtError as error:
                # Six faults in a row: seldom, and one typed error.
                assert error.code in ("throttled", "bad_storage_reply")  # noqa: PT017
                ends["failed"] += 1
            else:
                assert hashlib.sha256(b"".join(parts)).digest() == hashlib.sha256(versions[0]).digest()
                ends["whole"] += 1
        assert ends["changed"]
        assert ends["failed"] <= trials / 50
        assert wire.broken()


def test_versions_are_never_mixed(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    versions_are_never_mixed(azurite, azure_store, tmp_path, trials=12, seed=1)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_versions_are_never_mixed_1000(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    versions_are_never_mixed(azurite, azure_store, tmp_path, trials=1000, seed=2)


def flips_are_caught(azurite: Azurite, store: Store, folder: Path, trials: int) -> None:
    store.put("x", DATA[:300_000])
    with broken(azurite, store, folder, Rule(Fault("flip"), when=lambda request: "GET" in request.line), seed=3):
        for _ in range(trials):
            with pytest.raises(GpuExtError, match="does not match the checksum") as caught:
                LOOP.run(_whole())
            assert caught.value.code == "bad_storage_reply"


async def _whole() -> bytes:
    return await (await open_reader("weights://x")).read_all()


def test_a_flipped_bit_is_caught(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    flips_are_caught(azurite, azure_store, tmp_path, 10)


@pytest.mark.prove
def test_200_flipped_bits_are_caught(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    flips_are_caught(azurite, azure_store, tmp_path, 200)


@pytest.mark.parametrize("size", [0, 1, 64 << 10, (64 << 10) + 1, SIZE])
def test_read_all(azurite: Azurite, azure_store: Store, tmp_path: Path, size: int) -> None:
    azure_store.put("x", DATA[:size])
    assert LOOP.run(_whole()) == DATA[:size]
