"""Rules about what a container gives its programs: memory to share, a name, a driver new enough."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu import seen
from jupyter_gpu_ext.gpu.compat import numbers
from jupyter_gpu_ext.gpu.finding import Finding
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.gpu.compat import Compat
    from jupyter_gpu_ext.gpu.facts import Facts
    from jupyter_gpu_ext.gpu.finding import Maker, Rule

# What container engines give unless they are told otherwise.
_ENGINE_SHARED_BYTES = 64 * 2**20
# From here on torch's compiler needs no user's name.
_NAMELESS_TORCH = (2, 13)
_CONSTRAINTS = (
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html#constraints"
)
_SHARED = "https://docs.pytorch.org/docs/stable/multiprocessing.html"
_NAME = "https://github.com/pytorch/pytorch/issues/140765"


def shared_memory(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where /dev/shm is too small: a DataLoader's workers hand batches over through it."""
    size = facts.system.shared_memory_bytes
    if size is not None and size <= _ENGINE_SHARED_BYTES:
        yield from small_shared_memory(facts, compat, "")


def small_shared_memory(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that a DataLoader has not enough of it."""
    size = facts.system.shared_memory_bytes
    has = f"Its size is {format_bytes(size)}." if size is not None else "Its size is not known."
    yield Finding(
        id="small_shared_memory",
        level="error" if said else "warning",
        title="Shared memory (/dev/shm) is too small for a DataLoader with workers.",
        evidence=seen.sentences(said, has),
        fix="Docker: `--shm-size=8g` or `--ipc=host`. Kubernetes: mount an emptyDir with `medium: Memory` on /dev/shm. "
        "Until then: `num_workers=0`.",
        source=_SHARED,
    )


def nameless(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where the user's number has no name, which torch's compiler asks for."""
    version, known = numbers(facts.torch.version), facts.system.variables or {}
    asks = facts.torch.is_installed is not False and (not version or version < _NAMELESS_TORCH)
    if facts.system.user_has_name is False and asks and not {"USER", "TORCHINDUCTOR_CACHE_DIR"} <= known.keys():
        yield from user_without_name(facts, compat, "")


def user_without_name(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that `getpwuid` fails, and torch.compile with it."""
    known = facts.system.variables or {}
    lacking = [name for name in ("USER", "TORCHINDUCTOR_CACHE_DIR") if name not in known]
    yield Finding(
        id="user_without_name",
        level="error" if said else "warning",
        title="The user of this container has no name, and torch.compile stops at that.",
        evidence=seen.sentences(
            said, f"/etc/passwd has no line for this user; not set: {', '.join(lacking) or 'nothing'}"
        ),
        fix="Set both: `export USER=me TORCHINDUCTOR_CACHE_DIR=/tmp/inductor` (not one alone), or take torch 2.13.",
        source=_NAME,
    )


def required(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where the image asks for a newer CUDA than the driver serves."""
    text = seen.variable(facts, "NVIDIA_REQUIRE_CUDA") or ""
    served, version = numbers(facts.driver.cuda_version), seen.module(facts)
    if served and text and not _satisfied(text, served, version) and not seen.torch_works(facts):
        yield from image_requires_cuda(facts, compat, "")


def image_requires_cuda(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that a container of this image is refused, or was started all the same."""
    text = seen.variable(facts, "NVIDIA_REQUIRE_CUDA") or said
    wanted = re.search(r"cuda\s*>=\s*([\d.]+)", text)
    yield Finding(
        id="image_requires_cuda",
        level="error" if said else "warning",
        title=f"This image asks for CUDA {wanted[1] if wanted else 'of a newer kind'}, and the driver is older.",
        evidence=seen.sentences(said, f"Here: {seen.driver_words(facts)}"),
        fix="Take an older tag of the image, or update the host's driver. NVIDIA_DISABLE_REQUIRE=1 starts it all the "
        "same, which is sound only within one major version of CUDA.",
        source=_CONSTRAINTS,
    )


def torchrun_without_gpu(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that `torchrun --nproc-per-node=gpu` found no GPU, and said so."""
    yield Finding(
        id="torchrun_without_gpu",
        level="error",
        title="torchrun was told to start one process a GPU, and torch sees none.",
        evidence=seen.sentences(said, f"Here: {seen.torch_words(facts)}"),
        fix="See the other findings for why. Keep `--nproc-per-node=gpu`: `auto` would start one process a CPU.",
        source="https://docs.pytorch.org/docs/stable/elastic/run.html",
    )


def _satisfied(text: str, cuda: tuple[int, ...], driver: tuple[int, ...]) -> bool:
    """Return whether one of the alternatives (apart by spaces) may hold; brands are taken as given."""
    known = {"cuda": cuda, "driver": driver}
    return any(all(_holds(term, known) for term in one.split(",")) for one in text.split())


def _holds(term: str, known: dict[str, tuple[int, ...]]) -> bool:
    found = re.fullmatch(r"(\w+)(>=|<=|!=|=|<|>)([\d.]+)", term)
    has = known.get(found[1]) if found else None
    if found is None or not has:
        return True
    wanted = numbers(found[3])
    has = has[: max(len(wanted), 1)]
    return {
        ">=": has >= wanted, "<=": has <= wanted, "=": has == wanted,
        "!=": has != wanted, "<": has < wanted, ">": has > wanted,
    }[found[2]]  # fmt: skip


RULES: tuple[Rule, ...] = (shared_memory, nameless, required)
MAKERS: dict[str, Maker] = {
    "small_shared_memory": small_shared_memory,
    "user_without_name": user_without_name,
    "image_requires_cuda": image_requires_cuda,
    "torchrun_without_gpu": torchrun_without_gpu,
}
