"""Rules about which devices a program sees, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu import seen
from jupyter_gpu_ext.gpu.finding import Finding
from jupyter_gpu_ext.gpu.rules_driver import NO_DEVICE, init_words
from jupyter_gpu_ext.text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.gpu.compat import Compat
    from jupyter_gpu_ext.gpu.facts import Facts
    from jupyter_gpu_ext.gpu.finding import Rule

_VARIABLES = "https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables"
_MIG = "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"


def simulated(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say that made-up GPUs are."""
    if facts.driver.is_simulated:
        yield Finding(
            id="simulated",
            level="note",
            title="GPUs are simulated here: their numbers are made up, and loads go to the CPU.",
            evidence=f"JUPYTER_GPU_SIMULATED={seen.variable(facts, 'JUPYTER_GPU_SIMULATED') or 'set'}.",
            fix="Unset JUPYTER_GPU_SIMULATED to see the real ones.",
        )


def hidden(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where `CUDA_VISIBLE_DEVICES` hides devices."""
    given, shown = seen.variable(facts, "CUDA_VISIBLE_DEVICES"), facts.driver.cuda_devices
    known = facts.driver.init_code == NO_DEVICE or shown is not None
    if given is None or not known or not seen.nvml_devices(facts):
        return
    wanted = [one for one in given.split(",") if one.strip()]
    total = f"CUDA_VISIBLE_DEVICES={given!r}; NVML shows {format_count(len(seen.nvml_devices(facts)), 'device')}."
    if not shown:
        yield Finding(
            id="all_hidden",
            level="error",
            title="CUDA_VISIBLE_DEVICES hides every GPU.",
            evidence=total,
            fix="Unset it before Python starts (in the kernel's or job's environment), or name one that is here.",
            source=_VARIABLES,
        )
    elif len(shown) < len(wanted):
        yield Finding(
            id="some_hidden",
            level="warning",
            title=f"CUDA_VISIBLE_DEVICES names {len(wanted)} GPUs, and CUDA sees {len(shown)}.",
            evidence=f"{total} CUDA stops at the first name that is not here.",
            fix="Correct it before Python starts.",
            source=_VARIABLES,
        )


def nothing_to_compute_on(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where NVML shows devices, CUDA none, and no variable hides them."""
    none = facts.driver.init_code == NO_DEVICE or facts.driver.cuda_devices == ()
    if none and seen.nvml_devices(facts) and seen.variable(facts, "CUDA_VISIBLE_DEVICES") is None:
        yield Finding(
            id="no_cuda_device",
            level="error",
            title=f"The driver shows {seen.name(facts)}, and CUDA sees no device to compute on.",
            evidence=f"cuInit answers {init_words(facts)}; no CUDA_VISIBLE_DEVICES.",
            fix="A card in MIG mode needs a slice: admin `nvidia-smi mig -lgi`, then `-cgi … -C`. "
            "A container needs the devices: start it again with `--gpus all`.",
            source=_MIG,
        )


def order(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where CUDA counts the devices in another order than NVML."""
    places = {one.uuid: one.index for one in seen.nvml_devices(facts) if one.uuid}
    moved = [
        f"cuda:{one.index} is GPU {places[one.uuid]}"
        for one in facts.driver.cuda_devices or ()
        if one.uuid in places and places[one.uuid] != one.index
    ]
    if moved:
        yield Finding(
            id="device_order",
            level="note",
            title="CUDA numbers the GPUs differently than nvidia-smi.",
            evidence=f"{', '.join(moved)}. CUDA_DEVICE_ORDER is "
            f"{seen.variable(facts, 'CUDA_DEVICE_ORDER') or 'not set (fastest first)'}.",
            fix="Go by the name that the panel shows, or set CUDA_DEVICE_ORDER=PCI_BUS_ID before Python starts.",
            source=_VARIABLES,
        )


def slices(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where a program computes on one MIG slice, however many there are."""
    count = sum(1 for one in (*seen.nvml_devices(facts), *(facts.driver.cuda_devices or ())) if one.is_slice)
    if count:
        yield Finding(
            id="mig",
            level="note",
            title="The GPU is shared in MIG slices: a program computes on one slice, with that slice's memory.",
            evidence=f"NVML and CUDA name {format_count(count, 'slice')}.",
            fix="To choose one: CUDA_VISIBLE_DEVICES=MIG-… (its uuid: `nvidia-smi -L`), before Python starts.",
            source=_MIG,
        )


RULES: tuple[Rule, ...] = (simulated, hidden, nothing_to_compute_on, order, slices)
