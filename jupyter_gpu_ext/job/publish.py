"""`jg.publish`: what a training gave, as one release: the file, what it came from, and a hash that comes last."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext._version import __version__
from jupyter_gpu_ext.errors import BadRequestError, ExistsError, NotFoundError
from jupyter_gpu_ext.job import lock
from jupyter_gpu_ext.job.parameters import given
from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.cp import cp
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.open import open as open_object
from jupyter_gpu_ext.storage.walk import walk
from jupyter_gpu_ext.tensors.save import save
from jupyter_gpu_ext.text import format_bytes, redact

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.places import Place

METADATA, SUMS = "metadata.json", "SHA256SUMS"
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A release; prints as one line.

    Attributes
    ----------
    url : str
        The folder.
    model : str
        The file's name in it.
    sha256 : str
        Of the file, as it was read back.
    """

    url: str
    model: str
    size_bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.url}: {self.model}, {format_bytes(self.size_bytes)}, sha256 {self.sha256[:12]}…"

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def publish(
    value: Any,
    url: str | os.PathLike[str],
    *,
    metadata: Mapping[str, Any] | None = None,
    name: str = "",
) -> Published:
    """Write a release: a folder that is whole once it has `SHA256SUMS`, and is never written again.

    Parameters
    ----------
    value : object or str or path
        What `jg.save` takes; or the URL or path of a file, which is copied as it is: a checkpoint.
    url : str or path
        The folder: 'run7://releases/resnet50-1.2'. Nothing lies in it yet.
    metadata : mapping, optional
        What is to be said of it: plain data. The script, its parameters and its data are noted by themselves.
    name : str
        The file's name; else that of the source, else 'model.safetensors'.

    Returns
    -------
    Published

    Raises
    ------
    ExistsError
        When the folder holds something: a release is another one.
    BadRequestError
        For metadata that is no plain data, or that looks like a secret.
    """
    folder = str(url).rstrip("/")
    source = str(value) if isinstance(value, str | Path) else ""
    file = name or (source.rstrip("/").rpartition("/")[2] if source else "model.safetensors")
    if file in (METADATA, SUMS) or "/" in file or not file:
        raise BadRequestError(f"A release's file cannot be called {file!r}.", hint="Say name='model.safetensors'.")
    said = _text({**_origin(), "file": file, "source": redact(source), "metadata": dict(metadata or {})})
    _check_empty(places.find(f"{folder}/"), folder)
    if source:
        cp(source, f"{folder}/{file}")
    else:
        save(value, f"{folder}/{file}")
    size, digest = _read_back(f"{folder}/{file}")
    with open_object(f"{folder}/{METADATA}", "xb") as out:
        out.write(said)
    sums = f"{digest}  {file}\n{hashlib.sha256(said).hexdigest()}  {METADATA}\n"
    with open_object(f"{folder}/{SUMS}", "xb") as out:
        out.write(sums.encode())
    return Published(url=folder, model=file, size_bytes=size, sha256=digest)


def _origin() -> dict[str, Any]:
    """Return what this program is: of an exported script its bytes, its data's versions and its parameters."""
    said: dict[str, Any] = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "jupyter_gpu_ext": __version__}
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    if script.suffix == ".py" and script.is_file():
        said["script"] = {"name": script.name, "sha256": hashlib.sha256(script.read_bytes()).hexdigest()}
        if (listed := script.with_name(lock.NAME)).is_file():
            said["data"] = [one.to_json() for one in lock.read(listed).entries]
    return {**said, "parameters": given()}


def _text(said: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(said, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BadRequestError(
            f"The metadata is no plain data: {error}.", hint="Numbers, texts, lists, and dicts of them."
        ) from None
    if redact(text) != text:
        raise BadRequestError("The metadata holds what looks like a secret.", hint="Leave it out.")
    return text.encode()


def _check_empty(place: Place, folder: str) -> None:
    async def holds() -> bool:
        try:
            async for _ in walk(place.writing(), place.key):
                return True
        except NotFoundError:
            pass
        return False

    if LOOP.run(holds()):
        raise ExistsError(
            f"{place.shown} holds something already.",
            hint=f"Choose another folder. Without {SUMS} it was never finished: %blob rm -r {folder}",
        )


def _read_back(url: str) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with open_object(url, block_size=_PIECE_BYTES) as file:
        while piece := file.read(_PIECE_BYTES):
            size += len(piece)
            digest.update(piece)
    return size, digest.hexdigest()
