"""What a write says when the object is there, is gone, or is another one by now."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, ExistsError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.storage.connections import Connection


@contextmanager
def conditional(connection: Connection, key: str, *, expected: str | None) -> Iterator[None]:
    """Translate what a conditional write raises; `expected` is the ETag it asked for, None for no object."""
    try:
        with translated(connection, key):
            yield
    except (ObjectChangedError, ExistsError):
        raise (exists if expected is None else changed)(connection.name, key) from None


def exists(name: str, key: str) -> ExistsError:
    """Return the error of a write that must not replace."""
    return ExistsError(
        f"{name}://{printable(key)} exists.", hint="Choose another name, or replace it: --overwrite (overwrite=True)."
    )


def changed(name: str, key: str) -> ObjectChangedError:
    """Return the error of a write or a removal that meant another version."""
    return ObjectChangedError(
        f"{name}://{printable(key)} was replaced meanwhile; it was left as it is.", hint="Look at it, then try again."
    )


def missing(name: str, key: str) -> NotFoundError:
    """Return the error of an object that is not there."""
    return NotFoundError(
        f"{name}://{printable(key)} does not exist.",
        hint=f"`%blob ls {name}://` shows what is there; names are case-sensitive.",
    )


def upload_gone(name: str, key: str) -> NotFoundError:
    """Return the error of an upload that cannot be resumed."""
    return NotFoundError(
        f"Nothing is left of this upload of {name}://{printable(key)}.", hint="Start it again from the first byte."
    )


def check_target(key: str) -> None:
    """Refuse a key under which nothing can be written."""
    if not key or key.endswith("/"):
        raise BadRequestError(f"{printable(key)!r} names no object.", hint="End the key with a file name.")


def check_folder(key: str) -> None:
    """Refuse a key that is no folder's."""
    if not key.strip("/") or not key.endswith("/"):
        raise BadRequestError(f"{printable(key)!r} names no folder.", hint="End the key with a slash.")
