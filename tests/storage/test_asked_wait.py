"""Retry-After: every client that shows it is listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.errors import ThrottledError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.storage.retry import Tally
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.faults.proxy import Fault, Rule, fault_proxy
from tests.storage.clouds import gcs_fields, s3_fields

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import WritableBackend
    from tests.storage.clouds import GCSStore, S3Store

BUSY = Fault("status", 503, (("Retry-After", "7"),))
VERSION = Version(10, '"1"')

# obstore, which reads the bytes of az and s3, hides the answer's headers.
ASKED = [
    ("az", "list"), ("az", "head"), ("az", "begin"),
    ("s3", "list"), ("s3", "head"), ("s3", "begin"),
    ("gs", "list"), ("gs", "head"), ("gs", "read"),
    ("http", "head"), ("http", "read"),
]  # fmt: skip


async def ask(inner: WritableBackend, what: str) -> None:
    """Ask once: the backend itself does not try again."""
    match what:
        case "list":
            await inner.list_page("", marker=None, limit=5)
        case "head":
            await inner.head("x.bin")
        case "begin":
            await inner.begin("x.bin", overwrite=True, size_bytes=9 << 20)
        case _:
            await inner.read_into("x.bin", VERSION, 0, memoryview(bytearray(5)))


@pytest.mark.parametrize(("kind", "what"), ASKED)
def test_what_the_service_asks_for_is_known(
    azurite: Azurite, s3_store: S3Store, gcs_store: GCSStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    kind: str, what: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    with fault_proxy(9, Rule(BUSY, when=lambda _: True)) as wire:
        address = f"http://127.0.0.1:{wire.port}"
        fields = {
            "az": {**azure_fields(azurite, "models"), "endpoint": f"{address}/devstoreaccount1"},
            "s3": {**s3_fields(s3_store), "endpoint": address},
            "gs": {**gcs_fields(gcs_store), "endpoint": address},
            "http": {"root": address},
        }[kind]
        write_connections(tmp_path / "connections.toml", busy=fields)
        inner = backend(connections.load().find("busy")).inner
        with pytest.raises(ThrottledError) as refused:
            LOOP.run(ask(inner, what))
    assert refused.value.retry_after_seconds == 7
    assert len(wire.log) == 1, "the client's own retries are off"


def test_the_wait_that_was_asked_for_is_kept(s3_store: S3Store, tmp_path: Path) -> None:
    s3_store.put("x.bin", b"abc")
    with fault_proxy(s3_store.port, Rule(Fault("status", 503, (("Retry-After", "1"),)), times=1)) as wire:
        write_connections(tmp_path / "connections.toml", bucket=s3_fields(s3_store, wire.port))
        steady = backend(connections.load().find("bucket"))
        tally = Tally()
        page = LOOP.run(steady.patiently(lambda: steady.inner.list_page("", marker=None, limit=5), tally))
        assert [one.key for one in page.entries] == ["x.bin"]
        assert tally.retries == 1
        assert tally.waited_seconds >= 1
