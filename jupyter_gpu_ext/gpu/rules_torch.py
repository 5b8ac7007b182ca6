"""Rules about torch: whether this build serves this driver and this device, and what comes in between."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu import seen
from jupyter_gpu_ext.gpu.compat import Cover, Fit, cover, numbers
from jupyter_gpu_ext.gpu.finding import Finding
from jupyter_gpu_ext.gpu.rules_driver import compat_in_use
from jupyter_gpu_ext.text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.gpu.compat import Compat
    from jupyter_gpu_ext.gpu.facts import Facts
    from jupyter_gpu_ext.gpu.finding import Maker, Rule

_INSTALL = "https://pytorch.org/get-started/locally/"
_MINOR = "https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"
_CAPABILITY = "https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-compilation"
_SHADOW = "https://github.com/pytorch/pytorch/issues/134929"
_RESTART = "then restart the kernel"


def missing(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where there is no torch: loads give NumPy arrays."""
    if facts.torch.is_installed is False:
        yield Finding(
            id="no_torch",
            level="note",
            title="torch is not installed in this environment; loads give NumPy arrays.",
            evidence=f"Python {facts.system.python or 'of unknown version'} has no module torch.",
            fix="To compute on a GPU: `pip install torch`.",
            source=_INSTALL,
        )


