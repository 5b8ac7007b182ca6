"""Whose folder the cache's is: made by this user, written to by nobody else, with nothing else in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, DeniedError
from jupyter_gpu_ext.storage.cache_settings import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARK = "jupyter_gpu_ext-cache-1"
_MARK_TEXT = "Written by jupyter_gpu_ext; `jupyter blob cache clear` empties it.\n"
# What a fresh file system brings with it.
_HARMLESS = {"lost+found", MARK}
_LOCK = "lock"
_RETRY_SECONDS = 0.002
# One thread of a process asks at a time: those that poll side by side would keep each other waiting.
_TURN = threading.Lock()


def prepare(folder: Path) -> None:
    """Make the folder where it is missing; refuse one that is not ours alone.

    Raises
    ------
    DeniedError
        When another user owns it, or may write to it: what is read from it could be anybody's.
    BadRequestError
        When it holds other files.
    OSError
        When it cannot be made or looked at.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_owner(folder)
    if is_ours(folder):
        return
    if {one.name for one in folder.iterdir()} - _HARMLESS:
        raise BadRequestError(
            f"{folder} holds other files and is no cache.", hint=f"Name an empty or a new folder in {FOLDER}."
        )
    with os.fdopen(os.open(folder / MARK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as mark:
        mark.write(_MARK_TEXT)


def is_ours(folder: Path) -> bool:
    """Tell whether a cache was begun there."""
    return (folder / MARK).is_file()


def check_owner(folder: Path) -> None:
    """Refuse a folder that somebody else can put files into, or put another one in place of.

    Raises
    ------
    DeniedError
        Saying which folder it is.
    OSError
        When there is none.
    """
    place = folder.resolve()
    found = place.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise BadRequestError(f"{folder} is no folder.", hint=f"Name a new folder in {FOLDER}.")
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DeniedError(
            f"{folder} belongs to another user, or others may write to it.",
            hint=f"Name a folder of your own in {FOLDER}: a new one below it is made by itself.",
        )
    for above in place.parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise DeniedError(
                f"Everybody may replace what lies in {above}.", hint=f"Name a folder elsewhere in {FOLDER}."
            )


@contextlib.contextmanager
def locked(folder: Path, patience_seconds: float) -> Iterator[None]:
    """Hold the folder against every other thread and process; the kernel frees what a dead one held.

    Raises
    ------
    TimeoutError
        When another holder does not let go in time.
    OSError
        When the folder is gone or cannot be written to.
    """
    deadline = time.monotonic() + patience_seconds
    if not _TURN.acquire(timeout=patience_seconds):
        raise TimeoutError("the cache is busy")
    try:
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _wait(file, deadline)
            try:
                yield
            finally:
                # A child forked meanwhile holds the same lock: closing alone would leave it to the child.
                fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            os.close(file)
    finally:
        _TURN.release()


def _wait(file: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError("the cache is busy") from None
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _new_turn() -> None:
    # The thread that held it did not survive the fork.
    global _TURN  # noqa: PLW0603 -- one a process
    _TURN = threading.Lock()


os.register_at_fork(after_in_child=_new_turn)
