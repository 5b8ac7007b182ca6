"""What a person calls: the configured hardware layer, and one reading of it."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import Sample, State, Status
from jupyter_gpu_ext.gpu.nvml import NvmlBackend
from jupyter_gpu_ext.gpu.simulated import VARIABLE, nothing_held, parse_simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_gpu_ext.gpu.backend import DeviceBackend


def open_backend(
    environ: Mapping[str, str] = os.environ,
    *,
    held_bytes: Callable[[], Mapping[str, int]] = nothing_held,
    pcie_throughput: bool = False,
) -> DeviceBackend:
    """Open the simulated devices if `JUPYTER_GPU_SIMULATED` asks for some, else the real ones.

    Parameters
    ----------
    environ : mapping
        The environment.
    held_bytes : callable
        Bytes that loads hold, by device uuid: what simulated devices show as used.
    pcie_throughput : bool
        Read what goes over the PCIe link, too, at 20 ms a direction and card.

    Raises
    ------
    BadRequestError
        `JUPYTER_GPU_SIMULATED` is neither COUNT nor COUNTxMODEL.
    BackendError
        No device can be read here; its `state` says why.
    """
    simulated = parse_simulated(environ.get(VARIABLE, ""), held_bytes=held_bytes)
    return simulated or NvmlBackend(pcie_throughput=pcie_throughput)


def status() -> Status:
    """Read the GPUs once.

    Returns
    -------
    Status
        Prints as one line a device; without a readable device, as the reason and what to do next.

    Raises
    ------
    BadRequestError
        `JUPYTER_GPU_SIMULATED` is neither COUNT nor COUNTxMODEL.
    """
    try:
        with closing(open_backend()) as backend:
            return _read(backend)
    except BackendError as error:
        return Status(state=error.state, reason=error.message, hint=error.hint)


def _read(backend: DeviceBackend) -> Status:
    sample = Sample(cursor=1, time=time.time(), devices=backend.sample())
    return Status(
        state=State.OK,
        simulated=backend.simulated,
        cursor=sample.cursor,
        devices=backend.devices(),
        now=sample.devices,
        samples=(sample,),
    )
