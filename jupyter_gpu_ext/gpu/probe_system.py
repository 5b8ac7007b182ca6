"""What the machine says without its driver: run as a program by `probes`."""

from __future__ import annotations

import importlib.util
import os
import platform
import pwd
import re
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext._version import __version__
from jupyter_gpu_ext.gpu.child import Say, tell
from jupyter_gpu_ext.gpu.facts import Shadow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

VARIABLES = (
    "CUDA_DEVICE_ORDER",
    "CUDA_HOME",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "CUDA_VISIBLE_DEVICES",
    "JUPYTER_GPU_SIMULATED",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NVIDIA_DISABLE_REQUIRE",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_VISIBLE_DEVICES",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NVML_BASED_CUDA_CHECK",
    "TORCHINDUCTOR_CACHE_DIR",
)
# Whether they are set matters; their values are people's names.
_PRESENCE = ("LOGNAME", "USER")
_SHADOWING = re.compile(r"lib(?:cudart|nvJitLink|cudnn|cublas|cublasLt|cusparse|nvrtc|nccl)(?:_\w+)?\.so\.\d+")
_COMPAT = re.compile(r"/cuda[^/]*/compat(?:/|$)")
# PCI class "bridge, other", which is what an NVSwitch says of itself.
_NVSWITCH = ("0x10de", "0x068000")


def probe(say: Say) -> None:
    """Say every field of `System`."""
    say(python=platform.python_version(), package=__version__, machine=platform.machine())
    say(in_container=in_container(), in_wsl=Path("/dev/dxg").exists())
    say(device_nodes=sorted(one.name for one in Path("/dev").glob("nvidia*")))
    say(variables=variables(os.environ))
    say(user_has_name=_has_name(os.getuid()))
    say(nvswitch_count=sum(1 for one in Path("/sys/bus/pci/devices").glob("*") if _pci_kind(one) == _NVSWITCH))
    _say_shared_memory(say)
    _say_fabric_manager(say)
    folders = search_folders(os.environ)
    say(compat_folders=[str(one) for one in folders if _COMPAT.search(str(one))])
    # Last: a folder on the network may not answer.
    say(shadows=[asdict(one) for one in shadows(folders, wheel_folders())])


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what decides about GPUs; of the user's name only that there is one."""
    found = {name: environ[name] for name in VARIABLES if name in environ}
    return found | {name: "set" for name in _PRESENCE if environ.get(name)}


def search_folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders of `LD_LIBRARY_PATH`."""
    return tuple(Path(one) for one in environ.get("LD_LIBRARY_PATH", "").split(":") if one)


def wheel_folders() -> tuple[Path, ...]:
    """Return where NVIDIA's wheels keep their libraries in this environment."""
    spec = importlib.util.find_spec("nvidia")
    places = spec.submodule_search_locations if spec else None
    return tuple(sorted(folder for place in places or () for folder in Path(place).glob("*/lib")))


def shadows(folders: Iterable[Path], wheels: Iterable[Path]) -> Iterator[Shadow]:
    """Yield each library of the wheels that the loader finds in `folders` first."""
    ours: dict[str, list[Path]] = defaultdict(list)
    for folder in wheels:
        for name in _libraries(folder):
            ours[name].append(folder)
    for folder in folders:
        for name in sorted(_libraries(folder) & ours.keys()):
            if not any(folder.samefile(one) for one in ours[name]):
                yield Shadow(folder=str(folder), library=name, wheel_folder=str(ours[name][0]))


def in_container() -> bool:
    """Return whether a container is around this process, by the marks that engines leave."""
    marks = ("/.dockerenv", "/run/.containerenv", "/.singularity.d")
    return any(Path(one).exists() for one in marks) or "KUBERNETES_SERVICE_HOST" in os.environ


def _libraries(folder: Path) -> set[str]:
    try:
        return {one.name for one in folder.iterdir() if _SHADOWING.fullmatch(one.name)}
    except OSError:
        return set()


def _has_name(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def _pci_kind(device: Path) -> tuple[str, str]:
    try:
        return (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
    except OSError:
        return ("", "")


def _say_shared_memory(say: Say) -> None:
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108 -- it is looked at, not written to
    except OSError:
        say(unknown={"shared_memory_bytes": "there is no /dev/shm"})
    else:
        say(shared_memory_bytes=room.f_blocks * room.f_frsize)


def _say_fabric_manager(say: Say) -> None:
    # The system shows 15 letters of a program's name.
    if any(_word(one) == "nv-fabricmanage" for one in Path("/proc").glob("[0-9]*/comm")):
        say(fabric_manager_runs=True)
    elif in_container():
        say(unknown={"fabric_manager_runs": "a container does not see its host's processes"})
    else:
        say(fabric_manager_runs=False)


def _word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    tell(probe)
