"""The bytes of a sample as what a person sees: images, tensors, the members of a shard."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.datasets import tars
from jupyter_gpu_ext.datasets.file_kinds import IMAGES
from jupyter_gpu_ext.datasets.images import decode_image
from jupyter_gpu_ext.datasets.values import seen
from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError
from jupyter_gpu_ext.tensors.held import value_of
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.datasets.file_source import FileSource


def decode(source: FileSource, number: int, data: memoryview) -> Any:
    """Return a sample of an object; nothing of it shares the bytes.

    Returns
    -------
    object
        Of an image {'image', 'label', 'url'}, of a shard its members by their endings, else what a load returns.

    Raises
    ------
    GpuExtError
        When the bytes are not what the name says, or damaged; names the file.
    """
    url = source.url(number)
    shown = printable(redact(url))
    if source.listing.kind == "tar":
        return _members(data, url, shown)
    if not len(data):
        raise TensorFormatError(f"{shown} is empty.", hint="Upload it again; on_error='skip' leaves it out.")
    if source.listing.kind != "images":
        return value_of(url, data)
    label = source.label(number)
    return {"image": _image(bytes(data), shown), **({} if label is None else {"label": label}), "url": url}


def _members(data: memoryview, url: str, shown: str) -> dict[str, Any]:
    found: dict[str, Any] = {"__key__": "", "__url__": url}
    for one in tars.members(io.BytesIO(data), len(data), shown):
        found["__key__"] = one.key
        found[one.name] = _member(f"{url}/{one.key}.{one.name}", one.name, data[one.start : one.stop])
    return found


def _member(url: str, name: str, data: memoryview) -> Any:
    """Return a member by the last part of its ending, its bytes where that says nothing; no code of it is run."""
    shown, reading = printable(redact(url)), _READINGS.get(name.rpartition(".")[2])
    if reading is None:
        return bytes(data)
    try:
        return reading(data, url, shown)
    except GpuExtError:
        raise
    except (ValueError, RecursionError) as error:
        said = printable((str(error).splitlines() or [""])[0][:200])
        raise TensorFormatError(
            f"{shown} is not what its ending says: {said}.", hint="Write it again; on_error='skip' leaves it out."
        ) from None


def _image(data: bytes, shown: str) -> Any:
    return seen(decode_image(data, shown))


# As WebDataset's own decoders, but for pickles: those stay bytes.
_READINGS: dict[str, Callable[[memoryview, str, str], Any]] = {
    **{one[1:]: lambda data, _, shown: _image(bytes(data), shown) for one in IMAGES},
    **dict.fromkeys(("npy", "npz", "pt", "pth", "safetensors"), lambda data, url, _: value_of(url, data)),
    **dict.fromkeys(("json", "jsn"), lambda data, *_: json.loads(bytes(data))),
    **dict.fromkeys(("txt", "text", "transcript"), lambda data, *_: bytes(data).decode()),
    **dict.fromkeys(("cls", "cls2", "class", "count", "index", "inx", "id"), lambda data, *_: int(bytes(data))),
}
