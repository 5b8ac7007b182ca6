"""What was found out about one Python environment and its machine, as plain values that travel as JSON."""

from __future__ import annotations

import types
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A library on `LD_LIBRARY_PATH` that comes before the one that a wheel brought."""

    folder: str
    library: str
    wheel_folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The machine as this process sees it; `unknown` maps each field that is None to the reason, here and below.

    Attributes
    ----------
    python, package, machine : str or None
        Versions of Python and of this package; the processor ('x86_64').
    in_container, in_wsl : bool or None
    device_nodes : tuple of str or None
        Names below /dev that are NVIDIA's.
    shared_memory_bytes : int or None
        Size of /dev/shm.
    user_has_name : bool or None
        The user's number is in the list of users.
    nvswitch_count : int or None
    fabric_manager_runs : bool or None
        None where other processes of the host are not seen.
    variables : dict or None
        Environment variables that decide about GPUs.
    shadows : tuple of Shadow or None
    compat_folders : tuple of str or None
        Entries of `LD_LIBRARY_PATH` that hold CUDA's forward-compatibility driver.
    """

    python: str | None = None
    package: str | None = None
    machine: str | None = None
    in_container: bool | None = None
    in_wsl: bool | None = None
    device_nodes: tuple[str, ...] | None = None
    shared_memory_bytes: int | None = None
    user_has_name: bool | None = None
    nvswitch_count: int | None = None
    fabric_manager_runs: bool | None = None
    variables: dict[str, str] | None = None
    shadows: tuple[Shadow, ...] | None = None
    compat_folders: tuple[str, ...] | None = None
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A device as NVML, CUDA or torch shows it, `index` in the order of the one that shows it.

    Attributes
    ----------
    capability : str or None
        Compute capability: '9.0'.
    is_slice : bool or None
        A MIG slice of a card.
    is_integrated : bool or None
        Shares the system's memory.
    """

    index: int
    name: str | None = None
    uuid: str | None = None
    capability: str | None = None
    memory_total_bytes: int | None = None
    is_slice: bool | None = None
    is_integrated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The NVIDIA driver: its kernel module, its libraries, and what they answer.

    Attributes
    ----------
    module_version : str or None
        Of the kernel module that is loaded: '580.65.06'.
    libcuda_version, libcuda_file : str or None
        Of the libcuda.so.1 that a program gets here.
    cuda_version : str or None
        The newest CUDA that this library serves: '13.0'.
    libcuda_error : str or None
        Why libcuda.so.1 cannot be opened.
    init_code, init_name
        What `cuInit` answered; 0 is well.
    cuda_devices, nvml_devices : tuple of Gpu or None
    nvml_state, nvml_reason, nvml_hint : str or None
        As `jg.gpu.status` has them.
    is_simulated : bool or None
    """

    module_version: str | None = None
    libcuda_version: str | None = None
    libcuda_file: str | None = None
    cuda_version: str | None = None
    libcuda_error: str | None = None
    init_code: int | None = None
    init_name: str | None = None
    cuda_devices: tuple[Gpu, ...] | None = None
    nvml_devices: tuple[Gpu, ...] | None = None
    nvml_state: str | None = None
    nvml_reason: str | None = None
    nvml_hint: str | None = None
    is_simulated: bool | None = None
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A small computation that was tried; `error` is empty when it gave the right result."""

    devices: tuple[int, ...]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Torch:
    """The torch of this environment, from its build to a product of two matrices on each device.

    Attributes
    ----------
    cuda, hip, cudnn, nccl : str or None
        Versions that it was built for (cuda, hip) or found at run time (cudnn, nccl).
    archs : tuple of str or None
        'sm_90' has code, 'compute_90' has PTX.
    wheels : dict or None
        NVIDIA's packages that are installed beside it, with their versions.
    warning, init_error, cudnn_error, import_error : str or None
        In torch's words; empty when there was none.
    products : tuple of Trial or None
        One a device.
    all_reduce : Trial or None
        A sum over all devices.
    """

    is_installed: bool | None = None
    import_error: str | None = None
    import_seconds: float | None = None
    version: str | None = None
    cuda: str | None = None
    hip: str | None = None
    is_debug: bool | None = None
    archs: tuple[str, ...] | None = None
    cudnn: str | None = None
    cudnn_error: str | None = None
    nccl: str | None = None
    wheels: dict[str, str] | None = None
    is_available: bool | None = None
    warning: str | None = None
    init_error: str | None = None
    devices: tuple[Gpu, ...] | None = None
    products: tuple[Trial, ...] | None = None
    all_reduce: Trial | None = None
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the process that asks knows of itself.

    Attributes
    ----------
    last_error : str or None
        The line of the last uncaught error, where it is one that the doctor knows.
    changed_variables : tuple of str or None
        Variables that CUDA reads and that differ from those at this process's start.
    device_count : int or None
        What its torch sees, where it has opened the GPU.
    """

    last_error: str | None = None
    changed_variables: tuple[str, ...] | None = None
    device_count: int | None = None
    unknown: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a diagnosis is made from.

    Examples
    --------
    >>> facts = Facts(driver=Driver(module_version="580.65.06"))
    >>> Facts.from_json(facts.to_json()) == facts
    True
    """

    system: System = field(default_factory=System)
    driver: Driver = field(default_factory=Driver)
    torch: Torch = field(default_factory=Torch)
    session: Session = field(default_factory=Session)
    is_preflight: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return cast("dict[str, Any]", _plain(asdict(self)))

    @classmethod
    def from_json(cls, data: Any) -> Facts:
        """Return the facts that `to_json` gave, here or in another version; what this one does not know is left out.

        Raises
        ------
        ValueError
            The data is not of this form.
        """
        return cast("Facts", _built(cls, data))


_Group = TypeVar("_Group", System, Driver, Torch, Session)


def explained(group: _Group, reason: str) -> _Group:
    """Return `group` with `reason` beside each None that has none."""
    missing = [one.name for one in fields(group) if getattr(group, one.name) is None]
    return replace(group, unknown={name: group.unknown.get(name, reason) for name in missing})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


def _built(kind: Any, value: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        return None if value is None else _built(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        return tuple(_built(get_args(kind)[0], inner) for inner in _of(list, value))
    if get_origin(kind) is dict:
        return {_of(str, key): _of(str, inner) for key, inner in _of(dict, value).items()}
    if not is_dataclass(kind):
        return float(value) if kind is float and type(value) is int else _of(kind, value)
    make: Any = kind
    hints, given = get_type_hints(kind), _of(dict, value)
    try:
        return make(**{name: _built(hint, given[name]) for name, hint in hints.items() if name in given})
    except TypeError:
        raise ValueError(f"a {getattr(kind, '__name__', '')} lacks a value") from None


def _of(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {kind.__name__} is expected, not a {type(value).__name__}")
    return value
