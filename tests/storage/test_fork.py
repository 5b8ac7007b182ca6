"""A forked child: its parent's clients are of no use to it, and it must say so rather than wait for ever."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader

if TYPE_CHECKING:
    from tests.conftest import Store


def head(url: str) -> bytes:
    return LOOP.run(open_reader(url)).head


def in_a_fork(url: str) -> str:
    """Return what a forked child says of reading an object; a child that hangs says nothing."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        # No test framework runs in the child.
        signal.alarm(20)
        said = ""
        try:
            said = head(url).decode()
        except BadRequestError as error:
            said = f"refused: {error.hint}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_the_network_is_refused_where_the_parent_used_it(azure_store: Store) -> None:
    azure_store.put("x", b"12345")
    assert head("weights://x") == b"12345"
    assert in_a_fork("weights://x").startswith("refused: Start workers with spawn")
    assert head("weights://x") == b"12345"


def test_a_folder_is_read_all_the_same(local_store: Store) -> None:
    local_store.put("x", b"12345")
    assert head("disk://x") == b"12345"
    assert in_a_fork("disk://x") == "12345"
