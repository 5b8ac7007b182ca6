"""What goes wrong between here and the account: each is one error of the family, with a cure and without a secret."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import os
import weakref
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext import errors
from jupyter_gpu_ext.storage.connections import Connection
from jupyter_gpu_ext.storage.faults import BrokenOffError, fault, translated
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.statuses import from_status
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, azure_fields, free_port, write_connections
from tests.storage.servers import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Store

WRONG_KEY = base64.b64encode(b"w" * 64).decode()
HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def assert_told(error: errors.GpuExtError, code: str) -> None:
    """One line, with a cure, no trace of a client's own text."""
    shown = str(error)
    assert error.code == code, shown
    assert error.message
    assert error.hint
    for part in ("Traceback", "\n", "Debug source", "<?xml", "<html", AZURITE_KEY[:20], WRONG_KEY[:20]):
        assert part not in shown
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


@contextlib.contextmanager
def changed(fields: dict[str, object], what: str) -> Iterator[dict[str, object]]:
    """Break a working connection in one way."""
    match what:
        case "missing blob":
            yield fields
        case "missing container":
            yield {**fields, "root": "az://no-such-container"}
        case "wrong key":
            os.environ[KEY_VARIABLE] = WRONG_KEY
            yield fields
        case "anonymous":
            yield {**fields, "credential": "anonymous"}
        case "nobody listens":
            yield {**fields, "endpoint": f"http://127.0.0.1:{free_port()}/devstoreaccount1"}
        case "no such host":
            yield {**fields, "endpoint": "http://no-such-host.invalid/devstoreaccount1"}
        case "tls on a plain port":
            yield {**fields, "endpoint": str(fields["endpoint"]).replace("http:", "https:")}
        case _:
            status = int(what.split(maxsplit=1)[0])
            with endpoint(200, HTML) as elsewhere:
                headers = {"Location": f"{elsewhere}/x"} if 300 <= status < 400 else None
                with endpoint(status, HTML, headers) as address:
                    yield {**fields, "endpoint": address}


# What is broken, and the codes of opening an object and of listing a folder.
BROKEN = [
    ("missing blob", "not_found", None),
    ("missing container", "not_found", "not_found"),
    ("wrong key", "denied", "denied"),
    ("anonymous", ("denied", "not_found"), ("denied", "not_found")),
    ("nobody listens", "unreachable", "unreachable"),
    pytest.param("no such host", "unreachable", "unreachable", marks=pytest.mark.prove),
    pytest.param("tls on a plain port", "unreachable", "unreachable", marks=pytest.mark.prove),
    ("200 with a web page", "bad_storage_reply", "bad_storage_reply"),
    ("404 with a web page", "not_found", "not_found"),
    ("403 with a web page", "denied", "denied"),
    ("400 with a web page", "bad_storage_reply", "bad_storage_reply"),
    ("301 to another host", "bad_storage_reply", "bad_storage_reply"),
]


@pytest.mark.parametrize(("what", "opening", "listing"), BROKEN)
def test_broken_connection(
    azurite: Azurite, azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    what: str, opening: str | tuple[str, ...], listing: str | tuple[str, ...] | None,
) -> None:  # fmt: skip
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    fields = azure_fields(azurite, azure_store.container.container_name)
    with changed(fields, what) as broken:
        write_connections(tmp_path / "connections.toml", weights=broken)
        with pytest.raises(errors.GpuExtError) as caught:
            LOOP.run(open_reader("weights://none.pt"))
        assert caught.value.code in ((opening,) if isinstance(opening, str) else opening), str(caught.value)
        assert_told(caught.value, caught.value.code)
        if listing is not None:
            with pytest.raises(errors.GpuExtError) as caught:
                jg.ls("weights://")
            assert caught.value.code in ((listing,) if isinstance(listing, str) else listing), str(caught.value)
            assert_told(caught.value, caught.value.code)


def test_missing_container_is_named(azure_store: Store, azurite: Azurite, tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", weights=azure_fields(azurite, "no-such-container"))
    with pytest.raises(errors.NotFoundError, match="'no-such-container'"):
        jg.load("weights://x.pt")


STATUSES = [
    (404, "", "not_found"),
    (404, "ContainerNotFound", "not_found"),
    (409, "BlobArchived", "archived"),
    (409, "SomethingElse", "bad_storage_reply"),
    (401, "", "denied"),
    (403, "AuthenticationFailed", "denied"),
    (403, "ExpiredToken", "expired"),
    (412, "ConditionNotMet", "object_changed"),
    (416, "InvalidRange", "range"),
    (429, "", "throttled"),
    (503, "ServerBusy", "throttled"),
    (408, "", "storage_timeout"),
    (504, "", "storage_timeout"),
    (500, "InternalError", "bad_storage_reply"),
    (301, "", "bad_storage_reply"),
]
WEIGHTS = Connection(name="weights", root="az://models", account="mystorage", credential="account-key")


@pytest.mark.parametrize(("status", "code", "expected"), STATUSES)
def test_status_table(status: int, code: str, expected: str) -> None:
    error = from_status(WEIGHTS, "x\ny", status, code)
    assert_told(error, expected)


class NamedLikeAClientsError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), "storage_timeout"),
        (OSError("Connection refused"), "unreachable"),
        (FileNotFoundError(), "not_found"),
        (NamedLikeAClientsError("operation timed out"), "storage_timeout"),
        (NamedLikeAClientsError("error sending request for url (http://h/?sig=abc)"), "unreachable"),
        (NamedLikeAClientsError(f"AccountKey={AZURITE_KEY}"), "bad_storage_reply"),
        (ValueError("<html>"), "bad_storage_reply"),
    ],
)
def test_clients_own_text_is_not_passed_on(error: Exception, expected: str) -> None:
    told = fault(WEIGHTS, "x", error)
    assert_told(told, expected)
    assert "sig" not in str(told)


def test_cancelling_is_no_fault() -> None:
    with pytest.raises(asyncio.CancelledError), translated(WEIGHTS, "x"):
        raise asyncio.CancelledError


def test_a_client_that_keeps_its_last_exception_keeps_no_buffer():
    last: list[BaseException] = []

    def read(out: Buffer) -> None:
        with translated(WEIGHTS, "x"):
            try:
                raise ConnectionError("cut")
            except ConnectionError as error:
                last.append(error)
                raise BrokenOffError(len(out)) from error

    out = Buffer(b"12")
    alive = weakref.ref(out)
    with pytest.raises(errors.GpuExtError):
        read(out)
    del out
    gc.collect()
    assert last
    assert alive() is None


class Buffer(bytearray):
    """One that can be asked for."""
