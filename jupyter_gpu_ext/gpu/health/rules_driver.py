"""Rules about the GPU and its driver, torch or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.health import seen
from jupyter_gpu_ext.gpu.health.compat import numbers
from jupyter_gpu_ext.gpu.health.finding import Finding
from jupyter_gpu_ext.text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.gpu.health.compat import Compat
    from jupyter_gpu_ext.gpu.health.facts import Facts
    from jupyter_gpu_ext.gpu.health.finding import Maker, Rule

_CODES = "https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html"
_NVML = "https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html"
_CONTAINER = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html"
_CUT_OFF = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"
_FORWARD = "https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html"
_FABRIC = "https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/"
_GIVE_GPU = (
    "Container: start it with `--gpus all`. Kubernetes: `resources: limits: nvidia.com/gpu: 1`, and the NVIDIA runtime "
    "class where the cluster has one. Hub: choose a profile with a GPU. Own VM: install the driver."
)
_AGAIN = "Own VM: save and reboot. Hub: stop and start your server; if it stays, send the admin this report."

# cudaError_enum of cuda.h.
NO_DEVICE, _NOT_READY, _DRIVER_MISMATCH, _COMPAT_NOT_SUPPORTED, _UNKNOWN = 100, 802, 803, 804, 999


def no_gpu(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where neither NVML nor CUDA shows a device, and nothing says that there should be one."""
    driver = facts.driver
    absent = driver.nvml_state == "no_gpu" or (driver.nvml_state is None and driver.libcuda_error)
    if absent and not driver.is_simulated and not seen.devices(facts):
        yield from no_driver(facts, _compat, driver.nvml_reason or driver.libcuda_error or "")


