"""Look at the environment of this very process; or of another interpreter, which looks at itself and says it.

It imports nothing that is not imported yet: a kernel that never needed torch opens no GPU for it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import distributions, packages_distributions
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.export.environment import Distribution, Environment
from jupyter_gpu_ext.job.lock import Locked
from jupyter_gpu_ext.storage.reads import READS
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import Distribution as Installed

    from jupyter_gpu_ext.export.environment import Origin

_SECONDS = 60
_CUDA_OF_TAG = re.compile(r"cu(\d+)(\d)")


def gather(ran: Mapping[int, str] | None = None) -> Environment:
    """Return this process's environment.

    Parameters
    ----------
    ran : mapping of int to str, optional
        What a notebook's kernel ran, by execution count.
    """
    modules: dict[str, list[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            modules.setdefault(canonicalize_name(name), []).append(module)
    # The first of a name on the path is the one that is imported.
    found = {canonicalize_name(one.name): one for one in reversed(list(distributions())) if one.name}
    torch = found.get(canonicalize_name("torch"))
    return Environment(
        python=platform.python_version(),
        machine=platform.machine(),
        image=printable(os.environ.get("JUPYTER_GPU_IMAGE", "").strip()),
        cuda=_cuda(torch.version if torch is not None else ""),
        distributions=tuple(_described(name, found[name], modules.get(name, ())) for name in sorted(found)),
        reads=tuple(_reads()),
        ran=ran or {},
        peak_bytes=_peak(),
    )


def gather_from(python: str, environ: Mapping[str, str] | None = None) -> Environment:
    """Return the environment of another interpreter, which is started for it.

    Parameters
    ----------
    python : str
        Its path.
    environ : mapping, optional
        The variables that it gets; else those of this process.

    Raises
    ------
    NotFoundError
        When it does not start, or has no jupyter_gpu_ext.
    """
    try:
        # `-P`: a module in the current folder is not what the environment has.
        done = subprocess.run(  # noqa: S603 -- our own module
            [python, "-P", "-m", __name__],
            capture_output=True, text=True, check=True, timeout=_SECONDS, env=dict(environ or os.environ),
        )  # fmt: skip
        return Environment.from_json(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        if isinstance(error, BadRequestError):
            raise
        raise NotFoundError(
            f"{printable(python)} does not tell of its packages: it has no jupyter_gpu_ext, or another version of it.",
            hint=f"Install it there: {printable(python)} -m pip install jupyter-gpu-ext",
        ) from None


def _described(name: str, installed: Installed, modules: Iterable[str]) -> Distribution:
    origin = _origin(installed)
    # What is installed as editable lists none of its modules; most bear the distribution's name.
    brought = tuple(sorted(set(modules))) or ((name.replace("-", "_"),) if origin == "editable" else ())
    return Distribution(
        name=name,
        version=installed.version,
        modules=brought,
        requires=tuple(sorted(_requires(installed))),
        origin=origin,
        loaded=any(module in sys.modules for module in brought),
    )


def _requires(installed: Installed) -> set[str]:
    found = set[str]()
    for text in installed.requires or ():
        try:
            one = Requirement(text)
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            found.add(canonicalize_name(one.name))
    return found


def _origin(installed: Installed) -> Origin:
    """Return where it was installed from; https://packaging.python.org/specifications/direct-url-data-structure/."""
    try:
        said: Any = json.loads(installed.read_text("direct_url.json") or "{}")
        url, is_editable = str(said.get("url", "")), bool(said.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError, OSError):
        return ""
    # conda builds every package from a folder of its own, and records that; an index has the same version.
    if not url or (installed.read_text("INSTALLER") or "").strip() == "conda":
        return ""
    return "editable" if is_editable else "file" if url.startswith("file:") else "url"


def _cuda(version: str) -> str:
    # A torch that is imported says it itself; an index's default wheel does not say it in its version.
    said = getattr(getattr(sys.modules.get("torch"), "version", None), "cuda", None)
    found = _CUDA_OF_TAG.search(version.partition("+")[2])
    return str(said or "") or (f"{found[1]}.{found[2]}" if found else "")


def _reads() -> Iterable[Locked]:
    # A link that was read without a connection may hold its secret.
    seen = {url: one for url, one in READS.all().items() if redact(url) == url}
    # A folder, such as a Zarr store: which version of it was read is in no single tag.
    for url, one in seen.items():
        yield Locked(url=url) if one is None else Locked(url=url, size_bytes=one.size_bytes, etag=one.etag)
    for url in dict.fromkeys(entry.receipt.url for entry in RECEIPTS.all()):
        if url not in seen and redact(url) == url:
            yield Locked(url=url)


def _peak() -> int | None:
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    return max((cuda.max_memory_reserved(number) for number in range(cuda.device_count())), default=0) or None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(gather().to_json()))
