"""A file of metrics that is whole at every moment, for the node exporter's textfile collector."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError

if TYPE_CHECKING:
    from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write `text` to `path` in one step: whoever reads meanwhile gets the old file or the new one.

    Raises
    ------
    BadRequestError
        It names no file, or the folder is missing or may not be written to.
    """
    if not path.name:
        raise BadRequestError(f"{str(path)!r} names no file.", hint="For example gpu.prom.")
    # The collector reads `*.prom` only; and as another user: the mode is that of any new file.
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with new.open("x", encoding="utf-8") as file:
                file.write(text)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        hint = "Name a file in a folder that exists and that you may write to."
        raise BadRequestError(f"{path} cannot be written ({error.strerror}).", hint=hint) from error
