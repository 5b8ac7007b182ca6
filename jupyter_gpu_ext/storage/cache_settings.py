"""Whether hot data is kept, where, and how much of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "JUPYTER_GPU_CACHE"
BYTES = "JUPYTER_GPU_CACHE_BYTES"

_USUAL_BYTES = 20 << 30
# Of the file system that the folder lies on: /dev/shm is the machine's memory.
_USUAL_SHARE = 4
_LEAST_BYTES = 1 << 20
_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,6})?) ?(?P<prefix>[kKMGT]?)(?P<binary>i?)B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class Settings:
    """The folder and its bound.

    Attributes
    ----------
    most_bytes : int or None
        None for the usual bound: 20 GiB, or a quarter of the file system where that is less.
    """

    folder: Path
    most_bytes: int | None = None

    def bound(self) -> int:
        """Return the bound in bytes; the folder must be there.

        Raises
        ------
        OSError
            When it is not.
        """
        if self.most_bytes is not None:
            return self.most_bytes
        found = os.statvfs(self.folder)
        return min(_USUAL_BYTES, found.f_blocks * found.f_frsize // _USUAL_SHARE)


def wanted(asked: bool | None, environ: Mapping[str, str] = os.environ) -> Settings | None:
    """Return the settings for a read, or None when it does not use the cache.

    Parameters
    ----------
    asked : bool or None
        What the call says; None leaves it to the environment.

    Raises
    ------
    BadRequestError
        When a variable is not of its form.
    """
    if asked is False or (asked is None and not environ.get(FOLDER)):
        return None
    return settings(environ)


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the folder that the environment names, or the usual one.

    Raises
    ------
    BadRequestError
        When a variable is not of its form.
    """
    if named := environ.get(FOLDER):
        folder = Path(os.path.expanduser(named))  # noqa: PTH111 -- an unknown user is no exception
    else:
        # https://specifications.freedesktop.org/basedir-spec/latest/
        home = environ.get("XDG_CACHE_HOME", "")
        folder = Path(home) if home.startswith("/") else Path.home() / ".cache"
        folder = folder / "jupyter_gpu_ext" / "blobs"
    if not folder.is_absolute() or "\0" in str(folder):
        raise BadRequestError(
            f"{FOLDER} names no absolute folder: {redact(named or '')!r}.", hint=f"For example {FOLDER}=/dev/shm/blobs."
        )
    size = environ.get(BYTES)
    return Settings(folder, parse_bytes(size) if size else None)


def parse_bytes(text: str) -> int:
    """Return a size in bytes: '20GiB' is 20 × 2³⁰, '20GB' 20 × 10⁹.

    Raises
    ------
    BadRequestError
        When it is no size, or less than 1 MiB.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found["binary"] and not found["prefix"]):
        raise BadRequestError(f"{BYTES} is no size: {redact(text)!r}.", hint=f"For example {BYTES}=20GiB.")
    base = 1024 if found["binary"] else 1000
    size = int(float(found["number"]) * base ** _POWERS[found["prefix"]])
    if size < _LEAST_BYTES:
        raise BadRequestError(f"{BYTES}={text.strip()} is less than 1 MiB.", hint=f"For example {BYTES}=20GiB.")
    return size
