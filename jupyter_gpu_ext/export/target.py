"""How a job is to run: decided once, and written out for each kind of cluster."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.gpu.health.compat import numbers, tables
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.export.connections import Used
    from jupyter_gpu_ext.export.environment import Environment
    from jupyter_gpu_ext.gpu.health.compat import Compat

Code = Literal["configmap", "image"]

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# https://pkg.go.dev/github.com/distribution/reference: a name with its registry, then a tag or a digest.
_IMAGE = re.compile(r"[a-z0-9][\w.:/-]*?[\w](:(?P<tag>\w[\w.-]{0,127}))?(@sha256:(?P<digest>[0-9a-f]{64}))?")
_SIZE = re.compile(r"[1-9]\d{0,5}(Mi|Gi|Ti)")
_MOST_GPUS = 64
# What the notebook held at most, and what fragments and another driver's context take.
_MARGIN = 1.05
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person decides.

    Attributes
    ----------
    name : str
        Of the job; '' makes one of the notebook's name.
    image : str
        The container image; '' is the one that the notebook runs in, else PyTorch's own and the packages.
    code : {'configmap', 'image'}
        How the script comes into the container: with the job, or built into the image.
    gpus : int
        On one machine.
    cpus : int
    memory, shared_memory : str
        With a unit of Kubernetes: '16Gi'. Shared memory is where DataLoader's workers put their batches.
    arguments : mapping of str to str
        Parameters that are not to be the notebook's.
    service_account : str
        Whose workload identity opens the storage.
    secrets : mapping of str to str
        The Kubernetes Secret of a connection; else 'JOB-CONNECTION'.
    """

    name: str = ""
    image: str = ""
    code: Code = "configmap"
    gpus: int = 1
    cpus: int = 4
    memory: str = "16Gi"
    shared_memory: str = "4Gi"
    arguments: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What every kind of cluster is told.

    Attributes
    ----------
    image : str
        What the job runs in when nobody builds an image.
    built_image : str
        What the image is called where somebody does, without a registry.
    installs : bool
        `image` lacks the notebook's packages: they are installed before the script starts.
    arguments : tuple of str
        Of the script.
    gpu_memory_mib : int or None
        A device must have more than this; None where nobody saw what the notebook holds.
    driver_major : int or None
        The oldest NVIDIA driver that runs this torch.
    """

    name: str
    options: Options
    image: str
    built_image: str
    installs: bool
    arguments: tuple[str, ...]
    connections: tuple[Used, ...]
    gpu_memory_mib: int | None
    driver_major: int | None

    def command(self, script: str) -> list[str]:
        """Return the command that runs a script on all the devices."""
        # Without the dashes torchrun takes an option such as --run for the beginning of one of its own.
        many = ["torchrun", "--standalone", f"--nproc-per-node={self.options.gpus}", "--"]
        return [*(many if self.options.gpus > 1 else ["python"]), script, *self.arguments]

    def shell(self, script: str) -> str:
        """Return the command as a shell's line."""
        return shlex.join(self.command(script))

    def secret_of(self, one: Used) -> str:
        """Return the name of the Kubernetes Secret that holds a connection's secret."""
        return self.options.secrets.get(one.name) or f"{self.name}-{one.name}"[:63].rstrip("-")

    def creates_secret(self, one: Used) -> str:
        """Return the command that makes it of the environment variable; its value is on no command line."""
        create = f"kubectl create secret generic {self.secret_of(one)} --from-file={one.variable}=/dev/stdin"
        return f"printenv {one.variable} | tr -d '\\n' | {create}"


def aim(
    options: Options,
    *,
    notebook: str,
    script: str,
    arguments: Sequence[str],
    environment: Environment,
    connections: tuple[Used, ...],
) -> Target:
    """Return what every kind of cluster is told.

    Parameters
    ----------
    notebook : str
        Its file's name.
    script : str
        The source of train.py.

    Raises
    ------
    ExportRefusedError
        For an option that no cluster would take.
    """
    name = options.name or label(notebook.removesuffix(".ipynb"))
    _check(options, name)
    torch, compat = environment.find("torch"), tables()
    own = options.image or environment.image
    image = own or torch_image(torch.version if torch is not None else "", environment.cuda, compat)
    check_image(image)
    peak = environment.peak_bytes if options.gpus else None
    floor = compat.floor(numbers(environment.cuda)) if environment.cuda and options.gpus else None
    return Target(
        name=name,
        options=options,
        image=image,
        built_image=f"{name}:{hashlib.sha256(script.encode()).hexdigest()[:12]}",
        installs=not own,
        arguments=tuple(arguments),
        connections=connections,
        gpu_memory_mib=int(peak * _MARGIN) // _MIB if peak else None,
        driver_major=floor.driver[0] if floor is not None else None,
    )


def label(text: str) -> str:
    """Return a name that Kubernetes takes (RFC 1123), with room for a suffix.

    Examples
    --------
    >>> label("Train ResNet_50 (final)"), label("7"), label("…")
    ('train-resnet-50-final', 'job-7', 'job')
    """
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return words if words[:1].isalpha() else f"job-{words}".rstrip("-")


def torch_image(version: str, cuda: str, compat: Compat) -> str:
    """Return PyTorch's own image of a torch version; a CPU build gets the CUDA that this version comes with."""
    plain = version.partition("+")[0]
    rows = [row for row in compat.wheels if row.torch == numbers(plain)[:2]] or list(compat.wheels)
    default = next((row for row in rows if row.default), rows[-1])
    plain = plain if numbers(plain) else f"{'.'.join(map(str, default.torch))}.0"
    return f"pytorch/pytorch:{plain}-cuda{cuda or '.'.join(map(str, default.cuda))}-cudnn9-runtime"


def check_image(image: str) -> None:
    """Raise `ExportRefusedError` unless an image's name says which one it is."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise ExportRefusedError(
            f"{printable(image[:200])!r} is no name of an image.", hint="registry/name:tag, or name@sha256:…"
        )
    if found["digest"] is None and found["tag"] in (None, "latest"):
        raise ExportRefusedError(
            f"{image} is another image tomorrow.", hint="Name a tag other than latest, or a digest: name@sha256:…"
        )


def _check(options: Options, name: str) -> None:
    names = {"the job": name, **{f"the secret of {one}": text for one, text in options.secrets.items()}}
    names |= {"the service account": options.service_account} if options.service_account else {}
    for what, text in names.items():
        if not LABEL.fullmatch(text):
            raise ExportRefusedError(
                f"{printable(text[:100])!r} cannot name {printable(what)}.",
                hint="Lower-case letters, digits and '-', 63 at most; not at its ends.",
            )
    if type(options.gpus) is not int or not 0 <= options.gpus <= _MOST_GPUS:
        raise ExportRefusedError(
            f"A job cannot have {printable(str(options.gpus)[:20])} GPUs.", hint="A whole number from 0 to 64."
        )
    if type(options.cpus) is not int or not 1 <= options.cpus <= 1024:
        raise ExportRefusedError("A job needs from 1 to 1024 processors.", hint="For example 4.")
    for text in (options.memory, options.shared_memory):
        if not _SIZE.fullmatch(text):
            raise ExportRefusedError(f"{printable(text[:20])!r} is no amount of memory.", hint="For example 16Gi.")