def cpu_only(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where a GPU is here, and torch was built without CUDA."""
    torch = facts.torch
    if torch.version is not None and torch.cuda == "" and not torch.hip:
        yield from cpu_torch(facts, compat, "torch.version.cuda is None.")


def cpu_torch(facts: Facts, compat: Compat, said: str) -> Iterator[Finding]:
    """Say that the torch here is one without CUDA, beside a GPU."""
    if seen.devices(facts):
        yield Finding(
            id="cpu_torch",
            level="error",
            title=f"{seen.name(facts)} is here, but this environment's {seen.torch_words(facts)} cannot use it.",
            evidence=seen.sentences(said),
            fix=f"{seen.install(facts, compat)}, {_RESTART}; or `--device cpu`.",
            source=_INSTALL,
        )


def served(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where the driver serves torch's CUDA without compiling PTX, or not at all."""
    # Where CUDA's compatibility library stands in the way, it is what has to go first.
    found = seen.torch_fit(facts, compat) if not compat_in_use(facts) or seen.cuda_works(facts) else None
    said = f"{seen.torch_words(facts)} is built for CUDA {facts.torch.cuda}; {seen.driver_words(facts)}."
    if found is Fit.TOO_OLD and not seen.torch_works(facts):
        yield from driver_too_old(facts, compat, said)
    elif found is Fit.NO_JIT and _needs_ptx(facts):
        yield from ptx(facts, compat, said)
    elif found is Fit.NO_JIT:
        yield Finding(
            id="no_jit",
            level="note",
            title="torch works by CUDA's minor-version compatibility: code that is compiled when it runs may not.",
            evidence=seen.sentences(said),
            fix='Nothing to do for torch itself. If an extension says "unsupported toolchain": update the driver, or '
            f"{seen.install(facts, compat)}.",
            source=_MINOR,
        )


def driver_too_old(facts: Facts, compat: Compat, said: str) -> Iterator[Finding]:
    """Say that the driver is older than torch's CUDA allows."""
    row = compat.floor(numbers(facts.torch.cuda))
    floor = f", or update the driver to {row.driver[0]} or newer" if row else ", or update the driver"
    yield Finding(
        id="driver_too_old",
        level="error",
        title=f"The driver is too old for this environment's {seen.torch_words(facts)}.",
        evidence=seen.sentences(said),
        fix=f"{seen.install(facts, compat)}, {_RESTART}{floor}.",
        source=row.source if row else _MINOR,
    )


def ptx(facts: Facts, compat: Compat, said: str) -> Iterator[Finding]:
    """Say that PTX is newer than the driver that has to compile it."""
    yield Finding(
        id="ptx",
        level="error",
        title="The driver cannot compile this code: its PTX is of a newer CUDA.",
        evidence=seen.sentences(said),
        fix=f"Update the driver, or install what is built for its CUDA: {seen.install(facts, compat)}, {_RESTART}. "
        "If torch itself computes (see below), it is an extension that has to be reinstalled so.",
        source=_MINOR,
    )


def covered(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where a device has no code in this build."""
    archs = facts.torch.archs or ()
    for device, capability in seen.capabilities(facts):
        if facts.torch.cuda and cover(archs, capability) is Cover.NONE:
            said = f"{device.name or 'The device'} is of capability {device.capability}; torch has {', '.join(archs)}."
            yield from no_kernel_image(facts, compat, said)
            return


def no_kernel_image(facts: Facts, compat: Compat, said: str) -> Iterator[Finding]:
    """Say that a build has no code for the device: torch, or an extension where torch itself computes."""
    extension = seen.torch_works(facts)
    what = "An extension" if extension else f"This environment's {seen.torch_words(facts)}"
    yield Finding(
        id="no_kernel_image",
        level="error",
        title=f"{what} has no code for {seen.name(facts)}.",
        evidence=seen.sentences(said),
        fix="torch itself computes: reinstall the extension that the traceback names, built for this card "
        "(TORCH_CUDA_ARCH_LIST)."
        if extension
        else f"{seen.install(facts, compat)}, {_RESTART}.",
        source=_CAPABILITY,
    )


def shadows(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where libraries on `LD_LIBRARY_PATH` come before those that torch was installed with."""
    if facts.system.shadows:
        yield from shadowed_library(facts, compat, "")


def shadowed_library(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that another CUDA's library is loaded in place of the wheel's."""
    found = facts.system.shadows or ()
    folders = sorted({one.folder for one in found})
    names = ", ".join(sorted({one.library for one in found})[:6])
    seen_as = f"{', '.join(folders)} holds {names}." if found else "No such folder is on LD_LIBRARY_PATH now."
    failed = bool(said) or bool(facts.torch.import_error) or bool(facts.torch.cudnn_error)
    ours = found[0].wheel_folder if found else "site-packages/nvidia/nvjitlink/lib"
    yield Finding(
        id="shadowed_library",
        level="error" if failed else "note" if seen.torch_works(facts) else "warning",
        title="LD_LIBRARY_PATH puts another CUDA's libraries before those that torch was installed with.",
        evidence=seen.sentences(said, seen_as),
        fix=f"Take {', '.join(folders) or 'CUDA'} out of LD_LIBRARY_PATH, or put {ours} before it, {_RESTART}.",
        source=_SHADOW,
    )


def missing_library(facts: Facts, compat: Compat, said: str) -> Iterator[Finding]:
    """Say that a library of CUDA is not found: of another major version, or its wheel is not there."""
    named = re.search(r"lib\w+\.so\.(\d+)", said)
    wanted, own = numbers(named[1] if named else None), numbers(facts.torch.cuda)[:1]
    torch_itself = said == facts.torch.import_error
    other = bool(wanted) and bool(own) and wanted != own and not torch_itself
    library = named[0] if named else "A library of CUDA"
    beside = f"beside it: {format_count(len(facts.torch.wheels or {}), 'NVIDIA package')}"
    yield Finding(
        id="missing_library",
        level="error",
        title=f"An extension was built for another CUDA than torch: {library} is not here."
        if other
        else f"{library} is not found: a part of torch's installation is missing.",
        evidence=seen.sentences(said, f"{seen.torch_words(facts)} has CUDA {facts.torch.cuda or 'unknown'}; {beside}"),
        fix=f"Reinstall the extension for CUDA {facts.torch.cuda}."
        if other
        else f"{seen.install(facts, compat)} (without `--no-deps`), {_RESTART}.",
        source=_INSTALL,
    )


def cudnn_mismatch(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that another cuDNN than torch's is loaded."""
    folders = sorted({one.folder for one in facts.system.shadows or () if one.library.startswith("libcudnn")})
    wheel = next((f"{name} {version}" for name, version in (facts.torch.wheels or {}).items() if "cudnn" in name), "")
    yield Finding(
        id="cudnn_mismatch",
        level="error",
        title="torch finds another cuDNN than the one that it was built with.",
        evidence=seen.sentences(said, f"Installed: {wheel}" if wheel else ""),
        fix=f"Take {', '.join(folders) or 'the folder of the other libcudnn'} out of LD_LIBRARY_PATH, {_RESTART}.",
        source="https://github.com/pytorch/pytorch/pull/80877",
    )


def foreign(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where the cuDNN or NCCL in use is not the one that was installed for this torch."""
    row = compat.wheel(numbers(facts.torch.version), numbers(facts.torch.cuda))
    official = row is not None and (facts.torch.version or "").endswith(f"+{row.tag}")
    for what, used in (("cudnn", facts.torch.cudnn), ("nccl", facts.torch.nccl)):
        told = next((version for name, version in (facts.torch.wheels or {}).items() if what in name), None)
        wanted = told or (getattr(row, what) if official else None)
        # The library says three numbers, its package four.
        if used and wanted and numbers(used)[:3] != numbers(wanted)[:3]:
            yield Finding(
                id=f"foreign_{what}",
                level="note",
                title=f"torch uses another {'cuDNN' if what == 'cudnn' else 'NCCL'} than the one that belongs to it.",
                evidence=f"In use {used}; {'installed' if told else 'of this build'} {wanted}.",
                fix="If results or speed surprise: look at LD_LIBRARY_PATH and LD_PRELOAD.",
                source=row.source if official and row and not told else _INSTALL,
            )


def debug(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say that a debug build is slow."""
    if facts.torch.is_debug:
        yield Finding(
            id="debug_torch",
            level="note",
            title="This torch is a debug build: it is slow.",
            evidence=f"{seen.torch_words(facts)}, torch.version.debug is True.",
            fix="`pip install --force-reinstall torch` gives a release build.",
        )


def _needs_ptx(facts: Facts) -> bool:
    archs = facts.torch.archs or ()
    return any(cover(archs, capability) is Cover.PTX for _, capability in seen.capabilities(facts))


RULES: tuple[Rule, ...] = (missing, cpu_only, served, covered, shadows, foreign, debug)
MAKERS: dict[str, Maker] = {
    "cpu_torch": cpu_torch,
    "driver_too_old": driver_too_old,
    "ptx": ptx,
    "no_kernel_image": no_kernel_image,
    "shadowed_library": shadowed_library,
    "missing_library": missing_library,
    "cudnn_mismatch": cudnn_mismatch,
}
