"""Page tokens cannot be made up, moved or kept, and every limit is checked."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import connections, listing
from jupyter_gpu_ext.storage.listing import list_page
from jupyter_gpu_ext.storage.loop import LOOP
from tests.conftest import write_connections

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store


@pytest.fixture
def folder(local_store: Store) -> connections.Connection:
    for name in "abc":
        local_store.put(name, b"x")
    return connections.load().find("disk")


def next_token(connection: connections.Connection) -> str:
    token = LOOP.run(list_page(connection, "", limit=1)).next_token
    assert token is not None
    return token


def forged(token: str) -> dict[str, str]:
    raw = base64.urlsafe_b64decode(token)
    return {
        "empty": "",
        "no base64": "!!!",
        "no ascii": "ü" * 40,
        "lone surrogate": "\ud800",
        "short": token[:20],
        "cut": token[:-8],
        "signature": base64.urlsafe_b64encode(bytes([raw[0] ^ 1]) + raw[1:]).decode(),
        "body": base64.urlsafe_b64encode(raw.replace(b'"a"', b'"b"')).decode(),
        "unsigned": base64.urlsafe_b64encode(raw[32:]).decode(),
        "null signature": base64.urlsafe_b64encode(bytes(32) + raw[32:]).decode(),
        "provider's own": "a",
        "long": "A" * 100_000,
    }


@pytest.mark.parametrize("kind", forged(base64.urlsafe_b64encode(bytes(32) + b'["d", "", "a", 0]').decode()))
def test_forged_token(folder: connections.Connection, kind: str) -> None:
    with pytest.raises(BadRequestError, match="token") as caught:
        LOOP.run(list_page(folder, "", token=forged(next_token(folder))[kind]))
    assert caught.value.hint


def test_token_of_another_connection(folder: connections.Connection, tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", other={"root": folder.root})
    with pytest.raises(BadRequestError, match="token"):
        LOOP.run(list_page(connections.load().find("other"), "", token=next_token(folder)))


def test_expired_token(folder: connections.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    token = next_token(folder)
    assert LOOP.run(list_page(folder, "", token=token)).entries[0].key == "b"
    now = listing.time.time()
    monkeypatch.setattr(listing.time, "time", lambda: now + 3601)
    with pytest.raises(BadRequestError, match="token"):
        LOOP.run(list_page(folder, "", token=token))


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**9])
def test_limit(folder: connections.Connection, limit: int) -> None:
    with pytest.raises(BadRequestError, match="limit"):
        jg.ls("disk://", limit=limit)


def test_more_is_announced(folder: connections.Connection) -> None:
    assert "2 shown, more exist" in str(jg.ls("disk://", limit=2))
    assert "more exist" not in str(jg.ls("disk://", limit=3))
    assert jg.ls("disk://", limit=2).to_json()["next_token"]
