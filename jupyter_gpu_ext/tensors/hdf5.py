"""HDF5: what a file holds and parts of its values, through a process that is given bytes and ended in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import struct
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotInstalledError, TensorFormatError, TooLargeError
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from jupyter_gpu_ext.storage.reader import Reader

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ASK = struct.Struct("<cQQ")
# Metadata lies scattered; what is read for it, and how long storage and the process may take.
_MOST_INFO_BYTES = 256 << 20
_MOST_ANSWER_BYTES = 32 << 20
_INFO_SECONDS, _INFO_CPU_SECONDS = 60.0, 2.0
_SLICE_SECONDS, _SLICE_CPU_SECONDS = 120.0, 30.0
_MEMORY_BYTES = 48 << 20
# Processes at a time; a semaphore belongs to a loop, and there is another one after a fork.
_AT_ONCE = 4
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
DAMAGED = "Write or copy the file again; h5py.File(jg.open(url)) opens it if it is whole."


def sniff(head: bytes) -> bool:
    """Tell whether these first bytes are of HDF5: at 0, or behind a user's block of 512 bytes, 1024 and so on."""
    places = [0, *(512 << at for at in range(32) if 512 << at < len(head))]
    return any(head.startswith(_SIGNATURE, at) for at in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hdf5File:
    """What an HDF5 file holds, as plain data that is bounded.

    Attributes
    ----------
    arrays : sequence of mapping
        name, dtype, shape, size_bytes, chunks, codecs, dimensions, attributes, unreadable.
    groups, links : sequence of mapping
        name and attributes; name and target.
    notes : sequence of str
        What is left out.
    """

    url: str
    shown: str
    size_bytes: int
    arrays: Sequence[Mapping[str, Any]]
    groups: Sequence[Mapping[str, Any]]
    links: Sequence[Mapping[str, str]]
    attributes: Mapping[str, Any]
    notes: Sequence[str]
    requests: int
    bytes_read: int


async def read_hdf5(reader: Reader) -> Hdf5File:
    """Read what a file holds.

    Raises
    ------
    NotInstalledError
        Without h5py.
    TensorFormatError
        When the file is cut off or damaged.
    """
    limits = _Limits(_INFO_SECONDS, _INFO_CPU_SECONDS, _MOST_INFO_BYTES, _MEMORY_BYTES)
    found, _ = await _ask(reader, {}, limits)
    return Hdf5File(
        url=str(reader.url),
        shown=reader.shown,
        size_bytes=reader.version.size_bytes,
        arrays=found["arrays"],
        groups=found["groups"],
        links=found["links"],
        attributes=found["attributes"],
        notes=found["notes"],
        requests=reader.requests,
        bytes_read=reader.bytes_read,
    )


async def read_hdf5_slice(
    reader: Reader, name: str, ranges: Sequence[range], *, most_bytes: int
) -> np.ndarray[Any, Any]:
    """Return a part of a dataset as an array in memory; every axis stays.

    Parameters
    ----------
    name : str
        The dataset's path, '/' between groups.
    ranges : sequence of range
        One an axis, inside of the dataset, with a step of 1 or more.
    most_bytes : int
        Refuse what has more, decoded; up to four times as many stored bytes are read for it, and 64 MiB.

    Raises
    ------
    BadRequestError
        When there is no such dataset, its values are not read, or the part is too large.
    TensorFormatError
        When the file is cut off or damaged.
    """
    (found,) = await read_hdf5_slices(reader, [(name, ranges)], most_bytes=most_bytes)
    return found


async def read_hdf5_slices(
    reader: Reader, parts: Sequence[tuple[str, Sequence[range]]], *, most_bytes: int
) -> list[np.ndarray[Any, Any]]:
    """Do what `read_hdf5_slice` does for several datasets, by one process; `most_bytes` is for all of them together."""
    import numpy as np

    if any(one.step < 1 or one.start < 0 for _, ranges in parts for one in ranges):
        raise BadRequestError("A range goes backwards or begins before 0.", hint="Read it forwards and turn it round.")
    asked = [
        {"name": name, "ranges": [{"start": one.start, "stop": one.stop, "step": one.step} for one in ranges]}
        for name, ranges in parts
    ]
    limits = _Limits(_SLICE_SECONDS, _SLICE_CPU_SECONDS, 4 * most_bytes + (64 << 20), 4 * most_bytes + (192 << 20))
    answer, data = await _ask(reader, {"parts": asked, "most_bytes": most_bytes}, limits)
    arrays, at = [], 0
    for about in answer["parts"]:
        dtype, count = np.dtype(about["dtype"]), math.prod(about["shape"])
        arrays.append(np.frombuffer(data, dtype, count, at).reshape(about["shape"]))
        at += count * dtype.itemsize
    return arrays


@dataclass(frozen=True, slots=True)
class _Limits:
    seconds: float
    cpu_seconds: float
    most_bytes: int
    memory_bytes: int


async def _ask(reader: Reader, job: Mapping[str, Any], limits: _Limits) -> tuple[dict[str, Any], bytes]:
    """Start a process, give it the bytes that it asks for, and return its answer; a few at a time."""
    if find_spec("h5py") is None:
        raise NotInstalledError("HDF5 needs h5py.", hint="pip install 'jupyter_gpu_ext[hdf5]'")
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE)):
        return await _run(reader, job, limits)


