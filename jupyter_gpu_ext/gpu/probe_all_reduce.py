"""Whether all devices can add up together through NCCL: run as a program by `probes`, where there are several."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jupyter_gpu_ext.gpu.child import Say, tell
from jupyter_gpu_ext.gpu.facts import Trial
from jupyter_gpu_ext.gpu.probe_torch import imported, said


def probe(say: Say) -> None:
    """Say the field `all_reduce` of `Torch`."""
    torch, error = imported()
    if torch is None:
        say(unknown={"all_reduce": error})
        return
    devices = tuple(range(torch.cuda.device_count() if torch.cuda.is_available() else 0))
    if len(devices) < 2:
        say(unknown={"all_reduce": "torch sees fewer than two devices"})
        return
    try:
        error = _add(torch, devices)
    except Exception as failed:  # noqa: BLE001 -- the error is the fact
        error = said(failed)
    say(all_reduce=asdict(Trial(devices=devices, error=error)))


def _add(torch: Any, devices: tuple[int, ...]) -> str:
    parts = [torch.ones(8, device=f"cuda:{index}") for index in devices]
    torch.cuda.nccl.all_reduce(parts)
    totals = [float(part[0]) for part in parts]
    return "" if all(total == len(devices) for total in totals) else f"the sums are {totals}, not {len(devices)}"


if __name__ == "__main__":
    tell(probe)
