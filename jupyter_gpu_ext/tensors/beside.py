"""A file or a folder of this machine that is made beside its place, and gets its name when it is whole."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, ExistsError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage.local_upload import rename, temporary
from jupyter_gpu_ext.tensors.uninterrupted import uninterrupted
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

_STORE_MARKS = ("zarr.json", ".zgroup", ".zarray")


def local_path(text: str | os.PathLike[str]) -> Path:
    """Return the path that a text means; any text that is no URL is one.

    Raises
    ------
    BadRequestError
        When it is a URL, or names nothing.
    """
    plain = os.fspath(text)
    if "://" in plain:
        raise BadRequestError(
            f"{printable(redact(plain[:200]))!r} is not a path of this machine.",
            hint="A sample is local; `%blob cp -r` copies it on from there.",
        )
    if not plain.strip() or "\0" in plain:
        raise BadRequestError(f"{printable(plain[:200])!r} names no file.", hint="For example ./sample.zarr")
    path = Path(plain).expanduser().absolute()
    if path.name in ("", ".."):
        raise BadRequestError(f"{printable(plain[:200])!r} names no file.", hint="For example ./sample.zarr")
    return path


@contextmanager
def made_beside(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a hidden name beside `target`, for a file or a folder that gets the target's name at the end.

    Parameters
    ----------
    overwrite : bool
        Replace the file, or the Zarr store, that is there.

    Raises
    ------
    ExistsError
        When the name is taken.
    NotFoundError, DeniedError, BadRequestError
        When nothing can be written there; what the block itself raises passes, and nothing is left of it.
    """
    with translated(target):
        _check_free(target, overwrite=overwrite)
        with temporary(target) as hidden:
            whole = hidden.with_name("whole")
            try:
                yield whole
                with uninterrupted():
                    _name(whole, target, overwrite=overwrite)
            finally:
                # Before the block's own removal, which a second interrupt could cut short.
                with uninterrupted():
                    shutil.rmtree(hidden.parent, ignore_errors=True)


def _check_free(target: Path, *, overwrite: bool) -> None:
    shown = printable(str(target))
    if not target.parent.is_dir():
        raise NotFoundError(f"The folder {printable(str(target.parent))} does not exist.", hint="Make it first.")
    try:
        target.lstat()
    except FileNotFoundError:
        return
    if not overwrite:
        raise ExistsError(f"{shown} exists.", hint="Choose another name, or replace it: --overwrite (overwrite=True).")
    if target.is_dir() and (target.is_symlink() or not any((target / mark).is_file() for mark in _STORE_MARKS)):
        raise ExistsError(f"{shown} is a folder and no Zarr store; it is not replaced.", hint="Choose another name.")


def _name(whole: Path, target: Path, *, overwrite: bool) -> None:
    _check_free(target, overwrite=overwrite)
    if whole.is_file() and not target.is_dir():
        rename(whole, target, replace=overwrite)
        return
    before = whole.with_name("before")
    replaces = os.path.lexists(target)
    if replaces:
        target.rename(before)
    try:
        whole.rename(target)
    except OSError:
        if replaces:
            before.rename(target)
        raise


@contextmanager
def translated(target: Path) -> Iterator[None]:
    """Turn what the file system says of `target`, or of what is beside it, into one of our errors."""
    shown = printable(str(target))
    try:
        yield
    except GpuExtError:
        raise
    except FileExistsError:
        raise ExistsError(f"{shown} was made by someone else meanwhile.", hint="Choose another name.") from None
    except PermissionError:
        raise DeniedError(f"This user may not write {shown}.", hint="Check the folder's owner and mode.") from None
    except OSError as error:
        raise BadRequestError(
            f"{shown} cannot be written ({error.strerror or error}).", hint="Check the name and the room on the disk."
        ) from None
