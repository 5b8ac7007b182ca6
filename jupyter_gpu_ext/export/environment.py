"""What a job must know of the environment that the notebook runs in; it travels as JSON from there to who exports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.job.lock import Locked

if TYPE_CHECKING:
    from collections.abc import Mapping

# '': an index or conda, so that name and version say which it is.
Origin = Literal["", "editable", "file", "url"]
_MOST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An installed distribution.

    Attributes
    ----------
    name : str
        Normalised, as an index has it: 'jupyter-gpu-ext'.
    modules : tuple of str
        The top-level modules that it brings.
    requires : tuple of str
        Normalised names of those that it needs here, extras aside.
    origin : str
        Where it was installed from, when that was no index.
    loaded : bool
        A module of it was imported when somebody looked.
    """

    name: str
    version: str
    modules: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    origin: Origin = ""
    loaded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A Python environment, and what the notebook did in it.

    Attributes
    ----------
    python : str
        '3.11.9'.
    machine : str
        The processor: 'x86_64'.
    image : str
        The container image that it runs in, as the image says it itself in `JUPYTER_GPU_IMAGE`; '' where nobody knows.
    cuda : str
        The CUDA version that torch was built for: '13.0'; '' of a CPU build.
    distributions : tuple of Distribution
    reads : tuple of Locked
        The objects that were read, in the version that was read.
    ran : mapping of int to str
        What the kernel ran, by execution count.
    peak_bytes : int or None
        The most device memory that the notebook held.
    """

    python: str
    machine: str = ""
    image: str = ""
    cuda: str = ""
    distributions: tuple[Distribution, ...] = ()
    reads: tuple[Locked, ...] = ()
    ran: Mapping[int, str] = field(default_factory=dict)
    peak_bytes: int | None = None

    def find(self, name: str) -> Distribution | None:
        """Return the distribution of a normalised name."""
        return next((one for one in self.distributions if one.name == name), None)

    def with_peak(self, peak_bytes: int | None) -> Environment:
        """Return the environment with what somebody else saw of the notebook's memory."""
        return replace(self, peak_bytes=max(peak_bytes or 0, self.peak_bytes or 0) or None)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        rest = {name: getattr(self, name) for name in ("python", "machine", "image", "cuda", "peak_bytes")}
        return {
            **rest,
            "distributions": [
                {**asdict(one), "modules": list(one.modules), "requires": list(one.requires)}
                for one in self.distributions
            ],
            "reads": [one.to_json() for one in self.reads],
            "ran": {str(count): source for count, source in self.ran.items()},
        }

    @classmethod
    def from_json(cls, said: Any) -> Environment:
        """Return the environment that another process told of.

        Raises
        ------
        BadRequestError
            When it is of another form: of another version of this package.
        """
        try:
            peak = said.get("peak_bytes")
            return cls(
                **{name: _text(said[name]) for name in ("python", "machine", "image", "cuda")},
                distributions=tuple(map(_distribution, said["distributions"][:_MOST])),
                reads=tuple(map(Locked.from_json, said["reads"][:_MOST])),
                ran={int(count): _text(source) for count, source in said["ran"].items()},
                peak_bytes=peak if type(peak) is int and peak > 0 else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadRequestError(
                "The kernel tells of its environment in a form that is not known here.",
                hint="Install the same version of jupyter_gpu_ext in kernel and server, and restart both.",
            ) from None


def _distribution(said: Any) -> Distribution:
    origin = said["origin"]
    if origin not in get_args(Origin):
        raise ValueError("no origin")
    return Distribution(
        name=_text(said["name"]),
        version=_text(said["version"]),
        modules=tuple(map(_text, said["modules"])),
        requires=tuple(map(_text, said["requires"])),
        origin=origin,
        loaded=said["loaded"] is True,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
