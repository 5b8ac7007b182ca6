"""The MIG slices of a card, found anew at each sample: an administrator cuts cards while servers run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import nvml_errors as codes
from jupyter_gpu_ext.gpu.nvml_library import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.gpu.nvml_library import Library
    from jupyter_gpu_ext.gpu.nvml_processes import Instance

MODE = Query(calls=(("nvmlDeviceGetMigMode",),), fields={})
_MIB = 2**20
# No slice has this number.
_EMPTY = {codes.NOT_FOUND, codes.INVALID_ARGUMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A slice as NVML names it; `index` counts within its card, without a handle `problem` says why."""

    index: int
    uuid: str
    handle: Any
    problem: int


def slices(library: Library, card: Any, card_uuid: str, known: Mapping[int, str]) -> list[Slice] | None:
    """Return the slices of a card in MIG mode, None where NVML does not say.

    Parameters
    ----------
    known : mapping
        The index of each slice to its uuid, as they were.
    """
    most, code = library.ask("nvmlDeviceGetMaxMigDeviceCount", card)
    if code:
        return None
    asked = [(index, *library.ask("nvmlDeviceGetMigDeviceHandleByIndex", card, index)) for index in range(most)]
    return [
        Slice(
            index=index,
            # The same handle may stand for another slice after the card was cut anew.
            uuid=_uuid(library, handle) or known.get(index, f"{card_uuid}/{index}"),
            handle=handle,
            problem=code,
        )
        for index, handle, code in asked
        if code not in _EMPTY and (handle is not None or index in known)
    ]


def _uuid(library: Library, handle: Any) -> str:
    return "" if handle is None else library.text("nvmlDeviceGetUUID", handle)


def instance(library: Library, slice_: Any) -> Instance | None:
    """Return what a slice is in lists of processes."""
    gpu, _ = library.ask("nvmlDeviceGetGpuInstanceId", slice_)
    compute, _ = library.ask("nvmlDeviceGetComputeInstanceId", slice_)
    return None if gpu is None or compute is None else (int(gpu), int(compute))


def name(library: Library, slice_: Any) -> str:
    """Return a slice's name with its profile, as '… MIG 1g.5gb'; older drivers give the card's name alone."""
    given = library.text("nvmlDeviceGetName", slice_) or "name not reported"
    attributes, _ = library.ask("nvmlDeviceGetAttributes_v2", slice_)
    return given if "MIG" in given or attributes is None else f"{given} MIG {_profile(attributes)}"


def total_bytes(library: Library, slice_: Any) -> int | None:
    """Return the memory that a slice was cut with."""
    attributes, _ = library.ask("nvmlDeviceGetAttributes_v2", slice_)
    return None if attributes is None else int(attributes.memorySizeMB) * _MIB


def _profile(attributes: Any) -> str:
    gpu, compute = attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount
    profile = f"{gpu}g.{math.ceil(attributes.memorySizeMB / 1024)}gb"
    return profile if gpu == compute else f"{compute}c.{profile}"
