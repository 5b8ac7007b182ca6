"""What the NVIDIA driver says to a program: run as a program by `probes`.

`cuInit` opens the driver, not a context: no memory of a device is taken. Calls and codes: cuda.h.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.gpu.api import open_backend
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.health.child import Say, tell
from jupyter_gpu_ext.gpu.health.facts import Gpu

_MODULE_VERSION_FILE = Path("/proc/driver/nvidia/version")
_VERSION = re.compile(r"\b\d{3,}(?:\.\d+)+")
_INTEGRATED, _CAPABILITY_MAJOR, _CAPABILITY_MINOR = 18, 75, 76


def probe(say: Say) -> None:
    """Say every field of `Driver`."""
    _say_module(say)
    cuda = _say_library(say)
    _say_nvml(say)
    if cuda is not None:
        _say_devices(say, cuda)


def _say_module(say: Say) -> None:
    try:
        found = _VERSION.search(_MODULE_VERSION_FILE.read_text("utf-8", "replace"))
    except OSError:
        found = None
    if found:
        say(module_version=found.group())
    else:
        say(unknown={"module_version": "no NVIDIA kernel module says its version here"})


def _say_library(say: Say) -> Any:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        say(libcuda_error=str(error))
        names = ("libcuda_version", "libcuda_file", "cuda_version", "init_code", "init_name", "cuda_devices")
        say(unknown=dict.fromkeys(names, "libcuda.so.1 cannot be opened"))
        return None
    say(libcuda_error="", **_libcuda_file())
    version = ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(version)) == 0:
        # 12080 is 12.8.
        say(cuda_version=f"{version.value // 1000}.{version.value % 1000 // 10}")
    return cuda


def _libcuda_file() -> dict[str, str]:
    maps = Path("/proc/self/maps").read_text("utf-8", "replace")
    found = re.search(r"(/\S*/libcuda\.so\S*)", maps)
    if found is None:
        return {}
    version = _VERSION.search(Path(found[1]).name)
    return {"libcuda_file": found[1], **({"libcuda_version": version.group()} if version else {})}


def _say_nvml(say: Say) -> None:
    try:
        with closing(open_backend()) as backend:
            say(is_simulated=backend.simulated, nvml_state="ok", nvml_reason="", nvml_hint="")
            say(nvml_devices=[asdict(_of_nvml(one)) for one in backend.devices()])
    except BackendError as error:
        say(is_simulated=False, nvml_state=error.state.value, nvml_reason=error.message, nvml_hint=error.hint)
        say(nvml_devices=[])
    except GpuExtError as error:
        names = ("is_simulated", "nvml_state", "nvml_reason", "nvml_hint", "nvml_devices")
        say(unknown=dict.fromkeys(names, error.message))


def _of_nvml(device: Any) -> Gpu:
    return Gpu(
        index=device.index,
        name=device.name,
        uuid=device.uuid,
        memory_total_bytes=device.memory_total_bytes,
        is_slice=device.slice_of is not None,
        is_integrated=device.shares_memory,
    )


def _say_devices(say: Say, cuda: Any) -> None:
    code = cuda.cuInit(0)
    say(init_code=code, init_name=_name(cuda, code))
    count = ctypes.c_int()
    if code or cuda.cuDeviceGetCount(ctypes.byref(count)):
        say(unknown={"cuda_devices": f"cuInit answered {code}"})
    else:
        say(cuda_devices=[asdict(_of_cuda(cuda, index)) for index in range(count.value)])


def _of_cuda(cuda: Any, index: int) -> Gpu:
    name, uuid, total = ctypes.create_string_buffer(256), ctypes.create_string_buffer(16), ctypes.c_size_t()
    known = cuda.cuDeviceGetName(name, len(name), index) == 0
    # The second version tells slices of one card apart.
    ask = getattr(cuda, "cuDeviceGetUuid_v2", cuda.cuDeviceGetUuid)
    identified = ask(uuid, index) == 0
    measured = cuda.cuDeviceTotalMem_v2(ctypes.byref(total), index) == 0
    major, minor = _attribute(cuda, _CAPABILITY_MAJOR, index), _attribute(cuda, _CAPABILITY_MINOR, index)
    integrated = _attribute(cuda, _INTEGRATED, index)
    text = name.value.decode("utf-8", "replace")
    return Gpu(
        index=index,
        name=text if known else None,
        uuid=f"GPU-{UUID(bytes=uuid.raw)}" if identified else None,
        capability=None if major is None or minor is None else f"{major}.{minor}",
        memory_total_bytes=total.value if measured else None,
        is_slice=" MIG " in text if known else None,
        is_integrated=None if integrated is None else integrated == 1,
    )


def _attribute(cuda: Any, attribute: int, index: int) -> int | None:
    value = ctypes.c_int()
    return value.value if cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, index) == 0 else None


def _name(cuda: Any, code: int) -> str:
    text = ctypes.c_char_p()
    known = cuda.cuGetErrorName(code, ctypes.byref(text)) == 0
    return text.value.decode("ascii", "replace") if known and text.value else f"code {code}"


if __name__ == "__main__":
    tell(probe)
