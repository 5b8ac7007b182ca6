"""Connect over HTTP: what is answered, what is refused, and that a secret goes one way only."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY
from tests.server.contract import check
from tests.server.live import API, TOKEN, logged, query
from tests.storage.signed import assert_clean, blob_link, container_link, signature

PATH = "/storage/connections"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def container(azurite):
    made = azurite.new_container()
    made.upload_blob("llama/x.pt", b"abc")
    return made


@pytest.fixture
def post(server):
    def ask(body, headers=JSON):
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return server.request("POST", API + PATH, headers=headers, body=sent)

    return ask


def test_try_then_keep_then_forget(server, post, container, tmp_path):
    link = container_link(container)
    tried = check(PATH, post({"link": link}), "post")
    assert not tried["saved"]
    assert tried["name"] == tried["root"].removeprefix("az://") == container.container_name
    assert tried["grants"] == {"list": True, "read": None, "write": False, "delete": False} | {"read": True}
    assert [one["what"] for one in tried["checks"]] == ["list"]
    assert list(tmp_path.iterdir()) == []
    kept = check(PATH, post({"link": link, "name": "weights", "read_only": True, "save": True}), "post")
    assert (kept["name"], kept["saved"], kept["kind"]) == ("weights", True, "az")
    row = check(PATH, server.get(PATH))["connections"][0]
    assert (row["name"], row["kind"], row["expires_at"]) == ("weights", "az", kept["expires_at"])
    assert server.get("/storage/list", connection="weights").json["entries"][0]["key"] == "llama/"
    assert check(PATH, post({"link": "weights://llama/x.pt"}), "post")["checks"][1] == {
        "what": "read",
        "ok": True,
        "message": "llama/x.pt",
    }
    gone = server.request("DELETE", API + PATH, query(name="weights"))
    assert check(PATH, gone, "delete") == {}
    assert check(PATH, server.get(PATH))["connections"] == []
    assert list((tmp_path / "jupyter_gpu_secrets").iterdir()) == []


def test_a_link_to_one_blob(post, container):
    made = check(PATH, post({"link": blob_link(container, "llama/x.pt")}), "post")
    assert made["one_object"] == "x.pt"
    assert made["grants"]["list"] is False


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (b"", 400, JSON),
        (b"{", 400, JSON),
        (b"[]", 400, JSON),
        (b"null", 400, JSON),
        (b'"x"', 400, JSON),
        (b"\xff\xfe", 400, JSON),
        (b"[" * 50_000, 400, JSON),
        (b'{"link": NaN}', 400, JSON),
        (b'{"link": "/tmp", "link": "/etc"}', 400, JSON),
        ({}, 400, JSON),
        ({"link": ""}, 400, JSON),
        ({"link": 1}, 400, JSON),
        ({"link": None}, 400, JSON),
        ({"link": ["/tmp"]}, 400, JSON),
        ({"link": "/tmp", "save": 1}, 400, JSON),
        ({"link": "/tmp", "save": "true"}, 400, JSON),
        ({"link": "/tmp", "name": None}, 400, JSON),
        ({"link": "/tmp", "name": "x", "renew": 1}, 400, JSON),
        ({"link": "/tmp", "name": "../x"}, 400, JSON),
        ({"link": "/tmp", "name": "__proto__"}, 400, JSON),
        ({"link": "/tmp", "secret": "x"}, 400, JSON),
        ({"link": "/tmp", "__class__": "x"}, 400, JSON),
        ({"link": "/tmp/none/here"}, 404, JSON),
        ({"link": "x" * 65_000}, 413, JSON),
        ({"link": "http://169.254.169.254/x"}, 400, JSON),
        ({"link": "simplecache::file:///etc/passwd"}, 400, JSON),
        ({"link": "reference://x"}, 400, JSON),
        ({"link": "none://x"}, 400, JSON),
        ({"link": "/tmp"}, 400, {"Content-Type": "text/plain"}),
        ({"link": "/tmp"}, 400, {"Content-Type": "application/x-www-form-urlencoded"}),
        ({"link": "/tmp"}, 400, {}),
    ],
)
def test_a_body_of_another_form_is_refused_in_one_sentence(post, tmp_path, body, status, headers):
    reply = post(body, headers)
    assert reply.status == status
    said = check(PATH, reply, "post")
    assert said["hint"]
    assert "\n" not in said["message"]
    assert list(tmp_path.iterdir()) == []


def test_the_provider_s_refusals_have_their_own_status(post, container, azurite, tmp_path):
    other = azurite.new_container().container_name
    for link, status, code in (
        (container_link(container).replace(container.container_name, other), 424, "denied"),
        (container_link(container, lasts=timedelta(minutes=-1)), 424, "expired"),
        (blob_link(container, "none"), 404, "not_found"),
    ):
        reply = post({"link": link, "save": True})
        assert (reply.status, check(PATH, reply, "post")["code"]) == (status, code)
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_not_taken_twice(post, tmp_path):
    assert post({"link": "/tmp", "name": "disk", "save": True}).status == 200
    assert post({"link": "/usr", "name": "disk", "save": True}).status == 409
    assert "/usr" not in (tmp_path / "connections.toml").read_text()


def test_a_new_link_renews_the_secret_in_place(server, post, azurite, container, tmp_path):
    keep = {"name": "weights", "save": True}
    assert post({"link": container_link(container, rights="rlw"), "read_only": False, **keep}).status == 200
    table = (tmp_path / "connections.toml").read_bytes()
    secret = tmp_path / "jupyter_gpu_secrets" / "weights"
    secret.write_text(container_link(container, lasts=timedelta(minutes=-1)).partition("?")[2])
    assert server.get("/storage/list", connection="weights").json["code"] == "expired"
    other = container_link(azurite.new_container())
    for link, status in ((other, 400), (container_link(container), 424), ("/tmp", 400)):
        assert post({"link": link, "renew": True, **keep}).status == status, "elsewhere, read-only, no secret"
    link = container_link(container, rights="rlw")
    assert post({"link": link, "renew": True, "name": "none"}).status == 404
    assert post({"link": link, "renew": True}).status == 404
    made = check(PATH, post({"link": link, "renew": True, **keep}), "post")
    assert (made["name"], made["saved"], made["read_only"]) == ("weights", True, False)
    row = check(PATH, server.get(PATH))["connections"][0]
    assert row["expires_at"] == made["expires_at"]
    assert server.get("/storage/list", connection="weights").status == 200
    assert (tmp_path / "connections.toml").read_bytes() == table
    assert_clean(json.dumps(made), signature(link))


@pytest.mark.parametrize("name", ["none", "", "../x", "a\0", "connections"])
def test_only_what_is_there_is_forgotten(server, tmp_path, name):
    assert server.request("DELETE", API + PATH, query(name=name)).status == 404
    assert list(tmp_path.iterdir()) == []


def test_a_connection_of_the_administrator_stays(server, tmp_path, monkeypatch):
    monkeypatch.delenv("JUPYTER_GPU_CONNECTIONS")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path / "theirs"))
    (tmp_path / "theirs").mkdir()
    shared = tmp_path / "theirs" / "jupyter_gpu_connections.toml"
    shared.write_text('[connections.shared]\nroot = "/tmp"\n')
    assert server.request("DELETE", API + PATH, query(name="shared")).status == 404
    assert "shared" in shared.read_text()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_page_that_only_has_the_cookie_changes_nothing(server, tmp_path, method):
    signed_in = server.request("GET", "/api/status", f"token={TOKEN}")
    cookie = "; ".join(one.partition(";")[0] for one in signed_in.headers.get_all("Set-Cookie"))
    body = json.dumps({"link": "/tmp", "save": True}).encode()
    reply = server.request(method, API + PATH, "name=x", token=None, headers={**JSON, "Cookie": cookie}, body=body)
    assert reply.status == 403
    assert list(tmp_path.iterdir()) == []


def test_a_secret_goes_in_and_never_out(server, post, azurite, container, tmp_path):
    link = container_link(container)
    text = f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};BlobEndpoint={azurite.endpoint}"
    expired = container_link(container, lasts=timedelta(minutes=-1))
    replies = []
    with logged(server.app) as log:
        for name, pasted in {
            "by-link": link,
            "by-key": text,
            "expired": expired,
            "cut": link.replace("sp=", "s="),
        }.items():
            mores = ({}, {"save": True, "name": name}, {"save": True, "name": name, "x": 1})
            replies.extend(post({"link": pasted, **more}) for more in mores)
            replies.append(post(json.dumps({"link": pasted}).encode() + b"}"))
            replies.append(post({"link": pasted}, {"Content-Type": "text/plain"}))
        replies.extend(server.get("/storage/list", connection=name) for name in ("by-link", "by-key"))
        replies.append(server.get(PATH))
    assert {reply.status for reply in replies} >= {200, 400, 424}
    shown = [reply.body.decode() + str(reply.headers) for reply in replies] + [log.text]
    secrets = tmp_path / "jupyter_gpu_secrets"
    shown += [path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.parent != secrets]
    assert {path.name for path in secrets.iterdir()} == {"by-link", "by-key"}
    for one in shown:
        assert_clean(one, AZURITE_KEY, signature(link), signature(expired))
