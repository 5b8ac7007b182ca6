"""Emulators that only this room needs, one a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, azure_fields, running_azurite, write_connections
from tests.storage import tls
from tests.storage.clouds import S3_KEYS, gcs_fields, new_bucket, new_gcs_bucket, running_gcs, running_moto, s3_fields
from tests.storage.identities import TokenService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Azurite
    from tests.storage.clouds import GCSStore, S3Store


@pytest.fixture(scope="session")
def moto() -> Iterator[int]:
    """One moto server a run; its port."""
    with running_moto() as port:
        yield port


@pytest.fixture
def s3_store(moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """The connection `bucket://` on a bucket of its own in moto."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("TEST_S3_KEYS", ":".join(S3_KEYS))
    store = new_bucket("bucket", moto)
    write_connections(tmp_path / "connections.toml", bucket=s3_fields(store))
    return store


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[int]:
    """One Google emulator a run; its port."""
    with running_gcs() as port:
        yield port


@pytest.fixture
def gcs_store(fake_gcs: int, tmp_path: Path) -> GCSStore:
    """The connection `google://` on a bucket of its own in the emulator."""
    store = new_gcs_bucket("google", fake_gcs)
    write_connections(tmp_path / "connections.toml", google=gcs_fields(store))
    return store


@pytest.fixture
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict]:
    """Connections disk:// and mem://, both empty, and locked://, which is disk:// for reading; returns their fields."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk").mkdir()
    fields = {
        "disk": {"root": str(tmp_path / "disk"), "read_only": False},
        "mem": {"root": f"memory://{tmp_path.name}", "read_only": False},
        "locked": {"root": str(tmp_path / "disk")},
    }
    write_connections(tmp_path / "connections.toml", **fields)
    return fields


@pytest.fixture
def stores(
    light: dict[str, dict], azurite: Azurite, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict]:
    """These and blobs:// and bucket://; returns their fields."""
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    blobs = {**azure_fields(azurite, azurite.new_container().container_name), "read_only": False}
    fields = {**light, "blobs": blobs, "bucket": s3_fields(s3_store)}
    write_connections(tmp_path / "connections.toml", **fields)
    return fields


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tls.Certificates:
    """An authority that nobody knows, and the certificate that it gave 127.0.0.1."""
    return tls.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def certificate(certificates: tls.Certificates) -> Path:
    """The authority's own certificate: what a client must be told to trust."""
    return certificates.authority


@pytest.fixture(scope="session")
def guarded(certificates: tls.Certificates) -> Iterator[Azurite]:
    """An Azurite that takes tokens, over TLS."""
    shown = ["--cert", str(certificates.server), "--key", str(certificates.key)]
    with running_azurite("--oauth", "basic", *shown) as running:
        yield running


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenService]:
    running = TokenService()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{running.server.server_port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "h")
    yield running
    running.server.shutdown()
    running.server.server_close()