async def _run(reader: Reader, job: Mapping[str, Any], limits: _Limits) -> tuple[dict[str, Any], bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jupyter_gpu_ext.tensors.hdf5_child",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
        # An interrupt is for who asked, and ends this one in order.
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(limits.seconds):
            return await _converse(process, reader, job, limits)
    except GpuExtError:
        # Storage's own say, some of which are timeouts too.
        raise
    except TimeoutError:
        raise TooLargeError(
            f"{reader.shown} could not be read within {limits.seconds:.0f} s.", hint="Open it: h5py.File(jg.open(url))."
        ) from None
    except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
        # It crashed, or took more time or memory than any good file takes.
        raise _bad(reader) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    """Return what Python needs to start as here, and no secret that the variables of this process may hold."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}


async def _converse(
    process: asyncio.subprocess.Process, reader: Reader, job: Mapping[str, Any], limits: _Limits
) -> tuple[dict[str, Any], bytes]:
    assert process.stdin is not None  # noqa: S101 -- for the type checker
    assert process.stdout is not None  # noqa: S101 -- as above
    told = {
        **job,
        "size_bytes": reader.version.size_bytes,
        "head_bytes": len(reader.head),
        "cpu_seconds": limits.cpu_seconds,
        "memory_bytes": limits.memory_bytes,
    }
    text, room = json.dumps(told).encode(), limits.most_bytes
    process.stdin.write(struct.pack("<Q", len(text)) + text + reader.head)
    while True:
        kind, first, second = _ASK.unpack(await process.stdout.readexactly(_ASK.size))
        if kind == b"A":
            return await _answer(process.stdout, reader, first, second, limits)
        room -= second - first
        process.stdin.write(b"\0" if room < 0 else b"\1" + await reader.read(first, second))
        await process.stdin.drain()


async def _answer(
    pipe: asyncio.StreamReader, reader: Reader, text_bytes: int, data_bytes: int, limits: _Limits
) -> tuple[dict[str, Any], bytes]:
    if text_bytes > _MOST_ANSWER_BYTES or data_bytes > limits.most_bytes:
        raise _bad(reader)
    found = json.loads(await pipe.readexactly(text_bytes))
    if "refused" in found:
        raise BadRequestError(printable(str(found["refused"])), hint="Open it: h5py.File(jg.open(url)).")
    if found.get("problem") == "spent":
        raise TooLargeError(
            f"{reader.shown} needs more than {format_bytes(limits.most_bytes)} to be read.",
            hint="Open it: h5py.File(jg.open(url)).",
        )
    if "problem" in found:
        raise _bad(reader)
    return found, await pipe.readexactly(data_bytes)


def _bad(reader: Reader) -> TensorFormatError:
    return TensorFormatError(f"{reader.shown} begins as HDF5 and is cut off or damaged.", hint=DAMAGED)
