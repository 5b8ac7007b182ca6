"""Downloads, uploads, renames, removals, previews and links, over HTTP on real storage."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import pytest

from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, write_connections
from tests.server.contract import check
from tests.server.live import API

ODD = "run 7/a b#é?.bin"


@pytest.fixture(params=["azure", "local"])
def writable(request, server, tmp_path, azurite, monkeypatch):
    """The connection `box://`, which may be written to."""
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    if request.param == "azure":
        container = azurite.new_container()
        fields = azure_fields(azurite, container.container_name)
    else:
        (tmp_path / "box").mkdir()
        fields = {"root": str(tmp_path / "box")}
    write_connections(tmp_path / "connections.toml", box={**fields, "read_only": False}, ro=fields)
    return request.param


def ask(server, method, path, body=None, raw=None, **arguments):
    data = json.dumps(body).encode() if body is not None else raw
    headers = {"Content-Type": "application/json"} if raw is None else None
    return server.request(method, API + path, urlencode(arguments), body=data, headers=headers)


def upload(server, key, data, **more):
    request = {"connection": "box", "key": key, "size_bytes": len(data), **more}
    reply = ask(server, "POST", "/storage/uploads", request)
    if reply.status != 200:
        return check("/storage/uploads", reply, "post")
    session = check("/storage/uploads", reply, "post")
    path = f"/storage/uploads/{session['id']}"
    size = session["block_bytes"]
    for index in range(-(-len(data) // size)):
        piece = data[index * size : (index + 1) * size]
        check("/storage/uploads/{upload}/{index}", ask(server, "PUT", f"{path}/{index}", raw=piece), "put")
    return check("/storage/uploads/{upload}", ask(server, "POST", path), "post")


def download(server, key, **headers):
    arguments = urlencode({"connection": "box", "key": key})
    return server.request("GET", f"{API}/storage/download", arguments, headers=headers)


@pytest.mark.parametrize("size", [0, 1, 9_000_000], ids=["empty", "small", "two blocks"])
def test_what_is_uploaded_is_downloaded(server, writable, size):
    data = bytes(i % 251 for i in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    entry = upload(server, ODD, data)
    assert (entry["key"], entry["size_bytes"]) == (ODD, size)
    reply = download(server, ODD)
    assert (reply.status, reply.body) == (200, data)


def test_a_download_is_only_ever_a_file(server, writable):
    name = 'a"b\u2028c.html'
    upload(server, name, b"<script>alert(1)</script>")
    headers = download(server, name).headers
    assert headers["Content-Type"] == "application/octet-stream"
    plain = 'filename="a_b_c.html"'
    assert headers["Content-Disposition"] == f"attachment; {plain}; filename*=UTF-8''{quote(name, safe='')}"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize(
    ("header", "status", "body", "said"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=4-99", 206, b"456789", "bytes 4-9/10"),
        ("bytes=5-1", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("items=0-1", 200, b"0123456789", None),
        ("bytes=10-", 416, None, None),
        ("bytes=-0", 416, None, None),
    ],
)
def test_ranges(server, writable, header, status, body, said):
    upload(server, "digits", b"0123456789")
    reply = download(server, "digits", Range=header)
    assert reply.status == status
    assert body is None or reply.body == body
    assert reply.headers.get("Content-Range") == said


def test_an_upload_does_not_overwrite_unless_asked(server, writable):
    upload(server, "x.bin", b"one")
    assert upload(server, "x.bin", b"two")["code"] == "exists"
    assert download(server, "x.bin").body == b"one"
    upload(server, "x.bin", b"three", overwrite=True)
    assert download(server, "x.bin").body == b"three"


def test_an_upload_goes_on_after_a_break_and_shows_nothing_before_its_commit(server, writable):
    data = b"a" * 9_000_000
    request = {"connection": "box", "key": "big", "size_bytes": len(data)}
    first = ask(server, "POST", "/storage/uploads", request).json
    ask(server, "PUT", f"/storage/uploads/{first['id']}/0", raw=data[: first["block_bytes"]])
    again = ask(server, "POST", "/storage/uploads", {**request, "resume_id": first["id"]}).json
    assert again == {**first, "received": [0]}
    early = ask(server, "POST", f"/storage/uploads/{first['id']}")
    assert (early.status, early.json["message"]) == (400, "1 blocks are missing.")
    assert download(server, "big").status == 404
    ask(server, "PUT", f"/storage/uploads/{first['id']}/1", raw=data[first["block_bytes"] :])
    assert ask(server, "POST", f"/storage/uploads/{first['id']}").status == 200
    assert download(server, "big").body == data
    gone = ask(server, "POST", f"/storage/uploads/{first['id']}")
    assert (gone.status, gone.json["code"]) == (404, "not_found")


def test_an_upload_that_is_given_up_leaves_nothing(server, writable):
    session = ask(server, "POST", "/storage/uploads", {"connection": "box", "key": "gone", "size_bytes": 3}).json
    ask(server, "PUT", f"/storage/uploads/{session['id']}/0", raw=b"abc")
    assert ask(server, "DELETE", f"/storage/uploads/{session['id']}").status == 200
    assert download(server, "gone").status == 404
    assert server.get("/storage/list", connection="box").json["entries"] == []


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"connection": "box"},
        {"connection": "box", "key": "x", "size_bytes": -1},
        {"connection": "box", "key": "x", "size_bytes": "3"},
        {"connection": "box", "key": "x", "size_bytes": True},
        {"connection": "box", "key": "x/", "size_bytes": 3},
        {"connection": "box", "key": "", "size_bytes": 3},
        {"connection": "box", "key": "a\0", "size_bytes": 3},
        {"connection": "box", "key": "x", "size_bytes": 3, "more": 1},
        {"connection": "box", "key": "k" * 5000, "size_bytes": 3},
    ],
    ids=str,
)
def test_bad_uploads(server, writable, body):
    reply = ask(server, "POST", "/storage/uploads", body)
    assert (reply.status, reply.json["code"]) == (400, "bad_request")


def test_a_large_body_is_refused(server, writable):
    reply = ask(server, "POST", "/storage/share", {"connection": "x" * 65_000})
    assert (reply.status, reply.json["code"]) == (413, "too_large")


@pytest.mark.parametrize("piece", [b"", b"ab", b"abcd"], ids=len)
def test_a_block_of_another_length_is_refused(server, writable, piece):
    session = ask(server, "POST", "/storage/uploads", {"connection": "box", "key": "x", "size_bytes": 3}).json
    assert ask(server, "PUT", f"/storage/uploads/{session['id']}/0", raw=piece).status == 400


def test_copy_rename_and_remove(server, writable):
    upload(server, "a.bin", b"1")
    upload(server, "b.bin", b"2")
    copied = ask(server, "PATCH", "/storage/object", {"connection": "box", "key": "a.bin", "to": "c/a 2.bin"})
    assert check("/storage/object", copied, "patch")["key"] == "c/a 2.bin"
    taken = ask(server, "PATCH", "/storage/object", {"connection": "box", "key": "a.bin", "to": "b.bin"})
    assert (taken.status, taken.json["code"]) == (409, "exists")
    body = {"connection": "box", "key": "a.bin", "to": "d.bin", "move": True}
    assert ask(server, "PATCH", "/storage/object", body).status == 200
    assert download(server, "a.bin").status == 404
    assert download(server, "d.bin").body == b"1"
    stale = ask(server, "DELETE", "/storage/object", connection="box", key="d.bin", etag='"other"')
    assert (stale.status, stale.json["code"]) == (409, "object_changed")
    etag = server.get("/storage/object", connection="box", key="d.bin").json["etag"]
    assert ask(server, "DELETE", "/storage/object", connection="box", key="d.bin", etag=etag).status == 200
    assert download(server, "d.bin").status == 404


def test_a_folder_is_made(server, writable):
    made = ask(server, "POST", "/storage/folders", {"connection": "box", "key": "new one/"})
    assert check("/storage/folders", made, "post")["kind"] == "folder"
    listed = server.get("/storage/list", connection="box").json["entries"]
    assert [(one["kind"], one["key"]) for one in listed] == [("folder", "new one/")]
    assert ask(server, "POST", "/storage/folders", {"connection": "box", "key": "no-slash"}).status == 400


WRITES = [
    ("POST", "/storage/uploads", {"connection": "ro", "key": "x", "size_bytes": 1}, {}),
    ("POST", "/storage/folders", {"connection": "ro", "key": "x/"}, {}),
    ("PATCH", "/storage/object", {"connection": "ro", "key": "x", "to": "y"}, {}),
    ("DELETE", "/storage/object", None, {"connection": "ro", "key": "x"}),
    ("POST", "/storage/deletions", {"connection": "ro", "keys": ["x"]}, {}),
]


@pytest.mark.parametrize(("method", "path", "body", "arguments"), WRITES)
def test_a_read_only_connection_is_never_written_to(server, writable, method, path, body, arguments):
    reply = ask(server, method, path, body, **arguments)
    assert (reply.status, reply.json["code"]) == (424, "denied")
    assert "read_only = false" in reply.json["hint"]


def finished(server, identity):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reply = check("/transfers", server.get("/transfers"))
        job = next(one for one in reply["transfers"] if one["id"] == identity)
        if job["state"] != "running":
            return job
    raise TimeoutError(identity)


def test_a_prefix_is_removed_and_its_neighbour_is_spared(server, writable):
    for key in ("run/1", "run/2", "run/deep/3", "run2/4"):
        upload(server, key, b"x")
    started = ask(server, "POST", "/storage/deletions", {"connection": "box", "prefix": "run/"})
    job = finished(server, check("/storage/deletions", started, "post")["id"])
    assert (job["state"], job["done"], job["total"], job["failed"]) == ("done", 3, 3, [])
    assert download(server, "run2/4").body == b"x"
    assert download(server, "run/deep/3").status == 404


def test_a_removal_reports_what_failed(server, writable):
    upload(server, "here", b"x")
    job = finished(
        server, ask(server, "POST", "/storage/deletions", {"connection": "box", "keys": ["here", "no"]}).json["id"]
    )
    assert (job["state"], job["done"]) == ("failed", 1)
    assert [(one["key"], one["code"]) for one in job["failed"]] == [("no", "not_found")]


@pytest.mark.parametrize(
    "body", [{}, {"keys": []}, {"keys": [1]}, {"prefix": "run"}, {"keys": ["a"], "prefix": "b/"}], ids=str
)
def test_bad_removals(server, writable, body):
    assert ask(server, "POST", "/storage/deletions", {"connection": "box", **body}).status == 400


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PREVIEWS = {
    "notes.txt": ("grüße\n<script>".encode(), {"kind": "text", "text": "grüße\n<script>", "truncated": False}),
    "x.svg": (b"<svg onload='x'/>", {"kind": "text"}),
    "t.csv": (b"a,b\n1,2\n3,4\n", {"kind": "csv", "columns": ["a", "b"], "rows": [["1", "2"], ["3", "4"]]}),
    "c.json": (b'{"a":[1]}', {"kind": "json", "text": '{\n  "a": [\n    1\n  ]\n}'}),
    "broken.json": (b'{"a":', {"kind": "json", "text": '{"a":'}),
    "p.png": (PNG, {"kind": "image", "media_type": "image/png", "base64": base64.b64encode(PNG).decode()}),
    "long.txt": ("é".encode() * 100_000, {"kind": "text", "truncated": True, "bytes_read": 65536}),
}


@pytest.mark.parametrize("name", PREVIEWS)
def test_previews(server, writable, name):
    data, expected = PREVIEWS[name]
    upload(server, name, data)
    found = check("/tensors/preview", server.get("/tensors/preview", connection="box", key=name))
    assert found == {**found, **expected}
    assert found["bytes_read"] <= 65536


def test_what_cannot_be_shown_is_said(server, writable):
    upload(server, "x.bin", b"\0\1\2")
    reply = server.get("/tensors/preview", connection="box", key="x.bin")
    assert (reply.status, reply.json["code"]) == (422, "unsupported_format")


def test_a_shared_link_reads_one_object_for_a_while(server, writable):
    upload(server, ODD, b"shared")
    upload(server, "other", b"private")
    reply = ask(server, "POST", "/storage/share", {"connection": "box", "key": ODD, "minutes": 5})
    if writable == "local":
        assert (reply.status, reply.json["code"]) == (424, "denied")
        return
    link = check("/storage/share", reply, "post")
    assert 0 < (datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)).total_seconds() <= 300
    with urlopen(link["url"]) as answer:
        assert answer.read() == b"shared"
    with pytest.raises(OSError, match="403"):
        urlopen(link["url"].replace(quote(ODD), "other"))


@pytest.mark.parametrize("minutes", [0, -1, 10081])
def test_a_link_is_never_for_long(server, writable, minutes):
    assert ask(server, "POST", "/storage/share", {"connection": "box", "key": "x", "minutes": minutes}).status == 400
