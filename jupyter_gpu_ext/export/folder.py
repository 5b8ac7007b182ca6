"""Write a job's folder, whole or not at all; what a person changed in it is not lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext._version import __version__
from jupyter_gpu_ext.errors import BadRequestError, ExistsError
from jupyter_gpu_ext.storage.connections import FILE_NAME
from jupyter_gpu_ext.storage.local_upload import temporary
from jupyter_gpu_ext.tensors.beside import made_beside, translated
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECORD, PROOF = "export.json", "proof"
_EARLIER = ".before"


def write(files: Mapping[str, str], folder: Path, *, overwrite: bool = False) -> tuple[str, ...]:
    """Write the files of a job.

    Parameters
    ----------
    files : mapping of str to str
        The text of each by its name.
    overwrite : bool
        An earlier export is replaced, and its proof goes unless every file stays the same. What was changed by hand
        since then is kept under its name with '.before', and connections that were filled in stay.

    Returns
    -------
    tuple of str
        What was kept.

    Raises
    ------
    ExistsError
        When the folder is there, and is not to be replaced or is no export.
    """
    texts = {**files, RECORD: _record(files)}
    earlier = check_free(folder, overwrite=overwrite)
    if earlier is None:
        with made_beside(folder, overwrite=False) as whole:
            whole.mkdir()
            for name, text in texts.items():
                (whole / name).write_text(text, encoding="utf-8")
        return ()
    with translated(folder):
        kept = _replace(texts, folder, earlier)
        if read_record(folder) != earlier:
            # What was proven is another script.
            shutil.rmtree(folder / PROOF, ignore_errors=True)
    return kept


def check_free(folder: Path, *, overwrite: bool) -> dict[str, str] | None:
    """Return the record of the earlier export that is to be replaced, None where there is nothing.

    Raises
    ------
    ExistsError
        As `write` does.
    """
    if not os.path.lexists(folder):
        return None
    earlier = read_record(folder) if folder.is_dir() and not folder.is_symlink() else None
    if earlier is None or not overwrite:
        hint = "Choose another folder." if earlier is None else "Choose another folder, or replace it: --overwrite."
        raise ExistsError(f"{printable(str(folder))} exists.", hint=hint)
    return earlier


def read_record(folder: Path) -> dict[str, str] | None:
    """Return the SHA-256 of each file as it was written; None where the folder is no export."""
    try:
        files: Any = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items() if "/" not in name}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def changed(folder: Path) -> dict[str, str]:
    """Return what is not as it was written, by name: 'changed' or 'missing'.

    Raises
    ------
    BadRequestError
        When the folder is no export.
    """
    record = read_record(folder)
    if record is None:
        raise BadRequestError(
            f"{printable(str(folder))} is no exported job.", hint="Make one: jupyter gpu export NOTEBOOK -o FOLDER"
        )
    found = {}
    for name, digest in record.items():
        if (now := _digest_of(folder / name)) != digest:
            found[name] = "changed" if now else "missing"
    return found


def _replace(texts: Mapping[str, str], folder: Path, earlier: Mapping[str, str]) -> tuple[str, ...]:
    by_hand = {name for name, digest in earlier.items() if _digest_of(folder / name) not in ("", digest)}
    # A file of the same name that no export wrote is a person's as well.
    by_hand |= {name for name in texts if name not in earlier and name != RECORD and (folder / name).exists()}
    kept = []
    with temporary(folder / RECORD) as hidden:
        whole = hidden.with_name("whole")
        whole.mkdir()
        for name, text in texts.items():
            (whole / name).write_text(text, encoding="utf-8")
        # The record comes last: until then the folder is the earlier export, with some files changed.
        for name in [*(one for one in texts if one != RECORD), RECORD]:
            if name in by_hand and name == FILE_NAME:
                kept.append(name)
                continue
            if name in by_hand:
                (folder / name).replace(_free(folder, name))
                kept.append(name)
            (whole / name).replace(folder / name)
        for name in earlier.keys() - texts.keys() - by_hand:
            with contextlib.suppress(FileNotFoundError):
                (folder / name).unlink()
    return tuple(kept)


def _free(folder: Path, name: str) -> Path:
    target, number = folder / f"{name}{_EARLIER}", 2
    while target.exists():
        target, number = folder / f"{name}{_EARLIER}{number}", number + 1
    return target


def _record(files: Mapping[str, str]) -> str:
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    return json.dumps({"jupyter_gpu_ext": __version__, "files": digests}, indent=1) + "\n"


def _digest_of(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
