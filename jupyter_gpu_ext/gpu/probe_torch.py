"""What this environment's torch is built for, and whether it computes: run as a program by `probes`."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, fields
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.child import Say, tell
from jupyter_gpu_ext.gpu.facts import Gpu, Torch, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

_SIDE = 64
ABSENT = "ModuleNotFoundError: No module named 'torch'"


def probe(say: Say) -> None:
    """Say every field of `Torch` but the sum over all devices."""
    say(wheels=wheels())
    begun = time.monotonic()
    torch, error = imported()
    if error == ABSENT:
        say(is_installed=False, unknown=_unknown("torch is not installed"))
        return
    say(is_installed=True, import_error=error)
    if torch is None:
        say(unknown=_unknown("torch cannot be imported"))
        return
    say(import_seconds=round(time.monotonic() - begun, 1))
    _say_build(say, torch)
    _say_availability(say, torch)


def _unknown(reason: str) -> dict[str, str]:
    return {one.name: reason for one in fields(Torch)}


def imported() -> tuple[Any, str]:
    """Return torch and no error, or None and the error's first line."""
    try:
        import torch
    except Exception as error:  # noqa: BLE001 -- a broken installation raises what it likes, and that is the fact
        return None, said(error)
    return torch, ""


def wheels() -> dict[str, str]:
    """Return NVIDIA's packages of this environment with their versions."""
    found = ((one.name or "", one.version) for one in distributions())
    return {
        name: version
        for name, version in sorted(found)
        if name.startswith("nvidia-") and name != "nvidia-ml-py" and version
    }


def said(error: BaseException) -> str:
    """Return an error as the person sees it, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:600]


def _say_build(say: Say, torch: Any) -> None:
    version = torch.version
    say(version=str(torch.__version__), is_debug=bool(version.debug))
    say(cuda=version.cuda or "", hip=getattr(version, "hip", None) or "")
    if not version.cuda:
        say(archs=[], cudnn="", cudnn_error="", nccl="")
        return
    # get_arch_list() is empty where CUDA is not available.
    flags = torch._C._cuda_getArchFlags() if hasattr(torch._C, "_cuda_getArchFlags") else None  # noqa: SLF001
    say(archs=(flags or "").split())
    number, error = _tried(torch.backends.cudnn.version)
    say(cudnn=_cudnn_version(number), cudnn_error=error)
    found, error = _tried(torch.cuda.nccl.version)
    say(nccl=".".join(map(str, found)) if found else "", unknown={"nccl": error} if error else {})


def _tried(ask: Callable[[], Any]) -> tuple[Any, str]:
    try:
        return ask(), ""
    except Exception as error:  # noqa: BLE001 -- the error is the fact
        return None, said(error)


def _cudnn_version(number: int | None) -> str:
    """Return 9.19.0 of 91900, and 8.9.7 of 8907: cudnn_version.h."""
    if not number:
        return ""
    thousand = 10_000 if number >= 90_000 else 1000
    return f"{number // thousand}.{number % thousand // 100}.{number % 100}"


def _say_availability(say: Say, torch: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available, error = _tried(torch.cuda.is_available)
        if not available and not error:
            _, error = _tried(torch.cuda.init)
    # Of what is said twice once is enough.
    say(warning=next((said(one.message) for one in caught if isinstance(one.message, Warning)), ""))
    say(is_available=bool(available), init_error=error)
    if not available:
        say(devices=[], products=[])
        return
    count = torch.cuda.device_count()
    say(devices=[asdict(_device(torch, index)) for index in range(count)])
    trials: list[dict[str, Any]] = []
    for index in range(count):
        _, error = _tried(lambda index=index: _multiply(torch, index))  # type: ignore[misc]
        trials.append(asdict(Trial(devices=(index,), error=error)))
        say(products=trials)


def _device(torch: Any, index: int) -> Gpu:
    known = torch.cuda.get_device_properties(index)
    # torch before 2.5 tells no uuid.
    uuid = getattr(known, "uuid", None)
    return Gpu(
        index=index,
        name=str(known.name),
        uuid=None if uuid is None else f"GPU-{uuid}",
        capability=f"{known.major}.{known.minor}",
        memory_total_bytes=int(known.total_memory),
        is_slice=" MIG " in str(known.name),
        is_integrated=bool(getattr(known, "is_integrated", False)),
    )


def _multiply(torch: Any, index: int) -> None:
    ones = torch.ones((_SIDE, _SIDE), device=f"cuda:{index}")
    total = float((ones @ ones).sum())
    if total != _SIDE**3:
        raise ArithmeticError(f"a product of two matrices sums to {total}, not {_SIDE**3}")


if __name__ == "__main__":
    tell(probe)
