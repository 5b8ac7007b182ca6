"""The doctor's report as Markdown, to be pasted into a message to an administrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jupyter_gpu_ext.gpu.health.facts import Facts, Gpu
    from jupyter_gpu_ext.gpu.health.finding import Finding


def to_markdown(title: str, findings: Iterable[Finding], facts: Facts) -> str:
    """Return a heading, the findings and a table of versions."""
    lines = ["# GPU doctor", "", f"**{title}**", "", *_findings(findings), "| what | seen |", "| --- | --- |"]
    lines += [f"| {what} | {printable(said).replace('|', ' ')} |" for what, said in _rows(facts)]
    return "\n".join(lines) + "\n"


def _findings(findings: Iterable[Finding]) -> Iterator[str]:
    for one in findings:
        yield f"- **{one.level}** {one.title}"
        yield from (f"  - {text}" for text in (one.evidence, one.fix, one.source) if text)
    yield ""


def _rows(facts: Facts) -> Iterator[tuple[str, str]]:
    system, driver, torch = facts.system, facts.driver, facts.torch
    yield "jupyter_gpu_ext", _known(system.package, system.unknown, "package")
    yield "Python", f"{_known(system.python, system.unknown, 'python')} on {system.machine or 'unknown'}"
    yield "kernel module", _known(driver.module_version, driver.unknown, "module_version")
    yield "libcuda.so.1", driver.libcuda_error or _known(driver.libcuda_version, driver.unknown, "libcuda_version")
    yield "serves CUDA", _known(driver.cuda_version, driver.unknown, "cuda_version")
    yield "cuInit", f"{_known(driver.init_code, driver.unknown, 'init_code')} {driver.init_name or ''}".strip()
    yield "NVML", f"{_known(driver.nvml_state, driver.unknown, 'nvml_state')} {driver.nvml_reason or ''}".strip()
    yield from (("GPU (NVML)", _gpu(one)) for one in driver.nvml_devices or ())
    yield from (("GPU (CUDA)", _gpu(one)) for one in driver.cuda_devices or ())
    yield "torch", _known(torch.version, torch.unknown, "version")
    if torch.cuda:
        yield "torch's CUDA, cuDNN, NCCL", " · ".join(one or "unknown" for one in (torch.cuda, torch.cudnn, torch.nccl))
        yield "torch's code", ", ".join(torch.archs or ()) or "unknown"
    yield "container", {True: "yes", False: "no", None: "unknown"}[system.in_container]
    shared = system.shared_memory_bytes
    yield "/dev/shm", format_bytes(shared) if shared is not None else "unknown"  # noqa: S108 -- a row's name
    yield "devices below /dev", ", ".join(system.device_nodes or ()) or "none"
    yield from sorted((system.variables or {}).items())


def _known(value: object, unknown: dict[str, str], name: str) -> str:
    return f"unknown ({unknown.get(name, 'not reported')})" if value is None else str(value) or "none"


def _gpu(one: Gpu) -> str:
    size = f", {format_bytes(one.memory_total_bytes)}" if one.memory_total_bytes is not None else ""
    capability = f", capability {one.capability}" if one.capability else ""
    return f"{one.index}: {one.name or 'no name'}{size}{capability}{', a slice' if one.is_slice else ''}"
