"""Which known fault a line of text speaks of: what torch, CUDA, NCCL and the loader say when a GPU does not work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

# A fault to what is said of it. Of two that fit, the first is nearer the cause.
FAULTS: dict[str, re.Pattern[str]] = {
    "cpu_torch": re.compile(r"Torch not compiled with CUDA enabled"),
    "driver_too_old": re.compile(
        r"CUDA driver version is insufficient for CUDA runtime version|"
        r"NVIDIA driver on your system is too old \(found version \d+\)"
    ),
    "no_kernel_image": re.compile(
        r"no kernel image is available for execution on the device|"
        r"sm_\d+\w? is not compatible with the current PyTorch installation"
    ),
    "ptx": re.compile(r"provided PTX was compiled with an unsupported toolchain|cudaErrorUnsupportedPtxVersion"),
    "shadowed_library": re.compile(r"undefined symbol: \w*nvJitLink\w*"),
    "missing_library": re.compile(r"lib(?:cudart|cublas|cudnn|nccl|cusparse)\S*\.so\S*: cannot open shared object"),
    "cudnn_mismatch": re.compile(r"cuDNN version incompatibility"),
    "no_driver": re.compile(r"Found no NVIDIA driver on your system|libcuda\.so\.1: cannot open shared object file"),
    "fabric_manager": re.compile(r"Error 802: system not yet initialized|\b802\b.*system not yet initialized"),
    "compat_library": re.compile(r"Error 804:|forward compatibility was attempted on non supported HW"),
    "driver_mismatch": re.compile(
        r"Driver/library version mismatch|Error 803:|system has unsupported display driver / cuda driver combination"
    ),
    "rights_lost": re.compile(r"Failed to initialize NVML: Unknown Error"),
    "cuda_unknown": re.compile(r"CUDA unknown error"),
    "image_requires_cuda": re.compile(r"unsatisfied condition: cuda\s*>=\s*[\d.]+"),
    "small_shared_memory": re.compile(
        r"DataLoader worker \(pid\S* \d+\) is killed by signal: Bus error|insufficient shared memory \(shm\)"
    ),
    "user_without_name": re.compile(r"getpwuid\(\): uid not found: \d+|No username set in the environment"),
    "torchrun_without_gpu": re.compile(r"Cuda is not available\."),
}


def fault_in(text: str) -> str | None:
    """Return the fault that `text` speaks of, None where it is none that is known.

    Examples
    --------
    >>> fault_in("AssertionError: Torch not compiled with CUDA enabled")
    'cpu_torch'
    """
    return next((name for name, pattern in FAULTS.items() if pattern.search(text)), None)


def known_line(error: BaseException) -> str | None:
    """Return the line of an error, or of one that led to it, that speaks of a known fault; nothing else of it."""
    for one in _chain(error):
        for line in f"{type(one).__name__}: {one}".splitlines():
            if fault_in(line):
                return redact(line.strip())[:300]
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen = set[int]()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [other for other in (one.__context__, one.__cause__) if other is not None]
