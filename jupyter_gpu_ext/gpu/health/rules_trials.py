"""Rules about what was tried and what was said: computations, probes that did not end, errors in torch's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.health import rules_container, rules_driver, rules_torch, seen
from jupyter_gpu_ext.gpu.health.finding import Finding
from jupyter_gpu_ext.gpu.health.messages import fault_in
from jupyter_gpu_ext.text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.gpu.health.compat import Compat
    from jupyter_gpu_ext.gpu.health.facts import Facts
    from jupyter_gpu_ext.gpu.health.finding import Maker, Rule

_MAKERS: dict[str, Maker] = {**rules_driver.MAKERS, **rules_torch.MAKERS, **rules_container.MAKERS}
_NCCL = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"
_INSTALL = "https://pytorch.org/get-started/locally/"


def recognised(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say what is behind the words of torch, or of this notebook's last error."""
    for text in _texts(facts):
        if (fault := fault_in(text)) is not None:
            yield from _MAKERS[fault](facts, compat, text)


def import_fails(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where `import torch` fails in words that are not known."""
    said = facts.torch.import_error
    if said and fault_in(said) is None:
        yield Finding(
            id="torch_broken",
            level="error",
            title="torch is installed here, and cannot be imported.",
            evidence=seen.sentences(said),
            fix=f"{seen.install(facts, compat)}, then restart the kernel.",
            source=_INSTALL,
        )


def products(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where a small product of two matrices fails in words that are not known."""
    failed = [one for one in facts.torch.products or () if one.error and fault_in(one.error) is None]
    if failed:
        where = ", ".join(f"cuda:{index}" for one in failed for index in one.devices)
        yield Finding(
            id="cannot_compute",
            level="error",
            title=f"torch opens the GPU and cannot compute on it ({where}).",
            evidence=seen.sentences(failed[0].error),
            fix="Out of memory: another program holds it (`%gpu who`). Else restart the kernel; if it stays, "
            "send the admin this report: the card may need a reset.",
        )


def all_reduce(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where the devices compute, and cannot add up together."""
    tried = facts.torch.all_reduce
    if tried is not None and tried.error and fault_in(tried.error) is None:
        yield Finding(
            id="cannot_add_up",
            level="error",
            title=f"The {format_count(len(tried.devices), 'GPU')} cannot add up together through NCCL.",
            evidence=seen.sentences(tried.error, f"NCCL {facts.torch.nccl or 'of unknown version'}"),
            fix="Run it with NCCL_DEBUG=INFO to see which link fails; NCCL_P2P_DISABLE=1 goes around direct links.",
            source=_NCCL,
        )


def silent(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where a probe did not end, or crashed."""
    for what, unknown, left in (
        ("The driver", facts.driver.unknown, ("libcuda_error", "nvml_state", "init_code", "cuda_devices")),
        ("torch", facts.torch.unknown, ("version", "is_available", "products")),
        ("The system", facts.system.unknown, ("device_nodes", "shadows")),
    ):
        reason = next((unknown[name] for name in left if _did_not_end(unknown.get(name, ""))), None)
        if reason is not None:
            yield _silent(facts, what, reason)


def sums_silent(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where the sum over all devices did not end, which is how NCCL fails."""
    reason = facts.torch.unknown.get("all_reduce", "")
    if _did_not_end(reason) and facts.torch.all_reduce is None and seen.torch_works(facts):
        yield Finding(
            id="no_sum",
            level="warning",
            title="Whether the GPUs can add up together through NCCL was not found out.",
            evidence=f"{reason[0].upper()}{reason[1:]}.",
            fix="Try it again; if it stays, run your program with NCCL_DEBUG=INFO, or with NCCL_P2P_DISABLE=1.",
            source=_NCCL,
        )


def changed_late(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where a variable was changed after CUDA had read it."""
    names, count = facts.session.changed_variables or (), facts.session.device_count
    fresh = facts.torch.devices
    if names and count is not None and fresh is not None and count != len(fresh):
        yield Finding(
            id="changed_late",
            level="warning",
            title=f"{', '.join(names)} was changed after this process had opened the GPU: it has no effect here.",
            evidence=f"This process sees {format_count(count, 'device')}, a new one {len(fresh)}.",
            fix="Restart the kernel and set it in the first cell, before torch is imported.",
        )


def unexplained(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where torch has CUDA, a GPU is here, and torch does not see it: in torch's own words."""
    torch = facts.torch
    said = torch.init_error or torch.warning
    if torch.is_available is False and (torch.cuda or torch.hip) and seen.devices(facts):
        yield Finding(
            id="torch_sees_no_gpu",
            level="error",
            title=f"{seen.name(facts)} is here, and {seen.torch_words(facts)} does not see it.",
            evidence=seen.sentences(said or "torch.cuda.is_available() is False, and gives no reason"),
            fix=f"Restart the kernel. If it stays: {seen.install(facts, compat)}.",
            source=_INSTALL,
        )


def works(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say what was seen to work."""
    count = len(facts.torch.products or ())
    together = facts.torch.all_reduce is not None and not facts.torch.all_reduce.error
    if seen.torch_works(facts):
        yield Finding(
            id="torch_works",
            level="ok",
            title=f"{seen.torch_words(facts)} computes on {format_count(count, 'GPU')}"
            f"{', and they add up together' if together else ''}.",
            evidence=f"A product of two matrices on each; {seen.driver_words(facts)}.",
        )
    elif seen.cuda_works(facts):
        yield Finding(
            id="cuda_works",
            level="ok",
            title=f"CUDA opens {format_count(len(facts.driver.cuda_devices or ()), 'GPU')}.",
            evidence=f"cuInit answers 0; {seen.driver_words(facts)}.",
        )


def _texts(facts: Facts) -> Iterator[str]:
    torch = facts.torch
    said = [torch.import_error, torch.cudnn_error, torch.warning, torch.init_error]
    said += [one.error for one in torch.products or ()]
    said += [torch.all_reduce.error if torch.all_reduce else None, facts.session.last_error]
    return (one for one in said if one)


def _did_not_end(reason: str) -> bool:
    return reason.startswith(("no answer", "the probe ", "Python could not be started"))


def _silent(facts: Facts, what: str, reason: str) -> Finding:
    hangs = what == "The driver" or facts.torch.version is not None
    return Finding(
        id=f"silent_{what.rpartition(' ')[2].lower()}",
        level="error" if hangs and what != "The system" else "warning",
        title=f"{what} did not answer the doctor.",
        evidence=f"{reason[0].upper()}{reason[1:]}.",
        fix="The driver may hang: send the admin this report (`dmesg` names the fault as an Xid)."
        if hangs
        else "A slow disk, or a machine that is busy: try it again.",
    )


RULES: tuple[Rule, ...] = (recognised, import_fails, products, all_reduce, silent, sums_silent, changed_late, works)
