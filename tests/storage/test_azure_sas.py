"""Writing over a connection that a signed link made: the source of a copy must carry the signature too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import writable
from jupyter_gpu_ext.storage.loop import LOOP
from tests.storage.signed import container_link

if TYPE_CHECKING:
    from tests.conftest import Azurite


@pytest.fixture
def signed(azurite: Azurite) -> str:
    """Connect a link that may write, and return the connection's name."""
    link = container_link(azurite.new_container(), rights="rwcdl")
    return jg.connect(link, name="signed", read_only=False).url.partition("://")[0]


def test_copy_and_delete(signed: str) -> None:
    with jg.open(f"{signed}://a b#.txt", "w") as file:
        file.write("one")
    backend = writable(connections.load().find(signed))
    LOOP.run(backend.copy("a b#.txt", "c/d.txt", overwrite=False))
    LOOP.run(backend.delete("a b#.txt"))
    assert jg.fs(signed).cat("c/d.txt") == b"one"
    assert not jg.fs(signed).exists("a b#.txt")


def test_the_new_name_is_a_scheme_at_once(signed: str) -> None:
    with fsspec.open(f"{signed}://x.txt", "wb") as file:
        file.write(b"two")
    with fsspec.open(f"{signed}://x.txt", "rb") as file:
        assert file.read() == b"two"