def no_driver(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that no driver is in reach."""
    if seen.devices(facts) or facts.driver.is_simulated:
        return
    asked = seen.variable(facts, "NVIDIA_VISIBLE_DEVICES")
    withheld = asked is not None and asked.strip() in {"", "void", "none"}
    yield Finding(
        id="no_driver",
        level="warning",
        title="No GPU here: this environment was started without one."
        if withheld
        else "No GPU here: no NVIDIA driver is in reach.",
        evidence=seen.sentences(f"NVIDIA_VISIBLE_DEVICES={asked!r}" if withheld else "", said),
        fix=_GIVE_GPU,
        source=_CONTAINER,
    )


def no_compute(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where NVML shows a device, and there is no libcuda to compute with."""
    if seen.nvml_devices(facts) and facts.driver.libcuda_error:
        given = seen.variable(facts, "NVIDIA_DRIVER_CAPABILITIES")
        yield Finding(
            id="no_compute",
            level="error",
            title=f"{seen.name(facts)} is here, but programs cannot compute on it: libcuda.so.1 is missing.",
            evidence=f"{facts.driver.libcuda_error}; NVIDIA_DRIVER_CAPABILITIES is "
            f"{given if given is not None else 'not set'}.",
            fix="Container: start it with NVIDIA_DRIVER_CAPABILITIES=compute,utility. Own VM: install the driver.",
            source=_CONTAINER,
        )


def blocked(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where NVML may not be read: the panel is half blind, loading is not."""
    if facts.driver.nvml_state == "blocked":
        yield Finding(
            id="sensors_blocked",
            level="note" if seen.cuda_works(facts) or seen.torch_works(facts) else "warning",
            title=facts.driver.nvml_reason or "The GPU's sensors cannot be read here.",
            evidence="CUDA opens the GPU." if seen.cuda_works(facts) else "CUDA was not seen to open a GPU.",
            fix=facts.driver.nvml_hint or "",
            source=_CONTAINER,
        )


def broken(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where NVML does not answer though there is a driver."""
    reason = facts.driver.nvml_reason or ""
    if facts.driver.nvml_state != "broken":
        return
    if "unknown error" in reason and _has_nodes(facts):
        yield from rights_lost(facts, compat, reason)
    elif "updated under you" in reason:
        yield from driver_mismatch(facts, compat, reason)
    else:
        yield Finding(
            id="driver_broken",
            level="error",
            title=reason or "The GPU's driver does not answer.",
            evidence=f"NVML could not be opened; CUDA answers {init_words(facts)}.",
            fix=facts.driver.nvml_hint or _AGAIN,
            source=_NVML,
        )


def module_and_library(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where the loaded module and libcuda are of different versions."""
    driver = facts.driver
    module, library = numbers(driver.module_version), numbers(driver.libcuda_version)
    if module and library and module != library and not compat_in_use(facts):
        yield from driver_mismatch(facts, compat, "The kernel module and libcuda.so.1 say so themselves.")


def driver_mismatch(facts: Facts, compat: Compat, said: str) -> Iterator[Finding]:
    """Say that the driver's two halves do not fit."""
    if compat_in_use(facts):
        yield from compat_library(facts, compat, said)
        return
    module, library = facts.driver.module_version, facts.driver.libcuda_version
    told = "updated under you: module" in said
    halves = f"module {module or 'unknown'}, library {library or 'of another version'}"
    yield Finding(
        id="driver_mismatch",
        level="error",
        title=said if told else f"The driver was updated under you: {halves}.",
        evidence=seen.sentences(f"CUDA answers {init_words(facts)}" if told else said),
        fix=f"New CUDA programs fail until it is reloaded. {_AGAIN}",
        source=_NVML,
    )


def rights_lost(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that the container's rights to the device nodes were taken away."""
    yield Finding(
        id="rights_lost",
        level="error",
        title="This container lost its right to the GPU (NVML: unknown error).",
        evidence=seen.sentences(said, f"Devices below /dev: {_nodes(facts)}"),
        fix="Stop and start the container (Hub: your server; Kubernetes: delete the pod). What computes goes on. "
        "Admin: a `systemctl daemon-reload` on the host does this; use CDI, or link the devices in /dev/char.",
        source=_CUT_OFF,
    )


def opened(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where `cuInit` answered an error that has a cause of its own."""
    code = facts.driver.init_code
    makers: dict[int, Maker] = {
        _NOT_READY: fabric_manager,
        _DRIVER_MISMATCH: driver_mismatch,
        _COMPAT_NOT_SUPPORTED: compat_library,
        _UNKNOWN: cuda_unknown,
    }
    said = f"cuInit answers {init_words(facts)}."
    if code in makers:
        yield from makers[code](facts, compat, said)
    elif code not in (None, 0, NO_DEVICE):
        yield Finding(
            id="cuda_broken",
            level="error",
            title=f"CUDA cannot be opened here: {facts.driver.init_name or f'code {code}'}.",
            evidence=seen.sentences(said, f"Here: {seen.driver_words(facts)}"),
            fix=_AGAIN,
            source=_CODES,
        )


def fabric_manager(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that the links between the GPUs are not up."""
    count, runs = facts.system.nvswitch_count, facts.system.fabric_manager_runs
    manager = {True: "runs", False: "does not run", None: "is not seen from here"}[runs]
    switches = format_count(count, "NVSwitch", "NVSwitches") if count is not None else "NVSwitches not counted"
    yield Finding(
        id="fabric_manager",
        level="error",
        title="The GPUs wait for NVIDIA Fabric Manager, and no CUDA program starts meanwhile.",
        evidence=seen.sentences(said, f"{switches}; Fabric Manager {manager}; {seen.driver_words(facts)}"),
        fix="Try another node. Admin of this one: `systemctl status nvidia-fabricmanager`; "
        "its version must be the driver's to the last digit.",
        source=_FABRIC,
    )


def compat_library(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that CUDA's forward-compatibility library is used where it may not be, or is older than the driver."""
    folders = ", ".join(facts.system.compat_folders or ())
    place = facts.driver.libcuda_file if compat_in_use(facts) else None
    yield Finding(
        id="compat_library",
        level="error",
        title="CUDA's forward-compatibility library stands in the way of the driver's own.",
        evidence=seen.sentences(said, f"libcuda.so.1 is {place or 'not known'}; {seen.driver_words(facts)}"),
        fix=f"Take {folders or 'the folder `cuda…/compat`'} out of LD_LIBRARY_PATH (or out of /etc/ld.so.conf.d of the "
        "image). That library serves data-centre cards alone, and must be newer than the driver.",
        source=_FORWARD,
    )


def cuda_unknown(facts: Facts, _compat: Compat, said: str) -> Iterator[Finding]:
    """Say that CUDA answers 'unknown error'."""
    missing = _lacks_uvm(facts)
    yield Finding(
        id="cuda_unknown",
        level="error",
        title="CUDA cannot be opened: /dev/nvidia-uvm is missing."
        if missing
        else "CUDA cannot be opened, and only says: unknown error.",
        evidence=seen.sentences(said, f"Devices below /dev: {_nodes(facts)}"),
        fix="On the host: `nvidia-modprobe -u -c=0`, then start the container again."
        if missing
        else "Restart the kernel (CUDA_VISIBLE_DEVICES counts only before CUDA is first used). "
        "If it stays, on the host: `nvidia-modprobe -u -c=0`.",
        source=_CODES,
    )


def uvm(facts: Facts, compat: Compat) -> Iterator[Finding]:
    """Say where the device that CUDA opens first is not there."""
    if _lacks_uvm(facts) and not seen.cuda_works(facts) and not seen.torch_works(facts):
        yield from cuda_unknown(facts, compat, "There is no nvidia-uvm beside the cards.")


def compat_used(facts: Facts, _compat: Compat) -> Iterator[Finding]:
    """Say where CUDA works through the forward-compatibility library."""
    if compat_in_use(facts) and facts.driver.init_code == 0:
        yield Finding(
            id="compat_used",
            level="note",
            title="CUDA works through its forward-compatibility library, not through the driver's own.",
            evidence=f"libcuda.so.1 is {facts.driver.libcuda_file}; {seen.driver_words(facts)}.",
            source=_FORWARD,
        )


def compat_in_use(facts: Facts) -> bool:
    """Return whether libcuda.so.1 is the forward-compatibility library."""
    return "/compat/" in (facts.driver.libcuda_file or "")


def init_words(facts: Facts) -> str:
    """Return what `cuInit` answered, in words."""
    code = facts.driver.init_code
    return "nothing that is known" if code is None else f"{code} ({facts.driver.init_name or 'no name'})"


def _nodes(facts: Facts) -> str:
    return ", ".join(facts.system.device_nodes or ()) or "none, or not known"


def _has_nodes(facts: Facts) -> bool:
    return any(one.removeprefix("nvidia").isdigit() for one in facts.system.device_nodes or ())


def _lacks_uvm(facts: Facts) -> bool:
    return _has_nodes(facts) and "nvidia-uvm" not in (facts.system.device_nodes or ()) and not facts.system.in_wsl


RULES: tuple[Rule, ...] = (
    no_gpu,
    no_compute,
    blocked,
    broken,
    module_and_library,
    opened,
    uvm,
    compat_used,
)
MAKERS: dict[str, Maker] = {
    "no_driver": no_driver,
    "driver_mismatch": driver_mismatch,
    "rights_lost": rights_lost,
    "fabric_manager": fabric_manager,
    "compat_library": compat_library,
    "cuda_unknown": cuda_unknown,
}
