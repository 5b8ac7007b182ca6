"""`jg.open`: an object as a Python file."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.filesystem import fs

if TYPE_CHECKING:
    import os


def open(url: str | os.PathLike[str], mode: str = "rb", **options: Any) -> IO[Any]:  # noqa: A001 -- as gzip.open
    """Open the object of a URL, or a local file.

    Parameters
    ----------
    url : str or path
        'connection://key', or the path of a local file.
    mode : str
        'rb' reads one version of the object; 'wb' replaces it and 'xb' makes a new one, when the file is closed
        and not before. An exception inside `with` leaves what was there. 'r', 'w' and 'x' are text.
    **options
        `encoding`, `errors`, `newline` of text; `block_size`: bytes read ahead; `resume_id`: the upload that a
        credential's end interrupted, whose same bytes are written again and only sent where they are missing.

    Raises
    ------
    NotFoundError
        When there is no such connection or, reading, no such object.
    ExistsError
        Mode 'xb', when the object is there.
    DeniedError
        Writing, when the connection is read-only.
    """
    place = urls.parse(url)
    if place.scheme == "file":
        options.pop("block_size", None)
        return Path(place.key).open(mode, **options)
    file: IO[Any] = fs(place.scheme).open(place.key, mode, **options)
    return file
