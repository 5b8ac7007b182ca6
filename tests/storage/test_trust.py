"""A private authority's certificates and a proxy: every kind of connection, listing and bytes alike."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext import errors
from jupyter_gpu_ext.storage import trust
from jupyter_gpu_ext.storage.backends import close_all
from jupyter_gpu_ext.storage.connections import Connection
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, azure_fields, free_port, write_connections
from tests.faults.proxy import fault_proxy
from tests.storage.clouds import gcs_fields, new_bucket, new_gcs_bucket, s3_fields
from tests.storage.servers import endpoint
from tests.storage.tls import HOST
from tests.storage.tunnel import tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Azurite
    from tests.storage.tls import Certificates

DATA = b"0123456789"
KINDS = ("az", "s3", "gs", "http")
VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def own_network(s3_store: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of this machine's network counts, and no client outlives the test."""
    for name in (*VARIABLES, *PROXIES, *(name.lower() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    yield
    close_all()


class Service:
    """A service behind TLS, with one object x.bin."""

    def __init__(self, kind: str, write: Callable[..., None], port: int, fields: dict[str, object]) -> None:
        self.kind = kind
        self.port = port
        self._write = write
        self._fields = fields

    def connect(self, host: str = "127.0.0.1", **more: object) -> None:
        """Write the connection `secure://`, by another host where one is given."""
        close_all()
        address = f"https://{host}:{self.port}"
        place = {"http": {"root": address}, "az": {"endpoint": f"{address}/{AZURITE_ACCOUNT}"}}
        self._write(secure={**self._fields, **place.get(self.kind, {"endpoint": address}), **more})

    def list(self) -> None:
        if self.kind != "http":
            assert [one.key for one in jg.ls("secure://").page.entries] == ["x.bin"]

    def read(self) -> None:
        assert LOOP.run(open_reader("secure://x.bin")).head == DATA


@pytest.fixture(params=KINDS)
def service(
    request: pytest.FixtureRequest, azurite: Azurite, moto: int, fake_gcs: int, certificates: Certificates,
    tmp_path: Path,
) -> Iterator[Service]:  # fmt: skip
    def write(**connections: dict[str, object]) -> None:
        write_connections(tmp_path / "connections.toml", **connections)

    fields: dict[str, object] = {}
    with endpoint(200, DATA, {"ETag": '"1"', "Content-Range": "bytes 0-9/10"}) as plain:
        match request.param:
            case "az":
                made = azurite.new_container()
                made.upload_blob("x.bin", DATA)
                port, fields = azurite.port, azure_fields(azurite, made.container_name)
            case "s3":
                bucket = new_bucket("b", moto)
                bucket.put("x.bin", DATA)
                port, fields = moto, s3_fields(bucket)
            case "gs":
                google = new_gcs_bucket("g", fake_gcs)
                google.put("x.bin", DATA)
                port, fields = fake_gcs, gcs_fields(google)
            case _:
                port = int(plain.rpartition(":")[2])
        # Emulators take the host's name for an account's or a bucket's.
        with fault_proxy(port, front=certificates.front(), host=f"127.0.0.1:{port}") as wire:
            yield Service(request.param, write, wire.port, fields)


@pytest.mark.parametrize("by", ["ca_file", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificates_count_for_listing_and_bytes(
    service: Service, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    place = str(certificates.authority)
    if by == "ca_file":
        # What a connection says counts more than what the machine says.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", os.devnull)
        service.connect(ca_file=place)
    else:
        monkeypatch.setenv(by, place)
        service.connect()
    service.list()
    service.read()


def test_without_them_there_is_one_clear_error_at_once(service: Service) -> None:
    service.connect()
    for ask in (service.list, service.read)[service.kind == "http" :]:
        started = time.monotonic()
        with pytest.raises(errors.UntrustedError, match="a certificate that is not trusted here") as refused:
            ask()
        assert "ca_file" in refused.value.hint
        assert refused.value.code == "unreachable"
        assert time.monotonic() - started < 30


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), (b"no certificate", "holds no certificates")])
def test_certificates_that_are_none(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes | None, said: str
) -> None:
    place = tmp_path / "ca.pem"
    if text is not None:
        place.write_bytes(text)
    for more in ({"ca_file": str(place)}, {}):
        monkeypatch.setenv("SSL_CERT_FILE", str(place))
        service.connect(**more)
        for ask in (service.list, service.read)[service.kind == "http" :]:
            with pytest.raises(errors.NoCredentialError, match=said) as refused:
                ask()
            assert ("ca_file" if more else "SSL_CERT_FILE") in refused.value.hint


def test_a_proxy_carries_listing_and_bytes(
    service: Service, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tunnel(HOST) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        service.connect(HOST, ca_file=str(certificates.authority))
        for ask in (service.list, service.read)[service.kind == "http" :]:
            # No connection of the step before is left over.
            close_all()
            proxy.joined.clear()
            ask()
            assert set(proxy.joined) == {f"{HOST}:{service.port}"}


def test_what_no_proxy_names_is_asked_directly(
    service: Service, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
    service.connect(ca_file=str(certificates.authority))
    service.list()
    service.read()


def test_the_connection_comes_before_the_environment(certificates: Certificates, tmp_path: Path) -> None:
    one, other = certificates.authority, tmp_path / "other.pem"
    other.write_bytes(one.read_bytes())
    said = {"REQUESTS_CA_BUNDLE": str(one), "SSL_CERT_FILE": str(other), "AWS_CA_BUNDLE": str(other)}
    connection = Connection(name="n", root="az://c")
    assert trust.certificates(connection, {}) is None
    assert trust.certificates(connection, said) == one
    assert trust.certificates(Connection(name="n", root="s3://b"), said) == other
    assert trust.certificates(Connection(name="n", root="s3://b", ca_file=str(one)), said) == one
