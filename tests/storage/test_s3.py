"""S3, against moto; what moto does not check is asserted on the wire and said so."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    ArchivedError,
    ExistsError,
    NoCredentialError,
    NotFoundError,
    NotInstalledError,
    UnreachableError,
)
from jupyter_gpu_ext.storage import blocks, connections, s3_writing
from jupyter_gpu_ext.storage.backends import backend, writable
from jupyter_gpu_ext.storage.listing import list_page
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import free_port, write_connections
from tests.contracts.storage_backend import ODD_NAMES, StorageBackendSuite
from tests.contracts.storage_writing import StorageWritingSuite
from tests.storage.clouds import S3_KEYS, s3_fields
from tests.storage.servers import lossy, recorder

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import WritableBackend
    from tests.storage.clouds import S3Store

# Unproven here: a line break; moto itself answers 404 to it.
HOSTILE = ("a//b", "dir/", "c///", "x/.../y", "trailing.", "back\\slash", "\u202eexe.txt", "\u00e9", "tab\t")


class TestS3Backend(StorageBackendSuite):
    has_twins = True
    odd_names = (*ODD_NAMES, *HOSTILE)

    @pytest.fixture
    def store(self, s3_store: S3Store) -> S3Store:
        return s3_store

    @pytest.mark.parametrize("key", ["/lead", "./y", "../x", "a/../b", "//two"])
    def test_names_that_would_become_others(self, store: S3Store, opened: WritableBackend, key: str) -> None:
        for name in ("lead", "y", "x", "b", "two"):
            store.put(name, b"another")
        LOOP.run(self.write(opened, key))
        assert LOOP.run(opened.first(key, 9))[0] == b"exact"
        first = key.partition("/")[0] + "/"
        assert first in [entry.key for entry in self.page(store).entries]

    async def write(self, opened: WritableBackend, key: str) -> None:
        upload = await opened.begin(key, overwrite=False, size_bytes=5)
        await upload.put(0, b"exact")
        await upload.commit(metadata={})


class TestS3Writing(StorageWritingSuite):
    @pytest.fixture
    def store(self, s3_store: S3Store) -> S3Store:
        return s3_store


def connect(folder: Path, store: S3Store, **fields: object) -> None:
    entry = {**s3_fields(store), **fields}
    write_connections(folder / "connections.toml", bucket={k: v for k, v in entry.items() if v is not None})


def test_whole_account(s3_store: S3Store, tmp_path: Path) -> None:
    s3_store.put("folder/x", b"12345")
    connect(tmp_path, s3_store, root="s3://")
    assert s3_store.bucket in {entry.name for entry in jg.ls("bucket://", limit=1000).page.entries}
    assert LOOP.run(open_reader(f"bucket://{s3_store.bucket}/folder/x")).head == b"12345"


def test_root_with_a_prefix(s3_store: S3Store, tmp_path: Path) -> None:
    s3_store.put("models/prod/sub/x", b"12345")
    s3_store.put("sub/x", b"outside")
    connect(tmp_path, s3_store, root=f"s3://{s3_store.bucket}/models/prod")
    assert [entry.key for entry in jg.ls("bucket://sub").page.entries] == ["sub/x"]
    assert LOOP.run(open_reader("bucket://sub/x")).head == b"12345"


def test_first_page_is_one_request(s3_store: S3Store, moto: int, tmp_path: Path) -> None:
    for index in range(60):
        s3_store.put(f"many/{index:03}", b"")
    with recorder(moto) as wire:
        connect(tmp_path, s3_store, endpoint=f"http://127.0.0.1:{wire.port}")
        page = LOOP.run(list_page(connections.load().find("bucket"), "many/", limit=20))
        assert len(page.entries) == 20
        assert len(wire.requests) == 1
        seen = [entry.key for entry in page.entries]
        while page.next_token:
            options = {"limit": 20, "token": page.next_token}
            page = LOOP.run(list_page(connections.load().find("bucket"), "many/", **options))
            seen += [entry.key for entry in page.entries]
        assert seen == [f"many/{index:03}" for index in range(60)]
        assert len(wire.requests) == 3


@pytest.mark.parametrize("overwrite", [False, True])
def test_completion_carries_its_condition(s3_store: S3Store, moto: int, tmp_path: Path, overwrite: bool) -> None:
    # Unproven here: moto does not check If-Match on a completion; S3 documents it.
    s3_store.put("old", b"old")
    key = "old" if overwrite else "new"
    with recorder(moto) as wire:
        connect(tmp_path, s3_store, endpoint=f"http://127.0.0.1:{wire.port}")
        opened = writable(connections.load().find("bucket"))
        etag = LOOP.run(opened.head("old")).etag
        upload = LOOP.run(opened.begin(key, overwrite=overwrite, size_bytes=None))
        LOOP.run(upload.put(0, b"x"))
        LOOP.run(upload.commit(metadata={}))
        head = bytes(wire.sent).partition(b"uploadId=")[2].lower()
    assert b"content-md5: " in head
    completion = head[head.index(b"post ") :] if b"post " in head else head
    wanted = f"if-match: {etag}" if overwrite else "if-none-match: *"
    assert wanted.encode().lower() in completion


def test_object_that_appears_during_parts(s3_store: S3Store) -> None:
    opened = writable(connections.load().find("bucket"))
    upload = LOOP.run(opened.begin("x", overwrite=False, size_bytes=None))
    LOOP.run(upload.put(0, b"ours"))
    s3_store.put("x", b"theirs")
    with pytest.raises(ExistsError):
        LOOP.run(upload.commit(metadata={}))
    assert LOOP.run(opened.first("x", 9))[0] == b"theirs"


def test_abort_leaves_no_parts(s3_store: S3Store) -> None:
    opened = writable(connections.load().find("bucket"))
    upload = LOOP.run(opened.begin("x", overwrite=False, size_bytes=None))
    LOOP.run(upload.put(0, b"ours"))
    assert "Uploads" in s3_store.client.list_multipart_uploads(Bucket=s3_store.bucket)
    LOOP.run(upload.abort())
    assert "Uploads" not in s3_store.client.list_multipart_uploads(Bucket=s3_store.bucket)


@pytest.mark.parametrize("size", [None, 4])
def test_commit_whose_answer_was_lost(s3_store: S3Store, moto: int, tmp_path: Path, size: int | None) -> None:
    with lossy(moto) as wire:
        connect(tmp_path, s3_store, endpoint=f"http://127.0.0.1:{wire.port}")
        opened = writable(connections.load().find("bucket"))
        upload = LOOP.run(opened.begin("x", overwrite=False, size_bytes=size))
        LOOP.run(upload.put(0, b"ours"))
        wire.lose_next(b"POST " if size is None else b"PUT ")
        assert LOOP.run(upload.commit(metadata={})).size_bytes == 4
        assert wire.lost.is_set()
        assert LOOP.run(opened.first("x", 9))[0] == b"ours"


def test_archived(s3_store: S3Store) -> None:
    s3_store.client.put_object(Bucket=s3_store.bucket, Key="cold", Body=b"x", StorageClass="GLACIER")
    (entry,) = jg.ls("bucket://").page.entries
    assert (entry.tier, entry.unreadable) == ("GLACIER", "archived: cannot be read")
    with pytest.raises(ArchivedError):
        LOOP.run(backend(connections.load().find("bucket")).first("cold", 4))


def test_missing_bucket(s3_store: S3Store, tmp_path: Path) -> None:
    connect(tmp_path, s3_store, root="s3://not-there-at-all")
    with pytest.raises(NotFoundError, match="has no bucket 'not-there-at-all'"):
        jg.ls("bucket://")


def test_nobody_there(s3_store: S3Store, tmp_path: Path) -> None:
    connect(tmp_path, replace(s3_store, port=free_port()))
    with pytest.raises(UnreachableError):
        jg.ls("bucket://")


@pytest.mark.parametrize("how", ["keys", "profile", "default from the environment", "default from the files"])
def test_both_clients_ask_under_one_identity(
    s3_store: S3Store, moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    key, secret = S3_KEYS
    section = "[work]" if how == "profile" else "[default]"
    if how in ("profile", "default from the files"):
        text = f"{section}\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(text)
    elif how != "keys":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    s3_store.put("x", b"12345")
    if how in ("keys", "profile"):
        # What is said in the connection wins over what lies around.
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE0000")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    fields: dict[str, object] = {"credential": how.split(maxsplit=1)[0]}
    if how != "keys":
        fields["secret"] = None
    if how == "profile":
        fields["profile"] = "work"
    with recorder(moto) as wire:
        connect(tmp_path, s3_store, endpoint=f"http://127.0.0.1:{wire.port}", **fields)
        assert len(jg.ls("bucket://").page.entries) == 1
        assert LOOP.run(open_reader("bucket://x")).head == b"12345"
        assert bytes(wire.sent).count(f"Credential={key}/".encode()) == len(wire.requests) == 2
    assert secret.encode() not in bytes(wire.sent)


def test_anonymous(s3_store: S3Store, moto: int, tmp_path: Path) -> None:
    s3_store.client.put_bucket_acl(Bucket=s3_store.bucket, ACL="public-read-write")
    s3_store.put("x", b"12345")
    with recorder(moto) as wire:
        fields: dict[str, object] = {"credential": "anonymous", "secret": None}
        connect(tmp_path, s3_store, endpoint=f"http://127.0.0.1:{wire.port}", **fields)
        assert LOOP.run(open_reader("bucket://x")).head == b"12345"
        assert [entry.key for entry in jg.ls("bucket://").page.entries] == ["x"]
        assert b"authorization" not in bytes(wire.sent).lower()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"credential": "default", "secret": None}, "finds no AWS credentials"),
        ({"credential": "profile", "profile": "none", "secret": None}, "profile that is not there"),
        ({"secret": "env:ODD_KEYS"}, "no pair of AWS keys"),
        ({"secret": "env:NOT_SET"}, "which is not set here"),
    ],
)
def test_no_credentials(
    s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], message: str
) -> None:
    monkeypatch.setenv("ODD_KEYS", "canary-alone")
    connect(tmp_path, s3_store, **fields)
    for work in (lambda: jg.ls("bucket://"), lambda: LOOP.run(open_reader("bucket://x"))):
        with pytest.raises(NoCredentialError, match=message) as caught:
            work()
        assert caught.value.hint
        assert "canary" not in str(caught.value)


def test_no_secret_in_what_is_shown(s3_store: S3Store) -> None:
    s3_store.put("x", b"12345")
    reader = LOOP.run(open_reader("bucket://x"))
    opened = backend(connections.load().find("bucket"))
    shown = [
        str(jg.ls()),
        repr(opened),
        repr(vars(opened)),
        repr(vars(opened.inner)),
        repr(vars(opened.inner._clients)),
        repr(reader),
    ]
    assert not any(S3_KEYS[1] in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(opened)


def test_endpoint_of_the_environment(s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_store.port}")
    s3_store.put("x", b"12345")
    connect(tmp_path, s3_store, endpoint=None, region="us-east-1")
    assert [entry.key for entry in jg.ls("bucket://").page.entries] == ["x"]
    assert LOOP.run(open_reader("bucket://x")).head == b"12345"


def test_large_copy_goes_part_by_part(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_writing, "_MOST_COPIED_BYTES", 1000)
    monkeypatch.setattr(s3_writing, "_COPIED_PART_BYTES", 5 * blocks.MIB)
    data = b"".join(bytes([index]) * blocks.MIB for index in range(11))
    s3_store.put("a b/x", data)
    s3_store.put("old", b"old")
    opened = writable(connections.load().find("bucket"))
    assert LOOP.run(opened.copy("a b/x", "y", overwrite=False)).size_bytes == len(data)
    assert LOOP.run(opened.first("y", len(data)))[0] == data
    with pytest.raises(ExistsError):
        LOOP.run(opened.copy("a b/x", "old", overwrite=False))
    assert "Uploads" not in s3_store.client.list_multipart_uploads(Bucket=s3_store.bucket)


@pytest.mark.parametrize(
    ("module", "root"), [("aiobotocore.session", "s3://bucket"), ("google.cloud.storage", "gs://bucket")]
)
def test_extra_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, root: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    write_connections(tmp_path / "connections.toml", far={"root": root, "credential": "anonymous"})
    with pytest.raises(NotInstalledError, match="needs") as caught:
        jg.ls("far://")
    assert "pip install 'jupyter_gpu_ext[" in caught.value.hint


def test_a_block_waits_for_no_leave_to_be_sent(s3_store: S3Store, tmp_path: Path) -> None:
    """A proxy between need not pass "100 Continue" on; a client that asks for it would wait for ever."""
    with recorder(s3_store.port) as wire:
        write_connections(tmp_path / "connections.toml", bucket=s3_fields(s3_store, wire.port))
        with jg.open("bucket://x.bin", "wb") as file:
            file.write(bytes(1 << 20))
        assert sum(line.startswith("PUT ") for line in wire.requests) == 1
        assert b"expect:" not in bytes(wire.sent).lower()
