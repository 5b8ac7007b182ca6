"""One table of what the browser may send and must not get by with, and what happens when two act at once."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from urllib.parse import quote, urlencode

import pytest

from tests.conftest import write_connections
from tests.server.contract import OPERATIONS, SPEC, check, concrete
from tests.server.live import API, TOKEN, logged, wait_until
from tests.storage.test_addresses import METADATA, canary

JSON = {"Content-Type": "application/json"}
SIGNATURE = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def box(tmp_path):
    """The writable connection `box://`, with a canary beside it; give its folder."""
    folder = tmp_path / "box"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"a")
    for outside in (tmp_path / "secret.txt", tmp_path / "box2" / "secret.txt"):
        outside.parent.mkdir(exist_ok=True)
        outside.write_text("the canary")
    (folder / "out").symlink_to(tmp_path)
    write_connections(tmp_path / "connections.toml", box={"root": str(folder), "read_only": False})
    return folder


def ask(server, method, path, body=None, raw=None, headers=JSON, **arguments):
    data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    return server.request(method, API + path, urlencode(arguments), body=data, headers=headers)


# The routes that take a key in a body; those that take it in the address stand in test_errors.py.
BODIES = {
    "copied": ("PATCH", "/storage/object", {"key": "{}", "to": "new"}),
    "copied to": ("PATCH", "/storage/object", {"key": "a.txt", "to": "{}"}),
    "moved to": ("PATCH", "/storage/object", {"key": "a.txt", "to": "{}", "move": True}),
    "folder": ("POST", "/storage/folders", {"key": "{}/"}),
    "uploaded": ("POST", "/storage/uploads", {"key": "{}", "size_bytes": 0}),
    "deleted": ("POST", "/storage/deletions", {"keys": ["{}"]}),
    "deleted below": ("POST", "/storage/deletions", {"prefix": "{}/"}),
    "shared": ("POST", "/storage/share", {"key": "{}", "minutes": 5}),
}
KEYS = {
    "up": "../secret.txt",
    "up from within": "a/../../secret.txt",
    "sibling": "../box2/secret.txt",
    "absolute": "/etc/passwd",
    "link out": "out/secret.txt",
    "NUL": "a\0b",
    "half a surrogate": "\ud800",
    "too long": "k" * 4097,
    "too long for a file": "n" * 300,
    "twice a slash": "x//y",
    "here": "./x",
}


def filled(value, key):
    if isinstance(value, str):
        return value.replace("{}", key)
    return [filled(one, key) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(("method", "path", "body"), BODIES.values(), ids=BODIES)
def test_a_key_never_leads_out_of_its_root(server, box, method, path, body, key):
    before = sorted(one.relative_to(box.parent) for one in box.parent.rglob("*") if one.is_file())
    asked = {"connection": "box", **{name: filled(value, key) for name, value in body.items()}}
    reply = ask(server, method, path, asked)
    said = check(path, reply, method.lower())
    if reply.status == 200:
        # A job says it of each key.
        assert path == "/storage/deletions"
        job = wait_until(lambda: ended(server, said["id"]))
        assert job["state"] == "failed"
        assert job["done"] == 0
    else:
        assert reply.status in (400, 404, 424)
    assert b"canary" not in reply.body
    assert sorted(one.relative_to(box.parent) for one in box.parent.rglob("*") if one.is_file()) == before


def ended(server, identity):
    jobs = server.get("/transfers").json["transfers"]
    return next((job for job in jobs if job["id"] == identity and job["state"] != "running"), None)


# A body of each form that no route takes.
FORMS = {
    "no JSON": (b"{", JSON, 400), "array": (b"[]", JSON, 400),
    "65 kB": (b'{"connection": "' + b"x" * 65_000 + b'"}', JSON, 413),
    "deep": (b"[" * 50_000, JSON, 400), "twins": (b'{"connection": "box", "connection": "box"}', JSON, 400),
    "unknown": (b'{"connection": "box", "__proto__": {}}', JSON, 400), "nothing": (b"{}", JSON, 400),
    "a form of another site": (b'{"connection": "box"}', {"Content-Type": "text/plain"}, 400),
    "no UTF-8": (b'{"connection": "\xff"}', JSON, 400), "NaN": (b'{"connection": NaN}', JSON, 400),
}  # fmt: skip
TAKES_JSON = [
    (path, method)
    for path, method in OPERATIONS
    if "application/json" in SPEC["paths"][path][method].get("requestBody", {}).get("content", {})
]


@pytest.mark.parametrize(("raw", "headers", "status"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(("path", "method"), TAKES_JSON)
def test_a_body_of_no_form_is_refused(server, box, path, method, raw, headers, status):
    reply = ask(server, method.upper(), concrete(path), raw=raw, headers=headers)
    assert reply.status == status
    assert check(path, reply, method)["hint"]


@pytest.mark.parametrize("host", METADATA)
def test_a_link_to_metadata_is_never_asked(server, monkeypatch, host):
    with canary() as (port, hits):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        reply = ask(server, "POST", "/storage/connections", {"link": f"http://{host}:9000/bucket/x"})
        assert (reply.status, check("/storage/connections", reply, "post")["code"]) == (400, "bad_request")
        assert hits == []


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_a_foreign_page_with_the_cookie_gets_nothing(server, box, path, method, origin):
    signed_in = server.request("GET", "/api/status", f"token={TOKEN}")
    cookie = "; ".join(one.partition(";")[0] for one in signed_in.headers.get_all("Set-Cookie"))
    reply = server.request(
        method.upper(), API + concrete(path), "connection=box&key=a.txt&name=box", token=None,
        headers={"Origin": origin, "Referer": f"{origin}/x", "Cookie": cookie, **JSON}, body=b"{}",
    )  # fmt: skip
    assert reply.status in (403, 404)
    assert set(reply.json) == {"code", "message", "hint"}
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert (box / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize("referer", [None, "http://evil.example/x"])
def test_the_bytes_of_a_file_need_a_page_of_ours(server, box, referer):
    signed_in = server.request("GET", "/api/status", f"token={TOKEN}")
    cookie = "; ".join(one.partition(";")[0] for one in signed_in.headers.get_all("Set-Cookie"))
    headers = {"Cookie": cookie, **({"Referer": referer} if referer else {})}
    reply = server.request("GET", f"{API}/storage/download", "connection=box&key=a.txt", token=None, headers=headers)
    assert reply.status in (403, 404)


@pytest.mark.parametrize("where", ["connection", "key", "prefix", "name"])
@pytest.mark.parametrize("path", ["/storage/list", "/storage/object", "/storage/connections"])
def test_a_link_where_a_name_belongs_is_not_logged(server, box, path, where):
    link = f"https://acct.blob.core.windows.net/c?sv=1&sig={quote(SIGNATURE, safe='')}"
    with logged(server.app) as log:
        reply = server.get(path, **{"connection": "box", "key": "x", where: link})
        # The server logs a request after it answered.
        wait_until(lambda: f"{path}?" in log.text)
    for text in (reply.body.decode(), log.text):
        assert SIGNATURE[:20] not in text
        assert quote(SIGNATURE, safe="")[:20] not in text


def test_an_upload_is_resumed_for_its_own_object_only(server, box):
    asked = {"connection": "box", "key": "x", "size_bytes": 3}
    first = ask(server, "POST", "/storage/uploads", asked).json["id"]
    assert ask(server, "POST", "/storage/uploads", {**asked, "resume_id": first}).json["id"] == first
    for more in ({"key": "y"}, {"size_bytes": 4}, {"overwrite": True}):
        other = ask(server, "POST", "/storage/uploads", {**asked, "resume_id": first, **more})
        assert (other.status, other.json["code"]) == (400, "bad_request")


def test_of_two_uploads_of_one_key_one_wins_whole(server, box):
    sessions = [
        ask(server, "POST", "/storage/uploads", {"connection": "box", "key": "x", "size_bytes": 3}).json["id"]
        for _ in range(2)
    ]
    replies = []
    for session, data in zip(sessions, (b"abc", b"xyz"), strict=True):
        ask(server, "PUT", f"/storage/uploads/{session}/0", raw=data, headers=None)
    threads = [
        threading.Thread(target=lambda one=one: replies.append(ask(server, "POST", f"/storage/uploads/{one}")))
        for one in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [200, 409]
    assert (box / "x").read_bytes() in (b"abc", b"xyz")


def test_an_object_that_is_replaced_while_it_is_downloaded_comes_short(server, box):
    """The browser sees a broken download, never half of each; the log has one line."""
    size = 60_000_000
    (box / "big").write_bytes(b"A" * size)
    (box / "next").write_bytes(b"B" * size)
    connection = http.client.HTTPConnection("127.0.0.1", server.app.port, timeout=60)
    target = f"{server.app.base_url.rstrip('/')}{API}/storage/download?connection=box&key=big"
    with logged(server.app) as log:
        connection.request("GET", target, headers={"Authorization": f"token {TOKEN}"})
        reply = connection.getresponse()
        head = reply.read(1000)
        (box / "next").replace(box / "big")
        with pytest.raises(http.client.IncompleteRead) as cut:
            reply.read()
        wait_until(lambda: "was replaced while it was read" in log.text)
    assert b"B" not in head + cut.value.partial
    assert "Traceback" not in log.text


def test_a_listing_goes_on_while_its_folder_is_deleted(server, box):
    for number in range(300):
        (box / f"run-{number:03}").touch()
    keys = [f"run-{number:03}" for number in range(300)]
    job = ask(server, "POST", "/storage/deletions", {"connection": "box", "keys": keys}).json["id"]
    while ended(server, job) is None:
        reply = server.get("/storage/list", connection="box", limit=50)
        assert reply.status == 200
        check("/storage/list", reply)
    assert ended(server, job)["done"] == 300
