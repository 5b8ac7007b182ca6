"""Every NVML return code in words: what it makes of a metric, and of the machine.

Codes: `nvmlReturn_t` in nvml.h.
"""

from __future__ import annotations

from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import State

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
OPERATING_SYSTEM = 17
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
DEPRECATED = 26
GPU_NOT_FOUND = 28
UNKNOWN = 999

_WORDS = {
    UNINITIALIZED: "not initialized",
    INVALID_ARGUMENT: "invalid argument",
    NOT_SUPPORTED: "not supported",
    NO_PERMISSION: "insufficient permissions",
    5: "already initialized",
    NOT_FOUND: "not found",
    7: "insufficient size",
    8: "external power cables are not attached",
    DRIVER_NOT_LOADED: "driver not loaded",
    10: "timeout",
    11: "the kernel found a problem with the GPU's interrupts",
    LIBRARY_NOT_FOUND: "library not found",
    FUNCTION_NOT_FOUND: "the driver is too old for this query",
    14: "the GPU's infoROM is corrupted",
    GPU_IS_LOST: "the GPU is lost",
    RESET_REQUIRED: "the GPU needs a reset",
    OPERATING_SYSTEM: "blocked by the operating system",
    LIB_RM_VERSION_MISMATCH: "library and kernel module differ in version",
    19: "the GPU is in use",
    20: "not enough memory",
    21: "no data",
    22: "not possible with ECC on a virtual GPU",
    23: "not enough resources",
    24: "frequency not supported",
    ARGUMENT_VERSION_MISMATCH: "the driver expects another version of this query",
    DEPRECATED: "deprecated",
    27: "not ready",
    GPU_NOT_FOUND: "GPU not found",
    29: "invalid state",
    30: "this kind of reset is not supported",
    UNKNOWN: "unknown error",
}

_NO_GPU = "No GPU: nothing to do, or try JUPYTER_GPU_SIMULATED=1."
_SENSORS = "Memory comes from this notebook; other notebooks and utilisation are unknown."
_REBOOT = "Own VM: save and reboot. Hub: stop and start your server; if it stays, tell the admin."

_BLOCKED = (
    State.BLOCKED,
    "GPU usable; its sensors are blocked here (NVML: {words}).",
    f"Loading works. {_SENSORS} Admin: NVIDIA_DRIVER_CAPABILITIES=compute,utility.",
)
_NONE_FOUND = (
    State.NO_GPU,
    "The NVIDIA driver runs, but shows no GPU here.",
    f"Container: start it with `--gpus all`. Hub: choose a profile with a GPU. {_NO_GPU}",
)
_OTHER = (State.BROKEN, "The GPU's driver does not answer (NVML: {words}).", _REBOOT)
_OPENING = {
    NOT_SUPPORTED: (
        State.BLOCKED,
        "This GPU's sensors are not offered here (NVML: {words}).",
        f"Loading may work. {_SENSORS}",
    ),
    NO_PERMISSION: _BLOCKED,
    NOT_FOUND: _NONE_FOUND,
    DRIVER_NOT_LOADED: (
        State.NO_GPU,
        "The NVIDIA driver is not loaded on this machine.",
        f"Own VM: `sudo modprobe nvidia`, or reboot. Hub: choose a profile with a GPU. {_NO_GPU}",
    ),
    LIBRARY_NOT_FOUND: (
        State.NO_GPU,
        "No NVIDIA driver here (libnvidia-ml.so.1 not found).",
        "Container: start it with `--gpus all` and NVIDIA_DRIVER_CAPABILITIES=compute,utility. "
        f"Own VM: install the driver. {_NO_GPU}",
    ),
    FUNCTION_NOT_FOUND: (
        State.BROKEN,
        "The NVIDIA driver is too old for its sensors to be read (NVML: function not found).",
        "Update the driver.",
    ),
    GPU_IS_LOST: (
        State.BROKEN,
        "The GPU fell off the bus (NVML: {words}).",
        f"What was on it is gone. {_REBOOT}",
    ),
    RESET_REQUIRED: (State.BROKEN, "The GPU stopped (NVML: {words}).", _REBOOT),
    OPERATING_SYSTEM: _BLOCKED,
    LIB_RM_VERSION_MISMATCH: (
        State.BROKEN,
        "The driver was updated under you: module {module}, library {library}.",
        f"New CUDA programs fail until it is reloaded. {_REBOOT}",
    ),
    GPU_NOT_FOUND: _NONE_FOUND,
    UNKNOWN: (
        State.BROKEN,
        "The GPU's driver does not answer (NVML: {words}).",
        "Container: start it again (a `systemctl daemon-reload` on its host cuts it off; admin: "
        f"NVIDIA container toolkit with CDI). {_REBOOT}",
    ),
}


def describe(code: int) -> str:
    """Return a return code in words, for a metric's reason."""
    return _WORDS.get(code, f"NVML code {code}")


def opening_failed(code: int, *, module: str = "", library: str = "") -> BackendError:
    """Return what a return code says when NVML cannot be opened or knows no device.

    Parameters
    ----------
    code : int
        `nvmlReturn_t`, not 0.
    module, library : str
        Versions of the kernel module and of the library, where known.
    """
    state, reason, hint = _OPENING.get(code, _OTHER)
    versions = {"module": module or "unknown", "library": library or "of another version"}
    return BackendError(state, reason.format(words=describe(code), **versions), hint)


def no_binding() -> BackendError:
    """Return the error for a Python environment without nvidia-ml-py."""
    reason = "The GPU's sensors cannot be read: the Python package nvidia-ml-py is missing."
    return BackendError(State.BLOCKED, reason, "`pip install nvidia-ml-py`, then restart.")
