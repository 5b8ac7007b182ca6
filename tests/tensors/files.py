"""Tensor files as torch, safetensors, other zip writers and attackers make them."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def torch_bytes(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def small() -> dict[str, Any]:
    """A checkpoint of a few kB with one of each thing that a pickle needs."""
    return {
        "w": torch.arange(60, dtype=torch.float32).reshape(6, 10),
        "half": torch.arange(7, dtype=torch.bfloat16),
        "wide": torch.arange(5).to(torch.uint16),
        "nested": [{"x": torch.ones(3)}, (1, 2.5, None, "text", b"bytes", True)],
        "ordered": OrderedDict(a=torch.zeros(2, dtype=torch.int64)),
        "p": torch.nn.Parameter(torch.ones(2)),
        "size": torch.Size([2, 3]),
        "dtype": torch.float16,
        "device": torch.device("cuda:3"),
    }


def members(data: bytes) -> dict[str, bytes]:
    """Return the members of an archive in file order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        return {info.filename: archive.read(info) for info in infos}


class Unseekable(io.RawIOBase):
    """Makes zipfile put a data descriptor after each member, as one does that streams."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


def zipped(
    contents: Mapping[str, bytes] | list[tuple[str, bytes]],
    *,
    method: int = zipfile.ZIP_STORED,
    streamed: bool = False,
    comment: bytes = b"",
) -> bytes:
    """Write an archive with Python's zipfile, which knows no padding rule."""
    target: Any = Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.comment = comment
        for name, data in contents.items() if isinstance(contents, dict) else contents:
            archive.writestr(name, data)
    return bytes(target.data) if streamed else target.getvalue()


def archive_of(pickled: bytes, storages: Mapping[str, bytes] | None = None, **more: bytes) -> bytes:
    """Return an archive like torch's around a pickle."""
    contents = {"archive/data.pkl": pickled, "archive/byteorder": b"little"}
    contents |= {f"archive/data/{key}": data for key, data in (storages or {}).items()}
    contents |= {"archive/version": b"3\n"} | {f"archive/{name}": data for name, data in more.items()}
    return zipped(contents)


class Persistent:
    """Stands for a storage in a pickle that is written by hand."""

    def __init__(self, key: str, count: int, kind: str = "FloatStorage") -> None:
        self.identity = ("storage", getattr(torch, kind), key, "cpu", count)


class Call:
    """Pickles as the call of a function, harmless here and checked there."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def pickled(value: Any, protocol: int = 2) -> bytes:
    """Pickle by hand, `Persistent` as torch writes its storages."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            return thing.identity if isinstance(thing, Persistent) else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol).dump(value)
    return buffer.getvalue()


def tensor(
    key: str = "0",
    count: int = 4,
    shape: tuple[Any, ...] = (4,),
    stride: tuple[Any, ...] = (1,),
    offset: Any = 0,
    gradient: Any = False,
    kind: str = "FloatStorage",
) -> Call:
    """Return a tensor's description in a pickle, right by default."""
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, Persistent(key, count, kind), offset, shape, stride, gradient, OrderedDict())


def safetensors_bytes(header: Any, data: bytes = b"") -> bytes:
    """Return a file with this header: text as it is, or a value as JSON."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(start: int, stop: int, shape: Any = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(stop - start) // 4] if shape is None else shape, "data_offsets": [start, stop]}
