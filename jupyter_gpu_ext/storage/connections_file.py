"""Write to the user's connections file: a table more, a table less; what stands there stays as it is.

The file is the person's own, with comments, so it is changed as text; the text is read back as TOML before it
replaces the file, and nothing is written unless it says exactly what was meant.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, ExistsError, GpuExtError, NotFoundError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_gpu_ext.storage.credentials import Secret

SECRETS = "jupyter_gpu_secrets"
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def add(path: Path, name: str, fields: Mapping[str, str | bool], secret: Secret | None) -> None:
    """Append a connection, and keep its secret in a file of its own that only this user can read.

    Parameters
    ----------
    path : Path
        The connections file; made where it is missing.
    fields : mapping
        What the table will say, without the secret's place.

    Raises
    ------
    ExistsError
        When the file has that name already.
    BadRequestError
        When the file is not of a form that can be added to.
    """
    with _locked(path) as file:
        before, tables = _read(file)
        if name in tables:
            raise ExistsError(f"There is a connection {name!r} already.", hint="Choose another name.")
        place = file.parent / SECRETS / name
        entry = {**fields, "secret": f"file:{place}"} if secret else dict(fields)
        # json's escapes are TOML's, for text without control characters.
        rows = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        after = f"{before}{gap}" + "\n".join([f"[connections.{name}]", *rows]) + "\n"
        _expect(file, after, {**tables, name: entry})
        if secret is not None:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            place.parent.chmod(0o700)
            _replace(place, secret.reveal() + "\n", 0o600)
        try:
            _replace(file, after, None)
        except BaseException:
            place.unlink(missing_ok=True)
            raise


def remove(path: Path, name: str) -> None:
    """Take a connection out of the file, and delete its secret where it lies beside it.

    Raises
    ------
    NotFoundError
        When this file has no such connection.
    BadRequestError
        When its table cannot be told from the rest of the text.
    """
    with _locked(path) as file:
        before, tables = _read(file)
        if name not in tables:
            raise NotFoundError(f"{path} has no connection {name!r}.", hint="Only your own connections can be removed.")
        rest = {key: value for key, value in tables.items() if key != name}
        after = _without(before, name)
        _expect(file, after, rest)
        _replace(file, after, None)
        place = file.parent / SECRETS / name
        if tables[name].get("secret") == f"file:{place}":
            place.unlink(missing_ok=True)


def renew(path: Path, name: str, secret: Secret) -> None:
    """Replace the secret that `add` wrote for a connection; its table stays as it is.

    Raises
    ------
    BadRequestError
        When the connection's secret is kept elsewhere.
    """
    with _locked(path) as file:
        _, tables = _read(file)
        place = file.parent / SECRETS / name
        if tables.get(name, {}).get("secret") != f"file:{place}":
            raise BadRequestError(f"The secret of {name!r} is kept elsewhere.", hint="Put the new one there.")
        _replace(place, secret.reveal() + "\n", 0o600)


def _without(text: str, name: str) -> str:
    words = rf"[ \t]*connections[ \t]*\.[ \t]*[\"']?{re.escape(name)}[\"']?[ \t]*"
    header = re.search(rf"^[ \t]*\[{words}\].*$", text, re.MULTILINE)
    if header is None:
        return text
    following = _TABLE.search(text, header.end())
    end = following.start() if following else len(text)
    # Comments right above the next table are the next table's.
    body = text[header.end() : end]
    kept = re.search(r"\n(?P<above>([ \t]*(#[^\n]*)?\n)*)\Z", body)
    above = kept["above"].lstrip("\n") if kept and following else ""
    return text[: header.start()] + above + text[end:]


def _expect(file: Path, text: str, tables: Mapping[str, Any]) -> None:
    with contextlib.suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(text).get("connections", {}) == tables:
            return
    raise BadRequestError(
        f"{file} is written in a form that cannot be changed safely; it was left as it is.",
        hint="Change it by hand: a table [connections.NAME] for each connection.",
    )


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        # Byte for byte: line ends are the person's own.
        text = file.read_bytes().decode() if file.exists() else ""
        tables = tomllib.loads(text).get("connections", {})
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise BadRequestError(f"{file} is not valid TOML; it was left as it is.", hint="Correct the file.") from None
    if not isinstance(tables, dict):
        raise BadRequestError(f"{file}: connections is no table.", hint="Write [connections.NAME].")
    return text, tables


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold the file's folder, so that no second writer reads what is about to change; give the file itself."""
    try:
        # A link stays one: dotfiles are often kept elsewhere.
        file = path.resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(folder)
    except GpuExtError:
        raise
    except OSError as error:
        raise UnreachableError(f"{path} cannot be written ({error.strerror}).", hint="Check who owns it.") from None


def _replace(file: Path, text: str, mode: int | None) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            os.fchmod(out.fileno(), mode if mode is not None else _mode(file))
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(file: Path) -> int:
    return file.stat().st_mode & 0o777 if file.exists() else 0o600
