"""Everything that a load decides before its first byte moves: what, in which type, where to, and whether it fits."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, DeviceError, NotInstalledError
from jupyter_gpu_ext.tensors.device import Target, device_memory, find_target
from jupyter_gpu_ext.tensors.fit import Question, Room, needs, verdict
from jupyter_gpu_ext.tensors.placement import Devices, described, parse_devices, placement
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.precision import conversions, parse_dtype, stored_bytes
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.tensors.models import TensorFile
    from jupyter_gpu_ext.tensors.plan import FetchPlan


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a load is asked for, checked as far as that goes without the file.

    Attributes
    ----------
    devices : Devices
        Found here, as torch names them.
    targets : mapping of str to Target
        The same by their names.
    dtype : str or None
        What floating point tensors become.
    """

    devices: Devices
    targets: Mapping[str, Target]
    keys: tuple[str, ...] = ()
    dtype: str | None = None

    def only_target(self, shown: str) -> Target:
        """Return the one device that is asked for.

        Raises
        ------
        BadRequestError
            When there are several.
        """
        devices = {name for _, name in self.devices.rules}
        if self.devices.fits or len(devices) != 1:
            raise BadRequestError(f"{shown} goes to one device as a whole.", hint="--device cuda:0, for example.")
        return self.targets[devices.pop()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A load of which everything is decided.

    Attributes
    ----------
    changed : mapping of str to (str, str)
        Storages that are converted, with their type and the new one.
    placed : mapping of str to str
        The device of each storage.
    shown : str
        The devices in words: 'cuda:0', 'layers 0-18 on cuda:0, rest on cpu'.
    """

    file: TensorFile
    plan: FetchPlan
    changed: Mapping[str, tuple[str, str]]
    placed: Mapping[str, str]
    rooms: Mapping[str, Room]
    shown: str

    @property
    def verdict(self) -> str:
        """Whether it fits, in words."""
        return verdict(needs(self.plan, self.changed, self.placed), self.rooms)

    @property
    def refusal(self) -> str:
        """Why a load would not begin, and what to do; '' where it would."""
        try:
            self.check_fit()
        except DeviceError as error:
            return str(error)
        return ""

    def check_fit(self) -> None:
        """Refuse what does not fit.

        Raises
        ------
        DeviceError
            With the ways that fit.
        """
        Question(file=self.file, plan=self.plan, changed=self.changed, placed=self.placed, rooms=self.rooms).check()


def want(device: Any, keys: Sequence[str] | str = (), dtype: Any = None) -> Wanted:
    """Check what a load is asked for.

    Raises
    ------
    BadRequestError
        For a device or a type that cannot be.
    DeviceError
        When a device is not here.
    NotInstalledError
        Without torch.
    """
    if importlib.util.find_spec("torch") is None:
        raise NotInstalledError("Loading needs torch, which this kernel does not have.", hint="%pip install torch")
    parsed = parse_devices(str(device))
    found = {name: find_target(name) for name in dict.fromkeys(name for _, name in parsed.rules)}
    devices = Devices(tuple((glob, found[name].device) for glob, name in parsed.rules), fits=parsed.fits)
    named = (keys,) if isinstance(keys, str) else tuple(keys)
    targets = {one.device: one for one in sorted(found.values(), key=lambda one: one.simulated is not None)}
    return Wanted(devices, {"cpu": Target("cpu"), **targets}, named, parse_dtype(dtype))


def prepare(
    file: TensorFile,
    wanted: Wanted,
    *,
    plan: FetchPlan | None = None,
    placed: Mapping[str, str] | None = None,
    spare_bytes: Mapping[str, int] | None = None,
    replaced_bytes: Mapping[str, int] | None = None,
) -> Prepared:
    """Decide a load.

    Parameters
    ----------
    plan : FetchPlan, optional
        What to fetch, where that does not follow from `wanted.keys`.
    placed : mapping of str to str, optional
        Where to, where that is decided already.
    spare_bytes : mapping of str to int, optional
        What will be free on a device that is not yet: parts of this very load, a value that is dropped first.
    replaced_bytes : mapping of str to int, optional
        What a value holds that could be dropped first.
    """
    plan = plan or make_plan(file, wanted.keys)
    changed = conversions(plan, wanted.dtype)
    names = dict.fromkeys([*(placed.values() if placed else (name for _, name in wanted.devices.rules))])
    rooms = {name: room for name in names if (room := _room(name, spare_bytes or {}, replaced_bytes or {}))}
    if placed is None:
        free = {name: room.fill_bytes for name, room in rooms.items() if name != "cpu"}
        placed = placement(plan, wanted.devices, free, stored_bytes(plan, changed))
    if "cpu" in placed.values() and "cpu" not in rooms and (cpu := _room("cpu", {}, {})) is not None:
        rooms["cpu"] = cpu
    return Prepared(
        file=file, plan=plan, changed=changed, placed=placed, rooms=rooms, shown=_shown(plan, placed, wanted)
    )


def refuse_selection(file: TensorFile, select: str | None, *, raw: bool) -> None:
    """Refuse what only arrays have.

    Raises
    ------
    BadRequestError
        For a file of named tensors.
    """
    if select is not None or raw:
        flag = "--select" if select is not None else "--raw"
        raise BadRequestError(
            f"{flag} is for Zarr arrays; {printable(file.url)} is a {file.kind} file.",
            hint="--keys GLOB chooses tensors by name.",
        )


def _room(device: str, spare: Mapping[str, int], replaced: Mapping[str, int]) -> Room | None:
    memory = device_memory(device)
    if memory is None:
        return None
    free, total = memory
    return Room(device, free + spare.get(device, 0), total, replaced.get(device, 0))


def _shown(plan: FetchPlan, placed: Mapping[str, str], wanted: Wanted) -> str:
    used = set(placed.values()) or {wanted.devices.rules[0][1]}
    if len(used) == 1:
        device = used.pop()
        return wanted.targets[device].shown if device in wanted.targets else device
    return described(plan, placed)
