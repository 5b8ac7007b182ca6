from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from jupyter_server.auth import Authorizer

from tests.server import check_auth
from tests.server.contract import OPERATIONS, PATHS, SPEC, check, concrete
from tests.server.live import API, TOKEN

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Recording(Authorizer):
    """Grants all but what is refused, and remembers what was asked."""

    refused: frozenset[tuple[str, str]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def is_authorized(self, _handler, _user, action, resource):
        self.asked.append((action, resource))
        return (action, resource) not in self.refused


class DenyAll(Authorizer):
    def is_authorized(self, *_):
        return False


class DenyAllLater(Authorizer):
    async def is_authorized(self, *_):
        await asyncio.sleep(0)
        return False


class GrantLater(Authorizer):
    async def is_authorized(self, *_):
        await asyncio.sleep(0)
        return True


@pytest.fixture
def authorizer(server):
    """Set the server's authorizer for one test."""
    settings = server.app.web_app.settings
    before = settings["authorizer"]

    def use(one):
        settings["authorizer"] = one
        return one

    yield use
    settings["authorizer"] = before


@pytest.mark.parametrize("token", [None, "bad", TOKEN[:-1], ""], ids=["none", "bad", "short", "empty"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_strangers_get_nothing(server, path, method, token):
    reply = server.request(method, API + concrete(path), token=token)
    if method == "OPTIONS":
        # A browser's preflight carries no token by design, and learns no more than the methods of the web.
        assert (reply.status, reply.body) == (200, b"")
        return
    assert reply.status == 403
    assert method == "HEAD" or reply.json["code"] == "forbidden"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", PATHS)
def test_verbs_that_are_not_in_the_contract_do_not_exist(server, path, method):
    if method.lower() in SPEC["paths"][path] or method == "OPTIONS":
        return
    reply = server.request(method, API + concrete(path), headers={"X-HTTP-Method-Override": "GET"})
    assert reply.status == 405
    assert method == "HEAD" or set(reply.json) == {"code", "message", "hint"}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_permission_asked_for_is_exactly_the_one_in_the_contract(server, authorizer, path, method):
    recording = authorizer(Recording())
    server.request(method.upper(), API + concrete(path), "connection=none&key=x")
    action, resource = SPEC["paths"][path][method]["x-authorized"].split()
    assert recording.asked[0] == (action, resource)
    assert recording.asked[1:] == ([("execute", "kernels")] if path == "/gpu/status" else [])


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize("kind", [DenyAll, DenyAllLater])
def test_a_refused_person_gets_403(server, authorizer, kind, path, method):
    authorizer(kind())
    reply = server.request(method.upper(), API + concrete(path), "connection=none&key=x")
    assert reply.status == 403
    assert check(path, reply, method)["code"] == "forbidden"


def test_an_authorizer_that_answers_later_can_grant(server, authorizer):
    authorizer(GrantLater())
    assert server.get("/gpu/status").status == 200


def test_a_permission_taken_away_counts_at_once(server, authorizer):
    recording = authorizer(Recording())
    assert server.get("/storage/connections").status == 200
    recording.refused = frozenset({("read", "connections")})
    assert server.get("/storage/connections").status == 403
    assert server.get("/gpu/status").status == 200


@pytest.fixture(scope="module")
def cookie(server):
    """Return what the browser of a signed-in person sends along."""
    reply = server.request("GET", "/api/status", f"token={TOKEN}")
    return "; ".join(one.partition(";")[0] for one in reply.headers.get_all("Set-Cookie"))


def test_a_page_of_this_server_is_signed_in_by_its_cookie(server, cookie):
    reply = server.request("GET", API + "/gpu/status", token=None, headers={"Cookie": cookie})
    assert reply.status == 200


@pytest.mark.parametrize(("path", "method"), [one for one in OPERATIONS if one[1] != "get"])
def test_what_changes_something_needs_the_cookie_twice(server, cookie, path, method):
    reply = server.request(method.upper(), API + concrete(path), token=None, headers={"Cookie": cookie})
    assert reply.status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_foreign_page_gets_nothing_by_that_cookie(server, cookie, origin):
    headers = {"Origin": origin, "Cookie": cookie}
    reply = server.request("GET", API + "/gpu/status", token=None, headers=headers)
    # Jupyter's own answer to a foreign page.
    assert (reply.status, reply.json["code"]) == (404, "not_found")
    preflight = server.request("OPTIONS", API + "/gpu/status", token=None, headers=headers)
    assert "Access-Control-Allow-Origin" not in preflight.headers


def test_replies_are_kept_by_nobody_and_run_nowhere(server):
    headers = server.get("/gpu/status").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_every_verb_of_the_room_says_who_may_call_it():
    assert subprocess.run([sys.executable, check_auth.__file__], check=False).returncode == 0


BARE = "needs @authenticated, then @authorized"
BAD_HANDLERS = {
    "no decorator": ("async def get(self): ...", BARE),
    "not authorized": ("@authenticated\n    async def get(self): ...", BARE),
    "not authenticated": ('@authorized("read", resource="gpu")\n    def get(self): ...', BARE),
    "bare": ("@authenticated\n    @authorized\n    def get(self): ...", BARE),
    "no resource": ('@authenticated\n    @authorized("read")\n    def get(self): ...', BARE),
    "not written out": ('@authenticated\n    @authorized(ACTION, resource="gpu")\n    def get(self): ...', BARE),
    "wrong order": ('@authorized("read", resource="gpu")\n    @authenticated\n    def get(self): ...', BARE),
    "unknown resource": (
        '@authenticated\n    @authorized("read", resource="api")\n    def get(self): ...',
        "nobody grants",
    ),
    "shared": ("get = other", "is another verb's function"),
}


@pytest.mark.parametrize(("body", "problem"), BAD_HANDLERS.values(), ids=BAD_HANDLERS)
def test_a_verb_that_does_not_say_who_may_call_it_is_named(tmp_path, capsys, body, problem):
    (tmp_path / "handlers.py").write_text(f"class Bad(Handler):\n    {body}\n")
    assert check_auth.main(tmp_path) == 1
    printed = capsys.readouterr().out
    assert "Bad.get" in printed
    assert problem in printed


def test_a_folder_without_handlers_is_no_success(tmp_path):
    assert check_auth.main(tmp_path) == 1
