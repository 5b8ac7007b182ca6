from __future__ import annotations

import http.server
import re
import threading
from contextlib import contextmanager

import pytest
from jupyter_server.auth.decorator import authorized
from tornado.web import HTTPError, MissingArgumentError, authenticated

from jupyter_gpu_ext import errors
from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import State
from jupyter_gpu_ext.server.base import Handler
from tests.conftest import AZURITE_KEY, write_connections
from tests.server.contract import check
from tests.server.live import API, logged

STATUS = {
    "bad_request": 400,
    "not_found": 404,
    "object_changed": 409,
    "exists": 409,
    "archived": 409,
    "not_linked": 409,
    "too_large": 413,
    "range": 416,
    "unsupported_format": 422,
    "export_refused": 422,
    "device": 422,
    "denied": 424,
    "expired": 424,
    "no_credential": 424,
    "throttled": 429,
    "busy": 429,
    "internal": 500,
    "not_installed": 501,
    "bad_storage_reply": 502,
    "unreachable": 502,
    "storage_timeout": 504,
}

KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, GpuExtError)]


@pytest.fixture
def raising(server):
    """Return a function that lets a handler of the running server raise an error, and gives its reply."""
    raised: list[BaseException] = []

    class Raising(Handler):
        @authenticated
        @authorized("read", resource="gpu")
        async def get(self) -> None:
            raise raised[0]

    path = f"/test/raise-{id(raised)}"
    route = (server.app.base_url.rstrip("/") + API + path, Raising)
    server.call(lambda: server.app.web_app.add_handlers(".*$", [route]))

    def ask(error):
        raised[:] = [error]
        return server.get(path)

    return ask


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_of_error_has_its_status_and_says_all_it_knows(raising, kind):
    reply = raising(kind("It did not work.", hint="Do this."))
    assert reply.status == STATUS[kind.code]
    assert reply.json == {"code": kind.code, "message": "It did not work.", "hint": "Do this."}


def test_every_status_is_one_of_a_kind_of_error():
    assert {kind.code for kind in KINDS} == set(STATUS)


def test_an_error_of_another_room_is_one_of_its_family(raising):
    reply = raising(BackendError(State.BLOCKED, "Blocked.", "Ask."))
    assert (reply.status, reply.json["code"]) == (422, "device")


SECRETS = {
    "key": AZURITE_KEY,
    "connection string": f"DefaultEndpointsProtocol=https;AccountKey={AZURITE_KEY};",
    "link": "https://a.example/c/k?sv=2024&sig=c2VjcmV0LXNpZ25hdHVyZQ%3D%3D&se=2030",
    "header": "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.secret",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_surprise_is_500_with_an_id_that_is_in_the_log_and_no_secret_in_either(server, raising, secret):
    with logged(server.app) as log:
        reply = raising(RuntimeError(f"cannot open {secret}"))
    assert reply.status == 500
    assert set(reply.json) == {"code", "message", "hint"}
    assert reply.json["code"] == "internal"
    mark = re.search(r"\(error ([0-9a-f]{8})\)", reply.json["message"])[1]
    assert f"error {mark}" in log.text
    assert "raise raised[0]" in log.text, "the log has the traceback"
    for text in (reply.body.decode(), log.text):
        assert "c2VjcmV0" not in text
        assert AZURITE_KEY not in text
        assert "eyJhbGci" not in text
    assert b"Traceback" not in reply.body


@pytest.mark.parametrize("kind", [errors.UnreachableError, errors.BadRequestError])
def test_a_secret_in_an_error_of_ours_is_blotted_out(server, raising, kind):
    with logged(server.app) as log:
        reply = raising(kind(f"No answer from {SECRETS['link']}.", hint=f"Check {SECRETS['connection string']}"))
    for text in (reply.body.decode(), log.text):
        assert "c2VjcmV0" not in text
        assert AZURITE_KEY not in text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (HTTPError(400, "AccountKey=abc", reason="AccountKey=abc"), 400, "bad_request"),
        (MissingArgumentError("x"), 400, "bad_request"),
        (HTTPError(403), 403, "forbidden"),
        (HTTPError(404), 404, "not_found"),
        (HTTPError(405), 405, "method_not_allowed"),
        (HTTPError(418), 418, "refused"),
        (HTTPError(503), 503, "refused"),
    ],
)
def test_what_the_web_server_refuses_has_the_same_form(raising, error, status, code):
    reply = raising(error)
    assert reply.status == status
    assert set(reply.json) == {"code", "message", "hint"}
    assert reply.json["code"] == code
    assert b"AccountKey" not in reply.body


def test_an_unknown_path_below_the_api_is_not_found(server):
    assert server.get("/gpu/none").status == 404


@contextmanager
def canary():
    """Listen where the server must never ask; give the requests that came."""
    hits: list[str] = []

    class Catch(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Catch)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield listener.server_port, hits
    finally:
        listener.shutdown()
        listener.server_close()


