"""What differs between the server's environment and a kernel's: one may see a GPU that the other cannot use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.health import seen
from jupyter_gpu_ext.gpu.health.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.gpu.health.facts import Facts

_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "JUPYTER_GPU_SIMULATED",
)


def compare(server: Facts, kernel: Facts) -> tuple[Finding, ...]:
    """Return a finding for each difference that matters.

    Parameters
    ----------
    server, kernel : Facts
        Of the two environments on one machine.
    """
    return tuple(one for rule in _RULES for one in rule(server, kernel))


def _torch(server: Facts, kernel: Facts) -> Iterator[Finding]:
    ours, theirs = _torch_words(server), _torch_words(kernel)
    if ours and theirs and ours != theirs:
        yield Finding(
            id="other_torch",
            level="note",
            title="The kernel's torch is not the server's.",
            evidence=f"Server: {ours}. Kernel: {theirs}.",
            fix="What counts for loading is the kernel's; the server computes nothing with torch.",
        )


def _devices(server: Facts, kernel: Facts) -> Iterator[Finding]:
    if server.driver.cuda_devices is None or kernel.driver.cuda_devices is None:
        return
    ours = {one.uuid for one in server.driver.cuda_devices}
    theirs = {one.uuid for one in kernel.driver.cuda_devices}
    if ours != theirs:
        yield Finding(
            id="other_devices",
            level="warning",
            title="The kernel sees other GPUs than the server does.",
            evidence=f"CUDA shows the server {len(ours)}, the kernel {len(theirs)}. {_differing(server, kernel)}",
            fix="Look at `env` in the kernel's kernel.json (`jupyter kernelspec list`), and at CUDA_VISIBLE_DEVICES.",
        )


def _driver(server: Facts, kernel: Facts) -> Iterator[Finding]:
    ours, theirs = server.driver, kernel.driver
    if ours.libcuda_error is None or theirs.libcuda_error is None:
        return
    if bool(ours.libcuda_error) != bool(theirs.libcuda_error) or ours.libcuda_version != theirs.libcuda_version:
        yield Finding(
            id="other_driver",
            level="warning",
            title="The kernel gets another libcuda.so.1 than the server.",
            evidence=f"Server: {_library(server)}. Kernel: {_library(kernel)}. {_differing(server, kernel)}",
            fix="Look at `env` in the kernel's kernel.json (`jupyter kernelspec list`), and at LD_LIBRARY_PATH.",
        )


def _package(server: Facts, kernel: Facts) -> Iterator[Finding]:
    ours, theirs = server.system.package, kernel.system.package
    if ours and theirs and ours != theirs:
        yield Finding(
            id="other_package",
            level="note",
            title=f"The kernel has jupyter_gpu_ext {theirs}, the server {ours}.",
            evidence="Each said so itself.",
            fix=f"In the kernel: `%pip install jupyter-gpu-ext=={ours}`, then restart it.",
        )


def _torch_words(facts: Facts) -> str:
    if facts.torch.is_installed is None:
        return ""
    return seen.torch_words(facts) if facts.torch.is_installed else "no torch"


def _library(facts: Facts) -> str:
    driver = facts.driver
    return "none" if driver.libcuda_error else driver.libcuda_version or driver.libcuda_file or "one of unknown version"


def _differing(server: Facts, kernel: Facts) -> str:
    pairs = ((name, seen.variable(server, name), seen.variable(kernel, name)) for name in _VARIABLES)
    said = [f"{name}: server {ours!r}, kernel {theirs!r}" for name, ours, theirs in pairs if ours != theirs]
    return f"{'; '.join(said)}." if said else "Their variables are the same."


_RULES = (_torch, _devices, _driver, _package)
