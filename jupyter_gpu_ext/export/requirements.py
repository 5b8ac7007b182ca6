"""The packages that a script needs, pinned to what the notebook's environment has."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.health.compat import tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_gpu_ext.export.environment import Distribution, Environment

OWN = "jupyter-gpu-ext"
# What only a notebook's own process has imported.
_SHELL = ("ipykernel", "ipython", "ipywidgets", "jupyterlab", "jupyter-server", "notebook", "pip", "debugpy")
_WHEEL = re.compile(r"[\d.]+[a-z\d.]*\+(?P<tag>cpu|xpu|cu\d+|rocm[\d.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What is to be installed.

    Attributes
    ----------
    direct : tuple of Distribution
        What the script imports.
    others : tuple of Distribution
        What those need, and what the notebook had loaded besides: a reader's engine is found by name, not imported.
    index : str
        PyTorch's own index, where the version of torch is to be had only there.
    missing : tuple of str
        Modules that the script imports, and that no installed package has.
    problems : tuple of str
        What no index gives.
    """

    direct: tuple[Distribution, ...]
    others: tuple[Distribution, ...]
    index: str
    missing: tuple[str, ...]
    problems: tuple[str, ...]

    def text(self, *, without: Iterable[str] = ()) -> str:
        """Return the lines of a requirements file.

        Parameters
        ----------
        without : iterable of str
            Distributions that are there already.
        """
        away = set(without)
        lines = [f"--extra-index-url {self.index}"] if self.index and "torch" not in away else []
        for title, group in (("# What the script imports.", self.direct), ("# What that needs.", self.others)):
            pins = [_pin(one) for one in group if one.name not in away]
            lines += [title, *pins] if pins else []
        return "\n".join(lines) + "\n"


def require(sources: Iterable[str], environment: Environment) -> Requirements:
    """Return what a script needs of the environment that the notebook runs in.

    Parameters
    ----------
    sources : iterable of str
        Its source, and those of the modules that stand beside it.
    """
    modules = {module for source in sources for module in imported(source)}
    brings = {module: one for one in environment.distributions for module in one.modules}
    names = {one.name for one in environment.distributions if set(one.modules) & modules} | {OWN}
    known = {one.name: one for one in environment.distributions}
    needed = closure(names, known)
    shell = closure(_SHELL, known)
    loaded = {one.name for one in environment.distributions if one.loaded and one.name not in shell}
    others = (needed | loaded) - names
    missing = sorted(modules - set(brings) - set(sys.stdlib_module_names))
    problems = [] if OWN in known else ["jupyter_gpu_ext is not installed where the notebook runs."]
    pinned = [known[name] for name in sorted(needed | loaded) if name in known]
    problems += [_origin_problem(one) for one in pinned if one.origin]
    torch = known.get("torch")
    return Requirements(
        direct=tuple(known[name] for name in sorted(names) if name in known),
        others=tuple(known[name] for name in sorted(others) if name in known),
        index=wheel_index(torch.version) if torch is not None and torch in pinned else "",
        missing=tuple(missing),
        problems=tuple(problems),
    )


def imported(script: str) -> set[str]:
    """Return the top-level modules that a source imports anywhere."""
    found = set[str]()
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def closure(names: Iterable[str], known: dict[str, Distribution]) -> set[str]:
    """Return the installed ones of the names, with all that they need."""
    found, open_ = set[str](), [name for name in names if name in known]
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += [one for one in known[name].requires if one in known]
    return found


def wheel_index(version: str) -> str:
    """Return the index of a build of torch: '2.13.0+cu130' lies in …/whl/cu130; '' where any index has it."""
    found = _WHEEL.fullmatch(version)
    return f"{tables().index}/{found['tag']}" if found else ""


def _pin(one: Distribution) -> str:
    if one.origin and one.name != OWN:
        return f"# {one.name}=={one.version}  # {_WHERE[one.origin]}"
    return f"{one.name}=={one.version}"


_WHERE: dict[str, str] = {
    "editable": "installed from a folder, as editable",
    "file": "installed from a file of that machine",
    "url": "installed from an address, not from an index",
}


def _origin_problem(one: Distribution) -> str:
    cure = (
        "publish it, or copy it beside train.py" if one.name != OWN else "the job installs that version from the index"
    )
    return f"{one.name} {one.version} was {_WHERE[one.origin]}: {cure}."


def in_torch_image(requirements: Requirements) -> set[str]:
    """Return the names of those that PyTorch's image has: torch, and the libraries that it brings for the device."""
    names = {one.name for one in (*requirements.direct, *requirements.others)}
    return {name for name in names if name in ("torch", "triton") or name.startswith(("nvidia-", "cuda-"))}