LIST, OBJECT, INFO, PLAN = "/storage/list", "/storage/object", "/tensors/info", "/tensors/plan"
LIMITS = [
    "0",
    "-1",
    "1001",
    "1000000000",
    "NaN",
    "inf",
    "1.5",
    "1e3",
    "",
    " 1",
    "+1",
    "٣",
    "0x10",
    str(2**63),
    "9" * 400,
]
KEYS = {
    "NUL": ("a\0b", 400),
    "not UTF-8": (b"\xff\xfe", 400),
    "half a surrogate": (b"\xed\xa0\x80", 400),
    "too long": ("k" * 4097, 400),
    "too long in bytes": ("é" * 2049, 400),
    "up": ("../secret.txt", 400),
    "up from within": ("a/../../secret.txt", 400),
    "sibling of the root": ("../disk2/secret.txt", 400),
    "here": ("./a.txt", 400),
    "twice a slash": ("sub//a.txt", 400),
    "absolute": ("/etc/passwd", 400),
    "encoded": ("%2e%2e/secret.txt", 404),
    "line break": ("a\r\nSet-Cookie: x=1", 404),
    "backslash": ("..\\secret.txt", 404),
    "link out": ("out/secret.txt", 424),
    "empty": ("", 400),
    "folder": ("sub", 400),
}
NAMES = {
    "prototype": "__proto__",
    "path": "../x",
    "protocol": "file",
    "another": "az",
    "chained": "simplecache::disk",
    "nothing": "",
    "NUL": "disk\0",
    "upper case": "DISK",
    "url": "http://127.0.0.1:{port}/x",
    "decimal": "http://2130706433:{port}/x",
    "octal": "http://0177.0.0.1:{port}/x",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/x",
    "user": "https://disk@127.0.0.1:{port}/x",
    "metadata": "http://169.254.169.254/metadata/instance",
    "file url": "file:///etc/passwd",
    "disk url": "disk://a.txt",
}

ROWS = [
    *(pytest.param(LIST, {"limit": limit}, 400, id=f"limit {limit[:12]!r}") for limit in LIMITS),
    pytest.param(LIST, {"limit": ["1", "2"]}, 400, id="limit twice"),
    *(
        pytest.param("/gpu/status", {"since": since}, 400, id=f"since {since[:12]!r}")
        for since in ("-1", "NaN", str(2**63))
    ),
    pytest.param("/gpu/status", {"since": ["1", "1"]}, 400, id="since twice"),
    *(pytest.param(path, {}, 400, id=f"{path} without a key") for path in (OBJECT, INFO, PLAN)),
    *(pytest.param(path, {"key": ["a.txt", "b"]}, 400, id=f"{path} key twice") for path in (OBJECT, INFO, PLAN)),
    *(
        pytest.param(path, {"key": key}, status, id=f"{path} key {name}")
        for path in (OBJECT, INFO, PLAN)
        for name, (key, status) in KEYS.items()
    ),
    *(
        pytest.param(LIST, {"prefix": key}, status, id=f"prefix {name}")
        for name, (key, status) in KEYS.items()
        if name not in ("empty", "folder")
    ),
    pytest.param(LIST, {"prefix": "a.txt"}, 404, id="prefix is a file"),
    *(
        pytest.param(LIST, {"page_token": token}, 400, id=f"page token {name}")
        for name, token in {"forged": "e30=", "no base64": "$$$", "not ASCII": "é", "long": "A" * 5000}.items()
    ),
    pytest.param(PLAN, {"key": "a.txt", "keys": [b"\xff"]}, 400, id="glob not UTF-8"),
    pytest.param(PLAN, {"key": "a.txt", "keys": ["*"] * 501}, 400, id="globs without end"),
    *(
        pytest.param(path, {"connection": name, "key": "a.txt"}, None, id=f"{path} connection {what}")
        for path in (LIST, OBJECT, INFO, PLAN)
        for what, name in NAMES.items()
    ),
    pytest.param(LIST, {"connection": ["disk", "disk"]}, 400, id="connection twice"),
    pytest.param(OBJECT, {"connection": b"\xff", "key": "a.txt"}, 400, id="connection not UTF-8"),
]


@pytest.fixture(scope="module")
def trap():
    with canary() as found:
        yield found


@pytest.mark.parametrize(("path", "arguments", "status"), ROWS)
def test_a_bad_argument_is_refused_in_one_sentence(server, local_store, tmp_path, trap, path, arguments, status):
    local_store.put("a.txt", b"a")
    local_store.put("sub/a.txt", b"a")
    (tmp_path / "disk2").mkdir()
    for folder in (tmp_path, tmp_path / "disk2"):
        (folder / "secret.txt").write_text("the canary")
    (local_store.folder / "out").symlink_to(tmp_path)
    port, hits = trap
    asked = {"connection": "disk"} if path != "/gpu/status" else {}
    asked |= arguments
    if isinstance(asked.get("connection"), str):
        asked["connection"] = asked["connection"].replace("{port}", str(port))
    reply = server.get(path, **asked)
    assert reply.status == status or (status is None and reply.status in (400, 404))
    said = check(path, reply)
    assert set(said) == {"code", "message", "hint"}
    assert said["message"].endswith((".", "?"))
    assert "\n" not in said["message"]
    assert "\0" not in said["message"]
    assert said["hint"]
    assert b"canary" not in reply.body
    assert "x=1" not in str(reply.headers)
    assert hits == []


def test_a_page_token_is_good_for_its_own_folder_and_connection_only(server, tmp_path):
    for name in ("one", "two"):
        for key in ("a", "b", "sub/a", "sub/b"):
            path = tmp_path / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    write_connections(
        tmp_path / "connections.toml", **{name: {"root": str(tmp_path / name)} for name in ("one", "two")}
    )
    token = server.get(LIST, connection="one", limit=1).json["next_token"]
    assert server.get(LIST, connection="one", limit=1, page_token=token).status == 200
    for moved in ({"connection": "two"}, {"connection": "one", "prefix": "sub/"}):
        assert server.get(LIST, limit=1, page_token=token, **moved).status == 400
    for place in (0, 40, len(token) - 1):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert server.get(LIST, connection="one", limit=1, page_token=changed).status == 400
