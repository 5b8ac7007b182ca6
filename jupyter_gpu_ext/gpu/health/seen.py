"""What follows from the facts at once; each answer is careful with what is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.health.compat import best_wheel, fit, numbers

if TYPE_CHECKING:
    from jupyter_gpu_ext.gpu.health.compat import Compat, Fit, Version
    from jupyter_gpu_ext.gpu.health.facts import Facts, Gpu


def variable(facts: Facts, name: str) -> str | None:
    """Return an environment variable, None where it is not set or not known."""
    return (facts.system.variables or {}).get(name)


def nvml_devices(facts: Facts) -> tuple[Gpu, ...]:
    """Return the devices that NVML shows; made-up ones are none."""
    return () if facts.driver.is_simulated else facts.driver.nvml_devices or ()


def devices(facts: Facts) -> tuple[Gpu, ...]:
    """Return the real devices as the best witness shows them: CUDA, torch, NVML."""
    return facts.driver.cuda_devices or facts.torch.devices or nvml_devices(facts)


def capabilities(facts: Facts) -> tuple[tuple[Gpu, Version], ...]:
    """Return each device whose compute capability is known, with it."""
    return tuple((one, known) for one in devices(facts) if len(known := numbers(one.capability)) == 2)


def name(facts: Facts) -> str:
    """Return what to call the GPU in a sentence."""
    found = devices(facts)
    return (found[0].name if found else None) or "The GPU"


def cuda_works(facts: Facts) -> bool:
    """Return whether CUDA opens and sees a device."""
    return facts.driver.init_code == 0 and bool(facts.driver.cuda_devices)


def torch_works(facts: Facts) -> bool:
    """Return whether torch computed on every device that it sees."""
    return bool(facts.torch.products) and not any(one.error for one in facts.torch.products or ())


def module(facts: Facts) -> Version:
    """Return the driver's version, () where it is not known."""
    return numbers(facts.driver.module_version) or numbers(facts.driver.libcuda_version)


def driver_words(facts: Facts) -> str:
    """Return the driver in words: 'driver 580.65.06, which serves CUDA 13.0'."""
    known = facts.driver.module_version or facts.driver.libcuda_version
    words = f"driver {known}" if known else "a driver of unknown version"
    served = facts.driver.cuda_version
    return f"{words}, which serves CUDA {served}" if served else words


def torch_words(facts: Facts) -> str:
    """Return torch in words: 'torch 2.13.0+cu130'."""
    return f"torch {facts.torch.version or 'of unknown version'}"


def torch_fit(facts: Facts, compat: Compat) -> Fit | None:
    """Return how well the driver serves this torch."""
    served = numbers(facts.driver.cuda_version)
    return fit(numbers(facts.torch.cuda), driver_cuda=served, driver=module(facts), compat=compat)


def sentences(*parts: str) -> str:
    """Return what was seen as sentences; an empty part is none."""
    return " ".join(one if one.endswith((".", "!", "?")) else f"{one}." for part in parts if (one := part.strip()))


def install(facts: Facts, compat: Compat) -> str:
    """Return the command that installs a torch for this driver and these devices, and why it fits."""
    row = best_wheel(
        compat,
        driver_cuda=numbers(facts.driver.cuda_version),
        driver=module(facts),
        capabilities=[known for _, known in capabilities(facts)],
        machine=facts.system.machine or "x86_64",
    )
    if row is None:
        return "`pip install --upgrade --force-reinstall torch`, with the build for this driver that pytorch.org names"
    return f"`pip install --upgrade --force-reinstall torch --index-url {compat.index}/{row.tag}`{_why(facts)}"


def _why(facts: Facts) -> str:
    known = module(facts)
    return f" (fits driver {known[0]})" if known else ""
