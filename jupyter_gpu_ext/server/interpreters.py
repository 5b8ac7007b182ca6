"""Which Python a kernel runs, and with which variables: taken from its kernel spec, never from who asks."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import PurePath
from string import Template
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from jupyter_gpu_ext.errors import UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

# What jupyter_client itself replaces by the server's own interpreter.
_OWN = {"python", f"python{sys.version_info.major}", f"python{sys.version_info.major}.{sys.version_info.minor}"}
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python to ask; `variables` are those that a kernel spec adds to the server's."""

    path: str
    variables: tuple[tuple[str, str], ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the environment that a kernel of it gets."""
        return {**os.environ, **dict(self.variables)}


SERVERS = Interpreter(path=sys.executable)


def of_kernel(kernel: Any) -> Interpreter:
    """Return the interpreter of a running kernel.

    Parameters
    ----------
    kernel : KernelManager
        Jupyter's.

    Raises
    ------
    UnsupportedFormatError
        The kernel is not a Python of this machine.
    """
    spec = kernel.kernel_spec
    if not isinstance(kernel.provisioner, LocalProvisioner):
        raise UnsupportedFormatError(
            "This kernel runs on another machine.", hint="Run `%gpu doctor` in its notebook: it looks where it runs."
        )
    command = _command(spec)
    if not _PYTHON.fullmatch(PurePath(command).name):
        raise UnsupportedFormatError(
            f"This kernel ({spec.language or 'of no known language'}) is not started as a Python.",
            hint="If it is one all the same, run `%gpu doctor` in its notebook.",
        )
    return Interpreter(path=command, variables=_filled(spec.env or {}))


def _command(spec: Any) -> str:
    given = str(spec.argv[0]) if spec.argv else ""
    named = given.replace("{prefix}", sys.prefix).replace("{resource_dir}", str(spec.resource_dir))
    return sys.executable if named in _OWN or "{" in named else named


def _filled(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    # As jupyter_client does: ${NAME} in a kernel spec is the server's NAME.
    return tuple(sorted((name, Template(str(value)).safe_substitute(os.environ)) for name, value in env.items()))
