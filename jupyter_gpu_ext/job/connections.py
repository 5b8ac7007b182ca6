"""Which connections file an exported script uses: the one that it is given, its own, or the person's."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.connections import FILE_NAME, load
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_gpu_ext.storage.connections import Connection, Registry

_VARIABLE = "JUPYTER_GPU_CONNECTIONS"


@contextmanager
def chosen(script: Path) -> Iterator[None]:
    """Let this process, for the time of the block, use the connections that the script would."""
    before = os.environ.get(_VARIABLE)
    choose(script, None)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_VARIABLE, None)


def choose(script: Path, asked: Path | None) -> None:
    """Decide it for this process, and for those that it starts.

    The file beside the script counts where nothing else is said; unless the person's own files know all of its
    connections as the same places, as on the machine of who exported it: then the secrets are where they are kept.

    Parameters
    ----------
    script : Path
    asked : Path or None
        What the command line says.

    Raises
    ------
    BadRequestError
        When the file that is asked for is not there.
    """
    if asked is not None:
        if not asked.is_file():
            raise BadRequestError(f"--connections {printable(str(asked))} is no file.", hint="Name the file.")
        os.environ[_VARIABLE] = str(asked.absolute())
        return
    beside = script.with_name(FILE_NAME)
    if not os.environ.get(_VARIABLE) and beside.is_file() and not _known(_load(beside), load()):
        os.environ[_VARIABLE] = str(beside.absolute())


def _load(file: Path) -> Registry:
    return load({_VARIABLE: str(file)})


def _known(those: Registry, own: Registry) -> bool:
    return bool(those.connections) and all(
        name in own.connections and _place(one) == _place(own.connections[name])
        for name, one in those.connections.items()
    )


def _place(one: Connection) -> Connection:
    return replace(one, secret="", credential="", profile="", read_only=True)
