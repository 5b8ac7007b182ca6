"""Who holds a device's memory: NVML's three lists, as one.

The numbers are the driver's: those of the host before about 550, of this PID namespace since about 570, and between
them of this namespace without memory. Which it is shows at run time only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.models import ProcessMemory
from jupyter_gpu_ext.gpu.nvml_library import Answer, Query
from jupyter_gpu_ext.gpu.nvml_readings import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jupyter_gpu_ext.gpu.nvml_library import Capabilities

# A GPU instance and a compute instance in it: what a MIG slice is. All bits set: of none.
Instance = tuple[int, int]


def _query(kind: str) -> Query:
    name = f"nvmlDeviceGet{kind}RunningProcesses"
    return Query(calls=((f"{name}_v3",), (f"{name}_v2",)), fields={})


COMPUTE, GRAPHICS, SERVED = _query("Compute"), _query("Graphics"), _query("MPSCompute")


def holders(capabilities: Capabilities, handle: Any, *, belongs: Callable[[Instance], bool]) -> Answer:
    """Return who holds memory, as ProcessMemory by pid.

    Parameters
    ----------
    belongs : callable
        Whether what runs in an instance counts: a card that is cut tells of its slices too.
    """
    # Programs under MPS may be in a list of their own; what draws is in the second one.
    lists = [_ask(query, capabilities, handle) for query in (COMPUTE, GRAPHICS, SERVED)]
    if lists[0].value is None:
        return lists[0]
    rows = [row for answer in lists for row in answer.value or ()]
    return Answer(value=_by_pid(row for row in rows if belongs(_instance(row))), code=0)


def _ask(query: Query, capabilities: Capabilities, handle: Any) -> Answer:
    answer = capabilities.ask(query, handle)
    # Drivers 535.43 to 535.86 write longer entries than they say: from the second on they are read awry.
    if any(row.pid == 0 for row in answer.value or ()):
        return capabilities.ask_older(query, handle)
    return answer


def _instance(row: Any) -> Instance:
    return int(row.gpuInstanceId), int(row.computeInstanceId)


def _by_pid(rows: Iterable[Any]) -> tuple[ProcessMemory, ...]:
    held: dict[int, int] = {}
    for row in rows:
        # Who computes and draws is in two lists with the same sum.
        held[row.pid] = max(held.get(row.pid, 0), number(row.usedGpuMemory) or 0)
    # Whoever is listed holds something: 0 is a driver that does not say how much.
    return tuple(ProcessMemory(pid=pid, memory_bytes=held[pid] or None) for pid in sorted(held) if pid)
