"""Connections of each kind that can be written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.storage.clouds import S3_KEYS, new_bucket, running_moto, s3_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    """One moto server a run."""
    with running_moto() as port:
        yield port


@pytest.fixture
def azure_out(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The connection `out://` on a container of its own in Azurite, and its fields."""
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    fields = {**azure_fields(azurite, azurite.new_container().container_name), "read_only": False}
    write_connections(tmp_path / "connections.toml", out=fields)
    return fields


@pytest.fixture
def local_out(tmp_path: Path) -> Path:
    """The connection `out://` on a folder, and the folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    write_connections(tmp_path / "connections.toml", out={"root": str(folder), "read_only": False})
    return folder


@pytest.fixture
def s3_out(moto_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection `out://` on a bucket of its own in moto."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("TEST_S3_KEYS", ":".join(S3_KEYS))
    write_connections(tmp_path / "connections.toml", out=s3_fields(new_bucket("out", moto_port)))


@pytest.fixture(params=["local", "azure", "s3"])
def out(request: pytest.FixtureRequest) -> str:
    """The connection `out://` of each kind in turn; its kind."""
    request.getfixturevalue(f"{request.param}_out")
    return str(request.param)
