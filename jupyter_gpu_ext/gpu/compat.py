"""Which driver serves which CUDA, and which of PyTorch's wheels fits a machine: dated tables, and rules behind them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

# Parts of Jetson: their code runs on exactly this capability.
_EXACT = frozenset({(5, 3), (6, 2), (7, 2), (8, 7), (10, 1), (11, 0)})
_ARCH = re.compile(r"(sm|compute)_(\d+)(\d)[a-z]?")

Version = tuple[int, ...]


class Fit(Enum):
    """How well a driver serves a CUDA version."""

    FULL = "full"
    NO_JIT = "no_jit"
    TOO_OLD = "too_old"


class Cover(Enum):
    """Whether a build has code for a device."""

    CODE = "code"
    PTX = "ptx"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverRow:
    """The oldest driver for a CUDA version, (12, 8), or for a whole major version, (12,)."""

    cuda: Version
    driver: Version
    date: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelRow:
    """One build of PyTorch's own wheels; `archs` by processor."""

    torch: Version
    cuda: Version
    default: bool
    cudnn: str | None
    nccl: str | None
    archs: dict[str, tuple[str, ...]]
    date: date
    source: str

    @property
    def tag(self) -> str:
        """The last part of its index: 'cu126'."""
        return "cu" + "".join(map(str, self.cuda))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compat:
    """The tables."""

    index: str
    floors: tuple[DriverRow, ...]
    drivers: tuple[DriverRow, ...]
    wheels: tuple[WheelRow, ...]

    def floor(self, cuda: Version) -> DriverRow | None:
        """Return the row of a CUDA version's major version."""
        return next((row for row in self.floors if row.cuda == cuda[:1]), None)

    def cuda_of(self, driver: Version) -> Version:
        """Return the newest CUDA that a driver is known to serve, (12,) of a major version; () where none is."""
        rows = (*self.floors, *self.drivers)
        return max((row.cuda for row in rows if row.driver <= driver), default=())

    def wheel(self, torch: Version, cuda: Version) -> WheelRow | None:
        """Return the row of a torch version and a CUDA version."""
        return next((row for row in self.wheels if row.torch == torch[:2] and row.cuda == cuda[:2]), None)


@cache
def tables() -> Compat:
    """Return the tables of compat.toml."""
    data = tomllib.loads(files("jupyter_gpu_ext.gpu").joinpath("compat.toml").read_text("utf-8"))
    return Compat(
        index=data["index"],
        floors=tuple(_driver_row(row) for row in data["floors"]),
        drivers=tuple(_driver_row(row) for row in data["drivers"]),
        wheels=tuple(_wheel_row(row) for row in data["wheels"]),
    )


def numbers(version: str | None) -> Version:
    """Return a version's leading numbers, () where there are none.

    Examples
    --------
    >>> numbers("580.65.06"), numbers("2.13.0+cu130"), numbers(None)
    ((580, 65, 6), (2, 13, 0), ())
    """
    found = re.match(r"\s*(\d{1,9}(?:\.\d{1,9})*)", version or "", re.ASCII)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def fit(cuda: Version, *, driver_cuda: Version, driver: Version, compat: Compat) -> Fit | None:
    """Return how well a driver serves programs of a CUDA version; None where nothing is known.

    Minor-version compatibility: within a major version from 11 on, an older driver runs them, but does not compile
    their PTX. https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html

    Parameters
    ----------
    cuda : tuple of int
        What the program was built for.
    driver_cuda : tuple of int
        What the driver says it serves; () where it was not asked.
    driver : tuple of int
        Its version, used where it was not asked.
    """
    served = driver_cuda[:2] or compat.cuda_of(driver)
    if not cuda or not (served or driver):
        return None
    if not served:
        return Fit.TOO_OLD
    if served >= cuda[:2]:
        return Fit.FULL
    return Fit.NO_JIT if served[0] == cuda[0] >= 11 else Fit.TOO_OLD


def cover(archs: Iterable[str], capability: Version) -> Cover | None:
    """Return whether code for `archs` runs on a device; None where either is not known.

    Code for X.y runs on X.z with z >= y; PTX is compiled for any newer device.

    Parameters
    ----------
    archs : iterable of str
        'sm_90', 'compute_90'.
    capability : tuple of int
        Of the device: (9, 0).
    """
    known = [(found[1], (int(found[2]), int(found[3]))) for one in archs if (found := _ARCH.fullmatch(one))]
    if not known or len(capability) != 2:
        return None
    if any(kind == "sm" and _runs(built, capability) for kind, built in known):
        return Cover.CODE
    if any(kind == "compute" and built <= capability for kind, built in known):
        return Cover.PTX
    return Cover.NONE


def best_wheel(
    compat: Compat, *, driver_cuda: Version, driver: Version, capabilities: Iterable[Version], machine: str
) -> WheelRow | None:
    """Return the newest of PyTorch's builds that the driver serves and that has code for every device."""
    wanted = tuple(capabilities)

    def runs(row: WheelRow) -> bool:
        archs = [f"sm_{one.replace('.', '')}" for one in row.archs.get(machine, ())]
        return bool(archs) and all(cover(archs, one) in (Cover.CODE, None) for one in wanted)

    fits = {row.cuda: fit(row.cuda, driver_cuda=driver_cuda, driver=driver, compat=compat) for row in compat.wheels}
    good = [row for row in compat.wheels if fits[row.cuda] in (Fit.FULL, Fit.NO_JIT) and runs(row)]
    return max(good, key=lambda row: (row.torch, fits[row.cuda] is Fit.FULL, row.cuda), default=None)


def _runs(built: Version, capability: Version) -> bool:
    if built in _EXACT or capability in _EXACT:
        return built == capability
    return built[0] == capability[0] and built[1] <= capability[1]


def _driver_row(row: dict[str, Any]) -> DriverRow:
    return DriverRow(
        cuda=numbers(str(row["cuda"])), driver=numbers(row["driver"]), date=row["date"], source=row["source"]
    )


def _wheel_row(row: dict[str, Any]) -> WheelRow:
    return WheelRow(
        torch=numbers(row["torch"]),
        cuda=numbers(row["cuda"]),
        default=row.get("default", False),
        cudnn=row.get("cudnn"),
        nccl=row.get("nccl"),
        archs={machine: tuple(archs) for machine, archs in row["archs"].items()},
        date=row["date"],
        source=row["source"],
    )
