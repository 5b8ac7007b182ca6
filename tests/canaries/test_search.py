"""A search that finds nothing must be one that would find something."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.canaries import asked
from tests.canaries.search import Finder

SECRET = "p+4/q7XzDq0b3sM1yA9cU8Vh5TtLw2EoKj6RfGiNxs0="
FORMS = {
    "raw": SECRET, "for a URL": quote(SECRET, safe=""), "twice": quote(quote(SECRET, safe=""), safe=""),
    "lower case": quote(SECRET, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
    "base64": base64.b64encode(SECRET.encode()).decode(), "header": base64.b64encode(f"u:{SECRET}".encode()).decode(),
    "header 2": base64.urlsafe_b64encode(f"us:{SECRET}.".encode()).decode(), "hex": SECRET.encode().hex(),
    "upper hex": SECRET.encode().hex().upper(), "reversed": SECRET[::-1], "beginning": SECRET[:20],
    "end": SECRET[-20:], "in a dict": repr({"k": SECRET.encode()}),
    "what it stands for": repr(base64.b64decode(SECRET)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_each_spelling_is_found(form: str) -> None:
    assert Finder({"it": SECRET}).hits({"here": f"before {form} after"})


@given(st.binary(min_size=24, max_size=80), st.text(max_size=5), st.text(max_size=5))
def test_wherever_it_stands(secret: bytes, before: str, after: str) -> None:
    text = base64.b64encode(secret).decode()
    whole = f"{before}{text}{after}".encode()
    for form in (whole, base64.b64encode(whole), whole.hex().encode(), whole[::-1]):
        assert Finder({"it": text}).hits({"here": form})


@pytest.mark.parametrize("text", ["", "***", SECRET[:8], "AccountKey=***;EndpointSuffix=core.windows.net"])
def test_nothing_else_is(text: str) -> None:
    assert Finder({"it": SECRET}).hits({"here": text}) == []


def test_everything_public_is_swept() -> None:
    assert asked.missing() == []


def test_what_is_new_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(asked.ROUTES, ("/storage/list", "get"))
    monkeypatch.delitem(asked.FUNCTIONS, "ls")
    monkeypatch.delitem(asked.WORDS, "url")
    said = "\n".join(asked.missing())
    for part in ("get /storage/list is in openapi.yaml", "jg.ls is public", "blob info takes URL"):
        assert part in said
